"""The first frame: who is let in, under which nick, and in which order it is judged."""

import re
import unicodedata

import pytest

from tests.integration.conftest import Start
from tests.support.peer import Frame, Peer, encode, pack, types
from tests.support.server import Server
from tests.support.waiting import fresh

OPTIONS = ("--rate", "0")


def greet(server: Server, **fields: object) -> tuple[Peer, Frame]:
    """Send a `hello` with just these fields and give its answer."""
    peer = server.peer()
    peer.send("hello", **fields)
    return peer, peer.recv()


def refuse(server: Server, code: str, *, closes: bool, **fields: object) -> Peer:
    """Send a `hello` that has to be refused in this way."""
    peer = server.peer()
    peer.send("hello", **fields)
    peer.expect_error(code, closes=closes)
    return peer


def key_of(nick: str) -> str:
    """The key under which a nick is unique."""
    folded = unicodedata.normalize("NFKC", nick).casefold()
    return unicodedata.normalize("NFKC", folded)


# What is answered


def test_welcome_and_room(server: Server) -> None:
    nick, name = fresh("anna"), fresh("room")
    peer = server.peer()
    welcome, room = peer.hello(nick, room=name)
    assert welcome["version"] == 1
    assert welcome["nick"] == nick
    assert welcome["strikes"] == 0
    assert "last_ref" not in welcome
    assert welcome["limits"] == {
        "frame": 65536,
        "text": 4000,
        "nick": 32,
        "strikes": 2,
        "shout_letters": 1,
    }
    assert len(welcome["session"]) >= 16
    assert room["room"] == name
    assert room["last_id"] == 0
    assert room["oldest_id"] == 1
    assert room["count"] == 1
    assert room["log"]
    assert "topic" not in room


def test_the_limits_are_those_of_the_options(start: Start) -> None:
    server = start("--strikes", "5", "--shout-min-letters", "4")
    welcome, _ = server.peer().hello()
    assert welcome["limits"]["strikes"] == 5
    assert welcome["limits"]["shout_letters"] == 4


def test_without_a_room_it_is_the_lobby(server: Server) -> None:
    _, room = server.peer().hello()
    assert room["room"] == "lobby"


def test_the_log_has_one_identity_a_server(server: Server, start: Start) -> None:
    _, here = server.peer().hello(room=fresh("room"))
    _, there = server.peer().hello(room=fresh("room"))
    _, elsewhere = start().peer().hello()
    assert here["log"] == there["log"]
    assert here["log"] != elsewhere["log"]


def test_sessions_are_secrets_that_differ(server: Server) -> None:
    sessions = {server.member().session for _ in range(20)}
    assert len(sessions) == 20


def test_unknown_fields_and_a_password_nobody_asked_for(server: Server) -> None:
    peer = server.peer()
    peer.hello(fresh("anna"), password="x", colour="red", type2=None)


def test_hello_byte_by_byte(server: Server) -> None:
    peer = server.peer()
    peer.send_bytewise(encode("hello", version=1, nick=fresh("anna")))
    peer.welcomed()


def test_hello_of_exactly_4096_bytes(server: Server) -> None:
    plain = len(encode("hello", version=1, pad="")) - 4
    peer = server.peer()
    data = encode("hello", version=1, pad="x" * (4096 - plain))
    assert len(data) == 4 + 4096
    peer.send_raw(data)
    peer.welcomed()


def test_others_see_who_came(server: Server) -> None:
    (anna,) = server.crew("anna")
    anna.send("join", room=fresh("room"))
    room = anna.expect("room")["room"]
    bob = server.member("bob", room=room)
    anna.expect("joined", room=room, nick=bob.nick)
    bob.expect_nothing()
    anna.expect_nothing()


# What comes first


@pytest.mark.parametrize(
    "frame",
    [
        encode("say", text="hi"),
        encode("ping"),
        encode("pong"),
        encode("leave"),
        encode("who"),
        encode("welcome"),
        encode("dance"),
        encode(""),
    ],
)
def test_anything_else_first(server: Server, frame: bytes) -> None:
    peer = server.peer()
    peer.send_raw(frame)
    peer.expect_error("hello-expected", closes=True)


def test_anything_else_after_a_refused_hello(server: Server) -> None:
    peer = refuse(server, "nick-invalid", closes=False, version=1, nick="-")
    peer.say("let me in")
    peer.expect_error("hello-expected", closes=True)


def test_what_follows_the_refusal_has_no_effect(server: Server) -> None:
    peer = server.peer()
    peer.send_all(encode("ping"), encode("hello", version=1), encode("say", text="x"))
    peer.expect_error("hello-expected", closes=True)


