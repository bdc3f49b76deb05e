"""A watch expression is read to its value and the cells it depends on, in order, without running the program's code."""

from __future__ import annotations

import array
import collections
import ctypes
import enum
import functools
import math
import os
import sys
import types

import pytest

from hostile import bomb, hostile
from stopwhen import static
from stopwhen.cells import Closure, Content, DictItem, Layout, ListItem, Local, Opaque, Slot
from stopwhen.dependencies import read
from stopwhen.errors import Refused
from stopwhen.expression import parse
from stopwhen.frames import ref
from stopwhen.scope import FrameScope, MainScope, ModuleScope, NamespaceScope
from stopwhen.types import ABSENT


class Thing:
    kind = "thing"

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def method(self):
        bomb()

    @property
    def computed(self):
        bomb()

    @classmethod
    def made(cls):
        bomb()

    @staticmethod
    def helper():
        bomb()

    @functools.cached_property
    def cached(self):
        bomb()


class Slotted:
    __slots__ = ("empty", "x")

    def __init__(self):
        self.x = 1


class Color(enum.Enum):
    RED = 1
    BLUE = 2


Point = collections.namedtuple("Point", "x y")


def reading(text, names=None, **options):
    return read(parse(text), NamespaceScope({} if names is None else names), **options)


def value(text, **names):
    return reading(text, names).value


def cells(text, **names):
    """Return the cells but those of the root names."""
    return [cell for cell in reading(text, names).cells if not (type(cell) is DictItem and cell.name.isidentifier())]


def refusal(text, **names):
    with pytest.raises(Refused) as caught:
        reading(text, names)
    assert caught.value.args[0].startswith(f"cannot watch {text!r}: ")
    assert caught.value.hint
    return caught.value


