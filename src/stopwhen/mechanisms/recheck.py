"""Recheck in pure Python: compares all data after every instruction. Slow, and works anywhere; the tests' oracle.

It shares no code with the C mechanisms but the words: positions are tracked instruction by instruction instead of being
worked out from the code beforehand.
"""

from __future__ import annotations

import _thread
from _thread import RLock, get_ident
from types import FunctionType, MethodType

from stopwhen import env, frames, location
from stopwhen.cells import (
    Blocks,
    Calls,
    Cell,
    Closure,
    Content,
    DictItem,
    Frame,
    Instances,
    Layout,
    ListItem,
    Local,
    Opaque,
    Slot,
)
from stopwhen.event import Born, Called, Delta, Ended, Event, Items, Members, Place, Read, Rebound, Spliced, Written
from stopwhen.immutable import Immutable, replaced
from stopwhen.mechanisms import opcodes, operands, suspects
from stopwhen.mechanisms.accesses import Accesses
from stopwhen.mechanisms.instances import InstanceChecks, made_by_call, maker_of, taken_by
from stopwhen.mechanisms.snapshots import difference, has_changed, snapshot
from stopwhen.mechanisms.tools import (
    OURS,
    SPARE,
    TOOL_ID,
    Tool,
    has_free_tool,
    other_tools_run,
    others_first,
    take_tool,
)
from stopwhen.originals import functools, opcode, sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import ABSENT
from stopwhen.values import is_simple

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType, FrameType

    from stopwhen.cells import FrameRef
    from stopwhen.evaluation import Evaluation
    from stopwhen.mechanisms.instances import Found
    from stopwhen.types import AccessType

    Report = Callable[[list[Event]], None]
    TraceFunction = Callable[[FrameType, str, Any], Any]


STARTERS = frozenset(
    {"start_new_thread", "_start_new_thread", "start_new", "start_joinable_thread", "_start_joinable_thread"}
)
"""Names under which threads are started, which may run nothing but a C function: no event tells of those."""

MOST_PLACES = 500
"""How many frames the stack of an event has at most: those of a deep recursion tell nothing new."""

PATIENCE = 1.0
"""For how many seconds a thread waits for another one that compares."""

MOST_FRAMES = 100
"""How many frames outwards a debugger is taken to have stored to locals."""

MOST_LOOKS = 100
"""How often is looked again for what the finalisers change of what was there before."""

_NOTHING = object()


