"""``chat-history``: tail, search, export, verify.

Takes a parser and an output, so that it knows neither how a command line is refused
nor what is safe to show.  Must not know: the server.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from heapq import nlargest

from chatroom.core.messages import Message
from chatroom.core.text import fold, room_error
from chatroom.errors import ChatroomError, StartError
from chatroom.store.file import shown
from chatroom.store.reader import HistoryReader
from chatroom.store.verify import verify

FOLLOW_INTERVAL = 0.25
"""Seconds between two looks at what is new."""
WRITE_SIZE = 65536
"""Bytes that are written at once."""

EPILOG = """\
The server may run meanwhile. A message is one line: control characters are shown as
visible marks, and JSON is plain ASCII. Times are your local ones unless they say
otherwise: 2026-11-22, 2026-11-22T23:34, 2026-11-22T23:34:05Z.

exit codes: 0 done, 1 it could not be done (search: nothing found, verify: something
is amiss), 2 usage
"""


# -- the command line -------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell *parser* what can be asked for."""
    parser.add_argument("file", metavar="FILE", help="what --history names")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(
            name, help=text, description=text, allow_abbrev=False
        )
        if name != "verify":
            made.add_argument(
                "--room", type=_room, metavar="ROOM", help="of this room (default: all)"
            )
        return made

    tail = command("tail", "show the newest messages")
    tail.add_argument(
        "-n", type=_count, default=10, metavar="N", help="so many (default: 10)"
    )
    tail.add_argument(
        "-f", action="store_true", dest="follow", help="go on with those that come"
    )
    search = command("search", "show the messages that hold all these words")
    search.add_argument("words", nargs="+", metavar="WORDS", help="in any letter case")
    export = command("export", "write all messages")
    export.add_argument(
        "--format",
        choices=("json", "text"),
        default="json",
        help="json: an object a line, as clients get it; or text (default: json)",
    )
    export.add_argument(
        "--since", type=_time, metavar="TIME", help="those of this time and later"
    )
    export.add_argument(
        "--until", type=_time, metavar="TIME", help="those before this time"
    )
    command("verify", "look for gaps, damage and bad encoding")


def _room(text: str) -> str:
    if (wrong := room_error(text)) is not None:
        raise argparse.ArgumentTypeError(f"{text!a} is not a room: {wrong}")
    return text


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number, 0 or more")
    return int(text)


def _time(text: str) -> int:
    """Return milliseconds since the epoch."""
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text!a} is not a time like 2026-11-22 or 2026-11-22T23:34"
        ) from None


# -- the output -------------------------------------------------------------------


