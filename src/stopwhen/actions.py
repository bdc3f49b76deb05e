"""What a hit does, in the thread and at the moment of the write."""

from __future__ import annotations

from stopwhen.channel import STDERR, Channel
from stopwhen.errors import DataChanged
from stopwhen.originals import use_original_builtins
from stopwhen.reports.text import columns_asked_for, error_text, format_hit, report_width, wants_color
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from stopwhen.errors import StopwhenError
    from stopwhen.hit import Hit
    from stopwhen.watchpoint import Watchpoint


class Output:
    """Where our own text goes: the stderr that the process has when the latest watchpoint is armed.

    It is a duplicate of that descriptor, so what the program does with its own afterwards makes no difference.
    """

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._channel: Channel | None = None
        self._columns: int | None = None
        self.color = False

    def arm(self) -> None:
        """Get ready to write: from now on the program may do with its stderr, and its environment, what it likes."""
        if self._channel is None or not self._channel.is_file_of(STDERR):
            self._use(Channel.of_stderr())

    def close(self) -> None:
        """Close what `arm` has opened."""
        if self._channel is not None:
            self._channel.close()
        self._channel = None

    def _use(self, channel: Channel | None) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel = channel
        self._columns = columns_asked_for()
        self.color = wants_color(channel)

    @property
    def width(self) -> int:
        """How wide a report may be."""
        if self._columns is not None or self._channel is None:
            return report_width(self._columns)
        return report_width(self._channel.columns())

    def write(self, text: str) -> None:
        """Write `text`, a whole number of lines."""
        if self._channel is None:
            self.arm()
        if self._channel is not None:
            self._channel.write(text)

    def say(self, text: str) -> None:
        """Write one message under our name."""
        self.write(f"stopwhen: {text}\n")

    def say_once(self, text: str) -> None:
        """Write one message under our name, the first time only."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def owner_of(self, _hit: Hit) -> object:
        """Return whom a hit concerns, as far as there is more than one: each stops for itself."""
        return None

    def debugger_for(self, _hit: Hit, _frame: FrameType) -> Callable[[], object] | bool:
        """Return what opens the debugger of a front end in a frame; True for the user's own one, False for none."""
        return True

    def record(self, hit: Hit) -> None:
        """Note a hit that acts, whatever its action is."""

    def show(self, hit: Hit) -> None:
        """Write the report of a hit."""
        self.write(format_hit(hit, color=self.color, width=self.width))

    def refused(self, watchpoint: Watchpoint, error: StopwhenError) -> None:
        """Say that what was watched cannot be any more."""
        self.say(f"no longer watching {watchpoint.expression.text!r}: {error}")


def log(hit: Hit, output: Output) -> None:
    """Write the report."""
    output.show(hit)


def raise_changed(hit: Hit) -> None:
    """Raise `DataChanged` for the writer.

    Raises:
        DataChanged: always.
    """
    raise DataChanged(hit, error_text(hit))
