"""JSON objects, one a line; made without the module json, of which the program may replace any part."""

from __future__ import annotations

from stopwhen.location import Location, locate, place_dict, program_places
from stopwhen.of_code import OfCode, empty_for
from stopwhen.originals import use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stopwhen.event import Place
    from stopwhen.hit import Hit

use_original_builtins(globals())

try:
    from _json import encode_basestring_ascii as _quoted
except ImportError:  # an interpreter without the C part
    from json.encoder import py_encode_basestring_ascii as _quoted


def json_line(data: dict[str, Any]) -> str:
    """Return `data`, made of dicts, lists, texts, numbers, booleans and None, as one line of JSON."""
    return f"{_json(data)}\n"


def hit_line(hit: Hit) -> str:
    """Return `hit.to_dict()` as one line of JSON; each place of its stack is turned into text once."""
    return json_line(hit.told(_of_location, _of_stack(hit.places)))


class _Written(str):
    """A piece of JSON."""

    __slots__ = ()


_MOST_LOCATIONS: Final = 1024
_locations: Final[dict[Location, _Written]] = {}
_located: Final[OfCode[dict[int, str]]] = OfCode(empty_for)


def _of_location(location: Location | None) -> _Written | None:
    if location is None:
        return None
    text = _locations.get(location)
    if text is None:
        text = _Written(_json(place_dict(location)))
        if len(_locations) < _MOST_LOCATIONS:
            _locations[location] = text
    return text


def _of_stack(places: Sequence[Place]) -> _Written:
    texts = []
    for code, offset in program_places(places):
        known = _located(code)
        text = known.get(offset)
        if text is None:
            text = known[offset] = _json(place_dict(locate(code, offset)))
        texts.append(text)
    return _Written(f"[{', '.join(texts)}]")


def _json(data: Any) -> str:
    kind = type(data)
    if kind is str:
        return _quoted(data)
    if kind is int:
        return int.__repr__(data)
    if kind is _Written:
        return str.__str__(data)
    if data is None or data is True or data is False:
        return {None: "null", True: "true", False: "false"}[data]
    if isinstance(data, dict):
        return "{" + ", ".join([f"{_quoted(name)}: {_json(value)}" for name, value in data.items()]) + "}"
    if isinstance(data, list):
        return "[" + ", ".join(map(_json, data)) + "]"
    return str(_quoted(data)) if isinstance(data, str) else int.__repr__(data)
