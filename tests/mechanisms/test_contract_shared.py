"""The contract for a variable that functions share: every way to store to its cell object, by code of any function."""

from __future__ import annotations

import ctypes
import sys
import types

import pytest

import stopwhen
from contract import Module, choose, described, hit, mechanism_sets
from recorder import Recorder
from stopwhen import env

# The dict watcher alone sees no locals.
with_locals = pytest.mark.parametrize("mechanism", [name for name in mechanism_sets() if name != "dictwatch"])
only_where_stored = pytest.mark.skipif(
    env.core is None or not env.HAS_MONITORING, reason="elsewhere all code is looked at"
)

PROGRAM = """
import stopwhen
def outer():
    x = 1
    def get():
        return x
    def set_to(value):
        nonlocal x
        x = value  # @set
    def twice(value):
        nonlocal x
        x = value; x = -value  # @twice
    def delete():
        nonlocal x
        del x  # @delete
    def arm():
        x
        stopwhen.changes('x', action=record)
    arm()
    return get, set_to, twice, delete
get, set_to, twice, delete = outer()
(cell,) = get.__closure__
"""

CASES = {
    "called": ("set_to(2); set_to(2); set_to(3)", [hit("set", "1", "2"), hit("set", "2", "3")]),
    "twice on a line": ("twice(2)", [hit("twice", "1", "2"), hit("twice", "2", "-2")]),
    "deleted and set again": ("delete()\nset_to(5)", [hit("delete", "1", "absent"), hit("set", "absent", "5")]),
    "by the contents of the cell": ("cell.cell_contents = 7  # @a", [hit("a", "1", "7")]),
    "contents deleted": ("del cell.cell_contents  # @a", [hit("a", "1", "absent")]),
    "by setattr": ("setattr(cell, 'cell_contents', 7)  # @a", [hit("a", "1", "7", "builtins.setattr")]),
    "by its descriptor": (
        "type(cell).cell_contents.__set__(cell, 7)  # @a\nafter = 1",
        [hit("a", "1", "7")],
    ),
    "by C code that calls C code": (
        "list(map(setattr, [cell], ['cell_contents'], [7]))  # @a\nafter = 1",
        [hit("a", "1", "7")],
    ),
    "by a callback of C code": ("list(map(set_to, (3, 2)))", [hit("set", "1", "3"), hit("set", "3", "2")]),
    "by other code with the same cell": (
        "import types\n"
        "def make():\n    y = 0\n    def store():\n        nonlocal y\n        y = 9  # @a\n    return store\n"
        "types.FunctionType(make().__code__, globals(), None, None, (cell,))()",
        [hit("a", "1", "9")],
    ),
    "by a function that is given other code": (
        "def make():\n    y = 0\n    def store():\n        nonlocal y\n        y = 9  # @a\n    return store\n"
        "get.__code__ = make().__code__\nget()",
        [hit("a", "1", "9")],
    ),
    "by exec": (
        "code = compile('def make(y):\\n  def store():\\n    nonlocal y\\n    y = 9\\n  return store', '<there>', 'exec')\n"
        "def inner(code):\n    return next(one for one in code.co_consts if hasattr(one, 'co_freevars'))\n"
        "exec(inner(inner(code)), globals(), closure=(cell,))",
        [hit("<there>", "1", "9")],
    ),
    "by another thread": (
        "import threading\none = threading.Thread(target=set_to, args=(4,))\none.start()\none.join()",
        [hit("set", "1", "4")],
    ),
    "by a generator": (
        "def make():\n    y = 0\n    def store():\n        nonlocal y\n        for y in 5, 6:  # @a\n            yield\n"
        "    return store\nimport types\n"
        "list(types.FunctionType(make().__code__, globals(), None, None, (cell,))())",
        [hit("a", "1", "5"), hit("a", "5", "6")],
    ),
    "by the end of the old value": (
        "class Setter:\n    def __del__(self):\n        self.helper()\n    def helper(self):\n        set_to(8)\n"
        "other = Setter()\ncell2 = type(cell)(other)\ndel other\ncell2.cell_contents = 1",
        [hit("set", "1", "8")],
    ),
    "while an exception passes": (
        "def fail():\n    try:\n        1 / 0\n    finally:\n        set_to(6)\ntry:\n    fail()\n"
        "except ZeroDivisionError:\n    set_to(7)",
        [hit("set", "1", "6"), hit("set", "6", "7")],
    ),
}


