"""Texts of values: bounded, printable, and made without running anything of the program's."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import sys
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopwhen.texts import Text, clean, text_of
from stopwhen.types import ABSENT
from traps import hostile, hostile_class, trap


class Colour(enum.Enum):
    RED = 1


class Flags(enum.IntFlag):
    X = 1
    Y = 2


class Pair(typing.NamedTuple):
    x: typing.Any
    y: typing.Any


@dataclasses.dataclass
class Point:
    x: int
    tags: list
    secret: str = dataclasses.field(default="s", repr=False)
    kind: typing.ClassVar = "c"


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int = 3


class Queue(list):
    pass


class Name(str):
    __slots__ = ()


class Plain:
    def method(self):
        pass


ordered = collections.OrderedDict(a=1, b=2)
ordered.move_to_end("a")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ABSENT, "absent"),
        (None, "None"),
        (True, "True"),
        (..., "Ellipsis"),
        (-7, "-7"),
        (-0.0, "-0.0"),
        (1j, "1j"),
        ("a'b\n", '"a\'b\\n"'),
        (b"a", "b'a'"),
        (bytearray(b"a"), "bytearray(b'a')"),
        ([], "[]"),
        ([1, "a"], "[1, 'a']"),
        ((), "()"),
        ((1,), "(1,)"),
        ((1, 2), "(1, 2)"),
        ({}, "{}"),
        ({"a": [1]}, "{'a': [1]}"),
        (set(), "set()"),
        ({3, 20, 1}, "{1, 3, 20}"),
        (frozenset(), "frozenset()"),
        (frozenset("ba"), "frozenset({'a', 'b'})"),
        (collections.deque([1]), "deque([1])"),
        (collections.deque([1], 3), "deque([1], maxlen=3)"),
        (array.array("d", [1, 2]), "array('d', [1.0, 2.0])"),
        (ordered, "OrderedDict({'b': 2, 'a': 1})"),
        (collections.Counter("aab"), "Counter({'a': 2, 'b': 1})"),
        (range(5), "range(0, 5)"),
        (slice(1, None), "slice(1, None, None)"),
        (Colour.RED, "Colour.RED"),
        (Flags.X | Flags.Y, "Flags.X|Y"),
        (Flags(0), "Flags(0)"),
        (Pair(1, [2]), "Pair(x=1, y=[2])"),
        (Point(1, [2]), "Point(x=1, tags=[2])"),
        (Slotted(), "Slotted(x=3)"),
        (Queue([1]), "Queue([1])"),
        (Name("a"), "Name('a')"),
        (KeyError("a"), "KeyError('a')"),
        (decimal.Decimal("1.50"), "Decimal('1.50')"),
        (dt.date(2024, 1, 2), "datetime.date(2024, 1, 2)"),
        (dt.timedelta(3), "datetime.timedelta(days=3)"),
        (
            dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC),
            "datetime.datetime(2024, 1, 2, 3, 0, tzinfo=datetime.timezone.utc)",
        ),
        (pathlib.PurePosixPath("/a", "b"), "PurePosixPath('/a/b')"),
        (pathlib.PurePosixPath("a") / "b", "PurePosixPath('a/b')"),
        (len, "<built-in function len>"),
        (list.append, "<method 'append' of 'list' objects>"),
        (sys, "<module 'sys'>"),
        (int, "<class 'int'>"),
        (Plain, f"<class '{__name__}.Plain'>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_well_known_values_look_as_in_python(value, text):
    """What everybody knows the look of has it; subclasses bear their own name."""
    assert text_of(value) == text


def test_other_objects_are_shown_by_class_and_address():
    """An object that is only itself is told from others by its address."""
    one = Plain()
    assert text_of(one) == f"<{__name__}.Plain object at {id(one):#x}>"
    assert text_of(one.method) == f"<bound method Plain.method of {text_of(one)}>"
    assert text_of(Plain.method) == f"<function {__name__}.Plain.method at {id(Plain.method):#x}>"


def test_what_is_left_out_is_counted():
    """A text that was cut says how much there is."""
    assert text_of(list(range(1_000_000))) == "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... 999990 more]"
    assert text_of("x" * 5000).endswith("xxx' (5000 characters)")
    assert text_of(b"x" * 5000).endswith("xxx' (5000 bytes)")
    assert text_of(1 << 40_000) == "<int of 40001 bits>"
    assert text_of([[[[[1, 2]]]]]) == "[[[[... 1 more]]]]"
    assert text_of(decimal.Decimal("1" * 10_000)).startswith("<Decimal of ")


def test_a_long_text_keeps_its_ends():
    """Of a long path the file at the end matters as much as the root."""
    text = text_of("/home" + "x" * 5000 + "lib.py")
    assert text.startswith("'/home")
    assert "lib.py' (" in text


def test_a_cycle_ends():
    """A container that holds itself is shown once."""
    cycle = [1]
    cycle.append(cycle)
    assert text_of(cycle) == "[1, [...]]"
    mapping = {}
    mapping["me"] = mapping
    assert text_of(mapping) == "{'me': {...}}"
    twice = [1]
    assert text_of([twice, twice]) == "[[1], [1]]"


def test_a_long_container_is_not_walked():
    """A million items cost as many calls as the few that are shown."""
    for many in (
        [0] * 10**6,
        (0,) * 10**6,
        dict.fromkeys(range(10**6)),
        set(range(10**6)),
        "a" * 10**7,
        [[0] * 10**6] * 10,
    ):
        calls = count_calls(lambda many=many: text_of(many))
        assert calls < 1000


def count_calls(function):
    """Return how many calls, of C functions too, `function` makes."""
    count = 0

    def note(_frame, event, _arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


BASES = (object, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset)


@pytest.mark.parametrize("base", [*BASES, collections.deque, collections.OrderedDict, decimal.Decimal])
@pytest.mark.parametrize(
    "put",
    [
        lambda value: value,
        lambda value: [value, {1: value}],
        lambda value: (type(value), [type(value)]),
        lambda value: KeyError(value),
        lambda value: Plain.method.__get__(value),
        lambda value: Pair(value, slice(value)),
        lambda value: Point(value, [type(value)]),
    ],
    ids=["instance", "inside", "class", "argument", "method", "namedtuple", "dataclass"],
)
def test_no_code_of_the_program_is_run(base, put):
    """Every hook of class and metaclass is a trap, and none is sprung."""
    assert text_of(put(hostile(base)))


def test_a_path_of_a_hostile_class_is_read_as_stored():
    """Paths are Python's own code, so not even their `__str__` is run."""
    made = object.__new__(hostile_class(pathlib.PurePath))
    assert text_of(made) == "Hostile(...)"


