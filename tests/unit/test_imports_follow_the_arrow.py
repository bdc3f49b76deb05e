"""front end -> watch expression -> plan -> mechanisms -> event -> hit -> action -> report: imports go one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
C_MODULE = "stopwhen._core"

# Each may import what stands before it. A name stands for a module, or for a package with all its modules.
ORDER = (
    C_MODULE,
    "stopwhen.type_hints",
    "stopwhen.originals",
    "stopwhen.immutable",
    "stopwhen.globs",
    "stopwhen.paths",
    "stopwhen.errors",
    "stopwhen.types",
    "stopwhen.channel",
    "stopwhen.tally",
    "stopwhen.nearest",
    "stopwhen.env",
    "stopwhen.static",
    "stopwhen.source_lines",
    "stopwhen.weak_values",
    "stopwhen.thread_locals",
    "stopwhen.memory",
    "stopwhen.tables",
    "stopwhen.library_texts",
    "stopwhen.texts",
    "stopwhen.cells",
    "stopwhen.event",
    "stopwhen.content",
    "stopwhen.values",
    "stopwhen.deltas",
    "stopwhen.expression",
    "stopwhen.of_code",
    "stopwhen.frames",
    "stopwhen.scope",
    "stopwhen.wide",
    "stopwhen.entered_code",
    "stopwhen.evaluation",
    "stopwhen.record",
    "stopwhen.pinned",
    "stopwhen.hidden_data",
    "stopwhen.arrays",
    "stopwhen.comparing",
    "stopwhen.attributes",
    "stopwhen.library_items",
    "stopwhen.items",
    "stopwhen.operations",
    "stopwhen.functions",
    "stopwhen.methods",
    "stopwhen.calls",
    "stopwhen.dependencies",
    "stopwhen.handlers",
    "stopwhen.positions",
    "stopwhen.location",
    "stopwhen.launchers",
    "stopwhen.absence",
    "stopwhen.change",
    "stopwhen.writing_threads",
    "stopwhen.reports",
    "stopwhen.hit",
    "stopwhen.mechanisms",
    "stopwhen.plan",
    "stopwhen.before",
    "stopwhen.conditions",
    "stopwhen.terms",
    "stopwhen.simple_conditions",
    "stopwhen.rules",
    "stopwhen.judging",
    "stopwhen.hits",
    "stopwhen.watchpoint",
    "stopwhen.activation",
    "stopwhen.parts",
    "stopwhen.arming",
    "stopwhen.accessing",
    "stopwhen.families",
    "stopwhen.waiting",
    "stopwhen.actions",
    "stopwhen.missed",
    "stopwhen.terminals",
    "stopwhen.debuggers",
    "stopwhen.stopping",
    "stopwhen.acting",
    "stopwhen.session",
    "stopwhen.guard",
    "stopwhen.api",
    "stopwhen",
    "stopwhen.frontends",
    "stopwhen.pdb",
    "stopwhen.__main__",
)


def module_name(path: Path) -> str:
    """Return the dotted name of the module that a file of the source is."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.pyi")]}


class _WithoutAnnotationImports(ast.NodeTransformer):
    """Takes out the blocks `if TYPE_CHECKING:`, which never run."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


def imports_of(name: str) -> set[str]:
    """Return the modules of ours that a module imports, anywhere in it, but for what only its annotations name."""
    imported = set()
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for node in ast.walk(_WithoutAnnotationImports().visit(tree)):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: a relative import"
            # `from stopwhen import plan` imports the module, `from stopwhen import changes` the package.
            dotted = [f"{node.module}.{alias.name}" for alias in node.names]
            imported.update(full if full in MODULES or full == C_MODULE else str(node.module) for full in dotted)
    return {module for module in imported if module.split(".")[0] == "stopwhen"} - {name}


def place_of(name: str) -> str:
    """Return the entry of ORDER that a module belongs to: its own, or the package's that it is in."""
    own = [entry for entry in ORDER if name == entry or (entry != "stopwhen" and name.startswith(entry + "."))]
    assert own, f"{name} has no place in ORDER"
    return own[0]


def test_the_source_is_found():
    """The rules below are about something."""
    assert {"stopwhen.errors", "stopwhen.cells", "stopwhen.event"} <= set(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_what_stands_before_it(name):
    """No import goes against the flow; inside one package of ours modules may import each other."""
    mine = ORDER.index(place_of(name))
    wrong = {other for other in imports_of(name) if ORDER.index(place_of(other)) > mine}
    assert wrong == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nothing_imports_a_front_end(name):
    """Front ends come and go; only `python -m stopwhen` and other front ends know them."""
    if place_of(name) in ("stopwhen.frontends", "stopwhen.pdb", "stopwhen.__main__"):
        return
    assert {other for other in imports_of(name) if place_of(other) == "stopwhen.frontends"} == set()


def test_the_c_module_imports_nothing_of_ours():
    """The C module decides nothing, so it needs nobody."""
    assert C_MODULE not in MODULES or imports_of(C_MODULE) == set()
