"""Words for one member alone."""

import time

from tests.support.peer import encode, types
from tests.support.server import Server
from tests.support.waiting import fresh

OPTIONS = ("--rate", "0")


def test_a_whisper_reaches_both_ends_and_nobody_else(server: Server) -> None:
    anna, bob, carl = server.crew("anna", "bob", "carl")
    before = int(time.time() * 1000)
    anna.send("whisper", to=bob.nick, text="psst", ref="w1")
    sent = anna.expect("whisper", from_=anna.nick, to=bob.nick, text="psst", ref="w1")
    got = bob.expect("whisper", from_=anna.nick, to=bob.nick, text="psst", ref="w1")
    assert sent.payload == got.payload
    assert before - 1000 <= sent["at"] <= int(time.time() * 1000) + 1000
    carl.expect_nothing()
    assert carl.history()["messages"] == []


def test_across_rooms(server: Server) -> None:
    (anna,) = server.crew("anna")
    (bob,) = server.crew("bob")
    anna.send("whisper", to=bob.nick, text="over there?")
    bob.expect("whisper", from_=anna.nick)
    anna.expect("whisper")


def test_to_oneself_is_one_frame(server: Server) -> None:
    (anna,) = server.crew("anna")
    anna.send("whisper", to=anna.nick, text="note to self", ref="n")
    anna.expect("whisper", from_=anna.nick, to=anna.nick, ref="n")
    anna.expect_nothing()


def test_the_addressee_is_found_by_key(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send("whisper", to=bob.nick.upper(), text="psst")
    anna.expect("whisper", to=bob.nick)
    bob.expect("whisper", to=bob.nick)


def test_to_nobody(server: Server) -> None:
    anna = server.member("anna")
    for to in (fresh("nobody"), "", "no such nick", "x" * 500, "\n"):
        anna.send("whisper", to=to, text="psst", ref="n")
        assert anna.expect_error("no-such-nick")["ref"] == "n"
    anna.expect_nothing()


def test_to_somebody_who_has_left(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    bob.send("leave")
    anna.expect("left")
    anna.send("whisper", to=bob.nick, text="psst")
    anna.expect_error("no-such-nick")


def test_a_whispered_shout(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send("whisper", to=bob.nick, text="PSST", ref="w")
    anna.expect("warning", reason="shouting", strikes=1, ref="w")
    bob.expect_nothing()
    anna.send("whisper", to=bob.nick, text="PSST!")
    anna.expect("kick", reason="shouting")
    anna.expect_closed()
    bob.expect("left", nick=anna.nick, reason="shouting")
    bob.expect_nothing()


def test_a_shout_is_judged_before_its_addressee_is_looked_up(server: Server) -> None:
    anna = server.member("anna")
    anna.send("whisper", to=fresh("nobody"), text="HELLO")
    anna.expect("warning", strikes=1)
    anna.expect_nothing()


def test_whispering_that_one_leaves(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send("whisper", to=bob.nick, text="!leave")
    bob.expect("whisper", text="!leave")
    anna.expect("whisper", text="!leave")
    anna.send("whisper", to=bob.nick, text="!LEAVE")
    anna.expect("warning")


def test_whispers_keep_their_place_among_what_is_said(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_all(
        encode("say", text="one"),
        encode("whisper", to=bob.nick, text="two"),
        encode("say", text="three"),
        encode("whisper", to=bob.nick, text="four"),
    )
    for peer in (anna, bob):
        seen = peer.recv_until(lambda frame: frame.get("text") == "four")
        assert types(seen) == ["message", "whisper", "message", "whisper"]
        assert [frame["text"] for frame in seen] == ["one", "two", "three", "four"]
