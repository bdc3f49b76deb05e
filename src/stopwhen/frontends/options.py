"""Reads the command line: what `run` is to watch and how, and which program; the options of the other commands.

Not argparse, for its habit of taking options from among the program's own arguments, and for what it imports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stopwhen.errors import UsageError
from stopwhen.frontends.program import Program
from stopwhen.immutable import Immutable, replaced
from stopwhen.nearest import nearest
from stopwhen.terms import Terms
from stopwhen.type_hints import Literal, NoReturn
from stopwhen.types import AccessType, Action


class HelpAsked(Exception):  # noqa: N818  # it is no error
    """The command line asks for help."""


class Request(Immutable):
    """One watchpoint that is asked for."""

    access: AccessType
    text: str
    settings: Terms


STDERR_WORD = "-"
"""Stands for the stderr that the process began with."""


class Reporting(Immutable):
    """How a run reports its hits.

    Attributes:
        output: file that texts go to instead of stderr.
        json: file that gets a JSON object for each hit; `-` for stderr, which then gets no texts.
        stack: how many callers a text shows; None for a few in one line.
        max_hits: how many texts are shown for one line.
        quiet: no texts of hits are shown.
        strict: data that cannot be watched any more ends the run.
    """

    output: str | None = None
    json: str | None = None
    stack: int | Literal["all"] | None = None
    max_hits: int = 10
    quiet: bool = False
    strict: bool = False


class RunLine(Immutable):
    """All that stands after `stopwhen run`."""

    requests: tuple[Request, ...]
    mechanism: str | None
    program: Program
    reporting: Reporting = Reporting()


class AttachLine(Immutable):
    """All that stands after `stopwhen attach` or `stopwhen detach`; the latter has no requests."""

    pid: int
    requests: tuple[Request, ...] = ()
    mechanism: str | None = None
    timeout: float = 30.0
    tcp: bool = False


class AskLine(Immutable):
    """All that stands after `stopwhen explain` or `stopwhen doctor`; the latter has no expression."""

    text: str
    scope: str | None
    depth: int | Literal["all"]
    allow_calls: bool
    json: bool
    access: AccessType = AccessType.CHANGE


_WATCHPOINTS = {f"--{access.value}": access for access in AccessType}
SETTINGS_WITH_VALUE = (
    *("--action", "--if", "--hits", "--scope", "--depth", "--thread", "--task", "--in", "--not-in"),
    *("--function", "--caller"),
)
FLAGS = ("--allow-calls", "--pin")
_REPORTING_OPTIONS = ("--output", "--json", "--stack", "--max-hits", "--quiet", "--strict")
_RUN_OPTIONS = (
    *(*_WATCHPOINTS, *SETTINGS_WITH_VALUE, *FLAGS, "--mechanism"),
    *(*_REPORTING_OPTIONS, "--help", "-m", "-c"),
)
_ATTACH_OPTIONS = (*_WATCHPOINTS, *SETTINGS_WITH_VALUE, *FLAGS, "--timeout", "--tcp", "--help")
_DETACH_OPTIONS = ("--timeout", "--help")
_EXPLAIN_OPTIONS = (*_WATCHPOINTS, "--scope", "--depth", "--allow-calls", "--json", "--help")
_DOCTOR_OPTIONS = ("--json", "--help")

_ALL_OPTIONS = frozenset((*_RUN_OPTIONS, *_ATTACH_OPTIONS, *_EXPLAIN_OPTIONS))

_AFTER_THE_PROGRAM = "what stands after the program belongs to the program; options of stopwhen go before it"


class _Words:
    """The words of a command line that are not read yet."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._next = 0

    def more(self) -> bool:
        return self._next < len(self._words)

    def take(self) -> str:
        self._next += 1
        return self._words[self._next - 1]

    def rest(self) -> tuple[str, ...]:
        return tuple(self._words[self._next :])

    def value_of(self, option: str, given: str | None, what: str) -> str:
        """Return the value of `option`: what stood after its `=`, or the next word."""
        if given is not None:
            return given
        if not self.more():
            raise UsageError(f"{option} needs {what}", slug="missing-value", hint=f"write {option} {what}")
        value = self.take()
        # `--x` is an expression too.
        if what != "EXPR" and value.startswith("--") and _split(value)[0] in _ALL_OPTIONS:
            hint = f"write {option} {what} before it; {option}={value} if that is meant"
            raise UsageError(f"{option} needs {what}, and what comes next is {value}", slug="missing-value", hint=hint)
        return value


