"""Let each allocation of the C module fail in turn while data is watched: no_memory.py MOMENT once|on [MECHANISMS].

MOMENT says when memory fails: arming, disarming, closing, change, log (a change that is logged). `once` lets one allocation
fail, `on` all from that one on, until the moment is over. Prints for each kind of data how many allocations failed in turn,
how many changes were hits, how many were said to be missed, and how many watchpoints were said to have ended; or, as the
last line, what went wrong. Needs the C module as `make sanitize` builds it.
"""

import array
import collections
import ctypes
import io
import os
import sys

MOMENT, HOW = sys.argv[1:3]
if sys.argv[3:]:
    os.environ["STOPWHEN_MECHANISM"] = sys.argv[3]

import stopwhen
from stopwhen import env, session
from stopwhen.actions import Output

module = ctypes.CDLL(env.core.__file__)
allocations_left = ctypes.c_long.in_dll(module, "stopwhen_allocations_left")
goes_on_failing = ctypes.c_int.in_dll(module, "stopwhen_goes_on_failing")

ACTION = "log" if MOMENT == "log" else "count"
MOST = 2_000
"""More allocations than any moment has: a round that never ends is a mistake."""


class Plain:
    value = None


class Slots:
    __slots__ = ("value",)


def plain(value):
    made = Plain()
    made.value = value
    return made


def of_own_class(value):
    """Return the only instance of its class: those of earlier attempts may be in cycles with their errors."""

    class Own:
        pass

    made = Own()
    made.value = value
    return made


def slots(value):
    made = Slots()
    made.value = value
    return made


def local(value):
    """Keep `value` in a local of a generator, which is sent what to do with it."""
    result = None
    while True:
        command = yield result
        if command is WATCH:
            try:
                result = stopwhen.changes("value", action=ACTION)
            except MemoryError as error:
                result = error
        else:
            value = command
            result = None


def closure(value):
    """Keep `value` in a variable that functions share."""
    result = None

    def read():
        return value

    while True:
        command = yield result
        if command is WATCH:
            try:
                result = stopwhen.changes("value", action=ACTION)
            except MemoryError as error:
                result = error
        else:
            value = command
            result = read


def function(value):
    def assigns(value):
        result = value
        return result

    return assigns


def call(owner, value):
    owner(value)


def started(generator):
    next(generator)
    return generator


def send(owner, value):
    owner.send(value)


def set_attribute(owner, value):
    owner.value = value


def set_dict(owner, value):
    owner.__dict__ = {"value": value}


def set_first(owner, value):
    owner[0] = value


def set_first_of(owner, value):
    owner.value[0] = value


def make_another(owner, value):
    type(owner)().value = value


def set_key(owner, value):
    owner["a"] = value


def add(owner, value):
    owner.add(value)


def write(owner, value):
    owner.write(b"abc"[value - 1 : value])


def rotate(owner, value):
    owner.rotate(1)


def move(owner, value):
    owner.move_to_end(value)


def identity(owner):
    return id(owner.value)


WATCH = object()
OBJECTS = object(), object(), object()
NUMBERS = 1, 2, 3
ROWS = [1], [2], [3]

# What is watched, how it is made, how it is changed, and the values before and after.
CASES = {
    "attribute": ("x.value", plain, set_attribute, OBJECTS),
    "dict item": ("x['a']", lambda value: {"a": value}, set_key, OBJECTS),
    "dict": ("x", lambda value: {"a": value}, set_key, OBJECTS),
    "instance": ("x", plain, set_attribute, OBJECTS),
    "rebinding": ("x.value", plain, set_attribute, ROWS),
    "list": ("x", lambda value: [value, value], set_first, OBJECTS),
    "list item": ("x[0]", lambda value: [value, value], set_first, OBJECTS),
    "set": ("x", lambda value: {value}, add, OBJECTS),
    "bytearray": ("x", lambda value: bytearray([value, value]), set_first, NUMBERS),
    "array": ("x", lambda value: array.array("i", [value, value]), set_first, NUMBERS),
    "memory": ("x", lambda value: memoryview(bytearray([value, value])), set_first, NUMBERS),
    "every second byte": ("x", lambda value: memoryview(bytearray([value] * 4))[::2], set_first, NUMBERS),
    "file": ("x", lambda value: io.BytesIO(bytes([value])), write, NUMBERS),
    "large list": ("x", lambda value: [value] * 5_000, set_first, OBJECTS),
    "deque": ("x", lambda _: collections.deque([1, 2, 3]), rotate, OBJECTS),
    "ordered dict": ("x", lambda _: collections.OrderedDict(b=1, a=2), move, ("a", "b", "a")),
    "attribute dict": ("x.value", plain, set_dict, OBJECTS),
    "slot": ("x.value", slots, set_attribute, OBJECTS),
    "call": ("identity(x)", plain, set_attribute, OBJECTS),
    "local": ("value", lambda value: started(local(value)), send, OBJECTS),
    "function": ("result", function, call, OBJECTS),
    "every instance": ("self.value", of_own_class, set_attribute, OBJECTS),
    "item in every instance": ("self.value[0]", lambda value: of_own_class([value]), set_first_of, OBJECTS),
    "new instance": ("self.value", of_own_class, make_another, OBJECTS),
    "closure": ("value", lambda value: started(closure(value)), send, OBJECTS),
}

