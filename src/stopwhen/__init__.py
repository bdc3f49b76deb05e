"""Data breakpoints for Python: stop when a piece of data changes, at the exact line that changed it."""

from __future__ import annotations

from importlib import import_module

from stopwhen.api import changes, clear, forbid, reads, true, watchpoints, writes
from stopwhen.change import Change
from stopwhen.errors import BadExpression, DataChanged, Refused, StopwhenError, UsageError
from stopwhen.guard import Guard
from stopwhen.hit import Hit
from stopwhen.location import Location
from stopwhen.types import ABSENT
from stopwhen.watchpoint import Watchpoint

__version__ = "0.1.0"

__all__ = [
    "ABSENT",
    "BadExpression",
    "Change",
    "DataChanged",
    "Guard",
    "Hit",
    "Location",
    "Refused",
    "StopwhenError",
    "UsageError",
    "Watchpoint",
    "changes",
    "clear",
    "forbid",
    "reads",
    "true",
    "watchpoints",
    "writes",
]


def load_ipython_extension(shell: object) -> None:
    """Be `%load_ext stopwhen` of IPython, which looks for it here."""
    import_module("stopwhen.frontends.ipython_magic").load(shell)


def unload_ipython_extension(shell: object) -> None:
    """Be `%unload_ext stopwhen`."""
    import_module("stopwhen.frontends.ipython_magic").unload(shell)
