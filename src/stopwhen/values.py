"""What can be said of values without running their code: equality, truth, and the cells that hold their content."""

from __future__ import annotations

from collections import ChainMap, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Iterator

from stopwhen import content, memory, static, tables, thread_locals
from stopwhen.cells import Attributes, Blocks, Cell, Closure, Content, DictItem, Layout, Slot, ThreadDicts
from stopwhen.errors import Refused
from stopwhen.memory import is_array
from stopwhen.originals import os, struct, sys, types, use_original_builtins, weakref
from stopwhen.static import TypeSet
from stopwhen.thread_locals import ThisThread
from stopwhen.type_hints import Any
from stopwhen.types import ABSENT

use_original_builtins(globals())

SCALARS = TypeSet(int, float, complex, bool, str, bytes, type(None), range, type(Ellipsis))
"""The exact builtin types whose values never change and hold nothing else."""

VIEWS = TypeSet(
    *(type({}.keys()), type({}.values()), type({}.items())),
    *(type(OrderedDict[int, int]().keys()), type(OrderedDict[int, int]().values())),
    type(OrderedDict[int, int]().items()),
)
"""The types of the live views of a dict."""

KEY_VIEWS = TypeSet(type({}.keys()), type(OrderedDict[int, int]().keys()))
"""Those that show no values."""

SIZED = TypeSet(
    *(str, bytes, bytearray, memoryview, range, tuple, list, set, frozenset, dict),
    *(deque, OrderedDict, defaultdict, *VIEWS.kinds),
)
"""The builtin types whose `__len__` and iteration run none of the program's code."""

ENVIRON: type = type(os.environ)
METHOD_WRAPPER = type("".__str__)

WRAPPERS = ((UserDict, "data"), (UserList, "data"), (UserString, "data"), (ENVIRON, "_data"))
"""The standard library's wrappers of one container, and the attribute that holds it."""

_WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
"""Those that hold weak references, in `data`; what else they keep is for their own use."""

_HOLDERS = (
    ("configparser", "RawConfigParser", ("_sections", "_defaults")),
    ("email.message", "Message", ("_headers",)),
)
"""Classes that a program may never import, and the attributes that hold the containers of their content."""

MODEL_HOLDERS = ("__pydantic_private__", "__pydantic_extra__")
"""The slots in which a model of pydantic keeps the dicts of its private and its extra attributes."""

MOST_CELLS = 10_000
MOST_PAIRS = 1_000_000


def is_simple(value: Any) -> bool:
    """Tell whether `value` is an immutable builtin through and through, exact types only: safe to keep hold of."""
    if type(value) in SCALARS:
        return True
    pending, seen = [value], set[int]()
    while pending:
        one = pending.pop()
        if type(one) in SCALARS or id(one) in seen:
            continue
        if type(one) is not tuple and type(one) is not frozenset:
            return False
        seen.add(id(one))
        pending.extend(one)
    return True


def same(old: Any, new: Any) -> bool:
    """Tell whether replacing `old` by `new` is no change: the same object, or equal immutables of one exact type.

    Floats compare by their bits. Items of tuples and frozensets are compared in the same way.
    """
    return _equal(old, new, _pairs_of_immutables)


def is_one_object(old: Any, new: Any) -> bool:
    """Tell whether both are the same object, or views of one, which are made anew each time."""
    kind = type(old)
    if old is new or kind is not type(new) or (kind not in VIEWS and kind is not types.MappingProxyType):
        return old is new
    return static.referent(old) is static.referent(new)


def same_structure(old: Any, new: Any) -> bool:
    """Tell whether two computed values are the same: containers compared by type and items, the leaves by `same`."""
    return _equal(old, new, _pairs_of_computed)


def same_result(old: Any, new: Any) -> bool:
    """Tell whether two results of calls are the same: as `same_structure`, with all objects compared by content."""
    return _equal(old, new, _pairs_of_results)


