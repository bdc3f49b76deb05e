"""A program under debugpy, and somebody who debugs it: the client's side of the Debug Adapter Protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import helpers

TIMEOUT = 60


class Client:
    """Talks to one debug adapter over its standard streams."""

    def __init__(self, folder: Path) -> None:
        self._adapter = subprocess.Popen(
            [sys.executable, "-m", "debugpy.adapter"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._folder = folder
        self._sent = 0
        self._received: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._is_over = False
        self._reader = threading.Thread(target=self._receive)
        self._reader.start()

    def _receive(self) -> None:
        stream = self._adapter.stdout
        assert stream is not None
        while line := stream.readline():
            if line.lower().startswith(b"content-length:"):
                while stream.readline().strip():
                    pass
                message = json.loads(stream.read(int(line.split(b":")[1])))
                with self._news:
                    self._received.append(message)
                    self._news.notify_all()
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def send(self, command: str, **arguments: Any) -> int:
        """Send a request, and return its number."""
        self._sent += 1
        message = {"seq": self._sent, "type": "request", "command": command, "arguments": arguments}
        text = json.dumps(message).encode()
        assert self._adapter.stdin is not None
        self._adapter.stdin.write(b"Content-Length: %d\r\n\r\n" % len(text) + text)
        self._adapter.stdin.flush()
        return self._sent

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request, and return the body of its response."""
        return self.answer(self.send(command, **arguments))

    def answer(self, number: int) -> dict[str, Any]:
        """Return the body of the response to a request."""
        response = self._wait(lambda message: message.get("request_seq") == number)
        assert response["success"], response
        return response.get("body", {})

    def event(self, *names: str) -> dict[str, Any]:
        """Wait for the next event of one of these names; return it, and forget it."""
        return self._wait(lambda message: message.get("event") in names)

    def _wait(self, is_it: Any) -> dict[str, Any]:
        def found() -> Any:
            return next((message for message in self._received if is_it(message)), None)

        with self._news:
            assert self._news.wait_for(lambda: found() or self._is_over, TIMEOUT), self._received
            message = found()
            assert message is not None, self._received
            self._received.remove(message)
            return message

    def launch(self, breakpoints: dict[str, list[int]], env: dict[str, str], **what: Any) -> None:
        """Start `program`, or `module`, in the client's folder."""
        self.ask("initialize", adapterID="test", linesStartAt1=True, columnsStartAt1=True, pathFormat="path")
        environment = {"PYTHONPATH": str(helpers.SOURCE), "NO_COLOR": "1", **env}
        how = {"cwd": str(self._folder), "env": environment, "console": "internalConsole", "subProcess": False}
        launched = self.send("launch", python=[sys.executable], **how, **what)
        self.event("initialized")
        for name, lines in breakpoints.items():
            places = [{"line": line} for line in lines]
            self.ask("setBreakpoints", source={"path": str(self._folder / name)}, breakpoints=places)
        self.ask("configurationDone")
        self.answer(launched)

    def stop(self) -> tuple[int, str, list[str]] | None:
        """Wait for a stop; return thread, reason and frames, as `file:line function`; None for the program's end."""
        event = self.event("stopped", "terminated")
        if event["event"] == "terminated":
            return None
        thread = event["body"]["threadId"]
        frames = self.ask("stackTrace", threadId=thread)["stackFrames"]
        places = [f"{Path(one['source']['path']).name}:{one['line']} {one['name']}" for one in frames]
        return thread, event["body"]["reason"], places

    def output(self, category: str) -> str:
        """Return what the program has written so far, to `stdout` or `stderr`."""
        with self._news:
            told = [one["body"] for one in self._received if one.get("event") == "output"]
        return "".join(one["output"] for one in told if one.get("category") == category)

    def close(self) -> None:
        """End it all."""
        assert self._adapter.stdin is not None
        self._adapter.stdin.close()
        try:
            self._adapter.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._adapter.kill()
            self._adapter.wait()
        self._reader.join()
        assert self._adapter.stdout is not None
        self._adapter.stdout.close()


@contextmanager
def client(folder: Path) -> Iterator[Client]:
    """Return a client whose program is in `folder`, and end it at the end."""
    one = Client(folder)
    try:
        yield one
    finally:
        one.close()
