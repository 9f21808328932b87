"""What has happened since the start, counted where it happens; and told to watchers.

``Totals`` are plain numbers that others add to: nothing here runs by itself, and what
is of the moment (who is here, what waits) is counted only when somebody asks.
``exposition`` tells all of it in the words of OpenMetrics 1.0, which Prometheus and its
like read.  Must not know: who may ask, and over what.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from chatroom import __version__

if TYPE_CHECKING:
    from chatroom.server.app import Server

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PENALTIES = frozenset(("shouting", "operator", "banned"))
"""Reasons of a kick that count as one; a farewell is none."""
TICK_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
STORE_BOUNDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0)


class Histogram:
    """How often something took how long (seconds), by the *bounds* of its buckets."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Of each bucket alone, and at last of what is above all bounds."""
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one that took *seconds*."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class Totals:
    """What has happened since the start."""

    __slots__ = (
        "answers",
        "clients",
        "deliveries",
        "drops",
        "errors",
        "kicks",
        "messages",
        "received",
        "refused",
        "sent",
        "store",
        "ticks",
        "warnings",
    )

    def __init__(self) -> None:
        self.clients = 0
        """Connections that were accepted."""
        self.messages = 0
        self.deliveries = 0
        self.received = 0
        """Bytes that came, TLS taken off."""
        self.sent = 0
        """Bytes that were given to connections, before TLS is put on."""
        self.refused = 0
        """Messages that could not be kept."""
        self.warnings: Counter[str] = Counter()
        self.kicks: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        """Connections that were ended at once by a limit."""
        self.answers: Counter[str] = Counter()
        """Answers over HTTP, by their status."""
        self.ticks = Histogram(TICK_BOUNDS)
        self.store = Histogram(STORE_BOUNDS)

    @property
    def penalties(self) -> int:
        """How many were kicked for what they did."""
        return sum(self.kicks[reason] for reason in PENALTIES)


def exposition(server: Server) -> bytes:
    """Return the figures of *server* as a text that ends with ``# EOF``."""
    totals = server.totals
    lines = [
        "# TYPE chatroom_build info",
        "# HELP chatroom_build The version of this server.",
        f'chatroom_build_info{{version="{__version__}"}} 1',
        *_state_of(server),
        *_counter("connects", "Connections accepted.", totals.clients),
        *_counter("messages", "Messages said in rooms and kept.", totals.messages),
        *_counter("deliveries", "Frames of rooms given to members.", totals.deliveries),
        *_counter(
            "received_bytes",
            "Bytes that came, TLS taken off.",
            totals.received,
            "bytes",
        ),
        *_counter(
            "sent_bytes",
            "Bytes given to connections, before TLS.",
            totals.sent,
            "bytes",
        ),
        *_by("warnings", "Warnings given.", "reason", totals.warnings),
        *_by("kicks", "Connections ended by a kick.", "reason", totals.kicks),
        *_by("errors", "Errors answered.", "code", totals.errors),
        *_by("drops", "Connections ended by a limit.", "reason", totals.drops),
        *_by("http_answers", "Answers over HTTP.", "status", totals.answers),
        *_counter("store_refused", "Messages that were not kept.", totals.refused),
        *_histogram("tick", "Work of a turn of the loop.", totals.ticks),
        *_histogram(
            "store", "Keeping what a turn brought, with --history.", totals.store
        ),
        "# EOF\n",
    ]
    return "\n".join(lines).encode()


def _state_of(server: Server) -> list[str]:
    """Return what is so at this moment."""
    clients = dict.fromkeys(
        ((d, t) for d in ("native", "websocket") for t in ("no", "yes")), 0
    )
    undecided = waiting = 0
    for connection in server.connections:
        undecided += len(connection.protocol)
        waiting += connection.transport.unsent > 0
        if connection.session is not None and not connection.gone:
            dialect = "websocket" if connection.is_web else "native"
            clients[dialect, "yes" if connection.secure else "no"] += 1
    by_dialect = (
        (f'{{dialect="{dialect}",tls="{tls}"}}', count)
        for (dialect, tls), count in clients.items()
    )
    uptime = server.loop.clock() - server.started
    return [
        *_family("clients", "Members now.", "gauge", by_dialect),
        *_gauge("connections", "Connections now.", len(server.connections)),
        *_gauge("rooms", "Rooms now, the silent ones too.", len(server.chat.rooms)),
        *_gauge("uptime_seconds", "Time since the start.", uptime, "seconds"),
        *_gauge("input_bytes", "Bytes that wait for their turn.", undecided, "bytes"),
        *_gauge(
            "output_bytes", "Bytes that peers have to take.", server.pool.total, "bytes"
        ),
        *_gauge("output_connections", "Connections that are behind.", waiting),
        *_gauge("kept_bytes", "Messages in memory.", server.store.held.size, "bytes"),
    ]


def _family(
    name: str,
    text: str,
    kind: str,
    samples: Iterable[tuple[str, float]],
    unit: str = "",
) -> list[str]:
    """Return the lines of one family; a sample is what follows its name."""
    name = f"chatroom_{name}"
    head = [f"# TYPE {name} {kind}"] + [f"# UNIT {name} {unit}"] * bool(unit)
    return [
        *head,
        f"# HELP {name} {text}",
        *(f"{name}{label} {value}" for label, value in samples),
    ]


def _gauge(name: str, text: str, value: float, unit: str = "") -> list[str]:
    return _family(name, text, "gauge", [("", value)], unit)


def _counter(name: str, text: str, value: int, unit: str = "") -> list[str]:
    return _family(name, text, "counter", [("_total", value)], unit)


def _by(name: str, text: str, label: str, counts: Mapping[str, int]) -> list[str]:
    # The words are the server's own: they hold nothing that would have to be escaped.
    samples = ((f'_total{{{label}="{key}"}}', n) for key, n in sorted(counts.items()))
    return _family(name, text, "counter", samples)


def _histogram(name: str, text: str, of: Histogram) -> list[str]:
    samples: list[tuple[str, float]] = []
    count = 0
    for bound, here in zip((*of.bounds, None), of.counts, strict=True):
        count += here
        shown = "+Inf" if bound is None else bound
        samples.append((f'_bucket{{le="{shown}"}}', count))
    samples += [("_count", count), ("_sum", of.total)]
    return _family(f"{name}_seconds", text, "histogram", samples, "seconds")
