"""The contract's rules: triggers, conditions, filters, counts, actions, and switching watchpoints off and on."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap

import pytest

import stopwhen
from contract import Case, Module, choose, described, every_mechanism, hit, mechanism_sets, parametrized, run_case
from helpers import marked_lines
from recorder import Recorder
from stopwhen import ABSENT, DataChanged, env


@pytest.fixture
def module(mechanism, tmp_path, monkeypatch):
    """A module whose watchpoints are armed by the mechanism; `x` is 0, `inc` adds one to it."""
    choose(monkeypatch, mechanism)
    made = Module(tmp_path)
    made.run(
        "x = 0\ndef put(value):\n    global x\n    x = value  # @put\ndef inc():\n    global x\n    x += 1  # @inc\n"
    )
    return made


TRIGGERS = [
    Case(
        "becomes true",
        "x = 0",
        "x > 2",
        """
        x = 2
        x = 3  # @first
        x = 4
        x = 1
        x = 5  # @second
        del x
        x = 6  # @back
        """,
        [hit("first", "False", "True"), hit("second", "False", "True"), hit("back", "False", "True")],
        dicts=True,
        trigger="true",
    ),
    Case(
        "truth of containers",
        "L = []",
        "L",
        """
        L.append(1)  # @filled
        L.append(2)
        L.clear()
        L = [3]  # @other
        L = [4]
        """,
        [hit("filled", "False", "True", "list.append"), hit("other", "False", "True")],
        trigger="true",
    ),
    Case(
        "becomes true by content deep inside",
        "entries = ['a']",
        'entries[0].endswith("lib")',
        """
        entries.append('lib')
        entries.insert(0, '/project/lib')  # @inserted
        entries.insert(0, '/other/lib')
        entries.clear()
        """,
        [hit("inserted", "False", "True", "list.insert")],
        trigger="true",
    ),
    Case("never true", "x = 0", "x == 5", "x = 1\nx = 0\nx = 4\n", dicts=True, trigger="true"),
    Case(
        "condition over old and new",
        "x = 0",
        "x",
        "x = 5\nx = 3  # @down\nx = 4\nx = 1  # @lower\n",
        [hit("down", "5", "3"), hit("lower", "4", "1")],
        dicts=True,
        options={"condition": "new < old"},
    ),
    Case(
        "condition over names of the writer",
        "x = 0; level = 3",
        "x",
        """
        def f(user):
            global x
            local = user.upper()
            x = len(local)  # @write
        f('a')
        f('root')
        level = 1
        f('roots')
        """,
        [hit("write", "1", "4")],
        dicts=True,
        options={"condition": "user.startswith('root') and local == user.upper() and level == 3 and len(user) == new"},
    ),
    Case(
        "condition over absent",
        "",
        "x",
        "x = 1\nx = 2  # @second\ndel x  # @gone\nx = 3\n",
        [hit("second", "1", "2"), hit("gone", "2", "absent")],
        dicts=True,
        options={"condition": "old is not absent"},
    ),
    Case(
        "condition that is a function of the hit",
        "x = 0",
        "x",
        "x = 1\nx = 2  # @even\n",
        [hit("even", "1", "2")],
        dicts=True,
        options={"condition": lambda one: one.new % 2 == 0},
    ),
    *(
        Case(
            f"hit condition {rule!r}",
            "x = 0",
            "x",
            "for i in range(1, 7):\n    x = i  # @write\n",
            [hit("write", new=str(number)) for number in numbers],
            dicts=True,
            options={"hit_condition": rule},
        )
        for rule, numbers in [
            (3, [3]),
            ("3", [3]),
            (">=5", [5, 6]),
            ("<3", [1, 2]),
            ("%2", [2, 4, 6]),
            ("!=1", [2, 3, 4, 5, 6]),
        ]
    ),
    Case(
        "the condition comes before the count",
        "x = 0",
        "x",
        "for i in range(1, 9):\n    x = i  # @write\n",
        [hit("write", new="4"), hit("write", new="8")],
        dicts=True,
        options={"condition": "new % 2 == 0", "hit_condition": "%2"},
    ),
    Case(
        "files that do not count",
        "x = 0",
        "x",
        "x = 1\nexec('x = 2')\n",
        [hit("<string>", "1", "2")],
        dicts=True,
        options={"not_files": "*subject.py"},
    ),
    Case(
        "files that count",
        "x = 0",
        "x",
        "x = 1  # @own\nexec('x = 2')\n",
        [hit("own", "0", "1")],
        dicts=True,
        options={"files": ["nowhere/*", "*subject.py"]},
    ),
    Case(
        "threads that count",
        "x = 0; import threading",
        "x",
        """
        def f(value):
            global x
            x = value  # @write
        for name in 'one', 'two', 'other':
            thread = threading.Thread(target=f, args=(name,), name=name)
            thread.start()
            thread.join()
        f('main')
        """,
        [hit("write", "'one'", "'two'"), hit("write", "'other'", "'main'")],
        dicts=True,
        options={"threads": ["tw*", "MainThread"]},
    ),
]


@parametrized(TRIGGERS)
def test_only_what_passes_the_rules_acts(case, mechanism, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Access type, filters, condition, count and hit condition are asked in this order."""
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


