"""What a test must leave as it found it: the interpreter-wide things that watching uses."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

import stopwhen


def interpreter_state() -> dict[str, Any]:
    """Return what is set in the interpreter now, by what a person would call it."""
    state: dict[str, Any] = {
        "trace function": sys.gettrace(),
        "trace function of new threads": threading.gettrace(),
        "profile function": sys.getprofile(),
        "excepthook": sys.excepthook,
        "watchpoints": [watchpoint.number for watchpoint in stopwhen.watchpoints()],
        "things armed in the C module": _armed_in_core(),
    }
    for number in signal.valid_signals():
        state[f"handler of signal {int(number)}"] = signal.getsignal(number)
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None:
        for tool_id in range(6):
            tool = monitoring.get_tool(tool_id)
            state[f"owner of monitoring tool id {tool_id}"] = tool
            if tool is not None:
                state[f"events of monitoring tool id {tool_id}"] = monitoring.get_events(tool_id)
    return state


def leaks(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return a line for each thing of `after` that is not as it was in `before`."""
    names = before | after
    return [
        f"{name}: {before.get(name)!r} before the test, {after.get(name)!r} after it"
        for name in names
        if before.get(name) != after.get(name)
    ]


def restore(before: dict[str, Any]) -> None:
    """Undo what can be undone of a leak, so that the next test starts clean."""
    stopwhen.clear()
    sys.settrace(before["trace function"])
    threading.settrace(before["trace function of new threads"])
    sys.setprofile(before["profile function"])
    sys.excepthook = before["excepthook"]
    for number in signal.valid_signals():
        handler = before[f"handler of signal {int(number)}"]
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None:
        for tool_id in range(6):
            if monitoring.get_tool(tool_id) is not None and before[f"owner of monitoring tool id {tool_id}"] is None:
                monitoring.set_events(tool_id, 0)
                monitoring.free_tool_id(tool_id)


def _armed_in_core() -> int | None:
    """Return how many things the C module has armed; None without a C module or where it does not count."""
    try:
        from stopwhen._core import armed
    except ImportError:
        return None
    return armed()
