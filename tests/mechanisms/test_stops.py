"""The table of stops: with every mechanism and kind of write, the debugger opens before the writer's next instruction.

Each case watches one piece of data and names what the next instruction would do. The debugger is a function in the
place of `sys.breakpointhook`: its caller is the frame that wrote. From 3.12 on a stop is exact amid a line; on 3.11,
where events come for lines, it is exact to the line.
"""

from __future__ import annotations

import bdb
import io
import os
import pdb
import re
import sys
import textwrap
from dataclasses import dataclass

import pytest

import stopwhen
from contract import Module, choose, mechanism_sets
from helpers import marked_lines
from stopwhen import env

EXACT = env.HAS_MONITORING


@dataclass(frozen=True)
class Stop:
    """One case.

    Attributes:
        name: how the write is made.
        program: its marked line `@write` makes it; there is no other.
        not_amid: names that what stands behind the write on its line would bind in the frame that wrote.
        not_after: names that the next line would bind there.
        watch: the watch expression; None when the program arms it itself.
        function: name of the function that wrote.
        dicts: the dict watcher alone must do.
        filename: of the code that wrote; None for the program's.
    """

    name: str
    program: str
    not_amid: tuple[str, ...] = ()
    not_after: tuple[str, ...] = ("after",)
    watch: str | None = "x"
    function: str = "<module>"
    dicts: bool = False
    filename: str | None = None

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


SETUP = """\
import collections, heapq, itertools, sys, threading
x = 0
L, D, S = [], {"k": 0}, set()
class Point:
    kind = 0
    def __init__(self): self.n = 0
class Slotted:
    __slots__ = ("n",)
o, slotted = Point(), Slotted()
slotted.n = 0
"""

NAMES = [
    Stop("assignment", "x = 1; amid = 1  # @write\nafter = 1", ("amid",), dicts=True),
    Stop("augmented assignment", "x += 1; amid = 1  # @write\nafter = 1", ("amid",), dicts=True),
    Stop("assignment to several names", "x = y = 1  # @write\nafter = 1", ("y",), dicts=True),
    Stop("unpacking", "x, y = 1, 2  # @write\nafter = 1", ("y",), dicts=True),
    Stop("walrus", "y = (x := 5)  # @write\nafter = 1", ("y",), dicts=True),
    Stop("loop variable", "for x in [1]: amid = x  # @write\nafter = 1", ("amid",), dicts=True),
    Stop("delete", "del x; amid = 1  # @write\nafter = 1", ("amid",), dicts=True),
    Stop("import", "import json as x; amid = 1  # @write\nafter = 1", ("amid",), dicts=True),
    Stop("class statement", "class x: pass  # @write\nafter = 1", dicts=True),
    Stop("def statement", "def x(): pass  # @write\nafter = 1", dicts=True),
    Stop(
        "with as",
        "class Manager:\n    def __enter__(self): return 1\n    def __exit__(self, *_): pass\n"
        "with Manager() as x: amid = 1  # @write\nafter = 1",
        ("amid",),
        dicts=True,
    ),
    Stop(
        "except as",
        "try: 1 / 0\nexcept ZeroDivisionError as x: first = 1; stop()  # @write\nafter = 1",
        ("first",),
        dicts=True,
    ),
    Stop("match capture", "match 5:\n    case x: after = 1  # @write\nlast = 1", ("after",), ("last",), dicts=True),
    Stop("globals()", "globals()['x'] = 1; amid = 1  # @write\nafter = 1", ("amid",), dicts=True),
    Stop("global statement", "def f():\n    global x\n    x = 1; amid = 1  # @write\n    after = 1\nf()", ("amid",), function="f", dicts=True),
    Stop("exec of a text", "exec('x = 1; amid = 1\\nafter = 1')", ("amid",), dicts=True, filename="<string>"),
]  # fmt: skip

