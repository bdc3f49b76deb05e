"""Patterns are those of `fnmatch`."""

from __future__ import annotations

import fnmatch
import random

import pytest

from stopwhen.globs import Glob


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        *[
            (pattern, name)
            for pattern in ("*", "**", "a*", "*a", "a*b*c", "?", "a?")
            for name in ("", "a", "abc", "a\nbc")
        ],
        *[(pattern, name) for pattern in ("[ab]", "[!ab]", "[a-c]", "[c-a]", "[]]", "[!]]") for name in "abc]![-"],
        *[("[a", "[a"), ("[", "["), ("[]", "[]"), ("[!]", "[!]"), ("a.b", "axb"), ("\\*", "\\x"), ("A", "a")],
        ("*/shop/*.py", "/home/you/shop/cart.py"),
        ("*a" * 20, "a" * 19 + "b"),
    ],
)
def test_a_pattern_takes_what_it_takes_in_a_shell(pattern, name):
    assert Glob(pattern).fits(name) is fnmatch.fnmatchcase(name, pattern)


def test_patterns_at_random():
    chosen = random.Random(1)
    for _ in range(5_000):
        pattern = "".join(chosen.choices("ab-!]*[?c^\\", k=chosen.randrange(7)))
        name = "".join(chosen.choices("abc-]![^\\\n", k=chosen.randrange(5)))
        assert Glob(pattern).fits(name) is fnmatch.fnmatchcase(name, pattern), (pattern, name)
