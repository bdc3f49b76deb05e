"""The suites of real projects: where they come from, what of them runs, and what is watched meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Data:
    """One piece of data of the project.

    Attributes:
        expression: the watch expression.
        scope: where its names are read: `pkg.mod`, `pkg.mod:function` or `pkg.mod:Class`.
        depth: how far its content counts.
    """

    expression: str
    scope: str
    depth: str = "1"


@dataclass(frozen=True)
class Suite:
    """One suite.

    Attributes:
        name: what `make field SUITES=...` calls it.
        project: the release that is tested.
        packaged: whether the tests come with the installed package; else they are taken from the source archive.
        extras: what else the tests need.
        arguments: what pytest is given, in the project's folder.
        few: likewise for `--few`: what takes some seconds.
        attribute: of each instance of a busy class.
        local: a variable of each call of a function.
        graph: data of the project with all that it reaches.
        everywhere: whether it runs on each version, and not on the newest of 3.11 to 3.13 only.
    """

    name: str
    project: str
    arguments: tuple[str, ...]
    few: tuple[str, ...]
    attribute: Data
    local: Data
    graph: Data
    packaged: bool = False
    extras: tuple[str, ...] = field(default=())
    everywhere: bool = False


SUITES = (
    Suite(
        "click",
        "click==8.5.1",
        ("tests",),
        ("tests/test_context.py", "tests/test_testing.py"),
        Data("self._depth", "click.core:Context"),
        Data("value", "click.core:Option.resolve_envvar_value"),
        Data("_local", "click.globals"),
        everywhere=True,
    ),
    Suite(
        "attrs",
        "attrs==26.1.0",
        ("tests",),
        ("tests/test_slots.py", "tests/test_dunders.py", "tests/test_setattr.py"),
        Data("self._wrote_own_setattr", "attr._make:_ClassBuilder"),
        Data("had_default", "attr._make:_transform_attrs"),
        Data("cache", "linecache"),
        extras=("hypothesis", "cloudpickle", "pympler"),
        everywhere=True,
    ),
    Suite(
        "jinja2",
        "jinja2==3.1.6",
        ("tests",),
        ("tests/test_core_tags.py", "tests/test_imports.py"),
        Data("self._indentation", "jinja2.compiler:CodeGenerator"),
        Data("lineno", "jinja2.lexer:Lexer.tokeniter"),
        Data("_lexer_cache", "jinja2.lexer"),
        extras=("trio",),
        everywhere=True,
    ),
    Suite(
        "wrapt",
        "wrapt==2.5.2",
        ("tests/core",),
        ("tests/core", "-k", "import or patch or function"),
        Data("self.in_progress", "wrapt.importer:ImportHookFinder"),
        Data("original", "wrapt.patches:resolve_path"),
        Data("_post_import_hooks", "wrapt.importer"),
        extras=("setuptools",),
        everywhere=True,
    ),
    Suite(
        "packaging",
        "packaging==26.3",
        ("tests",),
        ("tests/test_requirements.py",),
        Data("self.position", "packaging._tokenizer:Tokenizer"),
        Data("parsed_specifiers", "packaging._parser:_parse_version_many"),
        Data("LICENSES", "packaging.licenses._spdx"),
        extras=("hypothesis", "pretend", "tomli_w"),
    ),
    Suite(
        "networkx",
        "networkx==3.7",
        ("--pyargs", "networkx.classes", "networkx.algorithms.tests"),
        ("--pyargs", "networkx.classes.tests.test_graph"),
        Data("self.graph", "networkx.classes.graph:Graph", "0"),
        Data("ne", "networkx.classes.graph:Graph.add_edges_from"),
        Data("config", "networkx.utils.configs"),
        packaged=True,
    ),
    Suite(
        "sqlalchemy",
        "sqlalchemy==2.1.9",
        ("test/orm/test_collection.py",),
        ("test/orm/test_collection.py", "-k", "dict or set"),
        Data("self.invalidated", "sqlalchemy.orm.collections:CollectionAdapter"),
        Data("role", "sqlalchemy.orm.collections:_locate_roles_and_methods"),
        Data("_key_to_collection", "sqlalchemy.event.registry"),
    ),
    Suite(
        "pandas",
        "pandas==3.1.1",
        ("--pyargs", "pandas.tests.copy_view"),
        ("--pyargs", "pandas.tests.copy_view.test_setitem", "pandas.tests.copy_view.test_indexing"),
        Data("self._mgr", "pandas.core.frame:DataFrame", "0"),
        Data("check_deprecated_indexers", "pandas.core.indexing:_LocationIndexer._get_setitem_indexer"),
        Data("_global_config", "pandas._config.config"),
        packaged=True,
    ),
    Suite(
        "numpy",
        "numpy==2.5.5",
        ("--pyargs", "numpy.lib"),
        ("--pyargs", "numpy.lib.tests.test__iotools", "numpy.lib.tests.test_index_tricks"),
        Data("self._status", "numpy.lib._iotools:StringConverter"),
        Data("ndmin", "numpy.lib._index_tricks_impl:AxisConcatenator.__getitem__"),
        Data("StringConverter._mapper", "numpy.lib._iotools"),
        packaged=True,
        extras=("hypothesis",),
    ),
    Suite(
        "trio",
        "trio==0.35.0",
        ("src/trio/_core/_tests", "src/trio/_tests", "--skip-optional-imports"),
        ("src/trio/_tests/test_sync.py", "src/trio/_tests/test_threads.py"),
        Data("self._cancel_called", "trio._core._run:CancelScope"),
        Data("idle_primed", "trio._core._run:unrolled_run"),
        Data("THREAD_CACHE", "trio._core._thread_cache"),
        extras=("trustme", "pyOpenSSL", "async_generator", "astor"),
    ),
    Suite(
        "pytest",
        "pytest==9.2.0",
        ("testing/test_monkeypatch.py", "testing/test_capture.py"),
        ("testing/test_monkeypatch.py",),
        Data("self._state", "_pytest.capture:MultiCapture"),
        Data("used", "_pytest.monkeypatch:resolve"),
        Data("root", "logging"),
        extras=("xmlschema", "hypothesis", "attrs", "pygments", "argcomplete", "mock", "requests", "setuptools"),
    ),
)
