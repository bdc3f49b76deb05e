"""What a change costs, counted in runs of our own code: none for one that is no hit, and no more for a late line."""

from __future__ import annotations

import pytest

import stopwhen
from contract import Module
from stopwhen import env, positions
from stopwhen.session import Session

pytestmark = pytest.mark.skipif(env.core is None, reason="needs the C module")

PROGRAM = """
class Thing:
    pass

class Slotted:
    __slots__ = ("x",)

n = 0
thing, slotted, entries, nested, items = Thing(), Slotted(), {"k": 0}, Thing(), [5, 0]
thing.x = slotted.x = 0
nested.entries = {"k": 0}

def work(times):
    global n
    local = 0
    for value in range(1, times):
        n = value
        thing.x = value
        slotted.x = value
        entries["k"] = value
        nested.entries["k"] = value
        items[1] = value
        local = value

def deep(depth, times):
    if depth:
        return deep(depth - 1, times)
    return work(times)
"""

DATA = ["n", "thing.x", "slotted.x", "entries['k']", "nested.entries['k']", "items[1]", "local"]
TIMES = 500


@pytest.fixture
def module(tmp_path):
    """The program, loaded."""
    module = Module(tmp_path)
    module.run(PROGRAM)
    return module


@pytest.fixture
def runs(monkeypatch):
    """How often the handler has run."""
    counted = []
    handle = Session._handle_records

    def count(self, **options):
        counted.append(1)
        return handle(self, **options)

    monkeypatch.setattr(Session, "_handle_records", count)
    return counted


@pytest.mark.parametrize("expression", DATA)
def test_a_change_that_is_no_hit_runs_no_python_of_ours(module, runs, expression):
    """A condition over the values is judged where the change is made, however often it fails."""
    scope = module.work if expression == "local" else module
    with stopwhen.changes(expression, scope=scope, condition="new < 0", action="count") as watchpoint:
        module.work(2)
        runs.clear()
        module.work(TIMES)
        during = len(runs)
        assert watchpoint.count == 0
    assert during <= 3  # a call that begins, its first binding and its end


@pytest.mark.parametrize("expression", DATA)
def test_counted_hits_are_kept_until_somebody_asks(module, runs, expression):
    """Nor does Python run for each of those that pass."""
    scope = module.work if expression == "local" else module
    with stopwhen.changes(expression, scope=scope, condition="new > 0", action="count") as watchpoint:
        module.deep(20, 2)
        before = watchpoint.count
        runs.clear()
        module.deep(20, TIMES)
        during = len(runs)
        assert watchpoint.count - before >= TIMES - 2
    assert during <= TIMES // 20


@pytest.mark.parametrize("lines", [1, 1_000])
def test_a_hit_costs_the_same_at_any_line_of_its_function(tmp_path, monkeypatch, lines):
    """The positions of a function are decoded once, not at each hit from its first line on."""
    module = Module(tmp_path)
    before = "        if n < 0:\n" + "            a = [n, n + 1]; b = {n: a}\n" * lines
    module.run(f"def work(n):\n    level = 0\n    for i in range(n):\n{before}        level += 1\n")
    decoded = []
    decode = positions._positions_in._make

    def count(code):
        decoded.append(code)
        return decode(code)

    monkeypatch.setattr(positions._positions_in, "_make", count)
    with stopwhen.changes("level", scope=module.work, action=lambda hit: hit.location) as watchpoint:
        module.work(100)
    assert watchpoint.count == 101
    assert {hit.location.lineno for hit in watchpoint.hits} == {2, lines + 5}
    assert decoded.count(module.work.__code__) == 1
