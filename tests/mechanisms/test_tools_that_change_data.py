"""What functions of other tools change is never laid for certain to a line of the program that has not done it."""

from __future__ import annotations

import cProfile
import io
import pdb
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from contract import Module, choose, containers_tell, mechanism_sets
from helpers import marked_lines
from recorder import Recorder
from stopwhen import Hit, env

pytestmark = pytest.mark.skipif(env.core is None, reason="needs the C module")

PROGRAM = """\
import stopwhen

class Slots:
    __slots__ = ("x",)

class Plain:
    pass

L, G, S, P = [], {"x": 0}, Slots(), Plain()
S.x = P.x = 0

def shared():
    n = 0
    def step(by):
        nonlocal n
        n = n + by  # @step
    def arm(action):
        assert n >= 0
        return stopwhen.changes("n", action=action)
    return step, arm

step, arm = shared()

def numbers():
    yield 1
    yield from (2,)

def fails():
    raise KeyError

def work():
    L.append(1)  # @append
    G["x"] = G["x"] + 1  # @item
    S.x = S.x + 1; y = len(L)  # @slot
    P.x += 1  # @attribute
    try:
        step(1)
        for one in numbers():
            L.append(one)  # @loop
        int("no")
    except ValueError:
        L.pop()  # @pop
    try:
        fails()
    except KeyError:
        S.x = 0  # @handler
    return y

at = calls = 0

def meddle():
    L.append(2)
    G["x"] = G["x"] + 100
    S.x = S.x + 100
    P.x += 100
    step(100)

def callback(*arguments):
    global calls
    if not busy:
        calls += 1
        if calls == at:
            meddle()
    return callback

busy = True
"""
EXPRESSIONS = ("L", "G['x']", "S.x", "P.x")

mechanisms = pytest.mark.parametrize(
    "mechanism", [one for one in mechanism_sets() if one not in {"recheck", "dictwatch"}]
)


@contextmanager
def traced(callback: Callable[..., Any]) -> Iterator[None]:
    """Run with a trace function."""
    before = sys.gettrace()
    sys.settrace(callback)
    try:
        yield
    finally:
        sys.settrace(before)


@contextmanager
def traced_by_opcode(callback: Callable[..., Any]) -> Iterator[None]:
    """Run with a trace function that asks for events of each instruction."""

    def trace(frame: Any, kind: str, argument: Any) -> Any:
        frame.f_trace_opcodes = True
        callback(frame, kind, argument)
        return trace

    trace.__qualname__ = "callback"
    trace.__code__ = trace.__code__.replace(co_name="callback", co_qualname="callback")
    with traced(trace):
        yield


@contextmanager
def profiled(callback: Callable[..., Any]) -> Iterator[None]:
    """Run with a profile function."""
    before = sys.getprofile()
    sys.setprofile(callback)
    try:
        yield
    finally:
        sys.setprofile(before)


def monitored(name: str, tool: int = 1) -> Callable[..., Any]:
    """Return a context in which a tool gets an event of sys.monitoring; those of calls in C come with CALL."""

    @contextmanager
    def context(callback: Callable[..., Any]) -> Iterator[None]:
        monitoring = sys.monitoring
        event = getattr(monitoring.events, name)
        monitoring.use_tool_id(tool, "test")
        try:
            monitoring.register_callback(tool, event, lambda *arguments: callback(*arguments) and None)
            monitoring.register_callback(tool, event, called := _Quiet(callback))
            monitoring.set_events(tool, monitoring.events.CALL if name in {"C_RETURN", "C_RAISE"} else event)
            yield
            assert monitoring.register_callback(tool, event, None) is called
        finally:
            monitoring.set_events(tool, 0)
            monitoring.register_callback(tool, event, None)
            monitoring.free_tool_id(tool)

    return context


class _Quiet:
    """Calls a callback, and returns nothing; not in threads of the test runner, which have events, too."""

    def __init__(self, callback: Callable[..., Any]) -> None:
        self._callback = callback
        self._others = sys._current_frames().keys() - {threading.get_ident()}

    def __call__(self, *arguments: Any) -> None:
        if threading.get_ident() not in self._others:
            self._callback(*arguments)


