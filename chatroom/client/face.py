"""What stands between the chat and whoever uses it: a terminal, or plain files.

    show* open show | prompt | listen ... close flush?

is what a face sees.  Before ``open`` it takes no input and leaves the terminal alone;
after ``close`` everything is as it was.  ``Face`` is what the application asks of it,
``Owner`` what it tells the application.
"""

from __future__ import annotations

import os
import select
from typing import Protocol

from chatroom.client.completion import Completion
from chatroom.client.lines import Line
from chatroom.client.status import Status


class Face(Protocol):
    """Shows lines and takes lines."""

    interactive: bool
    """Whether a person is typing: then there are commands and questions."""

    def open(self) -> None:
        """Begin to take input; once more is harmless."""

    def listen(self, on: bool) -> None:
        """Take input, or leave it where it is."""

    def show(self, lines: list[Line], speech: bool) -> None:
        """Show *lines*; *speech* is what members say."""

    def status(self, status: Status) -> None:
        """Keep in sight how things stand, until it is told anew."""

    def bell(self) -> None:
        """Make the sound that calls for the user, if there is one."""

    def prompt(self, text: str, secret: bool = False) -> None:
        """Put *text* before the line being typed from now on.

        While that is *secret* nothing of it is shown; and what has been typed of a
        line, and not entered, before that begins or ends is forgotten.
        """

    def close(self) -> None:
        """Show what can be shown at once, and give everything back."""

    def flush(self) -> None:
        """Wait for whoever reads, until all is shown.  Nothing else happens then, so
        the signals have to end the program as they do elsewhere."""


class Owner(Protocol):
    """Who a face works for."""

    def entered(self, line: str) -> None:
        """A line has been typed, or read."""

    def unreadable(self, reason: str) -> None:
        """A line has been read that cannot be said."""

    def input_ended(self) -> None:
        """No more lines will come."""

    def leave(self) -> None:
        """The user wants to leave."""

    def objection(self, line: str) -> str | None:
        """Return why *line* is better not said; whoever enters it again insists."""

    def completions(self, before: str) -> Completion:
        """Return what the end of *before*, all up to the cursor, may become."""

    def reading(self, here: bool) -> None:
        """The user looks away, or is back."""

    def hold_back(self, on: bool) -> None:
        """So much waits to be shown that the network has to wait, or no longer."""

    def output_failed(self, error: OSError) -> None:
        """Nothing can be shown any more."""

    def crash(self, error: Exception) -> None:
        """A mistake of ours."""


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    """Write all of *data*, however long it takes."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            # Somebody else has made it non-blocking, which holds for all who share
            # it; we never do.
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
