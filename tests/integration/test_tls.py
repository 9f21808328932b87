"""TLS from outside: one port for both kinds, handshakes of every sort, its files."""

import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.support.peer import Peer, encode, ids, pack, types
from tests.support.secured import SecuredSocket
from tests.support.server import Server, run
from tests.support.tls import (
    CERT,
    ENCRYPTED_KEY,
    EXPIRED_CERT,
    KEY,
    OTHER_CERT,
    OTHER_KEY,
    trusting,
)
from tests.support.waiting import fresh, wait_for

PAIR = ("--tls-cert", CERT, "--tls-key", KEY)
OPTIONS = (*PAIR, "--rate", "0")
TRUST = trusting()
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [V12, V13], ids=["1.2", "1.3"])


def begin(server: Server, version: ssl.TLSVersion = V13) -> tuple[Peer, SecuredSocket]:
    """Connect; the handshake is to be done by hand."""
    peer = server.peer()
    return peer, SecuredSocket(peer.sock, trusting(version=version))


def client_hello(server: Server, version: ssl.TLSVersion = V13) -> bytes:
    """Give the first bytes of a handshake."""
    peer, secured = begin(server, version)
    flight = secured.step()
    peer.close()
    assert flight
    return flight


def wait_closed(peer: Peer) -> bytes:
    """Give all that comes up to the end, which a reset is too."""
    got = b""
    peer.sock.settimeout(5)
    try:
        while data := peer.sock.recv(65536):
            got += data
    except ConnectionError:
        pass
    return got


# One port, two kinds


@VERSIONS
def test_both_kinds_are_in_one_room(server: Server, version: ssl.TLSVersion) -> None:
    room = fresh("room")
    anna = server.member("anna", tls=trusting(version=version), room=room)
    bob = server.member("bob", room=room)
    assert anna.tls.object.version() == version.name.replace("_", ".")
    anna.expect("joined", nick=bob.nick)
    anna.say("over TLS")
    for peer in (anna, bob):
        peer.expect("message", id=1, from_=anna.nick)
    bob.say("in plain text")
    for peer in (anna, bob):
        peer.expect("message", id=2, from_=bob.nick)


def test_who_is_on_is_told_to_the_log(server: Server) -> None:
    anna = server.member("anna", tls=TRUST)
    server.wait_log("join", anna.nick, f"address=127.0.0.1:{anna.local[1]}")


@pytest.mark.parametrize("began", ["plain", "tls"])
def test_a_session_is_not_resumed_over_the_other_kind(
    server: Server, began: str
) -> None:
    kinds = [None, TRUST] if began == "plain" else [TRUST, None]
    anna = server.member("anna", tls=kinds[0])
    anna.say("LOUD")
    anna.expect("warning")
    anna.close()
    server.wait_log("leave", anna.nick)
    other = server.peer(tls=kinds[1])
    welcome, _ = other.hello(fresh("other"), session=anna.session)
    assert welcome["session"] != anna.session
    assert welcome["strikes"] == 0
    again = server.peer(tls=kinds[0])
    welcome, _ = again.hello(session=anna.session)
    assert (welcome["nick"], welcome["strikes"]) == (anna.nick, 1)


# Data


@VERSIONS
def test_a_record_with_200_frames(server: Server, version: ssl.TLSVersion) -> None:
    """The kernel tells of it once; nothing of it is left waiting for more."""
    anna = server.member("anna", tls=trusting(version=version), room=fresh("room"))
    frame = encode("ping", data="x" * 40)
    record = anna.tls.seal(frame * 200)
    assert len(frame) * 200 < 16384 < len(frame) * 240
    assert len(record) == 5 + int.from_bytes(record[3:5]), "it is one"
    anna.tls.raw.sendall(record)
    for _ in range(200):
        anna.expect("pong", data="x" * 40)


