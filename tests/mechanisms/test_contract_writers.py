"""The contract, by who writes: whatever kind of code makes the change, the line that made it is named."""

from __future__ import annotations

import pytest

import contract
from contract import ANY, Case, Module, choose, described, hit, parametrized, run_case
from recorder import Recorder


def appends(
    name: str, program: str, *marks: str, setup: str = "L = []", by: str | None = "list.append", **more
) -> Case:
    """Return a case in which each mark appends to a list once."""
    return Case(name, setup, "L", program, [hit(mark, by=by) for mark in marks], **more)


CALLBACKS = [
    appends(
        "callback of sorted",
        """
        def key(item):
            L.append(item)  # @key
            return item
        sorted([3], key=key)
        after = 1
        """,
        "key",
    ),
    appends(
        "callback of list.sort of another list",
        """
        other = [2, 1]
        def key(item):
            if item == 1:
                L.append(item)  # @key
            return item
        other.sort(key=key)
        """,
        "key",
    ),
    appends(
        "callback of map and filter",
        """
        def double(item):
            L.append(item)  # @map
            return 2 * item
        def odd(item):
            L.append(item)  # @filter
            return True
        list(filter(odd, map(double, [1])))
        """,
        "map",
        "filter",
    ),
    appends(
        "C function given as callback",
        """
        def f():
            list(map(L.append, [1]))  # @map
            after = 1
            max([2], key=L.append)  # @max
            after = 2
        f()
        """,
        "map",
        "max",
        by=ANY,
    ),
    appends(
        "functools and operator",
        """
        import functools, operator
        def f():
            push = functools.partial(L.append, 1)
            push()  # @partial
            after = 1
            operator.methodcaller('append', 2)(L)  # @methodcaller
            after = 2
            functools.reduce(lambda a, b: L.append(b), [0, 3])  # @reduce
            after = 3
        f()
        """,
        "partial",
        "methodcaller",
        "reduce",
        by=ANY,
    ),
    appends(
        "generator",
        """
        def generate():
            L.append(1)  # @first
            yield 1
            L.append(2)  # @second
            yield 2
            L.append(3)  # @third
        for item in generate():
            after = item
        """,
        "first",
        "second",
        "third",
    ),
    appends(
        "generator driven by C code",
        """
        def generate():
            for i in range(2):
                yield i
            L.append(1)  # @end
        def f():
            list(generate())
            after = 1
        f()
        """,
        "end",
    ),
    appends(
        "write right before a yield and after it is resumed",
        """
        def generate():
            yield L.append(1)  # @before
            x = yield
            L.append(x)  # @sent
            yield
        def f():
            g = generate()
            next(g)
            after = 1
            next(g)
            g.send(5)
            after = 2
            g.close()
        f()
        """,
        "before",
        "sent",
    ),
    appends(
        "generator that is closed and thrown into",
        """
        def generate():
            try:
                yield
            except KeyError:
                L.append(1)  # @thrown
            try:
                yield
            finally:
                L.append(2)  # @closed
        def f():
            g = generate()
            next(g)
            g.throw(KeyError())
            g.close()
            after = 1
        f()
        """,
        "thrown",
        "closed",
    ),
    appends(
        "generator expression and yield from",
        """
        def inner():
            yield L.append(1)  # @inner
            return L.append(2)  # @returned
        def outer():
            yield from inner()
            yield from (L.append(i) for i in [3])  # @expression
        def f():
            for _ in outer():
                pass
        f()
        """,
        "inner",
        "returned",
        "expression",
    ),
    appends(
        "generator unpacked",
        """
        def generate():
            yield 1
            L.append(1)  # @end
        def f():
            (x,) = generate()
            [*y] = generate()
            after = 1
        f()
        """,
        "end",
        "end",
    ),
    appends(
        "decorator",
        """
        def decorate(function):
            L.append(function.__name__)  # @decorate
            return function
        @decorate
        def f(): pass
        @L.append  # @direct
        def g(): pass
        """,
        "decorate",
        "direct",
        by=ANY,
    ),
    appends(
        "class body, metaclass and __init_subclass__",
        """
        class Base:
            L.append(1)  # @body
            def __init_subclass__(cls): L.append(2)  # @subclass
        class Derived(Base):
            x = L.append(3)  # @derived
        """,
        "body",
        "derived",
        "subclass",
    ),
    appends("lambda", "f = lambda: L.append(1)  # @lambda\nf()\nafter = 1", "lambda"),
    appends(
        "comprehensions",
        """
        def f():
            a = [L.append(i) for i in [1]]  # @list
            b = {L.append(i) for i in [1]}  # @set
            c = {i: L.append(i) for i in [1]}  # @dict
            d = list(L.append(i) for i in [1])  # @generator
            return a, b, c, d
        f()
        """,
        "list",
        "set",
        "dict",
        "generator",
    ),
    appends(
        "finaliser",
        """
        class D:
            def __del__(self): L.append(1)  # @del
        def f():
            d = D()
            d = None
            after = 1
            e = D()
        f()
        """,
        "del",
        "del",
    ),
    appends(
        "weak reference callback in Python",
        """
        import weakref
        class D: pass
        def gone(reference): L.append(1)  # @gone
        def f():
            d = D()
            r = weakref.ref(d, gone)
            del d
            after = 1
        f()
        """,
        "gone",
    ),
    appends(
        "property, descriptor and operator methods",
        """
        class C:
            @property
            def p(self): return L.append(1)  # @get
            @p.setter
            def p(self, value): L.append(value)  # @set
            @p.deleter
            def p(self): L.append(3)  # @delete
            def __add__(self, other): L.append(4)  # @add
            def __eq__(self, other): return bool(L.append(5))  # @eq
            def __getitem__(self, key): return L.append(6)  # @getitem
            def __len__(self): L.append(7); return 0  # @len
            def __getattr__(self, name): return L.append(8)  # @getattr
            def __iter__(self): L.append(9); return iter(())  # @iter
            def __contains__(self, x): L.append(10); return 1  # @contains
            def __call__(self): L.append(11)  # @call
            def __format__(self, spec): L.append(12); return ''  # @format
            def __hash__(self): L.append(13); return 1  # @hash
        def f():
            c = C()
            c.p
            c.p = 2
            del c.p
            c + 1
            c == 1
            c[0]
            bool(c)
            c.other
            for _ in c: pass
            1 in c
            c()
            f'{c}'
            {c}
            after = 1
        f()
        """,
        *"get set delete add eq getitem len getattr iter contains call format hash".split(),
    ),
    appends(
        "context manager",
        """
        import contextlib
        class Manager:
            def __enter__(self): L.append(1)  # @enter
            def __exit__(self, *error): L.append(2); return True  # @exit
        @contextlib.contextmanager
        def manage():
            L.append(3)  # @before
            yield
            L.append(4)  # @behind
        def f():
            with Manager():
                L.append(5)  # @inside
                raise KeyError
            with manage():
                after = 1
        f()
        """,
        "enter",
        "inside",
        "exit",
        "before",
        "behind",
    ),
    appends(
        "C context manager writes at its exit",
        """
        import contextlib
        def f():
            with contextlib.ExitStack() as stack:
                stack.callback(L.append, 1)
                after = 1
            after = 2
        f()
        """,
        "contextlib.py",
        by=ANY,
    ),
    appends(
        "recursion",
        """
        def down(n):
            if n:
                L.append(n)  # @down
                down(n - 1)
                L.append(-n)  # @up
        down(2)
        """,
        "down",
        "down",
        "up",
        "up",
    ),
    appends(
        "async function and gather",
        """
        import asyncio
        async def work(n):
            L.append(n)  # @first
            await asyncio.sleep(0)
            L.append(-n)  # @second
        async def main():
            await asyncio.gather(work(1), work(2))
        asyncio.run(main())
        """,
        "first",
        "first",
        "second",
        "second",
    ),
    appends(
        "async for, async with, async comprehension",
        """
        class Manager:
            async def __aenter__(self): L.append(1)  # @enter
            async def __aexit__(self, *error): L.append(2)  # @exit
        async def generate():
            yield L.append(3)  # @generate
        async def main():
            async with Manager():
                async for _ in generate():
                    after = 1
            [L.append(4) async for _ in generate()]  # @comprehension
        try:
            main().send(None)
        except StopIteration:
            after = 2
        """,
        "enter",
        "generate",
        "exit",
        "generate",
        "comprehension",
    ),
]

