"""The watch commands of our debugger: watchpoints as pdb has breakpoints, with numbers such as `w3`."""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from stopwhen import absence, conditions, location
from stopwhen import session as sessions
from stopwhen.errors import StopwhenError
from stopwhen.expression import is_expression
from stopwhen.immutable import replaced
from stopwhen.rules import HitCondition
from stopwhen.terms import Terms
from stopwhen.types import AccessType, Action

if TYPE_CHECKING:
    from types import FrameType

    from stopwhen.hit import Hit
    from stopwhen.watchpoint import Watchpoint

_NUMBER = re.compile(r"w(\d+)")


class WatchCommands:
    """Commands for watchpoints, to be mixed in before a `pdb.Pdb`; its commands for breakpoints take both.

    Where pdb keeps something by the number of a breakpoint, watchpoint 3 has the number -3.
    """

    if TYPE_CHECKING:  # what pdb.Pdb has
        curframe: FrameType | None
        commands: dict[int, list[str]]
        message: Callable[..., None]
        error: Callable[[object], None]
        get_bpbynumber: Callable[[Any], Any]
        _complete_expression: Callable[[str, str, int, int], list[str]]
        _complete_bpnumber: Callable[[str, str, int, int], list[str]]

    _temporary: set[int]
    _watched: dict[int, Watchpoint]
    _latest: int | None = None

    def do_watch(self, arg: str) -> None:
        """watch [-l] [true] expression [thread name] [task name] [, condition]

        Set a watchpoint: the program stops right after any
        instruction that changes the value of the expression, before
        the next one.  With "true", it stops when the value becomes
        true.

        Names are those of the current frame; a watchpoint that reads
        a local variable ends with its frame.  With -l, the objects
        that the names stand for now are watched on, whatever becomes
        of the frame: "watch -l self.total".

        With "thread" or "task", only what that thread or asyncio task
        writes counts; the name may be a pattern, such as worker-*.

        Behind a comma stands a condition, which must evaluate to true
        before the watchpoint is honored.  It can read "old", "new",
        "added", "removed" and the names of the frame that wrote:
        "watch stock, len(new) < len(old)".

        Without argument, list all watchpoints.  See also: twatch,
        rwatch, awatch, watches, hits, unwatch; enable, disable,
        condition, ignore and commands take the number of a watchpoint
        such as w2.
        """
        if arg:
            self._watch(arg)
        else:
            self.do_watches("")

    def do_twatch(self, arg: str) -> None:
        """twatch [-l] [true] expression [thread name] [task name] [, condition]

        Same arguments as watch, but sets a temporary watchpoint: it
        is automatically deleted when first hit.
        """
        self._watch(arg, temporary=True)

    def do_rwatch(self, arg: str) -> None:
        """rwatch [-l] expression [thread name] [task name] [, condition]

        Set a watchpoint that stops where the value of the expression
        is read.
        """
        self._watch(arg, (AccessType.READ,))

    def do_awatch(self, arg: str) -> None:
        """awatch [-l] expression [thread name] [task name] [, condition]

        Set watchpoints that stop where the value of the expression is
        read, and where it is written, be it with the same value.
        """
        self._watch(arg, (AccessType.READ, AccessType.WRITE))

    def do_watches(self, arg: str) -> None:
        """watches

        List all watchpoints, also those that the program has set.
        """
        if arg:
            self.error("watches takes no argument")
            return
        watchpoints = sessions.current().watchpoints()
        if watchpoints:
            self.message("Num Type         Disp Enb   What")
        for watchpoint in watchpoints:
            for line in self._lines(watchpoint):
                self.message(line)

    def do_hits(self, arg: str) -> None:
        """hits [number ...]

        List the past hits of the watchpoints of these numbers, such
        as w2, the oldest first; of those that have ended or are
        deleted too.  Without argument, of all watchpoints.
        """
        there = {**_ended, **{one.number: one for one in sessions.current().watchpoints()}}
        if not arg and not there:
            self.message("There are no watchpoints")
        for word in arg.split() or [_name_of(number) for number in sorted(there)]:
            match = _NUMBER.fullmatch(word if word.startswith("w") else f"w{word}")
            watchpoint = there.get(int(match[1])) if match is not None else None
            if watchpoint is None:
                self.error(f"There is no watchpoint {word}")
                continue
            kept = watchpoint.hits
            self.message(f"W{_title(watchpoint)[1:]}: {'no hits' if not kept else 'hits'}")
            for hit in kept:
                self.message(f"  {hit.count:<4} {_place(hit):<32} {_what_happened(hit)}")

    def do_unwatch(self, arg: str) -> None:
        """unwatch [number ...]

        With a space separated list of watchpoint numbers, delete
        those watchpoints.  Without argument, delete all watchpoints
        (but first ask confirmation).
        """
        if not arg and not self._confirms("Delete all watchpoints? "):
            return
        words = arg.split() or [_name(watchpoint) for watchpoint in sessions.current().watchpoints()]
        for word in words:
            watchpoint = self._watchpoint(word if word.startswith("w") else f"w{word}")
            if watchpoint is not None:
                self._delete(watchpoint)

    # Commands for both kinds.

    def do_enable(self, arg: str) -> None:
        """enable number [number ...]

        Enables the breakpoints and watchpoints given as a space
        separated list of numbers: 2 is a breakpoint, w2 a watchpoint.
        The value that a watchpoint has now counts as the last one seen.
        """
        for watchpoint in self._watchpoints_among(arg, "enable"):
            try:
                watchpoint.enable()
            except StopwhenError as error:
                self.error(error)
            else:
                self.message(f"Enabled {_title(watchpoint)}")

    def do_disable(self, arg: str) -> None:
        """disable number [number ...]

        Disables the breakpoints and watchpoints given as a space
        separated list of numbers: 2 is a breakpoint, w2 a watchpoint.
        A disabled one does not stop the program, but unlike a deleted
        one it can be enabled again.
        """
        for watchpoint in self._watchpoints_among(arg, "disable"):
            watchpoint.disable()
            self.message(f"Disabled {_title(watchpoint)}")

    def do_condition(self, arg: str) -> None:
        """condition number [condition]

        Set a new condition for the breakpoint or watchpoint, an
        expression which must evaluate to true before it is honored.
        For a watchpoint it can read "old" and "new".  If condition is
        absent, any existing condition is removed.
        """
        number, _, condition = arg.partition(" ")
        watchpoint = self._watchpoint_or(number, "condition", arg)
        if watchpoint is None:
            return
        try:
            compiled = conditions.compile_condition(condition) if condition.strip() else None
        except StopwhenError as error:
            self.error(error)
            return
        watchpoint.change_rules(replaced(watchpoint.rules, condition=compiled, steps=None))
        self._condition_texts[watchpoint.number] = condition.strip()
        if compiled is None:
            self.message(f"Watchpoint {_name(watchpoint)} is now unconditional.")
        else:
            self.message(f"New condition set for watchpoint {_name(watchpoint)}.")

    def do_ignore(self, arg: str) -> None:
        """ignore number [count]

        Set the ignore count for the given breakpoint or watchpoint.
        If count is omitted, the ignore count is set to 0.  It becomes
        active when the ignore count is zero.  When non-zero, the
        count is decremented each time it is reached, enabled, and
        with a condition that evaluates to true.
        """
        number, _, count = arg.partition(" ")
        watchpoint = self._watchpoint_or(number, "ignore", arg)
        if watchpoint is None:
            return
        if count.strip() and not count.strip().isdecimal():
            self.error(f"Invalid argument: {arg}")
            return
        crossings = int(count or 0)
        rule = HitCondition(f">{watchpoint.count + crossings}") if crossings else None
        watchpoint.change_rules(replaced(watchpoint.rules, hit_condition=rule))
        if crossings:
            times = "1 crossing" if crossings == 1 else f"{crossings} crossings"
            self.message(f"Will ignore next {times} of watchpoint {_name(watchpoint)}.")
        else:
            self.message(f"Will stop next time watchpoint {_name(watchpoint)} is reached.")

    def do_commands(self, arg: str) -> None:
        """commands [number]
        (com) ...
        (com) end
        (Pdb)

        Specify a list of commands for the breakpoint or watchpoint of
        this number: 2 is a breakpoint, w2 a watchpoint.  The commands
        themselves are entered on the following lines.  Type a line
        containing just 'end' to terminate the commands.  The commands
        are executed when it is hit.

        To remove all commands, type commands and follow it
        immediately with end; that is, give no commands.

        With no number, commands refers to the breakpoint or
        watchpoint set last.

        A command that resumes execution, such as continue, step or
        next, ends the list.  With the 'silent' command in the list,
        the usual message about stopping is not printed.
        """
        number = arg.strip() or (_name_of(self._latest) if self._latest is not None else "")
        if not _NUMBER.fullmatch(number):
            super().do_commands(arg)  # type: ignore[misc] # pdb.Pdb's
            return
        watchpoint = self._watchpoint(number)
        if watchpoint is not None:
            super().do_commands(str(-watchpoint.number))  # type: ignore[misc]

    def do_break(self, arg: str, *more: Any) -> None:
        """Set a breakpoint, as pdb does, and note that it is the latest."""
        super().do_break(arg, *more)  # type: ignore[misc] # pdb.Pdb's
        if arg:
            self._latest = None

    # Completion.

    def complete_watch(self, text: str, line: str, begidx: int, endidx: int) -> list[str]:
        """Complete a name, an attribute, or the word `true`."""
        words = ["true "] if line.split() == ["watch", text][: 1 + bool(text)] and "true".startswith(text) else []
        return words + self._complete_expression(text, line, begidx, endidx)

    complete_twatch = complete_watch

    def complete_rwatch(self, text: str, line: str, begidx: int, endidx: int) -> list[str]:
        """Complete a name or an attribute."""
        return self._complete_expression(text, line, begidx, endidx)

    complete_awatch = complete_rwatch

    def complete_unwatch(self, text: str, _line: str, _begidx: int, _endidx: int) -> list[str]:
        """Complete the number of a watchpoint."""
        return [name for name in map(_name, sessions.current().watchpoints()) if name.startswith(text)]

    def complete_enable(self, text: str, line: str, begidx: int, endidx: int) -> list[str]:
        """Complete the number of a breakpoint or watchpoint."""
        numbers = self._complete_bpnumber(text, line, begidx, endidx)
        return numbers + self.complete_unwatch(text, line, begidx, endidx)

    complete_disable = complete_condition = complete_ignore = complete_commands = complete_enable

    # Parts.

    @property
    def _condition_texts(self) -> dict[int, str]:
        """By number, the conditions of watchpoints as they were typed."""
        texts: dict[int, str] = _texts
        return texts

    def _watch(
        self, arg: str, accesses: tuple[AccessType, ...] = (AccessType.CHANGE,), *, temporary: bool = False
    ) -> None:
        """Set a watchpoint for each of `accesses`, or none."""
        if not arg:
            self.error("An expression to watch is needed")
            return
        pin, arg = _without_flag(arg)
        word, _, rest = arg.partition(" ")
        if word == "true" and accesses == (AccessType.CHANGE,) and is_expression(_outside_of_filters(rest)):
            arg, accesses = rest, (AccessType.TRUE,)
        asked = read_arguments(arg)
        made: list[Watchpoint] = []
        try:
            for access in accesses:
                made.append(self._made(access, asked, pin=pin))  # noqa: PERF401 - kept as far as it came
        except StopwhenError as error:
            for watchpoint in made:
                watchpoint.remove()
            self.error(error)
            return
        for watchpoint in made:
            _texts[watchpoint.number] = asked.condition or ""
            self._latest = watchpoint.number
            self._watched[watchpoint.number] = watchpoint
            if temporary:
                self._temporary.add(watchpoint.number)
            self.message(f"W{_title(watchpoint)[1:]}")
        self._tell_absent(made[0])

    def _tell_absent(self, watchpoint: Watchpoint) -> None:
        """Say which names of an expression are not there, but for those that the code shown speaks of itself."""
        frame = self.curframe
        expected = () if frame is None else frame.f_code.co_names
        told = absence.notices(
            watchpoint.expression, watchpoint.scope, lambda: absence.modules_of(frame), expected=expected
        )
        for notice in told:
            self.message(str(notice))

    def _made(self, access: AccessType, asked: Arguments, *, pin: bool) -> Watchpoint:
        frame = self.curframe
        assert frame is not None, "a command is given at a frame"
        # In a post mortem the frames have ended, and what they had for locals changes no more.
        is_running = _is_running(frame)
        terms = Terms(
            scope=None if is_running else frame.f_globals,
            pin=pin,
            condition=asked.condition,
            threads=asked.threads,
            tasks=asked.tasks,
        )
        return sessions.current().watch(
            access, asked.expression, terms, frame=frame if is_running else None, armed_by=frame, tells_end=False
        )

    def _tell_ended(self) -> None:
        """Tell of the watchpoints made here whose frame has ended since."""
        for watchpoint in [one for one in self._watched.values() if one.removed]:
            self._forget(watchpoint)
            text = watchpoint.expression.text
            is_told_how = not watchpoint.count and not watchpoint.given_up and not text.isidentifier()
            hint = f"; watch -l {text} goes on" if is_told_how else ""
            self.message(f"W{_title(watchpoint)[1:]} has ended: its frame is gone{hint}")

    def _delete(self, watchpoint: Watchpoint) -> None:
        self._forget(watchpoint)
        watchpoint.remove()
        self.message(f"Deleted {_title(watchpoint)}")

    def _forget(self, watchpoint: Watchpoint) -> None:
        self._watched.pop(watchpoint.number, None)
        _ended[watchpoint.number] = watchpoint
        self._temporary.discard(watchpoint.number)
        self.commands.pop(-watchpoint.number, None)

    def _lines(self, watchpoint: Watchpoint) -> Iterator[str]:
        """Yield the lines that tell of a watchpoint, in the form in which pdb tells of a breakpoint."""
        kept = "del " if watchpoint.number in self._temporary else "keep"
        enabled = "yes" if watchpoint.enabled else "no "
        yield f"{_name(watchpoint):<3} watchpoint   {kept} {enabled}   {_what(watchpoint)}"
        rules = watchpoint.rules
        if rules.condition is not None:
            yield f"\tstop only if {_texts.get(watchpoint.number) or 'its condition holds'}"
        if rules.hit_condition is not None:
            ignored = _ignored(rules.hit_condition.text, watchpoint.count)
            if ignored is None:
                yield f"\tstop only on hits {rules.hit_condition.text}"
            elif ignored > 0:
                yield f"\tignore next {ignored} hits"
        if rules.action is not Action.STOP:
            yield f"\tdoes not stop: {rules.action.value if isinstance(rules.action, Action) else 'calls a function'}"
        if watchpoint.count:
            yield f"\twatchpoint already hit {watchpoint.count} time{'' if watchpoint.count == 1 else 's'}"

    def _watchpoint(self, number: str) -> Watchpoint | None:
        """Return the watchpoint of the number `w3`; None, having said so, when there is none."""
        match = _NUMBER.fullmatch(number)
        if match is None:
            self.error(f"Non-numeric watchpoint number {number.removeprefix('w')}")
            return None
        for watchpoint in sessions.current().watchpoints():
            if watchpoint.number == int(match[1]):
                return watchpoint
        self.error(f"There is no watchpoint {number}")
        return None

    def _watchpoint_or(self, number: str, command: str, arg: str) -> Watchpoint | None:
        """Return the watchpoint of a number; None, having pdb do the command, when it is a breakpoint's."""
        if _NUMBER.fullmatch(number):
            return self._watchpoint(number)
        getattr(super(), f"do_{command}")(arg)
        return None

    def _watchpoints_among(self, arg: str, command: str) -> list[Watchpoint]:
        """Return the watchpoints of the numbers in `arg`, having pdb do the command with all others."""
        words = arg.split()
        if not words:
            self.error(f"{command} needs the number of a breakpoint or watchpoint")
        others = " ".join(word for word in words if not _NUMBER.fullmatch(word))
        if others:
            getattr(super(), f"do_{command}")(others)
        found = [self._watchpoint(word) for word in words if _NUMBER.fullmatch(word)]
        return [watchpoint for watchpoint in found if watchpoint is not None]

    def _confirms(self, question: str) -> bool:
        try:
            return input(question).strip().lower() in ("y", "yes")
        except EOFError:
            return False


