"""Programs about classes: inheritance, slots, properties, descriptors, operators; with what a program switches itself."""

from __future__ import annotations

from random_programs.writing import Program, Watch, Writer, dedented, indented, is_valid, text_of

SETUP = dedented("""
    from collections import OrderedDict, UserList, defaultdict, deque
    from dataclasses import dataclass, field
    import array, bisect, functools, io, operator

    class Base:
        rate = 1
        count = 0
        log = []

        def __init__(self, total=0):
            self.total = total
            self.parts = [total]
            Base.count += 1

        @property
        def double(self):
            return self.total * 2

        @double.setter
        def double(self, value):
            self.total = value // 2
            self.log.append(value)

        def __iadd__(self, other):
            self.total += other
            return self

        def __add__(self, other):
            self.parts.append(other)
            return self.total + other

        def __eq__(self, other):
            self.log.append("eq")
            return self is other

        __hash__ = object.__hash__

        def __getitem__(self, index):
            self.log.append(index)
            return self.parts[index % len(self.parts)]

        def __setitem__(self, index, value):
            self.parts[index % len(self.parts)] = value

        def __call__(self, value):
            self.total = value
            return value

        @classmethod
        def reset(cls, value):
            cls.rate = value

        @staticmethod
        def note(value):
            O.log.append(value)

    class Sub(Base):
        def __init__(self, total=0):
            super().__init__(total + 1)
            self.extra = {}

        def bump(self, by=1):
            self.extra["by"] = by
            return super().__iadd__(by)

    class Slots:
        __slots__ = ("a", "b", "__weakref__")

        def __init__(self):
            self.a = 0
            self.b = []

    class Mixed(Slots):
        pass

    class Field:
        def __set_name__(self, owner, name):
            self.name = "_" + name
        def __get__(self, one, kind=None):
            return self if one is None else getattr(one, self.name, 0)
        def __set__(self, one, value):
            setattr(one, self.name, value)

    class Described:
        f = Field()

    @dataclass
    class Point:
        x: int = 0
        items: list = field(default_factory=list)

    O, P, S, M = Base(), Sub(), Slots(), Mixed()
    C, K = Described(), Point()
    A, B = array.array("i", [1, 2]), bytearray(b"ab")
    N, E, U, Q = OrderedDict(a=1, b=2), defaultdict(list), UserList([1]), deque([1, 2], 4)
    F = io.StringIO()
    V = {"k": [1]}
    tree = [[0], [1, [2]]]
""")

WATCHED = [
    "O.total", "O.parts", "P.total", "P.extra", "Base.rate", "Base.count", "Base.log", "S.a", "S.b", "M.a", "M.b", "P.rate",
    "C._f", "K.x", "K.items", "K", "A", "B", "N", "E", "U", "Q", "F", "V['k']", "V", "tree", "tree[1]", "len(P.extra)",
    "O.total + P.total", "P.extra.get('by')", "A[0]", "list(N)", "M", "len(Base.log)", "[one for one in O.parts if one]",
]  # fmt: skip
TRUE = ["O.total > 2", "len(Base.log) > 3", "S.a", "'a' in N", "P.extra.get('by') == 2", "len(tree[1]) > 2", "K.items"]
WRITES = ["O.total", "P.total", "S.a", "K.x", "V['k']", "Base.rate"]