def test_a_second_hello(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send("hello", version=1, nick=fresh("other"))
    anna.expect_error("already-joined")
    anna.say("still here")
    anna.expect("message", from_=anna.nick)
    bob.expect("message", from_=anna.nick)


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b'{"type":5}',
        b'{"type":null,"version":1}',
        b"[]",
        b'"hello"',
        b"hello",
        b'{"type":"hello","version":1',
        b"\xef\xbb\xbf" + b'{"type":"hello","version":1}',
        b'{"type":"hello"}',
        b'{"type":"hello","version":"1"}',
        b'{"type":"hello","version":true}',
        b'{"type":"hello","version":1.0}',
        b'{"type":"hello","version":null}',
        b'{"type":"hello","version":-1}',
        b'{"type":"hello","version":9007199254740992}',
        b'{"type":"hello","version":1,"nick":5}',
        b'{"type":"hello","version":1,"nick":null}',
        b'{"type":"hello","version":1,"nick":["anna"]}',
        b'{"type":"hello","version":1,"room":7}',
        b'{"type":"hello","version":1,"room":null}',
        b'{"type":"hello","version":1,"password":false}',
        b'{"type":"hello","version":1,"session":{}}',
        b'{"type":"hello","version":1,"session":null}',
        b'{"type":"hello","version":1,"x":"\\udc00"}',
    ],
)
def test_malformed_before_welcome_closes(server: Server, payload: bytes) -> None:
    peer = server.peer()
    peer.send_raw(pack(payload))
    peer.expect_error("malformed", closes=True)


@pytest.mark.parametrize("version", [0, 2, 9007199254740991])
def test_another_version(server: Server, version: int) -> None:
    refuse(server, "version", closes=True, version=version)


# The order of the checks


def test_well_formed_before_version(server: Server) -> None:
    refuse(server, "malformed", closes=True, version=2, nick=5)


def test_version_before_room_and_nick(server: Server) -> None:
    refuse(server, "version", closes=True, version=2, room="NO", nick="-")


def test_room_before_nick(server: Server) -> None:
    refuse(server, "room-invalid", closes=False, version=1, room="NO", nick="-")


def test_room_before_a_taken_nick(server: Server) -> None:
    anna = server.member("anna")
    refuse(server, "room-invalid", closes=False, version=1, room="NO", nick=anna.nick)


def test_full_between_version_and_room(start: Start) -> None:
    server = start("--max-clients", "1")
    server.member()
    refuse(server, "version", closes=True, version=2, room="NO")
    refuse(server, "full", closes=True, version=1, room="NO", nick="-")


# How often


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("nick-invalid", {"nick": "no good"}),
        ("room-invalid", {"room": "No Good"}),
    ],
)
def test_refused_and_let_in_on_a_later_try(
    server: Server, code: str, fields: dict[str, object]
) -> None:
    peer = server.peer()
    for _ in range(4):
        peer.send("hello", version=1, **fields)
        peer.expect_error(code)
    peer.hello(fresh("anna"))


def test_a_taken_nick_and_then_another(server: Server) -> None:
    anna = server.member("anna")
    peer = refuse(server, "nick-taken", closes=False, version=1, nick=anna.nick)
    peer.hello(fresh("other"))


def test_the_tries_come_to_an_end(server: Server) -> None:
    """The connection is left open five times at most."""
    peer = server.peer()
    bad = encode("hello", version=1, nick="no good")
    peer.send_raw(bad * 20)
    answers = peer.rest()
    assert types(answers) == ["error"] * len(answers)
    assert {answer["code"] for answer in answers} == {"nick-invalid"}
    assert len(answers) == 6


def test_a_good_hello_behind_the_last_try_comes_too_late(server: Server) -> None:
    peer = server.peer()
    peer.send_raw(encode("hello", version=1, nick="no good") * 6)
    peer.send("hello", version=1)
    assert "welcome" not in types(peer.rest())


def test_no_hello_at_all(start: Start) -> None:
    server = start("--hello-timeout", "0.5")
    silent, trickling, late = server.peer(), server.peer(), server.peer()
    hello = encode("hello", version=1, nick="no good")
    trickling.send_raw(hello[:3])
    late.send_raw(hello)
    late.expect_error("nick-invalid")
    # A byte now and then is no hello.
    for byte in hello[3:6]:
        assert "error" not in types(late_frames(late))
        trickling.send_raw(bytes([byte]))
    silent.expect_error("timeout", closes=True)
    trickling.expect_error("timeout", closes=True)
    late.expect_error("timeout", closes=True)
    server.expect_rest()


