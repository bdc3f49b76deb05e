"""The hit: a value of its own, with no hold on the program once it is kept."""

from __future__ import annotations

import gc
import types
import weakref

import pytest

from stopwhen.change import describe
from stopwhen.event import Rebound
from stopwhen.hit import Hit
from stopwhen.location import locate
from stopwhen.texts import Text, text_of
from stopwhen.types import ABSENT, AccessType
from traps import hostile


def make_hit(old, new, *, number=1, count=1, **fields):
    """Return a hit of a watchpoint on `total`."""
    watchpoint = types.SimpleNamespace(
        number=number, expression=types.SimpleNamespace(text="total"), access=AccessType.CHANGE
    )
    places = ((make_hit.__code__, 0), (hostile.__code__, 0))
    known = {
        "watchpoint": watchpoint,
        "old": old,
        "new": new,
        "old_text": text_of(old),
        "new_text": text_of(new),
        "change": describe(Rebound(old, new), "total"),
        "location": locate(*places[0]),
        "own_location": locate(*places[0]),
        "by": None,
        "thread": "MainThread",
        "thread_id": 1,
        "task": None,
        "pid": 1,
        "time_ns": 0,
        "count": count,
        "mechanism": "recheck",
        "places": places,
    }
    return Hit(**known | fields)


def test_hits_are_equal_when_watchpoint_and_count_are():
    """What the values are does not matter, nor how they compare."""
    assert make_hit(1, 2) == make_hit(hostile(), hostile())
    assert hash(make_hit(1, 2)) == hash(make_hit(3, 4))
    assert make_hit(1, 2) != make_hit(1, 2, count=2)
    assert make_hit(1, 2) != make_hit(1, 2, number=2)
    assert make_hit(1, 2) != (1, 1)
    assert len({make_hit(1, 2), make_hit(3, 4), make_hit(1, 2, count=2)}) == 2


def test_a_hit_is_immutable():
    """What happened has happened."""
    with pytest.raises(AttributeError, match="cannot assign"):
        make_hit(1, 2).count = 7


def test_the_stack_is_made_when_asked_for():
    """Innermost first, from the raw places; the same each time."""
    hit = make_hit(1, 2)
    assert hit.stack == tuple(locate(code, offset) for code, offset in hit.places)
    assert hit.stack is hit.stack
    assert [place.function for place in hit.stack] == ["make_hit", "hostile"]
    assert make_hit(1, 2, places=()).stack == ()


def test_a_kept_hit_has_simple_values_themselves():
    """Numbers and texts are of use later; absent is one of them."""
    kept = make_hit(ABSENT, (1, "a")).kept()
    assert kept.old is ABSENT
    assert kept.new == (1, "a")


def test_a_kept_hit_has_no_hold_on_other_objects():
    """Of these the text stays."""

    class Cart:
        pass

    old, new = Cart(), [Cart()]
    hit = make_hit(old, new)
    kept = hit.kept()
    assert kept == hit
    assert (kept.old, kept.new) == (Text(text_of(old)), Text(text_of(new)))
    assert repr(kept.old) == hit.old_text
    gone = weakref.ref(old), weakref.ref(new[0])
    del hit, old, new
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_a_hit_can_be_shown_without_running_the_programs_code():
    """Its repr is made of texts."""
    hit = make_hit(hostile(), hostile(list))
    assert repr(hit).startswith("<Hit 1 of watchpoint 1: total  <shop.Hostile object at ")
    assert repr(hit.kept()) == repr(hit)
    assert repr(make_hit(1, 2, location=None)) == "<Hit 1 of watchpoint 1: total  1 -> 2 in C code>"