def test_a_subclass_of_a_hostile_class_is_hostile_too():
    """What is inherited is not run either."""
    parent = hostile_class(list)
    child = type.__new__(type(parent), "Child", (parent,), {"__module__": "shop"})
    assert text_of(list.__new__(child)) == "Child([])"


def test_a_hostile_time_zone_is_not_asked():
    """A datetime's own repr would ask its tzinfo."""

    class Zone(dt.tzinfo):
        __repr__ = __str__ = utcoffset = dst = tzname = trap

    assert "tzinfo=<" in text_of(dt.datetime(2024, 1, 1, tzinfo=Zone()))

    class Stamp(dt.datetime):
        __new__ = dt.datetime.__new__
        replace = __repr__ = trap

    assert text_of(Stamp(2024, 1, 2)) == "Stamp(datetime.datetime(2024, 1, 2, 0, 0))"


def test_names_that_are_not_plain_str_do_no_harm():
    """A class may be named by a str of a class of the user's."""

    class Hostile(str):
        __slots__ = ()
        __str__ = __format__ = __repr__ = __eq__ = trap
        __hash__ = str.__hash__

    cls = type("C", (), {})
    cls.__qualname__ = cls.__name__ = Hostile("Odd")
    cls.__module__ = Hostile("shop")
    assert text_of(cls()).startswith("<shop.Odd object at ")
    cls.__module__ = 7
    assert text_of(cls()).startswith("<Odd object at ")


def test_a_class_with_the_name_of_a_standard_one_is_not_taken_for_it():
    """Only what is made in C is read by C's ways."""
    fake = type("Decimal", (), {"__module__": "decimal", "__repr__": trap, "__sizeof__": trap})
    assert text_of(fake()).startswith("<decimal.Decimal object at ")
    fake = type("array", (list,), {"__module__": "array", "__getitem__": trap})
    assert text_of(fake([1])) == "array([1])"


def test_properties_with_the_names_of_fields_are_not_run():
    """A dataclass field that a subclass overrides by a property is shown as absent."""

    class Sly(Point):
        x = property(trap)

    made = object.__new__(Sly)
    assert text_of(made) == "Sly(x=absent, tags=absent)"


@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    ),
    st.integers(20, 300),
)
def test_every_text_is_bounded_and_printable(value, limit):
    """Nothing that a terminal obeys is in it; what fits is what Python shows."""
    text = text_of(value, limit)
    assert len(text) <= limit
    assert text.isprintable()


@given(st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers(0, 99), max_size=10))
def test_what_is_short_is_shown_as_python_does(value):
    """A text that needs no cutting is the repr."""
    assert text_of(value) == repr(value)


def test_clean_escapes_what_a_terminal_obeys():
    """Escape sequences, line ends, surrogates and writing direction marks are shown, not sent."""
    assert clean("a\x1b[31m\n\udc80\u202eé") == "a\\x1b[31m\\n\\udc80\\u202eé"


def test_a_text_stands_for_a_value():
    """The placeholder looks as the value did."""
    assert repr(Text("<shop.Cart object at 0x1>")) == "<shop.Cart object at 0x1>"
    assert Text("a") == Text("a")
