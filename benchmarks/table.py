"""Make the cost tables of README.md and benchmarks/README.md from benchmarks/results/*.json; --check only compares."""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from changes import OTHERS_CANNOT, OTHERS_TAKE_LONG, OURS
from changes import VARIANTS as CHANGE_VARIANTS
from overhead import VARIANTS, ratios
from scale import COUNTS
from scale import VARIANTS as SCALE_VARIANTS
from start import VARIANTS as STARTS
from start import differences

HERE = Path(__file__).parent
START, END = "<!-- cost: made by benchmarks/table.py -->\n", "<!-- end of cost -->"
HEADS = {
    "stopwhen-global": "stopwhen, a global",
    "stopwhen-sys-path": "stopwhen, `sys.path`",
    "stopwhen-getter": "stopwhen, a getter in C",
    "settrace": "`sys.settrace` function",
    "watchpoints": "watchpoints",
    "bdb": "bdb with a condition",
}
CHANGES_START, CHANGES_END = "<!-- changes: made by benchmarks/table.py -->\n", "<!-- end of changes -->"
CHANGE_HEADS = {
    "no hit": "no hit",
    "count": "counted",
    "callable": "calls a function",
    "log": "logged",
    "settrace": "`sys.settrace` function",
    "watchpoints": "watchpoints",
}
SHORT = ("count", "callable", "log")
SCALE_START, SCALE_END = "<!-- scale: made by benchmarks/table.py -->\n", "<!-- end of scale -->"
SCALE_HEADS = {
    **{f"dict-items-{count}": f"{count:,} dict item{'s' if count > 1 else ''}" for count in COUNTS},
    **{f"lists-{count}": f"{count:,} list{'s' if count > 1 else ''}" for count in COUNTS},
    "nested-lists-100000": "100,000 lists",
    "list-of-6": "a list of 6 items",
    "list-of-1000000": "a list of 1,000,000 items",
    "local": "a local elsewhere",
    "shared-variable": "a shared variable elsewhere",
    "instances-10000": "10,000 instances",
}
START_START, START_END = "<!-- start: made by benchmarks/table.py -->\n", "<!-- end of start -->"
START_HEADS = {
    "import": "`import stopwhen`",
    "armed": "and arming",
    "python -m stopwhen run": "`python -m stopwhen run`",
    "stopwhen run": "`stopwhen run`",
}


def number(value: float) -> str:
    """Return a ratio with three digits at least where it matters: near 1."""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def medians(report: dict[str, Any], variant: str) -> dict[str, float]:
    """Return the median ratio of a variant for each case where it worked."""
    return {
        case: statistics.median(ratios(result["seconds"], variant))
        for case, result in report["cases"].items()
        if variant in result["seconds"]
    }


def overall(report: dict[str, Any], variant: str) -> str:
    """Return the geometric mean over the cases; a mark where not all of them worked."""
    values = medians(report, variant)
    if not values:
        return "breaks"
    mean = math.exp(statistics.fmean(math.log(value) for value in values.values()))
    return number(mean) + ("" if len(values) == len(report["cases"]) else f" ({len(values)} of {len(report['cases'])})")


