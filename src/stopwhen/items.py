"""Items, lengths, iteration and membership of containers, with the cells consulted, and without running their code."""

from __future__ import annotations

from collections import ChainMap, Counter, deque
from collections.abc import Callable, Iterator

from stopwhen import arrays, content, library_items, memory, paths, static
from stopwhen.attributes import attribute, pointed_to
from stopwhen.cells import DictItem, ListItem
from stopwhen.comparing import comparing_method, is_plain, note_content, obstacle
from stopwhen.errors import Refused
from stopwhen.memory import is_array
from stopwhen.originals import itertools, operator, os, types, use_original_builtins
from stopwhen.record import MOST_STEPS, Absence, Record, attempt, text_of
from stopwhen.static import TypeSet, class_name
from stopwhen.type_hints import Any
from stopwhen.types import ABSENT
from stopwhen.values import ENVIRON, SCALARS, SIZED, WRAPPERS, is_simple, is_wrapper, truth

use_original_builtins(globals())

_INDEXES = TypeSet(int, bool)
_LOOKED_AT = (str, bytes, tuple, range, list, bytearray, deque)
_INDEXED = TypeSet(list, tuple, deque)
_SLICED = TypeSet(list, tuple, str, bytes, bytearray)

MOST_KEYS = 10_000
"""In a dict or set with more keys, their types are taken to be harmless: looking at each would cost too much."""


class Lazy:
    """What a generator expression, `map`, `zip` and the like stand for in a reading: elements made when asked for."""

    def __init__(self, elements: Iterator[Any]) -> None:
        self.elements = elements


Lazy.__name__ = "generator"  # what messages call it


def item(record: Record, owner: Any, key: Any, name: str, text: str) -> Any:
    """Return `owner[key]`, where the user calls the container `name` and the whole `text`.

    Raises:
        Absence: there is none.
        Refused: looking would run code of the program's.
    """
    kind = type(owner)
    record.fresh = True
    if static.inherits(kind, dict, "__getitem__"):
        return _dict_item(record, owner, key, name, text)
    for base in _LOOKED_AT:
        if static.inherits(kind, base, "__getitem__"):
            return _sequence_item(record, owner, key, name, text)
    if is_array(kind) and static.inherits(kind, static.loaded_class("array", "array"), "__getitem__"):
        return _sequence_item(record, owner, key, name, text)
    if kind is types.MappingProxyType:
        return item(record, static.referent(owner), key, name, text)
    if kind is memoryview or _is_mapped(kind, "__getitem__"):
        return _memory_item(record, owner, key, name)
    for wrapper, holder in WRAPPERS:
        if static.inherits(kind, wrapper, "__getitem__"):
            return _wrapped_item(record, owner, holder, key, name, text=text)
    found = arrays.item(record, owner, key, name)
    if found is not None:
        return found
    if is_ctypes_array(kind):
        return _ctypes_item(record, owner, key, name, text)
    if memory.is_ctypes(kind, "_Pointer") and type(key) in _INDEXES and key == 0:
        target = pointed_to(record, owner, name, lambda: owner[key])
        held = memory.is_plain(type(target))
        return attribute(record, target, "value", f"{name}.contents.value") if held else target
    found = library_items.item(record, owner, key, name, text)
    if found is not library_items.UNKNOWN:
        return found
    if static.inherits(kind, ChainMap, "__getitem__"):
        return _chained_item(record, owner, key, name, text)
    if static.definer(kind, "__getitem__") is None and not static.is_a(owner, type):
        raise Absence(TypeError, f"{class_name(kind)!r} object is not subscriptable")
    reason = f"{class_name(kind)}.__getitem__ would run to read {text!r}"
    return record.computed(reason, lambda: owner[key], text, lambda: name if has_content(owner) else None)


def has_content(owner: Any) -> bool:
    """Tell whether `owner` holds, by itself or in what it wraps, the content that its methods give out."""
    return content.source_of(owner) is not None or is_wrapper(owner)


