"""The text of a hit: compared with the files in tests/golden; STOPWHEN_UPDATE_GOLDEN=1 rewrites those."""

from __future__ import annotations

import builtins
import inspect
import io
import os
import pathlib
import re
import sys
import types

import pytest

from stopwhen.change import Change, describe
from stopwhen.event import Items, Rebound, Spliced
from stopwhen.hit import Hit
from stopwhen.location import Location, locate, own_location
from stopwhen.reports.text import error_text, format_hit, wants_color
from stopwhen.types import ABSENT, AccessType

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"

# The story of the contract: line numbers are part of the picture.
FILES = {
    "main.py": "from nose.core import run\n\nrun()\n",
    "nose/core.py": 'from nose.loader import TestLoader\n\n\ndef run():\n    TestLoader("lib")\n',
    "nose/__init__.py": "",
    "nose/loader.py": "from nose.importer import add_path\n"
    + "\n" * 73
    + "class TestLoader:\n"
    + "    def __init__(self, directory):\n"
    + "\n" * 2
    + "        add_path(directory, parents=1)\n",
    "nose/importer.py": "import sys\n"
    + "\n" * 252
    + "def add_path(path, parents=0):\n"
    + "    added = []\n"
    + "    if not parents:\n"
    + "        sys.path.insert(0, path)\n"
    + "        sys.path.append(\n            path,\n        )\n"
    + "        return added\n"
    + "\n"
    + "    return add_path(path, parents - 1)\n",
}


class Story:
    """A program that was run, with the places of each write to its `sys.path`."""

    def __init__(self, root):
        self.places = {}
        for name, text in FILES.items():
            file = root / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        self.modules = {}
        path = types.SimpleNamespace(insert=self._note("insert"), append=self._note("append"))
        importer = self._run(root / "nose" / "importer.py")
        importer["sys"] = types.SimpleNamespace(path=path)
        self.modules["nose.importer"] = importer
        self.modules["nose.loader"] = self._run(root / "nose" / "loader.py")
        self.modules["nose.core"] = self._run(root / "nose" / "core.py")
        self._run(root / "main.py")

    def _run(self, file):
        def find(name, *_):
            return types.SimpleNamespace(**self.modules[name]) if name in self.modules else sys

        names = {"__name__": file.stem, "__builtins__": vars(builtins) | {"__import__": find}}
        exec(compile(file.read_text(), str(file), "exec"), names)
        return names

    def _note(self, name):
        def note(*_):
            places, frame = [], inspect.currentframe().f_back
            while frame.f_code.co_filename != __file__:
                places.append((frame.f_code, frame.f_lasti))
                frame = frame.f_back
            self.places[name] = tuple(places)

        return note


