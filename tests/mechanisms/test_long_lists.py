"""Of a long list, only what a call can have changed is compared; what changed elsewhere is found all the same."""

from __future__ import annotations

import ctypes
import operator
import random
from collections import deque

import pytest

import contract
from contract import Module, choose, containers_tell, described, hit
from recorder import Recorder
from stopwhen import env

LENGTHS = (3, 2_046, 5_000)
"""Short, around the length from which on not all is compared, and long."""

natively = pytest.mark.skipif(not (env.core and env.HAS_MONITORING), reason="lists do not tell of their changes")

WAYS = {
    "append": lambda rows: rows.append(object()),
    "list.append": lambda rows: list.append(rows, object()),
    "append in map": lambda rows: list(map(rows.append, [object()])),
    "pop": lambda rows: rows.pop(),
    "pop the last": lambda rows: rows.pop(-1),
    "pop the first": lambda rows: rows.pop(0),
    "pop amid": lambda rows: rows.pop(len(rows) // 2),
    "insert": lambda rows: rows.insert(1, object()),
    "store": lambda rows: operator.setitem(rows, len(rows) // 2, object()),
    "store the first": lambda rows: rows.__setitem__(0, object()),
    "store the last": lambda rows: rows.__setitem__(-1, object()),
    "store by another's index": lambda rows: rows.__setitem__(True, object()),
    "delete": lambda rows: rows.__delitem__(1),
    "delete the last": lambda rows: rows.__delitem__(-1),
    "delete some": lambda rows: rows.__delitem__(slice(1, 3)),
    "replace some": lambda rows: operator.setitem(rows, slice(1, 2), [object(), object(), object()]),
    "extend": lambda rows: rows.extend([object(), object()]),
    "add": lambda rows: operator.iadd(rows, [object()]),
    "reverse": lambda rows: rows.reverse(),
}
NO_CHANGE = {
    "store beyond": lambda rows: rows.__setitem__(10**30, 0),
    "store behind the end": lambda rows: rows.__setitem__(len(rows), 0),
    "store before the start": lambda rows: rows.__setitem__(-len(rows) - 1, 0),
    "delete behind the end": lambda rows: rows.__delitem__(len(rows)),
    "pop behind the end": lambda rows: rows.pop(len(rows)),
    "append nothing": lambda rows: rows.append(),
    "store the same": lambda rows: rows.__setitem__(2, rows[2]),
}


class Rows(list):
    """A list of a class of its own."""


class OwnMethods(list):
    """A list whose methods are its own."""

    def append(self, item):
        """Append as a list does."""
        super().append(item)

    def __setitem__(self, key, value):
        super().__setitem__(key, value)


@natively
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", [list, Rows, OwnMethods])
def test_each_change_is_one_hit_and_none_is_left_over(kind, length, monkeypatch):
    """After any changes in any order, what was seen of the list is what it holds: removing finds no difference."""
    choose(monkeypatch, "default")
    rows = kind(object() for _ in range(length))
    order = random.Random(length)
    ways = [*WAYS, *NO_CHANGE] * 4
    order.shuffle(ways)
    with Recorder() as hits:
        watchpoint = hits.changes("rows", scope={"rows": rows})
        for way in ways:
            while len(rows) < 3:
                rows.append(object())
            before = watchpoint.count
            if way in WAYS:
                WAYS[way](rows)
            else:
                with_error(NO_CHANGE[way], rows)
            assert watchpoint.count - before == (way in WAYS), way
        count = watchpoint.count
        watchpoint.remove()
    assert watchpoint.count == count
    assert all(one.exact for one in hits.hits)


@natively
@pytest.mark.parametrize("kind", [list, deque])
@pytest.mark.parametrize("is_made", ["before", "after"])
def test_adding_to_a_container_of_a_subclass(is_made, kind, tmp_path, monkeypatch):
    """It is told at its line, whether the class was there before functions of ours were."""
    choose(monkeypatch, "default")
    module = Module(tmp_path)
    module.other = kind()
    module.rows = type("Own", (kind,), {})()
    with Recorder() as hits:
        if is_made == "after":
            hits.changes("other", scope=module)
            module.rows = type("Own", (kind,), {})()
        hits.changes("rows", scope=module)
        module.run("def f():\n    global rows\n    rows += [1]  # @add\n    len(rows)\nf()\n")
    assert described(hits.hits, module.path) == [hit("add")]


def with_error(call, rows):
    """Call what may raise."""
    try:
        call(rows)
    except (IndexError, TypeError):
        pass


def store_in_silence(rows, index, value):
    """Store an item as C code does that does not tell."""
    put = ctypes.pythonapi.PyList_SetItem
    put.argtypes, put.restype = [ctypes.py_object, ctypes.c_ssize_t, ctypes.py_object], ctypes.c_int
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))  # which the list takes
    put(rows, index, value)


TOLD = ("rows.append(None)", "rows[7] = None", "rows.pop()")


@natively
@pytest.mark.parametrize("statement", TOLD)
@pytest.mark.parametrize("mechanism", [one for one in contract.mechanism_sets() if containers_tell(one)])
def test_what_changed_elsewhere_in_silence_is_not_blamed_on_a_call(statement, mechanism, tmp_path, monkeypatch):
    """The call has the hit for what it did, for certain; the other change is found later, and its hit says so."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.rows = [object() for _ in range(5_000)]
    module.store_in_silence = store_in_silence
    with Recorder() as hits:
        watchpoint = hits.changes("rows", scope=module)
        module.run(f"def f():\n    store_in_silence(rows, 5, 'silent')\n    {statement}  # @told\nf()\n")
        watchpoint.remove()
    own = [one for one in hits.hits if "silent" not in str(one.change)]
    assert described(own, module.path) == [hit("told")]
    assert [one.exact for one in own] == [True]
    assert [one.exact for one in hits.hits if one not in own] == [False]
