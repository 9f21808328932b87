"""Mutates recorded sessions and plays them against live servers, for as long as wanted.

    python -m tests.fuzz.run [--seconds 600] [--seed N] [--cases N] [--case K]...

Three servers: a plain one, one with TLS and a password, one with small limits and its
history in a file.  A watchdog at each measures a round trip all the while.  Then fifty
hostile connections do their worst, while twenty members chat.  Exit code 1 where a
round trip takes longer than a second, a server dies or logs a failure, an answer is no
good frame, a message is heard that nobody said, descriptors or memory do not come
back.  What goes wrong is told with the number of its case; ``--seed S --case K`` plays
that again.  Which cases meet is up to the machine.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.fuzz.load import MIB, beside_hostiles
from tests.fuzz.mutate import Case, Target, make_case
from tests.fuzz.play import Player, Tally
from tests.fuzz.sessions import OPERATOR_KEY, Session, record
from tests.support.server import ROOT, Server
from tests.support.tls import CERT, KEY, trusting

PASSWORD = "open sesame"
SLOWEST = 1.0
"""Seconds that a round trip may take while cases are played."""
SLOWEST_BESIDE_HOSTILES = 0.25
MEMORY_BESIDE_HOSTILES = 256 * MIB
"""More than that is no worst case, but a mistake."""
GROWTH = 1.1
"""What memory may be after the second half, in terms of that after the first."""
FREE_BETWEEN = 4 * MIB
"""And this on top: what the allocator has free between blocks in use.  It grows under
hundreds of thousands of connections, TLS above all, while what is in use stays the
same (measured: by 3.3 MiB in four minutes).  A session for each were much more."""
JUDGED_FROM = 60.0
"""Seconds of a run below which memory has not settled, and is not judged."""
REST = 20.0
"""Seconds within which a server gives back what nobody uses any more."""
TARGETS = [
    Target("plain"),
    Target("secured", tls=True, password=PASSWORD),
    Target("small"),
]
WIDE = "--rate 500 --burst 1000 --rate-bytes 4MiB --burst-bytes 4MiB --keep 300"
OPTIONS = {
    "plain": f"{WIDE} --presence-limit 40 --log-level warning",
    "secured": f"{WIDE} --strikes 1 --tls-cert {CERT} --tls-key {KEY} "
    "--log-level warning",
    "small": "--rate 20 --burst 10 --burst-bytes 8KiB --max-clients 30 "
    "--max-clients-per-ip 6 --max-rooms 6 --keep 10 --keep-bytes 4KiB --strikes 3 "
    "--strike-lapse 1 --presence-limit 5 --hello-timeout 0.5 --frame-timeout 0.5 "
    "--ping-interval 1 --idle-timeout 4 --stall-timeout 2 --max-output 64KiB "
    "--max-output-soft 16KiB --max-output-total 256KiB --history-keep 50 "
    "--log-format json",
}


class Field:
    """The servers, a watchdog at each, and what was found."""

    def __init__(
        self, seed: int, folder: Path, stack: ExitStack, *, by_clock: bool = True
    ) -> None:
        self.seed = seed
        self._by_clock = by_clock
        self.findings: list[str] = []
        self.worst = 0.0
        self.servers: list[Server] = []
        secret = folder / "password"
        secret.write_text(PASSWORD + "\n", encoding="utf-8")
        secret.chmod(0o600)
        operators = folder / "operators"
        shown = hashlib.sha256(OPERATOR_KEY.encode()).hexdigest()
        operators.write_text(f"overseer {shown}\n", encoding="utf-8")
        operators.chmod(0o600)
        for target in TARGETS:
            options = [*OPTIONS[target.name].split(), "--operator-file", str(operators)]
            if target.password:
                options += ["--password-file", str(secret)]
            if target.name == "small":
                options += ["--history", str(folder / "history.db")]
            one = Server(*options, log=folder / f"{target.name}.log")
            stack.callback(one.kill)
            one.start()
            self.servers.append(one)
        self.sessions: list[Session] = record(self.servers[0].address)
        self._dogs: list[subprocess.Popen[str]] = []
        for target, one in zip(TARGETS, self.servers, strict=True):
            self._dogs.append(stack.enter_context(self._watchdog(target, one)))
        for dog in self._dogs:
            assert dog.stdout is not None
            assert dog.stdout.readline() == "watching\n"
        self.fds = [one.fds() for one in self.servers]

    def _watchdog(self, target: Target, one: Server) -> subprocess.Popen[str]:
        room = f"watch-{random.Random(self.seed).randrange(10**9)}"
        where = f"{one.address[0]}:{one.address[1]}"
        command = [sys.executable, "-m", "tests.fuzz.watch", where, room]
        if target.password:
            command.append(target.password)
        return subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def find(self, what: str) -> None:
        """Note what is not as it should be."""
        self.findings.append(what)
        print(f"  FOUND {what}", flush=True)

    def case(self, number: int) -> Case:
        """Return the case of that number."""
        return make_case(self.seed, number, self.sessions, TARGETS)

    def look(self) -> None:
        """See whether everybody is there."""
        for target, one in zip(TARGETS, self.servers, strict=True):
            if not one.alive:
                raise AssertionError(f"the server {target.name} has died")

    def rest(self) -> list[int]:
        """Wait until all is given back; return the memory of each server (bytes)."""
        deadline = time.monotonic() + REST
        for target, one, fds in zip(TARGETS, self.servers, self.fds, strict=True):
            while one.fds() > fds and time.monotonic() < deadline:
                time.sleep(0.05)
            if one.fds() > fds:
                self.find(f"{target.name}: {one.fds()} descriptors, {fds} at the start")
        if self._by_clock:
            self._look_for_spinning()
        return [one.rss() for one in self.servers]

    def _look_for_spinning(self) -> None:
        before = [one.cpu() for one in self.servers]
        time.sleep(1.0)
        for target, one, cpu in zip(TARGETS, self.servers, before, strict=True):
            if one.cpu() - cpu > 0.4:
                self.find(f"{target.name}: it is busy while nobody does anything")

    def finish(self) -> None:
        """Take the watchdogs' word, stop the servers, and read their logs."""
        for target, dog in zip(TARGETS, self._dogs, strict=True):
            self._ask(target, dog)
        for target, one in zip(TARGETS, self.servers, strict=True):
            code = one.stop()
            if code != 0:
                self.find(f"{target.name}: exit code {code}")
            bad = [
                line
                for line in one.log_lines()
                if "Traceback" in line or " failure " in line or '"failure"' in line
            ]
            for line in bad[:3]:
                self.find(f"{target.name}: {len(bad)} such lines in its log: {line}")

    def _ask(self, target: Target, dog: subprocess.Popen[str]) -> None:
        assert dog.stdin is not None and dog.stdout is not None
        dog.stdin.close()
        line = dog.stdout.readline()
        if not line:
            self.find(f"{target.name}: its watchdog has failed")
            return
        seen = json.loads(line)
        worst = float(seen["worst"])
        self.worst = max(self.worst, worst)
        print(
            f"  {target.name:15} {seen['rounds']} round trips, the worst "
            f"{1e3 * worst:.0f} ms, {seen['over_quarter']} above 250 ms"
        )
        if self._by_clock and worst > SLOWEST:
            self.find(
                f"{target.name}: a round trip took {worst:.2f} s, "
                f"{seen['worst_at']:.1f} s after the start"
            )
        for what in seen["findings"]:
            self.find(f"{target.name}: {what}")