def test_a_thousand_frames_in_one_write(server: Server) -> None:
    anna = server.member("anna", tls=TRUST, room=fresh("room"))
    anna.send_all(*(encode("say", text=f"line {number}") for number in range(1000)))
    assert ids(anna.sync()) == list(range(1, 1001))


def test_records_that_come_in_pieces(server: Server) -> None:
    anna = server.member("anna", tls=TRUST, room=fresh("room"))
    for byte in anna.tls.seal(encode("say", text="cut")):
        anna.tls.raw.sendall(bytes([byte]))
    anna.expect("message", text="cut")
    for byte in encode("say", text="a record each"):
        anna.send_raw(bytes([byte]))
    anna.expect("message", text="a record each")
    assert anna.tls.seal(b"") == b""


def test_more_than_a_record_both_ways(server: Server) -> None:
    anna = server.member("anna", tls=TRUST, room=fresh("room"))
    for number in range(100):
        anna.say(f"{number:04}" * 1000)
    anna.sync()
    page = anna.history(limit=200)
    assert page["more"]
    assert {len(m["text"]) for m in page["messages"]} == {4000}


def test_who_reads_late_gets_every_byte(server: Server) -> None:
    room = fresh("room")
    anna = server.member("anna", room=room)
    late = server.member("late", tls=TRUST, rcvbuf=4096, room=room)
    anna.expect("joined")
    for number in range(200):
        anna.say(f"{number:04}" * 1000)
    anna.sync()
    server.expect_rest()
    for number in range(200):
        late.expect("message", text=f"{number:04}" * 1000)


# Ends


@VERSIONS
def test_a_half_close_by_a_word_is_answered_to_the_end(
    server: Server, version: ssl.TLSVersion
) -> None:
    anna = server.member("anna", tls=trusting(version=version), room=fresh("room"))
    anna.send_all(*(encode("say", text="x") for _ in range(100)))
    anna.half_close()
    assert ids(anna.rest()) == list(range(1, 101))
    assert anna.tls.notified, "the server says that this is the end"


def test_a_half_close_by_fin_alone_is_answered_to_the_end(server: Server) -> None:
    anna = server.member("anna", tls=TRUST, room=fresh("room"))
    anna.send_all(*(encode("say", text="x") for _ in range(100)))
    anna.tls.raw.shutdown(socket.SHUT_WR)
    assert ids(anna.rest()) == list(range(1, 101))


@VERSIONS
def test_the_kick_reaches_one_who_keeps_sending(
    server: Server, version: ssl.TLSVersion
) -> None:
    room = fresh("room")
    anna = server.member("anna", room=room)
    bob = server.member("bob", tls=trusting(version=version), room=room)
    anna.expect("joined")
    shouts = encode("say", text="LOUD") * 2
    bob.send_raw(shouts + encode("say", text="not heard") * 2000)
    bob.send_raw(encode("say", text="not heard either") * 100)
    frames = bob.rest()
    assert types(frames) == ["warning", "kick"]
    assert bob.tls.notified
    anna.expect("left", nick=bob.nick, reason="shouting")
    anna.expect_nothing()


def test_an_unfinished_frame_at_the_end_is_never_judged(server: Server) -> None:
    """Cut off without a word: the length in the frame tells that it is not whole."""
    room = fresh("room")
    anna = server.member("anna", room=room)
    for word in (True, False):
        bob = server.member("bob", tls=TRUST, room=room)
        anna.expect("joined")
        bob.send_raw(encode("say", text="never")[:-1])
        if word:
            bob.half_close()
        else:
            bob.close()
        anna.expect("left", nick=bob.nick, reason="lost")


def test_a_reset_is_the_end_of_one_only(server: Server) -> None:
    room = fresh("room")
    anna = server.member("anna", room=room)
    bob = server.member("bob", tls=TRUST, room=room)
    anna.expect("joined")
    bob.reset()
    anna.expect("left", nick=bob.nick, reason="lost")
    server.wait_log("leave", bob.nick, "reset by peer")


