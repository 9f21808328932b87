"""Whatever comes, the server raises nothing, answers in frames, and forgets it all.

Streams of bytes and whole sessions against a real ``Server`` in this process.  Each
``World`` fails at its end where its log holds a failure, or where a timer, a
registration, a session's place or a byte of output is left.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatroom.core.operators import Operators
from chatroom.core.sessions import digest
from tests.fuzz.mutate import LONG, NASTY, STRANGERS, Target, make_case, pack
from tests.fuzz.sessions import NICK, OPERATOR_KEY, TOKEN, Session
from tests.support import web
from tests.support.inprocess import ENDS, Client, World
from tests.support.peer import Frame, check_shape, encode
from tests.support.strategies import json_values, names, refs, rooms, texts
from tests.support.tls import CERT, KEY, trusting

# -- strategies: values, frames, streams, sessions ------------------------------------

_TYPES = (
    "hello say whisper nick join who rooms history leave ping pong op kick nothing"
).split()
_FIELDS: dict[str, st.SearchStrategy[object]] = {
    "version": st.sampled_from([1, 1, 1, 2, 0, True, "1"]),
    "nick": names | st.sampled_from(["ann", "Bob", "bob", "guest-1"]),
    "room": rooms | st.sampled_from(["lobby", "tea", "Tea", ""]),
    "password": texts,
    "session": st.sampled_from([f"token-{n}" for n in range(1, 5)]) | texts,
    "text": texts | st.sampled_from(["hi", "HI", "!leave", " !leave\n", "x" * 4001]),
    "ref": refs,
    "to": st.sampled_from(["ann", "bob", "guest-1", ""]) | names,
    "after": st.integers(-1, 5) | names,
    "before": st.integers(-1, 5) | st.just(2**53),
    "limit": st.integers(-1, 201),
    "data": texts,
    "do": st.sampled_from(
        "login kick ban unban bans mute unmute pardon topic lock unlock dance".split()
    ),
    "key": st.sampled_from([OPERATOR_KEY, OPERATOR_KEY, "x", ""]),
    "address": st.sampled_from(["192.0.2.0/30", "::1", "0.0.0.0/0", "fe80::1%x", "no"]),
    "seconds": st.sampled_from([0, 1, 1, 60, 2**53 - 1, -1]),
    "reason": texts | st.sampled_from(["", "why not?"]),
    "topic": texts | st.sampled_from(["", "tea time"]),
}

values = st.fixed_dictionaries(
    {"type": st.sampled_from(_TYPES)},
    optional=_FIELDS,
)
"""Requests, good ones now and then."""

payloads = st.one_of(
    values.map(lambda value: encode(**value)[4:]),  # type: ignore[arg-type]
    json_values.map(lambda value: encode("say", text=value)[4:]),
    st.binary(max_size=40),
    st.sampled_from(NASTY).map(lambda raw: f'{{"type":"say","text":{raw}}}'.encode()),
    st.text(st.sampled_from('{}[]",:\\ud8301eE.-"'), max_size=60).map(str.encode),
)

frames = st.one_of(
    payloads.filter(bool).map(pack),
    payloads.filter(bool).map(pack),
    st.builds(
        lambda payload, length: struct.pack("!I", length) + payload,
        st.binary(max_size=20),
        st.sampled_from([0, 1, 15, 4096, 4097, 65536, 65537, 1 << 31, (1 << 32) - 1]),
    ),
)

_ASKED = ("key", "nick", "address", "seconds", "reason", "topic", "after")


def _deed(dos: str, *needed: str) -> st.SearchStrategy[bytes]:
    """Give one of *dos*, with the fields that it needs, and others now and then."""
    return st.builds(
        lambda do, fields: encode("op", do=do, **fields),
        st.sampled_from(dos.split()),
        st.fixed_dictionaries(
            {name: _FIELDS[name] for name in needed},
            optional={name: _FIELDS[name] for name in _ASKED if name not in needed},
        ),
    )


deeds = st.one_of(
    _deed("kick ban unban mute unmute pardon", "nick", "seconds"),
    _deed("ban unban", "address", "seconds"),
    _deed("topic bans login", "topic", "key"),
    _deed("lock unlock dance kick ban"),
)
"""What an operator does, or would."""

hello = encode("hello", version=1)
log_in = encode("op", do="login", key=OPERATOR_KEY)
web_hello = web.encode("hello", version=1)
streams = st.lists(
    st.one_of(
        frames,
        frames,
        st.just(hello),
        st.binary(max_size=30),
        st.integers(0, len(LONG) - 1),
    ),
    max_size=12,
)
"""What one connection sends; a number stands for a large frame, to be shown short."""


def joined(parts: list[bytes | int]) -> bytes:
    """Return the bytes that *parts* stand for."""
    large = (part if isinstance(part, bytes) else _large(part) for part in parts)
    return b"".join(large)


def _large(number: int) -> bytes:
    return pack(f'{{"type":"ping","x":{LONG[number]()}}}'.encode()[:65536])


starts = st.sampled_from(
    [hello, hello, hello, b"", web.upgrade(), web.upgrade() + web_hello, *STRANGERS]
)
cuts = st.lists(st.integers(1, 2000), max_size=12)
ends = st.sampled_from(["close", "half", "stay"])


@contextmanager
def hunting(**options: Any) -> Iterator[World]:
    """Give a world that is checked at its end, and closed in any case."""
    world = World(**options)
    try:
        yield world
    except BaseException:
        for client in world.clients:
            client.close()
        world.server.close()
        world.loop.close()
        world._patches.close()
        raise
    world.finish()


def play(
    world: World, client: Client, stream: bytes, cuts: list[int], end: str
) -> None:
    """Send *stream* in pieces of these sizes, with a tick behind each."""
    # Where TLS has failed there is nobody to take leave of.
    client.may_be_reset = stream[:1] == b"\x16"
    for size in [*cuts, len(stream)]:
        if stream:
            client.sock.setblocking(True)
            client.sock.settimeout(1.0)
            sent, stream = stream[:size], stream[size:]
            try:
                client.sock.sendall(sent)
            except OSError:
                stream = b""  # It has been let go.
            client.sock.setblocking(False)
        world.tick()
        world.pump()
    if end == "half" and not client.ended:
        client.half_close()
    elif end == "close":
        client.close()
        client.ended = True
    world.settle()


def check_answers(client: Client, start: bytes) -> None:
    """Hold all that *client* got against the table of the protocol."""
    got = bytes(client.received)
    if client.connection.is_web:
        _, _, rest = got.partition(b"\r\n\r\n")
        came, end = web.split(rest)
        for one in came:
            if one.opcode == web.TEXT:
                check_shape(Frame(one.payload))
        if client.reading:
            assert end == len(rest), f"half a frame: {rest[end:]!r}"
        return
    if got[:1] not in (b"", b"\0"):
        assert start[:1] != b"\0", f"no frame: {got[:80]!r}"
        assert client.ended or client.connection.gone
        return
    client.frames()
    if client.reading:
        assert client._taken == len(got), f"half a frame: {got[client._taken :]!r}"


def check_alive(world: World) -> None:
    """Somebody else comes in and is heard."""
    other = world.connect("198.51.100.1")
    other.send("hello", version=1, nick="the-last-one", room="elsewhere")
    other.send("say", text="still here", ref="last")
    world.settle()
    assert [f.type for f in other.frames()] == ["welcome", "room", "message"]


@settings(max_examples=60)
@given(starts, streams, cuts, ends)
@example(web.upgrade() + web_hello, [web.encode("say", text="hi")], [1] * 9, "half")
@example(web.upgrade(), [b"\x81\xff" + b"\xff" * 20], [1] * 9, "stay")
@example(b"", [b"\x16"], [1], "half")
@example(b"", [b"\0\0\0"], [1, 1], "half")
@example(b"", [b"G"], [1], "half")
@example(STRANGERS[7], [7], [1], "close")
def test_any_bytes_cut_anywhere(
    start: bytes, parts: list[bytes | int], cuts: list[int], end: str
) -> None:
    stream = start + joined(parts)
    with hunting(tls_cert=CERT, tls_key=KEY) as world:
        client = world.connect()
        play(world, client, stream, cuts, end)
        check_answers(client, stream)
        check_alive(world)


@settings(max_examples=25)
@given(st.lists(st.tuples(streams, cuts, ends), min_size=2, max_size=5))
def test_any_sessions_side_by_side(
    scripts: list[tuple[list[bytes | int], list[int], str]],
) -> None:
    with hunting(
        max_clients=4, max_rooms=3, presence_limit=2, keep=3, hello_timeout=2.0
    ) as world:
        witness = world.join("witness", host="198.51.100.7")
        clients = [world.connect(f"192.0.2.{n}") for n in range(len(scripts))]
        for client, (parts, sizes, end) in zip(clients, scripts, strict=True):
            play(world, client, hello + joined(parts), sizes, end)
        world.advance(3.0)
        for client, _ in zip(clients, scripts, strict=True):
            check_answers(client, hello)
        heard = [f for f in witness.frames() if f.type == "message"]
        assert [f["id"] for f in heard] == list(range(1, len(heard) + 1))
        witness.send("say", text="still here")
        world.settle()
        assert witness.frames()[-1]["id"] == len(heard) + 1


@settings(max_examples=40)
@given(st.lists(st.tuples(st.lists(deeds | frames), cuts, ends), max_size=4))
def test_any_operators_side_by_side(
    scripts: list[tuple[list[bytes], list[int], str]],
) -> None:
    """They hit each other and themselves; whom they do not mean feels nothing."""
    with hunting(presence_limit=2, keep=3, hello_timeout=2.0) as world:
        operators = Operators({digest(OPERATOR_KEY): "root"})
        world.server.chat.oversight.appoint(operators, world.loop.now)
        witness = world.join("witness", room="elsewhere", host="198.51.100.7")
        witness.connection.secure = True
        witness.send_raw(log_in)
        clients = [world.connect(f"192.0.2.{n}") for n in range(len(scripts))]
        for client, (parts, sizes, end) in zip(clients, scripts, strict=True):
            client.connection.secure = True
            start = hello + log_in
            play(world, client, start + b"".join(parts), sizes, end)
        world.advance(20.0)
        for client in clients:
            check_answers(client, hello)
        witness.send("say", text="still here")
        world.settle()
        assert witness.frames()[-1]["id"] == 1


RECORDED = [
    Session(
        "talk",
        (
            encode("hello", version=1, nick=NICK.decode()),
            encode("say", text="good morning", ref="r1"),
            encode("join", room="tea"),
            encode("nick", nick="bob"),
            encode("history", limit=5),
            encode("say", text="!leave"),
        ),
    ),
    Session(
        "come back",
        (
            encode("hello", version=1, session=TOKEN.decode(), room="tea"),
            encode("whisper", to=NICK.decode(), text="psst"),
            encode("who"),
            encode("say", text="LOUD"),
            encode("say", text="LOUD"),
            encode("rooms"),
        ),
    ),
]


@settings(max_examples=40)
@given(st.integers(0, 1 << 40))
def test_damaged_sessions(seed: int) -> None:
    """What the long hunt plays against live servers, a little of it."""
    with hunting() as world:
        clients = []
        for number in range(3):
            case = make_case(seed, number, RECORDED, [Target("plain")])
            client = world.connect(case.source)
            stream = b"".join(case.pieces).replace(TOKEN, b"token-1")[:150_000]
            end = "half" if case.end == "half" else "stay"
            play(world, client, stream, [len(p) for p in case.pieces[:20] if p], end)
            clients.append((client, stream))
        for client, stream in clients:
            check_answers(client, stream)
        check_alive(world)


# -- TLS ------------------------------------------------------------------------------


class Secured:
    """A client's end of TLS, whose records a test may damage."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client = world.connect()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = trusting().wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost"
        )
        self._read = 0

    def turn(self, records: bytes) -> None:
        """Send *records*, and take what comes."""
        if records and not self.client.ended:
            try:
                self.client.send_raw(records)
            except OSError:
                self.client.ended = True
        self.world.settle()
        self.incoming.write(bytes(self.client.received[self._read :]))
        self._read = len(self.client.received)

    def shake(self) -> list[bytes]:
        """Do the handshake; return what was sent for it, flight by flight."""
        flights = []
        while True:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                flights.append(self.outgoing.read())
                self.turn(flights[-1])
                continue
            flights.append(self.outgoing.read())
            self.turn(flights[-1])
            return flights


