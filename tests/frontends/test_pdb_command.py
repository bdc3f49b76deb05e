"""pdb with watch commands, by what is typed and what it answers: real sessions over pipes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from helpers import SOURCE, marked_lines
from stopwhen.frontends.pdb_watching import read_arguments

PROGRAM = """\
import sys
total = 0
rows = []
class Cart:
    def __init__(self):
        self.size = 0
    def add(self, n):
        self.size += n  # @size
        return self.size  # @sized
def count(limit):
    global total
    seen = 0
    for number in range(limit):
        seen = number  # @seen
        total = total + number  # @total
        rows.append(number)  # @rows
    return seen  # @returned
cart = Cart()  # @cart
count(4)
cart.add(2)  # @added
cart.add(3)
print("total", total, rows, cart.size)  # @last
"""
LINES = marked_lines(PROGRAM)


class Session:
    """What a session printed, each answer by the command that it answers."""

    def __init__(self, stdout, stderr, status, commands):
        self.text = stdout
        self.stderr = stderr
        self.status = status
        answers = re.split(r"\((?:Pdb|com)\) ", stdout)
        self.start = answers[0]
        self.answers = dict(zip(commands, answers[1:], strict=False))
        self.list = answers[1:]

    def places(self):
        """Return the marks of the lines at which it stopped, in order."""
        marks = {line: mark for mark, line in LINES.items()}
        lines = re.findall(r"^(?:\(Pdb\) )*> \S*program\.py\((\d+)\)", self.text, re.MULTILINE)
        return [marks.get(int(line), line) for line in lines]


@pytest.fixture
def play(tmp_path):
    """Return a function that runs the program under the debugger, with commands typed one after the other."""

    def run(*commands, program=PROGRAM, words=("-m", "stopwhen.pdb", "program.py"), rc="", env=None, fails=False):
        (tmp_path / "program.py").write_text(textwrap.dedent(program), encoding="utf-8")
        if rc:
            (tmp_path / ".pdbrc").write_text(rc, encoding="utf-8")
        process = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            input="".join(f"{command}\n" for command in commands),
            env={
                **os.environ,
                "PYTHONPATH": os.fspath(SOURCE),
                "HOME": os.fspath(tmp_path),
                "NO_COLOR": "1",
                "PYTHON_COLORS": "0",
                "COLUMNS": "80",
                **(env or {}),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert process.stderr.count("Traceback") == fails, process.stderr
        assert "stopwhen/" not in process.stderr
        assert "unknown debugging event" not in process.stdout
        return Session(process.stdout, process.stderr, process.returncode, commands)

    return run


# Watchpoints.


def test_watch_stops_where_the_value_changes(play):
    """The hit is told under the watchpoint's number, the prompt stands in the frame that wrote."""
    session = play("watch total", "continue", "p total, seen", "continue", "q")
    assert session.answers["watch total"] == "Watchpoint w1: changes total\n"
    assert "w1: total changed" in session.list[1]
    assert "total  absent -> 0" in session.list[1] or "total  bound to 0" in session.list[1]
    assert session.list[3].count("w1: total changed") == 1
    assert f"program.py:{LINES['total']} in count" in session.list[3]


def test_names_are_those_of_the_frame_that_is_looked_at(play):
    """After `up` they are the caller's; a watchpoint on a local ends with its frame, which is told."""
    session = play(
        f"break {LINES['size']}", "continue", "watch self.size", "up", "watch self", "watch cart.size", "continue", "q"
    )
    assert session.answers["watch self.size"] == "Watchpoint w1: changes self.size\n"
    assert session.answers["watch self"].startswith("Watchpoint w2: changes self\n")  # there is none, it may come
    assert session.answers["watch cart.size"] == "Watchpoint w3: changes cart.size\n"
    stop = session.list[6]
    assert "w1: self.size changed" in stop
    assert "w3: cart.size changed" in stop
    assert stop.count("\n-> ") == 1  # one stop for both


def test_a_watchpoint_ends_with_the_frame_whose_local_it_reads(play):
    """This is told at the next prompt, and it is in the list no more."""
    session = play(
        f"break {LINES['returned']}", "continue", "watch seen", f"tbreak {LINES['added']}", "continue", "watches", "q"
    )
    assert "Watchpoint w1: changes seen has ended: its frame is gone\n" in session.list[4]
    assert session.list[5] == ""


