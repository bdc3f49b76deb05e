"""Tells what is to be told at the end of a run when the process cannot: it ends by os._exit, or is killed."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

from stopwhen.channel import open_only, set_above
from stopwhen.type_hints import Final

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
        process = _Process()
        try:
            between = os.fork()
        except OSError:
            os.close(reading)
            os.close(writing)
            process.close()
            return
        if between == 0:
            _wait_and_tell(reading, process, tell, keep)
        os.close(reading)
        process.close()
        set_above(writing)  # open until the last process that has it ends
        try:
            os.waitpid(between, 0)
        except ChildProcessError:
            pass  # SIGCHLD is ignored
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Process:
    """This process, as one knows it that waits for its end."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._command = _command_of(self._pid)
        try:
            self.descriptors: tuple[int, ...] = (os.pidfd_open(self._pid),)
        except (OSError, AttributeError):
            self.descriptors = ()

    def close(self) -> None:
        """Close its descriptors."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    def wait(self) -> None:
        """Wait until it has ended. Returns at once if it runs another command, or if the system cannot tell."""
        if self.descriptors and _command_of(self._pid) == self._command:
            poll = select.poll()
            poll.register(self.descriptors[0], select.POLLIN)
            poll.poll()


def _command_of(pid: int) -> bytes | None:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read() or None
    except OSError:
        return None


def _wait_and_tell(reading: int, process: _Process, tell: Callable[[], object], keep: tuple[int, ...]) -> None:
    """Be the process that waits; all signals are blocked. Does not return."""
    try:
        os.setsid()  # Ctrl-C is not for us
        if os.fork() == 0:
            os.chdir("/")
            open_only({reading, *process.descriptors, *keep}, _MOST_DESCRIPTORS)
            while os.read(reading, 1):
                pass
            process.wait()  # it may only have closed all that was open, as daemons do
            tell()
    finally:
        os._exit(0)
