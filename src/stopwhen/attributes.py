"""Attributes as the interpreter looks them up, with the cells consulted, and without running descriptors."""

from __future__ import annotations

import builtins
from collections import deque, namedtuple
from collections.abc import Callable
from typing import Any, NamedTuple

from stopwhen import arrays, env, memory, static
from stopwhen.cells import Closure, DictItem, Slot
from stopwhen.errors import Refused
from stopwhen.originals import io, sys, types, use_original_builtins
from stopwhen.record import Absence, Record, attempt
from stopwhen.static import TypeSet, class_name
from stopwhen.types import ABSENT
from stopwhen.values import SCALARS, SIZED

use_original_builtins(globals())

_GENERIC = TypeSet(
    *(kind for kind in vars(builtins).values() if type(kind) is type and kind not in (type, super)),
    *SIZED.kinds,
    *(types.FunctionType, types.BuiltinFunctionType, types.SimpleNamespace, types.MappingProxyType, types.CodeType),
    *(types.FrameType, types.TracebackType, types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType),
    *(types.CellType, types.MemberDescriptorType, types.GetSetDescriptorType, types.MethodDescriptorType),
    *(
        types.WrapperDescriptorType,
        types.ClassMethodDescriptorType,
        io.BytesIO,
        io.StringIO,
        type(Ellipsis),
        type(None),
    ),
)
"""Types whose `__getattribute__` is the ordinary one of `object` under another name."""

_GENERIC_WHEN_LOADED = (
    *(("_datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")),
    *(("_decimal", "Decimal"), ("array", "array"), ("functools", "partial"), ("_random", "Random")),
    *(("_io", name) for name in ("FileIO", "TextIOWrapper", "BufferedReader", "BufferedWriter", "BufferedRandom")),
    *(("_asyncio", "Future"), ("_asyncio", "Task"), ("_socket", "socket"), ("_queue", "SimpleQueue")),
    *(("_ctypes", name) for name in ("Structure", "Union", "Array", "_SimpleCData", "_Pointer")),
    *(("mmap", "mmap"), ("numpy", "ndarray"), ("numpy", "generic")),
)

_MODULE_LOOKUP = static.type_dict(types.ModuleType)["__getattribute__"]
_OBJECT_LOOKUP = static.type_dict(object)["__getattribute__"]
_TYPE_LOOKUP = static.type_dict(type)["__getattribute__"]
_METHOD_LOOKUP = static.type_dict(types.MethodType)["__getattribute__"]

_TUPLE_FIELD: Any = type(static.type_dict(namedtuple("_Field", "x"))["x"])  # noqa: PYI024 - only its field matters
"""The type of the fields of named tuples: C code that returns one item."""

_BINDS_AS_METHOD = TypeSet(types.FunctionType, types.BuiltinFunctionType)
_BINDS_IN_C = TypeSet(types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)
_IS_ITSELF_IN_CLASS = TypeSet(
    *(types.FunctionType, property, types.MemberDescriptorType, types.GetSetDescriptorType),
    *(types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodType, _TUPLE_FIELD),
)

_CONSTANT = TypeSet(
    *(
        int,
        float,
        complex,
        bool,
        range,
        slice,
        types.CodeType,
        types.MethodType,
        types.BuiltinFunctionType,
        memoryview,
        deque,
    ),
    *(classmethod, staticmethod, property, types.MethodDescriptorType, types.WrapperDescriptorType),
)
"""Builtin types whose attributes in C are pure to read and never change."""

_CONSTANT_TIMES = ("date", "datetime", "time", "timedelta", "timezone")

_READABLE = TypeSet(
    type,
    types.FunctionType,
    BaseException,
    types.GeneratorType,
    types.CoroutineType,
    types.FrameType,
    types.TracebackType,
)
"""Builtin types whose attributes in C are pure to read, those of `_RUNS_CODE` excepted; they may change."""

_RUNS_CODE = frozenset(
    {"__doc__", "__annotations__", "__annotate__", "__text_signature__", "f_locals", "__type_params__"}
)


class Found(NamedTuple):
    """What a class has under a name, not bound."""

    base: type
    value: Any


