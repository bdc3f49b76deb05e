"""Fixtures of the tests of what sits inside the interpreter."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from stopwhen import env


@pytest.fixture(params=["best", "recheck"])
def mechanism(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The best mechanisms that there are, all in C; then the one in pure Python."""
    if request.param == "best" and env.core is None:
        pytest.skip("needs the C module")
    if request.param == "best":
        monkeypatch.delenv("STOPWHEN_MECHANISM", raising=False)
    else:
        monkeypatch.setenv("STOPWHEN_MECHANISM", request.param)
    return str(request.param)


@pytest.fixture
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let programs run as if nobody had said how to watch."""
    for name in [name for name in os.environ if name.startswith(("STOPWHEN_", "COVERAGE_"))]:
        monkeypatch.delenv(name)
    return
