"""Threads that write nested data in two ways: each hit that is said to be exact has the line of the value that it tells."""

from __future__ import annotations

import _thread
import collections
import itertools
import operator
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import stopwhen
from contract import Module, choose, mechanism_sets
from helpers import marked_lines
from recorder import Recorder
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
MOST_LOST = 8
"""A store may go to an object that has been replaced meanwhile: it changes nothing that is watched."""


@pytest.fixture(autouse=True)
def switching() -> Iterator[None]:
    """Let threads take turns as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def module_of(shape: str, folder: Path) -> tuple[Module, str]:
    """Return a module that writes both negative and positive values, and its source; the sign tells the line."""
    _, rebinds, stores = SHAPES[shape]
    source = PROGRAM.format(rebinds=rebinds, stores=stores, is_attribute=shape.startswith("attribute of"))
    module = Module(folder)
    number = itertools.count(1)
    module.__dict__.update(
        count=COUNT, begin=threading.Barrier(4), outer=lambda: -next(number), inner=lambda: next(number)
    )
    module.run(source)
    return module, source


def wrong(hits: list[stopwhen.Hit], source: str) -> list[tuple[int, int]]:
    """Return the values and lines of hits that are said to be exact, and are on the other line."""
    lines = marked_lines(source)
    right = {True: lines["outer"], False: lines["inner"]}
    told: list[Any] = [(hit.new, hit.location and hit.location.lineno) for hit in hits if hit.exact]
    return [(value, line) for value, line in told if line != right[value < 0]]


@native
@pytest.mark.parametrize("shape", SHAPES)
def test_each_of_several_threads_has_its_own_lines_on_nested_data(shape: str, tmp_path: Path) -> None:
    """No thread writes unseen between a rebinding and the watching of what it has led to."""
    module, source = module_of(shape, tmp_path)
    with stopwhen.changes(SHAPES[shape][0], scope=module, action="count") as watchpoint:
        threads = [threading.Thread(target=one) for one in (module.rebinds, module.stores) * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong(list(watchpoint.hits), source) == []
    values = [hit.new for hit in watchpoint.hits]
    assert sum(value < 0 for value in values) == 2 * COUNT
    assert 2 * COUNT - MOST_LOST <= sum(value > 0 for value in values) <= 2 * COUNT


class Overridden(threading.Thread):
    """A thread whose code is its own."""

    def __init__(self, target: Callable[[], None]) -> None:
        super().__init__()
        self.target = target

    def run(self) -> None:
        self.target()


def run_in(begin: Callable[[Callable[[], None]], Any], work: Callable[[], None]) -> threading.Event:
    """Run `work` in a thread, and return what is set then."""
    done = threading.Event()

    def run() -> None:
        try:
            work()
        finally:
            done.set()

    begin(run)
    return done


def begin_called_by_c(run: Callable[[], None]) -> None:
    """Run it below a function in C, which is the first that the thread runs."""
    _thread.start_new_thread(collections.deque, (map(operator.call, [run]), 0))


BEGINNINGS: dict[str, Callable[[Callable[[], None]], Any]] = {
    "Thread": lambda run: threading.Thread(target=run).start(),
    "subclass": lambda run: Overridden(run).start(),
    "timer": lambda run: threading.Timer(0, run).start(),
    "start_new_thread": lambda run: _thread.start_new_thread(run, ()),
    "below C": begin_called_by_c,
}


@native
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("begin", BEGINNINGS)
def test_a_thread_that_begins_meanwhile_has_its_own_lines(shape: str, begin: str, tmp_path: Path) -> None:
    """However it begins, it waits as the others do."""
    module, source = module_of(shape, tmp_path)
    module.__dict__.update(count=3, begin=threading.Barrier(1))
    with stopwhen.changes(SHAPES[shape][0], scope=module, action="count") as watchpoint:
        for _ in range(10):
            done = [run_in(BEGINNINGS[begin], module.stores) for _ in range(3)]
            module.rebinds()
            for one in done:
                one.wait()
    assert wrong(list(watchpoint.hits), source) == []
    assert sum(hit.new < 0 for hit in watchpoint.hits) == 30


@native
@pytest.mark.parametrize("shape", SHAPES)
def test_beside_a_thread_without_python_code_a_hit_is_not_exact(shape: str, tmp_path: Path) -> None:
    """It cannot be made to wait, and might have written what the rebinding has led to."""
    module, source = module_of(shape, tmp_path)
    module.__dict__.update(count=40, begin=threading.Barrier(1))
    done = _thread.allocate_lock()
    done.acquire()
    # Each call lets go of the interpreter's lock, and none of them is of Python code.
    calls = itertools.starmap(
        operator.call, itertools.chain(itertools.repeat((time.sleep, 0), 2000), [(done.release,)])
    )
    running = _thread._count()
    with stopwhen.changes(SHAPES[shape][0], scope=module, action="count") as watchpoint:
        _thread.start_new_thread(collections.deque, (calls, 0))
        module.rebinds()
        done.acquire()
    while _thread._count() > running:
        pass
    doubtful = [hit for hit in watchpoint.hits if not hit.exact]
    assert doubtful
    for hit in doubtful:
        assert hit.between is not None
        assert {place.lineno for place in hit.between} == {marked_lines(source)["outer"]}


AMID = """\
import itertools
N = {}
def fills():
    N.update(itertools.chain([("a", {"x": 1})], iter(feed.get, None)))  # @fills
def stores():
    while "a" not in N:
        len("x")
    N["a"]["x"] = 2  # @stores
    feed.put(None)
"""


@native
@pytest.mark.parametrize("mechanism", [one for one in mechanism_sets() if one != "recheck"])
def test_what_a_call_has_led_to_is_written_before_it_is_done(mechanism, tmp_path, monkeypatch):
    """It is not watched yet, since the call waits for the other thread: what is told of both is not exact."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.feed = queue.SimpleQueue()
    module.run(AMID)
    with Recorder() as hits:
        hits.changes("N", scope=module, depth="all")
        threads = [threading.Thread(target=target) for target in (module.fills, module.stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    marks = marked_lines(module.path)
    assert hits.hits
    for one in hits.hits:
        assert not one.exact or one.location.lineno == marks["stores"] or "2" not in one.new_text, one