def read_run(words: Sequence[str]) -> RunLine:
    """Return what a `run` line asks for.

    Options before the first watchpoint hold for all, options after one for that one.

    Raises:
        UsageError: it cannot be understood.
        HelpAsked: it asks for help.
    """
    left = _Words(words)
    watched = _Watched()
    mechanism: str | None = None
    reporting = Reporting()
    while True:
        program = _program(left)
        if program is not None:
            break
        option, given = _split(left.take())
        if option == "--mechanism":
            mechanism = left.value_of(option, given, "NAME")
        elif option in _REPORTING_OPTIONS:
            reporting = _with_reporting(reporting, option, given, left)
        elif option == "--children":
            hint = "what this process forks is watched; of other Python processes it is said how many there were"
            raise UsageError("--children is not there yet", slug="no-children", hint=hint)
        else:
            watched.take(option, given, left, _RUN_OPTIONS)
    if not watched.requests:
        _no_watchpoint(program)
    return RunLine(tuple(watched.requests), mechanism, program, reporting)


def _with_reporting(reporting: Reporting, option: str, given: str | None, left: _Words) -> Reporting:
    """Return `reporting` with one option more."""
    if option in ("--quiet", "--strict"):
        _without_value(option, given)
        return replaced(reporting, quiet=True) if option == "--quiet" else replaced(reporting, strict=True)
    value = left.value_of(option, given, "FILE" if option in ("--output", "--json") else "N")
    match option:
        case "--output":
            return replaced(reporting, output=value)
        case "--json":
            return replaced(reporting, json=value)
        case "--stack" if value == "all":
            return replaced(reporting, stack="all")
        case "--stack":
            return replaced(reporting, stack=_number(option, value, "or 'all'"))
        case _:
            return replaced(reporting, max_hits=_number(option, value, "such as 3"))


