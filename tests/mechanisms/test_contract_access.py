"""The contract, by access type: every store is a hit of `writes`, the same value too; every read is one of `reads`."""

from __future__ import annotations

import textwrap

import pytest

from contract import Case, Module, choose, described, hit, parametrized, run_case
from recorder import Recorder


def counted(trigger: str, kind: str, setup: str, expression: str, statements: dict[str, int], **more) -> list[Case]:
    """Return a case for each statement, which is so many hits, all on its line; `globals` are declared so before it."""
    declared = more.pop("globals", "")
    declaration = f"    global {declared}\n" if declared else ""
    return [
        Case(
            f"{trigger} of {kind}: {statement}",
            setup,
            expression,
            f"def f():\n{declaration}    before = 1\n    {statement}  # @a\n    after = 1\n    return after\nf()\n",
            [hit("a")] * count,
            trigger=trigger,
            **more,
        )
        for statement, count in statements.items()
    ]


NAMES = [
    *counted(
        *("writes", "global", "x = y = 5; import sys", "x"),
        {
            "x = x": 1,
            "x = 5": 1,
            "x = y": 1,
            "x = 5; x = 5": 2,
            "y = x = 5": 1,
            "x, y = 5, 5": 1,
            "*y, x = 5, 5": 1,
            "for x in (5, 5): pass": 2,
            "for x in (): pass": 0,
            "(x := 5)": 1,
            "x += 0": 1,
            "x |= 5": 1,
            "x = 6; x = 5": 2,
            "x = 10 ** 9 + y; x = 10 ** 9 + y": 2,
            "globals()['x'] = 5": 1,
            "globals()['y'] = 5": 0,
            "globals().__setitem__('x', 5)": 1,
            "globals().update(x=5)": 1,
            "globals().update({'x': 5})": 1,
            "globals().update([('x', 5)])": 1,
            "globals().update(y=5)": 0,
            "globals().update({})": 0,
            "globals().setdefault('x', 5)": 0,
            "setattr(sys.modules[__name__], 'x', 5) if __name__ in sys.modules else globals().update(x=5)": 1,
            "y = x": 0,
            "y = 5": 0,
            "del x": 1,
            "del x; x = 5": 2,
            "print(end=str(x)[1:])": 0,
        },
        globals="x, y",
        dicts=True,
    ),
    *counted(
        *("reads", "global", "x = 5; L = []; import operator, builtins", "x"),
        {
            "x": 1,
            "y = x": 1,
            "y = x + x": 2,
            "x += 1": 1,
            "x = 6": 0,
            "y = [x for _ in (1, 2)]": 2,
            "y = f'{x} {x!r}'": 2,
            "y = (lambda: x)()": 1,
            "y = (lambda: 1)() or x": 0,
            "L.append(x)": 1,
            "y = globals()['x']": 1,
            "y = globals().get('x')": 1,
            "y = globals().get('y')": 0,
            "y = 'x' in globals()": 0,
            "y = operator.itemgetter('x')(globals())": 1,
            "del x": 0,
            "y = L": 0,
            "y = builtins.len(L)": 0,
            "y = x.real": 1,
        },
        globals="x",
        dicts=True,
    ),
]

ITEMS = [
    *counted(
        *("writes", "item of a dict", "d = {'k': 1, 2: 1}; e = {'k': 1}; import operator; r = range", "d['k']"),
        {
            "d['k'] = d['k']": 1,
            "d['k'] = 1": 1,
            "d['k'] = 2; d['k'] = 2": 2,
            "d['j'] = 1": 0,
            "d[2] = 1": 0,
            "e['k'] = 1": 0,
            "''.join(['k']); d[''.join(['k'])] = 1": 1,
            "d['k'] += 0": 1,
            "d.__setitem__('k', 1)": 1,
            "dict.__setitem__(d, 'k', 1)": 1,
            "dict.__setitem__(e, 'k', 1)": 0,
            "operator.setitem(d, 'k', 1)": 1,
            "operator.setitem(*(d, 'k', 1))": 1,
            "store = d.__setitem__; store('k', 1)": 1,
            "store = operator.setitem; store(d, 'k', 1)": 1,
            "d.update(k=1)": 1,
            "d.update(k=2)": 1,
            "d.update({'k': 1}, j=2)": 1,
            "d.update(e)": 1,
            "d.update(**e)": 1,
            "d.update([['k', 1]])": 1,
            "d.update(j=1)": 0,
            "dict.update(d, k=1)": 1,
            "update = d.update; update(k=1)": 1,
            "d.setdefault('k', 1)": 0,
            "d.pop('k')": 1,
            "d.pop('j', 1)": 0,
            "d.get('k')": 0,
            "del d['k']": 1,
            "[d.update(k=i) for i in (1, 1)]": 2,
            "for d['k'] in (1, 1): pass": 2,
            "d['k'], d['j'] = 1, 1": 1,
        },
        dicts=True,
    ),
    *counted(
        *(
            "reads",
            "item of a dict",
            "d = {'k': 1, 2: 1}; e = {'k': 1}; import operator; o = type('O', (), {})()",
            "d['k']",
        ),
        {
            "d['k']": 1,
            "y = d['k'] + d['k']": 2,
            "d['k'] += 1": 1,
            "d['k'] = 1": 0,
            "d[2]": 0,
            "e['k']": 0,
            "d.get('k')": 1,
            "d.get('k', 5)": 1,
            "d.get('j')": 0,
            "dict.get(d, 'k')": 1,
            "d.get(*('k',))": 1,
            "d.setdefault('k', 5)": 1,
            "d.setdefault('j', 5)": 0,
            "d.pop('k')": 1,
            "d.__getitem__('k')": 1,
            "dict.__getitem__(d, 'k')": 1,
            "operator.getitem(d, 'k')": 1,
            "operator.itemgetter('k')(d)": 1,
            "operator.itemgetter(2, 'k')(d)": 1,
            "operator.itemgetter(2)(d)": 0,
            "get = d.get; get('k')": 1,
            "y = d": 0,
            "'k' in d": 0,
            "len(d)": 0,
            "o.d = d; o.d['k']": 1,
        },
        dicts=True,
    ),
    *counted(
        *("writes", "item of a list", "L = [1, 2, 3]; M = [1, 2]; import operator", "L[1]"),
        {
            "L[1] = L[1]": 1,
            "L[-2] = 2": 1,
            "L[True] = 2": 1,
            "L[0] = 1": 0,
            "M[1] = 2": 0,
            "L[0:2] = [1, 2]": 1,
            "L[:] = [1, 2, 3]": 1,
            "L[2:] = [3]": 0,
            "L[1::2] = [2]": 1,
            "L[::2] = [1, 3]": 0,
            "L[::-1] = [3, 2, 1]": 1,
            "L[1] += 0": 1,
            "L.__setitem__(1, 2)": 1,
            "list.__setitem__(L, 1, 2)": 1,
            "operator.setitem(L, 1, 2)": 1,
            "L.sort()": 1,
            "L.append(4)": 0,
            "L[1], L[0] = 2, 1": 1,
        },
    ),
    *counted(
        *("reads", "item of a list", "L = [1, 2, 3]; M = [1, 2]; import operator", "L[1]"),
        {
            "L[1]": 1,
            "L[-2]": 1,
            "L[0]": 0,
            "M[1]": 0,
            "L[0:2]": 1,
            "L[2:]": 0,
            "L[::2]": 0,
            "L[1] += 1": 1,
            "L.__getitem__(1)": 1,
            "operator.itemgetter(1)(L)": 1,
            "L.pop(1)": 1,
            "L.pop()": 0,
            "y = L": 0,
        },
    ),
]
ITEMS += counted(
    "writes", "item of a dict, in place", "d = {'k': 1}; e = {'k': 1}", "d['k']", {"d |= e": 1, "d |= {'j': 1}": 0},
    globals="d", dicts=True,
)  # fmt: skip

