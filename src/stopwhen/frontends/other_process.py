"""Another process: what can be run in it, and why it cannot be; a private place to meet it; waiting for it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable

from stopwhen import env
from stopwhen.actions import Output
from stopwhen.errors import UsageError
from stopwhen.type_hints import Final, NoReturn, Self

_SOON: Final = 2.0
"""Seconds until it is said that we wait."""

_LONGEST_PATH: Final = 100
"""Bytes of a Unix socket's path: systems allow little more."""

_output = Output()


def check(pid: int, command: str) -> None:
    """Raise where it is plain that nothing can be done."""
    if not env.HAS_REMOTE_EXEC:
        version = ".".join(map(str, sys.version_info[:3]))
        raise UsageError(
            f"{command} needs Python 3.14 or later, and this is {version}",
            slug="attach-version",
            hint="run it, and the process, by a later Python; or start the program by `stopwhen run`",
        )
    if pid == os.getpid():
        raise UsageError(f"process {pid} is this very command", slug="no-process", hint="give the id of another")
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        raise UsageError(
            f"there is no process {pid}", slug="no-process", hint="`pgrep -af python` lists those of Python"
        ) from None
    except PermissionError:
        no_right(pid, "it belongs to another user")


def remote_exec(pid: int, script: str) -> None:
    """Have a process run a script as soon as it runs Python code.

    Raises:
        UsageError: it will not.
    """
    try:
        sys.remote_exec(pid, script)  # type: ignore[attr-defined] # checked by check
    except PermissionError as error:
        no_right(pid, str(error))
    except ProcessLookupError:
        raise UsageError(f"process {pid} has ended", slug="no-process") from None
    except (RuntimeError, OSError) as error:
        raise refusal(pid, error) from None


def no_right(pid: int, reason: str) -> NoReturn:
    """Raise the error of a process that we may not debug, with what to do."""
    hint = "run it as the user of that process, or as root"
    with contextlib.suppress(OSError), open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
        scope = file.read().strip()
        if scope != "0":
            hint += f"; ptrace_scope is {scope} here: `sudo sysctl kernel.yama.ptrace_scope=0` allows it to all"
    if sys.platform == "darwin":
        hint = "on macOS this takes root: sudo"
    raise UsageError(f"cannot debug process {pid}: {reason}", slug="no-right", hint=hint)


def refusal(pid: int, error: Exception) -> UsageError:
    """Return why a process cannot be attached to, from what the interpreter says and from what it is."""
    text, program = str(error), _executable(pid)
    found = re.search(r"to a Python (\d+\.\d+)", text)
    if found is None and "PyRuntime" in text:
        found = re.search(r"python(\d\.\d+)", os.path.basename(program))
    if found is not None:
        other = found[1]
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        hint = f"run it by that Python: {program or f'python{other}'} -m stopwhen attach {pid} ..."
        if tuple(map(int, other.split("."))) < (3, 14):
            hint = "nothing attaches to it; start the program by `stopwhen run`"
        return UsageError(f"process {pid} runs Python {other}, and this is {here}", slug="other-python", hint=hint)
    if "not enabled" in text:
        return UsageError(
            f"process {pid} does not allow remote debugging",
            slug="remote-debug-off",
            hint="it was started with -X disable-remote-debug or PYTHON_DISABLE_REMOTE_DEBUG, or its Python has none",
        )
    if "PyRuntime" in text:
        return UsageError(
            f"process {pid} is no Python process{f': it runs {program}' if program else ''}",
            slug="not-python",
            hint="a launcher's child may be the one: `pgrep -af python`; one from before 3.14 cannot be attached to",
        )
    return UsageError(f"cannot attach to process {pid}: {text}", slug="attach-failed")


def _executable(pid: int) -> str:
    """Return the file that a process runs; an empty text where that is not told."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


class Room:
    """A private folder with the script and the socket, for as long as we are attached."""

    def __init__(self, pid: int, *, tcp: bool = False) -> None:
        self._pid = pid
        self._tcp = tcp or not hasattr(socket, "AF_UNIX")
        self.token = secrets.token_hex(16)
        self.folder = ""
        self.listener: socket.socket | None = None

    def __enter__(self) -> Self:
        self.folder = tempfile.mkdtemp(prefix="stopwhen-")
        if len(self.folder.encode()) > _LONGEST_PATH - len("/socket"):
            os.rmdir(self.folder)
            self.folder = tempfile.mkdtemp(prefix="stopwhen-", dir="/tmp")  # private, and short
        return self

    def __exit__(self, *_error: object) -> None:
        if self.listener is not None:
            self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def listen(self) -> str | int:
        """Begin to listen, and return where: only the user of the process can come here."""
        if self._tcp:
            self.listener = socket.create_server(("127.0.0.1", 0))
            port: int = self.listener.getsockname()[1]
            return port
        path = os.path.join(self.folder, "socket")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        os.chmod(path, 0o600)
        self.listener.listen()
        self._give(path)
        return path

    def write(self, name: str, text: str) -> str:
        """Write a script that only the user of the process can read, and return its path."""
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        self._give(path)
        return path

    def _give(self, path: str) -> None:
        """Where we are root, and the process is another user's, let it be that user's."""
        if not hasattr(os, "geteuid") or os.geteuid() != 0:
            return
        with contextlib.suppress(OSError):
            owner = os.stat(f"/proc/{self._pid}").st_uid
            for one in (self.folder, path):
                os.chown(one, owner, -1)


def wait(is_done: Callable[[float], bool], pid: int, timeout: float) -> None:
    """Wait until `is_done`, given the seconds that it may take, says so; tell after a while what is waited for.

    Raises:
        UsageError: it took too long; the process is asked for nothing any more.
    """
    start, told = time.monotonic(), False
    try:
        while not is_done(0.1):
            waited = time.monotonic() - start
            _check_answer(pid, waited, timeout)
            if waited >= _SOON and not told:
                told = True
                _output.say(f"waiting for process {pid}, whose main thread runs no Python code now; Ctrl-C gives up")
    except BaseException:
        with contextlib.suppress(Exception):
            sys.remote_exec(pid, os.devnull)  # type: ignore[attr-defined] # or it would look for a script that is gone
        raise


def _check_answer(pid: int, waited: float, timeout: float) -> None:
    if not _is_alive(pid):
        raise UsageError(f"process {pid} has ended", slug="no-process")
    if waited >= timeout:
        raise UsageError(
            f"process {pid} did not answer within {timeout:g} seconds",
            slug="no-answer",
            hint="its main thread runs no Python code: it waits, or computes in C; --timeout gives it longer",
        )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return sys.platform != "linux"
