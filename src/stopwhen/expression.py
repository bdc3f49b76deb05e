"""The text of a watch expression, parsed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping

from stopwhen.errors import BadExpression, UsageError
from stopwhen.immutable import Immutable
from stopwhen.originals import ast, collections, use_original_builtins
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

_PARSER_MAY_WARN = re.compile(r"\\|\b\d[\w.]*(?:and|else|for|if|in|is|not|or)\b")
"""An odd escape, or a number with a word right behind it."""

_COMPILER_MAY_WARN = re.compile(r"""\bis\b|[\])}'"\d]\s*[\[(]""")
"""What the compiler has opinions on where a literal is compared by identity, called or subscribed."""

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
    if not (_PARSER_MAY_WARN.search(stripped) or _COMPILER_MAY_WARN.search(stripped)):
        tree = _parsed(stripped)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Python thinks of the style of an expression is of no use here
            tree = _parsed(stripped)
    return WatchExpression(stripped, tree, _parts(stripped, tree))


def parse_silently(text: str) -> WatchExpression | None:
    """Return a piece of a program's source as an expression, None when the parser might warn of it.

    This calls nothing that a program can patch.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it is none.
    """
    if _PARSER_MAY_WARN.search(text):
        return None
    tree = tree_of(text)
    return WatchExpression(text, tree, {node: _cut(text, node) for node in walk(tree) if isinstance(node, ast.expr)})


def tree_of(text: str | bytes) -> ast.expr:
    """Return the tree of an expression, as `ast.parse` does."""
    module: Any = compile(text, _FILE, "eval", ast.PyCF_ONLY_AST, dont_inherit=True)
    return module.body  # type: ignore[no-any-return] # of an Expression


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield `tree` and all nodes below it, outer ones first, as `ast.walk` does."""
    waiting = collections.deque([tree])
    while waiting:
        node = waiting.popleft()
        for name in node._fields:
            value = getattr(node, name, None)
            waiting.extend(one for one in (value if type(value) is list else [value]) if isinstance(one, ast.AST))
        yield node


def _cut(text: str, node: ast.expr) -> str:
    """Return the text of `node`: what it spans, with a line end for a space."""
    lines = text.encode().split(b"\n")
    lines = lines[node.lineno - 1 : node.end_lineno]
    if lines:
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
    return b" ".join(lines).decode("utf-8", "replace")


def _parsed(text: str) -> ast.expr:
    """Return the tree of `text`, of which the compiler, which knows more than the parser, approves too."""
    try:
        tree = ast.Expression(tree_of(text))
        for node in walk(tree):
            _check(text, node)
        compile(tree, _FILE, "eval", dont_inherit=True)
    except BadExpression:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _not_an_expression(text, error) from None
    return tree.body


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
        statements = ast.parse(text, _FILE, "exec").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _bad_syntax(text, error)
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
        f"cannot watch {text!r}: it is {kind}, not an expression", slug="statement", hint=_instead(statement)
    )


def _instead(statement: ast.stmt) -> str:
    """Return what to write in place of `statement`."""
    match statement:
        case ast.Assign(targets=[target], value=value):
            name = ast.unparse(target)
            return f"write {name!r} to see every change, '{name} == {ast.unparse(value)}' to wait for the value"
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return f"write {ast.unparse(target)!r} to see every change"
        case ast.Delete(targets=[target]):
            return f"write {ast.unparse(target)!r}: that it goes away is a change too"
        case ast.Assert(test=test):
            return f"write 'not ({ast.unparse(test)})' to wait until it fails"
        case ast.Return(value=ast.expr() as value):
            return f"write {ast.unparse(value)!r}"
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
    for found in re.finditer(r"\sif\s", text):
        left, right = text[: found.start()].strip(), text[found.end() :].strip()
        if is_expression(left) and is_expression(right):
            return left, right
    return None


def is_expression(text: str) -> bool:
    """Return whether a text is an expression."""
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _parts(text: str, tree: ast.expr) -> dict[ast.expr, str]:
    """Return the text of each expression in `tree`, as the user wrote it where that is one plain piece of a line."""
    # Offsets count bytes, and inside f-strings older interpreters count wrong.
    plain = text.isascii() and "\n" not in text
    formatted = {inner for node in walk(tree) if isinstance(node, ast.JoinedStr) for inner in walk(node)}
    parts: dict[ast.expr, str] = {}
    for node in walk(tree):
        if isinstance(node, ast.expr):
            cut = plain and node not in formatted
            parts[node] = text[node.col_offset : node.end_col_offset] if cut else ast.unparse(node)
    parts[tree] = text
    return parts
