"""A watchpoint: one data breakpoint with its rules, its state, and what it has counted."""

from __future__ import annotations

from collections import deque

from stopwhen import hits, judging
from stopwhen.originals import use_original_builtins
from stopwhen.thread_locals import ThisThread
from stopwhen.type_hints import TYPE_CHECKING, Any, Self
from stopwhen.types import AccessType

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from stopwhen.activation import Activation, Family
    from stopwhen.expression import WatchExpression
    from stopwhen.hit import Hit
    from stopwhen.location import Location
    from stopwhen.mechanisms import Mechanism
    from stopwhen.plan import Plan
    from stopwhen.rules import Rules
    from stopwhen.scope import Scope
    from stopwhen.session import Session
    from stopwhen.wide import WideScope

MOST_HITS = 1_000
"""How many hits a watchpoint keeps: the newest."""


class Watchpoint:
    """One data breakpoint. Made by `stopwhen.changes`, `true`, `writes`, `reads`; a context manager that removes it.

    Attributes:
        number: from 1 on, never used again.
        expression: the watch expression; its `text` is what the user wrote.
        access: what makes an event a hit.
        depth: how far the content of the value is watched: 0, 1, ... or "all".
        rules: what it asks of an event; `change_rules` changes it.
        judge: counts its hits, and judges changes where that is simple.
        place: what alone decides about its hits, as long as it is simple; None for nothing.
        enabled: False while the user has switched it off.
        mechanisms: those that it may be planned with, now and later.
        was_present: its expression had a value at some time.
        thread: the one that asked for it, whose attributes of a `threading.local` it reads.
        began: it has been read in some scope at some time.
        told_unreadable: the user knows that it could not be read at some time.
        activations: its expression in each scope that it is read in now, by key; none while it is disarmed.
        family: what its scope stands for, when that is each of many; None while it is disarmed.
        tells_end: say so when it ends with the frame in which it is read, and had no hit.
        given_up: it was removed because it cannot be watched any more, which has been said.
        forbidden_at: of a guard (`stopwhen.forbid`), where it was made; else None.
    """

    def __init__(  # noqa: PLR0917 - the fields
        self,
        number: int,
        expression: WatchExpression,
        access: AccessType,
        scope: Scope | WideScope,
        depth: int | str,
        allow_calls: bool,
        rules: Rules,
        session: Session,
        mechanisms: Sequence[Mechanism],
        *,
        tells_end: bool = True,
    ) -> None:
        self.number = number
        self.expression = expression
        self.access = access
        self.scope = scope
        self.depth = depth
        self.allow_calls = allow_calls
        self.rules = rules
        self.session = session
        self.mechanisms = mechanisms
        self.enabled = True
        self.judge: Any = judging.new_judge()
        self.place = judging.place_of(expression, access)
        self.kept: deque[Hit] = deque(maxlen=MOST_HITS)
        self.was_present = False
        self.thread = ThisThread()
        self.began = False
        self.told_unreadable = False
        self.removed = False
        self.condition_failed = False
        self.activations: dict[object, Activation] = {}
        self.family: Family | None = None
        self.forbidden_at: Location | None = None
        self.tells_end = tells_end
        self.given_up = False
        judging.ask(self.judge, rules)

    def change_rules(self, rules: Rules) -> None:
        """Ask something else of events from now on."""
        self.rules = rules
        judging.ask(self.judge, rules)

    @property
    def count(self) -> int:
        """How many hits there were, those that the hit condition kept from acting included."""
        return self.judge.count  # type: ignore[no-any-return]

    @count.setter
    def count(self, count: int) -> None:
        self.judge.count = count

    def note_count_in(self, cell: memoryview) -> None:
        """Note the count in eight bytes as well, from now on, for after the end of this process."""
        self.judge.note_in(cell)

    @property
    def hits(self) -> list[Hit]:
        """The hits that acted, oldest first: the newest 1,000, without a hold on the program's objects."""
        own = self.session.pid
        made = [hits.JudgedHit(self, raw, own_pid=own) for raw in self.judge.kept()]
        return sorted([*self.kept, *made], key=_count_of)[-MOST_HITS:] if made else list(self.kept)

    @property
    def plan(self) -> Plan:
        """How each cell is watched now, and what that costs."""
        return self.session.plan_of(self)

    def enable(self) -> None:
        """Go on after `disable`: the present value counts as the last one seen, in silence."""
        self.session.enable(self)

    def disable(self) -> None:
        """Watch no more until `enable`."""
        self.session.catch_up()
        self.session.disable(self)

    def remove(self) -> None:
        """End this watchpoint; counts and hits stay readable. May be called twice."""
        self.session.catch_up()
        self.session.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def __repr__(self) -> str:
        state = "removed" if self.removed else "enabled" if self.enabled else "disabled"
        return f"<Watchpoint {self.number}: {self.access.value} {self.expression.text!r}, {self.count} hits, {state}>"


def _count_of(hit: Hit) -> int:
    return hit.count
