"""After `remove()`, or the end of `with`, nothing of ours holds the program's objects, and nothing is armed."""

from __future__ import annotations

import array
import collections
import gc
import sys
import types
import weakref

import pytest

import stopwhen
from stopwhen import env, session

ROUNDS = 1_000
MOST_BLOCKS = 100
"""Memory blocks that 1,000 rounds may add: caches inside the interpreter, not one block for each round."""


class List(list):
    pass


class Dict(dict):
    pass


class Ordered(collections.OrderedDict):
    pass


class Set(set):
    pass


class Deque(collections.deque):
    pass


class Bytes(bytearray):
    pass


class Array(array.array):
    pass


class Plain:
    pass


class Slots:
    __slots__ = ("__weakref__", "value")


def plain(value):
    made = Plain()
    made.value = value
    return made


def slots(value):
    made = Slots()
    made.value = value
    return made


def set_value(owner):
    owner.value = object()


def set_dict(owner):
    owner.__dict__ = {"value": object()}


CASES = {
    "list": (lambda: List([object()]), "x", lambda x: x.append(1)),
    "list item": (lambda: List([object()]), "x[0]", lambda x: x.__setitem__(0, object())),
    "list length": (lambda: List([object()]), "len(x)", lambda x: x.append(1)),
    "dict": (lambda: Dict(a=object()), "x", lambda x: x.update(b=object())),
    "dict item": (lambda: Dict(a=object()), "x['a']", lambda x: x.update(a=object())),
    "ordered dict": (lambda: Ordered(a=object()), "x", lambda x: x.update(b=object())),
    "set": (lambda: Set([object()]), "x", lambda x: x.add(object())),
    "deque": (lambda: Deque([object()]), "x", lambda x: x.append(object())),
    "bytearray": (lambda: Bytes(b"ab"), "x", lambda x: x.extend(b"c")),
    "array": (lambda: Array("i", [1]), "x", lambda x: x.append(2)),
    "instance": (lambda: plain(object()), "x", set_value),
    "attribute": (lambda: plain(object()), "x.value", set_value),
    "attribute dict": (lambda: plain(object()), "x.value", set_dict),
    "slot": (lambda: slots(object()), "x.value", set_value),
    "nested": (lambda: plain(List([Dict(a=slots(1))])), "x.value[0]['a'].value", lambda x: set_value(x.value[0]["a"])),
    "call": (lambda: plain(object()), "identity(x)", set_value),
}
LEAKING_WOULD_SHOW = ("list", "dict item", "instance", "attribute dict", "slot", "nested", "call")
"""Enough for every mechanism and every way it notes and lets go."""


def identity(owner):
    return id(owner.value)


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(params=LEAKING_WOULD_SHOW)
def repeated(request):
    return CASES[request.param]


def watch(expression, owner, **options):
    scope = {"x": owner, "identity": identity}
    return stopwhen.changes(expression, scope=scope, action="count", allow_calls=True, **options)


def test_watched_data_is_freed_once_the_watchpoint_is_removed(mechanism, case):
    """The watchpoint and its hits may live on: they hold texts only."""
    make, expression, change = case
    owner = make()
    references = sys.getrefcount(owner)
    watchpoint = watch(expression, owner)
    change(owner)
    assert watchpoint.count == 1
    watchpoint.remove()
    gc.collect()
    assert sys.getrefcount(owner) == references
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    assert len(watchpoint.hits) == 1


def test_nothing_refers_to_watched_data_after_with(mechanism):
    """Not a snapshot, not a cell, not a scope, not a hit."""
    item = Plain()
    owner = List([item])
    namespace = {"x": owner}
    with stopwhen.changes("x", scope=namespace, depth="all", action="count") as watchpoint:
        owner.append(item)
        item.value = 1
    assert watchpoint.count == 2
    gc.collect()
    assert referrers(owner, namespace) == []
    assert referrers(item, owner) == []


def referrers(target, known):
    """Return what refers to `target`, but for `known`, frames and the variables that this test shares."""
    expected = (types.FrameType, types.CellType)
    return [one for one in gc.get_referrers(target) if one is not known and type(one) not in expected]


