"""What cannot be handled, for want of memory or by a mistake of ours, is said and never reaches the program."""

from __future__ import annotations

import signal

import pytest

import stopwhen
from helpers import marked_lines, run_program
from stopwhen import env, hits, session

needs_core = pytest.mark.skipif(env.core is None, reason="needs the C module")


def fail_once(monkeypatch, place, name, fail):
    """Let `place.name` do what `fail` does, the first time it is called."""
    function = getattr(place, name)
    calls = iter([fail])
    monkeypatch.setattr(place, name, lambda *args, **options: next(calls, function)(*args, **options))


@pytest.fixture
def said(monkeypatch):
    """Return the texts that are said."""
    texts = []
    monkeypatch.setattr(session.current().output, "say", texts.append)
    return texts


PLACES = {
    "events": (session, "events_of"),
    "reading": (session, "read"),
    "state": (session, "seen_of"),
    "writer": (session.location, "locate"),
    "hit": (hits, "hit_of"),
}


MISTAKES = {}
exec(compile("def assertion(*_args, **_options): raise AssertionError", session.__file__, "exec"), MISTAKES)


def no_memory(*_args, **_options):
    raise MemoryError


def no_stack(*_args, **_options):
    raise RecursionError


@needs_core
@pytest.mark.parametrize("fail", [no_memory, no_stack, MISTAKES["assertion"]])
@pytest.mark.parametrize("place", PLACES)
def test_an_error_of_ours_does_not_reach_the_program_and_is_said(monkeypatch, said, place, fail):
    """The change is missed, watching goes on with the next one."""
    rows = [1]
    with stopwhen.changes("len(rows)", action="count") as watchpoint:
        fail_once(monkeypatch, *PLACES[place], fail)
        rows.append(2)
        rows.append(3)
        assert watchpoint.count == 1
    assert len(said) == 1
    assert said[0].startswith("a change of 'len(rows)' may have been missed: handling it was cut short by ")


@needs_core
def test_what_a_change_rebinds_is_watched_after_a_miss(monkeypatch, said):
    """The new object is armed, too, though the change that brought it was missed."""
    names = {"rows": [1]}
    with stopwhen.changes("rows", scope=names, action="count") as watchpoint:
        fail_once(monkeypatch, session, "read", no_memory)
        names["rows"] = [2]
        names["rows"].append(3)
        assert watchpoint.count == 1
    assert len(said) == 1


@needs_core
def test_a_report_that_cannot_be_written_is_missed(monkeypatch, said):
    """A hit counts all the same."""
    rows = [1]
    with stopwhen.changes("rows", action="log") as watchpoint:
        fail_once(monkeypatch, session.current().output, "show", no_memory)
        rows.append(2)
        assert watchpoint.count == 1
    assert len(said) == 1
    assert "a change of 'rows' may have been missed" in said[0]


@needs_core
def test_what_a_signal_handler_raises_meanwhile_is_the_programs(monkeypatch, said):
    """It waits until the change has been handled, and comes at the interpreter's next check for signals."""

    def raise_timeout(_number, _frame):
        raise TimeoutError

    def check_signals():
        """Do nothing: the interpreter checks where a function begins."""

    before = signal.signal(signal.SIGUSR1, raise_timeout)
    rows = [1]
    try:
        with stopwhen.changes("rows", action="count") as watchpoint:
            function = hits.hit_of

            def interrupted(*args, **options):
                monkeypatch.undo()
                signal.raise_signal(signal.SIGUSR1)
                return function(*args, **options)

            monkeypatch.setattr(hits, "hit_of", interrupted)
            with pytest.raises(TimeoutError):
                rows.append(2)
                check_signals()
            rows.append(3)
            assert watchpoint.count == 2
            assert said == []
    finally:
        signal.signal(signal.SIGUSR1, before)


@needs_core
def test_many_expressions_are_named_by_a_few(monkeypatch, said):
    """The message stays one line."""
    names = dict.fromkeys("abcde", 0)
    watchpoints = [stopwhen.changes(name, scope=names, action="count") for name in names]
    fail_once(monkeypatch, session, "events_of", no_memory)
    names["a"] = object()
    for watchpoint in watchpoints:
        watchpoint.remove()
    assert len(said) == 1
    assert said[0].startswith("a change of 'a', 'b', 'c' and 2 more may have been missed")


AT_THE_LIMIT = """
    import sys

    rows = []
    deepest = 0

    def descend(depth):
        global deepest
        rows.append(depth)          # @write
        deepest = depth
        descend(depth + 1)

    sys.setrecursionlimit(300)
    try:
        descend(1)
    except RecursionError:
        print(deepest, len(rows))
"""


@needs_core
def test_a_program_at_the_recursion_limit_gets_as_far_as_without_us():
    """Each write is a hit by its line, the last ones before the limit too."""
    plain = run_program(AT_THE_LIMIT)
    watched = run_program(AT_THE_LIMIT, stopwhen=["--max-hits", "1000", "--changes", "rows", "--action", "log"])
    # Traced, 3.11 calls `append` in a slower way, which takes one more frame.
    depth = int(plain.stdout.split()[0]) - (not env.HAS_MONITORING)
    assert watched.stdout == f"{depth} {depth}\n"
    assert watched.stderr.count(f"program.py:{marked_lines(AT_THE_LIMIT)['write']} in descend") == depth
    assert "missed" not in watched.stderr
