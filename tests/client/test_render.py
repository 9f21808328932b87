"""Frames as a person sees them."""

import json
import re
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.frames import TABLE, Fields
from chatroom.client.lines import Paint, painted
from chatroom.client.nicks import colour_of
from chatroom.client.render import (
    MAX_INDENT,
    WORDS,
    JsonRenderer,
    Renderer,
    Rings,
    Shown,
)
from chatroom.client.session import Session
from chatroom.client.times import clock_time
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


def shown(frame: Fields, nick: str = "anna") -> list[Shown]:
    renderer = Renderer(now=lambda: NOW)
    return renderer.render(frame["type"], frame, session_of(nick))


def lines(frame: Fields, paint: Paint = Paint.NONE, nick: str = "anna") -> list[str]:
    return painted_lines(shown(frame, nick), paint)


def painted_lines(found: list[Shown], paint: Paint = Paint.NONE) -> list[str]:
    return [painted(line.spans, paint) for one in found for line in one.lines]


def test_messages_of_others_and_ones_own_are_told_apart() -> None:
    message = MESSAGE | {"at": AT}
    assert lines(message) == ["13:05 <bob> hello"]
    assert lines(message, nick="bob") == ["13:05 >bob< hello"]
    bob = f"\x1b[{colour_of('bob')}m<bob>\x1b[0m"
    assert lines(message, Paint.COLOUR) == [f"13:05 {bob} hello"]
    assert lines(message, Paint.COLOUR, "bob") == ["13:05 \x1b[1m>bob<\x1b[0m hello"]
    assert lines(message, Paint.MONO) == lines(message)
    assert lines(message, Paint.MONO, "bob") == ["13:05 \x1b[1m>bob<\x1b[0m hello"]


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


BAR = "      " + "*" * 32
WARNING: Fields = {
    "type": "warning",
    "reason": "shouting",
    "strikes": 1,
    "limit": 2,
    "text": "not so loud",
}


def test_a_warning_cannot_be_missed() -> None:
    assert lines(WARNING) == [BAR, "12:00 *** WARNING: not so loud", BAR]
    for paint, style in ((Paint.MONO, "1;7"), (Paint.COLOUR, "1;7;31")):
        assert lines(WARNING, paint) == [
            f"      \x1b[{style}m{'*' * 32}\x1b[0m",
            f"12:00 \x1b[{style}m*** WARNING: not so loud\x1b[0m",
            f"      \x1b[{style}m{'*' * 32}\x1b[0m",
        ]
    assert [one.rings for one in shown(WARNING)] == [Rings.MENTION]


def test_a_kick_cannot_be_missed() -> None:
    frame = {"type": "kick", "reason": "operator", "text": "enough\nof it"}
    assert lines(frame) == [
        BAR,
        "12:00 *** KICKED (operator): enough",
        "      of it",
        BAR,
    ]
    assert {line.indent for one in shown(frame) for line in one.lines} == {6}
    assert all("\x1b[1;7;31m" in line for line in lines(frame, Paint.COLOUR))
    assert [one.rings for one in shown(frame)] == [Rings.MENTION]


def test_leaving_is_no_kick() -> None:
    assert lines({"type": "kick", "reason": "leave", "text": "bye"}) == [
        "12:00 -- you have left"
    ]


@pytest.mark.parametrize("reason", ["shutdown", "idle"])
def test_a_lost_connection_is_told_elsewhere(reason: str) -> None:
    assert shown({"type": "kick", "reason": reason, "text": "bye"}) == []


def test_a_refused_hello_is_told_elsewhere() -> None:
    frame = {"type": "error", "code": "full", "text": "no room"}
    assert lines(frame) == ["12:00 -- not done: no room"]
    assert Renderer().render("error", frame, Session()) == []


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
        ({"type": "op", "do": "lock", "text": "nobody new"}, "nobody new"),
        ({"type": "op", "do": "bans", "bans": [], "more": False}, "bans: none"),
        ({"type": "op", "do": "bans", "bans": [], "more": True}, "bans: none"),
    ],
)
def test_news(frame: Fields, text: str) -> None:
    (found,) = shown(frame)
    assert painted_lines([found]) == [f"12:00 -- {text}"]
    assert not found.speech
    assert found.rings is Rings.NOT


