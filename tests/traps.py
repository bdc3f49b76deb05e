"""Classes whose every hook is a trap: whoever looks at them by asking them runs into it."""

from __future__ import annotations

import sys

HOOKS = (
    "__repr__", "__str__", "__format__", "__len__", "__iter__", "__getitem__", "__getattr__", "__getattribute__",
    "__eq__", "__ne__", "__lt__", "__hash__", "__bool__", "__index__", "__int__", "__float__", "__contains__",
    "__reversed__", "__next__", "__fspath__", "__sizeof__", "__call__", "__dir__", "__instancecheck__",
    "__subclasscheck__", "__get__", "__set__", "__delete__", "__setattr__", "__missing__", "__length_hint__",
    *(["__buffer__"] if sys.version_info >= (3, 12) else []),
)  # fmt: skip


class Ran(BaseException):
    """A trap was sprung. Not an Exception, so that nobody swallows it."""


def trap(*_args, **_kwargs):
    """Stand for a method of the program's that must not be run."""
    raise Ran


def hostile_class(*bases):
    """Return a class `shop.Hostile` derived from `bases`: all its own hooks and those of its metaclass are traps."""
    lies = dict.fromkeys(("__name__", "__mro__", "__dict__", "__flags__", "__bases__"), property(trap))
    meta = type("HostileMeta", (type,), lies)
    namespace = dict.fromkeys(HOOKS, trap) | {"__class__": property(trap), "__dict__": property(trap)}
    made = type.__new__(meta, "Hostile", bases, namespace | {"__module__": "shop"})
    for hook in HOOKS:
        # Only now: making the class used some of them.
        type.__setattr__(meta, hook, trap)
    return made


def hostile(base=object):
    """Return an instance of a hostile class derived from `base`."""
    return base.__new__(hostile_class(base))
