"""Scenes: a company that talks, and something that goes wrong, again and again.

``random_kills`` kills the server at random moments under load; ``every_step`` at each
step around a commit and a sending; ``every_call`` at each call of the kernel, with
``strace``; ``cutting`` leaves the server alone and cuts connections.  Each ends with
the checker's verdict.  At the first and the last the client that users run takes part,
in a pipe; ``user_deaths`` is about it alone.
"""

import random
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.crash.checker import KINDS, Verdict, Violation, check
from tests.crash.launcher import FAULTS, Plan
from tests.crash.overseer import SCRIPT, Command, Overseer, operator_file, orders
from tests.crash.piped import (
    FAULTY,
    PRINTS_ANOTHER,
    PRINTS_LESS,
    PRINTS_TWICE,
    SAYS_LESS,
    SAYS_TWICE,
    Piped,
)
from tests.crash.recorder import (
    RESENDS_ALL,
    SHOWS_TWICE,
    SKIPS_HISTORY,
    Company,
    Line,
    Recorder,
)
from tests.crash.victims import Nursery, Victim
from tests.support.proxy import CuttingProxy

WORDS = "tea cup rain Ödön naïve 中文字 und 😀 so on, then? ... x=1\ty=2".split(" ")
STRIKES = 60
"""The limit of the long scenes: who shouts 59 times has one too many only if one of
them is judged twice."""

SOON = (0.001, 0.004)
"""Seconds until the next try to connect, where runs are many and short."""


COUNTS = (
    *("messages", "sent", "again", "shown"),
    *("warned", "refused", "judged", "strikes", "orders"),
)
"""What is counted in a verdict."""


@dataclass
class Figures:
    """What a scene has come to."""

    kills: int = 0
    cuts: int = 0
    cuts_inside: int = 0
    reconnects: int = 0
    piped: int = 0
    """Reconnects of clients in pipes, beside those of recorders."""
    runs: int = 1
    seconds: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)

    def add(self, other: "Figures") -> None:
        """Count *other* in."""
        self.kills += other.kills
        self.cuts += other.cuts
        self.cuts_inside += other.cuts_inside
        self.reconnects += other.reconnects
        self.piped += other.piped
        self.runs += other.runs
        self.seconds += other.seconds
        one, two = self.verdict, other.verdict
        one.violations += two.violations
        for name in COUNTS:
            setattr(one, name, getattr(one, name) + getattr(two, name))

    def lines(self) -> Iterator[str]:
        """Say it, a line for each; what cannot happen in a scene is left out."""
        verdict, kinds = self.verdict, self.verdict.kinds()
        broken = {kind: kinds.pop(kind, 0) for kind in KINDS}
        cuts = f"{self.cuts} ({self.cuts_inside} with bytes on their way)"
        shown = {
            **({"runs": self.runs} if self.runs > 1 else {}),
            **({"kills": self.kills} if self.kills else {}),
            **({"cuts": cuts} if self.cuts else {}),
            "reconnects": f"{self.reconnects} (and {self.piped} of bin/chat-client)",
            "texts sent": f"{verdict.sent} ({verdict.again} more than once)",
            "messages kept": verdict.messages,
            "shown": verdict.shown,
            "shouts judged": f"{verdict.strikes} ({verdict.warned} warnings seen)",
            "rightly refused": verdict.refused,
            **({"orders": verdict.orders} if verdict.orders else {}),
            **broken,
            **kinds,
            "seconds": round(self.seconds, 1),
        }
        for name, value in shown.items():
            name = f"wrongly {name}" if name in ("kicked", "refused") else name
            yield f"{name:15} {value}"


def chatter(
    nick: str, chance: random.Random, others: Sequence[str], shouts: int = STRIKES - 1
) -> Iterator[Line]:
    """Say this and that without end: long and short, now and then a shout."""
    for number in count(1):
        tag = f"{nick}-{number}"
        kind = chance.random()
        if kind < 0.06 and shouts:
            shouts -= 1
            yield Line("say", f"WHO SAID {tag.upper()} ÄÖ?!")
        elif kind < 0.09:
            yield Line("say", f"ring \a {tag}")
        elif kind < 0.15:
            yield Line("whisper", f"psst {tag}", chance.choice([nick, *others]))
        else:
            size = chance.choice((0, 1, 1, 2, 5, 9, 9, 30, 400))
            words = " ".join(chance.choices(WORDS, k=size))
            yield Line("say", f"{tag} {words}"[: chance.choice((60, 4000))] + "\n")


