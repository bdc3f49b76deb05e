"""The nose story in a terminal: pdb's prompt stands in the frame that wrote, and the program goes on from there."""

import os
import sys
from pathlib import Path

import pexpect
import pytest

if sys.platform == "win32":
    pytest.skip("needs pseudo terminals", allow_module_level=True)

# pexpect forks, with whatever threads other tests have left in the pool of the standard library.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

PROJECT = Path(__file__).parents[2] / "demo" / "project"
PROMPT = r"\(Pdb\) "


@pytest.fixture
def terminal():
    """Return a function that starts stopwhen in a terminal of its own, which is closed at the end."""
    started = []

    def start(*options):
        environment = dict(os.environ, TERM="dumb", NO_COLOR="1", PYTHON_COLORS="0")
        environment.pop("PYTHONBREAKPOINT", None)
        command = ["-m", "stopwhen", "run", *options]
        child = pexpect.spawn(sys.executable, command, cwd=str(PROJECT), env=environment, encoding="utf-8", timeout=60)
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def ask(child, command):
    """Type a command at the prompt and return what is printed until the next one."""
    child.sendline(command)
    child.expect(PROMPT)
    return child.before


def test_the_prompt_stands_in_the_frame_that_wrote(terminal):
    """The hit is reported, names are those of `add_path`, `up` is its caller, and `continue` ends as a plain run."""
    child = terminal("--true", 'sys.path[0].endswith("lib")', "-m", "nose")
    child.expect(PROMPT)
    assert "by list.insert" in child.before
    assert "importer.py(257)add_path()" in child.before.replace("\r", "").split("hit 1")[1]
    assert str(PROJECT / "lib") in ask(child, "p path")
    assert "loader.py" in ask(child, "up")
    child.sendline("continue")
    child.expect(pexpect.EOF)
    assert "Ran 2 tests" in child.before
    child.close()
    assert child.exitstatus == 0


def test_one_can_step_on_and_stop_again(terminal):
    """`next` goes on in the frame that wrote; `continue` stops at the next hit."""
    child = terminal("--changes", "sys.path", "-m", "nose")
    child.expect(PROMPT)
    assert "importer.py(258)add_path()" in ask(child, "next")
    again = ask(child, "continue")
    assert "hit 2" in again
    assert str(PROJECT / "tests") in ask(child, "p path")
    child.sendline("continue")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_variable_can_be_changed_at_the_prompt(terminal):
    """What is assigned at the prompt holds when the program goes on, and is no hit."""
    code = "x = 1\nx = 2\nprint('x is', x)"
    child = terminal("--changes", "x", "--if", "old is not absent", "-c", code)
    child.expect(PROMPT)
    ask(child, "x = 5")
    child.sendline("continue")
    child.expect(pexpect.EOF)
    assert "x is 5" in child.before
    assert "hit 2" not in child.before
