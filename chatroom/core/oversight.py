"""Oversight: what operators do, and what it does to others (protocol.md, section 8).

``Oversight`` carries out ``op`` requests on a ``Chat``, and answers for it whether an
order stands against somebody.  Orders are in ``orders.py``, keys in ``operators.py``.
Must not know: frames, clocks, files; how guessing a key is slowed.

Order of calls: ``restore`` once, then ``receive`` for each ``op``; ``appoint`` whenever
the operator file is read.  Everything that was done is a ``Record`` among the effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING

from chatroom.core import messages
from chatroom.core.effects import News, Record
from chatroom.core.messages import Refused
from chatroom.core.operators import Operators
from chatroom.core.orders import (
    MAX_ORDERS,
    Kind,
    Order,
    Orders,
    is_within,
    network_of,
    until,
)
from chatroom.core.sessions import digest
from chatroom.core.text import lookup_key, nick_error, nick_key, remark_error, to_nfc

if TYPE_CHECKING:
    from chatroom.core.chat import Chat
    from chatroom.core.requests import Op
    from chatroom.core.rooms import Room
    from chatroom.core.sessions import Peer, Session


class Oversight:
    """Operators and their orders, over the members of *chat*."""

    def __init__(self, chat: Chat) -> None:
        self.operators = Operators()
        self.orders = Orders()
        self._chat = chat
        self._commands: dict[str, Callable[[Session, Op, float, int], str]] = {
            "kick": self._kick,
            "ban": self._ban,
            "unban": self._unban,
            "mute": self._mute,
            "unmute": self._unmute,
            "pardon": self._pardon,
            "topic": self._topic,
            "lock": self._lock,
            "unlock": self._unlock,
        }

    # -- what stands against somebody -----------------------------------------

    def ban_of_address(
        self, peer: Peer, session: Session | None, now: float
    ) -> str | None:
        """Return why *peer* is not let in from where it comes, or ``None``.

        *session* is the one that it resumes.  Operators are let in: else one who
        banned where he sits himself could not take it back.
        """
        order = self.orders.find_address(peer.address, now)
        if order is None or (session is not None and session.operator is not None):
            return None
        return _banned("your address", order, now)

    def ban_of_nick(self, key: str, now: float) -> str | None:
        """Return why nobody can have the nick with *key* now, or ``None``."""
        order = self.orders.find(Kind.NICK, key, now)
        return None if order is None else _banned("that nick", order, now)

    def is_against(self, key: str, now: float) -> bool:
        """Tell whether an order stands against the nick with *key* now."""
        kinds = Kind.NICK, Kind.MUTE
        return any(self.orders.find(kind, key, now) is not None for kind in kinds)

    def lock(self, now: float) -> str | None:
        """Return why nobody new is let in, or ``None``."""
        order = self.orders.find(Kind.LOCK, "", now)
        if order is None:
            return None
        return f"{order.by} has locked the room: nobody new is let in; try again later"

    def meet(self, session: Session, now: float) -> None:
        """See whether the nick that *session* has now has to be silent.

        Of two mutes the one that lasts longer goes along with it.
        """
        order = self.orders.find(Kind.MUTE, session.key, now)
        held = session.mute and self.orders.find(Kind.MUTE, session.mute, now)
        if order is not None and (not held or held.ends < order.ends):
            session.mute = session.key
            self._chat.sessions.touch(session)

    def mute(self, session: Session, now: float) -> str | None:
        """Return why *session* cannot say anything now, or ``None``."""
        if session.mute is None:
            return None
        self.meet(session, now)
        order = self.orders.find(Kind.MUTE, session.mute, now)
        if order is None:
            session.mute = None
            self._chat.sessions.touch(session)
            return None
        return _muted(order, now)

    def topic(self, room: str, now: float) -> str | None:
        """Return the topic of *room*, if it has one."""
        order = self.orders.find(Kind.TOPIC, room, now)
        return None if order is None else order.text

    def room_is_over(self, room: Room) -> None:
        """Forget what was ordered for *room*, which is no more."""
        if room.topic is not None:
            self.orders.lift(Kind.TOPIC, room.name)

    # -- who is an operator ---------------------------------------------------

    def restore(self, orders: Iterable[Order], now: float) -> None:
        """Take up what was kept of *orders*."""
        self.orders.restore(orders, now)

    def appoint(self, operators: Operators, now: float) -> None:
        """From now on *operators* are it, and nobody else.

        Nobody keeps what a key has given him that is none any more, and nobody sits
        on the nick of an operator without having shown a key of that nick.
        """
        chat = self._chat
        self.operators = operators
        for session in chat.sessions:
            if session.operator is None or operators.nick_of(session.operator):
                continue
            session.operator = None
            chat.sessions.touch(session)
            if session.peer is not None:
                text = "your operator's key is not valid any more"
                chat.tell(session.peer, messages.Error("not-allowed", text))
        for session in list(chat.nicks.values()):
            if not operators.may_have(session.key, session.operator):
                chat.rename(session, *chat.admission.guest_nick(now), now)

    def is_guess(self, peer: Peer, request: Op) -> bool:
        """Tell whether *request* shows a key that is to be judged."""
        judged = request.do == "login" and len(self.operators) > 0
        return judged and (peer.secure or peer.local)

    def is_right(self, request: Op) -> bool:
        """Tell whether *request* shows a key of an operator."""
        return self.operators.nick_of(digest(request.key)) is not None

    # -- what they do ---------------------------------------------------------

    def receive(
        self, peer: Peer, session: Session, request: Op, now: float, wall: int
    ) -> None:
        """Carry out *request* of *session*, and answer it.

        *wall* is milliseconds since the epoch.
        """
        do, chat = request.do, self._chat
        try:
            if do == "login":
                done = self._login(peer, session, request)
            elif session.operator is None:
                raise Refused("not-allowed", "that is for operators (/op)")
            elif request.wrong:
                raise Refused("malformed", request.wrong)
            elif do == "bans":
                self._list_bans(peer, request, now)
                return
            else:
                done = self._commands[do](session, request, now, wall)
        except Refused as refused:
            chat.tell(peer, messages.Error(refused.code, refused.text))
        else:
            chat.tell(peer, messages.Done(do, done))

    def _login(self, peer: Peer, session: Session, request: Op) -> str:
        if not (peer.secure or peer.local):
            raise Refused(
                "not-allowed",
                "an operator's key is taken from another machine over TLS only "
                "(chat-client --tls)",
            )
        shown = digest(request.key)
        nick = self.operators.nick_of(shown)
        if nick is None:
            raise Refused("not-allowed", "that is no operator's key")
        # Another's key is no reason to lose the nick that one's own has given.
        if self.operators.may_have(session.key, shown):
            session.operator = shown
            self._chat.sessions.touch(session)
        self._record(session, "login", nick)
        return f"you are an operator, by the key of {nick}"

    def _kick(self, session: Session, request: Op, now: float, wall: int) -> str:
        reason = _reason(request)
        other, _ = self._other(session, request.nick)
        if other is None or other.peer is None:
            raise Refused("no-such-nick", f"there is no {request.nick} here")
        nick, peer = other.nick, other.peer
        self._record(session, "kick", nick, reason)
        text = (
            f"{session.nick}, an operator, has disconnected you{_because(reason)}. "
            "You can come back; whoever goes on is banned."
        )
        self._chat.kick(peer, "operator", text, now)
        return f"{nick} is disconnected; that was from {peer.address}"

    def _ban(self, session: Session, request: Op, now: float, wall: int) -> str:
        if request.address is not None:
            return self._ban_address(session, request, now, wall)
        other, key = self._other(session, request.nick)
        nick = other.nick if other is not None else to_nfc(request.nick or "")
        order = self._order(Kind.NICK, key, nick, session, request, now, wall)
        peer = other.peer if other is not None else None
        if peer is not None:
            text = _banned("your nick", order, now)
            self._chat.kick(peer, "banned", text, now)
            # What he may have to ban too, as another nick is easily found.
            here = f"disconnected; that was from {peer.address}"
        else:
            here = "nobody of that nick is here"
        return f"{nick} is banned {order.lasts(now)}; {here}"

    def _ban_address(self, session: Session, request: Op, now: float, wall: int) -> str:
        network = self._network(request)
        order = self._order(Kind.ADDRESS, network, network, session, request, now, wall)
        spared, gone = False, 0
        for other in list(self._chat.nicks.values()):
            peer = other.peer
            if peer is None or not is_within(peer.address, network):
                continue
            if other.operator is not None:
                spared |= other is session
                continue
            gone += 1
            self._chat.kick(peer, "banned", _banned("your address", order, now), now)
        note = "; you are there too, and stay as an operator" if spared else ""
        return f"{network} is banned {order.lasts(now)}; {gone} disconnected{note}"

    def _unban(self, session: Session, request: Op, now: float, wall: int) -> str:
        if request.address is not None:
            kind, target = Kind.ADDRESS, self._network(request)
            shown = target
        else:
            kind, (target, shown) = Kind.NICK, _nick_of(request.nick)
        order = self.orders.find(kind, target, now)
        if order is None:
            return f"{shown} was not banned"
        self.orders.lift(kind, target)
        self._record(session, "unban", order.shown)
        return f"{order.shown} is banned no longer"

    def _list_bans(self, peer: Peer, request: Op, now: float) -> None:
        after = request.after or ""
        start = network_of(after) or lookup_key(after) or after
        found = [
            messages.Ban(
                order.shown if order.kind is Kind.NICK else None,
                order.shown if order.kind is Kind.ADDRESS else None,
                order.until,
                order.by,
                order.text,
            )
            for order in self.orders.bans(now)
            if order.target > start
        ]
        self._chat.tell(peer, messages.Bans(found))

    def _mute(self, session: Session, request: Op, now: float, wall: int) -> str:
        other, key = self._other(session, request.nick)
        nick = other.nick if other is not None else to_nfc(request.nick or "")
        order = self._order(Kind.MUTE, key, nick, session, request, now, wall)
        if other is None or other.peer is None:
            return f"{nick} is mute {order.lasts(now)}; nobody of that nick is here"
        other.mute = key
        self._chat.sessions.touch(other)
        self._chat.tell(other.peer, messages.Error("muted", _muted(order, now)))
        return f"{nick} is mute {order.lasts(now)}"

    def _unmute(self, session: Session, request: Op, now: float, wall: int) -> str:
        key, nick = _nick_of(request.nick)
        other = self._chat.find(key)
        targets = {key} | ({other.mute} if other is not None and other.mute else set())
        found = [t for t in targets if self.orders.find(Kind.MUTE, t, now)]
        if not found:
            return f"{nick} was not mute"
        for target in found:
            self.orders.lift(Kind.MUTE, target)
        self._record(session, "unmute", nick)
        return f"{nick} is mute no longer"

    def _pardon(self, session: Session, request: Op, now: float, wall: int) -> str:
        key, nick = _nick_of(request.nick)
        other = self._chat.find(key)
        if other is None:
            raise Refused("no-such-nick", f"there is no {nick} with any strikes")
        count = len(other.strikes.times)
        self._chat.rules.moderator.pardon(other.strikes)
        self._chat.sessions.touch(other)
        self._record(session, "pardon", other.nick)
        return f"{other.nick} has no strikes any more; there were {count}"

    def _topic(self, session: Session, request: Op, now: float, wall: int) -> str:
        room, text = session.room, _checked("a topic", request.topic)
        assert room is not None
        if text:
            self._order(Kind.TOPIC, room.name, room.name, session, request, now, wall)
        else:
            self.orders.lift(Kind.TOPIC, room.name)
            self._record(session, "topic", room.name)
        room.topic = text or None
        topic = messages.Topic(room.name, text, session.nick)
        self._chat.effects.append(News(room, topic))
        return f"{room.name} has {'a new' if text else 'no'} topic"

    def _lock(self, session: Session, request: Op, now: float, wall: int) -> str:
        self._order(Kind.LOCK, "", "", session, request, now, wall)
        return (
            "nobody new is let in from now on; who is here can come back within an "
            "hour of losing the connection, operators too"
        )

    def _unlock(self, session: Session, request: Op, now: float, wall: int) -> str:
        if self.orders.lift(Kind.LOCK, "") is None:
            return "it was not locked"
        self._record(session, "unlock")
        return "whoever comes is let in again"

    # -- what that needs ------------------------------------------------------

    def _other(self, session: Session, nick: str | None) -> tuple[Session | None, str]:
        """Return who is called *nick*, if anybody, and its key; not oneself."""
        key, _ = _nick_of(nick)
        other = self._chat.nicks.get(key)
        if other is session:
            raise Refused("not-allowed", "that is you")
        return other, key

    def _network(self, request: Op) -> str:
        network = network_of(request.address or "")
        if network is None:
            raise Refused("malformed", "that is no address, and no network")
        return network

    def _order(
        self,
        kind: Kind,
        target: str,
        shown: str,
        session: Session,
        request: Op,
        now: float,
        wall: int,
    ) -> Order:
        """Put an order of *session* in force, and write it down."""
        if self.orders.is_full(now) and not self.orders.find(kind, target, now):
            text = f"there are {MAX_ORDERS} orders; lift some first"
            raise Refused("full", text)
        seconds = request.seconds
        order = Order(
            kind,
            target,
            shown,
            session.nick,
            request.topic if kind is Kind.TOPIC else _reason(request),
            now + seconds if seconds else inf,
            until(wall, seconds),
        )
        self.orders.give(order)
        self._record(session, request.do, shown or None, order.text, order.until)
        return order

    def _record(
        self,
        session: Session,
        do: str,
        target: str | None = None,
        reason: str = "",
        until: int | None = None,
    ) -> None:
        peer = session.peer
        assert peer is not None
        done = Record(peer, session.nick, do, target, reason, until)
        self._chat.effects.append(done)


def _nick_of(nick: str | None) -> tuple[str, str]:
    """Return the key of *nick* and its form to be shown."""
    shown = to_nfc(nick or "")
    if wrong := nick_error(shown):
        raise Refused("nick-invalid", wrong)
    return nick_key(shown), shown


def _reason(request: Op) -> str:
    return _checked("a reason", request.reason)


def _checked(what: str, text: str) -> str:
    if text and (wrong := remark_error(what, text)):
        raise Refused(*wrong)
    return text


def _banned(what: str, order: Order, now: float) -> str:
    after = (
        "whoever runs the room can lift it"
        if order.ends == inf
        else "come back when that is over, or ask whoever runs the room"
    )
    because = _because(order.text)
    return f"{order.by} has banned {what} {order.lasts(now)}{because}; {after}"


def _muted(order: Order, now: float) -> str:
    return (
        f"{order.by} has muted you {order.lasts(now)}{_because(order.text)}; what you "
        "say reaches nobody, but you can read on, and ask whoever runs the room"
    )


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