def is_ctypes_array(kind: type, *methods: str) -> bool:
    """Tell whether `kind` is a type of arrays made with ctypes that reads its items itself."""
    base = static.loaded_class("_ctypes", "Array")
    return base is not None and static.inherits(kind, base, "__getitem__", *methods)


def _is_mapped(kind: type, *methods: str) -> bool:
    """Tell whether `kind` is a type of memory-mapped files that has `methods` from C."""
    mapped = static.loaded_class("mmap", "mmap")
    return mapped is not None and static.inherits(kind, mapped, *methods)


def _ctypes_item(record: Record, owner: Any, key: Any, name: str, text: str) -> Any:
    held = memory.kind_of_item(type(owner))
    if memory.follows_pointer(held):
        reason = f"{text!r} points to a text that may be gone when it is looked at"
        return record.foreign(reason, lambda: owner[key])
    if memory.is_plain(held) and (type(key) in _INDEXES or type(key) is slice):
        _check_index(record, key, text, lambda: owner[key])
        record.content(owner, name)
        return attempt(lambda: owner[key])
    if type(key) in _INDEXES:
        return record.view(owner, key, lambda: owner[key])
    return record.foreign(f"{text!r} makes new objects each time", lambda: owner[key])


def _dict_item(record: Record, owner: Any, key: Any, name: str, text: str) -> Any:
    value = stored(record, owner, key, name, text)
    if value is not ABSENT:
        return value
    if static.inherits(type(owner), Counter, "__missing__"):
        return 0
    # A `__missing__`, that of defaultdict too, would store something: what is not there is absent.
    raise Absence(KeyError, text_of(key))


def stored(record: Record, owner: Any, key: Any, name: str, text: str) -> Any:
    """Return what the storage of a dict has under `key`, or `ABSENT`."""
    record.fresh = False
    if is_simple(key) and _has_plain_keys(owner):
        return record.look(DictItem(text, owner, key))
    check_hashable(key)
    storage = record.content(owner, name)
    return _scan(record, list(dict.items(storage)), key, name, run=lambda: dict.get(storage, key, ABSENT))


def check_hashable(value: Any) -> None:
    """Raise what hashing `value` would raise if it, or an item of it, has no hash."""
    pending = [value]
    while pending:
        one = pending.pop()
        found = static.find(type(one), "__hash__")
        if found is None or found[1] is None:
            raise Absence(TypeError, f"unhashable type: {class_name(type(one))!r}")
        if type(one) is tuple:
            pending.extend(one)


def _has_plain_keys(container: dict[Any, Any] | list[Any]) -> bool:
    """Tell whether finding a simple key among those of `container` runs no `__eq__` of the program's."""
    kind: Any = dict if static.is_a(container, dict) else list
    if kind.__len__(container) > MOST_KEYS:
        return True
    keys = list(static.each(kind, container))  # a copy, as other threads may change it meanwhile
    return SCALARS.covers(keys) or all(is_plain(key) for key in keys)


def _scan(record: Record, items: list[tuple[Any, Any]], key: Any, name: str, *, run: Callable[[], Any]) -> Any:
    """Return the value of `key`, comparing it with one key after the other: nothing is asked for its hash."""
    record.spend(len(items))
    doubtful = None
    key_is_plain = is_plain(key)
    for other, value in items:
        if other is key:
            return value
        if not key_is_plain or not is_plain(other):
            doubtful = other
        elif other == key:
            return value
    if not items or (key_is_plain and doubtful is None):
        return ABSENT
    method = comparing_method(type(key)) or comparing_method(type(doubtful)) or "__eq__"
    return record.foreign(f"{method} would run to find a key of {name!r}", run)


