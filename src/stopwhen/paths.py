"""Names of files taken apart and put together, as `os.path` does, which a program may have patched."""

from __future__ import annotations

import sys

from stopwhen.originals import os, use_original_builtins
from stopwhen.type_hints import Final

use_original_builtins(globals())

if sys.platform == "win32":
    from nt import _path_normpath as _normal  # type: ignore[attr-defined] # what os.path has
else:
    from posix import _path_normpath as _normal  # type: ignore[attr-defined] # what os.path has

SEPARATOR: Final = os.sep

_IS_WINDOWS: Final = sys.platform == "win32"
_ENCODING: Final = sys.getfilesystemencoding()
_ERRORS: Final = sys.getfilesystemencodeerrors()
_KIND_OF_FILE: Final = 0o170000
_REGULAR_FILE: Final = 0o100000


def absolute(filename: str) -> str:
    """Return `filename` in full; as it is when the working directory is gone, or when it is no name of a file."""
    if "\0" in filename:
        return filename
    try:
        path = filename if is_absolute(filename) else join(os.getcwd(), filename)
        return _normal(path) or "."
    except (OSError, ValueError):
        return filename


def is_absolute(path: str) -> bool:
    """Tell whether `path` says where it is without the working directory."""
    if not _IS_WINDOWS:
        return path.startswith("/")
    return path[1:3] in (":\\", ":/") or path[:2] in ("\\\\", "//")


def join(folder: str, *names: str) -> str:
    """Return the path of what is called `names`, below `folder` or below the last of `names` that is absolute."""
    path = folder
    for name in names:
        if is_absolute(name):
            path = name
        else:
            path += name if path.endswith(SEPARATOR) or not path else SEPARATOR + name
    return path


def parent(path: str) -> str:
    """Return the folder that a path is in; the root of the file system is in itself."""
    path = path.replace("/", SEPARATOR)
    head = path[: path.rfind(SEPARATOR) + 1]
    return head if not head.strip(SEPARATOR) or head.endswith(":\\") else head.rstrip(SEPARATOR)


def base_name(path: str) -> str:
    """Return the last part of a path."""
    return path[path.replace("/", SEPARATOR).rfind(SEPARATOR) + 1 :]


def normal_case(path: str) -> str:
    """Return `path` so that two paths are equal when the system takes them for one."""
    return path.replace("/", "\\").lower() if _IS_WINDOWS else path


def is_file(path: str) -> bool:
    """Tell whether there is a regular file."""
    return file_status(path) is not None


def file_status(path: str) -> os.stat_result | None:
    """Return the status of a regular file; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found if found.st_mode & _KIND_OF_FILE == _REGULAR_FILE else None


def encoded(text: str) -> bytes:
    """Return `text` as the file system and the environment have it."""
    return text.encode(_ENCODING, _ERRORS)


def decoded(raw: bytes) -> str:
    """Return what the file system or the environment has, as a text."""
    return raw.decode(_ENCODING, _ERRORS)
