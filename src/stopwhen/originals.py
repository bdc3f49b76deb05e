"""The interpreter's own functions, held as they are before the program begins.

Programs put other functions in the place of `time.time_ns`, `os.getcwd`, `open`, `len`; libraries that fake a clock or
a file system do so in every module that is loaded, ours included. If one of theirs ran for us, it would count a call
too many, move a frozen clock, or raise in the program's own line.

So code that runs after arming has its builtins and its modules of the standard library from here. Of those modules it
uses data, classes and functions in C: a function in Python looks up others in its own module when it is called.
"""

from __future__ import annotations

import builtins
from types import ModuleType, SimpleNamespace

from stopwhen.type_hints import TYPE_CHECKING, Any

BUILTINS = dict(vars(builtins))
"""The builtins as they are now: `len`, `isinstance` and the others."""


def use_original_builtins(namespace: dict[str, Any]) -> None:
    """Let the functions of a module that are defined from now on look builtins up in `BUILTINS`.

    Each module whose functions run after arming begins with this; a test holds every module to it.
    """
    namespace["__builtins__"] = BUILTINS


def held(module: ModuleType) -> Any:
    """Return what a module has now; no module, since libraries search our namespaces for those that they fake."""
    return SimpleNamespace(**vars(module))


if TYPE_CHECKING:
    import ast as ast
    import collections as collections
    import enum as enum
    import errno as errno
    import functools as functools
    import gc as gc
    import io as io
    import itertools as itertools
    import opcode as opcode
    import operator as operator
    import os as os
    import struct as struct
    import sys as sys
    import time as time
    import types as types
    import weakref as weakref
else:
    ast = held(__import__("_ast"))  # the kinds of nodes; the module `ast` itself takes long to load
    collections = held(__import__("collections"))
    enum = held(__import__("enum"))
    errno = held(__import__("errno"))
    functools = held(__import__("functools"))
    gc = held(__import__("gc"))
    io = held(__import__("io"))
    itertools = held(__import__("itertools"))
    opcode = held(__import__("opcode"))
    operator = held(__import__("operator"))
    os = held(__import__("os"))
    struct = held(__import__("_struct"))
    sys = held(__import__("sys"))
    time = held(__import__("time"))
    types = held(__import__("types"))
    weakref = held(__import__("weakref"))
    if hasattr(sys, "monitoring"):
        sys.monitoring = held(sys.monitoring)
