"""What every member of a room has to get: the same bytes, and the right ones.  Pure.

All members of a room are sent one and the same stream, ``Stream``.  Whoever is ahead
makes it longer, and what is new in it is taken apart: ids consecutive, each text the
one that was said, once, in the order in which its talker said it.  Everybody else is
compared with it byte by byte, which is a hundred times quicker than to parse.  Frames
for one member alone (``ping``, ``kick``, ...) are found where streams differ, and are
handed back.

    said(...)           for each message, before it is sent
    attach(reader, ..)  once for each reader, at the first message that it gets
    receive(reader, data) -> private frames, for all that it gets from then on
    reader.offset        may be advanced by who has compared the bytes himself
    lacks() is None      at the end: all has come to all

Every breach raises ``Violation``, whose text says who saw what.
Must not know: sockets, clocks, threads.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, NoReturn

from chatroom.errors import BadPeer
from chatroom.wire.codec import Malformed, decode_object
from chatroom.wire.framing import HEADER, HEADER_SIZE, MAX_FRAME

TRIM_AT = 8 * 1024 * 1024
"""Bytes of a stream that are held before those that all have passed are dropped."""
SHOWN = 40
"""Characters of a text that a complaint quotes."""

NEWS = frozenset((b"message", b"joined", b"left", b"renamed", b"count", b"topic"))
"""Types that go to everybody in a room; every other is for one member alone."""

# Keys have an order on the wire, so the hot frame needs no JSON parser.  What this
# does not match is parsed properly, and only then called wrong.
_match_message = re.compile(
    rb'(....)\{"type":"message","id":([0-9]{1,16}),"room":"([^"\\]*)",'
    rb'"from":"([^"\\]*)","text":"([^"\\]*)","at":[0-9]{1,16}'
    rb'(?:,"ref":"[^"\\]*")?\}',
    re.DOTALL,
).match
_match_type = re.compile(rb'\{"type":"([a-z]+)"').match
_length_of = HEADER.unpack


class Violation(BadPeer):
    """The server has broken a promise; the text says which, and who saw it."""


class Reader:
    """One member's place in the stream of its room."""

    __slots__ = ("first", "name", "offset", "pending", "sample")

    def __init__(self, name: str) -> None:
        self.name = name
        self.first = 0
        """Id of the first message that it got."""
        self.offset = 0
        """Bytes of the stream that it has got."""
        self.pending = b""
        """What it got behind that: part of a frame that nobody has whole yet."""
        self.sample = 0
        """Number of the sample that it gets next; see ``Stream.arrivals``."""


class Speaker:
    """Who says something: what is under way from it, oldest first."""

    __slots__ = ("echoes", "texts")

    def __init__(self) -> None:
        self.texts: deque[tuple[bytes, float]] = deque()
        """Said and seen by nobody; with the time that stands for it, or -1."""
        self.echoes: deque[int] = deque()
        """Where in the stream its messages end, for who counts its own echoes."""


class Found(NamedTuple):
    """A ``message`` frame as it came."""

    id: int
    room: bytes
    sender: bytes
    text: bytes

    def __str__(self) -> str:
        text = self.text.decode(errors="replace")
        shown = text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
        return f"message {self.id} ({shown!a} of {self.sender.decode()})"


