"""%stopwhen in IPython's own terminal: hits as text, a stop in the debugger, a quiet end."""

from __future__ import annotations

import os
import re
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("needs pseudo terminals", allow_module_level=True)
pytest.importorskip("IPython", reason="needs the packages of the extra 'notebooks'")

import pexpect

from helpers import SOURCE

# pexpect forks, with whatever threads other tests have left in the pool of the standard library.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

PROMPT = r"In \[\d+\]: "
DEBUGGER = r"\(Pdb\) |ipdb> "


class Terminal:
    """IPython in a terminal of its own, with the extension loaded."""

    def __init__(self, folder):
        environment = dict(os.environ, TERM="dumb", NO_COLOR="1", PYTHON_COLORS="0", IPYTHONDIR=str(folder))
        environment["PYTHONPATH"] = str(SOURCE)
        environment.pop("PYTHONBREAKPOINT", None)
        words = ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
        self.child = pexpect.spawn(sys.executable, words, env=environment, encoding="utf-8", timeout=60, echo=False)
        self.child.expect(PROMPT)
        self.ask("%load_ext stopwhen")

    def ask(self, line, prompt=PROMPT):
        """Type a line and return what is printed until the next prompt."""
        self.child.sendline(line)
        self.child.expect(prompt)
        return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", self.child.before).replace("\r\n", "\n").strip()


@pytest.fixture
def terminal(tmp_path):
    """One of those, closed at the end."""
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.child.close(force=True)


def test_a_hit_is_text_and_names_the_cell(terminal):
    """As on the command line."""
    terminal.ask("total = 1")
    assert "log when total changes; it is now 1" in terminal.ask("%stopwhen changes total --action log")
    lines = terminal.ask("total = 2").splitlines()
    assert re.fullmatch(r"stopwhen: total changed +hit 1", lines[0])
    assert lines[1:] == ["  cell [4], line 1", "    1 | total = 2", "  total  1 -> 2"]
    assert "1  changes total  log  1 hit  is now 2" in terminal.ask("%stopwhen list")
    assert terminal.ask("%stopwhen changes +").startswith("UsageError: cannot watch '+'")


def test_a_stop_opens_the_debugger(terminal):
    """Which is what a hit does in a terminal, unless told otherwise."""
    terminal.ask("total = 1")
    terminal.ask("%stopwhen changes total")
    assert "total  1 -> 2" in terminal.ask("total = 2", DEBUGGER)
    assert terminal.ask("p total * 100", DEBUGGER) == "200"
    terminal.ask("c")
    assert terminal.ask("print(total)") == "2"


def test_the_end_of_the_shell_is_no_hit(terminal):
    """IPython takes all names away then."""
    terminal.ask("total = 1")
    terminal.ask("%stopwhen changes total --action log")
    terminal.ask("import stopwhen; own = stopwhen.changes('total', action='raise')")
    terminal.child.sendline("exit()")
    terminal.child.expect(pexpect.EOF)
    assert terminal.child.before.strip() == ""
    terminal.child.close()
    assert terminal.child.exitstatus == 0
