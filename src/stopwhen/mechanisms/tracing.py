"""Recheck on a C trace function (3.11): compares at every line, and at every instruction of a line that needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stopwhen import env
from stopwhen.mechanisms.checks import Checks, can_check

if TYPE_CHECKING:
    from stopwhen.cells import Cell
    from stopwhen.mechanisms.instructions import InstructionWatch


class Tracing:
    """Watches what the C module can compare; other trace functions go on working beside it."""

    name = "tracing"
    title = "recheck on a C trace function"

    def __init__(self, accesses: InstructionWatch) -> None:
        self.accesses = accesses
        self._checks = Checks(self.name)

    def reason(self) -> str | None:
        """Return why this cannot be used here; None when it can."""
        if env.HAS_MONITORING:
            return "for Python 3.11, which has no sys.monitoring"
        return env.NO_C_MODULE if env.core is None else None

    def claims(self, cell: Cell) -> bool:
        """Return whether changes of `cell` can be seen."""
        return can_check(cell)

    def cost_of(self, _cell: Cell) -> str:
        """Return what it costs to watch a cell, in words."""
        return "half as long again to seven times as long, in all code"

    def arm(self, cell: Cell) -> None:
        """Report changes of `cell` from now on."""
        starts = not self._checks
        try:
            self._checks.arm(cell)
            env.core.set_level(self._checks.level())
            if starts:
                env.core.start_tracing()
        except BaseException:
            self.disarm(cell)
            raise

    def disarm(self, cell: Cell) -> None:
        """Report changes of `cell` no more."""
        self._checks.disarm(cell)
        env.core.set_level(self._checks.level())
        if not self._checks:
            env.core.stop_tracing()

    def disarm_all(self) -> None:
        """Report no changes any more."""
        for cell in self._checks.cells():
            self._checks.disarm(cell)
        if env.core is not None and not env.HAS_MONITORING:
            env.core.set_level(0)
            env.core.stop_tracing()
