"""Simple conditions as steps that the C module evaluates: over `old`, `new` and constants of exact builtin types."""

from __future__ import annotations

from collections.abc import Iterator

from stopwhen.expression import children, is_same_tree, tree_of
from stopwhen.originals import ast, use_original_builtins
from stopwhen.type_hints import Any, TypeAlias

use_original_builtins(globals())

# The same values as in _core/conditions.c.
OLD, NEW, ABSENT, CONSTANT, COMPARE, IS, IN, NOT, NEGATIVE, BINARY, AND, OR = range(12)
_COMPARISONS: dict[type[ast.cmpop], tuple[int, int]] = {
    ast.Lt: (COMPARE, 0),
    ast.LtE: (COMPARE, 1),
    ast.Eq: (COMPARE, 2),
    ast.NotEq: (COMPARE, 3),
    ast.Gt: (COMPARE, 4),
    ast.GtE: (COMPARE, 5),
    ast.Is: (IS, 0),
    ast.IsNot: (IS, 1),
    ast.In: (IN, 0),
    ast.NotIn: (IN, 1),
}
_OPERATORS: dict[type[ast.operator], int] = {
    ast.Add: 0,
    ast.Sub: 1,
    ast.Mult: 2,
    ast.Mod: 3,
    ast.FloorDiv: 4,
    ast.Div: 5,
}

MOST_STEPS = 200
MOST_DEPTH = 16
_SIMPLE = (int, float, bool, str, bytes, type(None))


Steps: TypeAlias = tuple[bytes, tuple[Any, ...]]
"""A condition as C takes it: its code, and constants."""


class _NotSimpleError(Exception):
    """The expression is not for C."""


def steps_of(node: ast.expr, names: dict[str, int], leaf: ast.expr | None = None) -> Steps | None:
    """Return an expression as steps; None where it is not simple.

    Args:
        node: the expression.
        names: the step for each name that it may read.
        leaf: the sub-expression that stands for `new`, None for none.
    """
    compiler = _Compiler(names, leaf)
    try:
        compiler.add(node)
    except (_NotSimpleError, RecursionError):
        return None
    return bytes(compiler.code), tuple(compiler.constants)


class _Compiler:
    def __init__(self, names: dict[str, int], leaf: ast.expr | None) -> None:
        self.code = bytearray()
        self.constants: list[Any] = []
        self._names = names
        self._leaf = leaf
        self._depth = 0

    def add(self, node: ast.expr) -> None:
        """Add the steps that leave the value of `node` on the stack."""
        if self._leaf is not None and is_same_tree(node, self._leaf):
            self._load(NEW)
            return
        match node:
            case ast.Name(id=name) if name in self._names:
                self._load(self._names[name])
            case ast.Constant(value=value) if type(value) in _SIMPLE:
                self._constant(value)
            case ast.BoolOp(op=operator, values=values):
                self._bool(AND if isinstance(operator, ast.And) else OR, values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self.add(operand)
                self._step(NOT)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                self.add(operand)
                self._step(NEGATIVE)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                self.add(left)
                self.add(right)
                self._take(BINARY, _OPERATORS[type(operator)])
            case ast.Compare(left=left, ops=operators, comparators=others):
                self._compare(left, operators, others)
            case _:
                raise _NotSimpleError

    def _compare(self, left: ast.expr, operators: list[ast.cmpop], others: list[ast.expr]) -> None:
        """Add a comparison; operands have no effects, so that those between two operators may be evaluated twice."""
        jumps = []
        for operator, other in zip(operators, others, strict=True):
            kind, argument = _COMPARISONS[type(operator)]
            if kind == IS and not (_has_identity(left) and _has_identity(other)):
                raise _NotSimpleError
            self.add(left)
            if kind == IN and isinstance(other, ast.Tuple | ast.List | ast.Set):
                self._constant(tuple(map(_constant_of, other.elts)))
            else:
                self.add(other)
            self._take(kind, argument)
            left = other
            if other is not others[-1]:
                jumps.append(self._jump(AND))
        self._land(jumps)

    def _bool(self, kind: int, values: list[ast.expr]) -> None:
        jumps = []
        for value in values:
            self.add(value)
            if value is not values[-1]:
                jumps.append(self._jump(kind))
        self._land(jumps)

    def _constant(self, value: Any) -> None:
        self.constants.append(value)
        self._load(CONSTANT, len(self.constants) - 1)

    def _load(self, kind: int, argument: int = 0) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise _NotSimpleError
        self._step(kind, argument)

    def _take(self, kind: int, argument: int) -> None:
        self._depth -= 1
        self._step(kind, argument)

    def _jump(self, kind: int) -> int:
        self._take(kind, 0)
        return len(self.code) - 1

    def _land(self, jumps: list[int]) -> None:
        for jump in jumps:
            self.code[jump] = len(self.code) // 2

    def _step(self, kind: int, argument: int = 0) -> None:
        if len(self.code) // 2 >= MOST_STEPS:
            raise _NotSimpleError
        self.code += bytes((kind, argument))


def _has_identity(node: ast.expr) -> bool:
    """Tell whether what an expression gives is the same object each time: other constants have copies."""
    return isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and type(node.value) in (bool, type(None)))


def _constant_of(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) in _SIMPLE:
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        if type(value) is int or type(value) is float:
            return -value
    raise _NotSimpleError


def condition_steps(text: str) -> Steps | None:
    """Return a condition, which can be compiled, as steps; None where it is not simple."""
    return steps_of(tree_of(text.strip()), {"old": OLD, "new": NEW, "absent": ABSENT})


def truth_steps(tree: ast.expr) -> tuple[ast.expr, Steps] | None:
    """Return the one place that a test such as `n < 0` reads, and the test as steps; None where it is no such test.

    What the test gives is a bool, or the very value that is read.
    """
    places = list(_outermost_places(tree))
    if not (is_place(tree) or _is_bool(tree)) or not places:
        return None
    place, *others = places
    steps = steps_of(tree, {}, place) if all(is_same_tree(place, other) for other in others) else None
    return None if steps is None else (place, steps)


def is_place(node: ast.expr) -> bool:
    """Tell whether an expression names one place: a name, and attributes and items by constant keys behind it."""
    match node:
        case ast.Name():
            return True
        case ast.Attribute(value=owner):
            return is_place(owner)
        case ast.Subscript(value=owner, slice=ast.Constant() | ast.UnaryOp(op=ast.USub(), operand=ast.Constant())):
            return is_place(owner)
    return False


def _is_bool(node: ast.expr) -> bool:
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp(values=values):
            return all(map(_is_bool, values))
    return False


def _outermost_places(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.expr) and is_place(node):
        yield node
        return
    for child in children(node):
        yield from _outermost_places(child)
