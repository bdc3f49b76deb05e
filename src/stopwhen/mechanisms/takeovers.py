"""What somebody else takes away that the interpreter has given to the mechanisms: found, and made ready to arm anew."""

from __future__ import annotations

from stopwhen import env
from stopwhen.immutable import Immutable
from stopwhen.mechanisms.recheck import Recheck
from stopwhen.mechanisms.tools import TOOL_ID
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stopwhen.mechanisms import Mechanism
    from stopwhen.mechanisms.tools import SharedTool

# The same values as in _core/takeovers.h.
TAKEN_TOOL, TAKEN_WATCHER = 1, 2

GIVEN = "use_tool_id"
"""The function of `sys.monitoring` that asks for a tool id; the others take one that is ours."""


class Taken(Immutable):
    """Something that somebody has taken away.

    Attributes:
        what: in words.
        by: the function of `sys.monitoring` that did it; "" when that is not known.
        may_miss: changes since may have been missed.
    """

    what: str
    by: str
    may_miss: bool

    @property
    def is_asked_for(self) -> bool:
        """The program has only asked for what we could do without: nobody needs to know."""
        return self.by == GIVEN

    def message(self, names: str, titles: list[str]) -> str:
        """Return what is said of it: `names` may have missed changes, `titles` are the mechanisms from now on."""
        how = f" by sys.monitoring.{self.by}()" if self.by else ""
        missed = f"; a change of {names} may have been missed, and what is there now counts as seen" * self.may_miss
        goes_on = f"watching goes on by {' and '.join(titles)}" if titles else "nothing is watched any more"
        return f"somebody has taken {self.what} away{how}{missed}; {goes_on} [taken-away]"


class Takeovers:
    """Finds what was taken from the mechanisms; what is left of it is given back, so that all can be armed anew."""

    def __init__(self, tool: SharedTool, mechanisms: tuple[Mechanism, ...]) -> None:
        self._tool = tool
        self._mechanisms = mechanisms

    def may_be(self) -> bool:
        """Return whether something may have been taken; quick, for the C mechanisms only."""
        return env.core is not None and env.core.is_taken()

    def find(self) -> Iterator[Taken]:
        """Yield what was taken since the last call."""
        if env.core is not None:
            taken, by = env.core.taken()
            if taken & TAKEN_TOOL and self._tool.taken(by or ""):
                yield Taken(TOOL_ID, by or "", may_miss=False)
            if taken & TAKEN_WATCHER:
                yield Taken("a dict watcher", "", may_miss=True)
        for mechanism in self._mechanisms:
            what = mechanism.taken() if isinstance(mechanism, Recheck) else None
            if what is not None:
                yield Taken(what, "", may_miss=True)
