"""How things stand, in one row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.glyphs import graphemes, most_columns
from chatroom.client.lines import Line
from chatroom.client.status import ALARM, Status, fitted, status_line
from tests.client.characters import is_safe
from tests.support.strategies import texts

HERE = Status("lobby", "tea at five", "anna", 5, limit=2, rtt=0.0123)


def shown(status: Status, columns: int = 80) -> str:
    return status_line(status, columns).text.rstrip(" ")


def columns_of(text: str) -> int:
    return sum(map(most_columns, graphemes(text)))


def alarms(line: Line) -> list[str]:
    return [text for text, style in line.spans if style == ALARM]


def test_all_of_it() -> None:
    assert shown(HERE) == "[lobby] anna | 5 here | strikes 0/2 | 12 ms | tea at five"


@pytest.mark.parametrize(
    ("columns", "left"),
    [
        (57, "[lobby] anna | 5 here | strikes 0/2 | 12 ms | tea at five"),
        (56, "[lobby] anna | 5 here | strikes 0/2 | 12 ms | tea at fi…"),
        (54, "[lobby] anna | 5 here | strikes 0/2 | 12 ms | tea at …"),
        (50, "[lobby] anna | 5 here | strikes 0/2 | 12 ms"),
        (40, "[lobby] anna | 5 here | 12 ms | tea at …"),
        (25, "[lobby] anna | 5 here"),
        (20, "[lobby] anna"),
        (10, "[lobby]"),
        (5, "[lob…"),
        (1, "…"),
        (0, ""),
    ],
)
def test_what_matters_least_goes_first(columns: int, left: str) -> None:
    assert shown(HERE, columns) == left


def test_a_strike_stands_out_and_stays() -> None:
    struck = Status("lobby", "", "anna", 5, strikes=1, limit=2, rtt=0.5)
    assert shown(struck) == "[lobby] anna | 5 here | strikes 1/2 | 500 ms"
    assert shown(struck, 12) == "strikes 1/2"
    assert alarms(status_line(struck, 12)) == ["strikes 1/2"]
    assert not alarms(status_line(HERE, 80))
    assert "strikes 1" in shown(Status(strikes=1)), "of an unknown number"


def test_a_lost_connection_comes_first_and_stays_to_the_last() -> None:
    lost = Status("lobby", "", "anna", 5, 1, 2, "no connection, next try in 3 s", 0.5)
    assert shown(lost).startswith("no connection, next try in 3 s | [lobby] anna | ")
    assert " ms" not in shown(lost), "what was measured before is not so now"
    assert shown(lost, 16) == "no connection, …"
    assert alarms(status_line(lost, 16)) == ["no connection, …"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.0004, "0 ms"),
        (1.5, "1500 ms"),
        (9.9996, "10 s"),
        (75.2, "75 s"),
    ],
)
def test_round_trips(seconds: float, text: str) -> None:
    assert shown(Status("lobby", rtt=seconds)) == f"[lobby] | {text}"


def test_a_topic_alone() -> None:
    assert shown(Status(topic="tea")) == "tea"
    assert shown(Status()) == ""


STATUSES = st.builds(
    Status,
    texts,
    texts,
    texts,
    st.integers(0, 10**6),
    st.integers(0, 3),
    st.integers(0, 3),
    texts,
    st.none() | st.floats(0, 1000),
)


@given(STATUSES, st.integers(0, 200))
def test_it_is_one_clean_row_of_that_width(status: Status, columns: int) -> None:
    line = status_line(status, columns)
    assert all(map(is_safe, line.text))
    assert columns_of(line.text) <= columns
    for _, (mono, coloured) in line.spans:
        assert "7" in mono.split(";") and "7" in coloured.split(";")


@given(texts, st.integers(0, 30))
def test_what_does_not_fit_is_cut_and_marked(text: str, columns: int) -> None:
    found = fitted(text, columns)
    assert columns_of(found) <= columns
    if found != text:
        assert found == "" or found.endswith("…")
        assert text.startswith(found[:-1])
