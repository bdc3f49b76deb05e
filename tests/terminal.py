"""Programs in a pseudo terminal, with somebody who types."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect

import helpers

PROMPT = r"\(Pdb\) "
_ESCAPES = re.compile(r"\x1b(\[[0-9;?>]*[A-Za-z]|[()][A-Z0-9]|[=>])|\x0f|\x0e")


class Terminal:
    """One program in a terminal of its own.

    Attributes:
        child: what pexpect started.
        prompt: what the debugger asks with.
    """

    def __init__(self, words: list[str], folder: Path, prompt: str, env: dict[str, str]) -> None:
        path = os.pathsep.join(filter(None, [str(helpers.SOURCE), env.get("PYTHONPATH"), os.environ.get("PYTHONPATH")]))
        environment = {
            **os.environ,
            "TERM": "dumb",
            "NO_COLOR": "1",
            "PYTHON_COLORS": "0",
            "PYTHON_BASIC_REPL": "1",
            "HOME": str(folder),  # no .pdbrc, no configuration of whoever runs the tests
            **env,
            "PYTHONPATH": path,
        }
        if "PYTHONBREAKPOINT" not in env:
            environment.pop("PYTHONBREAKPOINT", None)
        self.prompt = prompt
        self.child = pexpect.spawn(
            sys.executable,
            words,
            cwd=str(folder),
            env=environment,
            encoding="utf-8",
            timeout=60,
            dimensions=(40, 100),
        )

    def wait(self, pattern: str | None = None) -> str:
        """Return what is printed up to the next prompt, or to `pattern`."""
        self.child.expect(self.prompt if pattern is None else pattern)
        return self._plain(self.child.before)

    def ask(self, command: str) -> str:
        """Type a command at the prompt and return what is printed until the next one."""
        self.child.sendline(command)
        return self.wait()

    def end(self, command: str | None = None) -> str:
        """Type a last command and return what is printed until the program ends."""
        if command is not None:
            self.child.sendline(command)
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self._plain(self.child.before)

    def quit(self) -> str:
        """Quit pdb, which asks back where it was opened amid a program (3.14), and return what is printed then."""
        self.child.sendline("quit")
        if self.child.expect(["Quit anyway", pexpect.EOF]) == 0:
            return self.end("y")
        self.child.close()
        return self._plain(self.child.before)

    @property
    def status(self) -> int | None:
        """The exit status, once the program has ended."""
        return self.child.exitstatus

    @staticmethod
    def _plain(text: str) -> str:
        return _ESCAPES.sub("", text).replace("\r", "")
