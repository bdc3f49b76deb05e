"""Bounded, safe texts of values: no user code is run, and a list of a million items costs as much as one of ten."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import chain, islice
from types import (
    BuiltinFunctionType,
    FunctionType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)

from stopwhen import library_texts
from stopwhen.immutable import Immutable
from stopwhen.originals import enum, use_original_builtins
from stopwhen.paths import SEPARATOR, join
from stopwhen.static import each, find, instance_dict, is_a, loaded_class, module_dict, mro, slot_value, slots
from stopwhen.type_hints import Any, Final
from stopwhen.types import ABSENT

use_original_builtins(globals())

_ATTRIBUTES: Final = 1000  # Attributes of an object, of which a few are shown.
_ITEMS: Final = 10  # Items of one container that are shown.
_DEPTH: Final = 3  # Containers within containers that are walked.
_LEAST: Final = 24  # Characters that an item gets, however little room is left.
_SORTED: Final = 200  # Members of a set that are sorted for a stable text.
_ORDERED: Final = 1000  # Keys of an OrderedDict that are looked at to show its own order.
_DIGITS: Final = 600  # No interpreter setting refuses an int of so few digits.

_SMALL: Final = 10**9

_MISSING: Final = object()
_MADE_IN_C: Final = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: no class statement makes a type that has it.

# The getters of `type` itself: reading through the class would run the code of its metaclass.
_flags: Final[Callable[[type], int]] = type.__dict__["__flags__"].__get__
_name: Final[Callable[[type], Any]] = type.__dict__["__name__"].__get__
_qualname: Final[Callable[[type], Any]] = type.__dict__["__qualname__"].__get__
_module: Final[Callable[[type], Any]] = type.__dict__["__module__"].__get__
_class_dict: Final[Callable[[type], Any]] = type.__dict__["__dict__"].__get__


class Text(Immutable):
    """Stands for a value that is not kept: its repr is the text that was made of it."""

    text: str

    def __repr__(self) -> str:
        return self.text


def text_of(value: object, limit: int = 200) -> str:
    """Return a text of `value` of at most `limit` printable characters, made without running user code.

    Exact builtin values look as in Python; what is left out is counted.
    """
    text = _text_of_small(value)
    if text is not None and len(text) <= limit:
        return text
    try:
        text = _Writer().text(value, limit, 0)
    except Exception:  # another thread may change what is being read
        text = _address(value)
    text = clean(text)
    return text if len(text) <= limit else text[: max(limit - 3, 0)] + "..."


def _text_of_small(value: Any) -> str | None:
    """Return the text of a number or text that is never cut, whatever the room; None for anything else."""
    kind = type(value)
    if kind is bool or value is None:
        return repr(value)
    if kind is int:
        return int.__repr__(value) if -_SMALL < value < _SMALL else None
    if kind is float:
        return float.__repr__(value)
    if kind is str and len(value) <= _LEAST // 2 and value.isprintable():
        return repr(value)
    return None


def clean(text: str) -> str:
    """Return `text` with all that a terminal could obey, or cannot show, written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def class_name(cls: type) -> str:
    """Return `module.Class`, without the module for builtins, as the type stores it."""
    module, qualname = plain_str(_module(cls)), plain_str(_qualname(cls)) or "?"
    return qualname if module is None or module == "builtins" else f"{module}.{qualname}"


def short_class_name(cls: type) -> str:
    """Return `Class`, as the type stores it."""
    return plain_str(_name(cls)) or "?"


def plain_str(value: object) -> str | None:
    """Return `value` as an exact str, also one of a subclass; None when it is no str."""
    if type(value) is str:
        return value
    return str.__str__(value) if is_a(value, str) else None


def own_entry(cls: type, name: str) -> Any:
    """Return what the class itself, not a base of it, stores under `name`, unbound; None when it stores nothing."""
    return _class_dict(cls).get(name)


def _entry(cls: type, name: str) -> Any:
    """Return what `cls` or the first of its bases stores under `name`, unbound, else `_MISSING`."""
    found = find(cls, name)
    return _MISSING if found is None else found[1]