TOOLS: dict[str, Callable[..., Any]] = {"trace": traced, "opcodes": traced_by_opcode, "profile": profiled}
if env.HAS_MONITORING:
    TOOLS |= {
        name: monitored(name)
        for name in (
            *("LINE", "INSTRUCTION", "PY_START", "PY_RESUME", "PY_RETURN", "PY_YIELD", "PY_UNWIND", "CALL", "C_RETURN"),
            *("C_RAISE", "RAISE", "EXCEPTION_HANDLED", "JUMP", "BRANCH"),
        )
    }
    TOOLS["LINE by a tool before ours"] = monitored("LINE", 5)
    TOOLS["PY_START by a tool before ours"] = monitored("PY_START", 5)
    TOOLS["RAISE by a tool before ours"] = monitored("RAISE", 5)
    if sys.version_info >= (3, 14):
        del TOOLS["BRANCH"]
        TOOLS |= {name: monitored(name) for name in ("BRANCH_LEFT", "BRANCH_RIGHT")}

tools = pytest.mark.parametrize("tool", TOOLS)


@pytest.fixture
def module(tmp_path):
    """The program, loaded."""
    module = Module(tmp_path)
    module.run(PROGRAM)
    return module


def watch(hits: Recorder, module: Module) -> None:
    """Watch all that the program changes."""
    for expression in EXPRESSIONS:
        hits.changes(expression, scope=module)
    module.arm(hits)


OF_TOOLS = {"callback", "once", "_Quiet", "line", "begin"}


def writer(module: Module, hit: Hit) -> str:
    """Return the mark of the line that a hit names for certain, the function if that has none; else what it may be."""
    where = hit.location
    assert where is not None
    marks = {line: mark for mark, line in marked_lines(module.path).items()}
    if not hit.exact:
        first, last = hit.between
        assert last == where
        name = first.function.removesuffix(".__call__").rpartition(".")[2]
        return "the tool" if name in OF_TOOLS else f"in {name}"
    return "the tool" if where.function.rpartition(".")[2] in OF_TOOLS else marks.get(where.lineno, where.function)


def outcome(module: Module, hits: Recorder) -> dict[str, list[str]]:
    """Return who is said to have changed each of the expressions, in order."""
    found: dict[str, list[str]] = {}
    for hit in hits.hits:
        found.setdefault(hit.watchpoint.expression.text, []).append(writer(module, hit))
    return found


MOST_PLACES = 24
"""So many events of a tool are tried, at most, spread over all that it gets; other ones for each kind of tool."""

PROGRAMS_OWN = {
    "L": ["append", "loop", "loop", "pop"],
    "G['x']": ["item"],
    "S.x": ["slot", "handler"],
    "P.x": ["attribute"],
    "n": ["step"],
}


