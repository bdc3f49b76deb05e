"""What each opcode can do to data that others hold: the tables by which rechecks know where to look.

The question is only what C code run by the instruction itself can change: a Python function that it calls has a frame,
and instructions, of its own. Operators, attributes and whatever drops a reference can change data too where somebody
has made a C function such as `L.append` a class's `__eq__`: they have HOOKS, which counts only where such functions
are about (_core/hooks.c).
"""

from __future__ import annotations

from stopwhen.originals import functools, opcode, sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from types import CodeType

# The same values as in _core/codeinfo.h.
CALL = 1
STORE = 2
LOCAL = 4
DIRECT = 8
JUMPS = 16
BREAKS = 32
JUMP_AHEAD = 1
JUMP_AWAY = 2
JUMP_GENERATOR = 4
JUMP_BACK = 8
SETS = 64
HOOKS = 256
ENTERS = 512
MAKES = 1024
SHUFFLES = 2048
INPLACE = 4096
MISSING = 16384
SHARED = 32768
NAMES_MUTATOR = 1
NAMES_MAKER = 2
NAMES_PLAIN = 4
NAMES_STARTER = 8
NAMES_FILLER = 16
NAMES_SLOW = 32
NAMES_HARMLESS = 64
NO_NAME = 255

EFFECTS = {
    **dict.fromkeys(
        (
            "CALL", "CALL_KW", "CALL_FUNCTION_EX", "PRECALL",
            "UNPACK_SEQUENCE", "UNPACK_EX", "LIST_EXTEND", "SET_UPDATE", "DICT_UPDATE", "DICT_MERGE",
            "WITH_EXCEPT_START", "IMPORT_NAME", "GET_ANEXT", "END_ASYNC_FOR", "PRINT_EXPR",
        ),
        CALL,
    ),
    **dict.fromkeys(("BEFORE_WITH", "BEFORE_ASYNC_WITH"), CALL | ENTERS),
    "LOAD_SPECIAL": ENTERS,
    **dict.fromkeys(("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE"), CALL | DIRECT),
    "BINARY_SUBSCR": MISSING,
    "FOR_ITER": CALL | JUMPS,
    "SEND": CALL | JUMPS,
    "CALL_INTRINSIC_1": CALL | STORE,  # prints, and `from m import *`
    **dict.fromkeys(
        (
            "STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL", "STORE_NAME", "DELETE_NAME", "IMPORT_STAR",
            "SETUP_ANNOTATIONS",
        ),
        STORE | DIRECT,
    ),
    **dict.fromkeys(("STORE_DEREF", "DELETE_DEREF"), STORE | LOCAL | DIRECT | SHARED),
    **dict.fromkeys(
        (
            "STORE_FAST", "STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST", "STORE_FAST_MAYBE_NULL", "DELETE_FAST",
            "LOAD_FAST_AND_CLEAR",
        ),
        LOCAL | DIRECT,
    ),
}  # fmt: skip
"""Effects by opcode name, over all supported versions; what is not here has none."""


LOCAL_STORE, LOCAL_STORE_HIGH, LOCAL_STORE_BOTH = 1, 2, 3
LOCAL_STORES = {
    **dict.fromkeys(
        (
            "STORE_FAST", "STORE_FAST_MAYBE_NULL", "DELETE_FAST", "LOAD_FAST_AND_CLEAR", "STORE_DEREF", "DELETE_DEREF",
        ),
        LOCAL_STORE,
    ),
    "STORE_FAST_LOAD_FAST": LOCAL_STORE_HIGH,
    "STORE_FAST_STORE_FAST": LOCAL_STORE_BOTH,
}  # fmt: skip
"""How the argument of an instruction tells which locals it stores to: as an index, in its high bits, in both halves."""

MAKERS = frozenset({"CALL", "CALL_KW", "CALL_FUNCTION_EX", "LOAD_ATTR", "LOAD_SUPER_ATTR"})
"""Instructions that leave on the stack what may be a C function bound to some object."""

INERT = frozenset(
    """
    BUILD_LIST BUILD_SLICE BUILD_STRING BUILD_TUPLE CACHE COPY COPY_FREE_VARS EXTENDED_ARG INTERPRETER_EXIT JUMP_FORWARD
    KW_NAMES LIST_APPEND LOAD_ASSERTION_ERROR LOAD_BUILD_CLASS LOAD_CLOSURE LOAD_COMMON_CONSTANT LOAD_CONST
    LOAD_CONST_IMMORTAL LOAD_CONST_MORTAL LOAD_DEREF LOAD_FAST LOAD_FAST_AND_CLEAR LOAD_FAST_BORROW
    LOAD_FAST_BORROW_LOAD_FAST_BORROW LOAD_FAST_CHECK LOAD_FAST_LOAD_FAST LOAD_GLOBAL LOAD_NAME LOAD_SMALL_INT MAKE_CELL
    MAKE_FUNCTION MATCH_MAPPING MATCH_SEQUENCE NOP PRECALL PUSH_EXC_INFO PUSH_NULL RETURN_GENERATOR
    SET_FUNCTION_ATTRIBUTE SWAP YIELD_VALUE
    """.split()  # noqa: SIM905 - a table, to be read
)
"""Instructions that neither run a function nor drop a reference; all others have HOOKS."""

if sys.version_info >= (3, 13):
    INERT |= {"POP_JUMP_IF_TRUE", "POP_JUMP_IF_FALSE"}  # TO_BOOL asks, where there is anything to ask

LEAVING = frozenset(
    {"RETURN_VALUE", "RETURN_CONST", "RETURN_GENERATOR", "YIELD_VALUE", "RAISE_VARARGS", "RERAISE", "INTERPRETER_EXIT"}
)
"""Instructions other than jumps after which the next one does not run."""

INPLACE_EFFECTS = {
    **dict.fromkeys(("+=", "*="), CALL | INPLACE),
    **dict.fromkeys(("|=", "&=", "-=", "^=", "/=", "//=", "%=", "**=", "<<=", ">>=", "@="), SETS),
}
"""In-place operators: the first by which lists and the like change themselves, the others sets, dicts and arrays."""

READING_OPERATORS = frozenset({"[]", "%"})
"""Operators that read items, by which a defaultdict changes itself."""

NAME_SHIFTS = {
    "LOAD_ATTR": 1 if sys.version_info >= (3, 12) else 0,
    "LOAD_METHOD": 0,
    "LOAD_GLOBAL": 1,
    "LOAD_NAME": 0,
    "LOAD_SUPER_ATTR": 2,
}
"""By how many bits the argument of an instruction that loads a name is more than an index of `co_names`."""

FOR_SKIP = {(3, 11): 0, (3, 12): 1, (3, 13): 2}.get(sys.version_info[:2], 1)
"""How many units behind its target an exhausted FOR_ITER lands: past END_FOR, and on 3.13 the POP_TOP behind that."""

MUTATORS = frozenset(
    """
    append extend insert pop remove clear sort reverse add discard update popitem setdefault appendleft popleft
    extendleft rotate move_to_end difference_update intersection_update symmetric_difference_update frombytes fromlist
    fromfile fromunicode byteswap heappush heappop heapify heapreplace heappushpop insort insort_left insort_right
    setattr delattr exec eval __setitem__ __delitem__ __iadd__ __imul__ __ior__ __iand__ __isub__ __ixor__ __setattr__
    __delattr__ __init__ __setstate__ setitem delitem iadd iconcat imul ior iand isub ixor write writelines
    write_byte truncate resize memset memmove fill put pack_into release close __set__ __delete__
    """.split()  # noqa: SIM905 - a table, to be read
)
"""Names under which the standard types and modules offer functions that change data in place."""

FILLERS = frozenset("readinto readinto1 readv preadv recv_into recvfrom_into recvmsg_into".split())  # noqa: SIM905 - as above
"""Names of functions that write to memory while other threads run."""

SLOW = frozenset(
    """
    extend extendleft update sort difference_update intersection_update symmetric_difference_update frombytes fromlist
    fromfile heapify heappush heappop heapreplace heappushpop insort insort_left insort_right setattr delattr exec eval
    __setitem__ __delitem__ __iadd__ __imul__ __ior__ __iand__ __isub__ __ixor__ __setattr__ __delattr__ __init__
    __setstate__ setitem delitem iadd iconcat imul ior iand isub ixor writelines fill put __set__ __delete__
    """.split()  # noqa: SIM905 - as above
)
"""Names, among `MUTATORS`, of functions that other functions in C may run amid, so that other threads may, too."""

HARMLESS = frozenset(
    """
    acquire __enter__ wait sleep select poll kevent recv recvfrom recvmsg accept connect send sendall sendto sendfile
    read read1 readline readlines readall fileno flush fsync seek tell join waitpid wait4 input perf_counter
    perf_counter_ns monotonic monotonic_ns time time_ns process_time thread_time get_ident get_native_id getpid
    get keys values items copy index count split rsplit splitlines partition rpartition strip lstrip rstrip format
    encode decode startswith endswith replace lower upper title find rfind isdigit isalpha zfill ljust rjust hexdigest
    digest getvalue tobytes tolist nanosleep sched_yield bit_length to_bytes from_bytes union intersection difference
    issubset issuperset isdisjoint match fullmatch search findall sub group groups random randbytes getrandbits dumps
    loads execute fetchone fetchall fetchmany commit
    """.split()  # noqa: SIM905 - as above
)
"""Names under which the standard types and modules offer functions that wait, or read, and leave all data as it is."""

MAKING = frozenset(
    "getattr partial attrgetter methodcaller staticmethod MethodType __getattribute__ __get__".split()  # noqa: SIM905 - as above
)
"""Names of functions that make a function bound to data."""

PLAIN = frozenset(
    """
    abs all any ascii bin bool bytes callable chr complex delattr dict divmod enumerate float format frozenset globals
    hasattr hash hex id int isinstance issubclass len list locals memoryview oct ord pow print range repr reversed round
    set slice sorted str sum tuple zip
    """.split()  # noqa: SIM905 - as above
)
"""Names of builtin functions that neither make nor return a function bound to data."""


def caches_of(name: str) -> int:
    """Return how many cache units follow the instruction `name`."""
    table = opcode._inline_cache_entries  # type: ignore[attr-defined] # noqa: SLF001 - `dis` reads it too
    # A list by opcode until 3.12, a mapping by name from 3.13 on.
    count = table[opcode.opmap[name]] if isinstance(table, list) else table.get(name, 0)
    return int(count)


def jump_kind(name: str, *, is_jump: bool) -> int:
    """Return whether an instruction jumps ahead, whether the next one runs after it, and how deep the stack is."""
    if name == "RETURN_GENERATOR":
        return JUMP_GENERATOR
    if name == "END_ASYNC_FOR":
        return 0  # its argument tells tools where the loop starts
    if name in LEAVING - {"YIELD_VALUE"}:
        return JUMP_AWAY
    if "JUMP_BACKWARD" in name:
        return JUMP_BACK if "_IF_" in name else JUMP_AWAY | JUMP_BACK
    if name == "JUMP_FORWARD":
        return JUMP_AHEAD | JUMP_AWAY
    return JUMP_AHEAD if is_jump else 0


def stores_local(code: CodeType, offset: int, variable: str) -> bool:
    """Return whether the instruction at `offset` stores to, or deletes, the fast local `variable`."""
    stored = stored_locals(opcode.opname[code.co_code[offset]], argument_of(code, offset))
    return any(_local_name(code, index) == variable for index in stored)


def stored_locals(name: str, argument: int) -> tuple[int, ...]:
    """Return the indexes of the fast locals to which an instruction of that name stores, or which it deletes."""
    kind = LOCAL_STORES.get(name)
    if kind is None:
        return ()
    return {LOCAL_STORE: (argument,), LOCAL_STORE_HIGH: (argument >> 4,)}.get(kind, (argument >> 4, argument & 15))


def loaded_name(code: CodeType, offset: int) -> str | None:
    """Return the global name or attribute that the instruction at `offset` loads; None where it loads none."""
    shift = NAME_SHIFTS.get(opcode.opname[code.co_code[offset]])
    if shift is None:
        return None
    index = argument_of(code, offset) >> shift
    return code.co_names[index] if index < len(code.co_names) else None


