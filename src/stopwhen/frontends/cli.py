"""The command `stopwhen`: `run` a program with watchpoints, `explain` how one would be watched, `doctor`."""

from __future__ import annotations

import atexit
import builtins
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import CodeType

import stopwhen
from stopwhen import absence, env, mechanisms, static
from stopwhen import session as sessions
from stopwhen.actions import Output
from stopwhen.errors import StopwhenError, UsageError
from stopwhen.expression import parse, walk
from stopwhen.frontends.child_processes import ChildProcesses
from stopwhen.frontends.last_words import stand_by
from stopwhen.frontends.options import (
    AskLine,
    HelpAsked,
    Request,
    read_doctor,
    read_explain,
    read_run,
    unknown_command,
)
from stopwhen.frontends.program import Program, prepare
from stopwhen.frontends.run_output import RunOutput
from stopwhen.launchers import GIVES_A_DICT, main_given_by
from stopwhen.nearest import nearest
from stopwhen.originals import ast
from stopwhen.originals import os as original_os
from stopwhen.originals import sys as original_sys
from stopwhen.reports.text import counted
from stopwhen.session import Session
from stopwhen.tally import Tally
from stopwhen.type_hints import Any
from stopwhen.types import Action
from stopwhen.watchpoint import Watchpoint

HELP = """\
usage: stopwhen run [options] (SCRIPT | -m MODULE | -c CODE) [arguments of the program]
       stopwhen attach [options] PID
       stopwhen detach PID
       stopwhen explain [options] EXPR
       stopwhen doctor [--json]

Data breakpoints for Python: stop when a piece of data changes, at the exact line that changed it.

commands:
  run      run a program and watch data in it
  attach   watch data in a process that runs already (Python 3.14 and later)
  detach   end what attach has begun in a process
  explain  tell how an expression would be watched, and what that costs
  doctor   tell which mechanisms this interpreter and machine have, and why not

options:
  --version   show the version
  -h, --help  show this, or after a command its own help

examples:
  stopwhen run --changes sys.path app.py                     stop where sys.path is modified
  stopwhen run --true 'len(queue) > 100' -m shop.worker      stop where the queue gets too long
  stopwhen explain 'os.environ["TZ"]'                        how would that be watched?

`python -m stopwhen` is the same command; flags of Python go before it: python -O -m stopwhen run ...
`python -m stopwhen.pdb app.py` is pdb with watch commands.
"""

RUN_HELP = """\
usage: stopwhen run [options] (SCRIPT | -m MODULE | -c CODE) [arguments of the program]

Run a program as python would, and act where data in it changes. At least one watchpoint is needed. All that stands
after the program belongs to it.

watchpoints, each as many times as you like:
  --changes EXPR   the value differs: another object, or other content
  --true EXPR      the value goes from false to true
  --writes EXPR    every store, of the same value too
  --reads EXPR     every read of what EXPR names last

what a hit does:
  --action ACTION  stop  open the debugger at the line that wrote (default; without a terminal as log)
                   log   report it on stderr and go on
                   raise raise stopwhen.DataChanged in the line that wrote
                   count count, and tell the number at the end

where hits are told (for the whole run):
  --output FILE    write texts there instead of stderr
  --json FILE      add one JSON object for each hit there, a line each; -: on stderr, which then gets no texts
  --stack N        show N callers, or all, a line each; default: a few in one line
  --max-hits N     show so many texts for one line of the program, and count the rest (default 10)
  --quiet          show no texts of hits; the line at the end that counts them stays
  --strict         end the run with exit status 2 when something cannot be watched any more

which hits:
  --if EXPR        only if EXPR is true; it reads `old`, `new`, `added`, `removed` and the names of the frame that wrote
  --hits RULE      only the third: 3; from the third on: '>=3'; every tenth: '%10'
  --thread NAME    only writes of the thread of this name; this and the next may come many times, as patterns too
  --task NAME      only writes of the asyncio task of this name
  --in GLOB        only writes by files like this: '*/shop/*'; --not-in GLOB: none by files like this
  --function GLOB  only writes by functions of this qualified name: 'Cart.add', 'load_*'
  --caller GLOB    only where a function or file like this is among the callers: 'Worker.run', '*/jobs/*'

what is watched:
  --scope NAME     where names are read: a module pkg.mod, every call of a function pkg.mod:func, every instance of a
                   class pkg.mod:Class (as `self`); default: the program's __main__, then the imported modules
  --pin            watch on the objects that the names in EXPR stand for first, though the names are bound to others
  --depth N        how deep content counts: 0 rebinding only, 1 the object's own content (default), 2 and more, or all
  --allow-calls    let EXPR run code of the program, such as properties
  --mechanism NAME watch by this mechanism only (`stopwhen doctor` lists them)

Options before the first watchpoint hold for all, options after one for that one. --option=VALUE is the same as
--option VALUE; -- ends the options.

examples:
  stopwhen run --changes sys.path -m pytest tests
  stopwhen run --action log --changes 'config["debug"]' --true 'len(jobs) > 9' --hits 1 app.py --port 80
  stopwhen run --changes self.balance --scope bank.model:Account --if 'new < 0' -m bank
  stopwhen run --action count --changes total -c 'total = 0
  for i in range(5): total += i'
"""

