"""One user's stay: a fake face on one side, a fake server on the other."""

import itertools
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from chatroom.client.asking import MAX_QUESTIONS
from chatroom.client.backlog import MAX_PENDING
from chatroom.client.client import (
    EXIT_KICKED,
    HISTORY_PATIENCE,
    LEAVE_PATIENCE,
    MAX_UNANSWERED,
    MAX_UNSENT,
    SIGNAL_PATIENCE,
    Client,
)
from chatroom.client.connection import SILENCE, Connection, Target
from chatroom.client.frames import Fields
from chatroom.client.options import Options
from chatroom.client.pulse import INTERVAL
from chatroom.client.render import Renderer
from chatroom.client.session import Session
from chatroom.client.status import Status
from chatroom.client.transcript import PAGE
from chatroom.errors import BadPeer, ChatroomError, ConnectError
from chatroom.net.loop import Loop
from chatroom.net.transport import CONGESTED
from tests.client.fakes import (
    EVERY_FRAME,
    MESSAGE,
    ROOM,
    WELCOME,
    FakeClock,
    FakeFace,
    FakeServer,
    tick_until,
)

LEAVE_KICK: Fields = {"type": "kick", "reason": "leave", "text": "bye"}
HISTORY: Fields = {
    "type": "history",
    "room": "lobby",
    "log": "log1",
    "oldest_id": 1,
    "messages": [],
    "more": False,
}
BESIDE = ("who", "rooms", "ping")
"""What a client asks on its own."""
WARNING: Fields = {
    "type": "warning",
    "reason": "shouting",
    "strikes": 1,
    "limit": 2,
    "text": "not so loud",
}
GIVE_UP = 20.0
WRONG: Fields = {"type": "error", "code": "password", "text": "that is not it"}
TAKEN: Fields = {"type": "error", "code": "nick-taken", "text": "anna is taken"}


@dataclass
class Stay:
    """A client, and all around it."""

    loop: Loop
    clock: FakeClock
    server: FakeServer
    client: Client
    face: FakeFace

    @property
    def over(self) -> bool:
        """Whether the loop has been told to stop."""
        return self.loop._stopping

    def tick(self) -> None:
        """Let what is under way arrive."""
        for _ in range(4):
            self.loop.tick(0.01)

    def sent(self) -> list[Fields]:
        """What the client has sent, but for what it asks beside."""
        return [frame for frame in self.all_sent() if frame["type"] not in BESIDE]

    def all_sent(self) -> list[Fields]:
        """What the client has sent."""
        self.tick()
        return self.server.frames() if self.server.peer is not None else []

    def cut(self) -> None:
        """Let the connection be lost, and the loss be noticed."""
        self.all_sent()  # A socket with something unread is reset, not closed.
        self.server.hang_up()
        self.tick()

    def wait(self, seconds: float) -> None:
        """Let time pass as the loop sees it: from timer to timer."""
        end = self.clock.time + seconds
        while self.loop._timers and self.loop._timers[0][0] <= end:
            self.clock.time = max(self.clock.time, self.loop._timers[0][0])
            for _ in range(4):
                self.loop.tick(0)
        self.clock.time = end
        self.tick()

    def come_back(self, seconds: float = 0.5) -> Fields:
        """Let the next try be let in by the kernel; return its hello."""
        self.clock.time += seconds
        self.tick()
        self.server.accept()
        (hello,) = self.sent()
        return hello

    def hear(self, *frames: Fields) -> None:
        """Let the client get these frames."""
        self.server.send(*frames)
        self.tick()

    def outcome(self) -> int | str:
        """How it ended: the exit code, or what the error says."""
        tick_until(self.loop, lambda: self.over)
        try:
            return self.client.outcome()
        except ChatroomError as error:
            return str(error)


def make_stay(
    loop: Loop, clock: FakeClock, server: FakeServer, face: FakeFace
) -> Iterator[Stay]:
    options = Options("127.0.0.1", 99, "anna", "tea", give_up=GIVE_UP)
    targets = [(socket.AF_INET, server.address)]
    session = Session(map(str, itertools.count(1)).__next__)
    client = Client(loop, options, targets, Renderer(), lambda: 0.5, session=session)
    client.face = face
    client.start()
    loop.tick(1)
    server.accept()
    stay = Stay(loop, clock, server, client, face)
    stay.tick()
    yield stay
    client.interrupt(signal.SIGTERM)
    client.interrupt(signal.SIGTERM)
    loop.tick(0)


@pytest.fixture
def stay(loop: Loop, clock: FakeClock, server: FakeServer) -> Iterator[Stay]:
    """A person's client that has said hello."""
    yield from make_stay(loop, clock, server, FakeFace())


@pytest.fixture
def chatting(stay: Stay) -> Stay:
    """A person's client that is in."""
    assert [frame["type"] for frame in stay.sent()] == ["hello"]
    stay.server.welcome()
    stay.tick()
    return stay


@pytest.fixture
def piping(loop: Loop, clock: FakeClock, server: FakeServer) -> Iterator[Stay]:
    """A script's client that is in."""
    for stay in make_stay(loop, clock, server, FakeFace(interactive=False)):
        stay.sent()
        stay.server.welcome()
        stay.tick()
        yield stay


def echo(said: Fields) -> Fields:
    """What the room hears of it."""
    message = MESSAGE | {"from": "anna", "text": said["text"]}
    return message | {"ref": said["ref"]}


# -- entering -------------------------------------------------------------------


def test_hello_first_and_input_after_the_room(stay: Stay) -> None:
    hello = {"type": "hello", "version": 1, "nick": "anna", "room": "tea"}
    assert stay.sent() == [hello]
    assert stay.face.prompted == ""
    stay.server.welcome()
    stay.tick()
    assert stay.face.opened
    assert stay.face.prompted == "> "
    assert "welcome to chatroom/9.9.9" in stay.face.shown


def test_ping_is_answered_before_and_after_the_welcome(stay: Stay) -> None:
    stay.sent()
    stay.hear({"type": "ping"}, {"type": "ping", "data": "é"})
    assert stay.sent() == [{"type": "pong"}, {"type": "pong", "data": "é"}]


