"""The contract, for what holds plain memory: ctypes, memory-mapped files, views, arrays, files in memory."""

from __future__ import annotations

import sys

from contract import ANY, Case, choose, hit, parametrized, run_case, table

POINT = "import ctypes\nclass P(ctypes.Structure): _fields_ = [('x', ctypes.c_int), ('y', ctypes.c_int)]\n"
LINE = POINT + "class L(ctypes.Structure): _fields_ = [('start', P), ('width', ctypes.c_int)]\nline = L()"

CTYPES = [
    *table(
        "ctypes number",
        "import ctypes; n = ctypes.c_int(1)",
        "n",
        [
            ("n.value = 2", "c_int(2)", None),
            ("n.value += 2", "c_int(3)", None),
            ("n.__init__(5)", "c_int(5)", ANY),
            ("ctypes.memset(ctypes.byref(n), 0, 4)", "c_int(0)", ANY),
            ("memoryview(n).cast('B')[0] = 7", "c_int(7)", None),
            ("setattr(n, 'value', 9)", "c_int(9)", "builtins.setattr"),
            ("n = ctypes.c_int(1)", "c_int(1)", None),
        ],
        declarations="global n",
    ),
    *table("value of a ctypes number", "import ctypes; n = ctypes.c_int(1)", "n.value", [("n.value = 2", "2", None)]),
    *table(
        "ctypes structure",
        f"{POINT}p = P(1, 2)",
        "p",
        [
            ("p.x = 5", "P(x=5, y=2)", None),
            ("p.y += 5", "P(x=1, y=7)", None),
            ("setattr(p, 'x', 5)", "P(x=5, y=2)", "builtins.setattr"),
            ("P.x.__set__(p, 5)", "P(x=5, y=2)", ANY),
            ("p.__init__(8, 9)", "P(x=8, y=9)", ANY),
            ("ctypes.memmove(ctypes.byref(p), b'\\x03', 1)", "P(x=3, y=2)", ANY),
            ("p.more = 1", "P(x=1, y=2, more=1)", None),
        ],
    ),
    *table("field", f"{POINT}p = P(1, 2)", "p.x", [("p.x = 5", "5", None), ("p = P(4, 5)", "4", None)], declarations="global p"),
    *table("structure in another", LINE, "line.start", [("line.start.x = 5", "P(x=5, y=0)", None), ("line.start = P(3, 4)", "P(x=3, y=4)", None)]),
    *table("field of a structure in another", LINE, "line.start.x", [("line.start.x = 5", "5", None), ("line.start = P(3, 4)", "3", None)]),
    *table("structure with another in it", LINE, "line", [("line.start.x = 5", "L(start=P(x=5, y=0), width=0)", None)]),
    *table(
        "union",
        "import ctypes\nclass U(ctypes.Union): _fields_ = [('n', ctypes.c_int), ('t', ctypes.c_char * 4)]\nu = U()",
        "u.t",
        [("u.n = 65", "b'A'", None), ("u.t = b'ab'", "b'ab'", None)],
    ),
    *table(
        "ctypes array",
        "import ctypes; a = (ctypes.c_int * 3)(1, 2, 3)",
        "a",
        [
            ("a[1] = 5", "c_int_Array_3([1, 5, 3])", None),
            ("a[-1] = 5", "c_int_Array_3([1, 2, 5])", None),
            ("a[:] = 4, 5, 6", "c_int_Array_3([4, 5, 6])", None),
            ("for a[0] in [9]: pass", "c_int_Array_3([9, 2, 3])", None),
            ("ctypes.memset(a, 0, 4)", "c_int_Array_3([0, 2, 3])", ANY),
        ],
    ),
    *table("ctypes array item", "import ctypes; a = (ctypes.c_int * 3)(1, 2, 3)", "a[1]", [("a[1] = 5", "5", None), ("a[:] = 4, 5, 6", "5", None)]),
    *table("items of a ctypes array", "import ctypes; a = (ctypes.c_int * 3)(1, 2, 3)", "sum(a[:2])", [("a[1] = 5", "6", None)]),
    *table("ctypes array as a list", "import ctypes; a = (ctypes.c_int * 3)(1, 2, 3)", "list(a)", [("a[1] = 5", "[1, 5, 3]", None)]),
    *table("ctypes text", "import ctypes; b = ctypes.create_string_buffer(b'abc')", "b.value", [("b.value = b'x'", "b'x'", None), ("b[0] = b'y'", "b'ybc'", None)]),
    *table("raw ctypes text", "import ctypes; b = ctypes.create_string_buffer(b'abc')", "b.raw", [("b.raw = b'xyzw'", "b'xyzw'", None)]),
    *table(
        "pointer",
        "import ctypes; n, m = ctypes.c_int(1), ctypes.c_int(7); p = ctypes.pointer(n)",
        "p.contents.value",
        [("n.value = 2", "2", None), ("p.contents = m", "7", None), ("p[0] = 3", "3", None)],
    ),
]  # fmt: skip

MAPPED = [
    *table(
        "mmap",
        "import mmap; m = mmap.mmap(-1, 4)",
        "m",
        [
            ("m[0] = 1", "mmap(b'\\x01\\x00\\x00\\x00')", None),
            ("m[1:3] = b'ab'", "mmap(b'\\x00ab\\x00')", None),
            ("m.write(b'ab')", "mmap(b'ab\\x00\\x00')", "mmap.write"),
            ("m.write_byte(65)", "mmap(b'A\\x00\\x00\\x00')", "mmap.write_byte"),
            ("memoryview(m)[0] = 1", "mmap(b'\\x01\\x00\\x00\\x00')", None),
            ("m.close()", "<closed mmap>", ANY),
        ],
    ),
    *table(
        "mmap of a file",
        "import mmap, os, tempfile; fd, title = tempfile.mkstemp(); os.unlink(title); os.write(fd, b'abcd')\n"
        "m = mmap.mmap(fd, 4)",
        "m",
        [
            ("m[0] = 65", "mmap(b'Abcd')", None),
            ("m.resize(6)", "mmap(b'abcd\\x00\\x00')", "mmap.resize"),
            ("m.move(0, 2, 2)", "mmap(b'cdcd')", ANY),
            ("os.ftruncate(fd, 2)", "mmap(b'ab\\x00\\x00')", ANY),
            ("os.ftruncate(fd, 0)", "<mmap longer than what it maps>", ANY),
        ],
    ),
    *table("mmap byte", "import mmap; m = mmap.mmap(-1, 4)", "m[0]", [("m[0] = 1", "1", None), ("m.write(b'b')", "98", "mmap.write")]),
    *table("part of an mmap", "import mmap; m = mmap.mmap(-1, 4)", "m[:2]", [("m[1] = 65", "b'\\x00A'", None)]),
]  # fmt: skip

VIEWS = [
    *table(
        "memoryview",
        "b = bytearray(b'abc'); v = memoryview(b)",
        "v",
        [
            ("v[0] = 120", "memoryview(b'xbc')", None),
            ("b[0] = 120", "memoryview(b'xbc')", None),
            ("v[:2] = b'xy'", "memoryview(b'xyc')", None),
            ("b[1:2] = b'z'", "memoryview(b'azc')", None),
            ("v.release()", "<released memoryview>", "memoryview.release"),
        ],
    ),
    *table("item of a memoryview", "b = bytearray(b'abc'); v = memoryview(b)", "v[0]", [("b[0] = 120", "120", None)]),
    *table("every other item", "b = bytearray(b'abcd'); v = memoryview(b)[::2]", "v", [("b[2] = 120", "memoryview(b'ax')", None)]),
    *table("view of an array", "import array; a = array.array('i', [1, 2]); v = memoryview(a)", "v", [("a[0] = 120", "memoryview([120, 2])", None)]),
    *table("view that cannot be written to", "b = bytearray(b'abc'); v = memoryview(b).toreadonly()", "v", [("b[0] = 120", "memoryview(b'xbc')", None)]),
    *table("bytes of a view", "b = bytearray(b'abc'); v = memoryview(b)", "bytes(v)", [("b[0] = 120", "b'xbc'", None)]),
    *table("view of a file", "import io; w = io.BytesIO(b'abc'); v = w.getbuffer()", "w", [("v[0] = 120; v.release()", "BytesIO(b'xbc')", None)]),
]  # fmt: skip

