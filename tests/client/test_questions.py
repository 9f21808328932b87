"""Whose question an answer belongs to."""

from chatroom.client.frames import Fields
from chatroom.client.questions import Questions
from chatroom.client.transcript import Event

MEMBERS: Fields = {"type": "members"}
ROOMS: Fields = {"type": "rooms"}
HISTORY: Fields = {"type": "history"}


class Taker:
    """Somebody who wants to know, and what he was told."""

    def __init__(self) -> None:
        self.told: list[Fields | None] = []

    def __call__(self, answer: Fields | None) -> list[Event]:
        self.told.append(answer)
        return ["taken"] if answer is not None else ["refused"]


def test_answers_go_to_who_asked_in_the_order_asked() -> None:
    questions, first, second = Questions(), Taker(), Taker()
    questions.ask("history", first)
    questions.ask("history")
    questions.ask("who")
    questions.ask("history", second)
    assert questions.answered("history", HISTORY | {"n": 1}) == ["taken"]
    assert questions.answered("history", HISTORY | {"n": 2}) is None
    assert questions.answered("members", MEMBERS) is None
    assert questions.answered("history", HISTORY | {"n": 4}) == ["taken"]
    assert first.told == [HISTORY | {"n": 1}]
    assert second.told == [HISTORY | {"n": 4}]


def test_what_nobody_has_asked_for_is_shown() -> None:
    questions, taker = Questions(), Taker()
    assert questions.answered("rooms", ROOMS) is None
    questions.ask("who", taker)
    assert questions.answered("rooms", ROOMS) is None
    assert questions.answered("members", MEMBERS) == ["taken"]


def test_what_is_passed_over_is_refused() -> None:
    questions, one, other = Questions(), Taker(), Taker()
    questions.ask("who", one)
    questions.ask("who")
    questions.ask("rooms", other)
    assert questions.answered("rooms", ROOMS) == ["refused", "taken"]
    assert one.told == [None]
    questions.ask("who", one)
    questions.ask("history")
    assert questions.answered("history", HISTORY) is None


def test_an_error_is_for_the_first() -> None:
    questions, taker = Questions(), Taker()
    assert questions.refused() == []
    questions.ask("history", taker)
    questions.ask("who")
    assert questions.refused() == ["refused"]
    assert questions.refused() == []
    assert questions.answered("members", MEMBERS) is None


def test_nothing_is_answered_over_another_connection() -> None:
    questions, taker = Questions(), Taker()
    questions.ask("history", taker)
    questions.lost()
    assert questions.answered("history", HISTORY) is None
    assert not taker.told
