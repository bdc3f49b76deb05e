"""Pinned watchpoints, which outlive their frame, and what is said of those that end with it."""

from __future__ import annotations

import textwrap
import types

import pytest

import stopwhen
from recorder import Recorder

ACCOUNT = textwrap.dedent("""
    import stopwhen

    class Account:
        def __init__(self, **options):
            self.balance = 0
            self.lines = []
            self.watchpoint = stopwhen.changes("self.balance", action="count", **options)
            self.on_lines = stopwhen.changes("self.lines", action="count", **options)

        def pay(self, amount):
            self.balance += amount
            self.lines.append(amount)

    def local(**options):
        rows, number = [1], 3
        rows_point = stopwhen.changes("rows", action="count", **options)
        return rows, rows_point

    def scalar(**options):
        number = 3
        return stopwhen.changes("number", action="count", **options)

    def unbound(**options):
        stopwhen.changes("later", action="count", **options)
        later = 1
""")


@pytest.fixture(params=[None, "recheck"])
def program(request, monkeypatch):
    """The program above, under each mechanism."""
    if request.param is not None:
        monkeypatch.setenv("STOPWHEN_MECHANISMS", request.param)
    module = types.ModuleType("bank")
    exec(compile(ACCOUNT, "bank.py", "exec"), vars(module))
    yield module
    stopwhen.clear()


def test_a_pinned_watchpoint_outlives_the_method_that_set_it(program, capfd):
    """`self` stands for the object, when the frame has ended too."""
    account = program.Account(pin=True)
    account.pay(5)
    account.pay(6)
    assert (account.watchpoint.count, account.on_lines.count) == (2, 2)
    assert not account.watchpoint.removed
    assert "frame-ended" not in capfd.readouterr().err


def test_without_pin_its_end_is_said_once_with_the_hint(program, capfd):
    """A watchpoint that ends unnoticed is worse than none; that it ended in each of many calls is said once."""
    program.Account.__init__.__code__ = program.Account.__init__.__code__.replace(co_qualname=f"Account.{id(program)}")
    for _ in range(3):
        account = program.Account()
        account.pay(5)
    said = capfd.readouterr().err
    assert account.watchpoint.removed
    assert said.count(f"no longer watching 'self.balance': the call of Account.{id(program)} in which") == 1
    assert said.count("pin=True") == 2  # and one for self.lines


def test_nothing_is_said_of_one_that_was_hit_or_removed(program, capfd):
    """It has done its work, or was not wanted any more."""
    source = """
def hit():
    total = 0
    stopwhen.changes("total", action="count")
    total = 1

def removed():
    total = 0
    with stopwhen.changes("total", action="count"):
        pass
"""
    exec(source, vars(program))
    program.hit()
    program.removed()
    assert stopwhen.watchpoints() == []
    assert capfd.readouterr().err == ""


def test_a_pinned_local_is_the_object_it_stood_for(program):
    """What the name is bound to afterwards does not matter."""
    rows, watchpoint = program.local(pin=True)
    rows.append(2)
    assert watchpoint.count == 1
    watchpoint.remove()
    rows.append(3)
    assert watchpoint.count == 1


def test_a_local_that_stands_for_nothing_lasting_is_refused(program):
    """A number never changes, and the variable ends with its frame."""
    with pytest.raises(stopwhen.Refused, match="'number' stands for 3, which never changes"):
        program.scalar(pin=True)
    with pytest.raises(stopwhen.Refused, match="'later' stands for nothing yet"):
        program.unbound(pin=True)
    assert stopwhen.watchpoints() == []


def test_in_a_module_a_name_is_pinned_once_it_stands_for_an_object(program):
    """So a program that has not begun can be asked about."""
    with Recorder() as hits:
        watchpoint = hits.changes("config['a']", scope=program, pin=True)
        program.config = first = {"a": 1}
        program.config = {"a": 2}
        first["a"] = 3
        program.config["a"] = 4
    assert [hit.new for hit in hits.hits] == [1, 3]
    assert watchpoint.count == 2


@pytest.mark.parametrize("scope", ["bank:Account", "bank:local"])
def test_pin_in_a_scope_of_many_is_a_usage_error(scope):
    """Names stand for something else in each."""
    with pytest.raises(stopwhen.UsageError, match=r"\[pin\]"):
        stopwhen.changes("self.balance", scope=scope, pin=True)


def test_a_pinned_guard_outlives_its_frame(program):
    """`forbid` takes the same options."""
    exec("def guard(account):\n    return stopwhen.forbid('account.balance', pin=True)\n", vars(program))
    account = program.Account(pin=True)
    guard = program.guard(account)
    with pytest.raises(stopwhen.DataChanged):
        account.pay(1)
    guard.remove()
    account.pay(1)
