"""What is asked of a watchpoint beside its expression, named once from the front ends to the session."""

from __future__ import annotations

from stopwhen.immutable import Immutable
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import Any
from stopwhen.types import Action

use_original_builtins(globals())


class Terms(Immutable):
    """Where an expression is read, which events count, and what a hit does: as given, not checked yet.

    Attributes:
        scope: where names are read: None for `__main__`, else as the contract's table of scopes says.
        pin: the objects that the root names stand for are watched on, whatever becomes of the names.
        depth: how far the content of the value counts: 0, 1, ... or "all".
        condition: expression over `old`, `new` and the writing frame's names, or a callable of the hit; None for none.
        hit_condition: rule on the count; None for none.
        threads: patterns of names of the threads whose writes count; None or nothing for all, as below.
        tasks: patterns of names of the asyncio tasks whose writes count.
        files: patterns of the files whose writes count.
        not_files: patterns of the files whose writes do not count.
        functions: patterns of the qualified names of the functions whose writes count.
        callers: patterns of files or qualified names: one frame of the stack has such a one.
        action: "stop", "log", "raise", "count", or a callable of the hit.
        allow_calls: evaluate calls that are not known to be free of side effects.
    """

    scope: Any = None
    pin: Any = False
    depth: Any = 1
    condition: Any = None
    hit_condition: Any = None
    threads: Any = ()
    tasks: Any = ()
    files: Any = ()
    not_files: Any = ()
    functions: Any = ()
    callers: Any = ()
    action: Any = Action.STOP
    allow_calls: Any = False