def test_a_broken_record_ends_it(server: Server) -> None:
    room = fresh("room")
    anna = server.member("anna", room=room)
    bob = server.member("bob", tls=TRUST, room=room)
    anna.expect("joined")
    record = bytearray(bob.tls.seal(encode("say", text="never")))
    record[-1] ^= 1
    bob.tls.raw.sendall(record)
    anna.expect("left", nick=bob.nick, reason="lost")
    anna.expect_nothing()
    server.wait_log("leave", bob.nick, "TLS: ", "bad")


def test_plain_text_within_is_never_judged(server: Server) -> None:
    room = fresh("room")
    anna = server.member("anna", room=room)
    bob = server.member("bob", tls=TRUST, room=room)
    anna.expect("joined")
    bob.tls.raw.sendall(encode("say", text="never"))
    anna.expect("left", nick=bob.nick, reason="lost")
    anna.expect_nothing()


def test_a_stalled_reader_is_ended_and_the_others_chat_on(start: Start) -> None:
    server = start(*OPTIONS, "--max-output", "65536")
    anna, bob = server.crew("anna", "bob")
    stalled = server.member(
        "stalled", tls=TRUST, rcvbuf=4096, room=anna.history()["room"]
    )
    for peer in (anna, bob):
        peer.expect("joined")
    server.expect_rest()
    seen: list[str] = []
    while "left" not in seen:
        anna.say("x" * 4000)
        seen += types(anna.sync())
        assert len(seen) < 3000
    heard = ids(bob.recv_until(lambda frame: frame.type == "left"))
    assert heard == list(range(1, len(heard) + 1))
    server.wait_log("leave", stalled.nick, "bytes unsent, 65536 are allowed")
    server.expect_rest()


def test_one_that_takes_nothing_is_ended_after_a_while(start: Start) -> None:
    server = start(*OPTIONS, "--stall-timeout", "0.5", "--max-output", "0")
    (anna,) = server.crew("anna")
    stalled = server.member(
        "stalled", tls=TRUST, rcvbuf=4096, room=anna.history()["room"]
    )
    anna.expect("joined")
    for _ in range(200):
        anna.say("x" * 4000)
    anna.recv_until(lambda frame: frame.type == "left")
    server.wait_log("leave", stalled.nick, "none taken for")


# Handshakes


@VERSIONS
def test_a_handshake_in_single_bytes(server: Server, version: ssl.TLSVersion) -> None:
    peer, secured = begin(server, version)
    while (flight := secured.step()) is not None:
        for byte in flight:
            peer.sock.sendall(bytes([byte]))
        if flight:
            secured.take()
    for byte in secured.outgoing.read() + secured.seal(encode("hello", version=1)):
        peer.sock.sendall(bytes([byte]))
    (size,) = struct.unpack("!I", secured.recv(4))
    assert secured.recv(size).startswith(b'{"type":"welcome"')


def test_a_hello_right_behind_the_handshake(server: Server) -> None:
    """The last flight, a hello and what is said, in one segment."""
    peer, secured = begin(server)
    flight = secured.step()
    assert flight
    peer.sock.sendall(flight)
    while secured.step() is not None:
        secured.take()
    nick = fresh("anna")
    hello = encode("hello", version=1, nick=nick, room=nick)
    last = secured.outgoing.read() + secured.seal(hello + encode("say", text="hi"))
    peer.sock.sendall(last)
    server.wait_log("message", nick)


