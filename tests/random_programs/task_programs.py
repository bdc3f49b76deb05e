"""Programs with asyncio tasks that take turns, wait for each other, cancel each other, and write to data that they share."""

from __future__ import annotations

from random_programs.writing import Program, Watch, Writer, dedented, indented, is_valid, text_of

SETUP = dedented("""
    import asyncio, contextlib

    class Job:
        def __init__(self):
            self.n = 0
            self.done = []

        async def set_n(self, value):
            self.n = value
            await asyncio.sleep(0)
            self.done.append(value)
            return value

        def __await__(self):
            self.n += 1
            yield
            return self.n

    class Manager:
        async def __aenter__(self):
            L.append("in")
            await asyncio.sleep(0)
            return len(L)
        async def __aexit__(self, *error):
            await asyncio.sleep(0)
            L.append("out")
            return error[0] is KeyError

    @contextlib.asynccontextmanager
    async def managed(items):
        items.append(1)
        await asyncio.sleep(0)
        try:
            yield len(items)
        finally:
            items.append(2)

    async def counted(n):
        global G
        for i in range(n):
            G = i
            yield i
            await asyncio.sleep(0)
            D[i] = i

    def begin(function, n):
        if len(tasks) < 8:
            tasks.append(asyncio.create_task(function(n), name=f"{function.__name__} {len(tasks)}"))
        return tasks[-1]

    def later():
        # Each waits for later ones only, or for itself, which asyncio refuses: cancelling a circle is an endless recursion.
        return tasks[min(tasks.index(asyncio.current_task()) + 1, len(tasks) - 1)]

    async def run_all(*functions):
        # No clock: those that wait for what never comes are cancelled after so many turns.
        global lock, queue, event
        lock, queue, event = asyncio.Lock(), asyncio.Queue(2), asyncio.Event()
        asyncio.current_task().set_name("main")
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        for k, function in enumerate(functions):
            begin(function, k)
        turns = 0
        while not all(one.done() for one in tasks):
            turns += 1
            for one in tasks if turns > 30 else ():
                one.cancel()
            await asyncio.sleep(0)
        results.append([type(one).__name__ for one in await asyncio.gather(*tasks, return_exceptions=True)])
        tasks.clear()

    G = 0
    L = [0]
    D = {}
    job = Job()
    tasks = []
    results = []
""")

SIMPLE = [
    "await asyncio.sleep(0)", "await asyncio.sleep(0)", "await asyncio.sleep(0); G = a", "G = {n}", "G += 1", "L.append(a)", "L[0] = {n}",
    "L[:] = [{n}, {m}]", "del L[3:]", "L = [{n}]", "D[{n}] = a", "D.update(k={n}, l={m})", "D.clear()", "D = {{'k': a}}", "a = {n}", "a += 1",
    "job.n = {n}", "job.n += a", "job = Job()", "job.done.append(a)", "a = await job.set_n({n})", "a = await job", "b = a",
    "a, job.n = job.n, await job.set_n({n})", "L.append(await job.set_n({n}))", "D[{n}] = L[0] = await job",
    "async with lock: L.append({n}); await asyncio.sleep(0); G += 1", "async with Manager() as b: D[b] = {n}",
    "async with managed(L) as b: a = {n}", "async for b in counted({n}): L.append(b)", "async for G in counted({n}): a = G",
    "L = [b async for b in counted({n})]", "b = [await job.set_n(v) for v in range({n})]", "L += [v async for v in counted({n}) if v != {m}]",
    "queue.put_nowait(a)", "await queue.put({n})", "a = await queue.get()", "L.append(queue.get_nowait())", "event.set()", "event.clear()",
    "await event.wait(); L.append('set')", "begin(work0, {n})", "begin(work{n}, {m})", "a = await begin(work0, {n})", "tasks[0].cancel()",
    "tasks[-1].cancel()", "await later()", "D['b'] = await later()", "await asyncio.wait(tasks[-1:])",
    "L.extend(await asyncio.gather(job.set_n({n}), job.set_n({m})))", "asyncio.get_running_loop().call_soon(L.append, {n})",
    "asyncio.get_running_loop().call_soon(lambda: D.update(k={n}))", "tasks[-1].add_done_callback(lambda _: L.append({n}))",
    "tasks[0].add_done_callback(job.done.append)", "await asyncio.shield(job.set_n({n}))", "raise KeyError({n})", "return a",
    "async with asyncio.TaskGroup() as b: b.create_task(job.set_n({n}), name='one'); b.create_task(job.set_n({m}), name='two')",
    "list(map(L.append, [{n}, a]))", "L.sort(key=str)", "try:\n    await later()\nexcept asyncio.CancelledError as b:\n    L.append('cancelled')\nb = 0",
    "try:\n    await asyncio.sleep(0)\nfinally:\n    G = {n}\n    await job.set_n({m})", "a = anext(counted({n}), {m})\nb = await a",
]  # fmt: skip

HEADS = [
    "if a < {n}:", "for b in range({n}):", "try:", "async with lock:", "async with Manager():", "async for b in counted({n}):",
    "async with asyncio.timeout(None):",
]  # fmt: skip

WATCHED = ["G", "L", "D", "job.n", "job.done", "job", "len(L)", "D.get('k')", "L[0]", "results", "G + job.n"]
TRUE = ["len(L) > 3", "job.n == 2", "D.get('k')"]
LOCALS = ["a", "b", "a + G", "(a, b)"]

ERRORS = "(LookupError, TypeError, RuntimeError, asyncio.QueueEmpty, asyncio.QueueFull, asyncio.InvalidStateError, ExceptionGroup)"


def program(seed: int) -> Program:
    """Return a program of four kinds of tasks, some of which are run together, once or several times."""
    writer = Writer(seed, SIMPLE, HEADS, ERRORS)
    while True:
        functions: list[str] = []
        for number in range(4):
            body = ["global G, L, D, job", "a = b = n", *writer.block(2, longest=8), writer.statement()]
            functions += [f"async def work{number}(n):", *indented(text_of(body).splitlines())]
        setup = SETUP + text_of(functions)
        if is_valid(setup):
            break
    main: list[str] = []
    for _ in range(writer.random.randint(1, 3)):
        names = [f"work{writer.random.randrange(4)}" for _ in range(writer.random.randint(1, 4))]
        main += [
            f"asyncio.run(run_all({', '.join(names)}))",
            writer.random.choice(["L.append(0)", "G = 0", "job.n = 0"]),
        ]
    watches = [
        *(Watch("changes", text) for text in writer.random.sample(WATCHED, 5)),
        Watch("true", writer.random.choice(TRUE)),
        Watch("writes", writer.random.choice(["job.n", "G"])),
        *(Watch("changes", text, f"work{writer.random.randrange(4)}") for text in writer.random.sample(LOCALS, 2)),
    ]
    return Program(setup, text_of(main), tuple(watches))
