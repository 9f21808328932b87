"""A server's process: starts it, and tells what it has used.

    with ServerProcess(command, core) as server: server.address, server.usage

``Usage`` reads what the kernel counts for a process where there is ``/proc``, and
tells ``None`` where there is none.  Must not know: what the server is asked to do.
"""

from __future__ import annotations

import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from chatroom.client.options import parse_address
from chatroom.errors import StartError
from chatroom.net.address import Address

START_TIMEOUT = 15.0
"""Seconds for a server to say where it listens."""
STOP_TIMEOUT = 10.0
"""Seconds for a server to end when it is told to; it may flush for five of them."""
LOG_TAIL = 5
"""Lines of a server's log that are shown where something went wrong."""

_ROOT = Path(__file__).resolve().parents[3]


def own_server(options: Sequence[str], clients: int) -> list[str]:
    """Return the command of our own server, with what would hold a load test up off.

    *options* come last, so that they win.
    """
    wide = ["--rate", "0", "--max-clients-per-ip", "0", "--max-rooms", "0"]
    wide += ["--max-clients", str(max(10_000, clients + 100))]
    quiet = ["--log-level", "warning"]
    command = [sys.executable, "-m", "chatroom", "--port", "0"]
    return [*command, *wide, *quiet, *options]


class Usage:
    """What a process has used of the machine."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def cpu(self) -> float | None:
        """Return the seconds of processor time used, all threads together."""
        try:
            line = (self._folder / "stat").read_text()
        except OSError:
            return None
        # The name of the program, in brackets, may hold anything.
        fields = line.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int | None:
        """Return the bytes that are resident."""
        try:
            fields = (self._folder / "statm").read_text().split()
        except OSError:
            return None
        return int(fields[1]) * resource.getpagesize()


class ServerProcess:
    """A server that runs as long as the ``with`` block does."""

    def __init__(self, command: Sequence[str], core: int | None = None) -> None:
        self._command = list(command)
        self._core = core
        self._process: subprocess.Popen[bytes] | None = None
        # Its log is held in a file that has no name: it ends with this process.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.address: Address = ("", 0)

    @property
    def pid(self) -> int:
        """Its process id; it has to run."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def ended(self) -> bool:
        """Tell whether it has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def log_tail(self) -> str:
        """Return the last lines of its log."""
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 65536))
        lines = self._log.read().decode(errors="backslashreplace").splitlines()
        return "\n".join(lines[-LOG_TAIL:])

    def _start(self) -> None:
        inside = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([str(_ROOT), inside] if inside else [str(_ROOT)])
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, "PYTHONPATH": path},
            )
        except OSError as error:
            raise StartError(
                f"cannot start {self._command[0]}: {error.strerror}"
            ) from None
        if self._core is not None:
            pin(self._process.pid, self._core)
        line = self._first_line()
        if not line.startswith("listening on "):
            raise StartError(self._complaint(line))
        self.address = parse_address(line.removeprefix("listening on ").strip())

    def _first_line(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        stdout, line = self._process.stdout.fileno(), bytearray()
        deadline = time.monotonic() + START_TIMEOUT
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if not select.select([stdout], [], [], max(0.0, left))[0]:
                break
            piece = os.read(stdout, 1)
            if not piece:
                break
            line += piece
        return line.decode(errors="replace")

    def _complaint(self, line: str) -> str:
        said = line.strip() or self.log_tail() or "it said nothing"
        return f"the server did not start: {said}"

    def _stop(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT)
        self._kill()

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._log.close()


def pin(pid: int, core: int) -> None:
    """Keep process *pid* (0: this one) on *core*, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(pid, {core})


def two_cores() -> tuple[int, int] | None:
    """Return a core for the server and one for us, where there are two."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else None


def raise_descriptor_limit(needed: int) -> None:
    """Raise the soft limit of descriptors; ``StartError`` where *needed* are too many.

    A process that is started later inherits it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft != resource.RLIM_INFINITY and needed > soft:
        raise StartError(
            f"{needed} descriptors are needed and {soft} are allowed; "
            "see ulimit -n, or take fewer clients"
        )
