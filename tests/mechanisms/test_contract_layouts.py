"""The contract, for objects that get another class or attribute dict, and classes that get other bases."""

from __future__ import annotations

import sys
import types

import pytest

import stopwhen
from contract import ANY, Case, choose, every_mechanism, hit, parametrized, run_case, table
from recorder import Recorder
from stopwhen import env

CLASSES = "class A: v = 1\nclass B: v = 7\nclass C(A): pass\nclass D(C): pass\no = D()\n"

DICTS = [
    *table(
        "attribute, dict replaced",
        "class A: pass\no = A(); o.v = 1; d = {'v': 2}",
        "o.v",
        [
            ("o.__dict__ = {'v': 2}", "2", None),
            ("o.__dict__ = d", "2", None),
            ("setattr(o, '__dict__', {'v': 2})", "2", "builtins.setattr"),
            ("object.__setattr__(o, '__dict__', {'v': 2})", "2", "object.__setattr__"),
            ("A.__dict__['__dict__'].__set__(o, {'v': 2})", "2", ANY),
            ("for o.__dict__ in [{'v': 2}]: pass", "2", None),
            ("del o.__dict__", "absent", None),
            ("delattr(o, '__dict__')", "absent", "builtins.delattr"),
        ],
        dicts=True,
    ),
    *table(
        "object, dict replaced",
        "class A: pass\no = A(); o.v = 1",
        "o",
        [("o.__dict__ = {'v': 2}", ANY, None), ("o.__dict__ = {}", ANY, None), ("del o.__dict__", ANY, None)],
        dicts=True,
    ),
    *table("dict of an object", "class A: pass\no = A(); o.v = 1", "vars(o)", [("o.__dict__ = {'v': 2}", "{'v': 2}", None)], dicts=True),
    *table(
        "attribute of a list, dict replaced",
        "class A(list): pass\no = A(); o.v = 1",
        "o.v",
        [("o.__dict__ = {'v': 2}", "2", None)],
        dicts=True,
    ),
    *table("attribute of a function, dict replaced", "def o(): pass\no.v = 1", "o.v", [("o.__dict__ = {'v': 2}", "2", None)], dicts=True),
    *table("attribute of an error, dict replaced", "o = ValueError(); o.v = 1", "o.v", [("o.__dict__ = {'v': 2}", "2", None)], dicts=True),
    *table(
        "attribute of a partial, dict replaced",
        "import functools\no = functools.partial(int); o.v = 1",
        "o.v",
        [("o.__dict__ = {'v': 2}", "2", None)],
        dicts=True,
    ),
    Case(
        "the new dict is watched, the old one no more",
        "class A: pass\no = A(); o.v = 1; old = o.__dict__; new = {'v': 1}",
        "o.v",
        "o.__dict__ = new\nold['v'] = 3\nnew['v'] = 4  # @a\no.v = 5  # @b\no.__dict__ = old  # @c\nnew['v'] = 6\n",
        [hit("a", "1", "4"), hit("b", "4", "5"), hit("c", "5", "3")],
        dicts=True,
    ),
    Case(
        "the new dict of an object is content",
        "class A: pass\no = A(); o.v = 1; old = o.__dict__; new = {'v': 1}",
        "o",
        "o.__dict__ = new\nold['v'] = 3\nnew['v'] = 4  # @a\no.w = 5  # @b\n",
        [hit("a"), hit("b")],
        dicts=True,
    ),
    Case(
        "objects that share a dict",
        "class Borg:\n  shared = {'v': 1}\n  def __init__(self): self.__dict__ = self.shared\no = Borg()",
        "o.v",
        "p = Borg()\np.v = 2  # @a\n",
        [hit("a", "1", "2")],
        dicts=True,
    ),
    Case(
        "an equal dict is no change",
        "class A: pass\no = A(); o.v = 1",
        ["o.v", "o"],
        "o.__dict__ = {'v': 1}\no.__dict__ = dict(o.__dict__)\n",
        dicts=True,
    ),
]  # fmt: skip

