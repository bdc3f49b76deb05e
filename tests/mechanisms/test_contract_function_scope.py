"""The contract, by scope: every call of a function, each with its own locals."""

from __future__ import annotations

import functools
import importlib
import sys
import threading

import pytest

import stopwhen
from contract import ANY, Module, choose, described, hit, mechanism_sets
from recorder import Recorder
from stopwhen import env

# The dict watcher alone sees no locals.
with_locals = pytest.mark.parametrize("mechanism", [name for name in mechanism_sets() if name != "dictwatch"])


@pytest.fixture
def module(mechanism, tmp_path, monkeypatch):
    choose(monkeypatch, mechanism)
    return Module(tmp_path)


# Each: the functions, the expression, the scope, what is run, the hits.
CASES = {
    "binding is a change from absent, its end is none": (
        "def f():\n    total = 1  # @a\n    total += 1  # @b\n",
        ("total", "f", "f(); f()"),
        [hit("a", "absent", "1"), hit("b", "1", "2"), hit("a", "absent", "1"), hit("b", "1", "2")],
    ),
    "a parameter is bound at the start": (
        "def f(total, *rest, key=0, **options):\n    total = total  # @no\n    total += 1  # @a\n",
        ("total", "f", "f(1); f(2, 3, key=4, x=5)"),
        [hit("a", "1", "2"), hit("a", "2", "3")],
    ),
    "del and back": (
        "def f():\n    x = 1  # @a\n    del x  # @b\n    x = 2  # @c\n",
        ("x", "f", "f()"),
        [hit("a", "absent", "1"), hit("b", "1", "absent"), hit("c", "absent", "2")],
    ),
    "last statement": ("def f(x):\n    x = 2; return x  # @a\n", ("x", "f", "f(1)"), [hit("a", "1", "2")]),
    "each call of a recursion has its own": (
        "def f(n):\n    r = 1  # @a\n    if n:\n        r = n * f(n - 1)  # @b\n    return r\n",
        ("r", "f", "f(3)"),
        [*[hit("a", "absent", "1")] * 4, hit("b", "1", "2"), hit("b", "1", "6")],
    ),
    "content of a local": (
        "def f():\n    items = []  # @a\n    fill(items)\n    items = None  # @c\ndef fill(it):\n    it.append(1)  # @b\n",
        ("items", "f", "f()"),
        [hit("a", "absent", "[]"), hit("b", "[]", "[1]", "list.append"), hit("c", "[1]", "None")],
    ),
    "content of an argument": (
        "def f(items):\n    items.append(1)  # @a\n    items.sort()\n",
        ("items", "f", "f([]); f([2]); other = []; other.append(3)"),
        [hit("a", "[]", "[1]"), hit("a", "[2]", "[2, 1]"), hit(ANY, "[2, 1]", "[1, 2]")],
    ),
    "length of a local": (
        "def f():\n    items = [1]  # @a\n    items.append(2)  # @b\n    items[0] = 5\n",
        ("len(items)", "f", "f()"),
        [hit("a", "absent", "1"), hit("b", "1", "2")],
    ),
    "locals, closure and globals": (
        "rate = 2\ndef outer():\n    base = 10\n    def f(n):\n        global rate\n        nonlocal base\n"
        "        total = n  # @a\n        rate = 3  # @b\n        base = 20  # @c\n    return f\nf = outer()\n",
        ("base + rate * total", "f", "f(1)"),
        [hit("a", "absent", "12"), hit("b", "12", "13"), hit("c", "13", "23")],
    ),
    "a variable that functions share": (
        "def f():\n    x = 1  # @a\n    def g():\n        nonlocal x\n        x += 1  # @b\n    g()\n    x += 1  # @c\n",
        ("x", "f", "f()"),
        [hit("a", "absent", "1"), hit("b", "1", "2"), hit("c", "2", "3")],
    ),
    "a shared variable after the call has ended": (
        "def f():\n    x = 1  # @a\n    def g():\n        nonlocal x\n        x += 1  # @b\n    return g\n",
        ("x", "f", "f()()"),
        [hit("a", "absent", "1"), hit("b", "1", "2")],
    ),
    "an attribute of a local": (
        "class C:\n    n = 0\ndef f():\n    c = C()  # @a\n    set_n(c)\ndef set_n(c):\n    c.n = 5  # @b\n",
        ("c.n", "f", "f()"),
        [hit("a", "absent", "0"), hit("b", "0", "5")],
    ),
    "a method": (
        "class C:\n    def f(self, n):\n        total = n  # @a\n",
        ("total", "C.f", "C().f(1); C.f(None, 2)"),
        [hit("a", "absent", "1"), hit("a", "absent", "2")],
    ),
    "a bound method": (
        "class C:\n    def f(self, n):\n        total = n  # @a\nc = C()\n",
        ("total", "c.f", "c.f(1)"),
        [hit("a", "absent", "1")],
    ),
    "a classmethod": (
        "class C:\n    @classmethod\n    def f(cls, n):\n        total = n  # @a\n",
        ("total", "C.f", "C.f(1)"),
        [hit("a", "absent", "1")],
    ),
    "a staticmethod": (
        "class C:\n    @staticmethod\n    def f(n):\n        total = n  # @a\n",
        ("total", "C.f", "C.f(1)"),
        [hit("a", "absent", "1")],
    ),
    "a decorated function": (
        "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def g(*a):\n        total = f(*a)\n"
        "        return f(*a)\n    return g\n@twice\ndef f(n):\n    total = n  # @a\n",
        ("total", "f", "f(1)"),
        [hit("a", "absent", "1")] * 2,
    ),
    "a cached function": (
        "import functools\n@functools.cache\ndef f(n):\n    total = n  # @a\n",
        ("total", "f", "f(1); f(1); f(2)"),
        [hit("a", "absent", "1"), hit("a", "absent", "2")],
    ),
    "a context manager": (
        "import contextlib\n@contextlib.contextmanager\ndef f(n):\n    total = n  # @a\n    yield\n    total += 1  # @b\n",
        ("total", "f", "with f(1): pass"),
        [hit("a", "absent", "1"), hit("b", "1", "2")],
    ),
    "a lambda": ("f = lambda n: (total := n)  # @a\n", ("total", "f", "f(7)"), [hit("a", "absent", "7")]),
    "another function with the same code": (
        "def make():\n    def f(n):\n        total = n  # @a\n        total += base\n    base = 0\n    return f\n"
        "f, g = make(), make()\n",
        ("total", "f", "g(1); f(2); g(3)"),
        [hit("a", "absent", "2")],
    ),
    "generators, each with its own": (
        "def f(n):\n    x = n  # @a\n    while True:\n        yield x\n        x += 1  # @b\n",
        ("x", "f", "p, q = f(10), f(20); next(p); next(q); next(q); next(p); p.close(); next(q)"),
        [
            hit("a", "absent", "10"),
            hit("a", "absent", "20"),
            hit("b", "20", "21"),
            hit("b", "10", "11"),
            hit("b", "21", "22"),
        ],
    ),
    "a generator that is closed": (
        "def f():\n    x = 1  # @a\n    try:\n        yield\n    finally:\n        x = 2  # @b\n",
        ("x", "f", "p = f(); next(p); p.close(); q = f(); next(q); del q"),
        [hit("a", "absent", "1"), hit("b", "1", "2")] * 2,
    ),
    "a generator that is closed where nothing of it runs, with a variable that functions share": (
        "def f():\n    x = 1  # @a\n    def g():\n        return x\n    yield g\n",
        ("x", "f", "p = f(); next(p); p.close(); len(''); q = f(); next(q); del q; len('')"),
        [hit("a", "absent", "1")] * 2,
    ),
    "a generator that is closed has no local any more, though it and what that held are still there": (
        "L = [1]\ndef f():\n    x = L  # @a\n    yield\ndef put():\n    L.append(2)\n",
        ("x", "f", "p = f(); next(p); p.close(); put(); len(''); L.append(3)"),
        [hit("a", "absent", "[1]")],
    ),
    "a generator that is closed reads no global any more": (
        "k = 1\ndef f():\n    yield k\ndef put():\n    global k\n    k += 1  # @a\n",
        ("k", "f", "p = f(); next(p); put(); p.close(); put(); q = f(); next(q); del q; put()"),
        [hit("a", "1", "2")],
    ),
    "a generator into which an error is thrown": (
        "def f():\n    x = 1  # @a\n    try:\n        yield\n    except KeyError:\n        x = 2  # @b\n    yield\n",
        ("x", "f", "p = f(); next(p); p.throw(KeyError)"),
        [hit("a", "absent", "1"), hit("b", "1", "2")],
    ),
    "delegation to itself": (
        "def f(n):\n    x = n  # @a\n    if n:\n        yield from f(n - 1)\n    x = -1  # @b\n    yield n\n",
        ("x", "f", "list(f(1))"),
        [hit("a", "absent", "1"), hit("a", "absent", "0"), hit("b", "0", "-1"), hit("b", "1", "-1")],
    ),
    "coroutines": (
        "import asyncio\nasync def f(n):\n    x = n  # @a\n    await asyncio.sleep(0)\n    x += 1  # @b\n"
        "async def main():\n    await asyncio.gather(f(1), f(10))\n",
        ("x", "f", "asyncio.run(main())"),
        [hit("a", "absent", "1"), hit("a", "absent", "10"), hit("b", "1", "2"), hit("b", "10", "11")],
    ),
    "an asynchronous generator": (
        "import asyncio\nasync def f():\n    x = 1  # @a\n    yield x\n    x += 1  # @b\n    yield x\n"
        "async def main():\n    return [one async for one in f()]\n",
        ("x", "f", "asyncio.run(main())"),
        [hit("a", "absent", "1"), hit("b", "1", "2")],
    ),
    "a call that ends by an error": (
        "def f(n):\n    x = n  # @a\n    x = 1 / n  # @b\n",
        ("x", "f", "try:\n    f(0)\nexcept ZeroDivisionError:\n    f(2)"),
        [hit("a", "absent", "0"), hit("a", "absent", "2"), hit("b", "2", "0.5")],
    ),
    "called from C code": (
        "def f(n):\n    key = -n  # @a\n    return key\n",
        ("key", "f", "sorted([1, 2], key=f)"),
        [hit("a", "absent", "-1"), hit("a", "absent", "-2")],
    ),
    "a comprehension's variable of that name": (
        "def f(x):\n    y = [x for x in (5, 6)]\n    x = 2  # @a\n",
        ("x", "f", "f(1)"),
        [hit("a", "1", "2")],
    ),
    "an asynchronous comprehension's variable of that name": (
        "def run(one):\n    try:\n        one.send(None)\n    except StopIteration:\n        pass\n"
        "async def count():\n    yield 5\n    yield 6\n"
        "async def f(x):\n    y = [[x for x in (x,)] async for x in count() if x]\n    x = 2  # @a\n",
        ("x", "f", "run(f(1))"),
        [hit("a", "1", "2")],
    ),
    "an expression that reads no local": (
        "rate = 1\ndef f():\n    global rate\n    rate = 2  # @a\n",
        ("rate", "f", "rate = 0; f(); rate = 5"),
        [hit("a", "0", "2")],
    ),
}


