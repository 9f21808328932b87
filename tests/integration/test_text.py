"""What may be said: the rules for a text, and that it arrives just as it came."""

import pytest

from tests.support.server import Server
from tests.support.waiting import fresh

OPTIONS = ("--rate", "0")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "  spaces around  ",
        "\nline\n\n",
        "tab\there",
        "e\u0301 is not é",
        "ﬁ ² Å",
        'quote " backslash \\ slash / <b>&amp;</b>',
        "\u200b",
        "zero\u200dwidth\ufeff",
        "نص عربي",
        "👩‍👩‍👧‍👦 🏳️‍🌈",
        "\u00ad\u2060\ufffd\ufffe\U0010ffff",
        "'; drop table messages; --",
        "%s {0} %(x)s",
        "x" * 4000,
        "\U0001f600" * 4000,
        '"' * 4000,
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_a_text_arrives_exactly_as_it_came(server: Server, text: str) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say(text)
    anna.expect("message", text=text)
    bob.expect("message", text=text)
    anna.send("whisper", to=bob.nick, text=text)
    anna.expect("whisper", text=text)
    bob.expect("whisper", text=text)
    assert [message["text"] for message in bob.history()["messages"]] == [text]


FORBIDDEN = [
    *(chr(code) for code in range(0x20) if chr(code) not in "\n\t"),
    *(chr(code) for code in range(0x7F, 0xA0)),
    "\u2028",
    "\u2029",
    "\u061c",
    *(chr(code) for code in range(0x202A, 0x202F)),
    *(chr(code) for code in range(0x2066, 0x206A)),
]


def test_characters_that_no_text_may_hold(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    for character in FORBIDDEN:
        for text in (
            character,
            f"a{character}b",
            f"A{character}",
            f"!leave{character}",
        ):
            anna.say(text, ref="r")
            assert anna.expect_error("text-invalid")["ref"] == "r", ascii(text)
            anna.send("whisper", to=bob.nick, text=text, ref="w")
            assert anna.expect_error("text-invalid")["ref"] == "w", ascii(text)
    anna.expect_nothing()
    bob.expect_nothing()


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "\t \n", "\u3000\u00a0", "\u2003" * 10], ids=ascii
)
def test_nothing_but_white_space(server: Server, text: str) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say(text)
    anna.expect_error("text-invalid")
    anna.send("whisper", to=bob.nick, text=text)
    anna.expect_error("text-invalid")
    bob.expect_nothing()


@pytest.mark.parametrize("text", ["x" * 4001, "\U0001f600" * 4001, "x" * 60000])
def test_too_long(server: Server, text: str) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say(text)
    anna.expect_error("text-too-long")
    anna.send("whisper", to=bob.nick, text=text)
    anna.expect_error("text-too-long")
    bob.expect_nothing()


def test_an_invalid_text_costs_no_strike(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    for text in ("LOUD\x07", "LOUD\u202e", "L" * 4001, "\x1b[2J"):
        anna.say(text)
        anna.expect("error")
        anna.send("whisper", to=bob.nick, text=text)
        anna.expect("error")
    anna.say("LOUD")
    anna.expect("warning", strikes=1)


def test_an_invalid_text_takes_no_number(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("one")
    anna.say("\x07")
    anna.say("LOUD")
    anna.say("two")
    assert bob.expect("message")["id"] == 1
    assert bob.expect("message")["id"] == 2


def test_invalid_before_the_addressee_is_looked_up(server: Server) -> None:
    anna = server.member("anna")
    anna.send("whisper", to=fresh("nobody"), text="\x07")
    anna.expect_error("text-invalid")
