"""Frames that are no good, and what they cost: one answer, at most the connection."""

import json
import struct

import pytest

from tests.support.peer import MAX_FRAME, Frame, Peer, encode, pack, types
from tests.support.server import Server
from tests.support.waiting import fresh

OPTIONS = ("--rate", "0")

TOP = 9007199254740991  # 2 ** 53 - 1


def padded(size: int) -> bytes:
    """A good ping whose payload has exactly this size."""
    plain = len(encode("ping", data="big", pad="")) - 4
    data = encode("ping", data="big", pad="x" * (size - plain))
    assert len(data) == 4 + size
    return data


def refuse(peer: Peer, payload: bytes, code: str = "malformed") -> Frame:
    """Send a payload that gets this error and leaves the connection as it was."""
    peer.send_raw(pack(payload))
    error = peer.expect_error(code)
    peer.expect_nothing()
    return error


# The header


@pytest.mark.parametrize("length", [0, 65537, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_length_out_of_bounds(server: Server, length: int) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_raw(struct.pack("!I", length))
    anna.expect_error("bad-frame", closes=True)
    bob.expect("left", nick=anna.nick, reason="lost")


@pytest.mark.parametrize("length", [0, 4097, 65536, 65537, 0xFFFFFFFF])
def test_a_length_out_of_bounds_before_welcome(server: Server, length: int) -> None:
    peer = server.peer()
    peer.send_raw(struct.pack("!I", length))
    peer.expect_error("bad-frame", closes=True)


def test_no_frame_behind_a_bad_header_counts(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_all(
        encode("say", text="before"),
        struct.pack("!I", 0),
        encode("say", text="behind"),
    )
    assert types(anna.rest()) == ["message", "error"]
    bob.expect("message", text="before")
    bob.expect("left", nick=anna.nick, reason="lost")
    bob.expect_nothing()


def test_headers_that_promise_much_take_no_memory(server: Server) -> None:
    peers = [server.member(room=fresh("room")) for _ in range(100)]
    before = server.rss()
    for peer in peers:
        peer.send_raw(struct.pack("!I", MAX_FRAME) + b"{")
    for _ in range(50):
        peer = server.peer()
        peer.send_raw(struct.pack("!I", 0xFFFFFFFF))
        peer.expect_error("bad-frame", closes=True)
    assert server.rss() - before < 2 << 20, "a hundred such frames are 6.4 MB"


def test_the_largest_frame(server: Server) -> None:
    peer = server.member()
    peer.send_raw(padded(MAX_FRAME))
    peer.expect("pong", data="big")


def test_a_large_frame_right_behind_hello(server: Server) -> None:
    peer = server.peer()
    peer.send_all(encode("hello", version=1), padded(60000), padded(MAX_FRAME))
    peer.welcomed()
    peer.expect("pong")
    peer.expect("pong")


def test_a_large_frame_behind_a_refused_hello(server: Server) -> None:
    peer = server.peer()
    peer.send_all(encode("hello", version=1, nick="-"), padded(4097))
    peer.expect_error("nick-invalid")
    peer.expect_error("bad-frame", closes=True)


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_an_unfinished_frame_is_never_judged(server: Server, cut: int) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_raw(encode("say", text="unfinished")[:-cut])
    anna.half_close()
    assert types(anna.rest()) in ([], ["error"])
    bob.expect("left", nick=anna.nick, reason="lost")
    bob.expect_nothing()


# The payload


def nested(depth: int) -> bytes:
    """A ping of this depth, the frame itself counted."""
    inner = depth - 1
    return b'{"type":"ping","x":' + b"[" * inner + b"]" * inner + b"}"


def nested_objects(depth: int) -> bytes:
    """The same with objects, one inside the other."""
    inner = depth - 1
    return b'{"type":"ping","x":' + b'{"y":' * inner + b"1" + b"}" * inner + b"}"


MALFORMED = {
    "not UTF-8": b'{"type":"ping","data":"\xff"}',
    "cut UTF-8": b'{"type":"ping","data":"\xc3"}',
    "overlong UTF-8": b'{"type":"ping","data":"\xc0\xaf"}',
    "beyond Unicode": b'{"type":"ping","data":"\xf4\x90\x80\x80"}',
    "raw surrogate": b'{"type":"ping","data":"\xed\xa0\x80"}',
    "raw surrogate pair": b'{"type":"ping","data":"\xed\xa0\xbd\xed\xb8\x80"}',
    "BOM": b"\xef\xbb\xbf" + b'{"type":"ping"}',
    "UTF-16 with BOM": '{"type":"ping"}'.encode("utf-16"),
    "UTF-16-LE": '{"type":"ping"}'.encode("utf-16-le"),
    "UTF-16-BE": '{"type":"ping"}'.encode("utf-16-be"),
    "UTF-32-LE": '{"type":"ping"}'.encode("utf-32-le"),
    "array": b'[{"type":"ping"}]',
    "string": b'"ping"',
    "number": b"5",
    "true": b"true",
    "null": b"null",
    "white space": b"   ",
    "NUL": b"\0",
    "NUL behind": b'{"type":"ping"}\0',
    "cut": b'{"type":"ping"',
    "two objects": b'{"type":"ping"}{"type":"ping"}',
    "trailing comma": b'{"type":"ping",}',
    "single quotes": b"{'type':'ping'}",
    "no quotes": b'{type:"ping"}',
    "comment": b'{"type":"ping"/* */}',
    "raw newline in a string": b'{"type":"ping","data":"a\nb"}',
    "raw NUL in a string": b'{"type":"ping","data":"a\0b"}',
    "bad escape": b'{"type":"ping","data":"\\x41"}',
    "cut escape": b'{"type":"ping","data":"\\u00"}',
    "leading zero": b'{"type":"ping","x":01}',
    "plus": b'{"type":"ping","x":+1}',
    "hexadecimal": b'{"type":"ping","x":0x10}',
    "bare point": b'{"type":"ping","x":1.}',
    "other white space": b'{"type":\xc2\xa0"ping"}',
    "no type": b"{}",
    "type null": b'{"type":null}',
    "type number": b'{"type":1}',
    "type list": b'{"type":["ping"]}',
    "type object": b'{"type":{}}',
    "NaN": b'{"type":"ping","x":NaN}',
    "Infinity": b'{"type":"ping","x":Infinity}',
    "-Infinity": b'{"type":"ping","x":[-Infinity]}',
    "1e999": b'{"type":"ping","x":1e999}',
    "-1e999": b'{"type":"ping","x":{"y":-1e999}}',
    "5000 digits": b'{"type":"ping","x":' + b"9" * 5000 + b"}",
    "400 digits": b'{"type":"ping","x":-' + b"9" * 400 + b"}",
    "5000 digits where an id is": b'{"type":"history","after":' + b"9" * 5000 + b"}",
    "lone high surrogate": b'{"type":"ping","data":"\\ud83d"}',
    "lone low surrogate": b'{"type":"ping","data":"a\\ude00b"}',
    "surrogates the wrong way round": b'{"type":"ping","data":"\\ude00\\ud83d"}',
    "lone surrogate in a key": b'{"type":"ping","\\ud83d":1}',
    "lone surrogate deep inside": b'{"type":"ping","x":[{"y":["\\udfff"]}]}',
    "lone surrogate in an inner key": b'{"type":"ping","x":{"\\ud800":1}}',
    "lone surrogate, then overwritten": b'{"type":"ping","x":"\\ud800","x":1}',
    "lone surrogate in the type": b'{"type":"\\ud800"}',
    "depth 33": nested(33),
    "depth 33, objects": nested_objects(33),
    "depth 33, unfinished": b'{"type":"ping","x":' + b"[" * 32,
    "depth 30000": nested(30000),
    "depth 9000, objects": nested_objects(9000),
    "depth 65000, unfinished": b'{"type":"ping","x":' + b"[" * 65000,
    "65000 opening braces": b"{" * 65000,
    "65000 opening strings": b'"' * 65000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_and_the_connection_stays(server: Server, name: str) -> None:
    error = refuse(server.member(), MALFORMED[name])
    assert "ref" not in error


def test_depth_far_beyond_the_frame(server: Server) -> None:
    """100,000 levels do not even fit: the header alone says so."""
    peer = server.member()
    peer.send_raw(pack(nested(100_000)))
    peer.expect_error("bad-frame", closes=True)


WELL_FORMED = {
    "depth 32": nested(32),
    "depth 32, objects": nested_objects(32),
    "brackets in a string": b'{"type":"ping","x":"' + b"[{" * 500 + b'"}',
    "brackets behind a quote": b'{"type":"ping","x":"\\"' + b"[" * 99 + b'"}',
    "brackets behind a backslash": (
        b'{"type":"ping","x":"\\\\","y":["' + b"[" * 99 + b'"]}'
    ),
    "many brackets side by side": b'{"type":"ping","x":[' + b"[]," * 500 + b"[]]}",
    "white space around": b' \t\r\n{ "type" : "ping" } \n',
    "escapes": b'{"\\u0074ype":"\\u0070ing"}',
    "unknown fields": b'{"a":null,"type":"ping","b":[1,{"c":true}],"":0}',
    "1e308": b'{"type":"ping","x":1e308}',
    "300 digits": b'{"type":"ping","x":' + b"9" * 300 + b"}",
    "1e-999": b'{"type":"ping","x":1e-999}',
    "-0": b'{"type":"ping","x":-0}',
    "the type twice": b'{"type":5,"type":"ping"}',
    "fields of others": b'{"type":"ping","text":5,"limit":"x","ref":null,"nick":[]}',
}  # fmt: skip


@pytest.mark.parametrize("name", WELL_FORMED)
def test_odd_but_good(server: Server, name: str) -> None:
    peer = server.member()
    peer.send_raw(pack(WELL_FORMED[name]))
    pong = peer.expect("pong")
    assert "data" not in pong


def test_an_escaped_surrogate_pair_is_one_character(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_raw(pack(b'{"type":"say","text":"\\ud83d\\ude00"}'))
    message = bob.expect("message", text="\U0001f600")
    assert "\U0001f600".encode() in message.payload


def test_of_a_key_given_twice_the_last_counts(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_raw(pack(b'{"type":"say","text":"first","text":"last"}'))
    bob.expect("message", text="last")
    anna.send_raw(pack(b'{"text":"x","type":"say","text":5,"text":"good"}'))
    bob.expect("message", text="good")
    anna.recv_until(lambda frame: frame.get("text") == "good")
    refuse(anna, b'{"type":"say","text":"good","text":5}')
    bob.expect_nothing()


# Fields


STRING: list[object] = [5, 1.5, True, None, [], ["x"], {}]
INTEGER: list[object] = [
    "1",
    "",
    True,
    1.0,
    1.5,
    None,
    -1,
    TOP + 1,
    10**30,
    [],
    [1],
    {},
]

FIELDS: dict[str, tuple[dict[str, object], dict[str, list[object]]]] = {
    "say": (
        {"text": "hi", "ref": "r"},
        {"text": [*STRING], "ref": [*STRING, "", "r" * 65]},
    ),
    "whisper": (
        {"to": "nobody", "text": "hi", "ref": "r"},
        {"to": [*STRING], "text": [*STRING], "ref": [*STRING, "", "r" * 65]},
    ),
    "nick": ({"nick": "x"}, {"nick": [*STRING]}),
    "join": ({"room": "x"}, {"room": [*STRING]}),
    "who": ({}, {"after": [*STRING]}),
    "rooms": ({}, {"after": [*STRING]}),
    "history": (
        {},
        {
            "after": [*INTEGER],
            "before": [*INTEGER],
            "limit": [*INTEGER, 0, 201, TOP],
        },
    ),
    "ping": ({}, {"data": [*STRING, "d" * 65]}),
    "pong": ({}, {"data": [*STRING, "d" * 65]}),
}
"""Of each type a good frame, and the values that each of its fields cannot have."""


@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, field) for kind, (_, bad) in FIELDS.items() for field in bad],
)
def test_a_field_of_the_wrong_type_or_out_of_its_bounds(
    server: Server, kind: str, field: str
) -> None:
    anna, bob = server.crew("anna", "bob")
    good, bad = FIELDS[kind]
    for value in bad[field]:
        frame = {"type": kind, **good, field: value}
        error = refuse(anna, json.dumps(frame).encode())
        if field != "ref" and "ref" in good:
            assert error["ref"] == "r", frame
        else:
            assert "ref" not in error, frame
    bob.expect_nothing()


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "say"},
        {"type": "whisper", "text": "hi"},
        {"type": "whisper", "to": "bob"},
        {"type": "nick"},
        {"type": "join"},
    ],
    ids=str,
)
def test_a_field_is_missing(server: Server, frame: dict[str, object]) -> None:
    refuse(server.member(), json.dumps(frame).encode())