def test_watch_true_waits_for_the_value(play):
    """The first word `true` is the trigger, unless that makes no expression of the rest."""
    session = play("watch true len(rows) > 2", "continue", "p rows", "q")
    assert session.answers["watch true len(rows) > 2"] == "Watchpoint w1: true len(rows) > 2\n"
    assert "w1: len(rows) > 2 became true" in session.list[1]
    assert session.list[2] == "[0, 1, 2]\n"


def test_what_is_true_already_is_told_at_once(play):
    """There is no second prompt for it."""
    session = play("n", "n", "watch true total == 0", "p 1", "q")
    assert "w1: total == 0 is already true" in session.list[2]
    assert session.answers["p 1"] == "1\n"


@pytest.mark.parametrize(
    ("typed", "expression", "condition"),
    [
        ("total, new > 3", "total", "new > 3"),
        ("max(total, 2), new > 2", "max(total, 2)", "new > 2"),
        ("(total, rows)", "(total, rows)", None),
        ("{'a': 1, 'b': total}['b']", "{'a': 1, 'b': total}['b']", None),
        ("rows, len(new) in (1, 2)", "rows", "len(new) in (1, 2)"),
        ("'a,b' + str(total), old", "'a,b' + str(total)", "old"),
    ],
)
def test_a_condition_stands_behind_a_comma(play, typed, expression, condition):
    """A comma in brackets, or in a text, is none."""
    session = play(f"watch {typed}", "watches", "q")
    assert session.list[0] == f"Watchpoint w1: changes {expression}\n"
    assert session.list[1].endswith(f"\tstop only if {condition}\n") == (condition is not None)


def test_a_condition_holds_hits_back(play):
    """Only where it is true is there a hit; `condition` sets another, or none."""
    session = play(
        "watch total, new > 2", "continue", "condition w1", "watches", "condition w1 new > 100", "continue", "q"
    )
    assert "total  1 -> 3" in session.list[1]
    assert session.answers["condition w1"] == "Watchpoint w1 is now unconditional.\n"
    assert "stop only if" not in session.answers["watches"]
    assert session.answers["condition w1 new > 100"] == "New condition set for watchpoint w1.\n"
    assert "The program finished" in session.list[5]


def test_ignore_leaves_out_hits(play):
    """As for a breakpoint: those for which the condition is true count."""
    session = play(
        "n", "n", "watch total", "ignore w1 1", "watches", "continue", "ignore w1 0", "watches", "continue", "q"
    )
    assert session.answers["ignore w1 1"] == "Will ignore next 1 crossing of watchpoint w1.\n"
    assert session.list[4].endswith("\tignore next 1 hits\n")
    assert "total  1 -> 3" in session.list[5]
    assert session.answers["ignore w1 0"] == "Will stop next time watchpoint w1 is reached.\n"
    assert "\twatchpoint already hit 2 times\n" in session.list[7]
    assert "total  3 -> 6" in session.list[8]


def test_disabled_it_does_not_stop(play):
    """`enable` and `disable` take both kinds of numbers; the value at enabling counts as the last one seen."""
    session = play(
        "watch total",
        f"break {LINES['rows']}",
        "disable w1",
        "continue",
        "watches",
        "enable w1 1",
        "disable 1",
        "continue",
        "q",
    )
    assert session.answers["disable w1"] == "Disabled watchpoint w1: changes total\n"
    assert "hit" not in session.list[3].replace("already hit", "")
    assert "w1  watchpoint   keep no    changes total\n" in session.list[4]
    assert "Enabled watchpoint w1: changes total\n" in session.list[5]
    assert "Enabled breakpoint 1 at" in session.list[5]
    assert "total  0 -> 1" in session.list[7]


def test_commands_are_run_at_the_hit(play):
    """`silent` leaves out the report; a command that resumes ends the list; several hits run theirs one after the other."""
    session = play("watch total", "commands w1", "silent", "p 'total is', total", "continue", "continue", "q")
    assert "('total is', 0)\n('total is', 1)\n('total is', 3)\n('total is', 6)\ntotal 6" in session.text
    assert "w1: total changed" not in session.text


