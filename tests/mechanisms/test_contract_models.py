"""The contract, for the classes that dataclasses, attrs and pydantic make."""

from __future__ import annotations

import importlib.util
import sys
import types

import pytest

from contract import ANY, Case, choose, hit, parametrized, run_case, table

DATACLASS = "from dataclasses import dataclass, field, replace\n"

DATACLASSES = [
    *table(
        "dataclass",
        f"{DATACLASS}@dataclass\nclass P:\n  x: int = 1\n  rows: list = field(default_factory=list)\no = P()",
        "o.x",
        [
            ("o.x = 2", "2", None),
            ("o = replace(o, x=2)", "2", None),
            ("o.__init__(2)", "2", ANY, "<string>"),
        ],
        declarations="global o",
        dicts=True,
    ),
    *table(
        "dataclass with slots",
        f"{DATACLASS}@dataclass(slots=True)\nclass P:\n  x: int = 1\no = P()",
        "o",
        [("o.x = 2", "P(x=2)", None), ("o = replace(o, x=2)", "P(x=2)", None), ("o.__init__(2)", "P(x=2)", ANY, "<string>")],
        declarations="global o",
    ),
    Case(
        "a frozen dataclass",
        f"{DATACLASS}@dataclass(frozen=True)\nclass P:\n  x: int = 1\no = P()",
        "o",
        "try: o.x = 3\nexcept AttributeError: pass\nobject.__setattr__(o, 'x', 2)  # @a\n",
        [hit("a", "P(x=1)", "P(x=2)", "object.__setattr__")],
        dicts=True,
    ),
    Case(
        "what a dataclass holds",
        f"{DATACLASS}@dataclass\nclass P:\n  rows: list = field(default_factory=list)\no = P()",
        "o",
        "o.rows.append(1)  # @a\no.rows = [2]  # @b\no.rows[0] = 3  # @c\n",
        [hit("a"), hit("b"), hit("c")],
        options={"depth": 2},
    ),
]  # fmt: skip

ATTRS = [
    *table(
        "attrs",
        "import attrs\n@attrs.define\nclass P:\n  x: int = 1\no = P()",
        "o.x",
        [("o.x = 2", "2", None), ("o = attrs.evolve(o, x=2)", "2", None)],
        declarations="global o",
    ),
    *table(
        "attrs with a dict",
        "import attrs\n@attrs.define(slots=False)\nclass P:\n  x: int = 1\no = P()",
        "o.x",
        [("o.x = 2", "2", None)],
        dicts=True,
    ),
    Case(
        "attrs with a validator",
        "import attrs\n@attrs.define\nclass P:\n"
        "  x: int = attrs.field(default=1, validator=attrs.validators.instance_of(int))\no = P()",
        ["o.x", "o"],
        "o.x = 2\ntry: o.x = 'a'\nexcept TypeError: pass\n",
        [hit("_make.py", "1", "2", expression="o.x"), hit("_make.py", expression="o")],
    ),
]

PYDANTIC = [
    *table(
        "pydantic",
        "import pydantic\nclass P(pydantic.BaseModel):\n  x: int = 1\no = P()",
        "o.x",
        [("o.x = 2", "2", None, "main.py"), ("o = o.model_copy(update={'x': 2})", "2", None)],
        declarations="global o",
        dicts=True,
    ),
    Case(
        "pydantic that validates",
        "import pydantic\nclass P(pydantic.BaseModel, validate_assignment=True):\n  x: int = 1\no = P()",
        "o.x",
        "o.x = '2'\ntry: o.x = 'a'\nexcept ValueError: pass\n",
        [hit("main.py", "1", "2")],
        dicts=True,
    ),
    Case(
        "what a model of pydantic holds",
        "import pydantic\nclass P(pydantic.BaseModel):\n  rows: list = []\no = P()",
        "o.rows",
        "o.rows.append(1)  # @a\no.rows = [2]\no.rows[0] = 3  # @c\n",
        [hit("a"), hit("main.py"), hit("c")],
    ),
]


@pytest.fixture(autouse=True)
def module_of_the_classes(monkeypatch):
    """Be the module that they look for when they read annotations."""
    monkeypatch.setitem(sys.modules, "subject", types.ModuleType("subject"))


@parametrized(DATACLASSES)
def test_dataclasses(case, mechanism, tmp_path, monkeypatch):
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


@pytest.mark.skipif(importlib.util.find_spec("attrs") is None, reason="needs attrs")
@parametrized(ATTRS)
def test_attrs(case, mechanism, tmp_path, monkeypatch):
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


@pytest.mark.skipif(importlib.util.find_spec("pydantic") is None, reason="needs pydantic")
@parametrized(PYDANTIC)
def test_pydantic(case, mechanism, tmp_path, monkeypatch):
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits
