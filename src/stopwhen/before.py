"""What a condition knows of a change: the values before and after it, and what came and went.

Nothing is kept between changes for that. What a container had before a change in place is worked out when a condition
asks for it: a copy of what it has now, on which the change is undone.
"""

from __future__ import annotations

from collections import ChainMap, deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, ModuleType, SimpleNamespace

from stopwhen import deltas, memory, static, tables, values
from stopwhen.cells import Cell, Slot
from stopwhen.event import Delta, Items, Members, Rebound, Relaid, Spliced, Written
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import Any, Protocol
from stopwhen.types import ABSENT

use_original_builtins(globals())

MOST_COPIED = 100_000
"""How many items are copied for a condition at the most."""

MOST_LEVELS = 100
"""How many levels of containers within containers are copied at the most."""


class UnknownContentError(LookupError):
    """What a container had before cannot be worked out."""


class Transition(Protocol):
    """One step of a watch expression from a value to the next."""

    @property
    def old(self) -> Any:
        """The value before; after a change in place, a copy with the content of that time."""

    @property
    def new(self) -> Any:
        """The value after."""

    @property
    def removed(self) -> Any:
        """What went: items of a sequence or set; of a dict or object, keys or names with their values."""

    @property
    def added(self) -> Any:
        """What came, likewise."""


class Replaced:
    """A step to another value."""

    __slots__ = ("new", "old")

    def __init__(self, old: Any, new: Any) -> None:
        self.old = old
        self.new = new

    @property
    def removed(self) -> Any:
        """What only the old value has, where both are containers of one kind."""
        return _difference(_delta_of(self.old, self.new))[0]

    @property
    def added(self) -> Any:
        """What only the new value has."""
        return _difference(_delta_of(self.old, self.new))[1]


class ChangedInPlace:
    """A step of a value that stays the same object: some of its content is other than before.

    Args:
        value: that object.
        depth: how far its content is watched.
        cell: what changed.
        delta: how.
        later: returns what has changed in its content since, in order, as cells and deltas.
    """

    __slots__ = ("_cell", "_delta", "_depth", "_later", "_value")

    def __init__(
        self,
        value: Any,
        depth: int | str,
        cell: Cell,
        delta: Delta,
        later: Callable[[], Sequence[tuple[Cell, Delta]]],
    ) -> None:
        self._value = value
        self._depth = depth
        self._cell = cell
        self._delta = delta
        self._later = later

    @property
    def old(self) -> Any:
        """A copy with the content before; the value itself where nothing but a store of the same value has happened."""
        if isinstance(self._delta, Written):
            return self.new
        return self._as_of(lambda later: [(self._cell, self._delta), *later])

    @property
    def new(self) -> Any:
        """The value itself; when it has changed once more by now, a copy with the content after this change."""
        return self._value if not self._later() else self._as_of(lambda later: later)

    @property
    def removed(self) -> Any:
        """What went from the part that changed."""
        return _difference(self._delta)[0]

    @property
    def added(self) -> Any:
        """What came into the part that changed."""
        return _difference(self._delta)[1]

    def _as_of(self, undone: Callable[[list[tuple[Cell, Delta]]], list[tuple[Cell, Delta]]]) -> Any:
        while True:
            later = list(self._later())
            copied = content_before(self._value, self._depth, undone(later))
            if len(self._later()) == len(later):  # or another thread has changed it while it was copied
                return copied


def content_before(value: Any, depth: int | str, changes: Sequence[tuple[Cell, Delta]]) -> Any:
    """Return a copy of `value`, `depth` levels deep, with the content that it had before `changes`, the latest last.

    Containers are copied as the builtin type that they are or derive from, objects as namespaces of their attributes.

    Raises:
        UnknownContentError: it cannot be told, or there is too much of it.
    """
    by_owner: dict[int, list[Delta]] = {}
    slots: dict[tuple[int, int], Any] = {}
    for cell, delta in reversed(changes):
        owner = getattr(cell, "owner", None)
        if isinstance(cell, Slot) and isinstance(delta, Rebound):
            slots[id(owner), id(cell.descriptor)] = delta.old
        elif isinstance(delta, Relaid):
            by_owner.setdefault(id(static.instance_dict(owner)), []).append(delta.shown)
        else:
            by_owner.setdefault(id(owner), []).append(delta)
    copier = _Copier(by_owner, slots)
    copied = copier.copy(value, MOST_LEVELS if depth == "all" else min(max(int(depth), 1), MOST_LEVELS))
    if by_owner or slots:
        raise UnknownContentError("what changed is no content that can be copied: old is not known")
    return copied


