"""Where code wrote: file, line and columns of an instruction, short names for them, and the C function it called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    MethodDescriptorType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)

from stopwhen.dependencies import read
from stopwhen.event import Place
from stopwhen.expression import WatchExpression, parse_silently, tree_of
from stopwhen.immutable import Immutable
from stopwhen.of_code import OfCode, empty_for
from stopwhen.originals import ast, opcode, os, sys, use_original_builtins
from stopwhen.paths import SEPARATOR, absolute, is_absolute, is_file, join, normal_case, parent
from stopwhen.positions import position_of
from stopwhen.record import present
from stopwhen.scope import FrameScope
from stopwhen.source_lines import lines_of, sys_path
from stopwhen.static import find, has_base, is_a, loaded_module, module_dict, mro
from stopwhen.texts import own_entry, plain_str, short_class_name
from stopwhen.type_hints import Any, Final
from stopwhen.values import SIZED

use_original_builtins(globals())

FOLDER: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep
_FRONT_ENDS: Final = os.path.join(FOLDER, "frontends", "")
STDLIB: Final = os.path.dirname(os.path.abspath(os.__file__))
INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
_FROZEN: Final = "<frozen "

_cell_namers: Final[list[Callable[[str], Cell | None]]] = []
_located: Final[OfCode[dict[int, Location]]] = OfCode(empty_for)
_callees: Final[OfCode[dict[int, Callee]]] = OfCode(empty_for)
_own_code: Final[dict[str, bool]] = {}
_real_names: Final[dict[str, str]] = {}


class Location(Immutable):
    """A place in code: of one instruction, as the compiler noted it.

    Attributes:
        filename: the code's own `co_filename`; a frozen module's real file where it is known.
        lineno: line, counted from 1.
        end_lineno: line of the end; `lineno` where the code has no columns.
        col_offset: column in bytes, counted from 0; None where the code has no columns.
        end_col_offset: column of the end, None likewise.
        function: qualified name of the function, class body or `<module>`.
    """

    filename: str
    lineno: int
    end_lineno: int
    col_offset: int | None
    end_col_offset: int | None
    function: str


def locate(code: CodeType, offset: int) -> Location:
    """Return the location of the instruction at `offset`, in bytes, of `code`.

    An instruction without a line belongs to what it cleans up after, and has the line at which that ends; any other has
    the line of the nearest one before it, as a frame outside its code has the first.
    """
    located = _located(code)
    known = located.get(offset)
    if known is not None:
        return known
    function = plain_str(code.co_qualname) or "?"
    line, end_line, column, end_column = position_of(code, offset // 2)
    if line is None:
        line = end_line = code.co_firstlineno
        column = end_column = None
    last = line if end_line is None else end_line
    located[offset] = found = Location(filename_of(code), line, last, column, end_column, function)
    return found


def place_dict(location: Location | None) -> dict[str, Any] | None:
    """Return a location as JSON can have it."""
    if location is None:
        return None
    names = ("filename", "lineno", "end_lineno", "col_offset", "function")
    return {name: getattr(location, name) for name in names}


def program_places(places: Sequence[Place]) -> list[Place]:
    """Return those of `places` that are no frames of ours, down to those that run the program."""
    names = filenames_of(places)
    ours = {name for name in set(names) if is_ours(real_filename(name))}
    if not ours:
        return list(places)
    front_end = next((n for n, name in enumerate(names) if name in ours and is_front_end(name)), len(names))
    return [places[n] for n in range(front_end) if names[n] not in ours]


def own_location(places: Iterable[Place]) -> Location | None:
    """Return the location of the innermost of `places` in the program's own code; None when there is none.

    Text without a file may be anybody's, such as the `__init__` that `dataclasses` writes; it is the program's own
    where nothing else is.
    """
    text: Place | None = None
    for code, offset in places:
        filename = filename_of(code)
        if not is_own_code(filename):
            continue
        if not filename.startswith("<"):
            return locate(code, offset)
        text = text or (code, offset)
    return None if text is None else locate(*text)


def source_line(location: Location) -> str | None:
    """Return the source line of `location` without its line end; None when the source is not to be had."""
    return _source(location.filename, location.lineno, location.lineno)


def _source(filename: str, first: int, last: int) -> str | None:
    lines = lines_of(filename)[first - 1 : last] if first > 0 else ()
    return "\n".join(lines) if len(lines) == last - first + 1 else None


def filename_of(code: CodeType) -> str:
    """Return the file of `code`, as an exact str: `real_filename` of its `co_filename`."""
    return real_filename(plain_str(code.co_filename) or "?")


def filenames_of(places: Sequence[Place]) -> list[str]:
    """Return the file of each of `places`, as its code has it, as exact texts."""
    if type(places) is tuple:
        return [plain_str(code.co_filename) or "?" for code, _offset in places]
    return places.filenames()  # type: ignore[attr-defined,no-any-return] # the C module's


def real_filename(filename: str) -> str:
    """Return the file of a frozen module of the standard library; any other name as it is."""
    if not filename.startswith(_FROZEN):
        return filename
    found = _real_names.get(filename)
    if found is None:
        stem = join(STDLIB, *filename[len(_FROZEN) : -1].split("."))
        files = (f"{stem}.py", join(stem, "__init__.py"))
        found = _real_names[filename] = next((file for file in files if is_file(file)), filename)
    return found


def is_own_code(filename: str) -> bool:
    """Tell that a file is the program's own: not the standard library's, an installed package's or stopwhen's.

    Text without a file, given to `exec` or typed in, is the program's own.
    """
    if filename.startswith("<"):  # There may be any number of these: they are not kept.
        return _is_own(real_filename(filename))
    known = _own_code.get(filename)
    if known is None:
        known = _own_code[filename] = _is_own(filename)
    return known


def _is_own(filename: str) -> bool:
    if filename.startswith("<"):
        return not filename.startswith(_FROZEN)
    path = normal_case(absolute(filename))
    if is_ours(filename) or _below(path, normal_case(STDLIB)) is not None:
        return False
    if INSTALLED.intersection(path.split(SEPARATOR)):
        return False
    # A console script, such as the `pytest` beside an environment's `python`, was made by an installer.
    scripts = normal_case(parent(absolute(sys.executable or "")))
    return path.endswith(".py") or parent(path) != scripts


def is_ours(filename: str) -> bool:
    """Tell that a file belongs to stopwhen."""
    return filename.startswith(FOLDER)


def is_front_end(filename: str) -> bool:
    """Tell that a file belongs to what of stopwhen runs programs."""
    return filename.startswith(_FRONT_ENDS)


class Cell(Immutable):
    """A cell of a notebook: what users call it, and how many lines of it stand before those that are compiled."""

    name: str
    lines_before: int


def name_cells(namer: Callable[[str], Cell | None]) -> Callable[[], None]:
    """Let `namer` tell which files are cells of a notebook, until what is returned is called."""
    _cell_namers.append(namer)
    return lambda: _cell_namers.remove(namer)


def has_cells() -> bool:
    """Tell whether any file may be a cell of a notebook."""
    return bool(_cell_namers)


def cell_of(filename: str) -> Cell | None:
    """Return the cell that a file stands for; None for any other file."""
    if not _cell_namers:
        return None
    cells = (namer(filename) for namer in _cell_namers)
    return next((cell for cell in cells if cell is not None), None)


def shown_line(filename: str, lineno: int) -> int:
    """Return the number that a line has for users."""
    cell = cell_of(filename)
    return lineno if cell is None else lineno + cell.lines_before


def place_name(filename: str, lineno: int) -> str:
    """Return a line as users know it: `shop/cart.py:12`, `cell [3], line 2`."""
    cell = cell_of(filename)
    return f"{path_name(filename)}:{lineno}" if cell is None else f"{cell.name}, line {lineno + cell.lines_before}"


def path_name(filename: str) -> str:
    """Return a path that a terminal can open: from where the process began, for a file below that, else absolute."""
    if filename.startswith("<") or not is_absolute(filename):
        return filename
    path = absolute(filename)
    return _below(path, _START) or path


def short_name(filename: str) -> str:
    """Return a file's name as code imports it: below the import root, installation or working directory it is in."""
    cell = cell_of(filename)
    if cell is not None:
        return cell.name
    if filename.startswith("<"):
        return filename
    path = absolute(filename)
    names = [below for root in _roots() if (below := _below(path, root)) is not None]
    parts = path.split(SEPARATOR)
    names += [SEPARATOR.join(parts[n + 1 :]) for n, part in enumerate(parts[:-1]) if part in INSTALLED]
    return min(names, key=len, default=filename)


