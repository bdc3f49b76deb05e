"""The contract, by scope: every instance of a class, those that are there and those to come, subclasses too."""

from __future__ import annotations

import dataclasses
import gc
import re
import sys
import threading
import types
import weakref

import pytest

import stopwhen
from contract import ANY, Module, choose, containers_tell, described, hit
from recorder import Recorder
from stopwhen import env, session

has_core = env.core is not None
native = "dictwatch" if env.HAS_DICT_WATCHERS else "tracing"
every_instance = pytest.mark.parametrize("mechanism", ["default", *(["recheck"] if has_core else [])])
in_dicts = pytest.mark.parametrize("mechanism", ["default", *([native, "recheck"] if has_core else [])])


natively = pytest.mark.parametrize(
    "mechanism", [pytest.param("default", marks=pytest.mark.skipif(not has_core, reason="needs the C module"))]
)


@pytest.fixture
def module(mechanism, tmp_path, monkeypatch):
    choose(monkeypatch, mechanism)
    made = Module(tmp_path)
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


ACCOUNT = """\
class Account:
    rate = 1
    def __init__(self, balance=0):
        self.balance = balance  # @init
        self.other = None
    def add(self, amount):
        self.balance += amount  # @add
class Savings(Account):
    pass
"""

# Each: the classes, the expression, the class, what is run, the hits; all that has a say is in dicts.
CASES = {
    "binding in __init__ is a change from absent": (
        ACCOUNT,
        ("self.balance", "Account", "a = Account(5); a.add(1); del a"),
        [hit("init", "absent", "5"), hit("add", "5", "6")],
    ),
    "each instance has its own": (
        ACCOUNT,
        ("self.balance", "Account", "a, b = Account(1), Account(10); b.add(1); a.add(1); a.add(0)"),
        [
            hit("init", "absent", "1"),
            hit("init", "absent", "10"),
            hit("add", "10", "11"),
            hit("add", "1", "2"),
        ],
    ),
    "subclasses, and those made later": (
        ACCOUNT,
        (
            "self.balance",
            "Account",
            "Savings(1)\nclass Late(Savings): pass\nLate(2)\ntype('Dyn', (Late,), {})(3).add(4)",
        ),
        [hit("init", "absent", "1"), hit("init", "absent", "2"), hit("init", "absent", "3"), hit("add", "3", "7")],
    ),
    "a subclass alone": (
        ACCOUNT,
        ("self.balance", "Savings", "Account(1); Savings(2).add(1)"),
        [hit("init", "absent", "2"), hit("add", "2", "3")],
    ),
    "several bases": (
        ACCOUNT + "class Mixin: pass\nclass Both(Mixin, Account): pass\nclass Diamond(Both, Savings): pass\n",
        ("self.balance", "Account", "Diamond(1); Both(2)"),
        [hit("init", "absent", "1"), hit("init", "absent", "2")],
    ),
    "other attributes are of no interest": (ACCOUNT, ("self.balance", "Account", "Account.rate = 2"), []),
    "by setattr, delattr and the dict": (
        ACCOUNT + "def put(a):\n    setattr(a, 'balance', 2)  # @b\n    vars(a)['balance'] = 3  # @c\n"
        "    a.__dict__.update(balance=4)  # @d\n    object.__setattr__(a, 'balance', 5)  # @e\n"
        "    delattr(a, 'balance')  # @f\n    a.balance = 6  # @g\n    vars(a).pop('balance')  # @h\n"
        "    vars(a).setdefault('balance', 7)  # @i\n    vars(a).clear()  # @j\n",
        ("self.balance", "Account", "put(Account(1))"),
        [
            hit("init", "absent", "1"),
            hit("b", "1", "2", "builtins.setattr"),
            hit("c", "2", "3"),
            hit("d", "3", "4", "dict.update"),
            hit("e", "4", "5"),
            hit("f", "5", "absent"),
            hit("g", "absent", "6"),
            hit("h", "6", "absent"),
            hit("i", "absent", "7"),
            hit("j", "7", "absent"),
        ],
    ),
    "another dict, or none": (
        ACCOUNT
        + "def put(a):\n    a.__dict__ = {'balance': 2}  # @b\n    a.balance = 3  # @c\n    del a.__dict__  # @d\n"
        "    a.balance = 4  # @e\n    a.__dict__ = {'balance': 4}\n",
        ("self.balance", "Account", "put(Account(1))"),
        [
            hit("init", "absent", "1"),
            hit("b", "1", "2"),
            hit("c", "2", "3"),
            hit("d", "3", "absent"),
            hit("e", "absent", "4"),
        ],
    ),
    "two attributes": (
        ACCOUNT,
        ("self.balance * self.rate", "Account", "a = Account(2); a.rate = 3; a.add(1)"),
        [hit("init", "absent", "2"), hit(ANY, "2", "6"), hit("add", "6", "9")],
    ),
    "an attribute of the class is one of each instance": (
        ACCOUNT + "def put():\n    Account.rate = 5  # @b\n    Savings.rate = 6  # @c\n    del Savings.rate  # @d\n",
        ("self.balance * self.rate", "Account", "a, s = Account(1), Savings(2); put()"),
        [
            hit("init", "absent", "1"),
            hit("init", "absent", "2"),
            hit("b", "1", "5"),
            hit("b", "2", "10"),
            hit("c", "10", "12"),
            hit("d", "12", "10"),
        ],
    ),
    "an attribute of the class is none of an instance that has its own": (
        ACCOUNT
        + "def put(one):\n    one.rate = 7  # @b\n    Savings.rate = 6\n    del Savings.rate\n    Account.rate = 5\n",
        ("self.rate", "Account", "put(Savings(2))"),
        [hit("b", "1", "7")],
    ),
    "an item of a dict": (
        ACCOUNT + "def put(a):\n    a.other = {}\n    a.other['k'] = 1  # @b\n    a.other.update(k=2, l=3)  # @c\n"
        "    a.other = {'k': 4}  # @d\n",
        ("self.other['k']", "Account", "put(Account(0))"),
        [hit("b", "absent", "1"), hit("c", "1", "2", "dict.update"), hit("d", "2", "4")],
    ),
    "the content of a dict": (
        ACCOUNT + "def put(a):\n    a.other = {}  # @b\n    a.other['k'] = 1  # @c\n    a.other.clear()  # @d\n",
        ("self.other", "Account", "put(Account(0))"),
        [
            hit(ANY, "absent", "None"),
            hit("b", "None", "{}"),
            hit("c", "{}", "{'k': 1}"),
            hit("d", "{'k': 1}", "{}", "dict.clear"),
        ],
    ),
    "a global beside": (
        "factor = 1\n" + ACCOUNT + "def put(a):\n    global factor\n    factor = 2  # @b\n    a.add(1)\n",
        ("self.balance * factor", "Account", "put(Account(3))"),
        [hit("init", "absent", "3"), hit("b", "3", "6"), hit("add", "6", "8")],
    ),
    "all attributes together": (
        ACCOUNT + "def put(a):\n    a.new = 1  # @b\n    del a.new  # @c\n",
        ("self", "Savings", "put(Savings(1))"),
        [hit("init"), hit(ANY), hit("b"), hit("c")],
    ),
    "all attributes together, as they were": (
        "class C: pass\ndef put(a):\n    a.x = 1  # @a\n    vars(a).update(x=2)  # @b\n    a.__dict__ = {'x': 2}\n"
        "    a.__dict__ = {'x': 3, 'y': 0}  # @c\n    del a.x, a.y  # @d\n",
        ("self", "C", "put(C())"),
        [
            hit("a", "<subject.C object>", "<subject.C object, x=1>"),
            hit("b", "<subject.C object, x=1>", "<subject.C object, x=2>", "dict.update"),
            hit("c", "<subject.C object, x=2>", "<subject.C object, x=3, y=0>"),
            hit("d", "<subject.C object, x=3, y=0>", "<subject.C object, y=0>"),
            hit("d", "<subject.C object, y=0>", "<subject.C object>"),
        ],
    ),
    "copies and pickles": (
        ACCOUNT
        + "import copy, pickle\ndef put(a):\n    b = copy.copy(a)\n    c = pickle.loads(pickle.dumps(a))  # @b\n",
        ("self.balance", "Account", "put(Account(1))"),
        [hit("init", "absent", "1"), hit("copy.py", "absent", "1"), hit("b", "absent", "1")],
    ),
    "made without __init__": (
        ACCOUNT
        + "def put():\n    a = Account.__new__(Account)\n    a.balance = 1  # @b\n    a = object.__new__(Savings)\n"
        "    vars(a)['balance'] = 2  # @c\n",
        ("self.balance", "Account", "put()"),
        [hit("b", "absent", "1"), hit("c", "absent", "2")],
    ),
    "a class without __init__, and one with __new__": (
        "class Plain: pass\nclass New(Plain):\n    def __new__(cls):\n        self = super().__new__(cls)\n"
        "        self.x = 2  # @new\n        return self\ndef put():\n    Plain().x = 1  # @b\n    New()\n",
        ("self.x", "Plain", "put()"),
        [hit("b", "absent", "1"), hit("new", "absent", "2")],
    ),
    "a metaclass that makes instances while it makes the class, as __init_subclass__ does": (
        "class Meta(type):\n    def __init__(cls, *a):\n        super().__init__(*a)\n        cls().x = 1  # @a\n"
        "class C(metaclass=Meta):\n    def __init_subclass__(cls):\n        one = cls()\n        one.x = 2  # @b\n"
        "        one.x = 3  # @c\ndef put():\n    class D(C): pass\n    D().x = 4  # @d\n",
        ("self.x", "C", "put()"),
        [
            hit("b", "absent", "2"),
            hit("c", "2", "3"),
            hit("a", "absent", "1"),
            hit("d", "absent", "4"),
        ],
    ),
    "a metaclass": (
        "class Meta(type):\n    def __call__(cls, *a):\n        made = super().__call__(*a)\n        made.x = 1  # @a\n"
        "        return made\nclass C(metaclass=Meta): pass\n",
        ("self.x", "C", "C()"),
        [hit("a", "absent", "1")],
    ),
    "dataclasses, frozen too": (
        "import dataclasses\n@dataclasses.dataclass\nclass C:\n    x: int = 1\n@dataclasses.dataclass(frozen=True)\n"
        "class F:\n    x: int\ndef put():\n    c = C(2)\n    c.x = 3  # @b\n    F(4)\n",
        ("self.x", "C", "put()"),
        [hit(ANY, "1", "2"), hit("b", "2", "3")],
    ),
    "a frozen dataclass": (
        "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass F:\n    x: int\n",
        ("self.x", "F", "F(4)"),
        [hit(ANY, "absent", "4")],
    ),
    "subclasses of builtin classes": (
        "class L(list):\n    def __init__(self, *a):\n        super().__init__(*a)\n        self.tag = 1  # @l\n"
        "def put(one):\n    one.tag = 2  # @b\n",
        ("self.tag", "L", "put(L([1]))"),
        [hit("l", "absent", "1"), hit("b", "1", "2")],
    ),
    "a subclass of dict": (
        "class D(dict):\n    def __init__(self, *a):\n        self.tag = 1  # @d\n        super().__init__(*a)\n"
        "def put(one):\n    one['k'] = 3  # @b\n",
        ("(self.tag, self.get('k'))", "D", "put(D([('k', 2)]))"),
        [hit("d", ANY, "(1, None)"), hit(ANY, "(1, None)", "(1, 2)"), hit("b", "(1, 2)", "(1, 3)")],
    ),
    "an exception": (
        "class E(Exception):\n    pass\ndef put():\n    e = E(1)\n    e.code = 2  # @b\n    e.code = 3  # @c\n",
        ("self.code", "E", "put()"),
        [hit("b", "absent", "2"), hit("c", "2", "3")],
    ),
    "members of an enumeration": (
        "import enum\nclass Color(enum.Enum):\n    RED = 1\ndef put():\n    Color.RED.note = 5  # @b\n",
        ("self.note", "Color", "put()"),
        [hit("b", "absent", "5")],
    ),
    "an object that is given the class, and taken from it": (
        ACCOUNT + "class Other: pass\ndef put():\n    o = Other()\n    o.balance = 1\n    o.__class__ = Account\n"
        "    o.balance = 2  # @b\n    o.__class__ = Savings\n    o.balance = 3  # @c\n    o.__class__ = Other\n    o.balance = 4\n",
        ("self.balance", "Account", "put()"),
        [hit("b", "1", "2"), hit("c", "2", "3")],
    ),
    "another class in the scope, with another value": (
        ACCOUNT + "class Dear(Account):\n    rate = 3\ndef put():\n    a = Account(2)\n    a.__class__ = Dear  # @b\n"
        "    a.balance = 3  # @c\n    Dear.rate = 4  # @d\n    a.__class__ = Savings  # @e\n",
        ("self.balance * self.rate", "Account", "put()"),
        [
            hit("init", "absent", "2"),
            hit("b", "2", "6"),
            hit("c", "6", "9"),
            hit("d", "9", "12"),
            hit("e", "12", "3"),
        ],
    ),
    "other bases are looked at from then on": (
        "class Base:\n    rate = 1\nclass Dear(Base):\n    rate = 2\nclass C(Base):\n    pass\ndef put():\n    c = C()\n"
        "    C.__bases__ = (Dear,)\n    Dear.rate = 3  # @b\n    Base.rate = 4\n",
        ("self.rate", "Base", "put()"),
        [hit("b", "2", "3")],
    ),
    "a class that is given the base, and taken from it": (
        ACCOUNT + "class Root: pass\nclass Other(Root): pass\nclass Under(Account): pass\ndef put():\n    o = Other()\n"
        "    o.balance = 1\n    Other.__bases__ = (Under,)\n    o.balance = 2  # @b\n    Other.__bases__ = (Root,)\n"
        "    o.balance = 3\n    del o\n",
        ("self.balance", "Account", "put()"),
        [hit("b", "1", "2")],
    ),
    "the classes under one that is taken from its base": (
        ACCOUNT + "class Root: pass\nclass Other(Account): pass\nclass Under(Other): pass\ndef put():\n"
        "    o, a = Under(1), Under(2)\n    o.balance = 3  # @b\n    Other.__bases__ = (Root,)\n"
        "    o.balance = 4\n    Other.__bases__ = (Savings,)\n    o.balance = 5  # @c\n    a.balance = 6  # @d\n",
        ("self.balance", "Account", "put()"),
        [
            hit("init", "absent", "1"),
            hit("init", "absent", "2"),
            hit("b", "1", "3"),
            hit("c", "4", "5"),
            hit("d", "2", "6"),
        ],
    ),
    "objects that share their dict": (
        "class Borg:\n    shared = {}\n    def __init__(self):\n        self.__dict__ = self.shared\n"
        "def put():\n    a, b = Borg(), Borg()\n    a.x = 1  # @a\n",
        ("self.x", "Borg", "put()"),
        [hit("a", "absent", "1")] * 2,
    ),
    "written in __del__": (
        "class C:\n    def __init__(self):\n        self.x = 1  # @a\n    def __del__(self):\n        self.x = 2  # @b\n",
        ("self.x", "C", "C()"),
        [hit("a", "absent", "1"), hit("b", "1", "2")],
    ),
    "the dict outlives the instance": (
        ACCOUNT + "def put():\n    names = vars(Account(1))\n    names['balance'] = 2\n",
        ("self.balance", "Account", "put()"),
        [hit("init", "absent", "1")],
    ),
    "many at once from C code": (
        ACCOUNT
        + "import functools\ndef put():\n    list(map(Account, range(2)))  # @m\n    functools.partial(Account, 9)()\n",
        ("self.balance", "Account", "put()"),
        [hit("init", "absent", "0"), hit("init", "absent", "1"), hit("init", "absent", "9")],
    ),
}

