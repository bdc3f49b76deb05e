"""Frames: naming one without keeping it alive, reading its variables, finding those of a function."""

from __future__ import annotations

from types import AsyncGeneratorType, CellType, CodeType, CoroutineType, FrameType, FunctionType, GeneratorType

from stopwhen import env
from stopwhen.originals import functools, gc, opcode, sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import ABSENT
from stopwhen.weak_values import WeakValues

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stopwhen.cells import FrameRef


class _HeldFrame:
    """A frame named without the C module, which alone can tell when one goes: it is kept until nobody names it."""

    __slots__ = ("__weakref__", "code", "frame")

    def __init__(self, frame: FrameType) -> None:
        self.frame = frame
        self.code = frame.f_code


_held: WeakValues[int, _HeldFrame] = WeakValues()


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
    if reach is not None:
        cell: CellType | None = reach(frame, name)
        return cell
    names = names_of_variables(frame.f_code)
    found = variable(frame, names.index(name)) if name in names and start_of_locals() is not None else None
    return found if type(found) is CellType else None


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
    if frame.f_code.co_flags & _SUSPENDS and _is_cleared(frame):
        return ABSENT
    # Before 3.13 this renews the dict that `locals()` of that frame returned, as any call of `locals()` there does.
    try:
        return frame.f_locals[name]
    except KeyError:
        return ABSENT


def namespace_of(frame: FrameType) -> Any:
    """Return the mapping in which `frame`, when it is no function's, keeps its names; None where none is to be had."""
    namespace: Any = frame.f_locals
    # While a comprehension that is inlined there runs (3.12+), this is made anew each time: a copy with the
    # comprehension's variables, or from 3.13 on a mapping of these alone.
    if namespace is frame.f_locals:
        return namespace
    reach = _core_function("frame_namespace")
    return _namespace_in_memory(frame) if reach is None else reach(frame)


def variables_of_comprehensions(frame: FrameType, namespace: dict[str, Any]) -> frozenset[str]:
    """Return the variables of the comprehensions that run inlined in `frame`, which has `namespace` for its names."""
    shown: Any = frame.f_locals
    if shown is namespace:
        return frozenset()
    names = (*frame.f_code.co_varnames, *frame.f_code.co_cellvars)
    return frozenset(
        name
        for name in names
        if shown.get(name, ABSENT) is not ABSENT
        and (env.HAS_PURE_F_LOCALS or shown[name] is not dict.get(namespace, name, ABSENT))
    )


_WORD = 8 if sys.maxsize > 1 << 32 else 4
_RUNNING = 3 * _WORD if not hasattr(sys, "getobjects") else 5 * _WORD
"""Where a frame object has the address of what the interpreter runs: behind its reference count, type and caller."""
_TAGS = 3
"""The lowest two bits of an entry are not part of the address (from 3.14 on); where both are set it is none."""
_FARTHEST = 20
_NUMBER = 0xFFFFFFFF
"""Of a word, what an int of C in it takes, where the lower bytes come first."""
_FARTHEST_END = 1 << 20
"""Where the end is told by an address, it is no more bytes away."""

EMPTY = object()
"""Stands for an entry of the stack, or a variable, that holds nothing."""


def words(frame: FrameType, count: int) -> list[int]:
    """Return the first `count` words of what the interpreter runs for `frame`, read from its memory.

    Raises:
        ImportError: there is no ctypes.
    """
    import ctypes  # noqa: PLC0415 - it may be missing, and only those without the C module need it

    return list((ctypes.c_size_t * count).from_address(_address(frame)))


def _address(frame: FrameType) -> int:
    import ctypes  # noqa: PLC0415

    return ctypes.c_size_t.from_address(id(frame) + _RUNNING).value


def entry_of(word: int) -> Any:
    """Return the object that a word of a frame's variables or stack refers to, or EMPTY."""
    import ctypes  # noqa: PLC0415

    address = 0 if word & _TAGS == _TAGS else word & ~_TAGS
    return ctypes.cast(address, ctypes.py_object).value if address else EMPTY


