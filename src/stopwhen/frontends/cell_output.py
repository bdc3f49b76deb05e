"""Where hits and messages go in IPython: into the output of the cell that runs, as HTML where that can be shown."""

from __future__ import annotations

import asyncio
import functools
import html
import shutil
import sys
import threading
from collections import Counter

from stopwhen.actions import Output
from stopwhen.reports.html import html_of
from stopwhen.reports.text import USUAL_WIDTH, format_hit, report_width, wants_color
from stopwhen.type_hints import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from stopwhen.hit import Hit

_MOST_SHOWN: Final = 10
"""Hits of one watchpoint that one cell shows; the others are counted in a line at its end."""

_GRACE: Final = 0.3
"""Seconds that what happens between two cells waits for the next one: a run of all cells shows nothing in between."""


class CellOutput(Output):
    """The output of whatever cell runs; in a terminal, what it prints.

    What another thread does while no cell runs is shown in the next cell if that begins at once, else in the last one.
    """

    def __init__(self, shell: Any) -> None:
        super().__init__()
        self._shell = shell
        self.is_kernel = getattr(shell, "kernel", None) is not None
        self._lock = threading.Lock()
        self._in_cell = True  # %load_ext runs in one
        self._parent = self._parent_now()
        self._task = _task_name()
        self._shown: Counter[str] = Counter()
        self._waiting: list[dict[str, str]] = []

    # What is told.

    def arm(self) -> None:
        """Colour what is shown in a terminal; there, what is written goes to stderr as it is then."""
        self.color = wants_color(sys.stderr)

    @property
    def width(self) -> int:
        """How wide the terminal is."""
        return report_width(shutil.get_terminal_size((USUAL_WIDTH, 24)).columns)

    def write(self, text: str) -> None:
        """Write `text`. In a notebook at the end of the cell: whoever says something may hold a lock of ours."""
        if not self.is_kernel:
            _write_to(sys.stderr, text)
            return
        with self._lock:
            self._waiting.append(_as_text(text))
            idle = not self._in_cell
        if idle:
            self._wait_for_cell()

    def show(self, hit: Hit) -> None:
        """Show a hit; of many of one watchpoint in one cell, the first few."""
        if not self.is_kernel:
            super().show(hit)
            return
        watchpoint = hit.watchpoint
        with self._lock:
            key = f"{watchpoint.expression.text} (watchpoint {watchpoint.number})"
            self._shown[key] += 1
            if self._shown[key] > _MOST_SHOWN:
                return
            idle = not self._in_cell
        if hit.task == self._task:  # the kernel's own, which runs the cell
            hit = hit.__replace__(task=None)
        data = {"text/html": html_of(hit), "text/plain": format_hit(hit, color=False, width=USUAL_WIDTH).rstrip()}
        if idle:
            with self._lock:
                self._waiting.append(data)
            self._wait_for_cell()
        else:
            self._publish(data)

    # When.

    def follow_cells(self) -> Callable[[], object]:
        """Take note of cells that begin and end, until what is returned is called."""
        events = self._shell.events
        events.register("pre_run_cell", self._begin)
        events.register("post_run_cell", self._end)

        def undo() -> None:
            events.unregister("pre_run_cell", self._begin)
            events.unregister("post_run_cell", self._end)

        return undo

    def _begin(self, _info: object = None) -> None:
        with self._lock:
            self._in_cell = True
            self._parent = self._parent_now()
            self._task = _task_name()
        self._tell_waiting()

    def _end(self, _result: object = None) -> None:
        self._tell_waiting()
        with self._lock:
            self._in_cell = False

    def _wait_for_cell(self) -> None:
        """Tell what waits a little later, if no cell has begun by then."""
        loop = getattr(self._shell.kernel, "io_loop", None)
        if loop is None:
            self._tell_waiting()
        else:
            loop.add_callback(loop.call_later, _GRACE, self._tell_if_idle)

    def _tell_if_idle(self) -> None:
        if not self._in_cell:
            self._tell_waiting()

    def _tell_waiting(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            shown, self._shown = self._shown, Counter()
        for data in waiting:
            self._publish(data)
        for name, count in shown.items():
            if count > _MOST_SHOWN:
                self._publish(_as_text(f"stopwhen: {name}: {count - _MOST_SHOWN:,} more hits, not shown but counted\n"))

    # How.

    def _parent_now(self) -> Any:
        """Return what the kernel is asked just now: the cell that runs."""
        return getattr(self._shell.display_pub, "parent_header", None)

    def _publish(self, data: dict[str, str]) -> None:
        """Send a display to the cell that runs, or ran last, whichever thread this is."""
        publisher = self._shell.display_pub
        set_parent = getattr(publisher, "set_thread_parent", None)
        try:
            if set_parent is None or not self._parent:
                publisher.publish(data)
                return
            token = set_parent(self._parent)
            try:
                publisher.publish(data)
            finally:
                publisher.reset_thread_parent(token)
        except Exception:  # a kernel that is going down, or a hook of somebody's: no reason to disturb the program
            _write_to(sys.__stderr__, data["text/plain"] + "\n")

    # The debugger.

    def debugger_for(self, _hit: Hit, frame: FrameType) -> Callable[[], object] | bool:
        """In a kernel, return IPython's debugger where one can type into it; elsewhere leave it to the usual one."""
        if not self.is_kernel:
            return True
        if threading.current_thread() is not threading.main_thread():
            self.say_once("a notebook cannot stop in another thread than the main one: hits are shown instead")
        elif not getattr(self._shell.kernel, "_allow_stdin", False):
            self.say_once("this notebook takes no input, so it cannot stop: hits are shown instead (--action log)")
        else:
            return functools.partial(_open_debugger, frame)
        return False


def _open_debugger(frame: FrameType) -> None:
    import pdb  # noqa: PLC0415, T100 - heavy, and needed only now

    pdb.Pdb().set_trace(frame)  # ipykernel has put IPython's in the place of pdb's


def _task_name() -> str | None:
    """Return the name of the asyncio task that runs, None where none does."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else task.get_name()


def _write_to(stream: TextIO | None, text: str) -> None:
    """Write `text`; in a terminal IPython keeps its prompt whole. What cannot take it is no reason to disturb."""
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding, "replace"))
        stream.flush()
    except (OSError, ValueError, LookupError):
        return


def _as_text(text: str) -> dict[str, str]:
    plain = text.rstrip("\n")
    return {"text/html": f'<pre style="margin:0;white-space:pre-wrap">{html.escape(plain)}</pre>', "text/plain": plain}
