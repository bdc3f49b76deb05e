"""Builtin functions that are known to be pure, made as the interpreter makes them, with the cells that they read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stopwhen import content, static
from stopwhen.attributes import attribute
from stopwhen.comparing import comparing_method, hashing_method, note_content, obstacle
from stopwhen.immutable import Immutable, replaced
from stopwhen.items import Lazy, check_hashable, contains, elements, is_true, item, plain_container, size
from stopwhen.operations import BINARY, COMPARING, UNARY, as_list, binary, compare, foreign_method, shown, unary
from stopwhen.originals import functools, operator, types, use_original_builtins
from stopwhen.record import Absence, Record, attempt, is_plain_codec
from stopwhen.static import TypeSet, class_name
from stopwhen.type_hints import Any
from stopwhen.types import ABSENT
from stopwhen.values import SCALARS, is_simple

use_original_builtins(globals())


class Call(Immutable):
    """One call, its function and arguments evaluated.

    Attributes:
        record: takes note of what the call reads.
        function: what is called.
        name: what the user calls it.
        arguments: those given by position.
        options: those given by name.
        names: what the user calls each of `arguments`.
        apply: makes a call of another function, given record, function, name and arguments.
    """

    record: Record
    function: Any
    name: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    names: tuple[str, ...]
    apply: Callable[..., Any]

    def foreign(self, method: str) -> Any:
        """Refuse, or call anyway, because the call would run `method`."""
        return self.record.foreign(f"{self.name}() would run {method}", self.bound())

    def bound(self) -> Callable[[], Any]:
        """Return a function that makes the call, if the user allows that: a partial, which C code calls as well."""
        if not self.record.allow_calls:
            return lambda: None
        return functools.partial(self.function, *map(as_list, self.arguments), **self.options)

    def elements(self) -> list[Any]:
        """Return the elements of the first argument."""
        return [one for one, _ in elements(self.record, self.arguments[0], self.names[0])]


def length(call: Call) -> Any:
    """Call `len`."""
    return size(call.record, call.arguments[0], call.names[0])


_NUMBER_METHODS = (
    *("__abs__", "__round__", "__int__", "__index__", "__float__", "__complex__", "__trunc__", "__floor__", "__ceil__"),
    *("__divmod__", "__rdivmod__", "__pow__", "__rpow__", "__buffer__"),
)
_GROWING = frozenset({"factorial", "comb", "perm", "ldexp", "lcm", "prod"})


def on_numbers(call: Call) -> Any:
    """Call a function that takes numbers and texts."""
    arguments = []
    for argument, name in zip(call.arguments, call.names, strict=True):
        method = foreign_method(type(argument), *_NUMBER_METHODS)
        if method is not None:
            return call.foreign(method)
        arguments.append(note_content(call.record, argument, name))
    if not SCALARS.covers(call.options.values()):
        return call.foreign("methods of its arguments")
    _check_growth(call, arguments)
    return attempt(call.function, *arguments, **call.options)


def on_containers(call: Call) -> Any:
    """Call a function of the `math` module, some of which take containers of numbers."""
    arguments = []
    for argument, name in zip(call.arguments, call.names, strict=True):
        is_iterable = type(argument) is Lazy or static.definer(type(argument), "__iter__") is not None
        arguments.append(_numbers(call, argument, name) if is_iterable else argument)
    return on_numbers(replaced(call, arguments=tuple(arguments)))


def _numbers(call: Call, argument: Any, name: str) -> Any:
    """Return the elements of `argument` as a list."""
    numbers = [one for one, _ in elements(call.record, argument, name)]
    for number in () if SCALARS.covers(numbers) else numbers:
        method = foreign_method(type(number), *_NUMBER_METHODS)
        if method is not None:
            call.foreign(method)
    return call.record.made(numbers)


def _check_growth(call: Call, arguments: list[Any]) -> None:
    integers = [one for one in arguments if type(one) is int]
    if call.function is pow and len(integers) > 1 and len(arguments) == 2:
        binary(call.record, _POWER, (arguments[0], arguments[1]), (call.name, call.name))
    if call.function is round and any(abs(one) > 10_000 for one in [*integers[1:], *call.options.values()] if one):
        call.record.too_costly("its result would be a gigantic number")
    if call.function.__name__ in _GROWING and any(abs(one) > 10_000 for one in integers):
        call.record.too_costly("its result would be a gigantic number")


def extreme(call: Call) -> Any:
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


def sort(call: Call) -> Any:
    """Call `sorted`."""
    values = call.elements()
    keys = _keys(call, values)
    downwards = is_true(call.record, call.options.get("reverse", False), "reverse")
    order = attempt(sorted, range(len(values)), key=keys.__getitem__, reverse=downwards)
    return [values[index] for index in order]


def _keys(call: Call, values: list[Any]) -> list[Any]:
    """Return what decides the order of `values`."""
    function = call.options.get("key")
    if function is not None:
        values = [call.apply(call.record, function, "the key function", (one,)) for one in values]
    method = obstacle(call.record, tuple(values), call.name, comparing_method)
    if method is not None:
        call.record.foreign(f"{call.name}() would run {method}", lambda: None)
    return values


def total(call: Call) -> Any:
    """Call `sum`."""
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


def any_of(call: Call) -> Any:
    """Call `any`, which looks no further than it must."""
    return any(is_true(call.record, one, name) for one, name in elements(call.record, call.arguments[0], call.names[0]))


def all_of(call: Call) -> Any:
    """Call `all`, which looks no further than it must."""
    return all(is_true(call.record, one, name) for one, name in elements(call.record, call.arguments[0], call.names[0]))


def truth_of(call: Call) -> Any:
    """Call `bool`."""
    return bool(call.arguments) and is_true(call.record, call.arguments[0], call.names[0])


def text_of_value(call: Call) -> Any:
    """Call `str`, `repr`, `ascii` or `format`."""
    if call.function is str and not call.arguments and not call.options:
        return ""
    if call.function is str and (len(call.arguments) > 1 or call.options):
        return make_bytes(call)
    return shown(call.record, call.function, call.arguments[0], call.names[0], *call.arguments[1:])


def make_bytes(call: Call) -> Any:
    """Call a type of bytes, or decode them: all arguments exact builtins, a count within bounds."""
    arguments: list[Any] = []
    for argument, name in zip(call.arguments, call.names, strict=True):
        source = content.source_of(argument)
        is_memory = source is not None and source.kind is content.Kind.MEMORY
        methods = ("__bytes__",) if is_memory else ("__bytes__", "__buffer__", "__index__")
        method = foreign_method(type(argument), *methods)
        if method is not None:
            return call.foreign(method)
        if type(argument) in SCALARS or type(argument) in _TEXTS or is_memory:
            arguments.append(note_content(call.record, argument, name))
        else:
            arguments.append(_numbers(call, argument, name))
        if type(argument) is int:
            call.record.spend(abs(argument))
    if not SCALARS.covers(call.options.values()):
        return call.foreign("methods of its arguments")
    if not is_plain_codec((*call.arguments[1:], *call.options.values())):
        return call.foreign("a codec that may have been registered")
    return attempt(call.function, *arguments, **call.options)


def hash_of(call: Call) -> Any:
    """Call `hash`."""
    value = call.arguments[0]
    check_hashable(value)
    return attempt(hash, value) if is_simple(value) else call.foreign(f"{class_name(type(value))}.__hash__")


def is_instance(call: Call) -> Any:
    """Call `isinstance`; what the object says of its class does not count."""
    value, classes = call.arguments
    kind, _ = call.record.layout(value, call.names[0])
    if static.definer(kind, "__class__") is not object and not static.has_base(kind, type):
        return call.foreign(f"{class_name(kind)}.__class__")
    return _is_subclass_of(call, kind, classes)


def is_subclass(call: Call) -> Any:
    """Call `issubclass`."""
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


def type_of(call: Call) -> Any:
    """Call `type` with one argument."""
    call.record.fresh = False
    return call.record.layout(call.arguments[0], call.names[0])[0]


def as_builtin(call: Call) -> Any:
    """Call a function that is pure for every object."""
    return attempt(call.function, call.arguments[0])


def make_sequence(call: Call) -> Any:
    """Call `list` or `tuple`."""
    return call.function(call.elements() if call.arguments else ())


def make_set(call: Call) -> Any:
    """Call `set` or `frozenset`."""
    values = call.elements() if call.arguments else []
    check_members(call.record, values)
    return attempt(call.function, values)


def check_members(record: Record, values: list[Any]) -> None:
    """Refuse to make a set or dict of `values` where that would run a `__hash__` or `__eq__` of the program's."""
    for value in values:
        check_hashable(value)
    method = hashing_method(values)
    if method is not None:
        record.foreign(f"{method} would run to make a set or dict", lambda: None)