def late_frames(peer: Peer) -> list[Frame]:
    """What comes within a tenth of a second."""
    try:
        return [peer.recv(timeout=0.1)]
    except AssertionError:
        return []


def test_a_member_is_past_that_timeout(start: Start) -> None:
    server = start("--hello-timeout", "0.3")
    anna = server.member("anna")
    server.peer().expect_error("timeout", closes=True)
    anna.expect_nothing()


# Nicks


def test_guests_get_numbers(server: Server) -> None:
    nicks = [server.peer().hello()[0]["nick"] for _ in range(5)]
    assert len(set(nicks)) == 5
    for nick in nicks:
        assert re.fullmatch(r"guest-[1-9][0-9]*", nick)


@pytest.mark.parametrize(
    "nick", ["guest-1", "Guest-2", "GUEST-77", "ｇｕｅｓｔ-3", "guest-123456789"]
)
def test_a_guest_nick_cannot_be_asked_for(server: Server, nick: str) -> None:
    refuse(server, "nick-invalid", closes=False, version=1, nick=nick)
    anna = server.member("anna")
    anna.send("nick", nick=nick)
    anna.expect_error("nick-invalid")


@pytest.mark.parametrize("nick", ["guest", "guest-x", "guests-1", "my-guest-1"])
def test_nicks_that_only_begin_like_a_guest(server: Server, nick: str) -> None:
    welcome, _ = server.peer().hello(nick)
    assert welcome["nick"] == nick


@pytest.mark.parametrize(
    "nick",
    [
        "a",
        "7",
        "x" * 32,
        "\U00020000" * 32,
        "a-b_c.d",
        "9lives",
        "Zoë",
        "山田",
        "юля",
        "x\u0301\u0302y",
        "नमस्ते",
        "ﷲ" * 16,
    ],
)
def test_a_good_nick(server: Server, nick: str) -> None:
    welcome, _ = server.peer().hello(nick)
    assert welcome["nick"] == unicodedata.normalize("NFC", nick)


BAD_NICKS = [
    "",
    " ",
    "x" * 33,
    "-anna",
    "_anna",
    ".anna",
    "\u0301anna",
    "anna bell",
    " anna",
    "anna ",
    "anna\n",
    "an\tna",
    "an\0na",
    "an\x1b[2Jna",
    "an\x85na",
    "an\u2028na",
    "anna!",
    "a/b",
    "a@b",
    "a:b",
    "a\u200db",
    "a\u200bb",
    "a\u202eb",
    "a\u034fb",
    "a\u115fb",
    "a\u1160b",
    "a\u17b4b",
    "a\u17b5b",
    "a\u3164b",
    "a\ufe0fb",
    "a\uffa0b",
    "\u3164",
    "x\u0301\u0302\u0304",
    "☺",
    "x²",
    "Ⅷ",
    "½",
    "\ufdfa",
    "\ufdf2" * 17,
    "\ue000",
]
"""The last but one have a key that breaks the rule: white space, 68 code points."""


@pytest.mark.parametrize("nick", BAD_NICKS, ids=ascii)
def test_a_bad_nick(server: Server, nick: str) -> None:
    refuse(server, "nick-invalid", closes=False, version=1, nick=nick)
    anna = server.member("anna")
    anna.send("nick", nick=nick)
    anna.expect_error("nick-invalid")
    anna.expect_nothing()


def test_a_nick_is_taken_in_nfc(server: Server) -> None:
    nick = fresh("zoe") + "e\u0308"
    welcome, _ = server.peer().hello(nick)
    assert welcome["nick"] == unicodedata.normalize("NFC", nick)
    assert welcome["nick"] != nick


def test_the_length_is_that_of_the_nfc(server: Server) -> None:
    nick = "q" * 30 + "e\u0308" + "e\u0308"
    assert len(nick) == 34
    welcome, _ = server.peer().hello(nick)
    assert len(welcome["nick"]) == 32


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("anna", "ANNA"),
        ("anna", "Anna"),
        ("anna", "ａｎｎａ"),
        ("strasse", "straße"),
        ("fin", "ﬁn"),
        ("kelvin", "\u212aelvin"),
        ("joe\u0301l", "joél"),
        ("σας", "ΣΑΣ"),
        ("office", "oﬀice"),
        ("\u1d2cbc", "abc"),
    ],
    ids=ascii,
)
def test_nicks_with_one_key_are_the_same_nick(
    server: Server, first: str, second: str
) -> None:
    tail = fresh("")
    assert key_of(first + tail) == key_of(second + tail)
    holder, _ = greet(server, version=1, nick=first + tail)
    other = refuse(server, "nick-taken", closes=False, version=1, nick=second + tail)
    holder.expect("room")
    other.hello(fresh("other"))
    other.send("nick", nick=second + tail)
    other.expect_error("nick-taken", closes=False)
    other.expect_nothing()


