"""`%stopwhen` and `%%stopwhen`: watchpoints in IPython and Jupyter, by `%load_ext stopwhen`."""

from __future__ import annotations

import ast
import linecache
import sys

from stopwhen import location, session
from stopwhen.errors import StopwhenError, UsageError
from stopwhen.frontends.cell_output import CellOutput
from stopwhen.frontends.magic_line import WATCHING, Line, read_line
from stopwhen.hit import Hit
from stopwhen.immutable import replaced
from stopwhen.plan import Plan
from stopwhen.reports.html import html_of
from stopwhen.reports.text import format_hit
from stopwhen.terms import Terms
from stopwhen.type_hints import TYPE_CHECKING, Any
from stopwhen.types import AccessType, Action

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from stopwhen.actions import Output
    from stopwhen.watchpoint import Watchpoint

HELP = """\
Data breakpoints: name the line that changes a piece of data.

  %stopwhen changes EXPR   hit when the value differs: another object, or other content
  %stopwhen true EXPR      hit when it goes from false to true
  %stopwhen writes EXPR    every store, of the same value too
  %stopwhen reads EXPR     every read, where this can be had
  %%stopwhen changes EXPR  the same for one cell: the watchpoint is removed at its end
  %stopwhen list           the watchpoints, with their numbers and hits
  %stopwhen remove 1       remove it; several numbers, or all; also enable, disable
  %stopwhen explain EXPR   how it would be watched, and what that costs

EXPR is written as it is, without quotes; its names are those of the notebook. Options come after it:

  --if EXPR      only if EXPR is true; it reads old, new, added, removed and the names of the code that wrote
  --hits RULE    only the third: 3; from the third on: >=3; every tenth: %10
  --depth N      how deep content counts: 0 rebinding only, 1 the object's own content (default), more, or all
  --scope NAME   read names in a module pkg.mod, a function pkg.mod:func, a class pkg.mod:Class
  --action NAME  log: show the hit (default in a notebook); stop: open the debugger (default in a terminal; in a
                 notebook where it takes input); raise: raise DataChanged in the line that wrote; count
  --thread NAME  only writes of this thread; --task NAME: of this asyncio task
  --in GLOB      only writes by files like this; --not-in GLOB: none by those
  --function GLOB  only writes by functions like this; --caller GLOB: where such a function or file is among the callers
  --pin          watch on the objects that the names stand for now, though the names are bound to others
  --allow-calls  let EXPR run code of yours, such as properties

  %stopwhen changes df
  %stopwhen true len(queue) > 10 --if new --hits 1
  %stopwhen changes config["debug"] --action raise
"""


