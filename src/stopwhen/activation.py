"""Where a watchpoint's expression is read, and what it was there when it was last looked at."""

from __future__ import annotations

from types import FunctionType

from stopwhen import static, values
from stopwhen.attributes import check_readable
from stopwhen.cells import Calls, Cell, Content, DictItem, Instances, Opaque
from stopwhen.dependencies import Reading
from stopwhen.errors import Refused
from stopwhen.immutable import Immutable
from stopwhen.originals import use_original_builtins
from stopwhen.plan import cells_of
from stopwhen.record import Record
from stopwhen.texts import Text, text_of
from stopwhen.type_hints import TYPE_CHECKING, Any, NoReturn
from stopwhen.types import ABSENT, Absent, AccessType

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from stopwhen.expression import WatchExpression
    from stopwhen.judging import Judged
    from stopwhen.mechanisms import InstanceKeeper
    from stopwhen.scope import Scope
    from stopwhen.watchpoint import Watchpoint
    from stopwhen.wide import Subject, WideScope


class Seen:
    """The state of a watch expression when it was last looked at."""

    __slots__ = ("reading", "text", "truth")

    def __init__(self, reading: Reading, truth: bool = False, text: str | None = None) -> None:
        self.reading = reading
        self.truth = truth
        self.text = text  # None for a value whose text can be made later just as well

    def moved(self, value: Any, *, truth: bool) -> Seen:
        """Return the state once the value has become `value`, which is simple as the one before, at the same place."""
        now = self.reading
        return Seen(Reading(value, now.cells, (), now.fresh, None, now.source), truth)

    @property
    def value_text(self) -> str:
        """The bounded text of the value as it was."""
        return text_of(self.reading.value) if self.text is None else self.text


def seen_of(reading: Reading, access: AccessType) -> Seen:
    """Return the state to compare the next one with.

    Raises:
        Refused: the truth of the value is wanted and cannot be had without running user code.
    """
    truth = values.truth(reading.value) if access is AccessType.TRUE and reading.unreadable is None else False
    # What is read has the text that it has then: its content is not watched.
    is_made_later = access is AccessType.READ or values.is_simple(reading.value)
    return Seen(reading, truth, None if is_made_later else text_of(reading.value))


def with_known_truth(reading: Reading) -> Reading:
    """Return `reading`; one whose truth cannot be had without running user code counts as unreadable."""
    try:
        if reading.unreadable is None:
            values.truth(reading.value)
    except Refused as refused:
        because = str(refused.args[0])
        return Reading(
            *(reading.value, reading.cells, reading.content, reading.fresh, reading.absent_because),
            source=reading.source,
            unreadable=because,
        )
    return reading


def _is_evaluated(reading: Reading) -> bool:
    return reading.value is not ABSENT or any(isinstance(cell, Opaque) for cell in reading.cells)


class Activation:
    """A watchpoint's expression in one scope: the one that was asked for, or that of one call of a function.

    Attributes:
        watchpoint: whose expression it is.
        key: what tells it from the watchpoint's others.
        scope: where it is read.
        seen: its state when it was last looked at.
        span: the cells that tell of the end of the scope; empty for one that has none.
        judged: what the C module judges for it; None for nothing.
        is_evaluated: it has had a value, or evaluating it has failed by a call that cannot be seen through.
    """

    __slots__ = ("_seen", "is_evaluated", "judged", "key", "scope", "span", "watchpoint")

    def __init__(
        self, watchpoint: Watchpoint, key: object, scope: Scope, seen: Seen, span: tuple[Cell, ...] = ()
    ) -> None:
        self.watchpoint = watchpoint
        self.key = key
        self.scope = scope
        self.span = span
        self.judged: Judged | None = None
        self._seen = seen
        self.is_evaluated = _is_evaluated(seen.reading)

    def takes_first_value(self, new: Seen) -> bool:
        """Return whether `new` is the first state since its calls could be made: with that later ones are compared.

        What a call returns was not seen to change before the user's program could make it. A condition that becomes
        true does so at any time.
        """
        was, self.is_evaluated = self.is_evaluated, self.is_evaluated or _is_evaluated(new.reading)
        is_call = self.watchpoint.allow_calls and any(isinstance(cell, Opaque) for cell in new.reading.cells)
        return is_call and not was and self.watchpoint.access is AccessType.CHANGE

    @property
    def seen(self) -> Seen:
        """The state, as C or we have last seen it."""
        taken = None if self.judged is None else self.judged.case.take()
        if taken is not None:
            value, truth = taken
            place = self.watchpoint.place
            is_test = place is not None and place.expression is not self.watchpoint.expression
            self._seen = self._seen.moved(truth if is_test else value, truth=truth)
        return self._seen

    @seen.setter
    def seen(self, seen: Seen) -> None:
        self._seen = seen
        if self.judged is not None:
            self.judged.case.see(seen.truth)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells that it is told of."""
        return (*self.span, *cells_of(self.seen.reading))

    @property
    def is_live(self) -> bool:
        """Whether it is still watched."""
        return self.watchpoint.activations.get(self.key) is self


class Memo(Immutable, eq=False):
    """What is remembered of the expression in one instance: as `Seen`, without a hold on the program's objects."""

    value: Any
    identity: int | None  # of a value that is not kept
    fresh: bool
    truth: bool
    text: str
    content: frozenset[tuple[Hashable, ...]]  # the places of the value's content

    def is_same(self, reading: Reading) -> bool:
        """Return whether `reading` has the value that is remembered."""
        if self.identity is not None:
            return id(reading.value) == self.identity
        equal = values.same_structure if reading.fresh and self.fresh else values.same
        return equal(self.value, reading.value)

    def seen_as(self, reading: Reading) -> Seen:
        """Return the state as it was, when `reading` has the same value."""
        return Seen(reading, self.truth, self.text)

    def seen(self) -> Seen:
        """Return the state as it was, with a text in place of a value that is not kept."""
        value = self.value if self.identity is None else Text(self.text)
        return Seen(Reading(value, (), (), self.fresh, None), self.truth, self.text)


