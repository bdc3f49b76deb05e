"""Check the documents: links lead somewhere, and the sessions they show go as shown. With --write, set what they show.

The sessions are of one version of Python; on others only the links are checked.

A fenced block that starts with `# name.py` is a file. The commands of the `console` blocks run, in order, in a folder
with the files of their document and a copy of demo/; what they print must be what stands there. A `pdb` block is one
command, in a terminal where somebody types at the debugger's prompts, if pexpect is there. The cells of the `ipython`
blocks of a document are run as one notebook, if Jupyter's packages are there.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SESSIONS_ARE_OF = (3, 13)
STANDARD_LIBRARY = Path(os.__file__).parent
ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"\A# (\w+\.py)\n")
INPUT = re.compile(r"^In \[\d+\]: (.*(?:\n   \.\.\.: ?.*)*)", re.MULTILINE)
# Others change what commands print: with CI, pytest no longer shortens what it says.
KEPT_ENVIRONMENT = {"HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "USER"}
PROMPT = re.compile(r"^(\((?:Pdb|com)\) |ipdb> |>>> )(.*)", re.MULTILINE)
ESCAPES = re.compile(r"\x1b\[[0-9;?>]*[A-Za-z]")
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)", re.DOTALL)


def broken_links(path: Path) -> list[str]:
    """Return the links of a document to files that are not there."""
    targets = LINK.findall(path.read_text(encoding="utf-8"))
    return [target for target in targets if "://" not in target and not (path.parent / target).exists()]


def environment() -> dict[str, str]:
    """Return the environment in which commands run."""
    return {
        **{name: value for name, value in os.environ.items() if name in KEPT_ENVIRONMENT},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",  # In the order of a terminal.
    }


def output_of(command: str, folder: Path) -> str:
    """Return what a command prints in `folder`, stderr included, less what differs from run to run."""
    finished = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return finished.stdout


def loosely(text: str) -> str:
    """Return `text` without what differs between machines and patch releases: such differences are none."""
    text = re.sub(r"\b\d+\.\d{2,3}s", "(time)", text)
    text = re.sub(r"\b0x[0-9a-f]{8,}", "(address)", text)
    text = re.sub(r"\bin task Task-\d+", "(task)", text)
    text = re.sub(r"\bcpython \d+\.\d+\.\d+ on \w+", "(python)", text)
    text = re.sub(r"\b(a dict of) \d+ *", r"\1 (length) ", text)
    return re.sub(r"\b(threading|colorsys|importlib/\w+)\.py:\d+", r"\1.py:(line)", text)


def as_anywhere(text: str, home: Path) -> str:
    """Return `text` with the folders of this machine named as they may be on others."""
    for folder, shown in ((home, "/home/you"), (sys.prefix, "/home/you/.venv"), (STANDARD_LIBRARY, "/usr/lib/python")):
        text = text.replace(str(folder), shown)
    return text


def played(session: str, home: Path) -> str:
    """Return a session, its commands run and their output as it is now."""
    folder, lines = home, []
    for command in re.findall(r"^\$ (.*)$", session, flags=re.MULTILINE):
        lines.append(f"$ {command}\n")
        if command.startswith("cd "):
            folder = folder / command.removeprefix("cd ")
            continue
        output = as_anywhere(output_of(command, folder), home)
        lines.append(output if output.endswith("\n") or not output else output + "\n")
    return "".join(lines)


def prompts_played(session: str, home: Path) -> str:
    """Return a session at a debugger's prompts, what it types typed again, with what is printed now."""
    import pexpect  # noqa: PLC0415 - of an extra

    first, _, rest = session.partition("\n")
    (home / ".home").mkdir(exist_ok=True)  # no configuration of who runs this
    settings = {**environment(), "TERM": "dumb", "PYTHON_COLORS": "0", "HOME": str(home / ".home")}
    words = ["-c", first.removeprefix("$ ")]
    child = pexpect.spawn(
        "bash", words, cwd=str(home), env=settings, encoding="utf-8", dimensions=(60, 100), timeout=60
    )
    shown = ""
    for prompt, typed in PROMPT.findall(rest):
        if child.expect_exact([prompt, pexpect.EOF, pexpect.TIMEOUT]) != 0:
            break
        shown += child.before + child.after
        child.sendline(typed)
    child.expect([pexpect.EOF, pexpect.TIMEOUT])
    child.close(force=True)
    shown = ESCAPES.sub("", shown + child.before).replace("\r", "")
    shown = re.sub(r"[ \t]+$", "", shown, flags=re.MULTILINE)  # as in a document
    return as_anywhere(f"{first}\n{shown}", home)


