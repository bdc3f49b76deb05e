"""Questions of public bug reports, asked of small programs written anew: who changed this?"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers import marked_lines, run_program


@dataclass(frozen=True)
class Report:
    """One question.

    Attributes:
        options: how stopwhen is asked.
        program: what goes wrong; the marks are on the own lines that are to be named.
        marks: of the hits, in order.
        change: what is said of the last hit.
    """

    options: tuple[str, ...]
    program: str
    marks: tuple[str, ...]
    change: str


REPORTS = {
    "a library's logging configuration silences a logger": Report(
        ("--changes", "payments.disabled", "--if", "old is not absent"),
        """
        import logging.config

        payments = logging.getLogger("shop.payments")

        def set_up_library():
            logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})  # @culprit

        set_up_library()
        """,
        ("culprit",),
        "False -> True",
    ),
    "a module in sys.modules outlives the test that put it there": Report(
        ("--changes", "sys.modules"),
        """
        import sys
        import types

        def test_with_fake():
            sys.modules["simplejson"] = types.ModuleType("simplejson")  # @culprit

        def test_innocent():
            assert "simplejson" in sys.modules

        test_with_fake()
        test_innocent()
        """,
        ("culprit",),
        "added 'simplejson'",
    ),
    "a fixture does not put a variable back": Report(
        ("--changes", "os.environ.get('REGION')"),
        """
        import contextlib
        import os

        @contextlib.contextmanager
        def region(name):
            os.environ["REGION"] = name  # @culprit
            yield

        with region("eu"):
            pass
        """,
        ("culprit",),
        "'eu'",
    ),
    "warning filters are reset": Report(
        ("--changes", "warnings.filters", "--if", "len(new) < len(old)"),
        """
        import warnings

        warnings.simplefilter("error")

        def careless():
            warnings.resetwarnings()  # @culprit

        careless()
        """,
        ("culprit",),
        "removed ('error'",
    ),
    "two asyncio tasks share a dict": Report(
        ("--changes", "state", "--task", "bob"),
        """
        import asyncio

        state = {"user": None}

        async def handle(user):
            state["user"] = user  # @culprit
            await asyncio.sleep(0)

        async def main():
            first = asyncio.create_task(handle("ann"), name="ann")
            await asyncio.gather(first, asyncio.create_task(handle("bob"), name="bob"))

        asyncio.run(main())
        """,
        ("culprit",),
        "changed 'user': 'ann' -> 'bob'",
    ),
    "instances of a dataclass share a default": Report(
        ("--changes", "guest.rights", "--if", "old is not absent"),
        """
        from dataclasses import dataclass, field

        DEFAULTS = ["read"]

        @dataclass
        class Role:
            rights: list = field(default_factory=lambda: DEFAULTS)

        admin, guest = Role(), Role()
        admin.rights += ["write"]  # @culprit
        """,
        ("culprit",),
        "inserted 'write' at 1",
    ),
    "a template is copied, but not what is in it": Report(
        ("--depth", "all", "--changes", "TEMPLATE", "--if", "old is not absent"),
        """
        import copy

        TEMPLATE = {"limits": {"cpu": 1}, "tags": []}

        def tenant(name):
            settings = copy.copy(TEMPLATE)
            settings["name"] = name
            settings["limits"]["cpu"] = 8  # @item
            settings["tags"].append(name)  # @append

        tenant("ann")
        """,
        ("item", "append"),
        "inserted 'ann' at 0",
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_the_culprit_is_named(name: str, tmp_path: Path) -> None:
    """Each hit is certain, at the own line that did it, and says what changed."""
    report = REPORTS[name]
    path = tmp_path / "shop.py"
    path.write_text(textwrap.dedent(report.program), encoding="utf-8")
    result = run_program(path, stopwhen=("--action", "log", "--json", "hits.json", *report.options))
    assert result.status == 0, result.stderr
    hits = [json.loads(line) for line in (tmp_path / "hits.json").read_text(encoding="utf-8").splitlines()]
    own = [hit["own_location"] or hit["location"] for hit in hits]
    lines = marked_lines(path)
    assert [(Path(place["filename"]).name, place["lineno"]) for place in own] == [
        ("shop.py", lines[mark]) for mark in report.marks
    ]
    assert all(hit["exact"] for hit in hits)
    assert report.change in hits[-1]["change"]["text"]
