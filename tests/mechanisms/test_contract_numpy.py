"""The contract, for arrays of numpy: elements, views, whole operations, arrays of objects."""

from __future__ import annotations

import pytest

import stopwhen
from contract import ANY, Case, choose, hit, mechanism_sets, parametrized, run_case, table
from recorder import Recorder

np = pytest.importorskip("numpy", reason="needs numpy")

N = "import numpy as np\n"

ARRAYS = [
    *table(
        "numpy array",
        f"{N}a = np.arange(4); b = a; v = a[::2]; m = memoryview(a)",
        "a",
        [
            ("a[0] = 9", "array([9, 1, 2, 3], dtype=int64)", None),
            ("a[1:3] = 9", "array([0, 9, 9, 3], dtype=int64)", None),
            ("a[a > 1] = 0", "array([0, 1, 0, 0], dtype=int64)", None),
            ("a += 1", "array([1, 2, 3, 4], dtype=int64)", None),
            ("b -= 1", "array([-1, 0, 1, 2], dtype=int64)", None),
            ("b //= 2", "array([0, 0, 1, 1], dtype=int64)", None),
            ("v[1] = 7", "array([0, 1, 7, 3], dtype=int64)", None),
            ("v *= 3", "array([0, 1, 6, 3], dtype=int64)", None),
            ("m[0] = 5", "array([5, 1, 2, 3], dtype=int64)", None),
            ("np.add(a, 1, out=a)", "array([1, 2, 3, 4], dtype=int64)", ANY),
            ("np.copyto(a, 0)", "array([0, 0, 0, 0], dtype=int64)", ANY),
            ("np.put(a, [0], [8])", "array([8, 1, 2, 3], dtype=int64)", ANY, "fromnumeric.py"),
            ("a.fill(5)", "array([5, 5, 5, 5], dtype=int64)", "ndarray.fill"),
            ("a[::-1].sort()", "array([3, 2, 1, 0], dtype=int64)", ANY),
            ("a.put([1], [8])", "array([0, 8, 2, 3], dtype=int64)", ANY),
            ("a.setfield(7, a.dtype)", "array([7, 7, 7, 7], dtype=int64)", ANY),
            ("a.resize(2, refcheck=False)", "array([0, 1], dtype=int64)", ANY),
            ("a.resize((2, 2), refcheck=False)", "array([[0, 1], [2, 3]], shape=(2, 2), dtype=int64)", ANY),
            ("a = np.arange(4)", ANY, None),
            ("for a[0] in [9]: pass", "array([9, 1, 2, 3], dtype=int64)", None),
        ],
        declarations="global a, b, v",
    ),
    *table("view", f"{N}a = np.arange(4); v = a[::2]", "v", [("a[0] = 9", "array([9, 2], dtype=int64)", None), ("v[1] = 9", "array([0, 9], dtype=int64)", None)]),
    *table("view backwards", f"{N}a = np.arange(4); v = a[::-1]", "v", [("a[0] = 9", "array([3, 2, 1, 9], dtype=int64)", None)]),
    *table("array of two dimensions", f"{N}a = np.arange(4).reshape(2, 2)", "a", [("a[1, 0] = 9", "array([[0, 1], [9, 3]], shape=(2, 2), dtype=int64)", None), ("a[1] = 9", "array([[0, 1], [9, 9]], shape=(2, 2), dtype=int64)", None)]),
    *table("transposed array", f"{N}a = np.arange(4).reshape(2, 2); t = a.T", "t", [("a[1, 0] = 9", "array([[0, 9], [1, 3]], shape=(2, 2), dtype=int64)", None)]),
    *table("array of no dimension", f"{N}a = np.array(5)", "a", [("a[()] = 6", "array(6, dtype=int64)", None)]),
    *table(
        "array of objects",
        f"{N}a = np.array([1, 'x', None], dtype=object); v = a[1:]",
        "a",
        [("a[1] = 'y'", "array([1, 'y', None], dtype=object)", None), ("v[1] = 5", "array([1, 'x', 5], dtype=object)", None), ("a[:] = [4, 5, 6]", "array([4, 5, 6], dtype=object)", None)],
    ),
    *table("array of dates", f"{N}a = np.zeros(1, dtype='datetime64[D]')", "a", [("a[0] = '2020-01-01'", ANY, None)]),
    *table("array of texts", f"{N}a = np.zeros(1, dtype='U5')", "a", [("a[0] = 'abc'", "array(['abc'], dtype=str160)", None)]),
    *table("array of records", f"{N}a = np.zeros(1, dtype=[('x', 'i4'), ('y', 'f8')])", "a", [("a[0] = 1, 2", "array([(1, 2.0)], dtype=|V12)", None), ("a['x'][0] = 3", "array([(3, 0.0)], dtype=|V12)", None)]),
    *table("array that cannot be written to", f"{N}b = np.arange(2); a = b[:]; a.flags.writeable = False", "a", [("b[0] = 9", "array([9, 1], dtype=int64)", None)]),
    *table("attribute that is an array", f"{N}class A: pass\no = A(); o.a = np.zeros(1)", "o.a", [("o.a[0] = 1", "array([1.0], dtype=float64)", None), ("o.a = np.ones(1)", "array([1.0], dtype=float64)", None)]),
]  # fmt: skip

