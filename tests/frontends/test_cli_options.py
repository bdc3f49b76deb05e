"""The command line is read as its help says."""

from __future__ import annotations

import pytest

from stopwhen.errors import UsageError
from stopwhen.frontends.options import HelpAsked, read_doctor, read_explain, read_run
from stopwhen.nearest import nearest
from stopwhen.terms import Terms
from stopwhen.types import AccessType, Action


def requests(*words):
    """Return the watchpoints that a line asks for, with `app.py` for the program."""
    return read_run([*words, "app.py"]).requests


def failure(read, *words):
    """Return the slug and the whole message of the error that reading `words` gives."""
    with pytest.raises(UsageError) as caught:
        read(words)
    assert caught.value.exit_status == 2
    return caught.value.slug, str(caught.value)


@pytest.mark.parametrize(
    ("option", "access"),
    [
        ("--changes", AccessType.CHANGE),
        ("--true", AccessType.TRUE),
        ("--writes", AccessType.WRITE),
        ("--reads", AccessType.READ),
    ],
)
def test_each_trigger_makes_a_watchpoint(option, access):
    """A trigger takes the expression as its next word or after `=`."""
    (one,) = requests(option, "a == b")
    (other,) = requests(f"{option}=a == b")
    assert one == other
    assert (one.access, one.text, one.settings) == (access, "a == b", Terms())


def test_an_expression_may_look_like_an_option():
    """The word after a trigger is its expression, whatever it is."""
    assert requests("--changes", "-x")[0].text == "-x"
    assert requests("--true", "--changes")[0].text == "--changes"


def test_options_before_the_first_watchpoint_hold_for_all():
    """Options after one hold for that one."""
    first, second = requests(
        "--action", "log", "--depth=2", "--changes", "a", "--hits", ">=3", "--true", "b", "--action", "raise"
    )
    assert first.settings == Terms(action=Action.LOG, depth=2, hit_condition=">=3")
    assert second.settings == Terms(action=Action.RAISE, depth=2)


def test_filters_add_up():
    """Names and patterns of one kind may come many times; those said for all hold beside those for one."""
    first, second = requests(
        *("--in", "a/*", "--thread", "t", "--changes", "x", "--in", "b/*", "--not-in", "c/*", "--changes", "y")
    )
    assert (first.settings.files, first.settings.not_files, first.settings.threads) == (
        ("a/*", "b/*"),
        ("c/*",),
        ("t",),
    )
    assert (second.settings.files, second.settings.not_files) == (("a/*",), ())


def test_the_later_of_two_options_wins():
    """An option that holds one value takes the last."""
    (one,) = requests(
        "--if", "old", "--scope", "a.b", "--changes", "x", "--if", "new", "--scope", "a.b:C.d", "--allow-calls"
    )
    assert (one.settings.condition, one.settings.scope, one.settings.allow_calls) == ("new", "a.b:C.d", True)


@pytest.mark.parametrize(("text", "depth"), [("0", 0), ("1", 1), ("12", 12), ("all", "all")])
def test_depth_is_a_number_or_all(text, depth):
    """A depth counts from 0."""
    assert requests("--changes", "x", "--depth", text)[0].settings.depth == depth


def test_a_mechanism_may_be_named():
    """It is named for the whole run."""
    assert read_run(["--changes", "x", "--mechanism", "recheck", "app.py"]).mechanism == "recheck"


@pytest.mark.parametrize(
    ("words", "kind", "name", "arguments", "own"),
    [
        (("app.py",), "script", "app.py", (), ("app.py",)),
        (("app.py", "-m", "x", "--help"), "script", "app.py", ("-m", "x", "--help"), ("app.py",)),
        (("-", "a"), "script", "-", ("a",), ("-",)),
        (("--", "-odd.py", "--", "a"), "script", "-odd.py", ("--", "a"), ("-odd.py",)),
        (("-m", "shop", "-c", "x"), "module", "shop", ("-c", "x"), ("-m", "shop")),
        (("-mshop.cart", "--changes", "y"), "module", "shop.cart", ("--changes", "y"), ("-mshop.cart",)),
        (("-c", "x = 1", "a"), "code", "x = 1", ("a",), ("-c", "x = 1")),
        (("-cx=1", "-m"), "code", "x=1", ("-m",), ("-cx=1",)),
        (("-c", "", "a"), "code", "", ("a",), ("-c", "")),
        (("-c", "-x"), "code", "-x", (), ("-c", "-x")),
    ],
)
def test_all_after_the_program_belongs_to_it(words, kind, name, arguments, own):
    """A script, a module or code ends our options, as it ends python's."""
    program = read_run(["--changes", "x", *words]).program
    assert (program.kind, program.name, program.arguments, program.words) == (kind, name, arguments, own)


