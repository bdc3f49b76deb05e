"""What is worked out of code objects, kept for the latest that were asked for."""

from __future__ import annotations

from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any, Final, Generic, TypeVar

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

T = TypeVar("T")

MOST_CODES: Final = 256
"""Of how many code objects something is kept."""


class OfCode(Generic[T]):
    """What `make` returns for a code object, made once while that is among the latest.

    Code objects are told apart by identity: to hash one takes as long as its bytecode.
    """

    def __init__(self, make: Callable[[CodeType], T]) -> None:
        self._make = make
        self._known: dict[int, tuple[CodeType, T]] = {}  # holds the code, so that its id is not used again

    def __call__(self, code: CodeType) -> T:
        """Return what is made of `code`."""
        known = self._known.get(id(code))
        if known is None:
            known = code, self._make(code)
            if len(self._known) >= MOST_CODES:
                self._known.pop(list(self._known)[0], None)  # noqa: RUF015 - another thread may add to it meanwhile
            self._known[id(code)] = known
        return known[1]


def empty_for(_code: Any) -> dict[int, Any]:
    """Return an empty dict: what is worked out of each instruction is put there by its offset."""
    return {}
