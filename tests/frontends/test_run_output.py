"""Every hit of `stopwhen run` reaches the user: on the stderr that the process began with, in files, in a last line."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import sys

import pytest

from helpers import run_program, run_python
from stopwhen import env

LOG = ("--action", "log", "--changes")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def hits_told(stderr):
    """Return the numbers of the hits that texts tell of."""
    return [int(number) for number in re.findall(r"^stopwhen: .* hit (\d+)$", stderr, re.MULTILINE)]


def last_line(stderr):
    """Return the last line."""
    return stderr.splitlines()[-1]


REDIRECTIONS = {
    "duplicated": "null = os.open(os.devnull, os.O_WRONLY); saved = os.dup(2); os.dup2(null, 2)",
    "closed": "os.close(2)",
    "stream closed": "sys.stderr.close()",
    "used for another file": "os.close(2); assert os.open('other', os.O_CREAT | os.O_WRONLY) == 2",
    "streams replaced": "import io; sys.stderr = sys.__stderr__ = sys.stdout = io.StringIO()",
    "streams deleted": "del sys.stderr, sys.__stderr__",
    "all low ones closed": "os.closerange(3, 256); os.close(2)",
    "captured": "import tempfile; f = tempfile.TemporaryFile(); os.dup2(f.fileno(), 1); os.dup2(f.fileno(), 2)",
}


@pytest.mark.parametrize("how", REDIRECTIONS.values(), ids=REDIRECTIONS)
def test_what_the_program_does_with_its_stderr_makes_no_difference(how):
    """The reports of before and after reach the same stderr, and nothing of them what the program put there."""
    source = f"""
        import os, sys
        n = 0
        {how}
        n = 1
        if os.path.exists("other"):
            os.write(1, b"%d bytes" % os.path.getsize("other"))
    """
    found = run_program(source, stopwhen=[*LOG, "n"])
    assert hits_told(found.stderr) == [1, 2]
    assert last_line(found.stderr) == "stopwhen: 2 hits: n 2"
    assert found.stdout in ("", "0 bytes")


@needs_fork
def test_a_lost_duplicate_is_opened_again_by_its_path(tmp_path):
    """A daemon closes all that is open; where stderr is a file, that is still found, and never another file."""
    source = """
        import os
        n = 0
        os.closerange(2, 65_536)
        others = [os.open("other", os.O_CREAT | os.O_WRONLY) for _ in range(900)]
        n = 1
        print(os.path.getsize("other"))
    """
    (tmp_path / "program.py").write_text("\n".join(line.strip() for line in source.splitlines()))
    command = f"{sys.executable} -m stopwhen run --action log --changes n program.py 2>told"
    found = run_python("-c", f"import os; os.system({command!r})", cwd=tmp_path)
    assert found.stdout == "0\n"
    assert hits_told((tmp_path / "told").read_text()) == [1, 2]
    piped = run_python("-m", "stopwhen", "run", *LOG, "n", "program.py", cwd=tmp_path)
    assert (piped.stdout, hits_told(piped.stderr)) == ("0\n", [1])


def test_tests_do_not_see_the_reports_of_their_hits(tmp_path):
    """Pytest captures descriptor 2; the report goes past that, and says which test ran."""
    (tmp_path / "test_paths.py").write_text(
        "import os, sys\n"
        "def test_a(capfd):\n"
        "    sys.path.insert(0, 'lib')  # @insert\n"
        "    assert capfd.readouterr() == ('', '')\n"
        "def test_b(monkeypatch):\n"
        "    monkeypatch.setattr(os, 'environ', {})\n"
        "    sys.path.insert(0, 'lib')\n"
    )
    watched = [*LOG, "sys.path", "--in", "*test_paths.py", "--json", "hits.json"]
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_paths.py")
    found = run_python("-m", "stopwhen", "run", *watched, *words, cwd=tmp_path)
    assert (found.status, hits_told(found.stderr)) == (0, [1, 2])
    assert "test_paths.py:3 in test_a   by list.insert" in found.stderr
    hits = [json.loads(line) for line in (tmp_path / "hits.json").read_text().splitlines()]
    assert [hit["test"] for hit in hits] == ["test_paths.py::test_a", "test_paths.py::test_b"]


COUNTED = """
    import sys
    n = total = 0
    for n in range(1000): total += n  # @loop
    n = -1
