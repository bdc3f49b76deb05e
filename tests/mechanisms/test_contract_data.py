"""The contract, by what is watched: names, attributes, items and containers, and the statements that change them."""

from __future__ import annotations

import pytest

from contract import ANY, Case, choose, hit, parametrized, run_case, table

NAMES = table(
    "global",
    "x = 1; import contextlib",
    "x",
    [
        ("x = 2", "2", None),
        ("x = True", "True", None),
        ("x = 1.0", "1.0", None),
        ("x += 4", "5", None),
        ("del x", "absent", None),
        ("x, y = 3, 4", "3", None),
        ("[y, x] = 3, 4", "4", None),
        ("y = x = 3", "3", None),
        ("*_, x = 1, 2, 3", "3", None),
        ("for x in [7]: pass", "7", None),
        ("(x := 5)", "5", None),
        ("with contextlib.nullcontext(4) as x: pass", "4", None),
        ("globals()['x'] = 9", "9", None),
        ("globals().update(x=8)", "8", ANY),
        ("globals().pop('x')", "absent", ANY),
        ("exec('x = 6', globals())", "6", None, "<string>"),
        ("def x(): pass", ANY, None),
        ("class x: pass", ANY, None),
        ("import sys as x", ANY, None),
        ("from sys import maxsize as x", ANY, None),
        ("[(x := i) for i in [3]]", "3", None),
        ("(lambda: globals().__setitem__('x', 3))()", "3", ANY),
        ("__import__(__name__) if False else globals().setdefault('z', 1); x = 4", "4", None),
    ],
    dicts=True,
    declarations="global x",
)

MODULE_LEVEL = [
    Case(
        f"module level: {statement}", "x = 1", "x", f"{statement}  # @a\nafter = 1\n", [hit("a", "1", new)], dicts=True
    )
    for statement, new in [
        ("x = 2", "2"),
        ("x += 4", "5"),
        ("del x", "absent"),
        ("x, y = 3, 4", "3"),
        ("for x in [7]: pass", "7"),
        ("import sys as x", ANY),
        ("(x := 5)", "5"),
        ("x: int = 5", "5"),
    ]
]

ATTRIBUTES = table(
    "attribute",
    "class C:\n  def __init__(self): self.v = 1\no = C()",
    "o.v",
    [
        ("o.v = 2", "2", None),
        ("o.v += 2", "3", None),
        ("del o.v", "absent", None),
        ("o.v, y = 3, 4", "3", None),
        ("for o.v in [7]: pass", "7", None),
        ("setattr(o, 'v', 5)", "5", "builtins.setattr"),
        ("delattr(o, 'v')", "absent", "builtins.delattr"),
        ("object.__setattr__(o, 'v', 5)", "5", "object.__setattr__"),
        ("o.__setattr__('v', 5)", "5", "object.__setattr__"),
        ("vars(o)['v'] = 6", "6", None),
        ("vars(o).update(v=6)", "6", "dict.update"),
        ("o.__dict__ |= {'v': 6}", "6", None),
        ("o.__dict__.clear()", "absent", "dict.clear"),
    ],
)

CLASS_ATTRIBUTES = table(
    "class attribute",
    "class B: v = 1\nclass C(B): pass\no = C()",
    "o.v",
    [
        ("B.v = 2", "2", None),
        ("C.v = 2", "2", None),
        ("o.v = 2", "2", None),
        ("del B.v", "absent", None),
        ("type.__setattr__(B, 'v', 3)", "3", "type.__setattr__"),
        ("setattr(C, 'v', 3)", "3", "builtins.setattr"),
        ("B.v += 1", "2", None),
    ],
)

SLOTS = table(
    "slot",
    "class C: __slots__ = ('v',)\no = C(); o.v = 1",
    "o.v",
    [
        ("o.v = 2", "2", None),
        ("o.v += 2", "3", None),
        ("del o.v", "absent", None),
        ("setattr(o, 'v', 5)", "5", "builtins.setattr"),
        ("C.v.__set__(o, 5)", "5", ANY),
    ],
)

