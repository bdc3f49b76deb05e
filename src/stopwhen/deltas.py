"""The difference between two contents as a delta, found without running user code."""

from __future__ import annotations

from stopwhen import memory, static, tables, values
from stopwhen.cells import Attributes, Closure, Content, Slot
from stopwhen.event import Delta, Ended, Items, Members, Rebound, Relaid, Spliced, Unknown
from stopwhen.originals import use_original_builtins
from stopwhen.static import TypeSet
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import ABSENT

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stopwhen.cells import Blocks, Cell


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


def spliced_text(old: Any, new: Any) -> Spliced:
    """As `spliced`, for two texts or two strings of bytes."""
    length = min(len(old), len(new))
    start = alike(lambda a, b: bool(old[a:b] == new[a:b]), length)
    ends = len(old), len(new)
    tail = alike(lambda a, b: bool(old[ends[0] - b : ends[0] - a] == new[ends[1] - b : ends[1] - a]), length - start)
    return Spliced(start, old[start : ends[0] - tail], new[start : ends[1] - tail], ends[1])


def alike(is_alike: Callable[[int, int], bool], most: int) -> int:
    """Return how far two strings are alike, by halving."""
    low = 0
    while low < most:
        middle = (low + most + 1) // 2
        if is_alike(low, middle):
            low = middle
        else:
            most = middle - 1
    return low


def of_memory(owner: Any, start: int, old: bytes, new: bytes, length: int) -> Delta:
    """Return what it means that in the memory of `owner` the bytes `old`, from item `start` on, gave way to `new`."""
    before, after = memory.fields_in(owner, old), memory.fields_in(owner, new)
    if before is not None and after is not None:
        changes = [
            (name, value, other)
            for (name, value), (_, other) in zip(before, after, strict=True)
            if not _same_field(value, other)
        ]
        return Items(tuple(changes), len(after), attributes=True) if changes else Unknown()
    removed, inserted = memory.items_in(owner, old), memory.items_in(owner, new)
    elementwise = len(old) == len(new) and type(removed) is not bytes
    return Spliced(start, removed, inserted, length, memory.shape_of(owner), elementwise)


def _same_field(old: Any, new: Any) -> bool:
    if type(old) in values.SCALARS or type(old) is memory.Address:
        return values.same(old, new) if type(old) is not memory.Address else int(old) == int(new)
    return memory.bytes_of(old) == memory.bytes_of(new)


def of_memories(owner: Any, old: bytes, new: bytes) -> Delta | None:
    """Return the difference between all the bytes that `owner` had and has; None for none."""
    if old == new:
        return None
    size = max(memory.item_size(owner), 1)
    splice = spliced_text(old, new)
    start = splice.start // size
    tail = (min(len(old), len(new)) - splice.start - min(len(splice.removed), len(splice.inserted))) // size * size
    return of_memory(
        *(owner, start, old[start * size : len(old) - tail], new[start * size : len(new) - tail], len(new) // size)
    )


def relaid(old: tuple[Any, ...], new: tuple[Any, ...]) -> Relaid:
    """Return the difference between two layouts of an object, which are not the same."""
    before, after = old[2], new[2]
    if type(before) is dict and type(after) is dict and before is not after and old[0] is new[0]:
        found = items(list(before.items()), list(after.items()), attributes=True)
        return Relaid(old, new, Rebound(after, after) if found is None or not found.changes else found)
    return Relaid(old, new, Rebound(old[0], new[0]))


def restructured(cell: Blocks) -> Delta:
    """Return what it means that a table is made of other objects than those of `cell`, maybe with the same values."""
    is_only_moved = cell.structure.has_content_of(tables.Structure(cell.owner))
    return Rebound(cell.owner, cell.owner) if is_only_moved else Unknown()


def members(old: Sequence[Any], new: Sequence[Any]) -> Members | None:
    """Return which members a set lost and gained, by identity; None for none."""
    before = {id(member): member for member in old}
    after = {id(member): member for member in new}
    removed = tuple(member for key, member in before.items() if key not in after)
    added = tuple(member for key, member in after.items() if key not in before)
    return Members(removed, added, len(after)) if removed or added else None


def items(old: Sequence[tuple[Any, Any]], new: Sequence[tuple[Any, Any]], *, attributes: bool = False) -> Items | None:
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
    return Items(tuple(changes), len(after), attributes)


_KEYS = TypeSet(str, int, bytes)


def _key_of(key: Any) -> Any:
    return (type(key), key) if type(key) in _KEYS else id(key)


def is_change_of(value: Any, cell: Cell, delta: Delta) -> bool:
    """Return whether `delta` of `cell`, content of `value`, is a change that shows there: keys show no values."""
    shows_keys = type(value) in values.KEY_VIEWS and type(cell) is Content and cell.owner is static.referent(value)
    if shows_keys and isinstance(delta, Items) and delta.changes:
        return any(old is ABSENT or new is ABSENT for _, old, new in delta.changes)
    return is_change(delta)


def is_change(delta: Delta) -> bool:
    """Return whether `delta` is more than equal immutables in place of each other; an unknown one is taken for it."""
    match delta:
        case Relaid():
            return is_change(delta.shown)
        case Rebound():
            return not (values.same(delta.old, delta.new) or tables.are_alike(delta.old, delta.new))
        case Spliced():
            return len(delta.removed) != len(delta.inserted) or not all(map(values.same, delta.removed, delta.inserted))
        case Items():
            return not delta.changes or not all(values.same(old, new) for _, old, new in delta.changes)
        case Members():
            return len(delta.removed) != len(delta.added) or not all(map(values.same, delta.removed, delta.added))
        case Ended():
            return False
    return True


def is_of_scalars(cell: Cell, delta: Delta) -> bool:
    """Tell that `delta` of `cell`, content of some value, neither brings nor takes what has content of its own."""
    if type(cell) not in _HOLD_PARTS:
        return False
    match delta:
        case Spliced():
            return _are_scalars(delta.removed) and _are_scalars(delta.inserted)
        case Items():
            return all(map(_are_scalars, delta.changes))
        case Members():
            return _are_scalars(delta.removed) and _are_scalars(delta.added)
        case Rebound():
            return _are_scalars((delta.old, delta.new))
    return False


def _are_scalars(parts: Sequence[Any]) -> bool:
    return type(parts) is bytes or all(type(part) in values.SCALARS or part is ABSENT for part in parts)


_HOLD_PARTS = TypeSet(Content, Attributes, Slot, Closure)
