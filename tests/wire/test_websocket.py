"""WebSocket: the handshake, the reader of frames, and the dialect made of them.

An oracle of its own reads whole streams; the list of cases is in ``ws_cases.py``, and
is played over a socket in ``tests/integration/test_ws_echo.py``.
"""

from __future__ import annotations

import base64
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.core.requests import Hello, Invalid, Nothing, Say
from chatroom.wire import framing as native
from chatroom.wire import websocket
from chatroom.wire.framing import MAX_FRAME
from chatroom.wire.http import Head, HttpError, HttpRequest
from chatroom.wire.protocol import Dialect
from chatroom.wire.websocket import (
    MAX_FRAGMENTS,
    Binary,
    Close,
    Event,
    Failure,
    Fragment,
    FrameReader,
    Ping,
    Pong,
    Text,
    WebSocketProtocol,
    binary_frame,
    close_frame,
    handshake,
    pong_frame,
    text_frame,
    unmasked,
)
from tests.support.feeding import parse, pieces
from tests.support.web import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Came,
    accept_of,
    closing,
    frame,
    split,
    upgrade,
)
from tests.wire.conformance import DialectCases
from tests.wire.ws_cases import (
    CASES,
    CONTINUED,
    SIZES,
    TOO_MANY,
    Case,
    each,
    fragments,
    raw,
)

LIMIT = 1 << 18
SMALL = 2000
"""Bytes that are fed in every way."""
CHOP = 997
"""Bytes of a piece of what is larger."""


# The handshake


def shake(data: bytes) -> bytes | int:
    """Give the answer to a request, or the status of its refusal."""
    head = Head()
    head.receive_data(data)
    request = head.next_request()
    assert isinstance(request, HttpRequest)
    answer = handshake(request)
    return answer.status if isinstance(answer, HttpError) else answer


