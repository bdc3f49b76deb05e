"""In a function scope, variables that inner functions share are watched for as long as one of these is there."""

from __future__ import annotations

import gc
import textwrap
import types

import pytest

from helpers import marked_lines
from recorder import Recorder
from stopwhen import families

SOURCE = textwrap.dedent("""
    def counter(start=0):
        total = start  # @bound
        own = 1
        def step():
            nonlocal total
            total += 1  # @step
            return total
        def get():
            return total
        return step, get

    def numbers():
        last = 0
        def skip():
            nonlocal last
            last += 10  # @skip
        while True:
            last += 1  # @next
            yield last, skip

    async def later():
        seen = []
        def note(one):
            seen.append(one)  # @note
        return note
""")
LINES = marked_lines(SOURCE)


@pytest.fixture(params=[None, "recheck"])
def program(request, monkeypatch):
    """The program above, under each mechanism."""
    if request.param is not None:
        monkeypatch.setenv("STOPWHEN_MECHANISMS", request.param)
    module = types.ModuleType("program")
    exec(compile(SOURCE, "program.py", "exec"), vars(module))
    return module


def test_a_shared_variable_is_watched_after_its_call(program):
    """Each call has a variable of its own, which its inner functions change later."""
    with Recorder() as hits:
        watchpoint = hits.changes("total", scope=program.counter)
        one, _ = program.counter()
        other, get = program.counter(5)
        one()
        other()
        one()
        assert get() == 6
    assert hits.lines == [LINES["bound"]] * 2 + [LINES["step"]] * 3
    assert [hit.new for hit in hits.hits] == [0, 5, 1, 6, 2]
    assert watchpoint.count == 5


def test_true_and_conditions_go_on_too(program):
    """What holds in the call holds after it."""
    with Recorder() as hits:
        hits.true("total > 2", scope=program.counter)
        hits.changes("total", scope=program.counter, condition="new == 2")
        step, _ = program.counter()
        for _ in range(4):
            step()
    assert [(hit.old, hit.new) for hit in hits.hits] == [(1, 2), (False, True)]


def test_an_expression_with_a_local_of_its_own_ends_with_the_call(program):
    """`own` is gone with the frame."""
    with Recorder() as hits:
        watchpoint = hits.changes("total + own", scope=program.counter)
        step, _ = program.counter()
        step()
        assert len(watchpoint.activations) == 0
    assert hits.lines == [LINES["bound"] + 1]


def test_a_generator_and_a_coroutine_leave_their_variables_too(program):
    """However the call ends."""
    with Recorder() as hits:
        hits.changes("last", scope=program.numbers)
        hits.changes("seen", scope=program.later)
        made = program.numbers()
        _, skip = next(made)
        skip()
        made.close()
        skip()
        coroutine = program.later()
        with pytest.raises(StopIteration) as ended:
            coroutine.send(None)
        ended.value.value("x")
    lines = [LINES["next"], LINES["skip"], LINES["skip"], LINES["note"]]
    assert [line for line in hits.lines if line in LINES.values()] == lines


def test_what_nobody_has_any_more_is_not_watched_for_ever(program, monkeypatch):
    """After many calls those are forgotten whose functions are gone; the others go on."""
    monkeypatch.setattr(families, "MOST_OUTLIVED", 8)
    with Recorder() as hits:
        watchpoint = hits.changes("total", scope=program.counter)
        kept, _ = program.counter()
        holder = [program.counter()[0].__closure__[0]]
        for _ in range(3 * families.MOST_OUTLIVED):
            program.counter()
        gc.collect()
        assert len(watchpoint.activations) <= families.MOST_OUTLIVED + 1
        hits.hits.clear()
        kept()
        holder[0].cell_contents = 7
    assert [hit.new for hit in hits.hits] == [1, 7]
