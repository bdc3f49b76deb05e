"""Coverage, profilers and tracers measure the same with stopwhen beside them, and stopwhen sees the same with them."""

from __future__ import annotations

import pstats
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import helpers
from stopwhen import env

coverage = pytest.importorskip("coverage")

# A program of two modules: what is watched, and who changes it, from a call, a thread, a generator and C code.
STOCK = """\
import threading

rows = [1]
prices = {"tea": 1}


def sell(n):
    if n > 100:
        return None
    rows.append(n)  # @sell
    for i in range(n):
        prices["tea"] += i  # @price
    return n


def orders(n):
    for i in range(n):
        rows.append(i)  # @order
        yield i


def restock():
    rows.sort()  # @sort
    try:
        prices["coffee"]
    except KeyError:
        prices["tea"] = 0  # @reset


def work():
    sell(2)
    sum(orders(2))
    thread = threading.Thread(target=restock)
    thread.start()
    thread.join()
"""
SHOP = """\
import arming
import stock

stock.work()
stock.work()
print(sorted(stock.rows), stock.prices)
"""
# Arms in the program itself, if it is asked to.
ARMING = """\
import os

if os.environ.get("ARM"):
    import stock
    import stopwhen

    for expression in ("rows", "prices['tea']"):
        stopwhen.changes(expression, scope=stock, action="log")
"""
ROUND = ["sell", "price", "order", "order", "sort", "reset"]  # `+= 0` is no change
OPTIONS = ("run", "--action", "log", "--changes", "stock.rows", "--changes", "stock.prices['tea']")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the program."""
    for name, text in (("stock", STOCK), ("shop", SHOP), ("arming", ARMING)):
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def lines_covered(folder: Path) -> object:
    """Return what coverage measured: lines or pairs of lines of each file of the program."""
    data = coverage.CoverageData(str(folder / ".data"))
    data.read()
    files = [name for name in data.measured_files() if Path(name).stem in {"stock", "shop"}]
    assert len(files) == 2
    # Lines below zero are where code begins and ends.
    return {Path(name).name: sorted(data.arcs(name) or [(line,) for line in data.lines(name)]) for name in files}


def calls_counted(folder: Path) -> object:
    """Return how often a profiler saw each function of the program."""
    stats = pstats.Stats(str(folder / ".data")).stats
    counted = {
        (Path(file).name, line, name): (calls, all_calls)
        for (file, line, name), (calls, all_calls, *_times) in stats.items()
        if Path(file).stem in {"stock", "shop"}
    }
    assert counted
    return counted


def lines_counted(folder: Path) -> object:
    """Return how often `trace` saw each line of the program."""
    return {name: next((folder / "counts").glob(f"*{name}.cover")).read_text() for name in ("stock", "shop")}


@dataclass(frozen=True)
class Tool:
    """A tool that measures a program.

    Attributes:
        words: what stands between `python` and the program.
        read: returns what it has found, given the program's folder.
        environment: variables that it needs.
    """

    words: tuple[str, ...]
    read: Callable[[Path], object]
    environment: dict[str, str] = field(default_factory=dict)


def by_coverage(core: str, *options: str) -> Tool:
    words = ("-m", "coverage", "run", "--data-file", ".data", *options)
    return Tool(words, lines_covered, {"COVERAGE_CORE": core})


TOOLS = {
    "coverage, C": by_coverage("ctrace"),
    "coverage, C, branches": by_coverage("ctrace", "--branch"),
    "coverage, Python": by_coverage("pytrace"),
    "cProfile": Tool(("-m", "cProfile", "-o", ".data"), calls_counted),
    "profile": Tool(("-m", "profile", "-o", ".data"), calls_counted),
    "trace": Tool(("-m", "trace", "--count", "--missing", "-C", "counts"), lines_counted),
}
if env.HAS_MONITORING:
    TOOLS["coverage, sys.monitoring"] = by_coverage("sysmon")
if sys.version_info >= (3, 14):
    TOOLS["coverage, sys.monitoring, branches"] = by_coverage("sysmon", "--branch")

WAYS = {
    "started by stopwhen": lambda tool: (("-m", "stopwhen", *OPTIONS, *tool.words, "shop.py"), {}),
    "armed by the program": lambda tool: ((*tool.words, "shop.py"), {"ARM": "1"}),
    "starting stopwhen": lambda tool: ((*tool.words, "-m", "stopwhen", *OPTIONS, "shop.py"), {}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tool", TOOLS)
def test_both_see_what_they_see_alone(tool: str, way: str, folder: Path) -> None:
    """The tool measures what it measures without us, each change is named by its line, and the output is the same."""
    if way == "starting stopwhen" and tool == "trace":
        pytest.skip("trace runs files, and one module by its name")
    used = TOOLS[tool]
    plain = helpers.run_python(*used.words, "shop.py", cwd=folder, env=used.environment)
    assert plain.status == 0, plain.stderr
    measured = used.read(folder)
    words, environment = WAYS[way](used)

    both = helpers.run_python(*words, cwd=folder, env={**used.environment, **environment})

    assert both.status == 0, both.stderr
    assert helpers.marks_hit(both.stderr, folder / "stock.py") == ROUND + ROUND
    assert used.read(folder) == measured
    assert both.stdout == plain.stdout


TEST = """\
import stock
import stopwhen


def test_selling():
    with stopwhen.changes("stock.rows", action="log") as watchpoint:
        stock.work()
    assert [hit.location.lineno for hit in watchpoint.hits] == EXPECTED


def test_selling_nothing():
    stock.sell(0)
    assert stock.sell(101) is None
"""


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.startswith("coverage")])
def test_in_tests_under_coverage(tool: str, folder: Path) -> None:
    """pytest under coverage: the hits of a test are its own, and what follows it is measured too."""
    marks = helpers.marked_lines(STOCK)
    expected = [marks[mark] for mark in ROUND if mark not in {"price", "reset"}]
    (folder / "test_plain.py").write_text(TEST.replace("assert [", "EXPECTED and [").replace("EXPECTED", "[]"))
    (folder / "test_stock.py").write_text(TEST.replace("EXPECTED", repr(expected)))
    used = TOOLS[tool]
    read = {}
    for name in ("test_plain.py", "test_stock.py"):
        words = (*used.words, "-m", "pytest", "-q", "-p", "no:cacheprovider", name)
        ended = helpers.run_python(*words, cwd=folder, env=used.environment)
        assert ended.status == 0, ended.stdout + ended.stderr
        data = coverage.CoverageData(str(folder / ".data"))
        data.read()
        path = str((folder / "stock.py").resolve())
        read[name] = sorted(data.arcs(path) or data.lines(path))
    assert read["test_stock.py"] == read["test_plain.py"]
