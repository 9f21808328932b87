"""Lines in and lines out, for pipes, files and terminals that can do nothing else.

Messages go to stdout, news to stderr.  What a reader does not take waits here, up to a
limit beyond which the network waits too; nothing is dropped.  Input is read only while
the application listens, so that nobody who pipes a book in fills the memory.
Must not know: frames, what a line means.  None of the descriptors is ever made
non-blocking: they are shared with whoever started this program.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from chatroom.client.face import Owner, write_all
from chatroom.client.lines import Line
from chatroom.client.status import Status
from chatroom.core.text import MAX_TEXT
from chatroom.net.loop import READ, WRITE, Loop

READ_SIZE = 65536
PIPE_BUF = 4096
"""Bytes that a pipe takes without blocking when it is ready, on Linux."""
MAX_WAITING = 1024 * 1024
"""Bytes of output that wait for their reader before the network has to."""
MAX_LINE_BYTES = 4 * MAX_TEXT + 1
"""No text of the longest kind is longer in UTF-8, a carriage return included."""
BELL = b"\a"

_LOCAL = 3  # Where it is in what tcgetattr gives.


@dataclass(slots=True)
class Unreadable:
    """A line that cannot be said, and why."""

    reason: str


def no_objection(line: str) -> None:
    """Let every line pass."""


class LineSplitter:
    """Bytes to lines, however they are cut.  Only LF ends a line; CR LF does too.

    *longest*: bytes of a line, a carriage return included; *too_long* is what is said
    of others.  *objection* returns what is wrong with a line, if anything.
    """

    def __init__(
        self,
        longest: int = MAX_LINE_BYTES,
        too_long: str = f"is longer than {MAX_TEXT} characters and is not said",
        objection: Callable[[str], str | None] = no_objection,
    ) -> None:
        self._longest = longest
        self._too_long_words = too_long
        self._objection = objection
        self._held = bytearray()
        self._too_long = False
        self._number = 0

    def feed(self, data: bytes) -> list[str | Unreadable]:
        """Return the lines that *data* completes."""
        *ends, rest = data.split(b"\n")
        lines = []
        for end in ends:
            self._hold(end)
            lines.append(self._line())
        self._hold(rest)
        return lines

    def finish(self) -> list[str | Unreadable]:
        """Return the last line, where no LF ends it."""
        return [self._line()] if self._held or self._too_long else []

    def _hold(self, data: bytes) -> None:
        if not self._too_long:
            self._held += data
            if len(self._held) > self._longest:
                self._too_long = True
                self._held.clear()

    def _line(self) -> str | Unreadable:
        self._number += 1
        raw, self._held = self._held.removesuffix(b"\r"), bytearray()
        if self._too_long:
            self._too_long = False
            return self._unreadable(self._too_long_words)
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            return self._unreadable("is not UTF-8 and is not said")
        wrong = self._objection(line)
        return line if wrong is None else self._unreadable(wrong)

    def _unreadable(self, reason: str) -> Unreadable:
        return Unreadable(f"line {self._number} {reason}")


class Output:
    """A descriptor to write to without waiting for it, and what it has not taken.

    *filling* is told when more than ``MAX_WAITING`` waits, and when all is gone again;
    *failed* once, when nothing can be written any more.
    """

    def __init__(
        self,
        loop: Loop,
        descriptor: int,
        filling: Callable[[bool], None],
        failed: Callable[[OSError], None],
        crash: Callable[[Exception], None],
    ) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._filling = filling
        self._on_failure = failed
        self.failed = crash
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._waiting = bytearray()
        self._full = False
        self._watching = False
        self._broken = False

    def write(self, data: bytes) -> None:
        """Write *data* as far as it is taken, and hold the rest."""
        if self._broken:
            return
        self._waiting += data
        self.pump()
        if len(self._waiting) > MAX_WAITING and not self._full:
            self._full = True
            self._filling(True)

    def ready(self, mask: int) -> None:
        """It takes more: called by the loop."""
        self.pump()

    def pump(self) -> None:
        """Write what is taken at once."""
        while self._waiting and self._poll.poll(0):
            try:
                written = os.write(self._descriptor, self._waiting[:PIPE_BUF])
            except BlockingIOError:
                break
            except OSError as error:
                self._break(error)
                return
            del self._waiting[:written]
        self._watch(bool(self._waiting))
        if self._full and not self._waiting:
            self._full = False
            self._filling(False)

    def close(self) -> None:
        """Write what is taken at once, and use the loop no more."""
        self.pump()
        self._watch(False)

    def flush(self) -> None:
        """Write what waits, however long it takes."""
        try:
            write_all(self._descriptor, self._waiting)
        except OSError:
            pass  # The reader has gone, and does not miss it.
        self._waiting.clear()

    def _watch(self, on: bool) -> None:
        if on == self._watching:
            return
        if on:
            # What cannot be watched, a file, never makes anybody wait.
            self._loop.watch(self._descriptor, WRITE, self)
        else:
            self._loop.unwatch(self._descriptor)
        self._watching = on

    def _break(self, error: OSError) -> None:
        self._broken = True
        self._waiting.clear()
        self._watch(False)
        self._on_failure(error)


class Plain:
    """A face of plain files.  *interactive*: stdin is a terminal all the same."""

    def __init__(
        self,
        loop: Loop,
        owner: Owner,
        interactive: bool,
        descriptors: tuple[int, int, int] = (0, 1, 2),
        lines: LineSplitter | None = None,
    ) -> None:
        self.interactive = interactive
        self._loop = loop
        self._owner = owner
        self._stdin, stdout, stderr = descriptors
        self._can_ring = interactive and os.isatty(stdout)
        self._lines = lines or LineSplitter()
        self._listening = False
        self._watching = False
        self._ended = False
        self._objected: str | None = None
        """The last line, where it was better not said."""
        self._settings: list[Any] | None = None
        """The terminal's settings as they were, while it does not show what is
        typed."""
        self._out = Output(
            loop, stdout, owner.hold_back, owner.output_failed, owner.crash
        )
        self._err = self._out
        if not _same_file(stdout, stderr):
            # Where news go nowhere, the messages still go out.
            self._err = Output(
                loop, stderr, lambda on: None, lambda error: None, owner.crash
            )

    # -- output ---------------------------------------------------------------

    def show(self, lines: list[Line], speech: bool) -> None:
        """Write *lines* to stdout where they are *speech*, else to stderr."""
        data = "".join(f"{line.text}\n" for line in lines).encode(errors="replace")
        (self._out if speech else self._err).write(data)

    def status(self, status: Status) -> None:
        """Nothing: there is no place for it that stays in sight."""

    def bell(self) -> None:
        """Ring behind what is written, where a terminal takes it and a person types."""
        if self._can_ring:
            self._out.write(BELL)

    def prompt(self, text: str, secret: bool = False) -> None:
        """Nothing, as a prompt is no line; but what is *secret* has to be asked for."""
        if not secret:
            self._reveal()
        elif self.interactive:
            self._conceal()
            self._err.write(text.encode(errors="replace"))

    def _conceal(self) -> None:
        """Have the terminal show nothing of what is typed."""
        import termios  # A pipe needs none.

        if self._settings is None:
            try:
                self._settings = termios.tcgetattr(self._stdin)
            except termios.error:
                return  # It has gone meanwhile, which is seen when it is read.
            # Who stops us and goes on finds the terminal as the shell left it.
            self._loop.on_signal(signal.SIGCONT, self._conceal_again)
        self._conceal_again()

    def _conceal_again(self) -> None:
        if self._settings is None:
            return
        import termios

        mode = self._settings.copy()
        mode[_LOCAL] = mode[_LOCAL] & ~termios.ECHO | termios.ECHONL
        self._set(mode)

    def _reveal(self) -> None:
        if self._settings is not None:
            self._set(self._settings)
            self._settings = None

    def _set(self, mode: list[Any]) -> None:
        import termios

        # What was typed before is no answer, and what was typed unseen stays so.
        with suppress(termios.error):
            termios.tcsetattr(self._stdin, termios.TCSAFLUSH, mode)

    # -- input ----------------------------------------------------------------

    def open(self) -> None:
        """Begin to read."""
        self.listen(True)

    def listen(self, on: bool) -> None:
        """Read, or leave the input where it is."""
        on = on and not self._ended
        if on == self._listening:
            return
        self._listening = on
        if not on:
            self._unwatch()
            return
        try:
            self._loop.watch(self._stdin, READ, self)
            self._watching = True
        except OSError:
            # A file or /dev/null: epoll refuses it, as it is always ready.
            self._loop.call_soon(self._read_always_ready)

    def ready(self, mask: int) -> None:
        """There is input: called by the loop."""
        if self._listening:
            self._read()

    def failed(self, error: Exception) -> None:
        """``ready`` has raised *error*."""
        self._owner.crash(error)

    def _read_always_ready(self) -> None:
        if self._listening and not self._watching:
            self._read()
        if self._listening and not self._watching:
            self._loop.call_soon(self._read_always_ready)

    def _read(self) -> None:
        try:
            data = os.read(self._stdin, READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            # A directory, a terminal that has gone.
            self._owner.unreadable(f"cannot read the input: {error.strerror}")
            data = b""
        if data:
            self._tell(self._lines.feed(data))
            return
        self._ended = True
        self.listen(False)
        self._tell(self._lines.finish())
        self._owner.input_ended()

    def _tell(self, lines: list[str | Unreadable]) -> None:
        for line in lines:
            if isinstance(line, Unreadable):
                self._owner.unreadable(line.reason)
            else:
                self._enter(line)

    def _enter(self, line: str) -> None:
        insists = line == self._objected or not self.interactive
        self._objected = None
        why = None if insists else self._owner.objection(line)
        if why is None:
            self._owner.entered(line)
        else:
            self._objected = line
            self._owner.unreadable(why)

    def _unwatch(self) -> None:
        if self._watching:
            self._loop.unwatch(self._stdin)
            self._watching = False

    def close(self) -> None:
        """Write what is taken at once, and use the loop no more."""
        self._reveal()
        self.listen(False)
        for output in (self._out, self._err):
            output.close()

    def flush(self) -> None:
        """Wait for the readers."""
        for output in (self._out, self._err):
            output.flush()


def _same_file(one: int, other: int) -> bool:
    """Tell whether two descriptors write to the same place, and so in one order."""
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False
