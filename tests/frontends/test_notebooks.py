"""%stopwhen in Jupyter: a real kernel, and whole notebooks run."""

from __future__ import annotations

import dataclasses
import os
import re

import pytest

pytest.importorskip("ipykernel", reason="needs the packages of the extra 'notebooks'")
nbformat = pytest.importorskip("nbformat", reason="needs the packages of the extra 'notebooks'")
nbclient = pytest.importorskip("nbclient", reason="needs the packages of the extra 'notebooks'")

from jupyter_client.manager import start_new_kernel  # noqa: E402

from helpers import SOURCE  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # what Jupyter's packages say of each other


@dataclasses.dataclass
class Ran:
    """What became of one cell.

    Attributes:
        status: "ok" or "error".
        number: the cell's.
        shown: the data of what it displayed, by type.
        printed: what it printed.
        errors: tracebacks, without colours.
    """

    status: str
    number: int
    shown: list[dict[str, str]] = dataclasses.field(default_factory=list)
    printed: str = ""
    errors: str = ""

    @property
    def texts(self) -> str:
        """All texts that it displayed."""
        return "\n".join(data["text/plain"] for data in self.shown)


class Kernel:
    """A kernel of its own, with the extension loaded."""

    def __init__(self):
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHON_COLORS": "0"}
        self.manager, self.client = start_new_kernel(kernel_name="python3", env=environment)

    def run(self, code, answers=None):
        """Run a cell; `answers` are typed where it asks for input, None when it cannot."""
        ran = Ran("", 0)
        left = list(answers or ())

        def take(message):
            collect(ran, message["msg_type"], message["content"])

        def answer(message):
            ran.printed += message["content"]["prompt"]
            self.client.input(left.pop(0))

        reply = self.client.execute_interactive(
            code, output_hook=take, stdin_hook=answer, allow_stdin=answers is not None, timeout=60
        )
        ran.status, ran.number = reply["content"]["status"], reply["content"]["execution_count"]
        return ran

    def late_output(self, kind):
        """Return the next message of this kind that comes after its cell has ended, and the request it belongs to."""
        while True:
            message = self.client.get_iopub_msg(timeout=30)
            if message["msg_type"] == kind:
                return message["content"], message["parent_header"]["msg_id"]

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def collect(ran, kind, content):
    """Add one output to what became of a cell."""
    if kind == "stream":
        ran.printed += content["text"]
    elif kind in ("display_data", "execute_result"):
        ran.shown.append(content["data"])
    elif kind == "error":
        ran.errors += re.sub(r"\x1b\[[\d;]*m", "", "\n".join(content["traceback"]))


@pytest.fixture(scope="module")
def process():
    """One kernel for all tests here: it takes a second to start."""
    kernel = Kernel()
    yield kernel
    kernel.stop()


@pytest.fixture
def kernel(process):
    """The kernel, as new."""
    process.run("%reset -f\nimport stopwhen\nstopwhen.clear()\n%load_ext stopwhen")
    yield process
    process.run("%unload_ext stopwhen\n__import__('stopwhen').clear()")


# Hits.


def test_a_hit_is_in_the_output_of_the_cell_that_wrote(kernel):
    """As HTML and as text; cells are named by number and line, callers in other cells too."""
    defined = kernel.run("total = 1\ndef add(n):\n    global total\n    total += n")
    armed = kernel.run("%stopwhen changes total")
    assert re.fullmatch(r"watchpoint \d+: log when total changes; it is now 1\n", armed.printed)
    ran = kernel.run("\nadd(3)")
    (data,) = ran.shown
    assert sorted(data) == ["text/html", "text/plain"]
    assert data["text/plain"].splitlines()[1:] == [
        f"  cell [{defined.number}], line 4 in add",
        "    4 |     total += n",
        "  total  1 -> 4",
        f"  from cell [{ran.number}], line 2",
    ]
    assert f"cell [{defined.number}], line 4 in add" in data["text/html"]
    assert ran.status == "ok"


