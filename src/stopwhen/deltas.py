"""The difference between two contents as a delta, found without running user code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stopwhen import values
from stopwhen.event import Delta, Ended, Items, Members, Rebound, Spliced
from stopwhen.static import TypeSet
from stopwhen.types import ABSENT

if TYPE_CHECKING:
    from collections.abc import Sequence


def spliced(old: Sequence[Any], new: Sequence[Any]) -> Spliced:
    """Return what has to be replaced in `old` to make it `new`; items are compared by identity."""
    common = min(len(old), len(new))
    start = 0
    while start < common and old[start] is new[start]:
        start += 1
    tail = 0
    while tail < common - start and old[-1 - tail] is new[-1 - tail]:
        tail += 1
    return Spliced(start, old[start : len(old) - tail], new[start : len(new) - tail], len(new))


def members(old: Sequence[Any], new: Sequence[Any]) -> Members | None:
    """Return which members a set lost and gained, by identity; None for none."""
    before = {id(member): member for member in old}
    after = {id(member): member for member in new}
    removed = tuple(member for key, member in before.items() if key not in after)
    added = tuple(member for key, member in after.items() if key not in before)
    return Members(removed, added, len(after)) if removed or added else None


def items(old: Sequence[tuple[Any, Any]], new: Sequence[tuple[Any, Any]]) -> Items | None:
    """Return which items of a dict changed, by identity; empty changes for another order, None for none."""
    before = {_key_of(key): (key, value) for key, value in old}
    after = {_key_of(key): (key, value) for key, value in new}
    changes = [
        (key, value, after[place][1] if place in after else ABSENT)
        for place, (key, value) in before.items()
        if place not in after or after[place][1] is not value
    ]
    changes += [(key, ABSENT, value) for place, (key, value) in after.items() if place not in before]
    if not changes and list(before) == list(after):
        return None
    return Items(tuple(changes), len(after))


_KEYS = TypeSet(str, int, bytes)


def _key_of(key: Any) -> Any:
    return (type(key), key) if type(key) in _KEYS else id(key)


def is_change(delta: Delta) -> bool:
    """Return whether `delta` is more than equal immutables in place of each other; an unknown one is taken for it."""
    match delta:
        case Rebound():
            return not values.same(delta.old, delta.new)
        case Spliced():
            return len(delta.removed) != len(delta.inserted) or not all(map(values.same, delta.removed, delta.inserted))
        case Items():
            return not delta.changes or not all(values.same(old, new) for _, old, new in delta.changes)
        case Members():
            return len(delta.removed) != len(delta.added) or not all(map(values.same, delta.removed, delta.added))
        case Ended():
            return False
    return True