def attribute(record: Record, owner: Any, name: str, text: str) -> Any:
    """Return `owner.name`, called `text` by the user.

    Raises:
        Absence: there is none.
        Refused: looking would run code of the program's.
    """
    kind = type(owner)
    lookup = static.find(kind, "__getattribute__")
    how = None if lookup is None else lookup[1]
    if how is _TYPE_LOOKUP and static.has_base(kind, type):
        return _of_class(record, owner, name, text)
    if how is _METHOD_LOOKUP and kind is types.MethodType:
        return _of_method(record, owner, name, text)
    base = kind if lookup is None else lookup[0]
    if how is not _OBJECT_LOOKUP and how is not _MODULE_LOOKUP and not _is_generic(base):
        reason = f"{class_name(base)}.__getattribute__ would run to read {text!r}"
        return record.foreign(reason, lambda: getattr(owner, name))
    if static.hides_dict(kind):
        reason = f"{class_name(kind)} has a '__dict__' of its own making, which hides its attributes"
        return record.foreign(reason, lambda: getattr(owner, name))
    return _of_instance(record, owner, name, text)


def check_readable(kind: type, name: str, text: str) -> None:
    """Check, before there is an instance of `kind`, that reading its attribute `name` would run no code of a class's.

    Raises:
        Refused: it would; `text` is the watch expression.
    """
    found = static.find(kind, name)
    lookup = static.find(kind, "__getattribute__")
    base = kind if lookup is None else lookup[0]
    reason = None
    if lookup is None or (
        lookup[1] is not _OBJECT_LOOKUP and lookup[1] is not _MODULE_LOOKUP and not _is_generic(base)
    ):
        reason = f"{class_name(base)}.__getattribute__ would run to read 'self.{name}'"
    elif found is not None and type(found[1]) is property:
        reason = f"'{class_name(found[0])}.{name}' is a property, which would run"
    if reason is not None:
        raise Refused(
            f"cannot watch {text!r} in every instance of {class_name(kind)}: {reason}",
            slug="runs-code",
            hint="watch the data behind it",
        )


def _is_generic(base: type) -> bool:
    """Tell whether `__getattribute__` of `base` is the ordinary one."""
    if base in _GENERIC or any(base is static.loaded_class(*names) for names in _GENERIC_WHEN_LOADED):
        return True
    return env.core is not None and not static.is_mutable(base) and env.core.has_plain_lookup(base)


def _of_instance(record: Record, owner: Any, name: str, text: str) -> Any:
    """As PyObject_GenericGetAttr: data descriptor of the class, instance dict, anything else of the class."""
    kind, attributes = record.layout(owner, text.rpartition(".")[0])
    found = _in_class(record, kind, name, text)
    if attributes is not None and (found is None or not _is_data_descriptor(found.value)):
        value = record.look(DictItem(text, attributes, name))
        if value is not ABSENT:
            record.fresh = False
            return value
    value = ABSENT if found is None else _bind(record, found, owner, name, text)
    if value is not ABSENT:
        return value
    if static.is_a(owner, types.ModuleType):
        value = _of_lazy_module(record, owner, name, text)
        if value is not ABSENT:
            return value
    return _missing(record, owner, kind, name, text)


def _of_lazy_module(record: Record, module: types.ModuleType, name: str, text: str) -> Any:
    """Return the submodule `name`, which its parent has as attribute only once it is imported to the end, or absent."""
    namespace = static.module_dict(module)
    title = dict.get(namespace, "__name__")
    if type(title) is str:
        submodule = record.look(DictItem(text, sys.modules, f"{title}.{name}"))
        if submodule is not ABSENT and submodule is not None:
            record.fresh = False
            return submodule
    if record.look(DictItem(f"{text.rpartition('.')[0]}.__getattr__", namespace, "__getattr__")) is not ABSENT:
        reason = f"module {title!r} computes {name!r} in its __getattr__"
        return record.foreign(reason, lambda: getattr(module, name))
    return ABSENT


def _missing(record: Record, owner: Any, kind: type, name: str, text: str) -> Any:
    """Say that there is no such attribute, unless the class computes it."""
    base = static.definer(kind, "__getattr__")
    if base is not None:
        reason = f"{class_name(base)}.__getattr__ would run to read {text!r}"
        return record.foreign(reason, lambda: getattr(owner, name))
    if kind is types.ModuleType:
        raise Absence(AttributeError, f"module has no attribute {name!r}")
    if static.is_a(owner, type):
        raise Absence(AttributeError, f"type object {class_name(owner)!r} has no attribute {name!r}")
    raise Absence(AttributeError, f"{class_name(kind)!r} object has no attribute {name!r}")


