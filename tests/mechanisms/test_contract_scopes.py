"""The contract, by scope: modules to come, `__main__`, namespaces, and the locals and closures of a running frame."""

from __future__ import annotations

import sys
import textwrap
import types

import pytest

import stopwhen
from contract import ANY, Module, choose, described, every_mechanism, hit, mechanism_sets
from recorder import Recorder

# The dict watcher alone sees no locals.
with_locals = pytest.mark.parametrize("mechanism", [name for name in mechanism_sets() if name != "dictwatch"])


@every_mechanism
def test_a_module_scope_is_pending_until_the_module_is_there(mechanism, tmp_path, monkeypatch):
    """What the module's own code writes while it is imported counts."""
    choose(monkeypatch, mechanism)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / f"stopwhen_pending_{mechanism}.py"
    path.write_text("y = 1\nx = 1  # @first\ndef f():\n    global x\n    x += 1  # @second\n")
    with Recorder() as hits:
        watchpoint = hits.changes("x", scope=path.stem)
        assert not watchpoint.was_present
        module = __import__(path.stem)
        module.f()
    del sys.modules[path.stem]
    assert described(hits.hits, path) == [hit("first", "absent", "1"), hit("second", "1", "2")]


@every_mechanism
def test_an_attribute_of_a_module_that_replaces_itself(mechanism, tmp_path, monkeypatch):
    """A module scope given by name follows `sys.modules`."""
    choose(monkeypatch, mechanism)
    name = f"stopwhen_replaced_{mechanism}"
    first, second = types.ModuleType(name), types.ModuleType(name)
    first.x, second.x = 1, 2
    monkeypatch.setitem(sys.modules, name, first)
    with Recorder() as hits:
        hits.changes("x", scope=name)
        sys.modules[name] = second
        first.x = 5
        second.x = 3
    assert hits.texts == [("1", "2"), ("2", "3")]


@every_mechanism
def test_the_main_scope_falls_back_on_imported_modules(mechanism, tmp_path, monkeypatch):
    """A root name that `__main__` lacks is the module of that name; a name of `__main__` comes first."""
    choose(monkeypatch, mechanism)
    main, name = types.ModuleType("__main__"), f"stopwhen_fallback_{mechanism}"
    module = types.ModuleType(name)
    module.x = 1
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setitem(sys.modules, name, module)
    with Recorder() as hits:
        hits.changes(f"{name}.x", scope="__main__")
        module.x = 2
        setattr(main, name, types.SimpleNamespace(x=3))
        module.x = 4
        delattr(main, name)
    assert hits.texts == [("1", "2"), ("2", "3"), ("3", "4")]


@every_mechanism
def test_a_namespace_scope_is_the_mapping_itself(mechanism, monkeypatch):
    """It is live."""
    choose(monkeypatch, mechanism)
    names = {"x": 1}
    with Recorder() as hits:
        hits.changes("x + y", scope=names)
        names["y"] = 2
        names["x"] = 5
        names.clear()
    assert hits.texts == [("absent", "3"), ("3", "7"), ("7", "absent")]


@every_mechanism
def test_a_caller_scope_at_module_level_is_the_module(mechanism, tmp_path, monkeypatch):
    """It does not end with the module's code."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    with Recorder() as hits:
        module.record = hits
        module.run(
            "import stopwhen\nx = 1\nstopwhen.changes('x', action=record)\nx = 2  # @first\ndef f():\n    global x\n    x = 3  # @second\n"
        )
        module.f()
    assert described(hits.hits, module.path) == [hit("first", "1", "2"), hit("second", "2", "3")]


@every_mechanism
@pytest.mark.parametrize(
    "body",
    [
        "[stopwhen.changes(name, action=record) for name in ('x',)]",
        "{name: stopwhen.changes(name, action=record) for name in ('x',)}",
        "[[stopwhen.changes(name, action=record) for name in names] for names in ('x',)]",
    ],
)
def test_a_comprehension_at_module_level_reads_the_names_of_the_module(body, mechanism, tmp_path, monkeypatch):
    """Whether or not the interpreter runs it in a frame of its own."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    with Recorder() as hits:
        module.record = hits
        module.run(f"import stopwhen\nx = 1\nwatchpoints = {body}\nx = 2  # @first\n")
        module.x = 3
    assert described(hits.hits, module.path)[:1] == [hit("first", "1", "2")]
    assert hits.texts == [("1", "2"), ("2", "3")]


