"""Accesses in pure Python: each instruction is looked at before it runs, for what it is about to store or read."""

from __future__ import annotations

from types import CellType

from stopwhen import frames, static
from stopwhen.mechanisms import operands, sites
from stopwhen.mechanisms.armed import READ, WRITE, Armed
from stopwhen.mechanisms.callees import touches
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, FrameType

    from stopwhen.cells import Cell, Local
    from stopwhen.mechanisms.sites import Site
    from stopwhen.types import AccessType


class Begun:
    """A store that an instruction of `frame` has begun: what it stores to is written once the one behind is reached.

    Attributes:
        frame: the frame.
        offset: of the instruction.
        behind: of the next one.
        cells: what it stores to, less what has been reported as changed meanwhile.
    """

    __slots__ = ("behind", "cells", "frame", "offset")

    def __init__(self, frame: FrameType, offset: int, behind: int, cells: list[Cell]) -> None:
        self.frame = frame
        self.offset = offset
        self.behind = behind
        self.cells = cells


class Accesses:
    """What recheck in pure Python knows of stores and reads to come."""

    def __init__(self) -> None:
        self._armed = Armed()
        self._begun: dict[int, list[Begun]] = {}
        self._sites: dict[int, tuple[CodeType, dict[int, Site]]] = {}

    def __bool__(self) -> bool:
        return bool(self._armed)

    def arm(self, cell: Cell, access: AccessType) -> None:
        """See accesses to `cell` from now on."""
        self._armed.add(cell, access)

    def disarm(self, cell: Cell, access: AccessType) -> None:
        """See them no more."""
        self._armed.remove(cell, access)
        if not self._armed:
            self._begun.clear()
            self._sites.clear()

    def saw_change(self, cell: Cell) -> None:
        """Take note that a change of `cell` has been reported: the store that made it is not to be reported again."""
        for begun in self._begun.values():
            for one in begun:
                if cell in one.cells:
                    one.cells.remove(cell)

    def end(self, thread_id: int, frame: FrameType, offset: int) -> tuple[int, list[Cell]]:
        """Return the store that `frame`, now at `offset`, has just done: the offset that did it, and what it wrote."""
        stack = self._begun.get(thread_id)
        if not stack or stack[-1].frame is not frame:
            return -1, []
        begun = stack.pop()
        return (begun.offset, begun.cells) if begun.behind == offset else (-1, [])

    def leave(self, thread_id: int, frame: FrameType) -> None:
        """Forget what `frame` has begun, since it ends."""
        stack = self._begun.get(thread_id)
        while stack and stack[-1].frame is frame:
            stack.pop()

    def begin(self, thread_id: int, frame: FrameType, offset: int) -> list[Cell]:
        """Take note of what the instruction at `offset`, which comes next, stores to; return what it reads."""
        found = self._sites_of(frame.f_code).get(offset)
        if found is None:
            return []
        written, read = _Instruction(self._armed, frame, found).cells()
        if written:
            self._begun.setdefault(thread_id, []).append(Begun(frame, found.offset, found.behind, written))
        return read

    def _sites_of(self, code: CodeType) -> dict[int, Site]:
        """Return the sites of `code` by the offset of which there is an event."""
        known = self._sites.get(id(code))
        if known is None or known[0] is not code:
            known = self._sites[id(code)] = (code, sites.sites_of(code))
        return known[1]


