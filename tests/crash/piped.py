"""The client that users run, in a pipe, as one of the company.

``Piped`` is ``bin/chat-client --json``, a process of its own.  Lines are fed to its
stdin over time, and what it prints is written down, an object a line, *before* it is
looked at: ``{"event": "line"}`` for what was fed, ``{"event": "printed"}`` for a frame,
``{"event": "exit"}`` for its end.  ``checker.py`` reads nothing else of it.

Like a proxy it is served beside the recorders: it has a selector of its own, whose
``fileno`` a loop watches, and does what is to be done at each ``turn``.
"""

import json
import os
import random
import selectors
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.crash.recorder import Line

ROOT = Path(__file__).resolve().parents[2]
GIVE_UP = 300
"""Seconds that the client tries to come back: no scene keeps it out for so long."""
PATIENCE = 15.0
"""Seconds for its process to be gone once it is killed."""

PRINTS_TWICE = "prints a message again that it has printed"
PRINTS_LESS = "prints one message less"
PRINTS_ANOTHER = "prints a message otherwise than it was said"
SAYS_TWICE = "says a line again that it has said"
SAYS_LESS = "says one line less"
FAULTS = (PRINTS_TWICE, PRINTS_LESS, PRINTS_ANOTHER, SAYS_TWICE, SAYS_LESS)
"""What can be done to its lines on their way, so that the checker is checked."""
FAULTY = 3
"""The line that it is done to."""


