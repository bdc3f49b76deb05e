"""Threads that write one piece of data as fast as they can: every write is seen, with the line and thread that made it."""

from __future__ import annotations

import queue
import sys
import threading

import pytest

import stopwhen
from contract import Module, choose, containers_tell, mechanism_sets
from helpers import marked_lines
from recorder import Recorder

THREADS = 4
WRITES = 500

NATIVE = [name for name in mechanism_sets() if name != "recheck"]
"""Pure Python is too slow to be given so many."""
COMPARING = [name for name in mechanism_sets() if name != "dictwatch"]


@pytest.fixture
def switching():
    """Let threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def program(write: str, first: str = "barrier.wait()") -> str:
    """Return a program in which each thread has a function of its own, with a line of its own that writes."""
    functions = [
        f"def work_{n}():\n    {first}\n    for i in range({WRITES}):\n        item = ({n}, i)\n        {write.replace('N', str(n))}  # @line_{n}\n"
        f"        other = [i]\n        other.append(item)\n"
        for n in range(THREADS)
    ]
    return "\n".join(functions)


def run_threads(module: Module) -> None:
    """Run all the functions at once."""
    threads = [threading.Thread(target=getattr(module, f"work_{n}"), name=f"thread {n}") for n in range(THREADS)]
    for thread in threads:
        thread.start()
    module.barrier.wait()
    for thread in threads:
        thread.join()


def written_by(hits: Recorder, module: Module) -> list[tuple[int, int]]:
    """Return the items written, in order, after checking that each hit names the line and the thread of its item."""
    lines = marked_lines(module.path)
    written = []
    for one in hits.hits:
        (item,) = one.change.inserted
        number = item[0]
        assert (one.location.lineno, one.thread) == (lines[f"line_{number}"], f"thread {number}"), one
        assert one.location.function == f"work_{number}"
        assert one.exact, one.between
        written.append(item)
    return written


EVERY_WRITE = sorted((n, i) for n in range(THREADS) for i in range(WRITES))


@pytest.mark.parametrize("mechanism", [name for name in NATIVE if name != "dictwatch"])
@pytest.mark.parametrize(
    "write",
    ["L.append(item)", "same = L; same += [item]", "L.insert(0, item)", "push(item)", "list(map(push, [item]))"],
)
def test_appending_threads(write, mechanism, tmp_path, monkeypatch, switching):
    """The item tells which thread it came from."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.barrier = threading.Barrier(THREADS + 1)
    module.run("L = []\npush = L.append\n" + program(write))
    with Recorder() as hits:
        watchpoint = hits.changes("L", scope=module)
        run_threads(module)
    assert sorted(written_by(hits, module)) == EVERY_WRITE
    assert watchpoint.count == THREADS * WRITES


@pytest.mark.parametrize("mechanism", [name for name in NATIVE if name != "dictwatch"])
@pytest.mark.parametrize("write", ["item = L[0] = N, i", "L[0] = item = N, i", "L[0] = (N, i)"])
def test_threads_whose_loops_end_with_the_write(write, mechanism, tmp_path, monkeypatch, switching):
    """The jump back, on the line that wrote, lets another thread run."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.barrier, module.WRITES = threading.Barrier(THREADS + 1), 4 * WRITES
    functions = [
        f"def work_{n}():\n    barrier.wait()\n    for i in range(WRITES):\n        {write.replace('N', str(n))}  # @line_{n}\n"
        for n in range(THREADS)
    ]
    module.run("L = [None]\n" + "\n".join(functions))
    with Recorder() as hits:
        watchpoint = hits.changes("L", scope=module)
        run_threads(module)
    lines = marked_lines(module.path)
    for one in hits.hits:
        ((writer, _number),) = one.change.inserted
        assert (one.location.lineno, one.thread, one.exact) == (lines[f"line_{writer}"], f"thread {writer}", True), one
    assert watchpoint.count == THREADS * 4 * WRITES


@pytest.mark.parametrize("mechanism", [name for name in NATIVE if name != "dictwatch"])
@pytest.mark.parametrize("number", range(20))
def test_threads_that_write_as_soon_as_they_run(number, mechanism, tmp_path, monkeypatch, switching):
    """Before whoever started them goes on."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run("L = []\n" + program("L.append(item)", first="pass").replace(f"range({WRITES})", "range(3)"))
    threads = [threading.Thread(target=getattr(module, f"work_{n}"), name=f"thread {n}") for n in range(THREADS)]
    with Recorder() as hits:
        hits.changes("L", scope=module)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(written_by(hits, module)) == [(n, i) for n in range(THREADS) for i in range(3)]


