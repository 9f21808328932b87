"""Over WebSocket: the same rooms and rules, and frames that no browser sends."""

import signal
import struct
import time

import pytest

from tests.integration.conftest import Start
from tests.support.peer import Peer, ids, texts, types
from tests.support.server import Server
from tests.support.tls import CERT, KEY, trusting
from tests.support.waiting import PATIENCE, fresh
from tests.support.web import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    WebPeer,
    ask,
    closing,
    encode,
    frame,
    request,
    upgrade,
)

OPTIONS = ("--hello-timeout", "60", "--rate", "0")
TLS = ("--tls-cert", CERT, "--tls-key", KEY)


def join(server: Server, stem: str = "web", **fields: object) -> WebPeer:
    """Let a member come in over WebSocket."""
    peer = WebPeer(server.address)
    server.peers.append(peer)
    peer.hello(fresh(stem), **fields)
    return peer


def visit(server: Server, first: bytes | None = None) -> WebPeer:
    """Let somebody upgrade, who says nothing yet."""
    peer = WebPeer(server.address, first=first)
    server.peers.append(peer)
    return peer


def ends_with(peer: WebPeer, code: int) -> list[str]:
    """Let it end; give the types of what came before the close with this *code*."""
    frames = peer.rest()
    assert peer.close_code() == code, peer.closed
    return types(frames)


# -- one room ---------------------------------------------------------------------


def test_a_browser_is_in_the_same_room(server: Server) -> None:
    room = fresh("room")
    (ann,) = server.crew("ann", room=room)
    bob = join(server, "bob", room=room)
    assert ann.expect("joined")["nick"] == bob.nick
    ann.say("hello")
    bob.expect("message", id=1, text="hello", from_=ann.nick)
    bob.say("h\u00e9llo \U0001f375 <b>&amp;</b>", ref="r1")
    bob.expect("message", id=2, ref="r1")
    ann.expect("message", id=1)
    ann.expect("message", id=2, text="h\u00e9llo \U0001f375 <b>&amp;</b>")
    bob.send("whisper", to=ann.nick, text="psst")
    bob.expect("whisper", text="psst")
    ann.expect("whisper", text="psst", from_=bob.nick)
    assert [m["id"] for m in bob.history()["messages"]] == [1, 2]
    server.wait_log("join", f"nick={bob.nick}", "via=web")


def test_the_rule_of_the_house(server: Server) -> None:
    room = fresh("room")
    (ann,) = server.crew("ann", room=room)
    bob = join(server, "bob", room=room)
    ann.expect("joined")
    bob.say("LOUD")
    bob.expect("warning", strikes=1, limit=2)
    bob.say("fine", ref="x")
    bob.expect("message")
    bob.say("LOUDER")
    bob.say("never seen")
    assert ends_with(bob, 1000) == ["kick"]
    assert texts([ann.expect("message")]) == ["fine"]
    ann.expect("left", nick=bob.nick, reason="shouting")
    ann.expect_nothing()


def test_who_leaves_is_let_go(server: Server) -> None:
    bob = join(server)
    bob.say("!leave")
    assert ends_with(bob, 1000) == ["kick"]


def test_a_session_goes_on_in_either_dialect(server: Server) -> None:
    room = fresh("room")
    bob = join(server, "bob", room=room)
    bob.say("one", ref="r")
    bob.expect("message")
    bob.close()
    native = server.peer()
    welcome, _ = native.hello(session=bob.session, room=room)
    assert (welcome["nick"], welcome["last_ref"]) == (bob.nick, "r")
    again = visit(server)
    welcome, _ = again.hello(session=bob.session, room=room)
    assert welcome["nick"] == bob.nick
    assert types(native.rest()) == ["kick"]