class Recheck:
    """Watches every kind of cell."""

    name = "recheck"
    title = "recheck in pure Python"
    access_title = "a look at each instruction in pure Python"
    access_cost = "as much again"

    def __init__(self, report: Report) -> None:
        self.accesses = self
        self._report = report
        self._snapshots: dict[Cell, Any] = {}
        self._locals: dict[FrameRef, dict[Cell, Any]] = {}  # snapshots of what only the frame's own code changes
        self._ends: dict[FrameRef, dict[Cell, None]] = {}
        self._calls: dict[CodeType, dict[Calls, None]] = {}
        self._positions: dict[int, Place] = {}
        self._last_thread = 0
        self._expected: list[Place] = []  # where threads have been started of which no event has come yet
        self._strangers: dict[int, Place] = {}  # where threads of which no events come stood at the last change
        self._busy: set[int] = set()
        self._dropping: set[int] = set()  # threads that may run finalisers below our frames
        self._some_end = False  # there have been some
        self._accesses = Accesses()
        self._instances: dict[Cell, InstanceChecks] = {}
        self._lock = RLock()  # threads that look at the same time shall not tell of the same change
        self._source = MonitoringSource(self) if env.HAS_MONITORING else TraceSource(self)

    def reason(self) -> str | None:
        """Return why this cannot be used here; None when it can."""
        return None if self._is_armed() else self._source.reason()

    def cost_of(self, cell: Cell) -> str:
        """Return what it costs to watch a cell, in words."""
        if isinstance(cell, Opaque):
            evaluation: Evaluation = cell.owner
            return evaluation.cost(50, 20e-9)
        return "ten to a hundred times as long, in all code"

    def claims(self, cell: Cell) -> bool:
        """Return whether changes of `cell` can be seen."""
        if isinstance(cell, Instances):
            return operands.reason() is None
        return isinstance(
            cell, Blocks | Content | DictItem | Layout | ListItem | Slot | Local | Frame | Calls | Closure | Opaque
        )

    def arm(self, cell: Cell) -> None:
        """Report changes of `cell` from now on."""
        starts = not self._is_armed()
        try:
            if isinstance(cell, Instances):
                self._instances[cell] = InstanceChecks(cell, self._busy)
            elif isinstance(cell, Calls):
                self._calls.setdefault(cell.owner.__code__, {})[cell] = None
            elif isinstance(cell, Local | Frame):
                self._ends.setdefault(cell.owner, {})[cell] = None
            if starts:  # first: or what a thread changes before it has events would be laid to one that has
                self._source.start()
                self._strangers = self._find_strangers()
            if isinstance(cell, Local) and not _is_shared(cell):
                self._locals.setdefault(cell.owner, {})[cell] = snapshot(cell)
            elif not isinstance(cell, Calls | Frame | Instances):
                self._take_snapshot(cell)
        except BaseException:
            self.disarm(cell)
            raise

    def _take_snapshot(self, cell: Cell) -> None:
        """Compare `cell` with what it holds now; what another thread changes before it can compare does not count."""
        seen = self._snapshots[cell] = snapshot(cell)
        while not isinstance(cell, Opaque) and has_changed(cell, seen):
            seen = self._snapshots[cell] = snapshot(cell)

    def disarm(self, cell: Cell) -> None:
        """Report changes of `cell` no more."""
        with self._lock:
            self._snapshots.pop(cell, None)
            self._instances.pop(cell, None)
        if isinstance(cell, Calls):
            _take(self._calls, cell.owner.__code__, cell)
        elif isinstance(cell, Local | Frame):
            _take(self._ends, cell.owner, cell)
            _take(self._locals, cell.owner, cell)
        if not self._is_armed():
            self._source.stop()
            self._positions.clear()
            self._expected.clear()

    def token(self, _cell: Cell) -> object:
        """Return None: the C module knows nothing of what is compared here."""
        return None

    def disarm_all(self) -> None:
        """Report no changes any more."""
        for cells in (self._snapshots, self._instances, self._locals, self._ends, self._calls, self._positions):
            cells.clear()
        self._expected.clear()
        self._source.stop()

    def taken(self) -> str | None:
        """Return what somebody has taken from it, so that changes may have been missed; None for nothing."""
        return self._source.taken()

    def _is_armed(self) -> bool:
        return bool(self._snapshots or self._instances or self._ends or self._calls)

    def instances(self, cell: Instances) -> InstanceChecks:
        """Return the instances of the class that `cell` is about, which is armed."""
        return self._instances[cell]

    def reason_for_accesses(self) -> str | None:
        """Return why stores of the same value, and reads, cannot be seen here; None when they can."""
        return operands.reason()

    def arm_access(self, cell: Cell, access: AccessType) -> None:
        """Report stores to `cell`, or reads of it, while it is armed."""
        self._accesses.arm(cell, access)

    def disarm_access(self, cell: Cell, access: AccessType) -> None:
        """Report them no more."""
        self._accesses.disarm(cell, access)

    def resync(self, *, own: bool) -> list[Event]:
        """Return what has changed since the last look, blaming the caller's thread."""
        if not (self._snapshots or self._instances or self._locals):
            return []
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to a frame
        while frame is not None and location.is_ours(frame.f_code.co_filename):
            frame = frame.f_back
        thread_id = get_ident()
        was_busy = thread_id in self._busy
        self._busy.add(thread_id)  # a named tuple is made by code that is not ours
        try:
            writer = _Writer(thread_id, frame, places_of(frame), None, own)
            suspected = lambda: replaced(writer, other=self._find_suspect(thread_id, thread_id, frame))  # noqa: E731
            events = self._changes(self._snapshots, suspected)
            for checks in list(self._instances.values()):
                with self._one_at_a_time():
                    found = list(checks.changes(whole=True, place=None))
                events += writer.events(found, self.name)
            outer = frame
            for _ in range(MOST_FRAMES if self._locals else 0):
                if outer is not None:
                    events += self._changes(self._locals.get(frames.ref(outer), {}), functools.partial(_as_is, writer))
                    outer = outer.f_back
        finally:
            if not was_busy:
                self._busy.discard(thread_id)
        return events

    def look(self, frame: FrameType, offset: int = -1) -> None:
        """Compare everything; what has changed was changed by the instruction that this thread began last.

        Args:
            frame: the frame that runs.
            offset: of its next instruction; -1 when it ends.
        """
        thread_id = get_ident()
        if thread_id in self._busy:
            return
        self._busy.add(thread_id)
        if self._expected and thread_id not in self._positions:
            del self._expected[0]
        # Taken before anything is compared: what other threads do from here on, they do after this thread's turn.
        last, self._last_thread = self._last_thread, thread_id
        try:
            events = self._find_changes(thread_id, frame, last)
            if self._instances:
                events += self._find_changed_instances(thread_id, frame, offset, last)
            if self._locals:
                events += self._find_changed_locals(thread_id, frame)
            if self._accesses:
                events += self._find_written(thread_id, frame, offset)
            if events and self._ends:
                events = self._find_gone(thread_id, frame) + events
            if any(map(_may_end_something, events)):
                self.expect_endings()
            # With nothing to report, an action may wait for this thread all the same.
            self._report(events)
        finally:
            self._busy.discard(thread_id)

    def move(self, code: CodeType, offset: int) -> None:
        """Take note that this thread begins the instruction at `offset`."""
        self._positions[get_ident()] = (code, offset)

    def expect_endings(self) -> None:
        """Take note that finalisers may run in this thread below our frames, until it has looked again."""
        self._dropping.add(get_ident())
        self._some_end = True

    def look_again(self, frame: FrameType) -> None:
        """Compare everything before `frame` goes on: a signal handler, or a finaliser, may have run amid a look."""
        thread_id = get_ident()
        if thread_id in self._busy:
            return
        self._busy.add(thread_id)
        try:
            for _ in range(MOST_LOOKS):  # what is told drops what was there before, again
                if not any(has_changed(cell, seen) for cell, seen in list(self._snapshots.items())):
                    break
                self._report(self._changes(self._snapshots, lambda: self._blame_again(thread_id, frame)))
        finally:
            self._busy.discard(thread_id)
            self._dropping.discard(thread_id)

    def _blame_again(self, thread_id: int, frame: FrameType) -> _Writer:
        writer = self._blame(thread_id, frame, self._last_thread)
        if writer.thread_id == thread_id:
            places = places_of(frame)
            writer = _Writer(thread_id, frame, places, writer.other or places[0], own=False)
        return writer

    def look_ahead(self, frame: FrameType, offset: int) -> None:
        """Report what the instruction at `offset`, which comes next, reads; take note of what it stores to."""
        thread_id = get_ident()
        code = frame.f_code
        if (
            not STARTERS.isdisjoint(code.co_names)
            and opcodes.loaded_name(code, offset) in STARTERS
            and not begins_threading(frame)
        ):
            self._expected.append((code, offset))
            for gone in set(self._positions) - set(sys._current_frames()):  # noqa: SLF001 - as above
                self._positions.pop(gone, None)  # the new thread may have the same number
        if thread_id in self._busy or not (self._accesses or self._instances):
            return
        self._busy.add(thread_id)
        try:
            if self._instances:
                self._see_instances(thread_id, frame, offset)
            if not self._accesses:
                return
            cells = self._accesses.begin(thread_id, frame, offset)
            writer = _Writer(thread_id, frame, places_of(frame) if cells else (), None, own=False)
            self._report([writer.event(cell, Read(), self.name) for cell in cells])
        finally:
            self._busy.discard(thread_id)

    def _see_instances(self, thread_id: int, frame: FrameType, offset: int) -> None:
        """Report the instances of classes that are met as what the instruction at `offset` takes."""
        taken, stores = taken_by(frame, offset)
        place = frame.f_code, offset
        if not taken:
            return
        with self._one_at_a_time():
            found = [
                one for checks in list(self._instances.values()) for one in checks.see(taken, place, may_store=stores)
            ]
        for one in found:
            writer = maker_of(frame, one.instance)
            self._report(_Writer(thread_id, writer, places_of(writer), None, own=False).events([one], self.name))

    def _one_at_a_time(self) -> _Patient:
        """Return a context for one thread: nobody's instruction stores to an instance while another one compares it."""
        return _Patient(self._lock)

    def move_to_caller(self, frame: FrameType) -> None:
        """Take note that this thread is back in the instruction that called `frame`."""
        caller = frame.f_back
        if caller is None:
            self._positions.pop(get_ident(), None)
        else:
            self.move(caller.f_code, caller.f_lasti)

    def begin(self, frame: FrameType) -> None:
        """Take note that `frame` begins: a call of what it runs."""
        called = [cell for cell in list(self._calls.get(frame.f_code, ())) if frames.runs(frame, cell.owner)]
        if called:
            writer = _Writer(get_ident(), frame, (), None, own=False)
            self._report([writer.event(cell, Called(), self.name) for cell in called])

    def end(self, frame: FrameType) -> None:
        """Take note that `frame` ends, and with it its locals."""
        self._accesses.leave(get_ident(), frame)
        ended = list(self._ends.get(frames.ref(frame), ())) if self._ends else []
        if ended:
            writer = _Writer(get_ident(), frame, (), None, own=False)
            self._report([writer.event(cell, Ended(), self.name) for cell in ended])

    def forget_threads(self) -> None:
        """Forget all threads but this one, in a forked child."""
        me = get_ident()
        self._lock = RLock()  # another thread may have had it
        self._busy &= {me}
        self._positions = {thread: place for thread, place in self._positions.items() if thread == me}
        self._last_thread = me
        self._dropping.clear()

    def _find_gone(self, thread_id: int, frame: FrameType) -> list[Event]:
        """Return the ends of frames that have gone without an event: from 3.13 on, of generators that were closed."""
        writer = _Writer(thread_id, frame, (), None, own=False)
        gone = [cell for ref, cells in list(self._ends.items()) if ref.frame is None for cell in list(cells)]
        return [writer.event(cell, Ended(), self.name) for cell in gone]

    def _find_written(self, thread_id: int, frame: FrameType, offset: int) -> list[Event]:
        """Return what the last instruction of `frame` has stored to without a change."""
        stored, cells = self._accesses.end(thread_id, frame, offset)
        places = ((frame.f_code, stored), *places_of(frame)[1:]) if cells else ()
        writer = _Writer(thread_id, frame, places, None, own=False)
        return [writer.event(cell, Written(), self.name) for cell in cells]

    def _find_changes(self, thread_id: int, frame: FrameType, last: int) -> list[Event]:
        if not any(has_changed(cell, seen) for cell, seen in list(self._snapshots.items())):
            return []
        events = self._changes(self._snapshots, lambda: self._blame(thread_id, frame, last))
        if self._expected and not runs_c_only():
            del self._expected[0]
        return events

    def _own(self, thread_id: int, frame: FrameType) -> _Writer:
        """Return this thread, with the instruction that it has begun last, as who made a change."""
        place = self._positions.get(thread_id)
        writer = frame if place is None else frame_of(frame, place[0])
        if writer is None or place is None:
            return _Writer(thread_id, frame, places_of(frame), None, own=False)
        return _Writer(thread_id, writer, (place, *places_of(writer)[1:]), None, own=False)

    def _blame(self, thread_id: int, frame: FrameType, last: int) -> _Writer:
        """Return who made the change that was found just now in `frame`; the thread `last` had the turn before."""
        blamed, writer, place, other = self._blamed(thread_id, frame, last)
        if other is None or other == place:
            other = self._find_suspect(thread_id, blamed, frame) or other
        if writer is not None and self._expected:
            other = self._expected[0]
        places = places_of(writer)
        strangers = self._find_strangers()
        if other is None and places and strangers != self._strangers:
            other = place or places[0]
        self._strangers = strangers
        if other is None and places and self._some_end:
            other = self._find_hidden()
        return _Writer(blamed, writer, places if place is None else (place, *places[1:]), other, own=False)

    def _find_hidden(self) -> Place | None:
        """Return where another thread stands that may run a finaliser below our frames just now; None for none."""
        running = other_threads()
        hidden = [thread for thread in (*self._busy, *self._dropping) if thread in running]
        return next((place for thread in hidden if (place := self._positions.get(thread)) is not None), None)

    def _find_strangers(self) -> dict[int, Place]:
        """Return where the threads stand of which no events come."""
        if self._source.hears_all:
            return {}
        return {thread: place for thread, place in other_threads().items() if thread not in self._positions}

    def _find_suspect(self, thread_id: int, blamed: int, frame: FrameType | None) -> Place | None:
        """Return where a thread stands that may have made the change instead of `blamed`; None for none.

        When one has lost its turn, before what it has begun or after it, nothing tells.
        """
        if thread_id not in (blamed, *self._positions) and frame is not None and not is_start(frame):
            return frame.f_code, frame.f_lasti  # some time since it began
        places = other_threads()
        known = list(self._positions.items())  # a copy, as other threads change it
        places |= {thread: place for thread, place in known if thread in places or thread == thread_id}
        places.pop(blamed, None)
        ranked = {place: suspects.evidence(*place) for place in places.values()}
        if not self._source.hears_all:  # others have done what they have done, but for those that wait
            ranked |= {
                place: max(ranked[place], suspects.A_CALL)
                for thread, place in places.items()
                if thread not in self._positions and not suspects.waits(*place)
            }
        most = max(ranked, key=ranked.__getitem__, default=None)
        return most if most is not None and ranked[most] > suspects.NOTHING else None

    def _blamed(
        self, thread_id: int, frame: FrameType, last: int
    ) -> tuple[int, FrameType | None, Place | None, Place | None]:
        """Return the thread, frame and place that made the change, and the other one if that is not certain."""
        other = last if self._last_thread == thread_id else self._last_thread
        place = None if other in (0, thread_id) else self._positions.get(other)
        if place is not None and can_change(*place):
            suspended = sys._current_frames().get(other)  # noqa: SLF001 - there is no other way to it
            if suspended is not None:
                return other, frame_of(suspended, place[0]) or suspended, place, None
        place = self._positions.get(thread_id)
        if place is not None:
            code, offset = place
            if not self._source.other_tools_run():
                doubt = None if may_change(code, offset) else place
            else:  # an instruction that changes things by way of others' operators is less likely than a tool
                doubt = None if can_change(code, offset) else tool_place() or place
            return thread_id, frame_of(frame, code) or frame, place, doubt
        if frame.f_back is None and is_start(frame):  # nothing of this thread's Python code has run
            return thread_id, None, None, None
        return thread_id, frame, None, (frame.f_code, 0)

    def _find_changed_instances(self, thread_id: int, frame: FrameType, offset: int, last: int) -> list[Event]:
        """Return what has changed in instances of classes; `offset` is that of the instruction that comes next."""
        place = self._positions.get(thread_id)
        made = made_by_call(frame, place, offset)
        is_other = last not in (0, thread_id) or self._last_thread != thread_id
        found: list[Found] = []
        with self._one_at_a_time():
            for checks in list(self._instances.values()):
                found += checks.changes(whole=is_other, place=place)
                if place is not None:
                    found += [one for instance in made for one in checks.met(instance, place)]
        if not found:
            return []
        mine, others = self._own(thread_id, frame), self._blame(thread_id, frame, last)
        return [event for one in found for event in (mine if one.is_taken else others).events([one], self.name)]

    def _find_changed_locals(self, thread_id: int, frame: FrameType) -> list[Event]:
        """Return how the frame's own locals have changed, by rule by the instruction that it has just finished."""
        snapshots = self._locals.get(frames.ref(frame), {})
        if not any(has_changed(cell, seen) for cell, seen in list(snapshots.items())):
            return []
        code, offset = self._positions.get(thread_id, (None, 0))
        events = []
        for cell, seen in list(snapshots.items()):
            places = places_of(frame)
            assert isinstance(cell, Local), "no other cell is a frame's own"
            if code is frame.f_code and opcodes.stores_local(code, offset, cell.variable):
                writer = _Writer(thread_id, frame, ((code, offset), *places[1:]), None, own=False)
            else:  # somebody else has written it by way of `f_locals`, some time since the frame began
                writer = _Writer(thread_id, frame, places, (frame.f_code, 0), own=False)
            one: dict[Cell, Any] = {cell: seen}
            events += self._changes(one, functools.partial(_as_is, writer))
            snapshots.update(one)
        return events

    def _changes(self, snapshots: dict[Cell, Any], blame: Callable[[], _Writer]) -> list[Event]:
        """Return what differs from `snapshots`, and bring these up to date.

        Who has made a change is asked before another thread that has may find the cell as in `snapshots`, and go on.
        """
        events = []
        for cell, seen in list(snapshots.items()):
            if not has_changed(cell, seen):
                continue
            with self._lock:
                if snapshots.get(cell, _NOTHING) is not seen:
                    continue  # another thread has told of it, or disarmed it
                now = snapshot(cell)
                writer = blame()
                snapshots[cell] = now
            delta = difference(cell, seen, now)
            if delta is not None:
                self._accesses.saw_change(cell)
                events.append(writer.event(cell, delta, self.name))
        return events


