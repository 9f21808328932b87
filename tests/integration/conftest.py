"""Servers for the tests over real sockets, each held to leaving nothing behind.

`server` is one for a whole module; the options it is started with are the module's
`OPTIONS`. Tests on it use nicks and rooms that no other test uses. `start` starts
one for a single test, with options of its own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

import pytest

from tests.support.leaks import allow
from tests.support.server import Server


class Start(Protocol):
    """Start a server with these options; it is checked and stopped afterwards."""

    def __call__(
        self,
        *options: str,
        stderr: IO[bytes] | int | None = None,
    ) -> Server: ...


class Shared:
    """The server of a module; a test that brought it down does not fail the next."""

    def __init__(self, directory: Path, options: tuple[str, ...]) -> None:
        self._directory = directory
        self._options = options
        self._starts = 0
        self._server: Server | None = None

    def get(self) -> Server:
        """The server, started anew if need be."""
        if self._server is None or not self._server.alive:
            self._starts += 1
            log = self._directory / f"server-{self._starts}.log"
            self._server = Server(*self._options, log=log)
            self._server.start()
            # Its stdout stays open from one test to the next.
            stdout = self._server.process.stdout
            assert stdout is not None
            allow(stdout.fileno())
        return self._server

    def finish(self) -> None:
        """Check and stop it."""
        if self._server is not None:
            self._server.finish()


@pytest.fixture(scope="module")
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    """The server of the module, not yet started."""
    options: tuple[str, ...] = getattr(request.module, "OPTIONS", ())
    one = Shared(tmp_path_factory.mktemp("shared"), options)
    yield one
    one.finish()


@pytest.fixture
def server(shared: Shared) -> Iterator[Server]:
    """The server of the module, checked after each test."""
    one = shared.get()
    yield one
    one.check()


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is typed in a test be kept there, and not in somebody's home."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers for this test alone."""
    started: list[Server] = []

    def start_one(
        *options: str,
        stderr: IO[bytes] | int | None = None,
    ) -> Server:
        log = tmp_path / f"server-{len(started)}.log"
        one = Server(*options, log=log, stderr=stderr)
        started.append(one)
        one.start()
        return one

    yield start_one
    try:
        for one in started:
            one.finish()
    finally:
        for one in started:
            one.kill()
