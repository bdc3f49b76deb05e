"""Runs the user's program in this process so that it cannot tell: as `python script`, `-m module` or `-c code` would.

Two things make that work. `prepare` gives the program what the interpreter would have given it: `sys.argv`,
`sys.path[0]`, `sys.orig_argv` and a `__main__` of its own. And an exception that ends the program goes on to the
interpreter's top level, which knows best how to print it and what status to exit with; only our frames are taken
off its traceback on the way.
"""

from __future__ import annotations

import builtins
import marshal
import os
import stat
import sys
from _frozen_importlib import BuiltinImporter
from _frozen_importlib_external import MAGIC_NUMBER, PathFinder, SourceFileLoader, SourcelessFileLoader
from collections.abc import Callable
from types import CodeType, ModuleType, TracebackType

from stopwhen import env
from stopwhen.errors import UsageError
from stopwhen.immutable import Immutable
from stopwhen.type_hints import Any, Literal

# `python -c 'import __main__; print("__annotations__" in vars(__main__))'` prints False from 3.14 on.
_MAIN_HAS_ANNOTATIONS = sys.version_info < (3, 14)
# A script that prints `"__cached__" in globals()` prints False from 3.15 on.
_MAIN_HAS_CACHED = sys.version_info < (3, 15)
# `python -c '1/0'` shows the line `1/0` in its traceback from 3.13 on.
_CODE_HAS_LINES = sys.version_info >= (3, 13)
# `python -c '  print(1)'` is an IndentationError before 3.14.
_CODE_IS_DEDENTED = sys.version_info >= (3, 14)
# In the end `__file__` leaves a script's `__main__`: from 3.14 on before an exception is shown, and for sys.exit() too.
_FILE_GOES_FIRST = sys.version_info >= (3, 14)
# `python -W error::SyntaxWarning:__main__ script.py` is heeded from 3.15 on, where compile() takes the module's name.
_COMPILE_NAMES_MODULE = sys.version_info >= (3, 15)

_STDIN = "-"

_replaced: list[ModuleType] = []
"""The `__main__` before the program's. The interpreter, which runs our command as a script, deletes names of it once it
has shown the program's exception, and does not keep it alive until then."""


class Program(Immutable):
    """What to run.

    Attributes:
        kind: how it is given.
        name: path of the script, `-` for standard input; name of the module; text of the code.
        arguments: what the program finds in `sys.argv[1:]`.
        words: the words of the command line that named it: `("-m", "shop")`, `("-mshop",)`, `("shop.py",)`.
    """

    kind: Literal["script", "module", "code"]
    name: str
    arguments: tuple[str, ...]
    words: tuple[str, ...]


def prepare(program: Program) -> Callable[[], None]:
    """Make this process what the program will find itself in, and return what runs it.

    From here on `__main__` is the program's, empty as yet: watchpoints are armed between the two.

    Returns:
        A function that runs the program and raises what ends it. To be called once, with as few frames as may be
        between it and the interpreter's top level.

    Raises:
        UsageError: the script cannot be read.
    """
    if program.kind == "module":
        _enter(program, "-m", _working_directory())
        return _run_module(program.name, alter_argv=True)
    if program.kind == "code":
        main = _enter(program, "-c", "")
        return _run_code(main, lambda: _compile_code(program.name))
    if program.name == _STDIN:
        source = sys.stdin.buffer.read()
        main = _enter(program, _STDIN, "")
        return _run_script(main, "<stdin>", None, lambda: _compile(source, "<stdin>"))
    return _prepare_file(program)


def _prepare_file(program: Program) -> Callable[[], None]:
    filename = _absolute(program.name)
    if _importer(filename) is not None:  # a directory or zip file with a __main__.py
        _enter(program, program.name, filename, in_safe_path=True)
        return _run_module("__main__", alter_argv=False)
    source, is_regular = _read(program.name)
    main = _enter(program, program.name, os.path.dirname(os.path.realpath(filename)))
    if filename.endswith(".pyc") or (is_regular and source[:2] == MAGIC_NUMBER[:2]):
        loader: object = SourcelessFileLoader("__main__", filename)
        return _run_script(main, filename, loader, lambda: _load_pyc(source))
    loader = SourceFileLoader("__main__", filename)
    return _run_script(main, filename, loader, lambda: _compile_file(source, filename, is_regular))


# What the program finds


def _enter(program: Program, argv0: str, first_path: str | None, *, in_safe_path: bool = False) -> ModuleType:
    """Set `sys` for the program, and return its new `__main__`; lists change in place, for whoever holds them."""
    flags = _interpreter_words()
    sys.orig_argv[:] = [*flags, *program.words, *program.arguments]
    sys.argv[:] = [argv0, *program.arguments]
    if not sys.flags.safe_path:
        del sys.path[:1]  # where stopwhen itself was started from
    if first_path is not None and (in_safe_path or not sys.flags.safe_path):
        sys.path.insert(0, first_path)
        _forget_shadowed(first_path, program)
    main = _new_main()
    _replaced.append(sys.modules["__main__"])
    sys.modules["__main__"] = main
    return main


