"""One user's stay in the chat: what happens when something happens.

    start -> connected -> frame_received / entered ... -> _finish -> outcome
    start -> connected -> ... lost -> (try_again -> connected -> ... | gave_up)

``Client`` stands in the middle: the connection and the face call it, and it tells both
what to do.  Must not know: how bytes move, how anything is drawn, what is owed after a
lost connection, what a command does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chatroom.client.asking import Asking, Question
from chatroom.client.backlog import Backlog
from chatroom.client.backoff import Backoff
from chatroom.client.comeback import Comeback, random_part
from chatroom.client.commands import name_of, needs_server, run_line
from chatroom.client.completion import Completion
from chatroom.client.connection import Connection, Target
from chatroom.client.face import Face
from chatroom.client.frames import Fields, check
from chatroom.client.glyphs import clean
from chatroom.client.operator_commands import is_login
from chatroom.client.options import Options
from chatroom.client.phase import Phase
from chatroom.client.pulse import Pulse
from chatroom.client.render import RETURNABLE, Renderer
from chatroom.client.script import take
from chatroom.client.security import Security, is_exposed, too_open
from chatroom.client.session import Session
from chatroom.client.talk import Talk
from chatroom.client.view import View
from chatroom.core.text import MAX_NICK
from chatroom.errors import BadPeer, ChatroomError, ConnectError
from chatroom.net.address import show, to_address
from chatroom.net.loop import Loop, Timer

EXIT_LEFT = 0
EXIT_FAILED = 1
EXIT_KICKED = 3

MAX_UNSENT = 32 * 1024
"""Unsent bytes above which no further line is said.  A transport with 64 KiB unsent
stops reading, on both sides of a connection: both waiting, nothing would ever move."""
MAX_UNANSWERED = 1000
"""Sayings without an answer above which no further line is said."""
LEAVE_PATIENCE = 5.0
"""Seconds to wait for the server's goodbye."""
SIGNAL_PATIENCE = 1.0
"""The same where a signal has ended the program."""
HISTORY_PATIENCE = 5.0
"""Seconds until a server that could not read its history is asked again."""
MAX_ALIASES = 4
"""Other names tried on one connection where somebody has taken one's own meanwhile;
the server allows five hellos."""
PASSING = frozenset(("full", "timeout", "internal"))
"""Errors that keep one out, but perhaps not for long."""
PROMPT = "> "
SAYINGS = frozenset(("message", "whisper", "history"))
"""Frames that change nothing of how things stand."""


