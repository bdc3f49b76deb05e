"""The ways to learn of a change, in order of preference."""

from __future__ import annotations

from stopwhen.errors import UsageError
from stopwhen.mechanisms.dictwatch import DictWatch
from stopwhen.mechanisms.instructions import InstructionWatch
from stopwhen.mechanisms.interpose import Interpose
from stopwhen.mechanisms.monitoring import Monitoring
from stopwhen.mechanisms.recheck import Recheck
from stopwhen.mechanisms.tools import SharedTool
from stopwhen.mechanisms.tracing import Tracing
from stopwhen.originals import os, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any, Protocol

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from stopwhen.cells import Cell, Instances
    from stopwhen.event import Event
    from stopwhen.types import AccessType

NAMES = ("dictwatch", "interpose", "monitoring", "tracing", "recheck")
VARIABLE = "STOPWHEN_MECHANISM"
"""Environment variable that names the only mechanisms to use, with commas between."""


class Mechanism(Protocol):
    """One way to learn that a cell changed."""

    name: str
    title: str

    @property
    def accesses(self) -> AccessMechanism:
        """What sees stores of the same value to, and reads of, the cells that this watches."""

    def reason(self) -> str | None:
        """Return why this cannot be used here; None when it can."""

    def claims(self, cell: Cell) -> bool:
        """Return whether changes of `cell` can be seen."""

    def cost_of(self, cell: Cell) -> str:
        """Return what it costs to watch `cell` while it does not change, in words."""

    def arm(self, cell: Cell) -> None:
        """Report changes of `cell` from now on.

        Raises:
            Unavailable: a resource that it takes is used up.
        """

    def disarm(self, cell: Cell) -> None:
        """Report changes of `cell` no more; nothing when it is not armed."""

    def token(self, cell: Cell) -> object:
        """Return what stands for `cell`, which is armed, in the C module; None for nothing."""

    def disarm_all(self) -> None:
        """Report no changes any more; may be called again when it has failed."""


class AccessMechanism(Protocol):
    """A way to learn of stores that change nothing, and of reads."""

    access_title: str
    access_cost: str

    def reason_for_accesses(self) -> str | None:
        """Return why they cannot be seen here; None when they can."""

    def arm_access(self, cell: Cell, access: AccessType) -> None:
        """Report stores to `cell`, or reads of it, from now on; its changes are reported by another mechanism.

        Raises:
            Unavailable: a resource that it takes is used up.
        """

    def disarm_access(self, cell: Cell, access: AccessType) -> None:
        """Report them no more; nothing when they are not armed."""


class InstanceKeeper(Protocol):
    """The instances of one class, and what is watched of each.

    Attributes:
        are_native: parts are given to `set_parts` as the C module takes them; else as cells.
    """

    are_native: bool

    def at_work(self) -> AbstractContextManager[object]:
        """Return a context in which what this thread does is our own work, at which nothing is to be looked at."""

    def find(self) -> list[Any]:
        """Return all instances that exist, which are watched from now on."""

    def all(self) -> list[Any]:
        """Return those that are watched, in the order in which they were met."""

    def memo(self, instance: Any) -> Any:
        """Return what was kept of the expression in `instance`, None for nothing."""

    def set_parts(self, instance: Any, parts: list[Any], memo: Any) -> None:
        """Watch `parts` as well for the sake of `instance`, and no others; keep `memo`."""

    def set_quiet(self, kind: type | None, *, is_quiet: bool) -> None:
        """Say whether new instances of the very class `kind`, None for all, need not be told of."""


class KeepsInstances(Protocol):
    """A mechanism that watches every instance of a class."""

    def instances(self, cell: Instances) -> InstanceKeeper:
        """Return the instances of the class that `cell`, which is armed by this, is about."""


class Holdable(Protocol):
    """A mechanism whose checks others may arm, for cells of which they keep no record in Python."""

    def hold(self, holder: object, cell: Cell) -> None:
        """Have on what checks on cells like this one need, until `let_go`.

        Raises:
            Unavailable: a resource that it takes is used up.
        """

    def let_go(self, holder: object) -> None:
        """End what `hold` began."""


def all_mechanisms(report: Callable[[list[Event]], None], tool: SharedTool | None = None) -> tuple[Mechanism, ...]:
    """Return every mechanism, best first. The C ones report through `_core`, the others to `report`.

    Args:
        report: called with what the mechanism in Python sees.
        tool: the tool id that those in C share.
    """
    tool = tool or SharedTool()
    accesses = InstructionWatch(tool)
    tracing = Tracing(accesses)
    return (
        DictWatch(tool, accesses),
        Interpose(tool, tracing, accesses),
        Monitoring(tool, accesses),
        tracing,
        Recheck(report),
    )


def chosen(mechanisms: tuple[Mechanism, ...]) -> tuple[Mechanism, ...]:
    """Return those that the environment variable STOPWHEN_MECHANISM names; all when it is not set.

    Raises:
        UsageError: it names something else.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return mechanisms
    names = text.split(",")
    for name in names:
        if name not in NAMES:
            raise UsageError(
                f"there is no mechanism {name!r}", slug="unknown-mechanism", hint=f"one of: {', '.join(NAMES)}"
            )
    return tuple(mechanism for mechanism in mechanisms if mechanism.name in names)


class Overview(Protocol):
    """A mechanism as `doctor` shows it."""

    name: str
    title: str
    reason: str | None


def overview() -> list[Overview]:
    """Return every mechanism with the reason why it cannot be used here, None when it can."""
    return [_Row(one.name, one.title, one.reason()) for one in all_mechanisms(lambda _events: None)]


class _Row:
    def __init__(self, name: str, title: str, reason: str | None) -> None:
        self.name = name
        self.title = title
        self.reason = reason