def test_the_status_follows_what_happens(chatting: Stay) -> None:
    assert chatting.face.status_now == Status("lobby", "", "anna", 2)
    chatting.hear({"type": "renamed", "room": "lobby", "old": "anna", "new": "a\x1b"})
    assert chatting.face.status_now.nick == "a\x1b"
    chatting.hear({"type": "topic", "room": "lobby", "topic": "t\x1b", "by": "bob"})
    assert chatting.face.status_now.topic == "t\x1b"
    chatting.hear({"type": "joined", "room": "lobby", "nick": "eve"})
    assert chatting.face.status_now.members == 3
    chatting.hear(WARNING)
    assert (chatting.face.status_now.strikes, chatting.face.status_now.limit) == (1, 2)
    chatting.hear({"type": "topic", "room": "lobby", "topic": "", "by": "bob"})
    assert chatting.face.status_now.topic == ""
    chatting.hear(ROOM | {"room": "tea\x1b", "count": 9, "topic": "cups"})
    assert chatting.face.status_now == Status("tea\x1b", "cups", "a\x1b", 9, 1, 2)


def test_the_limit_is_known_from_the_welcome(stay: Stay) -> None:
    assert stay.face.status_now == Status(state="connecting")
    stay.server.welcome(strikes=1, limits={"strikes": 3})
    stay.tick()
    assert stay.face.status_now == Status("lobby", "", "anna", 2, 1, 3)


def test_nobody_looks_at_the_status_of_a_script(piping: Stay) -> None:
    assert piping.face.status_now == Status()


def test_unknown_frames_are_ignored(chatting: Stay) -> None:
    before = list(chatting.face.lines)
    chatting.hear({"type": "news", "text": ["whatever"]})
    assert chatting.face.lines == before
    assert not chatting.over


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({}, "a frame without a type"),
        ({"type": "kick"}, "a kick frame without a valid reason"),
        (MESSAGE, "a message frame at the wrong time"),
    ],
)
def test_a_malformed_server_is_one_line(stay: Stay, frame: Fields, reason: str) -> None:
    kind = frame.get("type")
    rest = {key: value for key, value in frame.items() if key != "type"}
    if kind is None:
        stay.server.send_raw(b"\0\0\0\2{}")
    else:
        stay.server.send({"type": kind} | rest)
    tick_until(stay.loop, lambda: stay.over)
    with pytest.raises(BadPeer) as caught:
        stay.client.outcome()
    assert str(caught.value) == (
        f"127.0.0.1:99 breaks the protocol: the server sent {reason}"
    )


@pytest.mark.parametrize("frame", EVERY_FRAME, ids=lambda frame: frame["type"])
def test_every_frame_of_a_server_is_survived(chatting: Stay, frame: Fields) -> None:
    if frame["type"] != "welcome":
        chatting.hear(frame)
        assert chatting.over == (frame["type"] == "kick")
        assert not isinstance(chatting.client._error, AssertionError | TypeError)


# -- the nick -------------------------------------------------------------------


def test_who_finds_the_nick_taken_is_asked_for_another(stay: Stay) -> None:
    stay.sent()
    stay.hear(TAKEN)
    assert "anna is taken" in stay.face.shown
    assert stay.face.prompted == "nick: "
    assert stay.face.status_now.state == "not in yet"
    assert stay.face.opened
    stay.client.entered("  ")
    stay.client.entered("two words")
    assert "a nick is made of" in stay.face.shown
    stay.client.entered(" anne ")
    stay.loop.tick(1)
    stay.server.accept()
    assert stay.sent()[0]["nick"] == "anne"
    assert stay.face.status_now.state == "connecting"
    stay.server.welcome(nick="anne")
    stay.tick()
    assert stay.face.prompted == "> "
    assert stay.face.status_now.nick == "anne"


def test_it_asks_five_times_at_most(stay: Stay) -> None:
    for number in range(MAX_QUESTIONS):
        stay.hear(TAKEN)
        assert not stay.over
        stay.client.entered(f"nick{number}")
        stay.loop.tick(1)
        stay.server.accept()
        stay.tick()
    stay.hear(TAKEN)
    assert stay.outcome() == "127.0.0.1:99 does not let you in: anna is taken"


@pytest.mark.parametrize("quitting", ["leave", "input_ended"])
def test_who_does_not_want_to_answer_has_not_joined(stay: Stay, quitting: str) -> None:
    stay.hear(TAKEN)
    getattr(stay.client, quitting)()
    assert stay.outcome() == "you have not joined the chat"


def test_a_script_is_not_asked(
    loop: Loop, clock: FakeClock, server: FakeServer
) -> None:
    for stay in make_stay(loop, clock, server, FakeFace(interactive=False)):
        stay.hear(TAKEN)
        assert stay.outcome() == "127.0.0.1:99 does not let you in: anna is taken"


@pytest.mark.parametrize(
    "code", ["full", "version", "banned", "not-allowed", "timeout"]
)
def test_other_refusals_are_final(stay: Stay, code: str) -> None:
    stay.hear({"type": "error", "code": code, "text": "no\x1b\nway"})
    assert stay.outcome() == "127.0.0.1:99 does not let you in: no␛␊way"


# -- the password ---------------------------------------------------------------


def answer(stay: Stay, line: str) -> Fields:
    """Answer what is asked; give the hello that follows."""
    stay.client.entered(line)
    stay.loop.tick(1)
    stay.server.accept()
    (hello,) = stay.sent()
    return hello


def test_who_is_asked_for_a_password_gives_it_unseen(stay: Stay) -> None:
    assert "password" not in stay.sent()[0]
    stay.hear(WRONG)
    assert (stay.face.prompted, stay.face.secret) == ("password: ", True)
    assert stay.face.opened
    assert stay.face.shown.endswith("that is not it")
    stay.client.entered("")
    assert answer(stay, " sesame")["password"] == " sesame"
    assert stay.face.secret, "it may be typed once more"
    stay.client.entered("sesame, sesame")
    stay.hear(WRONG)
    assert answer(stay, "please")["password"] == "please"
    stay.server.welcome()
    stay.tick()
    assert (stay.face.prompted, stay.face.secret) == ("> ", False)
    assert "sesame" not in stay.face.shown
    assert stay.sent() == [], "what was typed meanwhile is not said"
    stay.client.entered("hello")
    assert stay.sent()[0]["text"] == "hello"


def test_it_is_shown_again_when_coming_back(stay: Stay) -> None:
    stay.hear(WRONG)
    answer(stay, "sesame")
    stay.server.welcome()
    stay.tick()
    stay.cut()
    assert stay.come_back()["password"] == "sesame"
    stay.hear(WRONG)
    assert stay.outcome() == "127.0.0.1:99 does not let you in: that is not it"


def test_it_is_asked_for_five_times_at_most(stay: Stay) -> None:
    for number in range(MAX_QUESTIONS):
        stay.hear(WRONG)
        assert not stay.over
        answer(stay, f"guess {number}")
    stay.hear(WRONG)
    assert stay.outcome() == "127.0.0.1:99 does not let you in: that is not it"


