"""Nicks as a person tells them apart: in colours, and in what others say.

    colour_of(nick) -> parameter of SGR;   names(text, nick) -> bool

Both go by the nick's key, so that case and width make no difference.  Pure.  Must not
know: who one is, how a line is put together.
"""

from __future__ import annotations

import unicodedata
from zlib import crc32

from chatroom.core.text import lookup_key, nick_key

COLOURS = ("32", "35", "36", "94", "95")
"""Green, magenta, cyan, bright blue and bright magenta.

Of the sixteen these are seen on black and on white, with the palettes that terminals
come with; so are both reds, which are kept for what nobody may miss.  Blue is too dark
on black, yellow and the other bright ones are too light on white, and the greys are
the background itself in some palettes."""

MAX_MARKS = 4
"""Marks in a row that a text is searched with; no nick has that many.  To put marks in
their order takes time that grows with the square of their number."""
_JOINERS = frozenset("-.\u200c\u200d")
"""What parts two words at their ends, and joins them to one in its middle."""


def colour_of(nick: str) -> str:
    """Return the colour of *nick*: the same everywhere and every time."""
    key = lookup_key(nick)
    if key is None:
        return COLOURS[0]  # It is nobody's.
    return COLOURS[crc32(key.encode(errors="surrogatepass")) % len(COLOURS)]


def names(text: str, nick: str) -> bool:
    """Tell whether *text* has *nick* in it as a word of its own."""
    key = lookup_key(nick)
    if not key:
        return False
    folded = nick_key(_without_floods(text))
    start = folded.find(key)
    while start >= 0:
        end = start + len(key)
        before = folded[max(0, start - 2) : start][::-1]
        if not _goes_on(before) and not _goes_on(folded[end : end + 2]):
            return True
        start = folded.find(key, start + 1)
    return False


def _goes_on(beyond: str) -> bool:
    """Tell whether a word goes on in *beyond*, the characters from its end outward."""
    if beyond[1:] and beyond[0] in _JOINERS:
        return _is_inner(beyond[1])
    return bool(beyond) and _is_inner(beyond[0])


def _is_inner(char: str) -> bool:
    """Tell whether *char* is part of a word: a letter, a mark on one, a digit."""
    return char == "_" or unicodedata.category(char)[0] in "LMN"


def _without_floods(text: str) -> str:
    """Return *text* with at most ``MAX_MARKS`` marks in a row."""
    if text.isascii():
        return text
    kept = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= MAX_MARKS:
            kept.append(char)
    return "".join(kept)