class Stream:
    """What a room says, from the first message that anybody got."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.reference = bytearray()
        """Whole frames, those that everybody has passed dropped."""
        self.base = 0
        """Where in the stream ``reference`` begins."""
        self.messages = 0
        """Messages in the stream so far."""
        self.readers: dict[Reader, None] = {}
        self.entering: dict[Reader, int] = {}
        """Who is on its way in, and from where on it may need the stream."""
        self._room = room.encode()
        self._speakers: dict[bytes, Speaker] = {}
        self._next_id = 0
        # One entry a frame: where it ends, and the last id up to there.
        self._ends: list[int] = []
        self._ids: list[int] = []
        self._samples: list[tuple[int, float]] = []
        self._first_sample = 0
        self._origins: deque[tuple[int, str]] = deque()
        self._trim_at = TRIM_AT
        self._delivered = 0

    @property
    def end(self) -> int:
        """Bytes that have come to whoever is ahead."""
        return self.base + len(self.reference)

    @property
    def founded(self) -> bool:
        """Whether anybody has got a message."""
        return self._next_id > 0

    # -- what is said -----------------------------------------------------------

    def speaker(self, nick: bytes) -> Speaker:
        """Return the speaker whose messages are from *nick*."""
        return self._speakers.setdefault(nick, Speaker())

    def under_way(self) -> int:
        """Return how many messages were said that nobody has got yet."""
        return sum(len(speaker.texts) for speaker in self._speakers.values())

    def delivered(self) -> int:
        """Return how many messages all readers together have got."""
        return self._delivered + sum(map(self._got, self.readers))

    def _got(self, reader: Reader) -> int:
        if reader.offset == self.end:
            return self._next_id - reader.first
        index = bisect_right(self._ends, reader.offset)
        last = self._ids[index - 1] if index else self._ids[0] - 1
        return last + 1 - reader.first

    # -- coming and going -------------------------------------------------------

    def enter(self, reader: Reader) -> None:
        """*reader* is about to come in: keep what it may be compared with."""
        self.entering[reader] = self.end

    def attach(self, reader: Reader, first: int, heard: bytes = b"") -> bool:
        """Let *reader* be compared from message *first* on, the first that it got.

        *heard* is the room's news that it got before that, as frames.  Returns
        ``False`` while nobody here has come so far; then it is to be tried again.
        """
        if not self.founded:
            self._next_id = first
        index = bisect_left(self._ids, first)
        if index == len(self._ids):
            # The message is the next of the stream: then it is at its end.
            if first != self._next_id or self.messages:
                return False
            start = self.end
        else:
            start = self._ends[index - 1] if index else self.base
            if self._ids[index] != first:
                raise Violation(
                    f"{reader.name} in {self.room}: its first message is {first}, "
                    f"the others got {self._ids[index]} at that place"
                )
            self._check_heard(reader, start, heard)
        reader.first = first
        reader.offset = start
        reader.sample = self._sample_after(start)
        self.entering.pop(reader, None)
        self.readers[reader] = None
        return True

    def detach(self, reader: Reader) -> None:
        """*reader* is gone."""
        if reader in self.readers:
            self._delivered += self._got(reader)
            del self.readers[reader]
        self.entering.pop(reader, None)

    def _check_heard(self, reader: Reader, start: int, heard: bytes) -> None:
        """News that a newcomer got before its first message: the others' too."""
        length = min(len(heard), start - self.base)
        before = self.reference[start - self.base - length : start - self.base]
        if length and not heard.endswith(before):
            raise Violation(
                f"{reader.name} in {self.room}: the news between its entering and "
                "the next message are not what the others got"
            )

    # -- receiving --------------------------------------------------------------

    def receive(self, reader: Reader, data: bytes | memoryview) -> list[bytes]:
        """Hold *data*, which *reader* got, against the stream.

        Returns the payloads of the frames that were for *reader* alone.
        """
        rest, reader.pending = reader.pending + bytes(data), b""
        private: list[bytes] = []
        while rest:
            known = min(len(rest), self.end - reader.offset)
            start = reader.offset - self.base
            if self.reference.startswith(memoryview(rest)[:known], start):
                reader.offset += known
                rest = self._extend(reader, rest[known:]) if known < len(rest) else b""
            else:
                rest = self._step_back(reader, rest)
            payload = first_payload(rest, reader)
            if payload is None:
                reader.pending = rest
                break
            # It stands where the next frame of all should: for this reader alone?
            if type_of(payload) in NEWS:
                self._complain(reader, payload)
            private.append(payload)
            rest = rest[HEADER_SIZE + len(payload) :]
        return private

    def _extend(self, reader: Reader, data: bytes) -> bytes:
        """*reader* is ahead of all: take in the news that *data* begins with.

        Returns what is behind them: part of a frame, or one that is no news.
        """
        position = 0
        while True:
            position += self._take_run(data, position)
            size = self._take_other(reader, data, position)
            if not size:
                break
            position += size
        if position:
            self._extended(reader)
        return data[position:]

    def _take_run(self, data: bytes, start: int) -> int:
        """Take in the messages at *start* as far as all is as it should be.

        Returns their size.  This runs for every message, so it holds everything in
        locals, and leaves whatever is unusual or wrong to ``_take_other``.
        """
        position, shift = start, self.end - start
        speakers, room, next_id = self._speakers, self._room, self._next_id
        add_end, add_id = self._ends.append, self._ids.append
        while (match := _match_message(data, position)) is not None:
            header, number, in_room, sender, text = match.groups()
            end = match.end()
            speaker = speakers.get(sender)
            if (
                speaker is None
                or not speaker.texts
                or speaker.texts[0][0] != text
                or int(number) != next_id
                or in_room != room
                or _length_of(header)[0] != end - position - HEADER_SIZE
            ):
                break
            when = speaker.texts.popleft()[1]
            position = end
            end += shift
            speaker.echoes.append(end)
            add_end(end)
            add_id(next_id)
            if when >= 0.0:
                self._samples.append((end, when))
            next_id += 1
        self.messages += next_id - self._next_id
        self._next_id = next_id
        self.reference += memoryview(data)[start:position]
        return position - start

    def _take_other(self, reader: Reader, data: bytes, position: int) -> int:
        """Take in the frame at *position*, which is not the usual one.

        Returns its size, or 0 where it is not whole or no news.
        """
        payload = first_payload(memoryview(data)[position:], reader)
        if payload is None or type_of(payload) not in NEWS:
            return 0
        size = HEADER_SIZE + len(payload)
        if type_of(payload) == b"message":
            self._take_message(reader, parse_message(payload, reader), size)
        else:
            self._ends.append(self.end + size)
            self._ids.append(self._next_id - 1)
        self.reference += memoryview(data)[position : position + size]
        return size

    def _take_message(self, reader: Reader, found: Found, size: int) -> None:
        """The next message of the stream is *found*, *size* bytes with its header."""
        speaker = self._speakers.get(found.sender)
        if (
            found.id != self._next_id
            or speaker is None
            or not speaker.texts
            or speaker.texts[0][0] != found.text
            or found.room != self._room
        ):
            self._refuse(reader, found)
        _, when = speaker.texts.popleft()
        end = self.end + size
        speaker.echoes.append(end)
        self._ends.append(end)
        self._ids.append(found.id)
        if when >= 0.0:
            self._samples.append((end, when))
        self._next_id += 1
        self.messages += 1

    def _extended(self, reader: Reader) -> None:
        reader.offset = self.end
        self._origins.append((self.end, reader.name))
        if len(self.reference) > self._trim_at:
            self._trim()

    def _trim(self) -> None:
        """Drop what everybody has passed."""
        needed = min(
            min((reader.offset for reader in self.readers), default=self.end),
            min(self.entering.values(), default=self.end),
        )
        passed = bisect_right(self._ends, needed)
        if passed:
            end = self._ends[passed - 1]
            del self.reference[: end - self.base]
            del self._ends[:passed], self._ids[:passed]
            self.base = end
        seen = bisect_right(self._samples, (needed, float("inf")))
        del self._samples[:seen]
        self._first_sample += seen
        while self._origins and self._origins[0][0] <= needed:
            self._origins.popleft()
        # Somebody who is far behind must not have us look again at each message.
        self._trim_at = max(TRIM_AT, 2 * len(self.reference))

    # -- samples ----------------------------------------------------------------

    def arrivals(self, reader: Reader) -> Iterator[float]:
        """Give the times that stand for the messages that *reader* has got newly.

        Only of messages that have one; each once for each reader.
        """
        first = max(0, reader.sample - self._first_sample)
        for end, when in islice(self._samples, first, None):
            if end > reader.offset:
                break
            first += 1
            yield when
        reader.sample = self._first_sample + first

    def _sample_after(self, offset: int) -> int:
        before = bisect_right(self._samples, (offset, float("inf")))
        return self._first_sample + before

    # -- complaints -------------------------------------------------------------

    def lacks(self) -> str | None:
        """Return what is still to come, or ``None``: all has come to all."""
        for nick, speaker in self._speakers.items():
            if speaker.texts:
                text = speaker.texts[0][0].decode(errors="replace")[:SHOWN]
                count = len(speaker.texts)
                who = nick.decode(errors="replace")
                return f"nobody in {self.room} got {text!a}... of {who}, {count} in all"
        for reader in self.readers:
            if reader.offset != self.end or reader.pending:
                return self._missing_from(reader)
        if self.entering:
            return f"{next(iter(self.entering)).name} got no message in {self.room}"
        return None

    def _missing_from(self, reader: Reader) -> str:
        missing = len(self._ends) - bisect_right(self._ends, reader.offset)
        frame = self._frame_at(reader.offset)
        what = _show(frame, reader) if frame is not None else "part of a frame"
        return f"{reader.name} in {self.room} never got {what}, {missing} frames in all"

    def _step_back(self, reader: Reader, data: bytes) -> bytes:
        """*data* differs from the stream: go on at the frame where it begins to.

        Returns what *reader* has from that frame on.
        """
        start = reader.offset - self.base
        same = _common_prefix(memoryview(self.reference)[start:], memoryview(data))
        index = bisect_right(self._ends, reader.offset + same)
        begin = self._ends[index - 1] if index else self.base
        # The first bytes of two frames may be the same: what was taken for the
        # stream's next frame can have been the begin of another one.
        again = bytes(self.reference[begin - self.base : start])
        behind = max(0, begin - reader.offset)
        reader.offset = begin
        return again + data[behind:]

    def _complain(self, reader: Reader, payload: bytes) -> NoReturn:
        """*reader* got news that differ from what the others got at that place."""
        other = self._frame_at(reader.offset)
        there = f"{reader.name} in {self.room} got {_show(payload, reader)}"
        if other is None:
            raise Violation(f"{there}, which is no frame that can follow")
        here = f"{self._origin(reader.offset)} got {_show(other, reader)}"
        raise Violation(f"{there} where {here}{self._cause(reader, payload, other)}")

    @staticmethod
    def _cause(reader: Reader, payload: bytes, other: bytes) -> str:
        if type_of(payload) != b"message" or type_of(other) != b"message":
            return ""
        mine, theirs = parse_message(payload, reader), parse_message(other, reader)
        if mine.id > theirs.id:
            return f": {mine.id - theirs.id} missing, or out of order"
        if mine.id < theirs.id:
            return ": it got that before, or out of order"
        return ": the same id, but not the same message"

    def _refuse(self, reader: Reader, found: Found) -> NoReturn:
        """*found* cannot be the next message of the stream: say why."""
        wanted = self._next_id
        if found.room != self._room:
            cause = f"it is of the room {found.room.decode()}"
        elif found.id > wanted:
            cause = f"message {wanted} is missing: the ids have a gap"
        elif found.id < wanted:
            cause = f"that id was given before; {wanted} is next"
        else:
            cause = self._wrong_text(found)
        raise Violation(f"{reader.name} in {self.room} got {found}; {cause}")

    def _wrong_text(self, found: Found) -> str:
        speaker = self._speakers.get(found.sender)
        if speaker is None:
            return "nobody of us has that nick"
        waiting = [text for text, _ in speaker.texts]
        if found.text in waiting:
            ahead = waiting.index(found.text)
            return f"{ahead} said before it are missing, or come out of order"
        return "it was not said like this, or it comes a second time"

    def _frame_at(self, offset: int) -> bytes | None:
        """Return the payload of the frame that begins at *offset* or is cut by it."""
        index = bisect_right(self._ends, offset)
        if index == len(self._ends):
            return None
        begin = self._ends[index - 1] if index else self.base
        view = self.reference[begin - self.base : self._ends[index] - self.base]
        return bytes(view[HEADER_SIZE:])

    def _origin(self, offset: int) -> str:
        """Return who was the first to get what is at *offset*."""
        for end, name in self._origins:
            if offset < end:
                return name
        return "the others"


