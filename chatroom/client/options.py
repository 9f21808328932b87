"""The client's command line.  Must not know: what is done with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chatroom.config import (
    Parser,
    checked,
    port_number,
    seconds,
    version_line,
    word,
)
from chatroom.core.text import DEFAULT_ROOM, nick_error, room_error, to_nfc

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 2428
DEFAULT_GIVE_UP = 60.0
"""A server that is started anew takes seconds; whoever waits for a script, minutes."""

_EPILOG = """\
In a terminal, /help tells the commands and !leave leaves.

From a pipe or a file, each line that is not blank is said as it is, also one that
begins with a slash. Messages come out on stdout, everything else on stderr; with
--json every frame comes out on stdout. At the end of the input it waits until all
is answered, and leaves.

A connection that is lost is sought again: what was missed is shown, and what did not
arrive is sent again.

exit codes: 0 left, 1 could not connect, or not again, 2 usage, 3 kicked,
128 + N ended by signal N
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    nick: str | None = None
    room: str = DEFAULT_ROOM
    json: bool = False
    give_up: float = DEFAULT_GIVE_UP
    """Seconds without a connection; 0: never."""
    tls: bool = False
    """TLS or nothing."""
    tls_ca: str | None = None
    """The file of the authorities that are trusted; ``None``: those of the system."""
    tls_fingerprint: bytes | None = None
    """The SHA-256 of the one certificate that is trusted instead."""
    password_file: str | None = None


def parse_address(text: str) -> tuple[str, int]:
    """Return the host and the port of ``HOST``, ``HOST:PORT`` or ``[IPv6]:PORT``."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or not host or (port and not port.startswith(":")):
            raise ValueError("an address like [::1]:2428")
        port = port[1:] if port else str(DEFAULT_PORT)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        # Several colons are an IPv6 address without brackets, and so without a port.
        host, port = text, str(DEFAULT_PORT)
    try:
        number = port_number(port)
    except ValueError:
        number = 0
    if not number:
        raise ValueError("an address with a port from 1 to 65535")
    if not host and not text.startswith(":"):
        raise ValueError("an address")
    return host or DEFAULT_HOST, number


def _nick(text: str) -> str:
    nick = to_nfc(text)
    wrong = nick_error(nick)
    if wrong is not None:
        raise ValueError(f"a nick: {wrong}")
    return nick


def _room(text: str) -> str:
    wrong = room_error(text)
    if wrong is not None:
        raise ValueError(f"a room: {wrong}")
    return text


def _fingerprint(text: str) -> bytes:
    digits = text.replace(":", "")
    if not re.fullmatch("[0-9a-fA-F]{64}", digits):
        raise ValueError("a SHA-256: 64 hexadecimal digits, colons allowed")
    return bytes.fromhex(digits)


def read_options(argv: Sequence[str] | None = None) -> Options:
    """Return what the command line *argv* asks for.

    Raises ``UsageError`` for what it does not understand; ``--help`` and ``--version``
    print and raise ``SystemExit(0)``.
    """
    from argparse import RawDescriptionHelpFormatter

    parser = Parser(
        prog="chat-client",
        description="Join a chat room.",
        epilog=_EPILOG,
        allow_abbrev=False,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version_line())
    parser.add_argument(
        "address",
        nargs="?",
        type=checked(parse_address),
        default=(DEFAULT_HOST, DEFAULT_PORT),
        metavar="HOST[:PORT]",
        help=f"the server (default: {DEFAULT_HOST}:{DEFAULT_PORT})",
    )
    parser.add_argument(
        "--nick",
        type=checked(_nick),
        metavar="NICK",
        help="your name (default: the server gives one)",
    )
    parser.add_argument(
        "--room",
        type=checked(_room),
        default=DEFAULT_ROOM,
        metavar="ROOM",
        help=f"the room to enter (default: {DEFAULT_ROOM})",
    )
    parser.add_argument(
        "--json", action="store_true", help="show every frame as one line of JSON"
    )
    parser.add_argument(
        "--give-up",
        type=checked(seconds),
        default=DEFAULT_GIVE_UP,
        metavar="S",
        help="in a pipe: end when a lost connection is not back after this time; "
        f"0: never (default: {DEFAULT_GIVE_UP:g})",
    )
    parser.add_argument("--tls", action="store_true", help="speak TLS or nothing")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--tls-ca",
        type=checked(word),
        metavar="FILE",
        help="TLS; trust the authorities in this file alone (default: the system's)",
    )
    trust.add_argument(
        "--tls-fingerprint",
        type=checked(_fingerprint),
        metavar="SHA256",
        help="TLS; trust the one certificate with this fingerprint (default: none)",
    )
    parser.add_argument(
        "--password-file",
        type=checked(word),
        metavar="FILE",
        help="the room's password is its first line (default: asks for it)",
    )
    given = parser.parse_args(argv)
    for name, value in vars(given).items():
        if value == []:
            # argparse takes "--" out of the arguments, that of --room=-- too.
            option = "--" + name.replace("_", "-")
            parser.error(f"argument {option}: expected one argument")
    host, port = given.address
    return Options(
        host,
        port,
        given.nick,
        given.room,
        given.json,
        given.give_up,
        given.tls or given.tls_ca is not None or given.tls_fingerprint is not None,
        given.tls_ca,
        given.tls_fingerprint,
        given.password_file,
    )
