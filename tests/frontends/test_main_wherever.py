"""The names of a watch expression are read in the program's `__main__`, whichever tool has made that, and where."""

from __future__ import annotations

import importlib.util
import os
import re
import socket

import pytest

from helpers import marked_lines, run_python
from stopwhen import env

APP = """\
import sys
total = 0  # @first
def work():
    global total
    part = total + 1  # @part
    total = part  # @second
work()
print("done", total, __name__)
"""

RUNNERS = {
    "run_path": 'import runpy\nrunpy.run_path("app.py", run_name="__main__")\n',
    "module_replaced": """\
import sys, types
before = sys.modules["__main__"]
sys.modules["__main__"] = module = types.ModuleType("__main__")
exec(compile(open("app.py").read(), "app.py", "exec"), vars(module))
sys.modules["__main__"] = before
""",
    "taken_out_for_a_moment": """\
import sys
module = sys.modules.pop("__main__")
sys.modules["__main__"] = module
exec(compile(open("app.py").read(), "app.py", "exec"))
""",
}


def needs(module):
    """Skip where a tool is not installed."""
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"needs {module}")


def free_port():
    """Return a port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


LAUNCHERS = [
    ("app.py",),
    ("-m", "app"),
    ("-m", "cProfile", "app.py"),
    ("-m", "cProfile", "-m", "app"),
    ("-m", "profile", "app.py"),
    ("-m", "trace", "--count", "--coverdir", "covered", "app.py"),
    ("-m", "pdb", "-c", "continue", "-c", "quit", "app.py"),
    ("run_path.py",),
    ("module_replaced.py",),
    ("taken_out_for_a_moment.py",),
    pytest.param("-m", "coverage", "run", "app.py", marks=needs("coverage")),
    pytest.param("-m", "debugpy", "--listen", "PORT", "app.py", marks=needs("debugpy")),
    pytest.param("-m", "IPython", "--colors=NoColor", "-c", "%run app.py", marks=needs("IPython")),
]
LAUNCHERS = [one if type(one) is not tuple else pytest.param(*one) for one in LAUNCHERS]
LAUNCHERS = [pytest.param(one.values, marks=one.marks, id=" ".join(one.values)) for one in LAUNCHERS]


def lines_hit(stderr):
    """Return the lines of `app.py` that reports name, in their order; those of other files with the file."""
    places = re.findall(r"hit \d+\n  (\S+):(\d+)", stderr)
    return [int(line) if file.rpartition(os.sep)[2] == "app.py" else f"{file}:{line}" for file, line in places]


@pytest.fixture
def folder(tmp_path):
    """A folder with the program, and programs that run it."""
    for name, text in {"app": APP, **RUNNERS}.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


@pytest.mark.parametrize("words", LAUNCHERS)
def test_a_global_is_the_programs(words, folder):
    """Each of its writes is a hit, and nothing that the tool does before and after."""
    marks = marked_lines(APP)
    words = [word if word != "PORT" else free_port() for word in words]
    watched = ["--action", "log", "--changes", "total", "--changes", "part", "--scope", "__main__:work"]
    found = run_python("-m", "stopwhen", "run", *watched, *words, cwd=folder, env={"IPYTHONDIR": str(folder)})
    assert "done 1 __main__" in found.stdout, found.stderr
    assert lines_hit(found.stderr) == [marks["first"], marks["part"], marks["second"]], found.stderr
    said = re.findall("^stopwhen: .*", found.stderr, re.MULTILINE)[3:]
    # debugpy starts its adapter, which is Python too.
    if "debugpy" in words:
        said = [one for one in said if "child process" not in one]
    assert said == ["stopwhen: 3 hits: total 2, part 1"]


def test_a_tools_own_names_are_none_of_the_programs(folder):
    """What cProfile defines for itself is no hit, nor that pdb clears it, nor what it calls before the program."""
    for tool, name in (("cProfile", "label"), ("pdb", "line_prefix"), ("trace", "PRAGMA_NOCOVER")):
        (folder / "named.py").write_text(f"print(1)\n{name} = 7\n")
        words = ["-m", tool, *(["--count"] if tool == "trace" else []), "named.py"]
        watched = ["--action", "log", "--changes", name]
        found = run_python("-m", "stopwhen", "run", *watched, *words, cwd=folder, stdin="continue\nquit\n")
        assert re.findall(r"hit \d+\n  \S*named.py:(\d+)", found.stderr) == ["2"], found.stderr
        assert found.stderr.splitlines()[-1] == f"stopwhen: 1 hit: {name} 1"


@pytest.mark.parametrize("mechanism", [None, "recheck"])
def test_a_name_that_main_lacks_is_the_imported_module(mechanism, folder):
    """In the new `__main__`, too."""
    (folder / "app.py").write_text("import sys\nsys.path.append('here')\n")
    chosen = ["--mechanism", mechanism] if mechanism else []
    watched = [*chosen, "--action", "log", "--changes", "sys.path", "--in", "app.py"]
    found = run_python("-m", "stopwhen", "run", *watched, "run_path.py", cwd=folder)
    assert lines_hit(found.stderr) == [2]


def test_servers_may_run_a_script_again_and_again(folder):
    """Each time in a new module; that it replaces the one before is no change."""
    (folder / "server.py").write_text(
        "import sys, types\n"
        "for turn in range(3):\n"
        "    sys.modules['__main__'] = module = types.ModuleType('__main__')\n"
        "    exec(compile(open('app.py').read(), 'app.py', 'exec'), vars(module))\n"
    )
    watched = ["--action", "log", "--changes", "total"]
    for pure in ("", "1") if env.core is not None else ("",):
        found = run_python(
            "-m", "stopwhen", "run", *watched, "server.py", cwd=folder, env={"STOPWHEN_PURE": pure} if pure else {}
        )
        marks = marked_lines(APP)
        assert lines_hit(found.stderr) == [marks["first"], marks["second"]] * 3
        assert found.stderr.splitlines()[-1] == "stopwhen: 6 hits: total 6"
