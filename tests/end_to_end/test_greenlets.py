"""Greenlets: C code that goes on with another stack of frames amid a call, of which no event tells."""

from __future__ import annotations

import pytest

from helpers import PROGRAMS, run_python

pytest.importorskip("greenlet", reason="needs the packages of the extra 'data'")


@pytest.mark.parametrize("seed", range(3))
def test_each_change_is_laid_to_the_line_of_the_greenlet_that_made_it(seed):
    """As by the recheck in pure Python, which knows where each frame stands."""
    hits = run_python(str(PROGRAMS / "greenlets.py"), str(seed))
    expected = run_python(str(PROGRAMS / "greenlets.py"), str(seed), env={"STOPWHEN_MECHANISM": "recheck"})
    assert hits.stderr == expected.stderr == ""
    assert hits.stdout == expected.stdout
    assert len(hits.stdout.splitlines()) > 200
