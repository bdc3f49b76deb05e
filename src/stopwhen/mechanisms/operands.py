"""What lies on the stack of a frame before an instruction, read from the interpreter's memory without the C module.

How deep the stack is there, the code tells; it begins behind the variables.
"""

from __future__ import annotations

from stopwhen import frames
from stopwhen.handlers import handlers
from stopwhen.mechanisms import sites
from stopwhen.originals import functools, opcode, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any

use_original_builtins(globals())

if TYPE_CHECKING:
    from types import CodeType, FrameType

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
    return None if frames.start_of_locals() is not None else "this interpreter keeps its frames in another way"


def operands(frame: FrameType, offset: int, count: int) -> list[Any] | None:
    """Return the `count` topmost items of the stack, the top last, before the instruction at `offset` that comes next.

    The whole is None where the depth of the stack is not known.
    """
    code = frame.f_code
    depth = depths(code).get(offset)
    start = frames.start_of_locals()
    if depth is None or depth < count or start is None:
        return None
    end = start + len(frames.names_of_variables(code)) + depth
    return [frames.entry_of(word) for word in frames.words(frame, end)[end - count :]]


@functools.lru_cache(maxsize=256)
def depths(code: CodeType) -> dict[int, int]:
    """Return how deep the stack is before each instruction that can be reached, by offset in bytes."""
    found = {0: 0, **{target: (depth >> 1) + 1 + (depth & 1) for target, depth in handlers(code)}}
    doubtful: set[int] = set()
    pending = list(found)
    while pending:
        offset = pending.pop()
        for target, depth in leads_to(code, offset, found[offset]):
            if target not in found:
                found[target] = depth
                pending.append(target)
            elif found[target] != depth:
                doubtful.add(target)
    return {offset: depth for offset, depth in found.items() if offset not in doubtful}


def leads_to(code: CodeType, offset: int, depth: int) -> list[tuple[int, int]]:
    """Return where the instruction at `offset` leads unless it fails, and how deep the stack is there."""
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
