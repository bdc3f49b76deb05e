"""Recheck on monitoring events (3.12+): compares after each instruction that can have changed the data."""

from __future__ import annotations

from stopwhen import env
from stopwhen.cells import Opaque
from stopwhen.mechanisms import opcodes
from stopwhen.mechanisms.checks import Checks, can_check, effects_on
from stopwhen.mechanisms.native import bring_back_starts
from stopwhen.originals import sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from stopwhen.cells import Cell
    from stopwhen.evaluation import Evaluation
    from stopwhen.mechanisms.instructions import InstructionWatch
    from stopwhen.mechanisms.tools import SharedTool


class Monitoring:
    """Watches what the C module can compare: contents, items, slots, locals, closures, whole evaluations."""

    name = "monitoring"
    title = "recheck on monitoring events"

    def __init__(self, tool: SharedTool, accesses: InstructionWatch) -> None:
        self.accesses = accesses
        self._checks = Checks(self.name)
        self._tool = tool
        self._level: int | None = None  # None while nothing is armed

    def reason(self) -> str | None:
        """Return why this cannot be used here; None when it can."""
        if not env.HAS_MONITORING:
            return "sys.monitoring is there from Python 3.12 on"
        if env.core is None:
            return env.NO_C_MODULE
        return self._tool.reason()

    def claims(self, cell: Cell) -> bool:
        """Return whether changes of `cell` can be seen."""
        return can_check(cell)

    def cost_of(self, cell: Cell) -> str:
        """Return what it costs to watch `cell`, in words."""
        if isinstance(cell, Opaque):
            evaluation: Evaluation = cell.owner
            return evaluation.cost(1.5, 100e-9)
        effects = effects_on(cell)
        if not effects:
            return "none in the code of other functions"
        if effects == opcodes.SHARED:
            return "none in code that stores to no variable which functions share"
        return "about half as long again, in all code"

    def arm(self, cell: Cell) -> None:
        """Report changes of `cell` from now on.

        Raises:
            Unavailable: there is no tool id.
        """
        try:
            if not self._checks:
                self._tool.want(self.name, sys.monitoring.events.RAISE)
            self._checks.expect(cell)
            self._update_events()
            self._checks.arm(cell)
        except BaseException:
            self.disarm(cell)
            raise

    def disarm(self, cell: Cell) -> None:
        """Report changes of `cell` no more."""
        self._checks.disarm(cell)
        self._update_events()

    def token(self, cell: Cell) -> object:
        """Return what stands for `cell`, which is armed, in the C module."""
        return self._checks.token(cell)

    def disarm_all(self) -> None:
        """Report no changes any more."""
        for cell in self._checks.cells():
            self._checks.disarm(cell)
        self._checks.let_all_go()
        if env.HAS_MONITORING and env.core is not None:
            self._update_events()

    def hold(self, holder: object, cell: Cell) -> None:
        """Have the events on that checks on cells like this one need, until `let_go`: `holder` arms such checks itself.

        Raises:
            Unavailable: there is no tool id.
        """
        if not self._checks:
            self._tool.want(self.name, sys.monitoring.events.RAISE)
        self._checks.hold(holder, cell)
        self._update_events()

    def let_go(self, holder: object) -> None:
        """End what `hold` began."""
        self._checks.let_go(holder)
        self._update_events()

    def _update_events(self) -> None:
        """Turn on the events that the armed checks need, and those off that they no longer need."""
        events = sys.monitoring.events
        level = self._checks.level()
        if not self._checks:
            env.core.set_level(0)
            self._level = None
            self._tool.want(self.name, 0)
        elif level != self._level:
            starts = events.PY_START | events.PY_RESUME | events.PY_THROW if level else 0
            self._tool.want(self.name, starts | events.RAISE | events.PY_UNWIND)
            env.core.set_level(level)
            self._level = level
            if level:
                bring_back_starts()