class _Patient:
    """A context in which a lock is held.

    It is not waited for without end: what has the lock may run a finalizer of the program's that waits for us.
    """

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._is_held = False

    def __enter__(self) -> None:
        self._is_held = self._lock.acquire(timeout=PATIENCE)

    def __exit__(self, *_error: object) -> None:
        if self._is_held:
            self._lock.release()


class _Writer(Immutable):
    """Who is held to have made a change; the fields of `Event` of these names."""

    thread_id: int
    frame: FrameType | None
    stack: tuple[Place, ...]
    other: Place | None
    own: bool

    def event(self, cell: Cell, delta: Delta, mechanism: str) -> Event:
        return Event(cell, delta, self.thread_id, self.frame, self.stack, self.other, mechanism, self.own)

    def events(self, found: Iterable[Found], mechanism: str) -> list[Event]:
        """Return as events what has changed in instances of classes."""
        return [
            replaced(
                self.event(one.cell, one.delta, mechanism),
                other=one.since,
                instance=one.instance,
                heard_by=one.handle,
            )
            for one in found
        ]


def _may_end_something(event: Event) -> bool:
    """Return whether a finaliser may run as what was there before the event is dropped."""
    match event.delta:
        case Rebound(old=old):
            return old is not ABSENT and not is_simple(old)
        case Spliced(removed=removed) | Members(removed=removed):
            return not is_simple(tuple(removed))
        case Items(changes=changes):
            return any(old is not ABSENT and not is_simple(old) for _, old, _ in changes)
        case Written() | Read() | Called() | Born():
            return False
    return True


