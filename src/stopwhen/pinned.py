"""Pinned expressions: the objects that their root names stand for now are watched on, as by gdb's `watch -location`."""

from __future__ import annotations

from stopwhen.errors import Refused, UsageError
from stopwhen.originals import use_original_builtins
from stopwhen.record import present
from stopwhen.scope import FrameScope
from stopwhen.texts import text_of
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import ABSENT
from stopwhen.values import SCALARS
from stopwhen.wide import WideScope

use_original_builtins(globals())

if TYPE_CHECKING:
    from stopwhen.expression import WatchExpression
    from stopwhen.scope import Look, Scope


def pinned(expression: WatchExpression, scope: Scope | WideScope) -> PinnedScope:
    """Return the scope in which the names of `expression` stand for what they stand for in `scope` now.

    Raises:
        Refused: a local variable stands for nothing that can be watched once its frame is gone.
        UsageError: the scope is each of many.
    """
    if isinstance(scope, WideScope):
        raise UsageError(
            f"cannot pin {expression.text!r} in the scope {scope.name!r}: its names stand for something else each time",
            slug="pin",
            hint="leave out pin, or pin it where the object is at hand: in its method, stopwhen.changes('self.total', "
            "pin=True)",
        )
    return PinnedScope(expression.root_names(), scope, expression.text)


class PinnedScope:
    """The objects that root names stand for in another scope, whatever becomes of the names.

    A name that is not there yet, or stands for what nothing can change, is read there until it stands for an object.

    Args:
        names: those to pin.
        scope: where they are read.
        expression: what is asked for, for messages.

    Raises:
        Refused: a local variable stands for nothing that can be watched once its frame is gone.
    """

    def __init__(self, names: list[str], scope: Scope, expression: str) -> None:
        self._scope: Scope = scope
        self._objects: dict[str, Any] = {}
        for name in names:
            value = scope.find(name, present)
            if self._is_pinned(name, value) or not isinstance(scope, FrameScope):
                continue
            if scope.has_variable(frozenset((name,))):
                held = "nothing yet" if value is ABSENT else f"{text_of(value, 60)}, which never changes"
                raise Refused(
                    f"cannot pin {expression!r}: {name!r} stands for {held}",
                    slug="pin",
                    hint="pin what an object holds, such as 'self.total'; a variable itself ends with its frame",
                )
        if isinstance(scope, FrameScope):
            scope.let_go()
        self.title = f"the objects of {scope.title}"

    def find(self, name: str, look: Look) -> Any:
        """Return the object that `name` stood for."""
        if name in self._objects:
            return self._objects[name]
        value = self._scope.find(name, look)
        self._is_pinned(name, value)
        return value

    def _is_pinned(self, name: str, value: Any) -> bool:
        """Pin `value`, if it is an object that can be told from others."""
        if value is ABSENT or type(value) in SCALARS:
            return False
        self._objects[name] = value
        return True
