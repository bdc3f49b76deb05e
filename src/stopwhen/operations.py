"""Operators as an expression applies them, on values for which they run no code of the program's."""

from __future__ import annotations

from collections import UserString, deque
from collections.abc import Callable
from itertools import groupby

from stopwhen import arrays, static
from stopwhen.comparing import comparing_method, hashing_method, note_content, obstacle, showing_method
from stopwhen.items import Lazy, contains, wrapped
from stopwhen.originals import ast, operator, types, use_original_builtins
from stopwhen.record import MOST_STEPS, Record, attempt
from stopwhen.static import TypeSet, class_name
from stopwhen.type_hints import Any
from stopwhen.values import SCALARS, VIEWS

use_original_builtins(globals())

BINARY: dict[type[ast.operator], tuple[Callable[[Any, Any], Any], str, str]] = {
    ast.Add: (operator.add, "+", "add"),
    ast.Sub: (operator.sub, "-", "sub"),
    ast.Mult: (operator.mul, "*", "mul"),
    ast.Div: (operator.truediv, "/", "truediv"),
    ast.FloorDiv: (operator.floordiv, "//", "floordiv"),
    ast.Mod: (operator.mod, "%", "mod"),
    ast.Pow: (operator.pow, "**", "pow"),
    ast.LShift: (operator.lshift, "<<", "lshift"),
    ast.RShift: (operator.rshift, ">>", "rshift"),
    ast.BitOr: (operator.or_, "|", "or"),
    ast.BitAnd: (operator.and_, "&", "and"),
    ast.BitXor: (operator.xor, "^", "xor"),
    ast.MatMult: (operator.matmul, "@", "matmul"),
}

UNARY: dict[type[ast.unaryop], tuple[Callable[[Any], Any], str, str]] = {
    ast.USub: (operator.neg, "-", "__neg__"),
    ast.UAdd: (operator.pos, "+", "__pos__"),
    ast.Invert: (operator.invert, "~", "__invert__"),
}

COMPARING: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

_HASHED = TypeSet(dict, set, frozenset, *VIEWS.kinds)
_OPERANDS = TypeSet(*SCALARS.kinds, list, tuple, bytearray, deque, *_HASHED.kinds)
_UNITED = TypeSet(type, types.UnionType, types.GenericAlias)
_INTEGERS = TypeSet(int, bool)
_LISTED = TypeSet(list, tuple, deque)
_SEQUENCES = TypeSet(str, bytes, bytearray, list, tuple, deque)

MOST_BITS = 8 * MOST_STEPS


def is_time(kind: type) -> bool:
    """Tell whether `kind` is one of the standard library's immutable types that count time without a time zone."""
    return any(kind is static.loaded_class("_datetime", name) for name in ("date", "timedelta"))


def foreign_method(kind: type, *methods: str) -> str | None:
    """Return the first of `methods` that `kind` has from elsewhere than an immutable builtin type."""
    for method in methods:
        base = static.definer(kind, method)
        if base is not None and base not in _OPERANDS and not is_time(base):
            return f"{class_name(base)}.{method}"
    return None


def binary(record: Record, operation: type[ast.operator], operands: tuple[Any, Any], names: tuple[str, str]) -> Any:
    """Return what the operator makes of the two operands, which the user calls `names`."""
    function, symbol, method = BINARY[operation]
    left, right = operands
    if operation is ast.BitOr and all(type(operand) in _UNITED or operand is None for operand in operands):
        return attempt(function, left, right)
    value = arrays.operate(record, function, operands, names)
    if value is not None:
        return value
    for operand in operands:
        kind = type(operand)
        found = foreign_method(kind, f"__{method}__", f"__r{method}__", "__index__")
        if found is None and kind not in _OPERANDS and any(static.has_base(kind, base) for base in (dict, set)):
            found = f"{class_name(kind)}.__{method}__"
        if found is not None:
            return record.foreign(f"'{symbol}' would run {found}", lambda: function(left, right))
    if type(left) in _HASHED or type(right) in _HASHED:
        judge = comparing_method
    elif operation is ast.Mod and (static.is_a(left, str) or static.is_a(left, bytes) or type(left) is bytearray):
        judge = showing_method
        _check_format(record, left, right)
    else:
        _check_cost(record, operation, left, right)
        now = tuple(note_content(record, operand, name) for operand, name in zip(operands, names, strict=True))
        return attempt(function, *now)
    for operand, name in zip(operands, names, strict=True):
        found = obstacle(record, operand, name, judge)
        if found is not None:
            return record.foreign(f"'{symbol}' would run {found}", lambda: function(left, right))
    if type(left) in VIEWS or type(right) in VIEWS:  # makes a set of the other operand
        found = hashing_method(one for operand in operands if type(operand) in _LISTED for one in operand)
        if found is not None:
            return record.foreign(f"'{symbol}' would run {found}", lambda: function(left, right))
    return attempt(
        function, *(note_content(record, operand, name) for operand, name in zip(operands, names, strict=True))
    )


