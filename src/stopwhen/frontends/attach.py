"""`stopwhen attach`: watches data in a process that runs already, and shows here what happens there."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import stopwhen
from stopwhen import env
from stopwhen.actions import Output
from stopwhen.errors import StopwhenError, UsageError
from stopwhen.frontends import wire
from stopwhen.frontends.options import AttachLine, HelpAsked, Request, read_attach, read_detach
from stopwhen.reports.text import wants_color

if TYPE_CHECKING:
    from types import FrameType

ATTACH_HELP = """\
usage: stopwhen attach [options] PID

Watch data in a Python process that runs already, and show here what happens there. Ctrl-C, or `detach` at the
debugger's prompt, ends it: the process goes on, unwatched. Needs Python 3.14 or later, the same version in both,
stopwhen installed in both, and the right to debug the process.

watchpoints, each as many times as you like:
  --changes EXPR   the value differs: another object, or other content
  --true EXPR      the value goes from false to true
  --writes EXPR    every store, of the same value too
  --reads EXPR     every read, where this can be had

what a hit does:
  --action ACTION  stop  open pdb here, in the line that wrote; the process waits (default)
                   log   report it here and go on
                   raise raise stopwhen.DataChanged in the line that wrote
                   count count, and tell the number at the end

--if, --hits, --thread, --in, --not-in, --scope, --depth and --allow-calls are those of `stopwhen run`.

getting there:
  --timeout SECONDS  how long to wait for a process that is busy in C code (default 30)
  --tcp              talk over a port of the loopback interface, with a token, instead of a private Unix socket
  -h, --help         show this

examples:
  stopwhen attach 4242 --action log --changes 'config["debug"]'
  stopwhen attach 4242 --scope shop.cart --true 'len(orders) > 100'
"""

DETACH_HELP = """\
usage: stopwhen detach [--timeout SECONDS] PID

End all that `stopwhen attach` has begun in a process, as Ctrl-C in its terminal does: for one whose terminal is gone.

options:
  --timeout SECONDS  how long to wait for a process that is busy in C code (default 30)
  -h, --help         show this
"""

_SOON: Final = 2.0
"""Seconds until it is said that we wait."""

_ANSWER: Final = 5.0
"""Seconds that a process which has answered gets to end it."""

_LONGEST_PATH: Final = 100
"""Bytes of a Unix socket's path: systems allow little more."""

_SCRIPT: Final = """\
def attach():
    import sys
    try:
        from stopwhen.frontends import attached
        begin = attached.begin
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        import _socket
        slug, text = "not-importable", f"{{type(error).__name__}}: {{error}}"
        raw = "\\x1f".join([slug, text, sys.executable or ""]).encode("utf-8", "backslashreplace")
        hello = b"{token} 0"
        address = {address!r}
        try:
            if isinstance(address, str):
                connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
                connection.connect(address)
            else:
                connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
                connection.connect(("127.0.0.1", address))
            connection.sendall(b"hello %d\\n%s" % (len(hello), hello) + b"failed %d\\n%s" % (len(raw), raw))
            connection.close()
        except OSError:
            pass
        return
    begin(attached.Request(*{request!r}), sys._getframe(2))
try:
    attach()
except KeyboardInterrupt:
    import _thread
    _thread.interrupt_main()
except BaseException:
    pass
"""

_END_SCRIPT: Final = """\
try:
    import sys
    if "stopwhen.frontends.attached" in sys.modules:
        sys.modules["stopwhen.frontends.attached"].end({token!r})
except KeyboardInterrupt:
    import _thread
    _thread.interrupt_main()
except BaseException:
    pass
"""

_output = Output()


def main(command: str, words: Sequence[str]) -> int:
    """Be `stopwhen attach` or `stopwhen detach`, and return the exit status.

    Raises:
        StopwhenError: it cannot be done; the message says why.
    """
    try:
        line = read_attach(words) if command == "attach" else read_detach(words)
    except HelpAsked:
        print(ATTACH_HELP if command == "attach" else DETACH_HELP, end="")
        return 0
    _check(line.pid, command)
    if command == "detach":
        _detach(line)
        return 0
    with _ended_by_signals(), _Room(line.pid, tcp=line.tcp) as room:
        return _Terminal(line, room).run()


