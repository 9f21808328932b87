"""What the word before the cursor may become: a command, a nick, a room.

Pure.  Must not know: terminals, how a candidate is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chatroom.client.command import Names
from chatroom.client.commands import COMMANDS, name_of
from chatroom.core.text import lookup_key, nick_key


@dataclass(frozen=True, slots=True)
class Completion:
    """The candidates, the likeliest first."""

    start: int
    """Where in the text what they replace begins; it ends at the cursor."""
    options: tuple[str, ...] = ()


def complete(before: str, nicks: Sequence[str], rooms: Sequence[str]) -> Completion:
    """Return what the end of *before*, all up to the cursor, may become.

    *nicks* and *rooms* are those that there are, the likeliest first.
    """
    start = len(before)
    while start and not before[start - 1].isspace():
        start -= 1
    word = before[start:]
    name = name_of(before)
    if name is not None and start == 0:
        options = [f"/{one} " for one in _beginning_with(name, COMMANDS)]
        return Completion(0, tuple(options))
    names = Names.NICKS if name is None else _names(name, before[:start])
    if names is Names.COMMANDS:
        word = word.removeprefix("/")
        options = [f"{one} " for one in _beginning_with(word, COMMANDS)]
    elif names is Names.ROOMS:
        options = [f"{one} " for one in _beginning_with(word, rooms)]
    elif names is Names.NICKS:
        # Whoever is named at the beginning is spoken to.
        begins = start == 0 or before[start - 1] == "\n"
        behind = ": " if begins and name is None else " "
        options = [one + behind for one in _beginning_with(word, nicks)]
    else:
        options = []
    return Completion(start, tuple(options))


def _names(command: str, before: str) -> Names:
    """Return what a word names that stands behind *before*, a *command*."""
    if command not in COMMANDS:
        return Names.NONE
    is_first = len(before.split()) == 1
    return COMMANDS[command].first if is_first else COMMANDS[command].rest


def _beginning_with(word: str, names: Iterable[str]) -> list[str]:
    """Return those of *names* that begin with *word*, as nicks are compared."""
    key = lookup_key(word)
    if key is None:
        return []  # Longer than any name.
    return [name for name in names if nick_key(name).startswith(key)]
