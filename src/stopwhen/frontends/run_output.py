"""Where hits and messages of `stopwhen run` go: the stderr that the process began with, or files; its closing line."""

from __future__ import annotations

from collections.abc import Sequence

from stopwhen.actions import Output
from stopwhen.channel import Channel
from stopwhen.errors import UsageError
from stopwhen.frontends.options import STDERR_WORD, Reporting
from stopwhen.originals import os, sys, use_original_builtins
from stopwhen.reports.json_lines import hit_line, json_line
from stopwhen.reports.text import folded_text, format_hit, summary
from stopwhen.type_hints import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from stopwhen.errors import StopwhenError
    from stopwhen.hit import Hit
    from stopwhen.tally import Tally
    from stopwhen.watchpoint import Watchpoint

use_original_builtins(globals())


class RunOutput(Output):
    """The output of one run.

    Raises:
        UsageError: a file that was asked for cannot be written.
    """

    def __init__(self, reporting: Reporting) -> None:
        super().__init__()
        self._reporting = reporting
        self._has_text = reporting.json != STDERR_WORD
        output, json = reporting.output, reporting.json
        text = Channel.of_stderr() if output in (None, STDERR_WORD) else _opened(output, "--output")
        self._use(text)
        if json is None:
            self._json = None
        else:
            self._json = Channel.of_stderr() if json == STDERR_WORD else _opened(json, "--json")
        self._shown: dict[tuple[object, ...], int] = {}
        self._folded: dict[tuple[object, ...], Hit] = {}
        self._streams = (sys.stdout, sys.stderr)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those that are written to."""
        return tuple(channel.descriptor for channel in (self._channel, self._json) if channel is not None)

    def arm(self) -> None:
        """Do nothing: all was made ready before the program began."""

    def close(self) -> None:
        """Do nothing: what remains to be said comes after the session has been closed."""

    def write(self, text: str) -> None:
        """Write a message; where JSON has taken the place of text, as an object of its own kind."""
        if self._has_text:
            super().write(text)
        elif self._json is not None:
            self._json.write(json_line({"event": "message", "text": text.rstrip("\n")}))

    def record(self, hit: Hit) -> None:
        """Write the JSON object of a hit."""
        if self._json is not None:
            self._json.write(hit_line(hit))

    def show(self, hit: Hit) -> None:
        """Write the report of a hit; of many at one line, the first few."""
        if not self._has_text or self._reporting.quiet:
            return
        at = hit.location
        key = (hit.watchpoint.number, None if at is None else (at.filename, at.lineno))
        shown = self._shown[key] = self._shown.get(key, 0) + 1
        if shown <= self._reporting.max_hits:
            self.write(format_hit(hit, color=self.color, width=self.width, stack=self._reporting.stack))
        elif key not in self._folded:
            self._folded[key] = hit.kept()

    def refused(self, watchpoint: Watchpoint, error: StopwhenError) -> None:
        """Say that what was watched cannot be any more; with --strict that is the end."""
        super().refused(watchpoint, error)
        if self._reporting.strict:
            self._end(error.exit_status)

    def finish(self, texts: Sequence[str], tally: Tally) -> None:
        """Tell what was folded, and count the hits, unless that has been told of as many."""
        self.tell_folded()
        told, counts = tally.told, tally.counts()
        hits = sum(count.total for count in counts)
        if hits > told and self._has_text:
            self.say(summary(list(zip(texts, counts, strict=True)), told))
        tally.told = hits

    def begin_in_child(self) -> None:
        """Leave it to the parent of a forked child to tell what was folded there so far."""
        self._folded.clear()

    def tell_folded(self) -> None:
        """Tell how many hits of a line were not shown."""
        folded, self._folded = self._folded, {}
        for key, hit in folded.items():
            self.say(folded_text(hit, self._shown[key] - self._reporting.max_hits))

    def _end(self, status: int) -> NoReturn:
        """End the process here and now: the program could catch anything that is raised."""
        for stream in self._streams:
            try:
                stream.flush()
            except Exception:  # noqa: S112 - a stream of the program's, or a closed one
                continue
        os._exit(status)  # noqa: SLF001 - there is no other way


def _opened(path: str | None, option: str) -> Channel:
    assert path is not None
    try:
        return Channel.to_file(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "give a file that can be written, or - for stderr"
        raise UsageError(f"{option}: cannot write {path!r}: {reason}", slug="no-output", hint=hint) from None