def notebook_played(sessions: list[str], home: Path) -> list[str]:
    """Return sessions of cells, run one after the other in one kernel, with their output as it is now."""
    import nbclient  # noqa: PLC0415 - of an extra
    import nbformat  # noqa: PLC0415

    asked = [[match[1].replace("\n   ...: ", "\n") for match in INPUT.finditer(session)] for session in sessions]
    cells = [nbformat.v4.new_code_cell(cell) for session in asked for cell in session]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, kernel_name="python3", allow_errors=True).execute(cwd=str(home))
    done = iter(notebook.cells)
    return ["\n".join(cell_played(next(done)) for _ in session) for session in asked]


def cell_played(cell: Any) -> str:
    """Return a cell as a terminal shows it: its number, its lines, the text of its output."""
    first, *others = cell.source.split("\n")
    text = "\n".join([f"In [{cell.execution_count}]: {first}", *(f"   ...: {line}".rstrip() for line in others), ""])
    for output in cell.outputs:
        if output.output_type == "error":
            shown = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(output.traceback))
        else:
            shown = output.text if output.output_type == "stream" else output.data["text/plain"]
        text += shown.rstrip("\n") + "\n"
    return text


def has_jupyter() -> bool:
    """Tell that notebooks can be run."""
    return all(importlib.util.find_spec(name) is not None for name in ("nbclient", "nbformat", "ipykernel"))


def has_terminals() -> bool:
    """Tell that somebody can type in a terminal."""
    return sys.platform != "win32" and importlib.util.find_spec("pexpect") is not None


def rewritten(path: Path) -> str:
    """Return a document with its sessions as they go now."""
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name).resolve()
        shutil.copytree(ROOT / "demo", home / "demo", ignore=shutil.ignore_patterns("__pycache__"))
        for _language, block in BLOCK.findall(text):
            if found := FILE.match(block):
                (home / found[1]).write_text(block, encoding="utf-8")

        sessions = [block for language, block in BLOCK.findall(text) if language == "ipython"]
        notebook = iter(notebook_played(sessions, home) if sessions and has_jupyter() else sessions)

        def replay(match: re.Match[str]) -> str:
            if match[1] == "ipython":
                return f"```ipython\n{next(notebook)}```"
            if match[1] == "pdb" and has_terminals():
                return f"```pdb\n{prompts_played(match[2], home)}```"
            if match[1] != "console":
                return match[0]
            return f"```console\n{played(match[2], home)}```"

        return BLOCK.sub(replay, text)


def main() -> None:
    """Check all documents; exit with 1 where something is not so."""
    wrong = []
    for path in DOCUMENTS:
        name = path.relative_to(ROOT)
        wrong += [f"{name}: no such file: {target}" for target in broken_links(path)]
        if sys.version_info[:2] != SESSIONS_ARE_OF:
            continue
        text, new = path.read_text(encoding="utf-8"), rewritten(path)
        if loosely(new) == loosely(text):
            continue
        if "--write" in sys.argv[1:]:
            path.write_text(new, encoding="utf-8")
            print(f"written: {name}")
            continue
        pairs = zip(loosely(text).splitlines(), loosely(new).splitlines(), strict=False)
        shown, found = next((pair for pair in pairs if pair[0] != pair[1]), ("(end)", "(end)"))
        wrong.append(f"{name}: a session goes otherwise (docs/check.py --write):\n  shown: {shown}\n  now:   {found}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(DOCUMENTS)} documents checked", "" if sys.version_info[:2] == SESSIONS_ARE_OF else "(links only)")


if __name__ == "__main__":
    main()