class _Instruction:
    """One instruction about to run."""

    def __init__(self, armed: Armed, frame: FrameType, site: Site) -> None:
        self._armed = armed
        self._frame = frame
        self._offset = site.offset
        self._argument = site.argument
        self._kind = site.kind

    def cells(self) -> tuple[list[Cell], list[Cell]]:
        """Return the cells that it stores to, and those that it reads."""
        site = self._kind
        if site in (sites.CALL, sites.CALL_KEYWORDS, sites.CALL_UNPACKED):
            return self._call(site)
        if site == sites.STORE_FAST_LOAD_FAST:
            return self._local(WRITE, self._argument >> 4), self._local(READ, self._argument & 15)
        if site <= sites.IMPORT_STAR:
            return self._stores(site), []
        return [], self._reads(site)

    def _stores(self, site: int) -> list[Cell]:
        frame, armed = self._frame, self._armed
        if site == sites.STORE_NAME:
            return armed.name(WRITE, frames.namespace_of(frame), self._name())
        if site == sites.STORE_GLOBAL:
            return armed.name(WRITE, frame.f_globals, self._name())
        if site == sites.STORE_FAST:
            return self._local(WRITE, self._argument)
        if site == sites.STORE_FAST_TWICE:
            return [*self._local(WRITE, self._argument >> 4), *self._local(WRITE, self._argument & 15)]
        if site == sites.STORE_DEREF:
            return self._shared(WRITE, frames.variable(frame, self._argument))
        return self._stores_by_stack(site)

    def _stores_by_stack(self, site: int) -> list[Cell]:
        armed = self._armed
        if site == sites.STORE_ATTRIBUTE:
            (owner,) = self._operands(1)
            return armed.attribute(WRITE, owner, self._name(), by_class=True)
        if site == sites.STORE_ITEM:
            owner, key = self._operands(2)
            return armed.item(WRITE, owner, key, by_class=True)
        if site == sites.STORE_SLICE:
            owner, start, stop = self._operands(3)
            return armed.item(WRITE, owner, slice(start, stop), by_class=True)
        if site == sites.IN_PLACE:
            owner, other = self._operands(2)
            return armed.in_place(owner, other, sites.operator_of(self._argument))
        (module,) = self._operands(1)
        return armed.star(frames.namespace_of(self._frame), module)

    def _reads(self, site: int) -> list[Cell]:
        frame, armed = self._frame, self._armed
        if site in (sites.LOAD_NAME, sites.LOAD_GLOBAL):
            namespaces = [frames.namespace_of(frame)] if site == sites.LOAD_NAME else []
            return self._from_first(*namespaces, frame.f_globals, frame.f_builtins)
        if site == sites.LOAD_FAST:
            return self._local(READ, self._argument)
        if site == sites.LOAD_FAST_TWICE:
            return [*self._local(READ, self._argument >> 4), *self._local(READ, self._argument & 15)]
        if site == sites.LOAD_DEREF:
            return self._closure(frames.variable(frame, self._argument))
        if site in (sites.LOAD_ATTRIBUTE, sites.IMPORT_FROM):
            (owner,) = self._operands(1)
            return armed.attribute(READ, owner, self._name(), by_class=True)
        if site == sites.LOAD_ITEM:
            owner, key = self._operands(2)
            return armed.item(READ, owner, key, by_class=True)
        if site == sites.LOAD_SLICE:
            owner, start, stop = self._operands(3)
            return armed.item(READ, owner, slice(start, stop), by_class=True)
        if site == sites.LOAD_SUPER:
            _, start, owner = self._operands(3)
            return armed.super_attribute(start, owner, self._name())
        return self._from_class_body(site)

    def _from_class_body(self, site: int) -> list[Cell]:
        """Return the cells of a name that a class body, or an annotation in it, looks up there first."""
        if site == sites.LOAD_FROM_DICT_OR_GLOBAL:
            (namespace,) = self._operands(1)
            return self._from_first(namespace, self._frame.f_globals, self._frame.f_builtins)
        name = frames.names_of_variables(self._frame.f_code)[self._argument]
        namespace = self._frame.f_locals if sites.LOOKS_IN_CLASS_ITSELF else self._operands(1)[0]
        if static.is_a(namespace, dict) and dict.__contains__(namespace, name):
            return self._armed.name(READ, namespace, name)
        return self._closure(frames.variable(self._frame, self._argument))

    def _from_first(self, *namespaces: Any) -> list[Cell]:
        """Return the cells of a name in the first of `namespaces` that has it."""
        name = self._name()
        for namespace in namespaces:
            if not static.is_a(namespace, dict):
                return []
            if dict.__contains__(namespace, name):
                return self._armed.name(READ, namespace, name)
        return []

    def _local(self, access: AccessType, index: int) -> list[Cell]:
        if access is READ and frames.variable(self._frame, index) is frames.EMPTY:
            return []
        name = frames.names_of_variables(self._frame.f_code)[index]
        return self._armed.local(access, self._frame, name, self._offset)

    def _closure(self, shared: Any) -> list[Cell]:
        """Return the cells of a variable that functions share, if reading it finds a value."""
        if type(shared) is not CellType:
            return []
        try:
            _ = shared.cell_contents
        except ValueError:
            return []
        return self._shared(READ, shared)

    def _shared(self, access: AccessType, shared: Any) -> list[Cell]:
        """Return the cells of a cell object; without the C module a variable of a frame is known as its local only."""
        same = [cell for cell in self._armed.locals(access) if _cell_object(cell) is shared]
        return [*self._armed.closure(access, shared), *same]

    def _call(self, site: int) -> tuple[list[Cell], list[Cell]]:
        callee, arguments, keywords = self._unpacked() if site == sites.CALL_UNPACKED else self._called(site)
        written: list[Cell] = []
        read: list[Cell] = []
        for touch in touches(callee, arguments, keywords):
            found = read if touch.access is READ else written
            found += [cell for cell in self._armed.touched(touch) if cell not in found]
        return written, read

    def _called(self, site: int) -> tuple[Any, list[Any], tuple[str, ...]]:
        """Return what is called, the positional arguments, and the names of the others."""
        has_keywords = site == sites.CALL_KEYWORDS
        first, second, *arguments = self._operands(self._argument + 2 + has_keywords)
        keywords = arguments.pop() if has_keywords else sites.keywords_before(self._frame.f_code, self._offset)
        if type(keywords) is not tuple:  # the depth of the stack is not known
            return None, [], ()
        callee, owner = first, second
        if first is frames.EMPTY:  # until 3.12, where no method is called
            callee, owner = second, first
        del arguments[len(arguments) - len(keywords) :]
        return callee, arguments if owner is frames.EMPTY else [owner, *arguments], keywords

    def _unpacked(self) -> tuple[Any, list[Any], Sequence[str]]:
        """As `_called`, for `f(*arguments, **keywords)`."""
        items = self._operands(sites.unpacked_size(self._argument))
        callee, arguments, keywords = sites.split_unpacked(items, self._argument)
        positional = list(arguments) if type(arguments) in (tuple, list) else []
        return callee, positional, list(keywords) if type(keywords) is dict else ()

    def _name(self) -> str:
        code = self._frame.f_code
        return code.co_names[self._argument >> sites.shift_at(code, self._offset)]

    def _operands(self, count: int) -> list[Any]:
        found = operands.operands(self._frame, self._offset, count)
        return [frames.EMPTY] * count if found is None else found  # nothing that is watched


def _cell_object(cell: Local) -> Any:
    frame = cell.owner.frame
    if frame is None:
        return frames.EMPTY
    return frames.variable(frame, frames.names_of_variables(frame.f_code).index(cell.variable))
