"""The kinds of cell: the smallest stored things whose change can change a watch expression's value. Data only.

Two cells are the same when they are of one kind and name the same place: the owner counts by identity, never by its
`__eq__`. A cell holds its owner, so that the owner's address is not used again while the cell lives.
"""

from __future__ import annotations

from collections.abc import Hashable
from types import CellType, CodeType, FrameType

from stopwhen.immutable import Immutable
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import Any, Protocol

use_original_builtins(globals())


class Cell(Immutable):
    """One stored thing; `name` is the part of the watch expression that reads it, as the user wrote it."""

    name: str

    @property
    def place(self) -> tuple[Hashable, ...]:
        """What tells this cell from others: equal for two cells of the same stored thing."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.place == other.place

    def __hash__(self) -> int:
        return hash(self.place)


class DictItem(Cell, Immutable):
    """The value under `key` in the storage of `owner`: a name in a namespace, an instance or class attribute, an item.

    `key` is of an exact immutable builtin type, so that looking it up runs no code of the user's.
    """

    owner: dict[Any, Any]
    key: Any

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (DictItem, id(self.owner), self.key)


class Content(Cell, Immutable):
    """All that `owner` holds itself: items of a list, set, dict, deque, bytearray, array.

    The content of an object with attributes is the Content of its instance dict, `owner.__dict__`.
    """

    owner: Any

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (Content, id(self.owner))


class Attributes(Content, Immutable):
    """The content of the dict in which an object, a class or a module keeps its attributes."""


class ThreadDicts(Content, Immutable):
    """Which threads a `threading.local` has attributes in; `owner` is the dict in which it keeps a dict for each."""


class Layout(Cell, Immutable):
    """Where attributes of `owner` are looked up: its class, the bases of that, and the dict that it keeps."""

    owner: Any

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (Layout, id(self.owner))


class Blocks(Cell, Immutable):
    """Which arrays make up a table of pandas, whose manager of them is `owner`, and which labels it has."""

    owner: Any
    structure: Any
    """A `tables.Structure`: the cell is about these objects; with others it is another."""

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (Blocks, id(self.owner), *map(id, self.structure.held))


class ListItem(Cell, Immutable):
    """The item at `index` of a list; a negative index counts from the end as the list is at that time."""

    owner: list[Any]
    index: int

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (ListItem, id(self.owner), self.index)


class Slot(Cell, Immutable):
    """What the member descriptor `descriptor` (an entry of `__slots__`) holds for `owner`."""

    owner: Any
    descriptor: Any

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (Slot, id(self.owner), id(self.descriptor))


class FrameRef(Protocol):
    """Names a frame that runs or is suspended, by rule without keeping it alive."""

    @property
    def frame(self) -> FrameType | None:
        """The frame; None once it is gone."""

    @property
    def code(self) -> CodeType:
        """The code that it runs."""


class Local(Cell, Immutable):
    """The local variable `variable` of one running frame."""

    owner: FrameRef
    variable: str

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (Local, id(self.owner), self.variable)


class Frame(Cell, Immutable):
    """One running frame itself, of which only the end is of interest."""

    owner: FrameRef

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (Frame, id(self.owner))


class Calls(Cell, Immutable):
    """The calls of a function, its `owner`: each new one is an event."""

    owner: Any

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (Calls, id(self.owner))


class Instances(Cell, Immutable):
    """The instances of a class and its subclasses: each new one is an event, and so is each change of one's attributes.

    `names` are the attributes of interest, `whole` tells whether all together are; `number` is the watchpoint's.
    """

    owner: type
    names: tuple[str, ...]
    whole: bool
    number: int

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (Instances, id(self.owner), self.number)


class Closure(Cell, Immutable):
    """What a closure's cell object holds, whichever function rebinds it."""

    owner: CellType

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (Closure, id(self.owner))


class Opaque(Cell, Immutable):
    """What a call reads that cannot be seen through: the whole expression must be evaluated again.

    `owner` is a callable without arguments that evaluates the expression; its result is compared structurally.
    """

    owner: Any

    @property
    def place(self) -> tuple[Hashable, ...]:
        return (Opaque, id(self.owner))
