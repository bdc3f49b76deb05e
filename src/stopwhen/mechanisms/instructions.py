"""Accesses in C: the instructions that may store to or read an armed cell are looked at before they run."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterator

from stopwhen import env, static
from stopwhen.cells import Cell, Closure, Content, DictItem, ListItem, Local, Slot
from stopwhen.mechanisms import callees, opcodes, sites
from stopwhen.mechanisms.armed import READ, Armed
from stopwhen.mechanisms.comprehensions import borrowed_ranges
from stopwhen.mechanisms.native import Token, bring_back_starts
from stopwhen.originals import functools, sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any

use_original_builtins(globals())

if TYPE_CHECKING:
    from stopwhen.mechanisms.tools import SharedTool
    from stopwhen.types import AccessType

# The same values as in _core/access.h and _core/sites.h.
ACCESS_ITEM, ACCESS_CONTENT, ACCESS_LIST_ITEM, ACCESS_SLOT, ACCESS_LOCAL, ACCESS_CLOSURE = range(6)
ITEMS_STORED, ITEMS_READ, ANY_NAME, ANY_ITEM, STAR, NUMBERS_STORED, NUMBERS_READ = 1, 2, 4, 8, 16, 32, 64

_SETTING = frozenset(("setattr", "__setattr__"))
_GETTING = frozenset(("getattr", "__getattribute__"))
_STORING_ITEMS = frozenset(("__setitem__", "setitem", "__init__"))
_WHOLE_LIST = frozenset(("sort", "reverse", "heapify"))


_WITHOUT_ATTRIBUTES = static.TypeSet(list, set, bytearray, deque)


class InstructionWatch:
    """Sees stores of the same value, and reads, for the mechanisms in C that see changes."""

    access_title = "a look at the instructions that may do it"
    access_cost = "none in code that has no such instruction"

    def __init__(self, tool: SharedTool) -> None:
        self._tool = tool
        self._armed = Armed()
        self._tokens: dict[tuple[Cell, bool], Token] = {}
        self._interests: Counter[tuple[str, Hashable]] = Counter()

    def reason_for_accesses(self) -> str | None:
        """Return why accesses cannot be seen here; None when they can."""
        if env.core is None:
            return env.NO_C_MODULE
        return self._tool.reason() if env.HAS_MONITORING else None

    def arm_access(self, cell: Cell, access: AccessType) -> None:
        """Report stores to `cell`, or reads of it, from now on; its changes are reported by another mechanism.

        Raises:
            Unavailable: there is no tool id.
        """
        is_read = access is READ
        if not self._tokens:
            self._start()
        token = self._tokens[cell, is_read] = Token(cell, "access")
        self._armed.add(cell, access)
        env.core.arm_access(*_kind_of(cell), token, is_read)
        new = Counter(interests(cell, is_read=is_read))
        grown = any(not self._interests[one] for one in new)
        self._interests.update(new)
        if grown:
            self._tell(grown=True)
            if env.HAS_MONITORING:
                bring_back_starts(unread=True)

    def disarm_access(self, cell: Cell, access: AccessType) -> None:
        """Report them no more; nothing when they are not armed."""
        is_read = access is READ
        token = self._tokens.pop((cell, is_read), None)
        if token is None:
            return
        self._armed.remove(token.cell, access)
        _, owner, _ = _kind_of(token.cell)
        env.core.disarm_access(owner, token)
        before = len(self._interests)
        self._interests -= Counter(interests(token.cell, is_read=is_read))
        if len(self._interests) < before or not self._tokens:
            self._tell(grown=False)
        if not self._tokens and env.HAS_MONITORING:
            self._tool.want("access", 0)

    def _start(self) -> None:
        if env.HAS_MONITORING:
            events = sys.monitoring.events
            starts = events.PY_START | events.PY_RESUME | events.PY_THROW
            self._tool.want("access", starts | events.RAISE | events.PY_UNWIND)
        env.core.set_opcodes(*opcodes.tables())
        env.core.set_sites(*sites.tables())

    def _tell(self, *, grown: bool) -> None:
        """Tell the C module what the armed accesses have in common."""
        found: dict[str, set[Any]] = {"flag": set(), "operator": set(), "stored": set(), "read": set(), "call": set()}
        for kind, value in self._interests:
            found[kind].add(value)
        flags, operators, *names = found.values()
        every = functools.reduce(int.__or__, flags, 0)
        env.core.set_interest(every, sites.in_place_mask(operators), *map(frozenset, names), self._judge, grown)

    def _judge(self, site: int, first: Any, second: Any, third: Any) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
        """Return the tokens of what an instruction stores to, and of what it reads."""
        if site == sites.IN_PLACE:
            return self._tokens_of(self._armed.in_place(first, second, sites.operator_of(third))), ()
        if site == sites.IMPORT_STAR:
            return self._tokens_of(self._armed.star(first, second)), ()
        keywords = () if third is None else third
        stored: list[Cell] = []
        read: list[Cell] = []
        for touch in callees.touches(first, second, keywords):
            (read if touch.access is READ else stored).extend(self._armed.touched(touch))
        return self._tokens_of(stored), self._tokens_of(read, is_read=True)

    def _tokens_of(self, cells: list[Cell], *, is_read: bool = False) -> tuple[Token, ...]:
        return tuple(self._tokens[cell, is_read] for cell in cells if (cell, is_read) in self._tokens)


def _kind_of(cell: Cell) -> tuple[int, Any, Any]:
    """Return kind, owner and key of an access for the C module."""
    match cell:
        case DictItem():
            return ACCESS_ITEM, cell.owner, cell.key
        case ListItem():
            return ACCESS_LIST_ITEM, cell.owner, cell.index
        case Slot():
            return ACCESS_SLOT, cell.owner, cell.descriptor
        case Local():
            ranges = borrowed_ranges(cell.owner.code, cell.variable)
            return ACCESS_LOCAL, cell.owner, (cell.variable, *ranges)
        case Closure():
            return ACCESS_CLOSURE, cell.owner, None
    assert isinstance(cell, Content), "an opaque cell has no accesses"
    return ACCESS_CONTENT, cell.owner, None


def interests(cell: Cell, *, is_read: bool) -> Iterator[tuple[str, Hashable]]:
    """Yield what an instruction has that touches `cell`: flags, an operator, a name, that of a function in C."""
    name = "read" if is_read else "stored"
    match cell:
        case DictItem():
            yield "flag", ITEMS_READ if is_read else ITEMS_STORED | STAR
            if type(cell.key) is str:
                yield name, cell.key
            else:
                yield "flag", NUMBERS_READ if is_read else NUMBERS_STORED
            if not is_read:
                yield "operator", "|="
            calls = callees.READING_NAMES if is_read else _SETTING | _STORING_ITEMS | callees.UPDATING_NAMES
        case ListItem():
            yield "flag", ITEMS_READ | NUMBERS_READ if is_read else ITEMS_STORED | NUMBERS_STORED
            calls = callees.READING_NAMES - _GETTING if is_read else _STORING_ITEMS | _WHOLE_LIST
        case Slot():
            yield name, static.member_name(cell.descriptor)
            calls = _GETTING | {"__get__"} if is_read else _SETTING | {"__set__"}
        case Closure():
            yield name, cell.name
            yield name, "cell_contents"
            calls = _GETTING if is_read else _SETTING
        case Content():
            yield from _interests_in_content(cell.owner)
            return
        case _:
            return
    for one in calls:
        yield "call", one


def _interests_in_content(owner: Any) -> Iterator[tuple[str, Hashable]]:
    """Yield what an instruction must have to store into `owner`."""
    kind = type(owner)
    yield "flag", ITEMS_STORED | ANY_ITEM
    if static.is_a(owner, dict):
        yield "flag", ANY_NAME | STAR  # the attributes of an object, the names of a namespace
    elif kind not in _WITHOUT_ATTRIBUTES and kind is not static.loaded_class("array", "array"):
        yield "flag", ANY_NAME  # the fields of a ctypes structure, say
    for symbol, method in sites.IN_PLACE_METHODS.items():
        if static.definer(kind, method) is not None:
            yield "operator", symbol
    for one in callees.WRITING_NAMES:
        if one not in callees.METHOD_NAMES or static.definer(kind, one) is not None:
            yield "call", one