def test_all_see_one_order(start: Start) -> None:
    """Plain, TLS and WebSocket, with and without: everybody hears the same."""
    server = start(*TLS, "--rate", "0")
    room = "order"
    peers: list[Peer] = []
    for number in range(8):
        tls = trusting() if number & 1 else None
        if number & 2:
            peer: Peer = WebPeer(server.address, tls=tls)
            server.peers.append(peer)
        else:
            peer = server.peer(tls=tls)
        peer.hello(f"p{number}", room=room)
        peers.append(peer)
    for peer in peers:
        peer.sync()
    for number in range(40):
        for place, peer in enumerate(peers):
            peer.say(f"{place} {number} " + "x" * (number * 17 % 300))
    last = 40 * len(peers)
    heard = [peer.recv_until(lambda f: f.get("id") == last) for peer in peers]
    assert ids(heard[0]) == list(range(1, last + 1))
    first = [frame.payload for frame in heard[0]]
    for one in heard[1:]:
        assert [frame.payload for frame in one] == first


def test_a_password_is_not_taken_in_the_clear_from_elsewhere(
    start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("secret") / "password"
    path.write_text("sesame\n", encoding="utf-8")
    path.chmod(0o600)
    server = start("--password-file", str(path))
    peer = visit(server)
    peer.send("hello", version=1, nick="eve", password="wrong")
    assert ends_with(peer, 1000) == ["error"]
    peer = visit(server)
    peer.hello("ann", password="sesame")


def test_a_stop_is_told(start: Start) -> None:
    server = start()
    bob = join(server)
    bob.sync()
    server.peers.clear()
    server.send_signal(signal.SIGTERM)
    assert ends_with(bob, 1001) == ["kick"]
    bob.close()
    assert server.wait() == 0


# -- the upgrade ------------------------------------------------------------------


def test_frames_in_the_segment_of_the_request(server: Server) -> None:
    first = upgrade() + encode("hello", version=1, nick=fresh("web"))
    peer = visit(server, first + encode("say", text="at once"))
    peer.welcomed()
    peer.expect("message", text="at once")


def test_the_upgrade_byte_by_byte(server: Server) -> None:
    peer = server.peer()
    peer.send_bytewise(upgrade() + encode("hello", version=1, nick=fresh("web")))
    data = b""
    while b'"type":"room"' not in data:
        data += peer.sock.recv(4096)
    assert data.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("path", ["/chat", "/", "/chat?x=1"])
def test_where_it_is(server: Server, path: str) -> None:
    visit(server, upgrade(path)).hello(fresh("web"))


@pytest.mark.parametrize(
    "headers",
    [
        {"upgrade": "WebSocket", "connection": "keep-alive, Upgrade"},
        {"upgrade": "WEBSOCKET", "connection": "UPGRADE"},
        {"sec_websocket_protocol": "chat, superchat"},
        {"sec_websocket_extensions": "permessage-deflate; client_max_window_bits"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://127.0.0.1:80"},
        {"host": "127.0.0.1:2428", "origin": "http://127.0.0.1:2428"},
        {"host": "LocalHost:80", "origin": "http://localhost"},
    ],
)
def test_what_browsers_send(server: Server, headers: dict[str, str]) -> None:
    visit(server, upgrade(**headers)).hello(fresh("web"))


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "http://evil.example", "https://127.0.0.1", "http://127.0.0.1:81"),
        *(
            "http://127.0.0.1.evil.example",
            "http://evil.example/127.0.0.1",
            "",
            "file://",
        ),
        *("http://127.0.0.1@evil.example", "http://127.0.0.1, http://127.0.0.1"),
        *("127.0.0.1", "http://localhost", "http://127.0.0.1/"),
    ],
)
def test_pages_of_others_do_not_come_in(server: Server, origin: str) -> None:
    for path in ("/chat", "/"):
        answer = ask(server.peer(), upgrade(path, origin=origin))
        assert answer.status == 403


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (upgrade(sec_websocket_key=None), 400),
        (upgrade(sec_websocket_key="c2hvcnQ="), 400),
        (upgrade(sec_websocket_key="not base64, not at all =="), 400),
        (upgrade()[:-2] + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 400),
        (upgrade(sec_websocket_version="8"), 426),
        (upgrade(sec_websocket_version=None), 426),
        (upgrade(connection="keep-alive"), 400),
        (upgrade(upgrade=None), 426),
        (upgrade("/chat", "GET", "1.0"), 400),
        (upgrade("/chat", "POST"), 405),
        (upgrade("/chat", "HEAD"), 405),
        (upgrade("/elsewhere"), 404),
        (request("/chat"), 426),
    ],
)
def test_a_wrong_upgrade_is_told(server: Server, data: bytes, status: int) -> None:
    answer = ask(server.peer(), data)
    assert answer.status == status
    if status == 426:
        assert answer.headers["sec-websocket-version"] == "13"
        assert answer.headers["upgrade"] == "websocket"
    if data.startswith(b"HEAD "):
        assert answer.headers["allow"] == "GET"