def _sequence_item(record: Record, owner: Any, key: Any, name: str, text: str) -> Any:
    kind = type(owner)
    if static.has_base(kind, list) and type(key) in _INDEXES:
        record.fresh = False
        value = record.look(ListItem(text, owner, int(key)))
        if value is ABSENT:
            raise Absence(IndexError, "list index out of range")
        return value
    _check_index(record, key, text, lambda: owner[key])
    source = note_content(record, owner, name)
    # An item of a tuple or deque is stored there; a slice, a character or a number is made.
    record.fresh = type(key) not in _INDEXES or not (static.has_base(kind, tuple) or static.has_base(kind, deque))
    value = attempt(lambda: source[key])
    if type(value) in _SLICED and type(key) is slice:
        record.spend(len(value))
        record.made(value)
    return value


def _check_index(record: Record, key: Any, text: str, run: Callable[[], Any]) -> None:
    """Refuse an index whose `__index__` would run."""
    for part in (key.start, key.stop, key.step) if type(key) is slice else (key,):
        if type(part) not in SCALARS and static.definer(type(part), "__index__") is not None:
            record.foreign(f"{class_name(type(part))}.__index__ would run to read {text!r}", run)


def _memory_item(record: Record, owner: Any, key: Any, name: str) -> Any:
    note_content(record, owner, name)
    if not is_simple(key) and type(key) is not slice:
        raise Absence(TypeError, "memoryview: invalid slice key")
    return attempt(lambda: owner[key])


def wrapped(record: Record, owner: Any, attribute: str, name: str) -> Any:
    """Return the container that one of the standard library's wrappers wraps."""
    attributes = static.instance_dict(owner)
    value = ABSENT if attributes is None else record.look(DictItem(f"{name}.{attribute}", attributes, attribute))
    if value is ABSENT:
        raise Absence(AttributeError, f"{class_name(type(owner))!r} object has no attribute {attribute!r}")
    return value


def _wrapped_item(record: Record, owner: Any, attribute: str, key: Any, name: str, *, text: str) -> Any:
    inner = wrapped(record, owner, attribute, name)
    if not static.inherits(type(owner), ENVIRON, "__getitem__"):
        return item(record, inner, key, name, text)
    if owner is getattr(os, "environb", None):
        return item(record, inner, key, name, text)
    if type(key) is not str:
        raise Absence(TypeError, "str expected")
    value = stored(record, inner, attempt(_encoded, key), name, text) if type(inner) is dict else ABSENT
    if value is ABSENT:
        raise Absence(KeyError, text_of(key))
    record.fresh = True
    return attempt(_decoded, value)


def _encoded(key: str) -> Any:
    """Return `key` as the storage of `os.environ` has it."""
    return key.upper() if os.name == "nt" else paths.encoded(key)


def _decoded(value: Any) -> str:
    return value if type(value) is str else paths.decoded(value)


def _chained_item(record: Record, owner: Any, key: Any, name: str, text: str) -> Any:
    for inner in _chained_maps(record, owner, name):
        if static.inherits(type(inner), dict, "__getitem__"):
            value = stored(record, inner, key, name, text)
            if value is not ABSENT:
                return value
        else:
            reason = f"{class_name(type(inner))}.__getitem__ would run to read {text!r}"
            return record.foreign(reason, lambda: owner[key])
    raise Absence(KeyError, text_of(key))


def _chained_maps(record: Record, owner: Any, name: str) -> list[Any]:
    maps = wrapped(record, owner, "maps", name)
    if type(maps) is not list:
        raise Absence(TypeError, "maps is not a list")
    return list(record.content(maps, f"{name}.maps"))


