"""Tells what is to be told at the end of a run when the process cannot: it ends by os._exit, or is killed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

from stopwhen.channel import open_only, set_above

_MOST_DESCRIPTORS: Final = 65_536


def stand_by(tell: Callable[[], object], keep: tuple[int, ...]) -> None:
    """Have `tell` called once this process, and all that it will have forked, have ended in whatever way.

    A process without a name, a child of nobody here, waits for that; it holds nothing of the program's open but the
    descriptors `keep`. Where there is no fork, and where the program would find that process among its own children,
    nothing is done.
    """
    if not hasattr(os, "fork") or os.getpid() == 1:  # orphans become children of process 1
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        reading, writing = os.pipe()
        try:
            between = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            return
        if between == 0:
            _wait_and_tell(reading, tell, keep)
        os.close(reading)
        set_above(writing)  # open until the last process that has it ends
        with contextlib.suppress(ChildProcessError):  # SIGCHLD is ignored
            os.waitpid(between, 0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_and_tell(reading: int, tell: Callable[[], object], keep: tuple[int, ...]) -> None:
    """Be the process that waits; all signals are blocked. Does not return."""
    try:
        os.setsid()  # Ctrl-C is not for us
        if os.fork() == 0:
            os.chdir("/")
            open_only({reading, *keep}, _MOST_DESCRIPTORS)
            while os.read(reading, 1):
                pass
            tell()
    finally:
        os._exit(0)
