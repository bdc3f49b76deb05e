"""Tables of pandas: what changes them is seen, what only reads them is not. The lines are pandas' own."""

from __future__ import annotations

import gc
import weakref

import pytest

import stopwhen
from contract import choose, mechanism_sets
from recorder import Recorder

pd = pytest.importorskip("pandas", reason="needs pandas")
MECHANISMS = [one for one in mechanism_sets() if one != "dictwatch"]


def names():
    return {
        "pd": pd,
        "df": pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [1.5, 2.0, 3.0]}),
        "s": pd.Series([1, 2, 3], name="q"),
    }


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("df.loc[0, 'a'] = 9", "DataFrame('a': [9, 2, 3], 'b': ['x', 'y', 'z'], 'c': [1.5, 2.0, 3.0])"),
        ("df.iloc[0, 0] = 9", "DataFrame('a': [9, 2, 3], 'b': ['x', 'y', 'z'], 'c': [1.5, 2.0, 3.0])"),
        ("df.at[0, 'a'] = 9", "DataFrame('a': [9, 2, 3], 'b': ['x', 'y', 'z'], 'c': [1.5, 2.0, 3.0])"),
        ("df.loc[df.a > 1, 'c'] = 0", "DataFrame('a': [1, 2, 3], 'b': ['x', 'y', 'z'], 'c': [1.5, 0.0, 0.0])"),
        ("df.loc[0, 'b'] = 'q'", "DataFrame('a': [1, 2, 3], 'b': ['q', 'y', 'z'], 'c': [1.5, 2.0, 3.0])"),
        ("df['a'] = [4, 5, 6]", "DataFrame('a': [4, 5, 6], 'b': ['x', 'y', 'z'], 'c': [1.5, 2.0, 3.0])"),
        ("df['a'] += 1", "DataFrame('a': [2, 3, 4], 'b': ['x', 'y', 'z'], 'c': [1.5, 2.0, 3.0])"),
        ("del df['b']", "DataFrame('a': [1, 2, 3], 'c': [1.5, 2.0, 3.0])"),
        ("df.pop('b')", "DataFrame('a': [1, 2, 3], 'c': [1.5, 2.0, 3.0])"),
        ("df.insert(1, 'n', 0); del df['b'], df['n']", "DataFrame('a': [1, 2, 3], 'c': [1.5, 2.0, 3.0])"),
        ("df.columns = list('xyz')", "DataFrame('x': [1, 2, 3], 'y': ['x', 'y', 'z'], 'z': [1.5, 2.0, 3.0])"),
        (
            "del df['b'], df['c']; df.index = [5, 6, 7]",
            "DataFrame('a': [1, 2, 3], index=[5, 6, 7])",
        ),
    ],
)
def test_a_change_of_a_table_is_seen(statement, text, mechanism, monkeypatch):
    choose(monkeypatch, mechanism)
    subject = names()
    with Recorder() as hits:
        hits.changes("df", scope=subject)
        exec(statement, subject)
    assert hits.hits[-1].new_text == text
    assert all("pandas" in one.location.filename for one in hits.hits)
    assert all(one.own_location.filename == __file__ for one in hits.hits)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    "statement",
    [
        "df['a'].sum(); df.loc[0]; df.head(); df.a; df.index",
        "copy = df.copy(); copy.loc[0, 'a'] = 9",
        "part = df[['a']]; part.loc[0, 'a'] = 9",
        "column = df['a']; column[0] = 9",
        "df.loc[0, 'a'] = 1",
        "df['c'] == 1; df[['a', 'c']] + 1; sorted(df)",
        "df.index = range(3); df.columns = [''.join(label) for label in 'abc']; df['b'] = [*'xyz']",
        "df['a'] = df['a']; df['a'] = [1, 2, 3]; df['a'] += 0",
    ],
)
def test_what_only_reads_a_table_is_no_change(statement, mechanism, monkeypatch):
    choose(monkeypatch, mechanism)
    subject = names()
    with Recorder() as hits:
        hits.changes("df", scope=subject)
        exec(statement, subject)
    assert hits.texts == []