def test_values_replaced_or_removed_are_freed_while_watched(mechanism):
    """Only what is last seen is held, and the program holds that too."""
    owner = plain(Plain())
    old = weakref.ref(owner.value)
    with watch("x.value", owner) as watchpoint:
        owner.value = Plain()
        gc.collect()
        assert old() is None
        now = weakref.ref(owner.value)
        del owner.value
        gc.collect()
        assert now() is None
        assert watchpoint.count == 2


def test_an_attribute_dict_that_is_replaced_is_freed_while_watched(mechanism):
    """The layout last seen holds only what the object has now."""
    owner = plain(Plain())
    old = weakref.ref(owner.value)
    with watch("x", owner) as watchpoint:
        owner.__dict__ = {"value": Plain()}
        gc.collect()
        assert old() is None
        now = weakref.ref(owner.value)
        del owner.__dict__
        gc.collect()
        assert now() is None
        assert watchpoint.count == 2


def test_items_taken_from_a_container_are_freed_while_it_is_watched(mechanism):
    """A snapshot follows its container, and so do the texts of hits."""
    for kind, add in ((List, "append"), (Set, "add"), (Deque, "append")):
        owner = kind()
        with watch("x", owner) as watchpoint:
            item = Plain()
            getattr(owner, add)(item)
            gone = weakref.ref(item)
            del item
            owner.clear()
            gc.collect()
            assert gone() is None
            assert watchpoint.count == 2


def test_a_frame_and_its_locals_are_freed_when_it_ends(mechanism):
    """Watching a local must not keep alive what ends with the call."""

    def call():
        value = Plain()
        freed.append(weakref.ref(value))
        watchpoints.append(stopwhen.changes("value", action="count"))
        value = Plain()
        freed.append(weakref.ref(value))
        return 1

    freed, watchpoints = [], []
    call()
    gc.collect()
    assert [one() for one in freed] == [None, None]
    assert watchpoints[0].count == 1
    assert stopwhen.watchpoints() == []


def test_a_removed_watchpoint_lets_go_of_the_frame_it_was_made_in(mechanism):
    """Its scope is the frame while it is armed."""

    def call():
        value = Plain()
        freed.append(weakref.ref(value))
        with stopwhen.changes("value", action="count") as watchpoint:
            value.x = 1
        return watchpoint

    freed = []
    watchpoint = call()
    gc.collect()
    assert freed[0]() is None
    assert watchpoint.count == 1


def test_calls_of_a_watched_function_hold_nothing_when_they_end(mechanism):
    """Neither by a return nor by an error: locals are freed then, and nothing stays armed but the function."""
    freed = []

    def call(fail):
        value = Plain()
        freed.append(weakref.ref(value))
        value = List([Plain()])
        freed.append(weakref.ref(value))
        if fail:
            raise KeyError

    with stopwhen.changes("value", scope=call, action="count") as watchpoint:
        call(False)
        with pytest.raises(KeyError):
            call(True)
        gc.collect()
        assert [one() for one in freed] == [None] * 4
        assert watchpoint.count == 4
        assert not watchpoint.activations
    assert len(session.current()._armed) == 0


@pytest.mark.skipif(env.core is None, reason="needs the C module")
@pytest.mark.parametrize("end", ["drop", "close", "exhaust"])
def test_a_suspended_generator_is_not_kept_by_being_watched(monkeypatch, end):
    """Nor are its locals, once it is dropped, closed or at its end."""
    monkeypatch.delenv("STOPWHEN_MECHANISM", raising=False)

    def generate():
        value = Plain()
        freed.append(weakref.ref(value))
        yield

    freed = []
    with stopwhen.changes("value", scope=generate, action="count") as watchpoint:
        generator = generate()
        next(generator)
        gone = weakref.ref(generator)
        if end == "close":
            generator.close()
        elif end == "exhaust":
            next(generator, None)
        del generator
        gc.collect()
        assert gone() is None
        gc.collect()
        assert freed[0]() is None
        assert watchpoint.count == 1