def test_commands_without_a_number_are_for_the_latest(play):
    """Be that a breakpoint or a watchpoint."""
    session = play(
        f"break {LINES['last']}", "watch rows", "commands", "p 'rows', len(rows)", "end", f"break {LINES['cart']}",
        "commands", "p 'cart'", "end", "continue", "continue", "q",
    )  # fmt: skip
    assert "('rows', 0)" in session.text
    assert "'cart'\n" in session.text


def test_twatch_is_deleted_at_its_first_hit(play):
    """As a temporary breakpoint is."""
    session = play("n", "n", "twatch total", "watches", "continue", "watches", "continue", "q")
    assert "w1  watchpoint   del  yes   changes total\n" in session.list[3]
    assert "Deleted watchpoint w1: changes total\n" in session.list[4]
    assert session.list[5] == ""
    assert "The program finished" in session.list[6]


def test_unwatch_deletes(play):
    """By number, with or without its letter; without a number all, if that is confirmed."""
    session = play("watch total", "watch rows", "watch cart", "unwatch w1 2 7", "unwatch", "yes", "watches", "q")
    assert session.list[3] == (
        "Deleted watchpoint w1: changes total\nDeleted watchpoint w2: changes rows\n*** There is no watchpoint w7\n"
    )
    assert session.list[4] == "Delete all watchpoints? Deleted watchpoint w3: changes cart\n"
    assert session.list[5] == ""


def test_the_list_is_of_all_watchpoints(play):
    """Also of those that the program has set, with what they do."""
    program = "import stopwhen\nx = 1\nstopwhen.changes('x', action='log', hit_condition='%2')\ny = 2\n"
    session = play("n", "n", "n", "watch y", "watch", "q", program=program)
    assert session.list[4] == (
        "Num Type         Disp Enb   What\n"
        "w1  watchpoint   keep yes   changes x\n"
        "\tstop only on hits %2\n"
        "\tdoes not stop: log\n"
        "w2  watchpoint   keep yes   changes y\n"
    )


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("watch nosuch(1)", "*** cannot watch 'nosuch(1)': it calls nosuch()"),
        ("watch total = 3", "*** cannot watch 'total = 3': it is an assignment"),
        ("watch total +", "*** cannot watch 'total +'"),
        ("watch true", "Watchpoint w1: changes true"),
        ("watch total, new >", "***"),
        ("twatch", "*** An expression to watch is needed"),
        ("unwatch w9", "*** There is no watchpoint w9"),
        ("unwatch x", "*** Non-numeric watchpoint number x"),
        ("condition w9 new", "*** There is no watchpoint w9"),
        ("ignore w1 many", "***"),
        ("enable w9", "*** There is no watchpoint w9"),
        ("commands w9", "*** There is no watchpoint w9"),
        ("enable", "***"),
        ("condition", "***"),
        ("ignore x", "***"),
        ("watches 3", "*** watches takes no argument"),
    ],
)
def test_what_cannot_be_done_is_said(play, command, words):
    """In pdb's form, with our reason; the prompt comes again."""
    session = play(command, "p 'alive'", "q")
    assert words in session.list[0]
    assert "alive" in session.list[1]


@pytest.mark.parametrize("command", ["rwatch", "awatch"])
def test_reads_are_watched_or_refused(play, command):
    """Where no mechanism sees them, the reason is told, and no half of the pair is left."""
    session = play("n", "n", f"{command} total", "watches", "q")
    if session.list[2].startswith("***"):
        assert session.list[3] == ""
    else:
        assert "reads total" in session.list[3]


def test_help_tells_of_the_commands(play):
    """Each has its own; the list has them all."""
    session = play("help watch", "help", "help twatch", "help unwatch", "help commands", "q")
    assert "Set a watchpoint: the program stops right after any" in session.list[0]
    for command in ("watch", "twatch", "rwatch", "awatch", "unwatch", "watches"):
        assert re.search(rf"\b{command}\b", session.list[1])
    assert "Specify a list of commands for the breakpoint or watchpoint" in session.text


# Beside breakpoints, and stepping.


def test_breakpoints_and_watchpoints_work_side_by_side(play):
    """Each stops where it stands, in the order of the program."""
    session = play(f"break {LINES['rows']}, number == 1", "watch cart.size", "continue", "continue", "continue", "q")
    assert session.places()[1:] == ["19", "rows", "sized"] or session.places()[1:4] == ["cart", "rows", "sized"]


