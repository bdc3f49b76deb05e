"""What one reading of a watch expression has consulted so far, and how it may go on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping

from stopwhen import frames, memory, static, thread_locals
from stopwhen.cells import Cell, Closure, Content, DictItem, Layout, ListItem, Local, Opaque, Slot, ThreadDicts
from stopwhen.errors import Refused
from stopwhen.evaluation import Evaluation, InsideCall
from stopwhen.originals import use_original_builtins
from stopwhen.static import TypeSet, class_name, slot_value
from stopwhen.thread_locals import ThisThread
from stopwhen.type_hints import Any, NoReturn
from stopwhen.types import ABSENT
from stopwhen.values import SCALARS, is_simple
from stopwhen.weak_values import WeakValues

use_original_builtins(globals())

MOST_STEPS = 1_000_000

_NOT_PAST = object()

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


class Unreadable(Absence):
    """What the expression reads now takes running code of the program's: it counts as absent while that is so.

    Attributes:
        reason: why.
        part: the part of the expression that is at fault, as the user wrote it; "" where no single attribute is.
        descriptor: what the class has in place of that attribute, or `ABSENT`.
    """

    def __init__(self, reason: str, part: str = "", descriptor: Any = ABSENT) -> None:
        super().__init__(Refused, reason)
        self.reason = reason
        self.part = part
        self.descriptor = descriptor


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
        goes_on: what cannot be read without that is absent, instead of a reason to refuse.
        thread: whose attributes of a `threading.local` are read; None for this one.
    """

    def __init__(
        self,
        text: str,
        past: Mapping[Cell, Any],
        again: Callable[[], Evaluation],
        *,
        allow_calls: bool,
        goes_on: bool = False,
        thread: ThisThread | None = None,
    ) -> None:
        self.text = text
        self.cells: dict[Cell, None] = {}
        self.fresh = False
        self.source: Cell | None = None
        self.source_value: Any = None
        self._past = past
        self.may_wait = False  # raise `InsideCall` rather than evaluate inside a call of the program
        self._again = again
        self.allow_calls = allow_calls
        self.goes_on = goes_on
        self._thread = thread
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

    def attributes_in_thread(self, owner: Any, name: str) -> dict[str, Any] | None:
        """Return the dict of `owner`, a `threading.local` called `name`, in the thread that asked for the watchpoint.

        None while it has none there: making one may run the program's `__init__`, so that is left to the program.
        """
        if not thread_locals.IS_POSSIBLE:
            self.foreign(f"which attributes of {name!r} are this thread's, only the C module can tell", lambda: None)
        self._thread = self._thread or ThisThread()
        found = self._thread.attributes_of(owner)
        if found is ABSENT:
            self.note(ThreadDicts(name, thread_locals.dicts_of(owner)))
            return None
        attributes: dict[str, Any] = found
        return attributes

    def note(self, cell: Cell) -> None:
        """Note `cell`, which decides where to look, but is not the source of what is read."""
        self.cells.setdefault(cell)

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
        return self.opaque(run) if self.allow_calls else self._refuse(Unreadable(reason), hint or hint_for(None))

    def computed(
        self, reason: str, run: Callable[[], Any], part: str, behind: Callable[[], str | None], descriptor: Any = ABSENT
    ) -> Any:
        """As `foreign`, for the attribute or item that the user calls `part`.

        Args:
            reason: why it would run code.
            run: does.
            part: what the user calls it.
            behind: returns an expression of the data that it stands for, or None; called for the hint only.
            descriptor: what the class has that computes an attribute, or `ABSENT`.
        """
        if self.allow_calls:
            return self.opaque(run)
        return self._refuse(Unreadable(reason, part, descriptor), "" if self.goes_on else hint_for(behind()))

    def _refuse(self, unreadable: Unreadable, hint: str) -> NoReturn:
        if self.goes_on:
            raise unreadable
        raise Refused(f"cannot watch {self.text!r}: {unreadable.reason}", slug="runs-code", hint=hint)

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

    def opaque(self, run: Callable[[], Any], *, is_pure: bool = False) -> Any:
        """Run what cannot be seen through, and note that only evaluating again tells whether it changed.

        What is pure is a getter in C that runs no code of the program's.
        """
        again = self._again()
        self.source = Opaque(self.text, again)
        self.cells.setdefault(self.source)
        value = again.make(run, attempt, may_wait=self.may_wait, is_pure=is_pure)
        self.fresh = True
        return value


def hint_for(data: str | None) -> str:
    """Return what to do where reading would run code: `data` is an expression of the data behind it, if it is known."""
    instead = "the data behind it" if data is None else repr(data)
    return f"watch {instead}, or say --allow-calls (in Python: allow_calls=True): that code then runs at each look"


def attempt(run: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what `run` returns; an error it raises is one that evaluating the expression raises."""
    try:
        return run(*arguments, **options)
    except (Refused, Absence, InsideCall):
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
