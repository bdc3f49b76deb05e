"""What lies on the stack of a frame before an instruction, read from the interpreter's memory without the C module.

How deep the stack is there, the code tells. Where a frame keeps its locals, behind which the stack begins, is found by
looking for known ones.
"""

from __future__ import annotations

import functools
import opcode
import sys
from typing import TYPE_CHECKING, Any

from stopwhen.mechanisms import sites
from stopwhen.mechanisms.comprehensions import handlers

if TYPE_CHECKING:
    from types import CodeType, FrameType

_WORD = 8 if sys.maxsize > 1 << 32 else 4
_FRAME = 3 * _WORD if not hasattr(sys, "getobjects") else 5 * _WORD
"""Where a frame object has the address of what the interpreter runs: behind its reference count, type and caller."""
_TAGS = 3
"""The lowest two bits of an entry are not part of the address (from 3.14 on); where both are set it is none."""
_FARTHEST = 20

EMPTY = object()
"""Stands for an entry of the stack, or a variable, that holds nothing."""

_AWAY = frozenset({"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "INTERPRETER_EXIT"})
_ALWAYS_JUMPS = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"})
_JUMPS = {*opcode.hasjrel, *opcode.hasjabs} - {opcode.opmap["END_ASYNC_FOR"]}  # its argument is for tools


@functools.cache
def reason() -> str | None:
    """Return why operands cannot be read here; None when they can."""
    try:
        import ctypes  # noqa: F401, PLC0415 - it may be missing, and only those who watch accesses need it
    except ImportError:
        return "without the C module it takes ctypes, which is missing"
    return None if _start_of_locals() is not None else "this interpreter keeps its frames in another way"


def _word(address: int) -> int:
    import ctypes  # noqa: PLC0415

    return ctypes.c_size_t.from_address(address).value


@functools.cache
def _start_of_locals() -> int | None:
    """Return where, in words, the locals of a running frame begin; None where they are not found."""
    return _find(object(), object(), object())


def _find(first: object, second: object, third: object) -> int | None:
    frame = sys._getframe()  # noqa: SLF001 - there is no other way to a frame
    wanted = [id(first), id(second), id(third)]
    start = _word(id(frame) + _FRAME)
    for word in range(_FARTHEST):
        if [_word(start + (word + n) * _WORD) & ~_TAGS for n in range(3)] == wanted:
            return word
    return None


def operands(frame: FrameType, offset: int, count: int) -> list[Any] | None:
    """Return the `count` topmost items of the stack, the top last, before the instruction at `offset` that comes next.

    The whole is None where the depth of the stack is not known.
    """
    import ctypes  # noqa: PLC0415

    code = frame.f_code
    depth = depths(code).get(offset)
    start = _start_of_locals()
    if depth is None or depth < count or start is None:
        return None
    end = _word(id(frame) + _FRAME) + (start + _variables(code) + depth) * _WORD
    found = []
    for place in range(end - count * _WORD, end, _WORD):
        entry = _word(place)
        address = 0 if entry & _TAGS == _TAGS else entry & ~_TAGS
        found.append(ctypes.cast(address, ctypes.py_object).value if address else EMPTY)
    return found


def variable(frame: FrameType, index: int) -> Any:
    """Return what the frame has for variable `index`: for one that functions share its cell; EMPTY where unbound."""
    import ctypes  # noqa: PLC0415

    start = _start_of_locals()
    assert start is not None, "reason() was asked first"
    address = _word(_word(id(frame) + _FRAME) + (start + index) * _WORD) & ~_TAGS
    return ctypes.cast(address, ctypes.py_object).value if address else EMPTY


@functools.lru_cache(maxsize=256)
def names_of_variables(code: CodeType) -> tuple[str, ...]:
    """Return the names of locals, cell and free variables, in the order of their indexes."""
    return (*code.co_varnames, *(name for name in code.co_cellvars if name not in code.co_varnames), *code.co_freevars)


def _variables(code: CodeType) -> int:
    return len(names_of_variables(code))


@functools.lru_cache(maxsize=256)
def depths(code: CodeType) -> dict[int, int]:
    """Return how deep the stack is before each instruction that can be reached, by offset in bytes."""
    found = {0: 0, **{target: (depth >> 1) + 1 + (depth & 1) for target, depth in handlers(code)}}
    doubtful: set[int] = set()
    pending = list(found)
    while pending:
        offset = pending.pop()
        for target, depth in _next(code, offset, found[offset]):
            if target not in found:
                found[target] = depth
                pending.append(target)
            elif found[target] != depth:
                doubtful.add(target)
    return {offset: depth for offset, depth in found.items() if offset not in doubtful}


def _next(code: CodeType, offset: int, depth: int) -> list[tuple[int, int]]:
    """Return where the instruction at `offset` leads, and how deep the stack is there."""
    number, argument, behind = sites.instruction_at(code, offset)
    name = opcode.opname[number]
    given = argument if number >= opcode.HAVE_ARGUMENT else None
    leads = []
    if number in _JUMPS:
        target = behind - 2 * argument if "BACKWARD" in name else behind + 2 * argument
        leads.append((target, depth + opcode.stack_effect(number, given, jump=True)))
    if name == "RETURN_GENERATOR":
        leads.append((behind, depth + 1))  # what is sent to it when it runs
    elif name not in _AWAY and name not in _ALWAYS_JUMPS:
        # On 3.11 PRECALL only prepares the call behind it, which takes the arguments off the stack.
        effect = 0 if name == "PRECALL" else opcode.stack_effect(number, given, jump=False)
        leads.append((behind, depth + effect - (argument if name == "CALL" and _HAS_PRECALL else 0)))
    return leads


_HAS_PRECALL = "PRECALL" in opcode.opmap