def _number(option: str, value: str, other: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise UsageError(f"{option} {value!r} is no number", slug="bad-number", hint=f"give a number, {other}")
    return int(value)


class _Watched:
    """The watchpoints of a line, as they are read."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._common = Terms()

    def take(self, option: str, given: str | None, left: _Words, options: Sequence[str]) -> None:
        """Take an option: before the first watchpoint it holds for all, after one for that one."""
        if option in _WATCHPOINTS:
            text = left.value_of(option, given, "EXPR")
            self.requests.append(Request(_WATCHPOINTS[option], text, self._common))
        elif self.requests:
            latest = self.requests[-1]
            self.requests[-1] = replaced(latest, settings=_set(latest.settings, option, given, left, options))
        else:
            self._common = _set(self._common, option, given, left, options)


def read_attach(words: Sequence[str]) -> AttachLine:
    """Return what an `attach` line asks for; the process may stand anywhere in it.

    Raises:
        UsageError: it cannot be understood.
        HelpAsked: it asks for help.
    """
    watched = _Watched()
    line = _read_process("attach", words, _ATTACH_OPTIONS, watched)
    if not watched.requests:
        hint = f"say what to watch: stopwhen attach {line.pid} --changes EXPR, or --true EXPR"
        raise UsageError("there is nothing to watch", slug="no-watchpoint", hint=hint)
    return replaced(line, requests=tuple(watched.requests))


def read_detach(words: Sequence[str]) -> AttachLine:
    """Return what a `detach` line asks for.

    Raises:
        UsageError: it cannot be understood.
        HelpAsked: it asks for help.
    """
    return _read_process("detach", words, _DETACH_OPTIONS, None)


def _read_process(command: str, words: Sequence[str], options: Sequence[str], watched: _Watched | None) -> AttachLine:
    left = _Words(words)
    line = AttachLine(pid=0)
    while left.more():
        word = left.take()
        option, given = _split(word)
        if not word.startswith("-"):
            if line.pid:
                hint = "one process at a time; put an expression in quotes: --changes 'rows[0] + 1'"
                raise UsageError(f"{command} was given {word!r} as well", slug="unexpected-word", hint=hint)
            line = replaced(line, pid=_pid(word))
        elif option == "--timeout":
            line = replaced(line, timeout=_seconds(left.value_of(option, given, "SECONDS")))
        elif option == "--tcp" and watched is not None:
            _without_value(option, given)
            line = replaced(line, tcp=True)
        elif option in ("-h", "--help"):
            raise HelpAsked
        elif watched is None:
            _unknown(option, options)
        else:
            watched.take(option, given, left, options)
    if not line.pid:
        hint = f"stopwhen {command} 4242{' --changes EXPR' if watched is not None else ''}"
        raise UsageError("there is no process", slug="no-process", hint=hint)
    return line


def _pid(word: str) -> int:
    if not (word.isascii() and word.isdigit() and int(word) > 0):
        raise UsageError(f"{word!r} is no process id", slug="no-process", hint="give the number that ps or top shows")
    return int(word)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"--timeout {value!r} is no number of seconds", slug="bad-timeout", hint="--timeout 60")
    return seconds


def _program(left: _Words) -> Program | None:
    """Return the program if the words go on with it; all after it is its own."""
    if not left.more():
        hint = "end the line with a script, -m MODULE or -c CODE, as for python"
        raise UsageError("there is no program to run", slug="no-program", hint=hint)
    words = left.rest()
    first = words[0]
    if first == "--":
        left.take()
        if not left.more():
            return _program(left)
        words = left.rest()
        return Program("script", words[0], words[1:], words[:1])
    if not first.startswith("-") or first == "-":
        return Program("script", first, words[1:], words[:1])
    kinds: dict[str, Literal["module", "code"]] = {"-m": "module", "-c": "code"}
    if first[:2] not in kinds:
        return None
    kind, what = kinds[first[:2]], "MODULE" if first[1] == "m" else "CODE"
    if len(first) > 2:  # `-mmodule`
        name, start = first[2:], 1
    elif len(words) == 1:
        raise UsageError(f"{first} needs {what}", slug="missing-value", hint=f"write {first} {what}")
    else:
        name, start = words[1], 2
    if kind == "module" and name.startswith("-"):
        hint = "a line runs one program: one script, one -m MODULE or one -c CODE, after all options of stopwhen"
        raise UsageError(f"{name!r} cannot be a module to run", slug="not-a-module", hint=hint)
    return Program(kind, name, words[start:], words[:start])


def _split(word: str) -> tuple[str, str | None]:
    """Return an option and what stands after its `=`, None where there is no `=`."""
    option, equals, value = word.partition("=")
    return option, value if equals else None


def _set(settings: Terms, option: str, given: str | None, left: _Words, options: Sequence[str]) -> Terms:
    """Return `settings` with one option more."""
    if option in ("-h", "--help"):
        raise HelpAsked
    if option in FLAGS:
        _without_value(option, given)
        return with_setting(settings, option, "")
    if option not in SETTINGS_WITH_VALUE:
        _unknown(option, options)
    return with_setting(settings, option, left.value_of(option, given, _VALUES[option]))


def with_setting(settings: Terms, option: str, value: str) -> Terms:
    """Return `settings` with one option more, of `FLAGS` or `SETTINGS_WITH_VALUE`.

    Raises:
        UsageError: the value makes no sense.
    """
    return _SETTERS[option](settings, value)


_VALUES = {
    "--action": "ACTION",
    "--if": "EXPR",
    "--hits": "RULE",
    "--scope": "NAME",
    "--depth": "N",
    "--thread": "NAME",
    "--task": "NAME",
    "--in": "GLOB",
    "--not-in": "GLOB",
    "--function": "GLOB",
    "--caller": "GLOB",
}

_SETTERS: dict[str, Callable[[Terms, str], Terms]] = {
    "--action": lambda settings, value: replaced(settings, action=_action(value)),
    "--if": lambda settings, value: replaced(settings, condition=value),
    "--hits": lambda settings, value: replaced(settings, hit_condition=value),
    "--scope": lambda settings, value: replaced(settings, scope=_scope(value)),
    "--depth": lambda settings, value: replaced(settings, depth=_depth(value)),
    "--pin": lambda settings, _value: replaced(settings, pin=True),
    "--allow-calls": lambda settings, _value: replaced(settings, allow_calls=True),
    "--thread": lambda settings, value: replaced(settings, threads=(*settings.threads, value)),
    "--task": lambda settings, value: replaced(settings, tasks=(*settings.tasks, value)),
    "--in": lambda settings, value: replaced(settings, files=(*settings.files, value)),
    "--not-in": lambda settings, value: replaced(settings, not_files=(*settings.not_files, value)),
    "--function": lambda settings, value: replaced(settings, functions=(*settings.functions, value)),
    "--caller": lambda settings, value: replaced(settings, callers=(*settings.callers, value)),
}


def _action(value: str) -> Action:
    names = [action.value for action in Action]
    if value not in names:
        near = nearest(value, names)
        hint = f"did you mean {near!r}?" if near else "stop is the default"
        raise UsageError(f"--action {value!r} is none of {', '.join(names)}", slug="unknown-action", hint=hint)
    return Action(value)


def _scope(value: str) -> str:
    module, colon, name = value.partition(":")
    parts = [*module.split("."), *(name.split(".") if colon else ())]
    if not all(part.isidentifier() for part in parts):
        raise UsageError(
            f"--scope {value!r} names no scope",
            slug="bad-scope",
            hint="give a module: pkg.mod, or a function or class in one: pkg.mod:func, pkg.mod:Class",
        )
    return value


def _depth(value: str) -> int | Literal["all"]:
    if value == "all":
        return "all"
    if not (value.isascii() and value.isdigit()):
        raise UsageError(
            f"--depth {value!r} is neither a number from 0 nor 'all'",
            slug="bad-depth",
            hint="0 sees rebinding only, 1 the object's own content too, 'all' whatever it reaches",
        )
    return int(value)


def read_explain(words: Sequence[str]) -> AskLine:
    """Return what an `explain` line asks for.

    Raises:
        UsageError: it cannot be understood.
        HelpAsked: it asks for help.
    """
    line = _read_ask(words, _EXPLAIN_OPTIONS, "explain")
    if not line.text:
        hint = "stopwhen explain 'sys.path[0]'"
        raise UsageError("there is no expression to explain", slug="no-expression", hint=hint)
    return line


def read_doctor(words: Sequence[str]) -> AskLine:
    """Return what a `doctor` line asks for.

    Raises:
        UsageError: it cannot be understood.
        HelpAsked: it asks for help.
    """
    line = _read_ask(words, _DOCTOR_OPTIONS, "doctor")
    if line.text:
        hint = f"stopwhen explain {line.text!r} tells how one expression is watched"
        raise UsageError(f"doctor takes no expression, but was given {line.text!r}", slug="unexpected-word", hint=hint)
    return line


def _read_ask(words: Sequence[str], options: tuple[str, ...], command: str) -> AskLine:
    left = _Words(words)
    line = AskLine(text="", scope=None, depth=1, allow_calls=False, json=False)
    only_text = False
    while left.more():
        word = left.take()
        option, given = _split(word)
        if only_text or not word.startswith("-"):
            if line.text:
                hint = "put the expression in quotes: 'rows[0] + 1'"
                raise UsageError(f"{command} was given {line.text!r} and {word!r}", slug="unexpected-word", hint=hint)
            line = replaced(line, text=word)
        elif word == "--":
            only_text = True
        elif option in ("-h", "--help"):
            raise HelpAsked
        elif option not in options:
            _unknown(option, options)
        elif option == "--scope":
            line = replaced(line, scope=_scope(left.value_of(option, given, "NAME")))
        elif option == "--depth":
            line = replaced(line, depth=_depth(left.value_of(option, given, "N")))
        elif option in _WATCHPOINTS:
            _without_value(option, given)
            line = replaced(line, access=_WATCHPOINTS[option])
        else:
            _without_value(option, given)
            line = replaced(line, allow_calls=True) if option == "--allow-calls" else replaced(line, json=True)
    return line


# Errors


def _without_value(option: str, given: str | None) -> None:
    if given is not None:
        hint = f"write {option} alone"
        raise UsageError(f"{option} takes no value, but was given {given!r}", slug="unexpected-value", hint=hint)


def _unknown(option: str, options: Sequence[str]) -> NoReturn:
    near = nearest(option, options)
    hint = f"did you mean {near}?" if near else f"the options are {', '.join(sorted(options))}"
    if not option.startswith("--"):
        hint = f"flags of Python go to Python itself: python {option} -m stopwhen run ..."
    raise UsageError(f"unknown option {option!r}", slug="unknown-option", hint=hint)


def _no_watchpoint(program: Program) -> NoReturn:
    hint = "say what to watch: --changes EXPR, --true EXPR, --writes EXPR or --reads EXPR"
    if any(_split(word)[0] in _WATCHPOINTS for word in program.arguments):
        hint = _AFTER_THE_PROGRAM
    raise UsageError("there is nothing to watch", slug="no-watchpoint", hint=hint)


def unknown_command(word: str, commands: Sequence[str]) -> UsageError:
    """Return the error for a first word that is no command."""
    near = nearest(word, commands)
    if near is not None:
        hint = f"did you mean {near}?"
    elif _split(word)[0] in _RUN_OPTIONS or word.endswith(".py"):
        hint = "did you mean stopwhen run ...?"
    else:
        hint = f"the commands are {', '.join(commands)}; stopwhen --help tells more"
    return UsageError(f"unknown command {word!r}", slug="unknown-command", hint=hint)
