"""Texts of what the standard library and numpy keep data in: wrappers, files in memory, views, ctypes, arrays."""

from __future__ import annotations

from collections import ChainMap, OrderedDict, UserDict, UserList, UserString
from collections.abc import Callable, Iterable

from stopwhen import memory, paths, static, tables
from stopwhen.originals import os, types, use_original_builtins, weakref
from stopwhen.type_hints import Any, Final, Protocol
from stopwhen.types import ABSENT

use_original_builtins(globals())

_HEAD: Final = 10  # Items, in each direction, of an array that are shown.
_BYTES: Final = 200  # Bytes of memory that are looked at.
ENVIRON: Final[type] = type(os.environ)


class Writer(Protocol):
    """What these texts are made with: see texts.py."""

    def text(self, value: object, room: int, depth: int) -> str:
        """Return the text of `value`, of about `room` characters."""

    def nested(
        self,
        value: object,
        opening: str,
        items: Iterable[Any],
        length: int,
        close: str,
        *,
        show: Callable[[Any, int, int], str],
        room: int,
        depth: int,
    ) -> str:
        """Return the text of a container of `length`, the first few of its `items` shown by `show`."""

    def field(self, item: tuple[str, object], room: int, depth: int) -> str:
        """Return `name=value`."""


def _named(value: Any, kind: type, name: str, content: str) -> str:
    """Return `name(content)`; only the content for a subclass, whose own name will be put around it."""
    return f"{name}({content})" if type(value) is kind else content


def wrapper(writer: Writer, value: Any, kind: Any, room: int, depth: int) -> str:
    """Return the text of a UserDict, UserList or UserString."""
    name = static.class_name(kind)
    data = dict.get(static.instance_dict(value) or {}, "data")
    return _named(value, kind, name, writer.text(data, room - len(name) - 2, depth))


