"""A server over a large history beside one over an empty one: what its size costs.

    python -m tests.bench.history [MESSAGES]

All messages are in one room.  Also tells how long ``chat-history`` takes.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from chatroom.store.sqlite import SqliteStore
from tests.bench.measure import ROOT, folder
from tests.support.server import Server

MILLION = 1_000_000
PAGES = 200
LIMITS = (50, 200)
"""Messages of a page: as many as come unless told, and as many as there can be."""
TEXT = "the kettle is on, who would like a cup of tea with milk "


@dataclass
class Measured:
    """What was found; all times are seconds, in order, and all sizes bytes."""

    size: int
    start: float
    """Until it listened."""
    memory_start: int
    memory_end: int
    """After all pages."""
    pages: dict[int, list[float]]
    """By their limit, from the question to the answer at the client."""


def make(path: Path, messages: int) -> None:
    """Make a history with so many messages in one room."""
    SqliteStore(str(path), "bench").close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        db.executemany(
            "INSERT INTO messages VALUES ('lobby', ?, 'ann', ?, ?, NULL)",
            ((n, f"{TEXT}{n}", 1_700_000_000_000 + n) for n in range(1, messages + 1)),
        )
        if messages:
            db.execute("INSERT INTO rooms VALUES ('lobby', ?)", (messages,))


def measure(path: Path, messages: int) -> Measured:
    """Start a server over a history of so many messages, and ask for pages of it."""
    make(path, messages)
    log = path.with_suffix(".log")
    begin = time.perf_counter()
    with Server("--history", str(path), "--rate", "0", log=log) as server:
        start, memory_start = time.perf_counter() - begin, server.rss()
        peer = server.peer()
        peer.hello("bench")
        chance = random.Random(1)
        pages: dict[int, list[float]] = {}
        for limit in LIMITS:
            found = []
            for _ in range(PAGES):
                after = chance.randrange(max(1, messages - limit))
                asked = time.perf_counter()
                page = peer.history(after=after, limit=limit)
                found.append(time.perf_counter() - asked)
                assert len(page["messages"]) == min(limit, messages)
            pages[limit] = sorted(found)
        memory_end = server.rss()
    return Measured(path.stat().st_size, start, memory_start, memory_end, pages)


def compare(messages: int = MILLION) -> tuple[Measured, Measured]:
    """Return what was found over an empty history, and over one of so many."""
    with folder() as place:
        empty = measure(place / "empty.db", 0)
        return empty, measure(place / "large.db", messages)


def at(share: float, times: list[float]) -> float:
    """Return the time within which *share* of *times*, in order, are."""
    return times[min(len(times) - 1, int(len(times) * share))]


def main() -> None:
    """Print what an empty history and a large one cost, and what the commands do."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else MILLION
    for number, found in zip((0, messages), compare(messages), strict=True):
        print(f"{number:,} messages, {found.size / 2**20:.1f} MiB")
        print(f"  start        {found.start:.2f} s until it listens")
        print(f"  memory       {found.memory_start / 2**20:.1f} MiB at the start")
        print(f"               {found.memory_end / 2**20:.1f} MiB after all pages")
        for limit, times in found.pages.items():
            middle, late = 1e3 * at(0.5, times), 1e3 * at(0.99, times)
            print(f"  {limit:>3} a page   p50 {middle:.2f} ms, p99 {late:.2f} ms")
    with folder() as place:
        path = place / "large.db"
        make(path, messages)
        for words in (["verify"], ["search", "nothing"], ["export"], ["tail"]):
            begin = time.perf_counter()
            program = [sys.executable, str(ROOT / "bin" / "chat-history"), str(path)]
            subprocess.run([*program, *words], stdout=subprocess.DEVNULL, check=False)
            print(f"  {words[0]:12} {time.perf_counter() - begin:.2f} s")


if __name__ == "__main__":
    main()