DICT_ITEMS = [
    *table(
        "dict item",
        "d = {'a': 1, 'b': 2}",
        "d['a']",
        [
            ("d['a'] = 2", "2", None),
            ("d['a'] += 2", "3", None),
            ("del d['a']", "absent", None),
            ("d.update(a=5)", "5", "dict.update"),
            ("d.update({'a': 5})", "5", "dict.update"),
            ("d.update([('a', 5)])", "5", "dict.update"),
            ("d.pop('a')", "absent", "dict.pop"),
            ("d.pop('b'); d.popitem()", "absent", "dict.popitem"),
            ("d.clear()", "absent", "dict.clear"),
            ("d.__setitem__('a', 3)", "3", "dict.__setitem__"),
            ("d.__delitem__('a')", "absent", "dict.__delitem__"),
            ("globals()['d'] |= {'a': 4}", "4", None),
            ("globals().update(d={'a': 7})", "7", ANY),
            ("d.__ior__({'a': 4})", "4", "dict.__ior__"),
            ("d.__init__(a=4)", "4", "dict.__init__"),
            ("(d['a'], d['b']) = 8, 9", "8", None),
            ("for d['a'] in [7]: pass", "7", None),
        ],
        dicts=True,
    ),
    *table(
        "item of an empty dict",
        "d = {}; e = {'b': 1, 'a': 2}",
        "d['a']",
        [
            ("d.update(a=3)", "3", "dict.update"),
            ("d.update(e)", "2", "dict.update"),
            ("d |= e", "2", None),
            ("d.update(e.items())", "2", "dict.update"),
        ],
        dicts=True,
        declarations="global d",
    ),
    *table(
        "absent dict item",
        "d = {'b': 1}",
        "d['a']",
        [
            ("d['a'] = 2", "2", None),
            ("d.setdefault('a', 3)", "3", "dict.setdefault"),
            ("d.update(a=3)", "3", "dict.update"),
        ],
        dicts=True,
    ),
    *table(
        "int key",
        "d = {1: 'one'}",
        "d[1]",
        [
            ("d[1] = 2", "2", None),
            ("d[True] = 2", "2", None),
            ("d[1.0] = 2", "2", None),
            ("del d[1.0]", "absent", None),
        ],
        dicts=True,
    ),
    *table(
        "int key stored as another type",
        "d = {True: 'one', 'a': 0, 2: 2}",
        "d[1]",
        [
            ("d[1] = 2", "2", None),
            ("d[True] = 2", "2", None),
            ("d[1.0] = 2", "2", None),
            ("del d[1.0]", "absent", None),
        ],
        dicts=True,
    ),
    *table(
        "tuple key stored as another type",
        "d = {(True, 'a'): 1, 'a': 0}",
        "d[1, 'a']",
        [("d[1, 'a'] = 2", "2", None), ("d[(True, 'a')] = 2", "2", None), ("d.pop((1.0, 'a'))", "absent", "dict.pop")],
        dicts=True,
    ),
    *table(
        "key beside keys with code of their own",
        "class K:\n  def __eq__(self, other): raise SystemError\n  def __hash__(self): return hash('k')\nk = K()\n"
        "class S(str): pass\nd = {k: 1, (1, k): 2, 'a': 0}",
        "d['a']",
        [
            ("d['a'] = 2", "2", None),
            ("d[S('a')] = 3", "3", None),
            ("d[k] = 3; d['a'] = 4", "4", None),
        ],
        dicts=True,
    ),
    *table(
        "tuple key beside keys with code of their own",
        "class K:\n  def __eq__(self, other): raise SystemError\n  def __hash__(self): return hash(1)\nk = K()\n"
        "d = {(k, 'a'): 2, (1, 'b'): 0}",
        "d[1, 'b']",
        [("d[1, 'b'] = 2", "2", None), ("d.clear()", "absent", "dict.clear")],
        dicts=True,
    ),
    *table(
        "dict item by another name",
        "d = {'a': 1}",
        "d['a']",
        [
            ("other |= {'a': 4}", "4", None),
            ("other.update(a=4)", "4", "dict.update"),
            ("other['a'] = 4", "4", None),
            ("del other['a']", "absent", None),
            ("other.clear()", "absent", "dict.clear"),
        ],
        dicts=True,
        declarations="other = d",
    ),
    *table(
        "tuple key",
        "d = {(1, 'a'): 1}",
        "d[1, 'a']",
        [("d[1, 'a'] = 2", "2", None), ("d[(True, 'a')] = 2", "2", None), ("d.pop((1, 'a'))", "absent", "dict.pop")],
        dicts=True,
    ),
]

