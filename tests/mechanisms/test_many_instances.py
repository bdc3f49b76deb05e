"""Many instances of a watched class: each store is told exactly, by whichever way, and nothing else takes Python code."""

from __future__ import annotations

import gc
import sys
import threading
import weakref

import pytest

import stopwhen
from contract import Module, described, hit
from recorder import Recorder
from stopwhen import env, location

pytestmark = pytest.mark.skipif(env.core is None, reason="needs the C module")

ACCOUNT = """\
class Account:
    rate = 1
    def __init__(self, balance=0):
        self.balance = balance  # @init
        self.other = 0
    def add(self, amount):
        self.balance += amount  # @add
class Savings(Account):
    pass
"""


@pytest.fixture(autouse=True)
def _mechanism(monkeypatch):
    monkeypatch.delenv("STOPWHEN_MECHANISM", raising=False)


@pytest.fixture
def module(tmp_path, monkeypatch):
    made = Module(tmp_path)
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def test_code_that_hits_nothing_runs_no_python_of_ours(module):
    """However many instances there are, which are stored to, made and let go of meanwhile."""
    module.run(
        ACCOUNT + "def work():\n    for one in accounts[:200]:\n        one.other = 1\n        vars(one)['more'] = 2\n"
        "    made = [Savings() for _ in range(200)]\n    made.clear()\n"
    )
    module.accounts = [module.Account() for _ in range(10_000)]
    ran = []

    def note(frame, event, _argument):
        if event == "call" and location.is_ours(frame.f_code.co_filename):
            ran.append(frame.f_code.co_qualname)

    with Recorder() as hits:
        hits.changes("self.absent", scope=module.Account)
        module.work()  # the first new one of a class is told of
        sys.setprofile(note)
        try:
            module.work()
        finally:
            sys.setprofile(None)
    assert ran == []
    assert hits.hits == []


STORES = {
    "one.balance = 5": None,
    "setattr(one, 'balance', 5)": "builtins.setattr",
    "vars(one)['balance'] = 5": None,
    "vars(one).update(balance=5)": "dict.update",
    "one.__dict__ |= {'balance': 5}": None,
    "object.__setattr__(one, 'balance', 5)": None,
    "one.__setattr__('balance', 5)": None,
    "super(Savings, one).__setattr__('balance', 5)": None,
    "functools.partial(setattr, one, 'balance')(5)": None,
    "one.__dict__ = {'balance': 5}": None,
    "for one.balance in (5,): pass": None,
    "one.other, one.balance = 1, 5": None,
    "accounts[400].__dict__.__setitem__('balance', 5)": None,
    "operator.setitem(vars(one), 'balance', 5)": None,
    "exec('one.balance = 5', {'one': one})": None,
}


@pytest.mark.parametrize("store", STORES)
def test_each_way_to_store_is_exact_in_one_of_many(store, module):
    """The line, old and new value; only text that is run is a file of its own."""
    module.run(
        "import functools, operator\n" + ACCOUNT + f"def put(one):\n    before = 1\n    {store}  # @a\n    after = 2\n"
    )
    module.accounts = [module.Savings(number % 3) for number in range(1_000)]
    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account)
        module.put(module.accounts[400])
    mark = "<string>" if store.startswith("exec") else "a"
    assert described(hits.hits, module.path) == [hit(mark, "1", "5", STORES[store] or hits.hits[0].by)]
    assert hits.hits[0].exact


def test_a_line_that_has_stored_to_others_alone_so_far(module):
    """It is as exact the first time that it stores to an instance."""
    module.run(
        ACCOUNT + "class Other: pass\nnoted = {}\ndef put(objects):\n    for one in objects:\n"
        "        noted[0] = one\n        one.balance = 5  # @a\n        noted[1] = one\n"
        "        setattr(one, 'balance', 6)  # @b\n"
    )
    accounts = [module.Account(1) for _ in range(100)]
    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account)
        module.put([*[module.Other() for _ in range(10)], accounts[50]])
    assert described(hits.hits, module.path) == [hit("a", "1", "5"), hit("b", "5", "6")]


