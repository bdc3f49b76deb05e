from __future__ import annotations


def f(argument: no_such_name):
    pass


print(f.__annotations__)
