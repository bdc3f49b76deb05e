"""`stopwhen attach`: real processes, attached to and let go of."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from helpers import SOURCE, marked_lines, run_python
from stopwhen import env

if sys.platform == "win32":
    pytest.skip("needs pseudo terminals", allow_module_level=True)

import pexpect

# pexpect forks, with whatever threads other tests have left in the pool of the standard library.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

needs_remote_exec = pytest.mark.skipif(not env.HAS_REMOTE_EXEC, reason="needs sys.remote_exec (3.14)")
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")

PROGRAM = """\
import os, select, sys, threading
total, rows, settings = 0, [], {"debug": False}
def add(n):
    global total
    mine = n * 10
    total += n  # @add
    after = total  # @after
    return mine
def push():
    rows.append(len(rows))  # @push
def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args, name="worker")
    thread.start()
    thread.join()
def in_child(function, *args):
    pid = os.fork()
    if not pid:
        function(*args)
        os._exit(0)
    os.waitpid(pid, 0)
def caught(function, *args):
    try:
        function(*args)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
def say(value):
    print(value, flush=True)
say(os.getpid())
while True:
    if select.select([sys.stdin], [], [], 0.01)[0]:  # @idle
        lines = os.read(0, 65_536).decode()
        if not lines:
            break
        for line in lines.splitlines():
            exec(line)
