"""What may be said and what one may be called (protocol.md, section 5).

Pure functions of a string.  They refuse, and never repair: a text is delivered as it
came or not at all.  Must not know: who says it, and to whom.
"""

import re
import unicodedata

MAX_TEXT = 4000
"""Code points in a text."""
MAX_REMARK = 400
"""Code points in a topic (protocol.md, section 8), and in an operator's reason."""
MAX_NICK = 32
"""Code points in a nick."""
MAX_DECOMPOSED = 4 * MAX_NICK
"""Code points that NFC can turn into a nick: no letter decomposes into more than 4."""
MAX_KEY = 64
"""Code points in a nick's key: compatibility forms may grow when they are folded."""
MAX_ROOM = 32
"""Characters in a room's name."""
DEFAULT_ROOM = "lobby"
"""Where one is who names no room."""

# Cc but for \t and \n; the line and paragraph separators, which some terminals and
# every JavaScript treat as line ends; the bidirectional controls (CVE-2021-42574).
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u202a-\u202e\u2066-\u2069]"
)
# Default-ignorable, yet letters or marks by category: an invisible part of a name.
_IGNORABLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
    + "".join(map(chr, range(0xFE00, 0xFE10)))
)
_NICK_PUNCTUATION = frozenset("-_.")
_ROOM = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{MAX_ROOM - 1}}}")
_GUEST = re.compile(r"guest-\d+")


def text_error(text: str) -> tuple[str, str] | None:
    """Return why *text* cannot be said, as (error code, reason), or ``None``.

    The same rule holds for ``say`` and ``whisper`` (protocol.md, section 5).
    """
    # isprintable() is the fast way out: nothing that is forbidden is printable.
    if not text.isprintable():
        found = _FORBIDDEN.search(text)
        if found:
            return (
                "text-invalid",
                f"the control character U+{ord(found[0]):04X} cannot be sent",
            )
    if len(text) > MAX_TEXT:
        return (
            "text-too-long",
            f"the text has {len(text)} characters; {MAX_TEXT} are allowed",
        )
    if not text or text.isspace():
        return "text-invalid", "the text is empty"
    return None


def remark_error(what: str, text: str) -> tuple[str, str] | None:
    """Return why *text* cannot be *what* it is to be: ``a topic`` or ``a reason``.

    As ``text_error`` does; the rules are the same, but for the length.
    """
    if len(text) > MAX_REMARK:
        return "text-too-long", f"{what} has at most {MAX_REMARK} characters"
    return text_error(text)


def fold(text: str) -> str:
    """Return *text* such that what a reader takes for the same is the same."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def nick_key(nick: str) -> str:
    """Return the form in which two nicks are compared: equal keys, same nick.

    NFKC(casefold(NFKC(nick))) is idempotent for every code point, which
    NFKC(casefold(nick)) is not (U+1D2C and others).
    """
    folded = unicodedata.normalize("NFKC", nick).casefold()
    return unicodedata.normalize("NFKC", folded)


def nick_error(nick: str) -> str | None:
    """Return why *nick* (taken in NFC) cannot be anybody's, or ``None``."""
    return _name_error(nick, MAX_NICK) or _name_error(nick_key(nick), MAX_KEY)


def is_guest_key(key: str) -> bool:
    """Tell whether *key* looks like the names that the server itself gives out."""
    return _GUEST.fullmatch(key) is not None


def to_nfc(nick: str) -> str:
    """Return *nick* in NFC, the form in which it is shown.

    What is too long for a nick in any form comes back as it is: to put marks in
    their order takes time that grows with the square of their number.
    """
    if len(nick) > MAX_DECOMPOSED:
        return nick
    return unicodedata.normalize("NFC", nick)


def lookup_key(name: str) -> str | None:
    """Return the key of the nick that *name* may be, ``None`` where it is too long."""
    nick = to_nfc(name)
    return nick_key(nick) if len(nick) <= MAX_NICK else None


def room_error(room: str) -> str | None:
    """Return why *room* cannot be the name of a room, or ``None``."""
    if _ROOM.fullmatch(room):
        return None
    return (
        f"a room's name is 1 to {MAX_ROOM} of a-z 0-9 - _ "
        "and begins with a letter or a digit"
    )


def _name_error(name: str, limit: int) -> str | None:
    if not 1 <= len(name) <= limit:
        return f"a nick has 1 to {MAX_NICK} characters"
    marks = 0
    for position, char in enumerate(name):
        category = unicodedata.category(char)
        letter = category[0] == "L" or category == "Nd"
        mark = category in ("Mn", "Mc")
        marks = marks + 1 if mark else 0
        if char in _IGNORABLE or not (letter or mark or char in _NICK_PUNCTUATION):
            return "a nick is made of letters, digits and - _ ."
        if position == 0 and not letter:
            return "a nick begins with a letter or a digit"
        if marks > 2:
            return "a nick has at most two marks on a letter"
    return None