def _check_cost(record: Record, operation: type[ast.operator], left: Any, right: Any) -> None:
    """Refuse an operation whose result would be gigantic."""
    bits = 0
    if type(left) in _INTEGERS and type(right) in _INTEGERS:
        if operation is ast.Pow and right > 0:
            bits = left.bit_length() * right
        elif operation is ast.LShift and right > 0:
            bits = left.bit_length() + right if left else 0
        elif operation is ast.Mult:
            bits = left.bit_length() + right.bit_length()
    elif operation is ast.Mult:
        for sequence, times in ((left, right), (right, left)):
            if type(sequence) in _SEQUENCES and type(times) in _INTEGERS and times > 0:
                record.spend(len(sequence) * times)
    elif operation is ast.Add and type(left) in _LISTED and type(right) in _LISTED:
        record.spend(len(left) + len(right))
    if bits > MOST_BITS:
        record.too_costly("its result would be a gigantic number")


def check_width(record: Record, pattern: Any) -> None:
    """Refuse a format that asks for a gigantic width."""
    text = pattern.decode("latin-1") if type(pattern) in (bytes, bytearray) else pattern
    if type(text) is str and any(is_number and len(list(run)) > 6 for is_number, run in groupby(text, str.isdigit)):
        record.too_costly("its result would be a gigantic text")


def _check_format(record: Record, pattern: Any, values: Any) -> None:
    check_width(record, pattern)
    star = b"*" if type(pattern) in (bytes, bytearray) else "*"
    if star in pattern and type(values) is tuple:
        for value in values:
            if type(value) is int and abs(value) > MOST_STEPS:
                record.too_costly("its result would be a gigantic text")


def unary(record: Record, operation: type[ast.unaryop], operand: Any) -> Any:
    """Return what the operator, which is not `not`, makes of the operand."""
    function, symbol, method = UNARY[operation]
    value = arrays.operate(record, function, (operand,), (symbol,))
    if value is not None:
        return value
    found = foreign_method(type(operand), method)
    if found is not None:
        return record.foreign(f"'{symbol}' would run {found}", lambda: function(operand))
    # Of a bool it is deprecated, with a warning that would be ours.
    return attempt(function, int(operand) if type(operand) is bool else operand)


def compare(record: Record, operation: type[ast.cmpop], operands: tuple[Any, Any], names: tuple[str, str]) -> Any:
    """Return the result of one comparison."""
    left, right = operands
    if operation is ast.Is or operation is ast.IsNot:
        return (left is right) is (operation is ast.Is)
    if operation is ast.In or operation is ast.NotIn:
        return contains(record, right, left, names[1], names[0]) is (operation is ast.In)
    function = COMPARING[operation]
    if type(left) in SCALARS and type(right) in SCALARS:
        return attempt(function, left, right)
    value = arrays.operate(record, function, operands, names)
    if value is not None:
        return value
    for operand, name in zip(operands, names, strict=True):
        method = obstacle(record, operand, name, comparing_method)
        if method is not None:
            hint = "compare with 'is', or compare what the objects hold"
            return record.foreign(f"comparing would run {method}", lambda: function(left, right), hint)
    now = tuple(note_content(record, operand, name) for operand, name in zip(operands, names, strict=True))
    return attempt(function, *now)


def check_fields(record: Record, pattern: Any, values: tuple[Any, ...]) -> None:
    """Refuse a call of `str.format` whose arguments may give a gigantic width."""
    check_width(record, pattern)
    if not any(":" in before.rpartition("}")[2] for before in str.split(pattern, "{")[:-1]):  # no field in a field
        return
    for value in values:
        if type(value) not in SCALARS or (type(value) is int and abs(value) > MOST_STEPS):
            record.too_costly("its result may be a gigantic text")


def shown(record: Record, function: Callable[..., Any], value: Any, name: str, *rest: Any) -> Any:
    """Return what `function`, one of those that make a text of a value, makes of `value`."""
    if function in (str, format) and static.inherits(type(value), UserString, "__str__", "__format__"):
        value = wrapped(record, value, "data", name)
    method = obstacle(record, value, name, showing_method)
    if method is not None:
        return record.foreign(f"{method} would run to show {name!r}", lambda: function(value, *rest))
    for one in rest:
        check_width(record, one)
    return attempt(function, note_content(record, value, name), *rest)


def as_list(value: Any) -> Any:
    """Return `value`, or a list of the elements that it stands for."""
    if type(value) is not Lazy:
        return value
    return list(value.elements)
