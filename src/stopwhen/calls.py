"""Calls of the builtin functions that are known to be pure; those of methods are in `methods`."""

from __future__ import annotations

import builtins
import operator
import os
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from stopwhen import methods, static
from stopwhen.attributes import attribute
from stopwhen.comparing import comparing_method, is_plain, note_content, obstacle
from stopwhen.items import Lazy, check_hashable, contains, elements, is_true, item, plain_container, size
from stopwhen.operations import BINARY, COMPARING, UNARY, as_list, binary, compare, foreign_method, shown, unary
from stopwhen.record import MOST_STEPS, Absence, Record, attempt
from stopwhen.static import TypeSet, class_name
from stopwhen.types import ABSENT
from stopwhen.values import SCALARS, is_array, is_simple


class Call(NamedTuple):
    """One call, its function and arguments evaluated.

    Attributes:
        record: takes note of what the call reads.
        function: what is called.
        name: what the user calls it.
        arguments: those given by position.
        options: those given by name.
        names: what the user calls each of `arguments`.
    """

    record: Record
    function: Any
    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    names: tuple[str, ...]

    def foreign(self, method: str) -> Any:
        """Refuse, or call anyway, because the call would run `method`."""
        return self.record.foreign(f"{self.name}() would run {method}", self.run)

    def run(self) -> Any:
        """Make the call."""
        return self.function(*map(as_list, self.arguments), **self.options)

    def elements(self) -> list[Any]:
        """Return the elements of the first argument."""
        return [one for one, _ in elements(self.record, self.arguments[0], self.names[0])]


class Pure(NamedTuple):
    """How to make a call of a pure function, and which arguments it takes."""

    make: Callable[[Call], Any]
    least: int
    most: int
    options: frozenset[str] | None = frozenset()
    returns_stored: bool = False


def apply(record: Record, function: Any, name: str, arguments: tuple[Any, ...], **rest: Any) -> Any:
    """Return `function(*arguments)`; `rest` are the `options` and `names` of a `Call`.

    Raises:
        Absence: the call raises an error.
        Refused: the function is not known to be pure.
    """
    options: dict[str, Any] = rest.get("options") or {}
    names: tuple[str, ...] = rest.get("names") or (name,) * len(arguments)
    call = Call(record, function, name, arguments, options, names)
    record.fresh = True
    pure = _PURE.get(id(function))
    if pure is not None:
        fits = pure.least <= len(arguments) <= pure.most and (pure.options is None or pure.options.issuperset(options))
        if not fits:
            raise Absence(TypeError, f"{name}() does not take these arguments")
        value = pure.make(call)
        return value if pure.returns_stored else record.made(value)
    kind = type(function)
    if kind is types.BuiltinFunctionType and _is_of_module(function, "math"):
        return record.made(_on_numbers(call))
    value = methods.apply(record, function, name, tuple(map(as_list, arguments)), options)
    if value is not methods.UNKNOWN:
        return record.made(value) if record.fresh else value
    return record.call(f"it calls {name}()", call.run)


def _is_of_module(function: Any, name: str) -> bool:
    module = function.__self__
    return type(module) is types.ModuleType and dict.get(static.module_dict(module), "__name__") == name


def _size(call: Call) -> Any:
    return size(call.record, call.arguments[0], call.names[0])


_NUMBER_METHODS = (
    *("__abs__", "__round__", "__int__", "__index__", "__float__", "__complex__", "__trunc__", "__floor__", "__ceil__"),
    *("__divmod__", "__rdivmod__", "__pow__", "__rpow__"),
)
_GROWING = frozenset({"factorial", "comb", "perm", "ldexp", "lcm", "prod"})


def _on_numbers(call: Call) -> Any:
    """Call a function that takes numbers and texts, or containers of numbers."""
    arguments = []
    for argument, name in zip(call.arguments, call.names, strict=True):
        method = foreign_method(type(argument), *_NUMBER_METHODS)
        if method is not None:
            return call.foreign(method)
        if isinstance(argument, Lazy) or static.definer(type(argument), "__iter__") is not None:
            arguments.append(_numbers(call, argument, name))
        else:
            arguments.append(argument)
    for option in call.options.values():
        if type(option) not in SCALARS:
            return call.foreign(class_name(type(option)))
    _check_growth(call, arguments)
    return attempt(call.function, *arguments, **call.options)


