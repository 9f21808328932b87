"""Characters as a terminal shows them: which are safe, and how wide they are.

``clean`` is the one way of a peer's string to a person: nothing that comes out of it
is taken for a control by any terminal.  Pure.  Must not know: who wrote a text.
"""

from __future__ import annotations

import re
import unicodedata

# C0, DEL and C1; the line and paragraph separators; all bidirectional controls
# (CVE-2021-42574); annotations; and half characters, which no encoding takes.
_DANGEROUS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u202a-\u202e\u2066-\u2069"
    "\ufff9-\ufffb\ud800-\udfff]"
)
_ON_ANOTHER = frozenset(("Mn", "Me", "Cf"))
_TO_EMOJI = "\ufe0f"
TAB = 8


def clean(text: str) -> str:
    """Return *text* with every control character as a visible mark."""
    if text.isprintable():
        return text
    return _DANGEROUS.sub(_mark, text)


def clean_lines(text: str) -> list[str]:
    """Return the lines of *text*, clean; only ``\\n`` parts them."""
    return [clean(line.expandtabs(TAB)) for line in text.split("\n")]


def is_safe(char: str) -> bool:
    """Tell whether *char* is shown as it is."""
    return char.isprintable() or _DANGEROUS.match(char) is None


def is_mark(char: str) -> bool:
    """Tell whether *char* sits on the one before it, or is not seen at all."""
    return not char.isascii() and unicodedata.category(char) in _ON_ANOTHER


def char_width(char: str) -> int:
    """Return how many columns *char* takes; rather one too many than one too few."""
    if char.isascii() or char == _TO_EMOJI:
        return 1  # The latter makes what it sits on wider.
    if is_mark(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def text_width(text: str) -> int:
    """Return how many columns *text* takes."""
    return len(text) if text.isascii() else sum(map(char_width, text))


def tail(text: str, columns: int) -> str:
    """Return as much of the end of *text* as fits into *columns*."""
    start = len(text)
    while start:
        columns -= char_width(text[start - 1])
        if columns < 0:
            break
        start -= 1
    # A mark without the letter that it sits on would sit on something else.
    while start < len(text) and is_mark(text[start]):
        start += 1
    return text[start:]


def _mark(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"<U+{code:04X}>"
