"""The C module's records as events, and the checks by which it compares each kind of cell."""

from __future__ import annotations

from stopwhen import deltas, env, memory, static
from stopwhen.cells import (
    Attributes,
    Blocks,
    Calls,
    Cell,
    Closure,
    Content,
    DictItem,
    Frame,
    Layout,
    ListItem,
    Local,
    Opaque,
    Slot,
)
from stopwhen.content import Kind, source_of
from stopwhen.event import Born, Called, Delta, Ended, Event, Items, Judged, Read, Rebound, Spliced, Unknown, Written
from stopwhen.immutable import Immutable
from stopwhen.mechanisms.comprehensions import borrowed_ranges
from stopwhen.originals import sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable

    from stopwhen.evaluation import Evaluation

# The same values as in _core/state.h.
REBOUND, SPLICED, WHOLE, ITEM, UNKNOWN, ENDED, CALLED, WRITTEN, READ, BORN, HIT = range(11)
# The same values as in _core/content.h.
(
    CHECK_LIST, CHECK_SET, CHECK_DICT, CHECK_DICT_ITEM, CHECK_BYTES, CHECK_MEMORY, CHECK_SEQUENCE, CHECK_LIST_ITEM,
    CHECK_SLOT, CHECK_LOCAL, CHECK_CLOSURE, CHECK_CALL, CHECK_FRAME, CHECK_RESULT, CHECK_OBJECTS,
    CHECK_LAYOUT, CHECK_LINKS,
) = range(17)  # fmt: skip

INTERPOSE = "interpose"
"""The name of the mechanism by which containers tell of their changes: their checks are not compared else."""

_CHECKS_OF_CONTENT = {
    Kind.ITEMS: CHECK_LIST,
    Kind.ENTRIES: CHECK_DICT,
    Kind.MEMBERS: CHECK_SET,
    Kind.BYTES: CHECK_BYTES,
    Kind.QUEUE: CHECK_SEQUENCE,
    Kind.MEMORY: CHECK_MEMORY,
    Kind.OBJECTS: CHECK_OBJECTS,
    Kind.WRITTEN: CHECK_RESULT,
}


class Token(Immutable, eq=False):
    """What the C module hands back with each record of a cell."""

    cell: Cell
    mechanism: str


class PartToken(Immutable, eq=False):
    """As a token, for a cell that belongs to an instance of a class: what is told of it without a hold on its owner."""

    name: str
    kind: type[DictItem | Content | Layout | ListItem | Slot]
    extra: Any
    mechanism: str

    def cell(self, owner: Any) -> Cell:
        """Return the cell, which `owner` holds."""
        if issubclass(self.kind, Content | Layout):
            return self.kind(self.name, owner)
        return self.kind(self.name, owner, self.extra)


def events_of(records: list[tuple[Any, ...]]) -> list[Event]:
    """Return the records of `_core.take()` as events, in the same order; those that turn out empty are left out."""
    events = []
    for token, kind, data, thread_id, frame, stack, other, several, own, by in records:
        cell, mechanism, instance, heard_by = _about(token, kind, data)
        delta = delta_of(cell, kind, data)
        if delta is not None:
            where = thread_id, frame, stack, other
            events.append(Event(cell, delta, *where, mechanism, bool(own), bool(several), instance, heard_by, by))
    return events


def cell_of(token: Any) -> Cell:
    """Return the cell whose readers records of `token` are for."""
    cell: Cell = token.cell if type(token) is not tuple else token[0].cell
    return cell


def _about(token: Any, kind: int, data: Any) -> tuple[Cell, str, Any, Cell | None]:
    """Return the cell and mechanism of a record, and the instance and the readers that it is about."""
    if type(token) is not tuple:
        return token.cell, token.mechanism, data if kind == BORN else None, None
    scope, instance, part, owner = token
    if part is None:
        return Layout("self", instance), scope.mechanism, instance, scope.cell
    return part.cell(owner), part.mechanism, instance, scope.cell


