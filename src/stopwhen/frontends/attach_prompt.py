"""The debugger's prompt in the terminal of `stopwhen attach`, as `python -m pdb -p` has it."""

from __future__ import annotations

import json
import pdb  # noqa: T100 - the debugger's own client is what this builds on
from collections.abc import Callable

from stopwhen.frontends import wire
from stopwhen.type_hints import Any


class Prompt(pdb._PdbClient):  # type: ignore[misc,name-defined] # noqa: SLF001 - there is no public one
    """Shows what pdb says in the process, and sends it what is typed here."""

    def __init__(self, pid: int, tell: Callable[[Any, str, str], None]) -> None:
        super().__init__(pid, None, None)
        self._tell = tell  # what comes in between and is not the debugger's
        self._connection: Any = None
        self._unread: list[str] = []

    def take(self, connection: Any, text: str) -> None:
        """Take messages of pdb, one on a line, that came over `connection`."""
        self._connection = connection
        with self.readline_completion(self.complete):
            for line in text.splitlines():
                self.process_payload(json.loads(line))

    def _send(self, **kwargs: Any) -> None:
        """Send an answer; that nobody is there any more is found when reading."""
        try:
            self._connection.socket.sendall(json.dumps(kwargs).encode() + b"\n")
        except OSError:
            self.write_failed = True

    def _readline(self) -> bytes:
        """Return the next message of pdb while the prompt waits for completions."""
        while not self._unread:
            messages = self._connection.receive()
            if messages is None:
                return b""
            for kind, text in messages:
                if kind == wire.DEBUGGER:
                    self._unread += text.splitlines()
                else:
                    self._tell(self._connection, kind, text)
        return self._unread.pop(0).encode()
