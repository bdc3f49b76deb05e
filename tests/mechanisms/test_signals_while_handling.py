"""A signal that comes at any line of ours while a hit is handled: its handler's write is told by its own line."""

from __future__ import annotations

import ctypes
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from contract import Module
from helpers import marked_lines
from recorder import Recorder
from stopwhen import env, location, session
from stopwhen.types import ABSENT

pytestmark = [
    pytest.mark.skipif(env.core is None or not env.HAS_MONITORING, reason="the lines of our handler are had by events"),
    pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no signal of the user's"),
]

PROGRAM = """\
beats = []
done = [0]
def tick(*_):
    beats.append(done[0])  # @beat
def step():
    global done
    done = [done[0] + 1]  # @step
    return len(beats)
"""


class SignalAtLine:
    """Calls the session's handler with events on for its lines, and raises a signal at the first that had none yet.

    Attributes:
        lines: those that had one.
        is_due: a signal is to be raised.
    """

    def __init__(self) -> None:
        self.lines: set[tuple[str, int]] = set()
        self.is_due = False
        self._handle: Any = session.current()._drain
        self._api = ctypes.pythonapi
        self._api.PyThreadState_Get.restype = ctypes.c_void_p
        for change in (self._api.PyThreadState_EnterTracing, self._api.PyThreadState_LeaveTracing):
            change.argtypes = [ctypes.c_void_p]
            change.restype = None

    def __call__(self) -> Any:
        """Be the handler."""
        thread = self._api.PyThreadState_Get()
        self._api.PyThreadState_LeaveTracing(thread)
        sys.monitoring.set_events(TOOL, sys.monitoring.events.LINE)
        try:
            return self._handle()
        finally:
            sys.monitoring.set_events(TOOL, 0)
            self._api.PyThreadState_EnterTracing(thread)

    def see_line(self, code: Any, line: int) -> None:
        """Take a LINE event."""
        place = code.co_filename, line
        if self.is_due and location.is_ours(code.co_filename) and place not in self.lines:
            self.is_due = False
            self.lines.add(place)
            signal.raise_signal(signal.SIGUSR1)


TOOL = 5


@pytest.mark.parametrize("action", ["count", "log"])
def test_a_signal_at_any_line_of_the_handler_is_handled_after_it(
    action: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its handler runs below the program's own frame, once for each signal, and what it writes is a hit on its line."""
    module = Module(tmp_path)
    module.run(PROGRAM)
    lines = marked_lines(PROGRAM)
    raiser = SignalAtLine()
    before = signal.signal(signal.SIGUSR1, module.tick)
    sys.monitoring.use_tool_id(TOOL, "test")
    sys.monitoring.register_callback(TOOL, sys.monitoring.events.LINE, raiser.see_line)
    assert env.core is not None
    try:
        with Recorder() as hits:
            steps = hits.changes("done", scope=module, action=action)
            beats = hits.changes("beats", scope=module, action="count")
            env.core.open(raiser, ABSENT, location.FOLDER)
            while not raiser.is_due:
                raiser.is_due = True
                module.step()
                assert len(module.beats) == len(raiser.lines)
            told = [(hit.location.lineno, hit.exact) for hit in (*steps.hits, *beats.hits)]
            counts = steps.count, beats.count
    finally:
        env.core.open(session.current()._drain, ABSENT, location.FOLDER)
        sys.monitoring.free_tool_id(TOOL)
        signal.signal(signal.SIGUSR1, before)
        capfd.readouterr()
    assert counts == (module.done[0], len(module.beats))
    assert len(raiser.lines) > 50
    assert set(told) == {(lines["step"], True), (lines["beat"], True)}
