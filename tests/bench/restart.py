"""A crowd that chats through a restart, with a core of its own.

Must not know: which figures are wanted.
"""

from __future__ import annotations

import os

from chatroom.client.load.process import pin, raise_descriptor_limit, two_cores
from tests.bench.measure import Failed, folder
from tests.crash.restart import Figures, through_restart
from tests.support.server import Server

ROOM = 50
"""Members of a room."""
PACE = 5.0
"""Seconds between two texts of a member: they are 200 a second of all together."""


def restarted(
    clients: int, *, lend: bool = True, tls: bool = False, pause: float = 0.0
) -> Figures:
    """Let so many chat through a restart; see ``through_restart`` for the rest."""
    raise_descriptor_limit(2 * clients)
    cores = two_cores()
    before = os.sched_getaffinity(0) if cores is not None else set()
    if cores is not None:
        pin(0, cores[1])

    def begin(server: Server) -> None:
        if cores is not None:
            pin(server.pid, cores[0])

    try:
        with folder() as place:
            return through_restart(
                place,
                clients=clients,
                rooms=max(1, clients // ROOM),
                pace=PACE,
                lend=lend,
                tls=tls,
                pause=pause,
                begin=begin,
            )
    except AssertionError as error:
        raise Failed(f"a restart with {clients} clients: {error}") from None
    finally:
        if cores is not None:
            os.sched_setaffinity(0, before)