@VERSIONS
@pytest.mark.parametrize("how", ["fin", "reset", "half-close", "timeout"])
def test_vanishing_in_the_handshake(
    start: Start, version: ssl.TLSVersion, how: str
) -> None:
    """At its beginning, and in the middle and at the end of each flight."""
    server = start(*OPTIONS, "--hello-timeout", "0.3" if how == "timeout" else "30")
    anna, bob = server.crew("anna", "bob")
    cuts = 0
    gone: list[Peer] = []
    for flights in range(2):
        for part in (0.0, 0.1, 0.9, 1.0):
            peer, secured = begin(server, version)
            for number in range(flights + 1):
                flight = secured.step() or secured.outgoing.read()
                last = number == flights
                peer.sock.sendall(flight[: int(len(flight) * part)] if last else flight)
                if not last:
                    secured.take()
            cuts += 1
            gone.append(peer)
            if how == "fin":
                peer.close()
            elif how == "reset":
                peer.reset()
            elif how == "half-close":
                peer.half_close()
    anna.say("undisturbed")
    bob.expect("message")
    end = " error " if how == "timeout" else " disconnect "
    wait_for(lambda: server.log().count(end) == cuts, f"{cuts} times {end}")
    for peer in gone if how in ("half-close", "timeout") else ():
        wait_closed(peer)
    server.expect_rest()


def test_handshakes_that_are_not_gone_on_with_hold_up_nobody(start: Start) -> None:
    server = start(*PAIR, "--hello-timeout", "1", "--max-clients-per-ip", "0")
    hello = client_hello(server)
    silent = [server.peer() for _ in range(50)]
    begun = [server.peer() for _ in range(50)]
    for peer in begun:
        peer.send_raw(hello[:-1])
    room = fresh("room")
    anna = server.member("anna", tls=TRUST, room=room)
    bob = server.member("bob", room=room)
    anna.expect("joined", nick=bob.nick)
    bob.say("undisturbed")
    anna.expect("message")
    for peer in silent:
        peer.expect_error("timeout", closes=True)
    for peer in begun:
        assert wait_closed(peer) == b""
    anna.say("still undisturbed")
    bob.expect("message", text="undisturbed")
    bob.expect("message")


def test_the_time_for_a_handshake_is_absolute(start: Start) -> None:
    """More bytes do not win more time, neither before nor behind its end."""
    server = start(*PAIR, "--hello-timeout", "0.5")
    hello = client_hello(server)
    slow, slower = server.peer(), server.peer(tls=TRUST)
    data = slower.tls.seal(encode("hello", version=1, nick="x" * 200))
    began, sent, open_ = time.monotonic(), 0, 2
    while open_:
        assert time.monotonic() - began < 5, "it is still being waited for"
        assert sent < min(len(data), len(hello))
        open_ = 0
        for raw, source in ((slow.sock, hello), (slower.tls.raw, data)):
            try:
                raw.sendall(source[sent : sent + 1])
                raw.settimeout(0.05)
                open_ += raw.recv(65536) != b""
            except TimeoutError:
                open_ += 1
            except OSError:
                pass
        sent += 1
    assert time.monotonic() - began > 0.4


def test_a_handshake_that_floods(server: Server) -> None:
    """One message of a handshake that never ends: it is not held, and it is over."""
    anna, bob = server.crew("anna", "bob")
    before = server.rss()
    flooder = server.peer()
    record = b"\x16\x03\x01\x40\x00" + bytes(16384)
    first = b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(16380)
    with pytest.raises(OSError):
        flooder.send_raw(first)
        for _ in range(1024):
            flooder.send_raw(record)
    anna.say("undisturbed")
    bob.expect("message")
    assert server.rss() - before < 8 << 20
    server.wait_log("disconnect", "TLS handshake: ")


@pytest.mark.parametrize("size", [1, 16384, 200_000])
def test_junk_that_looks_like_a_handshake(server: Server, size: int) -> None:
    (anna,) = server.crew("anna")
    peer = server.peer()
    try:
        peer.send_raw(b"\x16" + os.urandom(1) * size)
        peer.half_close()
    except OSError:
        pass
    assert b"welcome" not in wait_closed(peer)
    anna.expect_nothing()


def test_frames_before_the_handshake_is_done_are_never_judged(server: Server) -> None:
    nick = fresh("early")
    frame = encode("hello", version=1, nick=nick)
    for data in (
        client_hello(server) + frame,
        b"\x16" + frame,
        b"\x16\x03\x01" + frame,
    ):
        peer = server.peer()
        peer.send_raw(data)
        peer.half_close()
        assert b"welcome" not in wait_closed(peer)
    assert nick not in server.log()


