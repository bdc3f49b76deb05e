"""docs/explanation/limits.md: each of its programs shows what the page says.

How to add one to the page: a heading that says what cannot be seen, a few sentences, and two fenced blocks. The first,
`python`, is a whole program and begins with its name, as `# name.py`. The second, `text`, is all that it prints, on
stdout and stderr, and the same on every version. Where the program needs something, its second line is `# needs: ` and
an expression of `sys`, `os`, `find_spec` and `env` (stopwhen.env), such as
`# needs: env.core and sys.version_info >= (3, 12)`; elsewhere it is skipped.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import helpers
from stopwhen import env

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "limits.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"\A# (\w+\.py)\n(?:# needs: (.*)\n)?")

SECTIONS = [section.split("\n", 1) for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]]


def programs():
    """Return a parameter for each program of the page: its text, and what it must print."""
    params = []
    for title, body in SECTIONS:
        blocks = BLOCK.findall(body)
        for (language, program), (_, printed) in itertools.pairwise(blocks):
            if language == "python":
                name, needs = NAME.match(program).groups()
                is_met = needs is None or eval(needs, {"sys": sys, "os": os, "env": env, "find_spec": find_spec})
                skip = [] if is_met else [pytest.mark.skip(reason=f"needs: {needs}")]
                params.append(pytest.param(name, program, printed, id=f"{title}: {name}", marks=skip))
    return params


@pytest.mark.parametrize(("name", "program", "printed"), programs())
def test_the_program_shows_what_the_page_says(name, program, printed, tmp_path):
    (tmp_path / name).write_text(program, encoding="utf-8")
    done = helpers.run_python(name, cwd=tmp_path)
    assert (done.stdout + done.stderr, done.status) == (printed, 0)


@pytest.mark.parametrize(("title", "body"), SECTIONS, ids=[title for title, _ in SECTIONS])
def test_every_limit_has_a_program_and_what_it_prints(title, body):
    languages = [language for language, _ in BLOCK.findall(body)]
    assert languages, "no program"
    assert languages == ["python", "text"] * (len(languages) // 2)
    assert all(NAME.match(text) for language, text in BLOCK.findall(body) if language == "python")


def test_no_two_programs_of_the_page_have_one_name():
    names = [param.values[0] for param in programs()]
    assert len(names) == len(set(names))
