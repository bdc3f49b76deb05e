"""What code of the program a call can enter, and whether a thread is inside an operation that it must not interrupt."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType

from stopwhen import static
from stopwhen.immutable import Immutable
from stopwhen.originals import functools, opcode, sys, use_original_builtins
from stopwhen.type_hints import Any
from stopwhen.types import ABSENT

use_original_builtins(globals())

MOST_FUNCTIONS = 100
"""How many functions are followed from one to the next; a call that can enter more may store anything."""

_STORES = frozenset(
    opcode.opmap[name]
    for name in (
        *("STORE_ATTR", "DELETE_ATTR", "STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE", "STORE_GLOBAL", "DELETE_GLOBAL"),
        *("STORE_DEREF", "DELETE_DEREF"),
    )
    if name in opcode.opmap
)
_STORING_METHODS = frozenset(
    """
    __init__ __new__ __init_subclass__ __setattr__ __delattr__ __setitem__ __delitem__ __set__ __delete__ __set_name__
    __setstate__ __reduce__ __reduce_ex__ __getstate__ __del__ __enter__ __exit__ __iadd__ __imul__ __isub__ __ior__
    __iand__ __ixor__
    """.split()  # noqa: SIM905 - a table, to be read
)
"""Special methods that reading never calls."""
_NAMES_OF_STORES = frozenset(
    "__dict__ vars setattr delattr __setattr__ setdefault update append add insert extend pop clear put".split()  # noqa: SIM905
)
"""Names that a function uses which stores by way of a call; what else it calls is followed, if it is in Python."""


class EnteredCode(Immutable):
    """What a call can enter.

    Attributes:
        codes: of the functions that are known to be entered.
        kinds: the classes of the program's objects that the call gets.
        stores: it may store to these objects, as a getter does that keeps what it has made.
    """

    codes: frozenset[CodeType]
    kinds: tuple[type, ...]
    stores: bool

    def __bool__(self) -> bool:
        return bool(self.codes or self.kinds)

    def is_running(self) -> bool:
        """Return whether this thread is inside an operation between the steps of which the call must not be made.

        That is a frame that it could enter; where it may store, any method of the objects as well: one may be half
        changed then, and the call would see, and keep, what no caller ever sees.
        """
        if not self:
            return False
        codes, kinds = self.codes, self.kinds if self.stores else ()
        frame = sys._getframe(1)  # noqa: SLF001 - there is no other way to it
        while frame is not None:
            code = frame.f_code
            if code in codes or (kinds and any(_has(kind, code) for kind in kinds)):
                return True
            frame = frame.f_back  # type: ignore[assignment] # None after the outermost
        return False


def entered_by(call: Any, known: dict[object, EnteredCode]) -> EnteredCode:
    """Return what `call` can enter.

    Args:
        call: a partial, or a function without arguments that has in its closure what it gets.
        known: what has been found before; each entry keeps the classes and code alive by whose ids it is found.
    """
    given = tuple(_held_by(call))
    kinds = tuple({id(kind): kind for value in given if _has_python(kind := _class_of(value))}.values())
    functions = [function for value in given if (function := _function_of(value)) is not None]
    functions += [getter for value in given if (getter := _getter_of(value)) is not None]
    names = tuple(value for value in given if type(value) is str)
    key = tuple(map(id, kinds)), tuple(id(function.__code__) for function in functions), names
    found = known.get(key)
    if found is None:
        found = known[key] = _search(kinds, functions, names)
    return found


def _search(kinds: tuple[type, ...], functions: list[FunctionType], names: tuple[str, ...]) -> EnteredCode:
    search = _Search(kinds)
    for function in functions:
        search.follow(function)
    for kind in kinds:
        for name in (*names, *_reading_methods(kind)):
            search.follow_attribute(kind, name)
    search.run()
    return EnteredCode(frozenset(search.codes.values()), kinds, search.stores)


def _getter_of(module: Any) -> FunctionType | None:
    """Return the function that computes attributes which a module does not have."""
    return _function_of(dict.get(static.module_dict(module), "__getattr__")) if type(module) is ModuleType else None


class _Search:
    """Follows functions to those that they call, by the names that they use."""

    def __init__(self, kinds: tuple[type, ...]) -> None:
        self.codes: dict[int, CodeType] = {}
        self.stores = False
        self._kinds = kinds
        self._functions: list[FunctionType] = []

    def follow(self, function: FunctionType) -> None:
        if id(function.__code__) not in self.codes:
            self.codes[id(function.__code__)] = function.__code__
            self._functions.append(function)
            self.stores |= len(self.codes) > MOST_FUNCTIONS

    def follow_attribute(self, kind: type, name: str) -> None:
        found = static.find(kind, name)
        if found is not None:
            self.follow_value(found[1])

    def follow_value(self, entry: Any) -> None:
        if type(entry) is property:
            entry = entry.fget
        function = _function_of(entry.__func__ if type(entry) in (staticmethod, classmethod) else entry)
        if function is not None:
            self.follow(function)
            return
        for kind in (entry, type(entry)) if static.is_a(entry, type) else (type(entry),):
            if _has_python(kind):  # a descriptor, or what is called: not followed far
                self.stores = True
                for name in ("__get__", "__call__", "__init__", "__new__"):
                    found = static.find(kind, name)
                    if found is not None and type(found[1]) is FunctionType:
                        self.follow(found[1])

    def run(self) -> None:
        while self._functions and len(self.codes) <= MOST_FUNCTIONS:
            function = self._functions.pop()
            for code in _with_inner(function.__code__):
                self.codes[id(code)] = code
                self.stores |= any(code.co_code[offset] in _STORES for offset in range(0, len(code.co_code), 2))
                for name in code.co_names:
                    self._follow_name(function, name)

    def _follow_name(self, function: FunctionType, name: str) -> None:
        self.stores |= name in _NAMES_OF_STORES
        value = dict.get(function.__globals__, name, ABSENT)
        if type(value) is FunctionType:
            self.follow(value)
        elif static.is_a(value, type) and _has_python(value):
            self.follow_value(value)
        for kind in self._kinds:
            self.follow_attribute(kind, name)


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    """Yield `code` and that of the functions made in it."""
    yield code
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _with_inner(constant)


def _held_by(call: Any) -> Iterator[Any]:
    """Yield what `call` has been given."""
    pending = [call]
    while pending:
        one = pending.pop()
        if type(one) is functools.partial:
            pending += (one.func, *one.args, *one.keywords.values())
            continue
        if one is not call:
            yield one
            continue
        for cell in call.__closure__ or ():
            held = cell.cell_contents
            pending += held if type(held) is tuple else (held,)


def _class_of(value: Any) -> type:
    """Return the class whose methods a call may enter: of a bound method, that of the object it is bound to."""
    owner: Any = value.__self__ if type(value) is MethodType else value
    kind: type = owner if static.is_a(owner, type) else type(owner)
    return kind


def _function_of(value: Any) -> FunctionType | None:
    inner = value.__func__ if type(value) is MethodType else value
    return inner if type(inner) is FunctionType else None


def _has_python(kind: type) -> bool:
    """Tell whether `kind` may have methods in Python: one that was made in C and cannot be stored to has none."""
    return any(static.is_mutable(base) for base in static.mro(kind))


def _reading_methods(kind: type) -> Iterator[str]:
    for base in static.mro(kind):
        if static.is_mutable(base):
            for name in list(static.type_dict(base)):
                if type(name) is str and name.startswith("__") and name not in _STORING_METHODS:
                    yield name


def _has(kind: type, code: CodeType) -> bool:
    """Tell whether `code` is that of a method or property of `kind`, under its own name."""
    for base in static.mro(kind):
        entry = static.entry(base, code.co_name)
        if entry is ABSENT:
            continue
        inner: tuple[Any, ...] = (entry.fget, entry.fset, entry.fdel) if type(entry) is property else (entry,)
        for one in inner:
            function = one.__func__ if type(one) in (staticmethod, classmethod) else one
            if type(function) is FunctionType and function.__code__ is code:
                return True
    return False