def _numbers(call: Call, argument: Any, name: str) -> Any:
    if type(argument) in _TEXTS:
        return note_content(call.record, argument, name)
    numbers = [one for one, _ in elements(call.record, argument, name)]
    if not SCALARS.covers(numbers):
        return call.foreign("methods of its elements")
    return numbers


def _check_growth(call: Call, arguments: list[Any]) -> None:
    integers = [one for one in arguments if type(one) is int]
    if call.function is pow and len(integers) > 1 and len(arguments) == 2:
        binary(call.record, _POWER, (arguments[0], arguments[1]), (call.name, call.name))
    if call.function.__name__ in _GROWING and any(abs(one) > 10_000 for one in integers):
        call.record.too_costly("its result would be a gigantic number")


def _extreme(call: Call) -> Any:
    """Call `min` or `max`; what it returns is stored in the container, not made."""
    values = call.elements() if len(call.arguments) == 1 else list(call.arguments)
    if not values:
        if "default" not in call.options:
            raise Absence(ValueError, f"{call.name}() iterable argument is empty")
        call.record.fresh = False
        return call.options["default"]
    keys = _keys(call, values)
    call.record.fresh = False
    return values[attempt(call.function, range(len(values)), key=keys.__getitem__)]


def _sorted(call: Call) -> Any:
    values = call.elements()
    keys = _keys(call, values)
    downwards = is_true(call.record, call.options.get("reverse", False), "reverse")
    order = attempt(sorted, range(len(values)), key=keys.__getitem__, reverse=downwards)
    return [values[index] for index in order]


def _keys(call: Call, values: list[Any]) -> list[Any]:
    """Return what decides the order of `values`."""
    function = call.options.get("key")
    if function is not None:
        values = [apply(call.record, function, "the key function", (one,)) for one in values]
    method = obstacle(call.record, tuple(values), call.name, comparing_method)
    if method is not None:
        call.record.foreign(f"{call.name}() would run {method}", lambda: None)
    return values


def _sum(call: Call) -> Any:
    values = call.elements()
    start = (*call.arguments[1:], *call.options.values())
    for one in (*values, *start):
        if type(one) in SCALARS:
            continue
        method = foreign_method(type(one), "__add__", "__radd__")
        if method is not None:
            return call.foreign(method)
        if type(one) is list or type(one) is tuple:
            note_content(call.record, one, call.names[0])
            call.record.spend(len(one) * len(values))
    return attempt(sum, values, *start)


def _any(call: Call) -> Any:
    return any(is_true(call.record, one, name) for one, name in elements(call.record, call.arguments[0], call.names[0]))


def _all(call: Call) -> Any:
    return all(is_true(call.record, one, name) for one, name in elements(call.record, call.arguments[0], call.names[0]))


def _bool(call: Call) -> Any:
    return bool(call.arguments) and is_true(call.record, call.arguments[0], call.names[0])


def _shown(call: Call) -> Any:
    if call.function is str and not call.arguments and not call.options:
        return ""
    if call.function is str and (len(call.arguments) > 1 or call.options):
        return _bytes(call)
    return shown(call.record, call.function, call.arguments[0], call.names[0], *call.arguments[1:])


def _bytes(call: Call) -> Any:
    """Call a type of bytes, or decode them: all arguments exact builtins, a count within bounds."""
    arguments: list[Any] = []
    for argument, name in zip(call.arguments, call.names, strict=True):
        if type(argument) in SCALARS or type(argument) in _TEXTS:
            arguments.append(note_content(call.record, argument, name))
        else:
            arguments.append(_numbers(call, argument, name))
        if type(argument) is int:
            call.record.spend(abs(argument))
    if not SCALARS.covers(call.options.values()):
        return call.foreign("methods of its arguments")
    return attempt(call.function, *arguments, **call.options)


