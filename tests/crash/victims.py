"""Servers that are killed, or kill themselves, and are started again.

``Victim`` is one server on a port and a file that stay the same.  It is started as a
user starts it, or by a ``Nursery``, which forks it with a plan for its end
(``launcher.py``), or under ``strace``, which kills it at the N-th call of the kernel.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tests.crash.launcher import Plan

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 15.0
"""Seconds for a server to start, or to be over once it is killed."""


class Reserved:
    """A port that is nobody's but ours, also while no server listens on it."""

    def __init__(self) -> None:
        self._sock = socket.socket()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sock.bind(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._sock.getsockname()[:2]

    def close(self) -> None:
        """Give it back."""
        self._sock.close()


class Child(Protocol):
    """A process that is a server."""

    listening: bool
    code: int | None

    def poll(self) -> None:
        """See what has become of it."""

    def kill(self) -> None:
        """Send it SIGKILL, whatever state it is in."""


class Process:
    """A server in an interpreter of its own."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.listening = False
        self.code: int | None = None
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        assert self._process.stdout is not None
        self._stdout = self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)

    def poll(self) -> None:
        """See what has become of it."""
        if self.code is not None:
            return
        if not self.listening:
            self.listening = bool(self._stdout.read(4096))
        self.code = self._process.poll()
        if self.code is not None:
            self._stdout.close()

    def kill(self) -> None:
        """Send SIGKILL to it, and to what it runs for us (``strace`` runs a server)."""
        for pid in [*_children(self._process.pid), self._process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def _children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in listed.split()]


class Forked:
    """A server that a nursery has forked."""

    def __init__(self, nursery: "Nursery") -> None:
        self.listening = False
        self.code: int | None = None
        self.pid = 0
        self._nursery = nursery

    def poll(self) -> None:
        """See what has become of it."""
        self._nursery.read()

    def kill(self) -> None:
        """Send it SIGKILL."""
        deadline = time.monotonic() + PATIENCE
        while not self.pid and time.monotonic() < deadline:
            self._nursery.read(0.01)
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)


class Nursery:
    """Forks servers with a plan, one at a time."""

    def __init__(self) -> None:
        self._child: Forked | None = None
        self._lines = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.launcher"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, and the server that it forked last."""
        if self._child is not None and self._child.code is None:
            self._child.kill()
        self._stdin.close()
        self._process.wait(PATIENCE)
        self._stdout.close()

    def fork(self, plan: Plan, options: list[str], log: Path) -> Forked:
        """Have a server forked; the one before it is over."""
        assert self._child is None or self._child.code is not None
        self._child = Forked(self)
        self._stdin.write(json.dumps([plan, options, str(log)]).encode() + b"\n")
        self._stdin.flush()
        return self._child

    def read(self, timeout: float = 0.0) -> None:
        """Take in what it tells."""
        child = self._child
        while select.select([self._stdout], [], [], timeout)[0]:
            data = os.read(self._stdout.fileno(), 4096)
            if not data:
                raise AssertionError(f"the nursery ended: {self._process.wait()}")
            *lines, self._lines = (self._lines + data).split(b"\n")
            for line in lines:
                assert child is not None
                match line.decode().split():
                    case ["started", pid]:
                        child.pid = int(pid)
                    case ["ended", _, code]:
                        child.code = int(code)
                    case ["listening", *_]:
                        child.listening = True
            timeout = 0.0


Wait = Callable[[Callable[[], bool], float], bool]
"""Waits until something holds, for so many seconds at most, and does what else is to
be done meanwhile; tells whether it came to hold."""


class Victim:
    """A server that is started again and again, on the same port and file.

    *wait* is how time is spent until it listens or is over.
    """

    def __init__(
        self, folder: Path, *options: str, nursery: Nursery | None = None
    ) -> None:
        self.history = folder / "history.db"
        self.log = folder / "server.log"
        self.kills = 0
        """How often it was killed while it ran."""
        self.starts = 0
        self._port = Reserved()
        self.address = self._port.address
        self.options = [
            *("--port", str(self.address[1])),
            *("--history", str(self.history)),
            *("--rate", "0", "--max-rooms", "8", "--log-level", "warning"),
            *options,
        ]
        self._nursery = nursery
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child is not None and self.alive:
            self._child.kill()
            _idle(lambda: not self.alive, PATIENCE)
        self._port.close()

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        assert self._child is not None
        self._child.poll()
        return self._child.code is None

    @property
    def listening(self) -> bool:
        """Whether it has said so."""
        return self.alive and self._child is not None and self._child.listening

    def start(
        self, plan: Plan | None = None, wait: Wait | None = None, prefix: str = ""
    ) -> bool:
        """Start it and wait until it listens; tell whether it came so far.

        *prefix* is a command that is to run it.
        """
        self.starts += 1
        if self._nursery is not None:
            self._child = self._nursery.fork(plan or {}, self.options, self.log)
        else:
            program = str(ROOT / "bin" / "chat-server")
            command = [*prefix.split(), sys.executable, program, *self.options]
            self._child = Process(command, self.log)
        (wait or _idle)(lambda: not self.alive or self.listening, PATIENCE)
        return self.listening

    def kill(self, wait: Wait | None = None) -> None:
        """Kill it; it must have been alive until now."""
        assert self._child is not None
        assert self.alive, f"it ended by itself: {self._child.code}; {self.errors()}"
        self._child.kill()
        self.kills += 1
        (wait or _idle)(lambda: not self.alive, PATIENCE)
        assert not self.alive

    def expect_killed(self) -> None:
        """It is over, and nothing else than SIGKILL has ended it."""
        assert not self.alive
        assert self._child is not None
        code = self._child.code
        assert code == -signal.SIGKILL, f"it ended with {code}; {self.errors()}"
        self.kills += 1

    def errors(self) -> str:
        """What it complained of."""
        return self.log.read_text(encoding="utf-8", errors="backslashreplace")


def _idle(until: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not until():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True
