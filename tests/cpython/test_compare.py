"""CPython's own tests go as they go, watched or not; all that `make cpython` runs would take too long here."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from cpython.compare import MODULES, Run, compare, differences, is_expected

needs_tests = pytest.mark.skipif(
    find_spec("test") is None or find_spec("test.test_dict") is None, reason="needs the package test of this Python"
)


@needs_tests
@pytest.mark.parametrize("module", ["test_dict", "test_list", "test_generators", "test_heapq"])
def test_cpythons_own_tests_go_as_without_us(module):
    """Each test ends as it does plainly, without a hit of the unrelated data, which is still watched afterwards."""
    count, found, known = compare(module)
    assert count > 30
    assert (found, known) == ({}, {})


def test_what_differs_is_found():
    """A test that fails, one that is not run, a subtest, a false hit."""
    plain = Run({"a": ["passed"], "b": ["passed"], "c": ["passed"], "d": ["passed"]})
    watched = Run(
        {"a": ["passed"], "b": ["failed"], "d": ["passed", "subtest error"]}, mistakes=["1 false hits of rows"]
    )
    assert differences("test.m", plain, watched) == {
        "b": "passed plainly, failed watched",
        "c": "passed plainly, not run watched",
        "d": "passed plainly, passed, subtest error watched",
        "test.m": "1 false hits of rows",
    }
    assert differences("test.m", plain, plain) == {}


def test_only_what_is_listed_may_differ():
    """A listed end of a module excuses no other mistake of it."""
    assert is_expected("test.test_code", "ended with status -11")
    assert not is_expected("test.test_code", "1 false hits of rows")
    assert not is_expected("test.test_dict.DictTest.test_len", "passed plainly, failed watched")
    assert len(MODULES) == len(set(MODULES))
