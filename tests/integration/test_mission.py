"""What the chat is for, over real sockets: say, be warned, be kicked, leave.

Each of the four behaviours stands alone first; then one client goes through all of
them with everything that it sends cut in different ways, and has to get the same.
"""

import random
import time
from collections.abc import Callable

import pytest

from tests.support.peer import Frame, Peer, encode, texts, types
from tests.support.server import Server
from tests.support.waiting import fresh


def test_what_one_says_reaches_everybody_and_the_sender(server: Server) -> None:
    anna, bob, carl = server.crew("anna", "bob", "carl")
    anna.say("hello, room", ref="a1")
    seen = [peer.expect("message") for peer in (anna, bob, carl)]
    assert seen[0]["from"] == anna.nick
    assert seen[0]["text"] == "hello, room"
    assert seen[0]["ref"] == "a1"
    assert seen[0]["id"] == 1
    assert seen[0].payload == seen[1].payload == seen[2].payload
    for peer in (anna, bob, carl):
        peer.expect_nothing()


def test_ids_go_up_by_one_and_the_time_does_not_go_back(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    for number in range(10):
        speaker = (anna, bob)[number % 2]
        speaker.say(f"line {number}")
        for peer in (anna, bob):
            peer.expect("message", id=number + 1, text=f"line {number}")
    times = [message["at"] for message in anna.history()["messages"]]
    assert times == sorted(times)


def test_the_time_of_a_message_is_that_of_saying_it(server: Server) -> None:
    """Also where the server had nothing to do for a while."""
    anna, bob = server.crew("anna", "bob")
    time.sleep(0.2)  # a while with nothing to do
    before = int(time.time() * 1000)
    anna.say("what time is it?")
    at = bob.expect("message")["at"]
    assert before - 1 <= at <= time.time() * 1000 + 1


def test_the_first_shout_warns_the_sender_alone(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("CAN YOU HEAR ME", ref="loud")
    warning = anna.expect("warning", reason="shouting", strikes=1, limit=2, ref="loud")
    assert "1" in warning["text"], "the text says which strike of how many"
    assert "2" in warning["text"]
    anna.expect_nothing()
    bob.expect_nothing()
    assert anna.history()["messages"] == []
    anna.say("sorry")
    bob.expect("message", id=1, text="sorry")


def test_the_second_shout_kicks(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("FIRST")
    anna.expect("warning")
    anna.say("SECOND")
    kick = anna.expect("kick", reason="shouting")
    assert kick["text"].strip()
    anna.expect_closed()
    bob.expect("left", nick=anna.nick, reason="shouting")
    bob.expect_nothing()


def test_one_is_not_warned_for_the_shout_of_another(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("ANNA")
    anna.expect("warning", strikes=1)
    bob.say("BOB")
    bob.expect("warning", strikes=1)
    bob.expect_nothing()
    anna.expect_nothing()


@pytest.mark.parametrize("text", ["!leave", "  !leave", "!leave \n", "\t!leave\u3000"])
def test_leave_by_saying_so(server: Server, text: str) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say(text)
    anna.expect("kick", reason="leave")
    anna.expect_closed()
    bob.expect("left", nick=anna.nick, reason="leave")
    bob.expect_nothing()


def test_leave_by_the_frame_for_it(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send("leave")
    anna.expect("kick", reason="leave")
    anna.expect_closed()
    bob.expect("left", nick=anna.nick, reason="leave")
    bob.expect_nothing()


@pytest.mark.parametrize(
    "text", ["!Leave", "! leave", "!leave now", "!!leave", "say !leave", "leave"]
)
def test_what_only_looks_like_leaving_is_said(server: Server, text: str) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say(text)
    anna.expect("message", text=text)
    bob.expect("message", text=text)


def test_nothing_behind_a_kick_has_any_effect(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_all(
        encode("say", text="!leave"),
        encode("say", text="too late"),
        encode("nick", nick=fresh("late")),
        encode("join", room=fresh("late")),
        encode("ping", data="late"),
    )
    assert types(anna.rest()) == ["kick"]
    bob.expect("left", nick=anna.nick, reason="leave")
    bob.expect_nothing()


Delivery = Callable[[Peer, list[bytes]], None]


def whole_frames(peer: Peer, frames: list[bytes]) -> None:
    """Each frame with a call of its own."""
    for frame in frames:
        peer.send_raw(frame)


def one_segment(peer: Peer, frames: list[bytes]) -> None:
    """All frames with one call."""
    peer.send_raw(b"".join(frames))


def bytewise(peer: Peer, frames: list[bytes]) -> None:
    """Each byte with a call of its own."""
    peer.send_bytewise(b"".join(frames))


def random_cuts(peer: Peer, frames: list[bytes]) -> None:
    """Cut anywhere, the same way on each run."""
    chance = random.Random(7)
    data = b"".join(frames)
    while data:
        size = chance.randint(1, 40)
        peer.send_raw(data[:size])
        data = data[size:]


@pytest.mark.parametrize("deliver", [whole_frames, one_segment, bytewise, random_cuts])
def test_a_life_is_the_same_however_it_is_cut(
    server: Server, deliver: Delivery
) -> None:
    room, nick = fresh("room"), fresh("anna")
    (bob,) = server.crew("bob", room=room)
    anna = server.peer()
    deliver(
        anna,
        [
            encode("hello", version=1, nick=nick, room=room),
            encode("say", text="good morning", ref="r1"),
            encode("say", text="WHO IS HERE?", ref="r2"),
            encode("say", text="   ", ref="r3"),
            encode("say", text="never mind", ref="r4"),
            encode("ping", data="still here"),
            encode("say", text="NOBODY?", ref="r5"),
            encode("say", text="not any more", ref="r6"),
        ],
    )
    frames = anna.rest()
    assert types(frames) == [
        "welcome", "room", "message", "warning", "error", "message", "pong", "kick",
    ]  # fmt: skip
    assert frames[1]["count"] == 2
    assert texts(frames) == ["good morning", "never mind"]
    assert [frame.get("ref") for frame in frames[2:]] == [
        "r1", "r2", "r3", "r4", None, None,
    ]  # fmt: skip
    assert frames[4]["code"] == "text-invalid"
    assert frames[7]["reason"] == "shouting"

    seen: list[Frame] = bob.sync()
    assert types(seen) == ["joined", "message", "message", "left"]
    assert [frame.payload for frame in seen[1:3]] == [
        frames[2].payload,
        frames[5].payload,
    ]
    assert seen[0]["nick"] == nick
    assert seen[3]["nick"] == nick
    assert seen[3]["reason"] == "shouting"


def test_a_life_split_at_every_single_byte(server: Server) -> None:
    """The half frame has surely been read when the other half comes."""
    room = fresh("room")
    (watcher,) = server.crew("watcher", room=room)
    nick = fresh("split")
    data = b"".join(
        [
            encode("hello", version=1, nick=nick, room=room),
            encode("say", text="héllo"),
            encode("say", text="!leave"),
        ]
    )
    for cut in range(1, len(data)):
        if cut % 40 == 0:  # the watcher is held to the rate too
            watcher.close()
            (watcher,) = server.crew("watcher", room=room)
        with server.peer() as peer:
            peer.send_raw(data[:cut])
            before = watcher.sync()
            peer.send_raw(data[cut:])
            assert types(peer.rest()) == ["welcome", "room", "message", "kick"], cut
            seen = before + watcher.recv_until(lambda frame: frame.type == "left")
            assert types(seen) == ["joined", "message", "left"], cut
