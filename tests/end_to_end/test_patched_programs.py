"""Programs that patch what we could call: a report is complete all the same, and none of theirs is called for us."""

from __future__ import annotations

import importlib.util
import re

import pytest

from helpers import PROGRAMS, marked_lines, run_program, run_python

PURE = {"STOPWHEN_PURE": "1"}

HAS_NUMPY = importlib.util.find_spec("numpy") is not None

CHANGES = [
    ("total", "global", "total  0 -> 3"),
    ("account.balance", "attribute", "account.balance  1 -> 3"),
    ('table["a"]', "item", 'table["a"]  1 -> 3'),
    ("rows", "list", "rows  inserted 3 at 2"),
    *([("data", "array", "data  replaced 0.0 at 3 by 3.0")] if HAS_NUMPY else []),
    ("found", "bound", "found  bound to 1"),
    ("found", "local", "found  1 -> 2"),
]


@pytest.mark.parametrize("pure", [False, True], ids=["native", "pure"])
@pytest.mark.parametrize("modules", ["kept", "modules"])
def test_a_report_is_complete_while_every_function_of_every_module_raises(pure, modules):
    """Builtins, functions and classes of all modules that are loaded, and with `sys.modules` emptied as well."""
    program = PROGRAMS / "patches_everything.py"
    marks = marked_lines(program)
    lines = program.read_text(encoding="utf-8").splitlines()
    ran = run_program(program, modules, env=PURE if pure else {})
    assert (ran.status, ran.stderr if ran.status else "") == (0, "")
    first, *told = ran.stdout.splitlines()
    counts = [1, 1, 1, 1, 2, *([1] if HAS_NUMPY else [])]
    assert first == f"raised {[counts, counts, counts, [1]]}"
    inner = ["change", "outer", "run", "<module>"]
    expected = [
        " | ".join(
            map(
                str,
                [
                    *(name, marks[mark], "list.append" if mark == "list" else None, change, True, "MainThread"),
                    ["work", *inner] if name == "found" else inner,
                ],
            )
        )
        for name, mark, change in [*CHANGES, ("guarded", "raise", "guarded  0 -> 3")]
    ]
    assert told == expected
    for name, mark, change in CHANGES:
        where = marks[mark]
        function = "work" if name == "found" else "change"
        by = "   by list.append" if mark == "list" else ""
        assert f"patches_everything.py:{where} in {function}{by}\n    {where} | {lines[where - 1]}\n" in ran.stderr
        assert f"  {change}\n  from " in ran.stderr
    assert f"patches_everything.py:{marks['outer']} in outer" in ran.stderr


MOCKED_CLOCK = """
    from unittest import mock
    import time
    calls = []
    with mock.patch("time.time_ns", side_effect=[1, 2, 3]) as clock:
        calls.append(time.time_ns())
        calls.append(time.time_ns())
        print(calls, clock.call_count)
"""

FAKED = """
    import importlib, sys
    for name in sys.argv[1:]:
        stack = [0]
        module, _, name = name.rpartition(".")
        module = importlib.import_module(module)
        real = getattr(module, name)
        def fake(*args, **named):
            stack[-1]
            return real(*args, **named)
        setattr(module, name, fake)
        stack.pop()
        setattr(module, name, real)
    print("alive")
"""

PATCHED_OSPATH = """
    import ntpath
    import os
    state = {}
    real = os.path
    os.path = ntpath
    state["a"] = 1
    from json.decoder import JSONDecoder
    os.environ["A"] = "1"
    os.path = real
"""

CLEARED_MODULES = """
    import sys
    from unittest import mock
    rows = []
    with mock.patch.dict(sys.modules, clear=True):
        rows.append(1)
        rows.append(2)
    print(rows)
"""

AUTO_TICK = """
    import datetime
    from freezegun import freeze_time
    log = []
    with freeze_time("2020-01-14", auto_tick_seconds=2):
        log.append(1)
        log.append(2)
        print(datetime.datetime.now())
"""

