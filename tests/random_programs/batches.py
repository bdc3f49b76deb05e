"""Batches of random programs: what one process is given at a time."""

from __future__ import annotations

import faulthandler
from dataclasses import dataclass, field

from random_programs import KINDS
from random_programs.running import compare
from random_programs.shrinking import shrunk
from random_programs.writing import Program

LONGEST_SECONDS = 600


@dataclass
class Batch:
    """What came of some programs of one kind."""

    programs: int = 0
    statements: int = 0
    hits: int = 0
    late: int = 0
    disagreements: list[str] = field(default_factory=list)


def run_batch(kind: str, first: int, count: int) -> Batch:
    """Run the programs of `kind` with `count` seeds from `first` on."""
    faulthandler.dump_traceback_later(LONGEST_SECONDS, exit=True)
    batch = Batch()
    for seed in range(first, first + count):
        program = KINDS[kind](seed)
        comparison = compare(program)
        batch.programs += 1
        batch.statements += comparison.statements
        batch.hits += comparison.hits
        batch.late += comparison.late
        if comparison.difference is not None:
            faulthandler.cancel_dump_traceback_later()
            batch.disagreements.append(told(kind, seed, program, comparison.difference))
    faulthandler.cancel_dump_traceback_later()
    return batch


def told(kind: str, seed: int, program: Program, difference: str) -> str:
    """Return a disagreement as a person wants to see it: on a program as small as possible."""
    small = shrunk(program, disagrees)
    now = compare(small).difference or "(not again)\n" + difference
    return f"==== {kind} {seed}\n{small}# ---- differs\n{now}\n"


def disagrees(program: Program) -> bool:
    """Return whether a program still shows a disagreement; one that cannot be set up shows nothing."""
    try:
        difference = compare(program).difference
    except Exception:
        return False
    # What cannot be watched any more, since its function has been taken out, shows nothing either.
    return difference is not None and not difference.startswith("Traceback")