# The same, where content of lists and the like has a say.
CONTENTS = {
    "an attribute of an attribute": (
        ACCOUNT
        + "def put(a):\n    a.other = Account(1)  # @b\n    a.other.balance = 2  # @c\n    a.other = None  # @d\n",
        ("self.other.balance", "Account", "put(Account(0))"),
        [hit("b", "absent", "1"), hit("c", "1", "2"), hit("d", "2", "absent")],
    ),
    "another dict or class of what an attribute holds": (
        ACCOUNT + "class Dear(Account):\n    rate = 3\ndef put(a):\n    a.other = Account(1)  # @b\n"
        "    a.other.__dict__ = {'balance': 2}  # @c\n    a.other.balance = 3  # @d\n    a.other.__class__ = Dear  # @e\n",
        ("self.other.balance * self.other.rate", "Account", "put(Account(0))"),
        [hit("b", "absent", "1"), hit("c", "1", "2"), hit("d", "2", "3"), hit("e", "3", "9")],
    ),
    "a class that is taken from its base, of which lists are watched": (
        "class Box:\n    def __init__(self):\n        self.items = []  # @a\nclass Root: pass\nclass Other(Box): pass\n"
        "class Under(Other): pass\ndef put():\n    o = Under()\n    o.items.append(1)  # @b\n"
        "    Other.__bases__ = (Root,)\n    o.items.append(2)\n    Other.__bases__ = (Box,)\n"
        "    o.items.append(3)  # @c\n",
        ("len(self.items)", "Box", "put()"),
        [hit("a", "absent", "0"), hit("b", "0", "1", "list.append"), hit("c", "2", "3", "list.append")],
    ),
    "an object that is given the class with a list": (
        "class Box:\n    def __init__(self):\n        self.items = []  # @a\nclass Other: pass\n"
        "def put():\n    Box()\n    o = Other()\n    o.items = [1]\n    o.__class__ = Box\n"
        "    o.items.append(2)  # @b\n    o.__class__ = Other\n    o.items.append(3)\n",
        ("len(self.items)", "Box", "put()"),
        [hit("a", "absent", "0"), hit("b", "1", "2", "list.append")],
    ),
    "slots": (
        "class P:\n    __slots__ = ('x', 'y')\n    def __init__(self, x):\n        self.x = x  # @init\n"
        "class Sub(P):\n    __slots__ = ()\nclass Free(P): pass\ndef put():\n    a, b, c = P(1), Sub(2), Free(3)\n"
        "    a.y = 0\n    a.x = 4  # @a\n    b.x += 1  # @b\n    c.x = 6  # @c\n    c.z = 0\n    setattr(a, 'x', 7)  # @d\n"
        "    P.x.__set__(a, 8)  # @e\n    object.__setattr__(a, 'x', 8)\n    del a.x  # @f\n    a.x = 9  # @g\n",
        ("self.x", "P", "put()"),
        [
            *[hit("init", "absent", new) for new in "123"],
            hit("a", "1", "4"),
            hit("b", "2", "3"),
            hit("c", "3", "6"),
            hit("d", "4", "7", "builtins.setattr"),
            hit("e", "7", "8", "member_descriptor.__set__"),
            hit("f", "8", "absent"),
            hit("g", "absent", "9"),
        ],
    ),
    "slots of many instances": (
        "class P:\n    __slots__ = ('x',)\nmany = []\ndef put():\n    many.extend(P() for _ in range(200))\n"
        "    many[50].x = [1]  # @a\n    many[199].x = 2  # @b\n    many[50].x.append(3)  # @c\n"
        "    for one in many[50:60]:\n        if one is many[59]:\n            one.x = 4  # @d\n    del many[50].x  # @e\n",
        ("self.x", "P", "put()"),
        [
            hit("a", "absent", "[1]"),
            hit("b", "absent", "2"),
            hit("c", "[1]", "[1, 3]", "list.append"),
            hit("d", "absent", "4"),
            hit("e", "[1, 3]", "absent"),
        ],
    ),
    "a dataclass with slots": (
        "import dataclasses\n@dataclasses.dataclass(slots=True)\nclass C:\n    x: int = 1\n    y: list = "
        "dataclasses.field(default_factory=list)\ndef put():\n    c = C()\n    c.x = 3  # @b\n    c.y.append(1)  # @c\n",
        ("(self.x, len(self.y))", "C", "put()"),
        [hit(ANY, "absent", "(1, 0)"), hit("b", "(1, 0)", "(3, 0)"), hit("c", "(3, 0)", "(3, 1)", "list.append")],
    ),
    "length of a list": (
        "class Box:\n    def __init__(self):\n        self.items = []  # @a\ndef put():\n    b, c = Box(), Box()\n"
        "    b.items.append(1)  # @b\n    c.items += [1, 2]  # @c\n    b.items = [5]\n    b.items = [5, 6, 7]  # @d\n",
        ("len(self.items)", "Box", "put()"),
        [
            *[hit("a", "absent", "0")] * 2,
            hit("b", "0", "1", "list.append"),
            hit("c", "0", "2"),
            hit("d", "1", "3"),
        ],
    ),
    "content of a list, by another thread's hands or a C function's": (
        "import heapq\nclass Box:\n    def __init__(self):\n        self.items = []  # @a\ndef put():\n    b = Box()\n"
        "    heapq.heappush(b.items, 3)  # @b\n    extend = b.items.extend\n    extend([1])  # @c\n    b.items.sort()  # @d\n"
        "    del b.items[0]  # @e\n",
        ("self.items", "Box", "put()"),
        [
            hit("a", "absent", "[]"),
            hit("b", "[]", "[3]"),
            hit("c", "[3]", "[3, 1]"),
            hit("d", "[3, 1]", "[1, 3]"),
            hit("e", "[1, 3]", "[3]"),
        ],
    ),
    "content of a set and of an item": (
        "class Box:\n    def __init__(self):\n        self.parts = [set()]  # @a\ndef put():\n    b = Box()\n"
        "    b.parts[0].add(1)  # @b\n    b.parts[0] = {1}\n    b.parts[0] = {1, 2}  # @c\n",
        ("len(self.parts[0])", "Box", "put()"),
        [hit("a", "absent", "0"), hit("b", "0", "1", "set.add"), hit("c", "1", "2")],
    ),
    "an instance that is a list": (
        "class L(list): pass\ndef put():\n    one = L([1])  # @m\n    one.append(2)  # @a\n    two = L()\n    two.extend('abc')  # @b\n",
        ("len(self)", "L", "put()"),
        [hit("m", "0", "1"), hit("a", "1", "2", "list.append"), hit("b", "0", "3", "list.extend")],
    ),
}