def _of_class(record: Record, owner: type, name: str, text: str) -> Any:
    """As type.__getattribute__: data descriptor of the metaclass, the class, anything else of the metaclass."""
    meta, _ = record.layout(owner, text.rpartition(".")[0])
    above = _in_class(record, meta, name, text)
    if above is None or not _is_data_descriptor(above.value):
        found = _in_class(record, owner, name, text)
        if found is not None:
            return _from_class(record, found, owner, name, text)
    value = ABSENT if above is None else _bind(record, above, owner, name, text)
    return _missing(record, owner, meta, name, text) if value is ABSENT else value


def _of_method(record: Record, owner: types.MethodType, name: str, text: str) -> Any:
    """Return an attribute of a bound method: its own, or else its function's."""
    found = _in_class(record, types.MethodType, name, text)
    if found is None:
        return attribute(record, owner.__func__, name, text)
    return _bind(record, found, owner, name, text)


def _in_class(record: Record, kind: type, name: str, text: str) -> Found | None:
    """Return what the MRO of `kind` has under `name`, noting each class that could have had it and can change."""
    for base in static.mro(kind):
        if static.is_mutable(base):
            value = record.look(DictItem(text, static.type_dict(base), name))
        else:
            value = static.entry(base, name)
        if value is not ABSENT:
            return Found(base, value)
    return None


def _is_data_descriptor(value: Any) -> bool:
    kind = type(value)
    return static.definer(kind, "__set__") is not None or static.definer(kind, "__delete__") is not None


def _bind(record: Record, found: Found, owner: Any, name: str, text: str) -> Any:
    """Return what `found`, of the class of `owner`, is as an attribute of `owner`; `ABSENT` for an empty slot."""
    value = found.value
    kind = type(value)
    record.fresh = True
    if kind is types.FunctionType:
        return types.MethodType(value, owner)
    if kind in _BINDS_IN_C:
        return kind.__get__(value, owner, type(owner))
    if kind is types.MemberDescriptorType:
        return _of_member(record, found, owner, name, text)
    if kind is types.GetSetDescriptorType:
        return _of_getter(record, found, owner, name, text)
    if kind is classmethod or kind is staticmethod:
        return _of_wrapped_function(record, value, type(owner), text)
    if kind is types.MethodType or static.definer(kind, "__get__") is None:
        record.fresh = False
        return value
    if kind is _TUPLE_FIELD:
        record.fresh = False
        return attempt(kind.__get__, value, owner, type(owner))
    if memory.is_ctypes_field(kind):
        return _of_field(record, found, owner, name, text)
    if kind is property:
        reason = f"'{class_name(found.base)}.{name}' is a property, which would run"
        return record.foreign(reason, lambda: getattr(owner, name))
    if _is_enum_text(found, name):
        return attribute(record, owner, f"_{name}_", text)
    return _foreign_descriptor(record, found, name, lambda: getattr(owner, name))


def _from_class(record: Record, found: Found, owner: type, name: str, text: str) -> Any:
    """Return what `found`, of the class `owner` itself, is as an attribute of that class."""
    value = found.value
    kind = type(value)
    record.fresh = False
    if kind in _IS_ITSELF_IN_CLASS or static.definer(kind, "__get__") is None:
        return value
    if kind is classmethod or kind is staticmethod:
        return _of_wrapped_function(record, value, owner, text)
    if kind is types.ClassMethodDescriptorType:
        record.fresh = True
        return kind.__get__(value, None, owner)
    if kind is static.loaded_class("enum", "property"):
        members = static.find(owner, "_member_map_")
        if members is not None and type(members[1]) is dict and name in members[1]:
            return record.look(DictItem(text, members[1], name))
    return _foreign_descriptor(record, found, name, lambda: getattr(owner, name))


def _foreign_descriptor(record: Record, found: Found, name: str, run: Callable[[], Any]) -> Any:
    reason = f"'{class_name(found.base)}.{name}' is a {class_name(type(found.value))}, whose __get__ would run"
    return record.foreign(reason, run)


