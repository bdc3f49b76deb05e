"""Whether an instruction that a thread has begun may have changed data, by its line: for the recheck in pure Python.

The C module asks the same, and can tell more (_core/blaming.c).
"""

from __future__ import annotations

import opcode
from typing import TYPE_CHECKING

from stopwhen.mechanisms import opcodes

if TYPE_CHECKING:
    from types import CodeType

_CALLS = frozenset({"CALL", "CALL_KW", "CALL_FUNCTION_EX"})
_FIRST_IN_PLACE = 13
"""The argument of BINARY_OP for `+=`; those of the other operators in place are greater."""


def may_change_data(code: CodeType, offset: int) -> bool:
    """Return whether the instruction at `offset` may change data that others hold; not a wait for a lock, or the like."""
    name = opcode.opname[code.co_code[offset]]
    if name == "BINARY_OP":
        return code.co_code[offset + 1] >= _FIRST_IN_PLACE
    effects = opcodes.EFFECTS.get(name, 0)
    if not effects & (opcodes.CALL | opcodes.STORE | opcodes.MISSING):
        return False
    if name not in _CALLS and name != "PRECALL" and not effects & opcodes.ENTERS:
        return True
    names, calls, entered = _on_line(code, offset)
    harmless = sum(one in opcodes.HARMLESS or one in opcodes.PLAIN for one in names)
    return harmless + entered < calls or not opcodes.MUTATORS.isdisjoint(names)


def _on_line(code: CodeType, offset: int) -> tuple[list[str], int, int]:
    """Return the names that are loaded on the line of `offset`, and how many calls and `with` blocks there are."""
    spans = list(code.co_lines())
    line = next((line for start, end, line in spans if start <= offset < end), None)
    names, calls, entered = [], 0, 0
    for start, end, other in spans:
        for at in range(start, end, 2) if other == line else ():
            name = opcode.opname[code.co_code[at]]
            loaded = opcodes.loaded_name(code, at)
            if loaded is not None:
                names.append(loaded)
            calls += name in _CALLS
            entered += bool(opcodes.EFFECTS.get(name, 0) & opcodes.ENTERS)
    return names, calls, entered
