"""Ours beside three references: the same load, in alternation, in the same run.

    python -m tests.bench.run [--quick] [--only ROW]...

Figures for one CPU second of the server, as the clock also counts what else the
machine does.  What is compared are medians of ratios of runs side by side.  Exit 1
where something that is wanted is missed.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

from tests.bench.history import at, compare
from tests.bench.hostile import (
    STALL,
    beside_stalled,
    fan_out,
    member_memory,
    secured,
)
from tests.bench.measure import (
    ON_DISK,
    OURS,
    Failed,
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
from tests.bench.restart import restarted
from tests.bench.size import CROWDS, chat, growth
from tests.bench.typing import paste, type_while_others_talk
from tests.fuzz.load import MIB, beside_hostiles

CPU_SECONDS = 3.0
"""Processor time that each server uses for a row, at least."""
RATE = ("deliveries_per_cpu_second",)
PER_SECOND = ("deliveries_per_second",)
P99 = ("latency", "p99")


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int
    seconds: float
    cpu_seconds: float
    idle_seconds: float


FULL = Effort(3, 2.0, CPU_SECONDS, 30.0)
QUICK = Effort(1, 1.0, 0.0, 5.0)


@dataclass(frozen=True)
class Line:
    """One figure, and what is wanted of it."""

    what: str
    found: str
    wanted: str = ""
    ok: bool | None = None

    def __str__(self) -> str:
        verdict = {True: "ok", False: "MISSED", None: ""}[self.ok]
        return f"{self.what:<44}{self.found:>16}   {self.wanted:<20}{verdict}".rstrip()


def at_least(what: str, value: float, wanted: float) -> Line:
    """Return the line of a ratio that must not be less."""
    return Line(what, f"{value:.2f}", f"at least {wanted:g}", value >= wanted)


def at_most(what: str, value: float, wanted: float, unit: str = "") -> Line:
    """Return the line of a figure that must not be more."""
    return Line(
        what, f"{value:.2f}{unit}", f"at most {wanted:g}{unit}", value <= wanted
    )


def throughput(
    shape: tuple[int, int, int], bare: float, streams: float, effort: Effort
) -> list[Line]:
    """Measure deliveries a CPU second of all four."""
    runs = alternate(
        (OURS, "bare", "streams", "threads"),
        flat_out(*shape, effort.seconds),
        rounds=effort.rounds,
        cpu_seconds=effort.cpu_seconds,
    )
    found = [
        Line(f"{name}, deliveries a CPU second", f"{middle(of, *RATE):,.0f}")
        for name, of in runs.items()
    ]
    found.append(at_least("beside bare", ratio(runs[OURS], runs["bare"], *RATE), bare))
    beside_streams = ratio(runs[OURS], runs["streams"], *RATE)
    found.append(at_least("beside streams", beside_streams, streams))
    beside_threads = ratio(runs[OURS], runs["threads"], *RATE)
    found.append(Line("beside threads", f"{beside_threads:.2f}"))
    if any(run["bottleneck"] for of in runs.values() for run in of):
        found.append(Line("the load test was the bottleneck", "in some runs"))
    return found


def logging(effort: Effort) -> list[Line]:
    """Measure ours with a line in the log for each message."""
    runs = alternate(
        (OURS, "bare"),
        flat_out(100, 10, 256, effort.seconds),
        rounds=effort.rounds,
        cpu_seconds=effort.cpu_seconds,
        args="--log-level info",
    )
    rate = middle(runs[OURS], *RATE)
    return [
        Line("ours, deliveries a CPU second", f"{rate:,.0f}"),
        at_least("beside bare", ratio(runs[OURS], runs["bare"], *RATE), 0.45),
    ]


def latency(effort: Effort) -> list[Line]:
    """Measure how late a message is where there is time enough."""
    runs = alternate(
        (OURS, "bare", "streams"),
        steady(100, 200, 5 * effort.seconds),
        rounds=effort.rounds,
    )
    found = [
        Line(f"{name}, p99", f"{1e3 * middle(of, *P99):.2f} ms")
        for name, of in runs.items()
    ]
    beside = ratio(runs[OURS], runs["bare"], *P99)
    return [*found, at_most("beside bare", beside, 1.3)]


def on_disk(effort: Effort) -> list[Line]:
    """Measure what keeping messages on a disk takes off the throughput."""
    runs = alternate(
        (OURS, ON_DISK),
        flat_out(100, 10, 256, effort.seconds),
        rounds=effort.rounds,
        cpu_seconds=effort.cpu_seconds,
    )
    found = [
        Line(f"{name}, deliveries a CPU second", f"{middle(of, *RATE):,.0f}")
        for name, of in runs.items()
    ]
    beside = ratio(runs[ON_DISK], runs[OURS], *RATE)
    found.append(at_least("on disk beside in memory", beside, 0.7))
    by_clock = ratio(runs[ON_DISK], runs[OURS], *PER_SECOND)
    return [*found, Line("the same by the clock", f"{by_clock:.2f}")]


def latency_on_disk(effort: Effort) -> list[Line]:
    """Measure how much later a message is that has to be on the disk first."""
    runs = alternate(
        (OURS, ON_DISK), steady(100, 200, 5 * effort.seconds), rounds=effort.rounds
    )
    found = [
        Line(f"{name}, p99", f"{1e3 * middle(of, *P99):.2f} ms")
        for name, of in runs.items()
    ]
    later = 1e3 * difference(runs[ON_DISK], runs[OURS], *P99)
    return [*found, at_most("later on disk", later, 2.0, " ms")]


def history(effort: Effort) -> list[Line]:
    """Measure a server over a file of a million messages in one room."""
    empty, large = compare()
    grown = (large.memory_end - empty.memory_end) / 2**20
    return [
        at_most("start", large.start, 1.0, " s"),
        Line("start over an empty file", f"{empty.start:.2f} s"),
        *(
            at_most(f"page of {limit}, p99", 1e3 * at(0.99, times), 5.0, " ms")
            for limit, times in large.pages.items()
        ),
        at_most("memory beyond that over an empty file", grown, 2.0, " MiB"),
    ]


def memory(effort: Effort) -> list[Line]:
    """Measure what a member costs who says nothing."""
    options = ["--scenario", "idle", "--clients", "2000", "--duration", "1"]
    runs = alternate((OURS,), options, rounds=effort.rounds)[OURS]
    per_member = middle(runs, "memory_per_client")
    return [at_most("RSS a member, of 2000", per_member, 2048, " bytes")]


def idle(effort: Effort) -> list[Line]:
    """Measure what a large crowd costs that says nothing, its pings included."""
    # Nobody is pinged in the first 30 s, and everybody once in each 30 s after that.
    wait = f"{effort.idle_seconds:g}"
    args = "" if effort is FULL else f"--ping-interval {wait}"
    options = ["--clients", "10000", "--settle", wait, "--duration", wait]
    run = load(OURS, "--scenario", "idle", *options, args=args)
    share = 100 * run["server_share"] * effort.idle_seconds / FULL.idle_seconds
    return [
        Line("pings answered", f"{run['pings']:,}"),
        at_most("RSS a member, of 10,000", run["memory_per_client"], 2048, " bytes"),
        at_most("share of a core", share, 2.0, " %"),
    ]


def storm(effort: Effort) -> list[Line]:
    """Measure 2000 who come at once and leave at once, while others talk."""
    options = ["--scenario", "join-storm", "--clients", "2000"]
    runs = alternate((OURS,), options, rounds=effort.rounds)[OURS]
    return [
        at_most("2000 join", middle(runs, "join_seconds"), 4.0, " s"),
        at_most("2000 leave", middle(runs, "leave_seconds"), 2.0, " s"),
        Line("p99 of those who stay", f"{1e3 * middle(runs, *P99):.0f} ms"),
    ]


def tls(effort: Effort) -> list[Line]:
    """Measure what TLS takes off the throughput, and what a member costs with it."""
    plain, sealed = [], []
    for _ in range(effort.rounds):
        plain.append(fan_out(None, effort.seconds))
        sealed.append(fan_out(secured(), effort.seconds))
    beside = median(b / a for a, b in zip(plain, sealed, strict=True))
    come, heard = member_memory(secured(), 250)
    return [
        Line("plain, deliveries a CPU second", f"{median(plain):,.0f}"),
        Line("TLS, deliveries a CPU second", f"{median(sealed):,.0f}"),
        Line("TLS beside plain", f"{beside:.2f}"),
        Line("RSS of a plain member", f"{member_memory(None, 250)[1]:,.0f} bytes"),
        Line("RSS of a TLS member", f"{come:,.0f} bytes"),
        Line("RSS of a TLS member who has heard 200 texts", f"{heard:,.0f} bytes"),
    ]


def web(effort: Effort) -> list[Line]:
    """Measure what members in browsers cost beside those who speak natively."""
    native, others = [], []
    for _ in range(effort.rounds):
        native.append(fan_out(None, effort.seconds))
        others.append(fan_out(None, effort.seconds, on_web=True))
    beside = median(b / a for a, b in zip(native, others, strict=True))
    return [
        Line("native, deliveries a CPU second", f"{median(native):,.0f}"),
        Line("WebSocket, deliveries a CPU second", f"{median(others):,.0f}"),
        at_least("WebSocket beside native", beside, 0.8),
    ]


def stalled(effort: Effort) -> list[Line]:
    """Measure what 50 members feel of 50 who read nothing, beside 100 who all read."""
    seconds = max(2 * STALL, 5 * effort.seconds)
    rounds = [
        (
            beside_stalled(50, 50, seconds),
            beside_stalled(100, 0, seconds).p99,
            beside_stalled(50, 0, seconds).p99,
        )
        for _ in range(effort.rounds)
    ]
    gone = min(found.gone for found, *_ in rounds)
    longest = max(found.longest for found, *_ in rounds)
    return [
        Line("p99", f"{1e3 * median(found.p99 for found, *_ in rounds):.2f} ms"),
        at_most("p99 ratio", median(f.p99 / all_ for f, all_, _ in rounds), 1.5),
        Line(
            "p99 ratio beside 50 alone",
            f"{median(found.p99 / alone for found, _, alone in rounds):.2f}",
        ),
        at_least("stalled ones let go", gone, 50),
        at_most("after, at most", longest, STALL + 1, " s"),
    ]


def hostile(effort: Effort) -> list[Line]:
    """Measure what 20 members feel of six kinds of hostile client, 50 connections."""
    runs = [beside_hostiles(5 * effort.seconds, n) for n in range(effort.rounds)]
    worst, memory = max(r.worst for r in runs), max(r.memory for r in runs)
    return [
        at_most("worst round trip", 1e3 * worst, 250.0, " ms"),
        Line("p99", f"{1e3 * median(r.p99 for r in runs):.2f} ms"),
        at_most("RSS", memory / MIB, 256.0, " MiB"),
        at_most("of the worst case that it prints", memory / runs[0].bound, 1.0),
    ]


def typing(effort: Effort) -> list[Line]:
    """Measure what a person at a terminal feels of a thousand messages a second."""
    found = type_while_others_talk(10 * effort.seconds)
    pasted = paste()
    return [
        at_least("rows that scroll by in a second", found.rows, 1000),
        at_most("letters lost", found.lost, 0),
        at_most(
            "a letter is shown after, p99", 1e3 * at(0.99, found.late), 20.0, " ms"
        ),
        Line("p50", f"{1e3 * at(0.5, found.late):.2f} ms"),
        at_most("redraws in any second", found.draws, 30),
        at_most("share of a core", 100 * found.share, 20.0, " %"),
        at_most("a paste of 1 MiB is answered after", pasted.seconds, 1.0, " s"),
        at_most("and the next key after", 1e3 * pasted.next_key, 100.0, " ms"),
        at_most("messages that came of it", pasted.messages, 1),
    ]


def restart(effort: Effort) -> list[Line]:
    """Measure how 1000 members come through a restart, on a port that stays."""
    runs = [restarted(1000) for _ in range(effort.rounds)]
    alone = restarted(1000, lend=False)
    secret = restarted(1000, tls=True, pause=2.0)
    said = sum(run.said for run in runs)
    away = sum(run.said_away for run in runs)
    tries = max(len(run.attempts) / run.clients for run in runs)
    shares = [max(run.attempts_in(0.1).values()) / len(run.attempts) for run in runs]
    second = max(max(run.attempts_in(1.0).values()) for run in runs)
    return [
        Line("texts said", f"{said:,}"),
        Line("of them while their sender was away", f"{away:,}"),
        at_most("lost", sum(len(run.lost) for run in runs), 0),
        at_most("doubled", sum(len(run.doubled) for run in runs), 0),
        Line("newcomers meanwhile", f"{sum(run.newcomers for run in runs):,}"),
        at_most("turned away", sum(run.turned_away for run in runs), 0),
        Line("no server for", f"{max(run.down for run in runs):.2f} s"),
        at_most("all are back after", max(run.back for run in runs), 10.0, " s"),
        at_most("attempts a member", tries, 1.5),
        Line("attempts in the busiest second", f"{second:,}"),
        at_most("of all, in the busiest 0.1 s", 100 * max(shares), 25.0, " %"),
        *(Line(f"attempts, from {when} on", n) for when, n in runs[-1].histogram()),
        at_most("TLS, no server for 2 s: lost", len(secret.lost), 0),
        at_most("doubled", len(secret.doubled), 0),
        at_most("turned away", secret.turned_away, 0),
        at_most("all are back after", secret.back, 10.0, " s"),
        Line("all are back, on a port that goes", f"{alone.back:.2f} s"),
        Line("attempts a member", f"{len(alone.attempts) / alone.clients:.2f}"),
    ]


def size(effort: Effort) -> list[Line]:
    """Measure what docs/operations.md tells of how big a machine has to be."""
    found = []
    for members, rate in CROWDS:
        run = chat(members, rate, 10 * effort.seconds)
        share, late = 100 * run["server_share"], 1e3 * run["latency"]["p99"]
        what = f"{members:,} members, {rate} texts/s: of a core"
        found += [Line(what, f"{share:.1f} %"), Line("p99", f"{late:.1f} ms")]
    kinds: tuple[tuple[str, bool, bool], ...] = (
        ("plain", False, False),
        ("in a browser", False, True),
        ("TLS", True, False),
        ("TLS, in a browser", True, True),
    )
    for name, sealed, on_web in kinds:
        come, heard = member_memory(secured() if sealed else None, 250, on_web=on_web)
        found += [
            Line(f"RSS of a member, {name}", f"{come:,.0f} bytes"),
            Line("the same who has heard 200 texts", f"{heard:,.0f} bytes"),
        ]
    history_bytes, log_bytes = growth(1000 if effort is QUICK else 10_000)
    return [
        *found,
        Line("a text of 64 bytes in the history", f"{history_bytes:.0f} bytes"),
        Line("in the log", f"{log_bytes:.0f} bytes"),
    ]


ROWS: dict[str, tuple[str, Callable[[Effort], list[Line]]]] = {
    "crowd": (
        "100 clients, 10 talking, 256 in flight",
        partial(throughput, (100, 10, 256), 0.8, 25.0),
    ),
    "single": (
        "100 clients, 10 talking, 1 in flight",
        partial(throughput, (100, 10, 1), 0.9, 0.85),
    ),
    "few": (
        "5 clients, all talking, 16 in flight",
        partial(throughput, (5, 5, 16), 0.7, 3.0),
    ),
    "many": (
        "2000 clients, 10 talking, 256 in flight",
        partial(throughput, (2000, 10, 256), 0.85, 50.0),
    ),
    "info": ("100 clients, 10 talking, 256 in flight, log at info", logging),
    "latency": ("200 messages/s to 100 clients", latency),
    "disk": ("100 clients, 10 talking, 256 in flight, on disk", on_disk),
    "disk-latency": ("200 messages/s to 100 clients, on disk", latency_on_disk),
    "history": ("a million messages on disk", history),
    "memory": ("2000 members", memory),
    "idle": ("10,000 idle members", idle),
    "tls": ("100 members, all talking, through TLS", tls),
    "web": ("100 members, all talking, over WebSocket", web),
    "stalled": ("50 of 100 read nothing, 50 texts/s of 3000 bytes", stalled),
    "hostile": ("20 members at 50 texts/s beside 50 hostile connections", hostile),
    "typing": ("at a terminal, 1000 messages/s arriving", typing),
    "restart": ("1000 members chat through a restart on a port that stays", restart),
    "size": ("a server as one runs it: what it takes of a machine", size),
    "storm": ("2000 come and go while others talk", storm),
}


def main() -> int:
    """Measure the rows that are asked for, and print each as soon as it is there."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round each")
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW")
    given = parser.parse_args()
    effort = QUICK if given.quick else FULL
    print(machine())
    warning = busy()
    if warning is not None:
        print(f"warning: {warning}")
    missed = 0
    for name in given.only or ROWS:
        title, measure = ROWS[name]
        print(f"\n{name}: {title}", flush=True)
        try:
            lines = measure(effort)
        except Failed as why:
            lines = [Line(str(why), "", "a run", False)]
        missed += sum(line.ok is False for line in lines)
        print("\n".join(f"  {line}" for line in lines), flush=True)
    print(f"\n{missed} missed" if missed else "\nall as wanted")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
