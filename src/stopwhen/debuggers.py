"""Debuggers made of the standard library's bdb: which one runs, what its stack shows, what it raises."""

from __future__ import annotations

import sys
from _thread import get_ident

from stopwhen import location
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any

use_original_builtins(globals())

if TYPE_CHECKING:
    from types import FrameType


def debugger_of(frame: FrameType) -> Any:
    """Return the debugger whose trace function `frame` has; None for none, or none of bdb's kind."""
    bdb = sys.modules.get("bdb")
    owner = getattr(frame.f_trace, "__self__", None)
    return owner if bdb is not None and isinstance(owner, bdb.Bdb) else None


def is_monitoring(debugger: Any) -> bool:
    """Tell whether a debugger gets its events by sys.monitoring, and gets some in this thread (3.14)."""
    tracer = getattr(debugger, "monitoring_tracer", None)
    if tracer is None or not getattr(tracer, "_enabled", False):
        return False
    thread = getattr(tracer, "_tracing_thread", None)
    return thread is not None and thread.ident == get_ident()


def running_debugger(frame: FrameType) -> Any:
    """Return the debugger that traces this thread just now; None for none, or none of bdb's kind."""
    bdb = sys.modules.get("bdb")
    if bdb is None:
        return None
    owner = getattr(sys.gettrace(), "__self__", None)
    if isinstance(owner, bdb.Bdb):
        return owner
    outer: FrameType | None = frame
    while outer is not None:
        debugger = debugger_of(outer)
        if is_monitoring(debugger):
            return debugger
        outer = outer.f_back
    return None


def resume(debugger: Any, frame: FrameType) -> None:
    """Have a debugger that is at work already stop in `frame`."""
    bottom = debugger.botframe
    debugger.set_trace(frame)
    outer: FrameType | None = frame
    while outer is not None:
        if outer is bottom:
            debugger.botframe = bottom
        outer = outer.f_back


def is_machinery(frame: FrameType) -> bool:
    """Tell whether a frame is of a front end of ours, or one of pdb's and bdb's own: it runs the program."""
    if location.is_front_end(frame.f_code.co_filename):
        return True
    modules = (sys.modules.get("pdb"), sys.modules.get("bdb"))
    return any(frame.f_globals is vars(module) for module in modules if module is not None)


def is_launcher(frame: FrameType) -> bool:
    """Tell whether a frame runs the text by which bdb starts a script."""
    if frame.f_code.co_filename != "<string>" or frame.f_code.co_name != "<module>" or frame.f_back is None:
        return False
    return is_machinery(frame.f_back)


def hide_what_runs_the_program(debugger: Any, frame: FrameType) -> None:
    """Let the stack that a debugger shows end where the program begins, and none of its steps enter stopwhen."""
    bottom, outer = frame, frame.f_back
    while outer is not None and not is_machinery(outer):
        if not is_launcher(outer):
            bottom = outer
        outer = outer.f_back
    if outer is not None:
        debugger.botframe = bottom
    while outer is not None:
        outer.f_trace = None
        outer = outer.f_back
    debugger.skip = {*(debugger.skip or ()), "stopwhen", "stopwhen.*"}


def is_replaced(pdb: Any) -> bool:
    """Tell whether somebody has put another function in the place of `pdb.set_trace`."""
    return pdb is not None and getattr(pdb.set_trace, "__globals__", None) is not vars(pdb)


def is_quit(error: BaseException) -> bool:
    """Tell whether an exception of a debugger is the user's wish to end the program, or the test."""
    bdb = sys.modules.get("bdb")
    if not isinstance(error, Exception) or (bdb is not None and isinstance(error, bdb.BdbQuit)):
        return True
    return type(error).__module__ == "_pytest.outcomes"
