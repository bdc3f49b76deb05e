"""The contract, for attributes: what an expression reads is what Python reads, whatever stands in the class.

Each case is made twice. In one world Python itself reads the attribute before and after a step, and it is noted whether
code of the class's runs for that; in the other one a watchpoint must have seen the very same.
"""

from __future__ import annotations

import functools
import itertools
import types
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import helpers
import stopwhen
from contract import choose
from stopwhen import env

ABSENT = stopwhen.ABSENT
RUNS_CODE = "runs code of the class's"

calls: list[str] = []


def get(_self, _instance, _owner=None):
    calls.append("__get__")
    return "computed"


def set_(_self, instance, value):
    instance.__dict__["v"] = value


def delete(_self, instance):
    instance.__dict__.pop("v", None)


METHODS = {"__get__": get, "__set__": set_, "__delete__": delete}


def descriptor(**states: str) -> Any:
    """Return an instance of a class that has each of the methods, or None for it, or lacks it."""
    body = {name: METHODS[name] if state == "there" else None for name, state in states.items() if state != "lacking"}
    return type("Shape", (), body)()


SHAPES: dict[str, Callable[[], Any]] = {
    ", ".join(f"{name} {state}" for name, state in zip(METHODS, states, strict=True)): functools.partial(
        descriptor, **dict(zip(METHODS, states, strict=True))
    )
    for states in itertools.product(("there", "None", "lacking"), repeat=3)
}
"""All that a class can say of being a descriptor."""


def computed(_self):
    calls.append("a function")
    return "computed"


def cached() -> Any:
    made = functools.cached_property(computed)
    made.__set_name__(None, "v")
    return made


class Slotted:
    __slots__ = ("v",)


OTHERS: dict[str, Callable[[], Any]] = {
    "a plain value": lambda: 5,
    "nothing": lambda: ABSENT,
    "a property": lambda: property(computed),
    "a property with setter": lambda: property(computed, lambda self, value: None),
    "a subclass of property": lambda: type("Lazy", (property,), {})(computed),
    "a function": lambda: computed,
    "a lambda in a staticmethod": lambda: staticmethod(computed),
    "a classmethod": lambda: classmethod(computed),
    "a function in C": lambda: len,
    "a method descriptor": lambda: list.append,
    "a class": lambda: Slotted,
    "a cached_property": cached,
    "a slot of another class": lambda: Slotted.__dict__["v"],
    "a member of a C type": lambda: slice.__dict__["start"],
    "a getset of a C type": lambda: types.FunctionType.__dict__["__code__"],
    "a field of a named tuple": lambda: namedtuple("One", "v").__dict__["v"],
}


@dataclass
class World:
    """Something whose attribute `v` is read, the class that has `v` in one of the shapes, and a class to move to."""

    owner: Any
    kind: type
    other: type

    def read(self) -> Any:
        """Return what Python reads, `ABSENT` for an error, or that it runs code."""
        del calls[:]
        try:
            value = self.owner.v
        except Exception:
            value = ABSENT
        if calls and type(self.descriptor()) is functools.cached_property:  # what is not computed yet is absent
            if not isinstance(self.owner, type):
                del vars(self.owner)["v"]
            return ABSENT
        return RUNS_CODE if calls else value

    def descriptor(self) -> Any:
        """Return what stands in the class."""
        return vars(self.kind).get("v", ABSENT)


def world_of(owner: str, shape: Callable[[], Any], *, has_own: bool) -> World:
    """Return a world in which an instance, a class with a metaclass, or a class is read, and may hold a value itself."""
    value = shape()
    body = {} if value is ABSENT else {"v": value}
    if owner == "class of a metaclass":
        kind = type("Meta", (type,), body)
        return World(kind("Made", (), {"v": 1} if has_own else {}), kind, type("OtherMeta", (type,), {"v": 7}))
    kind, other = type("Watched", (), body), type("Other", (), {"v": 7})
    one = kind()
    if has_own:
        one.__dict__["v"] = 1
    return World(one if owner == "instance" else kind, kind, other)


def store_in_owner(world: World) -> None:
    if isinstance(world.owner, type):
        world.owner.v = 2  # @store_in_owner
    else:
        world.owner.__dict__["v"] = 2  # @store_in_dict


def store_in_class(world: World) -> None:
    world.kind.v = 3  # @store_in_class


def delete_from_class(world: World) -> None:
    del world.kind.v  # @delete_from_class


def replace_descriptor(world: World) -> None:
    world.kind.v = property(computed)  # @replace_descriptor


def replace_by_store_only(world: World) -> None:
    world.kind.v = StoreOnly()  # @replace_by_store_only


def replace_class(world: World) -> None:
    world.owner.__class__ = world.other  # @replace_class


def give_get(world: World) -> None:
    type(world.kind.__dict__["v"]).__get__ = get  # @give_get


def take_get(world: World) -> None:
    del type(world.kind.__dict__["v"]).__get__  # @take_get


class StoreOnly:
    __set__ = set_


STEPS = [
    store_in_owner,
    store_in_class,
    delete_from_class,
    replace_descriptor,
    replace_by_store_only,
    replace_class,
    give_get,
    take_get,
]
LINES = {line: mark for mark, line in helpers.marked_lines(Path(__file__)).items()}


def takes(world: World, step: Callable[[World], None]) -> bool:
    """Tell whether `step` can be done at all, without running a method of the class's."""
    kept = vars(world.kind).get("v", ABSENT)
    if step is delete_from_class:
        return kept is not ABSENT
    if step is store_in_owner and isinstance(world.owner, type):
        return (
            world.owner is not world.kind
            and not hasattr(type(kept), "__set__")
            and not hasattr(type(kept), "__delete__")
        )
    if step is replace_class:
        return world.owner is not world.kind
    if step in (give_get, take_get):
        return type(kept).__name__ == "Shape" and (step is give_get or "__get__" in vars(type(kept)))
    return True


def shown(value: Any) -> Any:
    """Return what two worlds can be compared by: of what is made anew in each, what it is."""
    kind = type(value)
    if value is ABSENT or value is RUNS_CODE or kind in (int, str):
        return value
    if kind is types.MethodType:
        return "method", value.__func__.__name__
    return ("property", id(value)) if kind is property else kind.__name__


def text_matches(value: Any, text: str) -> bool:
    """Tell whether `text` is a text of `value`, where that is known."""
    if value is ABSENT:
        return text == "absent"
    return text == repr(value) if type(value) in (int, str) else text != "absent"


def check(owner: str, shape: Callable[[], Any], step: Callable[[World], None], *, has_own: bool) -> str | None:
    """Return what is wrong in one case, None for nothing."""
    plain, watched = (world_of(owner, shape, has_own=has_own) for _ in range(2))
    if not takes(plain, step):
        return None
    before = plain.read()
    try:
        watchpoint = stopwhen.changes("o.v", scope={"o": watched.owner}, action="count")
    except stopwhen.Refused as refused:
        return None if before is RUNS_CODE else f"refused, though Python reads {before!r}: {refused}"
    with watchpoint:
        if before is RUNS_CODE:
            return "not refused"
        for one in (step, store_in_owner):
            if not takes(plain, one):
                continue
            one(plain)
            after = plain.read()
            after = plain.descriptor() if after is RUNS_CODE else after
            count = watchpoint.count
            del calls[:]
            one(watched)
            said = judge(watchpoint, watchpoint.count - count, before, after, one)
            if said is not None:
                return f"{one.__name__}: {said}"
            before = after
    return None


def judge(
    watchpoint: stopwhen.Watchpoint, hits: int, before: Any, after: Any, step: Callable[[World], None]
) -> str | None:
    """Return what is wrong with what a watchpoint has seen of a step, None for nothing."""
    if calls:
        return f"{calls} ran"
    if hits != (shown(before) != shown(after)):
        return f"{hits} hits from {before!r} to {after!r}"
    if hits:
        hit = watchpoint.hits[-1]
        if hit.location is None or not LINES.get(hit.location.lineno, "").startswith(step.__name__[:9]):
            return f"it is at {hit.location}"
        if not text_matches(before, hit.old_text) or not text_matches(after, hit.new_text):
            return f"{hit.old_text} -> {hit.new_text} instead of {before!r} -> {after!r}"
    return None


@pytest.mark.parametrize("mechanism", ["default", "recheck"] if env.core is not None else ["default"])
@pytest.mark.parametrize("owner", ["instance", "class", "class of a metaclass"])
def test_an_attribute_reads_as_python_reads_it(owner, mechanism, monkeypatch):
    """Whatever stands in the class, before and after each step; code of the class's is never run for it."""
    choose(monkeypatch, mechanism)
    is_slow = mechanism == "recheck" or env.core is None
    shapes = {**SHAPES, **OTHERS}
    wrong = {
        f"{name}, {'hidden' if has_own else 'alone'}": said
        for name, shape in list(shapes.items())[:: 4 if is_slow else 1]
        for step in STEPS
        for has_own in (False, True)
        if (said := check(owner, shape, step, has_own=has_own)) is not None
    }
    assert wrong == {}
