"""Watchpoints whose scope stands for many: what it stands for now, and the reading in each of them."""

from __future__ import annotations

from types import FunctionType, MemberDescriptorType

from stopwhen import deltas, frames, static, values
from stopwhen.accessing import check_counted_in_instances
from stopwhen.activation import Family, Memo, Seen, many_cell, memo_of, seen_of
from stopwhen.cells import DictItem, Frame, Instances, Slot
from stopwhen.dependencies import Reading, read
from stopwhen.errors import Refused
from stopwhen.event import Born, Called, Event, Rebound, Relaid
from stopwhen.immutable import Immutable, replaced
from stopwhen.originals import use_original_builtins
from stopwhen.parts import Found, check_part, find_beyond, hold_part, planned_part
from stopwhen.plan import Plan, PlannedCell, cells_of, choose
from stopwhen.record import present
from stopwhen.scope import FrameScope, SharedScope
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import ABSENT, AccessType
from stopwhen.wide import FutureCall, InstanceScope

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from stopwhen.activation import Activation
    from stopwhen.arming import ArmedCells
    from stopwhen.cells import Cell
    from stopwhen.expression import WatchExpression
    from stopwhen.mechanisms import InstanceKeeper, Mechanism
    from stopwhen.scope import Scope
    from stopwhen.watchpoint import Watchpoint
    from stopwhen.wide import WideScope


MOST_OUTLIVED = 64
"""How many calls that have ended are watched for the variables left of them, before it is asked who has those."""


class Host(Immutable):
    """What families need of the session.

    Attributes:
        armed: the cells that are armed.
        begin: reads the expression of a watchpoint in a scope and arms all that it reads there, with what else is told
            of the scope, under a key.
        end: ends what `begin` has begun.
        past: what cells held before the events that wait, and right after the one that is given.
        read: the expression as it was right after an event, where the mapping does not say otherwise.
        consider: asks the rules about a step from one state to another.
        consider_already: asks the rules about what is true in a call or instance from its beginning.
        refuse: tells the user, once, why an instance is not watched.
    """

    armed: ArmedCells
    begin: Callable[[Watchpoint, object, Scope, tuple[Cell, ...]], Activation]
    end: Callable[[Activation], None]
    past: Callable[[Event | None], dict[Cell, Any]]
    read: Callable[[Watchpoint, Scope, Event | None, Mapping[Cell, Any]], Reading]
    consider: Callable[[Watchpoint, Seen, Seen, Event], None]
    consider_already: Callable[[Watchpoint, Event], None]
    refuse: Callable[[Watchpoint, Refused], None]


