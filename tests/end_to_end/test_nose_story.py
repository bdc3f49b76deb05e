"""The story this project began with: which line of nose puts `project/lib` on `sys.path`?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "demo" / "project"

# Runs nose as `python -m nose` would and looks at sys.path before every instruction, in every frame: the instruction
# before the one that sees a change has made it. Prints [file, function, source line] for each.
ORACLE = """
import json, linecache, runpy, sys

last, place, found = list(sys.path), None, []

def trace(frame, event, argument):
    global last, place
    frame.f_trace_opcodes = True
    now = list(sys.path)
    if now != last:
        code, line = place
        found.append([code.co_filename, code.co_name, linecache.getline(code.co_filename, line).strip()])
        last = now
    place = frame.f_code, frame.f_lineno
    return trace

sys.path[0] = last[0] = sys.argv.pop(1)  # what `-m` puts there
sys.settrace(trace)
try:
    runpy.run_module("nose", run_name="__main__", alter_sys=True)
except SystemExit:
    pass
finally:
    sys.settrace(None)
print(json.dumps(found))
"""


@pytest.fixture
def project(tmp_path):
    """A copy of the demo's project, so that nothing is written into the real one."""
    return Path(shutil.copytree(DEMO, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__")))


def run(project, *arguments):
    """Run this Python in the project's folder."""
    return subprocess.run([sys.executable, *arguments], cwd=project, capture_output=True, text=True, check=False)


def program_lines(stderr):
    """Return the lines of the program itself: ours start with our name and go on indented."""
    lines, ours = [], False
    for line in stderr.splitlines():
        ours = line.startswith("stopwhen: ") or (ours and line.startswith("  "))
        if not ours:
            lines.append(re.sub(r"in \d+\.\d+s", "in (time)", line))
    return lines


def hits(stderr):
    """Return the report of each hit in our text: its lines. nose's dots may stand before the first."""
    reports, current = [], None
    for line in stderr.splitlines():
        if re.search(r"stopwhen: .* hit \d+$", line):
            current = [line]
            reports.append(current)
        elif current is not None and line.startswith("  "):
            current.append(line)
        else:
            current = None
    return reports


def written(report):
    """Return the file name, function and source line that the report of a hit names."""
    _head, where, source, *_rest = report
    file, function = re.match(r" +(\S+):\d+ in (\w+)", where).groups()
    return Path(file).name, function, source.split(" | ")[1].strip()


def test_the_line_of_nose_is_named(project):
    """`--true` names the insert in add_path, once, and the program does not notice."""
    plain = run(project, "-m", "nose")
    watched = run(project, "-m", "stopwhen", "run", "--true", 'sys.path[0].endswith("lib")', "-m", "nose")

    assert plain.returncode == 0
    assert "Ran 2 tests" in plain.stderr
    assert (watched.stdout, watched.returncode) == (plain.stdout, plain.returncode)
    assert program_lines(watched.stderr) == program_lines(plain.stderr)
    [report] = hits(watched.stderr)
    assert written(report) == ("importer.py", "add_path", "sys.path.insert(0, path)")
    assert 'sys.path[0].endswith("lib") became true' in report[0]
    assert re.search(r"nose/importer\.py:\d+ in add_path +by list\.insert$", report[1])
    assert f"inserted {str(project / 'lib')!r} at 0" in "\n".join(report)


@pytest.mark.parametrize("configuration", [None, ""], ids=["where = lib", "no configuration"])
def test_each_write_of_nose_is_named_by_its_own_line(project, configuration):
    """`--changes` names what the oracle, which looks before every instruction, finds too: no more, no less."""
    if configuration is not None:
        (project / "setup.cfg").write_text(configuration)
    oracle = run(project, "-c", ORACLE, str(project))
    expected = json.loads(oracle.stdout.splitlines()[-1])
    assert len(expected) > 1

    watched = run(project, "-m", "stopwhen", "run", "--changes", "sys.path", "--action", "log", "-m", "nose")

    found = [written(report) for report in hits(watched.stderr)]
    assert found == [(Path(file).name, function, source) for file, function, source in expected]


def test_the_hit_is_the_same_as_data(project):
    """A callable in Python is given the same hit: location, writer, old and new content."""
    program = textwrap.dedent("""
        import json, sys
        import stopwhen

        def note(hit):
            location = hit.location
            print(json.dumps([location.filename, location.function, hit.by, hit.exact, hit.count]))

        stopwhen.true('sys.path[0].endswith("lib")', action=note)
        import nose
        nose.main()
    """)
    (project / "main.py").write_text(program)

    result = run(project, "main.py")

    [found] = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("[")]
    filename, *rest = found
    assert Path(filename).name == "importer.py"
    assert rest == ["add_path", "list.insert", True, 1]