ADDRESS = re.compile(" at 0x[0-9a-f]+")


def check(case, module):
    source, (expression, scope, program), expected = case
    module.run(source)
    with Recorder() as hits:
        hits.changes(expression, scope=module.__dict__[scope])
        exec(compile(program, "<program>", "exec"), module.__dict__)
    seen = [
        dataclasses.replace(one, old=ADDRESS.sub("", one.old), new=ADDRESS.sub("", one.new))
        for one in described(hits.hits, module.path)
    ]
    assert [(one.old, one.new) for one in seen] == [(one.old, one.new) for one in expected]
    assert seen == expected
    assert all(one.exact for one in hits.hits)


@in_dicts
@pytest.mark.parametrize("name", CASES)
def test_every_instance_of_a_class(name, module):
    """Each instance has its own attributes; its end is no change."""
    check(CASES[name], module)


@every_instance
@pytest.mark.parametrize("name", CONTENTS)
def test_contents_in_every_instance_of_a_class(name, module, mechanism):
    """What attributes hold has a say as in other scopes."""
    source, what, expected = CONTENTS[name]
    # What C code has put into a list of its own making is not told from what was there.
    is_told = has_core and mechanism != "recheck"
    check((source, what, expected if is_told or name != "an instance that is a list" else expected[1:]), module)


