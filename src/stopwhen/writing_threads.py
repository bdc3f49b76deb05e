"""Who runs in a thread: its name, and that of its asyncio task, from what `threading` and `asyncio` have stored."""

from __future__ import annotations

from _thread import get_ident
from types import BuiltinFunctionType

from stopwhen.originals import use_original_builtins
from stopwhen.static import instance_dict, is_a, loaded_class
from stopwhen.texts import plain_str, text_of
from stopwhen.type_hints import Any

use_original_builtins(globals())

_FIRST_THREAD = get_ident()
"""Where `threading` has never been imported, the main thread is the one that imports stopwhen."""

_CURRENT_TASK = (("_asyncio", "current_task"), ("asyncio.tasks", "_c_current_task"))
"""Where the function in C is; a program that patches it does so in `asyncio`."""


def thread_name(thread_id: int) -> str:
    """Return the name that `threading` has for a thread, without making it known to `threading`."""
    threads = loaded_class("threading", "_active")
    if type(threads) is not dict:
        return "MainThread" if thread_id == _FIRST_THREAD else f"Thread-{thread_id}"
    name = _stored_name(threads.get(thread_id))
    return f"Thread-{thread_id}" if name is None else name


def task_name(thread_id: int) -> str | None:
    """Return the name of the asyncio task that the thread runs, if it is this one; None when it runs none."""
    if thread_id != get_ident():
        return None
    task = _current_task()
    kind = loaded_class("_asyncio", "Task")
    if task is None:
        return None
    if type(kind) is type and is_a(task, kind):
        return plain_str(kind.get_name(task))  # type: ignore[attr-defined] # the type in C
    return _stored_name(task)


def _stored_name(owner: Any) -> str | None:
    attributes = None if owner is None else instance_dict(owner)
    name = None if attributes is None else attributes.get("_name")
    return name if name is None or type(name) is str else text_of(name)


def _current_task() -> Any:
    # Before its module has been run, which `sys.modules` has by then, the function in C follows a null pointer (3.12).
    if not is_a(loaded_class("_asyncio", "Task"), type):
        return None
    for module, name in _CURRENT_TASK:
        function = loaded_class(module, name)
        if _is_of_asyncio(function, "current_task"):
            try:
                task = function()
            except RuntimeError:  # no event loop runs
                return None
            if task is not None:
                return task
            break
    # On 3.11 the function is in Python; so it is where a program has tasks in Python.
    running, tasks = loaded_class("_asyncio", "_get_running_loop"), loaded_class("asyncio.tasks", "_current_tasks")
    if not _is_of_asyncio(running, "_get_running_loop") or type(tasks) is not dict:
        return None
    loop = running()
    return next((task for one, task in list(tasks.items()) if one is loop), None)


def _is_of_asyncio(function: Any, name: str) -> bool:
    return type(function) is BuiltinFunctionType and function.__module__ == "_asyncio" and function.__name__ == name