def test_names_are_those_of_the_notebook_as_they_come(kernel):
    """A name may be there later; it may go and come back."""
    assert "when df changes; it is not there yet" in kernel.run("%stopwhen changes df").printed
    ran = kernel.run("df = [1]\ndel df\ndf = [2]\ndf.append(3)")
    assert [re.search(r"\n  df +(.*)", data["text/plain"])[1] for data in ran.shown] == [
        "bound to [1]",
        "unbound, was [1]",
        "bound to [2]",
        "inserted 3 at 1",
    ]


def test_an_expression_is_written_without_quotes(kernel):
    """Braces and dollar signs are Python's, not IPython's."""
    kernel.run("q = [1]\nseen = {'a': {'b'}}")
    kernel.run("%stopwhen true len(q) > 2 and {'b'} == seen['a']")
    ran = kernel.run("q.append(2)\nq.append(3)")
    assert len(ran.shown) == 1
    assert "len(q) > 2 and {'b'} == seen['a'] became true" in ran.texts
    assert "line 2   by list.append" in ran.texts


def test_what_is_true_already_is_told_at_once(kernel):
    """With the cell that asked."""
    ran = kernel.run("x = 1\n%stopwhen true x")
    assert "x is already true" in ran.texts
    assert f"cell [{ran.number}], line 2\n" in ran.texts


def test_options_are_those_of_the_command_line(kernel):
    """Condition, hit condition, depth, scope, action."""
    kernel.run("import colorsys\na = b = 0\nc = [1]")
    kernel.run("%stopwhen changes a --if new > 5 --hits >=2")
    kernel.run("%stopwhen changes c --depth 0")
    kernel.run("%stopwhen changes ONE_THIRD --scope colorsys --action count")
    ran = kernel.run("for a in range(8): pass\nc.append(2)\ncolorsys.ONE_THIRD = 0.3")
    assert [data["text/plain"].split("\n")[3].strip() for data in ran.shown] == ["a  6 -> 7"]
    assert "changes ONE_THIRD  count  1 hit" in kernel.run("%stopwhen list").printed
    kernel.run("colorsys.ONE_THIRD = 1 / 3")


def test_raise_raises_in_the_cell(kernel):
    """At the line that wrote."""
    kernel.run("x = 1\n%stopwhen changes x --action raise")
    ran = kernel.run("y = 1\nx = 2\ny = 2")
    assert ran.status == "error"
    assert "----> 2 x = 2" in ran.errors
    assert "DataChanged: x changed: 1 -> 2, at cell" in ran.errors
    assert kernel.run("y").texts == "1"


def test_many_hits_are_counted_and_not_all_shown(kernel):
    """A loop does not flood the notebook."""
    kernel.run("rows = []\n%stopwhen changes rows")
    ran = kernel.run("for i in range(500): rows.append(i)")
    assert len(ran.shown) == 11
    assert "stopwhen: rows (watchpoint " in ran.texts
    assert "490 more hits, not shown but counted" in ran.texts
    assert len(kernel.run("rows.clear()").shown) == 1
    assert "501 hits" in kernel.run("%stopwhen list").printed


def test_watchpoints_of_the_python_interface_are_shown_too(kernel):
    """Their hits and what is said of them."""
    ran = kernel.run("import stopwhen\nx = 1\nw = stopwhen.changes('x', action='log', condition='1 / 0')\nx = 2")
    assert "x changed" in ran.texts
    assert "the condition of 'x' raised ZeroDivisionError: 'division by zero', which counts as true" in ran.texts


def test_hits_and_plans_look_well_as_values(kernel):
    """At the end of a cell."""
    kernel.run("x = 1\nw = stopwhen.changes('x', action='count')\nx = 2")
    (hit,) = kernel.run("w.hits[0]").shown
    assert "x changed" in hit["text/html"]
    assert "x  1 -> 2" in hit["text/plain"]
    assert kernel.run("w.plan").texts.startswith("x  is now  2\n  x: name 'x' in __main__")


