"""Sameness, truth and content of values, without running their code."""

from __future__ import annotations

import array
import collections
import ctypes
import enum
import io
import math
import os
import struct
import sys
import types

import pytest

from hostile import bomb, hostile
from stopwhen import static
from stopwhen.cells import Content, Layout, Slot
from stopwhen.errors import Refused
from stopwhen.types import ABSENT
from stopwhen.values import content_cells, is_simple, same, same_structure, truth


class Plain:
    pass


NAN = float("nan")
OTHER_NAN = struct.unpack("d", struct.pack("Q", 0x7FF8000000000001))[0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, 1),
        (10**30, 10**30 + 0),
        (1.5, float("1.5")),
        (NAN, struct.unpack("d", struct.pack("d", NAN))[0]),
        (1j, complex("1j")),
        (True, True),
        ("ab", "".join(["a", "b"])),
        (b"ab", bytes(bytearray(b"ab"))),
        (None, None),
        (range(3), range(3)),
        ((1, "a", (2.0,)), (1, "a", (float("2"),))),
        (frozenset({1, "a"}), frozenset({"a", 1})),
        (frozenset({(1, 2.0)}), frozenset({(1, float("2"))})),
        ((), ()),
    ],
)
def test_equal_immutables_are_the_same(old, new):
    assert same(old, new)
    assert same_structure(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, 2),
        (1, 1.0),
        (1, True),
        (0, False),
        (0.0, -0.0),
        (NAN, OTHER_NAN),
        (complex(0.0, 0.0), complex(0.0, -0.0)),
        ("a", b"a"),
        ((0.0,), (-0.0,)),
        ((1,), (True,)),
        ((1, 2), (1,)),
        ((1, 2), (1, 3)),
        (frozenset({1}), frozenset({True})),
        (frozenset({0.0}), frozenset({-0.0})),
        (frozenset({1}), frozenset({1, 2})),
        (frozenset({(0.0,)}), frozenset({(-0.0,)})),
        (None, 0),
        (ABSENT, None),
        (range(3), range(4)),
    ],
)
def test_what_differs_in_type_or_bits_is_a_change(old, new):
    assert not same(old, new)
    assert not same_structure(old, new)


class Number(int):
    __eq__ = bomb
    __hash__ = bomb


Point = collections.namedtuple("Point", "x y")


class Color(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("old", "new"),
    [(Number(1), Number(1)), (Point(1, 2), Point(1, 2)), (Point(1, 2), (1, 2)), (Color.RED, 1)],
)
def test_equal_objects_of_other_types_are_a_change(old, new):
    assert not same(old, new)


def test_hostile_objects_are_looked_at_without_running_their_code():
    thing = hostile()
    assert same(thing, thing)
    assert not same(thing, hostile())
    assert not same_structure(thing, hostile())
    assert not is_simple(thing)
    assert not is_simple(type(thing))
    with pytest.raises(Refused):
        truth(thing)
    with pytest.raises(Refused):
        truth(type(thing))


def test_other_objects_in_tuples_count_by_identity():
    one, other = hostile(), hostile()
    assert same((1, one), (1, one))
    assert not same((1, one), (1, other))
    assert same(frozenset({(id, 1)}), frozenset({(id, 1)}))
    assert not same(([],), ([],))
    assert not same([], [])


def test_a_list_is_the_same_only_as_itself():
    items = [1]
    assert same(items, items)
    assert not same([1], [1])


def test_deeply_nested_tuples_compare():
    old, new = (), ()
    for _ in range(100_000):
        old, new = (old,), (new,)
    assert same(old, new)


def test_tuples_with_much_sharing_compare_fast():
    old, new = (1.5,), (1.5,)
    for _ in range(60):
        old, new = (old, old), (new, new)
    assert same(old, new)


