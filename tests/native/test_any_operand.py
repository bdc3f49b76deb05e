"""The process does not die because it is watched: operands may be of any type, and the end may come at any time."""

from __future__ import annotations

import textwrap

import pytest

from helpers import run_program, run_python
from stopwhen import env

needs_core = pytest.mark.skipif(env.core is None, reason="needs the C module")

OPERANDS = """
    import ctypes, collections, datetime, decimal, functools, io, itertools, re, sqlite3, sys, types, weakref

    def generate():
        yield 1

    def callables():
        # Static classes with a metaclass in C; the collector knows none of them, and their metaclass cannot walk them.
        yield from (ctypes.Structure, ctypes.Union, ctypes.Array, ctypes._SimpleCData, ctypes._Pointer)
        yield from (ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.c_int * 3)
        yield ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1)
        try:
            import numpy
        except ImportError:
            pass
        else:
            yield from (numpy.dtype, type(numpy.dtype), type(numpy.dtype("i4")), numpy.ufunc, numpy.add, numpy.ndarray)
            yield from (numpy.nditer, numpy.dtype("i4"), numpy.arange(3))
        # What passes on what it holds, of every kind that is at hand.
        rows = [0]
        yield from (iter(rows), iter({1: 2}), iter((rows,)), reversed(rows), map(len, [rows]), zip(rows, rows))
        yield from (itertools.chain(rows), itertools.tee(rows)[0], itertools.groupby(rows), enumerate(rows))
        yield from (functools.partial(len, rows), functools.lru_cache(len), operator.itemgetter(0))
        yield from (operator.methodcaller("append", 1), rows.append, len, type, object, generate(), weakref.ref(Graph))
        yield from (re.compile("a"), re.finditer("a", "a"), sqlite3.connect(":memory:").cursor(), io.StringIO("a"))
        yield from (datetime.datetime, decimal.Decimal, collections.deque, collections.OrderedDict, types.MethodType)
        yield from (int.__add__, (1).__add__, vars(type)["__dict__"], staticmethod(len), property(len))

    import operator

    class Graph:
        def __init__(self):
            self.rows = [1]

    def use_all():
        for one in callables():
            isinstance(1, one) if isinstance(one, type) else callable(one)
            try:
                iter(one)
            except TypeError:
                pass
            id((one, [one]))
"""

WATCHED = {
    "instances": """
        graphs = [Graph() for _ in range(17)]
        with stopwhen.changes("self.rows", scope=Graph, action="count") as watchpoint:
            use_all()
            graphs[3].rows.append(1)
    """,
    "depths": """
        table = [[i] for i in range(100)]
        with stopwhen.changes("table", depth="all", action="count") as watchpoint:
            use_all()
            table[3].append(1)
    """,
    "lists": """
        table = [[i] for i in range(100)]
        every = [stopwhen.changes(f"table[{i}]", action="count") for i in range(100)]
        watchpoint = every[3]
        use_all()
        table[3].append(1)
    """,
}


@needs_core
@pytest.mark.parametrize("watched", WATCHED)
def test_an_operand_may_be_of_any_type(watched):
    """What an operand holds is found as the garbage collector finds it, and not where that would find nothing."""
    text = "import stopwhen\n" + textwrap.dedent(OPERANDS) + textwrap.dedent(WATCHED[watched])
    run = run_program(text + "print(watchpoint.count)\n", env={"PYTHONMALLOC": "debug"})
    assert (run.stdout, run.stderr, run.status) == ("1\n", "", 0)


def test_the_main_module_that_the_program_s_takes_the_place_of_is_kept(tmp_path):
    """The interpreter, which runs the command as a script, deletes names of it when the program has failed."""
    command = tmp_path / "stopwhen"
    command.write_text("import sys\nfrom stopwhen.frontends.cli import main\nsys.exit(main())\n")
    run = run_python(str(command), "run", "--changes", "total", "-c", "x=", env={"PYTHONMALLOC": "debug"})
    assert (run.status, run.stdout) == (1, "")
    assert "SyntaxError" in run.stderr


@needs_core
def test_the_module_may_go_while_anything_is_armed():
    """Where the session could not disarm, the C module does, and frees nothing that it still counts."""
    run = run_program(
        """
        import sys, stopwhen
        from stopwhen import env, session
        rows, d = [[1]] * 30, {"a": 1}
        class Thing: pass
        def run(expression):
            local = shared = 1
            keep = lambda: shared
            options = {"scope": Thing} if expression == "self.x" else {}
            return sys._getframe(), [stopwhen.changes(expression, action="count", **options) for _ in range(20)]
        things = [Thing() for _ in range(30)]
        for expression in ("rows", "rows[0]", "len(rows)", "d", "d['a']", "local", "shared", "self.x"):
            for one in things: one.x = 1
            held = run(expression)
            env.core.close()  # as when close() of the session fails half way: it knows nothing of this
            for one in things: one.x = 2
            rows.append(1); rows[0].append(1); d["a"] = 2
            print(expression, env.core.armed())
            session.current().close()
        held = run("local"), run("rows")
        env.core.close()
        del sys.modules["stopwhen._core"]
        """,
        env={"PYTHONMALLOC": "debug"},
    )
    told = [line.rpartition(" ")[2] for line in run.stdout.splitlines()]
    assert (told, run.status) == (["0"] * 8, 0)
    assert "Traceback" not in run.stderr