@in_dicts
def test_instances_that_exist_are_included(module):
    """Those of subclasses too; only what is written from now on is a change."""
    module.run(ACCOUNT)
    one, two = module.Account(1), module.Savings(2)
    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account)
        two.add(1)
        one.add(1)
    assert described(hits.hits, module.path) == [hit("add", "2", "3"), hit("add", "1", "2")]


@in_dicts
def test_instances_made_in_another_thread(module):
    """The thread is named."""
    module.run(ACCOUNT)

    def work():
        module.Savings(1).add(2)
        module.Account.__new__(module.Account).balance = 5

    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account)
        thread = threading.Thread(target=work, name="worker")
        thread.start()
        thread.join()
    assert hits.texts == [("absent", "1"), ("1", "3"), ("absent", "5")]
    assert {one.thread for one in hits.hits} == {"worker"}


@in_dicts
def test_true_is_asked_of_each_instance(module):
    """What is true when armed, or from the birth of an instance, is a hit of each, marked `already`."""
    module.run(ACCOUNT + "def make():\n    return Savings(0)  # @born\n")
    one, two = module.Account(5), module.Account(0)
    with Recorder() as hits:
        hits.true("self.balance > 2", scope=module.Account)
        assert [(hit.already, hit.old_text) for hit in hits.hits] == [(True, "absent")]
        two.add(3)
        two.add(3)
        one.add(-5)
        one.add(5)
    assert [hit.already for hit in hits.hits] == [True, False, False]
    with Recorder() as hits:
        hits.true("self.rate == 1", scope=module.Savings)
        three = module.make()
        three.rate = 2
        three.rate = 1
    assert [hit.already for hit in hits.hits] == [True, False]
    assert described(hits.hits[:1], module.path) == [hit("born", "absent", "True")]