DICTS = table(
    "dict",
    "d = {'a': 1, 'b': 2}",
    "d",
    [
        ("d['c'] = 3", "{'a': 1, 'b': 2, 'c': 3}", None),
        ("d['a'] = 3", "{'a': 3, 'b': 2}", None),
        ("del d['a']", "{'b': 2}", None),
        ("d.pop('a')", "{'b': 2}", "dict.pop"),
        ("d.popitem()", "{'a': 1}", "dict.popitem"),
        ("d.clear()", "{}", "dict.clear"),
        ("d.update(b=3)", "{'a': 1, 'b': 3}", "dict.update"),
        ("d.setdefault('z', 0)", "{'a': 1, 'b': 2, 'z': 0}", "dict.setdefault"),
        ("d |= {'b': 3}", "{'a': 1, 'b': 3}", None),
        ("d = {'x': 1}", "{'x': 1}", None),
        ("d[1, 2] = 3", "{'a': 1, 'b': 2, (1, 2): 3}", None),
    ],
    dicts=True,
    declarations="global d",
)

VIEWS = [
    Case(
        f"a view of a dict: {text}",
        f"d = {{'a': 1, 'b': 2}}; v = {text}",
        ["v", text],
        "d['a'] = 5  # @value\nd['c'] = 3  # @added\ndel d['b']  # @gone\nd['a'] = 5\nd.clear()  # @cleared\n",
        [
            hit(mark, expression=expression)
            for mark in ("value", "added", "gone", "cleared")
            if mark != "value" or text != "d.keys()"
            for expression in ("v", text)
        ],
        dicts=True,
    )
    for text in ("d.keys()", "d.values()", "d.items()")
]

EMPTY_DICTS = table(
    "empty dict",
    "d = {}; e = {(1, 2): 2}",
    "d",
    [
        ("d.update(e)", "{(1, 2): 2}", "dict.update"),
        ("d.update(a=1)", "{'a': 1}", "dict.update"),
        ("d |= e", "{(1, 2): 2}", None),
    ],
    dicts=True,
    declarations="global d",
)

