"""Whose question an answer belongs to."""

from chatroom.client.frames import Fields
from chatroom.client.questions import Questions
from chatroom.client.transcript import Event

MEMBERS: Fields = {"type": "members"}
ROOMS: Fields = {"type": "rooms"}
HISTORY: Fields = {"type": "history"}
LOCK: Fields = {"type": "op", "do": "lock"}


class Taker:
    """Somebody who wants to know, and what he was told."""

    def __init__(self) -> None:
        self.told: list[Fields | None] = []

    def __call__(self, answer: Fields | None) -> list[Event]:
        self.told.append(answer)
        return ["taken"] if answer is not None else ["refused"]


def test_answers_go_to_who_asked_in_the_order_asked() -> None:
    questions, first, second = Questions(), Taker(), Taker()
    questions.ask({"type": "history"}, first)
    questions.ask({"type": "history"})
    questions.ask({"type": "who"})
    questions.ask({"type": "history"}, second)
    assert questions.answered("history", HISTORY | {"n": 1}) == ["taken"]
    assert questions.answered("history", HISTORY | {"n": 2}) is None
    assert questions.answered("who", MEMBERS) is None
    assert questions.answered("history", HISTORY | {"n": 4}) == ["taken"]
    assert first.told == [HISTORY | {"n": 1}]
    assert second.told == [HISTORY | {"n": 4}]


def test_what_nobody_has_asked_for_is_shown() -> None:
    questions, taker = Questions(), Taker()
    assert questions.answered("rooms", ROOMS) is None
    questions.ask({"type": "who"}, taker)
    assert questions.answered("rooms", ROOMS) is None
    assert questions.answered("who", MEMBERS) == ["taken"]


def test_what_is_passed_over_is_refused() -> None:
    questions, one, other = Questions(), Taker(), Taker()
    questions.ask({"type": "who"}, one)
    questions.ask({"type": "who"})
    questions.ask({"type": "rooms"}, other)
    assert questions.answered("rooms", ROOMS) == ["refused", "taken"]
    assert one.told == [None]
    questions.ask({"type": "who"}, one)
    questions.ask({"type": "history"})
    assert questions.answered("history", HISTORY) is None


def test_an_error_is_for_the_first() -> None:
    questions, taker = Questions(), Taker()
    assert questions.refused() == []
    questions.ask({"type": "history"}, taker)
    questions.ask({"type": "who"})
    assert questions.refused() == ["refused"]
    assert questions.refused() == []
    assert questions.answered("who", MEMBERS) is None


def test_an_operators_question_is_one_like_the_others() -> None:
    questions, taker = Questions(), Taker()
    questions.ask({"type": "who"}, taker)
    questions.ask(LOCK)
    assert questions.answered("op unlock", LOCK) is None
    assert questions.answered("op lock", LOCK) is None
    assert taker.told == [None]
    questions.ask(LOCK, taker)
    assert questions.refused() == ["refused"]


def test_an_error_that_answers_nothing() -> None:
    questions = Questions()
    assert questions.is_unasked("muted")
    assert questions.is_unasked("not-allowed")
    assert not questions.is_unasked("internal")
    questions.ask(LOCK)
    questions.ask({"type": "who"})
    assert questions.is_unasked("muted"), "no operator is told that of another"
    assert not questions.is_unasked("not-allowed")
    questions.refused()
    assert questions.is_unasked("not-allowed"), "that is no answer to who"


def test_nothing_is_answered_over_another_connection() -> None:
    questions, taker = Questions(), Taker()
    questions.ask({"type": "history"}, taker)
    questions.lost()
    assert questions.answered("history", HISTORY) is None
    assert not taker.told
