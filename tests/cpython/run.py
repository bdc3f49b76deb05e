"""Runs one of CPython's own test modules in this process, watched or not, and writes down how each test went.

usage: run.py (plain | watched) MODULE OUTCOMES
"""

from __future__ import annotations

import json
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCE = Path(__file__).parents[2] / "src"


class Outcomes(unittest.TestResult):
    """Notes how each test went; a test with subtests has the outcomes of those that did not pass."""

    def __init__(self) -> None:
        super().__init__()
        self.by_test: dict[str, list[str]] = {}
        self.said: dict[str, str] = {}

    def _note(self, test: Any, outcome: str, error: Any = None) -> None:
        self.by_test.setdefault(test.id(), []).append(outcome)
        if error is not None:
            self.said[test.id()] = self._exc_info_to_string(error, test)  # type: ignore[attr-defined] # as unittest's own

    def startTest(self, test: Any) -> None:
        """A test that crashes the process is named by the last line on stderr."""
        print(test.id(), file=sys.stderr)
        super().startTest(test)

    def addSuccess(self, test: Any) -> None:
        self._note(test, "passed")

    def addError(self, test: Any, err: Any) -> None:
        self._note(test, "error", err)

    def addFailure(self, test: Any, err: Any) -> None:
        self._note(test, "failed", err)

    def addSkip(self, test: Any, reason: str) -> None:
        self._note(test, "skipped")

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self._note(test, "failed as expected")

    def addUnexpectedSuccess(self, test: Any) -> None:
        self._note(test, "passed unexpectedly")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._note(test, "subtest failed" if issubclass(err[0], test.failureException) else "subtest error", err)


class Account:
    """Has the attribute that is watched."""

    def __init__(self) -> None:
        self.balance = 0


def watch() -> Any:
    """Watch a global, a list and an attribute that no test touches; return what tells the mistakes of that."""
    sys.path.insert(0, str(SOURCE))
    import stopwhen

    sys.path.remove(str(SOURCE))
    subject: Any = ModuleType("subject")
    subject.level, subject.rows, subject.account = 0, [0], Account()
    watched = {
        expression: stopwhen.changes(expression, scope=subject, action="count")
        for expression in ("level", "rows", "account.balance")
    }

    def mistakes() -> list[str]:
        found = [f"{one.count} false hits of {name}" for name, one in watched.items() if one.count]
        before = {name: one.count for name, one in watched.items()}
        subject.level = 1
        subject.rows.append(1)
        subject.account.balance = 1
        return found + [
            f"{one.count - before[name]} hits, not one, of {name} after the tests"
            for name, one in watched.items()
            if one.count != before[name] + 1
        ]

    return mistakes


def main(kind: str, module: str, path: str) -> None:
    """Run the tests."""
    import test.support

    test.support.verbose = False
    outcomes = Outcomes()
    suite = unittest.defaultTestLoader.loadTestsFromName(f"test.{module}")
    mistakes = watch() if kind == "watched" else list
    suite.run(outcomes)
    said = {"tests": outcomes.by_test, "said": outcomes.said, "mistakes": mistakes()}
    Path(path).write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