def test_computed_containers_compare_by_structure():
    assert same_structure([1, {"a": {2}}], [1, {"a": {2}}])
    assert same_structure({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert not same_structure([1, 2], [2, 1])
    assert not same_structure({"a": 0.0}, {"a": -0.0})
    assert not same_structure({1: "x"}, {True: "x"})
    assert not same_structure([1], (1,))
    assert not same_structure({1: 2}, {1: 2, 3: 4})
    assert same_structure(bytearray(b"a"), bytearray(b"a"))
    assert not same_structure(bytearray(b"a"), bytearray(b"b"))
    assert same_structure(slice(1, 2), slice(1, 2))
    assert not same_structure(slice(1, 2), slice(1, 3))
    assert same_structure(array.array("i", [1]), array.array("i", [1]))
    assert not same_structure(array.array("i", [1]), array.array("q", [1]))
    assert same_structure(collections.deque([1]), collections.deque([1]))
    assert not same_structure({1, 2}, {1, 3})


def test_the_order_of_an_ordered_dict_counts():
    first = collections.OrderedDict(a=1, b=2)
    second = collections.OrderedDict(b=2, a=1)
    assert not same_structure(first, second)
    assert same_structure(first, collections.OrderedDict(first))


def test_objects_in_computed_containers_count_by_identity():
    one, other = hostile(), hostile()
    assert same_structure([one], [one])
    assert not same_structure([one], [other])
    assert not same_structure({"a": one}, {"a": other})


def test_containers_that_hold_themselves_compare():
    old, new = [1], [1]
    old.append(old)
    new.append(new)
    assert same_structure(old, new)
    new.append(2)
    assert not same_structure(old, new)


def test_bound_methods_compare_by_function_and_object():
    one, other = Plain(), Plain()
    Plain.method = lambda self: None
    assert same_structure(one.method, one.method)
    assert not same_structure(one.method, other.method)
    items = []
    assert same_structure(items.append, items.append)
    assert not same_structure(items.append, [].append)
    assert not same_structure(items.append, items.pop)
    assert same_structure("a".__len__, "a".__len__) in (True, False)


def test_views_compare_by_their_dict():
    items = {1: 2}
    assert same_structure(items.keys(), items.keys())
    assert not same_structure(items.keys(), {1: 2}.keys())
    assert same_structure(types.MappingProxyType(items), types.MappingProxyType(items))


@pytest.mark.parametrize(
    "value", [1, True, "a", b"a", None, 1.0, 1j, (), (1, ("a",)), frozenset({(1,)}), range(2), ...]
)
def test_immutable_builtins_are_simple(value):
    assert is_simple(value)


@pytest.mark.parametrize("value", [[], {}, set(), (1, []), frozenset({Plain()}), Number(1), Point(1, 2), int])
def test_all_else_is_not_simple(value):
    assert not is_simple(value)


class Sized(list):
    pass


class Lying(list):
    def __len__(self):
        bomb()


class Vague:
    def __bool__(self):
        bomb()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, bool(value)) for value in [0, 1, "", "a", b"", None, 0.0, -0.0, NAN, 0j, range(0), range(2), ()]),
        *(
            (value, bool(value))
            for value in [[], [0], {}, {1: 2}, set(), {1}, frozenset(), bytearray(), bytearray(b"a")]
        ),
        *((value, bool(value)) for value in [{}.keys(), {1: 2}.values(), memoryview(b""), memoryview(b"a")]),
        *((value, bool(value)) for value in [collections.deque(), collections.deque([1]), collections.OrderedDict()]),
        *(
            (value, bool(value))
            for value in [collections.Counter(), collections.Counter("a"), collections.UserDict(a=1)]
        ),
        *((value, bool(value)) for value in [collections.UserDict(), collections.UserList([1]), os.environ]),
        *((value, bool(value)) for value in [array.array("i"), array.array("i", [1])]),
        *((value, bool(value)) for value in [Sized(), Sized([1]), Number(0), Number(3), Point(1, 2), Color.RED]),
        (ABSENT, False),
        (Plain(), True),
        (Plain, True),
        (len, True),
        (sys, True),
        (bomb, True),
    ],
)
def test_truth_of_builtins_and_their_heirs(value, expected):
    assert truth(value) is expected


@pytest.mark.parametrize("value", [Vague(), Lying([1])])
def test_truth_that_would_run_code_is_refused(value):
    with pytest.raises(Refused) as caught:
        truth(value)
    assert caught.value.slug == "runs-code"
    assert "would run" in str(caught.value)


def stored(value, depth=1, name="v"):
    """Return the cells of the content itself, not those that tell whose it is."""
    return [cell for cell in content_cells(value, depth, name) if not isinstance(cell, Layout)]


def owners(value, depth=1, name="v"):
    return [cell.owner for cell in stored(value, depth, name)]


@pytest.mark.parametrize(
    "value",
    [
        *(
            [1],
            {1: 2},
            {1},
            bytearray(b"a"),
            collections.deque([1]),
            array.array("i", [1]),
            collections.OrderedDict(a=1),
        ),
        *(io.BytesIO(b"a"), (ctypes.c_int * 3)(), ctypes.c_int(3)),
    ],
)
def test_the_content_of_a_container_is_one_cell(value):
    cells = content_cells(value, 1, "v")
    assert Content("v", value) in cells


def test_the_content_of_an_object_is_its_instance_dict():
    thing = Plain()
    thing.x = 1
    assert owners(thing) == [thing.__dict__]
    assert owners(thing)[0] is thing.__dict__


def test_the_content_of_a_hostile_object_is_found():
    thing = hostile(x=1)
    assert owners(thing) == [{"x": 1}]
    assert [cell.name for cell in content_cells([thing, [thing]], "all", "v")]


