"""The sessions that docs/howto/attaching.md shows go as shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from helpers import SOURCE
from stopwhen import env

if sys.platform == "win32" or not env.HAS_REMOTE_EXEC:
    pytest.skip("needs sys.remote_exec (3.14) and pseudo terminals", allow_module_level=True)

import pexpect

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

DOCUMENT = (SOURCE.parent / "docs" / "howto" / "attaching.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"^```python\n(# worker\.py\n.*?)^```$", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
SESSIONS = re.findall(
    r"^```terminal\n\$ stopwhen attach 4242 (.*?)\n(.*?)^```$", DOCUMENT, flags=re.MULTILINE | re.DOTALL
)


def test_there_are_sessions():
    """The tests below are about something."""
    assert len(SESSIONS) == 3


@pytest.fixture
def worker(tmp_path):
    """The document's program, running."""
    (tmp_path / "worker.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "worker.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(("words", "shown"), SESSIONS)
def test_a_session_goes_as_shown(words, shown, worker):
    """But for numbers and folders."""
    child = pexpect.spawn(
        "/bin/sh",
        ["-c", f"exec {sys.executable} -m stopwhen attach {worker.pid} {words}"],
        env=dict(os.environ, PYTHONPATH=str(SOURCE), TERM="dumb", NO_COLOR="1", PYTHON_COLORS="0"),
        encoding="utf-8",
        timeout=60,
        echo=False,
        dimensions=(40, 100),
    )
    try:
        for line in shown.splitlines():
            if line == "^C":
                child.sendintr()
                continue
            if line.startswith("(Pdb) "):
                child.expect_exact("(Pdb) ")
                assert child.before == ""
                child.sendline(line.removeprefix("(Pdb) "))
                continue
            child.expect(f"{pattern_of(line)}\r\n")
            assert child.before == "", line
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)


def pattern_of(line):
    """Return a pattern for a line that is shown: numbers and folders differ."""
    literal = re.escape(re.sub(r"  +", "  ", line.replace("/home/you/", "FOLDER"))).replace("FOLDER", r"\S*/")
    return re.sub(r"\d+", r"\\d+", literal).replace(r"\ \ ", r"\ +").replace("times", "times?")