ARRAYS = table(
    "array",
    "import array, io; a = array.array('i', [1, 2])",
    "a",
    [
        ("a[0] = 5", "array('i', [5, 2])", None),
        ("a.append(5)", "array('i', [1, 2, 5])", "array.append"),
        ("a.extend([5])", "array('i', [1, 2, 5])", "array.extend"),
        ("a.insert(0, 5)", "array('i', [5, 1, 2])", "array.insert"),
        ("a.pop()", "array('i', [1])", "array.pop"),
        ("a.remove(1)", "array('i', [2])", "array.remove"),
        ("a.reverse()", "array('i', [2, 1])", "array.reverse"),
        ("a.byteswap()", ANY, "array.byteswap"),
        ("a.frombytes(bytes(4))", "array('i', [1, 2, 0])", "array.frombytes"),
        ("a.fromlist([7])", "array('i', [1, 2, 7])", "array.fromlist"),
        ("a += a", "array('i', [1, 2, 1, 2])", None),
        ("a *= 2", "array('i', [1, 2, 1, 2])", None),
        ("del a[0]", "array('i', [2])", None),
        ("a[:] = array.array('i', [8])", "array('i', [8])", None),
        ("io.BytesIO(bytes(4)).readinto(a)", "array('i', [0, 2])", ANY),
    ],
    declarations="global a",
)

FILES = [
    *table(
        "BytesIO",
        "import io, shutil; w = io.BytesIO(b'abc')",
        "w",
        [
            ("w.write(b'x')", "BytesIO(b'xbc')", "BytesIO.write"),
            ("w.writelines([b'x', b'y'])", "BytesIO(b'xyc')", "BytesIO.writelines"),
            ("w.truncate(1)", "BytesIO(b'a')", "BytesIO.truncate"),
            ("w.getbuffer()[0] = 120", "BytesIO(b'xbc')", None),
            ("w.__init__(b'z')", "BytesIO(b'z')", ANY),
            ("w.__setstate__((b'z', 0, None))", "BytesIO(b'z')", ANY),
            ("w.close()", "<closed BytesIO>", ANY),
            ("w.more = 1", "BytesIO(b'abc')", None),
        ],
    ),
    *table(
        "StringIO",
        "import io; w = io.StringIO('abc')",
        "w",
        [
            ("w.write('x')", "StringIO('xbc')", "StringIO.write"),
            ("print('x', end='', file=w)", "StringIO('xbc')", ANY),
            ("w.writelines(['x', 'y'])", "StringIO('xyc')", ANY),
            ("w.truncate(1)", "StringIO('a')", "StringIO.truncate"),
            ("w.__setstate__(('z', None, 0, None))", "StringIO('z')", ANY),
            ("w.close()", "<closed StringIO>", ANY),
        ],
    ),
    *table("what was written", "import io; w = io.StringIO()", "w.getvalue()", [("w.write('x')", "'x'", "StringIO.write")]),
    *table(
        "file with methods of its own",
        "import io\nclass F(io.BytesIO):\n  def getvalue(self): raise SystemError\nw = F(b'abc')",
        "w",
        [("w.write(b'x')", "F(b'xbc')", ANY)],
    ),
]  # fmt: skip

