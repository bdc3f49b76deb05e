"""The contract, for what comes to be unreadable, and for where the data is found that a refusal speaks of."""

from __future__ import annotations

import sys
import types

import pytest

import stopwhen
from contract import ANY, Case, choose, hit, parametrized, run_case
from recorder import Recorder
from stopwhen import env

CLIENT = (
    "from unittest.mock import PropertyMock\nclass Client:\n  ok = True\nc = Client()\n"
    "class Reading:\n  def __get__(self, *a): 1 / 0\nclass Checked:\n  def __set__(self, *a): pass\n"
)
BECOMES = [
    Case(
        f"{owner}, {what}",
        CLIENT,
        owner,
        f"Client.ok = {made}  # @a\nClient.ok = False  # @b\n",
        [hit("a", "True", ANY), hit("b", ANY, "False")],
        dicts=True,
    )
    for owner in ("Client.ok", "c.ok", "Client.__dict__['ok']")
    for what, made in (
        ("becomes a PropertyMock", "PropertyMock(return_value=False)"),
        ("becomes a descriptor", "Reading()"),
        ("becomes a property", "property(lambda self: 1 / 0)"),
    )
    if (owner, what) != ("Client.ok", "becomes a property")
]

ELSEWHERE = [
    Case(
        "an object whose class computes the attribute takes the place of another",
        "class A: pass\nclass B:\n  @property\n  def v(self): 1 / 0\no = A(); o.v = 1; p = A(); p.v = 2; b = B()",
        "o.v",
        "o = b  # @a\no = p  # @b\no.v = 3  # @c\n",
        [hit("a", "1", ANY), hit("b", ANY, "2"), hit("c", "2", "3")],
        dicts=True,
    ),
    Case(
        "what cannot be read on the way is absent meanwhile",
        "class A: pass\nclass B:\n  @property\n  def v(self): 1 / 0\no = A(); o.v = [1]; p = A(); p.v = [2]; b = B()",
        "o.v[0]",
        "o = b  # @a\no = p  # @b\n",
        [hit("a", "1", "absent"), hit("b", "absent", "2")],
    ),
    Case(
        "an attribute that goes away where a class has __getattr__",
        "class A:\n  def __getattr__(self, name): 1 / 0\no = A(); o.v = 1",
        "o.v",
        "del o.v  # @a\no.v = 2  # @b\n",
        [hit("a", "1", "absent"), hit("b", "absent", "2")],
        dicts=True,
    ),
    Case(
        "waiting for the truth of what has one of its own for a while",
        "class Odd:\n  def __bool__(self): 1 / 0\nx = 0; odd = Odd()",
        "x",
        "x = odd\nx = 1  # @a\n",
        [hit("a", ANY, "True")],
        trigger="true",
        dicts=True,
    ),
    Case(
        "a cached_property is absent until it is computed",
        "import functools\nclass A:\n  @functools.cached_property\n  def v(self): return [1]\no = A()",
        "o.v",
        "o.v\no.v.append(2)  # @a\ndel o.v  # @b\n",
        [hit("functools.py", "absent", "[1]"), hit("a", "[1]", "[1, 2]"), hit("b", ANY, "absent")],
    ),
]


@parametrized([*BECOMES, *ELSEWHERE])
def test_a_watchpoint_goes_on_while_its_expression_cannot_be_read(case, mechanism, tmp_path, monkeypatch):
    """What has taken the place of the data is the new value; once there is data again, that is."""
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


def test_the_reason_is_said_once(capfd):
    """On stderr, for what is absent meanwhile; of a descriptor the hit tells."""

    class Plain: ...

    class Computing:
        value = property(lambda self: 1 / 0)

    names = {"o": Plain()}
    names["o"].value = [1]
    with Recorder() as hits:
        hits.changes("o.value[0]", scope=names)
        for one in (Computing(), Plain(), Computing()):
            names["o"] = one
    said = capfd.readouterr().err
    assert said.count("[unreadable-now]") == 1
    assert "'Computing.value' is a property, which would run" in said


DEFAULTS = [
    ("o.status", "o.status = 'paid'", "o.status  'new' -> 'paid'"),
    ("o.status", "vars(o)['status'] = 'paid'", "o.status  'new' -> 'paid'"),
    ("p.status", "del p.status", "p.status  'own' -> 'new'"),
    ("o.inner.x", "o.inner = other", "o.inner.x  1 -> 2"),
    ("Low.status", "Low.status = 'paid'", "Low.status  'new' -> 'paid'"),
    ("len", "len = 5", "len  <built-in function len> -> 5"),
]