def _roots() -> list[str]:
    """Return the directories that files are named below: `sys.path`, the standard library, the current one."""
    entries = sys_path()
    return [absolute(entry) for entry in entries] + [STDLIB, absolute("")]


def _below(path: str, root: str) -> str | None:
    """Return what of `path` comes after the directory `root`; None when it is not in it."""
    if root == parent(root):  # The root of the file system tells nothing.
        return None
    root += SEPARATOR
    return path[len(root) :] or None if normal_case(path).startswith(normal_case(root)) else None


def writer_of(frame: FrameType | None, code: CodeType, offset: int, told: str | None = None) -> str | None:
    """Return the name of the C function that the instruction at `offset` called, as `list.insert` or `heapq.heappush`.

    Where the instruction calls something, but no C function that can be known for certain, that is `told`: the one that
    has made the change. None when it calls nothing. `frame` is the frame that runs the instruction, still there.
    """
    if frame is None:
        return None
    callees = _callees(code)
    callee = callees.get(offset)
    try:
        if callee is None:
            callee = _NO_CALLEE if not _is_call(code, offset) else _callee(code, offset)
            if callee is None:
                return told
            callees[offset] = callee
        return None if callee is _NO_CALLEE else _called_by(callee, frame, code) or told
    except Exception:  # a name for the report is not worth an error
        return told