class TestNames:
    def test_a_name_is_one_cell_of_its_namespace(self):
        names = {"x": 5}
        found = reading("x", names)
        assert found.value == 5
        assert found.cells == (DictItem("x", names, "x"),)
        assert not found.fresh
        assert found.absent_because is None

    def test_a_missing_name_is_absent_and_every_place_is_consulted(self):
        names = {}
        found = reading("x.y", names)
        assert found.value is ABSENT
        assert found.absent_because.startswith("NameError: name 'x' is not defined")
        assert found.cells == (
            DictItem("x", names, "x"),
            DictItem("x", __builtins__ and vars(__import__("builtins")), "x"),
        )
        assert found.content == ()

    def test_locals_of_a_frame(self):
        total = [1]
        frame = sys._getframe()
        found = read(parse("total[0] + len(total)"), FrameScope(frame))
        assert found.value == 2
        assert Local("total", ref(frame), "total") in found.cells
        assert total == [1]

    def test_closure_variables_of_a_frame(self):
        shared = 1

        def inner():
            return shared

        found = read(parse("shared"), FrameScope(sys._getframe()))
        assert found.value == inner()
        assert all(isinstance(cell, Local | Closure) for cell in found.cells)

    def test_the_imported_module_of_a_root_name(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
        found = read(parse("sys.path"), MainScope())
        assert found.value is sys.path
        assert found.cells[-2:] == (DictItem("sys", sys.modules, "sys"), DictItem("sys.path", vars(sys), "path"))
        assert found.content == (Content("sys.path", sys.path),)

    def test_a_submodule_while_it_is_imported(self, monkeypatch):
        package, module = types.ModuleType("shop"), types.ModuleType("shop.config")
        module.x = 1
        monkeypatch.setitem(sys.modules, "shop", package)
        monkeypatch.setitem(sys.modules, "shop.config", module)
        found = read(parse("shop.config.x"), MainScope())
        assert found.value == 1
        assert DictItem("shop.config", vars(package), "config") in found.cells
        assert DictItem("shop.config", sys.modules, "shop.config") in found.cells

    def test_a_pending_module(self):
        found = read(parse("x"), ModuleScope("not.imported"))
        assert found.value is ABSENT
        assert "not imported yet" in found.absent_because

    @pytest.mark.skipif(not hasattr(types, "LazyImportType"), reason="lazy imports are new in 3.15")
    def test_a_lazy_import_is_not_made(self):
        names = {}
        exec("lazy import this", names)
        assert refusal("this.s", **names).slug == "runs-code"
        assert "this" not in sys.modules

    def test_a_name_bound_in_a_comprehension_only_is_absent_outside(self):
        assert value("[i for i in rows] and i", rows=[1]) is ABSENT


class TestAttributes:
    def test_an_instance_attribute_depends_on_class_and_instance(self):
        thing = Thing(x=5)
        assert value("t.x", t=thing) == 5
        assert cells("t.x", t=thing) == [
            Layout("t", thing),
            DictItem("t.x", static.type_dict(Thing), "x"),
            DictItem("t.x", thing.__dict__, "x"),
        ]

    def test_what_cannot_get_another_class_or_dict_needs_no_cell_for_it(self):
        for builtin in (1, "text", sys, 1j.real, [].append):
            assert not any(isinstance(cell, Layout) for cell in cells("t.__class__", t=builtin))

    def test_the_class_of_an_object_is_consulted(self):
        thing = Thing()
        for text in ("type(t)", "t.__class__", "isinstance(t, Thing)", "vars(t)", "t.__dict__"):
            assert Layout("t", thing) in cells(text, t=thing, Thing=Thing)

    def test_the_owner_is_the_real_dict(self):
        class Own:
            x = 1

        cell = cells("c.x", c=Own)[-1]
        assert type(cell.owner) is dict
        cell.owner["x"] = 2
        assert Own.x == 2

    def test_a_class_attribute_of_an_instance_can_be_hidden(self):
        thing = Thing()
        assert value("t.kind", t=thing) == "thing"
        assert cells("t.kind", t=thing)[-1] == DictItem("t.kind", thing.__dict__, "kind")
        thing.kind = "own"
        assert value("t.kind", t=thing) == "own"

    def test_every_class_up_to_the_one_that_has_it_is_consulted(self):
        class Heir(Thing):
            pass

        heir = Heir()
        _, *owners = [cell.owner for cell in cells("t.kind", t=heir)]
        assert owners[0] is static.type_dict(Heir)
        assert owners[1] is static.type_dict(Thing)

    def test_a_slot_is_a_cell(self):
        thing = Slotted()
        assert value("t.x", t=thing) == 1
        assert Slot("t.x", thing, Slotted.__dict__["x"]) in cells("t.x", t=thing)

    def test_an_empty_slot_is_absent(self):
        found = reading("t.empty", {"t": Slotted()})
        assert found.value is ABSENT
        assert found.absent_because.startswith("AttributeError")
        assert type(found.cells[-1]) is Slot

    def test_a_missing_attribute_is_absent(self):
        found = reading("t.nope", {"t": Thing()})
        assert found.value is ABSENT
        assert found.absent_because == "AttributeError: 'Thing' object has no attribute 'nope'"

    def test_bound_methods(self):
        thing = Thing()
        found = reading("t.method", {"t": thing})
        assert found.value == thing.method
        assert found.fresh
        assert value("t.made", t=thing) == Thing.made
        assert value("c.made", c=Thing) == Thing.made
        assert value("t.helper", t=thing) is Thing.helper
        assert value("c.helper", c=Thing) is Thing.helper
        assert value("c.method", c=Thing) is Thing.method
        assert value("[].append.__name__") == "append"
        assert value("c.computed", c=Thing) is Thing.__dict__["computed"]

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            ("t.computed", "'Thing.computed' is a property"),
            ("t.user", "'Described.user' is a Descriptor, whose __get__ would run"),
            ("t.data", "'Described.data' is a DataDescriptor, whose __get__ would run"),
            ("g.x", "Getter.__getattribute__ would run"),
            ("f.x", "Fallback.__getattr__ would run"),
            ("Described.user", "whose __get__ would run"),
            ("Meta.x", "MetaFallback.__getattr__ would run"),
            ("lz.x", "module 'lz' computes 'x' in its __getattr__"),
        ],
    )
    def test_what_computes_attributes_is_refused(self, text, word):
        class Descriptor:
            __get__ = bomb

        class DataDescriptor:
            __get__ = bomb
            __set__ = bomb

        class Described(Thing):
            user = Descriptor()
            data = DataDescriptor()

        class Getter:
            __getattribute__ = bomb

        class Fallback:
            __getattr__ = bomb

        class MetaFallback(type):
            __getattr__ = bomb

        lazy = types.ModuleType("lz")
        lazy.__getattr__ = bomb
        described = Described(data=5)
        names = {"t": described, "g": Getter(), "f": Fallback(), "Described": Described, "lz": lazy}
        names["Meta"] = MetaFallback("Meta", (), {})
        error = refusal(text, **names)
        assert error.slug == "runs-code"
        assert word in str(error)

    def test_what_is_stored_is_found_before_what_computes(self):
        class Fallback:
            __getattr__ = bomb

        thing = Thing(cached=5)
        fallback = Fallback()
        fallback.x = 1
        lazy = types.ModuleType("lz")
        lazy.__getattr__ = bomb
        lazy.x = 3
        assert value("t.cached", t=thing) == 5
        assert value("f.x", f=fallback) == 1
        assert value("m.x", m=lazy) == 3

    def test_a_hostile_object_is_refused_not_run(self):
        thing = hostile(x=5)
        assert refusal("t.x", t=thing).slug == "runs-code"
        assert refusal("t.x", t=type(thing)).slug == "runs-code"

    def test_a_property_called_dict_is_not_asked(self):
        class Sly:
            __dict__ = property(bomb)

        sly = Sly()
        sly.x = 1
        assert refusal("t.x", t=sly).slug == "runs-code"

    def test_a_property_called_class_is_not_asked(self):
        class Sly:
            __class__ = property(bomb)
            x = 1

        assert value("t.x", t=Sly()) == 1
        assert refusal("isinstance(t, int)", t=Sly()).slug == "runs-code"
        assert refusal("t.__class__", t=Sly()).slug == "runs-code"

    def test_attributes_of_classes(self):
        assert value("c.kind", c=Thing) == "thing"
        assert value("c.__name__", c=Thing) == "Thing"
        assert value("c.nope", c=Thing) is ABSENT
        assert value("c.__name__", c=int) == "int"

    def test_attributes_of_a_metaclass(self):
        class Meta(type):
            shared = 1

            def method(cls):
                bomb()

        class Made(metaclass=Meta):
            pass

        assert value("c.shared", c=Made) == 1
        assert value("c.method", c=Made) == Made.method
        assert DictItem("c.shared", static.type_dict(Meta), "shared") in cells("c.shared", c=Made)

    def test_enum_members_and_their_values(self):
        names = {"Color": Color, "c": Color.RED}
        assert value("Color.RED", **names) is Color.RED
        assert value("c is Color.RED", **names) is True
        assert value("c == Color.BLUE", **names) is False
        assert value("c.value", **names) == 1
        assert value("c.name", **names) == "RED"

    def test_fields_of_named_tuples(self):
        point = Point(1, [2])
        found = reading("p.y", {"p": point})
        assert found.value is point.y
        assert found.content == (Content("p.y", point.y),)

    @pytest.mark.parametrize(
        "text", ["(3).real", "(3.5).imag", "range(2, 5).start", "(1j).imag", "len.__name__", "'a'.upper.__name__"]
    )
    def test_attributes_of_builtin_values(self, text):
        assert value(text) == eval(text)

    def test_attributes_of_functions(self):
        def function(a=1):
            bomb()

        function.note = 5
        assert value("f.note", f=function) == 5
        found = reading("f.__defaults__", {"f": function})
        assert found.value == (1,)
        assert any(type(cell) is Opaque for cell in found.cells)
        method = Thing().method
        assert value("m.__name__", m=method) == "method"
        assert value("m.__self__", m=method) is method.__self__

    def test_an_instance_dict(self):
        thing = Thing(x=1)
        assert value("t.__dict__", t=thing) is thing.__dict__
        assert value("vars(t)", t=thing) is thing.__dict__
        assert value("m.__dict__", m=math) is math.__dict__
        assert value("t.__dict__['x']", t=thing) == 1

    def test_getattr_and_hasattr(self):
        thing = Thing(x=1)
        assert value("getattr(t, 'x')", t=thing) == 1
        assert value("getattr(t, 'y', 5)", t=thing) == 5
        assert value("getattr(t, 'y')", t=thing) is ABSENT
        assert value("hasattr(t, 'x')", t=thing) is True
        assert value("hasattr(t, 'y')", t=thing) is False
        assert refusal("getattr(t, 'computed', 0)", t=thing).slug == "runs-code"

    def test_fields_of_ctypes_structures(self):
        class Pair(ctypes.Structure):
            _fields_ = (("a", ctypes.c_int),)

        pair, numbers, number = Pair(3), (ctypes.c_int * 2)(4, 5), ctypes.c_int(6)
        assert value("p.a", p=pair) == 3
        assert Content("p", pair) in cells("p.a", p=pair)
        assert value("a[1]", a=numbers) == 5
        assert Content("a", numbers) in cells("a[1]", a=numbers)
        assert value("n.value", n=number) == 6
        assert Content("n", number) in cells("n.value", n=number)


