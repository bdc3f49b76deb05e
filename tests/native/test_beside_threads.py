"""Data of every kind is armed, compared and disarmed while other threads run, and look at it, at any moment."""

from __future__ import annotations

import array
import collections
import ctypes
import io
import mmap
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import stopwhen

ROUNDS = 20


class Plain:
    value = None


class Slots:
    __slots__ = ("value",)


def mapped_file():
    with tempfile.TemporaryFile() as file:
        file.write(bytes(8))
        file.flush()
        return mmap.mmap(file.fileno(), 8)


def append(owner, value):
    owner.append(value)


def set_first(owner, value):
    owner[0] = value


def set_value(owner, value):
    owner.value = value


def write(owner, value):
    owner.write(str(value))


CASES = {
    "list": ("x", list, append),
    "list item": ("x[0]", lambda: [0], set_first),
    "large list": ("x", lambda: [0] * 5_000, set_first),
    "dict": ("x", dict, set_first),
    "dict item": ("x[0]", lambda: {0: 0}, set_first),
    "ordered dict": ("x", collections.OrderedDict, set_first),
    "set": ("x", set, set.add),
    "deque": ("x", collections.deque, append),
    "bytearray": ("x", lambda: bytearray(4), set_first),
    "array": ("x", lambda: array.array("i", [0]), set_first),
    "ctypes": ("x", lambda: (ctypes.c_int * 3)(), set_first),
    "memoryview": ("x", lambda: memoryview(bytearray(4)), set_first),
    "mapped memory": ("x", lambda: mmap.mmap(-1, 8), set_first),
    "mapped file": ("x", mapped_file, set_first),
    "file in memory": ("x", io.StringIO, write),
    "instance": ("x", Plain, set_value),
    "attribute": ("x.value", Plain, set_value),
    "slot": ("x.value", Slots, set_value),
    "call": ("len(x)", list, append),
}


def step():
    number = 1
    Plain().value = number


@contextmanager
def other_threads() -> Iterator[None]:
    """Two threads that run Python code, which is looked at as often as can be."""
    done = False

    def run():
        while not done:
            step()

    interval = sys.getswitchinterval()
    threads = [threading.Thread(target=run) for _ in range(2)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        done = True
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("case", CASES)
def test_each_change_is_seen_once_however_other_threads_run(mechanism, case):
    """What is compared may be armed or disarmed by another thread as soon as others can run."""
    expression, make, change = CASES[case]
    counts = []
    with other_threads():
        for number in range(ROUNDS):
            scope = {"x": make()}
            with stopwhen.changes(expression, scope=scope, action="count", allow_calls=True) as watchpoint:
                change(scope["x"], 1 + number % 100)
                step()
            counts.append([one.thread_id == threading.get_ident() or not one.exact for one in watchpoint.hits])
    if mechanism == "recheck":  # another thread may be about to tell of it as the watchpoint is removed
        assert sum(one == [] for one in counts) < ROUNDS // 2
        counts = [one or [True] for one in counts]
    assert counts == [[True]] * ROUNDS


@pytest.mark.parametrize(("expression", "scope"), [("self.value", Plain), ("number", step)], ids=["class", "function"])
def test_scopes_begin_and_end_while_other_threads_are_in_them(mechanism, expression, scope):
    """Instances and calls come and go meanwhile, in all of the threads."""
    counts = []
    with other_threads():
        for _ in range(ROUNDS // 4):
            with stopwhen.changes(expression, scope=scope, action="count") as watchpoint:
                step()
                watchpoint.remove()
            counts.append(sum(one.thread_id == threading.get_ident() for one in watchpoint.hits))
    assert counts == [1] * (ROUNDS // 4)


@pytest.mark.parametrize("case", CASES)
def test_data_that_other_threads_change_is_armed_and_disarmed(mechanism, case):
    """They may be inside a call that takes it, or just done with it, at any moment."""
    expression, make, change = CASES[case]
    owner = make()
    done = []

    def run():
        while not done:
            change(owner, 1)
            if change is append and len(owner) > 100:  # what is looked at again and again stays small
                owner.pop()
            if change is write:
                owner.seek(0)

    interval = sys.getswitchinterval()
    threads = [threading.Thread(target=run) for _ in range(2)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(ROUNDS):
            with stopwhen.changes(expression, scope={"x": owner}, action="count", allow_calls=True):
                step()
    finally:
        done.append(True)
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert stopwhen.watchpoints() == []
