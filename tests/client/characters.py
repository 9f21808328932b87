"""Which characters a terminal shows: told a second time, by what Unicode says."""

import unicodedata

TURNS = frozenset("LRE RLE LRO RLO PDF LRI RLI FSI PDI".split())
"""Classes of the characters that turn the direction of what stands behind them."""
NOT_SEEN = frozenset(("Cc", "Cs", "Zl", "Zp"))
OTHERS = frozenset("\u061c\ufff9\ufffa\ufffb")
"""A mark of direction that has no class of its own, and annotations."""


def is_safe(char: str) -> bool:
    """Whether no terminal takes it for anything but a character of a line."""
    return (
        unicodedata.category(char) not in NOT_SEEN
        and unicodedata.bidirectional(char) not in TURNS
        and char not in OTHERS
    )
