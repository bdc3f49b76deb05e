"""A worker of the test runner that crashes says how."""

from __future__ import annotations

from pathlib import Path

import pytest

import crashes


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("import faulthandler; faulthandler._sigsegv()", ["ended by SIGSEGV", "in test_that_ends"]),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ["ended by SIGKILL"]),
        ("import os; os._exit(7)", ["ended with status 7"]),
    ],
)
def test_a_worker_that_crashes_says_how(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, statement: str, told: list[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(crashes.__file__).parent))
    pytester.makeconftest("from crashes import pytest_configure")
    pytester.makepyfile(f"def test_that_ends():\n    {statement}\n")
    result = pytester.runpytest_subprocess("-n", "1", "--dist", "load")
    result.stdout.fnmatch_lines(["*a worker that crashed*", *(f"*{text}*" for text in told)])
