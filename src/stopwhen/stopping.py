"""Opens the user's debugger in the frame that wrote, as `breakpoint()` standing between two instructions would.

The debugger is called from the event itself, so that the frame that it finds as its caller's is the program's. Most
debuggers then wait for the next event of a trace function; they get it at once, for the frame that wrote, before that
frame's next instruction.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from _thread import allocate_lock, get_ident
from collections.abc import Callable, Sequence

from stopwhen import env, location, terminals
from stopwhen.debuggers import (
    debugger_of,
    hide_what_runs_the_program,
    is_monitoring,
    is_quit,
    is_replaced,
    resume,
    running_debugger,
)
from stopwhen.errors import UsageError
from stopwhen.immutable import Immutable
from stopwhen.originals import use_original_builtins
from stopwhen.texts import clean
from stopwhen.type_hints import TYPE_CHECKING, Any, TypeAlias

use_original_builtins(globals())

if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType

    from stopwhen.actions import Output
    from stopwhen.hit import Hit

OURS = "stopwhen.pdb"
"""Name of the module of our own debugger: a front end, which nothing imports but by name."""

VARIABLE = "PYTHONBREAKPOINT"

_ON_A_TERMINAL = frozenset({"pdb", "ipdb", "IPython", "pudb", "bpdb", "stopwhen"})
"""The modules whose debuggers read what the terminal says. Others may have their own ways: a port, a browser."""

Result: TypeAlias = Any
"""A Step to take next, or the end's result."""


class Step(tuple[Any, ...]):
    """A call to make from the event itself, with no frame of ours between it and the program's, and what comes then.

    That is a function which is given what the call raised, None for nothing, and returns what is to be done next: a
    Step, or anything else, which is the end. It is a tuple of both, as the C module takes it.
    """

    __slots__ = ()


class Debugger(Immutable):
    """What to open.

    Attributes:
        name: what messages call it.
        open: called without arguments; it stops in the frame of its caller, or at the next event of a trace function.
        knows_the_frame: `open` needs no caller to find the frame.
        shows_hits: it reports the hits itself.
        has_output: our own reports reach the terminal only once it is opened.
        on_a_terminal: it is of no use without one.
    """

    name: str
    open: Callable[[], object]
    knows_the_frame: bool = False
    shows_hits: bool = False
    has_output: bool = False
    on_a_terminal: bool = False


in_use: Callable[[Sequence[Hit], FrameType], object] | None = None
"""Opens the debugger that the user works in, when that is ours; set by the front end."""


