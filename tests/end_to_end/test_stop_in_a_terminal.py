"""Stops in a terminal: the debugger's prompt stands in the frame that wrote, and the program goes on from there."""

import base64
import contextlib
import importlib.util
import json
import re
import select
import signal
import socket
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs pseudo terminals", allow_module_level=True)

from helpers import marked_lines
from terminal import PROMPT, Terminal

# pexpect forks, with whatever threads other tests have left in the pool of the standard library.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

PROJECT = Path(__file__).parents[2] / "demo" / "project"
PROGRAM = """\
x = 0
def change(value):
    global x
    before = x
    x = value  # @write
    after = x  # @after
    return after - before  # @return
def main():
    difference = change(5)  # @called
    change(7)
    return difference
print("difference", main(), "x", x)
"""
LINES = marked_lines(PROGRAM)


@pytest.fixture
def start(tmp_path):
    """Return a function that starts Python in a terminal; what it starts is ended after the test."""
    started = []

    def start_program(*words, program=PROGRAM, prompt=PROMPT, folder=tmp_path, **env):
        (tmp_path / "program.py").write_text(textwrap.dedent(program), encoding="utf-8")
        started.append(Terminal(list(words), folder, prompt, env))
        return started[-1]

    yield start_program
    for terminal in started:
        terminal.child.close(force=True)


RUN = ("-m", "stopwhen", "run", "--changes", "x", "--if", "old is not absent")


def needs(module):
    """Skip where a debugger is not installed."""
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"needs {module}")


# The nose story.


def test_the_prompt_stands_in_the_frame_that_wrote(start):
    """The hit is reported, names are those of `add_path`, `up` is its caller, and `continue` ends as a plain run."""
    terminal = start("-m", "stopwhen", "run", "--true", 'sys.path[0].endswith("lib")', "-m", "nose", folder=PROJECT)
    shown = terminal.wait()
    assert "by list.insert" in shown
    assert "importer.py(257)add_path()" in shown.split("hit 1")[1]
    assert str(PROJECT / "lib") in terminal.ask("p path")
    assert "loader.py" in terminal.ask("up")
    assert "add_path" not in terminal.ask("p [name for name in dir() if name == 'path']")
    assert "Ran 2 tests" in terminal.end("continue")
    assert terminal.status == 0


def test_one_can_step_on_and_stop_again(start):
    """`next` goes on in the frame that wrote; `continue` stops at the next hit."""
    terminal = start("-m", "stopwhen", "run", "--changes", "sys.path", "-m", "nose", folder=PROJECT)
    terminal.wait()
    assert "importer.py(258)add_path()" in terminal.ask("next")
    again = terminal.ask("continue")
    assert "hit 2" in again
    assert str(PROJECT / "tests") in terminal.ask("p path")
    terminal.end("continue")
    assert terminal.status == 0


def test_a_variable_can_be_changed_at_the_prompt(start):
    """What is assigned at the prompt holds when the program goes on, and is no hit."""
    code = "x = 1\nx = 2\nprint('x is', x)"
    terminal = start(*RUN, "-c", code)
    terminal.wait()
    terminal.ask("x = 5")
    rest = terminal.end("continue")
    assert "x is 5" in rest
    assert "hit 2" not in rest


# Debuggers, by the convention of `breakpoint()`.


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        pytest.param("", PROMPT, id="ours"),
        pytest.param("pdb.set_trace", PROMPT, id="pdb"),
        pytest.param("ipdb.set_trace", "ipdb> ", marks=needs("ipdb"), id="ipdb"),
        pytest.param("IPython.core.debugger.set_trace", "ipdb> ", marks=needs("IPython"), id="IPython"),
    ],
)
def test_a_debugger_with_a_prompt_stops_in_the_frame_that_wrote(start, name, prompt):
    """It shows the writer and its names, steps on from there, changes a variable, stops again, and quits."""
    terminal = start(*RUN, "program.py", prompt=prompt, PYTHONBREAKPOINT=name)
    assert f"program.py({LINES['after']})change()" in terminal.wait().split("hit 1")[1]
    assert "5 0" in terminal.ask("!print(value, before)")
    assert "defined" in terminal.ask("p after")
    stack = terminal.ask("where")
    assert re.findall(r"\((\d+)\)(\w+|<module>)\(\)", stack)[-2:] == [
        (str(LINES["called"]), "main"),
        (str(LINES["after"]), "change"),
    ]
    assert "stopwhen" not in stack
    terminal.ask("!before = 100")
    assert f"program.py({LINES['return']})change()" in terminal.ask("next")
    assert f"program.py({LINES['called']})main()" in terminal.ask("up")
    assert f"program.py({LINES['after']})change()" in terminal.ask("continue").split("hit 2")[1]
    ended = terminal.end("continue")
    assert "difference -95 x 7" in ended
    assert terminal.status == 0


