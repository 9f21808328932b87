"""How things stand, in one row: where one is, as who, with how many, how it goes.

    status_line(status, columns) -> Line

What matters least goes first where a screen is narrow; a connection that is lost, and
strikes, stay to the last.  Pure.  Must not know: terminals, what any of it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from chatroom.client.glyphs import clean, graphemes, most_columns
from chatroom.client.lines import Line, Span, Style

BAR: Style = ("7", "7")
NAME: Style = ("1;7", "1;7")
ALARM: Style = ("1;7", "1;7;31")
"""Reverse video, which is there on any terminal, dark or light."""
MORE = "…"
MIN_TOPIC = 8
"""Columns; what is left of a longer topic tells nothing."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the status line tells, as it came: it is made clean where it is shown."""

    room: str = ""
    topic: str = ""
    nick: str = ""
    members: int = 0
    """Oneself included."""
    strikes: int = 0
    limit: int = 0
    """Which strike kicks; 0: the server has not said."""
    state: str = ""
    """How it stands with the connection; empty while there is one."""
    rtt: float | None = None
    """Seconds of the last round trip; ``None``: not measured yet."""


class _Part(NamedTuple):
    rank: int
    """The highest goes first."""
    text: str
    style: Style = BAR
    before: str = " | "
    """What parts it from the one before it."""


def status_line(status: Status, columns: int) -> Line:
    """Return *status* as a row of so many *columns*, and never more."""
    parts = _parts(status)
    while len(parts) > 1 and _width(parts) > columns:
        parts.remove(max(parts))
    spans: list[Span] = []
    left = columns
    for part in parts:
        if spans:
            spans.append((part.before, BAR))
            left -= len(part.before)
        text = fitted(part.text, left)
        spans.append((text, part.style))
        left -= _columns(text)
    topic = clean(status.topic)
    before = " | " if spans else ""
    space = left - len(before)
    if topic and space >= min(MIN_TOPIC, _columns(topic)):
        text = fitted(topic, space)
        spans.append((before + text, BAR))
        left = space - _columns(text)
    spans.append((" " * left, BAR))
    return Line(tuple(spans))


def fitted(text: str, columns: int) -> str:
    """Return *text*, or as much of its begin as fits with a mark that there is more."""
    if _columns(text) <= columns:
        return text
    kept = ""
    left = columns - len(MORE)
    if left < 0:
        return ""
    for grapheme in graphemes(text):
        left -= most_columns(grapheme)
        if left < 0:
            break
        kept += grapheme
    return kept + MORE


def _parts(status: Status) -> list[_Part]:
    """Return all but the topic, in their places."""
    parts = []
    if status.state:
        parts.append(_Part(0, clean(status.state), ALARM))
    if status.room:
        parts.append(_Part(2, f"[{clean(status.room)}]", NAME))
    if status.nick:
        parts.append(_Part(3, clean(status.nick), before=" " if status.room else " | "))
    if status.members:
        parts.append(_Part(4, f"{status.members} here"))
    if status.strikes:
        of = f"/{status.limit}" if status.limit else ""
        parts.append(_Part(1, f"strikes {status.strikes}{of}", ALARM))
    elif status.limit:
        parts.append(_Part(6, f"strikes 0/{status.limit}"))
    if status.rtt is not None and not status.state:
        parts.append(_Part(5, _time(status.rtt)))
    return parts


def _time(seconds: float) -> str:
    if seconds < 9.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.0f} s"


def _width(parts: list[_Part]) -> int:
    separators = sum(len(part.before) for part in parts[1:])
    return separators + sum(_columns(part.text) for part in parts)


def _columns(text: str) -> int:
    return sum(map(most_columns, graphemes(text)))
