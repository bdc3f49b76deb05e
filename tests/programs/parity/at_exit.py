import atexit
import sys


def last():
    print("at exit", [name for name in ("__file__", "__cached__", "__spec__", "how") if name in globals()])
    print(getattr(sys, "last_type", None), repr(getattr(sys, "last_value", None)))
    if how == "fails":
        1 / 0


atexit.register(last)
how = sys.argv[1]
if how == "raises":
    1 / 0
if how == "exits":
    sys.exit(4)
