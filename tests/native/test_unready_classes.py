"""A static class of a C module may be met before the interpreter has made it ready: it is read as any other."""

from __future__ import annotations

import sys

import pytest

from helpers import run_program

PROGRAM = """
import socket  # its C module, from 3.12 on, makes classes in another way
own = socket.socket
class Ours(own): pass
socket.socket = Ours
socket.socket = own
import stopwhen
print(*(one.count for one in stopwhen.watchpoints()))
"""

HITS = {"socket.socket": 4, "_socket.socket": 1, "_socket.socket.bind": 1}
"""Bound by `from _socket import *`, by the class statement, and twice by the program; bound by the import, each."""


@pytest.mark.parametrize("watched", [["socket.socket"], list(HITS)])
def test_a_class_that_is_not_ready_yet_is_watched(watched):
    """On 3.11 `_socket.socket` has no MRO and no dict while `from _socket import *` binds it."""
    options = [word for one in watched for word in ("--changes", one)]
    run = run_program(PROGRAM, stopwhen=["--action", "count", *options])
    assert (run.stdout.split(), run.status) == ([str(HITS[one]) for one in watched], 0), run.stderr
    assert "no longer watching" not in run.stderr
    assert "missed" not in run.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the class is of Linux and macOS")
def test_reading_makes_a_class_ready():
    """As the first look-up of an attribute does."""
    run = run_program(
        """
        import _socket
        from stopwhen import static
        assert static.mro(_socket.socket)[-1] is object
        assert "bind" in static.type_dict(_socket.socket)
        assert static.find(_socket.socket, "bind") == (_socket.socket, vars(_socket.socket)["bind"])
        print("end")
        """
    )
    assert (run.stdout, run.stderr) == ("end\n", "")
