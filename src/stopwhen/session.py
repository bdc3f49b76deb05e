"""The session: owns watchpoints and mechanisms, arms plans, turns events into hits.

A watchpoint goes   new -> planned -> armed <-> disarmed -> gone:
planned by reading its expression, armed when each of its cells is, disarmed while disabled, gone once removed. Each
event on one of its cells reads the expression again and plans anew, in the same step.
"""

from __future__ import annotations

import atexit
import dataclasses
import itertools
import os
from _thread import RLock, get_ident
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from stopwhen import actions, conditions, deltas, env, hits, location, values
from stopwhen.cells import Local
from stopwhen.dependencies import Reading, read
from stopwhen.errors import Refused, StopwhenError, Unavailable
from stopwhen.event import Ended, Event, Rebound
from stopwhen.expression import parse
from stopwhen.hit import Hit
from stopwhen.mechanisms import all_mechanisms, chosen
from stopwhen.mechanisms.native import events_of
from stopwhen.mechanisms.recheck import Recheck
from stopwhen.plan import Plan, PlannedCell, cells_of, choose, plan_for
from stopwhen.rules import HitCondition, Rules, action_of, condition_of, depth_of, patterns_of
from stopwhen.scope import FrameScope, NoScope, resolve
from stopwhen.texts import text_of
from stopwhen.types import ABSENT, AccessType, Action
from stopwhen.watchpoint import Seen, Watchpoint, seen_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import FrameType

    from stopwhen.cells import Cell
    from stopwhen.mechanisms import Mechanism


class DueHit(NamedTuple):
    """A hit whose action waits for the thread that wrote."""

    hit: Hit
    frame: FrameType | None


class Raise(NamedTuple):
    """An exception to raise in a frame as if its instruction at `offset` had raised it."""

    error: BaseException
    frame: FrameType | None
    offset: int