class TestItems:
    def test_an_item_of_a_dict_is_a_cell(self):
        items = {"k": 1}
        found = reading("d['k']", {"d": items})
        assert found.value == 1
        assert found.cells[-1] == DictItem("d['k']", items, "k")
        assert found.cells[-1].name == "d['k']"

    def test_a_missing_key_is_absent(self):
        items = {}
        found = reading("d['k']", {"d": items})
        assert found.value is ABSENT
        assert found.absent_because == "KeyError: 'k'"
        assert found.cells[-1] == DictItem("d['k']", items, "k")

    def test_what_would_make_a_missing_item_is_not_asked(self):
        class Making(dict):
            __missing__ = bomb

        default = collections.defaultdict(list)
        assert value("d['k']", d=default) is ABSENT
        assert not default
        assert value("d['k']", d=Making()) is ABSENT
        assert value("d['k']", d=collections.Counter()) == 0
        assert value("d['k']", d=collections.OrderedDict(k=1)) == 1

    def test_an_heir_that_overrides_access_is_refused(self):
        class Sly(dict):
            __getitem__ = bomb

        class SlyList(list):
            __getitem__ = bomb

        assert refusal("d['k']", d=Sly(k=1)).slug == "runs-code"
        assert refusal("d[0]", d=SlyList([1])).slug == "runs-code"
        assert refusal("d[0]", d=hostile()).slug == "runs-code"

    def test_an_item_of_a_list_is_a_cell(self):
        items = [1, [2]]
        found = reading("rows[-1]", {"rows": items})
        assert found.value is items[1]
        assert found.cells[-1] == ListItem("rows[-1]", items, -1)
        assert found.content == (Content("rows[-1]", items[1]),)
        assert reading("rows[7]", {"rows": items}).absent_because == "IndexError: list index out of range"

    def test_a_slice_depends_on_the_content(self):
        items = [1, 2, 3]
        found = reading("rows[1:]", {"rows": items})
        assert found.value == [2, 3]
        assert found.fresh
        assert found.cells[-1] == Content("rows", items)
        assert found.content == ()

    def test_an_index_that_is_an_object_is_refused(self):
        class Index:
            __index__ = bomb

        for text in ("rows[i]", "rows[i:]", "pair[i]", "word[i]"):
            assert refusal(text, rows=[1], pair=(1,), word="a", i=Index()).slug == "runs-code"
        assert value("rows['a']", rows=[1]) is ABSENT

    @pytest.mark.parametrize(
        ("container", "text"),
        [
            ((1, 2), "c[1]"),
            ("abc", "c[1:]"),
            (b"abc", "c[0]"),
            (range(9), "c[3]"),
            (bytearray(b"abc"), "c[1]"),
            (collections.deque([1, 2]), "c[1]"),
            (array.array("i", [1, 2]), "c[1]"),
            (memoryview(bytearray(b"abc")), "c[1]"),
            (Point(1, 2), "c[0]"),
            (types.MappingProxyType({0: 5}), "c[0]"),
            (collections.UserDict({0: 5}), "c[0]"),
            (collections.UserList([5]), "c[0]"),
            (collections.ChainMap({1: 2}, {0: 5}), "c[0]"),
        ],
    )
    def test_items_of_other_builtin_containers(self, container, text):
        assert value(text, c=container) == eval(text, {"c": container})

    def test_items_of_wrappers_are_cells_of_what_they_wrap(self, monkeypatch):
        monkeypatch.setenv("STOPWHEN_TEST", "1")
        found = read(parse('os.environ["STOPWHEN_TEST"]'), MainScope())
        assert found.value == "1"
        assert found.cells[-1].owner is os.environ._data
        monkeypatch.delenv("STOPWHEN_TEST")
        assert read(parse('os.environ["STOPWHEN_TEST"]'), MainScope()).value is ABSENT
        assert read(parse('os.environ.get("STOPWHEN_TEST", "none")'), MainScope()).value == "none"
        assert read(parse('os.getenv("STOPWHEN_TEST")'), MainScope()).value is None
        wrapped = collections.UserDict(a=1)
        assert DictItem("d['a']", wrapped.data, "a") in cells("d['a']", d=wrapped)
        first, second = {}, {"a": 1}
        chained = cells("d['a']", d=collections.ChainMap(first, second))
        assert DictItem("d['a']", first, "a") in chained
        assert DictItem("d['a']", second, "a") in chained

    def test_a_key_with_code_of_its_own_is_found_by_identity(self):
        class Key:
            def __init__(self):
                self.armed = False

            def __hash__(self):
                return bomb() if self.armed else 1

            def __eq__(self, other):
                bomb()

        key = Key()
        items = {key: 5}
        key.armed = True
        assert value("d[k]", d=items, k=key) == 5
        assert Content("d", items) in cells("d[k]", d=items, k=key)
        other = Key()
        other.armed = True
        assert refusal("d[k]", d=items, k=other).slug == "runs-code"
        assert refusal("d[1]", d=items).slug == "runs-code"
        assert refusal("1 in d", d=items).slug == "runs-code"

    def test_a_key_that_counts_by_identity(self):
        key = Thing()
        assert value("d[k]", d={key: 5}, k=key) == 5
        assert value("d[k]", d={key: 5}, k=Thing()) is ABSENT
        assert value("d['a']", d={key: 5, "a": 6}) == 6
        assert value("d[c.RED]", d={Color.RED: 5}, c=Color) == 5
        assert value("d[[]]", d={}) is ABSENT
        assert value("d[(1, [])]", d={}) is ABSENT