"""


def test_many_hits_of_one_line_are_folded():
    """Ten of each line are shown, the rest is counted; so says the last line, too."""
    found = run_program(COUNTED, stopwhen=[*LOG, "n", "--changes", "total", "--if", "new < 0"])
    assert hits_told(found.stderr) == [1, *range(2, 12), 1001]
    folded, summary = found.stderr.splitlines()[-2:]
    assert re.fullmatch(r"stopwhen: n changed at program.py:4 \.\.\. and 989 more at this line", folded)
    assert summary == "stopwhen: 1001 hits: n 1001"


def test_how_much_is_told_can_be_chosen(tmp_path):
    """Fewer texts, none, another place for them, and JSON, which is never folded."""
    words = ["--output", "told", "--json", "hits.json", "--max-hits", "1", *LOG, "n"]
    source = "import os\nn = 0\nfor n in range(5): pass\nos.chdir('/')\nn = 7\n"
    (tmp_path / "program.py").write_text(source)
    found = run_python("-m", "stopwhen", "run", *words, "program.py", cwd=tmp_path)
    assert (found.stdout, found.stderr) == ("", "")
    told = (tmp_path / "told").read_text()
    assert hits_told(told) == [1, 2, 6]
    assert told.endswith(" and 3 more at this line\nstopwhen: 6 hits: n 6\n")
    hits = [json.loads(line) for line in (tmp_path / "hits.json").read_text().splitlines()]
    assert [hit["count"] for hit in hits] == [1, 2, 3, 4, 5, 6]
    quiet = run_python("-m", "stopwhen", "run", "--quiet", *LOG, "n", "program.py", cwd=tmp_path)
    assert quiet.stderr == "stopwhen: 6 hits: n 6\n"


KEYS = [
    *("event", "watchpoint", "expression", "old_text", "new_text", "change", "location", "own_location", "between"),
    *("stack", "by", "thread", "thread_id", "task", "pid", "command", "time_ns", "count", "mechanism", "exact"),
    *("already", "test"),
]


def test_json_may_take_the_place_of_texts():
    """On stderr there is nothing but objects then, of hits and, should there be any, of messages."""
    source = 'n = [1]\ndef f():\n    n.append("\\u00e9\\ud800")\nf()\n'
    found = run_program(source, stopwhen=["--json", "-", *LOG, "n", "--changes", "nosuch"])
    first, second, message = [json.loads(line) for line in found.stderr.splitlines()]
    assert list(first) == list(second) == KEYS
    assert (second["by"], second["new_text"]) == ("list.append", "[1, '\u00e9\\ud800']")
    assert second["change"] == {"kind": "inserted", "name": "n", "text": "inserted '\u00e9\\ud800' at 1"}
    assert [place["lineno"] for place in second["stack"]] == [3, 4]
    assert list(second["location"]) == ["filename", "lineno", "end_lineno", "col_offset", "function"]
    assert message["event"] == "message"
    assert "never there" in message["text"]


CALLERS = [f"  from program.py:{number} in f{number}" for number in (2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("words", "callers"),
    [
        ((), ["  from program.py:2 in f2, program.py:3 in f3, ... program.py:6"]),
        (("--stack", "0"), []),
        (("--stack", "2"), [*CALLERS[:2], "  ... 3 more"]),
        (("--stack", "all"), [*CALLERS, "  from program.py:6"]),
    ],
)
def test_as_many_callers_are_shown_as_are_asked_for(words, callers):
    """A line each, but for the few in one line that are usual."""
    lines = ["def f1(): global n; n = 1", *(f"def f{n}(): f{n - 1}()" for n in (2, 3, 4, 5)), "f5()"]
    found = run_program("\n".join(lines) + "\n", stopwhen=[*words, *LOG, "n"])
    assert [line for line in found.stderr.splitlines() if line.startswith(("  from ", "  ... "))] == callers


ENDINGS = {
    "returns": ("", 0),
    "os._exit": ("os._exit(3)", 3),
    "abort": ("os.abort()", -getattr(signal, "SIGABRT", 6)),
    "killed": ("os.kill(os.getpid(), 9)", -9),
    "terminated": ("os.kill(os.getpid(), 15)", -15),
    "exec": ("os.execv('/bin/true', ['true'])", 0),
}


@needs_fork
@pytest.mark.parametrize(("how", "status"), ENDINGS.values(), ids=ENDINGS)
def test_whatever_ends_the_process_its_hits_are_counted(how, status):
    """The process has no child of ours that it could find, whatever it waits for."""
    source = f"""
        import os
        n = 0
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            n = 1
        {how}
    """
    found = run_program(source, stopwhen=["--action", "count", "--changes", "n"])
    assert (found.stdout, found.status) == ("", status)
    assert last_line(found.stderr) == "stopwhen: 2 hits: n 2"


@needs_fork
@pytest.mark.parametrize("how", ["os._exit(0)", "os.kill(os.getpid(), 9)", "raise SystemExit", "os.abort()"])
def test_hits_of_forked_children_are_counted(how):
    """Each in a row of its own, their children's too; two watchpoints are counted apart."""
    source = f"""
        import os
        n = m = 0
        for number in range(3):
            if not os.fork():
                n += 1
                if not os.fork():
                    m += 1
                    n += 1
                    {how}
                os.wait()
                {how}
            os.wait()
    """
    found = run_program(source, stopwhen=["--action", "count", "--changes", "n", "--changes", "m", "--if", "new"])
    assert found.stderr.splitlines() == [
        "stopwhen: n changed 7 times",
        "stopwhen: m changed 3 times",
        "stopwhen: 10 hits: n 7, m 3 (9 in children)",
    ]