@pytest.mark.parametrize("mechanism", [one for one in MECHANISMS if one != "recheck"])
def test_long_ways_through_pandas_are_no_change(mechanism, monkeypatch):
    """Too long for pure Python."""
    choose(monkeypatch, mechanism)
    subject = names()
    with Recorder() as hits:
        hits.changes("df", scope=subject)
        exec("df.describe(); df.to_dict(); str(df); df.values", subject)
        exec("df.groupby('b').sum(); df.merge(df); pd.concat([df, df])", subject)
    assert hits.texts == []


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("s[0] = 9", "Series([9, 2, 3], name='q')"),
        ("s.iloc[0] = 9", "Series([9, 2, 3], name='q')"),
        ("s[:] = 0", "Series([0, 0, 0], name='q')"),
        ("s.name = 'r'", "Series([1, 2, 3], name='r')"),
        ("s.index = list('abc')", "Series([1, 2, 3], index=['a', 'b', 'c'], name='q')"),
    ],
)
def test_a_change_of_a_series_is_one_hit(statement, text, mechanism, monkeypatch):
    choose(monkeypatch, mechanism)
    subject = names()
    with Recorder() as hits:
        hits.changes("s", scope=subject)
        exec(statement, subject)
    assert hits.texts == [("Series([1, 2, 3], name='q')", text)]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_replaces_the_values_of_a_table_is_watched_in_their_place(mechanism, monkeypatch):
    choose(monkeypatch, mechanism)
    subject = names()
    with Recorder() as hits:
        hits.changes("df", scope=subject)
        exec("df['a'] = [4, 5, 6]", subject)
        exec("df.loc[0, 'a'] = 7", subject)
        exec("df.pop('b')", subject)
        exec("df.loc[1, 'c'] = 8", subject)
    assert [one.new_text for one in hits.hits][-3:] == [
        "DataFrame('a': [7, 5, 6], 'b': ['x', 'y', 'z'], 'c': [1.5, 2.0, 3.0])",
        "DataFrame('a': [7, 5, 6], 'c': [1.5, 2.0, 3.0])",
        "DataFrame('a': [7, 5, 6], 'c': [1.5, 8.0, 3.0])",
    ]


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    ("values", "store"),
    [
        (lambda: pd.array([1, None, 3], dtype="Int64"), 5),
        (lambda: pd.Categorical(["a", "b", "a"]), "b"),
        (lambda: pd.date_range("2020", periods=3), pd.Timestamp("2021")),
        (lambda: pd.array([True, False, None], dtype="boolean"), False),
    ],
)
def test_columns_of_all_kinds_are_seen(values, store, mechanism, monkeypatch):
    choose(monkeypatch, mechanism)
    subject = {"df": pd.DataFrame({"k": values()}), "store": store}
    with Recorder() as hits:
        hits.changes("df", scope=subject)
        exec("df.loc[0, 'k'] = store", subject)
    assert hits.hits
    assert hits.hits[0].old_text != hits.hits[-1].new_text


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_values_that_only_move_are_watched_where_they_are_then(mechanism, monkeypatch):
    """pandas makes one block of several for itself, when somebody asks for all values."""
    choose(monkeypatch, mechanism)
    subject = {"df": pd.DataFrame({"a": [1, 2]})}
    subject["df"]["b"] = [3, 4]
    with Recorder() as hits:
        hits.changes("df", scope=subject)
        blocks = subject["df"]._mgr.blocks
        subject["df"]._mgr._consolidate_inplace()
        assert len(subject["df"]._mgr.blocks) < len(blocks)
        assert hits.texts == []
        exec("df.loc[0, 'b'] = 9", subject)
    assert hits.texts == [("DataFrame('a': [1, 2], 'b': [3, 4])", "DataFrame('a': [1, 2], 'b': [9, 4])")]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_rows_that_go_are_seen(mechanism, monkeypatch):
    choose(monkeypatch, mechanism)
    subject = names()
    with Recorder() as hits:
        hits.changes("s", scope=subject)
        exec("s.pop(0)", subject)
    assert hits.texts[-1][1] == "Series([2, 3], index=[1, 2], name='q')"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_table_that_something_holds_is_seen_at_its_depth(mechanism, monkeypatch):
    choose(monkeypatch, mechanism)
    subject = names()
    subject["held"] = {"df": subject["df"]}
    with Recorder() as hits:
        flat = hits.changes("held", scope=subject)
        deep = hits.changes("held", scope=subject, depth=2)
        bare = hits.changes("df", scope=subject, depth=0)
        exec("df.loc[0, 'a'] = 9", subject)
        assert (flat.count, deep.count > 0, bare.count) == (0, True, 0)
        exec("held['df'] = None; df = 1", subject)
        assert (flat.count, bare.count) == (1, 1)


def test_the_words_tell_which_column_and_row(monkeypatch):
    monkeypatch.delenv("STOPWHEN_MECHANISM", raising=False)
    subject = names()
    with Recorder() as hits:
        hits.changes("df", scope=subject)
        exec("df.loc[1, 'c'] = 7", subject)
        exec("df.columns = list('xyz')", subject)
    assert str(hits.hits[0].change) == "df['c']  replaced 2.0 at row 1 by 7.0"
    assert str(hits.hits[-1].change) == f"df  {hits.hits[-1].old_text} -> {hits.hits[-1].new_text}"


def test_a_table_of_unknown_make_is_refused(monkeypatch):
    monkeypatch.setattr("stopwhen.tables._HOLDERS", ())
    subject = names()
    with pytest.raises(stopwhen.Refused, match="unknown-table"):
        stopwhen.changes("df", scope=subject)
    with stopwhen.changes("df", scope=subject, depth=0, action="count") as watchpoint:
        subject["df"] = None
    assert watchpoint.count == 1


def test_a_table_is_let_go_of(monkeypatch):
    monkeypatch.delenv("STOPWHEN_MECHANISM", raising=False)
    subject = names()
    gone = weakref.ref(subject["df"])
    with stopwhen.changes("df", scope=subject, action="count") as watchpoint:
        exec("df['a'] = [4, 5, 6]; df.loc[0, 'a'] = 1", subject)
    assert watchpoint.count >= 2
    del subject["df"]
    gc.collect()
    assert gone() is None


def test_pandas_tells_of_assignments_to_copies_as_it_does_without_us():
    """It counts references for that."""
    subject = names()
    with (
        stopwhen.changes("df", scope=subject, action="count") as watchpoint,
        pytest.warns(pd.errors.ChainedAssignmentError),
    ):
        exec("df['a'][0] = 9", subject)
    assert watchpoint.count == 0
