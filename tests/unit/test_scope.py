"""Root names are found where the program itself would find them, each place consulted noted in order."""

from __future__ import annotations

import collections
import sys
import types

import pytest

from hostile import bomb, hostile
from stopwhen import frames
from stopwhen.cells import Closure, DictItem, Local
from stopwhen.errors import Refused
from stopwhen.frames import cell_of, local, ref
from stopwhen.record import present
from stopwhen.scope import FrameScope, MainScope, ModuleScope, NamespaceScope
from stopwhen.types import ABSENT

module_level = "of the module"


class Consulted(list):
    """Looks cells up and keeps them."""

    def __call__(self, cell):
        self.append(cell)
        return present(cell)


def found(scope, name):
    look = Consulted()
    return scope.find(name, look), look


@pytest.fixture(params=["as it is", "without the C module"])
def _core_or_not(request, monkeypatch):
    if request.param != "as it is":
        monkeypatch.setattr(frames, "_core_function", lambda name: None)


@pytest.mark.usefixtures("_core_or_not")
class TestFrames:
    def test_a_local_is_found(self):
        total = 3
        frame = sys._getframe()
        value, cells = found(FrameScope(frame), "total")
        assert value == 3
        assert cells == [Local("total", ref(frame), "total")]
        assert total == 3

    def test_a_local_that_is_not_bound_is_absent_and_hides_the_global(self):
        value, cells = found(FrameScope(sys._getframe()), "module_level")
        assert value is ABSENT
        assert len(cells) == 1
        if sys is None:
            module_level = 1  # noqa: F841

    def test_a_changed_local_is_read_anew(self):
        count = 1
        scope = FrameScope(sys._getframe())
        assert found(scope, "count")[0] == 1
        count = 2
        assert found(scope, "count")[0] == 2
        del count
        assert found(scope, "count")[0] is ABSENT

    @pytest.mark.skipif(sys.version_info[:2] != (3, 13), reason="in other versions the frame keeps what it had")
    def test_a_generator_that_is_closed_has_no_locals_though_its_frame_is_there(self):
        def generate():
            mine = kept
            yield mine
            yield None

        kept = []
        generator = generate()
        next(generator)
        frame = generator.gi_frame
        assert local(frame, "mine") is kept
        assert not frames.is_closed(ref(frame))
        next(generator)
        assert local(frame, "mine") is kept
        generator.close()
        assert local(frame, "mine") is ABSENT
        assert frames.is_closed(ref(frame))

    def test_a_variable_that_a_closure_shares_is_found(self):
        shared = 1

        def inner():
            return shared

        frame = sys._getframe()
        value, cells = found(FrameScope(frame), "shared")
        assert value == 1
        assert cells[0] == Local("shared", ref(frame), "shared")
        if cell_of(frame, "shared") is not None:
            assert cells[1:] == [Closure("shared", inner.__closure__[0])]

    def test_a_free_variable_is_found(self):
        outer = 1

        def inner():
            assert outer == 1
            scope = FrameScope(sys._getframe())
            assert not scope.has_variable(frozenset({"outer"}))
            return found(scope, "outer")[0]

        assert inner() == 1
        outer = 2
        with pytest.raises(AssertionError):
            inner()

    def test_a_global_and_a_builtin_are_found(self):
        frame = sys._getframe()
        value, cells = found(FrameScope(frame), "Consulted")
        assert value is Consulted
        assert cells == [DictItem("Consulted", globals(), "Consulted")]
        value, cells = found(FrameScope(frame), "len")
        assert value is len
        assert cells == [DictItem("len", globals(), "len"), DictItem("len", frame.f_builtins, "len")]

    def test_a_name_that_is_nowhere_is_absent(self):
        value, cells = found(FrameScope(sys._getframe()), "nowhere")
        assert value is ABSENT
        assert len(cells) == 2

    def test_locals_that_end_with_the_frame(self):
        shared = own = 1

        def inner():
            return shared

        scope = FrameScope(sys._getframe())
        assert scope.has_variable(frozenset({"own"}))
        assert scope.has_variable(frozenset({"shared"}))
        assert not scope.has_variable(frozenset({"module_level"}))
        assert not scope.has_variable(frozenset({"len"}))
        assert own == inner()

    def test_frame_local_reads_and_says_what_is_absent(self):
        one = 1
        frame = sys._getframe()
        assert local(frame, "one") is one
        assert local(frame, "two") is ABSENT
        if sys is None:
            two = 2  # noqa: F841

    def test_the_module_level_is_its_globals(self):
        namespace = {"__name__": "some.module", "sys": sys, "FrameScope": FrameScope}
        exec(compile("x = 1\nscope = FrameScope(sys._getframe())", "some/module.py", "exec"), namespace)
        scope = namespace["scope"]
        assert scope.title == "module some.module"
        assert not scope.has_variable(frozenset({"x"}))
        value, cells = found(scope, "x")
        assert value == 1
        assert cells == [DictItem("x", namespace, "x")]

    def test_a_class_body_has_its_own_namespace(self):
        found_in_body = {}
        needs_c_module = cell_of(sys._getframe(), "found_in_body") is None

        class Body:
            x = 1
            scope = FrameScope(sys._getframe())
            found_in_body["has"] = scope.has_variable(frozenset({"x", "y"}))
            found_in_body["x"] = found(scope, "x")
            if not needs_c_module:
                found_in_body["outer"] = found(scope, "found_in_body")
            else:
                with pytest.raises(Refused, match="class-body"):
                    found(scope, "found_in_body")
            found_in_body["global"] = found(scope, "Consulted")

        assert found_in_body["has"] is False
        value, cells = found_in_body["x"]
        assert value == 1
        assert type(cells[0]) is DictItem
        assert needs_c_module or found_in_body["outer"][0] is found_in_body
        assert found_in_body["global"][0] is Consulted

    def test_a_class_body_in_another_mapping_is_refused(self):
        class Names(collections.UserDict):
            pass

        with pytest.raises(Refused) as caught:
            exec("scope = FrameScope(sys._getframe())", {"FrameScope": FrameScope, "sys": sys}, Names())
        assert caught.value.slug == "namespace-type"

    def test_the_title_names_the_place(self):
        title = FrameScope(sys._getframe()).title
        assert title.startswith("the caller's frame at test_scope.py:")


