"""What both rechecks in C share: their checks, and the instructions after which these are due."""

from __future__ import annotations

from collections import Counter, defaultdict, deque

from stopwhen import env
from stopwhen.cells import Calls, Cell, Closure, Content, DictItem, Frame, Layout, ListItem, Local, Slot
from stopwhen.mechanisms import opcodes
from stopwhen.mechanisms.native import Token, check_of, kind_of
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import Any

use_original_builtins(globals())


class Checks:
    """The armed checks of one mechanism."""

    def __init__(self, mechanism: str) -> None:
        self._mechanism = mechanism
        self._checks: dict[Cell, tuple[Any, int, Token]] = {}
        self._effects: Counter[int] = Counter()  # how many checks are due after such instructions
        self._held: dict[object, set[int]] = {}

    def __len__(self) -> int:
        return len(self._checks) + len(self._held)

    def hold(self, holder: object, cell: Cell) -> None:
        """Let checks on cells like this one be due until `holder` lets go: it arms such checks itself."""
        if not self:
            env.core.set_opcodes(*opcodes.tables())
        effects = effects_on(cell)
        held = self._held.setdefault(holder, set())
        if effects not in held:
            held.add(effects)
            self._effects[effects] += 1

    def keep(self, holder: object) -> None:
        """Count as having checks until `holder` lets go, though none is due."""
        if not self:
            env.core.set_opcodes(*opcodes.tables())
        self._held.setdefault(holder, set())

    def let_go(self, holder: object) -> None:
        """End what `hold` began."""
        for effects in self._held.pop(holder, ()):
            self._effects[effects] -= 1

    def let_all_go(self) -> None:
        """End all that `hold` began."""
        for holder in list(self._held):
            self.let_go(holder)

    def expect(self, cell: Cell) -> None:
        """Let a check on `cell` be due, which `arm` arms once events are on.

        Were it armed before, what another thread changes before it has events would be laid to a thread that has.
        """
        if not self:
            env.core.set_opcodes(*opcodes.tables())
        token = Token(cell, self._mechanism)
        check, effects = check_of(token), effects_on(cell)
        self._effects[effects] += 1
        self._checks[cell] = check, effects, token

    def arm(self, cell: Cell) -> None:
        """Take the present state of `cell`, which is expected, as last seen, and compare with it from now on."""
        check = self._checks[cell][0]
        check.arm()

    def disarm(self, cell: Cell) -> None:
        """Compare no more, or expect to no more."""
        found = self._checks.pop(cell, None)
        if found is not None:
            check, effects, _ = found
            self._effects[effects] -= 1
            check.disarm()

    def token(self, cell: Cell) -> Token | None:
        """Return what stands for `cell` in the C module; None when it is not compared."""
        found = self._checks.get(cell)
        return None if found is None else found[2]

    def cells(self) -> list[Cell]:
        """Return the cells that are compared."""
        return list(self._checks)

    def level(self) -> int:
        """Return the effects of instructions, in any code, after which a check is due."""
        level = 0
        for effects, count in self._effects.items():
            level |= effects if count else 0
        return level


def effects_on(cell: Cell) -> int:
    """Return which effects of an instruction can change `cell`; 0 for what only one function's own code changes."""
    match cell:
        case Local() | Frame() | Calls():
            return 0
        case Content():
            kind = type(cell.owner)
            if issubclass(kind, list | deque | bytearray):
                return opcodes.CALL
            return opcodes.CALL | opcodes.SETS | opcodes.STORE | _effects_of_reading(cell.owner)
        case DictItem():
            return opcodes.CALL | opcodes.SETS | opcodes.STORE | _effects_of_reading(cell.owner)
        case ListItem():
            return opcodes.CALL
        case Closure() if env.HAS_MONITORING:
            return opcodes.SHARED
        case Slot() | Closure() | Layout():
            return opcodes.CALL | opcodes.STORE
    return opcodes.CALL | opcodes.STORE | opcodes.SETS


def _effects_of_reading(owner: Any) -> int:
    return opcodes.MISSING if issubclass(type(owner), defaultdict) else 0


def can_check(cell: Cell) -> bool:
    """Return whether the C module has a check for `cell`."""
    return isinstance(cell, Calls) or kind_of(cell) is not None
