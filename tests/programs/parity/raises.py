import asyncio
import dataclasses
import sys


def plain():
    print("before")
    1 / 0


def chained():
    try:
        plain()
    except ZeroDivisionError as error:
        raise KeyError("because") from error


def grouped():
    raise ExceptionGroup("two", [ValueError(1), TypeError(2)])


def noted():
    error = ValueError("noted")
    error.add_note("a note")
    raise error


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    field: int


def frozen():
    raise Frozen(1)


class Hostile(Exception):
    def __setattr__(self, name, value):
        raise TypeError

    def __getattribute__(self, name):
        raise TypeError


def hostile():
    raise Hostile


def in_exec():
    exec("1/0")


def in_long_line():
    return (1 +
            undefined_name +
            2)


async def coroutine():
    await asyncio.sleep(0)
    plain()


def in_coroutine():
    asyncio.run(coroutine())


def at_import():
    import no_such_module


def between_prints():
    print("out")
    print("err", file=sys.stderr)
    print("out again")
    plain()


def without_main():
    del sys.modules["__main__"]
    plain()


globals()[sys.argv[1]]()
