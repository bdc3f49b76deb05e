"""The tool id of `sys.monitoring` that the C mechanisms share: taken when needed, given back with nothing left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stopwhen import env
from stopwhen.errors import Unavailable
from stopwhen.mechanisms import opcodes
from stopwhen.originals import functools, sys, use_original_builtins

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = (3, 4)
"""The ids without a conventional owner: 0, 1, 2 and 5 are the debugger's, coverage's, profiler's and optimizer's."""

SPARE = (*OURS, sys.monitoring.OPTIMIZER_ID) if env.HAS_MONITORING else ()
"""The ids to take a second one from, under which nothing is called."""

NAME = "stopwhen"
"""What ids are taken as."""

NO_TOOL_ID = "the tool ids 3 and 4 of sys.monitoring are in use by other tools"


def has_free_tool() -> bool:
    """Return whether an id is to be had."""
    return any(sys.monitoring.get_tool(tool) is None for tool in OURS)


def other_tools_run() -> bool:
    """Return whether tools of others have taken ids."""
    return any(sys.monitoring.get_tool(tool) not in (None, NAME) for tool in range(6))


def take_tool(ids: tuple[int, ...] = OURS) -> tuple[int, Callable[[], None]] | None:
    """Take one of `ids` and return it with the function that gives it back; None when all are in use."""
    monitoring = sys.monitoring
    for tool in ids:
        if monitoring.get_tool(tool) is None:
            taken = tool, functools.partial(_leave, tool)  # first, so that whatever fails leaves the id free
            monitoring.use_tool_id(tool, NAME)
            return taken
    return None


def _leave(tool: int) -> None:
    monitoring = sys.monitoring
    monitoring.set_events(tool, 0)
    for name, event in vars(monitoring.events).items():
        if not name.startswith("_") and event and event & (event - 1) == 0:
            monitoring.register_callback(tool, event, None)
    monitoring.free_tool_id(tool)


class SharedTool:
    """One tool id for all mechanisms in C: ids are few, and with two of ours each event would be handled twice."""

    def __init__(self) -> None:
        self._wanted: dict[str, int] = {}
        self._tool = -1
        self._leave: Callable[[], None] | None = None
        self._is_ready = False

    def reason(self) -> str | None:
        """Return why there is no id; None when there is."""
        return None if self._leave is not None or has_free_tool() else NO_TOOL_ID

    def want(self, mechanism: str, events: int) -> None:
        """Turn on the global `events` that `mechanism` needs, beside those of the others; 0 when it is done.

        Raises:
            Unavailable: there is no id.
        """
        if events:
            if not self._is_ready:
                self._take()
            self._wanted[mechanism] = events
        else:
            self._wanted.pop(mechanism, None)
        if self._leave is None:
            return
        wanted = 0
        for one in self._wanted.values():
            wanted |= one
        if sys.monitoring.get_events(self._tool) != wanted:
            sys.monitoring.set_events(self._tool, wanted)
        if not wanted:
            self._is_ready = False
            env.core.use_tool(None, 0, 0, 0, 0, None)
            self._leave()
            self._leave = None

    def _take(self) -> None:
        if self._leave is None:
            taken = take_tool()
            if taken is None:
                raise Unavailable(NO_TOOL_ID, slug="no-tool-id")
            self._tool, self._leave = taken
        monitoring = sys.monitoring
        events = monitoring.events
        # Before any code object is looked at: what is found out of it is kept with it.
        env.core.set_opcodes(*opcodes.tables())
        env.core.use_tool(
            *(monitoring.set_local_events, self._tool, events.INSTRUCTION, events.PY_START, events.PY_RETURN),
            monitoring.DISABLE,
        )
        # Last: another thread may still meet an event of the time before.
        for event, callback in (
            (events.INSTRUCTION, env.core.on_instruction),
            (events.RAISE, env.core.on_raise),
            (events.PY_START, env.core.on_start),
            (events.PY_RESUME, env.core.on_start),
            (events.PY_THROW, env.core.on_start),
            (events.PY_RETURN, env.core.on_exit),
            (events.PY_UNWIND, env.core.on_exit),
        ):
            monitoring.register_callback(self._tool, event, callback)
        self._is_ready = True