@pytest.fixture
def story(tmp_path, monkeypatch):
    """Return a program that was run, in a directory that is on `sys.path`."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr("stopwhen.location._START", str(tmp_path))
    return Story(tmp_path)


def make_hit(places, *, expression="sys.path", access=AccessType.CHANGE, **fields):
    """Return a hit at the first of `places`."""
    watchpoint = types.SimpleNamespace(
        number=1, expression=types.SimpleNamespace(text=expression), access=access, forbidden_at=None
    )
    known = {
        "watchpoint": watchpoint,
        "old": ABSENT,
        "new": ABSENT,
        "old_text": "",
        "new_text": "",
        "change": describe(Spliced(0, (), ("/home/ned/project/lib",), 6), "sys.path"),
        "location": locate(*places[0]) if places else None,
        "own_location": own_location(places),
        "by": None,
        "thread": "MainThread",
        "thread_id": 1,
        "task": None,
        "pid": 4242,
        "time_ns": 0,
        "count": 1,
        "mechanism": "recheck",
        "places": places,
    }
    return Hit(**known | fields)


def check(name, hit, *, color=False, width=82):
    """Compare the text of a hit with a golden file."""
    text = format_hit(hit, color=color, width=width)
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("STOPWHEN_UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    return text


def test_the_story_of_the_contract(story):
    """The very text that the contract shows."""
    hit = make_hit(
        story.places["insert"],
        expression='sys.path[0].endswith("lib")',
        access=AccessType.TRUE,
        by="list.insert",
        old_text="False",
        new_text="True",
    )
    text = check("became_true", hit)
    assert re.sub(r"\x1b\[\d*m", "", check("became_true_in_colour", hit, color=True)) == text


def test_a_write_in_the_standard_library_shows_both_places(story):
    """The line that wrote and the nearest line of the program's own."""
    library = (type(os.environ).__setitem__.__code__, 0)
    hit = make_hit(
        (library, *story.places["insert"]),
        expression="os.environ",
        change=describe(Items((("TZ", "UTC", "CET"),), 5), "os.environ"),
    )
    lines = format_hit(hit, color=False, width=80).splitlines()
    library_place = rf"{re.escape(os.__file__)}:\d+ in _Environ\.__setitem__"
    assert re.fullmatch(rf"  {library_place}   for nose/importer\.py:257 in add_path", lines[1])
    assert lines[3:] == [
        "  os.environ  changed 'TZ': 'UTC' -> 'CET'",
        "  from nose/importer.py:257 in add_path, nose/importer.py:263 in add_path, ... main.py:3",
    ]


def test_a_scalar_shows_old_and_new(story):
    """At module level there is no function to name, and nobody who called."""
    change = describe(Rebound(10, 12), "total")
    check("scalar", make_hit(story.places["insert"][-1:], expression="total", change=change, count=3))


def test_who_wrote_is_told_where_it_is_not_plain(story):
    """Another thread, a task, a forked child."""
    hit = make_hit(story.places["insert"][:2], by="list.insert", thread="worker\x1b[2J", task="fetch-1", in_child=True)
    check("who", hit)


def test_an_inexact_hit_claims_no_line(story):
    """Between which two places it happened, in words."""
    insert, append = (locate(*story.places[name][0]) for name in ("insert", "append"))
    hit = make_hit(story.places["append"], exact=False, between=(insert, append))
    text = check("inexact", hit)
    assert "somewhere between" in text
    same = make_hit(story.places["append"], exact=False, between=(append, append))
    assert "not certain" in check("inexact_at_one_place", same)
    assert "not certain" in format_hit(make_hit(story.places["append"], exact=False), color=False, width=80)


def test_a_hit_without_a_python_frame_says_so():
    """A C thread, or the interpreter's end."""
    check("in_c_code", make_hit(()))


def test_an_expression_true_already_has_the_arming_call(story):
    """Nothing changed."""
    hit = make_hit(
        story.places["insert"][-1:],
        expression="debug",
        access=AccessType.TRUE,
        already=True,
        change=None,
        new_text="True",
    )
    check("already", hit)


def test_a_read_shows_the_value(story):
    """Nothing changed, the value is what matters."""
    hit = make_hit(story.places["insert"][:1], expression="total", access=AccessType.READ, change=None, new_text="12")
    check("read", hit)


def test_a_write_shows_the_value(story):
    """The same value too."""
    change = describe(Rebound(12, 12), "total")
    check("write", make_hit(story.places["insert"][:1], expression="total", access=AccessType.WRITE, change=change))


def test_what_the_change_did_to_the_expression_is_shown(story):
    """`len(queue)` is not the part that was written."""
    change = describe(Spliced(3, (), ("job",), 4), "queue")
    hit = make_hit(story.places["insert"][:1], expression="len(queue)", change=change, old_text="3", new_text="4")
    check("derived", hit)


def test_of_a_statement_over_several_lines_the_first_is_shown(story):
    """That is where the call begins."""
    check("several_lines", make_hit(story.places["append"][:1]))


