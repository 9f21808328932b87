"""The checker: it has to find every breach, and to see none where there is none."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.load import check
from chatroom.client.load.check import Reader, Stream, Violation
from chatroom.core.messages import Count, Joined, Message, Ping
from chatroom.wire.codec import encode

ROOM = "lobby"
FIRST = 7
"""The id of the first message; a room has had others before."""


def message(number: int, sender: str, text: str, room: str = ROOM) -> bytes:
    """Make the frame of a message."""
    return encode(Message(number, room, sender, text, 1_700_000_000_000, None))


class Room:
    """A stream, what was said in it, and members who are in step with it."""

    def __init__(self, members: int = 3, messages: int = 12) -> None:
        self.stream = Stream(ROOM)
        self.readers = [Reader(f"client {n}") for n in range(1, members + 1)]
        self.frames: list[bytes] = []
        for number in range(FIRST, FIRST + messages):
            self.say("ann" if number % 3 else "bob", f"text {number}")
        for reader in self.readers:
            assert self.stream.attach(reader, FIRST)
            self.stream.receive(reader, self.frames[0])

    def say(self, sender: str, text: str) -> None:
        """Let something be said, and make the frame that is right for it."""
        speaker = self.stream.speaker(sender.encode())
        speaker.texts.append((text.encode(), float(len(self.frames))))
        self.frames.append(message(FIRST + len(self.frames), sender, text))

    def receive(self, number: int, frames: list[bytes]) -> list[bytes]:
        """Let a member get these frames behind the first; tell what was private."""
        return self.stream.receive(self.readers[number], b"".join(frames))


def test_what_is_right_is_no_violation() -> None:
    """All get all; nothing is lacking then."""
    room = Room()
    for number in range(3):
        assert room.stream.lacks() is not None
        room.receive(number, room.frames[1:])
    assert room.stream.lacks() is None
    assert room.stream.messages == 12
    assert room.stream.delivered() == 36


Fault = Callable[[list[bytes]], list[bytes]]


def renumbered(frames: list[bytes]) -> list[bytes]:
    """The ids go up by two at one place."""
    return frames[:5] + [
        frame.replace(b'"id":%d' % number, b'"id":%d' % (number + 1))
        for number, frame in enumerate(frames[5:], FIRST + 6)
    ]


def doubled_with_a_new_id(frames: list[bytes]) -> list[bytes]:
    """A message comes again, as if it had been said again."""
    again = message(FIRST + 6, "bob", "text 12")
    assert frames[4] == message(FIRST + 5, "bob", "text 12")
    return [*frames[:5], again, *frames[6:]]


FAULTS: dict[str, Fault] = {
    "missing": lambda f: f[:5] + f[6:],
    "doubled": lambda f: f[:6] + f[5:],
    "swapped": lambda f: [*f[:5], f[6], f[5], *f[7:]],
    "altered": lambda f: [*f[:5], f[5].replace(b'"text ', b'"Text '), *f[6:]],
    "altered at its end": lambda f: [*f[:10], f[10].replace(b"18", b"19")],
    "gap in ids": renumbered,
    "doubled with a new id": doubled_with_a_new_id,
    "of another room": lambda f: [
        *f[:5],
        f[5].replace(b'"lobby"', b'"lobbi"'),
        *f[6:],
    ],
    "of a stranger": lambda f: [*f[:5], f[5].replace(b'"ann"', b'"eve"'), *f[6:]],
    "not JSON": lambda f: [*f[:5], f[5].replace(b'"text":', b'"text";'), *f[6:]],
    "no frame": lambda f: [*f[:5], b"\xff" + f[5][1:], *f[6:]],
    "a byte short": lambda f: [*f[:5], f[5][:-1], *f[6:]],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("who", ["the first", "another"])
@pytest.mark.parametrize("cut", [1, 50, 100_000])
def test_fault_is_found(fault: str, who: str, cut: int) -> None:
    """Whether it is in the stream that the others are held against, or beside it."""
    room = Room()
    data = b"".join(FAULTS[fault](room.frames[1:]))
    if who == "another":
        room.receive(0, room.frames[1:])
    with pytest.raises(Violation, match="client 2"):
        for start in range(0, len(data), cut):
            room.stream.receive(room.readers[1], data[start : start + cut])


def test_two_clients_with_different_orders_are_found() -> None:
    """Each order is possible for itself; both together are not."""
    room = Room(messages=1)
    room.say("ann", "one")
    room.say("bob", "two")
    _, one, two = room.frames
    other = [message(FIRST + 1, "bob", "two"), message(FIRST + 2, "ann", "one")]
    room.receive(0, [one, two])
    with pytest.raises(Violation) as found:
        room.receive(1, other)
    assert str(found.value) == (
        "client 2 in lobby got message 8 ('two' of bob) where client 1 got "
        "message 8 ('one' of ann): the same id, but not the same message"
    )


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing", "message 14 .* where client 1 got message 13 .*: 1 missing"),
        ("doubled", "message 13 .* where client 1 got message 14 .*: it got that befo"),
        ("swapped", "message 14 .* where client 1 got message 13 .*: 1 missing"),
    ],
)
def test_complaint_says_who_saw_what(fault: str, words: str) -> None:
    """The line names both, and what each of them got at that place."""
    room = Room()
    room.receive(0, room.frames[1:])
    with pytest.raises(Violation, match=words):
        room.receive(1, FAULTS[fault](room.frames[1:]))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing", "got message 14 .*; message 13 is missing: the ids have a gap"),
        ("doubled", "got message 13 .*; that id was given before; 14 is next"),
        ("altered", "it was not said like this, or it comes a second time"),
        ("doubled with a new id", "it was not said like this, or it comes a second"),
        ("of another room", "it is of the room lobbi"),
        ("of a stranger", "nobody of us has that nick"),
    ],
)
def test_complaint_about_the_first_says_what_is_wrong(fault: str, words: str) -> None:
    """Whoever is ahead is held against what was said."""
    room = Room()
    with pytest.raises(Violation, match=words):
        room.receive(1, FAULTS[fault](room.frames[1:]))


def test_text_that_was_passed_over_is_found() -> None:
    """The server leaves a text out and gives its number to the next."""
    room = Room(messages=1)
    room.say("ann", "one")
    room.say("ann", "two")
    with pytest.raises(Violation, match="1 said before it are missing"):
        room.receive(0, [message(FIRST + 1, "ann", "two")])


def test_last_message_that_does_not_come_is_missed() -> None:
    """Nothing follows it, so only the end can tell."""
    room = Room()
    room.receive(0, room.frames[1:])
    room.receive(1, room.frames[1:])
    room.receive(2, room.frames[1:-1])
    assert room.stream.lacks() == (
        "client 3 in lobby never got message 18 ('text 18' of bob), 1 frames in all"
    )
    room.receive(2, [room.frames[-1][:9]])
    assert room.stream.lacks() is not None


def test_message_that_nobody_got_is_missed() -> None:
    """It was said, and that is all that is known of it."""
    room = Room()
    for number in range(3):
        room.receive(number, room.frames[1:-2])
    assert room.stream.lacks() == "nobody in lobby got 'text 17'... of ann, 1 in all"


@given(st.integers(0), st.integers(1, 4))
def test_any_cuts_and_any_turns_are_no_violation(seed: int, members: int) -> None:
    """Streams come in pieces of any size, from anybody, with private frames between."""
    chance = random.Random(seed)
    room = Room(members)
    streams, private = [], []
    for _ in room.readers:
        frames, own = [], []
        for frame in room.frames[1:]:
            frames.append(frame)
            if chance.random() < 0.3:
                own.append(encode(Ping(str(chance.randrange(100)))))
                frames.append(own[-1])
        streams.append(b"".join(frames))
        private.append([frame[4:] for frame in own])
    got: list[list[bytes]] = [[] for _ in room.readers]
    while any(streams):
        number = chance.randrange(members)
        size = chance.choice([1, 3, 10, 100, 1000])
        data, streams[number] = streams[number][:size], streams[number][size:]
        got[number] += room.stream.receive(room.readers[number], data)
    assert room.stream.lacks() is None
    assert got == private


def test_news_of_the_room_are_part_of_the_stream() -> None:
    """Who joined is told to all at one place; one who is not told it is found."""
    room = Room()
    frames = [*room.frames[1:5], encode(Joined(ROOM, "eve")), *room.frames[5:]]
    assert room.receive(0, frames) == []
    assert room.receive(1, frames) == []
    with pytest.raises(Violation, match=r'where client 1 got \{"type":"joined"'):
        room.receive(2, room.frames[1:])


def test_text_with_escapes_is_compared_as_text() -> None:
    """What the quick look does not understand is parsed."""
    room = Room(messages=1)
    room.say("ann", 'say "tea" \\ é')
    room.say("ann", "next")
    room.receive(0, room.frames[1:])
    room.receive(1, room.frames[1:])
    assert room.stream.messages == 3


def test_newcomer_is_compared_from_its_first_message_on() -> None:
    """Where that is in the stream is found by its id."""
    room = Room()
    room.receive(0, room.frames[1:8])
    late = Reader("late")
    room.stream.enter(late)
    assert room.stream.lacks() is not None
    joined = encode(Joined(ROOM, "late"))
    after = encode(Joined(ROOM, "later"))
    room.receive(0, [joined, after, *room.frames[8:10]])
    assert room.stream.attach(late, FIRST + 8, after)
    room.stream.receive(late, b"".join(room.frames[8:]))
    assert late.offset == room.stream.end
    room.stream.detach(late)
    assert room.stream.delivered() == 10 + 1 + 1 + 4


def test_newcomer_who_heard_other_news_is_found() -> None:
    """Between its entering and the next message it gets what all get."""
    room = Room()
    room.receive(0, [*room.frames[1:8], encode(Count(ROOM, 4)), room.frames[8]])
    with pytest.raises(Violation, match="the news between"):
        room.stream.attach(Reader("late"), FIRST + 8, encode(Count(ROOM, 5)))


def test_newcomer_ahead_of_all_has_to_wait() -> None:
    """It cannot know where in the stream its message stands."""
    room = Room()
    late = Reader("late")
    assert not room.stream.attach(late, FIRST + 5)
    room.receive(0, room.frames[1:])
    assert room.stream.attach(late, FIRST + 5)


def test_what_all_have_passed_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long test does not fill the memory; a difference is found all the same."""
    monkeypatch.setattr(check, "TRIM_AT", 2000)
    room = Room(messages=1000)
    room.stream._trim_at = 2000
    for frame in room.frames[1:-1]:
        for number in range(3):
            room.receive(number, [frame])
        assert len(room.stream.reference) < 3000
    assert room.stream.base > 90_000
    with pytest.raises(Violation, match=r"1006 .* the same id, but not"):
        room.receive(0, [room.frames[-1]])
        room.receive(1, [room.frames[-1].replace(b'"text ', b'"Text ')])