def test_history_after_and_before_at_once(server: Server) -> None:
    refuse(server.member(), b'{"type":"history","after":1,"before":9}')


def test_fields_at_their_bounds(server: Server) -> None:
    (anna,) = server.crew("anna")
    anna.history(after=TOP, limit=1)
    anna.history(before=0, limit=200)
    anna.history(after=0)
    for data in ("", "d" * 64, "\U0001f600" * 64):
        anna.send("ping", data=data)
        anna.expect("pong", data=data)
    for ref in ("r", "r" * 64, "\U0001f600" * 64):
        anna.say("hi", ref=ref)
        anna.expect("message", ref=ref)


def test_a_pong_that_nobody_asked_for(server: Server) -> None:
    peer = server.member()
    peer.send("pong")
    peer.send("pong", data="x")
    peer.expect_nothing()


@pytest.mark.parametrize(
    "kind",
    [
        "dance", "", "Say", "SAY", "say ", "welcome", "message", "kick", "error",
        "joined", "\n", "x" * 1000, "__class__", "\U0001f600",
    ],
    ids=ascii,
)  # fmt: skip
def test_an_unknown_type(server: Server, kind: str) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send(kind, text="hi")
    anna.expect_error("unknown-type")
    anna.expect_nothing()
    bob.expect_nothing()


