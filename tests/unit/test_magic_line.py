"""The line of %stopwhen: a command, an expression as it stands, options after it."""

from __future__ import annotations

import pytest

from stopwhen.errors import UsageError
from stopwhen.frontends.magic_line import read_line
from stopwhen.terms import Terms
from stopwhen.types import Action

DEFAULTS = Terms(action=Action.LOG)


@pytest.mark.parametrize(
    ("line", "command", "text"),
    [
        ("changes df", "changes", "df"),
        ("  true   len(q) > 10  ", "true", "len(q) > 10"),
        ("true a and b['x y'] or {1: 2}", "true", "a and b['x y'] or {1: 2}"),
        ("changes x - -y", "changes", "x - -y"),
        ("changes 'df'", "changes", "df"),
        ('true "len(q) > 10"', "true", "len(q) > 10"),
        ("true 'a' == x", "true", "'a' == x"),
        ("changes d['--if'] --depth 0", "changes", "d['--if']"),
        ("changes d['a \\' --if'] --depth 0", "changes", "d['a \\' --if']"),
        ("changes f( --x)", "changes", "f( --x)"),
        ("--changes df", "changes", "df"),
        ("--true x > 1 --hits 1", "true", "x > 1"),
        ("explain sys.path[0]", "explain", "sys.path[0]"),
        ("", "list", ""),
        ("list", "list", ""),
        ("--help", "help", ""),
        ("help", "help", ""),
    ],
)
def test_the_expression_is_what_stands_before_the_options(line, command, text):
    """With spaces, quotes, operators and brackets, as it would stand in a cell."""
    asked = read_line(line, DEFAULTS)
    assert (asked.command, asked.text) == (command, text)


def test_options_are_those_of_the_command_line():
    """Each goes on until the next one; quotes may stand around a value."""
    asked = read_line(
        "changes x --if new < 0 and user is None --hits '>=3' --depth all --action raise --scope shop.cart:Cart "
        "--thread w* --thread v --in=*/shop/* --not-in */lib/* --allow-calls",
        DEFAULTS,
    )
    assert asked.settings == Terms(
        action=Action.RAISE,
        condition="new < 0 and user is None",
        hit_condition=">=3",
        scope="shop.cart:Cart",
        depth="all",
        threads=("w*", "v"),
        files=("*/shop/*",),
        not_files=("*/lib/*",),
        allow_calls=True,
    )
    assert read_line("changes x", DEFAULTS).settings == DEFAULTS


@pytest.mark.parametrize(
    ("line", "numbers"), [("remove 1", (1,)), ("remove 1 2,3", (1, 2, 3)), ("enable all", ()), ("disable 12", (12,))]
)
def test_watchpoints_are_named_by_number(line, numbers):
    """Or all of them."""
    assert read_line(line, DEFAULTS).numbers == numbers


@pytest.mark.parametrize(
    ("line", "slug", "words"),
    [
        ("changess x", "unknown-command", "did you mean %stopwhen changes?"),
        ("df", "unknown-command", "to watch an expression: %stopwhen changes df"),
        ("len(rows) > 3", "unknown-command", "%stopwhen changes len(rows) > 3"),
        ("changes", "no-expression", "%stopwhen changes len(rows)"),
        ("changes --depth 1", "no-expression", ""),
        ("explain", "no-expression", ""),
        ("list 3", "unexpected-word", ""),
        ("remove", "no-number", "%stopwhen list shows the numbers"),
        ("remove x", "no-number", ""),
        ("remove -1", "no-number", ""),
        ("changes x --deph 1", "unknown-option", "did you mean --depth?"),
        ("changes x --json", "unknown-option", "the options are --action"),
        ("changes x --depth", "missing-value", "write --depth VALUE"),
        ("changes x --depth deep", "bad-depth", ""),
        ("changes x --action jump", "unknown-action", ""),
        ("changes x --allow-calls yes", "unexpected-value", ""),
    ],
)
def test_what_cannot_be_understood_is_said(line, slug, words):
    """With what to write instead."""
    with pytest.raises(UsageError) as caught:
        read_line(line, DEFAULTS)
    assert caught.value.slug == slug
    assert words in str(caught.value)
