"""Programs in which finalisers, callbacks of weak references, signal handlers and the garbage collector's callbacks write.

Each value that is written tells its line (by_values.py), so nothing is needed that knows when such code runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from random_programs.writing import Program, Watch, Writer, dedented, indented, is_valid, text_of

SETUP = dedented("""
    import gc, itertools, signal, sys, threading, weakref

    numbers = itertools.count(1)
    written = []

    def v():
        value = sys._getframe(1).f_lineno * 1_000_000 + next(numbers)
        written.append(value)
        return value

    class Box:
        pass

    class Slots:
        __slots__ = ("s", "held")

    class Guard:
        def __enter__(self):
            return self
        def __exit__(self, *error):
            self.held = None
            return True

    def counted(n):
        try:
            yield from range(n + 1)
        finally:
            on_closed()

    def cycle(made):
        made.me = made

    gc.disable()
    G = H = 0
    D = {"n": 0, "a": 0}
    O, P, S = Box(), Box(), Slots()
    O.n, P.n, S.s, P.held, S.held = 0, 0, 0, None, None
    N = {"a": {"b": 0}}
    R = []
    W = []
""")

WATCHED = ["G", "H", "D['n']", "D.get('a')", "O.n", "P.n", "S.s", "N['a']['b']", "R", "P.held", "S.held"]

STORES = [
    "G = v()", "H = v()", "D['n'] = v()", "O.n = v()", "P.n = v()", "S.s = v()", "N['a']['b'] = v()", "N['a'] = {{'b': v()}}", "R.append(v())",
    "D.update(n=v())", "setattr(O, 'n', v())", "O.__dict__['n'] = v()", "vars(P).update(n=v())", "exec('pass'); G = v()", "R[:1] = [v()]",
    "for G in [v()]: H = v()", "R.insert(0, v())", "O.__dict__ = {{'n': v()}}", "D['a'] = v()", "P.held = v()", "S.held = v()",
]  # fmt: skip

DROPS = [
    "D['a'] = v()", "D.pop('a', None)", "D.update(a=v())", "P.held = v()", "S.held = v()", "setattr(P, 'held', v())", "del W[:1]", "W.clear()",
    "W[:] = []", "x = None", "x = {n}", "H = v()", "vars(P).update(held=v())", "W[-1:] = [{n}]", "with Guard() as P.held: H = v()",
]  # fmt: skip

MAKES = [
    "D['a'] = Dying{i}()", "P.held = Dying{i}()", "S.held = Dying{i}()", "W.append(Dying{i}())", "x = Dying{i}()", "Dying{i}()", "H = Dying{i}()",
    "x = [Dying{i}() for _ in range({n})]", "len([Dying{i}()])", "D.update(a=Dying{i}())", "W.append((Dying{i}(), {n}))", "W += [Dying{i}()]",
    "P.held = (Dying{i}(), Dying{j}())", "x = counted({n}); next(x)", "x = counted({n}); x.close()",
]  # fmt: skip

CALLBACKS = [
    "x = Dying{i}(); W.append(weakref.ref(x, on_dead{j}))", "x = Dying{i}(); weakref.finalize(x, on_final{j}, {n})",
    "P.held = Dying{i}(); W.append(weakref.ref(P.held, on_dead{j}))", "x = weakref.WeakKeyDictionary(); x[Dying{i}()] = 1",
    "x = Box(); W.append(weakref.ref(x, on_dead{j})); x = {n}",
]  # fmt: skip

SIGNALS = [
    "signal.raise_signal(signal.SIGUSR1)", "signal.raise_signal(signal.SIGUSR2)", "signal.raise_signal(signal.SIGUSR1); G = v()",
    "O.n = v() + 0 * len([signal.raise_signal(signal.SIGUSR1)])", "R.append(v()); signal.raise_signal(signal.SIGUSR2)",
    "x = sorted([1, 2], key=lambda _: signal.raise_signal(signal.SIGUSR1) or 0)", "signal.signal(signal.SIGUSR1, on_signal{j})",
    "[signal.raise_signal(signal.SIGUSR2) for _ in range({n})]", "D['n'] = [v(), signal.raise_signal(signal.SIGUSR1)][0]",
]  # fmt: skip

COLLECTING = [
    "gc.collect()", "cycle(Dying{i}())", "cycle(Dying{i}()); cycle(Dying{j}()); gc.collect()", "x = Box(); x.x = [x, Dying{i}()]; x = None",
    "x = gc.collect(); H = v()", "P.held = Box(); P.held.me = [P.held, Dying{i}()]", "gc.collect(0); G = v()", "cycle(Dying{i}()); gc.collect(1)",
    "x = Dying{i}(); cycle(x); W.append(weakref.ref(x, on_dead{j})); x = None; gc.collect()",
]  # fmt: skip

HEADS = ["if len(R) < {n}:", "for _ in range({n}):", "try:", "with Guard() as x:"]

CLASSES = 3

HOLDERS = ("H", "D['a']", "P.held", "S.held")
"""What begins a store to a place that may hold an object with a finaliser, which throws out nothing there itself: where it is
dropped by a rebinding of that place, the new object is on the stack still, if nothing is watched, and gone, if it is."""


def _filled(writer: Writer, statements: Sequence[str]) -> list[str]:
    """Return statements with classes and functions chosen; numbers are chosen where they are drawn."""
    random = writer.random
    return [
        one.replace("{i}", str(random.randrange(CLASSES))).replace("{j}", str(random.randrange(CLASSES)))
        for one in statements
    ]


def _program(seed: int, more: Sequence[str], *, signals: bool = False, collects: bool = False) -> Program:
    writer = Writer(seed, [], HEADS, "(LookupError, AttributeError)")
    names = "global G, H"

    def late(head: str, *, drops: bool = True) -> list[str]:
        """Return a function that runs late: what it writes begins nothing more that writes without end."""
        pool = (
            [one for one in STORES if not one.startswith(HOLDERS) and "H =" not in one]
            + ["x = 0; G = v()"]
            + (["W.clear()"] if drops else [])
        )
        lines = [writer.filled(writer.random.choice(pool)) for _ in range(writer.random.randint(1, 3))]
        return [head, f"    {names}", *indented(lines)]

    while True:
        functions: list[str] = []
        for number in range(CLASSES):
            functions += [f"class Dying{number}:", *indented(late("def __del__(self):"))]
            functions += late(f"def on_dead{number}(_):")
            functions += late(f"def on_final{number}(_):")
            functions += late(f"def on_signal{number}(*_):", drops=False)
        functions += late("def on_closed():")
        functions += late("def on_collected(phase, _):", drops=False)
        pool = [*STORES, *DROPS, *MAKES, *MAKES, *CALLBACKS, *CALLBACKS, *more, *more, *more]
        body = Writer(seed + 1, _filled(writer, pool), HEADS, "(LookupError, AttributeError)")
        functions += ["def change(x=None):", f"    {names}", *indented(body.block(2))]
        functions += [
            "def yields():",
            f"    {names}",
            *indented(body.block(1)),
            "    yield 1",
            *indented(body.block(1)),
        ]
        start = ["x = None"]
        if signals:
            start += ["signal.signal(signal.SIGUSR1, on_signal0); signal.signal(signal.SIGUSR2, on_signal1)"]
        if collects:
            start += ["gc.callbacks.append(on_collected)"]
        calls = ["change()", "x = [*yields()]", "x = yields(); next(x)", "change(Dying0())"]
        main = text_of(functions, start, body.pieces(2, calls), ["W.clear(); x = None"])
        if is_valid(main):
            return Program(SETUP, main, tuple(Watch("changes", text) for text in WATCHED), is_told_by_values=True)


def finaliser_program(seed: int) -> Program:
    """Return a program in which values end, by every kind of statement that drops one."""
    return _program(seed, [])


def signal_program(seed: int) -> Program:
    """Return a program that signals itself."""
    return _program(seed, SIGNALS, signals=True)


def collected_program(seed: int) -> Program:
    """Return a program that makes cycles, and has them collected."""
    return _program(seed, COLLECTING, collects=True)