LISTS = table(
    "list",
    "L = [3, 1, 2]; import heapq, bisect, operator",
    "L",
    [
        ("L.append(4)", "[3, 1, 2, 4]", "list.append"),
        ("L.extend((4, 5))", "[3, 1, 2, 4, 5]", "list.extend"),
        ("L.extend(i for i in [4])", "[3, 1, 2, 4]", "list.extend"),
        ("L.insert(0, 9)", "[9, 3, 1, 2]", "list.insert"),
        ("L.pop()", "[3, 1]", "list.pop"),
        ("L.pop(0)", "[1, 2]", "list.pop"),
        ("L.remove(1)", "[3, 2]", "list.remove"),
        ("L.clear()", "[]", "list.clear"),
        ("L.sort()", "[1, 2, 3]", "list.sort"),
        ("L.reverse()", "[2, 1, 3]", "list.reverse"),
        ("L[0] = 9", "[9, 1, 2]", None),
        ("L[-1] = 9", "[3, 1, 9]", None),
        ("L[0] += 1", "[4, 1, 2]", None),
        ("del L[0]", "[1, 2]", None),
        ("L[1:] = [7, 8, 9]", "[3, 7, 8, 9]", None),
        ("del L[:2]", "[2]", None),
        ("L[::2] = 5, 6", "[5, 1, 6]", None),
        ("L += [4]", "[3, 1, 2, 4]", None),
        ("L *= 2", "[3, 1, 2, 3, 1, 2]", None),
        ("L = [1]", "[1]", None),
        ("L = L + [1]", "[3, 1, 2, 1]", None),
        ("L.__init__()", "[]", "list.__init__"),
        ("L.__iadd__([4])", "[3, 1, 2, 4]", "list.__iadd__"),
        ("L.__setitem__(0, 4)", "[4, 1, 2]", "list.__setitem__"),
        ("list.append(L, 4)", "[3, 1, 2, 4]", "list.append"),
        ("heapq.heapify(L)", "[1, 3, 2]", "heapq.heapify"),
        ("heapq.heappush(L, 0)", "[0, 3, 2, 1]", "heapq.heappush"),
        ("heapq.heapreplace(L, 9)", ANY, "heapq.heapreplace"),
        ("bisect.insort(L, 9)", "[3, 1, 2, 9]", "bisect.insort_right"),
        ("operator.iadd(L, [4])", "[3, 1, 2, 4]", "operator.iadd"),
        ("operator.setitem(L, 0, 4)", "[4, 1, 2]", "operator.setitem"),
        ("for L[0] in [9]: pass", "[9, 1, 2]", None),
        ("list(map(L.append, [4]))", "[3, 1, 2, 4]", ANY),
        ("[L.append(i) for i in [4]]", "[3, 1, 2, 4]", "list.append"),
        ("{L.append(i) for i in [4]}", "[3, 1, 2, 4]", "list.append"),
        ("any(L.append(i) for i in [4])", "[3, 1, 2, 4]", "list.append"),
        ("sorted([4], key=lambda k: L.append(k) or k)", "[3, 1, 2, 4]", "list.append"),
        ("max([4], key=L.append)", "[3, 1, 2, 4]", "builtins.max"),
        ("print(L.append(4), end='', file=__import__('io').StringIO())", "[3, 1, 2, 4]", ANY),
        ("while len(L) < 4: L.append(4)", "[3, 1, 2, 4]", "list.append"),
        ("L.append(4) if L else None", "[3, 1, 2, 4]", "list.append"),
        ("x = [0, L.append(4), 0][1]", "[3, 1, 2, 4]", "list.append"),
        ("x = 1 + len([L.append(4)])", "[3, 1, 2, 4]", "list.append"),
        ("assert L.append(4) is None", "[3, 1, 2, 4]", "list.append"),
        ("x = f'{L.append(4)}'", "[3, 1, 2, 4]", "list.append"),
        ("x = L.pop() if L.pop is None else L.append(4)", "[3, 1, 2, 4]", "list.append"),
        ("(lambda: L.append(4))()", "[3, 1, 2, 4]", "list.append"),
        ("exec('L.append(4)')", "[3, 1, 2, 4]", ANY, "<string>"),
        ("eval('L.append(4)')", "[3, 1, 2, 4]", ANY, "<string>"),
    ],
    declarations="global L",
)

LIST_ITEMS = table(
    "list item",
    "L = [3, 1, 2]",
    "L[0]",
    [
        ("L[0] = 9", "9", None),
        ("L.insert(0, 9)", "9", "list.insert"),
        ("L.sort()", "1", "list.sort"),
        ("del L[:]", "absent", None),
        ("L.pop(0)", "1", "list.pop"),
        ("L = [5]", "5", None),
    ],
    declarations="global L",
)

SETS = table(
    "set",
    "S = {1}",
    "S",
    [
        ("S.add(2)", "{1, 2}", "set.add"),
        ("S.discard(1)", "set()", "set.discard"),
        ("S.remove(1)", "set()", "set.remove"),
        ("S.pop()", "set()", "set.pop"),
        ("S.clear()", "set()", "set.clear"),
        ("S.update([2])", "{1, 2}", "set.update"),
        ("S.difference_update([1])", "set()", "set.difference_update"),
        ("S.intersection_update([2])", "set()", "set.intersection_update"),
        ("S.symmetric_difference_update([1])", "set()", "set.symmetric_difference_update"),
        ("S |= {2}", "{1, 2}", None),
        ("S &= set()", "set()", None),
        ("S -= {1}", "set()", None),
        ("S ^= {1}", "set()", None),
        ("S = {3}", "{3}", None),
        ("S.__ior__({2})", "{1, 2}", "set.__ior__"),
    ],
    declarations="global S",
)

