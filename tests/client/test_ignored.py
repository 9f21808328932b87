"""Whom one does not want to hear."""

from chatroom.client.frames import Fields
from chatroom.client.ignored import Ignored
from chatroom.client.transcript import Event, Heard
from tests.client.fakes import MESSAGE

WHISPER: Fields = {"type": "whisper", "from": "bob", "to": "anna", "text": "x", "at": 0}
EVE = MESSAGE | {"from": "eve", "id": 2}


def page(*messages: Fields) -> Event:
    frame: Fields = {"type": "history", "room": "lobby", "log": "log1"}
    messages_of = {"messages": list(messages), "oldest_id": 1, "more": False}
    return Heard("history", frame | messages_of)


def test_names_are_compared_as_the_server_does() -> None:
    ignored = Ignored(["BOB", "\uff45ve"])
    assert ignored.hides("bob")
    assert ignored.hides("Eve")
    assert not ignored.hides("anna")
    assert ignored.nicks == ["BOB", "\uff45ve"]


def test_toggle() -> None:
    ignored = Ignored()
    assert ignored.toggle("bob") is True
    assert ignored.hides("Bob")
    assert ignored.toggle("BOB") is False
    assert not ignored.hides("bob")
    assert ignored.nicks == []


def test_what_they_say_and_whisper_is_hidden() -> None:
    ignored = Ignored(["bob"])
    assert ignored.rest(Heard("message", MESSAGE)) == []
    assert ignored.rest(Heard("message", MESSAGE, back=True)) == []
    assert ignored.rest(Heard("whisper", WHISPER)) == []
    for shown in (
        Heard("message", EVE),
        Heard("whisper", WHISPER | {"from": "anna", "to": "bob"}),
        Heard("joined", {"type": "joined", "room": "lobby", "nick": "bob"}),
        Heard(None, {"type": "news", "from": "bob"}),
        "a word",
    ):
        assert ignored.rest(shown) == [shown]


def test_pages_are_told_what_is_left_out() -> None:
    ignored = Ignored(["bob"])
    assert ignored.rest(page()) == [page()]
    assert ignored.rest(page(EVE)) == [page(EVE)]
    word = "1 message of those that you ignore: left out"
    assert ignored.rest(page(MESSAGE, EVE)) == [page(EVE), word]
    assert ignored.rest(page(MESSAGE)) == [word]
    assert Ignored().rest(page(MESSAGE)) == [page(MESSAGE)]


def test_another_name_does_not_help() -> None:
    ignored = Ignored(["bob"])
    renamed = {"type": "renamed", "room": "lobby", "old": "bob", "new": "rob"}
    ignored.renamed(renamed)
    assert ignored.hides("rob")
    assert not ignored.hides("bob"), "it may be somebody else's by now"
    ignored.renamed(renamed | {"old": "eve", "new": "ada"})
    assert ignored.nicks == ["rob"]


def test_one_hears_oneself() -> None:
    ignored = Ignored(["anna"])
    ignored.spare("Anna")
    ignored.spare("eve")
    assert not ignored.hides("anna")
