"""Where in a function a local's name stands for a comprehension's variable of that name instead (3.12+, PEP 709)."""

from __future__ import annotations

from stopwhen.frames import names_of_variables
from stopwhen.handlers import protected
from stopwhen.mechanisms.opcodes import stored_locals
from stopwhen.mechanisms.operands import depths, leads_to
from stopwhen.mechanisms.sites import instruction_at
from stopwhen.originals import functools, opcode, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from types import CodeType

SAVE = opcode.opmap.get("LOAD_FAST_AND_CLEAR")
"""Puts the local on the stack when an inlined comprehension begins; a store puts it back when that is done."""

_DEEPEST = 2
"""How much deeper than before saving the stack is at most when the local is put back. Where a comprehension stores to
its variable, what was saved, the result and the value lie on it besides."""


@functools.lru_cache(maxsize=256)
def borrowed_ranges(code: CodeType, variable: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges of offsets, from saving to putting back, in which `variable` is a comprehension's own."""
    if SAVE is None or SAVE not in code.co_code[::2]:
        return ()
    index = names_of_variables(code).index(variable)
    handler = {offset: target for start, end, target in protected(code) for offset in range(start, end + 2, 2)}
    borrowed: dict[int, int] = {}
    for offset in depths(code):
        if instruction_at(code, offset)[:2] == (SAVE, index):
            borrowed |= _until_put_back(code, offset, index, handler)
    ranges: list[tuple[int, int]] = []
    for offset, behind in sorted(borrowed.items()):
        start = ranges.pop()[0] if ranges and ranges[-1][1] == offset - 2 else offset
        ranges.append((start, behind - 2))
    return tuple(ranges)


def _until_put_back(code: CodeType, saving: int, index: int, handler: dict[int, int]) -> dict[int, int]:
    """Return the instructions to which saving a variable may lead until it is put back, with the offset behind each."""
    found: dict[int, int] = {}
    waiting = [saving]
    while waiting:
        offset = waiting.pop()
        depth = depths(code).get(offset)
        if offset in found or depth is None:
            continue
        number, argument, found[offset] = instruction_at(code, offset)
        is_store = number != SAVE and index in stored_locals(opcode.opname[number], argument)
        if is_store and depth <= depths(code)[saving] + _DEEPEST:
            continue
        waiting += [target for target, _depth in leads_to(code, offset, depth)]
        # An error inside, of a comprehension in this one too, goes to where the local is put back as well; one that
        # goes to the same place as an error before it all cannot be: nothing fails so near to saving and putting back.
        if handler.get(offset) not in (None, handler.get(saving)):
            waiting.append(handler[offset])
    return found


def is_borrowed(code: CodeType, offset: int, variable: str) -> bool:
    """Return whether at `offset` the name `variable` stands for a comprehension's own."""
    return any(start <= offset <= end for start, end in borrowed_ranges(code, variable))
