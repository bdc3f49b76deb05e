"""Stops where there is no terminal, or no debugger: the hits are told, the program goes on, and nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from helpers import SOURCE, run_program, run_python

PROGRAM = """\
x = 0
def f():
    global x
    x = 1
    after = 2
f()
x = 2
print("end", x)
"""
RUN = ["--changes", "x", "--if", "old is not absent"]
HITS = 2

# A debugger of each kind of trouble, to be named by PYTHONBREAKPOINT.
TROUBLE = """\
import sys

def opens_nothing():
    raise OSError("no port is free")

def breaks_when_it_stops():
    frame = sys._getframe(1)
    def trace(frame, kind, argument):
        raise ValueError("a bug")
    frame.f_trace = trace
    sys.settrace(trace)

def says_where():
    frame = sys._getframe(1)
    print("stopped in", frame.f_code.co_name, "after" in frame.f_locals)

def leaves():
    sys.exit(7)

class Broken(Exception):
    def __str__(self):
        raise TypeError

def has_no_words():
    raise Broken
"""

BY = pytest.mark.parametrize("pure", [{}, {"STOPWHEN_PURE": "1"}], ids=["C module", "pure Python"])


def run(tmp_path, *, env=None, flags=(), program=PROGRAM, options=RUN):
    """Run a program that stops, with the debuggers of TROUBLE at hand and no terminal."""
    (tmp_path / "trouble.py").write_text(TROUBLE, encoding="utf-8")
    (tmp_path / "program.py").write_text(textwrap.dedent(program), encoding="utf-8")
    words = [*flags, "-m", "stopwhen", "run", *options, "program.py"]
    return run_python(*words, cwd=tmp_path, env={"PYTHONPATH": f"{SOURCE}:{tmp_path}", **(env or {})})


@BY
def test_without_a_terminal_hits_are_logged(tmp_path, pure):
    """This is said once, and the program runs as it does without us."""
    result = run(tmp_path, env=pure)
    assert (result.stdout, result.status) == ("end 2\n", 0)
    assert result.stderr.count("no terminal to stop at") == 1
    assert result.stderr.count("x changed") == HITS


def test_without_an_open_stdin_hits_are_logged(tmp_path):
    """So it is where the process has no standard input at all."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    command = f'"{sys.executable}" -m stopwhen run --changes x program.py <&-'
    result = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.stdout, result.returncode) == ("end 2\n", 0)
    assert "no terminal to stop at" in result.stderr


@pytest.mark.parametrize(
    "name", ["ipdb.set_trace", "pudb.set_trace", "IPython.embed", "pdb.set_trace", "stopwhen.pdb.set_trace"]
)
def test_a_debugger_that_needs_a_terminal_is_not_opened_without_one(tmp_path, name):
    """It would find the end of its input, and quit: that would end the program."""
    result = run(tmp_path, env={"PYTHONBREAKPOINT": name})
    assert (result.stdout, result.status) == ("end 2\n", 0)
    assert "no-terminal" in result.stderr or "no-debugger" in result.stderr


def test_no_debugger_is_opened_where_there_is_to_be_none(tmp_path):
    """With `PYTHONBREAKPOINT=0` a stop only tells of the hit, and of no reason."""
    result = run(tmp_path, env={"PYTHONBREAKPOINT": "0"})
    assert (result.stdout, result.status) == ("end 2\n", 0)
    assert result.stderr.count("x changed") == HITS
    assert "no terminal" not in result.stderr


@pytest.mark.parametrize("name", ["nosuch.set_trace", "trouble.nosuch", "nosuch", "a.b.c.d"])
def test_a_debugger_that_is_not_there_is_told_of(tmp_path, name):
    """Python warns as it does for `breakpoint()`; our message says what to do."""
    result = run(tmp_path, env={"PYTHONBREAKPOINT": name})
    assert (result.stdout, result.status) == ("end 2\n", 0)
    assert f'RuntimeWarning: Ignoring unimportable $PYTHONBREAKPOINT: "{name}"' in result.stderr
    assert result.stderr.count("[no-debugger]") == 1
    assert f"pip install {name.split('.')[0]}, or unset PYTHONBREAKPOINT" in result.stderr
    assert result.stderr.count("x changed") == HITS


def test_the_variable_is_ignored_where_python_ignores_it(tmp_path):
    """With `-E`, as for `breakpoint()`."""
    (tmp_path / "trouble.py").write_text(TROUBLE, encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    code = f"import sys; sys.path[:0] = [{str(SOURCE)!r}]; from stopwhen.frontends.cli import main; main()"
    words = ["-E", "-c", code, "run", "--changes", "x", "program.py"]
    result = run_python(*words, cwd=tmp_path, env={"PYTHONBREAKPOINT": "trouble.leaves"})
    assert (result.stdout, result.status) == ("end 2\n", 0)
    assert "no terminal to stop at" in result.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("opens_nothing", "OSError: no port is free"),
        ("breaks_when_it_stops", "ValueError: a bug"),
        ("has_no_words", "Broken: (no text)"),
    ],
)
def test_an_error_of_the_debuggers_does_not_reach_the_program(tmp_path, name, words):
    """It is reported once, without a traceback, and the program goes on."""
    result = run(tmp_path, env={"PYTHONBREAKPOINT": f"trouble.{name}"})
    assert (result.stdout, result.status) == ("end 2\n", 0)
    assert result.stderr.count(f"the debugger trouble.{name} raised {words}; the program goes on") == 1
    assert "Traceback" not in result.stderr


@BY
def test_a_debugger_of_the_users_own_finds_the_frame_that_wrote(tmp_path, pure):
    """It needs no terminal, and the names of its caller are the writer's."""
    result = run(tmp_path, env={"PYTHONBREAKPOINT": "trouble.says_where", **pure})
    assert result.stdout == "stopped in f False\nstopped in <module> False\nend 2\n"


@BY
def test_a_debugger_may_end_the_program(tmp_path, pure):
    """What ends a process for good ends it: here with the status that the debugger gives."""
    result = run(tmp_path, env={"PYTHONBREAKPOINT": "trouble.leaves", **pure})
    assert (result.stdout, result.status) == ("", 7)
    assert result.stderr.count("x changed") == 1


@BY
def test_a_hook_that_the_program_has_set_is_called(tmp_path, pure):
    """As `breakpoint()` calls it, whatever the variable says."""
    program = "import sys, trouble\nsys.breakpointhook = trouble.says_where\n" + PROGRAM
    result = run(tmp_path, program=program, env={"PYTHONBREAKPOINT": "trouble.leaves", **pure})
    assert result.stdout == "stopped in f False\nstopped in <module> False\nend 2\n"


def test_hits_of_one_instruction_are_one_stop(tmp_path):
    """Two watchpoints on the same data tell their hits, and then the debugger is opened once."""
    result = run(tmp_path, env={"PYTHONBREAKPOINT": "trouble.says_where"}, options=[*RUN, "--changes", "x + 1"])
    assert result.stdout.count("stopped in f") == 1


def test_a_hit_at_exit_and_in_threads_leaves_no_traceback(tmp_path):
    """A stop in a daemon thread, or in a function that runs at exit, keeps nobody."""
    program = """\
    import atexit, threading
    x = 0
    def work():
        global x
        while True:
            x += 1
    def last():
        global x
        x = -1
    atexit.register(last)
    threading.Thread(target=work, daemon=True).start()
    print("end")
    """
    result = run_program(textwrap.dedent(program), stopwhen=["--changes", "x", "--hits", "3"])
    assert (result.stdout, result.status) == ("end\n", 0)
    assert "Traceback" not in result.stderr
