"""The commands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.commands import (
    COMMANDS,
    addressed,
    needs_server,
    run_line,
    spoken,
)
from chatroom.client.frames import Fields
from chatroom.client.operator_commands import ORDERS


class FakeChat:
    """What a command did."""

    def __init__(self) -> None:
        self.did: list[object] = []
        self.notices: list[str] = []

    def say(self, text: str) -> None:
        self.did.append(("say", text))

    def whisper(self, to: str, text: str) -> None:
        self.did.append(("whisper", to, text))

    def ask(self, frame: Fields) -> None:
        self.did.append(frame)

    def search(self, text: str) -> None:
        self.did.append(("search", text))

    def ignore(self, nick: str) -> None:
        self.did.append(("ignore", nick))

    def login(self, key: str) -> None:
        self.did.append(("login", key))

    def show_topic(self) -> None:
        self.did.append("topic")

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def leave(self) -> None:
        self.did.append("leave")


def ran(line: str) -> FakeChat:
    chat = FakeChat()
    run_line(chat, line)
    return chat


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("hello", ("say", "hello")),
        ("  indented ", ("say", "  indented ")),
        ("!leave", ("say", "!leave")),
        ("//join us", ("say", "/join us")),
        ("/nick bob", {"type": "nick", "nick": "bob"}),
        ("/nick  bob ", {"type": "nick", "nick": "bob"}),
        ("/join tea", {"type": "join", "room": "tea"}),
        ("/who", {"type": "who"}),
        ("/who bob", {"type": "who", "after": "bob"}),
        ("/rooms", {"type": "rooms"}),
        ("/rooms tea", {"type": "rooms", "after": "tea"}),
        ("/msg bob how are you", ("whisper", "bob", "how are you")),
        ("/msg bob  two  spaces", ("whisper", "bob", " two  spaces")),
        ("/history", {"type": "history", "limit": 50}),
        ("/history 200", {"type": "history", "limit": 200}),
        ("/search  tea pot ", ("search", "tea pot")),
        ("/ignore", ("ignore", "")),
        ("/ignore bob", ("ignore", "bob")),
        ("/ignore zoe\u0308", ("ignore", "zo\u00eb")),
        ("/msg\nbob\tone\n two", ("whisper", "bob", "one\n two")),
        ("/who " + "b" * 32, {"type": "who", "after": "b" * 32}),
        ("/topic", "topic"),
        ("/op", ("login", "")),
        ("/op sesame ", ("login", "sesame")),
        (" /op sesame", ("login", "sesame")),
        ("\n/op0123456789abcdef ", ("login", "0123456789abcdef")),
        ("//op sesame", ("say", "/op sesame")),
        ("/quit", "leave"),
        ("/quit now", "leave"),
    ],
)
def test_what_a_line_does(line: str, done: object) -> None:
    chat = ran(line)
    assert chat.did == [done]
    assert not chat.notices


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/nick", "usage: /nick"),
        ("/nick two words", "a nick is made of"),
        ("/join", "usage: /join"),
        ("/join Tea", "a room's name"),
        ("/msg", "usage: /msg"),
        ("/msg bob", "usage: /msg"),
        ("/history 0", "usage: /history"),
        ("/history 201", "usage: /history"),
        ("/history ٣", "usage: /history"),
        ("/history -1", "usage: /history"),
        ("/history 99999999999999999999", "usage: /history"),
        ("/who " + "b" * 33, "usage: /who"),
        ("/search ", "usage: /search"),
        ("/ignore two words", "a nick is made of"),
        ("/r", "usage: /r"),
        ("/r so late", "nobody has whispered to you"),
        ("/help nothing", "usage: /help"),
        ("/hist", "there is no /hist; did you mean /history?"),
        ("/WHO", "there is no /WHO; did you mean /who?"),
        ("/" + "who" * 10, "there is no /whowho"),
        ("/", "there is no /"),
        ("/unknown", "there is no /unknown"),
        ("/ hello", "there is no /"),
    ],
)
def test_what_cannot_be_done_is_explained(line: str, said: str) -> None:
    chat = ran(line)
    assert not chat.did
    assert len(chat.notices) == 1
    assert chat.notices[0].startswith(said)


def test_help_tells_every_command() -> None:
    (text,) = ran("/help").notices
    (of_operators,) = ran("/help op").notices
    for command in COMMANDS.values():
        where = of_operators if command in ORDERS else text
        assert command.usage in where
        assert command.about in where
        assert (command.usage in text) == (command not in ORDERS), "few are operators"
        (about,) = ran(f"/help {command.name}").notices
        assert about.startswith(f"{command.usage}: {command.about}")
        assert about.endswith(command.more)
        assert max(map(len, about.split("\n"))) <= 70, "it fits beside a time"
    assert "!leave" in text
    assert "//" in text
    assert max(map(len, text.split("\n"))) <= 70, "it fits beside a time"


@given(st.text().map(lambda text: "/" + text) | st.text())
def test_every_line_does_one_thing_or_explains(line: str) -> None:
    chat = ran(line)
    assert len(chat.did) + len(chat.notices) == 1


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("hello", "hello"),
        ("//hello", "/hello"),
        ("/msg bob  hello ", " hello"),
        ("/msg bob", None),
        ("/r hello", "hello"),
        ("/r", None),
        ("/join tea", None),
        ("/foo bar", None),
        (" /op SESAME", None),
        (" /OP0123456789ABCDEF", None),
        ("/ban BOB", None),
        ("", None),
        (" \t", None),
    ],
)
def test_what_a_line_says(line: str, text: str | None) -> None:
    assert spoken(line) == text


@given(st.text().map(lambda text: "/" + text) | st.text())
def test_a_line_says_what_is_sent(line: str) -> None:
    said = [did for did in ran(line).did if isinstance(did, tuple)]
    texts = [did[-1] for did in said if did[0] in ("say", "whisper")]
    if line.strip():
        assert spoken(line) in (*texts, None)
        assert not texts or spoken(line) == texts[0] or not texts[0].strip()


@pytest.mark.parametrize(
    ("line", "whisperer", "done"),
    [
        ("/r so  what ", "bob", "/msg bob so  what"),
        ("/r", "bob", "/r"),
        ("/r hello", "", "/r hello"),
        ("/rooms", "bob", "/rooms"),
        ("hello", "bob", "hello"),
    ],
)
def test_an_answer_has_the_name_of_who_whispered(
    line: str, whisperer: str, done: str
) -> None:
    assert addressed(line, whisperer) == done


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("hello", True),
        ("//help", True),
        ("!LEAVE", True),
        (" !leave ", False),
        ("/quit", False),
        ("/ignore bob", False),
        ("/search tea", True),
        ("/msg bob hi", True),
        ("/help nick", False),
        ("/op sesame", False),
        (" /OP sesame", False),
        ("/kick bob", True),
        ("/topic", True),
        ("/no-such-command", False),
        ("/nick eve", True),
        ("/who", True),
    ],
)
def test_what_can_be_done_without_a_server(line: str, needs: bool) -> None:
    assert needs_server(line) is needs
