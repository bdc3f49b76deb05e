"""Programs about instances of a class that is watched as a whole, beside a crowd of others."""

from __future__ import annotations

import re

from random_programs.writing import Program, Watch, Writer, dedented, indented, text_of

SETUP = dedented("""
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
    _crowd = [Other() for _ in range(MANY)]
    k = 0
""")

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

HEADS = ["if k != {n}:", "for _ in range({n}):", "for I.x in range({n}):", "try:"]


def program(seed: int) -> Program:
    """Return a program: a function, and a main part that calls it."""
    writer = Writer(seed, SIMPLE, HEADS, "(LookupError, TypeError, AttributeError)")
    parts = ["def f():", "    global k", *indented(writer.block(2)), *writer.pieces(1, ["f()"])]
    main = re.sub(r"\b[IJ]\b", lambda _: writer.random.choice("ABC"), text_of(parts))
    texts = writer.random.sample(WATCHED, writer.random.randint(1, 2))
    watches = tuple(Watch("changes", text, "Thing", ("A", "B", "C")) for text in texts)
    many = writer.random.choice([0, 0, 40])
    return Program(SETUP.replace("MANY", str(many)), main, watches)
