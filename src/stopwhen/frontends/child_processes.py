"""Which Python processes the program has started that are not watched: all but those that it has forked."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from stopwhen import env

_MACHINERY = ("from multiprocessing.resource_tracker import", "from multiprocessing.semaphore_tracker import")
_FORK_SERVER = "from multiprocessing.forkserver import"
_SPAWNED = "--multiprocessing-fork"


class ChildProcesses:
    """Counts them, from now on until `unwatched` is called."""

    def __init__(self) -> None:
        self._forks = 0
        try:
            import _posixsubprocess  # noqa: PLC0415 - POSIX only
        except ImportError:
            return
        if env.core is not None:
            env.core.note_children(_posixsubprocess.fork_exec, getattr(os, "posix_spawn", None))
        os.register_at_fork(after_in_parent=self._count_fork)

    def _count_fork(self) -> None:
        self._forks += 1

    def unwatched(self) -> int:
        """Return how many there were; called in the process that has made this, at its end."""
        children = [] if env.core is None else env.core.take_children()
        python = [words for files, words in children if _is_python(files)]
        programs = [_program_in(list(map(_text, words))) for words in python]
        number = sum(not program.startswith((*_MACHINERY, _FORK_SERVER)) for program in programs)
        if any(program.startswith(_FORK_SERVER) for program in programs):
            spawned = sum(_SPAWNED in map(_text, words) for words in python)
            # No event shows what a fork server forks.
            number += max(_processes_made() - spawned - self._forks, 0)
        return number


def _program_in(words: Sequence[str]) -> str:
    """Return the program that `-c` gives in a command line, from its first import of what multiprocessing starts."""
    program = words[words.index("-c") + 1] if "-c" in words[:-1] else ""
    return program.removeprefix("import sys; ")  # Python 3.14.8


def _processes_made() -> int:
    """Return how many objects of `multiprocessing.Process` the program has made."""
    module = sys.modules.get("multiprocessing.process")
    text = repr(getattr(module, "_process_counter", None))  # of an itertools.count: `count(3)`
    number = text.removeprefix("count(").removesuffix(")")
    return int(number) - 1 if number.isdigit() else 0


def _is_python(files: Sequence[str | bytes]) -> bool:
    """Tell whether the first of `files` that is there is a Python, or a script for one."""
    path = next((file for file in files if os.path.isfile(file)), None)
    if path is None:
        return False
    name = os.path.basename(_text(path)).removesuffix(".exe")
    if name.rstrip("0123456789.") in ("python", "pypy") or _is_same(path, sys.executable):
        return True
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first


def _is_same(path: str | bytes, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _text(word: str | bytes) -> str:
    return os.fsdecode(word)