def test_stepping_over_a_write_stops_once(play):
    """`next` tells the hit and stands at the next line, as it would without; not once for each."""
    session = play(f"break {LINES['total']}, number == 1", "continue", "watch total", "next", "next", "next", "q")
    assert session.list[3].count("\n-> ") == 1
    assert "w1: total changed" in session.list[3]
    assert f"\n  program.py:{LINES['total']} in count\n" in session.list[3]
    assert f"({LINES['rows']})count()" in session.list[3]
    assert " changed" not in session.list[4]


@pytest.mark.parametrize(
    ("body", "commands"),
    [
        ("global x; x = 1", ("next", "step", "return")),
        ("return rows.pop()", ("next", "step", "return")),
        ("for y in (1, 2): return rows.pop()", ("next", "step", "return")),
        ("yield rows.pop()", ("step",)),  # pdb stops at what a generator yields by `step` only
        ("rows.append((yield rows.pop()))", ("step",)),
    ],
)
def test_a_step_from_a_frames_last_write_ends_at_its_return(play, body, commands):
    """And the next one in its caller, also where the instruction after the write is the one that returns or yields."""
    call = "next(f)" if "yield" in body else "f()"
    made = "f = f()" if "yield" in body else "pass"
    program = f"rows = ['here']\nx = 0\ndef f():\n    {body}\n{made}\ngot = {call}\nlast = 2\n"
    for command in commands:
        session = play(
            "n", "n", "watch x", "watch rows", "continue", command, "p __return__", "next", "q", program=program
        )
        assert "changed" in session.list[4]
        assert session.list[5].startswith("--Return--\n")
        assert session.list[6] == ("None\n" if "x = 1" in body else "'here'\n")
        assert "program.py(7)<module>()\n" in session.list[7]


def test_the_line_at_which_they_are_set_is_watched(play):
    """With each of its writes, also on 3.11, where stops amid a line begin with the next one."""
    program = """\
    stock = {"pear": 1, "plum": 2}
    sold = {}
    def sell(name):
        sold[name] = stock.pop(name)
        return name
    sell("pear")
    sell("plum")
    """
    session = play(
        "break 4", "continue", "clear 1", "watch stock", "watch sold", *["continue", "p stock, sold"] * 4, "q",
        program=program,
    )  # fmt: skip
    answers = "".join(session.list[5:])
    for hit in (1, 2):
        assert re.search(rf"w1: stock changed +hit {hit}\n  program\.py:4 in sell", answers)
        assert re.search(rf"w2: sold changed +hit {hit}\n  program\.py:4 in sell", answers)
    assert "({}, {'pear': 1})" in answers  # amid the line of the second call


def test_what_is_typed_is_no_hit(play):
    """Neither at a hit, nor at a breakpoint, nor while stepping."""
    session = play(
        "n", "n", "watch total", "!total = 50", "n", "!total = 60", "p total", f"break {LINES['rows']}", "continue", "q"
    )
    assert " changed" not in "".join(session.list[3:9])
    assert session.answers["p total"] == "60\n"
    assert "total  60 -> 60" not in session.text


# `python -m stopwhen.pdb`.


def test_it_runs_a_program_as_pdb_does(play):
    """Arguments, restart with others, and the end."""
    program = "import sys\nargs = sys.argv[1:]\nprint('args', args, __name__, __file__)\n"
    words = ("-m", "stopwhen.pdb", "program.py", "a", "b")
    session = play(
        "watch args", "continue", "continue", "run c", "continue", "continue", "q", program=program, words=words
    )
    assert "args ['a', 'b'] __main__" in session.text
    assert "args ['c'] __main__" in session.text
    assert (
        session.text.count("w1: args changed") == 2
    )  # the watchpoint has outlived the restart, which was no hit itself
    assert session.status == 0


def test_it_runs_a_module(play):
    """By `-m`, with initial commands by `-c`."""
    words = ("-m", "stopwhen.pdb", "-c", "watch total", "-c", "continue", "-m", "program")
    session = play("p total", "q", words=words)
    assert "w1: total changed" in session.start
    assert session.list[0] == "0\n"