def row(cells: list[str]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(cells) + " |\n"


def tried(reports: list[dict[str, Any]]) -> dict[str, str]:
    """Return the heads of the variants that have been measured."""
    results = [result for report in reports for result in report["cases"].values()]
    return {
        variant: head
        for variant, head in HEADS.items()
        if any(variant in result["seconds"] or variant in result["broken"] for result in results)
    }


def short_table(reports: list[dict[str, Any]]) -> str:
    """Return one row for each interpreter: the geometric means."""
    heads = tried(reports)
    text = row(["Python", *heads.values()]) + row(["---"] * (len(heads) + 1))
    for report in reports:
        text += row([report["python"], *(overall(report, variant) for variant in heads)])
    return text


def cell(result: dict[str, Any], variant: str) -> str:
    """Return median and range of a variant in one case, or that it broke."""
    if variant not in result["seconds"]:
        return "breaks"
    values = ratios(result["seconds"], variant)
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"


def long_table(report: dict[str, Any]) -> str:
    """Return one row for each workload, with the spread, and what broke."""
    text = f"\n### Python {report['python']}\n\n{report['machine']}; {report['date']}, commit {report['commit']};"
    text += f" {report['rounds']} rounds (slow variants: 1).\n\n"
    heads = tried([report])
    text += row(["workload", "untouched", *heads.values()]) + row(["---"] * (len(heads) + 2))
    for case, result in report["cases"].items():
        seconds = statistics.median(result["seconds"]["untouched"])
        text += row([case, f"{seconds:.2f} s", *(cell(result, variant) for variant in heads)])
    text += row(["geometric mean", "", *(overall(report, variant) for variant in heads)])
    for case, result in report["cases"].items():
        for variant, reason in result["broken"].items():
            text += f"\n{HEADS[variant]} breaks on {case}: `{reason}`\n"
    return text


def scale_table(report: dict[str, Any]) -> str:
    """Return one row for each kind of watchpoints, with a column for each workload."""
    text = f"\n### Python {report['python']}\n\n{report['machine']}; {report['date']}, commit {report['commit']};"
    text += f" {report['rounds']} rounds.\n\n"
    text += row(["watched", *report["cases"], "geometric mean"]) + row(["---"] * (len(report["cases"]) + 2))
    for variant, head in SCALE_HEADS.items():
        if medians(report, variant):
            cells = [cell(result, variant) for result in report["cases"].values()]
            text += row([head, *cells, overall(report, variant)])
    return text


def microseconds(value: float) -> str:
    """Return a time with two digits."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{max(value, 0):.2f}"


def short_changes(reports: list[dict[str, Any]]) -> str:
    """Return one row for each kind of data, with a column for each interpreter; then the other ways to watch."""
    kinds = list(dict.fromkeys(kind for report in reports for kind in report["kinds"]))
    text = row(["changed", *(report["python"] for report in reports)]) + row(["---"] * (len(reports) + 1))
    for kind in kinds:
        text += row([kind, *(times(report, kind, SHORT) for report in reports)])
    for variant in ("settrace", "watchpoints"):
        text += row(
            [f"attribute, {CHANGE_HEADS[variant]}", *(times(report, "attribute", (variant,)) for report in reports)]
        )
    return text


def times(report: dict[str, Any], kind: str, variants: Sequence[str]) -> str:
    """Return the median times of some variants for one kind of data."""
    series = report["kinds"].get(kind, {})
    return " / ".join(
        microseconds(statistics.median(series[name])) if series.get(name) else "breaks" for name in variants
    )


def long_changes(report: dict[str, Any]) -> str:
    """Return one row for each kind of data, with the spread of each variant."""
    text = f"\n### Python {report['python']}\n\n{report['machine']}; {report['date']}, commit {report['commit']};"
    text += f" {report['rounds']} rounds.\n\n"
    text += row(["changed", *CHANGE_HEADS.values()]) + row(["---"] * (len(CHANGE_HEADS) + 1))
    for kind, series in report["kinds"].items():
        cells = []
        for variant in CHANGE_HEADS:
            taken = series.get(variant)
            ends = [microseconds(end) for end in (min(taken), max(taken))] if taken else []
            none = "not tried" if variant not in OURS and kind in (*OTHERS_CANNOT, *OTHERS_TAKE_LONG) else "breaks"
            cells.append(f"{microseconds(statistics.median(taken))} ({' to '.join(ends)})" if taken else none)
        text += row([kind, *cells])
    return text


def start_table(reports: list[dict[str, Any]]) -> str:
    """Return one row for each interpreter: what a plain process takes, and how much more the others, with spread."""
    text = row(["Python", "commit", "plain", *START_HEADS.values()]) + row(["---"] * (len(START_HEADS) + 3))
    for report in reports:
        taken = report["milliseconds"]
        cells = [report["python"], report["commit"], f"{statistics.median(taken['plain']):.1f}"]
        for variant in START_HEADS:
            more = differences(taken, variant)
            cells.append(f"{statistics.median(more):.1f} ({min(more):.1f} to {max(more):.1f})")
        text += row(cells)
    return text


def replaced(text: str, table: str, start: str = START, end: str = END) -> str:
    """Return `text` with what is between the two marks replaced."""
    return re.sub(re.escape(start) + ".*?" + re.escape(end), lambda _: start + table + end, text, flags=re.DOTALL)


def version_of(path: Path) -> tuple[int, ...]:
    """Return the version in a result's file name, for sorting."""
    return tuple(int(part) for part in path.stem.rpartition("-")[2].split("."))


def main() -> None:
    """Rewrite the tables, or with --check say which are not what the results give."""
    assert list(HEADS) == list(VARIANTS[1:])
    assert list(SCALE_HEADS) == list(SCALE_VARIANTS)
    assert list(CHANGE_HEADS) == list(CHANGE_VARIANTS)
    assert list(START_HEADS) == list(STARTS)[1:]
    paths = sorted((HERE / "results").glob("overhead-*.json"), key=version_of)
    if not paths:
        print("no results yet: make bench")
        return
    reports = [json.loads(path.read_text()) for path in paths]
    tables = [
        (HERE.parent / "README.md", short_table(reports), START, END),
        (HERE / "README.md", "".join(long_table(report) for report in reports), START, END),
    ]
    paths = sorted((HERE / "results").glob("scale-*.json"), key=version_of)
    scales = [json.loads(path.read_text()) for path in paths]
    tables.append((HERE / "README.md", "".join(scale_table(report) for report in scales), SCALE_START, SCALE_END))
    paths = sorted((HERE / "results").glob("changes-*.json"), key=version_of)
    if paths:
        changes = [json.loads(path.read_text()) for path in paths]
        long = "".join(long_changes(report) for report in changes)
        tables += [
            (HERE.parent / "README.md", short_changes(changes), CHANGES_START, CHANGES_END),
            (HERE / "README.md", long, CHANGES_START, CHANGES_END),
        ]
    paths = sorted((HERE / "results").glob("start-*.json"), key=version_of)
    starts = [json.loads(path.read_text()) for path in paths]
    tables.append((HERE / "README.md", start_table(starts), START_START, START_END))
    for path, table, start, end in tables:
        text = path.read_text(encoding="utf-8")
        new = replaced(text, table, start, end)
        if new == text:
            continue
        if "--check" in sys.argv[1:]:
            sys.exit(f"{path.name}: the cost table is not what benchmarks/results gives: run benchmarks/table.py")
        path.write_text(new, encoding="utf-8")
        print(f"written: {path.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