@every_mechanism
def test_a_comprehension_in_a_class_body_reads_the_names_of_the_module(mechanism, tmp_path, monkeypatch):
    """As its own code does, in which those of the class are not there."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    with Recorder() as hits:
        module.record = hits
        module.run(
            "import stopwhen\nx = 1\nclass Body:\n"
            "    watchpoints = [stopwhen.changes(name, action=record) for name in ('x',)]\n"
            "x = 2  # @first\n"
        )
    assert described(hits.hits, module.path) == [hit("first", "1", "2")]


@with_locals
def test_a_local_that_is_read_later_only(mechanism, tmp_path, monkeypatch):
    """What an `or` has not come to yet is read when it does, and the watchpoint ends with the frame all the same."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    with Recorder() as hits:
        module.record = hits
        module.run(
            """\
import stopwhen
flag = True
def f():
    global flag
    total = [1]
    watchpoint = stopwhen.changes("flag or total", action=record)
    flag = False  # @read
    total.append(2)  # @content
    flag = True  # @again
    return watchpoint
watchpoint = f()
flag = False
"""
        )
    assert described(hits.hits, module.path) == [
        hit("read", "True", "[1]"),
        hit("content", "[1]", "[1, 2]", "list.append"),
        hit("again", "[1, 2]", "True"),
    ]
    assert module.watchpoint.removed


@with_locals
def test_a_watchpoint_ends_with_the_frame_whose_local_it_has_read_once(mechanism, tmp_path, monkeypatch):
    """Whatever it reads when the frame ends."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    with Recorder() as hits:
        module.record = hits
        module.run(
            """\
import stopwhen
flag = True
def f():
    global flag
    total = 1
    watchpoint = stopwhen.changes("total if flag else 5", action=record)
    flag = False  # @a
    return watchpoint
