"""Our debugger: pdb with watch commands, which a hit opens in the frame that wrote."""

from __future__ import annotations

import bdb
import contextlib
import os
import pdb  # noqa: T100 - it is what this is made of
import shutil
import sys
from _thread import get_ident
from collections.abc import Iterator, Sequence

from stopwhen import env, location, stopping
from stopwhen import session as sessions
from stopwhen.debuggers import hide_what_runs_the_program, is_launcher, is_machinery
from stopwhen.frontends.pdb_watching import WatchCommands
from stopwhen.reports.text import format_hit, wants_color
from stopwhen.type_hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from stopwhen.hit import Hit

_HAS_BACKENDS = hasattr(pdb, "set_default_backend")
_SILENT = "_pdbcmd_silence_frame_status"
_ALL_HITS = -(10**9)
"""Stands for the number of a breakpoint where commands of several watchpoints are to be run."""


class Pdb(WatchCommands, pdb.Pdb):
    """pdb with watch commands. One for each thread: each steps on its own."""

    if TYPE_CHECKING:  # what pdb.Pdb has from 3.14 on
        backend: str
        monitoring_tracer: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        self._temporary = set()
        self._watched = {}
        self._is_amid_line = False
        self._hits: list[Hit] = []
        self._preparing = contextlib.ExitStack()
        self._is_preparing = False
        options.setdefault("skip", ["stopwhen", "stopwhen.*"])
        super().__init__(*args, **options)

    # What bdb calls.

    def set_trace(self, frame: FrameType | None = None, **options: Any) -> None:
        """Stop at the next event in `frame`, the caller's by default."""
        if frame is None:
            frame = sys._getframe().f_back  # noqa: SLF001 - there is no other way to it
        while frame is not None and location.is_ours(frame.f_code.co_filename):
            frame = frame.f_back  # a signal has come while we were at work
        if frame is None:
            return
        if _HAS_BACKENDS and self.monitoring_tracer is not None and not _has_monitoring():
            self.backend, self.monitoring_tracer = "settrace", None
        super().set_trace(frame, **options)
        hide_what_runs_the_program(self, frame)

    def do_jump(self, arg: str) -> None:
        """j(ump) lineno

        Set the next line that will be executed.  Only available in
        the bottom-most frame, and from Python 3.12 on not right after
        a hit, where a line may be half done: type next or step first.
        """
        if self._is_amid_line:
            self.error("Jump failed: not right after a hit; 'next' or 'step' first")
            return
        super().do_jump(arg)

    do_j = do_jump

    def stop_at(self, hits: Sequence[Hit], frame: FrameType) -> None:
        """Stop at the next event in `frame`, and tell of `hits` then."""
        self._hits.extend(hits)
        self._wait_for_mainpyfile = False
        self.set_trace(frame)
        self._is_amid_line = env.HAS_MONITORING

    def user_line(self, frame: FrameType) -> None:
        """Stop at a line, once for all that has led to it."""
        # With the line before done, the event that tells what it has changed may come only after this one.
        self._hits.extend(sessions.current().settle(frame))
        with sessions.current().as_own():
            self._tell_hits()
            super().user_line(frame)
            self._is_amid_line = False
        sessions.current().go_on(frame)

    user_opcode = user_line

    def user_call(self, frame: FrameType, argument_list: Any) -> None:
        """Stop at the beginning of a call."""
        with sessions.current().as_own():
            super().user_call(frame, argument_list)

    def user_return(self, frame: FrameType, return_value: Any) -> None:
        """Stop at the end of a call."""
        with sessions.current().as_own():
            super().user_return(frame, return_value)

    def user_exception(self, frame: FrameType, exc_info: Any) -> None:
        """Stop where an exception is raised."""
        with sessions.current().as_own():
            super().user_exception(frame, exc_info)

    def do_quit(self, arg: str) -> bool | None:
        """q(uit) | exit

        Quit from the debugger. The program being executed is aborted.
        """
        try:
            return super().do_quit(arg)
        except SystemExit:  # of Python 3.14 and later, which have asked
            sessions.current().is_quitting = True
            raise

    do_q = do_exit = do_quit

    def set_quit(self) -> None:
        """End the program, in silence: what its end would have said of the watchpoints nobody waits for."""
        super().set_quit()
        sessions.current().is_quitting = True
        if self is _debuggers.get(get_ident()):
            _hide_quitting()

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        """Return the program's frames with their lines, and the index of the one to show."""
        stack, index = super().get_stack(f, t)
        start = max(
            (n + 1 for n, (frame, _) in enumerate(stack) if is_machinery(frame) or is_launcher(frame)), default=0
        )
        if start == len(stack):
            start = 0
        ours = {n for n, (frame, _) in enumerate(stack) if n < start or location.is_ours(frame.f_code.co_filename)}
        if len(ours) == len(stack):
            return stack, index
        kept = [entry for n, entry in enumerate(stack) if n not in ours]
        return kept, max(index - sum(n <= index for n in ours), 0)

    def get_bpbynumber(self, arg: Any) -> Any:
        """Return a breakpoint by its number; of a negative one, a watchpoint's, pdb asks only whether it is there."""
        return None if type(arg) is int and arg < 0 else super().get_bpbynumber(arg)

    def interaction(self, *args: Any, **options: Any) -> None:
        """Have the user type commands; what these change is no hit."""
        with sessions.current().at_prompt(self._show):
            self._tell_ended()
            try:
                super().interaction(*args, **options)
            except BrokenPipeError:  # nobody reads what it says: as at the end of the input
                self._user_requested_quit = True
                self.set_quit()

    def cmdloop(self, intro: Any = None) -> None:
        """Have the user type commands; without standard input or output there is nobody who does: that is its end."""
        if self.use_rawinput and None in (sys.stdin, sys.stdout):
            self.onecmd("EOF")
        else:
            super().cmdloop(intro)

    # `python -m stopwhen.pdb`.

    @property
    def _wait_for_mainpyfile(self) -> bool:
        """Whether the program's first line is still to come: until then it is pdb that changes data, which is no hit.

        The change of this state is where we come in: frames of ours would show in tracebacks of the program.
        """
        return self._is_preparing

    @_wait_for_mainpyfile.setter
    def _wait_for_mainpyfile(self, is_preparing: bool) -> None:
        if is_preparing and not self._is_preparing:
            self._preparing.enter_context(sessions.current().as_own())
        elif not is_preparing:
            self._preparing.close()
        self._is_preparing = is_preparing

    # Parts.

    def share_with(self, other: Pdb) -> None:
        """Know what the user has told the debugger of another thread."""
        self.aliases, self.commands = other.aliases, other.commands
        self._temporary, self._watched = other._temporary, other._watched

    def _tell_hits(self) -> None:
        """Report the hits that have led to this stop, and have their commands run."""
        hits, self._hits = self._hits, []
        numbers = list(dict.fromkeys(-hit.watchpoint.number for hit in hits))
        with_commands = [number for number in numbers if self.commands.get(number)]
        for hit in hits:
            if not self._is_silent(-hit.watchpoint.number):
                self._show(hit)
        for watchpoint in list(dict.fromkeys(hit.watchpoint for hit in hits)):
            if watchpoint.number in self._temporary:
                self._delete(watchpoint)  # type: ignore[arg-type] # the hit's watchpoint is a Watchpoint
        if with_commands:
            self.currentbp = with_commands[0] if len(with_commands) == 1 else self._joined(with_commands)

    def _is_silent(self, number: int) -> bool:
        silent = getattr(self, "commands_silent", {}).get(number, False)  # before 3.13
        return silent or _SILENT in self.commands.get(number, ())

    def _joined(self, numbers: list[int]) -> int:
        """Put the commands of several watchpoints under one number, and return that."""
        self.commands[_ALL_HITS] = [line for number in numbers for line in self.commands[number]]
        for name, together in (("commands_silent", all), ("commands_doprompt", all)):  # before 3.13
            of_numbers = getattr(self, name, None)
            if of_numbers is not None:
                of_numbers[_ALL_HITS] = together(of_numbers[number] for number in numbers)
        return _ALL_HITS

    def _show(self, hit: Hit) -> None:
        width = min(shutil.get_terminal_size((82, 24)).columns, 120)
        output: Any = self.stdout
        text = format_hit(hit, color=wants_color(output), width=width, reporter=f"w{hit.watchpoint.number}")
        self.message(text.rstrip("\n"))


