"""Programs with threads that write to data of their own: one after another, and at the same time, it comes to the same."""

from __future__ import annotations

from random_programs.writing import Program, Watch, Writer, dedented, indented, is_valid, text_of

SETUP = dedented("""
    import sys, threading

    class Box:
        def __init__(self):
            self.x = 0
            self.items = [0]

    def run(*targets):
        threads = [threading.Thread(target=target, args=(k,)) for k, target in enumerate(targets)]
        for thread in threads:
            thread.start()
            if not at_once():
                thread.join()
        for thread in threads:
            thread.join()

    rows = [[0], [0], [0]]
    boxes = [Box(), Box(), Box()]
    names = {0: 0, 1: 0, 2: 0}
    shared = []
    local = threading.local()
""")

SIMPLE = [
    "row.append({n})", "row[0] = {n}", "row += [{n}]; del row[4:]", "row.sort()", "box.x = {n}", "box.x += 1", "box.items.append({n})",
    "box.items = [{n}]", "names[k] = {n}", "names[k] += 1", "a = {n}", "a += {n}", "x = len(row) + {n}", "x = [v for v in range(9)]",
    "rows[k] = row = [{n}]", "x = sorted(row, key=lambda v: row.append(v) or v) if len(row) < 9 else 0", "del row[1:]",
    "x = sum(range(300))", "list(map(row.append, [{n}]))", "row[:] = [row[0], {n}]", "box.items.reverse(); box.x = {n}",
    "for i in range({n}): row.append(i)", "vars(box).update(x={n})", "setattr(box, 'x', {n})", "local.v = {n}; x = local.v",
]  # fmt: skip
HEADS = ["if a < {n}:", "for i in range({n}):", "for i in range(30):", "try:"]

WATCHED = [
    "rows[0]", "rows[1]", "rows[2]", "boxes[0].x", "boxes[1].x", "boxes[2].items", "names[0]", "names[2]", "len(rows[1])",
    "boxes[0].items", "boxes[2].x", "shared",
]  # fmt: skip


def program(seed: int) -> Program:
    """Return a program with three threads, of which each writes to data of its own only."""
    writer = Writer(seed, SIMPLE, HEADS, "(LookupError, TypeError)")
    while True:
        functions: list[str] = []
        for number in range(3):
            body = [
                "row, box, a = rows[k], boxes[k], 0",
                *writer.block(2, longest=6),
                "row = rows[k]",
                *writer.block(2, longest=6),
            ]
            functions += [f"def work{number}(k):", *indented(body)]
        setup = SETUP + text_of(functions)
        if is_valid(setup):
            break
    main = ["sys.setswitchinterval(1e-6 if at_once() else 100)"]
    for _ in range(writer.random.randint(1, 3)):
        main += [f"run({', '.join(f'work{writer.random.randrange(3)}' for _ in range(3))})", "shared.append(1)"]
    watches = [Watch("changes", text) for text in writer.random.sample(WATCHED, 6)]
    watches.append(Watch("changes", "a", "work0", is_ordered=False))
    return Program(setup, text_of(main), tuple(watches))