class Output:
    """Lines to a descriptor, many at once.

    Not ``print``: whoever has read enough closes the pipe, and what is then still in
    a buffer of Python's would be complained about at the end.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._waiting = bytearray()

    def line(self, text: str) -> None:
        """Write *text* and a newline, now or soon."""
        self._waiting += text.encode("utf-8", "replace") + b"\n"
        if len(self._waiting) >= WRITE_SIZE:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = memoryview(self._waiting), bytearray()
        while waiting:
            waiting = waiting[os.write(self._descriptor, waiting) :]


def run(options: argparse.Namespace, out: Output, clean: Callable[[str], str]) -> int:
    """Do what *options* ask for; return the exit code.

    *clean* makes a text safe for a terminal.  Raises ``ChatroomError``.
    """
    try:
        if options.command == "verify":
            return _verify(options, out, clean)
        with closing(HistoryReader(options.file)) as reader:
            code = _COMMANDS[options.command](reader, options, out, clean)
        out.flush()
    except BrokenPipeError:
        return 0  # Who reads has seen enough.
    except OSError as error:
        raise ChatroomError(f"cannot write: {error.strerror}") from None
    return code


# -- the commands -----------------------------------------------------------------


def _tail(
    reader: HistoryReader,
    options: argparse.Namespace,
    out: Output,
    clean: Callable[[str], str],
) -> int:
    last_ids = _rooms(reader, options.room)
    newest = [m for room in last_ids for m in reader.newest(room, options.n)]
    for message in reversed(nlargest(options.n, newest, key=_order)):
        out.line(as_text(message, clean))
    while options.follow:
        out.flush()
        # Whoever moves the file or puts a copy in its place meanwhile may do so.
        reader.close()
        time.sleep(FOLLOW_INTERVAL)
        fresh: list[Message] = []
        for room, last_id in reader.rooms().items():
            if options.room in (None, room):
                if last_id > last_ids.get(room, 0):
                    fresh += reader.after(room, last_ids.get(room, 0))
                last_ids[room] = last_id
        for message in sorted(fresh, key=_order):
            last_ids[message.room] = max(last_ids[message.room], message.id)
            out.line(as_text(message, clean))
    return 0


def _order(message: Message) -> tuple[int, str, int]:
    return message.at, message.room, message.id


def _search(
    reader: HistoryReader,
    options: argparse.Namespace,
    out: Output,
    clean: Callable[[str], str],
) -> int:
    words = [fold(word) for word in options.words]
    code = 1
    for message in _all(reader, options.room):
        text = fold(message.text)
        if all(word in text for word in words):
            out.line(as_text(message, clean))
            code = 0
    return code


def _export(
    reader: HistoryReader,
    options: argparse.Namespace,
    out: Output,
    clean: Callable[[str], str],
) -> int:
    since, until = options.since, options.until
    for message in _all(reader, options.room):
        if since is not None and message.at < since:
            continue
        if until is not None and message.at >= until:
            continue
        as_json = options.format == "json"
        out.line(json_line(message) if as_json else as_text(message, clean))
    return 0


def _verify(
    options: argparse.Namespace, out: Output, clean: Callable[[str], str]
) -> int:
    report = verify(options.file)
    code = 1 if report.findings else 0
    lines = [clean(finding) for finding in report.findings]
    if report.untold:
        lines.append(f"... and {report.untold} more")
    if not lines:
        lines.append(
            f"sound: messages {report.messages}, rooms {report.rooms}, "
            f"sessions {report.sessions}, orders {report.orders}"
        )
    try:
        for line in lines:
            out.line(line)
        out.flush()
    except BrokenPipeError:
        pass  # The code tells all the same.
    return code


_COMMANDS = {"tail": _tail, "search": _search, "export": _export}


def _rooms(reader: HistoryReader, wanted: str | None) -> dict[str, int]:
    """Return the last ids of the rooms, or of the one that is *wanted*."""
    rooms = reader.rooms()
    if wanted is None:
        return rooms
    if wanted not in rooms:
        raise StartError(f"there is no room {wanted} in {shown(reader.path)}")
    return {wanted: rooms[wanted]}


def _all(reader: HistoryReader, room: str | None) -> Iterator[Message]:
    """Go through all messages, room by room, each in the order of its numbers."""
    for name in _rooms(reader, room):
        yield from reader.after(name, 0)


# -- how a message is shown -------------------------------------------------------


def as_text(message: Message, clean: Callable[[str], str]) -> str:
    """Return *message* as one line, safe for a terminal and in local time."""
    try:
        at = datetime.fromtimestamp(message.at / 1000)
        when = at.isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        when = "at no time"
    sender, text = clean(message.sender), clean(message.text)
    return f"{when} {clean(message.room)} {message.id} <{sender}> {text}"


def json_line(message: Message) -> str:
    """Return *message* as a client gets it, in ASCII."""
    fields: dict[str, object] = {
        "type": "message",
        "id": message.id,
        "room": message.room,
        "from": message.sender,
        "text": message.text,
        "at": message.at,
    }
    if message.ref is not None:
        fields["ref"] = message.ref
    return json.dumps(fields, separators=(",", ":"))
