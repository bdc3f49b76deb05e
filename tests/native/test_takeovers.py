"""What somebody takes away from stopwhen is told once, and watching goes on; nothing raises or dies in silence."""

from __future__ import annotations

import ctypes
import sys
import types

import pytest

import stopwhen
from stopwhen import env, session

needs_core = pytest.mark.skipif(env.core is None, reason="needs the C module")
needs_monitoring = pytest.mark.skipif(not env.HAS_MONITORING, reason="sys.monitoring is there from Python 3.12 on")
needs_watchers = pytest.mark.skipif(not env.HAS_DICT_WATCHERS, reason="dict watchers are there from Python 3.12 on")

PROGRAM = """
rows, n, table, state = [], 0, {}, {"mode": 0}

class Thing:
    def __init__(self, x):
        self.x = x

class Slotted:
    __slots__ = ("y",)

thing, slotted = Thing(0), Slotted()

def work(k):
    local = k
    shared = k
    def reader():
        return shared
    shared = k + 1
    return local

def change(k):
    global n
    rows.append(k)
    n = k
    table[k] = k
    state["mode"] = k
    thing.x = k
    slotted.y = k
    work(k)
"""

WATCHED = {
    "rows": {},
    "n": {},
    "table": {},
    "state['mode']": {},
    "thing.x": {},
    "slotted.y": {},
    "self.x": {"scope": "Thing"},
    "local": {"scope": "work"},
    "shared": {"scope": "work"},
}


def ours():
    return next(tool for tool in (3, 4) if sys.monitoring.get_tool(tool) == "stopwhen")


def every_local(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from every_local(constant)


def free():
    sys.monitoring.free_tool_id(ours())


def free_all():
    for tool in range(6):
        if sys.monitoring.get_tool(tool) == "stopwhen":
            sys.monitoring.free_tool_id(tool)


def free_and_take():
    tool = ours()
    sys.monitoring.free_tool_id(tool)
    sys.monitoring.use_tool_id(tool, "theirs")
    yield
    sys.monitoring.free_tool_id(tool)


def take():
    tool = ours()
    sys.monitoring.use_tool_id(tool, "theirs")
    yield
    sys.monitoring.free_tool_id(tool)


def clear():
    sys.monitoring.clear_tool_id(ours())


def register(event="INSTRUCTION"):
    number, tool = getattr(sys.monitoring.events, event), ours()
    sys.monitoring.register_callback(tool, number, lambda *_args: None)
    yield
    sys.monitoring.register_callback(tool, number, None)


def register_start():
    yield from register("PY_START")


def set_nothing():
    sys.monitoring.set_events(ours(), 0)


def set_nothing_local():
    for code in every_local(COMPILED):
        sys.monitoring.set_local_events(ours(), code, 0)


def restart():
    sys.monitoring.restart_events()


def clear_watchers():
    for watcher in WATCHERS:
        try:
            ctypes.pythonapi.PyDict_ClearWatcher(watcher)
        except (RuntimeError, ValueError):
            pass


def unwatch():
    import gc

    for found in gc.get_objects():
        if type(found) is dict:
            for watcher in WATCHERS:
                try:
                    ctypes.pythonapi.PyDict_Unwatch(watcher, ctypes.py_object(found))
                except (RuntimeError, ValueError):
                    pass


WATCHERS = range(0 if sys.version_info < (3, 13) else 2 if sys.version_info < (3, 15) else 3, 8)
"""The dict watcher ids that are not the interpreter's own."""

COMPILED = compile(PROGRAM, "program.py", "exec")

TAKES = "free free_all free_and_take clear register register_start set_nothing set_nothing_local".split()
ASKS = ("take", "restart")


@pytest.fixture
def said(monkeypatch):
    """Return the texts that are said."""
    texts = []
    monkeypatch.setattr(session.current().output, "say", texts.append)
    monkeypatch.setattr(session.current(), "_told_of_takeovers", set())
    return texts


@pytest.fixture
def program():
    """Return the names of a program, and its watchpoints."""
    names = {"__name__": "program"}
    exec(COMPILED, names)
    watchpoints = {}
    for text, options in WATCHED.items():
        scope = names[options["scope"]] if options else names
        watchpoints[text] = stopwhen.changes(text, scope=scope, action="count")
    yield names, watchpoints
    for one in watchpoints.values():
        one.remove()
    assert stopwhen.watchpoints() == []


def run_taker(taker):
    """Run it; what it yields for is done when the test is over."""
    result = taker()
    if result is not None:
        next(result)
    return result


def end_taker(running):
    if running is not None:
        next(running, None)


def changed(program, k):
    """Return how many hits each watchpoint has by one round of changes."""
    names, watchpoints = program
    before = {text: one.count for text, one in watchpoints.items()}
    names["change"](k)
    return {text: one.count - before[text] for text, one in watchpoints.items()}


@needs_core
@needs_monitoring
@pytest.mark.parametrize("name", [*TAKES, *ASKS])
def test_nothing_is_missed_when_the_tool_id_is_taken(program, said, name):
    """It is told at the call that takes it, and all is armed anew by another id."""
    if name == "clear" and not hasattr(sys.monitoring, "clear_tool_id"):
        pytest.skip("clear_tool_id() is there from Python 3.14 on")
    first = changed(program, 1)
    running = run_taker(globals()[name])
    try:
        assert changed(program, 2) == first
        assert changed(program, 3) == first
        if name in ASKS:
            assert said == []
        else:
            assert len(said) == 1 or name == "free_all"
            assert all("[taken-away]" in text and "recheck on monitoring events" in text for text in said)
        for one in program[1].values():
            one.remove()
    finally:
        end_taker(running)


@needs_core
@needs_watchers
@pytest.mark.parametrize("taker", [clear_watchers, unwatch])
def test_a_watcher_that_is_taken_is_told_at_the_next_call_or_hit(program, said, taker):
    """Nobody tells of it: what changed meanwhile may have been missed, and that is said."""
    first = changed(program, 1)
    taker()
    changed(program, 2)
    stopwhen.watchpoints()
    assert len(said) == 1
    assert "a change of 'rows', 'n', 'table' and 6 more may have been missed" in said[0]
    assert "[taken-away]" in said[0]
    assert changed(program, 3) == first


@needs_core
@needs_watchers
@pytest.mark.parametrize("taker", [clear_watchers, unwatch])
def test_a_watcher_that_is_taken_is_told_at_the_end(said, taker):
    """Closing finds it, and raises nothing."""
    names = {"n": 0, "tracked": []}
    stopwhen.changes("n", scope=names, action="count")
    taker()
    names["n"] = 1
    session.current().close()
    assert len(said) == 1
    assert "a change of 'n' may have been missed" in said[0]


@needs_monitoring
@pytest.mark.parametrize("name", ["free", "free_and_take", "clear", "register", "set_nothing"])
def test_the_recheck_in_pure_python_tells_at_the_next_call(monkeypatch, said, name):
    """It has no way to learn of it before."""
    if name == "clear" and not hasattr(sys.monitoring, "clear_tool_id"):
        pytest.skip("clear_tool_id() is there from Python 3.14 on")
    monkeypatch.setenv("STOPWHEN_MECHANISM", "recheck")
    names = {"n": 0}
    watchpoint = stopwhen.changes("n", scope=names, action="count")
    running = run_taker(globals()[name])
    try:
        names["n"] = 1
        assert stopwhen.watchpoints() == [watchpoint]
        assert len(said) == 1
        assert "a change of 'n' may have been missed" in said[0]
        names["n"] = 2
        assert watchpoint.count >= 1
        watchpoint.remove()
    finally:
        end_taker(running)