class TestOperations:
    def test_only_what_was_evaluated_has_cells(self):
        names = {"a": 0, "b": 1}
        assert reading("a and b", names).cells == (DictItem("a", names, "a"),)
        assert reading("b or a", names).cells == (DictItem("b", names, "b"),)
        assert reading("a if a else b", names).cells == (DictItem("a", names, "a"), DictItem("b", names, "b"))
        assert reading("b < a < c", names).cells == (DictItem("b", names, "b"), DictItem("a", names, "a"))

    def test_a_name_read_twice_is_one_cell(self):
        assert len(reading("a + a", {"a": 1}).cells) == 1

    def test_a_selected_operand_is_stored_and_a_result_is_fresh(self):
        names = {"a": [1], "b": []}
        assert not reading("a and a", names).fresh
        assert not reading("b or a", names).fresh
        assert not reading("a if b else a", names).fresh
        assert reading("b or a", names).content == (Content("b or a", names["a"]),)
        assert reading("a + b", names).fresh
        assert reading("not a", names).fresh
        assert reading("[a]", names).fresh
        assert reading("[a]", names).content == ()
        assert reading("[a]", names, depth=2).content == (Content("[a][0]", names["a"]),)

    def test_truth_of_a_container_depends_on_its_content(self):
        items = [1]
        for text in ("not a", "a and 1", "1 if a else 2", "bool(a)", "any([a])", "[x for x in [1] if a]"):
            assert Content("a", items) in cells(text, a=items), text

    def test_reading_what_was_made_just_now_has_no_cells(self):
        items = [3, 1]
        found = reading("len(sorted(a)[1:] + [4]) if [1] == [1] else 0", {"a": items})
        assert [cell for cell in found.cells if type(cell) is Content] == [Content("a", items)]

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("1 / 0", "ZeroDivisionError"),
            ("1 + 'a'", "TypeError"),
            ("None + 1", "TypeError"),
            ("-None", "TypeError"),
            ("[] < {}", "TypeError"),
            ("len(1)", "TypeError"),
            ("int(1)[0]", "TypeError"),
            ("int('x')", "ValueError"),
            ("chr(-1)", "ValueError"),
            ("[][0]", "IndexError"),
            ("{}['a']", "KeyError"),
            ("max([])", "ValueError"),
            ("len()", "TypeError"),
            ("len(1, 2)", "TypeError"),
            ("'a'.index('b')", "ValueError"),
            ("2.0 ** 10000", "OverflowError"),
            ("{[]: 1}", "TypeError"),
            ("{[]}", "TypeError"),
            ("[a for a, b in [(1,)]]", "ValueError"),
            ("list(zip([1], [], strict=True))", "ValueError"),
            ("'%d' % 'a'", "TypeError"),
            ("f'{1:x<y}'", "ValueError"),
            ("sum(['a'])", "TypeError"),
            ("1 in 1", "TypeError"),
            ("1 in 'a'", "TypeError"),
            ("[*1]", "TypeError"),
            ("{**1}", "TypeError"),
            ("dict([1])", "TypeError"),
        ],
    )
    def test_what_raises_is_absent_and_says_why(self, text, error):
        with pytest.raises(Exception) as caught:
            eval(text)
        assert type(caught.value).__name__ == error
        found = reading(text)
        assert found.value is ABSENT
        assert found.absent_because.startswith(error)

    @pytest.mark.parametrize(
        "text",
        [
            "t == t",
            "[t] == [t]",
            "{1: t} == {1: 2}",
            "t < 1",
            "t in [1]",
            "1 in [t]",
            "t in {1}",
            "t in d",
            "not t",
            "t and 1",
            "-t",
            "t + 1",
            "1 + t",
            "[1] * t",
            "'%s' % t",
            "'%s' % (t,)",
            "f'{t}'",
            "f'{t!r}'",
            "f'{[t]}'",
            "'{}'.format(t)",
            "str(t)",
            "repr([t])",
            "len(t)",
            "bool(t)",
            "int(t)",
            "abs(t)",
            "round(t)",
            "hash(t)",
            "hash((t,))",
            "list(t)",
            "sorted([t, t])",
            "max(t, t)",
            "sum([t])",
            "any([t])",
            "all(t)",
            "set([t])",
            "{t}",
            "{t: 1}",
            "{x: 1 for x in [t]}",
            "dict([(t, 1)])",
            "isinstance(t, int)",
            "isinstance(1, T)",
            "issubclass(int, T)",
            "t()",
            "t.x",
            "t[0]",
            "d[t]",
            "[1].index(t)",
            "[t].count(1)",
            "'a'.join([t])",
            "{1}.union([t])",
            "{1} | {1: t}.keys()",
            "[x for x in t]",
            "[*t]",
            "f(*t)",
            "{**t}",
            "math.sqrt(t)",
            "math.hypot(*[t])",
            "os.path.join(t)",
            "range(t)",
            "enumerate(t)",
            "reversed(t)",
            "b''.join([t])",
            "bytes(t)",
            "t in 'a'",
            "t in b'a'",
            "t in range(3)",
            "'{0.x}'.format(t)",
            "format(t)",
            "divmod(t, 1)",
            "pow(2, t)",
            "operator.add(t, 1)",
            "operator.eq(t, 1)",
            "operator.not_(t)",
            "map(len, [t])",
            "list(filter(None, [t]))",
            "min([1], key=t)",
            "getattr(t, 'x')",
            "hasattr(t, 'x')",
            "d.get(t)",
            "t if t else t",
            "u == u",
            "u < u",
            "u in [1, 2]",
        ],
    )
    def test_no_code_of_a_hostile_object_is_run(self, text):
        """Whatever the operation: it is refused, or its value is absent; hostile code raises a BaseException."""
        names = {"t": hostile(x=1), "T": type(hostile()), "d": {1: 2}, "math": math, "os": os, "f": bomb}
        names |= {"u": collections.UserList([hostile()]), "operator": __import__("operator")}
        try:
            found = reading(text, names)
        except Refused as refused:
            assert refused.slug in ("runs-code", "call", "mutates")
        else:
            assert found.value in (ABSENT, None, 0, False) or type(found.value) is list

    @pytest.mark.parametrize(
        "text", ["t is t", "t is not None", "id(t)", "type(t)", "callable(t)", "[t]", "(t, 1)", "(t,)[0]"]
    )
    def test_what_is_pure_for_every_object_is_read(self, text):
        assert reading(text, {"t": hostile()}).value is not ABSENT

    def test_objects_that_compare_by_identity(self):
        one, other = Thing(), Thing()
        assert value("a == a", a=one) is True
        assert value("a == b", a=one, b=other) is False
        assert value("a != b", a=one, b=other) is True
        assert value("a in [b, a]", a=one, b=other) is True
        assert value("a in [b]", a=one, b=other) is False
        assert value("a == None", a=one) is False
        assert value("[a] == [b]", a=one, b=other) is False
        assert value("a < b", a=one, b=other) is ABSENT

    def test_comparing_containers_notes_what_is_inside(self):
        inner = [1]
        items = [inner]
        found = cells("a == [[1]]", a=items)
        assert Content("a", items) in found
        assert Content("a", inner) in found

    def test_containers_that_hold_themselves(self):
        items = [1]
        items.append(items)
        assert value("len(a)", a=items) == 2
        assert value("str(a)", a=items) == "[1, [...]]"
        assert value("a == a", a=items) is True

    def test_comprehensions_name_their_elements(self):
        rows = [Thing(price=1), Thing(price=2)]
        found = reading("[r.price for r in rows if r.price > 1]", {"rows": rows})
        assert found.value == [2]
        names = [cell.name for cell in found.cells]
        assert "rows[0].price" in names
        assert "rows[1].price" in names
        assert DictItem("rows[1].price", rows[1].__dict__, "price") in found.cells

    def test_any_and_all_look_no_further_than_they_must(self):
        rows = [Thing(ok=True), hostile()]
        assert value("any(r.ok for r in rows)", rows=rows) is True
        assert value("all(not r.ok for r in rows)", rows=rows) is False

    def test_an_iterator_of_the_programs_is_not_used_up(self):
        iterator = iter([1, 2])
        assert refusal("list(i)", i=iterator).slug == "mutates"
        assert refusal("next(i)", i=iterator).slug == "mutates"
        assert refusal("1 in i", i=iterator).slug == "mutates"
        assert refusal("[x for x in g]", g=(x for x in [1])).slug == "mutates"
        assert list(iterator) == [1, 2]

    def test_a_comprehension_cannot_store(self):
        thing = Thing(x=1)
        assert refusal("[0 for t.x in [5]]", t=thing).slug == "mutates"
        assert thing.x == 1

    def test_a_generator_is_read_to_a_list(self):
        assert value("(x + 1 for x in a)", a=[1, 2]) == [2, 3]
        assert value("zip(a, a)", a=[1]) == [(1, 1)]


