"""Which values can be compared, ordered and shown as text without running code of the program's."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable

from stopwhen import content, static
from stopwhen.originals import types, use_original_builtins
from stopwhen.record import Record
from stopwhen.static import TypeSet, class_name
from stopwhen.type_hints import Any
from stopwhen.values import SCALARS, SIZED, VIEWS

use_original_builtins(globals())

COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")

_COMPARING = TypeSet(object, type, *SCALARS.kinds, *SIZED.kinds, slice, property, types.GenericAlias, types.UnionType)
"""Builtin types that compare by themselves, or by the items that `_items` yields."""

_HASHING = TypeSet(object, type, *SCALARS.kinds, tuple, frozenset, slice, memoryview)
"""Builtin types that hash by themselves, or by their items."""

_COMPARING_LEAVES = (("_datetime", "date"), ("_datetime", "timedelta"), ("_decimal", "Decimal"))

SHOWN = TypeSet(
    *(
        *SCALARS.kinds,
        *VIEWS.kinds,
        list,
        tuple,
        dict,
        set,
        frozenset,
        bytearray,
        deque,
        OrderedDict,
        defaultdict,
        slice,
    ),
    *(type, types.BuiltinFunctionType),
)
"""The exact types whose `repr` runs no code but that of their items."""

Judge = Callable[[type], str | None]
"""Returns the name of the method that would run for a value of that type; None when none would."""


def comparing_method(kind: type) -> str | None:
    """Return the comparison method of `kind` that is not builtin; None when comparing runs no code of the program's."""
    if kind in SCALARS:
        return None
    for name in COMPARISONS:
        base = static.definer(kind, name)
        if base is not None and base not in _COMPARING and not is_leaf(base) and not _is_array_itself(base):
            return f"{class_name(base)}.{name}"
    return None


def is_leaf(kind: type) -> bool:
    """Tell whether `kind` is an immutable type of the standard library, in C, that compares by itself."""
    return any(kind is static.loaded_class(module, name) for module, name in _COMPARING_LEAVES)


def _is_array_itself(kind: type) -> bool:
    return kind is static.loaded_class("array", "array")


def showing_method(kind: type) -> str | None:
    """Return what would run to show a value of `kind` as text; None when that is builtin."""
    return None if kind in SHOWN else f"{class_name(kind)}.__repr__"


def is_plain(value: Any) -> bool:
    """Tell whether comparing the key `value` with any other plain key runs no code of the program's."""
    pending = [value]
    while pending:
        one = pending.pop()
        kind = type(one)
        if kind in SCALARS:
            continue
        if comparing_method(kind) is not None:
            return False
        if static.has_base(kind, tuple) or static.has_base(kind, frozenset):
            pending.extend(_items(one))
    return True


def obstacle(record: Record, value: Any, name: str, judge: Judge) -> str | None:
    """Return the method that would run for `value` or anything in it; None, with all content noted, when there is none.

    A container met twice is looked at twice, as it would be in the operation itself; one that holds itself, once.
    """
    pending: list[tuple[Any, bool]] = [(value, False)]
    above: set[int] = set()
    while pending:
        one, is_done = pending.pop()
        if is_done:
            above.discard(id(one))
            continue
        record.spend(1)
        kind = type(one)
        if kind in SCALARS or id(one) in above:
            continue
        method = judge(kind)
        if method is not None:
            return method
        note_content(record, one, name)
        items = list(_items(one))
        if SCALARS.covers(items):
            record.spend(len(items))
            continue
        above.add(id(one))
        pending.append((one, True))
        pending.extend((inner, False) for inner in items)
    return None


def note_content(record: Record, value: Any, name: str) -> Any:
    """Note the content of a builtin container that can change, or of what a view shows; return what to read."""
    kind = type(value)
    if kind in SCALARS or kind is tuple:
        return value
    if kind in VIEWS:
        record.content(static.referent(value), name)
        return value
    return value if content.source_of(value) is None else record.content(value, name)


def _items(value: Any) -> Iterable[Any]:
    """Return the items of a builtin container or a subclass, as its own methods in C see them."""
    kind = type(value)
    for base in (list, tuple, set, frozenset, deque):
        if static.has_base(kind, base):
            return list(static.each(base, value))
    if static.has_base(kind, dict):
        return [*dict.keys(value), *dict.values(value)]
    if kind in VIEWS:
        return _items(static.referent(value))
    if kind is slice:
        return (value.start, value.stop, value.step)
    return ()


def hashing_method(values: Iterable[Any]) -> str | None:
    """Return the method that would run to make a set of `values`; None when that runs no code of the program's."""
    pending = list(values)
    if SCALARS.covers(pending):
        return None
    while pending:
        value = pending.pop()
        kind = type(value)
        base = static.definer(kind, "__hash__")
        if base is not None and base not in _HASHING and not is_leaf(base):
            return f"{class_name(base)}.__hash__"
        if not is_plain(value):
            return comparing_method(kind) or f"{class_name(kind)}.__eq__"
        if static.has_base(kind, tuple):
            pending.extend(tuple.__iter__(value))
    return None
