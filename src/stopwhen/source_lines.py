"""Source lines of files, read without `linecache` and `tokenize`, whose functions a program may have patched."""

from __future__ import annotations

import sys

from stopwhen.originals import io, use_original_builtins
from stopwhen.paths import file_status, is_absolute, join
from stopwhen.static import is_a, loaded_module, module_dict
from stopwhen.type_hints import Any, Final

use_original_builtins(globals())

_BOM: Final = b"\xef\xbb\xbf"
_LATIN: Final = frozenset({"latin-1", "iso-8859-1", "iso-latin-1"})

_MOST_FILES: Final = 200
"""How many files are kept; the one that was read first goes."""

_read: Final[dict[str, tuple[tuple[int, int], tuple[str, ...]]]] = {}


def lines_of(filename: str) -> tuple[str, ...]:
    """Return the lines of a file, without line ends; none if there are none.

    What was given to `exec` has those that IPython or another has put into the cache of `linecache` for it.
    """
    path, version = _found(filename)
    if path is None or version is None:
        return _cached_by_linecache(filename)
    known = _read.get(path)
    if known is not None and known[0] == version:
        return known[1]
    lines = _lines_in(path)
    if len(_read) >= _MOST_FILES:
        _read.pop(next(iter(_read)), None)
    _read[path] = version, lines
    return lines


def sys_path() -> list[str]:
    """Return the texts in `sys.path` as it is now."""
    entries: Any = dict.get(module_dict(sys), "path")
    return [entry for entry in list.copy(entries) if type(entry) is str] if is_a(entries, list) else []


def _found(filename: str) -> tuple[str | None, tuple[int, int] | None]:
    """Return the path of a file, and what tells that it has been written since; None for none.

    One that is named below an entry of `sys.path` is found, too.
    """
    if filename.startswith("<"):
        return None, None
    version = _version_of(filename)
    if version is not None or is_absolute(filename):
        return filename, version
    for entry in sys_path():
        path = join(entry, filename)
        version = _version_of(path)
        if version is not None:
            return path, version
    return None, None


def _version_of(path: str) -> tuple[int, int] | None:
    """Return what tells that a regular file has been written since; None for no such file."""
    found = file_status(path)
    return None if found is None else (found.st_mtime_ns, found.st_size)


def _lines_in(path: str) -> tuple[str, ...]:
    try:
        with io.open(path, "rb") as file:
            raw = file.read()
    except (OSError, ValueError):
        return ()
    text = _decoded(raw).replace("\r\n", "\n").replace("\r", "\n")
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


def _decoded(raw: bytes) -> str:
    """Return the text of a file of source.

    Other codecs than these are functions in Python, which may be patched: what they would decode is shown as escapes.
    """
    raw = raw.removeprefix(_BOM)
    for line in raw.split(b"\n", 2)[:2]:
        if _codec_in(line) in _LATIN:
            return raw.decode("latin-1")
    return raw.decode("utf-8", "backslashreplace")


def _codec_in(line: bytes) -> str:
    """Return the codec that a comment such as `# -*- coding: latin-1 -*-` names; "" for none."""
    if not line.lstrip(b" \t\f").startswith(b"#"):
        return ""
    text = line.replace(b"coding=", b"coding:").partition(b"coding:")[2].lstrip(b" \t").decode("latin-1")
    end = next((n for n, one in enumerate(text) if not (one.isalnum() or one in "-_.")), len(text))
    return text[:end].lower().replace("_", "-")


def _cached_by_linecache(filename: str) -> tuple[str, ...]:
    module = loaded_module("linecache")
    cache: Any = None if module is None else module_dict(module).get("cache")
    entry = dict.get(cache, filename) if type(cache) is dict else None
    lines = entry[2] if type(entry) is tuple and len(entry) == 4 else None
    if type(lines) is not list or not all(type(line) is str for line in lines):
        return ()
    return tuple(line.rstrip("\r\n") for line in lines)
