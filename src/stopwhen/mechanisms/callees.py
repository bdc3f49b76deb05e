"""What a call of a C function is about to store or read, by its name and arguments: nothing is run to find out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import (
    BuiltinFunctionType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)

from stopwhen import static
from stopwhen.immutable import Immutable
from stopwhen.originals import operator, use_original_builtins
from stopwhen.type_hints import Any
from stopwhen.types import AccessType

use_original_builtins(globals())

WRITE, READ = AccessType.WRITE, AccessType.READ

CONTENT, WHOLE, ITEM, ATTRIBUTE, SLOT, ITEMS_OF = range(6)


class Touch(Immutable):
    """One thing that a call touches.

    Attributes:
        access: how.
        kind: what of `owner`: its content; its content with all items; the item `key`; the attribute `key`; the slot of
            the descriptor `key`; the items whose keys are in `key`, a pair of positional and keyword arguments.
        by_class: only if the class of `owner` leaves the operation to C.
    """

    access: AccessType
    kind: int
    owner: Any
    key: Any = None
    by_class: bool = False


_WHOLE = frozenset(("sort", "reverse", "rotate", "byteswap", "heapify", "__setstate__"))
"""Functions that store into all items."""
_INTO = frozenset(
    (
        *("append", "appendleft", "extend", "extendleft", "insert", "add", "update", "frombytes", "fromlist"),
        *("fromfile", "fromunicode", "move_to_end", "heappush", "heapreplace", "heappushpop"),
        *("insort", "insort_left", "insort_right", "__iadd__", "__imul__", "__ior__", "iadd", "iconcat", "imul", "ior"),
        *("readinto", "recv_into", "write", "writelines"),
    )
)
"""Functions that store into a container. Those that only take away are none: what they do is a change."""
_READING = frozenset(("get", "pop", "setdefault", "__getitem__", "getitem"))
_INTO_ARGUMENT = frozenset(("readinto", "recv_into"))
"""Methods that store into their first argument, not into what they are methods of."""
UPDATING_NAMES = frozenset(("update", "__ior__", "ior", "__init__"))
"""Methods by which a dict takes items of another."""

METHOD_NAMES = frozenset(
    (
        *("sort", "reverse", "rotate", "byteswap", "__setstate__", "append", "appendleft", "extend", "extendleft"),
        *("insert", "add", "update", "frombytes", "fromlist", "fromfile", "fromunicode", "move_to_end"),
        *("__iadd__", "__imul__", "__ior__", "__init__", "__setattr__", "__setitem__", "write", "writelines"),
    )
)
"""Those of the functions below that are methods of what they store into."""
WRITING_NAMES = _WHOLE | _INTO | UPDATING_NAMES | {"setattr", "__setattr__", "__setitem__", "setitem", "__set__"}
READING_NAMES = _READING | {"getattr", "__getattribute__", "__get__", "itemgetter", "attrgetter"}


def touches(callee: Any, arguments: Sequence[Any], keywords: Mapping[str, Any] | Sequence[str]) -> Iterator[Touch]:
    """Yield what a call touches; nothing for a function in Python, which has instructions of its own.

    Args:
        callee: what is called.
        arguments: the positional ones, with `self` first where the method is not bound.
        keywords: the names of the others.
    """
    kind = type(callee)
    if kind is BuiltinFunctionType:
        owner, name = callee.__self__, callee.__name__
        if owner is None or type(owner) is ModuleType:
            yield from _of_function(name, arguments)
        elif not static.is_a(owner, type):
            yield from _of_method(owner, name, arguments, keywords)
    elif kind is MethodWrapperType:
        yield from _of_method(callee.__self__, callee.__name__, arguments, keywords)
    elif kind is MethodDescriptorType or kind is WrapperDescriptorType:
        if arguments:
            yield from _of_method(arguments[0], callee.__name__, arguments[1:], keywords)
    elif arguments and is_getter(kind):
        yield from _of_getter(callee, arguments[0])


def is_getter(kind: type) -> bool:
    """Tell whether instances of `kind` are what `operator.itemgetter` or `operator.attrgetter` return."""
    return kind is operator.itemgetter or kind is operator.attrgetter


def _of_function(name: str, arguments: Sequence[Any]) -> Iterator[Touch]:
    """Yield what a function of a module in C touches."""
    if not arguments:
        return
    owner, *rest = arguments
    if name == "setattr" and rest:
        yield Touch(WRITE, ATTRIBUTE, owner, rest[0], by_class=True)
    elif name == "getattr" and rest:
        yield Touch(READ, ATTRIBUTE, owner, rest[0], by_class=True)
    elif name == "setitem" and rest:
        yield Touch(WRITE, ITEM, owner, rest[0], by_class=True)
    elif name == "getitem" and rest:
        yield Touch(READ, ITEM, owner, rest[0], by_class=True)
    elif name == "ior" and static.is_a(owner, dict):
        yield Touch(WRITE, CONTENT, owner)
        yield Touch(WRITE, ITEMS_OF, owner, (rest, ()))
    elif name in _WHOLE:
        yield Touch(WRITE, WHOLE, owner)
    elif name in _INTO:
        yield Touch(WRITE, CONTENT, owner)


def _of_method(
    owner: Any, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any] | Sequence[str]
) -> Iterator[Touch]:
    """Yield what the method `name` of `owner`, in C, touches."""
    if name in UPDATING_NAMES and static.is_a(owner, dict):
        yield Touch(WRITE, CONTENT, owner)
        yield Touch(WRITE, ITEMS_OF, owner, (arguments, keywords))
    elif name in _WHOLE or name == "__init__":
        yield Touch(WRITE, WHOLE, owner)
    elif name in _INTO_ARGUMENT:
        if arguments:
            yield Touch(WRITE, CONTENT, arguments[0])
    elif name in _INTO:
        yield Touch(WRITE, CONTENT, owner)
    elif name == "pop" and static.is_a(owner, list):
        yield Touch(READ, ITEM, owner, arguments[0] if arguments else -1)
    elif arguments:
        yield from _of_one(owner, name, arguments[0])


def _of_one(owner: Any, name: str, key: Any) -> Iterator[Touch]:
    """Yield what the method `name` of `owner` touches, whose first argument says what of it."""
    if name == "__setitem__":
        yield Touch(WRITE, ITEM, owner, key)
    elif name == "__setattr__":
        yield Touch(WRITE, ATTRIBUTE, owner, key)
    elif name == "__getattribute__":
        yield Touch(READ, ATTRIBUTE, owner, key)
    elif name == "__set__" and type(owner) is MemberDescriptorType:
        yield Touch(WRITE, SLOT, key, owner)
    elif name == "__get__" and type(owner) is MemberDescriptorType:
        yield Touch(READ, SLOT, key, owner)
    elif name in _READING:
        yield Touch(READ, ITEM, owner, key)


def _of_getter(getter: Any, owner: Any) -> Iterator[Touch]:
    """Yield what an `itemgetter` or `attrgetter` reads of `owner`; of `a.b` the `a`."""
    kind, keys = getter.__reduce__()
    for key in keys:
        if kind.__name__ == "itemgetter":
            yield Touch(READ, ITEM, owner, key, by_class=True)
        else:
            yield Touch(READ, ATTRIBUTE, owner, key.partition(".")[0], by_class=True)
