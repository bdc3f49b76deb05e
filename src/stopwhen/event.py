"""What a mechanism reports: that a cell changed, how, and where. Data only; whether it is a hit the session decides."""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType, FrameType

from stopwhen.cells import Cell
from stopwhen.immutable import Immutable
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import Any, TypeAlias

use_original_builtins(globals())


class Rebound(Immutable):
    """One stored object gave way to another; `ABSENT` stands for none."""

    old: Any
    new: Any


class Spliced(Immutable):
    """In a sequence, `removed` at `start` gave way to `inserted`; the rest stayed. `length` is the new length.

    `removed` and `inserted` are tuples of items, or bytes for bytes-like owners. Of an array of several dimensions
    `shape` tells these; `start` counts its items one after the other. With `elementwise` nothing has moved: each item
    gave way to the one in its place.
    """

    start: int
    removed: Sequence[Any]
    inserted: Sequence[Any]
    length: int
    shape: tuple[int, ...] = ()
    elementwise: bool = False


class Members(Immutable):
    """A set lost `removed` and gained `added`; `length` is its new length."""

    removed: tuple[Any, ...]
    added: tuple[Any, ...]
    length: int


class Items(Immutable):
    """In a dict each key of `changes` went from old to new value, `ABSENT` for none; `length` is its new length.

    Empty `changes` means that only the order of the keys changed. With `attributes`, the keys are names of attributes.
    """

    changes: tuple[tuple[Any, Any, Any], ...]
    length: int
    attributes: bool = False


class Written(Immutable):
    """What was there already was stored again: the same object, or into the same content."""


class Read(Immutable):
    """The cell is about to be read."""


class Unknown(Immutable):
    """The cell may have changed; the mechanism cannot tell how."""


class Ended(Immutable):
    """The cell is gone: the frame that held it has ended."""


class Called(Immutable):
    """The function that the cell is about has been called: the event's frame is that call's."""


class Judged(Immutable):
    """The change is a hit of a watchpoint, as the C module has judged and kept it: only its action is due."""

    watchpoint: Any
    raw: tuple[Any, ...]


class Relaid(Immutable):
    """Attributes of an object are looked up elsewhere: each of `old` and `new` is (class, bases, dict, own bases).

    `shown` is what that means to whoever looks at the attributes.
    """

    old: tuple[Any, ...]
    new: tuple[Any, ...]
    shown: Rebound | Items


class Born(Immutable):
    """The class that the cell is about has a new instance."""


Delta: TypeAlias = (
    Relaid | Rebound | Spliced | Members | Items | Written | Read | Unknown | Ended | Called | Born | Judged
)

Place: TypeAlias = tuple[CodeType, int]
"""A code object and the offset in bytes of an instruction in it."""


class Event(Immutable):
    """One change of one cell, or another access to it, and the place that made it.

    Attributes:
        cell: what changed, was written or is read.
        delta: how.
        thread_id: `threading.get_ident()` of the thread that did it.
        frame: innermost Python frame of that thread at the write; None where there was none.
        stack: place of each frame of that thread, innermost first; empty where there was none.
        other: where the mechanism cannot be sure, the second place between which and `stack[0]` it happened; else None.
        mechanism: name of the mechanism.
        own: True when the writer was an action or a condition of stopwhen's: taken note of, never a hit.
        one_of_several: the instruction of `stack[0]` or an earlier call on the same line did it: the line is certain.
        instance: where `cell` is read for the sake of an instance of a class: that instance.
        heard_by: likewise, the cell whose readers this is for; by rule `cell` itself.
        by: the C function that made the change, where the mechanism knows; else None.
    """

    cell: Cell
    delta: Delta
    thread_id: int
    frame: FrameType | None
    stack: tuple[Place, ...]
    other: Place | None
    mechanism: str
    own: bool
    one_of_several: bool = False
    instance: Any = None
    heard_by: Cell | None = None
    by: str | None = None