def _interpreter_words() -> list[str]:
    """Return the start of `sys.orig_argv` that belongs to the interpreter: its name and its flags."""
    words = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv[1:])]
    main = sys.modules["__main__"]
    if main.__spec__ is None and sys.argv[0] != "-c":
        return words[:-1]  # a script: the command `stopwhen`
    letter = "c" if main.__spec__ is None else "m"
    if not words[-1].startswith("-"):
        words.pop()  # `-m stopwhen`, not `-mstopwhen`
    flags = words.pop().partition(letter)[0]  # `-OOm` is `-OO` and `-m`
    return words if flags == "-" else [*words, flags]


def _new_main() -> ModuleType:
    """Return a `__main__` as the interpreter makes it before it knows what it will run."""
    main = ModuleType("__main__")
    names = vars(main)
    names["__loader__"] = BuiltinImporter
    if _MAIN_HAS_ANNOTATIONS:
        names["__annotations__"] = {}
    names["__builtins__"] = builtins
    return main


def _forget_shadowed(directory: str, program: Program) -> None:
    """Let the program import its own `queue.py` though we have imported the standard one before it.

    Only what was imported for our sake is forgotten: all that came with stopwhen, and with runpy, which the
    interpreter itself imports for `-m` only.
    """
    names = list(sys.modules)
    start = names.index("stopwhen")
    if program.kind != "module" and "runpy" in sys.modules:
        start = min(start, names.index("runpy"))
    kept = {name.partition(".")[0] for name in names[:start]} | {"stopwhen", "__main__"}
    shadowed = {name for name in names[start:] if name not in kept and _is_shadowed(name, directory)}
    for name in names[start:]:
        if name.partition(".")[0] in shadowed:
            del sys.modules[name]


def _is_shadowed(name: str, directory: str) -> bool:
    spec = getattr(sys.modules[name], "__spec__", None)
    if "." in name or spec is None or not spec.has_location:  # built-in and frozen modules come before any path
        return False
    found = PathFinder.find_spec(name, [directory])
    return found is not None and found.loader is not None and found.origin != spec.origin


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _absolute(path: str) -> str:
    """Return `path` as the interpreter makes it absolute: `.`, `..` and links stay."""
    if os.name != "posix":
        return os.path.abspath(path)
    directory = _working_directory()
    if path.startswith("/") or directory is None:
        return path
    return f"{directory}/{path}"


def _importer(path: str) -> Any:
    """Return what imports from `path`, None for an ordinary file; fills the cache as the interpreter does."""
    cache: dict[str, Any] = sys.path_importer_cache
    if path not in cache:
        cache[path] = None
        for hook in sys.path_hooks:
            try:
                cache[path] = hook(path)
                break
            except ImportError:
                continue
    return cache[path]


def _read(path: str) -> tuple[bytes, bool]:
    """Return the content of the script, and whether it can be read again."""
    try:
        with open(path, "rb") as file:
            return file.read(), stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        hint = "the program comes after the options: a script, -m MODULE or -c CODE; all after it is the program's"
        raise UsageError(f"cannot open the script {path!r}: {reason}", slug="no-script", hint=hint) from None


# Code


def _compile(source: bytes | str, filename: str) -> CodeType:
    options: dict[str, Any] = {"module": "__main__"} if _COMPILE_NAMES_MODULE else {}
    code: CodeType = compile(source, filename, "exec", dont_inherit=True, **options)
    return code


def _compile_file(source: bytes, filename: str, is_regular: bool) -> CodeType:
    """Compile a script; one that is no valid Python is left to the interpreter, whose words are best for it.

    compile() reads bytes otherwise than the interpreter reads a file: it says other things of a wrong encoding, and
    before 3.14 lets bytes pass in comments that are not UTF-8.
    """
    try:
        code = _compile(source, filename)
        if _is_decodable(source):
            return code
    except (SyntaxError, ValueError):
        code = None
    if is_regular and os.name == "posix":
        os.execv(sys.executable, sys.orig_argv)  # it never ran, so nothing is lost  # noqa: S606
    return code or _compile(source, filename)


def _is_decodable(source: bytes) -> bool:
    head = source.split(b"\n", 2)[:2]
    if any(b"coding" in line for line in head):  # a declared encoding: compile() has used it
        return True
    try:
        source.decode()
    except UnicodeDecodeError:
        return False
    return True


