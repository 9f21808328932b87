"""The property that the tick stands on: batches change nothing.

However the frames of several clients are cut into segments and gathered into ticks,
and whatever dialect each of them speaks, every client gets the messages that it would
have got from one frame a tick.
"""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatroom.core.operators import Operators
from chatroom.core.sessions import digest
from tests.support import web
from tests.support.inprocess import Client, World
from tests.support.peer import encode, pack

CLIENTS = 4
NICKS = ["ann", "bob", "Ann", "cy", "d\u00e9", "guest-1"]
ROOMS = ["lobby", "tea"]
EOF = b""
"""Stands in a script for a half-close."""


def hellos() -> st.SearchStrategy[bytes]:
    """Hellos, of which some take over what another one holds."""
    tokens = [f"token-{number}" for number in range(1, CLIENTS + 1)]
    return st.builds(
        lambda nick, room, session: encode(
            "hello", version=1, **nick, room=room, **session
        ),
        st.sampled_from([{"nick": nick} for nick in NICKS] + [{}]),
        st.sampled_from(ROOMS),
        st.sampled_from([{}, {}, *({"session": token} for token in tokens)]),
    )


frames = st.one_of(
    st.sampled_from(["hi", "OK", "x" * 300, "\u4e2d\u6587\n", "a", "b", "\0"]).map(
        lambda text: encode("say", text=text, ref="r")
    ),
    st.sampled_from(["one", "two", "three"]).map(lambda text: encode("say", text=text)),
    st.sampled_from(NICKS).map(lambda nick: encode("whisper", to=nick, text="psst")),
    st.sampled_from(NICKS).map(lambda nick: encode("nick", nick=nick)),
    st.sampled_from([*ROOMS, "Bad!"]).map(lambda room: encode("join", room=room)),
    st.sampled_from(
        [
            encode("who"),
            encode("rooms"),
            encode("history"),
            encode("history", after=1, limit=2),
            encode("ping", data="x"),
            encode("pong"),
            encode("nonsense"),
            pack(b"{"),
            encode("say", text="!leave"),
            encode("say", text="SHOUT"),
            encode("leave"),
            EOF,
        ]
    ),
    st.sampled_from(
        [
            *[encode("op", do="login", key="key")] * 4,
            *(
                encode("op", do=do, nick="bob")
                for do in ("kick", "ban", "unban", "mute", "unmute", "pardon")
            ),
            encode("op", do="ban", address="192.0.2.1", seconds=60, reason="r"),
            encode("op", do="unban", address="192.0.2.1"),
            encode("op", do="bans"),
            encode("op", do="topic", topic="tea"),
            encode("op", do="topic", topic=""),
            encode("op", do="lock"),
            encode("op", do="unlock"),
            encode("op", do="kick"),
        ]
    ),
    hellos(),
)

scripts = st.lists(
    st.tuples(hellos(), st.lists(frames, max_size=8)).map(lambda s: [s[0], *s[1]]),
    min_size=1,
    max_size=CLIENTS,
)


class Step(NamedTuple):
    """So many bytes of one client, and whether a tick follows."""

    client: int
    size: int
    tick: bool


steps = st.lists(
    st.builds(Step, st.integers(0, CLIENTS - 1), st.integers(1, 400), st.booleans()),
    max_size=40,
)


class Run:
    """A world with its clients, which notes what is judged in which order.

    Those that are *on_web* speak WebSocket; they have not asked for it yet.
    """

    def __init__(self, count: int, on_web: frozenset[int] = frozenset()) -> None:
        # Small, so that a crowd of four is large now and then.
        self.world = World(presence_limit=3, strikes=3)
        self.clients = [
            self.world.connect(f"192.0.2.{number}") for number in range(count)
        ]
        for client in self.clients:
            # So that its key is taken.
            client.connection.local = True
        operators = Operators({digest("key"): "boss"})
        self.world.server.chat.oversight.appoint(operators, self.world.clock.now)
        self.judged: list[tuple[int, bool]] = []
        """For each request (client, True), for each end of input (client, False)."""
        self.on_web = on_web
        numbers = {c.connection: n for n, c in enumerate(self.clients)}
        chat = self.world.server.chat
        receive, lost = chat.receive, chat.lost

        def receive_and_note(peer: object, *rest: object) -> None:
            self.judged.append((numbers[peer], True))  # type: ignore[index]
            receive(peer, *rest)  # type: ignore[arg-type]

        def lost_and_note(peer: object, now: float) -> None:
            if not peer.gone:  # type: ignore[attr-defined]
                self.judged.append((numbers[peer], False))  # type: ignore[index]
            lost(peer, now)  # type: ignore[arg-type]

        chat.receive = receive_and_note  # type: ignore[assignment,method-assign]
        chat.lost = lost_and_note  # type: ignore[method-assign]

    def outcome(self) -> list[tuple[bytes, bool]]:
        """Return what each client got, as native frames, and whether it was ended."""
        found = []
        for number, client in enumerate(self.clients):
            data = bytes(client.received)
            if number in self.on_web:
                data = web.to_native(data, ended=client.ended) if data else b""
            else:
                client.frames()
            found.append((data, client.ended))
        return found

    def finish(self) -> None:
        """Have it checked that nothing is left."""
        self.judged.clear()
        self.world.finish()


