"""What a person can ask for beside talking: the commands, as data.

``run_line`` is the one way in: a line that begins with a slash is a command, one that
begins with two is said with one of them, every other line is said.
Must not know: sockets, terminals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chatroom.client.frames import Fields
from chatroom.core.moderation import LEAVE_COMMAND
from chatroom.core.text import nick_error, room_error, to_nfc

HISTORY_PAGE = 50
MAX_HISTORY_PAGE = 200


class Chat(Protocol):
    """What a command may do."""

    def say(self, text: str) -> None:
        """Say *text* to the room."""

    def whisper(self, to: str, text: str) -> None:
        """Say *text* to one member."""

    def ask(self, frame: Fields) -> None:
        """Send *frame*, which says nothing to anybody."""

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
    alone: bool = False
    """Whether it does without a server."""


def name_of(line: str) -> str | None:
    """Return the name of the command that *line* is, or ``None`` for a text."""
    if not line.startswith("/") or line.startswith("//"):
        return None
    return line[1:].partition(" ")[0]


def needs_server(line: str) -> bool:
    """Tell whether *line* can be done only where there is a connection."""
    name = name_of(line)
    if name is None:
        return line.strip() != LEAVE_COMMAND
    return name in COMMANDS and not COMMANDS[name].alone


def run_line(chat: Chat, line: str) -> None:
    """Do what *line* asks for."""
    name = name_of(line)
    if name is None:
        chat.say(line.removeprefix("/"))
        return
    argument = line[1:].partition(" ")[2]
    command = COMMANDS.get(name)
    if command is None:
        chat.notice(
            f"there is no /{name}; /help tells what there is. "
            "To say something that begins with a slash, begin with two"
        )
    elif not command.run(chat, argument.strip()):
        chat.notice(f"usage: {command.usage}")


def _help(chat: Chat, argument: str) -> bool:
    if argument:
        command = COMMANDS.get(argument.removeprefix("/"))
        if command is None:
            return False
        chat.notice(f"{command.usage}: {command.about}")
        return True
    width = max(len(command.usage) for command in COMMANDS.values())
    lines = [f"{c.usage:{width}}  {c.about}" for c in COMMANDS.values()]
    lines.append(f"{'!leave':{width}}  leave, too")
    lines.append(f"{'//text':{width}}  say a text that begins with a slash")
    chat.notice("\n".join(lines))
    return True


def _nick(chat: Chat, argument: str) -> bool:
    if not argument:
        return False
    wrong = nick_error(to_nfc(argument))
    if wrong is not None:
        chat.notice(wrong)
    else:
        chat.ask({"type": "nick", "nick": argument})
    return True


def _join(chat: Chat, argument: str) -> bool:
    if not argument:
        return False
    wrong = room_error(argument)
    if wrong is not None:
        chat.notice(wrong)
    else:
        chat.ask({"type": "join", "room": argument})
    return True


def _after(kind: str) -> Callable[[Chat, str], bool]:
    def run(chat: Chat, argument: str) -> bool:
        frame: Fields = {"type": kind}
        if argument:
            frame["after"] = argument
        chat.ask(frame)
        return True

    return run


def _msg(chat: Chat, argument: str) -> bool:
    to, _, text = argument.partition(" ")
    if not text.strip():
        return False
    chat.whisper(to, text)
    return True


def _history(chat: Chat, argument: str) -> bool:
    limit = HISTORY_PAGE
    if argument:
        # isdigit() alone holds for digits that int() does not read.
        if not (argument.isascii() and argument.isdigit() and len(argument) < 10):
            return False
        limit = int(argument)
    if not 1 <= limit <= MAX_HISTORY_PAGE:
        return False
    chat.ask({"type": "history", "limit": limit})
    return True


def _quit(chat: Chat, argument: str) -> bool:
    chat.leave()
    return True


COMMANDS = {
    command.name: command
    for command in (
        Command("help", "/help [COMMAND]", "tell what there is", _help, alone=True),
        Command("nick", "/nick NICK", "take another nick", _nick),
        Command("join", "/join ROOM", "go to another room", _join),
        Command("who", "/who [AFTER]", "list who is in this room", _after("who")),
        Command("rooms", "/rooms [AFTER]", "list the rooms", _after("rooms")),
        Command("msg", "/msg NICK TEXT", "tell one member alone", _msg),
        Command(
            "history",
            "/history [N]",
            f"show what was said last (1 to {MAX_HISTORY_PAGE} messages)",
            _history,
        ),
        Command("quit", "/quit", "leave", _quit, alone=True),
    )
}