def _as_is(writer: _Writer) -> _Writer:
    return writer


def _is_shared(cell: Local) -> bool:
    """Return whether functions share the variable, and other code than the frame's may change it."""
    return cell.variable in cell.owner.code.co_cellvars


def _take(armed: dict[Any, Any], owner: Any, cell: Cell) -> None:
    cells = armed.get(owner, {})
    cells.pop(cell, None)
    if not cells:
        armed.pop(owner, None)


_RARE = sys.monitoring.events.STOP_ITERATION if env.HAS_MONITORING else 0


class MonitoringSource:
    """Calls `look` before each instruction, by events of sys.monitoring (3.12+)."""

    hears_all = True  # of threads, also of those that ran before

    def __init__(self, recheck: Recheck) -> None:
        self._recheck = recheck
        self._tools: list[Tool] = []
        self._ids: tuple[int, ...] = OURS

    def reason(self) -> str | None:
        """Return why there is none here."""
        return None if has_free_tool() else "the tool ids 3 and 4 of sys.monitoring are in use by other tools"

    def other_tools_run(self) -> bool:
        """Return whether functions of others are called between instructions, of whose work there are no events."""
        return other_tools_run() or sys.gettrace() is not None or sys.getprofile() is not None

    def start(self) -> None:
        """Begin to call."""
        tool = take_tool(self._ids)
        assert tool is not None, "reason() was asked first"
        self._tools.append(tool)
        self._enter_table(tool)
        events = sys.monitoring.events
        callbacks: dict[int, Callable[..., object]] = {
            events.INSTRUCTION: self._on_instruction,
            events.PY_START: self._on_start,
            events.PY_RESUME: self._on_instruction,
            events.PY_THROW: self._on_throw,
            events.PY_RETURN: self._on_return,
            events.PY_UNWIND: self._on_return,
            events.PY_YIELD: self._on_yield,
        }
        tool.register(callbacks)
        tool.set_events((_RARE if len(self._tools) > 1 else 0) | sum(callbacks))

    def _enter_table(self, tool: Tool) -> None:
        """Have each code object, when its events are turned on, make a table of the tools that want them.

        It does where two tools share some event. A table that is made later, for another tool's sake, has not got ours
        (CPython up to 3.15): `sys.settrace(debugger)` would end our INSTRUCTION events in all code that has run.
        """
        second = take_tool(SPARE)
        if second is not None:
            second.set_events(_RARE)
            tool.set_events(_RARE)
            self._tools.append(second)

    def stop(self) -> None:
        """Call no more."""
        tools = self._tools[:]
        self._tools.clear()
        for tool in tools:
            tool.leave()

    def taken(self) -> str | None:
        """Return what somebody has taken away without which nothing is called; None for nothing."""
        for tool in self._tools:
            if not tool.is_whole():
                self._ids = others_first(tool.number)
                return TOOL_ID
        return None

    def _on_instruction(self, code: CodeType, offset: int) -> object:
        if location.is_ours(code.co_filename):
            return sys.monitoring.DISABLE
        self._begin(sys._getframe(1), offset)  # noqa: SLF001
        return None

    def _begin(self, frame: FrameType, offset: int) -> None:
        self._recheck.look(frame, offset)
        self._recheck.move(frame.f_code, offset)
        self._recheck.look_ahead(frame, offset)
        self._recheck.look_again(frame)

    def _on_start(self, code: CodeType, offset: int) -> object:
        if location.is_ours(code.co_filename):
            return sys.monitoring.DISABLE
        frame = sys._getframe(1)  # noqa: SLF001
        self._begin(frame, offset)
        self._recheck.begin(frame)
        return None

    def _on_throw(self, code: CodeType, offset: int, _exception: BaseException) -> None:
        if not location.is_ours(code.co_filename):
            frame = sys._getframe(1)  # noqa: SLF001
            self._begin(frame, offset)
            self._recheck.begin(frame)

    def _on_return(self, code: CodeType, _offset: int, _value: object) -> None:
        frame = sys._getframe(1)  # noqa: SLF001
        if location.is_ours(code.co_filename):
            self._leave_own(frame)
            return
        self._recheck.look(frame)
        self._recheck.end(frame)
        self._recheck.look_again(frame)
        self._recheck.move_to_caller(frame)

    def _on_yield(self, code: CodeType, _offset: int, _value: object) -> None:
        frame = sys._getframe(1)  # noqa: SLF001
        if location.is_ours(code.co_filename):
            self._leave_own(frame)
            return
        self._recheck.look(frame)
        self._recheck.look_again(frame)
        self._recheck.move_to_caller(frame)

    def _leave_own(self, frame: FrameType) -> None:
        """Take note that code of ours ends; nothing is compared amid it, but where it was called from matters again."""
        caller = frame.f_back
        if caller is None or not location.is_ours(caller.f_code.co_filename):
            self._recheck.move_to_caller(frame)