class Magic:
    """What `%stopwhen` does in one shell.

    Args:
        shell: IPython's InteractiveShell.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.output = CellOutput(shell)
        self._made: list[Watchpoint] = []
        self._undo: list[Callable[[], object]] = []

    def load(self) -> None:
        """Make the magics known, and have hits shown in cells."""
        shell, current = self.shell, session.current()
        before: Output = current.output
        current.output = self.output
        shell.register_magic_function(_without_expansion(self), "line_cell", "stopwhen")
        self._undo = [
            location.name_cells(self._cell),
            self.output.follow_cells(),
            *self._show_richly(),
            *self._stop_before_the_end(),
            lambda: setattr(current, "output", before),
        ]

    def unload(self) -> None:
        """Remove the watchpoints made here, and all traces of us in the shell."""
        for watchpoint in self._made:
            watchpoint.remove()
        self._made.clear()
        for undo in self._undo:
            undo()
        self._undo.clear()
        for kind in "line", "cell":
            self.shell.magics_manager.magics[kind].pop("stopwhen", None)

    def run(self, line: str, cell: str | None = None) -> Any:
        """Do what a line asks for; errors come as messages, and make the cell fail."""
        __tracebackhide__ = True
        try:
            asked = read_line(line, self._defaults())
            if cell is None:
                return self._perform(asked)
            statements, last = self._compiled(asked, line, cell)
            watchpoint = self._arm(asked)
        except StopwhenError as error:
            raise _message(error) from None
        try:
            return _run(statements, last, self.shell.user_global_ns, self.shell.user_ns)
        finally:
            self._end(watchpoint)

    def _defaults(self) -> Terms:
        return Terms(action=Action.LOG if self.output.is_kernel else Action.STOP)

    def _perform(self, asked: Line) -> None:
        match asked.command:
            case "help":
                print(HELP, end="")
            case "list":
                print(self._list(), end="")
            case "explain":
                scope = self._scope(asked.settings)
                plan = session.current().explain(asked.text, scope, asked.settings.depth, asked.settings.allow_calls)
                print(plan)
            case "remove" | "enable" | "disable":
                self._change(asked.command, self._chosen(asked.numbers))
            case _:
                print(_made_text(self._arm(asked)))

    # Watchpoints.

    def _scope(self, settings: Terms) -> Any:
        return self.shell.user_ns if settings.scope is None else settings.scope

    def _arm(self, asked: Line) -> Watchpoint:
        terms = replaced(asked.settings, scope=self._scope(asked.settings))
        watchpoint = session.current().watch(WATCHING[asked.command], asked.text, terms, armed_by=_cell_frame())
        self._made.append(watchpoint)
        return watchpoint

    def _chosen(self, numbers: tuple[int, ...]) -> list[Watchpoint]:
        there = {watchpoint.number: watchpoint for watchpoint in session.current().watchpoints()}
        for number in numbers:
            if number not in there:
                listed = ", ".join(map(str, there)) or "none"
                raise UsageError(
                    f"there is no watchpoint {number}", slug="no-number", hint=f"there are: {listed}; %stopwhen list"
                )
        return [there[number] for number in numbers] if numbers else list(there.values())

    def _change(self, command: str, watchpoints: list[Watchpoint]) -> None:
        done = {"remove": "removed", "enable": "enabled", "disable": "disabled"}[command]
        for watchpoint in watchpoints:
            getattr(watchpoint, command)()
            if command == "remove" and watchpoint in self._made:
                self._made.remove(watchpoint)
            print(f"{done}: {watchpoint.number}  {_what(watchpoint)}  {_times(watchpoint)}")
        if not watchpoints:
            print("no watchpoints")

    def _list(self) -> str:
        """Return a line for each watchpoint, in columns."""
        rows = [
            (str(one.number), _what(one), _action_name(one), _times(one), _state(one))
            for one in session.current().watchpoints()
        ]
        if not rows:
            return "no watchpoints; %stopwhen changes EXPR makes one, %stopwhen help tells more\n"
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)) for row in rows)
        return "".join(f"{line.rstrip()}\n" for line in lines)

    # %%stopwhen.

    def _compiled(self, asked: Line, line: str, cell: str) -> tuple[list[CodeType], CodeType | None]:
        """Return the code of each of a cell's statements, and of its last expression, None where it ends otherwise."""
        shell = self.shell
        if asked.command not in WATCHING:
            raise UsageError(
                f"%%stopwhen {asked.command} watches nothing", slug="no-watchpoint", hint="%%stopwhen changes EXPR"
            )
        body = f"# %%stopwhen {line}\n{cell}"  # the numbers of its lines are those of the whole cell
        source = shell.transform_cell(body)
        if shell.should_run_async(body, transformed_cell=source):
            raise UsageError(
                "a cell that awaits cannot be run by %%stopwhen",
                slug="cell-awaits",
                hint=f"write %stopwhen {line.strip()} in the cell, and %stopwhen remove after it",
            )
        name = shell.compile.cache(source, self._cell_number(), raw_code=body)
        tree = shell.transform_ast(shell.compile.ast_parse(source, name))
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = shell.compile(ast.Expression(tree.body.pop().value), name, "eval")
        # One by one, as IPython does: it shows tracebacks by where frames stand when all is over.
        return [shell.compile(ast.Module([one], []), name, "exec") for one in tree.body], last

    def _cell_number(self) -> int:
        """Return the number of the cell that runs; the shell's count may be that of the next one."""
        frame = _cell_frame()
        number = None if frame is None else self._numbers().get(frame.f_code.co_filename)
        return self.shell.execution_count if number is None else number

    def _end(self, watchpoint: Watchpoint) -> None:
        """Remove the watchpoint of a cell that has run, and say what nothing else says of it."""
        watchpoint.remove()
        self._made.remove(watchpoint)
        text = watchpoint.expression.text
        if watchpoint.count == 0:
            print(f"{text}: no hit in this cell{'' if watchpoint.was_present else '; it was never there'}")
        elif watchpoint.rules.action is Action.COUNT:
            print(f"{text}: {_times(watchpoint)} in this cell")

    # What is shown.

    def _cell(self, filename: str) -> location.Cell | None:
        """Return `cell [3]` for the file that the third cell is compiled as; None for any other."""
        number = self._numbers().get(filename)
        return None if number is None else location.Cell(f"cell [{number}]", self._lines_before(number, filename))

    def _lines_before(self, number: int, filename: str) -> int:
        """Return how many empty lines IPython has taken from the start of a cell."""
        try:
            text = self.shell.history_manager.input_hist_raw[number]
        except (AttributeError, IndexError, TypeError):  # no history is kept
            return 0
        cell, compiled = text.splitlines(), linecache.getlines(filename)
        return max(_empty_lines(cell) - _empty_lines(compiled), 0)

    def _numbers(self) -> dict[str, int]:
        """Return the numbers of cells by the files that they are compiled as: IPython has no other word for it."""
        numbers: dict[str, int] = getattr(self.shell.compile, "_filename_map", {})
        return numbers

    def _show_richly(self) -> list[Callable[[], object]]:
        """Have hits and plans look well where they are the value of a cell; return what undoes that."""
        formatters = self.shell.display_formatter.formatters
        rich, plain = formatters["text/html"], formatters["text/plain"]
        rich.for_type(Hit, html_of)
        plain.for_type(Hit, lambda hit, printer, _cycle: printer.text(format_hit(hit, color=False, width=82).rstrip()))
        plain.for_type(Plan, lambda plan, printer, _cycle: printer.text(str(plan)))
        return [lambda: rich.pop(Hit, None), lambda: plain.pop(Hit, None), lambda: plain.pop(Plan, None)]

    def _stop_before_the_end(self) -> list[Callable[[], object]]:
        """Watch no more once a terminal's shell takes its names away to end; return what undoes that."""
        shell = self.shell
        end = getattr(shell, "_atexit_once", None)
        if end is None or self.output.is_kernel:
            return []  # a kernel goes on until functions registered with atexit run, and ours is one of the first

        def end_unwatched() -> None:
            session.current().clear()
            end()

        shell._atexit_once = end_unwatched  # noqa: SLF001 - no event comes before that
        return [lambda: vars(shell).pop("_atexit_once", None)]


