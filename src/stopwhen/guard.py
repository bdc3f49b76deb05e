"""Guards: data that may not change, for good, in a `with` block, or while a function runs."""

from __future__ import annotations

from stopwhen import location, session, source_lines
from stopwhen.cells import Closure, DictItem
from stopwhen.errors import Refused, UsageError
from stopwhen.expression import parse, walk
from stopwhen.frames import cell_of
from stopwhen.immutable import Immutable
from stopwhen.originals import ast, functools, use_original_builtins
from stopwhen.scope import frame_namespaces
from stopwhen.static import class_name
from stopwhen.type_hints import TYPE_CHECKING, Any, Self, TypeVar
from stopwhen.types import ABSENT, AccessType

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping
    from inspect import Signature
    from types import CellType, FrameType, TracebackType

    from stopwhen.hit import Hit
    from stopwhen.scope import Look, Scope
    from stopwhen.terms import Terms
    from stopwhen.watchpoint import Watchpoint

_Function = TypeVar("_Function", bound="Callable[..., Any]")

_GENERATOR, _COROUTINE, _ITERABLE_COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200
"""Flags of code objects, as `inspect` names them; that is not loaded for their sake."""


class Guard:
    """A piece of data that may not change: whoever changes it gets `DataChanged`, at the line that does.

    Made by `stopwhen.forbid`. It guards from then on, until `remove()`; as a context manager, until the end of the
    block; as a decorator, whenever the function runs, and not otherwise.

    Attributes:
        watchpoint: the one that guards now; as a decorator, the one of the time before.
    """

    def __init__(self, expression: str, terms: Terms, frame: FrameType) -> None:
        self._expression = expression
        self._terms = terms
        self._forbidden_at = location.locate(frame.f_code, frame.f_lasti)
        self._around = None if terms.scope is not None else Names.of(frame, _names_in(expression))
        self.watchpoint = self._arm(frame if terms.scope is None else None)
        if not _is_decorator(self._forbidden_at):  # or its names are those that the function reads
            session.current().tell_absent(self.watchpoint.expression, self.watchpoint.scope, frame)

    @property
    def count(self) -> int:
        """How many changes there were so far."""
        return self.watchpoint.count

    @property
    def hits(self) -> list[Hit]:
        """Those that raised, oldest first."""
        return self.watchpoint.hits

    def disable(self) -> None:
        """Allow changes until `enable`."""
        self.watchpoint.disable()

    def enable(self) -> None:
        """Forbid changes of what is there now."""
        self.watchpoint.enable()

    def remove(self) -> None:
        """End the guard. May be called twice."""
        self.watchpoint.remove()

    def __enter__(self) -> Self:
        if self.watchpoint.removed:
            raise UsageError(
                f"the guard of {self._expression!r} has ended, and guards nothing any more",
                slug="guard-ended",
                hint="call stopwhen.forbid again",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def __call__(self, function: _Function) -> _Function:
        """Return `function`, guarded from the start of each call to its end, as a `with` around its body would."""
        self.remove()
        given: Any = function
        if type(given) is staticmethod or type(given) is classmethod:
            return type(given)(self(given.__func__))  # type: ignore[return-value] # as it was, another function inside
        if not hasattr(given, "__code__"):
            raise UsageError(
                f"cannot guard {self._expression!r} while {_text_of_kind(given)} runs: it is no function",
                slug="not-a-function",
                hint="put @stopwhen.forbid(...) right above a 'def'",
            )
        guarded: Any = functools.update_wrapper(_guarded(given, self._arms_for(given)), given)
        return guarded  # type: ignore[no-any-return] # the same kind of function

    def __repr__(self) -> str:
        return f"<Guard of {self._expression!r}, {'ended' if self.watchpoint.removed else 'on'}>"

    def _arm(self, frame: FrameType | None, where: Scope | None = None) -> Watchpoint:
        """Make the watchpoint; names are read in `where`, or in the scope asked for, or in `frame`."""
        watchpoint = session.current().watch(AccessType.CHANGE, self._expression, self._terms, frame=frame, where=where)
        watchpoint.forbidden_at = self._forbidden_at
        return watchpoint

    def _arms_for(self, function: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], Watchpoint]:
        """Return what arms a watchpoint for one call of `function` with these arguments."""
        around = self._around
        if around is None:
            return lambda _args, _options: self._arm(None)
        names = _names_in(self._expression)
        signature = _signature(function)
        parameters = names & set(signature.parameters)
        variables = around.also(function)
        variables.check(names - parameters, self._expression, function)
        there = variables.with_arguments(dict.fromkeys(parameters))
        session.current().tell_absent(self.watchpoint.expression, there)
        if not parameters:
            return lambda _args, _options: self._arm(None, variables)

        def arm(args: tuple[Any, ...], options: dict[str, Any]) -> Watchpoint:
            try:
                bound = signature.bind(*args, **options)
            except TypeError:  # the call raises it in better words
                return self._arm(None, variables)
            bound.apply_defaults()
            arguments = {name: bound.arguments[name] for name in parameters}
            return self._arm(None, variables.with_arguments(arguments))

        return arm


