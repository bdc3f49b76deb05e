"""Where there is no memory, the program goes on as without us, and what is missed for that is said."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest

from helpers import PROGRAMS, run_python
from stopwhen import env

MOMENTS = ("arming", "disarming", "closing", "change", "log")


def can_fail():
    """Return whether the C module is built so that its allocations can be made to fail: `make sanitize` does."""
    return env.core is not None and hasattr(ctypes.CDLL(env.core.__file__), "stopwhen_allocations_left")


needs_failing_allocations = pytest.mark.skipif(not can_fail(), reason="needs the C module as `make sanitize` builds it")


@needs_failing_allocations
@pytest.mark.parametrize("how", ["once", "on"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_no_failing_allocation_disturbs_the_program_or_is_passed_over_in_silence(moment, how):
    """Every allocation of the C module fails in turn; a hit is right, or the change is said to be missed."""
    result = run_python(str(PROGRAMS / "no_memory.py"), moment, how, timeout=600)
    assert result.status == 0, result.stdout + result.stderr
    rows = re.findall(r"^([a-z ]+): (\d+) allocations: (\d+) hits, (\d+) missed", result.stdout, re.MULTILINE)
    assert len(rows) == 25
    assert all(int(allocations) > 0 for _, allocations, _, _ in rows)
    if moment in ("change", "log"):
        assert all(int(hits) > 0 and int(missed) > 0 for _, _, hits, missed in rows)


def test_the_header_names_every_call_that_allocates():
    """Or a new call would never be made to fail."""
    core = Path(__file__).parents[2] / "src" / "stopwhen" / "_core"
    calls = re.compile(r"\bPy[A-Za-z]+_[A-Za-z]+(?=\()")
    used = {name for file in core.rglob("*.c") for name in calls.findall(file.read_text())}
    header = (Path(__file__).parent / "failing.h").read_text()
    named = set(re.findall(r"^#define (Py\w+)", header, re.MULTILINE))
    allocating = re.compile(r"_New$|_From|_Pack$|Append$|[Aa]lloc$|SetItem$|AsTuple$")
    allocates = set(filter(allocating.search, used))
    # The last two are at import; False and True are always there.
    others = {"PyBool_FromLong", "PyType_FromModuleAndSpec", "PyObject_New"}
    assert allocates - named - others == set()
