"""Listening sockets that were open before we were: socket activation.

    take_sockets(environ, pid) -> sockets, for a ``Listener`` each; none: open your own

The words are those of systemd (sd_listen_fds(3)): ``LISTEN_PID`` names the process that
they are for, ``LISTEN_FDS`` says how many there are, from descriptor 3 on.  Whoever
handed them to us holds them too, so whoever connects while no server runs waits, and
the next server lets him in.
Must not know: what the sockets are for.
"""

from __future__ import annotations

import socket
from collections.abc import MutableMapping

from chatroom.errors import StartError
from chatroom.net.listener import set_up

FIRST = 3
"""The descriptor of the first one: they come behind stdin, stdout and stderr."""
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
"""All that is said of them; their names are of no interest to us."""


def take_sockets(environ: MutableMapping[str, str], pid: int) -> list[socket.socket]:
    """Return the sockets that *environ* hands to the process *pid*, ready to accept.

    What *environ* said of them is said no more: it is for nobody else.  Raises
    ``StartError`` where one is not a listening TCP socket; then none is left open.
    """
    meant_for, count, *_ = [environ.pop(name, "") for name in VARIABLES]
    if meant_for != str(pid):
        return []
    if not (count.isascii() and count.isdecimal() and len(count) < 6):
        raise StartError(f"LISTEN_FDS is {count!a}, and has to be a number of sockets")
    taken: list[socket.socket] = []
    try:
        for descriptor in range(FIRST, FIRST + int(count)):
            taken.append(_take(descriptor))
    except BaseException:
        for sock in taken:
            sock.close()
        raise
    return taken


def _take(descriptor: int) -> socket.socket:
    text = f"descriptor {descriptor} (LISTEN_FDS) is not a listening TCP socket"
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartError(f"{text}: {error.strerror}") from None
    try:
        # No AF_UNIX: members are told apart, limited and banned by their addresses.
        if (
            sock.family not in (socket.AF_INET, socket.AF_INET6)
            or sock.type != socket.SOCK_STREAM
            or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            raise StartError(text)
        sock.set_inheritable(False)
        set_up(sock)
    except OSError as error:
        sock.close()
        raise StartError(f"{text}: {error.strerror}") from None
    except BaseException:
        sock.close()
        raise
    return sock
