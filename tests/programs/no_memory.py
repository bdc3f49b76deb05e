"""Let each allocation in turn fail while something is watched: no_memory.py CASE MOMENT once|on [MECHANISM].

CASE says what is watched, MOMENT during what memory fails: arming, disarming, a change. Prints one line: how many
allocations failed in turn, how many changes were hits and how many were said to be missed.
"""

import array
import collections
import contextlib
import gc
import io
import os
import sys

import _testcapi

mechanism = sys.argv[4:]
if mechanism:
    os.environ["STOPWHEN_MECHANISM"] = mechanism[0]

import stopwhen
from stopwhen import env, session


class Plain:
    value = None


class Slots:
    __slots__ = ("value",)


def plain(value):
    made = Plain()
    made.value = value
    return made


def slots(value):
    made = Slots()
    made.value = value
    return made


ONE, OTHER, THIRD = object(), object(), object()
ROWS = [[1], [2], [3]]


def set_attribute(owner, value):
    owner.value = value


def set_first(owner, value):
    owner[0] = value


def set_key(owner, value):
    owner["a"] = value


def set_small(owner, value):
    owner[0] = 1 if value is ONE else 2 if value is OTHER else 3


def swap(owner, value):
    """Change a set or deque without growing it."""
    owner.clear()
    owner.add(value)


def rotate(owner, value):
    owner.rotate(1)


def move(owner, value):
    owner.move_to_end("a" if value is not OTHER else "b")


def set_rows(owner, value):
    owner.value = ROWS[0] if value is ONE else ROWS[1] if value is OTHER else ROWS[2]


class Key:
    pass


def clear(owner, value):
    owner.clear()


def identity(owner):
    return id(owner.value)


# What is watched, how it is made, how it is changed. No change allocates memory itself.
CASES = {
    "attribute": ("x.value", lambda: plain(ONE), set_attribute),
    "dict item": ("x['a']", lambda: {"a": ONE}, set_key),
    "dict": ("x", lambda: {"a": ONE}, set_key),
    "instance": ("x", lambda: plain(ONE), set_attribute),
    "rebinding": ("x.value", lambda: plain(ROWS[0]), set_rows),
    "list": ("x", lambda: [ONE, ONE], set_first),
    "list item": ("x[0]", lambda: [ONE, ONE], set_first),
    "set": ("x", lambda: {ONE}, swap),
    "bytearray": ("x", lambda: bytearray(b"\1\1"), set_small),
    "array": ("x", lambda: array.array("i", [1, 1]), set_small),
    "deque": ("x", lambda: collections.deque([1, 2, 3]), rotate),
    "ordered dict": ("x", lambda: collections.OrderedDict(a=1, b=2), move),
    "slot": ("x.value", lambda: slots(ONE), set_attribute),
    "call": ("identity(x)", lambda: plain(ONE), set_attribute),
}


def local_case():
    """Return a generator that sets its local at each turn."""
    local = ONE
    watchpoint = yield
    while True:
        value = yield
        local = value
"""The rest below is the harness."""


def say(text):
    sys.__stdout__.write(text + "\n")


def fail(text):
    say(f"FAILED at allocation {at}: {text}")
    say(written.getvalue())
    sys.__stdout__.flush()
    os._exit(1)


def watch(expression, owner):
    return stopwhen.changes(
        expression, scope={"x": owner, "identity": identity}, action=action, allow_calls=True
    )


def armed():
    return env.core.armed() if env.core else 0


def check_clean():
    current = session.current()
    if stopwhen.watchpoints() or current._readers or current._armed or armed():
        fail(f"left behind: {stopwhen.watchpoints()} {current._readers} {current._armed} {armed()}")


written = io.StringIO()
case, moment, how = sys.argv[1:4]
action = "log" if moment == "log" else "count"
expression, make, change = CASES[case]
at = 0
hits = missed = ended = 0

with contextlib.redirect_stderr(written):
    for _ in range(3):  # everything that is made on first use is there
        owner = make()
        with watch(expression, owner) as watchpoint:
            change(owner, OTHER)
        if watchpoint.count != 1:
            fail("not a hit at all")
    while True:
        written.seek(0)
        written.truncate()
        owner = make()
        stop = at + 1 if how == "once" else 0
        reached = True
        error = None
        if moment == "arming":
            _testcapi.set_nomemory(at, stop)
            try:
                watchpoint = watch(expression, owner)
            except (MemoryError, stopwhen.StopwhenError) as raised:
                error = raised
            try:
                bytearray(600)
            except MemoryError:
                reached = how == "on" and error is not None
            _testcapi.remove_mem_hooks()
            if error is not None:
                error = None
                check_clean()
                watchpoint = watch(expression, owner)
            change(owner, OTHER)
            if watchpoint.count != 1:
                fail(f"{watchpoint.count} hits after arming")
            watchpoint.remove()
            hits += 1
        elif moment == "disarming":
            watchpoint = watch(expression, owner)
            change(owner, OTHER)
            if watchpoint.count != 1:
                fail("not a hit before disarming")
            _testcapi.set_nomemory(at, stop)
            try:
                watchpoint.remove()
            except MemoryError as raised:
                error = raised
            try:
                bytearray(600)
            except MemoryError:
                reached = how == "on" and error is not None
            _testcapi.remove_mem_hooks()
            if error is not None:
                fail("remove() raised")
            check_clean()
            hits += 1
        else:
            watchpoint = watch(expression, owner)
            _testcapi.set_nomemory(at, stop)
            try:
                change(owner, OTHER)
            except BaseException as raised:
                error = raised
            try:
                bytearray(600)
            except MemoryError:
                reached = False
            _testcapi.remove_mem_hooks()
            if error is not None:
                fail(f"{error!r} in the program")
            gc.collect()
            count = watchpoint.count
            said = written.getvalue()
            change(owner, THIRD)
            if watchpoint.removed:
                if "no longer watching" not in written.getvalue():
                    fail("no longer watched, and that is not said")
                ended += 1
            elif watchpoint.count != count + 1:
                fail(f"the next change is no hit: {count}, {watchpoint.count}")
            said = written.getvalue()
            if count:
                hits += 1
            elif "missed" in said:
                missed += 1
            elif "no longer watching" not in said:
                fail("a change is missed in silence")
            watchpoint.remove()
        check_clean()
        if how == "on" and moment == "change":
            reached = at < 400
        if not reached or at > 20_000:
            break
        at += 1
say(f"{at} allocations: {hits} hits, {missed} missed, {ended} ended")
