"""The text of a watch expression, parsed."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping

from stopwhen.errors import BadExpression, UsageError
from stopwhen.immutable import Immutable
from stopwhen.originals import ast, collections, itertools, use_original_builtins
from stopwhen.static import class_name
from stopwhen.texts import plain_str, text_of
from stopwhen.type_hints import Any

use_original_builtins(globals())


class WatchExpression(Immutable):
    """A watch expression as the user wrote it, without surrounding space.

    Attributes:
        text: what the user wrote.
        tree: the same, parsed.
        parts: the text of each node of `tree` that can name a cell.
    """

    text: str
    tree: ast.expr
    parts: Mapping[ast.expr, str]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WatchExpression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"WatchExpression(text={self.text!r})"

    def attributes_of(self, name: str) -> tuple[tuple[str, ...], bool]:
        """Return the attributes of the variable `name` that it reads, and whether it reads the variable otherwise."""
        of_it = [node for node in walk(self.tree) if isinstance(node, ast.Attribute) and _is_name(node.value, name)]
        uses = sum(_is_name(node, name) for node in walk(self.tree))
        return tuple(dict.fromkeys(node.attr for node in of_it)), uses > len(of_it)

    def part(self, node: ast.expr) -> WatchExpression:
        """Return a part of it as an expression of its own."""
        return WatchExpression(self.parts[node], node, self.parts)

    def names(self) -> frozenset[str]:
        """Return all names in it, those that it binds itself too."""
        return frozenset(node.id for node in walk(self.tree) if isinstance(node, ast.Name))

    def root_names(self) -> list[str]:
        """Return the names that it reads and does not bind itself, each once, in order."""
        names = [node for node in walk(self.tree) if isinstance(node, ast.Name)]
        names.sort(key=lambda name: (name.lineno, name.col_offset))
        bound = {name.id for name in names if not isinstance(name.ctx, ast.Load)}
        return list(dict.fromkeys(name.id for name in names if name.id not in bound))


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


_FILE = "<watch expression>"

_STATEMENTS: dict[type[ast.stmt], str] = {
    ast.Assign: "an assignment",
    ast.AnnAssign: "an assignment",
    ast.AugAssign: "an assignment",
    ast.Delete: "a 'del' statement",
    ast.Import: "an import",
    ast.ImportFrom: "an import",
    ast.Assert: "an 'assert' statement",
    ast.Return: "a 'return' statement",
    ast.Raise: "a 'raise' statement",
    ast.Global: "a 'global' statement",
    ast.Nonlocal: "a 'nonlocal' statement",
    ast.FunctionDef: "a function definition",
    ast.AsyncFunctionDef: "a function definition",
    ast.ClassDef: "a class definition",
}

_UNSUITABLE: dict[type[ast.AST], tuple[str, str]] = {
    ast.Await: ("'await' would run a coroutine", "watch what the coroutine stores"),
    ast.Yield: ("'yield' belongs in a function", "watch the value that is yielded"),
    ast.YieldFrom: ("'yield from' belongs in a function", "watch the value that is yielded"),
    ast.NamedExpr: ("':=' stores, and reading a watch expression must not", "write '==' to compare"),
    ast.Lambda: ("'lambda' makes a new function each time", "write the function's body instead"),
}
if hasattr(ast, "TemplateStr"):  # t"...", from 3.14 on
    _UNSUITABLE[ast.TemplateStr] = ("a template string makes a new object each time", "write an f-string")


def parse(given: str) -> WatchExpression:
    """Return the text `given` as a watch expression.

    Raises:
        BadExpression: it is no expression, or none that can be read without changing anything.
        UsageError: it is no text.
    """
    text = plain_str(given)
    if text is None:
        raise UsageError(
            f"cannot watch {text_of(given, 60)}: what is asked for is the text of an expression, and this is of type "
            f"{class_name(type(given))!r}",
            slug="not-a-text",
            hint="put it in quotes: stopwhen.changes('sys.path'), not stopwhen.changes(sys.path)",
        )
    stripped = text.strip()
    if not stripped:
        raise _nothing_there(text)
    if not (_parser_may_warn(stripped) or _compiler_may_warn(stripped)):
        return _parsed(stripped)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Python thinks of the style of an expression is of no use here
        return _parsed(stripped)


def parse_silently(text: str) -> WatchExpression | None:
    """Return a piece of a program's source as an expression, None when the parser might warn of it.

    This calls nothing that a program can patch.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it is none.
    """
    if _parser_may_warn(text):
        return None
    tree = tree_of(text)
    return WatchExpression(text, tree, {node: _cut(text, node) for node in walk(tree) if isinstance(node, ast.expr)})


def _parser_may_warn(text: str) -> bool:
    """Return whether a text has an odd escape, or a number with a word right behind it."""
    words = ("and", "else", "for", "if", "in", "is", "not", "or")
    for dotted in _words(text, "_."):
        pieces = dotted.split(".")
        number = next((n for n, piece in enumerate(pieces) if piece[:1].isdigit()), len(pieces))
        if any(piece.endswith(words) for piece in pieces[number:]):
            return True
    return "\\" in text


def _compiler_may_warn(text: str) -> bool:
    """Return whether a text may compare a literal by identity, call it or subscribe it."""
    dense = "".join(text.split())
    pairs = itertools.pairwise(dense)
    return "is" in _words(text, "_") or any(two in "[(" and (one in "])}'\"" or one.isdigit()) for one, two in pairs)


def _words(text: str, signs: str) -> list[str]:
    """Return the words of a text: letters and digits, with `signs` in them."""
    return "".join(one if one.isalnum() or one in signs else " " for one in text).split()


def tree_of(text: str | bytes) -> ast.expr:
    """Return the tree of an expression, as `ast.parse` does."""
    module: Any = compile(text, _FILE, "eval", ast.PyCF_ONLY_AST, dont_inherit=True)
    return module.body  # type: ignore[no-any-return] # of an Expression


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield `tree` and all nodes below it, outer ones first, as `ast.walk` does."""
    waiting = collections.deque([tree])
    while waiting:
        node = waiting.popleft()
        waiting.extend(children(node))
        yield node