class Stops:
    """The stops of one process: one at a time is at its prompt."""

    def __init__(self, output: Callable[[], Output]) -> None:
        self._output = output
        self._lock = allocate_lock()
        self._threads: set[int] = set()
        self._shows: dict[int, Callable[[Hit], object]] = {}
        self._terminal: list[Any] | None = None

    def at(
        self,
        hits: Sequence[Hit],
        frame: FrameType | None,
        end: Callable[[BaseException | None], Any],
        *,
        by_event: bool,
    ) -> Result:
        """Begin the stop that `hits` ask for in `frame`, and return what is to be done.

        Args:
            hits: of one thread, the running one.
            frame: the frame that wrote; None where there was none.
            end: given what the debugger raised for the program, None for nothing; what it returns is the end's result.
            by_event: the steps are taken by the event, so that what they call has the program's frame for its caller's.
        """
        debugger = None if frame is None or self._is_at_a_prompt() else self._debugger(hits, frame)
        if debugger is None or not (debugger.shows_hits or debugger.has_output):
            self.show(hits)
        if debugger is None or frame is None:
            return end(None)
        frame = _living(frame)
        in_place = debugger.knows_the_frame or (by_event and _innermost() is frame)
        return _Stop(self, debugger, hits, frame, end).begin(in_place=in_place)

    def show(self, hits: Sequence[Hit]) -> None:
        """Report hits; at a prompt, where its debugger reports."""
        output = self._output()
        output.arm()  # pytest, for one, has given the terminal back for the prompt
        show = self._shows.get(get_ident(), output.show)
        for hit in hits:
            show(hit)

    def enter(self, show: Callable[[Hit], object] | None = None) -> bool:
        """Wait until no other thread is at a prompt; return False, and do not wait, when this one is.

        `show` reports hits until the prompt is left.
        """
        is_first = get_ident() not in self._threads
        if is_first:
            self._lock.acquire()
            self._threads.add(get_ident())
        if show is not None:
            self._shows[get_ident()] = show
        if not is_first:
            return False
        self._terminal = terminals.mode()
        return True

    def leave(self) -> None:
        """Let the next thread come to its prompt."""
        self._shows.pop(get_ident(), None)
        self._threads.discard(get_ident())
        self._lock.release()

    def close(self) -> None:
        """At the end of the process, give the terminal back as the prompt of a daemon thread has found it."""
        if self._threads - {get_ident()} and self._terminal is not None:
            terminals.set_mode(self._terminal)

    def forget_threads(self) -> None:
        """In a forked child, forget the prompts of the parent's other threads."""
        me = get_ident()
        self._lock = allocate_lock()
        self._threads &= {me}
        if self._threads:
            self._lock.acquire()

    def say_error(self, name: str, error: BaseException) -> None:
        """Report what a debugger raised that is no wish of the user's."""
        self._output().say_once(
            f"the debugger {name} raised {type(error).__name__}: {_words_of(error)}; the program goes on "
            "[debugger-error]"
        )

    def _is_at_a_prompt(self) -> bool:
        """Tell whether this thread writes on behalf of a debugger: what is typed at its prompt does not stop again."""
        bdb = sys.modules.get("bdb")
        return get_ident() in self._threads or (bdb is not None and _is_called_by(bdb.Bdb.trace_dispatch.__code__))

    def _debugger(self, hits: Sequence[Hit], frame: FrameType) -> Debugger | None:
        debugger = self._chosen(hits, frame)
        if debugger is not None and debugger.on_a_terminal and not self._finds_terminal():
            return None
        return debugger

    def _finds_terminal(self) -> bool:
        """Tell whether a prompt can be shown and answered, and say so where it cannot."""
        found = terminals.is_there()
        if not found:
            self._output().say_once(
                "no terminal to stop at: hits are logged instead (--action log says so without this line) [no-terminal]"
            )
        return found

    def _chosen(self, hits: Sequence[Hit], frame: FrameType) -> Debugger | None:
        """Return the debugger that `breakpoint()` would open here, but ours for the default; None for none."""
        name = "" if sys.flags.ignore_environment else os.environ.get(VARIABLE, "")
        hook = vars(sys).get("breakpointhook")
        is_usual = hook is sys.__breakpointhook__
        is_off = hook is None or (is_usual and name == "0")
        opens = is_off or self._output().debugger_for(hits[0], frame)
        if opens is not True:
            return None if opens is False else Debugger("of this front end", opens, knows_the_frame=True)
        if in_use is not None:
            return Debugger(OURS, functools.partial(in_use, hits, frame), knows_the_frame=True, shows_hits=True)
        if hook is None or is_off:
            return None
        if not is_usual:
            return Debugger("of sys.breakpointhook", hook)
        if name in ("", f"{OURS}.set_trace"):
            return self._default(hits, frame) if not name else self._ours(hits, frame)
        return self._named(name)

    def _default(self, hits: Sequence[Hit], frame: FrameType) -> Debugger | None:
        running = running_debugger(frame)
        if hasattr(running, "stop_at"):
            opens = functools.partial(running.stop_at, hits, frame)
            return Debugger(OURS, opens, knows_the_frame=True, shows_hits=True)
        if running is not None:
            return Debugger(type(running).__name__, functools.partial(resume, running, frame), knows_the_frame=True)
        if is_replaced(sys.modules.get("pdb")):  # pytest does that, and lets go of its capture for the prompt
            return Debugger("of pdb.set_trace", sys.__breakpointhook__, has_output=True, on_a_terminal=True)
        return self._ours(hits, frame)

    def _ours(self, hits: Sequence[Hit], frame: FrameType) -> Debugger | None:
        if not self._finds_terminal():
            return None
        try:
            module = importlib.import_module(OURS)
            opens = functools.partial(module.stop_at, hits, frame)
        except (ImportError, AttributeError) as error:  # the program is just importing what a debugger needs
            self._say_missing(OURS, error, "the program is importing a module that it needs")
            return None
        return Debugger(OURS, opens, knows_the_frame=True, shows_hits=True)

    def _named(self, name: str) -> Debugger | None:
        module, _, function = name.rpartition(".")
        try:
            getattr(importlib.import_module(module or "builtins"), function)
        except (ImportError, AttributeError) as error:
            root = module.partition(".")[0] or name
            self._say_missing(f"{name!r} that {VARIABLE} names", error, f"pip install {root}, or unset {VARIABLE}")
            return Debugger(name, sys.__breakpointhook__)  # which warns, as it does for breakpoint()
        except Exception as error:
            self.say_error(name, error)
            return None
        root = module.partition(".")[0]
        remote = module.startswith("pudb.remote") or (root == "pudb" and "PUDB_TTY" in os.environ)
        return Debugger(name, sys.__breakpointhook__, on_a_terminal=root in _ON_A_TERMINAL and not remote)

    def _say_missing(self, name: str, error: BaseException, hint: str) -> None:
        message = f"cannot open the debugger {name}: {_words_of(error)}; hits are logged instead"
        self._output().say_once(str(UsageError(message, slug="no-debugger", hint=hint)))