def make_dict(call: Call) -> Any:
    """Call `dict`."""
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


def enumerated(call: Call) -> Any:
    """Call `enumerate`."""
    start = call.arguments[1] if len(call.arguments) > 1 else call.options.get("start", 0)
    if type(start) is not int:
        raise Absence(TypeError, "enumerate() takes an integer to start from")
    return Lazy(enumerate((one for one, _ in elements(call.record, call.arguments[0], call.names[0])), start))


def zipped(call: Call) -> Any:
    """Call `zip`."""
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


def mapped(call: Call) -> Any:
    """Call `map`."""
    sources = [_values(call, index) for index in range(1, len(call.arguments))]
    return Lazy(call.apply(call.record, call.arguments[0], call.names[0], one) for one in zip(*sources, strict=False))


def filtered(call: Call) -> Any:
    """Call `filter`."""
    function = call.arguments[0]

    def holds(one: Any) -> bool:
        value = one if function is None else call.apply(call.record, function, call.names[0], (one,))
        return is_true(call.record, value, call.names[0])

    return Lazy(one for one in _values(call, 1) if holds(one))


def backwards(call: Call) -> Any:
    """Call `reversed`."""
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


def on_integers(call: Call) -> Any:
    """Call a function that takes integers alone."""
    for argument in call.arguments:
        method = foreign_method(type(argument), "__index__")
        if method is not None:
            return call.foreign(method)
    return attempt(call.function, *call.arguments)


