"""Which instructions store or read what: the table by which an access is seen before it happens.

A site is an instruction that stores, reads or calls. Operands are told by how far below the top of the stack they are.
"""

from __future__ import annotations

from stopwhen import env
from stopwhen.immutable import Immutable
from stopwhen.mechanisms import opcodes
from stopwhen.originals import functools, opcode, sys, use_original_builtins
from stopwhen.type_hints import TYPE_CHECKING

use_original_builtins(globals())

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType

    from stopwhen.type_hints import Any

# The same values as in _core/sites.h.
(
    STORE_NAME, STORE_GLOBAL, STORE_ATTRIBUTE, STORE_ITEM, STORE_SLICE, STORE_FAST, STORE_FAST_TWICE,
    STORE_FAST_LOAD_FAST, STORE_DEREF, IN_PLACE, IMPORT_STAR,
    CALL, CALL_KEYWORDS, CALL_UNPACKED,
    LOAD_NAME, LOAD_GLOBAL, LOAD_ATTRIBUTE, LOAD_SUPER, LOAD_ITEM, LOAD_SLICE, LOAD_FAST, LOAD_FAST_TWICE, LOAD_DEREF,
    LOAD_FROM_DICT_OR_DEREF, LOAD_FROM_DICT_OR_GLOBAL, IMPORT_FROM,
) = range(1, 27)  # fmt: skip

SITES = {
    "STORE_NAME": STORE_NAME,
    "STORE_GLOBAL": STORE_GLOBAL,
    "STORE_ATTR": STORE_ATTRIBUTE,
    "STORE_SUBSCR": STORE_ITEM,
    "STORE_SLICE": STORE_SLICE,
    "STORE_FAST": STORE_FAST,
    "STORE_FAST_STORE_FAST": STORE_FAST_TWICE,
    "STORE_FAST_LOAD_FAST": STORE_FAST_LOAD_FAST,
    "STORE_DEREF": STORE_DEREF,
    "IMPORT_STAR": IMPORT_STAR,
    "CALL": CALL,
    "CALL_KW": CALL_KEYWORDS,
    "CALL_FUNCTION_EX": CALL_UNPACKED,
    "LOAD_NAME": LOAD_NAME,
    "LOAD_GLOBAL": LOAD_GLOBAL,
    "LOAD_ATTR": LOAD_ATTRIBUTE,
    "LOAD_METHOD": LOAD_ATTRIBUTE,
    "LOAD_SUPER_ATTR": LOAD_SUPER,
    "BINARY_SUBSCR": LOAD_ITEM,
    "BINARY_SLICE": LOAD_SLICE,
    "LOAD_FAST": LOAD_FAST,
    "LOAD_FAST_BORROW": LOAD_FAST,
    "LOAD_FAST_CHECK": LOAD_FAST,
    "LOAD_FAST_LOAD_FAST": LOAD_FAST_TWICE,
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": LOAD_FAST_TWICE,
    "LOAD_DEREF": LOAD_DEREF,
    "LOAD_CLASSDEREF": LOAD_FROM_DICT_OR_DEREF,
    "LOAD_FROM_DICT_OR_DEREF": LOAD_FROM_DICT_OR_DEREF,
    "LOAD_FROM_DICT_OR_GLOBALS": LOAD_FROM_DICT_OR_GLOBAL,
    "IMPORT_FROM": IMPORT_FROM,
}
"""Sites by opcode name, over all supported versions; BINARY_OP is one by its argument, and so is CALL_INTRINSIC_1."""

IN_PLACE_METHODS = {
    "+=": "__iadd__",
    "*=": "__imul__",
    "|=": "__ior__",
    "-=": "__isub__",
    "&=": "__iand__",
    "^=": "__ixor__",
}
"""The operators by which builtin containers store into themselves, and the methods for them."""

_OPERATORS: tuple[tuple[str, str], ...] = tuple(opcode._nb_ops)  # type: ignore[attr-defined] # noqa: SLF001
_OPERATOR_SITES = tuple(
    IN_PLACE if symbol in IN_PLACE_METHODS else LOAD_ITEM if name == "NB_SUBSCR" else 0 for name, symbol in _OPERATORS
)
"""Sites by argument of BINARY_OP."""

_INTRINSIC_IMPORT_STAR = 2
_BINARY_OP = opcode.opmap["BINARY_OP"]
_INTRINSIC = opcode.opmap.get("CALL_INTRINSIC_1", -1)
_SWAP = opcode.opmap["SWAP"]
_BY_NUMBER = {opcode.opmap[name]: site for name, site in SITES.items() if opcode.opmap.get(name, 256) < 256}
_KW_NAMES = opcode.opmap.get("KW_NAMES")
"""Until 3.12: names the keywords of the call behind it, by an index of `co_consts`."""
LOOKS_IN_CLASS_ITSELF = "LOAD_CLASSDEREF" in opcode.opmap
"""Until 3.11: a class body's names are looked up in its frame's namespace, not in one on the stack."""
CALLEE_IS_FIRST = sys.version_info >= (3, 13)
"""Callee, then `self` or nothing; until 3.12 method and `self`, or nothing and callee."""
_ALWAYS_HAS_KEYWORDS = sys.version_info >= (3, 14)
"""CALL_FUNCTION_EX has an entry for keywords on the stack even where there are none."""


def site_of(number: int, argument: int) -> int:
    """Return which kind of site an instruction is, 0 for none."""
    if number == _BINARY_OP:
        return _OPERATOR_SITES[argument] if argument < len(_OPERATOR_SITES) else 0
    if number == _INTRINSIC:
        return IMPORT_STAR if argument == _INTRINSIC_IMPORT_STAR else 0
    return _BY_NUMBER.get(number, 0)


