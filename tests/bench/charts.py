"""Measures over whole ranges, and writes docs/benchmarks.md and its charts.  Long.

    python -m tests.bench.charts [--quick] [--folder docs]

Every figure on the page is measured in the run that writes it.
"""

import argparse
import os
import socket
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.history import MILLION, at, compare
from tests.bench.history import Measured as Large
from tests.bench.measure import (
    ON_DISK,
    OURS,
    REFERENCES,
    ROOT,
    Figures,
    alternate,
    busy,
    difference,
    flat_out,
    load,
    machine,
    middle,
    ratio,
    steady,
)
from tests.bench.svg import Point, chart

MESSAGE = 150
"""Bytes of a ``message`` frame with a text of 64."""
BATCH = 256
"""Messages under way where as many as possible are to share a tick."""
SLOW_UP_TO = 1000
"""Members above which the slow references are left out: minutes for a point."""

Series = dict[str, list[Point]]


@dataclass(frozen=True)
class Effort:
    """Which points, and how long each is measured."""

    clients: tuple[int, ...]
    rates: tuple[int, ...]
    crowds: tuple[int, ...]
    rooms: tuple[int, ...]
    rounds: int
    seconds: float
    interval: float
    """Ping interval of the idle crowd, in seconds."""
    history: int
    """Messages of a large history."""