SIMPLE = [
    "O.total = {n}", "O.total += {n}", "P.total -= {n}", "O += {n}", "P.double = {n}", "x = O + {n}", "x = O == P", "O[{n}] = {m}",
    "x = O[{n}]", "O({n})", "Base.reset({n})", "Sub.reset({n})", "del Sub.rate", "P.bump({n})", "P = Sub({n})", "O.note({n})",
    "del P.extra; P.extra = {{}}", "O.parts, P.parts = P.parts, O.parts", "O.__dict__['total'] = {n}", "vars(P).update(total={n})",
    "setattr(P, 'total', {n})", "object.__setattr__(O, 'total', {n})", "delattr(O, 'total'); O.total = {n}", "P.rate = {n}",
    "P.__dict__.pop('rate', None)", "P.__dict__ = dict(vars(P), total={n})", "P.__class__ = Base", "P.__class__ = Sub", "S.a = {n}",
    "S.a += 1", "S.b.append({n})", "del S.a; S.a = {n}", "M.a, S.a = {n}, {m}", "M.b = S.b", "M.new = {n}", "Slots.a.__set__(S, {n})",
    "C.f = {n}", "C.f += 1", "K.x = {n}", "K.items.append({n})", "K = Point({n})", "K.items = [*K.items, {n}]", "A[0] = {n}",
    "A.append({n})", "A.reverse()", "A = A[:3]", "B[0] = {n}", "B += b'c'; del B[4:]", "memoryview(B)[0:1] = b'z'", "B.reverse()",
    "N['c'] = {n}", "N.move_to_end('a')", "N.popitem()", "N.update(a={n})", "E[{n}].append({m})", "x = E[{n}]", "E.clear()",
    "U.append({n})", "U[0:1] = [{n}]", "Q.append({n})", "Q.rotate({n})", "Q.extendleft([{n}, {m}])", "F.write('{n}')", "F.truncate(2)",
    "V['k'].append({n})", "V['k'] = [{n}]", "V |= {{'k': [{n}]}}", "tree[0][0] = {n}", "tree[1].append({n})", "tree[0] = tree[1][:1]",
    "tree[1][1:] = [[{n}], {m}]", "bisect.insort(O.parts, {n})", "operator.iadd(O.parts, [{n}])", "O.parts.sort(key=str)",
    "functools.reduce(lambda s, v: O.parts.append(v) or s, [{n}, {m}], 0)", "x = max(O.parts, key=lambda v: V['k'].append(v) or v)",
    "x = [P.bump(v) for v in range({n})]", "x = {{**vars(K)}}", "x = sorted(O.parts, key=O)", "O.parts = list(map(P.extra.setdefault, 'ab'))",
    "exec('O.total = {n}; K.x = {m}')", "match K:\n    case Point(x=0):\n        K.x = {n}\n    case Point(items=[one, *_]):\n        K.x = one",
    "for K.x in range({n}): O.total = K.x", "with io.StringIO() as F: F.write('a')", "F = io.StringIO('{n}')", "del tree[1][{n}:]",
    "print(end='', file=F)", "print({n}, file=F)", "O.log.clear()", "x = next(iter([O.parts.append({n})]))", "S.a = O.total = K.x = {n}",
]  # fmt: skip
SWITCHES = [
    "switch('disable', {w})",
    "switch('enable', {w})",
    "switch('remove', {w})",
    "switch('arm', {w})",
    "switch('arm', {w})",
]

HEADS = ["if O.total < {n}:", "for i in range({n}):", "try:", "for i in list(N):", "for i in O.parts[:3]:"]

ERRORS = "(ZeroDivisionError, LookupError, TypeError, AttributeError, ValueError, BufferError)"


def _program(seed: int, *, switches: bool) -> Program:
    writer = Writer(seed, SIMPLE, HEADS, ERRORS)
    watches = [
        *(Watch("changes", text, is_armed=not switches) for text in writer.random.sample(WATCHED, 9)),
        *(Watch("true", text) for text in writer.random.sample(TRUE, 2)),
        *(Watch("writes", text) for text in writer.random.sample(WRITES, 1)),
    ]
    while True:
        functions = [
            "def change():",
            "    global O, P, K, A, B, E, V, F, U, tree",
            *indented(writer.block(2)),
            "def yielding():",
            "    global O, P, K, A, B, E, V, F, U, tree",
            *indented(writer.block(1)),
            "    yield 1",
            *indented(writer.block(1)),
        ]
        calls = ["change()", "x = [*yielding()]", "g = yielding(); next(g)", "next(g, None)", "list(map(change, ()))"]
        if switches:
            calls += [one.replace("{w}", str(writer.random.randrange(len(watches)))) for one in SWITCHES * 3]
        main = text_of(functions, ["g = iter(())"], writer.pieces(2, calls))
        if is_valid(main):
            return Program(SETUP, main, tuple(watches))


def program(seed: int) -> Program:
    """Return a program whose watchpoints are there from the beginning to the end."""
    return _program(seed, switches=False)


def switching_program(seed: int) -> Program:
    """Return a program that arms, disables, enables and removes watchpoints as it goes."""
    return _program(seed, switches=True)
