"""A change of content that leads to nothing new is told without reading the expression again; all that comes later is told too."""

from __future__ import annotations

import pytest

import stopwhen
from stopwhen.session import Session

NODE = "class Node:\n  def __init__(self): self.x, self.next = 0, None\nn = Node()"
SLOTTED = "class Node:\n  __slots__ = ('x', 'next')\nn = Node(); n.x = 0"

# By what is watched: how it is made, the expression, its depth, and one change after the other.
CASES = {
    "list": ("L = [1]", "L", 1, ["L.append(2)", "L.append([3])", "L[0] = 5", "L = [9]", "L.append(8)"]),
    "rows": ("L = [[1]]", "L", 2, ["L[0].append(2)", "L.append([3])", "L[1].append(4)", "L[0] = []", "L[0].append(1)"]),
    "nested dicts": (
        *("D = {'a': {'b': 1}}", "D", "all"),
        ["D['a']['b'] = 2", "D['a']['c'] = {}", "D['a']['c']['d'] = 1", "D['k'] = 1", "D['a'] = {}", "D['a']['e'] = 1"],
    ),
    "objects": (
        NODE,
        "n",
        "all",
        ["n.x = 1", "n.next = Node()", "n.next.x = 2", "n.more = 3", "n.next = None", "n.x = 9"],
    ),
    "slots": (
        SLOTTED,
        "n",
        "all",
        ["n.x = 1", "n.next = Node()", "n.next.x = 2", "n.next = 0", "n.x = [1]", "n.x.append(2)"],
    ),
    "set": ("s = {1}", "s", "all", ["s.add(2)", "s.add((3, 4))", "s.discard(1)", "s = set()", "s.add(7)"]),
    "deque": (
        *("import collections\nd = collections.deque([1])", "d", "all"),
        ["d.append(2)", "d.append([])", "d[-1].append(3)", "d.popleft()"],
    ),
    "UserList": (
        *("import collections\nu = collections.UserList([1])", "u", 1),
        ["u.append(2)", "u.data = [5]", "u.append(6)", "u.note = 1"],
    ),
    "UserDict": (
        *("import collections\nu = collections.UserDict(a=1)", "u", 1),
        ["u['a'] = 2", "u.data = {'b': 2}", "u['c'] = 3", "u['c'] = []"],
    ),
    "ChainMap": (
        *("import collections\nm = collections.ChainMap({'a': 1})", "m", 1),
        ["m['a'] = 2", "m.maps.append({})", "m.maps[1]['z'] = 1", "m.maps = [{}]", "m['b'] = 1"],
    ),
    "ConfigParser": (
        *("import configparser\nc = configparser.ConfigParser(); c.add_section('s')", "c", 1),
        ["c['s']['k'] = 'v'", "c.add_section('t')", "c['t']['k'] = 'v'", "c['t']['k'] = 'w'", "del c['t']['k']"],
    ),
    "environ": (
        *("import os", "os.environ", 1),
        ["os.environ['STOPWHEN_A'] = '1'", "os.environ['STOPWHEN_A'] = '2'", "del os.environ['STOPWHEN_A']"],
    ),
    "proxy": (
        *("import types\nd = {'a': 1}\np = types.MappingProxyType(d)", "p", 1),
        ["d['a'] = 2", "d['b'] = []", "del d['b']"],
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("writes", [False, True])
def test_what_comes_later_is_told(name, writes, monkeypatch):
    """Each change is a hit with the text of what is there then."""
    made, expression, depth, steps = CASES[name]
    namespace: dict = {}
    exec(made, namespace)
    read = []
    original = Session._read
    monkeypatch.setattr(Session, "_read", lambda *given, **options: read.append(1) or original(*given, **options))
    watch = stopwhen.writes if writes and stopwhen.env.core is not None else stopwhen.changes
    with watch(expression, scope=namespace, depth=depth, action="count") as watchpoint:
        counts = []
        for step in steps:
            before = watchpoint.count
            exec(step, namespace)
            counts.append(watchpoint.count > before)
        told = [hit.new_text for hit in watchpoint.hits]
    assert counts == [True] * len(steps)
    assert len(set(told)) >= len(steps) - 1
    assert len(read) <= len(steps)  # at arming, and then where there may be something new: not at the first step
