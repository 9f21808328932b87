"""Sessions: what stays of a member when the connection does not.

A session is known by the digest of its token, never by the token.  It carries the
nick, the strikes and the last ref, and it is resumed by a later connection within an
hour (protocol.md, section 3).  Must not know: rooms' rules, frames, where a token
comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from chatroom.core.moderation import Strikes

if TYPE_CHECKING:
    from chatroom.core.rooms import Room

SESSION_LIFETIME = 3600.0
"""Seconds that a session is kept after its connection's end."""
MAX_ENDED_SESSIONS = 10_000
"""Sessions without a connection that are kept; above that the oldest go."""


class Peer:
    """What the rules need to know of a connection; the server's one builds on it.

    ``session`` is ``None`` until the hello is accepted.  ``gone`` is set by the rules
    when nothing that this connection sends has any effect any more.
    """

    __slots__ = ("address", "gone", "local", "secure", "session", "tries")

    def __init__(
        self, address: str = "", *, secure: bool = False, local: bool = True
    ) -> None:
        self.address = address
        """The bucket of addresses that it counts in (one IPv4, one IPv6 /64)."""
        self.secure = secure
        """Whether it speaks through TLS."""
        self.local = local
        """Whether it comes from this machine."""
        self.session: Session | None = None
        self.gone = False
        self.tries = 0
        """Hellos that were refused and left the connection open."""


class Session:
    """A member, connected (``peer``) or not."""

    __slots__ = (
        "digest",
        "ended_at",
        "key",
        "last_ref",
        "mute",
        "nick",
        "operator",
        "peer",
        "room",
        "secure",
        "strikes",
    )

    def __init__(self, digest: bytes, nick: str, key: str, *, secure: bool) -> None:
        self.digest = digest
        self.nick = nick
        self.key = key
        self.secure = secure
        """Whether it began over TLS: it is resumed only over the same."""
        self.strikes = Strikes()
        self.last_ref: str | None = None
        self.mute: str | None = None
        """The target of the order by which it is mute: another nick brings no voice."""
        self.operator: bytes | None = None
        """The digest of the operator's key that it has shown."""
        self.peer: Peer | None = None
        self.room: Room | None = None
        self.ended_at = 0.0
        """When its connection ended, in seconds of the server's clock."""


class Sessions:
    """All sessions by the digest of their token."""

    def __init__(self) -> None:
        self.changed: dict[bytes, Session | None] = {}
        """What has changed since the store was last given this, and emptied it."""
        self._all: dict[bytes, Session] = {}
        # Those without a connection, in the order in which they lost it.
        self._ended: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Session]:
        """Go through all, with and without a connection."""
        return iter(self._all.values())

    @property
    def ended(self) -> int:
        """How many are kept that have no connection."""
        return len(self._ended)

    def add(self, session: Session) -> None:
        """Know *session*, which has a connection, from now on."""
        self._all[session.digest] = session
        self.changed[session.digest] = session

    def touch(self, session: Session) -> None:
        """Note that *session* is not any more as it was kept."""
        self.changed[session.digest] = session

    def restore(self, session: Session) -> None:
        """Know *session*, which was kept, and whose connection ended before now."""
        self._all[session.digest] = self._ended[session.digest] = session

    def find(self, token: str, now: float, *, secure: bool) -> Session | None:
        """Return the session of *token*, if it can be resumed at *now* (seconds)."""
        self.expire(now)
        session = self._all.get(digest(token))
        if session is None or session.secure != secure:
            return None
        return session

    def latest(self, key: str) -> Session | None:
        """Return who had the nick with *key* last, of those without a connection."""
        ended = reversed(self._ended.values())
        return next((session for session in ended if session.key == key), None)

    def resume(self, session: Session) -> None:
        """Note that *session* has a connection again."""
        self._ended.pop(session.digest, None)
        self.touch(session)

    def end(self, session: Session, now: float) -> None:
        """Note that the connection of *session* ended at *now* (seconds)."""
        session.ended_at = now
        self._ended[session.digest] = session
        self.touch(session)
        self.expire(now)

    def forget(self, session: Session) -> None:
        """Know *session* no longer."""
        self._all.pop(session.digest, None)
        self._ended.pop(session.digest, None)
        self.changed[session.digest] = None

    def expire(self, now: float) -> None:
        """Forget what has been without a connection for too long at *now*."""
        while self._ended:
            oldest = next(iter(self._ended.values()))
            fresh = now - oldest.ended_at <= SESSION_LIFETIME
            if fresh and len(self._ended) <= MAX_ENDED_SESSIONS:
                return
            self.forget(oldest)


def digest(token: str) -> bytes:
    """Return the form in which a session's token is known."""
    return sha256(token.encode("utf-8", "replace")).digest()
