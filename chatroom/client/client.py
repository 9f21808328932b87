"""One user's stay in the chat: what happens when something happens.

    start -> connected -> frame_received / entered ... -> _finish -> outcome

``Client`` stands in the middle: the connection and the face call it, and it tells both
what to do.  Must not know: how bytes move, how anything is drawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum, auto

from chatroom.client.commands import run_line
from chatroom.client.connection import Connection, Target
from chatroom.client.face import Face
from chatroom.client.frames import Fields, check
from chatroom.client.glyphs import clean
from chatroom.client.options import Options
from chatroom.client.render import RETURNABLE, Renderer
from chatroom.client.session import Session
from chatroom.core.text import nick_error, text_error, to_nfc
from chatroom.errors import ChatroomError, ConnectError
from chatroom.net.address import show
from chatroom.net.loop import Loop, Timer

EXIT_LEFT = 0
EXIT_FAILED = 1
EXIT_KICKED = 3

MAX_UNSENT = 32 * 1024
"""Unsent bytes above which no further line is said.  A transport with 64 KiB unsent
stops reading, on both sides of a connection: both waiting, nothing would ever move."""
MAX_UNANSWERED = 1000
"""Sayings without an answer above which no further line is said."""
MAX_PENDING = 64 * 1024
"""Characters of lines not said yet above which no more is taken from the input."""
MAX_QUESTIONS = 5
"""How often one is asked for another nick."""
LEAVE_PATIENCE = 5.0
"""Seconds to wait for the server's goodbye."""
SIGNAL_PATIENCE = 1.0
"""The same where a signal has ended the program."""


class Phase(Enum):
    """How far the client is."""

    ENTERING = auto()
    """On its way in: connecting, or hello is sent."""
    ASKING = auto()
    """The nick cannot be had; the user is asked for another."""
    JOINED = auto()
    LEAVING = auto()
    """Leave is sent; the goodbye is waited for."""
    OVER = auto()