def plain_container(record: Record, value: Any, name: str, *methods: str) -> Any:
    """Return a builtin container with the elements of `value`, its content noted; `ABSENT` if it is of no such kind.

    Args:
        record: what takes the notes.
        value: a builtin container, a subclass that leaves `methods` as they are, or a wrapper of the standard library.
        name: what the user calls it.
        methods: the methods of its class that the operation would use.
    """
    kind = type(value)
    if kind in SIZED:
        return note_content(record, value, name)
    for base in SIZED.kinds:
        if static.inherits(kind, base, *methods):
            return note_content(record, value, name)
    if is_array(kind) and static.inherits(kind, static.loaded_class("array", "array"), *methods):
        return note_content(record, value, name)
    if kind is types.MappingProxyType:
        return plain_container(record, static.referent(value), name, *methods)
    for wrapper, holder in WRAPPERS:
        if static.inherits(kind, wrapper, *methods):
            inner = plain_container(record, wrapped(record, value, holder, name), name, *methods)
            if value is os.environ and type(inner) is dict:
                return {_decoded(key): _decoded(one) for key, one in dict.items(inner)}
            return inner
    if is_ctypes_array(kind, *methods) and memory.is_plain(memory.kind_of_item(kind)):
        return tuple(record.content(value, name)[:])
    if _is_mapped(kind, *methods):
        return record.content(value, name)[:]
    if static.inherits(kind, ChainMap, *methods):
        maps = [plain_container(record, one, name, *methods) for one in _chained_maps(record, value, name)]
        if all(type(one) is dict and SCALARS.covers(one) for one in maps):
            return {key: one for inner in reversed(maps) for key, one in dict.items(inner)}
    return ABSENT


def size(record: Record, value: Any, name: str) -> Any:
    """Return `len(value)`."""
    if arrays.is_array(value):
        container = arrays.look(record, value, name)
    else:
        container = plain_container(record, value, name, "__len__")
    record.fresh = True
    if container is not ABSENT:
        return attempt(len, container)
    length = library_items.size(record, value, name)
    if length is not None:
        record.fresh = True
        return length
    base = static.definer(type(value), "__len__")
    if base is None:
        raise Absence(TypeError, f"object of type {class_name(type(value))!r} has no len()")
    return record.foreign(f"{class_name(base)}.__len__ would run", lambda: len(value))


def is_true(record: Record, value: Any, name: str) -> bool:
    """Return the truth of `value`, its content noted where that decides."""
    if type(value) in SCALARS or value is ABSENT:
        return bool(value) if value is not ABSENT else False
    if type(value) is Lazy:
        return True
    if memory.is_numpy_data(value):
        return bool(arrays.operate(record, bool, (value,), (name,)))
    container = plain_container(record, value, name, "__len__", "__bool__")
    length = library_items.size(record, value, name) if static.definer(type(value), "__bool__") is None else None
    if length is not None:
        return length > 0
    try:
        return truth(value if container is ABSENT else container)
    except Refused as refused:
        reason = str(refused.args[0])
    return bool(record.foreign(reason, lambda: bool(value), "compare what it holds, such as 'x.count > 0'"))


def elements(record: Record, value: Any, name: str) -> Iterator[tuple[Any, str]]:
    """Yield each element of `value` with what the user would call it, one step of work each."""
    if type(value) is Lazy:
        for one in value.elements:
            record.spend(1)
            yield one, name
        return
    container = arrays.elements(record, value, name)
    if container is None:
        container = plain_container(record, value, name, "__iter__")
    if container is ABSENT:
        container = _foreign_elements(record, value, name)
    is_indexed = type(container) in _INDEXED
    # A copy, as the program may change it meanwhile; but a range is as long as it likes.
    source = container if type(container) in SCALARS else attempt(_copied, record, container)
    for index, one in enumerate(source):
        record.spend(1)
        yield one, f"{name}[{index}]" if is_indexed else name


def _copied(record: Record, container: Any) -> list[Any]:
    if len(container) > MOST_STEPS:
        record.spend(len(container))
    return list(container)


