"""Random pure expressions over random data: read as `eval` reads them, with every cell that their value depends on."""

from __future__ import annotations

import copy
import warnings

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from hostile import hostile
from stopwhen.cells import Content, DictItem, ListItem
from stopwhen.dependencies import Reading, read
from stopwhen.errors import Refused
from stopwhen.expression import parse
from stopwhen.scope import NamespaceScope
from stopwhen.types import ABSENT

NAMES = "abcd"

scalars = st.one_of(
    st.integers(-5, 5),
    st.booleans(),
    st.none(),
    st.sampled_from([0.0, -0.0, 1.5, float("inf"), float("nan"), 2j]),
    st.text("abk1 ", max_size=3),
    st.binary(max_size=2),
)
keys = st.one_of(st.integers(-2, 3), st.sampled_from(["a", "k", ""]), st.tuples(st.integers(0, 2)), st.booleans())
data = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.tuples(inner, inner),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=2),
    ),
    max_leaves=8,
)
namespaces = st.dictionaries(st.sampled_from(NAMES), data, min_size=1)

atoms = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from(["0", "1", "-1", "2", "True", "None", "'a'", "'k'", "1.5", "''", "[]", "()", "{}", "b'a'", "'%s'"]),
)
binary_operators = st.sampled_from("+ - * / // % ** << >> | & ^".split())
comparisons = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
functions = st.sampled_from(
    "len abs bool int float str repr sorted list tuple set frozenset sum min max any all type callable hash dict "
    "round bin ord ascii complex bytes".split()
)
wrappers = st.sampled_from(
    ["list(enumerate({}))", "list(zip({}, {}))", "list(reversed({}))", "list(map(len, {}))", "list(range({}))"]
)
methods = st.sampled_from(
    "count({0}) index({0}) get({0}) get({0}, {0}) keys() values() items() copy() upper() strip() split() join({0}) "
    "startswith({0}) union({0}) intersection({0}) issubset({0}) bit_length() is_integer() replace({0}, {0}) "
    "format({0}) isdisjoint({0}) difference({0}) encode() hex() zfill(3) conjugate() nope({0}) find({0})".split()
)
variables = st.sampled_from("xyz")


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return the strategy of expressions with parts from `inner`."""
    several = st.lists(inner, max_size=3)
    return st.one_of(
        st.builds("({} {} {})".format, inner, binary_operators, inner),
        st.builds("({} {} {})".format, inner, comparisons, inner),
        st.builds("({} {} {} {} {})".format, inner, comparisons, inner, comparisons, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("({} is {} is not None)".format, inner, st.sampled_from(NAMES)),
        st.builds("({}{})".format, st.sampled_from("-+~"), inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:{}]".format, inner, inner, inner),
        st.builds("{}[{}:{}:{}]".format, inner, inner, inner, inner),
        st.builds("{}({})".format, functions, inner),
        st.builds(
            "{}({}, {})".format, st.sampled_from(["max", "min", "divmod", "isinstance", "getattr"]), inner, inner
        ),
        st.builds(lambda text, one: text.format(one, one), wrappers, inner),
        st.builds(lambda one, text, other: f"{one}.{text.format(other)}", inner, methods, inner),
        several.map(lambda parts: f"[{', '.join(parts)}]"),
        several.map(lambda parts: f"({''.join(f'{part}, ' for part in parts)})"),
        several.map(lambda parts: f"{{{', '.join(parts) or '*()'}}}"),
        st.builds("{{{}: {}, **{}}}".format, inner, inner, inner),
        st.builds("[*{}, {}]".format, inner, inner),
        st.builds("[{1} for {0} in {2}]".format, variables, inner | variables, inner),
        st.builds("[{1} for {0} in {2} if {3}]".format, variables, inner | variables, inner, inner | variables),
        st.builds("{{{1} for {0} in {2}}}".format, variables, inner | variables, inner),
        st.builds("{{{0}: {1} for {0} in {2}}}".format, variables, inner | variables, inner),
        st.builds("[({0}, {1}) for {0}, {1} in {2}]".format, variables, st.just("w"), inner),
        st.builds("[{0} for {0}, *r in {1} if r]".format, variables, inner),
        st.builds("[{0} for {0} in {1} for y in {0}]".format, variables, inner),
        st.builds(
            "{}({} for {} in {})".format,
            st.sampled_from(["any", "all", "sum", "list", "set"]),
            inner | variables,
            variables,
            inner,
        ),
        inner.filter(lambda part: "'" not in part).map("f'{{({})}}'".format),
        inner.filter(lambda part: '"' not in part).map('f"<{{({})!r}}>"'.format),
    )


expressions = st.recursive(atoms, compound, max_leaves=7)


def parsed(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return parse(text)


def evaluated(text, names):
    """Return the repr of what `eval` makes of the text, and None where it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = eval(text, dict(names))
            return type(value), repr(value)
    except Exception:
        return None


