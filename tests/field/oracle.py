"""Runs a module under a trace function that finds out for itself which instructions change some data.

usage: oracle.py REQUEST RESULT -m MODULE [argument...]

It shares no code with stopwhen and knows another way: within the functions that REQUEST names it compares the data
before and after each instruction. `RESULT` gets one JSON list a change: the data's name, file, line, function; the
line is 0 where the change happened outside of those functions, and -1 where two threads may have made it.

The request: {"functions": [[file, qualified name], ...], "data": [{"name", "kind", ...}, ...]}. The kinds of data:
    expression  "expression" is read in the module "module"; "depth" says how far its content counts
    local       the local variable "variable" of the function "function" of the module "module"
    attribute   the attribute "attribute" of each instance of the class "class" of the module "module"; unless "depth"
                is "0", the content of a list, dict or set there counts too
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import threading
from collections import OrderedDict, defaultdict, deque
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, TextIO

SCALARS = (int, float, complex, bool, str, bytes, type(None))
ABSENT = object()
Place = tuple[str, int, str]
ELSEWHERE: Place = ("", 0, "")


def looked(value: Any, depth: float, seen: dict[int, int] | None = None) -> Any:
    """Return what tells `value` from another one: equal results mean that nothing changed."""
    if type(value) in SCALARS:
        return (type(value), repr(value) if type(value) in (float, complex) else value)
    if depth <= 0:
        return id(value)
    seen = {} if seen is None else seen
    if id(value) in seen:
        return ("seen", seen[id(value)])
    seen[id(value)] = len(seen)
    inner = depth - 1
    parts: list[Any] = [id(value)]
    if type(value) is os._Environ:
        return (id(value), dict(value.__dict__["_data"]))
    if isinstance(value, (list, deque)):
        parts += (
            [looked(item, inner, seen) for item in list.__iter__(value)]
            if isinstance(value, list)
            else [looked(item, inner, seen) for item in deque.__iter__(value)]
        )
    elif isinstance(value, tuple):
        parts += [looked(item, depth, seen) for item in tuple.__iter__(value)]
    elif isinstance(value, dict):
        entries = list(dict.items(value))
        parts += [(looked(key, inner, seen), looked(item, inner, seen)) for key, item in entries]
        if not isinstance(value, OrderedDict):
            parts[1:] = sorted(parts[1:], key=repr) if inner > 0 else [frozenset(map(repr, parts[1:]))]
    elif isinstance(value, (set, frozenset)):
        parts.append(frozenset(map(id, value)))
    elif isinstance(value, (bytearray, memoryview)):
        parts.append(bytes(value))
    if not isinstance(value, (type, ModuleType)):
        attributes = getattr(value, "__dict__", None)
        if type(attributes) is dict:
            parts += [(key, looked(item, inner, seen)) for key, item in sorted(attributes.items(), key=repr)]
    return parts


class Expression:
    """Data that an expression reads in a module."""

    def __init__(self, name: str, module: str, expression: str, depth: float) -> None:
        self.name = name
        self.module = module
        self.code = compile(expression, "<oracle>", "eval")
        self.depth = depth
        self.last: Any = ABSENT

    def now(self) -> Any:
        """Return how it looks now."""
        names = sys.modules if self.module == "" else getattr(sys.modules.get(self.module), "__dict__", {})
        try:
            return looked(eval(self.code, {}, dict(names)), self.depth)
        except Exception:
            return ABSENT

    def has_changed(self) -> bool:
        """Return whether it looks another way than at the last call."""
        now = self.now()
        if now == self.last:
            return False
        self.last = now
        return True


class Process(Expression):
    """One of the three lists and dicts that each run watches: compared without being copied first."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "", name, 1)
        self.owner, self.attribute = name.split(".")
        self.held: Any = None
        self.copy: Any = None

    def has_changed(self) -> bool:
        """Return whether it is another object than at the last call, or has other content."""
        module = sys.modules.get(self.owner)
        held = ABSENT if module is None else module.__dict__.get(self.attribute, ABSENT)
        content = getattr(held, "_data", held)
        if held is self.held and content == self.copy:
            return False
        self.held, self.copy = held, content.copy() if isinstance(content, (list, dict)) else content
        return True


class Content:
    """The content of a container that an attribute holds, or held."""

    def __init__(self, name: str, container: Any) -> None:
        self.name = name
        self.container = container
        self.copy = container.copy()

    def has_changed(self) -> bool:
        """Return whether it has other content than at the last call."""
        if self.container == self.copy:
            return False
        self.copy = self.container.copy()
        return True