@with_locals
@pytest.mark.parametrize("name", CASES)
def test_every_call_of_a_function(name, module):
    """Each call has its own locals; what they were when it ends is no change."""
    source, (expression, scope, program), expected = CASES[name]
    module.run(source)
    with Recorder() as hits:
        hits.changes(expression, scope=eval(scope, module.__dict__))
        exec(compile(program, "<program>", "exec"), module.__dict__)
    seen = described(hits.hits, module.path)
    assert [(one.old, one.new) for one in seen] == [(one.old, one.new) for one in expected]
    assert seen == expected
    assert all(one.exact for one in hits.hits)


@with_locals
def test_a_watchpoint_that_is_removed_hears_no_more_of_calls(module):
    """Neither of those to come nor of those that run."""
    module.run("def f():\n    x = 1\n    stop()\n    x = 2\n")
    with Recorder() as hits:
        watchpoint = hits.changes("x", scope=module.f)
        module.stop = watchpoint.remove
        module.f()
        module.f()
    assert hits.texts == [("absent", "1")]


@with_locals
def test_disabled_and_enabled_while_calls_run(module):
    """Enabling takes the values then as the last ones seen, of the calls that run too."""
    module.run("def f():\n    x = 1\n    switch(False)\n    x = 2\n    switch(True)\n    x = 3\n")
    with Recorder() as hits:
        watchpoint = hits.changes("x", scope=module.f)
        module.switch = lambda on: watchpoint.enable() if on else watchpoint.disable()
        module.f()
    assert hits.texts == [("absent", "1"), ("2", "3")]


