"""Every instance of a class, of which the C module keeps what there is to keep."""

from __future__ import annotations

from stopwhen import env
from stopwhen.cells import Attributes, DictItem
from stopwhen.mechanisms.native import PartToken, Token
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any

use_original_builtins(globals())

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from stopwhen.cells import Instances


class NativeInstances:
    """The instances of one class."""

    are_native = True

    def __init__(self, handle: Instances) -> None:
        self._handle = handle

    def at_work(self) -> AbstractContextManager[None]:
        """Return a context for work of our own, which causes no events here."""
        return _AT_WORK

    def find(self) -> list[Any]:
        """Return all that exist, which are watched from now on."""
        found: list[Any] = env.core.find_instances(self._handle)
        return found

    def all(self) -> list[Any]:
        """Return those that are watched, in the order in which they were met."""
        found: list[Any] = env.core.instances(self._handle)
        return found

    def memo(self, instance: Any) -> Any:
        """Return what was kept of the expression in `instance`, None for nothing."""
        return env.core.memo(self._handle, instance)

    def set_parts(self, instance: Any, parts: list[Any], memo: Any) -> None:
        """Watch `parts` as well for the sake of `instance`, and no others; keep `memo`."""
        env.core.set_parts(self._handle, instance, parts, memo)

    def set_quiet(self, kind: type | None, *, is_quiet: bool) -> None:
        """Say whether new instances of the very class `kind`, None for all, need not be told of."""
        env.core.set_quiet(self._handle, kind, is_quiet)


class _Nothing:
    """A context that does nothing."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        pass


_AT_WORK = _Nothing()


def arm_class(cell: Instances, mechanism: str) -> None:
    """Have what happens to the instances of the class told by `mechanism`, from now on."""
    names = {name: PartToken(f"self.{name}", DictItem, name, mechanism) for name in cell.names}
    whole = PartToken("self", Attributes, None, mechanism) if cell.whole else None
    detaches = env.SHARED_VALUES_GO_UNREPORTED
    env.core.arm_class(cell.owner, names, whole, NativeInstances, detaches, Token(cell, mechanism), cell)


def disarm_class(cell: Instances) -> None:
    """Have it told no more; nothing when it is not armed."""
    env.core.disarm_class(cell)