@needs("IPython")
def test_an_embedded_shell_has_the_names_of_the_frame_that_wrote(start):
    """IPython's `embed` traces nothing: it is called where the write was made, before the next line."""
    terminal = start(*RUN, "program.py", prompt=r"In \[\d+\]: ", PYTHONBREAKPOINT="IPython.embed")
    terminal.wait()
    assert "5, 0, False" in terminal.ask("print(value, before, 'after' in dir(), sep=', ')")
    assert "hit 2" in terminal.ask("exit")
    assert "difference 5 x 7" in terminal.end("exit")


@needs("pudb")
def test_pudb_stops_in_the_frame_that_wrote(start, tmp_path):
    """The full-screen debugger marks the line, steps to the next one, and goes on."""
    (tmp_path / "pudb").mkdir()
    settings = "[pudb]\nseen_welcome = e999\nprompt_on_quit = False\nline_numbers = True\n"
    (tmp_path / "pudb" / "pudb.cfg").write_text(settings, encoding="utf-8")
    env = {"PYTHONBREAKPOINT": "pudb.set_trace", "XDG_CONFIG_HOME": str(tmp_path), "TERM": "xterm"}
    terminal = start(*RUN, "program.py", **env)
    stack = r">> \S*change\S* program\.py:{}"
    terminal.prompt = r"\Z(?!x)x"  # it has none
    screen = _screen(terminal, stack.format(LINES["after"]))
    assert "value: 5" in screen
    terminal.child.send("n")
    _screen(terminal, rf"program\.py:{LINES['return']}")
    terminal.child.send("c")
    _screen(terminal, stack.format(LINES["after"]))
    terminal.child.send("c")
    assert "difference 5 x 7" in terminal.end()
    assert terminal.status == 0


def _screen(terminal, pattern):
    """Return what is drawn until `pattern` is, with colours and movements of the cursor left out."""
    drawn = ""
    while not re.search(pattern, Terminal._plain(drawn)):
        drawn += terminal.child.read_nonblocking(10_000, timeout=30)
    return Terminal._plain(drawn)


@needs("remote_pdb")
def test_a_remote_debugger_stops_in_the_frame_that_wrote(start):
    """It needs no terminal of the program's: the prompt is at the other end of a socket."""
    env = {"PYTHONBREAKPOINT": "remote_pdb.set_trace", "REMOTE_PDB_PORT": "0", "REMOTE_PDB_HOST": "127.0.0.1"}
    terminal = start(*RUN, "--hits", "1", "program.py", **env)
    terminal.wait(r"session open at 127\.0\.0\.1:(\d+),")
    with _connection_to(int(terminal.child.match[1])) as connection:
        answers = connection.makefile("rw", encoding="utf-8", newline="\r\n")
        shown = _until_prompt(answers)
        assert f"program.py({LINES['after']})change()" in shown
        answers.write("p value, before\n")
        answers.flush()
        assert "(5, 0)" in _until_prompt(answers)
        answers.write("continue\n")
        answers.flush()
        assert "difference 5 x 7" in terminal.end()


def _connection_to(port):
    """Connect to a debugger, which tells its port before it listens there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            select.select([], [], [], 0.01)  # nothing tells when it listens


def _until_prompt(answers):
    text = ""
    while not text.endswith("(Pdb) "):
        text += answers.read(1)
    return text


@needs("web_pdb")
def test_a_debugger_in_a_browser_stops_in_the_frame_that_wrote(start, tmp_path):
    """web-pdb shows the writer's file and line at its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "browser.py").write_text(
        f"import functools, web_pdb\nhook = functools.partial(web_pdb.set_trace, '127.0.0.1', {port})\n",
        encoding="utf-8",
    )
    terminal = start(*RUN, "--hits", "1", "program.py", PYTHONBREAKPOINT="browser.hook", PYTHONPATH=str(tmp_path))
    terminal.wait("hit 1")
    shown = _page(port, lambda data: data["current_line"] == LINES["after"])
    assert shown["filename"] == "program.py"
    assert "before = 0\nvalue = 5" in shown["locals"]
    with _typing(port) as type_line:
        type_line("next\n")
        shown = _page(port, lambda data: data["current_line"] == LINES["return"])
        assert "after = 5" in shown["locals"]
        type_line("continue\n")
        assert "difference 5 x 7" in terminal.end()


