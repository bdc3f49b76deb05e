"""JSON objects, one a line; made without the module json, of which the program may replace any part."""

from __future__ import annotations

from typing import Any

from stopwhen.originals import use_original_builtins

use_original_builtins(globals())

try:
    from _json import encode_basestring_ascii as _quoted
except ImportError:  # an interpreter without the C part
    from json.encoder import py_encode_basestring_ascii as _quoted


def json_line(data: dict[str, Any]) -> str:
    """Return `data`, made of dicts, lists, texts, numbers, booleans and None, as one line of JSON."""
    return f"{_json(data)}\n"


def _json(data: Any) -> str:
    if data is None or data is True or data is False:
        return {None: "null", True: "true", False: "false"}[data]
    if isinstance(data, dict):
        return "{" + ", ".join(f"{_quoted(name)}: {_json(value)}" for name, value in data.items()) + "}"
    if isinstance(data, list):
        return "[" + ", ".join(map(_json, data)) + "]"
    return str(_quoted(data)) if isinstance(data, str) else int.__repr__(data)
