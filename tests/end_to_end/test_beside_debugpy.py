"""Under debugpy, as VS Code starts it: its stops and steps are as without stopwhen, and hits as without debugpy."""

from __future__ import annotations

from pathlib import Path

import pytest

import dap
import helpers

pytest.importorskip("debugpy")

STOCK = """\
import threading

rows = [5]
prices = {"tea": 1}


def sell(n):
    rows.append(n)  # @sell
    total = 0  # @total
    for i in range(n):
        total += i
        prices["tea"] += i  # @price
    return total


def restock():
    rows.sort()  # @sort
    prices["tea"] = 0  # @reset


def work():
    sell(3)  # @first
    thread = threading.Thread(target=restock)
    thread.start()
    thread.join()
    return sell(2)  # @second
"""
SHOP = """\
import os
import stock

if os.environ.get("ARM"):
    import stopwhen

    for expression in ("rows", "prices['tea']"):
        stopwhen.changes(expression, scope=stock, action=os.environ["ARM"])

print("worked", stock.work())  # @work
print(sorted(stock.rows), stock.prices)
"""
MARKS = helpers.marked_lines(STOCK)
ROUND = ["sell", "price", "price", "sort", "reset", "sell", "price"]  # `+= 0` is no change


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the program."""
    (tmp_path / "stock.py").write_text(STOCK)
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def session(folder: Path, env: dict[str, str], commands: list[str], **what: object) -> tuple[list[object], str, str]:
    """Debug the program, with a command at each stop; return the stops, and what it writes to stdout and stderr."""
    lines = [MARKS[mark] for mark in ("total", "sort", "reset")]
    stops: list[object] = []
    with dap.client(folder) as client:
        client.launch({"stock.py": lines}, env, **(what or {"program": str(folder / "shop.py")}))
        for command in [*commands, *["continue"] * 20]:
            stop = client.stop()
            if stop is None:
                break
            thread, reason, places = stop
            stops.append((reason, places))
            client.ask(command, threadId=thread)
        else:
            pytest.fail(f"it stops again and again: {stops}")
        return stops, client.output("stdout"), client.output("stderr")


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param([], id="continue"),
        pytest.param(["next"] * 8 + ["stepOut", "next", "next"], id="next"),
        pytest.param(["stepIn"] * 6 + ["stepOut", "stepIn", "stepIn"], id="step"),
    ],
)
def test_both_see_what_they_see_alone(folder: Path, commands: list[str]) -> None:
    """The same stops, in the same frames, and the hits by their lines, whatever is stepped over."""
    plain = session(folder, {}, commands)
    assert plain[0]
    stops, stdout, stderr = session(folder, {"ARM": "log"}, commands)
    assert (stops, stdout) == (plain[0], plain[1])
    # A thread of debugpy's may run meanwhile, and its place be told beside.
    assert helpers.marks_hit(stderr, folder / "stock.py", inexact=True) == ROUND


def test_started_by_stopwhen(folder: Path) -> None:
    """`stopwhen run` as the module that is debugged: breakpoints of the program hold."""
    plain = session(folder, {}, [])
    watch = ["--changes", "stock.rows", "--changes", "stock.prices['tea']"]
    words = {"module": "stopwhen", "args": ["run", "--action", "log", *watch, "shop.py"]}
    stops, stdout, stderr = session(folder, {}, [], **words)
    assert [reason for reason, _places in stops] == [reason for reason, _places in plain[0]]
    assert [places[0] for _reason, places in stops] == [places[0] for _reason, places in plain[0]]
    assert stdout == plain[1]
    assert helpers.marks_hit(stderr, folder / "stock.py", inexact=True) == ROUND
