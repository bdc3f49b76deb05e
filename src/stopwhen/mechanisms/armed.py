"""The cells whose stores or reads are to be reported, found by what is about to be touched; no user code is run."""

from __future__ import annotations

from types import (
    CellType,
    FrameType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)

from stopwhen import static
from stopwhen.cells import Cell, Closure, Content, DictItem, ListItem, Local, Slot
from stopwhen.comparing import is_plain
from stopwhen.mechanisms import callees
from stopwhen.mechanisms.comprehensions import is_borrowed
from stopwhen.mechanisms.sites import IN_PLACE_METHODS
from stopwhen.originals import gc, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import ABSENT, AccessType

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable

    from stopwhen.mechanisms.callees import Touch

WRITE, READ = AccessType.WRITE, AccessType.READ


class Armed:
    """Cells by what owns them, one table for stores and one for reads."""

    def __init__(self) -> None:
        self._written: dict[int, list[Cell]] = {}
        self._read: dict[int, list[Cell]] = {}

    def __bool__(self) -> bool:
        return bool(self._written or self._read)

    def add(self, cell: Cell, access: AccessType) -> None:
        """Find `cell` from now on."""
        # Never changed in place: what is added or removed is found by others in the middle of it.
        table = self._table(access)
        table[id(_owner_of(cell))] = [*self._of(access, _owner_of(cell)), cell]

    def remove(self, cell: Cell, access: AccessType) -> None:
        """Find `cell` no more; nothing when it was not there."""
        owner = _owner_of(cell)
        cells = [one for one in self._of(access, owner) if one != cell]
        if cells:
            self._table(access)[id(owner)] = cells
        else:
            self._table(access).pop(id(owner), None)

    def touched(self, touch: Touch) -> list[Cell]:
        """Return the cells that a call touches."""
        owner, key = touch.owner, touch.key
        match touch.kind:
            case callees.CONTENT:
                return self.content(owner)
            case callees.WHOLE:
                return [cell for cell in self._of(WRITE, owner) if isinstance(cell, Content | ListItem)]
            case callees.ITEM:
                return self.item(touch.access, owner, key, by_class=touch.by_class)
            case callees.ATTRIBUTE:
                return self.attribute(touch.access, owner, key, by_class=touch.by_class)
            case callees.SLOT:
                return self.slot(touch.access, owner, key)
        return self._items_of(owner, *key)

    def content(self, owner: Any) -> list[Cell]:
        """Return the cell of the content of `owner`, for stores."""
        return [cell for cell in self._of(WRITE, owner) if isinstance(cell, Content)]

    def item(self, access: AccessType, owner: Any, key: Any, *, by_class: bool) -> list[Cell]:
        """Return the cells of `owner[key]`, and of the content where that is stored to.

        Args:
            access: stored to, or read.
            owner: a container.
            key: of the item; a slice covers all items in it.
            by_class: only if the class of `owner` leaves that to C.
        """
        cells = self._of(access, owner)
        if not cells or (by_class and not _is_in_c(owner, "__setitem__" if access is WRITE else "__getitem__")):
            return []
        if access is READ:
            return [cell for cell in cells if _is_item(cell, key) and _is_there(cell)]
        return [cell for cell in cells if isinstance(cell, Content) or _is_item(cell, key)]

    def name(self, access: AccessType, namespace: Any, name: str) -> list[Cell]:
        """Return the cells of a name in a namespace, and of the namespace's content where that is stored to."""
        return self.item(access, namespace, name, by_class=access is WRITE)

    def attribute(self, access: AccessType, owner: Any, name: Any, *, by_class: bool) -> list[Cell]:
        """Return the cells of `owner.name`, and of all attributes of `owner` where that is stored to."""
        if type(name) is not str or not self._table(access):
            return []
        if type(owner) is super and access is READ:
            return self.super_attribute(_start_of(owner), _self_of(owner), name)
        if by_class and not _is_in_c(owner, "__setattr__" if access is WRITE else "__getattribute__"):
            return []
        in_class = static.find(type(owner), name)
        if in_class is not None and static.definer(type(in_class[1]), "__set__") is not None:
            return self._by_descriptor(access, owner, in_class[1], name)
        return self._stored_attribute(owner, name) if access is WRITE else self._read_attribute(owner, name)

    def super_attribute(self, start: Any, owner: Any, name: str) -> list[Cell]:
        """Return the cells that `super(start, owner).name` reads."""
        if not static.is_a(start, type):
            return []
        of_class = static.is_a(owner, type) and static.has_base(owner, start)
        found = False
        for base in static.mro(owner if of_class else type(owner)):
            if found and static.entry(base, name) is not ABSENT:
                return self.item(READ, static.type_dict(base), name, by_class=False) if static.is_mutable(base) else []
            found = found or base is start
        return []

    def in_place(self, owner: Any, other: Any, operator: str) -> list[Cell]:
        """Return the cells that `owner += other`, or the like, stores to in the container itself."""
        if not self._of(WRITE, owner) or not _is_in_c(owner, IN_PLACE_METHODS[operator]):
            return []
        items = self._items_of(owner, (other,), ()) if static.is_a(owner, dict) else []
        return [*self.content(owner), *items]

    def star(self, namespace: Any, module: Any) -> list[Cell]:
        """Return the cells of the names that `from module import *` stores in a namespace."""
        cells = self._of(WRITE, namespace)
        if not cells or not static.is_a(module, ModuleType):
            return []
        names = static.module_dict(module)
        exported = dict.get(names, "__all__", ABSENT)
        if type(exported) not in (list, tuple):
            exported = [name for name in names if type(name) is str and not name.startswith("_")]
        stored = [one for one in exported if type(one) is str]
        return [cell for cell in cells if not isinstance(cell, DictItem) or cell.key in stored]

    def slot(self, access: AccessType, owner: Any, descriptor: Any) -> list[Cell]:
        """Return the cell of what a member descriptor holds for `owner`."""
        cells = self._of(access, owner)
        return [cell for cell in cells if isinstance(cell, Slot) and cell.descriptor is descriptor]

    def local(self, access: AccessType, frame: FrameType, name: str, offset: int) -> list[Cell]:
        """Return the cell of a local variable of `frame`, which is at `offset`."""
        named = (cell for cell in self.locals(access) if cell.variable == name)
        cells: list[Cell] = [cell for cell in named if cell.owner.frame is frame]
        return [] if cells and is_borrowed(frame.f_code, offset, name) else cells

    def closure(self, access: AccessType, shared: Any) -> list[Cell]:
        """Return the cell of what the cell object `shared` of a closure holds."""
        return list(self._of(access, shared))

    def locals(self, access: AccessType) -> list[Local]:
        """Return all local variables."""
        return [cell for cells in list(self._table(access).values()) for cell in cells if isinstance(cell, Local)]

    def _of(self, access: AccessType, owner: Any) -> list[Cell]:
        return self._table(access).get(id(owner), [])

    def _table(self, access: AccessType) -> dict[int, list[Cell]]:
        return self._read if access is READ else self._written

    def _by_descriptor(self, access: AccessType, owner: Any, descriptor: Any, name: str) -> list[Cell]:
        if type(descriptor) is MemberDescriptorType:
            return self.slot(access, owner, descriptor)
        if type(owner) is CellType and name == "cell_contents":
            return self.closure(access, owner)
        # A field of a ctypes structure, say, is content of its owner.
        return self.content(owner) if access is WRITE and _is_in_c(descriptor, "__set__") else []

    def _stored_attribute(self, owner: Any, name: str) -> list[Cell]:
        attributes = static.type_dict(owner) if static.is_a(owner, type) else self._attributes_of(WRITE, owner, name)
        return [] if attributes is None else self.item(WRITE, attributes, name, by_class=False)

    def _read_attribute(self, owner: Any, name: str) -> list[Cell]:
        if static.is_a(owner, type):
            return self._read_from_class(owner, name)
        attributes = self._attributes_of(READ, owner, name)
        if attributes is not None and dict.__contains__(attributes, name):
            return self.item(READ, attributes, name, by_class=False)
        cells = self._read_from_class(type(owner), name)
        return [] if cells and _hides_class_attribute(owner, name) else cells

    def _read_from_class(self, kind: type, name: str) -> list[Cell]:
        base = static.definer(kind, name)
        if base is None or not static.is_mutable(base):
            return []
        return self.item(READ, static.type_dict(base), name, by_class=False)

    def _attributes_of(self, access: AccessType, owner: Any, name: str) -> dict[str, Any] | None:
        """Return the dict in which `owner` keeps its attributes, if the cell of one called `name` is armed there.

        Asking an object for its dict makes it have one from then on: only those are asked that refer to what is in it.
        """
        referents: set[int] | None = None
        for cells in list(self._table(access).values()):
            attributes = getattr(cells[0], "owner", None)
            if type(attributes) is not dict or not any(_is_attribute(cell, name) for cell in cells):
                continue
            if referents is None:
                referents = set(map(id, gc.get_referents(owner)))
            if id(attributes) in referents or referents.issuperset(map(id, dict.values(attributes))):
                found = static.instance_dict(owner)
                if found is attributes:
                    return found
        return None

    def _items_of(self, owner: Any, arguments: Any, keywords: Any) -> list[Cell]:
        """Return the cells of the items of `owner` for which the arguments of `dict.update` have a value."""
        cells = [cell for cell in self._of(WRITE, owner) if isinstance(cell, DictItem)]
        is_given = _given(arguments[0]) if arguments else (lambda _key: False)
        return [cell for cell in cells if cell.key in keywords or is_given(cell.key)]