FAKED_FUNCTIONS = [
    *("os.getpid", "os.getcwd", "os.path.abspath", "os.path.normcase", "os.path.dirname", "os.path.isfile", "os.stat"),
    *("time.time_ns", "time.time", "sys._getframe", "asyncio.current_task", "threading.current_thread", "io.open"),
    *("linecache.getlines", "linecache.updatecache", "tokenize.open", "tokenize.tokenize", "ast.parse", "ast.walk"),
    *("dataclasses.replace", "warnings.catch_warnings", "warnings.simplefilter", "re.compile", "fnmatch.fnmatchcase"),
    *("builtins.open", "builtins.len", "builtins.isinstance", "builtins.repr", "builtins.getattr", "builtins.hash"),
    *("shutil.get_terminal_size", "gc.get_referents", "opcode.stack_effect", "weakref.ref", "functools.partial"),
]


@pytest.mark.parametrize("action", ["count", "log"])
@pytest.mark.parametrize(
    ("program", "expression", "words"),
    [
        pytest.param(MOCKED_CLOCK, "calls", [], id="clock"),
        pytest.param(FAKED, "stack", FAKED_FUNCTIONS, id="faked"),
        pytest.param(PATCHED_OSPATH, "state", [], id="ospath"),
        pytest.param(CLEARED_MODULES, "rows", [], id="modules"),
        pytest.param(AUTO_TICK, "log", [], id="freezegun"),
    ],
)
def test_what_a_program_patches_is_not_called_for_us(program, expression, words, action):
    """Calls of a mock, the ticks of a frozen clock and the ends of fakes are as without us."""
    if program is AUTO_TICK:
        pytest.importorskip("freezegun")
    plain = run_program(program, *words)
    ran = run_program(program, *words, stopwhen=["--action", action, "--changes", expression])
    assert (ran.stdout, ran.status) == (plain.stdout, plain.status)
    assert ran.own_stderr == plain.stderr or action == "log"
    assert "stopwhen: " in ran.stderr


CACHING_READER = """
    class Lazy:
        def __init__(self):
            self.__dict__["stored"] = {"DEBUG": False}
        def __getattr__(self, name):
            value = self.__dict__["stored"][name]
            self.__dict__[name] = value
            return value
        def __setattr__(self, name, value):
            self.__dict__.pop(name, None)
            self.__dict__["stored"][name] = value
    settings = Lazy()
    settings.DEBUG = True
    print(settings.DEBUG)
"""


@pytest.mark.parametrize("pure", [False, True], ids=["native", "pure"])
def test_calls_are_not_made_amid_an_operation_that_they_could_enter(pure):
    """A reader that caches would store what is only there between two steps of a method of the same class."""
    options = ["--action", "log", "--allow-calls", "--changes", "settings.DEBUG"]
    ran = run_program(CACHING_READER, stopwhen=options, env=PURE if pure else {})
    assert ran.stdout == "True\n"
    assert len(re.findall("^stopwhen: settings.DEBUG changed", ran.stderr, re.MULTILINE)) == 1
    assert "settings.DEBUG  False -> True" in ran.stderr
    assert "the line is not certain" in ran.stderr


def test_a_hit_while_asyncio_is_imported_asks_it_nothing():
    """Its functions in C crash until their module has been run, and that is in `sys.modules` before."""
    program = "import sys, asyncio\nasync def main(): sys.modules['made'] = sys\nasyncio.run(main())\nprint('alive')\n"
    ran = run_program(program, stopwhen=["--action", "log", "--changes", "sys.modules", "--max-hits", "1000"])
    assert (ran.stdout, ran.status) == ("alive\n", 0)
    assert "added '_asyncio'" in ran.stderr
    assert "Task-1" in ran.stderr


def test_a_source_line_is_found_while_os_path_is_that_of_another_system(tmp_path):
    """The place is named, and its line read, by functions that are not the program's."""
    (tmp_path / "program.py").write_text("\n".join(line[4:] for line in PATCHED_OSPATH.splitlines()), encoding="utf-8")
    ran = run_python("-m", "stopwhen", "run", "--action", "log", "--changes", "state", "program.py", cwd=tmp_path)
    assert '| state["a"] = 1\n' in ran.stderr
