"""The tool id of `sys.monitoring` that the C mechanisms share: taken when needed, given back with nothing left."""

from __future__ import annotations

from stopwhen import env
from stopwhen.errors import Unavailable
from stopwhen.mechanisms import opcodes
from stopwhen.originals import sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = (3, 4)
"""The ids without a conventional owner: 0, 1, 2 and 5 are the debugger's, coverage's, profiler's and optimizer's."""

SPARE = (sys.monitoring.OPTIMIZER_ID, *reversed(OURS)) if env.HAS_MONITORING else ()
"""The ids to take a second one from, under which nothing is called."""

NAME = "stopwhen"
"""What ids are taken as."""

TOOL_ID = "the tool id of sys.monitoring"
"""What somebody may take away, as a message calls it."""

NO_TOOL_ID = "the tool ids 3 and 4 of sys.monitoring are in use by other tools"


def has_free_tool() -> bool:
    """Return whether an id is to be had."""
    return any(sys.monitoring.get_tool(tool) is None for tool in OURS)


def other_tools_run() -> bool:
    """Return whether tools of others have taken ids."""
    return any(sys.monitoring.get_tool(tool) not in (None, NAME) for tool in range(6))


class Tool:
    """A tool id of `sys.monitoring` that is ours, until it is given back or somebody else takes it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._events = 0
        self._callbacks: dict[int, Callable[..., object]] = {}
        sys.monitoring.use_tool_id(number, NAME)

    def register(self, callbacks: dict[int, Callable[..., object]]) -> None:
        """Have `callbacks` called, each for its event."""
        self._callbacks.update(callbacks)
        for event, callback in callbacks.items():
            sys.monitoring.register_callback(self.number, event, callback)

    def set_events(self, events: int) -> None:
        """Turn on exactly these global events."""
        if events != self._events:
            self._events = events
            sys.monitoring.set_events(self.number, events)

    def is_whole(self) -> bool:
        """Return whether the id, its events and its callbacks are still as we have left them."""
        monitoring = sys.monitoring
        if monitoring.get_tool(self.number) != NAME or monitoring.get_events(self.number) != self._events:
            return False
        for event, callback in self._callbacks.items():
            found = monitoring.register_callback(self.number, event, callback)
            if found != callback:
                monitoring.register_callback(self.number, event, found)
                return False
        return True

    def leave(self) -> None:
        """Give it back: remove all that is ours, and leave what others have put there."""
        monitoring = sys.monitoring
        if monitoring.get_tool(self.number) is None:
            # Somebody has freed it. Until 3.13 all that we have set is there still, and only its owner can change that.
            monitoring.use_tool_id(self.number, NAME)
        is_ours = monitoring.get_tool(self.number) == NAME
        if is_ours:
            monitoring.set_events(self.number, 0)
        for event, callback in self._callbacks.items():
            found = monitoring.register_callback(self.number, event, None)
            if found is not None and found != callback:
                monitoring.register_callback(self.number, event, found)
        if is_ours:
            monitoring.free_tool_id(self.number)


def others_first(number: int) -> tuple[int, ...]:
    """Return the ids to take one from, where somebody else seems to want `number`."""
    return (*(one for one in OURS if one != number), number)


def take_tool(ids: tuple[int, ...] = OURS) -> Tool | None:
    """Take one of `ids`, the first that is free; None when all are in use."""
    for tool in ids:
        if sys.monitoring.get_tool(tool) is None:
            return Tool(tool)
    return None


class SharedTool:
    """One tool id for all mechanisms in C: ids are few, and with two of ours each event would be handled twice."""

    def __init__(self) -> None:
        self._wanted: dict[str, int] = {}
        self._tool: Tool | None = None
        self._ids: tuple[int, ...] = OURS

    def reason(self) -> str | None:
        """Return why there is no id; None when there is."""
        return None if self._tool is not None or has_free_tool() else NO_TOOL_ID

    def want(self, mechanism: str, events: int) -> None:
        """Turn on the global `events` that `mechanism` needs, beside those of the others; 0 when it is done.

        Raises:
            Unavailable: there is no id.
        """
        if events:
            if self._tool is None:
                self._tool = self._take()
            self._wanted[mechanism] = events
        else:
            self._wanted.pop(mechanism, None)
        if self._tool is None:
            return
        wanted = 0
        for one in self._wanted.values():
            wanted |= one
        if wanted:
            self._tool.set_events(wanted)
        else:
            self._let_go()

    def taken(self, taker: str) -> bool:
        """Give up an id that somebody has taken by `sys.monitoring.TAKER()`, or is about to by `use_tool_id()`.

        Returns:
            Whether we had it, and all is to be armed anew. Who asks for our id gets it, if there is another one for us.
        """
        if self._tool is None or (taker == "use_tool_id" and not has_free_tool()):
            return False
        self._ids = others_first(self._tool.number)
        self._let_go()
        return True

    def _let_go(self) -> None:
        tool, self._tool = self._tool, None
        env.core.use_tool(None, 0, 0, 0, 0, None)
        if tool is not None:
            tool.leave()

    def _take(self) -> Tool:
        tool = take_tool(self._ids)
        if tool is None:
            raise Unavailable(NO_TOOL_ID, slug="no-tool-id")
        try:
            self._prepare(tool)
        except BaseException:
            env.core.use_tool(None, 0, 0, 0, 0, None)
            tool.leave()
            raise
        return tool

    def _prepare(self, tool: Tool) -> None:
        monitoring = sys.monitoring
        events = monitoring.events
        # Before any code object is looked at: what is found out of it is kept with it.
        env.core.set_opcodes(*opcodes.tables())
        env.core.use_tool(
            *(monitoring.set_local_events, tool.number, events.INSTRUCTION, events.PY_START, events.PY_RETURN),
            monitoring.DISABLE,
        )
        # Last: another thread may still meet an event of the time before.
        tool.register(
            {
                events.INSTRUCTION: env.core.on_instruction,
                events.RAISE: env.core.on_raise,
                events.PY_START: env.core.on_start,
                events.PY_RESUME: env.core.on_start,
                events.PY_THROW: env.core.on_start,
                events.PY_RETURN: env.core.on_exit,
                events.PY_UNWIND: env.core.on_exit,
            }
        )