class Session:
    """All watchpoints of this process."""

    def __init__(self) -> None:
        self.output = actions.Output()
        self._lock = RLock()
        self._numbers = itertools.count(1)
        self._watchpoints: dict[int, Watchpoint] = {}
        self._readers: dict[Cell, dict[Watchpoint, None]] = {}
        self._armed: dict[Cell, PlannedCell] = {}
        self._mechanisms = all_mechanisms(self._handle)
        self._waiting = _Waiting()
        self._processing = False
        self._due: dict[int, list[DueHit]] = {}
        self._acting: set[int] = set()
        self._pid = os.getpid()
        if env.core is not None:
            env.core.open(self._drain, ABSENT)

    # What users ask for.

    def watch(
        self,
        access: AccessType,
        text: str,
        *,
        scope: Any = None,
        depth: int | str = 1,
        condition: str | Callable[[Hit], object] | None = None,
        hit_condition: str | int | None = None,
        threads: str | Iterable[str] | None = None,
        files: str | Iterable[str] | None = None,
        not_files: str | Iterable[str] | None = None,
        action: str | Action | Callable[[Hit], object] = Action.STOP,
        allow_calls: bool = False,
        frame: FrameType | None = None,
    ) -> Watchpoint:
        """Make, plan and arm a watchpoint, and return it.

        Args:
            access: what makes an event a hit.
            text: the watch expression.
            scope: where its names are read: None for `__main__`, else as the contract's table of scopes says.
            depth: how far the content of the value counts: 0, 1, ... or "all".
            condition: expression over `old`, `new` and the writing frame's names, or a callable of the hit.
            hit_condition: rule on the count.
            threads: names, or patterns of names, of the threads whose writes count.
            files: patterns of the files whose writes count.
            not_files: patterns of the files whose writes do not count.
            action: "stop", "log", "raise", "count", or a callable of the hit.
            allow_calls: evaluate calls that are not known to be free of side effects.
            frame: the frame whose names are read, instead of `scope`.

        Raises:
            BadExpression: `text`, a condition or hit condition cannot be understood.
            Refused: the data cannot be watched, with the reason.
            UsageError: another argument is wrong.
        """
        expression = parse(text)
        rules = Rules(
            condition_of(condition),
            None if hit_condition is None else HitCondition(hit_condition),
            patterns_of("threads", threads),
            patterns_of("files", files),
            patterns_of("not_files", not_files),
            action_of(action),
        )
        if access in (AccessType.WRITE, AccessType.READ):
            raise Refused(
                f"cannot watch {access.value} of {text!r}: no mechanism here sees an access that changes nothing",
                slug="access-type",
                hint="watch its changes",
            )
        where = FrameScope(frame) if frame is not None else resolve(scope)
        with self._lock:
            watchpoint = Watchpoint(
                next(self._numbers),
                expression,
                access,
                where,
                depth_of(depth),
                allow_calls,
                rules,
                self,
                self._usable(),
            )
            self._arm(watchpoint)
            self._watchpoints[watchpoint.number] = watchpoint
            seen = watchpoint.seen
            assert seen is not None, "an armed watchpoint has been read"
            already = self._already(watchpoint) if seen.truth else None
        if already is not None:
            raised = self._run_due([already])
            if raised is not None:
                raise raised.error
        return watchpoint

    def watchpoints(self) -> list[Watchpoint]:
        """Return those that are not removed, by number."""
        return list(self._watchpoints.values())

    def clear(self) -> None:
        """Remove all watchpoints."""
        for watchpoint in self.watchpoints():
            self.remove(watchpoint)

    def close(self) -> None:
        """Remove all watchpoints and let go of the interpreter. May be called twice."""
        self.clear()
        if env.core is not None:
            env.core.close()
            env.core.open(self._drain, ABSENT)

    def explain(self, text: str, scope: Any = None, depth: int | str = 1, allow_calls: bool = False) -> Plan:
        """Return how `text` would be watched, without arming anything. Arguments and errors as for `watch`."""
        reading = read(parse(text), resolve(scope), depth=depth_of(depth), allow_calls=allow_calls)
        return plan_for(text, reading, self._usable())

    # What watchpoints pass on.

    def plan_of(self, watchpoint: Watchpoint) -> Plan:
        """Return how each cell of `watchpoint` is watched now."""
        with self._lock:
            seen = watchpoint.seen
            if seen is None or watchpoint.removed:
                return Plan(watchpoint.expression.text, "not watched any more", ())
            cells = tuple(self._armed[cell] for cell in cells_of(seen.reading) if cell in self._armed)
            because = seen.reading.absent_because
            return Plan(
                watchpoint.expression.text, seen.value_text if because is None else f"absent ({because})", cells
            )

    def enable(self, watchpoint: Watchpoint) -> None:
        """Arm `watchpoint` again; the present value counts as the last one seen."""
        with self._lock:
            if not watchpoint.enabled and not watchpoint.removed:
                self._arm(watchpoint)
                watchpoint.enabled = True

    def disable(self, watchpoint: Watchpoint) -> None:
        """Disarm `watchpoint` until it is enabled."""
        with self._lock:
            if watchpoint.enabled:
                watchpoint.enabled = False
                self._disarm(watchpoint)

    def remove(self, watchpoint: Watchpoint) -> None:
        """End `watchpoint`: nothing of it stays armed, and it holds none of the program's objects."""
        with self._lock:
            if not watchpoint.removed:
                watchpoint.removed = True
                self._disarm(watchpoint)
                watchpoint.seen = None
                watchpoint.scope = NoScope()
                self._watchpoints.pop(watchpoint.number, None)

    # Arming.

    def _usable(self) -> tuple[Mechanism, ...]:
        return chosen(self._mechanisms)

    def _read(self, watchpoint: Watchpoint, past: Mapping[Cell, Any] | None = None) -> Reading:
        return read(
            watchpoint.expression,
            watchpoint.scope,
            depth=watchpoint.depth,
            allow_calls=watchpoint.allow_calls,
            past=past,
        )

    def _arm(self, watchpoint: Watchpoint) -> None:
        """Read and plan `watchpoint`, and arm all its cells or none."""
        reading = self._read(watchpoint)
        watchpoint.seen = seen_of(reading, watchpoint.access)
        try:
            for cell in cells_of(reading):
                self._add_reader(cell, watchpoint)
        except BaseException:
            self._disarm(watchpoint)
            raise
        watchpoint.was_present |= reading.value is not ABSENT
        if isinstance(watchpoint.scope, FrameScope) and not _reads_local(reading):
            watchpoint.scope.let_go()

    def _disarm(self, watchpoint: Watchpoint) -> None:
        if watchpoint.seen is not None:
            for cell in cells_of(watchpoint.seen.reading):
                self._drop_reader(cell, watchpoint)

    def _add_reader(self, cell: Cell, watchpoint: Watchpoint) -> None:
        if cell not in self._readers:
            self._armed[cell] = self._arm_cell(cell, watchpoint.mechanisms)
        self._readers.setdefault(cell, {})[watchpoint] = None

    def _drop_reader(self, cell: Cell, watchpoint: Watchpoint) -> None:
        readers = self._readers.get(cell)
        if readers is None or watchpoint not in readers:
            return
        del readers[watchpoint]
        if not readers:
            del self._readers[cell]
            self._armed.pop(cell).mechanism.disarm(cell)

    def _arm_cell(self, cell: Cell, mechanisms: Sequence[Mechanism]) -> PlannedCell:
        for planned in choose(cell, mechanisms):
            try:
                planned.mechanism.arm(cell)
            except Unavailable:
                continue
            return planned
        raise AssertionError("choose() raises when it runs out of mechanisms")

    def _replan(self, watchpoint: Watchpoint, reading: Reading) -> None:
        """Arm what `reading` depends on, and then only let go of what it no longer does."""
        assert watchpoint.seen is not None
        before = cells_of(watchpoint.seen.reading)
        now = cells_of(reading)
        try:
            for cell in now:
                self._add_reader(cell, watchpoint)
        except BaseException:
            for cell in now:
                if cell not in before:
                    self._drop_reader(cell, watchpoint)
            raise
        for cell in before:
            if cell not in now:
                self._drop_reader(cell, watchpoint)

    # Events.

    def _drain(self) -> Raise | None:
        """Take what the C module has noted, until there is nothing left; then run the actions of this thread.

        Returns:
            What the C module is to raise in the program, so that no frame of ours is in the traceback.
        """
        with self._lock:  # or threads would take records in one order, and process them in another
            while records := env.core.take():
                self._process_all(events_of(records))
        return self._run_due(self._take_due())

    def _handle(self, events: list[Event]) -> None:
        """Take events of a mechanism in Python."""
        if events:
            thread_id = get_ident()
            if thread_id in self._acting:
                events = [event if event.own else _as_own(event) for event in events]
            self._process_all(events)
        if self._due:
            raised = self._run_due(self._take_due())
            if raised is not None:
                raise raised.error

    def _process_all(self, events: list[Event]) -> None:
        """Process `events` behind those that wait already; when called by what that runs, leave them waiting."""
        with self._lock:
            self._waiting.extend(events)
            if self._processing:
                return
            self._processing = True
            try:
                while self._waiting:
                    event = self._waiting.pop()
                    for watchpoint in list(self._readers.get(event.cell, ())):
                        self._process(watchpoint, event)
            finally:
                self._processing = False
                if env.core is not None:
                    env.core.set_due(len(self._due))

    def _process(self, watchpoint: Watchpoint, event: Event) -> None:
        if isinstance(event.delta, Ended):
            self.remove(watchpoint)
            return
        seen = watchpoint.seen
        assert seen is not None
        try:
            new, changed = self._look(watchpoint, seen, event)
        except StopwhenError as error:
            self.output.say(f"no longer watching {watchpoint.expression.text!r}: {error}")
            self.remove(watchpoint)
            return
        watchpoint.seen = new
        watchpoint.was_present |= new.reading.value is not ABSENT
        if changed and not event.own:
            self._consider(watchpoint, seen, new, event)

    def _look(self, watchpoint: Watchpoint, seen: Seen, event: Event) -> tuple[Seen, bool]:
        """Return the state of `watchpoint` after `event`, and whether that is what its access type asks for."""
        if event.cell not in seen.reading.cells and watchpoint.depth == 1 and watchpoint.access is AccessType.CHANGE:
            # Content of the value alone: neither the value nor what it depends on is another.
            if not deltas.is_change(event.delta):
                return seen, False
            return Seen(seen.reading, text=text_of(seen.reading.value)), True
        reading = self._read_after(event, watchpoint)
        new = seen_of(reading, watchpoint.access)
        self._replan(watchpoint, reading)
        if watchpoint.access is AccessType.TRUE:
            return new, new.truth and not seen.truth
        if event.cell in seen.reading.content and reading.value is seen.reading.value:
            return new, deltas.is_change(event.delta)
        equal = values.same_structure if reading.fresh and seen.reading.fresh else values.same
        return new, not equal(seen.reading.value, reading.value)

    def _read_after(self, event: Event, watchpoint: Watchpoint) -> Reading:
        """Read `watchpoint` as it was right after `event`, before those that wait or arrive while it is read."""
        while True:
            past = self._waiting.past()
            if isinstance(event.delta, Rebound):
                past[event.cell] = event.delta.new
            reading = self._read(watchpoint, past)
            records = () if env.core is None else env.core.take()
            if not records:
                return reading
            self._waiting.extend(events_of(records))

    def _consider(self, watchpoint: Watchpoint, seen: Seen, new: Seen, event: Event) -> None:
        """Ask the rules in their order; what passes them all is due in the thread that wrote."""
        thread = hits.thread_name(event.thread_id)
        writer = location.locate(*event.stack[0]) if event.stack else None
        if not watchpoint.rules.allow_writer(thread, None if writer is None else writer.filename):
            return
        old_value, new_value = hits.values_of(watchpoint.access, seen, new)
        if not self._expression_holds(watchpoint, old_value, new_value, event.frame):
            return
        hit = hits.hit_of(watchpoint, seen, new, event, in_child=os.getpid() != self._pid)
        if not self._callable_holds(watchpoint, hit):
            return
        watchpoint.count += 1
        due = self._keep(watchpoint, hit, event.frame)
        if due is not None:
            self._due.setdefault(event.thread_id, []).append(due)

    def _already(self, watchpoint: Watchpoint) -> DueHit | None:
        """Consider the hit of a watchpoint that is true when it is armed."""
        hit, frame = hits.already(watchpoint)
        if not self._expression_holds(watchpoint, hit.old, hit.new, frame) or not self._callable_holds(watchpoint, hit):
            return None
        watchpoint.count += 1
        return self._keep(watchpoint, hit, frame)

    def _keep(self, watchpoint: Watchpoint, hit: Hit, frame: FrameType | None) -> DueHit | None:
        """Keep a hit that has been counted, if it acts; return what is due then."""
        rules = watchpoint.rules
        if rules.hit_condition is not None and not rules.hit_condition.holds(watchpoint.count):
            return None
        watchpoint.kept.append(hit.kept())
        return None if rules.action is Action.COUNT else DueHit(hit, frame)

    # The user's code: conditions and actions.

    def _expression_holds(self, watchpoint: Watchpoint, old: Any, new: Any, frame: FrameType | None) -> bool:
        """Return whether a condition that is an expression is true; so is none, or one of another kind."""
        condition = watchpoint.rules.condition
        if condition is None or callable(condition):
            return True
        return self._ask(watchpoint, lambda: conditions.holds(condition, old, new, frame))

    def _callable_holds(self, watchpoint: Watchpoint, hit: Hit) -> bool:
        """Return whether a condition that is a callable returns true for `hit`; so is none, or one of another kind."""
        condition = watchpoint.rules.condition
        if not callable(condition):
            return True
        return self._ask(watchpoint, lambda: bool(condition(hit)))

    def _ask(self, watchpoint: Watchpoint, condition: Callable[[], bool]) -> bool:
        """Return what a condition says; one that raises counts as true, which is said once."""
        with _Own(self):
            try:
                return condition()
            except Exception as error:
                if not watchpoint.condition_failed:
                    watchpoint.condition_failed = True
                    self.output.say(
                        f"the condition of {watchpoint.expression.text!r} raised {_error_text(error)}, "
                        "which counts as true [condition-error]"
                    )
                return True

    def _take_due(self) -> list[DueHit]:
        with self._lock:
            due = self._due.pop(get_ident(), [])
            if env.core is not None:
                env.core.set_due(len(self._due))
            return due

    def _run_due(self, due: list[DueHit]) -> Raise | None:
        """Run the actions of `due`; return the last exception that is meant for the program, when all have run."""
        raised = None
        for hit, frame in due:
            try:
                self._act(hit, frame)
            except BaseException as error:
                offset = hit.places[0][1] if hit.places else 0
                raised = Raise(error.with_traceback(None), frame, offset)
        return raised

    def _act(self, hit: Hit, frame: FrameType | None) -> None:
        action = hit.watchpoint.rules.action  # type: ignore[attr-defined] # the hit's watchpoint is a Watchpoint
        if action is Action.RAISE:
            actions.raise_changed(hit)
        with _Own(self):
            if action is Action.LOG:
                actions.log(hit, self.output)
            elif action is Action.STOP:
                actions.stop(hit, frame, self.output)
            else:
                self._call(action, hit)

    def _call(self, action: Callable[[Hit], object], hit: Hit) -> None:
        try:
            action(hit)
        except Exception as error:
            self.output.say_once(
                f"the action of {hit.watchpoint.expression.text!r} raised {_error_text(error)}; "
                "the program goes on [action-error]"
            )

    def absorb(self) -> None:
        """Take what an action or condition has changed as seen."""
        if env.core is not None:
            env.core.resync()
            with self._lock:
                while records := env.core.take():
                    self._process_all(events_of(records))
        for mechanism in self._mechanisms:
            if isinstance(mechanism, Recheck):
                self._process_all(mechanism.resync(own=True))

    # After fork the child goes on with what works there.

    def after_fork_in_child(self) -> None:
        """Make a lock of the child's own: another thread may have held ours, and what it had begun is void."""
        self._lock = RLock()
        self._due.clear()
        self._acting &= {get_ident()}
        if env.core is not None:
            env.core.forget_threads()
        for mechanism in self._mechanisms:
            if isinstance(mechanism, Recheck):
                mechanism.forget_threads()


