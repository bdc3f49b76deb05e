"""Filters by who writes: thread, task, file, function, and who is among the callers."""

from __future__ import annotations

import textwrap
import threading
from typing import Any

import pytest

from helpers import marked_lines
from recorder import Recorder

SOURCE = textwrap.dedent("""
    import asyncio, threading

    n = 0

    def load_all():
        global n
        n += 1  # @load_all

    class Cart:
        def add(self):
            global n
            n += 1  # @add

        def fill(self):
            self.add()

        async def later(self):
            global n
            await asyncio.sleep(0)
            n += 1  # @later

    def outer():
        def inner():
            global n
            n += 1  # @inner
        inner()

    def through():
        load_all()

    async def both():
        one = asyncio.create_task(Cart().later(), name="import-1")
        other = asyncio.create_task(Cart().later(), name="export-1")
        await one
        await other

    def go():
        load_all()
        Cart().add()
        Cart().fill()
        outer()
        through()
        worker = threading.Thread(target=load_all, name="worker-1")
        worker.start()
        worker.join()
        asyncio.run(both())
""")

LINES = marked_lines(SOURCE)

CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["load_all", "add", "add", "inner", "load_all", "load_all", "later", "later"]),
    ({"functions": "load_all"}, ["load_all"] * 3),
    ({"functions": "load_*"}, ["load_all"] * 3),
    ({"functions": "Cart.*"}, ["add", "add", "later", "later"]),
    ({"functions": "add"}, []),  # a qualified name is asked for
    ({"functions": "*add"}, ["add", "add"]),
    ({"functions": ["inner", "outer.<locals>.inner"]}, ["inner"]),
    ({"callers": "Cart.fill"}, ["add"]),
    ({"callers": ["through", "outer"]}, ["inner", "load_all"]),
    ({"callers": "Cart.add"}, ["add", "add"]),  # some frame of the stack: the writer's, too
    ({"callers": "*threading.py"}, ["load_all"]),
    ({"callers": "*/program_of_filters.py", "functions": "outer*"}, ["inner"]),
    ({"callers": "nobody"}, []),
    ({"tasks": "import-1"}, ["later"]),
    ({"tasks": "*port-*"}, ["later", "later"]),
    ({"tasks": "Task-?", "functions": "*"}, []),
    ({"threads": "worker-*"}, ["load_all"]),
    ({"threads": ("worker-1", "MainThread"), "functions": "load_all"}, ["load_all"] * 3),
    ({"files": "*/program_of_filters.py", "not_files": "*of_filters*"}, []),
    ({"files": "*program_of_*", "functions": "Cart.add", "callers": "Cart.fill"}, ["add"]),
    ({"functions": "load_all", "condition": "new == 5"}, ["load_all"]),
    ({"functions": "load_all", "hit_condition": 2}, ["load_all"]),
]


@pytest.mark.parametrize("mechanism", [None, "recheck"])
def test_filters_let_through_what_they_name(monkeypatch, mechanism, tmp_path):
    """Each lets pass the writes of whom it names, and no others, before condition and count."""
    if mechanism is not None:
        monkeypatch.setenv("STOPWHEN_MECHANISMS", mechanism)
    path = str(tmp_path / "program_of_filters.py")
    names = {line: name for name, line in LINES.items()}
    failed = []
    for options, expected in CASES:
        program: dict[str, Any] = {"__name__": "program_of_filters"}
        exec(compile(SOURCE, path, "exec"), program)
        with Recorder() as hits:
            hits.changes("n", scope=program, **options)
            program["go"]()
        found = [names[line] for line in hits.lines]
        if found != expected:
            failed.append((options, found))
    assert failed == []
    assert threading.current_thread() is threading.main_thread()


def test_filters_come_before_the_count():
    """What a filter does not let through is not counted."""
    program: dict[str, Any] = {}
    exec(compile(SOURCE, "program.py", "exec"), program)
    with Recorder() as hits:
        watchpoint = hits.changes("n", scope=program, functions="Cart.add", hit_condition=2)
        program["go"]()
    assert watchpoint.count == 2
    assert [hit.count for hit in watchpoint.hits] == [2]
