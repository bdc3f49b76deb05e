"""The small shared types: access types, actions, absence."""

from __future__ import annotations

from stopwhen.originals import enum, use_original_builtins
from stopwhen.type_hints import Final

use_original_builtins(globals())


class Absent(enum.Enum):
    """The type of `ABSENT`, the value of an expression that cannot be read now."""

    __hash__ = object.__hash__

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "absent"

    __str__ = __repr__


ABSENT: Final = Absent.ABSENT


class AccessType(enum.Enum):
    """What of the data makes an event a candidate for a hit."""

    __hash__ = object.__hash__  # that of Enum is in Python, and calls `hash`, which may be patched

    CHANGE = "changes"
    TRUE = "true"
    WRITE = "writes"
    READ = "reads"


class Action(enum.Enum):
    """What a hit does, where it is not a callable of the user's."""

    __hash__ = object.__hash__

    STOP = "stop"
    LOG = "log"
    RAISE = "raise"
    COUNT = "count"
