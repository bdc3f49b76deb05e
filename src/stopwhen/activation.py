"""A watch expression read in one place: what it was there when it was last looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stopwhen import values
from stopwhen.texts import text_of
from stopwhen.types import AccessType

if TYPE_CHECKING:
    from stopwhen.dependencies import Reading
    from stopwhen.scope import Scope
    from stopwhen.watchpoint import Watchpoint


@dataclass(eq=False, slots=True)
class Seen:
    """The state of a watch expression when it was last looked at."""

    reading: Reading
    truth: bool = False
    text: str | None = None  # None for a value whose text can be made later just as well

    @property
    def value_text(self) -> str:
        """The bounded text of the value as it was."""
        return text_of(self.reading.value) if self.text is None else self.text


def seen_of(reading: Reading, access: AccessType) -> Seen:
    """Return the state to compare the next one with.

    Raises:
        Refused: the truth of the value is wanted and cannot be had without running user code.
    """
    truth = values.truth(reading.value) if access is AccessType.TRUE else False
    return Seen(reading, truth, None if values.is_simple(reading.value) else text_of(reading.value))


@dataclass(eq=False, slots=True)
class Activation:
    """A watchpoint's expression in one scope: the one that was asked for, or that of one call of a function."""

    watchpoint: Watchpoint
    scope: Scope
    seen: Seen

    @property
    def is_live(self) -> bool:
        """Whether it is still watched."""
        return self.watchpoint.activations.get(self.scope) is self