@needs_fork
def test_a_pool_of_processes_is_counted():
    """Workers of multiprocessing end by os._exit."""
    source = """
        import multiprocessing as mp
        state = {"n": 0}
        def work(i):
            state["n"] += i
        if __name__ == "__main__":
            with mp.get_context("fork").Pool(2) as pool:
                pool.map(work, [1, 2, 3])
                pool.close()
                pool.join()
    """
    found = run_program(source, stopwhen=["--action", "count", "--changes", 'state["n"]'])
    assert found.stderr.splitlines()[-1] == 'stopwhen: 4 hits: state["n"] 4 (3 in children)'


STARTED = {
    "spawn": ("mp.set_start_method('spawn'); pool()", 2),
    "forkserver": ("mp.set_start_method('forkserver'); pool()", 2),
    "fork": ("mp.set_start_method('fork'); pool()", 0),
    "subprocess": ("subprocess.run([sys.executable, '-c', '']); subprocess.run([sys.executable, '-Ic', ''])", 2),
    "others": ("subprocess.run(['true']); subprocess.run('exit', shell=True)", 0),
    "script": ("subprocess.run([os.path.abspath('script')])", 1),
    "failing": ("subprocess.call([sys.executable, '-c', '1/0'], stderr=subprocess.DEVNULL)", 1),
}


@needs_fork
@pytest.mark.skipif(env.core is None, reason="children are noted by the C module")
@pytest.mark.parametrize(("how", "number"), STARTED.values(), ids=STARTED)
def test_python_children_that_are_not_watched_are_counted(how, number):
    """In one line at the end; what multiprocessing starts for itself does not count."""
    source = f"""
        import multiprocessing as mp, os, subprocess, sys
        n = 1
        def work(number): return number
        def pool():
            with mp.Pool(2) as workers:
                workers.map(work, range(4))
        if __name__ == "__main__":
            with open("script", "w") as script:
                print("#!" + sys.executable, "print(end='')", sep="\\n", file=script)
            os.chmod("script", 0o755)
            {how}
    """
    found = run_program(source, stopwhen=[*LOG, "n"], env={"PYTHONWARNINGS": "ignore"})
    said = re.findall(r"^stopwhen: (\d) child process(?:es were| was) not watched: ", found.stderr, re.MULTILINE)
    assert said == ([str(number)] if number else []), found.stderr
    assert last_line(found.stderr) == "stopwhen: 1 hit: n 1"