def company(
    folder: Path,
    address: tuple[str, int],
    seed: int,
    *,
    members: int,
    pace: float,
    shouts: int = STRIKES - 1,
) -> list[Recorder]:
    """Return *members* who talk, in two rooms, and one more in each who listens.

    Some come later than the others: what was before them is none of theirs.
    """
    chance = random.Random(seed)
    nicks = [f"m{number}" for number in range(members)]
    recorders = []
    for number, nick in enumerate([*nicks, "reader-1", "reader-2"]):
        own = random.Random(f"{seed} {nick}")
        talks = number < members
        script = chatter(nick, own, nicks, shouts) if talks else ()
        recorders.append(
            Recorder(
                nick,
                ("lobby", "tea")[number % 2],
                address,
                folder / f"{nick}.jsonl",
                seed=own.getrandbits(32),
                script=script,
                pace=pace,
                wait=chance.choice((0.0, 0.0, 0.2, 0.7)),
            )
        )
    return recorders


def users(
    folder: Path, address: tuple[str, int], seed: int, number: int, pace: float
) -> list[Piped]:
    """Return *number* clients in pipes, not started, who talk in the same two rooms."""
    found: list[Piped] = []
    for nick in (f"piped-{one + 1}" for one in range(number)):
        chance = random.Random(f"{seed} {nick}")
        script = chatter(nick, chance, [])
        room = ("lobby", "tea")[len(found) % 2]
        found.append(
            Piped(
                nick,
                room,
                address,
                folder,
                seed=chance.getrandbits(32),
                script=script,
                pace=pace,
            )
        )
    return found


def start(group: Company, piped: Sequence[Piped]) -> None:
    """Start the clients in pipes; a first connection that fails is their end."""
    for one in piped:
        one.start()
    assert group.serve(lambda: all(one.joined or one.over for one in piped), 30)


def leave(group: Company, piped: Sequence[Piped]) -> None:
    """Nobody else has anything to say: let those in pipes see all, and leave."""
    group.hush()
    for one in piped:
        one.talks = False
    group.serve(lambda: group.settled, 60)
    for one in piped:
        one.say_last()
    waited = [
        (one, other.last_line)
        for one in piped
        for other in piped
        if one.room == other.room
    ]
    group.serve(lambda: all(one.heard(text) for one, text in waited), 120)
    for one in piped:
        one.end_input()
    group.serve(lambda: all(one.over for one in piped), 60)


def conclude(
    victim: Victim,
    group: Company,
    started: float,
    *,
    piped: Sequence[Piped] = (),
    overseer: Overseer | None = None,
    timeout: float = 30.0,
    strikes: int = STRIKES,
    may_forget: bool = False,
    may_refuse: bool = False,
) -> Figures:
    """Let all come to an end, kill the server a last time, and hold it to the file."""
    group.finish(timeout)
    if victim.alive:
        victim.kill()
    else:
        # By its plan: behind what the last of them waited for.
        victim.expect_killed()
    group.close()
    figures = Figures(kills=victim.kills - 1, reconnects=group.reconnects)
    figures.piped = sum(max(0, one.connects - 1) for one in piped)
    records = [one.path for one in group.recorders] + [one.path for one in piped]
    if overseer is not None:
        records.append(overseer.path)
    verdict = check(
        records,
        victim.history,
        strikes=strikes,
        may_forget=may_forget,
        may_refuse=may_refuse,
    )
    errors = [victim.errors(), *(one.errors() for one in piped)]
    for trace in re.findall(r"Traceback.*", "\n".join(errors)):
        verdict.violations.append(Violation("failed", trace))
    figures.verdict = verdict
    figures.seconds = time.monotonic() - started
    return figures


# -- scenes -----------------------------------------------------------------------


