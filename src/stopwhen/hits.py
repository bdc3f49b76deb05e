"""Makes the hit that an event is, once access type and filters have let it pass."""

from __future__ import annotations

from _thread import get_ident

from stopwhen import change, env, location, static, tables
from stopwhen.attributes import is_descriptor_method
from stopwhen.cells import Content, DictItem, ListItem, ThreadDicts
from stopwhen.event import Event, Items, Read, Rebound, Relaid, Spliced, Unknown, Written
from stopwhen.hit import Hit
from stopwhen.originals import os, sys, time, use_original_builtins
from stopwhen.record import present
from stopwhen.texts import short_class_name, text_of
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import ABSENT, AccessType
from stopwhen.writing_threads import task_name, thread_name

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from stopwhen.activation import Seen
    from stopwhen.cells import Cell
    from stopwhen.change import Change
    from stopwhen.dependencies import Reading
    from stopwhen.event import Delta
    from stopwhen.watchpoint import Watchpoint


def hit_of(watchpoint: Watchpoint, seen: Seen, new: Seen, event: Event, *, own_pid: int) -> Hit:
    """Return the hit that `event` is: it took the watch expression from the state `seen` to `new`."""
    wants_truth = watchpoint.access is AccessType.TRUE
    old, value = values_of(watchpoint.access, seen, new)
    texts = (str(seen.truth), str(new.truth)) if wants_truth else (seen.value_text, new.value_text)
    writer = location.locate(*event.stack[0]) if event.stack else None
    between = None
    if event.other is not None and writer is not None:
        between = (location.locate(*event.other), writer)
    delta = _delta_of(event, seen, new, watchpoint.expression.text)
    pid = os.getpid()
    return Hit(
        watchpoint=watchpoint,
        old=old,
        new=value,
        old_text=texts[0],
        new_text=texts[1],
        change=_change_of(event, delta, seen, new, texts, name=watchpoint.expression.text),
        location=writer,
        own_location=location.own_location(event.stack),
        by=_writer_of(event),
        thread=thread_name(event.thread_id),
        thread_id=event.thread_id,
        task=task_name(event.thread_id),
        pid=pid,
        time_ns=time.time_ns(),
        count=watchpoint.count + 1,
        mechanism=event.mechanism,
        exact=event.other is None,
        between=between,
        in_child=pid != own_pid,
        instance=None if event.instance is None else _text_of_instance(event.instance),
        test=current_test(),
        places=event.stack,
    )


def _text_of_instance(instance: Any) -> str:
    return f"<{short_class_name(type(instance))} at {id(instance):#x}>"


def values_of(access: AccessType, seen: Seen, new: Seen) -> tuple[Any, Any]:
    """Return old and new value, as hits and conditions have them: of a wait for truth, the truth."""
    if access is AccessType.TRUE:
        return seen.truth, new.truth
    return seen.reading.value, new.reading.value


def already(watchpoint: Watchpoint, armed_by: FrameType | None) -> tuple[Hit, FrameType | None]:
    """Return the hit of a watchpoint that is true when it is armed, and the frame that armed it, if not `armed_by`."""
    frame: FrameType | None = armed_by or sys._getframe(1)  # noqa: SLF001 - there is no other way to it
    while frame is not None and location.is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    armed_at = None if frame is None else location.locate(frame.f_code, frame.f_lasti)
    hit = Hit(
        watchpoint=watchpoint,
        old=ABSENT,
        new=True,
        old_text=str(ABSENT),
        new_text="True",
        change=None,
        location=armed_at,
        own_location=armed_at,
        by=None,
        thread=thread_name(get_ident()),
        thread_id=get_ident(),
        task=task_name(get_ident()),
        pid=os.getpid(),
        time_ns=time.time_ns(),
        count=watchpoint.count + 1,
        mechanism="arming",
        already=True,
        test=current_test(),
        places=() if frame is None else ((frame.f_code, frame.f_lasti),),
    )
    return hit, frame


_environment: Any = getattr(os.environ, "_data", {})
"""What `os.environ` keeps its items in, whatever the program puts in its place."""

_TEST_KEY: Any = os.environ.encodekey("PYTEST_CURRENT_TEST")


def note_tests() -> None:
    """Have the C module note with each hit that it keeps which test pytest runs."""
    if type(_environment) is dict and type(_TEST_KEY) is bytes:
        env.core.note_with(_environment, _TEST_KEY)


def current_test() -> str | None:
    """Return the test that pytest runs, as it names tests; None for none."""
    return _test_named(_environment.get(_TEST_KEY))


