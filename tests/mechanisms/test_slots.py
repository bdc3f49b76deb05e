"""Stores to slots: every way of storing is seen, at its line, also in code that was hot before."""

from __future__ import annotations

import ctypes
import threading
import types

import pytest

from contract import ANY, Case, Module, choose, containers_tell, described, hit, parametrized, run_case, table
from recorder import Recorder
from stopwhen import env

needs_telling = pytest.mark.skipif(
    not (containers_tell("default") and env.HAS_MONITORING), reason="slots tell from 3.12 on, in C"
)

SETUP = """
import copy, dataclasses, functools, io, operator, pickle
class Base:
    __slots__ = ("v", "other")
class C(Base):
    __slots__ = ()
    alias = Base.__dict__["v"]
class Asks(Base):
    __slots__ = ()
    def __setattr__(self, name, value): Base.v.__set__(self, value)
@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    __module__ = "dataclasses"  # has to be there for the decorator
    v: int
class Restored:
    def __reduce_ex__(self, protocol): return lambda: o, (), (None, {"v": 2})
class Unpickler(pickle.Unpickler):
    def persistent_load(self, name): return o
def hot(o, value, count=1):
    for _ in range(count):
        o.v = value
o = C(); o.v = 1; o.other = 0
asks = Asks(); asks.v = 1
frozen = Frozen(1)
descriptor, bound = Base.__dict__["v"], Base.__dict__["v"].__set__
for _ in range(3):
    hot(o, 1, 100)
"""

STORES = table(
    "slot",
    SETUP,
    "o.v",
    [
        ("o.v = 2", "2", None),
        ("o.v += 1", "2", None),
        ("o.alias = 2", "2", None),
        ("o.other, o.v = 3, 2", "2", None),
        ("for o.v in [2]: pass", "2", None),
        ("del o.v", "absent", None),
        ("del o.alias", "absent", None),
        ("hot(o, 2)", "2", None, "<setup>"),
        ("setattr(o, 'v', 2)", "2", "builtins.setattr"),
        ("setattr(o, 'alias', 2)", "2", "builtins.setattr"),
        ("delattr(o, 'v')", "absent", "builtins.delattr"),
        ("object.__setattr__(o, 'v', 2)", "2", "object.__setattr__"),
        ("object.__delattr__(o, 'v')", "absent", "object.__delattr__"),
        ("descriptor.__set__(o, 2)", "2", "member_descriptor.__set__"),
        ("bound(o, 2)", "2", ANY),
        ("descriptor.__delete__(o)", "absent", "member_descriptor.__delete__"),
        ("type(descriptor).__set__(descriptor, o, 2)", "2", ANY),
        ("functools.partial(setattr, o)('v', 2)", "2", ANY),
        ("list(map(setattr, [o], ['v'], [2]))", "2", ANY),
        ("any(map(bound, [o], [2]))", "2", ANY),
        ("operator.methodcaller('__setattr__', 'v', 2)(o)", "2", ANY),
        ("copy.copy(Restored())", "2", ANY, "copy.py"),
        ("Unpickler(io.BytesIO(b\"Pa\\n(N(dS'v'\\nI2\\nstb.\")).load()", "2", ANY),
    ],
)