@pytest.mark.skipif(env.core is None, reason="needs the C module")
def test_ten_thousand_calls_are_no_burden_for_code_that_runs(monkeypatch):
    """A local is compared at events of its own frame alone, however many there are."""
    monkeypatch.delenv("STOPWHEN_MECHANISM", raising=False)

    def generate():
        x = 1
        yield x
        x = 2
        yield x

    with stopwhen.changes("x", scope=generate, action="count") as watchpoint:
        started = [generate() for _ in range(10_000)]
        for one in started:
            next(one)
        assert len(watchpoint.activations) == 10_000
        assert env.core.checks() == 0
        next(started[5_000])
        assert watchpoint.count == 10_001
        del started, one
        gc.collect()
        assert watchpoint.activations == {}
    assert env.core.armed() == 0


class Boxed:
    def __init__(self):
        self.value = 0
        self.items = [self]


def make_boxes(count):
    for number in range(count):
        box = Boxed()
        box.value = number
        box.items.append(number)
        del box


needs_class_scope = pytest.mark.skipif(env.core is None, reason="needs the C module")


@needs_class_scope
@pytest.mark.parametrize("expression", ["self.value", "len(self.items)", "self.items", "self"])
def test_instances_that_came_and_went_leave_nothing(monkeypatch, expression):
    """Not a block of memory each, in a cycle with what is watched or not."""
    monkeypatch.delenv("STOPWHEN_MECHANISM", raising=False)
    with stopwhen.changes(expression, scope=Boxed, action="count") as watchpoint:
        watchpoint.kept = collections.deque(maxlen=20)
        make_boxes(2 * ROUNDS)
        assert not leaks(lambda: make_boxes(ROUNDS), Boxed)
        assert env.core.instances(watchpoint.family.cell) == []


@needs_class_scope
@pytest.mark.parametrize("expression", ["self.value", "len(self.items)"])
def test_arming_and_disarming_a_class_leaks_nothing(monkeypatch, expression):
    """With instances that live on, and subclasses."""
    monkeypatch.delenv("STOPWHEN_MECHANISM", raising=False)

    class Sub(Boxed):
        pass

    boxes = [Boxed(), Sub()]

    def arm_and_disarm(count):
        for _ in range(count):
            stopwhen.changes(expression, scope=Boxed, action="count").remove()

    # Not ROUNDS: each looks at all objects that there are.
    assert not leaks(lambda: arm_and_disarm(2 * MOST_BLOCKS), *boxes, Boxed, Sub)
    assert len(session.current()._armed) == 0


def test_a_shared_variable_is_let_go_of(mechanism):
    """The cell object of a closure is a thing of the program's as well."""
    value = Plain()
    gone = weakref.ref(value)

    def rebind():
        nonlocal value
        value = None

    with stopwhen.changes("value", action="count") as watchpoint:
        rebind()
    gc.collect()
    assert gone() is None
    assert watchpoint.count == 1


def test_an_exception_in_the_writer_holds_the_data_no_longer_than_it_lives(mechanism):
    """`action="raise"` gives the hit with the objects to the exception alone."""
    owner = List()
    watchpoint = stopwhen.changes("x", scope={"x": owner}, action="raise")
    with pytest.raises(stopwhen.DataChanged) as caught:
        owner.append(1)
    watchpoint.remove()
    del caught
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_a_refused_watchpoint_leaves_nothing(mechanism, monkeypatch):
    """What has been armed of it is disarmed again."""
    if env.core is not None and env.HAS_DICT_WATCHERS:
        monkeypatch.setenv("STOPWHEN_MECHANISM", "dictwatch")
    else:
        monkeypatch.setattr(session.current(), "_mechanisms", ())
    owner = plain([1])
    references = sys.getrefcount(owner), sys.getrefcount(owner.value)
    with pytest.raises(stopwhen.Refused):
        watch("x.value", owner)
    gc.collect()
    assert (sys.getrefcount(owner), sys.getrefcount(owner.value)) == references
    assert len(session.current()._armed) == 0