def test_what_is_left_after_an_exception_can_be_looked_at(play):
    """The program's frames are shown, none of pdb's or ours; watchpoints can be set for the next run."""
    program = "def f(value):\n    return 1 / value\nx = 0\nf(x)\n"
    session = play("continue", "where", "p value", "watch x", "watches", "q", "q", program=program, fails=True)
    assert session.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "Uncaught exception. Entering post mortem debugging" in session.text
    stack = session.list[1]
    assert "program.py(4)<module>()" in stack
    assert "stopwhen" not in stack
    assert "bdb.py" not in stack
    assert session.answers["p value"] == "0\n"
    assert "changes x" in session.answers["watches"]


def test_where_shows_the_program_only(play):
    """No frame of pdb's, nor of ours, below or above it."""
    session = play("watch total", "continue", "continue", "where", "q")
    files = re.findall(r"^[> ] +(\S+)\(\d+\)", session.answers["where"].replace("> ", ">  "), re.MULTILINE)
    assert [Path(file).name for file in files] == ["program.py", "program.py"]


def test_a_file_of_initial_commands_may_set_watchpoints(play):
    """`.pdbrc` is read as pdb reads it."""
    session = play("watches", "q", rc="# mine\nwatch total\nwatch true len(rows) > 1, new\n")
    assert "Watchpoint w1: changes total\n" in session.start
    assert "w2  watchpoint   keep yes   true len(rows) > 1\n\tstop only if new\n" in session.list[0]


def test_a_program_that_is_not_there_is_told_as_pdb_does(play):
    """And a module that is not."""
    assert "does not exist" in play(words=("-m", "stopwhen.pdb", "nosuch.py")).text


def sh(tmp_path, command):
    """Run a shell's command line where the program is; `python` stands for this one."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.fspath(SOURCE), "HOME": os.fspath(tmp_path), "PYTHON_COLORS": "0"}
    command = command.replace("python", f'"{sys.executable}"', 1)
    result = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in result.stderr
    return result


needs_a_shell = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


@needs_a_shell
@pytest.mark.parametrize("redirections", ["</dev/null", "<&-", "</dev/null >&-"])
def test_without_anybody_who_types_it_quits(tmp_path, redirections):
    """At the end of the input pdb quits; so it does where there is none, or no output."""
    result = sh(tmp_path, f"python -m stopwhen.pdb program.py {redirections}")
    assert result.returncode == 0
    assert result.stderr == ""
    assert "total" not in result.stdout.partition("(Pdb)")[2]


@needs_a_shell
def test_without_anybody_who_reads_it_quits(tmp_path):
    """A closed pipe is no error of the program's: it is not told of one."""
    result = sh(tmp_path, "yes 'watch total' | python -m stopwhen.pdb program.py | head -n 1")
    assert result.stderr == ""
    assert result.stdout.startswith("> ")


# From a program.


def test_breakpoint_can_open_it(play):
    """`PYTHONBREAKPOINT=stopwhen.pdb.set_trace`."""
    program = "x = 1\nbreakpoint()\nx = 2\ny = 3\nx = 4\nprint('end', x)\n"
    session = play(
        "watch x", "continue", "p y", "continue", "continue", program=program, words=("program.py",),
        env={"PYTHONBREAKPOINT": "stopwhen.pdb.set_trace"},
    )  # fmt: skip
    assert "x  1 -> 2" in session.list[1]
    assert "NameError" in session.list[2]
    assert "x  2 -> 4" in session.list[3]
    assert session.text.endswith("end 4\n")


def test_a_program_can_open_it(play):
    """`stopwhen.pdb.set_trace()`, with a header and commands to begin with; then stops of the program's are its."""
    program = """\
    import stopwhen, stopwhen.pdb
    x = 1
    stopwhen.changes("x")
    def f():
        stopwhen.pdb.set_trace(header="here", commands=["p 'begun'"])
        return 1
    f()
    x = 2
    print("end")
    """
    session = play("where", "continue", "continue", program=program, words=("program.py",))
    assert session.text.startswith("here\n")
    assert "'begun'\n" in session.text
    line = 5 if sys.version_info >= (3, 13) else 6  # where `pdb.set_trace()` stops
    assert f"program.py({line})f()" in session.text
    assert "w1: x changed" in session.text
    assert session.text.endswith("end\n")


