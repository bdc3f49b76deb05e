"""Runs many random programs on all processors, says how far it is, and shows where mechanisms disagree."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from random_programs import KINDS
from random_programs.batches import Batch, run_batch
from random_programs.running import MECHANISMS

BATCH = 20
EVERY_SECONDS = 20
MOST_SHOWN = 10


def main() -> int:
    """Run as many programs as wanted, and return the exit status."""
    parser = argparse.ArgumentParser(prog="random_programs", description="Random programs against the oracle.")
    parser.add_argument("--programs", type=int, default=0, help="how many")
    parser.add_argument("--statements", type=int, default=0, help="go on until so many statements were watched")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only such programs (repeatable)")
    parser.add_argument("--seed", type=int, help="of the first program; else another one each time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many processes")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if options.seed is None else options.seed
    kinds = options.kind or list(KINDS)
    start = time.monotonic()
    print(f"seed {seed}; {', '.join(kinds)}; recheck against {', '.join(MECHANISMS)}", file=sys.stderr, flush=True)
    total, by_kind, late = Batch(), Counter[str](), Counter[str]()
    told_at = start
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        running: dict[Future[Batch], tuple[str, int]] = {}
        begun = 0

        def is_enough() -> bool:
            if options.statements:
                return total.statements >= options.statements
            return begun >= (options.programs or 1000)

        while True:
            while not is_enough() and len(running) < 2 * options.jobs:
                kind = kinds[begun // BATCH % len(kinds)]
                running[pool.submit(run_batch, kind, seed + begun, BATCH)] = kind, seed + begun
                begun += BATCH
            if not running:
                break
            done = next(as_completed(running))
            kind, first = running.pop(done)
            try:
                batch = done.result()
            except BrokenProcessPool:
                lost = [f"{kind} {first}", *(f"{kind} {first}" for kind, first in running.values())]
                print(f"a process died, amid one of these batches: {', '.join(lost)}", file=sys.stderr)
                return 2
            total.programs += batch.programs
            total.statements += batch.statements
            total.hits += batch.hits
            total.late += batch.late
            total.disagreements += batch.disagreements
            by_kind[kind] += batch.statements
            late[kind] += batch.late
            for text in batch.disagreements:
                if len(total.disagreements) <= MOST_SHOWN:
                    print(text, flush=True)
            if time.monotonic() - told_at > EVERY_SECONDS:
                told_at = time.monotonic()
                print(f"{told_at - start:.0f} s: {summary(total)}", file=sys.stderr, flush=True)
    print(f"{time.monotonic() - start:.0f} s: {summary(total)}")
    print("statements:", ", ".join(f"{kind} {number:,}" for kind, number in by_kind.items()))
    for kind, number in late.items():
        if number:
            print(f"{kind}: 1 in {by_kind[kind] / number:.1f} statements in a finaliser, callback or signal handler")
    return 1 if total.disagreements else 0


def summary(total: Batch) -> str:
    """Say what has been done."""
    return (
        f"{total.programs:,} programs, {total.statements:,} statements, watched by each of {len(MECHANISMS)} mechanisms and judged "
        f"by the oracle, or by the values that they write, {total.hits:,} hits, {len(total.disagreements)} disagreements"
    )


if __name__ == "__main__":
    sys.exit(main())