class _Own:
    """While it is entered, what this thread changes is the work of a condition or action, and no hit."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        if env.core is not None:
            env.core.resync()  # what other threads have changed meanwhile is not its work
            env.core.own(True)
        self._session._acting.add(get_ident())  # noqa: SLF001

    def __exit__(self, *_error: object) -> None:
        try:
            self._session.absorb()
        finally:
            self._session._acting.discard(get_ident())  # noqa: SLF001
            if env.core is not None:
                env.core.own(False)


_current: Session | None = None


def current() -> Session:
    """Return the session of this process, made on first use."""
    global _current  # noqa: PLW0603 - the one session of the process
    if _current is None:
        _current = Session()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_current.after_fork_in_child)
    return _current


def _close_at_exit() -> None:
    if _current is not None:
        _current.close()


# On import: it runs after the functions that the program registers later, which may still change watched data.
atexit.register(_close_at_exit)


class _Waiting:
    """Events to be processed, in the order in which they happened."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._replaced: dict[Cell, deque[Any]] = {}  # by cell, what each rebinding that waits replaces

    def __bool__(self) -> bool:
        return bool(self._events)

    def extend(self, events: list[Event]) -> None:
        """Add `events`, which happened after all that wait."""
        for event in events:
            self._events.append(event)
            if isinstance(event.delta, Rebound):
                self._replaced.setdefault(event.cell, deque()).append(event.delta.old)

    def pop(self) -> Event:
        """Take the first."""
        event = self._events.popleft()
        if isinstance(event.delta, Rebound):
            replaced = self._replaced[event.cell]
            replaced.popleft()
            if not replaced:
                del self._replaced[event.cell]
        return event

    def past(self) -> dict[Cell, Any]:
        """Return, for each cell that changes in what waits, what it held before."""
        return {cell: replaced[0] for cell, replaced in self._replaced.items()}


def _as_own(event: Event) -> Event:
    return dataclasses.replace(event, own=True)


def _reads_local(reading: Reading) -> bool:
    return any(isinstance(cell, Local) for cell in reading.cells)


def _error_text(error: BaseException) -> str:
    return f"{type(error).__name__}: {text_of(error.args[0]) if error.args else ''}".rstrip(": ")
