"""A stage for the core: the effects of a chat carried out, one after the other.

It keeps what is posted in plain lists, hands everybody what they hear as short tuples
(``Line``), and holds the effects to what they promise: whoever is told something is
here, numbers follow on each other, nobody hears of their own coming and going, and
nothing comes behind a last word.  It shares no code with the server.
"""

from collections import defaultdict
from collections.abc import Sized

from chatroom.core import messages, requests
from chatroom.core.chat import Chat, Rules
from chatroom.core.effects import (
    Close,
    Effect,
    Enter,
    Exit,
    News,
    Post,
    Read,
    Record,
    Tell,
)
from chatroom.core.log import RoomLog
from chatroom.core.rooms import Room
from chatroom.core.sessions import Peer

Line = tuple[object, ...]
START = 1000.0
WALL = 1_700_000_000_000


def line(message: messages.Tellable) -> Line:
    """Say *message* in short: its type and what a program would look at."""
    match message:
        case messages.Welcome(nick=nick, strikes=strikes, last_ref=ref):
            return "welcome", nick, strikes, ref
        case messages.Message(id=number, room=room, sender=sender, text=text, ref=ref):
            return "message", room, number, sender, text, ref
        case messages.Whispered(sender=sender, to=to, text=text, ref=ref):
            return "whisper", sender, to, text, ref
        case messages.Joined(room=room, nick=nick):
            return "joined", room, nick
        case messages.Left(room=room, nick=nick, reason=reason):
            return "left", room, nick, reason
        case messages.Renamed(room=room, old=old, new=new):
            return "renamed", room, old, new
        case messages.Count(room=room, count=count):
            return "count", room, count
        case messages.Members(room=room, members=members):
            return "members", room, tuple(members)
        case messages.RoomList(rooms=rooms):
            return "rooms", tuple(rooms)
        case messages.Warned(reason=reason, strikes=strikes, limit=limit, ref=ref):
            return "warning", reason, strikes, limit, ref
        case messages.Kick(reason=reason):
            return "kick", reason
        case messages.Error(code=code, ref=ref):
            return "error", code, ref
        case messages.Topic(room=room, topic=topic, by=by):
            return "topic", room, topic, by
        case messages.Done(do=do):
            return "op", do
        case messages.Bans(bans=bans):
            return "bans", tuple((b.nick or b.address, b.until, b.by) for b in bans)
        case messages.Pong(data=data):
            return "pong", data
    raise AssertionError(f"nobody is told {message}")


