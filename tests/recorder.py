"""Collects the hits of watchpoints through a callable action, and removes the watchpoints whatever happens."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import stopwhen
from stopwhen import Hit, Watchpoint


class Recorder:
    """A context manager that makes watchpoints and collects their hits; also the action to give to others' watchpoints.

        with Recorder() as hits:
            hits.changes("sys.path", scope=module)
            program()
        assert hits.lines == [12]

    Attributes:
        hits: as the action got them, with a hold on the program's objects, in the order of the actions.
        watchpoints: those made here.
    """

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self.watchpoints: list[Watchpoint] = []
        self._before = {one.number for one in stopwhen.watchpoints()}

    def __call__(self, hit: Hit) -> None:
        """Be the action of a watchpoint."""
        self.hits.append(hit)

    def changes(self, expression: str, *, scope: Any, **options: Any) -> Watchpoint:
        """Watch the changes of `expression`; the scope is given, since the calling frame is the test's."""
        return self._keep(stopwhen.changes(expression, scope=scope, **{"action": self, **options}))

    def true(self, expression: str, *, scope: Any, **options: Any) -> Watchpoint:
        """Watch for `expression` to become true."""
        return self._keep(stopwhen.true(expression, scope=scope, **{"action": self, **options}))

    def writes(self, expression: str, *, scope: Any, **options: Any) -> Watchpoint:
        """Watch every store to `expression`."""
        return self._keep(stopwhen.writes(expression, scope=scope, **{"action": self, **options}))

    def reads(self, expression: str, *, scope: Any, **options: Any) -> Watchpoint:
        """Watch every read of `expression`."""
        return self._keep(stopwhen.reads(expression, scope=scope, **{"action": self, **options}))

    def _keep(self, watchpoint: Watchpoint) -> Watchpoint:
        self.watchpoints.append(watchpoint)
        return watchpoint

    @property
    def lines(self) -> list[int | None]:
        """The line of each hit, None where there was no Python frame."""
        return [None if hit.location is None else hit.location.lineno for hit in self.hits]

    @property
    def texts(self) -> list[tuple[str, str]]:
        """The old and new text of each hit."""
        return [(hit.old_text, hit.new_text) for hit in self.hits]

    def of(self, watchpoint: Watchpoint) -> list[Hit]:
        """Return the hits of one watchpoint."""
        return [hit for hit in self.hits if hit.watchpoint is watchpoint]

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove every watchpoint made meanwhile, by whomever."""
        for watchpoint in stopwhen.watchpoints():
            if watchpoint.number not in self._before:
                watchpoint.remove()