@with_locals
def test_calls_that_run_already_are_included(module):
    """Those further out in this thread, in other threads, and suspended generators."""
    module.run(
        "def f(n):\n    x = n\n    if n:\n        f(n - 1)\n    else:\n        arm()\n    x += 100  # @a\n"
        "def g():\n    x = 1\n    yield\n    x = 2  # @b\n    yield\n"
    )
    with Recorder() as hits:
        module.arm = lambda: hits.changes("x", scope=module.f)
        module.f(2)
        started, not_started = module.g(), module.g()
        next(started)
        hits.changes("x", scope=module.g)
        next(started)
        next(not_started)
    assert described(hits.hits, module.path) == [
        hit("a", "0", "100"),
        hit("a", "1", "101"),
        hit("a", "2", "102"),
        hit("b", "1", "2"),
        hit(ANY, "absent", "1"),
    ]


# In pure Python on 3.11 a trace function reaches this thread and those to come.
@pytest.mark.parametrize(
    "mechanism",
    [name for name in mechanism_sets() if name != "dictwatch" and (env.HAS_MONITORING or name != "recheck")],
)
def test_a_call_that_runs_in_another_thread_is_included(module):
    """Its thread is named."""
    module.run("def f(ready, go):\n    x = 1\n    ready.set()\n    go.wait()\n    x = 2  # @a\n")
    ready, go = threading.Event(), threading.Event()
    thread = threading.Thread(target=module.f, args=(ready, go), name="worker")
    thread.start()
    ready.wait()
    with Recorder() as hits:
        hits.changes("x", scope=module.f)
        go.set()
        thread.join()
    assert described(hits.hits, module.path) == [hit("a", "1", "2")]
    assert hits.hits[0].thread == "worker"


