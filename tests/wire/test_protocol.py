"""The native dialect behind the interface that all dialects share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.core.requests import Invalid
from chatroom.wire.framing import HEADER_SIZE, MAX_FRAME, frame
from chatroom.wire.protocol import Dialect, NativeProtocol
from tests.wire.conformance import DialectCases


class TestNative(DialectCases):
    """The cases of all, and what only it has."""

    TRAILING = b"\0\0\0"
    BROKEN = tuple(
        size.to_bytes(4, "big") for size in (0, MAX_FRAME + 1, 0x47455420, 2**32 - 1)
    )

    def make(self) -> Dialect:
        return NativeProtocol()

    def wrap(self, payload: bytes) -> bytes:
        return frame(payload)

    def announce(self, size: int) -> bytes:
        return size.to_bytes(4, "big")

    def unwrap(self, data: bytes) -> list[bytes]:
        payloads = []
        while data:
            size = int.from_bytes(data[:HEADER_SIZE], "big")
            assert 0 < size <= len(data) - HEADER_SIZE
            payloads.append(data[HEADER_SIZE : HEADER_SIZE + size])
            data = data[HEADER_SIZE + size :]
        return payloads

    @pytest.mark.parametrize("broken", BROKEN)
    def test_a_bad_header_costs_its_bytes(self, broken: bytes) -> None:
        protocol = NativeProtocol()
        protocol.receive_data(broken)
        assert isinstance(protocol.next_message(), Invalid)
        assert protocol.last_size == HEADER_SIZE

    @given(st.lists(st.binary(min_size=1, max_size=30), max_size=20))
    def test_each_frame_of_random_bytes_is_one_request(
        self, payloads: list[bytes]
    ) -> None:
        protocol = NativeProtocol()
        protocol.receive_data(b"".join(map(frame, payloads)))
        for _ in payloads:
            found = protocol.next_message()
            assert found is not None
            assert not (isinstance(found, Invalid) and found.code == "bad-frame")
        assert protocol.next_message() is None

    def test_its_end_is_that_of_the_stream(self) -> None:
        assert NativeProtocol().goodbye(1000) == b""