# -- frames -----------------------------------------------------------------------


WRONG = {
    "unmasked": (frame(TEXT, b"{}", masked=False), 1002),
    "RSV1": (frame(TEXT, b"{}", flags=0x40), 1002),
    "RSV3": (frame(TEXT, b"{}", flags=0x10), 1002),
    "opcode 3": (frame(3, b"{}"), 1002),
    "opcode 11": (frame(11), 1002),
    "control in parts": (frame(PING, b"a", last=False), 1002),
    "control of 126": (frame(PING, b"a" * 126), 1002),
    "orphan": (frame(0, b"{}"), 1002),
    "interleaved": (frame(TEXT, b"{", last=False) + frame(TEXT, b"}"), 1002),
    "binary": (frame(BINARY, b"{}"), 1003),
    "top bit": (b"\x81\xff" + struct.pack("!Q", 1 << 63), 1002),
    "a tebibyte": (b"\x81\xff" + struct.pack("!Q", 1 << 40), 1009),
    "not the least": (b"\x81\xfe" + struct.pack("!H", 5) + b"\0" * 9, 1002),
    "not the least, 64": (b"\x81\xff" + struct.pack("!Q", 500), 1002),
    "too large": (b"\x81\xff" + struct.pack("!Q", 65537), 1009),
    "not UTF-8": (frame(TEXT, b'{"\xff'), 1007),
    "not UTF-8 early": (frame(TEXT, b'{"\xff' + b"x" * 60000)[:900], 1007),
    "half a character": (
        frame(TEXT, b"\xe2\x82", last=False) + frame(0, b"x", last=False),
        1007,
    ),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close of 1005": (closing(1005), 1002),
    "close of 65535": (closing(65535), 1002),
    "close not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("bytewise", [False, True])
def test_what_is_no_frame_ends_it(server: Server, name: str, bytewise: bool) -> None:
    """An error that says so, the close with its code, and the end of TCP."""
    data, code = WRONG[name]
    room = fresh("room")
    ann = server.member("ann", room=room)
    bob = join(server, "bob", room=room)
    ann.expect("joined")
    if bytewise:
        bob.send_bytewise(data)
    else:
        bob.send_raw(data + encode("say", text="never"))
    (error,) = bob.rest()
    assert (error.type, error["code"]) == ("error", "bad-frame")
    assert error["text"].strip()
    assert bob.close_code() == code
    ann.expect("left", reason="lost")
    ann.expect_nothing()


def test_before_the_welcome_a_message_is_small(server: Server) -> None:
    peer = visit(server)
    peer.send_raw(frame(TEXT, b"x" * 4097)[:8])
    peer.expect_error("bad-frame", closes=True)
    assert peer.close_code() == 1009
    peer = visit(server)
    peer.send_raw(
        encode("hello", version=1, nick=fresh("web"))
        + encode("say", text="a" * 3000, unknown="x" * 60000)
    )
    peer.welcomed()
    peer.expect("message")


def test_no_hello_first(server: Server) -> None:
    for data in (encode("say", text="hi"), frame(TEXT, b"{"), frame(TEXT, b"")):
        peer = visit(server)
        peer.send_raw(frame(PING) + data)
        assert peer.expect("error")["code"] in ("hello-expected", "malformed")
        peer.expect_closed()
        assert peer.close_code() == 1000


def test_pings_of_the_dialect_are_answered(server: Server) -> None:
    peer = visit(server)
    peer.send_raw(frame(PING, b"early"))
    peer.hello(fresh("web"))
    peer.send_raw(frame(PONG, b"nobody asked") + frame(PING) + frame(PING, b"a" * 125))
    peer.sync()
    assert peer.controls == [(PONG, b"early"), (PONG, b""), (PONG, b"a" * 125)]


def test_a_message_in_parts(server: Server) -> None:
    peer = join(server)
    whole = encode("say", text="\u20ac in parts")
    payload = '{"type":"say","text":"\u20ac in parts"}'.encode()
    parts = [frame(TEXT, payload[:1], last=False)]
    parts += [frame(0, payload[n : n + 1], last=False) for n in range(1, len(payload))]
    parts.insert(7, frame(PING, b"between"))
    peer.send_raw(b"".join([*parts, frame(0), whole]))
    peer.expect("message", text="\u20ac in parts")
    peer.expect("message", text="\u20ac in parts")
    assert peer.controls == [(PONG, b"between")]


@pytest.mark.parametrize("part", [b"", b" "])
def test_a_message_in_very_many_parts(server: Server, part: bytes) -> None:
    peer = join(server)
    peer.send_raw(frame(TEXT, b"{", last=False) + frame(0, part, last=False) * 100_000)
    assert ends_with(peer, 1008) == ["error"]


def test_parts_that_never_end_have_their_time(start: Start) -> None:
    """Each part is progress, and wins no time."""
    server = start("--frame-timeout", "0.5")
    peer = join(server)
    began = time.monotonic()
    peer.send_raw(frame(TEXT, b"{", last=False))
    while time.monotonic() < began + PATIENCE:
        try:
            peer.send_raw(frame(0, b" ", last=False))
            error = peer.recv(0.05)
            break
        except AssertionError:
            continue  # Nothing has come.
    assert error["code"] == "timeout"
    assert 0.4 < time.monotonic() - began < 3
    assert ends_with(peer, 1000) == []


def test_control_frames_and_parts_cost_tokens(start: Start) -> None:
    server = start("--rate", "20", "--burst", "10")
    peer = join(server)
    began = time.monotonic()
    peer.send_raw(frame(PING) * 10 + frame(PONG) * 10 + encode("ping", data="x"))
    peer.expect("pong")
    assert time.monotonic() - began > 0.4
    assert len(peer.controls) == 10


# -- the end ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "echo"),
    [
        (frame(CLOSE), b""),
        (closing(), b"\x03\xe8"),
        (closing(1001, "moving on"), b"\x03\xe9"),
        (closing(4999), b"\x13\x87"),
    ],
)
def test_a_close_is_answered_behind_the_rest(
    server: Server, data: bytes, echo: bytes
) -> None:
    room = fresh("room")
    ann = server.member("ann", room=room)
    bob = join(server, "bob", room=room)
    ann.expect("joined")
    more = encode("say", text="after") + frame(PING, b"after") + closing(1002)
    bob.send_raw(encode("say", text="last") + encode("who") + data + more)
    assert types(bob.rest()) == ["message", "members"]
    assert bob.closed is not None and bob.closed[:2] == echo
    assert not bob.controls
    assert texts([ann.expect("message")]) == ["last"]
    ann.expect("left", reason="lost")
    ann.expect_nothing()


