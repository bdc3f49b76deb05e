"""A plugin of pytest that writes how each test went, as it goes, to the file named by FIELD_OUTCOMES."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import pytest


class Outcomes:
    """Writes one JSON list a phase that did something: name, phase, outcome, and the error's last line."""

    def __init__(self, file: TextIO, pid: int) -> None:
        self.file = file
        self.pid = pid

    def note(self, name: str, phase: str, outcome: str, text: str) -> None:
        """Write one outcome; at once, so that a run that ends badly has told what it did."""
        if os.getpid() == self.pid:
            self.file.write(json.dumps([name, phase, outcome, text]) + "\n")
            self.file.flush()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected, or was skipped as a whole."""
        if report.outcome != "passed":
            self.note(report.nodeid, "collect", report.outcome, _last_line(report))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of a test."""
        outcome = f"x{report.outcome}" if hasattr(report, "wasxfail") else report.outcome
        self.note(report.nodeid, report.when, outcome, _last_line(report))

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Note the exit status as pytest gives it."""
        self.note("", "finish", str(int(exitstatus)), "")


def _last_line(report: pytest.CollectReport | pytest.TestReport) -> str:
    return "" if report.outcome == "passed" else report.longreprtext.rstrip().rpartition("\n")[2][:300]


def pytest_configure(config: pytest.Config) -> None:
    """Begin, in the process that was started for it: sessions of pytest within tests are none of it."""
    path = os.environ.pop("FIELD_OUTCOMES", None)
    if path is not None:
        config.pluginmanager.register(Outcomes(Path(path).open("a", encoding="utf-8"), os.getpid()))