OTHERS = [
    *table(
        "set by another name",
        "S = {1}",
        "S",
        [
            ("other |= {2}", "{1, 2}", None),
            ("other -= {1}", "set()", None),
            ("other &= set()", "set()", None),
            ("other ^= {1}", "set()", None),
            ("other.clear()", "set()", "set.clear"),
        ],
        declarations="other = S",
    ),
    *table(
        "list by another name",
        "L = [1, 2]",
        "L",
        [
            ("other += [3]", "[1, 2, 3]", None),
            ("other *= 2", "[1, 2, 1, 2]", None),
            ("other[0] = 3", "[3, 2]", None),
            ("del other[0]", "[2]", None),
            ("other[:] = [5]", "[5]", None),
            ("other[0] += 4", "[5, 2]", None),
            ("other.clear()", "[]", "list.clear"),
            ("a, *other[:] = 1, 2, 3", "[2, 3]", None),
        ],
        declarations="other = L",
    ),
    *table(
        "attribute by another name",
        "class C: pass\no = C(); o.v = 1",
        "o.v",
        [
            ("other.v = 2", "2", None),
            ("other.v += 2", "3", None),
            ("del other.v", "absent", None),
            ("setattr(other, 'v', 5)", "5", "builtins.setattr"),
            ("space = vars(other); space |= {'v': 6}", "6", None),
        ],
        declarations="other = o",
    ),
    *table(
        "bytearray",
        "b = bytearray(b'abc')",
        "b",
        [
            ("b[0] = 120", "bytearray(b'xbc')", None),
            ("b += b'd'", "bytearray(b'abcd')", None),
            ("b.append(100)", "bytearray(b'abcd')", "bytearray.append"),
            ("b[1:] = b''", "bytearray(b'a')", None),
            ("b *= 2", "bytearray(b'abcabc')", None),
            ("b.clear()", "bytearray(b'')", "bytearray.clear"),
            ("memoryview(b)[0] = 120", "bytearray(b'xbc')", None),
            ("__import__('io').BytesIO(b'xyz').readinto(b)", "bytearray(b'xyz')", ANY),
            ("__import__('struct').pack_into('b', b, 0, 120)", "bytearray(b'xbc')", ANY),
        ],
        declarations="global b",
    ),
    *table(
        "deque",
        "import collections; q = collections.deque([1, 2])",
        "q",
        [
            ("q.append(3)", "deque([1, 2, 3])", "deque.append"),
            ("q.appendleft(3)", "deque([3, 1, 2])", "deque.appendleft"),
            ("q.pop()", "deque([1])", "deque.pop"),
            ("q.popleft()", "deque([2])", "deque.popleft"),
            ("q.rotate()", "deque([2, 1])", "deque.rotate"),
            ("q[0] = 5", "deque([5, 2])", None),
            ("del q[0]", "deque([2])", None),
            ("q += [3]", "deque([1, 2, 3])", None),
            ("q.reverse()", "deque([2, 1])", "deque.reverse"),
            ("q.clear()", "deque([])", "deque.clear"),
        ],
        declarations="global q",
    ),
    *table(
        "array",
        "import array; a = array.array('i', [1, 2])",
        "a",
        [
            ("a.append(3)", "array('i', [1, 2, 3])", "array.append"),
            ("a[0] = 9", "array('i', [9, 2])", None),
            ("a.extend([3])", "array('i', [1, 2, 3])", "array.extend"),
            ("a.pop()", "array('i', [1])", "array.pop"),
            ("a += a", "array('i', [1, 2, 1, 2])", None),
            ("a.byteswap()", "array('i', [16777216, 33554432])", "array.byteswap"),
            ("memoryview(a)[1] = 7", "array('i', [1, 7])", None),
        ],
        declarations="global a",
    ),
    *table(
        "object",
        "class C: pass\no = C(); o.v = 1",
        "o",
        [
            ("o.v = 2", ANY, None),
            ("o.w = 2", ANY, None),
            ("del o.v", ANY, None),
            ("o.__dict__.clear()", ANY, "dict.clear"),
            ("setattr(o, 'w', 1)", ANY, "builtins.setattr"),
        ],
    ),
    *table(
        "list subclass",
        "class M(list): pass\nm = M([1]); m.note = 'n'",
        "m",
        [("m.append(2)", ANY, "list.append"), ("m.note = 'o'", ANY, None)],
    ),
    *table(
        "ordered dict",
        "import collections; o = collections.OrderedDict(a=1, b=2)",
        "o",
        [
            ("o.move_to_end('a')", "OrderedDict({'b': 2, 'a': 1})", "OrderedDict.move_to_end"),
            ("o['a'] = 3", "OrderedDict({'a': 3, 'b': 2})", None),
            ("o.popitem(last=False)", "OrderedDict({'b': 2})", "OrderedDict.popitem"),
        ],
    ),
    *table(
        "default dict",
        "import collections; d = collections.defaultdict(list)",
        "d",
        [
            ("d['b'] = 1", "defaultdict({'b': 1})", None),
            ("d.setdefault('a', 1)", "defaultdict({'a': 1})", "dict.setdefault"),
            ("y = d['b']", "defaultdict({'b': []})", ANY),
            ("y = '%(b)s' % d", "defaultdict({'b': []})", ANY),
            ("y = '{b}'.format_map(d)", "defaultdict({'b': []})", ANY),
            ("d['b'].append(1)", "defaultdict({'b': []})", ANY),
        ],
        dicts=True,
    ),
    *table(
        "item of a default dict",
        "import collections; d = collections.defaultdict(int)",
        "d.get('b')",
        [("y = d['b']", "0", ANY), ("y = '%(b)s' % d", "0", ANY)],
        dicts=True,
    ),
]

