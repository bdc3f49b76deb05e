"""The contract, for what the standard library keeps in containers of its own: weak references, threads, options, headers."""

from __future__ import annotations

import threading
import weakref

import pytest

import stopwhen
from contract import ANY, Case, Module, choose, hit, mechanism_sets, parametrized, run_case, table
from recorder import Recorder
from stopwhen import thread_locals

WEAK = (
    "import weakref\nclass K: pass\nk = K(); other = K()\n"
    "S = weakref.WeakSet(); M = weakref.WeakKeyDictionary(); V = weakref.WeakValueDictionary()\nM[other] = 1\n"
)
WEAK_CASES = [
    *table("weak set", WEAK, "S", [("S.add(k)", ANY, ANY, "_weakrefset.py"), ("S.data = set()", ANY, None)]),
    *table("length of a weak set", WEAK, "len(S)", [("S.add(k)", "1", ANY, "_weakrefset.py")]),
    *table("member of a weak set", WEAK, "k in S", [("S.add(k)", "True", ANY, "_weakrefset.py")]),
    *table("truth of a weak set", WEAK, "not S", [("S.add(k)", "False", ANY, "_weakrefset.py")]),
    *table("weak keys", WEAK, "M", [("M[k] = 2", ANY, None, "weakref.py"), ("del M[other]", ANY, None, "weakref.py")]),
    *table("item under a weak key", WEAK, "M[k]", [("M[k] = 2", "2", None, "weakref.py")]),
    *table("weak key", WEAK, "other in M", [("del M[other]", "False", None, "weakref.py")]),
    *table("weak values", WEAK, "V", [("V['k'] = k", ANY, None, "weakref.py")]),
    *table("number of weak values", WEAK, "len(V)", [("V['k'] = k", "1", None, "weakref.py")]),
    Case(
        "what a weak set keeps for itself is no content",
        WEAK,
        "S",
        "S.add(k)\nfor one in S: len(S)\nlist(S)\nk in S\n",
        [hit("_weakrefset.py")],
    ),
    Case(
        "the death of a key",
        WEAK,
        "len(M)",
        "del other\n",
        [hit("weakref.py", "1", "0")],
    ),
    Case(
        "the death of a value",
        f"{WEAK}V['k'] = K.__new__(K)\nheld = K(); V['held'] = held\n",
        "len(V)",
        "del held\n",
        [hit("weakref.py", "1", "0")],
    ),
]  # fmt: skip

OPTIONS = (
    "import configparser\ncp = configparser.ConfigParser()\n"
    "cp.read_string('[DEFAULT]\\nd = 0\\n[a]\\nx = 1\\n[b]\\nz = 3\\n')\n"
)
OPTION_CASES = [
    *table(
        "options",
        OPTIONS,
        "cp",
        [
            ("cp.set('a', 'x', '2')", ANY, None, "configparser.py"),
            ("cp['b']['new'] = '2'", ANY, None, "configparser.py"),
            ("cp.add_section('c')", ANY, None, "configparser.py"),
            ("cp.remove_section('b')", ANY, None, "configparser.py"),
            ("cp.remove_option('a', 'x')", ANY, None, "configparser.py"),
            ("cp['DEFAULT']['d'] = '9'", ANY, None, "configparser.py"),
        ],
    ),
    *table(
        "an option",
        OPTIONS,
        "cp['a']['X']",
        [
            ("cp.set('a', 'x', '2')", "'2'", None, "configparser.py"),
            ("cp.remove_option('a', 'x')", "absent", None, "configparser.py"),
            ("cp.remove_section('a')", "absent", None, "configparser.py"),
        ],
    ),
    *table("an option by get", OPTIONS, "cp.get('a', 'd')", [("cp['DEFAULT']['d'] = '9'", "'9'", None, "configparser.py")]),
    *table("a section", OPTIONS, "'c' in cp", [("cp.add_section('c')", "True", None, "configparser.py")]),
]  # fmt: skip

MAIL = "import email.message\nm = email.message.Message(); m['Subject'] = 'a'\n"
MAIL_CASES = [
    *table(
        "headers",
        MAIL,
        "m",
        [
            ("m['To'] = 'you'", ANY, "list.append", "message.py"),
            ("m.replace_header('Subject', 'b')", ANY, None, "message.py"),
            ("m.set_payload('text')", ANY, None, "message.py"),
        ],
    ),
    *table("a header", MAIL, "m['subject']", [("m.replace_header('Subject', 'b')", "'b'", None, "message.py")]),
    *table("a header by get", MAIL, "m.get('To')", [("m['To'] = 'you'", "'you'", "list.append", "message.py")]),
    *table("whether a header is there", MAIL, "'to' in m", [("m['To'] = 'you'", "True", "list.append", "message.py")]),
]  # fmt: skip

