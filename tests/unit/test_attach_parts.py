"""What `stopwhen attach` reads, sends and says, without a process."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from stopwhen.errors import UsageError
from stopwhen.frontends import attach, other_process, wire
from stopwhen.frontends.options import AttachLine, read_attach, read_detach
from stopwhen.types import AccessType, Action


def test_the_process_may_stand_anywhere_in_the_line():
    """Options hold for the watchpoint before them, or for all when they come first."""
    line = read_attach(
        ["--action", "log", "--changes", "a", "--if", "new", "42", "--true", "b", "--timeout=2.5", "--tcp"]
    )
    assert (line.pid, line.timeout, line.tcp) == (42, 2.5, True)
    first, second = line.requests
    assert (first.access, first.text, first.settings.condition) == (AccessType.CHANGE, "a", "new")
    assert (second.access, second.text, second.settings.condition) == (AccessType.TRUE, "b", None)
    assert {first.settings.action, second.settings.action} == {Action.LOG}
    assert read_detach(["7"]) == AttachLine(7)


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        ([], "no-process"),
        (["x", "--changes", "a"], "no-process"),
        (["0", "--changes", "a"], "no-process"),
        (["1", "2", "--changes", "a"], "unexpected-word"),
        (["1"], "no-watchpoint"),
        (["1", "--changes"], "missing-value"),
        (["1", "--changes", "a", "--timeout", "-1"], "bad-timeout"),
        (["1", "--changes", "a", "--timeout", "nan"], "bad-timeout"),
        (["1", "--changes", "a", "--tcp=80"], "unexpected-value"),
        (["1", "--changes", "a", "--mechanism", "recheck"], "unknown-option"),
    ],
)
def test_a_line_that_cannot_be_understood_is_said(words, slug):
    """With its slug."""
    with pytest.raises(UsageError) as caught:
        read_attach(words)
    assert caught.value.slug == slug


def test_detach_takes_no_watchpoints():
    """It ends all."""
    with pytest.raises(UsageError, match=r"\[unknown-option\]"):
        read_detach(["1", "--changes", "a"])


def test_messages_arrive_whole_however_they_are_cut():
    """Texts with line ends, spaces and any letters."""
    sent = [(wire.HIT, "a\nb 3\n"), (wire.SAY, ""), (wire.DEBUGGER, "é\udc80 {}\n")]
    data = b"".join(wire.encode(kind, text) for kind, text in sent)
    decoder = wire.Decoder()
    received = [message for n in range(len(data)) for message in decoder.feed(data[n : n + 1])]
    assert [kind for kind, _ in received] == [kind for kind, _ in sent]
    assert [text for _, text in received] == ["a\nb 3\n", "", "é\\udc80 {}\n"]
    with pytest.raises(ValueError):
        list(wire.Decoder().feed(b"GET / HTTP/1.1\r\n\r\n"))


OTHER = "Can't send commands from a Python 3.14 process to"


@pytest.mark.parametrize(
    ("text", "executable", "slug", "words"),
    [
        (f"{OTHER} a Python 3.15 process", "/bin/python3.15", "other-python", "/bin/python3.15 -m stopwhen attach 7"),
        ("PyRuntime lookup failed", "/bin/python3.12", "other-python", "start the program by `stopwhen run`"),
        ("PyRuntime lookup failed", "/bin/sleep", "not-python", "it runs /bin/sleep"),
        ("PyRuntime lookup failed", "", "not-python", "process 7 is no Python process ["),
        ("Remote debugging is not enabled in the remote process", "", "remote-debug-off", "-X disable-remote-debug"),
        ("something else", "", "attach-failed", "process 7: something else"),
    ],
)  # fmt: skip
def test_why_a_process_cannot_be_attached_to_is_said(text, executable, slug, words, monkeypatch):
    """From what the interpreter says and from what the process runs."""
    monkeypatch.setattr(other_process, "_executable", lambda _pid: executable)
    error = other_process.refusal(7, RuntimeError(text))
    assert error.slug == slug
    assert words in str(error)


def test_a_setting_of_the_system_that_forbids_it_is_named(monkeypatch, tmp_path):
    """With how to change it."""
    (tmp_path / "scope").write_text("1\n")
    open_file = open

    def instead(_path, **options):
        return open_file(tmp_path / "scope", **options)

    monkeypatch.setattr("builtins.open", instead)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(UsageError, match="ptrace_scope is 1 here") as caught:
        other_process.no_right(7, "Operation not permitted")
    assert "cannot debug process 7: Operation not permitted [no-right]" in str(caught.value)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")
def test_a_long_folder_for_temporary_files_is_avoided(monkeypatch, tmp_path):
    """A socket's path has little room."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with other_process.Room(os.getpid()) as room:
        path = room.listen()
        assert len(path.encode()) < 108
        assert Path(path).stat().st_mode & 0o777 == 0o600
        folder = room.folder
    assert not Path(folder).exists()


def test_who_does_not_know_the_token_is_not_listened_to():
    """Whatever it says then."""
    with other_process.Room(os.getpid(), tcp=True) as room:
        port = room.listen()
        terminal = attach._Terminal(AttachLine(1), room)
        terminal._selector.register(room.listener, attach.selectors.EVENT_READ, None)
        for hello in (wire.encode(wire.HELLO, "guess 1"), wire.encode(wire.ARMED, "x"), b"nonsense\n"):
            with socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(hello + wire.encode(wire.ARMED, "mine"))
                while len(terminal._selector.get_map()) < 2:
                    terminal._show(0.1)
                while len(terminal._selector.get_map()) > 1:
                    terminal._show(0.1)
                stranger.settimeout(10)
                try:
                    assert stranger.recv(1) == b""
                except ConnectionResetError:
                    pass
        assert terminal._main is None
        terminal._selector.close()
