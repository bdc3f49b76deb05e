"""Programs about data in globals: containers, an object, a class."""

from __future__ import annotations

from random_programs.writing import Program, Watch, Writer, dedented, indented, is_valid, text_of

SETUP = dedented("""
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

    turns = 30
    G = 0
    L = [3, 1, 2]
    D = {"a": 1}
    S = {1}
    Q = deque([1])
    O = Thing()
""")

WATCHED = ["G", "L", "D", "S", "Q", "O", "O.x", "O.items", "len(L)", "D.get('a')", "L[0]", "Thing.kind"]

TRUE = ["len(L) > 3", "G", "D.get('a') == 2 and O.x < 2"]

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

HEADS = [
    "if G < {n}:",
    "for i in range({n}):",
    "for i in list(D):",
    "try:",
    "with Guard():",
    "while len(L) < {n} + 2 and turns_left() and not L.append({m}):",  # its body may shorten L for ever
]


def program(seed: int) -> Program:
    """Return a program: functions that call those before them, and a main part that calls the last."""
    writer = Writer(seed, SIMPLE, HEADS, "(ZeroDivisionError, LookupError, TypeError)")
    watches = tuple(Watch("changes", text) for text in WATCHED) + tuple(Watch("true", text) for text in TRUE)
    while True:
        count = writer.random.randint(1, 3)
        parts = []
        for index in range(count):
            body = ["global G, L, D, S", *writer.block(2, [f"f{before}()" for before in range(index)])]
            body += [f"return L.append({index})"] if writer.chance(2) else []
            parts += [f"def f{index}():", *indented(body)]
        parts += writer.pieces(1, [f"f{index}()" for index in range(count)])
        main = text_of(parts)
        if is_valid(main):
            return Program(SETUP, main, watches)
