"""Guards: who changes forbidden data gets DataChanged at the line that does; before and after, it may be changed."""

from __future__ import annotations

import asyncio
import gc
import heapq
import inspect
import pickle
import threading
import types
import weakref
from pathlib import Path

import pytest

import helpers
import stopwhen
from contract import Module, choose, mechanism_sets
from stopwhen import DataChanged, env
from stopwhen.location import path_name

MARKS = helpers.marked_lines(Path(__file__))

settings = {"debug": False, "db": {"host": "here"}}
heap = [1, 5, 3]


@pytest.fixture(autouse=True)
def _as_they_were():
    """Give every test the same data, and leave no guard behind."""
    settings.clear()
    settings.update(debug=False, db={"host": "here"})
    heap[:] = [1, 5, 3]
    yield
    stopwhen.clear()


@pytest.fixture
def mechanism(request, monkeypatch):
    """Guard by this mechanism alone."""
    choose(monkeypatch, request.param)
    return request.param


every = pytest.mark.parametrize("mechanism", mechanism_sets(), indirect=True)
no_dicts_alone = pytest.mark.parametrize(
    "mechanism", [name for name in mechanism_sets() if name != "dictwatch"], indirect=True
)


def line_of(error):
    """Return the innermost line of an exception's traceback."""
    entry = error.__traceback__
    while entry.tb_next is not None:
        entry = entry.tb_next
    return entry.tb_lineno


def turn_on():
    settings["debug"] = True  # @turn_on


def move(host):
    settings["db"]["host"] = host
    heap[0] = host


def turn_off():
    settings["debug"] = False


# The writer raises.


@every
def test_a_change_raises_in_the_writer(mechanism):
    """At the line that wrote, after the write; the hit tells the rest."""
    with stopwhen.forbid("settings"), pytest.raises(DataChanged) as caught:
        turn_on()
    assert caught.value.hit.location.lineno == MARKS["turn_on"]
    assert caught.value.hit.change.text == "changed 'debug': False -> True"
    assert settings["debug"] is True


WRITERS = {
    "store": "settings['debug'] = True",
    "dict.update": "settings.update(debug=True)",
    "dict.popitem": "settings.popitem()",
    "list.sort": "heap.sort()",
    "list.append": "heap.append(4)",
    "heapq.heappush": "heapq.heappush(heap, 0)",
    "delete": "del settings['debug']",
    "rebinding": "settings = {}",
    "rebinding by dict.update": "globals().update(heap=[])",
}


@no_dicts_alone
@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_raises_at_its_line(writer, mechanism, tmp_path):
    """Of whatever kind it is: the exception comes out of the statement that wrote."""
    module = Module(tmp_path)
    module.settings, module.heap, module.heapq, module.log = dict(settings), heap, heapq, []
    source = f"def write():\n    global settings, heap\n    {WRITERS[writer]}\n    log.append('went on')\n"
    module.run(source + "settings, heap = dict(settings), list(heap)\n")
    with stopwhen.forbid("settings", scope=module), stopwhen.forbid("heap", scope=module):
        with pytest.raises(DataChanged) as caught:
            module.write()
    assert module.log == []
    assert caught.value.hit.location.lineno == 3
    if as_the_instruction(mechanism):
        frames = [entry.lineno for entry in traceback_of(caught.value) if entry.filename == str(module.path)]
        assert frames == [3]


def as_the_instruction(mechanism):
    """Tell that the instruction that wrote raises, and not, as in pure Python, the next one."""
    return env.core is not None and mechanism != "recheck"


def traceback_of(error):
    """Return places of a traceback, outermost first."""
    entry, places = error.__traceback__, []
    while entry is not None:
        code = entry.tb_frame.f_code
        places.append(types.SimpleNamespace(filename=code.co_filename, lineno=entry.tb_lineno))
        entry = entry.tb_next
    return places


@every
def test_another_thread_that_changes_it_gets_the_exception(mechanism):
    """Not the one that forbade it."""
    caught = []

    def work():
        try:
            turn_on()
        except DataChanged as error:
            caught.append(error)

    with stopwhen.forbid("settings"):
        thread = threading.Thread(target=work, name="worker")
        thread.start()
        thread.join()
    assert [error.hit.thread for error in caught] == ["worker"]


# When it guards.


def test_it_guards_from_the_call_until_remove():
    """As a statement, a guard lasts; it may be lifted for a while, and removed twice."""
    guard = stopwhen.forbid("settings")
    with pytest.raises(DataChanged):
        turn_on()
    guard.disable()
    settings["debug"] = False
    guard.enable()
    with pytest.raises(DataChanged):
        turn_on()
    assert guard.count == 2
    assert [hit.new_text for hit in guard.hits] == [hit.new_text for hit in guard.watchpoint.hits]
    guard.remove()
    guard.remove()
    settings["debug"] = False
    assert stopwhen.watchpoints() == []