class TraceSource:
    """Calls `look` before each instruction, by a trace function that asks for opcode events (3.11).

    A debugger that a stop opens sets a trace function of its own. Ours goes on in its place, and passes its events on.
    """

    hears_all = False

    def __init__(self, recheck: Recheck) -> None:
        self._recheck = recheck
        self._threading: Any = None
        self._thread = 0  # where it was begun
        self._failing: dict[int, FrameType] = {}
        self._others: dict[int, TraceFunction] = {}

    def reason(self) -> str | None:
        """Return why there is none here."""
        return "another trace function is set (a debugger's, or coverage's)" if sys.gettrace() is not None else None

    def other_tools_run(self) -> bool:
        """Return whether functions of others are called between looks; after trace functions there is one."""
        return sys.getprofile() is not None

    def start(self) -> None:
        """Begin to call, in this thread and in those to come."""
        import threading  # noqa: PLC0415 - it is the only way to reach threads to come

        self._threading = threading
        self._thread = get_ident()
        self._trace_frames(sys._getframe(1))  # noqa: SLF001
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def taken(self) -> str | None:
        """Return what somebody has taken away without which nothing is called; None for nothing."""
        is_taken = self._threading is not None and get_ident() == self._thread and sys.gettrace() is None
        return "the trace function" if is_taken else None

    def stop(self) -> None:
        """Call no more."""
        if self._threading is None:
            return
        other = self._others.get(get_ident())
        sys.settrace(other)
        self._failing.clear()
        self._others.clear()
        self._threading.settrace(None)
        self._threading = None
        for innermost in sys._current_frames().values():  # noqa: SLF001 - there is no other way to it
            frame: FrameType | None = innermost
            while frame is not None:
                if self._is_ours(frame.f_trace):
                    frame.f_trace = other
                    frame.f_trace_opcodes = False
                frame = frame.f_back

    def _trace(self, frame: FrameType, kind: str, argument: object) -> Any:
        if self._threading is None or location.is_ours(frame.f_code.co_filename):
            return None
        frame.f_trace_opcodes = True
        self._recheck.look(frame, frame.f_lasti if kind in ("line", "opcode") else -1)
        is_told = self._take_place(frame)
        # None is returned both by `yield None` and by an error, which has an event of its own just before.
        fails = self._failing.pop(get_ident(), None) is frame
        if kind == "return":
            if fails or opcode.opname[frame.f_code.co_code[frame.f_lasti]] != "YIELD_VALUE":
                self._recheck.end(frame)
            self._recheck.move_to_caller(frame)
        else:
            self._recheck.move(frame.f_code, max(frame.f_lasti, 0))
        if kind == "call" and is_start(frame):
            self._recheck.begin(frame)
        if kind == "opcode":
            self._recheck.look_ahead(frame, frame.f_lasti)
        if kind == "exception":
            self._failing[get_ident()] = frame
        other = self._others.get(get_ident())
        if other is not None and kind != "opcode" and not (kind == "line" and is_told):
            other(frame, kind, argument)
            self._take_place(frame)
        self._recheck.look_again(frame)
        return self._trace if self._threading is not None else None

    def _take_place(self, frame: FrameType) -> bool:
        """Take the place of a trace function that was set meanwhile; return whether one was, or ours was taken off.

        A debugger of bdb's kind decides itself where it stops: it may get the events of every frame.
        """
        other: Any = sys.gettrace()
        if self._threading is None or self._is_ours(other):
            return False
        if other is None:
            self._others.pop(get_ident(), None)
        else:
            self._others[get_ident()] = other
        self._trace_frames(frame)
        sys.settrace(self._trace)
        return True

    def _trace_frames(self, innermost: FrameType) -> None:
        frame: FrameType | None = innermost
        while frame is not None:
            frame.f_trace = self._trace
            frame.f_trace_opcodes = True
            frame = frame.f_back

    def _is_ours(self, function: Any) -> bool:
        return type(function) is MethodType and function.__self__ is self