def _owner_of(cell: Cell) -> Any:
    assert isinstance(cell, DictItem | Content | ListItem | Slot | Local | Closure), "cells with an owner are armed"
    return cell.owner


_start_of = super.__dict__["__thisclass__"].__get__
_self_of = super.__dict__["__self__"].__get__


def _is_in_c(owner: Any, method: str) -> bool:
    """Tell whether the class of `owner` has a `method` in C, which touches what it is asked to."""
    found = static.find(type(owner), method)
    return found is not None and type(found[1]) in (WrapperDescriptorType, MethodDescriptorType)


def _is_item(cell: Cell, key: Any) -> bool:
    """Tell whether `key` leads to `cell` in the container that owns it."""
    if isinstance(cell, DictItem):
        return key is cell.key or (is_plain(key) and type(key) is not slice and bool(key == cell.key))
    if not isinstance(cell, ListItem):
        return False
    length = list.__len__(cell.owner)
    index = cell.index if cell.index >= 0 else cell.index + length
    if type(key) is slice:
        if any(type(part) not in (int, type(None)) for part in (key.start, key.stop, key.step)) or key.step == 0:
            return False
        return index in range(*key.indices(length))
    return type(key) in (int, bool) and index == (key if key >= 0 else key + length)


def _is_attribute(cell: Cell, name: str) -> bool:
    return isinstance(cell, Content) or (isinstance(cell, DictItem) and cell.key == name)


def _is_there(cell: Cell) -> bool:
    """Tell whether a read of the item finds it."""
    if isinstance(cell, DictItem):
        return dict.get(cell.owner, cell.key, ABSENT) is not ABSENT
    assert isinstance(cell, ListItem)
    length = list.__len__(cell.owner)
    return -length <= cell.index < length


def _hides_class_attribute(owner: Any, name: str) -> bool:
    """Tell whether `owner` itself has the attribute `name`, though it has no dict of its own yet."""
    found = static.find(type(owner), name)
    if found is None or static.definer(type(found[1]), "__get__") is not None:
        return False
    try:
        return object.__getattribute__(owner, name) is not found[1]
    except AttributeError:
        return True


def _given(other: Any) -> Callable[[Any], bool]:
    """Return what tells whether `other`, an argument of `dict.update`, has a value for a key."""
    if type(other) is dict:
        return lambda key: any(one is key or (is_plain(one) and one == key) for one in other)
    if type(other) is list or type(other) is tuple:
        pairs = [pair for pair in other if type(pair) in (list, tuple) and len(pair) == 2]
        return lambda key: any(pair[0] is key or (is_plain(pair[0]) and pair[0] == key) for pair in pairs)
    return lambda _key: False
