"""What tables of pandas hold: their columns, down to the arrays of numpy in which these are kept.

pandas keeps a table as blocks, each an array of some columns, under one manager. All of that is read by the descriptors
of classes in C; pandas itself is neither imported nor asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stopwhen import memory, static
from stopwhen.immutable import Immutable
from stopwhen.originals import operator, types, use_original_builtins
from stopwhen.static import TypeSet
from stopwhen.type_hints import Any, TypeAlias
from stopwhen.types import ABSENT

use_original_builtins(globals())

_STORED_IN_C = TypeSet(types.GetSetDescriptorType, types.MemberDescriptorType)
_MOST_LABELS = 1_000
_MOST_TITLES = 5
_MOST_AT_ONCE = 1 << 20
_COMPARED = TypeSet(str, int, bool, bytes)
_HOLDERS = ("_ndarray", "_data", "_mask", "_pa_array", "_left", "_right", "_sparse_values")
"""Under which an array of pandas' own keeps the arrays that it is made of."""


def is_table(value: Any) -> bool:
    """Tell whether `value` is a DataFrame or Series."""
    base = static.loaded_class("pandas.core.generic", "NDFrame")
    return base is not None and static.is_a(value, base)


def is_labels(value: Any) -> bool:
    """Tell whether `value` is an Index, which never changes but for its name."""
    base = static.loaded_class("pandas.core.indexes.base", "Index")
    return base is not None and static.is_a(value, base)


def is_manager(value: Any) -> bool:
    """Tell whether `value` is what keeps the blocks of a table."""
    base = static.loaded_class("pandas.core.internals.managers", "BaseBlockManager")
    return base is not None and static.is_a(value, base)


def manager_of(table: Any) -> Any:
    """Return what keeps the blocks of a table; None where they are kept in a way that is not known here."""
    manager = dict.get(static.instance_dict(table) or {}, "_mgr")
    if not is_manager(manager) or type(_stored(manager, "blocks")) is not tuple:
        return None
    blocks = _listed(_stored(manager, "blocks"))
    is_known = type(_stored(manager, "axes")) is list and all(list(_arrays_in(_values_of(one))) for one in blocks)
    return manager if is_known else None


def _stored(owner: Any, name: str) -> Any:
    """Return what an object keeps in C or in its dict under `name`, or `ABSENT`."""
    found = static.find(type(owner), name)
    if found is not None and type(found[1]) in _STORED_IN_C:
        try:
            return found[1].__get__(owner)
        except AttributeError:
            return ABSENT
    return dict.get(static.instance_dict(owner) or {}, name, ABSENT)


def _values_of(block: Any) -> Any:
    return _stored(block, "values")


def _listed(value: Any) -> list[Any]:
    return list(value) if type(value) is list or type(value) is tuple else []


def _arrays_in(values: Any) -> Iterator[Any]:
    """Yield the arrays in which `values` are kept: of numpy, or such as never change."""
    if memory.is_numpy_array(type(values)):
        yield values
        return
    for name in _HOLDERS:
        held = _stored(values, name)
        if name == "_pa_array" and held is not ABSENT:
            yield held
        elif held is not ABSENT:
            yield from _arrays_in(held)


Link: TypeAlias = tuple[Any, Any]
"""A place where an object stands: a dict and a key, a list and an index, or a getter in C and an owner."""


def _link(owner: Any, name: str) -> Link:
    """Return the place where an object keeps something in C or in its dict under `name`."""
    found = static.find(type(owner), name)
    if found is not None and type(found[1]) in _STORED_IN_C:
        return found[1], owner
    return static.instance_dict(owner), name


def _links_of(manager: Any) -> Iterator[Link]:
    """Yield every place of a table where another object would mean other labels or values."""
    yield _link(manager, "axes")
    axes = _stored(manager, "axes")
    for index in range(len(axes)):
        yield axes, index
    yield _link(manager, "blocks")
    for block in _listed(_stored(manager, "blocks")):
        yield _link(block, "values")
        yield from _links_in(_values_of(block))


def _links_in(values: Any) -> Iterator[Link]:
    if not memory.is_numpy_array(type(values)):
        for name in _HOLDERS:
            held = _stored(values, name)
            if held is not ABSENT:
                yield _link(values, name)
                yield from _links_in(held) if name != "_pa_array" else ()


