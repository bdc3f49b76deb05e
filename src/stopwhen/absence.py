"""What is said of names that are not there: what may have been meant, and where there is such a name."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import CodeType, FunctionType, ModuleType

from stopwhen import static
from stopwhen.errors import Notice, Refused
from stopwhen.expression import walk, with_in_place_of
from stopwhen.location import is_own_code
from stopwhen.nearest import nearest
from stopwhen.originals import ast, os, sys, use_original_builtins
from stopwhen.record import present
from stopwhen.scope import FrameScope, MainScope, ModuleScope
from stopwhen.type_hints import TYPE_CHECKING, Any, TypeAlias
from stopwhen.types import ABSENT
from stopwhen.wide import FutureCall, WideScope

use_original_builtins(globals())

if TYPE_CHECKING:
    from types import FrameType

    from stopwhen.expression import WatchExpression
    from stopwhen.scope import Scope

Namespace: TypeAlias = Mapping[str, Any]
Modules: TypeAlias = Sequence[tuple[str, Namespace]]
"""Where functions and classes are looked for: modules by name."""

Option: TypeAlias = Callable[[str], str]
"""Writes a scope as users of a front end do: `--scope shop:Cart`."""

LEAST_NAME = 3
"""A name of fewer letters is like too many others."""

MOST_NAMED = 2
"""How many functions or classes are named that have such a variable."""


def in_command_line(scope: str) -> str:
    """Write a scope as an option of `stopwhen run`."""
    return f"--scope {scope}"


def in_python(scope: str) -> str:
    """Write a scope as an argument of `stopwhen.changes`."""
    return f"scope={scope!r}"


def own_modules() -> Modules:
    """Return the program's own modules that are imported, `__main__` first."""
    listed: list[tuple[str, Namespace]] = []
    for name, module in list(sys.modules.items()):
        if type(module) is ModuleType:
            namespace = static.module_dict(module)
            file = namespace.get("__file__")
            if name == "__main__":
                listed.insert(0, (name, namespace))
            elif type(file) is str and is_own_code(file):
                listed.append((name, namespace))
    return listed


def modules_of(frame: FrameType | None) -> Modules:
    """Return the module that a frame is in, then the program's others."""
    own = own_modules()
    if frame is None:
        return own
    name = frame.f_globals.get("__name__")
    here = [(name, frame.f_globals)] if type(name) is str else []
    return [*here, *((other, namespace) for other, namespace in own if namespace is not frame.f_globals)]


def notices(
    expression: WatchExpression,
    scope: Scope | WideScope,
    list_modules: Callable[[], Modules],
    option: Option = in_python,
    expected: Iterable[str] = (),
) -> list[Notice]:
    """Return what to say of the names of `expression` that are not there, just after it has been armed in `scope`.

    Args:
        expression: the watch expression.
        scope: where its names are read.
        list_modules: lists where functions and classes are looked for that may have been meant.
        option: how a scope is written.
        expected: names of which it is no wonder that they are not there yet.
    """
    try:
        if isinstance(scope, WideScope):
            return _notices_of_many(expression, scope, list_modules, option)
        if isinstance(scope, ModuleScope) and scope.pending_name is not None:
            hint = hint_of_scope(scope.pending_name, list_modules(), option)
            return [] if hint is None else [_not_there(f"the module {scope.pending_name!r} is not imported yet", hint)]
        missing = [name for name in expression.root_names() if scope.find(name, present) is ABSENT]
    except Refused:
        return []
    if isinstance(scope, FrameScope):
        missing = [name for name in missing if not scope.has_variable(frozenset((name,)))]
    missing = [name for name in missing if name not in expected]
    modules = list_modules() if missing else ()
    return [_missing(expression, name, known_in(scope, modules), modules, option) for name in missing]


def _notices_of_many(
    expression: WatchExpression, scope: WideScope, list_modules: Callable[[], Modules], option: Option
) -> list[Notice]:
    subject = scope.subject(present)
    if isinstance(subject, FunctionType):
        call = FutureCall(subject)
        missing = [name for name in expression.root_names() if not call.has(name)]
        known: Iterable[str] = call.names()
    elif subject is ABSENT:
        hint = hint_of_scope(scope.name, list_modules(), option)
        return [] if hint is None else [_not_there(f"{scope.name} is not there yet", hint)]
    else:
        return []
    return [_missing(expression, name, known, (), option) for name in missing]


def _missing(expression: WatchExpression, name: str, known: Iterable[str], modules: Modules, option: Option) -> Notice:
    hint = hint_of_name(name, expression, known, modules, option)
    what = "" if name == expression.text else f"{expression.text!r} is "
    return _not_there(f"{name!r} is not there: {what}watched as absent until it is", hint)


def _not_there(text: str, hint: str | None) -> Notice:
    return Notice(text, slug="not-there", hint=hint)


def known_in(scope: Scope, modules: Modules) -> set[str]:
    """Return the names that are there in a scope, as far as they can be listed."""
    known = set(vars(builtins))
    names = getattr(scope, "names", None)
    if names is not None:
        known.update(names())
    elif modules:
        known.update(modules[0][1])
    if isinstance(scope, MainScope):
        known.update(sys.modules)
    return {name for name in known if type(name) is str}


def hint_of_name(
    name: str, expression: WatchExpression, known: Iterable[str], modules: Modules, option: Option
) -> str | None:
    """Return what may have been meant by a name that is not there; None when nothing is known."""
    key = hint_of_key(name, expression, option)
    if key is not None:
        return key
    if name == "self":
        owners = list(_classes_with(expression.attributes_of("self")[0], modules))
        if owners:
            return f"'self' is each instance of a class: {_listed(owners, option)}"
    functions = list(_functions_with(name, modules))
    if functions:
        called = functions[0].partition(":")[2]
        return f"{name!r} is a local of {called}(): {_listed(functions, option)}"
    near = nearest(name, known) if len(name) >= LEAST_NAME else None
    return None if near is None else f"did you mean {near!r}?"