OBJECTS = [
    Stop("attribute", "o.n = 1; amid = 1  # @write\nafter = 1", ("amid",), watch="o.n", dicts=True),
    Stop("setattr", "y = setattr(o, 'n', 1)  # @write\nafter = 1", ("y",), watch="o.n", dicts=True),
    Stop("delattr", "y = delattr(o, 'n')  # @write\nafter = 1", ("y",), watch="o.n", dicts=True),
    Stop("class attribute", "Point.kind = 1; amid = 1  # @write\nafter = 1", ("amid",), watch="Point.kind", dicts=True),
    Stop("slot", "slotted.n = 1; amid = 1  # @write\nafter = 1", ("amid",), watch="slotted.n"),
    Stop("__init__", "class C:\n    def __init__(self):\n        global x\n        x = 1; amid = 1  # @write\n        after = 1\nC()", ("amid",), function="__init__", dicts=True),
    Stop("property setter", "class C:\n    @property\n    def p(self): pass\n    @p.setter\n    def p(self, value):\n        L.append(value); amid = 1  # @write\n        after = 1\nC().p = 1", ("amid",), watch="L", function="p"),
    Stop("operator method", "class C:\n    def __add__(self, other):\n        L.append(other); amid = 1  # @write\n        after = 1\nC() + 1", ("amid",), watch="L", function="__add__"),
    Stop("__del__", "class C:\n    def __del__(self):\n        L.append(1); amid = 1  # @write\n        after = 1\nc = C()\ndel c", ("amid",), watch="L", function="__del__"),
]  # fmt: skip

CONTAINERS = [
    Stop("dict item", "D['k'] = 1; amid = 1  # @write\nafter = 1", ("amid",), watch="D['k']", dicts=True),
    Stop("dict content", "D['new'] = 1; amid = 1  # @write\nafter = 1", ("amid",), watch="D", dicts=True),
    Stop("del of an item", "del D['k']; amid = 1  # @write\nafter = 1", ("amid",), watch="D", dicts=True),
    Stop("dict.update", "y = D.update(k=1)  # @write\nafter = 1", ("y",), watch="D['k']", dicts=True),
    Stop("dict.pop", "y = D.pop('k')  # @write\nafter = 1", ("y",), watch="D['k']", dicts=True),
    Stop("dict |=", "D |= {'k': 1}; amid = 1  # @write\nafter = 1", ("amid",), watch="D", dicts=True),
    Stop("list.append", "y = L.append(1)  # @write\nafter = 1", ("y",), watch="L"),
    Stop("list +=", "L += [0]; amid = 1  # @write\nafter = 1", ("amid",), watch="L"),
    Stop("slice", "L[:] = [1, 2]; amid = 1  # @write\nafter = 1", ("amid",), watch="L"),
    Stop("length", "y = L.append(1)  # @write\nafter = 1", ("y",), watch="len(L)"),
    Stop("set.add", "y = S.add(1)  # @write\nafter = 1", ("y",), watch="S"),
    Stop("heappush", "y = heapq.heappush(L, 1)  # @write\nafter = 1", ("y",), watch="L"),
    Stop("call over several lines", "y = L.append(\n    1,\n)\nafter = 1", ("y",), watch="L"),
]  # fmt: skip

CALLS = [
    Stop("last statement of a function", "def f():\n    L.append(1)  # @write\nf(); after = 1", not_after=(), watch="L", function="f"),
    Stop("return of the call", "def f():\n    return L.append(1)  # @write\nf(); after = 1", not_after=(), watch="L", function="f"),
    Stop("lambda", "f = lambda: L.append(1)  # @write\nf(); after = 1", not_after=(), watch="L", function="<lambda>"),
    Stop("generator", "def g():\n    y = L.append(1)  # @write\n    after = 1\n    yield\nnext(g())", ("y",), watch="L", function="g"),
    Stop("generator that was suspended", "def g():\n    yield\n    y = L.append(1)  # @write\n    after = 1\nlist(g())", ("y",), watch="L", function="g"),
    Stop("generator expression", "list(L.append(1) for _ in [1])  # @write\nafter = 1", not_after=(), watch="L", function="<genexpr>"),
    Stop("coroutine", "import asyncio\nasync def c():\n    await asyncio.sleep(0)\n    y = L.append(1)  # @write\n    after = 1\nasyncio.run(c())", ("y",), watch="L", function="c"),
    Stop("callback of sorted", "def key(item):\n    y = L.append(item)  # @write\n    after = 1\n    return item\nsorted([1], key=key)", ("y",), watch="L", function="key"),
    Stop("callback of map", "def twice(item):\n    y = L.append(item)  # @write\n    after = 1\nlist(map(twice, [1]))", ("y",), watch="L", function="twice"),
    Stop("C function called by C", "y = list(map(L.append, [1, 2]))  # @write\nafter = 1", ("y",), watch="L"),
    Stop("another thread", "def work():\n    y = L.append(1)  # @write\n    after = 1\nt = threading.Thread(target=work)\nt.start(); t.join()", ("y",), watch="L", function="work"),
    Stop("exception that passes", "def broken():\n    yield 1\n    raise KeyError\ntry:\n    L.extend(broken())  # @write\nexcept KeyError:\n    after = 1", watch="L"),
    Stop("function that raises", "def f():\n    D.update(broken())  # @write\ndef broken():\n    yield 'k', 1\n    raise KeyError\ntry:\n    f()\nexcept KeyError:\n    after = 1", not_after=(), watch="D['k']", function="f", dicts=True),
    Stop("except clause", "try:\n    1 / 0\nexcept ZeroDivisionError:\n    y = L.append(1)  # @write\n    after = 1", ("y",), watch="L"),
    Stop("finally clause", "try:\n    try:\n        1 / 0\n    finally:\n        y = L.append(1)  # @write\n        after = 1\nexcept ZeroDivisionError: pass", ("y",), watch="L"),
]  # fmt: skip