@with_locals
def test_calls_in_several_threads_at_once(module):
    """Each hit names the thread whose call it was."""
    module.run("def f(n):\n    x = n\n    for _ in range(20):\n        x += 1  # @a\n")
    with Recorder() as hits:
        hits.changes("x", scope=module.f, condition="old is not absent")
        threads = [threading.Thread(target=module.f, args=(1000 * n,), name=f"t{n}") for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(hits.hits) == 80
    for n in range(4):
        assert [one.new for one in hits.hits if one.thread == f"t{n}"] == list(range(1000 * n + 1, 1000 * n + 21))


@with_locals
def test_true_is_asked_in_each_call(module):
    """What is true when a call begins is a hit of that call, marked `already`, where the call begins."""
    module.run("def f(n):  # @start\n    n += 1  # @a\n    n += 1\n")
    with Recorder() as hits:
        hits.true("n > 2", scope=module.f)
        module.f(1)
        module.f(5)
        module.f(0)
    assert described(hits.hits, module.path) == [hit(ANY, "False", "True"), hit("start", "absent", "True")]
    assert [one.already for one in hits.hits] == [False, True]


@with_locals
def test_true_when_armed_is_a_hit_of_each_call_that_runs(module):
    """At the arming call."""
    module.run("def f(n):\n    if n:\n        f(n - 1)\n    else:\n        arm()\n")
    with Recorder() as hits:
        module.arm = lambda: hits.true("n < 2", scope=module.f)
        module.f(3)
    assert [one.already for one in hits.hits] == [True, True]


@with_locals
def test_raise_in_a_call(module):
    """The exception comes from the line that wrote."""
    module.run(
        "def f(n):\n    try:\n        n = 2\n        n += 5\n    except Exception as error:\n        return error, n\n"
    )
    with Recorder() as hits:
        watchpoint = hits.changes("n", scope=module.f, action="raise", condition="new == 2")
        error, n = module.f(1)
        assert isinstance(error, stopwhen.DataChanged)
        assert n == 2
        assert watchpoint.count == 1


@with_locals
def test_two_watchpoints_on_calls_of_one_function(module):
    """And one that is made within a call."""
    module.run("def f():\n    x = 1  # @a\n    inside()\n    x = 2  # @b\n    y = 3\n")
    with Recorder() as hits:
        one, two = hits.changes("x", scope=module.f), hits.changes("x", scope=module.f)
        module.inside = lambda: hits.watchpoints.append(stopwhen.changes("x", scope=module.f, action=hits))
        module.f()
        made = hits.watchpoints[2]
    assert [len(hits.of(watchpoint)) for watchpoint in (one, two, made)] == [2, 2, 1]


@with_locals
def test_a_scope_by_name_is_pending_until_module_and_function_are_there(module, mechanism, tmp_path, monkeypatch):
    """What the module's own code calls while it is imported counts."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / f"stopwhen_function_{mechanism}.py"
    path.write_text(
        "class C:\n    def m(self):\n        x = 5  # @method\ndef f():\n    x = 1  # @function\nf()\nC().m()\n"
    )
    with Recorder() as hits:
        function = hits.changes("x", scope=f"{path.stem}:f")
        method = hits.changes("x", scope=f"{path.stem}:C.m")
        assert "not there yet" in str(function.plan)
        imported = __import__(path.stem)
        imported.f()
        assert "not there yet" not in str(function.plan)
    del sys.modules[path.stem]
    assert described(hits.of(function), path) == [hit("function", "absent", "1")] * 2
    assert described(hits.of(method), path) == [hit("method", "absent", "5")]


@with_locals
def test_a_name_that_is_bound_to_another_function_is_followed(module, mechanism, tmp_path, monkeypatch):
    """By a reload, or by an assignment; then to none, and back."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / f"stopwhen_reloaded_{mechanism}.py"
    path.write_text("def f():\n    x = 1\n")
    imported = __import__(path.stem)
    with Recorder() as hits:
        hits.changes("x", scope=f"{path.stem}:f")
        before = imported.f
        before()
        path.write_text("def f():\n    pass\n    x = 'reloaded'\n")
        importlib.reload(imported)
        before()
        imported.f()
        del imported.f
        before()
        imported.f = before
        before()
    del sys.modules[path.stem]
    assert [new for _, new in hits.texts] == ["1", "'reloaded'", "1"]


@with_locals
def test_a_name_that_comes_to_be_no_function_ends_the_watchpoint(module, mechanism, monkeypatch, capfd):
    """With the reason."""
    monkeypatch.setitem(sys.modules, f"stopwhen_replaced_{mechanism}", module)
    module.run("def f():\n    x = 1\n")
    with Recorder() as hits:
        watchpoint = hits.changes("x", scope=f"stopwhen_replaced_{mechanism}:f")
        module.f()
        module.f = 5
        after = 1
    assert watchpoint.removed
    assert len(hits.hits) == after
    assert "no longer watching 'x'" in capfd.readouterr().err


def made_property():
    class C:
        @property
        def f(self):
            return 1

    return C.__dict__["f"]


class Callable:
    def __call__(self):
        return 1


def wrapped_in_itself():
    def f():
        pass

    f.__wrapped__ = f
    return f


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (len, "written in C"),
        ([].append, "written in C"),
        (functools.partial(print), "partial"),
        (made_property(), "property"),
        (Callable(), "Callable"),
        (wrapped_in_itself(), "wraps itself"),
        ("contextlib:nothing()", "no name"),
        ("contextlib:a b", "no name"),
        ("sys:path", "list"),
        ("sys:path.append", "list"),
        ("builtins:len", "written in C"),
        (5, "int"),
    ],
)
def test_what_is_no_function_of_python_code_is_refused(scope, reason):
    """With the reason, and nothing is armed."""
    with pytest.raises((stopwhen.Refused, stopwhen.UsageError), match=reason) as caught:
        stopwhen.changes("x", scope=scope)
    assert caught.value.slug in ("scope-kind", "bad-scope")
    assert caught.value.hint


