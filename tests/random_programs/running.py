"""Runs a random program under one set of mechanisms, and compares what came of it with another run."""

from __future__ import annotations

import contextlib
import difflib
import functools
import gc
import os
import re
import signal
import sys
import threading
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import leak_guard
from contract import choose, mechanism_sets
from random_programs import by_values
from random_programs.writing import Program, Watch
from recorder import Recorder
from stopwhen import Hit, Watchpoint, expression, location, session

SETUP_FILE, MAIN_FILE = "<setup>", "<program>"
ORACLE = "recheck"
MECHANISMS = tuple(one for one in mechanism_sets() if one not in ("dictwatch", ORACLE))
LONGEST = 2_000
"""How many statements a program may run; what goes on for longer is not worth the oracle's time."""

LATE = ("__del__", "on_")
"""How the names begin of functions that the interpreter calls: finalisers, callbacks and handlers."""

JUDGED = MECHANISMS
JUDGED_WITH_THREADS = tuple(one for one in MECHANISMS if one != "monitoring")
"""What looks only after instructions knows less of who has written; users have that where there are no dict watchers."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_SLOW = re.compile(r"\.extend\((?:\(|i for)|\.sort\(key|\.update\(map|\+= ?\(|\[:\] = ?\(")
_TASK = re.compile(r"^Task-\d+$")


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        ending: the error that ended it, in words.
        data: the program's data in the end, in words.
        hits: those of each watchpoint.
        kept: the same as they are, of a program whose values tell their line.
        written: these values.
    """

    ending: str
    data: str
    hits: dict[str, Any]
    kept: tuple[list[Hit], ...]
    written: list[int]


class TooLong(BaseException):
    """A program has run for longer than it is worth."""


@dataclass(frozen=True)
class Comparison:
    """How runs of one program compare: how many statements ran in each, how many hits there were, what differs.

    Attributes:
        late: how many of the statements a finaliser, a callback or a signal handler ran.
    """

    statements: int
    hits: int
    difference: str | None
    late: int = 0


def compare(program: Program) -> Comparison:
    """Run a program unwatched, under the oracle and under each mechanism; tell the first difference."""
    setup, main = compile(program.setup, SETUP_FILE, "exec"), compile(program.main, MAIN_FILE, "exec")
    counted = _Counted()
    try:
        plain = counted.run(lambda: _run(program, setup, main, None))
    except TooLong:
        return Comparison(0, 0, None)
    try:
        hits, difference = _compare(program, setup, main, plain)
    except Exception:
        hits, difference = 0, traceback.format_exc()
    return Comparison(counted.statements, hits, difference, counted.late)


def _compare(program: Program, setup: types.CodeType, main: types.CodeType, plain: Outcome) -> tuple[int, str | None]:
    """Return how many hits the oracle has, and what differs first."""
    if program.is_told_by_values:
        return _compare_by_values(program, setup, main, plain)
    expected = _run(program, setup, main, ORACLE)
    hits = sum(_number_of(found) for found in expected.hits.values())
    difference = _difference(f"watched by {ORACLE}", expected, "unwatched", plain, hits=False)
    is_wide = any(watch.instances for watch in program.watches)
    for mechanism in ("default",) if is_wide else MECHANISMS:
        if difference is None:
            found = _run(program, setup, main, mechanism)
            difference = _difference(f"watched by {mechanism}", found, f"by {ORACLE}", expected)
    return hits, difference


def _compare_by_values(
    program: Program, setup: types.CodeType, main: types.CodeType, plain: Outcome
) -> tuple[int, str | None]:
    """Return how many hits the last mechanism has, and what is wrong first."""
    hits = 0
    for mechanism in JUDGED_WITH_THREADS if program.has_threads else JUDGED:
        found = _run(program, setup, main, mechanism)
        told = [(watch, hit) for watch, one in zip(program.watches, found.kept, strict=True) for hit in one]
        hits = len(told)
        difference = None
        if not program.has_threads:
            difference = _difference(f"watched by {mechanism}", found, "unwatched", plain, hits=False)
        faults = by_values.faults(program, MAIN_FILE, told, found.written)
        if difference is not None or faults:
            return hits, difference or "\n".join([f"watched by {mechanism}", *faults])
    return hits, None


class _Counted:
    """Counts the statements that a program runs, and ends one that runs for too long."""

    statements = 0
    late = 0

    def run(self, run: Any) -> Any:
        before, hook = sys.gettrace(), threading.excepthook
        threading.excepthook = lambda _told: None
        sys.settrace(self._trace)
        threading.settrace(self._trace)
        try:
            result = run()
        finally:
            threading.excepthook = hook
            sys.settrace(before)
            threading.settrace(None)  # type: ignore[arg-type] # typeshed does not know that this is how to end it
        if self.statements > LONGEST:  # in a thread
            raise TooLong
        return result

    def _trace(self, frame: types.FrameType, kind: str, _argument: object) -> Any:
        if frame.f_code.co_filename not in (MAIN_FILE, SETUP_FILE):
            return None
        if kind == "line":
            self.statements += 1
            self.late += frame.f_code.co_name.startswith(LATE)
            if self.statements > LONGEST:
                raise TooLong
        return self._trace


