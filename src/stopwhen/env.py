"""What this interpreter offers: all tests for versions and for the C module live here."""

from __future__ import annotations

from stopwhen.originals import os, sys, use_original_builtins
from stopwhen.type_hints import Any

use_original_builtins(globals())

HAS_MONITORING = sys.version_info >= (3, 12)
"""`sys.monitoring` (PEP 669)."""

HAS_REMOTE_EXEC = hasattr(sys, "remote_exec")
"""`sys.remote_exec` (PEP 768), from 3.14 on: running code in another process."""

HAS_DICT_WATCHERS = sys.version_info >= (3, 12)
"""`PyDict_AddWatcher`."""

SHARED_VALUES_GO_UNREPORTED = sys.version_info[:3] == (3, 13, 0)
"""Stores to an instance dict that shares its values with the object are not seen by dict watchers (cpython gh-125608).

    o.__dict__; watch(o.__dict__); o.x = 1     # no event on 3.13.0
"""

HAS_PURE_F_LOCALS = sys.version_info >= (3, 13)
"""Reading `frame.f_locals` changes nothing (PEP 667); before, it renews the dict that it returned last."""

JIT_SPECIALISES = sys.version_info >= (3, 15) and sys._jit.is_enabled()  # noqa: SLF001 - it has no other name
"""What records a loop to compile it has each instruction specialised at once, whatever the instruction's counter says.

    PYTHON_JIT=1    for i in range(5_000): rows[0] = i     # STORE_SUBSCR_LIST_INT, though its counter never runs down
"""

NO_C_MODULE = "the C module stopwhen._core is not there (installed without a C compiler)"


def _load_core() -> Any:
    if os.environ.get("STOPWHEN_PURE"):
        return None
    try:
        from stopwhen import _core  # noqa: PLC0415 - the one place that looks for it
    except ImportError:
        return None
    # In a source tree without the built module, the folder of its C sources passes for a package.
    return _core if hasattr(_core, "Check") else None


core: Any = _load_core()
"""The C module, or None."""
