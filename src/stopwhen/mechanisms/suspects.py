"""How much tells that an instruction which a thread has begun changes data: for the recheck in pure Python.

The C module asks the same, and can tell more (_core/evidence.c).
"""

from __future__ import annotations

from stopwhen.mechanisms import opcodes, sites
from stopwhen.originals import opcode, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from types import CodeType

NOTHING, A_CALL, A_STORE = range(3)

_CALLS = frozenset({"CALL", "CALL_KW", "CALL_FUNCTION_EX"})
_ENTERING = frozenset(name for name, effects in opcodes.EFFECTS.items() if effects & opcodes.ENTERS)
_CALLING = _CALLS | _ENTERING | {"PRECALL"}
_WAITING = frozenset(
    "accept acquire connect input join kevent poll read readline recv recvfrom select sleep wait waitpid".split()  # noqa: SIM905 - a table, to be read
)
"""Names, among those of functions that change nothing, of those that wait."""


def evidence(code: CodeType, offset: int) -> int:
    """Return how much tells that the instruction at `offset` changes data that others hold, not just waits or reads."""
    name = opcode.opname[code.co_code[offset]]
    if name == "BINARY_OP":
        return A_STORE if sites.operator_of(code.co_code[offset + 1]).endswith("=") else NOTHING
    effects = opcodes.EFFECTS.get(name, 0)
    if not effects & (opcodes.CALL | opcodes.STORE | opcodes.MISSING):
        return NOTHING
    names, calls, entered = _on_line(code, offset)
    if effects & opcodes.DIRECT or not opcodes.MUTATORS.isdisjoint(names):
        return A_STORE
    harmless = sum(one in opcodes.HARMLESS or one in opcodes.PLAIN for one in names)
    return NOTHING if name in _CALLING and harmless + entered >= calls else A_CALL


def waits(code: CodeType, offset: int) -> bool:
    """Return whether the instruction at `offset` calls a function that waits, as far as the names on its line tell."""
    name = opcode.opname[code.co_code[offset]]
    if name not in _CALLING:
        return False
    names, _, entered = _on_line(code, offset)
    return evidence(code, offset) == NOTHING and (entered > 0 or not _WAITING.isdisjoint(names))


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
            entered += name in _ENTERING
    return names, calls, entered
