"""The functions of the Python interface."""

from __future__ import annotations

from stopwhen import session
from stopwhen.guard import Guard
from stopwhen.originals import sys, use_original_builtins
from stopwhen.terms import Terms
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import AccessType, Action

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from stopwhen.hit import Hit
    from stopwhen.watchpoint import Watchpoint


def changes(
    expression: str,
    *,
    scope: Any = None,
    pin: bool = False,
    depth: int | str = 1,
    condition: str | Callable[[Hit], object] | None = None,
    hit_condition: str | int | None = None,
    threads: str | Iterable[str] | None = None,
    tasks: str | Iterable[str] | None = None,
    files: str | Iterable[str] | None = None,
    not_files: str | Iterable[str] | None = None,
    functions: str | Iterable[str] | None = None,
    callers: str | Iterable[str] | None = None,
    action: str | Callable[[Hit], object] = "stop",
    allow_calls: bool = False,
) -> Watchpoint:
    """Watch the changes of `expression`: another value, or other content.

    Args:
        expression: any Python expression: `sys.path`, `config.db.pool[0].size`, `len(queue)`.
        scope: where its names are read. None: the calling frame, whose end ends the watchpoint when it read a local
            of it. Else a module or its name, a function, a class, `"pkg.mod:name"`, or a dict of names.
        pin: watch on the objects that the root names stand for now, whatever becomes of the names and their frame.
        depth: how far the content of the value counts: 0 for rebinding only, 1 for its own content, n, or "all".
        condition: expression over `old`, `new`, `added`, `removed`, `absent` and the names of the frame that wrote,
            or a callable of the hit; only where it is true is there a hit.
        hit_condition: rule on the count: 3, ">=3", "%10"; only then does a hit act.
        threads: names, or patterns of names, of the threads whose writes count.
        tasks: likewise, of the asyncio tasks.
        files: patterns of the files whose writes count.
        not_files: patterns of the files whose writes do not count.
        functions: patterns of the qualified names of the functions whose writes count.
        callers: patterns of files or qualified names; only where some frame of the stack has such a one.
        action: "stop", "log", "raise", "count", or a callable given the hit.
        allow_calls: evaluate calls that are not known to be free of side effects, again and again.

    Returns:
        The watchpoint, armed: a context manager that removes it at the end.

    Raises:
        BadExpression: the expression, condition or hit condition cannot be understood.
        Refused: the data cannot be watched; the message says why.
        UsageError: another argument is wrong.
    """
    terms = Terms(
        scope=scope,
        pin=pin,
        depth=depth,
        condition=condition,
        hit_condition=hit_condition,
        threads=threads,
        tasks=tasks,
        files=files,
        not_files=not_files,
        functions=functions,
        callers=callers,
        action=action,
        allow_calls=allow_calls,
    )
    return _armed(AccessType.CHANGE, expression, terms, sys._getframe(1))  # noqa: SLF001 - there is no other way to it


def true(
    expression: str,
    *,
    scope: Any = None,
    pin: bool = False,
    depth: int | str = 1,
    condition: str | Callable[[Hit], object] | None = None,
    hit_condition: str | int | None = None,
    threads: str | Iterable[str] | None = None,
    tasks: str | Iterable[str] | None = None,
    files: str | Iterable[str] | None = None,
    not_files: str | Iterable[str] | None = None,
    functions: str | Iterable[str] | None = None,
    callers: str | Iterable[str] | None = None,
    action: str | Callable[[Hit], object] = "stop",
    allow_calls: bool = False,
) -> Watchpoint:
    """Watch for `expression` to become true. If it is true now, that is one hit at once, marked `already`.

    Arguments, result and errors are those of `changes`.
    """
    terms = Terms(
        scope=scope,
        pin=pin,
        depth=depth,
        condition=condition,
        hit_condition=hit_condition,
        threads=threads,
        tasks=tasks,
        files=files,
        not_files=not_files,
        functions=functions,
        callers=callers,
        action=action,
        allow_calls=allow_calls,
    )
    return _armed(AccessType.TRUE, expression, terms, sys._getframe(1))  # noqa: SLF001 - there is no other way to it


