"""Objects of every type that is at hand are watched and used as operands, beside many lists: the process lives on."""

from __future__ import annotations

import pytest

from helpers import run_program
from stopwhen import env

needs_core = pytest.mark.skipif(env.core is None, reason="needs the C module")

MAKERS = """
None; 1; 2**70; 1.5; "a"; b"a"; ...; [1]; {1: 2}; {1}; (1, [2]); bytearray(b"ab"); memoryview(bytearray(b"ab"))
range(3); slice(1, 2)
Plain(); Slotted(); Plain; Meta; WithMeta; type; object(); Choice.A; Choice; Plain().method; Plain.method; len
[].append; list.append
(1).__add__; int.__add__; vars(type)["__mro__"]; vars(Plain); {1: 2}.items(); property(len); staticmethod(len)
classmethod(len)
super(Items, Items()); generate(); begun(); closed(); asking(); sys._getframe(); generate.__code__; sys
types.ModuleType("m")
lambda: 1; types.CellType(1); types.CellType(); weakref.ref(Plain); weakref.proxy(Plain); weakref.WeakSet()
weakref.WeakKeyDictionary()
iter([1]); iter({1: 1}); iter({1}); iter((1,)); iter("a"); reversed([1]); enumerate([1]); zip([1], [2])
map(len, [[1]]); filter(None, [1]); iter(int, 1)
array.array("i", [1]); iter(array.array("i", [1])); ast.parse("x = 1"); collections.deque([1])
collections.OrderedDict(a=1)
collections.defaultdict(list); collections.Counter("ab"); collections.ChainMap({1: 2}); collections.UserDict(a=1)
iter(collections.deque([1]))
contextvars.copy_context(); contextvars.ContextVar("v"); csv.reader([]); csv.writer(io.StringIO())
ctypes.c_int(1); (ctypes.c_int * 3)(); ctypes.pointer(ctypes.c_int(1)); ctypes.byref(ctypes.c_int(1))
ctypes.create_string_buffer(3)
ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1); ctypes.c_int; ctypes.Structure; ctypes.Array; ctypes.Union
ctypes.py_object([1]); ctypes.pythonapi.PyList_New
datetime.datetime(2020, 1, 1); datetime.timedelta(1); datetime.timezone.utc; decimal.Decimal(1)
decimal.getcontext(); functools.partial(len, [])
functools.lru_cache(len); functools.cmp_to_key(len); io.BytesIO(b"a"); io.StringIO("a")
io.TextIOWrapper(io.BytesIO()); io.BytesIO(b"ab").getbuffer()
itertools.chain([1], [2]); itertools.tee([1]); itertools.groupby([1]); itertools.count(); itertools.cycle([1])
itertools.product([1]); itertools.repeat([])
mmap.mmap(-1, 10); operator.itemgetter(0); operator.attrgetter("a"); operator.methodcaller("append", 1)
pickle.Pickler(io.BytesIO()); queue.SimpleQueue()
re.compile("a"); re.match("a", "a"); re.finditer("a", "aa"); select; socket.socket; sqlite3.connect(":memory:")
sqlite3.connect(":memory:").execute("select 1")
struct.Struct("i"); threading.Lock(); threading.RLock(); threading.local(); types.SimpleNamespace()
types.MappingProxyType({1: 2}); list[int]; int | str
ET.Element("a"); ET.fromstring("<a><b/></a>"); ET.fromstring("<a><b/></a>").iter(); ET.XMLParser()
zlib.compressobj(); zoneinfo.ZoneInfo("UTC")
ValueError([1]); failed(); failed().__traceback__; datetime.datetime_CAPI; asyncio.Future(loop=LOOP); LOOP
asyncio.Queue(); os.environ; os.stat(".")
sys.flags; sys.implementation; sys.modules; gc.get_objects()[:30]; sys.stdout; builtins
numpy.zeros(3); numpy.array([[], 1], dtype=object); numpy.dtype("i4"); numpy.dtype([("a", "i4")]); numpy.float64(1)
numpy.ufunc; numpy.add
numpy.zeros(3).flat; numpy.nditer(numpy.zeros(3)); numpy.random.default_rng(); type(numpy.dtype("i4"))
numpy.ndarray; numpy.broadcast([1], [2])
pydantic.BaseModel; pydantic.create_model("Made", a=(int, 1))(); greenlet.getcurrent(); greenlet.greenlet(len)
"""

PROGRAM = """
import array, ast, asyncio, builtins, collections, contextvars, csv, ctypes, datetime, decimal, enum, functools, gc
import importlib, io, itertools, mmap, operator, os, pickle, queue, re, select, socket, sqlite3, struct, sys, threading
import types, warnings, weakref, xml.etree.ElementTree as ET, zlib, zoneinfo
import stopwhen
warnings.simplefilter("ignore")

class Plain:
    def __init__(self): self.rows = [1]
    def method(self): return self.rows
class Slotted:
    __slots__ = ("s", "__weakref__")
class Meta(type): pass
class WithMeta(metaclass=Meta): x = 1
class Items(list): pass
class Choice(enum.Enum): A = 1
def generate():
    rows = [1]
    yield rows
    yield 2
def begun():
    running = generate(); next(running); return running
def closed():
    running = begun(); running.close(); return running
async def wait(): return 1
def asking():
    asked = wait(); asked.close(); return asked
def failed():
    try: 1 / 0
    except ZeroDivisionError as error: return error
LOOP = asyncio.new_event_loop()

def load(name):
    try: globals()[name] = importlib.import_module(name)
    except ImportError: pass

load("pydantic"), load("greenlet")
table = [[i] for i in range(100)]
kept = [Plain() for _ in range(30)]
many = [stopwhen.changes(f"table[{i}]", action="count") for i in range(100)]
each = stopwhen.changes("self.rows", scope=Plain, action="count")
load("numpy")  # while all this is watched

def use(one):
    for step in (
        lambda: repr(one), lambda: iter(one), lambda: len(one), lambda: one == one, lambda: callable(one),
        lambda: isinstance(1, one), lambda: map(one, [1]), lambda: functools.partial(one, table), lambda: dir(one),
    ):
        try: step()
        except Exception: pass

value, holder, armed = None, Plain(), 0
for number, maker in enumerate(sys.argv[1].replace("\\n", ";").split(";")):
    if not maker.strip(): continue
    try: value = eval(maker)
    except NameError: continue  # a library that is not here
    holder.part = value
    text, depth = ("value", "holder")[number % 2], (0, 1, "all")[number % 3]
    try: watchpoint = stopwhen.changes(text, depth=depth, action=str)
    except stopwhen.StopwhenError: continue
    armed += 1
    use(value)
    table[number % 100].append(number)
    kept[number % 30] = Plain()
    kept[number % 30].rows.append(1)
    value, was = None, value
    del was
    watchpoint.remove()
    if number % 10 == 0: gc.collect()
changes = sum(one.count for one in many)
print(armed > 100, changes == armed, each.count >= 2 * armed)
LOOP.close()
"""


@needs_core
def test_objects_of_any_type_are_watched():
    """At some depth, and used as operands, while other watched objects come and go."""
    run = run_program(PROGRAM, MAKERS, env={"PYTHONMALLOC": "debug"})
    assert (run.stdout, run.status) == ("True True True\n", 0), run.stderr[-3000:]