def memo_of(seen: Seen) -> Memo:
    """Return what to remember of a state."""
    value = seen.reading.value
    is_harmless = value is ABSENT or values.is_simple(value)
    kept, identity = (value, None) if is_harmless else (None, id(value))
    content = frozenset(cell.place for cell in seen.reading.content)
    return Memo(kept, identity, seen.reading.fresh, seen.truth, seen.value_text, content)


class Family:
    """What a wide scope stands for now: the calls of a function, or the instances of a class.

    Attributes:
        watchpoint: whose scope it is.
        scope: the scope.
        subject: the function or class; `ABSENT` while there is none.
        cells: all that it is told of itself.
        shared: those of them that the readings in all instances have in common.
        holders: the mechanisms that watch parts of instances for it.
        outlived: how many calls have ended of which variables are left that inner functions share.
        still_used: of how many of them the variables were in use when that was last asked.
        keeper: what keeps the instances; None for a function, and until it is asked for.
    """

    def __init__(self, watchpoint: Watchpoint, scope: WideScope) -> None:
        self.watchpoint = watchpoint
        self.scope = scope
        self.subject: Subject | Absent = ABSENT
        self.cells: tuple[Cell, ...] = ()
        self.shared: dict[Cell, None] = {}
        self.holders: dict[Any, None] = {}
        self.keeper: InstanceKeeper | None = None
        self.outlived = 0
        self.still_used = 0
        self._cell: Cell | None = None

    @property
    def is_live(self) -> bool:
        """Whether it is still watched."""
        return self.watchpoint.family is self

    @property
    def cell(self) -> Cell:
        """The cell that tells of calls or instances."""
        assert self._cell is not None, "there is a subject"
        return self._cell

    @property
    def title(self) -> str:
        """Say what the scope stands for, and how much of that is there."""
        title = self.scope.title(self.subject)
        if self.subject is ABSENT:
            return title
        if isinstance(self._cell, Instances):
            count, verb = 0 if self.keeper is None else len(self.keeper.all()), "live"
        else:
            count, verb = len(self.watchpoint.activations), "run"
        return f"{title}; {f'none {verb}s' if count == 0 else f'{count:,} of them {verb}'} now"

    def look_up(self, past: Mapping[Cell, Any]) -> tuple[Subject | Absent, tuple[Cell, ...]]:
        """Return what the scope names, `ABSENT` for nothing, and the cells that say so and tell of calls or instances.

        Raises:
            Refused: what it names is no scope.
        """
        expression = self.watchpoint.expression
        record = Record(expression.text, past, _never, allow_calls=False)
        subject = self.scope.subject(record.look)
        if subject is ABSENT:
            self._cell = None
        elif subject is not self.subject:
            self._cell = many_cell(expression, subject, self.watchpoint.number)
        return subject, (*record.cells, *(() if self._cell is None else (self._cell,)))

    def has_own(self, cell: DictItem | Content) -> bool:
        """Return whether the class's cell tells of `cell`, which is in the dict of an instance."""
        own = self.cell
        assert isinstance(own, Instances), "only these are asked about"
        return own.whole if isinstance(cell, Content) else cell.key in own.names

    def reads_only(self, cell: Cell) -> bool:
        """Return whether the expression is the very attribute that `cell` holds in an instance."""
        own = self.cell
        if not isinstance(own, Instances) or own.whole or len(own.names) != 1 or not isinstance(cell, DictItem):
            return False
        return cell.key == own.names[0] and self.watchpoint.expression.text == f"self.{cell.key}"


def many_cell(expression: WatchExpression, subject: Subject, number: int) -> Cell:
    """Return the cell that tells of the calls of a function or the instances of a class.

    Raises:
        Refused: the expression cannot be read in each instance.
    """
    if isinstance(subject, FunctionType):
        return Calls(expression.text, subject)
    names, whole = expression.attributes_of("self")
    if not names and not whole:
        raise Refused(
            f"cannot watch {expression.text!r} in every instance of {static.class_name(subject)}: it reads no 'self'",
            slug="no-self",
            hint=f"write {f'self.{expression.text}'!r} for an attribute of each instance",
        )
    for name in names:
        check_readable(subject, name, expression.text)
    return Instances(expression.text, subject, names, whole, number)


def _never() -> NoReturn:
    raise AssertionError("looking a name up evaluates nothing")
