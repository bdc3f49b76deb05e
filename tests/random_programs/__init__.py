"""Random programs, which have the same hits under every mechanism as under recheck in pure Python, the oracle.

`python -m random_programs --programs 5000` runs that many, other ones each time; `make random` does.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from random_programs import (
    data_programs,
    function_programs,
    instance_programs,
    late_programs,
    nested_programs,
    object_programs,
    task_programs,
    thread_programs,
)
from random_programs.writing import Program
from stopwhen import env

KINDS: dict[str, Callable[[int], Program]] = {
    "data": data_programs.program,
    "functions": function_programs.program,
    "objects": object_programs.program,
    "switching": object_programs.switching_program,
    "tasks": task_programs.program,
    "threads": thread_programs.program,
}
if env.core is not None:
    KINDS["instances"] = instance_programs.program
    # In pure Python finalisers run below our frames: at other times, and unseen but for what is left in the end.
    KINDS["finalisers"] = late_programs.finaliser_program
    KINDS["gc"] = late_programs.collected_program
    KINDS["nested"] = nested_programs.program
    if hasattr(signal, "SIGUSR1"):
        KINDS["signals"] = late_programs.signal_program
