"""Reading a watch expression in a live scope: its value and the cells it depends on, without running user code.

An abstract interpreter over the parsed text. It evaluates the expression itself, doing only operations known to be
pure, and notes each cell it consults. What was not evaluated, such as the right side of an `and`, has no cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from stopwhen import static
from stopwhen.attributes import attribute
from stopwhen.calls import apply, is_pure_builtin
from stopwhen.cells import Cell, Content
from stopwhen.evaluation import Evaluation
from stopwhen.expression import WatchExpression
from stopwhen.functions import check_members
from stopwhen.items import Lazy, elements, is_true, item, plain_container
from stopwhen.operations import as_list, binary, compare, shown, unary
from stopwhen.originals import ast, types, use_original_builtins
from stopwhen.record import Absence, Record, Unreadable, attempt
from stopwhen.scope import Scope
from stopwhen.static import TypeSet, class_name
from stopwhen.thread_locals import ThisThread
from stopwhen.type_hints import Any, TypeAlias
from stopwhen.types import ABSENT
from stopwhen.values import content_cells
from stopwhen.weak_values import WeakValues

use_original_builtins(globals())

Bound: TypeAlias = Mapping[str, tuple[Any, str]]
"""The variables of the comprehensions around a node: value, and what the user would call it: `rows[3]`."""


_FEW = 8


class Reading:
    """What a watch expression was when it was read.

    Attributes:
        value: its value; `ABSENT` when evaluating it raises.
        cells: what was consulted to find the value, in order, each once.
        content: the cells of the value's own content, down to the depth asked for.
        fresh: the value was computed, not stored: another reading makes another object, to be compared by structure.
        absent_because: the error that evaluating raises, for messages; None when there is a value.
        unreadable: why it cannot be read without running code of the program's; None when it can. Its value is `ABSENT`
            then, or, where an attribute is all that it names, what the class has in place of that attribute.
        source: the cell that holds what the expression names last, a Content cell where that is a part that cannot be
            told from others; None when it is absent, or computed.
    """

    __match_args__ = ("value", "cells", "content", "fresh", "absent_because", "source", "unreadable")
    __slots__ = (*__match_args__, "_places")

    def __init__(  # noqa: PLR0917 - the fields
        self,
        value: Any,
        cells: tuple[Cell, ...],
        content: tuple[Cell, ...],
        fresh: bool,
        absent_because: str | None,
        source: Cell | None = None,
        unreadable: str | None = None,
    ) -> None:
        self.value = value
        self.cells = cells
        self.content = content
        self.fresh = fresh
        self.absent_because = absent_because
        self.source = source
        self.unreadable = unreadable
        self._places: frozenset[Cell] | None = None

    def has_content(self, cell: Cell) -> bool:
        """Tell whether `cell` is one of those of the value's content."""
        if len(self.content) <= _FEW:
            return cell in self.content
        if self._places is None:
            self._places = frozenset(self.content)
        return cell in self._places


def read(
    expression: WatchExpression,
    scope: Scope,
    *,
    depth: int | str = 1,
    allow_calls: bool = False,
    past: Mapping[Cell, Any] | None = None,
    may_wait: bool = False,
    goes_on: bool = False,
    thread: ThisThread | None = None,
) -> Reading:
    """Return the value of `expression` in `scope` now, and the cells whose change could change it.

    Args:
        expression: what to read.
        scope: where its names are looked up.
        depth: how far to follow the content of the value; an int or "all".
        allow_calls: run what is not known to be pure, as the user allowed.
        past: values of cells to take instead of their present ones, to evaluate as of an earlier moment; for a Content
            cell a container of the same type to read instead of the owner.
        may_wait: raise `InsideCall` where evaluating could enter a call that this thread is in.
        thread: whose attributes of a `threading.local` are read; None for this one.
        goes_on: what can be read at other times is unreadable now, where code of the program's would run.

    Raises:
        InsideCall: as said.
        Refused: the value cannot be read without running code of the program's, or only at too great a cost.
    """

    def again() -> Evaluation:
        return _again(expression, scope, allow_calls, thread)

    record = Record(expression.text, past or {}, again, allow_calls=allow_calls, goes_on=goes_on, thread=thread)
    record.may_wait = may_wait
    reader = _Reader(expression, scope, record)
    try:
        value = reader.value_of(expression.tree, {})
        if type(value) is Lazy:
            value = record.made(as_list(value))
    except Unreadable as unreadable:
        return _unreadable(expression, record, unreadable)
    except Absence as absence:
        return Reading(ABSENT, tuple(record.cells), (), fresh=False, absent_because=str(absence))
    content = content_cells(value, depth, expression.text, thread)
    if record.fresh:  # nobody else has a container that was just made, though they have what is in it
        content = tuple(cell for cell in content if not record.has_made(getattr(cell, "owner", None)))
    return Reading(value, tuple(record.cells), content, record.fresh, None, _source_of(expression, record, value))