def random_kills(
    folder: Path,
    kills: int,
    seed: int,
    *,
    members: int = 8,
    pace: float = 0.02,
    in_pipes: int = 2,
    least: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Kill a server under load *kills* times, each at a random moment.

    Nobody has said less than *least* texts when it is over.
    """
    started, chance = time.monotonic(), random.Random(seed)
    options = "--strikes", str(STRIKES), "--operator-file", str(operator_file(folder))
    with Victim(folder, *options) as victim, ExitStack() as stack:
        piped = users(folder, victim.address, seed, in_pipes, 5 * pace)
        overseer = Overseer(victim.address, folder, orders(seed), pace)
        stack.enter_context(overseer)
        for one in piped:
            stack.enter_context(one)
        recorders = company(folder, victim.address, seed, members=members, pace=pace)
        group = Company(recorders, [*piped, overseer])
        try:
            assert victim.start(wait=group.serve), victim.errors()
            start(group, piped)
            for number in range(1, kills + 1):
                # From the middle of the coming back to long after it.
                within = chance.choice((0.05, 0.3, 0.8))
                until = time.monotonic() + within * chance.random()
                group.serve(_over(until), 60)
                victim.kill()
                assert victim.start(wait=group.serve), victim.errors()
                if number % 10 == 0:
                    tell(f"{number} of {kills} kills")
            group.serve(
                lambda: all(one.silent or one.said >= least for one in recorders), 60
            )
            leave(group, piped)
            return conclude(victim, group, started, piped=piped, overseer=overseer)
        finally:
            group.close()


def cutting(
    folder: Path,
    seconds: float,
    seed: int,
    *,
    senders: int = 10,
    pace: float = 0.1,
    every: tuple[float, float] = (0.1, 2.0),
    kill_every: float = 0.0,
    in_pipes: int = 2,
    least: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Cut the connections of *senders* for so long; kill the server now and then.

    It is not over before *least* cuts went through bytes that were on their way.
    """
    started = time.monotonic()
    with (
        Victim(folder, "--strikes", str(STRIKES)) as victim,
        CuttingProxy(victim.address, seed, every) as proxy,
        ExitStack() as stack,
    ):
        piped = users(folder, proxy.address, seed, in_pipes, pace)
        for one in piped:
            stack.enter_context(one)
        recorders = company(folder, proxy.address, seed, members=senders, pace=pace)
        group = Company(recorders, [proxy, *piped])
        try:
            assert victim.start(wait=group.serve), victim.errors()
            # Who was never let in does not come back: these are let in at first.
            proxy.cutting = False
            start(group, piped)
            proxy.cutting = True
            end, told = time.monotonic() + seconds, time.monotonic()
            kill_at = time.monotonic() + (kill_every or 1e9)
            while (now := time.monotonic()) < end:
                until = min(end, kill_at, told + 30)
                group.serve(_over(until), 60)
                if now >= kill_at:
                    victim.kill()
                    assert victim.start(wait=group.serve), victim.errors()
                    kill_at = time.monotonic() + kill_every
                if now >= told + 30:
                    told = now
                    tell(f"{end - now:.0f} s left, {proxy.cuts} cuts")
            group.serve(lambda: proxy.cuts_inside >= least, 60)
            # They go on being cut until each knows what became of all it said; then
            # whoever comes a last time is let in.
            leave(group, piped)
            proxy.cutting = False
            figures = conclude(victim, group, started, piped=piped)
            figures.cuts, figures.cuts_inside = proxy.cuts, proxy.cuts_inside
            return figures
        finally:
            group.close()


def _over(until: float) -> Callable[[], bool]:
    """Return what tells whether it is so late."""
    return lambda: time.monotonic() >= until


def small_script(lines: int) -> list[Line]:
    """Return so many things to say: short, long, a shout, a whisper."""
    script = []
    for number in range(1, lines + 1):
        tag = f"line-{number}"
        if number == 2:
            script.append(Line("say", f"SHOUTED {number}"))
        elif number % 4 == 0:
            script.append(Line("whisper", f"psst {tag}", "listener"))
        elif number % 7 == 0:
            script.append(Line("say", f"{tag} " + "long " * 700))
        else:
            script.append(Line("say", f"{tag} "))
    return script


def one_death(
    folder: Path,
    nursery: Nursery | None,
    plan: Plan,
    *,
    prefix: str = "",
    lines: int = 20,
    window: int = 1,
) -> tuple[Figures, bool]:
    """Let one speak to another, and the server die by *plan*, or by *prefix*.

    It may do so until both have come a last time; where ``awake`` is part of the plan,
    only until all is said.  Tell also whether it died: where it did not, there is
    nothing beyond that step.
    """
    brief = "awake" in plan
    started = time.monotonic()
    folder.mkdir(parents=True)
    with Victim(folder, nursery=nursery) as victim:
        speaker, listener = (
            Recorder(
                nick,
                "lobby",
                victim.address,
                folder / f"{nick}.jsonl",
                seed=len(nick),
                script=script,
                window=window,
                retry=SOON,
            )
            for nick, script in (("speaker", small_script(lines)), ("listener", []))
        )
        group = Company([speaker, listener])
        try:
            if victim.start(plan, group.serve, prefix):
                group.serve(lambda: not victim.alive or speaker.settled, 30)
            if victim.alive and not brief:
                group.end()
                group.serve(lambda: not victim.alive or group.ended, 30)
            died = not victim.alive
            if died:
                victim.expect_killed()
            elif brief:
                victim.kill()
            if not victim.alive:
                assert victim.start(wait=group.serve), victim.errors()
            figures = conclude(victim, group, started, strikes=2)
            return figures, died or (figures.kills > 0 and not brief)
        finally:
            group.close()


def every_step(
    folder: Path,
    nursery: Nursery,
    *,
    lines: int = 20,
    window: int = 1,
    awake: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Let the server die at its first step, at its second, until it lives.

    *awake*: only those are tried that come when it has received this text.
    """
    total, died, step = Figures(runs=0), True, 0
    while died:
        step += 1
        place = folder / f"step-{step}"
        plan = Plan(die_at=step)
        if awake is not None:
            plan["awake"] = awake
        figures, died = one_death(place, nursery, plan, lines=lines, window=window)
        _keep_or_drop(place, figures, f"step {step}", total)
        if step % 50 == 0:
            tell(f"step {step}")
    return total


def orders_at_every_step(
    folder: Path, nursery: Nursery, script: Sequence[Command] = SCRIPT
) -> Figures:
    """Let the server die at its first step behind a login, at its second ...

    Until it lives long enough for all orders of *script*.
    """
    total, died, step = Figures(runs=0), True, 0
    while died:
        step += 1
        place = folder / f"step-{step}"
        place.mkdir(parents=True)
        started, file = time.monotonic(), operator_file(place)
        with (
            Victim(place, "--operator-file", str(file), nursery=nursery) as victim,
            Overseer(victim.address, place, script) as overseer,
        ):
            group = Company([], [overseer])
            plan = Plan(die_at=step, awake='"login"')
            assert victim.start(plan, group.serve), victim.errors()
            group.serve(_dead_or_silent(victim, overseer), 30)
            died = not victim.alive
            if died:
                victim.expect_killed()
                assert victim.start(wait=group.serve), victim.errors()
                group.serve(_dead_or_silent(victim, overseer), 30)
            assert overseer.silent, f"step {step}: it waits; {victim.errors()}"
            figures = conclude(victim, group, started, overseer=overseer)
        _keep_or_drop(place, figures, f"step {step}", total)
    return total


def _dead_or_silent(victim: Victim, overseer: Overseer) -> Callable[[], bool]:
    return lambda: not victim.alive or overseer.silent


def step_by_step() -> Iterator[Plan]:
    """Plan a death at each step behind the start, without end."""
    return (Plan(die_at=step, awake="") for step in count(1))


SOME_DEATHS = (
    Plan(die_in="first-1"),
    Plan(die_before="first-2"),
    Plan(die_before='"type":"warning"'),
)
"""A text is not kept yet; one is, and nobody knows; nor does anybody of a shout."""


def user_deaths(
    folder: Path,
    nursery: Nursery,
    plans: Iterable[Plan],
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Let the server die by each of *plans* while the client that users run speaks.

    It is one client in one pipe all the time.  It ends with the first plan that the
    server survives.
    """
    started = time.monotonic()
    folder.mkdir(parents=True)
    with (
        Victim(folder, "--strikes", "100000", nursery=nursery) as victim,
        Piped("piped", "lobby", victim.address, folder) as piped,
    ):
        group = Company([], [piped])
        assert victim.start(wait=group.serve), victim.errors()
        start(group, [piped])
        victim.kill()
        for number, plan in enumerate(plans, 1):
            before, last = piped.connects, f"second-{number}"
            for text in (f"first-{number}", f"SHOUTED {number}", last):
                piped.feed(text)
            # By some plans it is over before one sees that it listens.
            victim.start(plan, group.serve)
            group.serve(_dead_or_heard(victim, piped, last), 120)
            if victim.alive:
                # It has done all that it was to do before its time.
                victim.kill()
                break
            victim.expect_killed()
            if piped.connects == before:
                # Who is not let in again and again waits longer and longer.
                assert victim.start(wait=group.serve), victim.errors()
                group.serve(_dead_or_heard(victim, piped, last), 120)
                victim.kill()
            if number % 20 == 0:
                tell(f"step {number}")
        assert victim.start(wait=group.serve), victim.errors()
        leave(group, [piped])
        return conclude(victim, group, started, piped=[piped], strikes=100_000)


def _dead_or_heard(victim: Victim, piped: Piped, text: str) -> Callable[[], bool]:
    return lambda: not victim.alive or piped.heard(text)


def every_call(
    folder: Path,
    call: str,
    *,
    lines: int = 20,
    stride: int = 1,
    tell: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Let ``strace`` kill the server at its first such *call*, until it lives."""
    total, died, number = Figures(runs=0), True, 1
    while died:
        place = folder / f"{call}-{number}"
        prefix = (
            f"strace -f -qq -o /dev/null -e trace={call} "
            f"-e inject={call}:signal=SIGKILL:when={number} --"
        )
        figures, died = one_death(place, None, {}, prefix=prefix, lines=lines)
        _keep_or_drop(place, figures, f"{call} {number}", total)
        if total.runs % 20 == 0:
            tell(f"{call} {number}")
        number += stride
    return total


def _keep_or_drop(place: Path, figures: Figures, what: str, total: Figures) -> None:
    """Count a run in; what it left is kept only where something was found."""
    figures.verdict.violations = [
        Violation(one.kind, f"{what}: {one.text}") for one in figures.verdict.violations
    ]
    if not figures.verdict.violations:
        shutil.rmtree(place)
    total.add(figures)


# -- the checker, checked ---------------------------------------------------------


@dataclass(frozen=True)
class Seeded:
    """A mistake of the server or of the clients, and how the checker has to call it."""

    name: str
    plan: Plan
    expected: frozenset[str]
    client: str = ""
    between: str = ""
    """What is done to the file between the death and the next start."""


def _seeded(
    expected: str, name: str, client: str = "", between: str = "", **plan: object
) -> Seeded:
    full = Plan(fault=name) if name in FAULTS else Plan()
    full.update(plan)  # type: ignore[typeddict-item]
    return Seeded(name, full, frozenset(expected.split()), client, between)


SEEDED = (
    _seeded("lost changed", "show_before_commit", die_after="doom"),
    _seeded("garbled order lost", "drop_the_tail", short=5),
    _seeded("changed repeated", "reuse_an_id", die_after="doom"),
    _seeded("numbering", "skip_a_number", die_after="doom"),
    _seeded("lost", "lose_a_frame"),
    _seeded("repeated", "tell_no_last_ref", die_before="doom"),
    _seeded("forgotten", "forget_the_strikes", die_after="doom"),
    _seeded("forgotten", "keep_no_sessions", die_after="doom"),
    _seeded("forgotten", "keep_no_orders", die_after="doom"),
    _seeded("phantom", "lift_no_orders", die_after="doom"),
    _seeded("lost", "receipts_on_their_own", die_in="doom"),
    _seeded("changed", "shorten_the_text"),
    _seeded("lost", "skip_on_pages", die_before="doom"),
    _seeded("phantom", "refuse_what_is_kept"),
    _seeded("order", "turn_the_order"),
    _seeded("kicked", "resend_a_shout", RESENDS_ALL, die_before='"type":"warning"'),
    _seeded("repeated", "resend_a_text", RESENDS_ALL, die_before="doom"),
    _seeded("repeated", "show_it_again", SHOWS_TWICE, die_after="doom"),
    _seeded("lost", "ask_for_nothing", SKIPS_HISTORY, die_before="doom"),
    _seeded("forgotten", "another_file", between="file", die_after="doom"),
    _seeded("lost", "rows_are_gone", between="rows", die_after="doom"),
)
"""Mistakes that must not pass."""

HARMLESS = (
    _seeded("", "nothing"),
    _seeded("", "before_a_sending", die_before="doom"),
    _seeded("", "after_a_sending", die_after="doom"),
    _seeded("", "inside_a_transaction", die_in="doom"),
    _seeded("", "before_a_warning", die_before='"type":"warning"'),
    _seeded("", "short_writes", short=5, die_before="doom"),
    _seeded("", "disk_is_full", refuse_in="full", die_before="line-9"),
    _seeded("", "sessions_are_gone", between="sessions", die_before="doom"),
    _seeded("", "sessions_are_gone_too", between="sessions", die_in="doom"),
)
"""The same without a mistake: nothing is to be found."""


def doomed_script() -> list[Line]:
    """Return what is said where a mistake is to be found."""
    texts = [f"line-{number} " for number in range(1, 13)]
    # The first and the last are so far apart that they are never unanswered together.
    texts[2], texts[5], texts[10] = "doom ", "full ", "SHOUTED ONCE"
    return [Line("say", text) for text in texts]


def with_a_mistake(folder: Path, nursery: Nursery, seeded: Seeded) -> Verdict:
    """Let two talk to each other while *seeded* is built in; return the verdict.

    An operator has given his orders before.
    """
    started = time.monotonic()
    folder.mkdir(parents=True)
    file = operator_file(folder)
    # Who has lost his session would be locked out.
    script_of_orders = [one for one in SCRIPT if one.order[0] != "lock"]
    with (
        Victim(folder, "--operator-file", str(file), nursery=nursery) as victim,
        Overseer(victim.address, folder, script_of_orders, patience=0.4) as overseer,
    ):
        scripts: dict[str, list[Line]] = {"speaker": doomed_script(), "listener": []}
        group = Company(
            [
                Recorder(
                    nick,
                    "lobby",
                    victim.address,
                    folder / f"{nick}.jsonl",
                    seed=len(nick),
                    script=script,
                    window=6,
                    patience=0.4,
                    retry=SOON,
                    faults=[seeded.client],
                )
                for nick, script in scripts.items()
            ],
            [overseer],
        )
        try:
            alone = Company([], [overseer])
            assert victim.start(seeded.plan, alone.serve), victim.errors()
            assert alone.serve(lambda: overseer.silent, 30), victim.errors()
            dies = {"die_after", "die_before", "die_in"} & seeded.plan.keys()
            # Who is to die may have closed its sockets and not be gone yet.
            group.serve(lambda: not victim.alive or (group.settled and not dies), 30)
            assert victim.alive != bool(dies), f"it died: {not victim.alive}"
            if dies:
                victim.expect_killed()
            else:
                victim.kill()
            _tamper(victim.history, seeded.between)
            again = Plan(**seeded.plan)
            for key in dies:
                del again[key]  # type: ignore[misc]
            assert victim.start(again, group.serve), victim.errors()
            return conclude(
                victim,
                group,
                started,
                overseer=overseer,
                strikes=2,
                may_forget=seeded.between == "sessions",
                may_refuse="refuse_in" in seeded.plan,
            ).verdict
        finally:
            group.close()


PIPED = (
    ("", "nothing"),
    ("repeated", PRINTS_TWICE),
    ("lost", PRINTS_LESS),
    ("changed", PRINTS_ANOTHER),
    ("repeated", SAYS_TWICE),
    ("lost", SAYS_LESS),
)
"""What may be done to the lines of a client in a pipe, and how it is to be called."""


def in_a_pipe(folder: Path, fault: str) -> Verdict:
    """Let a client in a pipe talk, *fault* built in; return the verdict."""
    started = time.monotonic()
    with (
        Victim(folder) as victim,
        Piped("piped", "lobby", victim.address, folder, fault=fault) as piped,
    ):
        group = Company([], [piped])
        assert victim.start(), victim.errors()
        start(group, [piped])
        for number in range(FAULTY + 1):
            piped.feed(f"line-{number}")
        leave(group, [piped])
        return conclude(victim, group, started, piped=[piped], strikes=2).verdict


def _tamper(history: Path, how: str) -> None:
    """Take something of a history away while no server has it open."""
    if how == "file":
        for path in history.parent.glob("history.db*"):
            path.unlink()
    elif how:
        table = {"rows": "messages", "sessions": "sessions"}[how]
        db = sqlite3.connect(history, isolation_level=None)
        db.execute(f"DELETE FROM {table}")
        db.close()