@every_mechanism
def test_a_watchpoint_true_when_armed_hits_at_once(module):
    """That hit is marked, has the arming call for location and no old value; the next is the next edge."""
    with Recorder() as hits:
        watchpoint = hits.true("x == 0", scope=module)
        module.put(1)
        module.put(0)
    already, edge = hits.hits
    assert already.already
    assert already.old is ABSENT
    assert already.new is True
    assert already.count == 1
    assert not edge.already
    assert edge.count == 2
    assert watchpoint.hits == hits.hits


@every_mechanism
def test_an_already_hit_is_located_at_the_arming_call(mechanism, tmp_path, monkeypatch):
    """The arming call is a line of the program's."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    with Recorder() as hits:
        module.record = hits
        module.run("import stopwhen\nx = 1\nw = stopwhen.true('x', action=record)  # @arm\nw.remove()\n")
    assert described(hits.hits, module.path) == [hit("arm", "absent", "True")]


@every_mechanism
def test_count_counts_before_the_hit_condition(module):
    """`hits` keeps those that acted only; a "count" action counts and keeps."""
    with Recorder() as hits:
        rare = hits.changes("x", scope=module, hit_condition="%2")
        counting = stopwhen.changes("x", scope=module, action="count")
        for _ in range(5):
            module.inc()
        assert (rare.count, [one.count for one in rare.hits]) == (5, [2, 4])
        assert (counting.count, len(counting.hits)) == (5, 5)
    assert [one.count for one in hits.hits] == [2, 4]


@every_mechanism
def test_a_condition_that_raises_is_reported_once_and_counts_as_true(module, capfd):
    """A broken condition must not hide a hit."""
    with Recorder() as hits:
        hits.changes("x", scope=module, condition="nowhere > new")
        module.inc()
        module.inc()
    assert len(hits.hits) == 2
    assert capfd.readouterr().err.count("condition-error") == 1


@every_mechanism
def test_an_action_that_raises_is_reported_once_and_the_program_goes_on(module, mechanism, capfd):
    """Later hits act all the same."""
    called = []

    def act(one):
        called.append(one.new)
        raise ValueError(f"no {mechanism}")

    with Recorder() as hits:
        hits.changes("x", scope=module, action=act)
        module.inc()
        module.inc()
    assert called == [1, 2]
    assert module.x == 2
    assert capfd.readouterr().err.count("action-error") == 1


@every_mechanism
def test_what_actions_and_conditions_write_gives_no_hits(module):
    """What they leave behind is the value last seen."""
    calls = []

    def act(one):
        calls.append((one.old, one.new))
        module.x = 100
        module.inc()

    def condition(one):
        module.x += 1000
        return True

    with Recorder() as hits:
        hits.changes("x", scope=module, action=act, condition=condition)
        module.put(5)
        assert module.x == 101
        module.put(7)
        module.put(101)
    assert calls == [(0, 5), (101, 7)]


@every_mechanism
def test_an_action_may_remove_disable_and_arm(module):
    """An action may do with watchpoints what it likes."""
    with Recorder() as hits:
        other = hits.changes("x", scope=module)

        def act(one):
            one.watchpoint.remove()
            other.disable()
            hits.changes("x", scope=module, condition="new == 3")

        first = hits.changes("x", scope=module, action=act)
        module.put(1)
        module.put(2)
        module.put(3)
        assert (first.count, other.count) == (1, 1)
    assert [one.new for one in hits.hits] == [1, 3]


@every_mechanism
def test_a_condition_may_remove_another_watchpoint_on_the_same_data(module):
    """What is removed hears no more of the change that is being looked at, and nothing of it stays armed."""
    module.x = 1
    with Recorder() as hits:
        hits.changes("x", scope=module, condition=lambda _hit: second.remove() or True)
        second = hits.changes("x", scope=module)
        module.x = 2
        module.x = 3
    assert hits.texts == [("1", "2"), ("2", "3")]
    assert second.count == 0


@every_mechanism
def test_disabled_and_removed_watchpoints_are_silent(module):
    """Enabling takes the value then as the last one seen, in silence; removing may be done twice."""
    with Recorder() as hits:
        watchpoint = hits.changes("x", scope=module)
        module.put(1)
        watchpoint.disable()
        watchpoint.disable()
        module.put(2)
        module.put(3)
        watchpoint.enable()
        watchpoint.enable()
        module.put(3)
        module.put(4)
        watchpoint.remove()
        watchpoint.remove()
        module.put(5)
        assert [one.number for one in stopwhen.watchpoints() if one is watchpoint] == []
    assert hits.texts == [("0", "1"), ("3", "4")]
    assert watchpoint.count == 2


@every_mechanism
def test_enabling_takes_the_truth_then_as_the_last_one_seen(module):
    """A "true" watchpoint that is enabled while true waits for the next edge."""
    with Recorder() as hits:
        watchpoint = hits.true("x == 1", scope=module)
        watchpoint.disable()
        module.put(1)
        watchpoint.enable()
        module.put(1)
        module.put(0)
        module.put(1)
    assert len(hits.hits) == 1


AS_THE_INSTRUCTION = [name for name in mechanism_sets() if name != "recheck" and env.core is not None]
"""Where an exception is raised for the instruction that wrote. In pure Python it is the next instruction that raises."""

RAISES = """
def in_body():
    global x
    try:
        x = 1  # @body
        after = True
    except DataChanged as error:
        return error
