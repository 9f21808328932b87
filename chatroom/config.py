"""Every setting of the server with its default and the reason for it, and how the
settings of any command are declared and read.

``Settings`` is the one list of the server's options, as the client has one of its own:
a dataclass whose fields are made by ``option`` and ``flag``.  From such a table come
the command line (``add_options``, ``read_arguments``) and what a settings file may hold
(``read_settings_file``).  ``CommandLine`` is what the server was started with: it gives
the settings as often as it is asked, its file read anew each time.
Must not know: what the settings are for.
0 is no limit wherever a number limits something.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from math import isfinite
from typing import Any, NoReturn

from chatroom import __version__
from chatroom.errors import ChatroomError, StartError, UsageError

KIB = 1024
MIB = 1024 * 1024
GIB = 1024 * MIB

MAX_UNFINISHED = 256
"""Connections that have not said a good hello yet: of one address, and of all where no
seat is free.  Those whose guess of a password waits are never more."""
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
TAKEOVER_GRACE = 1.0
"""Seconds in which who had just connected may still say hello, where another server
takes over: with the session that it gets it comes back.  A few round trips."""
MAX_KEPT = 256 * MIB
"""Bytes of messages held in memory of all rooms, or of one where it may have more:
else a thousand rooms, which a few may fill, were 16 GiB."""
LOG_BACKLOG = MIB
"""Bytes of log that wait for a reader who does not read, at most."""
MAX_SECRET = 1024
"""Bytes of a password, so that a hello holds it."""
RESERVED_DESCRIPTORS = 64
"""Descriptors kept for listeners, files and what the interpreter opens."""
MAX_LINES_FILE = MIB
"""Bytes of an operator file: ten thousand operators."""
MAX_SETTINGS_FILE = 64 * KIB
"""Bytes of a settings file: every option with a page of reasons."""


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


def host_name(text: str) -> str:
    """Return the name of a host, as a ``Host`` header has it, in small letters."""
    name = text.strip().lower().removesuffix(".")
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name, re.A) or len(name) > 253:
        raise ValueError("the name of a host, without a port")
    return name


def rate(text: str) -> float:
    """Return how often a second."""
    return _scaled(text, {}, "a number, 0 or more")


def size(text: str) -> int:
    """Return a size in bytes; ``K``, ``KiB``, ``M``, ``MiB``, ``G`` are understood."""
    units = {"k": KIB, "kib": KIB, "m": MIB, "mib": MIB, "g": GIB}
    units |= {"gib": GIB, "b": 1}
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
    *,
    name: str | None = None,
) -> Any:
    """Describe an option with a value; *shown* is the default as one writes it.

    Where *default* is a tuple it may be given several times.  *name* is the option's
    where it is not the field's.
    """
    about = {"parse": parse, "metavar": metavar, "help": text, "shown": shown}
    return field(default=default, metadata=about | {"name": name})


def flag(text: str, *, on: bool = False, default: Any = MISSING) -> Any:
    """Describe an option that is on or off; *text* says what the other way is like.

    *default* is what the field holds before options are read, where it is not *on*.
    """
    about = {"parse": None, "help": text, "on": on, "name": None}
    return field(default=on if default is MISSING else default, metadata=about)


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

    operator_file: str = option(
        "", word, "FILE", "operators: a nick and the SHA-256 of a key a line", "none"
    )
    # Lines as "chat-server operator-key NICK" makes them; keys are not in it.

    web: bool = flag("no page, no WebSocket: this port is for chat-client", on=True)
    # People who install nothing are let in with the same rules.
    web_host: tuple[str, ...] = option(
        (), host_name, "NAME", "browsers may call it so too; may be repeated", "none"
    )
    # Any name that leads here could be of somebody who wants to speak through the
    # browser of a member (DNS rebinding).
    metrics_public: bool = flag("show /metrics to other machines too")
    # It tells who runs it how many are here, and nobody else.

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


def option_name(name: str) -> str:
    """Return the option of the field *name*: ``max_rooms`` is ``max-rooms``."""
    return name.replace("_", "-")


def file_name(f: Field[Any]) -> str:
    """Return what ``--help`` and a settings file call the option of the field *f*.

    One that is on is called by what turns it off.
    """
    name = f.metadata["name"] or option_name(f.name)
    return f"no-{name}" if f.metadata.get("on") else name


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line (``UsageError``)."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{printable(message)}; see {self.prog} --help")


def printable(text: str) -> str:
    """Return *text* as one line that does nothing to a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def checked(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return *parse* as argparse wants it, with its complaint in our words."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as wrong:
            raise argparse.ArgumentTypeError(f"{text!a} is not {wrong}") from None

    return convert


def options_of(table: type) -> dict[str, Field[Any]]:
    """Return the fields of *table* that describe options, by the option's name."""
    return {
        f.metadata["name"] or option_name(f.name): f
        for f in fields(table)
        if f.metadata
    }


def add_options(parser: Parser, table: type) -> None:
    """Add the options that *table* describes to *parser*.

    A flag can be taken back, with ``no-`` before its name or without it.
    """
    for name, f in options_of(table).items():
        about = f.metadata
        if about["parse"] is None:
            for word, value in ((name, True), (f"no-{name}", False)):
                parser.add_argument(
                    "--" + word,
                    dest=f.name,
                    action="store_const",
                    const=value,
                    default=None,
                    # The way back is no news to who knows that it exists.
                    help=argparse.SUPPRESS if value == about["on"] else about["help"],
                )
            continue
        shown = about["shown"] or str(f.default)
        parser.add_argument(
            "--" + name,
            dest=f.name,
            type=checked(about["parse"]),
            action="append" if isinstance(f.default, tuple) else "store",
            default=None,
            metavar=about["metavar"],
            help=f"{about['help']} (default: {shown})",
        )


def read_arguments(
    parser: Parser, table: type, argv: Sequence[str] | None
) -> dict[str, Any]:
    """Return what the command line *argv* gives, by the field of *table*."""
    given = vars(parser.parse_args(argv))
    values = {name: value for name, value in given.items() if value is not None}
    names = {f.name: name for name, f in options_of(table).items()}
    for name, value in values.items():
        if type(value) is not list:
            continue
        if not value or [] in value:
            # argparse takes "--" out of the arguments, that of --port=-- too.
            option = names.get(name, name)
            parser.error(f"argument --{option}: expected one argument")
        values[name] = tuple(value)
    return values


class CommandLine:
    """What the server was asked for when it was started.

    Raises ``UsageError`` (one line) for what it does not understand; ``--help`` and
    ``--version`` print and raise ``SystemExit(0)``.
    """

    def __init__(self, argv: Sequence[str] | None = None) -> None:
        parser = Parser(
            prog="chat-server",
            description="A chat room for a team, a class or a LAN.",
            epilog="0 is no limit wherever a number limits something. Every option but "
            "--config and --check has its place in the settings file, by its own name.",
            allow_abbrev=False,
        )
        parser.add_argument("--version", action="version", version=version_line())
        parser.add_argument(
            "--config",
            type=checked(word),
            metavar="FILE",
            help="take settings from this file (TOML); the command line is over it, "
            "and SIGHUP reads it anew (default: none)",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            default=None,
            help="tell what would hold, or what is wrong, and start nothing",
        )
        add_options(parser, Settings)
        given = read_arguments(parser, Settings, argv)
        self.check: bool = given.pop("check", False)
        """Whether it is only asked what would hold."""
        self.file: str | None = given.pop("config", None)
        self._given = given
        self._filed: dict[str, Any] = {}
        self._has_read = False

    def read(self) -> Settings:
        """Return what holds now: the command line, over the file as it is now.

        Raises ``UsageError`` (one line) for what is wrong with the file, or with both
        together.
        """
        if self.file is not None:
            filed = self._read_file(self.file)
            _check_together(self._given, filed, self.file)
            self._filed, self._has_read = filed, True
        else:
            _check_together(self._given, {}, "")
        return Settings(**{**self._filed, **self._given})

    def _read_file(self, path: str) -> dict[str, Any]:
        if self._has_read and is_stream(path):
            return self._filed
        return read_settings_file(path, Settings, {}, required=True)

    def source(self, name: str) -> str:
        """Return where the field *name* has got its value, as it was read last."""
        if name in self._given:
            return "command line"
        return printable(self.file or "") if name in self._filed else "default"


def _check_together(
    given: Mapping[str, Any], filed: Mapping[str, Any], path: str
) -> None:
    """Raise ``UsageError`` where what is asked for does not go together."""
    together = {**filed, **given}
    if bool(together.get("tls_cert")) != bool(together.get("tls_key")):
        wrong = "--tls-cert and --tls-key go together"
    elif together.get("tls_only") and not together.get("tls_cert"):
        wrong = "--tls-only needs --tls-cert and --tls-key"
    else:
        return
    names = ("tls_cert", "tls_key", "tls_only")
    found = [option_name(name) for name in names if name in filed and name not in given]
    if found:
        wrong = wrong.replace("--", "")
        raise UsageError(f"{path!a} sets {' and '.join(found)}, but {wrong}")
    raise UsageError(f"{wrong}; see chat-server --help")


# -- settings files -------------------------------------------------------------


def read_settings_file(
    path: str,
    table: type,
    others: Mapping[str, Callable[[str], Any]],
    *,
    required: bool,
) -> dict[str, Any]:
    """Return what the TOML file *path* sets, by the field of *table*.

    Its names are the options' names without the dashes before them, and *others*:
    names of further strings, and their parsers.  Raises ``UsageError``: one line, with
    the number of the line that is wrong.  A file that does not exist sets nothing,
    unless it is *required*.
    """
    text = _read_text(path, required)
    values = {}
    for name, value in _parse_toml(path, text):
        try:
            place, found = _setting(name, value, table, others)
            if place in values:
                raise ValueError(f"{name} says again what is said already")
        except ValueError as wrong:
            number = _line_of(name, text)
            raise UsageError(f"{path!a}, line {number}: {wrong}") from None
        values[place] = found
    return values


def _read_text(path: str, required: bool) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_SETTINGS_FILE + 1)
    except OSError as error:
        if not required and isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return ""
        raise UsageError(f"cannot read {path!a}: {error.strerror}") from None
    return _text_of(path, data, MAX_SETTINGS_FILE, UsageError)


