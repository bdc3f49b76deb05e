"""Runs the suites of real projects plainly and while data is watched, and compares: `make field`.

usage: run.py [--few] [--no-graph] [--no-oracle] [--folder FOLDER] [SUITE...]

Each suite runs five times, with the interpreter that runs this, in a virtual environment made for it below FOLDER
(build/field): plainly, watched, plainly, under the oracle (a trace function that finds out for itself which lines
change the data), and with a graph watched. Wanted: the same outcome of every test and the same exit status; every hit
on a line that the oracle saw change that data, as often as it did. The ratio is of processor time, to the slower plain
run.

  --few        some of each suite's tests, which take seconds
  --no-graph   leave the run with a graph out
  --no-oracle  leave the oracle out, which takes most of the time
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suites import SUITES, Data, Suite

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROCESS = ("sys.path", "os.environ", "warnings.filters")
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
TIMEOUT = 3600
MOST_DIFFERENCES = 10
BOUND, GRAPH_BOUND = (2, 4) if sys.version_info >= (3, 12) else (5, 5)

Place = tuple[str, int, str]


@dataclass
class Run:
    """How one run went."""

    status: int
    seconds: float
    outcomes: dict[tuple[str, str], str]
    texts: dict[tuple[str, str], str]
    errors: Path


@dataclass
class Row:
    """What the table says of one suite."""

    suite: str
    tests: int = 0
    flaky: int = 0
    ratio: float | None = None
    graph_ratio: float | None = None
    hits: int = 0
    checked: int = 0
    inexact: int = 0
    faults: list[str] = field(default_factory=list)


class Field:
    """One virtual environment, and the suites that run in it."""

    def __init__(self, folder: Path, *, few: bool) -> None:
        self.folder = folder
        self.few = few
        self.python = folder / f"environment-{VERSION}" / ("Scripts" if os.name == "nt" else "bin") / "python"
        self.sources = folder / "sources"
        self.results = folder / f"results-{VERSION}"
        self.results.mkdir(parents=True, exist_ok=True)

    def prepare(self, suite: Suite) -> Path:
        """Install what `suite` needs; return the folder that its tests run in."""
        if not self.python.exists():
            say(f"making {self.python.parent.parent}")
            check(sys.executable, "-m", "venv", str(self.python.parent.parent))
        wanted = [suite.project, *suite.extras]
        wanted += [] if suite.name == "pytest" else [next(one.project for one in SUITES if one.name == "pytest")]
        stamp = self.python.parents[1] / f".{suite.name}"
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != repr(wanted):
            say(f"installing {' '.join(wanted)}")
            self.pip("install", *wanted)
            stamp.write_text(repr(wanted), encoding="utf-8")
        self.install_stopwhen()
        return self.results if suite.packaged else self.unpacked(suite)

    def install_stopwhen(self) -> None:
        """Install the package in place, anew where its C module has changed."""
        stamp = self.python.parents[1] / ".stopwhen"
        built = [ROOT / "pyproject.toml", ROOT / "setup.py", *(ROOT / "src/stopwhen/_core").rglob("*.[ch]")]
        if not stamp.exists() or stamp.stat().st_mtime < max(file.stat().st_mtime for file in built):
            self.pip("install", "-e", str(ROOT))
            stamp.touch()

    def unpacked(self, suite: Suite) -> Path:
        """Return the unpacked source archive of a project."""
        name, _, version = suite.project.partition("==")
        folder = self.sources / f"{name}-{version}"
        if not folder.exists():
            say(f"fetching the source archive of {suite.project}")
            self.pip("download", "--no-deps", "--no-binary", name, "--dest", str(self.sources), suite.project)
            with tarfile.open(self.sources / f"{folder.name}.tar.gz") as archive:
                archive.extractall(self.sources, filter="data")
        return folder

    def pip(self, command: str, *arguments: str) -> None:
        """Run pip of the virtual environment."""
        check(str(self.python), "-m", "pip", "--disable-pip-version-check", command, "--quiet", *arguments)

    def run(self, suite: Suite, folder: Path, kind: str, before: Sequence[str]) -> Run:
        """Run the suite's tests; `before` comes between the interpreter and `-m pytest`."""
        outcomes = self.results / f"{suite.name}.{kind}.outcomes"
        errors = self.results / f"{suite.name}.{kind}.stderr"
        outcomes.unlink(missing_ok=True)
        arguments = suite.few if self.few else suite.arguments
        command = [
            str(self.python),
            *before,
            "-m",
            "pytest",
            "-p",
            "outcomes",
            "-p",
            "no:cacheprovider",
            "-q",
            *arguments,
        ]
        environment = {
            **os.environ, "FIELD_OUTCOMES": str(outcomes), "PYTHONPATH": str(HERE), "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_STORAGE_DIRECTORY": str(self.results / "hypothesis"),
        }  # fmt: skip
        start = time.perf_counter()
        with errors.open("wb") as stderr, errors.with_suffix(".stdout").open("wb") as stdout:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment
            )
            status, seconds = wait(process)
        found, texts = read_outcomes(outcomes)
        took = time.perf_counter() - start
        say(f"{suite.name} {kind}: status {status}, {seconds:.1f} s of processor time, {took:.0f} s")
        return Run(status, seconds, found, texts, errors)

    def compare(self, suite: Suite, *, graph: bool, oracle: bool) -> Row:
        """Run one suite in all its ways, and compare."""
        row = Row(suite.name)
        folder = self.prepare(suite)
        plain = self.run(suite, folder, "plain", [])
        hits = self.results / f"{suite.name}.hits"
        watched = self.run(suite, folder, "watched", watching(hits, [suite.attribute, suite.local]))
        again = self.run(suite, folder, "again", [])
        row.tests = len({name for name, _ in plain.outcomes})
        row.flaky = sum(
            plain.outcomes.get(key) != again.outcomes.get(key) for key in {*plain.outcomes, *again.outcomes}
        )
        slower = max(plain.seconds, again.seconds)
        row.ratio = watched.seconds / slower
        row.faults += differences(plain, again, watched)
        if row.ratio > BOUND:
            row.faults.append(f"watched: {row.ratio:.1f} times, and not {BOUND}")
        found = read_lines(hits)
        row.hits = len(found)
        row.inexact = sum(not hit["exact"] for hit in found)
        if oracle:
            self.check(suite, folder, found, row)
        if graph:
            graph_hits = self.results / f"{suite.name}.graph-hits"
            run = self.run(suite, folder, "graph", watching(graph_hits, [], graph=suite.graph))
            row.graph_ratio = run.seconds / slower
            row.faults += [f"graph: {fault}" for fault in differences(plain, again, run)]
            if row.graph_ratio > GRAPH_BOUND:
                row.faults.append(f"graph: {row.graph_ratio:.1f} times, and not {GRAPH_BOUND}")
        return row

    def check(self, suite: Suite, folder: Path, hits: list[dict[str, Any]], row: Row) -> None:
        """Have the oracle find the lines that change the data, and compare them with those of the hits."""
        data = [request(name, Data(name, "")) for name in PROCESS]
        data += [request(f"{one.expression} in {one.scope}", one) for one in (suite.attribute, suite.local)]
        names = [one["name"] for one in data]
        told: Counter[tuple[str, Place]] = Counter()
        for hit in hits:
            if hit["exact"] and hit["location"] is not None:
                place = hit["location"]
                told[names[hit["watchpoint"] - 1], (place["filename"], place["lineno"], place["function"])] += 1
        functions = sorted({(place[0], place[2]) for _, place in told})
        wanted = self.results / f"{suite.name}.request"
        wanted.write_text(json.dumps({"functions": functions, "data": data}), encoding="utf-8")
        result = self.results / f"{suite.name}.oracle"
        result.unlink(missing_ok=True)
        self.run(suite, folder, "oracle", [str(HERE / "oracle.py"), str(wanted), str(result)])
        seen = Counter((name, (file, line, function)) for name, file, line, function in read_lines(result))
        for key, count in sorted(told.items()):
            name, (file, line, function) = key
            if not seen[key]:
                row.faults.append(
                    f"{name}: {count} hits at {file}:{line} in {function}, where the oracle saw no change"
                )
            else:
                row.checked += min(count, seen[key])
                if count != seen[key]:
                    row.faults.append(f"{name}: {count} hits at {file}:{line} in {function}, of {seen[key]} changes")
        for name, (file, line, function) in sorted(set(seen) - set(told)):
            times = seen[name, (file, line, function)]
            if line > 0:
                row.faults.append(
                    f"{name}: no hit at {file}:{line} in {function}, where the oracle saw {times} changes"
                )
            elif line == 0:
                row.faults.append(f"{name}: the oracle saw {times} changes outside of the functions with hits")


