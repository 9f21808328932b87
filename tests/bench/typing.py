"""The client at a terminal while others talk: what a person feels who types there.

What the client writes is only noted with its time while it runs, and shown on the
tests' own terminal afterwards: to look at it takes longer than to write it.
Must not know: which figures are wanted.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.bench.measure import ROOT, Failed
from tests.support.emulator import Emulator
from tests.support.server import Server
from tests.support.waiting import wait_for

COLUMNS, ROWS = 80, 24
PROMPT = "> "
LETTERS = "abcdefghijklmnopqrstuvwxyz"
RATE = 1000
"""Messages a second."""
PAUSES = 0.06, 0.2
"""Seconds between two keys: from very fast to slow."""
WORD = 40
"""Letters that are typed before the line is cleared: the row is to hold them all."""
PASTE = 1024 * 1024
"""Bytes."""
PATIENCE = 20.0


@dataclass
class Typed:
    """What was felt."""

    late: list[float] = field(default_factory=list)
    """Seconds from a key to the letter on the screen, for each letter."""
    lost: int = 0
    """Letters that never came."""
    draws: int = 0
    """Most writes to the terminal in any second."""
    share: float = 0.0
    """Of a core."""
    rows: float = 0.0
    """That scrolled by in a second: a message takes one at least."""


@dataclass
class Pasted:
    """What became of a large paste."""

    seconds: float
    """Until the client had taken it, and answered."""
    next_key: float
    """Seconds from the next key to the letter on the screen."""
    messages: int
    """Said to the room by it."""


class Typist:
    """The client on a pseudo-terminal, and all that it wrote, each with its time."""

    def __init__(self, address: tuple[str, int], *options: str) -> None:
        self._master, slave = pty.openpty()
        size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        os.set_blocking(self._master, False)
        program = str(ROOT / "bin" / "chat-client")
        chosen = ("--config", os.devnull, "--no-line-history", *options)
        host, port = address
        self._process = subprocess.Popen(
            [sys.executable, program, f"{host}:{port}", *chosen],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ | {"TERM": "xterm"},
            start_new_session=True,
        )
        os.close(slave)
        self.written: list[tuple[float, bytes]] = []

    def close(self) -> None:
        """End the client."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def type(self, keys: bytes) -> float:
        """Press *keys*, however many; return when the first one was pressed."""
        begin = time.perf_counter()
        rest = memoryview(keys)
        while rest:
            try:
                rest = rest[os.write(self._master, rest) :]
            except BlockingIOError:
                self.watch(0.001)
        return begin

    def watch(self, seconds: float) -> None:
        """Note what is written for so long."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            if select.select([self._master], [], [], left)[0]:
                self._note()

    def _note(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except BlockingIOError:
            return
        except OSError:
            raise Failed("the client has ended") from None
        self.written.append((time.perf_counter(), data))

    def watch_until(self, text: str) -> float:
        """Note what is written until *text* is among it; return when that was."""
        seen = b""
        start = len(self.written)
        begin = time.perf_counter()
        while text.encode() not in seen:
            if time.perf_counter() > begin + PATIENCE:
                raise Failed(f"{text!r} was not shown")
            self.watch(0.002)
            seen = b"".join(data for _, data in self.written[start:])
        return self.written[-1][0]

    def cpu(self) -> float:
        """Return the processor seconds that the client has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def writes(self) -> int:
        """Return how often the client has written to the terminal."""
        counts = Path(f"/proc/{self._process.pid}/io").read_text()
        return int(counts.partition("syscw: ")[2].split()[0])


@contextmanager
def room() -> Iterator[Server]:
    """Start a server that is read at any rate."""
    with TemporaryDirectory(prefix="chatroom-") as folder:
        options = ("--rate", "0", "--log-level", "warning")
        with Server(*options, log=Path(folder) / "log") as server:
            yield server


