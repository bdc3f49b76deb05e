"""Debuggers and other tools come and go beside the mechanisms, which go on seeing every change on its own line."""

from __future__ import annotations

import io
import pdb
import sys
import threading
from dataclasses import replace

import pytest

from contract import Module, choose, described, hit, mechanism_sets
from recorder import Recorder
from stopwhen import env

PROGRAM = """\
def change(n):
    L.append(n)  # @append
    L.append(n); y = 1  # @again
    G["x"] = n; z = 1  # @item
    return n
"""
ONCE = [hit("append"), hit("again"), hit("item")]

# On 3.11 the trace function is the one thing that recheck in Python and a debugger share: it is the debugger's then.
mechanisms = pytest.mark.parametrize(
    "mechanism", [one for one in mechanism_sets() if one != "recheck" or env.HAS_MONITORING]
)


@pytest.fixture
def subject(mechanism, tmp_path, monkeypatch):
    """A module with a function that makes three changes, which has run once, and the hits so far."""
    choose(monkeypatch, "default" if mechanism == "dictwatch" else mechanism)
    module = Module(tmp_path)
    module.L, module.G = [], {"x": 0}
    module.run(PROGRAM)
    with Recorder() as hits:
        hits.changes("L", scope=module)
        hits.changes("G['x']", scope=module)
        module.change(1)
        assert described(hits.hits, module.path) == ONCE
        hits.hits.clear()
        yield module, hits


def check(subject):
    """Make the changes once more, and see all three."""
    module, hits = subject
    module.change(len(module.L) + 1)
    assert described(hits.hits, module.path) == ONCE
    hits.hits.clear()


@mechanisms
@pytest.mark.parametrize("opcodes", [False, True])
def test_a_trace_function_comes_and_goes(subject, mechanism, opcodes):
    """With or without events for each instruction, it takes nothing from the mechanisms."""

    def trace(frame, kind, argument):
        frame.f_trace_opcodes = opcodes
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        check(subject)
    finally:
        sys.settrace(before)
    check(subject)


@mechanisms
def test_a_thread_sets_a_trace_function(subject, mechanism):
    """What it changes next is seen there, though the main thread only waits."""
    module, hits = subject
    events = []

    def work():
        sys.settrace(lambda frame, kind, argument: events.append(kind))
        module.change(2)
        sys.settrace(None)
        module.change(3)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    told = described(hits.hits, module.path)
    if mechanism == "recheck":  # the main thread may go on to wait between a write and the look after it
        told = [replace(one, mark=one.mark.removesuffix(" (inexact)")) for one in told]
    assert told == ONCE + ONCE
    assert mechanism == "recheck" or {one.thread for one in hits.hits} == {thread.name}
    assert "call" in events
    hits.hits.clear()


@mechanisms
def test_who_armed_it_is_traced_on(tmp_path, mechanism, monkeypatch):
    """A tracer sees the calls and returns of every frame, in pairs, also where watching begins and ends meanwhile."""
    choose(monkeypatch, "default" if mechanism == "dictwatch" else mechanism)
    depths = []

    def trace(frame, kind, argument):
        depths.append({"call": 1, "return": -1}.get(kind, 0))
        return trace

    def arm_and_change(module):
        with Recorder() as hits:
            hits.changes("L", scope=module)
            module.L.append(1)
        return len(hits.hits)

    module = Module(tmp_path)
    module.L = []
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = arm_and_change(module)
    finally:
        sys.settrace(before)
    assert (found, sum(depths)) == (1, 0)


@mechanisms
def test_pdb_steps_through_the_changes(subject, mechanism):
    """Stepping line by line, every change is still seen on its own line; so it is after `continue`."""
    _module, _hits = subject
    commands = "next\nstep\n" + 3 * "next\n" + "return\nnext\ncontinue\n"
    debugger = pdb.Pdb(stdin=io.StringIO(commands), stdout=io.StringIO(), nosigint=True, readrc=False)
    before = sys.gettrace()
    try:
        debugger.set_trace(sys._getframe())
        check(subject)
    finally:
        sys.settrace(before)
    check(subject)


if env.HAS_MONITORING:

    @mechanisms
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_tool_watches_the_same_instructions(subject, mechanism, when):
        """Its events, local or global, come and go without an effect on ours."""
        module, _hits = subject
        monitoring = sys.monitoring
        tool, instruction = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION
        calls = []
        monitoring.use_tool_id(tool, "test")
        try:
            monitoring.register_callback(tool, instruction, lambda *_: calls.append(1))
            if when == "before":
                monitoring.set_events(tool, instruction)
            monitoring.set_local_events(tool, module.change.__code__, instruction)
            check(subject)
            monitoring.set_local_events(tool, module.change.__code__, 0)
            check(subject)
            monitoring.set_events(tool, 0)
            check(subject)
            assert calls
        finally:
            monitoring.register_callback(tool, instruction, None)
            monitoring.set_events(tool, 0)
            monitoring.free_tool_id(tool)
