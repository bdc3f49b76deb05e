"""Runs CPython's own tests plainly and while unrelated data is watched: each must go as it went.

usage: compare.py [MODULE...]

The interpreter that runs this is the one that is tested. It needs the package `test`, which some distributions leave
out. What goes another way is run once more, both ways: some tests go one way or the other by themselves.
"""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RUNNER = Path(__file__).with_name("run.py")
TIMEOUT = 600

MODULES = """
    test_dict test_list test_set test_tuple test_deque test_ordered_dict test_userdict test_userlist test_defaultdict
    test_descr test_class test_property test_super test_metaclass test_subclassinit test_dynamicclassattribute
    test_generators test_yield_from test_generator_stop test_coroutines test_asyncgen test_contextlib test_with
    test_exceptions test_raise test_exception_group test_except_star test_traceback test_scope test_funcattrs
    test_threading test_thread test_threading_local test_threadsignals test_signal test_weakref test_weakset
    test_gc test_finalization test_pickle test_copy test_copyreg test_shelve test_json test_functools test_itertools
    test_heapq test_bisect test_operator test_array test_memoryview test_bytes test_collections test_enum
    test_dataclasses test_sys test_sys_settrace test_sys_setprofile test_monitoring test_bdb test_frame test_code
    test_compile test_exec test_dynamic test_opcache test_peepholer test_patma test_atexit test_context test_queue
    test_fork1 test_importlib test_import test_runpy test_inspect test_dis test_ctypes
""".split()

EXPECTED = {
    "test.test_monitoring.*": "they take the tool ids 2 to 4 by number, one of which is ours",
    "test.test_dis.*_specialize: *": "they look at the instructions as they run, which events replace",
    "test.test_dis.*_quicken: *": "as above",
    "test.test_dis.*_super_instructions: *": "as above",
    "test.test_frame.*.test_sneaky_frame_object: *": "any trace function, such as ours on 3.11, has frames made",
    "test.test_sys_settrace.*.test_reentrancy: *": "it has a trace function freed as another is set; ours is between",
    "test.test_code: ended with status -11": "its function that frees what code objects carry is of ctypes, gone at "
    "exit before the code objects: any tool that lets these carry something meets it",
}
"""Why tests go another way by the very fact that they are watched: by pattern of their name and of how they go."""


@dataclass
class Run:
    """How a module went: outcomes by test, and how the process ended if not as it should."""

    tests: dict[str, list[str]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run(kind: str, module: str) -> Run:
    """Run a module in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.json"
        work = Path(folder) / "work"
        work.mkdir()
        start = time.perf_counter()
        try:
            process = subprocess.run(
                [sys.executable, "-X", "faulthandler", str(RUNNER), kind, module, str(path)],
                cwd=work,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=TIMEOUT,
                env={**os.environ, "PYTHONHASHSEED": "0"},
            )
        except subprocess.TimeoutExpired as late:
            return Run(mistakes=[f"not done after {TIMEOUT} s, in {_last_line(late.stderr)}"])
        seconds = time.perf_counter() - start
        if not path.exists():
            end = process.stderr.decode(errors="backslashreplace")[-2000:]
            return Run(mistakes=[f"ended with status {process.returncode}: {end}"], seconds=seconds)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        mistakes = found.pop("mistakes")
        if process.returncode != 0:
            mistakes.append(f"ended with status {process.returncode}")
        return Run(**found, mistakes=mistakes, seconds=seconds)


def _last_line(text: bytes | None) -> str:
    return (text or b"").decode(errors="backslashreplace").rstrip().rpartition("\n")[2]


def differences(module: str, plain: Run, watched: Run) -> dict[str, str]:
    """Return, for each test of `module` that went another way, how; under the module's name, how the whole did."""
    found = {
        name: f"{_words(plain.tests.get(name))} plainly, {_words(watched.tests.get(name))} watched"
        for name in {**plain.tests, **watched.tests}
        if sorted(plain.tests.get(name, [])) != sorted(watched.tests.get(name, []))
    }
    if watched.mistakes and watched.mistakes != plain.mistakes:
        found[module] = "; ".join(watched.mistakes)
    return found


def _words(outcomes: list[str] | None) -> str:
    return "not run" if outcomes is None else ", ".join(sorted(set(outcomes)))


def is_expected(name: str, how: str) -> bool:
    """Return whether a test goes another way by the way of running."""
    return any(fnmatch.fnmatchcase(f"{name}: {how}", pattern) for pattern in EXPECTED)


def compare(module: str) -> tuple[int, dict[str, str], dict[str, str]]:
    """Return how many tests a module has, what went another way without a reason, and what with one."""
    name = f"test.{module}"
    plain, watched = run("plain", module), run("watched", module)
    found = differences(name, plain, watched)
    if not all(is_expected(*one) for one in found.items()):
        plain, watched = run("plain", module), run("watched", module)
        again = differences(name, plain, watched)
        found = {name: how for name, how in again.items() if name in found}
    known = {name: how for name, how in found.items() if is_expected(name, how)}
    others = {name: f"{how}\n{watched.said.get(name, '')}".rstrip() for name, how in found.items() if name not in known}
    return len(plain.tests), others, known


def main(modules: list[str]) -> int:
    """Compare `modules` and print the outcome; return the exit status."""
    total = failed = explained = 0
    for module in modules:
        start = time.perf_counter()
        count, found, known = compare(module)
        total += count
        failed += len(found)
        explained += len(known)
        state = "the same" if not found else f"{len(found)} other"
        print(f"{module:28} {count:5} tests  {state}  ({time.perf_counter() - start:.0f} s)", flush=True)
        for name, how in found.items():
            print(f"  {name}: {how}", flush=True)
    print(f"{total} tests of {len(modules)} modules: {failed} went another way, {explained} more for a known reason")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or MODULES))
