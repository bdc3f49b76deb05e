"""Where a watchpoint's expression is read, and what it was there when it was last looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from stopwhen import values
from stopwhen.cells import Calls, Cell
from stopwhen.plan import cells_of
from stopwhen.record import Record
from stopwhen.texts import text_of
from stopwhen.types import ABSENT, Absent, AccessType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FunctionType

    from stopwhen.dependencies import Reading
    from stopwhen.scope import Scope
    from stopwhen.watchpoint import Watchpoint
    from stopwhen.wide import WideScope


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
    # What is read has the text that it has then: its content is not watched.
    is_made_later = access is AccessType.READ or values.is_simple(reading.value)
    return Seen(reading, truth, None if is_made_later else text_of(reading.value))


@dataclass(eq=False, slots=True)
class Activation:
    """A watchpoint's expression in one scope: the one that was asked for, or that of one call of a function.

    Attributes:
        watchpoint: whose expression it is.
        key: what tells it from the watchpoint's others.
        scope: where it is read.
        seen: its state when it was last looked at.
        span: the cells that tell of the end of the scope; empty for one that has none.
    """

    watchpoint: Watchpoint
    key: object
    scope: Scope
    seen: Seen
    span: tuple[Cell, ...] = ()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells that it is told of."""
        return (*self.span, *cells_of(self.seen.reading))

    @property
    def is_live(self) -> bool:
        """Whether it is still watched."""
        return self.watchpoint.activations.get(self.key) is self


class Family:
    """What a wide scope stands for now: the calls of one function, each of which is an activation."""

    def __init__(self, watchpoint: Watchpoint, scope: WideScope) -> None:
        self.watchpoint = watchpoint
        self.scope = scope
        self.function: FunctionType | Absent = ABSENT
        self.cells: tuple[Cell, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether it is still watched."""
        return self.watchpoint.family is self

    @property
    def title(self) -> str:
        """Say what the scope stands for, and how much of that is there."""
        if self.function is ABSENT:
            return f"{self.scope.title}, which is not there yet"
        count = len(self.watchpoint.activations)
        return f"{self.scope.title}; {'none runs' if count == 0 else f'{count:,} of them run'} now"

    def look_up(self, past: Mapping[Cell, Any]) -> tuple[FunctionType | Absent, tuple[Cell, ...]]:
        """Return the function that the scope names, `ABSENT` for none, and the cells that say so and tell of calls.

        Raises:
            Refused: what it names is no function of Python code.
        """
        text = self.watchpoint.expression.text
        record = Record(text, past, _never, allow_calls=False)
        function = self.scope.subject(record.look)
        calls = () if function is ABSENT else (Calls(text, function),)
        return function, (*record.cells, *calls)


def _never() -> NoReturn:
    raise AssertionError("looking a name up evaluates nothing")
