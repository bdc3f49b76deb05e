"""What a watchpoint asks of an event before it acts, and the checks of what users give for that."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stopwhen import conditions
from stopwhen import location as locations
from stopwhen.errors import BadExpression, UsageError
from stopwhen.texts import text_of
from stopwhen.types import Action

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from stopwhen.hit import Hit


class HitCondition:
    """A rule on the hit count: `3` (the third hit only), `>=3`, `>3`, `<=3`, `<3`, `==3`, `!=3`, `%10`."""

    _FORM = re.compile(r"\s*(>=|<=|==|!=|>|<|%|)\s*(\d+)\s*")

    def __init__(self, rule: str | int) -> None:
        match = self._FORM.fullmatch(str(rule)) if type(rule) in (str, int) else None
        if match is None or (match[1] == "%" and int(match[2]) == 0):
            raise BadExpression(
                f"the hit condition {rule!r} is no rule on a count",
                slug="bad-hit-condition",
                hint="write 3 (the third hit only), >=3, <3, !=3 or %10 (every tenth)",
            )
        self._operator, self._number = match[1], int(match[2])
        self.text = str(rule)

    def holds(self, count: int) -> bool:
        """Return whether a hit with this count acts."""
        number = self._number
        match self._operator:
            case ">=":
                return count >= number
            case ">":
                return count > number
            case "<=":
                return count <= number
            case "<":
                return count < number
            case "!=":
                return count != number
            case "%":
                return count % number == 0
        return count == number


@dataclass(frozen=True, slots=True)
class Rules:
    """What a watchpoint asks of an event before it acts, and how it acts.

    Attributes:
        condition: compiled expression over `old`, `new`, `added`, `removed`, `absent` and the writing frame's names, or
            a callable of the hit; None for none.
        hit_condition: rule on the count; None for none.
        threads: patterns of names of the threads whose writes count; empty for all.
        files: patterns of the files whose writes count; empty for all.
        not_files: patterns of the files whose writes do not count.
        action: what a hit does.
    """

    condition: CodeType | Callable[[Hit], object] | None = None
    hit_condition: HitCondition | None = None
    threads: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    not_files: tuple[str, ...] = ()
    action: Action | Callable[[Hit], object] = Action.STOP

    def allow_writer(self, thread: str, filename: str | None) -> bool:
        """Return whether the filters let a write of this thread in this file pass."""
        if self.threads and not any(fnmatch.fnmatchcase(thread, pattern) for pattern in self.threads):
            return False
        if self.files and not _matches(filename, self.files):
            return False
        return not _matches(filename, self.not_files)


def _matches(filename: str | None, patterns: tuple[str, ...]) -> bool:
    if filename is None or not patterns:
        return False
    names = (filename, locations.short_name(filename))
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def condition_of(condition: Any) -> CodeType | Callable[[Hit], object] | None:
    """Return a condition as `Rules` has it.

    Raises:
        UsageError: it is something else.
    """
    if condition is None or callable(condition):
        return condition  # type: ignore[no-any-return] # a callable of whatever kind
    if type(condition) is str:
        return conditions.compile_condition(condition)
    raise UsageError(
        f"condition is of type {type(condition).__name__!r}", slug="bad-condition", hint="give a text or a callable"
    )


def action_of(action: Any) -> Action | Callable[[Hit], object]:
    """Return an action as `Rules` has it.

    Raises:
        UsageError: it is something else.
    """
    if isinstance(action, Action):
        return action
    if callable(action):
        return action  # type: ignore[no-any-return] # a callable of whatever kind
    if type(action) is str and action in {one.value for one in Action}:
        return Action(action)
    raise UsageError(
        f"there is no action {text_of(action)}",
        slug="unknown-action",
        hint=f"one of {', '.join(one.value for one in Action)}, or a callable given the hit",
    )


def depth_of(depth: Any) -> int | str:
    """Return a depth that makes sense.

    Raises:
        UsageError: it is something else.
    """
    if depth == "all" or (type(depth) is int and depth >= 0):
        return depth  # type: ignore[no-any-return] # one of the two
    raise UsageError(f"depth is {text_of(depth)}", slug="bad-depth", hint="0, 1, 2, ... or 'all'")


def patterns_of(name: str, given: Any) -> tuple[str, ...]:
    """Return patterns as `Rules` has them; `name` is what messages call them.

    Raises:
        UsageError: it is something else.
    """
    if given is None:
        return ()
    patterns = (given,) if type(given) is str else tuple(given)
    for pattern in patterns:
        if type(pattern) is not str:
            raise UsageError(
                f"{name} holds {text_of(pattern)}", slug="bad-pattern", hint="give texts such as '*/lib/*'"
            )
    return patterns
