"""Stores of the same value, and reads: which cells of an expression they count for, and what arms those."""

from __future__ import annotations

from stopwhen import values
from stopwhen.cells import Blocks, Cell, Content, Layout, Opaque
from stopwhen.errors import Refused, Unavailable
from stopwhen.event import Read, Unknown, Written
from stopwhen.immutable import replaced
from stopwhen.mechanisms.sites import stores_result_in_place
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING
from stopwhen.types import ABSENT, AccessType

use_original_builtins(globals())

if TYPE_CHECKING:
    from stopwhen.activation import Activation, Seen
    from stopwhen.arming import ArmedCells
    from stopwhen.dependencies import Reading
    from stopwhen.event import Event
    from stopwhen.mechanisms import AccessMechanism
    from stopwhen.plan import Plan

_COUNTED = (AccessType.WRITE, AccessType.READ)


class ArmedAccesses:
    """The accesses that are armed, beside the cells' changes, and for whom.

    Args:
        cells: the cells that are armed; an access is seen by what the cell's mechanism has for that.
    """

    def __init__(self, cells: ArmedCells) -> None:
        self._cells = cells
        self._wanted: dict[Activation, tuple[Cell, ...]] = {}
        self._armed: dict[
            tuple[Cell, bool], tuple[Cell, AccessMechanism, set[int]]
        ] = {}  # by cell and whether it is read

    def follow(self, activation: Activation, reading: Reading) -> None:
        """Arm the accesses that count for `activation`, whose cells are armed, now that it reads as `reading` says.

        Raises:
            Refused: they cannot be seen; then none is armed.
        """
        watchpoint = activation.watchpoint
        if watchpoint.access not in _COUNTED:
            return
        before = self._wanted.get(activation, ())
        try:
            now = accessed(watchpoint.access, watchpoint.expression.text, reading, watchpoint.depth)
            self._wanted[activation] = tuple({*before, *now})
            for cell in now:
                if cell not in before:
                    self._arm(activation, cell)
        except BaseException:
            self.drop(activation)
            raise
        for cell in before:
            if cell not in now:
                self._disarm(activation, cell)
        self._wanted[activation] = now

    def drop(self, activation: Activation) -> None:
        """Let no access count for `activation` any more."""
        for cell in self._wanted.pop(activation, ()):
            self._disarm(activation, cell)

    def is_hit(self, activation: Activation, event: Event) -> bool:
        """Tell whether `event`, a read or a store that changed nothing, is one that `activation` waits for."""
        wanted = AccessType.WRITE if isinstance(event.delta, Written) else AccessType.READ
        if activation.watchpoint.access is not wanted or event.cell not in self._wanted.get(activation, ()):
            return False
        # `x += [1]` writes once: what it does to the list counts, that the name is bound to the list again does not.
        if wanted is AccessType.READ or isinstance(event.cell, Content) or not event.stack:
            return True
        reading = activation.seen.reading
        counts_content = any(getattr(cell, "owner", None) is reading.value for cell in reading.content)
        return not (counts_content and stores_result_in_place(*event.stack[0]))

    def _arm(self, activation: Activation, cell: Cell) -> None:
        access = activation.watchpoint.access
        found = self._armed.get((cell, access is AccessType.READ))
        if found is None:
            (planned,) = self._cells.planned((cell,))
            mechanism = planned.mechanism.accesses
            reason = mechanism.reason_for_accesses()
            try:
                if reason is None:
                    mechanism.arm_access(planned.cell, access)
            except Unavailable as error:
                reason = str(error.args[0])
            if reason is not None:
                raise refused(access, activation.watchpoint.expression.text, reason, "watch its changes")
            found = self._armed[cell, access is AccessType.READ] = (planned.cell, mechanism, set())
        found[2].add(id(activation))

    def _disarm(self, activation: Activation, cell: Cell) -> None:
        access = activation.watchpoint.access
        found = self._armed.get((cell, access is AccessType.READ))
        if found is None:
            return
        armed, mechanism, users = found
        users.discard(id(activation))
        if not users:
            del self._armed[cell, access is AccessType.READ]
            mechanism.disarm_access(armed, access)


