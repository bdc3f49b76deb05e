"""What a hit does, in the thread and at the moment of the write."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, TextIO

from stopwhen.errors import DataChanged
from stopwhen.originals import sys, use_original_builtins
from stopwhen.reports.text import error_text, format_hit, wants_color

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from stopwhen.hit import Hit


class Output:
    """Where our own text goes: the stderr that the process began with, so that nothing the program captures changes."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    @property
    def stream(self) -> TextIO | None:
        """The stream, None where the process has none."""
        return sys.__stderr__

    def write(self, text: str) -> None:
        """Write `text`, a whole number of lines; a stream that cannot take it is no reason to disturb the program."""
        stream = self.stream
        if stream is None:
            return
        encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding, "replace"))
            stream.flush()
        except (OSError, ValueError, LookupError):
            return

    def say(self, text: str) -> None:
        """Write one message under our name."""
        self.write(f"stopwhen: {text}\n")

    def say_once(self, text: str) -> None:
        """Write one message under our name, the first time only."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def owner_of(self, _hit: Hit) -> object:
        """Return whom a hit concerns, as far as there is more than one: each stops for itself."""
        return None

    def debugger_for(self, _hit: Hit, _frame: FrameType) -> Callable[[], object] | bool:
        """Return what opens the debugger of a front end in a frame; True for the user's own one, False for none."""
        return True

    def show(self, hit: Hit) -> None:
        """Write the report of a hit."""
        stream = self.stream
        if stream is None:
            return
        width = shutil.get_terminal_size((82, 24)).columns
        self.write(format_hit(hit, color=wants_color(stream), width=min(width, 120)))


def log(hit: Hit, output: Output) -> None:
    """Write the report."""
    output.show(hit)


def raise_changed(hit: Hit) -> None:
    """Raise `DataChanged` for the writer.

    Raises:
        DataChanged: always.
    """
    raise DataChanged(hit, error_text(hit))
