"""`stopwhen attach`: watches data in a process that runs already, and shows here what happens there."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence

import stopwhen
from stopwhen.actions import Output
from stopwhen.errors import StopwhenError, UsageError
from stopwhen.frontends import wire
from stopwhen.frontends.options import AttachLine, HelpAsked, Request, read_attach, read_detach
from stopwhen.frontends.other_process import Room, check, remote_exec, wait
from stopwhen.immutable import fields_of
from stopwhen.reports.text import wants_color
from stopwhen.type_hints import TYPE_CHECKING, Any, Final, NoReturn

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

--if, --hits, --thread, --task, --in, --not-in, --function, --caller, --scope, --pin, --depth and --allow-calls are
those of `stopwhen run`.

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

_ANSWER: Final = 5.0
"""Seconds that a process which has answered gets to end it."""

_AGAIN: Final = 0.1
"""Seconds until a process that imports stopwhen itself is asked again."""

_SCRIPT: Final = """\
def attach():
    import sys
    try:
        importing = False
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == "stopwhen" and getattr(module.__spec__, "_initializing", False):
                importing = True
                raise ImportError(name)
        from stopwhen.frontends import attached
        begin = attached.begin
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        import _socket
        slug = {importing!r} if importing else "not-importable"
        text = f"{{type(error).__name__}}: {{error}}"
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

_IMPORTING: Final = "importing"
"""What the script says in a process that is importing stopwhen itself just then."""

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
    check(line.pid, command)
    if command == "detach":
        _detach(line)
        return 0
    with _ended_by_signals(), Room(line.pid, tcp=line.tcp) as room:
        return _Terminal(line, room).run()


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

    def __init__(self, line: AttachLine, room: Room) -> None:
        self._line = line
        self._room = room
        self._selector = selectors.DefaultSelector()
        self._script = ""
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
        self._script = room.write(
            "attach.py", _SCRIPT.format(importing=_IMPORTING, token=room.token, address=address, request=request)
        )
        assert room.listener is not None
        self._selector.register(room.listener, selectors.EVENT_READ, None)
        remote_exec(pid, self._script)
        wait(self._is_attached, pid, self._line.timeout)

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
            case wire.FAILED if text.startswith(_IMPORTING + wire.SEPARATOR):
                time.sleep(_AGAIN)
                remote_exec(self._line.pid, self._script)
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
            remote_exec(self._line.pid, self._room.write("detach.py", _END_SCRIPT.format(token=self._room.token)))
            wait(lambda seconds: self._is_over(main, seconds), self._line.pid, min(self._line.timeout, _ANSWER))
        except (KeyboardInterrupt, StopwhenError):
            _output.say(f"process {self._line.pid} did not answer: its watchpoints go when they are hit next")

    def _is_over(self, main: _Connection, seconds: float) -> bool:
        self._show(seconds)
        return main.detached or self._main is None


def _detach(line: AttachLine) -> None:
    """End all that is attached to a process."""
    with Room(line.pid) as room:
        done = os.path.join(room.folder, "done")
        script = room.write("detach.py", f"{_END_SCRIPT.format(token='')}open({done!r}, 'w').close()\n")
        remote_exec(line.pid, script)

        def is_done(seconds: float) -> bool:
            time.sleep(seconds)
            return os.path.exists(done)

        wait(is_done, line.pid, line.timeout)
    _output.say(f"process {line.pid} is no longer watched")


def _options(request: Request) -> dict[str, Any]:
    """Return what is asked for beside the expression, of what can be written down."""
    return {**fields_of(request.settings), "action": request.settings.action.value}


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
