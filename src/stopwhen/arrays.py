"""Arrays and numbers of numpy in watch expressions: what of them is read as they themselves would, in C, is followed.

numpy is never imported for that: what is not loaded has no arrays.
"""

from __future__ import annotations

from collections.abc import Callable

from stopwhen import memory, static
from stopwhen.originals import types, use_original_builtins
from stopwhen.record import Record, attempt
from stopwhen.static import TypeSet
from stopwhen.type_hints import Any
from stopwhen.values import SCALARS, is_simple

use_original_builtins(globals())

_ATTRIBUTES = frozenset({"shape", "size", "ndim", "dtype", "nbytes", "itemsize", "strides"})
_METHODS = frozenset("all any argmax argmin item max mean min prod std sum tobytes tolist var".split())  # noqa: SIM905
_KEYS = TypeSet(int, slice, type(Ellipsis), type(None))
_PER_STEP = 100  # Numbers that numpy looks at in the time of one step of ours.


def is_array(value: Any) -> bool:
    """Tell whether `value` is an array of numpy's own type, not of a subclass, that refers to no objects."""
    return type(value) is static.loaded_class("numpy", "ndarray") and memory.is_numpy_data(value)


def look(record: Record, value: Any, name: str) -> Any:
    """Take note of the content of an array that is read; return what to read."""
    if not memory.is_numpy_array(type(value)):
        return value
    record.spend(value.size // _PER_STEP)
    return record.content(value, name)


def attribute(record: Record, owner: Any, name: str, text: str) -> Any:
    """Return the attribute `name` of an array that depends on its memory and shape; None where it is none of those."""
    if name not in _ATTRIBUTES or not memory.is_numpy_data(owner):
        return None
    look(record, owner, text.rpartition(".")[0])
    record.fresh = True
    return attempt(getattr, owner, name)


def item(record: Record, owner: Any, key: Any, name: str) -> Any:
    """Return `owner[key]` of an array: a number, or the view that shows this part; None where it is neither."""
    parts = key if type(key) is tuple else (key,)
    if not is_array(owner) or not _KEYS.covers(parts) or not all(map(_is_plain_slice, parts)):
        return None
    value = attempt(lambda: owner[key])
    if memory.is_numpy_array(type(value)):
        return record.view(owner, repr(key), lambda: value)
    record.content(owner, name)
    record.fresh = True
    return value


def _is_plain_slice(part: Any) -> bool:
    return type(part) is not slice or SCALARS.covers((part.start, part.stop, part.step))


def elements(record: Record, value: Any, name: str) -> Any:
    """Return the elements of an array of one dimension as a list; None where it is none."""
    if not is_array(value) or value.ndim != 1:
        return None
    return list(look(record, value, name))


def operate(record: Record, function: Callable[..., Any], operands: tuple[Any, ...], names: tuple[str, ...]) -> Any:
    """Return what an operator or ufunc makes of arrays and numbers; None where others are among the operands."""
    if not any(map(memory.is_numpy_data, operands)) or not all(
        memory.is_numpy_data(one) or is_simple(one) for one in operands
    ):
        return None
    now = [look(record, one, name) for one, name in zip(operands, names, strict=True)]
    record.fresh = True
    with static.loaded_class("numpy", "errstate")(all="ignore"):  # the warnings would be ours
        return attempt(function, *now)


def call(record: Record, function: Any, arguments: tuple[Any, ...], options: dict[str, Any], name: str) -> Any:
    """Return what a method of an array, or a ufunc of numpy, returns; None for any other function."""
    if type(function) is types.BuiltinFunctionType:
        owner = function.__self__
        if (
            function.__name__ not in _METHODS
            or not memory.is_numpy_data(owner)
            or not _are_plain((*arguments, *options.values()))
        ):
            return None
        return operate(record, lambda _owner: function(*arguments, **options), (owner,), (name.rpartition(".")[0],))
    if type(function) is not static.loaded_class("numpy", "ufunc") or options or len(arguments) > function.nin:
        return None
    if static.loaded_class("numpy", function.__name__) is not function:  # made by the program
        return None
    return operate(record, function, arguments, (name,) * len(arguments))


def _are_plain(values: tuple[Any, ...]) -> bool:
    return all(is_simple(value) or type(value) is static.loaded_class("numpy", "dtype") for value in values)
