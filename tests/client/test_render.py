"""Frames as a person sees them."""

import json
import re
import time
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.frames import TABLE, Fields
from chatroom.client.lines import Paint, painted
from chatroom.client.render import JsonRenderer, Renderer, Shown, clock_time
from chatroom.client.session import Session
from tests.client.fakes import EVERY_FRAME, MESSAGE, ROOM, WELCOME

NOW = 12 * 3600.0
AT = 13 * 3600_000 + 5 * 60_000
WHISPER: Fields = {
    "type": "whisper",
    "from": "bob",
    "to": "anna",
    "text": "x",
    "at": AT,
}
EVIL = "\x1b]0;title\x07\x9b31m\u202e\x7f\u2028\r\n\t\x00\x1b[2J\x1bP\x1b\\"
OWN_SEQUENCE = re.compile("\x1b\\[[0-9;]*m")


@pytest.fixture(autouse=True, scope="module")
def utc() -> Iterator[None]:
    """Have local time be UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def session_of(nick: str = "anna") -> Session:
    session = Session()
    session.receive("welcome", WELCOME | {"nick": nick})
    session.receive("room", ROOM)
    return session


def shown(frame: Fields, nick: str = "anna") -> Shown | None:
    renderer = Renderer(now=lambda: NOW)
    return renderer.render(frame["type"], frame, session_of(nick))


def lines(frame: Fields, paint: Paint = Paint.NONE, nick: str = "anna") -> list[str]:
    found = shown(frame, nick)
    assert found is not None
    return painted_lines(found, paint)


def painted_lines(found: Shown | None, paint: Paint = Paint.NONE) -> list[str]:
    return [painted(line.spans, paint) for line in found.lines] if found else []


def test_messages_of_others_and_ones_own_are_told_apart() -> None:
    message = MESSAGE | {"at": AT}
    assert lines(message) == ["13:05 <bob> hello"]
    assert lines(message, nick="bob") == ["13:05 >bob< hello"]
    assert lines(message, Paint.COLOUR) == ["13:05 \x1b[36m<bob>\x1b[0m hello"]
    assert lines(message, Paint.COLOUR, "bob") == ["13:05 \x1b[1;32m>bob<\x1b[0m hello"]


def test_several_lines_are_indented_under_themselves() -> None:
    message = MESSAGE | {"at": AT, "text": "one\n13:05 <carl> I am carl\n"}
    assert lines(message) == [
        "13:05 <bob> one",
        "            13:05 <carl> I am carl",
        "            ",
    ]
    wide = lines(MESSAGE | {"from": "日本", "text": "a\nb"})
    assert wide[1] == " " * (6 + 6 + 1) + "b"


def test_whispers_are_apart() -> None:
    assert lines(WHISPER) == ["13:05 <whisper from bob> x"]
    assert lines(WHISPER, nick="bob") == ["13:05 >whisper to anna< x"]


def test_a_warning_cannot_be_missed() -> None:
    frame = {"type": "warning", "reason": "shouting", "strikes": 1, "limit": 2}
    frame["text"] = "not so loud"
    assert lines(frame) == ["12:00 *** WARNING: not so loud"]
    assert lines(frame, Paint.MONO) == [
        "12:00 \x1b[1;7m*** WARNING: not so loud\x1b[0m"
    ]
    assert lines(frame, Paint.COLOUR) == [
        "12:00 \x1b[1;7;31m*** WARNING: not so loud\x1b[0m"
    ]


def test_a_kick_cannot_be_missed() -> None:
    frame = {"type": "kick", "reason": "operator", "text": "enough\nof it"}
    assert lines(frame) == [
        "12:00 *** KICKED (operator): enough",
        "                             of it",
    ]
    assert all("\x1b[1;7;31m" in line for line in lines(frame, Paint.COLOUR))


def test_leaving_is_no_kick() -> None:
    assert lines({"type": "kick", "reason": "leave", "text": "bye"}) == [
        "12:00 -- you have left"
    ]


@pytest.mark.parametrize("reason", ["shutdown", "idle"])
def test_a_lost_connection_is_told_elsewhere(reason: str) -> None:
    assert shown({"type": "kick", "reason": reason, "text": "bye"}) is None


def test_a_refused_hello_is_told_elsewhere() -> None:
    frame = {"type": "error", "code": "full", "text": "no room"}
    assert lines(frame) == ["12:00 -- not done: no room"]
    assert Renderer().render("error", frame, Session()) is None


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (WELCOME, "welcome to chatroom/9.9.9, anna"),
        (ROOM | {"count": 1}, "you are in lobby with no others"),
        (ROOM | {"count": 2}, "you are in lobby with 1 other"),
        (ROOM | {"count": 3}, "you are in lobby with 2 others"),
        (ROOM | {"topic": "tea"}, "you are in lobby with 1 other; topic: tea"),
        (
            ROOM | {"last_id": 7, "oldest_id": 3},
            "you are in lobby with 1 other; said before: 5 (/history)",
        ),
        ({"type": "joined", "room": "lobby", "nick": "bob"}, "bob has joined"),
        (
            {"type": "left", "room": "lobby", "nick": "bob", "reason": "shouting"},
            "bob was kicked for shouting",
        ),
        (
            {"type": "left", "room": "lobby", "nick": "bob", "reason": "new"},
            "bob has left (new)",
        ),
        ({"type": "renamed", "room": "lobby", "old": "b", "new": "c"}, "b is now c"),
        (
            {"type": "renamed", "room": "lobby", "old": "b", "new": "anna"},
            "you are now anna",
        ),
        (
            {"type": "members", "room": "lobby", "members": ["a", "b"], "more": True},
            "in lobby: a b ... more: /who b",
        ),
        (
            {"type": "members", "room": "lobby", "members": [], "more": False},
            "in lobby: nobody",
        ),
        (
            {"type": "rooms", "rooms": [{"room": "tea", "count": 2}], "more": True},
            "rooms: tea (2) ... more: /rooms tea",
        ),
        ({"type": "rooms", "rooms": [], "more": False}, "rooms: none"),
        (
            {"type": "topic", "room": "lobby", "topic": "tea", "by": "op"},
            "op has set the topic: tea",
        ),
        (
            {"type": "topic", "room": "lobby", "topic": "", "by": "op"},
            "op has taken the topic away",
        ),
    ],
)
def test_news(frame: Fields, text: str) -> None:
    found = shown(frame)
    assert found is not None
    assert painted_lines(found) == [f"12:00 -- {text}"]
    assert not found.speech


def test_history_is_speech() -> None:
    frame = {"type": "history", "room": "lobby", "log": "x", "oldest_id": 1}
    page = frame | {"messages": [MESSAGE | {"at": AT}], "more": True}
    found = shown(page)
    assert found is not None
    assert found.speech
    assert painted_lines(found) == [
        "12:00 -- history of lobby: 1 messages, and there are more",
        "13:05 <bob> hello",
        "12:00 -- end of history",
    ]
    empty = shown(frame | {"messages": [], "more": False})
    assert painted_lines(empty) == ["12:00 -- nothing has been said in lobby"]


@pytest.mark.parametrize("kind", ["ping", "pong", "count", None, "unknown"])
def test_some_frames_show_nothing(kind: str | None) -> None:
    assert Renderer().render(kind, {}, session_of()) is None


@pytest.mark.parametrize(
    "at",
    [10**18, 10**30, -1, 1.5, 0.0, True, None, "0", [], 253402300800000],
)
def test_a_time_that_makes_no_sense(at: object) -> None:
    assert clock_time(at) == "--:--"
    assert lines(MESSAGE | {"at": at}) == ["--:-- <bob> hello"]


def test_a_time_that_does() -> None:
    assert clock_time(0) == "00:00"
    assert clock_time(AT) == "13:05"
    assert clock_time(253402300799999) == "23:59"


def poisoned(value: Any) -> Any:
    """The same with something evil in every string of it."""
    match value:
        case str():
            return value + EVIL
        case list():
            return [poisoned(item) for item in value]
        case dict():
            return {
                key: item if key == "type" else poisoned(item)
                for key, item in value.items()
            }
    return value


def check_is_safe(line: str, own: bool) -> None:
    rest = OWN_SEQUENCE.sub("", line) if own else line
    assert not [c for c in rest if unicodedata.category(c) in ("Cc", "Zl", "Zp")]
    assert "\u202e" not in rest


@pytest.mark.parametrize("paint", Paint)
@pytest.mark.parametrize("frame", EVERY_FRAME, ids=lambda frame: frame["type"])
def test_nothing_of_a_peer_is_taken_for_a_control(frame: Fields, paint: Paint) -> None:
    for nick in ("anna", "bob", "bob" + EVIL):
        session = session_of(nick)
        found = Renderer().render(frame["type"], poisoned(frame), session)
        for line in painted_lines(found, paint):
            check_is_safe(line, paint is not Paint.NONE)


def test_a_notice_is_clean_too() -> None:
    for line in Renderer().notice(EVIL):
        check_is_safe(line.text, own=False)


FIELD = st.text() | st.integers(0, 2**53 - 1)


@given(st.sampled_from(EVERY_FRAME), st.text(), st.integers(0, 2**53 - 1))
def test_every_valid_frame_can_be_shown(frame: Fields, text: str, number: int) -> None:
    for key, value in frame.items():
        if key != "type" and type(value) in (str, int):
            frame = frame | {key: text if type(value) is str else number}
    for paint in Paint:
        found = Renderer().render(frame["type"], frame, session_of())
        for line in painted_lines(found, paint):
            check_is_safe(line, paint is not Paint.NONE)


@pytest.mark.parametrize(
    "frame",
    [*EVERY_FRAME, {"type": "news", "x": [1.5, None, {"y": "\x7f\x1b\u2028é"}]}],
    ids=lambda frame: frame["type"],
)
def test_json_is_one_line_of_ascii_that_holds_it_all(frame: Fields) -> None:
    evil = poisoned(frame)
    kind = frame["type"] if frame["type"] in TABLE else None
    (line,) = painted_lines(JsonRenderer().render(kind, evil, session_of()))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == evil
    assert list(json.loads(line)) == list(evil)


# -- after a lost connection ------------------------------------------------------


def again(frame: Fields) -> str:
    session = session_of()
    found = Renderer(now=lambda: NOW).render(frame["type"], frame, session, back=True)
    (line,) = painted_lines(found)
    return line


def test_what_was_missed_is_marked() -> None:
    assert again(MESSAGE | {"at": AT}) == "13:05 ~ <bob> hello"
    assert again(MESSAGE | {"at": AT, "from": "anna"}) == "13:05 ~ >anna< hello"


def test_the_second_welcome_is_shorter() -> None:
    assert again(WELCOME) == "12:00 -- connected to chatroom/9.9.9 again"
    last = ROOM | {"last_id": 7}
    assert again(last) == "12:00 -- you are in lobby with 1 other"
    assert lines(last) == [again(last) + "; said before: 7 (/history)"]


@pytest.mark.parametrize("reason", ["shutdown", "idle"])
def test_a_kick_that_is_no_end_is_told_as_a_lost_connection(reason: str) -> None:
    assert shown({"type": "kick", "reason": reason, "text": "x"}) is None


def test_json_shows_a_missed_message_as_it_is() -> None:
    session = session_of()
    found = JsonRenderer().render("message", MESSAGE, session, back=True)
    assert found.speech
    assert json.loads(found.lines[0].text) == MESSAGE
