"""What runs inside a process that `stopwhen attach` is attached to: it arms, and tells over a socket.

It is called in the main thread, between two instructions of the program. It loads nothing but stopwhen, starts no
thread, and never waits for the terminal longer than a moment, but at the debugger's prompt.
"""

from __future__ import annotations

import _socket
import atexit
import functools
import os
import select
from _thread import RLock
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import stopwhen
from stopwhen import session
from stopwhen.actions import Output
from stopwhen.errors import StopwhenError, UsageError
from stopwhen.frontends import wire
from stopwhen.plan import Plan
from stopwhen.reports.text import counted, format_hit
from stopwhen.terms import Terms
from stopwhen.types import AccessType, Action

if TYPE_CHECKING:
    from types import FrameType

    from stopwhen.hit import Hit
    from stopwhen.watchpoint import Watchpoint

_MOST_WAITING = 1_000_000
"""Bytes that wait for a terminal that takes nothing; what comes then is counted and dropped."""

_PATIENCE = 0.2
"""Seconds that a hit waits, once, for a terminal that takes nothing."""

_LAST_WORDS = 2.0
"""Seconds that the end of it all waits for that."""

_AT_ONCE = getattr(_socket, "MSG_DONTWAIT", 0) | getattr(_socket, "MSG_NOSIGNAL", 0)


class Request(NamedTuple):
    """What the terminal asks for.

    Attributes:
        version: of its stopwhen.
        address: path of its socket, or port on the loopback interface.
        token: shows that we are who was asked.
        watchpoints: access type and text of each, and what else `Session.watch` takes, by name.
        width: of the terminal.
        color: whether it shows colours.
    """

    version: str
    address: str | int
    token: str
    watchpoints: Sequence[tuple[str, str, dict[str, Any]]]
    width: int
    color: bool


def begin(request: Request, frame: FrameType) -> None:
    """Watch what is asked for, in a process whose main thread runs `frame`; say so, or why not."""
    attachment = Attachment(request)
    try:
        attachment.connect()
    except OSError:
        return  # the terminal has given up
    try:
        if request.version != stopwhen.__version__:
            raise UsageError(
                f"the process has stopwhen {stopwhen.__version__}, and this is {request.version}",
                slug="other-stopwhen",
                hint="use the same version in both",
            )
        attachment.arm(frame)
    except StopwhenError as error:
        attachment.fail(error)


def end(token: str = "") -> None:
    """Watch no more of what was asked for: by the terminal with this token, or by any."""
    for attachment in list(_relay.attachments):
        if token in ("", attachment.token):
            attachment.end()


class Attachment:
    """The watchpoints that one terminal asked for, and the connection to it."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.token = request.token
        self.is_arming = False
        self._socket: Any = None
        self._pid = os.getpid()
        self._lock = RLock()
        self.prompting = RLock()
        self._waiting = bytearray()
        self._stalled = False
        self._lost = 0
        self.watchpoints: list[Watchpoint] = []

    # The connection.

    def connect(self) -> None:
        """Connect to the terminal, and say who this is."""
        address = self._request.address
        if isinstance(address, str):
            self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            self._socket.connect(address)
        else:
            self._socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            self._socket.connect(("127.0.0.1", address))
        self.send(wire.HELLO, f"{self._request.token} {os.getpid()}")

    def send(self, kind: str, text: str, patience: float = _PATIENCE) -> None:
        """Send a message; end it all when nobody is there any more."""
        if os.getpid() != self._pid:
            self._begin_in_child()
        with self._lock:
            if self._socket is None:
                return
            if len(self._waiting) > _MOST_WAITING:
                self._lost += 1
            else:
                self._waiting += wire.encode(kind, text)
            try:
                self._push(patience)
            except OSError:
                self._close()
            is_gone = self._socket is None
        if is_gone:
            self.end()

    def _push(self, patience: float) -> None:
        """Send what waits, as far as that goes; wait for a terminal only while it takes something."""
        while self._waiting:
            try:
                sent = self._socket.send(self._waiting, _AT_ONCE)
            except BlockingIOError:
                hopeless = self._stalled and patience < _LAST_WORDS
                if hopeless or not select.select([], [self._socket], [], patience)[1]:
                    self._stalled = True
                    return
                continue
            self._stalled = False
            del self._waiting[:sent]
            if self._lost and not self._waiting:
                said = f"stopwhen: {self._lost:,} hits were not shown, this terminal was too slow\n"
                self._waiting += wire.encode(wire.SAY, said)
                self._lost = 0

    def _begin_in_child(self) -> None:
        """In a forked child, tell the same terminal over a connection of its own."""
        self._pid = os.getpid()
        self._lock, self.prompting = RLock(), RLock()
        self._waiting, self._stalled, self._lost = bytearray(), False, 0
        self._close()
        try:
            self.connect()
        except OSError:
            self._socket = None

    def receive(self) -> bytes:
        """Return what the terminal sends next; nothing when it is gone."""
        try:
            received: bytes = self._socket.recv(16_384)
        except (OSError, AttributeError):
            return b""
        return received

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # Watching.

    def arm(self, frame: FrameType) -> None:
        """Arm all that is asked for, or nothing.

        Raises:
            StopwhenError: something cannot be watched.
        """
        _relay.add(self)
        self.is_arming = True
        try:
            for access, text, given in self._request.watchpoints:
                terms = Terms(**given)
                self.watchpoints.append(session.current().watch(AccessType(access), text, terms, armed_by=frame))
        except StopwhenError:
            self._let_go()
            raise
        finally:
            self.is_arming = False
        atexit.register(self.end)
        self.send(wire.ARMED, "\n".join(_armed_text(one.plan, one) for one in self.watchpoints))

    def fail(self, error: StopwhenError) -> None:
        """Say why nothing is watched."""
        self.send(wire.FAILED, wire.SEPARATOR.join([error.slug, str(error.args[0]), error.hint or ""]))
        self._close()

    def end(self) -> None:
        """Watch no more, say so, and leave nothing behind. May be called twice."""
        if self not in _relay.attachments:
            return
        atexit.unregister(self.end)
        self._let_go()
        counts = [
            counted(one.access, one.expression.text, one.count)
            for one in self.watchpoints
            if one.rules.action is Action.COUNT
        ]
        self.send(wire.COUNTS, "\n".join(counts), _LAST_WORDS)
        self.send(wire.DETACHED, "", _LAST_WORDS)
        with self._lock:
            self._close()

    def _let_go(self) -> None:
        _relay.remove(self)
        for watchpoint in self.watchpoints:
            watchpoint.remove()
        if not session.current().watchpoints():
            session.current().output.close()  # what it writes to is opened again when there is something to write

    def show(self, hit: Hit) -> None:
        """Send the report of a hit."""
        self.send(wire.HIT, format_hit(hit, color=self._request.color, width=self._request.width))

    def open_debugger(self, frame: FrameType) -> None:
        """Let the terminal's user look around in `frame`, in pdb."""
        if self._socket is not None:
            _debugger(self, self._request.color).set_trace(frame)


