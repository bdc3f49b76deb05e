"""What hits run of the user's code: conditions and actions, in the thread that wrote."""

from __future__ import annotations

from _thread import get_ident

from stopwhen import actions, conditions, env
from stopwhen.missed import is_own_failure
from stopwhen.originals import use_original_builtins
from stopwhen.scope import main
from stopwhen.stopping import Step, Stops, take_steps
from stopwhen.texts import Text, text_of
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import Action

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import FrameType

    from stopwhen.actions import Output
    from stopwhen.before import Transition
    from stopwhen.hit import Hit
    from stopwhen.watchpoint import Watchpoint


_ANY = 0
"""Stands for whichever thread comes first; no thread has that id."""


class DueHit:
    """A hit whose action waits for the thread that wrote."""

    __slots__ = ("frame", "hit")

    def __init__(self, hit: Hit, frame: FrameType | None) -> None:
        self.hit = hit
        self.frame = frame


class Raise(tuple[Any, ...]):
    """An exception, a frame, and the offset of its instruction that shall have raised it; a tuple, as C takes it."""

    __slots__ = ()

    @property
    def error(self) -> BaseException:
        """The exception."""
        return self[0]  # type: ignore[no-any-return]


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
        self._stops = Stops(lambda: self.output)
        self._depths: dict[int, int] = {}

    def __len__(self) -> int:
        """Return for how many threads actions wait."""
        return len(self._due)

    def is_acting(self) -> bool:
        """Return whether this thread runs a condition or action."""
        return get_ident() in self._depths

    def expression_holds(self, watchpoint: Watchpoint, step: Transition, frame: FrameType | None) -> bool:
        """Return whether a condition that is an expression is true; so is none, or one of another kind."""
        condition = watchpoint.rules.condition
        if condition is None or callable(condition):
            return True
        return self._ask(watchpoint, lambda: conditions.holds(condition, step, frame))

    def callable_holds(self, watchpoint: Watchpoint, hit: Hit, frame: FrameType | None) -> bool:
        """Return whether a condition that is a callable returns true for `hit`; so is none, or one of another kind."""
        condition = watchpoint.rules.condition
        if not callable(condition):
            return True
        return self._ask(watchpoint, lambda: bool(hit.call(condition, frame)))

    def add(self, thread_id: int, due: DueHit) -> None:
        """Let an action wait for a thread; for any, where there was no Python frame: that one may have ended."""
        self._due.setdefault(_ANY if due.frame is None else thread_id, []).append(due)

    def take(self) -> list[DueHit]:
        """Take what waits for this thread, what waits for any, and what waits for threads that have ended."""
        return self._due.pop(_ANY, []) + self._due.pop(get_ident(), []) + self.take_of_ended()

    def take_of_ended(self) -> list[DueHit]:
        """Take what waits for threads that have ended: nobody else will."""
        return [DueHit(one.hit, None) for thread_id in self._ended() for one in self._due.pop(thread_id)]

    def waits_for_ended(self) -> bool:
        """Return whether something waits for a thread that has ended."""
        return bool(self._ended())

    def _ended(self) -> list[int]:
        if not self._due or env.core is None:
            return []
        return [thread_id for thread_id in self._due if thread_id != _ANY and not env.core.has_thread(thread_id)]

    def at_prompt(self, show: Callable[[Hit], object]) -> AbstractContextManager[None]:
        """Return a context in which a debugger's user types what no hit comes of, while no other thread is at that.

        `show` reports what is true already when a watchpoint is set there.
        """
        return _AtPrompt(self, self._stops, show)

    def take_stops(self) -> list[Hit]:
        """Take the hits for which this thread is to stop; what else waits for it goes on waiting."""
        due = self.take()
        stops = [one for one in due if _action_of(one.hit) is Action.STOP and self.output.owner_of(one.hit) is None]
        others = [one for one in due if one not in stops]
        if others:
            self._due[get_ident()] = others
        return [one.hit for one in stops]

    def run(self, due: list[DueHit]) -> Raise | None:
        """Run the actions of `due`; return the last exception that is meant for the program, when all have run."""
        raised: Raise | None = take_steps(self.begin(due, by_event=False))
        return raised

    def begin(self, due: list[DueHit], *, by_event: bool) -> Step | Raise | None:
        """Run the actions of `due`, but for what is to be called without a frame of ours in between.

        `by_event`: the C module, called by an event, takes the steps that are returned; else the caller does.
        """
        raised = None
        stops = []
        for one in due:
            hit = one.hit
            try:
                self.output.record(hit)
                if _action_of(hit) is Action.STOP:
                    stops.append(one)
                else:
                    self._act(hit, one.frame)
            except BaseException as error:
                watchpoint: Any = hit.watchpoint
                if watchpoint.rules.action is not Action.RAISE and is_own_failure(error):
                    self._fail(watchpoint, error)
                    continue
                offset = hit.places[0][1] if hit.places else 0
                raised = Raise((error.with_traceback(None), one.frame, offset))
        return self._stop(stops, raised, by_event=by_event) if stops else raised

    def _stop(self, stops: list[DueHit], raised: Raise | None, *, by_event: bool) -> Any:
        """Stop once for all hits of this moment that concern the same terminal, and then go on to `raised`."""
        waiting: dict[object, list[DueHit]] = {}
        for stop in stops:
            waiting.setdefault(self.output.owner_of(stop.hit), []).append(stop)

        def go_on(error: BaseException | None) -> Any:
            if error is not None or not waiting:
                self.leave()
                return raised if error is None else Raise((error, None, 0))
            same = waiting.pop(next(iter(waiting)))
            try:
                return self._stops.at([one.hit for one in same], same[-1].frame, go_on, by_event=by_event)
            except BaseException:
                self.leave()
                raise

        self.enter()
        return go_on(None)

    def close(self) -> None:
        """End what the process is about to leave behind."""
        self._stops.close()

    def forget_threads(self) -> None:
        """Forget all threads but this one, in a forked child."""
        me = get_ident()
        self._due.clear()
        self._depths = {thread: depth for thread, depth in self._depths.items() if thread == me}
        self._stops.forget_threads()

    def enter(self, *, is_ours: bool = False) -> None:
        """Begin with code of the user's: what this thread changes now is its work, and no hit. May be nested.

        `is_ours`: it is not the user's, and no signal is handled nor garbage collected meanwhile.
        """
        if env.core is not None:
            env.core.resync()  # what other threads have changed meanwhile is not its work
            env.core.own(True)
            if not is_ours:
                env.core.let_run(True)
        if not is_ours:
            main.keep()
        me = get_ident()
        self._depths[me] = self._depths.get(me, 0) + 1

    def leave(self, *, is_ours: bool = False) -> None:
        """End what `enter` has begun."""
        me = get_ident()
        try:
            if env.core is not None and not is_ours:
                env.core.let_run(False)
            self._absorb()
        finally:
            if not is_ours:
                main.end_keeping()
            self._depths[me] -= 1
            if not self._depths[me]:
                del self._depths[me]
            if env.core is not None:
                env.core.own(False)

    def _ask(self, watchpoint: Watchpoint, condition: Callable[[], bool]) -> bool:
        """Return what a condition says; one that raises counts as true, which is said once."""
        with Own(self, is_ours=not callable(watchpoint.rules.condition)):
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
        action = _action_of(hit)
        if not isinstance(action, Action) and not callable(action):
            return  # the program has loaded us anew just now, and this is what Action was before: its end is told next
        if action is Action.RAISE and frame is not None:
            actions.raise_changed(hit)
        with Own(self, is_ours=isinstance(action, Action)):
            if action is Action.LOG or action is Action.RAISE:
                actions.log(hit, self.output)
            else:
                self._call(action, hit, frame)
            if action is Action.RAISE:
                self.output.say_once(
                    f"a change of {hit.watchpoint.expression.text!r} raises nothing: what made it has no Python frame "
                    "to raise in [no-frame]"
                )

    def _call(self, action: Callable[[Hit], object], hit: Hit, frame: FrameType | None) -> None:
        try:
            hit.call(action, frame)
            if env.core is not None and "old_text" in hit.__dict__:  # else it is made of simple values
                env.core.lighten(hit.__dict__, Text(hit.old_text))
        except Exception as error:
            self.output.say_once(
                f"the action of {hit.watchpoint.expression.text!r} raised {_error_text(error)}; "
                "the program goes on [action-error]"
            )


