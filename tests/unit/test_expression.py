"""The text of a watch expression is parsed, or refused with what to write instead."""

from __future__ import annotations

import ast

import pytest

from stopwhen.errors import BadExpression
from stopwhen.expression import WatchExpression, parse


def error_of(text: str) -> BadExpression:
    with pytest.raises(BadExpression) as caught:
        parse(text)
    return caught.value


def test_text_is_kept_as_written_without_surrounding_space():
    assert parse("  sys.path[0] \n").text == "sys.path[0]"


def test_expressions_of_one_text_are_equal():
    assert parse("a.b") == parse(" a.b")
    assert len({parse("a.b"), parse("a.b"), parse("a.c")}) == 2


def test_an_expression_cannot_be_changed():
    with pytest.raises(AttributeError):
        parse("a").text = "b"  # type: ignore[misc]


def test_parts_are_named_as_the_user_wrote_them():
    expression = parse('os.environ["TZ"]')
    names = {type(node): text for node, text in expression.parts.items()}
    assert names[ast.Subscript] == 'os.environ["TZ"]'
    assert names[ast.Attribute] == "os.environ"


def test_parts_of_text_that_is_not_ascii_are_named():
    expression = parse("größe.länge[1]")
    assert "größe.länge" in expression.parts.values()


def test_parts_inside_an_f_string_are_named():
    assert "a.b" in parse("f'{a.b!r:>{c.d}}'").parts.values()


@pytest.mark.parametrize("text", ["", "  ", "\n", "# only a comment", "  # c"])
def test_nothing_is_no_expression(text):
    assert error_of(text).slug == "empty-expression"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a +", "at its end"),
        ("a b", "column"),
        ("f(", "column"),
        ("(\na b)", "line 2, column"),
        ("a;", "column"),
        ("f'{*a}'", "starred"),
    ],
)
def test_bad_syntax_says_where(text, where):
    error = error_of(text)
    assert error.slug == "bad-syntax"
    assert where in str(error)
    assert repr(text) in str(error)


@pytest.mark.parametrize("text", ["a\0b", "(" * 500 + ")" * 500, "-" * 100_000 + "1", "'\ud800' +"])
def test_odd_text_is_bad_syntax(text):
    assert error_of(text).slug == "bad-syntax"


@pytest.mark.parametrize(
    ("text", "kind", "instead"),
    [
        ("x = 5", "an assignment", "'x == 5'"),
        ("x.y += 1", "an assignment", "'x.y'"),
        ("x: int = 1", "an assignment", "'x'"),
        ("del a[0]", "a 'del' statement", "'a[0]'"),
        ("import sys", "an import", "'sys'"),
        ("from os import path as p", "an import", "'p'"),
        ("assert a > 1", "an 'assert' statement", "'not (a > 1)'"),
        ("return a", "a 'return' statement", "'a'"),
        ("for i in a: pass", "a statement", "the expression"),
        ("def f(): pass", "a function definition", "the expression"),
        ("class C: pass", "a class definition", "the expression"),
        ("global g", "a 'global' statement", "the expression"),
        ("a; b", "2 statements", "of its own"),
        ("a\nb", "2 statements", "of its own"),
    ],
)
def test_a_statement_is_told_what_it_is_and_what_to_write(text, kind, instead):
    error = error_of(text)
    assert error.slug == "statement"
    assert kind in error.args[0]
    assert instead in error.hint


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("(x := 1)", ":="),
        ("await f()", "await"),
        ("[await x for x in y]", "await"),
        ("(yield x)", "yield"),
        ("(yield from x)", "yield from"),
        ("lambda: 1", "lambda"),
        ("sorted(a, key=lambda x: x)", "lambda"),
        ("[x async for x in y]", "async for"),
    ],
)
def test_what_cannot_be_read_without_effect_is_refused_with_its_own_reason(text, word):
    error = error_of(text)
    assert error.slug == "unsuitable-syntax"
    assert word in error.args[0]
    assert error.hint


def test_an_error_is_a_value_error():
    assert isinstance(error_of("a +"), ValueError)


def test_tree_is_the_expression():
    expression = parse("a if b else c")
    assert isinstance(expression, WatchExpression)
    assert isinstance(expression.tree, ast.IfExp)


@pytest.mark.skipif(not hasattr(ast, "TemplateStr"), reason="template strings are new in 3.14")
def test_a_template_string_is_refused():
    assert error_of("t'{a}'").slug == "unsuitable-syntax"
