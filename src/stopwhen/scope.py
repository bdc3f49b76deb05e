"""The places in which the root names of a watch expression are looked up."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from types import CodeType, FrameType, ModuleType

from stopwhen import frames, static
from stopwhen.cells import Cell, Closure, DictItem, FrameRef, Local
from stopwhen.errors import Refused
from stopwhen.of_code import OfCode
from stopwhen.originals import sys, use_original_builtins
from stopwhen.paths import base_name
from stopwhen.texts import plain_str
from stopwhen.type_hints import Any, Protocol, TypeAlias
from stopwhen.types import ABSENT

use_original_builtins(globals())

_OPTIMIZED = 1
"""inspect.CO_OPTIMIZED: the code has fast locals, as every function has."""

Look: TypeAlias = Callable[[Cell], Any]
"""Takes note of a cell and returns its present value, or `ABSENT`."""


class Scope(Protocol):
    """Where root names are read."""

    @property
    def title(self) -> str:
        """What messages call it: "module shop.config"."""

    def find(self, name: str, look: Look) -> Any:
        """Return the value of `name`, or `ABSENT`; every cell that has a say is consulted through `look`, in order."""


class FrameScope:
    """One running frame: its locals, closure, globals, builtins."""

    def __init__(self, frame: FrameType) -> None:
        code = frame.f_code
        self._ref: FrameRef | None = frames.ref(frame)
        self._code = code
        self._lineno = frame.f_lineno
        self._is_function = bool(code.co_flags & _OPTIMIZED)
        self._own, self._outer, shared = _variables_of(code)
        self._cells = {name: frames.cell_of(frame, name) for name in shared}
        self._modules = (frame.f_globals, frame.f_builtins)
        # The body of a module has its globals for locals; the body of a class, or text given to exec, may not.
        self._namespace = None if self._is_function else _namespace_of(frame)
        if not self._is_function:
            self._own = frames.variables_of_comprehensions(frame, self._namespace or frame.f_globals)

    @property
    def title(self) -> str:
        """Say which frame, as of the moment at which it was taken for a scope."""
        return _title_of(self._code, self._lineno, self._modules[0])

    @property
    def function(self) -> str:
        """The qualified name of the function that runs in it."""
        return plain_str(self._code.co_qualname) or "?"

    def names(self) -> list[Any]:
        """Return the names that are there now, or that its code binds."""
        namespaces = (*self._modules, *(() if self._namespace is None else (self._namespace,)))
        return [*self._own, *self._outer, *(name for namespace in namespaces for name in list(namespace))]

    def has_variable(self, names: frozenset[str]) -> bool:
        """Tell whether one of `names` is a variable that ends with the frame. A free variable and a global do not."""
        return not names.isdisjoint(self._own)

    def find(self, name: str, look: Look) -> Any:
        """Return the value of `name`; a local that is not bound yet hides a global, as in the program."""
        if name in self._own or (self._is_function and name in self._outer):
            return self._find_variable(name, look)
        if self._namespace is not None:
            value = look(DictItem(name, self._namespace, name))
            if value is not ABSENT:
                return value
            if name in self._outer:
                return self._find_outer_of_class(name, look)
        return find_in(self._modules, name, look)

    def _find_variable(self, name: str, look: Look) -> Any:
        """Return what a fast local, cell or free variable holds."""
        shared = self._cells.get(name)
        if shared is None:
            return look(Local(name, self.running, name))
        if name in self._own:
            # Functions that share it may change it later too, but this watchpoint ends with the frame.
            look(Local(name, self.running, name))
        return look(Closure(name, shared))

    def _find_outer_of_class(self, name: str, look: Look) -> Any:
        """Return what a free variable of a class body holds, of which its frame tells Python code nothing."""
        if self._cells.get(name) is None:
            raise Refused(
                f"cannot read {name!r} in the body of a class: that takes the C module, which could not be built",
                slug="class-body",
                hint="watch it in the function around the class",
            )
        return self._find_variable(name, look)

    def shared(self, names: frozenset[str]) -> SharedScope | None:
        """Return the scope of those of `names` that outlive the frame; None when one of its own does not."""
        cells = {name: self._cells.get(name) for name in names if name in self._own or name in self._outer}
        found = {name: Closure(name, cell) for name, cell in cells.items() if cell is not None}
        if not self._is_function or len(found) < len(cells) or not self._own.intersection(found):
            return None
        return SharedScope(found, self._modules, self.function)

    @property
    def running(self) -> FrameRef:
        """The frame."""
        assert self._ref is not None, "a frame whose locals may be read is not let go of"
        return self._ref

    @property
    def is_over(self) -> bool:
        """Whether the frame, of which a local may be read, is gone."""
        return self._ref is not None and self._ref.frame is None

    @property
    def may_close_silently(self) -> bool:
        """Whether the frame is that of a generator, of which no event may tell that it has been closed."""
        return frames.may_close_silently(self._ref)

    @property
    def is_closed(self) -> bool:
        """Whether the frame is that of a generator which has been closed."""
        return frames.is_closed(self._ref)

    def let_go(self) -> None:
        """Speak of the frame no longer: none of the names that are asked for is a local of its own."""
        self._ref = None


class SharedScope:
    """What is left of a call that has ended: the variables that inner functions share, and what is no variable.

    Attributes:
        cells: the variables, by name.
    """

    def __init__(self, cells: dict[str, Closure], modules: tuple[dict[str, Any], ...], function: str) -> None:
        self.cells = cells
        self._modules = modules
        self.title = f"the variables of a call of {function}"

    def is_used(self, used: set[int]) -> bool:
        """Return whether one of the variables is among those with the ids `used`."""
        return any(id(cell.owner) in used for cell in self.cells.values())

    def find(self, name: str, look: Look) -> Any:
        """Return the value of `name`."""
        cell = self.cells.get(name)
        return find_in(self._modules, name, look) if cell is None else look(cell)


def _find_variables_of(code: CodeType) -> tuple[frozenset[str], frozenset[str], tuple[str, ...]]:
    """Return the names of the code's own fast variables, of its free ones, and of those that cell objects hold."""
    own = (*code.co_varnames, *code.co_cellvars) if code.co_flags & _OPTIMIZED else ()
    return frozenset(own), frozenset(code.co_freevars), (*code.co_cellvars, *code.co_freevars)