def _without_expansion(magic: Magic) -> Callable[..., Any]:
    """Return the magic function; IPython leaves `{...}` and `$name` in its line alone, which are Python's here."""

    def stopwhen(line: str, cell: str | None = None) -> Any:
        __tracebackhide__ = True
        return magic.run(line, cell)

    stopwhen.__doc__ = HELP
    stopwhen._ipython_magic_no_var_expand = True  # type: ignore[attr-defined] # noqa: SLF001 - as its decorator does
    return stopwhen


def _empty_lines(lines: list[str]) -> int:
    """Return how many lines there are before the first that is not empty."""
    return next((n for n, line in enumerate(lines) if line.strip()), len(lines))


def _cell_frame() -> FrameType | None:
    """Return the frame of the cell that called us."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to it
    while frame is not None and location.cell_of(frame.f_code.co_filename) is None:
        frame = frame.f_back
    return frame


def _run(statements: list[CodeType], last: CodeType | None, outer: dict[str, Any], names: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    for statement in statements:
        exec(statement, outer, names)
    return None if last is None else eval(last, outer, names)


def _message(error: StopwhenError) -> Exception:
    """Return the exception that IPython shows as a message."""
    from IPython.core.error import UsageError as Message  # noqa: PLC0415 - it runs us, so it is there

    message: Exception = Message(str(error))
    return message


def _what(watchpoint: Watchpoint) -> str:
    return f"{watchpoint.access.value} {watchpoint.expression.text}"


def _action_name(watchpoint: Watchpoint) -> str:
    action = watchpoint.rules.action
    return action.value if isinstance(action, Action) else "call"


def _times(watchpoint: Watchpoint) -> str:
    return "1 hit" if watchpoint.count == 1 else f"{watchpoint.count:,} hits"


def _state(watchpoint: Watchpoint) -> str:
    if not watchpoint.enabled:
        return "disabled"
    value = watchpoint.plan.value_text
    return "is not there yet" if value.startswith("absent") else f"is now {value}"


def _made_text(watchpoint: Watchpoint) -> str:
    happens = {
        AccessType.CHANGE: "changes",
        AccessType.TRUE: "becomes true",
        AccessType.WRITE: "is written",
        AccessType.READ: "is read",
    }
    return (
        f"watchpoint {watchpoint.number}: {_action_name(watchpoint)} when {watchpoint.expression.text} "
        f"{happens[watchpoint.access]}; it {_state(watchpoint)}"
    )


_loaded: dict[int, Magic] = {}  # by the id of the shell, which is kept by its Magic


def load(shell: Any) -> None:
    """Be `%load_ext stopwhen`."""
    if id(shell) not in _loaded:
        _loaded[id(shell)] = Magic(shell)
        _loaded[id(shell)].load()


def unload(shell: Any) -> None:
    """Be `%unload_ext stopwhen`."""
    magic = _loaded.pop(id(shell), None)
    if magic is not None:
        magic.unload()
