"""Random programs have the same hits by class scope as by a watchpoint on each instance in pure Python, the oracle.

A few programs by default; STOPWHEN_RANDOM_PROGRAMS=5000 runs that many, with another seed each time.
"""

from __future__ import annotations

import itertools
import os
import re
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import Module, choose
from recorder import Recorder
from stopwhen import env

pytestmark = pytest.mark.skipif(env.core is None or not env.HAS_DICT_WATCHERS, reason="needs dict watchers")

PROGRAMS = int(os.environ.get("STOPWHEN_RANDOM_PROGRAMS", "0"))

SETUP = """\
from heapq import heappush

class Slotted:
    __slots__ = ("s",)

class Thing(Slotted):
    kind = 0

    def __init__(self):
        self.x, self.items, self.d, self.s = 0, [1], {}, 0
        self.peer = self

    def set_x(self, value):
        self.x = value
        return value

class Sub(Thing):
    pass

class Other(Thing):
    kind = 0

A, B, C = Thing(), Sub(), Sub()
crowd = [Other() for _ in range(MANY)]
k = 0
"""

WATCHED = [
    "self.x", "self.s", "self.items", "len(self.items)", "self.items[0]", "self.kind", "self.x + self.kind",
    "self.peer.x", "self.d.get('a')", "self.d", "self", "self.x if self.kind else self.s",
]  # fmt: skip

SIMPLE = [
    "I.x = {n}", "I.x += {n}", "I.x, J.x = {n}, {m}", "setattr(I, 'x', {n})", "del I.x", "I.set_x({n})", "I.s = {n}",
    "I.s, J.s = {n}, [{m}]", "del I.s", "Slotted.s.__set__(I, {n})", "I.items = [{n}]", "I.items.append({n})",
    "I.items.pop()", "I.items[0] = {n}", "I.items, J.items = J.items, I.items", "I.items = J.items",
    "heappush(I.items, {n})", "I.items += [{n}, {m}]", "I.items.sort(); J.items.reverse()", "I.peer = J",
    "I.peer.x = {n}", "I.d['a'] = {n}", "I.d.update(a={n}, b={m})", "I.d.clear()", "I.d = {{'a': {n}}}", "I.d = J.d",
    "vars(I)['x'] = {n}", "vars(I).update(x={n}, y={m})", "vars(I).pop('x', None)", "I.new = {n}", "Thing.kind = {n}",
    "Sub.kind = {n}", "I.kind = {n}", "vars(I).pop('kind', None)", "del Sub.kind", "I.x = J.set_x({n}) + {m}",
    "k = [one.set_x({n}) for one in (I, J)]", "k = sorted([2, 1], key=lambda v: (I.items.append(v), v)[1])",
    "list(map(I.items.append, range({n})))", "exec('I.x = {n}')",
]  # fmt: skip

BLOCKS = ["if k != {n}:", "for _ in range({n}):", "for I.x in range({n}):", "try:"]

number = st.integers(0, 3)
name = st.sampled_from("ABC")


@st.composite
def block(draw: st.DrawFn, depth: int) -> list[str]:
    """Draw a list of lines."""
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 5))):
        head = draw(st.sampled_from(SIMPLE if depth == 0 or draw(number) else BLOCKS))
        line = head.format(n=draw(number), m=draw(number))
        one, other = draw(name), draw(name)
        lines.append(re.sub(r"\bI\b", one, re.sub(r"\bJ\b", other, line)))
        if head in BLOCKS:
            lines += ["    " + one for one in draw(block(depth - 1))]
        if head == "try:":
            lines += ["except (LookupError, TypeError, AttributeError) as error:"]
            lines += ["    " + one for one in draw(block(0))]
    return lines


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Draw a program: a function, and a main part that calls it."""
    body = textwrap.indent("\n".join(["global k", *draw(block(2))]), "    ")
    return "\n".join([f"def f():\n{body}", *draw(block(1)), "f()"])


def run(
    program: str, watched: list[str], many: int, folder: Path, *, by_class: bool
) -> dict[str, Counter[tuple[object, ...]]]:
    """Run a program with expressions watched in all instances; return the hits of each expression, without order."""
    module = Module(folder)
    module.MANY = many
    module.run(SETUP)
    with pytest.MonkeyPatch.context() as patch:
        choose(patch, "default" if by_class else "recheck")
        with Recorder() as hits:
            watchpoints = {}
            for text in watched:
                if by_class:
                    watchpoints[hits.changes(text, scope=module.Thing).number] = text
                    continue
                for one in "ABC":
                    named = re.sub(r"\bself\b", one, text)
                    watchpoints[hits.changes(named, scope=module).number] = text
            try:
                module.run(program)
            except (LookupError, TypeError, AttributeError):
                pass  # as good an end as any
            told = hits.hits[:]
    found: dict[str, Counter[tuple[object, ...]]] = {text: Counter() for text in watched}
    for one in told:
        line = one.location and one.location.lineno
        text = watchpoints[one.watchpoint.number]
        texts = [ADDRESS.sub("", text) for text in (one.old_text, one.new_text)]
        if text == "self":  # what is in the attributes is shown as it was at the last look, whatever that was for
            texts = []
        if one.old_text != one.new_text:  # an `update` of two keys may be told as one hit or as two
            found[text][line, *texts, one.exact] += 1
    return found


ADDRESS = re.compile(" at 0x[0-9a-f]+")

folders = itertools.count()


@pytest.mark.parametrize("many", [0, 100])
@settings(
    max_examples=PROGRAMS or 10,
    derandomize=not PROGRAMS,
    database=None,
    deadline=None,
    suppress_health_check=[*HealthCheck],
)
@given(program=programs(), watched=st.lists(st.sampled_from(WATCHED), min_size=1, max_size=2, unique=True))
def test_a_random_program_has_the_hits_of_the_oracle_in_every_instance(
    many: int, program: str, watched: list[str], tmp_path_factory
):
    """What changed, where, from what to what, as often: one and the same, beside a crowd of other instances too."""
    folder = tmp_path_factory.mktemp(f"program{next(folders)}")
    expected = run(program, watched, 0, folder, by_class=False)
    assert run(program, watched, many, folder, by_class=True) == expected
