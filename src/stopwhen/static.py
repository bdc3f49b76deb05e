"""Types and objects as the interpreter itself sees them: reads that run no code of the program's."""

from __future__ import annotations

from _thread import _local
from collections.abc import Iterable, Iterator
from itertools import chain

from stopwhen.originals import gc, sys, types, use_original_builtins, weakref
from stopwhen.type_hints import Any, TypeVar
from stopwhen.types import ABSENT

use_original_builtins(globals())

T = TypeVar("T")

_slots_of_type = type.__dict__
_mro_slot = _slots_of_type["__mro__"].__get__
_dict_slot = _slots_of_type["__dict__"].__get__
_make_ready = _slots_of_type["__getattribute__"]
_is_subclass = _slots_of_type["__subclasscheck__"]
_flags_of = _slots_of_type["__flags__"].__get__
_dictoffset_of = _slots_of_type["__dictoffset__"].__get__
_name_of = _slots_of_type["__name__"].__get__
_qualified_name_of = _slots_of_type["__qualname__"].__get__

_name_of_member = types.MemberDescriptorType.__dict__["__name__"].__get__
_namespace_of = _slots_of_type["__dict__"].__get__(types.ModuleType)["__dict__"].__get__

_seen_modules: dict[str, tuple[weakref.ref[types.ModuleType], dict[str, Any]]] = {}
"""By name, the modules that were asked for, and what they had when they were found; the program ends their lives."""

_MODULES_WITH_TYPES = (
    *("_asyncio", "_collections", "_ctypes", "_datetime", "_decimal", "_random", "array", "asyncio.tasks"),
    *("dataclasses", "enum", "functools", "mmap", "numpy", "pandas", "pandas.core.generic", "pandas.core.indexes.base"),
    *("pandas.core.internals.managers", "threading"),
)

_IMMUTABLE_TYPE = 1 << 8
"""Py_TPFLAGS_IMMUTABLETYPE: nobody can store an attribute of the type, unlike those of a class statement."""


class TypeSet:
    """A set of types, by identity: hashing or comparing a class can run code of its metaclass."""

    def __init__(self, *kinds: type) -> None:
        self.kinds = kinds
        self.ids = frozenset(map(id, kinds))

    def __contains__(self, kind: object) -> bool:
        return id(kind) in self.ids

    def covers(self, values: Iterable[Any]) -> bool:
        """Tell whether the exact type of each of `values` is one of these; consumes an iterator."""
        return self.ids.issuperset(map(id, map(type, values)))


DICT_GETTERS = TypeSet(types.GetSetDescriptorType, types.MemberDescriptorType)
"""The types of the C descriptors under which a type keeps `__dict__`."""


def mro(kind: type) -> tuple[type, ...]:
    """Return the method resolution order of `kind`, whatever its metaclass says.

    A static class of a C module may have none until the interpreter first looks up an attribute of it, and no dict
    either (on 3.11 `_socket.socket`): then that is done here.
    """
    found: tuple[type, ...] | None = _mro_slot(kind)
    if found is None:
        _make_ready(kind, "__mro__")
        found = _mro_slot(kind) or ()
    return found


def _proxy_of(kind: type) -> Any:
    """Return a mapping proxy of the dict of `kind`, which is made ready as by `mro`."""
    proxy = _dict_slot(kind)
    if proxy is None:
        _make_ready(kind, "__mro__")
        proxy = _dict_slot(kind)
    return proxy


def type_dict(kind: type) -> dict[str, Any]:
    """Return the dict in which `kind` keeps its attributes: the real one, not a proxy."""
    # A mapping proxy refers to nothing but its mapping.
    real: dict[str, Any] = gc.get_referents(_proxy_of(kind))[0]
    return real


def qualified_name(value: Any) -> str:
    """Return the qualified name of a function or class, for messages."""
    name: str = _qualified_name_of(value) if is_a(value, type) else value.__qualname__
    return name


def class_name(kind: type) -> str:
    """Return the name of `kind`, for messages."""
    name: str = _name_of(kind)
    return name


def is_mutable(kind: type) -> bool:
    """Tell whether attributes can be stored on `kind`."""
    return not _flags_of(kind) & _IMMUTABLE_TYPE


def entry(kind: type, name: str) -> Any:
    """Return what `kind` itself, none of its bases, has under `name`, not bound, or `ABSENT`."""
    return _proxy_of(kind).get(name, ABSENT)


def has_slots(kind: type) -> bool:
    """Tell whether the member descriptors of `kind` itself are entries of a `__slots__`, not fields of a C struct."""
    return is_mutable(kind) and entry(kind, "__slots__") is not ABSENT


def find(kind: type, name: str) -> tuple[type, Any] | None:
    """Return the class in the MRO of `kind` that defines `name`, and what it has there, not bound; None if none has."""
    for base in mro(kind):
        value = _proxy_of(base).get(name, ABSENT)
        if value is not ABSENT:
            return base, value
    return None


def definer(kind: type, name: str) -> type | None:
    """Return the class in the MRO of `kind` that defines `name`; None if none does."""
    found = find(kind, name)
    return None if found is None else found[0]


