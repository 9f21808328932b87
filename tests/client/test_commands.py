"""The commands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.commands import COMMANDS, needs_server, run_line
from chatroom.client.frames import Fields


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
        ("/help nothing", "usage: /help"),
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
    for command in COMMANDS.values():
        assert command.usage in text
        assert command.about in text
        assert ran(f"/help {command.name}").notices == [
            f"{command.usage}: {command.about}"
        ]
    assert "!leave" in text
    assert "//" in text
    assert max(map(len, text.split("\n"))) <= 70, "it fits beside a time"


@given(st.text().map(lambda text: "/" + text) | st.text())
def test_every_line_does_one_thing_or_explains(line: str) -> None:
    chat = ran(line)
    assert len(chat.did) + len(chat.notices) == 1


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("hello", True),
        ("//help", True),
        ("!LEAVE", True),
        (" !leave ", False),
        ("/quit", False),
        ("/help nick", False),
        ("/no-such-command", False),
        ("/nick eve", True),
        ("/who", True),
    ],
)
def test_what_can_be_done_without_a_server(line: str, needs: bool) -> None:
    assert needs_server(line) is needs