def _test_named(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    return str(text.rpartition(" (")[0]) or text


class JudgedHit(Hit):
    """A hit that the C module has judged and kept: what can be told later just as well is made when it is asked for."""

    def __init__(self, watchpoint: Watchpoint, raw: Sequence[Any], *, own_pid: int) -> None:
        about, old, new, places, thread, noted, thread_id, time_ns, count, pid, _one_of_several = raw
        wants_truth = watchpoint.access is AccessType.TRUE
        self.__dict__.update(
            watchpoint=watchpoint,
            old=False if wants_truth else old,
            new=True if wants_truth else new,
            by=None,  # the writer is no call
            thread_id=thread_id,
            task=None,
            pid=pid,
            time_ns=time_ns,
            count=count,
            mechanism=about[1],
            in_child=pid != own_pid,
            places=places,
            test=_test_named(noted),
            _raw=(about[0], old, new, thread),
        )

    def __getattr__(self, name: str) -> Any:
        make = _MADE_LATER.get(name)
        if make is None:
            raise AttributeError(f"a hit has no {name!r}", name=name, obj=self)
        value = self.__dict__[name] = make(self)
        return value

    def kept(self) -> Hit:
        """Return this hit: it has no hold on the program's objects."""
        return self


_MADE_LATER: dict[str, Callable[[JudgedHit], Any]] = {
    "old_text": lambda hit: text_of(hit.old),
    "new_text": lambda hit: text_of(hit.new),
    "change": lambda hit: change.describe(Rebound(hit._raw[1], hit._raw[2]), hit._raw[0]),  # noqa: SLF001
    "location": lambda hit: location.locate(*hit.places[0]),
    "own_location": lambda hit: location.own_location(hit.places),
    "thread": lambda hit: hit._raw[3] or thread_name(hit.thread_id),  # noqa: SLF001
}


def _writer_of(event: Event) -> str | None:
    """Return the C function that made the change; None for a store or operator, and where it is not certain."""
    if not event.stack or event.one_of_several or event.other is not None:
        return None
    return location.writer_of(event.frame, *event.stack[0], event.by)


def _change_of(
    event: Event, delta: Delta, seen: Seen, new: Seen, texts: tuple[str, str], *, name: str
) -> Change | None:
    """Return what happened in words, None for a read; of a list's first item, what happened to the list, if so."""
    cell = event.cell
    if isinstance(delta, Read):
        return None
    delta = _as_environment_shows(cell, delta)
    if isinstance(delta, Written) and not isinstance(cell, Content):
        value = seen.reading.value if cell == seen.reading.source else present(cell)
        return change.describe(Rebound(value, value), cell.name)
    if isinstance(delta, Rebound) and tables.is_manager(delta.new):
        delta = Unknown()  # Nobody knows managers: the table has changed.
    if isinstance(delta, Spliced) and isinstance(cell, Content) and tables.is_table(seen.reading.value):
        label = tables.labeller(seen.reading.value, cell.owner, name)
        if label is not None:
            return change.of_labelled(delta, label)
    if isinstance(cell, ThreadDicts):
        delta = Unknown()  # The thread has attributes now; of those of others nothing is told.
    if isinstance(delta, Unknown) and texts[0] != texts[1]:
        return change.Change("changed", cell.name, f"{texts[0]} -> {texts[1]}")
    if isinstance(cell, ListItem) and isinstance(delta, Rebound) and cell.index == 0 and cell.name.endswith("[0]"):
        items = list.__getitem__(cell.owner, slice(2))
        if len(items) > 1 and items[0] is delta.new and items[1] is delta.old:
            return change.describe(Spliced(0, (), (delta.new,), list.__len__(cell.owner)), cell.name[: -len("[0]")])
    if isinstance(delta, Relaid):
        is_class = isinstance(delta.shown, Rebound)
        return change.describe(delta.shown, f"type({cell.name})" if is_class else cell.name)
    is_whole = isinstance(delta, Rebound) and delta.old is seen.reading.value and delta.new is new.reading.value
    return change.describe(delta, cell.name, texts if is_whole else None)


def _as_environment_shows(cell: Cell, delta: Delta) -> Delta:
    """Return `delta` with the texts that `os.environ` gives out, where it is about the bytes that it keeps for them."""
    if not isinstance(cell, DictItem | Content) or not isinstance(delta, Rebound | Items):
        return delta
    if cell.owner is not dict.get(static.instance_dict(os.environ) or {}, "_data"):
        return delta
    if isinstance(delta, Rebound):
        return Rebound(_decoded(delta.old), _decoded(delta.new))
    changes = tuple((_decoded(key), _decoded(old), _decoded(new)) for key, old, new in delta.changes)
    return Items(changes, delta.length, delta.attributes)


def _decoded(stored: Any) -> Any:
    return stored.decode("utf-8", "surrogateescape") if type(stored) is bytes else stored


def _delta_of(event: Event, seen: Seen, new: Seen, text: str) -> Delta:
    """Return what the event did to the part of the expression `text` that its cell is about, as one who reads it."""
    delta = event.delta
    if isinstance(delta, Rebound) and delta.old is ABSENT and delta.new is not ABSENT:
        return Rebound(_read_elsewhere(event.cell, seen.reading, text), delta.new)
    if isinstance(delta, Rebound) and delta.new is ABSENT and delta.old is not ABSENT:
        return Rebound(delta.old, _read_elsewhere(event.cell, new.reading, text))
    return delta


def _read_elsewhere(cell: Cell, reading: Reading, text: str) -> Any:
    """Return what the part of the expression `text` that `cell` has a say in was when `cell` held nothing.

    That is what the class has for an attribute, or builtins for a name; `ABSENT` for nothing.
    """
    if cell.name == text:
        return reading.value
    for other in reading.cells:
        if (
            other.name == cell.name
            and isinstance(other, DictItem)
            and other != cell
            and not is_descriptor_method(other)
        ):
            value = present(other)
            if value is not ABSENT:
                return value
    return ABSENT
