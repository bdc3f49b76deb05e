"""Which instructions an exception leads to, and from where: the exception table of a code object, read."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType

from stopwhen.originals import use_original_builtins

use_original_builtins(globals())


def protected(code: CodeType) -> Iterator[tuple[int, int, int]]:
    """Yield first and last offset of each range of instructions that has a handler, and the handler's offset."""
    for start, length, target, _depth in _entries(code):
        yield 2 * start, 2 * (start + length - 1), 2 * target


def handlers(code: CodeType) -> Iterator[tuple[int, int]]:
    """Yield the offset of each handler, and how deep the stack is there, doubled, plus one if an offset is on it."""
    for _start, _length, target, depth in _entries(code):
        yield 2 * target, depth


def _entries(code: CodeType) -> Iterator[tuple[int, int, int, int]]:
    numbers = _numbers(code.co_exceptiontable)
    return zip(numbers, numbers, numbers, numbers, strict=True)


def _numbers(table: bytes) -> Iterator[int]:
    """Yield the numbers of an exception table: six bits a byte, the most significant first, bit 6 where more follow."""
    number = 0
    for byte in table:
        number = number << 6 | (byte & 63)
        if not byte & 64:
            yield number
            number = 0