class _Copier:
    """Makes one copy, undoing the changes of each part in it; what it has undone it takes out of the mappings."""

    def __init__(self, by_owner: dict[int, list[Delta]], slots: dict[tuple[int, int], Any]) -> None:
        self._by_owner = by_owner
        self._slots = slots
        self._copies: dict[int, Any] = {}
        self._left = MOST_COPIED

    def copy(self, value: Any, levels: int) -> Any:
        kind = type(value)
        if levels <= 0 or kind in values.SCALARS:
            return value
        if id(value) in self._copies:
            return self._copies[id(value)]
        if kind in values.VIEWS or kind is MappingProxyType:
            return _view_of(kind, self.copy(static.referent(value), levels))
        if static.has_base(kind, values.ENVIRON):
            return self._environment(value, levels)
        for wrapper, attribute in values.WRAPPERS:
            if static.has_base(kind, wrapper):
                return self.copy(dict.get(static.instance_dict(value) or {}, attribute), levels)
        if static.has_base(kind, ChainMap):
            raise UnknownContentError("the content of a ChainMap is not copied: old is not known")
        return self._container(value, kind, levels)

    def _container(self, value: Any, kind: type, levels: int) -> Any:
        if static.has_base(kind, dict):
            return self._dict(value, levels)
        if static.has_base(kind, list):
            return self._sequence(value, list.copy(value), levels)
        if static.has_base(kind, deque):
            items: deque[Any] = deque(static.each(deque, value))
            return deque(self._sequence(value, list(items), levels), deque.maxlen.__get__(value))
        if static.has_base(kind, set):
            return self._set(value)
        if kind is tuple:
            return tuple(self._items(list(value), levels))
        if static.has_base(kind, bytearray):
            return self._undone(value, bytearray(memoryview(value)), _undo_in_bytes)
        if memory.is_array(kind):
            array = static.loaded_class("array", "array")
            copied = array(array.typecode.__get__(value), memoryview(value).tobytes())
            return self._undone(value, copied, _undo_in_array)
        if memory.is_numpy_array(kind):
            make = static.loaded_class("numpy", "array")
            return self._undone(value, make(value, copy=True, subok=False), _undo_in_numpy)
        return self._object(value, kind, levels)

    def _undone(self, owner: Any, copied: Any, undo: Callable[[Any, Delta], Any]) -> Any:
        """Return `copied` with all changes of `owner` undone, the latest first."""
        self._left -= copied.size if memory.is_numpy_array(type(copied)) else len(copied)
        if self._left < 0:
            raise UnknownContentError(f"more than {MOST_COPIED:,} items are not copied: old is not known")
        for delta in self._by_owner.pop(id(owner), ()):
            if not isinstance(delta, Written):
                copied = undo(copied, delta)
        self._copies[id(owner)] = copied
        return copied

    def _items(self, items: list[Any], levels: int) -> list[Any]:
        items[:] = [self.copy(one, levels - 1) for one in items]
        return items

    def _sequence(self, owner: Any, items: list[Any], levels: int) -> list[Any]:
        undone: list[Any] = self._undone(owner, items, _undo_in_list)
        return self._items(undone, levels)

    def _set(self, owner: Any) -> set[Any]:
        members: set[Any] = set()
        undone: set[Any] = self._undone(owner, members.union(owner), _undo_in_set)
        return undone

    def _dict(self, owner: dict[Any, Any], levels: int) -> dict[Any, Any]:
        undone: dict[Any, Any] = self._undone(owner, dict.copy(owner), _undo_in_dict)
        for key, one in list(undone.items()) if levels > 1 else ():
            undone[key] = self.copy(one, levels - 1)
        return undone

    def _environment(self, value: Any, levels: int) -> dict[str, str]:
        """Return what `os.environ` shows, which keeps bytes."""
        stored = self.copy(dict.get(static.instance_dict(value) or {}, "_data"), levels)
        return {_decoded(key): _decoded(one) for key, one in stored.items()}

    def _object(self, value: Any, kind: type, levels: int) -> Any:
        """Return a namespace of what an object, a class or a module has for attributes; itself where it has none."""
        if static.is_a(value, type):
            attributes: Any = static.type_dict(value)
        elif static.is_a(value, ModuleType):
            attributes = static.module_dict(value)
        else:
            attributes = static.instance_dict(value)
        own_slots = list(static.slots(kind))
        if (attributes is None and not own_slots) or tables.is_table(value):
            return value
        shown = self._copies[id(value)] = SimpleNamespace()
        if attributes is not None:
            found = self._undone(attributes, dict(attributes), _undo_in_dict)
            vars(shown).update((name, one) for name, one in found.items() if type(name) is str)
        for name, descriptor in own_slots:
            held = self._slots.pop((id(value), id(descriptor)), _NOT_CHANGED)
            vars(shown)[name] = static.slot_value(value, descriptor) if held is _NOT_CHANGED else held
        for name, one in list(vars(shown).items()):
            if one is ABSENT:
                del vars(shown)[name]
            elif levels > 1:
                vars(shown)[name] = self.copy(one, levels - 1)
        return shown


