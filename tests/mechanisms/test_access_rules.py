"""Writes and reads keep to the rules of all watchpoints; what has none of its own is refused with the reason."""

from __future__ import annotations

import sys
import textwrap
import threading

import pytest

import stopwhen
from contract import Module, choose, described, every_mechanism, hit
from helpers import marked_lines, run_program, run_python
from recorder import Recorder
from stopwhen import DataChanged, Refused
from stopwhen.session import current
from stopwhen.types import AccessType

NO_TOOL_IDS = pytest.mark.skipif(sys.version_info < (3, 12), reason="needs sys.monitoring")


@pytest.fixture
def module(mechanism, tmp_path, monkeypatch):
    """A module with `x` and functions that store and read it, whose watchpoints are armed by the mechanism."""
    choose(monkeypatch, mechanism)
    made = Module(tmp_path)
    made.run(
        textwrap.dedent("""
        x = 5
        def put():
            global x
            x = 5  # @put
        def get():
            return x  # @get
        def put_in_try():
            global x
            caught = None
            try:
                x = 5  # @put_in_try
            except Exception as error:
                caught = error
            return caught
        def get_in_try():
            try:
                y = x  # @get_in_try
            except Exception as error:
                return error
            return y
        """)
    )
    return made


@every_mechanism
def test_an_exception_of_a_write_is_raised_in_its_line(mechanism, module):
    """As if the store had raised, so that its own `try` catches it; that takes the C module."""
    with stopwhen.writes("x", scope=module, action="raise"):
        caught = None if mechanism == "recheck" else module.put_in_try()
        with pytest.raises(DataChanged, match="x was written: set to 5 again, at ") as raised:
            module.put()
    assert raised.value.hit.location.lineno == marked_lines(module.path)["put"]
    assert mechanism == "recheck" or type(caught) is DataChanged


@every_mechanism
def test_an_exception_of_a_read_is_raised_in_its_line(mechanism, module):
    """In place of the read; on 3.11 without the C module, a trace function is off once it has raised."""
    with stopwhen.reads("x", scope=module, action="raise"):
        caught = None if mechanism == "recheck" else module.get_in_try()
        with pytest.raises(DataChanged, match="x was read, at ") as raised:
            module.get()
    assert raised.value.hit.location.lineno == marked_lines(module.path)["get"]
    assert mechanism == "recheck" or type(caught) is DataChanged
    assert mechanism == "recheck" or raised.traceback[-1].lineno + 1 == marked_lines(module.path)["get"]


@every_mechanism
@pytest.mark.parametrize("trigger", ["writes", "reads"])
def test_switched_off_and_on(mechanism, module, trigger):
    """While it is disabled nothing counts, and nothing does once it is removed."""
    act = module.put if trigger == "writes" else module.get
    with Recorder() as hits:
        watchpoint = getattr(hits, trigger)("x", scope=module)
        act()
        watchpoint.disable()
        act()
        watchpoint.enable()
        act()
        watchpoint.remove()
        act()
    assert watchpoint.count == 2
    assert described(hits.hits, module.path) == [hit("put" if trigger == "writes" else "get", "5", "5")] * 2


@every_mechanism
def test_filters_by_file_and_thread(mechanism, module):
    """They ask who writes or reads."""
    thread = threading.Thread(target=module.get, name="reader")
    with Recorder() as hits:
        elsewhere = hits.reads("x", scope=module, files="*/elsewhere.py")
        there = hits.reads("x", scope=module, not_files="*/elsewhere.py", threads="reader")
        module.get()
        thread.start()
        thread.join()
    assert (elsewhere.count, there.count) == (0, 1)
    assert [one.thread for one in hits.hits] == ["reader"]


@every_mechanism
def test_what_actions_and_conditions_do_does_not_count(mechanism, module):
    """Neither a hit of their own watchpoint nor of another one."""
    seen = []

    def action(found):
        seen.append((found.watchpoint.access, module.x))
        module.put()
        module.get()

    with (
        stopwhen.writes("x", scope=module, action=action, condition="x == 5") as writes,
        stopwhen.reads("x", scope=module, action=action, condition=lambda _hit: module.get() == 5) as reads,
    ):
        module.put()
        module.get()
    assert (writes.count, reads.count) == (1, 1)
    assert seen == [(AccessType.WRITE, 5), (AccessType.READ, 5)]


@every_mechanism
def test_what_stopwhen_reads_itself_does_not_count(mechanism, module):
    """Arming, planning and removing read the data, too."""
    with stopwhen.reads("x", scope=module, action="count") as watchpoint:
        with stopwhen.changes("x", scope=module, action="count") as other:
            str(other.plan)
            current().explain("x + 1", module)
            stopwhen.watchpoints()
            other.disable()
            other.enable()
        str(watchpoint.plan)
    assert watchpoint.count == 0


@every_mechanism
def test_several_watchpoints_on_one_cell(mechanism, module):
    """Each has its own hits: of changes none, of writes and reads each one."""
    with Recorder() as hits:
        changes = hits.changes("x", scope=module)
        writes = [hits.writes("x", scope=module) for _ in range(2)]
        reads = hits.reads("x", scope=module)
        module.put()
        module.get()
        writes[0].remove()
        module.put()
    assert [one.count for one in (changes, *writes, reads)] == [0, 1, 2, 1]