EXPLAIN_HELP = """\
usage: stopwhen explain [options] EXPR

Tell what `stopwhen run` would watch for EXPR: the cells it reads, the mechanism for each, what is refused and why, and
what it costs. Modules that are named in EXPR or by --scope are imported for that.

options:
  --writes         for every store (`run --writes`); --reads for every read; default: for changes
  --scope NAME     where names are read: pkg.mod, pkg.mod:func or pkg.mod:Class; default: __main__, then modules
  --depth N        how deep content counts: 0, 1 (default) and more, or all
  --allow-calls    as if EXPR might run code of the program
  --json           print JSON
  -h, --help       show this

examples:
  stopwhen explain 'sys.path[0]'
  stopwhen explain --scope shop.cart:Cart 'self.items'
"""

DOCTOR_HELP = """\
usage: stopwhen doctor [--json]

Tell which mechanisms this interpreter and machine have, best first, and why not the others.

options:
  --json      print JSON
  -h, --help  show this
"""

NO_C_MODULE_HINT = """\
  hint: with a C compiler and the headers of this Python (python3-dev, xcode-select --install, Visual Studio Build
        Tools): pip install --force-reinstall --no-cache-dir --no-binary stopwhen stopwhen"""

_COMMANDS = ("run", "attach", "detach", "explain", "doctor")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; what a program that it runs raises passes through.

    Args:
        arguments: the words after `stopwhen`; None for `sys.argv`'s.

    Returns:
        The exit status.
    """
    try:
        outcome = _perform(list(sys.argv[1:] if arguments is None else arguments))
        if isinstance(outcome, int) and sys.stdout is not None:
            sys.stdout.flush()
    except StopwhenError as error:
        _say(str(error))
        return error.exit_status
    except BrokenPipeError:
        return _end_unread()
    except KeyboardInterrupt:  # before the program began; it ends the process as it does with python
        sys.excepthook = lambda *_: None
        raise
    if isinstance(outcome, int):
        return outcome
    outcome()  # as few frames as may be between the interpreter's top level and the program, and no `try`
    return 0


def _end_unread() -> int:
    """End as other commands do when what reads their output, such as `head`, has had enough: without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter fails when it ends
    return 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1


def _perform(words: list[str]) -> int | Callable[[], None]:
    """Do what is asked and return the exit status, or return the program that is to be run."""
    if not words:
        hint = "stopwhen run --changes sys.path app.py; stopwhen --help tells more"
        raise UsageError("there is no command", slug="no-command", hint=hint)
    command, *rest = words
    if command in ("-h", "--help"):
        return _print(HELP)
    if command == "--version":
        return _print(f"stopwhen {stopwhen.__version__}\n")
    if command not in _COMMANDS:
        raise unknown_command(command, _COMMANDS)
    texts = {"run": RUN_HELP, "explain": EXPLAIN_HELP, "doctor": DOCTOR_HELP}
    if command in ("attach", "detach"):
        from stopwhen.frontends import attach  # noqa: PLC0415 - a program that is run has no use for it

        return attach.main(command, rest)
    try:
        if command == "run":
            return _run(rest)
        return _explain(read_explain(rest)) if command == "explain" else _doctor(read_doctor(rest))
    except HelpAsked:
        return _print(texts[command])


def _print(text: str) -> int:
    print(text, end="")
    return 0


_say = Output().say  # on the stderr that the process began with


# run


def _run(words: Sequence[str]) -> Callable[[], None]:
    """Arm the watchpoints and return what runs the program."""
    line = read_run(words)
    start = prepare(line.program)
    with _MechanismChosen(line.mechanism):
        session = sessions.current()
        output = session.output = RunOutput(line.reporting)
        run = _Run(session, output, line.requests)
        # First in, last out: the program's own functions at exit are watched like all of it.
        atexit.register(run.finish)
        run.arm()
        if line.program.kind == "module" and line.program.name in GIVES_A_DICT:
            _follow_main(session)
    return start


def _follow_main(session: Session) -> None:
    """Watch in the dict that a tool, which is the program, will have another program run in as `__main__`."""
    following = True

    def hear(event: str, arguments: tuple[Any, ...]) -> None:  # cannot be taken away again
        nonlocal following
        if following and event == "exec" and type(arguments[0]) is CodeType:
            namespace = main_given_by(original_sys._getframe(1))  # noqa: SLF001 - there is no other way to it
            if namespace is not None:
                following = False
                session.follow_main(namespace)

    sys.addaudithook(hear)


