"""Figures to text: percentiles, a histogram for the terminal, an object for JSON.

Pure: numbers in, lines out.  Must not know: how anything was measured.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
BAR = 40
"""Characters of the longest bar of a histogram."""
BUSY = 0.9
"""Share of a core from which on we may be what holds everything up."""

_STEPS = tuple(base * 10.0**power for power in range(-6, 3) for base in (1, 2, 5))
"""Where the bars of a histogram begin and end, in seconds."""


@dataclass(slots=True)
class Result:
    """What a run has measured.  ``None`` is what could not be."""

    scenario: str
    clients: int
    talkers: int
    rooms: int
    size: int
    seconds: float = 0.0
    """How long was measured."""
    messages: int = 0
    deliveries: int = 0
    server_cpu: float | None = None
    memory_empty: int | None = None
    """Resident bytes of the server before anybody came."""
    memory_joined: int | None = None
    """And when all were in."""
    memory_end: int | None = None
    own_cpu: float = 0.0
    join_seconds: float = 0.0
    leave_seconds: float | None = None
    latency: list[float] = field(default_factory=list)
    """Seconds, in order."""
    late: list[float] = field(default_factory=list)
    """Seconds by which we ourselves sent too late, in order; part of the latency."""
    pings: int = 0
    cut_off: int = 0
    changes: int = 0
    """Clients that went, each with one that came."""

    @property
    def own_share(self) -> float:
        """How much of a core we took."""
        return self.own_cpu / self.seconds if self.seconds else 0.0

    @property
    def server_share(self) -> float | None:
        """How much of a core the server took."""
        if self.server_cpu is None or not self.seconds:
            return None
        return self.server_cpu / self.seconds

    @property
    def memory_per_client(self) -> float | None:
        """Bytes that each client costs the server, beyond what it takes when empty."""
        if self.memory_empty is None or self.memory_joined is None or not self.clients:
            return None
        return (self.memory_joined - self.memory_empty) / self.clients

    @property
    def per_cpu_second(self) -> float | None:
        """Deliveries for a second of the server's processor time."""
        return self.deliveries / self.server_cpu if self.server_cpu else None

    @property
    def was_bottleneck(self) -> bool:
        """Whether we, and not the server, may have set the pace."""
        server = self.server_share
        return self.own_share > BUSY and (server is None or server < self.own_share)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the least of *ordered* that *percent* of all do not exceed."""
    if not ordered:
        raise ValueError("no figures")
    rank = ceil(percent / 100.0 * len(ordered) - 1e-9)
    return ordered[min(len(ordered), max(1, rank)) - 1]


def histogram(ordered: Sequence[float], *, bar: str = "#") -> list[str]:
    """Return a line for each step of 1, 2, 5 that *ordered* (seconds) reaches over."""
    if not ordered:
        return []
    edges = [bisect_left(ordered, step) for step in _STEPS]
    counts = [edges[0]]
    counts += [high - low for low, high in pairwise(edges)]
    counts.append(len(ordered) - edges[-1])
    first = next(i for i, count in enumerate(counts) if count)
    last = max(i for i, count in enumerate(counts) if count)
    most = max(counts)
    lines = []
    for i in range(first, last + 1):
        share = counts[i] / len(ordered)
        length = ceil(BAR * counts[i] / most)
        name = f"< {seconds(_STEPS[i])}" if i < len(_STEPS) else "more"
        lines.append(f"{name:>10} {100 * share:6.2f} % {bar * length}".rstrip())
    return lines


def seconds(value: float) -> str:
    """Return a time as a person reads it."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if value * factor >= 1.0:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e6:.3g} us"


def count(value: float) -> str:
    """Return a large number as a person reads it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size(value: float) -> str:
    """Return bytes as a person reads them."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(value) >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f} bytes"


