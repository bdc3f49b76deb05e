"""Changes that could be neither noted nor handled, for want of memory as a rule, until the user has been told."""

from __future__ import annotations

from stopwhen.location import is_ours
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stopwhen.actions import Output

MOST_NAMED = 3
"""How many watch expressions the message names."""


class Missed:
    """Which watch expressions may have missed a change, and why.

    Attributes:
        any_may: any watch expression may have; True while something is under way that must not be left half done.
    """

    def __init__(self) -> None:
        self.any_may = False
        self._texts: dict[str, None] = {}
        self._reason = ""

    def __bool__(self) -> bool:
        return self.any_may or bool(self._texts)

    def add(self, texts: Iterable[str]) -> None:
        """Note that the watch expressions `texts` may have missed a change."""
        self._texts.update(dict.fromkeys(texts))

    def because(self, error: BaseException) -> None:
        """Note the error that is to blame; the last one stands for all."""
        self._reason = type(error).__name__

    def tell(self, output: Output, all_texts: Iterable[str]) -> None:
        """Say what may have been missed, and forget it. `all_texts` are those of all watchpoints."""
        texts = list(dict.fromkeys(all_texts)) if self.any_may else list(self._texts)
        if texts:
            reason = f"handling it was cut short by {self._reason}" if self._reason else "no memory to note it"
            output.say(
                f"a change of {enumerated(texts)} may have been missed: {reason}; what is there now counts as seen "
                "[missed-change]"
            )
        self.any_may = False
        self._texts.clear()
        self._reason = ""


def enumerated(texts: list[str]) -> str:
    """Return the first of the watch expressions `texts`, and how many more there are."""
    named = ", ".join(map(repr, texts[:MOST_NAMED]))
    more = f" and {len(texts) - MOST_NAMED:,} more" if len(texts) > MOST_NAMED else ""
    return named + more


def is_own_failure(error: BaseException) -> bool:
    """Return whether stopwhen itself raised `error`, for want of memory or stack or by a mistake.

    Anything else was raised by code of the program's that ran meanwhile, such as a signal handler, and is meant for the
    program.
    """
    if isinstance(error, MemoryError | RecursionError):
        return True
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return isinstance(error, Exception) and traceback is not None and is_ours(traceback.tb_frame.f_code.co_filename)