"""


class Target:
    """A process that does what it is told, line by line, and in between runs a little Python code all the time."""

    def __init__(self, folder, *flags, user=None, **environment):
        self.path = folder / "target.py"
        self.path.write_text(PROGRAM)
        self.lines = marked_lines(PROGRAM)
        self.errors = (folder / "stderr").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, *flags, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            user=user,
            env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        )
        self.pid = int(self.process.stdout.readline())

    def do(self, line):
        """Have it run a line."""
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def ask(self, expression):
        """Return what an expression is there, as text."""
        self.do(f"say(({expression}))")
        return self.process.stdout.readline().rstrip("\n")

    def end(self):
        """End it, and return what it wrote to stderr."""
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()
        return self.said()

    def said(self):
        """Return what it has written to stderr."""
        self.errors.seek(0)
        return self.errors.read()


@pytest.fixture
def target(tmp_path):
    """One of those, which has written nothing to stderr by its end."""
    target = Target(tmp_path)
    yield target
    if target.process.poll() is None:
        assert target.end() == ""
    target.errors.close()


@pytest.fixture
def terminal(tmp_path):
    """Return a function that starts `stopwhen` in a terminal of its own, which is closed at the end."""
    started = []
    folder = tempfile.mkdtemp(prefix="sw")  # a short path, as sockets need one

    def start(*words, **options):
        environment = dict(os.environ, TERM="dumb", NO_COLOR="1", PYTHON_COLORS="0", TMPDIR=folder)
        environment["PYTHONPATH"] = str(SOURCE)
        command = ["-m", "stopwhen", *map(str, words)]
        child = pexpect.spawn(
            sys.executable,
            command,
            env=environment,
            encoding="utf-8",
            timeout=60,
            echo=False,
            dimensions=(40, 100),
            **options,
        )
        child.folder = Path(folder)
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)
    Path(folder).rmdir()  # nothing is left in it


def attached(terminal, target, *words):
    """Attach, and return the terminal once it says so."""
    child = terminal("attach", target.pid, *words)
    child.expect(r"attached to process \d+; Ctrl-C detaches\r\n")
    return child


def detach(child):
    """Type Ctrl-C, and return what comes until the end."""
    child.sendintr()
    return ending(child)


def ending(child):
    """Return what comes until the end, which is a good one."""
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    return child.before.replace("\r\n", "\n")


@pytest.mark.skipif(env.HAS_REMOTE_EXEC, reason="this Python attaches")
@pytest.mark.parametrize("words", [("attach", "1", "--changes", "x"), ("detach", "1")])
def test_older_versions_say_which_is_needed(words):
    """And what can be done instead."""
    result = run_python("-m", "stopwhen", *words)
    assert result.status == 2
    assert f"{words[0]} needs Python 3.14 or later, and this is 3.1" in result.stderr
    assert "[attach-version]" in result.stderr
    assert "start the program by `stopwhen run`" in result.stderr


@pytest.mark.parametrize("command", ["attach", "detach"])
def test_help_is_there_on_every_version(command):
    """With what is needed."""
    result = run_python("-m", "stopwhen", command, "--help")
    assert result.status == 0
    assert result.stdout.startswith(f"usage: stopwhen {command} ")


# What is shown.


@needs_remote_exec
def test_hits_are_shown_in_the_terminal(terminal, target):
    """With the line that wrote in the process; the process itself writes nothing that it would not."""
    child = attached(terminal, target, "--action", "log", "--changes", "total", "--true", "len(rows) > 1")
    child.expect_exact("changes total, now 0")
    child.expect_exact("true len(rows) > 1, now False")
    target.do("add(3)")
    child.expect_exact("total changed")
    child.expect_exact(f"target.py:{target.lines['add']} in add\r\n")
    child.expect_exact("    total += n  # @add\r\n")
    child.expect_exact("total  0 -> 3\r\n")
    target.do("push(); push(); push()")
    child.expect_exact(f"target.py:{target.lines['push']} in push   by list.append")
    rest = detach(child)
    assert f"detached: process {target.pid} is no longer watched" in rest
    assert "changed" not in rest
    assert target.ask("total, rows") == "(3, [0, 1, 2])"


@needs_remote_exec
def test_counts_are_told_at_the_end(terminal, target):
    """Of detaching, and of the process."""
    child = attached(terminal, target, "--action", "count", "--changes", "total", "--changes", "rows")
    target.do("add(1); add(2); push()")
    target.ask("1")
    rest = detach(child)
    assert "stopwhen: total changed 2 times\nstopwhen: rows changed 1 time\n" in rest
    child = attached(terminal, target, "--action", "count", "--changes", "total")
    target.do("add(1)")
    target.end()
    rest = ending(child)
    assert "total changed 1 time\n" in rest


@needs_remote_exec
def test_what_is_true_already_is_told_at_once(terminal, target):
    """With the place where the process was."""
    child = terminal("attach", target.pid, "--action", "log", "--true", "total == 0")
    child.expect_exact("total == 0 is already true")
    child.expect(r"target.py:\d+\r\n")
    child.expect_exact("attached to process")
    detach(child)


@needs_remote_exec
def test_other_threads_and_children_are_shown(terminal, target):
    """By name, and by process id."""
    child = attached(terminal, target, "--action", "log", "--changes", "total")
    target.do("in_thread(add, 1)")
    child.expect_exact("in thread worker")
    target.do("in_child(add, 5)")
    child.expect(r"in process \d+\r\n.*\r\n  total  1 -> 6\r\n")
    target.do("add(2)")
    child.expect_exact("total  1 -> 3\r\n")
    detach(child)


@needs_remote_exec
def test_raise_raises_in_the_process(terminal, target):
    """Where it may be caught."""
    child = attached(terminal, target, "--action", "raise", "--changes", "total")
    target.do("caught(add, 4)")
    said = target.process.stdout.readline()
    assert said.startswith("DataChanged total changed: 0 -> 4, at ")
    assert f"target.py:{target.lines['add']} in add" in said
    detach(child)


@needs_remote_exec
def test_what_is_said_of_its_watchpoints_is_said_in_the_terminal(terminal, target):
    """And what the process's own watchpoints show stays there."""
    target.do("import stopwhen; own = stopwhen.changes('rows', scope='__main__', action='log')")
    target.ask("own")  # it has been imported
    child = attached(terminal, target, "--action", "log", "--changes", "total", "--if", "nix")
    target.do("add(1); push()")
    child.expect_exact("the condition of 'total' raised NameError")
    rest = detach(child)
    assert "rows changed" not in rest
    target.do("push()")
    target.ask("1")
    assert target.said().count("rows changed") == 2
    target.do("own.remove()")
    target.errors.truncate(0)
    target.errors.seek(0)
    target.do("sys.stderr = None")