def _hash(call: Call) -> Any:
    value = call.arguments[0]
    check_hashable(value)
    return attempt(hash, value) if is_simple(value) else call.foreign(f"{class_name(type(value))}.__hash__")


def _is_instance(call: Call) -> Any:
    value, classes = call.arguments
    kind = type(value)
    if static.definer(kind, "__class__") is not object and not static.has_base(kind, type):
        return call.foreign(f"{class_name(kind)}.__class__")
    return _is_subclass_of(call, kind, classes)


def _is_subclass(call: Call) -> Any:
    kind, classes = call.arguments
    if not static.is_a(kind, type):
        raise Absence(TypeError, "issubclass() arg 1 must be a class")
    return _is_subclass_of(call, kind, classes)


def _is_subclass_of(call: Call, kind: type, classes: Any) -> Any:
    if type(classes) is tuple:
        return any(_is_subclass_of(call, kind, one) for one in classes)
    if type(classes) is types.UnionType:
        return any(_is_subclass_of(call, kind, type(None) if one is None else one) for one in classes.__args__)
    if not static.is_a(classes, type):
        raise Absence(TypeError, f"{call.name}() arg 2 must be a class")
    for method in ("__instancecheck__", "__subclasscheck__"):
        base = static.definer(type(classes), method)
        if base is not type and base is not None and kind is not classes:
            return call.foreign(f"{class_name(base)}.{method}")
    return static.has_base(kind, classes)


def _type(call: Call) -> Any:
    call.record.fresh = False
    return type(call.arguments[0])


def _identity(call: Call) -> Any:
    return attempt(call.function, call.arguments[0])


def _sequence(call: Call) -> Any:
    return call.function(call.elements() if call.arguments else ())


def _members(call: Call) -> Any:
    values = call.elements() if call.arguments else []
    check_members(call.record, values)
    return attempt(call.function, values)


def check_members(record: Record, values: list[Any]) -> None:
    """Refuse to make a set or dict of `values` where that would run a `__hash__` or `__eq__` of the program's."""
    if SCALARS.covers(values):
        return
    pending = list(values)
    while pending:
        value = pending.pop()
        check_hashable(value)
        method = None
        if not is_simple(value):
            base = static.definer(type(value), "__hash__")
            if base is not object and base is not type and type(value) not in _HASHED_BY_ITEMS:
                method = f"{class_name(type(value))}.__hash__"
            elif not is_plain(value):
                method = comparing_method(type(value)) or f"{class_name(type(value))}.__eq__"
        if method is not None:
            record.foreign(f"{method} would run to make a set or dict", lambda: None)
        elif type(value) in _HASHED_BY_ITEMS:
            pending.extend(value)


def _dict(call: Call) -> Any:
    made: dict[Any, Any] = {}
    if call.arguments:
        source = plain_container(call.record, call.arguments[0], call.names[0], "__iter__", "keys", "__getitem__")
        if static.is_a(source, dict):
            pairs = list(dict.items(source))
        elif source is ABSENT and static.definer(type(call.arguments[0]), "keys") is not None:
            return call.foreign(f"{class_name(type(call.arguments[0]))}.keys")
        else:
            pairs = [_pair(call, one) for one in call.elements()]
        check_members(call.record, [key for key, _ in pairs])
        made = dict(pairs)
    return {**made, **call.options}


def _pair(call: Call, value: Any) -> tuple[Any, Any]:
    pair = [one for one, _ in elements(call.record, value, call.names[0])]
    if len(pair) != 2:
        raise Absence(ValueError, "dictionary update sequence element does not have length 2")
    return pair[0], pair[1]


def _enumerate(call: Call) -> Any:
    start = call.arguments[1] if len(call.arguments) > 1 else call.options.get("start", 0)
    if type(start) is not int:
        raise Absence(TypeError, "enumerate() takes an integer to start from")
    return Lazy(enumerate((one for one, _ in elements(call.record, call.arguments[0], call.names[0])), start))