def request(name: str, data: Data) -> dict[str, str]:
    """Return what the oracle is told of some data."""
    module, _, owner = data.scope.partition(":")
    if data.expression.startswith("self."):
        attribute = data.expression.removeprefix("self.")
        found = {"kind": "attribute", "module": module, "class": owner, "attribute": attribute}
        return {"name": name, "depth": data.depth, **found}
    if owner:
        return {"name": name, "kind": "local", "module": module, "function": owner, "variable": data.expression}
    return {"name": name, "kind": "expression", "module": module, "expression": data.expression, "depth": data.depth}


def watching(hits: Path, data: Sequence[Data], graph: Data | None = None) -> list[str]:
    """Return the command line that comes before `-m pytest`."""
    hits.unlink(missing_ok=True)
    line = ["-m", "stopwhen", "run", "--action", "log", "--json", str(hits)]
    if graph is not None:
        return [*line, "--changes", graph.expression, "--scope", graph.scope, "--depth", "all"]
    for name in PROCESS:
        line += ["--changes", name]
    for one in data:
        line += ["--changes", one.expression, "--scope", one.scope, "--depth", one.depth]
    return line


def wait(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Wait for a process; return its status, as subprocess gives it, and its processor time with its children's."""
    before = os.times()
    try:
        status = process.wait(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    after = os.times()
    return status, after.children_user + after.children_system - before.children_user - before.children_system


def read_outcomes(path: Path) -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
    """Return outcomes and errors by test and phase; what happens several times (rerun, subtests) is told in a row."""
    outcomes: dict[tuple[str, str], str] = {}
    texts: dict[tuple[str, str], str] = {}
    for name, phase, outcome, text in read_lines(path):
        outcomes[name, phase] = f"{outcomes[name, phase]} {outcome}" if (name, phase) in outcomes else outcome
        texts[name, phase] = text
    return outcomes, texts


def read_lines(path: Path) -> list[Any]:
    """Return the JSON values of a file, one a line; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def differences(plain: Run, again: Run, watched: Run) -> list[str]:
    """Return what went another way while watched than in two plain runs that agree."""
    found = []
    if watched.status not in (plain.status, again.status):
        found.append(f"ended with status {watched.status}, plainly {plain.status}: {watched.errors}")
    for key in {**plain.outcomes, **watched.outcomes}:
        before, then, now = (run.outcomes.get(key, "not run") for run in (plain, again, watched))
        if now not in (before, then):
            text = watched.texts.get(key, "")
            found.append(f"{key[0]} ({key[1]}): {before} plainly, {now} watched  {text}".rstrip())
    if len(found) > MOST_DIFFERENCES:
        found[MOST_DIFFERENCES:] = [f"... and {len(found) - MOST_DIFFERENCES} more"]
    return found


def check(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def show(rows: Sequence[Row]) -> None:
    """Print the table, and under it what is not as it should be."""
    titles = ("tests", "flaky", "ratio", "graph", "hits", "checked", "inexact")
    print(f"\n{'suite, ' + VERSION:18}" + "".join(f"{title:>9}" for title in titles) + "  outcome")
    for row in rows:
        ratios = ("-" if ratio is None else f"{ratio:.2f}" for ratio in (row.ratio, row.graph_ratio))
        cells = (row.tests, row.flaky, *ratios, row.hits, row.checked, row.inexact)
        outcome = "the same" if not row.faults else f"{len(row.faults)} differences"
        print(f"{row.suite:18}" + "".join(f"{cell:>9}" for cell in cells) + f"  {outcome}")
    for row in rows:
        for fault in row.faults:
            print(f"{row.suite}: {fault}")


def main() -> int:
    """Run the suites that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(suite.name for suite in SUITES))
    parser.add_argument("--few", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-graph", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-oracle", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "field", help=argparse.SUPPRESS)
    given = parser.parse_args()
    known = {suite.name: suite for suite in SUITES}
    unknown = [name for name in given.suites if name not in known]
    if unknown:
        parser.error(f"no suite {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in given.suites] or [
        suite for suite in SUITES if suite.everywhere or sys.version_info[:2] == (3, 13)
    ]
    at = Field(given.folder.resolve(), few=given.few)
    rows = []
    for suite in chosen:
        rows.append(at.compare(suite, graph=not given.no_graph, oracle=not given.no_oracle))
        for fault in rows[-1].faults:
            say(f"{suite.name}: {fault}")
    show(rows)
    return 1 if any(row.faults for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