class _Stop:
    """One stop: opens the debugger, and gives it the event that it waits for."""

    def __init__(
        self,
        stops: Stops,
        debugger: Debugger,
        hits: Sequence[Hit],
        frame: FrameType,
        end: Callable[[BaseException | None], Any],
    ) -> None:
        self._stops = stops
        self._debugger = debugger
        self._hits = hits
        self._frame = frame
        self._end = end
        self._trace_before = frame.f_trace

    def begin(self, *, in_place: bool) -> Result:
        """Open the debugger as the frame itself would; `in_place`: what is called finds the frame."""
        try:
            self._stops.enter()
        except BaseException as error:  # Ctrl-C while it waited for another thread's prompt
            if self._debugger.shows_hits:
                self._stops.show(self._hits)
            return self._end(error.with_traceback(None))
        if in_place:
            return Step((self._debugger.open, self._opened))
        return Step((functools.partial(_call_in_place_of, self._frame), self._opened_elsewhere))

    def _opened_elsewhere(self, error: BaseException | None) -> Result:
        """Turn a debugger that was opened in another frame than the one that wrote to that one."""
        debugger = debugger_of(self._frame)
        if error is None and debugger is not None and self._frame.f_trace is not self._trace_before:
            return Step((functools.partial(debugger.set_trace, self._frame), self._opened))
        return self._opened(error)

    def _opened(self, error: BaseException | None) -> Result:
        """Let a debugger that waits for an event stop now."""
        frame = self._frame
        if self._debugger.has_output:
            self._stops.show(self._hits)
        if error is not None or frame.f_trace is None or frame.f_trace is self._trace_before:
            return self._closed(error)
        debugger = debugger_of(frame)
        if debugger is not None:
            hide_what_runs_the_program(debugger, frame)
        if sys.gettrace() is None and not is_monitoring(debugger):
            return self._closed(None)
        return Step((functools.partial(_deliver_line, frame), self._stopped))

    def _stopped(self, error: BaseException | None) -> Result:
        """Let a debugger that goes on from there know when the frame's next instruction leaves it."""
        if error is None and env.core is not None:
            return Step((functools.partial(env.core.deliver_return, self._frame), self._left))
        return self._left(error)

    def _left(self, error: BaseException | None) -> Result:
        """End the tracing where the debugger raised something, as the interpreter does."""
        if error is not None:
            debugger = debugger_of(self._frame)
            if is_monitoring(debugger):
                debugger.stop_trace()
            sys.settrace(None)
            self._frame.f_trace = None
        return self._closed(error)

    def _closed(self, error: BaseException | None) -> Result:
        self._stops.leave()
        if error is not None and not is_quit(error):
            self._stops.say_error(self._debugger.name, error)
            error = None
        return self._end(None if error is None else error.with_traceback(_without_ours(error.__traceback__)))


def take_steps(result: Result) -> Any:
    """Take steps from here, and return the end's result."""
    if not isinstance(result, Step):
        return result
    if env.core is not None:
        return env.core.take_steps(result)
    return sys.call_tracing(_without_events, (functools.partial(_take_steps, result),))


def _take_steps(result: Result) -> Any:
    while isinstance(result, Step):
        (call, then), error = result, None
        try:
            call()
        except BaseException as raised:
            error = raised
        result = then(error)
    return result


def _without_events(call: Callable[[], Any]) -> Any:
    """Call while no trace function gets events, nor any tool, and no debugger can move a frame on.

    The C module does the same; without it, only what a trace function calls is free of events.
    """
    outcome: list[Any] = []

    def trace(_frame: FrameType, _kind: str, _argument: object) -> None:
        sys.settrace(before)
        outcome.append(call())

    before = sys.gettrace()
    sys.settrace(trace)
    _nothing()
    return outcome[0]


def _nothing() -> None:
    """Be called."""


def _is_called_by(code: CodeType) -> bool:
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - there is no other way to it
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def _innermost() -> FrameType | None:
    """Return the innermost running frame that is not ours."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - there is no other way to it
    while frame is not None and location.is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _living(frame: FrameType) -> FrameType:
    """Return `frame`, or where it has ended already the innermost one that runs."""
    innermost = _innermost()
    outer = innermost
    while outer is not None and outer is not frame:
        outer = outer.f_back
    return frame if outer is not None or innermost is None else innermost


def _call_in_place_of(frame: FrameType) -> None:
    """Call `breakpoint()` in a frame that has the names, the file, the line and the name of `frame`."""
    code = compile("breakpoint()", frame.f_code.co_filename, "eval", dont_inherit=True)
    code = code.replace(co_name=frame.f_code.co_name, co_firstlineno=frame.f_lineno or 1)
    eval(code, frame.f_globals, frame.f_locals)


def _deliver_line(frame: FrameType) -> None:
    """Give the trace function of `frame` a `line` event for where it stands."""
    if env.core is not None:
        env.core.deliver_line(frame)
        return
    trace: Any = frame.f_trace
    result = trace(frame, "line", None)
    if result is not None:
        frame.f_trace = result


def _words_of(error: BaseException) -> str:
    try:
        return clean(str(error))[:200]
    except Exception:
        return "(no text)"


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of ours that it begins with."""
    while traceback is not None and location.is_ours(traceback.tb_frame.f_code.co_filename):
        traceback = traceback.tb_next
    return traceback
