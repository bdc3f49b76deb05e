"""The contract, where C functions stand in the way: as operators, in properties, as callbacks of weak references.

`__eq__ = L.append` changes the list at a comparison, and no Python code runs. The line is named all the same, whether the
function was put there before the watchpoint was armed or after.
"""

from __future__ import annotations

import gc
import textwrap

import pytest

from contract import Case, choose, hit, parametrized, run_case
from helpers import run_python

IMPORTS = """
import collections, functools, heapq, operator, types, weakref
class Thing: pass
"""

HOOKS = {
    "property": ("class C: p = property(L.append)", "c = C()", "c.p  # @here"),
    "equal": ("class C: __eq__ = L.append", "c = C()", "c == 1  # @here"),
    "less": ("class C: __lt__ = L.append", "c = C()", "c < 1  # @here"),
    "contains": ("class C: __contains__ = L.append", "c = C()", "1 in c  # @here"),
    "add": ("class C: __add__ = L.append", "c = C()", "c + 1  # @here"),
    "reflected": ("class C: __radd__ = L.append", "c = C()", "1 + c  # @here"),
    "in-place": ("class C: __isub__ = L.append", "c = C()", "c -= 1  # @here"),
    "negative": ("class C: __neg__ = L.pop", "c = C()", "-c  # @here"),
    "index": ("class C: __index__ = L.pop", "c = C()", "[0, 1, 2, 3, 4][c]  # @here"),
    "item": ("class C: __getitem__ = L.append", "c = C()", "c[1]  # @here"),
    "hash": ("class C: __hash__ = L.pop", "c = C()", "{c}  # @here"),
    "missing attribute": ("class C: __getattr__ = L.append", "c = C()", "c.foo  # @here"),
    "truth": (
        "class C: __bool__ = L.pop",
        "c = C()",
        "try:\n    if c:  # @here\n        after = 0\nexcept TypeError: after = 1",
    ),
    "format": (
        "class C: __format__ = L.append",
        "c = C()",
        "try: f'{c}'  # @here\nexcept TypeError: after = 1",
    ),
    "text": ("class C: __str__ = L.pop", "c = C()", "try: f'{c}'  # @here\nexcept TypeError: after = 1"),
    "iterator": (
        "class C: __iter__ = staticmethod(functools.partial(map, L.append, [1]))",
        "c = C()",
        "for x in c: after = 0  # @here",
    ),
    "context manager": (
        "class C:\n    __enter__ = L.pop\n    __exit__ = lambda *error: None",
        "c = C()",
        "with c:  # @here\n    after = 0",
    ),
    "call": ("class C: __call__ = L.append", "c = C()", "c(1)  # @here"),
    "class pattern": (
        "class M(type): __instancecheck__ = L.append\nclass C(metaclass=M): pass",
        "",
        "match 1:\n    case C(): after = 0  # @here",
    ),
    "class call": ("class M(type): __call__ = L.pop\nclass C(metaclass=M): pass", "", "C()  # @here"),
    "subclass": ("class C: __init_subclass__ = L.pop", "", "class D(C): pass  # @here"),
    "finaliser, by del": ("class C: __del__ = L.clear", "c = C()", "del c  # @here"),
    "finaliser, by assignment": ("class C: __del__ = L.clear", "c = C()", "c = None  # @here"),
    "finaliser, by an expression": ("class C: __del__ = L.clear", "", "C()  # @here"),
    "finaliser, by a return": ("class C: __del__ = L.clear\ndef g():\n    c = C()\n    return 1", "", "g()  # @here"),
    "weak reference, by del": ("", "t = Thing(); r = weakref.ref(t, L.append)", "del t  # @here"),
    "weak reference, by assignment": ("", "t = Thing(); r = weakref.ref(t, L.append)", "t = 1  # @here"),
    "weak reference, of an attribute": (
        "",
        "t = Thing(); t.x = Thing(); r = weakref.ref(t.x, L.append)",
        "t.x = 1  # @here",
    ),
    "weak proxy": ("", "t = Thing(); r = weakref.proxy(t, L.append)", "t = 1  # @here"),
    "default factory": ("", "d = collections.defaultdict(L.pop)", "d[1]  # @here"),
    "iterator searched": ("", "m = map(L.append, [1])", "3 in m  # @here"),
    "getattr": ("class C: __eq__ = getattr(L, 'append')", "c = C()", "c == 1  # @here"),
    "getattr, right away": ("", "t = Thing(); r = weakref.ref(t, getattr(L, 'append'))", "t = 1  # @here"),
    "partial": ("class C: __eq__ = staticmethod(functools.partial(list.append, L))", "c = C()", "c == 1  # @here"),
    "under another name": (
        "from functools import partial as make\nclass C: __eq__ = staticmethod(make(list.append, L))",
        "c = C()",
        "c == 1  # @here",
    ),
    "attrgetter": ("class C: __eq__ = operator.attrgetter('append')(L)", "c = C()", "c == 1  # @here"),
    "bound by hand": ("class C: __eq__ = types.MethodType(list.append, L)", "c = C()", "c == 1  # @here"),
    "descriptor called": ("class C: __eq__ = list.append.__get__(L)", "c = C()", "c == 1  # @here"),
    "methodcaller given it as an operand": (
        "class C: __radd__ = operator.methodcaller('append', 1)",
        "c = C()",
        "L + c  # @here",
    ),
    "static method given it as an operand": ("class C: __radd__ = staticmethod(list.pop)", "c = C()", "L + c  # @here"),
    "static method given it as a key": (
        "class C: __getitem__ = staticmethod(operator.methodcaller('pop'))",
        "c = C()",
        "c[L]  # @here",
    ),
    "C function given it as a key": ("class C: __getitem__ = heapq.heappop", "c = C()", "c[L]  # @here"),
    "slot wrapper": (
        "class C: __eq__ = L.__iadd__",
        "c = C()",
        "c == [1]  # @here",
    ),
}


