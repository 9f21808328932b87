"""Puts the client together: options, a loop, a face, a ``Client`` in the middle.

    main(argv) or run(options) -> exit code

or a ``ChatroomError`` that says in one line what is wrong.  Whatever happens in
between, the terminal is given back.  Must not know: what happens in a chat.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from chatroom.client.client import Client
from chatroom.client.connection import Target, resolve
from chatroom.client.face import Face
from chatroom.client.lines import Paint
from chatroom.client.options import Options, read_options
from chatroom.client.render import BRIEF, WORDS, JsonRenderer, Renderer
from chatroom.client.script import MAX_LINE, TOO_LONG, objection
from chatroom.client.security import Security, make_security
from chatroom.config import read_secret
from chatroom.net.loop import Loop


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client with the command line *argv*; return its exit code."""
    return run(read_options(argv))


def run(options: Options) -> int:
    """Join the chat, stay until the user leaves, and return the exit code."""
    security = make_security(options)
    password = read_secret(options.password_file) if options.password_file else None
    # Before the signals are taken: Ctrl-C has to end a name server's silence.
    targets = resolve(options.host, options.port)
    loop = Loop()
    try:
        client = _run(loop, options, targets, security, password)
    finally:
        loop.close()
    if not client.in_a_hurry:
        # The signals are as they were: Ctrl-C ends it where the reader does not read.
        client.face.flush()
    return client.outcome()


def _run(
    loop: Loop,
    options: Options,
    targets: Sequence[Target],
    security: Security | None,
    password: str | None,
) -> Client:
    full = _has_full_terminal() and not (
        options.plain or options.json or options.json_in
    )
    renderer = (
        JsonRenderer() if options.json else Renderer(signs=BRIEF if full else WORDS)
    )
    client = Client(
        loop, options, targets, renderer, security=security, password=password
    )
    loop.on_error = client.crash
    client.face = _make_face(loop, client, options, full)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        # What nohup and the shell's & have us ignore stays ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            loop.on_signal(number, partial(client.interrupt, number))
    try:
        client.start()
        loop.run()
    finally:
        client.face.close()
        loop.tick(0)  # Sockets are closed at the end of a tick.
    return client


def _make_face(loop: Loop, client: Client, options: Options, full: bool) -> Face:
    # Imported here: a pipe needs no terminal, and a terminal no pipe.
    if full:
        from chatroom.client.line_history import LineHistory
        from chatroom.client.terminal import Terminal

        path = options.line_history
        history = LineHistory(Path(path)) if path else None
        return Terminal(loop, client, _paint(), history=history)
    from chatroom.client.plain import LineSplitter, Plain

    if options.json_in:
        # Whoever types them in is a program as far as we are concerned.
        splitter = LineSplitter(MAX_LINE, TOO_LONG, objection)
        return Plain(loop, client, interactive=False, lines=splitter)
    return Plain(loop, client, interactive=os.isatty(0))


def _has_full_terminal() -> bool:
    """Tell whether there is a person at a terminal that can do more than print."""
    dumb = os.environ.get("TERM", "") in ("", "dumb")
    return os.isatty(0) and os.isatty(1) and not dumb


def _paint() -> Paint:
    # https://no-color.org: set and not empty means no colours.  The terminals of DEC
    # that are called VT had bold and reverse.
    colourless = os.environ.get("TERM", "").startswith("vt")
    return Paint.MONO if colourless or os.environ.get("NO_COLOR") else Paint.COLOUR