CLASS_CHANGES = [
    *table(
        "attribute, class replaced",
        "class A: pass\nclass B: v = 7\no = A(); o.w = 1",
        "o.v",
        [
            ("o.__class__ = B", "7", None),
            ("setattr(o, '__class__', B)", "7", "builtins.setattr"),
            ("object.__setattr__(o, '__class__', B)", "7", "object.__setattr__"),
        ],
        dicts=True,
    ),
    *table("type", "class A: pass\nclass B: pass\no = A()", "type(o).__name__", [("o.__class__ = B", "'B'", None)]),
    *table("instance", "class A: pass\nclass B: pass\no = A()", "isinstance(o, B)", [("o.__class__ = B", "True", None)]),
    *table("object, class replaced", "class A: pass\nclass B: pass\no = A()", "o", [("o.__class__ = B", ANY, None)], dicts=True),
    *table(
        "slots, class replaced",
        "class A: __slots__ = ('v',)\nclass B: __slots__ = ('v',)\no = A(); o.v = 1",
        "o",
        [("o.__class__ = B", ANY, None)],
    ),
    *table(
        "bases replaced",
        CLASSES,
        "o.v",
        [("C.__bases__ = (B,)", "7", None), ("setattr(C, '__bases__', (B,))", "7", "builtins.setattr")],
        dicts=True,
    ),
    *table("bases of a class replaced", CLASSES, "D.v", [("C.__bases__ = (B,)", "7", None)], dicts=True),
    *table(
        "metaclass replaced",
        "class M(type): v = 1\nclass N(type): v = 2\nclass K(metaclass=M): pass",
        "K.v",
        [("K.__class__ = N", "2", None), ("M.v = 3", "3", None)],
        dicts=True,
    ),
    Case(
        "the dict is replaced after the class",
        "class Bare: __slots__ = ()\nclass A(Bare): pass\nclass B(Bare): pass\no = A(); o.v = 1",
        "o.v",
        "o.__class__ = B\no.__dict__ = {'v': 2}  # @a\no.__dict__ = {'v': 3}  # @b\no.__class__ = A\ndel o.__dict__  # @c\n",
        [hit("a", "1", "2"), hit("b", "2", "3"), hit("c", "3", "absent")],
        dicts=True,
    ),
    Case(
        "the same class and bases again",
        CLASSES,
        ["o.v", "o", "D.v", "type(o)"],
        "o.__class__ = D\nC.__bases__ = (A,)\nC.__bases__ = C.__bases__\n",
        dicts=True,
    ),
    Case(
        "other bases with the same value",
        CLASSES + "B.v = 1\n",
        ["o.v", "o", "D.v"],
        "C.__bases__ = (B,)\nA.v = 3\nB.v = 4  # @a\n",
        [hit("a", "1", "4", expression="o.v"), hit("a", "1", "4", expression="D.v")],
        dicts=True,
    ),
    Case(
        "other bases that are refused",
        "class M(type):\n  def mro(self):\n    if bad: 1 / 0\n    return type.mro(self)\n"
        "bad = False\nclass A: v = 1\nclass B: v = 7\nclass C(A, metaclass=M): pass\nclass D(C): pass\no = D()\n",
        "o.v",
        "bad = True\nC.__bases__ = (B,)\n",
        raises=ZeroDivisionError,
        dicts=True,
    ),
    Case(
        "a class of one's own making that fails after storing",
        "class A:\n  @property\n  def __class__(self): return A\n  @__class__.setter\n  def __class__(self, new):\n"
        "    object.__dict__['__class__'].__set__(self, new)\n    1 / 0\nclass B: v = 7\nA.v = 1\no = A()\n",
        "o.v",
        "try:\n  o.__class__ = B\nexcept ZeroDivisionError: pass\n",
        [hit("<setup>", "1", "7", None)],
        dicts=True,
    ),
    Case(
        "the new bases are watched, the old ones no more",
        CLASSES,
        "o.v",
        "C.__bases__ = (B,)  # @a\nA.v = 2\nB.v = 8  # @b\nD.v = 9  # @c\n",
        [hit("a", "1", "7"), hit("b", "7", "8"), hit("c", "8", "9")],
        dicts=True,
    ),
]  # fmt: skip


@parametrized([*DICTS, *CLASS_CHANGES])
def test_layouts(case, mechanism, tmp_path, monkeypatch):
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


@every_mechanism
def test_the_words_tell_which_attributes_another_dict_brings(mechanism, monkeypatch):
    choose(monkeypatch, mechanism)
    module = types.ModuleType("subject")
    exec("class A: pass\no = A(); o.v = 1; o.w = 2", module.__dict__)
    with Recorder() as hits:
        hits.changes("o", scope=module)
        exec("o.__dict__ = {'v': 5, 'w': 2}", module.__dict__)
        exec("o.__dict__ = {'w': 3, 'x': 4}", module.__dict__)
        exec("o.__class__ = type('B', (), {})", module.__dict__)
    assert [str(one.change) for one in hits.hits] == [
        "o.v  1 -> 5",
        "o  removed v: 5, changed w: 2 -> 3, added x: 4",
        "type(o)  <class 'subject.A'> -> <class 'subject.B'>",
    ]


needs_relays = pytest.mark.skipif(env.core is None or not env.HAS_MONITORING, reason="needs descriptor relays")


@needs_relays
def test_nothing_can_be_seen_of_a_watched_layout():
    """Descriptors are what they were, while they are watched and after."""

    class A:
        pass

    def look():
        return [
            (type(one), repr(one), one.__name__, one.__doc__, one.__objclass__)
            for one in (A.__dict__["__dict__"], object.__dict__["__class__"], type.__dict__["__bases__"])
        ]

    one = A()
    before = look()
    references = sys.getrefcount(A), sys.getrefcount(one)
    with stopwhen.changes("one", scope={"one": one}, action="count") as watchpoint:
        assert look() == before
        assert one.__class__ is A
        assert one.__dict__ == {}
        with pytest.raises(TypeError, match=r"__class__ must be set"):
            one.__class__ = 5
        with pytest.raises(TypeError, match="must be set to a dictionary"):
            one.__dict__ = 5
        with pytest.raises(TypeError, match="can only assign non-empty tuple"):
            A.__bases__ = ()
        assert watchpoint.count == 0
        assert one.__class__ is A
        one.__dict__ = {"v": 1}
        one.__class__, A.__bases__ = A, A.__bases__
        assert watchpoint.count == 1
    assert look() == before
    assert (sys.getrefcount(A), sys.getrefcount(one)) == references


@needs_relays
def test_many_objects_of_a_class_are_told_apart():
    class A:
        pass

    names = {f"o{index}": A() for index in range(20)}
    with Recorder() as hits:
        for name in names:
            hits.changes(name, scope=names)
        names["o7"].__dict__ = {"x": 1}
        hits.watchpoints[3].remove()
        names["o3"].__dict__ = {"x": 1}
        names["o4"].__dict__ = {"x": 1}
    assert [one.watchpoint.expression.text for one in hits.hits] == ["o7", "o4"]