UNCHANGED = [
    Case(f"no change: {statement}", setup, expression, f"{statement}\n")
    for setup, expression, statement in [
        ("import io; f = io.BytesIO(b'abc')", "f", "f.read(); f.seek(0); f.getvalue(); f.tell()"),
        ("import io; f = io.StringIO('abc')", "f", "f.read(); f.seek(0); f.getvalue(); list(f)"),
        ("import io; f = io.BytesIO(b'abc')", "f", "f.write(b'abc')"),
        ("import mmap; m = mmap.mmap(-1, 8)", "m", "m.seek(3); m.read(2); m[0] = 0; m.flush()"),
        ("b = bytearray(b'abc'); v = memoryview(b)[1:]", "v", "b[0] = 120; b[1] = 98"),
        ("b = bytearray(b'abc'); v = memoryview(b)[::2]", "v", "b[1] = 120"),
        (f"{POINT}p = P(1, 2)", "p.x", "p.y = 5; p.x = 1"),
        (LINE, "line.start", "line.width = 5"),
        (LINE, "line.start.x", "line.start.y = 5; line.start = P(0, 9)"),
        ("import ctypes; a = (ctypes.c_int * 3)(1, 2, 3)", "a[0]", "a[1] = 5"),
        ("import ctypes; a = (ctypes.c_int * 3)(1, 2, 3)", "a", "a[0] = 1; a[:] = a[:]"),
        ("import array; a = array.array('d', [1.5])", "a", "a[0] = 1.5; a.tolist(); a.tobytes()"),
        ("import array; a = array.array('d', [float('nan')])", "a", "a[0] = a[0]; a[0] = float('nan')"),
    ]
]

SEVERAL = [
    Case(
        "minus zero in an array",
        "import array; a = array.array('d', [0.0])",
        "a",
        "a[0] = 0.0\na[0] = -0.0  # @a\n",
        [hit("a", "array('d', [0.0])", "array('d', [-0.0])")],
    ),
    Case(
        "the next change of a view is seen too",
        LINE,
        "line.start",
        "line.start.x = 1  # @a\nline.start.y = 2  # @b\nline.start = P()  # @c\nline.start.x = 3  # @d\n",
        [
            hit("a", "P(x=0, y=0)", "P(x=1, y=0)"),
            hit("b", "P(x=1, y=0)", "P(x=1, y=2)"),
            hit("c", "P(x=1, y=2)", "P(x=0, y=0)"),
            hit("d", "P(x=0, y=0)", "P(x=3, y=0)"),
        ],
    ),
    Case(
        "another pointer",
        "import ctypes; n, m = ctypes.c_int(1), ctypes.c_int(7); p = ctypes.pointer(n)",
        "p.contents",
        "n.value = 2  # @a\np.contents = m  # @b\nn.value = 3\nm.value = 4  # @c\n",
        [hit("a", new="c_int(2)"), hit("b", new="c_int(7)"), hit("c", new="c_int(4)")],
    ),
    *(
        Case(
            f"anonymous memory that is made longer: {text}",
            "import mmap; m = mmap.mmap(-1, mmap.PAGESIZE)",
            text,
            "m[0] = 1  # @a\nm.resize(2 * mmap.PAGESIZE)  # @b\nm[0] = 2\nm.resize(mmap.PAGESIZE)  # @c\nm[0] = 3  # @d\n",
            [hit("a"), hit("b", new=gone, by="mmap.resize"), hit("c", old=gone, by="mmap.resize"), hit("d")],
        )
        for text, gone in (("m", "<mmap longer than what it maps>"), ("m[0]", "absent"), ("bytes(m)", "absent"))
        if sys.platform == "linux" and sys.version_info < (3, 14)  # which refuses
    ),
    Case(
        "a file that is closed has nothing to change",
        "import io; f = io.BytesIO(b'abc')",
        "f",
        "f.write(b'x')  # @a\nf.close()  # @b\nf.closed\n",
        [hit("a", new="BytesIO(b'xbc')"), hit("b", "BytesIO(b'xbc')", "<closed BytesIO>")],
    ),
]


@parametrized([*CTYPES, *MAPPED, *VIEWS, *ARRAYS, *FILES, *UNCHANGED, *SEVERAL])
def test_what_holds_memory(case, mechanism, tmp_path, monkeypatch):
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits
