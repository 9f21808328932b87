"""What every dialect has to hold to, whatever its bytes look like.

``DialectCases`` is a class of cases; a subclass says how one is made, what a client's
bytes for a JSON object are, and how those of the server are read.
"""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatroom.core import messages
from chatroom.core.requests import Hello, Invalid, Nothing, Ping, Request, Say
from chatroom.wire import codec
from chatroom.wire.framing import MAX_FRAME, MAX_HELLO_FRAME, frame
from chatroom.wire.protocol import Dialect
from tests.support.feeding import parse, pieces
from tests.support.strategies import texts

SIZES = [1, 2, 124, 125, 126, 127, 128, 255, 256, 65535, MAX_FRAME]


shared = settings(suppress_health_check=[HealthCheck.differing_executors])
"""A case of several classes: it looks at nothing of them that changes."""


def padded(size: int) -> bytes:
    """Make a ping of so many bytes."""
    short = b'{"type":"ping","pad":""}'
    return short[:-2] + b"x" * (size - len(short)) + short[-2:]


def take(dialect: Dialect) -> Request | None:
    """Take the next request."""
    return dialect.next_message()


class DialectCases:
    """The cases."""

    TRAILING: bytes
    """The beginning of something more that a client may send."""
    BROKEN: tuple[bytes, ...]
    """What ends a stream as soon as it has come."""
    EXTRAS: tuple[bytes, ...] = ()
    """What a client may send beside its requests."""

    def make(self) -> Dialect:
        """Make one."""
        raise NotImplementedError

    def wrap(self, payload: bytes) -> bytes:
        """Give the bytes of a client that sends *payload*."""
        raise NotImplementedError

    def announce(self, size: int) -> bytes:
        """Give the header of a payload of so many bytes."""
        raise NotImplementedError

    def unwrap(self, data: bytes) -> list[bytes]:
        """Take apart what a server has sent; payloads only."""
        raise NotImplementedError

    def pack_json(self, **fields: Any) -> bytes:
        """Give the bytes of a client that sends an object."""
        return self.wrap(json.dumps(fields).encode())

    def welcomed(self) -> Dialect:
        """Make one that has got past its hello."""
        dialect = self.make()
        dialect.welcomed = True
        return dialect

    # What comes

    def test_requests_come_one_by_one_however_they_come_in(self) -> None:
        data = (
            self.pack_json(type="hello", version=1, nick="ann")
            + self.pack_json(type="say", text="é", ref="r")
            + self.wrap(b"nonsense")
            + self.pack_json(type="dance")
            + self.pack_json(type="ping")
        )
        got = parse(self.make, take, data, trailing=self.TRAILING)
        assert got[:2] == [Hello(1, "ann"), Say("é", "r")]
        assert [type(one) for one in got[2:]] == [Invalid, Invalid, Ping]
        assert [one.code for one in got[2:4] if isinstance(one, Invalid)] == [
            "malformed",
            "unknown-type",
        ]

    @shared
    @given(st.lists(texts.filter(bool), min_size=1, max_size=6))
    def test_what_was_said_is_what_comes(self, said: list[str]) -> None:
        data = b"".join(self.pack_json(type="say", text=text) for text in said)
        got = parse(self.make, take, data, trailing=self.TRAILING)
        assert got == [Say(text) for text in said]

    @shared
    @given(st.lists(texts.filter(bool), min_size=1, max_size=6))
    def test_each_text_is_one_request_and_ends_nothing(self, sent: list[str]) -> None:
        dialect = self.welcomed()
        dialect.receive_data(b"".join(self.wrap(text.encode()) for text in sent))
        for _ in sent:
            found = dialect.next_message()
            assert isinstance(found, Invalid)
            assert found.code == "malformed"
        assert dialect.next_message() is None

    @shared
    @given(st.lists(st.binary(max_size=30), max_size=20), st.booleans())
    def test_random_bytes_never_raise(self, chunks: list[bytes], late: bool) -> None:
        dialect = self.make()
        broken = 0
        for chunk in chunks:
            dialect.receive_data(chunk)
            dialect.welcomed = late
            while (found := dialect.next_message()) is not None:
                assert not broken
                broken += isinstance(found, Invalid) and found.code == "bad-frame"
        assert broken <= 1

    @shared
    @given(st.data())
    def test_it_does_not_matter_how_anything_comes(self, data: st.DataObject) -> None:
        """What it makes of a stream, says to it, and tells at the end."""
        good = [self.pack_json(type="ping"), self.wrap(b"{"), self.wrap(padded(200))]
        some = st.sampled_from([*good * 3, *self.EXTRAS * 2, *self.BROKEN])
        cut = st.sampled_from([self.TRAILING, b""]) | st.binary(max_size=12)
        stream = b"".join(data.draw(st.lists(some, min_size=1, max_size=6)))
        # What is too large is known from its first bytes.
        stream = stream[:2000] + data.draw(cut)
        first, *others = map(self.outcome, pieces(stream))
        assert all(other == first for other in others)

    def outcome(self, way: list[bytes]) -> tuple[list[Request], bytes, bool, bytes]:
        """Give all that comes of bytes in those pieces."""
        dialect, got, said = self.welcomed(), list[Request](), b""
        for piece in way:
            dialect.receive_data(piece)
            while (found := dialect.next_message()) is not None:
                got.append(found)
                said += dialect.data_to_send()
        return got, said, dialect.ended, dialect.goodbye(1000)

    # How much of it

    @pytest.mark.parametrize("late", [False, True])
    def test_a_size_is_judged_from_the_header(self, late: bool) -> None:
        limit = MAX_FRAME if late else MAX_HELLO_FRAME
        for size in (limit - 1, limit):
            dialect = self.make()
            dialect.welcomed = late
            data = self.wrap(padded(size))
            dialect.receive_data(data)
            assert dialect.next_message() == Ping()
            assert dialect.last_size == len(data)
        for size in (limit + 1, 1 << 20, (1 << 32) - 1):
            dialect = self.make()
            dialect.welcomed = late
            dialect.receive_data(self.announce(size))
            found = dialect.next_message()
            assert isinstance(found, Invalid)
            assert found.code == "bad-frame"
            assert 0 < dialect.last_size <= len(self.announce(size))

    def test_a_large_frame_behind_a_good_hello_is_judged_after_the_welcome(
        self,
    ) -> None:
        dialect = self.make()
        data = self.pack_json(type="hello", version=1) + self.wrap(padded(MAX_FRAME))
        dialect.receive_data(data)
        assert dialect.next_message() == Hello(1)
        dialect.welcomed = True
        assert dialect.next_message() == Ping()

    def test_what_waits_and_what_came_is_counted(self) -> None:
        dialect = self.welcomed()
        one, two = self.pack_json(type="ping"), self.pack_json(type="say", text="hello")
        assert (len(dialect), dialect.last_size) == (0, 0)
        dialect.receive_data(one + two + self.TRAILING[:1])
        assert len(dialect) == len(one) + len(two) + 1
        dialect.next_message()
        assert (len(dialect), dialect.last_size) == (len(two) + 1, len(one))
        dialect.next_message()
        assert (len(dialect), dialect.last_size) == (1, len(two))
        assert dialect.next_message() is None

    def test_within_a_frame_something_waits(self) -> None:
        dialect = self.welcomed()
        data = self.pack_json(type="say", text="hello")
        for at in range(len(data) - 1):
            dialect.receive_data(data[at : at + 1])
            assert dialect.next_message() is None
            assert len(dialect) > 0
        dialect.receive_data(data[-1:])
        assert dialect.next_message() == Say("hello")
        assert len(dialect) == 0

    @pytest.mark.parametrize("step", [1, 2, 100, 1500])
    def test_what_is_held_takes_little_more_than_its_bytes(self, step: int) -> None:
        data = self.wrap(padded(8000))[:-1]
        cut = [data[at : at + step] for at in range(0, len(data), step)]
        dialect = self.welcomed()
        tracemalloc.start()
        try:
            for piece in cut:
                dialect.receive_data(piece)
                assert dialect.next_message() is None
            assert tracemalloc.get_traced_memory()[0] < 1.5 * len(data)
        finally:
            tracemalloc.stop()

    def test_what_was_taken_is_not_held(self) -> None:
        dialect = self.welcomed()
        tracemalloc.start()
        try:
            dialect.receive_data(bytes(bytearray(self.wrap(padded(MAX_FRAME)))))
            assert dialect.next_message() == Ping()
            assert tracemalloc.get_traced_memory()[0] < MAX_FRAME / 4
        finally:
            tracemalloc.stop()

    # How it ends

    def test_a_broken_stream_says_so_once_and_then_nothing(self) -> None:
        for broken in self.BROKEN:
            dialect = self.welcomed()
            dialect.receive_data(self.pack_json(type="ping") + broken)
            dialect.receive_data(self.pack_json(type="ping"))
            assert dialect.next_message() == Ping()
            found = dialect.next_message()
            assert isinstance(found, Invalid), broken
            assert (found.code, found.ref, found.type) == ("bad-frame", None, None)
            assert found.text.isprintable()
            for _ in range(3):
                assert dialect.next_message() is None
                dialect.receive_data(self.pack_json(type="say", text="hi"))
                assert len(dialect) == 0
            dialect.receive_eof()
            assert dialect.next_message() is None

    def test_what_is_discarded_never_comes_out(self) -> None:
        for cut in (1, 3, 7, 9, len(self.pack_json(type="ping"))):
            dialect = self.welcomed()
            data = self.pack_json(type="ping")
            dialect.receive_data(data + data[:cut])
            assert dialect.next_message() == Ping()
            dialect.discard()
            assert len(dialect) == 0
            dialect.receive_data(data[cut:] + data)
            assert len(dialect) == 0
            assert dialect.next_message() is None

    def test_after_the_end_what_is_whole_is_still_judged(self) -> None:
        dialect = self.welcomed()
        cut = self.pack_json(type="say", text="hi")[:-1]
        dialect.receive_data(self.pack_json(type="ping") + cut)
        before = dialect.ended
        dialect.receive_eof()
        assert (before, dialect.ended) == (False, True)
        assert dialect.next_message() == Ping()
        assert dialect.next_message() is None

    def test_goodbye_is_said_once(self) -> None:
        dialect = self.welcomed()
        assert self.unwrap(dialect.goodbye(1000)) == []
        assert dialect.goodbye(1001) == b""
        assert dialect.data_to_send() == b""

    def test_requests_alone_make_it_say_nothing(self) -> None:
        dialect = self.make()
        dialect.receive_data(self.pack_json(type="hello", version=1) * 2)
        while (found := dialect.next_message()) is not None:
            assert not isinstance(found, Nothing)
            assert dialect.data_to_send() == b""

    # What goes

    def test_a_message_goes_out_as_the_codec_writes_it(self) -> None:
        for message in (messages.Pong("x"), messages.Kick("shouting", "é" * 100)):
            native = codec.encode(message)
            assert self.unwrap(self.make().encode(message)) == [native[4:]]
            assert self.make().encode(message) == self.make().pack([native])

    def test_frames_of_every_size_are_packed(self) -> None:
        for size in SIZES:
            payload = b"x" * size
            assert self.unwrap(self.make().pack([frame(payload)])) == [payload]
        payloads = [b"%d" % size * size for size in SIZES[:7]]
        assert self.unwrap(self.make().pack([*map(frame, payloads)])) == payloads

    @shared
    @given(st.lists(st.sampled_from(SIZES) | st.integers(1, 300), min_size=1))
    def test_what_is_packed_is_what_comes_out(self, sizes: list[int]) -> None:
        payloads = [b"%c" % (97 + at % 26) * size for at, size in enumerate(sizes)]
        assert self.unwrap(self.make().pack([*map(frame, payloads)])) == payloads

    def test_packing_together_is_packing_one_by_one(self) -> None:
        frames = [frame(b"x" * size) for size in SIZES]
        pack = self.make().pack
        assert pack(frames) == b"".join(pack([one]) for one in frames)