def _hide_quitting() -> None:
    """Have the exception by which the program ends now, unless it catches that, end it without a traceback."""
    hook = sys.excepthook
    if getattr(hook, "__name__", "") == _hide_quitting.__name__:
        return

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not issubclass(kind, bdb.BdbQuit):
            hook(kind, error, traceback)

    show.__name__ = _hide_quitting.__name__
    sys.excepthook = show


_debuggers: dict[int, Pdb] = {}


def current() -> Pdb:
    """Return the debugger of this thread, made on first use."""
    debugger = _debuggers.get(get_ident())
    if debugger is None:
        first = next(iter(_debuggers.values()), None)
        options: dict[str, Any] = {"readrc": first is None}
        if _HAS_BACKENDS:
            options |= {"mode": "inline", "backend": _backend(), "colorize": True}
        debugger = Pdb(**options)
        if first is not None:
            debugger.share_with(first)
        _debuggers[get_ident()] = debugger
    return debugger


def _backend() -> str:
    import threading  # noqa: PLC0415 - pdb with backends has imported it

    is_main = threading.current_thread() is threading.main_thread()
    return "monitoring" if is_main and _has_monitoring() else "settrace"


def _has_monitoring() -> bool:
    return sys.monitoring.get_tool(sys.monitoring.DEBUGGER_ID) in (None, "bdbtracer")


