"""Calls that the user allows: when they are made, what counts as a change of what they return, and what is said of them."""

from __future__ import annotations

import re
import sys

import pytest

import stopwhen
from contract import ANY, Case, Module, choose, hit, mechanism_sets, parametrized, run_case
from recorder import Recorder
from stopwhen import env
from stopwhen.evaluation import Evaluation

CALLS = {"allow_calls": True}

LAZY = """
class Lazy:
    def __init__(self):
        self.__dict__["stored"] = {"DEBUG": False}
    def __getattr__(self, name):
        value = self.__dict__["stored"][name]
        self.__dict__[name] = value
        return value
    def __setattr__(self, name, value):
        self.__dict__.pop(name, None)
        helper()
        self.__dict__["stored"][name] = value
    def put(self, name, value):
        self.__dict__.pop(name, None)
        helper()
        self.__dict__["stored"][name] = value
    def reset(self):
        self.__dict__.pop("DEBUG", None)
        self._fill(False)
    def _fill(self, value):
        self.__dict__["stored"]["DEBUG"] = value
class Cached:
    def __init__(self):
        self._level, self._text = 1, None
    @property
    def text(self):
        if self._text is None:
            self._text = f"level {self._level}"
        return self._text
    def bump(self):
        global total
        total += 1
        helper()
    @text.setter
    def text(self, value):
        self._text = None
        helper()
        self._level = int(value)
def helper():
    return [one for one in range(3)]
total = 0
settings, cached = Lazy(), Cached()
"""

# A statement that calls a method which forgets what a reader has stored, and then changes what it stores.
OPERATIONS = [
    ("settings.DEBUG", "settings.DEBUG = True", "True"),
    ("settings.DEBUG", "setattr(settings, 'DEBUG', True)", "True"),
    ("settings.DEBUG", "settings.put('DEBUG', True)", "True"),
    ("getattr(settings, 'DEBUG')", "settings.put('DEBUG', True)", "True"),
    ("cached.text", "cached.text = 2", "'level 2'"),
]

ACCOUNT = """
class Account:
    def __init__(self):
        self.cents, self.rows = 100, []
    @property
    def balance(self):
        return self.cents / 100
    @property
    def size(self):
        return self._count()
    def _count(self):
        return len(self.rows)
    def run(self):
        self.rows.append(1)
        step(self)
        self.rows.append(2)
    def fail(self):
        if self.cents < 0:
            raise ValueError("overdrawn")
        return self.cents
def step(account):
    account.rows.append("step")
account = Account()
"""

MADE = """
import collections, datetime, decimal, types
Pair = collections.namedtuple("Pair", "a b")
class Point:
    def __init__(self, x): self.x = x
class Slotted:
    __slots__ = ("x",)
    def __init__(self, x): self.x = x
class Source:
    n, other = 1, 0
    pair = property(lambda self: Pair(self.n, [self.n]))
    point = property(lambda self: Point(self.n))
    slotted = property(lambda self: Slotted([Point(self.n)]))
    money = property(lambda self: decimal.Decimal(self.n) / 4)
    day = property(lambda self: datetime.datetime(2020, 1, self.n))
    space = property(lambda self: types.SimpleNamespace(n=self.n) if self.n else None)
    listed = property(lambda self: [{"n": Point(self.n)}, Pair(1, self.n)])
    nothing = property(lambda self: {}[self.n])
source = Source()
"""

C_GETTERS = [
    ("import io\nbuf = io.StringIO()", "buf.tell()", "buf.write('ab')", "2"),
    ("import io\nbuf = io.BytesIO(b'abc')", "buf.tell()", "buf.seek(1)", "1"),
    ("import itertools\nrows = [3, 4]\nit = iter(rows)", "it.__length_hint__()", "next(it)", "1"),
    ("import sys\nsaved = sys.getswitchinterval()", "sys.getswitchinterval()", "sys.setswitchinterval(0.25)", "0.25"),
    ("import threading\nlock = threading.Lock()", "lock.locked()", "lock.acquire()", "True"),
    ("import weakref\nclass O: pass\no = O()\nrefs = []", "weakref.getweakrefcount(o)", "refs.append(weakref.ref(o))", "1"),
]  # fmt: skip

