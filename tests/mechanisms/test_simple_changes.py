"""Changes of simple values, which the C module judges where they happen: as Python would, and no hit tells less."""

from __future__ import annotations

import itertools
import math
import random
import struct
import threading

import pytest

import stopwhen
from helpers import marked_lines

PROGRAM = """
class Thing:
    pass

class Slotted:
    __slots__ = ("x",)

n = 0
thing = Thing()
thing.x = 0
slotted = Slotted()
slotted.x = 0
entries = {"k": 0}
items = [5, 0]

def put(value):
    global n
    n = value  # @put

def put_attribute(value):
    thing.x = value

def put_slot(value):
    slotted.x = value

def put_entry(value):
    entries["k"] = value

def put_by_call(value):
    entries.update(k=value)

def put_item(value):
    items[1] = value

def put_local(values):
    local = 0
    for local in values:
        pass
    for one in values:
        local = one

def put_shared(values):
    shared = 0
    def inner():
        nonlocal shared
        for one in values:
            shared = one
    inner()

def outer(value):
    put(value)  # @outer
"""

VALUES = [
    *(0, 1, -1, 2**70, -(2**70), True, False, None),
    *(0.0, -0.0, 1.0, 1.5, math.nan, math.inf, "", "a", "ab", "b", b"", b"a"),
]

CONDITIONS = [
    *(
        "new < 0",
        "new > old",
        "new == 1",
        "new != 1",
        "new >= 1 and old",
        "not new",
        "new",
        "old or new",
        "old is None",
    ),
    *("new is not None", "new in (1, 'a', None)", "new not in [1, 2]", "'a' in new", "new in 'ab'", "0 < new < 2"),
    *("new - old > 1", "new % 2 == 1", "new * 2 == old + 1", "new // 2 == 0", "1 / new > 1", "-new > 0", "new + old"),
    *("old is not absent", "new is absent", "new == 'a' or new == b'a'", "1 < 2 < new", "new is True", "None"),
    *("new == old", "(new == 1) == (old == 1)", "new < 'b'", "(new and old) is False", "new in {-1, 1.5}"),
]