@needs_remote_exec
def test_two_terminals_show_each_what_it_asked_for(terminal, target):
    """At the same time."""
    one = attached(terminal, target, "--action", "log", "--changes", "total")
    other = attached(terminal, target, "--action", "log", "--changes", "rows")
    target.do("add(1); push()")
    one.expect_exact("total  0 -> 1")
    other.expect_exact("rows  inserted 0 at 0")
    assert "rows" not in detach(one)
    target.do("add(1); push()")
    other.expect_exact("rows  inserted 1 at 1")
    assert "total" not in detach(other)
    assert target.ask("__import__('stopwhen').watchpoints()") == "[]"


@needs_remote_exec
def test_a_loopback_port_is_used_when_asked_for(terminal, target):
    """And only then."""
    child = attached(terminal, target, "--tcp", "--action", "log", "--changes", "total")
    assert [path.name for path in child.folder.rglob("socket")] == []
    target.do("add(1)")
    child.expect_exact("total  0 -> 1")
    detach(child)


@needs_remote_exec
def test_the_socket_is_the_users_alone(terminal, target):
    """In a folder of the user's alone, both gone afterwards."""
    child = attached(terminal, target, "--action", "log", "--changes", "total")
    (folder,) = child.folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "socket").stat().st_mode & 0o777 == 0o600
    assert (folder / "attach.py").stat().st_mode & 0o777 == 0o600
    detach(child)
    assert list(child.folder.iterdir()) == []


# The debugger.

PROMPT = r"\(Pdb\) "


def typed(child, line, prompt=PROMPT):
    """Type a line at the prompt and return what comes until the next one."""
    child.sendline(line)
    child.expect(prompt)
    return child.before.replace("\r\n", "\n")


@needs_remote_exec
def test_a_stop_asks_in_the_terminal(terminal, target):
    """In the frame that wrote: one looks, changes, steps, goes on, and is stopped again; `detach` lets it go."""
    child = attached(terminal, target, "--changes", "total")
    target.do("say(add(3))")
    child.expect(PROMPT)
    assert f"target.py({target.lines['after']})add()" in child.before
    assert "(30, 3)" in typed(child, "p mine, total")
    assert "<module>()" in typed(child, "up")
    typed(child, "down")
    typed(child, "mine = 77")
    assert "-> return mine" in typed(child, "next")
    child.sendline("continue")
    assert target.process.stdout.readline() == "77\n"
    target.do("say(add(4))")
    child.expect(PROMPT)
    assert "total  3 -> 7" in child.before
    child.sendline("detach")
    assert "is no longer watched" in ending(child)
    assert target.process.stdout.readline() == "40\n"
    assert target.ask("sys.gettrace(), add(1), __import__('stopwhen').watchpoints()") == "(None, 10, [])"


@needs_remote_exec
@pytest.mark.parametrize("how", ["quit", "EOF", "breakpoint"])
def test_leaving_the_debugger_lets_the_process_go_on(how, terminal, target):
    """By `quit`, by the end of input, and with a breakpoint of the debugger's set."""
    child = attached(terminal, target, "--changes", "total")
    target.do("say(add(3))")
    child.expect(PROMPT)
    if how == "EOF":
        child.sendeof()
    elif how == "breakpoint":
        assert "Breakpoint 1" in typed(child, f"break {target.lines['push']}")
        child.sendline("quit")
    else:
        child.sendline("quit")
    ending(child)
    assert target.process.stdout.readline() == "30\n"
    assert target.ask("(push(), sys.gettrace(), __import__('stopwhen').watchpoints())") == "(None, None, [])"