def test_the_example_of_the_rfc() -> None:
    assert shake(upgrade("/chat", sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==")) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


@given(st.binary(min_size=16, max_size=16))
def test_any_key(nonce: bytes) -> None:
    key = base64.b64encode(nonce).decode()
    answer = shake(upgrade(sec_websocket_key=key))
    assert isinstance(answer, bytes)
    assert f"Sec-WebSocket-Accept: {accept_of(key)}\r\n".encode() in answer


@pytest.mark.parametrize(
    "given",
    [
        {"connection": "keep-alive, Upgrade"},
        {"connection": "keep-alive ,\t uPGRADE ,"},
        {"upgrade": "WebSocket"},
        {"upgrade": "h2c, websocket"},
        {"sec_websocket_extensions": "permessage-deflate; client_max_window_bits"},
        {"sec_websocket_protocol": "chat, superchat"},
        {"sec_websocket_protocol": "x," * 3000},
    ],
)
def test_what_may_be_asked_with_it(given: dict[str, str]) -> None:
    answer = shake(upgrade(**given))
    assert isinstance(answer, bytes)
    assert b"Sec-WebSocket-Extensions" not in answer
    assert b"Sec-WebSocket-Protocol" not in answer


@pytest.mark.parametrize(
    ("expected", "data"),
    [
        (400, upgrade("/", "GET", "1.0")),
        (400, upgrade("/", "HEAD")),
        (426, upgrade(upgrade=None)),
        (426, upgrade(upgrade="")),
        (426, upgrade(upgrade="websockets")),
        (426, upgrade(upgrade="web socket")),
        (400, upgrade(connection=None)),
        (400, upgrade(connection="keep-alive")),
        (400, upgrade(connection="upgraded")),
        (426, upgrade(sec_websocket_version=None)),
        *((426, upgrade(sec_websocket_version=bad)) for bad in ("8", "013", "13, 8")),
        (400, upgrade(sec_websocket_key=None)),
        *(
            (400, upgrade(sec_websocket_key=bad))
            for bad in (
                "",
                "short",
                "dGhlIHNhbXBsZSBub25jZQ",
                "dGhlIHNhbXBsZSBub25jZQ=",
                "dGhlIHNhbXBsZSBub25jZQ===",
                "dGhlIHNhbXBsZSBub25j*Q==",
                "dGhlIHNhbXBsZSBub25jZTE=",
                "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
            )
        ),
    ],
)
def test_what_is_no_handshake(expected: int, data: bytes) -> None:
    assert shake(data) == expected


# The reader, by the list


def take(reader: FrameReader) -> Event | None:
    """Take the next event."""
    return reader.next_event()


def echoed(way: list[bytes]) -> bytes:
    """Do what an echo server does with what comes in those pieces."""
    reader, said = FrameReader(LIMIT), list[bytes]()
    for piece in way:
        reader.receive_data(piece)
        while (event := reader.next_event()) is not None:
            match event:
                case Text(data):
                    said.append(text_frame(data))
                case Binary(data):
                    said.append(binary_frame(data))
                case Ping(data):
                    said.append(pong_frame(data))
                case Close(code, _) | Failure(code, _):
                    said.append(close_frame(code))
    return b"".join(said)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    """However it comes: an echo of the list is the same, and is right."""
    whole = b"".join(case.sent)
    ways = [[whole], case.sent, each(whole, CHOP)]
    ways += pieces(whole) if len(whole) <= SMALL else ()
    for way in ways:
        frames, end = split(came := echoed(way), (TEXT, BINARY))
        assert end == len(came)
        close = frames.pop() if case.code is not None else None
        assert frames == case.answers
        if close is not None:
            assert close.opcode == CLOSE
            assert int.from_bytes(close.payload, "big") == case.code


# The reader, by an oracle

PREFIXES = {
    whole[:cut]
    for point in range(0, 0x110000, 64)
    if not 0xD800 <= point < 0xE000
    for whole in [chr(point).encode()]
    for cut in range(1, len(whole))
}
"""What may stand at the end of a text that is not whole."""
CODES = {*range(1000, 1015), *range(3000, 5000)} - {1004, 1005, 1006}


def may_go_on(data: bytes) -> bool:
    """Tell whether *data* begins some text in UTF-8."""
    for cut in range(4):
        tail = data[len(data) - cut :]
        if cut and tail not in PREFIXES:
            continue
        try:
            data[: len(data) - cut].decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


class Oracle:
    """Reads a whole stream with a plain loop, a byte at a time where it matters."""

    def __init__(self, data: bytes, limit: int) -> None:
        self.data = data
        self.limit = limit
        self.events: list[tuple[Any, ...]] = []
        self.kind = 0
        self.message = b""
        self.frames = 0
        while self.frame():
            pass

    def end(self, code: int) -> bool:
        """Note a failure."""
        self.events.append(("failure", code))
        return False

    def frame(self) -> bool:
        """Read a frame; tell whether there may be more."""
        data = self.data
        if len(data) < 2:
            return False
        opcode, size, at = data[0] & 15, data[1] & 127, 2
        bad = data[0] & 0x70 or data[1] < 128 or opcode not in (0, 1, 2, 8, 9, 10)
        if bad or (opcode >= 8 and (data[0] < 128 or size > 125)):
            return self.end(1002)
        if opcode < 8 and (opcode == 0) == (self.kind == 0):
            return self.end(1002)
        if size > 125:
            at, least = (4, 126) if size == 126 else (10, 65536)
            if len(data) < at:
                return False
            size = 0
            for byte in data[2:at]:
                size = size * 256 + byte
            if size < least or size >= 2**63:
                return self.end(1002)
        if opcode < 8 and len(self.message) + size > self.limit:
            return self.end(1009)
        if len(data) < at + 4:
            return False
        mask, coded = data[at : at + 4], data[at + 4 : at + 4 + size]
        self.data = data[at + 4 + size :]
        payload = bytes(byte ^ mask[n % 4] for n, byte in enumerate(coded))
        whole = len(coded) == size
        if opcode >= 8:
            return whole and self.control(opcode, payload)
        return self.part(opcode, payload, whole, last=data[0] >= 128)

    def control(self, opcode: int, payload: bytes) -> bool:
        """Judge a control frame."""
        if opcode != 8:
            self.events.append(("ping" if opcode == 9 else "pong", payload))
            return True
        code = int.from_bytes(payload[:2], "big")
        if payload and (len(payload) < 2 or code not in CODES):
            return self.end(1002)
        try:
            self.events.append(("close", code, payload[2:].decode()))
        except UnicodeDecodeError:
            return self.end(1007)
        return False

    def part(self, opcode: int, payload: bytes, whole: bool, *, last: bool) -> bool:
        """Judge a frame of a message."""
        self.kind = opcode or self.kind
        self.message += payload
        done = whole and last
        if self.kind == 1:
            try:
                good = may_go_on(self.message) if not done else self.message.decode()
            except UnicodeDecodeError:
                good = False
            if good is False:
                return self.end(1007)
        if not whole:
            return False
        self.frames += 1
        if not last:
            if self.frames == MAX_FRAGMENTS:
                return self.end(1008)
            self.events.append(("fragment",))
            return True
        self.events.append(("text" if self.kind == 1 else "binary", self.message))
        self.kind, self.message, self.frames = 0, b"", 0
        return True


def plain(event: Event) -> tuple[Any, ...]:
    """Give an event as the oracle does."""
    match event:
        case Text(data) | Binary(data) | Ping(data) | Pong(data):
            assert type(data) is bytes
            return type(event).__name__.lower(), data
        case Close(code, reason):
            return "close", code or 0, reason
        case Failure(code, reason):
            assert reason.isprintable() and len(reason) < 100
            return "failure", code
        case Fragment():
            return ("fragment",)


def check(data: bytes, limit: int) -> None:
    """See that the reader and the oracle agree, however *data* comes."""
    expected = Oracle(data, limit).events
    for way in pieces(data):
        reader, events = FrameReader(limit), list[tuple[Any, ...]]()
        for piece in way:
            reader.receive_data(piece)
            while (event := reader.next_event()) is not None:
                events.append(plain(event))
                assert reader.last_size >= 2
        assert events == expected


masks = st.sampled_from([bytes(4), b"\xff" * 4]) | st.binary(min_size=4, max_size=4)
payloads = (
    st.binary(max_size=12)
    | st.text(max_size=6).map(str.encode)
    | st.sampled_from(
        ["é中😀".encode(), b"\xed\xa0", b"\x03\xe8ok", b"\x03", b"x" * 130]
    )
)
begin = st.sampled_from([0x81, 0x01, 0x82, 0x02, 0x89, 0x8A])
go_on = st.sampled_from([0x80, 0x00, 0x00, 0x89, 0x8A])
wrong = st.sampled_from([0x80, 0x01, 0x81, 0x83, 0x88, 0x09, 0xC1])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Mostly good frames, in orders that may be wrong."""
    data, under_way = b"", False
    for _ in range(draw(st.integers(0, 10))):
        good = go_on if under_way else begin
        first = draw(good if draw(st.integers(0, 9)) else wrong)
        payload, mask = draw(payloads), draw(masks)
        if first & 15 < 3:
            under_way = first < 0x80
        size = len(payload)
        length = bytes([0x80 | size])
        if size > 125:
            length = b"\xfe" + size.to_bytes(2, "big")
        coded = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
        data += bytes([first]) + length + mask + coded
    return data


@given(streams(), st.sampled_from([0, 5, 20, LIMIT]))
def test_streams(data: bytes, limit: int) -> None:
    check(data, limit)


@given(streams().filter(bool), st.data())
def test_streams_with_a_byte_that_is_another(data: bytes, draw: st.DataObject) -> None:
    changed = bytearray(data)
    at = draw.draw(st.integers(0, len(data) - 1))
    changed[at] = draw.draw(st.integers(0, 255))
    check(bytes(changed), 150)
    check(data[:at], 150)


@given(st.binary(max_size=80))
def test_random_bytes(data: bytes) -> None:
    check(data, LIMIT)


def test_a_mask_is_never_taken_for_a_length() -> None:
    """It would be one of 126, with a text behind it that is UTF-8 up to its end."""
    first = frame(TEXT, b"x\x13" + b"a" * 123, mask=b"\0\x7e\0\0")
    check(first + frame(TEXT, b"hello", mask=b"\x80\0\0\0"), LIMIT)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG])
@pytest.mark.parametrize("last", [True, False])
def test_a_frame_within_a_frame_is_none(opcode: int, last: bool) -> None:
    """Also where it is whole, and what it stands in has not come to its end."""
    within = frame(TEXT, b"hello", mask=bytes(4)) + b"x" * 9
    check(frame(opcode, within, last=last, mask=bytes(4)), LIMIT)
    check(frame(opcode, within, last=last, mask=bytes(4)) + frame(PING), LIMIT)


def test_every_pair_of_first_bytes() -> None:
    for first in range(256):
        for second in range(256):
            data = bytes([first, second]) + b"\0\xff" * 3
            for begun in (b"", frame(TEXT, b"a", last=False)):
                expected = Oracle(begun + data, 200).events
                reader = FrameReader(200)
                reader.receive_data(begun + data)
                events = []
                while (event := reader.next_event()) is not None:
                    events.append(plain(event))
                assert events == expected, (first, second, begun)


def test_every_code() -> None:
    for code in range(65536):
        reader = FrameReader(LIMIT)
        reader.receive_data(data := frame(CLOSE, code.to_bytes(2, "big") + b"x"))
        event = reader.next_event()
        assert event is not None
        assert [plain(event)] == Oracle(data, LIMIT).events


# The reader's limits


def test_the_numbers_of_the_rfc_and_ours() -> None:
    assert MAX_FRAGMENTS == 1024
    assert [
        websocket.NORMAL,
        websocket.GOING_AWAY,
        websocket.PROTOCOL_ERROR,
        websocket.UNSUPPORTED,
        websocket.NOT_UTF8,
        websocket.POLICY,
        websocket.TOO_BIG,
    ] == [1000, 1001, 1002, 1003, 1007, 1008, 1009]


@pytest.mark.parametrize("limit", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_size_is_judged_from_the_header(limit: int, opcode: int) -> None:
    reader = FrameReader(limit)
    reader.receive_data(frame(opcode, b"x" * limit))
    assert plain(reader.next_event() or Fragment())[1] == b"x" * limit
    over = frame(opcode, b"x" * (limit + 1))
    reader.receive_data(over[: len(over) - (limit + 1) - 4])
    event = reader.next_event()
    assert isinstance(event, Failure)
    assert event.code == 1009
    assert str(limit) in event.reason


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_parts_count_together(opcode: int) -> None:
    reader = FrameReader(10)
    reader.receive_data(frame(opcode, b"x" * 6, last=False))
    reader.receive_data(frame(PING, b"y" * 100) + frame(CONTINUED, b"x" * 4))
    assert [plain(event) for event in map(take, [reader] * 3) if event] == [
        ("fragment",),
        ("ping", b"y" * 100),
        ("text" if opcode == TEXT else "binary", b"x" * 10),
    ]
    reader.receive_data(frame(opcode, b"x" * 6, last=False))
    assert reader.next_event() == Fragment()
    reader.receive_data(frame(CONTINUED, b"x" * 5)[:2])
    event = reader.next_event()
    assert isinstance(event, Failure)
    assert event.code == 1009


def test_what_a_header_promises_is_not_allocated() -> None:
    for limit in (16 << 20, 1 << 50):
        reader = FrameReader(limit)
        tracemalloc.start()
        try:
            for byte in raw(0x82, 127, (1 << 40).to_bytes(8, "big"), b"x"):
                reader.receive_data(bytes([byte]))
                reader.next_event()
            assert tracemalloc.get_traced_memory()[1] < 8192
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("part", [b"", b"x"])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_as_many_parts_as_there_may_be(part: bytes, opcode: int) -> None:
    reader = FrameReader(LIMIT)
    parts = fragments(opcode, [part] * MAX_FRAGMENTS)
    reader.receive_data(b"".join(parts * 2))
    for _ in range(2):
        assert all(take(reader) == Fragment() for _ in range(MAX_FRAGMENTS - 1))
        assert plain(reader.next_event() or Fragment())[1] == part * MAX_FRAGMENTS
    assert reader.next_event() is None
    reader.receive_data(b"".join(parts[:-1]) + frame(CONTINUED, part, last=False))
    assert all(take(reader) == Fragment() for _ in range(MAX_FRAGMENTS - 1))
    event = reader.next_event()
    assert isinstance(event, Failure)
    assert event.code == 1008


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_frames_between_parts_are_counted_with_them(opcode: int) -> None:
    reader = FrameReader(LIMIT)
    between = frame(opcode) * (MAX_FRAGMENTS - 2)
    whole = frame(TEXT, b"a", last=False) + between + frame(CONTINUED, b"b")
    reader.receive_data(frame(opcode) * MAX_FRAGMENTS + whole * 2)
    events = list(iter(reader.next_event, None))
    assert events.count(Text(b"ab")) == 2
    # Else a message would never have to end for one who pings without a pause.
    reader.receive_data(frame(TEXT, last=False) + between)
    assert not any(isinstance(e, Failure) for e in iter(reader.next_event, None))
    reader.receive_data(frame(opcode))
    event = reader.next_event()
    assert isinstance(event, Failure)
    assert event.code == 1008


def test_endless_parts_are_not_held() -> None:
    reader = FrameReader(LIMIT)
    tracemalloc.start()
    try:
        reader.receive_data(frame(TEXT, last=False))
        part = frame(CONTINUED, b"x", last=False)
        for _ in range(TOO_MANY):
            reader.receive_data(part)
            reader.next_event()
        assert tracemalloc.get_traced_memory()[1] < 16384
        assert len(reader) == 0
    finally:
        tracemalloc.stop()


def test_the_limit_may_change_between_two_messages() -> None:
    reader = FrameReader(5)
    reader.receive_data(frame(TEXT, b"12345") + frame(TEXT, b"123456"))
    assert reader.next_event() == Text(b"12345")
    reader.limit = 6
    assert reader.next_event() == Text(b"123456")


@pytest.mark.parametrize(
    "end", [closing(), frame(CLOSE), b"\xff\xff", frame(TEXT, masked=False)]
)
def test_after_the_end_nothing_is_read(end: bytes) -> None:
    reader = FrameReader(LIMIT)
    reader.receive_data(frame(TEXT, b"a", last=False) + end + frame(PING) * 3)
    assert reader.next_event() == Fragment()
    assert isinstance(reader.next_event(), Close | Failure)
    for _ in range(3):
        assert reader.next_event() is None
        reader.receive_data(frame(PING) * 100)
        assert len(reader) == 0


def test_what_comes_is_counted() -> None:
    reader = FrameReader(LIMIT)
    for data in (frame(PING, b"ab"), frame(TEXT, b"c" * 300), frame(PONG)):
        reader.receive_data(data)
        assert len(reader) == len(data)
        reader.next_event()
        assert (len(reader), reader.last_size) == (0, len(data))
    first = frame(TEXT, last=False)
    reader.receive_data(first)
    reader.next_event()
    assert reader.last_size == len(first)
    assert len(reader) > 0


class Meter:
    """Bytes that were unmasked, and calls of it."""

    def __init__(self, call: Callable[..., bytes]) -> None:
        self.call = call
        self.bytes = 0

    def __call__(self, data: bytes, mask: bytes, offset: int = 0) -> bytes:
        """Unmask, and count."""
        self.bytes += len(data)
        return self.call(data, mask, offset)


@pytest.mark.parametrize("step", [1, 3, 100, 65536])
def test_each_byte_is_unmasked_once(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter(unmasked)
    monkeypatch.setattr(websocket, "unmasked", meter)
    size = 20_000
    data = frame(TEXT, b"x" * size) + frame(PING, b"y" * 125) * 10
    data += b"".join(fragments(BINARY, each(b"z" * size, 700)))
    reader, messages_ = FrameReader(LIMIT), 0
    for at in range(0, len(data), step):
        reader.receive_data(data[at : at + step])
        while (event := reader.next_event()) is not None:
            messages_ += isinstance(event, Text | Binary)
    assert meter.bytes == 2 * size + 1250
    assert messages_ == 2


def test_a_reader_copies_no_more_than_it_has_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits is a header or a control frame: never what came before it."""
    most = 0
    data = frame(TEXT, b"x" * 50_000) + frame(PING, b"y" * 125)
    reader = FrameReader(LIMIT)
    for at in range(0, len(data), 7):
        reader.receive_data(data[at : at + 7])
        while reader.next_event() is not None:
            pass
        most = max(most, len(reader._data) - reader._position)
    assert most <= 14 + 125


@given(st.binary(max_size=70), masks, st.integers(0, 9))
def test_unmasking(data: bytes, mask: bytes, offset: int) -> None:
    expected = bytes(byte ^ mask[(offset + n) % 4] for n, byte in enumerate(data))
    assert unmasked(data, mask, offset) == expected
    assert unmasked(bytearray(data), mask, offset) == expected


# Frames out


@pytest.mark.parametrize("size", [*SIZES, 1 << 17])
def test_frames_out_are_whole_and_short(size: int) -> None:
    payload = b"x" * size
    for opcode, make in ((TEXT, text_frame), (BINARY, binary_frame)):
        data = make(payload)
        assert split(data, (TEXT, BINARY)) == ([Came(opcode, payload)], len(data))
        assert data == frame(opcode, payload, masked=False)


def test_what_is_said_at_the_end() -> None:
    assert close_frame() == b"\x88\x00"
    assert close_frame(1000) == b"\x88\x02\x03\xe8"
    assert close_frame(1002, "no") == b"\x88\x04\x03\xeano"
    assert pong_frame(b"ab") == b"\x8a\x02ab"
    for reason in ("x" * 123, "x" * 124, "é" * 100, "x" + "é" * 100, "😀" * 99):
        (came,), _ = split(close_frame(1000, reason))
        told = came.payload[2:].decode()
        assert reason.startswith(told)
        assert len(told.encode()) > 119


# The dialect


class TestWebSocket(DialectCases):
    """The cases of all, and what only it has."""

    TRAILING = b"\x81\xfe\x01"
    EXTRAS = (
        frame(PING, b"a"),
        frame(PONG, b"b" * 125),
        b"".join(fragments(TEXT, [b'{"type":', b"", b'"ping"}'])),
        frame(TEXT, b'{"type":', last=False),
        frame(CONTINUED, b'"ping"}'),
        closing(3001, "bye"),
    )
    BROKEN = (
        frame(TEXT, b"{}", masked=False),
        frame(TEXT, b"{}", flags=0x40),
        frame(3),
        frame(CONTINUED),
        frame(PING, last=False),
        frame(TEXT, b"\xff"),
        frame(BINARY, b"{}"),
        frame(CLOSE, b"\x03"),
        raw(0x81, 126, b"\0\x05", b"hello"),
        frame(TEXT, b"x" * (MAX_FRAME + 1)),
    )

    def make(self) -> Dialect:
        return WebSocketProtocol()

    def wrap(self, payload: bytes) -> bytes:
        return frame(TEXT, payload)

    def announce(self, size: int) -> bytes:
        if size < 65536:
            return b"\x81\xfe" + size.to_bytes(2, "big")
        return b"\x81\xff" + size.to_bytes(8, "big")

    def unwrap(self, data: bytes) -> list[bytes]:
        frames, end = split(data)
        assert end == len(data)
        return [came.payload for came in frames if came.opcode == TEXT]

    def code(self, data: bytes) -> int:
        """Give the code of a close, which is all that *data* is."""
        (came,), end = split(data)
        assert (came.opcode, end) == (CLOSE, len(data))
        return int.from_bytes(came.payload[:2], "big")

    def test_what_asks_for_nothing_is_nothing(self) -> None:
        data = (
            frame(PING, b"a")
            + frame(PONG, b"b")
            + frame(TEXT, b'{"type":"say",', last=False)
            + frame(CONTINUED, b'"text":"', last=False)
            + frame(PING)
            + frame(CONTINUED, b'hi"}')
            + closing()
        )
        got = parse(self.make, lambda one: one.next_message(), data, trailing=b"")
        assert got == [Nothing()] * 5 + [Say("hi"), Nothing()]

    def test_each_frame_costs_what_it_is(self) -> None:
        dialect = self.make()
        for data in (frame(PING, b"a"), frame(PONG), frame(TEXT, b"{", last=False)):
            dialect.receive_data(data)
            assert dialect.next_message() == Nothing()
            assert dialect.last_size == len(data)

    def test_pings_are_answered_in_their_order(self) -> None:
        dialect = self.make()
        dialect.receive_data(frame(PING, b"a") + frame(PONG) + frame(PING, b"b" * 125))
        assert [dialect.next_message() for _ in range(4)] == [Nothing()] * 3 + [None]
        said = dialect.data_to_send()
        assert split(said)[0] == [Came(PONG, b"a"), Came(PONG, b"b" * 125)]
        assert dialect.data_to_send() == b""

    @pytest.mark.parametrize(
        ("close", "code"), [(closing(3001, "bye"), 3001), (frame(CLOSE), 0)]
    )
    def test_a_close_is_answered_with_itself(self, close: bytes, code: int) -> None:
        dialect = self.welcomed()
        dialect.receive_data(self.pack_json(type="say", text="hi") + close)
        assert dialect.next_message() == Say("hi")
        before = dialect.ended
        assert dialect.next_message() == Nothing()
        assert (before, dialect.ended) == (False, True)
        assert self.code(dialect.data_to_send()) == code
        assert dialect.goodbye(1000) == b""
        dialect.receive_data(frame(PING))
        assert (len(dialect), dialect.next_message()) == (0, None)
        assert dialect.data_to_send() == b""

    @pytest.mark.parametrize("code", [1000, 1001, 1008, 1013])
    def test_goodbye_tells_why(self, code: int) -> None:
        dialect = self.make()
        assert self.code(dialect.goodbye(code)) == code

    def test_behind_its_goodbye_it_says_nothing(self) -> None:
        dialect = self.make()
        dialect.goodbye(1001)
        dialect.receive_data(frame(PING) + closing(1001))
        assert dialect.next_message() == Nothing()
        assert dialect.next_message() == Nothing()
        assert dialect.ended
        assert dialect.data_to_send() == b""

    @pytest.mark.parametrize(
        ("code", "broken"),
        [
            (1002, frame(TEXT, b"{}", masked=False)),
            (1002, frame(CLOSE, b"\x03")),
            (1003, frame(BINARY, b"{}")),
            (1003, frame(BINARY)),
            (1007, frame(TEXT, b"\xff")),
            (1007, frame(CLOSE, b"\x03\xe8\xff")),
            (1008, frame(TEXT, last=False) + frame(CONTINUED, last=False) * 1023),
            (1009, frame(TEXT, b"x" * (MAX_FRAME + 1))),
        ],
    )
    def test_the_code_of_a_failure_wins(self, code: int, broken: bytes) -> None:
        dialect = self.welcomed()
        dialect.receive_data(broken)
        while (found := dialect.next_message()) == Nothing():
            pass
        assert isinstance(found, Invalid)
        assert found.code == "bad-frame"
        assert not dialect.ended
        assert dialect.data_to_send() == b""
        assert self.code(dialect.goodbye(1008)) == code
        assert dialect.goodbye(1008) == b""

    def test_one_object_is_one_text(self) -> None:
        dialect = self.welcomed()
        dialect.receive_data(frame(TEXT, b'{"type":"ping"}' * 2) + frame(TEXT))
        for _ in range(2):
            found = dialect.next_message()
            assert isinstance(found, Invalid)
            assert found.code == "malformed"

    def test_a_hello_in_parts_is_bounded_together(self) -> None:
        dialect = self.make()
        hello = b'{"type":"hello","version":1,"x":"' + b"x" * 4000
        dialect.receive_data(b"".join(fragments(TEXT, [hello, b'"}'])))
        assert dialect.next_message() == Nothing()
        assert dialect.next_message() == Hello(1)
        dialect = self.make()
        dialect.receive_data(b"".join(fragments(TEXT, [hello, b"x" * 100 + b'"}'])))
        assert dialect.next_message() == Nothing()
        assert isinstance(dialect.next_message(), Invalid)
        assert self.code(dialect.goodbye(1000)) == 1009

    def test_a_chunk_is_the_frames_of_its_payloads(self) -> None:
        payloads = [b"x" * size for size in SIZES if size]
        chunk = self.make().pack([native.frame(payload) for payload in payloads])
        assert chunk == b"".join(map(text_frame, payloads))

    def test_many_pings_at_once(self) -> None:
        """As many as a read holds; what is said is gathered without copying it."""
        dialect = self.welcomed()
        pings = 10_000
        dialect.receive_data(frame(PING, b"x") * pings)
        while dialect.next_message() is not None:
            pass
        assert dialect.data_to_send() == pong_frame(b"x") * pings