EXPRESSIONS = [
    *table("element", f"{N}a = np.arange(4)", "a[0]", [("a[0] = 9", "int64(9)", None), ("a[:] = 5", "int64(5)", None)]),
    *table("element of two dimensions", f"{N}a = np.arange(4).reshape(2, 2)", "a[1, 0]", [("a[1] = 9", "int64(9)", None)]),
    *table("row", f"{N}a = np.arange(4).reshape(2, 2)", "a[1]", [("a[1, 0] = 9", "array([9, 3], dtype=int64)", None)]),
    *table("column", f"{N}a = np.arange(4).reshape(2, 2)", "a[:, 1]", [("a[1, 1] = 9", "array([1, 9], dtype=int64)", None)]),
    *table("shape", f"{N}a = np.arange(4)", "a.shape", [("a.resize((2, 2), refcheck=False)", "(2, 2)", ANY)]),
    *table("length", f"{N}a = np.arange(4)", "len(a)", [("a.resize(2, refcheck=False)", "2", ANY)]),
    *table("sum", f"{N}a = np.arange(4)", "a.sum()", [("a[0] = 9", "int64(15)", None)]),
    *table("comparison", f"{N}a = np.arange(4)", "(a > 8).any()", [("a[0] = 9", "bool(True)", None)]),
    *table("a number not there", f"{N}a = np.zeros(2)", "np.isnan(a).any()", [("a[0] = np.nan", "bool(True)", None)]),
    *table("arithmetic", f"{N}a = np.arange(3)", "a * 2 - 1", [("a[0] = 9", "array([17, 1, 3], dtype=int64)", None)]),
    *table("list of an array", f"{N}a = np.arange(2)", "list(a)", [("a[0] = 9", "[int64(9), int64(1)]", None)]),
    *table("number", f"{N}x = np.float64(1)", "x > 2", [("x = np.float64(3)", "bool(True)", None)], declarations="global x"),
]  # fmt: skip

UNCHANGED = [
    Case(f"no change: {statement}", f"{N}{setup}", expression, f"{statement}\n")
    for setup, expression, statement in [
        ("a = np.arange(4); v = a[::2]", "v", "a[1] = 9; a[3] = 9"),
        ("a = np.arange(4)", "a", "a[0] = 0; a += 0; a.sum(); a.copy()[0] = 5; a + 1; sorted(a)"),
        ("a = np.array(['x'], dtype=object)", "a", "a[0] = a[0]"),
        ("a = np.array([10**30], dtype=object)", "a", "a[0] = 10**30"),
        ("a = np.array([np.nan])", "a", "a[0] = np.nan"),
        ("a = np.arange(4)", "a[0]", "a[1] = 9"),
        ("a = np.arange(4).reshape(2, 2)", "a[:, 1]", "a[1, 0] = 9"),
        ("a = np.arange(4)", "a.max() > 8", "a[1] = 8"),
        ("class A: pass\no = A(); o.a = np.zeros(1)", "o", "o.a[0] = 1"),
    ]
]

SEVERAL = [
    Case(
        "minus zero",
        f"{N}a = np.zeros(1)",
        "a",
        "a[0] = 0.0\na[0] = -0.0  # @a\n",
        [hit("a", "array([0.0], dtype=float64)", "array([-0.0], dtype=float64)")],
    ),
    Case(
        "depth two reaches an array",
        f"{N}class A: pass\no = A(); o.a = np.zeros(1); n = np.zeros(1)",
        "o",
        "o.a[0] = 1  # @a\nold = o.a\no.a = n  # @b\nold[0] = 5\nn[0] = 2  # @c\n",
        [hit("a"), hit("b"), hit("c")],
        options={"depth": 2},
    ),
    Case(
        "true",
        f"{N}a = np.zeros(3)",
        "np.isnan(a).any()",
        "a[0] = 1\na[1] = np.nan  # @a\na[2] = np.nan\na[:] = 0\n",
        [hit("a", "False", "True")],
        trigger="true",
    ),
]


