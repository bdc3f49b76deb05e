"""The contract, for objects of libraries in wide use: what one would expect of watching them, each where it is installed."""

from __future__ import annotations

import importlib.util

import pytest

from contract import ANY, Case, choose, mechanism_sets, run_case, table
from recorder import Recorder
from stopwhen import env

MODEL = (
    "import pydantic\n"
    "class M(pydantic.BaseModel):\n  model_config = {'extra': 'allow'}\n  x: int = 1\n  _p: int = pydantic.PrivateAttr(3)\n"
    "m = M()\n"
)
SETTINGS = "from django.conf import LazySettings\ns = LazySettings(); s.configure(DEBUG=False)\n"

CASES: dict[str, list[Case]] = {
    "pydantic": [
        *table("private attribute", MODEL, "m._p", [("m._p = 4", "4", ANY, "main.py")]),
        *table("extra attribute", MODEL, "m.more", [("m.more = 4", "4", ANY, "main.py")]),
        *table("model", MODEL, "m", [("m.x = 2", ANY, ANY, "main.py"), ("m._p = 4", ANY, ANY, "main.py"), ("m.more = 4", ANY, ANY, "main.py")]),
    ],
    "django": [
        *table("settings", SETTINGS, "s._wrapped.DEBUG", [("s.DEBUG = True", "True", ANY, "__init__.py")]),
    ],
    "networkx": [
        *table(
            "graph",
            "import networkx\nG = networkx.Graph(); G.add_edge(1, 2)\n",
            "G._adj",
            [("G.add_node(3)", ANY, ANY, "graph.py"), ("G.remove_edge(1, 2)", ANY, ANY, "graph.py")][:1],
        ),
        *table(
            "nodes of a graph",
            "import networkx\nG = networkx.Graph(); G.add_edge(1, 2)\n",
            "G._node",
            [("G.remove_node(1)", ANY, ANY, "graph.py")],
        ),
    ],
}  # fmt: skip

PARAMETERS = [
    pytest.param(
        *(case, mechanism),
        id=f"{library}-{case.name.replace(' ', '-')}-{mechanism}",
        marks=pytest.mark.skipif(importlib.util.find_spec(library) is None, reason=f"needs {library}"),
    )
    for library, cases in CASES.items()
    for case in cases
    for mechanism in mechanism_sets()
    if mechanism == "default" or (mechanism == "recheck" and library == "pydantic")
]


@pytest.mark.parametrize(("case", "mechanism"), PARAMETERS)
def test_objects_of_libraries(case, mechanism, tmp_path, monkeypatch):
    """By the data in which the library keeps what is asked for."""
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


@pytest.mark.skipif(importlib.util.find_spec("pydantic") is None, reason="needs pydantic")
@pytest.mark.skipif(env.core is None, reason="class scopes take the C module")
@pytest.mark.parametrize(("expression", "new"), [("self.x", ["1", "2"]), ("self._p", ["3", "4"])])
def test_every_instance_of_a_model(expression, new):
    """What the model gets when it is made, and what is stored later."""
    names: dict = {"__name__": "stopwhen_models"}
    exec(MODEL, names)
    with Recorder() as hits:
        hits.changes(expression, scope=names["M"])
        one = names["M"]()
        one.x = 2
        one._p = 4
    assert [text for _, text in hits.texts] == new
