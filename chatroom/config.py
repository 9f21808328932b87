"""Every setting with its default and the reason for it.

``Settings`` is the one list of options: the command line is made from its fields, and
so is whatever reads settings later.  Must not know: what the settings are for.
0 is no limit wherever a number limits something.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, NoReturn

from chatroom import __version__
from chatroom.errors import StartError, UsageError

KIB = 1024
MIB = 1024 * 1024

MAX_UNFINISHED = 256
"""Connections that have not said a good hello yet, beside the members."""
MAX_CLOSING = 256
"""Connections that have had their last frame and are waited for."""
HELLO_OUTPUT = 8 * KIB
"""Unsent bytes of a connection before its welcome (CVE-2025-21605: no such bound)."""
SOFT_OUTPUT_SECONDS = 10.0
"""How long a connection may be above ``max_output_soft``."""
EOF_GRACE = 5.0
"""Seconds for which input that came before a half-close is still judged."""
STOP_GRACE = 5.0
"""Seconds in which last frames are flushed at a stop."""
MAX_KEPT = 256 * MIB
"""Bytes of messages held in memory of all rooms, or of one where it may have more:
else a thousand rooms, which a few may fill, were 16 GiB."""
LOG_BACKLOG = MIB
"""Bytes of log that wait for a reader who does not read, at most."""
MAX_SECRET = 1024
"""Bytes of a password, so that a hello holds it."""
RESERVED_DESCRIPTORS = 64
"""Descriptors kept for listeners, files and what the interpreter opens."""


# -- values ---------------------------------------------------------------------


def word(text: str) -> str:
    """Return anything but nothing."""
    if not text.strip():
        raise ValueError("a name or an address")
    return text


def number(text: str) -> int:
    """Return a whole number from 0."""
    if not (text.isascii() and text.isdigit()) or len(text) > 15:
        raise ValueError("a whole number, 0 or more")
    return int(text)


def positive(text: str) -> int:
    """Return a whole number from 1."""
    value = number(text)
    if value < 1:
        raise ValueError("a whole number, 1 or more")
    return value


def port_number(text: str) -> int:
    """Return a port, 0 for any free one."""
    value = number(text)
    if value > 65535:
        raise ValueError("a port from 0 to 65535")
    return value


def seconds(text: str) -> float:
    """Return a time in seconds; ``ms``, ``s``, ``m`` and ``h`` are understood."""
    return _scaled(text, {"ms": 0.001, "s": 1, "m": 60, "h": 3600}, "a time in seconds")


def rate(text: str) -> float:
    """Return how often a second."""
    return _scaled(text, {}, "a number, 0 or more")


def size(text: str) -> int:
    """Return a size in bytes; ``K``, ``KiB``, ``M``, ``MiB``, ``G`` are understood."""
    units = {"k": KIB, "kib": KIB, "m": MIB, "mib": MIB, "g": 1024 * MIB}
    units |= {"gib": 1024 * MIB, "b": 1}
    return int(_scaled(text, units, "a size in bytes, like 64KiB"))


def _scaled(text: str, units: Mapping[str, float], what: str) -> float:
    digits = text.strip()
    low, factor = digits.lower(), 1.0
    for unit in sorted(units, key=len, reverse=True):
        if low.endswith(unit):
            digits, factor = digits[: -len(unit)].strip(), units[unit]
            break
    if not digits.isascii() or not digits[:1].isdigit() or "_" in digits:
        raise ValueError(what)
    try:
        value = float(digits) * factor
    except ValueError:
        raise ValueError(what) from None
    if not isfinite(value):
        raise ValueError(what)
    return value


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser that takes one of *words*."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError("one of " + ", ".join(words))
        return text

    return parse


# -- settings -------------------------------------------------------------------


def option(
    default: Any,
    parse: Callable[[str], Any],
    metavar: str,
    text: str,
    shown: str | None = None,
) -> Any:
    """Describe a field of ``Settings``; *shown* is the default as one writes it."""
    about = {"parse": parse, "metavar": metavar, "help": text, "shown": shown}
    return field(default=default, metadata=about)


def flag(text: str) -> Any:
    """Describe a field of ``Settings`` that is on or off."""
    about = {"parse": None, "help": text}
    return field(default=False, metadata=about)


@dataclass(frozen=True, slots=True)
class Settings:
    """The server's settings; each field is an option of the same name."""

    host: tuple[str, ...] = option(
        ("127.0.0.1",), word, "ADDRESS", "listen here; may be repeated", "127.0.0.1"
    )
    # Nobody is let in from outside before somebody has asked for it.
    port: int = option(2428, port_number, "N", "listen on this port; 0: a free one")
    # 2428 spells CHAT on a telephone.

    strikes: int = option(2, positive, "N", "which shout disconnects")
    # The mission: a warning, then a kick.
    shout_min_letters: int = option(
        1, number, "N", "with fewer letters in capitals it is no shout"
    )
    # 3 lets OK pass; the mission says all capitals, so 1.
    strike_lapse: float = option(
        0.0, seconds, "S", "forget a strike after this time; 0: never", "0"
    )

    rate: float = option(
        10.0, rate, "N", "frames a second a connection is read at; 0: any", "10"
    )
    burst: int = option(50, number, "N", "frames that may come at once")
    # Nobody types ten lines a second; fifty is a paste.
    rate_bytes: int = option(
        16 * KIB, size, "SIZE", "bytes a second, likewise", "16KiB"
    )
    burst_bytes: int = option(64 * KIB, size, "SIZE", "bytes at once", "64KiB")
    # The largest frame fits into one burst.

    max_clients: int = option(10_000, number, "N", "members at the same time")
    # What one core serves; each costs a descriptor and some 2 KB.
    max_clients_per_ip: int = option(256, number, "N", "of them from one address")
    # A class sits behind one address.
    max_rooms: int = option(1000, number, "N", "rooms at the same time")

    hello_timeout: float = option(
        10.0, seconds, "S", "for the hello to be complete", "10"
    )
    frame_timeout: float = option(
        30.0, seconds, "S", "for a frame to be complete, from its first byte", "30"
    )
    # Absolute, as a slow sender makes progress for ever.
    ping_interval: float = option(
        30.0, seconds, "S", "a silent member is pinged after this time", "30"
    )
    # NAT tables forget after about 60 s.
    idle_timeout: float = option(
        90.0, seconds, "S", "a silent connection is ended after this time", "90"
    )
    # Three pings unanswered.

    max_output: int = option(
        4 * MIB, size, "SIZE", "unsent bytes that end a connection at once", "4MiB"
    )
    max_output_soft: int = option(
        1 * MIB, size, "SIZE", "unsent bytes that end it after 10 s", "1MiB"
    )
    max_output_total: int = option(
        128 * MIB, size, "SIZE", "unsent bytes of all; the largest goes", "128MiB"
    )
    # A shared chunk counts once, so this is memory, not a sum over members.
    stall_timeout: float = option(
        30.0, seconds, "S", "for a peer to take something of what is unsent", "30"
    )

    keep: int = option(10_000, number, "N", "messages a room held in memory")
    keep_bytes: int = option(
        16 * MIB, size, "SIZE", "and their bytes; of all rooms 256MiB", "16MiB"
    )
    history: str = option(
        "", word, "FILE", "keep messages and sessions in this SQLite file", "memory"
    )
    # Nothing is written anywhere before somebody has asked for it.
    history_keep: int = option(
        0, number, "N", "messages a room kept in that file; 0: all", "0"
    )
    presence_limit: int = option(
        500, number, "N", "members above which a room tells numbers, not names"
    )
    # A crowd of N that comes in would be N * N frames.

    tls_cert: str = option(
        "", word, "FILE", "certificate and chain, in PEM, for TLS", "none"
    )
    tls_key: str = option("", word, "FILE", "its key, in PEM", "none")
    tls_only: bool = flag("take no plain text, from nobody")
    # Without it the port takes both, so that a LAN needs no second one.
    password_file: str = option(
        "", word, "FILE", "ask for the password in its first line", "none"
    )
    # A file, as a command line is seen by everybody on the machine.

    log_level: str = option(
        "info",
        one_of("debug", "info", "warning", "error"),
        "LEVEL",
        "debug, info, warning or error",
    )
    log_format: str = option(
        "text", one_of("text", "json"), "FORMAT", "text, or json: an object a line"
    )
    log_file: str = option(
        "", str, "FILE", "append the log to this file too; SIGHUP opens it anew", "none"
    )

    def changed(self) -> dict[str, Any]:
        """Return the settings that are not at their default, by option name."""
        return {
            option_name(f.name): getattr(self, f.name)
            for f in fields(self)
            if getattr(self, f.name) != f.default
        }


