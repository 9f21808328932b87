"""What a server takes of a machine: the figures of "How big a machine" in
docs/operations.md.

Settings are those of a server as one runs it: history on a disk, log at ``info``.
Must not know: which figures are wanted.
"""

from __future__ import annotations

import secrets

from tests.bench.measure import ON_DISK, Figures, folder, load
from tests.support.server import Server

CROWDS = ((30, 1), (100, 10), (500, 20), (1000, 20), (1000, 100), (2000, 100))
"""Members of a room, and texts a second of all of them together."""
TEXT_BYTES = 64


def chat(members: int, rate: int, seconds: float) -> Figures:
    """Let *members* of one room say so many texts a second, each as much as others."""
    return load(
        ON_DISK,
        *("--scenario", "steady", "--duration", f"{seconds:g}"),
        *("--clients", str(members), "--talkers", str(members)),
        *("--rate", str(rate), "--size", str(TEXT_BYTES)),
        args="--log-level info",
    )


def growth(messages: int) -> tuple[float, float]:
    """Return the bytes of disk that a message takes, in the history and in the log."""
    with folder() as place:
        path, log = place / "history.db", place / "server.log"
        with Server("--history", str(path), "--rate", "0", log=log) as server:
            peer = server.peer()
            peer.hello("ann")
            before = log.stat().st_size
            for number in range(messages):
                # Clients give each a name like this one.
                text, ref = f"no {number} ".ljust(TEXT_BYTES, "x"), secrets.token_hex(8)
                peer.say(text, ref=ref)
                peer.sync()
            logged = log.stat().st_size - before
            server.stop()
        return path.stat().st_size / messages, logged / messages