def _foreign_elements(record: Record, value: Any, name: str) -> Any:
    kind = type(value)
    if static.definer(kind, "__iter__") is None and static.definer(kind, "__getitem__") is None:
        raise Absence(TypeError, f"{class_name(kind)!r} object is not iterable")
    if static.definer(kind, "__next__") is not None:
        record.mutates(f"{name!r} is an iterator, which going through it would use up")
    reason = f"{class_name(kind)}.__iter__ would run"
    return record.foreign(reason, lambda: list(itertools.islice(value, MOST_STEPS + 1)))


def contains(record: Record, container: Any, value: Any, name: str, value_name: str) -> bool:
    """Return `value in container`."""
    kind = type(container)
    inner = container
    if static.inherits(kind, ENVIRON, "__contains__") and type(value) is str and container is os.environ:
        storage = wrapped(record, container, "_data", name)
        if type(storage) is dict:
            return stored(record, storage, attempt(_encoded, value), name, f"{name}[{value!r}]") is not ABSENT
    for wrapper, holder in WRAPPERS:
        is_plain_wrapper = wrapper is not ENVIRON or container is getattr(os, "environb", None)
        if is_plain_wrapper and static.inherits(kind, wrapper, "__contains__"):
            return contains(record, wrapped(record, container, holder, name), value, name, value_name)
    is_there = library_items.contains(record, container, value, name)
    if is_there is not None:
        record.fresh = True
        return is_there
    if static.inherits(kind, ChainMap, "__contains__"):
        inner = plain_container(record, container, name, "__contains__")
        kind = type(inner)
    if static.inherits(kind, dict, "__contains__"):
        return _is_key(record, inner, value, name)
    return _is_element(record, inner, value, name, value_name)


def _is_key(record: Record, container: Any, value: Any, name: str) -> bool:
    found = stored(record, container, value, name, f"{name}[{text_of(value) or '...'}]")
    record.fresh = True
    return found is not ABSENT


def _is_element(record: Record, container: Any, value: Any, name: str, value_name: str) -> bool:
    kind = type(container)
    for base in (str, bytes, bytearray, range):
        if not static.inherits(kind, base, "__contains__"):
            continue
        if type(value) in SCALARS or type(value) is bytearray:
            note_content(record, value, value_name)
            return bool(attempt(operator.contains, note_content(record, container, name), value))
        if base is str:
            raise Absence(TypeError, f"'in <string>' requires string as left operand, not {class_name(type(value))}")
        if base is not range and type(value) in SIZED and type(value) is not memoryview:
            raise Absence(TypeError, f"a bytes-like object is required, not {class_name(type(value))!r}")
        if base is not range:
            return bool(record.foreign(f"'in' would read the memory of {value_name!r}", lambda: value in container))
    for unordered in (set, frozenset):
        if static.inherits(kind, unordered, "__contains__"):
            return _is_member(record, container, unordered, value, name)
    base_or_none = static.definer(kind, "__contains__")
    is_known = base_or_none in SIZED or base_or_none is static.loaded_class("array", "array")
    if base_or_none is not None and not is_known:
        return bool(record.foreign(f"{class_name(base_or_none)}.__contains__ would run", lambda: value in container))
    for one, _ in elements(record, container, name):
        if one is value:
            return True
        method = obstacle(record, one, name, comparing_method) or obstacle(record, value, value_name, comparing_method)
        if method is not None:
            return bool(record.foreign(f"{method} would run to look in {name!r}", lambda: value in container))
        if attempt(operator.eq, one, value):
            return True
    return False


def _is_member(record: Record, container: Any, base: Any, value: Any, name: str) -> bool:
    members = list(static.each(base, note_content(record, container, name)))
    if type(value) is set:  # looked for as the frozenset of the same members
        value = frozenset(value)
    check_hashable(value)
    if is_simple(value) and _has_plain_keys(members):
        return bool(attempt(base.__contains__, container, value))
    items = [(one, one) for one in members]
    return _scan(record, items, value, name, run=lambda: value if value in container else ABSENT) is not ABSENT
