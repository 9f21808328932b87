"""Who speaks HTTP or WebSocket, from this machine and from others, by our own clock."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chatroom.config import MAX_UNFINISHED
from chatroom.errors import StartError
from chatroom.net.transport import LINGER
from chatroom.server import web as site
from tests.server.conftest import Start
from tests.support import web
from tests.support.inprocess import Client, World
from tests.support.peer import Frame, check_shape
from tests.support.tls import CERT, KEY

OTHER = "192.0.2.1"
LOCAL = "127.0.0.1"
TLS: dict[str, Any] = {"tls_cert": CERT, "tls_key": KEY}


def ask(world: World, data: bytes, host: str = OTHER) -> web.Answer:
    """Send *data* from *host*; the answer has to end the connection."""
    client = world.connect(host)
    client.send_raw(data)
    world.settle()
    assert client.ended
    return web.parse_answer(bytes(client.received))


def upgraded(world: World, host: str = OTHER, *, sndbuf: int | None = None) -> Client:
    """Let a client of *host* ask for a WebSocket, and get it."""
    client = world.connect(host, sndbuf=sndbuf)
    client.send_raw(web.upgrade())
    world.settle()
    assert web.parse_answer(bytes(client.received)).status == 101
    client.received.clear()
    return client


def join(world: World, nick: str, host: str = OTHER) -> Client:
    """Let a member come in over WebSocket."""
    client = upgraded(world, host)
    client.send_raw(web.encode("hello", version=1, nick=nick))
    world.settle()
    assert [f.type for f in messages(client)] == ["welcome", "room"]
    for other in world.clients:
        if other.connection.is_web:
            other.received.clear()
        else:
            other.frames()
    return client


def messages(client: Client) -> list[Frame]:
    """Take what has come over WebSocket; each frame of it has to be whole."""
    came, end = web.split(client.received)
    assert end == len(client.received)
    client.received.clear()
    found = [Frame(frame.payload) for frame in came if frame.opcode == web.TEXT]
    for frame in found:
        check_shape(frame)
    return found


# -- who is shown what ------------------------------------------------------------


def test_the_figures_are_for_this_machine(start: Start) -> None:
    world = start()
    data = web.request("/metrics")
    answer = ask(world, data)
    assert answer.status == 403
    assert b"--metrics-public" in answer.body
    assert ask(world, data, LOCAL).status == 200
    assert ask(world, web.request("/healthz")).status == 200
    public = start(metrics_public=True)
    assert ask(public, data).status == 200


def test_with_a_certificate_other_machines_are_sent_to_it(start: Start) -> None:
    world = start(**TLS)
    for path in ("/", "/metrics", "/healthz?x", "//evil.example"):
        answer = ask(world, web.request(path, host="192.0.2.9:2428"))
        assert answer.status == 308
        assert answer.headers["location"] == f"https://192.0.2.9:2428{path}"
        head = ask(world, web.request(path, "HEAD"))
        assert (head.status, head.body) == (308, b"")
    assert ask(world, web.request(), LOCAL).status == 200
    assert ask(world, web.request(host="evil.example")).status == 421
    # As frames in plain text are, so a WebSocket in plain text is taken.
    join(world, "ann")
    only = start(**TLS, tls_only=True)
    for host in (LOCAL, OTHER):
        assert ask(only, web.request(), host).status == 308
        assert ask(only, web.upgrade(), host).status == 308


def test_a_name_that_it_listens_at_is_its_own(start: Start) -> None:
    world = start(host=("Chat.Example.org",), web_host=("other.example",))
    for host in ("chat.example.org", "other.example:80"):
        assert ask(world, web.request(host=host)).status == 200
    assert ask(world, web.request(host="third.example")).status == 421


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ("Box", ("box", "box.local")),
        ("box.local", ("box", "box.local")),
        ("box.example.org", ("box.example.org", "box", "BOX.local")),
    ],
)
def test_the_names_of_the_machine(
    start: Start, monkeypatch: pytest.MonkeyPatch, own: str, names: tuple[str, ...]
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: own)
    world = start()
    for name in ("localhost", *names):
        assert ask(world, web.request(host=name)).status == 200
    for name in ("local", "box.example", "x.local"):
        assert ask(world, web.request(host=name)).status == 421


def test_a_page_that_is_not_there(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(site, "STATIC", tmp_path)
    with pytest.raises(StartError, match=r"index\.html cannot be read.*--no-web"):
        site.read_page()
    assert ask(start(web=False), web.request()).status == 400


# -- secrets ----------------------------------------------------------------------


def test_no_password_in_the_clear_from_elsewhere(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("sesame")
    world = start(password_file=str(path))
    hello = web.encode("hello", version=1, nick="ann", password="sesame")
    client = upgraded(world, OTHER)
    client.send_raw(hello)
    world.settle()
    (error,) = messages(client)
    assert (error.type, error["code"]) == ("error", "password")
    assert client.ended
    client = upgraded(world, LOCAL)
    client.send_raw(hello)
    world.settle()
    assert [f.type for f in messages(client)] == ["welcome", "room"]


# -- output -----------------------------------------------------------------------


@pytest.fixture
def large_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bytes:
    """Have a page that no buffer holds."""
    body = bytes(range(256)) * 4096
    for name, _ in site.FILES.values():
        (tmp_path / name).write_bytes(body)
    monkeypatch.setattr(site, "STATIC", tmp_path)
    return body


def test_a_page_is_not_cut_short(large_page: bytes, start: Start) -> None:
    """It is far more than is held for a stranger; and it is held once for all."""
    world = start()
    clients = [world.connect(sndbuf=4096) for _ in range(3)]
    for client in clients:
        client.reading = False
        client.send_raw(web.request())
    world.tick()
    assert world.server.pool.total < len(large_page) + 2000
    for _ in range(12):
        world.advance(LINGER - 1)
        for client in clients:
            client.read(65_536)
    for client in clients:
        client.reading = True
    world.settle()
    for client in clients:
        assert client.ended
        assert web.parse_answer(bytes(client.received)).body == large_page


def test_a_page_that_nobody_takes_is_let_go(large_page: bytes, start: Start) -> None:
    world = start()
    client = world.connect(sndbuf=4096)
    client.reading = False
    client.send_raw(web.request() + b"more" * 1000)
    world.advance(LINGER + 1)
    assert client.connection not in world.server.connections
    assert world.server.pool.total == 0


def note_writes(client: Client, chunks: list[bytes]) -> None:
    """Have what is written to *client* noted, the very objects."""
    transport = client.connection.transport
    write = transport.write

    class Noting(SimpleNamespace):
        """Stands before the transport, which has no place for another method."""

        def __getattr__(self, name: str) -> Any:
            return getattr(transport, name)

        def write(self, data: bytes) -> None:
            """Note, and write."""
            chunks.append(data)
            write(data)

    client.connection.transport = Noting()  # type: ignore[assignment]


def test_members_of_a_dialect_share_a_tick(world: World) -> None:
    """What is said in a tick is packed once for each dialect, not for each member."""
    natives = [world.join(f"n{number}") for number in range(3)]
    browsers = [join(world, f"b{number}") for number in range(3)]
    chunks: dict[Client, list[bytes]] = {}
    for client in natives + browsers:
        chunks[client] = []
        note_writes(client, chunks[client])
    natives[0].send("say", text="one")
    natives[1].send("say", text="two")
    browsers[0].send_raw(web.encode("say", text="three"))
    world.settle()
    for members in (natives, browsers):
        (first,) = chunks[members[0]]
        assert all(chunks[member][0] is first for member in members)
    assert [f["text"] for f in messages(browsers[1])] == ["one", "two", "three"]
    assert [f["text"] for f in natives[2].frames()] == ["one", "two", "three"]


# -- deadlines and places ---------------------------------------------------------


def test_a_request_has_ten_seconds(world: World) -> None:
    client = world.connect()
    client.send_raw(web.request()[:-2])
    world.advance(9.875)
    client.send_raw(b"X: y\r\n")
    world.advance(0.125)
    assert client.ended
    answer = web.parse_answer(bytes(client.received))
    assert answer.status == 408


def test_a_hello_has_ten_seconds_from_the_upgrade(world: World) -> None:
    client = world.connect()
    client.send_raw(web.upgrade()[:-2])
    world.advance(9)
    client.send_raw(b"\r\n")
    world.settle()
    client.received.clear()
    world.advance(9.875)
    assert not client.received
    client.send_raw(web.frame(web.PING))
    client.send_raw(web.encode("hello", version=1)[:-1])
    world.tick()
    world.pump()
    assert client.received == b"\x8a\x00"
    client.received.clear()
    world.advance(0.125)
    assert client.ended
    (error,) = messages(client)
    assert error["code"] == "timeout"


def test_of_too_many_that_are_not_in_the_oldest_is_told(world: World) -> None:
    half = world.connect()
    half.send_raw(web.request()[:-2])
    other = upgraded(world)
    for _ in range(MAX_UNFINISHED):
        world.connect()
    world.settle()
    assert half.ended and other.ended
    assert web.parse_answer(bytes(half.received)).status == 503
    (error,) = messages(other)
    assert error["code"] == "full"
    assert world.server.totals.drops == {"unfinished": 2}


def test_what_is_dropped_is_counted_by_its_reason(start: Start) -> None:
    world = start(ping_interval=0.0, idle_timeout=0.0)
    for number in range(2):
        client = world.join(f"slow{number}", sndbuf=4096)
        client.reading = False
        client.connection.transport.write(bytes(100_000))
    world.advance(31)
    assert world.server.totals.drops == {"stalled": 2}
    assert b'chatroom_drops_total{reason="stalled"} 2\n' in (
        ask(world, web.request("/metrics"), LOCAL).body
    )
