"""A hit: one event for which access type and condition held, with all that is told of it; immutable."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from types import FrameType

from stopwhen.change import Change
from stopwhen.event import Place
from stopwhen.location import Location, locate, place_dict, program_places
from stopwhen.originals import functools, sys, use_original_builtins
from stopwhen.reports.text import format_hit
from stopwhen.texts import Text
from stopwhen.type_hints import Any, NoReturn, Protocol
from stopwhen.types import ABSENT, AccessType
from stopwhen.values import is_simple

use_original_builtins(globals())


class HasText(Protocol):
    """A watch expression, as far as a hit is concerned."""

    @property
    def text(self) -> str:
        """The text that the user wrote."""


class WatchpointOfHit(Protocol):
    """A watchpoint, as far as a hit is concerned."""

    @property
    def number(self) -> int:
        """Number of the watchpoint, from 1."""

    @property
    def expression(self) -> HasText:
        """The watch expression."""

    @property
    def access(self) -> AccessType:
        """The access type."""

    @property
    def forbidden_at(self) -> Location | None:
        """Where changes were forbidden, when that is what it is for."""


class Hit:
    """One hit of a watchpoint. Two hits are equal when their watchpoint's number and their count are.

    Attributes:
        watchpoint: what was hit.
        old: value of the watch expression before; `ABSENT` for none. After a change in place, the same object as `new`.
        new: value after, likewise.
        old_text: bounded text of the value last seen before.
        new_text: bounded text of the value after.
        change: what happened, in words and in data; None when nothing changed (a read, or `already`).
        location: of the instruction that wrote; None where there was no Python frame.
        own_location: the nearest one in the program's own code, when that is not the writer; `location` when it is.
        by: the C function that made the change, such as `list.insert`; None for stores, operators and unknown ones.
        thread: name of the thread that wrote.
        thread_id: its `threading.get_ident()`.
        task: name of its asyncio task, None outside of one.
        pid: process that wrote.
        time_ns: `time.time_ns()` at the hit.
        count: how many hits of this watchpoint there were, with this one.
        mechanism: name of the mechanism that saw it.
        exact: False when `location` is not certain; see `between`.
        already: True when the expression was true at arming; `location` is the arming call then.
        between: two locations between which an inexact hit's write happened; None when exact.
        in_child: True when `pid` is another process than the one that armed the watchpoint.
        instance: a short text of the instance whose hit it is, where the scope is a class; else None.
        test: the test that pytest ran, as it names tests; None where none ran.
        places: code and offset of each frame of the writing thread, innermost first: what `stack` is made of.
        frame: the frame that wrote, while a condition or action is called with the hit; else None.
    """

    watchpoint: WatchpointOfHit
    old: Any
    new: Any
    old_text: str
    new_text: str
    change: Change | None
    location: Location | None
    own_location: Location | None
    by: str | None
    thread: str
    thread_id: int
    task: str | None
    pid: int
    time_ns: int
    count: int
    mechanism: str
    exact: bool = True
    already: bool = False
    between: tuple[Location, Location] | None = None
    in_child: bool = False
    instance: str | None = None
    test: str | None = None
    places: tuple[Place, ...] = ()
    frame: FrameType | None = None

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete field {name!r}")

    def __replace__(self, /, **changes: Any) -> Hit:
        return Hit(**{name: getattr(self, name) for name in Hit.__annotations__} | changes)

    @cached_property
    def stack(self) -> tuple[Location, ...]:
        """Locations of the frames of the writing thread, innermost first, down to those that run the program."""
        # Made when asked for: a deep stack takes longer than all else of a hit that is only counted.
        return tuple(locate(code, offset) for code, offset in program_places(self.places))

    def kept(self) -> Hit:
        """Return this hit without a hold on the program's objects: of what is not simple, only the text."""
        old, new = _kept(self.old, self.old_text), _kept(self.new, self.new_text)
        return Hit(**self.__dict__ | {"old": old, "new": new, "frame": None})

    def call(self, function: Callable[[Hit], object], frame: FrameType | None) -> object:
        """Return what a condition or action says to this hit; meanwhile `frame` is the one that wrote."""
        self.__dict__["frame"] = frame
        try:
            return function(self)
        finally:
            self.__dict__["frame"] = None

    def to_dict(self) -> dict[str, Any]:
        """Return what there is to tell, as JSON can have it: the object that `stopwhen run --json` writes."""
        return self.told(place_dict, [place_dict(location) for location in self.stack])

    def told(self, place: Callable[[Location | None], Any], stack: Any) -> dict[str, Any]:
        """Return the same with locations as `place` gives them, and with this `stack`."""
        change = self.change
        return {
            "event": "hit",
            "watchpoint": self.watchpoint.number,
            "expression": self.watchpoint.expression.text,
            "old_text": self.old_text,
            "new_text": self.new_text,
            "change": None if change is None else {"kind": change.kind, "name": change.name, "text": change.text},
            "location": place(self.location),
            "own_location": place(self.own_location),
            "between": None if self.between is None else [place(location) for location in self.between],
            "stack": stack,
            "by": self.by,
            "thread": self.thread,
            "thread_id": self.thread_id,
            "task": self.task,
            "pid": self.pid,
            "command": command(),
            "time_ns": self.time_ns,
            "count": self.count,
            "mechanism": self.mechanism,
            "exact": self.exact,
            "already": self.already,
            "test": self.test,
        }

    def __str__(self) -> str:
        return format_hit(self).rstrip("\n")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hit):
            return NotImplemented
        return (self.watchpoint.number, self.count) == (other.watchpoint.number, other.count)

    def __hash__(self) -> int:
        return hash((self.watchpoint.number, self.count))

    def __repr__(self) -> str:
        where = "in C code" if self.location is None else f"at {self.location.filename}:{self.location.lineno}"
        return f"<Hit {self.count} of watchpoint {self.watchpoint.number}: {self.change or self.new_text} {where}>"


@functools.cache
def command() -> str:
    """Return the command line of this process, as it is when this is first asked for."""
    return " ".join(sys.orig_argv)


def _kept(value: Any, text: str) -> Any:
    return value if value is ABSENT or is_simple(value) else Text(text)
