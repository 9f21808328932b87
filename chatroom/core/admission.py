"""Admission: who is let in, and what one can be called (protocol.md, sections 2, 5).

``Admission`` judges a hello to a ``Chat``, and any nick that is asked for.  It changes
nothing, but that the names of guests are given once.  What it refuses it raises.
Must not know: who sits where, effects; how guessing a password is slowed.

Order of calls: ``judge`` for each hello; ``check_nick`` and ``guest_nick`` whenever.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING

from chatroom.core.messages import Refused
from chatroom.core.sessions import digest
from chatroom.core.text import is_guest_key, nick_error, nick_key, room_error, to_nfc

if TYPE_CHECKING:
    from chatroom.core.chat import Chat
    from chatroom.core.requests import Hello
    from chatroom.core.sessions import Peer, Session

VERSION = 1
"""The protocol's version."""


class TryAgain(Refused):
    """A hello that is refused, where another one of the same peer may be better."""


class Admission:
    """Who is let in to *chat*."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._guests = 0

    # -- passwords ------------------------------------------------------------

    def is_guess(self, peer: Peer, hello: Hello) -> bool:
        """Tell whether *hello* shows a password that is to be judged."""
        return (
            hello.version == VERSION
            and hello.password is not None
            and self._chat.rules.password is not None
            and (peer.secure or peer.local)
        )

    def is_right(self, hello: Hello) -> bool:
        """Tell whether *hello* shows the password; it takes as long either way."""
        password = self._chat.rules.password
        if password is None:
            return True
        return compare_digest(digest(hello.password or ""), password)

    def _password_error(self, peer: Peer, hello: Hello) -> str | None:
        if self._chat.rules.password is None:
            return None
        if not (peer.secure or peer.local):
            return (
                "this room has a password, and takes it from another machine "
                "over TLS only (chat-client --tls)"
            )
        if hello.password is None:
            return "this room has a password"
        return None if self.is_right(hello) else "that is not the password"

    # -- hellos ---------------------------------------------------------------

    def judge(
        self, peer: Peer, hello: Hello, now: float
    ) -> tuple[Session | None, str, str]:
        """Return the session that *peer* resumes, and its nick and key from now on.

        Where it resumes none, that is ``None``.  The order is that of protocol.md,
        section 2.  Raises ``Refused``.
        """
        chat, session = self._chat, None
        if hello.session is not None:
            session = chat.sessions.find(hello.session, now, secure=peer.secure)
        self._see_whether_let_in(peer, hello, session, now)
        if wrong := room_error(hello.room):
            raise TryAgain("room-invalid", wrong)
        leaving = session.room if session is not None else None
        if not chat.has_place_for(hello.room, leaving):
            raise Refused("full", "there are too many rooms")
        nick, key = self._choose_nick(session, hello.nick, now)
        if banned := chat.oversight.ban_of_nick(key, now):
            raise Refused("banned", banned)
        return session, nick, key

    def _see_whether_let_in(
        self, peer: Peer, hello: Hello, session: Session | None, now: float
    ) -> None:
        """See whether *peer* may be let in, whatever its room and its nick."""
        oversight = self._chat.oversight
        seated = session is not None and session.peer is not None
        if banned := oversight.ban_of_address(peer, session, now):
            raise Refused("banned", banned)
        if hello.version != VERSION:
            text = f"this server speaks version {VERSION}, not {hello.version}"
            raise Refused("version", text)
        if why := self._password_error(peer, hello):
            raise Refused("password", why)
        if session is None and (locked := oversight.lock(now)):
            raise Refused("not-allowed", locked)
        if not seated and (full := self._full(peer)):
            raise Refused("full", full)

    def _full(self, peer: Peer) -> str | None:
        rules = self._chat.rules
        if rules.max_clients and len(self._chat.nicks) >= rules.max_clients:
            return "the server is full; try again later"
        here = self._chat.here_from(peer.address)
        if rules.max_clients_per_ip and here >= rules.max_clients_per_ip:
            return f"{here} are here from your address; no more are let in"
        return None

    # -- nicks ----------------------------------------------------------------

    def check_nick(self, wanted: str, owner: Session | None) -> tuple[str, str]:
        """Return *wanted* as it is shown, and its key, where *owner* may have it.

        *owner* is ``None`` for somebody new.  Raises ``TryAgain``.
        """
        nick = to_nfc(wanted)
        if why := nick_error(nick):
            raise TryAgain("nick-invalid", why)
        key = nick_key(nick)
        if not self._is_free(key, owner):
            raise TryAgain("nick-taken", f"{nick} is taken; choose another nick")
        if is_guest_key(key) and key not in self._chat.nicks:
            text = "names like guest-1 are given by the server"
            raise TryAgain("nick-invalid", text)
        return nick, key

    def guest_nick(self, now: float) -> tuple[str, str]:
        """Return a (nick, key) that nobody has and nobody can ask for.

        They are given anew after a restart: an order is against who had it before.
        """
        chat = self._chat
        while True:
            self._guests += 1
            nick = f"guest-{self._guests}"
            if nick not in chat.nicks and not chat.oversight.is_against(nick, now):
                return nick, nick

    def _choose_nick(
        self, session: Session | None, wanted: str | None, now: float
    ) -> tuple[str, str]:
        if session is not None and self._is_free(session.key, session):
            return session.nick, session.key
        if wanted is not None:
            return self.check_nick(wanted, session)
        if session is not None:
            raise TryAgain("nick-taken", f"somebody else is {session.nick} now")
        return self.guest_nick(now)

    def _is_free(self, key: str, owner: Session | None) -> bool:
        holder = self._chat.nicks.get(key)
        if holder is not None and holder is not owner:
            return False
        shown = owner.operator if owner is not None else None
        return self._chat.oversight.operators.may_have(key, shown)
