"""A program that looks at itself finds the same while it is watched, before, between and after its changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helpers import PROGRAMS, run_program

PROGRAM = PROGRAMS / "looks_at_itself.py"
WATCHED = [
    *("--changes", "config", "--changes", "config['nested']['a']", "--changes", "rows", "--changes", "level"),
    *("--changes", "account.balance", "--changes", "account.rows", "--changes", "slotted.value", "--true", "level > 3"),
    *("--scope", "__main__:work", "--changes", "total", "--scope", "__main__:Account", "--changes", "self.rows"),
]


@pytest.mark.parametrize("action", ["count", "log"])
def test_a_program_that_looks_at_itself_finds_the_same(action):
    """References, objects, tracebacks, sources, classes, modules, warnings, threads, hooks, signals, identities."""
    plain = run_program(PROGRAM)
    watched = run_program(PROGRAM, stopwhen=["--action", action, *WATCHED])
    assert (watched.status, plain.status) == (0, 0), watched.stderr[-2000:] + plain.stderr
    assert " hits: " in watched.stderr
    before, now = json.loads(plain.stdout), json.loads(watched.stdout)
    plain_growth, watched_growth = growth(before), growth(now)
    assert {name: more for name, more in watched_growth.items() if more > plain_growth[name]} == {}
    differs = {name: (before[name], now[name]) for name in before if before[name] != now[name]}
    assert {name: two for name, two in differs.items() if not name.startswith("references")} == {}


def growth(seen: dict[str, Any]) -> dict[str, int]:
    """Return how many references have been added since the first changes: what is watched has more at all times."""
    first, last = seen["references, between"], seen["references, after"]
    return {name: last[name] - first[name] for name in first}