def _page(port, is_shown):
    """Return what the page shows, as soon as that is what is waited for."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/frame-data") as answer:
            data = json.load(answer)
            if data and is_shown(data):
                return data
        select.select([], [], [], 0.05)  # nothing tells when the page is there
    raise AssertionError("the page does not come")


@contextlib.contextmanager
def _typing(port):
    """Return a function that types into the page."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        key = base64.b64encode(bytes(16)).decode()
        connection.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b"101" in connection.recv(4096).splitlines()[0]
        yield lambda text: connection.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text.encode())


# What may go wrong.


def test_quit_ends_as_pdb_does(start):
    """The program ends with status 1; only the hits are counted."""
    terminal = start(*RUN, "program.py")
    terminal.wait()
    ended = terminal.quit()
    assert ended.count("stopwhen") == 1
    assert ended.endswith("stopwhen: 1 hit: x 1\n")
    assert terminal.status == 1


def test_control_c_interrupts_what_is_typed_and_what_runs(start):
    """At the prompt a command is given up; while the program runs, the prompt comes where it is."""
    program = """\
    import time
    x = 0
    x = 1
    while True:
        time.sleep(0.01)
        print("tick")
    """
    terminal = start(*RUN, "program.py", program=program)
    terminal.wait()
    terminal.child.sendintr()
    assert "--KeyboardInterrupt--" in terminal.wait()
    terminal.child.sendline("continue")
    terminal.wait("tick")
    terminal.child.sendintr()
    shown = terminal.wait()
    assert "Program interrupted" in shown
    assert re.search(r"program\.py\([456]\)<module>\(\)", shown)
    terminal.quit()
    assert terminal.status == 1


def test_control_c_in_pdb_with_watch_commands(start):
    """At each kind of prompt the command is given up; while the program runs, the prompt comes where it is."""
    program = """\
    import time
    x = 0
    while True:
        time.sleep(0.01)
        print("tick")
    """
    terminal = start("-m", "stopwhen.pdb", "program.py", program=program)
    terminal.wait()
    terminal.ask("watch x, new > 5")
    terminal.child.sendintr()
    assert "--KeyboardInterrupt--" in terminal.wait()
    terminal.child.sendline("unwatch")
    terminal.wait("Delete all watchpoints")
    terminal.child.sendintr()
    terminal.wait()
    terminal.child.sendline("commands w1")
    terminal.wait(r"\(com\) ")
    terminal.child.sendintr()
    terminal.wait()
    assert "changes x\n\tstop only if new > 5" in terminal.ask("watches")
    terminal.child.sendline("continue")
    terminal.wait("tick")
    terminal.child.sendintr()
    shown = terminal.wait()
    assert "Program interrupted" in shown
    assert re.search(r"program\.py\([345]\)<module>\(\)", shown)
    ended = terminal.end("quit")
    assert "Traceback" not in ended
    assert terminal.status == 0


def test_control_c_while_another_thread_is_at_the_prompt(start):
    """Who waits for its turn is interrupted where it is; its hit is told, and the prompt stays."""
    program = """\
    import threading
    x = 0
    go_on = threading.Event()
    def work():
        global x
        x = 1
        last = 1
    thread = threading.Thread(target=work)
    thread.start()
    go_on.wait()
    def wait():
        global x
        x = 2
        print("not", "reached")
    wait()
    """
    terminal = start(*RUN, "program.py", program=program)
    assert "program.py(7)work()" in terminal.wait()
    terminal.ask("!go_on.set()")
    _repeat(terminal, "p x", lambda answer: answer.splitlines()[-1] == "2")
    terminal.child.sendintr()
    shown = terminal.wait("KeyboardInterrupt\r\n")
    assert "Traceback" in shown
    assert "line 14, in wait" in shown
    assert "not reached" not in shown
    assert "stopwhen/" not in shown
    assert "x  1 -> 2" in shown
    terminal.ask("p x")
    terminal.end("continue")
    # As any program ends that Ctrl-C has ended: by the signal, or with 1 where pdb has taken the signal for itself.
    assert (terminal.status, terminal.child.signalstatus) in ((1, None), (None, signal.SIGINT))


def _repeat(terminal, command, is_answer):
    """Type a command until the answer is what is waited for."""
    assert any(is_answer(terminal.ask(command)) for _ in range(1000))