def fuzz(
    seed: int,
    seconds: float,
    cases: int,
    only: Sequence[int],
    folder: Path,
    *,
    by_clock: bool = True,
) -> tuple[Tally, float, Field]:
    """Play cases; return what came of it, the seconds it took, and the field.

    Without *by_clock* nothing is found wrong because it took long.
    """
    with ExitStack() as stack:
        field = Field(seed, folder, stack, by_clock=by_clock)
        player = Player(seed, [one.address for one in field.servers], trusting())
        stack.callback(player.close)
        numbers: Iterator[int] = iter(only) if only else itertools.count()
        if cases and not only:
            numbers = iter(range(cases))
        made = map(field.case, numbers)
        began = time.monotonic()
        spent, memory = 0.0, [0] * len(TARGETS)
        for half in (1, 2):
            start = time.monotonic()
            player.run(made, began + seconds * half / 2 + spent, field.look)
            for what in player.tally.findings:
                field.find(what)
            player.tally.findings.clear()
            if half == 2 or seconds >= JUDGED_FROM:
                pause = time.monotonic()
                now = field.rest()
                spent += time.monotonic() - pause
                if half == 2 and seconds >= JUDGED_FROM and not (cases or only):
                    _compare(field, memory, now)
                memory = now
            if half == 1:
                print(
                    f"  half of it     {player.tally.cases} cases in "
                    f"{time.monotonic() - start:.0f} s",
                    flush=True,
                )
        took = time.monotonic() - began - spent
        field.finish()
        return player.tally, took, field


