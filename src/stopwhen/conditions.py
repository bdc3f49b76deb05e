"""Conditions: expressions over `old`, `new`, `added`, `removed`, `absent` and the names of the frame that wrote."""

from __future__ import annotations

from stopwhen import expression, frames
from stopwhen.errors import BadExpression
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import ABSENT

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from stopwhen.before import Transition

FILENAME = "<stopwhen condition>"


def compile_condition(text: str) -> CodeType:
    """Return `text` compiled.

    Raises:
        BadExpression: it is no expression.
    """
    try:
        return compile(text.strip(), FILENAME, "eval", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error) or "it is nested too deeply"
        raise BadExpression(
            f"cannot read the condition {text!r}: {reason}", slug="bad-condition", hint=_hint_for(text.strip())
        ) from None


def _hint_for(text: str) -> str:
    """Return what to write in place of a condition that is no expression."""
    word, _, rest = text.partition(" ")
    apart = expression.split_at_if(text)
    if word == "if" and expression.is_expression(rest):
        return f"leave out the word: {rest.strip()!r}"
    if apart is not None:
        return f"a condition is one expression: {f'({apart[0]}) and ({apart[1]})'!r}"
    as_python = _in_python(text)
    if as_python != text and expression.is_expression(as_python):
        return f"write {as_python!r}"
    return "write an expression over old, new and the names of the line that writes: 'new < 0 and user is None'"


_IN_PYTHON = {"&&": " and ", "||": " or ", "!": "not ", "=": " == ", "===": " == ", "null": "None"}
_SIGNS = ("===", "==", "!=", "<=", ">=", ":=", "&&", "||")


def _in_python(text: str) -> str:
    """Return an expression with what other languages write in place of Python's words and signs as in Python."""
    pieces = list(_pieces(text))
    for n, piece in enumerate(pieces):
        pieces[n] = _IN_PYTHON.get(piece, piece)
        if pieces[n] in (" and ", " or ", " == "):
            for beside in {max(n - 1, 0), min(n + 1, len(pieces) - 1)} - {n}:
                pieces[beside] = pieces[beside].strip()
    return "".join(pieces)


def _pieces(text: str) -> Iterator[str]:
    """Yield the words of an expression, the signs, and what is between them."""
    start = 0
    while start < len(text):
        end = start + 1
        if text[start].isspace():
            while text[end : end + 1].isspace():
                end += 1
        elif text[start].isidentifier():
            while end < len(text) and text[start : end + 1].isidentifier():
                end += 1
        else:
            end = start + len(next((sign for sign in _SIGNS if text.startswith(sign, start)), text[start]))
        yield text[start:end]
        start = end


_OF_STEP = frozenset({"old", "new", "added", "removed"})


class _Names(dict[str, Any]):
    """The names a condition sees: of the step, then the writing frame's, read one by one as they are asked for."""

    def __init__(self, step: Transition, frame: FrameType | None) -> None:
        super().__init__(absent=ABSENT)
        self._step = step
        self._frame = frame

    def __missing__(self, name: str) -> Any:
        if name in _OF_STEP:
            value = self[name] = getattr(self._step, name)
            return value
        frame = self._frame
        if frame is None:
            raise KeyError(name)
        value = frames.local(frame, name) if frame.f_code.co_flags & 1 else frame.f_locals.get(name, ABSENT)
        if value is ABSENT:
            raise KeyError(name)
        return value


def holds(condition: CodeType, step: Transition, frame: FrameType | None) -> bool:
    """Return the truth of `condition` for `step`. What it raises is the caller's to handle."""
    # A copy, since eval() would add __builtins__ to the program's own globals where they lack them.
    outer = {} if frame is None else dict(frame.f_globals)
    return bool(eval(condition, outer, _Names(step, frame)))