@in_dicts
def test_disabled_enabled_and_removed(module):
    """Enabling takes the values then as the last ones seen, of instances made meanwhile too."""
    module.run(ACCOUNT)
    one = module.Account(1)
    with Recorder() as hits:
        watchpoint = hits.changes("self.balance", scope=module.Account)
        watchpoint.disable()
        one.add(1)
        two = module.Account(5)
        watchpoint.enable()
        two.add(1)
        one.add(1)
        watchpoint.remove()
        one.add(1)
        module.Account(7)
    assert hits.texts == [("5", "6"), ("2", "3")]


@in_dicts
def test_two_watchpoints_on_one_hierarchy(module):
    """On base and subclass, with other attributes."""
    module.run(ACCOUNT)
    with Recorder() as hits:
        base = hits.changes("self.balance", scope=module.Account)
        derived = hits.changes("self.other", scope=module.Savings)
        one, two = module.Account(1), module.Savings(2)
        one.other, two.other = 3, 4
        base.remove()
        two.balance, two.other = 5, 6
    assert [(hit.old_text, hit.new_text) for hit in hits.of(base)] == [("absent", "1"), ("absent", "2")]
    assert [(hit.old_text, hit.new_text) for hit in hits.of(derived)] == [("absent", "None"), ("None", "4"), ("4", "6")]