class Oracle:
    """The trace function, and what it has seen."""

    def __init__(self, request: dict[str, Any], out: TextIO) -> None:
        self.out = out
        self.pid = os.getpid()
        self.functions = {(file, name) for file, name in request["functions"]}
        self.known: dict[CodeType, bool] = {}
        self.lines: dict[CodeType, list[int]] = {}
        self.data: list[Expression | Content] = []
        self.locals: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.attributes: dict[str, list[dict[str, str]]] = defaultdict(list)
        for one in request["data"]:
            if one["kind"] == "local":
                self.locals[one["function"]].append((one["name"], one["variable"]))
            elif one["kind"] == "attribute":
                self.attributes[one["module"]].append(one)
            elif one["expression"] in ("sys.path", "os.environ", "warnings.filters"):
                self.data.append(Process(one["expression"]))
            else:
                depth = float("inf") if one["depth"] == "all" else float(one["depth"])
                self.data.append(Expression(one["name"], one["module"], one["expression"], depth))
        self.frames: dict[FrameType, dict[str, Any]] = {}
        self.place: Place = ELSEWHERE
        self.thread = threading.get_ident()

    def note(self, name: str, place: Place) -> None:
        """Write one change."""
        if os.getpid() == self.pid:
            self.out.write(json.dumps([name, *place]) + "\n")

    def is_traced(self, code: CodeType) -> bool:
        """Return whether the code is of one of the functions that were asked for."""
        known = self.known.get(code)
        if known is None:
            known = self.known[code] = (file_of(code), code.co_qualname) in self.functions
        return known

    def at(self, frame: FrameType) -> Place:
        """Return the place of the instruction that `frame` is at."""
        code = frame.f_code
        lines = self.lines.get(code)
        if lines is None:
            positions = code.co_positions()
            lines = self.lines[code] = [start or 0 for start, *_ in positions]
        return (
            file_of(code),
            lines[frame.f_lasti // 2] if frame.f_lasti >= 0 else code.co_firstlineno,
            code.co_qualname,
        )

    def look(self) -> None:
        """Compare: what changed was changed where the last event was."""
        thread = threading.get_ident()
        for one in self.data:
            if one.has_changed():
                place = self.place if thread == self.thread else (self.place[0], -1, self.place[2])
                self.note(one.name, place)

    def begin(self, frame: FrameType, event: str, argument: object) -> Any:
        """Be the trace function of a thread."""
        code = frame.f_code
        back = frame.f_back
        traced = self.is_traced(code)
        if code.co_name == "<module>" and frame.f_globals.get("__name__") in self.attributes:
            frame.f_trace_lines = False
            return self.importing
        if not traced and (back is None or not self.is_traced(back.f_code)):
            return None
        self.look()
        if not traced:
            frame.f_trace_lines = False
            self.place, self.thread = ELSEWHERE, threading.get_ident()
            return self.callee
        # The lines are for the first call: instructions are traced from the second on (CPython 3.12 and later).
        frame.f_trace_opcodes = True
        self.place, self.thread = self.at(frame), threading.get_ident()
        if code.co_qualname in self.locals:
            self.frames.setdefault(frame, {name: self.local(frame, name) for _, name in self.locals[code.co_qualname]})
        return self.step

    def callee(self, frame: FrameType, event: str, argument: object) -> Any:
        """Be the trace function of what a traced function calls."""
        if event == "return":
            self.look()
            back = frame.f_back
            self.place = ELSEWHERE if back is None else self.at(back)
            self.thread = threading.get_ident()
        return self.callee

    def step(self, frame: FrameType, event: str, argument: object) -> Any:
        """Be the trace function of a function that was asked for."""
        self.look()
        if frame in self.frames:
            self.compare_locals(frame, event)
        if event == "return":
            back = frame.f_back
            self.place = self.at(back) if back is not None and self.is_traced(back.f_code) else ELSEWHERE
        else:
            self.place = self.at(frame)
        self.thread = threading.get_ident()
        return self.step

    def local(self, frame: FrameType, name: str) -> Any:
        """Return how a local variable looks."""
        values = frame.f_locals
        return looked(values[name], 1) if name in values else ABSENT

    def compare_locals(self, frame: FrameType, event: str) -> None:
        """Compare the watched variables of `frame`."""
        last = self.frames[frame]
        for title, name in self.locals[frame.f_code.co_qualname]:
            now = self.local(frame, name)
            if now != last[name]:
                last[name] = now
                self.note(title, self.place)
        if event == "return" and not frame.f_code.co_flags & 0x2A0:  # no generator or coroutine, which goes on
            self.frames.pop(frame, None)

    def importing(self, frame: FrameType, event: str, argument: object) -> Any:
        """Be the trace function of a module with a class whose instances are watched."""
        is_module = frame.f_code.co_filename == frame.f_globals.get("__file__")  # or it is code that the module makes
        if event == "return" and is_module:
            for one in self.attributes.pop(frame.f_globals["__name__"], []):
                self.wrap(frame.f_globals, one)
        return self.importing

    def wrap(self, names: dict[str, Any], one: dict[str, str]) -> None:
        """Have a class tell of stores to an attribute."""
        cls = names[one["class"]]
        attribute, title = one["attribute"], one["name"]
        store, delete = cls.__setattr__, cls.__delattr__

        def value(instance: Any) -> Any:
            try:
                return looked(object.__getattribute__(instance, attribute), 0)
            except AttributeError:
                return ABSENT

        def tell(operation: Any, instance: Any, name: str, *values: object) -> None:
            if name != attribute:
                operation(instance, name, *values)
                return
            before = value(instance)
            try:
                operation(instance, name, *values)
            finally:
                if value(instance) != before:
                    self.note(title, self.at(sys._getframe(2)))
                    held = getattr(instance, attribute, None)
                    if one["depth"] != "0" and type(held) in (list, dict, set):
                        self.data.append(Content(title, held))

        cls.__setattr__ = lambda instance, name, new: tell(store, instance, name, new)
        cls.__delattr__ = lambda instance, name: tell(delete, instance, name)


def file_of(code: CodeType) -> str:
    """Return the file of code, of a frozen module of the standard library too."""
    name = code.co_filename
    if name.startswith("<frozen ") and name[8:-1] in sys.modules:
        return getattr(sys.modules[name[8:-1]], "__file__", None) or name
    return name


def main(request: str, result: str, argv: list[str]) -> None:
    """Run `-m MODULE ...` with the trace function."""
    wanted = json.loads(Path(request).read_text(encoding="utf-8"))
    out = Path(result).open("a", encoding="utf-8", buffering=1)
    oracle = Oracle(wanted, out)
    module = argv[1]
    sys.argv[:] = argv[1:]
    sys.path[0] = str(Path.cwd())
    sys.setswitchinterval(10)
    for one in oracle.data:
        one.has_changed()
    threading.settrace(oracle.begin)
    sys.settrace(oracle.begin)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
