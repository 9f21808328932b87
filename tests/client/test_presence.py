"""Who comes and goes, one by one or as a crowd."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.frames import Fields
from chatroom.client.presence import MAX_HELD, MAX_NAMED, WINDOW, Presence

Event = tuple[str, str]
"""A nick, and "joined" or why it has left."""


def frame(nick: str, what: str = "joined") -> Fields:
    if what == "joined":
        return {"type": "joined", "room": "lobby", "nick": nick}
    return {"type": "left", "room": "lobby", "nick": nick, "reason": what}


def at_once(*events: Event) -> list[str]:
    """All that is told of *events*, at one moment."""
    presence = Presence()
    told = [one for event in events for one in presence.take(frame(*event), 0.0)]
    return [one.text for one in told + presence.flush(WINDOW)]


def crowd(*events: Event) -> str:
    """What is told of *events* that follow another."""
    first, *rest = at_once(("first", "joined"), *events)
    assert first == "first has joined"
    return "\n".join(rest)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([("a", "joined")], "a has joined"),
        ([("a", "joined"), ("b", "joined")], "2 have joined: a, b"),
        ([("a", "joined"), ("b", "leave")], "a has joined; b has left"),
        (
            [("a", "leave"), ("b", "joined"), ("c", "leave"), ("d", "joined")],
            "2 have left: a, c; 2 have joined: b, d",
        ),
        (
            [("a", "lost"), ("b", "lost"), ("c", "moved"), ("d", "moved")],
            "2 have lost the connection: a, b; 2 have gone to another room: c, d",
        ),
        ([("a", "idle"), ("b", "idle")], "2 were silent for too long: a, b"),
        ([("a", "shutdown")], "a has left: the server stops"),
        (
            [("a", "shutdown"), ("b", "shutdown")],
            "2 have left as the server stops: a, b",
        ),
        ([("a", "replaced"), ("b", "replaced")], "2 are here from elsewhere: a, b"),
        ([("a", "joined"), ("a", "lost")], "a came and went"),
        ([("a", "lost"), ("a", "joined")], "a left and came back"),
        ([("a", "joined"), ("a", "lost"), ("a", "joined")], "a has joined"),
        ([("a", "lost"), ("a", "joined"), ("a", "leave")], "a has left"),
        ([("first", "leave")], "first has left"),
        (
            [("a", "joined"), ("b", "shouting"), ("c", "joined")],
            "a has joined\nb was kicked for shouting\nc has joined",
        ),
        ([("a", "joined"), ("a", "banned")], "a has joined\na was banned"),
        ([("a", "operator")], "a was kicked by an operator"),
        ([("a", "new")], "a has left (new)"),
        ([("a", "joined\x1b")], "a has left (joined\u241b)"),
        ([("a", "visited")], "a has left (visited)"),
        ([("a\x1b", "joined"), ("b\x1b", "joined")], "2 have joined: a\u241b, b\u241b"),
        ([("x" * 33, "joined")], "x" * 33 + " has joined"),
        ([("x" * 33, "leave")], "x" * 33 + " has left"),
    ],
)
def test_words(events: list[Event], text: str) -> None:
    assert crowd(*events) == text


def test_many_are_counted() -> None:
    nicks = [f"n{number}" for number in range(MAX_NAMED + 12)]
    named = ", ".join(nicks[:MAX_NAMED])
    assert crowd(*((nick, "joined") for nick in nicks)) == (
        f"{len(nicks)} have joined: {named} and 12 others"
    )
    assert crowd(*((nick, "leave") for nick in nicks[: MAX_NAMED + 1])).endswith(
        f"n{MAX_NAMED - 1} and 1 other"
    )


def test_kicks_are_loud_and_the_rest_is_not() -> None:
    presence = Presence()
    told = [*presence.take(frame("a"), 0), *presence.take(frame("b", "banned"), 0)]
    assert [one.loud for one in told] == [False, True]


def test_windows() -> None:
    presence = Presence()

    def take(nick: str, now: float) -> tuple[list[str], float | None]:
        return [one.text for one in presence.take(frame(nick), now)], presence.due

    def flush(now: float) -> tuple[list[str], float | None]:
        return [one.text for one in presence.flush(now)], presence.due

    assert take("a", 10) == (["a has joined"], None)
    assert take("b", 11) == ([], 10 + WINDOW)
    assert flush(12) == (["b has joined"], None)
    assert take("c", 13) == ([], 12 + WINDOW), "the crowd goes on"
    assert flush(13.5) == (["c has joined"], None)
    assert flush(13.6) == ([], None)
    assert take("d", 14) == (["d has joined"], None)


def test_a_window_that_ended_late_is_told_first() -> None:
    presence = Presence()
    presence.take(frame("a"), 0)
    presence.take(frame("b"), 1)
    assert [one.text for one in presence.take(frame("c"), 50)] == ["b has joined"]
    assert presence.due == 50 + WINDOW


def test_no_crowd_is_held_for_ever() -> None:
    presence = Presence()
    held = 0
    for number in range(5 * MAX_HELD):
        told = presence.take(frame(f"n{number}"), 0)
        held = 0 if told else held + 1
        assert held < MAX_HELD
        assert len(presence._held) < MAX_HELD


# -- whatever happens ---------------------------------------------------------------

NICKS = [f"n{number}" for number in range(12)]
WHATS = ["joined", "joined", "leave", "lost", "shouting"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*NICKS, ""]),  # "": something else is shown
        st.sampled_from(WHATS),
        st.sampled_from([0.0, 0.5, WINDOW]),
    ),
    max_size=60,
)
AFTER = {
    "has joined": True,
    "have joined": True,
    "left and came back": True,
    "came and went": False,
}


def read(text: str) -> dict[str, bool]:
    """Who is here after what *text* tells, and who is not."""
    here = {}
    for group in text.split("; "):
        several = re.fullmatch(r"(\d+) ([^:]*): (.*?)(?: and (\d+) others?)?", group)
        if several is None:
            nick, _, what = group.partition(" ")
            here[nick] = AFTER.get(what, False)
            continue
        count, what, named, others = several.groups()
        nicks = named.split(", ")
        assert int(count) == len(nicks) + int(others or 0)
        assert len(nicks) <= MAX_NAMED
        here |= dict.fromkeys(nicks, AFTER.get(what, False))
        here |= {f"unnamed {number}": False for number in range(int(others or 0))}
    return here


@given(STEPS)
def test_everybody_is_told_as_it_came_out_and_kicks_are_told_in_place(
    steps: list[tuple[str, str, float]],
) -> None:
    presence = Presence()
    now = 0.0
    untold: dict[str, bool] = {}
    for nick, what, wait in steps:
        now += wait
        due = presence.due
        if due is not None:
            assert untold
            assert now - due <= WINDOW
            if now >= due:
                check(untold, [one.text for one in presence.flush(now)])
        if nick == "":
            check(untold, [one.text for one in presence.flush(now)])
            assert presence.due is None
            continue
        told = [one.text for one in presence.take(frame(nick, what), now)]
        if what == "shouting":
            assert told.pop() == f"{nick} was kicked for shouting"
            check(untold, told)
            assert not untold
            continue
        untold[nick] = what == "joined"
        if told:
            check(untold, told)
    check(untold, [one.text for one in presence.flush(now)])


def check(untold: dict[str, bool], told: list[str]) -> None:
    """All that is untold is told now, once and as it is."""
    found: dict[str, bool] = {}
    for text in told:
        here = read(text)
        assert not found.keys() & here.keys()
        found |= here
    named = {nick: here for nick, here in found.items() if nick in untold}
    assert named == {nick: untold[nick] for nick in named}
    assert len(found) == len(untold)
    untold.clear()
