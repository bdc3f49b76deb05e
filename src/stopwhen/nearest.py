"""The known word that a mistyped one was most likely meant to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stopwhen.originals import sys, use_original_builtins

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
    """Return how many letters must be put in, taken out or changed to make one word the other."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, counterpart in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (letter != counterpart))
    return row[-1]
