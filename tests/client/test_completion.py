"""What Tab may make of a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.commands import COMMANDS
from chatroom.client.completion import complete
from chatroom.core.text import nick_key

NICKS = ["bob", "Bärbel", "eve", "bo\uff42"]
ROOMS = ["tea", "lobby", "tearoom"]


@pytest.mark.parametrize(
    ("before", "start", "options"),
    [
        ("/h", 0, ["/help ", "/history "]),
        ("/HI", 0, ["/history "]),
        ("/x", 0, []),
        ("//h", 0, []),
        ("/msg b", 5, ["bob ", "Bärbel ", "bo\uff42 "]),
        ("/msg B\u00c4", 5, ["Bärbel "]),
        ("/msg \uff42o", 5, ["bob ", "bo\uff42 "]),
        ("/msg bob hi e", 12, ["eve "]),
        ("/r e", 3, ["eve "]),
        ("/r hi e", 6, ["eve "]),
        ("/ignore e", 8, ["eve "]),
        ("/ignore eve e", 12, []),
        ("/join te", 6, ["tea ", "tearoom "]),
        ("/join tea t", 10, []),
        ("/rooms l", 7, ["lobby "]),
        ("/help j", 6, ["join "]),
        ("/help /j", 6, ["join "]),
        ("/search b", 8, []),
        ("/no-such b", 9, []),
        ("e", 0, ["eve: "]),
        ("x\ne", 2, ["eve: "]),
        (" e", 1, ["eve "]),
        ("hello e", 6, ["eve "]),
        ("hello (e", 6, []),
        ("hello x", 6, []),
        ("", 0, ["bob: ", "Bärbel: ", "eve: ", "bo\uff42: "]),
        ("b" * 100_000, 0, []),
    ],
)
def test_completions(before: str, start: int, options: list[str]) -> None:
    found = complete(before, NICKS, ROOMS)
    assert (found.start, list(found.options)) == (start, options)


@given(st.text(alphabet="/ \nbetäo\uff42jinmsgr"), st.permutations(NICKS))
def test_what_is_offered_begins_with_what_is_there(
    before: str, nicks: list[str]
) -> None:
    found = complete(before, nicks, ROOMS)
    word = nick_key(before[found.start :].removeprefix("/"))
    assert 0 <= found.start <= len(before)
    assert not any(char.isspace() for char in before[found.start :])
    for option in found.options:
        assert nick_key(option.removeprefix("/")).startswith(word)
        assert option.strip(":/ ") in (*NICKS, *ROOMS, *COMMANDS)