THINGS = """
import operator
class Thing:
    kind = 0
    other = 0
    def __init__(self):
        self.attr = 1
    @property
    def prop(self):
        return 1
    @prop.setter
    def prop(self, value):
        pass
    @classmethod
    def make(cls):
        return cls.kind
class Sub(Thing):
    def own(self):
        return super().kind
class Careful:
    def __init__(self):
        self.attr = 1
    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
    @property
    def view(self):
        return self.attr
class Slotted:
    __slots__ = ("attr", "other")
    def __init__(self):
        self.attr = self.other = 1
o, p, s, c, q = Thing(), Thing(), Sub(), Careful(), Slotted()
"""

ATTRIBUTES = [
    *counted(
        *("writes", "attribute", THINGS, "o.attr"),
        {
            "o.attr = o.attr": 1,
            "o.attr = 1": 1,
            "o.attr = 2; o.attr = 2": 2,
            "o.other = 1": 0,
            "p.attr = 1": 0,
            "o.prop = 1": 0,
            "o.attr += 0": 1,
            "o.attr, p.attr = 1, 1": 1,
            "for o.attr in (1, 1): pass": 2,
            "setattr(o, 'attr', 1)": 1,
            "setattr(p, 'attr', 1)": 0,
            "setattr(o, 'other', 1)": 0,
            "setattr(*(o, 'attr', 1))": 1,
            "put = setattr; put(o, 'attr', 1)": 1,
            "o.__setattr__('attr', 1)": 1,
            "object.__setattr__(o, 'attr', 1)": 1,
            "o.__dict__['attr'] = 1": 1,
            "vars(o)['attr'] = 1": 1,
            "vars(o).update(attr=1)": 1,
            "o.__dict__ |= {'attr': 1}": 1,
            "o.__dict__ |= {'other': 1}": 0,
            "del o.attr": 1,
            "getattr(o, 'attr')": 0,
        },
        dicts=True,
    ),
    *counted(
        *("reads", "attribute", THINGS, "o.attr"),
        {
            "o.attr": 1,
            "y = o.attr + o.attr": 2,
            "o.attr += 1": 1,
            "o.attr = 1": 0,
            "p.attr": 0,
            "o.other": 0,
            "getattr(o, 'attr')": 1,
            "getattr(o, 'attr', 5)": 1,
            "getattr(o, 'missing', 5)": 0,
            "getattr(p, 'attr')": 0,
            "get = getattr; get(o, 'attr')": 1,
            "o.__getattribute__('attr')": 1,
            "operator.attrgetter('attr')(o)": 1,
            "operator.attrgetter('attr')(p)": 0,
            "vars(o)['attr']": 1,
            "o.__dict__.get('attr')": 1,
            "o.attr.real": 1,
        },
        dicts=True,
    ),
    *counted(
        *("writes", "class attribute", THINGS, "Thing.kind"),
        {
            "Thing.kind = Thing.kind": 1,
            "Thing.kind = 0": 1,
            "Thing.other = 0": 0,
            "o.kind = 0": 0,
            "Sub.kind = 0": 0,
            "setattr(Thing, 'kind', 0)": 1,
            "type.__setattr__(Thing, 'kind', 0)": 1,
            "Thing.kind += 0": 1,
        },
        dicts=True,
    ),
    *counted(
        *("reads", "class attribute", THINGS, "Thing.kind"),
        {
            "Thing.kind": 1,
            "o.kind": 1,
            "s.kind": 1,
            "Sub.kind": 1,
            "Thing.other": 0,
            "o.kind = 5; o.kind": 0,
            "getattr(s, 'kind')": 1,
        },
        dicts=True,
    ),
    *counted(
        *("writes", "slot", THINGS, "q.attr"),
        {
            "q.attr = q.attr": 1,
            "q.attr = 1": 1,
            "q.other = 1": 0,
            "setattr(q, 'attr', 1)": 1,
            "object.__setattr__(q, 'attr', 1)": 1,
            "Slotted.attr.__set__(q, 1)": 1,
            "Slotted().attr = 1": 0,
            "q.attr += 0": 1,
        },
    ),
    *counted(
        *("reads", "slot", THINGS, "q.attr"),
        {
            "q.attr": 1,
            "q.other": 0,
            "getattr(q, 'attr')": 1,
            "Slotted.attr.__get__(q)": 1,
            "Slotted().attr": 0,
            "q.attr += 1": 1,
        },
    ),
]

