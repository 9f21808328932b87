"""Operators: whose key opens what, and which nicks are kept for them.

``parse`` reads the operator file: a nick and the SHA-256 of its key a line.  A nick
may have several keys, so that a new one is there before the old one goes.  Must not
know: files, sessions, what an operator may do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from chatroom.core.sessions import digest
from chatroom.core.text import is_guest_key, nick_error, nick_key, to_nfc

_DIGEST = re.compile("[0-9a-fA-F]{64}")


class Operators:
    """Who is an operator: *keys* are nicks by the digest of a key that is theirs."""

    __slots__ = ("_keys", "_reserved")

    def __init__(self, keys: Mapping[bytes, str] | None = None) -> None:
        self._keys = dict(keys or {})
        self._reserved = frozenset(map(nick_key, self._keys.values()))

    def __len__(self) -> int:
        return len(self._keys)

    def nick_of(self, shown: bytes | None) -> str | None:
        """Return whose key it is whose digest is *shown*, ``None``: nobody's."""
        return None if shown is None else self._keys.get(shown)

    def may_have(self, key: str, shown: bytes | None) -> bool:
        """Tell whether who has *shown* a key, or none, may have the nick with *key*."""
        if key not in self._reserved:
            return True
        nick = self.nick_of(shown)
        return nick is not None and nick_key(nick) == key


def parse(lines: Iterable[str]) -> Operators:
    """Return the operators that *lines* name; empty ones and ``#`` say nothing.

    Raises ``ValueError`` that tells what is wrong and in which line.
    """
    keys: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            found, nick = _entry(words)
        except ValueError as wrong:
            raise ValueError(f"line {number}: {wrong}") from None
        if keys.get(found, nick) != nick:
            raise ValueError(f"line {number}: {keys[found]} has that key already")
        keys[found] = nick
    return Operators(keys)


def entry(nick: str, key: str) -> str:
    """Return the line that makes *key* one of *nick*; raise ``ValueError``."""
    return f"{checked_nick(nick)} {digest(key).hex()}"


def checked_nick(nick: str) -> str:
    """Return *nick* as it is shown; raise ``ValueError`` where nobody can have it."""
    nick = to_nfc(nick)
    if wrong := nick_error(nick):
        raise ValueError(wrong)
    if is_guest_key(nick_key(nick)):
        raise ValueError("names like guest-1 are given by the server")
    return nick


def _entry(words: list[str]) -> tuple[bytes, str]:
    if len(words) != 2:
        raise ValueError("a nick and the SHA-256 of its key, no more and no less")
    nick, digits = words
    if not _DIGEST.fullmatch(digits):
        raise ValueError("a SHA-256 is 64 hexadecimal digits")
    return bytes.fromhex(digits), checked_nick(nick)