@pytest.fixture
def space(tmp_path):
    """The namespace of a program with data of each kind, and functions that change them."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    made = {"__name__": "program", "__file__": str(path)}
    exec(compile(PROGRAM, str(path), "exec"), made)
    return made


def is_change(old, new):
    """Return whether one simple value gives way to another, as users see it."""
    if type(old) is not type(new):
        return True
    return struct.pack("d", old) != struct.pack("d", new) if type(old) is float else old != new


def holds(condition, old, new):
    """Return what Python makes of a condition; an error counts as true, and is told as None."""
    try:
        return bool(eval(condition, {"old": old, "new": new, "absent": stopwhen.ABSENT}))
    except Exception:
        return None


def check(space, capfd, condition, values):
    """Put `values` one after the other, and compare the hits with what Python makes of the condition."""
    verdicts = [
        holds(condition, old, new) for old, new in itertools.pairwise([space["n"], *values]) if is_change(old, new)
    ]
    capfd.readouterr()
    with stopwhen.changes("n", scope=space, condition=condition, action="count") as watchpoint:
        for value in values:
            space["put"](value)
        assert watchpoint.count == sum(verdict is not False for verdict in verdicts), (condition, values)
        assert len(watchpoint.hits) == watchpoint.count
    assert capfd.readouterr().err.count("[condition-error]") == (None in verdicts), condition


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_conditions_hold_as_in_python(space, capfd):
    """Values of all types, mixed: what raises counts as true, and is said once."""
    choose = random.Random()
    for condition in CONDITIONS:
        check(space, capfd, condition, [*VALUES, *reversed(VALUES), *choose.choices(VALUES, k=60)])


def made(choose, depth):
    """Return the text of a random condition."""
    leaf = ["old", "new", "1", "-2", "0.5", "'a'", "None", "True", "b'a'"]
    if depth == 0:
        return choose.choice(leaf)
    one, other = made(choose, depth - 1), made(choose, depth - 1)
    form = choose.choice(
        [
            *("({0} and {1})", "({0} or {1})", "(not {0})", "({0} {2} {1})", "({0} {2} {1} {3} {0})", "({0} {4} {1})"),
            *("({0} is {5})", "({0} is not {5})", "({0} in (1, 'a', None))", "({0} not in (0.5, True))"),
        ]
    )
    compared = ("<", "<=", "==", "!=", ">", ">=")
    calculated = choose.choice(["+", "-", "*", "%", "//", "/"])
    texts = one, other, choose.choice(compared), choose.choice(compared), calculated, choose.choice(["None", "new"])
    return form.format(*texts)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_random_conditions_hold_as_in_python(space, capfd):
    """Whatever is put together of them, and however deep."""
    choose = random.Random()
    for depth in (1, 2, 3, 4):
        for _ in range(15):
            check(space, capfd, made(choose, depth), choose.choices(VALUES, k=20))


PLACES = {
    "global": ("n", "put", None),
    "attribute": ("thing.x", "put_attribute", None),
    "slot": ("slotted.x", "put_slot", None),
    "entry": ("entries['k']", "put_entry", None),
    "entry, by a call": ("entries['k']", "put_by_call", None),
    "item": ("items[1]", "put_item", None),
    "local": ("local", "put_local", "put_local"),
    "shared": ("shared", "put_shared", "put_shared"),
}

FACTS = (
    *("old", "new", "old_text", "new_text", "change", "location", "own_location", "stack", "by", "thread", "thread_id"),
    *("task", "pid", "mechanism", "exact", "already", "between", "count"),
)


@pytest.mark.parametrize("name", PLACES)
def test_a_hit_that_was_only_counted_tells_what_any_other_does(space, name):
    """What is kept raw is told later, when the writer has long returned, as a hit that an action got."""
    expression, function, scope = PLACES[name]
    values = [1, 2, 2, 3, -1, True, 1.5, "a", None, 4]

    def run(action):
        where = space if scope is None else space[scope]
        with stopwhen.changes(expression, scope=where, condition="old is not absent", action=action) as watchpoint:
            if scope is None:
                for value in [0, *values, 0]:
                    space[function](value)
            else:
                space[function](values)
        return watchpoint.hits

    given = []
    _, counted = [run(action) for action in (given.append, "count")]
    assert len(counted) > 8
    assert [facts_of(hit) for hit in counted] == [facts_of(hit) for hit in given]


def facts_of(hit):
    """Return what a hit tells, but for the time."""
    return {name: getattr(hit, name) for name in FACTS}


def test_the_hits_that_are_kept_are_the_newest(space):
    """A thousand of them, whoever counted them; all count."""
    with stopwhen.changes("n", scope=space, action="count") as watchpoint:
        for value in range(1, 2501):
            space["put"](value if value % 7 else [value])
        assert watchpoint.count == 2500
        assert [hit.count for hit in watchpoint.hits] == list(range(1501, 2501))
        assert [hit.new_text for hit in watchpoint.hits[-3:]] == ["2498", "[2499]", "2500"]


def test_what_is_judged_is_seen(space):
    """The old value of the next hit is the one before, though no hit came of it."""
    given = []
    with stopwhen.changes("n", scope=space, condition="new == 10 or type(new) is list", action=given.append):
        for value in (1, 2, 10, 11, [12], 13, 10):
            space["put"](value)
    with stopwhen.changes("n", scope=space, condition="new == 10", action=given.append):
        for value in (1, 2, 10):
            space["put"](value)
    assert [(hit.old_text, hit.new_text) for hit in given] == [("2", "10"), ("11", "[12]"), ("13", "10"), ("2", "10")]


def test_becoming_true(space):
    """Each time that it goes from false to true is one hit, however simple the test."""
    values = (0, -1, -2, 0, 1, "a", 0, -1, 0)
    for expression in ("n < 0", "n", "not n", "n == 'a'", "n and n < 0", "0 < n < 3", "n is None or n == 1"):
        truths = [truth_of(expression, value) for value in (7, *values)]
        count = sum(now and not before for before, now in itertools.pairwise(truths))
        space["put"](7)
        with stopwhen.true(expression, scope=space, action="count") as watchpoint:
            already = watchpoint.count
            for value in values:
                space["put"](value)
            assert watchpoint.count - already == count, expression
            assert [(hit.old_text, hit.new_text) for hit in watchpoint.hits[already:]] == [("False", "True")] * count


def truth_of(expression, value):
    """Return whether an expression over `n` is true; what raises is not."""
    try:
        return bool(eval(expression, {"n": value}))
    except TypeError:
        return False


def test_the_rules_hold_in_their_order(space):
    """A condition comes before the count, the count before the hit condition, and that before the action."""
    given = []
    with stopwhen.changes("n", scope=space, condition="new > 2", hit_condition="%3", action=given.append) as watchpoint:
        for value in range(1, 12):
            space["put"](value)
        assert (watchpoint.count, [hit.new for hit in given]) == (9, [5, 8, 11])
    for rule, acting in {"3": [3], ">=8": [8, 9], "<3": [1, 2], "!=4": [1, 2, 3, 5, 6, 7, 8, 9], "==9": [9]}.items():
        space["put"](0)
        with stopwhen.changes("n", scope=space, hit_condition=rule, action="count") as watchpoint:
            for value in range(1, 10):
                space["put"](value)
            assert (watchpoint.count, [hit.count for hit in watchpoint.hits]) == (9, acting)


def test_several_watchpoints_on_one_place(space):
    """Each has its own count, whether it came before or after the others, also once these are gone."""
    first = stopwhen.changes("n", scope=space, action="count")
    space["put"](1)
    given = []
    second = stopwhen.changes("n", scope=space, condition="new % 2", action="count")
    third = stopwhen.true("n > 3", scope=space, action=given.append)
    for value in (2, 3, 4, 5):
        space["put"](value)
    third.remove()
    second.disable()
    space["put"](6)
    second.enable()
    space["put"](7)
    assert (first.count, second.count, [hit.location.function for hit in given]) == (7, 3, ["put"])
    assert [hit.new for hit in second.hits] == [3, 5, 7]
    first.remove()
    second.remove()


def test_what_an_action_changes_is_no_hit(space):
    """It is seen all the same."""
    with stopwhen.changes("n", scope=space, action="count") as watchpoint:
        with stopwhen.changes("thing.x", scope=space, action=lambda hit: space["put"](hit.new)):
            space["put_attribute"](41)
        assert watchpoint.count == 0
        space["put"](42)
        assert [(hit.old, hit.new) for hit in watchpoint.hits] == [(41, 42)]


def test_threads_and_places_are_told(space):
    """The name of the thread that wrote, though it has ended, and all its frames."""
    lines = marked_lines(PROGRAM)
    with stopwhen.changes("n", scope=space, action="count") as watchpoint:
        thread = threading.Thread(target=space["outer"], args=(1,), name="the writer")
        thread.start()
        thread.join()
        (hit,) = watchpoint.hits
    assert (hit.thread, hit.thread_id, hit.location.lineno) == ("the writer", thread.ident, lines["put"])
    assert [(one.function, one.lineno) for one in hit.stack[:2]] == [("put", lines["put"]), ("outer", lines["outer"])]