class Structure:
    """Which objects make up a table: labels, blocks, the arrays in them.

    Attributes:
        links: where they stand.
        held: what stood there.
    """

    def __init__(self, manager: Any) -> None:
        self.links = tuple(_links_of(manager))
        self.held = self.held_now()
        self._labels = _listed(_stored(manager, "axes"))
        self._columns = _columns_in(manager)

    def held_now(self) -> tuple[Any, ...]:
        """Return what stands at the links now."""
        return tuple(map(_held_by, self.links))

    def has_content_of(self, other: Structure) -> bool:
        """Tell whether labels and values are the same in both."""
        mine, others = self._columns, other._columns
        return (
            len(self._labels) == len(other._labels)
            and all(map(_are_same_labels, self._labels, other._labels))
            and [column.place for column in mine] == [column.place for column in others]
            and all(_are_same_values(one.arrays, two.arrays) for one, two in zip(mine, others, strict=True))
        )


def _held_by(link: Link) -> Any:
    source, key = link
    if type(source) is dict:
        return source.get(key)
    if type(source) is list:
        return source[key] if key < len(source) else None
    try:
        return source.__get__(key)
    except AttributeError:
        return None


def are_alike(left: Any, right: Any) -> bool:
    """Tell whether both are managers of tables with the same labels and values."""
    return is_manager(left) and is_manager(right) and Structure(left).has_content_of(Structure(right))


def have_same_content(left: Any, right: Any) -> bool:
    """Tell whether two tables, or two Index objects, of one type have the same names, labels and values."""
    if is_labels(left):
        return _are_same_labels(left, right)
    managers = manager_of(left), manager_of(right)
    names = _stored(left, "_name"), _stored(right, "_name")
    return (
        None not in managers and _is_same_name(*names) and Structure(managers[0]).has_content_of(Structure(managers[1]))
    )


def _are_same_labels(left: Any, right: Any) -> bool:
    """Tell whether two Index objects are views of one, or the same numbers, under the same name."""
    if left is right:
        return True
    if type(left) is not type(right) or not _is_same_name(_stored(left, "_name"), _stored(right, "_name")):
        return False
    numbers = _stored(left, "_range"), _stored(right, "_range")
    if type(numbers[0]) is range and type(numbers[1]) is range:
        return numbers[0] == numbers[1]
    identity = _stored(left, "_id")
    if identity is not ABSENT and identity is not None and identity is _stored(right, "_id"):
        return True
    return _are_same_values(*(list(_arrays_in(_stored(one, "_data"))) for one in (left, right)))


def _is_same_name(left: Any, right: Any) -> bool:
    return left is right or (type(left) is str and type(right) is str and left == right)


