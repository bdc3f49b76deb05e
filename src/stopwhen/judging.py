"""Which changes the C module judges by itself: from one simple value to another, which lead to nothing new.

Python says what a watchpoint asks for; C compares, evaluates conditions that are simple, and counts (_core/judging.c).
"""

from __future__ import annotations

from stopwhen import env
from stopwhen.cells import Cell, Closure, DictItem, ListItem, Local, Opaque, Slot
from stopwhen.dependencies import read
from stopwhen.immutable import Immutable
from stopwhen.originals import use_original_builtins
from stopwhen.record import present
from stopwhen.scope import FrameScope
from stopwhen.simple_conditions import NEW, Steps, is_place, truth_steps
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import AccessType, Action

use_original_builtins(globals())

if TYPE_CHECKING:
    from stopwhen.activation import Activation
    from stopwhen.dependencies import Reading
    from stopwhen.expression import WatchExpression
    from stopwhen.plan import PlannedCell
    from stopwhen.rules import Rules
    from stopwhen.scope import Scope
    from stopwhen.watchpoint import Watchpoint

# The same values as in _core/judging.c.
_RULES = {"": 1, "==": 1, "!=": 2, "<": 3, "<=": 4, ">": 5, ">=": 6, "%": 7}


class Judged(Immutable):
    """A case of the C module's, and the cell whose changes it judges."""

    case: Any
    cell: Cell


class PlainJudge:
    """Counts as `_core.Judge` does, where there is no C module."""

    def __init__(self) -> None:
        self._count = 0
        self._cell: memoryview | None = None

    @property
    def count(self) -> int:
        """How many hits there were."""
        return self._count

    @count.setter
    def count(self, count: int) -> None:
        self._count = count
        if self._cell is not None:
            self._cell[0] = count

    def note_in(self, cell: memoryview) -> None:
        """Note the count in `cell` as well."""
        self._cell = cell
        cell[0] = self._count

    def kept(self) -> list[Any]:
        """Return nothing: whatever is kept Python keeps."""
        return []


def new_judge() -> Any:
    """Return what counts the hits of a watchpoint; it judges nothing until `ask`."""
    return PlainJudge() if env.core is None else env.core.Judge()


def ask(judge: Any, rules: Rules) -> None:
    """Tell `judge` what a watchpoint asks of changes from now on."""
    if env.core is None:
        return
    is_open = rules.has_filters or (rules.condition is not None and rules.steps is None)
    operator, number = ("", None) if rules.hit_condition is None else rules.hit_condition.rule
    code, constants = rules.steps or (None, ())
    rule = (0, 0) if number is None else (_RULES[operator], min(number, _LARGEST))
    judge.ask(code, constants, is_open, rules.action is Action.COUNT, *rule)


_LARGEST = (1 << 63) - 1


class Place(Immutable):
    """The one place that alone decides about the hits of a watch expression as long as what is there is simple."""

    expression: WatchExpression
    """What reads it."""
    steps: Steps | None
    """What is tested of it; None where it is the watch expression."""


def place_of(expression: WatchExpression, access: AccessType) -> Place | None:
    """Return the place that a watch expression reads; None where it is more than that, or its accesses count."""
    if env.core is None or access not in (AccessType.CHANGE, AccessType.TRUE):
        return None
    if is_place(expression.tree):
        return Place(expression, ((bytes((NEW, 0)), ()) if access is AccessType.TRUE else None))
    found = truth_steps(expression.tree) if access is AccessType.TRUE else None
    return None if found is None else Place(expression.part(found[0]), found[1])


def judged(activation: Activation, planned: PlannedCell) -> Judged | None:
    """Return the case of an activation whose source is watched as `planned` says; None where Python judges."""
    watchpoint, cell = activation.watchpoint, planned.cell
    if watchpoint.place is None or planned.mechanism.token(cell) is None:
        return None
    code, constants = watchpoint.place.steps or (None, ())
    about = cell.name, planned.mechanism.name
    return Judged(env.core.Case(watchpoint.judge, about, watchpoint, code, constants, activation.seen.truth), cell)


def source_of(watchpoint: Watchpoint, scope: Scope, reading: Reading) -> Cell | None:
    """Return the cell at the place of a watchpoint, whose expression has been read; None where there is none."""
    place = watchpoint.place
    if place is None or any(isinstance(cell, Opaque) for cell in reading.cells):
        return None
    if isinstance(scope, FrameScope) and scope.may_close_silently:
        return None  # at each event Python looks whether it has been closed
    found = reading
    if place.expression is not watchpoint.expression:
        found = read(place.expression, scope, depth=0)
        if found.cells != reading.cells:
            return None
    source = found.source
    if source is None or not _is_plain(source) or present(source) is not found.value:
        return None
    return source


def _is_plain(cell: Cell) -> bool:
    # Of a list's first item, what happened to the list may be told.
    return isinstance(cell, DictItem | Slot | Local | Closure) or (isinstance(cell, ListItem) and cell.index != 0)
