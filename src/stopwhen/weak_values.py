"""A table that holds none of its values; that of `weakref` is in Python, and calls what a program may have patched."""

from __future__ import annotations

from collections.abc import Hashable

from stopwhen.originals import use_original_builtins, weakref
from stopwhen.type_hints import Generic, TypeVar

use_original_builtins(globals())

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class WeakValues(Generic[K, V]):
    """Finds values by their keys for as long as they live."""

    def __init__(self) -> None:
        self._references: dict[K, weakref.ref[V]] = {}

    def get(self, key: K) -> V | None:
        """Return the value of `key`, None when there is none any more."""
        reference = self._references.get(key)
        return None if reference is None else reference()

    def __setitem__(self, key: K, value: V) -> None:
        references = self._references

        def drop(gone: weakref.ref[V]) -> None:
            if references.get(key) is gone:
                del references[key]

        references[key] = weakref.ref(value, drop)