@with_locals
@pytest.mark.parametrize("name", CASES)
def test_a_shared_variable(name, mechanism, tmp_path, monkeypatch, capfd):
    """Whoever has its cell object, the line that stores is named."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    body, expected = CASES[name]
    with Recorder() as hits:
        module.record = hits
        module.run(PROGRAM + body)
    assert described(hits.hits, module.path) == expected
    assert all(one.exact for one in hits.hits)
    assert capfd.readouterr().err == ""


def other():
    total = 0
    for number in range(3):
        total += number
    return total


@only_where_stored
def test_other_code_has_no_events():
    """Nor has code that only reads shared variables."""
    x = 1

    def read():
        return x

    def write():
        nonlocal x
        x = 2

    with stopwhen.changes("x", action="count") as watchpoint:
        other(), read(), write()
        tool = next(tool for tool in (3, 4) if sys.monitoring.get_tool(tool) == "stopwhen")
        events = {one.__name__: sys.monitoring.get_local_events(tool, one.__code__) for one in (other, read, write)}
        assert events == {"other": 0, "read": 0, "write": sys.monitoring.events.INSTRUCTION}
        assert watchpoint.count == 1
    assert sys.monitoring.get_local_events(tool, write.__code__) == 0


@only_where_stored
def test_code_that_was_of_no_interest_is_looked_at_for_accesses_that_come_later():
    """Its start had no event any more, and nothing is known of it."""
    x = 1

    def write():
        nonlocal x
        x = 1

    def store(owner):
        owner.value = 1

    with stopwhen.changes("x", action="count"):
        owner = types.SimpleNamespace(value=1)
        store(owner)
        store(owner)
        with stopwhen.writes("owner.value", action="count") as watchpoint:
            store(owner)
        assert watchpoint.count == 1
        write()


@only_where_stored
def test_what_the_old_value_does_at_its_end_is_told_by_its_own_line():
    """It ends where the program drops it, and what its finaliser stores has events of its own."""
    x = 1

    def helper():
        nonlocal x
        x = 3

    class Setter:
        def __del__(self):
            helper()

    with stopwhen.changes("x", action="count") as watchpoint:
        x = Setter()
        x = 2
        after = 1
    told = [(one.exact, str(one.new), one.location.function.rpartition(".")[2]) for one in watchpoint.hits]
    here = "test_what_the_old_value_does_at_its_end_is_told_by_its_own_line"
    assert told[1:] == [(True, "2", here), (True, "3", "helper")]
    del after


@only_where_stored
def test_a_store_that_asks_nobody_is_not_laid_to_a_line_with_certainty():
    """`PyCell_Set`, of the C API: seen before the next instruction that stores to a shared variable."""
    x = 1

    def write(value):
        nonlocal x
        x = value

    cell = write.__closure__[0]
    with stopwhen.changes("x", action="count") as watchpoint:
        ctypes.pythonapi.PyCell_Set(ctypes.py_object(cell), ctypes.py_object(5))
        write(6)
    assert [(one.exact, str(one.old), str(one.new)) for one in watchpoint.hits] == [(False, "1", "5"), (True, "5", "6")]


@only_where_stored
def test_the_interpreters_own_setter_is_back_once_nothing_is_watched():
    """And the cell is let go of."""
    x = 1

    def write():
        nonlocal x
        x = 2

    (cell,) = write.__closure__
    references = sys.getrefcount(cell)
    with stopwhen.changes("x", action="count") as watchpoint:
        cell.cell_contents = 5
        assert watchpoint.count == 1
    cell.cell_contents = 6
    assert watchpoint.count == 1
    assert sys.getrefcount(cell) == references
    write()


def test_the_plan_says_that_other_code_costs_nothing():
    """And what is looked at on 3.11."""
    x = 1

    def read():
        return x

    with stopwhen.changes("x", action="count") as watchpoint:
        plan = str(watchpoint.plan)
    assert read() == 1
    if env.core is not None and env.HAS_MONITORING:
        assert "cost: none in code that stores to no variable which functions share" in plan
    assert "variable that functions share" in plan