def _text_of(path: str, data: bytes, most: int, complaint: type[ChatroomError]) -> str:
    """Return the text that is *data*, of the file *path*, and *most* bytes at most."""
    if len(data) > most:
        raise complaint(f"{path!a} is larger than {most} bytes")
    try:
        return data.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise complaint(f"{path!a}, line {number}: it is not UTF-8") from None


def _parse_toml(path: str, text: str) -> Iterable[tuple[str, Any]]:
    """Return the names in *text* and their values, in their order."""
    if not text:
        return ()
    import tomllib  # Most people have no such file.

    try:
        return tomllib.loads(text).items()
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(.*) \(at (?:line (\d+), .*|end .*)\)", str(error), re.S)
        assert found is not None
        number = found[2] or text.rstrip().count("\n") + 1
        what = found[1][:1].lower() + found[1][1:]
        raise UsageError(f"{path!a}, line {number}: {printable(what)}") from None
    except (ValueError, RecursionError):
        # A number of more digits than Python likes to read, lists without end.
        raise UsageError(f"{path!a} holds something that is too large") from None


_ENDS = ("]", '"""', "'''")
"""One of these is in the last line of a statement that has several."""


def _line_of(name: str, text: str) -> int:
    """Return the line in which the statement of *text* begins that sets *name*."""
    import tomllib

    first, statement = 1, ""
    for number, line in enumerate(text.split("\n"), 1):
        statement += line + "\n"
        if number > first and not any(end in line for end in _ENDS):
            continue  # A list of thousands is not to be read thousands of times.
        try:
            names = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # It goes on in the next line.
        if name in names:
            break
        first, statement = number + 1, ""
    return first