def writes(
    expression: str,
    *,
    scope: Any = None,
    pin: bool = False,
    depth: int | str = 1,
    condition: str | Callable[[Hit], object] | None = None,
    hit_condition: str | int | None = None,
    threads: str | Iterable[str] | None = None,
    tasks: str | Iterable[str] | None = None,
    files: str | Iterable[str] | None = None,
    not_files: str | Iterable[str] | None = None,
    functions: str | Iterable[str] | None = None,
    callers: str | Iterable[str] | None = None,
    action: str | Callable[[Hit], object] = "stop",
    allow_calls: bool = False,
) -> Watchpoint:
    """Watch every store to `expression`, of the same value too.

    Arguments, result and errors are those of `changes`. Refused where no mechanism sees such a store.
    """
    terms = Terms(
        scope=scope,
        pin=pin,
        depth=depth,
        condition=condition,
        hit_condition=hit_condition,
        threads=threads,
        tasks=tasks,
        files=files,
        not_files=not_files,
        functions=functions,
        callers=callers,
        action=action,
        allow_calls=allow_calls,
    )
    return _armed(AccessType.WRITE, expression, terms, sys._getframe(1))  # noqa: SLF001 - there is no other way to it


def reads(
    expression: str,
    *,
    scope: Any = None,
    pin: bool = False,
    depth: int | str = 1,
    condition: str | Callable[[Hit], object] | None = None,
    hit_condition: str | int | None = None,
    threads: str | Iterable[str] | None = None,
    tasks: str | Iterable[str] | None = None,
    files: str | Iterable[str] | None = None,
    not_files: str | Iterable[str] | None = None,
    functions: str | Iterable[str] | None = None,
    callers: str | Iterable[str] | None = None,
    action: str | Callable[[Hit], object] = "stop",
    allow_calls: bool = False,
) -> Watchpoint:
    """Watch every read of what `expression` names last.

    Arguments, result and errors are those of `changes`. Refused where no mechanism sees reads.
    """
    terms = Terms(
        scope=scope,
        pin=pin,
        depth=depth,
        condition=condition,
        hit_condition=hit_condition,
        threads=threads,
        tasks=tasks,
        files=files,
        not_files=not_files,
        functions=functions,
        callers=callers,
        action=action,
        allow_calls=allow_calls,
    )
    return _armed(AccessType.READ, expression, terms, sys._getframe(1))  # noqa: SLF001 - there is no other way to it


def forbid(
    expression: str,
    *,
    scope: Any = None,
    pin: bool = False,
    depth: int | str = 1,
    condition: str | Callable[[Hit], object] | None = None,
    hit_condition: str | int | None = None,
    threads: str | Iterable[str] | None = None,
    tasks: str | Iterable[str] | None = None,
    files: str | Iterable[str] | None = None,
    not_files: str | Iterable[str] | None = None,
    functions: str | Iterable[str] | None = None,
    callers: str | Iterable[str] | None = None,
    allow_calls: bool = False,
) -> Guard:
    """Forbid changes of `expression`: whoever changes it gets `DataChanged`, at the line that does, after the change.

        stopwhen.forbid("settings")                        # from here on
        with stopwhen.forbid("settings", depth="all"):     # in this block
        @stopwhen.forbid("settings", scope="shop.config")  # while this function runs

    Arguments and errors are those of `changes`; the changes that they let count are forbidden. The names of a
    decorator's expression are those that the function reads: its arguments, the variables around it, its globals.

    Returns:
        The guard: a context manager that ends with its block, and a decorator of functions, methods, coroutine
        functions and generators, which are guarded from the start of each call to its end.
    """
    terms = Terms(
        scope=scope,
        pin=pin,
        depth=depth,
        condition=condition,
        hit_condition=hit_condition,
        threads=threads,
        tasks=tasks,
        files=files,
        not_files=not_files,
        functions=functions,
        callers=callers,
        action=Action.RAISE,
        allow_calls=allow_calls,
    )
    return Guard(expression, terms, sys._getframe(1))  # noqa: SLF001 - there is no other way to it


def watchpoints() -> list[Watchpoint]:
    """Return the watchpoints that are not removed, by number."""
    return session.current().watchpoints()


def clear() -> None:
    """Remove all watchpoints."""
    session.current().clear()


def _armed(access: AccessType, expression: str, terms: Terms, frame: FrameType) -> Watchpoint:
    """Return the watchpoint that `frame` asks for, having said which of its names are not there."""
    current = session.current()
    watchpoint = current.watch(access, expression, terms, frame=frame if terms.scope is None else None)
    current.tell_absent(watchpoint.expression, watchpoint.scope, frame)
    return watchpoint