def test_a_store_undone_on_its_line_is_two_hits_in_one_of_many(module):
    """By statements or by functions."""
    module.run(
        ACCOUNT + "def put(one):\n    one.balance = 5; one.balance = 1  # @a\n"
        "    setattr(one, 'balance', 6); setattr(one, 'balance', 1)  # @b\n"
    )
    accounts = [module.Account(1) for _ in range(100)]
    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account)
        module.put(accounts[50])
    assert described(hits.hits, module.path) == [
        *(hit("a", "1", "5"), hit("a", "5", "1")),
        *(hit("b", "1", "6"), hit("b", "6", "1")),
    ]


@pytest.mark.parametrize("others", [0, 100])
def test_an_instance_that_ends_with_the_statement_that_stores_to_it(others, module):
    """Nobody else refers to it; it is gone then, at once."""
    module.run(
        ACCOUNT + "gone = []\nclass Noted(Account):\n    def __del__(self):\n        gone.append(self.balance)\n"
        "def make():\n    return Noted(1)\n"
        "def put(last):\n    make().balance = 2  # @a\n    Account.__new__(Account).balance = 3  # @b\n"
        "    last.pop().balance = 4  # @c\n    setattr(last.pop(), 'balance', 5)  # @d\n"
    )
    kept = [module.Account() for _ in range(others)]
    last = [module.Noted(7), module.Noted(8)]
    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account)
        module.put(last)
    assert module.gone == [2, 4, 5]
    assert described(hits.hits, module.path) == [
        *(hit("init", "absent", "1"), hit("a", "1", "2"), hit("b", "absent", "3")),
        *(hit("c", "8", "4"), hit("d", "7", "5")),
    ]
    assert len(kept) == others


# From 3.12 on it is found in turn where there are many others.
@pytest.mark.parametrize("others", [0] if env.HAS_DICT_WATCHERS else [0, 100])
def test_what_c_code_puts_into_an_instance_as_it_is_made(others, module):
    """Once its birth has been told: the line is that of the call."""
    module.run(
        "class Rows(list): pass\nclass Names(dict): pass\n"
        "def put():\n    rows = Rows([1])  # @a\n    names = Names(k=1)  # @b\n    rows.append(2)  # @c\n"
        "    names['l'] = 2  # @d\n"
    )
    kept = [kind() for kind in (module.Rows, module.Names) for _ in range(others)]
    with Recorder() as hits:
        hits.changes("len(self)", scope=module.Rows)
        hits.changes("len(self)", scope=module.Names)
        module.put()
    assert described(hits.hits, module.path) == [hit(mark) for mark in "abcd"]
    assert len(kept) == 2 * others


def test_the_crowd_grows_and_shrinks_amid_a_line(module):
    """What instructions take matters from then on, in the frames that run as well."""
    module.run(
        ACCOUNT + "def fill():\n    many.extend(Account() for _ in range(100))  # @fill\n    return many[70]\n"
        "def put():\n    fill().balance = 5  # @a\n    many.clear()\n    one = Account(1)\n    one.balance = 2  # @b\n"
    )
    module.many = []
    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account, condition="old is not absent")
        module.put()
    assert described(hits.hits, module.path) == [hit("a", "0", "5"), hit("b", "1", "2")]
    assert all(one.exact for one in hits.hits)


def test_raise_goes_on_working(module):
    """Each time, in each thread, from the line that wrote; the store is done."""
    module.run(
        ACCOUNT
        + "def put(one, number):\n    try:\n        one.balance = number  # @a\n    except Exception as error:\n"
        "        return error\n"
    )
    accounts = [module.Account() for _ in range(100)]
    caught = []

    def work():
        caught.extend(module.put(one, number) for number, one in enumerate(accounts[:20], 1))

    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account, action="raise")
        work()
        thread = threading.Thread(target=lambda: caught.append(module.put(accounts[50], 5)))
        thread.start()
        thread.join()
        work()
        assert hits.watchpoints[0].count == 21
    assert [type(error) for error in caught] == [stopwhen.DataChanged] * 21 + [type(None)] * 20
    assert accounts[50].balance == 5