def stop_at(hits: Sequence[Hit], frame: FrameType) -> None:
    """Open the debugger of this thread for `hits`, in `frame`."""
    current().stop_at(hits, frame)


def set_trace(*, header: str | None = None, commands: Sequence[str] | None = None) -> None:
    """Enter the debugger at the calling frame, as `pdb.set_trace` does.

    Args:
        header: text to show first.
        commands: to run at once.
    """
    stopping.in_use = stop_at
    debugger = current()
    if header is not None:
        debugger.message(header)
    debugger.rcLines.extend(commands or ())
    debugger.set_trace(sys._getframe().f_back)  # noqa: SLF001 - there is no other way to it


def post_mortem(t: Any = None) -> None:
    """Look at what is left of a program after an exception, as `pdb.post_mortem` does.

    Args:
        t: traceback, or from Python 3.13 on exception; None for the exception that is being handled.
    """
    with _ours_for_pdb():
        pdb.post_mortem(t)


def pm() -> None:
    """Look at what is left after the last exception that was not handled, as `pdb.pm` does."""
    with _ours_for_pdb():
        pdb.pm()


def main() -> None:
    """Run a program under the debugger, as `python -m pdb` does with the same words."""
    stopping.in_use = stop_at
    with _ours_for_pdb():
        pdb.main()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter fails at exit


@contextlib.contextmanager
def _ours_for_pdb() -> Iterator[None]:
    """Have the module `pdb` make a debugger of ours, the next time that it makes one."""
    module: Any = pdb
    original = module.Pdb

    def make(*args: Any, **options: Any) -> Pdb:
        module.Pdb = original  # the program finds what was there
        debugger = _debuggers[get_ident()] = Pdb(*args, **options)
        return debugger

    module.Pdb = make
    try:
        yield
    finally:
        module.Pdb = original
