"""The chat as the client sees it."""

import itertools

import pytest

from chatroom.client.frames import Fields
from chatroom.client.session import BEFORE_WELCOME, Session, random_ref
from chatroom.errors import BadPeer
from tests.client.fakes import EVERY_FRAME, MESSAGE, ROOM, WELCOME


def joined() -> Session:
    """A session that is in the lobby, with refs 1, 2, 3 ..."""
    session = Session(map(str, itertools.count(1)).__next__)
    receive(session, WELCOME, ROOM)
    return session


def receive(session: Session, *frames: Fields) -> None:
    for frame in frames:
        session.receive(frame["type"], frame)


def test_hello() -> None:
    assert Session().hello("anna", "tea") == {
        "type": "hello",
        "version": 1,
        "nick": "anna",
        "room": "tea",
    }
    assert "nick" not in Session().hello(None, "tea")


def test_welcome_and_room_tell_who_and_where_one_is() -> None:
    session = joined()
    assert session.joined
    assert (session.nick, session.room, session.count) == ("anna", "lobby", 2)
    assert (session.token, session.strikes) == ("secret", 0)
    assert (session.log, session.last_id) == ("log1", 0)


def test_what_is_said_is_unanswered_until_its_ref_comes_back() -> None:
    session = joined()
    assert session.say("a") == {"type": "say", "text": "a", "ref": "1"}
    assert session.whisper("bob", "b") == {
        "type": "whisper",
        "to": "bob",
        "text": "b",
        "ref": "2",
    }
    session.say("c")
    session.say("d")
    assert list(session.unanswered) == ["1", "2", "3", "4"]
    receive(session, MESSAGE | {"from": "anna", "ref": "1"})
    whisper = {"type": "whisper", "from": "anna", "to": "bob", "text": "b", "at": 0}
    receive(session, whisper | {"ref": "2"})
    assert list(session.unanswered) == ["3", "4"]
    receive(session, {"type": "error", "code": "x", "text": "y", "ref": "3"})
    warning = {"type": "warning", "reason": "x", "strikes": 1, "limit": 2, "text": "y"}
    receive(session, warning | {"ref": "4"})
    assert not session.unanswered
    assert session.strikes == 1


@pytest.mark.parametrize("ref", ["of another", ["no", "string"], None, 7])
def test_a_ref_of_nobody_answers_nothing(ref: object) -> None:
    session = joined()
    session.say("a")
    receive(session, {"type": "pong", "ref": ref})
    if isinstance(ref, str):
        receive(session, MESSAGE | {"ref": ref})
    assert len(session.unanswered) == 1


def test_last_id_follows_the_room() -> None:
    session = joined()
    receive(session, MESSAGE | {"id": 7})
    assert session.last_id == 7
    receive(session, MESSAGE | {"id": 9, "room": "elsewhere"})
    assert session.last_id == 7
    receive(session, ROOM | {"room": "tea", "last_id": 3})
    assert (session.room, session.last_id) == ("tea", 3)


def test_who_is_renamed() -> None:
    session = joined()
    receive(session, {"type": "renamed", "room": "lobby", "old": "bob", "new": "x"})
    assert session.nick == "anna"
    receive(session, {"type": "renamed", "room": "lobby", "old": "anna", "new": "y"})
    assert session.nick == "y"


def test_how_many_there_are() -> None:
    session = joined()
    receive(session, {"type": "joined", "room": "lobby", "nick": "c"})
    assert session.count == 3
    receive(session, {"type": "left", "room": "lobby", "nick": "c", "reason": "x"})
    assert session.count == 2
    receive(session, {"type": "count", "room": "lobby", "count": 600})
    assert session.count == 600


@pytest.mark.parametrize("frame", EVERY_FRAME, ids=lambda frame: frame["type"])
def test_only_some_frames_come_before_the_welcome(frame: Fields) -> None:
    session = Session()
    if frame["type"] in BEFORE_WELCOME:
        receive(session, frame)
    else:
        with pytest.raises(BadPeer, match="at the wrong time"):
            receive(session, frame)


def test_a_second_welcome_is_a_fault() -> None:
    with pytest.raises(BadPeer, match="welcome frame at the wrong time"):
        receive(joined(), WELCOME)


def test_refs_are_random() -> None:
    refs = {random_ref() for _ in range(100)}
    assert len(refs) == 100
    assert all(1 <= len(ref) <= 64 for ref in refs)
