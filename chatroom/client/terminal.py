"""A terminal: the text being typed stays whole while messages arrive above it.

What is to be shown is drawn at the end of a tick, in one piece.  A key is drawn at
once, or soon where there are many; news wait a little longer, so that a crowd that
talks does not keep the terminal busy.  The terminal's own settings are taken at
``open`` and given back at ``close``, which the application calls on every way out;
while it is stopped by Ctrl-Z they are given back too.  Must not know: frames, what a
line means.  Neither descriptor is ever made non-blocking: both are the shell's as well.
"""

from __future__ import annotations

import os
import signal
import termios
from contextlib import suppress
from typing import Any

from chatroom.client.dialog import Dialog
from chatroom.client.editor import Wish
from chatroom.client.face import Owner, write_all
from chatroom.client.keys import Key, KeyReader
from chatroom.client.line_history import LineHistory
from chatroom.client.lines import Line, Paint
from chatroom.client.screen import Area, Screen
from chatroom.client.status import Status
from chatroom.net.loop import READ, Loop, Timer

READ_SIZE = 65536
"""Bytes taken at once, so that a paste does not keep the network waiting."""
DEFAULT_SIZE = 80, 24
LINES_AT_ONCE = 500
"""Lines that are made ready for the terminal before it has to take them."""
KEY_INTERVAL = 1 / 30
"""Seconds from one draw for a key to the next: nobody sees more."""
NEWS_INTERVAL = 1 / 15
"""Seconds from any draw to one without a key.  Both kinds together so are never more
than 30 a second, and a key never waits for news."""
AWAY_TIME = 300.0
"""Seconds without a key after which nobody is there."""

BELL = "\a"
TAKE = "\x1b[?2004h\x1b[?1004h"
"""Have the terminal mark what is pasted, and tell whether its window has the focus."""
GIVE_BACK = "\x1b[?1004l\x1b[?2004l\x1b[?25h"
"""As it was; and with a cursor, whatever happened in the middle of a draw."""

_GOES = frozenset((Wish.AWAY, Wish.SUSPEND))
"""What a user wishes who reads no further."""
_INPUT, _LOCAL, _CONTROL = 0, 3, 6  # Where they are in what tcgetattr gives.


