"""What a connection speaks, by its first bytes, and a word to who speaks wrongly.

    sniff(first bytes) -> Spoken | None (more is needed)

A native frame begins with 0, as no frame has 16 MiB; a TLS handshake with 22.  Whoever
is at the wrong door begins with a word of his own protocol, and is answered in it.
Must not know: which of these the server takes; sockets.
"""

from __future__ import annotations

from enum import Enum, auto


class Spoken(Enum):
    """What is spoken."""

    NATIVE = auto()
    TLS = auto()
    HTTP = auto()
    SSH = auto()
    IRC = auto()
    MAIL = auto()
    """SMTP, and what else begins with a polite word."""
    UNKNOWN = auto()


_FIRST = {0: Spoken.NATIVE, 22: Spoken.TLS}
_VERBS = "GET HEAD POST PUT DELETE OPTIONS CONNECT TRACE PATCH PRI"
_IRC = "NICK USER PASS CAP PING JOIN AUTHENTICATE"
_WORDS = (
    {f"{word} ".encode(): Spoken.HTTP for word in _VERBS.split()}
    | {f"{word} ".encode(): Spoken.IRC for word in _IRC.split()}
    | {f"{word} ".encode(): Spoken.MAIL for word in ("EHLO", "HELO", "LHLO")}
    | {b"SSH-": Spoken.SSH}
)
MAX_WORD = max(map(len, _WORDS))
"""Bytes that are enough to tell."""


def sniff(data: bytes) -> Spoken | None:
    """Return what speaks whoever begins with *data*; ``None`` until more has come.

    *data* is not empty.  Words count in any letter case.
    """
    known = _FIRST.get(data[0])
    if known is not None:
        return known
    start = data[:MAX_WORD].upper()
    for word, dialect in _WORDS.items():
        if start.startswith(word):
            return dialect
        if word.startswith(start):
            return None
    return Spoken.UNKNOWN


_TEXT = "This is a chat room, not a {}. Join it with chat-client."


def farewell(dialect: Spoken) -> bytes:
    """Return the answer for who speaks *dialect* where it is not taken.

    Nothing for what has no answer of its own (``NATIVE``, ``UNKNOWN``): those get a
    native frame.
    """
    return _FAREWELLS.get(dialect, b"")


def _http() -> bytes:
    body = _TEXT.format("web server") + "\n"
    return (
        "HTTP/1.1 400 Bad Request\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n"
        f"\r\n{body}"
    ).encode()


_FAREWELLS = {
    # A fatal alert, handshake_failure (RFC 8446, section 6), in a record of TLS 1.2.
    Spoken.TLS: bytes((21, 3, 3, 0, 2, 2, 40)),
    Spoken.HTTP: _http(),
    # Lines before the version are allowed (RFC 4253, section 4.2), and shown.
    Spoken.SSH: (_TEXT.format("shell") + "\r\n").encode(),
    Spoken.IRC: f"ERROR :{_TEXT.format('server of IRC')}\r\n".encode(),
    Spoken.MAIL: f"554 {_TEXT.format('mail server')}\r\n".encode(),
}
