"""A program under `stopwhen run` prints and ends as it does under plain python."""

from __future__ import annotations

import os
import py_compile
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import PROGRAMS, Result, run_python
from stopwhen import env

PARITY = PROGRAMS / "parity"
WATCHING = ("-m", "stopwhen", "run", "--changes", "no_such_name_", "--action", "log")
EXITS = ("none", "zero", "three", "big", "negative", "text", "object", "tuple", "float", "true", "at once", "abort")
RAISES = (
    *("plain", "chained", "grouped", "noted", "frozen", "hostile", "in_exec", "in_long_line", "in_coroutine"),
    *("at_import", "between_prints", "without_main"),
)
INTERRUPTS = ("by_raise", "by_signal", "by_own", "caught", "by_termination")
HOOKS = ("reports", "fails", "exits", "interrupts", "deleted", "none", "printed")
STREAMS = (
    *("unflushed", "read", "asked", "stdout closed", "stderr closed", "stdout none", "stderr none"),
    *("descriptor closed", "broken pipe"),
)

# The program, its arguments.
TABLE = [
    ("shows_its_main", ("a", "--changes", "-m", "b")),
    *(("exits", (how,)) for how in EXITS),
    *(("raises", (how,)) for how in RAISES),
    *(("interrupted", (how,)) for how in INTERRUPTS),
    *(("hooks", (how,)) for how in HOOKS),
    ("hooks", ("reports", "interrupt")),
    *(("at_exit", (how,)) for how in ("ends", "raises", "exits", "fails")),
    *(("streams", (how,)) for how in STREAMS),
    *(("threads", (how,)) for how in ("outlives", "raises", "exits")),
    ("looks_at_itself", ()),
    ("has_future", ()),
    ("has_no_future", ()),
    ("is_finalized", ()),
    ("is_finalized", ("raises",)),
    ("traces", ()),
    ("processes", ("fork",)),
    ("processes", ("replaced",)),
]


def comparable(result: Result) -> Result:
    """Return `result` without what differs from run to run: addresses, reference counts, our messages."""

    def clean(text: str) -> str:
        return re.sub("0x[0-9a-fA-F]+", "0x", re.sub(r"refcount : \d+", "refcount", text))

    return Result(clean(result.stdout), clean(result.own_stderr), result.status)


def assert_same(
    *words: str,
    cwd: Path,
    flags: tuple[str, ...] = (),
    stdin: str = "Ada\nLovelace\n",
    env: dict[str, str] | None = None,
) -> Result:
    """Fail unless the program `words` does the same with and without us; return what it did."""
    plain = run_python(*flags, *words, cwd=cwd, stdin=stdin, env=env)
    watched = run_python(*flags, *WATCHING, *words, cwd=cwd, stdin=stdin, env=env)
    assert comparable(watched) == comparable(plain)
    return plain


@pytest.mark.parametrize(
    ("program", "arguments"), TABLE, ids=lambda value: value if type(value) is str else " ".join(value)
)
@pytest.mark.parametrize("kind", ["script", "module", "code"])
def test_a_program_cannot_tell(kind, program, arguments):
    """Output, traceback, exit status and signal are those of plain python."""
    path = PARITY / f"{program}.py"
    words = {"script": [path.name], "module": ["-m", program], "code": ["-c", path.read_text(encoding="utf-8")]}[kind]
    assert_same(*words, *arguments, cwd=PARITY)


@pytest.mark.parametrize("how", ["pool spawn", "pool fork", "pool forkserver", "executor"])
@pytest.mark.parametrize("words", [("processes.py",), ("-m", "processes")], ids=["script", "module"])
def test_processes_find_main_again(words, how):
    """Worker processes import the program's `__main__` as they do without us."""
    # From 3.12 on python warns of a fork while threads run; whether any runs at that time is chance.
    result = assert_same(*words, how, cwd=PARITY, flags=("-W", "ignore::DeprecationWarning"))
    assert "[(1, '" in result.stdout


