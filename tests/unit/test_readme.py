"""What the README says of the tests."""

from __future__ import annotations

import re
from pathlib import Path

from helpers import run_python

TESTS = Path(__file__).parents[1]


def test_there_are_as_many_combinations_as_the_readme_says():
    """On this version, of data, writer and mechanism."""
    (said,) = re.findall(r"more than ([\d,]+) combinations", (TESTS.parent / "README.md").read_text(encoding="utf-8"))
    result = run_python("-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", str(TESTS / "mechanisms"))
    (collected,) = re.findall(r"^(\d+) tests collected", result.stdout, re.MULTILINE)
    assert int(collected) > int(said.replace(",", ""))
