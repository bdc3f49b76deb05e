"""Objects that hold data and never change, declared as a frozen dataclass with slots is.

Such a dataclass costs half a millisecond when its module is imported, since its methods are written and compiled then.
These classes have theirs from one base class.
"""

from __future__ import annotations

from stopwhen.originals import operator, use_original_builtins
from stopwhen.type_hints import Any, NoReturn, TypeVar, dataclass_transform

use_original_builtins(globals())

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
class _Declared(type):
    """Makes fields of the annotated names in the body of a class, after those of its base class."""

    __match_args__: tuple[str, ...] = ()
    _defaults: tuple[Any, ...] = ()
    """Of the last fields."""
    _setters: tuple[Any, ...] = ()
    _values: Any = None
    """Returns what an object is compared and hashed by: the values of its fields."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], *, eq: bool = True) -> _Declared:
        """Make a class; without `eq` its objects are equal only to themselves."""
        own = tuple(body.get("__annotations__", ()))
        fields = tuple(field for base in bases for field in base.__match_args__) + own  # type: ignore[attr-defined]
        defaults = tuple(body.pop(field) for field in own if field in body)
        by_identity = {} if eq else {"__eq__": object.__eq__, "__hash__": object.__hash__}
        made = super().__new__(cls, name, bases, by_identity | body | {"__slots__": own, "__match_args__": fields})
        made._defaults += defaults
        made._setters += tuple(made.__dict__[field].__set__ for field in own)
        made._values = operator.attrgetter(*(fields or ("__class__",)))
        return made


class Immutable(metaclass=_Declared):
    """Takes the values of its fields in order or by name; those at the end may have default values."""

    def __init__(self, *values: Any, **named: Any) -> None:
        kind = type(self)
        missing = len(kind._setters) - len(values)
        if named or missing > len(kind._defaults):
            values += _values_of_rest(kind, len(values), named)
        elif missing:
            values += kind._defaults[-missing:]
        for set_field, value in zip(kind._setters, values, strict=True):
            set_field(self, value)

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


def _values_of_rest(kind: _Declared, given: int, named: dict[str, Any]) -> tuple[Any, ...]:
    """Return the values of the fields after the first `given`."""
    fields = kind.__match_args__
    known = dict(zip(reversed(fields), reversed(kind._defaults), strict=False)) | named
    try:
        values = tuple(known[name] for name in fields[given:])
    except KeyError as error:
        raise TypeError(f"{kind.__name__}() has no value for {error}") from None
    if not named.keys() <= set(fields[given:]):
        raise TypeError(f"{kind.__name__}() takes no values by these names: {', '.join(named.keys() - fields[given:])}")
    return values


def fields_of(one: Any) -> dict[str, Any]:
    """Return the fields of an object, by name."""
    return {name: getattr(one, name) for name in one.__match_args__}


def replaced(one: T, **changes: Any) -> T:
    """Return a copy of an object with other values for some of its fields."""
    return type(one)(**fields_of(one) | changes)