@functools.cache
def start_of_locals() -> int | None:
    """Return where, in words, the variables of a running frame begin; None where they are not found."""
    try:
        return _find(object(), object(), object())
    except ImportError:
        return None


def _find(first: object, second: object, third: object) -> int | None:
    wanted = [id(first), id(second), id(third)]
    found = [word & ~_TAGS for word in words(sys._getframe(), _FARTHEST + 3)]  # noqa: SLF001 - as above
    return next((place for place in range(_FARTHEST) if found[place : place + 3] == wanted), None)


@functools.lru_cache(maxsize=256)
def names_of_variables(code: CodeType) -> tuple[str, ...]:
    """Return the names of locals, cell and free variables, in the order of their indexes."""
    return (*code.co_varnames, *(name for name in code.co_cellvars if name not in code.co_varnames), *code.co_freevars)


def variable(frame: FrameType, index: int) -> Any:
    """Return what the frame has for variable `index`: for one that functions share its cell; EMPTY where unbound."""
    start = start_of_locals()
    assert start is not None, "who asks has made sure of it"
    return entry_of(words(frame, start + index + 1)[start + index])


def _is_cleared(frame: FrameType) -> bool:
    """Return whether nothing is left of the variables of `frame`, as of a generator that was closed; or it has none.

    The interpreter has given back what they held, but the frame's memory says so no more: `f_locals` reads, and may end
    the process by it, what has been freed (3.13).
    """
    reach = _core_function("frame_is_cleared")
    if reach is not None:
        cleared: bool = reach(frame)
        return cleared
    place = _place_of_end()
    return place is not None and _end(frame, place) == 0


@functools.cache
def _place_of_end() -> int | None:
    """Return which of the words before a frame's variables tells where these and the stack end; None if none does."""

    def suspended() -> Iterator[None]:
        a = b = c = d = e = None
        yield a or b or c or d or e

    sample = suspended()
    next(sample)
    start, frame = start_of_locals(), sample.gi_frame  # type: ignore[attr-defined] # it is a generator
    return next((place for place in range(start or 0) if _end(frame, place) == len(frame.f_code.co_varnames)), None)


def _end(frame: FrameType, place: int) -> int | None:
    """Return how far the variables and the stack reach, in words: told by a number or an address; None as it runs."""
    start = start_of_locals()
    assert start is not None, "who asks has found it"
    word = words(frame, start)[place]
    if word == 0:
        return None
    reach = word - _address(frame) - start * _WORD
    return reach // _WORD if 0 <= reach < _FARTHEST_END else word & _NUMBER


def _namespace_in_memory(frame: FrameType) -> Any:
    """Return what lies behind the frame's globals and builtins, which are known."""
    start = start_of_locals()
    if start is None:
        return None
    found = words(frame, start)
    known = [id(frame.f_globals), id(frame.f_builtins)]
    places = (place + 2 for place in range(start - 2) if found[place : place + 2] == known)
    namespace = next((entry_of(found[place]) for place in places), EMPTY)
    return None if namespace is EMPTY else namespace


def may_close_silently(ref: FrameRef | None) -> bool:
    """Return whether the frame is that of a generator, which may be closed without an event: see `is_closed`."""
    frame = None if ref is None else ref.frame
    return frame is not None and env.HAS_PURE_F_LOCALS and bool(frame.f_code.co_flags & _SUSPENDS)


def is_closed(ref: FrameRef | None) -> bool:
    """Return whether the frame is that of a generator which has been closed.

    From 3.13 on no event tells of that where closing runs nothing of it, and the frame stays as long as the generator.
    """
    frame = None if ref is None else ref.frame
    if frame is None or not may_close_silently(ref):
        return False
    if frame.f_back is not None or not _is_cleared(frame):
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


def used_cells(cells: tuple[CellType, ...]) -> set[int]:
    """Return the ids of those of `cells` that anything of the program's refers to."""
    wanted = {id(cell) for cell in cells}
    used: set[int] = set()
    for holder in gc.get_referrers(*cells):
        if holder is not cells and not (type(holder).__module__ or "").startswith("stopwhen"):
            used.update(id(held) for held in gc.get_referents(holder) if id(held) in wanted)
    return used