@pytest.mark.skipif(env.core is None or not env.HAS_DICT_WATCHERS, reason="needs dict watchers")
def test_a_watchpoint_that_can_be_armed_no_longer_leaves_nothing(monkeypatch, capfd):
    """The value becomes one that no allowed mechanism sees: what was armed for it meanwhile is disarmed, too."""
    monkeypatch.setenv("STOPWHEN_MECHANISM", "dictwatch")
    owner = plain(1)
    watchpoint = watch("x", owner, depth="all")
    owner.value = {1: {2: []}}
    assert watchpoint.removed
    assert len(session.current()._armed) == 0
    assert env.core.armed() == 0


@pytest.mark.skipif(env.core is None or not env.HAS_MONITORING, reason="needs the C module and sys.monitoring")
def test_an_event_that_comes_after_all_are_turned_off_does_no_harm():
    """Another thread runs on in code as it was, until it looks whether its events have changed."""
    stopwhen.changes("x", scope={"x": [1]}, action="count").remove()
    assert env.core.armed() == 0
    code = sys._getframe().f_code
    assert env.core.on_start(code, 0) is None
    assert env.core.on_start(code, 0, KeyError()) is None
    assert env.core.on_instruction(code, 0) is None
    assert env.core.on_raise(code, 0, KeyError()) is None
    assert env.core.on_exit(code, 0, None) is None


def test_a_watchpoint_that_cannot_be_enabled_stays_disabled(mechanism, monkeypatch):
    """Then it can be enabled later."""
    owner = List()
    with watch("x", owner) as watchpoint:
        watchpoint.disable()
        monkeypatch.setattr(watchpoint, "mechanisms", ())
        with pytest.raises(stopwhen.Refused):
            watchpoint.enable()
        monkeypatch.undo()
        assert not watchpoint.enabled
        assert len(session.current()._armed) == 0
        watchpoint.enable()
        owner.append(1)
        assert watchpoint.count == 1


def blocks():
    """Return how many blocks of memory are in use, once what earlier tests have left, in several steps, is gone."""
    for _ in range(10):
        if gc.collect() == 0:
            break
    return sys.getallocatedblocks()


def rounds(mechanism):
    """Pure Python looks at every instruction, its own user's included."""
    return ROUNDS if mechanism == "best" else ROUNDS // 40


def leaks(run, *held):
    """Run, and return whether more blocks, or other numbers of references to `held`, are there than before.

    The first times fill the interpreter's caches, and other threads count, too: those of the test runner may get work
    just then. What leaks does so each time.
    """
    for _ in range(6):
        before, references = blocks(), [sys.getrefcount(one) for one in held]
        run()
        added = blocks() - before
        if added < MOST_BLOCKS and [sys.getrefcount(one) for one in held] == references:
            return False
    return True


def test_arming_and_disarming_leaks_nothing(mechanism, repeated):
    """Not a block, not a reference to anything used."""
    make, expression, _ = repeated
    owner = make()

    def arm_and_disarm(count):
        for _ in range(count):
            watch(expression, owner).remove()

    arm_and_disarm(20)
    assert not leaks(lambda: arm_and_disarm(rounds(mechanism)), owner, type(owner))


def test_hits_leak_nothing(mechanism, repeated):
    """Once as many hits are kept as are ever kept, a hit more costs nothing."""
    make, expression, change = repeated
    owner = make()

    def hit(count):
        for _ in range(count):
            change(owner)
            if type(owner) is List:
                owner.pop()

    with watch(expression, owner) as watchpoint:
        watchpoint.kept = collections.deque(maxlen=20)
        hit(30)
        nones, hits = sys.getrefcount(None), watchpoint.count
        assert not leaks(lambda: hit(rounds(mechanism)), owner)
        assert sys.getrefcount(None) - nones < MOST_BLOCKS
        assert watchpoint.count - hits >= rounds(mechanism)


@pytest.mark.skipif(sys.getallocatedblocks() == 0, reason="only Python's own allocator counts blocks")
def test_a_leak_of_blocks_would_be_seen():
    """Of more than caches take, and other threads give back meanwhile."""
    kept = []
    assert leaks(lambda: kept.extend([object() for _ in range(30 * MOST_BLOCKS)]))


def test_a_leak_of_references_would_be_seen():
    """Of one."""
    kept = []
    assert leaks(lambda: kept.append(leaks), leaks)
    assert not leaks(lambda: None, leaks)
