"""Looks at all that a program can ask about itself, before, between and after changes, and prints it as JSON."""

import gc, inspect, json, os, signal, sys, threading, traceback, warnings

class Account:
    limit = 10
    def __init__(self, balance):
        self.balance = balance
        self.rows = [balance]
    @property
    def half(self):
        return self.balance / 2
    def pay(self, amount):
        self.balance += amount
        self.rows.append(amount)
        return self

class Slotted:
    __slots__ = ("value",)

def work(count):
    total = 0
    for number in range(count):
        total += number
    return total

def fails(account):
    account.balance = None; account.rows.append(1); account.missing

config, rows, level = {"mode": 1, "nested": {"a": [1]}}, [1, 2], 1
account, slotted = Account(5), Slotted()
slotted.value = 1
marker = object()
rows.append(marker)
SEEN = {}

def look_at_references():
    return {name: sys.getrefcount(globals()[name]) for name in ("config", "rows", "account", "slotted", "marker")} | {
        "inner": sys.getrefcount(config["nested"]), "own": sys.getrefcount(account.rows),
        "class": sum(referrer is not sys.modules for referrer in gc.get_referrers(slotted)),
    }
def look_at_objects():
    gc.collect()
    mine = [one for one in gc.get_objects() if type(one).__module__ == "__main__"]
    return {"mine": len(mine), "threshold": gc.get_threshold(), "on": gc.isenabled(), "garbage": gc.garbage,
            "callbacks": len(gc.callbacks), "frozen": gc.get_freeze_count()}
def look_at_tracebacks():
    try:
        fails(Account(1))
    except AttributeError as error:
        tb, lines = error.__traceback__, []
        while tb is not None:
            lines.append((tb.tb_lineno, tb.tb_frame.f_code.co_name, tb.tb_lasti)); tb = tb.tb_next
        return [traceback.format_exc(), lines, repr(error.__context__), getattr(error, "__notes__", None)]
def look_at_sources():
    return [inspect.getsource(work), inspect.getsource(Account), str(inspect.signature(Account)),
            str(inspect.signature(work)), inspect.getsourcelines(fails)[1], work.__code__.co_code.hex(),
            list(work.__code__.co_names), inspect.getmembers(work.__code__, lambda value: type(value) in (int, str))]
def look_at_classes():
    return [sorted(vars(Account)), [repr(type(value)) for value in vars(Account).values()], Account.__mro__[0].__name__,
            str(type(account)), sorted(vars(account)), dir(slotted), Account.__flags__, Account.__basicsize__,
            Account.__dictoffset__, [one.__name__ for one in Account.__subclasses__()], hasattr(account, "__weakref__"),
            sys.getsizeof(rows), sys.getsizeof(slotted)]
def look_at_modules():
    return [sorted(globals()), sorted(vars(sys.modules["__main__"])), __name__, __file__.rpartition("/")[2], str(__spec__),
            sorted(vars(__builtins__)), sys.modules["__main__"].__dict__ is globals()]
def look_at_imports():
    return sorted(name for name in sys.modules if not name.startswith(("stopwhen", "_stopwhen")) and name in NAMES)
def look_at_warnings():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("of the program", stacklevel=1)
        account.pay(0)
    return [[str(one.message), one.lineno, one.filename.rpartition("/")[2]] for one in caught] + [
        [str(one) for one in warnings.filters], warnings.showwarning.__module__, sorted(globals().get("__warningregistry__", {}))]
def look_at_threads():
    thread = threading.Thread(target=account.pay, args=(0,), name="worker"); thread.start(); thread.join()
    return [[one.name for one in threading.enumerate()], threading.active_count(), str(threading.gettrace()),
            str(threading.getprofile()), threading.excepthook.__module__, len(sys._current_frames())]
def look_at_hooks():
    return [str(sys.gettrace()), str(sys.getprofile()), sys.excepthook.__module__, sys.unraisablehook.__module__,
            sys.displayhook.__module__, sys.getrecursionlimit(), sys.getswitchinterval(), sys.flags.optimize, sys.breakpointhook.__module__,
            str(sys._getframe().f_trace), sys._getframe().f_trace_lines, sys._getframe().f_trace_opcodes]
def look_at_signals():
    return [str(signal.getsignal(one)) for one in sorted(signal.valid_signals())] + [
        signal.set_wakeup_fd(-1), str(signal.getitimer(signal.ITIMER_REAL)), sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))]
def look_at_depth():
    def down(n):
        try:
            return down(n + 1)
        except RecursionError:
            return n
    frame, names = sys._getframe(), []
    while frame is not None and frame.f_code.co_name != "<module>":
        names.append(frame.f_code.co_name); frame = frame.f_back
    return [names, down(0) - sys.getrecursionlimit() > -60]
def look_at_locals():
    total, items = 1, [1]
    total += 1; items.append(total)
    return [sorted(locals()), total, items, sorted(sys._getframe().f_locals), [id(items) == id(sys._getframe().f_locals["items"])]]
def look_at_identities():
    return [IDS == [id(one) for one in (config, rows, account, slotted, marker, config["nested"], account.rows, account.__dict__)],
            hash(marker) == HASH, account.rows is ROWS]
def look_at_process():
    return [sorted(os.environ), os.getcwd() == CWD, sys.argv, sys.path == PATH, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__,
            sys.stdin is sys.__stdin__]

NAMES = {"ast", "pdb", "bdb", "dis", "opcode", "ctypes", "json", "asyncio", "code", "cmd", "tokenize", "unittest", "subprocess"}
IDS = [id(one) for one in (config, rows, account, slotted, marker, config["nested"], account.rows, account.__dict__)]
HASH, ROWS, CWD, PATH = hash(marker), account.rows, os.getcwd(), list(sys.path)
LOOKS = {name[8:]: look for name, look in list(globals().items()) if name.startswith("look_at_")}

def look(when):
    for name in LOOKS:
        SEEN[f"{name}, {when}"] = LOOKS[name]()
look("before")
config["mode"] = 2; config["nested"]["a"].append(2); rows.append(3); level = 2; account.pay(1); slotted.value = work(3)
look("between")
for number in range(20):
    config["mode"] = number; rows.append(number); level = number; account.pay(number); slotted.value = number; work(number)
look("after")
print(json.dumps(SEEN, default=str))
