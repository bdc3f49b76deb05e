"""Code that stores items of lists tells of it however hot it is, and is as before once nothing is watched."""

from __future__ import annotations

import ctypes
import dis
import sys

import pytest

import stopwhen
from contract import Module
from recorder import Recorder
from stopwhen import env

pytestmark = pytest.mark.skipif(env.core is None or not env.HAS_MONITORING, reason="needs containers that tell")

HOT = """\
def store(rows, times=1_000):
    for number in range(times):
        rows[0] = number  # @store

def append(rows, times=1_000):
    for number in range(times):
        rows.append(number)  # @append
"""


@pytest.fixture
def module(tmp_path):
    """Functions that were hot before anything is watched."""
    made = Module(tmp_path)
    made.run(HOT)
    for function in (made.store, made.append):
        for _ in range(5):
            function([0])
    made.rows = [0]
    return made


def specialised(function):
    """Return the instructions of a function that are not as they were compiled."""
    plain = [one.opname for one in dis.get_instructions(function)]
    now = [one.opname for one in dis.get_instructions(function, adaptive=True)]
    return {one for before, one in zip(plain, now, strict=True) if before != one and "SUBSCR" in before}


@pytest.mark.parametrize("name", ["store", "append"])
def test_each_turn_of_a_hot_loop_is_told(module, name):
    with Recorder() as hits:
        watchpoint = hits.changes("rows", scope=module, action="count")
        getattr(module, name)(module.rows)
        assert watchpoint.count == 1_000 - (name == "store")  # the first stores what is there


def test_code_that_is_made_later_tells(module):
    with Recorder() as hits:
        watchpoint = hits.changes("rows", scope=module, action="count")
        names = {"rows": module.rows}
        exec("def later():\n    for number in range(1, 1_001):\n        rows[0] = number\nlater()\n", names)
        names["later"].__code__.replace(co_name="again")
        assert watchpoint.count == 1_000


def test_what_nobody_but_a_plain_dict_holds_tells(module):
    """The garbage collector does not know such a dict."""
    texts = {"code": compile("for number in range(1, 1_001):\n    rows[0] = number\n", "<text>", "exec")}
    exec(texts["code"], {"rows": [0]})
    with Recorder() as hits:
        watchpoint = hits.changes("rows", scope=module, action="count")
        exec(texts["code"], {"rows": module.rows})
        assert watchpoint.count == 1_000


def test_afterwards_code_is_specialised_again(module):
    assert specialised(module.store) == {"STORE_SUBSCR_LIST_INT"}
    with Recorder() as hits:
        hits.changes("rows", scope=module, action="count")
        module.store([0])
        assert "STORE_SUBSCR_LIST_INT" not in specialised(module.store)
    for _ in range(10):
        module.store([0])
    assert specialised(module.store) == {"STORE_SUBSCR_LIST_INT"}


def trace_instructions(frame, _event, _argument):
    """Trace, and ask for events of each instruction, which reset what keeps it from being specialised."""
    frame.f_trace_opcodes = True
    return trace_instructions


@pytest.mark.parametrize("when", ["before", "after"])
def test_beside_a_debugger_that_goes_by_instructions(module, when):
    before = sys.gettrace()
    with Recorder() as hits:
        if when == "before":
            sys.settrace(trace_instructions)
        watchpoint = hits.changes("rows", scope=module, action="count")
        sys.settrace(trace_instructions)
        module.store([0], 10)
        sys.settrace(before)
        module.store([0])
        module.store([0])
        module.store(module.rows)
        assert watchpoint.count == 999


def test_beside_a_tool_that_has_events_of_instructions(module):
    monitoring = sys.monitoring
    monitoring.use_tool_id(1, "test")
    try:
        with Recorder() as hits:
            watchpoint = hits.changes("rows", scope=module, action="count")
            monitoring.set_local_events(1, module.store.__code__, monitoring.events.INSTRUCTION)
            module.store([0], 10)
            monitoring.set_local_events(1, module.store.__code__, 0)
            module.store([0])
            module.store(module.rows)
            assert watchpoint.count == 999
    finally:
        monitoring.free_tool_id(1)


@pytest.mark.parametrize("then", ["rows.append(2)", "remove()", "rows[0] = 5"])
def test_what_c_code_changes_in_silence_is_found_and_no_line_is_certain(module, then):
    """Between where the list was last known and where it is found."""
    module.silently = lambda: ctypes.pythonapi.PyList_Append(ctypes.py_object(module.rows), ctypes.py_object("x"))
    with Recorder() as hits:
        watchpoint = hits.changes("rows", scope=module)
        module.remove = watchpoint.remove
        module.run(f"silently()\n{then}\n")
        first, *others = hits.hits
    assert (first.exact, "'x' at 1" in str(first.change)) == (False, True)
    assert first.between[1].lineno == 2
    assert [(one.exact, one.location.lineno) for one in others] == [(True, 2)] * (then != "remove()")


def test_it_is_found_at_the_next_of_some_calls(module):
    """Also where the list is not changed again."""
    with Recorder() as hits:
        hits.changes("rows", scope=module)
        ctypes.pythonapi.PyList_Append(ctypes.py_object(module.rows), ctypes.py_object("x"))
        other = []
        while not hits.hits and len(other) < 1_000_000:
            other.append(0)
        (found,) = hits.hits
    assert not found.exact


def test_where_all_watchers_of_code_are_taken_events_do(module, monkeypatch):
    monkeypatch.setattr(env.core, "calm_item_stores", lambda _function: False)
    with Recorder() as hits:
        watchpoint = hits.changes("rows", scope=module, action="count")
        module.store(module.rows)
        assert watchpoint.count == 999
    assert stopwhen.watchpoints() == []


@pytest.mark.parametrize(
    ("statement", "by"),
    [
        ("list(map(rows.append, (1, 2)))", "list.append"),
        ("operator.methodcaller('append', 1)(rows)", "list.append"),
        ("functools.partial(heapq.heappush, rows)(5)", "heapq.heappush"),
        ("max([3], key=rows.append)", "builtins.max"),
        ("call(rows.pop)", "list.pop"),
        ("call = rows.insert; call(0, 5)", "list.insert"),
        ("rows += [1]", None),
        ("rows[0] = 7", None),
    ],
)
def test_the_function_that_made_the_change_is_known(module, statement, by):
    """Where the line calls one in C by its name, that one; else the one that was told."""
    with Recorder() as hits:
        hits.changes("rows", scope=module)
        module.run(
            "import functools, heapq, operator\ndef call(what):\n    return what()\n"
            f"def f():\n    global rows\n    {statement}\nf()\n"
        )
    assert {hit.by for hit in hits.hits} == {by}