def argument_of(code: CodeType, offset: int) -> int:
    """Return the argument of the instruction at `offset`; as in `dis`, which would be much to import."""
    argument, position = 0, offset
    while position >= 2 and code.co_code[position - 2] == opcode.EXTENDED_ARG:
        position -= 2
    for at in range(position, offset + 2, 2):
        argument = argument << 8 | code.co_code[at + 1]
    return argument


def _local_name(code: CodeType, index: int) -> str | None:
    """Return the name of the fast local, cell or free variable `index`: a parameter that is shared stands once."""
    names = (*code.co_varnames, *(name for name in code.co_cellvars if name not in code.co_varnames), *code.co_freevars)
    return names[index] if index < len(names) else None


def effects_of(name: str, *, is_jump: bool) -> int:
    """Return all that is to be known of the instruction `name`."""
    effects = EFFECTS.get(name, 0)
    for flag, names in ((MAKES, MAKERS), (SHUFFLES, ("SWAP", "COPY")), (BREAKS, LEAVING)):
        effects |= flag if name in names else 0
    return effects | (BREAKS if is_jump else 0) | (0 if name in INERT else HOOKS)


def names() -> dict[str, int]:
    """Return what the name of a function tells of it, for those of which it tells something."""
    return {
        **dict.fromkeys(PLAIN, NAMES_PLAIN),
        **dict.fromkeys(HARMLESS, NAMES_HARMLESS),
        **dict.fromkeys(MUTATORS, NAMES_MUTATOR),
        **dict.fromkeys(SLOW, NAMES_MUTATOR | NAMES_SLOW),
        **dict.fromkeys(FILLERS, NAMES_MUTATOR | NAMES_FILLER),
        **dict.fromkeys(MAKING, NAMES_MUTATOR | NAMES_MAKER),
        **dict.fromkeys(("start_new_thread", "_start_new_thread", "start_new"), NAMES_STARTER),
    }


def _shorts(numbers: list[int]) -> bytes:
    """Return an array of C's `unsigned short`; of the module `array` the program may have one of its own."""
    return b"".join(number.to_bytes(2, sys.byteorder) for number in numbers)


@functools.cache
def tables() -> tuple[bytes, bytes, bytes, bytes, bytes, bytes, dict[str, int], int, int, int, int, int, int, int]:
    """Return what `_core.set_opcodes` takes: the tables for this interpreter."""
    caches = bytearray(256)
    effects = [HOOKS] * 256
    shifts = bytearray([NO_NAME]) * 256
    kinds = bytearray(256)
    stores = bytearray(256)
    jumps = {*opcode.hasjrel, *opcode.hasjabs}
    for name, number in opcode.opmap.items():
        if number < len(caches):
            caches[number] = caches_of(name)
            effects[number] = effects_of(name, is_jump=number in jumps)
            # From 3.14 on END_ASYNC_FOR has an argument that tells tools where the loop is; it does not jump there.
            kinds[number] = jump_kind(name, is_jump=number in jumps and name != "END_ASYNC_FOR")
            shifts[number] = NAME_SHIFTS.get(name, NO_NAME)
            stores[number] = LOCAL_STORES.get(name, 0)
    operators = [0] * 32
    for index, (_, symbol) in enumerate(opcode._nb_ops):  # type: ignore[attr-defined] # noqa: SLF001
        operators[index] = INPLACE_EFFECTS.get(symbol, 0) | (MISSING if symbol in READING_OPERATORS else 0)
    return (
        bytes(caches),
        _shorts(effects),
        _shorts(operators),
        bytes(shifts),
        bytes(kinds),
        bytes(stores),
        names(),
        opcode.opmap["EXTENDED_ARG"],
        opcode.opmap["YIELD_VALUE"],
        opcode.opmap["BINARY_OP"],
        opcode.opmap["GET_ITER"],
        opcode.opmap["FOR_ITER"],
        opcode.opmap["CALL"],
        FOR_SKIP,
    )
