"""Fixtures for all tests."""

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Iterator

import pytest

import leak_guard
from crashes import pytest_configure as pytest_configure
from stopwhen.mechanisms.recheck import Recheck


@pytest.fixture(autouse=True, scope="session")
def _threads_of_the_test_runner_are_no_strangers() -> Iterator[None]:
    """Where no events tell of them, what they do at any moment would make a hit uncertain."""
    runner = sys._current_frames().keys() - {get_ident()}
    find = Recheck._find_strangers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recheck, "_find_strangers", lambda self: {k: v for k, v in find(self).items() if k not in runner})
        yield


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    """Fail a test that leaves the interpreter other than it was."""
    before = leak_guard.interpreter_state()
    yield
    leaks = leak_guard.leaks(before, leak_guard.interpreter_state())
    if leaks:
        leak_guard.restore(before)
        pytest.fail("left behind by this test:\n  " + "\n  ".join(leaks), pytrace=False)