FLAGS = [
    ("-O",), ("-OO",), ("-u",), ("-P",), ("-s", "-E"), ("-B",), ("-b",), ("-q",),
    ("-W", "error"), ("-Werror::DeprecationWarning",), ("-W", "error::SyntaxWarning:__main__"), ("-W", "ignore"),
    ("-X", "dev"), ("-Xutf8=0", "-X", "faulthandler"), ("-X", "int_max_str_digits=0"),
]  # fmt: skip


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
@pytest.mark.parametrize("words", [("looks_at_itself.py",), ("-m", "shows_its_main")], ids=["script", "module"])
def test_flags_of_python_hold(words, flags):
    """Flags that stand before `-m stopwhen` are the program's."""
    if "-E" in flags and not _is_installed():
        pytest.skip("-E ignores PYTHONPATH, by which this test finds the package")
    assert_same(*words, cwd=PARITY, flags=flags)


def _is_installed() -> bool:
    return run_python("-E", "-c", "import stopwhen.frontends.cli", cwd=PARITY).status == 0


@pytest.mark.parametrize(
    "words", [("raises.py", "plain"), ("exits.py", "three"), ("interrupted.py", "by_raise")], ids=" ".join
)
@pytest.mark.parametrize("kind", ["script", "module"])
def test_interactive_mode_goes_on_after_the_program(kind, words):
    """`python -i` shows the exception, sys.exit() too, and then reads lines in the program's `__main__`."""
    program = [words[0]] if kind == "script" else ["-m", words[0].removesuffix(".py")]
    result = assert_same(*program, *words[1:], cwd=PARITY, flags=("-i",), stdin="print(sys.argv)\n")
    assert "['" in result.stdout


@pytest.mark.parametrize(
    "words", [("./raises.py",), ("../parity/raises.py",), (".//./raises.py",), ("--", "raises.py")], ids=" ".join
)
def test_the_path_is_shown_as_python_shows_it(words):
    """`__file__`, `sys.argv[0]` and tracebacks have the path in python's own form."""
    plain = run_python(words[-1], "plain", cwd=PARITY)
    watched = run_python(*WATCHING, *words, "plain", cwd=PARITY)
    assert comparable(watched) == comparable(plain)


def test_module_and_code_may_be_joined_to_their_letter():
    """`-mfoo` is `-m foo`, in sys.orig_argv too."""
    assert_same("-mshows_its_main", "a", cwd=PARITY)
    assert_same("-cimport sys; print(sys.argv, sys.orig_argv)", "a", cwd=PARITY)


@pytest.mark.parametrize("flags", [(), ("-P",)], ids=["", "safe path"])
@pytest.mark.parametrize("form", ["folder", "folder/", "zip"])
def test_a_folder_or_zip_file_runs(form, flags, tmp_path):
    """What has a `__main__.py` inside is run with itself at the front of sys.path, a safe path or not."""
    (tmp_path / "app").mkdir()
    text = (PARITY / "shows_its_main.py").read_text(encoding="utf-8") + "\n1 / 0\n"
    (tmp_path / "app" / "__main__.py").write_text(text, encoding="utf-8")
    shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path / "app")
    name = {"folder": "app", "folder/": "app/", "zip": "zipped.zip"}[form]
    assert "ZeroDivisionError" in assert_same(name, "a", cwd=tmp_path, flags=flags).stderr


def test_a_folder_without_main_is_told_by_python(tmp_path):
    """The words and the status are python's."""
    (tmp_path / "empty").mkdir()
    assert assert_same("empty", cwd=tmp_path).status == 1


@pytest.fixture
def package(tmp_path):
    """A package with a `__main__`."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "__init__.py").write_text("import __main__\nprint(__name__, sorted(vars(__main__)))\n")
    (folder / "__main__.py").write_text("import sys\nprint(__name__, __package__, sys.argv)\n1 / 0\n")
    (folder / "broken.py").write_text("import no_such_module\n")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["shop", "shop.broken", "shop.nosuch", "nosuch", "nosuch.inner", "shop.__main__", "sys"]
)
def test_a_module_is_found_or_not_as_by_python(name, package):
    """A package runs its `__main__`; what cannot be found or imported is told in python's words."""
    assert assert_same("-m", name, "a", cwd=package).status == 1


def test_a_link_to_a_script_runs_beside_its_target(tmp_path):
    """sys.path[0] is the folder of the file itself."""
    (tmp_path / "link.py").symlink_to(PARITY / "shows_its_main.py")
    assert str(PARITY) in assert_same("link.py", cwd=tmp_path).stdout


