"""How often each watchpoint of a run was hit, in this process and in those that it forks: in memory that they share."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

from stopwhen.immutable import Immutable
from stopwhen.originals import os, use_original_builtins
from stopwhen.type_hints import Any, Final

use_original_builtins(globals())

_ROWS: Final = 1_024
"""Processes that have counts of their own; of more, those whose ids differ by this number share theirs."""

_WORD: Final = 8


class Count(Immutable):
    """How many hits one watchpoint had: in the first process, and in its children."""

    own: int
    children: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.own + self.children


class Tally:
    """The counts of `watchpoints` watchpoints, made before the program starts.

    Each process writes to a row of its own, which begins with its process id; then come, for each watchpoint, its count
    in that process, which goes on from the parent's, and what that was when the process was forked. Whatever ends a
    process, its counts stay.
    """

    def __init__(self, watchpoints: int) -> None:
        self._width = 1 + 2 * watchpoints
        self._watchpoints = range(watchpoints)
        self._memory = mmap.mmap(-1, (1 + _ROWS) * self._width * _WORD)
        self._words: Any = memoryview(self._memory).cast("B").cast("q")
        self._row = 0

    def cell(self, index: int) -> memoryview:
        """Return the eight bytes, as one number, in which this process keeps the count of one watchpoint."""
        start = self._row + 1 + 2 * index
        words: memoryview = self._words[start : start + 1]
        return words

    def begin_in_child(self, counts: Sequence[int]) -> None:
        """Have a forked child count in a row of its own; `counts` are those that it has from its parent."""
        pid = os.getpid()
        rows = [1 + (pid + step) % _ROWS for step in range(_ROWS)]
        free = (row for row in rows if self._words[row * self._width] in (0, pid))
        self._row = next(free, rows[0]) * self._width
        self._words[self._row] = pid
        for index, count in enumerate(counts):
            start = self._row + 1 + 2 * index
            # What an earlier process of this id has counted is kept: its row goes on.
            counted = self._words[start] - self._words[start + 1]
            self._words[start], self._words[start + 1] = count, count - counted

    def counts(self) -> list[Count]:
        """Return the counts of all watchpoints, of the processes that have ended, too."""
        rows = [row * self._width for row in range(1, 1 + _ROWS) if self._words[row * self._width]]
        return [
            Count(
                self._words[1 + 2 * index],
                sum(self._words[row + 1 + 2 * index] - self._words[row + 2 + 2 * index] for row in rows),
            )
            for index in self._watchpoints
        ]

    @property
    def told(self) -> int:
        """How many hits the user has been told of at the end of a process."""
        told: int = self._words[0]
        return told

    @told.setter
    def told(self, hits: int) -> None:
        self._words[0] = hits  # the first row needs no process id