OTHERS = [
    *table("custom setattr", SETUP, "asks.v", [("asks.v = 2", "2", ANY, "<setup>")]),
    *table(
        "frozen dataclass",
        SETUP,
        "frozen.v",
        [
            ("object.__setattr__(frozen, 'v', 2)", "2", "object.__setattr__"),
            ("frozen.__init__(2)", "2", ANY, "<string>"),
            ("frozen.__setstate__([2])", "2", "object.__setattr__", "dataclasses.py"),
        ],
    ),
    *(
        Case(
            f"arming within hot code, {watch}",
            "class C: __slots__ = ('v', 'next')\nfirst, second = C(), C(); first.v = second.v = 0\n"
            "first.next = second; second.next = None\n",
            watch,
            "def feed():\n    for _ in range(500):\n        yield C()\n    yield o\n"
            "o = second\nfor _ in range(3):\n    for one in feed():\n        one.v = _  # @store\n",
            [hit("store", "0", "1"), hit("store", "1", "2")] if watch.endswith("v") else [hit("store")] * 2,
            options=options,
        )
        for watch, options in [("second.v", {}), ("first.next.v", {}), ("first", {"depth": 2})]
    ),
    Case(
        "a slot and the content of one object",
        "class L(list): __slots__ = ('v',)\no = L(); o.v = 1",
        ["o.v", "o"],
        "o.v = 2  # @slot\no.append(3)  # @content\n",
        [hit("slot", expression="o.v"), hit("slot", expression="o"), hit("content", expression="o")],
    ),
]


@parametrized([*STORES, *OTHERS])
def test_a_store(case, mechanism, tmp_path, monkeypatch):
    """One hit, exact, at the line that stored."""
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


CLASS = """
class P:
    __slots__ = ("v",)
    def __init__(self):
        self.v = 0  # @init
class Sub(P):
    __slots__ = ("w",)
def fill(many, value):
    for one in many:
        one.v = value  # @fill
many = [P() for _ in range(50)]
for _ in range(20):
    fill(many, 0)
"""


def test_hot_code_stores_to_instances_of_a_class(tmp_path, monkeypatch):
    """Those that were there, new ones, and those of subclasses."""
    choose(monkeypatch, "default")
    module = Module(tmp_path)
    module.run(CLASS)
    with Recorder() as hits:
        hits.changes("self.v", scope=module.P)
        module.fill(module.many, 1)
        one = module.Sub()
        module.fill([one], 2)
        del one
    expected = [*[hit("fill", "0", "1")] * 50, hit("init", "absent", "0"), hit("fill", "0", "2")]
    assert described(hits.hits, module.path) == expected if env.HAS_MONITORING else len(hits.hits) == len(expected)


@needs_telling
def test_another_name_is_given_to_a_slot_while_it_is_watched(tmp_path, monkeypatch):
    """Hot code that stores by that name asks the slot as well."""
    choose(monkeypatch, "default")
    module = Module(tmp_path)
    module.run("class C: __slots__ = 'v'\no, p = C(), C(); o.v = 0\n")
    program = "C.late = C.__dict__['v']\nfor i in range(500):\n    p.late = i\no.late = 1  # @a\n"
    program += "for one in [p] * 500 + [o]:\n    one.late = 2  # @b\n"
    with Recorder() as hits:
        hits.changes("o.v", scope=module)
        module.run(program)
    assert described(hits.hits, module.path) == [hit("a", "0", "1", None), hit("b", "1", "2", None)]


