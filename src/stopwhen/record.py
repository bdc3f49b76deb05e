"""What one reading of a watch expression has consulted so far, and how it may go on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NoReturn

from stopwhen import frames, memory, static
from stopwhen.cells import Cell, Closure, Content, DictItem, Layout, ListItem, Local, Opaque, Slot
from stopwhen.entered_code import is_amid
from stopwhen.errors import Refused
from stopwhen.originals import use_original_builtins
from stopwhen.static import TypeSet, class_name, slot_value
from stopwhen.types import ABSENT
from stopwhen.values import SCALARS, is_simple
from stopwhen.weak_values import WeakValues

use_original_builtins(globals())

MOST_STEPS = 1_000_000

_NOT_PAST = object()

UNREAD = object()
"""What evaluating an Opaque cell returns when it has to wait."""

_WITH_PLAIN_TEXT = TypeSet(
    *(ArithmeticError, AssertionError, AttributeError, IndexError, LookupError, MemoryError, NameError, OverflowError),
    *(RecursionError, RuntimeError, TypeError, UnboundLocalError, UnicodeDecodeError, UnicodeEncodeError),
    *(UnicodeTranslateError, ValueError, ZeroDivisionError, KeyError),
)


_views: WeakValues[tuple[int, Hashable], Any] = WeakValues()


class Absence(Exception):  # noqa: N818 - it says what was found
    """Evaluating the expression raises an error: its value is absent."""

    def __init__(self, kind: type[Exception], text: str) -> None:
        super().__init__(f"{class_name(kind)}: {text}" if text else class_name(kind))
        self.kind = kind


class Amid(Exception):  # noqa: N818 - it says what was found
    """The thread is amid an operation of the program's, which evaluating could enter: `cell` is to be read later."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.name)
        self.cell = cell


class Record:
    """The cells that a reading consulted, in order, and the limits it keeps to.

    Attributes:
        source: of what was read since this was last set to None, the cell that had it.
        source_value: what that cell held.

    Args:
        text: the watch expression, for messages.
        past: values that stand in for those which these cells have now; for a Content cell, the container to read.
        again: makes the owner of the Opaque cell where something cannot be seen through; that evaluates the whole anew.
        allow_calls: whether code of the program's may be run.
    """

    def __init__(
        self, text: str, past: Mapping[Cell, Any], again: Callable[[], Callable[[], Any]], *, allow_calls: bool
    ) -> None:
        self.text = text
        self.cells: dict[Cell, None] = {}
        self.fresh = False
        self.source: Cell | None = None
        self.source_value: Any = None
        self._past = past
        self.may_wait = False  # raise `Amid` rather than evaluate amid an operation of the program's
        self._again = again
        self.allow_calls = allow_calls
        self._made: dict[int, Any] = {}
        self._steps = 0

    def look(self, cell: Cell) -> Any:
        """Take note of `cell` and return its value, or `ABSENT`; what has a value is the source of what is read."""
        value = self._look(cell)
        if value is not ABSENT:
            self.source, self.source_value = cell, value
        return value

    def _look(self, cell: Cell) -> Any:
        self.cells.setdefault(cell)
        if self._past:
            value = self._past.get(cell, _NOT_PAST)
            if value is not _NOT_PAST:
                return value
            if isinstance(cell, DictItem | ListItem):
                stand_in = self._past.get(Content(cell.name, cell.owner), _NOT_PAST)
                if stand_in is not _NOT_PAST:
                    return item_of(cell, stand_in)
        return present(cell)

    def layout(self, owner: Any, name: str) -> tuple[type, dict[str, Any] | None]:
        """Take note of where attributes of `owner`, called `name`, are looked up; return its class and its own dict."""
        found = type(owner), static.instance_dict(owner)
        if static.has_fixed_layout(owner):
            return found
        cell = Layout(name, owner)
        self.cells.setdefault(cell)
        past = self._past.get(cell) if self._past else None
        return found if past is None else (past[0], past[2] if found[1] is not None else None)

    def content(self, owner: Any, name: str) -> Any:
        """Take note of the content of `owner`; return the container to read it from, by rule `owner` itself.

        What evaluating the expression made is nobody else's to change.
        """
        if self.has_made(owner):
            return owner
        cell = Content(name, owner)
        self.cells.setdefault(cell)
        self.source, self.source_value = cell, owner
        if memory.is_cut_short(owner):
            raise Absence(BufferError, "there is nothing behind the memory any more")
        return self._past.get(cell, owner) if self._past else owner

    def made(self, value: Any) -> Any:
        """Return `value`, noting that evaluating the expression made it just now."""
        self.fresh = True
        if type(value) not in SCALARS:
            self._made[id(value)] = value  # kept, so that its id is not used again
        return value

    def view(self, owner: Any, part: Hashable, make: Callable[[], Any]) -> Any:
        """Return an object that shows `part` of the memory of `owner`: the same one as before, as long as that lives.

        `make` makes such objects, each of which holds its owner.
        """
        self.fresh = False
        key = (id(owner), part)
        found = _views.get(key)
        if found is None:
            found = attempt(make)
            if static.definer(type(found), "__weakref__") is not None or type(found) is memoryview:
                _views[key] = found
        return found

    def has_made(self, value: Any) -> bool:
        """Tell whether `value` was made by evaluating the expression."""
        return id(value) in self._made

    def spend(self, steps: int) -> None:
        """Count work, and refuse when it is more than an expression read at every change may cost."""
        self._steps += steps
        if self._steps > MOST_STEPS:
            self.too_costly(f"it looks at more than {MOST_STEPS:,} elements")

    def too_costly(self, reason: str) -> NoReturn:
        """Refuse for the time or memory that evaluating would take."""
        raise Refused(
            f"cannot watch {self.text!r}: {reason}", slug="too-costly", hint="watch a smaller part of the data"
        )

    def foreign(self, reason: str, run: Callable[[], Any], hint: str | None = None) -> Any:
        """Return what `run` returns if the user allowed calls; else refuse, since it would run the program's code."""
        if not self.allow_calls:
            raise Refused(
                f"cannot watch {self.text!r}: {reason}",
                slug="runs-code",
                hint=hint or "watch the data behind it, or allow calls",
            )
        return self.opaque(run)

    def call(self, reason: str, run: Callable[[], Any]) -> Any:
        """As `foreign`, for a call of what is not known to be pure."""
        if not self.allow_calls:
            raise Refused(
                f"cannot watch {self.text!r}: {reason}, which cannot be known to be free of side effects",
                slug="call",
                hint="watch what it reads, or say --allow-calls (in Python: allow_calls=True)",
            )
        return self.opaque(run)

    def mutates(self, what: str) -> NoReturn:
        """Refuse an expression that is known to change the data."""
        raise Refused(
            f"cannot watch {self.text!r}: evaluating it would change the data: {what}",
            slug="mutates",
            hint="watch the data itself",
        )

    def opaque(self, run: Callable[[], Any]) -> Any:
        """Run what cannot be seen through, and note that only evaluating again tells whether it changed."""
        self.source = Opaque(self.text, self._again())
        self.cells.setdefault(self.source)
        if self.may_wait and is_amid(tuple(cell.cell_contents for cell in run.__closure__ or ())):
            raise Amid(self.source)
        value = attempt(run)
        self.fresh = True
        return value


