"""What the clients do: a function for each scenario, by its name in ``SCENARIOS``.

Must not know: how it is measured and checked.
"""

from __future__ import annotations

from collections.abc import Callable

from chatroom.client.load.run import Run
from chatroom.client.load.talk import FlatOut, Steady

CHURN_SHARE = 0.1
"""Part of the crowd that is exchanged each second."""


def _steady(run: Run) -> None:
    run.join(run.options.clients)
    run.synchronise()
    run.watch(run.options.rate)
    talkers = run.talkers(run.options.talkers)
    run.measure(Steady(run, talkers, run.options.rate))


def _flat_out(run: Run) -> None:
    run.join(run.options.clients)
    run.synchronise()
    run.watch(None)
    talkers = run.talkers(run.options.talkers)
    run.measure(FlatOut(run, talkers, run.options.in_flight))


def _idle(run: Run) -> None:
    run.join(run.options.clients)
    run.synchronise()
    run.begin()
    run.pause(run.options.duration)
    run.end()
    for members in run.rooms.values():
        run.say_one(members[0])
    run.complete()


def _slow_readers(run: Run) -> None:
    options = run.options
    run.join(options.clients, slow=int(options.clients * options.slow_share))
    run.synchronise()
    run.watch(options.rate)
    run.swarm.read_slowly()
    talk = Steady(run, run.talkers(options.talkers), options.rate)
    run.begin()
    talk.start()
    run.wait(lambda: talk.over, "no message came back")
    run.end()
    run.swarm.read_fast()
    run.complete()


def _join_storm(run: Run) -> None:
    """All but the talkers come at once, hear something, and leave at once."""
    options, swarm, clock = run.options, run.swarm, run.loop.clock
    run.join(options.talkers)
    run.synchronise()
    residents = list(swarm.clients)
    run.watch(options.rate)
    talk = Steady(run, residents, options.rate)
    talk.start()
    run.begin()
    began, here = clock(), len(residents)
    for number in range(options.clients):
        run.enter(run.room_name(number))
    run.wait(lambda: run.joined >= here + options.clients, "somebody got no room")
    run.result.join_seconds = clock() - began
    run.wait(lambda: not any(s.entering for s in swarm.streams.values()), None)
    run.weigh()
    known = set(residents)
    guests = [client for client in swarm.clients if client not in known]
    began, left = clock(), 0

    def out() -> None:
        nonlocal left
        left += 1

    for client in guests:
        swarm.leave(client, out)
    run.wait(lambda: left == len(guests), "somebody could not leave")
    run.result.leave_seconds = clock() - began
    talk.stop()
    run.complete()
    run.end()


def _churn(run: Run) -> None:
    """Those who do not talk come and go; half of them say that they go."""
    options, swarm = run.options, run.swarm
    run.join(options.clients)
    run.synchronise()
    run.watch(options.rate)
    talkers = run.talkers(options.talkers)
    staying = set(talkers)
    talk = Steady(run, talkers, options.rate)
    interval = 1.0 / max(1.0, CHURN_SHARE * options.clients)

    def exchange() -> None:
        if talk.over:
            return
        crowd = [c for c in swarm.clients if c not in staying and c.nick]
        ready = [c for c in crowd if not c.leaving and c not in swarm.waiting]
        if ready:
            client = run.chance.choice(ready)
            room = client.stream.room
            if run.chance.random() < 0.5:
                swarm.leave(client, lambda: run.enter(room))
            else:
                swarm.drop(client)
                run.enter(room)
            run.result.changes += 1
        run.loop.call_later(interval, exchange)

    run.begin()
    talk.start()
    exchange()
    run.wait(lambda: talk.over, "no message came back")
    run.wait(lambda: not any(c.leaving or not c.nick for c in swarm.clients), None)
    # Whoever came last has to hear something, or he could not be checked.
    for client in {client.stream.room: client for client in talkers}.values():
        run.say_one(client)
    run.complete()
    run.end()


SCENARIOS: dict[str, Callable[[Run], None]] = {
    "steady": _steady,
    "flat-out": _flat_out,
    "rooms": _flat_out,
    "join-storm": _join_storm,
    "churn": _churn,
    "idle": _idle,
    "slow-readers": _slow_readers,
}