def accessed(access: AccessType, text: str, reading: Reading, depth: int | str) -> tuple[Cell, ...]:
    """Return the cells whose stores, of the same value too, or whose reads count for an expression.

    For stores: the cell that the expression names last, and those of the value's own content; of an expression that
    computes, all that it reads. For reads: the cell that it names last.

    Raises:
        Refused: what is named has no cell of its own, or none that can be told apart.
    """
    if any(isinstance(cell, Opaque) for cell in reading.cells):
        raise refused(access, text, "it calls what cannot be seen through", "watch the data that it reads")
    source = reading.source
    if isinstance(source, Content):
        raise refused(
            *(access, text, f"what it names is a part of {source.name!r} that is not told from the others"),
            f"watch {source.name!r}" if access is AccessType.WRITE else "watch its changes",
        )
    if access is AccessType.WRITE:
        own = reading.cells if source is None else (source,)
        stored = dict.fromkeys((*own, *reading.content))
        return tuple(cell for cell in stored if not isinstance(cell, Layout | Blocks))  # no values of the program's own
    if depth not in (0, 1):
        raise refused(access, text, "what is read is the place that it names last, not content", "leave out the depth")
    if reading.value is ABSENT:
        return ()
    if source is None:
        hint = "watch the reads of a variable, attribute or item that it is computed from"
        raise refused(access, text, "it is computed, and kept nowhere", hint)
    return (source,)


def depth_of_content(access: AccessType, depth: int | str) -> int | str:
    """Return how far the content of the value is watched: for reads not at all."""
    return 0 if access is AccessType.READ else depth


def with_accesses(plan: Plan, access: AccessType, reading: Reading, depth: int | str) -> Plan:
    """Return `plan` with how those accesses are seen that count for a watchpoint of this access type.

    Raises:
        Refused: they cannot be seen.
    """
    if access not in _COUNTED:
        return plan
    wanted = accessed(access, plan.text, reading, depth)
    cells = []
    for planned in plan.cells:
        mechanism = planned.mechanism.accesses
        reason = mechanism.reason_for_accesses() if planned.cell in wanted else None
        if reason is not None:
            raise refused(access, plan.text, reason, "watch its changes")
        words = f"{_WORDS[access.value]} by {mechanism.access_title}; cost: {mechanism.access_cost}"
        cells.append(replaced(planned, access=words if planned.cell in wanted else ""))
    return replaced(plan, cells=tuple(cells))


_WORDS = {"writes": "stores that change nothing", "reads": "reads"}


def refused(access: AccessType, text: str, reason: str, hint: str) -> Refused:
    """Return the refusal to watch accesses of this type, with its reason."""
    return Refused(f"cannot watch the {access.value} of {text!r}: {reason}", slug="access-type", hint=hint)


def check_counted_in_instances(access: AccessType, text: str) -> None:
    """Check that accesses of this type are seen in every instance of a class.

    Raises:
        Refused: they are not.
    """
    if access in _COUNTED:
        raise refused(
            access, text, f"in every instance of a class, {_WORDS[access.value]} are not seen", "watch its changes"
        )


def is_written(before: Seen, after: Seen, event: Event) -> bool:
    """Tell whether `event`, a change that took an expression from one state to the other, wrote what it names."""
    old, new = before.reading, after.reading
    own = (*old.content, *((old.source,) if old.source is not None else old.cells))
    if event.cell in own and not isinstance(event.delta, Unknown):
        return True
    return old.source != new.source or not values.same(old.value, new.value)


def is_access(event: Event) -> bool:
    """Tell whether `event` is a read, or a store that changed nothing."""
    return isinstance(event.delta, Written | Read)