FULL = Effort(
    (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
    (10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
    (500, 1000, 2000, 5000, 10_000),
    (1, 10, 100, 300, 1000),
    3,
    1.5,
    30.0,
    MILLION,
)
QUICK = Effort((1, 10, 100), (10, 100), (100, 200), (1, 10), 1, 0.3, 1.0, 10_000)


@dataclass
class Kept:
    """What it costs to keep messages on a disk."""

    flat_out: dict[str, list[Figures]]
    steady: dict[str, list[Figures]]
    messages: int
    """In the large history."""
    empty: Large
    large: Large


@dataclass
class Measured:
    """All that the page is made of."""

    throughput: dict[str, dict[int, list[Figures]]]
    single: list[Figures]
    latency: dict[str, dict[int, list[Figures]]]
    idle: dict[int, Figures]
    rooms: dict[int, Figures]
    kept: Kept
    send_one: float
    send_batch: float
    warning: str | None
    """What else the machine had to do."""


def measure(effort: Effort) -> Measured:
    """Measure everything."""
    warning = busy()
    if warning is not None:
        _say(f"warning: {warning}")
    return Measured(
        by_clients(effort),
        alternate((OURS,), flat_out(100, 10, 1, effort.seconds), rounds=effort.rounds)[
            OURS
        ],
        by_rate(effort),
        by_crowd(effort),
        by_rooms(effort),
        on_disk(effort),
        kernel_send(MESSAGE),
        kernel_send(MESSAGE * BATCH),
        warning,
    )


def by_clients(effort: Effort) -> dict[str, dict[int, list[Figures]]]:
    """As fast as it goes, with more and more members of one room."""
    found: dict[str, dict[int, list[Figures]]] = {s: {} for s in (OURS, *REFERENCES)}
    for clients in effort.clients:
        servers = (OURS, *REFERENCES) if clients <= SLOW_UP_TO else (OURS, "bare")
        options = flat_out(clients, min(10, clients), BATCH, effort.seconds)
        for name, runs in alternate(servers, options, rounds=effort.rounds).items():
            found[name][clients] = runs
        _say(f"{clients} clients")
    return found


def by_rate(effort: Effort) -> dict[str, dict[int, list[Figures]]]:
    """A hundred members, with more and more messages a second."""
    servers = (OURS, "bare", "streams")
    found: dict[str, dict[int, list[Figures]]] = {server: {} for server in servers}
    for rate in effort.rates:
        options = steady(100, rate, max(2 * effort.seconds, 100 / rate))
        # Streams cannot keep up with more; then it would only be said how long we ran.
        can = servers if rate <= 500 else (OURS, "bare")
        for name, runs in alternate(can, options, rounds=effort.rounds).items():
            found[name][rate] = runs
        _say(f"{rate} messages/s")
    return found


def by_crowd(effort: Effort) -> dict[int, Figures]:
    """More and more members of whom nobody says anything."""
    found = {}
    wait = f"{effort.interval:g}"
    for clients in effort.crowds:
        options = ["--scenario", "idle", "--clients", str(clients)]
        options += ["--settle", wait, "--duration", wait]
        found[clients] = load(OURS, *options, args=f"--ping-interval {wait}")
        _say(f"{clients} idle clients")
    return found


def by_rooms(effort: Effort) -> dict[int, Figures]:
    """More and more rooms of five members each, somebody talking in each."""
    found = {}
    for rooms in effort.rooms:
        options = ["--scenario", "rooms", "--clients", str(5 * rooms)]
        options += ["--rooms", str(rooms), "--talkers", str(rooms)]
        options += ["--in-flight", str(max(BATCH, rooms))]
        options += ["--duration", f"{2 * effort.seconds:g}"]
        found[rooms] = load(OURS, *options)
        _say(f"{rooms} rooms")
    return found


def on_disk(effort: Effort) -> Kept:
    """In memory and on a disk, and over a large history."""
    both = (OURS, ON_DISK)
    as_fast = flat_out(100, 10, BATCH, effort.seconds)
    some = steady(100, 200, 4 * effort.seconds)
    found = Kept(
        alternate(both, as_fast, rounds=2 * effort.rounds),
        alternate(both, some, rounds=2 * effort.rounds),
        effort.history,
        *compare(effort.history),
    )
    _say("on disk")
    return found


def kernel_send(size: int, times: int = 20_000) -> float:
    """Return the CPU seconds of one ``send`` of *size* bytes over TCP to this machine.

    Nobody can pass a message on for less.  Another process takes what is sent.
    """
    times = min(times, 2_000_000_000 // size)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = os.fork()
        if not reader:
            _drain(listener.getsockname())
        sock, _ = listener.accept()
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = bytes(size)
        before = time.process_time()
        for _ in range(times):
            sock.sendall(data)
        used = time.process_time() - before
    os.waitpid(reader, 0)
    return used / times


def _drain(address: tuple[str, int]) -> None:
    """Take all that comes, in a process of its own, and end it."""
    with socket.create_connection(address) as sock:
        buffer = bytearray(1 << 18)
        while sock.recv_into(buffer):
            pass
    os._exit(0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# -- figures to points --------------------------------------------------------------


def points(
    runs: dict[int, list[Figures]], *keys: str, factor: float = 1.0
) -> list[Point]:
    """Return the median at each place, times *factor*."""
    return [(x, factor * middle(some, *keys)) for x, some in runs.items()]


def message_cost(run: Figures) -> float:
    """Return the CPU seconds of one message, with all its deliveries."""
    return float(run["server_cpu"]) / float(run["messages"])


def cost(runs: Sequence[Figures]) -> float:
    """Return the median of what a message costs, in CPU seconds."""
    ordered = sorted(map(message_cost, runs))
    return ordered[len(ordered) // 2]


def charts(found: Measured) -> dict[str, str]:
    """Return the charts by the names of their files."""
    per_cpu = "deliveries_per_cpu_second"
    latency: Series = {
        "ours p50": points(found.latency[OURS], "latency", "p50", factor=1e3),
        "ours p99": points(found.latency[OURS], "latency", "p99", factor=1e3),
        "bare p99": points(found.latency["bare"], "latency", "p99", factor=1e3),
        "streams p99": points(found.latency["streams"], "latency", "p99", factor=1e3),
    }
    by_members: list[Point] = [
        (n, 1e6 * cost(runs)) for n, runs in found.throughput[OURS].items()
    ]
    by_rooms: list[Point] = [
        (n, 1e6 * message_cost(run)) for n, run in found.rooms.items()
    ]
    grown: list[Point] = [
        (n, (run["memory_joined"] - run["memory_empty"]) / 2**20)
        for n, run in found.idle.items()
    ]
    shares: list[Point] = [
        (n, 100 * run["server_share"]) for n, run in found.idle.items()
    ]
    many = "members of one room"
    return {
        "throughput": chart(
            "Deliveries for a CPU second of the server",
            many,
            "deliveries a CPU second",
            {name: points(runs, per_cpu) for name, runs in found.throughput.items()},
        ),
        "latency": chart(
            "Latency at a steady rate, 100 members",
            "messages a second",
            "milliseconds",
            latency,
        ),
        "memory": chart(
            "Memory of idle members, beyond the empty server",
            many,
            "MiB",
            {"ours": grown},
            log_x=False,
            log_y=False,
        ),
        "idle": chart(
            "CPU of idle members, pings included",
            many,
            "% of a core",
            {"ours": shares},
            log_x=False,
            log_y=False,
        ),
        "cost": chart(
            "CPU of one message, all its deliveries included",
            many,
            "microseconds",
            {"one room": by_members},
        ),
        "rooms": chart(
            "CPU of one message in a room of five",
            "rooms",
            "microseconds",
            {"rooms of five": by_rooms},
            log_y=False,
        ),
    }


# -- the page -----------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def throughput_table(found: Measured) -> str:
    """Return the deliveries a CPU second, by members and server."""
    rows = []
    for clients in found.throughput[OURS]:
        row = [f"{clients:,}"]
        for name in (OURS, *REFERENCES):
            runs = found.throughput[name].get(clients)
            value = middle(runs, "deliveries_per_cpu_second") if runs else None
            row.append(f"{value:,.0f}" if value is not None else "")
        rows.append([*row, f"{1e6 * cost(found.throughput[OURS][clients]):.1f} us"])
    return table(["members", OURS, *REFERENCES, "ours, a message"], rows)


def latency_table(found: Measured) -> str:
    """Return the latencies of ours, and the p99 of others, by rate."""
    rows = []
    for rate, runs in found.latency[OURS].items():
        row = [f"{rate:,}"]
        row += [f"{1e3 * middle(runs, 'latency', p):.2f}" for p in ("p50", "p99")]
        for name in ("bare", "streams"):
            others = found.latency[name].get(rate)
            row.append(
                f"{1e3 * middle(others, 'latency', 'p99'):.2f}" if others else ""
            )
        rows.append(row)
    head = ["messages a second", "ours p50", "ours p99", "bare p99", "streams p99"]
    return table([head[0], *(f"{name}, ms" for name in head[1:])], rows)


def idle_table(found: Measured) -> str:
    """Return what idle members cost."""
    rows = [
        [
            f"{clients:,}",
            f"{run['memory_per_client']:,.0f} bytes",
            f"{100 * run['server_share']:.2f} %",
            f"{run['join_seconds']:.2f} s",
        ]
        for clients, run in found.idle.items()
    ]
    head = ["members", "memory a member", "of a core", "time to join"]
    return table(head, rows)


def rooms_table(found: Measured) -> str:
    """Return what a message costs, by rooms."""
    rows = [
        [f"{rooms:,}", f"{5 * rooms:,}", f"{1e6 * message_cost(run):.1f} us"]
        for rooms, run in found.rooms.items()
    ]
    return table(["rooms", "members", "a message"], rows)


def kept_table(kept: Kept) -> str:
    """Return what a message costs in memory and on a disk."""
    rows = [
        [
            name,
            f"{middle(runs, 'deliveries_per_cpu_second'):,.0f}",
            f"{1e6 * cost(runs):.1f} us",
            f"{1e3 * middle(kept.steady[name], 'latency', 'p50'):.2f}",
            f"{1e3 * middle(kept.steady[name], 'latency', 'p99'):.2f}",
        ]
        for name, runs in kept.flat_out.items()
    ]
    head = ["", "deliveries a CPU second", "a message", "p50, ms", "p99, ms"]
    return table(head, rows)


def keeping(kept: Kept) -> str:
    """Return the section about what is kept on a disk."""
    share = ratio(
        kept.flat_out[ON_DISK], kept.flat_out[OURS], "deliveries_per_cpu_second"
    )
    later = difference(kept.steady[ON_DISK], kept.steady[OURS], "latency", "p99")
    before = wrapped(
        "With `--history`, each tick is synced to the disk before anybody is shown "
        "anything of it. A hundred members, ten talking: as fast as it goes with "
        f"{BATCH} messages under way, and how late a message is at 200 a second. The "
        "servers ran in turn; compared are medians of pairs."
    )
    after = wrapped(
        f"As fast as it goes, the disk leaves {share:.2f} of the deliveries a CPU "
        f"second; at 200 messages a second its p99 is {abs(1e3 * later):.2f} ms "
        f"{'later' if later > 0 else 'earlier'}.",
    )
    rows = []
    for number, found in ((0, kept.empty), (kept.messages, kept.large)):
        row = [f"{number:,}", f"{found.size / 2**20:.1f} MiB", f"{found.start:.2f} s"]
        row += [f"{1e3 * at(0.99, times):.2f} ms" for times in found.pages.values()]
        row.append(f"{found.memory_end / 2**20:.1f} MiB")
        rows.append(row)
    head = ["messages", "file", "start", "page of 50, p99", "of 200, p99", "memory"]
    large = wrapped(
        "What a large file costs, beside an empty one, whose pages are empty too. "
        "Pages are from anywhere in one room, and timed at the client; memory is that "
        "of the whole server after all of them."
    )
    return "\n\n".join((before, kept_table(kept), after, large, table(head, rows)))


def limit(found: Measured) -> str:
    """Return the text that says what the limit is, and how far from it we are."""
    many = max(found.throughput[OURS])
    single = 1e6 / middle(found.single, "deliveries_per_cpu_second")
    full = 1e6 / middle(found.throughput[OURS][many], "deliveries_per_cpu_second")
    one, batch = 1e6 * found.send_one, 1e6 * found.send_batch
    alone = 1e6 * cost(found.throughput[OURS][min(found.throughput[OURS])])
    return wrapped(
        "Two things cost time.",
        f"**One `send` for each member in each tick.** All messages of a tick go to a "
        f"member in one piece. On this machine a `send` of one message ({MESSAGE} "
        f"bytes) takes the kernel {one:.1f} us of CPU, and one of {BATCH} messages "
        f"{batch:.1f} us, which is {batch / BATCH:.3f} us a delivery. No server that "
        "speaks TCP to its members can do with less.",
        "**What each message costs**, however many get it: to read it, parse it, judge "
        f"it, keep it and encode it. With a single member a message costs {alone:.1f} "
        "us in all.",
        "How far we are from that:",
        f"With one message under way, and 100 members, a delivery costs {single:.1f} "
        f"us, {single / one:.1f} times the bare `send`.",
        f"With {BATCH} under way, and {many:,} members, it costs {full:.3f} us, "
        f"{full * BATCH / batch:.1f} times its part in a `send` of all {BATCH}. Where "
        "they do not all come in one tick the pieces are smaller, and a delivery costs "
        "more.",
    )


def conditions(found: Measured) -> str:
    """Return the paragraph that says what all this was measured on, and how."""
    others = f" At its start, {found.warning}." if found.warning else ""
    return wrapped(
        f"Measured on: {machine()}.{others} The server has one core and the load test "
        "the other. A text has 64 bytes. All rules are on, the rate limits are off, "
        "and the log level is `warning`. While it measures, the load test checks that "
        "every member gets every message, once, in one order. Rates are for a second "
        "of the server's processor time, so that they depend less on what else the "
        "machine does."
    )


def growth(points: Sequence[tuple[int, float]], what: str) -> str:
    """Return the sentence that says how a cost grows from the middle to the end."""
    (few, low), (many, high) = points[len(points) // 2], points[-1]
    return wrapped(
        f"From {few:,} to {many:,} {what}, {many / few:.3g} times as many, the cost of "
        f"a message goes from {1e6 * low:.1f} us to {1e6 * high:.1f} us, "
        f"{high / low:.2g} times as much."
    )


def wrapped(*paragraphs: str) -> str:
    """Return *paragraphs* in lines of 88."""
    return "\n\n".join(textwrap.fill(paragraph, 88) for paragraph in paragraphs)


def page(found: Measured) -> str:
    """Return docs/benchmarks.md."""
    by_members = [(n, cost(runs)) for n, runs in found.throughput[OURS].items()]
    by_rooms = [(n, message_cost(run)) for n, run in found.rooms.items()]
    return f"""\
# Benchmarks

How fast the server is, what that is to be compared with, and where the limit lies.
`make bench-charts` measures all of it anew and writes this page; `make bench` is the
short comparison, and `bin/chat-load` puts any server under load.

{conditions(found)}

Three small servers are there to compare with, in `tests/bench/references/`. They pass
the same checks, and have hardly a rule: *bare* is a loop on `selectors` that does no
more than it must, *streams* is made with asyncio streams, *threads* has a thread for
each client.

## What the limit is

{limit(found)}

## Throughput

As fast as it goes, ten talking, {BATCH} messages under way.

![Deliveries a CPU second by members](benchmarks-throughput.svg)

{throughput_table(found)}

{growth(by_members, "members")}

![CPU of a message by members](benchmarks-cost.svg)

## Latency

From the moment at which a message was to be said until a member has it, all of a
hundred members counted, at a steady rate that waits for nobody.

![Latency by rate](benchmarks-latency.svg)

{latency_table(found)}

## On a disk

{keeping(found.kept)}

## Idle members

They are pinged every 30 seconds, and answer.

![Memory by members](benchmarks-memory.svg)

![CPU by idle members](benchmarks-idle.svg)

{idle_table(found)}

## Rooms

Rooms of five members, one of them talking.

{growth(by_rooms, "rooms")}

![CPU of a message by rooms](benchmarks-rooms.svg)

{rooms_table(found)}
"""


def main() -> int:
    """Measure, and write the page and the charts."""
    parser = argparse.ArgumentParser(prog="bench-charts", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few points, for a look")
    parser.add_argument("--rounds", type=int, help="runs of each point")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs")
    given = parser.parse_args()
    effort = QUICK if given.quick else FULL
    if given.rounds:
        effort = Effort(**{**vars(effort), "rounds": given.rounds})
    found = measure(effort)
    for name, text in charts(found).items():
        (given.folder / f"benchmarks-{name}.svg").write_text(text, encoding="utf-8")
    (given.folder / "benchmarks.md").write_text(page(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
