"""Programs with threads that write to data that they share, nested, and with finalisers: each value tells its line."""

from __future__ import annotations

from random_programs import late_programs
from random_programs.writing import Program, Watch, Writer, dedented, indented, is_valid, text_of

SETUP = late_programs.SETUP + dedented("""
    def run(*targets):
        threads = [threading.Thread(target=target) for target in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    class Pair:
        def __init__(self, n):
            self.n = n

    O.p = Pair(0)
    N["p"] = Pair(0)
""")

SIMPLE = [
    "N['a'] = {{'b': v()}}", "N['a']['b'] = v()", "N['a']['b'] = v()", "O.p = Pair(v())", "O.p.n = v()", "O.p.n = v()", "N['p'] = Pair(v())",
    "N['p'].n = v()", "N.update(a={{'b': v()}})", "G = v()", "D['n'] = v()", "O.n = v()", "S.s = v()", "D['a'] = Dying()", "D['a'] = v()",
    "x = Dying()", "x = N['a']; x['b'] = v()", "x = O.p; x.n = v()", "H = Dying()", "H = v()", "vars(O)['p'] = Pair(v())", "P.held = Dying()",
    "P.held = v()", "x = len(N)", "x = sum(range(50))",
]  # fmt: skip
HEADS = ["for _ in range({n}):", "for _ in range(5):", "if len(N) > {n}:"]
LATE = ["G = v()", "D['n'] = v()", "O.p.n = v()", "N['a']['b'] = v()", "O.n = v()", "S.s = v()"]

WATCHED = ["N['a']['b']", "O.p.n", "N['p'].n", "G", "H", "D['n']", "D.get('a')", "O.n", "S.s", "P.held"]


def program(seed: int) -> Program:
    """Return a program with some threads that run at once."""
    writer = Writer(seed, SIMPLE, HEADS, "LookupError")
    while True:
        late = [writer.random.choice(LATE) for _ in range(2)]
        functions = ["class Dying:", "    def __del__(self):", "        global G", *indented(indented(late))]
        for number in range(3):
            body = ["global G, H", *writer.block(2, longest=7), *writer.block(2, longest=7)]
            functions += [f"def work{number}():", *indented(body)]
        main = ["sys.setswitchinterval(1e-6)"]
        for _ in range(writer.random.randint(1, 3)):
            main += [f"run({', '.join(f'work{writer.random.randrange(3)}' for _ in range(4))})"]
        text = text_of(functions, main)
        if is_valid(text):
            break
    watches = tuple(Watch("changes", watched, is_ordered=False) for watched in WATCHED)
    return Program(SETUP, text, watches, is_told_by_values=True, has_threads=True)
