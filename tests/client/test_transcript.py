"""What is seen of a room, whatever is missed of it."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.frames import Fields
from chatroom.client.transcript import MAX_OF_ANOTHER, PAGE, Event, Heard, Transcript
from chatroom.errors import BadPeer
from tests.client.fakes import MESSAGE, ROOM

HEAD = "what you missed:"
TAIL = "that is what you missed; from here on it is live"


def message(number: int, room: str = "lobby") -> Fields:
    return MESSAGE | {"id": number, "room": room, "text": f"text {number}"}


def room(last: int, oldest: int = 1, log: str = "log1", name: str = "lobby") -> Fields:
    return ROOM | {"room": name, "log": log, "last_id": last, "oldest_id": oldest}


def page(*numbers: int, more: bool = False) -> Fields:
    return {"messages": [message(number) for number in numbers], "more": more}


def entered(last: int = 3) -> Transcript:
    transcript = Transcript()
    transcript.enter(room(last))
    return transcript


def back(
    transcript: Transcript, last: int, oldest: int = 1, log: str = "log1"
) -> list[Event]:
    """Lose the connection and come back."""
    transcript.lost()
    return transcript.resume(room(last, oldest, log))


def told(events: list[Event]) -> list[str | int]:
    """Words as they are, missed messages as ids, live ones as negative ids."""
    found: list[str | int] = []
    for event in events:
        if isinstance(event, str):
            found.append(event)
        else:
            found.append(event.frame["id"] * (1 if event.back else -1))
    return found


# -- live -----------------------------------------------------------------------


def test_what_is_said_after_one_came_is_seen_once() -> None:
    transcript = entered(3)
    assert told(transcript.live(message(3))) == []
    assert told(transcript.live(message(4))) == [-4]
    assert told(transcript.live(message(4))) == []
    assert transcript.last_id == 4
    assert transcript.next_question() is None


def test_another_room_has_other_numbers() -> None:
    transcript = entered(3)
    assert told(transcript.live(message(1, "tea"))) == [-1]
    assert transcript.last_id == 3
    transcript.enter(room(9, name="tea", log="log2"))
    assert (transcript.room, transcript.last_id, transcript.log) == ("tea", 9, "log2")


# -- back again -----------------------------------------------------------------


def test_nothing_was_missed() -> None:
    transcript = entered(3)
    assert back(transcript, 3) == []
    assert transcript.next_question() is None
    assert told(transcript.live(message(4))) == [-4]


def test_what_was_missed_is_asked_for_page_by_page() -> None:
    transcript = entered(3)
    assert back(transcript, 6) == []
    question = {"type": "history", "after": 3, "limit": PAGE}
    assert transcript.next_question() == question
    assert transcript.next_question() is None, "one after the other"
    assert told(transcript.page(page(4, 5, more=True))) == [HEAD, 4, 5]
    assert transcript.next_question() == question | {"after": 5}
    assert told(transcript.page(page(6))) == [6, TAIL]
    assert transcript.next_question() is None
    assert told(transcript.live(message(7))) == [-7]


def test_what_is_said_meanwhile_is_in_the_pages() -> None:
    transcript = entered(3)
    back(transcript, 5)
    transcript.next_question()
    assert transcript.live(message(6)) == []
    assert told(transcript.page(page(4, 5, 6))) == [HEAD, 4, 5, 6, TAIL]


def test_what_is_known_is_dropped() -> None:
    transcript = entered(3)
    back(transcript, 5)
    transcript.next_question()
    assert told(transcript.page(page(2, 3, 4, 5))) == [HEAD, 4, 5, TAIL]


def test_cut_between_two_pages() -> None:
    transcript = entered(3)
    back(transcript, 7)
    transcript.next_question()
    transcript.page(page(4, 5, more=True))
    transcript.next_question()
    assert back(transcript, 8) == []
    question = transcript.next_question()
    assert question is not None
    assert question["after"] == 5
    assert told(transcript.page(page(6, 7, 8))) == [HEAD, 6, 7, 8, TAIL]


def test_a_server_that_cannot_read_its_history_is_left_alone() -> None:
    transcript = entered(3)
    back(transcript, 5)
    transcript.next_question()
    transcript.refused()
    assert transcript.stuck
    assert transcript.next_question() is None
    transcript.stuck = False
    assert transcript.next_question() is not None
    transcript.refused()
    back(transcript, 5)
    assert transcript.next_question() is not None, "another connection, another try"


def test_pages_without_end_are_a_fault() -> None:
    transcript = entered(3)
    back(transcript, 5)
    transcript.next_question()
    with pytest.raises(BadPeer, match="nothing new"):
        transcript.page(page(2, 3, more=True))


# -- what is gone ---------------------------------------------------------------


def test_what_was_trimmed_is_told() -> None:
    transcript = entered(3)
    assert back(transcript, 8, 7) == []
    assert not transcript.torn
    transcript.next_question()
    gone = "3 messages that you missed: gone from the server"
    assert told(transcript.page(page(7, 8))) == [HEAD, gone, 7, 8, TAIL]
    assert transcript.torn


def test_everything_was_trimmed() -> None:
    transcript = entered(3)
    back(transcript, 4, 5)
    transcript.next_question()
    gone = "1 message that you missed: gone from the server"
    assert told(transcript.page(page())) == [HEAD, gone, TAIL]
    assert transcript.last_id == 4


def test_what_was_said_meanwhile_is_trimmed_too() -> None:
    transcript = entered(3)
    back(transcript, 4)
    transcript.next_question()
    transcript.live(message(5))
    gone = "2 messages that you missed: gone from the server"
    assert told(transcript.page(page())) == [HEAD, gone, TAIL]
    assert told(transcript.live(message(6))) == [-6]


def test_a_gap_is_known_until_all_is_read() -> None:
    transcript = entered(3)
    back(transcript, 9, 5)
    transcript.next_question()
    transcript.page(page(5, more=True))
    back(transcript, 9, 5)
    torn = [transcript.torn]
    transcript.next_question()
    transcript.page(page(6, 7, 8, 9))
    torn.append(transcript.torn)
    back(transcript, 9, 5)
    torn.append(transcript.torn)
    back(transcript, 11, 11)
    transcript.next_question()
    transcript.page(page(11))
    torn.append(transcript.torn)
    transcript.enter(room(2, name="tea"))
    torn.append(transcript.torn)
    assert torn == [True, True, False, True, False]


def test_a_log_that_has_lost_its_end() -> None:
    transcript = entered(9)
    (words,) = back(transcript, 7)
    assert words == "the server has lost 2 messages that you have seen"
    assert transcript.last_id == 7
    assert told(transcript.live(message(8))) == [-8]


@pytest.mark.parametrize(
    ("last", "oldest", "after"),
    [
        (5, 1, 0),
        (0, 1, 0),
        (9, 7, 6),
        (MAX_OF_ANOTHER + 50, 1, 50),
        (MAX_OF_ANOTHER + 50, 90, 89),
        (8, 9, 8),
    ],
)
def test_another_log_is_told_and_its_newest_shown(
    last: int, oldest: int, after: int
) -> None:
    transcript = entered(3)
    (words,) = back(transcript, last, oldest, log="log2")
    assert isinstance(words, str)
    assert "another history" in words
    assert transcript.log == "log2"
    assert transcript.last_id == after
    question = transcript.next_question()
    assert (question and question["after"]) == (after if after < last else None)
    assert not transcript.torn


# -- a whole stay ---------------------------------------------------------------


@dataclass
class Log:
    """A room of a server, as far as one member sees it: written without a look at the
    client."""

    last: int = 0
    oldest: int = 1
    wire: list[Fields] = field(default_factory=list)
    """What is on its way to the member."""

    def speak(self) -> None:
        self.last += 1
        self.wire.append(message(self.last))

    def trim(self, number: int) -> None:
        self.oldest = min(self.oldest + number, self.last + 1)

    def answer(self, question: Fields, size: int) -> None:
        begin = max(question["after"] + 1, self.oldest)
        end = min(begin + size, self.last + 1)
        numbers = range(begin, end)
        self.wire.append(page(*numbers, more=end <= self.last))


STEPS = st.one_of(
    st.tuples(st.just("speak"), st.integers(1, 8)),
    st.tuples(st.just("hear"), st.integers(1, 8)),
    st.tuples(st.just("page"), st.integers(1, 5)),
    st.tuples(st.just("cut"), st.integers(0, 8)),
    st.tuples(st.just("trim"), st.integers(1, 6)),
)


@given(st.integers(0, 5), st.lists(STEPS, max_size=40))
def test_each_message_is_seen_once_or_told_to_be_gone(
    first: int, steps: list[tuple[str, int]]
) -> None:
    log = Log(first)
    transcript = entered(first)
    shown: list[int] = []
    gone = 0

    def take(number: int) -> None:
        nonlocal gone
        for frame in log.wire[:number]:
            events = transcript.page(frame) if "more" in frame else None
            for event in transcript.live(frame) if events is None else events:
                if isinstance(event, Heard):
                    shown.append(event.frame["id"])
                elif "gone from the server" in event:
                    gone += int(event.split()[0])
        del log.wire[:number]

    def ask(size: int) -> bool:
        question = transcript.next_question()
        if question is not None:
            log.answer(question, size)
        return question is not None

    for step, number in steps:
        if step == "speak":
            for _ in range(number):
                log.speak()
        elif step == "hear":
            take(number)
        elif step == "page":
            ask(number)
        elif step == "trim":
            log.trim(number)
        else:
            log.wire.clear()
            transcript.lost()
            for _ in range(number):
                log.speak()
            log.wire.clear()
            assert transcript.resume(room(log.last, log.oldest)) == []
    take(len(log.wire))
    while ask(3):
        take(len(log.wire))
    assert shown == sorted(set(shown))
    assert all(number > first for number in shown)
    assert len(shown) + gone == log.last - first
    assert set(range(max(log.oldest, first + 1), log.last + 1)) <= set(shown)
    assert not transcript.catching_up
