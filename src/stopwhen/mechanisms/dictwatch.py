"""Dict watcher (3.12+): sees each store to a dict where it happens, and costs nothing elsewhere."""

from __future__ import annotations

from collections import OrderedDict

from stopwhen import env
from stopwhen.cells import Cell, Content, DictItem, Instances, Layout
from stopwhen.errors import Unavailable
from stopwhen.mechanisms.native import Token
from stopwhen.mechanisms.native_instances import NativeInstances, arm_class, disarm_class
from stopwhen.originals import sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any

use_original_builtins(globals())

if TYPE_CHECKING:
    from stopwhen.mechanisms.instructions import InstructionWatch
    from stopwhen.mechanisms.tools import SharedTool


class DictWatch:
    """Watches items and contents of dicts; names, attributes of objects, classes and modules are such items."""

    name = "dictwatch"
    title = "dict watcher"

    def __init__(self, tool: SharedTool, accesses: InstructionWatch) -> None:
        self.accesses = accesses
        self._armed: dict[Cell, Token] = {}
        self._tool = tool

    def reason(self) -> str | None:
        """Return why this cannot be used here; None when it can."""
        if not env.HAS_DICT_WATCHERS:
            return "dicts report their changes from Python 3.12 on"
        if env.core is None:
            return env.NO_C_MODULE
        if not env.core.dict_watcher_is_free():
            return "all 8 dict watcher ids of the interpreter are in use"
        return None

    def claims(self, cell: Cell) -> bool:
        """Return whether changes of `cell` can be seen."""
        if isinstance(cell, DictItem | Instances | Layout):
            return True
        # An OrderedDict changes its order without telling.
        owner: Any = cell.owner if isinstance(cell, Content) else None
        kind = type(owner)
        return issubclass(kind, dict) and not issubclass(kind, OrderedDict)

    def cost_of(self, _cell: Cell) -> str:
        """Return what it costs to watch a cell, in words."""
        return "none until it changes"

    def arm(self, cell: Cell) -> None:
        """Report changes of `cell` from now on.

        Raises:
            Unavailable: there is no watcher id.
        """
        try:
            if not self._armed:
                self._want_events()
            if env.SHARED_VALUES_GO_UNREPORTED and not isinstance(cell, Instances | Layout):
                env.core.detach_dict(cell.owner)  # type: ignore[attr-defined] # claimed cells have an owner
            token = Token(cell, self.name)
            match cell:
                case Layout():
                    env.core.arm_layout(cell.owner, token)
                case DictItem():
                    env.core.arm_dict(cell.owner, cell.key, token)
                case Content():
                    env.core.arm_dict(cell.owner, None, token, True)
                case Instances():
                    arm_class(cell, self.name)
            self._armed[cell] = token
        except RuntimeError as error:
            self._drop_events()
            raise Unavailable(str(error), slug="no-dict-watcher") from None
        except BaseException:
            self.disarm(cell)
            raise

    def disarm(self, cell: Cell) -> None:
        """Report changes of `cell` no more."""
        match cell:
            case Layout():
                env.core.disarm_layout(cell.owner)
            case DictItem():
                env.core.disarm_dict(cell.owner, cell.key)
            case Content():
                env.core.disarm_dict(cell.owner, None, True)
            case Instances():
                disarm_class(cell)
        self._armed.pop(cell, None)
        self._drop_events()

    def token(self, cell: Cell) -> Token | None:
        """Return what stands for `cell` in the C module; None when it is not armed."""
        return self._armed.get(cell)

    def disarm_all(self) -> None:
        """Report no changes any more."""
        for cell in list(self._armed):
            self.disarm(cell)
        self._drop_events()

    def instances(self, cell: Instances) -> NativeInstances:
        """Return the instances of the class that `cell`, which is armed, is about."""
        return NativeInstances(cell)

    def _want_events(self) -> None:
        """Have an event right after the instruction that changes a dict, or an exception that it ends with.

        Without a tool id, a change is still noted with its place, and handled a little later.
        """
        events = sys.monitoring.events
        try:
            self._tool.want(self.name, events.RAISE | events.PY_UNWIND)
        except Unavailable:
            return

    def _drop_events(self) -> None:
        if not self._armed:
            self._tool.want(self.name, 0)
