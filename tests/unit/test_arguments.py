"""Whatever the public functions are given: no error but ours, which says what is wrong and what to write."""

from __future__ import annotations

import array
import collections
import decimal
import enum
import inspect
import types
from typing import Any

import pytest

import stopwhen


class Hostile:
    """An object that raises at whatever is done to it."""

    def _raise(self, *_args: object) -> Any:
        raise RuntimeError("hostile")

    __eq__ = __ne__ = __bool__ = __len__ = __iter__ = __str__ = __repr__ = __index__ = __int__ = __contains__ = _raise
    __hash__ = __getitem__ = __lt__ = __gt__ = __add__ = __format__ = _raise

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("hostile")


class Text(str):
    """A text of a subclass."""

    __slots__ = ()

    def strip(self, *_args: object) -> Any:
        raise RuntimeError("hostile")


class Color(enum.StrEnum):
    """Texts that are members of an enumeration."""

    RED = "sys.path"


HOSTILE: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        3,
        10**30,
        1.5,
        float("nan"),
        1j,
        decimal.Decimal(3),
        "",
        " ",
        "x",
        "3",
        "-1",
        "a b",
    ),
    *(
        "all",
        "\x00",
        "\ud800",
        "é",
        "9" * 5000,
        "(" * 300,
        "x" * 10_000,
        "[",
        "[!",
        "*",
        "a\nb",
        "%0",
        ">=",
        "lambda: 0",
    ),
    *("sys.path", "builtins:len", "no.such:thing", ":", "a:", ":a", "a:b:c", b"", b"sys.path", bytearray(b"x")),
    *([], ["x"], [1], [None], (), ("a", "b"), {}, {"x": 1}, {1: 2}, set(), {"a"}, frozenset({1}), range(3)),
    *(object(), Hostile(), Hostile, int, print, len, lambda _: True, [].append, type, types, types.ModuleType("m")),
    *(
        array.array("i", [1]),
        collections.UserDict(a=1),
        collections.ChainMap({"a": 1}),
        (one for one in "ab"),
        iter("ab"),
    ),
    *(Text("sys.path"), Text("all"), Color.RED, types.SimpleNamespace(x=1), NotImplemented, ..., stopwhen.ABSENT),
    *(stopwhen.changes, stopwhen.Hit, memoryview(b"x"), slice(1), Exception("x")),
]

OTHERS = [stopwhen.true, stopwhen.writes, stopwhen.reads, stopwhen.forbid]
OPTIONS = (
    *("scope", "pin", "depth", "condition", "hit_condition", "threads", "tasks", "files", "not_files", "functions"),
    *("callers", "action", "allow_calls"),
)


def test_no_argument_ends_in_an_error_that_is_not_ours(capfd):
    """Each hostile value for each argument is taken, or refused with a hint; nothing is left armed."""
    failed = []
    for option in ("expression", *OPTIONS):
        for value in HOSTILE:
            given = {"expression": "data", "scope": {"data": [1]}, "action": "count", option: value}
            try:
                stopwhen.changes(given.pop("expression"), **given).remove()
            except stopwhen.StopwhenError as error:
                if not error.slug or not (error.hint or option in ("expression", "condition")):
                    failed.append((option, type(value), str(error)))
            except Exception as error:
                failed.append((option, type(value), repr(error)))
    assert failed == []
    assert stopwhen.watchpoints() == []
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("function", OTHERS, ids=lambda one: one.__name__)
def test_the_other_functions_take_the_same(function):
    """What `changes` takes and refuses, they do."""
    parameters = dict(inspect.signature(stopwhen.changes).parameters)
    if function is stopwhen.forbid:
        del parameters["action"]
    assert dict(inspect.signature(function).parameters) == parameters
    for option in parameters:
        if option != "expression":
            with pytest.raises(stopwhen.StopwhenError):
                function("data", **{"scope": {}, option: Hostile()})


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"expression": ["lib"]}, "not-a-text", "in quotes"),
    ({"depth": "3"}, "bad-depth", "depth=3"),
    ({"depth": -1}, "bad-depth", "'all'"),
    ({"depth": 1.0}, "bad-depth", "'all'"),
    ({"action": "print"}, "unknown-action", "such as print"),
    ({"action": "Log"}, "unknown-action", "'log'"),
    ({"action": None}, "unknown-action", "'log'"),
    ({"condition": 5}, "bad-condition", "'new < 0'"),
    ({"hit_condition": 2.5}, "bad-hit-condition", ">=3"),
    ({"hit_condition": [3]}, "bad-hit-condition", ">=3"),
    ({"threads": 3}, "bad-pattern", "attribute 'name'"),
    ({"tasks": object()}, "bad-pattern", "get_name()"),
    ({"files": [1]}, "bad-pattern", "*/lib/*"),
    ({"not_files": b"lib"}, "bad-pattern", "*/lib/*"),
    ({"functions": print}, "bad-pattern", "Cart.add"),
    ({"callers": 1.5}, "bad-pattern", "Worker.run"),
    ({"scope": object()}, "bad-scope", "a dict of names"),
    ({"scope": "a b"}, "bad-scope", "pkg.mod:func"),
    ({"allow_calls": "no"}, "bad-flag", "allow_calls=True"),
    ({"pin": 1}, "bad-flag", "pin=True"),
]


@pytest.mark.parametrize(
    ("given", "slug", "hint"), WRONG, ids=lambda one: "-".join(one) if isinstance(one, dict) else ""
)
def test_a_wrong_argument_is_a_usage_error_that_says_what_to_write(given, slug, hint):
    """What was asked for is named, and what to do instead."""
    options = {"scope": {}, **given}
    with pytest.raises(stopwhen.UsageError) as caught:
        stopwhen.changes(options.pop("expression", "data"), **options)
    assert caught.value.slug == slug
    assert caught.value.hint is not None
    assert hint in caught.value.hint