def _unreadable(expression: WatchExpression, record: Record, unreadable: Unreadable) -> Reading:
    """Return the reading of what cannot be read now: of `Client.ok`, the descriptor that has come to compute it."""
    is_whole = unreadable.descriptor is not ABSENT and unreadable.part == expression.text
    value = unreadable.descriptor if is_whole else ABSENT
    because = None if is_whole else unreadable.reason
    return Reading(*(value, tuple(record.cells), ()), fresh=False, absent_because=because, unreadable=unreadable.reason)


def _source_of(expression: WatchExpression, record: Record, value: Any) -> Cell | None:
    """Return the cell that holds what is named last, as it is or as an attribute or `os.environ` gives it out."""
    source, stored = record.source, record.source_value
    if not isinstance(expression.tree, ast.Name | ast.Attribute | ast.Subscript) or source is None:
        return None
    if value is stored or isinstance(source, Content):
        return source
    kind = type(stored)
    if kind is classmethod or kind is staticmethod:
        stored = stored.__func__
    function = value.__func__ if type(value) is types.MethodType else value
    is_given_out = function is stored or kind in _BOUND_IN_C or (type(value) is str and kind is bytes)
    return source if is_given_out else None


_BOUND_IN_C = TypeSet(types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)


_in_use: WeakValues[tuple[int, int, bool, int], Evaluation] = WeakValues()


def _again(expression: WatchExpression, scope: Scope, allow_calls: bool, thread: ThisThread | None) -> Evaluation:
    """Return what evaluates the expression anew, which Opaque cells have for an owner."""
    # While an entry lives it keeps expression, scope and thread, so that their ids are not used again.
    key = (id(expression), id(scope), allow_calls, id(thread))
    found = _in_use.get(key)
    if found is None:

        def evaluate() -> Any:
            reading = read(
                *(expression, scope), depth=0, allow_calls=allow_calls, may_wait=True, goes_on=True, thread=thread
            )
            return reading.value

        found = _in_use[key] = Evaluation(evaluate)
    return found