@functools.cache
def tables() -> tuple[bytes, bytes, int, int, int, int, int, int, int]:
    """Return what `_core.set_sites` takes: sites by opcode, those of BINARY_OP by argument, opcodes, -1 for none."""
    sites = bytearray(256)
    for number, site in _BY_NUMBER.items():
        sites[number] = site
    names = ("CALL_INTRINSIC_1", "KW_NAMES", "PUSH_NULL", "LOAD_CONST", "LOAD_SMALL_INT", "COPY", "SWAP")
    intrinsic, kw_names, push_null, const, small, copy, swap = (opcode.opmap.get(name, -1) for name in names)
    operators = bytes(_OPERATOR_SITES).ljust(32, b"\0")
    return bytes(sites), operators, intrinsic, kw_names, push_null, const, small, copy, swap


def in_place_mask(symbols: Iterable[str]) -> int:
    """Return the in-place operators `symbols` as bits by argument of BINARY_OP."""
    wanted = frozenset(symbols)
    return sum(1 << argument for argument, (_, symbol) in enumerate(_OPERATORS) if symbol in wanted)


@functools.lru_cache(maxsize=256)
def _instructions(code: CodeType) -> dict[int, tuple[int, int, int]]:
    """Return opcode, argument and offset of the next one for each instruction of `code`, by offset in bytes."""
    found = {}
    units = code.co_code
    offset = extended = 0
    while offset < len(units):
        number, argument = units[offset], units[offset + 1] | extended << 8
        behind = offset + 2 + 2 * opcodes.caches_of(opcode.opname[number])
        extended = argument if number == opcode.EXTENDED_ARG else 0
        found[offset] = (number, argument, behind)
        offset = behind
    return found


def instruction_at(code: CodeType, offset: int) -> tuple[int, int, int]:
    """Return opcode, argument and offset of the next instruction."""
    return _instructions(code)[offset]


def instructions_of(code: CodeType) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield each instruction of `code`: its offset, or on 3.11 that of the first EXTENDED_ARG; opcode and argument."""
    start = None
    for offset, (number, argument, _behind) in _instructions(code).items():
        start = offset if start is None or env.HAS_MONITORING else start
        if number != opcode.EXTENDED_ARG:
            yield start, (number, argument)
            start = None


def instruction_around(code: CodeType, offset: int) -> tuple[int, int, int]:
    """Return the same for an offset that may be that of a cache of the instruction."""
    found = _instructions(code)
    while offset not in found:
        offset -= 2
    return found[offset]


class Site(Immutable):
    """One site of a code object: its kind, offset and argument, and the offset of the next instruction."""

    kind: int
    offset: int
    argument: int
    behind: int


def sites_of(code: CodeType) -> dict[int, Site]:
    """Return the sites of `code` by the offset of the event before them: on 3.11, of the first EXTENDED_ARG."""
    found: dict[int, Site] = {}
    start = None
    for offset, (number, argument, behind) in _instructions(code).items():
        start = offset if start is None or env.HAS_MONITORING else start
        if number == opcode.EXTENDED_ARG:
            continue
        kind = site_of(number, argument)
        if kind:
            found[start] = Site(kind, offset, argument, behind)
        start = None
    return found


def shift_at(code: CodeType, offset: int) -> int:
    """Return by how many bits the argument of the instruction at `offset` is more than an index of `co_names`."""
    return opcodes.NAME_SHIFTS.get(opcode.opname[_instructions(code)[offset][0]], 0)


def operator_of(argument: int) -> str:
    """Return the operator that an argument of BINARY_OP stands for."""
    return _OPERATORS[argument][1]


def keywords_before(code: CodeType, offset: int) -> tuple[str, ...]:
    """Return the names of the keyword arguments of the call at `offset`, until 3.12."""
    for start in (offset - 2, offset - 2 - _PRECALL_SIZE):  # PRECALL stands between on 3.11
        if start in _instructions(code):
            number, argument, behind = _instructions(code)[start]
            if number == _KW_NAMES and behind in (offset, offset - _PRECALL_SIZE):
                names: tuple[str, ...] = code.co_consts[argument]
                return names
    return ()


_PRECALL_SIZE = 2 + 2 * opcodes.caches_of("PRECALL") if "PRECALL" in opcode.opmap else 0


def split_unpacked(items: list[Any], argument: int) -> tuple[Any, Any, Any]:
    """Return callee, positional arguments and keywords of CALL_FUNCTION_EX from what `unpacked_size` says it takes."""
    keywords = items.pop() if _ALWAYS_HAS_KEYWORDS or argument & 1 else None
    return items[0], items[-1], keywords


def unpacked_size(argument: int) -> int:
    """Return how many operands of CALL_FUNCTION_EX matter, down to its callee."""
    return 2 + CALLEE_IS_FIRST + (_ALWAYS_HAS_KEYWORDS or argument & 1)


def stores_result_in_place(code: CodeType, offset: int) -> bool:
    """Tell whether the store at `offset` puts the result of an in-place operator where its operand was: `x += y`."""
    before = [start for start in _instructions(code) if start < offset]
    while before:
        number, argument, _ = _instructions(code)[before.pop()]
        if number not in (_SWAP, opcode.EXTENDED_ARG):
            return number == _BINARY_OP and _OPERATORS[argument][1].endswith("=")
    return False
