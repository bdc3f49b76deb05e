"""What the bytes of arrays, ctypes objects and views mean: items and fields, decoded without the program's code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from stopwhen import static
from stopwhen.originals import errno, sys, types, use_original_builtins
from stopwhen.type_hints import Any, overload

use_original_builtins(globals())

_MOST_AT_ONCE = 1_000
_MADV_POPULATE_READ = 22


class Packed(Sequence[Any]):
    """Items that stay bytes until they are looked at."""

    def __init__(self, raw: bytes, size: int, decode: Callable[[bytes], Sequence[Any]]) -> None:
        self._raw = raw
        self._size = size
        self._decode = decode

    def __len__(self) -> int:
        return len(self._raw) // self._size

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            assert step == 1, "nobody asks for every other item"
            return self._decode(self._raw[start * self._size : stop * self._size])
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._decode(self._raw[index * self._size : (index + 1) * self._size])[0]


def is_ctypes(kind: type, *names: str) -> bool:
    """Tell whether `kind` is one of the kinds of ctypes objects called `names` in `_ctypes`."""
    for name in names:
        base = static.loaded_class("_ctypes", name)
        if base is not None and static.has_base(kind, base):
            return True
    return False


def is_array(kind: type) -> bool:
    """Tell whether `kind` is `array.array` or a subclass."""
    array = static.loaded_class("array", "array")
    return array is not None and static.has_base(kind, array)


def is_numpy_array(kind: type) -> bool:
    """Tell whether `kind` is `numpy.ndarray` or a subclass."""
    array = static.loaded_class("numpy", "ndarray")
    return array is not None and static.has_base(kind, array)


def is_numpy(kind: type) -> bool:
    """Tell whether `kind` is a type of arrays or numbers of numpy."""
    number = static.loaded_class("numpy", "generic")
    return is_numpy_array(kind) or (number is not None and static.has_base(kind, number))


def is_numpy_data(value: Any) -> bool:
    """Tell whether `value` is an array or number of numpy's own types, and refers to no objects."""
    kind = type(value)
    if not is_numpy(kind) or static.is_mutable(kind):
        return False
    base = static.loaded_class("numpy", "ndarray" if is_numpy_array(kind) else "generic")
    return base.dtype.__get__(value).hasobject is False


def same_numbers(left: Any, right: Any) -> bool:
    """Compare two arrays or numbers of one type of numpy by shape and bytes."""
    if not is_numpy_data(left) or not is_numpy_data(right):
        return False
    return bool(left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes())


def dtype_of(owner: Any) -> Any:
    """Return the dtype of a numpy array, whatever a subclass has under that name."""
    return static.loaded_class("numpy", "ndarray").dtype.__get__(owner)


def items_in(owner: Any, raw: bytes) -> Sequence[Any]:
    """Return the items that `raw`, which is or was part of the memory of `owner`, stands for; bytes for mere bytes."""
    decoder = _decoder(owner)
    if decoder is None:
        return raw
    size, decode = decoder
    if size == 0 or len(raw) % size:
        return raw
    if len(raw) > _MOST_AT_ONCE * size:
        return Packed(raw, size, decode)
    items = decode(raw)
    return items if type(items) is bytes else tuple(items)


def shape_of(owner: Any) -> tuple[int, ...]:
    """Return the dimensions of an array of numpy that has several; nothing for all else."""
    if not is_numpy_array(type(owner)):
        return ()
    shape: tuple[int, ...] = static.loaded_class("numpy", "ndarray").shape.__get__(owner)
    return shape if len(shape) > 1 else ()


def item_size(owner: Any) -> int:
    """Return how many bytes an item in the memory of `owner` has: all of them, where it has fields."""
    if is_numpy_array(type(owner)):
        return int(dtype_of(owner).itemsize)
    with memoryview(owner) as memory:
        return memory.itemsize


