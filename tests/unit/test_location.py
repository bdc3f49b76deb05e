"""Places in code: lines and columns, names to show, whose code it is, and the C function that was called."""

from __future__ import annotations

import builtins
import collections
import dis
import heapq
import importlib
import inspect
import linecache
import os
import pathlib
import subprocess
import sys
import sysconfig
import textwrap
import warnings

import pytest

from stopwhen import location as location_module
from stopwhen.expression import tree_of
from stopwhen.location import (
    Location,
    is_own_code,
    locate,
    own_location,
    path_name,
    real_filename,
    short_name,
    source_line,
    writer_of,
)
from traps import hostile, trap


class Program:
    """A source file that was run: its functions, frames and instructions by `# @mark`."""

    def __init__(self, path, source, namespace=None):
        self.path = path
        self.source = textwrap.dedent(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.source, encoding="utf-8")
        linecache.checkcache(str(path))
        self.namespace = {"frames": {}, "keep": self._keep, "__name__": path.stem} | (namespace or {})
        self.frames = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(self.source, str(path), "exec")
        exec(code, self.namespace)

    def _keep(self):
        frame = inspect.currentframe().f_back
        self.frames[frame.f_code.co_name] = frame

    def line(self, mark):
        return next(n for n, line in enumerate(self.source.splitlines(), 1) if line.endswith(f"# @{mark}"))

    def offsets(self, function, mark, *opcodes):
        """Return the offsets of the instructions on a marked line, those of `opcodes` if any."""
        code = self.frames[function].f_code
        return [
            one.offset
            for one in dis.get_instructions(code)
            if one.positions.lineno == self.line(mark) and (not opcodes or one.opname in opcodes)
        ]

    def writer(self, mark, function="<module>"):
        """Return what the last call on the marked line calls."""
        frame = self.frames[function]
        calls = ("CALL", "CALL_FUNCTION_EX", "CALL_KW", "CALL_METHOD")
        return writer_of(frame, frame.f_code, self.offsets(function, mark, *calls)[-1])


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a source file of the program's."""

    def run(source, name="app.py", **namespace):
        return Program(tmp_path / name, source, namespace)

    return run


def test_the_line_is_that_of_the_instruction(run):
    """File, line, columns and qualified name are as the compiler noted them."""
    program = run(
        """
        class Cart:
            def add(self, item):
                self.items = [
                    item,
                ]  # @end
                self.total = 1; self.count = 2  # @two
                keep()
        Cart().add(1)
        """
    )
    code = program.frames["add"].f_code
    offset = program.offsets("add", "two", "STORE_ATTR")[1]
    at = program.line("two")
    assert locate(code, offset) == Location(str(program.path), at, at, 24, 34, "Cart.add")
    assert source_line(locate(code, offset)) == "        self.total = 1; self.count = 2  # @two"
    built = next(one.offset for one in dis.get_instructions(code) if one.opname == "BUILD_LIST")
    assert (locate(code, built).lineno, locate(code, built).end_lineno) == (
        program.line("end") - 2,
        program.line("end"),
    )


def test_every_instruction_has_the_position_that_dis_tells():
    """The caches after an instruction have the instruction's."""
    for function in (subprocess.Popen.__init__, textwrap.dedent, textwrap.TextWrapper.wrap):
        code = function.__code__
        for one in dis.get_instructions(code):
            if one.positions.lineno:
                found = locate(code, one.offset)
                assert (found.lineno, found.end_lineno) == (one.positions.lineno, one.positions.end_lineno)
                assert (found.col_offset, found.end_col_offset) == (
                    one.positions.col_offset,
                    one.positions.end_col_offset,
                )
                assert locate(code, one.offset + 1) == found


@pytest.mark.parametrize("offset", [-1, -2, 10**9])
def test_outside_the_code_it_is_the_first_line(run, offset):
    """A frame that has not started has an offset below 0."""
    program = run(
        """
        def outer():
            def inner(): keep()  # @inner
            inner()
        outer()
        """
    )
    code = program.frames["inner"].f_code
    found = locate(code, offset)
    assert (found.lineno, found.col_offset, found.function) == (program.line("inner"), None, "outer.<locals>.inner")


def test_the_first_instruction_of_a_module_has_its_first_line(run):
    """CPython gives it line 0, which is no line."""
    program = run("keep()\n")
    assert locate(program.frames["<module>"].f_code, 0).lineno == 1