def _compile_code(text: str) -> CodeType:
    if _CODE_IS_DEDENTED and text.lstrip("\n")[:1] in (" ", "\t"):
        import textwrap  # noqa: PLC0415  # rarely needed

        text = textwrap.dedent(text)
    code = _compile(text + "\n", "<string>")
    if _CODE_HAS_LINES:
        import linecache  # noqa: PLC0415  # the interpreter imports it here, too

        # 3.13.0 looks lines up by file name, later ones by code object, and keep those elsewhere.
        key = code if hasattr(linecache, "_interactive_cache") else "<string>"
        register = linecache._register_code  # type: ignore[attr-defined]  # noqa: SLF001  # what the interpreter calls
        register(key, text + "\n", "<string>")
    return code


def _load_pyc(data: bytes) -> CodeType:
    if data[:4] != MAGIC_NUMBER:
        raise RuntimeError("Bad magic number in .pyc file")
    code: CodeType = marshal.loads(data[16:])  # noqa: S302  # what the user asked to run
    return code


# Running and ending

_traceback_of: Any = vars(BaseException)["__traceback__"]  # the slot itself: an exception may have a __setattr__
_NO_HOOK = object()


class _Hook:
    """Has the interpreter show what ended the program without the frames between its top level and the program.

    The interpreter calls `sys.excepthook` for that. Ours stands there only until then: it puts the program's own
    back and calls it.
    """

    __slots__ = ("program_hook", "script_names", "traceback")

    def __init__(self, script_names: dict[str, Any]) -> None:
        self.script_names = script_names
        self.program_hook: Any = None
        self.traceback: TracebackType | None = None

    def __call__(self, kind: type[BaseException], value: BaseException, _: TracebackType | None) -> None:
        first, self.traceback = self.traceback, None
        while first is not None and first.tb_frame.f_globals is globals():
            first = first.tb_next
        hook = self.program_hook
        if hook is _NO_HOOK:
            del sys.excepthook
            sys.stderr.write("sys.excepthook is missing\n")  # as the interpreter does
            hook = sys.__excepthook__
        else:
            sys.excepthook = hook
        sys.last_traceback = first
        _traceback_of.__set__(value, first)
        try:
            hook(kind, value, first)
        except BaseException as failure:
            _traceback_of.__set__(failure, _traceback_of.__get__(failure).tb_next)
            raise
        finally:
            _forget_file(self.script_names)


def _forget_file(script_names: dict[str, Any]) -> None:
    """Do as the interpreter does at the end of a script: `__file__` is a NameError in what runs at exit."""
    script_names.pop("__file__", None)
    script_names.pop("__cached__", None)


def _run_module(name: str, *, alter_argv: bool) -> Callable[[], None]:
    import runpy  # noqa: PLC0415  # a script, which would see it in sys.modules, does not need it

    execute = runpy._run_module_as_main  # type: ignore[attr-defined]  # noqa: SLF001  # what the interpreter calls
    return _runner(execute, lambda: name, alter_argv, {}, flush=False)


def _run_code(main: ModuleType, compiled: Callable[[], CodeType]) -> Callable[[], None]:
    return _runner(exec, compiled, vars(main), {}, flush=True)


def _run_script(
    main: ModuleType, filename: str, loader: object | None, compiled: Callable[[], CodeType]
) -> Callable[[], None]:
    names = vars(main)
    names["__file__"] = filename
    if _MAIN_HAS_CACHED:
        names["__cached__"] = None
    if loader is not None:
        names["__loader__"] = loader
    return _runner(exec, compiled, names, names, flush=True)


def _runner(
    execute: Callable[[Any, Any], object],
    subject: Callable[[], object],
    place: object,
    script_names: dict[str, Any],
    *,
    flush: bool,
) -> Callable[[], None]:
    """Return what calls `execute(subject(), place)`, and ends the program as the interpreter would."""

    def run() -> None:
        try:
            what = subject()
            if env.core is not None:
                env.core.forgive_stack()  # the program has all of the recursion limit, as it would without us
            execute(what, place)
            _forget_file(script_names)
        except BaseException as error:
            if _FILE_GOES_FIRST:
                _forget_file(script_names)
            # SystemExit is not shown, except under `python -i`.
            if not issubclass(type(error), SystemExit) or sys.flags.inspect:
                hook.traceback = _traceback_of.__get__(error)
                hook.program_hook = vars(sys).get("excepthook", _NO_HOOK)
                sys.excepthook = hook
            raise
        finally:
            # The interpreter writes out what a script printed before it shows the traceback. What goes wrong here
            # it finds again at exit, and reports then.
            for name in ("stderr", "stdout") if flush else ():
                try:
                    getattr(sys, name).flush()
                except BaseException:  # noqa: S110
                    pass

    hook = _Hook(script_names)
    return run
