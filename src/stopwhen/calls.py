"""Calls of what is known to be pure: which functions these are, and how each is made."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from stopwhen import arrays, functions, library_items, methods, static
from stopwhen.immutable import Immutable
from stopwhen.operations import BINARY, COMPARING, UNARY, as_list
from stopwhen.originals import operator, os, types, use_original_builtins
from stopwhen.record import MOST_STEPS, Absence, Record
from stopwhen.type_hints import Any

use_original_builtins(globals())


class Pure(Immutable):
    """How to make a call of a pure function, and which arguments it takes; any options when None."""

    make: Callable[[functions.Call], Any]
    least: int
    most: int
    options: frozenset[str] | None = frozenset()
    returns_stored: bool = False


def apply(
    record: Record,
    function: Any,
    name: str,
    arguments: tuple[Any, ...],
    *,
    options: dict[str, Any] | None = None,
    names: tuple[str, ...] | None = None,
) -> Any:
    """Return `function(*arguments, **options)`; the user calls the function `name`, its arguments `names`.

    Raises:
        Absence: the call raises an error.
        Refused: the function is not known to be pure.
    """
    options = options or {}
    names = (name,) * len(arguments) if names is None else names
    call = functions.Call(record, function, name, arguments, options, names, apply)
    record.fresh = True
    pure = _PURE.get(id(function))
    if pure is not None:
        fits = pure.least <= len(arguments) <= pure.most and (pure.options is None or pure.options.issuperset(options))
        if not fits:
            raise Absence(TypeError, f"{name}() does not take these arguments")
        value = pure.make(call)
        return value if pure.returns_stored else record.made(value)
    kind = type(function)
    if kind is types.BuiltinFunctionType and _is_of_math(function):
        return record.made(functions.on_containers(call))
    value = arrays.call(record, function, tuple(map(as_list, arguments)), options, name)
    if value is not None:
        return record.made(value)
    value = methods.apply(record, function, name, tuple(map(as_list, arguments)), options)
    if value is not methods.UNKNOWN:
        return record.made(value) if record.fresh else value
    value = library_items.call(record, function, name, arguments, options)
    if value is not library_items.UNKNOWN:
        return value
    return record.call(f"it calls {name}()", call.bound())


def _is_of_math(function: Any) -> bool:
    """Tell whether `function` is of the `math` module, or from 3.15 on of `math.integer`."""
    module = function.__self__
    return type(module) is types.ModuleType and dict.get(static.module_dict(module), "__name__") in _MATH


_MATH = ("math", "math.integer")
_MANY = MOST_STEPS

_FUNCTIONS: dict[Any, Pure] = {
    len: Pure(functions.length, 1, 1),
    **dict.fromkeys((abs, chr, ord, bin, oct, hex), Pure(functions.on_numbers, 1, 1)),
    **dict.fromkeys((round,), Pure(functions.on_numbers, 1, 2, frozenset({"ndigits"}))),
    divmod: Pure(functions.on_numbers, 2, 2),
    pow: Pure(functions.on_numbers, 2, 3),
    int: Pure(functions.on_numbers, 0, 2, frozenset({"base"})),
    float: Pure(functions.on_numbers, 0, 1),
    complex: Pure(functions.on_numbers, 0, 2, frozenset({"real", "imag"})),
    **dict.fromkeys((min, max), Pure(functions.extreme, 1, _MANY, frozenset({"key", "default"}), returns_stored=True)),
    sorted: Pure(functions.sort, 1, 1, frozenset({"key", "reverse"})),
    sum: Pure(functions.total, 1, 2, frozenset({"start"})),
    any: Pure(functions.any_of, 1, 1),
    all: Pure(functions.all_of, 1, 1),
    bool: Pure(functions.truth_of, 0, 1),
    str: Pure(functions.text_of_value, 0, 3, frozenset({"encoding", "errors"})),
    **dict.fromkeys((bytes, bytearray), Pure(functions.make_bytes, 0, 3, frozenset({"encoding", "errors"}))),
    **dict.fromkeys((repr, ascii), Pure(functions.text_of_value, 1, 1)),
    format: Pure(functions.text_of_value, 1, 2),
    isinstance: Pure(functions.is_instance, 2, 2),
    issubclass: Pure(functions.is_subclass, 2, 2),
    type: Pure(functions.type_of, 1, 1, returns_stored=True),
    **dict.fromkeys((id, callable), Pure(functions.as_builtin, 1, 1)),
    hash: Pure(functions.hash_of, 1, 1),
    **dict.fromkeys((tuple, list), Pure(functions.make_sequence, 0, 1)),
    **dict.fromkeys((set, frozenset), Pure(functions.make_set, 0, 1)),
    dict: Pure(functions.make_dict, 0, 1, None),
    enumerate: Pure(functions.enumerated, 1, 2, frozenset({"start"})),
    zip: Pure(functions.zipped, 0, _MANY, frozenset({"strict"})),
    map: Pure(functions.mapped, 2, _MANY),
    filter: Pure(functions.filtered, 2, 2),
    reversed: Pure(functions.backwards, 1, 1),
    range: Pure(functions.on_integers, 1, 3),
    slice: Pure(functions.make_slice, 1, 3),
    getattr: Pure(functions.get_attribute, 2, 3, returns_stored=True),
    hasattr: Pure(functions.has_attribute, 2, 2),
    vars: Pure(functions.attributes_of, 1, 1, returns_stored=True),
    **dict.fromkeys((setattr, delattr, next), Pure(functions.refuse_mutation, 0, _MANY)),
    **dict.fromkeys((entry[0] for entry in BINARY.values()), Pure(functions.operate, 2, 2)),
    **dict.fromkeys((*COMPARING.values(), operator.getitem, operator.contains), Pure(functions.operate, 2, 2)),
    **dict.fromkeys((entry[0] for entry in UNARY.values()), Pure(functions.operate_on_one, 1, 1)),
    **dict.fromkeys((operator.truth, operator.not_), Pure(functions.operate_on_one, 1, 1)),
    os.path.join: Pure(functions.on_paths, 1, _MANY),
    **dict.fromkeys(
        (os.path.basename, os.path.dirname, os.path.split, os.path.splitext, os.path.isabs),
        Pure(functions.on_paths, 1, 1),
    ),
}
# By identity: what the program calls may have a hash of its own. The table above keeps the functions alive.
_PURE = {id(function): pure for function, pure in _FUNCTIONS.items()}


def is_pure_builtin(name: str) -> bool:
    """Tell whether `name` is that of a builtin function known to be pure, as it is found where nothing hides it."""
    return id(static.module_dict(builtins).get(name)) in _PURE