@pytest.mark.skipif(not env.HAS_MONITORING or env.core is None, reason="needs dict watchers")
def test_a_mechanism_that_sees_no_calls_refuses(monkeypatch):
    """The dict watcher alone."""
    choose(monkeypatch, "dictwatch")
    with pytest.raises(stopwhen.Refused, match="no mechanism"):
        stopwhen.changes("x", scope=made_property)


@with_locals
def test_the_plan_names_what_is_watched(module):
    """The calls, and the names of a call to come."""
    module.run("import contextlib\nrate = 1\ndef f(n):\n    total = n\n")
    with Recorder() as hits:
        watchpoint = hits.changes("total * rate", scope=module.f)
        text = str(watchpoint.plan)
        assert "every call of f" in text
        assert "calls of f" in text
    text = str(stopwhen.session.current().explain("total * rate", scope=module.f))
    assert "total: local of f" in text
    assert "rate: " in text


@pytest.mark.skipif(not env.HAS_PURE_F_LOCALS, reason="needs frames whose `f_locals` can be written to")
@pytest.mark.parametrize("mechanism", ["default"])
def test_a_local_that_other_code_writes_through_f_locals(module):
    """Stored by an item it is seen where it is written; by other ways later, and then not blamed on that place."""
    module.run(
        "import sys\ndef f(x):\n    item()\n    y = 1\n    update()\n    y = 2  # @later\n"
        "def item():\n    sys._getframe(1).f_locals['x'] = 2  # @item\n"
        "def update():\n    sys._getframe(1).f_locals.update({'x': 3})\n"
    )
    with Recorder() as hits:
        hits.changes("x", scope=module.f)
        module.f(1)
    if env.core is None:
        assert [one.exact for one in hits.hits] == [False, False]
    else:
        assert described(hits.hits, module.path) == [hit("item", "1", "2"), hit("later (inexact)", "2", "3")]
    assert hits.texts == [("1", "2"), ("2", "3")]


@with_locals
def test_own_writes_to_a_call_give_no_hits(module):
    """What an action does in a call of the function is its own."""
    module.run("def f(n):\n    x = n  # @a\n    return x\n")
    with Recorder() as hits:
        hits.changes("x", scope=module.f, action=lambda one: (hits(one), module.f(one.new + 1)))
        module.f(1)
        module.f(5)
    assert hits.texts == [("absent", "1"), ("absent", "5")]