@needs_telling
def test_threads_store_to_one_slot(tmp_path, monkeypatch):
    """Each store is told for the thread and line that made it."""
    choose(monkeypatch, "default")
    module = Module(tmp_path)
    stores = "".join(f"def f{n}():\n    for i in range(300):\n        o.v = ({n}, i)  # @f{n}\n" for n in range(3))
    module.run("class C: __slots__ = 'v'\no = C(); o.v = None\n" + stores)
    seen = []
    with Recorder() as hits:
        hits.changes("o.v", scope=module, action=lambda hit: seen.append((hit.new, hit.thread, hit.location.function)))
        threads = [threading.Thread(target=getattr(module, f"f{n}"), name=f"f{n}") for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert hits.watchpoints[0].count == 900
    assert all(thread == function == f"f{new[0]}" for new, thread, function in seen)


@needs_telling
def test_a_thread_without_python_code_stores_to_a_slot(tmp_path, monkeypatch):
    """No line is named."""
    choose(monkeypatch, "default")
    module = Module(tmp_path)
    module.run("import _thread\nclass C: __slots__ = 'v'\no = C(); o.v = 1")
    with Recorder() as hits:
        hits.changes("o.v", scope=module)
        module.run("_thread.start_new_thread(setattr, (o, 'v', 2))\nwhile o.v == 1:\n    n = len('x')\n")
    assert [(one.location, one.new_text) for one in hits.hits] == [(None, "2")]


@needs_telling
def test_code_in_c_writes_the_memory_of_a_slot(tmp_path, monkeypatch):
    """It is found by the next store, and not said to be of that line."""
    choose(monkeypatch, "default")
    module = Module(tmp_path)
    module.run("class C: __slots__ = 'v'\no = C(); o.v = 1")
    with Recorder() as hits:
        hits.changes("o.v", scope=module)
        ctypes.py_object.from_address(id(module.o) + object.__basicsize__).value = 5
        module.run("o.v = 7  # @a")
    first, second = hits.hits
    assert (first.exact, first.old_text, first.new_text) == (False, "1", "5")
    assert (second.exact, second.old_text, second.new_text) == (True, "5", "7")


@pytest.mark.parametrize("is_watched", [False, True])
def test_stores_that_fail_fail_as_ever(is_watched, tmp_path, monkeypatch):
    """Whatever the object, and whether a slot is watched."""
    choose(monkeypatch, "default")
    module = Module(tmp_path)
    module.run("class C: __slots__ = 'v', 'w'\nclass D: __slots__ = 'v'\no, p, d = C(), C(), D()\n")
    C, p, d = module.C, module.p, module.d
    with Recorder() as hits:
        if is_watched:
            hits.changes("o.v", scope=module)
        for one in (module.o, p):
            with pytest.raises(AttributeError, match="v"):
                del one.v
            one.v = 1
            assert one.v == 1
            del one.v
            with pytest.raises(AttributeError, match="v"):
                C.v.__delete__(one)
        with pytest.raises(TypeError, match="'v' for 'C' objects doesn't apply to a 'D' object"):
            C.v.__set__(d, 1)
        with pytest.raises(TypeError, match="'v' for 'C' objects doesn't apply to a 'D' object"):
            C.late = C.v
            C.late.__delete__(d)
        with pytest.raises(AttributeError, match="readonly attribute"):
            (lambda: 0).__closure__ = ()
    p.v = 3
    assert p.v == 3


@needs_telling
def test_a_slot_is_watched_again_and_again(tmp_path, monkeypatch):
    """Each time all is as the first time, though a class gets no more than a thousand versions."""
    choose(monkeypatch, "default")
    module = Module(tmp_path)
    module.run("class C: __slots__ = 'v'\no, p = C(), C()\ndef store(one, value): one.v = value  # @a\n")
    counts = set()
    for _ in range(60):
        for number in range(30):
            module.store(module.p, number)
        module.store(module.o, 0)
        with Recorder() as hits:
            watchpoint = hits.changes("o.v", scope=module)
            module.store(module.p, 1)
            module.store(module.o, 1)
            counts.add(watchpoint.count)
    module.store(module.o, 2)
    assert (counts, module.o.v) == ({1}, 2)


@needs_telling
@pytest.mark.parametrize(
    ("mechanism", "expected"), [("default", "by interposition"), ("monitoring", "by recheck on monitoring events")]
)
def test_the_plan_says_how_a_slot_is_watched(mechanism, expected, tmp_path, monkeypatch):
    """The old mechanism remains for who names it."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run("class C: __slots__ = 'v'\no = C(); o.v = 1")
    with Recorder() as hits:
        plan = str(hits.changes("o.v", scope=module).plan)
    assert expected in next(line for line in plan.splitlines() if "slot of a C" in line)


@needs_telling
def test_members_of_types_that_c_code_makes_do_not_tell():
    """Code in C may write these without asking."""
    assert not env.core.slot_tells(types.FunctionType.__closure__)
    assert not env.core.slot_tells(len)