class _Run:
    """One run: its watchpoints, from before the program begins until the process ends."""

    def __init__(self, session: Session, output: RunOutput, requests: Sequence[Request]) -> None:
        self._session = session
        self._output = output
        self._requests = requests
        self._watchpoints: list[Watchpoint] = []
        self._tally = Tally(len(requests))
        self._pid = original_os.getpid()
        self._children: ChildProcesses | None = None

    def arm(self) -> None:
        """Arm the watchpoints, all or none: at the end nothing is said of the first where the second is refused."""
        stand_by(self._tell_hits, self._output.descriptors)
        self._children = ChildProcesses()
        watchpoints = [_arm(self._session, request) for request in self._requests]
        for index, watchpoint in enumerate(watchpoints):
            watchpoint.note_count_in(self._tally.cell(index))
        self._watchpoints = watchpoints
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_in_child)

    def finish(self) -> None:
        """Disarm all, and say at the end of the run what would otherwise go unnoticed."""
        # Up to 3.13, exec() or eval() of a text here, as in a module that is imported here, would make a program that
        # was interrupted exit with 1 and not die by SIGINT.
        self._session.close()
        if original_os.getpid() != self._pid:  # a forked child: the parent speaks
            self._output.tell_folded()
            return
        counts = self._tally.counts() if self._watchpoints else []
        for request, watchpoint, count in zip(self._requests, self._watchpoints, counts, strict=False):
            if watchpoint.given_up:
                continue  # the reason has been said
            if not watchpoint.was_present and not count.children and not self._session.is_quitting:
                self._output.say(str(_never_there(watchpoint, request.settings.scope)))
            elif request.settings.action is Action.COUNT:
                self._output.say(counted(request.access, watchpoint.expression.text, count.total))
        unwatched = 0 if self._children is None else self._children.unwatched()
        if unwatched:
            what = "1 child process was" if unwatched == 1 else f"{unwatched} child processes were"
            self._output.say(f"{what} not watched: only this process is, and what it forks")
        self._tell_hits()

    def _tell_hits(self) -> None:
        self._output.finish([request.text for request in self._requests], self._tally)

    def _begin_in_child(self) -> None:
        """Have a forked child keep its counts apart."""
        self._tally.begin_in_child([watchpoint.count for watchpoint in self._watchpoints])
        for index, watchpoint in enumerate(self._watchpoints):
            watchpoint.note_count_in(self._tally.cell(index))
        self._output.begin_in_child()


