"""Tools that run a program as `__main__`, in a module or dict of their own making: profilers, coverage, debuggers."""

from __future__ import annotations

from types import FrameType

from stopwhen.location import INSTALLED, STDLIB, filename_of
from stopwhen.originals import os, use_original_builtins
from stopwhen.scope import main
from stopwhen.type_hints import Any, Final

use_original_builtins(globals())

_FILES: Final = frozenset(
    os.path.join(STDLIB, f"{name}.py") for name in ("bdb", "cProfile", "code", "pdb", "profile", "runpy", "trace")
)
_PACKAGES: Final = frozenset(
    {
        *("coverage", "debugpy", "IPython", "ipykernel", "kernprof.py", "line_profiler", "memory_profiler.py"),
        *("pudb", "pyinstrument", "scalene", "viztracer"),
    }
)

GIVES_A_DICT: Final = frozenset({"cProfile", "profile", "trace"})
"""Modules that, when they are run as programs, run another in a dict that is no module's."""

_NAMES: Final = ("run_globals", "globals")
"""What those call that dict in the function that calls exec()."""


def is_launcher(filename: str) -> bool:
    """Tell that a file is part of a tool that prepares `__main__` for a program, and takes it away."""
    if filename in _FILES:
        return True
    parts = filename.split(os.sep)
    installed = next((n for n, part in enumerate(parts[:-1]) if part in INSTALLED), None)
    return installed is not None and parts[installed + 1] in _PACKAGES


def main_given_by(frame: FrameType) -> dict[str, Any] | None:
    """Return the dict that stands for `__main__` in what a frame is about to run by exec(); None for none."""
    if filename_of(frame.f_code) not in _FILES:
        return None
    for name in _NAMES:
        namespace = frame.f_locals.get(name)
        if type(namespace) is dict and dict.get(namespace, "__name__") == "__main__":
            return None if namespace is main.namespace else namespace
    return None