def _equal(old: Any, new: Any, pairs_of: Any) -> bool:
    """Compare `old` with `new`, and all the pairs of parts that must be equal for the wholes to be."""
    pending, seen = [(old, new)], set[tuple[int, int]]()
    while pending:
        left, right = pending.pop()
        if left is right:
            continue
        kind = type(left)
        if kind is not type(right):
            return False
        if kind in SCALARS:
            if not _same_scalar(left, right):
                return False
            continue
        if (id(left), id(right)) in seen:  # a cycle, or a part that both share
            continue
        seen.add((id(left), id(right)))
        if len(seen) > MOST_PAIRS:
            return False
        pairs = pairs_of(left, right)
        if pairs is None:
            return False
        pending.extend(pairs)
    return True


def _same_scalar(left: Any, right: Any) -> bool:
    if type(left) is float:
        return struct.pack("d", left) == struct.pack("d", right)
    if type(left) is complex:
        return struct.pack("dd", left.real, left.imag) == struct.pack("dd", right.real, right.imag)
    return bool(left == right)


def _pairs_of_immutables(left: Any, right: Any) -> Any:
    """Return the parts to compare of two objects of one type; None when the objects differ already."""
    if type(left) is tuple:
        return zip(left, right, strict=True) if len(left) == len(right) else None
    if type(left) is frozenset:
        return _pairs_of_members(left, right)
    return None


def _pairs_of_members(left: Any, right: Any) -> Any:
    """Compare two sets of one type by the tokens of their members."""
    if len(left) != len(right):
        return None
    try:
        # Both are alive, so the ids of members that are not simple stand for them.
        return () if {_token(one) for one in left} == {_token(one) for one in right} else None
    except RecursionError:  # tuples nested that deep: not known to be equal
        return None


def _token(value: Any) -> Any:
    """Return a hashable that is equal for values that are the `same`, told apart as `==` does not: 1, 1.0 and True."""
    kind = type(value)
    if kind is float:
        return kind, struct.pack("d", value)
    if kind is complex:
        return kind, struct.pack("dd", value.real, value.imag)
    if kind is tuple:
        return kind, tuple(_token(one) for one in value)
    if kind is frozenset:
        return kind, frozenset(_token(one) for one in value)
    return (kind, value) if kind in SCALARS else (object, id(value))


def _pairs_of_computed(left: Any, right: Any) -> Any:
    """As `_pairs_of_immutables`, for all that evaluating an expression can make anew.

    What that refers to may be of the program's own, and be changed by other threads: each is read in one step.
    """
    kind = type(left)
    if kind is tuple or kind is frozenset:
        return _pairs_of_immutables(left, right)
    if kind is list or kind is deque:
        left, right = list(left), list(right)
        return zip(left, right, strict=True) if len(left) == len(right) else None
    if kind is set:
        return _pairs_of_members(list(left), list(right))
    if kind is dict or kind is OrderedDict:
        return _pairs_of_dicts(left, right)
    return () if _same_opaque(left, right) else None


def _pairs_of_results(left: Any, right: Any) -> Any:
    """As `_pairs_of_computed`, for what a call can make anew: objects of any class of which all content is known."""
    kind = type(left)
    if kind is not tuple and static.has_base(kind, tuple) and static.is_in_python(kind, tuple):
        return _with_attributes(left, right, [(tuple(static.each(tuple, left)), tuple(static.each(tuple, right)))])
    if tables.is_table(left) or tables.is_labels(left):
        return () if tables.have_same_content(left, right) else None
    if kind is types.SimpleNamespace or (kind is not object and static.is_in_python(kind, object)):
        return _with_attributes(left, right, [])
    if _is_time(kind):
        return [(left.__reduce__()[1:], right.__reduce__()[1:])]
    if kind is static.loaded_class("_decimal", "Decimal"):
        return [(tuple(left.as_tuple()), tuple(right.as_tuple()))]
    return _pairs_of_computed(left, right)


