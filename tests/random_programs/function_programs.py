"""Programs about locals, closures, generators and coroutines, watched in each call of a function."""

from __future__ import annotations

from random_programs.writing import Program, Watch, Writer, dedented, indented, is_valid, text_of

BEFORE = dedented("""
    import contextlib, functools, types

    class Manager:
        def __enter__(self):
            T.append("in")
            return len(T)
        def __exit__(self, *error):
            T.append("out")
            return error[0] is KeyError

    @contextlib.contextmanager
    def managed(items):
        items.append("in")
        try:
            yield len(items)
        finally:
            items.append("out")

    def doubled(function):
        @functools.wraps(function)
        def called_twice(*args):
            function(*args)
            return function(*args)
        return called_twice

    @types.coroutine
    def pause():
        yield

    def run_all(*coroutines):
        waiting = list(coroutines)
        while waiting:
            one = waiting.pop(0)
            try:
                one.send(None)
            except StopIteration:
                continue
            waiting.append(one)

    def send(generator, value):
        try:
            generator.send(value)
        except (StopIteration, TypeError):
            pass

    def throw(generator, error):
        try:
            generator.throw(error)
        except (StopIteration, type(error)):
            pass

    G = 0
    T = []
    gens = []
""")

SIMPLE = [
    "a = {n}", "a += {n}", "a, b = b, a", "b = a", "a = b = {n}", "(a := {n})", "for a in range({n}): pass",
    "x = [a for a in range({n})]", "x = [(a := i) for i in range({n})]", "x = {{b: a for b in L}}", "L.append(a)",
    "L[:1] = [{n}]", "L = [{n}, a]", "L += [{m}]", "L *= 2; del L[3:]", "D['k'] = a", "D.update(k={n}, l={m})",
    "D = {{}}", "D |= {{'k': {n}}}", "D['k'] = D.get('k', 0) + 1", "s += {n}", "inner({n})", "a = inner({n}) + inner({m})",
    "b = sorted([3, 1], key=inner)[0]", "x = list(map(inner, [{n}, {m}]))", "x = [*map(L.append, [1])]", "T.append(a)",
    "with Manager() as a: b = {n}", "with managed(L) as b: s = {n}", "T.append(s)",
    "del b; b = {n}", "del a; a = {m}", "x = (lambda: a)() or {n}", "exec('L.append({n})')", "a = len(L)", "a = a == b",
    "match {n}, {m}:\n    case 0, b:\n        a = 5\n    case a, 1 | 2:\n        pass\n    case _:\n        b = a",
    "try:\n    raise KeyError({n})\nexcept KeyError as b:\n    a = {m}\nb = 0",
    "try:\n    a = 1 / {n}\nexcept ZeroDivisionError:\n    a = {m}\nfinally:\n    s = a",
    "while a < {n}:\n    a += 1", "a, *x = [{n}, {m}, 3]", "for a, b in [({n}, 1), (2, {m})]: L.append(b)",
    "x = next((a for a in L), {n})", "L.sort(key=str); L.reverse()", "class K: a = {n}", "x = f'{{a}}{{b}}'",
    "a = {n} if b else {m}", "b = a and {n}", "L.clear(); L.extend(i for i in range({n}))", "twice({n})", "L, x = [a], L",
]  # fmt: skip

HEADS = ["if a < {n}:", "for x in range({n}):", "for b in range({n}):", "try:", "with Manager():", "for a in list(L):"]

WATCHED = ["a", "b", "L", "s", "len(L)", "a + b", "D", "D.get('k')", "L[0]", "(a, s)", "x", "K.a"]

KINDS = {
    "def plain(n):": ["plain({n})", "a = plain({n})", "G = plain(plain({n}))", "list(map(plain, [{n}, {m}]))"],
    "def recursive(n):": ["recursive({n})"],
    "def generator(n):": [
        "gens.append(generator({n})); next(gens[-1], None)", "next(gens[0], None)", "send(gens[-1], {n})", "gens.reverse()",
        "throw(gens[0], KeyError())", "gens.pop().close()", "x = list(generator({n}))", "del gens[:]",
        "for x in generator({n}): T.append(x)",
    ],
    "async def coroutine(n):": ["run_all(coroutine({n}))", "run_all(coroutine({n}), coroutine({m}), coroutine(1))"],
}  # fmt: skip


def _function(writer: Writer, head: str) -> list[str]:
    calls = {
        "def recursive(n):": ["b = recursive(n - 1) if n > 0 else {n}"],
        "def generator(n):": ["yield a", "b = yield L", "a = yield", "yield from (a, b)", "a = yield from iter([b])"],
        "async def coroutine(n):": ["await pause()", "a = await pause() or {n}"],
    }.get(head, ["return a", "b = {n}"])
    body = [
        "a, b, s, L, D = n, 0, 0, [n], {}",
        "def inner(k):",
        "    nonlocal s",
        "    s += k",
        *indented(writer.block(0, longest=2) if writer.chance(4) else ["L.append(k)"]),
        "    return s",
        "@doubled",
        "def twice(k):",
        "    nonlocal a",
        "    a = k",
        *writer.block(2, calls, longest=7),
        writer.filled(calls[0]) if head != "def plain(n):" else "return b",
    ]
    return [head, *indented(body)]


def program(seed: int) -> Program:
    """Return a program that runs functions of several kinds, some of whose variables are watched."""
    writer = Writer(seed, SIMPLE, HEADS, "(ZeroDivisionError, LookupError, TypeError, NameError)")
    while True:
        heads = writer.random.sample(list(KINDS), writer.random.randint(1, 3))
        setup = BEFORE + text_of(*(_function(writer, head) for head in heads))
        if is_valid(setup):
            break
    names = [head.split("(")[0].split()[-1] for head in heads]
    watches = []
    for name in names:
        triggers = writer.random.choices(["changes", "changes", "changes", "true"], k=3)
        watches += [Watch(*one, name) for one in zip(triggers, writer.random.sample(WATCHED, 3), strict=True)]
    watches += [Watch("changes", "T"), Watch("changes", "G")]
    drives = [statement for head in heads for statement in KINDS[head]]
    driver = Writer(seed, drives, ["for i in range({n}):", "try:"], "(LookupError, TypeError, ValueError)")
    return Program(setup, text_of(driver.pieces(1, drives)), tuple(watches))
