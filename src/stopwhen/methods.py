"""Calls of the methods of builtin types that are known to be pure."""

from __future__ import annotations

from collections import ChainMap, OrderedDict, UserDict, deque
from collections.abc import Mapping

from stopwhen import static
from stopwhen.comparing import Judge, comparing_method, hashing_method, note_content, obstacle, showing_method
from stopwhen.items import contains, item, plain_container, stored
from stopwhen.memory import is_array
from stopwhen.operations import check_fields
from stopwhen.originals import io, os, types, use_original_builtins
from stopwhen.record import MOST_STEPS, Absence, Record, attempt, is_plain_codec, text_of
from stopwhen.static import TypeSet, class_name
from stopwhen.type_hints import Any, Final
from stopwhen.types import ABSENT
from stopwhen.values import ENVIRON, SCALARS

use_original_builtins(globals())

UNKNOWN: Final = object()
"""What `apply` returns for a function that it knows nothing of."""


def _public(kind: type) -> frozenset[str]:
    return frozenset(name for name in static.type_dict(kind) if not name.startswith("_"))


_BYTEARRAY_MUTATORS = frozenset(
    {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "resize", "take_bytes"}
)

_PURE: tuple[tuple[type, frozenset[str]], ...] = (
    *((kind, _public(kind)) for kind in (str, bytes, int, float, complex, range, tuple, frozenset)),
    (bytearray, _public(bytes) - _BYTEARRAY_MUTATORS | {"copy"}),
    (list, frozenset({"copy", "count", "index"})),
    (deque, frozenset({"copy", "count", "index"})),
    (dict, frozenset({"copy", "get", "items", "keys", "values"})),
    (OrderedDict, frozenset({"items", "keys", "values"})),
    (set, _public(frozenset)),
    (memoryview, frozenset({"hex", "tobytes", "tolist"})),
    (io.BytesIO, frozenset({"getvalue"})),
    (io.StringIO, frozenset({"getvalue"})),
)
_ARRAY_METHODS = frozenset({"count", "index", "tobytes", "tolist", "tounicode"})
_CONTAINERS = TypeSet(bytearray, list, deque, dict, OrderedDict, set)
_FROM_TEXT = ((int, "from_bytes"), (float, "fromhex"), (bytes, "fromhex"))
_LISTED = TypeSet(list, tuple, deque)
_WIDENING = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs", "to_bytes", "join", "replace", "translate"})
_VIEWING = frozenset({"items", "keys", "values"})
_MAPPING_CLASSES = TypeSet(Mapping, UserDict, ChainMap, ENVIRON)