LOCAL = (
    "import threading\nL = threading.local(); L.user = 0\n"
    "class Sub(threading.local):\n  def __init__(self): self.user = 'made'\n"
    "S = Sub()\n"
    "def elsewhere(f):\n  t = threading.Thread(target=f); t.start(); t.join()\n"
)
LOCAL_CASES = [
    *table("attribute of a thread", LOCAL, "L.user", [("L.user = 1", "1", None), ("del L.user", "absent", None), ("L.__dict__['user'] = 1", "1", None)]),
    *table("attributes of a thread", LOCAL, "L", [("L.user = 1", ANY, None), ("L.more = 1", ANY, None), ("L.__dict__.clear()", ANY, "dict.clear")]),
    *table("dict of a thread", LOCAL, "L.__dict__", [("L.user = 1", "{'user': 1}", None)]),
    *table("attribute of a thread, in a subclass", LOCAL, "S.user", [("S.user = 1", "1", None)]),
    Case(
        "what other threads store is theirs",
        LOCAL,
        "L.user",
        "def g(): L.user = 5\nelsewhere(g)\nL.user = 6  # @a\n",
        [hit("a", "0", "6")],
    ),
    Case(
        "attributes that this thread does not have yet are absent, and not made",
        f"{LOCAL}made = []\ndef g(): made.append(Sub())\nelsewhere(g)\nT = made[0]\n",
        "T.user",
        "len('')\nT.user  # makes them\nT.user = 2  # @a\n",
        [hit(ANY, "absent", "'made'"), hit("a", "'made'", "2")],
    ),
]  # fmt: skip


@parametrized([*WEAK_CASES, *OPTION_CASES, *MAIL_CASES])
def test_what_the_library_wraps_is_watched(case, mechanism, tmp_path, monkeypatch):
    """By the container that holds it, whoever changes that."""
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


@pytest.mark.skipif(not thread_locals.IS_POSSIBLE, reason="it takes the C module")
@parametrized(LOCAL_CASES)
def test_what_a_thread_has_of_its_own_is_watched(case, mechanism, tmp_path, monkeypatch):
    """In the thread that asks for it."""
    choose(monkeypatch, mechanism)
    assert run_case(case, tmp_path) == case.hits


def test_what_is_held_weakly_is_not_held_by_us():
    """An item of a WeakValueDictionary is refused, and the hint names what can be watched."""

    class Value: ...

    values = weakref.WeakValueDictionary()
    holder = [Value()]
    values["k"] = holder[0]
    gone = []
    weakref.finalize(holder[0], gone.append, 1)
    with pytest.raises(stopwhen.Refused, match="keep alive") as caught:
        stopwhen.changes("values['k']", action="count")
    assert "values.data['k']" in str(caught.value)
    with Recorder() as hits:
        hits.changes("values", scope={"values": values})
        hits.changes("values.data['k']", scope={"values": values})
        holder.clear()
    assert gone == [1]
    assert len(hits.hits) == 2


@pytest.mark.skipif(thread_locals.IS_POSSIBLE, reason="the dict of this thread is found")
def test_without_the_c_module_the_attributes_of_a_thread_are_refused():
    """On 3.11 and 3.12 nothing else tells whose they are."""
    local = threading.local()
    local.user = 1
    for expression in ("local", "local.user"):
        with pytest.raises(stopwhen.Refused, match="only the C module"):
            stopwhen.changes(expression, scope={"local": local}, action="count")


@pytest.mark.parametrize("mechanism", mechanism_sets())
@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("os.environ", ["added 'STOPWHEN_T': 'a'", "changed 'STOPWHEN_T': 'a' -> 'é'", "removed 'STOPWHEN_T': 'é'"]),
        ("os.environ['STOPWHEN_T']", ["bound to 'a'", "'a' -> 'é'", "unbound, was 'é'"]),
        ("os.environ.get('STOPWHEN_T')", ["bound to 'a'", "'a' -> 'é'", "unbound, was 'é'"]),
        ("os.getenv('STOPWHEN_T')", ["bound to 'a'", "'a' -> 'é'", "unbound, was 'é'"]),
        ("'STOPWHEN_T' in os.environ", ["bound to 'a'", "unbound, was 'é'"]),
    ],
)
def test_reports_about_the_environment_show_its_texts(expression, told, mechanism, tmp_path, monkeypatch):
    """They are kept as bytes, which no program sees."""
    choose(monkeypatch, mechanism)
    module = Module(tmp_path)
    module.run("import os")
    program = "os.environ['STOPWHEN_T'] = 'a'\nos.environ['STOPWHEN_T'] = 'é'\ndel os.environ['STOPWHEN_T']\n"
    with Recorder() as hits:
        hits.changes(expression, scope=module)
        module.run(program)
    assert [hit.change.text for hit in hits.hits] == told