class Client:
    """One user's stay in the chat."""

    face: Face
    """Set before ``start``: a face needs its owner."""

    def __init__(
        self,
        loop: Loop,
        options: Options,
        targets: Sequence[Target],
        renderer: Renderer,
    ) -> None:
        self._loop = loop
        self._options = options
        self._targets = targets
        self._renderer = renderer
        self._nick = options.nick
        self._questions = 0
        self._phase = Phase.ENTERING
        self._pending: deque[str] = deque()
        self._pending_size = 0
        self._overran = False
        self._input_ended = False
        self._goodbye: Timer | None = None
        self._code = EXIT_LEFT
        self._error: Exception | None = None
        self.session = Session()
        name = show((options.host, options.port))
        self._connection = Connection(loop, self, name)

    def start(self) -> None:
        """Connect."""
        self._connection.open(self._targets)

    def outcome(self) -> int:
        """Return the exit code, or raise what has ended it all."""
        if self._error is not None:
            raise self._error
        return self._code

    @property
    def in_a_hurry(self) -> bool:
        """Whether a signal has ended it."""
        return self._code > 128

    def _finish(self, code: int, error: Exception | None = None) -> None:
        if self._phase is Phase.OVER:
            return
        self._phase = Phase.OVER
        self._code, self._error = code, error
        if self._goodbye is not None:
            self._goodbye.cancel()
        self._connection.close()
        self._loop.stop()

    def crash(self, error: Exception) -> None:
        """End with a mistake of ours; it is raised once all is put back."""
        self._finish(EXIT_FAILED, error)

    # -- the connection -------------------------------------------------------

    def connected(self) -> None:
        """Say hello."""
        self._connection.send(self.session.hello(self._nick, self._options.room))

    def lost(self, error: ChatroomError) -> None:
        """There is no connection, or no longer."""
        if self._phase is Phase.LEAVING:
            self._go(self._code)
            return
        count = len(self.session.unanswered)
        if count:
            error = type(error)(f"{error}; not confirmed: {count} of your messages")
        self._finish(EXIT_FAILED, error)

    def frame_received(self, frame: Fields) -> None:
        """Take note of *frame*, show it, and do what follows from it."""
        kind = check(frame)
        if kind is not None:
            self.session.receive(kind, frame)
        shown = self._renderer.render(kind, frame, self.session)
        if shown is not None:
            self.face.show(shown.lines, shown.speech)
        if kind == "ping":
            self._connection.send(frame | {"type": "pong"})
        elif kind == "kick":
            self._kicked(frame)
        elif kind == "error" and not self.session.joined:
            self._refused(frame)
        elif kind in ("room", "renamed"):
            self._entered_room()
        self._pump()

    def _entered_room(self) -> None:
        if self._phase is Phase.ENTERING:
            self._phase = Phase.JOINED
            if self.face.interactive:
                self.notice("/help tells what you can do, !leave leaves")
            self.face.open()
        session = self.session
        self.face.prompt(f"[{clean(session.room)}] {clean(session.nick)}> ")

    def _kicked(self, frame: Fields) -> None:
        reason = frame["reason"]
        leaving = self._phase is Phase.LEAVING
        if reason == "leave" or (leaving and reason in RETURNABLE):
            self._finish(self._code)
        elif reason in RETURNABLE:
            text = f"{self._connection.name} has ended the connection ({reason})"
            self._finish(EXIT_FAILED, ConnectError(f"{text}: {clean(frame['text'])}"))
        else:
            self._finish(EXIT_KICKED)

    # -- the nick -------------------------------------------------------------

    def _refused(self, frame: Fields) -> None:
        may_ask = self.face.interactive and self._questions < MAX_QUESTIONS
        if may_ask and frame["code"] in ("nick-taken", "nick-invalid"):
            # At leisure: the server would wait for ten seconds only.
            self._connection.close()
            self._phase = Phase.ASKING
            self._ask_nick(frame["text"])
            return
        name, text = self._connection.name, clean(frame["text"])
        self._finish(EXIT_FAILED, ConnectError(f"{name} does not let you in: {text}"))

    def _ask_nick(self, why: str) -> None:
        self._questions += 1
        self.notice(f"{why}\nwhich other nick would you like?")
        self.face.prompt("nick: ")
        self.face.open()

    def _answer_nick(self, line: str) -> None:
        nick = to_nfc(line.strip())
        wrong = nick_error(nick)
        if wrong is not None and self._questions < MAX_QUESTIONS:
            self._ask_nick(wrong)
            return
        self._nick = nick
        self._phase = Phase.ENTERING
        self.face.prompt("")
        self.start()

    # -- the face -------------------------------------------------------------

    def entered(self, line: str) -> None:
        """Do what *line* asks for, when it is its turn."""
        if not line.strip() or self._phase in (Phase.LEAVING, Phase.OVER):
            return
        if self._phase is Phase.ASKING:
            self._answer_nick(line)
            return
        if self.face.interactive and self._pending_size > MAX_PENDING:
            self._overrun()
            return
        self._pending.append(line)
        self._pending_size += len(line)
        self._pump()

    def _overrun(self) -> None:
        """Refuse a line.  A terminal is always read, or Ctrl-C would not be seen."""
        if not self._overran:
            self._overran = True
            self.notice("too much at once: lines are left out until the rest is said")

    def unreadable(self, reason: str) -> None:
        """Tell that a line could not be read."""
        self.notice(reason)

    def input_ended(self) -> None:
        """Leave when all is answered."""
        self._input_ended = True
        if self._phase is Phase.ASKING:
            self.leave()
        self._pump()

    def hold_back(self, on: bool) -> None:
        """Let the network wait for who reads our output."""
        if on:
            self._connection.pause_reading()
        else:
            self._connection.resume_reading()

    def output_failed(self, error: OSError) -> None:
        """End: quietly where the reader has simply gone."""
        if isinstance(error, BrokenPipeError):
            self._finish(EXIT_FAILED)
            return
        text = f"cannot write the output: {error.strerror}"
        self._finish(EXIT_FAILED, ChatroomError(text))

    def _pump(self) -> None:
        """Say the lines that wait, as far as the server keeps up."""
        while self._pending and self._phase is Phase.JOINED and not self._is_full():
            line = self._pending.popleft()
            self._pending_size -= len(line)
            if self.face.interactive:
                run_line(self, line)
            else:
                self.say(line)
        if self._phase is not Phase.JOINED:
            return
        if not self._pending:
            self._overran = False
        if not self.face.interactive:
            self.face.listen(self._pending_size <= MAX_PENDING)
        if self._input_ended and not (self._pending or self.session.unanswered):
            self.leave()

    def _is_full(self) -> bool:
        return (
            self._connection.unsent > MAX_UNSENT
            or len(self.session.unanswered) >= MAX_UNANSWERED
        )

    # -- what a command may do ------------------------------------------------

    def say(self, text: str) -> None:
        """Say *text*, unless the rules for texts forbid it."""
        if self._may_say(text):
            self._connection.send(self.session.say(text))

    def whisper(self, to: str, text: str) -> None:
        """Whisper *text*, by the same rules."""
        if self._may_say(text):
            self._connection.send(self.session.whisper(to, text))

    def _may_say(self, text: str) -> bool:
        wrong = text_error(text)
        if wrong is not None:
            self.notice(f"not said: {wrong[1]}")
        return wrong is None

    def ask(self, frame: Fields) -> None:
        """Send *frame*."""
        self._connection.send(frame)

    def notice(self, text: str) -> None:
        """Show *text* as a word of the client itself."""
        self.face.show(self._renderer.notice(text), False)

    def leave(self) -> None:
        """Leave; whoever asks twice does not want to wait."""
        self._leave(EXIT_LEFT, LEAVE_PATIENCE)

    def interrupt(self, number: int) -> None:
        """A signal asks for the end: leave, and exit as if it had killed us."""
        self._leave(128 + number, SIGNAL_PATIENCE)

    def _leave(self, code: int, patience: float) -> None:
        if self._phase is Phase.JOINED:
            self._code = code
            self._phase = Phase.LEAVING
            self._pending.clear()
            if not self.face.interactive:
                self.face.listen(False)
            self._connection.send({"type": "leave"})
            self._goodbye = self._loop.call_later(patience, lambda: self._go(code))
        elif self._phase is Phase.LEAVING or code:
            self._go(code)
        else:
            self._finish(EXIT_FAILED, ConnectError("you have not joined the chat"))

    def _go(self, code: int) -> None:
        """End without the server's goodbye, which would have come behind all else."""
        count = len(self.session.unanswered)
        if count:
            self.notice(f"not confirmed: {count} of your messages")
        self._finish(code)