class Callee(Immutable):
    """What an instruction calls, as its source says."""

    expression: WatchExpression | None
    """What is called; None for nothing, or what is not known for certain."""
    method_of_super: str | None = None
    """The name of the method, where `super()` has it."""
    owner: str | None = None
    """The name whose method it is, where that is one."""
    method: str = ""
    """The method of `owner`."""


_NO_CALLEE: Final = Callee(None)


def _callee(code: CodeType, offset: int) -> Callee | None:
    """Return what the call at `offset` calls; None where there is no source for it, perhaps yet."""
    called = _called_text(code, offset)
    if called is None:
        return None
    text, node = called
    if isinstance(node, ast.Attribute) and _is_bare_super(node.value):
        return Callee(None, node.attr)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return Callee(parse_silently(text), owner=node.value.id, method=node.attr)
    return Callee(parse_silently(text))


def _called_by(callee: Callee, frame: FrameType, code: CodeType) -> str | None:
    """Return the name of the C function that `callee` is in `frame`."""
    if callee.method_of_super is not None:
        return _super_method(frame, code, callee.method_of_super)
    if callee.expression is None:
        return None
    if callee.owner is not None:  # by far the most frequent: a method of a container with a name
        owner = FrameScope(frame).find(callee.owner, present)
        entry = find(type(owner), callee.method) if type(owner) in SIZED else None
        if entry is not None and type(entry[1]) in (MethodDescriptorType, WrapperDescriptorType):
            return f"{short_class_name(entry[0])}.{entry[1].__name__}"
    return _c_name(_read(callee.expression, frame))


def _read(expression: WatchExpression, frame: FrameType) -> object:
    """Return the value of an expression in `frame` without running user code."""
    return read(expression, FrameScope(frame), depth=0).value


def _is_call(code: CodeType, offset: int) -> bool:
    units = code.co_code
    if not 0 <= offset < len(units):
        return False
    offset -= offset % 2
    # The offset may be that of an inline cache after the instruction, or of a prefix before it.
    while offset and opcode.opname[units[offset]] == "CACHE":
        offset -= 2
    while opcode.opname[units[offset]] == "EXTENDED_ARG":
        offset += 2
    name = opcode.opname[units[offset]]
    return name == "PRECALL" or (name.startswith("CALL") and not name.startswith("CALL_INTRINSIC"))