LOCALS = [
    Stop("local", "def f():\n    n = 0\n    stopwhen.changes('n')\n    n = 1; amid = 1  # @write\n    after = 1\nf()", ("amid",), watch=None, function="f"),
    Stop("local of a loop", "def f():\n    n = 0\n    stopwhen.changes('n')\n    for n in [1]: amid = 1  # @write\n    after = 1\nf()", ("amid",), watch=None, function="f"),
    Stop("nonlocal", "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n = 1; amid = 1  # @write\n        after = 1\n    stopwhen.changes('n')\n    g()\nf()", ("amid",), watch=None, function="g"),
]  # fmt: skip

TABLE = [*NAMES, *OBJECTS, *CONTAINERS, *CALLS, *LOCALS]


def cases():
    """Return each case with each mechanism that is there for it."""
    return [
        pytest.param(case, mechanism, id=f"{case}-{mechanism}")
        for case in TABLE
        for mechanism in mechanism_sets()
        if mechanism != "dictwatch" or case.dicts
    ]


class Prompt:
    """Stands for a debugger: notes where it is opened, and what is bound there."""

    def __init__(self):
        self.frames = []

    def __call__(self):
        frame = sys._getframe(1)
        self.frames.append((frame, frame.f_code.co_name, frame.f_lineno, frozenset(frame.f_locals)))


@pytest.fixture
def prompt(monkeypatch):
    """The debugger of this process."""
    made = Prompt()
    monkeypatch.setattr(sys, "breakpointhook", made)
    return made


@pytest.mark.parametrize(("case", "mechanism"), cases())
def test_a_stop_comes_before_the_next_instruction(case, mechanism, prompt, tmp_path, monkeypatch, capfd):
    """The caller of the debugger is the frame that wrote, and nothing of it has run since the write."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.stopwhen = stopwhen
    exec(textwrap.dedent(SETUP), module.__dict__)
    module.stop = lambda: None
    try:
        if case.watch is not None:
            stopwhen.changes(case.watch, scope=module)
        module.run(case.program)
    finally:
        stopwhen.clear()
    assert prompt.frames, "it has stopped"
    frame, function, line, bound = prompt.frames[0]
    assert function == case.function
    assert frame.f_code.co_filename == (case.filename or os.fspath(module.path))
    assert bound.isdisjoint(case.not_after)
    if EXACT:
        assert bound.isdisjoint(case.not_amid)
        assert line == marked_lines(module.path).get("write", line) or not case.not_amid


STEPPING = """\
def work():
    first = 1
    D["w"] = first  # @write
    second = first + 1  # @second
    third = second + 1  # @third
    for number in [1, 2]:  # @loop
        D["k"] = number  # @item
        fourth = number  # @fourth
    return third  # @returned
def caller():
    result = work()  # @called
    return result  # @back
