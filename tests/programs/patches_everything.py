"""Replaces every function and class of every module by one that raises, then changes what is watched.

It prints what the hits tell once everything is back. Argument: `modules` to empty `sys.modules` meanwhile.
"""

import sys

BARE = set(sys.modules)

import stopwhen

try:
    import numpy
except ImportError:
    numpy = None

EMPTIES = "modules" in sys.argv[1:]
Raised = stopwhen.DataChanged
total = guarded = 0
rows = [1, 2]
table = {"a": 1}


class Account:
    def __init__(self):
        self.balance = 1


account = Account()
data = numpy.zeros(4) if numpy else None


def work():
    found = 1  # @bound
    found = 2  # @local
    return found


def change(number):
    global total, guarded
    total = number  # @global
    account.balance = number  # @attribute
    table["a"] = number  # @item
    rows.append(number)  # @list
    if data is not None:
        data[number] = number  # @array
    work()
    try:
        guarded = number  # @raise
        number += 1
    except Raised:
        return "raised"
    return "not raised"


def outer(number):
    return change(number)  # @outer


class Replaced(BaseException):
    pass


def replacing(title):
    def raises(*_arguments, **_options):
        raise Replaced(title)

    return raises


def replacements():
    """Return each namespace with what it has, and what takes its place, of all functions and classes."""
    found = []
    for name, module in sys.modules.items():
        if type(module) is not type(sys) or name.partition(".")[0] in ("stopwhen", "__main__", "numpy"):
            continue
        kept = {}
        for key, value in vars(module).items():
            is_error = isinstance(value, type) and issubclass(value, BaseException)
            if type(value) in (type(work), type(len)) or (isinstance(value, type) and not is_error):
                kept[key] = value
        found.append((vars(module), kept, {key: replacing(f"{name}.{key}") for key in kept}))
    return found


def run(Everything=BaseException):
    end = None
    for namespace, _, others in kept:
        namespace.update(others)
    if EMPTIES:
        sys.modules.clear()
    try:
        end = outer(3)
    except Everything as error:
        end = error
    modules_back(all_modules)
    for namespace, others, _ in kept:
        namespace.update(others)
    return end


CASES = [("total", None), ("account.balance", None), ('table["a"]', None), ("rows", None), ("found", work)]
CASES += [("data", None)] if numpy else []


def watch(action):
    return [stopwhen.changes(text, scope=scope or sys.modules["__main__"], action=action) for text, scope in CASES]


seen = []
watch("count")
watch("log")
stopwhen.clear()
kept, modules_back, all_modules = replacements(), sys.modules.update, dict(sys.modules)
names = set(sys.modules) - BARE
assert {name for name in names if name.partition(".")[0] not in ("stopwhen", "numpy")} > {"enum", "functools"}
logged, counted, called = watch("log"), watch("count"), watch(seen.append)
raising = stopwhen.changes("guarded", scope=sys.modules["__main__"], action="raise")
end = run()
if isinstance(end, BaseException):
    raise end
counts = [[one.count for one in each] for each in (logged, counted, called, [raising])]
stopwhen.clear()
print(end, counts)
for hit in [*seen, *raising.hits]:
    print(
        hit.watchpoint.expression.text,
        hit.location.lineno,
        hit.by,
        hit.change,
        hit.exact,
        hit.thread,
        [one.function for one in hit.stack],
        sep=" | ",
    )