class TestCalls:
    @pytest.mark.parametrize(
        "text",
        [
            *("a.append(1)", "a.pop()", "a.sort()", "a.clear()", "d.update({})", "d.setdefault(1, 2)", "d.popitem()"),
            *("s.add(1)", "b.extend(b'x')", "q.popleft()", "o.move_to_end('k')", "setattr(t, 'x', 1)", "r.append(1)"),
        ],
    )
    def test_what_would_change_the_data_is_refused(self, text):
        names = {"a": [1], "d": {1: 2}, "s": {1}, "b": bytearray(b"a"), "q": collections.deque([1]), "t": Thing()}
        names |= {"o": collections.OrderedDict(k=1), "r": array.array("i", [1])}
        before = repr(names["a"]) + repr(names["d"]) + repr(names["s"]) + repr(names["b"]) + repr(names["q"])
        error = refusal(text, **names)
        assert error.slug == "mutates"
        assert "would change the data" in str(error)
        for allow_calls in (False, True):
            with pytest.raises(Refused):
                reading(text, names, allow_calls=allow_calls)
        after = repr(names["a"]) + repr(names["d"]) + repr(names["s"]) + repr(names["b"]) + repr(names["q"])
        assert after == before

    def test_a_call_of_a_name_that_is_not_there_yet_is_refused_at_once(self):
        """Only builtins are known to be pure, and those are there."""
        assert refusal("later(x)").slug == "call"
        assert reading("later(x)", {}, allow_calls=True).value is ABSENT

    @pytest.mark.parametrize(
        "text", ["f()", "t.method()", "T()", "print(1)", "open('x')", "t.helper()", "input()", "iter(a)"]
    )
    def test_other_calls_are_refused(self, text):
        error = refusal(text, f=bomb, t=Thing(), T=Thing, a=[1])
        assert error.slug == "call"
        assert "--allow-calls" in error.hint
        assert "free of side effects" in str(error)

    def test_a_name_that_hides_a_builtin_is_not_trusted(self):
        assert refusal("len(a)", len=bomb, a=[1]).slug == "call"

    def test_the_lookup_of_a_builtin_is_noted(self):
        names = {"a": [1]}
        assert reading("len(a)", names).cells[0] == DictItem("len", names, "len")

    def test_calls_are_made_when_allowed(self):
        calls = []

        def function(number):
            calls.append(number)
            return [number]

        names = {"f": function, "x": 1}
        found = reading("f(x)", names, allow_calls=True)
        assert found.value == [1]
        assert found.fresh
        opaque = next(cell for cell in found.cells if type(cell) is Opaque)
        assert opaque.name == "f(x)"
        names["x"] = 2
        assert opaque.owner() == [2]
        assert calls == [1, 2]

    def test_the_opaque_cell_of_an_expression_in_a_scope_is_always_the_same(self):
        expression, scope = parse("f()"), NamespaceScope({"f": lambda: 1})
        first = read(expression, scope, allow_calls=True)
        second = read(expression, scope, allow_calls=True)
        assert first.cells == second.cells
        other = read(parse("f()"), scope, allow_calls=True)
        assert first.cells != other.cells

    def test_properties_and_the_like_run_when_allowed(self):
        class Computing:
            @property
            def area(self):
                return 5

            def __getattr__(self, name):
                return name

            def __len__(self):
                return 3

            def __eq__(self, other):
                return True

            __hash__ = None

        names = {"c": Computing()}
        assert reading("c.area", names, allow_calls=True).value == 5
        assert reading("c.other", names, allow_calls=True).value == "other"
        assert reading("len(c)", names, allow_calls=True).value == 3
        assert reading("c == 1", names, allow_calls=True).value is True
        assert reading("1 in [c]", names, allow_calls=True).value is True
        assert reading("[c].index(1)", names, allow_calls=True).value == 0
        assert reading("not c", names, allow_calls=True).value is False

    def test_an_error_of_a_call_that_is_allowed_makes_the_value_absent(self):
        class Odd(Exception):
            __str__ = __repr__ = bomb

        def function():
            raise Odd

        found = reading("f()", {"f": function}, allow_calls=True)
        assert found.value is ABSENT
        assert found.absent_because == "Odd"

    @pytest.mark.parametrize(
        "text",
        [
            *("2 ** 10 ** 9", "1 << 10 ** 9", "[0] * 10 ** 9", "'a' * 10 ** 9", "sum(range(10 ** 7))", "10 ** 8 ** 8"),
            *("[x for x in range(10 ** 8)]", "'%999999999d' % 1", "f'{1:999999999}'", "'{:999999999}'.format(1)"),
            *("'a'.ljust(10 ** 9)", "'a'.zfill(10 ** 9)", "'\\t'.expandtabs(10 ** 9)", "list(range(10 ** 9))"),
            *("pow(2, 10 ** 9)", "bytes(10 ** 9)", "(1).to_bytes(10 ** 9, 'big')", "'%*d' % (10 ** 9, 1)"),
            *("'{:{}}'.format(1, 10 ** 9)", "math.factorial(10 ** 6)", "round(1, -10 ** 9)", "f'{1:{10 ** 9}}'"),
            *("('a' * 100000).replace('a', 'b' * 100000)", "('a' * 100000).join('b' * 100000)", "len([0] * 10 ** 9)"),
            "all(True for x in range(10 ** 9))",
        ],
    )
    def test_gigantic_work_is_refused(self, text):
        assert refusal(text, math=math).slug == "too-costly"

    def test_views_of_dicts(self):
        items = {1: 2}
        assert value("d.keys() & {1}", d=items) == {1}
        assert value("[k for k, v in d.items() if v == 2]", d=items) == [1]
        assert value("2 in d.values()", d=items) is True
        assert Content("d", items) in cells("len(d.keys())", d=items)
        assert Content("d", items) in cells("max(d.values())", d=items)

    def test_dict_get_depends_on_the_item(self):
        items = {"k": [1]}
        found = reading("d.get('k')", {"d": items})
        assert found.value is items["k"]
        assert not found.fresh
        assert found.cells[-1] == DictItem("d['k']", items, "k")
        assert value("d.get('n', 5)", d=items) == 5
        assert value("d.get('n')", d=items) is None

    def test_codecs_that_may_be_registered_are_not_used(self):
        assert value("'a'.encode()") == b"a"
        assert value("b'a'.decode('latin-1')") == "a"
        assert value("str(b'a', 'utf-8')") == "a"
        assert refusal("'a'.encode('rot13')").slug == "runs-code"
        assert refusal("str(b'a', 'idna')").slug == "runs-code"
        assert refusal("b'a'.decode(errors='mine')").slug == "runs-code"

    def test_isinstance_of_plain_classes(self):
        assert value("isinstance(t, T)", t=Thing(), T=Thing) is True
        assert value("isinstance(t, (int, T))", t=Thing(), T=Thing) is True
        assert value("isinstance(1, int | str)") is True
        assert value("issubclass(bool, int)") is True
        assert refusal("isinstance(1, M)", M=collections.abc.Mapping).slug == "runs-code"


