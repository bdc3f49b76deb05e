"""How deep the stack is before each instruction, and the names of variables by their indexes."""

from __future__ import annotations

import importlib.util
import opcode
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from stopwhen import frames
from stopwhen.mechanisms import operands, sites

MODULES = ["argparse", "asyncio.tasks", "contextlib", "dataclasses", "inspect", "tempfile", "typing"]


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield a code object and all in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


@pytest.mark.parametrize("name", MODULES)
def test_depths_are_known_and_within_the_stack(name):
    """Between none and as many as the compiler has found; at a return there is one, at a call enough for it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    top = compile(Path(spec.origin).read_text(encoding="utf-8"), name, "exec")
    for code in codes(top):
        depths = operands.depths(code)
        assert all(0 <= depth <= code.co_stacksize + 1 for depth in depths.values()), code
        for offset, depth in depths.items():
            number, argument, _ = sites.instruction_at(code, offset)
            kind = sites.site_of(number, argument)
            if opcode.opname[number] == "RETURN_VALUE":
                assert depth == 1, (code, offset)
            if kind == sites.CALL:
                assert depth >= argument + 2, (code, offset)
            if kind == sites.STORE_ITEM:
                assert depth >= 3, (code, offset)


def test_names_of_variables():
    """Locals, then cells that are no parameters, then those of the functions around."""

    def outer(a, b):
        c = 1

        def inner(d):
            return a, c, d

        return inner, b

    assert frames.names_of_variables(outer.__code__) == ("a", "b", "inner", "c")
    assert frames.names_of_variables(outer(1, 2)[0].__code__) == ("d", "a", "c")
