"""What cells held when last looked at, and how that differs from what they hold now: for the recheck in pure Python."""

from __future__ import annotations

from stopwhen import deltas, frames, memory, static
from stopwhen.cells import Attributes, Blocks, Cell, Closure, Content, DictItem, Layout, ListItem, Local, Opaque, Slot
from stopwhen.comparing import is_plain
from stopwhen.content import MOST_KEPT
from stopwhen.evaluation import Evaluation
from stopwhen.event import Delta, Rebound, Unknown
from stopwhen.immutable import Immutable
from stopwhen.mechanisms.comprehensions import is_borrowed
from stopwhen.originals import collections, io, operator, use_original_builtins
from stopwhen.type_hints import Any, Final
from stopwhen.types import ABSENT

use_original_builtins(globals())


def snapshot(cell: Cell) -> Any:
    """Return what `cell` holds now, in a form that `has_changed` can compare later."""
    match cell:
        case Content():
            return content_of(cell.owner)
        case DictItem():
            return dict.get(cell.owner, cell.key, ABSENT)
        case ListItem():
            index = cell.index if cell.index >= 0 else cell.index + list.__len__(cell.owner)
            return list.__getitem__(cell.owner, index) if 0 <= index < list.__len__(cell.owner) else ABSENT
        case Slot():
            return static.slot_value(cell.owner, cell.descriptor)
        case Local():
            return frames.local(cell.owner.frame, cell.variable)
        case Closure():
            return closure_of(cell)
        case Layout():
            return layout_of(cell.owner)
        case Blocks():
            return cell.structure.held_now()
    assert isinstance(cell, Opaque)
    return _Comparison(cell.owner)


def content_of(owner: Any) -> Any:
    """Return the content of a container: pairs for a dict, bytes for what holds bytes, else a tuple of items."""
    kind = type(owner)
    if issubclass(kind, collections.OrderedDict) and all(map(is_plain, list(dict.keys(owner)))):
        return tuple(collections.OrderedDict.items(owner))
    if issubclass(kind, dict):
        return tuple(dict.items(owner))
    if issubclass(kind, set):
        return tuple(static.each(set, owner))
    if issubclass(kind, list):
        return tuple(static.each(list, owner))
    if issubclass(kind, bytearray):
        return bytes(bytearray.__getitem__(owner, slice(None)))
    if issubclass(kind, collections.deque):
        return tuple(static.each(collections.deque, owner))
    return written_in(owner)


class Memory(Immutable, eq=False):
    """What an array, a ctypes object or other memory holds.

    Attributes:
        shape: of its items, in each direction.
        raw: its bytes; of more than are worth a copy, none.
        print: what tells the bytes apart, where there are no `raw`.
        objects: those that it refers to, instead of bytes.
    """

    shape: tuple[int, ...]
    raw: bytes | None = None
    print: int = 0
    objects: tuple[Any, ...] | None = None

    def is_like(self, other: Memory) -> bool:
        """Return whether the memory is as `other`."""
        if self.shape != other.shape or self.raw != other.raw or self.print != other.print:
            return False
        mine, others = self.objects or (), other.objects or ()
        return len(mine) == len(others) and all(one is another for one, another in zip(mine, others, strict=True))


GONE: Final = Memory((-1,))
"""For what cannot be looked at any more, since it is closed or released."""


def written_in(owner: Any) -> Any:
    """Return what a file in memory, an array or other memory holds."""
    for base in (io.BytesIO, io.StringIO):
        if issubclass(type(owner), base):
            return GONE if base.closed.__get__(owner) else base.getvalue(owner)
    if memory.is_numpy_array(type(owner)):
        return _array(owner)
    if memory.is_cut_short(owner):
        return GONE
    try:
        with memoryview(owner) as view:
            return _memory(view.shape or (), view.tobytes())
    except (ValueError, BufferError, TypeError):
        return GONE


def _array(owner: Any) -> Memory:
    array: Any = static.loaded_class("numpy", "ndarray")
    shape = array.shape.__get__(owner)
    if memory.dtype_of(owner).kind == "O":
        return Memory(shape, objects=tuple(array.tolist(array.ravel(owner))))
    return _memory(shape, array.tobytes(owner))


