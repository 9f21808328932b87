"""The server's log: one line an event, and never in the room's way.

Lines are collected and written once a tick, only as far as the descriptor takes them:
a pipe that nobody reads must not stop the room.  At most ``LOG_BACKLOG`` bytes wait;
what was dropped is counted in the next line.  Nothing that a peer sent can forge or
break a line: strings that are not plain are quoted as ASCII JSON.
Must not know: sockets of clients, what an event leads to.

Order of calls: (``event`` any number of times, then ``flush``) each tick; ``close``.
"""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import stat
import time
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as _quote

from chatroom.config import LOG_BACKLOG
from chatroom.errors import StartError

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
LINES_AT_ONCE = 1000
SAFE_PIPE_WRITE = 512
"""Bytes that a pipe or terminal that polls as writable takes without blocking."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:/+\[\]@-]+")

NEWLINE = ord("\n")
Value = str | int | float | bool


class EventLog:
    """Levels, format and sinks of the log.

    *clock* gives wall time in seconds since the epoch; it is only shown.
    """

    def __init__(
        self,
        level: str = "info",
        style: str = "text",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.level = LEVELS[level]
        self.info = self.level <= LEVELS["info"]
        """Whether events of every day are written; asked before they are made."""
        self._style = style
        self._clock = clock
        self._lines: list[str] = []
        self._sinks: list[Sink] = []
        self._files: list[tuple[str, Sink]] = []
        self._stamp = ""

    def add_sink(self, sink: Sink) -> None:
        """Write to *sink* too."""
        self._sinks.append(sink)

    def add_file(self, path: str) -> None:
        """Append to the file *path* too; raises ``StartError`` where that cannot be."""
        sink = Sink(_open_file(path))
        self._files.append((path, sink))
        self._sinks.append(sink)

    def reopen(self) -> None:
        """Open the files anew: somebody has moved them away."""
        for place, (path, old) in enumerate(self._files):
            try:
                sink = Sink(_open_file(path))
            except StartError as error:
                self.event("error", "log", text=str(error))
                continue
            self._sinks[self._sinks.index(old)] = sink
            self._files[place] = (path, sink)
            old.close()

    def event(self, level: str, name: str, **about: Value | None) -> None:
        """Note the event *name*; fields that are ``None`` are left out."""
        if LEVELS[level] < self.level:
            return
        stamp = self._stamp or self._new_stamp()
        if self._style == "json":
            head = f'{{"time":"{stamp}","level":"{level}","event":"{name}"'
            parts = [
                f',"{key}":{_as_json(v)}' for key, v in about.items() if v is not None
            ]
            self._lines.append(f"{head}{''.join(parts)}}}\n")
        else:
            parts = [
                f" {key}={_as_text(v)}" for key, v in about.items() if v is not None
            ]
            self._lines.append(f"{stamp} {level} {name}{''.join(parts)}\n")

    def message(
        self, address: str, nick: str, room: str, number: int, text: str
    ) -> None:
        """Note a message: ``event`` for the one event that comes by the thousand."""
        stamp = self._stamp or self._new_stamp()
        if self._style == "json":
            line = (
                f'{{"time":"{stamp}","level":"info","event":"message",'
                f'"address":"{address}","nick":{_quote(nick)},"room":"{room}",'
                f'"id":{number},"text":{_quote(text)}}}\n'
            )
        else:
            shown = nick if nick.isascii() else _quote(nick)
            line = (
                f"{stamp} info message address={address} nick={shown} room={room} "
                f"id={number} text={_quote(text)}\n"
            )
        self._lines.append(line)

    def flush(self) -> bool:
        """Write what has been noted; tell whether something still waits."""
        self._stamp = ""
        if self._lines:
            lines, self._lines = self._lines, []
            # In pieces: only what a sink does not take now counts for its backlog.
            for first in range(0, len(lines), LINES_AT_ONCE):
                piece = lines[first : first + LINES_AT_ONCE]
                data = "".join(piece).encode("ascii", "backslashreplace")
                for sink in self._sinks:
                    sink.write(data, len(piece), self._dropped_line)
                    sink.flush()
        waiting = False
        for sink in self._sinks:
            waiting |= sink.flush()
        return waiting

    def close(self) -> None:
        """Write what can be written now, and give the sinks back."""
        self.flush()
        for sink in self._sinks:
            sink.close()

    def _dropped_line(self, count: int) -> bytes:
        held, self._lines = self._lines, []
        text = "nobody was reading the log"
        self.event("error", "dropped", lines=count, text=text)
        made, self._lines = self._lines, held
        self._stamp = ""
        return "".join(made).encode()

    def _new_stamp(self) -> str:
        self._stamp = utc(int(self._clock() * 1000))
        return self._stamp


class Sink:
    """A descriptor that is written to without ever waiting for it.

    It owns *descriptor* where that is above 2.  ``O_NONBLOCK`` is not set on it: the
    flag would be shared with whoever else has the same file open, the shell included.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending = bytearray()
        self._dropped = 0
        self._in_line = False
        """Whether the last line was written in part: its rest has to follow."""
        self._write = self._choose()

    def write(self, data: bytes, lines: int, notice: Callable[[int], bytes]) -> None:
        """Hold *data*, which is so many whole *lines*, or drop all of it.

        *notice* makes the line that tells how many were dropped before.
        """
        if len(self._pending) + len(data) > LOG_BACKLOG:
            self._dropped += lines
            return
        if self._dropped:
            self._pending += notice(self._dropped)
            self._dropped = 0
        self._pending += data

    def flush(self) -> bool:
        """Write as much as is taken now; tell whether something still waits."""
        while self._pending:
            try:
                written = self._write(self._pending)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EINTR):
                    return True
                self._drop_pending()
                return False
            if not written:
                return True
            self._in_line = self._pending[written - 1] != NEWLINE
            del self._pending[:written]
        return False

    def close(self) -> None:
        """Give back what was opened."""
        if self._descriptor > 2:
            os.close(self._descriptor)
            self._descriptor = -1

    def _drop_pending(self) -> None:
        """Closed, full, failing: the room goes on, and the lines are counted."""
        rest = self._pending.find(b"\n") + 1 if self._in_line else 0
        self._dropped += self._pending.count(b"\n", rest)
        del self._pending[rest:]

    def _choose(self) -> Callable[[bytearray], int]:
        mode = os.fstat(self._descriptor).st_mode
        if stat.S_ISSOCK(mode):
            return self._write_socket
        if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
            return self._write_file
        # A description of our own may be non-blocking.  Only Linux gives one.
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC
        try:
            own = os.open(f"/proc/self/fd/{self._descriptor}", flags)
        except OSError:
            return self._write_polled
        self.close()
        self._descriptor = own
        return self._write_file

    def _write_file(self, data: bytearray) -> int:
        return os.write(self._descriptor, data)

    def _write_socket(self, data: bytearray) -> int:
        borrowed = socket.socket(fileno=self._descriptor)
        try:
            return borrowed.send(data, socket.MSG_DONTWAIT)
        finally:
            borrowed.detach()

    def _write_polled(self, data: bytearray) -> int:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(0):
            return 0
        return os.write(self._descriptor, data[:SAFE_PIPE_WRITE])


def utc(milliseconds: int) -> str:
    """Return *milliseconds* since the epoch as a time of the log."""
    whole, rest = divmod(milliseconds, 1000)
    shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{shown}.{rest:03d}Z"


def _open_file(path: str) -> int:
    # O_NONBLOCK: a FIFO without a reader would hold us up here.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags, 0o640)
    except OSError as error:
        raise StartError(
            f"cannot write the log file {path}: {error.strerror}"
        ) from None


def _as_text(value: Value) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else _quote(value)
    return _as_json(value)


def _as_json(value: Value) -> str:
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