@settings(max_examples=25)
@given(
    st.integers(0, 2),
    st.integers(0, 1 << 16),
    st.sampled_from(["flip", "cut", "twice", "junk", "end"]),
    st.binary(min_size=1, max_size=40),
)
def test_damaged_records(flight: int, at: int, how: str, junk: bytes) -> None:
    """Of the first flight, of the second, or of what is said behind them."""
    with hunting(tls_cert=CERT, tls_key=KEY, hello_timeout=2.0) as world:
        secured = Secured(world)

        def damaged(records: bytes) -> bytes:
            place = at % max(1, len(records))
            match how:
                case "flip":
                    flipped = bytes([records[place] ^ (1 + junk[0] % 255)])
                    return records[:place] + flipped + records[place + 1 :]
                case "cut":
                    return records[:place] + records[place + len(junk) :]
                case "twice":
                    return records + records
                case "junk":
                    return records[:place] + junk + records[place:]
            return records[:place]

        try:
            if flight == 2:
                secured.shake()
                secured.object.write(hello + encode("say", text="hi"))
            else:
                for number in range(flight + 1):
                    with suppress(ssl.SSLWantReadError):
                        secured.object.do_handshake()
                    if number < flight:
                        secured.turn(secured.outgoing.read())
            secured.turn(damaged(secured.outgoing.read()))
        except ssl.SSLError:
            pass  # It is this end that has had enough.
        world.advance(2.0 + ENDS)
        connection = secured.client.connection
        assert (
            connection.session is not None or connection not in world.server.connections
        )
        check_alive(world)