def test_main_is_looked_up_live(monkeypatch):
    first, second = types.ModuleType("__main__"), types.ModuleType("__main__")
    first.x, second.x = 1, 2
    scope = MainScope()
    monkeypatch.setitem(sys.modules, "__main__", first)
    assert found(scope, "x")[0] == 1
    monkeypatch.setitem(sys.modules, "__main__", second)
    assert found(scope, "x")[0] == 2
    monkeypatch.delitem(sys.modules, "__main__")  # as some tests do for a moment
    assert found(scope, "x")[0] == 2


def test_a_root_name_that_main_lacks_is_the_imported_module():
    value, cells = found(MainScope(), "collections")
    assert value is collections
    assert cells[-1] == DictItem("collections", sys.modules, "collections")
    assert len(cells) == 3


def test_main_hides_a_module_of_the_same_name(monkeypatch):
    main = types.ModuleType("__main__")
    main.collections = 5
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert found(MainScope(), "collections")[0] == 5


def test_a_module_that_is_not_imported_yet_is_pending(monkeypatch):
    scope = ModuleScope("some.module")
    value, cells = found(scope, "len")
    assert value is ABSENT
    assert cells == [DictItem("some.module", sys.modules, "some.module")]
    assert "not imported yet" in scope.title
    module = types.ModuleType("some.module")
    module.x = 1
    monkeypatch.setitem(sys.modules, "some.module", module)
    value, cells = found(scope, "x")
    assert value == 1
    assert cells == [
        DictItem("some.module", sys.modules, "some.module"),
        DictItem("x", module.__dict__, "x"),
    ]
    assert scope.title == "module some.module"
    assert found(scope, "len")[0] is len


def test_a_module_given_itself_needs_no_look_at_sys_modules():
    module = types.ModuleType("m")
    module.x = 1
    scope = ModuleScope(module)
    assert scope.title == "module m"
    value, cells = found(scope, "x")
    assert value == 1
    assert cells == [DictItem("x", module.__dict__, "x")]


def test_a_blocked_module_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "some.module", None)
    assert found(ModuleScope("some.module"), "x")[0] is ABSENT


def test_an_object_in_the_place_of_a_module_is_read_by_its_attributes(monkeypatch):
    monkeypatch.setitem(sys.modules, "some.module", hostile(x=5))
    assert found(ModuleScope("some.module"), "x")[0] == 5
    monkeypatch.setitem(sys.modules, "some.module", 5)
    with pytest.raises(Refused) as caught:
        found(ModuleScope("some.module"), "x")
    assert caught.value.slug == "namespace-type"


def test_a_namespace_is_live():
    names = {"x": 1}
    scope = NamespaceScope(names)
    value, cells = found(scope, "x")
    assert value == 1
    assert cells == [DictItem("x", names, "x")]
    names["x"] = 2
    assert found(scope, "x")[0] == 2
    assert found(scope, "len")[0] is len
    assert found(scope, "nowhere")[0] is ABSENT


def test_an_heir_of_dict_is_read_by_its_storage():
    class Names(dict):
        __getitem__ = __missing__ = __contains__ = __iter__ = get = bomb

    names = Names(x=1)
    value, cells = found(NamespaceScope(names), "x")
    assert value == 1
    assert cells[0].owner is names
    assert found(NamespaceScope(names), "nowhere")[0] is ABSENT


@pytest.mark.parametrize("make", [lambda: collections.UserDict(x=1), lambda: hostile(x=1), lambda: [("x", 1)]])
def test_another_mapping_is_refused(make):
    with pytest.raises(Refused) as caught:
        NamespaceScope(make())
    assert caught.value.slug == "namespace-type"
    assert caught.value.hint
