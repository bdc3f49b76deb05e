"""Writes random programs and what is watched in them; the same seed gives the same program."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Watch:
    """One watchpoint to be.

    Attributes:
        trigger: "changes", "true" or "writes".
        text: the watch expression.
        scope: a name in the program: of a function or class; empty for the program's globals.
        instances: names of all instances of the class, by whose watchpoints the oracle stands in for it.
        is_ordered: the order of the hits is the same in each run; else threads share it.
        is_armed: before the main part runs; else where that calls `switch`.
    """

    trigger: str
    text: str
    scope: str = ""
    instances: tuple[str, ...] = ()
    is_ordered: bool = True
    is_armed: bool = True

    def __str__(self) -> str:
        return f"{self.trigger}({self.text!r}{self.scope and f', scope={self.scope}'})"


@dataclass(frozen=True)
class Program:
    """A program in two parts: what runs before anything is watched, and what runs then.

    Both may call `switch(what, number)`: to "arm", "disable", "enable" or "remove" the watchpoint of that number; and `at_once()`,
    whether threads are to run at the same time: not where the oracle looks, which knows no better then who has written.

    Attributes:
        is_told_by_values: each value that it writes tells its line (by_values.py); else the oracle does.
        has_threads: they run at once, so that no two runs of it are the same.
    """

    setup: str
    main: str
    watches: tuple[Watch, ...]
    is_told_by_values: bool = False
    has_threads: bool = False

    def __str__(self) -> str:
        watches = "".join(f"# {watch}\n" for watch in self.watches)
        return f"# ---- setup\n{self.setup}\n{watches}# ---- program\n{self.main}"


class Writer:
    """Draws lines of a program from pools of statements, in which `{n}` and `{m}` stand for small numbers."""

    def __init__(self, seed: int, simple: Sequence[str], heads: Sequence[str], handled: str) -> None:
        self.random = random.Random(seed)
        self._simple = simple
        self._heads = heads
        self._handled = handled

    def number(self) -> int:
        """Draw a number for a statement."""
        return self.random.randint(0, 3)

    def chance(self, one_in: int) -> bool:
        """Return true once in so many times."""
        return self.random.randrange(one_in) == 0

    def statement(self) -> str:
        """Draw one statement."""
        return self.filled(self.random.choice(self._simple))

    def filled(self, text: str) -> str:
        """Put numbers into a statement."""
        return text.format(n=self.number(), m=self.number())

    def block(self, depth: int, calls: Sequence[str] = (), longest: int = 5) -> list[str]:
        """Draw the lines of a block; `calls` are statements that are to be among them, too."""
        lines: list[str] = []
        for _ in range(self.random.randint(1, longest)):
            kind = self.random.randrange(10)
            if kind < 2 and depth > 0:
                lines += self._compound(depth, calls)
            elif kind == 2 and calls:
                lines += self.filled(self.random.choice(calls)).splitlines()
            else:
                lines += self.statement().splitlines()
        return lines

    def pieces(self, depth: int, calls: Sequence[str]) -> list[str]:
        """Draw the main part of a program: blocks that calls come with, each of which may fail by itself."""
        lines: list[str] = []
        for _ in range(self.random.randint(2, 6)):
            piece = [*self.block(depth, calls), *self.filled(self.random.choice(calls)).splitlines()]
            lines += ["try:", *indented(piece), "except Exception as error:", *indented(self.statement().splitlines())]
        return lines

    def _compound(self, depth: int, calls: Sequence[str]) -> list[str]:
        head = self.filled(self.random.choice(self._heads))
        lines = [*head.splitlines(), *indented(self.block(depth - 1, calls))]
        if head == "try:":
            lines += [f"except {self._handled} as error:", *indented(self.block(0))]
            if self.chance(3):
                lines += ["else:", *indented(self.block(0))]
            if self.chance(2):
                lines += ["finally:", *indented(self.block(0))]
        elif head.startswith(("for ", "while ")) and self.chance(5):
            lines += ["else:", *indented(self.block(0))]
        return lines


def indented(lines: Sequence[str]) -> list[str]:
    """Return lines a level further in."""
    return [f"    {line}" for line in lines]


def text_of(*blocks: Sequence[str]) -> str:
    """Return the lines of blocks as text."""
    return "".join(f"{line}\n" for lines in blocks for line in lines)


def is_valid(source: str) -> bool:
    """Return whether the compiler takes `source`: what is drawn may be nonsense, such as a global used before it is one."""
    try:
        compile(source, "program", "exec")
    except SyntaxError:
        return False
    return True


def dedented(text: str) -> str:
    """Return the text of a program that stands indented."""
    return textwrap.dedent(text).lstrip("\n")