@contextmanager
def talkers(server: Server, seconds: float) -> Iterator[str]:
    """Have a room talked in, and read by nobody else; give its name."""
    host, port = server.address
    load = [sys.executable, str(ROOT / "bin" / "chat-load"), f"{host}:{port}"]
    load += ["--clients", "1", "--talkers", "1", "--rate", str(RATE)]
    load += ["--duration", str(seconds)]
    process = subprocess.Popen(load, stdout=subprocess.DEVNULL)
    try:
        yield _room_of_others(server)
    finally:
        process.kill()
        process.wait()


def _room_of_others(server: Server) -> str:
    peer = server.member("looker")
    found: list[str] = []

    def is_there() -> bool:
        peer.send("rooms")
        rooms = peer.expect("rooms", skip=("joined", "left"))["rooms"]
        found[:] = [entry["room"] for entry in rooms if entry["room"] != "lobby"]
        return bool(found)

    wait_for(is_there, "a room that is talked in")
    peer.close()
    server.peers.remove(peer)
    return found[0]


def type_while_others_talk(seconds: float) -> Typed:
    """Type for so long, a letter at a time, while messages arrive."""
    found = Typed()
    chance = Random(1)
    keys: list[tuple[float, str]] = []
    marks: list[tuple[float, int]] = []
    with room() as server, talkers(server, seconds + PATIENCE) as place:
        typist = Typist(server.address, "--room", place)
        try:
            typist.watch_until(f"[{place}]")
            typist.watch(1.0)
            cpu, begin = typist.cpu(), time.perf_counter()
            while time.perf_counter() < begin + seconds:
                if keys and len(keys) % WORD == 0:
                    typist.type(b"\x15")
                    typist.watch(chance.uniform(*PAUSES))
                letter = chance.choice(LETTERS)
                keys.append((typist.type(letter.encode()), letter))
                typist.watch(chance.uniform(*PAUSES))
                marks.append((time.perf_counter(), typist.writes()))
            end = time.perf_counter()
            found.share = (typist.cpu() - cpu) / (end - begin)
            typist.watch(0.2)
        finally:
            typist.close()
    seen = [data for when, data in typist.written if begin <= when < end]
    found.rows = b"".join(seen).count(b"\r\n") / (end - begin)
    _find(typist.written, keys, found)
    found.draws = max(
        later - earlier
        for number, (start, earlier) in enumerate(marks)
        for end, later in marks[number:]
        if end - start <= 1.0
    )
    return found


def _find(
    written: list[tuple[float, bytes]], keys: list[tuple[float, str]], found: Typed
) -> None:
    """Find each of *keys* in what was *written*."""
    terminal = Emulator(COLUMNS, ROWS)
    shown = 0
    for when, data in written:
        terminal.feed(data)
        # The same letters as of the word: those are on the screen.
        row = terminal.grid[terminal.row].text.removeprefix(PROMPT)
        word = shown - shown % WORD
        if shown and shown % WORD == 0 and len(row) == WORD:
            continue  # It is not cleared yet.
        wanted = "".join(letter for _, letter in keys[word : word + WORD])
        if not row or not wanted.startswith(row):
            continue
        while shown < word + len(row):
            found.late.append(when - keys[shown][0])
            shown += 1
    found.lost = len(keys) - shown
    found.late.sort()


def paste() -> Pasted:
    """Paste far more than can be said, and type on."""
    line = b"lorem ipsum dolor sit amet, consectetur adipisici elit\n"
    text = line * (PASTE // len(line))
    with room() as server:
        typist = Typist(server.address, "--nick", "typist")
        try:
            typist.watch_until("lobby")
            begin = typist.type(b"\x1b[200~" + text + b"\x1b[201~")
            seconds = typist.watch_until("not fit") - begin
            begin = typist.type(b"q")
            next_key = typist.watch_until("q") - begin
            typist.type(b"\r")
            typist.watch_until(">typist<")
            peer = server.peer()
            peer.hello("reader")
            messages = len(peer.history()["messages"])
        finally:
            typist.close()
    return Pasted(seconds, next_key, messages)
