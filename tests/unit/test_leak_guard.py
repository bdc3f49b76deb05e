"""The guard of conftest.py fails the test that leaks, and only that one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

LEAKS = {
    "trace function": """
        import sys
        def test_leaks():
            sys.settrace(lambda *arguments: None)
    """,
    "trace function of new threads": """
        import threading
        def test_leaks():
            threading.settrace(lambda *arguments: None)
    """,
    "handler of signal": """
        import signal
        def test_leaks():
            signal.signal(signal.SIGTERM, lambda *arguments: None)
    """,
    "watchpoints": """
        import stopwhen
        def test_leaks():
            stopwhen.changes("X", scope={"X": 1}, action="count")
    """,
    "owner of monitoring tool id": """
        import sys
        def test_leaks():
            sys.monitoring.use_tool_id(3, "somebody")
    """,
    "events of monitoring tool id": """
        import sys
        def test_leaks():
            sys.monitoring.use_tool_id(4, "somebody")
            sys.monitoring.set_events(4, sys.monitoring.events.PY_START)
    """,
}


@pytest.mark.parametrize("what", LEAKS)
def test_a_test_that_leaks_fails_and_the_next_one_starts_clean(what, pytester, monkeypatch):
    """A leak is laid to the test that made it."""
    if "monitoring" in what and not hasattr(sys, "monitoring"):
        pytest.skip("needs sys.monitoring")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent / "src")]))
    pytester.makeconftest((TESTS / "conftest.py").read_text())
    pytester.makepyfile(test_it=LEAKS[what])
    with pytester.path.joinpath("test_it.py").open("a") as file:
        file.write("\ndef test_next():\n    pass\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([f"  {what}*before the test*after it"])
