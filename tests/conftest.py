"""Fixtures for all tests."""

from __future__ import annotations

import gc
import sys
from _thread import get_ident
from collections.abc import Iterator
from types import FrameType

import pytest

import leak_guard
from crashes import pytest_configure
from stopwhen import location
from stopwhen.event import Place
from stopwhen.mechanisms import recheck

__all__ = ["pytest_configure"]


@pytest.fixture(autouse=True, scope="session")
def _collector_passes_over_the_test_runner() -> Iterator[None]:
    """Many tests collect garbage, or look at all objects; half a million of the runner's own are of no interest."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def _threads_of_the_test_runner_are_no_strangers() -> Iterator[None]:
    """What they do at any moment would make a hit uncertain, whether events tell of them or not."""
    find, me = recheck.other_threads, get_ident()
    is_ours = location.is_ours

    def others() -> dict[int, Place]:
        running = sys._current_frames()
        del running[get_ident()]  # this very frame
        return {k: v for k, v in find().items() if k == me or not _is_of_the_test_runner(running.get(k))}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recheck, "other_threads", others)
        patch.setattr(location, "is_ours", lambda filename: is_ours(filename) or "execnet" in filename)
        yield


def _is_of_the_test_runner(frame: FrameType | None) -> bool:
    while frame is not None and "execnet" not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    """Fail a test that leaves the interpreter other than it was."""
    before = leak_guard.interpreter_state()
    yield
    leaks = leak_guard.leaks(before, leak_guard.interpreter_state())
    if leaks:
        leak_guard.restore(before)
        pytest.fail("left behind by this test:\n  " + "\n  ".join(leaks), pytrace=False)
