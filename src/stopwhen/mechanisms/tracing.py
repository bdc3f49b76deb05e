"""Recheck on a C trace function (3.11): compares at every line, and at every instruction of a line that needs it."""

from __future__ import annotations

from stopwhen import env
from stopwhen.cells import Instances, Opaque
from stopwhen.mechanisms.checks import Checks, can_check
from stopwhen.mechanisms.native_instances import NativeInstances, arm_class, disarm_class
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from stopwhen.cells import Cell
    from stopwhen.evaluation import Evaluation
    from stopwhen.mechanisms.instructions import InstructionWatch


class Tracing:
    """Watches what the C module can compare; other trace functions go on working beside it."""

    name = "tracing"
    title = "recheck on a C trace function"

    def __init__(self, accesses: InstructionWatch) -> None:
        self.accesses = accesses
        self._checks = Checks(self.name)
        self._classes: set[Instances] = set()

    def reason(self) -> str | None:
        """Return why this cannot be used here; None when it can."""
        if env.HAS_MONITORING:
            return "for Python 3.11, which has no sys.monitoring"
        return env.NO_C_MODULE if env.core is None else None

    def claims(self, cell: Cell) -> bool:
        """Return whether changes of `cell` can be seen."""
        return isinstance(cell, Instances) or can_check(cell)

    def cost_of(self, cell: Cell) -> str:
        """Return what it costs to watch `cell`, in words."""
        if isinstance(cell, Opaque):
            evaluation: Evaluation = cell.owner
            return evaluation.cost(9, 50e-9)
        if isinstance(cell, Instances):
            return "half as long again to seven times as long, in all code; with many instances, up to twenty times"
        return "half as long again to seven times as long, in all code"

    def arm(self, cell: Cell) -> None:
        """Report changes of `cell` from now on."""
        starts = not self._checks
        try:
            if isinstance(cell, Instances):
                self._checks.hold(cell, cell)
                self._classes.add(cell)
            else:
                self._checks.expect(cell)
            self._update_events(starts=starts)
            if isinstance(cell, Instances):
                arm_class(cell, self.name)
            else:
                self._checks.arm(cell)
        except BaseException:
            self.disarm(cell)
            raise

    def disarm(self, cell: Cell) -> None:
        """Report changes of `cell` no more."""
        if isinstance(cell, Instances):
            disarm_class(cell)
            self._classes.discard(cell)
            self._checks.let_go(cell)
        else:
            self._checks.disarm(cell)
        self._update_events()

    def hold(self, holder: object, cell: Cell) -> None:
        """Have the events on that checks on cells like this one need, until `let_go`: `holder` arms them itself."""
        starts = not self._checks
        self._checks.hold(holder, cell)
        self._update_events(starts=starts)

    def keep_on(self, holder: object) -> None:
        """Have the trace function on until `let_go`, whatever is compared."""
        starts = not self._checks
        self._checks.keep(holder)
        self._update_events(starts=starts)

    def let_go(self, holder: object) -> None:
        """End what `hold` began."""
        self._checks.let_go(holder)
        self._update_events()

    def instances(self, cell: Instances) -> NativeInstances:
        """Return the instances of the class that `cell`, which is armed, is about."""
        return NativeInstances(cell)

    def _update_events(self, *, starts: bool = False) -> None:
        env.core.set_level(self._checks.level())
        if not self._checks:
            env.core.stop_tracing()
        elif starts:
            env.core.start_tracing()

    def token(self, cell: Cell) -> object:
        """Return what stands for `cell`, which is armed, in the C module."""
        return self._checks.token(cell)

    def disarm_all(self) -> None:
        """Report no changes any more."""
        for cell in self._checks.cells():
            self._checks.disarm(cell)
        for one in list(self._classes):
            disarm_class(one)
            self._classes.discard(one)
        self._checks.let_all_go()
        if env.core is not None and not env.HAS_MONITORING:
            env.core.set_level(0)
            env.core.stop_tracing()