def _setting(
    name: str, value: Any, table: type, others: Mapping[str, Callable[[str], Any]]
) -> tuple[str, Any]:
    """Return the field that *name* stands for, and what it gets.

    Raises ``ValueError`` with all that there is to say.
    """
    if name in others:
        return name, _value(name, value, others[name], ())
    options = options_of(table)
    plain = name.removeprefix("no-")
    if (
        name not in options
        and plain in options
        and not options[plain].metadata["parse"]
    ):
        return options[plain].name, not _truth(name, value)
    if name == "password":
        raise ValueError("a password does not stand in here: see password-file")
    if name not in options:
        raise ValueError(f"there is no setting {name!a}")
    f = options[name]
    parse = f.metadata["parse"]
    if parse is None:
        return f.name, _truth(name, value)
    if isinstance(f.default, tuple):
        several = value if type(value) is list else [value]
        if f.default and not several:
            raise ValueError(f"{name} has to be one at least")
        return f.name, tuple(_value(name, one, parse, ()) for one in several)
    numbers = (int, float) if isinstance(f.default, (int, float)) else ()
    return f.name, _value(name, value, parse, numbers)


def _truth(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{name} has to be true or false")
    return value


def _value(
    name: str, value: Any, parse: Callable[[str], Any], numbers: tuple[type, ...]
) -> Any:
    """Return what *parse* makes of *value*, a string or one of the types *numbers*."""
    # type(): True is an int by isinstance.
    if type(value) is not str and type(value) not in numbers:
        either = "a number or " if numbers else ""
        raise ValueError(f"{name} has to be {either}a string")
    text = str(value)
    if "\0" in text:
        # A command line cannot hold one, so nobody looks for it behind this.
        raise ValueError(f"{name} holds a character that nothing can hold, U+0000")
    try:
        return parse(text)
    except ValueError as wrong:
        raise ValueError(f"{name}: {text!a} is not {wrong}") from None


def read_secret(path: str) -> str:
    """Return the first line of the file *path*: a password.

    Raises ``StartError`` where there is none.
    """
    try:
        with open(path, "rb") as file:
            line = file.readline(len(BOM_UTF8) + MAX_SECRET + 1)
    except OSError as error:
        raise StartError(f"cannot read {path!a}: {error.strerror}") from None
    # Some editors put a mark before a text, which nobody sees and nobody types.
    line = line.removeprefix(BOM_UTF8).rstrip(b"\r\n")
    if not line:
        raise StartError(f"{path!a} has no password in its first line")
    if len(line) > MAX_SECRET:
        raise StartError(f"{path!a}: a password has at most {MAX_SECRET} bytes")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise StartError(f"{path!a}: its first line is not UTF-8") from None


def read_lines(path: str) -> list[str]:
    """Return the lines of the file *path*; raise ``StartError``."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_LINES_FILE + 1)
    except OSError as error:
        raise StartError(f"cannot read {path!a}: {error.strerror}") from None
    return _text_of(path, data, MAX_LINES_FILE, StartError).splitlines()


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


def is_stream(path: str) -> bool:
    """Tell whether *path* gives what it has only once, and perhaps never again.

    Such as a pipe of the shell that has started us: whoever read it anew would wait.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def version_line() -> str:
    """Return what ``--version`` prints."""
    python = ".".join(map(str, sys.version_info[:3]))
    return f"chatroom {__version__} (Python {python})"