@parametrized([*ARRAYS, *EXPRESSIONS, *UNCHANGED, *SEVERAL])
def test_numpy(case, mechanism, tmp_path, monkeypatch):
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


@pytest.mark.parametrize("mechanism", [one for one in mechanism_sets() if one != "dictwatch"])
@pytest.mark.parametrize(
    ("array", "store", "words"),
    [
        ([1, 2, 3], "a[1] = 9", "a  replaced 2 at 1 by 9"),
        ([[1, 2], [3, 4]], "a[1, 0] = 9", "a  replaced 3 at (1, 0) by 9"),
        ([1.5, 2], "a[:] = 0", "a  replaced 1.5, 2.0 by 0.0, 0.0"),
        ([1.0, 2.0, 3.0, 4.0], "np.multiply(a, 2, out=a)", "a  replaced 1.0, 2.0, 3.0, 4.0 by 2.0, 4.0, 6.0, 8.0"),
        ([1, 1, 2, 3], "a[1:] = a[:-1].copy()", "a  replaced 2, 3 at 2 by 1, 2"),
        ([[1, 2], [3, 4]], "a[:, 0] = 0", "a  replaced 1 at (0, 0) by 0; replaced 3 at (1, 0) by 0"),
        ([1] * 9, "a[::2] = 0", "a  replaced 1 at 0 by 0; replaced 1 at 2 by 0; replaced 1 at 4 by 0; ... 2 more"),
        (["x", None], "a[1] = 'y'", "a  replaced None at 1 by 'y'"),
    ],
)
def test_the_words_tell_which_element(array, store, words, mechanism, monkeypatch):
    choose(monkeypatch, mechanism)
    names = {"a": np.array(array), "np": np}
    with Recorder() as hits:
        hits.changes("a", scope=names)
        exec(store, names)
    assert [str(one.change) for one in hits.hits] == [words]


def test_a_view_of_a_large_array_is_told_at_its_line(tmp_path, monkeypatch):
    """Comparing it whole after each call would stall the program: only what shares its memory makes that due."""
    monkeypatch.delenv("STOPWHEN_MECHANISM", raising=False)
    case = Case(
        "large",
        f"{N}a = np.zeros(3_000_000); v = a[10:20]; fill = a.fill",
        "a",
        "v[3] = 1  # @view\nmemoryview(a)[5] = 2  # @memory\nnp.add(v, 1, out=v)  # @out\nfill(7)  # @method\nlen(v)\n",
        [hit("view"), hit("memory"), hit("out"), hit("method")],
    )
    assert run_case(case, tmp_path) == case.hits


def test_numpy_is_not_imported_for_a_program_that_does_not(tmp_path):
    import helpers

    program = """
        import sys
        import stopwhen
        rows = [1]
        with stopwhen.changes("rows", action="count", depth="all"):
            rows.append(2)
        print([name for name in ("numpy", "pandas", "ctypes", "mmap", "array") if name in sys.modules])
    """
    assert helpers.run_program(program).stdout == "[]\n"


def test_the_truth_of_several_elements_is_refused():
    with pytest.raises(stopwhen.Refused, match="ambiguous-truth"):
        stopwhen.true("a > 1", scope={"a": np.arange(3)})


def test_what_numpy_warns_of_is_not_said_in_the_name_of_the_program(recwarn):
    names = {"a": np.array([1.0, 0.0])}
    with Recorder() as hits:
        hits.changes("1 / a", scope=names)
        names["a"][0] = 0.0
    assert len(hits.hits) == 1
    assert not recwarn.list


def test_arrays_of_objects_with_code_of_their_own_are_not_compared():
    class Hostile:
        def __eq__(self, other):
            raise SystemError

        __hash__ = None

    names = {"a": np.array([Hostile(), Hostile()], dtype=object)}
    with Recorder() as hits:
        hits.changes("a", scope=names)
        names["a"][0] = Hostile()
        with pytest.raises(stopwhen.Refused):
            stopwhen.changes("a == 1", scope=names)
    assert len(hits.hits) == 1
