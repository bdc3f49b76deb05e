"""What is said of names that are not there, and of expressions written in other languages' ways."""

from __future__ import annotations

import runpy
import sys
import types

import pytest

import stopwhen
from stopwhen import conditions
from stopwhen.errors import BadExpression
from stopwhen.expression import parse

SOURCE = """
import os, stopwhen

config = {"debug": True}

class Account:
    def __init__(self):
        self.balance = 0
    @staticmethod
    def rate():
        percent = 3
        return percent

def main():
    total = 0
    def inner():
        return total
    return inner

def ask(text, **options):
    unbound = None
    with stopwhen.changes(text, **{"action": "count", **options}):
        pass
    with stopwhen.forbid(text, **options):
        pass
    later = 1
"""


@pytest.fixture
def bank(monkeypatch):
    """A module of the program's own, imported as `bank`."""
    module = types.ModuleType("bank")
    module.__file__ = "bank.py"
    monkeypatch.setitem(sys.modules, "bank", module)
    exec(compile(SOURCE, "bank.py", "exec"), vars(module))
    return module


CASES = [
    ("confg", {}, "'confg' is not there: watched as absent", "did you mean 'config'?"),
    ("unbund", {}, "'unbund' is not there", "did you mean 'unbound'?"),
    ("total", {}, "'total' is not there", "'total' is a local of main(): scope='bank:main'"),
    (
        "percent * 2",
        {},
        "'percent' is not there: 'percent * 2' is",
        "Account.rate(): scope='bank:Account.rate'",
    ),
    ("self.balance", {}, "'self' is not there", "'self' is each instance of a class: scope='bank:Account'"),
    ("config[debug]", {}, "'debug' is not there", "if 'debug' is a key, write config['debug']"),
    ("nothing_like_it", {}, "'nothing_like_it' is not there", None),
    ("q", {}, "'q' is not there", None),
    ("x", {"scope": "Account"}, "the module 'Account' is not imported yet", "a class of bank: scope='bank:Account'"),
    ("x", {"scope": "main"}, "the module 'main' is not imported yet", "a function of bank: scope='bank:main'"),
    ("x", {"scope": "bank.Account"}, "'bank.Account' is not imported yet", "is a class: scope='bank:Account'"),
    (
        "x",
        {"scope": "Account.rate"},
        "'Account.rate' is not imported yet",
        "scope='bank:Account.rate'",
    ),
    ("x", {"scope": "bank:Accont"}, "bank:Accont is not there yet", "did you mean scope='bank:Account'?"),
    ("totl", {"scope": "bank:main"}, "'totl' is not there", "did you mean 'total'?"),
    ("confg", {"scope": "bank"}, "'confg' is not there", "did you mean 'config'?"),
    ("rowz", {"scope": {"rows": 1}}, "'rowz' is not there", "did you mean 'rows'?"),
]

SILENT = [
    ("later", {}),  # a local that is not bound yet
    ("config['x']", {}),  # the name is there
    ("total", {"scope": "bank:main"}),
    ("config", {"scope": "bank:main"}),
    ("len(config)", {}),
    ("x", {"scope": "not_imported_yet"}),
    ("x", {"scope": "not_imported_yet:func"}),
    ("[one for one in config]", {}),
]


@pytest.mark.parametrize(
    ("text", "options", "said", "hint"), CASES, ids=[f"{text}-{given}" for text, given, *_ in CASES]
)
def test_a_name_that_is_not_there_is_said_once(bank, capfd, text, options, said, hint):
    """By `changes` and `forbid` alike, with what may have been meant."""
    output = stopwhen.session.current().output
    output._said.clear()
    bank.ask(text, **options)
    error = capfd.readouterr().err
    assert error.count("stopwhen: ") == 1
    assert said in error
    assert "[not-there]" in error
    assert (hint in error) if hint is not None else ("hint" not in error)


@pytest.mark.parametrize(("text", "options"), SILENT, ids=[text for text, _ in SILENT])
def test_nothing_is_said_of_what_is_there_or_to_come(bank, capfd, text, options):
    """A module that is not imported yet, or a local that is not bound yet, is no mistake."""
    bank.ask(text, **options)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("self.balance", []),
        ("rates", []),
        ("self.balance + rates + around", []),
        ("slef.balance", ["'slef' is not there: 'slef.balance' is watched as absent"]),
        ("ratse", ["'ratse' is not there"]),
    ],
)
def test_the_names_of_a_decorator_are_those_that_its_function_reads(tmp_path, capfd, text, said):
    """Its parameters are there, though nothing is that has these names where the decorator stands."""
    program = tmp_path / "decorated.py"
    program.write_text(
        "import stopwhen\nrates = 1\ndef make():\n    around = 2\n    class Account:\n"
        f"        @stopwhen.forbid(\n            {text!r}\n        )\n"
        "        def statement(self): return around\n    return Account\nmake()\n"
    )
    stopwhen.session.current().output._said.clear()
    runpy.run_path(str(program))
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if "[not-there]" in line] == lines[: len(said)]
    assert all(words in line for words, line in zip(said, lines, strict=False))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("if new < 0", "leave out the word: 'new < 0'"),
        ("new < 0 if user is None", "'(new < 0) and (user is None)'"),
        ("new = 5", "write 'new == 5'"),
        ("new && old", "write 'new and old'"),
        ("!new || old == null", "write 'not new or old == None'"),
        ("new <", "over old, new and the names"),
    ],
)
def test_a_condition_that_is_none_gets_a_hint(text, hint):
    """Of what to write instead."""
    with pytest.raises(BadExpression) as caught:
        conditions.compile_condition(text)
    assert hint in str(caught.value.hint)


def test_an_expression_with_its_condition_as_gdb_writes_it_gets_a_hint():
    """`x if x > 3` is no expression."""
    with pytest.raises(BadExpression) as caught:
        parse("x if x > 3")
    assert "watch 'x', and give 'x > 3' as its condition" in str(caught.value.hint)