class Terminal:
    """A face on two descriptors of a terminal; *history* is what was typed before."""

    interactive = True

    def __init__(
        self,
        loop: Loop,
        owner: Owner,
        paint: Paint = Paint.NONE,
        descriptors: tuple[int, int] = (0, 1),
        history: LineHistory | None = None,
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._stdin, self._stdout = descriptors
        self._dialog = Dialog(owner, history)
        self._keys = KeyReader()
        self._settings: list[Any] | None = None
        """The terminal's settings as they were; ``None`` while they are in force."""
        self._listening = False
        self._here = True
        """Whether somebody seems to read."""
        self._last_key = loop.now
        self._screen = Screen(*self._size(), paint)
        self._lines: list[Line] = []
        self._status: Status | None = None
        self._rings = False
        self._pace = _Pace()
        self._draw_timer: Timer | None = None
        self._key_timer: Timer | None = None
        self._away_timer: Timer | None = None
        loop.on_tick_end.append(self._draw_when_due)

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
        self._dialog.open()
        self._take_over()
        self._loop.on_signal(signal.SIGWINCH, self._resize)
        self._loop.on_signal(signal.SIGCONT, self._take_over)
        self.listen(True)
        self._last_key = self._loop.now
        self._wait_for_keys()

    def close(self) -> None:
        """Print what waits, take the area away and give the terminal back."""
        self.listen(False)
        for timer in (self._draw_timer, self._key_timer, self._away_timer):
            if timer is not None:
                timer.cancel()
        try:
            self._show(None)
        finally:
            self._give_back()
            self._settings = None
            if self._draw_when_due in self._loop.on_tick_end:
                self._loop.on_tick_end.remove(self._draw_when_due)

    def flush(self) -> None:
        """Nothing: a terminal takes what it is given."""

    # -- output ---------------------------------------------------------------

    def show(self, lines: list[Line], speech: bool) -> None:
        """Print *lines* above the text being typed, soon."""
        self._lines += lines
        self._pace.news = True

    def status(self, status: Status) -> None:
        """Keep *status* in sight."""
        self._status = status
        self._pace.news = True

    def bell(self) -> None:
        """Ring, with what is shown next."""
        self._rings = True
        self._pace.news = True

    def prompt(self, text: str, secret: bool = False) -> None:
        """Show *text* before the line; nothing else where that is *secret*."""
        self._dialog.prompt(text, secret)
        self._pace.news = True

    def _draw_when_due(self) -> None:
        due = self._pace.due()
        if due is None:
            return
        if due > self._loop.now:
            self._wake_at(due)
            return
        self._pace.drawn(self._loop.now)
        area = self._dialog.area(self._status) if self._settings is not None else None
        self._show(area)

    def _wake_at(self, due: float) -> None:
        """Have a tick end then."""
        timer = self._draw_timer
        if timer is not None and timer.callback is not None:
            if timer.when <= due:
                return
            timer.cancel()
        self._draw_timer = self._loop.call_at(due, lambda: None)

    def _show(self, area: Area | None) -> None:
        """Write what waits, and *area* below it."""
        lines, self._lines = self._lines, []
        rings, self._rings = self._rings, False
        try:
            while len(lines) > LINES_AT_ONCE:
                self._write(self._screen.draw(lines[:LINES_AT_ONCE], None))
                del lines[:LINES_AT_ONCE]
            self._write(self._screen.draw(lines, area) + (BELL if rings else ""))
        except OSError as error:
            self._owner.output_failed(error)

    def _write(self, text: str) -> None:
        write_all(self._stdout, text.encode(errors="replace"))

    def _size(self) -> tuple[int, int]:
        """Return the columns and the rows; a terminal may not know of any."""
        try:
            columns, rows = os.get_terminal_size(self._stdout)
        except OSError:
            columns, rows = DEFAULT_SIZE
        return columns or DEFAULT_SIZE[0], rows or DEFAULT_SIZE[1]

    def _resize(self) -> None:
        self._screen.resize(*self._size())
        self._pace.key = True

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
        if self._key_timer is not None:
            self._key_timer.cancel()
            self._key_timer = None
        self._press(self._keys.feed(data))
        if self._keys.patience is not None:
            patience = self._keys.patience
            self._key_timer = self._loop.call_later(patience, self._no_more)

    def failed(self, error: Exception) -> None:
        """``ready`` has raised *error*."""
        self._owner.crash(error)

    def _no_more(self) -> None:
        """What has come of a key is all of it."""
        self._key_timer = None
        self._press(self._keys.time_out())

    def _press(self, keys: list[Key]) -> None:
        self._last_key = self._loop.now
        for key in keys:
            wishes = self._dialog.press(key)
            self._look(_GOES.isdisjoint(wishes))
            if Wish.SUSPEND in wishes:
                self._suspend()
            elif Wish.REDRAW in wishes:
                self._screen.repaint()
            self._pace.key = True

    # -- whether anybody reads ------------------------------------------------

    def _look(self, here: bool) -> None:
        if here != self._here:
            self._here = here
            self._owner.reading(here)
        if here and self._away_timer is None:
            self._wait_for_keys()

    def _wait_for_keys(self) -> None:
        """See when nobody has pressed a key for long."""
        self._away_timer = None
        due = self._last_key + AWAY_TIME
        if due <= self._loop.now:
            self._look(False)
        else:
            self._away_timer = self._loop.call_at(due, self._wait_for_keys)

    # -- whose terminal it is -------------------------------------------------

    def _take_over(self) -> None:
        """Have keys come one by one, unseen; also after the shell had it."""
        if self._settings is None:
            return
        mode = self._settings.copy()
        # A CR stays one: in a paste CR LF is one end of a line, not two.  Ctrl-S would
        # stop the output, and with it the answers to the server's pings.
        mode[_INPUT] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
        mode[_INPUT] &= ~(termios.IXON | termios.ISTRIP)
        mode[_LOCAL] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[_CONTROL] = mode[_CONTROL].copy()
        mode[_CONTROL][termios.VMIN] = 1
        mode[_CONTROL][termios.VTIME] = 0
        self._set(mode)
        self._screen.forget(*self._size())
        self._pace.key = True
        with suppress(OSError):  # Gone: what is drawn next tells.
            self._write(TAKE)

    def _give_back(self) -> None:
        if self._settings is None:
            return
        with suppress(OSError):
            self._write(GIVE_BACK)
        # What was typed of a secret is not for the shell, nor for its screen.
        when = termios.TCSAFLUSH if self._dialog.is_secret else termios.TCSANOW
        self._set(self._settings, when)

    def _set(self, mode: list[Any], when: int = termios.TCSANOW) -> None:
        # termios.error is not an OSError.  It means that the terminal has gone.
        with suppress(termios.error):
            termios.tcsetattr(self._stdin, when, mode)

    def _suspend(self) -> None:
        """Stop as Ctrl-Z does elsewhere: with all that the shell has started as one."""
        with suppress(OSError):
            self._write(self._screen.draw([], None))
        self._give_back()
        os.kill(0, signal.SIGTSTP)
        self._take_over()


class _Pace:
    """When to draw."""

    def __init__(self) -> None:
        self.key = False
        """Whether a key has changed what is to be seen."""
        self.news = False
        """Whether anything else has."""
        self._last = self._last_for_key = float("-inf")

    def due(self) -> float | None:
        """Return when it is time; ``None``: there is nothing to draw."""
        if self.key:
            return self._last_for_key + KEY_INTERVAL
        return self._last + NEWS_INTERVAL if self.news else None

    def drawn(self, now: float) -> None:
        """All has been drawn."""
        self._last = now
        if self.key:
            self._last_for_key = now
        self.key = self.news = False
