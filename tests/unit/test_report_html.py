"""The HTML of a hit: well formed, escaped, bounded, of plain elements alone."""

from __future__ import annotations

import html.parser
import re
import types

import pytest

from stopwhen.change import Change
from stopwhen.hit import Hit
from stopwhen.location import locate, own_location
from stopwhen.reports.html import html_of
from stopwhen.reports.text import format_hit
from stopwhen.types import ABSENT, AccessType

EVIL = "</div><script>alert('1')</script>&amp;\"\x1b[31m\u202e"


class Page(html.parser.HTMLParser):
    """Collects what a page has, and checks that its elements nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open, self.texts = set(), set(), [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)


def run(source, path, name="work"):
    """Run a program and return the places of the frames that call `note`, innermost first."""
    path.write_text(source, encoding="utf-8")
    found = []

    def note(*_):
        import sys

        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename == str(path):
            found.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back
        return 0

    exec(compile(source, str(path), "exec"), {"note": note})
    return tuple(found)


def make_hit(places, **fields):
    watchpoint = types.SimpleNamespace(
        number=3,
        expression=types.SimpleNamespace(text=fields.pop("expression", "rows")),
        access=fields.pop("access", AccessType.CHANGE),
        forbidden_at=None,
    )
    known = {
        "watchpoint": watchpoint,
        "old": ABSENT,
        "new": ABSENT,
        "old_text": "1",
        "new_text": "2",
        "change": Change("inserted", "rows", "inserted 3 at 0"),
        "location": locate(*places[0]) if places else None,
        "own_location": own_location(places),
        "by": None,
        "thread": "MainThread",
        "thread_id": 1,
        "task": None,
        "pid": 1,
        "time_ns": 0,
        "count": 2,
        "mechanism": "recheck",
        "places": places,
    }
    return Hit(**known | fields)


@pytest.fixture
def places(tmp_path):
    """Of a call in a function, on a line with more on it."""
    return run("def work():\n    x = 'é'; note(x); y = 2\nwork()\n", tmp_path / "program.py")


def test_it_tells_what_the_text_tells(places):
    """What, which hit, where, by what, in which thread, the source, the values, who called."""
    page = Page(html_of(make_hit(places, by="list.insert", thread="loader")))
    for word in ("rows changed", "hit 2", "program.py:2 in work", "by list.insert", "in thread loader"):
        assert word in page.text
    assert "x = 'é'; note(x); y = 2" in page.text
    assert re.search(r"rows\s+inserted 3 at 0", page.text)
    assert "program.py:3" in page.text


def test_the_instruction_that_wrote_is_marked(places):
    """On its line, by the bytes that the compiler noted; not where the line is not certain."""
    text = html_of(make_hit(places))
    assert re.search(r"<span[^>]*>note\(x\)</span>; y = 2", text)
    other = locate(places[0][0], 0)
    unsure = html_of(make_hit(places, exact=False, between=(other, locate(*places[0]))))
    assert "somewhere between" in Page(unsure).text
    assert ">note(x)<" not in unsure


def test_nothing_of_the_program_is_markup(places):
    """Whatever its texts are; control characters are written as escapes."""
    hit = make_hit(
        places,
        expression=f"rows[{EVIL}]",
        change=Change("bound", f"rows{EVIL}", f"bound to {EVIL}"),
        old_text=EVIL,
        new_text=f"{EVIL}2",
        by=EVIL,
        thread=EVIL,
        task=EVIL,
    )
    text = html_of(hit)
    page = Page(text)
    assert page.tags <= {"div", "span", "b", "details", "summary", "code"}
    assert page.attributes <= {"style"}
    assert page.text.count("<script>") >= 6
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_source_is_escaped_too(tmp_path):
    """It is the program's."""
    hit = make_hit(run("x = '<b>&'; note('<i>')\n", tmp_path / "p.py"))
    assert "note(&#x27;&lt;i&gt;&#x27;)" in html_of(hit)
    assert "<i>" not in html_of(hit)


def test_nothing_is_loaded_from_elsewhere(places):
    """No script, no style sheet, no picture, no link."""
    text = html_of(make_hit(places, by="list.insert"))
    assert not re.search(r"https?:|url\(|<script|<style|<link|<img|src=|href=|@import", text)


def test_it_is_bounded(tmp_path):
    """However long the line, however deep the stack."""
    source = f"def work(n):\n    return work(n - 1) if n else note('{'x' * 5000}')\nwork(300)\n"
    hit = make_hit(run(source, tmp_path / "p.py"), expression="y" * 5000)
    text = html_of(hit)
    Page(text)
    assert len(text) < 15_000
    assert "289 more" in text


def test_a_hit_without_a_frame_or_source_is_told(tmp_path):
    """In C code; of text that is nowhere."""
    assert "in C code, no Python frame" in Page(html_of(make_hit((), location=None))).text
    places = run("note()\n", tmp_path / "p.py")
    (tmp_path / "p.py").unlink()
    import linecache

    linecache.checkcache()
    assert "p.py:1" in Page(html_of(make_hit(places))).text


def test_a_call_over_several_lines_is_shown_by_its_first(tmp_path):
    """Without a mark, which would end somewhere else."""
    text = html_of(make_hit(run("note(\n    1,\n)\n", tmp_path / "p.py")))
    assert "1 | note(" in Page(text).text


def test_old_and_new_are_told_apart(places):
    """Where the change is to something that the expression is computed from."""
    hit = make_hit(places, expression="len(rows)", old_text="1", new_text="2")
    assert re.search(r"len\(rows\)\s+1 → 2", Page(html_of(hit)).text)
    already = make_hit(places, access=AccessType.TRUE, change=None, already=True)
    assert "rows is already true" in Page(html_of(already)).text
    assert format_hit(already, color=False, width=80)