_texts: dict[int, str] = {}
"""By number, the conditions of watchpoints as they were typed, in whichever debugger."""


_ended: dict[int, Watchpoint] = {}
"""By number, the watchpoints that were made in whichever debugger, and have ended."""


class Arguments(NamedTuple):
    """What stands after `watch`: the expression, a condition, and whose writes count."""

    expression: str
    condition: str | None = None
    threads: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


_FILTER = re.compile(r"\s+(thread|task)\s+")


def read_arguments(text: str) -> Arguments:
    """Return `EXPR [thread NAME] [task NAME] [, CONDITION]` as its parts.

    The comma is the first one outside of brackets with something that can be read on either side.
    """
    for comma in _outer_commas(text):
        asked = _with_filters(text[:comma])
        if asked is not None and is_expression(text[comma + 1 :]):
            return asked._replace(condition=text[comma + 1 :].strip())
    asked = _with_filters(text)
    if asked is None:  # there is a mistake in it: most likely in the condition, if there is one
        for comma in _outer_commas(text):
            asked = _with_filters(text[:comma])
            if asked is not None:
                return asked._replace(condition=text[comma + 1 :].strip())
    return asked or Arguments(text.strip())


def _with_filters(text: str) -> Arguments | None:
    """Return `EXPR [thread NAME] [task NAME]` as its parts; None when it cannot be read so."""
    if is_expression(text):
        return Arguments(text.strip())
    for found in _FILTER.finditer(text):
        if not is_expression(text[: found.start()]):
            continue
        names: dict[str, list[str]] = {"thread": [], "task": []}
        pieces = _FILTER.split(text[found.start() :])[1:]
        for kind, name in zip(pieces[::2], pieces[1::2], strict=True):
            names[kind].append(name.strip().strip("'\""))
        if all(name for listed in names.values() for name in listed):
            return Arguments(text[: found.start()].strip(), None, tuple(names["thread"]), tuple(names["task"]))
    return None