def attempt(run: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what `run` returns; an error it raises is one that evaluating the expression raises."""
    try:
        return run(*arguments, **options)
    except (Refused, Absence, Amid):
        raise
    except Exception as error:
        kind = type(error)
        text = error.args[0] if kind in _WITH_PLAIN_TEXT and error.args else ""
        if type(text) is not str or kind is KeyError:
            text = text_of(text)
        raise Absence(kind, text) from None


_CODECS = frozenset({"utf-8", "utf8", "ascii", "latin-1", "latin1", "iso-8859-1", "utf-16", "utf-32"})
_CODEC_ERRORS = frozenset({"strict", "ignore", "replace", "backslashreplace", "xmlcharrefreplace", "surrogateescape"})


def is_plain_codec(arguments: Iterable[Any]) -> bool:
    """Tell whether the texts among `arguments` name codecs and error handlers that are builtin, not registered."""
    return all(
        one.lower().replace("_", "-") in _CODECS or one in _CODEC_ERRORS for one in arguments if type(one) is str
    )


def text_of(value: Any) -> str:
    """Return a short text for a key, index or message that is safe to show; nothing for what has code of its own."""
    text = repr(value) if is_simple(value) else ""
    return text if len(text) <= 80 else f"{text[:77]}..."


def present(cell: Cell) -> Any:
    """Return what `cell` holds now, or `ABSENT`; for a Content cell its owner, for an Opaque one the value anew."""
    match cell:
        case DictItem() | ListItem():
            return item_of(cell, cell.owner)
        case Slot():
            return slot_value(cell.owner, cell.descriptor)
        case Local():
            return frames.local(cell.owner.frame, cell.variable)
        case Closure():
            try:
                return cell.owner.cell_contents
            except ValueError:
                return ABSENT
        case Opaque():
            return cell.owner()
        case Content():
            return cell.owner
    raise TypeError(cell)


def item_of(cell: DictItem | ListItem, container: Any) -> Any:
    """Return what `container` has where `cell` has its value, or `ABSENT`."""
    if isinstance(cell, DictItem):
        return dict.get(container, cell.key, ABSENT)
    try:
        return list.__getitem__(container, cell.index)
    except IndexError:
        return ABSENT