def _run(program: Program, setup: types.CodeType, main: types.CodeType, mechanism: str | None) -> Outcome:
    watches = () if mechanism is None else program.watches
    before = leak_guard.interpreter_state()
    module = sys.modules["subject"] = types.ModuleType("subject")
    module.__dict__.update(switch=_nothing, at_once=lambda: mechanism not in (None, ORACLE))
    interval = sys.getswitchinterval()
    with (
        _interpreter_as_before(),
        pytest.MonkeyPatch.context() as patch,
        _Recorder(holds=not program.is_told_by_values) as hits,
    ):
        exec(setup, module.__dict__)
        patch.setattr(session, "parse", functools.cache(expression.parse))
        patch.setattr(location, "is_ours", _is_ours)
        choose(patch, mechanism or "default")
        switches = Switches(watches, hits, module, mechanism)
        module.__dict__["switch"] = switches
        for number, watch in enumerate(watches):
            if watch.is_armed:
                switches("arm", number)
        ending = _ending(main, module)
        for watchpoint in hits.watchpoints:
            watchpoint.remove()  # what no look has found so far is told now
        told = hits.hits[:]
        data, written = _data(module), list(module.__dict__.get("written", ()))  # before garbage is collected again
    slow = _slow_lines(program)
    by_watch = {
        f"{number}: {watch}": _hits_of(watch, numbers, told, slow)
        for number, (watch, numbers) in enumerate(zip(watches, switches.numbers, strict=True))
    }
    kept = tuple([one for one in told if one.watchpoint.number in numbers] for numbers in switches.numbers)
    outcome = Outcome(ending, data, by_watch, kept, written)
    sys.setswitchinterval(interval)
    del sys.modules["subject"]
    if mechanism is not None:  # else the trace function that counts goes when it ends the program
        leaks = leak_guard.leaks(before, leak_guard.interpreter_state())
        assert not leaks, leaks
    return outcome


class _Recorder(Recorder):
    """Keeps hits, `holds` says whether with a hold on the program's objects: their finalisers run later then."""

    def __init__(self, *, holds: bool) -> None:
        super().__init__()
        self.holds = holds

    def __call__(self, hit: Hit) -> None:
        self.hits.append(hit if self.holds else hit.kept())


@contextlib.contextmanager
def _interpreter_as_before() -> Iterator[None]:
    """Take back what a program does to signal handlers and to the garbage collector, and print no errors of finalisers."""
    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGUSR1, signal.SIGUSR2) if is_main and hasattr(signal, "SIGUSR1") else ()
    handlers = [(number, signal.getsignal(number)) for number in numbers]
    callbacks, is_enabled, hook = gc.callbacks[:], gc.isenabled(), sys.unraisablehook
    sys.unraisablehook = lambda _told: None
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.callbacks[:] = callbacks
        if is_enabled:
            gc.enable()
        for number, handler in handlers:
            signal.signal(number, handler)
        sys.unraisablehook = hook


_OURS = (location.FOLDER, str(Path(__file__).parents[1]), "<frozen os>", "<frozen _collections_abc>", os.__file__)


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OURS)


@contextlib.contextmanager
def _unlooked_at() -> Iterator[None]:
    """Let the oracle, which takes most of the time, not compare everything at each instruction by which we arm."""
    oracle = next(one for one in session.current()._mechanisms if one.name == ORACLE)
    oracle._busy.add(threading.get_ident())
    try:
        yield
    finally:
        oracle._busy.discard(threading.get_ident())


def _nothing(_what: str, _number: int) -> None:
    """Be `switch` where nothing is watched."""


class Switches:
    """The watchpoints of a program, which it arms, disables, enables and removes itself.

    Attributes:
        numbers: of the watchpoints that each watch stood for.
    """

    def __init__(
        self, watches: tuple[Watch, ...], hits: Recorder, module: types.ModuleType, mechanism: str | None
    ) -> None:
        self.numbers: list[set[int]] = [set() for _ in watches]
        self._watches = watches
        self._hits = hits
        self._module = module
        self._is_oracle = mechanism == ORACLE
        self._live: list[list[Watchpoint]] = [[] for _ in watches]

    def __call__(self, what: str, number: int) -> None:
        """Do `what` to the watchpoint of that number; nothing where it does not fit."""
        if number >= len(self._watches):
            return
        with _unlooked_at():
            if what == "arm" and not self._live[number]:
                self._live[number] = self._armed(self._watches[number])
                self.numbers[number] |= {one.number for one in self._live[number]}
            elif what == "remove":
                for watchpoint in self._live[number]:
                    watchpoint.remove()
                self._live[number] = []
            elif what in ("disable", "enable"):
                for watchpoint in self._live[number]:
                    getattr(watchpoint, what)()

    def _armed(self, watch: Watch) -> list[Watchpoint]:
        arm = getattr(self._hits, watch.trigger)
        if watch.instances and self._is_oracle:
            texts = [re.sub(r"\bself\b", name, watch.text) for name in watch.instances]
            return [arm(text, scope=self._module) for text in texts]
        return [arm(watch.text, scope=getattr(self._module, watch.scope) if watch.scope else self._module)]


