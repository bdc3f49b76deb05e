"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import leak_guard


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    """Fail a test that leaves the interpreter other than it was."""
    before = leak_guard.interpreter_state()
    yield
    leaks = leak_guard.leaks(before, leak_guard.interpreter_state())
    if leaks:
        leak_guard.restore(before)
        pytest.fail("left behind by this test:\n  " + "\n  ".join(leaks), pytrace=False)
