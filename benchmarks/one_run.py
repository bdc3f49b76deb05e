"""Run one workload once, watched in one way, and print as JSON what its own time was: one_run.py CASE VARIANT."""

from __future__ import annotations

import bdb
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

Disarm = Callable[[], object]
WATCH_EXPRESSION = 'sys.path[0].endswith("lib")'


def untouched(_case: ModuleType) -> Disarm:
    """Watch nothing."""
    return lambda: None


def stopwhen_global(case: ModuleType) -> Disarm:
    """Watch a global that the workload reads and never writes; named as a user of `--changes` would."""
    import stopwhen

    name = next(name for name in vars(case) if name.isupper())
    return stopwhen.changes(name, scope=case, action="count").remove


def stopwhen_sys_path(_case: ModuleType) -> Disarm:
    """Watch `sys.path`, a list: the general case."""
    import stopwhen

    return stopwhen.changes("sys.path", scope={"sys": sys}, action="count").remove


def stopwhen_getter(_case: ModuleType) -> Disarm:
    """Watch what a function in C returns: what calls cost that are allowed."""
    import stopwhen

    names = {"interval": sys.getswitchinterval}
    return stopwhen.changes("interval()", scope=names, action="count", allow_calls=True).remove


def settrace(_case: ModuleType) -> Disarm:
    """Look at `sys.path[0]` on every line: the function that goes round in blogs."""

    def trace(_frame: FrameType, _event: str, _argument: object) -> Any:
        if sys.path[0].endswith("lib"):
            print("found", file=sys.stderr)
        return trace

    sys.settrace(trace)
    return lambda: sys.settrace(None)


def watchpoints(_case: ModuleType) -> Disarm:
    """Watch `sys.path` with the package of that name."""
    from watchpoints import unwatch, watch

    watch(sys.path, callback=lambda *_arguments: None)
    return unwatch


class Stepper(bdb.Bdb):
    """Steps through the program and evaluates a condition at each line, as a debugger would for its user."""

    condition: CodeType = compile(WATCH_EXPRESSION, "<condition>", "eval")

    def user_line(self, frame: FrameType) -> None:
        """Look whether the condition holds, and step on."""
        if eval(self.condition, {"sys": sys}):
            print("found", frame, file=sys.stderr)
        self.set_step()


def bdb_condition(_case: ModuleType) -> Disarm:
    """Step with bdb, the machinery under pdb, and a condition."""
    Stepper().set_trace()
    return lambda: sys.settrace(None)


class Account:
    """A class of the program's, with thousands of instances."""

    def __init__(self) -> None:
        self.balance = 0


def elsewhere(total: int) -> int:
    """Have a local, in a function that the workload does not call."""
    total += 1
    return total


def counter() -> Callable[[], int]:
    """Return a function that shares a variable with this one."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return count

    return step


def _all(watchpoints: list[Any], *keep: object) -> Disarm:
    """Return what removes all watchpoints, and keeps what they are about alive until then."""
    return lambda: ([one.remove() for one in watchpoints], keep)


def dict_items(count: int) -> Callable[[ModuleType], Disarm]:
    """Watch so many items of a dict."""

    def arm(_case: ModuleType) -> Disarm:
        import stopwhen

        prices = dict.fromkeys(range(count), 0)
        scope = {"prices": prices}
        return _all([stopwhen.changes(f"prices[{key}]", scope=scope, action="count") for key in prices])

    return arm


def lists(count: int) -> Callable[[ModuleType], Disarm]:
    """Watch so many lists."""

    def arm(_case: ModuleType) -> Disarm:
        import stopwhen

        rows = [[number] for number in range(count)]
        return _all([stopwhen.changes("row", scope={"row": row}, action="count") for row in rows])

    return arm


def nested_lists(count: int) -> Callable[[ModuleType], Disarm]:
    """Watch so many lists by watchpoints on lists of some thousand."""

    def arm(_case: ModuleType) -> Disarm:
        import stopwhen

        tables = [[[number] for number in range(5_000)] for _ in range(count // 5_000)]
        return _all([stopwhen.changes("rows", scope={"rows": rows}, depth=2, action="count") for rows in tables])

    return arm


def long_list(length: int) -> Callable[[ModuleType], Disarm]:
    """Watch a list of so many items."""

    def arm(_case: ModuleType) -> Disarm:
        import stopwhen

        return _all([stopwhen.changes("rows", scope={"rows": [None] * length}, action="count")])

    return arm


def local(_case: ModuleType) -> Disarm:
    """Watch a local in every call of a function that the workload does not call."""
    import stopwhen

    return stopwhen.changes("total", scope=elsewhere, action="count").remove


def shared_variable(_case: ModuleType) -> Disarm:
    """Watch a variable that functions share where it is a local: of a generator that stands still meanwhile."""
    import stopwhen

    found = []

    def standing() -> Iterator[None]:
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        found.append(stopwhen.changes("count", action="count"))
        yield step

    stands = standing()
    return _all(found, stands, next(stands))


def instances(count: int) -> Callable[[ModuleType], Disarm]:
    """Watch an attribute in every instance of a class that has so many."""

    def arm(_case: ModuleType) -> Disarm:
        import stopwhen

        alive = [Account() for _ in range(count)]
        return _all([stopwhen.changes("self.balance", scope=Account, action="count")], alive)

    return arm


VARIANTS: dict[str, Callable[[ModuleType], Disarm]] = {
    "untouched": untouched,
    "stopwhen-global": stopwhen_global,
    "stopwhen-sys-path": stopwhen_sys_path,
    "stopwhen-getter": stopwhen_getter,
    "settrace": settrace,
    "watchpoints": watchpoints,
    "bdb": bdb_condition,
    **{f"dict-items-{count}": dict_items(count) for count in (1, 10, 100, 1000)},
    **{f"lists-{count}": lists(count) for count in (1, 10, 100, 1000)},
    "nested-lists-100000": nested_lists(100_000),
    **{f"list-of-{length}": long_list(length) for length in (6, 1_000_000)},
    "local": local,
    "shared-variable": shared_variable,
    "instances-10000": instances(10_000),
}


def main(case_name: str, variant: str) -> None:
    """Run the workload and print its time; only `run` is inside the measured time."""
    sys.path.insert(0, str(Path(__file__).parent / "cases"))
    case = importlib.import_module(case_name)
    disarm = VARIANTS[variant](case)
    start = time.process_time()
    result = case.run(1)
    seconds = time.process_time() - start
    disarm()
    print(json.dumps({"seconds": seconds, "result": result}))


if __name__ == "__main__":
    main(*sys.argv[1:])
