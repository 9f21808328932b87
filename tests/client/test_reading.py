"""Where one has stopped reading."""

from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.reading import Reading


def test_the_first_that_comes_unseen_is_told_once() -> None:
    reading = Reading()
    assert reading.unread() is None
    reading.look(False, 5)
    reading.look(False, 6)
    assert reading.unread() == 5
    assert reading.unread() is None
    reading.look(False, 7)
    assert reading.unread() is None, "nothing was read since"


def test_nothing_is_unread_when_nothing_came_meanwhile() -> None:
    reading = Reading()
    reading.look(False, 5)
    reading.look(True, 6)
    assert reading.unread() is None


@given(st.lists(st.sampled_from(["away", "here", "comes"])))
def test_one_mark_for_each_time_away_in_which_something_comes(steps: list[str]) -> None:
    reading = Reading()
    marks = []
    for at, step in enumerate(steps):
        if step == "comes":
            marks.append(reading.unread())
        else:
            reading.look(step == "here", at)
    expected = []
    away = None
    for at, step in enumerate(steps):
        if step == "here":
            away = None
        elif step == "away":
            away = (at, False) if away is None else away
        else:
            expected.append(away[0] if away is not None and not away[1] else None)
            away = None if away is None else (away[0], True)
    assert marks == expected