def weak(writer: Writer, value: Any, kind: Any, room: int, depth: int) -> str:
    """Return the text of a weak container: of what it refers to that is still alive."""
    name = static.class_name(kind)
    data = dict.get(static.instance_dict(value) or {}, "data")
    if type(data) is set:
        shown: Any = {id(one): one() for one in list(data) if type(one) is weakref.ref}
        inner = writer.nested(value, "{", dict.values(shown), len(shown), "}", show=writer.text, room=room, depth=depth)
        return _named(value, kind, name, inner)
    pairs = [tuple(map(_referent, pair)) for pair in list(dict.items(data))] if type(data) is dict else []
    inner = writer.nested(
        *(value, "{", pairs, len(pairs), "}"),
        show=lambda pair, space, level: ": ".join(writer.text(one, space // 2, level) for one in pair),
        room=room - len(name) - 2,
        depth=depth,
    )
    return _named(value, kind, name, inner)


def _referent(value: Any) -> Any:
    """Return what a weak reference refers to, and any other value itself."""
    is_reference = static.is_a(value, weakref.ref) and static.definer(type(value), "__call__") is weakref.ref
    return value() if is_reference else value


def reference(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of a weak reference."""
    if static.definer(type(value), "__call__") is not weakref.ref:
        return "<weak reference>"
    target = value()
    if target is None:
        return "<dead weak reference>"
    return f"<weak reference to {writer.text(target, room - 20, depth + 1)}>"


def options(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of a ConfigParser: its defaults, if there are any, and its sections."""
    attributes = static.instance_dict(value) or {}
    defaults, sections = dict.get(attributes, "_defaults"), dict.get(attributes, "_sections")
    title = dict.get(attributes, "default_section")
    if type(defaults) is dict and defaults and type(sections) is dict:
        sections = {title if type(title) is str else "DEFAULT": defaults, **sections}
    return f"{static.class_name(type(value))}({writer.text(sections, room - 14, depth)})"


def headers(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of an email message: its headers and what it carries."""
    attributes = static.instance_dict(value) or {}
    name = static.class_name(type(value))
    shown = [(one, dict.get(attributes, f"_{one}")) for one in ("headers", "payload")]
    return writer.nested(
        value, f"{name}(", shown, len(shown), ")", show=writer.field, room=room - len(name), depth=depth
    )


def chain(writer: Writer, value: Any, kind: Any, room: int, depth: int) -> str:
    """Return the text of a ChainMap."""
    maps = dict.get(static.instance_dict(value) or {}, "maps")
    if type(maps) is not list:
        return _named(value, kind, "ChainMap", writer.text(maps, room, depth))
    inner = writer.nested(value, "", maps, len(maps), "", show=writer.text, room=room - 10, depth=depth)
    return _named(value, kind, "ChainMap", inner)


def environment(writer: Writer, value: Any, kind: Any, room: int, depth: int) -> str:
    """Return the text of `os.environ`."""
    data = dict.get(static.instance_dict(value) or {}, "_data")
    if type(data) is dict and value is os.environ:
        shown = {_decoded(key): _decoded(one) for key, one in list(dict.items(data))[: _HEAD + 1]}
        inner = writer.nested(
            *(value, "{", dict.items(shown), len(data), "}"),
            show=lambda item, space, level: f"{item[0]!r}: {writer.text(item[1], space, level)}",
            room=room - 9,
            depth=depth,
        )
    else:
        inner = writer.text(data, room, depth)
    return _named(value, kind, "environ", inner)


def _decoded(value: Any) -> Any:
    return paths.decoded(value) if type(value) is bytes else value


def proxy(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of a mapping proxy."""
    return f"mappingproxy({writer.text(static.referent(value), room - 14, depth)})"


_READ: Final[dict[str, Any]] = {"keys": dict.keys, "values": dict.values, "items": dict.items}


def view(writer: Writer, value: Any, kind: Any, room: int, depth: int) -> str:
    """Return the text of a live view of a dict."""
    owner, name = static.referent(value), static.class_name(kind)
    read: Callable[[Any], Iterable[Any]] = _READ[name.rpartition("_")[2]]
    room -= len(name) + 2
    items, length = read(owner), dict.__len__(owner)
    return writer.nested(value, f"{name}([", items, length, "])", show=writer.text, room=room, depth=depth)


def namespace(writer: Writer, value: Any, kind: Any, room: int, depth: int) -> str:
    """Return the text of a SimpleNamespace."""
    attributes = static.instance_dict(value) or {}
    opening, close = ("namespace(", ")") if type(value) is kind else ("", "")
    items = dict.items(attributes)
    return writer.nested(
        value, opening, items, dict.__len__(attributes), close, show=writer.field, room=room, depth=depth
    )


def cell(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of a variable that functions share."""
    try:
        return f"<cell: {writer.text(value.cell_contents, room - 8, depth)}>"
    except ValueError:
        return "<cell: empty>"


def file(writer: Writer, value: Any, kind: Any, room: int, depth: int) -> str:
    """Return the text of a BytesIO or StringIO: all that has been written."""
    name = static.class_name(kind)
    if kind.closed.__get__(value):
        return f"<closed {name}>"
    return _named(value, kind, name, writer.text(kind.getvalue(value), room - len(name) - 2, depth))


def mapped(writer: Writer, value: Any, kind: Any, room: int, depth: int) -> str:
    """Return the text of a memory-mapped file."""
    if kind.closed.__get__(value):
        return "<closed mmap>"
    length = kind.__len__(value)
    if memory.is_cut_short(value):
        return "<mmap longer than what it maps>"
    return _named(value, kind, "mmap", _cut(writer, kind.__getitem__(value, slice(0, _BYTES)), length, room, depth))


def _cut(writer: Writer, head: Any, length: int, room: int, depth: int) -> str:
    text = writer.text(bytes(head), room - 26, depth)
    return text if len(head) == length else f"{text}, ... {length - len(head)} more bytes"


def memory_view(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of a memoryview: its bytes, or its items where these are numbers."""
    try:
        length = value.nbytes
    except ValueError:
        return "<released memoryview>"
    if value.ndim == 1 and value.format != "B" and value.contiguous:
        items = value[:_HEAD].tolist()
        return writer.nested(value, "memoryview([", items, len(value), "])", show=writer.text, room=room, depth=depth)
    head = value[:_BYTES].tobytes() if value.ndim == 1 else value.tobytes()[:_BYTES] if length <= 10_000 else b""
    return f"memoryview({_cut(writer, head, length, room, depth)})"


def structure(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of the fields of a ctypes object."""
    fields = memory.fields_in(value, memory.bytes_of(value)) or []
    return writer.nested(value, "", fields, len(fields), "", show=writer.field, room=room, depth=depth)


def simple(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of what a ctypes number or pointer holds."""
    (_name, held), *_ = memory.fields_in(value, memory.bytes_of(value)) or [("", None)]
    return writer.text(held, room, depth)


def ctypes_array(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of an array made with ctypes."""
    length = memory.length_of(value)
    items = memory.head_of(value, _BYTES)
    if type(items) is bytes:
        return _cut(writer, items, length, room, depth)
    return writer.nested(value, "[", items, length, "]", show=writer.text, room=room, depth=depth)


_KINDS: Final = {
    "b": "bool",
    "i": "int",
    "u": "uint",
    "f": "float",
    "c": "complex",
    "O": "object",
    "S": "bytes",
    "U": "str",
    "V": "void",
    "M": "datetime",
    "m": "timedelta",
}


def _name_of_dtype(dtype: Any) -> str:
    """Return the name of a dtype; numpy's own is made by functions in Python."""
    if dtype.names:
        return str(dtype.str)
    name = _KINDS.get(dtype.kind)
    if name is None:
        return static.class_name(type(dtype))
    has_size = dtype.kind not in "bO" and dtype.itemsize
    unit = f"[{dtype.str.partition('[')[2]}" if "[" in dtype.str else ""
    return f"{name}{dtype.itemsize * 8 if has_size else ''}{unit}"


def array(writer: Writer, value: Any, kind: Any, room: int, depth: int) -> str:
    """Return the text of an array of numpy: its first items, and its shape where it has not one dimension."""
    dtype, shape = memory.dtype_of(value), kind.shape.__get__(value)
    about = f", dtype={writer.text(_name_of_dtype(dtype), 40, depth).strip(chr(39))}"
    if len(shape) > 1:
        about = f", shape={shape!r}{about}"
    head = _corner(kind, value, len(shape))
    room -= len(about) + 7
    if len(shape) == 1:
        text = writer.nested(value, "[", head, shape[0], "]", show=writer.text, room=room, depth=depth)
    else:
        text = writer.text(head, room, depth)
    return f"array({text}{about})" if type(value) is kind else f"{text}{about}"


def _corner(kind: Any, value: Any, dimensions: int) -> Any:
    if dimensions == 0:
        return kind.item(value)
    corner = kind.__getitem__(value, (slice(0, _HEAD),) * min(dimensions, 3) + (0,) * max(dimensions - 3, 0))
    return kind.tolist(corner) if static.is_a(corner, kind) else corner


def scalar(writer: Writer, value: Any, kind: Any, room: int, depth: int) -> str:
    """Return the text of a number of numpy."""
    held = kind.item(value)
    return writer.text(held, room, depth) if type(held) is not type(value) else kind.__repr__(value)


def dtype(_writer: Writer, value: Any, _kind: Any, _room: int, _depth: int) -> str:
    """Return the name of a type of numpy's items."""
    return repr(value.str if value.names else value.name)


def address(_writer: Writer, value: Any, _kind: Any, _room: int, _depth: int) -> str:
    """Return where a pointer points."""
    return repr(value)


def table(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of a DataFrame or Series of pandas: the first values of its columns."""
    rows = tables.length_of(value)
    name = static.class_name(type(value))
    columns = list(tables.columns_of(value, _HEAD + 1))

    index = tables.index_of(value)
    more = [] if index is None else [("index", tables.labels_in(index))]
    title = dict.get(static.instance_dict(value) or {}, "_name")
    more += [] if title is None else [("name", title)]

    def show(item: tuple[Any, list[Any]], space: int, level: int) -> str:
        label, values = item
        if any(item is one for one in more):
            return f"{label}={writer.text(values, space - 6, level)}"
        title = "" if label is ABSENT else f"{writer.text(label, 40, level)}: "
        return title + writer.nested(
            *(values, "[", values, max(rows, len(values)), "]"),
            show=writer.text,
            room=space - len(title),
            depth=level,
        )

    columns += more
    return writer.nested(value, f"{name}(", columns, len(columns), ")", show=show, room=room, depth=depth)


def labels(writer: Writer, value: Any, _kind: Any, room: int, depth: int) -> str:
    """Return the text of an Index of pandas."""
    name = static.class_name(type(value))
    found = tables.labels_in(value)
    return writer.nested(value, f"{name}([", found, len(found), "])", show=writer.text, room=room, depth=depth)


def of_library(value: Any) -> Show | None:
    """Return what makes the text of a table or labels of pandas, of options or an email message; None for all else."""
    for module, name, show in (("configparser", "RawConfigParser", options), ("email.message", "Message", headers)):
        base = static.loaded_class(module, name)
        if base is not None and static.is_a(value, base):
            return show
    if tables.is_table(value) and tables.manager_of(value) is not None:
        return table
    return labels if tables.is_labels(value) else None


Show = Callable[[Any, Any, Any, int, int], str]

BY_CLASS: Final[tuple[tuple[type, Show], ...]] = (
    (UserDict, wrapper),
    (UserList, wrapper),
    (UserString, wrapper),
    (ChainMap, chain),
    (weakref.WeakSet, weak),
    (weakref.WeakKeyDictionary, weak),
    (weakref.WeakValueDictionary, weak),
    (weakref.ref, reference),
    (ENVIRON, environment),
    (types.MappingProxyType, proxy),
    *((type(make({})), view) for make in (dict.keys, dict.values, dict.items)),
    *((type(make(OrderedDict())), view) for make in (OrderedDict.keys, OrderedDict.values, OrderedDict.items)),
    (types.SimpleNamespace, namespace),
    (types.CellType, cell),
    (memoryview, memory_view),
    (memory.Address, address),
)

BY_NAME: Final[dict[str, Show]] = {
    "_io.BytesIO": file,
    "_io.StringIO": file,
    "mmap.mmap": mapped,
    "_ctypes.Structure": structure,
    "_ctypes.Union": structure,
    "_ctypes._SimpleCData": simple,
    "_ctypes._Pointer": simple,
    "_ctypes.Array": ctypes_array,
    "numpy.ndarray": array,
    "numpy.generic": scalar,
    "numpy.dtype": dtype,
}
"""By the name of a class in C, of a module that the program may never import."""