# Refs


def test_a_ref_comes_back_in_what_answers(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("hi", ref="1")
    assert anna.expect("message")["ref"] == "1"
    assert bob.expect("message")["ref"] == "1"
    anna.send("whisper", to=bob.nick, text="psst", ref="2")
    assert anna.expect("whisper")["ref"] == "2"
    assert bob.expect("whisper")["ref"] == "2"
    anna.say("\x07", ref="3")
    assert anna.expect_error("text-invalid")["ref"] == "3"
    anna.say("x" * 4001, ref="4")
    assert anna.expect_error("text-too-long")["ref"] == "4"
    anna.send("whisper", to=fresh("nobody"), text="psst", ref="5")
    assert anna.expect_error("no-such-nick")["ref"] == "5"
    anna.say("HEY", ref="6")
    assert anna.expect("warning")["ref"] == "6"
    bob.expect_nothing()


def test_without_a_ref_none_comes_back(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("hi")
    assert "ref" not in anna.expect("message")
    assert "ref" not in bob.expect("message")
    anna.send("whisper", to=bob.nick, text="psst")
    assert "ref" not in anna.expect("whisper")
    anna.say("\x07")
    assert "ref" not in anna.expect_error("text-invalid")
    anna.say("HEY")
    assert "ref" not in anna.expect("warning")


@pytest.mark.parametrize("ref", ['"', "\\", "\n", "\x7f", "</script>", "é\u2028"])
def test_a_ref_comes_back_exactly(server: Server, ref: str) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("hi", ref=ref)
    anna.expect("message", ref=ref)
    bob.expect("message", ref=ref)


# Not the protocol at all


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"NICK anna\r\nUSER anna 0 * :anna\r\n",
        b"\xff" * 4096,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
    ],
)
def test_another_protocol_is_sent_away(server: Server, data: bytes) -> None:
    anna = server.member("anna")
    peer = server.peer()
    peer.send_raw(data)
    peer.sock.settimeout(5)
    while peer.sock.recv(65536):
        pass
    anna.expect_nothing()


def test_bad_frames_of_one_disturb_nobody(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    for payload in MALFORMED.values():
        anna.send_raw(pack(payload))
    bob.say("all well?")
    bob.expect("message")
    bob.expect_nothing()
    errors = [frame for frame in anna.sync() if frame.type == "error"]
    assert len(errors) == len(MALFORMED)
    assert {error["code"] for error in errors} == {"malformed"}
