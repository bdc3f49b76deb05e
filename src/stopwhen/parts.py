"""What an instance's expression depends on: the attributes of its own, what all instances share, and other parts."""

from __future__ import annotations

from stopwhen import env, static
from stopwhen.attributes import is_descriptor_method
from stopwhen.cells import Cell, Content, DictItem, Layout, ListItem, Opaque, Slot
from stopwhen.errors import Refused
from stopwhen.immutable import Immutable
from stopwhen.mechanisms.native import INTERPOSE, PartToken, kind_of
from stopwhen.originals import use_original_builtins
from stopwhen.plan import PlannedCell, choose
from stopwhen.type_hints import TYPE_CHECKING, Any

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stopwhen.activation import Family
    from stopwhen.wide import InstanceScope


_PARTS = DictItem | Content | Layout | ListItem | Slot


class Found(Immutable):
    """The cells of a reading, apart from the instance's own attributes.

    Attributes:
        shared: what is the same for all instances.
        parts: the rest.
    """

    shared: list[Cell]
    parts: list[Cell]


def find_beyond(family: Family, instance: Any, scope: InstanceScope, cells: Iterable[Cell]) -> Found:
    """Return what of `cells`, of a reading in `scope`, the class's cell does not tell of.

    Raises:
        Refused: one cannot be watched in each of many instances.
    """
    own = static.instance_dict(instance)
    found = Found([], [])
    for cell in cells:
        if isinstance(cell, Opaque):
            raise refused_call(family.watchpoint.expression.text)
        owner: Any = cell.owner  # type: ignore[attr-defined] # all others have one
        if isinstance(cell, DictItem | Content) and owner is own and family.has_own(cell):
            continue
        if isinstance(cell, Layout) and owner is instance:
            continue  # the class's cell tells of it
        if isinstance(cell, DictItem | Layout) and (scope.is_shared(owner) or is_descriptor_method(cell)):
            found.shared.append(cell)
        else:
            found.parts.append(cell)
    return found


def refused_call(text: str) -> Refused:
    """Return the refusal of an expression that is known only by evaluating it again."""
    return Refused(
        f"cannot watch {text!r} in every instance: it calls what cannot be seen through, and each instance would have "
        "to be evaluated again and again",
        slug="call",
        hint="watch the data behind it",
    )


def planned_part(family: Family, cell: Cell) -> PlannedCell:
    """Return how one more cell is watched for an instance.

    Raises:
        Refused: it cannot be.
    """
    for planned in choose(cell, family.watchpoint.mechanisms):
        is_in_dict = planned.mechanism.name == "dictwatch" and isinstance(cell, DictItem | Content)
        is_held = hasattr(planned.mechanism, "hold") or planned.mechanism.name == "recheck"
        if is_in_dict or (is_held and isinstance(cell, _PARTS)):
            return planned
    raise Refused(
        f"cannot watch {cell.name!r} in every instance: no mechanism here does that",
        slug="no-mechanism",
        hint="`stopwhen doctor` shows what this interpreter has",
    )


def check_part(family: Family, cell: Cell) -> Cell:
    """Return `cell`, one more for an instance, when the recheck in pure Python can compare it.

    Raises:
        Refused: it cannot.
    """
    if not isinstance(cell, _PARTS):
        planned_part(family, cell)  # which refuses it
    return cell


def hold_part(family: Family, cell: Cell) -> tuple[PartToken, Any, Any, Any]:
    """Have on what watching one more cell for an instance takes; return it as `_core.set_parts` takes it."""
    mechanism = planned_part(family, cell).mechanism
    extra = getattr(cell, "key", getattr(cell, "index", getattr(cell, "descriptor", None)))
    assert isinstance(cell, _PARTS), "others are refused"
    token = PartToken(cell.name, type(cell), extra, mechanism.name)
    if not hasattr(mechanism, "hold"):
        return token, cell.owner, extra, None
    mechanism.hold(family, cell)
    family.holders[mechanism] = None
    kind = kind_of(cell)
    assert kind is not None, "the mechanism claims it"
    return token, None, None, env.core.Check(*kind, token, mechanism.name == INTERPOSE)
