"""Every exception that stopwhen raises, each with the slug that the messages' reference lists."""

from __future__ import annotations

from stopwhen.originals import use_original_builtins

use_original_builtins(globals())


class StopwhenError(Exception):
    """Base of all errors of stopwhen: one line that says what was asked and what is in the way.

    Attributes:
        slug: short stable name of the kind of message, an entry of docs/reference/messages.md.
        hint: what to do instead, or None.
        exit_status: what the command line exits with when this ends it.
    """

    exit_status = 2

    def __init__(self, message: str, *, slug: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.slug = slug
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.args[0]} [{self.slug}]"
        return text if self.hint is None else f"{text}\n  hint: {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # A worker process sends what it raises to the one that waits for it.
        return _remade, (type(self), self.args, self.slug, self.hint), self._sent()

    def _sent(self) -> dict[str, object]:
        """Return the attributes that a copy in another process gets."""
        return vars(self)


def _remade(kind: type[StopwhenError], args: tuple[object, ...], slug: str, hint: str | None) -> StopwhenError:
    error = kind.__new__(kind, *args)
    error.slug, error.hint = slug, hint
    return error


class BadExpression(StopwhenError, ValueError):
    """The text of a watch expression, condition or hit condition cannot be understood."""


class Refused(StopwhenError, ValueError):
    """The data cannot be watched as asked; the message carries the reason."""


class Unavailable(StopwhenError):
    """A mechanism cannot be used for lack of a resource; the plan moves on to the next."""


class UsageError(StopwhenError, ValueError):
    """An option or argument is wrong."""


class Notice(StopwhenError):
    """What is said of a watchpoint, with the words of an error; never raised."""


class DataChanged(StopwhenError):
    """Raised in the writer by `action="raise"` and by `stopwhen.forbid`.

    Attributes:
        hit: the Hit that raised it; None in a copy that another process was sent.
    """

    def __init__(self, hit: object, message: str) -> None:
        super().__init__(message, slug="data-changed")
        self.hit = hit

    def __str__(self) -> str:
        return str(self.args[0])

    def _sent(self) -> dict[str, object]:
        return {**vars(self), "hit": None}
