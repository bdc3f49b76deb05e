"""What is loaded before a program begins: little of the standard library, since each start pays for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each of these takes a millisecond or more, and can be done without.
DEAR = {"ast", "contextlib", "dataclasses", "inspect", "json", "re", "subprocess", "tempfile", "typing"}
if sys.version_info < (3, 12):
    DEAR -= {"contextlib"}  # which importlib.util loads

ARMED = "import stopwhen, sys; stopwhen.changes('sys.path', action='log', threads='a*', condition='new')"
SHOWN = "import sys; print(*sys.modules)"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", f"{ARMED}; {SHOWN}"),
        ("-m", "stopwhen", "run", "--action", "log", "--changes", "sys.path", "-c", SHOWN),
        ("-m", "stopwhen", "run", "--changes", "sys.path", "--in", "*/a.py", "--hits", ">3", "-c", SHOWN),
    ],
)
def test_a_start_loads_little(arguments):
    def loaded(*words: str) -> set[str]:
        return set(subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True).stdout.split())

    assert loaded(*arguments) & DEAR - loaded("-c", SHOWN) == set()
