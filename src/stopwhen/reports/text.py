"""The text of a hit for a terminal or a log."""

from __future__ import annotations

from stopwhen.event import Place
from stopwhen.immutable import Immutable
from stopwhen.location import (
    Location,
    cell_of,
    filenames_of,
    has_cells,
    is_front_end,
    is_ours,
    is_own_code,
    locate,
    place_name,
    real_filename,
    short_name,
    shown_line,
    source_line,
)
from stopwhen.originals import os, use_original_builtins
from stopwhen.texts import clean
from stopwhen.type_hints import TYPE_CHECKING, Final, Literal, Protocol
from stopwhen.types import AccessType

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stopwhen.hit import Hit
    from stopwhen.tally import Count

USUAL_WIDTH: Final = 82
_WIDEST: Final = 120
_MOST: Final = 240  # Characters of the watch expression, or of a name, that are shown.

_VERBS: Final = {
    AccessType.CHANGE: "changed",
    AccessType.TRUE: "became true",
    AccessType.WRITE: "was written",
    AccessType.READ: "was read",
}

_COLOURS: Final = {"what": "1", "count": "2", "where": "36", "line": "1", "change": "33", "from": "2"}

_STARTERS: Final = ("runpy.py", os.path.join("importlib", "_bootstrap.py"))


class HasIsatty(Protocol):
    """A stream, as far as colour is concerned."""

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""


