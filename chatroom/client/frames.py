"""What a server may send, as a table (protocol.md, section 4).

A server is trusted no more than any peer: ``check`` goes over every frame before
anything else looks into it, so that whoever comes later may take what it needs.
Must not know: what a frame leads to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatroom.errors import BadPeer

Fields = dict[str, Any]
"""A frame; its fields are as the table says once it is checked."""

MAX_INTEGER = 2**53 - 1

Check = Callable[[Any], bool]


def _string(value: Any) -> bool:
    return type(value) is str


def _integer(value: Any) -> bool:
    # type(): True is an int by isinstance.
    return type(value) is int and 0 <= value <= MAX_INTEGER


def _flag(value: Any) -> bool:
    return type(value) is bool


def _anything(value: Any) -> bool:
    return True


def _list_of(check: Check) -> Check:
    return lambda value: type(value) is list and all(map(check, value))


def _limits(value: Any) -> bool:
    return type(value) is dict and all(map(_integer, value.values()))


def _size_of_room(value: Any) -> bool:
    return (
        type(value) is dict
        and _string(value.get("room"))
        and _integer(value.get("count"))
    )


def _ban(value: Any) -> bool:
    return (
        type(value) is dict
        and ("nick" in value) != ("address" in value)
        and _string(value.get("nick", value.get("address")))
        and "until" in value  # A time, which is only shown.
        and _string(value.get("by"))
        and _string(value.get("reason"))
    )


def _message(value: Any) -> bool:
    return (
        type(value) is dict
        and value.get("type") == "message"
        and _wrong_field(value, TABLE["message"]) is None
    )


_NICK: dict[str, Check] = {"room": _string, "nick": _string}

TABLE: dict[str, dict[str, Check]] = {
    "welcome": {
        "version": _integer,
        "server": _string,
        "nick": _string,
        "session": _string,
        "strikes": _integer,
        "last_ref?": _string,
        "limits": _limits,
    },
    "room": {
        "room": _string,
        "log": _string,
        "last_id": _integer,
        "oldest_id": _integer,
        "count": _integer,
        "topic?": _string,
    },
    # A time is only shown: one that makes no sense is no reason to leave.
    "message": {
        "id": _integer,
        "room": _string,
        "from": _string,
        "text": _string,
        "at": _anything,
        "ref?": _string,
    },
    "whisper": {
        "from": _string,
        "to": _string,
        "text": _string,
        "at": _anything,
        "ref?": _string,
    },
    "joined": _NICK,
    "left": _NICK | {"reason": _string},
    "renamed": {"room": _string, "old": _string, "new": _string},
    "count": {"room": _string, "count": _integer},
    "members": {"room": _string, "members": _list_of(_string), "more": _flag},
    "rooms": {"rooms": _list_of(_size_of_room), "more": _flag},
    "history": {
        "room": _string,
        "log": _string,
        "oldest_id": _integer,
        "messages": _list_of(_message),
        "more": _flag,
    },
    "topic": {"room": _string, "topic": _string, "by": _string},
    "warning": {
        "reason": _string,
        "strikes": _integer,
        "limit": _integer,
        "text": _string,
        "ref?": _string,
    },
    "kick": {"reason": _string, "text": _string},
    "op": {"do": _string, "text": _string},
    "error": {"code": _string, "text": _string, "ref?": _string},
    "ping": {"data?": _string},
    "pong": {"data?": _string},
}
"""The fields of each frame; ``?`` marks those that may be missing."""
BANS: dict[str, Check] = {"do": _string, "bans": _list_of(_ban), "more": _flag}
"""Those of an ``op`` that lists bans."""


def check(frame: Fields) -> str | None:
    """Return the type of *frame*, or ``None`` for one that this client does not know.

    Raises ``BadPeer`` where *frame* is not what the table says.
    """
    kind = frame.get("type")
    if type(kind) is not str:
        raise BadPeer("the server sent a frame without a type")
    fields = TABLE.get(kind)
    if fields is None:
        return None
    if kind == "op" and ("bans" in frame or frame.get("do") == "bans"):
        fields = BANS
    wrong = _wrong_field(frame, fields)
    if wrong is not None:
        raise BadPeer(f"the server sent a {kind} frame without a valid {wrong}")
    return kind


def _wrong_field(frame: Fields, fields: dict[str, Check]) -> str | None:
    for name, is_valid in fields.items():
        key = name.removesuffix("?")
        if key not in frame:
            if key == name:
                return key
        elif not is_valid(frame[key]):
            return key
    return None