class Stage:
    """A chat, its clock, and what everybody has heard."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.kept: dict[str, list[messages.Message]] = defaultdict(list)
        self.chat = Chat(rules or Rules(), self._make_token, self._open_log)
        self.now = START
        self.heard: dict[Peer, list[Line]] = {}
        self.tokens: dict[Peer, str] = {}
        self.told: dict[Peer, list[messages.Tellable]] = {}
        self.closed: set[Peer] = set()
        self.hears: dict[Peer, Room] = {}
        self.records: list[tuple[str, str | None]] = []
        """What operators did, and to whom."""
        self._position: dict[Peer, int] = {}
        self._own: dict[Peer, str] = {}
        self._last_word: set[Peer] = set()
        self._token_count = 0

    def _make_token(self) -> str:
        self._token_count += 1
        return f"token-{self._token_count}"

    def _open_log(self, name: str) -> RoomLog[Sized]:
        log: RoomLog[Sized] = RoomLog(last_id=len(self.kept[name]))
        return log

    # -- acting ---------------------------------------------------------------

    def connect(self, address: str = "192.0.2.1", *, secure: bool = False) -> Peer:
        """Open a connection that has said nothing yet."""
        peer = Peer(address, secure=secure)
        self.heard[peer], self.told[peer] = [], []
        return peer

    def decide(self, peer: Peer, request: requests.Request) -> None:
        """Let the chat decide; nobody sees it before the next ``flush``."""
        self.chat.receive(peer, request, self.now, WALL)

    def send(self, peer: Peer, request: requests.Request) -> list[Line]:
        """Send *request*; return what *peer* hears of it, and of what was before."""
        self.decide(peer, request)
        return self.take(peer)

    def hello(
        self,
        nick: str | None = None,
        room: str = "lobby",
        session: str | None = None,
        *,
        address: str = "192.0.2.1",
        secure: bool = False,
    ) -> tuple[Peer, list[Line]]:
        """Connect and say hello; return the connection and what it hears."""
        peer = self.connect(address, secure=secure)
        return peer, self.send(peer, requests.Hello(1, nick, room, None, session))

    def member(self, nick: str, room: str = "lobby", *, address: str = "") -> Peer:
        """Return somebody who is in *room*, and has heard all there was."""
        peer, lines = self.hello(nick, room, address=address or f"of {nick}")
        assert [said[0] for said in lines] == ["welcome", "room"], lines
        for other in self.heard:
            self.take(other)
        return peer

    def say(self, peer: Peer, text: str, ref: str | None = None) -> list[Line]:
        """Say *text*; return what *peer* hears."""
        return self.send(peer, requests.Say(text, ref))

    def wait(self, seconds: float) -> None:
        """Let time pass, and with it what is due on the way."""
        end = self.now + seconds
        while (due := self.chat.next_count()) is not None and due <= end:
            self.now = max(self.now, due)
            self.chat.announce(self.now)
            after = self.chat.next_count()
            assert after is None or after > due, "it is due and is not told"
        self.now = end

    def take(self, peer: Peer) -> list[Line]:
        """Return what *peer* has heard since the last time."""
        self.flush()
        lines, self.heard[peer] = self.heard[peer], []
        return lines

    def chat_token(self, peer: Peer) -> str:
        """Return the token that *peer* was given, whether it heard so or not."""
        for effect in self.chat.effects:
            match effect:
                case Tell(told, messages.Welcome(session=token)) if told is peer:
                    return token
        return self.tokens[peer]

    # -- carrying out ---------------------------------------------------------

    def flush(self) -> None:
        """Carry out what was decided, in its order."""
        effects = self.chat.effects[:]
        self.chat.effects.clear()
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Post(room, peer, message):
                assert self.hears.get(peer) is room, "one speaks where one is"
                assert (message.id, message.room, message.at) == (0, room.name, WALL)
                message.id = len(self.kept[room.name]) + 1
                self.kept[room.name].append(message)
                room.log.append(line(message))
                assert room.log.last_id == message.id
                self._tell_room(room, message)
            case News(room, news):
                self._tell_room(room, news)
            case Tell(peer, news):
                self._tell(peer, news)
            case Enter(peer, room, count, topic):
                self._check_here(peer)
                assert self.hears.get(peer, room) is room, "one is in one room"
                self.hears[peer] = room
                self._position[peer] = room.log.last_id
                known = "room", room.name, room.log.last_id, count
                self.heard[peer].append((*known, topic) if topic else known)
            case Exit(peer, _):
                self._check_here(peer, last_word=True)
                del self.hears[peer]
            case Read(peer, room, wanted):
                self._check_here(peer)
                assert self.hears.get(peer) is room
                first, page, more = room.log.page(
                    after=wanted.after, before=wanted.before, limit=wanted.limit
                )
                ids = tuple(range(first, first + len(page)))
                self.heard[peer].append(("history", room.name, ids, more))
            case Record(peer, do, target):
                assert peer.session is not None, "it has never been here"
                self.records.append((do, target))
            case Close(peer):
                self._check_here(peer, last_word=True)
                assert peer.gone
                assert peer not in self.hears, "it closes and still hears a room"
                self.closed.add(peer)

    def _check_here(self, peer: Peer, *, last_word: bool = False) -> None:
        assert peer in self.heard, "nobody knows this peer"
        assert peer not in self.closed, "its connection has been closed"
        assert last_word or peer not in self._last_word, "something behind a kick"

    def _tell_room(self, room: Room, message: messages.Tellable) -> None:
        for peer, heard in list(self.hears.items()):
            if heard is room:
                self._tell(peer, message)

    def _tell(self, peer: Peer, message: messages.Tellable) -> None:
        self._check_here(peer)
        match message:
            case messages.Welcome(nick=nick, session=token):
                self._own[peer], self.tokens[peer] = nick, token
            case messages.Renamed(old=old, new=new) if old == self._own[peer]:
                self._own[peer] = new
            case messages.Joined(nick=nick) | messages.Left(nick=nick):
                assert nick != self._own[peer], "one's own coming and going"
            case messages.Message(id=number):
                self._position[peer] += 1
                assert number == self._position[peer], "a gap or a repetition"
            case messages.Kick():
                self._last_word.add(peer)
        self.told[peer].append(message)
        self.heard[peer].append(line(message))
