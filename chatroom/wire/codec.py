"""JSON objects to requests, and messages to frames (protocol.md, sections 1, 3, 4).

Decoding trusts nothing and never raises: a payload that is not what the tables say
becomes an ``Invalid`` with the error code to answer it.  Encoding writes compact JSON
with the keys in the order of the tables, and never more than a frame holds.
Must not know: who sent a payload, and what follows from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from json.encoder import encode_basestring as _quote
from math import isfinite
from typing import TYPE_CHECKING, NoReturn

from chatroom.core import messages, requests
from chatroom.core.log import MAX_PAGE
from chatroom.core.text import DEFAULT_ROOM
from chatroom.wire.framing import HEADER_SIZE, MAX_FRAME, _pack_length, frame

if TYPE_CHECKING:
    from chatroom.core.messages import Message, Tellable
    from chatroom.core.requests import Invalid, Request

MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1
MAX_REF = 64
"""Code points of a ``ref``."""
MAX_DATA = 64
"""Code points of a ping's ``data``."""


class Malformed(Exception):
    """A payload, or a field of it, that is not as the tables say."""


# -- decoding -------------------------------------------------------------------


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise Malformed("a number is too large to be finite")
    return value


def _finite_integer(digits: str) -> int:
    if len(digits) > 300:
        _finite(digits)
    return int(digits)


_decoder = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, parse_int=_finite_integer
)
_scan: Callable[[str, int], tuple[object, int]]
_scan = _decoder.scan_once  # type: ignore[attr-defined]

# Thirty thousand numbers fit into a frame, and a call of Python for each would hold
# everybody up.  So in large frames only those that may be infinite are looked at, by a
# pattern, which is no faster where the frame is small.
SMALL = 1024
_plain_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_DIGITS_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
_LARGE_NUMBERS = (b"0" * 200, b"e000", b"e+000")
_MAYBE_INFINITE = re.compile(
    r"(?<![\d.+\-eE])-?(?=\d{200}|[\d.]*+[eE]\+?\d{3})[\d.]*+(?:[eE][+-]?\d++)?", re.A
)
# One that is cut off goes on to the end: so each character is looked at once.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")
_NO_HALF_ESCAPED = re.compile(
    r"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
)
"""Matches the whole of a JSON text that has no lone surrogate in any string."""


