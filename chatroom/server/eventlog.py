"""The server's log: one line an event, and never in the room's way.

Lines are collected and written once a tick, only as far as the descriptor takes them:
a pipe that nobody reads must not stop the room.  At most ``LOG_BACKLOG`` bytes wait;
what was dropped is counted in the next line.  Nothing that a peer sent can forge or
break a line: strings that are not plain are quoted as ASCII JSON.
Must not know: sockets of clients, what an event leads to.

Order of calls: (``event`` any number of times, then ``flush``) each tick; ``close``.
Between ticks it may be given another level, format or file.
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
from math import isfinite

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
        self._clock = clock
        self._lines: list[str] = []
        self._sinks: list[Sink] = []
        self._file: Sink | None = None
        self._stamp = ""
        self.set_form(level, style)

    def set_form(self, level: str, style: str) -> None:
        """Write what is at least of *level*, in *style*, from now on."""
        self.level = LEVELS[level]
        self.info = self.level <= LEVELS["info"]
        """Whether events of every day are written; asked before they are made."""
        self._style = style

    def add_sink(self, sink: Sink) -> None:
        """Write to *sink* too."""
        self._sinks.append(sink)

    def set_file(self, sink: Sink | None) -> None:
        """Write to *sink* instead of the file that was given before, if any was."""
        old, self._file = self._file, sink
        if old is not None:
            # What was noted before belongs there.
            self.flush()
            self._sinks.remove(old)
            if sink is not None:
                sink.take_over(old)
            old.close()
        if sink is not None:
            self._sinks.append(sink)

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
        text = "the log took no more: nobody read it, or the disk was full"
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
        self._notices: list[tuple[int, int]] = []
        """Where in what is pending each notice ends, and how many lines it tells of."""
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
            self._notices.append((len(self._pending), self._dropped))
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
            if self._notices:
                left = ((end - written, count) for end, count in self._notices)
                self._notices = [(end, count) for end, count in left if end > 0]
        return False

    def take_over(self, old: Sink) -> None:
        """Go on where *old*, which is to be closed, has got to.

        What it has not written is written where it is the same file, and else counted.
        """
        mine, other = os.fstat(self._descriptor), os.fstat(old._descriptor)
        if os.path.samestat(mine, other):
            self._pending, self._in_line = old._pending, old._in_line
            self._notices = old._notices
        else:
            old._drop_from(0)
        self._dropped += old._dropped

    def close(self) -> None:
        """Give back what was opened."""
        if self._descriptor > 2:
            os.close(self._descriptor)
            self._descriptor = -1

    def _drop_pending(self) -> None:
        """Closed, full, failing: the room goes on, and the lines are counted."""
        self._drop_from(self._pending.find(b"\n") + 1 if self._in_line else 0)

    def _drop_from(self, start: int) -> None:
        """Drop what is pending from *start* on, and count it."""
        self._dropped += self._pending.count(b"\n", start)
        # A notice is no line of its own, but those that it was to tell of are.
        lost = [count - 1 for end, count in self._notices if end > start]
        self._dropped += sum(lost)
        self._notices = [notice for notice in self._notices if notice[0] <= start]
        del self._pending[start:]

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


def open_sink(path: str) -> Sink:
    """Return a sink that appends to the file *path*; raises ``StartError``."""
    # O_NONBLOCK: a FIFO without a reader would hold us up here.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return Sink(os.open(path, flags, 0o640))
    except OSError as error:
        raise _cannot_write(path, error.errno) from None


def check_file(path: str) -> None:
    """Raise the ``StartError`` of ``open_sink`` where it can be told beforehand."""
    real = os.path.realpath(path)
    folder = os.path.dirname(real)
    try:
        os.stat(os.path.join(folder, "."))
    except OSError as error:
        raise _cannot_write(path, error.errno) from None
    if os.path.isdir(real):
        raise _cannot_write(path, errno.EISDIR)
    if not os.access(real if os.path.exists(real) else folder, os.W_OK):
        raise _cannot_write(path, errno.EACCES)


def _cannot_write(path: str, number: int | None) -> StartError:
    why = os.strerror(number or 0)
    return StartError(f"cannot write the log file {path!a}: {why}")


def _as_text(value: Value) -> str:
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else _quote(value)
    return _as_json(value)


def _as_json(value: Value) -> str:
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not isfinite(value):
        return "null"  # JSON has no word for it.
    return str(value)
