"""Large contents are not compared whole at every look: who writes to them is named all the same, or the hit is inexact."""

from __future__ import annotations

import functools
import operator

import pytest

import contract
from contract import ANY, Case, choose, containers_tell, described, hit, parametrized, run_case

MAKE = {
    "list": "x = list(range(3_000))",
    "set": "x = set(range(3_000))",
    "bytearray": "x = bytearray(20_000)",
    "array": "import array; x = array.array('i', range(5_000))",
    "deque": "import collections; x = collections.deque(range(3_000))",
    "OrderedDict": "import collections; x = collections.OrderedDict.fromkeys(range(3_000))",
}

STATEMENTS = {
    "list": [
        "x[1_500] = None", "x[-2] = None", "x.reverse()", "x.sort(key=str)", "x[10:20] = range(20, 10, -1)", "x.append(1)",
        "del x[7]", "heapq.heapreplace(x, 7_000)", "operator.setitem(x, 9, 'a')", "list.__setitem__(x, 9, 'a')",
        "x.__setitem__(9, 'a')", "x[9], y = 8, 7", "x += [1]", "x[::2] = x[1::2]", "heapq.heapify([1]); x[4] = 'a'",
        "set_to(*(x, 11, 'a'))", "set_to(x, index=11)",
    ],
    "set": ["x.add(-1)", "x.discard(5)", "x ^= {1, -1}", "x.symmetric_difference_update({1, -1})", "x.clear()", "x |= {-1}"],
    "bytearray": ["x[700] = 1", "x[5:6] = b'a'", "x.extend(b'a')", "y = memoryview(x); y[8:9] = b'b'", "x.reverse(); x[0] = 1"],
    "array": ["x[700] = 1", "x.byteswap()", "x.append(1)", "x.reverse()"],
    "deque": ["x[700] = None", "x.rotate(1)", "x.reverse()", "x.append(1)", "x += [1]"],
    "OrderedDict": ["x.move_to_end(7)", "x[9] = 'a'", "x.move_to_end(7, last=False)", "del x[3]"],
}  # fmt: skip

PROGRAM = """\
import heapq, operator
def set_to(where, index, value=None):
    operator.setitem(where, index, value)
def f(x):
    for _ in range(20): len(str(_))
    {statement}  # @a
    return len(str(1))
f(x)
"""


def cases():
    """Yield a case for each statement."""
    for kind, statements in STATEMENTS.items():
        for statement in statements:
            program = PROGRAM.format(statement=statement)
            if statement.startswith("set_to"):
                program = program.replace("  # @a", "").replace("index, value)\n", "index, value)  # @a\n")
            yield Case(f"large {kind}: {statement}", MAKE[kind], "x", program, [hit("a", ANY, ANY)])


@parametrized(cases())
def test_who_writes_to_a_large_container_is_named(case, mechanism, tmp_path, monkeypatch):
    """It is among the operands of what writes to it."""
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


UNSEEN = """\
def turn():
    by_itself()  # @itself
def work():
    for n in range(2_000): len(str(n))  # @later
turn()
work()
"""


@pytest.mark.parametrize("mechanism", [one for one in contract.mechanism_sets() if one not in ("recheck", "dictwatch")])
def test_a_writer_that_reaches_it_by_itself_is_found_later_and_the_hit_says_so(mechanism, tmp_path, monkeypatch):
    """Between the last whole comparison and the one that finds it; a list that tells is exact."""
    choose(monkeypatch, mechanism)
    module = contract.Module(tmp_path)
    module.x = list(range(3_000))
    module.by_itself = functools.partial(operator.setitem, module.x, 1_500, None)
    with contract.Recorder() as hits:
        hits.changes("x", scope=module)
        module.run(UNSEEN)
        (found,) = hits.hits
    marks = contract.helpers.marked_lines(module.path)
    if containers_tell(mechanism):
        assert (found.exact, found.location.lineno) == (True, marks["itself"])
        return
    assert not found.exact
    assert found.between is not None
    assert found.between[1].lineno == found.location.lineno == marks["later"]


@pytest.mark.parametrize("mechanism", [one for one in contract.mechanism_sets() if one not in ("recheck", "dictwatch")])
def test_what_no_look_has_found_yet_is_found_when_the_watchpoint_is_removed(mechanism, tmp_path, monkeypatch):
    """Nothing is missed in silence."""
    choose(monkeypatch, mechanism)
    module = contract.Module(tmp_path)
    module.x = list(range(3_000))
    module.by_itself = functools.partial(operator.setitem, module.x, 1_500, None)
    with contract.Recorder() as hits:
        watchpoint = hits.changes("x", scope=module)
        module.remove = watchpoint.remove
        module.run("len('first look')\nby_itself()  # @itself\nremove()  # @removed\n")
        (found,) = hits.hits
    where = "itself" if containers_tell(mechanism) else "removed (inexact)"
    assert described([found], module.path)[0].mark == where


@pytest.mark.parametrize("mechanism", [one for one in contract.mechanism_sets() if one not in ("recheck", "dictwatch")])
@pytest.mark.parametrize("use", ["len(x)", "show(x)", "x.append(1)", "x[3] = 9", "x.sort(key=str)"])
def test_what_only_uses_it_later_is_not_blamed(use, mechanism, tmp_path, monkeypatch):
    """A change that nothing told of, and then an instruction that takes the container: the first hit is not exact."""
    choose(monkeypatch, mechanism)
    module = contract.Module(tmp_path)
    module.x = list(range(3_000))
    module.show = str
    module.by_itself = functools.partial(operator.setitem, module.x, 1_500, None)
    with contract.Recorder() as hits:
        watchpoint = hits.changes("x", scope=module)
        module.run(f"len('first look')\nby_itself()\nif x: {use}\nlen('last look')\n")
        watchpoint.remove()
        told = [(one.exact, "None" in str(one.change)) for one in hits.hits]
    assert told[0] == (containers_tell(mechanism), True)
    assert told[0] == (False, True) or hits.hits[0].location.lineno == 2
    assert told[1:] == [(True, False)] * (0 if use in ("len(x)", "show(x)") else 1)