case = ""
at = 0
counts = collections.Counter()
written = io.StringIO()


class Told(Output):
    """Keeps what we say."""

    def arm(self):
        pass

    def write(self, text):
        written.write(text)


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def fail(text):
    say(written.getvalue())
    say(f"FAILED: {case}, allocation {at}: {text}")
    os._exit(1)


def watch(owner):
    if type(owner).__name__ == "generator":
        result = owner.send(WATCH)
        if isinstance(result, MemoryError):
            raise result
        return result
    if CASES[case][0].startswith("self."):
        scope = type(owner)
    else:
        scope = owner if CASES[case][1] is function else {"x": owner, "identity": identity}
    return stopwhen.changes(CASES[case][0], scope=scope, action=ACTION, allow_calls=True)


def without_memory(function, *arguments):
    """Call `function`; return its result, what it raised, and whether it came to the allocation that fails."""
    result = error = None
    goes_on_failing.value = HOW == "on"
    allocations_left.value = at
    try:
        result = function(*arguments)
    except BaseException as raised:
        error = raised
    reached = allocations_left.value <= 0 if HOW == "on" else allocations_left.value < 0
    allocations_left.value = -1
    return result, error, reached


def check_clean():
    left = stopwhen.watchpoints(), len(session.current()._armed), env.core.armed()
    if left != ([], 0, 0):
        fail(f"left behind: {left}")
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None:
        tools = [tool for tool in range(6) if monitoring.get_tool(tool)]
        if tools:
            fail(f"left behind: tools {tools}")
    elif sys.gettrace() is not None:
        fail("left behind: a trace function")


def arming(owner, change, values):
    watchpoint, error, reached = without_memory(watch, owner)
    if error is not None:
        if type(error) is not MemoryError:
            fail(f"{error!r} when arming")
        check_clean()
        watchpoint = watch(owner)
    change(owner, values[1])
    if watchpoint.count != 1:
        fail(f"{watchpoint.count} hits after arming")
    watchpoint.remove()
    counts["hits"] += 1
    return reached


def disarming(owner, change, values):
    watchpoint = watch(owner)
    change(owner, values[1])
    if watchpoint.count != 1:
        fail("not a hit before disarming")
    end = watchpoint.remove if MOMENT == "disarming" else session.current().close
    _, error, reached = without_memory(end)
    if error is not None:
        fail(f"{error!r} when disarming")
    counts["hits"] += 1
    return reached


def changing(owner, change, values):
    watchpoint = watch(owner)
    _, error, reached = without_memory(change, owner, values[1])
    if error is not None:
        fail(f"{error!r} in the program")
    change(owner, values[2])
    said = written.getvalue()
    hits = said.count(" hit ") if ACTION == "log" else watchpoint.count
    if watchpoint.removed:
        if "no longer watching" not in said:
            fail("no longer watched, and that is not said")
        counts["ended"] += 1
    elif hits == 2:
        counts["hits"] += 1
    elif hits < 2 and hits + said.count("may have been missed") >= 2:
        counts["missed"] += 1
    else:
        fail(f"{hits} hits of two changes")
    places = {hit.location.function for hit in watchpoint.hits}
    if places - {change.__name__, "local", "closure", "function.<locals>.assigns"}:
        fail(f"hits in {places}")
    watchpoint.remove()
    return reached


MOMENTS = {"arming": arming, "disarming": disarming, "closing": disarming, "change": changing, "log": changing}


def main():
    global case, at
    for case, (_, make, change, values) in CASES.items():
        counts.clear()
        for _ in range(3):  # so that everything that is made on first use is there
            owner = make(values[0])
            with watch(owner) as watchpoint:
                change(owner, values[1])
            if watchpoint.count != 1:
                fail("not a hit at all")
        for at in range(MOST):
            written.seek(0)
            written.truncate()
            reached = MOMENTS[MOMENT](make(values[0]), change, values)
            check_clean()
            if not reached:
                break
        else:
            fail("no end of allocations")
        say(f"{case}: {at} allocations: {counts['hits']} hits, {counts['missed']} missed, {counts['ended']} ended")


session.current().output = Told()
main()
