"""What a service manager does for a server: it holds the port, and hears how it is.

    with Manager(folder) as manager:
        server = manager.start(); server.stop(); server = manager.start() ...

No server runs between two of them, and the port is there all the same.
"""

from __future__ import annotations

import re
import select
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.server import Server
from tests.support.waiting import PATIENCE

BACKLOG = 4096
"""Connections that wait while no server runs: as many as systemd asks for, and Linux
gives unless it is told otherwise."""


class Manager:
    """Holds sockets that listen to *hosts*, and starts servers on them.

    One that does not *lend* them has them listen to nothing: while no server runs who
    comes is refused, and the port is nobody else's.
    """

    def __init__(
        self, folder: Path, *hosts: str, watchdog: float = 0.0, lend: bool = True
    ) -> None:
        self.sockets = [socket.socket() for _ in hosts or "1"]
        for sock, host in zip(self.sockets, hosts or ("127.0.0.1",), strict=True):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, 0))
            if lend:
                sock.listen(BACKLOG)
        self.address: tuple[str, int] = self.sockets[0].getsockname()[:2]
        self.folder = folder
        self._lends = lend
        self._starts = 0
        self._servers: list[Server] = []
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(str(folder / "notify"))
        self.environ = {"NOTIFY_SOCKET": str(folder / "notify")}
        """What servers find in their environment."""
        if watchdog:
            self.environ["WATCHDOG_USEC"] = str(round(watchdog * 1e6))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            for server in self._servers:
                if kind is None:
                    server.finish()
        finally:
            self.close()

    def start(self, *options: str) -> Server:
        """Start a server and wait until it listens."""
        server = self.launch(*options)
        server.await_listening()
        return server

    def launch(self, *options: str) -> Server:
        """Start a server."""
        self._starts += 1
        if not self._lends:
            options += ("--port", str(self.address[1]))
        server = Server(
            *options,
            log=self.folder / f"server-{self._starts}.log",
            sockets=self.sockets if self._lends else (),
            environ=self.environ,
        )
        self._servers.append(server)
        server.launch()
        return server

    def hear(self, what: str, timeout: float = PATIENCE) -> str:
        """Wait for a datagram that says *what*, and give it."""
        while select.select([self._ear], [], [], timeout)[0]:
            said = self._ear.recv(4096).decode()
            if re.search(rf"^{re.escape(what)}", said, re.MULTILINE):
                return said
        raise AssertionError(f"{what}: not heard in {timeout} s")

    def has_news(self, timeout: float = 0.0) -> bool:
        """Tell whether there is a datagram that nobody has heard."""
        return bool(select.select([self._ear], [], [], timeout)[0])

    def close(self) -> None:
        """End what still runs, and hold nothing any more."""
        for server in self._servers:
            server.kill()
        for sock in [*self.sockets, self._ear]:
            sock.close()