def test_letters_that_only_look_alike_are_two_nicks(server: Server) -> None:
    tail = fresh("")
    server.peer().hello("anna" + tail)
    server.peer().hello("аnna" + tail)


def test_one_of_many_gets_the_nick(server: Server) -> None:
    nick = fresh("wanted")
    peers = [server.peer() for _ in range(20)]
    for peer in peers:
        peer.send("hello", version=1, nick=nick)
    answers = [peer.recv() for peer in peers]
    assert sorted(types(answers)) == ["error"] * 19 + ["welcome"]
    for peer, answer in zip(peers, answers, strict=True):
        if answer.type == "error":
            assert answer["code"] == "nick-taken"
            peer.hello(fresh("other"))


def test_a_nick_is_free_again_behind_its_owner(server: Server) -> None:
    anna = server.member("anna")
    anna.send("leave")
    anna.expect("kick")
    anna.expect_closed()
    welcome, _ = server.peer().hello(anna.nick)
    assert welcome["nick"] == anna.nick
    assert welcome["session"] != anna.session


# Rooms


BAD_ROOMS = [
    "",
    " ",
    "Tea",
    "-tea",
    "_tea",
    "tea room",
    "tea.room",
    "tea\n",
    "tée",
    "x" * 33,
    "٣",
    "ｔｅａ",
    "#tea",
]


@pytest.mark.parametrize("room", BAD_ROOMS, ids=ascii)
def test_a_bad_room(server: Server, room: str) -> None:
    refuse(server, "room-invalid", closes=False, version=1, room=room)


@pytest.mark.parametrize("room", ["t", "0", "x" * 32, "tea-room_2", "9-to-5"])
def test_a_good_room(server: Server, room: str) -> None:
    _, entered = server.peer().hello(room=room)
    assert entered["room"] == room


# Full


def test_full(start: Start) -> None:
    server = start("--max-clients", "2")
    anna, _bob = server.member("anna"), server.member("bob")
    refuse(server, "full", closes=True, version=1)
    anna.send("leave")
    anna.expect("kick", skip=["joined"])
    anna.expect_closed()
    server.member("carl")
    refuse(server, "full", closes=True, version=1)


def test_who_has_not_said_hello_takes_no_seat(start: Start) -> None:
    server = start("--max-clients", "1")
    for _ in range(5):
        server.peer()
    server.member("anna")


def test_taking_over_a_seat_in_a_full_house(start: Start) -> None:
    server = start("--max-clients", "1")
    anna = server.member("anna")
    again = server.peer()
    welcome, _ = again.hello(session=anna.session)
    assert welcome["nick"] == anna.nick
    anna.expect("kick", reason="replaced")
    anna.expect_closed()


def test_too_many_from_one_address(start: Start) -> None:
    server = start("--max-clients-per-ip", "3")
    members = [server.member() for _ in range(3)]
    peer = server.peer()
    peer.send("hello", version=1)
    refused = peer.rest()
    assert types(refused) in ([], ["error"])
    assert [frame["code"] for frame in refused] in ([], ["full"])
    members[0].close()
    members[1].expect("left", skip=["joined"], reason="lost")
    server.member()


def test_no_room_for_another_room(start: Start) -> None:
    server = start("--max-rooms", "2")
    anna, _bob = server.crew("anna", "bob")
    server.member("carl", room=fresh("room"))
    refuse(server, "full", closes=True, version=1, room=fresh("room"))
    anna.expect_nothing()


def test_there_is_always_room_in_the_lobby(start: Start) -> None:
    """One who has something said in room after room keeps nobody out of the chat."""
    server = start("--max-rooms", "3", "--rate", "0")
    greedy = server.member("greedy", room="r0")
    for number in range(1, 6):
        greedy.say("kept")
        greedy.send("join", room=f"r{number}")
    greedy.close()
    refuse(server, "full", closes=True, version=1, room=fresh("room"))
    anna, bob = server.member("anna"), server.member("bob")
    anna.expect("joined", nick=bob.nick)
    anna.say("still here")
    bob.expect("message", id=1)