def attempt_to_read(text, names) -> Reading | None:
    """Return the reading; None where it was refused for its cost. Builtin data is never refused for another reason."""
    try:
        return read(parsed(text), NamespaceScope(names), depth="all")
    except Refused as refused:
        assert refused.slug == "too-costly", (text, names, refused)
        return None


def is_usable(text) -> bool:
    try:
        parsed(text)
    except ValueError:
        return False
    return True


def described(reading: Reading):
    return None if reading.value is ABSENT else (type(reading.value), repr(reading.value))


random_cases = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@random_cases
@given(expressions.filter(is_usable), namespaces)
def test_an_expression_is_read_as_eval_reads_it(text, names):
    """The value equals that of `eval`; where `eval` raises, it is absent."""
    reading = attempt_to_read(text, names)
    if reading is None:
        return
    expected = evaluated(text, names)
    event("absent" if expected is None else "present")
    assert described(reading) == expected or "object at 0x" in str(expected)


class Chameleon:
    """Equal to all and of any hash until it is armed; hostile from then on."""

    is_armed = False

    def __hash__(self):
        return hostile().x if self.is_armed else 1

    def __eq__(self, other):
        return hostile().x if self.is_armed else self is other


def hostile_twin(value):
    """Return a copy of random data in which hostile objects stand for some of the scalars."""
    if type(value) is list:
        return [hostile_twin(one) for one in value]
    if type(value) is tuple:
        return tuple(hostile_twin(one) for one in value)
    if type(value) is dict:
        return {Chameleon() if key == "" else key: hostile_twin(one) for key, one in value.items()}
    if type(value) is set:
        return {Chameleon() if key == "" else key for key in value}
    return hostile() if value is None or type(value) is float else value


@random_cases
@given(expressions.filter(is_usable), namespaces)
def test_no_code_of_the_data_is_run(text, names):
    """With hostile objects among the data, an expression is refused, absent, or what no code of theirs has a say in."""
    Chameleon.is_armed = False
    names = {name: hostile_twin(value) for name, value in names.items()}
    Chameleon.is_armed = True
    try:
        reading = read(parsed(text), NamespaceScope(names), depth="all")
    except Refused as refused:
        event(refused.slug)
    else:
        event("absent" if reading.value is ABSENT else "present")


def containers_in(value, seen):
    """Yield each list, dict and set that `value` reaches, once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if type(value) in (list, dict, set):
        yield value
    parts = value.values() if type(value) is dict else value if type(value) in (list, tuple) else ()
    for part in parts:
        yield from containers_in(part, seen)


def changes_of(container):
    """Yield ways to change a container, each with the cells of which one must be known."""
    if type(container) is list:
        for index in range(len(container)):
            places = [ListItem("", container, index), ListItem("", container, index - len(container))]
            yield lambda index=index: container.__setitem__(index, "changed"), places
        every = [ListItem("", container, index) for index in range(-len(container) - 9, len(container) + 9)]
        yield lambda: container.append("more"), every
        yield lambda: container.clear(), every
    elif type(container) is dict:
        for key in list(container):
            yield lambda key=key: container.__setitem__(key, "changed"), [DictItem("", container, key)]
            yield lambda key=key: container.pop(key, None), [DictItem("", container, key)]
        for key in ("a", "k", 1, 0):
            if key not in container:
                yield lambda key=key: container.__setitem__(key, "more"), [DictItem("", container, key)]
    else:
        yield lambda: container.add("more"), []
        yield lambda: container.clear(), []


@random_cases
@given(expressions.filter(is_usable), namespaces)
def test_whatever_changes_the_value_is_a_change_of_a_cell(text, names):
    """If a change somewhere in the data changes what `eval` returns, a cell of that place is among the reading's."""
    before = evaluated(text, names)
    reading = attempt_to_read(text, names)
    if reading is None or "object at 0x" in str(before):
        return
    cells = {*reading.cells, *reading.content}
    for container in list(containers_in(names, set())):
        saved = copy.copy(container)
        for change, places in changes_of(container):
            change()
            after = evaluated(text, names)
            if type(container) is list:
                container[:] = saved
            else:
                container.clear()
                container.update(saved)
            if after != before:
                known = cells & {*places, Content("", container)}
                assert known, (text, names, container, before, after, reading.cells)
                event("changed")