CONTENTS = [
    *counted(
        *("writes", "list", "L = [1, 2, 3]; M = [1]; import heapq, operator", "L"),
        {
            "L[0] = L[0]": 1,
            "L[:1] = [1]": 1,
            "L[0] = 5": 1,
            "L.sort()": 1,
            "list.sort(L)": 1,
            "sort = L.sort; sort()": 1,
            "L.reverse(); L.reverse()": 2,
            "L.append(4)": 1,
            "L += [4]": 1,
            "L += []": 1,
            "L *= 1": 1,
            "L = L": 1,
            "L.extend([4])": 1,
            "L.extend([])": 1,
            "heapq.heapify(L)": 1,
            "heapq.heappush(L, 0)": 1,
            "operator.setitem(L, 0, 1)": 1,
            "operator.iadd(L, [])": 1,
            "L.pop()": 1,
            "L.count(1)": 0,
            "M[0] = 1": 0,
            "M.append(L)": 0,
            "y = L + [1]": 0,
            "sorted(L)": 0,
            "L.append(4); L.pop()": 2,
        },
        globals="L",
    ),
    *counted(
        *("writes", "set", "s = {1, 2}; t = {1}", "s"),
        {
            "s.add(1)": 1,
            "s.add(3)": 1,
            "s.update({1})": 1,
            "s.update({1}, (3,))": 1,
            "s |= {1}": 1,
            "s.discard(5)": 0,
            "s.discard(1)": 1,
            "s -= {5}": 1,
            "s &= s": 1,
            "s.difference_update({5})": 0,
            "add = s.add; add(1)": 1,
            "set.add(s, 1)": 1,
            "t.add(1)": 0,
            "[s.add(i) for i in (1, 2)]": 2,
        },
        globals="s",
    ),
    *counted(
        *("writes", "dict", "d = {'k': 1}; e = {'k': 1}", "d"),
        {
            "d['k'] = 1": 1,
            "d['j'] = 1": 1,
            "d.update(k=1)": 1,
            "d.update({})": 1,
            "d.setdefault('k', 1)": 0,
            "d |= e": 1,
            "d = d": 1,
            "d.clear()": 1,
            "e['k'] = 1": 0,
            "d.get('k')": 0,
        },
        globals="d",
        dicts=True,
    ),
    *counted(
        *("writes", "object", THINGS, "o"),
        {
            "o.attr = 1": 1,
            "o.attr = 2": 1,
            "o.fresh = 1": 1,
            "o.kind = 0": 1,
            "o.prop = 5": 0,
            "setattr(o, 'attr', 1)": 1,
            "p.attr = 1": 0,
            "Thing.kind = 0": 0,
            "vars(o)['attr'] = 1": 1,
        },
        dicts=True,
    ),
    *counted(
        "writes",
        "other containers",
        "from collections import deque, OrderedDict\nimport array, io\n"
        "q, b, a, o = deque([1, 2]), bytearray(b'ab'), array.array('i', [1, 2]), OrderedDict(k=1, j=2)",
        ["q", "b", "a", "o"],
        {
            "q[0] = 1": 1,
            "q.rotate(0)": 1,
            "q.append(1)": 1,
            "b[0] = 97": 1,
            "b[:1] = b'a'": 1,
            "b.reverse(); b.reverse()": 2,
            "a[0] = 1": 1,
            "a.byteswap()": 1,
            "o['k'] = 1": 1,
            "o.move_to_end('j')": 1,
            "q.count(1)": 0,
            "b.find(b'a')": 0,
            "io.BytesIO(b'ab').readinto(b)": 1,
        },
    ),
]