def _of_wrapped_function(record: Record, value: Any, owner: type, text: str) -> Any:
    """Return the function in a staticmethod, or a classmethod's bound to `owner`."""
    if type(value) is staticmethod:
        record.fresh = False
        return value.__func__
    function = value.__func__
    record.fresh = True
    if type(function) in _BINDS_AS_METHOD:
        return types.MethodType(function, owner)
    reason = f"{text!r} is a classmethod of a {class_name(type(function))}, whose __get__ would run"
    return record.foreign(reason, lambda: value.__get__(None, owner))


def _of_member(record: Record, found: Found, owner: Any, name: str, text: str) -> Any:
    """Return what a member of the object's memory holds: an entry of `__slots__`, or a field of a builtin type."""
    if static.has_slots(found.base):
        record.fresh = False
        return record.look(Slot(text, owner, found.value))

    def get() -> Any:
        return types.MemberDescriptorType.__get__(found.value, owner, type(owner))

    if name == "__dict__":
        record.fresh = False
        return attempt(get)
    return _constant(record, get) if found.base in _CONSTANT else record.opaque(get)


def _constant(record: Record, get: Callable[[], Any]) -> Any:
    """Return what cannot change, as long as the object is the same."""
    value = attempt(get)
    record.fresh = type(value) in SCALARS
    return value


def _of_getter(record: Record, found: Found, owner: Any, name: str, text: str) -> Any:
    """Return what a getter in C returns, where it is known to be pure."""

    def get() -> Any:
        return types.GetSetDescriptorType.__get__(found.value, owner, type(owner))

    base = found.base
    value = arrays.attribute(record, owner, name, text)
    if value is not None:
        return value
    if name == "__class__" and base is object:
        return record.layout(owner, text.rpartition(".")[0])[0]
    if name == "__dict__" and not static.is_a(owner, type):
        record.fresh = False
        _, attributes = record.layout(owner, text.rpartition(".")[0])
        return ABSENT if attributes is None else attributes
    if name in ("value", "raw") and memory.is_ctypes(type(owner), "_SimpleCData", "Array"):
        if memory.follows_pointer(type(owner)):
            reason = f"{text!r} points to a text that may be gone when it is looked at"
            return record.foreign(reason, get)
        record.content(owner, text.rpartition(".")[0])
        return attempt(get)
    if base is types.CellType:
        record.fresh = False
        return record.look(Closure(text, owner))
    if name == "contents" and base is static.loaded_class("_ctypes", "_Pointer"):
        return pointed_to(record, owner, text.rpartition(".")[0], get)
    if base in _CONSTANT or _is_time(base):
        return _constant(record, get)
    if name not in _RUNS_CODE and base in _READABLE:
        return _constant(record, get) if base is type and not static.is_mutable(owner) else record.opaque(get)
    return record.foreign(f"'{class_name(base)}.{name}' is computed by C code that is not known to be pure", get)


def _is_time(kind: type) -> bool:
    return any(kind is static.loaded_class("_datetime", name) for name in _CONSTANT_TIMES)


def pointed_to(record: Record, pointer: Any, text: str, run: Callable[[], Any]) -> Any:
    """Return the object that the pointer called `text` points to, if that must be alive."""
    record.content(pointer, text)
    target = memory.pointed_to(pointer)
    if target is None:
        return record.foreign(f"{text!r} points to memory that may be gone when it is looked at", run)
    record.fresh = False
    return target


def _of_field(record: Record, found: Found, owner: Any, name: str, text: str) -> Any:
    """Return a field of a structure made with ctypes."""
    kind, field = type(owner), found.value

    def get() -> Any:
        return type(field).__get__(field, owner, kind)

    held = memory.kind_of_field(found.base, name)
    if memory.follows_pointer(held):
        return record.foreign(f"{text!r} points to a text that may be gone when it is looked at", get)
    if memory.is_plain(held):
        record.content(owner, text.rpartition(".")[0])
        return attempt(get)
    return record.view(owner, id(field), get)


def _is_enum_text(found: Found, name: str) -> bool:
    """Tell whether `found` is the `name` or `value` of enum members as the library defines it."""
    base = static.loaded_class("enum", "Enum")
    return base is not None and found.base is base and name in ("name", "value")