@needs_remote_exec
def test_breakpoints_of_the_debugger_stop_there_too(terminal, target):
    """As in pdb."""
    child = attached(terminal, target, "--changes", "total")
    target.do("add(3); push()")
    child.expect(PROMPT)
    typed(child, f"break {target.lines['push']}")
    assert f"target.py({target.lines['push']})push()" in typed(child, "continue")
    child.sendline("detach")
    ending(child)


@needs_remote_exec
def test_another_thread_is_stopped_too(terminal, target):
    """The prompt is that thread's."""
    child = attached(terminal, target, "--changes", "total")
    target.do("in_thread(add, 3)")
    child.expect(PROMPT)
    assert "'worker'" in typed(child, "p threading.current_thread().name")
    child.sendline("continue")
    assert target.ask("total") == "3"
    detach(child)


@needs_remote_exec
def test_interrupting_the_prompt_interrupts_the_command_there(terminal, target):
    """And not the process."""
    child = attached(terminal, target, "--changes", "total")
    target.do("say(add(3))")
    child.expect(PROMPT)
    child.sendintr()
    child.expect(PROMPT)
    assert "KeyboardInterrupt" in child.before
    child.sendline("continue")
    assert target.process.stdout.readline() == "30\n"
    detach(child)


# Ends.

LEFT = """\
sorted(sys.monitoring.get_tool(n) for n in range(6) if sys.monitoring.get_tool(n)), sys.gettrace(), \
threading.active_count(), len(os.listdir('/proc/self/task')), len(os.listdir('/proc/self/fd'))\
"""


@needs_remote_exec
def test_detaching_leaves_nothing_behind(terminal, target):
    """No watchpoint, tool, trace function, thread, file, name or module but stopwhen's own and what it needs."""
    before = target.ask(LEFT)
    target.do("modules, names = set(sys.modules), set(globals())")
    for _ in range(2):
        child = attached(terminal, target, "--action", "log", "--changes", "total", "--changes", "rows")
        target.do("add(1); push()")
        child.expect_exact("rows  inserted")
        detach(child)
    assert target.ask(LEFT) == before
    assert target.ask("sorted(set(globals()) - names)") == "['modules', 'names']"
    assert target.ask("__import__('stopwhen').watchpoints()") == "[]"
    assert target.ask("type(sys.modules['stopwhen.session'].current().output).__name__") == "Output"
    left = set(eval(target.ask("set(sys.modules) - modules")))
    # What a hit of any program needs, and nothing that talks over networks, starts threads or debugs.
    assert left.isdisjoint(
        {"socket", "json", "pdb", "bdb", "asyncio", "logging", "subprocess", "multiprocessing", "pickle"}
    )
    assert {name.partition(".")[0] for name in left if name.startswith("stop")} == {"stopwhen"}


@needs_remote_exec
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_goes_away_detaches(number, terminal, target):
    """Politely asked."""
    child = attached(terminal, target, "--action", "log", "--changes", "total")
    child.kill(number)
    assert "is no longer watched" in ending(child)
    assert target.ask("__import__('stopwhen').watchpoints()") == "[]"


@needs_remote_exec
def test_after_a_terminal_is_killed_the_next_hit_detaches(terminal, target):
    """Nobody could say so before."""
    child = attached(terminal, target, "--changes", "total", "--changes", "rows")
    child.kill(signal.SIGKILL)
    child.wait()
    target.do("add(1)")
    assert target.ask("total, __import__('stopwhen').watchpoints()") == "(1, [])"
    for path in child.folder.rglob("*"):  # it could not clean up
        path.unlink() if not path.is_dir() else None
    for path in child.folder.iterdir():
        path.rmdir()