class TestPast:
    def test_a_cell_is_read_as_it_was(self):
        names = {"a": 1, "b": 2}
        past = {DictItem("a", names, "a"): 10}
        assert reading("a + b", names, past=past).value == 12
        past = {DictItem("a", names, "a"): ABSENT}
        assert reading("a + b", names, past=past).value is ABSENT

    def test_content_is_read_as_it_was(self):
        items, table = [1, 2, 3], {"k": 1}
        names = {"l": items, "d": table}
        past = {Content("l", items): [1], Content("d", table): {}}
        assert reading("len(l)", names, past=past).value == 1
        assert reading("l[1]", names, past=past).value is ABSENT
        assert reading("sum(l)", names, past=past).value == 1
        assert reading("l == [1]", names, past=past).value is True
        assert reading("d['k']", names, past=past).value is ABSENT
        assert reading("'k' in d", names, past=past).value is False
        assert reading("3 in l", names, past=past).value is False
        assert reading("l[-1]", names, past={ListItem("l[-1]", items, -1): 9}).value == 9
        assert reading("not l", names, past={Content("l", items): []}).value is True
        assert reading("l.count(3)", names, past=past).value == 0
        assert reading("sorted(l)", names, past=past).value == [1]


def test_reading_a_slot_after_a_chain():
    rows = [Slotted()]
    found = reading("rows[0].x", {"rows": rows})
    assert [cell.name for cell in found.cells] == ["rows", "rows[0]", "rows[0]", "rows[0].x", "rows[0].x"]


def test_cells_come_in_evaluation_order():
    cfg = Thing(db=Thing(pool=[Thing(size=3)]))
    found = reading("cfg.db.pool[0].size > limit", {"cfg": cfg, "limit": 5})
    names = list(dict.fromkeys(cell.name for cell in found.cells))
    assert names == ["cfg", "cfg.db", "cfg.db.pool", "cfg.db.pool[0]", "cfg.db.pool[0].size", "limit"]


def test_nothing_is_printed_or_warned(capsys, recwarn):
    reading("~True, not NotImplemented if 0 else 1, 1 is 1")
    assert not recwarn.list
    assert capsys.readouterr() == ("", "")