def test_a_program_can_look_at_what_is_left(play):
    """`stopwhen.pdb.post_mortem()` and `pm()`."""
    program = """\
    import sys, stopwhen.pdb
    def f(value):
        return 1 / value
    try:
        f(0)
    except ZeroDivisionError as error:
        stopwhen.pdb.post_mortem(error.__traceback__)
        sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
        sys.last_exc = error
    stopwhen.pdb.pm()
    print("end")
    """
    session = play("p value", "continue", "up", "continue", program=program, words=("program.py",))
    assert session.list[0] == "0\n"
    assert "program.py(5)<module>()" in session.answers["up"]
    assert session.text.endswith("end\n")


def test_breakpoint_of_pdbs_own_stays_pdbs(play):
    """The module `pdb` has its own class again, once the debugger is made."""
    program = "import pdb\nprint(pdb.Pdb.__module__, type(pdb.Pdb).__name__)\n"
    session = play("continue", "q", program=program)
    assert "pdb type\n" in session.text


def test_threads_step_for_themselves(play):
    """A stop in a thread does not end the steps of another."""
    program = """\
    import threading
    x = 0
    begun = threading.Event()
    def work():
        global x
        begun.wait()
        x = 1
        last = 2
    thread = threading.Thread(target=work, name="worker")
    thread.start()
    begun.set(); thread.join()  # both
    done = 1
    print("end")
    """
    session = play(
        "watch x",
        "continue",
        "b 11",
        "continue",
        "next",
        "p threading.current_thread().name",
        "continue",
        "p threading.current_thread().name, done",
        "continue",
        "q",
        program=program,
    )
    assert session.list[5] == "'worker'\n"
    assert "(12)<module>()" in session.list[6]


def test_a_thread_in_which_one_has_stepped_is_watched_on(play):
    """`continue` takes the debugger's tracing off; each later write of the thread is a hit at its own line."""
    program = """\
    import threading, time
    x = 0
    def work():
        global x
        for i in range(3):
            x += 1
            time.sleep(0)
    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
    print("end", x)
    """
    session = play("watch x", *["continue"] * 2, *["n", "n", "continue"] * 2, "n", "continue", "q", program=program)
    assert len(re.findall(r"w1: x changed +hit \d\n  program\.py:6 in work   in thread worker\n", session.text)) == 3
    assert session.text.count("x changed") == 4
    assert "end 3\n" in session.text


if hasattr(sys, "monitoring") and sys.version_info >= (3, 14):

    @pytest.mark.parametrize("backend", ["settrace", "monitoring"])
    def test_pdbs_default_backend_makes_no_difference(play, backend):
        """Breakpoints, steps and watchpoints go together with both."""
        program = (
            f"import pdb\npdb.set_default_backend({backend!r})\nimport stopwhen.pdb\nstopwhen.pdb.set_trace()\n"
            + PROGRAM
        )
        line = LINES["rows"] + 4
        session = play(
            "watch total", f"break {line}, number == 2", "continue", "continue", "next", "continue", "continue", "continue",
            program=program, words=("program.py",),
        )  # fmt: skip
        assert session.text.count("w1: total changed") == 4
        assert session.text.endswith("total 6 [0, 1, 2, 3] 5\n")


# Completion.


def test_completion_knows_names_and_numbers():
    """Expressions after `watch`, numbers after the others."""
    import stopwhen
    from stopwhen.frontends.pdb_command import Pdb

    debugger = Pdb(readrc=False)
    namespace = {"x": 1}
    debugger.curframe = sys._getframe()
    if sys.version_info < (3, 14):
        debugger.curframe_locals = debugger.curframe.f_locals
    with stopwhen.changes("x", scope=namespace, action="count") as watchpoint:
        name = f"w{watchpoint.number}"
        assert "namespace" in debugger.complete_watch("names", "watch names", 6, 11)
        assert debugger.complete_watch("tr", "watch tr", 6, 8)[0] == "true "
        assert debugger.complete_unwatch("w", "unwatch w", 8, 9) == [name]
        for command in ("enable", "disable", "condition", "ignore", "commands"):
            assert name in getattr(debugger, f"complete_{command}")(
                "", f"{command} ", len(command) + 1, len(command) + 1
            )