def option_name(name: str) -> str:
    """Return the option of the field *name*: ``max_rooms`` is ``max-rooms``."""
    return name.replace("_", "-")


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line (``UsageError``)."""

    def error(self, message: str) -> NoReturn:
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
        raise UsageError(f"{shown}; see {self.prog} --help")


def checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return *parse* as argparse wants it, with its complaint in our words."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as wrong:
            raise argparse.ArgumentTypeError(f"{text!a} is not {wrong}") from None

    return convert


def read_settings(argv: Sequence[str] | None = None) -> Settings:
    """Return the settings that the command line *argv* asks for.

    Raises ``UsageError`` (one line) for what it does not understand; ``--help`` and
    ``--version`` print and raise ``SystemExit(0)``.
    """
    parser = Parser(
        prog="chat-server",
        description="A chat room for a team, a class or a LAN.",
        epilog="0 is no limit wherever a number limits something.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=version_line())
    for f in fields(Settings):
        about = f.metadata
        if about["parse"] is None:
            parser.add_argument(
                "--" + option_name(f.name),
                action="store_true",
                default=None,
                help=about["help"],
            )
            continue
        shown = about["shown"] or str(f.default)
        parser.add_argument(
            "--" + option_name(f.name),
            type=checked(about["parse"]),
            action="append" if f.name == "host" else "store",
            default=None,
            metavar=about["metavar"],
            help=f"{about['help']} (default: {shown})",
        )
    given = vars(parser.parse_args(argv))
    values = {name: value for name, value in given.items() if value is not None}
    for name, value in values.items():
        if value == [] or (name == "host" and [] in value):
            # argparse takes "--" out of the arguments, that of --port=-- too.
            parser.error(f"argument --{option_name(name)}: expected one argument")
    if "host" in values:
        values["host"] = tuple(values["host"])
    settings = Settings(**values)
    if bool(settings.tls_cert) != bool(settings.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    if settings.tls_only and not settings.tls_cert:
        parser.error("--tls-only needs --tls-cert and --tls-key")
    return settings


def read_secret(path: str) -> str:
    """Return the first line of the file *path*: a password.

    Raises ``StartError`` where there is none.
    """
    try:
        with open(path, "rb") as file:
            line = file.readline(MAX_SECRET + 1)
    except OSError as error:
        raise StartError(f"cannot read {path!a}: {error.strerror}") from None
    line = line.rstrip(b"\r\n")
    if not line:
        raise StartError(f"{path!a} has no password in its first line")
    if len(line) > MAX_SECRET:
        raise StartError(f"{path!a}: a password has at most {MAX_SECRET} bytes")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise StartError(f"{path!a}: its first line is not UTF-8") from None


def is_open_to_others(path: str) -> bool:
    """Tell whether others on this machine can read the file *path*.

    A group may where the file is not ours: then that is how we read it.
    """
    try:
        found = os.stat(path)
    except OSError:
        return False
    others = stat.S_IROTH
    if found.st_uid == os.geteuid():
        others |= stat.S_IRGRP
    return bool(found.st_mode & others)


def version_line() -> str:
    """Return what ``--version`` prints."""
    python = ".".join(map(str, sys.version_info[:3]))
    return f"chatroom {__version__} (Python {python})"