def wants_color(stream: HasIsatty | None) -> bool:
    """Tell that colour is wanted on `stream`: by NO_COLOR, FORCE_COLOR and TERM, else when it is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    if stream is None or os.environ.get("TERM") == "dumb":
        return False
    try:
        return bool(stream.isatty())
    except Exception:  # A stream of the program's, or a closed one.
        return False


def columns_asked_for() -> int | None:
    """Return the width that the environment asks for by COLUMNS; None for none."""
    asked = os.environ.get("COLUMNS", "")
    return int(asked) or None if asked.isascii() and asked.isdigit() else None


def report_width(columns: int | None) -> int:
    """Return how wide reports are where there are so many columns; None for what is no terminal."""
    return min(columns or USUAL_WIDTH, _WIDEST)


def format_hit(
    hit: Hit,
    *,
    color: bool = False,
    width: int = USUAL_WIDTH,
    reporter: str = "stopwhen",
    stack: int | Literal["all"] | None = None,
) -> str:
    """Return the lines that tell of `hit`, each ended by a line end; the first begins with the name of the reporter.

    Nothing of the program's text reaches the terminal but as printable characters; source lines are cut to `width`.
    `stack` is how many callers are shown, each on a line of its own; None for a few in one line.
    """
    writer = _Writer(color, width, reporter)
    lines = [writer.head(hit), *writer.place(hit), *writer.values(hit), *writer.callers(hit, stack)]
    return "".join(f"{line}\n" for line in lines)


def folded_text(hit: Hit, more: int) -> str:
    """Return the line that counts `more` hits like `hit`, at the same line, that were not shown."""
    place = f"at {where(hit)}" if hit.exact and places(hit) else where(hit)
    return f"{head(hit)[0]} {place} ... and {more} more at this line"


def summary(counts: list[tuple[str, Count]], told: int) -> str:
    """Return the line that counts the hits of a run, by watch expression; `told` of them have been told of before."""
    total, children = sum(count.total for _, count in counts), sum(count.children for _, count in counts)
    by_text: dict[str, int] = {}
    for text, count in counts:
        by_text[text] = by_text.get(text, 0) + count.total
    each = ", ".join(f"{_name(text)} {number}" for text, number in by_text.items() if number)
    first = "1 hit" if total == 1 else f"{total} hits"
    later = f", {total - told} of them after the end was told" if told else ""
    return f"{first}: {each}{f' ({children} in children)' if children else ''}{later}"


def error_text(hit: Hit) -> str:
    """Return the line that the exception says which a hit raises: what happened, where, and where it was forbidden."""
    name, forbidden_at = hit.watchpoint.expression.text, hit.watchpoint.forbidden_at
    said = head(hit)[0] if forbidden_at is None else f"{_name(name)} may not change"
    if hit.change is not None:
        part = "" if hit.change.name == name else f"{_name(hit.change.name)} "
        said += f": {part}{clean(hit.change.text)}"
    said = ", ".join([said, f"at {where(hit)}" if hit.exact and places(hit) else where(hit), *who(hit)])
    return said if forbidden_at is None else f"{said} (forbidden at {_where(forbidden_at)})"


def counted(access: AccessType, text: str, count: int) -> str:
    """Return how often what was watched happened."""
    times = "1 time" if count == 1 else f"{count:,} times"
    return f"{text} {_VERBS[access]} {times}"


# What there is to tell, in words; for HTML too.


def head(hit: Hit) -> tuple[str, str]:
    """Return what was hit, and which hit it is."""
    verb = "is already true" if hit.already else _VERBS[hit.watchpoint.access]
    of = "" if hit.instance is None else f" of {clean(hit.instance)}"
    return f"{_name(hit.watchpoint.expression.text)}{of} {verb}", f"hit {hit.count}"


def places(hit: Hit) -> list[Location]:
    """Return the location that wrote, or the two between which it happened; none where there was no Python frame."""
    shown = [hit.location] if hit.between is None else list(dict.fromkeys(hit.between))
    return [location for location in shown if location is not None]


def where(hit: Hit) -> str:
    """Return where it happened, as certain as that is."""
    locations = places(hit)
    if not locations:
        return "in C code, no Python frame"
    if hit.exact:
        return _where(locations[0])
    if len(locations) == 1:
        return f"near {_where(locations[0])}, the line is not certain"
    return f"somewhere between {_where(locations[0])} and {_where(locations[1])}"


def who(hit: Hit) -> list[str]:
    """Return by what, for whom and in which thread, task and process, as far as that is not plain."""
    said = [f"by {clean(hit.by)}"] if hit.by else []
    if hit.own_location is not None and hit.own_location != hit.location:
        said.append(f"for {_where(hit.own_location)}")
    if hit.thread != "MainThread":
        said.append(f"in thread {_name(hit.thread)}")
    if hit.task is not None:
        said.append(f"in task {_name(hit.task)}")
    if hit.in_child:
        said.append(f"in process {hit.pid}")
    return said


def values(hit: Hit) -> list[tuple[str, str | None, str]]:
    """Return what changed and how, then what that did to the value of the expression when it is another thing.

    Each with its name, the old value where it is told apart, and the new one or what happened in words.
    """
    if hit.already:
        return []
    name = hit.watchpoint.expression.text
    if hit.change is None:
        return [(_name(name), None, clean(hit.new_text))]
    told: list[tuple[str, str | None, str]] = [(_name(hit.change.name), None, clean(hit.change.text))]
    is_told = hit.change.name == name or hit.watchpoint.access is AccessType.TRUE
    if not is_told and hit.old_text != hit.new_text:
        told.append((_name(name), clean(hit.old_text), clean(hit.new_text)))
    return told


class Callers:
    """The places that led to the writer of a hit, innermost first, made one by one as they are asked for."""

    def __init__(self, hit: Hit, indices: Sequence[int]) -> None:
        self._places = hit.places
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Place:
        return self._places[self._indices[index]]

    def first(self, most: int) -> list[Place]:
        """Return the innermost `most`, or all."""
        return [self[n] for n in range(min(most, len(self)))]

    def ends(self, most: int) -> list[Place]:
        """Return `most` of them, or all: the innermost ones and the outermost."""
        return self.first(most) if len(self) <= most else [*self.first(most - 1), self[len(self) - 1]]


def callers(hit: Hit, *, whole: bool = False) -> Callers:
    """Return the places that led to the writer, innermost first, without those of whoever started the program.

    They end with the outermost one in the program's own code; with `whole`, those of libraries that called that follow.
    """
    names = filenames_of(hit.places)
    files = {name: _file_of(name) for name in set(names)}
    first, end = 1, len(names)
    if has_cells():
        end = max((n + 1 for n, name in enumerate(names) if cell_of(files[name].name) is not None), default=end)
    if any(file.is_front_end for file in files.values()):
        end = next((n for n in range(first, end) if files[names[n]].is_front_end), end)
    if any(file.is_bdb for file in files.values()):
        bdb = next((n for n in range(first, end) if files[names[n]].is_bdb), None)
        if bdb is not None:  # It runs a script by a text of its own.
            end = bdb - (bdb > first and names[bdb - 1] == "<string>")
    if not whole:
        own = next((n for n in range(end - 1, first - 1, -1) if files[names[n]].is_own), None)
        end = end if own is None else own + 1
    while end > first and (files[names[end - 1]].is_starter or files[names[end - 1]].is_ours):
        end -= 1
    indices = range(first, max(end, first))
    if any(file.is_ours for file in files.values()):  # of a guarded function
        return Callers(hit, [n for n in indices if not files[names[n]].is_ours])
    return Callers(hit, indices)


class _File(Immutable):
    """What a file is: asked once, however many frames are in it."""

    name: str
    is_front_end: bool
    is_bdb: bool
    is_ours: bool
    is_own: bool
    is_starter: bool


_MOST_FILES: Final = 4096
_files: Final[dict[str, _File]] = {}


def _file_of(filename: str) -> _File:
    """Return what a file is, by the name that code has for it."""
    file = _files.get(filename)
    if file is None:
        name = real_filename(filename)
        kinds = is_front_end(name), _is_named(name, "bdb.py"), is_ours(name), is_own_code(name)
        file = _File(name, *kinds, is_starter=any(_is_named(name, starter) for starter in _STARTERS))
        if len(_files) < _MOST_FILES:
            _files[filename] = file
    return file


def _is_named(filename: str, name: str) -> bool:
    """Tell whether a file has a short name, which takes a while to make."""
    return filename.endswith(name) and short_name(filename) == name


def spot(location: Location, function: str | None = None) -> str:
    """Return file, line and function; at the top level of a file no function."""
    name = location.function if function is None else function
    place = _name(place_name(location.filename, location.lineno))
    return place if name == "<module>" else f"{place} in {_name(name)}"


class _Writer:
    """Writes the parts of one hit's text, for one width, in colour or not."""

    def __init__(self, color: bool, width: int, reporter: str) -> None:
        self._color = color
        self._width = width
        self._reporter = reporter

    def paint(self, part: str, text: str) -> str:
        return f"\x1b[{_COLOURS[part]}m{text}\x1b[0m" if self._color else text

    def head(self, hit: Hit) -> str:
        """Return what was hit, and at the right end which hit it is."""
        what, count = head(hit)
        gap = max(self._width - len(f"{self._reporter}: ") - len(what) - len(count), 2)
        return f"{self._reporter}: {self.paint('what', what)}{' ' * gap}{self.paint('count', count)}"

    def place(self, hit: Hit) -> list[str]:
        """Return where it happened and who did it, and the source."""
        locations = places(hit)
        line = "   ".join([self.paint("where", where(hit)), *who(hit)])
        numbers = len(str(max((shown_line(at.filename, at.lineno) for at in locations), default=0)))
        sources = ((location, source_line(location)) for location in locations)
        return [f"  {line}", *(self.source(at, text, numbers) for at, text in sources if text is not None)]

    def source(self, location: Location, text: str, numbers: int) -> str:
        """Return a source line with its number."""
        start = f"    {shown_line(location.filename, location.lineno):>{numbers}} | "
        return start + self.paint("line", _cut(clean(text.expandtabs(4).rstrip()), max(self._width - len(start), 20)))

    def callers(self, hit: Hit, stack: int | Literal["all"] | None) -> list[str]:
        """Return the callers: a few in one line, or as many as `stack` says, a line each."""
        chain = callers(hit, whole=stack == "all")
        if stack is None:
            return [self.paint("from", f"  from {chain_words(chain)}")] if chain else []
        shown = chain.first(len(chain) if stack == "all" else stack)
        lines = [f"  from {spot(locate(code, offset))}" for code, offset in shown]
        if shown and len(chain) > len(shown):
            lines.append(f"  ... {len(chain) - len(shown)} more")
        return [self.paint("from", line) for line in lines]

    def values(self, hit: Hit) -> list[str]:
        """Return a line for each part that changed."""
        lines = (f"  {name}  {f'{old} -> ' if old is not None else ''}{new}" for name, old, new in values(hit))
        return [self.paint("change", line) for line in lines]


def _where(location: Location) -> str:
    """Return file, line and function; of a function inside a function the inner name."""
    return spot(location, location.function.rpartition("<locals>.")[2])


def chain_words(chain: Callers) -> str:
    """Return the first two callers and the outermost one."""
    shown = chain.ends(3)
    spots = []
    for code, offset in shown:
        location = locate(code, offset)
        spots.append(spot(location, location.function.rpartition(".")[2]))
    if len(chain) > len(shown):
        spots[-1] = f"... {spots[-1]}"
    return ", ".join(spots)


def _name(text: str) -> str:
    return _cut(clean(text), _MOST)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
