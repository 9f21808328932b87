"""Who is where: joining, leaving, renaming, and asking about it."""

import itertools
import resource
import time
import unicodedata
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Start
from tests.support.peer import Frame, Peer, encode, ids, types
from tests.support.server import Server
from tests.support.waiting import fresh

OPTIONS = ("--rate", "0", "--max-clients-per-ip", "0")


def key_of(nick: str) -> str:
    """The key by which members are ordered."""
    folded = unicodedata.normalize("NFKC", nick).casefold()
    return unicodedata.normalize("NFKC", folded)


# Coming and going


def test_moving_to_another_room(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    (carl,) = server.crew("carl")
    carl.send("ping")
    carl.expect("pong")
    old = anna.history()["room"]
    new = carl.history()["room"]
    anna.send("join", room=new)
    room = anna.expect("room", room=new)
    assert room["count"] == 2
    anna.expect_nothing()
    bob.expect("left", room=old, nick=anna.nick, reason="moved")
    bob.expect_nothing()
    carl.expect("joined", room=new, nick=anna.nick)
    carl.expect_nothing()
    anna.say("hello, carl")
    carl.expect("message", room=new, id=1)
    bob.expect_nothing()


def test_joining_the_room_one_is_in(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    here = anna.history()["room"]
    anna.send("join", room=here)
    assert anna.expect("room", room=here)["count"] == 2
    anna.expect_nothing()
    bob.expect_nothing()


def test_a_bad_room_and_the_member_stays(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    for room in ("", "Tea", "-x", "x" * 33, "a b", "é"):
        anna.send("join", room=room)
        anna.expect_error("room-invalid")
    bob.expect_nothing()
    anna.say("still here")
    bob.expect("message")


def test_too_many_rooms_and_the_member_stays(start: Start) -> None:
    server = start("--max-rooms", "2")
    anna, bob = server.crew("anna", "bob")
    server.member("carl", room=fresh("room"))
    anna.send("join", room=fresh("room"))
    anna.expect_error("full")
    bob.expect_nothing()
    anna.say("still here")
    bob.expect("message")


def test_an_empty_room_makes_place_for_another(start: Start) -> None:
    server = start("--max-rooms", "2")
    server.crew("anna", "bob")
    carl = server.member("carl", room=fresh("room"))
    carl.send("leave")
    carl.expect("kick")
    carl.expect_closed()
    server.member("dora", room=fresh("room"))


def test_a_room_goes_on_where_something_is_kept(server: Server) -> None:
    room = fresh("room")
    (anna,) = server.crew("anna", room=room)
    anna.say("remember this")
    anna.expect("message", id=1)
    anna.send("leave")
    anna.expect("kick")
    anna.expect_closed()
    bob = server.peer()
    _, entered = bob.hello(room=room)
    assert entered["last_id"] == 1
    assert entered["count"] == 1
    assert [m["text"] for m in bob.history()["messages"]] == ["remember this"]
    bob.say("I do")
    bob.expect("message", id=2)


def test_a_lost_connection(server: Server) -> None:
    anna, bob, carl = server.crew("anna", "bob", "carl")
    anna.reset()
    carl.expect("left", nick=anna.nick, reason="lost")
    bob.close()
    carl.expect("left", nick=bob.nick, reason="lost")
    carl.expect_nothing()


def test_another_room_hears_nothing(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    (carl,) = server.crew("carl")
    anna.say("hi")
    anna.expect("message")
    anna.send("nick", nick=fresh("annie"))
    anna.expect("renamed")
    anna.say("LOUD")
    anna.expect("warning")
    anna.send("leave")
    bob.recv_until(lambda frame: frame.type == "left")
    carl.expect_nothing()


def test_each_room_has_its_own_numbers(server: Server) -> None:
    anna, _ = server.crew("anna", "bob")
    (carl,) = server.crew("carl")
    for number in (1, 2, 3):
        anna.say("a")
        anna.expect("message", id=number)
    carl.say("c")
    carl.expect("message", id=1)


def test_all_in_one_segment_each_word_in_its_room(server: Server) -> None:
    (anna,) = server.crew("anna")
    (bob,) = server.crew("bob")
    (carl,) = server.crew("carl")
    first = anna.history()["room"]
    second = bob.history()["room"]
    third = carl.history()["room"]
    anna.send_all(
        encode("say", text="in the first"),
        encode("join", room=second),
        encode("say", text="in the second"),
        encode("join", room=third),
        encode("say", text="in the third"),
        encode("join", room=first),
    )
    assert [(frame.type, frame["room"]) for frame in anna.sync()] == [
        ("message", first),
        ("room", second),
        ("message", second),
        ("room", third),
        ("message", third),
        ("room", first),
    ]
    for peer, text in ((bob, "in the second"), (carl, "in the third")):
        seen = peer.sync()
        assert types(seen) == ["joined", "message", "left"]
        assert seen[1]["text"] == text
        assert seen[2]["reason"] == "moved"


def test_room_comes_first_and_then_everything_from_there(server: Server) -> None:
    """Whoever enters a busy room sees the numbers go on from `last_id`."""
    talkers = server.crew("anna", "bob")
    name = talkers[0].history()["room"]
    burst = encode("say", text="busy") * 50
    for _ in range(10):
        newcomer = server.peer()
        talkers[0].send_raw(burst)
        newcomer.send("hello", version=1, room=name)
        talkers[1].send_raw(burst)
        _, room = newcomer.welcomed()
        for talker in talkers:
            talker.sync()
        seen = newcomer.sync()
        assert set(types(seen)) <= {"message"}
        assert ids(seen) == [
            room["last_id"] + number for number in range(1, len(seen) + 1)
        ]
        assert newcomer.history(limit=1)["messages"][-1]["id"] == (
            room["last_id"] + len(seen)
        )
        newcomer.close()


# Renaming


def test_renaming(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    nick = fresh("annie")
    anna.send("nick", nick=nick)
    for peer in (anna, bob):
        peer.expect("renamed", old=anna.nick, new=nick)
        peer.expect_nothing()
    anna.say("it is me")
    bob.expect("message", from_=nick)
    bob.send("whisper", to=anna.nick, text="are you there?")
    bob.expect_error("no-such-nick")


def test_renaming_frees_the_old_nick(server: Server) -> None:
    anna = server.member("anna")
    old = anna.nick
    anna.send("nick", nick=fresh("annie"))
    anna.expect("renamed")
    welcome, _ = server.peer().hello(old)
    assert welcome["nick"] == old


def test_ones_own_nick_as_it_is(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send("nick", nick=anna.nick)
    anna.expect_nothing()
    bob.expect_nothing()
    guest = server.peer()
    guest.hello(room=fresh("room"))
    guest.send("nick", nick=guest.nick)
    guest.expect_nothing()


def test_ones_own_nick_written_otherwise(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    nick = anna.nick.title()
    anna.send("nick", nick=nick)
    anna.expect("renamed", old=anna.nick, new=nick)
    bob.expect("renamed", old=anna.nick, new=nick)


def test_a_taken_nick(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    for nick in (bob.nick, bob.nick.upper()):
        anna.send("nick", nick=nick)
        anna.expect_error("nick-taken")
    bob.expect_nothing()
    anna.say("hi")
    bob.expect("message", from_=anna.nick)


def test_a_new_nick_in_nfc(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    nick = fresh("zoe") + "e\u0301"
    anna.send("nick", nick=nick)
    anna.expect("renamed", new=unicodedata.normalize("NFC", nick))
    bob.expect("renamed", new=unicodedata.normalize("NFC", nick))


def test_swapping_nicks_in_one_segment(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    between = fresh("between")
    anna.send_all(
        encode("nick", nick=between),
        encode("say", text="now"),
        encode("nick", nick=anna.nick),
        encode("say", text="then"),
    )
    seen = bob.recv_until(lambda frame: frame.get("text") == "then")
    assert types(seen) == ["renamed", "message", "renamed", "message"]
    assert seen[1]["from"] == between
    assert seen[3]["from"] == anna.nick


# Asking


def test_who_is_in_key_order(server: Server) -> None:
    room, tail = fresh("room"), fresh("")
    stems = ["zed", "Anna", "émile", "bob", "Übel", "álvaro", "9lives", "Ｚoe", "юля"]
    nicks = [stem + tail for stem in stems]
    peers = []
    for nick in nicks:
        peer = server.peer()
        peer.hello(nick, room=room)
        peers.append(peer)
    expected = sorted(nicks, key=key_of)
    asker = peers[0]
    asker.sync()
    asker.send("who")
    page = asker.expect("members", room=room, more=False)
    assert page["members"] == expected
    for index, nick in enumerate(expected):
        asker.send("who", after=nick)
        page = asker.expect("members", more=False)
        assert page["members"] == expected[index + 1 :]
        asker.send("who", after=nick.upper())
        assert asker.expect("members")["members"] == expected[index + 1 :]


def test_who_after_somebody_who_is_gone(server: Server) -> None:
    room, tail = fresh("room"), fresh("")
    for stem in ("anna", "dora", "emil"):
        server.peer().hello(stem + tail, room=room)
    asker = server.peer()
    asker.hello("zed" + tail, room=room)
    asker.send("who", after="carl" + tail)
    assert asker.expect("members")["members"] == [
        "dora" + tail,
        "emil" + tail,
        "zed" + tail,
    ]


def test_who_tells_of_this_room_only(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    server.crew("carl")
    anna.send("who")
    assert anna.expect("members")["members"] == sorted([anna.nick, bob.nick])


def test_rooms_are_in_name_order_with_their_sizes(server: Server) -> None:
    stem = fresh("sorted")
    for name, size in (("b", 2), ("a", 1), ("c-1", 3), ("c", 1)):
        server.crew(*["nick"] * size, room=f"{stem}-{name}")
    (kept,) = server.crew("anna", room=f"{stem}-kept")
    kept.say("a trace")
    kept.expect("message")
    kept.send("join", room=f"{stem}-d")
    kept.expect("room")
    kept.send("rooms")
    page = kept.expect("rooms", more=False)
    mine = [entry for entry in page["rooms"] if entry["room"].startswith(stem)]
    assert mine == [
        {"room": f"{stem}-a", "count": 1},
        {"room": f"{stem}-b", "count": 2},
        {"room": f"{stem}-c", "count": 1},
        {"room": f"{stem}-c-1", "count": 3},
        {"room": f"{stem}-d", "count": 1},
    ]
    kept.send("rooms", after=f"{stem}-c")
    page = kept.expect("rooms", more=False)
    assert [entry["room"] for entry in page["rooms"]][:2] == [
        f"{stem}-c-1",
        f"{stem}-d",
    ]


# More than a frame holds


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Let this process open many sockets for the time of a test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip("not enough descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def all_pages(peer: Peer, kind: str, field: str) -> list[Frame]:
    """Ask for `kind` page by page until nothing more is left."""
    pages: list[Frame] = []
    after: dict[str, object] = {}
    while not pages or pages[-1]["more"]:
        peer.send(kind, **after)
        page = peer.expect("members" if kind == "who" else kind)
        assert page[field], "a page that says there is more is not empty"
        pages.append(page)
        last = page[field][-1]
        after = {"after": last if kind == "who" else last["room"]}
        assert len(pages) < 10
    return pages


@pytest.mark.usefixtures("many_descriptors")
def test_more_members_than_a_frame_holds(server: Server) -> None:
    """Nicks of 128 bytes, 520 of them; also a room that is large by default."""
    room = fresh("room")
    nicks = ["\U00020000" * 28 + chr(0x20001 + number) * 4 for number in range(520)]
    for nick in nicks:
        server.peer().hello(nick, room=room)
    asker = server.peers[-1]
    asker.sync()
    pages = all_pages(asker, "who", "members")
    assert len(pages) == 2
    assert [nick for page in pages for nick in page["members"]] == sorted(nicks)


@pytest.mark.usefixtures("many_descriptors")
def test_more_rooms_than_a_frame_holds(start: Start) -> None:
    server = start("--rate", "0", "--max-clients-per-ip", "0", "--max-rooms", "0")
    names = [f"{number:04}".ljust(32, "x") for number in range(1250)]
    for name in names:
        server.peer().hello(room=name)
    pages = all_pages(server.peers[0], "rooms", "rooms")
    assert len(pages) == 2
    assert [entry for page in pages for entry in page["rooms"]] == [
        {"room": name, "count": 1} for name in names
    ]


# Large rooms


def test_a_large_room_is_told_as_a_count(start: Start) -> None:
    server = start("--rate", "0", "--presence-limit", "20")
    room = fresh("room")
    watcher = server.member("watcher", room=room)
    others = [server.member("other", room=room) for _ in range(19)]
    assert types(watcher.sync()) == ["joined"] * 19

    # One more makes it large; whether that one is still named is left open.
    others += [server.member("more", room=room) for _ in range(3)]
    seen = watcher.recv_until(lambda frame: frame.get("count") == 23)
    counts = [(time.monotonic(), 23)]

    # Somebody comes, takes another nick and goes, again and again.
    while len(counts) < 2:
        passing = server.member("passing", room=room)
        nick = fresh("renamed")
        passing.send("nick", nick=nick)
        passing.expect("renamed", skip=["count"], old=passing.nick, new=nick)
        passing.send("leave")
        passing.expect("kick", skip=["count"])
        passing.close()
        for frame in watcher.sync():
            seen.append(frame)
            if frame.type == "count":
                counts.append((time.monotonic(), frame["count"]))
        assert time.monotonic() - counts[-1][0] < 5
    assert types(seen).count("joined") <= 1
    assert set(types(seen)) <= {"joined", "count"}
    assert all(frame["room"] == room for frame in seen)
    for (earlier, _), (later, _) in itertools.pairwise(counts):
        assert later - earlier > 0.9
    assert all(22 <= count <= 24 for _, count in counts)
    watcher.say("still heard")
    watcher.expect("message", skip=["count"])
    others[0].expect("message", skip=["count", "joined"])

    # At 17 it is under nine tenths: one last count, and names again.
    for other in others[16:]:
        other.close()
    falling = watcher.recv_until(lambda frame: frame.get("count") == 17)
    assert set(types(falling)) == {"count"}
    others[15].close()
    watcher.expect("left", nick=others[15].nick, reason="lost")
    newcomer = server.member("newcomer", room=room)
    watcher.expect("joined", nick=newcomer.nick)
    watcher.expect_nothing()


def test_leaving_a_large_room_says_nothing_else(start: Start) -> None:
    """Private frames come as ever: one's own `room`, and none of one's own coming."""
    server = start("--rate", "0", "--presence-limit", "3")
    big = fresh("big")
    members = [server.member("big", room=big) for _ in range(5)]
    (anna,) = server.crew("anna")
    anna.send("join", room=big)
    assert anna.expect("room", room=big)["count"] == 6
    members[0].recv_until(lambda frame: frame.get("count") == 6)
    anna.send("join", room=fresh("small"))
    assert anna.expect("room", skip=["count"])["count"] == 1
    anna.expect_nothing()