def is_data_descriptor(value: Any) -> bool:
    """Tell whether `value`, of a class, is read in place of what an instance of that has under the same name.

    It takes a `__get__` for that: a descriptor that is only stored to, or deleted, hides nothing from a reader.
    """
    kind = type(value)
    return definer(kind, "__get__") is not None and (
        definer(kind, "__set__") is not None or definer(kind, "__delete__") is not None
    )


def inherits(kind: type, base: type, *names: str) -> bool:
    """Tell whether `kind` is `base` or a subclass that leaves each of `names` as `base` has it."""
    if kind is base:
        return True
    return has_base(kind, base) and all(definer(kind, name) is definer(base, name) for name in names)


def has_base(kind: type, base: type) -> bool:
    """Tell whether `kind` is `base` or a subclass, whatever their metaclasses say."""
    found: bool = _is_subclass(base, kind)
    return found


def is_in_python(kind: type, base: type) -> bool:
    """Tell whether `kind` and its bases, but for `base` and `object`, are made by class statements."""
    return all(one is base or one is object or is_mutable(one) for one in mro(kind))


def is_a(value: Any, base: type) -> bool:
    """Tell whether the type of `value` is `base` or a subclass; what the value says of its class does not count."""
    return has_base(type(value), base)


def each(kind: Any, container: Any) -> Iterator[Any]:
    """Return an iterator of what `kind`, a type in C, finds in a container of it, whatever a subclass says.

    The container's own iterator is made when the first item is asked for. So `list()` of this is one step, amid which
    no other thread can change the container: with `kind.__iter__(container)` it could, before that began.
    """
    return chain.from_iterable(map(kind.__iter__, (container,)))


def loaded_class(module: str, name: str) -> Any:
    """Return what the module has under `name` if the program has imported it; None if not."""
    loaded = loaded_module(module)
    if loaded is None:
        return None
    # What it had at first: a program may have put something else in its place since.
    found = _seen_modules[module][1].get(name)
    return module_dict(loaded).get(name) if found is None else found


def loaded_module(name: str) -> types.ModuleType | None:
    """Return the module of this name, None when the program has not imported it.

    One that was found before is found as long as it lives: tests take all modules out of `sys.modules` for a while.
    """
    module = dict.get(sys.modules, name)
    known = _seen_modules.get(name)
    seen = None if known is None else known[0]()
    if module is seen or type(module) is not types.ModuleType:
        return seen
    _seen_modules[name] = weakref.ref(module), module_dict(module).copy()
    return module


def see_modules() -> None:
    """Look at those modules whose types and functions are needed later, before the program can patch them."""
    for name in _MODULES_WITH_TYPES:
        loaded_module(name)


def module_dict(module: types.ModuleType) -> dict[str, Any]:
    """Return the namespace of `module`, whatever its class overrides."""
    namespace: dict[str, Any] = _namespace_of(module)
    return namespace


def member_name(descriptor: Any) -> str:
    """Return the name of a member descriptor, as the class has it."""
    name: str = _name_of_member(descriptor)
    return name


def instance_dict(owner: Any) -> dict[str, Any] | None:
    """Return the dict in which `owner` keeps its own attributes, or None; for a class see `type_dict`.

    A property named `__dict__` is not asked.
    """
    kind = type(owner)
    # A thread-local object has another dict in each thread, and makes it by running `__init__`.
    if has_base(kind, type) or has_base(kind, _local):
        return None
    for base in mro(kind):
        getter = _proxy_of(base).get("__dict__")
        if type(getter) in DICT_GETTERS:
            try:
                found = type(getter).__get__(getter, owner, kind)
            except (AttributeError, TypeError):
                continue
            return found if is_a(found, dict) else None
    return None


def has_fixed_layout(owner: Any) -> bool:
    """Tell whether `owner` can get no other class, bases or attribute dict; of a plain module that is assumed."""
    kind = type(owner)
    if is_mutable(kind):
        return False
    if has_base(kind, type):
        return not is_mutable(owner)
    return kind is types.ModuleType or instance_dict(owner) is None


def hides_dict(kind: type) -> bool:
    """Tell whether instances of `kind` have a dict out of reach, since the class has a `__dict__` of its own."""
    if not _dictoffset_of(kind):
        return False
    return not any(type(_proxy_of(base).get("__dict__")) in DICT_GETTERS for base in mro(kind))


def referent(view: Any) -> Any:
    """Return the one object that a mapping proxy or dict view looks at."""
    return gc.get_referents(view)[0]


def slots(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield name and descriptor of each entry of `__slots__` that instances of `kind` have."""
    for base in mro(kind):
        if has_slots(base):
            for name, descriptor in list(type_dict(base).items()):
                if type(descriptor) is types.MemberDescriptorType:
                    yield name, descriptor


def slot_value(owner: Any, descriptor: Any) -> Any:
    """Return what the slot `descriptor` holds for `owner`, or `ABSENT`."""
    try:
        return types.MemberDescriptorType.__get__(descriptor, owner, type(owner))
    except (AttributeError, TypeError):
        return ABSENT
