"""One user's stay: a fake face on one side, a fake server on the other."""

import itertools
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from chatroom.client.client import (
    LEAVE_PATIENCE,
    MAX_PENDING,
    MAX_QUESTIONS,
    MAX_UNANSWERED,
    MAX_UNSENT,
    SIGNAL_PATIENCE,
    Client,
)
from chatroom.client.frames import Fields
from chatroom.client.options import Options
from chatroom.client.render import Renderer
from chatroom.client.session import Session
from chatroom.errors import BadPeer, ChatroomError, ConnectError
from chatroom.net.loop import Loop
from chatroom.net.transport import CONGESTED
from tests.client.fakes import (
    EVERY_FRAME,
    MESSAGE,
    FakeClock,
    FakeFace,
    FakeServer,
    tick_until,
)

LEAVE_KICK: Fields = {"type": "kick", "reason": "leave", "text": "bye"}
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
        """What the client has sent."""
        self.tick()
        return self.server.frames()

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
    options = Options("127.0.0.1", 99, "anna", "tea")
    targets = [(socket.AF_INET, server.address)]
    client = Client(loop, options, targets, Renderer())
    client.session = Session(map(str, itertools.count(1)).__next__)
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
    assert stay.face.prompted == "[lobby] anna> "
    assert "welcome to chatroom/9.9.9" in stay.face.shown


def test_ping_is_answered_before_and_after_the_welcome(stay: Stay) -> None:
    stay.sent()
    stay.hear({"type": "ping"}, {"type": "ping", "data": "é"})
    assert stay.sent() == [{"type": "pong"}, {"type": "pong", "data": "é"}]


def test_the_prompt_follows_nick_and_room(chatting: Stay) -> None:
    chatting.hear({"type": "renamed", "room": "lobby", "old": "anna", "new": "a\x1b"})
    assert chatting.face.prompted == "[lobby] a␛> "


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
    assert stay.face.opened
    stay.client.entered("  ")
    stay.client.entered("two words")
    assert "a nick is made of" in stay.face.shown
    stay.client.entered(" anne ")
    stay.loop.tick(1)
    stay.server.accept()
    assert stay.sent()[0]["nick"] == "anne"
    stay.server.welcome(nick="anne")
    stay.tick()
    assert stay.face.prompted == "[lobby] anne> "


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


@pytest.mark.parametrize("code", ["full", "version", "banned", "password", "timeout"])
def test_other_refusals_are_final(stay: Stay, code: str) -> None:
    stay.hear({"type": "error", "code": code, "text": "no\x1b\nway"})
    assert stay.outcome() == "127.0.0.1:99 does not let you in: no␛␊way"


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
    assert chatting.client._pending_size < MAX_PENDING + 2000
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


@pytest.mark.parametrize("reason", ["shutdown", "idle"])
def test_a_kick_that_ends_only_the_connection(chatting: Stay, reason: str) -> None:
    chatting.hear({"type": "kick", "reason": reason, "text": "so\x1b long"})
    assert chatting.outcome() == (
        f"127.0.0.1:99 has ended the connection ({reason}): so␛ long"
    )


def test_leaving_while_the_server_stops_is_leaving(chatting: Stay) -> None:
    chatting.client.leave()
    chatting.hear({"type": "kick", "reason": "shutdown", "text": "x"})
    assert chatting.outcome() == 0


def test_a_lost_connection(chatting: Stay) -> None:
    chatting.server.hang_up()
    assert chatting.outcome() == (
        "the connection to 127.0.0.1:99 is lost: the server has closed it"
    )


def test_a_lost_connection_tells_what_is_not_confirmed(piping: Stay) -> None:
    piping.client.entered("one")
    piping.client.entered("two")
    (one, _) = piping.sent()
    piping.hear(echo(one))
    piping.server.hang_up()
    tick_until(piping.loop, lambda: piping.over)
    with pytest.raises(ConnectError, match="; not confirmed: 1 of your messages"):
        piping.client.outcome()


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