COMPUTED = [
    *table(
        "computed",
        "L = [3, 1, 2]; d = {'a': L}; n = 1",
        "len(d['a']) + n",
        [
            ("L.append(4)", "5", "list.append"),
            ("n = 5", "8", None),
            ("d['a'] = []", "1", None),
            ("del d['a']", "absent", None),
            ("L += [4]", "5", None),
        ],
        declarations="global L, n",
    ),
    *table(
        "environment",
        "import os; os.environ.pop('STOPWHEN_TEST_NAME', None)",
        "os.environ['STOPWHEN_TEST_NAME']",
        [("os.environ['STOPWHEN_TEST_NAME'] = 'x'; os.environ.pop", "'x'", None, "os.py")],
    ),
]

LINKS = [
    Case(
        "a slot's descriptor undoes on one line what it has done",
        "class C: __slots__ = ('v',)\no = C(); o.v = 1",
        "o.v",
        "C.v.__set__(o, 6); C.v.__set__(o, 1)  # @a\nafter = 1\nC.v.__delete__(o); C.v.__set__(o, 1)  # @b\n",
        [hit("a", "1", "6"), hit("a", "6", "1"), hit("b", "1", "absent"), hit("b", "absent", "1")],
    ),
    Case(
        "each link of a path is watched",
        """
        class N: pass
        cfg = N(); cfg.db = N(); cfg.db.pool = [N()]; cfg.db.pool[0].size = 1
        def make(size):
            n = N(); n.size = size
            return n
        def make_db(size):
            n = N(); n.pool = [make(size)]
            return n
        def make_cfg(size):
            n = N(); n.db = make_db(size)
            return n
        """,
        "cfg.db.pool[0].size",
        """
        old = cfg.db.pool[0]
        cfg.db.pool[0].size = 2  # @size
        cfg.db.pool[0] = make(3)  # @item
        old.size = 99
        pool = cfg.db.pool
        cfg.db.pool = [make(4)]  # @pool
        pool[0] = make(98); pool.clear()
        db = cfg.db
        cfg.db = make_db(5)  # @db
        db.pool = []
        former = cfg
        cfg = make_cfg(6)  # @cfg
        former.db = None
        cfg.db.pool.insert(0, make(7))  # @inserted
        cfg.db.pool.clear()  # @cleared
        cfg.db.pool.append(make(8))  # @appended
        cfg.db.pool[0].size += 1  # @augmented
        del cfg  # @deleted
        cfg = make_cfg(1)  # @back
        cfg.db.pool[0].size = 2  # @again
        """,
        [
            hit("size", "1", "2", None),
            hit("item", "2", "3", None),
            hit("pool", "3", "4", None),
            hit("db", "4", "5", None),
            hit("cfg", "5", "6", None),
            hit("inserted", "6", "7", "list.insert"),
            hit("cleared", "7", "absent", "list.clear"),
            hit("appended", "absent", "8", "list.append"),
            hit("augmented", "8", "9", None),
            hit("deleted", "9", "absent", None),
            hit("back", "absent", "1", None),
            hit("again", "1", "2", None),
        ],
    ),
    Case(
        "a link replaced by one with an equal end is no hit",
        "class N: pass\na = N(); a.b = N(); a.b.v = 1\nc = N(); c.v = 1",
        "a.b.v",
        """
        a.b = c
        c.v = 2  # @end
        """,
        [hit("end", "1", "2")],
    ),
    Case(
        "links of dicts",
        "d = {'a': {'b': {1: 'x'}}}",
        "d['a']['b'][1]",
        """
        inner = d['a']['b']
        d['a']['b'] = {1: 'y'}  # @inner
        inner[1] = 'z'
        d['a'] = {}  # @outer
        d['a']['b'] = {1.0: 'w'}  # @back
        d = None  # @root
        """,
        [
            hit("inner", "'x'", "'y'"),
            hit("outer", "'y'", "absent"),
            hit("back", "absent", "'w'"),
            hit("root", "'w'", "absent"),
        ],
        dicts=True,
    ),
    Case(
        "two watchpoints on one piece of data",
        "L = [1]",
        ["L", "len(L)"],
        """
        L.append(2)  # @append
        L[0] = 5  # @item
        """,
        [
            hit("append", expression="L"),
            hit("append", "1", "2", expression="len(L)"),
            hit("item", "[1, 2]", "[5, 2]", expression="L"),
        ],
    ),
    Case(
        "an alias writes",
        "L = [1]; M = L",
        "L",
        """
        M.append(2)  # @alias
        M = []
        M.append(3)
        """,
        [hit("alias", "[1]", "[1, 2]", "list.append")],
    ),
    Case(
        "absent to present and back",
        "",
        "x",
        """
        x = 1  # @bound
        del x  # @unbound
        x = 1  # @again
        """,
        [hit("bound", "absent", "1"), hit("unbound", "1", "absent"), hit("again", "absent", "1")],
        dicts=True,
    ),
    Case(
        "depth 0 sees rebinding only",
        "L = [1]",
        "L",
        """
        L.append(2)
        L = L
        L = [3]  # @rebound
        """,
        [hit("rebound", new="[3]")],
        dicts=True,
        options={"depth": 0},
    ),
    Case(
        "depth 1 does not see inside items",
        "L = [[1]]",
        "L",
        """
        L[0].append(2)
        L.append(3)  # @own
        """,
        [hit("own", new="[[1, 2], 3]")],
    ),
    Case(
        "depth 2 sees inside items, new ones too",
        "L = [[1], [[]]]",
        "L",
        """
        L[0].append(2)  # @item
        L.append([])  # @own
        L[2].append(3)  # @new
        L[1][0].append(4)
        gone = L.pop(0)  # @gone
        gone.append(5)
        """,
        [
            hit("item", "[[1], [[]]]", "[[1, 2], [[]]]"),
            hit("own"),
            hit("new", "[[1, 2], [[]], []]", "[[1, 2], [[]], [3]]"),
            hit("gone", by="list.pop"),
        ],
        options={"depth": 2},
    ),
    Case(
        "depth all sees whatever is reached, cycles included",
        "d = {'a': [{}]}; d['self'] = d",
        "d",
        """
        d['a'][0]['k'] = 1  # @deep
        d['a'][0]['s'] = {2}  # @set
        d['a'][0]['s'].add(3)  # @inset
        """,
        [hit("deep"), hit("set"), hit("inset", by="set.add")],
        options={"depth": "all"},
    ),
]

CASES = [
    *VIEWS,
    *NAMES, *MODULE_LEVEL, *ATTRIBUTES, *CLASS_ATTRIBUTES, *SLOTS, *DICT_ITEMS, *DICTS, *EMPTY_DICTS, *LISTS, *LIST_ITEMS, *SETS,
    *OTHERS, *COMPUTED, *LINKS,
]  # fmt: skip


@parametrized(CASES)
def test_a_change_is_hit_where_it_was_made(case, mechanism, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Whatever statement changes the data, there is one hit, on its line, with the state right after it."""
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits
