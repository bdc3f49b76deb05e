"""Objects that hold data and never change, declared as a frozen dataclass with slots is.

Such a dataclass costs half a millisecond when its module is imported, since its methods are written and compiled then.
These classes share theirs.
"""

from __future__ import annotations

from stopwhen.originals import operator, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class _Data:
    """What the classes have in common."""

    __match_args__: tuple[str, ...] = ()
    __slots__ = ()
    _defaults: dict[str, Any] = {}  # noqa: RUF012 - each class has its own
    _setters: list[Any] = []  # noqa: RUF012 - likewise
    _values: Any = None
    """Returns what an object is compared and hashed by: the values of its fields."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        kind = type(self)
        if type(other) is not kind:
            return NotImplemented
        return kind._values(self) == kind._values(other)  # type: ignore[no-any-return] # of tuples

    def __hash__(self) -> int:
        return hash(type(self)._values(self))

    def __repr__(self) -> str:
        fields = [f"{name}={value!r}" for name, value in fields_of(self).items()]
        return f"{type(self).__qualname__}({', '.join(fields)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(fields_of(self).values())

    def __replace__(self, /, **changes: Any) -> Any:
        return replaced(self, **changes)


@dataclass_transform(frozen_default=True)
class _Declared(type):
    """Makes a class whose fields are the annotated names in its body, after those of its base class.

    What is made is a plain class: to `isinstance` one with a metaclass takes three times as long.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], *, eq: bool = True) -> Any:
        """Make it; without `eq` its objects are equal only to themselves."""
        if not bases:
            return super().__new__(cls, name, bases, body)
        base: Any = next((one for one in bases if one is not Immutable), _Data)
        own = tuple(body.get("__annotations__", ()))
        fields = (*base.__match_args__, *own)
        defaults = base._defaults | {field: body.pop(field) for field in own if field in body}
        setters = list(base._setters)
        common = {
            "__init__": _initializer(name, fields, setters, defaults),
            "__match_args__": fields,
            "__slots__": own,
            "_defaults": defaults,
            "_setters": setters,
            "_values": operator.attrgetter(*(fields or ("__class__",))),
        }
        by_identity = {} if eq else {"__eq__": object.__eq__, "__hash__": object.__hash__}
        made = type(name, (base,), {**by_identity, **body, **common})
        setters += [made.__dict__[field].__set__ for field in own]
        return made


class Immutable(metaclass=_Declared):
    """Base of such a class, and of one that is derived from it: `class Place(Point, Immutable)`.

    It takes the values of its fields in order or by name; those at the end may have default values.
    """


def _initializer(
    title: str, fields: tuple[str, ...], setters: list[Any], defaults: dict[str, Any]
) -> Callable[..., None]:
    """Return the `__init__` of a class."""
    last = tuple(defaults.values())

    def __init__(self: object, *values: Any, **named: Any) -> None:  # noqa: N807 - it becomes that of a class
        missing = len(fields) - len(values)
        if named or not 0 <= missing <= len(last):
            values += _rest(title, fields[len(values) :], defaults, named)
        elif missing:
            values += last[-missing:]
        for set_field, value in zip(setters, values):  # noqa: B905 - they are as many, and this is done often
            set_field(self, value)

    return __init__


def _rest(title: str, fields: tuple[str, ...], defaults: dict[str, Any], named: dict[str, Any]) -> tuple[Any, ...]:
    """Return the values of the last fields, of which none is given by position."""
    known = defaults | named
    if any(name not in fields for name in named) or any(field not in known for field in fields) or not fields:
        raise TypeError(f"{title}() takes other values: {', '.join(fields) or 'no more'}; given: {', '.join(named)}")
    return tuple([known[field] for field in fields])


def fields_of(one: Any) -> dict[str, Any]:
    """Return the fields of an object, by name."""
    return {name: getattr(one, name) for name in one.__match_args__}


def replaced(one: T, **changes: Any) -> T:
    """Return a copy of an object with other values for some of its fields."""
    return type(one)(**fields_of(one) | changes)
