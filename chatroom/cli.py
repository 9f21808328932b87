"""The commands: arguments in, exit code out.

Each function takes what follows the command's name and returns the exit code:
0 done, 1 it could not be done, 2 the command line is wrong.  What went wrong is one
line on stderr.  Imports are lazy: the client never loads the server.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from chatroom.errors import ChatroomError, StartError, UsageError

KEY_BYTES = 20
"""Of an operator's key: 160 bits."""


def server(argv: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["operator-key"]:
        return _guarded("chat-server", lambda: _operator_key(words[1:]))

    def run() -> int:
        from chatroom.config import read_settings

        settings = read_settings(argv)
        from chatroom.server.app import serve

        return serve(settings)

    return _guarded("chat-server", run)


def _operator_key(argv: Sequence[str]) -> int:
    """Make a key for an operator: the key for him, its line for the operator file."""
    import secrets

    from chatroom.config import Parser
    from chatroom.core.operators import entry

    parser = Parser(
        prog="chat-server operator-key",
        description="Make a key for an operator. Its line for --operator-file goes to "
        "stdout, the key itself to stderr: this once, it is kept nowhere.",
        epilog="chat-server operator-key alice >> operators",
        allow_abbrev=False,
    )
    parser.add_argument("nick", metavar="NICK", help="whose key it is")
    nick = parser.parse_args(argv).nick
    key = secrets.token_hex(KEY_BYTES)
    try:
        line = entry(nick, key)
    except ValueError as wrong:
        parser.error(f"{nick!a}: {wrong}")
    try:
        print(line, flush=True)
    except OSError as error:
        raise StartError(f"the line cannot be written: {error.strerror}") from None
    print(
        f"the key of {line.split()[0]}, to be shown with /op: {key}",
        file=sys.stderr,
        flush=True,
    )
    return 0


def client(argv: Sequence[str] | None = None) -> int:
    """Run the client until its user leaves."""

    def run() -> int:
        from chatroom.client.app import main

        return main(list(argv) if argv is not None else None)

    return _guarded("chat-client", run)


def load(argv: Sequence[str] | None = None) -> int:
    """Run the load test."""

    def run() -> int:
        from chatroom.client.load.app import main

        return main(list(argv) if argv is not None else None)

    return _guarded("chat-load", run)


def history(argv: Sequence[str] | None = None) -> int:
    """Show what is in a history file, or verify it."""

    def run() -> int:
        from argparse import RawDescriptionHelpFormatter

        from chatroom.client.glyphs import clean
        from chatroom.config import Parser, version_line
        from chatroom.store import command

        parser = Parser(
            prog="chat-history",
            description="Read the history that chat-server --history FILE keeps.",
            epilog=command.EPILOG,
            allow_abbrev=False,
            formatter_class=RawDescriptionHelpFormatter,
        )
        parser.add_argument("--version", action="version", version=version_line())
        command.add_arguments(parser)
        return command.run(parser.parse_args(argv), command.Output(), clean)

    return _guarded("chat-history", run)


def _guarded(name: str, run: Callable[[], int]) -> int:
    """Call *run*; what a person has to know of its failure is one line on stderr."""
    _open_standard_files()
    try:
        return run()
    except UsageError as error:
        return _complain(name, error, 2)
    except ChatroomError as error:
        return _complain(name, error, 1)
    except KeyboardInterrupt:
        return 130


def _complain(name: str, error: ChatroomError, code: int) -> int:
    # stderr is None where it was closed at the start, and print would take stdout.
    if sys.stderr is not None:
        with suppress(OSError):  # Nobody reads it; the code still tells.
            print(f"{name}: {error}", file=sys.stderr, flush=True)
    return code


def _open_standard_files() -> None:
    """Let 0, 1 and 2 be open: a socket that got such a number would be written to."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
