import os
import sys


class Object:
    def __str__(self):
        return "an object"


print("not lost")
how = sys.argv[1]
if how == "at once":
    print("lost")
    os._exit(5)
if how == "abort":
    os.abort()
codes = {
    "none": None, "zero": 0, "three": 3, "big": 2**40 + 7, "negative": -1, "text": "goodbye", "object": Object(),
    "tuple": (1, 2), "float": 1.5, "true": True,
}
if how in codes:
    sys.exit(codes[how])
