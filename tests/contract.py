"""The contract suite's table: a case is a setup, a watch expression, a program with marked lines, and its hits."""

from __future__ import annotations

import os
import textwrap
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import helpers
from recorder import Recorder
from stopwhen import Hit, env
from stopwhen.mechanisms import VARIABLE

ANY: Any = type(
    "Any", (), {"__eq__": lambda _self, _other: True, "__hash__": object.__hash__, "__repr__": lambda _self: "..."}
)()
"""Equal to everything: what a case does not say."""


def mechanism_sets() -> list[str]:
    """Return the mechanisms to run each case under; "default" is the mix that users get."""
    sets = ["recheck", "default"]
    if env.core is not None:
        sets += ["monitoring", "dictwatch"] if env.HAS_MONITORING else ["tracing"]
    return sets


def containers_tell(mechanism: str) -> bool:
    """Return whether lists, sets, deques and slots tell of their changes: nothing is left to be found later."""
    return mechanism == "default" and env.core is not None


def choose(monkeypatch: pytest.MonkeyPatch, mechanism: str) -> None:
    """Let watchpoints be armed by `mechanism` alone."""
    if mechanism == "default":
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, mechanism)


@dataclass(frozen=True)
class Expected:
    """One hit as a case tells it; `mark` is the marked line, or a file's name when the writer is in another file."""

    mark: str
    old: str = ANY
    new: str = ANY
    by: str | None = ANY
    expression: str = ANY

    def __repr__(self) -> str:
        return f"{self.mark}: {self.old} -> {self.new} by {self.by} [{self.expression}]"


def hit(mark: str, old: str = ANY, new: str = ANY, by: str | None = ANY, expression: str = ANY) -> Expected:
    """Return an expected hit; what is not given does not matter."""
    return Expected(mark, old, new, by, expression)


@dataclass(frozen=True)
class Case:
    """One behaviour.

    Attributes:
        name: the behaviour.
        setup: run before arming, in the same module.
        watch: one watch expression or several.
        program: run after arming; lines to be hit are marked with `# @name`.
        hits: what must be seen, in this order.
        dicts: all of its cells are items or contents of dicts, so the dict watcher alone must do.
        trigger: "changes", "true", "writes" or "reads".
        options: of the watchpoint.
        raises: the error that ends the program.
    """

    name: str
    setup: str
    watch: str | Sequence[str]
    program: str
    hits: list[Expected] = field(default_factory=list)
    dicts: bool = False
    trigger: str = "changes"
    options: dict[str, Any] = field(default_factory=dict)
    raises: type[BaseException] | None = None


def in_function(statement: str, declarations: str = "") -> str:
    """Return a program in which a function runs `statement`, then something else on the next line."""
    header = f"    {declarations}\n" if declarations else ""
    return f"def f():\n{header}    {statement}  # @a\n    after = 1\n    return after\nf()\n"


def table(kind: str, setup: str, expression: str, rows: list[tuple], *, dicts: bool = False, declarations: str = ""):
    """Return a case for each row: statement, new text, `by`; each is one hit on the statement's line."""
    return [
        Case(
            f"{kind}: {statement}",
            setup,
            expression,
            in_function(statement, declarations),
            [hit(where[0] if where else "a", new=new, by=by)],
            dicts=dicts,
        )
        for statement, new, by, *where in rows
    ]


def parametrized(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Return the decorator that runs a test on each case under each mechanism that is there for it."""
    params = []
    names: set[str] = set()
    for case in cases:
        assert case.name not in names, f"two cases are called {case.name!r}"
        names.add(case.name)
        params += [
            pytest.param(case, mechanism, id=f"{case.name.replace(' ', '-')}-{mechanism}")
            for mechanism in mechanism_sets()
            if mechanism != "dictwatch" or case.dicts
        ]
    return pytest.mark.parametrize(("case", "mechanism"), params)


class Module(types.ModuleType):
    """A module with the source of a case."""

    def __init__(self, folder: Path, name: str = "subject") -> None:
        super().__init__(name)
        self.path = folder / f"{name}.py"

    def run(self, source: str) -> None:
        """Run `source` as this module's code, with a file that it stands in."""
        self.path.write_text(source, encoding="utf-8")
        exec(compile(source, os.fspath(self.path), "exec", dont_inherit=True), self.__dict__)


def described(case_hits: Iterable[Hit], path: Path) -> list[Expected]:
    """Return hits in the words of the table."""
    marks = {line: mark for mark, line in helpers.marked_lines(path).items()}
    return [_described(one, path, marks) for one in case_hits]


def _described(one: Hit, path: Path, marks: dict[int, str]) -> Expected:
    where = one.location
    if where is None:
        mark = "no frame"
    elif where.filename == os.fspath(path):
        mark = marks.get(where.lineno, f"line {where.lineno}")
    else:
        mark = os.path.basename(where.filename)
    if not one.exact:
        mark += " (inexact)"
    return Expected(mark, one.old_text, one.new_text, one.by, one.watchpoint.expression.text)


def run_case(case: Case, folder: Path) -> list[Expected]:
    """Run a case and return its hits in the words of the table."""
    module = Module(folder)
    exec(compile(textwrap.dedent(case.setup), "<setup>", "exec"), module.__dict__)
    source = textwrap.dedent(case.program)
    expressions = [case.watch] if isinstance(case.watch, str) else case.watch
    with Recorder() as hits:
        for expression in expressions:
            getattr(hits, case.trigger)(expression, scope=module, **case.options)
        _run(module, source, case.raises)
    return described(hits.hits, module.path)


def _run(module: Module, source: str, raises: type[BaseException] | None) -> None:
    if raises is None:
        module.run(source)
        return
    with pytest.raises(raises):
        module.run(source)


every_mechanism = pytest.mark.parametrize("mechanism", mechanism_sets())
"""Runs a test, which watches nothing but items of dicts, under each mechanism."""