def _zip(call: Call) -> Any:
    sources = [_values(call, index) for index in range(len(call.arguments))]
    strict = is_true(call.record, call.options.get("strict", False), "strict")
    return Lazy(_attempted(zip(*sources, strict=strict)))


def _values(call: Call, index: int) -> Iterator[Any]:
    return (one for one, _ in elements(call.record, call.arguments[index], call.names[index]))


def _attempted(values: Iterator[Any]) -> Iterator[Any]:
    """Yield from `values`; an error they raise is the expression's."""
    end = object()
    while (value := attempt(next, values, end)) is not end:
        yield value


def _map(call: Call) -> Any:
    sources = [_values(call, index) for index in range(1, len(call.arguments))]
    return Lazy(apply(call.record, call.arguments[0], call.names[0], one) for one in zip(*sources, strict=False))


def _filter(call: Call) -> Any:
    function = call.arguments[0]

    def holds(one: Any) -> bool:
        value = one if function is None else apply(call.record, function, call.names[0], (one,))
        return is_true(call.record, value, call.names[0])

    return Lazy(one for one in _values(call, 1) if holds(one))


def _reversed(call: Call) -> Any:
    methods_used = ("__reversed__", "__len__", "__getitem__", "__iter__")
    source = plain_container(call.record, call.arguments[0], call.names[0], *methods_used)
    kind = type(source)
    if source is ABSENT:
        if static.definer(type(call.arguments[0]), "__reversed__") is None:
            raise Absence(TypeError, f"{class_name(type(call.arguments[0]))!r} object is not reversible")
        return call.foreign(f"{class_name(type(call.arguments[0]))}.__reversed__")
    if kind is set or kind is frozenset:
        raise Absence(TypeError, f"{class_name(kind)!r} object is not reversible")
    return Lazy(reversed(source if kind is range else list(source)))


def _integers(call: Call) -> Any:
    for argument in call.arguments:
        method = foreign_method(type(argument), "__index__")
        if method is not None:
            return call.foreign(method)
    return attempt(call.function, *call.arguments)


def _slice(call: Call) -> Any:
    return attempt(slice, *call.arguments)


def _get_attribute(call: Call) -> Any:
    owner, name = call.arguments[:2]
    if type(name) is not str:
        raise Absence(TypeError, "attribute name must be string")
    try:
        return attribute(call.record, owner, name, f"{call.names[0]}.{name}")
    except Absence as absence:
        if len(call.arguments) == 2 or not issubclass(absence.kind, AttributeError):
            raise
        call.record.fresh = False
        return call.arguments[2]


def _has_attribute(call: Call) -> Any:
    try:
        _get_attribute(call)
    except Absence as absence:
        if not issubclass(absence.kind, AttributeError):
            raise
        return False
    return True


def _vars(call: Call) -> Any:
    owner = call.arguments[0]
    call.record.fresh = False
    if static.is_a(owner, type):
        return types.MappingProxyType(static.type_dict(owner))
    found = static.instance_dict(owner)
    if found is None:
        raise Absence(TypeError, "vars() argument must have __dict__ attribute")
    return found


def _mutating(call: Call) -> Any:
    call.record.mutates(f"that is what {call.name}() is for")


def _operator(call: Call) -> Any:
    """Call a function of the `operator` module as the operator it stands for."""
    operands = call.arguments
    for operation, entry in BINARY.items():
        if entry[0] is call.function:
            return binary(call.record, operation, (operands[0], operands[1]), (call.names[0], call.names[1]))
    for comparison, function in COMPARING.items():
        if function is call.function:
            return compare(call.record, comparison, (operands[0], operands[1]), (call.names[0], call.names[1]))
    if call.function is operator.getitem:
        return item(call.record, operands[0], operands[1], call.names[0], call.name)
    return contains(call.record, operands[0], operands[1], call.names[0], call.names[1])


def _unary_operator(call: Call) -> Any:
    for operation, entry in UNARY.items():
        if entry[0] is call.function:
            return unary(call.record, operation, call.arguments[0])
    truth = is_true(call.record, call.arguments[0], call.names[0])
    return truth if call.function is operator.truth else not truth


