"""What a person can ask for beside talking: the commands, as data.

``run_line`` is the one way in: a line that begins with a slash is a command, one that
begins with two is said with one of them, every other line is said.
Must not know: sockets, terminals.
"""

from __future__ import annotations

import re

from chatroom.client.command import Chat, Command, Names
from chatroom.client.operator_commands import FOR_ALL, ORDERS, RUN_ON, is_login
from chatroom.core.moderation import LEAVE_COMMAND
from chatroom.core.text import MAX_NICK, nick_error, room_error, to_nfc

HISTORY_PAGE = 50
MAX_HISTORY_PAGE = 200
MAX_MISTYPED = 20
"""Characters of a name up to which one is looked for that is near."""

_COMMAND = re.compile(rf"\s*/([oO][pP]{RUN_ON}|\S*)\s*(.*)", re.DOTALL)
_TO_AND_TEXT = re.compile(r"(\S+)\s(.*)", re.DOTALL)


def name_of(line: str) -> str | None:
    """Return the name of the command that *line* is, or ``None`` for a text."""
    # A key is not said because of a space before it.
    if line.startswith("//") or not (line.startswith("/") or is_login(line)):
        return None
    return _parts(line)[0]


def _parts(line: str) -> tuple[str, str]:
    """Return the name of the command that *line* is, and what stands behind it."""
    found = _COMMAND.fullmatch(line)
    assert found is not None
    return found[1], found[2].rstrip()


def needs_server(line: str) -> bool:
    """Tell whether *line* can be done only where there is a connection."""
    name = name_of(line)
    if name is None:
        return line.strip() != LEAVE_COMMAND
    return name in COMMANDS and not COMMANDS[name].alone


def spoken(line: str) -> str | None:
    """Return the text that *line* says to anybody, ``None`` where it says none."""
    name = name_of(line)
    if name is None:
        text = line.removeprefix("/")
    else:
        command = COMMANDS.get(name)
        if command is None or command.says is None:
            return None
        text = command.says(_parts(line)[1])
    return text if text.strip() else None


def addressed(line: str, whisperer: str) -> str:
    """Return *line*, and an answer to whoever whispered last as one to *whisperer*.

    Who that is may have changed by the time that it is said.
    """
    if not whisperer or name_of(line) != "r":
        return line
    text = _parts(line)[1]
    return f"/msg {whisperer} {text}" if text else line


def run_line(chat: Chat, line: str) -> None:
    """Do what *line* asks for."""
    name = name_of(line)
    if name is None:
        chat.say(line.removeprefix("/"))
        return
    command = COMMANDS.get(name)
    if command is None:
        chat.notice(_unknown(name))
    elif not command.run(chat, _parts(line)[1]):
        chat.notice(f"usage: {command.usage}")


def _unknown(name: str) -> str:
    near = _nearest(name)
    if near is not None:
        return f"there is no /{name}; did you mean /{near}?"
    return (
        f"there is no /{name}; /help tells what there is. "
        "To say something that begins with a slash, begin with two"
    )


def _nearest(name: str) -> str | None:
    if len(name) > MAX_MISTYPED:
        return None
    # Imported here: whoever types well does not wait for it.
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), COMMANDS, 1)
    return near[0] if near else None


def _help(chat: Chat, argument: str) -> bool:
    if argument:
        command = COMMANDS.get(argument.removeprefix("/"))
        if command is None:
            return False
        more = f"\n{command.more}" if command.more else ""
        chat.notice(f"{command.usage}: {command.about}{more}")
        return True
    commands = [one for one in COMMANDS.values() if one not in ORDERS]
    width = max(len(command.usage) for command in commands)
    lines = [f"{c.usage:{width}}  {c.about}" for c in commands]
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


def _who(chat: Chat, argument: str) -> bool:
    # What is too long for a nick would be refused, and nobody could tell which of
    # several frames the error is about.
    if len(to_nfc(argument)) > MAX_NICK:
        return False
    return _listed(chat, "who", argument)


def _rooms(chat: Chat, argument: str) -> bool:
    return _listed(chat, "rooms", argument)


def _listed(chat: Chat, kind: str, after: str) -> bool:
    chat.ask({"type": kind, "after": after} if after else {"type": kind})
    return True


def _msg(chat: Chat, argument: str) -> bool:
    found = _TO_AND_TEXT.fullmatch(argument)
    if found is None or not found[2].strip():
        return False
    chat.whisper(found[1], found[2])
    return True


def _text_of_msg(argument: str) -> str:
    found = _TO_AND_TEXT.fullmatch(argument)
    return found[2] if found is not None else ""


def _reply(chat: Chat, argument: str) -> bool:
    # With somebody to answer, and a text, it is a /msg by now: ``addressed``.
    if not argument:
        return False
    chat.notice("nobody has whispered to you")
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


def _search(chat: Chat, argument: str) -> bool:
    if not argument:
        return False
    chat.search(argument)
    return True


def _ignore(chat: Chat, argument: str) -> bool:
    nick = to_nfc(argument)
    wrong = nick_error(nick) if nick else None
    if wrong is not None:
        chat.notice(wrong)
    else:
        chat.ignore(nick)
    return True


def _quit(chat: Chat, argument: str) -> bool:
    chat.leave()
    return True


COMMANDS = {
    command.name: command
    for command in (
        Command(
            "help",
            "/help [COMMAND]",
            "tell what there is",
            _help,
            "Tab completes names of commands, members and rooms.",
            alone=True,
            first=Names.COMMANDS,
        ),
        Command(
            "msg",
            "/msg NICK TEXT",
            "tell one member alone",
            _msg,
            "It reaches a member in whatever room, and is kept nowhere.",
            says=_text_of_msg,
            first=Names.NICKS,
            rest=Names.NICKS,
        ),
        Command(
            "r",
            "/r TEXT",
            "answer who whispered last",
            _reply,
            "The same as /msg with the name of that member.",
            alone=True,
            says=str,
            first=Names.NICKS,
            rest=Names.NICKS,
        ),
        Command(
            "nick",
            "/nick NICK",
            "take another nick",
            _nick,
            "Letters, digits and - _ . up to 32, if nobody has it.",
        ),
        Command(
            "join",
            "/join ROOM",
            "go to another room",
            _join,
            "One is in one room at a time. A room that is not there is made.",
            first=Names.ROOMS,
        ),
        Command(
            "who",
            "/who [AFTER]",
            "list who is in this room",
            _who,
            "With a name, only those that come after it.",
            first=Names.NICKS,
        ),
        Command(
            "rooms",
            "/rooms [AFTER]",
            "list the rooms",
            _rooms,
            "With a name, only those that come after it.",
            first=Names.ROOMS,
        ),
        Command(
            "history",
            "/history [N]",
            "show what was said last in this room",
            _history,
            f"N: how many messages, 1 to {MAX_HISTORY_PAGE} ({HISTORY_PAGE}).",
        ),
        Command(
            "search",
            "/search WORDS",
            "show what was said with these words",
            _search,
            "In this room, in any letter case, the newest messages that\n"
            "hold all of the words.",
        ),
        Command(
            "ignore",
            "/ignore [NICK]",
            "see nothing that a member says, or again",
            _ignore,
            "Nobody is told. Without a name: tell who is ignored.",
            alone=True,
            first=Names.NICKS,
        ),
        *FOR_ALL,
        Command("quit", "/quit", "leave", _quit, alone=True),
        *ORDERS,
    )
}
