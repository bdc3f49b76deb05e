"""What hits run of the user's code: conditions and actions, in the thread that wrote."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from stopwhen import actions, conditions, env
from stopwhen.missed import is_own_failure
from stopwhen.texts import text_of
from stopwhen.types import Action

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from stopwhen.actions import Output
    from stopwhen.hit import Hit
    from stopwhen.watchpoint import Watchpoint


class DueHit(NamedTuple):
    """A hit whose action waits for the thread that wrote."""

    hit: Hit
    frame: FrameType | None


class Raise(NamedTuple):
    """An exception to raise in a frame as if its instruction at `offset` had raised it."""

    error: BaseException
    frame: FrameType | None
    offset: int


class Acting:
    """Runs conditions at once, and actions when the thread that wrote comes for them.

    Args:
        output: where logged hits and errors go.
        absorb: takes what has changed meanwhile as seen.
        fail: takes note of an error of ours, for which a hit is not reported.
    """

    def __init__(
        self, output: Output, absorb: Callable[[], None], fail: Callable[[Watchpoint, BaseException], None]
    ) -> None:
        self.output = output
        self._absorb = absorb
        self._fail = fail
        self._due: dict[int, list[DueHit]] = {}
        self._threads: set[int] = set()

    def __len__(self) -> int:
        """Return for how many threads actions wait."""
        return len(self._due)

    def is_acting(self) -> bool:
        """Return whether this thread runs a condition or action."""
        return get_ident() in self._threads

    def expression_holds(self, watchpoint: Watchpoint, old: Any, new: Any, frame: FrameType | None) -> bool:
        """Return whether a condition that is an expression is true; so is none, or one of another kind."""
        condition = watchpoint.rules.condition
        if condition is None or callable(condition):
            return True
        return self._ask(watchpoint, lambda: conditions.holds(condition, old, new, frame))

    def callable_holds(self, watchpoint: Watchpoint, hit: Hit) -> bool:
        """Return whether a condition that is a callable returns true for `hit`; so is none, or one of another kind."""
        condition = watchpoint.rules.condition
        if not callable(condition):
            return True
        return self._ask(watchpoint, lambda: bool(condition(hit)))

    def add(self, thread_id: int, due: DueHit) -> None:
        """Let an action wait for a thread."""
        self._due.setdefault(thread_id, []).append(due)

    def take(self) -> list[DueHit]:
        """Take what waits for this thread."""
        return self._due.pop(get_ident(), [])

    def run(self, due: list[DueHit]) -> Raise | None:
        """Run the actions of `due`; return the last exception that is meant for the program, when all have run."""
        raised = None
        for hit, frame in due:
            try:
                self._act(hit, frame)
            except BaseException as error:
                watchpoint: Any = hit.watchpoint
                if watchpoint.rules.action is not Action.RAISE and is_own_failure(error):
                    self._fail(watchpoint, error)
                    continue
                offset = hit.places[0][1] if hit.places else 0
                raised = Raise(error.with_traceback(None), frame, offset)
        return raised

    def forget_threads(self) -> None:
        """Forget all threads but this one, in a forked child."""
        self._due.clear()
        self._threads &= {get_ident()}

    def enter(self) -> None:
        """Begin with code of the user's: what this thread changes now is its work, and no hit."""
        if env.core is not None:
            env.core.resync()  # what other threads have changed meanwhile is not its work
            env.core.own(True)
        self._threads.add(get_ident())

    def leave(self) -> None:
        """End code of the user's."""
        try:
            self._absorb()
        finally:
            self._threads.discard(get_ident())
            if env.core is not None:
                env.core.own(False)

    def _ask(self, watchpoint: Watchpoint, condition: Callable[[], bool]) -> bool:
        """Return what a condition says; one that raises counts as true, which is said once."""
        with _Own(self):
            try:
                return condition()
            except Exception as error:
                if not watchpoint.condition_failed:
                    watchpoint.condition_failed = True
                    self.output.say(
                        f"the condition of {watchpoint.expression.text!r} raised {_error_text(error)}, "
                        "which counts as true [condition-error]"
                    )
                return True

    def _act(self, hit: Hit, frame: FrameType | None) -> None:
        action = hit.watchpoint.rules.action  # type: ignore[attr-defined] # the hit's watchpoint is a Watchpoint
        if action is Action.RAISE:
            actions.raise_changed(hit)
        with _Own(self):
            if action is Action.LOG:
                actions.log(hit, self.output)
            elif action is Action.STOP:
                actions.stop(hit, frame, self.output)
            else:
                self._call(action, hit)

    def _call(self, action: Callable[[Hit], object], hit: Hit) -> None:
        try:
            action(hit)
        except Exception as error:
            self.output.say_once(
                f"the action of {hit.watchpoint.expression.text!r} raised {_error_text(error)}; "
                "the program goes on [action-error]"
            )


class _Own:
    """While it is entered, what this thread changes is the work of a condition or action, and no hit."""

    def __init__(self, acting: Acting) -> None:
        self._acting = acting

    def __enter__(self) -> None:
        self._acting.enter()

    def __exit__(self, *_error: object) -> None:
        self._acting.leave()


def _error_text(error: BaseException) -> str:
    return f"{type(error).__name__}: {text_of(error.args[0]) if error.args else ''}".rstrip(": ")
