"""JSON objects, one a line, as the standard library would write them."""

from __future__ import annotations

import json

import pytest

from stopwhen.reports.json_lines import json_line


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
