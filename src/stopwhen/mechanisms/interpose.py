"""Interposition: lists, sets, deques and slots tell of their changes, by functions that stand before their own."""

from __future__ import annotations

from collections import deque

from stopwhen import env
from stopwhen.cells import Cell, Content, ListItem, Slot
from stopwhen.mechanisms.checks import Checks
from stopwhen.mechanisms.native import INTERPOSE, bring_back_starts
from stopwhen.originals import sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from stopwhen.mechanisms.instructions import InstructionWatch
    from stopwhen.mechanisms.tools import SharedTool
    from stopwhen.mechanisms.tracing import Tracing


class Interpose:
    """Watches containers and slots, where they are changed: nothing is compared meanwhile."""

    name = INTERPOSE
    title = "interposition"

    def __init__(self, tool: SharedTool, tracing: Tracing, accesses: InstructionWatch) -> None:
        self.accesses = accesses
        self._tracing = tracing
        self._containers = Checks(self.name)
        self._slots = Checks(self.name)
        self._tool = tool
        self._is_on = False
        self._items_tell = False

    def reason(self) -> str | None:
        """Return why this cannot be used here; None when it can."""
        if env.core is None:
            return env.NO_C_MODULE
        return self._tool.reason() if env.HAS_MONITORING else None

    def claims(self, cell: Cell) -> bool:
        """Return whether changes of `cell` can be seen."""
        if isinstance(cell, Content):
            return issubclass(type(cell.owner), list | set | deque)
        if isinstance(cell, Slot):
            return env.HAS_MONITORING and (env.core is None or env.core.slot_tells(cell.descriptor))
        return isinstance(cell, ListItem)

    def cost_of(self, cell: Cell) -> str:
        """Return what it costs to watch `cell` while it does not change, in words."""
        if isinstance(cell, Slot):
            return "none until it changes; to store such attributes of other instances takes longer"
        if not env.HAS_MONITORING:
            return "that of the trace function, which is on meanwhile"
        if issubclass(type(cell.owner), list):  # type: ignore[attr-defined] # claimed cells have an owner
            return "none until it changes; code that stores items takes longer"
        return "none until it changes"

    def arm(self, cell: Cell) -> None:
        """Report changes of `cell` from now on.

        Raises:
            Unavailable: there is no tool id.
        """
        try:
            self._begin(cell)
            self._checks_on(cell).expect(cell)
            self._checks_on(cell).arm(cell)
        except BaseException:
            self.disarm(cell)
            raise

    def disarm(self, cell: Cell) -> None:
        """Report changes of `cell` no more."""
        self._checks_on(cell).disarm(cell)
        self._end()

    def token(self, cell: Cell) -> object:
        """Return what stands for `cell`, which is armed, in the C module."""
        return self._checks_on(cell).token(cell)

    def disarm_all(self) -> None:
        """Report no changes any more."""
        for checks in (self._containers, self._slots):
            for cell in checks.cells():
                checks.disarm(cell)
            checks.let_all_go()
        self._end()

    def hold(self, holder: object, cell: Cell) -> None:
        """Have on what checks on cells like this one need, until `let_go`: `holder` arms such checks itself.

        Raises:
            Unavailable: there is no tool id.
        """
        self._begin(cell)
        self._checks_on(cell).hold(holder, cell)

    def let_go(self, holder: object) -> None:
        """End what `hold` began."""
        self._containers.let_go(holder)
        self._slots.let_go(holder)
        self._end()

    def _checks_on(self, cell: Cell) -> Checks:
        return self._slots if isinstance(cell, Slot) else self._containers

    def _begin(self, cell: Cell) -> None:
        if not env.HAS_MONITORING:
            self._tracing.keep_on(self)  # code that is traced stores no items without asking the list
            self._is_on = True
            return
        if not self._is_on:
            self._want_events(0)
            self._is_on = True
        if self._items_tell or isinstance(cell, Slot):
            return
        self._items_tell = True
        needs_events = env.JIT_SPECIALISES or sys.gettrace() is not None
        if needs_events or not env.core.calm_item_stores(self._use_events):
            self._use_events()

    def _use_events(self) -> None:
        """Have events where items are stored, which keep the interpreter from storing to lists without asking them."""
        events = sys.monitoring.events
        self._want_events(events.PY_START | events.PY_RESUME | events.PY_THROW)
        env.core.watch_item_stores(True)
        bring_back_starts()

    def _want_events(self, starts: int) -> None:
        events = sys.monitoring.events
        self._tool.want(self.name, starts | events.RAISE | events.PY_UNWIND)

    def _end(self) -> None:
        if not env.HAS_MONITORING:
            if self._is_on and not self._containers:
                self._is_on = False
                self._tracing.let_go(self)
            return
        if self._items_tell and not self._containers:
            self._items_tell = False
            env.core.release_item_stores()
            env.core.watch_item_stores(False)
            self._want_events(0)
        if self._is_on and not self._containers and not self._slots:
            self._is_on = False
            self._tool.want(self.name, 0)