def test_bans_are_told_with_their_ends() -> None:
    bans: list[Fields] = [
        {"nick": "eve", "until": 0, "by": "bob", "reason": ""},
        {"nick": "10.0.0.1", "until": AT, "by": "bob", "reason": "a\nb"},
        {"address": "10.0.0.0/8", "until": AT + 86400_000, "by": "bob", "reason": "x"},
        {"nick": "zoe", "until": -1, "by": "bob", "reason": ""},
    ]
    frame: Fields = {"type": "op", "do": "bans", "bans": bans, "more": False}
    told = [
        "12:00 -- bans:",
        "         eve for good, by bob",
        "         @10.0.0.1 until 13:05, by bob: a\u240ab",
        "         10.0.0.0/8 until 13:05 on Friday, 2 January 1970, by bob: x",
        "         zoe until --:--, by bob",
    ]
    assert lines(frame) == told
    frame["more"] = True
    assert lines(frame) == [*told, "         ... more: /bans zoe"]


def test_who_is_muted_cannot_miss_it() -> None:
    error: Fields = {"type": "error", "code": "muted", "text": "bob has muted you"}
    found = Renderer(now=lambda: NOW).render("unasked", error, session_of())
    assert painted_lines(found) == [BAR, "12:00 *** MUTED: bob has muted you", BAR]
    assert found[0].rings is Rings.MENTION
    assert lines(error) == ["12:00 -- not done: bob has muted you"]


def test_a_key_that_is_none_any_more() -> None:
    error: Fields = {"type": "error", "code": "not-allowed", "text": "no key"}
    found = Renderer(now=lambda: NOW).render("unasked", error, session_of())
    assert painted_lines(found) == ["12:00 -- no key"]


HISTORY: Fields = {
    "type": "history",
    "room": "lobby",
    "log": "x",
    "oldest_id": 1,
    "messages": [],
    "more": False,
}


def test_history_is_speech_between_news() -> None:
    messages = [MESSAGE | {"at": AT, "text": "anna?"}, MESSAGE | {"at": AT}]
    found = shown(HISTORY | {"messages": messages, "more": True})
    assert painted_lines(found) == [
        "12:00 -- history of lobby: 2 messages, and there are more",
        "13:05 * <bob> anna?",
        "13:05 <bob> hello",
        "12:00 -- end of history",
    ]
    assert [one.speech for one in found] == [False, True, True, False]
    assert {one.rings for one in found} == {Rings.NOT}
    assert lines(HISTORY) == ["12:00 -- nothing has been said in lobby"]


@pytest.mark.parametrize("kind", ["ping", "pong", "count", None, "unknown"])
def test_some_frames_show_nothing(kind: str | None) -> None:
    assert Renderer().render(kind, {}, session_of()) == []


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
        renderer = Renderer()
        found = renderer.render(frame["type"], poisoned(frame), session)
        found += renderer.flush()
        for line in painted_lines(found, paint):
            check_is_safe(line, paint is not Paint.NONE)


def test_a_notice_is_clean_too() -> None:
    for text in painted_lines(Renderer().notice(EVIL)):
        check_is_safe(text, own=False)


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
    assert shown({"type": "kick", "reason": reason, "text": "x"}) == []


def test_json_shows_a_missed_message_as_it_is() -> None:
    session = session_of()
    (found,) = JsonRenderer().render("message", MESSAGE, session, back=True)
    assert found.speech
    assert json.loads(found.lines[0].text) == MESSAGE


# -- for the user -----------------------------------------------------------------


def message(text: str, nick: str = "bob", at: int = AT) -> Fields:
    return MESSAGE | {"text": text, "from": nick, "at": at}


def test_a_message_that_names_the_user_is_marked_and_rings() -> None:
    frame = message("Anna: tea?")
    assert lines(frame) == ["13:05 * <bob> Anna: tea?"]
    assert lines(frame, Paint.MONO) == ["13:05 \x1b[7m* <bob>\x1b[0m Anna: tea?"]
    style = f"\x1b[7;{colour_of('bob')}m"
    assert lines(frame, Paint.COLOUR) == [f"13:05 {style}* <bob>\x1b[0m Anna: tea?"]
    assert [one.rings for one in shown(frame)] == [Rings.MENTION]
    assert [one.rings for one in shown(message("tea?"))] == [Rings.MESSAGE]