def apply(record: Record, function: Any, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Return what the method `function` returns, or `UNKNOWN` if it is none that is known.

    Raises:
        Refused: it changes what it is called on, or would run code of the program's.
    """
    kind = type(function)
    if kind is types.BuiltinFunctionType:
        owner = function.__self__
        if any(owner is one and function.__name__ == method for one, method in _FROM_TEXT):
            return attempt(function, *arguments, **options) if SCALARS.covers(arguments) else UNKNOWN
        found = _descriptor_of(function, owner)
    elif kind is types.MethodDescriptorType and arguments:
        found, (owner, *rest) = function, arguments
        arguments = tuple(rest)
        if not static.is_a(owner, found.__objclass__):
            raise Absence(TypeError, f"{name}() does not take these arguments")
    elif kind is types.MethodType or function is os.getenv:
        return _of_wrapper(record, function, name, arguments, options)
    else:
        return UNKNOWN
    if found is None:
        return UNKNOWN
    return _call(record, found, owner, name, arguments=arguments, options=options)


def _descriptor_of(function: Any, owner: Any) -> Any:
    """Return the descriptor, in the class of `owner`, whose bound method `function` is; None if there is none."""
    for base in static.mro(type(owner)):
        found = static.entry(base, function.__name__)
        if type(found) is types.MethodDescriptorType and found.__get__(owner, type(owner)) == function:
            return found
    return None


def _call(
    record: Record, method: Any, owner: Any, name: str, *, arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Call a method of C code, given as its descriptor."""
    base, title = method.__objclass__, method.__name__
    pure = next((names for kind, names in _PURE if kind is base), None)
    if base is static.loaded_class("array", "array"):
        pure = _ARRAY_METHODS
    if pure is None:
        return UNKNOWN
    if title not in pure:
        if (base in _CONTAINERS or is_array(base)) and not title.startswith("_"):
            record.mutates(f"that is what {class_name(base)}.{title} is for")
        return UNKNOWN
    if base is dict and title == "get":
        return _get(record, owner, name, arguments, options)
    if (base is dict or base is OrderedDict) and title in _VIEWING:
        note_content(record, owner, name)
        return attempt(method, owner, *arguments, **options)
    if title == "copy" and type(owner) is not base:
        return UNKNOWN
    judge: Judge = showing_method if base is str or base is bytes or base is bytearray else comparing_method
    for one in (owner, *arguments, *options.values()):
        found = (
            None
            if title == "copy" or (one is owner and judge is showing_method)
            else obstacle(record, one, name, judge)
        )
        if found is not None:
            return record.foreign(f"{name}() would run {found}", lambda: method(owner, *arguments, **options))
    found = _obstacle_in_arguments(base, title, arguments, options)
    if found is not None:
        return record.foreign(f"{name}() would run {found}", lambda: method(owner, *arguments, **options))
    _check_cost(record, title, owner, arguments)
    return attempt(method, note_content(record, owner, name), *arguments, **options)


def _obstacle_in_arguments(base: type, title: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> str | None:
    """Return what would run for the arguments alone: the hash of members to look for, or a registered codec."""
    if base is set or base is frozenset:  # other sets and dicts know the hashes of theirs
        return hashing_method(one for argument in arguments if type(argument) in _LISTED for one in argument)
    if title in ("encode", "decode") and not is_plain_codec((*arguments, *options.values())):
        return "a codec that may have been registered"
    return None


def _get(record: Record, owner: Any, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Call `dict.get`."""
    if options or not 1 <= len(arguments) <= 2:
        raise Absence(TypeError, f"{name}() does not take these arguments")
    owner_name = name.removesuffix(".get")
    value = stored(record, owner, arguments[0], owner_name, name)
    if value is not ABSENT:
        return value
    return arguments[1] if len(arguments) == 2 else None


def _check_cost(record: Record, title: str, owner: Any, arguments: tuple[Any, ...]) -> None:
    """Refuse what would make a gigantic text."""
    if title in ("format", "format_map"):
        check_fields(record, owner, arguments)
    if title not in _WIDENING:
        return
    for argument in arguments:
        if type(argument) is int and abs(argument) > MOST_STEPS:
            record.too_costly("its result would be a gigantic text")
    lengths = [len(one) + 1 for one in arguments if type(one) in _SIZED_TEXTS]
    if title == "expandtabs":
        lengths = [one for one in arguments if type(one) is int and one > 0]
    if title == "replace" and len(lengths) > 1:
        record.spend((len(owner) + 1) * lengths[1])
    elif title in ("join", "expandtabs", "translate") and lengths and type(owner) in _SIZED_TEXTS:
        record.spend((len(owner) + 1) * lengths[0])


_SIZED_TEXTS = TypeSet(str, bytes, bytearray, list, tuple, dict, set, frozenset)


def _of_wrapper(record: Record, function: Any, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Call a method of one of the standard library's wrappers, which are Python, as what it comes to."""
    if function is os.getenv:
        owner: Any = os.environ
        name = "os.environ.get"
        title: str | None = "get"
    else:
        owner, title = function.__self__, _title_of(function)
        found = None if title is None else static.find(type(owner), title)
        if found is None or found[0] not in _MAPPING_CLASSES or found[1] is not function.__func__:
            return UNKNOWN
    if options:
        return UNKNOWN
    if title == "get" and 1 <= len(arguments) <= 2:
        title = name.removesuffix(".get")
        if contains(record, owner, arguments[0], title, "key"):
            return item(record, owner, arguments[0], title, f"{title}[{text_of(arguments[0])}]")
        record.fresh = False
        return arguments[1] if len(arguments) == 2 else None
    if title in _VIEWING and not arguments:
        container = plain_container(record, owner, name, "__iter__", "__getitem__", "__len__")
        if static.is_a(container, dict):
            return list({"items": dict.items, "keys": dict.keys, "values": dict.values}[title](container))
    return UNKNOWN


def _title_of(function: types.MethodType) -> str | None:
    inner = function.__func__
    return inner.__name__ if type(inner) is types.FunctionType else None
