"""Classes that are declared as frozen dataclasses are, and made in less time."""

from __future__ import annotations

import copy
import pickle

import pytest

from stopwhen.immutable import Immutable, fields_of, replaced


class Point(Immutable):
    x: int
    y: int = 2


class Place(Point, Immutable):
    name: str = "here"

    @property
    def both(self) -> tuple[int, int]:
        return self.x, self.y


class Nothing(Immutable):
    pass


class Token(Immutable, eq=False):
    x: int


@pytest.mark.parametrize(
    ("made", "fields"),
    [
        (lambda: Point(1), {"x": 1, "y": 2}),
        (lambda: Point(1, 3), {"x": 1, "y": 3}),
        (lambda: Point(1, y=3), {"x": 1, "y": 3}),
        (lambda: Point(y=3, x=1), {"x": 1, "y": 3}),
        (lambda: Place(1), {"x": 1, "y": 2, "name": "here"}),
        (lambda: Place(1, name="there"), {"x": 1, "y": 2, "name": "there"}),
        (lambda: Nothing(), {}),
        (lambda: replaced(Point(1), x=5), {"x": 5, "y": 2}),
        (lambda: Point(1).__replace__(y=5), {"x": 1, "y": 5}),
    ],
)
def test_fields_are_given_in_order_or_by_name(made, fields):
    assert fields_of(made()) == fields


@pytest.mark.parametrize(
    "made",
    [
        lambda: Point(),
        lambda: Point(y=1),
        lambda: Point(1, 2, 3),
        lambda: Point(1, 2, y=3),
        lambda: Point(1, x=3),
        lambda: Point(1, z=3),
        lambda: Nothing(1),
        lambda: Nothing(x=1),
    ],
)
def test_wrong_values_are_refused(made):
    with pytest.raises((TypeError, ValueError)):
        made()


def test_nothing_changes():
    one = Place(1)
    for name in ("x", "name", "other"):
        with pytest.raises(AttributeError, match=name):
            setattr(one, name, 3)
        with pytest.raises(AttributeError, match=name):
            delattr(one, name)
    assert not hasattr(one, "__dict__")
    assert one.both == (1, 2)


def test_equal_are_those_of_one_class_with_equal_fields():
    assert Point(1) == Point(1, 2) != Point(2)
    assert {Point(1): "a"}[Point(1)] == "a"
    assert Nothing() == Nothing() != Point(1) != Place(1)
    assert Token(1) != Token(1)
    assert len({Token(1), Token(1)}) == 2


def test_copies_are_equal_and_texts_name_the_fields():
    for one in (Place(1), Point([1]), Nothing()):
        assert copy.copy(one) == copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(Place(4))) == Place(4)
    assert repr(Place(1)) == "Place(x=1, y=2, name='here')"


def test_patterns_take_fields_in_order():
    match Place(1, 5):
        case Place(x, y):
            assert (x, y) == (1, 5)
