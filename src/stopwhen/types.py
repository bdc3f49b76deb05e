"""The small shared types: access types, actions, absence."""

from __future__ import annotations

import enum
from typing import Final


class Absent(enum.Enum):
    """The type of `ABSENT`, the value of an expression that cannot be read now."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "absent"

    __str__ = __repr__


ABSENT: Final = Absent.ABSENT


class AccessType(enum.Enum):
    """What of the data makes an event a candidate for a hit."""

    CHANGE = "changes"
    TRUE = "true"
    WRITE = "writes"
    READ = "reads"


class Action(enum.Enum):
    """What a hit does, where it is not a callable of the user's."""

    STOP = "stop"
    LOG = "log"
    RAISE = "raise"
    COUNT = "count"