class _Reader:
    """One evaluation of an expression; each method evaluates one kind of node."""

    def __init__(self, expression: WatchExpression, scope: Scope, record: Record) -> None:
        self.expression = expression
        self.scope = scope
        self.record = record

    def value_of(self, node: ast.expr, bound: Bound) -> Any:
        """Return the value of `node`, leaving in `record.fresh` whether it was computed."""
        return _EVALUATE[type(node)](self, node, bound)

    def name_of(self, node: ast.expr, bound: Bound) -> str:
        """Return what the user calls what `node` reads: as written, but with comprehension variables spelt out."""
        if not bound:
            return self.expression.parts[node]
        match node:
            case ast.Name(id=name) if name in bound:
                return bound[name][1]
            case ast.Attribute(value=owner, attr=name):
                return f"{self.name_of(owner, bound)}.{name}"
            case ast.Subscript(value=owner, slice=key) if not isinstance(key, ast.Slice):
                return f"{self.name_of(owner, bound)}[{self.expression.parts[key]}]"
        return self.expression.parts[node]

    def constant(self, node: ast.Constant, _bound: Bound) -> Any:
        self.record.fresh = False
        return node.value

    def name(self, node: ast.Name, bound: Bound) -> Any:
        self.record.fresh = False
        if node.id in bound:
            return bound[node.id][0]
        value = self.scope.find(node.id, self.record.look)
        if value is ABSENT:
            raise Absence(NameError, f"name {node.id!r} is not defined in {self.scope.title}")
        if type(value) is _LAZY_IMPORT:
            return self.record.foreign(f"{node.id!r} is imported lazily, and has not been used yet", value.resolve)
        return value

    def attribute(self, node: ast.Attribute, bound: Bound) -> Any:
        owner = self.value_of(node.value, bound)
        self.record.source = None
        if type(owner) is Lazy:
            raise Absence(AttributeError, f"'generator' object has no attribute {node.attr!r}")
        return attribute(self.record, owner, node.attr, self.name_of(node, bound))

    def subscript(self, node: ast.Subscript, bound: Bound) -> Any:
        owner = self.value_of(node.value, bound)
        key = self.value_of(node.slice, bound)
        self.record.source = None
        return item(self.record, owner, key, self.name_of(node.value, bound), self.name_of(node, bound))

    def slice_of(self, node: ast.Slice, bound: Bound) -> Any:
        bounds = [None if part is None else self.value_of(part, bound) for part in (node.lower, node.upper, node.step)]
        return self.record.made(slice(*bounds))

    def call(self, node: ast.Call, bound: Bound) -> Any:
        function = self.function_of(node, bound)
        arguments: list[Any] = []
        names: list[str] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                for one, name in self.elements_of(argument.value, bound):
                    arguments.append(one)
                    names.append(name)
            else:
                arguments.append(self.value_of(argument, bound))
                names.append(self.name_of(argument, bound))
        options = self.options_of(node, bound)
        return apply(
            *(self.record, function, self.name_of(node.func, bound), tuple(arguments)),
            options=options,
            names=tuple(names),
        )

    def function_of(self, node: ast.Call, bound: Bound) -> Any:
        try:
            return self.value_of(node.func, bound)
        except Absence:
            # All names of functions known to be pure are builtins': another that is not there yet will be no such name.
            if isinstance(node.func, ast.Name) and not self.record.allow_calls and not is_pure_builtin(node.func.id):
                self.record.call(f"it calls {node.func.id}()", lambda: ABSENT)
            raise

    def options_of(self, node: ast.Call, bound: Bound) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.value_of(keyword.value, bound)
            if keyword.arg is not None:
                options[keyword.arg] = value
                continue
            for key, one in self.pairs_of(value, self.name_of(keyword.value, bound)):
                if type(key) is not str or key in options:
                    raise Absence(TypeError, f"cannot pass {self.name_of(keyword.value, bound)!r} as options")
                options[key] = one
        return options

    def pairs_of(self, value: Any, name: str) -> list[tuple[Any, Any]]:
        """Return keys and values of what stands after `**`."""
        container = plain_container(self.record, value, name, "__iter__", "keys", "__getitem__")
        if static.is_a(container, dict):
            self.record.spend(len(container))
            return list(dict.items(container))
        if static.definer(type(value), "keys") is None:
            raise Absence(TypeError, f"{class_name(type(value))!r} object is not a mapping")
        made = self.record.foreign(f"{class_name(type(value))}.keys would run to read {name!r}", lambda: dict(value))
        return list(made.items())

    def elements_of(self, node: ast.expr, bound: Bound) -> Iterator[tuple[Any, str]]:
        return elements(self.record, self.value_of(node, bound), self.name_of(node, bound))

    def binary(self, node: ast.BinOp, bound: Bound) -> Any:
        operands = self.value_of(node.left, bound), self.value_of(node.right, bound)
        names = self.name_of(node.left, bound), self.name_of(node.right, bound)
        return self.record.made(binary(self.record, type(node.op), operands, names))

    def unary(self, node: ast.UnaryOp, bound: Bound) -> Any:
        operand = self.value_of(node.operand, bound)
        if isinstance(node.op, ast.Not):
            return self.record.made(not is_true(self.record, operand, self.name_of(node.operand, bound)))
        return self.record.made(unary(self.record, type(node.op), operand))

    def boolean(self, node: ast.BoolOp, bound: Bound) -> Any:
        stops_at = isinstance(node.op, ast.Or)
        for operand in node.values[:-1]:
            value = self.value_of(operand, bound)
            fresh = self.record.fresh
            if is_true(self.record, value, self.name_of(operand, bound)) is stops_at:
                self.record.fresh = fresh
                return value
        return self.value_of(node.values[-1], bound)

    def compare(self, node: ast.Compare, bound: Bound) -> Any:
        left, left_name = self.value_of(node.left, bound), self.name_of(node.left, bound)
        result: Any = True
        for index, (operation, operand) in enumerate(zip(node.ops, node.comparators, strict=True)):
            right, right_name = self.value_of(operand, bound), self.name_of(operand, bound)
            result = compare(self.record, type(operation), (left, right), (left_name, right_name))
            if index < len(node.ops) - 1 and not is_true(self.record, result, left_name):
                break
            left, left_name = right, right_name
        return self.record.made(result)

    def conditional(self, node: ast.IfExp, bound: Bound) -> Any:
        test = is_true(self.record, self.value_of(node.test, bound), self.name_of(node.test, bound))
        return self.value_of(node.body if test else node.orelse, bound)

    def listed(self, nodes: list[ast.expr], bound: Bound) -> list[Any]:
        """Return the values of the parts of a display."""
        values: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                values.extend(one for one, _ in self.elements_of(node.value, bound))
            else:
                values.append(self.value_of(node, bound))
        self.record.made(values)
        return values

    def tuple_display(self, node: ast.Tuple, bound: Bound) -> Any:
        return tuple(self.listed(node.elts, bound))

    def list_display(self, node: ast.List, bound: Bound) -> Any:
        return self.listed(node.elts, bound)

    def set_display(self, node: ast.Set, bound: Bound) -> Any:
        return self.made_set(self.listed(node.elts, bound))

    def made_set(self, values: list[Any]) -> Any:
        check_members(self.record, values)
        return self.record.made(attempt(set, values))

    def dict_display(self, node: ast.Dict, bound: Bound) -> Any:
        pairs: list[tuple[Any, Any]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                pairs.extend(self.pairs_of(self.value_of(value, bound), self.name_of(value, bound)))
            else:
                pairs.append((self.value_of(key, bound), self.value_of(value, bound)))
        return self.made_dict(pairs)

    def made_dict(self, pairs: list[tuple[Any, Any]]) -> Any:
        check_members(self.record, [key for key, _ in pairs])
        return self.record.made(attempt(dict, pairs))

    def joined(self, node: ast.JoinedStr, bound: Bound) -> Any:
        return self.record.made("".join(str(self.value_of(part, bound)) for part in node.values))

    def formatted(self, node: ast.FormattedValue, bound: Bound) -> Any:
        value = self.value_of(node.value, bound)
        name = self.name_of(node.value, bound)
        if node.conversion != -1:
            value = shown(self.record, _CONVERSIONS[node.conversion], value, name)
        pattern = "" if node.format_spec is None else self.value_of(node.format_spec, bound)
        return self.record.made(shown(self.record, format, value, name, pattern))

    def list_comprehension(self, node: ast.ListComp, bound: Bound) -> Any:
        return self.record.made([self.value_of(node.elt, inner) for inner in self.rounds(node.generators, bound)])

    def set_comprehension(self, node: ast.SetComp, bound: Bound) -> Any:
        return self.made_set([self.value_of(node.elt, inner) for inner in self.rounds(node.generators, bound)])

    def dict_comprehension(self, node: ast.DictComp, bound: Bound) -> Any:
        rounds = self.rounds(node.generators, bound)
        return self.made_dict([(self.value_of(node.key, inner), self.value_of(node.value, inner)) for inner in rounds])

    def generator(self, node: ast.GeneratorExp, bound: Bound) -> Any:
        # The outermost iterable is evaluated at once, all else when elements are asked for.
        source = self.elements_of(node.generators[0].iter, bound)
        rounds = self.rounds_over(source, node.generators, bound)
        return self.record.made(Lazy(self.value_of(node.elt, inner) for inner in rounds))

    def rounds(self, generators: list[ast.comprehension], bound: Bound) -> Iterator[Bound]:
        """Yield the variables of each round of a comprehension."""
        if not generators:
            yield bound
            return
        yield from self.rounds_over(self.elements_of(generators[0].iter, bound), generators, bound)

    def rounds_over(
        self, source: Iterator[tuple[Any, str]], generators: list[ast.comprehension], bound: Bound
    ) -> Iterator[Bound]:
        """As `rounds`, with the elements of the first loop."""
        first = generators[0]
        for value, name in source:
            inner = {**bound}
            self.assign(first.target, value, name, inner)
            if all(is_true(self.record, self.value_of(test, inner), self.name_of(test, inner)) for test in first.ifs):
                yield from self.rounds(generators[1:], inner)

    def assign(self, target: ast.expr, value: Any, name: str, bound: dict[str, tuple[Any, str]]) -> None:
        """Bind the variables of `target` to `value`, which the user would call `name`."""
        match target:
            case ast.Name(id=variable):
                bound[variable] = (value, name)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                self.unpack(targets, list(elements(self.record, value, name)), bound)
            case _:
                reason = f"its comprehension stores in {self.expression.parts[target]!r}"
                self.record.mutates(reason)

    def unpack(self, targets: list[ast.expr], values: list[tuple[Any, str]], bound: dict[str, tuple[Any, str]]) -> None:
        starred = [index for index, target in enumerate(targets) if isinstance(target, ast.Starred)]
        least = len(targets) - len(starred)
        if len(values) < least or (len(values) > least and not starred):
            raise Absence(ValueError, f"{len(values)} values to unpack for {len(targets)} names")
        for index, target in enumerate(targets):
            if isinstance(target, ast.Starred):
                count = len(values) - least
                taken = [value for value, _ in values[index : index + count]]
                self.assign(target.value, taken, self.expression.parts[target.value], bound)
                values = [*values[:index], (None, ""), *values[index + count :]]
            else:
                self.assign(target, *values[index], bound)


_CONVERSIONS: dict[int, Callable[[Any], str]] = {ord("s"): str, ord("r"): repr, ord("a"): ascii}

_LAZY_IMPORT: Any = getattr(types, "LazyImportType", None)
"""From 3.15 on: what a namespace holds for a lazy import until the name is used, which runs the module."""

_EVALUATE: dict[type[ast.expr], Callable[[_Reader, Any, Bound], Any]] = {
    ast.Constant: _Reader.constant,
    ast.Name: _Reader.name,
    ast.Attribute: _Reader.attribute,
    ast.Subscript: _Reader.subscript,
    ast.Slice: _Reader.slice_of,
    ast.Call: _Reader.call,
    ast.BinOp: _Reader.binary,
    ast.UnaryOp: _Reader.unary,
    ast.BoolOp: _Reader.boolean,
    ast.Compare: _Reader.compare,
    ast.IfExp: _Reader.conditional,
    ast.Tuple: _Reader.tuple_display,
    ast.List: _Reader.list_display,
    ast.Set: _Reader.set_display,
    ast.Dict: _Reader.dict_display,
    ast.JoinedStr: _Reader.joined,
    ast.FormattedValue: _Reader.formatted,
    ast.ListComp: _Reader.list_comprehension,
    ast.SetComp: _Reader.set_comprehension,
    ast.DictComp: _Reader.dict_comprehension,
    ast.GeneratorExp: _Reader.generator,
}
