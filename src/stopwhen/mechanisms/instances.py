"""Every instance of a class, in pure Python: what of each is compared, and when, for the recheck.

An instance is met as an operand: whoever writes to one has it on the stack first. Those whose operands the last
instruction has taken are compared, and while there are few all of them; of many two more in turn.
"""

from __future__ import annotations

from _thread import get_ident

from stopwhen import deltas, frames, static
from stopwhen.cells import Attributes, Cell, DictItem, Layout
from stopwhen.event import Born, Delta, Rebound, Unknown
from stopwhen.immutable import Immutable, replaced
from stopwhen.mechanisms import opcodes, operands, sites
from stopwhen.mechanisms.native import PartToken
from stopwhen.mechanisms.snapshots import difference, has_changed, snapshot
from stopwhen.originals import functools, gc, opcode, types, use_original_builtins, weakref
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import ABSENT
from stopwhen.values import is_simple

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import CodeType, FrameType

    from stopwhen.cells import Instances
    from stopwhen.event import Place

FEW = 32
"""No more instances are compared at each look."""

IN_TURN = 2
"""How many of more are compared in turn at each look."""

_PLAIN_OPERANDS = 3
"""No instruction but a call touches more than the three topmost entries of the stack."""

_BOUND = (types.BuiltinFunctionType, type("".__str__))


class _Identity(Immutable):
    """Stands for a value that is not to be kept alive."""

    address: int


def _without_hold(value: Any) -> Any:
    return value if value is ABSENT or is_simple(value) else _Identity(id(value))


def _is_that(shown: Any, value: Any) -> bool:
    return id(value) == shown.address if type(shown) is _Identity else value is shown


class Found(Immutable):
    """A change of something of an instance.

    Attributes:
        handle: the cell of its class.
        instance: the instance.
        cell: what changed; the cell of the class where the instance is new.
        delta: how.
        since: where it was compared last, when it may have changed at any time since then; else None.
        is_taken: the last instruction of this thread had it for an operand: that changed it.
    """

    handle: Instances
    instance: Any
    cell: Cell
    delta: Delta
    since: Place | None = None
    is_taken: bool = False


class _Record:
    """What is known of one instance.

    Attributes:
        reach: returns the instance, None once it is gone.
        bases: its class, and all above that.
        names: each attribute of interest, without a hold on its value.
        whole: all attributes, where they are of interest together, likewise.
        before: while an instruction runs that has it for an operand, the values themselves.
        parts: what else the expression depends on there, the owner of each (None for the instance), what it held.
        memo: what the expression was.
        place: where it was compared last.
        toucher: the thread whose next instruction has it for an operand, the latest one; 0 for none.
    """

    __slots__ = ("bases", "before", "memo", "names", "owners", "parts", "place", "reach", "toucher", "whole")

    def __init__(self, instance: Any, reach: Callable[[], Any], place: Place | None) -> None:
        self.reach = reach
        self.bases = static.mro(type(instance))
        self.names: dict[str, Any] = {}
        self.whole: tuple[tuple[Any, Any], ...] = ()
        self.before: dict[Any, Any] | None = None
        self.parts: list[tuple[PartToken, Any, Any]] = []
        self.memo: Any = None
        self.place = place
        self.owners: set[int] = set()
        self.toucher = 0


class _AtWork:
    """A context in which a thread is one of the busy ones."""

    def __init__(self, busy: set[int]) -> None:
        self._busy = busy
        self._is_new = False

    def __enter__(self) -> None:
        me = get_ident()
        self._is_new = me not in self._busy
        self._busy.add(me)

    def __exit__(self, *_error: object) -> None:
        if self._is_new:
            self._busy.discard(get_ident())