def lines(result: Result, *, bar: str = "#") -> list[str]:
    """Return the report, line by line."""
    r = result
    rooms = f" in {r.rooms} rooms" if r.rooms > 1 else ""
    found = [
        f"{r.scenario}: {count(r.clients)} clients{rooms}, {count(r.talkers)} talking, "
        f"{r.size} bytes a message",
        _checked(r),
        *_happened(r),
        *_throughput(r),
        *_server(r),
        f"this tool   {100 * r.own_share:.0f} % of a core",
        *_latency(r, bar),
    ]
    if r.was_bottleneck:
        found.append(
            "warning: this tool was the bottleneck; what the server can do is more"
        )
    return found


def _checked(r: Result) -> str:
    if not r.messages:
        return "checked     nobody got anything but what was said before and after"
    said = f"{count(r.messages)} messages, {count(r.deliveries)} deliveries"
    return f"checked     {said}: each to each once, in one order"


def _happened(r: Result) -> list[str]:
    found = [f"joined      in {seconds(r.join_seconds)}"]
    if r.leave_seconds is not None:
        found.append(f"left        in {seconds(r.leave_seconds)}")
    if r.changes:
        found.append(f"changed     {count(r.changes)} went, and as many came")
    if r.pings:
        found.append(f"pings       {count(r.pings)} answered")
    if r.cut_off:
        found.append(f"cut off     {count(r.cut_off)} slow readers, by the server")
    return found


def _throughput(r: Result) -> list[str]:
    if not r.messages or not r.seconds:
        return []
    return [
        f"throughput  {count(r.deliveries / r.seconds)} deliveries/s, "
        f"{count(r.messages / r.seconds)} messages/s, for {seconds(r.seconds)}"
    ]


def _server(r: Result) -> list[str]:
    found = []
    if r.server_cpu is not None and r.server_share is not None:
        line = f"server      {r.server_cpu:.2f} CPU s, {100 * r.server_share:.2g} % "
        line += "of a core"
        if r.per_cpu_second and r.deliveries:
            line += f", {count(r.per_cpu_second)} deliveries a CPU second"
        found.append(line)
    if r.memory_per_client is not None and r.memory_empty is not None:
        found.append(
            f"memory      {size(r.memory_per_client)} a client, beyond the "
            f"{size(r.memory_empty)} of the empty server"
        )
    return found


def _latency(r: Result, bar: str) -> list[str]:
    if not r.latency:
        return []
    shown = [f"p{p:g} {seconds(percentile(r.latency, p))}" for p in PERCENTILES]
    shown.append(f"max {seconds(r.latency[-1])}")
    found = [f"latency     {', '.join(shown)}, of {count(len(r.latency))} deliveries"]
    found += histogram(r.latency, bar=bar)
    if r.late:
        late = seconds(percentile(r.late, 99.0))
        found.append(f"sent late   p99 {late} (by this tool, part of the latency)")
    return found


def to_json(result: Result) -> dict[str, object]:
    """Return the figures as an object of plain values."""
    r = result
    value: dict[str, object] = {
        "scenario": r.scenario,
        "clients": r.clients,
        "talkers": r.talkers,
        "rooms": r.rooms,
        "size": r.size,
        "seconds": r.seconds,
        "messages": r.messages,
        "deliveries": r.deliveries,
        "server_cpu": r.server_cpu,
        "server_share": r.server_share,
        "deliveries_per_cpu_second": r.per_cpu_second,
        "memory_empty": r.memory_empty,
        "memory_joined": r.memory_joined,
        "memory_end": r.memory_end,
        "memory_per_client": r.memory_per_client,
        "own_share": r.own_share,
        "bottleneck": r.was_bottleneck,
        "join_seconds": r.join_seconds,
        "leave_seconds": r.leave_seconds,
        "changes": r.changes,
        "pings": r.pings,
        "cut_off": r.cut_off,
    }
    for name, figures in (("latency", r.latency), ("late", r.late)):
        value[name] = (
            {
                **{f"p{p:g}": percentile(figures, p) for p in PERCENTILES},
                "max": figures[-1],
                "count": len(figures),
            }
            if figures
            else None
        )
    return value