FLOW = [
    Case(
        "links are rebound",
        THINGS + "holder = Thing(); holder.cfg = o",
        "holder.cfg.attr",
        """
        def f():
            holder.cfg.attr = 1  # @first
            holder.cfg = p  # @link
            o.attr = 1
            p.attr = 1  # @second
            holder.cfg = p
            after = 1
        f()
        """,
        [hit("first", "1", "1"), hit("link", "1", "1"), hit("second", "1", "1")],
        dicts=True,
        trigger="writes",
    ),
    Case(
        "reads follow the links",
        THINGS + "holder = Thing(); holder.cfg = o",
        "holder.cfg.attr",
        """
        def f():
            holder.cfg.attr  # @first
            holder.cfg = p
            o.attr
            p.attr = 7
            p.attr  # @second
        f()
        """,
        [hit("first", "1", "1"), hit("second", "7", "7")],
        dicts=True,
        trigger="reads",
    ),
    Case(
        "attribute that its class stores in Python",
        THINGS,
        "c.attr",
        """
        c.attr = 1
        after = 1
        c.__init__()
        """,
        [hit("<setup>"), hit("<setup>")],
        dicts=True,
        trigger="writes",
    ),
    Case(
        "attribute that a property reads",
        THINGS,
        "c.attr",
        """
        c.view
        c.other = 1
        """,
        [hit("<setup>")],
        dicts=True,
        trigger="reads",
    ),
    Case(
        "absent at first",
        "d = {}",
        "d['k']",
        """
        def f():
            d.get('k')
            d['k'] = 1  # @bound
            d['k'] = 1  # @again
            del d['k']  # @gone
            d['j'] = 1
        f()
        """,
        [hit("bound", "absent", "1"), hit("again", "1", "1"), hit("gone", "1", "absent")],
        dicts=True,
        trigger="writes",
    ),
    Case(
        "absent at first, read later",
        "d = {}",
        "d['k']",
        """
        def f():
            d.get('k')
            try:
                d['k']
            except KeyError:
                pass
            d['k'] = 1
            d['k']  # @read
            d['k'] = (2,)
            x = d.get('k')  # @get
        f()
        """,
        [hit("read", "1", "1", None), hit("get", "(2,)", "(2,)", "dict.get")],
        dicts=True,
        trigger="reads",
    ),
    Case(
        "stores that fail",
        "d = {'k': 1}; L = [1]",
        ["d['k']", "L"],
        """
        def f():
            for statement in ("d.update(3)", "d.update(k=1, **{'k': 2})", "L.sort(key=len)", "L.remove(7)", "L[5] = 1"):
                try:
                    exec(statement)
                except Exception:
                    pass
            d['k'] = 1  # @after
        f()
        """,
        [hit("after", expression="d['k']")],
        trigger="writes",
    ),
    Case(
        "stores in generators, callbacks and nested calls",
        "d = {'k': 1}; L = [2, 1]",
        "d['k']",
        """
        def generate():
            d['k'] = 1  # @first
            yield 1
            d['k'] = 1  # @second
        def key(item):
            d['k'] = 1  # @key
            return item
        def f():
            list(generate())
            L.sort(key=key)
            d['k'] = key(1)  # @outer
            d.update(k=key(1))  # @call
        f()
        """,
        [hit("first"), hit("second"), hit("key"), hit("key"), hit("key"), hit("outer"), hit("key"), hit("call")],
        dicts=True,
        trigger="writes",
    ),
    Case(
        "text given to exec, class bodies and module level",
        "x = 5",
        "x",
        """
        x = 5  # @module
        class C:
            global x
            x = 5  # @body
            y = 5
        exec("x = 5", globals())
        for i in range(2): x = 5  # @loop
        """,
        [hit("module"), hit("body"), hit("<string>"), hit("loop"), hit("loop")],
        dicts=True,
        trigger="writes",
    ),
    Case(
        "names of a module that a star imports",
        "import sys, types\nm = types.ModuleType('star'); m.x = 5; m._y = 1; sys.modules['star'] = m\nx = 5",
        "x",
        """
        from star import *  # @star
        after = 1
        m.__all__ = ['_y']
        from star import *
        after = 2
        del sys.modules['star']
        """,
        [hit("star", "5", "5")],
        dicts=True,
        trigger="writes",
    ),
    Case(
        "names that are imported from a module",
        "import sys, types\nm = types.ModuleType('source'); m.x = 5; m.y = 1; sys.modules['source'] = m",
        "m.x",
        """
        from source import x  # @one
        from source import y
        from source import y, x as z  # @other
        m.x = 5
        del sys.modules['source']
        """,
        [hit("one", "5", "5"), hit("other")],
        dicts=True,
        trigger="reads",
    ),
    Case(
        "class body reads",
        "x = 5",
        "x",
        """
        class C:
            y = x  # @body
            x = 6
            z = x
        y = x  # @module
        """,
        [hit("body"), hit("module")],
        dicts=True,
        trigger="reads",
    ),
    Case(
        "attributes that super() reads",
        THINGS,
        "Thing.kind",
        """
        class Deep(Sub):
            def own(self):
                return super().kind  # @super
        def f():
            s.own()
            Deep().own()
            after = 1
        f()
        """,
        [hit("<setup>"), hit("super")],
        dicts=True,
        trigger="reads",
    ),
    Case(
        "an expression that computes is written by each store to what it reads",
        "a, b, L = 1, 2, []",
        ["a + b", "len(L)"],
        """
        def f():
            global a, b
            a = 1  # @a
            b = 2  # @b
            L.append(1)  # @append
            L[0] = 1  # @item
            c = a + b
        f()
        """,
        [hit("a", "3", "3"), hit("b", "3", "3"), hit("append", "0", "1"), hit("item", "1", "1")],
        trigger="writes",
    ),
    Case(
        "depth",
        "L = [[1], 2]; M = [[1]]",
        "L",
        """
        def f():
            L[0][0] = 1  # @inner
            L[1] = 2  # @outer
            M[0][0] = 1
        f()
        """,
        [hit("inner"), hit("outer")],
        trigger="writes",
        options={"depth": 2},
    ),
    Case(
        "rebinding only",
        "L = [1]",
        "L",
        """
        def f():
            global L
            L[0] = 1
            L += [2]  # @in_place
            L = L  # @again
        f()
        """,
        [hit("in_place"), hit("again")],
        trigger="writes",
        options={"depth": 0},
    ),
    Case(
        "conditions see the values and the names of the line",
        "x = 5; d = {'k': 1}",
        "d['k']",
        """
        def f():
            for i in range(4):
                d['k'] = 1  # @a
            d['k'] = 2  # @b
        f()
        """,
        [hit("a"), hit("b", "1", "2")],
        dicts=True,
        trigger="writes",
        options={"condition": "i == 2 and old == new or old != new"},
    ),
    Case(
        "hit conditions count",
        "d = {'k': 1}",
        "d['k']",
        """
        def f():
            d['k'] = 1
            d['k'] = 1  # @second
            d['k'] = 1
            d['k']
        f()
        """,
        [hit("second")],
        dicts=True,
        trigger="writes",
        options={"hit_condition": 2},
    ),
    Case(
        "environment",
        "import os; os.environ['STOPWHEN_TEST'] = 'yes'",
        "os.environ['STOPWHEN_TEST']",
        """
        def f():
            os.environ['STOPWHEN_TEST'] = 'yes'
            os.environ['STOPWHEN_OTHER'] = 'yes'
            del os.environ['STOPWHEN_OTHER']
        f()
        """,
        [hit("os.py", "'yes'", "'yes'")],
        dicts=True,
        trigger="writes",
    ),
    Case(
        "more arguments than a byte counts",
        "d = {'k': 1}\n" + "\n".join(f"n{i} = {i}" for i in range(300)),
        ["d['k']", "n299"],
        "".join(f"n{i}\n" for i in range(300))[:-5] + "n299 = 299  # @name\nn298\nd['k'] = 1  # @item\nafter = 1\n",
        [hit("name", expression="n299"), hit("item", expression="d['k']")],
        dicts=True,
        trigger="writes",
    ),
]