# Threads and tasks.


def test_a_thread_of_an_earlier_cell_shows_in_the_cell_that_runs(kernel):
    """Its own has ended."""
    kernel.run("import threading\nx = 1\ngo, done = threading.Event(), threading.Event()\n%stopwhen changes x")
    kernel.run("def work():\n    global x\n    go.wait()\n    x = 2\n    done.set()\nt = threading.Thread(target=work)")
    assert kernel.run("t.start()").shown == []
    ran = kernel.run("go.set()\ndone.wait()\nt.join()")
    assert "x  1 -> 2" in ran.texts


IDLE = """\
import threading
x, ended, wrote = 1, threading.Event(), threading.Event()
def work():
    global x
    ended.wait()
    x = 2
    wrote.set()
t = threading.Thread(target=work, name="worker")
t.start()
def at_end(_result):
    get_ipython().events.unregister("post_run_cell", at_end)
    ended.set()
    wrote.wait()
get_ipython().events.register("post_run_cell", at_end)
"""


def test_what_happens_between_cells_is_shown_in_the_last_one(kernel):
    """When no other begins."""
    kernel.run("%stopwhen changes x --if old is not absent")
    kernel.run(IDLE)
    request = kernel.client.execute("armed = 1")
    content, parent = kernel.late_output("display_data")
    assert "x  1 -> 2" in content["data"]["text/plain"]
    assert parent != request or "worker" in content["data"]["text/plain"]
    kernel.client.get_shell_msg(timeout=30)
    kernel.run("t.join()")


def test_an_asyncio_task_of_an_earlier_cell_shows_in_the_cell_that_runs(kernel):
    """And is named, as it is not the kernel's own."""
    kernel.run("import asyncio\nx = 1\n%stopwhen changes x\ngo = asyncio.Event()")
    kernel.run(
        "async def work():\n    global x\n    await go.wait()\n    x = 2\nt = asyncio.create_task(work(), name='mine')"
    )
    ran = kernel.run("go.set()\nawait t")
    assert "x  1 -> 2" in ran.texts
    assert "in task mine" in ran.texts


# %%stopwhen.


def test_a_cell_magic_watches_one_cell(kernel):
    """Lines are those of the whole cell; the value of its last expression is the cell's; then it is over."""
    kernel.run("rows = [1]")
    ran = kernel.run("\n%%stopwhen changes rows --depth 1\nrows.append(2)\n\nrows.sort()\nlen(rows)")
    assert f"cell [{ran.number}], line 3   by list.append" in ran.texts
    assert ran.shown[-1]["text/plain"] == "2"
    assert "rows.sort" not in ran.printed
    assert kernel.run("rows.append(3)\nimport stopwhen\nstopwhen.watchpoints()").texts == "[]"


def test_a_cell_magic_says_when_there_was_no_hit(kernel):
    """Or how many were counted."""
    kernel.run("x = 1")
    assert kernel.run("%%stopwhen changes x\ny = x").printed == "x: no hit in this cell\n"
    assert kernel.run("%%stopwhen changes nix\ny = x").printed == "nix: no hit in this cell; it was never there\n"
    assert kernel.run("%%stopwhen changes x --action count\nx = 2\nx = 3").printed == "x: 2 hits in this cell\n"


def test_an_error_in_a_watched_cell_is_the_cells_own(kernel):
    """With the line in it, no frame of ours, and the watchpoint gone; a syntax error too."""
    ran = kernel.run("x = 1\n")
    ran = kernel.run("%%stopwhen changes x\nx = 2\n1 / 0\nx = 3")
    assert ran.status == "error"
    assert "ZeroDivisionError" in ran.errors
    assert f"Cell In[{ran.number}], line 3\n" in ran.errors
    assert "ipython_magic.py" not in ran.errors
    assert len(ran.shown) == 1
    assert "invalid syntax" in kernel.run("%%stopwhen changes x\nx = = 1").errors
    assert kernel.run("stopwhen.watchpoints()").texts == "[]"