class Names(Immutable, eq=False):
    """A scope: the names that code in a function reads, without a hold on the frame around it.

    Attributes:
        title: what messages call it.
        cells: the variables that functions share, by name.
        gone: names of local variables that nothing but the frame around has, which may be gone when they are read.
        namespaces: where all others are looked up.
        arguments: those of one call.
    """

    title: str
    cells: Mapping[str, CellType]
    gone: frozenset[str]
    namespaces: tuple[dict[str, Any], ...]
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, frame: FrameType, names: frozenset[str]) -> Self:
        """Return what code in a function made in `frame` may read, as far as `names` go."""
        code = frame.f_code
        found = {name: cell_of(frame, name) for name in names & {*code.co_cellvars, *code.co_freevars}}
        cells = {name: cell for name, cell in found.items() if cell is not None}
        namespaces, body = frame_namespaces(frame)
        local = names & ({*code.co_varnames, *code.co_cellvars, *code.co_freevars} | body)
        return cls("the function's scope", cells, frozenset(local - set(cells)), namespaces, {})

    def also(self, function: Any) -> Self:
        """Return these names and the variables around `function` that it uses itself."""
        code = function.__code__
        own = dict(zip(code.co_freevars, function.__closure__ or (), strict=False))
        return type(self)(
            f"the scope of {code.co_qualname}", {**self.cells, **own}, self.gone - set(own), self.namespaces, {}
        )

    def with_arguments(self, arguments: Mapping[str, Any]) -> Self:
        """Return these names and the arguments of one call."""
        return type(self)(self.title, self.cells, self.gone, self.namespaces, arguments)

    def check(self, names: frozenset[str], expression: str, function: Any) -> None:
        """Refuse an expression with a name that would not be there any more when `function` runs.

        Raises:
            Refused: there is such a name.
        """
        for name in sorted(names & self.gone):
            raise Refused(
                f"cannot guard {expression!r} while {function.__qualname__} runs: {name!r} is a local variable around "
                "it, which may be gone by then",
                slug="local-around",
                hint=f"give it: stopwhen.forbid({expression!r}, scope={{{name!r}: {name}}}), or use 'with' where it "
                "is called",
            )

    def find(self, name: str, look: Look) -> Any:
        """Return the value of `name`; an argument stays what it was at the call."""
        if name in self.arguments:
            return self.arguments[name]
        if name in self.cells:
            return look(Closure(name, self.cells[name]))
        for namespace in self.namespaces:
            value = look(DictItem(name, namespace, name))
            if value is not ABSENT:
                return value
        return ABSENT


def _is_decorator(place: location.Location) -> bool:
    """Return whether the call at `place` stands behind an @, as far as its source is known."""
    line = "".join(source_lines.lines_of(place.filename)[place.lineno - 1 : place.lineno])
    return line.lstrip().startswith("@")


def _names_in(expression: str) -> frozenset[str]:
    """Return the names that an expression reads and does not bind itself."""
    names = [node for node in walk(parse(expression).tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    return frozenset(node.id for node in names) - bound


def _signature(function: Any) -> Signature:
    import inspect  # noqa: PLC0415 - slow to load, and for decorators only

    return inspect.signature(function)


def _text_of_kind(given: Any) -> str:
    return f"the class {class_name(given)}" if isinstance(given, type) else f"a {class_name(type(given))!r} object"


def _guarded(function: Any, arm: Callable[[tuple[Any, ...], dict[str, Any]], Watchpoint]) -> Callable[..., Any]:
    """Return a function of the same kind as `function` that arms, runs it and removes the watchpoint."""
    flags = function.__code__.co_flags

    def plain(*args: Any, **options: Any) -> Any:
        with arm(args, options):
            return function(*args, **options)

    def generator(*args: Any, **options: Any) -> Generator[Any, Any, Any]:
        with arm(args, options):
            return (yield from function(*args, **options))

    async def coroutine(*args: Any, **options: Any) -> Any:
        with arm(args, options):
            return await function(*args, **options)

    async def async_generator(*args: Any, **options: Any) -> AsyncGenerator[Any, Any]:
        with arm(args, options):
            inner = function(*args, **options)
            step, sent = inner.asend, None
            try:
                while True:
                    try:
                        value = await step(sent)
                    except StopAsyncIteration:
                        return
                    try:
                        step, sent = inner.asend, (yield value)
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        step, sent = inner.athrow, error
            finally:
                await inner.aclose()

    if flags & _ITERABLE_COROUTINE:
        import types  # noqa: PLC0415 - as good as never

        return types.coroutine(generator)
    if flags & _GENERATOR:
        return generator
    if flags & _COROUTINE:
        return coroutine
    return async_generator if flags & _ASYNC_GENERATOR else plain
