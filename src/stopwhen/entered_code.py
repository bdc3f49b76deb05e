"""Whether a thread is inside a call of the program that evaluating a watch expression could enter as well."""

from __future__ import annotations

from types import CodeType, FunctionType, MethodType
from typing import Any

from stopwhen import static
from stopwhen.originals import sys, use_original_builtins
from stopwhen.types import ABSENT

use_original_builtins(globals())


def is_amid(values: tuple[Any, ...]) -> bool:
    """Return whether a frame of this thread runs one of `values`, or a method of the class of one of them.

    An object may be half changed then: evaluating would see what no caller ever sees, and might store it.
    """
    functions = [function for value in values if (function := _function_of(value)) is not None]
    kinds = [kind for value in values if static.is_mutable(kind := _class_of(value))]
    if not functions and not kinds:
        return False
    frame = sys._getframe(1)  # noqa: SLF001 - there is no other way to it
    while frame is not None:
        code = frame.f_code
        if any(function.__code__ is code for function in functions) or any(_has(kind, code) for kind in kinds):
            return True
        frame = frame.f_back  # type: ignore[assignment] # None after the outermost
    return False


def _class_of(value: Any) -> type:
    """Return the class whose methods evaluating may enter: of a bound method, that of the object it is bound to."""
    owner: Any = value.__self__ if type(value) is MethodType else value
    kind: type = owner if static.is_a(owner, type) else type(owner)
    return kind


def _function_of(value: Any) -> FunctionType | None:
    inner = value.__func__ if type(value) is MethodType else value
    return inner if type(inner) is FunctionType else None


def _has(kind: type, code: CodeType) -> bool:
    """Tell whether `code` is that of a method or property of `kind`, under its own name."""
    for base in static.mro(kind):
        entry = static.entry(base, code.co_name)
        if entry is ABSENT:
            continue
        inner: tuple[Any, ...] = (entry.fget, entry.fset, entry.fdel) if type(entry) is property else (entry,)
        for one in inner:
            function = one.__func__ if type(one) in (staticmethod, classmethod) else one
            if type(function) is FunctionType and function.__code__ is code:
                return True
    return False