def test_a_strict_run_ends_when_something_cannot_be_watched_any_more():
    """At once, whatever the program catches; what it has printed so far is there."""
    source = """
        import threading
        print("before")
        def work():
            try:
                import json.tool
            except BaseException:
                pass
            print("after")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    """
    for words, stdout, status in (([], "before\nafter\n", 0), (["--strict"], "before\n", 2)):
        found = run_program(source, stopwhen=[*words, "--scope", "json.tool:json", *LOG, "name"])
        assert (found.stdout, found.status) == (stdout, status), found.stderr
        assert "no longer watching 'name'" in found.stderr


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        (("--output", "no/such/folder"), "no-output"),
        (("--json", "no/such/folder"), "no-output"),
        (("--stack", "deep"), "bad-number"),
        (("--max-hits", "-1"), "bad-number"),
        (("--quiet=yes",), "unexpected-value"),
        (("--children",), "no-children"),
    ],
)
def test_options_that_make_no_sense_are_refused(words, slug, tmp_path):
    """The program does not run."""
    found = run_python("-m", "stopwhen", "run", *words, *LOG, "n", "-c", "print(1)", cwd=tmp_path)
    assert (found.stdout, found.status) == ("", 2)
    assert f"[{slug}]" in found.stderr


def test_the_first_descriptors_are_the_programs():
    """Ours have numbers above those that a program sees when it opens its files."""
    source = "import os\nn = 1\nprint(os.open('.', os.O_RDONLY))\n"
    assert run_program(source, stopwhen=[*LOG, "n"]).stdout == run_program(source).stdout


@pytest.mark.skipif(env.core is None, reason="class scopes need the C module")
def test_a_hit_of_a_class_scope_says_which_instance():
    """By class and address: nothing of the instance is run."""
    source = """
        class Account:
            def __repr__(self): raise SystemExit("run")
            def __init__(self): self.balance = 1
        a, b = Account(), Account()
        b.balance = 2
        print(hex(id(a)), hex(id(b)))
    """
    found = run_program(source, stopwhen=[*LOG, "self.balance", "--scope", "__main__:Account"])
    a, b = found.stdout.split()
    heads = [line for line in found.stderr.splitlines() if " changed " in line]
    assert [re.search("self.balance of <Account at (.*)> changed", head)[1] for head in heads] == [a, b, b]


def test_what_generated_code_writes_names_the_line_that_called_it():
    """`own_location` is in a file of the program's, the generated text never."""
    source = """
        import dataclasses, sys
        @dataclasses.dataclass
        class Order:
            total: int
        order = Order(1)
        exec("order.total = 2")
        print(hash(order.total))
    """
    found = run_program(source, stopwhen=[*LOG, "order.total", "--json", "-"])
    hits = [json.loads(line) for line in found.stderr.splitlines()]
    assert [hit["own_location"]["lineno"] for hit in hits] == [6, 7]
    assert {pathlib.Path(hit["own_location"]["filename"]).name for hit in hits} == {"program.py"}


def test_paths_can_be_opened_from_where_the_run_began(tmp_path):
    """Whatever the program does with its current directory and `sys.path`."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "shop.py").write_text("import os\nos.environ['A_KEY'] = 'x'\n")
    (tmp_path / "app.py").write_text(
        "import os, sys\nsys.path.insert(0, 'lib')\nimport shop\nos.chdir('/')\ndel os.environ['A_KEY']\n"
    )
    watched = [*LOG, "os.environ", "--if", "'A_KEY' in old or 'A_KEY' in new"]
    found = run_python("-m", "stopwhen", "run", *watched, "app.py", cwd=tmp_path)
    first, second = re.findall(r"hit \d+\n  (\S+):\d+ in .* for (\S+) *", found.stderr)
    assert first[0] == second[0] == os.__file__
    assert (first[1], second[1]) == ("lib/shop.py:2", "app.py:5")