@mechanisms
@tools
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tool_changes_data_at_each_of_its_events(module, monkeypatch, mechanism, tool, when):
    """At whichever event it does, its change is a hit of its own, and those of the program are as exact as without it."""
    choose(monkeypatch, mechanism)
    numbers = [0]
    for number in numbers:
        module.at, module.calls, module.busy = number, 0, True
        with Recorder() as hits:
            if when == "after":
                watch(hits, module)
                module.busy = False
            with TOOLS[tool](module.callback):
                if when == "before":
                    watch(hits, module)
                    module.busy = False
                module.work()
                module.busy = True
        if number == 0:
            step = -(-module.calls // MOST_PLACES)
            numbers += range(1 + mechanism_sets().index(mechanism) % step, module.calls + 1, step)
        found = outcome(module, hits)
        told = {text: [one for one in said if one not in {"the tool", "meddle"}] for text, said in found.items()}
        assert told == PROGRAMS_OWN, (number, found)
        expected = 1 if number else 0
        for text, said in found.items():
            assert len(said) - len(told[text]) == expected, (number, text, found)
    assert len(numbers) > 1


LOCAL = """\
def work():
    total = 1  # @first
    total += 1  # @second
    total += 1  # @third
    return total
"""


@mechanisms
@pytest.mark.parametrize("tool", ["trace", "opcodes", "profile"])
def test_a_trace_function_stores_to_a_local(tmp_path, monkeypatch, mechanism, tool):
    """At whichever event it does, the program's own line is not blamed for that."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run(LOCAL)
    number = count = 0

    def callback(frame, _kind, _argument):
        nonlocal seen
        if frame.f_code is module.work.__code__:
            seen += 1
            if seen == number:
                frame.f_locals["total"] = 1000
        return callback

    while number <= count:
        seen = 0
        with Recorder() as hits:
            hits.changes("total", scope=module.work)
            with TOOLS[tool](callback):
                module.work()
        count = count or seen
        for hit in hits.hits:
            if hit.exact and hit.new_text == "1000":
                assert hit.location.function.endswith("callback"), (number, hit)
        own = [writer(module, hit) for hit in hits.hits if hit.exact and hit.new_text != "1000"]
        assert own == ["first", "second", "third"], (number, hits.hits)
        number += 1
    assert number > 1


LIST = """\
import sys

L, done = [], [1]

def work():
    done.clear()
    change()

def change():
    L.append(1)  # @append
    L.append(2)  # @again
    return L

def once(*arguments):
    if not done:
        done.append(1)
        L.append(0)
        act()
    return once

def act():
    pass
"""


@pytest.fixture
def simple(tmp_path):
    """A program with one list, and a function for tools that changes it once."""
    module = Module(tmp_path)
    module.run(LIST)
    return module


def check(module: Module, hits: Recorder) -> None:
    """See one change of the tool's, and both of the program's, exact."""
    found = [writer(module, hit) for hit in hits.hits]
    assert sorted(found) == ["again", "append", "the tool"], found


@mechanisms
@pytest.mark.parametrize("tool", [name for name in TOOLS if name in {"trace", "profile", "LINE", "PY_START", "CALL"}])
def test_a_tool_that_fails_in_its_callback(simple, monkeypatch, mechanism, tool):
    """The error is the program's as without us, and the tool is treated as without us."""
    choose(monkeypatch, mechanism)

    def fail():
        raise KeyError("tool")

    simple.act = fail
    with Recorder() as hits:
        hits.changes("L", scope=simple)
        with TOOLS[tool](simple.once):
            with pytest.raises(KeyError, match="tool"):
                simple.work()
            simple.change()
    check(simple, hits)


@mechanisms
@pytest.mark.parametrize("tool", [name for name in TOOLS if name in {"trace", "profile"}])
def test_a_tool_that_removes_itself_in_its_callback(simple, monkeypatch, mechanism, tool):
    """It is removed, and what it has changed is told."""
    choose(monkeypatch, mechanism)
    simple.act = lambda: (sys.settrace if tool == "trace" else sys.setprofile)(None)
    with Recorder() as hits:
        hits.changes("L", scope=simple)
        with TOOLS[tool](simple.once):
            simple.work()
            assert (sys.gettrace() if tool == "trace" else sys.getprofile()) is None
    check(simple, hits)


@mechanisms
@pytest.mark.parametrize("tool", [name for name in TOOLS if name in {"trace", "profile", "LINE", "PY_START", "CALL"}])
def test_a_callback_that_ends_watching(simple, monkeypatch, mechanism, tool):
    """What it changes before is told then and there, at the latest; nothing is left."""
    choose(monkeypatch, mechanism)
    with Recorder() as hits:
        watchpoint = hits.changes("L", scope=simple)
        simple.act = watchpoint.remove
        with TOOLS[tool](simple.once):
            simple.work()
        assert [writer(simple, hit) for hit in hits.hits] in ([], ["the tool"])
        assert env.core.armed() == 0


@mechanisms
@pytest.mark.parametrize("tool", [name for name in TOOLS if name in {"trace", "profile", "LINE", "PY_START", "CALL"}])
@pytest.mark.parametrize("more", [False, True])
def test_a_callback_that_begins_watching(simple, monkeypatch, mechanism, tool, more):
    """What it changes afterwards is not laid to the program, also where nothing was watched before."""
    choose(monkeypatch, mechanism)
    simple.other = []
    with Recorder() as hits:

        def begin():
            hits.changes("L", scope=simple)
            simple.L.append(0)

        simple.act = begin
        if more:
            hits.changes("other", scope=simple)
        with TOOLS[tool](simple.once):
            simple.work()
    first, *others = (writer(simple, hit) for hit in hits.hits)
    assert first in {"the tool", "in changes"}  # which `begin` has called before
    assert others in (["append", "again"], ["again"])


@mechanisms
@pytest.mark.parametrize("tool", [name for name in TOOLS if name in {"trace", "profile", "LINE", "PY_START", "CALL"}])
def test_a_tool_in_another_thread(simple, monkeypatch, mechanism, tool):
    """It is set there, and changes data there; the hits are that thread's."""
    choose(monkeypatch, mechanism)

    def run():
        with TOOLS[tool](simple.once):
            simple.work()

    with Recorder() as hits:
        hits.changes("L", scope=simple)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    check(simple, hits)
    assert {hit.thread for hit in hits.hits} == {thread.name}


@mechanisms
def test_threads_to_come_get_a_trace_function(simple, monkeypatch, mechanism):
    """As `threading.settrace` gives it to them."""
    choose(monkeypatch, mechanism)
    before = threading.gettrace()
    with Recorder() as hits:
        hits.changes("L", scope=simple)
        threading.settrace(simple.once)
        try:
            thread = threading.Thread(target=simple.work)
            thread.start()
            thread.join()
        finally:
            threading.settrace(before)
    check(simple, hits)


@mechanisms
@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs threading.settrace_all_threads")
def test_threads_that_run_get_a_trace_function(simple, monkeypatch, mechanism):
    """As `threading.settrace_all_threads` gives it to them."""
    choose(monkeypatch, mechanism)
    before = threading.gettrace()
    begun, go = threading.Event(), threading.Event()

    def run():
        begun.set()
        go.wait()
        simple.work()

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    with Recorder() as hits:
        hits.changes("L", scope=simple)
        threading.settrace_all_threads(simple.once)
        try:
            go.set()
            thread.join()
        finally:
            threading.settrace_all_threads(before)
    found = [writer(simple, hit) for hit in hits.hits]
    assert sorted(found) == ["again", "append", "the tool"], found


@mechanisms
def test_a_debugger_of_another_make_evaluates(simple, monkeypatch, mechanism):
    """What is typed at its prompt is done by its trace function, somewhere in that."""
    choose(monkeypatch, mechanism)
    debugger = pdb.Pdb(
        stdin=io.StringIO("next\nL.append(0)\nnext\nnext\ncontinue\n"), stdout=io.StringIO(), nosigint=True
    )
    before = sys.gettrace()
    with Recorder() as hits:
        hits.changes("L", scope=simple)
        try:
            debugger.runcall(simple.change)
        finally:
            sys.settrace(before)
    own = [hit for hit in hits.hits if writer(simple, hit) in {"append", "again"}]
    assert [writer(simple, hit) for hit in own] == ["append", "again"]
    (typed,) = (hit for hit in hits.hits if hit not in own)
    if containers_tell(mechanism):
        assert typed.location.filename == "<stdin>"
    else:
        assert typed.between[0].function.rpartition(".")[2] == "trace_dispatch"


if env.HAS_MONITORING:

    @mechanisms
    def test_a_callback_that_returns_disable(simple, monkeypatch, mechanism):
        """It is called once for each place, as without us."""
        choose(monkeypatch, mechanism)
        monitoring = sys.monitoring
        calls = []

        def line(code, number):
            if code is simple.change.__code__:
                calls.append(number)
                simple.once()
            return monitoring.DISABLE

        monitoring.use_tool_id(1, "test")
        try:
            monitoring.register_callback(1, monitoring.events.LINE, line)
            monitoring.set_events(1, monitoring.events.LINE)
            with Recorder() as hits:
                hits.changes("L", scope=simple)
                simple.work()
                simple.change()
        finally:
            monitoring.set_events(1, 0)
            monitoring.register_callback(1, monitoring.events.LINE, None)
            monitoring.free_tool_id(1)
            monitoring.restart_events()
        found = [writer(simple, hit) for hit in hits.hits]
        assert found.count("the tool") == 1
        assert sorted(set(found)) == ["again", "append", "the tool"]
        assert len(calls) == len(set(calls)) == 3

    @mechanisms
    def test_a_tool_gets_back_what_it_has_registered(simple, monkeypatch, mechanism):
        """Amid its own callback, too; no reference is kept or lost."""
        choose(monkeypatch, mechanism)
        monitoring = sys.monitoring
        register, line = monitoring.register_callback, monitoring.events.LINE
        got = []

        def first(_code, _number):
            got.append(register(1, line, second))

        def second(_code, _number):
            got.append(register(1, line, first))
            return monitoring.DISABLE

        before = sys.getrefcount(first), sys.getrefcount(second)
        monitoring.use_tool_id(1, "test")
        try:
            with Recorder() as hits:
                hits.changes("L", scope=simple)
                assert register(1, line, first) is None
                monitoring.set_events(1, line)
                simple.work()
                monitoring.set_events(1, 0)
                assert set(got) == {first, second}
                assert register(1, line, None) in (first, second)
                assert register(1, line, first) is None
            assert register(1, line, None) is first
        finally:
            monitoring.set_events(1, 0)
            register(1, line, None)
            monitoring.free_tool_id(1)
            monitoring.restart_events()
        got.clear()
        assert (sys.getrefcount(first), sys.getrefcount(second)) == before

    @mechanisms
    def test_a_tool_that_gives_its_id_back_in_its_callback(simple, monkeypatch, mechanism):
        """It is called no more, and nothing of ours is left in its place."""
        choose(monkeypatch, mechanism)
        monitoring = sys.monitoring
        line = monitoring.events.LINE

        def leave():
            monitoring.set_events(1, 0)
            monitoring.register_callback(1, line, None)
            monitoring.free_tool_id(1)

        simple.act = leave
        monitoring.use_tool_id(1, "test")
        with Recorder() as hits:
            hits.changes("L", scope=simple)
            monitoring.register_callback(1, line, simple.once)
            monitoring.set_events(1, line)
            simple.work()
        assert monitoring.get_tool(1) is None
        check(simple, hits)


@pytest.mark.skipif(not env.HAS_MONITORING, reason="needs dict watchers")
def test_what_a_callback_stores_in_a_dict_is_told_in_its_thread(tmp_path):
    """At its own line, for certain; the action is run as soon as the callback is done."""
    module = Module(tmp_path)
    module.run(
        "G, stages = {'x': 0}, []\n"
        "def work():\n"
        "    stages.append(1)\n"
        "    stages.append(2)\n"
        "    stages.append(3)\n"
        "def once(frame, event, argument):\n"
        "    if frame.f_code is work.__code__ and len(stages) == 1 and event == 'line':\n"
        "        G['x'] += 1  # @store\n"
        "    return once\n"
    )
    told = []

    def act(hit):
        told.append((hit.location.function, hit.exact, threading.current_thread(), len(module.stages)))

    def run():
        with traced(module.once):
            module.work()

    with Recorder() as hits:
        hits.changes("G['x']", scope=module, action=act)
        for _ in range(2):
            module.stages.clear()
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            assert told.pop() == ("once", True, thread, 1)
        assert not told


@mechanisms
def test_the_standard_profiler_runs_beside(simple, monkeypatch, mechanism):
    """It changes nothing of the program's: all hits are exact."""
    choose(monkeypatch, mechanism)
    profiler = cProfile.Profile()
    with Recorder() as hits:
        hits.changes("L", scope=simple)
        profiler.enable()
        simple.change()
        profiler.disable()
    assert [writer(simple, hit) for hit in hits.hits] == ["append", "again"]


def test_nothing_stands_before_tools_without_watchpoints(simple):
    """What sets their functions is what it was, and so it looks meanwhile."""
    names = [
        (sys, name) for name in ("setprofile", "_settraceallthreads", "_setprofileallthreads") if hasattr(sys, name)
    ]
    if env.HAS_MONITORING:
        names.append((sys.monitoring, "register_callback"))
    before = [(getattr(owner, name), repr(getattr(owner, name)), getattr(owner, name).__doc__) for owner, name in names]
    with Recorder() as hits:
        hits.changes("L", scope=simple)
        assert before == [
            (getattr(owner, name), repr(getattr(owner, name)), getattr(owner, name).__doc__) for owner, name in names
        ]
        with profiled(simple.once):
            assert sys.getprofile() is simple.once
            simple.work()
    check(simple, hits)
    simple.L.append(1)
    assert len(hits.hits) == 3
