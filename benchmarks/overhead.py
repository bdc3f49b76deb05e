"""Measure what watching costs a program that never changes the watched data, beside other ways to watch.

Every sample is a process of its own and measures the workload alone. The samples of one round run one after another,
and each is compared with the untouched sample of its own round, so that a machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES = sorted(path.stem for path in (HERE / "cases").glob("*.py"))
VARIANTS = ("untouched", "stopwhen-global", "stopwhen-sys-path", "stopwhen-getter", "settrace", "watchpoints", "bdb")
SLOW = {"watchpoints", "bdb"}
SLOW_ROUNDS = 1
LIMIT_SECONDS = 300


def sample(python: str, case: str, variant: str) -> dict[str, Any]:
    """Return `seconds` and `result` of one run, or `broken` with the reason why there are none."""
    try:
        finished = subprocess.run(
            [python, HERE / "one_run.py", case, variant],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"broken": f"not done after {LIMIT_SECONDS} s"}
    if finished.returncode != 0:
        lines = finished.stderr.strip().splitlines() or [f"exit status {finished.returncode}"]
        return {"broken": lines[-1]}
    return json.loads(finished.stdout.splitlines()[-1])


def measure(python: str, cases: list[str], variants: list[str], rounds: int) -> dict[str, dict[str, Any]]:
    """Return, for each case, the samples of each variant; None stands for a round that a slow variant sat out."""
    results: dict[str, dict[str, Any]] = {}
    for case in cases:
        series: dict[str, list[float | None]] = {variant: [] for variant in variants}
        broken: dict[str, str] = {}
        expected = None
        for number in range(rounds):
            for variant in variants:
                if variant in broken:
                    continue
                if variant in SLOW and number >= SLOW_ROUNDS:
                    series[variant].append(None)
                    continue
                found = sample(python, case, variant)
                if "broken" not in found:
                    expected = found["result"] if expected is None else expected
                    if found["result"] != expected:
                        found = {"broken": f"the workload came to {found['result']!r}, not {expected!r}"}
                if "broken" in found:
                    if variant == "untouched":
                        sys.exit(f"{case} fails untouched: {found['broken']}")
                    broken[variant] = found["broken"]
                    print(f"  {case} {variant}: {found['broken']}", file=sys.stderr)
                else:
                    series[variant].append(found["seconds"])
        results[case] = {"seconds": {v: s for v, s in series.items() if v not in broken}, "broken": broken}
        print(f"  {case:12}", *summary(results[case]), sep="  ", flush=True)
    return results


def ratios(seconds: dict[str, list[float | None]], variant: str) -> list[float]:
    """Return the ratio of each sample of a variant to the untouched sample of its round."""
    pairs = zip(seconds[variant], seconds["untouched"], strict=False)
    return [watched / untouched for watched, untouched in pairs if watched is not None and untouched is not None]


def summary(result: dict[str, Any]) -> list[str]:
    """Return a text for each variant: the median ratio and its range."""
    texts = []
    for variant in result["seconds"]:
        values = ratios(result["seconds"], variant)
        if variant == "untouched":
            texts.append(f"untouched {statistics.median(result['seconds'][variant]):.2f} s")
        else:
            texts.append(f"{variant} {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
    return texts


def describe(python: str) -> dict[str, Any]:
    """Return what the numbers depend on: interpreter, machine, versions, commit."""
    code = (
        "import json, platform, importlib.metadata as m, importlib.util as u\n"
        "watchpoints = m.version('watchpoints') if u.find_spec('watchpoints') else None\n"
        "core = getattr(u.find_spec('stopwhen._core'), 'origin', None) is not None\n"
        "print(json.dumps(dict(python=platform.python_version(), build=platform.python_compiler(),"
        " watchpoints=watchpoints, compiled=core)))"
    )
    found = json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)
    git = ["git", "-C", HERE, "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        **found,
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores",
        "commit": commit,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }


def main(name: str, description: str, variants: Sequence[str], *, rounds: int) -> None:
    """Measure on each interpreter asked for and write benchmarks/results/<name>-<version>.json.

    Args:
        name: what is measured.
        description: the same for `--help`.
        variants: all but the untouched one.
        rounds: how many, unless the command line says otherwise.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--python", action="append", help="interpreter with stopwhen installed (repeatable; default: this)"
    )
    parser.add_argument("--rounds", type=int, default=rounds, help="samples of each variant (slow ones: 1)")
    parser.add_argument("--case", action="append", choices=CASES, help="only this workload (repeatable)")
    parser.add_argument("--variant", action="append", choices=variants, help="only this variant (repeatable)")
    parser.add_argument("--no-save", action="store_true", help="write no file")
    options = parser.parse_args()
    for python in options.python or [sys.executable]:
        about = describe(python)
        version = ".".join(about["python"].split(".")[:2])
        chosen = options.variant or variants
        print(f"Python {about['python']}, commit {about['commit']}", flush=True)
        results = measure(python, options.case or CASES, ["untouched", *chosen], options.rounds)
        if not options.no_save:
            path = HERE / "results" / f"{name}-{version}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({**about, "rounds": options.rounds, "cases": results}, indent=1) + "\n")
            print(f"written to {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main("overhead", "Measure what watching costs.", VARIANTS[1:], rounds=7)