def deliver(client: Client, data: bytes, ends: bool) -> None:
    """Send *data*, and the end of input where it is reached."""
    if data:
        client.send_raw(data)
    if ends:
        client.half_close()


def batched(
    played: list[list[bytes]], order: list[Step], on_web: frozenset[int] = frozenset()
) -> Run:
    """Play the scripts in the segments and ticks of *order*; then all the rest."""
    run = Run(len(played), on_web)
    streams = [
        stream_on_web(script) if number in on_web else b"".join(script)
        for number, script in enumerate(played)
    ]
    ends = [EOF in script for script in played]
    sent = [0] * len(played)

    def send(number: int, size: int) -> None:
        data = streams[number][sent[number] :][:size]
        if data:
            sent[number] += len(data)
            over = sent[number] == len(streams[number])
            deliver(run.clients[number], data, over and ends[number])

    for step in order:
        if step.client < len(played):
            send(step.client, step.size)
        if step.tick:
            run.world.tick()
            run.world.pump()
    for number in range(len(played)):
        send(number, len(streams[number]))
    run.world.settle()
    return run


def stream_on_web(script: list[bytes]) -> bytes:
    """Return what a client sends who says the frames of *script* over WebSocket."""
    data = web.upgrade()
    for number, frame in enumerate(script):
        if frame == EOF:
            continue
        payload = frame[4:]
        if number % 3 == 2:
            # In parts, with something between that nobody is told of.
            first, rest = payload[:5], payload[5:]
            data += web.frame(web.TEXT, first, last=False) + web.frame(web.PONG)
            data += web.frame(0, rest)
        else:
            data += web.frame(web.TEXT, payload)
    return data


def one_by_one(played: list[list[bytes]], judged: list[tuple[int, bool]]) -> Run:
    """Play one frame a tick, in the order in which they were *judged*."""
    run = Run(len(played))
    left = [iter(script) for script in played]
    for number, is_frame in judged:
        deliver(
            run.clients[number], next(left[number]) if is_frame else b"", not is_frame
        )
        run.world.settle()
    return run


def cut_at_the_end(script: list[bytes]) -> list[bytes]:
    """Let nothing come after the end of input."""
    return script[: script.index(EOF) + 1] if EOF in script else script


hello = encode("hello", version=1, nick="ann")
again = encode("hello", version=1, session="token-1")
bob = encode("hello", version=1, nick="bob")
say = encode("say", text="hi")


@settings(max_examples=150)
@given(scripts, steps)
@example([[hello, say, say, encode("say", text="!leave"), say], [bob, say]], [])
@example([[hello, say], [bob, say], [again, say, encode("join", room="tea")]], [])
@example([[hello, say, encode("history"), say, EOF], [bob, say]], [])
@example([[hello] + [encode("who")] * 5 + [say], [bob, say, encode("who"), say]], [])
@example([[hello, encode("nick", nick="cy"), say], [bob, encode("who")]], [])
def test_segments_and_ticks_change_nothing(
    played: list[list[bytes]], order: list[Step]
) -> None:
    played = [cut_at_the_end(script) for script in played]
    first = batched(played, order)
    second = one_by_one(played, first.judged)
    try:
        assert second.judged == first.judged
        assert second.outcome() == first.outcome()
    finally:
        first.finish()
        second.finish()


@settings(max_examples=150)
@given(scripts, steps, st.frozensets(st.integers(0, CLIENTS - 1)))
@example(
    [[hello, say, say, encode("say", text="!leave"), say], [bob, say]],
    [],
    frozenset((0, 1)),
)
@example([[hello, say, encode("history"), say, EOF], [bob, say]], [], frozenset((0,)))
@example(
    [[hello, say], [bob, say], [again, say, encode("join", room="tea")]],
    [],
    frozenset((2,)),
)
def test_dialects_change_nothing(
    played: list[list[bytes]], order: list[Step], on_web: frozenset[int]
) -> None:
    played = [cut_at_the_end(script) for script in played]
    first = batched(played, order, on_web)
    second = one_by_one(played, first.judged)
    try:
        assert second.judged == first.judged
        assert second.outcome() == first.outcome()
    finally:
        first.finish()
        second.finish()


def test_one_segment_and_one_byte_a_tick() -> None:
    script = [hello, say, encode("rooms"), pack(b"["), say, encode("say", text="NO")]
    script += [encode("history"), encode("say", text="!leave"), say]
    whole = batched([script], [])
    bytewise = batched([script], [Step(0, 1, True)] * sum(map(len, script)))
    try:
        assert whole.outcome() == bytewise.outcome()
        received, ended = whole.outcome()[0]
        assert b'"reason":"leave"' in received[-100:]
        assert ended
    finally:
        whole.finish()
        bytewise.finish()