FLOW = [
    appends(
        "handler, else and finally",
        """
        def f(fails):
            try:
                L.append(1)  # @try
                if fails: raise KeyError
            except KeyError:
                L.append(2)  # @except
            else:
                L.append(3)  # @else
            finally:
                L.append(4)  # @finally
        f(True)
        f(False)
        """,
        *"try except finally try else finally".split(),
    ),
    appends(
        "write and then an error, caught by the caller",
        """
        def f():
            L.append(1); 1 / 0  # @same
        def g():
            L.append(2)  # @before
            1 / 0
        def h():
            return L.append(3), [][1]  # @expression
        for function in f, g, h:
            try:
                function()
            except (ZeroDivisionError, IndexError):
                after = 1
        """,
        "same",
        "before",
        "expression",
    ),
    appends(
        "write and then an error that ends the program",
        "L.append(1)  # @write\n1 / 0\n",
        "write",
        raises=ZeroDivisionError,
    ),
    appends("last statement of the program", "L.append(1)  # @write", "write"),
    appends("last statement of a function", "def f():\n    L.append(1)  # @write\nf()", "write"),
    appends("returned", "def f():\n    return L.append(1)  # @write\nf()", "write"),
    appends(
        "conditional, boolean and comparison",
        """
        def f(x):
            if L.append(1): pass  # @if
            elif L.append(2) or x: pass  # @elif
            x and L.append(3)  # @and
            y = L.append(4) if x else 0  # @ternary
            while L.append(5): pass  # @while
            assert not L.append(6)  # @assert
            return 0 < 1 < (L.append(7) or 2)  # @chain
        f(1)
        """,
        *"if elif and ternary while assert chain".split(),
    ),
    appends(
        "loops",
        """
        def f():
            for i in (1, 2):
                L.append(i)  # @for
            else:
                L.append(3)  # @else
            i = 0
            while i < 2:
                i += 1
                if i == 2:
                    L.append(i)  # @while
                    break
                L.append(i); continue  # @continue
        f()
        """,
        *"for for else continue while".split(),
    ),
    appends(
        "a loop on one line",
        "def f():\n    while len(L) < 3: L.append(1)  # @write\n    for i in (1, 2): L.append(i)  # @for\nf()",
        *"write write write for for".split(),
    ),
    appends(
        "one-line function and class",
        "def f(): L.append(1)  # @f\nf()\nclass C: L.append(2)  # @class\nafter = 1\n",
        "f",
        "class",
    ),
    Case(
        "several statements on a line",
        "L = []",
        "L",
        """
        def f():
            L.append(1); L.pop(); L.append(2)  # @line
        f()
        L.append(3); L.pop()  # @module
        """,
        [
            hit("line", "[]", "[1]", "list.append"),
            hit("line", "[1]", "[]", "list.pop"),
            hit("line", "[]", "[2]", "list.append"),
            hit("module", "[2]", "[2, 3]", "list.append"),
            hit("module", "[2, 3]", "[2]", "list.pop"),
        ],
    ),
    Case(
        "several writes in one expression",
        "L = []",
        "L",
        """
        def f():
            return [L.append(1), L.append(2), L.pop()]  # @line
        f()
        """,
        [hit("line", "[]", "[1]"), hit("line", "[1]", "[1, 2]"), hit("line", "[1, 2]", "[1]")],
    ),
    Case(
        "several stores on a line",
        "x = 0",
        "x",
        """
        x = 1; x = 2; y = x; x = 2; x = 3  # @line
        x, x = 4, 5  # @unpacked
        """,
        [
            hit("line", "0", "1"),
            hit("line", "1", "2"),
            hit("line", "2", "3"),
            hit("unpacked", "3", "4"),
            hit("unpacked", "4", "5"),
        ],
        dicts=True,
    ),
    Case(
        "items stored and restored on a line",
        "L = [1, 2]; d = {'a': 1}",
        ["L", "d"],
        """
        def f():
            L[0] = 5; L[0] = 1  # @list
            d['a'] = 5; d['a'] = 1  # @dict
        f()
        """,
        [
            hit("list", "[1, 2]", "[5, 2]"),
            hit("list", "[5, 2]", "[1, 2]"),
            hit("dict", "{'a': 1}", "{'a': 5}"),
            hit("dict", "{'a': 5}", "{'a': 1}"),
        ],
    ),
    Case(
        "items swapped",
        "L = [1, 2]; d = {'a': 1, 'b': 2}",
        ["L", "d"],
        """
        def f():
            L[0], L[1] = L[1], L[0]  # @list
            d['a'], d['b'] = d['b'], d['a']  # @dict
        f()
        """,
        [
            hit("list", "[1, 2]", "[2, 2]"),
            hit("list", "[2, 2]", "[2, 1]"),
            hit("dict", "{'a': 1, 'b': 2}", "{'a': 2, 'b': 2}"),
            hit("dict", "{'a': 2, 'b': 2}", "{'a': 2, 'b': 1}"),
        ],
    ),
    Case(
        "calls over several lines",
        "L = []",
        "L",
        """
        def f():
            L.append(  # @call
                1,
            )
            x = [
                0,
                L.append(2),  # @inner
                3,
            ]
            L.extend(  # @outer
                [
                    L.append(3),  # @argument
                ]
            )
            L[  # @item
                0
            ] = 9
            return x
        f()
        """,
        [
            hit("call", new="[1]"),
            hit("inner", new="[1, 2]"),
            hit("argument", new="[1, 2, 3]"),
            hit("outer", new="[1, 2, 3, None]"),
            hit("item", new="[9, 2, 3, None]"),
        ],
    ),
    appends(
        "C function that writes and then raises",
        """
        class Bad:
            def __iter__(self): return self
            def __next__(self): raise KeyError
        def some():
            yield 1
            raise KeyError
        def f():
            try:
                L.extend(some())  # @extend
            except KeyError:
                after = 1
            try:
                L.append(2); Bad().x  # @append
            except AttributeError:
                after = 2
        f()
        """,
        "extend",
        "append",
        by=ANY,
    ),
    Case(
        "update with a bad iterable",
        "d = {}",
        "d",
        """
        def f():
            try:
                d.update([('a', 1), 5])  # @update
            except TypeError:
                after = 1
        f()
        """,
        [hit("update", "{}", "{'a': 1}", "dict.update")],
        dicts=True,
    ),
    Case(
        "star import",
        "import sys, types\nm = types.ModuleType('stopwhen_star')\nm.x = 2\nsys.modules['stopwhen_star'] = m",
        "x",
        "from stopwhen_star import *  # @star\nimport sys\ndel sys.modules['stopwhen_star']\n",
        [hit("star", "absent", "2")],
        dicts=True,
    ),
    Case(
        "handler's name is bound and deleted",
        "",
        "e",
        """
        try:
            1 / 0
        except ZeroDivisionError as e:  # @bound
            after = 1  # @last
        after = 2
        """,
        # CPython sets it to None and deletes it, on the line that it gives these instructions.
        [hit("bound", "absent", ANY), hit("last", ANY, "None"), hit("last", "None", "absent")],
        dicts=True,
    ),
    Case(
        "code without a file",
        "L = []",
        "L",
        "def f():\n    exec(compile('x = 1\\nL.append(1)\\n', '<made up>', 'exec'), globals())\nf()\n",
        [hit("<made up>", "[]", "[1]")],
    ),
    Case(
        "a module that is imported runs",
        "L = []; import sys; sys.stopwhen_list = L",
        "L",
        """
        import os, sys
        folder = os.path.dirname(__file__) if '__file__' in globals() else os.path.dirname(sys._getframe().f_code.co_filename)
        with open(os.path.join(folder, 'stopwhen_imported.py'), 'w') as file:
            file.write('import sys\\nsys.stopwhen_list.append(1)\\n')
        sys.path.insert(0, folder)
        try:
            import stopwhen_imported
        finally:
            sys.path.remove(folder)
            del sys.modules['stopwhen_imported'], sys.stopwhen_list
        """,
        [hit("stopwhen_imported.py", "[]", "[1]", "list.append")],
    ),
]


@parametrized([*CALLBACKS, *FLOW])
def test_the_line_that_wrote_is_named(case, mechanism, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Whoever makes the change, there is one hit for it, on the line of the instruction."""
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


@pytest.mark.parametrize("mechanism", [one for one in contract.mechanism_sets() if one != "dictwatch"])
def test_a_sort_with_a_key_is_told_on_its_line(mechanism, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """While it sorts, a list is empty to whoever looks, and is found so where lists are compared."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run("L = [3, 1, 2]\n")
    with Recorder() as hits:
        hits.changes("L", scope=module)
        module.run("def f():\n    L.sort(key=lambda item: -item)  # @sort\n    L.sort()  # @again\nf()\n")
    found = described(hits.hits, module.path)
    sorting = [hit("sort", "[3, 1, 2]", "[3, 2, 1]")]
    if not contract.containers_tell(mechanism):
        sorting = [hit("sort", "[3, 1, 2]", "[]"), hit("sort", "[]", "[3, 2, 1]")]
    assert found == [*sorting, hit("again", "[3, 2, 1]", "[1, 2, 3]")]