CASES = [
    *(
        Case(
            f"{statement} forgets and stores: {expression}",
            LAZY,
            expression,
            f"{statement}  # @a\nafter = 1\n",
            [hit("a (inexact)", new=new)],
            options=CALLS,
        )
        for expression, statement, new in OPERATIONS
    ),
    *(
        Case(
            f"a reader that stores nothing is called amid methods of its object: {expression}",
            ACCOUNT,
            expression,
            """
                class Account(Account):
                    def run(self):
                        self.rows.append(1)  # @a
                        step(self)
                        self.rows.append(2)  # @c
                def step(account):
                    account.rows.append("step")  # @b
                account.__class__ = Account
                account.run()
            """,
            [hit("a", "0", "1"), hit("b", "1", "2"), hit("c", "2", "3")],
            options=CALLS,
        )
        for expression in ("account.size", "len(account.rows) if account.balance else 0")
    ),
    Case(
        "a call that comes to raise, and to return again",
        ACCOUNT,
        "account.fail()",
        """
            def f(cents):
                account.cents = cents  # @a
                after = 1
            f(-1)
            f(-2)
            f(5)
        """,
        [hit("a", "100", "absent"), hit("a", "absent", "5")],
        options=CALLS,
    ),
    *(
        Case(
            f"made anew each time: {name}",
            MADE,
            f"source.{name}",
            """
                def f(n):
                    source.n = n  # @a
                    after = [n]
                def g():
                    source.other = 1
                    after = []
                g()
                f(2)
                g()
                f(int("2"))
                f(1)
            """,
            [hit("a"), hit("a")],
            options=CALLS,
        )
        for name in ("pair", "point", "slotted", "money", "day", "space", "listed")
    ),
    Case(
        "what raises each time, for one reason or another",
        MADE,
        "source.nothing",
        "def f():\n    source.n = 5\n    after = 1\nf()\n",
        [],
        options=CALLS,
    ),
    *(
        Case(f"a getter in C: {expression} after {statement}", setup, expression, f"def f():\n    {statement}  # @a\n    after = 1\nf()\n",
             [hit("a", new=new)], options=CALLS)
        for setup, expression, statement, new in C_GETTERS
    ),
    Case(
        "a name that comes to stand for something is no change of what a call returns; a change after it is",
        LAZY,
        "late.DEBUG",
        "late = Lazy()\nlate.DEBUG = True  # @a\nlate.DEBUG = True\n",
        [hit("a (inexact)", "False", "True")],
        options=CALLS,
    ),
    Case(
        "what changes beside a call, where that cannot be made",
        LAZY,
        "(cached.text, total)",
        "cached.bump()  # @a\nafter = 1\n",
        [hit("a (inexact)", new="('level 1', 1)")],
        options=CALLS,
    ),
    Case(
        "a variable that functions share, by the function that runs",
        "def counter():\n    total = 0\n    def step():\n        nonlocal total\n        total += 1\n    return step\n",
        "step.__closure__[0].cell_contents",
        "step = counter()\nstep()\nafter = 1\n",
        [hit(ANY, new="0"), hit(ANY, new="1")],
    ),
    Case(
        "a call that becomes true at once is a hit",
        ACCOUNT,
        "late.balance > 0",
        "late = Account()  # @a\nlate.cents = 5\n",
        [hit("a")],
        trigger="true",
        options=CALLS,
    ),
    Case(
        "an object that is replaced by another",
        ACCOUNT,
        "account.balance",
        "other = Account()\nother.cents = 5\naccount = other  # @a\nother.cents = 6  # @b\n",
        [hit("a", "1.0", "0.05"), hit("b", "0.05", "0.06")],
        options=CALLS,
    ),
    Case(
        "what a reader stores itself is no work of the program's",
        LAZY,
        ["settings.DEBUG", "settings.__dict__"],
        "x = 1\ny = [x]\n",
        [],
        options=CALLS,
    ),
]  # fmt: skip


@parametrized(CASES)
def test_what_calls_return_is_watched(case, mechanism, tmp_path, monkeypatch):
    """Each change of it has its hit, at its line or near it; nothing else has."""
    choose(monkeypatch, mechanism)
    try:
        assert run_case(case, tmp_path) == case.hits
    finally:
        if "setswitchinterval" in case.program:
            sys.setswitchinterval(0.005)


