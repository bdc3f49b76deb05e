"""Where each instruction stands in its file: the positions of a code object, decoded once."""

from __future__ import annotations

from _bisect import bisect_right

from stopwhen.handlers import protected
from stopwhen.of_code import OfCode
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, TypeAlias

use_original_builtins(globals())

if TYPE_CHECKING:
    from types import CodeType


Position: TypeAlias = tuple[int | None, int | None, int | None, int | None]
"""Line, counted from 1, last line, column in bytes and last column of an instruction; None for what was not noted."""

_NOWHERE = (None, None, None, None)


class _Positions:
    """The positions of one code object: those of its units, where each begins, and what was worked out of them."""

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.length = 0
        self.found: dict[int, Position] = {}
        self._starts: list[int] = []
        self._positions: list[Position] = []
        latest = None
        for position in code.co_positions():
            if position != latest:
                latest = position
                self._starts.append(self.length)
                self._positions.append(position)
            self.length += 1

    def of(self, unit: int) -> Position:
        """Return the position of a code unit."""
        position = self.found.get(unit)
        if position is None:
            position = self.found[unit] = self._find(unit)
        return position

    def _find(self, unit: int) -> Position:
        if not 0 <= unit < self.length:
            return _NOWHERE
        position = self._positions[bisect_right(self._starts, unit) - 1]
        if position[0]:  # Line 0 is what the very first instruction of a module has.
            return position
        lines = [self._positions[bisect_right(self._starts, n) - 1][0] for n in range(unit)]
        line = _line_cleaned_up_after(self.code, lines) or next(filter(None, reversed(lines)), None)
        return _NOWHERE if line is None else (line, None, None, None)


_positions_in = OfCode(_Positions)


def position_of(code: CodeType, unit: int) -> Position:
    """Return the position of a code unit, with columns only if it is the unit's own.

    One without a line belongs to what it cleans up after, or has the line of the nearest one before it.
    """
    return _positions_in(code).of(unit)


def _line_cleaned_up_after(code: CodeType, lines: list[int | None]) -> int | None:
    """Return the last line from which an exception leads to the instructions without a line behind `lines`.

    When `raise KeyError` leaves `except OSError as e:`, `e` is deleted by code that may lie anywhere.
    """
    start = next((unit + 1 for unit in range(len(lines) - 1, -1, -1) if lines[unit]), 0)
    reached = [entry for entry in protected(code) if start <= entry[2] // 2 <= len(lines)]
    nearest = max((target for _first, _last, target in reached), default=0)
    left = [(first, last) for first, last, target in reached if target == nearest]
    found = [line for first, last in left for line in lines[first // 2 : last // 2 + 1] if line]
    return found[-1] if found else None
