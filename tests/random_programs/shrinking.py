"""Makes a program on which two mechanisms disagree as small as it goes."""

from __future__ import annotations

import ast
import dataclasses
import time
from collections.abc import Callable, Iterator

from random_programs.writing import Program, is_valid

SECONDS = 60


def shrunk(program: Program, disagrees: Callable[[Program], bool], seconds: float = SECONDS) -> Program:
    """Return the smallest program found within some seconds on which `disagrees` is still true."""
    end = time.monotonic() + seconds
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(program):
            if time.monotonic() > end:
                return program
            if disagrees(smaller):
                program, progress = smaller, True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    # All that is written is watched where values tell their line, and what is written is there.
    if len(program.watches) > 1 and not program.is_told_by_values:
        for watch in program.watches:
            yield dataclasses.replace(program, watches=(watch,))
    for main in _smaller_sources(program.main):
        yield dataclasses.replace(program, main=main)
    for setup in () if program.is_told_by_values else _smaller_sources(program.setup):
        yield dataclasses.replace(program, setup=setup)


def _smaller_sources(source: str) -> Iterator[str]:
    """Yield `source` without one of its statements each time, or with what is inside one in its place."""
    for index in range(len(list(_bodies(ast.parse(source))))):
        for start in range(len(list(_bodies(ast.parse(source)))[index])):
            for keep_inside in (False, True):
                tree = ast.parse(source)
                body = list(_bodies(tree))[index]
                inside = getattr(body[start], "body", None) if keep_inside else [ast.Pass()] if len(body) == 1 else []
                if inside is None or (type(body[start]) is ast.Pass and not keep_inside and len(body) == 1):
                    continue
                body[start : start + 1] = inside
                smaller = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
                if smaller.count("\n") < source.count("\n") and is_valid(smaller):
                    yield smaller


def _bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody", "handlers"):
            found = getattr(node, name, None)
            if isinstance(found, list) and found:
                yield found