def _called_text(code: CodeType, offset: int) -> tuple[str, ast.expr] | None:
    """Return text and syntax tree of what the call at `offset` calls."""
    position = locate(code, offset)
    if position.col_offset is None or position.end_col_offset is None:
        return None
    lines = _source(position.filename, position.lineno, position.end_lineno)
    if lines is None:
        return None
    raw = lines.encode("utf-8", "surrogatepass")  # Columns count bytes.
    last = raw.rfind(b"\n") + 1
    if raw[: position.col_offset].rstrip().endswith(b"."):
        return None  # Of a chain over several lines, the call's position is that of the last method's name only.
    call = raw[position.col_offset : last + position.end_col_offset]
    # The parser warns of odd escapes in strings, in the program's name: let it see none. Lengths stay.
    plain = call
    for escape, instead in ((b"\\\\", b"__"), (b"\\'", b"__"), (b'\\"', b"__"), (b"\\\n", b" \n"), (b"\\", b"_")):
        plain = plain.replace(escape, instead)
    tree = tree_of(b"(" + plain + b")")
    if not isinstance(tree, ast.Call) or not _is_named_in(code, tree.func):
        return None
    end = _byte_offset(plain, tree.func.end_lineno, tree.func.end_col_offset)
    return call[:end].decode("utf-8", "surrogatepass"), tree.func


def _byte_offset(raw: bytes, lineno: int | None, column: int | None) -> int:
    """Return the offset of a place in the parsed text, whose first line had a bracket before `raw`."""
    if lineno is None or column is None:
        return 0
    before = sum(len(line) for line in raw.splitlines(keepends=True)[: lineno - 1])
    return before + column - (1 if lineno == 1 else 0)


def _is_named_in(code: CodeType, function: ast.expr) -> bool:
    """Tell that the code knows the name it is said to call: the file may have been changed since it was read."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    names = code.co_names + code.co_varnames + code.co_freevars + code.co_cellvars
    return name is None or name in names


def _is_bare_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and not node.args and isinstance(node.func, ast.Name) and node.func.id == "super"


def _super_method(frame: FrameType, code: CodeType, name: str) -> str | None:
    """Return the name of the C method that `super().name` stands for in `frame`."""
    bases = mro(type(_read_name(code.co_varnames[0], frame)))
    here = _read_name("__class__", frame)
    after = next(n for n, base in enumerate(bases) if base is here) + 1
    for base in bases[after:]:
        entry = own_entry(base, name)
        if entry is not None:
            return _c_name(entry)
    return None


def _read_name(name: str, frame: FrameType) -> object:
    expression = parse_silently(name)
    return None if expression is None else _read(expression, frame)


def _c_name(function: Any) -> str | None:
    """Return `type.method` or `module.function` of a C function; None for anything else."""
    kind = type(function)
    if kind is MethodDescriptorType or kind is WrapperDescriptorType or kind is MethodWrapperType:
        return f"{short_class_name(function.__objclass__)}.{function.__name__}"
    # A method that is told the class defining it, as those of array.array, is of a subtype.
    if not has_base(kind, BuiltinFunctionType):
        return None
    owner = function.__self__
    if owner is None or is_a(owner, ModuleType):
        return _function_name(function)
    return _method_name(owner, function.__name__)


def _method_name(owner: object, name: str) -> str:
    """Return `type.method` by the type that has the C method, not the one that inherits it."""
    is_class = is_a(owner, type)
    bases = mro(owner) if is_class else mro(type(owner))  # type: ignore[arg-type]  # a class then
    for base in bases:
        if type(own_entry(base, name)) in _C_METHODS:
            return f"{short_class_name(base)}.{name}"
    return f"{short_class_name(bases[0])}.{name}"


def _function_name(function: Any) -> str | None:
    """Return `module.function`, with the public module where one has the very same function."""
    module, name = plain_str(function.__module__), function.__name__
    if module is None:
        return None
    public = loaded_module(module.lstrip("_"))
    if public is not None and dict.get(module_dict(public), name) is function:
        module = module.lstrip("_")
    return f"{module}.{name}"


_C_METHODS: Final = (MethodDescriptorType, type(dict.__dict__["fromkeys"]), staticmethod)

_START: Final = absolute("")
"""The working directory at the start."""
