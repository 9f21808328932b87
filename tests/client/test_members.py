"""Who is in the room, and which rooms there are."""

from chatroom.client.frames import Fields
from chatroom.client.members import (
    MAX_LISTED,
    MAX_MEMBERS,
    MAX_ROOMS,
    MAX_SPEAKERS,
    Members,
    Rooms,
)
from tests.client.fakes import MESSAGE, ROOM

WHO: Fields = {"type": "who"}


def entered(size: int = 3, room: str = "lobby") -> Members:
    members = Members()
    members.heard("room", ROOM | {"room": room}, size)
    return members


def page(*nicks: str, more: bool = False) -> Fields:
    return {"type": "members", "room": "lobby", "members": [*nicks], "more": more}


def hear(members: Members, kind: str, **fields: object) -> None:
    members.heard(kind, {"type": kind, "room": "lobby"} | fields, 3)


def test_they_are_asked_for_on_entering_page_by_page() -> None:
    members = entered()
    assert members.next_question() == WHO
    assert members.next_question() is None
    assert members.answer(page("anna", "bob", more=True)) == []
    assert members.next_question() == WHO | {"after": "bob"}
    members.answer(page("eve"))
    assert members.next_question() is None
    assert members.nicks("Anna") == ["bob", "eve"]


def test_nobody_is_asked_for_before_a_room() -> None:
    assert Members().next_question() is None


def test_what_happens_meanwhile_is_right_too() -> None:
    members = entered()
    members.next_question()
    hear(members, "joined", nick="eve")
    hear(members, "left", nick="bob", reason="lost")
    members.answer(page("anna", "carl", more=True))
    hear(members, "left", nick="carl", reason="lost")
    hear(members, "renamed", old="eve", new="ada")
    members.next_question()
    members.answer(page("zoe"))
    assert members.nicks("anna") == ["ada", "zoe"]


def test_who_spoke_last_comes_first() -> None:
    members = entered()
    members.next_question()
    members.answer(page("a", "b", "c", "d", "me"))
    members.heard("message", MESSAGE | {"from": "c"}, 5)
    members.heard("message", MESSAGE | {"from": "d"}, 5)
    members.heard("message", MESSAGE | {"from": "me"}, 5)
    members.heard("message", MESSAGE | {"from": "c"}, 5)
    assert members.nicks("me") == ["c", "d", "a", "b"]
    hear(members, "whisper", **{"from": "me", "to": "b"})
    hear(members, "whisper", **{"from": "far", "to": "me"})
    assert members.nicks("me") == ["far", "b", "c", "d", "a"]
    hear(members, "renamed", old="c", new="C-3")
    hear(members, "left", nick="d", reason="lost")
    assert members.nicks("me") == ["far", "b", "C-3", "a"]


def test_another_room_has_other_members() -> None:
    members = entered()
    members.next_question()
    members.answer(page("bob"))
    members.heard("message", MESSAGE, 3)
    members.heard("room", ROOM | {"room": "tea"}, 3)
    assert members.nicks("anna") == []
    assert members.next_question() == WHO


def test_an_answer_of_the_room_before_is_none() -> None:
    members = entered()
    members.next_question()
    members.heard("room", ROOM | {"room": "tea"}, 3)
    assert members.next_question() is None, "one at a time"
    members.answer(page("bob", more=True))
    assert members.nicks("anna") == []
    assert members.next_question() == WHO
    members.answer(page("eve"))
    assert members.nicks("anna") == ["eve"]


def test_who_comes_back_keeps_what_he_knew_until_he_knows_better() -> None:
    members = entered()
    members.next_question()
    members.answer(page("bob"))
    members.next_question()
    members.lost()
    members.heard("room", ROOM, 3)
    assert members.nicks("anna") == ["bob"]
    assert members.next_question() == WHO
    members.answer(page("eve"))
    assert members.nicks("anna") == ["eve"]


def test_a_large_room_is_not_asked_until_it_is_small() -> None:
    members = entered(MAX_LISTED + 1)
    assert members.next_question() is None
    members.heard("count", {"type": "count", "room": "lobby", "count": 5}, 5)
    assert members.next_question() == WHO
    members.answer(page("bob"))
    members.heard("count", {"type": "count", "room": "lobby", "count": 4}, 4)
    assert members.next_question() == WHO, "the count stands for names"


def test_a_refusal_is_taken_for_an_answer() -> None:
    members = entered()
    members.next_question()
    assert members.answer(None) == []
    assert members.next_question() is None


def test_there_is_an_end_to_it_whatever_a_server_says() -> None:
    members = entered()
    members.next_question()
    members.answer(page("bob", more=True))
    members.next_question()
    members.answer(page("bob", more=True))
    assert members.next_question() is None
    for number in range(MAX_MEMBERS + 10):
        hear(members, "joined", nick=f"n{number}")
        members.heard("message", MESSAGE | {"from": f"s{number}"}, 3)
    assert len(members.nicks("anna")) == MAX_MEMBERS + MAX_SPEAKERS


# -- rooms ------------------------------------------------------------------------


def rooms(**sizes: int) -> Fields:
    found = [{"room": room, "count": count} for room, count in sizes.items()]
    return {"type": "rooms", "rooms": found, "more": False}


def test_rooms_are_asked_for_on_entering_the_largest_first() -> None:
    known = Rooms()
    assert known.next_question() is None
    known.entered()
    assert known.next_question() == {"type": "rooms"}
    known.entered()
    assert known.next_question() is None, "one at a time"
    assert known.answer(rooms(b=1, tea=7, a=1)) == []
    assert known.names == ["tea", "a", "b"]
    assert known.next_question() == {"type": "rooms"}
    known.answer(None)
    assert known.names == ["tea", "a", "b"]
    known.listed(rooms(zoo=9, a=2))
    assert known.names == ["zoo", "tea", "a", "b"]
    known.entered()
    known.next_question()
    known.answer(rooms(tea=1))
    assert known.names == ["tea"]


def test_rooms_after_a_lost_connection() -> None:
    known = Rooms()
    known.entered()
    known.next_question()
    known.lost()
    known.entered()
    assert known.next_question() == {"type": "rooms"}


def test_so_many_rooms_are_kept() -> None:
    known = Rooms()
    for number in range(MAX_ROOMS + 10):
        known.listed(rooms(**{f"r{number}": 1}))
    assert len(known.names) == MAX_ROOMS
