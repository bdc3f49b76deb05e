"""Evaluates a watch expression again, where that makes calls that cannot be seen through, and compares its values."""

from __future__ import annotations

from collections.abc import Callable

from stopwhen import env, values
from stopwhen.entered_code import EnteredCode, entered_by
from stopwhen.originals import time, use_original_builtins
from stopwhen.type_hints import Any

use_original_builtins(globals())

UNREAD = object()
"""What evaluating returns when it has to wait."""

STRIDE = 256
"""Of so many looks that the C module makes one is made here, which counts for all of them. The same in content.c."""

SECONDS_WORTH_TELLING = 0.5
"""Evaluating takes that much of a run at least before its cost is told."""

HALF = 0.5
TIMES_TO_TELL = 3
"""How many times a value that differs is made anew, to tell a change from a value that is another each time."""

NEW_EACH_TIME, TAKES_HALF = "new-each-time", "half-of-run"
"""What may be found about evaluating."""

_NOTHING = object()
_NO_CODE = EnteredCode(frozenset(), (), stores=False)


class InsideCall(Exception):  # noqa: N818 - it says what was found
    """The thread is in the middle of an operation of the program's, where `evaluation` must not run."""

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__()
        self.evaluation = evaluation


class Evaluation:
    """The owner of an Opaque cell, one for each expression and scope while it is in use.

    Most evaluations go a short way: where a single call is all that cannot be seen through, and it returns what it
    returned before, the value is what it was, since whatever else it depends on is watched.

    Attributes:
        shortcut: that call and what it returned, for the C module; empty where only a whole evaluation will do.
        waited: since its last value an evaluation has been put off: who changed it is not certain.
        is_owed: an event of something else has been put off with it, and is to be told of as soon as it can be made.
        is_unsteady: it gives another value each time, though nothing changes.
        is_costly: it takes more than half of the run.

    Args:
        evaluate: returns the value; calls `make` for each call that cannot be seen through.
    """

    def __init__(self, evaluate: Callable[[], Any]) -> None:
        self.shortcut: list[Any] = []
        self.waited = False
        self.is_owed = False
        self.is_unsteady = False
        self.is_costly = False
        self._evaluate = evaluate
        self._calls = 0  # made by the latest evaluation
        self._call: Callable[[], Any] | None = None  # the single one, which the short way makes again
        self._returned: Any = None
        self._value: Any = UNREAD  # of the latest evaluation that did not have to wait
        self._entered = _NO_CODE
        self._news: list[str] = []
        self._signalled = 0  # how many of these looks have told that there are
        self._known: dict[object, EnteredCode] = {}
        self._begun = time.perf_counter()
        self._spent = 0.0
        self._least = 1.0  # seconds that the call has taken at the least

    def make(self, call: Callable[[], Any], attempt: Callable[..., Any], *, may_wait: bool, is_pure: bool) -> Any:
        """Return what `call` returns, a part of the expression that cannot be seen through.

        Args:
            call: a partial, or a function without arguments.
            attempt: calls a function, and raises what stands for the errors of the user's expression.
            may_wait: raise `InsideCall` where this thread is inside what must not be interrupted by it.
            is_pure: it runs no code of the program's.
        """
        self.shortcut.clear()
        entered = _NO_CODE if is_pure else entered_by(call, self._known)
        if may_wait and entered.is_running():
            raise InsideCall(self)
        try:
            value = attempt(_result_of, call)
        except Exception:
            self._note(call, _NOTHING, entered)
            raise
        self._note(call, value, entered)
        return value

    def __call__(self) -> Any:
        """Return the value, `UNREAD` where that has to wait for the end of an operation of the program's."""
        self._calls = 0
        try:
            value = self._evaluate()
        except InsideCall:
            self.waited = True
            self._call = self._returned = None
            return UNREAD
        if self._call is not None and not self._entered and self._returned is not _NOTHING:
            self.shortcut[:] = self._call, self._returned
        self._value = value
        return value

    def differs_from(self, seen: Any) -> tuple[bool, Any]:
        """Evaluate again; return whether there is something to tell of, and the value to compare the next one with."""
        begun = time.perf_counter()
        try:
            if seen is self._value and not self.is_owed and self._is_same_by_short_way():
                return self._has_news(), seen
            now = self()
            if now is UNREAD:
                return self._has_news(), seen
            if self.is_owed:
                self.is_owed = False
                return True, now
            if self.is_same(seen, now):
                return self._has_news(), now
            if not self.is_unsteady and self._gives_new_ones(now):
                self.is_unsteady = True
                self._news.append(NEW_EACH_TIME)
            self._signalled = len(self._news)
            return True, self._value
        finally:
            self._spent += time.perf_counter() - begun
            self._judge_cost()

    def is_same(self, seen: Any, now: Any) -> bool:
        """Return whether two values are the same; of one that is new each time only the type counts."""
        return type(seen) is type(now) if self.is_unsteady else values.same_result(seen, now)

    def take_news(self) -> list[str]:
        """Return what has been found about evaluating since this was called last, for messages."""
        news, self._news, self._signalled = self._news, [], 0
        return news

    def _has_news(self) -> bool:
        """Return whether there is news of which a look has not told yet."""
        signalled, self._signalled = self._signalled, len(self._news)
        return len(self._news) > signalled

    def share(self) -> float:
        """Return which part of the time since the beginning evaluating took."""
        return self._spent / max(time.perf_counter() - self._begun, self._spent, SECONDS_WORTH_TELLING)

    def _gives_new_ones(self, value: Any) -> bool:
        """Evaluate some times more; return whether each value is another one, and none of another thread's making."""
        for _ in range(TIMES_TO_TELL):
            again = self()
            if again is UNREAD or values.same_result(value, again):
                return False
            value = again
        return True

    def _judge_cost(self) -> None:
        if not self.is_costly and self._spent > SECONDS_WORTH_TELLING and self.share() > HALF:
            self.is_costly = True
            self._news.append(TAKES_HALF)

    def cost(self, looking: float, between: float) -> str:
        """Return what it costs to evaluate again and again, in words, from what it takes now.

        Args:
            looking: how many times as long a program runs by the looks alone.
            between: how many seconds it runs from one to the next.
        """
        self()
        evaluate: Callable[[], Any] | None = self._call if self.shortcut else lambda: self.differs_from(UNREAD)
        seconds = 1.0
        for _ in range(5):
            begun = time.perf_counter()
            if evaluate is not None:
                evaluate()
            seconds = min(seconds, time.perf_counter() - begun)
        times = looking + seconds / between
        return f"{_duration(seconds)}, after each call and store: about {_rounded(times)} times as long, in all code"

    def _is_same_by_short_way(self) -> bool:
        call = self._call
        if call is None:
            return False
        if self._entered.is_running():
            self.waited = True
            return True
        before = time.perf_counter()
        begun = time.perf_counter()
        try:
            now = _result_of(call)
        except Exception:
            return self._returned is _NOTHING
        if self.shortcut:  # the C module has made as many calls since the last one that was made here
            self._least = min(self._least, time.perf_counter() - 2 * begun + before)
            self._spent += max(self._least, 0.0) * (STRIDE - 1)
        return self._returned is not _NOTHING and values.same_result(self._returned, now)

    def _note(self, call: Callable[[], Any], value: Any, entered: EnteredCode) -> None:
        self._calls += 1
        self._entered = entered
        # A step towards another call is not held.
        self._call, self._returned = (call, value) if self._calls == 1 else (None, None)


def _result_of(call: Callable[[], Any]) -> Any:
    """Return what `call` returns; what it changes is no work of the program's."""
    return call() if env.core is None else env.core.evaluate(call)


def _duration(seconds: float) -> str:
    return f"{max(seconds, 1e-7) * 1e6:.1f} µs each time" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms each time"


def _rounded(times: float) -> str:
    """Return a number of times with the one or two digits that are known of it."""
    digits = 1 if times >= 10 else 0
    step = 10 ** max(len(str(int(times))) - 1, 0) if digits else 1
    return f"{round(times / step) * step:,}"
