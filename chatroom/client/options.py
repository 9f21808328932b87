"""The client's options: one table, from which come the command line and client.toml.

The command line is over the file.  Must not know: what is done with the options.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chatroom.client.settings import lines_file, read_client_file
from chatroom.config import (
    Parser,
    add_options,
    checked,
    flag,
    one_of,
    option,
    port_number,
    read_arguments,
    seconds,
    version_line,
    word,
)
from chatroom.core.text import DEFAULT_ROOM, nick_error, room_error, to_nfc
from chatroom.errors import UsageError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 2428
DEFAULT_GIVE_UP = 60.0
"""A server that is started anew takes seconds; whoever waits for a script, minutes."""

_EPILOG = """\
In a terminal, /help tells the commands and !leave leaves.

From a pipe or a file, each line that is not blank is said as it is, also one that
begins with a slash. Messages come out on stdout, everything else on stderr; with
--json every frame comes out on stdout. At the end of the input it waits until all
is answered, and leaves. With --json-in each line is a frame to send instead, as one
JSON object, from a terminal too; what is wrong with one is told on stderr, with its
line number, and the next one is taken.

A connection that is lost is sought again: what was missed is shown, and what did not
arrive is sent again.

Every option but --config has its place in the settings file, under its own name
(nick = "ann", json = true, give-up = 30, ignore = ["bob", "eve"]), and the server has
one too (server = "chats://example.org/tea"). The command line is over the file; it
takes a flag back with --no- before the name, or without (--no-json, --hints).

exit codes: 0 left, 1 could not connect, or not again, 2 usage, 3 kicked,
128 + N ended by signal N
"""


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


class Server(NamedTuple):
    """A server as one names it: an address, or a link."""

    host: str
    port: int
    room: str | None = None
    tls: bool = False


_SCHEMES = {"chat": False, "chats": True}
_PLACE = re.compile(r"(\[[^]]*\]|[^][:@?#]+)(:[^][:@?#]*)?")
"""A host and perhaps a port: no user, query or fragment, and IPv6 in brackets only."""
_LINK = "a link like chat://HOST[:PORT][/ROOM], or chats:// for TLS"


def parse_server(text: str) -> Server:
    """Return the server of an address, or of ``chat[s]://HOST[:PORT][/ROOM]``."""
    scheme, sign, rest = text.partition("://")
    if not sign:
        return Server(*parse_address(text))
    tls = _SCHEMES.get(scheme.lower())
    place, _, room = rest.partition("/")
    if tls is None or not _PLACE.fullmatch(place):
        raise ValueError(_LINK)
    return Server(*parse_address(place), _room(room) if room else None, tls)


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


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line and the settings file ask for."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    nick: str | None = option(None, _nick, "NICK", "your name", "the server gives one")
    room: str = option(DEFAULT_ROOM, _room, "ROOM", "the room to enter")
    json: bool = flag("show every frame as one line of JSON")
    json_in: bool = flag("take every line of the input for a frame to send")
    give_up: float = option(
        DEFAULT_GIVE_UP,
        seconds,
        "S",
        "in a pipe: end when a lost connection is not back after this time; 0: never",
        f"{DEFAULT_GIVE_UP:g}",
    )
    """Seconds without a connection; 0: never."""
    plain: bool = flag("only lines, for a screen reader or a simple terminal")
    bell: str = option(
        "mention",
        one_of("off", "mention", "all"),
        "WHEN",
        "ring when somebody names you, or at all that is said: off, mention or all",
    )
    hints: bool = flag("do not warn before you say what would be a strike", on=True)
    ignored: tuple[str, ...] = option(
        (),
        _nick,
        "NICK",
        "show nothing that this one says; may be repeated",
        "nobody",
        name="ignore",
    )
    line_history: str | None = flag(
        "do not keep the lines that you type for the next time", on=True, default=None
    )
    """The file that they are kept in; ``None``: nowhere."""
    tls: bool = flag("speak TLS or nothing")
    tls_ca: str | None = option(
        None,
        word,
        "FILE",
        "TLS; trust the authorities in this file alone",
        "the system's",
    )
    """The file of the authorities that are trusted; ``None``: those of the system."""
    tls_fingerprint: bytes | None = option(
        None,
        _fingerprint,
        "SHA256",
        "TLS; trust the one certificate with this fingerprint",
        "none",
    )
    """The SHA-256 of the one certificate that is trusted instead."""
    password_file: str | None = option(
        None, word, "FILE", "the room's password is its first line", "asks for it"
    )


TRUST = ("tls_ca", "tls_fingerprint")
"""Each is a way to tell whose certificate is good, and there is room for one."""


def read_options(argv: Sequence[str] | None = None) -> Options:
    """Return what the command line *argv* asks for, and else the settings file.

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
        "server",
        nargs="?",
        type=checked(parse_server),
        metavar="SERVER",
        help="HOST[:PORT], or chat://HOST[:PORT][/ROOM], or chats:// for TLS "
        f"(default: {DEFAULT_HOST}:{DEFAULT_PORT})",
    )
    parser.add_argument(
        "--config",
        type=checked(word),
        metavar="FILE",
        help="take settings from it (default: ~/.config/chatroom/client.toml)",
    )
    add_options(parser, Options)
    given = read_arguments(parser, Options, argv)
    _check(given, "--")
    kept = read_client_file(
        given.pop("config", None), Options, {"server": parse_server}
    )
    _check(kept, "the settings file: ")
    return _together(given, kept)


def _check(values: dict[str, Any], sign: str) -> None:
    """Complain where *values*, all of one source, contradict each other."""
    if all(name in values for name in TRUST):
        raise UsageError(f"{sign}tls-ca does not go with tls-fingerprint")
    if values.get("tls") is False and _needs_tls(values):
        raise UsageError(f"{sign}no-tls does not go with what needs TLS")


def _needs_tls(values: dict[str, Any]) -> bool:
    server = values.get("server")
    return any(name in values for name in TRUST) or bool(server and server.tls)


def _together(given: dict[str, Any], kept: dict[str, Any]) -> Options:
    """Return what comes of the command line, *given*, and the file, *kept*."""
    home = kept.get("server", Server(DEFAULT_HOST, DEFAULT_PORT))
    server = given.get("server", home)
    if server[:2] != home[:2]:
        # No other server gets to know a password that lies ready for this one.
        kept.pop("password_file", None)
    if server is home:
        kept.setdefault("room", home.room or DEFAULT_ROOM)
    elif server.room is not None:
        kept["room"] = server.room
    if given.get("tls") is False or any(name in given for name in TRUST):
        for name in TRUST:
            kept.pop(name, None)
    values = kept | given | {"server": server}
    if given.get("tls") is not False:
        values["tls"] = values.get("tls", False) or _needs_tls(values)
    values["line_history"] = lines_file() if values.get("line_history", True) else None
    del values["server"]
    return Options(server.host, server.port, **values)