def case_of(name: str, *, before_arming: bool) -> Case:
    """Return the case of a hook that is there before the watchpoint is armed, or comes after."""
    definitions, making, line = HOOKS[name]
    body = f"before = len('x')\n{line}\nafter = 1\nafter = len('x')\nreturn after\n"
    if before_arming:
        names = [word.split("=")[0].strip() for word in making.split(";") if word]
        plain = [word for word in names if word.isidentifier()]
        setup = f"{IMPORTS}L = [1, 2, 3]\n{definitions}\n{making}\n"
        body = (f"global {', '.join(plain)}\n" if plain else "") + body
        program = f"def f():\n{textwrap.indent(body, '    ')}f()\n"
    else:
        setup = f"{IMPORTS}L = [1, 2, 3]"
        program = f"{definitions}\ndef f():\n{textwrap.indent(making + chr(10) + body, '    ')}f()\n"
    return Case(
        f"{name}, {'before' if before_arming else 'after'} arming",
        setup,
        "L",
        program + "print(end='')\n",
        [hit("here")],
    )


CASES = [case_of(name, before_arming=early) for name in HOOKS for early in (False, True)]

LATER = [
    Case(
        f"{what}, {how}",
        f"{IMPORTS}L = [3, 1, 2]\nclass C: pass\nclass D(C): pass\nc = {'D' if what == 'of a base' else 'C'}()",
        "L",
        f"def f():\n    before = len('x')\n    {put}\n    {line}  # @here\n    after = 1\n    after = len('x')\nf()\n",
        [hit("here")],
    )
    for what, line, function in (
        ("given it as a key", "c[L]", "heapq.heapify"),
        ("of a base", "c[L]", "heapq.heappop"),
        ("given it as an attribute", "c @ L", "heapq.heapify"),
    )
    for name in ("__matmul__" if "@" in line else "__getitem__",)
    for how, put in (
        ("by assignment", f"C.{name} = {function}"),
        ("by setattr", f"setattr(C, '{name}', {function})"),
        ("by C code", f"list(map(setattr, [C], ['{name}'], [{function}]))"),
        ("by type.__setattr__", f"type.__setattr__(C, '{name}', {function})"),
        ("by exec", f"exec('C.{name} = {function}')"),
    )
]
"""Classes that get an operator once the watchpoint is armed."""

OWN = [
    Case(
        f"its own class's {name}",
        f"class S(list):\n    {entry}\ns = S([1, 2])",
        "s",
        f"def f():\n    before = len('x')\n    {line}  # @here\n    after = 1\n    after = len('x')\nf()\n",
        [hit("here")],
    )
    for name, entry, line in (
        ("operator", "__add__ = list.append", "s + 1"),
        ("property", "last = property(list.pop)", "s.last"),
        ("finaliser's like", "__neg__ = list.clear", "-s"),
    )
]