def test_a_watched_cell_raises_where_it_may_not_change(kernel):
    """With --action raise."""
    kernel.run("x = 1")
    ran = kernel.run("%%stopwhen changes x --action raise\ny = 1\nx = 2\ny = 2")
    assert "----> 3 x = 2" in ran.errors
    assert kernel.run("y").texts == "1"
    assert f"DataChanged: x changed: 1 -> 2, at cell [{ran.number}], line 3" in ran.errors


def test_a_cell_that_awaits_is_refused(kernel):
    """It could not be run from within; the message says what to do."""
    ran = kernel.run("%%stopwhen changes x\nimport asyncio\nawait asyncio.sleep(0)")
    assert (ran.status, ran.errors) == ("error", "")
    assert "[cell-awaits]" in ran.printed


# The other commands.


def test_watchpoints_are_listed_switched_and_removed(kernel):
    """By their numbers."""
    assert kernel.run("%stopwhen list").printed.startswith("no watchpoints; ")
    kernel.run("x = y = 1")
    first = int(re.search(r"\d+", kernel.run("%stopwhen changes x").printed)[0])
    kernel.run("%stopwhen true y > 1 --action count")
    kernel.run(f"%stopwhen disable {first}")
    assert kernel.run("x = 2\ny = 2").shown == []
    assert kernel.run("%stopwhen").printed.splitlines() == [
        f"{first}  changes x   log    0 hits  disabled",
        f"{first + 1}  true y > 1  count  1 hit   is now True",
    ]
    kernel.run(f"%stopwhen enable {first}")
    assert len(kernel.run("x = 3").shown) == 1
    assert kernel.run(f"%stopwhen remove {first}").printed == f"removed: {first}  changes x  1 hit\n"
    assert kernel.run("x = 4").shown == []
    assert f"removed: {first + 1}" in kernel.run("%stopwhen remove all").printed
    assert kernel.run("stopwhen.watchpoints()").texts == "[]"


def test_explain_tells_how_it_would_be_watched(kernel):
    """In the names of the notebook; nothing is armed."""
    kernel.run("rows = [4]")
    printed = kernel.run("%stopwhen explain rows[0]").printed
    assert printed.startswith("rows[0]  is now  4\n  rows: name 'rows' in __main__")
    assert kernel.run("stopwhen.watchpoints()").texts == "[]"


def test_help_is_there_in_both_ways(kernel):
    """By command, and as IPython shows it."""
    assert "%stopwhen changes EXPR" in kernel.run("%stopwhen help").printed
    assert "%stopwhen changes EXPR" in kernel.run("print(get_ipython().find_line_magic('stopwhen').__doc__)").printed


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%stopwhen changes x +", "UsageError: cannot watch 'x +': invalid syntax at its end [bad-syntax]"),
        ("%stopwhen changes x.pop()", "[mutates]"),
        ("%stopwhen changess x", "did you mean %stopwhen changes?"),
        ("%stopwhen remove 99999", "there is no watchpoint 99999 [no-number]"),
        ("%stopwhen explain print(x)", "[call]"),
        ("%%stopwhen list\nx", "[no-watchpoint]"),
        ("%%stopwhen changes x --depth deep\nx = 2", "[bad-depth]"),
    ],
)
def test_errors_are_messages(line, words, kernel):
    """Without a traceback; the cell has failed, so that a run of all cells ends there."""
    kernel.run("x = [1]")
    ran = kernel.run(line)
    assert (ran.status, ran.errors) == ("error", "")
    assert words in ran.printed
    assert kernel.run("x").texts == "[1]"


# The debugger.