def test_the_content_of_slots_is_a_cell_each():
    class Base:
        __slots__ = ("a",)

    class Slotted(Base):
        __slots__ = ("b",)

    thing = Slotted()
    cells = stored(thing)
    assert {cell.name for cell in cells} == {"v.a", "v.b"}
    assert all(isinstance(cell, Slot) and cell.owner is thing for cell in cells)


def test_an_heir_of_list_with_attributes_has_both():
    thing = Sized([1])
    thing.extra = 2
    assert owners(thing) == [thing, thing.__dict__]
    assert content_cells(thing, 1, "v")[0].owner is thing


def test_an_object_that_may_get_another_class_or_dict_is_looked_at_for_that():
    thing, slotted = Plain(), type("Slotted", (), {"__slots__": ("a",)})()
    for one in (thing, slotted, ValueError(), bomb):
        assert Layout("v", one) in content_cells(one, 1, "v")
    for one in ([1], {}, sys, Plain, len):
        assert not any(isinstance(cell, Layout) for cell in content_cells(one, 1, "v"))


def test_the_content_of_modules_and_classes_is_their_real_dict():
    module = types.ModuleType("m")
    assert owners(module)[0] is module.__dict__
    assert owners(Plain)[0] is static.type_dict(Plain)
    assert owners(int) == []


def test_wrappers_have_the_content_of_what_they_wrap():
    wrapped = collections.UserDict(a=1)
    assert any(owner is wrapped.data for owner in owners(wrapped))
    wrapped = collections.UserList([1])
    assert any(owner is wrapped.data for owner in owners(wrapped))
    assert any(owner is os.environ._data for owner in owners(os.environ))
    first, second = {}, {}
    found = owners(collections.ChainMap(first, second))
    assert any(owner is first for owner in found)
    assert any(owner is second for owner in found)
    target = bytearray(b"abc")
    part = memoryview(target)[1:]
    assert owners(part)[0] is part, "the rest of its target is not its content"
    items = {1: 2}
    assert owners(items.values())[0] is items
    assert owners(types.MappingProxyType(items))[0] is items


@pytest.mark.parametrize(
    "value", [1, "a", None, (1, 2), (), frozenset(), range(3), ABSENT, b"a", len, memoryview(b"a")]
)
def test_immutable_values_have_no_content(value):
    assert content_cells(value, 1, "v") == ()


def test_depth_says_how_far_content_reaches():
    inner = [1]
    middle = {"k": inner}
    outer = [middle]
    assert owners(outer, 0) == []
    assert [cell.name for cell in content_cells(outer, 1, "rows")] == ["rows"]
    assert [cell.name for cell in content_cells(outer, 2, "rows")] == ["rows", "rows[0]"]
    assert [cell.name for cell in content_cells(outer, 3, "rows")] == ["rows", "rows[0]", "rows[0]['k']"]
    assert [cell.name for cell in content_cells(outer, "all", "rows")] == ["rows", "rows[0]", "rows[0]['k']"]


def test_names_are_as_a_user_would_write_them():
    thing = Plain()
    thing.db = Plain()
    thing.db.pool = ({"k" * 60: []},)
    names = [cell.name for cell in stored(thing, "all", "cfg")]
    assert names[:2] == ["cfg", "cfg.db"]
    assert names[2].startswith("cfg.db.pool[0]")
    assert len(names[3]) < 80


def test_cycles_are_followed_once():
    items = [1]
    items.append(items)
    assert len(content_cells(items, "all", "v")) == 1


def test_members_and_keys_are_reached():
    member, key = Plain(), Plain()
    found = owners({frozenset({member}): 1, key: 2}, "all")
    assert any(owner is member.__dict__ for owner in found)
    assert any(owner is key.__dict__ for owner in found)


def test_modules_classes_and_functions_are_not_followed():
    thing = Plain()
    thing.module, thing.cls, thing.function = sys, Plain, bomb
    assert len(stored(thing, "all")) == 1


def test_too_much_content_is_refused():
    with pytest.raises(Refused) as caught:
        content_cells([[] for _ in range(10_001)], 2, "v")
    assert caught.value.slug == "too-deep"
    assert len(content_cells([[] for _ in range(9_000)], 2, "v")) == 9_001


def test_a_property_called_dict_is_not_asked():
    class Sly:
        __dict__ = property(bomb)

    assert content_cells(Sly(), 1, "v") == ()


def test_a_buffer_made_in_python_is_not_asked():
    class Sly:
        __buffer__ = bomb

    thing = Sly()
    assert owners(thing) == [thing.__dict__]


def test_a_released_memoryview_has_no_content():
    view = memoryview(bytearray(b"a"))
    view.release()
    assert content_cells(view, 1, "v") == ()


def test_nan_is_itself():
    assert same(math.nan, math.nan)
    assert same((math.nan,), (math.nan,))