def _are_same_values(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(map(_is_same_array, left, right))


def _is_same_array(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if not memory.is_numpy_array(type(left)) or not memory.is_numpy_array(type(right)):
        return False
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if all(left.__array_interface__[key] == right.__array_interface__[key] for key in ("data", "strides")):
        return True
    are_same = _are_same_objects if left.dtype.hasobject else _are_same_bytes
    starts = range(0, len(left), _MOST_AT_ONCE)
    return all(are_same(left[start : start + _MOST_AT_ONCE], right[start : start + _MOST_AT_ONCE]) for start in starts)


def _are_same_bytes(left: Any, right: Any) -> bool:
    return bool(left.tobytes() == right.tobytes())


def _are_same_objects(left: Any, right: Any) -> bool:
    return all(
        one is two or (type(one) is type(two) and type(one) in _COMPARED and one == two)
        for one, two in zip(left.ravel().tolist(), right.ravel().tolist(), strict=True)
    )


def arrays_of(table: Any, name: str) -> Iterator[tuple[Any, str]]:
    """Yield each array of numpy in which the table called `name` keeps values, and what a user would call that part."""
    manager = manager_of(table)
    for block in _listed(_stored(manager, "blocks")):
        labels = [repr(label) for label in _labels_of(manager, block)]
        title = name
        if labels:
            title = f"{name}[{labels[0]}]" if len(labels) == 1 else f"{name}[[{', '.join(labels[:_MOST_TITLES])}]]"
        for array in _arrays_in(_values_of(block)):
            if memory.is_numpy_array(type(array)):
                yield array, title


def labeller(table: Any, array: Any, name: str) -> Callable[[int], tuple[str, str]] | None:
    """Return what tells the column and the row of an element of `array`, by its place; None for a foreign array.

    The column is told as users write it, `df['price']`; of a Series it is `name` itself, as the user calls the table.
    """
    manager = manager_of(table)
    axes = _listed(_stored(manager, "axes"))
    blocks = [
        block
        for block in _listed(_stored(manager, "blocks"))
        if any(one is array for one in _arrays_in(_values_of(block)))
    ]
    if not axes or not blocks:
        return None
    columns = [f"{name}[{label!r}]" for label in _labels_of(manager, blocks[0])] or [name]
    rows, length = labels_in(axes[-1]), max(array.shape[-1], 1) if array.shape else 1

    def place(index: int) -> tuple[str, str]:
        column, row = index // length, index % length
        return columns[column] if column < len(columns) else name, _text(rows, row)

    return place


def _text(labels: list[Any], index: int) -> str:
    return repr(labels[index]) if index < len(labels) and type(labels[index]) in _COMPARED else str(index)


def _labels_of(manager: Any, block: Any) -> list[Any]:
    """Return the names of the columns in a block; none for a Series."""
    axes = _listed(_stored(manager, "axes"))
    if len(axes) < 2:
        return []
    labels = labels_in(axes[0])
    return [labels[place] for place in _places_of(block) if place < len(labels)]


def _places_of(block: Any) -> list[int]:
    """Return which columns of the table a block has, in its order."""
    placement = _stored(_stored(block, "_mgr_locs"), "as_array")
    return placement.tolist() if memory.is_numpy_array(type(placement)) else []


def labels_in(index: Any) -> list[Any]:
    """Return the first labels of an Index."""
    numbers = _stored(index, "_range")
    if type(numbers) is range:
        return list(numbers[:_MOST_LABELS])
    values = _stored(index, "_data")
    return _shown(values, list(_arrays_in(values)), _MOST_LABELS)


class _Column(Immutable):
    place: int
    values: Any
    arrays: list[Any]


def _columns_in(manager: Any) -> list[_Column]:
    """Return the columns in their order, with the arrays in which the values of each are kept."""
    is_series = len(_listed(_stored(manager, "axes"))) < 2
    found = []
    for block in _listed(_stored(manager, "blocks")):
        values = _values_of(block)
        arrays = list(_arrays_in(values))
        for row, place in enumerate([0] if is_series else _places_of(block)):
            found.append(_Column(place, values, [_row(array, row) for array in arrays]))
    return sorted(found, key=operator.attrgetter("place"))


def _row(array: Any, row: int) -> Any:
    is_wide = memory.is_numpy_array(type(array)) and array.ndim == 2
    return array[row] if is_wide else array


def columns_of(table: Any, most: int) -> Iterator[tuple[Any, list[Any]]]:
    """Yield the name of each column and its first values; ABSENT for the name of a Series' only one."""
    manager = manager_of(table)
    axes = _listed(_stored(manager, "axes"))
    labels = labels_in(axes[0]) if len(axes) > 1 else []
    for column in _columns_in(manager):
        label = labels[column.place] if column.place < len(labels) else ABSENT
        yield label, _shown(column.values, column.arrays, most)


def _shown(values: Any, arrays: list[Any], most: int) -> list[Any]:
    """Return the first of some values as pandas would show them; none where they are kept in an unknown way."""
    if not arrays or not memory.is_numpy_array(type(arrays[0])) or arrays[0].ndim != 1:
        return []
    head = arrays[0][:most]
    shown: list[Any] = (head.astype("U") if head.dtype.kind in "mM" else head).tolist()
    categories = _stored(_stored(values, "_dtype"), "_categories")
    if categories is not ABSENT:
        names = labels_in(categories)
        return [names[code] if 0 <= code < len(names) else None for code in shown]
    if _stored(values, "_mask") is not ABSENT and len(arrays) == 2:
        return [None if missing else one for one, missing in zip(shown, arrays[1][:most].tolist(), strict=True)]
    return shown


def index_of(table: Any) -> Any:
    """Return the labels of the rows; None where they are but counted."""
    axes = _listed(_stored(manager_of(table), "axes"))
    numbers = _stored(axes[-1], "_range") if axes else ABSENT
    is_counted = type(numbers) is range and numbers.start == 0 and numbers.step == 1
    return axes[-1] if axes and not is_counted else None


def length_of(table: Any) -> int:
    """Return the number of rows."""
    axes = _listed(_stored(manager_of(table), "axes"))
    numbers = _stored(axes[-1], "_range") if axes else ABSENT
    if type(numbers) is range:
        return len(numbers)
    arrays = list(_arrays_in(_stored(axes[-1], "_data"))) if axes else []
    return len(arrays[0]) if arrays and memory.is_numpy_array(type(arrays[0])) else 0