class _MechanismChosen:
    """While it is entered, the session plans with the mechanism of this name, which a variable says; None for all."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._before = os.environ.get(mechanisms.VARIABLE)

    def __enter__(self) -> None:
        if self._name is not None:
            os.environ[mechanisms.VARIABLE] = self._name

    def __exit__(self, *_error: object) -> None:
        if self._name is not None:
            del os.environ[mechanisms.VARIABLE]  # the program does not see it
        if self._name is not None and self._before is not None:
            os.environ[mechanisms.VARIABLE] = self._before


def _arm(session: Session, request: Request) -> Watchpoint:
    return session.watch(request.access, request.text, request.settings)


def _never_there(watchpoint: Watchpoint, scope: str | None) -> StopwhenError:
    text = watchpoint.expression.text
    return UsageError(f"{text} was never there", slug="never-there", hint=_absence_hint(watchpoint, scope))


def _hint_for_many(watchpoint: Watchpoint, scope: str) -> str:
    """Return how far it came to read an expression in each call of a function, or instance of a class."""
    module, _, path = scope.partition(":")
    owner: Any = sys.modules[module]
    for part in path.split("."):
        known = static.type_dict(owner) if isinstance(owner, type) else static.instance_dict(owner) or {}
        if part not in known:
            near = nearest(part, filter(None, known))
            return f"there is no {part!r} in {module}" + (f"; did you mean {near!r}?" if near else "")
        owner = known[part]
    if isinstance(owner, type):
        none, each = f"there was no instance of {scope}", f"every instance of {scope}"
    else:
        none, each = f"{scope} was never called", f"every call of {scope}"
    if not watchpoint.began:
        return none
    meant = absence.hint_of_member(watchpoint.expression, owner)
    return f"it was read in {each}, and had a value in none" + ("" if meant is None else f"; {meant}")


def _absence_hint(watchpoint: Watchpoint, scope: str | None) -> str:
    """Return where an expression was looked for, and what may have been meant."""
    modules, option = absence.own_modules(), absence.in_command_line
    if scope is None:
        known = {*vars(sys.modules["__main__"]), *sys.modules} if "__main__" in sys.modules else {*sys.modules}
        where = "__main__ or among the imported modules"
    elif scope.partition(":")[0] not in sys.modules:
        meant = absence.hint_of_scope(scope, modules, option)
        never = f"the module {scope.partition(':')[0]!r} was never imported"
        return never if meant is None else f"{never}; {meant}"
    elif ":" in scope:
        return _hint_for_many(watchpoint, scope)
    else:
        known, where = {*vars(sys.modules[scope])}, scope
        modules = [(name, namespace) for name, namespace in modules if name == scope]
    expression = watchpoint.expression
    missing = [name for name in expression.root_names() if name not in known and name not in vars(builtins)]
    if not missing:
        return f"its names are there, but the whole of it could never be read; it was read in {where}"
    meant = absence.hint_of_name(missing[0], expression, known, modules, option)
    return f"there is no {missing[0]!r} in {where}" + ("" if meant is None else f"; {meant}")


# explain


def _explain(line: AskLine) -> int:
    """Print how an expression would be watched."""
    expression = parse(line.text)
    prepare(Program("code", "", (), ()))  # what is ours in __main__ would be none of the program's
    names = [line.scope.partition(":")[0]] if line.scope is not None else _dotted_names(expression.tree)
    imported = [module for name in names for module in _import(name, whole=line.scope is not None)]
    session = sessions.current()
    try:
        plan = session.explain(line.text, line.scope, line.depth, line.allow_calls, line.access)
    finally:
        session.close()
    lines = list(plan.lines())
    if line.json:
        import json  # noqa: PLC0415

        print(
            json.dumps({"expression": line.text, "scope": line.scope, "imported": imported, "lines": lines}, indent=2)
        )
        return 0
    print("\n".join(lines))
    if imported:
        print(f"imported for this: {', '.join(imported)}; `stopwhen run` waits until the program imports it")
    for name in expression.root_names():
        hint = absence.hint_of_key(name, expression, absence.in_command_line)
        if hint is not None and line.scope is None and name not in sys.modules and name not in vars(builtins):
            print(hint)
    return 0


def _dotted_names(tree: ast.expr) -> list[str]:
    """Return the longest `a.b.c` that stand in an expression."""
    inner = {id(node.value) for node in walk(tree) if isinstance(node, ast.Attribute)}
    names = [_dotted(node) for node in walk(tree) if id(node) not in inner]
    return list(dict.fromkeys(name for name in names if name is not None))


def _dotted(node: ast.AST) -> str | None:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            start = _dotted(value)
            return None if start is None else f"{start}.{attribute}"
        case _:
            return None


def _import(dotted: str, *, whole: bool) -> list[str]:
    """Import as much of `a.b.c` as is a module, and return what was not there before.

    Args:
        dotted: the name.
        whole: all of it is meant to be a module: say so when it is not.
    """
    imported: list[str] = []
    parts = dotted.split(".")
    if not whole and parts[0] in vars(builtins):
        return imported
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        if name in sys.modules:
            continue
        parent: Any = sys.modules.get(".".join(parts[: length - 1]))
        if not whole and parent is not None and parts[length - 1] in vars(parent):
            break  # an attribute that is no module
        if not _import_one(name, whole=whole):
            break
        imported.append(name)
    return imported


def _import_one(name: str, *, whole: bool) -> bool:
    import importlib.util  # noqa: PLC0415 - a program that is run has no use for it

    stdout, sys.stdout = sys.stdout, sys.stderr  # what the module prints is no part of the answer
    try:
        if importlib.util.find_spec(name) is None:
            if whole:
                _say(f"there is no module {name!r}")
            return False
        importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may even exit
        if whole or not isinstance(error, ImportError):
            _say(f"cannot import {name}: {type(error).__name__}: {error}")
        return False
    finally:
        sys.stdout = stdout
    return True


# doctor


def _doctor(line: AskLine) -> int:
    """Print what there is."""
    rows = list(mechanisms.overview())
    python = f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))} on {sys.platform}"
    if line.json:
        import json  # noqa: PLC0415

        listed = [
            {"name": row.name, "title": row.title, "usable": row.reason is None, "reason": row.reason} for row in rows
        ]
        print(json.dumps({"python": python, "c_module": env.core is not None, "mechanisms": listed}, indent=2))
        return 0
    width = max([len("C module"), *(len(row.name) for row in rows)])
    print(f"{'python':{width}}  {python}")
    print(f"{'C module':{width}}  {'there' if env.core is not None else env.NO_C_MODULE}")
    if env.core is None:
        print(NO_C_MODULE_HINT)
    for row in rows:
        print(f"{row.name:{width}}  {'usable' if row.reason is None else f'not usable: {row.reason}'}  ({row.title})")
    return 0