@every_instance
def test_old_and_new_are_the_objects_themselves(module):
    """In place of each other, or one and the same that has changed; the texts tell what it was."""
    module.run("class Box:\n    def __init__(self):\n        self.items = []\n")
    box, first, second = module.Box(), [1], [2]
    box.items = first
    with Recorder() as hits:
        hits.changes("self.items", scope=module.Box)
        first.append(2)
        box.items = second
        second.clear()
    assert [(one.old, one.new) for one in hits.hits] == [(first, first), (first, second), (second, second)]
    assert [(id(one.old), id(one.new)) for one in hits.hits] == [
        (id(first), id(first)),
        (id(first), id(second)),
        (id(second), id(second)),
    ]
    assert hits.texts == [("[1]", "[1, 2]"), ("[1, 2]", "[2]"), ("[2]", "[]")]


@every_instance
def test_an_address_that_is_used_again_is_another_instance(module):
    """Nothing of the one that was there before is taken for the new one's."""
    module.run("class Box:\n    def __init__(self, n):\n        self.n, self.items = n, [n]\n")
    with Recorder() as hits:
        numbers = hits.changes("self.n", scope=module.Box)
        contents = hits.changes("len(self.items)", scope=module.Box)
        addresses = set()
        for number in range(100):
            box = module.Box(number)
            box.items.append(number)
            addresses.add(id(box))
            del box
    assert len(addresses) < 100
    assert [(one.old_text, one.new_text) for one in hits.of(numbers)] == [("absent", str(n)) for n in range(100)]
    assert [(one.old_text, one.new_text) for one in hits.of(contents)] == [("absent", "1"), ("1", "2")] * 100


@in_dicts
def test_raise_and_conditions(module, mechanism, capfd, monkeypatch):
    """The exception comes from the line that wrote; conditions see old and new."""
    monkeypatch.setattr(session.current(), "_told_of_end_of_tracing", False)  # as it is said once only
    module.run(ACCOUNT)
    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account, condition="new is not absent and new < 0", action="raise")
        one = module.Account(1)
        with pytest.raises(stopwhen.DataChanged):
            one.add(-5)
        assert one.balance == -4
        if not env.HAS_MONITORING and (
            mechanism == "recheck" or not has_core
        ):  # the interpreter has ended the tracing of this thread
            assert "[raised-once]" in capfd.readouterr().err
            return
        with pytest.raises(stopwhen.DataChanged):
            module.Account(-1)
        assert hits.watchpoints[0].count == 2


@in_dicts
def test_what_actions_do_with_instances_is_their_own(module):
    """New ones that an action makes give no hits; they are watched once it is done."""
    module.run(ACCOUNT)
    made = []
    with Recorder() as hits:
        hits.changes(
            "self.balance", scope=module.Account, action=lambda one: (hits(one), made.append(module.Account(100)))
        )
        module.Account(1)
        made[0].add(1)
    assert hits.texts == [("absent", "1"), ("100", "101")]


