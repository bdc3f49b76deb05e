"""What goes over the connection between `stopwhen attach` and the process it is attached to: texts, each of a kind."""

from __future__ import annotations

from collections.abc import Iterator

HELLO = "hello"  # the first of each connection: the token, and the process that speaks
FAILED = "failed"  # slug, message and hint, separated by SEPARATOR: nothing is watched
ARMED = "armed"  # the watchpoints, a line each
HIT = "hit"  # the report of one
SAY = "say"  # a message
COUNTS = "counts"  # what is to be told at the end, a line each
DEBUGGER = "pdb"  # a message of pdb's own protocol
DETACHED = "detached"  # nothing is watched any more

SEPARATOR = "\x1f"


def encode(kind: str, text: str) -> bytes:
    """Return one message as bytes."""
    raw = text.encode("utf-8", "backslashreplace")
    return b"%s %d\n%s" % (kind.encode(), len(raw), raw)


class Decoder:
    """Takes bytes as they come, and gives whole messages."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, received: bytes) -> Iterator[tuple[str, str]]:
        """Yield the kind and text of each message that is complete now.

        Raises:
            ValueError: this is no such connection.
        """
        self._bytes += received
        while b"\n" in self._bytes:
            head, _, rest = self._bytes.partition(b"\n")
            kind, _, length = head.partition(b" ")
            size = int(length)
            if len(rest) < size:
                return
            self._bytes = rest[size:]
            yield kind.decode(), rest[:size].decode("utf-8", "replace")