def test_without_columns_there_are_lines(tmp_path):
    """As under `-X no_debug_ranges`."""
    source = tmp_path / "app.py"
    source.write_text("x = 1\ny = (\n 2)\n")
    script = textwrap.dedent(
        """
        import sys
        from stopwhen.location import locate, source_line
        code = compile(open(sys.argv[1]).read(), sys.argv[1], "exec")
        last = locate(code, len(code.co_code) - 2)
        print(last.lineno >= 2, last.end_lineno == last.lineno, last.col_offset, last.end_col_offset)
        """
    )
    root = pathlib.Path(location_module.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-X", "no_debug_ranges", "-c", script, str(source)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "True True None None\n"


def test_an_instruction_without_a_line_has_that_before_it(run):
    """What CPython adds on its own has no line at times; the nearest before it is where the program is."""
    program = run(
        """
        def work():
            with open(__file__) as file:  # @with
                keep()
        work()
        """,
        __file__=__file__,
    )
    code = program.frames["work"].f_code
    lines = {locate(code, offset).lineno for offset in range(0, len(code.co_code), 2)}
    assert None not in lines
    assert 0 not in lines
    assert min(lines) == code.co_firstlineno


def test_code_without_source_has_no_source_line():
    """Text given to `exec` has none, unless somebody registered it."""
    code = compile("x = 1\ny = 2\n", "<cell 1>", "exec")
    at = locate(code, len(code.co_code) - 2)
    assert (at.filename, at.lineno) == ("<cell 1>", 2)
    assert source_line(at) is None
    linecache.cache["<cell 1>"] = (11, None, ["x = 1\n", "y = 2\n"], "<cell 1>")
    try:
        assert source_line(at) == "y = 2"
    finally:
        del linecache.cache["<cell 1>"]
    assert source_line(Location("<cell 1>", 0, 0, None, None, "<module>")) is None


def test_a_file_that_became_shorter_has_no_source_line(run):
    """A line beyond the end is none."""
    program = run("keep()\n")
    assert source_line(Location(str(program.path), 99, 99, 0, 1, "<module>")) is None


def test_a_frozen_module_has_its_real_file():
    """`<frozen os>` is os.py of the standard library, if that is there."""
    assert real_filename("<frozen os>") == os.__file__
    assert real_filename("<frozen importlib._bootstrap>").endswith("_bootstrap.py")
    assert real_filename("<frozen nobody.knows>") == "<frozen nobody.knows>"
    assert real_filename("/app.py") == "/app.py"
    assert locate(os.path.abspath.__code__, 0).filename.endswith("path.py")


def test_a_file_name_of_a_class_of_the_programs_does_no_harm():
    """`co_filename` may be of a subclass of str."""

    class Name(str):
        __slots__ = ()
        __eq__ = __str__ = startswith = trap
        __hash__ = str.__hash__

    code = compile("x = 1", Name("/nowhere/app.py"), "exec")
    assert type(locate(code, 0).filename) is str
    assert own_location([(code, 0)]) == locate(code, 0)


def test_whose_code_it_is(tmp_path):
    """The standard library, what is installed and stopwhen are not the program's own; all else is."""
    purelib = sysconfig.get_paths()["purelib"]
    assert is_own_code(str(tmp_path / "app.py"))
    assert is_own_code("app.py")
    assert is_own_code("<stdin>")
    assert is_own_code("<string>")
    assert not is_own_code(os.__file__)
    assert not is_own_code("<frozen os>")
    assert not is_own_code("<frozen zipimport>")
    assert not is_own_code(pytest.__file__)
    assert not is_own_code(str(pathlib.Path(purelib, "nose", "importer.py")))
    assert not is_own_code("/usr/lib/python3/dist-packages/apt.py")
    assert not is_own_code(location_module.__file__)
    assert not is_own_code(str(pathlib.Path(sys.executable).with_name("pytest")))


def test_the_nearest_own_frame_is_found(run):
    """What the program called is passed over."""
    program = run("keep()\n")
    code = program.frames["<module>"].f_code
    theirs = textwrap.dedent.__code__
    assert own_location([(theirs, 0), (code, 0), (theirs, 0)]) == locate(code, 0)
    assert own_location([(theirs, 0)]) is None
    assert own_location([]) is None


def test_text_is_the_programs_own_where_nothing_else_is(run):
    """What `dataclasses`, attrs or namedtuple generate passes for text that somebody typed in."""
    program = run("keep()\n")
    code = program.frames["<module>"].f_code
    theirs = textwrap.dedent.__code__
    for name in ("<string>", "<attrs generated init app.Order>"):
        generated = compile("x = 1", name, "exec")
        assert own_location([(generated, 0), (code, 0)]) == locate(code, 0)
        assert own_location([(theirs, 0), (generated, 0), (theirs, 0)]) == locate(generated, 0)


def test_paths_are_such_as_a_terminal_can_open(tmp_path, monkeypatch):
    """From where the process began, for a file below that, whatever the current directory is by now; else absolute."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setattr(location_module, "_START", str(project))
    monkeypatch.chdir(tmp_path)
    assert path_name(str(project / "lib" / "shop.py")) == str(pathlib.Path("lib", "shop.py"))
    assert path_name(str(project / "." / "lib" / ".." / "shop.py")) == "shop.py"
    assert path_name(str(tmp_path / "project2" / "shop.py")) == str(tmp_path / "project2" / "shop.py")
    assert path_name(os.__file__) == os.__file__
    assert path_name("<string>") == "<string>"
    assert path_name("shop.py") == "shop.py"


def test_files_are_named_as_users_know_them(tmp_path, monkeypatch):
    """Below the import root that is nearest, the standard library, an installation, or the current directory."""
    project, lib = tmp_path / "project", tmp_path / "project" / "lib"
    lib.mkdir(parents=True)
    monkeypatch.chdir(project)
    monkeypatch.setattr(
        sys, "path", [str(lib), "", 7, None, hostile(str), "\0", "/", str(pathlib.Path(os.__file__).parent)]
    )
    assert short_name(str(lib / "nose" / "importer.py")) == str(pathlib.Path("nose", "importer.py"))
    assert short_name(str(project / "main.py")) == "main.py"
    assert short_name("main.py") == "main.py"
    assert short_name(os.__file__) == "os.py"
    assert short_name("/venv/lib/python3.12/site-packages/nose/core.py") == str(pathlib.Path("nose", "core.py"))
    assert short_name("/elsewhere/app.py") == "/elsewhere/app.py"
    assert short_name("<string>") == "<string>"


@pytest.mark.parametrize("path", [None, 7, (), "abc", "subclass"])
def test_a_strange_sys_path_does_no_harm(monkeypatch, path):
    """`sys.path` may be anything; none of it is run."""

    class Path(list):
        __iter__ = __len__ = trap

    monkeypatch.setattr(sys, "path", Path(["/elsewhere"]) if path == "subclass" else path)
    assert short_name("/elsewhere/app.py") == ("app.py" if path == "subclass" else "/elsewhere/app.py")


def test_a_current_directory_that_is_gone_does_no_harm(monkeypatch):
    """`os.getcwd` raises then."""
    monkeypatch.setattr(os, "getcwd", lambda: (_ for _ in ()).throw(FileNotFoundError()))
    monkeypatch.setattr(sys, "path", ["", "lib"])
    assert short_name("app.py") == "app.py"
    assert is_own_code("gone.py")


CALLS = """
import builtins, heapq, operator, os, sys
class Queue(list):
    pass
class Loud(list):
    def append(self, item):
        super().append(item)  # @super
        keep()
class Shop:
    pass
shop = Shop(); shop.rows = []; rows = {"a": []}; heap = []; numbers = set(); add = heap.append; d = {}
é = []
def helper(*_): pass
keep()
heap.append(1)  # @append
shop.rows.insert(0, 1)  # @attribute
rows["a"].append(2)  # @item
rows["a"].extend(r"\\d \\' " "\\"" '\\\\')  # @strings
Queue().append(1)  # @new
queue = Queue()
queue.append(1)  # @subclass
add(3)  # @alias
list.append(heap, 4)  # @descriptor
object.__setattr__(shop, "x", 1)  # @slot_wrapper
heap.__setitem__(0, 1)  # @method_wrapper
setattr(shop, "y", 1)  # @setattr
heapq.heappush(heap, 0)  # @heappush
operator.setitem(heap, 0, 0)  # @operator
numbers.update({1}, **{})  # @ex
d.update(a=1)  # @kw
é.append("é"); heap.append("é")  # @utf8
d.fromkeys([1])  # @classmethod
helper(heap.append(1), heap.copy())  # @python
Queue([1])  # @class
heap[0] = 9  # @store
del heap[0]  # @delete
heap += [1]  # @operator_in_place
heap.append(  # @lines
    1,
)
(heap
    .append(1))  # @chain
"""


@pytest.mark.parametrize(
    ("mark", "by"),
    [
        ("append", "list.append"),
        ("attribute", "list.insert"),
        ("item", "list.append"),
        ("strings", "list.extend"),
        ("subclass", "list.append"),
        ("alias", "list.append"),
        ("descriptor", "list.append"),
        ("slot_wrapper", "object.__setattr__"),
        ("method_wrapper", "list.__setitem__"),
        ("setattr", "builtins.setattr"),
        ("heappush", "heapq.heappush"),
        ("operator", "operator.setitem"),
        ("ex", "set.update"),
        ("kw", "dict.update"),
        ("utf8", "list.append"),
        ("classmethod", "dict.fromkeys"),
        ("lines", "list.append"),
        ("python", None),
        ("class", None),
        ("new", None),
        ("chain", None),
    ],
)
def test_the_called_c_function_is_named(run, mark, by):
    """By the type that has the method, or the module where users find the function; nothing is guessed."""
    if heapq.heappush is not getattr(importlib.import_module("_heapq"), "heappush", None):
        pytest.skip("heapq is not made in C here")
    program = run(CALLS)
    assert program.writer(mark) == by


@pytest.mark.parametrize("mark", ["store", "delete", "operator_in_place"])
def test_stores_and_operators_call_nothing(run, mark):
    """Only a call has a name."""
    program = run(CALLS)
    frame = program.frames["<module>"]
    assert {writer_of(frame, frame.f_code, offset) for offset in program.offsets("<module>", mark)} == {None}


def test_a_method_of_super_is_named(run):
    """`super().append(item)` is how a list's subclass writes."""
    program = run(CALLS + "Loud().append(1)\n")
    assert program.writer("super", "append") == "list.append"


def test_a_writer_that_cannot_be_known_is_none(run):
    """No frame, no source, another source than was run: no name."""
    program = run("items = []\nkeep()\nitems.append(1)  # @write\n")
    frame = program.frames["<module>"]
    (offset,) = program.offsets("<module>", "write", "CALL")
    assert writer_of(None, frame.f_code, offset) is None
    assert writer_of(frame, frame.f_code, -2) is None
    assert writer_of(frame, frame.f_code, 10**6) is None
    program.path.write_text("items = []\nkeep()\nitems.insert(1)  # @write\n")
    linecache.checkcache(str(program.path))
    assert writer_of(frame, frame.f_code, offset) is None
    program.path.unlink()
    linecache.checkcache(str(program.path))
    assert writer_of(frame, frame.f_code, offset) is None


def test_a_call_that_writes_often_is_parsed_once(run, monkeypatch):
    """What it calls is named by what is there each time."""
    program = run("import collections\nkeep()\nitems.append(1)  # @write\n", items=[])
    parsed = []
    monkeypatch.setattr("stopwhen.location.tree_of", lambda text: parsed.append(text) or tree_of(text))
    found = []
    for items in ([], collections.deque(), [], bytearray(), hostile()):
        program.namespace["items"] = items
        found.append(program.writer("write"))
    assert (found, len(parsed)) == (["list.append", "deque.append", "list.append", "bytearray.append", None], 1)


def test_naming_the_writer_runs_nothing_of_the_programs(run):
    """Neither properties nor hooks; and the parser's warnings do not reach the program."""
    program = run("keep()\ntry: thing.attribute.append('\\d')  # @write\nexcept BaseException: pass\n", thing=hostile())
    assert program.writer("write") is None
    program = run("keep()\nthing.append(('\\d', 1 is 1))  # @write\n", thing=collections.deque())
    assert program.writer("write") == "deque.append"


def test_a_shadowed_builtin_is_seen(run):
    """The name is read, not believed."""
    program = run("keep()\nsetattr(1)  # @write\n", setattr=lambda _: None)
    assert program.writer("write") is None
    assert builtins.setattr is setattr
