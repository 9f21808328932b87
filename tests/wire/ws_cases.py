"""What a WebSocket that echoes has to answer, case by case, written from RFC 6455.

The names are those of the sections of the public list that everybody runs (1 to 7, and
10), as far as they have one there; ``x`` is what that list does not ask.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.support.web import BINARY, CLOSE, PING, PONG, TEXT, Came, closing, frame

CONTINUED = 0
SIZES = (0, 125, 126, 127, 128, 65535, 65536)
MANY = 1000
TOO_MANY = 100_000
ODD = bytes.fromhex("00fffefdfcfb00ff")


class Case(NamedTuple):
    """What a client sends, and what comes back."""

    name: str
    sent: list[bytes]
    """Frame by frame; the last may be cut."""
    answers: list[Came]
    """But for a close."""
    code: int | None
    """Of the close that comes: 0 for one without a code, ``None`` for none at all."""


class Cases(list[Case]):
    """The list, while it is written."""

    def fine(self, name: str, sent: list[bytes], *answers: tuple[int, bytes]) -> None:
        """Add one that ends as the client wants."""
        self.append(Case(name, sent, [Came(*one) for one in answers], None))

    def ends(
        self, name: str, code: int, sent: list[bytes], *answers: tuple[int, bytes]
    ) -> None:
        """Add one that the server closes, by itself or as an answer."""
        self.append(Case(name, sent, [Came(*one) for one in answers], code))


def fragments(opcode: int, parts: list[bytes]) -> list[bytes]:
    """Give a message in those parts, one frame each."""
    last = len(parts) - 1
    return [
        frame(CONTINUED if at else opcode, part, last=at == last)
        for at, part in enumerate(parts)
    ]


def each(data: bytes, size: int = 1) -> list[bytes]:
    """Cut *data* into parts of *size* bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def raw(first: int, size: int, length: bytes = b"", payload: bytes = b"") -> bytes:
    """Give a frame whose *size* and *length* are as given; its mask is nought."""
    return bytes([first, 0x80 | size]) + length + bytes(4) + payload


CASES = Cases()
A, B = frame(TEXT, b"hello"), (TEXT, b"hello")

# 1: lengths.
for opcode, letter in ((TEXT, b"*"), (BINARY, b"\xfe")):
    for size in SIZES:
        payload = letter * size
        CASES.fine(f"1.{opcode} {size}", [frame(opcode, payload)], (opcode, payload))
    both = [(opcode, b"a" * 200), (opcode, b"b")]
    CASES.fine(f"1.{opcode} two", [frame(*one) for one in both], *both)

# 2: pings and pongs.
for payload in (b"", b"Hello, world!", ODD, b"\xfe" * 125):
    CASES.fine(f"2 ping {len(payload)}", [frame(PING, payload)], (PONG, payload))
    CASES.fine(f"2 pong {len(payload)}", [frame(PONG, payload)])
for opcode in (PING, PONG):
    CASES.ends(f"2 {opcode} of 126", 1002, [frame(opcode, b"\xfe" * 126)])
    CASES.ends(f"2 {opcode} of 65536", 1002, [frame(opcode, b"\xfe" * 65536)])
CASES.fine("2 pong, ping", [frame(PONG, b"a"), frame(PING, b"b")], (PONG, b"b"))
tens = [b"payload-%d" % n for n in range(10)]
CASES.fine("2 ten", [frame(PING, one) for one in tens], *[(PONG, one) for one in tens])

# 3: reserved bits.
for flags in range(0x10, 0x80, 0x10):
    for opcode in (CONTINUED, TEXT, BINARY, CLOSE, PING, PONG):
        bad = frame(opcode, b"hello", flags=flags)
        CASES.ends(f"3 {flags:#x} {opcode}", 1002, [A, bad, frame(PING)], B)

# 4: opcodes that mean nothing.
for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    for payload in (b"", b"x", b"x" * 126):
        bad = frame(opcode, payload)
        CASES.ends(f"4 {opcode} {len(payload)}", 1002, [A, bad, frame(PING)], B)
    CASES.ends(f"4 {opcode} in part", 1002, [frame(opcode, b"x", last=False)])

# 5: fragments.
for opcode in (PING, PONG, CLOSE):
    for parts in ([b"", b""], [b"ab", b"cd"]):
        CASES.ends(f"5 {opcode} in parts", 1002, fragments(opcode, parts))
