"""Every message has a slug, and every slug an entry in the messages' reference."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference" / "messages.md"


def slugs_in_source() -> set[str]:
    """Return the slugs that the package's source gives to errors, or writes at the end of a text."""
    return {
        slug or written
        for file in (ROOT / "src").rglob("*.py")
        for slug, written in re.findall(r'\bslug="([^"]+)"|\[([a-z]+(?:-[a-z]+)+)\]"', file.read_text(encoding="utf-8"))
    }


def slugs_in_reference() -> list[str]:
    """Return the slugs that have an entry, in order."""
    return re.findall(r"^## `([^`]+)`$", REFERENCE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_every_slug_of_the_source_has_an_entry():
    """Who meets a message finds it in the reference."""
    assert slugs_in_source() - set(slugs_in_reference()) == set()


def test_every_entry_is_of_a_slug_in_the_source():
    """The reference has no message that cannot come."""
    assert set(slugs_in_reference()) - slugs_in_source() == set()


def test_entries_are_in_order_and_once():
    """An entry is found by looking it up."""
    assert slugs_in_reference() == sorted(set(slugs_in_reference()))


def test_slugs_are_short_names():
    """A slug is made of lower-case words."""
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", slug) for slug in slugs_in_source())