def _memory(shape: tuple[int, ...], raw: bytes) -> Memory:
    return Memory(shape, raw) if len(raw) <= MOST_KEPT else Memory((*shape, len(raw)), print=hash(raw))


def layout_of(owner: Any) -> tuple[Any, ...]:
    """Return class, its bases, attribute dict and, of a class, own bases."""
    kind = type(owner)
    own = static.mro(owner) if issubclass(kind, type) else None
    return kind, static.mro(kind), static.instance_dict(owner), own


def closure_of(cell: Closure) -> Any:
    """Return what a closure's cell holds."""
    try:
        return cell.owner.cell_contents
    except ValueError:
        return ABSENT


class _Comparison:
    """The last result of an evaluation, which `has_changed` compares with a new one."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation
        self._seen = evaluation()
        self._differs = False

    def has_changed(self) -> bool:
        """Evaluate again; return whether there is something to tell of."""
        if not self._differs:
            self._differs, value = self._evaluation.differs_from(self._seen)
            self._seen = self._seen if self._differs else value
        return self._differs


def has_changed(cell: Cell, seen: Any) -> bool:
    """Return whether `cell` differs from the snapshot `seen`. Objects are compared by identity."""
    # What is watched most, first: this is asked at each instruction.
    kind = type(cell)
    if kind is DictItem:
        return dict.get(cell.owner, cell.key, ABSENT) is not seen  # type: ignore[attr-defined]
    if kind is Content and type(cell.owner) is list:  # type: ignore[attr-defined]
        owner: list[Any] = cell.owner  # type: ignore[attr-defined]
        return len(owner) != len(seen) or any(map(operator.is_not, owner, seen))
    if type(seen) is _Comparison:
        return seen.has_changed()
    if isinstance(cell, Local) and _is_borrowed(cell):
        return False
    now = snapshot(cell)
    if isinstance(cell, Layout | Blocks):
        return any(one is not other for one, other in zip(now, seen, strict=True))
    if not isinstance(cell, Content):
        return now is not seen
    if isinstance(now, Memory):
        return not (isinstance(seen, Memory) and now.is_like(seen))
    if isinstance(now, str | bytes):
        return now is not seen and (isinstance(seen, Memory) or bool(now != seen))
    if len(now) != len(seen):
        return True
    if static.is_a(cell.owner, dict):
        return any(key is not k or value is not v for (key, value), (k, v) in zip(now, seen, strict=True))
    return any(item is not other for item, other in zip(now, seen, strict=True))


def _is_borrowed(cell: Local) -> bool:
    frame = cell.owner.frame
    return frame is not None and is_borrowed(frame.f_code, frame.f_lasti, cell.variable)


def difference(cell: Cell, seen: Any, now: Any) -> Delta | None:
    """Return how the snapshot `now` of `cell` differs from `seen`; None when it does not after all."""
    if isinstance(cell, Opaque):
        return Unknown()
    if isinstance(cell, Blocks):
        return deltas.restructured(cell)
    if isinstance(cell, Layout):
        return deltas.relaid(seen, now)
    if not isinstance(cell, Content):
        return Rebound(seen, now)
    kind = type(cell.owner)
    if issubclass(kind, dict):
        return deltas.items(seen, now, attributes=isinstance(cell, Attributes))
    if issubclass(kind, set):
        return deltas.members(seen, now)
    if isinstance(now, Memory):
        return _difference_of_memory(cell.owner, seen, now) if isinstance(seen, Memory) else Unknown()
    return deltas.spliced_text(seen, now) if isinstance(now, str | bytes) else deltas.spliced(seen, now)


def _difference_of_memory(owner: Any, seen: Memory, now: Memory) -> Delta | None:
    if seen.objects is not None and now.objects is not None and seen.shape == now.shape:
        return deltas.spliced(seen.objects, now.objects)
    if seen.raw is None or now.raw is None or (seen.shape != now.shape and len(now.shape) > 1):
        return Unknown()
    return deltas.of_memories(owner, seen.raw, now.raw) or Unknown()