def _with_attributes(left: Any, right: Any, pairs: list[tuple[Any, Any]]) -> Any:
    """Return `pairs` and those of the attributes of two objects that have nothing else."""
    for _, descriptor in static.slots(type(left)):
        pairs.append((static.slot_value(left, descriptor), static.slot_value(right, descriptor)))
    mine, others = static.instance_dict(left), static.instance_dict(right)
    if mine is None or others is None:
        return pairs if mine is others else None
    found = _pairs_of_dicts(mine, others)
    return None if found is None else [*pairs, *found]


_TIMES = ("date", "datetime", "time", "timedelta")


def _is_time(kind: type) -> bool:
    return any(kind is static.loaded_class("_datetime", name) for name in _TIMES)


def _pairs_of_dicts(left: Any, right: Any) -> Any:
    mine = [(_token(key), value) for key, value in list(dict.items(left))]
    others = {_token(key): value for key, value in list(dict.items(right))}
    if len(mine) != len(others) or any(name not in others for name, _ in mine):
        return None
    if type(left) is OrderedDict and [name for name, _ in mine] != list(others):
        return None
    return [(value, others[name]) for name, value in mine]


def _same_opaque(left: Any, right: Any) -> bool:
    """Compare two objects of one type that are neither scalars nor containers."""
    kind = type(left)
    if kind is types.MethodType:
        return left.__func__ is right.__func__ and left.__self__ is right.__self__
    if kind is types.BuiltinFunctionType or kind is METHOD_WRAPPER:
        return bool(left == right)  # by the identity of what they are bound to, and their C function
    if kind in VIEWS or kind is types.MappingProxyType:
        return static.referent(left) is static.referent(right)
    if kind is slice:
        return _equal((left.start, left.stop, left.step), (right.start, right.stop, right.step), _pairs_of_computed)
    if kind is bytearray:
        return bool(left == right)
    if memory.is_numpy(kind):
        return memory.same_numbers(left, right)
    if is_array(kind):
        return bool(left.typecode == right.typecode and left.tobytes() == right.tobytes())
    return False


def is_wrapper(value: Any) -> bool:
    """Tell whether the content of `value` is that of another object which it holds, and can replace."""
    kind = type(value)
    if kind in SIZED:
        return False
    if tables.is_table(value) or thread_locals.is_local(kind):
        return True
    bases = (*(wrapper for wrapper, _ in WRAPPERS), ChainMap, *_WEAK)
    return any(static.has_base(kind, base) for base in bases) or any(_held_by(value))


def truth(value: Any) -> bool:
    """Return the truth of `value`; absent is false.

    Raises:
        Refused: asking would run code of the program's.
    """
    kind = type(value)
    if kind in SCALARS:
        return bool(value)
    if value is ABSENT:
        return False
    if memory.is_numpy_data(value):
        return _truth_of_numbers(value)
    for wrapper, attribute in WRAPPERS:
        if static.has_base(kind, wrapper) and static.inherits(kind, wrapper, "__bool__", "__len__"):
            return truth(dict.get(static.instance_dict(value) or {}, attribute, ABSENT))
    for name in ("__bool__", "__len__"):
        base = static.definer(kind, name)
        if base is None:
            continue
        if base in SCALARS or base in SIZED or base is static.loaded_class("array", "array"):
            return bool(value)
        raise Refused(
            f"cannot tell the truth of a value of type {static.class_name(kind)!r}: "
            f"{static.class_name(base)}.{name} would run",
            slug="runs-code",
            hint="compare what it holds, such as 'x.count > 0'",
        )
    return True


def _truth_of_numbers(value: Any) -> bool:
    if value.size == 1:
        return bool(value)
    raise Refused(
        f"cannot tell the truth of an array of {value.size:,} elements: it is true or false for each of them",
        slug="ambiguous-truth",
        hint="ask whether it is so for 'any()' or 'all()' of them, such as '(a > 0).any()'",
    )