def parse_message(payload: bytes, reader: Reader) -> Found:
    """Return the message in *payload*, which *reader* got."""
    try:
        value = decode_object(payload)
    except Malformed as wrong:
        raise Violation(f"{reader.name} got a bad frame: {wrong}") from None
    number = value.get("id")
    words = [value.get(key) for key in ("room", "from", "text")]
    if type(number) is not int or not all(type(word) is str for word in words):
        raise Violation(f"{reader.name} got a message without a field: {payload!a}")
    return Found(number, *(str(word).encode() for word in words))


def type_of(payload: bytes) -> bytes:
    match = _match_type(payload)
    if match is not None:
        return match[1]
    try:
        return str(decode_object(payload).get("type")).encode()
    except Malformed:
        return b""


def first_payload(data: bytes | memoryview, reader: Reader) -> bytes | None:
    """Return the payload that *data* begins with, ``None`` while it is not whole."""
    if len(data) < HEADER_SIZE:
        return None
    (length,) = HEADER.unpack_from(data)
    if not 0 < length <= MAX_FRAME:
        raise Violation(
            f"{reader.name} got what is no frame: a length of {length}; "
            "the stream is out of step"
        )
    if len(data) < HEADER_SIZE + length:
        return None
    return bytes(data[HEADER_SIZE : HEADER_SIZE + length])


def _common_prefix(one: memoryview, other: memoryview) -> int:
    """Return how many bytes are the same from the start, in few comparisons."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if bytes(one[low:middle]) == bytes(other[low:middle]):
            low = middle
        else:
            high = middle - 1
    return low


def _show(payload: bytes, reader: Reader) -> str:
    if type_of(payload) == b"message":
        return str(parse_message(payload, reader))
    return payload[: 2 * SHOWN].decode(errors="backslashreplace")