def decode_object(payload: bytes | bytearray) -> dict[str, object]:
    """Return the JSON object in *payload*; raise ``Malformed`` where there is none.

    Stricter than ``json.loads``: no UTF-16, no BOM, no NaN, no lone surrogate, no
    nesting that could end in a ``RecursionError``.
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise Malformed("the frame is not UTF-8") from None
    # Brackets in strings count too: only where there are many is a closer look due.
    if text.count("{") + text.count("[") > MAX_DEPTH and _too_deep(text):
        raise Malformed(f"the frame nests deeper than {MAX_DEPTH}")
    try:
        if len(text) > SMALL:
            value: object = _plain_decoder.decode(text)
            _check_numbers(payload, text)
        else:
            # decode() looks for white space around the object, in Python code: slower
            # than the object itself, and needed only where there is any.
            value, end = _scan(text, 0) if text[:1] == "{" else (None, 0)
            if end != len(text):
                value = _decoder.decode(text)
    except (ValueError, StopIteration, RecursionError):
        # ValueError is also an integer of more digits than Python likes to read.
        raise Malformed("the frame is not JSON") from None
    if type(value) is not dict:
        raise Malformed("the frame is not a JSON object")
    # Strict UTF-8 has no surrogate: one can only have come in as an escape.  The text
    # is looked at, as of a key given twice the first is in no object.
    if (
        "\\u" in text
        and _SURROGATE_ESCAPE.search(text)
        and _NO_HALF_ESCAPED.fullmatch(text) is None
    ):
        raise Surrogate(value)
    return value


class Surrogate(Malformed):
    """A lone surrogate in a string; the object is there all the same."""

    def __init__(self, value: dict[str, object]) -> None:
        super().__init__("a string holds half a character (a lone surrogate)")
        self.value = value


def decode_request(payload: bytes | bytearray) -> Request:
    """Return the request in *payload*, or the ``Invalid`` that stands for it."""
    try:
        value = decode_object(payload)
    except Surrogate as wrong:
        return _invalid(str(wrong), wrong.value)
    except Malformed as wrong:
        return requests.Invalid("malformed", str(wrong))
    kind = value.get("type")
    if kind == "say":
        # The one hot request: looked at before the table of all.
        text, ref = value.get("text"), value.get("ref", "-")
        if type(text) is str and type(ref) is str and 0 < len(ref) <= MAX_REF:
            return requests.Say(text, ref if "ref" in value else None)
    if type(kind) is not str:
        return _invalid("the frame has no type", value)
    build = _BUILDERS.get(kind)
    if build is None:
        shown = kind[:32]
        return requests.Invalid(
            "unknown-type", f"there is no frame of type {shown}", type=kind
        )
    try:
        return build(value)
    except Malformed as wrong:
        return _invalid(str(wrong), value)


def _invalid(text: str, value: dict[str, object]) -> Invalid:
    kind, ref = value.get("type"), value.get("ref")
    valid_ref = (
        kind in ("say", "whisper")
        and type(ref) is str
        and 0 < len(ref) <= MAX_REF
        and _HALF.search(ref) is None
    )
    return requests.Invalid(
        "malformed",
        text,
        ref if valid_ref and isinstance(ref, str) else None,
        kind if isinstance(kind, str) else None,
    )


def _too_deep(text: str) -> bool:
    """Tell whether *text* nests too deep, strings left aside, where it is JSON."""
    bare = _STRING.sub("", text).encode()
    left = bare.translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        # The innermost go, of all branches at once.
        before, left = left, left.replace(b"[]", b"")
        if len(left) == len(before):
            break
    # What is left without a pair is no JSON, whoever says so.
    return b"[]" in left or left.count(b"[") > MAX_DEPTH


def _check_numbers(payload: bytes | bytearray, text: str) -> None:
    """Raise ``Malformed`` where a number in the JSON *text* is too large.

    *payload* is the same in UTF-8.
    """
    alike = payload.translate(_DIGITS_ALIKE)
    if any(number in alike for number in _LARGE_NUMBERS):
        for found in _MAYBE_INFINITE.findall(_STRING.sub("", text)):
            _finite(found)


Fields = dict[str, object]


def _string(value: Fields, name: str) -> str:
    found = value.get(name)
    if type(found) is not str:
        raise Malformed(f"{name} has to be a string")
    return found


def _maybe_string(value: Fields, name: str, longest: int | None = None) -> str | None:
    if name not in value:
        return None
    found = _string(value, name)
    if longest is not None and len(found) > longest:
        raise Malformed(f"{name} has at most {longest} characters")
    return found


def _maybe_ref(value: Fields) -> str | None:
    ref = _maybe_string(value, "ref", MAX_REF)
    if ref == "":
        raise Malformed(f"ref has 1 to {MAX_REF} characters")
    return ref


def _integer(value: Fields, name: str, low: int = 0, high: int = MAX_INTEGER) -> int:
    found = value.get(name)
    # type(): True is an int by isinstance.
    if type(found) is not int or not low <= found <= high:
        raise Malformed(f"{name} has to be an integer from {low} to {high}")
    return found


def _maybe_integer(value: Fields, name: str) -> int | None:
    return _integer(value, name) if name in value else None


def _hello(value: Fields) -> Request:
    return requests.Hello(
        _integer(value, "version"),
        _maybe_string(value, "nick"),
        _string(value, "room") if "room" in value else DEFAULT_ROOM,
        _maybe_string(value, "password"),
        _maybe_string(value, "session"),
    )


def _say(value: Fields) -> Request:
    return requests.Say(_string(value, "text"), _maybe_ref(value))


def _whisper(value: Fields) -> Request:
    return requests.Whisper(
        _string(value, "to"), _string(value, "text"), _maybe_ref(value)
    )


def _history(value: Fields) -> Request:
    after, before = _maybe_integer(value, "after"), _maybe_integer(value, "before")
    if after is not None and before is not None:
        raise Malformed("history goes after an id or before one, not both")
    limit = _integer(value, "limit", 1, MAX_PAGE) if "limit" in value else 50
    return requests.GetHistory(after, before, limit)


def _op(value: Fields) -> Request:
    do = _string(value, "do")
    build = _OPS.get(do)
    if build is None:
        return requests.Op(do, wrong=f"an operator does not {do[:32]}")
    try:
        return build(do, value)
    except Malformed as wrong:
        if do == "login":
            raise
        # Whether it is his to ask for comes first, and is for the rules to say.
        return requests.Op(do, wrong=str(wrong))


def _op_about_nick(do: str, value: Fields) -> Request:
    return requests.Op(
        do,
        _string(value, "nick"),
        seconds=_integer(value, "seconds") if "seconds" in value else 0,
        reason=_maybe_string(value, "reason") or "",
    )


def _op_about_ban(do: str, value: Fields) -> Request:
    if ("nick" in value) == ("address" in value):
        raise Malformed(f"{do} is about a nick or an address, one of them")
    return requests.Op(
        do,
        _maybe_string(value, "nick"),
        _maybe_string(value, "address"),
        _integer(value, "seconds") if "seconds" in value else 0,
        _maybe_string(value, "reason") or "",
    )


_OPS: dict[str, Callable[[str, Fields], Request]] = {
    "login": lambda do, value: requests.Op(do, key=_string(value, "key")),
    "kick": _op_about_nick,
    "ban": _op_about_ban,
    "unban": _op_about_ban,
    "bans": lambda do, value: requests.Op(do, after=_maybe_string(value, "after")),
    "mute": _op_about_nick,
    "unmute": _op_about_nick,
    "pardon": _op_about_nick,
    "topic": lambda do, value: requests.Op(do, topic=_string(value, "topic")),
    "lock": lambda do, value: requests.Op(do),
    "unlock": lambda do, value: requests.Op(do),
}

_BUILDERS: dict[str, Callable[[Fields], Request]] = {
    "hello": _hello,
    "say": _say,
    "whisper": _whisper,
    "nick": lambda value: requests.Nick(_string(value, "nick")),
    "join": lambda value: requests.Join(_string(value, "room")),
    "who": lambda value: requests.Who(_maybe_string(value, "after")),
    "rooms": lambda value: requests.ListRooms(_maybe_string(value, "after")),
    "history": _history,
    "leave": lambda value: requests.Leave(),
    "ping": lambda value: requests.Ping(_maybe_string(value, "data", MAX_DATA)),
    "pong": lambda value: requests.Pong(_maybe_string(value, "data", MAX_DATA)),
    "op": _op,
}


# -- encoding -------------------------------------------------------------------

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_KEYS = {"sender": "from"}
_FIELDS = {
    kind: tuple((f.name, _KEYS.get(f.name, f.name)) for f in fields(kind))
    for kind in (
        messages.Welcome,
        messages.RoomInfo,
        messages.Whispered,
        messages.Joined,
        messages.Left,
        messages.Renamed,
        messages.Count,
        messages.Topic,
        messages.Done,
        messages.Warned,
        messages.Kick,
        messages.Error,
        messages.Ping,
        messages.Pong,
    )
}


_BAN = tuple((f.name, f.name) for f in fields(messages.Ban))


def encode_object(value: dict[str, object]) -> bytes:
    """Return *value* as a frame."""
    return frame(_to_json(value).encode())


def encode(message: Tellable) -> bytes:
    """Return *message* as a frame."""
    if isinstance(message, messages.Message):
        return encode_message(message)
    if isinstance(message, messages.Members):
        nicks = [_to_bytes(nick) for nick in message.members]
        return _page({"type": "members", "room": message.room}, "members", nicks)
    if isinstance(message, messages.RoomList):
        sizes = [_to_bytes({"room": r, "count": n}) for r, n in message.rooms]
        return _page({"type": "rooms"}, "rooms", sizes)
    if isinstance(message, messages.Bans):
        bans = [_to_bytes(_filled({}, ban, _BAN)) for ban in message.bans]
        return _page({"type": "op", "do": "bans"}, "bans", bans)
    return encode_object(
        _filled({"type": message.type}, message, _FIELDS[type(message)])
    )


def _filled(value: Fields, noun: object, names: Iterable[tuple[str, str]]) -> Fields:
    """Return *value* with the fields of *noun* that are not ``None``, by their keys."""
    for name, key in names:
        field = getattr(noun, name)
        if field is not None:
            value[key] = field
    return value


def encode_message(message: Message) -> bytes:
    """Return *message* as a frame; written by hand, as it is the hot one.

    Nicks and room names hold nothing that JSON would escape (protocol.md, section 5).
    """
    tail = "}" if message.ref is None else f',"ref":{_quote(message.ref)}}}'
    payload = (
        f'{{"type":"message","id":{message.id},"room":"{message.room}",'
        f'"from":"{message.sender}","text":{_quote(message.text)},'
        f'"at":{message.at}{tail}'
    ).encode()
    return _pack_length(len(payload)) + payload


def encode_history(
    room: str,
    log: str,
    oldest_id: int,
    frames: list[bytes],
    more: bool,
    *,
    forward: bool,
) -> bytes:
    """Return a page of *frames* (of messages, oldest first) as a frame.

    Where not all fit, the newest are left out if the page goes *forward* (it was
    asked for with ``after``), else the oldest; *more* then holds in any case.
    """
    payloads = [whole[HEADER_SIZE:] for whole in frames]
    head: Fields = {"type": "history", "room": room, "log": log, "oldest_id": oldest_id}
    return _page(head, "messages", payloads, more, backward=not forward)


def _page(
    head: Fields,
    name: str,
    items: list[bytes],
    more: bool = False,
    *,
    backward: bool = False,
) -> bytes:
    """Return a frame of as many *items* as fit, from the first on, or the last.

    *more* tells of others that are not among them.
    """
    start = f'{_to_json(head)[:-1]},"{name}":['.encode()
    room = MAX_FRAME - len(start) - len('],"more":false}') + 1
    shown = 0
    for item in reversed(items) if backward else items:
        room -= len(item) + 1
        if room < 0:
            break
        shown += 1
    left = len(items) - shown
    fitting = items[left:] if backward else items[:shown]
    end = f'],"more":{"true" if more or left else "false"}}}'.encode()
    return frame(start + b",".join(fitting) + end)


def _to_bytes(value: object) -> bytes:
    return _to_json(value).encode()
