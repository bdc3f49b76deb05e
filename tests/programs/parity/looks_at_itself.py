"""Does what depends on being `__main__`."""
import dataclasses
import inspect
import linecache
import pickle
import sys
import typing
import warnings

import __main__


@dataclasses.dataclass
class Point:
    x: int
    kind: "typing.ClassVar[str]" = "point"


def documented():
    """Explain."""
    return 1  # a comment


def warned():
    warnings.warn("of the caller", stacklevel=2)


print(__main__ is sys.modules["__main__"], __main__.Point is Point, Point(1), Point.__module__)
print(pickle.dumps(Point(1), 0), pickle.loads(pickle.dumps(Point(2))))
print(typing.get_type_hints(Point), documented.__doc__, __doc__)
try:
    print(inspect.getsource(documented))
except OSError as error:
    print(error)
print(linecache.getline(documented.__code__.co_filename, 3))
warnings.warn("old", DeprecationWarning)
warned()
print(sorted(name for name in globals() if "warn" in name))
text = "\d"
number: int = 3
print(__annotations__ if sys.version_info < (3, 14) else sys.modules["__main__"].__annotations__)
assert number == 3, "a false assertion"
assert number == 4, "a true assertion"