def test_one_does_not_call_for_oneself() -> None:
    for frame in (message("anna: tea?", "anna"), WHISPER | {"from": "anna"}):
        assert [one.rings for one in shown(frame)] == [Rings.NOT]
    assert lines(message("anna: tea?", "anna")) == ["13:05 >anna< anna: tea?"]


def test_a_whisper_is_for_the_user() -> None:
    assert [one.rings for one in shown(WHISPER)] == [Rings.MENTION]


def test_what_was_missed_is_marked_and_does_not_ring() -> None:
    renderer = Renderer(now=lambda: NOW)
    frame = message("anna: tea?")
    found = renderer.render("message", frame, session_of(), back=True)
    assert painted_lines(found) == ["13:05 ~ * <bob> anna: tea?"]
    assert [one.rings for one in found] == [Rings.NOT]


def test_signs_can_be_words() -> None:
    renderer = Renderer(now=lambda: NOW, signs=WORDS)
    session = session_of()
    frame = message("anna: tea?")
    assert painted_lines(
        renderer.render("message", frame, session)
        + renderer.render("message", frame, session, back=True)
        + renderer.render("warning", WARNING, session)
    ) == [
        "13:05 mention: <bob> anna: tea?",
        "13:05 missed: mention: <bob> anna: tea?",
        "12:00 *** WARNING: not so loud",
    ]


@given(st.text(min_size=1), st.text(min_size=1), st.text())
def test_no_text_stands_further_in_than_half_a_small_screen(
    nick: str, to: str, text: str
) -> None:
    for frame in (message(text, nick), WHISPER | {"from": nick, "to": to}):
        for one in shown(frame):
            assert all(line.indent <= MAX_INDENT for line in one.lines)


# -- what stands between ----------------------------------------------------------

DAY = 24 * 3600_000


@dataclass
class Screen:
    """A renderer, and all that it has had shown."""

    time: float = NOW
    ticks: float = 0.0

    def __post_init__(self) -> None:
        self.renderer = Renderer(lambda: self.time, lambda: self.ticks)
        self.session = session_of()
        self.lines: list[str] = []

    def add(self, found: list[Shown]) -> None:
        self.lines += painted_lines(found)

    def hear(self, *frames: Fields, back: bool = False) -> None:
        for frame in frames:
            kind = frame["type"]
            self.add(self.renderer.render(kind, frame, self.session, back))

    def take(self) -> list[str]:
        """What was shown since this was asked last."""
        taken, self.lines = self.lines, []
        return taken


def test_a_new_day_is_told_before_its_first_line() -> None:
    screen = Screen()
    screen.hear(message("a"))
    screen.time += DAY / 1000
    screen.hear(message("b", at=AT + DAY), message("c", at=AT + DAY))
    screen.time += DAY / 1000
    screen.add(screen.renderer.notice("hello"))
    assert screen.take() == [
        "13:05 <bob> a",
        "-- Friday, 2 January 1970 --",
        "13:05 <bob> b",
        "13:05 <bob> c",
        "-- Saturday, 3 January 1970 --",
        "12:00 -- hello",
    ]


def test_the_first_line_may_be_of_another_day() -> None:
    screen = Screen(NOW + 2 * DAY / 1000)
    screen.hear(message("a"), back=True)
    assert screen.take() == ["-- Thursday, 1 January 1970 --", "13:05 ~ <bob> a"]


def test_days_are_news() -> None:
    day, said = shown(message("a", at=AT + DAY))
    assert (day.speech, said.speech) == (False, True)


def test_a_time_that_makes_no_sense_is_no_day() -> None:
    screen = Screen()
    screen.hear(MESSAGE | {"at": 10**18})
    screen.add(screen.renderer.notice("hello"))
    assert screen.take() == ["--:-- <bob> hello", "12:00 -- hello"]


