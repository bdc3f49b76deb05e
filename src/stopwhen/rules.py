"""What a watchpoint asks of an event before it acts, and the checks of what users give for that."""

from __future__ import annotations

from stopwhen import conditions, simple_conditions
from stopwhen import location as locations
from stopwhen.errors import BadExpression, UsageError
from stopwhen.globs import Glob
from stopwhen.immutable import Immutable
from stopwhen.originals import use_original_builtins
from stopwhen.static import class_name
from stopwhen.texts import plain_str, text_of
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import Action

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType

    from stopwhen.event import Place
    from stopwhen.hit import Hit
    from stopwhen.location import Location
    from stopwhen.simple_conditions import Steps
    from stopwhen.terms import Terms


class HitCondition:
    """A rule on the hit count: `3` (the third hit only), `>=3`, `>3`, `<=3`, `<3`, `==3`, `!=3`, `%10`."""

    _OPERATORS = (">=", "<=", "==", "!=", ">", "<", "%", "")

    def __init__(self, rule: Any) -> None:
        text = str(rule) if type(rule) is int and -1 < rule < 10**18 else plain_str(rule)
        hint = "write 3 (the third hit only), '>=3', '<3', '!=3' or '%10' (every tenth)"
        if text is None and type(rule) is not int:
            raise UsageError(
                f"the hit condition {text_of(rule)} is of type {class_name(type(rule))!r}",
                slug="bad-hit-condition",
                hint=hint,
            )
        stripped = (text or "").strip()
        operator = next(one for one in self._OPERATORS if stripped.startswith(one))
        digits = stripped.removeprefix(operator).strip()
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 19
        if not is_number or (operator == "%" and int(digits) == 0):
            raise BadExpression(
                f"the hit condition {text_of(rule)} is no rule on a count", slug="bad-hit-condition", hint=hint
            )
        self._operator, self._number = operator, int(digits)
        self.text = text or ""

    @property
    def rule(self) -> tuple[str, int]:
        """Its operator, "" for none, and its number."""
        return self._operator, self._number

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


class Patterns:
    """Patterns as a shell has them, of names or of files.

    The answer for each name is kept.
    """

    __slots__ = ("_answers", "_globs", "texts")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts = tuple(texts)
        self._globs = tuple(map(Glob, self.texts))
        self._answers: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self.texts)

    def match(self, name: str | None) -> bool:
        """Return whether a name fits one of them; None fits none."""
        if name is None:
            return False
        answer = self._answers.get(name)
        if answer is None:
            answer = self._answers[name] = any(glob.fits(name) for glob in self._globs)
        return answer

    def match_file(self, filename: str | None) -> bool:
        """Return whether a file fits one of them, by its path, as reports print it, or by the name that imports it."""
        if filename is None or not self.texts:
            return False
        names = (filename, locations.path_name(filename), locations.short_name(filename))
        return any(self.match(name) for name in names)


_NONE = Patterns()


class Rules(Immutable):
    """What a watchpoint asks of an event before it acts, and how it acts.

    Attributes:
        condition: compiled expression over `old`, `new`, `added`, `removed`, `absent` and the writing frame's names, or
            a callable of the hit; None for none.
        hit_condition: rule on the count; None for none.
        steps: the condition as the C module evaluates it; None where that is Python's.
        threads: names of the threads whose writes count; empty for all, as below.
        tasks: names of the asyncio tasks whose writes count.
        files: files whose writes count.
        not_files: files whose writes do not count.
        functions: qualified names of the functions whose writes count.
        callers: files or qualified names, such as some frame of the stack is to have.
        action: what a hit does.
    """

    condition: CodeType | Callable[[Hit], object] | None = None
    hit_condition: HitCondition | None = None
    threads: Patterns = _NONE
    tasks: Patterns = _NONE
    files: Patterns = _NONE
    not_files: Patterns = _NONE
    functions: Patterns = _NONE
    callers: Patterns = _NONE
    action: Action | Callable[[Hit], object] = Action.STOP
    steps: Steps | None = None

    @property
    def has_filters(self) -> bool:
        """Whether it matters who writes."""
        return any((self.threads, self.tasks, self.files, self.not_files, self.functions, self.callers))

    def allow_writer(
        self, thread: str, task: Callable[[], str | None], writer: Location | None, stack: Iterable[Place]
    ) -> bool:
        """Return whether the filters let a write pass.

        Args:
            thread: name of the thread that wrote.
            task: returns the name of its asyncio task, None for none.
            writer: where it wrote; None where there was no Python frame.
            stack: all its frames, innermost first.
        """
        if self.threads and not self.threads.match(thread):
            return False
        filename = None if writer is None else writer.filename
        if (self.files and not self.files.match_file(filename)) or self.not_files.match_file(filename):
            return False
        if self.functions and not (writer is not None and self.functions.match(writer.function)):
            return False
        if self.tasks and not self.tasks.match(task()):
            return False
        return not self.callers or any(self._is_caller(code) for code, _ in stack)

    def _is_caller(self, code: CodeType) -> bool:
        return self.callers.match(plain_str(code.co_qualname)) or self.callers.match_file(locations.filename_of(code))


