"""What the bytes of arrays and ctypes objects mean."""

from __future__ import annotations

import array
import ctypes
import io
import mmap

import pytest

from stopwhen import content, deltas, memory
from stopwhen.event import Items, Spliced, Unknown
from stopwhen.texts import text_of
from traps import trap


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_short), ("bits", ctypes.c_uint, 3)]


class Named(Point):
    _fields_ = [("name", ctypes.c_char_p), ("tag", ctypes.c_char * 4), ("next", ctypes.POINTER(Point))]


class Guarded(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int)]
    __init__ = __new__ = __getattribute__ = __repr__ = trap


def raw(value):
    return bytes(memoryview(value))


def test_fields_are_those_of_all_bases():
    assert [name for name, _ in memory.fields_in(Named(1, 2), raw(Named(1, 2)))] == [
        "x",
        "y",
        "bits",
        "name",
        "tag",
        "next",
    ]


def test_what_a_pointer_points_to_is_not_read():
    wild = Named()
    ctypes.memset(ctypes.byref(wild), 0x11, ctypes.sizeof(wild))
    fields = dict(memory.fields_in(wild, raw(wild)))
    assert repr(fields["name"]) == repr(fields["next"]) == hex(0x1111111111111111)
    assert "0x1111111111111111" in text_of(wild)


def test_no_code_of_a_structure_is_run():
    one = type(Guarded).from_buffer_copy(Guarded, b"\1\0\0\0")
    assert memory.fields_in(one, b"\2\0\0\0") == [("x", 2)]
    assert text_of(one) == "Guarded(x=1)"


def placed(*delta):
    """Return a delta of items that keep their places."""
    return Spliced(*delta, elementwise=True)


@pytest.mark.parametrize(
    ("owner", "old", "new", "delta"),
    [
        (Point(1, 2), Point(1, 2), Point(5, 2), Items((("x", 1, 5),), 3, attributes=True)),
        (Point(1, 2, 3), Point(1, 2, 3), Point(1, 2, 4), Items((("bits", 3, 4),), 3, attributes=True)),
        (ctypes.c_int(1), ctypes.c_int(1), ctypes.c_int(2), Items((("value", 1, 2),), 1, attributes=True)),
        (ctypes.c_float(), ctypes.c_float(0), ctypes.c_float(-0.0), Items((("value", 0.0, -0.0),), 1, attributes=True)),
        (array.array("h"), array.array("h", [1, 2, 3]), array.array("h", [1, 9, 3]), placed(1, (2,), (9,), 3)),
        (array.array("h"), array.array("h", [1, 2]), array.array("h", [1]), Spliced(1, (2,), (), 1)),
        ((ctypes.c_int * 2)(), (ctypes.c_int * 2)(1, 2), (ctypes.c_int * 2)(1, 3), placed(1, (2,), (3,), 2)),
        ((ctypes.c_char * 2)(), (ctypes.c_char * 2)(1, 2), (ctypes.c_char * 2)(1, 3), Spliced(1, b"\2", b"\3", 2)),
        (memoryview(array.array("i", [0])), array.array("i", [1]), array.array("i", [2]), placed(0, (1,), (2,), 1)),
        (mmap.mmap(-1, 3), b"abc", b"axc", Spliced(1, b"b", b"x", 3)),
    ],
)  # fmt: skip
def test_a_difference_is_told_by_items_or_fields(owner, old, new, delta):
    assert deltas.of_memories(owner, raw(old), raw(new)) == delta


def test_a_difference_in_no_field_is_unknown():
    padding = bytearray(raw(Point(1, 2)))
    padding[6] |= 0x80
    assert deltas.of_memories(Point(1, 2), raw(Point(1, 2)), bytes(padding)) in (Unknown(), None)


def test_many_items_stay_bytes_until_they_are_looked_at():
    many = array.array("q", range(100_000))
    items = memory.items_in(many, many.tobytes())
    assert not isinstance(items, tuple)
    assert (len(items), items[7], items[-1], list(items[2:4])) == (100_000, 7, 99_999, [2, 3])
    with pytest.raises(IndexError):
        items[100_000]


def test_closed_or_constant_memory_is_no_content():
    file = io.BytesIO(b"a")
    file.close()
    view = memoryview(bytearray(b"a"))
    view.release()
    assert [content.source_of(one) for one in (file, view, memoryview(b"a"), b"a", "a", 1)] == [None] * 6


def test_a_view_that_cannot_be_written_to_may_change_all_the_same():
    assert content.source_of(memoryview(bytearray(b"a")).toreadonly()) is not None
