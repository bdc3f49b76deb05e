"""What a delta says in words and in data."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopwhen.change import Change, describe
from stopwhen.event import Items, Members, Rebound, Spliced, Unknown
from stopwhen.texts import Text
from stopwhen.types import ABSENT
from traps import hostile

LONG = "/home/ned/project/" + "x" * 80


def spliced(old, new):
    """Return the delta of a whole list that gave way to another."""
    return Spliced(0, tuple(old), tuple(new), len(new))


TOLD = [
    (Spliced(0, (), ("/lib",), 6), "inserted", "inserted '/lib' at 0"),
    (Spliced(2, (), (1, 2), 6), "inserted", "inserted 1, 2 at 2"),
    (Spliced(2, (), tuple(range(100)), 100), "inserted", "inserted 0, 1, 2, 3, 4, ... 95 more at 2"),
    (Spliced(3, ("a",), (), 6), "removed", "removed 'a' at 3"),
    (Spliced(0, ("a",), (), 0), "cleared", "cleared, removed 'a'"),
    (Spliced(0, (1, 2, 3), (), 0), "cleared", "cleared, removed 1, 2, 3"),
    (Spliced(1, (1,), (2,), 6), "replaced", "replaced 1 at 1 by 2"),
    (Spliced(1, (1,), (1,), 6), "written", "set to 1 again"),
    (Spliced(1, (1, 2), (2, 1), 6), "reordered", "reordered 2 items at 1, now 2, 1"),
    (Spliced(1, b"ab", b"c", 6), "replaced", "replaced b'ab' at 1 by b'c'"),
    (spliced([1, 2, 3, 4, 5], [1, 2, 9, 4, 5]), "replaced", "replaced 3 at 2 by 9"),
    (spliced([1, 2, 3, 4, 5], [2, 3, 4]), "removed", "removed 1 at 0; removed 5 at 4"),
    (spliced([1, 2, 3, 4], [1, "a", 2, 3, "b", 4]), "inserted", "inserted 'a' at 1; inserted 'b' at 3"),
    (spliced([1, 2, 3, 4], [9, 2, 8, 4]), "replaced", "replaced 1 at 0 by 9; replaced 3 at 2 by 8"),
    (Members((), (1,), 1), "added", "added 1"),
    (Members((1,), (), 3), "discarded", "discarded 1"),
    (Members((1,), (2, 3), 3), "changed", "added 2, 3; discarded 1"),
    (Members((1, 2), (), 0), "cleared", "cleared, removed 1, 2"),
    (Items((("TZ", ABSENT, "UTC"),), 1), "added", "added 'TZ': 'UTC'"),
    (Items((("TZ", "UTC", ABSENT),), 0), "removed", "removed 'TZ': 'UTC'"),
    (Items((("TZ", "UTC", "CET"),), 1), "changed", "changed 'TZ': 'UTC' -> 'CET'"),
    (Items((("a", ABSENT, 1), ("b", ABSENT, 2)), 2), "added", "added 'a': 1, 'b': 2"),
    (Items((("a", 1, ABSENT), ("b", 2, ABSENT)), 0), "cleared", "cleared, removed 'a': 1, 'b': 2"),
    (Items((("a", 1, 2), ("b", 2, ABSENT)), 1), "changed", "changed 'a': 1 -> 2, removed 'b': 2"),
    (Items((), 1), "reordered", "order of the keys changed"),
    (Rebound(ABSENT, 10), "bound", "bound to 10"),
    (Rebound(10, ABSENT), "unbound", "unbound, was 10"),
    (Rebound(10, 12), "rebound", "10 -> 12"),
    (Rebound(10, 10), "written", "set to 10 again"),
    (Rebound(1, True), "rebound", "1 -> True"),
    (Rebound([1], [1, 2]), "rebound", "[1] -> [1, 2]"),
    (Rebound([1], [1]), "rebound", "another list with the same content"),
    (Rebound({"a": [1]}, {"a": 1}), "rebound", "{'a': [1]} -> {'a': 1}"),
    (Rebound(list(range(100)), [*range(50), *range(51, 100)]), "rebound", "another list: removed 50 at 50"),
    (Rebound(tuple(range(99)), tuple(range(100))), "rebound", "another tuple: inserted 99 at 99"),
    (Rebound(set(range(100)), {*range(99), "a"}), "rebound", "another set: added 'a'; discarded 99"),
    (Rebound(dict.fromkeys(range(100)), dict.fromkeys(range(99))), "rebound", "another dict: removed 99: None"),
    (Rebound(LONG + "a/b", LONG + "lib/b"), "rebound", "another str: replaced 'a' at 98 by 'lib'"),
    (Rebound(LONG + "b", LONG + "lib/b"), "rebound", "another str: inserted 'lib/' at 98"),
    (Rebound(LONG.encode(), LONG.encode() + b"!"), "rebound", "another bytes: inserted b'!' at 98"),
    (Rebound(LONG, None), "rebound", f"'{LONG}' -> None"),
    (Unknown(), "changed", "changed"),
]  # fmt: skip


@pytest.mark.parametrize(("delta", "kind", "text"), TOLD, ids=[text[:40] for _, _, text in TOLD])
def test_a_delta_is_told_in_words(delta, kind, text):
    """Each way in which a cell can change has its words."""
    change = describe(delta, "sys.path")
    assert (change.kind, change.text) == (kind, text)
    assert str(change) == f"sys.path  {text}"


def test_data_goes_with_the_words():
    """Programs read fields, not words."""
    change = describe(Spliced(1, (1, 2, 3), (1, 9, 3), 6), "rows")
    assert (change.start, change.removed, change.inserted, change.omitted) == (2, (2,), (9,), 0)
    change = describe(Items((("TZ", "UTC", "CET"),), 1), "os.environ")
    assert (change.key, change.removed, change.inserted) == ("TZ", ("UTC",), ("CET",))
    change = describe(Spliced(0, tuple(range(1000)), (), 0), "rows")
    assert change.removed == tuple(range(100))
    assert change.omitted == 900


def held_by(change):
    """Return all objects that a change reaches."""
    found, pending = [], [change]
    while pending:
        one = pending.pop()
        if isinstance(one, type):
            continue
        found.append(one)
        pending += gc.get_referents(one)
    return found


def deltas_of(one, other):
    """Return each kind of delta, of two objects."""
    return [
        Rebound(one, other),
        Rebound(ABSENT, other),
        Rebound(one, ABSENT),
        Rebound([one] * 100, [other] * 100),
        Rebound([one], [one]),
        Rebound((1, (one,)), (1, (other,))),
        Spliced(0, (one,), (other,), 1),
        Spliced(0, (one, 1, other), (other, 1, one), 3),
        Spliced(0, (one, 1, other), (1, 2, one, other), 4),
        Members((one,), (other,), 1),
        Items(((one, other, ABSENT), (other, ABSENT, one)), 1),
        Items(((one, one, other),), 1),
    ]


def test_a_change_has_no_hold_on_objects_of_the_program():
    """A hit is kept for long; what it tells of may go."""

    class Cart:
        pass

    one, other = Cart(), [Cart()]
    for delta in deltas_of(one, other):
        held = held_by(describe(delta, "cart"))
        assert not any(thing is one or thing is other for thing in held)
    assert describe(Rebound(one, 1), "cart").removed == (
        Text(f"<{__name__}.{Cart.__qualname__} object at {id(one):#x}>"),
    )


@pytest.mark.parametrize("base", [object, int, str, list, tuple, dict, set, frozenset])
def test_no_code_of_the_program_is_run(base):
    """Every hook of the objects and their classes is a trap, and none is sprung."""
    for delta in deltas_of(hostile(base), hostile(base)):
        assert describe(delta, "cart").text
    one = hostile(base)
    assert describe(Rebound(one, type(one)), "cart").text


def test_hostile_keys_are_not_hashed():
    """Two dicts, two sets are compared by key only where the keys are plain."""

    class Key:
        awake = False

        def __hash__(self):
            assert not Key.awake
            return 1

        def __eq__(self, other):
            assert not Key.awake
            return self is other

    old, new = {Key(): 1 for _ in range(30)}, {Key(): 1 for _ in range(30)}
    sets = set(old), set(new)
    Key.awake = True
    assert " -> " in describe(Rebound(old, new), "d").text
    assert " -> " in describe(Rebound(*sets), "d").text


class Counting:
    """Stands for a sequence; counts the items that are taken."""

    def __init__(self, length):
        self.length, self.taken = length, 0

    def __len__(self):
        return self.length

    def __iter__(self):
        return (self[i] for i in range(self.length))

    def __getitem__(self, index):
        if isinstance(index, slice):
            made = Counting(len(range(*index.indices(self.length))))
            return [made[i] for i in range(min(made.length, 1000))] if made.length < 1000 else made
        self.taken += 1
        return index


def test_of_a_million_items_few_are_looked_at():
    """A clear of a huge list costs no more than that of a small one."""
    removed = Counting(1_000_000)
    change = describe(Spliced(0, removed, (), 0), "rows")
    assert change.text == "cleared, removed 0, 1, 2, 3, 4, ... 999995 more"
    assert removed.taken <= 200
    removed, inserted = Counting(1_000_000), Counting(999_999)
    assert "replaced" in describe(Spliced(0, removed, inserted, 999_999), "rows").text
    assert removed.taken + inserted.taken <= 400


def test_huge_values_are_not_kept():
    """Neither a long text nor a deep tuple stays in memory for the sake of a report."""
    change = describe(Rebound("a" * 1_000_000, "b" * 1_000_000), "text")
    assert len(change.text) < 1000
    assert isinstance(change.removed[0], Text)
    assert isinstance(describe(Rebound(1, (0,) * 100_000), "t").inserted[0], Text)


items = st.lists(st.integers(0, 3) | st.sampled_from("ab"), max_size=30)


@given(items, items)
def test_the_edits_lead_from_old_to_new(old, new):
    """What the words say was done to the old list gives the new one."""
    from stopwhen.change import _edits

    made = list(old)
    for edit in reversed(_edits(tuple(old), tuple(new), 0)):
        end = edit.start + len(edit.removed)
        assert tuple(made[edit.start : end]) == tuple(edit.removed)
        made[edit.start : end] = edit.inserted
    assert made == new


@given(st.text("ab", max_size=200), st.text("ab", max_size=200))
def test_the_difference_of_long_texts_is_bounded(old, new):
    """Whatever the texts, the words stay short."""
    change = describe(Rebound("x" * 61 + old, "x" * 61 + new), "text")
    assert len(change.text) < 400


def test_a_change_is_a_value():
    """Changes compare by what they say."""
    assert describe(Rebound(1, 2), "a") == Change("rebound", "a", "1 -> 2", removed=(1,), inserted=(2,))