def _ending(main: types.CodeType, module: types.ModuleType) -> str:
    try:
        exec(main, module.__dict__)
    except Exception as error:
        return f"{type(error).__name__}: {_ADDRESS.sub('', str(error))}"
    return "end"


def _data(module: types.ModuleType) -> str:
    names = [name for name in module.__dict__ if not name.startswith("_") and name not in ("switch", "at_once")]
    return "\n".join(f"{name} = {_words(module.__dict__[name])}" for name in sorted(names))


def _words(value: Any, depth: int = 3) -> str:
    if isinstance(value, types.FunctionType | types.ModuleType | types.BuiltinFunctionType | types.GeneratorType):
        return "..."
    if depth and isinstance(value, list | tuple):
        return f"[{', '.join(_words(one, depth - 1) for one in value)}]"
    if depth and hasattr(value, "__dict__") and not isinstance(value, type):
        parts = [f"{name}={_words(one, depth - 1)}" for name, one in vars(value).items()]
        return f"{type(value).__name__}({', '.join(parts)})"
    return _ADDRESS.sub("", repr(value))


def _slow_lines(program: Program) -> set[tuple[str, int]]:
    """Return the places of calls that change a container step by step, while other code runs."""
    texts = {SETUP_FILE: program.setup, MAIN_FILE: program.main}
    lines = ((file, *row) for file, text in texts.items() for row in enumerate(text.splitlines(), 1))
    return {(file, number) for file, number, line in lines if _SLOW.search(line)}


def _hits_of(watch: Watch, numbers: set[int], told: list[Hit], slow: set[tuple[str, int]]) -> Any:
    hits = [one for one in told if one.watchpoint.number in numbers]
    return _told_apart(hits, slow) if watch.is_ordered and not watch.instances else _counted(watch, hits)


def _place(hit: Hit) -> tuple[Any, ...] | None:
    where = hit.location
    return where and (where.filename, where.lineno)


def _task(hit: Hit) -> str | None:
    """Return the name of the task that wrote, without the number that asyncio gives to those that have none of their own."""
    return hit.task and _TASK.sub("Task", hit.task)


def _told_apart(hits: list[Hit], slow: set[tuple[str, int]]) -> list[tuple[Any, ...]]:
    """Return what hits have in common under every mechanism: an `update` of two keys may be told as one hit or as two.

    So may the steps of a call at one of the places `slow`.
    """
    lines: list[tuple[Any, ...]] = []
    for hit in hits:
        where, old, new = _place(hit), _ADDRESS.sub("", hit.old_text), _ADDRESS.sub("", hit.new_text)
        if where in slow and lines and lines[-1][0] == where and lines[-1][2] == old:
            old = lines.pop()[1]
        if not (lines and old == new and lines[-1][0] == where and lines[-1][2] == new):
            lines.append((where, old, new, hit.exact, hit.already, _task(hit)))
    return lines


def _counted(watch: Watch, hits: list[Hit]) -> dict[tuple[Any, ...], list[None]]:
    """Return the hits in all instances, without their order; of one look that gave several, the first."""
    found: dict[tuple[Any, ...], list[None]] = {}
    before: Hit | None = None
    for hit in hits:
        texts = [_ADDRESS.sub("", text) for text in (hit.old_text, hit.new_text)]
        repeats = hit.old_text == hit.new_text
        if watch.text == "self":
            # What is in the attributes is shown as it was at the last look, whatever that was for: that the texts are
            # the same says nothing, but after a hit for another attribute on the line.
            repeats = repeats and before is not None and _is_for_another_attribute(before, hit)
            texts = []
        before = hit
        if not repeats:
            found.setdefault((_place(hit), *texts, hit.exact), []).append(None)
    return found


def _is_for_another_attribute(before: Hit, hit: Hit) -> bool:
    """Return whether a hit followed another in the same instance, on the same line, for another of its attributes."""
    assert before.change is not None
    assert hit.change is not None
    return before.new is hit.new and _place(before) == _place(hit) and before.change.name != hit.change.name


def _number_of(hits: Any) -> int:
    return sum(map(len, hits.values())) if isinstance(hits, dict) else len(hits)


def _difference(one: str, found: Outcome, other: str, expected: Outcome, *, hits: bool = True) -> str | None:
    if found.ending != expected.ending:
        return f"{one}: {found.ending}\n{other}: {expected.ending}"
    if found.data != expected.data:
        return _apart(one, found.data.splitlines(), other, expected.data.splitlines())
    for watch in expected.hits if hits else ():
        if found.hits[watch] != expected.hits[watch]:
            return f"{watch}\n{_apart(one, _lines(found.hits[watch]), other, _lines(expected.hits[watch]))}"
    return None


def _apart(one: str, found: list[str], other: str, expected: list[str]) -> str:
    return "\n".join(difflib.unified_diff(expected, found, other, one, n=2, lineterm=""))


def _lines(hits: Any) -> list[str]:
    if isinstance(hits, dict):
        return sorted(f"{len(times)} x {hit}" for hit, times in hits.items())
    return [str(hit) for hit in hits]
