"""Measure what a change of watched data costs: one that is no hit, one that is counted, one that acts.

Every sample is a process of its own: a loop that changes one piece of data, in microseconds a change, less those of the
same loop in the untouched sample of its own round. The variants take turns.
A variant that has not seen the changes is left out.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from overhead import describe

HERE = Path(__file__).parent
KINDS = {
    "global": "x",
    "attribute": "thing.x",
    "dict item": "entries['x']",
    "slot": "slotted.x",
    "list item": "items[1]",
    "local": "x",
    "shared variable": "x",
    "list": "stack",
    "list of a million": "many",
    "os.environ": "os.environ",
}
OURS = ("no hit", "count", "callable", "log")
VARIANTS = (*OURS, "settrace", "watchpoints")
OTHERS_CANNOT = ("local", "shared variable")
OTHERS_TAKE_LONG = ("list of a million",)
CHANGES = {"no hit": 10_000, "count": 10_000, "untouched": 20_000, "callable": 1_000, "log": 400}
FEW_CHANGES = 400  # of the variants that are not ours
HEAVY = ("list", "list of a million", "os.environ")
"""Data with content, of which old and new are told by their texts."""

x = 0
entries = {"x": 0}
items = [0, 0]
stack: list[int] = []
many: list[int] = []


class Thing:
    """An object with attributes."""


class Slotted:
    """An object with slots."""

    __slots__ = ("x",)


thing = Thing()
thing.x = 0  # type: ignore[attr-defined]
slotted = Slotted()
slotted.x = 0


def change_global(count: int) -> None:
    """Change a global."""
    global x  # noqa: PLW0603 - it is what is measured
    for number in range(count):
        x = number


def change_attribute(count: int) -> None:
    """Change an attribute."""
    owner: Any = thing
    for number in range(count):
        owner.x = number


def change_dict_item(count: int) -> None:
    """Change an item of a dict."""
    owner = entries
    for number in range(count):
        owner["x"] = number


def change_slot(count: int) -> None:
    """Change what a slot holds."""
    owner = slotted
    for number in range(count):
        owner.x = number


def change_list_item(count: int) -> None:
    """Change an item of a list."""
    owner = items
    for number in range(count):
        owner[1] = number


def change_local(count: int) -> None:
    """Change a local."""
    x = 0
    for number in range(count):
        x = number  # noqa: F841 - it is watched


def change_shared_variable(count: int) -> None:
    """Change a variable that functions share."""
    x = 0

    def inner() -> None:
        nonlocal x
        for number in range(count):
            x = number

    inner()


def change_list(count: int) -> None:
    """Change the content of a list."""
    owner = stack
    for number in range(count // 2):
        owner.append(number)
        owner.pop()


def change_list_of_a_million(count: int) -> None:
    """Change the content of a long list: at its end, and one item."""
    owner = many
    for number in range(count // 4):
        owner.append(number)
        owner[3] = number
        owner[3] = -1
        owner.pop()


def change_os_environ(count: int) -> None:
    """Change an environment variable."""
    owner = os.environ
    for number in range(count):
        owner["STOPWHEN_MEASURED"] = str(number)


def changer(kind: str) -> Callable[[int], None]:
    """Return the function that changes data of a kind."""
    found: Callable[[int], None] = globals()[f"change_{kind.replace(' ', '_').replace('.', '_')}"]
    return found


def watch(kind: str, variant: str) -> Callable[[], int]:
    """Watch data of a kind; return what says how many changes have been seen."""
    seen = itertools.count()
    if kind == "list of a million":
        many.extend(range(1_000_000))
    if variant == "settrace":
        sys.settrace(trace_function(reader(kind), seen))
    elif variant == "watchpoints":
        watch_by_watchpoints(kind, seen)
    elif variant != "untouched":
        import stopwhen

        function = changer(kind)
        actions: dict[str, Any] = {"no hit": "count", "callable": lambda _hit: next(seen)}
        watchpoint = stopwhen.changes(
            KINDS[kind],
            scope=function if kind in OTHERS_CANNOT else sys.modules[__name__],
            condition="new < 0" if variant == "no hit" and kind not in HEAVY else None,
            hit_condition="<0" if variant == "no hit" and kind in HEAVY else None,
            action=actions.get(variant, variant),
        )
        if variant != "callable":
            return lambda: int(watchpoint.count)
    return lambda: next(seen)


def reader(kind: str) -> Callable[[], Any]:
    """Return what reads the value that a trace function compares."""
    found: dict[str, Callable[[], Any]] = {
        "global": lambda: x,
        "attribute": lambda: thing.x,  # type: ignore[attr-defined]
        "dict item": lambda: entries["x"],
        "slot": lambda: slotted.x,
        "list item": lambda: items[1],
        "list": lambda: list(stack),
        "os.environ": lambda: os.environ.get("STOPWHEN_MEASURED"),
    }
    return found[kind]


def trace_function(read: Callable[[], Any], seen: Iterator[int]) -> Any:
    """Return the trace function that looks at the value on every line."""
    last = read()

    def trace(_frame: Any, _event: str, _argument: Any) -> Any:
        nonlocal last
        now = read()
        if now != last:
            last = now
            next(seen)
        return trace

    return trace


def watch_by_watchpoints(kind: str, seen: Iterator[int]) -> None:
    """Watch by the package watchpoints, which reads what it is to watch in the line that calls it."""
    from watchpoints import watch

    watch.config(callback=lambda *_: next(seen), file=io.StringIO())
    # Names that are no locals of the frame that calls it, it loses sight of.
    content: Any = stack if kind == "list" else os.environ
    if kind == "global":
        watch(x)
    elif kind == "attribute":
        watch(thing.x)  # type: ignore[attr-defined]
    elif kind == "dict item":
        watch(entries["x"])
    elif kind == "slot":
        watch(slotted.x)
    elif kind == "list item":
        watch(items[1])
    else:
        watch(content)


def sample(kind: str, variant: str) -> float:
    """Return the microseconds that one change takes.

    Raises:
        SystemExit: the variant has not seen the changes.
    """
    count = CHANGES.get(variant, FEW_CHANGES)
    count = count // 5 if kind in HEAVY and variant in OURS else count
    changes_seen = watch(kind, variant)
    run = changer(kind)
    run(count // 10)
    before = changes_seen()
    begun = time.process_time()
    run(count)
    taken = time.process_time() - begun
    sys.settrace(None)
    if variant in VARIANTS[1:] and changes_seen() - before < count * 0.99:
        sys.exit(f"{variant} has not seen the changes of {kind}: {changes_seen() - before} of {count}")
    return taken / count * 1e6


def measure(python: str, kinds: list[str], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return, for each kind, the microseconds a change of each variant; a variant that does not work has none."""
    results: dict[str, dict[str, list[float]]] = {kind: {} for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            plain = None
            for variant in ("untouched", *VARIANTS):
                if variant not in OURS and variant != "untouched" and kind in (*OTHERS_CANNOT, *OTHERS_TAKE_LONG):
                    continue
                command = [python, __file__, "--sample", kind, variant]
                finished = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
                if finished.returncode != 0:
                    continue
                taken = float(finished.stdout.split()[-1])
                plain = taken if variant == "untouched" else plain
                if variant != "untouched" and plain is not None:
                    results[kind].setdefault(variant, []).append(taken - plain)
    for kind, series in results.items():
        told = (f"{name} {statistics.median(taken):.2f}" for name, taken in series.items())
        print(f"  {kind:16}", *told, sep="  ", flush=True)
    return results


def main() -> None:
    """Measure on each interpreter asked for and write benchmarks/results/changes-<version>.json and the tables."""
    parser = argparse.ArgumentParser(description="Measure what a change of watched data costs.")
    parser.add_argument("--python", action="append", help="interpreter with stopwhen installed (default: this)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--no-save", action="store_true", help="write no file")
    parser.add_argument("--sample", nargs=2, metavar=("KIND", "VARIANT"), help="measure once, in this process")
    options = parser.parse_args()
    if options.sample:
        print(sample(*options.sample))
        return
    for python in options.python or [sys.executable]:
        about = describe(python)
        version = ".".join(about["python"].split(".")[:2])
        print(f"Python {about['python']}, commit {about['commit']}", flush=True)
        results = measure(python, options.kind or list(KINDS), options.rounds)
        if not options.no_save:
            path = HERE / "results" / f"changes-{version}.json"
            rounded = {
                kind: {name: [round(one, 2) for one in taken] for name, taken in series.items()}
                for kind, series in results.items()
            }
            path.write_text(json.dumps({**about, "rounds": options.rounds, "kinds": rounded}, indent=1) + "\n")
            print(f"written to {path.relative_to(HERE.parent)}")
    if not options.no_save:
        subprocess.run([sys.executable, HERE / "table.py"], check=True)


if __name__ == "__main__":
    main()
