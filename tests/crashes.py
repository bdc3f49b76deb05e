"""What ended a process of the test runner, told at the end of the output, where it is looked for."""

from __future__ import annotations

import faulthandler
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

_PATIENCE = 10.0
"""Seconds."""


class Crashes:
    """A pytest plugin of the process that spreads the tests: keeps what its workers told as they died."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="crashes-")
        self._ends: list[str] = []

    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where to write."""
        node.workerinput["crash_report"] = str(self._report(node))

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Note how a worker ended that was not told to."""
        if error:
            report = self._report(node)
            text = report.read_text(encoding="utf-8") if report.exists() else ""
            self._ends.append(f"{node.gateway.id} {_end_of(node)}\n{text}")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print what is known of each."""
        for end in self._ends:
            terminalreporter.section("a worker that crashed")
            terminalreporter.write_line(end)

    def pytest_unconfigure(self) -> None:
        """Leave no files."""
        self._folder.cleanup()

    def _report(self, node: Any) -> Path:
        return Path(self._folder.name) / node.gateway.id


def _end_of(node: Any) -> str:
    try:
        status = node.gateway._io.popen.wait(_PATIENCE)  # it has closed its pipes, so it has ended, or is about to
    except subprocess.TimeoutExpired:
        return "still there, without its pipes"
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


@pytest.hookimpl(trylast=True)  # after pytest's own plugin, which would have the last word else
def pytest_configure(config: pytest.Config) -> None:
    """Let the interpreter write, should this process die, where each thread is; and the first process keep that."""
    if hasattr(config, "workerinput"):
        file = Path(config.workerinput["crash_report"]).open("wb", buffering=0)
        config.add_cleanup(file.close)
        faulthandler.enable(file)
    elif config.getoption("dist", "no") != "no":
        config.pluginmanager.register(Crashes())
