"""Conditions over content: `old` is what was there before, `added` and `removed` what came and went."""

from __future__ import annotations

import itertools
import types
from typing import Any

import pytest

import stopwhen
from recorder import Recorder

SETUP = """
import array, collections, os
cache = {"a": 1, "b": 2}
items = [1, 2, 3]
members = {1, 2}
queue = collections.deque([1, 2, 3], 5)
raw = bytearray(b"abc")
numbers = array.array("i", [1, 2])
ordered = collections.OrderedDict(a=1, b=2)
counts = collections.Counter("ab")
wrapped = collections.UserDict(a=1)
class Cart:
    def __init__(self):
        self.total = 3
        self.lines = [1]
class Point:
    __slots__ = ("x", "y")
    def __init__(self):
        self.x = 1
class Key:
    def __init__(self, n): self.n = n
    def __eq__(self, other): return self.n == other.n
    def __hash__(self): return hash(self.n)
cart, point = Cart(), Point()
keyed = {Key(1): "a"}
nested = {"k": [1, 2], "l": [3]}
pair = ([1], {"a": 1})
loop = [1]
loop.append(loop)
rows = [[n] for n in range(3)]
name = "x"
"""

# Expression, statement, condition (all of which is to hold), options.
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("cache", "del cache['a']", "len(new) < len(old) and removed == {'a': 1} and not added", {}),
    ("cache", "cache['c'] = 3", "added == {'c': 3} and not removed and old == {'a': 1, 'b': 2} and new['c'] == 3", {}),
    ("cache", "cache['a'] = 5", "not added and not removed and old['a'] == 1 and new['a'] == 5", {}),
    ("cache", "cache.clear()", "len(removed) == 2 and not new and len(old) == 2", {}),
    ("cache", "cache = {'b': 2, 'd': 4}", "removed == {'a': 1} and added == {'d': 4}", {}),
    ("cache.keys()", "del cache['a']", "'a' in old and 'a' not in new", {}),
    ("ordered", "ordered.popitem()", "old == {'a': 1, 'b': 2} and removed == {'b': 2}", {}),
    ("counts", "counts['c'] += 1", "old == {'a': 1, 'b': 1} and added == {'c': 1}", {}),
    ("wrapped", "wrapped['b'] = 2", "old == {'a': 1} and added == {'b': 2}", {}),
    ("os.environ", "os.environ['STOPWHEN_TEST'] = '1'", "'STOPWHEN_TEST' in new and 'STOPWHEN_TEST' not in old", {}),
    ("keyed", "keyed[Key(2)] = 'b'", "len(old) == 1 and Key(2) in added", {}),
    ("items", "items.pop()", "len(new) < len(old) and removed == [3] and old == [1, 2, 3]", {}),
    ("items", "items.append(9)", "added == [9] and 9 not in old and 9 in new", {}),
    ("items", "items.sort(reverse=True)", "not added and not removed and old == [1, 2, 3] and new == [3, 2, 1]", {}),
    ("items", "items[:2] = [7, 1]", "added == [7] and removed == [2] and old == [1, 2, 3]", {}),
    ("items", "items = [1]", "old == [1, 2, 3] and removed == [2, 3] and not added", {}),
    ("items[0]", "items[0] = 5", "old == 1 and new == 5 and not added and not removed", {}),
    ("len(items)", "items.clear()", "old == 3 and new == 0", {}),
    ("items[1:]", "items.append(9)", "old == [2, 3] and added == [9]", {}),
    ("members", "members.add(7)", "added == {7} and old == {1, 2}", {}),
    ("members", "members.discard(1)", "removed == {1} and 1 in old and 1 not in new", {}),
    ("queue", "queue.appendleft(7)", "added == [7] and list(old) == [1, 2, 3] and old.maxlen == 5", {}),
    ("queue", "queue.popleft()", "removed == [1] and len(new) < len(old)", {}),
    ("raw", "raw[0:1] = b'xy'", "old == b'abc' and added == b'xy' and removed == b'a'", {}),
    ("numbers", "numbers[0] = 5", "old[0] == 1 and new[0] == 5", {}),
    ("numbers", "numbers.append(5)", "len(old) == 2 and len(new) == 3", {}),
    ("cart", "cart.total = 9", "old.total == 3 and new.total == 9", {}),
    ("cart", "del cart.total", "old.total == 3 and not hasattr(new, 'total') and removed == {'total': 3}", {}),
    ("cart", "cart.lines.append(2)", "old.lines == [1] and new.lines == [1, 2] and old.total == 3", {"depth": 2}),
    ("point", "point.x = 2", "old.x == 1 and new.x == 2 and not hasattr(old, 'y')", {}),
    ("nested", "nested['k'].append(3)", "old == {'k': [1, 2], 'l': [3]} and added == [3]", {"depth": 2}),
    ("pair", "pair[0].append(2)", "old == ([1], {'a': 1}) and new[0] == [1, 2]", {"depth": 2}),
    ("loop", "loop[0] = 2", "old[0] == 1 and old[1] is old", {"depth": "all"}),
    ("rows", "rows[1][0] = 5", "old == [[0], [1], [2]]", {"depth": "all"}),
    ("name", "name = 'y'", "old == 'x' and not added", {}),
    ("name", "del name", "old == 'x' and new is absent", {}),
]


