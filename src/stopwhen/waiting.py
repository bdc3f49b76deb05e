"""Events that wait to be processed, and what the cells held before them."""

from __future__ import annotations

from collections import deque

from stopwhen.event import Event, Rebound, Relaid
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Collection

    from stopwhen.cells import Cell
    from stopwhen.event import Delta


class Waiting:
    """Events to be processed, in the order in which they happened."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._replaced: dict[Cell, deque[Any]] = {}  # by cell, what each rebinding that waits replaces

    def __bool__(self) -> bool:
        return bool(self._events)

    def extend(self, events: list[Event]) -> None:
        """Add `events`, which happened after all that wait."""
        for event in events:
            self._events.append(event)
            if isinstance(event.delta, Rebound | Relaid):
                self._replaced.setdefault(event.cell, deque()).append(event.delta.old)

    def clear(self) -> None:
        """Let none of them be processed."""
        self._events.clear()
        self._replaced.clear()

    def pop(self) -> Event:
        """Take the first."""
        event = self._events.popleft()
        if isinstance(event.delta, Rebound | Relaid):
            replaced = self._replaced[event.cell]
            replaced.popleft()
            if not replaced:
                del self._replaced[event.cell]
        return event

    def past(self) -> dict[Cell, Any]:
        """Return, for each cell that changes in what waits, what it held before."""
        return {cell: replaced[0] for cell, replaced in self._replaced.items()}

    def of(self, cells: Collection[Cell]) -> list[tuple[Cell, Delta]]:
        """Return what changes `cells` in what waits, in order."""
        return [(event.cell, event.delta) for event in self._events if event.cell in cells]
