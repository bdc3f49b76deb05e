"""What `stopwhen` says, where, and what it exits with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from helpers import SOURCE, run_program, run_python
from stopwhen import env

APP = """
    total = 0
    for number in range(1, 4):
        total += number
    print("total", total)
"""


def environment():
    """Return an environment in which this source tree is importable."""
    return {**os.environ, "PYTHONPATH": os.fspath(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}


def stopwhen(*words, **options):
    """Run the command."""
    return run_python("-m", "stopwhen", *words, **options)


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("run", "--help"), ("explain", "--help"), ("doctor", "-h")])
def test_help_teaches(words):
    """Each command shows how it is used, by example too."""
    found = stopwhen(*words)
    assert (found.status, found.stderr) == (0, "")
    assert found.stdout.startswith("usage: stopwhen")
    assert all(len(line) <= 120 for line in found.stdout.splitlines())


@pytest.mark.skipif(os.name != "posix", reason="needs pipes of POSIX")
@pytest.mark.parametrize(
    "words", ["--help", "--version", "run --help", "explain --help", "explain sys.path", "doctor", "doctor --json"]
)
def test_nothing_is_said_when_nobody_reads_on(words):
    """As in `stopwhen doctor | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody_reads:
        command = [sys.executable, "-m", "stopwhen", *words.split()]
        found = subprocess.run(command, stdout=nobody_reads, stderr=subprocess.PIPE, env=environment(), check=False)
    assert (found.stderr, found.returncode) == (b"", 128 + signal.SIGPIPE)


def test_a_program_is_told_that_nobody_reads_on():
    """That is its own affair."""
    reading, writing = os.pipe()
    os.close(reading)
    program = "try: print(1, flush=True)\nexcept BrokenPipeError: raise SystemExit(3)\nx = 1"
    with os.fdopen(writing, "w") as nobody_reads:
        command = [sys.executable, "-m", "stopwhen", "run", "--action", "count", "--changes", "x", "-c", program]
        found = subprocess.run(command, stdout=nobody_reads, stderr=subprocess.PIPE, env=environment(), check=False)
    assert found.returncode == 3


def test_the_version_is_told():
    """`--version` prints one line."""
    assert re.fullmatch(r"stopwhen (\S+|\(not installed\))\n", stopwhen("--version").stdout)


@pytest.mark.parametrize(
    ("words", "slug", "part"),
    [
        ((), "no-command", "stopwhen run --changes sys.path app.py"),
        (("runn",), "unknown-command", "did you mean run?"),
        (("app.py",), "unknown-command", "did you mean stopwhen run"),
        (("--changes", "x", "app.py"), "unknown-command", "did you mean stopwhen run"),
        (("frobnicate",), "unknown-command", "the commands are run, attach, detach, explain, doctor"),
        (("run", "--changes", "x"), "no-program", "there is no program to run"),
        (("run", "-c", "print(1)"), "no-watchpoint", "there is nothing to watch"),
        (("run", "--changes", "x", "nosuch.py"), "no-script", "cannot open the script 'nosuch.py': No such file"),
        (("run", "--changes", "x +", "-c", "print(1)"), "bad-syntax", "cannot watch 'x +'"),
        (("run", "--changes", "x = 1", "-c", "print(1)"), "statement", "hint: write 'x'"),
        (("run", "--changes", "", "-c", "print(1)"), "empty-expression", "there is no expression in it"),
        (("run", "--changes", "(x := 1)", "-c", "print(1)"), "unsuitable-syntax", "stores"),
        (("run", "--changes", "x", "--true", "print(1)", "-c", "print(1)"), None, "print(1)"),
        (("run", "--changes", "x", "--hits", "often", "-c", "print(1)"), None, "often"),
        (("run", "--changes", "x", "--if", "new >", "-c", "print(1)"), None, "new >"),
        (("run", "--changes", "x", "--mechanism", "magic", "-c", "print(1)"), None, "magic"),
        (("explain",), "no-expression", "there is no expression to explain"),
        (("explain", "x = 1"), "statement", "an assignment"),
    ],
)
def test_errors_are_ours_and_the_program_does_not_run(words, slug, part, tmp_path):
    """An error is a line on stderr with a hint, no traceback; the exit status is 2."""
    found = stopwhen(*words, cwd=tmp_path)
    assert (found.stdout, found.status) == ("", 2)
    assert found.stderr.startswith("stopwhen: ")
    assert "Traceback" not in found.stderr
    assert part in found.stderr
    assert re.search(rf"\[{slug or '[a-z-]+'}\]$", found.stderr, flags=re.MULTILINE)


def test_a_program_without_a_hit_prints_what_it_printed():
    """Nothing of ours is said about data that was there and did not change."""
    source = "fixed = 1\nother = 2\n"
    assert run_program(source, stopwhen=["--action", "log", "--true", "fixed == 2"]).stderr == ""


def test_counts_are_told_at_the_end():
    """`--action count` says nothing but the number, once the program has ended."""
    found = run_program(
        APP, stopwhen=["--action", "count", "--changes", "total", "--if", "old is not absent", "--true", "total > 2"]
    )
    assert (found.stdout, found.status) == ("total 6\n", 0)
    assert found.stderr.splitlines() == [
        "stopwhen: total changed 3 times",
        "stopwhen: total > 2 became true 1 time",
        "stopwhen: 4 hits: total 3, total > 2 1",
    ]


@pytest.mark.parametrize(
    ("watch", "hint"),
    [
        (("totl",), "there is no 'totl' in __main__ or among the imported modules; did you mean 'total'?"),
        (("completely_different",), "there is no 'completely_different' in __main__"),
        (("total.missing",), "the whole of it could never be read"),
        (("x", "--scope", "no_such_module"), "the module 'no_such_module' was never imported"),
        (("pth", "--scope", "sys"), "did you mean 'path'?"),
        (("local",), "'local' is a local of work(): --scope __main__:work"),
        (("self.size",), "'self' is each instance of a class: --scope __main__:Shop"),
        (("config[debug]",), """if 'debug' is a key, write 'config["debug"]'"""),
        (("x", "--scope", "work"), "work is a function of __main__: --scope __main__:work"),
        (("x", "--scope", "program:work"), "program.py runs as __main__: --scope __main__:work"),
    ],
)
def test_what_was_never_there_is_told_at_the_end(watch, hint):
    """A mistyped name does not pass for data that did not change; the exit status stays the program's."""
    more = """
    config = {}
    def work():
        local = 1
    class Shop:
        def close(self):
            self.size = 0
    """
    found = run_program(
        more.rstrip() + APP + "    import sys; sys.exit(7)\n", stopwhen=["--action", "log", "--changes", *watch]
    )
    assert (found.stdout, found.status) == ("total 6\n", 7)
    assert found.stderr.startswith(f"stopwhen: {watch[0]} was never there [never-there]\n  hint: ")
    assert hint in found.stderr


CALLS = """
    class Shop:
        def total(self, prices):
            cost = 0
            for price in prices:
                cost += price
            return cost

    def unused():
        x = 1

    print(Shop().total([1, 2]))
"""


def test_every_call_of_a_function_is_a_scope():
    """It is named as `module:name`, and pending until the program has made it."""
    found = run_program(CALLS, stopwhen=["--action", "log", "--changes", "cost", "--scope", "__main__:Shop.total"])
    assert (found.stdout, found.status) == ("3\n", 0)
    changes = [line.strip() for line in found.stderr.splitlines() if line.startswith("  cost ")]
    assert changes == ["cost  bound to 0", "cost  0 -> 1", "cost  1 -> 3"]
    assert [line.split("|")[1].strip() for line in found.stderr.splitlines() if "|" in line] == [
        *("cost = 0", "cost += price", "cost += price"),
    ]


needs_class_scope = pytest.mark.skipif(env.core is None, reason="needs the C module")

INSTANCES = """
    class Account:
        def __init__(self, balance):
            self.balance = balance

    class Savings(Account):
        pass

    one = Savings(5)
    one.balance = 7
    print(one.balance)
"""


@needs_class_scope
def test_every_instance_of_a_class_is_a_scope():
    """Each is `self`; subclasses count."""
    words = ["--action", "log", "--changes", "self.balance", "--scope", "__main__:Account"]
    found = run_program(INSTANCES, stopwhen=words)
    assert (found.stdout, found.status) == ("7\n", 0)
    changes = [line.strip() for line in found.stderr.splitlines() if line.startswith("  self.balance ")]
    assert changes == ["self.balance  bound to 5", "self.balance  5 -> 7"]


@needs_class_scope
def test_explain_tells_of_instances_to_come(tmp_path):
    """What is watched of each, and what they share; a builtin class is refused."""
    (tmp_path / "bank.py").write_text("class Account:\n    rate = 1\n")
    found = stopwhen("explain", "--scope", "bank:Account", "self.balance * self.rate", cwd=tmp_path)
    assert found.status == 0
    assert "is read in  every instance of bank:Account" in found.stdout
    assert "attributes 'balance', 'rate' of instances of Account" in found.stdout
    refused = stopwhen("explain", "--scope", "builtins:list", "len(self)", cwd=tmp_path)
    assert (refused.stdout, refused.status) == ("", 2)
    assert "[scope-kind]" in refused.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("x", "--scope", "__main__:unused"), "__main__:unused was never called"),
        (
            ("x", "--scope", "__main__:Shop.total"),
            "read in every call of __main__:Shop.total, and had a value in none",
        ),
        (("x", "--scope", "__main__:unusd"), "there is no 'unusd' in __main__; did you mean 'unused'?"),
        pytest.param(
            *(("self.x", "--scope", "__main__:Shop"), "in every instance of __main__:Shop, and had a value in none"),
            marks=needs_class_scope,
        ),
        (("x", "--scope", "__main__:Shop.totl"), "there is no 'totl' in __main__; did you mean 'total'?"),
    ],
)
def test_what_no_call_had_is_told_at_the_end(words, hint):
    """With how far it came: no such function, no call, or no such name in one."""
    found = run_program(CALLS, stopwhen=["--action", "log", "--changes", *words])
    assert found.stderr.startswith(f"stopwhen: {words[0]} was never there [never-there]\n  hint: ")
    assert found.stderr.endswith(f"{hint}\n")


def test_explain_tells_of_calls_to_come(tmp_path):
    """Names of a function are told before it is called; one written in C is refused."""
    (tmp_path / "shop.py").write_text("rate = 1\ndef cost(n):\n    total = n\n")
    found = stopwhen("explain", "--scope", "shop:cost", "total * rate", cwd=tmp_path)
    assert found.status == 0
    assert "is read in  every call of shop:cost" in found.stdout
    assert "total: local of cost" in found.stdout
    assert "rate: name 'rate' in shop" in found.stdout
    refused = stopwhen("explain", "--scope", "math:sin", "x", cwd=tmp_path)
    assert (refused.stdout, refused.status) == ("", 2)
    assert "written in C" in refused.stderr
    assert "[scope-kind]" in refused.stderr


def test_what_is_gone_at_the_end_was_there():
    """A name that lived for a while is not reported."""
    found = run_program("import sys\nx = 1\ndel x\n", stopwhen=["--action", "count", "--true", "x == 2"])
    assert "never there" not in found.stderr


def test_our_words_go_to_the_real_stderr():
    """A program that catches its own stderr does not catch ours."""
    source = "import io, sys\nsys.stderr = io.StringIO()\n"
    assert "was never there" in run_program(source, stopwhen=["--action", "log", "--changes", "missing"]).stderr


def test_a_forked_child_does_not_repeat_the_end():
    """The end of the run is told once."""
    source = "import os\npid = os.fork()\nif pid: os.wait()\n"
    found = run_program(source, stopwhen=["--action", "log", "--changes", "missing"])
    assert found.stderr.count("was never there") == 1


def test_the_end_is_told_after_the_programs_own_end():
    """Functions that run at exit are part of the program: what they change counts."""
    source = """
        import atexit, sys
        x = 0
        def last():
            global x
            x = 1
            print("last", file=sys.stderr)
        atexit.register(last)
    """
    found = run_program(source, stopwhen=["--action", "count", "--changes", "x", "--if", "old is not absent"])
    assert found.stderr.splitlines() == ["last", "stopwhen: x changed 1 time", "stopwhen: 1 hit: x 1"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_before_the_program_leaves_no_traceback():
    """Ctrl-C while we start ends the process as it ends python."""
    code = """if True:
        from stopwhen.frontends import cli
        def interrupted(words): raise KeyboardInterrupt
        cli._perform = interrupted
        cli.main(["run"])
    """
    found = run_python("-c", code)
    assert (found.stdout, found.stderr, found.status) == ("", "", -signal.SIGINT)


def test_explain_tells_the_plan():
    """Modules named in the expression are imported for it, and that is said."""
    found = stopwhen("explain", "colorsys.ONE_THIRD")
    assert (found.stderr, found.status) == ("", 0)
    assert "colorsys" in found.stdout.splitlines()[0]
    assert "imported for this: colorsys;" in found.stdout


def test_explain_reads_none_of_our_own_names():
    """`main` of stopwhen's own `__main__` is no name of the program."""
    both = [re.sub(rf"\b{name}\b", "NAME", stopwhen("explain", name).stdout) for name in ("main", "nosuch_name")]
    assert both[0] == both[1]


def test_explain_imports_the_module_of_the_scope(tmp_path):
    """A module in the current folder is found; what it prints is no part of the answer."""
    (tmp_path / "shop.py").write_text("print('imported')\nprices = {}\n")
    found = stopwhen("explain", "--scope", "shop", "prices", cwd=tmp_path)
    assert found.status == 0
    assert found.stderr == "imported\n"
    assert "imported for this: shop;" in found.stdout


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (None, "no module 'shop'"),
    ],
)
def test_explain_says_what_it_cannot_import(source, part, tmp_path):
    """A module that fails is told of, and the expression explained as if it were not there yet."""
    if source is not None:
        (tmp_path / "shop.py").write_text(source)
    found = stopwhen("explain", "--scope", "shop", "prices", cwd=tmp_path)
    assert found.status == 0
    assert found.stderr.startswith("stopwhen: ")
    assert part in found.stderr


def test_explain_gives_json():
    """Programs may ask, too."""
    found = json.loads(stopwhen("explain", "--json", "sys.path[0]").stdout)
    assert (found["expression"], found["scope"], found["imported"]) == ("sys.path[0]", None, [])
    assert found["lines"]


def test_doctor_tells_each_mechanism():
    """One line for each, with the reason where it is not usable."""
    data = json.loads(stopwhen("doctor", "--json").stdout)
    found = stopwhen("doctor")
    assert (found.stderr, found.status) == ("", 0)
    lines = found.stdout.splitlines()
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in lines[0]
    assert lines[1].startswith("C module")
    for mechanism in data["mechanisms"]:
        (line,) = [line for line in lines if line.startswith(f"{mechanism['name']} ")]
        assert mechanism["title"] in line
        assert ("not usable" in line) == (not mechanism["usable"])
        assert mechanism["usable"] or mechanism["reason"] in line


def test_doctor_says_how_to_get_the_c_module():
    """Without it all works, slower; the way to it is told."""
    found = stopwhen("doctor", env={"STOPWHEN_PURE": "1"})
    assert "pip install" in found.stdout
    assert not json.loads(stopwhen("doctor", "--json", env={"STOPWHEN_PURE": "1"}).stdout)["c_module"]


def test_a_chosen_mechanism_stays_the_only_one():
    """What a watch expression comes to depend on later is watched by it too."""
    code = "x = []\nx.append(1)\n"
    found = stopwhen("run", "--mechanism", "recheck", "--changes", "x", "--action", "log", "-c", code)
    assert found.status == 0
    assert [line.rsplit(maxsplit=2)[1:] for line in found.stderr.splitlines() if "changed" in line] == [
        ["hit", "1"],
        ["hit", "2"],
    ]
