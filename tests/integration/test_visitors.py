"""Who is at the wrong door: an answer in his own words, at once, and good-bye.

HTTP is one of those only where there is no page: what there is, is in test_web.py.
"""

import http.client
import ssl
import struct

import pytest

from tests.integration.conftest import Start
from tests.support.peer import Peer, encode
from tests.support.server import Server
from tests.support.tls import CERT, KEY, trusting

OPTIONS = ("--no-web", "--hello-timeout", "60", "--rate", "0")
TLS = ("--tls-cert", CERT, "--tls-key", KEY)

HTTP = (b"HTTP/1.1 400 Bad Request\r\n", b"This is a chat room")
IRC = (b"ERROR :", b"chat room")
MAIL = (b"554 ", b"chat room")
SSH = (b"This is a chat room", b"\r\n")
ALERT = (b"\x15\x03\x03\x00\x02\x02", b"\x28")

VISITORS = {
    "browser": (b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n", HTTP),
    "form": (b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n" + b"x" * 99, HTTP),
    "http2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP),
    "verb": (b"OPTIONS * HTTP/1.0\r\n\r\n", HTTP),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", SSH),
    "irc": (b"NICK anna\r\nUSER anna 0 * :anna\r\n", IRC),
    "irc in lower case": (b"cap ls 302\r\n", IRC),
    "mail": (b"EHLO mail.example\r\n", MAIL),
}


def bytes_of(peer: Peer) -> bytes:
    """Give all that comes up to the clean end of the connection."""
    got = b""
    peer.sock.settimeout(5)
    while data := peer.sock.recv(65536):
        got += data
    return got


def check(answer: bytes, expected: tuple[bytes, bytes]) -> None:
    """Hold an answer against its beginning, and what has to be in it."""
    start, words = expected
    assert answer.startswith(start)
    assert words in answer
    assert b"\x00" not in answer[:2]


@pytest.mark.parametrize("name", VISITORS)
def test_a_visitor_is_answered_and_sent_away(server: Server, name: str) -> None:
    data, expected = VISITORS[name]
    (anna,) = server.crew("anna")
    peer = server.peer()
    peer.send_raw(data)
    check(bytes_of(peer), expected)
    server.wait_log("visitor", f"127.0.0.1:{peer.local[1]}")
    assert "192.0.2.9" not in server.log()
    anna.expect_nothing()


@pytest.mark.parametrize("name", VISITORS)
def test_also_where_it_comes_in_single_bytes(server: Server, name: str) -> None:
    """It is answered as soon as it is clear; what comes behind that is dropped."""
    data, expected = VISITORS[name]
    peer = server.peer()
    peer.send_bytewise(data)
    check(bytes_of(peer), expected)


def test_one_who_keeps_talking_gets_his_answer_whole(server: Server) -> None:
    data, expected = VISITORS["form"]
    peer = server.peer()
    peer.send_raw(data + b"y" * 200_000)
    check(bytes_of(peer), expected)


def test_a_browser_understands_it(server: Server) -> None:
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.status == 400
    assert "chat room" in answer.read().decode()
    connection.close()


def test_a_form_of_a_browser_says_nothing(server: Server) -> None:
    """Frames in the body of a request are no frames."""
    room = "form"
    anna = server.member("anna", room=room)
    frames = encode("hello", version=1, nick="mallory", room=room)
    frames += encode("say", text="injected")
    peer = server.peer()
    head = f"POST / HTTP/1.1\r\nContent-Length: {len(frames)}\r\n\r\n".encode()
    peer.send_raw(head + frames)
    check(bytes_of(peer), HTTP)
    anna.expect_nothing()


def test_tls_where_there_is_none(server: Server) -> None:
    (anna,) = server.crew("anna")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        server.peer(tls=trusting())
    peer = server.peer()
    peer.send_bytewise(b"\x16\x03\x01\x02\x00\x01")
    check(bytes_of(peer), ALERT)
    anna.expect_nothing()


@pytest.mark.parametrize(
    "junk",
    [b"\xff" * 4096, b"hello there\r\n", b"\r\n\r\n", b"\x01\x02\x03\x04", b"GETAWAY!"],
)
def test_junk_gets_a_frame_that_says_so(server: Server, junk: bytes) -> None:
    (anna,) = server.crew("anna")
    for bytewise in (False, True):
        peer = server.peer()
        if bytewise:
            peer.send_bytewise(junk[:64])
        else:
            peer.send_raw(junk)
        peer.expect_error("bad-frame", closes=True)
    anna.expect_nothing()


@pytest.mark.parametrize("junk", [b"\n", b"\r\n", b"\xff", b"x", b"\x01\x00\x00"])
def test_junk_is_told_by_its_first_byte(server: Server, junk: bytes) -> None:
    """It is not waited for the rest of a length that is none."""
    peer = server.peer()
    peer.send_raw(junk)
    peer.expect_error("bad-frame", closes=True)


def test_one_who_says_half_a_word_has_his_time(start: Start) -> None:
    server = start("--hello-timeout", "0.3")
    words = (b"G", b"GE", b"SSH", b"nick")
    peers = [server.peer() for _ in words]
    for peer, word in zip(peers, words, strict=True):
        peer.send_raw(word)
    for peer in peers:
        peer.expect_error("timeout", closes=True)
    peer = server.peer()
    peer.send_raw(b"GE")
    peer.half_close()
    assert bytes_of(peer) == b""


def test_over_tls_it_is_the_same(start: Start) -> None:
    for options in ((), ("--tls-only",)):
        server = start(*TLS, "--no-web", *options)
        for data, expected in VISITORS.values():
            for cut in (len(data), 1):
                peer = server.peer(tls=trusting())
                peer.send_raw(data[:cut])
                peer.send_raw(data[cut:] or b"\r\n")
                check(bytes_of(peer), expected)
                assert peer.tls.notified
        peer = server.peer(tls=trusting())
        peer.send_raw(struct.pack("!I", 0xFFFFFFFF))
        peer.expect_error("bad-frame", closes=True)


def test_where_tls_is_a_must_visitors_are_answered_in_plain_text(start: Start) -> None:
    server = start(*TLS, "--no-web", "--tls-only")
    for data, expected in VISITORS.values():
        peer = server.peer()
        peer.send_raw(data)
        check(bytes_of(peer), expected)


def test_a_crowd_of_them_disturbs_nobody(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    visitors = [server.peer() for _ in range(200)]
    wants = list(VISITORS.values()) * 25
    for peer, (data, _) in zip(visitors, wants, strict=True):
        peer.send_raw(data)
    for number in range(1, 4):
        anna.say("undisturbed")
        for peer in (anna, bob):
            peer.expect("message", id=number)
    for peer, (_, expected) in zip(visitors, wants, strict=True):
        check(bytes_of(peer), expected)