@pytest.mark.parametrize("mechanism", NATIVE)
@pytest.mark.parametrize("write", ["d[item] = item", "d.update({item: item})", "d.setdefault(item, item)"])
def test_threads_that_fill_a_dict(write, mechanism, tmp_path, monkeypatch, switching):
    """Likewise with the items of a dict."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.barrier = threading.Barrier(THREADS + 1)
    module.run("d = {'first': 0}\n" + program(write))
    with Recorder() as hits:
        watchpoint = hits.changes("d", scope=module)
        run_threads(module)
    assert sorted(written_by(hits, module)) == EVERY_WRITE
    assert watchpoint.count == THREADS * WRITES


@pytest.mark.parametrize("mechanism", NATIVE)
@pytest.mark.parametrize("write", ["x = item", "globals()['x'] = item", "globals().update(x=item)"])
def test_threads_that_rebind_a_global(write, mechanism, tmp_path, monkeypatch, switching):
    """The old value of each hit is the new one of the hit before."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.barrier = threading.Barrier(THREADS + 1)
    source = program(write)
    module.run("x = None\n" + (source.replace("    barrier.wait()", "    global x\n    barrier.wait()")))
    with Recorder() as hits:
        hits.changes("x", scope=module)
        run_threads(module)
    assert sorted(written_by(hits, module)) == EVERY_WRITE
    in_order = sorted(hits.hits, key=lambda one: one.count)
    assert [one.old for one in in_order[1:]] == [one.new for one in in_order[:-1]]


@pytest.mark.parametrize("mechanism", [name for name in NATIVE if name != "dictwatch"])
def test_threads_that_set_an_attribute(mechanism, tmp_path, monkeypatch, switching):
    """Likewise with an attribute and with a slot, each watched on its own."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.barrier = threading.Barrier(THREADS + 1)
    module.run("class C: __slots__ = 'v'\no = C(); o.v = None\n" + program("o.v = item"))
    with Recorder() as hits:
        hits.changes("o.v", scope=module)
        run_threads(module)
    assert sorted(written_by(hits, module)) == EVERY_WRITE


@pytest.mark.parametrize("mechanism", NATIVE)
@pytest.mark.parametrize("write", ["o.__dict__ = {'v': item}", "setattr(o, '__dict__', {'v': item})"])
def test_threads_that_replace_an_attribute_dict(write, mechanism, tmp_path, monkeypatch, switching):
    """Each value is that of the dict which the named thread stored, whatever the others have stored since."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.barrier = threading.Barrier(THREADS + 1)
    module.run("class C: pass\no = C(); o.v = None\n" + program(write))
    with Recorder() as hits:
        hits.changes("o.v", scope=module)
        run_threads(module)
    assert sorted(written_by(hits, module)) == EVERY_WRITE
    in_order = sorted(hits.hits, key=lambda one: one.count)
    assert [one.old for one in in_order[1:]] == [one.new for one in in_order[:-1]]


@pytest.mark.parametrize("mechanism", NATIVE)
def test_threads_that_do_not_write_have_no_hits(mechanism, tmp_path, monkeypatch, switching):
    """Busy bystanders are never blamed."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.barrier = threading.Barrier(THREADS + 1)
    source = program("if N == 0: d[item] = item\n        mine = [item]; mine.append(1); mine.pop(); mine[0] = i")
    module.run("d = {'first': 0}\n" + source)
    with Recorder() as hits:
        hits.changes("d", scope=module)
        run_threads(module)
    assert {one.thread for one in hits.hits} == {"thread 0"}
    assert len(hits.hits) == WRITES


BLOCKED = """\
import socket, threading
near, far = socket.socketpair()
ready, done, gate = threading.Event(), threading.Event(), threading.Lock()
gate.acquire()
data = bytearray(4)

def receive():
    near.recv_into(data)  # @receive
    done.set()

def bystand():
    L = [i for i in range(10)]
    L.append(len(L))
    far.send(b"abcd")
    gate.acquire()
"""


@pytest.mark.parametrize("mechanism", [name for name in NATIVE if name != "dictwatch"])
@pytest.mark.parametrize("number", range(5))
def test_who_waits_for_something_is_not_blamed(number, mechanism, tmp_path, monkeypatch):
    """A thread writes once it has waited, without having the GIL; others have run meanwhile, and wait now."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run(BLOCKED)
    with Recorder() as hits, module.near, module.far:
        hits.changes("data", scope=module)
        threads = [threading.Thread(target=run, name=run.__name__) for run in (module.receive, module.bystand)]
        for thread in threads:
            thread.start()
        module.done.wait()
        module.gate.release()
        for thread in threads:
            thread.join()
    (one,) = hits.hits
    if one.exact:
        assert (one.location.lineno, one.thread) == (marked_lines(module.path)["receive"], "receive")
    else:  # it was seen before `recv_into` had returned, by a thread that was doing something of its own
        assert marked_lines(module.path)["receive"] in {place.lineno for place in one.between}


