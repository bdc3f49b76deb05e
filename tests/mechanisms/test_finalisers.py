"""What a value's finaliser changes is told by the finaliser's own line, however a watched write dropped the value."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import helpers
from contract import Module, choose
from recorder import Recorder
from stopwhen import env

native = pytest.mark.skipif(env.core is None, reason="without the C module the finaliser runs below our own frames")


@dataclass(frozen=True)
class Drop:
    """One way to drop a value.

    Attributes:
        make: puts a new Temp somewhere.
        drop: drops the last reference to it.
        watch: the expression that sees that.
        function: the function whose local it is, for a scope.
    """

    make: str
    drop: str
    watch: str
    function: str | None = None


DROPS = {
    "rebinding": Drop("g = Temp()", "g = None", "g"),
    "del": Drop("g = Temp()", "del g", "g"),
    "attribute rebinding": Drop("o.x = Temp()", "o.x = None", "o.x"),
    "attribute del": Drop("o.x = Temp()", "del o.x", "o.x"),
    "slot": Drop("s.x = Temp()", "s.x = None", "s.x"),
    "class attribute": Drop("O.y = Temp()", "O.y = None", "O.y"),
    "chain": Drop("o.x = O(); o.x.x = O(); o.x.x.x = Temp()", "o.x = O()", "o.x.x.x"),
    "dict item": Drop("D['k'] = Temp()", "D['k'] = None", "D['k']"),
    "dict.pop": Drop("D['k'] = Temp()", "D.pop('k')", "D"),
    "dict.clear": Drop("D['k'] = Temp()", "D.clear()", "D"),
    "list item": Drop("L[:] = [Temp()]", "L[0] = None", "L"),
    "list.clear": Drop("L[:] = [Temp()]", "L.clear()", "L"),
    "slice": Drop("L[:] = [Temp()]", "L[:] = []", "L"),
    "set.discard": Drop("S.add(Temp())", "S.discard(same)", "S"),
    "with exit": Drop("held = Held(Temp())", "\nwith held:\n    pass\n", "held.value"),
    "local rebinding": Drop("", "rebinds()", "t", "rebinds"),
    "function return": Drop("", "returns()", "t", "returns"),
    "exception unwinding": Drop("", "\ntry:\n    raises()\nexcept KeyError:\n    pass\n", "t", "raises"),
}

WRITES = {
    "global": ("n", "n = line"),
    "dict item": ("d['n']", "d['n'] = line"),
    "attribute": ("a.n", "a.n = line"),
    "list": ("r", "r.append(line)"),
}

SETUP = """\
import sys
class O: pass
class Slots: __slots__ = ("x",)
class Same:
    def __hash__(self): return 1
    def __eq__(self, other): return isinstance(other, (Same, Temp))
class Held:
    def __init__(self, value): self.value = value
    def __enter__(self): pass
    def __exit__(self, *_): self.value = None
class Temp:
    def __hash__(self): return 1
    def __eq__(self, other): return isinstance(other, (Same, Temp))
    def __del__(self):
        global n
        order.append("finalised")
        callers.append((sys._getframe(1).f_code.co_filename, sys._getframe(1).f_lineno))
        line = sys._getframe().f_lineno + 1
        {write}  # @wrote
def rebinds():
    t = Temp()
    t = None
def returns():
    t = Temp()
def raises():
    t = Temp()
    {{}}["missing"]
order = []; callers = []; values = []
n = 0; d = {{"n": 0}}; a = O(); a.n = 0; r = []
g = None; o = O(); o.x = None; s = Slots(); s.x = None; D = {{}}; L = []; S = set(); same = Same(); held = None
O.y = None
{make}
"""

PROGRAM = """\
{drop}
order.append("next")
"""


def outcome(
    folder: Path, drop: Drop, write: str, watched: str | None, action: Any = "count"
) -> tuple[list, list, Module]:
    """Run one case, plainly or while both the value's place and what its finaliser writes are watched."""
    module = Module(folder)
    source = SETUP.format(write=write, make=drop.make)
    filename = str(folder / "finaliser.py")
    Path(filename).write_text(source)
    exec(compile(source, filename, "exec"), module.__dict__)
    with Recorder() as hits:
        if watched is not None:
            scope = module if drop.function is None else module.__dict__[drop.function]
            hits.changes(drop.watch, scope=scope, action=action)
            hits.changes(watched, scope=module)
        module.run(textwrap.dedent(PROGRAM.format(drop=drop.drop)))
    wrote = helpers.marked_lines(source)["wrote"]
    told = [(hit.location.filename == filename and hit.location.lineno - wrote, hit.exact) for hit in hits.hits]
    callers = [(Path(name).name, line) for name, line in module.__dict__["callers"]]
    return told, [module.__dict__["order"], callers], module


@native
@pytest.mark.parametrize("way", DROPS)
def test_what_the_finaliser_of_a_dropped_value_writes_is_told_by_its_own_line(way: str, tmp_path: Path) -> None:
    """It runs right after the write that drops the value, below the program's own frame, at the line of that write."""
    for kind, (watched, write) in WRITES.items():
        _, plain, _ = outcome(tmp_path, DROPS[way], write, None)
        told, seen, _ = outcome(tmp_path, DROPS[way], write, watched)
        assert plain[0] == ["finalised", "next"]
        assert (kind, told, seen) == (kind, [(0, True)], plain)


@native
@pytest.mark.parametrize("way", DROPS)
def test_a_hit_that_an_action_keeps_does_not_hold_what_the_write_has_dropped(way: str, tmp_path: Path) -> None:
    """It ends as without us; the hit has its text."""
    watched, write = WRITES["global"]
    kept: list[Any] = []

    def keep(hit: Any) -> None:
        if "Temp object" not in hit.new_text:  # the new value is held by who keeps the hit
            kept.append(hit)

    _, plain, _ = outcome(tmp_path, DROPS[way], write, None)
    _, seen, _ = outcome(tmp_path, DROPS[way], write, watched, action=keep)
    assert seen == plain
    assert [str(hit.old) for hit in kept if hit.old is not hit.new] == [
        hit.old_text for hit in kept if hit.old is not hit.new
    ]


@pytest.mark.parametrize("way", DROPS)
def test_in_pure_python_what_a_finaliser_writes_is_told_by_its_line_or_not_exact(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may run below our frames, where it has no events."""
    choose(monkeypatch, "recheck")
    for kind, (watched, write) in WRITES.items():
        told, _, _ = outcome(tmp_path, DROPS[way], write, watched)
        assert told
        assert (kind, [one for one in told if one[1]]) in [(kind, []), (kind, [(0, True)])]