def test_nothing_of_the_programs_text_is_obeyed_by_the_terminal(tmp_path):
    """Escape sequences, line ends, surrogates: in file names, functions, source, expressions, values."""
    evil = "\x1b[31m\r\n\x07\udc80\u202e"
    file = tmp_path / "evil.py"
    file.write_text("x = '\x1b[31m\x07\u202e'\n", encoding="utf-8")
    places = ((compile("x = 1", str(file), "exec"), 4),)
    hit = make_hit(
        places,
        expression=f"d['{evil}']",
        by=f"list.{evil}",
        thread=evil,
        task=evil,
        location=Location(str(file), 1, 1, 0, 1, f"f{evil}"),
        own_location=Location(evil, 1, 1, 0, 1, evil),
        change=Change("changed", evil, evil),
        new_text=evil,
    )
    for one in (hit, hit.__replace__(change=None), hit.__replace__(own_location=None)):
        text = format_hit(one, color=False, width=80)
        assert all(line.isprintable() for line in text.splitlines())
        assert text.count("\n") == len(text.splitlines())
        text.encode("utf-8")


def test_long_texts_are_cut(tmp_path):
    """A source line fits the width; an expression of a thousand characters does not fill the screen."""
    file = tmp_path / "long.py"
    file.write_text(f"x = '{'x' * 500}'\n")
    places = ((compile(file.read_text(), str(file), "exec"), 2),)
    lines = format_hit(make_hit(places, expression="x + " * 300 + "x"), color=False, width=60).splitlines()
    assert len(lines[0]) < 300
    assert len(lines[2]) == 60
    assert lines[2].endswith("...")


def test_whoever_started_the_program_is_left_out(story):
    """Neither stopwhen's own frames nor runpy's are callers of the program."""
    import runpy

    starters = ((runpy.run_path.__code__, 0), (format_hit.__code__, 0), (runpy.run_path.__code__, 0))
    hit = make_hit((*story.places["insert"], *starters))
    assert format_hit(hit, color=False, width=80).endswith(", ... main.py:3\n")
    hit = make_hit((story.places["insert"][0], *starters))
    assert "from" not in format_hit(hit, color=False, width=80)


def test_recursion_is_told_shortly(story):
    """Of a thousand callers three are named."""
    places = story.places["insert"]
    hit = make_hit((places[0], *[places[1]] * 1000, places[-1]))
    assert format_hit(hit, color=False, width=80).splitlines()[-1].count("nose/importer.py") == 2
    assert "stack" not in vars(hit)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


class Broken:
    """A stream of the program's that cannot be asked."""

    def isatty(self):
        raise ValueError


@pytest.mark.parametrize(
    ("stream", "environment", "wanted"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (None, {}, False),
        (Broken(), {}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1", "TERM": "dumb"}, True),
    ],
)
def test_colour_is_for_terminals_and_by_wish(monkeypatch, stream, environment, wanted):
    """NO_COLOR and FORCE_COLOR mean what they mean elsewhere; empty is unset."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_color(stream) is wanted


def test_the_text_of_an_exception_is_one_line(story):
    """What the hit is, where and by whom, as the exception says it; and where it was forbidden."""
    places = story.places["insert"]
    hit = make_hit(places, by="list.insert", thread="worker")
    said = "sys.path changed: inserted '/home/ned/project/lib' at 0"
    assert error_text(hit) == f"{said}, at nose/importer.py:257 in add_path, by list.insert, in thread worker"
    here = hit.__replace__(exact=False, between=(locate(*places[1]), locate(*places[0])))
    assert "somewhere between nose/importer.py:263 in add_path and nose/importer.py:257 in add_path" in error_text(here)
    assert error_text(make_hit((), location=None)) == f"{said}, in C code, no Python frame"
    already = make_hit(places, access=AccessType.TRUE, expression="x > 1", change=None, already=True)
    assert error_text(already) == "x > 1 is already true, at nose/importer.py:257 in add_path"
    hit.watchpoint.forbidden_at = locate(*places[-1])
    assert error_text(hit).startswith("sys.path may not change: inserted ")
    assert error_text(hit).endswith(", in thread worker (forbidden at main.py:3)")