@pytest.mark.parametrize("mechanism", [name for name in NATIVE if name != "dictwatch"])
def test_a_tool_lets_others_run_before_the_write(mechanism, tmp_path, monkeypatch):
    """A tracer's function waits right before the line that writes, while another thread runs and then waits in C code."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run(BLOCKED + "L = [2, 1]\ndef write():\n    L.sort()  # @write\n")
    line = marked_lines(module.path)["write"]

    def trace(frame, kind, argument):
        if kind == "line" and frame.f_lineno == line:
            module.ready.set()
            module.near.recv(4)  # what the bystander sends, who goes on to wait for the gate
        return trace

    with Recorder() as hits, module.near, module.far:
        hits.changes("L", scope=module)
        bystander = threading.Thread(target=lambda: (module.ready.wait(), module.bystand()))
        bystander.start()
        threading.settrace(trace)
        try:
            writer = threading.Thread(target=module.write, name="writer")
            writer.start()
            writer.join()
        finally:
            threading.settrace(None)
        module.gate.release()
        bystander.join()
    (one,) = hits.hits
    assert (one.location.lineno, one.thread) == (line, "writer")


SLOW = {
    "a list": ("[]", "x.extend(map(feed.get, [True] * 20))"),
    "in place": ("[]", "x += map(feed.get, [True] * 20)"),
    "a method of its own": ("[]", "collections.deque(map(x.append, map(feed.get, [True] * 20)), maxlen=0)"),
    "a deque": ("collections.deque()", "x.extend(map(feed.get, [True] * 20))"),
    "a set": ("set()", "x.update(zip(range(20), map(feed.get, [True] * 20)))"),
    "a dict": ("{}", "x.update(zip(range(20), map(feed.get, [True] * 20)))"),
}
"""Calls that wait, without the interpreter's lock, for each of the items that they add."""
BESIDE = ["n = len('x')", "other.append(0)", "others.update({0: 0})", "fill()", "waiting.acquire(False)"]


@pytest.mark.parametrize("mechanism", COMPARING)
@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("kind", SLOW)
def test_a_call_that_lets_others_run_amid_its_changes(kind, beside, mechanism, tmp_path, monkeypatch):
    """No line of the others is named for certain, whatever they do meanwhile, and its own is named in each case."""
    choose(monkeypatch, mechanism)
    made, statement = SLOW[kind]
    module = Module(tmp_path)
    module.fill = [].copy
    module.run(
        f"import collections, threading\nx = {made}\nother = []\nothers = {{}}\nwaiting = threading.Lock()\n"
        f"def work():\n    global x\n    {statement}  # @write\n"
        f"def watch():\n    while thread.is_alive():\n        give(None)\n        for i in range(30):\n            {beside}\n"
    )
    for starts_before in (False, True):
        module.x.clear()
        module.feed = queue.SimpleQueue()
        module.give = module.feed.put
        module.thread = threading.Thread(target=module.work)
        with Recorder() as hits:
            if starts_before:
                module.thread.start()
            hits.changes("x", scope=module)
            if not starts_before:
                module.thread.start()
            module.watch()
            module.thread.join()
        line = marked_lines(module.path)["write"]
        for one in hits.hits:
            if one.exact or mechanism != "recheck":  # which does not always know of whom to say so
                if starts_before and containers_tell(mechanism) and not one.exact:
                    continue  # a call that has begun before tells nothing: it is found later, and named by nobody
                places = [one.location] if one.exact else one.between
                assert line in [place.lineno for place in places if place.filename == str(module.path)], one.between
        assert starts_before or hits.hits


WRITERS = {
    "list": ("x = []", "x.append(0); x.pop()", "x", None),
    "dict": ("x = {}", "x[1] = x.get(1, 0) + 1; x[2] = 0", "x", None),
    "attribute": ("class C: pass\nx = C()", "x.value = object(); x.value = None", "x.value", None),
    "class": ("class C: pass", "C().value = 1; C().value = 2", "self.value", "C"),
    "loop": ("x = []", "while len(x) < 9: x.append(0)\n    x.clear()", "x", None),
}


@pytest.mark.parametrize("mechanism", COMPARING)
@pytest.mark.parametrize("kind", WRITERS)
def test_watching_begins_while_threads_write(kind, mechanism, tmp_path, monkeypatch, switching):
    """What they change before they have had an event is laid to no other thread for certain."""
    choose(monkeypatch, "default" if mechanism == "monitoring" and kind == "class" else mechanism)
    made, statement, expression, scope = WRITERS[kind]
    module = Module(tmp_path)
    module.done = False
    module.run(f"{made}\ndef work():\n    {statement}\ndef run():\n    while not done: work()\ndef rest(): pass\n")
    # In pure Python, what two of them undo of each other's work may escape the look of the one that did it.
    threads = [threading.Thread(target=module.__dict__["run"]) for _ in range(1 if mechanism == "recheck" else 2)]
    for thread in threads:
        thread.start()
    wrong = []
    try:
        for _ in range(6):
            where = module if scope is None else getattr(module, scope)
            with stopwhen.changes(expression, scope=where, action="count") as watchpoint:
                for _ in range(100):
                    module.rest()
            wrong += [one for one in watchpoint.hits if one.exact and one.thread_id == threading.get_ident()]
    finally:
        module.done = True
        for thread in threads:
            thread.join()
    assert not wrong