def _stored(value: object, name: str) -> object:
    """Return the attribute `name` of an instance, or `_MISSING` where it has none or reading it could run code."""
    entry = _entry(type(value), name)
    if type(entry) is not MemberDescriptorType:
        hooks = ("__get__", "__set__", "__delete__")
        if any(_entry(type(entry), hook) is not _MISSING for hook in hooks):
            return _MISSING
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return _MISSING


def _address(value: object) -> str:
    return f"<{class_name(type(value))} object at {id(value):#x}>"


class _Writer:
    """Makes one text; knows the containers it is inside of, so that a cycle ends."""

    def __init__(self) -> None:
        self._inside: set[int] = set()

    def text(self, value: object, room: int, depth: int) -> str:
        """Return the text of `value`, of about `room` characters at most."""
        cls = type(value)
        if value is ABSENT:
            return "absent"
        small = _text_of_small(value)
        if small is not None and len(small) <= room:
            return small
        # By id: looking a class up in a dict would run the `__hash__` of its metaclass.
        if id(cls) in _CONTENT:
            return _CONTENT[id(cls)](self, value, cls, room, depth)
        if id(cls) in _WHOLE:
            return _WHOLE[id(cls)](self, value, room, depth)
        bases = mro(cls)
        if any(base is enum.Enum for base in bases):
            return self._enum_member(value, room, depth)
        show = library_texts.of_library(value)
        if show is not None:
            return show(self, value, cls, room, depth)
        fields = _fields(value, cls)
        if fields is not None:
            name = short_class_name(cls)
            return self.nested(value, f"{name}(", *fields, ")", show=self.field, room=room, depth=depth)
        for base in bases:
            whole = _WHOLE.get(id(base))
            if whole is not None:
                return whole(self, value, room, depth)
            content = _CONTENT.get(id(base))
            if content is None and _is_known(base):
                content = _CONTENT_BY_NAME.get(class_name(base))
            if content is None:
                continue
            if base is cls:
                return content(self, value, base, room, depth)
            name = short_class_name(cls)
            text = f"{name}({content(self, value, base, max(room - len(name) - 2, _LEAST), depth)})"
            if not _flags(base) & _MADE_IN_C:  # what it stores is what has been shown
                return text
            return self._with_attributes(value, text, ")", room=room, depth=depth)
        return self._with_attributes(value, _address(value), ">", room=room, depth=depth)

    def _with_attributes(self, value: object, text: str, close: str, *, room: int, depth: int) -> str:
        """Return the text of an object with its attributes before the `close`, where it is what the text is about."""
        attributes = instance_dict(value) if depth == 0 else None
        items = [*dict.items(attributes)] if attributes and dict.__len__(attributes) <= _ATTRIBUTES else []
        if depth == 0:
            items += [(name, slot_value(value, slot)) for name, slot in slots(type(value))]
        named = [(name, one) for name, one in items if type(name) is str and one is not ABSENT]
        if not named:
            return text
        opening = f"{text.removesuffix(close)}, "
        return self.nested(value, opening, named, len(named), close, show=self.field, room=room, depth=depth)

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
        if id(value) in self._inside:
            return f"{opening}...{close}"
        if depth >= _DEPTH and length:
            return f"{opening}... {length} more{close}"
        self._inside.add(id(value))
        left = room - len(opening) - len(close)
        share = left if length == 1 else left // 2
        texts: list[str] = []
        for item in list(islice(chain.from_iterable((items,)), _ITEMS)):  # one step, as in `each`
            text = show(item, max(min(share, left), _LEAST), depth + 1)
            left -= len(text) + 2
            note = 12 if len(texts) + 1 < length else 0  # Room for "... N more".
            if texts and left < note:
                break
            texts.append(text)
        self._inside.discard(id(value))
        if len(texts) < length:
            texts.append(f"... {length - len(texts)} more")
        return f"{opening}{', '.join(texts)}{close}"

    def _pair(self, item: tuple[object, object], room: int, depth: int) -> str:
        key = self.text(item[0], max(room // 2, _LEAST), depth)
        return f"{key}: {self.text(item[1], max(room - len(key) - 2, _LEAST), depth)}"

    def field(self, item: tuple[str, object], room: int, depth: int) -> str:
        name, value = item
        text = "absent" if value is _MISSING else self.text(value, max(room - len(name) - 1, _LEAST), depth)
        return f"{name}={text}"

    def _enum_member(self, value: object, room: int, depth: int) -> str:
        name = plain_str(_stored(value, "_name_"))
        if name is not None:
            return f"{short_class_name(type(value))}.{name[:room]}"
        number = _stored(value, "_value_")
        if number is _MISSING:
            return _address(value)
        return f"{short_class_name(type(value))}({self.text(number, room, depth + 1)})"

    def integer(self, value: Any, _kind: type, room: int, _depth: int) -> str:
        bits = int.bit_length(value)
        return f"<int of {bits} bits>" if bits > 3 * min(room, _DIGITS) else int.__repr__(value)

    def number(self, value: Any, kind: Any, _room: int, _depth: int) -> str:
        return str(kind.__repr__(value))

    def cut(self, value: Any, kind: Any, room: int, _depth: int) -> str:
        """Return the text of a str, bytes or bytearray, the middle left out of a long one."""
        length = kind.__len__(value)
        unit = "characters" if kind is str else "bytes"
        note = f" ({length} {unit})"
        shown = min(length, max(room, 2))
        while True:
            if shown == length:
                text = repr(kind.__getitem__(value, slice(None)))
            else:
                head = kind.__getitem__(value, slice(0, shown - shown // 3))
                tail = kind.__getitem__(value, slice(length - shown // 3, length))
                text = repr(head + ("..." if kind is str else b"...") + tail) + note
            if len(text) <= room or shown <= 1:
                return text
            # Escapes take several characters each, so the proportion tells how many can stay.
            frame = len(note) + 6
            shown = max(min(shown - 1, shown * max(room - frame, 1) // max(len(text) - frame, 1)), 1)

    def sequence(self, value: Any, kind: Any, room: int, depth: int) -> str:
        """Return the text of a list or tuple."""
        length = kind.__len__(value)
        opening, close = ("[", "]") if kind is list else ("(", ",)" if length == 1 else ")")
        return self.nested(value, opening, each(kind, value), length, close, show=self.text, room=room, depth=depth)

    def queue(self, value: Any, kind: Any, room: int, depth: int) -> str:
        most = own_entry(kind, "maxlen").__get__(value)
        close = "])" if most is None else f"], maxlen={most})"
        return self.nested(
            value, "deque([", each(kind, value), kind.__len__(value), close, show=self.text, room=room, depth=depth
        )

    def array(self, value: Any, kind: Any, room: int, depth: int) -> str:
        opening = f"array({own_entry(kind, 'typecode').__get__(value)!r}, ["
        items = kind.__getitem__(value, slice(0, _ITEMS))
        return self.nested(value, opening, items, kind.__len__(value), "])", show=self.text, room=room, depth=depth)

    def members(self, value: Any, kind: Any, room: int, depth: int) -> str:
        """Return the text of a set or frozenset."""
        length = kind.__len__(value)
        items: Iterable[Any] = each(kind, value)
        if length <= _SORTED:
            items = list(items)
            if all(type(item) is str for item in items) or all(type(item) is int for item in items):
                items.sort()
        opening, close = ("{", "}") if kind is set and length else (f"{kind.__name__}(", ")")
        if kind is frozenset and length:
            opening, close = "frozenset({", "})"
        return self.nested(value, opening, items, length, close, show=self.text, room=room, depth=depth)

    def mapping(self, value: Any, _kind: type, room: int, depth: int) -> str:
        items = dict.items(value)
        return self.nested(value, "{", items, dict.__len__(value), "}", show=self._pair, room=room, depth=depth)

    def ordered(self, value: Any, kind: Any, room: int, depth: int) -> str:
        """Return the text of an OrderedDict, in its own order where walking that runs no `__hash__` of the user's."""
        items: Iterable[Any] = dict.items(value)
        length = dict.__len__(value)
        if length <= _ORDERED and all(type(key) is str or type(key) is int for key in list(dict.keys(value))):
            items = kind.items(value)
        return self.nested(value, "OrderedDict({", items, length, "})", show=self._pair, room=room, depth=depth)

    def decimal(self, value: Any, kind: Any, room: int, _depth: int) -> str:
        size = kind.__sizeof__(value)
        return f"<Decimal of {size} bytes>" if size > 104 + room // 3 else str(kind.__repr__(value))

    def moment(self, value: Any, kind: Any, room: int, depth: int) -> str:
        """Return the text of a date, time, datetime or timedelta; a time zone may be an object of the user's."""
        text = repr(kind(*(getattr(kind, name).__get__(value) for name in _MOMENTS[class_name(kind)])))
        zone = kind.tzinfo.__get__(value) if hasattr(kind, "tzinfo") else None
        return text if zone is None else f"{text[:-1]}, tzinfo={self.text(zone, max(room - len(text), _LEAST), depth)})"

    def zone(self, value: Any, kind: Any, _room: int, _depth: int) -> str:
        offset = kind.utcoffset(value, None)
        return f"datetime.timezone({offset!r})" if offset else "datetime.timezone.utc"

    def path(self, value: Any, _kind: type, room: int, depth: int) -> str:
        text = _path_text(value)
        return "..." if text is None else self.text(text, room, depth)

    def span(self, value: Any, kind: type, room: int, depth: int) -> str:
        """Return the text of a range or slice."""
        parts = [value.start, value.stop, value.step]
        if kind is range and parts[2] == 1:
            del parts[2]
        return self.nested(value, f"{kind.__name__}(", parts, len(parts), ")", show=self.text, room=room, depth=depth)

    def exception(self, value: Any, room: int, depth: int) -> str:
        args = own_entry(BaseException, "args").__get__(value)
        opening = f"{short_class_name(type(value))}("
        return self.nested(value, opening, args, len(args), ")", show=self.text, room=room, depth=depth)

    def function(self, value: Any, _room: int, _depth: int) -> str:
        module = plain_str(value.__module__)
        name = plain_str(value.__qualname__)
        return f"<function {name if module is None else f'{module}.{name}'} at {id(value):#x}>"

    def method(self, value: Any, room: int, depth: int) -> str:
        function = value.__func__
        name = plain_str(function.__qualname__) if type(function) is FunctionType else self.text(function, room, depth)
        return f"<bound method {name} of {_address(value.__self__)}>"

    def class_(self, value: Any, _room: int, _depth: int) -> str:
        return f"<class {class_name(value)!r}>"

    def module(self, value: Any, _room: int, _depth: int) -> str:
        return f"<module {plain_str(dict.get(module_dict(value), '__name__'))!r}>"

    def own_repr(self, value: Any, _room: int, _depth: int) -> str:
        """Return the repr of an object whose type's repr looks at nothing but names made in C."""
        return repr(value)


def _is_known(base: type) -> bool:
    """Tell that `base` is the class its name says: a user's class may bear the name of a standard one.

    The pathlib classes are Python's, not C's; of those only plain stored attributes are read.
    """
    return bool(_flags(base) & _MADE_IN_C) or class_name(base) in _PATHS


def _fields(value: object, cls: type) -> tuple[Iterable[tuple[str, object]], int] | None:
    """Return names with values of a namedtuple or dataclass, and their number; None when it is neither."""
    names = _entry(cls, "_fields")
    if type(names) is tuple and is_a(value, tuple):
        items: Any = tuple.__iter__(value)  # type: ignore[arg-type]  # a tuple by the line above
        named = zip(names, items, strict=False)
        return ((plain_str(name) or "?", item) for name, item in named), min(len(names), tuple.__len__(value))  # type: ignore[arg-type]
    declared = _entry(cls, "__dataclass_fields__")
    if type(declared) is not dict:
        return None
    shown = [name for name, field in dict.items(declared) if type(name) is str and _is_shown(field)]
    return ((name, _stored(value, name)) for name in shown), len(shown)


def _is_shown(field: object) -> bool:
    """Tell that the dataclass itself would show the field; a ClassVar is listed but is none."""
    if type(field) is not loaded_class("dataclasses", "Field"):
        return False
    # There is no public word for what a field is.
    return field.repr is True and field._field_type is loaded_class("dataclasses", "_FIELD")  # type: ignore[attr-defined]  # noqa: SLF001


def _path_text(value: object) -> str | None:
    """Return the text of a pathlib path from what it stores; `str(path)` would store more into it."""
    made = plain_str(_stored(value, "_str"))
    if made is not None:
        return made
    raw = _stored(value, "_raw_paths")  # 3.12 and later.
    if type(raw) is list and all(type(part) is str for part in raw):
        return join(*raw) if raw else "."
    anchor = [plain_str(_stored(value, name)) for name in ("_drv", "_root")]
    parts = _stored(value, "_parts")  # 3.11: the anchor is the first of them.
    if type(parts) is not list or None in anchor or not all(type(part) is str for part in parts):
        return None
    start = "".join(part for part in anchor if part)
    return start + SEPARATOR.join(parts[1:] if start else parts) or "."


_Content = Callable[[_Writer, Any, Any, int, int], str]
_Whole = Callable[[_Writer, Any, int, int], str]

_WHOLE: Final[dict[int, _Whole]] = {
    id(cls): show
    for cls, show in {
        type: _Writer.class_,
        ModuleType: _Writer.module,
        FunctionType: _Writer.function,
        MethodType: _Writer.method,
        BaseException: _Writer.exception,
        BuiltinFunctionType: _Writer.own_repr,
        MethodDescriptorType: _Writer.own_repr,
        MethodWrapperType: _Writer.own_repr,
        WrapperDescriptorType: _Writer.own_repr,
        bool: _Writer.own_repr,
        type(None): _Writer.own_repr,
        type(...): _Writer.own_repr,
        type(NotImplemented): _Writer.own_repr,
    }.items()
}
"""By the id of a class: makes the text of any instance, of subclasses too."""

_CONTENT: Final[dict[int, _Content]] = {
    id(cls): show
    for cls, show in {
        int: _Writer.integer,
        float: _Writer.number,
        complex: _Writer.number,
        str: _Writer.cut,
        bytes: _Writer.cut,
        bytearray: _Writer.cut,
        list: _Writer.sequence,
        tuple: _Writer.sequence,
        deque: _Writer.queue,
        set: _Writer.members,
        frozenset: _Writer.members,
        OrderedDict: _Writer.ordered,
        dict: _Writer.mapping,
        range: _Writer.span,
        slice: _Writer.span,
        **dict(library_texts.BY_CLASS),
    }.items()
}
"""By the id of a class: makes the text of its content; the name of a subclass is put around it."""

_MOMENTS: Final = {
    "datetime.date": ("year", "month", "day"),
    "datetime.time": ("hour", "minute", "second", "microsecond"),
    "datetime.datetime": ("year", "month", "day", "hour", "minute", "second", "microsecond"),
    "datetime.timedelta": ("days", "seconds", "microseconds"),
}

_PATHS: Final = frozenset({"pathlib.PurePath", "pathlib._local.PurePath"})

_CONTENT_BY_NAME: Final[dict[str, _Content]] = {
    "array.array": _Writer.array,
    "decimal.Decimal": _Writer.decimal,
    "datetime.timezone": _Writer.zone,
    **dict.fromkeys(_MOMENTS, _Writer.moment),
    **dict.fromkeys(_PATHS, _Writer.path),
    **library_texts.BY_NAME,
}
"""The same by name, for classes of modules that the program may never import."""