@in_dicts
def test_a_scope_by_name_is_pending_until_module_and_class_are_there(module, mechanism, tmp_path, monkeypatch):
    """Instances made while the module is imported count; a class of that name made later is taken."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / f"stopwhen_class_{mechanism}.py"
    path.write_text(ACCOUNT + "first = Account(1)\n")
    with Recorder() as hits:
        watchpoint = hits.changes("self.balance", scope=f"{path.stem}:Account")
        assert "not there yet" in str(watchpoint.plan)
        imported = __import__(path.stem)
        imported.first.add(1)
        assert "every instance of" in str(watchpoint.plan)
        assert "1 of them live" in str(watchpoint.plan)
        before = imported.Account
        imported.Account = imported.Savings
        before(5)
        imported.Account(6)
    del sys.modules[path.stem]
    assert [new for _, new in hits.texts] == ["1", "2", "6"]


@in_dicts
def test_nothing_is_visible_to_the_program(module):
    """No class is swapped, no attribute set, no subclass made; errors say what they said."""
    module.run(ACCOUNT + "class Bare: pass\n")
    account, bare = module.Account, module.Bare

    def look():
        found = []
        for make in (lambda: bare(1), lambda: account(1, 2, 3), lambda: object.__new__(bare, 1)):
            with pytest.raises(TypeError) as caught:
                make()
            found.append(str(caught.value))
        one = account(1)
        return [
            *found,
            dict(vars(account)),
            account.__subclasses__(),
            type(one),
            vars(one),
            account.__mro__,
            account.__basicsize__,
            account.__flags__,
            sorted(dir(one)),
        ]

    before = look()
    with Recorder() as hits:
        hits.changes("self.balance", scope=account)
        hits.changes("self.x", scope=bare)
        during = look()
    assert before[3].pop("__static_attributes__", None) == during[3].pop("__static_attributes__", None)
    during[-2] = before[-2] = 0  # the interpreter's own marks for its caches
    assert during == before


@in_dicts
def test_setting_a_class_or_bases_fails_as_it_did(module):
    """Where layouts differ, with the same words."""
    module.run(ACCOUNT + "class Other:\n    __slots__ = ('a', 'b')\nclass L(list): pass\n")

    def words():
        found = []
        for change in (
            lambda: setattr(module.Account(1), "__class__", module.Other),
            lambda: setattr(module.Other(), "__class__", module.Account),
            lambda: setattr(module.Savings, "__bases__", (module.L,)),
            lambda: setattr(module.Account(1), "__class__", 5),
            lambda: setattr(module.Account(1), "__dict__", 5),
        ):
            with pytest.raises(TypeError) as caught:
                change()
            found.append(str(caught.value))
        return found

    before = words()
    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account)
        assert words() == before


@pytest.mark.parametrize(
    ("expression", "scope", "reason"),
    [
        ("balance", "C", "reads no 'self'"),
        ("self.x", int, "builtin class"),
        ("self.computed", "C", "property"),
        ("self.x", "Own", "__getattribute__"),
        ("self.x", types.ModuleType, "builtin class"),
    ],
)
@every_instance
def test_what_cannot_be_read_in_each_instance_is_refused(expression, scope, reason, module):
    """At once, whether there is an instance or not; nothing is left armed."""
    module.run(
        "class C:\n    @property\n    def computed(self): return 1\n"
        "class Own:\n    def __getattribute__(self, name): return 1\n"
    )
    with pytest.raises(stopwhen.Refused, match=reason) as caught:
        stopwhen.changes(expression, scope=module.__dict__.get(scope, scope))
    assert caught.value.hint


@every_instance
def test_calls_in_every_instance_are_refused(module):
    """Each instance would have to be evaluated after each instruction."""
    module.run("class C:\n    x = 1\ndef f(one): return one\none = C()\n")
    with pytest.raises(stopwhen.Refused, match="every instance"):
        stopwhen.changes("f(self.x)", scope=module.C, allow_calls=True)


@every_instance
@pytest.mark.parametrize("watch", [stopwhen.writes, stopwhen.reads])
def test_stores_of_the_same_value_and_reads_are_refused(watch, module):
    """At once, or when the class is there."""
    module.run(ACCOUNT)
    with pytest.raises(stopwhen.Refused, match="every instance of a class"):
        watch("self.balance", scope=module.Account)
    assert len(session.current()._armed) == 0


@in_dicts
def test_an_expression_that_is_unreadable_in_one_instance_is_watched_in_the_others(module, capfd):
    """The reason is said once."""
    module.run(ACCOUNT)
    with Recorder() as hits:
        watchpoint = hits.true("self.balance", scope=module.Account)
        for _ in range(2):
            module.Account(type("Odd", (), {"__bool__": lambda self: True})())
        after = 1
        assert not watchpoint.removed
        assert after
        assert hits.hits == []
        module.Account(5)
    assert capfd.readouterr().err.count("Odd.__bool__ would run") == 1
    assert len(hits.hits) == after


# Lifetimes.


@natively
@pytest.mark.parametrize(
    ("expression", "prepare"),
    [
        ("self.x", lambda one: None),
        ("self.x", lambda one: setattr(one, "x", one)),
        ("self.x", lambda one: setattr(one, "x", [one])),
        ("len(self.x)", lambda one: setattr(one, "x", [one])),
        ("self.x", lambda one: setattr(one, "x", {"one": one})),
        ("self.x['one'].y", lambda one: setattr(one, "x", {"one": one})),
        ("self.x[0].x[0].y", lambda one: setattr(one, "x", [one])),
        ("self.child.y", lambda one: setattr(one, "child", types.SimpleNamespace(parent=one, y=1))),
        ("self", lambda one: setattr(one, "x", one)),
        ("self.x", lambda one: setattr(one, "x", {type(one)})),
    ],
)
@pytest.mark.parametrize("kind", ["object", "list", "dict", "Exception"])
def test_an_instance_dies_as_it_would(expression, prepare, kind, module):
    """Also when it and what is watched form a cycle; nothing of it is left, and its end is no change."""
    module.run(f"class C({kind}): pass\nclass Sub(C): pass\n")
    with Recorder() as hits:
        watchpoint = hits.changes(expression, scope=module.C, depth=2)
        for cls in (module.C, module.Sub):
            one = cls()
            prepare(one)
            gone, count = weakref.ref(one), watchpoint.count
            hits.hits.clear()
            del one
            gc.collect()
            assert gone() is None
            assert watchpoint.count == count
        assert env.core.instances(watchpoint.family.cell) == []


@in_dicts
def test_an_instance_without_a_cycle_dies_at_once(module):
    """Without waiting for the collector."""
    module.run(ACCOUNT)
    gc.disable()
    try:
        with Recorder() as hits:
            hits.changes("self.balance", scope=module.Account, action="count")
            one = module.Account(object())
            gone, value = weakref.ref(one), weakref.ref(type("V", (), {})())
            del one
            assert gone() is None
            assert value() is None
    finally:
        gc.enable()


@in_dicts
def test_subclasses_die_as_they_would(module):
    """The scope holds none but the class that was named."""
    module.run(ACCOUNT)
    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account, action="count")
        gone = []
        for number in range(3):
            made = type(f"Made{number}", (module.Account,), {})
            made(number)
            gone.append(weakref.ref(made))
        del made
        gc.collect()
        assert [one() for one in gone] == [None] * 3
        assert module.Account.__subclasses__() == [module.Savings]
        assert hits.watchpoints[0].count == 3


@natively
def test_ten_thousand_instances_are_no_burden_for_code_that_runs(module):
    """No check is compared at every look for their sake; each is still exact."""
    module.run("class Box:\n    def __init__(self):\n        self.items, self.n = [], 0\n")
    boxes = [module.Box() for _ in range(10_000)]
    shared = 0 if env.HAS_DICT_WATCHERS else 4  # attributes of the class, and the name `len`
    with Recorder() as hits:
        hits.changes("self.n", scope=module.Box)
        assert env.core.checks() <= shared
        boxes[5_000].n = 1
        hits.changes("len(self.items)", scope=module.Box)
        assert env.core.checks() <= shared
        boxes[7_000].items.append(1)
        boxes[0].items.append(1)
    assert hits.texts == [("0", "1"), ("0", "1"), ("0", "1")]
    assert all(one.exact for one in hits.hits)


@every_instance
def test_all_instances_that_share_a_list_are_hit_for_certain(module):
    """Also more than are looked at as a rule, and where some of them were given it after others had been looked at."""
    module.run(
        "class Box:\n    def __init__(self):\n        self.items = [0]\n"
        "def touch(box):\n    box.items.append(1)\n"
        "def share(boxes):\n"
        "    for box in boxes[1:30]:\n"
        "        box.items = boxes[0].items\n"
        "        for other in boxes[30:38]:\n            touch(other)\n"
        "        touch(box)\n"
        "        touch(box)\n"
    )
    boxes = [module.Box() for _ in range(100)]
    with Recorder() as hits:
        hits.changes("self.items", scope=module.Box)
        module.share(boxes)
    assert len(hits.hits) == 29 + 29 * 8 + 2 * sum(range(2, 31))
    assert [one for one in hits.hits if not one.exact] == []


@natively
def test_a_change_in_one_of_many_by_what_has_no_hold_of_it(mechanism, module):
    """It is told where it happens; where lists are compared, it is found in turn, and named between two places."""
    module.run(
        "import operator\nclass Box:\n    def __init__(self):\n        self.items = [0]\n"
        "def put(box):\n    list(map(operator.setitem, [box.items], [0], [5]))\n"
        "    for n in range(5_000):\n        len([])\n"
    )
    boxes = [module.Box() for _ in range(100)]
    with Recorder() as hits:
        hits.changes("self.items[0]", scope=module.Box)
        module.put(boxes[50])
    assert hits.texts == [("0", "5")]
    assert [one.exact for one in hits.hits] == [containers_tell(mechanism)]