class InstanceChecks:
    """The instances of one class, and of those under it."""

    are_native = False

    def __init__(self, handle: Instances, busy: set[int]) -> None:
        self.handle = handle
        self._busy = busy  # the threads that are at work of ours
        self._records: dict[int, _Record] = {}
        self._by_owner: dict[int, dict[int, _Record]] = {}
        # By thread, with a hold on those that the thread's next instruction may store to.
        self._touched: dict[int, dict[int, tuple[_Record, Any]]] = {}
        self._order: list[int] = []  # of those that come in turn; some may be gone
        self._turn = 0

    def at_work(self) -> _AtWork:
        """Return a context for work of our own, much of which runs code of the standard library."""
        return _AtWork(self._busy)

    def find(self) -> list[Any]:
        """Return all instances that exist, which are watched from now on."""
        found = [one for one in gc.get_objects() if static.has_base(type(one), self.handle.owner)]
        for one in found:
            self._adopt(one, None)
        return found

    def all(self) -> list[Any]:
        """Return those that are watched, in the order in which they were met."""
        return [one for one in (record.reach() for record in list(self._records.values())) if one is not None]

    def memo(self, instance: Any) -> Any:
        """Return what was kept of the expression in `instance`, None for nothing."""
        record = self._records.get(id(instance))
        return None if record is None else record.memo

    def set_quiet(self, kind: type | None, *, is_quiet: bool) -> None:
        """Do nothing: each new instance is told of."""

    def set_parts(self, instance: Any, parts: Iterable[Cell], memo: Any) -> None:
        """Compare `parts` as well for the sake of `instance`, from now on, and no others; keep `memo`."""
        record = self._records.get(id(instance)) or self._adopt(instance, None)
        record.memo = memo
        record.parts = []
        for cell in parts:
            owner: Any = cell.owner  # type: ignore[attr-defined] # all that may be parts have one
            extra = getattr(cell, "key", getattr(cell, "index", getattr(cell, "descriptor", None)))
            token = PartToken(cell.name, type(cell), extra, "recheck")  # type: ignore[arg-type] # as above
            record.parts.append((token, None if owner is instance else owner, snapshot(cell)))
        self._settle(record, instance)

    def see(self, taken: Iterable[Any], place: Place, *, may_store: bool) -> list[Found]:
        """Note which instances the next instruction, at `place`, takes; return those that are met here first."""
        found = []
        for one in taken:
            if id(one) not in self._records and static.has_base(type(one), self.handle.owner):
                self._adopt(one, place)
                found.append(Found(self.handle, one, self.handle, Born()))
            for key, record in list(self._by_owner.get(id(one), {}).items()):
                instance = record.reach()
                if instance is None:
                    continue
                if record.before is None:
                    found += self._compare(record, instance, since=record.place)  # what came before is not its work
                record.before = self._values(instance)
                record.place = place
                record.toucher = get_ident()
                self._touched.setdefault(record.toucher, {})[key] = record, instance if may_store else None
        return found

    def met(self, made: Any, place: Place) -> list[Found]:
        """Return what there is to tell of `made`, which a call in C code at `place` has returned, if it is new."""
        if id(made) in self._records or not static.has_base(type(made), self.handle.owner):
            return []
        record = self._adopt(made, place)
        record.names = dict.fromkeys(record.names, ABSENT)
        record.whole = ()
        record.before = {}
        found = [Found(self.handle, made, self.handle, Born()), *self._compare(record, made, since=None)]
        return [replaced(one, is_taken=True) for one in found]

    def changes(self, *, whole: bool, place: Place | None) -> Iterator[Found]:
        """Yield what has changed: in those that the last instruction has taken, and some others, or all of them.

        What an instruction of another thread has taken that is not done yet is left to that thread: it is the writer.
        """
        me = get_ident()
        for key, (record, _instance) in self._touched.pop(me, {}).items():
            if record.toucher == me:
                record.toucher = 0
                yield from (replaced(one, is_taken=True) for one in self._changes_of(key, record, since=None))
        is_few = len(self._records) <= FEW
        for key, record in list(self._records.items()) if whole or is_few else self._in_turn():
            if record.toucher == 0:
                yield from self._changes_of(key, record, since=None if is_few else record.place)
                record.place = place

    def _in_turn(self) -> list[tuple[int, _Record]]:
        chosen: list[tuple[int, _Record]] = []
        while len(chosen) < IN_TURN and self._order:
            self._turn = (self._turn + 1) % len(self._order)
            key = self._order[self._turn]
            record = self._records.get(key)
            if record is not None:
                chosen.append((key, record))
            else:  # gone
                self._order[self._turn] = self._order[-1]
                self._order.pop()
        return chosen

    def _changes_of(self, key: int, record: _Record, since: Place | None) -> list[Found]:
        instance = record.reach()
        is_known = instance is not None and self._records.get(key) is record
        found = self._compare(record, instance, since) if is_known else []
        record.before = None
        return found

    def _adopt(self, instance: Any, place: Place | None) -> _Record:
        key = id(instance)
        found = self._records.get(key)
        if found is not None:
            return found
        try:
            reach: Callable[[], Any] = weakref.ref(instance, lambda _gone: self._drop(key))
        except TypeError:  # a class with `__slots__` and no `__weakref__`: it is kept alive

            def reach() -> Any:
                return instance

        record = self._records[key] = _Record(instance, reach, place)
        self._order.append(key)
        self._settle(record, instance)
        return record

    def _drop(self, key: int) -> None:
        record = self._records.pop(key, None)
        for owner in () if record is None else record.owners:
            self._leave(owner, key)

    def _leave(self, owner: int, key: int) -> None:
        records = self._by_owner.get(owner, {})
        records.pop(key, None)
        if not records:
            self._by_owner.pop(owner, None)

    def _settle(self, record: _Record, instance: Any) -> None:
        """Take the present state of `instance` as seen."""
        record.bases = static.mro(type(instance))
        attributes = static.instance_dict(instance)
        record.names = {name: _without_hold(_item(attributes, name)) for name in self.handle.names}
        if self.handle.whole:
            record.whole = tuple((key, _without_hold(value)) for key, value in _items(attributes))
        owners = {id(instance), *(id(owner) for _token, owner, _seen in record.parts if owner is not None)}
        if attributes is not None:
            owners.add(id(attributes))
        for owner in record.owners - owners:
            self._leave(owner, id(instance))
        for owner in owners:
            self._by_owner.setdefault(owner, {})[id(instance)] = record
        record.owners = owners

    def _values(self, instance: Any) -> dict[Any, Any]:
        """Return the values of the attributes of interest, to have them when the next instruction has replaced them."""
        attributes = static.instance_dict(instance)
        if self.handle.whole:
            return dict(_items(attributes))
        return {name: _item(attributes, name) for name in self.handle.names}

    def _compare(self, record: _Record, instance: Any, since: Place | None) -> list[Found]:
        """Return how `instance` differs from what is known of it, and bring that up to date."""
        handle = self.handle
        if static.mro(type(instance)) is not record.bases:
            return self._compare_class(record, instance, since)
        attributes = static.instance_dict(instance)
        found: list[Found] = []
        for name, shown in record.names.items():
            now = _item(attributes, name)
            if not _is_that(shown, now):
                delta = self._rebound(record, name, shown, now)
                cell: Cell = DictItem(f"self.{name}", {} if attributes is None else attributes, name)
                found.append(Found(handle, instance, cell, delta, since))
        if handle.whole and attributes is not None:
            found += self._compare_whole(record, instance, attributes, since)
        for token, owner, seen in record.parts:
            cell = token.cell(instance if owner is None else owner)
            if has_changed(cell, seen):
                part = difference(cell, seen, snapshot(cell))
                found += [] if part is None else [Found(handle, instance, cell, part, since)]
        if found:
            record.parts = [
                (token, owner, snapshot(token.cell(instance if owner is None else owner)))
                for token, owner, _seen in record.parts
            ]
            self._settle(record, instance)
        elif attributes is not None and id(attributes) not in record.owners:
            self._settle(record, instance)
        return found

    def _compare_class(self, record: _Record, instance: Any, since: Place | None) -> list[Found]:
        if not static.has_base(type(instance), self.handle.owner):
            self._drop(id(instance))
            return []
        if type(instance) is record.bases[0]:
            record.memo = None  # what other bases give it is taken as it is then
        self._settle(record, instance)
        return [Found(self.handle, instance, Layout("self", instance), Unknown(), since)]

    def _compare_whole(
        self, record: _Record, instance: Any, attributes: dict[str, Any], since: Place | None
    ) -> list[Found]:
        now = _items(attributes)
        if len(now) == len(record.whole) and all(
            name == known and _is_that(shown, value)
            for (name, value), (known, shown) in zip(now, record.whole, strict=True)
        ):
            return []
        delta: Delta | None = Unknown()
        if record.before is not None:
            delta = deltas.items(list(record.before.items()), now, attributes=True)
        return [] if delta is None else [Found(self.handle, instance, Attributes("self", attributes), delta, since)]

    def _rebound(self, record: _Record, name: str, shown: Any, now: Any) -> Delta:
        if type(shown) is not _Identity:
            return Rebound(shown, now)
        before = ABSENT if record.before is None else record.before.get(name, ABSENT)
        return Rebound(before, now) if id(before) == shown.address else Unknown()