@pytest.mark.parametrize(
    ("words", "slug", "part"),
    [
        ((), "no-program", "hint: end the line with a script, -m MODULE or -c CODE"),
        (("--changes", "x"), "no-program", "there is no program"),
        (("--changes", "x", "--"), "no-program", "there is no program"),
        (("--changes",), "missing-value", "--changes needs EXPR"),
        (("--changes", "x", "--hits"), "missing-value", "--hits needs RULE"),
        (
            ("--thread", "--changes", "x", "-c", "x"),
            "missing-value",
            "--thread needs NAME, and what comes next is --chan",
        ),
        (("--changes", "x", "--hits", "--if", "new", "-c", "x"), "missing-value", "--hits needs RULE, and what comes"),
        (("--changes", "x", "-m"), "missing-value", "-m needs MODULE"),
        (("--changes", "x", "-c"), "missing-value", "-c needs CODE"),
        (("--changes", "x", "-m", "-c", "y"), "not-a-module", "'-c' cannot be a module"),
        (("--changes", "x", "-m", "--if"), "not-a-module", "one program"),
        (("app.py",), "no-watchpoint", "hint: say what to watch: --changes EXPR"),
        (
            ("-m", "nose", "--changes", "x"),
            "no-watchpoint",
            "hint: what stands after the program belongs to the program",
        ),
        (("app.py", "--true=x"), "no-watchpoint", "options of stopwhen go before it"),
        (("--change", "x", "app.py"), "unknown-option", "hint: did you mean --changes?"),
        (("--notin", "x", "app.py"), "unknown-option", "did you mean --not-in?"),
        (("--verbose", "app.py"), "unknown-option", "hint: the options are"),
        (("-O", "app.py"), "unknown-option", "python -O -m stopwhen run"),
        (("--changes", "x", "--action", "lof", "app.py"), "unknown-action", "did you mean 'log'?"),
        (("--changes", "x", "--action", "explode", "app.py"), "unknown-action", "none of stop, log, raise, count"),
        (("--changes", "x", "--scope", "a b", "app.py"), "bad-scope", "pkg.mod:func"),
        (("--changes", "x", "--scope", "a:", "app.py"), "bad-scope", "names no scope"),
        (("--changes", "x", "--scope", "a:b:c", "app.py"), "bad-scope", "names no scope"),
        (("--changes", "x", "--depth", "-1", "app.py"), "bad-depth", "neither a number"),
        (("--changes", "x", "--depth", "deep", "app.py"), "bad-depth", "'all' whatever it reaches"),
        (("--changes", "x", "--allow-calls=yes", "app.py"), "unexpected-value", "write --allow-calls alone"),
    ],
)
def test_what_cannot_be_understood_is_said(words, slug, part):
    """An error names what was given and what to write instead."""
    found, message = failure(read_run, *words)
    assert found == slug
    assert part in message


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("--changes", "x", "--help", "app.py")])
def test_help_is_asked_for_before_the_program(words):
    """`--help` among our options is ours."""
    with pytest.raises(HelpAsked):
        read_run(words)


def test_options_are_not_abbreviated():
    """`--act` is no option: one added later must not change what a line means."""
    assert failure(read_run, "--act", "log", "--changes", "x", "app.py")[0] == "unknown-option"


def test_explain_takes_one_expression():
    """Its options may stand on both sides."""
    line = read_explain(["--scope", "shop:Cart", "self.items", "--depth", "all", "--allow-calls", "--json"])
    assert (line.text, line.scope, line.depth, line.allow_calls, line.json) == (
        "self.items",
        "shop:Cart",
        "all",
        True,
        True,
    )
    assert read_explain(["--", "-x"]).text == "-x"


@pytest.mark.parametrize(
    ("read", "words", "slug", "part"),
    [
        (read_explain, (), "no-expression", "stopwhen explain 'sys.path[0]'"),
        (read_explain, ("a", "+", "b"), "unexpected-word", "put the expression in quotes"),
        (read_explain, ("--action", "log", "a"), "unknown-option", "--allow-calls"),
        (read_explain, ("a", "--scop", "b"), "unknown-option", "did you mean --scope?"),
        (read_explain, ("a", "--json=yes"), "unexpected-value", "write --json alone"),
        (read_doctor, ("sys.path",), "unexpected-word", "stopwhen explain 'sys.path'"),
        (read_doctor, ("--jason",), "unknown-option", "did you mean --json?"),
    ],
)
def test_what_the_other_commands_cannot_understand_is_said(read, words, slug, part):
    """An error names what was given and what to write instead."""
    found, message = failure(read, *words)
    assert found == slug
    assert part in message


@pytest.mark.parametrize(
    ("word", "best"),
    [
        ("--chnages", "--changes"),
        ("--changes", None),
        ("totl", "total"),
        ("toatl", "total"),
        ("x", None),
        ("completely", None),
        ("Total", "total"),
    ],
)
def test_the_nearest_word_is_near(word, best):
    """A hint guesses a slip of the fingers, not a meaning."""
    assert nearest(word, ["--changes", "total", "--true"]) == best


@pytest.mark.parametrize("access", AccessType)
def test_explain_takes_what_run_would_watch_for(access):
    """As options without a value; changes by default."""
    assert read_explain([f"--{access.value}", "x"]).access is access
    assert read_explain(["x"]).access is AccessType.CHANGE
    assert failure(read_explain, f"--{access.value}=x", "x")[0] == "unexpected-value"
