"""Nothing that anyone saw is lost, whatever kills the server or cuts its connections.

Short runs of the scenes in tests/crash; ``make crash-test`` runs them for long.  The
clients record all that they see, and a checker that shares no code with them or the
server holds the records against the file.  Seeded mistakes show that it would find
what it looks for.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.crash import checker, overseer, recorder, scenes
from tests.crash.launcher import FAULTS
from tests.crash.overseer import SCRIPT
from tests.crash.piped import FAULTS as PIPED_FAULTS
from tests.crash.recorder import FAULTS as CLIENT_FAULTS
from tests.crash.scenes import HARMLESS, PIPED, SEEDED, Figures, Seeded
from tests.crash.victims import Nursery


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """What forks servers for all tests of this module."""
    with Nursery() as one:
        yield one


def expect_nothing(figures: Figures) -> None:
    """Every promise was kept, and there was something to promise."""
    assert not figures.verdict.violations, str(figures.verdict)
    assert figures.verdict.messages
    assert figures.reconnects


def test_kills_at_random_moments_under_load(tmp_path: Path) -> None:
    """Nine talk, the server is killed again and again, all come back by themselves."""
    figures = scenes.random_kills(
        tmp_path, 4, seed=20_240, pace=0.03, in_pipes=1, least=10
    )
    expect_nothing(figures)
    assert figures.kills == 4
    assert figures.piped
    assert figures.verdict.strikes, "nobody shouted"
    assert figures.verdict.orders


def test_kill_at_every_step_around_a_commit_and_a_sending(
    tmp_path: Path, nursery: Nursery
) -> None:
    """A text and a shout: there is no moment at which dying would lose one."""
    figures = scenes.every_step(tmp_path, nursery, lines=2, awake="line-1")
    expect_nothing(figures)
    assert figures.kills >= 12, "so many steps there are at least"
    assert figures.verdict.again, "no death was early enough"
    assert figures.verdict.judged, "no death was between a commit and a sending"


def test_a_kill_at_every_step_while_an_operator_gives_orders(
    tmp_path: Path, nursery: Nursery
) -> None:
    """What he was told is done holds after it; he is still who he was."""
    figures = scenes.orders_at_every_step(tmp_path, nursery, SCRIPT[:3])
    assert not figures.verdict.violations, str(figures.verdict)
    assert figures.kills >= 20, "so many steps there are at least"
    assert figures.verdict.orders == 3 * figures.runs


def test_kills_around_a_commit_while_a_user_speaks(
    tmp_path: Path, nursery: Nursery
) -> None:
    """The client that users run owes what was not kept, and nothing else."""
    place = tmp_path / "run"
    figures = scenes.user_deaths(place, nursery, scenes.SOME_DEATHS)
    assert not figures.verdict.violations, str(figures.verdict)
    assert figures.kills == len(scenes.SOME_DEATHS) + 1
    assert figures.piped == figures.kills


def test_connections_cut_at_random_bytes(tmp_path: Path) -> None:
    """Eleven talk through a proxy that cuts; each transcript equals the file."""
    figures = scenes.cutting(
        tmp_path, 1.5, seed=7, pace=0.05, every=(0.05, 0.6), in_pipes=1, least=10
    )
    expect_nothing(figures)
    assert figures.kills == 0
    assert figures.piped


@pytest.mark.parametrize(
    "module", [checker, recorder, overseer], ids=["checker", "recorder", "overseer"]
)
def test_checker_and_recorders_share_no_code_with_what_they_check(
    module: ModuleType,
) -> None:
    """What is wrong there would be wrong here, too."""
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(f"{'.' * node.level}{node.module}")
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize("seeded", HARMLESS, ids=lambda one: one.name)
def test_checker_finds_nothing_where_nothing_is_wrong(
    seeded: Seeded, tmp_path: Path, nursery: Nursery
) -> None:
    """Else what it finds below would mean nothing."""
    verdict = scenes.with_a_mistake(tmp_path / "run", nursery, seeded)
    assert not verdict.violations, str(verdict)
    assert bool(verdict.refused) == ("refuse_in" in seeded.plan)


@pytest.mark.parametrize("seeded", SEEDED, ids=lambda one: one.name)
def test_checker_finds_a_seeded_mistake(
    seeded: Seeded, tmp_path: Path, nursery: Nursery
) -> None:
    """Each mistake is found, and called by a name that fits it."""
    verdict = scenes.with_a_mistake(tmp_path / "run", nursery, seeded)
    assert seeded.expected & verdict.kinds().keys(), str(verdict)


@pytest.mark.parametrize(("expected", "fault"), PIPED)
def test_checker_finds_what_is_wrong_with_a_client_in_a_pipe(
    expected: str, fault: str, tmp_path: Path
) -> None:
    """Of its lines all that matters is compared, though nothing of its frames is."""
    kinds = scenes.in_a_pipe(tmp_path, fault).kinds()
    assert kinds[expected] if expected else not kinds, kinds


def test_every_mistake_that_can_be_built_in_is_seeded() -> None:
    """None of them is written down and never tried."""
    assert FAULTS.keys() <= {seeded.name for seeded in SEEDED}
    assert set(CLIENT_FAULTS) == {one.client for one in SEEDED} - {""}
    assert set(PIPED_FAULTS) == {fault for expected, fault in PIPED if expected}