def _check(pid: int, command: str) -> None:
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
        _no_right(pid, "it belongs to another user")


def _remote_exec(pid: int, script: str) -> None:
    """Have a process run a script as soon as it runs Python code.

    Raises:
        UsageError: it will not.
    """
    try:
        sys.remote_exec(pid, script)  # type: ignore[attr-defined] # checked by _check
    except PermissionError as error:
        _no_right(pid, str(error))
    except ProcessLookupError:
        raise UsageError(f"process {pid} has ended", slug="no-process") from None
    except (RuntimeError, OSError) as error:
        raise _refusal(pid, error) from None


def _no_right(pid: int, reason: str) -> NoReturn:
    hint = "run it as the user of that process, or as root"
    with contextlib.suppress(OSError), open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
        scope = file.read().strip()
        if scope != "0":
            hint += f"; ptrace_scope is {scope} here: `sudo sysctl kernel.yama.ptrace_scope=0` allows it to all"
    if sys.platform == "darwin":
        hint = "on macOS this takes root: sudo"
    raise UsageError(f"cannot debug process {pid}: {reason}", slug="no-right", hint=hint)


def _refusal(pid: int, error: Exception) -> UsageError:
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


class _Room:
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


class _Connection:
    """One connection of the process, or of a child that it has forked."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.pid: int | None = None  # None until it has shown the token
        self.detached = False
        self._decoder = wire.Decoder()

    def receive(self) -> list[tuple[str, str]] | None:
        """Return the messages that have come; None when it has ended."""
        try:
            received = self.socket.recv(65_536)
            return list(self._decoder.feed(received)) if received else None
        except (OSError, ValueError):
            return None


class _Terminal:
    """Shows what happens in the process, and lets its user ask back."""

    def __init__(self, line: AttachLine, room: _Room) -> None:
        self._line = line
        self._room = room
        self._selector = selectors.DefaultSelector()
        self._main: _Connection | None = None
        self._prompt: Any = None

    def run(self) -> int:
        """Attach, show until it ends, and return the exit status."""
        self._begin()
        try:
            while self._main is not None:
                self._show(None)
        except KeyboardInterrupt:
            self._end()
        return 0

    def _begin(self) -> None:
        """Arm the watchpoints there.

        Raises:
            StopwhenError: that cannot be done.
        """
        room, pid = self._room, self._line.pid
        address = room.listen()
        color, width = wants_color(sys.stdout), min(shutil.get_terminal_size((82, 24)).columns, 120)
        asked = [(one.access.value, one.text, _options(one)) for one in self._line.requests]
        request = (stopwhen.__version__, address, room.token, asked, width, color)
        script = room.write("attach.py", _SCRIPT.format(token=room.token, address=address, request=request))
        assert room.listener is not None
        self._selector.register(room.listener, selectors.EVENT_READ, None)
        _remote_exec(pid, script)
        _wait(self._is_attached, pid, self._line.timeout)

    def _is_attached(self, seconds: float) -> bool:
        self._show(seconds)
        return self._main is not None

    def _show(self, seconds: float | None) -> None:
        """Wait for what comes next, and show it."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                self._accept()
            else:
                self._take(key.data)

    def _accept(self) -> None:
        assert self._room.listener is not None
        connected, _ = self._room.listener.accept()
        self._selector.register(connected, selectors.EVENT_READ, _Connection(connected))

    def _take(self, connection: _Connection) -> None:
        """Take what one connection has sent."""
        messages = connection.receive()
        if messages is None:
            self._drop(connection)
            return
        for kind, text in messages:
            if connection.pid is None and not self._greet(connection, kind, text):
                self._drop(connection)
                return
            self._tell(connection, kind, text)

    def _greet(self, connection: _Connection, kind: str, text: str) -> bool:
        """Return whether who connects is who was asked to."""
        token, _, pid = text.partition(" ")
        if kind != wire.HELLO or not secrets.compare_digest(token, self._room.token) or not pid.isdigit():
            return False
        connection.pid = int(pid)
        return True

    def _drop(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        if connection is self._main:
            self._main = None
            if not connection.detached:
                _output.say(f"process {self._line.pid} has ended")

    def _tell(self, connection: _Connection, kind: str, text: str) -> None:
        match kind:
            case wire.FAILED:
                raise self._failure(*text.split(wire.SEPARATOR))
            case wire.ARMED:
                self._main = connection
                _output.say(f"attached to process {connection.pid}; Ctrl-C detaches")
                _output.write("".join(f"stopwhen: {line}\n" for line in text.splitlines()))
            case wire.HIT:
                print(text, end="", flush=True)
            case wire.SAY:
                _output.write(text)
            case wire.COUNTS:
                print("".join(f"stopwhen: {line}\n" for line in text.splitlines()), end="", flush=True)
            case wire.DETACHED:
                connection.detached = True
                if connection is self._main:
                    _output.say(f"detached: process {self._line.pid} is no longer watched")
            case wire.DEBUGGER:
                self._ask(connection, text)

    def _failure(self, slug: str, message: str, hint: str) -> StopwhenError:
        """Return the error that the process has sent."""
        if slug == "not-importable":
            program = hint or "its Python"
            return UsageError(
                f"process {self._line.pid} cannot import stopwhen: {message}",
                slug="not-importable",
                hint=f"install it there: {program} -m pip install stopwhen=={stopwhen.__version__}",
            )
        return UsageError(f"in process {self._line.pid}: {message}", slug=slug, hint=hint or None)

    def _ask(self, connection: _Connection, text: str) -> None:
        """Take a message of the debugger: show it, or ask for what it wants."""
        if self._prompt is None:
            from stopwhen.frontends.attach_prompt import Prompt  # noqa: PLC0415 - pdb is slow to load

            self._prompt = Prompt(self._line.pid, self._tell)
        self._prompt.take(connection, text)

    def _end(self) -> None:
        """Detach; a second Ctrl-C ends the waiting for it."""
        main = self._main
        if main is None:
            return
        try:
            _remote_exec(self._line.pid, self._room.write("detach.py", _END_SCRIPT.format(token=self._room.token)))
            _wait(lambda seconds: self._is_over(main, seconds), self._line.pid, min(self._line.timeout, _ANSWER))
        except (KeyboardInterrupt, StopwhenError):
            _output.say(f"process {self._line.pid} did not answer: its watchpoints go when they are hit next")

    def _is_over(self, main: _Connection, seconds: float) -> bool:
        self._show(seconds)
        return main.detached or self._main is None


def _wait(is_done: Any, pid: int, timeout: float) -> None:
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


def _detach(line: AttachLine) -> None:
    """End all that is attached to a process."""
    with _Room(line.pid) as room:
        done = os.path.join(room.folder, "done")
        script = room.write("detach.py", f"{_END_SCRIPT.format(token='')}open({done!r}, 'w').close()\n")
        _remote_exec(line.pid, script)

        def is_done(seconds: float) -> bool:
            time.sleep(seconds)
            return os.path.exists(done)

        _wait(is_done, line.pid, line.timeout)
    _output.say(f"process {line.pid} is no longer watched")


def _options(request: Request) -> dict[str, Any]:
    """Return what `Session.watch` takes, of what can be written down."""
    settings = request.settings
    return {
        "scope": settings.scope,
        "depth": settings.depth,
        "condition": settings.condition,
        "hit_condition": settings.hit_condition,
        "threads": settings.threads,
        "files": settings.files,
        "not_files": settings.not_files,
        "action": settings.action.value,
        "allow_calls": settings.allow_calls,
    }


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a terminal that goes away, or a polite kill, detach as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
