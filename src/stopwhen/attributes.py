"""Attributes as the interpreter looks them up, with the cells consulted, and without running descriptors."""

from __future__ import annotations

import builtins
from collections import deque, namedtuple
from collections.abc import Callable

from stopwhen import arrays, env, hidden_data, memory, static, thread_locals
from stopwhen.cells import Cell, Closure, DictItem, Slot
from stopwhen.errors import Refused
from stopwhen.immutable import Immutable
from stopwhen.originals import functools, io, sys, types, use_original_builtins
from stopwhen.record import Absence, Record, attempt
from stopwhen.static import TypeSet, class_name
from stopwhen.type_hints import Any
from stopwhen.types import ABSENT
from stopwhen.values import MODEL_HOLDERS, SCALARS, SIZED

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
_class_of_getter = static.type_dict(types.GetSetDescriptorType)["__objclass__"].__get__
_METHOD_LOOKUP = static.type_dict(types.MethodType)["__getattribute__"]

_TUPLE_FIELD: Any = type(static.type_dict(namedtuple("_Field", "x"))["x"])  # noqa: PYI024 - only its field matters
"""The type of the fields of named tuples: C code that returns one item."""

_BINDS_AS_METHOD = TypeSet(types.FunctionType, types.BuiltinFunctionType)
_BINDS_IN_C = TypeSet(types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)
_IS_ITSELF_IN_CLASS = TypeSet(
    *(types.FunctionType, property, types.MemberDescriptorType, types.GetSetDescriptorType),
    *(types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodType, _TUPLE_FIELD),
    functools.cached_property,
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


DESCRIPTOR_METHODS = ("__get__", "__set__", "__delete__")
"""What makes an object in a class a descriptor: found there later, it changes how attributes are read."""


def is_descriptor_method(cell: Cell) -> bool:
    """Tell whether `cell` is about what a class does as a descriptor in others."""
    return isinstance(cell, DictItem) and type(cell.key) is str and cell.key in DESCRIPTOR_METHODS


class Found(Immutable):
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
    if thread_locals.is_local(base):
        return _of_local(record, owner, name, text)

    def behind() -> str | None:
        owner_text = text.rpartition(".")[0]
        return hidden_data.of_missing(owner, name, owner_text) or hidden_data.of_own(owner, name, owner_text)

    is_ordinary = how is _OBJECT_LOOKUP or how is _MODULE_LOOKUP or _is_generic(base)
    if not is_ordinary and not _is_forwarded_to(base, name):
        reason = f"{class_name(base)}.__getattribute__ would run to read {text!r}"
        return record.computed(reason, functools.partial(getattr, owner, name), text, behind)
    if static.hides_dict(kind):
        reason = f"{class_name(kind)} has a '__dict__' of its own making, which hides its attributes"
        return record.computed(reason, functools.partial(getattr, owner, name), text, behind)
    return _of_instance(record, owner, name, text)


def _is_forwarded_to(base: type, name: str) -> bool:
    """Tell whether `name` is the one attribute that a lazy object of Django, of class `base`, reads as others do."""
    return name == "_wrapped" and base is static.loaded_class("django.utils.functional", "LazyObject")


def check_readable(kind: type, name: str, text: str) -> None:
    """Check, before there is an instance of `kind`, that reading its attribute `name` would run no code of a class's.

    Raises:
        Refused: it would; `text` is the watch expression.
    """
    found = static.find(kind, name)
    lookup = static.find(kind, "__getattribute__")
    base = kind if lookup is None else lookup[0]
    reason, data = None, None
    if lookup is None or (
        lookup[1] is not _OBJECT_LOOKUP and lookup[1] is not _MODULE_LOOKUP and not _is_generic(base)
    ):
        reason = f"{class_name(base)}.__getattribute__ would run to read 'self.{name}'"
    elif found is not None and _runs_code_in_place_of_own(found[1]):
        reason = _reason_of(Found(*found), name)
        data = hidden_data.of_attribute_in_class(kind, name, found[1], "self")
    if reason is not None:
        instead = "the data behind it" if data is None else repr(data)
        raise Refused(
            f"cannot watch {text!r} in every instance of {class_name(kind)}: {reason}",
            slug="runs-code",
            hint=f"watch {instead}",
        )


def _runs_code_in_place_of_own(descriptor: Any) -> bool:
    """Tell whether code of the program's runs to read an attribute that `descriptor` of the class stands for."""
    getter = static.find(type(descriptor), "__get__")
    if getter is None or not static.is_data_descriptor(descriptor) or _is_orm_attribute(descriptor):
        return False
    return getter[0] is property or (static.is_mutable(getter[0]) and getter[1] is not None)


def _is_generic(base: type) -> bool:
    """Tell whether `__getattribute__` of `base` is the ordinary one."""
    if base in _GENERIC or any(base is static.loaded_class(*names) for names in _GENERIC_WHEN_LOADED):
        return True
    return env.core is not None and not static.is_mutable(base) and env.core.has_plain_lookup(base)


def _of_instance(record: Record, owner: Any, name: str, text: str) -> Any:
    """As PyObject_GenericGetAttr: data descriptor of the class, instance dict, anything else of the class."""
    _, attributes = record.layout(owner, text.rpartition(".")[0])
    return _of_object(record, owner, name, text, attributes=attributes)


def _of_local(record: Record, owner: Any, name: str, text: str) -> Any:
    """Return an attribute of a `threading.local`, as the thread has it that the watchpoint is for."""
    attributes = record.attributes_in_thread(owner, text.rpartition(".")[0])
    if name == "__dict__":
        record.fresh = False
        if attributes is None:
            raise Absence(AttributeError, "this thread has no attributes yet")
        return attributes
    return _of_object(record, owner, name, text, attributes=attributes)


def _of_object(record: Record, owner: Any, name: str, text: str, *, attributes: dict[str, Any] | None) -> Any:
    """Return an attribute of an object that keeps its own in `attributes`."""
    kind, _ = record.layout(owner, text.rpartition(".")[0])
    found = _in_class(record, kind, name, text)
    if attributes is not None and (found is None or not static.is_data_descriptor(found.value)):
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
    if base is not None and base is static.loaded_class("pydantic.main", "BaseModel"):
        return _of_model(record, owner, kind, name, text)
    if base is not None and (record.allow_calls or not record.goes_on):  # else it is told as any that is missing
        reason = f"{class_name(base)}.__getattr__ would run to read {text!r}"
        owner_text = text.rpartition(".")[0]

        def behind() -> str | None:
            return hidden_data.of_missing(owner, name, owner_text)

        return record.computed(reason, functools.partial(getattr, owner, name), text, behind)
    if kind is types.ModuleType:
        raise Absence(AttributeError, f"module has no attribute {name!r}")
    if static.is_a(owner, type):
        raise Absence(AttributeError, f"type object {class_name(owner)!r} has no attribute {name!r}")
    raise Absence(AttributeError, f"{class_name(kind)!r} object has no attribute {name!r}")


def _of_model(record: Record, owner: Any, kind: type, name: str, text: str) -> Any:
    """Return a private or an extra attribute of a model of pydantic, which keeps these in dicts of their own."""
    for holder in MODEL_HOLDERS:
        found = static.find(kind, holder)
        if found is None or type(found[1]) is not types.MemberDescriptorType:
            continue
        kept = record.look(Slot(f"{text.rpartition('.')[0]}.{holder}", owner, found[1]))
        value = record.look(DictItem(text, kept, name)) if type(kept) is dict else ABSENT
        if value is not ABSENT:
            record.fresh = False
            return value
    raise Absence(AttributeError, f"{class_name(kind)!r} object has no attribute {name!r}")


def _of_class(record: Record, owner: type, name: str, text: str) -> Any:
    """As type.__getattribute__: data descriptor of the metaclass, the class, anything else of the metaclass."""
    meta, _ = record.layout(owner, text.rpartition(".")[0])
    above = _in_class(record, meta, name, text)
    if above is None or not static.is_data_descriptor(above.value):
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
            _note_methods(record, type(value), text)
            return Found(base, value)
    return None


def _note_methods(record: Record, kind: type, text: str) -> None:
    """Note what makes an instance of `kind` in a class a descriptor, or would make it one."""
    is_descriptor = any(static.definer(kind, method) is not None for method in DESCRIPTOR_METHODS)
    for base in static.mro(kind):
        if static.is_mutable(base):
            for method in DESCRIPTOR_METHODS[: None if is_descriptor else 1]:
                record.note(DictItem(text, static.type_dict(base), method))


def _bind(record: Record, found: Found, owner: Any, name: str, text: str) -> Any:
    """Return what `found`, of the class of `owner`, is as an attribute of `owner`; `ABSENT` for an empty slot."""
    value = found.value
    kind = type(value)
    record.fresh = True
    if kind is types.FunctionType:
        return types.MethodType(value, owner)
    if kind in _BINDS_IN_C:
        return attempt(kind.__get__, value, owner, type(owner))
    if kind is types.MemberDescriptorType:
        return _of_member(record, found, owner, name, text)
    if kind is types.GetSetDescriptorType:
        return _of_getter(record, found, owner, name, text)
    if kind is classmethod or kind is staticmethod:
        return _of_wrapped_function(record, value, type(owner), text)
    getter = static.find(kind, "__get__")
    if kind is types.MethodType or getter is None:
        record.fresh = False
        return value
    if getter[1] is None:
        raise Absence(TypeError, "'NoneType' object is not callable")
    if kind is _TUPLE_FIELD:
        record.fresh = False
        return attempt(kind.__get__, value, owner, type(owner))
    if memory.is_ctypes_field(kind):
        return _of_field(record, found, owner, name, text)
    if _is_enum_text(found, name):
        return attribute(record, owner, f"_{name}_", text)
    if _is_orm_attribute(value):
        return _of_orm(record, owner, name, text)
    if kind is functools.cached_property and value.attrname == name:
        raise Absence(AttributeError, f"{text!r} has not been computed yet")
    return _computed(record, found, owner, name, text)


def _from_class(record: Record, found: Found, owner: type, name: str, text: str) -> Any:
    """Return what `found`, of the class `owner` itself, is as an attribute of that class."""
    value = found.value
    kind = type(value)
    record.fresh = False
    getter = static.find(kind, "__get__")
    if getter is None or kind in _IS_ITSELF_IN_CLASS or getter[0] in _IS_ITSELF_IN_CLASS:
        return value
    if getter[1] is None:
        raise Absence(TypeError, "'NoneType' object is not callable")
    if kind is classmethod or kind is staticmethod:
        return _of_wrapped_function(record, value, owner, text)
    if kind is types.ClassMethodDescriptorType:
        record.fresh = True
        return attempt(kind.__get__, value, None, owner)
    if kind is static.loaded_class("enum", "property"):
        members = static.find(owner, "_member_map_")
        if members is not None and type(members[1]) is dict and name in members[1]:
            return record.look(DictItem(text, members[1], name))
    return _computed(record, found, owner, name, text)


def _is_orm_attribute(descriptor: Any) -> bool:
    """Tell whether `descriptor` is one of SQLAlchemy, which returns what the dict of the instance has."""
    kind = static.loaded_class("sqlalchemy.orm.attributes", "InstrumentedAttribute")
    return kind is not None and type(descriptor) is kind


def _of_orm(record: Record, owner: Any, name: str, text: str) -> Any:
    """Return a mapped attribute of SQLAlchemy; what is not loaded is absent, as loading it would run code."""
    _, attributes = record.layout(owner, text.rpartition(".")[0])
    value = ABSENT if attributes is None else record.look(DictItem(text, attributes, name))
    if value is ABSENT:
        raise Absence(AttributeError, f"{text!r} has not been loaded")
    record.fresh = False
    return value


def _computed(record: Record, found: Found, owner: Any, name: str, text: str) -> Any:
    """Say that the descriptor `found` computes `owner.name`."""

    def behind() -> str | None:
        return hidden_data.of_attribute(owner, name, found.value, text.rpartition(".")[0])

    return record.computed(_reason_of(found, name), functools.partial(getattr, owner, name), text, behind, found.value)


def _reason_of(found: Found, name: str) -> str:
    if type(found.value) is property:
        return f"'{class_name(found.base)}.{name}' is a property, which would run"
    return f"'{class_name(found.base)}.{name}' is a {class_name(type(found.value))}, whose __get__ would run"


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

    get = functools.partial(types.MemberDescriptorType.__get__, found.value, owner, type(owner))

    if name == "__dict__":
        record.fresh = False
        return attempt(get)
    return _constant(record, get) if found.base in _CONSTANT else record.opaque(get, is_pure=True)


def _constant(record: Record, get: Callable[[], Any]) -> Any:
    """Return what cannot change, as long as the object is the same."""
    value = attempt(get)
    record.fresh = type(value) in SCALARS
    return value


def _of_getter(record: Record, found: Found, owner: Any, name: str, text: str) -> Any:
    """Return what a getter in C returns, where it is known to be pure."""
    get = functools.partial(types.GetSetDescriptorType.__get__, found.value, owner, type(owner))

    base = found.base
    if not static.is_a(owner, _class_of_getter(found.value)):
        raise Absence(TypeError, f"descriptor {name!r} doesn't apply to a {class_name(type(owner))!r} object")
    value = arrays.attribute(record, owner, name, text)
    if value is not None:
        return value
    if name == "__class__" and base is object:
        return record.layout(owner, text.rpartition(".")[0])[0]
    if name == "__dict__" and static.is_a(owner, type):
        record.fresh = True
        return types.MappingProxyType(static.type_dict(owner))
    if name == "__dict__":
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
        return (
            _constant(record, get)
            if base is type and not static.is_mutable(owner)
            else record.opaque(get, is_pure=True)
        )
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
