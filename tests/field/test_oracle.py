"""The oracle of `make field` finds out which lines change data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from helpers import marked_lines

ORACLE = Path(__file__).with_name("oracle.py")

SHOP = """
class Cart:
    def __init__(self):
        self.items = {}  # @first

    def add(self, name):
        self.items[name] = 1  # @item
        self.items.setdefault(name, 2)
"""

PROGRAM = """
import sys, shop
cart = shop.Cart()
cart.add("a")
cart.add("b")
cart.add("a")

def work():
    total = 0  # @start
    for number in range(3):
        total += number  # @add
    sys.path.append("x")  # @append

work()
"""


def test_each_change_is_seen_at_its_line(tmp_path: Path) -> None:
    """Stores, content and variables: at the line that changed them, once each; what leaves the value is no change."""
    shop, program = tmp_path / "shop.py", tmp_path / "program.py"
    shop.write_text(SHOP, encoding="utf-8")
    program.write_text(PROGRAM, encoding="utf-8")
    request = {
        "functions": [[str(shop), "Cart.add"], [str(program), "work"]],
        "data": [
            {"name": "a", "kind": "attribute", "module": "shop", "class": "Cart", "attribute": "items", "depth": "1"},
            {"name": "b", "kind": "local", "module": "__main__", "function": "work", "variable": "total"},
            {"name": "sys.path", "kind": "expression", "module": "", "expression": "sys.path", "depth": "1"},
        ],
    }
    (tmp_path / "request").write_text(json.dumps(request), encoding="utf-8")
    command = [sys.executable, str(ORACLE), "request", "result", "-m", "program"]
    subprocess.run(command, cwd=tmp_path, check=True)
    seen = [json.loads(line) for line in (tmp_path / "result").read_text(encoding="utf-8").splitlines()]
    lines = {**marked_lines(shop), **marked_lines(program)}
    expected = [("a", "first"), ("a", "item"), ("a", "item"), ("b", "start"), ("b", "add"), ("b", "add")]
    expected += [("sys.path", "append")]
    assert [(name, line) for name, _, line, _ in seen] == [(name, lines[mark]) for name, mark in expected]
