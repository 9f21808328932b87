"""A terminal: the line being typed stays whole while messages arrive above it.

Whatever a tick brings is written at its end in one piece: hide the line, print, show
the line again.  The terminal's own settings are taken at ``open`` and given back at
``close``, which the application calls on every way out; while it is stopped by Ctrl-Z
they are given back too.  Must not know: frames, what a line means.  Neither descriptor
is ever made non-blocking: both are the shell's as well.
"""

from __future__ import annotations

import os
import signal
import termios
from contextlib import suppress
from typing import Any

from chatroom.client.editor import Editor, Entered, TooMuch, Wish
from chatroom.client.face import Owner, write_all
from chatroom.client.glyphs import clean, cluster_width, graphemes, text_width
from chatroom.client.keys import ESCAPE_TIME, Key, KeyReader
from chatroom.client.recall import Recall
from chatroom.net.loop import READ, Loop, Timer

READ_SIZE = 65536
"""Bytes taken at once, so that a paste does not keep the network waiting."""
DEFAULT_COLUMNS = 80
CLEAR_TO_END = "\x1b[K"

_INPUT, _LOCAL, _CONTROL = 0, 3, 6  # Where they are in what tcgetattr gives.


class Terminal:
    """A face on two descriptors of a terminal."""

    interactive = True

    def __init__(
        self, loop: Loop, owner: Owner, descriptors: tuple[int, int] = (0, 1)
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._stdin, self._stdout = descriptors
        self._reader = KeyReader()
        self._escape_timer: Timer | None = None
        self._recall = Recall()
        self._editor = Editor(self._recall)
        self._settings: list[Any] | None = None
        """The terminal's settings as they were; ``None`` while they are in force."""
        self._listening = False
        self._lines: list[str] = []
        self._prompt = ""
        self._secret = False
        """Whether the line being typed is not to be seen."""
        self._row: str | None = ""
        """What the terminal shows of the line; ``None``: nobody knows."""
        loop.on_tick_end.append(self._draw)

    def open(self) -> None:
        """Take the terminal over."""
        if self._settings is not None:
            return
        try:
            self._settings = termios.tcgetattr(self._stdin)
        except termios.error:
            # It has gone meanwhile.
            self._owner.input_ended()
            return
        self._take_over()
        self._loop.on_signal(signal.SIGWINCH, self._forget_row)
        self._loop.on_signal(signal.SIGCONT, self._take_over)
        self.listen(True)

    def close(self) -> None:
        """Print what waits, take the line away and give the terminal back."""
        self.listen(False)
        if self._escape_timer is not None:
            self._escape_timer.cancel()
            self._escape_timer = None
        self._prompt = ""
        self._editor = Editor(self._recall)
        try:
            self._draw()
        finally:
            self._give_back()
            self._settings = None
            if self._draw in self._loop.on_tick_end:
                self._loop.on_tick_end.remove(self._draw)

    def flush(self) -> None:
        """Nothing: a terminal takes what it is given."""

    # -- output ---------------------------------------------------------------

    def show(self, lines: list[str], speech: bool) -> None:
        """Print *lines* above the line being typed, at the end of the tick."""
        self._lines += lines

    def prompt(self, text: str, secret: bool = False) -> None:
        """Show *text* before the line; nothing else where that is *secret*."""
        if secret or self._secret:
            # What is secret is remembered nowhere.
            self._editor = Editor(Recall() if secret else self._recall)
            self._editor.clear()
        self._prompt, self._secret = text, secret

    def _draw(self) -> None:
        row = ""
        if self._settings is not None:
            text = "" if self._secret else self._editor.text
            prompt = self._editor.label or self._prompt
            row = view(prompt, text, self._editor.cursor, self._columns())
        if not self._lines and row == self._row:
            return
        if self._lines:
            hide = "" if self._row == "" else f"\r{CLEAR_TO_END}"
            screen = hide + "".join(f"{line}\n" for line in self._lines) + row
        else:
            # Written over itself it does not flicker.
            line, back, move = row.partition("\x1b")
            screen = f"\r{line}{CLEAR_TO_END}{back}{move}"
        self._lines.clear()
        self._row = row
        try:
            write_all(self._stdout, screen.encode(errors="replace"))
        except OSError as error:
            self._owner.output_failed(error)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stdout).columns or DEFAULT_COLUMNS
        except OSError:
            return DEFAULT_COLUMNS

    def _forget_row(self) -> None:
        self._row = None

    # -- input ----------------------------------------------------------------

    def listen(self, on: bool) -> None:
        """Take keys, or leave them in the terminal."""
        if on == self._listening or (on and self._settings is None):
            return
        self._listening = on
        if on:
            self._loop.watch(self._stdin, READ, self)
        else:
            self._loop.unwatch(self._stdin)

    def ready(self, mask: int) -> None:
        """There are keys: called by the loop."""
        if not self._listening:
            return
        try:
            data = os.read(self._stdin, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # The terminal has gone.
            self.listen(False)
            self._owner.input_ended()
            return
        self._press(self._reader.feed(data))
        if self._escape_timer is not None:
            self._escape_timer.cancel()
            self._escape_timer = None
        if self._reader.waiting:
            self._escape_timer = self._loop.call_later(ESCAPE_TIME, self._time_out)

    def _time_out(self) -> None:
        self._escape_timer = None
        self._press(self._reader.time_out())

    def _press(self, keys: list[Key]) -> None:
        for key in keys:
            for event in self._editor.press(key):
                if isinstance(event, Entered):
                    self._owner.entered(event.text)
                elif isinstance(event, TooMuch):
                    self._lines.append(f"*** {event.reason}")
                elif event is Wish.SUSPEND:
                    self._suspend()
                elif event in (Wish.INTERRUPT, Wish.END):
                    self._owner.leave()
                elif event is Wish.REDRAW:
                    self._forget_row()

    def failed(self, error: Exception) -> None:
        """``ready`` has raised *error*."""
        self._owner.crash(error)

    # -- whose terminal it is -------------------------------------------------

    def _take_over(self) -> None:
        """Have keys come one by one, unseen; also after the shell had it."""
        self._forget_row()
        if self._settings is None:
            return
        mode = self._settings.copy()
        # Enter still comes as a newline.  Ctrl-S would stop the output, and with it
        # the answers to the server's pings.
        mode[_INPUT] &= ~(termios.IXON | termios.ISTRIP)
        mode[_LOCAL] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[_CONTROL] = mode[_CONTROL].copy()
        mode[_CONTROL][termios.VMIN] = 1
        mode[_CONTROL][termios.VTIME] = 0
        self._set(mode)

    def _give_back(self) -> None:
        if self._settings is not None:
            # What was typed of a secret is not for the shell, nor for its screen.
            when = termios.TCSAFLUSH if self._secret else termios.TCSANOW
            self._set(self._settings, when)

    def _set(self, mode: list[Any], when: int = termios.TCSANOW) -> None:
        # termios.error is not an OSError.  It means that the terminal has gone.
        with suppress(termios.error):
            termios.tcsetattr(self._stdin, when, mode)

    def _suspend(self) -> None:
        """Stop as Ctrl-Z does elsewhere: with all that the shell has started as one."""
        with suppress(OSError):
            write_all(self._stdout, f"\r{CLEAR_TO_END}".encode())
        self._give_back()
        os.kill(0, signal.SIGTSTP)
        self._take_over()


def view(prompt: str, text: str, cursor: int, columns: int) -> str:
    """Return the row that shows *prompt* and *text*, and takes the cursor to its place.

    It is narrower than *columns*, as a full row wraps.  Where not all fits, the end of
    what stands before the cursor stays in sight, behind a ``<``; the prompt gives way
    before the line.
    """
    before, behind = clean(text[:cursor]), clean(text[cursor:])
    space = max(columns - 1, 0)
    if text_width(prompt) + text_width(before) > space:
        prompt = _tail(prompt, space // 2)
        space -= text_width(prompt)
        if text_width(before) > space:
            before = f"<{_tail(before, space - 1)}" if space else ""
        space += text_width(prompt)
    space -= text_width(prompt + before)
    shown = ""
    for cluster in graphemes(behind):
        space -= cluster_width(cluster)
        if space < 0:
            break
        shown += cluster
    back = f"\x1b[{text_width(shown)}D" if shown else ""
    return f"{prompt}{before}{shown}{back}"


def _tail(text: str, columns: int) -> str:
    """Return as much of the end of *text* as fits into *columns*."""
    start = len(text)
    for cluster in reversed(graphemes(text)):
        columns -= cluster_width(cluster)
        if columns < 0:
            break
        start -= len(cluster)
    return text[start:]