@parametrized([*NAMES, *ITEMS, *ATTRIBUTES, *CONTENTS, *FLOW])
def test_access(case, mechanism, tmp_path, monkeypatch):
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


LOCALS = {
    "writes": (
        """
        def f():
            x = y = 5
            arm('x')
            x = 5  # @a
            y = 5
            x = y  # @b
            x, y = 5, 5  # @c
            y, x = 5, 5  # @d
            for x in (5,): pass  # @e
            z = [x for x in (1, 5)]
            x += 0  # @g
            (x := 5)  # @h
            x = 6  # @i
            after = x
        f()
        """,
        [*(hit(mark, "5", "5") for mark in "abcdegh"), hit("i", "5", "6")],
    ),
    "reads": (
        """
        def f():
            x = y = 5
            arm('x')
            x = 5
            y = x  # @a
            y = x + y  # @b
            x += 0  # @c
            z = [x for x in (1, 5)]
            z = (x, y)  # @d
            def g(x):
                return x
            g(1)
            return x  # @e
        f()
        """,
        [hit(mark, "5", "5") for mark in "abcde"],
    ),
    "writes, shared": (
        """
        def f():
            x = 5
            arm('x')
            def g():
                nonlocal x
                x = 5  # @a
                def h():
                    return x
                h()
            x = 5  # @b
            g()
            def other(x):
                def inner():
                    nonlocal x
                    x = 5
                inner()
            other(5)
            g.__closure__[0].cell_contents = 5  # @c
            after = x
        f()
        """,
        [hit("b"), hit("a"), hit("c")],
    ),
    "reads, shared": (
        """
        def f():
            x = 5
            arm('x')
            def g():
                return x  # @a
            y = x  # @b
            g()
            g.__closure__[0].cell_contents  # @c
            class C:
                y = x  # @d
            def other(x):
                return (lambda: x)()
            other(5)
        f()
        """,
        [hit("b"), hit("a"), hit("c"), hit("d")],
    ),
    "reads of one that is unbound": (
        """
        def f():
            x = 5
            arm('x')
            del x
            try:
                x
            except NameError:
                pass
            x = 6
            return x  # @a
        f()
        """,
        [hit("a", "6", "6")],
    ),
    "writes in a generator": (
        """
        def g():
            x = 5
            arm('x')
            yield
            x = 5  # @a
            yield
            x = yield x  # @b
            yield
        def f():
            one = g()
            next(one)
            next(one)
            next(one)
            one.send(5)
            list(one)
        f()
        """,
        [hit("a"), hit("b")],
    ),
}