def test_a_close_before_the_hello(server: Server) -> None:
    peer = visit(server)
    peer.send_raw(closing())
    assert ends_with(peer, 1000) == []


def test_tcp_ends_though_the_close_is_not_answered(server: Server) -> None:
    """The server has said all: it does not wait for the other end's close for ever."""
    bob = join(server)
    bob.send("leave")
    assert ends_with(bob, 1000) == ["kick"]
    bob.half_close()


def test_half_a_frame_and_the_end(server: Server) -> None:
    room = fresh("room")
    ann = server.member("ann", room=room)
    bob = join(server, "bob", room=room)
    ann.expect("joined")
    bob.send_raw(encode("say", text="whole") + encode("say", text="cut off")[:-1])
    bob.half_close()
    assert ends_with(bob, 1000) == ["message"]
    assert texts([ann.expect("message")]) == ["whole"]
    ann.expect("left", reason="lost")


def test_a_silent_one_is_pinged_and_goes(start: Start) -> None:
    server = start("--ping-interval", "0.2", "--idle-timeout", "0.6")
    bob = join(server)
    bob.expect("ping")
    bob.send("pong")
    bob.expect("ping")
    frames = [f for f in bob.rest() if f.type != "ping"]
    assert [(f.type, f["reason"]) for f in frames] == [("kick", "idle")]
    assert bob.close_code() == 1000
