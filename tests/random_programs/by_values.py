"""Judges the hits of a program whose values tell the line that wrote them, without another mechanism to compare with.

Such a program writes what its function `v()` returns: the number of its line, times a million, and a running number. All of
these are in its list `written`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from random_programs.writing import Program, Watch
from stopwhen import Hit

LINE = 1_000_000
MOST_LOST = 0.1
"""Of what threads write at once, the part that may go to an object that has been replaced since it was read."""

_VALUE = re.compile(rf"\b\d{{{len(str(LINE))},}}\b")
_NAME = re.compile(r"\w+")


def faults(program: Program, filename: str, told: Sequence[tuple[Watch, Hit]], written: Sequence[int]) -> list[str]:
    """Return what is wrong: a hit that is said to be exact and is not, and values that no hit has told."""
    lines = program.main.splitlines()
    found = []
    values: set[int] = set()
    for watch, hit in told:
        new = _values(hit.new_text) - _values(hit.old_text)
        values |= _values(hit.new_text)
        if hit.change is not None:
            values |= _values(hit.change.text)
        if not hit.exact:
            continue
        where = hit.location
        text = _source(program, filename, hit)
        is_right = where is not None and where.lineno in {value // LINE for value in new}
        if not (is_right or (not new and text is not None and re.search(rf"\b(?:{_root(watch)}|self|exec)\b", text))):
            found.append(f"{watch}: {hit.old_text} -> {hit.new_text} at line {where and where.lineno}: {text}")
    lost = [value for value in written if value not in values]
    allowed = 3 + MOST_LOST * len(written) if program.has_threads else 0
    if len(lost) > allowed:
        found += [f"not told: {value}, line {value // LINE}: {lines[value // LINE - 1]}" for value in lost]
    return found


def _root(watch: Watch) -> str:
    """Return the name at which a watch expression begins."""
    name = _NAME.match(watch.text)
    assert name is not None
    return name.group()


def _source(program: Program, filename: str, hit: Hit) -> str | None:
    """Return the line of the program that a hit tells; None for none."""
    if hit.location is None:
        return None
    source = program.main if hit.location.filename == filename else program.setup
    return source.splitlines()[hit.location.lineno - 1]


def _values(text: str) -> set[int]:
    return {int(one) for one in _VALUE.findall(text)}