@every_mechanism
def test_the_hit_of_a_read(mechanism, module):
    """Nothing changed; the text is that of the value at the time."""
    module.x = [1]
    with Recorder() as hits:
        hits.reads("x", scope=module)
        module.get().append(2)
        module.get()
    first, second = hits.hits
    assert (first.change, first.old is first.new, first.by, first.exact) == (None, True, None, True)
    assert (first.new_text, second.new_text) == ("[1]", "[1, 2]")


@every_mechanism
def test_the_words_of_a_write_that_changes_nothing(mechanism, module):
    """They say so."""
    module.L = (1, 2)
    with Recorder() as hits:
        hits.writes("x", scope=module)
        module.put()
    (found,) = hits.hits
    assert (found.change.kind, found.change.text) == ("written", "set to 5 again")


REFUSED = [
    ("reads", "len(L)", {}, "it is computed, and kept nowhere"),
    ("reads", "x + 1", {}, "it is computed, and kept nowhere"),
    ("reads", "t[0]", {}, "it is computed, and kept nowhere"),
    ("reads", "L[0:1]", {}, "what it names is a part of 'L' that is not told from the others"),
    ("reads", "b[0]", {}, "what it names is a part of 'b' that is not told from the others"),
    ("writes", "b[0]", {}, "what it names is a part of 'b' that is not told from the others"),
    ("reads", "L", {"depth": 2}, "what is read is the place that it names last, not content"),
    ("writes", "call()", {"allow_calls": True}, "it calls what cannot be seen through"),
    ("reads", "call().x", {"allow_calls": True}, "it calls what cannot be seen through"),
]


@pytest.mark.parametrize(("trigger", "expression", "options", "reason"), REFUSED)
def test_what_has_no_place_of_its_own_is_refused(trigger, expression, options, reason):
    """At arming, with the reason and something else to watch, and with nothing left armed."""
    scope = {"L": [1], "x": 1, "t": (1,), "b": bytearray(b"a"), "call": lambda: 1}
    with pytest.raises(Refused, match="cannot watch the ") as refused:
        getattr(stopwhen, trigger)(expression, scope=scope, **options)
    assert refused.value.slug == "access-type"
    assert reason in str(refused.value)
    assert refused.value.hint is not None
    assert stopwhen.watchpoints() == []


@NO_TOOL_IDS
def test_without_a_tool_id_accesses_are_refused():
    """Other tools have both: changes of a dict are seen without one, stores that change nothing are not."""
    monitoring = sys.monitoring
    monitoring.use_tool_id(3, "one")
    monitoring.use_tool_id(4, "other")
    try:
        with pytest.raises(Refused, match=r"cannot watch the writes of 'x'.*in use") as refused:
            stopwhen.writes("x", scope={"x": 1})
    finally:
        monitoring.free_tool_id(3)
        monitoring.free_tool_id(4)
    assert refused.value.slug == "access-type"


@pytest.mark.parametrize(
    ("trigger", "lines"), [("--writes", ["3 | x = x", "4 | x = 6"]), ("--reads", ["3 | x = x", "5 | print(x)"])]
)
@pytest.mark.parametrize("env", [{}, {"STOPWHEN_PURE": "1"}], ids=["as it is", "without the C module"])
def test_a_program_run_by_the_command(trigger, lines, env):
    """Hits are told as for changes, also in pure Python."""
    found = run_program("x = 5\ny = 5\nx = x\nx = 6\nprint(x)\n", stopwhen=[trigger, "x", "--action", "log"], env=env)
    assert (found.stdout, found.status) == ("6\n", 0)
    # The first store binds the name.
    told = [line.strip() for line in found.stderr.splitlines() if " | " in line]
    assert told == (["1 | x = 5", *lines] if trigger == "--writes" else lines)
    assert f"x was {'written' if trigger == '--writes' else 'read'}" in found.stderr


def test_counts_are_told_at_the_end():
    """For writes and for reads."""
    source = "x = 5\nfor i in range(3): x = 5\nx; x\n"
    found = run_program(source, stopwhen=["--action", "count", "--writes", "x", "--reads", "x"])
    assert found.stderr == "stopwhen: x was written 4 times\nstopwhen: x was read 2 times\nstopwhen: 6 hits: x 6\n"


@pytest.mark.parametrize(
    ("words", "part"),
    [(("--writes",), "stores that change nothing by a look at"), (("--reads",), "reads by a look at"), ((), "")],
)
def test_explain_tells_how_accesses_are_seen(words, part):
    """Beside the changes of the same cell."""
    found = run_python("-m", "stopwhen", "explain", *words, "sys.path")
    assert found.status == 0
    assert part in found.stdout
    assert ("a look at the instructions" in found.stdout) == bool(words)


def test_explain_tells_why_there_are_no_reads():
    """As run does."""
    found = run_python("-m", "stopwhen", "explain", "--reads", "len(sys.path)")
    assert (found.stdout, found.status) == ("", 2)
    assert "[access-type]" in found.stderr
