"""What all rooms hold in memory together, and who gives where it is too much."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatroom.config import MAX_KEPT, MIB, Settings
from chatroom.core.orders import MAX_ORDERS
from chatroom.server import parts
from chatroom.server.parts import ORDER_BYTES, max_kept, worst_case_memory
from tests.server.conftest import Start
from tests.support.inprocess import Client, World

KIB = 1024
LIMIT = 200 * KIB


@pytest.fixture(autouse=True)
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rooms have little."""
    monkeypatch.setattr(parts, "MAX_KEPT", LIMIT)


def fill(world: World, client: Client, size: int) -> int:
    """Say about *size* bytes in the room of *client*; return how many messages."""
    for number in range(size // KIB):
        client.send("say", text=f"{number} ".ljust(KIB - 150, "x"))
        world.settle()
    client.frames()
    return size // KIB


def kept(world: World, client: Client) -> list[int]:
    """Return the ids that the history of its room has for *client*."""
    found: list[int] = []
    while True:
        client.send("history", limit=200, after=found[-1] if found else 0)
        world.settle()
        (page,) = client.frames()
        found += [message["id"] for message in page["messages"]]
        if not page["more"]:
            assert not found or page["oldest_id"] == found[0]
            return found


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "file"])
def test_the_largest_rooms_give(start: Start, tmp_path: Path, on_disk: bool) -> None:
    """A small one loses nothing; with a file behind it, none does."""
    path = str(tmp_path / "history.db") if on_disk else ""
    world = start(keep_bytes=LIMIT, history=path)
    small = world.join("ann", room="small")
    said = fill(world, small, 30 * KIB)
    greedy = [world.join(f"g{n}", room=f"r{n}") for n in range(4)]
    for client in greedy:
        assert fill(world, client, 150 * KIB) == 150
        assert world.server.store.held.size <= LIMIT
    assert kept(world, small) == list(range(1, said + 1))
    for client in greedy:
        ids = kept(world, client)
        assert ids == list(range(151 - len(ids), 151))
        assert len(ids) == 150 if on_disk else 25 <= len(ids) < 60
    small.send("say", text="it goes on")
    world.settle()
    assert small.frames()[0]["id"] == said + 1


def test_one_room_may_have_what_it_is_given(start: Start) -> None:
    world = start(keep_bytes=2 * LIMIT)
    client = world.join("ann")
    fill(world, client, 300 * KIB)
    assert kept(world, client) == list(range(1, 301))


def test_without_a_limit_there_is_none(start: Start) -> None:
    world = start(keep_bytes=0)
    clients = [world.join(f"g{n}", room=f"r{n}") for n in range(2)]
    for client in clients:
        fill(world, client, 150 * KIB)
        assert len(kept(world, client)) == 150


def test_the_bound_that_is_printed_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the defaults it is one that a machine can have."""
    monkeypatch.setattr(parts, "MAX_KEPT", MAX_KEPT)
    assert max_kept(Settings()) == MAX_KEPT
    assert max_kept(Settings(keep_bytes=2 * MAX_KEPT)) == 2 * MAX_KEPT
    bound = worst_case_memory(Settings())
    assert bound is not None and 2 * MAX_KEPT < bound < 3 << 30
    few = worst_case_memory(Settings(max_rooms=9, keep_bytes=MIB))
    assert few is not None and bound - few == pytest.approx(
        MAX_KEPT - 10 * MIB, abs=4 * MIB
    )
    overseen = worst_case_memory(Settings(operator_file="operators"))
    assert overseen is not None and overseen - bound == MAX_ORDERS * ORDER_BYTES
    for endless in (
        Settings(max_clients=0),
        Settings(max_rooms=0),
        Settings(keep_bytes=0),
        Settings(max_output_total=0),
    ):
        assert worst_case_memory(endless) is None
