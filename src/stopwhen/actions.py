"""What a hit does, in the thread and at the moment of the write."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, TextIO

from stopwhen.errors import DataChanged
from stopwhen.reports.text import error_text, format_hit, wants_color

if TYPE_CHECKING:
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

    def open_debugger(self, _hit: Hit, _frame: FrameType) -> bool:
        """Stop in `frame` in a way of a front end's own; False leaves it to the user's debugger in the terminal."""
        return False

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


def stop(hit: Hit, frame: FrameType | None, output: Output) -> None:
    """Report the hit and open the debugger in the frame that wrote; without a terminal, report only.

    `PYTHONBREAKPOINT` chooses the debugger as for `breakpoint()`: unset for pdb, `0` for none, `module.function` for
    another, which is called without arguments.
    """
    output.show(hit)
    choice = os.environ.get("PYTHONBREAKPOINT", "")
    if choice == "0" or frame is None or output.open_debugger(hit, frame):
        return
    if choice not in ("", "pdb.set_trace"):
        sys.breakpointhook()  # noqa: T100 - opening the debugger is what a stop is
        return
    if not _has_terminal():
        output.say_once("no terminal to stop at: hits are logged instead (--action log says so without this line)")
        return
    open_pdb(frame)


def _has_terminal() -> bool:
    try:
        return sys.stdin.isatty() and sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False


def open_pdb(frame: FrameType, debugger: Any = None) -> None:
    """Open pdb's prompt in `frame` at once, and leave it tracing where the user chose to step on.

    Args:
        frame: the frame that wrote.
        debugger: a Pdb of another kind.
    """
    import pdb  # noqa: PLC0415, T100 - heavy, and needed only now

    debugger = debugger or pdb.Pdb()
    debugger.reset()
    outer: FrameType | None = frame
    while outer is not None:
        outer.f_trace = debugger.trace_dispatch
        debugger.botframe = outer
        outer = outer.f_back
    debugger.interaction(frame, None)
    stepping = debugger.stoplineno != -1 or debugger.quitting
    if stepping or debugger.breaks:
        sys.settrace(debugger.trace_dispatch)
        return
    outer = frame
    while outer is not None:
        del outer.f_trace
        outer = outer.f_back
