"""A restart that was planned loses nothing, doubles nothing and turns nobody away.

The scene of ``make bench ARGS='--only restart'``, with a smaller crowd; how long it
takes is not looked at.
"""

from pathlib import Path

import pytest

from tests.crash.restart import Figures, Witness, compare, through_restart


def expect_nothing(figures: Figures) -> None:
    """Every promise was kept, and there was something to promise."""
    assert figures.lost == []
    assert figures.doubled == []
    assert figures.turned_away == 0
    assert figures.said_away, "nobody spoke at the time that matters"
    assert figures.attempts


def test_a_restart_on_a_port_that_stays(tmp_path: Path) -> None:
    """Fifty chat, newcomers arrive all the while, and nobody is refused for once."""
    figures = through_restart(
        tmp_path, clients=50, rooms=3, pace=0.5, before=0.5, after=0.5, pause=0.3
    )
    expect_nothing(figures)
    assert figures.newcomers
    # Each that was there comes once: who connects is not refused, but waits.
    assert len(figures.attempts) <= figures.clients + figures.newcomers


def test_a_restart_on_a_port_that_goes(tmp_path: Path) -> None:
    """They are refused, come back all the same, and nothing is lost."""
    figures = through_restart(
        tmp_path,
        clients=50,
        rooms=3,
        pace=0.5,
        before=0.5,
        after=0.5,
        pause=0.3,
        lend=False,
    )
    expect_nothing(figures)
    assert len(figures.attempts) > figures.clients


# -- the comparison itself -------------------------------------------------------

ROWS = [("tea", 1, "a"), ("tea", 2, "b"), ("tea", 3, "c"), ("milk", 1, "d")]
ANN = Witness("ann", "tea", ["b", "c"], 1, [2, 3])
BOB = Witness("bob", "milk", ["d"], 0, [1])


def test_whole_testimonies_are_no_finding() -> None:
    assert compare([ANN, BOB], ROWS) == ([], [])


@pytest.mark.parametrize(
    ("witness", "rows", "lost", "doubled"),
    [
        (Witness("ann", "tea", ["b", "e"], 1, [2, 3]), ROWS, 1, 0),
        (Witness("ann", "tea", [], 1, [2]), ROWS, 1, 0),
        (Witness("ann", "tea", [], 0, [2, 3]), ROWS, 1, 0),
        (Witness("ann", "tea", [], 1, [2, 3, 2]), ROWS, 0, 1),
        (ANN, [*ROWS, ("milk", 2, "c")], 0, 1),
        (Witness("ann", "tea", [], 1, [3, 3]), ROWS, 1, 1),
    ],
    ids=["not kept", "not seen", "not seen first", "seen twice", "kept twice", "both"],
)
def test_what_is_missing_or_there_twice_is_found(
    witness: Witness, rows: list[tuple[str, int, str]], lost: int, doubled: int
) -> None:
    found = compare([witness], rows)
    assert (len(found[0]), len(found[1])) == (lost, doubled)