@needs_remote_exec
def test_the_command_detach_ends_what_a_killed_terminal_has_begun(terminal, target):
    """Or any other."""
    child = attached(terminal, target, "--action", "log", "--changes", "total")
    assert f"process {target.pid} is no longer watched" in ending(terminal("detach", target.pid))
    assert f"detached: process {target.pid} is no longer watched" in ending(child)
    assert target.ask("__import__('stopwhen').watchpoints()") == "[]"


@needs_remote_exec
@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_the_end_of_the_process_is_told(how, terminal, target):
    """However it comes."""
    child = attached(terminal, target, "--action", "log", "--changes", "total")
    if how == "ends":
        target.end()
    else:
        target.process.kill()
        target.process.communicate()
    assert re.search(rf"process {target.pid} (has ended|is no longer watched)", ending(child))


@needs_remote_exec
def test_a_terminal_that_takes_nothing_does_not_hold_the_process_up(terminal, target):
    """What does not fit is counted."""
    child = attached(terminal, target, "--action", "log", "--changes", "total")
    os.kill(child.pid, signal.SIGSTOP)
    target.do("for n in range(20_000): add(1)")
    assert target.ask("total") == "20000"
    os.kill(child.pid, signal.SIGCONT)
    said = r"[\d,]+ hits were not shown, this terminal was too slow"
    for _ in range(100):  # what waits is sent with the hits that follow
        target.do("add(1)")
        if child.expect([said, pexpect.TIMEOUT], timeout=0.5) == 0:
            break
    else:
        pytest.fail("nothing is said of what was not shown")
    detach(child)


# What is in the way.


@needs_remote_exec
@pytest.mark.parametrize(
    ("words", "slug"),
    [
        (("--changes", "total", "--changes", "x +"), "bad-syntax"),
        (("--changes", "total", "--changes", "rows.pop()"), "mutates"),
        (("--changes", "total", "--if", "x +"), "bad-condition"),
        (("--changes", "total", "--scope", "x y"), "bad-scope"),
        (("--changes", "total", "--depth", "deep"), "bad-depth"),
        (("--chanegs", "total"), "unknown-option"),
        ((), "no-watchpoint"),
        (("--changes", "total", "--timeout", "soon"), "bad-timeout"),
        (("--changes", "total", "5"), "unexpected-word"),
    ],
)
def test_what_cannot_be_watched_is_refused_whole(words, slug, target):
    """With the reason, exit status 2, and nothing armed of the rest."""
    result = run_python("-m", "stopwhen", "attach", str(target.pid), *words)
    assert result.status == 2
    assert f"[{slug}]" in result.stderr
    assert "Traceback" not in result.stderr
    assert target.ask("'stopwhen' not in sys.modules or __import__('stopwhen').watchpoints() == []") == "True"


@needs_remote_exec
@pytest.mark.parametrize(
    ("pid", "slug"), [("999999999", "no-process"), ("x", "no-process"), ("0", "no-process"), ("", "no-process")]
)
def test_a_process_that_is_not_there_is_said(pid, slug):
    """Or is no number."""
    result = run_python("-m", "stopwhen", "attach", *([pid] if pid else []), "--changes", "x")
    assert result.status == 2
    assert f"[{slug}]" in result.stderr


@needs_remote_exec
def test_what_is_no_python_is_said():
    """With what it runs."""
    process = subprocess.Popen(["sleep", "100"])
    try:
        result = run_python("-m", "stopwhen", "attach", str(process.pid), "--changes", "x")
    finally:
        process.kill()
        process.wait()
    assert result.status == 2
    assert "is no Python process: it runs /" in result.stderr
    assert "[not-python]" in result.stderr


@needs_remote_exec
@pytest.mark.parametrize(
    ("flags", "environment"), [(("-X", "disable-remote-debug"), {}), ((), {"PYTHON_DISABLE_REMOTE_DEBUG": "1"})]
)
def test_a_process_may_forbid_it(flags, environment, tmp_path):
    """The message says how it was forbidden."""
    target = Target(tmp_path, *flags, **environment)
    result = run_python("-m", "stopwhen", "attach", str(target.pid), "--changes", "total")
    assert result.status == 2
    assert "[remote-debug-off]" in result.stderr
    assert target.end() == ""
    target.errors.close()