def _decoder(owner: Any) -> tuple[int, Callable[[bytes], Sequence[Any]]] | None:
    """Return the size of an item of `owner`, and what makes items of bytes; None where bytes are all there is."""
    kind = type(owner)
    if is_array(kind):
        array = static.loaded_class("array", "array")
        typecode = array.typecode.__get__(owner)
        return array.itemsize.__get__(owner), lambda raw: array(typecode, raw)
    if is_numpy_array(kind):
        dtype = dtype_of(owner)
        numpy = static.loaded_class("numpy", "frombuffer")
        return dtype.itemsize, lambda raw: numpy(raw, dtype).tolist()
    if is_ctypes(kind, "Array"):
        return _decoder_of_ctypes(kind)
    if kind is memoryview and len(owner.format) == 1 and owner.format != "B":
        return owner.itemsize, lambda raw: memoryview(raw).cast(owner.format)
    return None


# Of ctypes objects only numbers and texts are decoded, never what a pointer points to: it may be freed by now.

_NUMBERS = frozenset("bBhHiIlLqQnNfdg?cuvFDG")
"""The codes of ctypes for the types that hold a value, and no address."""


class Address(int):
    """Where a pointer points; its text is hexadecimal."""

    def __repr__(self) -> str:
        return hex(self)


def _decoder_of_ctypes(kind: Any) -> tuple[int, Callable[[bytes], Sequence[Any]]] | None:
    item = _declared(kind, "_type_")
    size = size_of(item)
    if not size:
        return None
    if is_ctypes(item, "_SimpleCData") and _declared(item, "_type_") == "c":
        return size, lambda raw: raw
    return size, lambda raw: [value_in(item, raw[start : start + size]) for start in range(0, len(raw), size)]


def _declared(kind: type, name: str) -> Any:
    found = static.find(kind, name)
    return None if found is None else found[1]


def size_of(kind: Any) -> int:
    """Return how many bytes an object of a ctypes type has; 0 when `kind` is none."""
    try:
        return int(static.loaded_class("_ctypes", "sizeof")(kind))
    except TypeError:
        return 0


def length_of(owner: Any) -> int:
    """Return the number of items of an array made with ctypes."""
    return int(static.loaded_class("_ctypes", "Array").__len__(owner))


def value_in(kind: Any, raw: bytes) -> Any:
    """Return what an object of a ctypes type stands for whose memory is `raw`."""
    if is_ctypes(kind, "_SimpleCData"):
        code = _declared(kind, "_type_")
        if type(code) is str and code in _NUMBERS:
            return static.loaded_class("_ctypes", "_SimpleCData").value.__get__(_twin(kind, raw))
    elif is_ctypes(kind, "Array") and is_plain(kind):
        twin = _twin(kind, raw)
        return static.find(kind, "value")[1].__get__(twin)  # type: ignore[index] # arrays of characters have it
    elif is_ctypes(kind, "Structure", "Union", "Array"):
        return _twin(kind, raw)
    return Address(int.from_bytes(raw, sys.byteorder))


def _twin(kind: Any, raw: Any) -> Any:
    """Return another object of a ctypes type with a copy of `raw` for its memory; no code of the program's runs."""
    make = next(
        entry
        for meta in static.mro(type(kind))
        if type(entry := static.entry(meta, "from_buffer_copy")) is types.MethodDescriptorType
    )
    return make(kind, raw)


def fields_in(owner: Any, raw: bytes) -> list[tuple[str, Any]] | None:
    """Return names and values of the fields of a ctypes object when its memory is `raw`; None where it has none."""
    kind = type(owner)
    if is_ctypes(kind, "_SimpleCData"):
        return [("value", value_in(kind, raw))]
    if is_ctypes(kind, "_Pointer"):
        return [("contents", value_in(kind, raw))]
    if not is_ctypes(kind, "Structure", "Union"):
        return None
    return [(name, _field_in(kind, raw, field, one)) for name, field, one in _fields_of(kind)]


def kind_of_field(kind: type, name: str) -> Any:
    """Return the type of the field `name` that the structure `kind` itself declares; None where that is not known."""
    return next((held for one, _, held in _fields_of(kind) if one == name), None)


