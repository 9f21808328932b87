"""The chat: who is here, and what follows from what they ask.

``Chat`` is the whole state of the server's rooms.  It takes requests and appends to
``effects``, an ordered list (``effects.py``) that the server carries out at the end
of the tick.  It is *decide* of "decide, keep, show": nobody has seen yet what it
decides, and it assumes neither that keeping is immediate nor that it succeeds.
Must not know: sockets, frames, clocks, files, where a token or a number comes from.

Order of calls for one peer: (receive | kick | refuse)* then ``lost`` once.  Once
``peer.gone`` is set nothing that the peer sends has any effect, whatever is called.
Times: *now* is seconds of a clock that never goes back; *wall* is milliseconds since
the epoch and is only shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chatroom.core import messages, requests
from chatroom.core.admission import VERSION, Admission, TryAgain
from chatroom.core.effects import Close, Effect, Enter, Exit, News, Post, Read, Tell
from chatroom.core.log import RoomLog
from chatroom.core.messages import Message, Refused
from chatroom.core.moderation import LEAVE_COMMAND, Action, Moderator, capitals
from chatroom.core.oversight import Oversight
from chatroom.core.requests import Say
from chatroom.core.rooms import COUNT_INTERVAL, Room, after
from chatroom.core.sessions import Peer, Session, Sessions, digest
from chatroom.core.text import (
    DEFAULT_ROOM,
    MAX_NICK,
    MAX_TEXT,
    lookup_key,
    room_error,
    text_error,
    to_nfc,
)

if TYPE_CHECKING:
    from chatroom.core.orders import Order

MAX_TRIES = 5
"""How often a refused hello leaves the connection open for another."""
SESSION_ENDS = frozenset(("shouting", "leave", "operator", "banned"))
"""The reasons of a kick that end the session too (protocol.md, section 4)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that the rules need.  0 is no limit."""

    server: str = "chatroom"
    max_frame: int = 65536
    max_clients: int = 10_000
    max_clients_per_ip: int = 256
    max_rooms: int = 1000
    presence_limit: int = 500
    password: bytes | None = None
    """The digest of what everybody has to show who comes in; ``None``: nothing."""
    moderator: Moderator = field(default_factory=Moderator)

    def limits(self) -> dict[str, int]:
        """Return what ``welcome`` tells of them."""
        return {
            "frame": self.max_frame,
            "text": MAX_TEXT,
            "nick": MAX_NICK,
            "strikes": self.moderator.limit,
            "shout_letters": self.moderator.min_letters,
        }


_DELIVER = Action.DELIVER  # Looked up once: see moderation.py.


class Chat:
    """Rooms, members, nicks and sessions, and the rules over them.

    *make_token* gives a new secret at each call; *open_log* the log of a room by its
    name, with its last number where it has been there before.
    """

    def __init__(
        self,
        rules: Rules,
        make_token: Callable[[], str],
        open_log: Callable[[str], RoomLog[Any]],
    ) -> None:
        self.rules = rules
        self.effects: list[Effect] = []
        self.rooms: dict[str, Room] = {}
        self.nicks: dict[str, Session] = {}
        """Who is connected, by the key of the nick."""
        self.sessions = Sessions()
        self.oversight = Oversight(self)
        self.admission = Admission(self)
        self._make_token = make_token
        self._open_log = open_log
        self._members_at: dict[str, int] = {}
        self._counting: dict[Room, None] = {}
        self._handlers: dict[type, Callable[[Peer, Session, Any, float], None]] = {
            requests.Nick: self._nick,
            requests.Join: self._join,
            requests.Who: self._who,
            requests.ListRooms: self._list_rooms,
            requests.GetHistory: self._history,
            requests.Leave: self._leave,
            requests.Ping: self._ping,
            requests.Pong: self._pong,
            requests.Hello: self._hello_again,
            requests.Invalid: self._invalid,
        }

    # -- what a peer asks -----------------------------------------------------

    def receive(
        self, peer: Peer, request: requests.Request, now: float, wall: int
    ) -> None:
        """Decide what follows from *request*, which *peer* sent."""
        if peer.gone:
            return
        session = peer.session
        if session is None:
            self._first(peer, request, now)
        elif type(request) is Say:
            self._say(peer, session, request, now, wall)
        elif type(request) is requests.Whisper:
            self._whisper(peer, session, request, now, wall)
        elif type(request) is requests.Op:
            self.oversight.receive(peer, session, request, now, wall)
        else:
            self._handlers[type(request)](peer, session, request, now)

    def lost(self, peer: Peer, now: float) -> None:
        """The connection of *peer* has ended without a kick."""
        if not peer.gone:
            self._end(peer, "lost", now)

    def kick(self, peer: Peer, reason: str, text: str, now: float) -> None:
        """Disconnect *peer*; *text* tells the person why, *reason* the program."""
        if not peer.gone:
            self.tell(peer, messages.Kick(reason, text))
            self._end(peer, reason, now)
            self.effects.append(Close(peer))

    def dismiss_all(self, reason: str, text: str, now: float) -> None:
        """Disconnect everybody at once; nobody is told of the others.

        Each told of each that goes before him would be N * N frames.
        """
        for session in list(self.nicks.values()):
            peer, room = session.peer, session.room
            assert peer is not None and room is not None
            self.tell(peer, messages.Kick(reason, text))
            self._leave_seat(peer, reason)
            self.effects.append(Close(peer))
            room.remove(session)
            session.peer = session.room = None
            self.sessions.end(session, now)
        self.nicks.clear()

    def refuse(self, peer: Peer, code: str, text: str, now: float) -> None:
        """Disconnect *peer* with an error, its last frame."""
        if not peer.gone:
            self.tell(peer, messages.Error(code, text))
            self._end(peer, "lost", now)
            self.effects.append(Close(peer))

    def not_kept(self, room: Room) -> None:
        """A message to *room* could not be kept; without any it may be over."""
        if room.log.last_id == 0:
            room.lasting = False
            self._drop_if_over(room)

    def set_rules(self, rules: Rules, now: float) -> None:
        """Go by *rules* from now on; who is here stays, whatever they say."""
        self.rules = rules
        for room in self.rooms.values():
            if room.limit_presence(rules.presence_limit):
                self._tell_count(room, now)

    # -- what time does -------------------------------------------------------

    def next_count(self) -> float | None:
        """Return when ``announce`` has something to tell (seconds), or ``None``."""
        if not self._counting:
            return None
        return min(room.counted_at for room in self._counting) + COUNT_INTERVAL

    def announce(self, now: float) -> None:
        """Tell large rooms their size where that is due at *now* (seconds)."""
        for room in list(self._counting):
            if now >= room.counted_at + COUNT_INTERVAL:
                self._tell_count(room, now)

    # -- before the welcome ---------------------------------------------------

    def is_guess(self, peer: Peer, request: requests.Request) -> bool:
        """Tell whether *request* shows a password or a key that is to be judged."""
        if isinstance(request, requests.Op):
            return peer.session is not None and self.oversight.is_guess(peer, request)
        return (
            peer.session is None
            and type(request) is requests.Hello
            and self.admission.is_guess(peer, request)
        )

    def is_right(self, request: requests.Hello | requests.Op) -> bool:
        """Tell whether *request* shows what it has to; it takes as long either way."""
        if isinstance(request, requests.Op):
            return self.oversight.is_right(request)
        return self.admission.is_right(request)

    def _first(self, peer: Peer, request: requests.Request, now: float) -> None:
        if type(request) is requests.Hello:
            self._hello(peer, request, now)
            return
        if type(request) is requests.Invalid and request.type in (None, "hello"):
            self.refuse(peer, request.code, request.text, now)
            return
        self.refuse(peer, "hello-expected", "the first frame has to be a hello", now)

    def _hello(self, peer: Peer, hello: requests.Hello, now: float) -> None:
        try:
            session, nick, key = self.admission.judge(peer, hello, now)
        except TryAgain as refused:
            self._try_again(peer, refused, now)
            return
        except Refused as refused:
            self.refuse(peer, refused.code, refused.text, now)
            return
        if session is None:
            token = self._make_token()
            session = Session(digest(token), nick, key, secure=peer.secure)
            self.sessions.add(session)
        else:
            assert hello.session is not None
            token = hello.session
            self.rules.moderator.forget(session.strikes, now)
        self._take_seat(peer, session, hello.room, nick, key, token, now)

    def _take_seat(
        self,
        peer: Peer,
        session: Session,
        name: str,
        nick: str,
        key: str,
        token: str,
        now: float,
    ) -> None:
        """Seat *peer* in the room *name*, in the place of who held the session."""
        old, stays = session.peer, False
        if old is not None:
            stays = session.room is not None and session.room.name == name
            text = "this session goes on in another connection"
            self.tell(old, messages.Kick("replaced", text))
            if stays:
                self._leave_seat(old, "replaced")
            else:
                self._end(old, "replaced", now)
            self.effects.append(Close(old))
        self.sessions.resume(session)
        session.nick, session.key = nick, key
        self.oversight.meet(session, now)
        session.peer, peer.session = peer, session
        self.nicks[key] = session
        self._members_at[peer.address] = self._members_at.get(peer.address, 0) + 1
        welcome = messages.Welcome(
            VERSION,
            self.rules.server,
            nick,
            token,
            len(session.strikes.times),
            session.last_ref,
            self.rules.limits(),
        )
        self.tell(peer, welcome)
        if stays:
            assert session.room is not None
            room = session.room
            self.effects.append(Enter(peer, room, len(room.members), room.topic))
        else:
            self._enter(peer, session, name, now)

    def _try_again(self, peer: Peer, refused: TryAgain, now: float) -> None:
        peer.tries += 1
        if peer.tries > MAX_TRIES:
            self.refuse(peer, refused.code, f"{refused.text}; too many tries", now)
        else:
            self.tell(peer, messages.Error(refused.code, refused.text))

    def here_from(self, address: str) -> int:
        """Return how many are here from *address*."""
        return self._members_at.get(address, 0)

    def find(self, key: str) -> Session | None:
        """Return who has the nick with *key*, or had it last and may come back."""
        return self.nicks.get(key) or self.sessions.latest(key)

    # -- members --------------------------------------------------------------

    def _say(
        self, peer: Peer, session: Session, say: Say, now: float, wall: int
    ) -> None:
        if say.ref is not None:
            session.last_ref = say.ref
            self.sessions.touch(session)
        text = say.text
        if wrong := text_error(text):
            self.tell(peer, messages.Error(wrong[0], wrong[1], say.ref))
            return
        # Not even capitals can be heard of who is mute; but he can leave.
        if (
            session.mute is not None
            and text.strip() != LEAVE_COMMAND
            and (muted := self.oversight.mute(session, now))
        ):
            self.tell(peer, messages.Error("muted", muted, say.ref))
            return
        action = self.rules.moderator.judge(session.strikes, text, now)
        if action is _DELIVER:
            room = session.room
            assert room is not None
            room.lasting = True
            message = Message(0, room.name, session.nick, text, wall, say.ref)
            self.effects.append(Post(room, peer, message))
        else:
            self._punish(peer, session, action, text, say.ref, now)

    def _whisper(
        self,
        peer: Peer,
        session: Session,
        whisper: requests.Whisper,
        now: float,
        wall: int,
    ) -> None:
        if whisper.ref is not None:
            session.last_ref = whisper.ref
            self.sessions.touch(session)
        text = whisper.text
        if wrong := text_error(text):
            self.tell(peer, messages.Error(wrong[0], wrong[1], whisper.ref))
            return
        if session.mute is not None and (muted := self.oversight.mute(session, now)):
            self.tell(peer, messages.Error("muted", muted, whisper.ref))
            return
        judge = self.rules.moderator.judge
        action = judge(session.strikes, text, now, may_leave=False)
        if action is not _DELIVER:
            self._punish(peer, session, action, text, whisper.ref, now)
            return
        key = lookup_key(whisper.to)
        other = self.nicks.get(key) if key is not None else None
        if other is None or other.peer is None:
            why = "there is nobody of that name"
            self.tell(peer, messages.Error("no-such-nick", why, whisper.ref))
            return
        message = messages.Whispered(session.nick, other.nick, text, wall, whisper.ref)
        self.tell(peer, message)
        if other is not session:
            self.tell(other.peer, message)

    def _punish(
        self,
        peer: Peer,
        session: Session,
        action: Action,
        text: str,
        ref: str | None,
        now: float,
    ) -> None:
        """Carry out what the strike machine decided, other than to deliver."""
        self.sessions.touch(session)
        moderator = self.rules.moderator
        strikes = len(session.strikes.times)
        # He may have got his strikes while more were allowed.
        limit = max(strikes, moderator.limit)
        if action is Action.LEAVE:
            self.kick(peer, "leave", "you left; good-bye", now)
            return
        count = capitals(text)
        said = (
            f"All capitals ({count} of {count} letter{'s' if count != 1 else ''}): "
            f"{moderator.rule()}. Strike {strikes} of {limit}: "
        )
        if action is Action.KICK:
            self.kick(peer, "shouting", said + "you are disconnected.", now)
        elif action is Action.WARN:
            left = limit - strikes
            said += (
                "the next one disconnects you."
                if left == 1
                else f"{left} more and you are disconnected."
            )
            warned = messages.Warned("shouting", strikes, limit, said, ref)
            self.tell(peer, warned)

    def _nick(
        self, peer: Peer, session: Session, request: requests.Nick, now: float
    ) -> None:
        if to_nfc(request.nick) == session.nick:
            return
        try:
            nick, key = self.admission.check_nick(request.nick, session)
            if banned := self.oversight.ban_of_nick(key, now):
                raise Refused("banned", banned)
        except Refused as refused:
            self.tell(peer, messages.Error(refused.code, refused.text))
            return
        self.rename(session, nick, key, now)

    def rename(self, session: Session, nick: str, key: str, now: float) -> None:
        """Call *session*, which is connected, by *nick* and *key* from now on."""
        room, peer, old = session.room, session.peer, session.nick
        assert room is not None and peer is not None
        del self.nicks[session.key]
        room.rename(session, nick, key)
        self.nicks[key] = session
        self.oversight.meet(session, now)
        self.sessions.touch(session)
        renamed = messages.Renamed(room.name, old, nick)
        if room.large:
            self.tell(peer, renamed)
        self._presence(room, renamed, now)

    def _join(
        self, peer: Peer, session: Session, request: requests.Join, now: float
    ) -> None:
        room = session.room
        assert room is not None
        if why := room_error(request.room):
            self.tell(peer, messages.Error("room-invalid", why))
        elif request.room == room.name:
            self.effects.append(Enter(peer, room, len(room.members), room.topic))
        elif not self.has_place_for(request.room, room):
            text = "there are too many rooms; join one that is there"
            self.tell(peer, messages.Error("full", text))
        else:
            self.effects.append(Exit(peer, "moved"))
            self._leave_room(session, "moved", now)
            self._enter(peer, session, request.room, now)

    def _who(
        self, peer: Peer, session: Session, request: requests.Who, now: float
    ) -> None:
        room = session.room
        assert room is not None
        start = lookup_key(request.after or "")
        if start is None:
            why = "that is too long for a nick"
            self.tell(peer, messages.Error("nick-invalid", why))
        else:
            self.tell(peer, messages.Members(room.name, room.nicks_after(start)))

    def _list_rooms(
        self, peer: Peer, session: Session, request: requests.ListRooms, now: float
    ) -> None:
        names = sorted(name for name, room in self.rooms.items() if room.members)
        listed = after(names, request.after or "")
        sizes = [(name, len(self.rooms[name].members)) for name in listed]
        self.tell(peer, messages.RoomList(sizes))

    def _history(
        self, peer: Peer, session: Session, request: requests.GetHistory, now: float
    ) -> None:
        assert session.room is not None
        self.effects.append(Read(peer, session.room, request))

    def _leave(
        self, peer: Peer, session: Session, request: requests.Leave, now: float
    ) -> None:
        self._punish(peer, session, Action.LEAVE, "", None, now)

    def _ping(
        self, peer: Peer, session: Session, request: requests.Ping, now: float
    ) -> None:
        self.tell(peer, messages.Pong(request.data))

    def _pong(
        self, peer: Peer, session: Session, request: requests.Pong, now: float
    ) -> None:
        """Nothing follows from a pong: that it came is all it says."""

    def _hello_again(
        self, peer: Peer, session: Session, request: requests.Hello, now: float
    ) -> None:
        text = f"you are here already, as {session.nick}"
        self.tell(peer, messages.Error("already-joined", text))

    def _invalid(
        self, peer: Peer, session: Session, request: requests.Invalid, now: float
    ) -> None:
        if request.code == "bad-frame":
            self.refuse(peer, request.code, request.text, now)
        else:
            error = messages.Error(request.code, request.text, request.ref)
            self.tell(peer, error)

    # -- what was kept before the start ---------------------------------------

    def restore(
        self,
        rooms: Iterable[str],
        sessions: Iterable[Session],
        orders: Iterable[Order],
        now: float,
    ) -> None:
        """Take up what a store has kept: *rooms* with messages, ended *sessions*."""
        self.oversight.restore(orders, now)
        for name in rooms:
            self._open_room(name, now)
        for session in sessions:
            self.sessions.restore(session)

    # -- rooms ----------------------------------------------------------------

    def has_place_for(self, name: str, leaving: Room | None) -> bool:
        """Tell whether the room *name* is there or can be, once *leaving* is left."""
        if name in self.rooms or not self.rules.max_rooms:
            return True
        if name == DEFAULT_ROOM:
            # Who says something in room after room keeps nobody out of the chat.
            return True
        vacated = (
            leaving is not None and not leaving.lasting and len(leaving.members) == 1
        )
        return len(self.rooms) - vacated < self.rules.max_rooms

    def _enter(self, peer: Peer, session: Session, name: str, now: float) -> None:
        room = self.rooms.get(name) or self._open_room(name, now)
        room.add(session)
        session.room = room
        self._presence(room, messages.Joined(name, session.nick), now)
        self.effects.append(Enter(peer, room, len(room.members), room.topic))

    def _open_room(self, name: str, now: float) -> Room:
        room = Room(name, self._open_log(name), self.rules.presence_limit)
        room.topic = self.oversight.topic(name, now)
        self.rooms[name] = room
        return room

    def _leave_room(self, session: Session, reason: str, now: float) -> None:
        room = session.room
        assert room is not None
        shrunk = room.remove(session)
        session.room = None
        if shrunk:
            self._tell_count(room, now)
        else:
            left = messages.Left(room.name, session.nick, reason)
            self._presence(room, left, now)
        self._drop_if_over(room)

    def _drop_if_over(self, room: Room) -> None:
        if not room.members and not room.lasting:
            self.rooms.pop(room.name, None)
            self._counting.pop(room, None)
            self.oversight.room_is_over(room)

    def _presence(
        self,
        room: Room,
        news: messages.Joined | messages.Left | messages.Renamed,
        now: float,
    ) -> None:
        if not room.large:
            self.effects.append(News(room, news))
        elif now >= room.counted_at + COUNT_INTERVAL:
            self._tell_count(room, now)
        else:
            self._counting[room] = None

    def _tell_count(self, room: Room, now: float) -> None:
        room.counted_at = now
        self._counting.pop(room, None)
        self.effects.append(News(room, messages.Count(room.name, len(room.members))))

    # -- the ends -------------------------------------------------------------

    def _end(self, peer: Peer, reason: str, now: float) -> None:
        """Let *peer* go: from here on nothing that it sends has any effect."""
        session = peer.session
        self._leave_seat(peer, reason)
        if session is None:
            return
        self._leave_room(session, reason, now)
        del self.nicks[session.key]
        session.peer = None
        if reason in SESSION_ENDS:
            self.sessions.forget(session)
        else:
            self.sessions.end(session, now)

    def _leave_seat(self, peer: Peer, reason: str) -> None:
        """Mark *peer* as gone: it hears nothing more and counts no longer."""
        peer.gone = True
        if peer.session is not None:
            self.effects.append(Exit(peer, reason))
            here = self._members_at[peer.address] - 1
            if here:
                self._members_at[peer.address] = here
            else:
                del self._members_at[peer.address]

    def tell(self, peer: Peer, message: messages.Tellable) -> None:
        """Tell *peer* alone *message*, at this place among the effects."""
        self.effects.append(Tell(peer, message))