with_locals = pytest.mark.parametrize("mechanism", ["recheck", "default"])


@with_locals
@pytest.mark.parametrize("name", LOCALS)
def test_a_local_of_the_calling_function(name, mechanism, tmp_path, monkeypatch):
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    body, expected = LOCALS[name]
    trigger = name.partition(",")[0].split()[0]
    with Recorder() as hits:
        module.record = hits
        source = textwrap.dedent(body).replace("arm('x')", f"stopwhen.{trigger}('x', action=record)")
        module.run("import stopwhen\n" + source)
    assert described(hits.hits, module.path) == expected


@pytest.mark.parametrize("mechanism", ["recheck", "default"])
@pytest.mark.parametrize(
    ("trigger", "marks"),
    [
        ("writes", ["bound", "again", "add", "bound", "again", "add"]),
        ("reads", ["use", "inner", "add", "back", "use", "inner", "add", "back"]),
    ],
)
def test_a_local_in_every_call_of_a_function(trigger, marks, mechanism, tmp_path, monkeypatch):
    """Each call's own, from its first binding on."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    source = """
    def f():
        x = 5  # @bound
        x = 5  # @again
        y = [x]  # @use
        z = [x for x in (1, 2)]
        y = (x, y)  # @inner
        x += 0  # @add
        return x  # @back
    def other():
        x = 5
        return x
    """
    module.run(textwrap.dedent(source))
    with Recorder() as hits:
        getattr(hits, trigger)("x", scope=module.f)
        module.f()
        module.other()
        module.f()
    assert [one.mark for one in described(hits.hits, module.path)] == marks
