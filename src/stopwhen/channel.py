"""Writes to a file or terminal that the program may close, replace or lose track of meanwhile."""

from __future__ import annotations

import select as the_select
import stat as the_stat

from stopwhen.originals import held, os, sys, use_original_builtins
from stopwhen.type_hints import Any, Final, Self

use_original_builtins(globals())

try:
    import fcntl as the_fcntl

    fcntl: Any = held(the_fcntl)
except ImportError:  # Windows
    fcntl = None
select, stat = held(the_select), held(the_stat)

_HAS_POLL: Final = hasattr(select, "poll")

STDERR: Final = 2

_HIGH: Final = (700, 200, 100)
"""The program finds the numbers of its own descriptors as they would be without ours, which is above these."""

_KIND: Final = 0o170000
"""What tells files, pipes and terminals apart in their mode."""

_PATIENCE: Final = 5_000
"""Milliseconds that a pipe or terminal that takes nothing just now is waited for."""

_APPEND: Final = os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)


class Channel:
    """An open file of our own, told from others by device and inode.

    Before each write the descriptor is compared with what it was. One that the program has closed or used for another
    file is opened again by its path, or by what descriptor 2 is, when that is the same file; else nothing is written.

    Attributes:
        descriptor: its number.
    """

    def __init__(self, descriptor: int, path: str | None, encoding: str) -> None:
        self.descriptor = descriptor
        self._path = path
        self._encoding = encoding
        found = os.fstat(descriptor)
        self._identity = _identity(found)
        self._may_be_terminal = stat.S_ISCHR(found.st_mode)
        self._may_wait = stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode)

    @classmethod
    def of_stderr(cls) -> Self | None:
        """Return a duplicate of descriptor 2; None where the process has none."""
        try:
            descriptor = _duplicate(STDERR)
            return cls(descriptor, _path_of(descriptor), getattr(sys.__stderr__, "encoding", None) or "utf-8")
        except (OSError, ValueError):
            return None

    @classmethod
    def to_file(cls, path: str) -> Self:
        """Return one that writes to the file `path`, emptied first.

        Raises:
            OSError: it cannot be opened.
        """
        path = os.path.abspath(path)
        low = os.open(path, _APPEND | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            return cls(_duplicate(low), path, "utf-8")
        finally:
            os.close(low)

    def is_file_of(self, descriptor: int) -> bool:
        """Tell whether `descriptor` is the same file."""
        return _is(descriptor, self._identity)

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return self._is_open() and os.isatty(self.descriptor)

    def columns(self) -> int | None:
        """Return how wide the terminal is; None for anything else."""
        if not self._may_be_terminal:
            return None
        try:
            return os.get_terminal_size(self.descriptor).columns or None if self._is_open() else None
        except (OSError, ValueError, AttributeError):
            return None

    def write(self, text: str) -> None:
        """Write `text` at once; what cannot take it is no reason to disturb the program."""
        data = text.encode(self._encoding, "backslashreplace")
        try:
            while data and self._is_open() and self._is_read():
                try:
                    data = data[os.write(self.descriptor, data) :]
                except BlockingIOError:
                    if not self._wait():
                        return
        except (OSError, ValueError):
            return

    def close(self) -> None:
        """Close it, if it is still ours."""
        if _is(self.descriptor, self._identity):
            os.close(self.descriptor)
        self._path = None

    def _is_open(self) -> bool:
        """Tell whether the descriptor is what it was, or could be made that again."""
        return _is(self.descriptor, self._identity) or self._open_again()

    def _open_again(self) -> bool:
        if self.is_file_of(STDERR):
            self.descriptor = _duplicate(STDERR)
            return True
        if self._path is None:
            return False
        try:
            low = os.open(self._path, _APPEND)
        except OSError:
            return False
        if not _is(low, self._identity):
            os.close(low)
            return False
        try:
            self.descriptor = _duplicate(low)
        finally:
            os.close(low)
        return True

    def _is_read(self) -> bool:
        """Tell whether somebody can read a pipe still: writing to another would raise SIGPIPE, which may be deadly."""
        if not self._may_wait or not _HAS_POLL:
            return True
        return not self._poll(0) & (select.POLLERR | select.POLLNVAL)

    def _wait(self) -> bool:
        """Wait until a full pipe or terminal that the program has set not to block takes more."""
        return _HAS_POLL and bool(self._poll(_PATIENCE) & select.POLLOUT)

    def _poll(self, milliseconds: int) -> int:
        poll = select.poll()
        poll.register(self.descriptor, select.POLLOUT)
        found = poll.poll(milliseconds)
        return found[0][1] if found else 0


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_dev, found.st_ino, found.st_mode & _KIND


def _is(descriptor: int, identity: tuple[int, int, int]) -> bool:
    try:
        return _identity(os.fstat(descriptor)) == identity
    except OSError:
        return False


def _duplicate(descriptor: int) -> int:
    """Return a duplicate that programs which are started do not inherit, with a high number where that can be had."""
    for least in _HIGH if fcntl is not None else ():
        try:
            return int(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, least))
        except (OSError, ValueError):  # above the limit of this process
            continue
    return os.dup(descriptor)


def _path_of(descriptor: int) -> str | None:
    """Return the path by which a descriptor's file can be opened again; None for a pipe and where nobody knows."""
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
    except (OSError, AttributeError):
        try:
            path = os.ttyname(descriptor)
        except (OSError, AttributeError):
            return None
    return path if path.startswith("/") else None


def set_above(descriptor: int) -> int:
    """Give `descriptor` a number above those that the program will see; return it."""
    duplicate = _duplicate(descriptor)
    os.close(descriptor)
    return duplicate


def open_only(kept: set[int], most: int) -> None:
    """Close all descriptors below `most` but those of `kept`."""
    first = 0
    for descriptor in [*sorted(kept), most]:
        os.closerange(first, descriptor)
        first = descriptor + 1