watchpoint = f()
flag = True
"""
        )
    assert described(hits.hits, module.path) == [hit("a", "1", "5")]
    assert module.watchpoint.removed


def locals_of(body: str) -> str:
    """Return a program that watches its local `x` from its first statement on; `body` is the rest of the function."""
    return (
        "import contextlib, stopwhen\ndef f(x=1):\n    stopwhen.changes('x', action=record)\n"
        + textwrap.indent(textwrap.dedent(body), "    ")
        + "\nf()\n"
    )


LOCALS = {
    "assignment": ("x = 2  # @a\nafter = 1", [hit("a", "1", "2")]),
    "last statement": ("x = 2  # @a", [hit("a", "1", "2")]),
    "augmented": ("x += 2  # @a\nafter = 1", [hit("a", "1", "3")]),
    "walrus": ("y = [0, (x := 5)]  # @a\nafter = 1", [hit("a", "1", "5")]),
    "for": ("for x in 7, 8:  # @a\n    after = 1", [hit("a", "1", "7"), hit("a", "7", "8")]),
    "for on one line": ("for x in 7, 8: pass  # @a", [hit("a", "1", "7"), hit("a", "7", "8")]),
    "with": ("with contextlib.nullcontext(4) as x:  # @a\n    after = 1", [hit("a", "1", "4")]),
    "except": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as x:  # @a\n    after = 1  # @last\nafter = 2",
        [hit("a", "1", ANY), hit("last", ANY, "None"), hit("last", "None", "absent")],
    ),
    "except, left by another exception": (
        "try:\n    try:\n        1 / 0\n    except ZeroDivisionError as x:  # @a\n        raise KeyError  # @last\n"
        "except KeyError:\n    after = 1\nafter = 2\nx = 3  # @b",
        [hit("a", "1", ANY), hit("last", ANY, "None"), hit("last", "None", "absent"), hit("b", "absent", "3")],
    ),
    "except, left by its own exception from a callee": (
        "def g():\n    raise KeyError\ntry:\n    try:\n        1 / 0\n    except ZeroDivisionError as x:  # @a\n"
        "        after = g()  # @last\nexcept KeyError:\n    after = 1\nafter = 2",
        [hit("a", "1", ANY), hit("last", ANY, "None"), hit("last", "None", "absent")],
    ),
    "import": ("import sys as x  # @a\nafter = 1", [hit("a", "1", ANY)]),
    "from import": ("from sys import maxsize as x  # @a\nafter = 1", [hit("a", "1", str(sys.maxsize))]),
    "match": ("match [1, 2]:\n    case [_, x]:  # @a\n        after = 1", [hit("a", "1", "2")]),
    "match as": ("match 3:\n    case int() as x:  # @a\n        after = 1", [hit("a", "1", "3")]),
    "del": ("del x  # @a\nafter = 1\nx = 1  # @b\nafter = 2", [hit("a", "1", "absent"), hit("b", "absent", "1")]),
    "unpacking": ("x, y = 3, 4  # @a\nafter = 1", [hit("a", "1", "3")]),
    "starred": ("y, *x = 3, 4  # @a\nafter = 1", [hit("a", "1", "[4]")]),
    "swap": ("y = 9\nx, y = y, x  # @a\nafter = 1", [hit("a", "1", "9")]),
    "def": ("def x(): pass  # @a\nafter = 1", [hit("a", "1", ANY)]),
    "class": ("class x: pass  # @a\nafter = 1", [hit("a", "1", ANY)]),
    "annotated": ("x: int = 5  # @a\nafter = 1", [hit("a", "1", "5")]),
    "several on a line": (
        "x = 2; x = 3; x = 3; x = 1  # @a",
        [hit("a", "1", "2"), hit("a", "2", "3"), hit("a", "3", "1")],
    ),
    "equal value": ("x = 1\nx = int('1')\ny = x", []),
    "content": (
        "x = []  # @a\nx.append(1)  # @b\nx = None  # @c",
        [hit("a"), hit("b", "[]", "[1]", "list.append"), hit("c")],
    ),
    "content by another function": (
        "x = []  # @a\ndef g(y):\n    y.append(1)  # @b\ng(x)",
        [hit("a"), hit("b", "[]", "[1]", "list.append")],
    ),
    "loop": ("while x < 3: x += 1  # @a", [hit("a", "1", "2"), hit("a", "2", "3")]),
    "handler and finally": (
        "try:\n    x = 2  # @a\n    1 / 0\nexcept ZeroDivisionError:\n    x = 3  # @b\nfinally:\n    x = 4  # @c",
        [hit("a", "1", "2"), hit("b", "2", "3"), hit("c", "3", "4")],
    ),
    "comprehension variable of that name": (
        "y = [x for x in (5, 6)]\nz = {x: 1 for x in (5, 6)}\nlist(x for x in (5, 6))\nafter = 1\nx = 2  # @a",
        [hit("a", "1", "2")],
    ),
    "comprehension variable over itself": (
        "x = [1, 2]  # @a\ny = [x for x in x]\nafter = 1\nx = [x for x in x if x > 1]  # @b\nafter = 2",
        [hit("a", "1", "[1, 2]"), hit("b", "[1, 2]", "[2]")],
    ),
    "nested comprehension variables": (
        "y = [[x for x in range(z)] for z in range(2)]\ny = [x for z in range(2) for x in range(3)]\nafter = 1",
        [],
    ),
    "comprehension that raises": (
        "try:\n    y = [1 / x for x in (1, 0)]\nexcept ZeroDivisionError:\n    after = 1\nx = 2  # @a",
        [hit("a", "1", "2")],
    ),
    "nested comprehension that raises": (
        "try:\n    y = [[1 / x for z in (x, 0)] for x in (1, 0) for w in (x,)]\nexcept ZeroDivisionError:\n    after = 1\nx = 2  # @a",
        [hit("a", "1", "2")],
    ),
    "walrus in a comprehension": (
        "y = [(x := i) for i in (5, 6)]  # @a\nafter = 1",
        [hit("a", "1", "5"), hit("a", "5", "6")],
    ),
    "recursion has locals of its own": (
        "def g(x):\n    x += 1\n    return x if x > 3 else g(x)\ng(1)\nx = 2  # @a",
        [hit("a", "1", "2")],
    ),
    "returned": ("x = 2; return x  # @a", [hit("a", "1", "2")]),
    "caught from a callee": (
        "def g():\n    raise KeyError\ntry:\n    g()\nexcept KeyError:\n    x = 2  # @a\nafter = 1",
        [hit("a", "1", "2")],
    ),
}

CLOSURES = {
    "assigned by an inner function": (
        "def g():\n    nonlocal x\n    x = 2  # @a\ng()\nafter = 1\nx = 3  # @b",
        [hit("a", "1", "2"), hit("b", "2", "3")],
    ),
    "augmented and deleted by an inner function": (
        "def g():\n    nonlocal x\n    x += 2  # @a\n    del x  # @b\n    x = 1  # @c\ng()\nafter = 1",
        [hit("a", "1", "3"), hit("b", "3", "absent"), hit("c", "absent", "1")],
    ),
    "for, walrus, with in an inner function": (
        "def g():\n    nonlocal x\n    for x in 5, 6:  # @a\n        after = 1\n    print((x := 7), end='')  # @b\n"
        "    with contextlib.nullcontext(8) as x:  # @c\n        after = 2\ng()\nafter = 3",
        [hit("a", "1", "5"), hit("a", "5", "6"), hit("b", "6", "7"), hit("c", "7", "8")],
    ),
    "bound in every way, shared": (
        "def g(): return x\nx = 2  # @a\nx += 1  # @b\nfor x in (4,): pass  # @c\n(x := 5)  # @d\nx, y = 6, 7  # @e\ndel x  # @f",
        [
            hit("a", "1", "2"),
            hit("b", "2", "3"),
            hit("c", "3", "4"),
            hit("d", "4", "5"),
            hit("e", "5", "6"),
            hit("f", "6", "absent"),
        ],
    ),
    "comprehension variable of that name, shared": (
        "g = lambda: x\ny = [lambda: x for x in (5, 6)]\nz = [x for x in (5, 6)]\nafter = 1\nx = 2  # @a",
        [hit("a", "1", "2")],
    ),
    "generator as inner function": (
        "def g():\n    nonlocal x\n    yield\n    x = 2  # @a\n    yield\n    x = 3  # @b\nlist(g())\nafter = 1",
        [hit("a", "1", "2"), hit("b", "2", "3")],
    ),
}


@with_locals
@pytest.mark.parametrize("name", [*LOCALS, *CLOSURES])
def test_a_local_of_the_calling_function(name, mechanism, tmp_path, monkeypatch, capfd):
    """Every way to bind and unbind it is seen where it happens, and its end is no change."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    body, expected = (LOCALS | CLOSURES)[name]
    with Recorder() as hits:
        module.record = hits
        module.run(locals_of(body))
        assert stopwhen.watchpoints() == []
    assert described(hits.hits, module.path) == expected
    said = capfd.readouterr().err
    # Without a hit it is said, once in a process, that the watchpoint has ended with its frame.
    assert said == "" or (not expected and said.count("stopwhen:") == 1 and "[frame-ended]" in said)


