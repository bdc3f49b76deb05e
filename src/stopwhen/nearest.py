"""The known word that a mistyped one was most likely meant to be."""

from __future__ import annotations

from stopwhen.originals import sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `word` was most likely meant to be, None if none is near."""
    most = max(1, len(word.lstrip("-")) // 3)
    distances = [(_distance(word, other), other) for other in known if abs(len(other) - len(word)) <= most]
    distance, best = min(distances, default=(sys.maxsize, ""))
    return best if 0 < distance <= most else None


def _distance(one: str, other: str) -> int:
    """Return how many letters must be put in, taken out, changed or swapped to make one word the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, row = row, [i]
        for j, counterpart in enumerate(other, 1):
            least = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != counterpart))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == counterpart:
                least = min(least, before[j - 2] + 1)
            row.append(least)
        before = last
    return row[-1]