caller()
"""


@dataclass
class Session:
    """A real pdb, whose answers are kept."""

    places: list[str]
    text: str


@pytest.fixture
def play(tmp_path, monkeypatch, capfd):
    """Return a function that runs the program above under watchpoints, with the commands that pdb is to be given."""

    def run(mechanism, commands, *expressions):
        choose(monkeypatch, mechanism)
        module = Module(tmp_path)
        exec(SETUP, module.__dict__)
        output = io.StringIO()
        debugger = pdb.Pdb(
            stdin=io.StringIO("".join(f"{command}\n" for command in commands)),
            stdout=output,
            nosigint=True,
            readrc=False,
        )
        monkeypatch.setattr(sys, "breakpointhook", lambda: debugger.set_trace(sys._getframe(1)))
        try:
            for expression in expressions:
                stopwhen.changes(expression, scope=module)
            module.run(STEPPING)
        finally:
            stopwhen.clear()
            sys.settrace(None)
        text = output.getvalue().replace(os.fspath(module.path), "subject.py")
        marks = {line: mark for mark, line in marked_lines(module.path).items()}
        lines = re.findall(r"^(?:\(Pdb\) )?> subject\.py\((\d+)\)", text, re.MULTILINE)
        places = [marks.get(int(line), line) for line in lines]
        module.session = Session(places, text)
        return module

    return run


every_mechanism = pytest.mark.parametrize("mechanism", [one for one in mechanism_sets() if one != "dictwatch"])


@every_mechanism
@pytest.mark.parametrize(
    ("commands", "places"),
    [
        (["continue"], ["second"]),
        (["next", "continue"], ["second", "third"]),
        (["step", "step", "continue"], ["second", "third", "loop"]),
        (["until", "continue"], ["second", "third"]),
        (["until 8", "continue"], ["second", "fourth"]),
        (["return", "continue"], ["second", "returned"]),
        (["return", "next", "continue"], ["second", "returned", "back"]),
        (["up", "next", "continue"], ["second", "called", "back"]),
        (["up", "down", "continue"], ["second", "called", "second"]),
    ],
    ids=lambda value: "-".join(value).replace(" ", "") if isinstance(value, list) else None,
)
def test_from_a_stop_pdb_goes_on_as_from_any_other(mechanism, play, commands, places):
    """`next`, `step`, `until`, `return`, `up`, `down` and `continue` lead where they lead from a breakpoint."""
    assert play(mechanism, commands, "D['w']").session.places == places


@every_mechanism
def test_a_stop_follows_a_stop(mechanism, play):
    """`continue` leads to the next hit, and stepping in between does not disturb it."""
    module = play(mechanism, ["next", "continue", "continue", "continue"], "D['w']", "D['k']")
    assert module.session.places == ["second", "third", "fourth", "fourth"]


@every_mechanism
def test_what_is_assigned_at_the_prompt_holds(mechanism, play):
    """A local and a global that are assigned at the prompt have that value when the program goes on, and are no hit."""
    commands = ["!first = 40", "!D['w'] = 7", "return", "p second, D['w']", "continue"]
    module = play(mechanism, commands, "D['w']")
    assert "(41, 7)" in module.session.text
    assert module.session.places == ["second", "returned"]


@every_mechanism
def test_the_stack_is_the_programs(mechanism, play):
    """`where` shows no frame of ours between those of the program, and none below the writer."""
    module = play(mechanism, ["where", "continue"], "D['w']")
    after = module.session.text.partition("(Pdb) ")[2].partition("(Pdb) ")[0]
    program = after[after.index("subject.py") :]
    assert re.findall(r"[>\s] (\S+)\((\d+)\)(\w+|<module>)", program)[-1][2] == "work"
    assert "stopwhen" not in program


@every_mechanism
def test_quit_ends_the_program(mechanism, play):
    """`quit` raises `BdbQuit` in the frame that wrote; where C code watches, no frame of ours is in the traceback."""
    with pytest.raises(bdb.BdbQuit) as caught:
        play(mechanism, ["quit"], "D['w']")
    files = [entry.path.name for entry in caught.traceback]
    assert "subject.py" in files
    assert files[-2:] == ["bdb.py", "bdb.py"]
    if mechanism != "recheck":
        assert files[-3] == "subject.py"
