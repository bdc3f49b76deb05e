"""Threads that write nested data in two ways: each hit that is said to be exact has the line of the value that it tells."""

from __future__ import annotations

import itertools
import sys
import threading
from pathlib import Path

import pytest

import stopwhen
from contract import Module
from helpers import marked_lines
from stopwhen import env

native = pytest.mark.skipif(env.core is None, reason="without the C module other threads are not made to wait")

SHAPES = {
    "items": ('D["a"]["b"]', 'D["a"] = {"b": outer()}', 'D["a"]["b"] = inner()'),
    "attributes": ("o.a.b", "o.a = O(outer())", "o.a.b = inner()"),
    "attribute of an item": ('D["a"].b', 'D["a"] = O(outer())', 'D["a"].b = inner()'),
    "item of a global": ('g["b"]', 'globals()["g"] = {"b": outer()}', 'g["b"] = inner()'),
    "slots": ("s.a.b", "s.a = S(outer())", "s.a.b = inner()"),
}

PROGRAM = """\
class O:
    def __init__(self, b): self.b = b
class S:
    __slots__ = ("a", "b")
    def __init__(self, b): self.b = b
D = {{"a": {{"b": 0}}}}
if {is_attribute}:
    D = {{"a": O(0)}}
g = {{"b": 0}}
o = O(0); o.a = O(0)
s = S(0); s.a = S(0)
def rebinds():
    begin.wait()
    for _ in range(count):
        {rebinds}  # @outer
def stores():
    begin.wait()
    for _ in range(count):
        {stores}  # @inner
"""

COUNT = 60


@native
@pytest.mark.parametrize("shape", SHAPES)
def test_each_of_several_threads_has_its_own_lines_on_nested_data(shape: str, tmp_path: Path) -> None:
    """No thread writes unseen between a rebinding and the watching of what it has led to."""
    expression, rebinds, stores = SHAPES[shape]
    source = PROGRAM.format(rebinds=rebinds, stores=stores, is_attribute=shape.startswith("attribute of"))
    module = Module(tmp_path)
    number = itertools.count(1)
    module.__dict__.update(
        count=COUNT, begin=threading.Barrier(4), outer=lambda: -next(number), inner=lambda: next(number)
    )
    module.run(source)
    lines = marked_lines(source)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with stopwhen.changes(expression, scope=module, action="count") as watchpoint:
            threads = [threading.Thread(target=one) for one in (module.rebinds, module.stores) * 2]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    right = {True: lines["outer"], False: lines["inner"]}
    told = [(hit.new, hit.location.lineno) for hit in watchpoint.hits if hit.exact]
    assert [(value, line) for value, line in told if line != right[value < 0]] == []
    assert watchpoint.count == 4 * COUNT