def content_cells(value: Any, depth: int | str, name: str, thread: ThisThread | None = None) -> tuple[Cell, ...]:
    """Return the cells that hold the content of `value`, called `name`, and of what it reaches within `depth` steps.

    Of a `threading.local` that is what `thread` has, this one if it is None.

    Raises:
        Refused: they are too many to watch.
    """
    cells: dict[Cell, None] = {}
    seen: set[int] = set()
    limit = sys.maxsize if depth == "all" else int(depth)
    level, reached = 0, [] if value is ABSENT else [(value, name)]
    while reached and level < limit:
        level += 1
        pending, reached = reached, []
        for one, title in pending:
            if type(one) in SCALARS or id(one) in seen:
                continue
            seen.add(id(one))
            is_local = thread_locals.is_local(type(one))
            thread = thread or (ThisThread() if is_local else None)
            cells.update(dict.fromkeys(_local_cells(one, title, thread) if is_local else _own_cells(one, title)))
            if len(cells) > MOST_CELLS:
                raise Refused(
                    f"cannot watch {name!r} to depth {depth}: it reaches more than {MOST_CELLS:,} objects",
                    slug="too-deep",
                    hint="give a smaller depth",
                )
            pending.extend((inner, title) for inner in _wrapped(one) if _is_content(inner))
            if level < limit:
                parts = _local_parts(one, title, thread) if is_local else _parts(one, title)
                reached.extend(part for part in parts if _is_content(part[0]))
    return tuple(cells)


def _is_content(value: Any) -> bool:
    """Tell whether what `value` holds is content of whatever refers to it: no scalar, and no part of a program."""
    kind = type(value)
    return kind not in SCALARS and not any(
        static.has_base(kind, base) for base in (type, types.ModuleType, types.FunctionType)
    )


def _own_cells(value: Any, name: str) -> Iterator[Cell]:
    """Yield the cells of the content that `value` holds itself."""
    kind = type(value)
    if kind in VIEWS or kind is types.MappingProxyType:  # the content is their target's
        return
    if static.is_a(value, type):
        if static.is_mutable(value):
            yield Attributes(name, static.type_dict(value))
        return
    if static.is_a(value, types.ModuleType):
        yield Attributes(name, static.module_dict(value))
        return
    if tables.is_table(value):
        yield from _table_cells(value, name)
        return
    if tables.is_labels(value):
        attributes = static.instance_dict(value)
        if attributes is not None:
            yield DictItem(f"{name}.name", attributes, "_name")
        return
    if kind is types.CellType:
        yield Closure(f"{name}.cell_contents", value)
    if content.source_of(value) is not None:
        yield Content(name, value)
    attributes = static.instance_dict(value)
    if attributes is not None and any(static.has_base(kind, base) for base in _WEAK):
        yield DictItem(f"{name}.data", attributes, "data")
        return
    if not static.has_fixed_layout(value) and (attributes is not None or any(static.slots(kind))):
        yield Layout(name, value)
    if attributes is not None:
        yield Attributes(name, attributes)
    for attribute, descriptor in static.slots(kind):
        yield Slot(f"{name}.{attribute}", value, descriptor)


def _local_cells(value: Any, name: str, thread: ThisThread | None) -> Iterator[Cell]:
    """Yield the cells of the attributes that a `threading.local` has in one thread."""
    if not thread_locals.IS_POSSIBLE:
        raise Refused(
            f"cannot watch the content of {name!r}: which attributes of a threading.local are this thread's, only "
            "the C module can tell on this Python, and it could not be built",
            slug="no-mechanism",
            hint="watch what the attribute refers to",
        )
    attributes = ABSENT if thread is None else thread.attributes_of(value)
    if attributes is ABSENT:
        yield ThreadDicts(name, thread_locals.dicts_of(value))
    else:
        yield Attributes(name, attributes)