@pytest.mark.parametrize("mechanism", [None, "recheck"])
def test_old_is_the_content_that_was_there(monkeypatch, mechanism):
    """Each condition tells exactly what was there before, what came and what went."""
    if mechanism is not None:
        monkeypatch.setenv("STOPWHEN_MECHANISMS", mechanism)
    monkeypatch.setenv("STOPWHEN_TEST", "0")
    failed = []
    for expression, statement, condition, options in CASES:
        monkeypatch.delenv("STOPWHEN_TEST", raising=False)
        module = types.ModuleType("program")
        exec(SETUP, vars(module))
        with Recorder() as hits:
            hits.changes(expression, scope=module, condition=condition, **options)
            exec(compile(statement, "<program>", "exec"), vars(module))
        if len(hits.hits) != 1:
            failed.append(f"{expression}: {statement}: {condition}: {len(hits.hits)}")
    assert failed == []


def test_nothing_of_the_program_lives_longer_for_a_condition():
    """What was removed dies at once, though the condition has looked at it."""
    module = types.ModuleType("program")
    source = """
import weakref
class Thing: pass
dead = []
items = [Thing(), Thing()]
watched = weakref.ref(items[0], dead.append)
def go():
    del items[0]
    return len(dead)
"""
    exec(source, vars(module))
    with Recorder() as hits:
        hits.changes("items", scope=module, condition="len(old) == 2 and len(removed) == 1", action="count")
        assert module.go() == 1
        assert hits.watchpoints[0].count == 1


def test_a_condition_that_does_not_name_old_copies_nothing(monkeypatch):
    """The copy is made when it is asked for."""
    from stopwhen import before

    module = types.ModuleType("program")
    module.items = [1]
    monkeypatch.setattr(before, "content_before", lambda *_: pytest.fail("a copy"))
    with Recorder() as hits:
        hits.changes("items", scope=module, condition="len(new) > 1 and added == [2]")
        module.items.append(2)
        assert len(hits.hits) == 1


def test_what_is_too_much_to_copy_is_said_and_counts_as_true(monkeypatch, capfd):
    """A condition that cannot be answered does not hide a hit."""
    from stopwhen import before

    monkeypatch.setattr(before, "MOST_COPIED", 10)
    module = types.ModuleType("program")
    module.items = list(range(20))
    with Recorder() as hits:
        hits.changes("items", scope=module, condition="len(old) < 0")
        module.items.append(2)
        module.items.append(3)
        assert len(hits.hits) == 2
    said = capfd.readouterr().err
    assert said.count("more than 10 items are not copied") == 1


def test_in_a_class_scope_each_instance_has_its_own_old():
    """What an attribute of an instance held is worked out for that instance."""
    module = types.ModuleType("program")
    exec("class Cart:\n    def __init__(self): self.lines = []\n", vars(module))
    one, other = module.Cart(), module.Cart()
    one.lines.append(1)
    with stopwhen.changes(
        "self.lines", scope=module.Cart, condition="len(old) > len(new) and removed == [1]", action="count"
    ) as watchpoint:
        other.lines.append(2)
        one.lines.pop()
        other.lines.append(3)
        assert watchpoint.count == 1


def test_changes_of_one_call_are_each_seen_as_they_were():
    """Where a call in C changes a list several times, old and new of each step are those of that step."""
    module = types.ModuleType("program")
    module.items = []
    seen = []
    module.note = lambda *pair: seen.append(tuple(map(list, pair)))
    with stopwhen.changes("items", scope=module, condition="note(old, new)", action="count"):
        exec("list(map(items.append, [1, 2]))\nitems.pop()", vars(module))
    assert seen[0][0] == []
    assert seen[-1] == ([1, 2], [1])
    assert all(after == before for (_, after), (before, _) in itertools.pairwise(seen))
