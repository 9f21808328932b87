"""The server as a subprocess, seen only from outside.

Its line on stdout, its log, its exit code and what the kernel tells about it. Every
peer that a test needs is made here, so that at the end all can be closed and the
server be held to giving back every descriptor.
"""

import os
import resource
import select
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.support.peer import Peer
from tests.support.waiting import PATIENCE, fresh, wait_for

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "bin" / "chat-server"
START = 10.0
STOP = 9.0
"""A stop may flush for five seconds."""


def command(*options: str) -> list[str]:
    """The command line that starts the server."""
    return [sys.executable, str(PROGRAM), *options]


def run(*options: str, timeout: float = START) -> subprocess.CompletedProcess[str]:
    """Run the server where it is expected to end by itself."""
    return subprocess.run(
        command(*options), capture_output=True, text=True, timeout=timeout, check=False
    )


class Server:
    """One running server; `with` starts it, and checks it at the end."""

    def __init__(
        self,
        *options: str,
        log: Path,
        stderr: IO[bytes] | int | None = None,
    ) -> None:
        self.options = options
        self.log_path = log
        self.stopped = False
        self.addresses: list[tuple[str, int]] = []
        self.peers: list[Peer] = []
        self._stderr = stderr
        self._process: subprocess.Popen[bytes] | None = None
        self._first_fds = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.kill()

    # Life

    def start(self) -> None:
        """Start it and wait until it listens."""
        options = self.options
        if "--port" not in options:
            options = ("--port", "0", *options)
        # Its log is a file unless a test wants to see to it itself.
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command(*options),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log if self._stderr is None else self._stderr,
            )
        try:
            for _ in range(max(1, options.count("--host"))):
                self.addresses.append(self._read_address())
        except BaseException:
            self.kill()
            raise
        self._first_fds = self.fds()

    def _read_address(self) -> tuple[str, int]:
        line = self.read_stdout_line()
        assert line.startswith("listening on "), f"{line!r}; {self.log()}"
        host, _, port = line.removeprefix("listening on ").rpartition(":")
        return host.strip("[]"), int(port)

    def read_stdout_line(self) -> str:
        """Give the next line of its stdout, without its end."""
        stdout = self.process.stdout
        assert stdout is not None
        deadline = time.monotonic() + START
        line = bytearray()
        # One byte at a time, so that nothing is hidden in a buffer from `select`.
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            ready, _, _ = select.select([stdout], [], [], max(0, left))
            assert ready, f"no line on stdout; {self.log()}"
            byte = os.read(stdout.fileno(), 1)
            assert byte, f"ended with {self.process.wait(PATIENCE)}; {self.log()}"
            line += byte
        return line[:-1].decode()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Its process; started it must be."""
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def limit_descriptors(self, most: int) -> None:
        """Let it have no more descriptors than this from now on."""
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (most, most))

    def wait(self, timeout: float = STOP) -> int:
        """Wait for its end, which the test has caused, and give its exit code."""
        self.stopped = True
        code = self.process.wait(timeout)
        self._close_stdout()
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Close the peers, stop the server and give its exit code."""
        self.close_peers()
        self.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """End it whatever state it is in."""
        self.close_peers()
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._close_stdout()

    def _close_stdout(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    # Peers

    @property
    def address(self) -> tuple[str, int]:
        """The first address it listens on."""
        return self.addresses[0]

    def peer(
        self,
        *,
        rcvbuf: int | None = None,
        listener: int = 0,
        tls: ssl.SSLContext | None = None,
        source: str | None = None,
    ) -> Peer:
        """Connect, from the address *source*, and say nothing yet."""
        where = self.addresses[listener]
        peer = Peer(where, rcvbuf=rcvbuf, tls=tls, source=source)
        self.peers.append(peer)
        return peer

    def member(
        self,
        stem: str = "nick",
        *,
        rcvbuf: int | None = None,
        tls: ssl.SSLContext | None = None,
        **fields: object,
    ) -> Peer:
        """Connect and join, with a nick of its own that begins with `stem`."""
        peer = self.peer(rcvbuf=rcvbuf, tls=tls)
        peer.hello(fresh(stem), **fields)
        return peer

    def crew(self, *stems: str, room: str | None = None) -> list[Peer]:
        """Several members of a new room, who have seen each other come."""
        name = room or fresh("room")
        peers = [self.member(stem, room=name) for stem in stems]
        for peer in peers:
            peer.sync()
        return peers

    def close_peers(self) -> None:
        """Close every peer made here."""
        for peer in self.peers:
            peer.close()
        self.peers.clear()

    # What is seen of it

    def log(self) -> str:
        """All of its log so far."""
        return self.log_path.read_text(encoding="utf-8", errors="backslashreplace")

    def log_lines(self) -> list[str]:
        """The lines of its log so far, parted at newlines and nowhere else."""
        return self.log().split("\n")[:-1]

    def wait_log(self, *words: str, timeout: float = PATIENCE) -> str:
        """Wait for a line of the log that holds all these words, and give it."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [
                line
                for line in self.log_lines()
                if all(word.lower() in line.lower() for word in words)
            ]
            return bool(found)

        wait_for(look, f"a log line with {words}", timeout)
        return found[0]

    def fds(self) -> int:
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss(self) -> int:
        """Its resident memory in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def cpu(self) -> float:
        """Seconds of processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # What must hold of it

    def expect_rest(self, timeout: float = PATIENCE) -> None:
        """With nothing to do it comes to rest: it does not spin on some event."""
        deadline = time.monotonic() + timeout
        while True:
            before = self.cpu()
            time.sleep(0.1)
            if self.cpu() - before <= 0.03:
                return
            assert time.monotonic() < deadline, "it spins"

    def check(self) -> None:
        """After a test: alive, no traceback, no descriptor more than at its start."""
        self.close_peers()
        assert "Traceback" not in self.log(), self.log()
        if self.stopped:
            return
        assert self.alive, f"ended with {self.process.poll()}; {self.log()}"
        wait_for(
            lambda: self.fds() <= self._first_fds,
            f"{self._first_fds} descriptors again",
            STOP,
        )

    def check_answers(self) -> None:
        """A new client is still answered, whatever it is told."""
        with Peer(self.address) as peer:
            peer.send("hello", version=1)
            peer.recv()

    def finish(self) -> None:
        """Check it, stop it and check how it stopped."""
        try:
            self.check()
            if not self.stopped:
                self.check_answers()
                assert self.stop() == 0
            assert "Traceback" not in self.log(), self.log()
        finally:
            self.kill()