class Families:
    """Keeps up with what wide scopes stand for."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def begin(self, family: Family) -> int:
        """Find what the scope stands for, and watch all of it that there is now; return how often that is true."""
        return self._look_up(family, {})

    def end(self, family: Family) -> None:
        """Watch nothing of it any more."""
        self._host.armed.drop(family, family.cells)
        for mechanism in family.holders:
            mechanism.let_go(family)

    def hear(self, family: Family, event: Event) -> None:
        """Take an event of a cell that says what the scope stands for, or of one of these."""
        if event.cell in family.shared:
            self._hear_shared(family, event)
        elif isinstance(event.delta, Called):
            self._hear_call(family, event)
        elif event.instance is not None:
            self._hear_instance(family, event, event.instance)
        else:
            self._look_up(family, self._host.past(event))

    def _look_up(self, family: Family, past: Mapping[Cell, Any]) -> int:
        """Find what the scope stands for now; watch what comes, and what is there already."""
        subject, cells = family.look_up(past)
        if subject is family.subject:
            self._host.armed.replace(family, family.cells, (*cells, *family.shared))
            family.cells = (*cells, *family.shared)
            return 0
        if isinstance(subject, type):
            check_counted_in_instances(family.watchpoint.access, family.watchpoint.expression.text)
        self._host.armed.replace(family, family.cells, cells)
        family.subject, family.cells, family.shared, family.keeper = subject, cells, {}, None
        if isinstance(subject, FunctionType):
            begun = [self._begin_call(family, frame) for frame in frames.of_function(subject)]
            return sum(one is not None and one.seen.truth for one in begun)
        if subject is ABSENT:
            return 0
        instances = self._instances(family)
        with instances.at_work():
            return sum(self._begin_instance(family, one, None).truth for one in instances.find())

    # Calls.

    def _begin_call(self, family: Family, frame: FrameType) -> Activation | None:
        """Watch in a call that runs in `frame`; None when it is watched already."""
        watchpoint, ref = family.watchpoint, frames.ref(frame)
        if ref in watchpoint.activations:
            return None
        span = (Frame(watchpoint.expression.text, ref),)
        return self._host.begin(watchpoint, ref, FrameScope(frame), span)

    def _hear_call(self, family: Family, event: Event) -> None:
        activation = None if event.frame is None else self._begin_call(family, event.frame)
        if activation is not None and activation.seen.truth and not event.own:
            self._host.consider_already(family.watchpoint, event)

    def outlive(self, activation: Activation) -> Activation | None:
        """Go on with the variables of a call that has ended, as far as inner functions share them; None if not."""
        family, scope = activation.watchpoint.family, activation.scope
        if family is None or not isinstance(scope, FrameScope):
            return None
        shared = scope.shared(family.watchpoint.expression.names())
        if shared is None:
            return None
        going_on = self._host.begin(family.watchpoint, shared, shared, ())
        before, now = activation.seen, going_on.seen.reading
        value, because = before.reading.value, before.reading.absent_because
        reading = Reading(value, now.cells, now.content, now.fresh, because, now.source)
        going_on.seen = Seen(reading, before.truth, before.text)
        family.outlived += 1
        if family.outlived >= max(MOST_OUTLIVED, 2 * family.still_used):
            self._forget_unused(family)
        return going_on

    def _forget_unused(self, family: Family) -> None:
        """End what goes on for variables that nothing has any more; the work is that of many calls."""
        left = [one for one in family.watchpoint.activations.values() if isinstance(one.scope, SharedScope)]
        shared = [cell for one in left if isinstance(one.scope, SharedScope) for cell in one.scope.cells.values()]
        used = frames.used_cells(tuple(cell.owner for cell in shared))
        kept = 0
        for activation in left:
            if isinstance(activation.scope, SharedScope) and activation.scope.is_used(used):
                kept += 1
            else:
                self._host.end(activation)
        family.outlived = family.still_used = kept

    # Instances. Nothing of one is kept here: what it was before an event is worked out from what the event tells.

    def _hear_instance(self, family: Family, event: Event, instance: Any) -> None:
        if isinstance(event.delta, Born):
            new = self._begin_instance(family, instance, event)
            if new.truth and not event.own:
                self._host.consider_already(family.watchpoint, event)
            return
        watchpoint, scope = family.watchpoint, self._scope_of(family, instance)
        new = seen_of(self._host.read(watchpoint, scope, event, {}), watchpoint.access)
        if watchpoint.access is AccessType.TRUE and not new.truth:
            self._settle(family, instance, new)
            return
        memo = self._instances(family).memo(instance)
        assert memo is None or isinstance(memo, Memo)
        seen = self._before(family, event, scope, new, memo)
        is_content = new.reading.has_content(event.cell) or (memo is not None and event.cell.place in memo.content)
        changed = _has_changed(watchpoint, seen, new, event, is_content=is_content)
        self._settle(family, instance, new)
        if changed and not event.own:
            self._host.consider(watchpoint, seen.seen() if isinstance(seen, Memo) else seen, new, event)

    def _instances(self, family: Family) -> InstanceKeeper:
        """Return what keeps the instances: what the mechanism has that watches the class."""
        if family.keeper is None:
            cell = family.cell
            (planned,) = self._host.armed.planned((cell,))
            mechanism = planned.mechanism
            assert isinstance(cell, Instances), "only these are about instances"
            assert hasattr(mechanism, "instances"), "others do not claim them"
            family.keeper = mechanism.instances(cell)
        return family.keeper

    def _scope_of(self, family: Family, instance: Any) -> InstanceScope:
        assert isinstance(family.cell, Instances), "instances are told of by the cell of their class"
        return InstanceScope(instance, family.cell.owner)

    def _before(self, family: Family, event: Event, scope: InstanceScope, new: Seen, memo: Memo | None) -> Seen | Memo:
        """Return the state of the expression in an instance before `event`, which made it `new`."""
        if memo is not None and not isinstance(event.delta, Rebound | Relaid):
            return memo.seen_as(new.reading) if memo.identity == id(new.reading.value) else memo
        seen = seen_of(self._reading_before(family, event, scope, new), family.watchpoint.access)
        if memo is not None and memo.identity == id(seen.reading.value):
            return memo.seen_as(seen.reading)
        return seen

    def _reading_before(self, family: Family, event: Event, scope: InstanceScope, new: Seen) -> Reading:
        """Return the reading in an instance before `event`, of which nothing is remembered."""
        past: dict[Cell, Any] = {}
        match event.delta:
            case Rebound(old=old):
                is_own = isinstance(event.cell, DictItem) and event.cell.owner is static.instance_dict(scope.instance)
                if old is not ABSENT and is_own and family.reads_only(event.cell) and event.cell in new.reading.cells:
                    return Reading(old, (), (), fresh=False, absent_because=None)
                past = {event.cell: old}
            case Relaid(old=old):
                past = {event.cell: old}
        return self._host.read(family.watchpoint, scope, event, past)

    def _begin_instance(self, family: Family, instance: Any, event: Event | None) -> Seen:
        watchpoint = family.watchpoint
        watchpoint.began = True
        reading = self._host.read(watchpoint, self._scope_of(family, instance), event, {})
        new = seen_of(reading, watchpoint.access)
        is_kept = self._settle(family, instance, new)
        if event is not None and not is_kept and not new.truth:
            self._instances(family).set_quiet(type(instance), is_quiet=True)  # as it is, so are all when they begin
        return new

    def _settle(self, family: Family, instance: Any, new: Seen) -> bool:
        """Watch what else the reading in an instance depends on; return whether more is kept of it."""
        watchpoint, reading = family.watchpoint, new.reading
        watchpoint.was_present |= reading.value is not ABSENT
        instances = self._instances(family)
        try:
            found = find_beyond(family, instance, self._scope_of(family, instance), cells_of(reading))
            parts = [
                hold_part(family, cell) if instances.are_native else check_part(family, cell) for cell in found.parts
            ]
        except Refused as refused:  # in this instance; in others it may be had
            self._host.refuse(watchpoint, refused)
            found, parts = Found([], []), []
        shared = {cell: None for cell in found.shared if cell not in family.shared}
        if shared:
            self._host.armed.add(family, shared)
            family.shared |= shared
            family.cells = (*family.cells, *shared)
        is_kept = bool(parts) or bool(reading.content)  # what content was, no store tells
        instances.set_parts(instance, parts, memo_of(new) if is_kept or not instances.are_native else None)
        return is_kept

    def planned_parts(self, family: Family) -> tuple[PlannedCell, ...]:
        """Return how the parts of an instance are watched, taking the latest for an example; none without instances."""
        instances = self._instances(family).all() if isinstance(family.subject, type) else []
        if not instances:
            return ()
        scope = self._scope_of(family, instances[-1])
        reading = self._host.read(family.watchpoint, scope, None, {})
        found = find_beyond(family, instances[-1], scope, cells_of(reading))
        return tuple(planned_part(family, cell) for cell in found.parts)

    def _hear_shared(self, family: Family, event: Event) -> None:
        """Take the change of what all instances read, such as an attribute of the class: it is one in each of them."""
        self._instances(family).set_quiet(None, is_quiet=False)
        for instance in self._instances(family).all():
            if family.is_live:
                self._hear_instance(family, replaced(event, instance=instance), instance)


def _has_changed(watchpoint: Watchpoint, seen: Seen | Memo, new: Seen, event: Event, *, is_content: bool) -> bool:
    """Return whether the step from `seen` to `new` is what the access type asks for."""
    if watchpoint.access is AccessType.TRUE:
        return new.truth and not seen.truth
    if is_content and isinstance(seen, Seen) and values.is_one_object(seen.reading.value, new.reading.value):
        return deltas.is_change_of(new.reading.value, event.cell, event.delta)
    if isinstance(seen, Memo):
        return not seen.is_same(new.reading)
    equal = values.same_structure if new.reading.fresh and seen.reading.fresh else values.same
    return not equal(seen.reading.value, new.reading.value)


def plan_for_many(
    expression: WatchExpression,
    scope: WideScope,
    depth: int | str,
    mechanisms: Sequence[Mechanism],
    *,
    access: AccessType,
    allow_calls: bool,
) -> Plan:
    """Return the plan for an expression in a scope that stands for many, as far as it is known before there is one.

    Raises:
        Refused: a cell has no mechanism, or the scope is none.
    """
    cells: dict[Cell, None] = {}

    def look(cell: Cell) -> Any:
        cells.setdefault(cell)
        return present(cell)

    subject = scope.subject(look)
    if isinstance(subject, type):
        check_counted_in_instances(access, expression.text)
    if subject is not ABSENT:
        cells[many_cell(expression, subject, 0)] = None
    if isinstance(subject, FunctionType):
        call = FutureCall(subject)
        cells.update(dict.fromkeys(read(expression, call, depth=depth, allow_calls=allow_calls).cells))
        for name in expression.root_names():  # those behind the first local, at which evaluating ends
            call.find(name, look)
    elif subject is not ABSENT:
        for name in expression.attributes_of("self")[0]:
            found = static.find(subject, name)
            if found is not None and type(found[1]) is MemberDescriptorType:
                cells[Slot(f"self.{name}", subject, found[1])] = None
            for base in static.mro(subject):
                if (
                    static.is_mutable(base)
                    and look(DictItem(f"self.{name}", static.type_dict(base), name)) is not ABSENT
                ):
                    break
    planned = tuple(next(choose(cell, mechanisms)) for cell in cells)
    notes = (
        ()
        if subject is ABSENT or isinstance(subject, FunctionType) or depth == 0
        else ("what an attribute holds, such as the items of a list, is watched in each instance that has it",)
    )
    return Plan(expression.text, scope.title(subject), planned, state="is read in", notes=notes)
