"""Chooses a mechanism for each cell of a watch expression, and says which and why."""

from __future__ import annotations

from types import ModuleType

from stopwhen import static
from stopwhen.cells import (
    Attributes,
    Blocks,
    Calls,
    Cell,
    Closure,
    Content,
    DictItem,
    Frame,
    Instances,
    Layout,
    ListItem,
    Local,
    Opaque,
    Slot,
    ThreadDicts,
)
from stopwhen.errors import Refused
from stopwhen.immutable import Immutable
from stopwhen.originals import sys, use_original_builtins
from stopwhen.texts import short_class_name, text_of
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stopwhen.dependencies import Reading
    from stopwhen.mechanisms import Mechanism


class PlannedCell(Immutable):
    """A cell, the mechanism for it, and why better ones were passed over."""

    cell: Cell
    mechanism: Mechanism
    passed_over: tuple[str, ...]
    access: str = ""  # how its accesses are seen beside its changes, in words; empty where they do not count


class Plan(Immutable):
    """How an expression is watched: as the user wrote it, its value now, its cells in evaluation order, and notes."""

    text: str
    value_text: str
    cells: tuple[PlannedCell, ...]
    state: str = "is now"
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the plan as lines of text: the value, then a line for each cell, with the reasons below it."""
        lines = [f"{self.text}  {self.state}  {self.value_text}"]
        width = max((len(describe(planned.cell)) for planned in self.cells), default=0)
        for planned in self.cells:
            title, cost = planned.mechanism.title, planned.mechanism.cost_of(planned.cell)
            lines.append(f"  {describe(planned.cell):{width}}  by {title}; cost: {cost}")
            lines += [f"      {planned.access}"] if planned.access else []
            lines += [f"      not by {reason}" for reason in planned.passed_over]
        if not self.cells:
            lines.append("  reads nothing that could change")
        return [*lines, *(f"  {note}" for note in self.notes)]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def describe(cell: Cell) -> str:
    """Return what a cell is in words."""
    match cell:
        case DictItem():
            return f"{cell.name}: {_item_words(cell)}"
        case Blocks():
            return f"{cell.name}: columns and labels of a table"
        case Layout():
            return f"{cell.name}: class and attribute dict of a {short_class_name(type(cell.owner))}"
        case ThreadDicts():
            return f"{cell.name}: which threads have attributes in it"
        case Attributes():
            return f"{cell.name}: {_attributes_words(cell)}"
        case Content():
            return f"{cell.name}: content of a {short_class_name(type(cell.owner))}"
        case ListItem():
            return f"{cell.name}: item {cell.index} of a list"
        case Slot():
            kind = cell.owner if static.is_a(cell.owner, type) else type(cell.owner)  # before there is an instance
            return f"{cell.name}: slot of a {short_class_name(kind)}"
        case Local():
            return f"{cell.name}: local of {cell.owner.code.co_qualname}"
        case Frame():
            return f"{cell.name}: a call of {cell.owner.code.co_qualname}, until it ends"
        case Calls():
            return f"{cell.name}: calls of {cell.owner.__qualname__}"
        case Instances():
            return f"{cell.name}: {_instances_words(cell)} of instances of {static.qualified_name(cell.owner)}"
        case Closure():
            return f"{cell.name}: variable that functions share"
        case Opaque():
            return f"{cell.name}: calls what cannot be seen through, so all of it is evaluated again"
    return cell.name


def _item_words(cell: DictItem) -> str:
    owner, key = cell.owner, text_of(cell.key, 40)
    if owner is sys.modules:
        return f"{key} among the imported modules"
    # The namespace of a module says which.
    name = dict.get(owner, "__name__")
    module = sys.modules.get(name) if type(name) is str else None
    if type(module) is ModuleType and static.module_dict(module) is owner:
        return f"name {key} in {name}"
    return f"item {key} of a dict of {len(owner):,}"


def _attributes_words(cell: Attributes) -> str:
    return f"its attributes, now {dict.__len__(cell.owner):,}"


def _instances_words(cell: Instances) -> str:
    if cell.whole:
        return "attributes"
    return f"attribute{'s' if len(cell.names) > 1 else ''} {', '.join(map(text_of, cell.names))}"


def choose(cell: Cell, mechanisms: Sequence[Mechanism]) -> Iterator[PlannedCell]:
    """Yield the usable mechanisms for `cell`, best first.

    Raises:
        Refused: there is none, with the reasons.
    """
    passed_over: list[str] = []
    found = False
    for mechanism in mechanisms:
        if not mechanism.claims(cell):
            continue
        reason = mechanism.reason()
        if reason is None:
            found = True
            yield PlannedCell(cell, mechanism, tuple(passed_over))
            reason = "its resources are used up"
        passed_over.append(f"{mechanism.title}: {reason}")
    if not found:
        raise Refused(
            f"cannot watch {cell.name!r} ({describe(cell)}): "
            + ("; ".join(passed_over) if passed_over else "no mechanism sees changes of such data"),
            slug="no-mechanism",
            hint="`stopwhen doctor` shows what this interpreter has",
        )


def plan_for(text: str, reading: Reading, mechanisms: Sequence[Mechanism]) -> Plan:
    """Return the plan for an expression that has been read.

    Raises:
        Refused: a cell has no mechanism.
    """
    cells = tuple(next(choose(cell, mechanisms)) for cell in cells_of(reading))
    value = text_of(reading.value) if reading.absent_because is None else f"absent ({reading.absent_because})"
    return Plan(text, value, cells)


def cells_of(reading: Reading) -> tuple[Cell, ...]:
    """Return all cells of a reading, links first, each once."""
    return tuple(dict.fromkeys((*reading.cells, *reading.content)))
