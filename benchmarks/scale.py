"""Measure what many watchpoints cost a program that never changes what they watch, and those on other code."""

from __future__ import annotations

import argparse
import json
import sys

from overhead import CASES, HERE, describe, measure

COUNTS = (1, 10, 100, 1000)
VARIANTS = (
    *(f"dict-items-{count}" for count in COUNTS),
    *(f"lists-{count}" for count in COUNTS),
    "local",
    "shared-variable",
    "instances-10000",
)


def main() -> None:
    """Measure on each interpreter asked for and write benchmarks/results/scale-<version>.json."""
    parser = argparse.ArgumentParser(description="Measure what many watchpoints cost.")
    parser.add_argument(
        "--python", action="append", help="interpreter with stopwhen installed (repeatable; default: this)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="samples of each variant")
    parser.add_argument("--case", action="append", choices=CASES, help="only this workload (repeatable)")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="only this variant (repeatable)")
    parser.add_argument("--no-save", action="store_true", help="write no file")
    options = parser.parse_args()
    variants = ["untouched", *(options.variant or VARIANTS)]
    for python in options.python or [sys.executable]:
        about = describe(python)
        if about["python"].startswith("3.11.") and options.variant is None:
            variants.remove("instances-10000")  # needs dict watchers
        print(f"Python {about['python']}, commit {about['commit']}", flush=True)
        results = measure(python, options.case or CASES, variants, options.rounds)
        if not options.no_save:
            version = ".".join(about["python"].split(".")[:2])
            path = HERE / "results" / f"scale-{version}.json"
            path.write_text(json.dumps({**about, "rounds": options.rounds, "cases": results}, indent=1) + "\n")
            print(f"written to {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