def _item(attributes: dict[str, Any] | None, name: str) -> Any:
    return ABSENT if attributes is None else dict.get(attributes, name, ABSENT)


def _items(attributes: dict[str, Any] | None) -> list[tuple[Any, Any]]:
    return [] if attributes is None else list(dict.items(attributes))


@functools.lru_cache(maxsize=256)
def _taken(code: CodeType) -> dict[int, tuple[int, bool]]:
    """Return how much each instruction that matters may take from the stack, and whether it can store to that."""
    found = {}
    depths = operands.depths(code)
    for offset, (number, argument) in sites.instructions_of(code):
        name = opcode.opname[number]
        effects = opcodes.EFFECTS.get(name, 0)
        if (effects or name in _LOOKING) and depths.get(offset, 0) > 0:
            is_call = name.startswith(("CALL", "PRECALL"))
            count = min(depths[offset], _PLAIN_OPERANDS + (argument + 1 if is_call else 0))
            found[offset] = count, effects != 0
    return found


_LOOKING = frozenset({"LOAD_ATTR", "LOAD_METHOD", "BINARY_OP", "BINARY_SUBSCR"})
"""By these a program comes to the dict of an instance, or to what its attributes hold; some of BINARY_OP store."""


def taken_by(frame: FrameType, offset: int) -> tuple[list[Any], bool]:
    """Return what the instruction at `offset`, which comes next in `frame`, may take from the stack.

    Of a bound function in C that is also what it is bound to. And return whether the instruction can store to that.
    """
    count, stores = _taken(frame.f_code).get(offset, (0, False))
    found = (operands.operands(frame, offset, count) or []) if count else []
    return [*found, *(one.__self__ for one in found if type(one) in _BOUND)], stores


def maker_of(frame: FrameType, instance: Any) -> FrameType:
    """Return the frame that makes `instance`, which is met in `frame`: that which has called its `__init__`."""
    while frame.f_back is not None and frame.f_code.co_name == "__init__" and _first_argument(frame) is instance:
        frame = frame.f_back
    return frame


def _first_argument(frame: FrameType) -> Any:
    return frames.local(frame, frame.f_code.co_varnames[0]) if frame.f_code.co_argcount else None


def made_by_call(frame: FrameType, place: Place | None, offset: int) -> list[Any]:
    """Return what the call at `place`, just done, has left on the stack for the next instruction, if anything."""
    if place is None or place[0] is not frame.f_code or offset < 0:
        return []
    number, _argument, behind = sites.instruction_around(frame.f_code, place[1])
    if behind != offset or not opcode.opname[number].startswith("CALL"):
        return []
    return operands.operands(frame, offset, 1) or []
