"""Rooms: members in key order, and when a room is large."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.core.log import RoomLog
from chatroom.core.rooms import COUNT_INTERVAL, Room, after
from chatroom.core.sessions import Session


def make_room(presence_limit: int = 500, *, last_id: int = 0) -> Room:
    """Make an empty room whose log has got to *last_id*."""
    return Room("lobby", RoomLog(last_id=last_id), presence_limit)


def member(nick: str) -> Session:
    """Make a session of that nick."""
    return Session(nick.encode(), nick, nick.lower(), secure=False)


nicks = st.lists(
    st.text(st.sampled_from("abcABCéz-"), min_size=1, max_size=3),
    unique_by=str.lower,
    max_size=15,
)


@given(nicks, st.data())
def test_nicks_come_in_key_order_whoever_comes_and_goes(
    names: list[str], data: st.DataObject
) -> None:
    room = make_room()
    here: dict[str, Session] = {}
    for name in names:
        if data.draw(st.booleans()) and here:
            gone = here.pop(data.draw(st.sampled_from(sorted(here))))
            room.remove(gone)
        here[name] = member(name)
        room.add(here[name])
        start = data.draw(st.sampled_from(["", *map(str.lower, names)]))
        expected = [n for n in sorted(here, key=str.lower) if n.lower() > start]
        assert room.nicks_after(start) == expected


def test_a_new_nick_has_its_place_in_the_order() -> None:
    room, ann, bob = make_room(), member("Ann"), member("bob")
    room.add(ann)
    room.add(bob)
    assert room.nicks_after("") == ["Ann", "bob"]
    room.rename(ann, "Zoe", "zoe")
    assert (ann.nick, ann.key) == ("Zoe", "zoe")
    assert room.nicks_after("") == ["bob", "Zoe"]
    assert room.nicks_after("bob") == ["Zoe"]
    room.rename(bob, "BOB", "bob")
    assert room.nicks_after("") == ["BOB", "Zoe"]
    assert set(room.members) == {"bob", "zoe"}


@given(st.lists(st.text(max_size=3), unique=True), st.text(max_size=3))
def test_after(names: list[str], start: str) -> None:
    ordered = sorted(names)
    assert after(ordered, start) == [name for name in ordered if name > start]


def test_large_above_the_limit_until_a_tenth_below_it() -> None:
    room = make_room(500)
    members = [member(f"m{number}") for number in range(501)]
    for count, one in enumerate(members, 1):
        room.add(one)
        assert room.large == (count > 500)
    told = []
    for count, one in zip(range(500, 440, -1), members, strict=False):
        told.append(room.remove(one))
        assert room.large == (count >= 450)
    assert told.index(True) == 500 - 449
    assert told.count(True) == 1


def test_one_who_comes_and_goes_does_not_switch_it() -> None:
    room = make_room(10)
    for number in range(11):
        room.add(member(f"m{number}"))
    for _ in range(3):
        guest = member("guest")
        room.add(guest)
        assert not room.remove(guest)
        assert room.large


def test_it_is_large_anew_only_above_the_limit() -> None:
    room = make_room(10)
    members = [member(f"m{number}") for number in range(11)]
    for one in members:
        room.add(one)
    assert [room.remove(one) for one in members[:3]] == [False, False, True]
    for one in members[:2]:
        room.add(one)
        assert not room.large
    room.add(members[2])
    assert room.large


def test_no_room_is_large_without_a_limit() -> None:
    room = make_room(0)
    members = [member(f"m{number}") for number in range(600)]
    for one in members:
        room.add(one)
    assert not room.large
    assert not any(room.remove(one) for one in members)


@pytest.mark.parametrize(
    ("old", "new", "large", "told"),
    [
        (100, 50, True, False),
        (10, 50, True, False),
        (10, 66, True, False),
        (10, 67, False, True),
        (10, 0, False, True),
        (0, 59, True, False),
        (100, 60, False, False),
        (0, 0, False, False),
    ],
)
def test_another_limit_holds_at_once(
    old: int, new: int, large: bool, told: bool
) -> None:
    """With 60 members: large above it, small below nine tenths, else as before."""
    room = make_room(old)
    for number in range(60):
        room.add(member(f"m{number}"))
    assert room.limit_presence(new) is told
    assert room.large is large


@pytest.mark.parametrize(("last_id", "lasting"), [(0, False), (7, True)])
def test_a_room_where_something_was_said_lasts(last_id: int, lasting: bool) -> None:
    assert make_room(last_id=last_id).lasting is lasting


def test_one_count_a_second() -> None:
    assert COUNT_INTERVAL == 1.0
