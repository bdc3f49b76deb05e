"""The names of `typing`, for annotations: only type checkers look at those, and `typing` itself takes long to load."""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import Final as Final
    from typing import Generic as Generic
    from typing import Literal as Literal
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
    from typing import Self as Self
    from typing import TextIO as TextIO
    from typing import TypeAlias as TypeAlias
    from typing import TypeVar as TypeVar
    from typing import dataclass_transform as dataclass_transform
    from typing import overload as overload
else:
    Any = Final = Literal = NoReturn = Protocol = Self = TextIO = TypeAlias = object

    class Generic:
        """A base class that takes type variables, and makes nothing of them."""

        __class_getitem__ = classmethod(lambda cls, _: cls)

    def TypeVar(*_about: object, **_more: object) -> object:  # noqa: N802 - as `typing` calls it
        """Return what stands for a type variable."""
        return object

    def overload(one: object) -> object:
        """Return what is decorated."""
        return one

    def dataclass_transform(**_about: object) -> object:
        """Return a decorator that does nothing."""
        return overload