class Own:
    """While it is entered, what this thread changes is the work of a condition or action, and no hit."""

    def __init__(self, acting: Acting, *, is_ours: bool = False) -> None:
        self._acting = acting
        self._is_ours = is_ours

    def __enter__(self) -> None:
        self._acting.enter(is_ours=self._is_ours)

    def __exit__(self, *_error: object) -> None:
        self._acting.leave(is_ours=self._is_ours)


class _AtPrompt(Own):
    """As `Own`, while a debugger's user types."""

    def __init__(self, acting: Acting, stops: Stops, show: Callable[[Hit], object]) -> None:
        super().__init__(acting)
        self._stops = stops
        self._show = show
        self._is_first = False

    def __enter__(self) -> None:
        self._is_first = self._stops.enter(self._show)
        try:
            super().__enter__()
        except BaseException:
            self._leave()
            raise

    def __exit__(self, *error: object) -> None:
        try:
            super().__exit__(*error)
        finally:
            self._leave()

    def _leave(self) -> None:
        if self._is_first:
            self._stops.leave()


def _action_of(hit: Hit) -> Any:
    return hit.watchpoint.rules.action  # type: ignore[attr-defined] # the hit's watchpoint is a Watchpoint


def _error_text(error: BaseException) -> str:
    return f"{type(error).__name__}: {text_of(error.args[0]) if error.args else ''}".rstrip(": ")