def test_a_stop_while_locks_are_held(start):
    """Who waits for a lock of the thread at the prompt gets it as that goes on, and then stops itself."""
    program = """\
    import threading
    x = 0
    lock = threading.Lock()
    at_hit = threading.Event()
    def holds():
        global x
        with lock:
            at_hit.set()
            x = 1
            last = 1
    def waits():
        global x
        at_hit.wait()
        with lock:
            x = 2
            last = 2
    threads = [threading.Thread(target=work) for work in (holds, waits)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("done", x)
    """
    terminal = start(*RUN, "program.py", program=program)
    assert "program.py(10)holds()" in terminal.wait()
    assert "True" in terminal.ask("p lock.locked()")
    assert "program.py(16)waits()" in terminal.ask("continue")
    assert "done 2" in terminal.end("continue")
    assert terminal.status == 0


def test_threads_come_to_the_prompt_one_by_one(start):
    """While one thread is at the prompt, and where it steps on, the others wait with their hits."""
    program = """\
    import threading
    x = 0
    lock = threading.Lock()
    def work(n):
        global x
        with lock:
            x = n
            own = n
        last = n
    threads = [threading.Thread(target=work, args=(n,), name=f"T{n}") for n in (1, 2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("done", x in (1, 2))
    """
    terminal = start(*RUN, "program.py", program=program)
    seen = []
    terminal.wait()
    for _ in range(2):
        seen.append(terminal.ask("p threading.current_thread().name").splitlines()[-1])
        if len(seen) == 1:
            terminal.ask("next")
            assert terminal.ask("p threading.current_thread().name").splitlines()[-1] == seen[0]
            assert "hit 2" in terminal.ask("continue")
    assert sorted(seen) == ["'T1'", "'T2'"]
    assert "done True" in terminal.end("continue")
    assert terminal.status == 0


def test_a_prompt_in_a_daemon_thread_does_not_keep_the_program(start):
    """When the main thread ends, the process ends, and leaves the terminal as it was."""
    program = """\
    import threading
    x = 0
    stopped = threading.Event()
    def work():
        global x
        x = 1
        stopped.set()
    threading.Thread(target=work, daemon=True).start()
    stopped.wait(1)
    print("main ends")
    """
    terminal = start(*RUN, "program.py", program=program)
    before = terminal.child.getecho()
    terminal.wait()
    terminal.wait("main ends")
    terminal.end()
    assert (terminal.status, before) == (0, True)


def test_a_stop_amid_an_import(start, tmp_path):
    """The prompt stands in the module that is imported; what is imported there can be."""
    (tmp_path / "settings.py").write_text("debug = False\nlevel = 1\n", encoding="utf-8")
    terminal = start("-m", "stopwhen", "run", "--scope", "settings", "--changes", "debug", "-c", "import settings")
    assert "settings.py(2)<module>()" in terminal.wait()
    terminal.ask("import decimal")
    assert "Decimal" in terminal.ask("p decimal.Decimal(1)")
    terminal.end("continue")
    assert terminal.status == 0


def test_a_stop_amid_the_import_of_what_the_debugger_needs(start):
    """The debugger cannot be opened there: this is said, the hit is told, and the program goes on."""
    options = ("-m", "stopwhen", "run", "--scope", "codeop", "--changes", "PyCF_DONT_IMPLY_DEDENT", "--hits", "1")
    terminal = start(*options, "-c", "import codeop; print('end')")
    shown = terminal.end()
    assert "[no-debugger]" in shown
    assert "PyCF_DONT_IMPLY_DEDENT changed" in shown
    assert shown.endswith("end\nstopwhen: 1 hit: PyCF_DONT_IMPLY_DEDENT 1\n")
    assert terminal.status == 0


@pytest.mark.parametrize("options", [(), ("-s",)], ids=["captured", "not captured"])
def test_in_a_test_the_prompt_is_pytests(start, tmp_path, options):
    """pytest gives the terminal back for the prompt, and captures on after `continue`."""
    (tmp_path / "test_program.py").write_text(
        "import stopwhen\n"
        "def test_it():\n"
        "    rows = []\n"
        "    with stopwhen.changes('rows'):\n"
        "        rows.append(1)\n"
        "        after = 1\n",
        encoding="utf-8",
    )
    terminal = start("-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_program.py")
    shown = terminal.wait()
    assert "rows changed" in shown
    assert "test_program.py(5)test_it()" in shown
    assert "[1]" in terminal.ask("p rows")
    assert "defined" in terminal.ask("p after")
    assert "1 passed" in terminal.end("continue")