def pointed_to(pointer: Any) -> Any:
    """Return the object that a pointer made with ctypes points to, if the pointer itself keeps it; else None."""
    found = static.find(type(pointer), "_objects")
    kept = None if found is None else found[1].__get__(pointer)
    address = int.from_bytes(bytes_of(pointer), sys.byteorder)
    wanted = _declared(type(pointer), "_type_")
    addressof = static.loaded_class("_ctypes", "addressof")
    for one in list(dict.values(kept)) if type(kept) is dict else ():
        if type(one) is wanted and addressof(one) == address:
            return one
    return None


def kind_of_item(kind: type) -> Any:
    """Return the type of the items of a type of arrays made with ctypes."""
    return _declared(kind, "_type_")


def is_plain(kind: Any) -> bool:
    """Tell whether what a ctypes type holds is read as a number or text of Python's."""
    simple = static.loaded_class("_ctypes", "_SimpleCData")
    if is_ctypes(kind, "Array"):
        return _declared(_declared(kind, "_type_"), "_type_") in _TEXTS
    return is_ctypes(kind, "_SimpleCData") and static.mro(kind)[1] is simple


def follows_pointer(kind: Any) -> bool:
    """Tell whether to read the value of a ctypes type is to read what it points to."""
    return is_ctypes(kind, "_SimpleCData") and _declared(kind, "_type_") in _TEXTS_ELSEWHERE


_TEXTS = ("c", "u")
_TEXTS_ELSEWHERE = ("z", "Z", "X")


def _field_in(owner: Any, raw: bytes, field: Any, kind: Any) -> Any:
    if is_ctypes(kind, "_SimpleCData") and _declared(kind, "_type_") in _NUMBERS:  # it may be some of its bits
        return type(field).__get__(field, _twin(owner, raw), owner)
    return value_in(kind, raw[field.offset : field.offset + size_of(kind)])


def _fields_of(kind: type) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, descriptor and type of each field of a structure, those of its bases first."""
    for base in reversed(static.mro(kind)):
        declared = static.entry(base, "_fields_")
        if type(declared) is not list and type(declared) is not tuple:
            continue
        for one in declared:
            if type(one) is tuple and len(one) > 1 and type(one[0]) is str:
                field = static.entry(base, one[0])
                if is_ctypes_field(type(field)):
                    yield one[0], field, one[1]


def is_ctypes_field(kind: Any) -> bool:
    """Tell whether `kind` is the type, not always exported, of the fields of structures made with ctypes."""
    is_named_so = not static.is_mutable(kind) and static.class_name(kind) == "CField"
    return is_named_so and static.loaded_module("_ctypes") is not None


def is_cut_short(mapped: Any) -> bool:
    """Tell whether there is less behind memory that is mapped, by `mmap`, than it has: to look there would be the end.

    That is so where the file has become shorter, and on Linux, up to Python 3.13, where memory without a file has been
    made longer.
    """
    if not is_mapped(mapped):
        return False
    base: Any = static.loaded_class("mmap", "mmap")
    page: Any = static.loaded_class("mmap", "PAGESIZE")
    last_page = (base.__len__(mapped) - 1) // page * page
    if sys.platform == "linux":
        try:
            # To have the last page at hand: the system says no, where reading it would kill the process.
            base.madvise(mapped, _MADV_POPULATE_READ, last_page, page)
        except OSError as error:
            if error.errno == errno.EFAULT:
                return True  # else Linux is older than 5.14
        else:
            return False
    try:
        return bool(base.size(mapped) <= last_page)  # what the last page has beyond the file are zeros
    except (OSError, ValueError):  # there is no file
        return False


def is_mapped(value: Any) -> bool:
    """Tell whether `value` is memory that is mapped by `mmap`, and not closed."""
    base: Any = static.loaded_class("mmap", "mmap")
    return base is not None and static.is_a(value, base) and not base.closed.__get__(value)


def bytes_of(owner: Any) -> bytes:
    """Return the bytes of an object's memory."""
    with memoryview(owner) as memory:
        return memory.tobytes()


def head_of(owner: Any, most: int) -> Sequence[Any]:
    """Return the first items of an array made with ctypes."""
    item = _declared(type(owner), "_type_")
    return items_in(owner, bytes_of(_twin(item * min(most, length_of(owner)), owner)))
