"""Names the data behind what cannot be read without running code, for the hints of refusals."""

from __future__ import annotations

from collections.abc import Iterator

from stopwhen import static, tables
from stopwhen.originals import types, use_original_builtins
from stopwhen.type_hints import Any
from stopwhen.types import ABSENT

use_original_builtins(globals())

_DEEPEST = 2
"""How many objects that forward their attributes to another are followed."""

_getter_of = static.type_dict(property)["fget"].__get__

_NOT_OPERATIONS = frozenset({"RESUME", "NOP", "CACHE", "COPY_FREE_VARS", "NOT_TAKEN"})
_READS_FIRST = frozenset({"LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_CHECK"})


def of_attribute(owner: Any, name: str, descriptor: Any, owner_text: str) -> str | None:
    """Return an expression of the data that `owner.name`, which `descriptor` computes, is made of; None if unknown.

    `owner_text` is what the user calls the owner.
    """
    if tables.is_table(owner):
        return owner_text
    return of_attribute_in_class(type(owner), name, descriptor, owner_text) or of_own(owner, name, owner_text)


def of_attribute_in_class(kind: type, name: str, descriptor: Any, owner_text: str) -> str | None:
    """As `of_attribute`, of an instance of `kind` that need not exist yet."""
    getter = _getter_of(descriptor) if static.is_a(descriptor, property) else None
    path = _path_returned_by(getter) if type(getter) is types.FunctionType else None
    if path is not None:
        return f"{owner_text}{path}"
    slot = static.find(kind, f"_{name}")
    if slot is not None and type(slot[1]) is types.MemberDescriptorType:
        return f"{owner_text}._{name}"
    return None


def of_own(owner: Any, name: str, owner_text: str) -> str | None:
    """Return what `owner` keeps under `name` itself, or under `_name`; None if it keeps neither."""
    own = static.instance_dict(owner) or {}
    if name in own:
        return f'{owner_text}.__dict__["{name}"]'
    for base in static.mro(type(owner)):
        for candidate in (f"_{name}", f"_{static.class_name(base).lstrip('_')}__{name}"):
            if candidate in own:
                return f"{owner_text}.{candidate}"
    return None


def _path_returned_by(function: types.FunctionType) -> str | None:
    """Return `._x` for a function of which `return self._x` is all, `._d['k']` likewise; None for any other."""
    import dis  # noqa: PLC0415 - slow to load, and for the hints of refusals only

    path = ""
    constant: Any = ABSENT
    steps = [one for one in dis.get_instructions(function) if one.opname not in _NOT_OPERATIONS]
    if len(steps) < 3 or steps[0].opname not in _READS_FIRST or steps[0].argval != function.__code__.co_varnames[0]:
        return None
    for step in steps[1:-1]:
        if step.opname == "LOAD_ATTR" and constant is ABSENT:
            path += f".{step.argval}"
        elif step.opname == "LOAD_CONST" and type(step.argval) is str and constant is ABSENT:
            constant = step.argval
        elif constant is not ABSENT and (step.opname == "BINARY_SUBSCR" or step.argrepr == "[]"):
            path, constant = f'{path}["{constant}"]', ABSENT
        else:
            return None
    return path if steps[-1].opname == "RETURN_VALUE" and constant is ABSENT else None


def of_missing(owner: Any, name: str, owner_text: str) -> str | None:
    """Return where the attribute `name` of `owner`, which `__getattr__` finds elsewhere, is kept; None if unknown."""
    if tables.is_table(owner):
        return owner_text
    reached = [(owner, owner_text)]
    for _ in range(_DEEPEST):
        reached = [part for one, text in reached for part in _parts(one, text)]
        for part, text in reached:
            if name in (static.instance_dict(part) or {}) or _is_plain_in_class(part, name):
                return f"{text}.{name}"
            if type(part) is dict and any(type(key) is str and key == name for key in list(part)):
                return f'{text}["{name}"]'
    return None


def _parts(owner: Any, text: str) -> Iterator[tuple[Any, str]]:
    """Yield what `owner` keeps under names of its own, each with what a user would call it."""
    for attribute, value in list(dict.items(static.instance_dict(owner) or {})):
        if type(attribute) is str and attribute.isidentifier():
            yield value, f"{text}.{attribute}"
    for attribute, descriptor in static.slots(type(owner)):
        yield static.slot_value(owner, descriptor), f"{text}.{attribute}"


def _is_plain_in_class(owner: Any, name: str) -> bool:
    if static.is_a(owner, type) or type(owner) is types.ModuleType:
        kept = static.type_dict(owner) if static.is_a(owner, type) else static.module_dict(owner)
        return name in kept
    found = static.find(type(owner), name)
    return found is not None and static.find(type(found[1]), "__get__") is None
