"""Of many lists, sets and deques not all are compared at every look: who writes to one is named all the same."""

from __future__ import annotations

import pytest

import contract
from contract import Case, choose, containers_tell, hit, run_case
from stopwhen import env

MANY = 80

SETUP = f"""\
import collections, functools, heapq, itertools, operator
rows = [[3, 1, 2] for _ in range({MANY})]
sets = [{{1, 2}} for _ in range({MANY})]
queues = [collections.deque([3, 1, 2]) for _ in range({MANY})]
x, s, q = rows[70], sets[70], queues[70]
"""

PROGRAM = """\
def busy():
    for n in range(40):
        len(str(n))
def counted():
    busy()
    yield 5
    rows[1][:] = rows[1]
    busy()
    yield 6
def f(x, s, q):
    push = {before}
    busy()
    {statement}  # @a
    return len(str(1))
f(x, s, q)
"""

STATEMENTS = {
    "rows": [
        "x.append(1)", "x[1] = None", "x[0:2] = []", "x.sort()", "x.reverse()", "del x[0]", "x += [1]", "x *= 2",
        "list.append(x, 1)", "heapq.heappush(x, 1)", "operator.setitem(x, 0, None)", "x.extend(counted())",
        "list(map(x.append, [1]))", "any(map(x.append, [1]))", "[*map(x.append, [1])]", "y, = map(x.append, [1])",
        "functools.partial(operator.setitem, x, 0)(None)", "functools.reduce(operator.iadd, [[4]], x)",
        "collections.deque(map(x.append, [1]), maxlen=0)", "list(itertools.starmap(x.insert, [(0, 9)]))",
        "list(itertools.chain(map(x.append, [1])))", "sorted([2], key=x.append)", "max([], default=x.pop())",
        "operator.methodcaller('append', 1)(x)", "rows[70].append(1)", "list(filter(x.append, [1]))",
        "(lambda z: z)(x).append(1)", "[x][0].append(1)", "for _ in map(x.append, [1]): busy()", "x[:] = counted()",
    ],
    "sets": ["s.add(5)", "s |= {5}", "s ^= {1}", "s.update([7])", "list(map(s.add, [5]))", "s.clear()", "s.update(counted())"],
    "queues": ["q.append(5)", "q.rotate(1)", "q[0] = 5", "q.popleft()", "q += [1]", "list(map(q.append, [5]))", "del q[0]"],
}  # fmt: skip
BOUND = {"x.append": "push(1)", "functools.partial(x.append, 1)": "push()", "x.pop": "push()"}


def case_of(kind: str, statement: str, before: str) -> Case:
    """Return the case for one statement, where all of a kind are watched."""
    name = f"many {kind}: {statement} with {before}"
    expressions = [f"{kind}[{number}]" for number in range(MANY)]
    program = PROGRAM.format(statement=statement, before=before)
    return Case(name, SETUP, expressions, program, [hit("a", expression=f"{kind}[70]")])


def cases():
    """Yield a case for each statement."""
    for kind, statements in STATEMENTS.items():
        for statement in statements:
            yield case_of(kind, statement, "None")
    for before, statement in BOUND.items():
        yield case_of("rows", statement, before)


@pytest.mark.skipif(env.core is None, reason="in pure Python all are compared, however many there are")
@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_who_writes_to_one_of_many_is_named(case, tmp_path):
    """It is taken by what writes to it, or bound to what that runs."""
    found = run_case(case, tmp_path)
    assert {(one.mark, one.expression) for one in found} == {("a", case.hits[0].expression)}


@pytest.mark.parametrize("mechanism", [one for one in contract.mechanism_sets() if one not in ("recheck", "dictwatch")])
@pytest.mark.parametrize("use", ["len(x)", "x.append(1)", "x.sort(key=str)"])
def test_what_only_takes_one_of_many_later_is_not_blamed(use, mechanism, tmp_path, monkeypatch):
    """A change by what has no hold of it, and then an instruction that takes it: the first hit is not exact."""
    choose(monkeypatch, mechanism)
    module = contract.Module(tmp_path)
    exec(SETUP, module.__dict__)
    with contract.Recorder() as hits:
        for number in range(MANY):
            hits.changes(f"rows[{number}]", scope=module)
        watchpoint = hits.watchpoints[70]
        module.run(f"len('')\nlist(map(operator.setitem, [rows[70]], [0], [None]))\nlen('')\n{use}\nlen('')\n")
        watchpoint.remove()
        told = [(one.exact, one.new_text[:9]) for one in hits.of(watchpoint)]
    assert told[0] == (containers_tell(mechanism), "[None, 1,")
    assert [exact for exact, _text in told[1:]] == [True] * (0 if use == "len(x)" else 1)


@pytest.mark.parametrize("mechanism", [one for one in contract.mechanism_sets() if one not in ("recheck", "dictwatch")])
def test_no_line_is_named_for_one_that_was_never_compared(mechanism, tmp_path, monkeypatch):
    """What has had no turn yet is told between where it was armed and where it was found."""
    choose(monkeypatch, mechanism)
    module = contract.Module(tmp_path)
    exec(SETUP, module.__dict__)
    with contract.Recorder() as hits:
        for number in range(MANY):
            hits.changes(f"rows[{number}]", scope=module)
        module.run("list(map(operator.setitem, rows[79:], [0], [None]))\nfor n in range(3_000): len('')\n")
        (found,) = hits.of(hits.watchpoints[79])
    assert found.exact == containers_tell(mechanism)
    assert not found.exact or found.location.lineno == 1