def test_a_page_tells_its_days_and_what_follows_is_of_today() -> None:
    screen = Screen(NOW + 2 * DAY / 1000)
    messages = [message("a"), message("b", at=AT + DAY), message("c", at=AT + DAY)]
    screen.hear(HISTORY | {"messages": messages})
    assert screen.take() == [
        "12:00 -- history of lobby: 3 messages",
        "-- Thursday, 1 January 1970 --",
        "13:05 <bob> a",
        "-- Friday, 2 January 1970 --",
        "13:05 <bob> b",
        "13:05 <bob> c",
        "-- Saturday, 3 January 1970 --",
        "12:00 -- end of history",
    ]


def test_what_a_search_found() -> None:
    screen = Screen(NOW + DAY / 1000)
    found = screen.renderer.render("found", message("tea, anna"), screen.session)
    assert [one.speech for one in found] == [False, True]
    assert {one.rings for one in found} == {Rings.NOT}
    screen.add(found)
    screen.add(screen.renderer.notice("end of search"))
    assert screen.take() == [
        "-- Thursday, 1 January 1970 --",
        "13:05 * <bob> tea, anna",
        "-- Friday, 2 January 1970 --",
        "12:00 -- end of search",
    ]


def test_the_first_message_that_is_not_read_has_a_mark_before_it() -> None:
    screen = Screen()
    screen.renderer.reading(False)
    screen.time += 60
    own = message("mine", "anna")
    joined = {"type": "joined", "room": "lobby", "nick": "eve"}
    screen.hear(own, joined, message("a"), message("b"))
    assert screen.take() == [
        "13:05 >anna< mine",
        "12:01 -- eve has joined",
        "-- unread since 12:00 --",
        "13:05 <bob> a",
        "13:05 <bob> b",
    ]
    screen.renderer.reading(True)
    screen.renderer.reading(False)
    screen.hear(WHISPER)
    assert screen.take() == ["-- unread since 12:01 --", "13:05 <whisper from bob> x"]


def test_what_was_missed_is_unread_too() -> None:
    screen = Screen()
    screen.renderer.reading(False)
    screen.hear(message("mine", "anna"), message("a"), back=True)
    assert screen.take() == [
        "13:05 ~ >anna< mine",
        "-- unread since 12:00 --",
        "13:05 ~ <bob> a",
    ]


def patience(renderer: Renderer) -> float | None:
    return renderer.patience


def test_a_crowd_is_told_in_one_line_before_whatever_comes_next() -> None:
    screen = Screen()
    for nick in ("eve", "bob", "carl"):
        screen.hear({"type": "joined", "room": "lobby", "nick": nick})
    assert screen.take() == ["12:00 -- eve has joined"]
    assert patience(screen.renderer) == 2.0
    screen.hear(message("a"))
    assert screen.take() == ["12:00 -- 2 have joined: bob, carl", "13:05 <bob> a"]
    assert patience(screen.renderer) is None
    screen.hear({"type": "left", "room": "lobby", "nick": "bob", "reason": "leave"})
    screen.ticks = 1.5
    assert patience(screen.renderer) == 0.5
    screen.ticks = 2.5
    assert patience(screen.renderer) == 0.0
    screen.add(screen.renderer.flush())
    assert screen.take() == ["12:00 -- bob has left"]
    screen.hear({"type": "left", "room": "lobby", "nick": "eve", "reason": "lost"})
    screen.add(screen.renderer.notice("hello"))
    assert screen.take() == ["12:00 -- eve has lost the connection", "12:00 -- hello"]


def test_what_shows_nothing_tells_no_crowd() -> None:
    screen = Screen()
    for nick in ("eve", "bob"):
        screen.hear({"type": "joined", "room": "lobby", "nick": nick})
    screen.hear({"type": "ping"}, {"type": "kick", "reason": "idle", "text": "x"})
    assert screen.take() == ["12:00 -- eve has joined"]


def test_a_kick_of_another_is_not_faint() -> None:
    frame = {"type": "left", "room": "lobby", "nick": "bob", "reason": "banned"}
    assert lines(frame, Paint.COLOUR) == ["12:00 -- bob was banned"]
    assert "\x1b[2m" in lines(frame | {"reason": "leave"}, Paint.COLOUR)[0]
