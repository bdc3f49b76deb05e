"""Prints all that the interpreter gave it."""
import re
import sys

main = sys.modules["__main__"]
assert vars(main) is globals()
for key, value in list(vars(main).items()):
    if key not in ("re", "sys", "main", "key", "value"):
        print(key, re.sub("0x[0-9a-f]+", "", repr(value)))
print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.warnoptions, sys._xoptions, sep="\n")
print(sys._getframe().f_code.co_filename, sys._getframe().f_code.co_name, __debug__)
print(sys.getprofile(), sys.getrecursionlimit(), sys.excepthook is sys.__excepthook__)
