"""The attributes that a `threading.local` has in one thread, found without making them or running `__init__`."""

from __future__ import annotations

from stopwhen import env, static
from stopwhen.originals import gc, sys, use_original_builtins
from stopwhen.type_hints import Any
from stopwhen.types import ABSENT

use_original_builtins(globals())

_HAS_KEYS = sys.version_info >= (3, 13)
"""A thread has one key, under which each such object keeps the thread's dict; before that it has one for each."""

IS_POSSIBLE = _HAS_KEYS or env.core is not None
"""Whether the dict of a certain thread can be told from those of the others."""


class ThisThread:
    """Stands for the thread that makes it, in whichever thread it is asked later."""

    def __init__(self) -> None:
        local = static.loaded_class("_thread", "_local")
        self._key: Any = None
        self._namespace: Any = None
        if local is not None and _HAS_KEYS:
            self._key = next(iter(dicts_of(local())))
        elif local is not None and env.core is not None:
            self._namespace = env.core.thread_dict()

    def attributes_of(self, owner: Any) -> Any:
        """Return the dict of `owner`, a `threading.local`, in this thread; `ABSENT` while it has none."""
        dicts = dicts_of(owner)
        if _HAS_KEYS:
            return dict.get(dicts, self._key, ABSENT)
        marker = dict.get(self._namespace or {}, f"thread.local.{id(owner):#x}")
        found = [value for key, value in list(dict.items(dicts)) if marker is not None and key() is marker]
        return found[0] if found else ABSENT


def is_local(kind: type) -> bool:
    """Tell whether `kind` is `threading.local` or a subclass of it."""
    local = static.loaded_class("_thread", "_local")
    return local is not None and static.has_base(kind, local)


def dicts_of(owner: Any) -> dict[Any, dict[str, Any]]:
    """Return the dict in which a `threading.local` keeps the attributes that it has in each thread."""
    # It is the last dict that it refers to; before that come slots of subclasses, and the arguments of `__init__`.
    found: dict[Any, dict[str, Any]] = [one for one in gc.get_referents(owner) if type(one) is dict][-1]
    return found