@pytest.mark.parametrize("name", ["compiled.pyc", "compiled"])
def test_compiled_scripts_run(name, tmp_path):
    """A `.pyc` file runs, whatever its name."""
    py_compile.compile(str(PARITY / "shows_its_main.py"), str(tmp_path / name))
    assert_same(name, cwd=tmp_path)


TEXTS = {
    "syntax error": b"x = = 1\n",
    "open bracket": b"def f(:\n    pass\n",
    "indentation": b"  x = 1\n y = 2\n",
    "undeclared latin-1": b"print('\xe9')\n",
    "undeclared latin-1 comment": b"# caf\xe9\nprint(1)\n",
    "declared latin-1": b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))\n1 / 0  # \xe9\n",
    "declared too late": b"#!/bin/sh\n\n# -*- coding: latin-1 -*-\nx = '\xe9'\n",
    "bom": b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))\n1 / 0\n",
    "unknown encoding": b"# coding: nosuch\n",
    "wrong encoding": b"# coding: ascii\nx = '\xc3\xa9'\n",
    "null byte": b"x = 1\x00\n",
    "dos lines": b"x = 1\r\n1 / 0\r\n",
    "mac lines": b"x = 1\r1 / 0\r",
    "no last newline": b"print(1)\n1 / 0",
    "nothing": b"",
    "return outside": b"print(1)\nreturn\n",
    "odd escape": b"x = '\\d'\n1 / 0\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_source_is_read_as_python_reads_it(text, tmp_path):
    """Encodings and syntax errors are python's business, word by word."""
    (tmp_path / "program.py").write_bytes(text)
    assert_same("program.py", cwd=tmp_path)
    assert_same("-m", "program", cwd=tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = = 1",
        " print(1)\n print(2)",
        "\n\n  print(1)\n  1 / 0",
        " x = '''\n   \n a'''\n print(repr(x))",
        "print('é')\n1 / 0",
    ],
)
def test_code_is_read_as_python_reads_it(text):
    """`-c` dedents from 3.14 on, and shows its lines in tracebacks from 3.13 on."""
    assert_same("-c", text, cwd=PARITY)


@pytest.mark.parametrize("program", ["raises", "exits", "interrupted"])
def test_a_script_may_come_from_standard_input(program):
    """`-` reads the program from stdin."""
    arguments = {"raises": "plain", "exits": "three", "interrupted": "by_raise"}[program]
    assert_same("-", arguments, cwd=PARITY, stdin=(PARITY / f"{program}.py").read_text(encoding="utf-8"))


def test_a_program_may_have_modules_named_like_standard_ones(tmp_path):
    """What only we have imported does not hide the program's own modules."""
    (tmp_path / "app").mkdir()
    for name in ("dataclasses", "ast", "enum", "pkgutil", "runpy"):
        (tmp_path / "app" / f"{name}.py").write_text(f"print('own {name}')\n")
    (tmp_path / "app" / "app.py").write_text("import ast, dataclasses, pkgutil, runpy\nprint(ast.__file__)\n")
    result = assert_same("app/app.py", cwd=tmp_path)
    assert "own dataclasses" in result.stdout


@pytest.mark.skipif(
    not env.HAS_MONITORING and env.core is None,
    reason="needs sys.monitoring or the C module",
)
def test_there_is_no_trace_function():
    """`sys.gettrace()` is what the program made it."""
    assert_same("-c", "import sys; print(sys.gettrace())", cwd=PARITY)


def test_the_environment_is_unchanged():
    """Nothing is told to the program by variables."""
    assert_same("-c", "import os; print(sorted(os.environ.items()))", cwd=PARITY)


def test_a_stack_overflow_is_told_at_the_same_limit():
    """The limit is the program's; our few frames below take from it."""
    code = "import sys\ndef f(): f()\ntry: f()\nexcept RecursionError as e: print(e, sys.getrecursionlimit())"
    assert_same("-c", code, cwd=PARITY)


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
@pytest.mark.parametrize("command", [(), WATCHING], ids=["plain", "watched"])
def test_a_script_may_be_a_pipe(command, tmp_path):
    """A script that can be read once only is read once."""
    os.mkfifo(tmp_path / "pipe.py")
    write = f"import os; os.write(os.open({str(tmp_path / 'pipe.py')!r}, os.O_WRONLY), b'print(1)')"
    with subprocess.Popen([sys.executable, "-c", write]):
        assert run_python(*command, "pipe.py", cwd=tmp_path).stdout == "1\n"