def hint_of_key(name: str, expression: WatchExpression, option: Option) -> str | None:
    """Return what to write if `name`, which stands between brackets, is a key: shells take quotes away; else None."""
    quoted = _with_quotes(expression, name)
    if quoted is None:
        return None
    in_shell = f"'{quoted}'".replace(repr(name), f'"{name}"')
    return f"if {name!r} is a key, write {in_shell if option is in_command_line else quoted}"


def hint_of_member(expression: WatchExpression, subject: Any) -> str | None:
    """Return what may have been meant in every call of a function, or instance of a class, where nothing was there."""
    if static.is_a(subject, type):
        codes = [_code_of(function) for function in list(static.type_dict(subject).values())]
        known = {*static.type_dict(subject), *(name for code in codes if code is not None for name in code.co_names)}
        asked, before = list(expression.attributes_of("self")[0]), "self."
    else:
        code = _code_of(subject)
        known, asked, before = set() if code is None else {*code.co_varnames, *code.co_cellvars}, [], ""
        asked = [name for name in expression.root_names() if name not in known]
    for name in asked:
        near = nearest(name, known) if len(name) >= LEAST_NAME and name not in known else None
        if near is not None:
            return f"did you mean {before + near!r}?"
    return None


def _listed(scopes: list[str], option: Option) -> str:
    return " or ".join(option(scope) for scope in scopes[:MOST_NAMED])


def _with_quotes(expression: WatchExpression, name: str) -> str | None:
    """Return an expression with `name` in quotes, where it stands between brackets: shells take quotes away."""
    keys = [node.slice for node in walk(expression.tree) if isinstance(node, ast.Subscript)]
    names = [key for key in keys if isinstance(key, ast.Name) and expression.parts[key] == key.id == name]
    return with_in_place_of(expression.text, names, repr(name)) if names else None


def hint_of_scope(scope: str, modules: Modules, option: Option) -> str | None:
    """Return what may have been meant by a scope that is not there; None when nothing is known."""
    module, colon, path = scope.partition(":")
    main = next((namespace for name, namespace in modules if name == "__main__"), {})
    file = main.get("__file__") or (sys.argv[0] if sys.argv else None)  # a script's is gone when it has run
    stem = os.path.splitext(os.path.basename(file))[0] if type(file) is str else None
    if module not in sys.modules and module == stem:
        return f"{os.path.basename(str(file))} runs as __main__: {option('__main__' + colon + path)}"
    if colon:
        names = next((namespace for name, namespace in modules if name == module), None)
        near = None if names is None else nearest(path, (name for name in names if type(name) is str))
        return None if near is None else f"did you mean {option(f'{module}:{near}')}?"
    parts = scope.split(".")
    for cut in range(len(parts) - 1, 0, -1):  # `shop.Cart` for `shop:Cart`
        imported = sys.modules.get(".".join(parts[:cut]))
        if imported is not None and static.is_a(imported, ModuleType):
            kind = _kind_in(static.module_dict(imported), parts[cut:])
            if kind is not None:
                return f"{scope} is a {kind}: {option('.'.join(parts[:cut]) + ':' + '.'.join(parts[cut:]))}"
    for name, namespace in modules:
        kind = _kind_in(namespace, parts)
        if kind is not None:
            return f"{scope} is a {kind} of {name}: {option(f'{name}:{scope}')}"
    near = nearest(scope, sys.modules)
    return None if near is None else f"did you mean {option(near)}?"


def _kind_in(namespace: Namespace, parts: Sequence[str]) -> str | None:
    """Return whether what a namespace has under a dotted name is a function or a class; None for neither."""
    value = namespace.get(parts[0], ABSENT)
    for part in parts[1:]:
        if not static.is_a(value, type):
            return None
        found = static.find(value, part)
        value = ABSENT if found is None else found[1]
    if static.is_a(value, type):
        return "class"
    return "function" if _code_of(value) is not None else None


def _code_of(value: Any) -> CodeType | None:
    """Return the code of a function, or of the function in a static or class method."""
    if type(value) in (staticmethod, classmethod):
        value = value.__func__
    return value.__code__ if type(value) is FunctionType else None


def _functions_of(modules: Modules) -> Iterator[tuple[str, CodeType]]:
    """Yield the functions and methods that are made in modules, named as scopes, with their code."""
    for module, namespace in modules:
        for name, value in list(namespace.items()):
            if static.is_a(value, type) and static.entry(value, "__module__") == module:
                for method, function in list(static.type_dict(value).items()):
                    code = _code_of(function)
                    if code is not None:
                        yield f"{module}:{name}.{method}", code
            elif type(value) is FunctionType and value.__globals__ is namespace:
                yield f"{module}:{name}", value.__code__


def _functions_with(name: str, modules: Modules) -> Iterator[str]:
    """Yield the functions that have a local variable of this name."""
    for scope, code in _functions_of(modules):
        if name in code.co_varnames or name in code.co_cellvars:
            yield scope


def _classes_with(attributes: Sequence[str], modules: Modules) -> Iterator[str]:
    """Yield the classes of which a method speaks of all of `attributes`."""
    seen: set[str] = set()
    for scope, code in _functions_of(modules):
        owner, dot, _ = scope.rpartition(".")
        if dot and ":" in owner and owner not in seen and attributes and set(attributes) <= set(code.co_names):
            seen.add(owner)
            yield owner
