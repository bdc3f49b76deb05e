"""What C code changes in a thread that runs no Python code is never laid to a line of another thread for certain."""

from __future__ import annotations

import sys
import threading

import pytest

import stopwhen
from contract import Module, choose, containers_tell, mechanism_sets
from helpers import marked_lines, run_program
from recorder import Recorder
from stopwhen import env, session
from stopwhen.mechanisms import VARIABLE
from stopwhen.mechanisms import recheck as recheck_module

ALL = mechanism_sets()
COMPARING = [name for name in ALL if name != "dictwatch"]
NATIVE = [name for name in COMPARING if name != "recheck"]

APPENDING = """
import _thread, operator
def f():
    {start}  # @start
    while {waits}:
        n = len("x")
    {then}  # @after
f()
"""


def appending(start: str) -> str:
    return APPENDING.format(start=start, waits="not L", then="L.append(2)")


@pytest.mark.parametrize("mechanism", COMPARING)
@pytest.mark.parametrize(
    "start",
    [
        "_thread.start_new_thread(L.append, (1,))",
        "_thread.start_new_thread(list.append, (L, 1))",
        "_thread.start_new_thread(operator.iadd, (L, [1]))",
        "start = _thread.start_new_thread; start(list, (map(L.append, [1]),))",
    ],
)
def test_a_thread_that_runs_a_c_function_alone(start, mechanism, tmp_path, monkeypatch):
    """No line is certain: the text says where that thread was started, or that no line of Python's did it."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run("L = []\n")
    with Recorder() as hits:
        hits.changes("L", scope=module)
        module.run(appending(start))
    first, *others = hits.hits
    lines = marked_lines(module.path)
    assert (first.old_text, first.new_text[:2]) == ("[]", "[1")  # another thread may have gone on when it is read
    if containers_tell(mechanism):
        assert first.location is None
    else:
        assert not first.exact
        assert lines["start"] in [place.lineno for place in first.between]
    assert [one.location.lineno for one in others] == [lines["after"]]


@pytest.mark.parametrize("mechanism", ALL)
def test_such_a_thread_writes_an_item_of_a_dict(mechanism, tmp_path, monkeypatch):
    """A dict watcher knows that nobody's line did it; the action runs although that thread is gone."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run("d = {}\n")
    with Recorder() as hits:
        watchpoint = hits.changes("d", scope=module)
        start = "_thread.start_new_thread(operator.setitem, (d, 1, 1))"
        module.run(APPENDING.format(start=start, waits="not d", then="d[2] = 2"))
    first, second = hits.hits
    assert (first.old_text, first.new_text[:5]) == ("{}", "{1: 1")  # the other thread may have gone on meanwhile
    assert (first.location is None) == (first.mechanism == "dictwatch")
    assert first.location is None or not first.exact
    assert first.thread_id != threading.get_ident() or first.location is not None
    assert second.location.lineno == marked_lines(module.path)["after"]
    assert watchpoint.count == 2


@pytest.mark.skipif(not env.core or not env.HAS_MONITORING, reason="needs dict watchers")
def test_what_has_no_frame_raises_nothing_but_is_reported(tmp_path, monkeypatch):
    """Another thread, which did nothing, goes on."""
    said, shown = [], []
    monkeypatch.setattr(session.current().output, "say", said.append)
    monkeypatch.setattr(session.current().output, "show", shown.append)
    module = Module(tmp_path)
    module.run("d = {}\n")
    with stopwhen.changes("d", scope=module, action="raise"):
        start = "_thread.start_new_thread(operator.setitem, (d, 1, 1))"
        module.run(APPENDING.format(start=start, waits="not d", then="n = 0"))
    assert [hit.location for hit in shown] == [None]
    assert [text.rpartition("[")[2] for text in said] == ["no-frame]"]


