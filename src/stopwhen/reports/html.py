"""The HTML of a hit for a notebook: escaped, bounded, without scripts or other files, for light and dark pages."""

from __future__ import annotations

import html

from stopwhen.location import Location, locate, shown_line, source_line
from stopwhen.originals import use_original_builtins
from stopwhen.reports.text import Callers, callers, chain_words, head, places, spot, values, where, who
from stopwhen.texts import clean
from stopwhen.type_hints import TYPE_CHECKING, Final

use_original_builtins(globals())
if TYPE_CHECKING:
    from stopwhen.hit import Hit

_MOST_CALLERS: Final = 12
_MOST_SOURCE: Final = 200  # Characters of a source line.

# Colours that read on white and on black alike, all else is the page's own; a style attribute stays where a
# notebook's cleaner takes style sheets out.
_BOX: Final = "border-left:4px solid #d9822b;padding:4px 12px;margin:4px 0;line-height:1.45;font-size:13px"
_MONO: Final = "font-family:Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:12px"
_CODE: Final = (
    f"{_MONO};background-color:rgba(128,128,128,0.12);color:inherit;padding:3px 8px;margin:3px 0;"
    "border-radius:3px;white-space:pre;overflow-x:auto;line-height:1.45"
)
_FAINT: Final = "opacity:0.65"
_WROTE: Final = "background-color:rgba(217,130,43,0.3);border-radius:2px"
_OLD: Final = "background-color:rgba(214,69,69,0.18);border-radius:2px;padding:0 3px"
_NEW: Final = "background-color:rgba(46,160,67,0.2);border-radius:2px;padding:0 3px"


def html_of(hit: Hit) -> str:
    """Return the HTML that tells of `hit`: what, where, the source with the instruction that wrote, who, who called."""
    what, count = head(hit)
    parts = [
        _element("div", _element("b", _text(what)) + _element("span", f" &nbsp;{_text(count)}", _FAINT)),
        _place(hit),
        *(_source(location, hit) for location in places(hit)),
        *(_value(name, old, new) for name, old, new in values(hit)),
        _callers(callers(hit)),
    ]
    return _element("div", "".join(parts), _BOX)


def _element(tag: str, content: str, style: str = "") -> str:
    opening = f'<{tag} style="{html.escape(style)}">' if style else f"<{tag}>"
    return f"{opening}{content}</{tag}>"


def _text(text: str) -> str:
    return html.escape(text)


def _place(hit: Hit) -> str:
    said = "".join(f", {_text(one)}" for one in who(hit))
    return _element("div", _text(where(hit)) + _element("span", said, _FAINT))


def _source(location: Location, hit: Hit) -> str:
    """Return the source line, the instruction that wrote marked where it is known for certain and on one line."""
    line = source_line(location)
    if line is None:
        return ""
    raw = line.encode("utf-8", "surrogatepass")  # Columns count bytes.
    first, last = location.col_offset, location.end_col_offset
    number = _element("span", f"{shown_line(location.filename, location.lineno)} | ", _FAINT)
    if not hit.exact or first is None or last is None or location.end_lineno != location.lineno or last > len(raw):
        return _element("div", number + _code(line.strip(), _MOST_SOURCE), _CODE)
    pieces = [raw[:first].lstrip(), raw[first:last], raw[last:].rstrip()]
    before, wrote, after = (piece.decode("utf-8", "replace") for piece in pieces)
    left = _MOST_SOURCE - len(before)
    shown = _code(before, _MOST_SOURCE) + _element("span", _code(wrote, left), _WROTE) + _code(after, left - len(wrote))
    return _element("div", number + shown, _CODE)


def _code(text: str, most: int) -> str:
    text = text.expandtabs(4)
    return _text(clean(text if len(text) <= most else text[: max(most, 0)] + "..."))


def _value(name: str, old: str | None, new: str) -> str:
    shown = _element("span", _text(new), _NEW if old is not None else "")
    if old is not None:
        shown = f"{_element('span', _text(old), _OLD)} &rarr; {shown}"
    return _element("div", f"{_element('span', _text(name), 'font-weight:bold')} &nbsp;{shown}", _MONO)


def _callers(chain: Callers) -> str:
    """Return who called, folded up; nothing when nobody did."""
    if not chain:
        return ""
    shown = chain.ends(_MOST_CALLERS)
    lines = []
    for code, offset in shown:
        location = locate(code, offset)
        source = source_line(location)
        text = "" if source is None else f" &nbsp;{_element('code', _code(source.strip(), 80), _MONO)}"
        lines.append(_element("div", f"{_text(spot(location))}{text}"))
    if len(chain) > len(shown):
        lines.insert(-1, _element("div", f"... {len(chain) - len(shown)} more", _FAINT))
    return _element("details", _element("summary", f"from {_text(chain_words(chain))}", _FAINT) + "".join(lines))
