"""The load test put together: options in, a report and an exit code out.

    main(argv) -> 0 all was right, 1 something was not

Must not know: what a scenario does, and how a figure is made.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import monotonic

from chatroom.client.connection import CONNECT_TIMEOUT, resolve
from chatroom.client.load.check import Violation
from chatroom.client.load.options import Options, read_options
from chatroom.client.load.process import (
    ServerProcess,
    Usage,
    own_server,
    pin,
    raise_descriptor_limit,
    two_cores,
)
from chatroom.client.load.report import Result, lines, to_json
from chatroom.client.load.run import Run
from chatroom.client.load.scenarios import SCENARIOS
from chatroom.client.load.swarm import PreciseLoop, Swarm, Target
from chatroom.errors import ConnectError
from chatroom.net.address import Address, show

SPARE_DESCRIPTORS = 64
"""Beside the connections: files, the selector, the server's pipes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the load test that *argv* asks for; return the exit code."""
    options = read_options(argv)
    raise_descriptor_limit(options.clients + options.talkers + SPARE_DESCRIPTORS)
    with ExitStack() as stack:
        server = _start(options, stack)
        try:
            result = _play(options, server)
        except Violation as violation:
            _complain(options, violation, server)
            return 1
    _print(options, result)
    return 0


def _start(options: Options, stack: ExitStack) -> ServerProcess | None:
    """Start a server, unless there is one at an address."""
    cores = two_cores() if options.pin else None
    if cores is not None:
        pin(0, cores[1])
    if options.address is not None:
        return None
    command = list(options.server) or own_server(options.server_args, options.clients)
    server = ServerProcess(command, cores[0] if cores is not None else None)
    return stack.enter_context(server)


def _play(options: Options, server: ServerProcess | None) -> Result:
    pid = options.pid if server is None else server.pid
    address = options.address if server is None else server.address
    assert address is not None
    target = _target(address)
    loop = PreciseLoop(monotonic)
    swarm = Swarm(loop, target)
    try:
        usage = Usage(pid) if pid is not None else None
        run = Run(options, loop, swarm, usage, _progress(options))
        return run.play(SCENARIOS[options.scenario])
    finally:
        swarm.close()
        loop.close()
        if _on_terminal(options):
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _target(address: Address) -> Target:
    """Return the first of the addresses of *address* that answers."""
    reasons = []
    for family, sockaddr in resolve(*address):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.settimeout(CONNECT_TIMEOUT)
                sock.connect(sockaddr)
        except OSError as error:
            reasons.append(error.strerror or str(error))
        else:
            return family, sockaddr
    raise ConnectError(f"cannot connect to {show(address)}: {'; '.join(reasons)}")


def _on_terminal(options: Options) -> bool:
    return not options.json and sys.stderr is not None and sys.stderr.isatty()


def _progress(options: Options) -> Callable[[str], None] | None:
    """Return what shows a line over the one before, where there is a terminal."""
    if not _on_terminal(options):
        return None

    def show_line(text: str) -> None:
        width = os.get_terminal_size(sys.stderr.fileno()).columns
        print(f"\r{text[: width - 1]}\x1b[K", end="", file=sys.stderr, flush=True)

    return show_line


def _print(options: Options, result: Result) -> None:
    if options.json:
        print(json.dumps(to_json(result)), flush=True)
        return
    try:
        "█".encode(sys.stdout.encoding or "ascii")
        bar = "█"
    except UnicodeEncodeError:
        bar = "#"
    print("\n".join(lines(result, bar=bar)), flush=True)


def _complain(
    options: Options, violation: Violation, server: ServerProcess | None
) -> None:
    print(f"chat-load: violation: {violation}", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"violation": str(violation)}), flush=True)
    if server is not None and server.log_tail():
        print(f"the server's log ends:\n{server.log_tail()}", file=sys.stderr)