_variables_of = OfCode(_find_variables_of)


def _title_of(code: CodeType, lineno: int, namespace: dict[str, Any]) -> str:
    name = dict.get(namespace, "__name__")
    if code.co_name == "<module>" and type(name) is str:
        return name if name == "__main__" else f"module {name}"
    return f"the caller's frame at {base_name(code.co_filename)}:{lineno}"


def _namespace_of(frame: FrameType) -> dict[str, Any] | None:
    """Return the locals of a frame that is no function's, where they are not its globals.

    Raises:
        Refused: they are kept in a mapping that runs code of its own.
    """
    namespace = frames.namespace_of(frame)
    if namespace is frame.f_globals:
        return None
    return _storage_of(namespace, f"the locals of {_title_of(frame.f_code, frame.f_lineno, frame.f_globals)}")


def frame_namespaces(frame: FrameType) -> tuple[tuple[dict[str, Any], ...], frozenset[str]]:
    """Return where functions made in `frame` read names that are no variables, and the names that they do not see.

    Those are the ones of a class body; text given to exec with locals of its own has them for a namespace.
    """
    outer = (frame.f_globals, frame.f_builtins)
    if frame.f_code.co_flags & _OPTIMIZED:
        return outer, frozenset()
    own = _namespace_of(frame)
    if own is None:
        return outer, frozenset()
    if frame.f_code.co_name == "<module>":
        return (own, *outer), frozenset()
    return outer, frozenset(name for name in list(dict.keys(own)) if type(name) is str)


def _storage_of(mapping: Any, title: str) -> dict[str, Any]:
    if static.is_a(mapping, dict):
        storage: dict[str, Any] = mapping
        return storage
    raise Refused(
        f"cannot read names in {title}: it is of type {static.class_name(type(mapping))!r}, not a dict",
        slug="namespace-type",
        hint="give a dict, or an object's attributes by name in a dict: {'obj': obj}",
    )


def find_in(namespaces: tuple[dict[str, Any], ...], name: str, look: Look) -> Any:
    """Return what the first of `namespaces` that has `name` has there."""
    for namespace in namespaces:
        value = look(DictItem(name, namespace, name))
        if value is not ABSENT:
            return value
    return ABSENT


class Imported:
    """The imported modules. One that was there stays: while it is imported, `import` takes it out and puts it back."""

    def __init__(self) -> None:
        self._latest: dict[str, Any] = {}

    def find(self, name: str, look: Look) -> Any:
        """Return the module of this name, or `ABSENT` while it has never been there."""
        module = look(DictItem(name, sys.modules, name))
        if module is ABSENT:
            return self._latest.get(name, ABSENT)
        self._latest[name] = module
        return module


