"""What becomes of what an operator asks for."""

from chatroom.client.operating import Operating

LOGIN = {"type": "op", "do": "login", "key": "sesame"}


def test_what_is_answered_is_not_in_doubt() -> None:
    operating = Operating()
    operating.asked({"type": "op", "do": "kick", "nick": "bob"})
    operating.asked({"type": "op", "do": "lock"})
    assert operating.answer({"type": "op", "do": "kick", "text": "x"}, "a") is None
    assert operating.answer(None, "a") is None, "refused"
    assert operating.lost() == []


def test_what_is_not_answered_is_told_once() -> None:
    operating = Operating()
    operating.asked({"do": "ban", "nick": "bob", "seconds": 1, "reason": "x"})
    operating.asked({"do": "bans"})
    operating.asked({"do": "unban", "address": "10.0.0.1"})
    operating.asked({"do": "topic", "topic": "tea", "nick": 1})
    operating.asked(LOGIN)
    assert operating.lost() == [
        "no answer came, and it may be done or not: ban bob",
        "no answer came, and it may be done or not: unban 10.0.0.1",
        "no answer came, and it may be done or not: topic",
        "no answer came to your operator's key; try /op again",
    ]
    assert operating.lost() == []


def test_an_operator_is_one_in_his_session_only() -> None:
    operating = Operating()
    assert operating.welcome("a") == []
    operating.asked(LOGIN)
    operating.answer(None, "a")
    assert operating.welcome("b") == [], "that was no key"
    operating.asked(LOGIN)
    operating.answer({"type": "op", "do": "login", "text": "x"}, "b")
    assert operating.welcome("b") == []
    told = ["you are no operator any more; /op makes you one again"]
    assert operating.welcome("c") == told
    assert operating.welcome("d") == []
