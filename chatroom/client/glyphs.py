"""Characters as a terminal shows them: which are safe, and how wide they are.

``clean`` is the one way of a peer's string to a person: nothing that comes out of it
is taken for a control by any terminal.  What a person sees as one character is a
cluster, one string of ``graphemes``; a cursor stands between two of them.  Pure.  Must
not know: who wrote a text.
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
_NOT_TO_BE_TYPED = re.compile(rf"(?![\t\n]){_DANGEROUS.pattern}")
TAB = 8
MAX_MARKS = 8
"""Marks that are shown on one character.  No language and no flag needs more, and a
terminal may take seconds for thousands."""


def clean(text: str) -> str:
    """Return *text* with every control character as a visible mark."""
    if not text.isprintable():
        text = _DANGEROUS.sub(_visible, text)
    return capped(text)


def clean_lines(text: str) -> list[str]:
    """Return the lines of *text*, clean; only ``\\n`` parts them."""
    return [clean(line.expandtabs(TAB)) for line in text.split("\n")]


def only_safe(text: str) -> str:
    """Return *text* without what is not safe; tabs and newlines stay."""
    return text if text.isprintable() else _NOT_TO_BE_TYPED.sub("", text)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"<U+{code:04X}>"


# -- clusters ----------------------------------------------------------------------


def graphemes(text: str) -> list[str]:
    """Return the clusters that *text* consists of."""
    if text.isascii() and "\r" not in text:
        return list(text)
    kinds = text.translate(_KINDS)
    return [text[slice(*found.span())] for found in _CLUSTER.finditer(kinds)]


def cluster_width(cluster: str) -> int:
    """Return how many columns *cluster* takes, once it is ``capped``.

    Where terminals differ it is rather one too many than one too few.
    """
    if len(cluster) == 1:
        return _char_width(cluster)
    cluster = capped(cluster)
    kinds = cluster.translate(_KINDS)
    width = _char_width(cluster[0])
    width += sum(_ADDED_WIDTH.get(kind, 0) for kind in kinds[1:])
    is_emoji = _AS_EMOJI in cluster or "m" in kinds or "p" in kinds[1:]
    return max(width, 2) if is_emoji else width


def most_columns(cluster: str) -> int:
    """Return how many columns *cluster* takes on any terminal.

    One that does not join what makes a cluster shows one beside the other.
    """
    width = cluster_width(cluster)
    return width if len(cluster) == 1 else max(width, sum(map(cluster_width, cluster)))


def text_width(text: str) -> int:
    """Return how many columns *text* takes."""
    return len(text) if text.isascii() else sum(map(cluster_width, graphemes(text)))


def capped(text: str) -> str:
    """Return *text* with ``MAX_MARKS`` marks on any character, at most."""
    if text.isascii():
        return text
    pieces = []
    start = 0
    for run in _MANY_MARKS.finditer(text.translate(_KINDS)):
        pieces.append(text[start : run.start() + MAX_MARKS])
        start = run.end()
    return "".join(pieces) + text[start:]


def _char_width(char: str) -> int:
    kind = _KINDS[ord(char)]
    if kind in "ez":
        return 0
    wide = unicodedata.east_asian_width(char) in "WF"
    return 2 if wide or _is_new_emoji(ord(char)) else 1


# What matters of UAX #29 on a terminal, with one letter for each kind of character, so
# that the rules are a pattern.  Other than there all that is not seen is a mark, and a
# cluster has an end: a terminal that does not join what we think it joins is wrong by a
# few columns then, not by thousands.
_CLUSTER = re.compile(
    "rn|[rnc]|"
    "(?:"
    "pe*m?e*(?:zpe*m?e*){0,7}"  # An emoji, or several joined to one.
    "|ff?"  # Half a flag, or a flag.
    "|l{0,3}(?:v{1,3}|Vv{0,3}|T)t{0,3}|l{1,3}|t{1,3}"  # A syllable of Hangul.
    "|[mo]"
    ")[esz]*"
    "|[esz]+"  # Marks on nothing.
)
_MANY_MARKS = re.compile(f"[esz]{{{MAX_MARKS + 1},}}")
_AS_EMOJI = "\ufe0f"
"""Asks for the wide form of what it stands on."""
_ADDED_WIDTH = {"s": 1, "l": 2, "f": 1, "n": 1}
"""Columns of what stands in a cluster behind its first character; 0 of all else."""
_SEEN = frozenset("\xad\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2")
"""Format characters with a shape of their own."""
_MOST_KINDS = 4096


class _Kinds(dict[int, str]):
    """The kind of each code point, found out when it is asked for.

    Those of texts in one language are few; whoever sends all there are does not fill
    the memory.
    """

    def __missing__(self, code: int) -> str:
        if len(self) >= _MOST_KINDS:
            self.clear()
        kind = self[code] = _kind(chr(code))
        return kind


def _kind(char: str) -> str:
    named = {"\r": "r", "\n": "n", "\u200d": "z"}.get(char)
    if named is not None:
        return named
    code = ord(char)
    if 0x1F3FB <= code <= 0x1F3FF:
        return "m"
    if 0x1F1E6 <= code <= 0x1F1FF:
        return "f"
    if 0x1100 <= code <= 0x11FF or 0xA960 <= code <= 0xA97C or 0xAC00 <= code <= 0xD7FB:
        return _hangul(code)
    category = unicodedata.category(char)
    if category in ("Mn", "Me") or (category == "Cf" and char not in _SEEN):
        return "e"
    if category == "Mc":
        return "s"
    if category == "So" or char == "\u2194" or _is_new_emoji(code):
        return "p"
    return "c" if category in ("Cc", "Zl", "Zp") else "o"


def _hangul(code: int) -> str:
    if 0xAC00 <= code <= 0xD7A3:
        return "T" if (code - 0xAC00) % 28 else "V"
    if code < 0x1160 or 0xA960 <= code <= 0xA97C:
        return "l"
    if code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return "v"
    return "t" if code <= 0x11FF or code >= 0xD7CB else "o"


def _is_new_emoji(code: int) -> bool:
    """Tell whether this may be an emoji that Python has not heard of yet."""
    return 0x1F300 <= code <= 0x1FAFF and unicodedata.category(chr(code)) == "Cn"


_KINDS = _Kinds()
