"""Frames: naming one without keeping it alive, reading its variables, finding those of a function."""

from __future__ import annotations

import functools
import gc
import opcode
import sys
import weakref
from types import AsyncGeneratorType, CellType, CodeType, CoroutineType, FrameType, FunctionType, GeneratorType
from typing import TYPE_CHECKING, Any

from stopwhen import env
from stopwhen.types import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stopwhen.cells import FrameRef


class _HeldFrame:
    """A frame named without the C module, which alone can tell when one goes: it is kept until nobody names it."""

    __slots__ = ("__weakref__", "code", "frame")

    def __init__(self, frame: FrameType) -> None:
        self.frame = frame
        self.code = frame.f_code


_held: weakref.WeakValueDictionary[int, _HeldFrame] = weakref.WeakValueDictionary()


@functools.cache
def _core_function(name: str) -> Any:
    """Return a function of the C module; None where that could not be built."""
    return None if env.core is None else getattr(env.core, name)


def ref(frame: FrameType) -> FrameRef:
    """Return what names `frame`: the same object as long as somebody has it."""
    make = _core_function("frame_ref")
    if make is not None:
        named: FrameRef = make(frame)
        return named
    held = _held.get(id(frame))
    if held is None:
        held = _held[id(frame)] = _HeldFrame(frame)
    return held


def cell_of(frame: FrameType, name: str) -> CellType | None:
    """Return the cell object in which `frame` keeps `name`; None where it is not to be had."""
    reach = _core_function("frame_cell")
    cell: CellType | None = None if reach is None else reach(frame, name)
    return cell


def local(frame: FrameType | None, name: str) -> Any:
    """Return the value of the local, cell or free variable `name` of `frame`, or `ABSENT`."""
    if frame is None:
        return ABSENT
    reach = _core_function("frame_local")
    if reach is not None:
        try:
            return reach(frame, name)
        except KeyError:
            return ABSENT
    # Before 3.13 this renews the dict that `locals()` of that frame returned, as any call of `locals()` there does.
    try:
        return frame.f_locals[name]
    except KeyError:
        return ABSENT


def is_closed(ref: FrameRef | None) -> bool:
    """Return whether the frame is that of a generator which has been closed.

    From 3.13 on no event tells of that where closing runs nothing of it, and the frame stays as long as the generator.
    """
    frame = None if ref is None else ref.frame
    if frame is None or not env.HAS_PURE_F_LOCALS or not frame.f_code.co_flags & _SUSPENDS:
        return False
    if frame.f_back is not None or frame.f_locals:
        return False
    try:
        frame.clear()  # nothing is there to be cleared, but a frame that can go on refuses
    except RuntimeError:
        return False
    return True


def runs(frame: FrameType, function: FunctionType) -> bool:
    """Return whether `frame` is a call of `function`; without the C module, of any function that has its code."""
    if frame.f_code is not function.__code__:
        return False
    reach = _core_function("frame_function")
    return reach is None or reach(frame) is function


def of_function(function: FunctionType) -> Iterator[FrameType]:
    """Yield the frames of the calls of `function` that run in any thread now, and of its suspended generators."""
    for innermost in list(sys._current_frames().values()):  # noqa: SLF001 - there is no other way to it
        frame: FrameType | None = innermost
        while frame is not None:
            if runs(frame, function):
                yield frame
            frame = frame.f_back
    if function.__code__.co_flags & _SUSPENDS:
        for made in gc.get_objects():
            suspended = _suspended_frame(made, function.__code__)
            if suspended is not None and runs(suspended, function):
                yield suspended


_SUSPENDS = 0x20 | 0x80 | 0x100 | 0x200
"""CO_GENERATOR, CO_COROUTINE, CO_ITERABLE_COROUTINE, CO_ASYNC_GENERATOR of `inspect`."""


def _suspended_frame(made: Any, code: CodeType) -> FrameType | None:
    """Return the frame of `made` if that is a suspended generator, or its like, of `code`."""
    kind = type(made)
    frame: FrameType | None
    if kind is GeneratorType and made.gi_code is code:
        frame = made.gi_frame
    elif kind is CoroutineType and made.cr_code is code:
        frame = made.cr_frame
    elif kind is AsyncGeneratorType and made.ag_code is code:
        frame = made.ag_frame
    else:
        return None
    return frame if frame is not None and frame.f_lasti > _start_of(code) else None


_RETURN_GENERATOR = opcode.opmap["RETURN_GENERATOR"]


def _start_of(code: CodeType) -> int:
    """Return the last offset that a generator of `code` can stand at before it has run at all."""
    return 2 * code.co_code[::2].index(_RETURN_GENERATOR) + 2
