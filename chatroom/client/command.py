"""What a command is, and what it may do: the form that all of them have.

Must not know: which commands there are, sockets, terminals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from chatroom.client.frames import Fields


class Names(Enum):
    """What the words of a command can be completed to."""

    NONE = auto()
    NICKS = auto()
    ROOMS = auto()
    COMMANDS = auto()


class Chat(Protocol):
    """What a command may do."""

    def say(self, text: str) -> None:
        """Say *text* to the room."""

    def whisper(self, to: str, text: str) -> None:
        """Say *text* to one member."""

    def ask(self, frame: Fields) -> None:
        """Send *frame*, which says nothing to anybody."""

    def search(self, text: str) -> None:
        """Look for messages of the room that hold all words of *text*."""

    def ignore(self, nick: str) -> None:
        """Ignore *nick*, or no longer; tell who is ignored where it is empty."""

    def login(self, key: str) -> None:
        """Show *key*, an operator's; without one, ask one's own user for it."""

    def show_topic(self) -> None:
        """Tell one's own user the topic of the room."""

    def notice(self, text: str) -> None:
        """Tell one's own user something."""

    def leave(self) -> None:
        """Leave the chat."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command; *run* gets what stands behind its name."""

    name: str
    usage: str
    about: str
    run: Callable[[Chat, str], bool]
    """Returns whether it was used as it should be."""
    more: str = ""
    """What else there is to know of it."""
    alone: bool = False
    """Whether it does without a server."""
    says: Callable[[str], str] | None = None
    """Returns the text that it says, of what stands behind its name."""
    first: Names = Names.NONE
    """What its first word names."""
    rest: Names = Names.NONE
    """What the others name."""