def _compare(field: Field, before: list[int], after: list[int]) -> None:
    for target, first, second in zip(TARGETS, before, after, strict=True):
        shown = f"{first / MIB:.1f} MiB, then {second / MIB:.1f} MiB"
        print(f"  {target.name:15} memory after each half: {shown}")
        if second > first * GROWTH + FREE_BETWEEN:
            field.find(f"{target.name}: its memory grows: {shown}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for; return the exit code."""
    options = _parser().parse_args(argv)
    seed: int = options.seed or random.SystemRandom().randrange(1, 1 << 31)
    print(f"seed             {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        tally, took, field = fuzz(
            seed, options.seconds, options.cases, options.case, Path(name)
        )
        if options.case:
            print("\n".join(f"  {field.case(number)}" for number in options.case))
        findings = field.findings
        print(f"seconds          {took:.0f}")
        print(f"cases            {tally.cases:,}")
        print(f"cases a second   {tally.cases / took:.0f}")
        print(f"let in           {tally.welcomed:,}")
        print(f"frames judged    {tally.frames:,}")
        print(f"worst round trip {1e3 * field.worst:.0f} ms", flush=True)
    if options.hostile:
        findings += hostile(options.hostile, seed)
    print(f"seed             {seed}")
    print(f"findings         {len(findings)}")
    print(
        "\n".join(f"  {what}" for what in findings[:100]), end="\n" if findings else ""
    )
    return 1 if findings else 0


def hostile(seconds: float, seed: int) -> list[str]:
    """Measure what others feel of hostile clients; return what is not as wanted."""
    print("\n50 hostile connections, 20 members at 50 texts a second", flush=True)
    try:
        found = beside_hostiles(seconds, seed)
    except AssertionError as error:
        return [f"beside hostile clients: {error}"]
    for kind, did in found.hostile.items():
        print(
            f"  {kind:15} {did['connects']:,} connections, "
            f"{did['bytes'] / MIB:.1f} MiB sent"
        )
    print(f"  heard           {found.heard:,}, p99 {1e3 * found.p99:.0f} ms")
    print(f"  worst           {1e3 * found.worst:.0f} ms")
    print(
        f"  memory          {found.memory / MIB:.0f} MiB at most; "
        f"{found.bound / MIB:,.0f} MiB were announced"
    )
    print(f"  server          {100 * found.share:.0f} % of a core", flush=True)
    wrong = []
    if found.worst > SLOWEST_BESIDE_HOSTILES:
        wrong.append(f"beside hostile clients: a round trip of {found.worst:.2f} s")
    if found.memory > min(
        found.bound or MEMORY_BESIDE_HOSTILES, MEMORY_BESIDE_HOSTILES
    ):
        wrong.append(f"beside hostile clients: {found.memory / MIB:.0f} MiB")
    return wrong


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fuzz",
        description="Play damaged sessions against live servers.",
        allow_abbrev=False,
    )
    for name, kind, default, text in (
        ("--seconds", float, 600.0, "how long"),
        ("--seed", int, 0, "what is random begins with this; 0: something new"),
        ("--cases", int, 0, "end after so many cases; 0: when it is time"),
        ("--hostile", float, 20.0, "seconds of hostile load at the end; 0: none"),
    ):
        text += f" (default: {default:g})"
        parser.add_argument(name, type=kind, default=default, metavar="N", help=text)
    parser.add_argument(
        "--case",
        type=int,
        action="append",
        default=[],
        metavar="K",
        help="play this case alone; may be repeated",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