class _Pipe:
    """What pdb takes for a socket file."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._received = b""
        self._written = b""

    def write(self, data: bytes) -> None:
        self._written += data

    def flush(self) -> None:
        written, self._written = self._written, b""
        self._attachment.send(wire.DEBUGGER, written.decode(), _LAST_WORDS)

    def readline(self) -> bytes:
        while b"\n" not in self._received:
            received = self._attachment.receive()
            if not received:
                return b""
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        return line + b"\n"

    def close(self) -> None:
        """Do nothing: the connection is the attachment's."""


def _debugger(attachment: Attachment, colorize: bool) -> Any:
    """Return a pdb that talks over the connection of `attachment`: `quit` and `detach` end that."""
    import pdb  # noqa: PLC0415, T100 - heavy, and needed only now

    class Debugger(pdb._PdbServer):  # type: ignore[misc,name-defined] # noqa: SLF001 - what pdb has for this
        def set_trace(self, frame: FrameType | None = None, **options: Any) -> None:
            latest = pdb.Pdb._last_pdb_instance  # type: ignore[attr-defined] # noqa: SLF001
            super().set_trace(frame, **options)
            pdb.Pdb._last_pdb_instance = latest  # type: ignore[attr-defined] # noqa: SLF001 - what breakpoint() opens

        def cmdloop(self, intro: Any = None) -> None:
            with attachment.prompting:  # one prompt at a time, whichever threads stop
                super().cmdloop(intro)

        def detach(self) -> None:
            super().detach()
            self.clear_all_breaks()
            self.set_continue()
            attachment.end()

        def do_detach(self, _argument: str) -> bool:
            """Watch no more, and let the process go on.

            Usage: detach
            """
            quits: bool = self.do_quit("")
            return quits

    return Debugger(_Pipe(attachment), owns_sockfile=False, colorize=colorize, nosigint=True)


class _Relay(Output):
    """Sends hits and messages of attached terminals there, all else where it went before."""

    def __init__(self) -> None:
        super().__init__()
        self.attachments: list[Attachment] = []
        self._before: Output | None = None

    def add(self, attachment: Attachment) -> None:
        """Be the session's output while there is one to relay to."""
        if not self.attachments:
            self._before = session.current().output
            session.current().output = self
        self.attachments.append(attachment)

    def remove(self, attachment: Attachment) -> None:
        self.attachments.remove(attachment)
        if not self.attachments and self._before is not None:
            session.current().output = self._before
            self._before = None

    def arm(self) -> None:
        """Have what is not for a terminal get ready."""
        if self._before is not None:
            self._before.arm()

    def record(self, hit: Hit) -> None:
        """Pass it on to what was there before."""
        if self._before is not None:
            self._before.record(hit)

    def write(self, text: str) -> None:
        """Write a message to all: whose it is cannot be told."""
        asked_by_terminals = {watchpoint for attachment in self.attachments for watchpoint in attachment.watchpoints}
        if self._before is not None and not asked_by_terminals.issuperset(session.current().watchpoints()):
            self._before.write(text)
        for attachment in list(self.attachments):
            attachment.send(wire.SAY, text)

    def show(self, hit: Hit) -> None:
        attachment = self._owner(hit)
        if attachment is not None:
            attachment.show(hit)
        elif self._before is not None:
            self._before.show(hit)

    def owner_of(self, hit: Hit) -> object:
        """Return the terminal that has asked for a hit; None for one of the program's own."""
        return self._owner(hit)

    def debugger_for(self, hit: Hit, frame: FrameType) -> Callable[[], object] | bool:
        """Return what opens the prompt in the terminal that has asked for a hit."""
        attachment = self._owner(hit)
        if attachment is None:
            return self._before is None or self._before.debugger_for(hit, frame)
        return functools.partial(attachment.open_debugger, frame)

    def _owner(self, hit: Hit) -> Attachment | None:
        for attachment in self.attachments:
            if hit.watchpoint in attachment.watchpoints or (attachment.is_arming and hit.already):
                return attachment
        return None


_relay = _Relay()


def _armed_text(plan: Plan, watchpoint: Watchpoint) -> str:
    now = "not there yet" if plan.value_text.startswith("absent") else f"now {plan.value_text}"
    return f"watchpoint {watchpoint.number}: {watchpoint.access.value} {plan.text}, {now}"
