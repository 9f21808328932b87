"""The commands of those who keep order in a room (protocol.md, section 8), as data.

All but ``/op`` are frames that the server answers, and it is the server that says who
may ask for them.  An operator's key is typed behind ``/op``: nobody sees it there.
Must not know: sockets, terminals, the other commands.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from chatroom.client.command import Chat, Command, Names
from chatroom.client.frames import Fields
from chatroom.core.orders import network_of
from chatroom.core.text import nick_error, remark_error, to_nfc

NO_TOPIC = "-"
"""What is typed for no topic."""
NICK_MARK = "@"
"""What is typed before a nick that could be read as an address."""

COMMAND = "/op"
"""What a key is typed behind."""

RUN_ON = "(?=[0-9a-fA-F]{16})"
"""What stands right behind it where a space was forgotten: it is no word."""

_KEY = re.compile(rf"\s*/op(\s+|{RUN_ON})", re.IGNORECASE)
_LOGIN = re.compile(rf"\s*/op(\s|\Z|{RUN_ON})", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"([0-9]{1,6})([smhd])")
_TIMES = "90s 10m 2h 7d"


def confides(line: str) -> bool:
    """Tell whether *line* has an operator's key in it, or is about to.

    Also where a space is forgotten, or a capital too much has it not taken.
    """
    return _KEY.match(line) is not None


def is_login(line: str) -> bool:
    """Tell whether *line* has a key in it, or wants one to be asked for."""
    return _LOGIN.match(line) is not None


def seen(line: str) -> str:
    """Return *line* as it may be seen; it is as long as it was."""
    found = _KEY.match(line)
    if found is None:
        return line
    return found[0] + "*" * (len(line) - found.end())


def _op(chat: Chat, argument: str) -> bool:
    chat.login(argument)
    return True


def _about(
    do: str, address: bool = False, lasts: bool = False, reason: bool = True
) -> Callable[[Chat, str], bool]:
    """Return what runs a command about somebody: a nick or perhaps an *address*, and
    behind it how long it *lasts*, and the *reason*."""

    def run(chat: Chat, argument: str) -> bool:
        who, rest = _parted(argument)
        if not who:
            return False
        try:
            frame = {"type": "op", "do": do} | _target(who, address)
            if lasts:
                seconds, rest = _time(rest)
                frame |= seconds
            if rest and not reason:
                return False
            if rest:
                frame["reason"] = _checked("a reason", rest)
        except ValueError as wrong:
            chat.notice(str(wrong))
        else:
            chat.ask(frame)
        return True

    return run


def marked(nick: str) -> str:
    """Return *nick* as one types it where an address could stand as well."""
    return nick if network_of(nick) is None else NICK_MARK + nick


def _parted(argument: str) -> tuple[str, str]:
    """Return the first word of *argument*, and the rest."""
    first, *rest = argument.split(maxsplit=1) or [""]
    return first, "".join(rest)


def _target(who: str, address: bool) -> Fields:
    """Return whom it is about; raise ``ValueError`` where that can be nobody."""
    if address and network_of(who) is not None:
        return {"address": who}
    nick = who.removeprefix(NICK_MARK)
    wrong = nick_error(to_nfc(nick))
    if wrong is None:
        return {"nick": nick}
    raise ValueError("that is no address, and no nick either" if address else wrong)


def _time(text: str) -> tuple[Fields, str]:
    """Return the time that *text* begins with, if it does, and what stands behind.

    What begins with a digit is one, or a mistake: nobody is banned for good who was
    meant to be for ten minutes.
    """
    first, rest = _parted(text)
    if not ("0" <= first[:1] <= "9"):
        return {}, text
    found = _TIME.fullmatch(first)
    seconds = int(found[1]) * _UNITS[found[2]] if found is not None else 0
    if not seconds:
        raise ValueError(f"a time is like {_TIMES}, and a reason begins with a letter")
    return {"seconds": seconds}, rest


def _checked(what: str, text: str) -> str:
    """Return *text*; raise ``ValueError`` where the server would not take it."""
    wrong = remark_error(what, text)
    if wrong is not None:
        raise ValueError(wrong[1])
    return text


def _bans(chat: Chat, argument: str) -> bool:
    after = {"after": argument.removeprefix(NICK_MARK)} if argument else {}
    chat.ask({"type": "op", "do": "bans"} | after)
    return True


def _topic(chat: Chat, argument: str) -> bool:
    if not argument:
        chat.show_topic()
        return True
    try:
        topic = "" if argument == NO_TOPIC else _checked("a topic", argument)
    except ValueError as wrong:
        chat.notice(str(wrong))
    else:
        chat.ask({"type": "op", "do": "topic", "topic": topic})
    return True


def _plain(do: str) -> Callable[[Chat, str], bool]:
    """Return what runs a command with nothing behind it."""

    def run(chat: Chat, argument: str) -> bool:
        if argument:
            return False
        chat.ask({"type": "op", "do": do})
        return True

    return run


_WHO = f"""\
WHO: a nick, an address (10.0.0.1, 2001:db8::1), or a network
(10.0.0.0/8). What reads as an address is one: a nick that does has
{NICK_MARK} before it."""
_HOW_LONG = f"TIME: {_TIMES}. Without one it is for good."

ORDERS = (
    Command(
        "kick",
        "/kick NICK [REASON]",
        "disconnect a member, who may come back",
        _about("kick"),
        first=Names.NICKS,
    ),
    Command(
        "ban",
        "/ban WHO [TIME] [REASON]",
        "disconnect somebody, and keep him out",
        _about("ban", address=True, lasts=True),
        f"{_WHO}\n{_HOW_LONG}",
        first=Names.NICKS,
    ),
    Command(
        "unban",
        "/unban WHO",
        "let somebody in again",
        _about("unban", address=True, reason=False),
        _WHO,
    ),
    Command(
        "bans",
        "/bans [AFTER]",
        "list who is banned",
        _bans,
        "With a nick or an address, only those that come after it.",
    ),
    Command(
        "mute",
        "/mute NICK [TIME] [REASON]",
        "have nobody hear what a member says",
        _about("mute", lasts=True),
        _HOW_LONG,
        first=Names.NICKS,
    ),
    Command(
        "unmute",
        "/unmute NICK",
        "have it heard again",
        _about("unmute", reason=False),
        first=Names.NICKS,
    ),
    Command(
        "pardon",
        "/pardon NICK",
        "take a member's strikes away",
        _about("pardon", reason=False),
        first=Names.NICKS,
    ),
    Command("lock", "/lock", "let in nobody new", _plain("lock")),
    Command("unlock", "/unlock", "let in who comes", _plain("unlock")),
)
"""What only operators may ask for."""

_WIDTH = max(len(command.usage) for command in ORDERS)

FOR_ALL = (
    Command(
        "topic",
        "/topic [TEXT]",
        "tell the topic; an operator sets it",
        _topic,
        f"/topic {NO_TOPIC} takes it away.",
    ),
    Command(
        "op",
        "/op [KEY]",
        "become an operator; /help op tells more",
        _op,
        "Without the key it is asked for. Either way it is not shown, and\n"
        "kept nowhere; only --plain shows what stands behind /op. What an\n"
        "operator can do, besides /topic TEXT:\n"
        + "\n".join(f"{c.usage:{_WIDTH}}  {c.about}" for c in ORDERS),
        alone=True,
    ),
)
"""What anybody may use, at least in part."""