def test_a_nick_can_be_asked_for_as_well(stay: Stay) -> None:
    stay.hear(WRONG)
    answer(stay, "sesame")
    stay.hear(TAKEN)
    assert (stay.face.prompted, stay.face.secret) == ("nick: ", False)
    hello = answer(stay, "anne")
    assert (hello["nick"], hello["password"]) == ("anne", "sesame")


def test_no_password_is_that_long(stay: Stay) -> None:
    stay.hear(WRONG)
    stay.client.entered("ä" * 513)
    assert "at most 1024 bytes" in stay.face.shown
    assert stay.face.secret
    assert answer(stay, "ä" * 512)["password"] == "ä" * 512


@pytest.mark.parametrize("quitting", ["leave", "input_ended"])
def test_who_does_not_want_to_tell_has_not_joined(stay: Stay, quitting: str) -> None:
    stay.hear(WRONG)
    getattr(stay.client, quitting)()
    assert stay.outcome() == "you have not joined the chat"


def test_a_script_is_not_asked_for_a_password(
    loop: Loop, clock: FakeClock, server: FakeServer
) -> None:
    for stay in make_stay(loop, clock, server, FakeFace(interactive=False)):
        stay.hear(WRONG)
        assert stay.outcome() == "127.0.0.1:99 does not let you in: that is not it"


def test_no_password_is_sent_in_the_open(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "open", lambda self, targets: pytest.fail())
    elsewhere: list[Target] = [
        (socket.AF_INET, ("127.0.0.1", 9)),
        (socket.AF_INET6, ("fe80::1%eth0", 9, 0, 1)),
    ]
    client = Client(loop, Options("there", 9), elsewhere, Renderer(), password="sesame")
    client.face = FakeFace()
    client.start()
    loop.tick(0)
    with pytest.raises(ConnectError, match=r"there:9 would go .*: use --tls"):
        client.outcome()


