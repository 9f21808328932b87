"""The native dialect behind the interface that all dialects share."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.core import messages
from chatroom.core.requests import Hello, Invalid, Ping, Request, Say
from chatroom.wire.codec import encode
from chatroom.wire.framing import MAX_FRAME, MAX_HELLO_FRAME, frame
from chatroom.wire.protocol import NativeProtocol
from tests.support.feeding import parse


def packed(**fields: Any) -> bytes:
    """Make a frame as a client would."""
    return frame(json.dumps(fields).encode())


def padded(size: int) -> bytes:
    """Make a ping whose payload has that size."""
    short = json.dumps({"type": "ping", "pad": ""}).encode()
    return frame(short[:-2] + b"x" * (size - len(short)) + short[-2:])


def welcomed() -> NativeProtocol:
    """Make one that has got past its hello."""
    protocol = NativeProtocol()
    protocol.welcomed = True
    return protocol


def take(protocol: NativeProtocol) -> Request | None:
    """Take the next request."""
    return protocol.next_message()


def test_requests_come_one_by_one_however_they_come_in() -> None:
    data = (
        packed(type="hello", version=1, nick="ann")
        + packed(type="say", text="é", ref="r")
        + frame(b"nonsense")
        + packed(type="dance")
        + packed(type="ping")
    )
    got = parse(NativeProtocol, take, data)
    assert got[:2] == [Hello(1, "ann"), Say("é", "r")]
    assert [type(one) for one in got[2:]] == [Invalid, Invalid, Ping]
    assert [one.code for one in got[2:4] if isinstance(one, Invalid)] == [
        "malformed",
        "unknown-type",
    ]


@pytest.mark.parametrize(
    ("make", "limit"), [(NativeProtocol, MAX_HELLO_FRAME), (welcomed, MAX_FRAME)]
)
def test_the_limit_before_and_after_the_welcome(make: Any, limit: int) -> None:
    for size, good in ((limit - 1, True), (limit, True), (limit + 1, False)):
        protocol = make()
        protocol.receive_data(padded(size)[:4])
        if good:
            assert protocol.next_message() is None
            protocol.receive_data(padded(size)[4:])
            assert protocol.next_message() == Ping()
            assert protocol.last_size == size + 4
        else:
            found = protocol.next_message()
            assert isinstance(found, Invalid)
            assert found.code == "bad-frame"
            assert protocol.last_size == 4


def test_a_large_frame_behind_a_good_hello_is_judged_after_the_welcome() -> None:
    protocol = NativeProtocol()
    protocol.receive_data(packed(type="hello", version=1) + padded(MAX_FRAME))
    assert protocol.next_message() == Hello(1)
    protocol.welcomed = True
    assert protocol.next_message() == Ping()


@pytest.mark.parametrize("length", [0, MAX_FRAME + 1, 0x47455420, 0xFFFFFFFF])
def test_a_broken_stream_says_so_once_and_then_nothing(length: int) -> None:
    protocol = welcomed()
    protocol.receive_data(packed(type="ping") + length.to_bytes(4, "big"))
    protocol.receive_data(packed(type="ping"))
    assert protocol.next_message() == Ping()
    found = protocol.next_message()
    assert isinstance(found, Invalid)
    assert (found.code, found.ref, found.type) == ("bad-frame", None, None)
    for _ in range(3):
        assert protocol.next_message() is None
        protocol.receive_data(packed(type="say", text="hi"))
        assert len(protocol) == 0
    protocol.receive_eof()
    assert protocol.next_message() is None


def test_what_is_discarded_never_comes_out() -> None:
    protocol = welcomed()
    protocol.receive_data(packed(type="ping") * 3)
    assert protocol.next_message() == Ping()
    protocol.discard()
    assert len(protocol) == 0
    protocol.receive_data(packed(type="ping"))
    assert protocol.next_message() is None


def test_after_the_end_what_is_whole_is_still_judged() -> None:
    protocol = welcomed()
    protocol.receive_data(packed(type="ping") + packed(type="say", text="hi")[:-1])
    before = protocol.ended
    protocol.receive_eof()
    assert (before, protocol.ended) == (False, True)
    assert protocol.next_message() == Ping()
    assert protocol.next_message() is None


def test_what_waits_and_what_came_is_counted() -> None:
    protocol = welcomed()
    one, two = packed(type="ping"), packed(type="say", text="hello")
    assert (len(protocol), protocol.last_size) == (0, 0)
    protocol.receive_data(one + two + b"\0")
    assert len(protocol) == len(one) + len(two) + 1
    protocol.next_message()
    assert (len(protocol), protocol.last_size) == (len(two) + 1, len(one))
    protocol.next_message()
    assert (len(protocol), protocol.last_size) == (1, len(two))
    assert protocol.next_message() is None


@given(st.lists(st.binary(max_size=30), max_size=20), st.booleans())
def test_random_bytes_never_raise(chunks: list[bytes], late: bool) -> None:
    protocol = NativeProtocol()
    broken = 0
    for chunk in chunks:
        protocol.receive_data(chunk)
        protocol.welcomed = late
        while (found := protocol.next_message()) is not None:
            assert not broken
            broken += isinstance(found, Invalid) and found.code == "bad-frame"
    assert broken <= 1


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=20))
def test_each_frame_of_random_bytes_is_one_request(payloads: list[bytes]) -> None:
    protocol = NativeProtocol()
    protocol.receive_data(b"".join(map(frame, payloads)))
    for _ in payloads:
        found = protocol.next_message()
        assert found is not None
        assert not (isinstance(found, Invalid) and found.code == "bad-frame")
    assert protocol.next_message() is None


def test_messages_go_out_as_the_codec_writes_them() -> None:
    pong = messages.Pong("x")
    assert NativeProtocol.encode(pong) == encode(pong)