def test_classes_are_made_as_ever(module):
    """By metaclasses that are there already or made meanwhile, with a `__new__` or not; and afterwards, too."""
    module.run(ACCOUNT + "class Meta(type): pass\nclass Root(metaclass=Meta): pass\n")
    before = type.__new__(module.Meta, "Made", (module.Root,), {})
    with Recorder() as hits:
        hits.changes("self.x", scope=module.Root)
        made = type.__new__(module.Meta, "Made", (module.Root,), {})
        made().x = 1
        module.run(
            "class New(Meta):\n    def __new__(cls, *a):\n        return super().__new__(cls, *a)\n"
            "class Under(Root, metaclass=New): pass\ntype.__new__(New, 'C', (Root,), {})\n"
        )
        module.Under().x = 2
        with pytest.raises(TypeError, match="is not safe"):
            object.__new__(type)
        with pytest.raises(TypeError, match="metaclass conflict"):
            type("Both", (module.Under, type("Other", (), {}).__class__("M", (type,), {})("T", (), {})), {})
    assert hits.texts == [("absent", "1"), ("absent", "2")]
    after = type.__new__(module.New, "After", (made,), {})
    assert [type(one).__name__ for one in (before, made, after)] == ["Meta", "Meta", "New"]
    gone = [weakref.ref(one) for one in (before, made, after, module.Under, module.New)]
    del before, made, after, module.Under, module.New, module.Meta
    module.Root = None
    gc.collect()
    assert [one() for one in gone] == [None] * 5


def test_instances_come_and_go_in_threads(module):
    """Each thread's stores are laid to it, with exact lines."""
    module.run(
        ACCOUNT + "def work(number):\n    for turn in range(50):\n        one = Savings(number)\n"
        "        one.add(turn + 1)\n        accounts[number * 10].add(1)\n"
    )
    module.accounts = [module.Account() for _ in range(100)]
    with Recorder() as hits:
        hits.changes("self.balance", scope=module.Account)
        threads = [threading.Thread(target=module.work, args=(number,), name=str(number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number in range(4):
        own = [one for one in hits.hits if one.thread == str(number)]
        assert [one.location.function for one in own] == ["Account.__init__", "Account.add", "Account.add"] * 50
        assert [one.new for one in own[::3]] == [number] * 50
    assert all(one.exact for one in hits.hits)


def test_a_watchpoint_that_ends_amid_the_birth_of_an_instance(module):
    """By its own action, or by that of a finaliser; what is made goes on being made."""
    module.run(ACCOUNT)
    with Recorder() as hits:
        watchpoint = hits.true("self.rate == 1", scope=module.Account)
        watchpoint.remove()
        other = stopwhen.true("self.rate == 1", scope=module.Account, action=lambda one: one.watchpoint.remove())
        made = module.Savings(3)
        assert (made.balance, other.removed, other.count) == (3, True, 1)
    assert module.Savings(4).balance == 4


def test_a_collector_that_runs_all_the_time_does_no_harm(module):
    """Finalisers run in any allocation then, and make and end instances themselves."""
    module.run(
        ACCOUNT + "class Noisy(Account):\n    def __init__(self, balance):\n        super().__init__(balance)\n"
        "        self.me = self\n    def __del__(self):\n        Savings(1).add(2)\n        self.balance = None\n"
        "def work():\n    for number in range(200):\n        Noisy(number).add(1)\n        Savings(number)\n"
    )
    before = gc.get_threshold()
    with Recorder() as hits:
        watchpoint = hits.changes("self.balance", scope=module.Account, action="count")
        gc.set_threshold(1, 1, 1)
        try:
            module.work()
        finally:
            gc.set_threshold(*before)
        gc.collect()
        assert watchpoint.count >= 600
        assert env.core.instances(watchpoint.family.cell) == []
