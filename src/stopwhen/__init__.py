"""Data breakpoints for Python: stop when a piece of data changes, at the exact line that changed it."""

from __future__ import annotations

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
