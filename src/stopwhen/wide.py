"""The scopes that stand for many, the calls of a function or instances of a class; and what users may give for one."""

from __future__ import annotations

import builtins
from types import FunctionType, MethodType, ModuleType

from stopwhen import static
from stopwhen.cells import Closure, DictItem, Local
from stopwhen.errors import Refused, UsageError
from stopwhen.originals import functools, sys, types, use_original_builtins
from stopwhen.scope import Imported, Look, MainScope, ModuleScope, NamespaceScope, Scope, find_in, main
from stopwhen.texts import plain_str, text_of
from stopwhen.type_hints import Any, NoReturn, TypeAlias
from stopwhen.types import ABSENT, Absent

use_original_builtins(globals())

_IN_C = static.TypeSet(
    *(types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType),
    types.ClassMethodDescriptorType,
)

_WITH_FUNCTION = static.TypeSet(MethodType, classmethod, staticmethod)
_PARTIAL = static.TypeSet(functools.partial, functools.partialmethod)


Subject: TypeAlias = FunctionType | type
"""What a wide scope is about."""


class WideScope:
    """Every call of a function, every instance of a class: given by itself or by a name that may be pending.

    Attributes:
        name: what it is called: `pkg.mod:func`.
    """

    name: str

    def __init__(self, given: Any) -> None:
        self._imported = Imported()
        self._module = ""
        self._path: tuple[str, ...] = ()
        self._subject: Subject | None = None
        if type(given) is str:
            self.name = given
            self._module, _, path = given.partition(":")
            self._path = tuple(path.split("."))
        else:
            self._subject = _subject_of(given, text_of(given))
            self.name = static.qualified_name(self._subject)

    def title(self, subject: Subject | Absent) -> str:
        """Say what it stands for, when that is its subject."""
        if subject is ABSENT:
            return f"{self.name}, which is not there yet"
        return f"every {'call' if type(subject) is FunctionType else 'instance'} of {self.name}"

    def subject(self, look: Look) -> Subject | Absent:
        """Return the function or class, `ABSENT` for none; every cell that has a say is consulted through `look`.

        Raises:
            Refused: what is there is neither a function of Python code nor a class of the program's.
        """
        if self._subject is not None:
            return self._subject
        value = self._imported.find(self._module, look)
        path = self._path
        if self._module == "__main__" and main.is_given:
            value, path = main.find(path[0], look), path[1:]
        for part in path:
            if value is ABSENT or value is None:
                return ABSENT
            value = self._member(value, part, look)
        return ABSENT if value is ABSENT else _subject_of(value, self.name)

    def _member(self, owner: Any, name: str, look: Look) -> Any:
        """Return what a module or class has under `name`, not bound, or `ABSENT`."""
        if static.is_a(owner, ModuleType):
            return look(DictItem(self.name, static.module_dict(owner), name))
        if not static.is_a(owner, type):
            _refuse(self.name, f"{name!r} is looked for in a {static.class_name(type(owner))!r}, not a module or class")
        for base in static.mro(owner):
            attributes = static.type_dict(base)
            value = (
                look(DictItem(self.name, attributes, name)) if static.is_mutable(base) else attributes.get(name, ABSENT)
            )
            if value is not ABSENT:
                return value
        return ABSENT


class FutureCall:
    """A call of a function before it is made: what is known of its names, for plans."""

    def __init__(self, function: FunctionType) -> None:
        code = function.__code__
        self.title = f"a call of {function.__qualname__}"
        self.code = code
        self.frame = None
        self._own = (*code.co_varnames, *code.co_cellvars)
        self._closure = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        self._modules = (function.__globals__, static.module_dict(builtins))

    def names(self) -> list[str]:
        """Return the names that such a call reads, or may read."""
        return [*self._own, *self._closure, *(name for namespace in self._modules for name in list(namespace))]

    def has(self, name: str) -> bool:
        """Return whether there is such a name."""
        return name in self.names()

    def find(self, name: str, look: Look) -> Any:
        """Return the value of `name`; that of a local is `ABSENT`."""
        if name in self._own:
            return look(Local(name, self, name))
        if name in self._closure:
            return look(Closure(name, self._closure[name]))
        return find_in(self._modules, name, look)


