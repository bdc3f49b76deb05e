"""Measure what a change of watched data costs: one that is no hit, one that is counted, one that acts.

Every sample is a process of its own: a loop that changes one piece of data, in microseconds a change, less those of the
same loop in the untouched sample of its own round. The variants take turns.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
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
}
VARIANTS = ("no hit", "count", "callable", "log", "settrace", "watchpoints")
CHANGES = {"no hit": 20_000, "count": 20_000, "untouched": 20_000, "callable": 1_000, "log": 300}
FEW_CHANGES = 300  # of the variants that are not ours

x = 0
entries = {"x": 0}
items = [0, 0]


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


def changer(kind: str) -> Callable[[int], None]:
    """Return the function that changes data of a kind."""
    found: Callable[[int], None] = globals()[f"change_{kind.replace(' ', '_')}"]
    return found


def watch(kind: str, variant: str) -> None:
    """Watch data of a kind."""
    function = changer(kind)
    if variant == "settrace":
        sys.settrace(_trace_function())
    elif variant == "watchpoints":
        import watchpoints

        watchpoints.watch.config(callback=lambda *_: None, file=io.StringIO())
        watchpoints.watch(x, track="variable")
    elif variant != "untouched":
        import stopwhen

        actions: dict[str, Any] = {"no hit": "count", "callable": lambda _hit: None}
        stopwhen.changes(
            KINDS[kind],
            scope=function if kind in ("local", "shared variable") else sys.modules[__name__],
            condition="new < 0" if variant == "no hit" else None,
            action=actions.get(variant, variant),
        )


def _trace_function() -> Any:
    """Return the trace function that looks at the value on every line."""
    last = x

    def trace(_frame: Any, _event: str, _argument: Any) -> Any:
        nonlocal last
        if x != last:
            last = x
        return trace

    return trace


def sample(kind: str, variant: str) -> float:
    """Return the microseconds that one change takes."""
    count = CHANGES.get(variant, FEW_CHANGES)
    watch(kind, variant)
    run = changer(kind)
    run(count // 10)
    begun = time.process_time()
    run(count)
    return (time.process_time() - begun) / count * 1e6


def measure(python: str, kinds: list[str], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return, for each kind, the microseconds a change of each variant; a variant that does not work has none."""
    results: dict[str, dict[str, list[float]]] = {kind: {} for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            plain = None
            for variant in ("untouched", *VARIANTS):
                if variant in ("settrace", "watchpoints") and kind != "global":
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
    """Measure on each interpreter asked for and write benchmarks/results/changes-<version>.json."""
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
            path.write_text(json.dumps({**about, "rounds": options.rounds, "kinds": results}, indent=1) + "\n")
            print(f"written to {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