_RESUME = opcode.opmap["RESUME"]


def is_start(frame: FrameType) -> bool:
    """Return whether `frame`, at its first event since it was entered, is a new call, not a generator that goes on."""
    code = frame.f_code.co_code
    return code[frame.f_lasti] == _RESUME and code[frame.f_lasti + 1] == 0


def begins_threading(frame: FrameType) -> bool:
    """Return whether `frame` runs the module `threading`, which gives what starts threads names of its own."""
    return frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "threading"


def other_threads() -> dict[int, Place]:
    """Return where each thread stands but this one."""
    running = sys._current_frames()  # noqa: SLF001 - there is no other way to them
    del running[get_ident()]  # or this very frame would be part of a cycle, and with it all that call it
    return {thread: (frame.f_code, frame.f_lasti) for thread, frame in running.items()}


def runs_c_only() -> bool:
    """Return whether some thread that Python has started runs, and has no Python frame."""
    return _thread._count() > len(sys._current_frames()) - 1  # noqa: SLF001 - less the main thread's


def places_of(frame: FrameType | None) -> tuple[Place, ...]:
    """Return the place of each frame from `frame` outwards, of the innermost 500."""
    places: list[Place] = []
    outer = frame
    while outer is not None and len(places) < MOST_PLACES:
        places.append((outer.f_code, outer.f_lasti))
        outer = outer.f_back
    return tuple(places)


def frame_of(frame: FrameType, code: CodeType) -> FrameType | None:
    """Return the nearest frame from `frame` outwards that runs `code`."""
    outer: FrameType | None = frame
    while outer is not None and outer.f_code is not code:
        outer = outer.f_back
    return outer


def tool_place() -> Place | None:
    """Return where the trace or profile function of this thread begins; None when there is none, or it is not known."""
    function: Any = sys.gettrace()
    if function is None:
        function = sys.getprofile()
    if type(function) is MethodType:
        function = function.__func__
    return (function.__code__, 0) if type(function) is FunctionType else None


def may_change(code: CodeType, offset: int) -> bool:
    """Return whether the instruction at `offset` can change data in any way: its place may be that of a part of it."""
    name = opcode.opname[code.co_code[offset]]
    return name in ("CACHE", "EXTENDED_ARG") or name not in opcodes.INERT


def can_change(code: CodeType, offset: int) -> bool:
    """Return whether the instruction at `offset` can change data that others hold."""
    number = code.co_code[offset]
    return opcode.opname[number] == "BINARY_OP" or bool(
        opcodes.EFFECTS.get(opcode.opname[number], 0) & (opcodes.CALL | opcodes.STORE | opcodes.MISSING)
    )
