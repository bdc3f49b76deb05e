"""The session: owns watchpoints and mechanisms, arms plans, turns events into hits.

A watchpoint goes   new -> planned -> armed <-> disarmed -> gone:
planned by reading its expression, armed when each of its cells is, disarmed while disabled, gone once removed. Each
event on one of its cells reads the expression again and plans anew, in the same step.
"""

from __future__ import annotations

import atexit
from _thread import RLock

from stopwhen import absence, accessing, actions, deltas, env, hits, location, values
from stopwhen.accessing import ArmedAccesses
from stopwhen.acting import Acting, DueHit, Own, Raise
from stopwhen.activation import Activation, Family, Seen, seen_of, with_known_truth
from stopwhen.arming import ArmedCells
from stopwhen.before import ChangedInPlace, Replaced
from stopwhen.cells import Closure, DictItem, Frame, Layout, Local, Opaque
from stopwhen.dependencies import Reading, read
from stopwhen.errors import Notice, Refused, StopwhenError
from stopwhen.evaluation import NEW_EACH_TIME, InsideCall
from stopwhen.event import Ended, Event, Judged, Rebound, Relaid, Unknown
from stopwhen.expression import parse
from stopwhen.families import Families, Host, plan_for_many
from stopwhen.hit import Hit
from stopwhen.immutable import replaced
from stopwhen.launchers import is_launcher
from stopwhen.mechanisms import all_mechanisms, chosen
from stopwhen.mechanisms.native import HIT, cell_of, events_of
from stopwhen.mechanisms.recheck import Recheck
from stopwhen.mechanisms.takeovers import Taken, Takeovers
from stopwhen.mechanisms.tools import SharedTool
from stopwhen.missed import Missed, enumerated, is_own_failure
from stopwhen.originals import os, sys, use_original_builtins
from stopwhen.parts import refused_call
from stopwhen.pinned import pinned
from stopwhen.plan import Plan, cells_of, plan_for
from stopwhen.rules import depth_of, rules_of
from stopwhen.scope import MAIN_ENTRY, FrameScope, MainScope, NoScope, Scope, main
from stopwhen.static import see_modules
from stopwhen.stopping import Step
from stopwhen.terms import Terms
from stopwhen.texts import text_of
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import ABSENT, AccessType, Action
from stopwhen.waiting import Waiting
from stopwhen.watchpoint import Watchpoint
from stopwhen.wide import InstanceScope, WideScope, resolve
from stopwhen.writing_threads import task_name, thread_name

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from types import FrameType

    from stopwhen.before import Transition
    from stopwhen.cells import Cell
    from stopwhen.evaluation import Evaluation
    from stopwhen.event import Delta
    from stopwhen.expression import WatchExpression
    from stopwhen.mechanisms import Mechanism


_PLAIN = Terms()

_COUNT_CONTENT = (AccessType.CHANGE, AccessType.WRITE)

PATIENCE = 1.0
"""For how many seconds a thread of the program waits until another has processed what both have written."""