for opcode in (TEXT, BINARY):
    two = fragments(opcode, [b"frag-1", b"frag-2"])
    answer = (opcode, b"frag-1frag-2")
    CASES.fine(f"5 {opcode} two parts", two, answer)
    CASES.fine(
        f"5 {opcode} ping between",
        [two[0], frame(PING, b"p"), two[1]],
        (PONG, b"p"),
        answer,
    )
    CASES.fine(f"5 {opcode} pong between", [two[0], frame(PONG, b"p"), two[1]], answer)
    CASES.fine(f"5 {opcode} twice", two * 2, answer, answer)
    CASES.ends(f"5 {opcode} close between", 1000, [two[0], closing(), two[1]])
    CASES.ends(f"5 {opcode} begun twice", 1002, [two[0], frame(opcode, b"frag-2")])
    CASES.ends(f"5 {opcode} begun twice in part", 1002, [two[0], two[0], two[1]])
for last in (True, False):
    orphan = frame(CONTINUED, b"orphan", last=last)
    CASES.ends(f"5 orphan {last}", 1002, [orphan, A])
    CASES.ends(f"5 orphan {last} of nothing", 1002, [frame(CONTINUED, last=last)])
    CASES.ends(
        f"5 orphan {last} behind a whole one",
        1002,
        [*fragments(TEXT, [b"a", b"b"]), orphan, A],
        (TEXT, b"ab"),
    )
five = fragments(TEXT, [b"%d" % n for n in range(5)])
pings = [frame(PING, b"one"), frame(PING, b"two")]
CASES.fine(
    "5 pings between",
    [*five[:2], pings[0], *five[2:4], pings[1], five[4]],
    (PONG, b"one"),
    (PONG, b"two"),
    (TEXT, b"01234"),
)

# 6: texts that are UTF-8, and not.
CASES.fine("6 empty parts", fragments(TEXT, [b""] * 3), (TEXT, b""))
CASES.fine("6 empty ends", fragments(TEXT, [b"", b"middle", b""]), (TEXT, b"middle"))
GOOD = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    # The first and the last of each length, and the edges of what is no character.
    *"\0\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffd\U00010000\U0010ffff",
    # They are no characters, but may be sent.
    *(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF)),
    "\ufdd0\ufdef",
    "\ufeff",
]
for text in GOOD:
    data = text.encode()
    answer = (TEXT, data)
    CASES.fine(f"6 good {data.hex()}", [frame(TEXT, data)], answer)
    CASES.fine(f"6 good {data.hex()} in bytes", fragments(TEXT, each(data)), answer)
    for cut in range(1, len(data)):
        parts = [data[:cut], b"", data[cut:]]
        CASES.fine(f"6 good {data.hex()} at {cut}", fragments(TEXT, parts), answer)
KOSME = "κόσμε".encode()
BAD = [
    # What has to go on does not begin; what goes on was not begun.
    *(b"\x80" * count for count in range(1, 8)),
    b"\xbf",
    bytes(range(0x80, 0xC0)),
    *(b"%c " % first for first in range(0xC0, 0x100)),
    # One byte too few.
    *(text.encode()[:-1] + b" " for text in "\x80\u0800\U00010000"),
    b"\xdf\xef\xbf\xf7\xbf\xbf",
    # Bytes that never are.
    *(b"%c\x80\x80\x80" % first for first in (0xC0, 0xC1, *range(0xF5, 0x100))),
    # Longer than it needs to be.
    *map(bytes.fromhex, "c0af e080af f08080af f8808080af fc80808080af".split()),
    *map(bytes.fromhex, "c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf".split()),
    *map(bytes.fromhex, "c080 e08080 f0808080 f880808080 fc8080808080".split()),
    # Halves of characters of UTF-16, alone and in pairs.
    *map(bytes.fromhex, "eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf".split()),
    *map(bytes.fromhex, "eda080edb080 edadbfedbfbf edafbfedb080".split()),
    # Beyond the last.
    *map(bytes.fromhex, "f4908080 f5808080 f7bfbfbf f888808080 fdbfbfbfbfbf".split()),
]
for bad in BAD:
    for data in (bad, KOSME + bad + b"edited"):
        CASES.ends(f"6 bad {data.hex()}", 1007, [frame(TEXT, data), A])
        CASES.ends(f"6 bad {data.hex()} in bytes", 1007, fragments(TEXT, each(data)))
        CASES.ends(f"6 bad {data.hex()} in twos", 1007, fragments(TEXT, each(data, 2)))
for text in "\x80\u0800\U00010000":
    for cut in range(1, len(text.encode())):
        data = KOSME + text.encode()[:cut]
        CASES.ends(f"6 cut {data.hex()}", 1007, [frame(TEXT, data), A])
        CASES.ends(f"6 cut {data.hex()} in bytes", 1007, fragments(TEXT, each(data)))
        parts = fragments(TEXT, [data, b""])
        CASES.ends(f"6 cut {data.hex()} and an empty part", 1007, parts)