class Main:
    """Where the program's `__main__` is just now.

    Tools that run a program as `__main__` put a module of their own there, or run it in a dict that is no module's.
    """

    def __init__(self) -> None:
        self._given: tuple[dict[str, Any], object] | None = None
        self._latest: Any = None
        self._kept: dict[str, Any] | None = None
        self._keepers = 0

    @property
    def namespace(self) -> dict[str, Any] | None:
        """The names of `__main__`; None where there is none."""
        if self._kept is not None:
            return self._kept
        module = dict.get(sys.modules, "__main__")
        if self._given is not None and (module is None or module is self._given[1]):
            return self._given[0]
        self._given = None
        if module is None:  # taken out for a moment
            module = self._latest
        self._latest = module
        return static.module_dict(module) if module is not None and static.is_a(module, ModuleType) else None

    @property
    def is_given(self) -> bool:
        """Whether it is a dict that is no module's."""
        return self.namespace is not None and self._given is not None

    def give(self, namespace: dict[str, Any]) -> None:
        """Have a dict that is no module's be the namespace, until another module is `__main__`."""
        self._given = (namespace, dict.get(sys.modules, "__main__"))

    def keep(self) -> None:
        """Stay where it is until `end_keeping`: ipdb, for one, puts a module of its own there when it opens."""
        if self._keepers == 0:
            self._kept = self.namespace
        self._keepers += 1

    def end_keeping(self) -> None:
        """Whatever has come there since `keep` is none of the program's."""
        self._keepers -= 1
        if self._keepers == 0:
            kept, self._kept = self._kept, None
            if kept is not None and self.namespace is not kept:
                self.give(kept)

    def forget_given(self) -> None:
        """Have the module that is `__main__` be that again."""
        self._given = None

    def find(self, name: str, look: Look) -> Any:
        """Return the value of `name` there, or `ABSENT`."""
        namespace = self.namespace
        return ABSENT if namespace is None else look(DictItem(name, namespace, name))


main = Main()
"""The one of this process."""

MAIN_ENTRY = DictItem("__main__", sys.modules, "__main__")
"""The cell that changes when another module takes the place of `__main__`."""


class MainScope:
    """The program's `__main__`; a root name that it lacks is the imported module of that name."""

    title = "__main__"

    def __init__(self) -> None:
        self._imported = Imported()

    def find(self, name: str, look: Look) -> Any:
        """Return the value of `name` in the module that is `__main__` now, in builtins, or among imported modules."""
        value = main.find(name, look)
        if value is ABSENT:
            value = find_in((static.module_dict(builtins),), name, look)
        return self._imported.find(name, look) if value is ABSENT else value


class ModuleScope:
    """One module, given by itself or by name; while a module of that name is not imported, no name is there."""

    def __init__(self, module: str | ModuleType) -> None:
        self._module = module
        self._imported = Imported()

    @property
    def title(self) -> str:
        """Say which module, and that it is missing as long as it is."""
        module: Any = self._module
        if not static.is_a(module, str):
            return f"module {static.module_dict(module).get('__name__', '?')}"
        missing = "" if module in sys.modules else ", which is not imported yet"
        return f"module {module}{missing}"

    @property
    def pending_name(self) -> str | None:
        """The name of the module while it is not imported; else None."""
        module: Any = self._module
        return module if static.is_a(module, str) and module not in sys.modules else None

    def names(self) -> list[str]:
        """Return the names that are there now."""
        module: Any = self._module
        module = sys.modules.get(module) if static.is_a(module, str) else module
        return list(static.module_dict(module)) if static.is_a(module, ModuleType) else []

    def find(self, name: str, look: Look) -> Any:
        """Return the value of `name` in the module, once there is one, or in builtins."""
        module: Any = self._module
        if static.is_a(module, str):
            module = self._imported.find(module, look)
            if module is ABSENT or module is None:
                return ABSENT
        is_module = static.is_a(module, ModuleType)
        namespace = static.module_dict(module) if is_module else static.instance_dict(module)
        if namespace is None:
            raise Refused(
                f"cannot read names in {self.title}: what is in its place is of type "
                f"{static.class_name(type(module))!r} and has no namespace",
                slug="namespace-type",
                hint="watch what refers to it, in another scope",
            )
        return find_in((namespace, static.module_dict(builtins)), name, look)


class NamespaceScope:
    """A mapping of the user's, live.

    Raises:
        Refused: it is no dict, so that reading it would run code of its own.
    """

    title = "the given namespace"

    def __init__(self, mapping: Any) -> None:
        self._storage = _storage_of(mapping, self.title)

    def names(self) -> list[Any]:
        """Return the names that are there now."""
        return list(dict.keys(self._storage))

    def find(self, name: str, look: Look) -> Any:
        """Return the value of `name` in the mapping, never asking its `__missing__`, or in builtins."""
        return find_in((self._storage, static.module_dict(builtins)), name, look)


class NoScope:
    """What a removed watchpoint has for a scope: nothing is there, and nothing held."""

    title = "no scope"

    def find(self, _name: str, _look: Look) -> Any:
        """Return `ABSENT`."""
        return ABSENT
