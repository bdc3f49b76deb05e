"""Patterns as a shell has them: `fnmatch` without regular expressions, which take long to load and may be patched."""

from __future__ import annotations

from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable


class Glob:
    """A pattern; each part of it takes one character, or any number of any where it is None."""

    __slots__ = ("_parts",)

    def __init__(self, text: str) -> None:
        self._parts: list[Callable[[str], bool] | None] = []
        start = 0
        while start < len(text):
            end = start + 1
            if text[start] == "*":
                if self._parts[-1:] != [None]:
                    self._parts.append(None)
            elif text[start] == "?":
                self._parts.append(lambda _character: True)
            else:
                closing = text.find("]", start + (3 if text[start + 1 : start + 2] == "!" else 2))
                if text[start] == "[" and closing > 0:
                    self._parts.append(_one_of(text[start + 1 : closing]))
                    end = closing + 1
                else:
                    self._parts.append(text[start].__eq__)
            start = end

    def fits(self, name: str) -> bool:
        """Return whether the pattern takes all of `name`."""
        parts, n, i = self._parts, 0, 0
        again: tuple[int, int] | None = None  # where to go on when what is behind the latest star does not fit
        while i < len(name):
            part = parts[n] if n < len(parts) else _nothing
            if part is None:
                n += 1
                again = n, i
            elif part(name[i]):
                n, i = n + 1, i + 1
            elif again is None:
                return False
            else:
                again = again[0], again[1] + 1
                n, i = again
        return all(part is None for part in parts[n:])


def _nothing(_character: str) -> bool:
    return False


def _one_of(text: str) -> Callable[[str], bool]:
    """Return what tells whether a character is of a set such as `abc`, `a-z`, `!0-9`."""
    is_other = text.startswith("!")
    ranges = []
    start = int(is_other)
    while start < len(text):
        end = start + 2 if text[start + 1 : start + 2] == "-" and start + 2 < len(text) else start
        ranges.append((text[start], text[end]))
        start = end + 1
    return lambda character: any(first <= character <= last for first, last in ranges) is not is_other