def test_tls_within_tls_is_no_frame(server: Server) -> None:
    peer = server.peer(tls=TRUST)
    peer.send_raw(client_hello(server))
    peer.expect_error("bad-frame", closes=True)


def test_old_versions_are_refused(server: Server) -> None:
    (anna,) = server.crew("anna")
    for version in (b"\x03\x01", b"\x03\x02"):
        body = version + bytes(32) + b"\x00" + b"\x00\x04\xc0\x13\x00\x2f" + b"\x01\x00"
        message = b"\x01" + len(body).to_bytes(3, "big") + body
        peer = server.peer()
        peer.send_raw(b"\x16\x03\x01" + struct.pack("!H", len(message)) + message)
        alert = wait_closed(peer)
        # fatal, protocol_version
        assert (alert[:2], alert[3:]) == (b"\x15\x03", b"\x00\x02\x02\x46"), alert
    anna.expect_nothing()


def test_renegotiation_is_refused(server: Server) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl")
    (anna,) = server.crew("anna")
    where = f"127.0.0.1:{server.address[1]}"
    command = [program, "s_client", "-connect", where, "-tls1_2", "-CAfile", CERT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as client:
        assert client.stdin and client.stdout
        os.set_blocking(client.stdout.fileno(), False)
        shown = b""

        def saw(words: bytes) -> bool:
            nonlocal shown
            shown += client.stdout.read() or b"" if client.stdout else b""
            return words in shown

        wait_for(lambda: saw(b"Verify return code: 0"), "a handshake")
        client.stdin.write(b"R\n")
        client.stdin.flush()
        wait_for(lambda: client.poll() is not None, "its end")
        saw(b"")
    assert b"RENEGOTIATING" in shown
    assert b"no renegotiation" in shown
    anna.expect_nothing()


# TLS alone


def test_where_it_is_a_must_plain_text_is_told_so(start: Start) -> None:
    server = start(*PAIR, "--tls-only")
    anna = server.member("anna", tls=TRUST)
    for data in (encode("hello", version=1), pack(b"{"), b"\xff" * 64, bytes(8)):
        peer = server.peer()
        peer.send_raw(data)
        assert "TLS" in peer.expect_error("bad-frame", closes=True)["text"]
    anna.expect_nothing()
    server.wait_log("error", "bad-frame", "TLS")


# Its files


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A pair that can be changed."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(CERT, cert)
    shutil.copy(KEY, key)
    key.chmod(0o600)
    return cert, key


def put(path: Path, source: str) -> None:
    """Put something else in the place of a file, as one does that is in use."""
    new = path.with_suffix(".new")
    shutil.copy(source, new)
    new.chmod(0o600)
    new.replace(path)


def with_pair(files: tuple[Path, Path]) -> tuple[str, ...]:
    return "--tls-cert", str(files[0]), "--tls-key", str(files[1])


def test_a_new_pair_is_loaded_on_sighup(start: Start, files: tuple[Path, Path]) -> None:
    server = start(*with_pair(files))
    room = fresh("room")
    anna = server.member("anna", tls=TRUST, room=room)
    begun, secured = begin(server)
    flight = secured.step()
    assert flight
    begun.send_raw(flight[:1])
    server.wait_log("connect", f":{begun.local[1]}")
    put(files[0], OTHER_CERT)
    put(files[1], OTHER_KEY)
    server.send_signal(signal.SIGHUP)
    server.wait_log(" info certificate ", "loaded anew")
    bob = server.member("bob", tls=trusting(OTHER_CERT), room=room)
    anna.expect("joined", nick=bob.nick)
    bob.say("we go on together")
    anna.expect("message")
    with pytest.raises(ssl.SSLCertVerificationError):
        server.peer(tls=TRUST)


def breaks(files: tuple[Path, Path], how: str) -> None:
    cert, key = files
    if how == "another key":
        put(key, OTHER_KEY)
    elif how == "key first":
        key.write_text("-----BEGIN PRIVATE KEY-----\nMIG", encoding="utf-8")
    elif how == "no PEM":
        cert.write_bytes(os.urandom(2000))
    elif how == "empty":
        cert.write_bytes(b"")
    elif how == "missing":
        cert.unlink()
    elif how == "a folder":
        key.unlink()
        key.mkdir()
    elif how == "encrypted":
        put(key, ENCRYPTED_KEY)
    elif how == "a pipe":
        # Whoever opens it waits until somebody writes into it.
        cert.unlink()
        os.mkfifo(cert)


BROKEN = pytest.mark.parametrize(
    "how",
    "another key,key first,no PEM,empty,missing,a folder,a pipe,encrypted".split(","),
)


def test_bad_pairs_leave_the_one_before_in_use(
    start: Start, files: tuple[Path, Path]
) -> None:
    server = start(*with_pair(files))
    anna = server.member("anna", tls=TRUST)
    broken = 0
    for how in BROKEN.args[1]:
        breaks(files, how)
        broken += 1
        server.send_signal(signal.SIGHUP)
        wait_for(
            lambda: server.log().count(" error reload ") == broken,  # noqa: B023
            f"a line about {how}",
        )
        server.member("bob", tls=TRUST)
        anna.expect("joined")
        if files[1].is_dir():
            files[1].rmdir()
        put(files[0], CERT)
        put(files[1], KEY)
    assert server.log().count("nothing has changed") == broken
    server.send_signal(signal.SIGHUP)
    server.wait_log(" info certificate ", "loaded anew")


@BROKEN
def test_a_bad_pair_at_the_start_is_one_line(
    tmp_path: Path, files: tuple[Path, Path], how: str
) -> None:
    """Nothing is asked for, and nothing else is begun."""
    breaks(files, how)
    history = tmp_path / "history.db"
    done = run("--port", "0", "--history", str(history), *with_pair(files))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert str(files[0]) in done.stderr or str(files[1]) in done.stderr
    assert not history.exists()


def test_an_expired_certificate_is_used_and_warned_of(
    start: Start, files: tuple[Path, Path]
) -> None:
    """Pinned it is as good as any; whoever goes by its date is told by his client."""
    put(files[0], EXPIRED_CERT)
    server = start(*with_pair(files))
    server.wait_log(" warning certificate ", "expired")
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        server.peer(tls=trusting(EXPIRED_CERT))
    pinned = trusting()
    pinned.check_hostname = False
    pinned.verify_mode = ssl.CERT_NONE
    server.member("anna", tls=pinned)
    put(files[0], CERT)
    server.send_signal(signal.SIGHUP)
    server.wait_log(" info certificate ", "loaded anew")
    server.member("bob", tls=TRUST)
    put(files[0], EXPIRED_CERT)
    server.send_signal(signal.SIGHUP)
    wait_for(
        lambda: len(re.findall(" warning certificate .*expired", server.log())) == 2,
        "a second warning",
    )


def test_a_good_pair_is_not_warned_of(start: Start, files: tuple[Path, Path]) -> None:
    server = start(*with_pair(files))
    server.member("anna", tls=TRUST)
    assert " warning " not in server.log()


def test_a_key_that_everybody_can_read_is_warned_of(
    start: Start, files: tuple[Path, Path]
) -> None:
    files[1].chmod(0o644)
    server = start(*with_pair(files))
    server.wait_log(" warning secret ", str(files[1]))


@pytest.mark.parametrize(
    "options",
    [("--tls-cert", CERT), ("--tls-key", KEY), ("--tls-only",)],
    ids=lambda options: options[0],
)
def test_half_of_it_is_usage(options: tuple[str, ...]) -> None:
    done = run(*options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--tls-cert" in done.stderr