class Piped:
    """One such client, what it is fed and what it prints.

    *script* gives what it says, in order, as far as a pipe can say it; *pace* is the
    mean seconds between two lines.
    """

    def __init__(
        self,
        nick: str,
        room: str,
        address: tuple[str, int],
        folder: Path,
        *,
        seed: int = 0,
        script: Iterable[Line] = (),
        pace: float = 0.1,
        fault: str = "",
    ) -> None:
        self.nick = nick
        self.room = room
        self.address = address
        self.path = folder / f"{nick}.jsonl"
        self.connects = 0
        """How often it was let in."""
        self.joined = False
        """Whether it was ever in its room."""
        self.talks = True
        """Set it to ``False``, and it is fed nothing new."""
        self.code: int | None = None
        self.last_line = f"the last of {nick}"
        self._errors = folder / f"{nick}.err"
        self._record = self.path.open("ab", buffering=0)
        self._chance = random.Random(seed)
        self._script = (line for line in script if line.kind == "say")
        self._pace = pace
        self._fault = fault
        self._fed = 0
        self._printed = 0
        self._heard: set[str] = set()
        self._next_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._selector = selectors.DefaultSelector()
        self._incoming = b""
        self._outgoing = bytearray()
        self._ends = False
        self._write("client", nick=nick, room=room)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- what a test asks of it -----------------------------------------------

    def start(self) -> None:
        """Start it; a server listens already, or it would give up at once."""
        host, port = self.address
        program = str(ROOT / "bin" / "chat-client")
        with self._errors.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, program, f"{host}:{port}", "--json"]
                + ["--nick", self.nick, "--room", self.room]
                + ["--give-up", str(GIVE_UP)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for pipe in (self._process.stdin, self._process.stdout):
            os.set_blocking(pipe.fileno(), False)
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.code is not None

    def heard(self, text: str) -> bool:
        """Whether it has printed a message of this text, or prints nothing more."""
        return self.over or text in self._heard

    def feed(self, text: str) -> None:
        """Give it a line to say, such as it was never given before."""
        self._fed += 1
        self._write("line", text=text)
        faulty = self._fault if self._fed == FAULTY else ""
        times = {SAYS_TWICE: 2, SAYS_LESS: 0}.get(faulty, 1)
        self._outgoing += f"{text}\n".encode() * times
        self._flush()

    def say_last(self) -> None:
        """Feed it its last line."""
        self.talks = False
        self.feed(self.last_line)

    def end_input(self) -> None:
        """Let it leave by itself, as there is nothing more to read."""
        self._ends = True
        self._write("eof")
        self._flush()

    def errors(self) -> str:
        """What it said on stderr."""
        return self._errors.read_text(encoding="utf-8", errors="backslashreplace")

    def close(self) -> None:
        """End it, if it still runs, and close the record."""
        if self._record.closed:
            return
        process = self._process
        if process is not None:
            # As soon as it is killed its record has no end, and is not taken for whole.
            process.kill()
            process.wait(PATIENCE)
            assert process.stdin is not None
            assert process.stdout is not None
            self._outgoing.clear()
            process.stdin.close()
            process.stdout.close()
        self._selector.close()
        self._record.close()

    def _write(self, event: str, **about: object) -> None:
        line = {"event": event, **about}
        self._record.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    # -- beside the recorders -------------------------------------------------

    def fileno(self) -> int:
        """Readable whenever a ``turn`` would move something."""
        return self._selector.fileno()

    def next_due(self) -> float:
        """When it is to be fed again (``time.monotonic``)."""
        return self._next_at if self.joined and self.talks else float("inf")

    def turn(self, timeout: float = 0.0) -> None:
        """Take in what it prints, and feed it what is due."""
        for key, events in self._selector.select(timeout):
            if events & selectors.EVENT_READ:
                self._read()
            elif key.fd in self._selector.get_map():
                self._flush()
        now = time.monotonic()
        if now >= self.next_due() and not self.over:
            line = next(self._script, None)
            if line is None:
                self.talks = False
                return
            self._next_at = now + self._chance.expovariate(1 / self._pace)
            self.feed(line.text.rstrip("\n"))

    # -- its stdin ------------------------------------------------------------

    def _flush(self) -> None:
        assert self._process is not None
        stdin = self._process.stdin
        assert stdin is not None
        if stdin.closed:
            return
        if self._outgoing:
            try:
                del self._outgoing[: os.write(stdin.fileno(), self._outgoing)]
            except BlockingIOError:
                pass
            except BrokenPipeError:
                # It has ended; its exit code tells how.
                self._outgoing.clear()
        watched = stdin in self._selector.get_map()
        if self._outgoing and not watched:
            self._selector.register(stdin, selectors.EVENT_WRITE)
        elif watched and not self._outgoing:
            self._selector.unregister(stdin)
        if self._ends and not self._outgoing:
            stdin.close()

    # -- its stdout -----------------------------------------------------------

    def _read(self) -> None:
        assert self._process is not None
        stdout = self._process.stdout
        assert stdout is not None
        data = os.read(stdout.fileno(), 1 << 16)
        if not data:
            self._selector.unregister(stdout)
            self._ended()
            return
        *lines, self._incoming = (self._incoming + data).split(b"\n")
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            frame = json.loads(line)
            kind = frame["type"]
        except (ValueError, KeyError, TypeError):
            self._write("garbled", what=repr(line[:60]))
            return
        times = 1
        if kind == "message":
            self._printed += 1
            if self._printed == FAULTY:
                times = {PRINTS_TWICE: 2, PRINTS_LESS: 0}.get(self._fault, 1)
                if self._fault == PRINTS_ANOTHER:
                    frame["text"] += "!"
        for _ in range(times):
            self._write("printed", frame=frame)
        self._look_at(kind, frame)

    def _look_at(self, kind: str, frame: dict[str, Any]) -> None:
        if kind == "welcome":
            self.connects += 1
        elif kind == "room":
            self.joined = True
        elif kind == "message":
            self._heard.add(frame["text"])

    def _ended(self) -> None:
        assert self._process is not None
        if self._incoming:
            self._write("garbled", what=f"no end of a line: {self._incoming[:60]!r}")
        # Its stdout is closed by its end alone.
        self.code = self._process.wait(PATIENCE)
        self._write("exit", code=self.code)