class Client:
    """One user's stay in the chat."""

    def __init__(
        self,
        loop: Loop,
        options: Options,
        targets: Sequence[Target],
        renderer: Renderer,
        chance: Callable[[], float] = random_part,
        *,
        security: Security | None = None,
        password: str | None = None,
        session: Session | None = None,
    ) -> None:
        self._loop = loop
        self._options = options
        self._targets = targets
        self._exposed = is_exposed(security, (to_address(it) for _, it in targets))
        self._aliases = 0
        self._phase = Phase.ENTERING
        self._pending = Backlog()
        self._overran = False
        self._input_ended = False
        self._opened = False
        """Whether the user was ever in, and so takes part."""
        self._held_back = False
        """Whether the network has to wait for who reads our output."""
        self._timer: Timer | None = None
        """Ends the patience with a server: for its goodbye, or its history."""
        self._code = EXIT_LEFT
        self._error: Exception | None = None
        self._state = ""
        """How it stands with the connection; empty while there is one."""
        self.session = session if session is not None else Session()
        self._view = View(loop, self.session, renderer, options.bell)
        name = show((options.host, options.port))
        self._connection = Connection(loop, self, name, security)
        self._comeback = Comeback(loop, self, Backoff(chance))
        send = self._connection.send
        self._pulse = Pulse(loop, send, self._tell_status)
        self._talk = Talk(
            self.session,
            options.ignored,
            send,
            self.notice,
            self.leave,
            self._ask_key,
            too_open("an operator's key", name) if self._exposed else "",
        )
        self._asking = Asking(options.nick, password, self._talk.login)

    @property
    def face(self) -> Face:
        """Set before ``start``: a face needs its owner."""
        return self._view.face

    @face.setter
    def face(self, face: Face) -> None:
        self._view.face = face

    def start(self) -> None:
        """Connect."""
        if self._asking.password is not None and self._exposed:
            error = ConnectError(too_open("the password", self._connection.name))
            self._loop.call_soon(lambda: self.lost(error))
            return
        self._connect()

    def _connect(self) -> None:
        self._state = "connecting"
        self._tell_status()
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
        self._view.flush()
        self._be_patient_no_more()
        self._comeback.stop()
        self._pulse.stop()
        self._connection.close()
        self._loop.stop()

    def _be_patient_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def crash(self, error: Exception) -> None:
        """End with a mistake of ours; it is raised once all is put back."""
        self._finish(EXIT_FAILED, error)

    # -- the connection -------------------------------------------------------

    def connected(self) -> None:
        """Say hello."""
        self._aliases = 0
        if self._held_back:
            self._connection.pause_reading()
        session = self.session
        self._say_hello(session.wanted_nick if session.token else self._asking.nick)

    def _say_hello(self, nick: str | None) -> None:
        room, password = self._options.room, self._asking.password
        self._connection.send(self.session.hello(nick, room, password))

    def lost(self, error: ChatroomError) -> None:
        """There is no connection, or no longer."""
        if self._phase is Phase.OVER:
            return
        if self._phase is Phase.LEAVING:
            self._go(self._code)
        elif not self.session.token or isinstance(error, BadPeer):
            # Never there, or not to be understood: neither gets better by itself.
            self._finish(EXIT_FAILED, self._with_what_is_open(error))
        elif self.session.outbox.leaves:
            self._finish(EXIT_LEFT)
        else:
            self._come_back(str(error))

    def _come_back(self, reason: str) -> None:
        """There is no connection, for *reason*, and there is to be one again."""
        self._be_patient_no_more()
        self._connection.close()
        self._pulse.stop()
        self.session.disconnected()
        self._phase = Phase.RETURNING
        # A person sees that it goes on, and may end it; nobody looks at a script.
        watched = self.face.interactive and not self._input_ended
        self._comeback.lost(reason, 0.0 if watched else self._options.give_up)
        self._view.show(self._talk.lost())
        self._pump()

    def try_again(self) -> None:
        """It is time for another try to come back."""
        self._connect()

    def gave_up(self, reason: str) -> None:
        """Coming back has taken too long; *reason* is what has failed last."""
        text = f"{reason}; given up after {self._options.give_up:g} s"
        self._finish(EXIT_FAILED, self._with_what_is_open(ConnectError(text)))

    def show_state(self, text: str) -> None:
        """Show how it stands with the connection."""
        self._state = text
        self._invite()

    def _invite(self) -> None:
        """Take lines, and show where one is, and as who."""
        if self._asking.is_over:
            self._take_lines()
        self._tell_status()

    def _take_lines(self) -> None:
        self._asking.asked = None
        self.face.prompt(PROMPT)

    def _tell_status(self) -> None:
        self._view.stand(self._state, self._pulse.rtt)

    def frame_received(self, frame: Fields) -> None:
        """Take note of *frame*, show it, and do what follows from it."""
        kind = check(frame)
        if kind == "pong" and self._pulse.heard(frame):
            return
        events = [*self.session.receive(kind, frame), *self._talk.heard(kind, frame)]
        self._view.show(self._talk.rest(events))
        if kind == "ping":
            self._connection.send(frame | {"type": "pong"})
        elif kind == "kick":
            self._kicked(frame)
        elif kind == "error" and not self.session.joined:
            self._refused(frame)
        elif kind == "welcome":
            self._comeback.arrived()
        elif kind == "room":
            self._state = ""
            self._invite()
        if kind not in SAYINGS:
            self._tell_status()
        self._pump()

    def _kicked(self, frame: Fields) -> None:
        reason = frame["reason"]
        leaving = self._phase is Phase.LEAVING
        if reason == "leave" or (leaving and reason in RETURNABLE):
            self._go(self._code)
        elif reason in RETURNABLE:
            text = f"{self._connection.name} has ended the connection ({reason})"
            self._connection.close()
            self.lost(ConnectError(f"{text}: {clean(frame['text'])}"))
        else:
            self._finish(EXIT_KICKED)

    # -- not let in -----------------------------------------------------------

    def _refused(self, frame: Fields) -> None:
        if self._phase is Phase.RETURNING:
            self._refused_again(frame)
            return
        question = self._asking.about(frame["code"])
        if question is None or not self.face.interactive:
            self._finish(EXIT_FAILED, self._not_let_in(frame))
        elif question.secret and self._exposed:
            error = ConnectError(too_open("a password", self._connection.name))
            self._finish(EXIT_FAILED, error)
        else:
            # At leisure: the server would wait for ten seconds only.
            self._connection.close()
            self._phase = Phase.ASKING
            self._ask(question, frame["text"])

    def _not_let_in(self, frame: Fields) -> ConnectError:
        name, text = self._connection.name, clean(frame["text"])
        return ConnectError(f"{name} does not let you in: {text}")

    def _refused_again(self, frame: Fields) -> None:
        """A member who lost the connection is not let in at once."""
        error, code = self._not_let_in(frame), frame["code"]
        if code in ("nick-taken", "nick-invalid") and self._aliases < MAX_ALIASES:
            # Nobody may be there to answer a question.
            self._aliases += 1
            tail = "_" * self._aliases
            self._say_hello(self.session.nick[: MAX_NICK - len(tail)] + tail)
        elif code == "nick-taken" or code in PASSING:
            self._come_back(str(error))
        else:
            self._finish(EXIT_FAILED, self._with_what_is_open(error))

    def _ask(self, question: Question, why: str) -> None:
        question.times += 1
        self._asking.asked = question
        self._state = "not in yet"
        self._tell_status()
        self.notice(f"{why}\n{question.text}".rstrip("\n"))
        self.face.prompt(question.prompt, question.secret)
        self.face.open()

    def _ask_key(self) -> None:
        """Ask a member for an operator's key."""
        if not self.face.interactive:
            self.notice("usage: /op KEY")
            return
        question = self._asking.asked = self._asking.key
        self.notice("nobody sees what you type; Enter alone gives up")
        self.face.prompt(question.prompt, question.secret)

    def _answer(self, question: Question, line: str) -> None:
        wrong = question.take(line)
        if wrong is not None and not question.asked_enough:
            self._ask(question, wrong)
            return
        self._phase = Phase.ENTERING
        # Whoever types a password once more while it is judged does not want it seen.
        self.face.prompt("", question.secret)
        self.start()

    # -- the face -------------------------------------------------------------

    def entered(self, line: str) -> None:
        """Do what *line* asks for, when it is its turn."""
        if self._phase in (Phase.LEAVING, Phase.OVER):
            return
        question = self._asking.asked
        if question is not None and question.inside:
            self._take_lines()
            question.take(line)
            return
        secret = question is not None and question.secret
        if not (line if secret else line.strip()):
            return
        if question is not None and self._phase is Phase.ASKING:
            self._answer(question, line)
            return
        if secret:
            # It may be a password once more, which nobody wants to have said.
            self.notice("left out, as you are not in yet")
            return
        if self.face.interactive:
            line = self._talk.addressed(line)
            away = self._phase is Phase.RETURNING
            if is_login(line) or (away and not needs_server(line)):
                self._enter_alone(line)
                return
            if self._pending.is_full:
                self._overrun()
                return
            if self._phase is Phase.RETURNING and not self._pending:
                self.notice("kept: it is said when the connection is back")
        self._pending.add(line)
        self._pump()

    def _enter_alone(self, line: str) -> None:
        """Do what *line* asks for without a server."""
        if name_of(line) is None:
            self.leave()
        else:
            run_line(self._talk, line)

    def _overrun(self) -> None:
        """Refuse a line.  A terminal is always read, or Ctrl-C would not be seen."""
        if not self._overran:
            self._overran = True
            self.notice("too much at once: lines are left out until the rest is said")

    def unreadable(self, reason: str) -> None:
        """Tell that a line could not be read."""
        self.notice(reason)

    def objection(self, line: str) -> str | None:
        """Return why *line* is better not said."""
        if self._asking.asked is not None:
            return None
        return self._talk.objection(line, self._pending, self._options.hints)

    def completions(self, before: str) -> Completion:
        """Return what the end of *before* may become."""
        if self._asking.asked is not None:
            return Completion(len(before))
        return self._talk.completions(before)

    def reading(self, here: bool) -> None:
        """The user looks away, or is back."""
        self._view.reading(here)

    def input_ended(self) -> None:
        """Leave when all is answered."""
        self._input_ended = True
        away = self._phase is Phase.RETURNING and self.face.interactive
        if away or self._phase is Phase.ASKING:
            self.leave()
        self._pump()

    def hold_back(self, on: bool) -> None:
        """Let the network wait for who reads our output."""
        self._held_back = on
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
        """Send what is owed, then say the lines that wait, as far as the server keeps
        up."""
        self._catch_up()
        while self._pending and self._phase is Phase.JOINED and not self._is_full():
            line = self._pending.take()
            if self._options.json_in:
                take(self._talk, line)
            elif self.face.interactive or is_login(line):
                run_line(self._talk, line)
            else:
                self._talk.say(line)
        self._ask_beside()
        if self._phase not in (Phase.JOINED, Phase.RETURNING):
            return
        if not self._pending:
            self._overran = False
        if self._opened and not self.face.interactive:
            self.face.listen(not self._pending.is_full)
        if self._phase is Phase.RETURNING:
            return
        if self._input_ended and not (self._pending or self.session.outbox.unanswered):
            self.leave()

    def _ask_beside(self) -> None:
        """Ask what nobody waits for: a script wants none of it."""
        while (
            self.face.interactive
            and self._phase is Phase.JOINED
            and not self._is_full()
            and (frame := self._talk.next_question()) is not None
        ):
            self._connection.send(frame)

    def _catch_up(self) -> None:
        """Ask for what was missed and send what is owed; then one is in."""
        if self._phase not in (Phase.ENTERING, Phase.RETURNING):
            return
        while self._connection.unsent <= MAX_UNSENT:
            frame = self.session.next_frame()
            if frame is None:
                break
            self._connection.send(frame)
        if self.session.transcript.stuck and self._timer is None:
            self._timer = self._loop.call_later(HISTORY_PATIENCE, self._ask_again)
        if not self.session.settled or self.session.outbox.owes:
            return
        self._phase = Phase.JOINED
        if self.face.interactive:
            self._pulse.start()
        if not self._opened:
            self._opened = True
            if self.face.interactive:
                self.notice("/help tells what you can do, !leave leaves")
            self.face.open()

    def _ask_again(self) -> None:
        """The server may be able to read its history by now."""
        self._timer = None
        self.session.transcript.stuck = False
        self._pump()

    def _is_full(self) -> bool:
        return (
            self._connection.unsent > MAX_UNSENT
            or self.session.outbox.unanswered >= MAX_UNANSWERED
        )

    def notice(self, text: str) -> None:
        """Show *text* as a word of the client itself."""
        self._view.notice(text)

    # -- the end --------------------------------------------------------------

    def leave(self) -> None:
        """Leave; whoever asks twice does not want to wait."""
        self._leave(EXIT_LEFT, LEAVE_PATIENCE)

    def interrupt(self, number: int) -> None:
        """A signal asks for the end: leave, and exit as if it had killed us."""
        self._leave(128 + number, SIGNAL_PATIENCE)

    def _leave(self, code: int, patience: float) -> None:
        if self.session.joined and self._phase is not Phase.LEAVING:
            self._code = code
            self._phase = Phase.LEAVING
            if not self.face.interactive:
                self.face.listen(False)
            self._connection.send({"type": "leave"})
            self._be_patient_no_more()
            self._timer = self._loop.call_later(patience, lambda: self._go(code))
        elif self._phase in (Phase.RETURNING, Phase.LEAVING) or code:
            self._go(code)
        else:
            self._finish(EXIT_FAILED, ConnectError("you have not joined the chat"))

    def _go(self, code: int) -> None:
        """End without the server's goodbye, which would have come behind all else."""
        open_ends = self.session.outbox.open_ends(len(self._pending))
        if open_ends:
            self.notice(open_ends)
        self._finish(code)

    def _with_what_is_open(self, error: ChatroomError) -> ChatroomError:
        open_ends = self.session.outbox.open_ends(len(self._pending))
        return type(error)(f"{error}; {open_ends}") if open_ends else error