for bad in map(bytes.fromhex, "ff c0 80 eda0 edbf f490 e080 f080 f5".split()):
    # It is known before the frame, or the message, has come to its end.
    CASES.ends(f"6 early {bad.hex()}", 1007, [frame(TEXT, KOSME + bad, last=False)])
    long = frame(TEXT, KOSME + bad + b"x" * 1000)
    CASES.ends(f"6 early {bad.hex()} in a frame", 1007, [long[:-1000]])
    parts = fragments(TEXT, [KOSME, bad, b"edited"])
    CASES.ends(f"6 early {bad.hex()} in parts", 1007, parts[:2])
    binary = [frame(BINARY, bad)]
    CASES.fine(f"6 early {bad.hex()} is fine in binary", binary, (BINARY, bad))

# 7: closing.
CASES.ends("7 text, close", 1000, [A, closing()], B)
CASES.ends("7 two closes", 1000, [closing(), closing(1001)])
CASES.ends("7 close, ping", 1000, [closing(), frame(PING, b"late")])
CASES.ends("7 close, text", 1000, [closing(), A])
CASES.ends("7 close, nonsense", 1000, [closing(), b"\xff" * 99])
CASES.ends("7 fragment, close", 1000, [frame(TEXT, b"a", last=False), closing(), A])
CASES.ends(
    "7 large text, close, ping",
    1000,
    [frame(TEXT, b"*" * (1 << 18)), A, closing(), frame(PING)],
    (TEXT, b"*" * (1 << 18)),
    B,
)
CASES.ends("7 without a code", 0, [frame(CLOSE)])
for reason in ("", "Hello World!", "*" * 123, "é" * 61, "κ"):
    CASES.ends(f"7 reason {len(reason)}", 1000, [closing(1000, reason)])
CASES.ends("7 reason of 124", 1002, [closing(1000, "*" * 124)])
for bad in map(bytes.fromhex, "ff eda080 ce f4908080".split()):
    told = frame(CLOSE, b"\x03\xe8" + bad)
    CASES.ends(f"7 reason {bad.hex()}", 1007, [told])
for code in (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999):
    CASES.ends(f"7 code {code}", code, [closing(code)])
    CASES.ends(f"7 code {code} and why", code, [closing(code, "because")])
for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
    CASES.ends(f"7 code {code}", 1002, [closing(code)])
    CASES.ends(f"7 code {code} and why", 1002, [closing(code, "because")])

# 10: a message in frames of another size.
for opcode in (TEXT, BINARY):
    parts = fragments(opcode, each(b"*" * 65536, 1300))
    CASES.fine(f"10 {opcode}", parts, (opcode, b"*" * 65536))

# What is not asked there.
CASES.ends("x close of one byte", 1002, [frame(CLOSE, b"\x03")])
CASES.ends("x close of 126", 1002, [frame(CLOSE, b"\x03\xe8" + b"x" * 124)])
for opcode in (CONTINUED, TEXT, BINARY, CLOSE, PING, PONG):
    CASES.ends(f"x {opcode} without a mask", 1002, [A, frame(opcode, masked=False)], B)
for opcode in (TEXT, BINARY):
    for size in (0, 1, 125):
        short = raw(0x80 | opcode, 126, size.to_bytes(2, "big"), b"x" * size)
        CASES.ends(f"x {opcode} {size} in two bytes", 1002, [short])
    for size in (0, 125, 126, 65535):
        short = raw(0x80 | opcode, 127, size.to_bytes(8, "big"), b"x" * size)
        CASES.ends(f"x {opcode} {size} in eight bytes", 1002, [short])
    for length in (1 << 63, (1 << 63) + 5, (1 << 64) - 1):
        huge = raw(0x80 | opcode, 127, length.to_bytes(8, "big"))
        CASES.ends(f"x {opcode} {length:#x}", 1002, [huge])
    for length in (1 << 40, (1 << 63) - 1):
        huge = raw(0x80 | opcode, 127, length.to_bytes(8, "big"))
        # Before its mask has come.
        CASES.ends(f"x {opcode} {length:#x}", 1009, [huge[:10]])
    for parts in ([b""] * MANY, [b"x"] * MANY):
        whole = b"".join(parts)
        name = f"x {opcode} {MANY} parts of {len(parts[0])}"
        CASES.fine(name, fragments(opcode, parts), (opcode, whole))
    for part in (b"", b"x"):
        # Each with the same mask, so that they are soon made.
        rest = [frame(CONTINUED, part, last=False)] * (TOO_MANY - 2)
        first, end = frame(opcode, part, last=False), frame(CONTINUED, part)
        name = f"x {opcode} {TOO_MANY} parts of {len(part)}"
        CASES.ends(name, 1008, [first, *rest, end])
