"""The cells that are armed, and who reads them: armed with the first reader, disarmed with the last."""

from __future__ import annotations

from stopwhen import env, judging
from stopwhen.activation import Activation
from stopwhen.errors import Unavailable
from stopwhen.originals import use_original_builtins
from stopwhen.plan import PlannedCell, choose
from stopwhen.type_hints import TYPE_CHECKING, TypeAlias

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from stopwhen.activation import Family
    from stopwhen.cells import Cell
    from stopwhen.mechanisms import Mechanism

    Reader: TypeAlias = Activation | Family


class ArmedCells:
    """Each cell that somebody reads, with the mechanism that watches it."""

    def __init__(self) -> None:
        self._readers: dict[Cell, dict[Reader, None]] = {}
        self._planned: dict[Cell, PlannedCell] = {}
        self._judged: dict[Cell, object] = {}  # the tokens of those whose changes the C module judges

    def __len__(self) -> int:
        return len(self._planned)

    def readers(self, cell: Cell) -> list[Reader]:
        """Return who reads `cell`, in the order in which they began to."""
        return list(self._readers.get(cell, ()))

    def planned(self, cells: Collection[Cell]) -> tuple[PlannedCell, ...]:
        """Return how those of `cells` that are armed are watched."""
        return tuple(self._planned[cell] for cell in cells if cell in self._planned)

    def titles(self) -> list[str]:
        """Return the mechanisms that watch something now, each once."""
        return list(dict.fromkeys(planned.mechanism.title for planned in self._planned.values()))

    def add(self, reader: Reader, cells: Collection[Cell]) -> None:
        """Let `reader` read all of `cells`, or, when one cannot be armed, none that it did not read before.

        Raises:
            Refused: no mechanism is to be had for one.
        """
        added: list[Cell] = []
        try:
            for cell in cells:
                if reader not in self._readers.get(cell, ()):
                    self._add(reader, cell)
                    added.append(cell)
        except BaseException:
            self.drop(reader, added)
            raise

    def drop(self, reader: Reader, cells: Collection[Cell]) -> None:
        """Let `reader` read none of `cells` any more."""
        for cell in cells:
            readers = self._readers.get(cell)
            if readers is None or reader not in readers:
                continue
            del readers[reader]
            self._judge(cell)
            if not readers:
                del self._readers[cell]
                self._planned.pop(cell).mechanism.disarm(cell)

    def clear(self) -> None:
        """Forget all readers; the mechanisms are told by who calls this."""
        self._readers.clear()
        self._planned.clear()
        self._judged.clear()

    def replace(self, reader: Reader, before: Collection[Cell], now: Collection[Cell]) -> None:
        """Arm what `reader` reads `now`, and then only let go of what it no longer does.

        Raises:
            Refused: no mechanism is to be had for a cell; all is as before then.
        """
        self.add(reader, now)
        kept = set(now)
        self.drop(reader, [cell for cell in before if cell not in kept])

    def _add(self, reader: Reader, cell: Cell) -> None:
        if cell not in self._readers:
            self._planned[cell] = _arm(cell, reader.watchpoint.mechanisms)
            self._readers[cell] = {}
        self._readers[cell][reader] = None
        self._judge(cell)

    def judge(self, activation: Activation) -> None:
        """Let the C module judge what it can for `activation`, which has been read and armed."""
        seen, before = activation.seen, activation.judged
        source = judging.source_of(activation.watchpoint, activation.scope, seen.reading)
        planned = None if source is None else self._planned.get(source)
        activation.judged = None if planned is None else judging.judged(activation, planned)
        for judged in (before, activation.judged):
            if judged is not None:
                self._judge(judged.cell)

    def _judge(self, cell: Cell) -> None:
        """Let the C module judge changes of `cell` if it can for all who read it, and for nobody else."""
        readers = self._readers.get(cell, ())
        cases = [case for one in readers if (case := _case_at(one, cell)) is not None]
        token = self._planned[cell].mechanism.token(cell) if cases and len(cases) == len(readers) else None
        before = self._judged.pop(cell, None)
        if before is not None and before is not token:
            env.core.set_cases(before, None)
        if token is not None:
            env.core.set_cases(token, tuple(cases))
            self._judged[cell] = token


def _case_at(reader: Reader, cell: Cell) -> object:
    """Return the case by which changes of `cell` are judged for `reader`; None for none."""
    judged = reader.judged if isinstance(reader, Activation) else None
    return None if judged is None or judged.cell != cell else judged.case


def _arm(cell: Cell, mechanisms: Sequence[Mechanism]) -> PlannedCell:
    for planned in choose(cell, mechanisms):
        try:
            planned.mechanism.arm(cell)
        except Unavailable:
            continue
        return planned
    raise AssertionError("choose() raises when it runs out of mechanisms")
