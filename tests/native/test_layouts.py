"""Descriptors in C that call ours while the layout of an object is watched: they do what they did, and are put back."""

from __future__ import annotations

import ctypes
import functools
import os

import pytest

import stopwhen
from helpers import run_program
from recorder import Recorder
from stopwhen import env

needs_relays = pytest.mark.skipif(env.core is None or not env.HAS_MONITORING, reason="needs descriptor relays")


def functions_of(descriptor):
    """Return the address of the functions by which a descriptor gets and sets."""
    # PyGetSetDescrObject: the head of every object, class, name, qualified name, then the functions.
    place = id(descriptor) + object.__basicsize__ + 3 * ctypes.sizeof(ctypes.c_void_p)
    return ctypes.c_void_p.from_address(place).value


def descriptors(*kinds):
    """Return what objects of these classes are laid out by."""
    return [object.__dict__["__class__"], type.__dict__["__bases__"], *(kind.__dict__["__dict__"] for kind in kinds)]


@needs_relays
def test_descriptors_are_put_back_with_the_last_watchpoint_that_needs_them():
    class Bare:
        __slots__ = ()

    class A(Bare):
        pass

    class B(Bare):
        pass

    everything = descriptors(A, B)
    before = [functions_of(one) for one in everything]
    of_a, of_b = A.__dict__["__dict__"], B.__dict__["__dict__"]  # the same for all classes from 3.15 on

    def replaced():
        return [one for one, old in zip(everything, before, strict=True) if functions_of(one) != old]

    def needed(own):
        return [*everything[:2], *(one for one in everything[2:] if one is own)]

    one, other = A(), A()
    first = stopwhen.changes("one", scope={"one": one}, action="count")
    assert replaced() == needed(of_a)
    second = stopwhen.changes("other.v", scope={"other": other}, action="count")
    first.remove()
    assert replaced() == needed(of_a)
    other.__class__ = B
    assert replaced() == needed(of_b)
    other.__dict__ = {"v": 1}
    assert second.count == 1
    second.disable()
    assert replaced() == []
    second.enable()
    assert replaced() == needed(of_b)
    second.remove()
    assert [functions_of(one) for one in everything] == before
    assert env.core.armed() == 0


@needs_relays
def test_a_refused_watchpoint_puts_them_back(monkeypatch):
    class A:
        pass

    everything = descriptors(A)
    before = [functions_of(one) for one in everything]
    monkeypatch.setenv("STOPWHEN_MECHANISM", "dictwatch")
    one = A()
    one.rows = [1]
    with pytest.raises(stopwhen.Refused):
        stopwhen.changes("one.rows", scope={"one": one}, action="count")
    assert [functions_of(one) for one in everything] == before


@needs_relays
def test_finalisers_of_what_a_store_drops_may_remove_the_watchpoints():
    """The store itself frees what has the finaliser, amid which all is disarmed."""

    class A:
        pass

    class Last:
        def __del__(self):
            stopwhen.clear()

    before = functions_of(A.__dict__["__dict__"])
    for statement in (
        "one.__dict__ = {}",
        "one.__dict__ = {}; one.__class__ = B",
        "one.__class__ = B; del one.__dict__",
    ):
        one, other = A(), A()
        one.last = Last()
        scope = {"one": one, "other": other, "A": A, "B": type("B", (), {})}
        stopwhen.changes("one", scope=scope, action="count")
        stopwhen.changes("other", scope=scope, action="count")
        exec(f"{statement}\nother.__dict__ = {{}}", scope)
        assert stopwhen.watchpoints() == []
    assert functions_of(A.__dict__["__dict__"]) == before
    assert env.core.armed() == 0


@needs_relays
def test_each_of_several_stores_in_one_call_is_seen_with_its_own_value():
    """What was stored after it, and waits to be handled, does not count yet."""
    first, second = type("A", (), {}), type("B", (), {})
    one = first()
    scope = {"one": one, "first": first}
    with Recorder() as hits:
        for expression in ("one.v", "vars(one)", "isinstance(one, first)", "type(one)"):
            hits.changes(expression, scope=scope)
        list(map(functools.partial(setattr, one, "__dict__"), [{"v": 1}, {"v": 2}]))
        list(map(functools.partial(setattr, one, "__class__"), [second, first]))
    assert [hits.texts[0], hits.texts[2]] == [("absent", "1"), ("1", "2")]
    assert [hits.texts[1], hits.texts[3]] == [("{}", "{'v': 1}"), ("{'v': 1}", "{'v': 2}")]
    names = repr(first), repr(second)
    assert hits.texts[4:] == [("True", "False"), names, ("False", "True"), names[::-1]]


def test_a_program_may_end_while_layouts_are_watched():
    """Objects get other classes and dicts to the very end."""
    result = run_program(
        """
        import atexit
        import stopwhen

        class A:
            def __del__(self):
                self.__class__ = B
                self.__dict__ = {"v": 2}
                print("end of", type(self).__name__, self.__dict__["v"])

        class B:
            pass

        one, keep = A(), []
        keep.append((keep, A()))
        stopwhen.changes("one", action="count")
        stopwhen.changes("keep", depth="all", action="count")
        atexit.register(setattr, one, "__dict__", {"v": 1})
        """
    )
    assert (result.status, result.stderr) == (0, "")
    assert sorted(result.stdout.splitlines()) == ["end of B 2", "end of B 2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on():
    result = run_program(
        """
        import os
        import stopwhen

        class A:
            pass

        one = A()
        with stopwhen.changes("one.v", action="count") as watchpoint:
            child = os.fork()
            one.__dict__ = {"v": 1}
            if child == 0:
                os._exit(watchpoint.count)
            print(watchpoint.count, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert (result.stdout, result.stderr, result.status) == ("1 1\n", "", 0)


def test_subinterpreters_are_left_alone():
    """They lay out their objects while one of ours is watched, and after."""
    result = run_program(
        '''
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters

        import stopwhen

        PROGRAM = """
        class A: v = 1
        class B: v = 2
        class C(A): pass
        o = C()
        C.__bases__ = (B,)
        o.__dict__ = {"w": 3}
        o.__class__ = B
        print(o.__class__.__name__, o.v, o.w, flush=True)
        """

        class Own:
            pass

        own = Own()
        other = interpreters.create()
        with stopwhen.changes("own.v", action="count") as watchpoint:
            interpreters.run_string(other, PROGRAM)
            own.__dict__ = {"v": 1}
            print(watchpoint.count, flush=True)
        interpreters.run_string(other, PROGRAM)
        interpreters.destroy(other)
        '''
    )
    assert (result.stdout, result.stderr, result.status) == ("B 2 3\n1\nB 2 3\n", "", 0)