@pytest.mark.parametrize("mechanism", NATIVE)
def test_a_thread_that_runs_python_code_is_certain(mechanism, tmp_path, monkeypatch):
    """Such a thread, started the same way, is known by its events; so are the others while it begins."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run("L = []\n")
    with Recorder() as hits:
        hits.changes("L", scope=module)
        module.run(
            "import _thread\n"
            "lock = _thread.allocate_lock(); lock.acquire()\n"
            "def work():\n    L.append(1)  # @work\n    lock.release()\n"
            "for _ in range(20):\n"
            "    _thread.start_new_thread(work, ())\n    L.append(2)  # @starts\n    lock.acquire()\n"
        )
    lines = marked_lines(module.path)
    named = [(one.location.lineno, one.exact) for one in hits.hits]
    assert sorted(named) == sorted([(lines["work"], True), (lines["starts"], True)] * 20)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs pthreads")
@pytest.mark.parametrize("mechanism", NATIVE)
def test_a_thread_that_c_code_has_started(mechanism, tmp_path, monkeypatch):
    """It comes and goes within one instruction, which is blamed, but not for certain."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run(
        "import ctypes\nL = []\nlibc = ctypes.CDLL(None)\nhandle = ctypes.c_ulong()\n"
        "libc.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]\n"
    )
    with Recorder() as hits:
        hits.changes("L", scope=module)
        module.run(
            "push = ctypes.CFUNCTYPE(None, ctypes.c_int)(L.append)\n"
            "libc.pthread_create(ctypes.byref(handle), None, push, None)\n"
            "libc.pthread_join(handle.value, None)\n"
            "L.append(2)  # @after\n"
        )
    first, second = hits.hits
    assert first.location is None or not first.exact
    assert (second.location.lineno, second.exact) == (marked_lines(module.path)["after"], True)


@pytest.mark.parametrize("mechanism", COMPARING)
def test_a_c_function_runs_at_exit(mechanism):
    """Before a Python function, or as the last of all: no Python frame has done it."""
    program = """
    import atexit, stopwhen
    L, d = [], {}
    def told(hit):
        print(hit.watchpoint.expression.text, hit.location and hit.location.lineno, hit.exact, flush=True)
    def bye():
        L.append(2)
    atexit.register(L.append, 3)
    atexit.register(bye)
    atexit.register(L.append, 1)
    atexit.register(d.update, {1: 1})
    stopwhen.changes("L", action=told)
    stopwhen.changes("d", action=told)
    """
    done = run_program(program, env={VARIABLE: "" if mechanism == "default" else mechanism})
    assert (done.stderr, done.status) == ("", 0)
    # The order of what no event separates is open.
    assert sorted(done.stdout.splitlines()) == ["L 7 True", "L None True", "L None True", "d None True"]


@pytest.mark.parametrize("mechanism", NATIVE)
def test_a_thread_has_a_name_of_its_own_where_threading_is_not_imported(mechanism):
    """Only the main thread is called so."""
    program = """
    import _thread, sys, stopwhen
    L = []
    lock = _thread.allocate_lock(); lock.acquire()
    def work():
        L.append(1)
        lock.release()
    with stopwhen.changes("L", action="count") as watchpoint:
        _thread.start_new_thread(work, ())
        lock.acquire()
        L.append(2)
    names = [hit.thread for hit in watchpoint.hits]
    print("threading" in sys.modules, names[0].startswith("Thread-"), names[1])
    """
    done = run_program(program, env={VARIABLE: "" if mechanism == "default" else mechanism})
    assert (done.stdout, done.stderr) == ("False True MainThread\n", "")


def test_what_runs_amid_a_look_in_python_is_not_certain(tmp_path, monkeypatch):
    """A signal handler, or a finaliser, that the interpreter runs while pure Python compares, has no events."""
    choose(monkeypatch, "recheck")
    module = Module(tmp_path)
    module.run("L = []\n")
    look_ahead = recheck_module.Recheck.look_ahead
    pending = [1]

    def interrupted(recheck, frame, offset):
        look_ahead(recheck, frame, offset)
        if frame.f_code.co_name == "f" and pending:
            module.L.append(pending.pop())

    monkeypatch.setattr(recheck_module.Recheck, "look_ahead", interrupted)
    with Recorder() as hits:
        hits.changes("L", scope=module)
        module.run("def f():\n    n = 0\n    return n\nf()\nL.append(2)  # @after\n")
    first, second = hits.hits
    assert (first.new_text, first.exact) == ("[1]", False)
    assert (second.location.lineno, second.exact) == (marked_lines(module.path)["after"], True)


def test_that_threading_is_imported_starts_no_thread():
    """It gives the functions that do names of its own; that is no reason to doubt the lines that follow."""
    program = "x = 1\nimport threading\nx = 2\n"
    found = run_program(program, stopwhen=["--changes", "x", "--action", "log"], env={"STOPWHEN_PURE": "1"})
    assert [line.strip() for line in found.stderr.splitlines() if " | " in line] == ["1 | x = 1", "3 | x = 2"]