def test_a_block_ends_it():
    """What happens after the block is allowed, and so is what happens in it once it is left by an exception."""
    with pytest.raises(ZeroDivisionError), stopwhen.forbid("settings"):
        1 / 0
    turn_on()
    assert stopwhen.watchpoints() == []


def test_a_guard_that_has_ended_is_not_entered_again():
    """A block that would be unguarded is an error, not a surprise."""
    guard = stopwhen.forbid("settings")
    guard.remove()
    with pytest.raises(stopwhen.UsageError, match=r"has ended.*\[guard-ended\]"):
        guard.__enter__()


@every
def test_a_decorated_function_is_guarded_while_it_runs(mechanism):
    """Not before and not after, however it ends."""

    @stopwhen.forbid("settings")
    def handle(action):
        return action()

    assert stopwhen.watchpoints() == []
    turn_on()
    assert handle(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        handle(lambda: 1 / 0)
    settings["debug"] = False
    with pytest.raises(DataChanged) as caught:
        handle(turn_on)
    assert caught.value.hit.location.lineno == MARKS["turn_on"]
    assert stopwhen.watchpoints() == []


@every
def test_the_last_line_of_a_decorated_function_is_guarded_too(mechanism):
    """Nothing of the function runs after its write, and still it is the function that raises."""

    @stopwhen.forbid("settings")
    def last():
        settings["debug"] = True  # @last

    with pytest.raises(DataChanged) as caught:
        last()
    assert caught.value.hit.location.lineno == MARKS["last"]
    if as_the_instruction(mechanism):
        assert line_of(caught.value) == MARKS["last"]


def test_a_recursive_function_is_guarded_until_its_first_call_ends():
    """Inner calls that end leave the outer one guarded."""

    @stopwhen.forbid("settings")
    def countdown(n):
        if n:
            countdown(n - 1)
        else:
            return
        if n == 2:
            turn_on()

    with pytest.raises(DataChanged):
        countdown(2)
    assert stopwhen.watchpoints() == []


@every
def test_a_coroutine_is_guarded_from_its_first_step_to_its_end(mechanism):
    """While it waits, another task that changes the data gets the exception; a coroutine that never runs guards nothing."""

    @stopwhen.forbid("settings")
    async def handle(started, go_on):
        started.set()
        await go_on.wait()
        return "done"

    async def main():
        started, go_on = asyncio.Event(), asyncio.Event()
        coroutine = handle(started, go_on)
        assert stopwhen.watchpoints() == []
        task = asyncio.create_task(coroutine)
        await started.wait()
        with pytest.raises(DataChanged) as caught:
            turn_on()
        go_on.set()
        assert await task == "done"
        settings["debug"] = False
        return caught.value.hit

    hit = asyncio.run(main())
    assert hit.location.lineno == MARKS["turn_on"]
    assert inspect.iscoroutinefunction(handle)


@every
def test_a_generator_is_guarded_from_its_first_step_to_its_end(mechanism):
    """Sent values, thrown exceptions and the returned value pass; one that is dropped guards no longer."""

    @stopwhen.forbid("settings")
    def steps():
        got = yield 1
        try:
            yield got
        except KeyError:
            yield "thrown"
        return "returned"

    generator = steps()
    turn_on()
    assert next(generator) == 1
    assert generator.send("sent") == "sent"
    with pytest.raises(DataChanged):
        turn_off()
    assert generator.throw(KeyError()) == "thrown"
    with pytest.raises(StopIteration, match="returned"):
        next(generator)
    turn_on()
    dropped = steps()
    assert next(dropped) == 1
    assert len(stopwhen.watchpoints()) == 1
    del dropped
    gc.collect()
    assert stopwhen.watchpoints() == []
    assert inspect.isgeneratorfunction(steps)


def test_an_asynchronous_generator_is_guarded_from_its_first_step_to_its_end():
    """With all that may be sent into one."""

    @stopwhen.forbid("settings")
    async def steps():
        got = yield 1
        try:
            yield got
        except KeyError:
            yield "thrown"
        turn_on()

    async def main():
        generator = steps()
        turn_on()
        assert await anext(generator) == 1
        assert await generator.asend("sent") == "sent"
        assert await generator.athrow(KeyError()) == "thrown"
        settings_were = dict(settings)
        with pytest.raises(DataChanged):
            turn_off()
        with pytest.raises(DataChanged):
            await anext(generator)
        assert settings_were["debug"] is True
        other = steps()
        await anext(other)
        await other.aclose()

    asyncio.run(main())
    assert stopwhen.watchpoints() == []
    assert inspect.isasyncgenfunction(steps)


def test_a_generator_based_coroutine_stays_one():
    """`await` takes it as before."""

    @stopwhen.forbid("settings")
    @types.coroutine
    def pause():
        yield
        return 7

    async def main():
        return await pause()

    assert asyncio.run(main()) == 7


def test_the_function_keeps_its_name_and_signature():
    """For tools that look at them, such as pytest for its fixtures."""

    @stopwhen.forbid("settings")
    def handle(request, *, timeout=3):
        """Handle it."""

    assert handle.__name__ == "handle"
    assert handle.__doc__ == "Handle it."
    assert str(inspect.signature(handle)) == "(request, *, timeout=3)"


# Which names.


class Account:
    """With every kind of method."""

    limits = {"low": 0}  # noqa: RUF012 - shared on purpose

    def __init__(self):
        self.balance = 10

    @stopwhen.forbid("self.balance")
    def report(self, spend=0):
        self.balance -= spend  # @report
        return self.balance

    @stopwhen.forbid("cls.limits")
    @classmethod
    def lower(cls, low):
        cls.limits["low"] = low
        return cls

    @stopwhen.forbid("settings")
    @staticmethod
    def plain(action):
        return action()


@no_dicts_alone
def test_a_parameter_is_the_argument_of_the_call(mechanism):
    """Of each call its own, defaults too."""
    one, other = Account(), Account()
    with pytest.raises(DataChanged) as caught:
        one.report(3)
    assert caught.value.hit.location.lineno == MARKS["report"]
    assert caught.value.hit.change.text == "10 -> 7"
    assert other.report() == 10

    @stopwhen.forbid("box[0]")
    def spend(box=heap, *, by=1):
        box[0] -= by

    with pytest.raises(DataChanged):
        spend()
    with pytest.raises(DataChanged):
        spend(box=[1])


def test_class_and_static_methods_stay_what_they_are():
    """The decorator may stand above theirs."""
    assert Account.plain(lambda: 4) == 4
    assert Account().plain(lambda: 5) == 5
    with pytest.raises(DataChanged):
        Account.plain(turn_on)
    with pytest.raises(DataChanged):
        Account.lower(-1)


def test_a_call_with_wrong_arguments_is_told_so_by_the_function():
    """In its own words."""

    @stopwhen.forbid("box")
    def spend(box):
        """Do nothing."""

    with pytest.raises(TypeError, match=r"spend\(\) missing 1 required positional argument: 'box'"):
        spend()
    assert stopwhen.watchpoints() == []


@no_dicts_alone
def test_variables_around_the_function_are_read(mechanism):
    """Also when the function around it has ended."""

    def make():
        total = [1]

        @stopwhen.forbid("total")
        def add():
            nonlocal total
            total = [*total, 2]

        @stopwhen.forbid("total")
        def push():
            total.append(2)

        return add, push

    add, push = make()
    for function in add, push:
        with pytest.raises(DataChanged) as caught:
            function()
        assert caught.value.hit.location.function.endswith(function.__name__)


def test_a_local_variable_around_that_is_gone_later_is_refused():
    """It could not be read when the function runs; the hint tells the way out, which works."""
    config = local = [1]  # noqa: F841 - read by its name
    with pytest.raises(stopwhen.Refused, match=r"'local' is a local variable around it.*\[local-around\]"):

        @stopwhen.forbid("local[0]")
        def handle(_action):
            """Do nothing."""

    @stopwhen.forbid("config[0]", scope={"config": config})
    def handle_given(action):
        action()

    with pytest.raises(DataChanged):
        handle_given(lambda: config.insert(0, 2))


def test_a_name_of_a_class_body_is_refused():
    """Functions do not see it."""
    with pytest.raises(stopwhen.Refused, match=r"local-around"):

        class Shop:
            stock = 1

            @stopwhen.forbid("stock")
            def sell(self):
                """Do nothing."""


def test_a_local_variable_is_guarded_until_its_function_ends():
    """Names of a statement or block are those of the calling frame."""

    def work():
        total = 1
        stopwhen.forbid("total")
        total = 2
        return total  # noqa: RET504 - the assignment is the point

    with pytest.raises(DataChanged, match=r"^total may not change: 1 -> 2, at "):
        work()
    gc.collect()
    assert stopwhen.watchpoints() == []


def test_names_are_read_in_the_scope_given(module_of_settings):
    """By the decorator too."""

    @stopwhen.forbid("table", scope="guarded_module")
    def work(table):
        module_of_settings.table["key"] = table

    with pytest.raises(DataChanged):
        work(3)


@pytest.fixture
def module_of_settings(monkeypatch):
    """An imported module."""
    module = types.ModuleType("guarded_module")
    module.table = {}
    monkeypatch.setitem(__import__("sys").modules, "guarded_module", module)
    return module


def test_text_given_to_exec_has_its_own_names():
    """Those of the mapping that it runs in."""
    names, own = {"stopwhen": stopwhen}, {"data": [1]}
    exec('@stopwhen.forbid("data")\ndef work(): put()\n', names, own)
    names["put"] = lambda: own["data"].append(2)
    with pytest.raises(DataChanged):
        own["work"]()


# Which changes.


def test_options_are_those_of_changes():
    """Condition, hit condition, threads, files, depth, calls: what they let pass is allowed."""
    allowed = [
        {"condition": "len(new) > 9"},
        {"hit_condition": ">=3"},
        {"threads": "worker*"},
        {"files": "*/shop/*"},
        {"not_files": "*/test_guard.py"},
        {"depth": 0},
    ]
    for options in allowed:
        with stopwhen.forbid("heap", **options):
            heap.append(1)
    with stopwhen.forbid("settings"):
        settings["db"]["host"] = "there"
    with stopwhen.forbid("settings", depth="all"), pytest.raises(DataChanged):
        move("elsewhere")
    with stopwhen.forbid("sorted(heap, key=abs)", allow_calls=True), pytest.raises(DataChanged):
        move(100)


@pytest.mark.parametrize("options", [{"condition": "x +"}, {"depth": -1}, {"scope": "a b"}, {"hit_condition": "often"}])
def test_wrong_options_are_told_at_the_call(options):
    """Also of a decorator: not when the function first runs."""
    with pytest.raises(stopwhen.StopwhenError):
        stopwhen.forbid("heap", **options)


@pytest.mark.parametrize("given", [Account, print, 3, property(lambda self: 1)])
def test_what_is_no_function_is_not_decorated(given):
    """A class would become a function; others have no code that could be guarded."""
    with pytest.raises(stopwhen.UsageError, match=r"is no function.*\[not-a-function\]"):
        stopwhen.forbid("settings")(given)
    assert stopwhen.watchpoints() == []


# What it says.


def test_the_message_tells_what_where_by_what_and_who_forbade_it():
    """All that is needed to look it up, on one line."""
    with stopwhen.forbid("settings"):  # @forbids
        with pytest.raises(DataChanged) as caught:
            settings.update(debug=True)  # @update
    name = "test_the_message_tells_what_where_by_what_and_who_forbade_it"
    file = path_name(__file__)
    assert str(caught.value) == (
        "settings may not change: changed 'debug': False -> True, "
        f"at {file}:{MARKS['update']} in {name}, by dict.update (forbidden at {file}:{MARKS['forbids']} in {name})"
    )
    assert caught.value.slug == "data-changed"


def test_the_exception_can_be_sent_to_another_process():
    """As a pool of processes does; the hit, with its hold on this process, stays here."""
    with stopwhen.forbid("settings"), pytest.raises(DataChanged) as caught:
        turn_on()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is DataChanged
    assert (str(copy), copy.slug, copy.hit) == (str(caught.value), "data-changed", None)
    refused = stopwhen.Refused("no", slug="too-deep", hint="less")
    assert str(pickle.loads(pickle.dumps(refused))) == str(refused)


def test_who_called_is_told_without_the_guard_itself():
    """The report's callers are those of the program."""
    with stopwhen.changes("settings", action="log") as watchpoint:
        guarded = stopwhen.forbid("heap")(turn_on)
        guarded()  # @calls
    from stopwhen.reports.text import format_hit

    (hit,) = watchpoint.hits
    assert f"test_guard.py:{MARKS['calls']}" in format_hit(hit, color=False, width=100).splitlines()[-1]
    assert "guard.py:" not in format_hit(hit, color=False, width=100).replace("test_guard.py:", "")


# What it holds.


def test_a_guard_holds_no_frame():
    """What a function that is decorated in another leaves behind dies as without the guard."""

    class Thing:
        pass

    def make():
        thing = Thing()

        @stopwhen.forbid("settings")
        def work():
            return 1

        return work, weakref.ref(thing)

    gc.disable()
    try:
        work, thing = make()
        assert thing() is None
    finally:
        gc.enable()
    assert work() == 1


def test_guarded_calls_leave_nothing_behind():
    """However many there are."""

    @stopwhen.forbid("settings")
    def work():
        return 1

    work()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(200):
        work()
    gc.collect()
    assert len(gc.get_objects()) - before < 100
