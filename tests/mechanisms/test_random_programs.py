"""Random programs have the same hits under every mechanism as under recheck in pure Python, the oracle.

A few hundred programs by default; STOPWHEN_RANDOM_PROGRAMS=5000 runs that many, with another seed each time.
"""

from __future__ import annotations

import itertools
import os
import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import Module, mechanism_sets
from recorder import Recorder
from stopwhen import Hit
from stopwhen.mechanisms import VARIABLE

PROGRAMS = int(os.environ.get("STOPWHEN_RANDOM_PROGRAMS", "0"))

SETUP = """\
from collections import deque
from heapq import heapify, heappop, heappush

class Thing:
    kind = 0

    def __init__(self):
        self.x = 0
        self.items = [1]

    def set_x(self, value):
        self.x = value
        return value

class Guard:
    def __enter__(self):
        L.append("in")
    def __exit__(self, *error):
        L.append("out")
        return error[0] is ValueError

def counted(n):
    for i in range(n):
        S.add(i)
        yield i
        D[i] = i

def turns_left():
    global turns
    turns -= 1
    return turns >= 0

turns = 50
G = 0
L = [3, 1, 2]
D = {"a": 1}
S = {1}
Q = deque([1])
O = Thing()
depth = 0
"""

WATCHED = ["G", "L", "D", "S", "Q", "O", "O.x", "O.items", "len(L)", "D.get('a')", "L[0]", "Thing.kind"]

number = st.integers(0, 3)

SIMPLE = [
    "L.append({n})", "L.insert(0, {n})", "L[0:1] = [{n}, {m}]", "L.extend((i for i in range({n})))", "L.reverse()",
    "del L[:1]", "L.sort(key=str)", "L[-1:] = []", "heapify(O.items); heappush(O.items, {n})", "O.items += [{n}]",
    "D['a'] = {n}", "D[{n}] = {m}", "D.pop({n}, None)", "D.update(a={n}, b={m})", "D.setdefault('c', {n})",
    "D.clear()", "del D['a']", "D |= {{'a': {n}}}", "S.add({n})", "S.discard({n})", "S ^= {{{n}}}", "S.clear()",
    "Q.append({n})", "Q.rotate({n})", "Q.popleft()", "G = {n}", "G += {n}", "G, L[0:0] = {n}, [{m}]", "O.x = {n}",
    "setattr(O, 'x', {n})", "O.x = O.set_x({n}) + {m}", "O.items.append({n}); O.items.pop()", "O.items = [{n}]",
    "O.__dict__.update(x={n})", "Thing.kind = {n}", "L = [{n}, {m}]", "L.append({n}); L.append({m})",
    "x = [L.append(i) for i in range({n})]", "x = sorted([2, 1, 3], key=lambda v: (S.add(v + {n}), v)[1])",
    "list(map(L.append, [{n}, {m}]))", "x = [*counted({n})]", "next(counted({n}), None)", "x = L.pop() + 1 / {n}",
    "for x in counted({n}): L.append(x)", "O.x = L.append({n}) or {m}", "print(end='')", "x = len(L) + len(D)",
    "exec('L.append({n}); G = {m}', globals())", "D[{n}], D[{m}] = {m}, {n}", "vars(O)['x'] = {n}",
    "x = (lambda: D.update(a={n}))()", "S.update(map(lambda v: (O.items.append(v), v)[1], [{n}]))",
]  # fmt: skip

BLOCKS = [
    "if G < {n}:",
    "for i in range({n}):",
    "for i in list(D):",
    "try:",
    "with Guard():",
    "while len(L) < {n} + 2 and turns_left() and not L.append({m}):",  # its body may shorten L for ever
]


@st.composite
def block(draw: st.DrawFn, depth: int, functions: int) -> list[str]:
    """Draw a list of lines."""
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        n, m = draw(number), draw(number)
        kind = draw(st.integers(0, 9))
        if kind >= 3 or depth == 0:
            lines.append(draw(st.sampled_from(SIMPLE)).format(n=n, m=m))
        elif kind == 2 and functions:
            lines.append(f"f{draw(st.integers(0, functions - 1))}()")
        else:
            head = draw(st.sampled_from(BLOCKS)).format(n=n, m=m)
            lines += [head, *("    " + line for line in draw(block(depth - 1, functions)))]
            if head == "try:":
                lines += ["except (ZeroDivisionError, LookupError, TypeError) as error:"]
                lines += ["    " + line for line in draw(block(0, 0))]
                if draw(st.booleans()):
                    lines += ["finally:", f"    O.x = {m}"]
    return lines


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Draw a program: functions that call those before them, and a main part that calls the last."""
    parts = []
    count = draw(st.integers(1, 3))
    for index in range(count):
        body = ["global G, L, D, S", *draw(block(2, index))]
        if draw(st.booleans()):
            body.append(f"return L.append({index})")
        parts.append(f"def f{index}():\n{textwrap.indent(chr(10).join(body), '    ')}\n")
    main = draw(block(1, count))
    parts.append("\n".join(main))
    parts.append(f"try:\n    f{count - 1}()\nexcept Exception as error:\n    G = -1\n")
    return "\n".join(parts)


def hits_of(mechanism: str, program: str, folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Run a program with all data watched by one set of mechanisms; return the hits of each watch expression."""
    module = Module(folder)
    module.run(SETUP)
    with pytest.MonkeyPatch.context() as patch:
        if mechanism == "default":
            patch.delenv(VARIABLE, raising=False)
        else:
            patch.setenv(VARIABLE, mechanism)
        with Recorder() as hits:
            watchpoints = {text: hits.changes(text, scope=module) for text in WATCHED}
            try:
                module.run(program)
            except (ZeroDivisionError, LookupError, TypeError, AttributeError):
                pass  # as good an end as any
            told = hits.hits[:]
    return {
        text: told_apart([one for one in told if one.watchpoint is watchpoint])
        for text, watchpoint in watchpoints.items()
    }


def told_apart(hits: list[Hit]) -> list[tuple[object, ...]]:
    """Return what hits have in common under every mechanism: an `update` of two keys may be told as one hit or as two."""
    lines = []
    for one in hits:
        line = (one.location and one.location.lineno, *(ADDRESS.sub("", text) for text in (one.old_text, one.new_text)))
        if not (lines and one.old_text == one.new_text and lines[-1][0] == line[0] and lines[-1][2] == line[2]):
            lines.append((*line, one.exact))
    return lines


ADDRESS = re.compile(" at 0x[0-9a-f]+")

folders = itertools.count()


@pytest.mark.parametrize("mechanism", [one for one in mechanism_sets() if one not in ("recheck", "dictwatch")])
@settings(
    max_examples=PROGRAMS or 25,
    derandomize=not PROGRAMS,
    database=None,
    deadline=None,
    suppress_health_check=[*HealthCheck],
)
@given(program=programs())
def test_a_random_program_has_the_hits_of_the_oracle(mechanism: str, program: str, tmp_path_factory) -> None:
    """What changed, where, from what to what: one and the same, for each watch expression in order."""
    folder = tmp_path_factory.mktemp(f"program{next(folders)}")
    try:
        compile(program, "program", "exec")
    except SyntaxError:
        return
    assert hits_of(mechanism, program, folder) == hits_of("recheck", program, folder)
