"""What functions of other tools change is never laid for certain to a line of the program that has not done it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from contract import Module, choose, mechanism_sets
from helpers import marked_lines
from recorder import Recorder
from stopwhen import Hit, env

pytestmark = pytest.mark.skipif(env.core is None, reason="needs the C module")

PROGRAM = """\
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
    def arm(watch):
        assert n >= 0
        watch(sys._getframe())
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

import sys
busy = True
"""
EXPRESSIONS = ("L", "G['x']", "S.x", "P.x")
MEDDLERS = ("callback", "meddle", "shared.<locals>.step")

mechanisms = pytest.mark.parametrize("mechanism", [one for one in mechanism_sets() if one not in {"recheck", "dictwatch"}])


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
    """Calls a callback, and returns nothing."""

    def __init__(self, callback: Callable[..., Any]) -> None:
        self._callback = callback

    def __call__(self, *arguments: Any) -> None:
        self._callback(*arguments)


TOOLS: dict[str, Callable[..., Any]] = {"trace": traced, "opcodes": traced_by_opcode, "profile": profiled}
if env.HAS_MONITORING:
    TOOLS |= {
        name: monitored(name)
        for name in (
            *("LINE", "INSTRUCTION", "PY_START", "PY_RESUME", "PY_RETURN", "PY_YIELD", "PY_UNWIND", "CALL", "C_RETURN"),
            *("C_RAISE", "RAISE", "EXCEPTION_HANDLED", "JUMP", "STOP_ITERATION", "BRANCH"),
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


def writer(module: Module, hit: Hit) -> str:
    """Return the mark of the line that a hit names for certain, the function if that has none; else what it may be."""
    where = hit.location
    assert where is not None
    marks = {line: mark for mark, line in marked_lines(module.path).items()}
    if not hit.exact:
        first, last = hit.between
        assert last == where
        return f"in {first.function.rpartition('.')[2]}" if "_Quiet" not in first.function else "in callback"
    return marks.get(where.lineno, where.function)


def outcome(module: Module, hits: Recorder) -> dict[str, list[str]]:
    """Return who is said to have changed each of the expressions, in order."""
    found: dict[str, list[str]] = {}
    for hit in hits.hits:
        found.setdefault(hit.watchpoint.expression.text, []).append(writer(module, hit))
    return found


PROGRAMS_OWN = {
    "L": ["append", "loop", "loop", "pop"],
    "G['x']": ["item"],
    "S.x": ["slot", "handler"],
    "P.x": ["attribute"],
}


@mechanisms
@tools
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tool_changes_data_at_each_of_its_events(module, monkeypatch, mechanism, tool, when):
    """At whichever event it does, its change is a hit of its own, and those of the program are as exact as without it."""
    choose(monkeypatch, mechanism)
    module.at = 0
    number = count = 0
    while number <= count:
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
        count = count or module.calls
        found = outcome(module, hits)
        told = {text: [one for one in said if one not in {"in callback", "meddle"}] for text, said in found.items()}
        assert told == PROGRAMS_OWN, (number, found)
        expected = 1 if number else 0
        for text, said in found.items():
            assert len(said) - len(told[text]) == expected, (number, text, found)
        number += 1
    assert number > 1
