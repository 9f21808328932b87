"""Frames cut out of a stream, however it comes, and what is decided from a header."""

import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.wire import framing
from chatroom.wire.framing import (
    HEADER_SIZE,
    MAX_FRAME,
    MAX_HELLO_FRAME,
    BadFrame,
    FrameBuffer,
    frame,
)
from tests.support.feeding import parse, pieces

PING = bytes.fromhex("0000000f7b2274797065223a2270696e67227d")


def take(buffer: FrameBuffer) -> bytes | None:
    """Take the next payload, as bytes."""
    payload = buffer.next_frame()
    return None if payload is None else bytes(payload)


def header(length: int) -> bytes:
    """Announce a frame of that length."""
    return length.to_bytes(4, "big")


def test_the_example_of_the_protocol() -> None:
    assert frame(b'{"type":"ping"}') == PING
    assert parse(FrameBuffer, take, PING) == [b'{"type":"ping"}']
    assert (MAX_FRAME, MAX_HELLO_FRAME, HEADER_SIZE) == (65536, 4096, 4)


@pytest.mark.parametrize(
    "sizes", [[1], [1, 1, 1], [5, 300, 1, 0x100, 7], [255, 256, 257], [2000]]
)
def test_frames_come_out_however_they_come_in(sizes: list[int]) -> None:
    payloads = [bytes([size % 251]) * size for size in sizes]
    data = b"".join(map(frame, payloads))
    assert parse(FrameBuffer, take, data) == payloads
    assert parse(FrameBuffer, take, data, trailing=header(9) + b"12345678") == payloads


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8))
def test_any_frames(payloads: list[bytes]) -> None:
    assert parse(FrameBuffer, take, b"".join(map(frame, payloads))) == payloads


@pytest.mark.parametrize("size", [MAX_FRAME - 1, MAX_FRAME])
def test_the_largest_frames(size: int) -> None:
    payload = random.Random(size).randbytes(size)
    chance = random.Random(1)
    for data in (frame(payload), frame(b"x") + frame(payload) + frame(b"y")):
        buffer, got, at = FrameBuffer(), list[bytes](), 0
        while at < len(data):
            step = chance.choice([1, 2, 1000, 60_000])
            buffer.receive_data(data[at : at + step])
            at += step
            while (one := take(buffer)) is not None:
                got.append(one)
        assert payload in got
        assert b"".join(map(frame, got)) == data


def test_nothing_comes_before_the_last_byte() -> None:
    buffer = FrameBuffer()
    for count, byte in enumerate(PING, 1):
        assert buffer.next_frame() is None
        buffer.receive_data(bytes([byte]))
        assert len(buffer) == count
    assert take(buffer) == PING[4:]
    assert len(buffer) == 0
    assert buffer.next_frame() is None


@pytest.mark.parametrize("limit", [1, 100, MAX_HELLO_FRAME, MAX_FRAME])
def test_a_length_is_judged_from_the_header_alone(limit: int) -> None:
    for length in (0, limit + 1, 2**31 - 1, 2**31, 0xFFFFFFFF):
        for way in pieces(header(length)):
            buffer = FrameBuffer()
            for piece in way[:-1]:
                buffer.receive_data(piece)
                assert buffer.next_frame(limit) is None
            buffer.receive_data(way[-1])
            with pytest.raises(BadFrame) as caught:
                buffer.next_frame(limit)
            assert str(caught.value).isprintable()
            if length:
                assert str(length) in str(caught.value)
                assert str(limit) in str(caught.value)
    for length in (1, limit):
        buffer = FrameBuffer()
        buffer.receive_data(header(length))
        assert buffer.next_frame(limit) is None


def test_what_a_header_promises_is_not_allocated() -> None:
    buffer = FrameBuffer()
    tracemalloc.start()
    try:
        for byte in header(MAX_FRAME) + b"{":
            buffer.receive_data(bytes([byte]))
            buffer.next_frame()
        assert tracemalloc.get_traced_memory()[1] < 8192
    finally:
        tracemalloc.stop()


def test_the_limit_is_asked_at_each_frames_turn() -> None:
    buffer = FrameBuffer()
    large = b"x" * 5000
    buffer.receive_data(frame(b"hello") + frame(large) + frame(large))
    assert buffer.next_frame(MAX_HELLO_FRAME) == b"hello"
    assert buffer.next_frame(MAX_FRAME) == large
    with pytest.raises(BadFrame):
        buffer.next_frame(MAX_HELLO_FRAME)
    assert buffer.next_frame(MAX_FRAME) == large


def test_a_bad_length_behind_good_frames_waits_for_its_turn() -> None:
    buffer = FrameBuffer()
    buffer.receive_data(frame(b"a") + frame(b"b") + header(0))
    assert [take(buffer), take(buffer)] == [b"a", b"b"]
    with pytest.raises(BadFrame):
        buffer.next_frame()


def test_clearing_drops_what_is_held() -> None:
    buffer = FrameBuffer()
    for data in (header(0), PING[:7], PING + PING[:3], PING * 3):
        buffer.receive_data(data)
        buffer.clear()
        assert len(buffer) == 0
        assert buffer.next_frame() is None
    buffer.receive_data(PING)
    assert take(buffer) == PING[4:]


class Meter:
    """Bytes that were moved."""

    moved = 0


def counting(base: Any) -> Any:
    """Make *base* (bytes or bytearray) count in ``Meter`` what it copies."""

    class Counting(base):  # type: ignore[misc]
        def __init__(self, *args: Any) -> None:
            if base is bytearray:
                super().__init__(*args)
            Meter.moved += len(self)

        def __getitem__(self, key: Any) -> Any:
            part = base.__getitem__(self, key)
            if isinstance(key, slice):
                Meter.moved += len(part)
                return type(self)(part)
            return part

        def __add__(self, other: Any) -> Any:
            return type(self)(base.__add__(self, other))

        def __iadd__(self, other: Any) -> Any:
            Meter.moved += len(other)
            if base is bytes:
                return self + other
            return base.__iadd__(self, other)

        def __delitem__(self, key: Any) -> None:
            # The front of a bytearray goes for nothing; elsewhere the rest moves.
            if not (isinstance(key, slice) and not key.start):
                Meter.moved += len(self)
            base.__delitem__(self, key)

    return Counting


@pytest.mark.parametrize("size", [1, 100, 5000, 60_000])
@pytest.mark.parametrize("step", [1, 7, 1000, 65536])
def test_cost_is_linear_in_what_comes(
    monkeypatch: pytest.MonkeyPatch, size: int, step: int
) -> None:
    """Counted in bytes that are copied, in whatever pieces they come."""
    source = counting(bytes)
    monkeypatch.setattr(framing, "bytes", source, raising=False)
    monkeypatch.setattr(framing, "bytearray", counting(bytearray), raising=False)
    whole = frame(b"x" * size)
    total = 70_000 if step > 1 else 10_000
    data = whole * (total // len(whole) + 1) + whole[:-1]
    Meter.moved, frames = 0, 0
    buffer = FrameBuffer()
    for at in range(0, len(data), step):
        buffer.receive_data(source(data[at : at + step]))
        while buffer.next_frame() is not None:
            frames += 1
    # Once as it comes, once as it is held, once as it is handed out, with some air.
    assert Meter.moved <= 6 * len(data) + 1000
    assert frames == len(data) // len(whole)