_NOT_CHANGED = object()


def _decoded(stored: Any) -> str:
    return stored.decode("utf-8", "surrogateescape") if type(stored) is bytes else str(stored)


def _view_of(kind: type, copied: Any) -> Any:
    if kind in values.KEY_VIEWS:
        return copied.keys()
    if "values" in kind.__name__:
        return copied.values()
    return copied.items() if "items" in kind.__name__ else copied


def _unknown() -> UnknownContentError:
    return UnknownContentError("how it changed is not known in detail: old is not known")


def _undo_in_list(items: list[Any], delta: Delta) -> list[Any]:
    if not isinstance(delta, Spliced):
        raise _unknown()
    items[delta.start : delta.start + len(delta.inserted)] = delta.removed
    return items


def _undo_in_bytes(copied: bytearray, delta: Delta) -> bytearray:
    if not isinstance(delta, Spliced):
        raise _unknown()
    copied[delta.start : delta.start + len(delta.inserted)] = bytes(delta.removed)
    return copied


def _undo_in_array(copied: Any, delta: Delta) -> Any:
    if not isinstance(delta, Spliced) or type(delta.removed) is bytes:
        raise _unknown()
    part = type(copied)(copied.typecode, delta.removed)
    copied[delta.start : delta.start + len(delta.inserted)] = part
    return copied


def _undo_in_numpy(copied: Any, delta: Delta) -> Any:
    if not isinstance(delta, Spliced) or len(delta.removed) != len(delta.inserted) or type(delta.removed) is bytes:
        raise _unknown()
    copied.reshape(-1)[delta.start : delta.start + len(delta.inserted)] = list(delta.removed)
    return copied


def _undo_in_set(members: set[Any], delta: Delta) -> set[Any]:
    if not isinstance(delta, Members):
        raise _unknown()
    members.difference_update(delta.added)
    members.update(delta.removed)
    return members


def _undo_in_dict(items: dict[Any, Any], delta: Delta) -> dict[Any, Any]:
    if not isinstance(delta, Items):
        raise _unknown()
    for key, old, _ in delta.changes:
        if old is ABSENT:
            items.pop(key, None)
        else:
            items[key] = old
    return items


# What came and went.


def _delta_of(old: Any, new: Any) -> Delta | None:
    """Return the difference between two containers of one kind; None for all else."""
    for base in (list, tuple, deque):
        if static.is_a(old, base) and static.is_a(new, base):
            return deltas.spliced(list(static.each(base, old)), list(static.each(base, new)))
    for unordered in (set, frozenset):
        if static.is_a(old, unordered) and static.is_a(new, unordered):
            return deltas.members(list(static.each(unordered, old)), list(static.each(unordered, new)))
    if static.is_a(old, dict) and static.is_a(new, dict):
        return deltas.items(list(dict.items(old)), list(dict.items(new)))
    return None


def _difference(delta: Delta | None) -> tuple[Any, Any]:
    """Return what went and what came."""
    match delta:
        case Relaid(shown=shown):
            return _difference(shown)
        case Rebound(old=old, new=new):
            return _difference(_delta_of(old, new))
        case Members(removed=removed, added=added):
            return set(removed), set(added)
        case Items(changes=changes):
            return _keys_that_went(changes)
        case Spliced(removed=removed, inserted=inserted):
            if isinstance(removed, bytes | bytearray):
                return bytes(removed), bytes(inserted)
            return _without(removed, inserted), _without(inserted, removed)
    return (), ()


def _keys_that_went(changes: Sequence[tuple[Any, Any, Any]]) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
    removed = {key: old for key, old, new in changes if new is ABSENT}
    return removed, {key: new for key, old, new in changes if old is ABSENT}


def _without(items: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Return those of `items` that are not among `others`, each as often as that: what only moved has not gone."""
    counts: dict[Any, int] = {}
    for one in others:
        counts[_key_of(one)] = counts.get(_key_of(one), 0) + 1
    left = []
    for one in items:
        key = _key_of(one)
        if counts.get(key, 0):
            counts[key] -= 1
        else:
            left.append(one)
    return left


def _key_of(value: Any) -> Any:
    return (type(value), value) if values.is_simple(value) else (object, id(value))