def delta_of(cell: Cell, kind: int, data: Any) -> Delta | None:
    """Return the delta that a record of `kind` carries in `data`; None where there is no difference after all."""
    if kind == REBOUND:
        return deltas.relaid(*data) if isinstance(cell, Layout) else Rebound(*data)
    if kind == SPLICED:
        owner = cell.owner  # type: ignore[attr-defined] # only Content cells come with items
        is_memory = type(data[1]) is bytes and not static.is_a(owner, bytearray)
        return deltas.of_memory(owner, *data) if is_memory else Spliced(*data)
    if kind == ITEM:
        key, old, new, length = data
        return Items(((key, old, new),), length, isinstance(cell, Attributes))
    if kind == WHOLE:
        return whole_delta(cell, *data)
    if kind == HIT:
        return Judged(*data)
    if kind == UNKNOWN and isinstance(cell, Blocks):
        return deltas.restructured(cell)
    return _PLAIN[kind]()


_PLAIN: dict[int, type[Unknown | Ended | Called | Written | Read | Born]] = {
    UNKNOWN: Unknown,
    ENDED: Ended,
    CALLED: Called,
    WRITTEN: Written,
    READ: Read,
    BORN: Born,
}


def whole_delta(cell: Cell, old: Any, new: Any) -> Delta | None:
    """Return the difference between two whole contents of a set or dict, or two texts; None for none."""
    owner = cell.owner  # type: ignore[attr-defined] # only Content cells come with whole contents
    if type(new) is bytes or type(new) is str:
        return deltas.spliced_text(old, new) if old != new else None
    if static.is_a(owner, set):
        return deltas.members(old, new)
    return deltas.items(_pairs(old), _pairs(new), attributes=isinstance(cell, Attributes))


def _pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def check_of(token: Token) -> Any:
    """Return the C module's check for the cell of `token`, not armed."""
    if isinstance(token.cell, Calls):
        return _CallsNoted(token.cell, token)
    kind = kind_of(token.cell)
    assert kind is not None, "only cells that the mechanism claims are armed"
    return env.core.Check(*kind, token, token.mechanism == INTERPOSE)


class _CallsNoted:
    """As a check, for the calls of a function."""

    def __init__(self, cell: Calls, token: Token) -> None:
        self._function = cell.owner
        self._token = token

    def arm(self) -> None:
        env.core.arm_calls(self._function, self._token)
        if env.HAS_MONITORING:
            bring_back_starts()

    def disarm(self) -> None:
        env.core.disarm_calls(self._function)


def bring_back_starts(*, unread: bool = False) -> None:
    """Have an event when code starts, also where it had nothing of interest and its start was disabled.

    With `unread`, that matters only for code of which nothing is known.
    """
    if env.core.restart_starts(not unread):
        sys.monitoring.restart_events()


def kind_of(cell: Cell) -> tuple[int, Any, Any] | None:
    """Return kind, owner and extra of a check for `cell`; None where there is no kind for it."""
    match cell:
        case Content():
            return _content_kind(cell.owner)
        case DictItem():
            return CHECK_DICT_ITEM, cell.owner, cell.key
        case ListItem():
            return CHECK_LIST_ITEM, cell.owner, cell.index
        case Slot():
            return CHECK_SLOT, cell.owner, cell.descriptor
        case Local():
            return CHECK_LOCAL, cell.owner, (cell.variable, *borrowed_ranges(cell.owner.code, cell.variable))
        case Frame():
            return CHECK_FRAME, cell.owner, None
        case Blocks():
            return CHECK_LINKS, cell.owner, cell.structure.links
        case Layout():
            return CHECK_LAYOUT, cell.owner, None
        case Closure():
            return CHECK_CLOSURE, cell.owner, None
        case Opaque():
            return CHECK_CALL, comparing(cell.owner), cell.owner.shortcut
    return None


def _content_kind(owner: Any) -> tuple[int, Any, Any] | None:
    source = source_of(owner)
    if sys.platform != "linux" and memory.is_mapped(owner):
        return None  # the C module knows nowhere else whether there is anything behind it
    return None if source is None else (_CHECKS_OF_CONTENT[source.kind], owner, source.reader)


def comparing(evaluation: Evaluation) -> Callable[[], bool]:
    """Return a function that evaluates again and returns whether there is something to tell of."""
    seen = evaluation()

    def has_changed() -> bool:
        nonlocal seen
        differs, seen = evaluation.differs_from(seen)
        return differs

    return has_changed