def at_end_of_body():
    global x
    try:
        x = 2  # @end
    except DataChanged as error:
        return error
def at_end_of_function():
    global x
    try:
        if x:
            return
        x = 2  # @last
    except DataChanged as error:
        found = error
    else:
        found = None
    return found
def by_c_function():
    try:
        space.update(x=3)  # @call
    except DataChanged as error:
        return error
def in_call():
    try:
        put(4)
    except DataChanged as error:
        return error
def in_expression():
    try:
        return [space.__setitem__('x', 5)]  # @expression
    except DataChanged as error:
        return error
def with_finally():
    global x
    try:
        try:
            x = 6  # @finally
        finally:
            log.append('finally')
    except DataChanged as error:
        return error
def in_loop():
    global x
    for i in 7, 8:
        try:
            x = i  # @loop
        except DataChanged as error:
            return error
def in_suppress():
    global x
    with contextlib.suppress(DataChanged):
        x = 9  # @with
    log.append('suppressed')
def leaving():
    try:
        leaves()
    except DataChanged as error:
        return error
def leaves():
    global x
    x = 10  # @leaves
def put(value):
    global x
    x = value  # @put
"""


@pytest.fixture
def raising(mechanism, tmp_path, monkeypatch):
    """A module with the functions above."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.DataChanged, module.log = DataChanged, []
    module.space = module.__dict__
    module.run("import contextlib\nx = 0\n" + RAISES)
    return module


@every_mechanism
@pytest.mark.parametrize(
    ("function", "mark", "value"),
    [
        ("in_body", "body", 1),
        ("by_c_function", "call", 3),
        ("in_call", "put", 4),
        ("in_expression", "expression", 5),
    ],
)
def test_raise_raises_in_the_writer(function, mark, value, raising):
    """After the write, before anything else of the program runs, and its own `try` catches it."""
    with Recorder() as hits:
        watchpoint = hits.changes("x", scope=raising, action="raise")
        error = getattr(raising, function)()
    assert isinstance(error, DataChanged)
    assert raising.x == value
    assert error.hit.new == value
    assert described(watchpoint.hits, raising.path) == [hit(mark)]


@pytest.mark.parametrize("mechanism", AS_THE_INSTRUCTION)
@pytest.mark.parametrize(
    ("function", "mark"),
    [
        ("in_body", "body"),
        ("at_end_of_body", "end"),
        ("at_end_of_function", "last"),
        ("in_loop", "loop"),
        ("with_finally", "finally"),
        ("leaving", "leaves"),
    ],
)
def test_raise_raises_as_if_the_writing_instruction_had(function, mark, raising):
    """The `try` around the write catches it even when it is the last thing there; the traceback ends at the write."""
    with Recorder() as hits:
        hits.changes("x", scope=raising, action="raise")
        error = getattr(raising, function)()
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    assert traceback.tb_lineno == marked_lines(raising.path)[mark]
    assert raising.log == (["finally"] if mark == "finally" else [])