@pytest.mark.parametrize("mechanism", ["default", "recheck"])
@pytest.mark.parametrize(("expression", "statement", "words"), DEFAULTS)
def test_what_hides_a_value_of_the_class_is_told_with_both(expression, statement, words, mechanism, monkeypatch):
    """The report tells what was read before and what is read now, not that a place was empty."""
    choose(monkeypatch, mechanism)
    names: dict = {}
    exec(
        "class Inner:\n  def __init__(self, x): self.x = x\n"
        "class Order:\n  status = 'new'\n  inner = Inner(1)\n"
        "class Low(Order): pass\no = Order(); p = Order(); p.status = 'own'; other = Inner(2)",
        names,
    )
    with Recorder() as hits:
        hits.changes(expression, scope=names)
        exec(statement, names)
    assert len(hits.hits) == 1
    if expression != "o.inner.x":
        assert str(hits.hits[0].change) == words
    else:
        assert hits.texts == [("1", "2")]
        assert "bound" not in str(hits.hits[0].change)


@pytest.mark.skipif(env.core is None, reason="class scopes take the C module")
@pytest.mark.parametrize("mechanism", ["default", "recheck"])
@pytest.mark.parametrize("expression", ["self.level", "self.__dict__['level']"])
def test_a_class_with_getattr_is_a_scope(expression, mechanism, monkeypatch):
    """An instance that lacks the attribute has none; its `__getattr__` is not asked."""
    choose(monkeypatch, mechanism)

    class Lazy:
        def __init__(self):
            self.level = 1

        def __getattr__(self, name):
            raise ZeroDivisionError

    with Recorder() as hits:
        hits.changes(expression, scope=Lazy)
        one = Lazy()
        one.level = 2
        del one.level
        one.level = 3
    assert [new for _, new in hits.texts] == ["1", "2", "absent", "3"]


@pytest.mark.parametrize(
    ("scope", "expression"),
    [
        ("{}", "len(jobs) > 2"),
        ("{}:fn", "len(n) > 2"),
        ("{}:C", "len(self.d) > 2"),
        ("__main__", "len({}.jobs) > 2"),
        ("{}", "max(jobs) > 2 and sorted(jobs)[0] == 0"),
    ],
)
def test_pure_builtins_are_known_before_the_module_is_there(scope, expression):
    """As they are once it is imported."""
    if env.core is None and scope.endswith(":C"):
        pytest.skip("class scopes take the C module")
    name = "stopwhen_pending_reading"
    module = types.ModuleType(name)
    with Recorder() as hits:
        hits.true(expression.format(name), scope=scope.format(name))
        sys.modules[name] = module
        try:
            exec(
                "jobs = []\nclass C:\n  def __init__(self): self.d = {}\n"
                "def fn():\n  n = []\n  for i in range(4): n.append(i)\n"
                "fn()\nc = C()\nfor i in range(4): jobs.append(i); c.d[i] = i\n",
                module.__dict__,
            )
        finally:
            del sys.modules[name]
    assert len(hits.hits) == 1


class Order:
    """Whose attributes are kept in all the ways in which the data behind them is found."""

    __slots__ = ("__dict__", "_slotted")

    def __init__(self):
        self._total = 1
        self.__dict__["stored"] = 2
        self._rows = {"k": 3}
        self.__secret = 4
        self._wrapped = types.SimpleNamespace(DEBUG=True)

    @property
    def total(self):
        return self._total

    @property
    def row(self):
        return self._rows["k"]

    @property
    def secret(self):
        return self.__secret

    @property
    def slotted(self):
        return self._slotted * 2

    @property
    def unknown(self):
        return 1 / 0

    class Stored:
        def __get__(self, *_):
            return 1 / 0

        def __set__(self, *_): ...

    stored = Stored()

    def __getattr__(self, name):
        raise AttributeError(name)


class Settings(dict):
    def __getitem__(self, key):
        return 1 / 0


@pytest.mark.parametrize(
    ("expression", "data"),
    [
        ("o.total", "o._total"),
        ("o.total > 5", "o._total"),
        ("o.row", 'o._rows["k"]'),
        ("o.secret", "o._Order__secret"),
        ("o.slotted", "o._slotted"),
        ("o.stored", 'o.__dict__["stored"]'),
        ("o.DEBUG", "o._wrapped.DEBUG"),
        ("rc['font.size']", "rc"),
    ],
)
def test_a_refusal_names_the_data_behind(expression, data):
    """What it names can be watched."""
    order = Order()
    order._slotted = 1
    names = {"o": order, "rc": Settings()}
    with pytest.raises(stopwhen.Refused) as caught:
        stopwhen.changes(expression, scope=names, action="count")
    assert caught.value.hint.startswith(f"watch {data!r}, or say --allow-calls")
    assert "that code then runs at each look" in caught.value.hint
    with stopwhen.changes(data, scope=names, action="count") as watchpoint:
        assert watchpoint.count == 0


def test_a_refusal_does_not_guess():
    """Where nothing is found, it says so in general."""
    with pytest.raises(stopwhen.Refused, match="watch the data behind it, or say --allow-calls"):
        stopwhen.changes("o.unknown", scope={"o": Order()}, action="count")


@pytest.mark.skipif(env.core is None, reason="class scopes take the C module")
def test_a_refused_class_scope_names_the_data_behind():
    """Before there is an instance."""
    with pytest.raises(stopwhen.Refused, match=r"watch 'self\._total'"):
        stopwhen.changes("self.total", scope=Order, action="count")