def _outside_of_filters(text: str) -> str:
    """Return the expression that `EXPR [thread NAME] [task NAME] [, CONDITION]` begins with."""
    return read_arguments(text).expression


def _without_flag(text: str) -> tuple[bool, str]:
    """Return whether `-l`, as gdb's `-location`, stands before an expression, and what comes then."""
    word, _, rest = text.strip().partition(" ")
    return (True, rest.strip()) if word in ("-l", "-location") and rest.strip() else (False, text.strip())


def _outer_commas(text: str) -> Iterator[int]:
    depth = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.string in "([{" and token.type == tokenize.OP:
                depth += 1
            elif token.string in ")]}" and token.type == tokenize.OP:
                depth -= 1
            elif token.string == "," and depth == 0:
                yield token.start[1]
    except (tokenize.TokenError, SyntaxError):
        return


def _is_running(frame: FrameType) -> bool:
    outer: FrameType | None = sys._getframe()  # noqa: SLF001 - there is no other way to it
    while outer is not None and outer is not frame:
        outer = outer.f_back
    return outer is not None


def _ignored(rule: str, count: int) -> int | None:
    """Return how many more hits a rule like `>3` leaves out; None for another rule."""
    return int(rule[1:]) - count if re.fullmatch(r">\d+", rule) else None


def _name(watchpoint: Any) -> str:
    return _name_of(watchpoint.number)


def _name_of(number: int) -> str:
    return f"w{number}"


def _what(watchpoint: Any) -> str:
    return f"{watchpoint.access.value} {watchpoint.expression.text}"


def _place(hit: Hit) -> str:
    """Return the place of a hit as reports name it."""
    where = hit.location
    if where is None:
        return "in C code"
    place = location.place_name(where.filename, where.lineno)
    return place if where.function == "<module>" else f"{place} in {where.function}"


def _what_happened(hit: Hit) -> str:
    if hit.already:
        return "true already"
    return (
        f"{hit.watchpoint.expression.text}  {hit.old_text} -> {hit.new_text}" if hit.change is None else str(hit.change)
    )


def _title(watchpoint: Any) -> str:
    return f"watchpoint {_name(watchpoint)}: {_what(watchpoint)}"