def test_a_pinned_watchpoint_outlives_its_frame(play):
    """`watch -l` watches on the object that a local stood for."""
    program = """
    class Cart:
        def __init__(self):
            self.size = 0
            self.ready = True  # @ready
        def add(self, n):
            self.size += n  # @grown
    cart = Cart()
    cart.add(1)
    print("end", cart.size)
    """
    line = marked_lines(textwrap.dedent(program))["ready"]
    session = play(f"break {line}", "continue", "watch -l self.size", "clear 1", "continue", "quit", program=program)
    assert "Watchpoint w1: changes self.size" in session.text
    assert "0 -> 1" in session.text
    assert "has ended" not in session.text
    session = play(
        f"break {line}", "continue", "watch self.size", "clear 1", "next", "next", "next", "quit", program=program
    )
    assert "Watchpoint w1: changes self.size has ended: its frame is gone; watch -l self.size goes on" in session.text


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("total", ("total", None, (), ())),
        ("total, new > 3", ("total", "new > 3", (), ())),
        ("rows[0], len(new) < len(old)", ("rows[0]", "len(new) < len(old)", (), ())),
        ("f(a, b)[c, d], x", ("f(a, b)[c, d]", "x", (), ())),
        ("total thread worker-1", ("total", None, ("worker-1",), ())),
        ("total thread Thread-1 (work)", ("total", None, ("Thread-1 (work)",), ())),
        ('total thread "Thread 1" task Task-2, new', ("total", "new", ("Thread 1",), ("Task-2",))),
        ("x == 'a thread b'", ("x == 'a thread b'", None, (), ())),
        ("total task import-*", ("total", None, (), ("import-*",))),
        ("total thread", ("total thread", None, (), ())),
        ("thread", ("thread", None, (), ())),
        ("thread.name thread thread", ("thread.name", None, ("thread",), ())),
        ("total if x", ("total if x", None, (), ())),
        ("rows, new = 3", ("rows", "new = 3", (), ())),
        ("total, rows", ("total", "rows", (), ())),
    ],
)
def test_what_stands_after_watch_is_read(typed, asked):
    """Expression, threads, tasks, condition."""
    assert tuple(read_arguments(typed)) == asked


def test_past_hits_are_listed(play):
    """Of one watchpoint, of all, and of those that are deleted."""
    session = play(
        *(
            "watch total, new < 4",
            "watch cart.size",
            "continue",
            "continue",
            "continue",
            "hits w1",
            "hits",
            "unwatch w1",
        ),
        *("hits w1", "hits w9", "quit"),
    )
    assert "Watchpoint w1: changes total: hits\n  1 " in session.answers["hits w1"]
    assert re.search(r"2    program\.py:\d+ in count +total  0 -> 1\n", session.answers["hits w1"])
    assert "Watchpoint w2: changes cart.size: " in session.answers["hits"]
    assert session.text.count("total  0 -> 1") >= 3
    assert "*** There is no watchpoint w9" in session.answers["hits w9"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("watch totl", "'totl' is not there: watched as absent until it is [not-there]\n  hint: did you mean 'total'?"),
        ("watch total if total > 2", "hint: watch 'total', and give 'total > 2' as its condition"),
        ("watch cart.size, new = 3", "hint: write 'new == 3'"),
        ("watch -l total", "pin"),
    ],
)
def test_a_mistake_gets_a_hint(play, typed, said):
    """As a person makes them who knows gdb or pdb."""
    session = play(f"break {LINES['seen']}", "continue", typed, "quit")
    assert said in session.answers[typed] or (typed == "watch -l total" and "w1" in session.answers[typed])


@pytest.mark.parametrize("end", ["quit", "EOF"])
@pytest.mark.parametrize(
    "words",
    [
        ("program.py",),
        (
            "-m",
            "stopwhen",
            "run",
            "--changes",
            "number",
            "--scope",
            "__main__:work",
            "--changes",
            "never",
            "program.py",
        ),
    ],
    ids=["api", "run"],
)
def test_quitting_is_quiet(play, end, words):
    """No traceback, and nothing of watchpoints that end with the program."""
    program = """
    import stopwhen
    def work(total):
        stopwhen.changes("total", action="count")
        number = 1
        breakpoint()
        number = 2
        return total
    work(0)
    print("not reached")
    """
    breakpoints = {"PYTHONBREAKPOINT": "stopwhen.pdb.set_trace"}
    session = play(end, "y", program=program, words=words, env=breakpoints)
    assert "(Pdb)" in session.text
    assert "not reached" not in session.text
    for noise in ("BdbQuit", "no longer watching", "was never there"):
        assert noise not in session.stderr + session.text
