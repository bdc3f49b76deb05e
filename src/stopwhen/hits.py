"""Makes the hit that an event is, once access type and filters have let it pass."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from stopwhen import change, location, tables
from stopwhen.cells import Content, ListItem
from stopwhen.event import Event, Read, Rebound, Relaid, Spliced, Unknown, Written
from stopwhen.hit import Hit
from stopwhen.judging import CountedHit
from stopwhen.originals import os, sys, time, use_original_builtins
from stopwhen.record import present
from stopwhen.texts import short_class_name, text_of
from stopwhen.types import ABSENT, AccessType
from stopwhen.writing_threads import task_name, thread_name

use_original_builtins(globals())

if TYPE_CHECKING:
    from types import FrameType

    from stopwhen.activation import Seen
    from stopwhen.change import Change
    from stopwhen.watchpoint import Watchpoint


def hit_of(watchpoint: Watchpoint, seen: Seen, new: Seen, event: Event, *, in_child: bool) -> Hit:
    """Return the hit that `event` is: it took the watch expression from the state `seen` to `new`."""
    wants_truth = watchpoint.access is AccessType.TRUE
    old, value = values_of(watchpoint.access, seen, new)
    texts = (str(seen.truth), str(new.truth)) if wants_truth else (seen.value_text, new.value_text)
    writer = location.locate(*event.stack[0]) if event.stack else None
    between = None
    if event.other is not None and writer is not None:
        between = (location.locate(*event.other), writer)
    return Hit(
        watchpoint=watchpoint,
        old=old,
        new=value,
        old_text=texts[0],
        new_text=texts[1],
        change=_change_of(event, seen, *texts),
        location=writer,
        own_location=location.own_location(event.stack),
        by=_writer_of(event),
        thread=thread_name(event.thread_id),
        thread_id=event.thread_id,
        task=task_name(event.thread_id),
        pid=os.getpid(),
        time_ns=time.time_ns(),
        count=watchpoint.count + 1,
        mechanism=event.mechanism,
        exact=event.other is None,
        between=between,
        in_child=in_child,
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


def current_test() -> str | None:
    """Return the test that pytest runs, as it names tests; None for none."""
    return _test_named(_environment.get(_TEST_KEY))


def _test_named(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    return str(text.rpartition(" (")[0]) or text


def counted(watchpoint: Watchpoint, raw: CountedHit, *, in_child: bool) -> Hit:
    """Return a hit that was only counted, with all that is told of one."""
    name, mechanism = raw.about
    wants_truth = watchpoint.access is AccessType.TRUE
    old, new = (False, True) if wants_truth else (raw.old, raw.new)
    place = location.locate(*raw.places[0])
    return Hit(
        watchpoint=watchpoint,
        old=old,
        new=new,
        old_text=text_of(old),
        new_text=text_of(new),
        change=change.describe(Rebound(raw.old, raw.new), name),
        location=place,
        own_location=location.own_location(raw.places),
        by=None,
        thread=raw.thread or thread_name(raw.thread_id),
        thread_id=raw.thread_id,
        task=None,
        pid=raw.pid,
        time_ns=raw.time_ns,
        count=raw.number,
        mechanism=mechanism,
        in_child=in_child,
        places=raw.places,
        test=_test_named(raw.noted),
    )


def _writer_of(event: Event) -> str | None:
    """Return the C function that made the change; None for a store or operator, and where it is not certain."""
    if not event.stack or event.one_of_several or event.other is not None:
        return None
    return location.writer_of(event.frame, *event.stack[0])


def _change_of(event: Event, seen: Seen, old_text: str, new_text: str) -> Change | None:
    """Return what happened in words, None for a read; of a list's first item, what happened to the list, if so."""
    cell, delta = event.cell, event.delta
    if isinstance(delta, Read):
        return None
    if isinstance(delta, Written) and not isinstance(cell, Content):
        value = seen.reading.value if cell == seen.reading.source else present(cell)
        return change.describe(Rebound(value, value), cell.name)
    if isinstance(delta, Rebound) and tables.is_manager(delta.new):
        delta = Unknown()  # Nobody knows managers: the table has changed.
    if isinstance(delta, Unknown) and old_text != new_text:
        return change.Change("changed", cell.name, f"{old_text} -> {new_text}")
    if isinstance(cell, ListItem) and isinstance(delta, Rebound) and cell.index == 0 and cell.name.endswith("[0]"):
        items = list.__getitem__(cell.owner, slice(2))
        if len(items) > 1 and items[0] is delta.new and items[1] is delta.old:
            return change.describe(Spliced(0, (), (delta.new,), list.__len__(cell.owner)), cell.name[: -len("[0]")])
    if isinstance(delta, Relaid):
        is_class = isinstance(delta.shown, Rebound)
        return change.describe(delta.shown, f"type({cell.name})" if is_class else cell.name)
    return change.describe(delta, cell.name)
