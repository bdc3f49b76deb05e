"""Measure what starting costs: how much longer an empty program takes from start to exit when data in it is watched."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from overhead import describe

HERE = Path(__file__).parent
RUN = ("run", "--changes", "sys.path", "-c", "pass")
VARIANTS = {
    "plain": ("-c", "pass"),
    "import": ("-c", "import stopwhen"),
    "armed": ("-c", "import stopwhen, sys; stopwhen.changes('sys.path')"),
    "python -m stopwhen run": ("-m", "stopwhen", *RUN),
    "stopwhen run": ("stopwhen", *RUN),
}
"""What each does; a word without a dash is a script beside the interpreter."""


def sample(python: str, variant: str) -> float:
    """Return the milliseconds that one process takes."""
    first, *words = VARIANTS[variant]
    script = [] if first.startswith("-") else [str(Path(python).parent / first)]
    command = [python, *(script or [first]), *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - start)


def measure(python: str, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of each variant; they take turns. A round more, at first, writes .pyc files."""
    taken: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for number in range(rounds + 1):
        for variant, series in taken.items():
            milliseconds = sample(python, variant)
            if number:
                series.append(round(milliseconds, 2))
    return taken


def differences(taken: dict[str, list[float]], variant: str) -> list[float]:
    """Return what each sample of a variant took more than the plain one of its round."""
    return [one - plain for one, plain in zip(taken[variant], taken["plain"], strict=True)]


def main() -> None:
    """Measure on each interpreter asked for and write benchmarks/results/start-<version>.json and the tables."""
    parser = argparse.ArgumentParser(description="Measure what starting costs.")
    parser.add_argument("--python", action="append", help="interpreter with stopwhen installed (default: this)")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--no-save", action="store_true", help="write no file")
    options = parser.parse_args()
    for python in options.python or [sys.executable]:
        about = describe(python)
        version = ".".join(about["python"].split(".")[:2])
        print(f"Python {about['python']}, commit {about['commit']}", flush=True)
        taken = measure(python, options.rounds)
        for variant in VARIANTS:
            more = differences(taken, variant)
            text = f"{statistics.median(more):.1f} ms more ({min(more):.1f} to {max(more):.1f})"
            print(f"  {variant:24}{text if any(more) else f'{statistics.median(taken[variant]):.1f} ms'}")
        if not options.no_save:
            path = HERE / "results" / f"start-{version}.json"
            path.write_text(json.dumps({**about, "rounds": options.rounds, "milliseconds": taken}) + "\n")
            print(f"written to {path.relative_to(HERE.parent)}")
    if not options.no_save:
        subprocess.run([sys.executable, HERE / "table.py"], check=True)


if __name__ == "__main__":
    main()
