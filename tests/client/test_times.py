"""Times and days of the place where one is.  What is no time: ``test_render.py``."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.times import (
    LAST_MOMENT,
    NO_TIME,
    Days,
    clock_time,
    date_time,
    local_time,
)

HOUR = 3600_000
FRIDAY = 1795771800000
"""Friday, 27 November 2026, 09:30 UTC."""


@pytest.fixture
def zone(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The local time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("zone", ["UTC"], indirect=True)
def test_the_day_is_told_when_it_is_another(zone: str) -> None:
    days = Days(FRIDAY)
    assert days.turn(FRIDAY) == ""
    assert days.turn(FRIDAY + 14 * HOUR) == ""
    assert days.turn(FRIDAY + 15 * HOUR) == "Saturday, 28 November 2026"
    assert days.turn(FRIDAY + 16 * HOUR) == ""
    assert days.turn(FRIDAY) == "Friday, 27 November 2026", "backwards too"
    assert days.turn(FRIDAY + 4 * 24 * HOUR) == "Tuesday, 1 December 2026"


@pytest.mark.parametrize("zone", ["XXX-10"], indirect=True)
def test_days_and_hours_are_those_of_the_place(zone: str) -> None:
    days = Days(FRIDAY)
    assert clock_time(FRIDAY) == "19:30"
    assert days.turn(FRIDAY + 4 * HOUR) == ""
    assert days.turn(FRIDAY + 5 * HOUR) == "Saturday, 28 November 2026"


@pytest.mark.parametrize("zone", ["XXX-10"], indirect=True)
def test_a_time_of_another_day_has_its_day(zone: str) -> None:
    assert date_time(FRIDAY + 4 * HOUR, FRIDAY) == "23:30"
    next_day = "00:30 on Saturday, 28 November 2026"
    assert date_time(FRIDAY + 5 * HOUR, FRIDAY) == next_day
    assert date_time("soon", FRIDAY) == NO_TIME


@pytest.mark.parametrize("at", [None, -1, 1.5, True, "0", LAST_MOMENT])
def test_what_is_no_time_is_no_day(at: object) -> None:
    days = Days(FRIDAY)
    assert days.turn(at) == ""
    assert days.turn(FRIDAY) == ""


@given(st.lists(st.integers(0, LAST_MOMENT - 1)))
def test_a_day_is_told_exactly_where_it_changes(moments: list[int]) -> None:
    days = Days(FRIDAY)
    before = local_time(FRIDAY)
    for at in moments:
        local = local_time(at)
        assert local is not None
        assert before is not None
        assert bool(days.turn(at)) == (local[:3] != before[:3])
        before = local
