"""The contract, by what is no hit: equal values, other data, own writes; and the pairs that look equal and are not."""

from __future__ import annotations

import pytest

from contract import Case, choose, hit, parametrized, run_case

VALUES = "import collections, decimal\nP = collections.namedtuple('P', 'a')\nnan = float('nan')\ntext = 'ab'\none = 1\n"

EQUAL = [
    ("int", "1", "1"),
    ("computed int", "10**20", "10**19 * 10 * one"),
    ("text", "'abab'", "text * 2"),
    ("bytes", "b'abc'", "bytes([97, 98, 99])"),
    ("float", "1.5", "float('1.5')"),
    ("not a number, another object", "nan", "float('nan')"),
    ("not a number, the same object", "nan", "nan"),
    ("complex", "1j", "complex(0, one)"),
    ("None", "None", "None"),
    ("range", "range(3)", "range(0, one + 2)"),
    ("tuple", "(1, 'abab')", "(one, text * 2)"),
    ("nested tuple", "(1, (2.5,))", "(one, (float('2.5'),))"),
    ("frozenset", "frozenset({1, 'abab'})", "frozenset({one, text * 2})"),
]

DIFFERENT = [
    ("bool for int", "1", "True"),
    ("float for int", "1", "1.0"),
    ("negative zero", "0.0", "-0.0"),
    ("negative zero in a tuple", "(0.0,)", "(-0.0,)"),
    ("bool in a tuple", "(1,)", "(True,)"),
    ("equal list", "[1]", "[1]"),
    ("tuple of equal lists", "([],)", "([],)"),
    ("equal named tuple", "P(1)", "P(1)"),
    ("equal decimal", "decimal.Decimal(1)", "decimal.Decimal(1)"),
    ("equal dict", "{}", "{}"),
    ("not a number of other bits", "nan", "-nan"),
]

PLACES = {
    "global": ("x = {}", "x", "def f():\n    global x\n    x = {}  # @a\nf()\n", True),
    "item": ("d = {{'k': {}}}", "d['k']", "def f():\n    d['k'] = {}  # @a\nf()\n", True),
    "dict content": ("d = {{'k': {}}}", "d", "def f():\n    d['k'] = {}  # @a\nf()\n", True),
    "attribute": ("class C: pass\no = C(); o.v = {}", "o.v", "def f():\n    o.v = {}  # @a\nf()\n", False),
    "object": ("class C: pass\no = C(); o.v = {}", "o", "def f():\n    o.v = {}  # @a\nf()\n", False),
    "list content": ("L = [0, {}]", "L", "def f():\n    L[1] = {}  # @a\nf()\n", False),
    "list item": ("L = [0, {}]", "L[1]", "def f():\n    L[1] = {}  # @a\nf()\n", False),
    "slot": ("class C: __slots__ = 'v'\no = C(); o.v = {}", "o.v", "def f():\n    o.v = {}  # @a\nf()\n", False),
}


def stores(pairs: list[tuple[str, str, str]], *, changes: bool) -> list[Case]:
    """Return a case for each pair in each place."""
    return [
        Case(
            f"{place}: {name}",
            VALUES + setup.format(old),
            expression,
            program.format(new),
            [hit("a")] if changes else [],
            dicts=dicts and "[1]" not in (old, new),
        )
        for place, (setup, expression, program, dicts) in PLACES.items()
        for name, old, new in pairs
    ]


QUIET = [
    Case("other names", "x = 1", "x", "y = 1\ny = 2\ndel y\nglobals()['z'] = 3\n", dicts=True),
    Case(
        "other items and attributes",
        "class C: pass\no = C(); o.v = 1; d = {'a': 1}; L = [1, 2]",
        ["o.v", "d['a']", "L[0]"],
        """
        o.w = 2
        C.v = 5
        d['b'] = 2
        d.pop('b')
        L[1] = 3
        L.append(4)
        del L[1:]
        """,
    ),
    Case(
        "the same object again",
        "L = [1]; d = {'a': L}",
        ["L", "d['a']", "d"],
        """
        M = L
        L = M
        L[0] = L[0]
        d['a'] = d['a']
        d.update(a=L)
        d.update(d)
        L.extend([])
        L.sort()
        L[:] = L
        L += ()
        L.reverse()
        """,
    ),
    Case(
        "functions that change nothing",
        "L = [1]; S = {1}; d = {'a': 1}",
        ["L", "S", "d"],
        """
        def f():
            len(L); L.index(1); L.count(1); L.copy(); sorted(L); list(map(str, L)); S | {2}; S.union([3])
            S.add(1); S.discard(9); S.update([1]); d.get('a'); d.setdefault('a', 5); d.pop('z', None)
            [x for x in L]; sum(L); max(L); print(L, end='', file=open(__import__('os').devnull, 'w'))
        def warned():
            import warnings
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                f()
        warned()
        """,
    ),
    Case(
        "what the expression does not reach any more",
        "class C: pass\no = C(); o.p = C(); o.p.v = 1",
        "o.p.v",
        """
        old = o.p
        o.p = C()  # @replaced
        old.v = 2
        del old.v
        old.v = 3
        """,
        [hit("replaced", "1", "absent")],
    ),
    Case(
        "an equal result of a computation",
        "L = [3, 1]",
        ["sorted(L)", "len(L)", "sum(L)", "[x + 1 for x in sorted(L)]"],
        """
        L.reverse()
        L[:] = [3, 1]
        L[0], L[1] = L
        """,
    ),
    Case(
        "the content of a replaced value",
        "L = [1]",
        "L",
        """
        old = L
        L = []  # @replaced
        old.append(2)
        old = None
        """,
        [hit("replaced", "[1]", "[]")],
    ),
]


@parametrized([*stores(EQUAL, changes=False), *stores(DIFFERENT, changes=True), *QUIET])
def test_only_a_change_is_a_hit(case, mechanism, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """An equal immutable of the same exact type is no change; anything else that is another object is one."""
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits
