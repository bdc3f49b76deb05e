"""Greenlets that take turns at random to change data, in functions, loops, a generator and a callback: greenlets.py SEED.

Prints the hits: line, whether it is exact, old and new value.
"""

import collections
import random
import sys
from types import SimpleNamespace

import greenlet

import stopwhen

chance = random.Random(int(sys.argv[1]))  # noqa: S311 - the same each time
hub = greenlet.getcurrent()
rows = []
prices = {"pear": 0}
owner = SimpleNamespace(items=[0])


def pause():
    if chance.random() < 0.6:
        hub.switch()


def append(number):
    rows.append(number)
    pause()
    rows[-1:] = [number + 1]


def fail(number):
    pause()
    owner.items.append(number)
    if chance.random() < 0.3:
        raise KeyError


def first(count):
    for number in range(count):
        append(number)
        owner.items.append(number)
        hub.switch()
        prices["pear"] = number + chance.random()
        try:
            fail(number)
        except KeyError:
            hub.switch()
            rows.clear()


def numbers(count):
    for number in range(count):
        pause()
        yield number
        if chance.random() < 0.2:
            list(map(append, (1, 2)))


def second(count):
    for number in numbers(count):
        owner.items = [number]
        pause()
        owner.items += [number]


watchpoints = [stopwhen.changes(name, action="count") for name in ("rows", "prices['pear']", "owner.items")]
for watchpoint in watchpoints:
    watchpoint.kept = collections.deque()
alive = [greenlet.greenlet(run) for run in (first, first, second, second)]
while alive:
    chance.choice(alive).switch(25)
    alive = [one for one in alive if not one.dead]
for watchpoint in watchpoints:
    watchpoint.remove()
    for hit in watchpoint.hits:
        print(watchpoint.expression, hit.location.lineno, hit.exact, hit.old, "->", hit.new)
