"""Cases: a recorded session each, and what goes wrong with it.

``make_case`` is a pure function of the seed, the number and the sessions, so a case is
played again by its number.  What is done to it is in ``about``, in words.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.sessions import NICK, Session
from tests.support import web

MAX_FRAME = 65536


@dataclass(frozen=True)
class Target:
    """What a case has to know of a server."""

    name: str
    tls: bool = False
    password: str | None = None


@dataclass
class Case:
    """One connection: what is sent in which pieces, and how it ends."""

    number: int
    target: int
    pieces: list[bytes]
    end: str
    """``close``, ``reset``, ``half`` (and wait for the other side) or ``stay``."""
    tls: bool = False
    on_web: bool = False
    """Whether it asks for a WebSocket at first."""
    damage: str = ""
    """What happens to a record of TLS, ``""`` for nothing."""
    reads: bool = True
    source: str = "127.0.1.1"
    about: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        size = sum(map(len, self.pieces))
        said = ", ".join(self.about) or "as recorded"
        return (
            f"case {self.number}: {said}; {size} bytes in {len(self.pieces)} pieces, "
            f"{self.end}{', TLS' if self.tls else ''}{' ' + self.damage}"
            f"{', web' if self.on_web else ''}"
        ).rstrip()


DEEP = 40
NASTY = (
    "null true false 0 -0 -1 1 2 1.0 1e3 1e308 1e999 -1e999 NaN Infinity -Infinity "
    '9007199254740991 9007199254740992 18446744073709551616 "" " " "\\u0000" "\\ud800" '
    '"\\ude00\\ud83d" "\\ud83d\\ude00" [] {} [[]] {"a":{}} [null] "null" "1" '
    '"\\u202e" "\\u2028" "\\u001b[2J" "lobby" "tea" "guest-1" "GUEST-1" "!leave" '
    '"SHOUT" "ſ" "ß" "ﷺ" "é" "\\u0065\\u0301\\u0301\\u0301" "-" "a-" "../x" 01 +1 .5 '
    "5. 0x10 1_0 ' nul \\"
).split(" ")
"""JSON, or nearly so, that has been too much for others."""
LONG: tuple[Callable[[], str], ...] = (
    lambda: "9" * 309,
    lambda: "9" * 4301,
    lambda: "-" + "9" * 60_000,
    lambda: "0." + "3" * 60_000,
    lambda: "[" * 40 + "]" * 40,
    lambda: "[" * 30_000 + "]" * 30_000,
    lambda: "[" * 60_000,
    lambda: '{"a":' * 40 + "1" + "}" * 40,
    lambda: "[" + "[]," * 20_000 + "1]",
    lambda: "[" + "1," * 30_000 + "1]",
    lambda: "[" + "1e300," * 10_000 + "1]",
    lambda: '"' + "x" * 4001 + '"',
    lambda: '"' + "x" * 65_000 + '"',
    lambda: '"' + "\\ud83d\\ude00" * 5_000 + '"',
    lambda: '"' + "\\" * 60_001 + '"',
    lambda: '"' + "\u0301" * 30_000 + '"',
    lambda: '"' + "\ufdfa" * 20_000 + '"',
    lambda: '"' + "ß" * 32 + '"',
    lambda: "{" + ",".join(f'"{n}":{n}' for n in range(5_000)) + "}",
)
LENGTHS = (0, 1, 2, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 24, (1 << 32) - 1)
STRANGERS = (
    b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n",
    b"POST /say HTTP/1.1\r\nContent-Length: 15\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.9\r\n",
    b"NICK ann\r\nUSER ann 0 * :ann\r\n",
    b"EHLO mail.example\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"\x16\x03\x01\xff\xff",
    b"\x16",
    b"\x80\x2e\x01\x03\x01",
    b"\x15\x03\x01\x00\x02\x02\x28",
    b"*1\r\n$4\r\nPING\r\n",
    b"\x00",
    b"\xff" * 300,
    b"{}\n",
)
ENDS = ("close", "close", "reset", "half", "stay", "stay")
DAMAGES = ("", "", "", "", "flip", "drop", "twice", "cut", "junk", "swap")


def pack(payload: bytes, length: int | None = None) -> bytes:
    """Return *payload* as a frame, or with a *length* that is a lie."""
    return struct.pack("!I", len(payload) if length is None else length) + payload


def make_case(
    seed: int, number: int, sessions: list[Session], targets: list[Target]
) -> Case:
    """Return the case of that *number*."""
    # A string, as integers are mixed less well, and tuples not at all.
    chance = Random(f"{seed}/{number}")
    which = chance.randrange(len(targets))
    target, session = targets[which], chance.choice(sessions)
    case = Case(number, which, [], chance.choice(ENDS))
    case.about.append(session.name)
    case.source = f"127.0.1.{chance.randrange(1, 255)}"
    case.tls = target.tls and chance.random() < 0.6
    if case.tls:
        case.damage = chance.choice(DAMAGES)
    case.reads = chance.random() < 0.93
    frames = list(_own(chance, session.frames, number, target.password))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 5))):
        mutate = chance.choice(FRAMES)
        case.about.append(mutate.__name__.strip("_"))
        mutate(chance, frames, sessions)
    case.on_web = chance.random() < 0.3
    if case.on_web:
        frames = _on_web(chance, frames, case.about)
    stream = bytearray(b"".join(frames))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
        change = chance.choice(BYTES)
        case.about.append(change.__name__.strip("_"))
        change(chance, stream)
    case.pieces = _cut(chance, bytes(stream))
    return case


def _own(
    chance: Random, frames: tuple[bytes, ...], number: int, password: str | None
) -> list[bytes]:
    """Give the session a nick of its own, mostly, and the password, nearly always."""
    nick = b"ann" if chance.random() < 0.15 else f"n{number}".encode()
    told = password if chance.random() < 0.97 else "wrong"
    found = []
    for frame in frames:
        payload = frame[4:].replace(NICK, nick)
        if password is not None and payload.startswith(b'{"type":"hello"'):
            value = json.loads(payload)
            value.pop("password", None)
            payload = json.dumps(value | {"password": told}).encode()
        found.append(pack(payload))
    return found


# -- what goes wrong with frames ------------------------------------------------------

Frames = list[bytes]


def _swap(chance: Random, frames: Frames, _: list[Session]) -> None:
    a, b = (chance.randrange(len(frames)) for _ in range(2))
    frames[a], frames[b] = frames[b], frames[a]


def _drop(chance: Random, frames: Frames, _: list[Session]) -> None:
    if len(frames) > 1:
        del frames[chance.randrange(len(frames))]


def _repeat(chance: Random, frames: Frames, _: list[Session]) -> None:
    at = chance.randrange(len(frames))
    frames[at:at] = [frames[at]] * chance.choice((1, 2, 9, 40))


def _mix(chance: Random, frames: Frames, sessions: list[Session]) -> None:
    other = chance.choice(sessions).frames
    start = chance.randrange(len(other))
    at = chance.randrange(len(frames) + 1)
    frames[at:at] = other[start : start + chance.randrange(1, 5)]


def _length(chance: Random, frames: Frames, _: list[Session]) -> None:
    at = chance.randrange(len(frames))
    payload = frames[at][4:]
    lie = chance.choice((*LENGTHS, len(payload) - 1, len(payload) + 1))
    frames[at] = pack(payload, max(0, lie))


def _value(chance: Random, frames: Frames, _: list[Session]) -> None:
    """Change an object: its values, its keys, how it is written."""
    at = chance.randrange(len(frames))
    try:
        value = json.loads(frames[at][4:])
    except (ValueError, RecursionError):
        return
    if not isinstance(value, dict) or not value:
        return
    pairs = [(json.dumps(k), json.dumps(v)) for k, v in value.items()]
    for _turn in range(chance.choice((1, 1, 2))):
        spot = chance.randrange(len(pairs))
        key, shown = pairs[spot]
        kind = chance.randrange(8)
        if kind < 3:
            pairs[spot] = key, chance.choice(NASTY)
        elif kind == 3:
            pairs[spot] = key, chance.choice(LONG)()
        elif kind == 4:
            pairs.insert(spot, (key, chance.choice(NASTY)))
        elif kind == 5:
            pairs.append((chance.choice((*NASTY, '"' + "k" * 5000 + '"')), shown))
        elif kind == 6:
            pairs.append((f'"{chance.choice(FIELDS)}"', chance.choice(NASTY)))
        elif len(pairs) > 1:
            del pairs[spot]
    space = chance.choice(("", "", "", " ", "\n\t", "\ufeff", "\x0b"))
    text = ",".join(f"{space}{key}:{shown}" for key, shown in pairs)
    frames[at] = pack(f"{space}{{{text}}}".encode()[:MAX_FRAME])


def _kind(chance: Random, frames: Frames, _: list[Session]) -> None:
    at = chance.randrange(len(frames))
    kind = chance.choice(KINDS)
    frames[at] = pack(
        json.dumps(
            {"type": kind, chance.choice(FIELDS): chance.choice(("", 1, "x"))}
        ).encode()
    )


def _encoding(chance: Random, frames: Frames, _: list[Session]) -> None:
    at = chance.randrange(len(frames))
    text = frames[at][4:].decode(errors="replace")
    coding = chance.choice(("utf-16", "utf-16-le", "utf-32-be", "utf-8-sig", "latin-1"))
    frames[at] = pack(text.encode(coding, "replace")[:MAX_FRAME])


def _largest(chance: Random, frames: Frames, _: list[Session]) -> None:
    """Add a frame as large as may be, and as costly."""
    filler = chance.choice(LONG)()
    text = f'{{"type":"ping","x":{filler}}}'.encode()[:MAX_FRAME]
    frames.insert(chance.randrange(len(frames) + 1), pack(text.ljust(MAX_FRAME)))


FRAMES = (
    _swap, _drop, _repeat, _mix, _length, _value, _value, _value, _kind, _encoding,
    _largest,
)  # fmt: skip
KINDS = (
    "hello say whisper nick join who rooms history leave ping pong op welcome room "
    "kick error message count x"
).split()
FIELDS = (
    "type version nick room password session text to ref after before limit data do "
    "key address seconds reason topic"
).split()


# -- what goes wrong over WebSocket ---------------------------------------------------


def _on_web(chance: Random, frames: Frames, about: list[str]) -> Frames:
    """Return what a browser would send for *frames*, or nearly so."""
    found = [_frame(chance, web.TEXT, frame[4:]) for frame in frames]
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        change = chance.choice(WEB)
        about.append(change.__name__.strip("_"))
        change(chance, found)
    return [_request(chance), *found]


def _frame(chance: Random, opcode: int, data: bytes, *, last: bool = True) -> bytes:
    return web.frame(opcode, data, last=last, mask=chance.randbytes(4))


def _request(chance: Random) -> bytes:
    """Return a request for a WebSocket, which is not always a good one."""
    about: dict[str, str | None] = {}
    if chance.random() < 0.2:
        name = chance.choice(
            "host origin upgrade connection sec_websocket_key content_length "
            "sec_websocket_version transfer_encoding x".split()
        )
        about[name] = chance.choice(
            (None, "", "null", "localhost", "evil.example", "0", "13, 13", "a" * 9000)
        )
    path = chance.choice(("/chat", "/chat", "/chat", "/chat", "/", "/chat.js", "/x?y"))
    method = chance.choice(("GET",) * 9 + ("HEAD", "POST"))
    return web.upgrade(path, method, chance.choice(("1.1",) * 9 + ("1.0",)), **about)


def _parts(chance: Random, frames: Frames) -> None:
    """Send a message in parts; the last is not always the last."""
    at = chance.randrange(len(frames))
    count = chance.choice((1, 2, 9, 2000))
    part = chance.choice((b"", b" ", b"\xe2"))
    parts = [_frame(chance, chance.choice((1, 2)), b"{", last=False)]
    parts += [_frame(chance, 0, part, last=False)] * count
    frames[at:at] = parts + [_frame(chance, 0, b"}")] * chance.choice((0, 1, 1))


def _control(chance: Random, frames: Frames) -> None:
    at = chance.randrange(len(frames) + 1)
    data = chance.choice((b"", b"\x03", b"\x03\xe8", b"\x03\xe8bye", b"\xff" * 125))
    frames.insert(at, _frame(chance, chance.choice((8, 9, 9, 10)), data))


def _head(chance: Random, frames: Frames) -> None:
    """Change a bit of a header, of which each means something else."""
    at = chance.randrange(len(frames))
    data = bytearray(frames[at])
    data[chance.randrange(min(4, len(data)))] ^= 1 << chance.randrange(8)
    frames[at] = bytes(data)


def _huge(chance: Random, frames: Frames) -> None:
    """Promise much, or write a length in another way."""
    size = chance.choice((0, 5, 125, 126, 65535, 65536, 65537, 1 << 32, 1 << 63))
    at = chance.randrange(len(frames) + 1)
    frames.insert(at, b"\x81\xff" + struct.pack("!Q", size) + bytes(4))


WEB = (_parts, _control, _control, _head, _head, _huge)


# -- what goes wrong with bytes -------------------------------------------------------


def _flip(chance: Random, stream: bytearray) -> None:
    for _ in range(chance.choice((1, 1, 3, 20))):
        if stream:
            stream[chance.randrange(len(stream))] ^= 1 << chance.randrange(8)


def _insert(chance: Random, stream: bytearray) -> None:
    at = chance.randrange(len(stream) + 1)
    stream[at:at] = chance.randbytes(chance.choice((1, 1, 4, 100, 5000)))


def _delete(chance: Random, stream: bytearray) -> None:
    at = chance.randrange(len(stream) + 1)
    del stream[at : at + chance.choice((1, 1, 4, 50))]


def _double(chance: Random, stream: bytearray) -> None:
    at = chance.randrange(len(stream) + 1)
    stream[at:at] = stream[at : at + chance.choice((1, 4, 50, 400))]


def _truncate(chance: Random, stream: bytearray) -> None:
    del stream[chance.randrange(len(stream) + 1) :]


def _stranger(chance: Random, stream: bytearray) -> None:
    """Speak another protocol, at first or in the middle."""
    at = 0 if chance.random() < 0.8 else chance.randrange(len(stream) + 1)
    stream[at:at] = chance.choice(STRANGERS)


BYTES = (_flip, _flip, _insert, _delete, _double, _truncate, _stranger)


def _cut(chance: Random, stream: bytes) -> list[bytes]:
    """Cut *stream* into what is sent at once."""
    count = chance.choice((0, 0, 0, 1, 2, 5, 30))
    if chance.random() < 0.03:
        head = stream[:300]
        return [head[at : at + 1] for at in range(len(head))] + [stream[300:]]
    places = sorted(chance.randrange(len(stream) + 1) for _ in range(count))
    return [
        stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)
    ]


# -- what goes wrong with TLS ---------------------------------------------------------


def damager(seed: int, case: Case) -> Callable[[bytes], bytes] | None:
    """Return what is done to the records of *case* on their way, if anything is."""
    if not case.damage:
        return None
    chance = Random(f"{seed}/{case.number}/records")
    turns = chance.choice((0, 0, 1, 1, 2, 5))
    kept = b""

    def damage(records: bytes) -> bytes:
        nonlocal turns, kept
        turns -= 1
        if turns >= 0:
            return records
        data = bytearray(records)
        at = chance.randrange(len(data))
        match case.damage:
            case "flip" if turns == -1:
                data[at] ^= 1 << chance.randrange(8)
            case "drop" if turns == -1:
                return b""
            case "twice" if turns == -1:
                data *= 2
            case "cut" if turns == -1:
                del data[at : at + chance.choice((1, 2, 100))]
            case "junk" if turns == -1:
                data[at:at] = chance.randbytes(chance.choice((1, 5, 500, 20_000)))
            case "swap":
                kept, data = bytes(data), bytearray(kept)
        return bytes(data)

    return damage
