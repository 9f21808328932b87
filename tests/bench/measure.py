"""One run of the load test against one server, for whoever compares or draws.

Must not know: which runs there are, and what is made of the figures.
"""

import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 600.0
"""Seconds for one run; far more than any should need."""

OURS = "ours"
ON_DISK = "ours on disk"
"""The same with ``--history``."""
REFERENCES = ("bare", "streams", "threads")

Figures = dict[str, Any]
"""What ``chat-load --json`` prints."""


class Failed(Exception):
    """A run that has no figures; the text says why."""


def load(server: str, *options: str, args: str = "") -> Figures:
    """Run the load test against *server*: ours with the options *args*, or another.

    Server and load have a core each where there are two.
    """
    if server == ON_DISK:
        with folder() as kept:
            history = shlex.quote(str(kept / "history.db"))
            return load(OURS, *options, args=f"{args} --history {history}")
    command = [sys.executable, str(ROOT / "bin" / "chat-load"), "--json", "--pin"]
    command += ["--patience", "60", *options]
    if server != OURS:
        module = f"tests.bench.references.{server}"
        command += ["--server", f"{sys.executable} -m {module}"]
    elif args:
        command.append(f"--server-args={args}")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if done.returncode:
        raise Failed(f"{server} {' '.join(options)}: {done.stderr.strip()}")
    figures: Figures = json.loads(done.stdout)
    if figures["messages"] and not figures["server_cpu"]:
        raise Failed(f"{server} {' '.join(options)}: no CPU time: {figures}")
    if figures["seconds"]:
        rate = figures["deliveries"] / figures["seconds"]
        figures["deliveries_per_second"] = rate
    return figures


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder on a disk: where files for a while are may be memory."""
    parent = ROOT / "build"
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent) as name:
        yield Path(name)


def flat_out(clients: int, talkers: int, in_flight: int, seconds: float) -> list[str]:
    """Return the options of a run as fast as it goes."""
    return [
        *("--scenario", "flat-out", "--duration", f"{seconds:g}"),
        *("--clients", str(clients), "--talkers", str(talkers)),
        *("--in-flight", str(in_flight)),
    ]


def steady(clients: int, rate: float, seconds: float) -> list[str]:
    """Return the options of a run at a steady rate."""
    return [
        *("--scenario", "steady", "--duration", f"{seconds:g}"),
        *("--clients", str(clients), "--talkers", str(min(10, clients))),
        *("--rate", f"{rate:g}"),
    ]


def alternate(
    servers: tuple[str, ...],
    options: list[str],
    *,
    rounds: int,
    cpu_seconds: float = 0.0,
    args: str = "",
) -> dict[str, list[Figures]]:
    """Run each of *servers* in turn, and again, at least *rounds* times.

    On until each has used *cpu_seconds* of processor time, but not for ever.
    """
    found: dict[str, list[Figures]] = {server: [] for server in servers}
    for number in range(5 * rounds):
        if number >= rounds and all(
            sum(run["server_cpu"] for run in runs) >= cpu_seconds
            for runs in found.values()
        ):
            break
        for server in servers:
            found[server].append(load(server, *options, args=args))
    return found


def middle(runs: list[Figures], *keys: str) -> float:
    """Return the median of what *keys* lead to in each run."""
    return median(_value(run, *keys) for run in runs)


def ratio(ours: list[Figures], others: list[Figures], *keys: str) -> float:
    """Return the median of the ratios of runs that were made side by side."""
    pairs = zip(ours, others, strict=True)
    return median(_value(one, *keys) / _value(other, *keys) for one, other in pairs)


def difference(ours: list[Figures], others: list[Figures], *keys: str) -> float:
    """Return the median of the differences of runs that were made side by side."""
    pairs = zip(ours, others, strict=True)
    return median(_value(one, *keys) - _value(other, *keys) for one, other in pairs)


def _value(run: Figures, *keys: str) -> float:
    value: Any = run
    for key in keys:
        value = value[key]
    return float(value)


def machine() -> str:
    """Describe what all this is measured on, naming no host."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    many = f"{cores or os.cpu_count()} cores"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.machine()}, {many}, {platform.system()}, {python}"


def busy() -> str | None:
    """Return a warning where the machine has other things to do."""
    if not hasattr(os, "getloadavg"):
        return None
    load_average = os.getloadavg()[0]
    if load_average < 0.5:
        return None
    return f"the machine was not idle (load {load_average:.1f}): its figures are noisy"