def _on_paths(call: Call) -> Any:
    """Call a function of `os.path` that works on texts alone."""
    if not SCALARS.covers(call.arguments):
        return call.foreign("'__fspath__'")
    return attempt(call.function, *call.arguments)


_POWER = next(operation for operation, entry in BINARY.items() if entry[1] == "**")
_TEXTS = TypeSet(str, bytes, bytearray)
_HASHED_BY_ITEMS = TypeSet(tuple, frozenset)
_MANY = MOST_STEPS

_FUNCTIONS: dict[Any, Pure] = {
    len: Pure(_size, 1, 1),
    **dict.fromkeys((abs, chr, ord, bin, oct, hex), Pure(_on_numbers, 1, 1)),
    **dict.fromkeys((round,), Pure(_on_numbers, 1, 2, frozenset({"ndigits"}))),
    divmod: Pure(_on_numbers, 2, 2),
    pow: Pure(_on_numbers, 2, 3),
    int: Pure(_on_numbers, 0, 2, frozenset({"base"})),
    float: Pure(_on_numbers, 0, 1),
    complex: Pure(_on_numbers, 0, 2, frozenset({"real", "imag"})),
    **dict.fromkeys((min, max), Pure(_extreme, 1, _MANY, frozenset({"key", "default"}), returns_stored=True)),
    sorted: Pure(_sorted, 1, 1, frozenset({"key", "reverse"})),
    sum: Pure(_sum, 1, 2, frozenset({"start"})),
    any: Pure(_any, 1, 1),
    all: Pure(_all, 1, 1),
    bool: Pure(_bool, 0, 1),
    str: Pure(_shown, 0, 3, frozenset({"encoding", "errors"})),
    **dict.fromkeys((bytes, bytearray), Pure(_bytes, 0, 3, frozenset({"encoding", "errors"}))),
    **dict.fromkeys((repr, ascii), Pure(_shown, 1, 1)),
    format: Pure(_shown, 1, 2),
    isinstance: Pure(_is_instance, 2, 2),
    issubclass: Pure(_is_subclass, 2, 2),
    type: Pure(_type, 1, 1, returns_stored=True),
    **dict.fromkeys((id, callable), Pure(_identity, 1, 1)),
    hash: Pure(_hash, 1, 1),
    **dict.fromkeys((tuple, list), Pure(_sequence, 0, 1)),
    **dict.fromkeys((set, frozenset), Pure(_members, 0, 1)),
    dict: Pure(_dict, 0, 1, None),
    enumerate: Pure(_enumerate, 1, 2, frozenset({"start"})),
    zip: Pure(_zip, 0, _MANY, frozenset({"strict"})),
    map: Pure(_map, 2, _MANY),
    filter: Pure(_filter, 2, 2),
    reversed: Pure(_reversed, 1, 1),
    range: Pure(_integers, 1, 3),
    slice: Pure(_slice, 1, 3),
    getattr: Pure(_get_attribute, 2, 3, returns_stored=True),
    hasattr: Pure(_has_attribute, 2, 2),
    vars: Pure(_vars, 1, 1, returns_stored=True),
    **dict.fromkeys((setattr, delattr, next, builtins.exec), Pure(_mutating, 0, _MANY)),
    **dict.fromkeys((entry[0] for entry in BINARY.values()), Pure(_operator, 2, 2)),
    **dict.fromkeys((*COMPARING.values(), operator.getitem, operator.contains), Pure(_operator, 2, 2)),
    **dict.fromkeys((entry[0] for entry in UNARY.values()), Pure(_unary_operator, 1, 1)),
    **dict.fromkeys((operator.truth, operator.not_), Pure(_unary_operator, 1, 1)),
    os.path.join: Pure(_on_paths, 1, _MANY),
    **dict.fromkeys(
        (os.path.basename, os.path.dirname, os.path.split, os.path.splitext, os.path.isabs), Pure(_on_paths, 1, 1)
    ),
}
# By identity: what the program calls may have a hash of its own. The table above keeps the functions alive.
_PURE = {id(function): pure for function, pure in _FUNCTIONS.items()}