def make_slice(call: Call) -> Any:
    """Call `slice`."""
    return attempt(slice, *call.arguments)


def get_attribute(call: Call) -> Any:
    """Call `getattr`."""
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


def has_attribute(call: Call) -> Any:
    """Call `hasattr`."""
    try:
        get_attribute(call)
    except Absence as absence:
        if not issubclass(absence.kind, AttributeError):
            raise
        return False
    return True


def attributes_of(call: Call) -> Any:
    """Call `vars` with one argument."""
    owner = call.arguments[0]
    call.record.fresh = False
    _, found = call.record.layout(owner, call.names[0])
    if static.is_a(owner, type):
        return types.MappingProxyType(static.type_dict(owner))
    if found is None:
        raise Absence(TypeError, "vars() argument must have __dict__ attribute")
    return found


def refuse_mutation(call: Call) -> Any:
    """Refuse a function that is there to change something."""
    call.record.mutates(f"that is what {call.name}() is for")


def operate(call: Call) -> Any:
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


def operate_on_one(call: Call) -> Any:
    """Call a function of the `operator` module that has one operand."""
    for operation, entry in UNARY.items():
        if entry[0] is call.function:
            return unary(call.record, operation, call.arguments[0])
    truth = is_true(call.record, call.arguments[0], call.names[0])
    return truth if call.function is operator.truth else not truth


def on_paths(call: Call) -> Any:
    """Call a function of `os.path` that works on texts alone."""
    if not SCALARS.covers(call.arguments):
        return call.foreign("'__fspath__'")
    return attempt(call.function, *call.arguments)


_POWER = next(operation for operation, entry in BINARY.items() if entry[1] == "**")
_TEXTS = TypeSet(str, bytes, bytearray)
