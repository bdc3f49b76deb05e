"""What tests share: running whole programs, and finding their marked lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import stopwhen

SOURCE = Path(stopwhen.__file__).parents[1]
PROGRAMS = Path(__file__).parent / "programs"

_MARK = re.compile(r"#[^#]*?@(\w+)\s*$")


@dataclass(frozen=True)
class Result:
    """How a process ended: all that it wrote, and its exit status, negative for a signal."""

    stdout: str
    stderr: str
    status: int

    @property
    def own_stderr(self) -> str:
        """What the program itself wrote to stderr: our messages start with our name and may go on indented by hints."""
        return re.sub(r"^stopwhen: .*\n(  hint: .*\n)*", "", self.stderr, flags=re.MULTILINE)


def run_python(
    *words: str,
    cwd: Path | None = None,
    stdin: str = "",
    env: dict[str, str] | None = None,
    python: str = sys.executable,
    timeout: float = 120,
) -> Result:
    """Run `python words...` with this source tree importable."""
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    process = subprocess.run(
        [python, *words],
        cwd=cwd,
        input=stdin.encode(),
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", **(env or {})},
        capture_output=True,
        check=False,
        timeout=timeout,
    )
    return Result(_text(process.stdout), _text(process.stderr), process.returncode)


def _text(written: bytes) -> str:
    return written.decode(errors="backslashreplace").replace("\r\n", "\n")


def run_program(
    source_or_path: str | Path,
    *args: str,
    stopwhen: Sequence[str] | None = None,
    flags: Sequence[str] = (),
    stdin: str = "",
    env: dict[str, str] | None = None,
    python: str = sys.executable,
) -> Result:
    """Run a program in a process of its own, from the folder it is in.

    Args:
        source_or_path: its path, or its text, which is dedented and becomes `program.py` in a new folder.
        args: its arguments.
        stopwhen: options of `stopwhen run`; None to run it without us.
        flags: flags of Python.
        stdin: what it reads.
        env: variables to add to the environment.
        python: the interpreter.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = source_or_path
        if isinstance(path, str):
            path = Path(folder) / "program.py"
            path.write_text(textwrap.dedent(str(source_or_path)), encoding="utf-8")
        command = () if stopwhen is None else ("-m", "stopwhen", "run", *stopwhen)
        words = (*flags, *command, path.name, *args)
        return run_python(*words, cwd=path.parent, stdin=stdin, env=env, python=python)


def marked_lines(path_or_source: str | Path) -> dict[str, int]:
    """Return the numbers of the lines that end in a comment like `# @mark`.

    Raises:
        ValueError: two lines have the same mark.
    """
    if isinstance(path_or_source, Path):
        path_or_source = path_or_source.read_text(encoding="utf-8")
    lines: dict[str, int] = {}
    for number, line in enumerate(path_or_source.splitlines(), 1):
        mark = _MARK.search(line)
        if mark is not None:
            if mark[1] in lines:
                raise ValueError(f"lines {lines[mark[1]]} and {number} are both marked @{mark[1]}")
            lines[mark[1]] = number
    return lines


def marks_hit(stderr: str, path: Path, *, inexact: bool = False) -> list[str]:
    """Return the marks of the lines that reports of hits name, in order.

    Args:
        stderr: where the reports stand.
        path: the file that has the marks, in the folder of the run; what is in another is told as `file:line`.
        inexact: take a hit between two places for one at the second of them; else it counts for none.
    """
    marks = {number: mark for mark, number in marked_lines(path).items()}
    beside = r"(?:somewhere between \S+ in \S+ and )?" if inexact else ""
    places = re.findall(rf"hit \d+\n  {beside}(\S+):(\d+) in ", stderr)
    return [marks.get(int(line), line) if file == path.name else f"{file}:{line}" for file, line in places]
