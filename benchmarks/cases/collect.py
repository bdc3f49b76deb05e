"""Code that runs once: a test run that writes, imports, inspects and calls many small modules, as pytest does."""

import importlib.util
import sys
import tempfile
import types
from pathlib import Path

MODULES = 240

TEXT = '''
"""Tests of part {index}."""

import dataclasses
import functools

LIMIT = {index}


@dataclasses.dataclass
class Item:
    name: str
    price: int = LIMIT

    def total(self, count):
        return self.price * count


@functools.lru_cache(maxsize=None)
def prepared(count):
    return [Item(f"item {{number}}", number) for number in range(count)]


def check(left, right, message="not equal"):
    if left != right:
        raise AssertionError(message)


class TestItem:
    def setup_method(self):
        self.items = prepared(5)

    def test_total(self):
        check([item.total(2) for item in self.items], [0, 2, 4, 6, 8])

    def test_names(self):
        check(self.items[3].name, "item 3")


def test_prepared():
    check(len(prepared(7)), 7)
    for item in prepared(7):
        check(item, Item(item.name, item.price))


def test_fails_on_purpose():
    check(LIMIT, None, "part {index} fails")
'''


def load(path):
    """Import the file at `path` as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def collect(module):
    """Yield the name and callable of each test in a module."""
    for name in sorted(vars(module)):
        value = getattr(module, name)
        if isinstance(value, types.FunctionType) and name.startswith("test_"):
            yield f"{module.__name__}::{name}", value
        elif isinstance(value, type) and name.startswith("Test"):
            for method in sorted(dir(value)):
                if method.startswith("test_"):
                    instance = value()
                    instance.setup_method()
                    yield f"{module.__name__}::{name}::{method}", getattr(instance, method)


def run(n):
    """Return how many tests failed of those in `n` times MODULES modules."""
    sys.dont_write_bytecode = True
    failures = {}
    with tempfile.TemporaryDirectory() as folder:
        for index in range(n * MODULES):
            path = Path(folder, f"test_part_{index}.py")
            path.write_text(TEXT.format(index=index), encoding="utf-8")
        for path in sorted(Path(folder).glob("test_*.py")):
            for name, test in collect(load(path)):
                try:
                    test()
                except AssertionError as error:
                    failures[name] = str(error)
    return len(failures)
