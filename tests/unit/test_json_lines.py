"""JSON objects, one a line, as the standard library would write them."""

from __future__ import annotations

import json

import pytest

import stopwhen
from stopwhen.reports.json_lines import hit_line, json_line


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"a": None, "b": True, "c": False, "d": 0, "e": -(10**30), "f": 'x"\\\n\u2028\ud800é'},
        {"list": [1, [], {}, {"x": [None]}], "text": ""},
    ],
)
def test_data_is_written_as_the_standard_library_writes_it(data):
    """On one line that ends."""
    assert json_line(data) == json.dumps(data) + "\n"


def test_a_hit_is_written_as_its_dict():
    """Whatever its stack, and as often as it is written."""
    hits = []
    names = {"x": 0, "items": [], "stopwhen": stopwhen}

    def change(depth):
        if depth:
            change(depth - 1)
        else:
            names["x"] += 1
            names["items"].append('"\u2028')

    with (
        stopwhen.changes("x", scope=names, action=hits.append),
        stopwhen.changes("items", scope=names, action=hits.append),
        stopwhen.true("x > 0", scope=names, action=hits.append),
    ):
        for depth in (0, 1, 30, 700):
            change(depth)
    assert len(hits) == 9
    for hit in hits * 2:
        assert hit_line(hit) == json.dumps(hit.to_dict()) + "\n"
        assert [place["function"] for place in hit.to_dict()["stack"]] == [place.function for place in hit.stack]