@pytest.mark.parametrize("mechanism", [one for one in mechanism_sets() if one != "dictwatch"])
@pytest.mark.parametrize(("expression", "statement", "new"), OPERATIONS)
def test_a_program_whose_readers_store_ends_as_without_us(expression, statement, new, mechanism, tmp_path, monkeypatch):
    """What a reader would keep amid an operation is wrong for ever after: it is not called there."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run(LAZY)
    with Recorder() as hits:
        hits.changes(expression, scope=module, allow_calls=True)
        module.run(f"{statement}\nfound = {expression}\nsettings.reset()\nlast = settings.DEBUG\n")
    assert (repr(module.found), module.last) == (new, False)


@pytest.mark.parametrize("mechanism", [one for one in mechanism_sets() if one != "dictwatch"])
@pytest.mark.parametrize(
    ("setup", "expression", "change", "hits"),
    [
        ("import itertools\nnumbers = itertools.count()", "next_of(numbers)", "x = [1]", 0),
        ("", "[object()]", "x = [1]", 0),
        ("", "next_of(iter(range(9))) and opaque()", "x = [1]", 0),
        ("made = []", "opaque() if made else None", "made.append(1)", 1),
    ],
    ids=["counter", "list of objects", "object", "none, then objects"],
)
def test_values_that_are_others_each_time_are_said_to_be_once(
    setup, expression, change, hits, mechanism, tmp_path, monkeypatch, capfd
):
    """Nobody has changed them: they are no hits, but for what their type tells."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run(f"{setup}\ndef next_of(iterator): return next(iterator) + 1\ndef opaque(): return Bare()\n")
    module.Bare = type("Bare", (bytearray,), {})
    with Recorder() as recorder:
        recorder.changes(expression, scope=module, allow_calls=True)
        module.run(f"{change}\ny = [2]\nz = [3]\n" + "for i in range(20): y.append(i)\n")
    said = capfd.readouterr().err
    assert len(recorder.hits) == hits
    assert said.count("[new-each-time]") == 1


@pytest.mark.parametrize("mechanism", [one for one in mechanism_sets() if one != "dictwatch"])
def test_a_costly_call_is_said_to_be_once(mechanism, tmp_path, monkeypatch, capfd):
    """Evaluating has taken more than half of the run, by a clock of the test's."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run("import types\nspent = [0.0]\ndef slow():\n    spent[0] += 1\n    return 5\n")
    monkeypatch.setattr("stopwhen.evaluation.time", _Clock(module.spent))
    with Recorder() as hits:
        hits.changes("slow()", scope=module, allow_calls=True)
        module.run("x = [1]\ny = [2]\n" * 5)
    said = capfd.readouterr().err
    assert (said.count("[half-of-run]"), hits.hits) == (1, [])
    assert "evaluating 'slow()' takes more than half of the run" in said


class _Clock:
    def __init__(self, spent: list[float]) -> None:
        self._spent = spent

    def perf_counter(self) -> float:
        """Return the time, which passes in the call alone."""
        return self._spent[0]


@pytest.mark.skipif(env.core is None, reason="that way is in the C module")
@pytest.mark.parametrize(("setup", "expression"), [row[:2] for row in C_GETTERS if "class" not in row[0]])
def test_a_getter_in_c_is_seldom_evaluated_in_python(setup, expression, tmp_path, monkeypatch):
    """At most one look of a hundred takes the long way."""
    module = Module(tmp_path)
    module.run(f"{setup}\ndef work():\n    for i in range(1000):\n        after = [i]\n        after.append(i)\n")
    made = []
    whole = Evaluation.differs_from
    monkeypatch.setattr(Evaluation, "differs_from", lambda self, seen: made.append(1) or whole(self, seen))
    with Recorder() as hits:
        hits.changes(expression, scope=module, allow_calls=True)
        module.work()
    assert not hits.hits
    assert len(made) < 30


def test_explain_tells_what_calls_cost(tmp_path):
    """The time of one evaluation, and what comes of it where looks are frequent."""
    module = Module(tmp_path)
    module.run("import io\nbuf = io.StringIO()\ndef slow(): return sum([n for n in range(20000)])\n")
    told = {}
    for expression in ("buf.tell()", "slow()"):
        with stopwhen.changes(expression, scope=module, allow_calls=True, action="count") as watchpoint:
            line = next(one for one in watchpoint.plan.lines() if "evaluated again" in one)
            told[expression] = re.search(
                r"cost: \S+ [µm]s each time, after each call and store: about (\S+) times", line
            )
    times = {expression: int(found[1].replace(",", "")) for expression, found in told.items()}
    assert times["buf.tell()"] * 10 < times["slow()"]