def _local_parts(value: Any, name: str, thread: ThisThread | None) -> Iterator[tuple[Any, str]]:
    attributes = ABSENT if thread is None else thread.attributes_of(value)
    for attribute, one in list(dict.items(attributes)) if attributes is not ABSENT else ():
        yield one, f"{name}.{attribute if type(attribute) is str else '...'}"


def _table_cells(value: Any, name: str) -> Iterator[Cell]:
    """Yield the cells of what a table of pandas holds; what it keeps besides to be quick is none of its content."""
    manager = tables.manager_of(value)
    attributes = static.instance_dict(value)
    if manager is None or attributes is None:
        raise Refused(
            f"cannot watch the content of {name!r}: the values of this {static.class_name(type(value))} are kept in "
            "a way that is not known here",
            slug="unknown-table",
            hint="watch it to depth 0, or what you need of it by an expression with calls allowed",
        )
    yield DictItem(name, attributes, "_mgr")
    if "_name" in attributes:
        yield DictItem(f"{name}.name", attributes, "_name")
    yield Blocks(name, manager, tables.Structure(manager))
    for array, title in tables.arrays_of(value, name):
        yield Content(title, array)


def _wrapped(value: Any) -> Iterator[Any]:
    """Yield the objects whose content is that of `value` too, which only shows or wraps them."""
    kind = type(value)
    if kind in VIEWS or kind is types.MappingProxyType:
        yield static.referent(value)
    attributes = static.instance_dict(value) or {}
    for wrapper, attribute in WRAPPERS:
        if static.has_base(kind, wrapper):
            yield dict.get(attributes, attribute)
    if static.has_base(kind, ChainMap):
        maps = dict.get(attributes, "maps")
        yield maps
        yield from maps if type(maps) is list else ()
    if any(static.has_base(kind, base) for base in _WEAK):
        yield dict.get(attributes, "data")
    yield from _held_by(value)


def _held_by(value: Any) -> Iterator[Any]:
    """Yield the containers in which an object of the classes of `_HOLDERS` keeps its content."""
    for module, name, held in _HOLDERS:
        base = static.loaded_class(module, name)
        if base is None or not static.is_a(value, base):
            continue
        for attribute in held:
            container = dict.get(static.instance_dict(value) or {}, attribute)
            yield container
            if type(container) is dict:
                yield from (one for one in list(dict.values(container)) if type(one) is dict)
    model = static.loaded_class("pydantic.main", "BaseModel")
    if model is not None and static.is_a(value, model):
        slots = [static.find(model, holder) for holder in MODEL_HOLDERS]
        yield from (static.slot_value(value, found[1]) for found in slots if found is not None)


def _parts(value: Any, name: str) -> Iterator[tuple[Any, str]]:
    """Yield the objects that `value` refers to as its content, each with what a user would call it."""
    kind = type(value)
    for base in (list, tuple, deque):
        if static.has_base(kind, base):
            for index, one in enumerate(list(static.each(base, value))):
                yield one, f"{name}[{index}]"
    for unordered in (set, frozenset):
        if static.has_base(kind, unordered):
            for one in list(static.each(unordered, value)):
                yield one, f"a member of {name}"
    if static.has_base(kind, dict):
        for key, one in list(dict.items(value)):
            yield one, f"{name}[{_text_of_key(key)}]"
            yield key, f"a key of {name}"
    if static.is_a(value, type):
        attributes: dict[str, Any] | None = static.type_dict(value)
    elif static.is_a(value, types.ModuleType):
        attributes = static.module_dict(value)
    else:
        attributes = static.instance_dict(value)
    for attribute, one in list(dict.items(attributes)) if attributes is not None else ():
        yield one, f"{name}.{attribute if type(attribute) is str else '...'}"
    for attribute, descriptor in static.slots(kind):
        yield static.slot_value(value, descriptor), f"{name}.{attribute}"


def _text_of_key(key: Any) -> str:
    text = repr(key) if is_simple(key) else "..."
    return text if len(text) <= 40 else f"{text[:37]}..."
