"""What fails around the server, and crowds that mean no good: the others chat on."""

import contextlib
import resource
import socket
import time
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.support.crowd import Crowd
from tests.support.peer import Peer, encode, ids
from tests.support.server import Server
from tests.support.strace import failing_calls
from tests.support.tls import CERT, KEY, trusting
from tests.support.waiting import PATIENCE, fresh, wait_for


def chat(anna: Peer, bob: Peer, times: int = 3) -> None:
    """Let two talk, who hear each other as if nothing were."""
    for _ in range(times):
        text = fresh("undisturbed ")
        anna.say(text)
        for peer in (anna, bob):
            peer.expect("message", text=text)


@pytest.mark.parametrize("error", ["ECONNABORTED", "EPERM", "EPROTO"])
def test_accept_fails(start: Start, error: str) -> None:
    """Each time it is tried: whoever comes meanwhile is not lost, and nobody else."""
    server = start()
    anna, bob = server.crew("anna", "bob")
    with failing_calls(server, f"accept4:error={error}:when=1..5"):
        chat(anna, bob)
        server.member("carl")
        server.member("dora")
    chat(anna, bob)
    server.expect_rest()


def test_accept_fails_for_want_of_something(start: Start) -> None:
    """It does not spin on that, says so once, and tries again."""
    server = start()
    anna, bob = server.crew("anna", "bob")
    with failing_calls(server, "accept4:error=ENOBUFS:when=1..2"):
        late = server.peer()
        chat(anna, bob)
        late.hello()
    assert server.log().count("cannot accept") == 1


@pytest.mark.parametrize(
    ("calls", "secure"),
    [
        ("epoll_wait,epoll_pwait:error=EINTR:when=1+3", False),
        ("recvfrom:error=EAGAIN:when=1+2", False),
        ("sendto,sendmsg:error=EINTR:when=1+3", False),
        ("sendto:error=ENOBUFS:when=1+2", False),
        ("recvfrom:error=EINTR:when=1+2", True),
        ("sendto:error=EAGAIN:when=1+2", True),
        ("sendto:error=ENOBUFS:when=1+2", True),
    ],
)
def test_calls_are_interrupted(start: Start, calls: str, secure: bool) -> None:
    server = start("--rate", "0", "--tls-cert", CERT, "--tls-key", KEY)
    tls, room = trusting() if secure else None, fresh("room")
    anna = server.member("anna", tls=tls, room=room)
    bob = server.member("bob", tls=tls, room=room)
    anna.expect("joined")
    with failing_calls(server, calls):
        chat(anna, bob, 10)
        anna.send_all(*(encode("say", text="x" * 3000) for _ in range(50)))
        assert ids(anna.sync()) == ids(bob.recv_until(lambda f: f.get("id") == 60))
        server.member("carl", tls=tls)
    server.expect_rest()


def test_memory_runs_out(tmp_path: Path) -> None:
    """It costs those who want so much; who is there stays there."""
    # Whatever could not be had is in the log with a traceback: it is not `start`ed.
    with contextlib.ExitStack() as stack:
        server = Server("--rate", "0", "--max-clients-per-ip", "0", log=tmp_path / "l")
        stack.callback(server.kill)
        server.start()
        anna, bob = server.crew("anna", "bob")
        status = Path(f"/proc/{server.pid}/status").read_text()
        (size,) = [ln.split()[1] for ln in status.split("\n") if ln[:7] == "VmSize:"]
        most = int(size) * 1024 + (6 << 20)
        resource.prlimit(server.pid, resource.RLIMIT_AS, (most, -1))
        frame = encode("ping", pad="x" * 65000)
        hungry = []
        for _ in range(300):
            peer = server.peer()
            hungry.append(peer)
            try:
                peer.hello()
                peer.send_raw(frame[:-1])
            except (OSError, EOFError, AssertionError):
                break
            if "MemoryError" in server.log():
                break
        wait_for(lambda: "MemoryError" in server.log(), "it is out of memory")
        for peer in hungry:
            peer.close()
        wait_for(
            lambda: server.fds() < 30, "the places of those who wanted so much", 10
        )

        def let_in() -> bool:
            with contextlib.suppress(OSError, EOFError, AssertionError):
                server.member("carl")
                return True
            return False

        wait_for(let_in, "somebody new is let in")
        anna.sync()
        bob.sync()
        chat(anna, bob)
        assert server.stop() == 0


def test_a_full_house_chats_on(start: Start) -> None:
    server = start("--max-clients", "3", "--max-clients-per-ip", "0")
    anna, bob = server.crew("anna", "bob")
    carl = server.member("carl")
    for _ in range(30):
        peer = server.peer()
        peer.send("hello", version=1)
        peer.expect_error("full", closes=True)
    chat(anna, bob)
    carl.close()
    server.wait_log("leave", carl.nick)
    server.member("dora")


def test_one_address_cannot_take_all_places(start: Start) -> None:
    server = start("--host", "127.0.0.1", "--max-clients-per-ip", "2")
    anna, bob = server.crew("anna", "bob")
    peer = server.peer()
    peer.send("hello", version=1)
    peer.expect_error("full", closes=True)
    chat(anna, bob)
    other = socket.create_connection(server.address, source_address=("127.0.0.9", 0))
    with other:
        other.settimeout(PATIENCE)
        other.sendall(encode("hello", version=1))
        assert b'"welcome"' in other.recv(65536)


def test_storms_of_requests_cost_their_sender(start: Start) -> None:
    """Renaming, moving and asking for lists, as fast as they are read."""
    server = start("--rate", "200", "--burst", "20", "--rate-bytes", "0")
    anna, bob = server.crew("anna", "bob")
    room = anna.history()["room"]
    storms = [server.member("storm") for _ in range(4)]
    crowd = Crowd(storms)
    for member, kind in zip(
        crowd.members, ("nick", "join", "who", "rooms"), strict=True
    ):
        for number in range(400):
            field = {"nick": {"nick": f"{fresh('s')}"}, "join": {"room": f"r{number}"}}
            member.outgoing += encode(kind, **field.get(kind, {}))
    began = time.monotonic()
    crowd.serve(lambda: all(len(m.payloads) > 20 for m in crowd.members), "answers")
    chat(anna, bob)
    _, _, members, rooms = crowd.members
    crowd.serve(
        lambda: (members.count("members"), rooms.count("rooms")) == (400, 400),
        "all lists",
    )
    assert time.monotonic() - began > 1.5, "each is read at its rate"
    chat(anna, bob)
    assert anna.history()["room"] == room
    for member in crowd.members:
        member.sock.close()
    server.expect_rest()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_the_printed_bound_is_held(start: Start, secure: bool) -> None:
    """Members who each hold what one can: a large frame that is not whole."""
    few = ("--max-rooms", "2", "--keep-bytes", "100K", "--max-output-total", "1M")
    pair = ("--tls-cert", CERT, "--tls-key", KEY) if secure else ()
    tls = trusting() if secure else None
    servers: list[Server] = []

    def bound(members: int) -> int:
        options = (*pair, *few, "--max-clients", str(members), "--rate", "0")
        servers.append(start(*options))
        line = servers[-1].wait_log(" start ", "memory=")
        return int(line.split('memory="at most ')[1].split()[0]) << 20

    a_member = (bound(1060) - bound(60)) // 1000
    server = servers[-1]
    anna = server.member("anna")
    frame = encode("ping", pad="x" * 65000)
    before = server.rss()
    for _ in range(50):
        peer = server.member("full", tls=tls)
        peer.send_raw(encode("ping", pad="x" * 1000) * 60 + frame[:-1])
    anna.sync()
    assert server.rss() < before + 50 * a_member


@pytest.mark.parametrize("name", ["--max-rooms", "--keep-bytes"])
def test_without_a_limit_there_is_no_bound(start: Start, name: str) -> None:
    start(name, "0").wait_log(" start ", 'memory="without a bound"')


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_round_after_round_nothing_is_left(start: Start, secure: bool) -> None:
    """Connections that never speak, half speak, and fail to log in."""
    server = start(
        "--hello-timeout", "0.2", "--max-clients-per-ip", "0",
        "--tls-cert", CERT, "--tls-key", KEY,
    )  # fmt: skip
    tls = trusting() if secure else None
    anna = server.member("anna")
    sizes = []
    for _ in range(3):
        peers = [server.peer(tls=tls) for _ in range(60)]
        for number, peer in enumerate(peers):
            if number % 3 == 1:
                peer.send_raw(encode("hello", version=1)[:-1])
            elif number % 3 == 2:
                peer.send("hello", version=1, nick="!")
        for peer in peers:
            peer.rest()
            peer.close()
        wait_for(lambda: server.fds() < 20, "all places are free again")
        sizes.append(server.rss())
        anna.expect_nothing()
    assert sizes[-1] < sizes[0] + (3 << 19), sizes