def test_nobody_is_asked_for_one_that_would_be_sent_in_the_open(
    loop: Loop, clock: FakeClock, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatroom.client.security.is_loopback", lambda address: False)
    for stay in make_stay(loop, clock, server, FakeFace()):
        stay.hear(WRONG)
        assert str(stay.outcome()).endswith("in plain text: use --tls")
        assert not stay.face.opened


# -- an operator's key ----------------------------------------------------------


LOGIN: Fields = {"type": "op", "do": "login", "key": "sesame"}
DONE: Fields = {"type": "op", "do": "login", "text": "you are an operator"}


def test_a_key_is_asked_for_unseen(chatting: Stay) -> None:
    chatting.client.entered("/op")
    assert chatting.sent() == []
    assert (chatting.face.prompted, chatting.face.secret) == ("operator's key: ", True)
    assert chatting.client.objection("SESAME") is None
    assert chatting.client.completions("b").options == ()
    chatting.client.entered(" sesame ")
    assert (chatting.face.prompted, chatting.face.secret) == ("> ", False)
    assert chatting.sent() == [LOGIN]
    chatting.hear(DONE)
    assert chatting.face.shown.endswith("-- you are an operator")
    assert "sesame" not in chatting.face.shown
    chatting.client.entered("hello")
    assert chatting.sent()[0]["text"] == "hello"


@pytest.mark.parametrize("line", ["/op sesame", " /op\t sesame ", "/op\nsesame\n"])
def test_a_key_in_a_line_goes_out_at_once(chatting: Stay, line: str) -> None:
    chatting.client.entered(line)
    assert chatting.sent() == [LOGIN]
    assert "sesame" not in chatting.face.shown


@pytest.mark.parametrize("line", ["/OP sesame", "  /Op sesame"])
def test_a_key_is_not_said_for_a_slip(chatting: Stay, line: str) -> None:
    chatting.client.entered(line)
    assert chatting.sent() == []
    assert "did you mean /op?" in chatting.face.shown
    assert "sesame" not in chatting.face.shown


def test_who_has_no_key_gives_up(chatting: Stay) -> None:
    chatting.client.entered("/op ")
    assert chatting.face.secret
    chatting.client.entered("")
    assert (chatting.face.prompted, chatting.face.secret) == ("> ", False)
    assert chatting.sent() == []


def test_nothing_of_a_key_is_said_whatever_happens_meanwhile(chatting: Stay) -> None:
    chatting.client.entered("/op")
    chatting.hear(ROOM | {"room": "tea"}, DONE, WARNING)
    assert chatting.face.secret, "it is still being typed"
    chatting.cut()
    assert chatting.face.secret
    chatting.client.entered("sesame")
    assert "there is no connection" in chatting.face.shown
    chatting.client.entered("/op sesame")
    chatting.client.entered("/op")
    assert chatting.face.prompted == "> "
    assert chatting.come_back()["type"] == "hello"
    chatting.server.welcome()
    assert chatting.sent() == []
    assert "sesame" not in chatting.face.shown


def test_no_key_is_that_long(chatting: Stay) -> None:
    chatting.client.entered("/op " + "\x01" * 1025)
    assert chatting.sent() == []
    assert "at most 1024 bytes" in chatting.face.shown


def test_no_key_is_sent_in_the_open(
    loop: Loop, clock: FakeClock, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatroom.client.security.is_loopback", lambda address: False)
    for stay in make_stay(loop, clock, server, FakeFace()):
        stay.sent()
        stay.server.welcome()
        for line in ("/op", "/op sesame"):
            stay.tick()
            stay.client.entered(line)
            assert stay.face.shown.endswith("in plain text: use --tls")
            stay.face.lines.clear()
        assert not stay.face.secret
        assert stay.sent() == []


def test_a_pipe_shows_a_key_in_its_place(piping: Stay) -> None:
    for line in ("/op sesame", "/kick bob", "/op"):
        piping.client.entered(line)
    sent = piping.sent()
    assert sent[0] == LOGIN
    assert sent[1]["text"] == "/kick bob", "other lines are said, whatever they are"
    assert len(sent) == 2
    assert "usage: /op KEY" in piping.face.shown
    piping.cut()
    piping.client.entered("/op sesame")
    piping.come_back()
    piping.server.welcome()
    assert LOGIN in piping.sent()


def test_what_an_operator_did_is_not_done_twice(chatting: Stay) -> None:
    chatting.client.entered("/op sesame")
    chatting.hear(DONE)
    for line in ("/bans", "/kick bob", "/ban 10.0.0.0/8", "/lock", "/op again"):
        chatting.client.entered(line)
    assert len(chatting.sent()) == 6
    chatting.face.lines.clear()
    chatting.cut()
    doubt = "no answer came, and it may be done or not: "
    shown = chatting.face.shown
    assert [line.split(doubt)[1] for line in shown.split("\n") if doubt in line] == [
        "kick bob",
        "ban 10.0.0.0/8",
        "lock",
    ]
    assert "no answer came to your operator's key" in shown
    chatting.come_back()
    chatting.server.welcome()
    assert chatting.sent() == []
    assert "operator" not in chatting.face.shown.split("again", 1)[1]


def test_a_new_session_is_no_operators(chatting: Stay) -> None:
    chatting.client.entered("/op sesame")
    chatting.hear(DONE)
    for session, told in (("secret", 0), ("other", 1), ("third", 1)):
        chatting.cut()
        chatting.come_back()
        chatting.server.welcome(session=session)
        chatting.tick()
        shown = chatting.face.shown
        assert shown.count("you are no operator any more") == told


@pytest.mark.parametrize("reason", ["operator", "banned"])
def test_who_is_thrown_out_stays_out(chatting: Stay, reason: str) -> None:
    chatting.hear({"type": "kick", "reason": reason, "text": "bob does not want you"})
    assert chatting.outcome() == EXIT_KICKED
    assert f"KICKED ({reason}): bob does not want you" in chatting.face.shown


@pytest.mark.parametrize("code", ["banned", "not-allowed"])
def test_who_is_not_let_in_again_does_not_knock(chatting: Stay, code: str) -> None:
    chatting.cut()
    chatting.come_back()
    chatting.hear({"type": "error", "code": code, "text": "bob has said so"})
    assert chatting.outcome() == "127.0.0.1:99 does not let you in: bob has said so"


# -- talking --------------------------------------------------------------------


def test_what_a_person_enters(chatting: Stay) -> None:
    for line in ("hello", "", "  ", "/nick bob", "//slash", "/msg bob psst", "/foo"):
        chatting.client.entered(line)
    assert chatting.sent() == [
        {"type": "say", "text": "hello", "ref": "1"},
        {"type": "nick", "nick": "bob"},
        {"type": "say", "text": "/slash", "ref": "2"},
        {"type": "whisper", "to": "bob", "text": "psst", "ref": "3"},
    ]
    assert "there is no /foo" in chatting.face.shown


def test_what_a_script_sends_is_said_as_it_is(piping: Stay) -> None:
    for line in ("/nick bob", "", " //x ", "!leave"):
        piping.client.entered(line)
    assert [frame["text"] for frame in piping.sent()] == [
        "/nick bob",
        " //x ",
        "!leave",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [("x" * 4001, "4001 characters"), ("a\x1bb", "U+001B"), ("a\u202eb", "U+202E")],
)
def test_what_cannot_be_said_is_explained(chatting: Stay, text: str, why: str) -> None:
    chatting.client.entered(text)
    chatting.client.entered(f"/msg bob {text}")
    assert chatting.sent() == []
    assert chatting.face.shown.count("not said: ") == 2
    assert why in chatting.face.shown


def test_the_longest_text_can_be_said(chatting: Stay) -> None:
    chatting.client.entered("👍" * 4000)
    assert len(chatting.sent()[0]["text"]) == 4000


def test_what_a_file_holds_that_is_no_text(piping: Stay) -> None:
    piping.client.unreadable("line 1 is not UTF-8")
    assert piping.face.lines[-1].endswith("-- line 1 is not UTF-8")


def test_input_waits_for_answers(piping: Stay) -> None:
    for number in range(MAX_UNANSWERED + 500):
        piping.client.entered(f"{number:03}" + "x" * 100)
    assert piping.client._pending
    said = piping.sent()
    assert len(said) == MAX_UNANSWERED
    for _ in range(MAX_PENDING // 100):
        piping.client.entered("y" * 100)
    assert not piping.face.listening
    piping.client.input_ended()
    while said:
        piping.server.send(*map(echo, said))
        said = [frame for frame in piping.sent() if frame["type"] == "say"]
    assert not piping.client._pending
    assert piping.client._phase.name == "LEAVING"


def test_a_terminal_is_read_whatever_waits(chatting: Stay) -> None:
    # Else Ctrl-C would not be seen.
    for _ in range(MAX_UNANSWERED + MAX_PENDING // 1000 + 10):
        chatting.client.entered("x" * 1000)
    assert chatting.client._pending.size < MAX_PENDING + 2000
    assert chatting.face.shown.count("too much at once") == 1
    assert chatting.face.listening
    chatting.client.leave()
    assert chatting.sent()[-1] == {"type": "leave"}


def test_it_never_sends_so_much_that_it_stops_reading(piping: Stay) -> None:
    # The transport does not read while it is congested, and neither does the
    # server's: both would wait for each other.
    lines = 500
    for _ in range(lines):
        piping.client.entered("\n👍" * 2000)
    piping.loop.tick(0)
    assert MAX_UNSENT < piping.client._connection.unsent < CONGESTED
    said = 0
    while said < lines:
        for frame in piping.sent():
            piping.server.send(echo(frame))
            piping.loop.tick(0)
            said += 1


def test_who_does_not_read_our_output_holds_the_network_back(piping: Stay) -> None:
    piping.client.hold_back(True)
    piping.hear(MESSAGE)
    assert not piping.face.speech
    piping.client.hold_back(False)
    piping.tick()
    assert len(piping.face.speech) == 1


# -- what is asked beside -------------------------------------------------------


MEMBERS: Fields = {
    "type": "members",
    "room": "lobby",
    "members": ["anna", "bob", "eve"],
    "more": False,
}
ROOMS: Fields = {"type": "rooms", "rooms": [{"room": "tea", "count": 1}], "more": False}
CAPITALS = "all capitals: that would be strike 1 of 2, a warning; Enter again to send"


def test_a_person_knows_the_names_without_asking(chatting: Stay) -> None:
    shown = list(chatting.face.lines)
    asked = [frame["type"] for frame in chatting.all_sent()]
    assert asked == ["ping", "who", "rooms"]
    chatting.hear(MEMBERS, ROOMS)
    assert chatting.face.lines == shown
    assert chatting.client.completions("hi b").options == ("bob ",)
    assert chatting.client.completions("/join t").options == ("tea ",)
    chatting.client.entered("/who")
    chatting.hear(MEMBERS)
    assert chatting.face.lines[-1].endswith("in lobby: anna bob eve")


def test_a_script_asks_nothing(piping: Stay) -> None:
    assert piping.all_sent() == []
    piping.wait(INTERVAL * 3)
    assert all("data" not in frame for frame in piping.all_sent())


def test_names_are_asked_for_again_after_coming_back(chatting: Stay) -> None:
    chatting.cut()
    chatting.come_back()
    chatting.server.send(WELCOME, ROOM | {"last_id": 1})
    assert [frame["type"] for frame in chatting.all_sent()] == ["history"]
    chatting.hear(HISTORY | {"messages": [MESSAGE]})
    asked = [frame["type"] for frame in chatting.all_sent()]
    assert asked == ["ping", "who", "rooms"]


def rtt(stay: Stay) -> float | None:
    """What the user is told of the way to the server."""
    return stay.face.status_now.rtt


def test_the_round_trip_is_measured(chatting: Stay) -> None:
    shown = list(chatting.face.lines)
    ping = chatting.all_sent()[0]
    assert rtt(chatting) is None
    chatting.clock.time += 0.25
    chatting.hear({"type": "pong", "data": ping["data"]}, {"type": "pong"})
    assert rtt(chatting) == 0.25
    assert chatting.face.lines == shown
    chatting.wait(INTERVAL)
    assert [frame["type"] for frame in chatting.all_sent()] == ["ping"]
    chatting.cut()
    assert rtt(chatting) is None


def test_pings_of_one_s_own_are_no_sign_of_life(chatting: Stay) -> None:
    chatting.wait(3 * SILENCE)
    assert "no answer for 30 s" in chatting.face.shown


def test_a_search_waits_until_what_was_missed_is_there(chatting: Stay) -> None:
    chatting.cut()
    chatting.client.entered("/search hello")
    chatting.come_back()
    chatting.server.send(WELCOME, ROOM | {"last_id": 1})
    assert [frame.get("after") for frame in chatting.sent()] == [0]
    chatting.hear(HISTORY | {"messages": [MESSAGE]})
    assert chatting.sent() == [{"type": "history", "limit": PAGE}]
    chatting.hear(MEMBERS, ROOMS, HISTORY | {"messages": [MESSAGE]})
    assert "search for hello: 1 found" in chatting.face.shown
    far = "end of search; searched all 1 message kept of lobby"
    assert chatting.face.lines[-1].endswith(far)
    assert chatting.face.shown.count("<bob> hello") == 2


def test_a_search_ends_with_the_connection(chatting: Stay) -> None:
    chatting.client.entered("/search hello")
    chatting.sent()
    chatting.cut()
    word = "search for hello: ended, as the connection was lost"
    assert word in chatting.face.shown


def test_a_history_that_the_user_asks_for_while_searching(chatting: Stay) -> None:
    chatting.client.entered("/search nothing")
    chatting.client.entered("/history 1")
    assert [frame.get("limit") for frame in chatting.sent()] == [PAGE, 1]
    page = HISTORY | {"messages": [MESSAGE]}
    chatting.hear(page, page)
    assert chatting.face.shown.count("<bob> hello") == 1
    assert chatting.face.shown.count("history of lobby") == 1
    assert chatting.face.shown.count("nothing found") == 1


# -- hints, bells and those who are ignored -------------------------------------


def test_a_shout_is_objected_to(chatting: Stay) -> None:
    chatting.hear(WARNING | {"strikes": 0})
    assert chatting.client.objection("HEY") == CAPITALS
    assert chatting.client.objection("hey") is None
    chatting.cut()
    assert chatting.client.objection("HEY") == CAPITALS, "it will be judged"
    chatting.client.entered("HEY")
    again = chatting.client.objection("HEY")
    assert again is not None
    assert "strike 2 of 2, a kick" in again


def test_what_is_asked_is_no_text(stay: Stay) -> None:
    stay.sent()
    stay.hear(WRONG)
    assert stay.client.objection("SESAME") is None
    assert stay.client.completions("/h").options == ()


def test_whoever_is_ignored_is_not_heard(chatting: Stay) -> None:
    chatting.client.entered("/ignore BOB")
    whisper = {"type": "whisper", "from": "bob", "to": "anna", "text": "psst", "at": 0}
    chatting.hear(MESSAGE, whisper)
    assert not chatting.face.speech
    assert not chatting.face.bells
    chatting.client.entered("/history")
    chatting.hear(HISTORY | {"messages": [MESSAGE]})
    assert chatting.face.lines[-1].endswith(
        "1 message of those that you ignore: left out"
    )
    chatting.client.entered("/r so")
    assert chatting.face.lines[-1].endswith("nobody has whispered to you")


def test_an_answer_goes_to_who_had_whispered_when_it_was_typed(chatting: Stay) -> None:
    whisper = {"type": "whisper", "from": "bob", "to": "anna", "text": "psst", "at": 0}
    chatting.hear(whisper)
    chatting.cut()
    chatting.client.entered("/r for bob")
    chatting.come_back()
    chatting.server.welcome()
    chatting.server.send(whisper | {"from": "eve"})
    assert [frame["to"] for frame in chatting.sent()] == ["bob"]


def test_nothing_that_was_missed_rings(chatting: Stay) -> None:
    chatting.cut()
    chatting.come_back()
    chatting.server.send(WELCOME, ROOM | {"last_id": 1})
    chatting.hear(HISTORY | {"messages": [MESSAGE | {"text": "anna!"}]})
    assert len(chatting.face.speech) == 1
    assert chatting.face.bells == 0


# -- leaving --------------------------------------------------------------------


def test_at_the_end_of_input_all_is_answered_first(piping: Stay) -> None:
    piping.client.entered("one")
    piping.client.entered("two")
    piping.client.input_ended()
    one, two = piping.sent()
    piping.hear(echo(one))
    assert piping.sent() == []
    piping.hear({"type": "error", "code": "muted", "text": "x", "ref": two["ref"]})
    assert piping.sent() == [{"type": "leave"}]
    assert not piping.over
    piping.hear(LEAVE_KICK)
    assert piping.outcome() == 0


def test_nothing_to_say_leaves_at_once(piping: Stay) -> None:
    piping.client.input_ended()
    assert piping.sent() == [{"type": "leave"}]


def test_leaving_by_saying_so(chatting: Stay) -> None:
    chatting.client.entered("!leave")
    chatting.hear(LEAVE_KICK)
    assert chatting.outcome() == 0
    assert "you have left" in chatting.face.shown


def test_quit_does_not_wait_for_ever(chatting: Stay) -> None:
    chatting.client.entered("/quit")
    chatting.client.entered("too late")
    assert chatting.sent() == [{"type": "leave"}]
    assert not chatting.over
    chatting.clock.time += LEAVE_PATIENCE
    assert chatting.outcome() == 0


def test_who_leaves_twice_does_not_wait(chatting: Stay) -> None:
    chatting.client.entered("hello")
    chatting.client.leave()
    assert not chatting.over
    chatting.client.leave()
    assert chatting.outcome() == 0
    assert chatting.face.shown.endswith("-- not confirmed: 1 of your messages")


@pytest.mark.parametrize("end", ["kick", "close", "time"])
def test_a_signal_says_good_bye(chatting: Stay, end: str) -> None:
    chatting.client.interrupt(signal.SIGTERM)
    assert chatting.sent() == [{"type": "leave"}]
    assert not chatting.over
    if end == "kick":
        chatting.hear(LEAVE_KICK)
    elif end == "close":
        chatting.server.hang_up()
    else:
        chatting.clock.time += SIGNAL_PATIENCE
    assert chatting.outcome() == 128 + signal.SIGTERM
    assert chatting.client.in_a_hurry


def test_a_signal_before_the_welcome(stay: Stay) -> None:
    stay.client.interrupt(signal.SIGINT)
    assert stay.outcome() == 130


@pytest.mark.parametrize(
    ("reason", "code"),
    [("shouting", 3), ("operator", 3), ("banned", 3), ("replaced", 3), ("new", 3)],
)
def test_a_kick_ends_it(chatting: Stay, reason: str, code: int) -> None:
    chatting.client.entered("hello")
    chatting.hear({"type": "kick", "reason": reason, "text": "go"}, MESSAGE)
    assert chatting.outcome() == code
    assert "KICKED" in chatting.face.shown
    assert not chatting.face.speech, "nothing counts after a kick"


def test_leaving_while_the_server_stops_is_leaving(chatting: Stay) -> None:
    chatting.client.leave()
    chatting.hear({"type": "kick", "reason": "shutdown", "text": "x"})
    assert chatting.outcome() == 0


# -- coming back ------------------------------------------------------------------

LOST = "the connection to 127.0.0.1:99 is lost: the server has closed it"
REFUSED = "cannot connect to 127.0.0.1:99: Connection refused"


def test_a_connection_that_is_lost_is_sought_again(chatting: Stay) -> None:
    chatting.cut()
    assert chatting.face.lines[-1].endswith(f"-- {LOST}; next try in 1 s")
    state = "connection lost; next try in 1 s"
    assert chatting.face.status_now == Status("lobby", "", "anna", 2, state=state)
    assert chatting.face.prompted == "> "
    hello = chatting.come_back()
    assert hello == {
        "type": "hello",
        "version": 1,
        "nick": "anna",
        "room": "lobby",
        "session": "secret",
    }
    assert chatting.face.status_now.state == "connecting"
    chatting.server.welcome()
    chatting.tick()
    assert chatting.face.status_now.state == ""
    assert "connected to chatroom/9.9.9 again" in chatting.face.shown
    assert chatting.face.shown.count("/help tells") == 1
    chatting.client.entered("still here")
    assert [frame["text"] for frame in chatting.sent()] == ["still here"]


@pytest.mark.parametrize("reason", ["shutdown", "idle"])
def test_a_kick_that_ends_only_the_connection(chatting: Stay, reason: str) -> None:
    chatting.hear({"type": "kick", "reason": reason, "text": "so\x1b long"}, MESSAGE)
    assert chatting.face.lines[-1].endswith(
        f"-- 127.0.0.1:99 has ended the connection ({reason}): so␛ long; "
        "next try in 1 s"
    )
    assert not chatting.face.speech
    assert chatting.come_back()["session"] == "secret"


@pytest.mark.parametrize("reason", ["shouting", "operator", "banned", "replaced"])
def test_after_other_kicks_it_stays_away(chatting: Stay, reason: str) -> None:
    chatting.hear({"type": "kick", "reason": reason, "text": "go"})
    assert chatting.outcome() == 3
    chatting.wait(100)
    with pytest.raises(BlockingIOError):
        chatting.server.listener.setblocking(False)
        chatting.server.listener.accept()


def test_a_kick_on_the_way_back_is_final(chatting: Stay) -> None:
    chatting.cut()
    chatting.come_back()
    chatting.hear({"type": "kick", "reason": "banned", "text": "go"})
    assert chatting.outcome() == 3


def test_a_guest_asks_for_no_name(stay: Stay) -> None:
    stay.sent()
    stay.server.welcome(nick="guest-3")
    stay.tick()
    stay.cut()
    hello = stay.come_back()
    assert "nick" not in hello
    assert hello["session"] == "secret"


def test_the_name_that_one_had_last_is_asked_for(chatting: Stay) -> None:
    chatting.hear({"type": "renamed", "room": "lobby", "old": "anna", "new": "eve"})
    chatting.cut()
    assert chatting.come_back()["nick"] == "eve"


def test_the_first_connection_that_fails_is_an_error(
    loop: Loop, clock: FakeClock, server: FakeServer
) -> None:
    for stay in make_stay(loop, clock, server, FakeFace()):
        stay.sent()
        stay.server.hang_up()
        assert stay.outcome() == LOST


def test_lost_before_the_first_room_is_no_failure(stay: Stay) -> None:
    stay.sent()
    stay.hear(WELCOME)
    stay.cut()
    assert not stay.over
    assert stay.come_back()["room"] == "tea"
    stay.server.welcome()
    stay.tick()
    assert stay.face.opened
    assert "/help tells" in stay.face.shown


def test_a_script_is_not_listened_to_before_the_first_room(
    loop: Loop, clock: FakeClock, server: FakeServer
) -> None:
    for stay in make_stay(loop, clock, server, FakeFace(interactive=False)):
        stay.sent()
        stay.hear(WELCOME)
        stay.cut()
        assert not stay.face.listening


def test_somebody_has_the_name_meanwhile(chatting: Stay) -> None:
    chatting.cut()
    assert chatting.come_back()["nick"] == "anna"
    names = []
    for _ in range(4):
        chatting.hear(TAKEN)
        (hello,) = chatting.sent()
        assert hello["session"] == "secret"
        names.append(hello["nick"])
    assert names == ["anna_", "anna__", "anna___", "anna____"]
    chatting.server.welcome(nick="anna____")
    chatting.tick()
    assert chatting.face.status_now.nick == "anna____"
    assert "you are now anna____" in chatting.face.shown


def test_all_names_are_taken(chatting: Stay) -> None:
    chatting.cut()
    chatting.come_back()
    for _ in range(5):
        chatting.hear(TAKEN)
    assert "anna is taken; next try in 1 s" in chatting.face.lines[-1]
    assert chatting.come_back(1)["nick"] == "anna"


def test_an_alias_is_no_longer_than_a_name_may_be(stay: Stay) -> None:
    stay.sent()
    stay.server.welcome(nick="a" * 32)
    stay.tick()
    stay.cut()
    stay.come_back()
    stay.hear(TAKEN)
    assert stay.sent()[0]["nick"] == "a" * 31 + "_"


@pytest.mark.parametrize("code", ["full", "timeout", "internal"])
def test_not_let_in_for_now(chatting: Stay, code: str) -> None:
    chatting.cut()
    for wait in (0.5, 1, 2):
        chatting.come_back(wait)
        chatting.hear({"type": "error", "code": code, "text": "not\x1b now"})
    assert chatting.face.lines[-1].endswith("let you in: not␛ now; next try in 4 s")
    assert not chatting.over


@pytest.mark.parametrize("code", ["version", "banned", "password", "not-allowed"])
def test_not_let_in_for_good(chatting: Stay, code: str) -> None:
    chatting.client.entered("one")
    chatting.cut()
    chatting.come_back()
    chatting.hear({"type": "error", "code": code, "text": "never"})
    assert chatting.outcome() == (
        "127.0.0.1:99 does not let you in: never; not confirmed: 1 of your messages"
    )


def test_what_breaks_the_protocol_is_not_sought_again(chatting: Stay) -> None:
    chatting.hear({"type": "kick"})
    assert chatting.outcome() == (
        "127.0.0.1:99 breaks the protocol: the server sent a kick frame without a "
        "valid reason"
    )


# -- what was typed while it was away ----------------------------------------------


def test_what_was_owed_comes_first_and_then_what_was_typed(chatting: Stay) -> None:
    for line in ("one", "two", "three"):
        chatting.client.entered(line)
    chatting.sent()
    chatting.cut()
    chatting.client.entered("four")
    chatting.client.entered("five")
    assert chatting.face.shown.count("kept: it is said when") == 1
    chatting.come_back()
    chatting.client.entered("/nick eve")
    chatting.server.send(WELCOME | {"last_ref": "1"}, ROOM | {"last_id": 1})
    (question,) = chatting.sent()
    assert question == {"type": "history", "after": 0, "limit": PAGE}
    chatting.client.entered("six")
    assert chatting.sent() == []
    one = MESSAGE | {"from": "anna", "text": "one", "ref": "1"}
    chatting.hear(HISTORY | {"messages": [one]})
    said = [(f["type"], f.get("text"), f.get("ref")) for f in chatting.sent()]
    assert said == [
        ("say", "two", "2"),
        ("say", "three", "3"),
        ("say", "four", "4"),
        ("say", "five", "5"),
        ("nick", None, None),
        ("say", "six", "6"),
    ]


def test_what_was_missed_is_marked(chatting: Stay) -> None:
    chatting.cut()
    chatting.come_back()
    chatting.server.send(WELCOME, ROOM | {"last_id": 2})
    chatting.sent()
    message = MESSAGE | {"at": int(time.time() * 1000)}
    chatting.hear(HISTORY | {"messages": [message, message | {"id": 2}]})
    chatting.hear(message | {"id": 3})
    shown = [line[6:] for line in chatting.face.lines[-5:]]
    assert shown == [
        "-- what you missed:",
        "~ <bob> hello",
        "~ <bob> hello",
        "-- that is what you missed; from here on it is live",
        "<bob> hello",
    ]
    assert len(chatting.face.speech) == 3


@pytest.mark.parametrize("line", ["/quit", "!leave", " !leave "])
def test_leaving_while_away(chatting: Stay, line: str) -> None:
    chatting.client.entered("one")
    chatting.cut()
    chatting.client.entered("two")
    chatting.client.entered(line)
    assert chatting.outcome() == 0
    assert chatting.face.lines[-1].endswith(
        "-- not confirmed: 1 of your messages; not sent: 1 line"
    )


def test_help_while_away(chatting: Stay) -> None:
    chatting.cut()
    chatting.client.entered("/help")
    chatting.client.entered("/foo")
    assert "/history [N]" in chatting.face.shown
    assert "there is no /foo" in chatting.face.shown
    assert "kept: " not in chatting.face.shown


def test_too_much_typed_while_away(chatting: Stay) -> None:
    chatting.cut()
    for _ in range(MAX_PENDING // 1000 + 10):
        chatting.client.entered("x" * 1000)
    assert chatting.face.shown.count("too much at once") == 1
    assert chatting.client._pending.size < MAX_PENDING + 2000


def test_leaving_on_the_way_back_says_good_bye(chatting: Stay) -> None:
    chatting.client.entered("one")
    chatting.cut()
    chatting.client.entered("two")
    chatting.come_back()
    chatting.server.send(WELCOME, ROOM | {"last_id": 1})
    chatting.sent()
    chatting.client.leave()
    assert chatting.sent() == [{"type": "leave"}]
    chatting.hear(LEAVE_KICK)
    assert chatting.outcome() == 0
    assert "not confirmed: 1 of your messages; not sent: 1 line" in chatting.face.shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_away(chatting: Stay, number: int) -> None:
    chatting.cut()
    chatting.client.interrupt(number)
    assert chatting.outcome() == 128 + number


def test_input_that_ends_while_away_is_the_end(chatting: Stay) -> None:
    # Of a terminal that is there no more, or of one that is read line by line.
    chatting.cut()
    chatting.client.input_ended()
    assert chatting.outcome() == 0


def test_nobody_waits_for_ever_for_who_has_ended_the_input(chatting: Stay) -> None:
    chatting.client.entered("one")
    chatting.client.input_ended()
    chatting.cut()
    assert not chatting.over
    chatting.server.listener.close()
    chatting.wait(GIVE_UP)
    assert str(chatting.outcome()).endswith("; not confirmed: 1 of your messages")


@pytest.mark.parametrize("after", ["", "never said"])
def test_who_has_said_leave_does_not_come_back(chatting: Stay, after: str) -> None:
    chatting.client.entered("!leave")
    chatting.client.entered(after)
    chatting.cut()
    assert chatting.outcome() == 0
    assert "not confirmed" not in chatting.face.shown


def test_who_has_said_leave_behind_something_else_comes_back(chatting: Stay) -> None:
    chatting.client.entered("one")
    chatting.client.entered("!leave")
    one, _ = chatting.sent()
    chatting.cut()
    chatting.come_back()
    chatting.server.send(WELCOME | {"session": "new"}, ROOM | {"last_id": 1})
    chatting.sent()
    chatting.hear(HISTORY | {"messages": [echo(one)]})
    assert [frame["text"] for frame in chatting.sent()] == ["!leave"]
    chatting.hear(LEAVE_KICK)
    assert chatting.outcome() == 0


# -- what can go wrong on the way back ---------------------------------------------


def test_a_history_that_cannot_be_read_is_asked_for_later(chatting: Stay) -> None:
    chatting.cut()
    chatting.come_back()
    chatting.server.send(WELCOME, ROOM | {"last_id": 1})
    (question,) = chatting.sent()
    chatting.hear({"type": "error", "code": "internal", "text": "try again"})
    assert chatting.sent() == []
    chatting.clock.time += HISTORY_PATIENCE
    assert chatting.sent() == [question]
    chatting.hear({"type": "error", "code": "internal", "text": "try again"})
    chatting.cut()
    chatting.come_back()
    chatting.server.send(WELCOME, ROOM | {"last_id": 1})
    assert chatting.sent() == [question]
    chatting.clock.time += HISTORY_PATIENCE
    assert chatting.sent() == [], "asked once, on this connection"


def test_a_kick_while_catching_up(chatting: Stay) -> None:
    chatting.client.entered("one")
    chatting.cut()
    chatting.come_back()
    chatting.server.send(WELCOME, ROOM | {"last_id": 1})
    (question,) = chatting.sent()
    chatting.hear({"type": "kick", "reason": "shutdown", "text": "x"})
    chatting.come_back()
    chatting.server.send(WELCOME, ROOM | {"last_id": 1})
    assert chatting.sent() == [question]
    chatting.hear(HISTORY | {"messages": [MESSAGE]})
    assert [frame["text"] for frame in chatting.sent()] == ["one"]


def test_what_is_owed_waits_for_a_slow_server_too(piping: Stay) -> None:
    lines = 300
    for _ in range(lines):
        piping.client.entered("\n👍" * 2000)
    piping.loop.tick(0)
    piping.cut()
    piping.come_back()
    piping.server.welcome()
    piping.loop.tick(0)
    said = 0
    while said < lines:
        assert piping.client._connection.unsent < CONGESTED
        for frame in piping.sent():
            said += 1
            piping.server.send(echo(frame) | {"id": said})
            piping.loop.tick(0)


def test_who_does_not_read_our_output_is_waited_for_after_all(piping: Stay) -> None:
    piping.client.hold_back(True)
    piping.client.lost(ConnectError("gone"))
    hello = piping.come_back()
    assert hello["session"] == "secret"
    piping.server.welcome()
    piping.hear(MESSAGE)
    assert piping.face.speech == []
    piping.client.hold_back(False)
    piping.tick()
    assert len(piping.face.speech) == 1


def test_a_script_gives_up(piping: Stay) -> None:
    for line in ("one", "two"):
        piping.client.entered(line)
    (one, _) = piping.sent()
    piping.hear(echo(one))
    piping.server.listener.close()
    piping.cut()
    piping.client.entered("three")
    piping.wait(GIVE_UP - 0.1)
    assert not piping.over
    piping.wait(0.1)
    assert piping.outcome() == (
        f"{REFUSED}; given up after 20 s; "
        "not confirmed: 1 of your messages; not sent: 1 line"
    )


def test_a_person_is_never_given_up(chatting: Stay) -> None:
    chatting.server.listener.close()
    chatting.cut()
    chatting.wait(3600)
    assert not chatting.over
    assert chatting.face.shown.count(REFUSED) == 6


def test_not_let_in_until_it_gives_up(piping: Stay) -> None:
    piping.cut()
    for wait in (0.5, 1, 2, 4, 8):
        piping.come_back(wait)
        piping.hear({"type": "error", "code": "full", "text": "full"})
    piping.wait(GIVE_UP - 15.5)
    assert piping.outcome() == (
        "127.0.0.1:99 does not let you in: full; given up after 20 s"
    )


def test_a_script_whose_input_ends_while_away(piping: Stay) -> None:
    piping.client.entered("one")
    piping.cut()
    piping.client.entered("two")
    piping.client.input_ended()
    assert not piping.over
    piping.come_back()
    piping.server.welcome()
    one, two = piping.sent()
    assert (one["text"], two["text"]) == ("one", "two")
    piping.hear(echo(one), echo(two) | {"id": 2})
    assert piping.sent() == [{"type": "leave"}]
    piping.hear(LEAVE_KICK)
    assert piping.outcome() == 0


def test_a_script_with_nothing_left_to_say_still_hears_what_it_missed(
    piping: Stay,
) -> None:
    piping.cut()
    piping.client.input_ended()
    piping.come_back()
    piping.server.send(WELCOME, ROOM | {"last_id": 1})
    assert [frame["type"] for frame in piping.sent()] == ["history"]
    piping.hear(HISTORY | {"messages": [MESSAGE]})
    assert len(piping.face.speech) == 1
    assert piping.sent() == [{"type": "leave"}]


def test_a_script_is_read_while_away(piping: Stay) -> None:
    piping.cut()
    listening = [piping.face.listening]
    for _ in range(MAX_PENDING // 100 + 1):
        piping.client.entered("y" * 100)
    listening.append(piping.face.listening)
    assert listening == [True, False]
    piping.come_back()
    piping.server.welcome()
    assert len(piping.sent()) > 100


def test_nothing_happens_after_the_end(chatting: Stay) -> None:
    chatting.client.entered("!leave")
    chatting.hear(LEAVE_KICK)
    chatting.client.lost(ConnectError("late"))
    assert chatting.outcome() == 0
    assert chatting.loop.timers == 0


# -- what else can go wrong -----------------------------------------------------


def test_a_reader_that_has_gone_is_no_error(piping: Stay) -> None:
    piping.client.output_failed(BrokenPipeError())
    assert piping.outcome() == 1


def test_a_full_disk_is_one_line(piping: Stay) -> None:
    piping.client.output_failed(OSError(28, "No space left on device"))
    assert piping.outcome() == "cannot write the output: No space left on device"


def test_a_mistake_of_ours_is_raised_at_the_end(chatting: Stay) -> None:
    chatting.client.crash(KeyError("ours"))
    chatting.client.crash(ValueError("later"))
    with pytest.raises(KeyError):
        chatting.client.outcome()


# -- what comes out later -----------------------------------------------------------


def joined(nick: str) -> Fields:
    return {"type": "joined", "room": "lobby", "nick": nick}


def test_a_crowd_is_told_before_the_end(chatting: Stay) -> None:
    chatting.hear(joined("eve"), joined("bob"))
    chatting.server.hang_up()
    chatting.client.interrupt(2)
    tick_until(chatting.loop, lambda: chatting.over)
    assert "bob has joined" in chatting.face.shown
    assert not chatting.loop.timers


def test_a_mark_stands_where_the_user_stopped_reading(chatting: Stay) -> None:
    chatting.client.reading(False)
    chatting.hear(MESSAGE)
    assert "-- unread since " in chatting.face.shown
