"""What happened to a cell, in words and in data: a mechanism's delta, or the difference of two values, described."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from stopwhen.deltas import spliced_text
from stopwhen.event import Delta, Items, Members, Rebound, Spliced, Written
from stopwhen.immutable import Immutable
from stopwhen.originals import sys, use_original_builtins
from stopwhen.static import each, is_a
from stopwhen.texts import Text, short_class_name, text_of
from stopwhen.type_hints import Any, Final
from stopwhen.types import ABSENT
from stopwhen.values import is_simple, same

use_original_builtins(globals())

_LISTED: Final = 5  # Items named in the words.
_KEPT: Final = 100  # Items kept as data, on either side.
_KEPT_BYTES: Final = 10_000  # Size of a value that is kept itself.
_SHORT: Final = 60  # Characters of a text that needs no diff.
_TEXT: Final = 100  # Characters of one item's text.
_COMPARED: Final = 10_000  # Items, on either side, that are compared.
_ALIGNED: Final = 64  # Items, on either side, that are aligned one by one.
_EDITS: Final = 3  # Edits told one by one.
_CHARACTERS: Final = 10_000_000  # Characters that are compared.


class Change(Immutable):
    """What happened to one part of the watched data; keeps no hold on the program's objects.

    Attributes:
        kind: "inserted", "removed", "replaced", "reordered", "cleared" for a sequence; "added", "discarded", "cleared"
            for a set; "added", "removed", "changed", "reordered", "cleared" for a dict; "bound", "unbound",
            "rebound", "written" for a place that holds one object; "changed" for all else.
        name: the part, as the watch expression names it.
        text: what happened in words, without the name.
        start: index in a sequence, of the first item concerned.
        removed: what is there no longer: simple values themselves, `Text` for others.
        inserted: what is there now, likewise.
        key: key of the only item of a dict concerned.
        omitted: how many more there are, that `removed` and `inserted` leave out.
    """

    kind: str
    name: str
    text: str
    start: int | None = None
    removed: tuple[Any, ...] = ()
    inserted: tuple[Any, ...] = ()
    key: Any = None
    omitted: int = 0

    def __str__(self) -> str:
        return f"{self.name}  {self.text}"


class _Edit:
    """In a sequence, `removed` at `start` of the old one gave way to `inserted`."""

    __slots__ = ("inserted", "removed", "start")

    def __init__(self, start: int, removed: Sequence[Any], inserted: Sequence[Any]) -> None:
        self.start = start
        self.removed = removed
        self.inserted = inserted


def describe(delta: Delta, name: str, texts: tuple[str, str] | None = None) -> Change:
    """Return what `delta` did to the part called `name`; bounded in time and size, and no user code is run.

    `texts` are those of the old and the new object of a rebinding, by `text_of`, where they are known already.
    """
    if isinstance(delta, Rebound):
        return _rebound(delta.old, delta.new, name, texts)
    if isinstance(delta, Spliced):
        return _spliced(delta, name)
    if isinstance(delta, Members):
        return _members(delta, name)
    if isinstance(delta, Items):
        return _attributes(delta, name) if delta.attributes else _items(delta, name)
    if isinstance(delta, Written):
        return Change("written", name, "written, nothing in it differs")
    return Change("changed", name, "changed")


def _change(
    kind: str,
    name: str,
    text: str,
    removed: Sequence[Any],
    inserted: Sequence[Any],
    *,
    start: int | None = None,
    key: Any = None,
) -> Change:
    omitted = max(len(removed) - _KEPT, 0) + max(len(inserted) - _KEPT, 0)
    return Change(kind, name, text, start, _keep(removed), _keep(inserted), key, omitted)


def _keep(items: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(_kept(item) for item in islice(items, _KEPT))


def _kept(value: Any, text: str | None = None) -> Any:
    """Return a small simple value itself, and of any other its text."""
    kind = type(value)
    is_large = (kind is tuple or kind is frozenset) and len(value) > _KEPT
    if not is_large and is_simple(value) and sys.getsizeof(value) <= _KEPT_BYTES:
        return value
    return Text(text_of(value) if text is None else text)


def _listed(items: Sequence[Any]) -> str:
    """Return the texts of the first items, or of bytes as a whole."""
    if isinstance(items, (str, bytes, bytearray)):
        return text_of(items, _TEXT)
    texts = [text_of(item, _TEXT) for item in items[:_LISTED]]
    if len(items) > len(texts):
        texts.append(f"... {len(items) - len(texts)} more")
    return ", ".join(texts)


def _spliced(delta: Spliced, name: str) -> Change:
    removed, inserted = delta.removed, delta.inserted
    if delta.elementwise and len(removed) == len(inserted) <= _COMPARED:
        return _elements(delta, name)
    if removed and not inserted and delta.length == 0:
        return _change("cleared", name, f"cleared, removed {_listed(removed)}", removed, inserted, start=0)
    edits = _edits(removed, inserted, delta.start)
    if not edits:
        return _change("written", name, f"set to {_listed(inserted)} again", removed, inserted, start=delta.start)
    first = edits[0] if len(edits) == 1 else _Edit(edits[0].start, removed, inserted)
    words = _words_of(edits, delta.shape)
    return _change(_kind_of(edits), name, words, first.removed, first.inserted, start=first.start)


def _elements(delta: Spliced, name: str) -> Change:
    """Return what happened to elements that keep their places, told by runs of neighbours."""
    runs = _runs(delta)
    if not runs:
        text = f"set to {_listed(delta.inserted)} again"
        return _change("written", name, text, delta.removed, delta.inserted, start=delta.start)
    if len(runs) == 1 and len(runs[0].removed) == delta.length:
        words = f"replaced {_listed(runs[0].removed)} by {_listed(runs[0].inserted)}"
    else:
        words = _words_of(runs[:_EDITS], delta.shape)
        words += f"; ... {len(runs) - _EDITS} more" if len(runs) > _EDITS else ""
    first = runs[0] if len(runs) == 1 else _Edit(runs[0].start, delta.removed, delta.inserted)
    return _change("replaced", name, words, first.removed, first.inserted, start=first.start)


def _runs(delta: Spliced) -> list[_Edit]:
    """Return the runs of neighbours that differ."""
    old, new = delta.removed, delta.inserted
    runs: list[_Edit] = []
    begin = 0
    for index in range(len(old) + 1):
        differs = index < len(old) and not _alike(old[index], new[index])
        if not differs:
            if index > begin:
                runs.append(_Edit(delta.start + begin, old[begin:index], new[begin:index]))
            begin = index + 1
    return runs


def of_labelled(delta: Spliced, label: Callable[[int], tuple[str, str]]) -> Change:
    """Return what happened to values of a table; `label` tells the column and the row of an element by its place."""
    runs = [part for run in _runs(delta) for part in _by_column(run, label)]
    words = []
    for run in runs[:_EDITS]:
        (column, row), (_, last) = label(run.start), label(run.start + len(run.removed) - 1)
        rows = f"row {row}" if len(run.removed) == 1 else f"rows {row} to {last}"
        words.append((column, f"replaced {_listed(run.removed)} at {rows} by {_listed(run.inserted)}"))
    columns = {column: None for column, _ in words}
    text = "; ".join(text if len(columns) == 1 else f"{column} {text}" for column, text in words)
    text += f"; ... {len(runs) - _EDITS} more" if len(runs) > _EDITS else ""
    return _change("replaced", ", ".join(columns), text, delta.removed, delta.inserted, start=delta.start)


def _by_column(run: _Edit, label: Callable[[int], tuple[str, str]]) -> list[_Edit]:
    """Return the pieces of a run that are each in one column."""
    pieces: list[_Edit] = []
    begin = 0
    for index in range(1, len(run.removed) + 1):
        if index == len(run.removed) or label(run.start + index)[0] != label(run.start + begin)[0]:
            pieces.append(_Edit(run.start + begin, run.removed[begin:index], run.inserted[begin:index]))
            begin = index
    return pieces


def _kind_of(edits: Sequence[_Edit]) -> str:
    if len(edits) == 1 and _is_reordered(edits[0]):
        return "reordered"
    if not any(edit.removed for edit in edits):
        return "inserted"
    return "replaced" if any(edit.inserted for edit in edits) else "removed"


def _words_of(edits: Sequence[_Edit], shape: tuple[int, ...] = ()) -> str:
    return "; ".join(_edit_words(edit, shape) for edit in edits)


def _edit_words(edit: _Edit, shape: tuple[int, ...] = ()) -> str:
    place = _index_in(edit.start, shape)
    if _is_reordered(edit):
        return f"reordered {len(edit.removed)} items at {place}, now {_listed(edit.inserted)}"
    if not edit.removed:
        return f"inserted {_listed(edit.inserted)} at {place}"
    if not edit.inserted:
        return f"removed {_listed(edit.removed)} at {place}"
    return f"replaced {_listed(edit.removed)} at {place} by {_listed(edit.inserted)}"


def _index_in(start: int, shape: tuple[int, ...]) -> int | tuple[int, ...]:
    """Return where the item is that is the one number `start` of an array, counted row after row."""
    if not shape:
        return start
    place: list[int] = []
    for length in reversed(shape):
        start, index = divmod(start, max(length, 1))
        place.insert(0, index)
    return tuple(place)


def _is_reordered(edit: _Edit) -> bool:
    """Tell that the very same objects are there in another order."""
    old, new = edit.removed, edit.inserted
    if not 1 < len(old) == len(new) <= _COMPARED or type(old) is not tuple or type(new) is not tuple:
        return False
    return sorted(map(id, old)) == sorted(map(id, new))


def _edits(old: Sequence[Any], new: Sequence[Any], start: int) -> list[_Edit]:
    """Return what turns `old` into `new`: few edits where they are found soon, else one."""
    whole = _Edit(start, old, new)
    if len(old) > _COMPARED or len(new) > _COMPARED:
        return [whole]
    shortest = min(len(old), len(new))
    prefix = _count(_alike(old[i], new[i]) for i in range(shortest))
    suffix = _count(_alike(old[-1 - i], new[-1 - i]) for i in range(shortest - prefix))
    old, new = old[prefix : len(old) - suffix], new[prefix : len(new) - suffix]
    middle = _Edit(start + prefix, old, new)
    if not old or not new or _is_reordered(middle) or max(len(old), len(new)) > _ALIGNED:
        return [middle] if old or new else []
    edits = _aligned(middle)
    return edits if len(edits) <= _EDITS else [middle]


def _count(claims: Iterable[bool]) -> int:
    """Return how many claims hold before the first that does not."""
    count = 0
    for claim in claims:
        if not claim:
            break
        count += 1
    return count


def _alike(old: Any, new: Any) -> bool:
    return old is new or same(old, new)


def _aligned(edit: _Edit) -> list[_Edit]:
    """Return the edits between the items of a longest common subsequence."""
    start, old, new = edit.start, edit.removed, edit.inserted
    # longest[i][j]: length of the longest common subsequence of old[i:] and new[j:].
    longest = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    alike = [[_alike(one, other) for other in new] for one in old]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            longest[i][j] = longest[i + 1][j + 1] + 1 if alike[i][j] else max(longest[i + 1][j], longest[i][j + 1])
    edits = []
    i = j = 0
    while i < len(old) or j < len(new):
        from_i, from_j = i, j
        while (i < len(old) or j < len(new)) and not (i < len(old) and j < len(new) and alike[i][j]):
            if j == len(new) or (i < len(old) and longest[i + 1][j] >= longest[i][j + 1]):
                i += 1
            else:
                j += 1
        if i > from_i or j > from_j:
            edits.append(_Edit(start + from_i, old[from_i:i], new[from_j:j]))
        while i < len(old) and j < len(new) and alike[i][j]:
            i, j = i + 1, j + 1
    return edits


def _members(delta: Members, name: str) -> Change:
    kind, text = _member_words(delta.removed, delta.added)
    if delta.length == 0 and len(delta.removed) > 1:
        kind, text = "cleared", f"cleared, removed {_listed(delta.removed)}"
    return _change(kind, name, text, delta.removed, delta.added)


def _member_words(removed: Sequence[Any], added: Sequence[Any]) -> tuple[str, str]:
    words = [f"added {_listed(added)}"] if added else []
    words += [f"discarded {_listed(removed)}"] if removed else []
    kind = "changed" if len(words) != 1 else "added" if added else "discarded"
    return kind, "; ".join(words) or "changed"


def _items(delta: Items, name: str) -> Change:
    changes = delta.changes
    if not changes:
        return Change("reordered", name, "order of the keys changed")
    removed = [old for _, old, _ in changes if old is not ABSENT]
    inserted = [new for _, _, new in changes if new is not ABSENT]
    kind, text = _item_words(changes, attributes=delta.attributes)
    if delta.length == 0 and kind == "removed" and len(changes) > 1:
        kind, text = "cleared", f"cleared, {text}"
    key = _kept(changes[0][0]) if len(changes) == 1 else None
    return _change(kind, name, text, removed, inserted, key=key)


def _attributes(delta: Items, name: str) -> Change:
    """Return what happened to attributes: to a single one, as to a place of its own."""
    changes = delta.changes
    if len(changes) == 1 and type(changes[0][0]) is str:
        attribute, old, new = changes[0]
        return _rebound(old, new, f"{name}.{attribute}")
    return _items(delta, name)


def _item_words(changes: Sequence[tuple[Any, Any, Any]], *, attributes: bool = False) -> tuple[str, str]:
    """Return kind and words for items of a dict, as (key, old, new), or for attributes."""
    kinds = [_item_kind(old, new) for _, old, new in changes]
    kind = kinds[0] if kinds.count(kinds[0]) == len(kinds) else "changed"
    words: list[str] = []
    for (key, old, new), own_kind in islice(zip(changes, kinds, strict=True), _LISTED):
        said = "" if words and own_kind == kind == kinds[0] else f"{own_kind} "
        values = _arrow(old, new) if own_kind == "changed" else text_of(new if own_kind == "added" else old, _TEXT)
        title = key if attributes and type(key) is str else text_of(key, _SHORT)
        words.append(f"{said}{title}: {values}")
    if len(changes) > len(words):
        words.append(f"... {len(changes) - len(words)} more")
    return kind, ", ".join(words)


def _item_kind(old: Any, new: Any) -> str:
    return "added" if old is ABSENT else "removed" if new is ABSENT else "changed"


def _arrow(old: Any, new: Any) -> str:
    texts = text_of(old, _TEXT), text_of(new, _TEXT)
    return f"{texts[0]} -> {texts[1]}" if texts[0] != texts[1] else f"another object, {texts[1]}"


def _rebound(old: Any, new: Any, name: str, texts: tuple[str, str] | None = None) -> Change:
    if old is ABSENT and new is ABSENT:
        return Change("written", name, "still absent")
    before, after = texts or (text_of(old), text_of(new))
    removed = () if old is ABSENT else (_kept(old, before),)
    inserted = () if new is ABSENT else (_kept(new, after),)
    if old is ABSENT:
        return Change("bound", name, f"bound to {after}", None, removed, inserted)
    if new is ABSENT:
        return Change("unbound", name, f"unbound, was {before}", None, removed, inserted)
    if _alike(old, new):
        return Change("written", name, f"set to {after} again", None, removed, inserted)
    return Change("rebound", name, _difference(old, new, before, after), None, removed, inserted)


def _difference(old: Any, new: Any, before: str, after: str) -> str:
    """Return in words how one object differs from the one in its place before; `before` and `after` are their texts."""
    cls = type(new)
    if type(old) is not cls:
        return _arrow(old, new)
    # What is cut in a long text is so in a short one.
    texts = (before, after) if "..." in before or "..." in after else (text_of(old, _SHORT), text_of(new, _SHORT))
    if not any("..." in text for text in texts) and texts[0] != texts[1]:
        return _arrow(old, new)
    for base, differ in _DIFFER:
        if is_a(new, base):
            words = differ(old, new)
            if words is None:
                break
            return f"another {short_class_name(cls)}{words and ': '}{words or ' with the same content'}"
    return _arrow(old, new)


def _sequence_difference(old: Any, new: Any) -> str | None:
    base = tuple if is_a(new, tuple) else list
    if base.__len__(old) > _COMPARED or base.__len__(new) > _COMPARED:
        return None
    return _words_of(_edits(tuple(each(base, old)), tuple(each(base, new)), 0))


def _set_difference(old: Any, new: Any) -> str | None:
    base = set if is_a(new, set) else frozenset
    if base.__len__(old) > _COMPARED or base.__len__(new) > _COMPARED:
        return None
    before, after = list(each(base, old)), list(each(base, new))
    if not _are_plain(before) or not _are_plain(after):
        return None
    removed = [one for one in before if not base.__contains__(new, one)]
    added = [one for one in after if not base.__contains__(old, one)]
    return _member_words(removed, added)[1] if removed or added else ""


def _dict_difference(old: Any, new: Any) -> str | None:
    if dict.__len__(old) > _COMPARED or dict.__len__(new) > _COMPARED:
        return None
    if not _are_plain(list(dict.keys(old))) or not _are_plain(list(dict.keys(new))):
        return None
    before, after = dict(dict.items(old)), dict(dict.items(new))
    changes = [
        (key, before.get(key, ABSENT), after.get(key, ABSENT))
        for key in before | after
        if key not in before or key not in after or not _alike(before[key], after[key])
    ]
    return _item_words(changes)[1] if changes else ""


def _are_plain(keys: Iterable[Any]) -> bool:
    """Tell that looking the keys up runs no `__hash__` or `__eq__` of the program's."""
    return all(type(key) is str or type(key) is int for key in keys)


def _string_difference(old: Any, new: Any) -> str | None:
    if type(new) is not str and type(new) is not bytes:
        return None
    if len(old) > _CHARACTERS or len(new) > _CHARACTERS:
        return None
    splice = spliced_text(old, new)
    return _edit_words(_Edit(splice.start, splice.removed, splice.inserted))


_DIFFER: Final[tuple[tuple[type, Callable[[Any, Any], str | None]], ...]] = (
    (str, _string_difference),
    (bytes, _string_difference),
    (list, _sequence_difference),
    (tuple, _sequence_difference),
    (set, _set_difference),
    (frozenset, _set_difference),
    (dict, _dict_difference),
)
