"""A program may delete or reload our modules, or run interpreters of its own: watching goes on, or its end is told."""

from __future__ import annotations

import textwrap

import pytest

from helpers import run_program
from stopwhen import env

needs_core = pytest.mark.skipif(env.core is None, reason="needs the C module")

PROGRAM = """
import gc, importlib, sys
import stopwhen
n, rows = 0, []
first = [stopwhen.changes(one, action="count", scope=globals()) for one in ("n", "rows")]
n = 1; rows.append(1)
ours = [name for name in sys.modules if name.partition(".")[0] == "stopwhen"]
{what}
gc.collect()
n = 2; rows.append(2)
print(*(one.count for one in first))
for one in first: one.remove()
stopwhen.clear()
n = 3
print("end")
"""

GOES_ON = {
    "all are deleted": "for name in ours: del sys.modules[name]",
    "the C module is deleted": 'sys.modules.pop("stopwhen._core", None)',
    "everything is deleted": "sys.modules.clear()",
    "the package is loaded anew": "importlib.reload(stopwhen)",
    "the package is imported anew": """
for name in ours: del sys.modules[name]
import stopwhen as again
second = again.changes("n", action="count", scope=globals())
n = 2
assert second.count == 1, second.count
n = 1
again.clear()
first[0].count  # has seen these two as well
""",
    "the C module is imported anew": """
sys.modules.pop("stopwhen._core", None)
try:
    import stopwhen._core
except ImportError:
    pass
""",
    "another interpreter watches": """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
own = interpreters.create()
told = interpreters.run_string(own, '''
import gc
class Thing: pass
things = [Thing() for _ in range(30)]
for one in things: one.x = [1]; one.__dict__ = {}; one.__class__ = type("Other", (), {})
gc.collect()
import stopwhen
y = 0
watchpoint = stopwhen.changes("y", action="count", scope=globals())
y = 1
assert watchpoint.count == 1
watchpoint.remove()
''')
assert told is None, told
interpreters.destroy(own)
""",
}


@pytest.mark.parametrize("what", GOES_ON)
def test_watching_goes_on(what):
    """What watches is held by the interpreter, not by `sys.modules`."""
    run = run_program(PROGRAM.format(what=textwrap.dedent(GOES_ON[what])), env={"PYTHONMALLOC": "debug"})
    extra = 2 if what == "the package is imported anew" else 0
    assert (run.stdout, run.stderr, run.status) == (f"{2 + extra} 2\nend\n", "", 0)


@pytest.mark.parametrize("name", ["stopwhen.session", "stopwhen.cells", "stopwhen.types", "all"])
def test_the_end_by_a_reload_is_told(name):
    """Its classes are others then: nothing can be watched on, and nothing raises."""
    names = "ours" if name == "all" else repr([name])
    what = f"for name in {names}: importlib.reload(sys.modules[name])"
    run = run_program(PROGRAM.format(what=what))
    assert run.stdout.endswith("end\n"), run.stderr
    assert run.status == 0
    assert run.stderr.count("\n") == 1
    assert "no longer watching 'n', 'rows': the program has loaded stopwhen." in run.stderr
    assert "anew [taken-away]" in run.stderr


@needs_core
@pytest.mark.skipif(not env.HAS_MONITORING, reason="sys.monitoring is there from Python 3.12 on")
def test_the_command_line_tells_once_what_is_taken():
    """And counts on: every id is freed, again and again."""
    run = run_program(
        """
        import sys
        n, rows = 0, []
        def work(k):
            local = k
        for k in range(1, 4):
            for tool in range(6):
                if sys.monitoring.get_tool(tool):
                    sys.monitoring.free_tool_id(tool)
            n = k; rows.append(k); work(k)
        import stopwhen
        print(*(one.count for one in stopwhen.watchpoints()))
        """,
        stopwhen="--action count --changes n --changes rows --changes local --scope __main__:work".split(),
    )
    assert (run.stdout, run.status) == ("4 4 3\n", 0), run.stderr
    assert run.stderr.count("[taken-away]") == 1