@needs_remote_exec
def test_a_process_that_cannot_import_stopwhen_is_said(tmp_path):
    """With the command that installs it there."""
    target = Target(tmp_path, "-S", "-E")
    result = run_python("-m", "stopwhen", "attach", str(target.pid), "--changes", "total")
    assert result.status == 2
    assert "cannot import stopwhen: ModuleNotFoundError" in result.stderr
    assert "-m pip install stopwhen==" in result.stderr
    assert target.end() == ""
    target.errors.close()


@needs_remote_exec
def test_a_process_that_imports_stopwhen_just_then_is_asked_again(terminal, target):
    """A half-imported package is left alone."""
    target.do("import stopwhen; stopwhen.__spec__._initializing = True")
    child = terminal("attach", target.pid, "--action", "log", "--changes", "total")
    child.expect_exact("waiting for process")
    target.do("stopwhen.__spec__._initializing = False")
    child.expect_exact("attached to process")
    detach(child)


@needs_remote_exec
def test_a_process_with_another_version_of_stopwhen_is_said(target):
    """Both are named."""
    target.do("import stopwhen; stopwhen.__version__ = '0.0.7'")
    result = run_python("-m", "stopwhen", "attach", str(target.pid), "--changes", "total")
    assert result.status == 2
    assert "the process has stopwhen 0.0.7, and this is " in result.stderr
    assert "[other-stopwhen]" in result.stderr


@needs_remote_exec
@needs_root
def test_a_process_of_another_user_is_said(tmp_path):
    """As who is not root is told."""
    target = Target(tmp_path)
    result = subprocess.run(
        [sys.executable, "-m", "stopwhen", "attach", str(target.pid), "--changes", "total"],
        user="nobody",
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        timeout=60,
    )
    assert result.returncode == 2
    assert f"cannot debug process {target.pid}: it belongs to another user [no-right]" in result.stderr
    assert target.end() == ""
    target.errors.close()


@needs_remote_exec
@needs_root
def test_root_attaches_to_any_users_process(tmp_path, terminal):
    """The socket is given to that user."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()).resolve():
            break
        folder.chmod(0o755)
    target = Target(tmp_path, user="nobody")
    terminal("--version").folder.chmod(0o711)
    child = attached(terminal, target, "--action", "log", "--changes", "total")
    target.do("add(1)")
    child.expect_exact("total  0 -> 1")
    detach(child)
    assert target.end() == ""
    target.errors.close()


@needs_remote_exec
def test_a_process_that_runs_no_python_code_is_waited_for(terminal, target):
    """That is said after a while; it attaches when the process goes on."""
    target.do("os.read(0, 1)")
    child = terminal("attach", target.pid, "--action", "log", "--changes", "total")
    child.expect_exact(f"waiting for process {target.pid}, whose main thread runs no Python code now; Ctrl-C gives up")
    target.do("")
    child.expect_exact("attached to process")
    detach(child)


@needs_remote_exec
@pytest.mark.parametrize("how", ["time", "interrupt"])
def test_waiting_ends_and_leaves_nothing(how, terminal, target):
    """By the time given, or by Ctrl-C: what was to run there is withdrawn."""
    target.do("os.read(0, 1)")
    words = ("--timeout", "0.3") if how == "time" else ()
    child = terminal("attach", target.pid, "--changes", "total", *words)
    if how == "time":
        child.expect_exact("did not answer within 0.3 seconds [no-answer]")
    else:
        child.expect_exact("waiting for process")
        child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2 if how == "time" else child.signalstatus == signal.SIGINT
    target.do("")
    assert target.ask("'stopwhen' in sys.modules") == "False"
