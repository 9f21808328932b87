"""When a shout is one, what it costs, and what the options change about it."""

import time

import pytest

from tests.integration.conftest import Start
from tests.support.peer import encode
from tests.support.server import Server
from tests.support.waiting import fresh

OPTIONS = ("--rate", "0")

SHOUTS = [
    "A",
    "HELLO",
    "HELLO WORLD!!!",
    "  HI  ",
    "1, 2, 3, GO",
    "ÀÉÎ",
    "ПРИВЕТ",
    "ΑΒΓ",
    "日本 OK",
    "Ⓐ",
    "Ⅷ",
    "I",
    "😀 WOW 😀",
    "!LEAVE",
    " !LEAVE ",
    "X\nY",
    "A\u0301",
]
SPOKEN = [
    "a",
    "Hello",
    "hELLO",
    "HELLo",
    "123",
    "!!!",
    "日本語",
    "😀",
    "HELLOß",
    "AB\u00aa",
    "ǅ",
    "נמרוד",
    "MANY WORDS AND one",
]


@pytest.mark.parametrize("text", SHOUTS, ids=ascii)
def test_a_shout(server: Server, text: str) -> None:
    assert text.isupper()
    anna, bob = server.crew("anna", "bob")
    anna.say(text)
    anna.expect("warning", reason="shouting", strikes=1, limit=2)
    bob.expect_nothing()


@pytest.mark.parametrize("text", SPOKEN, ids=ascii)
def test_no_shout(server: Server, text: str) -> None:
    assert not text.isupper()
    anna, bob = server.crew("anna", "bob")
    anna.say(text)
    bob.expect("message", text=text)
    anna.expect("message", text=text)
    anna.expect_nothing()


def test_shouting_to_leave_does_not_leave(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("!LEAVE")
    anna.expect("warning")
    anna.say("!LEAVE")
    anna.expect("kick", reason="shouting")
    bob.expect("left", reason="shouting")


def test_what_lies_between_two_shouts_does_not_matter(server: Server) -> None:
    room = fresh("room")
    anna, bob = server.crew("anna", "bob", room=room)
    anna.say("LOUD")
    anna.expect("warning")
    for _ in range(5):
        anna.say("quiet")
    anna.send("nick", nick=fresh("annie"))
    anna.send("join", room=fresh("room"))
    anna.send("join", room=room)
    anna.sync()
    bob.sync()
    anna.say("LOUD")
    anna.expect("kick", reason="shouting")
    anna.expect_closed()
    bob.expect("left", reason="shouting")


def test_say_and_whisper_count_together(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send("whisper", to=bob.nick, text="LOUD")
    anna.expect("warning", strikes=1)
    anna.say("LOUD")
    anna.expect("kick", reason="shouting")


def test_strikes_are_not_those_of_the_nick(server: Server) -> None:
    anna = server.member("anna")
    anna.send_all(encode("say", text="LOUD"), encode("say", text="LOUD"))
    anna.expect("warning")
    anna.expect("kick")
    anna.expect_closed()
    again = server.peer()
    welcome, _ = again.hello(anna.nick)
    assert welcome["strikes"] == 0
    again.say("LOUD")
    again.expect("warning", strikes=1)


def test_kicked_at_once(start: Start) -> None:
    server = start("--strikes", "1")
    anna, bob = server.crew("anna", "bob")
    anna.say("LOUD")
    anna.expect("kick", reason="shouting")
    anna.expect_closed()
    bob.expect("left", nick=anna.nick, reason="shouting")


def test_kicked_at_the_third(start: Start) -> None:
    server = start("--strikes", "3")
    anna, bob = server.crew("anna", "bob")
    for strike in (1, 2):
        anna.say("LOUD")
        warning = anna.expect("warning", strikes=strike, limit=3)
        assert str(strike) in warning["text"]
        assert "3" in warning["text"]
    bob.expect_nothing()
    anna.say("LOUD")
    anna.expect("kick", reason="shouting")
    anna.expect_closed()
    bob.expect("left", nick=anna.nick, reason="shouting")


def test_the_fewest_letters_of_a_shout(start: Start) -> None:
    server = start("--shout-min-letters", "3")
    anna, bob = server.crew("anna", "bob")
    for text in ("OK", "O K", "A!", "1A2B3", "日本 OK 日本", "!L"):
        anna.say(text)
        bob.expect("message", text=text)
        anna.expect("message", text=text)
    for strike, text in ((1, "WOW"), (2, "A-B-C")):
        anna.say(text)
        if strike == 1:
            anna.expect("warning", strikes=1)
        else:
            anna.expect("kick", reason="shouting")
    bob.expect("left")


def test_a_strike_lapses(start: Start) -> None:
    server = start("--strike-lapse", "0.5")
    anna, bob = server.crew("anna", "bob")
    for _ in range(2):
        anna.say("LOUD")
        anna.expect("warning", strikes=1)
        time.sleep(0.55)  # nothing tells that a strike has lapsed
    anna.say("LOUD")
    anna.expect("warning", strikes=1)
    anna.say("LOUD")
    anna.expect("kick", reason="shouting")
    bob.expect("left")