@pytest.mark.parametrize("mechanism", AS_THE_INSTRUCTION)
def test_raise_is_suppressed_by_the_with_around_the_write(raising):
    """The block's exit sees the exception, even after its last statement."""
    with Recorder() as hits:
        hits.changes("x", scope=raising, action="raise")
        raising.in_suppress()
    assert raising.log == ["suppressed"]


@every_mechanism
def test_raise_uncaught_ends_the_program(module):
    """It passes through every caller."""
    with Recorder() as hits:
        hits.changes("x", scope=module, action="raise")
        with pytest.raises(DataChanged) as caught:
            module.run("def f():\n    global x\n    x = 1  # @write\n    x = 2\nf()\n")
    assert module.x == 1
    assert [one.location.lineno for one in [caught.value.hit]] == [marked_lines(module.path)["write"]]


@every_mechanism
def test_a_thread_is_named(module):
    """The hit has name and id of the thread that wrote."""
    source = """
    import threading
    ids = []
    def work():
        global x
        ids.append(threading.get_ident())
        x = 1  # @thread
    thread = threading.Thread(target=work, name='worker one')
    thread.start()
    thread.join()
    x = 2  # @main
    """
    with Recorder() as hits:
        hits.changes("x", scope=module)
        module.run(textwrap.dedent(source))
    assert described(hits.hits, module.path) == [hit("thread", "0", "1"), hit("main", "1", "2")]
    first, second = hits.hits
    assert (first.thread, first.thread_id) == ("worker one", module.ids[0])
    assert second.thread == "MainThread"
    assert first.pid == os.getpid()


@every_mechanism
def test_a_task_is_named(module):
    """The hit has the name of the asyncio task that wrote, None outside of any."""
    source = """
    import asyncio
    async def work():
        global x
        x = 1  # @task
        await asyncio.sleep(0)
    async def main():
        await asyncio.create_task(work(), name='worker')
    asyncio.run(main())
    x = 2  # @outside
    """
    assert asyncio  # imported before arming, for the reading of its tasks
    with Recorder() as hits:
        hits.changes("x", scope=module)
        module.run(textwrap.dedent(source))
    assert described(hits.hits, module.path) == [hit("task"), hit("outside")]
    assert [one.task for one in hits.hits] == ["worker", None]


@every_mechanism
def test_the_action_runs_right_after_the_write(mechanism, tmp_path, monkeypatch):
    """In the frame that wrote, before its next instruction: nothing else has happened, and every frame is there."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    seen = []

    def act(one):
        frame = sys._getframe()
        while frame is not None and frame.f_code.co_filename != os.fspath(module.path):
            frame = frame.f_back
        seen.append((frame.f_code.co_name, frame.f_lineno, module.log[:], [place.function for place in one.stack][:3]))

    source = """
    x = 0
    log = []
    def inner():
        global x
        log.append('before'); x = 1; log.append('behind')  # @write
        log.append('next')
    def outer():
        inner()
    outer()
    """
    with Recorder() as hits:
        hits.changes("x", scope=module, action=act, condition="old is not absent")
        module.run(textwrap.dedent(source))
    line = marked_lines(module.path)["write"]
    assert seen == [("inner", line, ["before"], ["inner", "outer", "<module>"])]


@pytest.mark.parametrize("mechanism", [name for name in mechanism_sets() if name != "dictwatch"])
def test_what_grows_beyond_what_can_be_watched_has_a_last_hit(mechanism, tmp_path, monkeypatch, capfd):
    """The change that makes it too large is seen, and then it is said, once, that no more is watched."""
    choose(monkeypatch, mechanism)
    monkeypatch.setattr("stopwhen.values.MOST_CELLS", 4)
    subject = Module(tmp_path)
    subject.rows = [[0], [1]]
    with Recorder() as hits:
        watchpoint = hits.changes("rows", scope=subject, depth="all")
        subject.run("rows.append([2])  # @a\nrows.append([3])  # @last\nrows.append([4])\nrows = []\n")
        assert watchpoint.removed
    assert described(hits.hits, subject.path) == [
        hit("a", "[[0], [1]]", "[[0], [1], [2]]", "list.append"),
        hit("last", "[[0], [1], [2]]", "[[0], [1], [2], [3]]", "list.append"),
    ]
    assert capfd.readouterr().err.count("no longer watching 'rows'") == 1