@with_locals
def test_a_local_is_watched_in_the_one_call_that_armed_it(mechanism, tmp_path, monkeypatch):
    """Another call has locals of its own; counts stay readable after the end."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    source = """
    import stopwhen
    def f(n):
        x = n
        if n == 2:
            made.append(stopwhen.changes('x', action=record))
        if n:
            f(n - 1)
        x += 10  # @write
        return x
    f(3)
    """
    with Recorder() as hits:
        module.record, module.made = hits, []
        module.run(textwrap.dedent(source))
    assert described(hits.hits, module.path) == [hit("write", "2", "12")]
    (watchpoint,) = module.made
    assert watchpoint.removed
    assert watchpoint.count == 1


@with_locals
def test_a_local_of_a_generator_lives_on_while_it_is_suspended(mechanism, tmp_path, monkeypatch):
    """The watchpoint ends with the generator, by exhaustion or an error, not with a yield."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    source = """
    import stopwhen
    def generate():
        x = 1
        stopwhen.changes('x', action=record)
        yield
        x = 2  # @first
        yield
        x = 3  # @second
    def f():
        generator = generate()
        next(generator)
        next(generator)
        after = len(stopwhen.watchpoints())
        list(generator)
        return after, len(stopwhen.watchpoints())
    alive = f()
    """
    with Recorder() as hits:
        module.record = hits
        module.run(textwrap.dedent(source))
    assert described(hits.hits, module.path) == [hit("first", "1", "2"), hit("second", "2", "3")]
    assert module.alive == (1, 0)


@with_locals
def test_the_end_of_a_frame_by_an_error_ends_the_watchpoint(mechanism, tmp_path, monkeypatch):
    """An exception that leaves the frame ends it as well."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    source = """
    import stopwhen
    def f():
        x = 1
        stopwhen.changes('x', action=record)
        x = 2  # @write
        1 / 0
    try:
        f()
    except ZeroDivisionError as error:
        kept = error
    """
    with Recorder() as hits:
        module.record = hits
        module.run(textwrap.dedent(source))
        assert stopwhen.watchpoints() == []
    assert described(hits.hits, module.path) == [hit("write", "1", "2")]


@with_locals
def test_a_free_variable_outlives_the_frame(mechanism, tmp_path, monkeypatch):
    """A watchpoint that reads no local of its own frame goes on after that frame."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    source = """
    import stopwhen
    def outer():
        x = 1
        def arm():
            x
            stopwhen.changes('x', action=record)
        def set_to(value):
            nonlocal x
            x = value  # @write
        return arm, set_to
    arm, set_to = outer()
    arm()
    set_to(2)
    set_to(2)
    set_to(3)
    """
    with Recorder() as hits:
        module.record = hits
        module.run(textwrap.dedent(source))
        assert len(stopwhen.watchpoints()) == 1
    assert described(hits.hits, module.path) == [hit("write", "1", "2"), hit("write", "2", "3")]


@with_locals
def test_an_expression_over_locals_closures_and_globals(mechanism, tmp_path, monkeypatch):
    """Each name is read where the program reads it."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    source = """
    import stopwhen
    rate = 2
    def outer():
        base = 1
        def f(items):
            total = 0
            stopwhen.changes('base + rate * len(items) + total', action=record)
            global rate
            nonlocal base
            total = 10  # @local
            base = 2  # @closure
            rate = 3  # @global
            items.append(0)  # @content
            items = []  # @rebound
        f([1])
    outer()
    """
    with Recorder() as hits:
        module.record = hits
        module.run(textwrap.dedent(source))
    assert described(hits.hits, module.path) == [
        hit("local", "3", "13"),
        hit("closure", "13", "14"),
        hit("global", "14", "15"),
        hit("content", "15", "18"),
        hit("rebound", "18", "12"),
    ]


@with_locals
def test_locals_of_a_class_body(mechanism, tmp_path, monkeypatch):
    """Names of a class body are items of its namespace."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    source = """
    import stopwhen
    class C:
        x = 1
        w = stopwhen.changes('x', action=record)
        x = 2  # @first
        x += 1  # @second
    """
    with Recorder() as hits:
        module.record = hits
        module.run(textwrap.dedent(source))
    assert described(hits.hits, module.path) == [hit("first", "1", "2"), hit("second", "2", "3")]
