"""The command line of the load test.  Must not know: what is done with it."""

from __future__ import annotations

import shlex
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatroom.client.options import parse_address
from chatroom.config import (
    Parser,
    checked,
    number,
    one_of,
    positive,
    rate,
    seconds,
    size,
    version_line,
)
from chatroom.errors import UsageError
from chatroom.net.address import Address

SCENARIO_NAMES = (
    "steady",
    "flat-out",
    "join-storm",
    "churn",
    "rooms",
    "idle",
    "slow-readers",
)
MIN_SIZE = 12
"""Bytes of a text: with fewer, texts of one talker could not all be different."""
MAX_SIZE = 4000
"""The protocol's own limit, as these texts are ASCII."""

_EPILOG = """\
scenarios:
  steady        so many messages a second: how late is what one gets?
  flat-out      as fast as it goes, with a bounded number under way
  rooms         the same in many small rooms, 20 unless --rooms tells
  join-storm    all come at once and leave at once while the talkers talk
  churn         a tenth of the crowd goes each second, and as many come
  idle          nobody says anything
  slow-readers  steady, and a share of the clients hardly reads

Everything that every client gets is checked: each message once, in one order, ids
without a gap, each text as it was said.

exit codes: 0 all was right, 1 something was not, 2 usage
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    scenario: str = "steady"
    address: Address | None = None
    server: tuple[str, ...] = ()
    server_args: tuple[str, ...] = ()
    pid: int | None = None
    pin: bool = False
    clients: int = 100
    talkers: int = 10
    rooms: int = 1
    messages: int | None = None
    duration: float = 5.0
    rate: float = 200.0
    in_flight: int = 256
    size: int = 64
    slow_share: float = 0.1
    settle: float = 0.0
    patience: float = 10.0
    seed: int = 1
    json: bool = False


def read_options(argv: Sequence[str] | None = None) -> Options:
    """Return what the command line *argv* asks for.

    Raises ``UsageError`` for what it does not understand; ``--help`` and ``--version``
    print and raise ``SystemExit(0)``.
    """
    given = {k: v for k, v in vars(_parser().parse_args(argv)).items() if v is not None}
    return _consistent(given)


def _parser() -> Parser:
    parser = Parser(
        prog="chat-load",
        description="Put a chat server under load, and check all that it answers.",
        epilog=_EPILOG,
        allow_abbrev=False,
        formatter_class=RawDescriptionHelpFormatter,
    )

    def add(name: str, parse: Any, metavar: str, text: str) -> None:
        parser.add_argument(
            name, type=checked(parse), default=None, metavar=metavar, help=text
        )

    parser.add_argument("--version", action="version", version=version_line())
    parser.add_argument(
        "address",
        nargs="?",
        type=checked(parse_address),
        metavar="HOST[:PORT]",
        help="the server; without it, one is started for the test",
    )
    add(
        "--scenario",
        one_of(*SCENARIO_NAMES),
        "NAME",
        f"{', '.join(SCENARIO_NAMES)} (default: steady)",
    )
    add("--clients", positive, "N", "connections (default: 100)")
    add("--talkers", positive, "N", "how many of them talk (default: 10)")
    add("--rooms", positive, "N", "rooms that they are spread over (default: 1)")
    add("--messages", positive, "N", "end after so many messages")
    add("--duration", seconds, "S", "end after this time (default: 5)")
    add("--rate", rate, "N", "messages a second, of all together (default: 200)")
    add("--in-flight", positive, "N", "messages under way, flat out (default: 256)")
    add("--size", size, "BYTES", "bytes of a text (default: 64)")
    add("--slow-share", _share, "PART", "slow readers among all (default: 0.1)")
    add("--settle", seconds, "S", "wait before measuring (default: 0)")
    add("--patience", seconds, "S", "to wait for what is missing (default: 10)")
    add("--seed", number, "N", "of all that is random (default: 1)")
    add("--server-args", _words, "ARGS", "options for its own server, as one word")
    add("--server", _words, "COMMAND", "start this instead of its own server")
    add("--pid", positive, "PID", "process of the server at HOST:PORT, to measure it")
    parser.add_argument(
        "--pin", action="store_true", help="server and load on a core each"
    )
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    return parser


def _consistent(given: dict[str, Any]) -> Options:
    """Return the options *given*, and what follows from them for the others."""
    scenario = given.get("scenario", "steady")
    if "messages" in given and "duration" in given:
        raise UsageError("--messages and --duration are two ends of one thing")
    if "address" in given and ("server" in given or "server_args" in given):
        raise UsageError("a server at an address is not started: no --server options")
    if "pid" in given and "address" not in given:
        raise UsageError("--pid is for a server at an address")
    clients = given.get("clients", 100)
    rooms = given.setdefault("rooms", min(20, clients) if scenario == "rooms" else 1)
    if rooms > clients:
        raise UsageError(f"{rooms} rooms are more than {clients} clients")
    if scenario != "join-storm" and given.get("talkers", 0) > clients:
        raise UsageError(f"{given['talkers']} talkers are more than {clients} clients")
    talkers = rooms if scenario == "rooms" else min(10, clients)
    given.setdefault("talkers", talkers)
    if not MIN_SIZE <= given.get("size", MIN_SIZE) <= MAX_SIZE:
        raise UsageError(f"--size is from {MIN_SIZE} to {MAX_SIZE} bytes")
    if not given.get("rate", 1.0):
        raise UsageError("--rate has to be above 0")
    return Options(**given)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1.0:
        raise ValueError("a share from 0 to below 1")
    return value


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError:
        raise ValueError("words as a shell has them") from None
