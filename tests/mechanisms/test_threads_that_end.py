"""What is due in a thread that ends before its turn comes is done all the same."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import stopwhen
from contract import Module
from helpers import marked_lines
from recorder import Recorder
from stopwhen import env, session

pytestmark = pytest.mark.skipif(env.core is None, reason="in pure Python each thread processes its own changes")

PROGRAM = """\
D = {KEY: 0}
def writes():
    begin.wait()
    D[KEY] = 1  # @writes
def sets_x():
    global x
    x = 1
    return x
x = 0
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a thread go on at once when another processes changes."""
    monkeypatch.setattr(session, "PATIENCE", 0)


def waits_for(module: Module, thread: threading.Thread) -> bool:
    """Be a condition, for which other threads wait, while another thread writes and ends."""
    module.begin.set()
    thread.join()
    return False


LATER = {
    "at the next event": lambda module, _: module.sets_x(),
    "when it is removed": lambda _, watchpoint: watchpoint.remove(),
    "when all are": lambda _, __: stopwhen.clear(),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("action", ["callable", "log", "raise"])
def test_the_action_runs_though_the_thread_that_wrote_has_ended(
    action: str, later: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Once, and with what was noted of the thread; there is no frame then in which one could look or raise."""
    module = Module(tmp_path)
    module.__dict__.update(KEY=f"{action} {later}", begin=threading.Event())
    module.run(PROGRAM)
    thread = threading.Thread(target=module.writes)
    ran: list[Any] = []
    taken: Any = (lambda hit: ran.append((hit, hit.frame))) if action == "callable" else action
    with Recorder() as hits:
        watchpoint = hits.changes(f"D[{module.KEY!r}]", scope=module, action=taken)
        condition = hits.changes("x", scope=module, condition=lambda _: waits_for(module, thread))
        thread.start()
        module.sets_x()
        condition.remove()
        LATER[later](module, watchpoint)
    line = marked_lines(PROGRAM)["writes"]
    (hit,) = watchpoint.hits
    assert (hit.thread_id, hit.location.lineno, hit.exact) == (thread.ident, line, True)
    told = capfd.readouterr().err
    if action == "callable":
        assert [(one, frame) for one, frame in ran] == [(hit, None)]
    else:
        assert told.count(f"{line} | ") == 1, told
        assert ("raises nothing" in told) == (action == "raise")
