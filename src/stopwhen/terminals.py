"""The terminal that a debugger talks to."""

from __future__ import annotations

import sys

from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import Any

use_original_builtins(globals())


def is_there() -> bool:
    """Tell whether a prompt can be shown and answered."""
    manager = _capture_of_pytest()
    if manager is None:
        return _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
    manager.suspend(in_=True)
    try:
        return _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
    finally:
        manager.resume()


def mode() -> list[Any] | None:
    """Return how the terminal is set; None where there is none."""
    try:
        import termios  # noqa: PLC0415 - Unix only

        return termios.tcgetattr(sys.__stdin__)  # type: ignore[arg-type] # anything else raises
    except Exception:
        return None


def set_mode(mode: list[Any]) -> None:
    """Set the terminal as `mode()` has found it."""
    import termios  # noqa: PLC0415 - there is one where the mode could be read

    try:
        termios.tcsetattr(sys.__stdin__, termios.TCSANOW, mode)  # type: ignore[arg-type] # not None
    except (OSError, ValueError, termios.error):
        return


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except Exception:  # None, a closed one, or one of the program's own
        return False


def _capture_of_pytest() -> Any:
    """Return what keeps the terminal from the tests that run, None for nothing."""
    debugging = sys.modules.get("_pytest.debugging")
    plugins = getattr(getattr(debugging, "pytestPDB", None), "_pluginmanager", None)
    manager = None if plugins is None else plugins.getplugin("capturemanager")
    return manager if hasattr(manager, "suspend") and hasattr(manager, "resume") else None
