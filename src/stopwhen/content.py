"""The kinds of content that an object itself can hold, and where each is read without running the program's code."""

from __future__ import annotations

from collections import deque

from stopwhen import static
from stopwhen.immutable import Immutable
from stopwhen.originals import enum, io, sys, types, use_original_builtins
from stopwhen.type_hints import Any

use_original_builtins(globals())


class Kind(enum.Enum):
    """What the content of an object is; the value is what it is compared by, for messages."""

    __hash__ = object.__hash__  # that of Enum is in Python

    ITEMS = "list"
    ENTRIES = "dict"
    MEMBERS = "set"
    BYTES = "bytearray"
    QUEUE = "deque"
    MEMORY = "memory"
    OBJECTS = "memory that refers to objects"
    WRITTEN = "what has been written"


class Source(Immutable):
    """Where the content of an object is read: a class in C, or the method of one that returns it."""

    kind: Kind
    reader: Any


_CONTAINERS: tuple[tuple[type, Kind], ...] = (
    (list, Kind.ITEMS),
    (dict, Kind.ENTRIES),
    (set, Kind.MEMBERS),
    (bytearray, Kind.BYTES),
    (deque, Kind.QUEUE),
)

_FILES: tuple[tuple[type, Any], ...] = ((io.BytesIO, io.BytesIO.getvalue), (io.StringIO, io.StringIO.getvalue))

MOST_KEPT = 1 << 24
"""Bytes of memory of which a copy is kept; of more, only a fingerprint. The same in _core/memory.c."""


def source_of(owner: Any) -> Source | None:
    """Return what the content of `owner` itself is; None where it has none that could be compared.

    Attributes are not meant: those are the content of the dict in which an object keeps them.
    """
    kind = type(owner)
    for base, found in _CONTAINERS:
        if static.has_base(kind, base):
            return Source(found, base)
    for base, getvalue in _FILES:
        if static.has_base(kind, base):
            return None if _is_closed(base, owner) else Source(Kind.WRITTEN, getvalue)
    return _memory_of(owner)


def _is_closed(base: Any, owner: Any) -> bool:
    return bool(base.closed.__get__(owner))


def _memory_of(owner: Any) -> Source | None:
    """Return the class in C that gives out the memory of `owner`, where that can change."""
    kind = type(owner)
    base = _exporter_of(kind)
    if base is None:
        return None
    array = static.loaded_class("numpy", "ndarray")
    if array is not None and static.has_base(kind, array):  # its items may be of a format that Python does not know
        return Source(Kind.OBJECTS if array.dtype.__get__(owner).kind == "O" else Kind.MEMORY, base)
    try:
        with memoryview(owner) as memory:
            # Another view may be writable where this one is not.
            is_constant = type(memory.obj) is bytes if kind is memoryview else memory.readonly
    except Exception:  # closed, released, or not to be had
        return None
    return None if is_constant else Source(Kind.MEMORY, base)


def _exporter_of(kind: type) -> type | None:
    """Return the class whose C code gives out the memory of instances of `kind`; None where there is none."""
    if static.has_base(kind, bytes):
        return None
    if sys.version_info < (3, 12):  # only C code can
        return kind
    found = static.find(kind, "__buffer__")
    return found[0] if found is not None and type(found[1]) is types.WrapperDescriptorType else None