def test_a_stop_opens_the_debugger_where_input_is_allowed(kernel):
    """In the frame that wrote; one can look, step and go on."""
    kernel.run("total = 1\n%stopwhen changes total --action stop")
    code = "def f():\n    global total\n    mine = 5\n    total += 1\n    return mine\nprint('f gave', f())"
    ran = kernel.run(code, answers=["p mine, total", "n", "c"])
    printed = re.sub(r"\x1b\[[\d;]*m", "", ran.printed)
    assert "(5, 2)" in printed
    assert "----> 5     return mine" in printed
    assert "f gave 5" in printed
    assert "total  1 -> 2" in ran.texts
    assert ran.status == "ok"


def test_a_stop_is_shown_where_there_is_no_input(kernel):
    """As in a run of a whole notebook; the reason is said once."""
    kernel.run("x = 1\n%stopwhen changes x --action stop")
    ran = kernel.run("x = 2\nx = 3")
    assert ran.status == "ok"
    assert [word in ran.texts for word in ("x  1 -> 2", "x  2 -> 3")] == [True, True]
    assert ran.texts.count("takes no input, so it cannot stop") == 1


def test_a_stop_in_another_thread_is_shown(kernel):
    """Input belongs to the main one."""
    kernel.run("import threading\nx = 1\n%stopwhen changes x --action stop")
    code = "def work():\n    global x\n    x = 2\nt = threading.Thread(target=work)\nt.start()\nt.join()"
    ran = kernel.run(code, answers=[])
    assert "x  1 -> 2" in ran.texts
    assert "cannot stop in another thread" in ran.texts


# Coming and going.


def test_unloading_leaves_nothing(kernel):
    """No magic, no watchpoint of its own, no display of hits."""
    before = kernel.run("%unload_ext stopwhen\nimport stopwhen.session as s\ntype(s.current().output).__name__").texts
    assert before == "'Output'"
    kernel.run("%load_ext stopwhen\nx = 1\n%stopwhen changes x")
    kernel.run("%unload_ext stopwhen")
    ran = kernel.run("x = 2\nimport stopwhen\nstopwhen.watchpoints()")
    assert ran.texts == "[]"
    assert "not found" in kernel.run("%stopwhen list").printed
    called = "[f.__qualname__ for fs in get_ipython().events.callbacks.values() for f in fs]"
    assert "CellOutput" not in kernel.run(called).texts
    kernel.run("%load_ext stopwhen")
    assert "already loaded" in kernel.run("%load_ext stopwhen").printed


# Whole notebooks.


def run_notebook(*cells):
    """Run a notebook of these cells and return what became of each."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True)
    client.execute(env={**os.environ, "PYTHONPATH": str(SOURCE)})
    nbformat.validate(notebook)
    results = []
    for cell in notebook.cells:
        ran = Ran("ok", cell.execution_count)
        for output in cell.outputs:
            collect(ran, output.output_type, output)
        results.append(ran)
    return results


def test_a_notebook_that_is_run_as_a_whole_has_its_hits():
    """Each in its cell, with the numbers that the cells have got."""
    _, _, armed, hit, listed = run_notebook(
        "%load_ext stopwhen",
        "config = {'debug': False}\ndef load():\n    config.update(debug=True)",
        "%stopwhen changes config['debug']",
        "load()",
        "%stopwhen list",
    )
    assert armed.printed == "watchpoint 1: log when config['debug'] changes; it is now False\n"
    assert "cell [2], line 3 in load   by dict.update" in hit.texts
    assert "cell [4], line 1" in hit.shown[0]["text/html"]
    assert listed.printed == "1  changes config['debug']  log  1 hit  is now True\n"


def test_no_hit_between_the_cells_of_a_run_is_lost():
    """It is in the next cell."""
    *_, idle, after = run_notebook(
        "%load_ext stopwhen", "x = 1\n%stopwhen changes x --if old is not absent", IDLE, "t.join()\nx"
    )
    assert "x  1 -> 2" not in idle.texts
    assert "x  1 -> 2" in after.texts
    assert "in thread worker" in after.texts