def test_what_one_has_not_passed_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow reader, or somebody who is just entering."""
    monkeypatch.setattr(check, "TRIM_AT", 2000)
    room = Room(messages=200)
    late = Reader("late")
    room.stream.enter(late)
    room.receive(0, room.frames[1:100])
    room.receive(0, room.frames[100:])
    room.receive(1, room.frames[1:])
    room.stream.detach(room.readers[2])
    assert room.stream.attach(late, FIRST + 1)


def test_times_come_once_to_each_reader() -> None:
    """Those of the messages that have one, as soon as the whole message is there."""
    room = Room(messages=6)
    data = b"".join(room.frames[1:])
    seen = []
    for piece in (data[:10], data[10:300], data[300:]):
        room.stream.receive(room.readers[0], piece)
        seen.append(list(room.stream.arrivals(room.readers[0])))
    assert seen[0] == [0.0]
    assert seen[1] + seen[2] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert list(room.stream.arrivals(room.readers[0])) == []
    room.receive(1, room.frames[1:])
    assert list(room.stream.arrivals(room.readers[1])) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_echoes_tell_where_a_speaker_s_messages_end() -> None:
    """A talker sees from its offset how many of its own have come back."""
    room = Room(messages=4)
    room.receive(0, room.frames[1:])
    ends = list(room.stream.speaker(b"ann").echoes)
    assert len(ends) == 3
    assert ends[0] == len(room.frames[0])