class InstanceScope:
    """One instance of a class, as `self`; then the module in which the class was made, and builtins.

    Attributes:
        instance: that instance.
    """

    def __init__(self, instance: Any, made_in: type) -> None:
        self.instance = instance
        name = static.entry(made_in, "__module__")
        module = sys.modules.get(name) if type(name) is str else None
        self._modules = (
            *((static.module_dict(module),) if module is not None and static.is_a(module, ModuleType) else ()),
            static.module_dict(builtins),
        )

    @property
    def title(self) -> str:
        """Say of what."""
        return f"an instance of {static.class_name(type(self.instance))}"

    def find(self, name: str, look: Look) -> Any:
        """Return the value of `name`."""
        return self.instance if name == "self" else find_in(self._modules, name, look)

    def is_shared(self, owner: Any) -> bool:
        """Tell whether `owner` is the same for all instances: a class of theirs, its namespace, or that of a module."""
        if any(owner is namespace for namespace in (*self._modules, sys.modules)):
            return True
        return any(owner is base or owner is static.type_dict(base) for base in static.mro(type(self.instance)))


def _subject_of(value: Any, name: str) -> Subject:
    """Return the class that `value` is, or the function that it is or wraps.

    Raises:
        Refused: there is none.
    """
    if not static.is_a(value, type):
        return _function_of(value, name)
    if not static.is_mutable(value):
        _refuse(name, "it is a builtin class, whose instances are everywhere", "name a class of the program's")
    cls: type = value
    return cls


def _function_of(value: Any, name: str) -> FunctionType:
    """Return the function of Python code that `value` is or wraps.

    Raises:
        Refused: there is none.
    """
    seen: set[int] = set()
    while id(value) not in seen:
        seen.add(id(value))
        inner = _wrapped_by(value)
        if inner is not ABSENT:
            value = inner
        elif type(value) is FunctionType:
            function: FunctionType = value
            return function
        else:
            _refuse(name, *_reason_against(value))
    return _refuse(name, "what it wraps wraps itself")


def _wrapped_by(value: Any) -> Any:
    """Return what the method or decorated function `value` calls in the end, or `ABSENT`."""
    if type(value) in _WITH_FUNCTION:
        return value.__func__
    if static.is_a(value, type):
        return ABSENT
    return dict.get(static.instance_dict(value) or {}, "__wrapped__", ABSENT)


def _reason_against(value: Any) -> tuple[str, str | None]:
    """Say why `value` is no scope, and what to name instead."""
    kind = type(value)
    if kind in _IN_C:
        return "it is written in C, and has no locals", None
    if kind in _PARTIAL:
        return f"it is a {kind.__name__} object", "give the function that it calls, its attribute 'func'"
    if kind is property:
        return "it is a property", "give the function that it calls, its attribute 'fget'"
    return f"it is of type {static.class_name(kind)!r}, neither a function nor one that is decorated", None


def _refuse(name: str, reason: str, hint: str | None = None) -> NoReturn:
    raise Refused(
        f"cannot watch in the scope {name!r}: {reason}",
        slug="scope-kind",
        hint=hint or "name a module, a function or a method, or give a dict of names",
    )


def resolve(given: Any) -> Scope | WideScope:
    """Return the scope that `given` stands for: None for `__main__`, else as the contract's table of scopes says.

    Raises:
        Refused: nothing can be watched in such a scope.
        UsageError: it stands for none.
    """
    name = plain_str(given)
    if given is None:
        return MainScope()
    if name is not None:
        return _named(name)
    if static.is_a(given, ModuleType):
        return ModuleScope(given)
    if static.is_a(given, dict):
        return NamespaceScope(given)
    if static.is_a(given, type) or callable(given):
        return WideScope(given)
    if all(static.definer(type(given), method) is not None for method in ("keys", "__getitem__")):
        return NamespaceScope(given)  # which refuses it
    raise UsageError(
        f"the scope {text_of(given, 60)} is of type {static.class_name(type(given))!r}, in which no names are read",
        slug="bad-scope",
        hint="give a module, a function, a class, the name of one, or a dict of names: scope={'obj': obj}",
    )


def _named(name: str) -> Scope | WideScope:
    module, colon, path = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *(path.split(".") if colon else ()))):
        raise UsageError(
            f"the scope {name!r} is no name of a module, function or class",
            slug="bad-scope",
            hint="name a module: 'pkg.mod', or a function or class in one: 'pkg.mod:func', 'pkg.mod:Class'",
        )
    if colon:
        return WideScope(name)
    return ModuleScope(name) if name != "__main__" else MainScope()
