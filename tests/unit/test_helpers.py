"""The tests' own helpers do what they say."""

from __future__ import annotations

import pytest

from helpers import Result, marked_lines, run_program, run_python


def test_marks_are_found_by_name():
    """The line number of a mark is that of its line in the text."""
    assert marked_lines("x = 1  # @first\n\nif x:\n    x = 2  # sets it @second\n") == {"first": 1, "second": 4}


def test_marks_are_found_in_a_file(tmp_path):
    """A path stands for the text in it."""
    path = tmp_path / "program.py"
    path.write_text("\nx = 'é'  # @here\n", encoding="utf-8")
    assert marked_lines(path) == {"here": 2}


def test_decorators_and_texts_are_no_marks():
    """A mark is at the end of a comment."""
    assert marked_lines("@decorated\ndef f(): ...\nx = 'a@b'\n# mail me@example.org later\n") == {}


def test_a_mark_stands_once():
    """A test that asks for a mark gets the one line."""
    with pytest.raises(ValueError, match="lines 1 and 2 are both marked @here"):
        marked_lines("x = 1  # @here\nx = 2  # @here\n")


def test_a_program_runs_from_its_text():
    """Output, arguments, standard input and exit status are the program's."""
    source = """
        import sys
        print(sys.argv[1:], input())
        print("bad", file=sys.stderr)
        sys.exit(3)
    """
    assert run_program(source, "a", "b", stdin="typed\n") == Result("['a', 'b'] typed\n", "bad\n", 3)


def test_a_program_runs_from_its_folder(tmp_path):
    """A program given as a path finds its neighbours."""
    (tmp_path / "neighbour.py").write_text("print('found')\n", encoding="utf-8")
    path = tmp_path / "program.py"
    path.write_text("import neighbour, os\nprint(os.listdir())\n", encoding="utf-8")
    found = run_program(path)
    assert found.stdout.startswith("found\n")
    assert "__pycache__" not in found.stdout


def test_flags_and_variables_reach_the_interpreter():
    """What is asked of the interpreter is not told to the program."""
    source = "import os, sys\nprint(sys.flags.optimize, os.environ['COLOUR'], sys.argv[1:])\n"
    assert run_program(source, flags=["-OO"], env={"COLOUR": "blue"}).stdout == "2 blue []\n"


def test_this_source_tree_is_what_is_tested():
    """A process that is started for a test imports the package from here."""
    found = run_python("-c", "import stopwhen.errors; print(stopwhen.errors.__file__)")
    assert found.stdout.strip().endswith("errors.py"), found.stderr


def test_our_messages_are_told_from_the_programs():
    """A message is its line and its hints; all else is the program's."""
    text = "mine\nstopwhen: x was never there [never-there]\n  hint: look\n  not a hint\n"
    assert Result("", text, 0).own_stderr == "mine\n  not a hint\n"
