"""Reads the line of `%stopwhen` in IPython: a command, an expression without quotes, options after it."""

from __future__ import annotations

import ast
import re

from stopwhen.errors import UsageError
from stopwhen.frontends.options import FLAGS, SETTINGS_WITH_VALUE, with_setting
from stopwhen.immutable import Immutable
from stopwhen.nearest import nearest
from stopwhen.terms import Terms
from stopwhen.type_hints import Final
from stopwhen.types import AccessType

WATCHING: Final = {access.value: access for access in AccessType}
_ON_NUMBERS: Final = ("remove", "enable", "disable")
COMMANDS: Final = (*WATCHING, "list", *_ON_NUMBERS, "explain", "help")
_OPTIONS: Final = (*SETTINGS_WITH_VALUE, *FLAGS)
_OPTION: Final = re.compile(r"--[A-Za-z][\w-]*")


class Line(Immutable):
    """What is asked for.

    Attributes:
        command: one of `COMMANDS`.
        text: the expression, of commands that take one.
        settings: what the options say.
        numbers: of watchpoints, of commands that take them; empty for all.
    """

    command: str
    text: str
    settings: Terms
    numbers: tuple[int, ...] = ()


def read_line(line: str, defaults: Terms) -> Line:
    """Return what a line asks for.

    Raises:
        UsageError: it cannot be understood.
    """
    first, options = _split(line)
    if not first and options and options[0][0].removeprefix("--") in WATCHING:  # as on the command line
        option, first = options.pop(0)
        first = f"{option.removeprefix('--')} {first}"
    if options and options[0][0] == "--help":
        return Line("help", "", defaults)
    command, _, text = first.partition(" ")
    command, text = command or "list", text.strip()
    if command not in COMMANDS:
        raise _unknown(command, text)
    settings = defaults
    for option, value in options:
        settings = _set(settings, option, value)
    if command in _ON_NUMBERS:
        return Line(command, "", settings, _numbers(command, text))
    takes_expression = command in WATCHING or command == "explain"
    if takes_expression and not text:
        raise UsageError(
            f"%stopwhen {command} needs an expression", slug="no-expression", hint=f"%stopwhen {command} len(rows)"
        )
    if text and not takes_expression:
        raise UsageError(
            f"%stopwhen {command} was given {text!r}", slug="unexpected-word", hint=f"write %stopwhen {command} alone"
        )
    return Line(command, _unquoted(text), settings)


def _unknown(command: str, text: str) -> UsageError:
    near = nearest(command, COMMANDS)
    if near is not None:
        hint = f"did you mean %stopwhen {near}?"
    else:
        hint = (
            f"to watch an expression: %stopwhen changes {command}{' ' if text else ''}{text}; %stopwhen help tells more"
        )
    return UsageError(f"unknown command {command!r}", slug="unknown-command", hint=hint)


def _set(settings: Terms, option: str, value: str) -> Terms:
    if option not in _OPTIONS:
        near = nearest(option, _OPTIONS)
        hint = f"did you mean {near}?" if near else f"the options are {', '.join(sorted(_OPTIONS))}"
        raise UsageError(f"unknown option {option!r}", slug="unknown-option", hint=hint)
    if option in FLAGS and value:
        hint = f"write {option} alone, after the expression"
        raise UsageError(f"{option} takes no value, but was given {value!r}", slug="unexpected-value", hint=hint)
    if option not in FLAGS and not value:
        raise UsageError(f"{option} needs a value", slug="missing-value", hint=f"write {option} VALUE")
    return with_setting(settings, option, _unquoted(value))


def _numbers(command: str, text: str) -> tuple[int, ...]:
    words = text.replace(",", " ").split()
    if words == ["all"]:
        return ()
    if not words or not all(word.isascii() and word.isdigit() for word in words):
        raise UsageError(
            f"%stopwhen {command} needs numbers of watchpoints, or 'all'",
            slug="no-number",
            hint=f"%stopwhen {command} 1; %stopwhen list shows the numbers",
        )
    return tuple(int(word) for word in words)


def _unquoted(text: str) -> str:
    """Return what stands in quotes when all of `text` does, as one is used to from shells."""
    if text[:1] not in ("'", '"'):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, str) else text


def _split(line: str) -> tuple[str, list[tuple[str, str]]]:
    """Return what stands before the first option, and the options with what follows each.

    An option is a word that begins with `--` and a letter, outside of strings and brackets: `a - -b` is none.
    """
    starts = [match for match in _OPTION.finditer(line) if _is_word(line, match) and _is_outside(line[: match.start()])]
    ends = [*(match.start() for match in starts[1:]), len(line)]
    options = [
        (match[0], line[match.end() : end].strip().removeprefix("=").strip())
        for match, end in zip(starts, ends, strict=False)
    ]
    return line[: starts[0].start() if starts else len(line)].strip(), options


def _is_word(line: str, match: re.Match[str]) -> bool:
    before, after = line[: match.start()][-1:], line[match.end() :][:1]
    return before in ("", " ", "\t") and after in ("", " ", "\t", "=")


def _is_outside(text: str) -> bool:
    """Tell that no string and no bracket is open at the end of `text`."""
    quote, depth, skip = "", 0, False
    for character in text:
        if skip:
            skip = False
        elif quote:
            skip = character == "\\"
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
    return not quote and depth <= 0
