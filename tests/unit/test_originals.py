"""What a program patches is not what our handlers call."""

from __future__ import annotations

import gc
import os
import sys
from types import FunctionType

import pytest

from stopwhen import location, originals, paths

# They run before the program does, or open a debugger; `exec` there must give the program its own builtins.
WITH_BUILTINS_OF_THE_PROGRAM = (
    "stopwhen.originals",
    "stopwhen.type_hints",
    "stopwhen.__main__",
    "stopwhen.pdb",
    "stopwhen.frontends",
)


def test_every_function_of_ours_has_the_builtins_of_the_start():
    """A patched `len` is the program's; ours is the one that was there when we were imported."""
    wrong = set()
    for one in gc.get_objects():
        if type(one) is not FunctionType or not one.__code__.co_filename.startswith(location.FOLDER):
            continue
        module = one.__globals__.get("__name__")
        if module is None:  # what an imported module of another interpreter or a test has left
            continue
        exempt = module == "stopwhen" or module.startswith(WITH_BUILTINS_OF_THE_PROGRAM)
        if not exempt and one.__builtins__ is not originals.BUILTINS:
            wrong.add(f"{module}: use_original_builtins(globals())")
    assert wrong == set()


@pytest.mark.skipif(sys.platform == "win32", reason="names of files as POSIX has them")
@pytest.mark.parametrize(
    "path", ["a", "a/b.py", "/", "//x", "/a/../b//c.py", "", ".", "../a", "/a/b/", "a//b", "//", "///a//b"]
)
def test_paths_are_as_os_path_has_them(path):
    """Paths in reports are those that the program would make of them."""
    assert paths.absolute(path) == os.path.abspath(path)  # noqa: PTH100
    assert paths.parent(path) == os.path.dirname(path)  # noqa: PTH120
    assert paths.base_name(path) == os.path.basename(path)  # noqa: PTH119
    assert paths.join(path, "x", "y.py") == os.path.join(path, "x", "y.py")  # noqa: PTH118


def test_only_regular_files_are_files(tmp_path):
    """A folder, a missing file and an impossible name are none."""
    (tmp_path / "a.py").write_text("")
    names = ["a.py", ".", "b.py", "\0"]
    assert [paths.is_file(f"{tmp_path}/{name}") for name in names] == [True, False, False, False]