class Session:
    """All watchpoints of this process."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._next_number = 1
        self._watchpoints: dict[int, Watchpoint] = {}
        self._armed = ArmedCells()
        self._accesses = ArmedAccesses(self._armed)
        tool = SharedTool()
        self._mechanisms = all_mechanisms(self._handle, tool)
        self._takeovers = Takeovers(tool, self._mechanisms)
        self._told_of_takeovers: set[Taken] = set()
        self._waiting = Waiting()
        self._processing = False
        self._missed = Missed()
        self._unsettled = False  # something may be half done, for want of memory: see _settle()
        self._told_of_end_of_tracing = False
        self._calls = _Calls()
        self._acting = Acting(actions.Output(), self.absorb, self._fail)
        self._families = Families(
            Host(
                *(self._armed, self._begin, self._end_one, self._past, self._read, self._consider),
                *(self._consider_already, self._refuse_instance),
            )
        )
        self.is_quitting = False  # the user has left the debugger: the program ends, and nothing is said of that
        self._pid = os.getpid()
        if env.core is not None:
            env.core.open(self._drain, ABSENT, location.FOLDER)
            hits.note_tests()

    @property
    def output(self) -> actions.Output:
        """Where hits that are logged and messages go; a front end may put its own here."""
        return self._acting.output

    @output.setter
    def output(self, output: actions.Output) -> None:
        self._acting.output = output

    @property
    def pid(self) -> int:
        """The process that the session began in."""
        return self._pid

    # What users ask for.

    def watch(
        self,
        access: AccessType,
        text: str,
        terms: Terms = _PLAIN,
        *,
        frame: FrameType | None = None,
        where: Scope | None = None,
        armed_by: FrameType | None = None,
        tells_end: bool = True,
    ) -> Watchpoint:
        """Make, plan and arm a watchpoint, and return it.

        Args:
            access: what makes an event a hit.
            text: the watch expression.
            terms: what else is asked for.
            frame: the frame whose names are read, instead of the terms' scope.
            where: a scope as it is, instead of both.
            armed_by: the frame that asks for it; None for the one that called us.
            tells_end: say so when it ends with its frame, and had no hit.

        Raises:
            BadExpression: `text`, a condition or hit condition cannot be understood.
            Refused: the data cannot be watched, with the reason.
            UsageError: another argument is wrong.
        """
        expression, rules = parse(text), rules_of(terms)
        self.output.arm()
        read_in = where or (resolve(terms.scope) if frame is None else FrameScope(frame))
        if terms.pin:
            read_in = pinned(expression, read_in)
        see_modules()
        self._steady()
        with self._lock, self._calls:
            watchpoint = Watchpoint(
                self._next_number,
                expression,
                access,
                read_in,
                terms.depth,
                terms.allow_calls,
                rules,
                self,
                self._usable(),
                tells_end=tells_end,
            )
            try:
                true_already = self._arm(watchpoint)
                self._watchpoints[watchpoint.number] = watchpoint
                self._next_number += 1
            except StopwhenError:
                raise
            except BaseException:
                self._unsettled = True
                raise
            due = [self._already(watchpoint, armed_by) for _ in range(true_already)]
        raised = self._acting.run([one for one in due if one is not None])
        if raised is not None:
            raise raised.error
        return watchpoint

    def tell_absent(
        self, expression: WatchExpression, scope: Scope | WideScope, frame: FrameType | None = None
    ) -> None:
        """Say which names of an expression are not there in `scope`, where code in `frame` has just asked for it."""
        for notice in absence.notices(expression, scope, lambda: absence.modules_of(frame)):
            self.output.say_once(str(notice))

    def watchpoints(self) -> list[Watchpoint]:
        """Return those that are not removed, by number."""
        self._steady()
        return list(self._watchpoints.values())

    def clear(self) -> None:
        """Remove all watchpoints."""
        try:
            self.catch_up()
        except MemoryError:
            self._unsettled = True
        for watchpoint in list(self._watchpoints.values()):
            self.remove(watchpoint)

    def close(self) -> None:
        """Remove all watchpoints and let go of the interpreter. May be called twice."""
        failure: BaseException | None = None
        disarming = (mechanism.disarm_all for mechanism in self._mechanisms)
        ending = (self._acting.close, self.output.close)
        for step in (self.catch_up, self._look_last, self._steady, self.clear, *disarming, *ending):
            try:
                step()
            except MemoryError:
                self._unsettled = True
            except BaseException as error:  # none of the other steps is left out for it
                failure = error
        if env.core is not None:
            env.core.close()
            env.core.open(self._drain, ABSENT, location.FOLDER)
            hits.note_tests()
        if failure is not None:
            raise failure

    def explain(
        self,
        text: str,
        scope: Any = None,
        depth: int | str = 1,
        allow_calls: bool = False,
        access: AccessType = AccessType.CHANGE,
    ) -> Plan:
        """Return how `text` would be watched, without arming anything. Arguments and errors as for `watch`."""
        expression, where = parse(text), resolve(scope)
        if isinstance(where, WideScope):
            return plan_for_many(
                *(expression, where, depth_of(depth), self._usable()), access=access, allow_calls=allow_calls
            )
        content = accessing.depth_of_content(access, depth_of(depth))
        reading = read(expression, where, depth=content, allow_calls=allow_calls)
        return accessing.with_accesses(plan_for(text, reading, self._usable()), access, reading, depth)

    # What watchpoints pass on.

    def plan_of(self, watchpoint: Watchpoint) -> Plan:
        """Return how each cell of `watchpoint` is watched now."""
        with self._lock:
            text, family = watchpoint.expression.text, watchpoint.family
            activation = next(reversed(watchpoint.activations.values()), None)
            if family is not None:
                cells = family.cells if activation is None else (*family.cells, *activation.cells)
                planned = (*self._armed.planned(cells), *self._families.planned_parts(family))
                return Plan(text, family.title, planned, state="is read in")
            if activation is None:
                return Plan(text, "not watched any more", ())
            seen = activation.seen
            because = seen.reading.absent_because
            plan = Plan(
                text,
                seen.value_text if because is None else f"absent ({because})",
                self._armed.planned([cell for cell in activation.cells if cell is not MAIN_ENTRY]),
            )
            return accessing.with_accesses(plan, watchpoint.access, seen.reading, watchpoint.depth)

    def enable(self, watchpoint: Watchpoint) -> None:
        """Arm `watchpoint` again; the present value counts as the last one seen."""
        with self._lock, self._calls:
            if not watchpoint.enabled and not watchpoint.removed:
                self._arm(watchpoint)
                watchpoint.enabled = True

    def disable(self, watchpoint: Watchpoint) -> None:
        """Disarm `watchpoint` until it is enabled."""
        with self._lock, self._calls:
            if watchpoint.enabled:
                watchpoint.enabled = False
                self._disarm_surely(watchpoint)

    def remove(self, watchpoint: Watchpoint) -> None:
        """End `watchpoint`: nothing of it stays armed, and it holds none of the program's objects."""
        try:
            with self._lock:
                self._see_takeovers()
                left = self._acting.take_of_ended()
            self._acting.run(left)
        except MemoryError:
            self._unsettled = True
        finally:
            with self._lock, self._calls:
                watchpoint.removed = True
                self._watchpoints.pop(watchpoint.number, None)
                watchpoint.scope = _NO_SCOPE
                self._disarm_surely(watchpoint)

    # What a debugger of ours asks for.

    def as_own(self) -> Own:
        """Return a context in which what this thread changes is the work of a debugger, and no hit."""
        return Own(self._acting)

    def at_prompt(self, show: Callable[[Hit], object]) -> AbstractContextManager[None]:
        """Return a context for what is typed in a debugger: no hit comes of it, and no other thread is at that.

        `show` reports what is true already when a watchpoint is set there.
        """
        return self._acting.at_prompt(show)

    def settle(self, frame: FrameType) -> list[Hit]:
        """Return the hits for which this thread is to stop in `frame`, which begins a line; the caller stops for them.

        What the line before has changed may not have been told yet: events of trace functions come before ours.
        """
        if env.core is None:
            return []
        if env.HAS_MONITORING:  # on 3.11 our look comes before the event of anybody's trace function
            env.core.look_back(frame)
        with self._lock:
            self._take_records()
            stops = self._acting.take_stops()
            env.core.set_due(len(self._acting))
        return stops

    def go_on(self, frame: FrameType) -> None:
        """Take note that this thread begins a line of `frame` now: it may have set watchpoints since it came there."""
        if env.core is not None and not env.HAS_MONITORING:
            env.core.begin_line(frame)

    # Arming.

    def _usable(self) -> tuple[Mechanism, ...]:
        return chosen(self._mechanisms)

    def _arm(self, watchpoint: Watchpoint) -> int:
        """Read and plan `watchpoint`, and arm all its cells or none; return in how many places it is true already."""
        scope = watchpoint.scope
        if not isinstance(scope, WideScope):
            span: tuple[Cell, ...] = ()
            if isinstance(scope, FrameScope) and scope.has_variable(watchpoint.expression.names()):
                span = (Frame(watchpoint.expression.text, scope.running),)
            elif isinstance(scope, FrameScope):
                scope.let_go()
            elif isinstance(scope, MainScope):
                span = (MAIN_ENTRY,)
            return int(self._begin(watchpoint, scope, scope, span).seen.truth)
        watchpoint.family = Family(watchpoint, scope)
        try:
            return self._families.begin(watchpoint.family)
        except BaseException:
            self._disarm(watchpoint)
            raise

    def _begin(self, watchpoint: Watchpoint, key: object, scope: Scope, span: tuple[Cell, ...] = ()) -> Activation:
        """Read the expression of `watchpoint` in `scope`, and arm all cells that it reads there or none."""
        reading = self._read(watchpoint, scope, None, {})
        activation = Activation(watchpoint, key, scope, seen_of(reading, watchpoint.access), span)
        self._armed.add(activation, activation.cells)
        try:
            self._accesses.follow(activation, reading)
        except BaseException:
            self._let_go(activation)
            raise
        self._armed.judge(activation)
        watchpoint.activations[key] = activation
        watchpoint.began = True
        for cell in reading.cells:
            if isinstance(cell, Opaque):  # arming it has compared two values
                self._tell_news(watchpoint, cell.owner)
        watchpoint.was_present |= reading.value is not ABSENT
        return activation

    def _end(self, activation: Activation) -> Activation | None:
        """End one of many activations, and return what goes on for it; that of a scope alone ends its watchpoint."""
        watchpoint = activation.watchpoint
        going_on = None
        if watchpoint.family is None:
            self.remove(watchpoint)
            is_told = watchpoint.tells_end and not watchpoint.count and not self.is_quitting
            if is_told and isinstance(activation.scope, FrameScope):
                self.output.say_once(str(_end_of_frame(watchpoint, activation.scope)))
        elif activation.is_live:
            going_on = self._families.outlive(activation)
            self._end_one(activation)
        return going_on

    def _end_one(self, activation: Activation) -> None:
        del activation.watchpoint.activations[activation.key]
        self._let_go(activation)

    @staticmethod
    def _drop_later(seen: Seen, thread_id: int = 0) -> None:
        """Let what only `seen` still holds end in that thread, by rule this one, and below none of our frames."""
        if env.core is not None:
            env.core.hold(seen, thread_id)

    def _let_go(self, activation: Activation) -> None:
        self._drop_later(activation.seen)
        self._accesses.drop(activation)
        self._armed.drop(activation, activation.cells)

    def _disarm(self, watchpoint: Watchpoint) -> None:
        activations = list(watchpoint.activations.values())
        watchpoint.activations.clear()
        for activation in activations:
            self._let_go(activation)
        if watchpoint.family is not None:
            self._families.end(watchpoint.family)
            watchpoint.family = None

    def _disarm_surely(self, watchpoint: Watchpoint) -> None:
        try:
            self._disarm(watchpoint)
        except MemoryError:
            self._unsettled = True  # what is left of it goes with the next event or call

    # After something was missed or left half done, for want of memory as a rule.

    def _steady(self) -> None:
        """Have nothing half done, and nothing taken away, before something new is begun."""
        with self._lock:
            if self._unsettled:
                self._settle()
            self._see_takeovers()

    def _see_takeovers(self) -> None:
        """If somebody has taken away what a mechanism needs, arm everything anew, and say how it goes on."""
        if self._processing or self._calls or not self._watchpoints:
            return  # it is asked for again
        reloaded = next((name for name, module, spec in _loaded if module.__spec__ is not spec), None)
        if reloaded is not None:
            self._end_all(f"the program has loaded {reloaded} anew")
        for taken in self._takeovers.find():
            names = enumerated([one.expression.text for one in self._watchpoints.values() if one.enabled])
            with self._calls:
                self._arm_anew()
            if taken.may_miss or not (taken.is_asked_for or taken in self._told_of_takeovers):
                self._told_of_takeovers.add(taken)
                self.output.say(taken.message(names, self._armed.titles()))

    def _settle(self) -> None:
        """Arm everything anew, and say what may have been missed.

        Whatever fails in here, for want of memory again, may be tried again.
        """
        if self._processing or self._calls:
            return
        with self._calls:
            self._arm_anew()
        self._missed.tell(self.output, [one.expression.text for one in self._watchpoints.values() if one.enabled])
        self._unsettled = False

    def _arm_anew(self) -> None:
        if env.core is not None:
            if not self._missed.any_may:
                self._process_all(events_of(env.core.take()))
            while env.core.take():
                pass
        self._waiting.clear()
        for watchpoint in list(self._watchpoints.values()):
            self._disarm(watchpoint)
        self._armed.clear()
        for mechanism in self._mechanisms:
            mechanism.disarm_all()
        for watchpoint in list(self._watchpoints.values()):
            if watchpoint.enabled:
                self._arm_again(watchpoint)

    def _arm_again(self, watchpoint: Watchpoint) -> None:
        scope = watchpoint.scope
        if isinstance(scope, FrameScope) and scope.is_over:
            self.remove(watchpoint)
            return
        try:
            self._arm(watchpoint)
        except StopwhenError as error:
            self._give_up(watchpoint, error)
        except Exception as error:
            if isinstance(error, MemoryError | RecursionError) or not is_own_failure(error):
                raise
            # Our own mistake, which would only be made again at each event.
            told = StopwhenError(f"stopwhen fails at it with {type(error).__name__}: {error}", slug="own-mistake")
            self._give_up(watchpoint, told)

    def _give_up(self, watchpoint: Watchpoint, error: StopwhenError) -> None:
        watchpoint.given_up = True
        self.remove(watchpoint)
        self.output.refused(watchpoint, error)

    def _fail(self, watchpoint: Watchpoint, error: BaseException) -> None:
        """Take note that for an error of ours nothing came of a hit."""
        self._unsettled = True
        self._missed.because(error)
        self._missed.add([watchpoint.expression.text])

    # Events.

    def _drain(self) -> Step | Raise | bool:
        """Take what the C module has noted, until there is nothing left; then run the actions of this thread.

        Returns:
            What the C module is to call, or to raise in the program, so that no frame of ours is in between; else
            whether it is to call again as soon as it can.
        """
        return self._handle_records(by_event=True)

    def _handle_records(self, *, by_event: bool) -> Step | Raise | bool:
        try:
            if not self._lock.acquire(timeout=PATIENCE if by_event else -1):
                return False  # who has it may wait for a lock that this thread holds: it takes the records
            try:
                self._take_records()
                due = self._take_due()
            finally:
                self._lock.release()
            return (self._acting.begin(due, by_event=True) if by_event else self._acting.run(due)) or self._unsettled
        except BaseException as error:
            self._unsettled = True
            self._missed.because(error)
            if not is_own_failure(error):
                raise
            return True

    def _take_records(self) -> None:
        """Process what the C module has noted, and see to what it could not note."""
        with self._lock:  # or threads would take records in one order, and process them in another
            if self._unsettled:
                self._settle()
            self._missed.any_may = True  # as long as that is not done: whatever ends it leaves this mark
            while records := env.core.take():
                self._process_all(events_of(self._take_hits(records)))
            tokens, others = ((), False) if self._calls else env.core.take_missed()
            if tokens or others:
                self._unsettled = True
                cells = [cell_of(token) for token in tokens]
                self._missed.add(
                    [one.watchpoint.expression.text for cell in cells for one in self._armed.readers(cell)]
                )
                self._missed.any_may = others
                self._settle()
            self._missed.any_may = False
            if self._takeovers.may_be():
                self._see_takeovers()

    def _end_all(self, reason: str) -> None:
        """End all watchpoints at once, whatever works no more, and say why."""
        texts = [one.expression.text for one in self._watchpoints.values()]
        self.output.say(f"no longer watching {enumerated(texts)}: {reason} [taken-away]")
        for watchpoint in self._watchpoints.values():
            watchpoint.removed = True
            watchpoint.enabled = False
        self._watchpoints.clear()
        self._armed.clear()
        for mechanism in self._mechanisms:
            try:
                mechanism.disarm_all()
            except Exception:  # noqa: S110 - the C module disarms all that it has, below
                pass
        if env.core is not None:
            env.core.close()
            env.core.open(self._drain, ABSENT, location.FOLDER)
            hits.note_tests()

    def _take_hits(self, records: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Let the actions wait for which the first of `records` ask, of hits that are judged; return the others."""
        count = 0
        for _token, kind, data, thread_id, frame, *_rest in records:
            if kind != HIT or self._waiting:
                break
            self._add_judged(Judged(*data), thread_id, frame)
            count += 1
        return records[count:]

    def _add_judged(self, judged: Judged, thread_id: int, frame: FrameType | None) -> None:
        if not judged.watchpoint.removed:
            hit = hits.JudgedHit(judged.watchpoint, judged.raw, own_pid=self._pid)
            self._acting.add(thread_id, DueHit(hit, frame))

    def _handle(self, events: list[Event]) -> None:
        """Take events of a mechanism in Python."""
        raised = None
        try:
            if events:
                if self._acting.is_acting():
                    events = [event if event.own else _as_own(event) for event in events]
                self._process_all(events)
            if self._acting:
                due = self._take_due()
                self._expect_endings(due)
                raised = self._acting.run(due)
                del due
            self._steady()
        except BaseException as error:
            self._unsettled = self._missed.any_may = True
            self._missed.because(error)
            if not is_own_failure(error):
                raise
        if raised is not None:
            self._tell_of_end_of_tracing()
            raise raised.error

    def _expect_endings(self, due: list[DueHit]) -> None:
        """Tell the mechanism in Python where hits may be the last that hold an old value: it ends below our frames."""
        if any(one.hit.old is not ABSENT and not values.is_simple(one.hit.old) for one in due):
            for mechanism in self._mechanisms:
                if isinstance(mechanism, Recheck):
                    mechanism.expect_endings()

    def _tell_of_end_of_tracing(self) -> None:
        """Say once that on 3.11 the interpreter traces a thread no more in which a trace function in Python raises."""
        if not env.HAS_MONITORING and not self._told_of_end_of_tracing:
            self._told_of_end_of_tracing = True
            self.output.say(
                "an exception is raised by a watchpoint that is watched in pure Python: on Python 3.11 what this "
                "thread changes from now on may be missed [raised-once]"
            )

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
                    if isinstance(event.delta, Judged):
                        self._add_judged(event.delta, event.thread_id, event.frame)
                        continue
                    for reader in self._armed.readers(event.heard_by or event.cell):
                        if reader.is_live:  # what ran for those before it may have ended it
                            self._tell(reader, event)
            finally:
                self._processing = False
                if env.core is not None:
                    env.core.set_due(len(self._acting))
                    if self._acting.waits_for_ended():
                        env.core.drain_later()

    def _tell(self, reader: Activation | Family, event: Event) -> None:
        """Have `reader` take `event`; what cannot be watched any more after it is removed, and the reason said."""
        watchpoint = reader.watchpoint
        try:
            if isinstance(reader, Family):
                self._families.hear(reader, event)
            elif isinstance(event.delta, Ended):
                self._end(reader)
            elif isinstance(reader.scope, FrameScope) and reader.scope.is_closed:
                going_on = self._end(reader)
                if going_on is not None and event.cell in going_on.cells:
                    self._process(going_on, event)
            else:
                self._process(reader, event)
        except StopwhenError as error:
            self._give_up(watchpoint, error)

    def _process(self, activation: Activation, event: Event) -> None:
        watchpoint, seen = activation.watchpoint, activation.seen
        if isinstance(event.cell, Opaque):
            self._tell_news(watchpoint, event.cell.owner)
        elif event.own and any(isinstance(cell, Opaque) for cell in seen.reading.cells):
            return  # evaluating may have stored what it found: an event of the Opaque cell tells whether that differs
        try:
            new, changed = self._look(activation, event)
        except InsideCall as inside:
            self._wait(activation, Opaque(watchpoint.expression.text, inside.evaluation))
            return
        except Refused as refused:
            if refused.slug == "too-deep":
                self._consider_last(activation, event)
            raise
        waited = [cell for cell in seen.reading.cells if isinstance(cell, Opaque) and cell.owner.waited]
        for cell in waited:
            cell.owner.waited = False
        if waited and event.other is None and event.stack:
            event = replaced(event, other=event.stack[0])  # what wrote ended since
        if isinstance(event.delta, Unknown) or seen.reading.fresh:  # else what the event replaced holds what we drop
            self._drop_later(seen, event.thread_id)
        is_first = activation.takes_first_value(new)
        activation.seen = new
        is_same = new.reading is seen.reading
        if not is_same and (activation.judged is None or new.reading.cells != seen.reading.cells):
            self._armed.judge(activation)
        watchpoint.was_present |= new.reading.value is not ABSENT
        if changed and not (event.own or is_first or self._is_of_launcher(activation, event)):
            self._consider(watchpoint, seen, new, event)

    def _tell_news(self, watchpoint: Watchpoint, evaluation: Evaluation) -> None:
        """Say what has been found about evaluating the expression, once."""
        for news in evaluation.take_news():
            self.output.say(str(_notice_of(watchpoint.expression.text, news)))

    def _wait(self, activation: Activation, cell: Opaque) -> None:
        """Leave the value of `activation` as it was last seen, until `cell` can be evaluated."""
        seen = activation.seen
        cell.owner.waited = cell.owner.is_owed = True
        if cell not in seen.reading.cells:
            cells = (*seen.reading.cells, cell)
            now = Seen(replaced(seen.reading, cells=cells), seen.truth, seen.text)
            self._armed.replace(activation, cells_of(seen.reading), cells_of(now.reading))
            activation.seen = now

    @staticmethod
    def _is_of_launcher(activation: Activation, event: Event) -> bool:
        """Tell whether a change is none of the program's: a tool that runs it has prepared or cleared `__main__`."""
        if event.cell is MAIN_ENTRY or event.cell == MAIN_ENTRY:
            return MAIN_ENTRY in activation.span
        is_name = isinstance(event.cell, DictItem) and event.cell.owner is main.namespace
        return is_name and bool(event.stack) and is_launcher(location.filename_of(event.stack[0][0]))

    def follow_main(self, namespace: dict[str, Any]) -> None:
        """Take a dict that is no module's for `__main__`; what is there now counts as the last one seen, in silence."""
        main.give(namespace)
        with self._lock, self._calls:
            for watchpoint in list(self._watchpoints.values()):
                if watchpoint.enabled and isinstance(watchpoint.scope, MainScope | WideScope):
                    self._disarm(watchpoint)
                    self._arm_again(watchpoint)

    def _consider_last(self, activation: Activation, event: Event) -> None:
        """Consider the change by which a value has come to reach more than can be watched, the last one seen."""
        watchpoint, seen = activation.watchpoint, activation.seen
        new = seen_of(self._read(watchpoint, activation.scope, event, {}, depth=1), watchpoint.access)
        if self._is_asked_for(watchpoint, seen, new, event) and not event.own:
            self._consider(watchpoint, seen, new, event)

    def _look(self, activation: Activation, event: Event) -> tuple[Seen, bool]:
        """Return the state of `activation` after `event`, and whether that is what its access type asks for."""
        watchpoint, seen, access = activation.watchpoint, activation.seen, activation.watchpoint.access
        if accessing.is_access(event):
            return seen, self._accesses.is_hit(activation, event)
        if access is not AccessType.WRITE and _is_seen_already(seen, event):
            return seen, False
        if access in _COUNT_CONTENT and self._leads_to_nothing_new(activation, event):
            if access is AccessType.CHANGE and not deltas.is_change_of(seen.reading.value, event.cell, event.delta):
                return seen, False
            return Seen(seen.reading, text=text_of(seen.reading.value)), True
        reading = self._read(watchpoint, activation.scope, event, {}, may_wait=True)
        if not activation.is_live:  # a call that the user allows has ended it
            return seen, False
        new = seen_of(reading, access)
        self._armed.replace(activation, cells_of(seen.reading), cells_of(reading))
        self._accesses.follow(activation, reading)
        return new, self._is_asked_for(watchpoint, seen, new, event)

    @staticmethod
    def _leads_to_nothing_new(activation: Activation, event: Event) -> bool:
        """Tell that `event` is a change of content alone: neither the value nor what it depends on is another."""
        watchpoint, reading = activation.watchpoint, activation.seen.reading
        if event.cell in reading.cells or event.cell in activation.span or isinstance(event.cell, Layout):
            return False
        if watchpoint.depth == 1 and not values.is_wrapper(reading.value):
            return True
        return deltas.is_of_scalars(event.cell, event.delta)

    @staticmethod
    def _is_asked_for(watchpoint: Watchpoint, seen: Seen, new: Seen, event: Event) -> bool:
        """Return whether the step from `seen` to `new` is what the access type asks for."""
        before, now = seen.reading, new.reading
        match watchpoint.access:
            case AccessType.TRUE:
                return new.truth and not seen.truth
            case AccessType.READ:
                return False
            case AccessType.WRITE:
                return accessing.is_written(seen, new, event)
        if values.is_one_object(before.value, now.value) and before.has_content(event.cell):
            return deltas.is_change_of(now.value, event.cell, event.delta)
        if isinstance(event.cell, Opaque):
            return not event.cell.owner.is_same(before.value, now.value)
        if now.fresh and before.fresh:
            has_calls = any(isinstance(cell, Opaque) for cell in now.cells)
            equal = values.same_result if has_calls else values.same_structure
        else:
            equal = values.same
        return not equal(before.value, now.value)

    def _past(self, event: Event | None) -> dict[Cell, Any]:
        """Return what cells held before the events that wait, and right after `event`."""
        past = self._waiting.past()
        if event is not None and isinstance(event.delta, Rebound | Relaid):
            past[event.cell] = event.delta.new
        return past

    def _read(
        self,
        watchpoint: Watchpoint,
        scope: Scope,
        event: Event | None,
        past: Mapping[Cell, Any],
        *,
        depth: int | None = None,
        may_wait: bool = False,
    ) -> Reading:
        """Read an expression as it was right after `event`, before those that wait or arrive while it is read.

        Args:
            watchpoint: whose expression.
            scope: where.
            event: None for the present.
            past: what cells held, where it is not that.
            depth: how far the content of the value counts; None for what the watchpoint says.
            may_wait: raise `InsideCall` where evaluating could enter a call that this thread is in.
        """
        content = accessing.depth_of_content(watchpoint.access, watchpoint.depth) if depth is None else depth
        goes_on = watchpoint.began or watchpoint.family is not None
        while True:
            try:
                reading = read(
                    watchpoint.expression,
                    scope,
                    depth=content,
                    allow_calls=watchpoint.allow_calls and not isinstance(scope, InstanceScope),
                    past={**self._past(event), **past},
                    goes_on=goes_on,
                    thread=watchpoint.thread,
                    may_wait=may_wait,
                )
            except Refused as refused:
                if refused.slug == "call" and isinstance(scope, InstanceScope):
                    raise refused_call(watchpoint.expression.text) from None
                raise
            records = () if env.core is None else env.core.take()
            if not records:
                break
            self._waiting.extend(events_of(records))
        if goes_on and watchpoint.access is AccessType.TRUE:
            reading = with_known_truth(reading)
        if reading.unreadable is not None:
            self._tell_unreadable(watchpoint, reading)
        return reading

    def _refuse_instance(self, watchpoint: Watchpoint, refused: Refused) -> None:
        if not watchpoint.told_unreadable:
            watchpoint.told_unreadable = True
            self.output.say(f"an instance is not watched: {refused}")

    def _tell_unreadable(self, watchpoint: Watchpoint, reading: Reading) -> None:
        """Say once that an expression cannot be read; of what has become a descriptor, the hit tells."""
        is_told = watchpoint.told_unreadable
        if is_told or (reading.value is not ABSENT and watchpoint.access is not AccessType.TRUE):
            return
        watchpoint.told_unreadable = True
        self.output.say(
            f"cannot read {watchpoint.expression.text!r} at the moment: {reading.unreadable}; while that is so, "
            f"it counts as {'false' if watchpoint.access is AccessType.TRUE else 'absent'} [unreadable-now]"
        )

    def _consider(self, watchpoint: Watchpoint, seen: Seen, new: Seen, event: Event) -> None:
        """Ask the rules in their order; what passes them all is due in the thread that wrote."""
        event = self._weighed(event, seen, new)
        if watchpoint.rules.has_filters and not self._is_allowed(watchpoint, event):
            return
        if not self._acting.expression_holds(watchpoint, self._step(watchpoint, seen, new, event), event.frame):
            return
        hit = hits.hit_of(watchpoint, seen, new, event, own_pid=self._pid)
        if not self._acting.callable_holds(watchpoint, hit, event.frame):
            return
        watchpoint.count += 1
        due = self._keep(watchpoint, hit, event.frame)
        if due is not None:
            self._acting.add(event.thread_id, due)

    @staticmethod
    def _weighed(event: Event, seen: Seen, new: Seen) -> Event:
        """Return `event`; not exact where another thread may have written what it leads to before that was watched."""
        is_settled = event.other is not None or not event.stack or env.core is None
        if is_settled or not env.core.is_doubtful():
            return event
        if (seen.reading.cells, seen.reading.content) == (new.reading.cells, new.reading.content):
            return event
        return replaced(event, other=event.stack[0])

    @staticmethod
    def _is_allowed(watchpoint: Watchpoint, event: Event) -> bool:
        """Return whether the filters let who has written pass."""
        writer = location.locate(*event.stack[0]) if event.stack else None
        thread = thread_name(event.thread_id)
        return watchpoint.rules.allow_writer(thread, lambda: task_name(event.thread_id), writer, event.stack)

    def _step(self, watchpoint: Watchpoint, seen: Seen, new: Seen, event: Event) -> Transition:
        """Return the step that `event` is, as conditions see it."""
        value, content = new.reading.value, new.reading.content
        is_truth = watchpoint.access is AccessType.TRUE
        is_whole = is_truth or not values.is_one_object(seen.reading.value, value)
        if is_whole or not new.reading.has_content(event.cell):
            return Replaced(*hits.values_of(watchpoint.access, seen, new))

        def later() -> list[tuple[Cell, Delta]]:
            self._waiting.extend([] if env.core is None else events_of(env.core.take()))
            return self._waiting.of(content)

        return ChangedInPlace(value, watchpoint.depth, event.cell, event.delta, later)

    def _consider_already(self, watchpoint: Watchpoint, event: Event) -> None:
        """Consider the hit of an expression that is true from the beginning of a call, or of an instance."""
        due = self._already(watchpoint, event.frame)
        if due is not None:
            self._acting.add(event.thread_id, due)

    def _already(self, watchpoint: Watchpoint, armed_by: FrameType | None) -> DueHit | None:
        """Consider the hit of an expression that is true when it is armed."""
        hit, frame = hits.already(watchpoint, armed_by)
        if not self._acting.expression_holds(watchpoint, Replaced(hit.old, hit.new), frame):
            return None
        if not self._acting.callable_holds(watchpoint, hit, frame):
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

    def _take_due(self) -> list[DueHit]:
        with self._lock:
            due = self._acting.take()
            if env.core is not None:
                env.core.set_due(len(self._acting))
            return due

    def catch_up(self) -> None:
        """Take in what has changed unseen, by C code that does not tell (_core/containers/told.c)."""
        if env.core is not None and self._watchpoints and not self._acting.is_acting():
            env.core.resync()
            env.core.look_at_told()
            raised = self._handle_records(by_event=False)
            if isinstance(raised, Raise):
                raise raised.error

    def _look_last(self) -> None:
        """Take in what C code has changed at the very end, after the program's last event."""
        for mechanism in self._mechanisms:
            if isinstance(mechanism, Recheck) and self._watchpoints:
                self._handle(mechanism.resync(own=False))

    def absorb(self) -> None:
        """Take what an action or condition has changed as seen."""
        if env.core is not None:
            env.core.resync()
            self._take_records()
        for mechanism in self._mechanisms:
            if isinstance(mechanism, Recheck):
                self._process_all(mechanism.resync(own=True))

    # After fork the child goes on with what works there.

    def after_fork_in_child(self) -> None:
        """Make a lock of the child's own: another thread may have held ours, and what it had begun is void."""
        self._lock = RLock()
        self._acting.forget_threads()
        if env.core is not None:
            env.core.forget_threads()
        for mechanism in self._mechanisms:
            if isinstance(mechanism, Recheck):
                mechanism.forget_threads()


def _end_of_frame(watchpoint: Watchpoint, scope: FrameScope) -> Notice:
    """Return what is to be said of a watchpoint that had no hit before the frame ended in which it read a local."""
    text, names = watchpoint.expression.text, watchpoint.expression.root_names()
    stands = f"the object that {names[0]!r} stood for" if len(names) == 1 else "the objects that its names stood for"
    return Notice(
        f"no longer watching {text!r}: the call of {scope.function} in which it was read has ended",
        slug="frame-ended",
        hint=f"with pin=True it watches on {stands}",
    )


def _is_seen_already(seen: Seen, event: Event) -> bool:
    """Tell that of a variable that functions share, of whose changes its frame tells too, the other cell has told."""
    source, delta = seen.reading.source, event.delta
    is_shared = isinstance(event.cell, Local) and isinstance(source, Closure) and source.name == event.cell.name
    return is_shared and isinstance(delta, Rebound) and delta.new is seen.reading.value


def _notice_of(text: str, news: str) -> Notice:
    """Return what is to be said of evaluating the expression `text`."""
    if news == NEW_EACH_TIME:
        return Notice(
            f"{text!r} gives another value each time it is evaluated: only changes of its type are told",
            slug="new-each-time",
            hint="watch a part of it that can be compared, or the data that it is made from",
        )
    return Notice(
        f"evaluating {text!r} takes more than half of the run",
        slug="half-of-run",
        hint="watch the data that it reads",
    )


_NO_SCOPE = NoScope()


class _Calls:
    """How many calls that arm or disarm are running: nothing is settled amid them."""

    def __init__(self) -> None:
        self._running = 0

    def __bool__(self) -> bool:
        return self._running > 0

    def __enter__(self) -> None:
        self._running += 1

    def __exit__(self, *_error: object) -> None:
        self._running -= 1


_current: Session | None
_loaded: list[tuple[str, Any, Any]]
if (
    "_loaded" not in globals()
):  # importlib.reload() runs this again, and shall not leave the session behind that watches
    _current = None
    # Our modules, by what is another object once one is loaded anew: its classes are others then, too.
    _loaded = [(name, one, one.__spec__) for name, one in list(sys.modules.items()) if name.startswith("stopwhen.")]


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


def _as_own(event: Event) -> Event:
    return replaced(event, own=True)
