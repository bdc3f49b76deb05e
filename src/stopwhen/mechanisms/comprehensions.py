"""Where in a function a local's name stands for a comprehension's variable of that name instead (3.12+, PEP 709)."""

from __future__ import annotations

import functools
import opcode
from typing import TYPE_CHECKING

from stopwhen.handlers import protected

if TYPE_CHECKING:
    import dis
    from types import CodeType

SAVE = opcode.opmap.get("LOAD_FAST_AND_CLEAR")
"""Puts the local on the stack when an inlined comprehension begins; a store puts it back when that is done."""


@functools.lru_cache(maxsize=256)
def borrowed_ranges(code: CodeType, variable: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges of offsets, from saving to putting back, in which `variable` is a comprehension's own."""
    if SAVE is None or SAVE not in code.co_code[::2]:
        return ()
    from dis import get_instructions  # noqa: PLC0415 - only for functions with such comprehensions

    instructions = list(get_instructions(code))
    ranges = []
    for index, instruction in enumerate(instructions):
        if instruction.opname == "LOAD_FAST_AND_CLEAR" and instruction.argval == variable:
            loop = next(one for one in instructions[index:] if one.opname in ("FOR_ITER", "END_ASYNC_FOR"))
            behind = loop.argval if loop.opname == "FOR_ITER" else loop.offset
            ranges.append((instruction.offset, _put_back(instructions, behind, variable)))
            # An error in the comprehension goes to a handler that puts it back as well, and so does one in the
            # handlers of comprehensions inside it.
            handler = next((target for start, end, target in protected(code) if start <= loop.offset <= end), None)
            if handler is not None:
                ranges += [(start, end) for start, end, target in protected(code) if target == handler]
                ranges.append((handler, _put_back(instructions, handler, variable)))
    return tuple(ranges)


def _put_back(instructions: list[dis.Instruction], start: int, variable: str) -> int:
    """Return the offset of the first store to `variable` from `start` on."""
    stores = (one.offset for one in instructions if one.offset >= start and _stores(one, variable))
    return next(stores, instructions[-1].offset)


def _stores(instruction: dis.Instruction, variable: str) -> bool:
    if instruction.opname in ("STORE_FAST", "STORE_FAST_MAYBE_NULL", "STORE_DEREF"):
        return bool(instruction.argval == variable)
    if instruction.opname == "STORE_FAST_STORE_FAST":
        return variable in instruction.argval
    return instruction.opname == "STORE_FAST_LOAD_FAST" and bool(instruction.argval[0] == variable)


def is_borrowed(code: CodeType, offset: int, variable: str) -> bool:
    """Return whether at `offset` the name `variable` stands for a comprehension's own."""
    return any(start <= offset <= end for start, end in borrowed_ranges(code, variable))