def children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes right below `node`, in order."""
    for name in node._fields:
        value = getattr(node, name, None)
        yield from (one for one in (value if type(value) is list else [value]) if isinstance(one, ast.AST))


def is_same_tree(one: Any, other: Any) -> bool:
    """Return whether two trees, or what stands in a field of theirs, say the same."""
    if type(one) is not type(other):
        return isinstance(one, ast.expr_context) and isinstance(other, ast.expr_context)
    if isinstance(one, ast.AST):
        return all(is_same_tree(getattr(one, name, None), getattr(other, name, None)) for name in one._fields)
    if type(one) is list:
        return len(one) == len(other) and all(map(is_same_tree, one, other))
    return one == other  # type: ignore[no-any-return] # both are constants


def _cut(text: str, node: ast.expr | ast.stmt) -> str:
    """Return the text of `node`: what it spans, with a space for a line end."""
    lines = text.encode().split(b"\n")
    lines = lines[node.lineno - 1 : node.end_lineno]
    if lines:
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
    return b" ".join(map(bytes.strip, lines)).decode("utf-8", "replace")


def with_in_place_of(text: str, nodes: Iterable[ast.expr], new: str) -> str:
    """Return the text of an expression with `new` for each of `nodes`, which are of one line each."""
    lines = text.encode().split(b"\n")
    for node in sorted(nodes, key=lambda node: node.col_offset, reverse=True):
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line[: node.col_offset] + new.encode() + line[node.end_col_offset :]
    return b"\n".join(lines).decode("utf-8", "replace")


def _parsed(text: str) -> WatchExpression:
    """Return `text` as an expression of which the compiler, which knows more than the parser, approves too."""
    try:
        tree = ast.Expression(tree_of(text))
        for node in walk(tree):
            _check(text, node)
        compile(tree, _FILE, "eval", dont_inherit=True)
    except BadExpression:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _not_an_expression(text, error) from None
    return WatchExpression(text, tree.body, _parts(text, tree.body))


def _check(text: str, node: ast.AST) -> None:
    """Raise BadExpression where `node` cannot be part of a watch expression."""
    if isinstance(node, ast.comprehension) and node.is_async:
        reason, hint = "'async for' would run a coroutine", "watch what the coroutine stores"
    elif type(node) in _UNSUITABLE:
        reason, hint = _UNSUITABLE[type(node)]
    else:
        return
    raise BadExpression(f"cannot watch {text!r}: {reason}", slug="unsuitable-syntax", hint=hint)


def _nothing_there(text: str) -> BadExpression:
    return BadExpression(
        f"cannot watch {text!r}: there is no expression in it",
        slug="empty-expression",
        hint="write the name of the data, such as 'sys.path'",
    )


def _not_an_expression(text: str, error: Exception) -> BadExpression:
    """Return the error that says why `text` is no expression."""
    try:
        module: Any = compile(text, _FILE, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _bad_syntax(text, error)
    statements: list[ast.stmt] = module.body
    if not statements:
        return _nothing_there(text)
    if len(statements) > 1:
        return BadExpression(
            f"cannot watch {text!r}: it is {len(statements)} statements",
            slug="statement",
            hint="give each expression a watchpoint of its own",
        )
    statement = statements[0]
    if isinstance(statement, ast.Expr):  # fits a program, not an expression: a line that ends with ';', say
        return _bad_syntax(text, error)
    kind = _STATEMENTS.get(type(statement), "a statement")
    return BadExpression(
        f"cannot watch {text!r}: it is {kind}, not an expression", slug="statement", hint=_instead(text, statement)
    )


def _instead(text: str, statement: ast.stmt) -> str:
    """Return what to write in place of `statement`, which `text` is."""
    match statement:
        case ast.Assign(targets=[target], value=value):
            name = _cut(text, target)
            return f"write {name!r} to see every change, '{name} == {_cut(text, value)}' to wait for the value"
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return f"write {_cut(text, target)!r} to see every change"
        case ast.Delete(targets=[target]):
            return f"write {_cut(text, target)!r}: that it goes away is a change too"
        case ast.Assert(test=test):
            return f"write 'not ({_cut(text, test)})' to wait until it fails"
        case ast.Return(value=ast.expr() as value):
            return f"write {_cut(text, value)!r}"
        case ast.Import(names=[name]) | ast.ImportFrom(names=[name]):
            return f"write {name.asname or name.name!r}; what is imported already needs no import"
        case _:
            return "write the expression whose value is to be watched"


def _bad_syntax(text: str, error: Exception) -> BadExpression:
    where = ""
    if isinstance(error, SyntaxError):
        reason = error.msg
        line, column = error.lineno or 1, error.offset or 0
        if column <= 0:
            where = " at its end"
        else:
            where = f" at column {column}" if line == 1 else f" at line {line}, column {column}"
    elif isinstance(error, ValueError):
        reason = str(error)
    else:
        reason = "it is nested too deeply"
    apart = split_at_if(text)
    hint = None if apart is None else f"watch {apart[0]!r}, and give {apart[1]!r} as its condition{_CONDITION}"
    return BadExpression(f"cannot watch {text!r}: {reason}{where}", slug="bad-syntax", hint=hint)


_CONDITION = " (--if on the command line, condition= in Python, behind a comma in pdb)"


def split_at_if(text: str) -> tuple[str, str] | None:
    """Return the two expressions of `EXPR if CONDITION`, as gdb writes it; None when it is none."""
    start = text.find("if")
    while start > 0:
        left, right = text[:start], text[start + 2 :]
        if left[-1].isspace() and right[:1].isspace() and is_expression(left) and is_expression(right):
            return left.strip(), right.strip()
        start = text.find("if", start + 1)
    return None


def is_expression(text: str) -> bool:
    """Return whether a text is an expression."""
    try:
        tree_of(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _parts(text: str, tree: ast.expr) -> dict[ast.expr, str]:
    """Return the text of each expression in `tree`, as the user wrote it."""
    parts = {node: _cut(text, node) for node in walk(tree) if isinstance(node, ast.expr)}
    for string in [node for node in parts if isinstance(node, ast.JoinedStr)]:
        for node in walk(string):
            # Inside f-strings older interpreters count wrong: then it goes by the name of the whole.
            if isinstance(node, ast.expr) and not _is_text_of(parts[node], node):
                parts[node] = parts[string]
    return parts


def _is_text_of(text: str, node: ast.expr) -> bool:
    try:
        return is_same_tree(tree_of(text), node)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