UNDONE = [
    Case(
        "undone on its line by functions under other names",
        "L = []",
        "L",
        """
        def f():
            f, g = L.append, L.pop
            f(1); g()  # @line
            [f(2), g()]  # @expression
        f()
        """,
        [
            hit("line", "[]", "[1]"),
            hit("line", "[1]", "[]"),
            hit("expression", "[]", "[2]"),
            hit("expression", "[2]", "[]"),
        ],
    ),
    Case(
        "undone on its line by functions made before",
        "L = []\nf, g = L.append, L.pop",
        "L",
        "def h():\n    f(1); g()  # @line\nh()\n",
        [hit("line", "[]", "[1]"), hit("line", "[1]", "[]")],
    ),
    Case(
        "done by an operator and undone behind it",
        "L = []",
        "L",
        """
        def f():
            same = L
            same += [1]; del same[-1]  # @line
        f()
        """,
        [hit("line", "[]", "[1]"), hit("line", "[1]", "[]")],
    ),
    Case(
        "a comparison undoes it on the same line",
        "L = []\nclass C: __eq__ = L.append",
        "L",
        """
        def f():
            c = C()
            c == 1, L.pop()  # @line
        f()
        """,
        [hit("line", "[]", "[1]", by=None), hit("line", "[1]", "[]", by="list.pop")],
    ),
]


@parametrized([*CASES, *LATER, *OWN, *UNDONE])
def test_a_c_function_in_the_way_is_seen(case: Case, mechanism: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line at which it ran is named, once, and for certain."""
    choose(monkeypatch, mechanism)
    gc.collect()  # while the functions of other cases are about, looks come after nearly every instruction
    assert run_case(case, tmp_path) == case.hits


@parametrized(
    [
        Case(
            "bound to something else",
            "L = []; M = []",
            "L",
            "push = M.append\nclass C: __eq__ = M.append\nC() == 1\npush(1)\nL.append(1)  # @here\n",
            [hit("here", by="list.append")],
        ),
        Case(
            "gone again",
            "L = []",
            "L",
            "def f():\n    push = L.append\n    push(1)  # @first\nf()\nfor i in range(3): L.append(i)  # @loop\n",
            [hit("first"), *[hit("loop", by="list.append")] * 3],
        ),
        Case(
            "in a class that is changed later",
            "L = []",
            "L",
            """
            class C: pass
            c = C()
            def f():
                before = 1
                return c == 1  # @here
            f()
            C.__eq__ = L.append
            f()
            del C.__eq__
            f()
            setattr(C, '__eq__', L.append)
            f()
            """,
            [hit("here", "[]", "[1]"), hit("here", "[1]", "[1, 1]")],
        ),
        Case(
            "in its own class later",
            "class S(list): pass\nL = S([1, 2])",
            "L",
            """
            def f():
                before = len('x')
                return L + 1  # @here
            S.__add__ = list.append
            f()
            del S.__add__
            setattr(S, 'last', property(list.pop))
            def g():
                before = len('x')
                return L.last  # @last
            g()
            """,
            [hit("here"), hit("last")],
        ),
        Case(
            "when an exception is forgotten",
            "L = []; import weakref",
            "L",
            """
            class T: pass
            def f():
                t = T()
                refs.append(weakref.ref(t, L.append))
                return t.missing
            refs = []
            def g():
                try:
                    f()
                except AttributeError as error:
                    error.obj = 1
                    before = 1  # @forgotten
                after = len('x')
            g()
            """,
            [hit("forgotten", by=None)],
        ),
        Case(
            "when an exception clears the stack",
            "L = []; import weakref",
            "L",
            """
            class T: pass
            def make():
                t = T()
                refs.append(weakref.ref(t, L.append))
                return t
            refs = []
            def g():
                try:
                    before = 1
                    [make(), 1 / 0]  # @raised
                except ZeroDivisionError:
                    after = 1
                after = len('x')
            g()
            """,
            [hit("raised", by=None)],
        ),
    ]
)
def test_hooks_come_and_go(case: Case, mechanism: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are right with hooks to other data, and once hooks are gone."""
    choose(monkeypatch, mechanism)
    gc.collect()  # while the functions of other cases are about, looks come after nearly every instruction
    assert run_case(case, tmp_path) == case.hits


def test_a_c_function_in_the_way_is_seen_when_there_is_no_time_to_look_for_it(tmp_path) -> None:
    """Arming looks for such functions among all objects, but not at each of a thousand times."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import stopwhen
            heap = [[] for _ in range(200_000)]
            L = []
            for _ in range(1000):
                stopwhen.changes("L", action="count").remove()
            class C: __eq__ = L.append
            hits = []
            stopwhen.changes("L", action=hits.append)
            C() == 1  # @here
            L.append(2)  # @after
            print([(found.location.lineno, found.exact) for found in hits])
            """
        )
    )
    lines = program.read_text().splitlines()
    here, after = (next(number for number, line in enumerate(lines, 1) if mark in line) for mark in ("@here", "@after"))
    assert run_python(str(program)).stdout == f"[({here}, True), ({after}, True)]\n"