def rules_of(terms: Terms) -> Rules:
    """Return what is asked of events, checked.

    Raises:
        BadExpression: a condition or hit condition cannot be understood.
        UsageError: something is of a wrong kind.
    """
    flag_of("allow_calls", terms.allow_calls)
    flag_of("pin", terms.pin)
    depth_of(terms.depth)
    return Rules(
        condition_of(terms.condition),
        None if terms.hit_condition is None else HitCondition(terms.hit_condition),
        patterns_of("threads", terms.threads),
        patterns_of("tasks", terms.tasks),
        patterns_of("files", terms.files),
        patterns_of("not_files", terms.not_files),
        patterns_of("functions", terms.functions),
        patterns_of("callers", terms.callers),
        action_of(terms.action),
        steps_of(terms.condition),
    )


def condition_of(condition: Any) -> CodeType | Callable[[Hit], object] | None:
    """Return a condition as `Rules` has it.

    Raises:
        UsageError: it is something else.
    """
    if condition is None:
        return None
    text = plain_str(condition)
    if text is not None:
        return conditions.compile_condition(text)
    if callable(condition):
        return condition  # type: ignore[no-any-return] # a callable of whatever kind
    raise UsageError(
        f"the condition {text_of(condition)} is of type {class_name(type(condition))!r}",
        slug="bad-condition",
        hint="give its text, such as 'new < 0', or a callable given the hit",
    )


def steps_of(condition: Any) -> Steps | None:
    """Return a condition that `condition_of` takes as steps for the C module; None where it is not simple."""
    return simple_conditions.condition_steps(condition) if type(condition) is str else None


def action_of(action: Any) -> Action | Callable[[Hit], object]:
    """Return an action as `Rules` has it.

    Raises:
        UsageError: it is something else.
    """
    if type(action) is Action:
        return action
    text = plain_str(action)
    if text is not None and text in {one.value for one in Action}:
        return Action(text)
    if text is None and callable(action):
        return action  # type: ignore[no-any-return] # a callable of whatever kind
    raise UsageError(
        f"there is no action {text_of(action)}",
        slug="unknown-action",
        hint=f"one of {', '.join(repr(one.value) for one in Action)}, or a callable given the hit, such as print",
    )


def depth_of(depth: Any) -> int | str:
    """Return a depth that makes sense.

    Raises:
        UsageError: it is something else.
    """
    text = plain_str(depth)
    if text == "all" or (type(depth) is int and depth >= 0):
        return depth if text is None else text
    is_number = text is not None and text.isascii() and text.isdigit()
    raise UsageError(
        f"depth is {text_of(depth)}, neither a number from 0 on nor 'all'",
        slug="bad-depth",
        hint=f"write the number without quotes: depth={text}"
        if is_number
        else "0 sees rebinding only, 1 the object's own content too, 'all' whatever it reaches",
    )


def flag_of(name: str, given: Any) -> bool:
    """Return a yes or no; `name` is what messages call it.

    Raises:
        UsageError: it is something else.
    """
    if type(given) is bool:
        return given
    raise UsageError(
        f"{name} is {text_of(given)}, neither True nor False",
        slug="bad-flag",
        hint=f"write {name}=True, or leave it out",
    )


def patterns_of(name: str, given: Any) -> Patterns:
    """Return patterns as `Rules` has them; `name` is what messages call them.

    Raises:
        UsageError: it is something else.
    """
    if given is None:
        return _NONE
    hint = _PATTERN_HINTS.get(name, "give a text such as '*/lib/*', or several")
    text = plain_str(given)
    try:
        listed = [given] if text is not None else list(given)
    except Exception:  # the program's own code may run
        raise UsageError(f"{name} is {text_of(given)}, which is no text", slug="bad-pattern", hint=hint) from None
    patterns = [plain_str(one) for one in listed]
    for one, pattern in zip(listed, patterns, strict=True):
        if pattern is None or type(given) in (bytes, bytearray):
            raise UsageError(f"{name} holds {text_of(one)}, which is no text", slug="bad-pattern", hint=hint)
    return Patterns([one for one in patterns if one is not None])


_PATTERN_HINTS = {
    "threads": "give names, such as 'worker-*': that of a thread is its attribute 'name'",
    "tasks": "give names, such as 'Task-*': that of a task is task.get_name()",
    "functions": "give qualified names, such as 'Cart.add' or 'load_*'",
    "callers": "give files or qualified names, such as '*/jobs/*' or 'Worker.run'",
}
