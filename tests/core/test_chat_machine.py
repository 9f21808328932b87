"""Many clients at once against a model of the chat, written from the protocol.

The model knows rooms as lists and says for each client, line by line, what it hears;
``support/stage.py`` carries out what the chat decides, at any time later, and holds
the effects to what they promise.  Nicks, names and texts are small tables with what
follows from each of them written beside it.
"""

import re
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from chatroom.core import messages, requests
from chatroom.core.chat import Rules
from chatroom.core.moderation import Moderator
from chatroom.core.operators import Operators
from chatroom.core.orders import Kind
from chatroom.core.sessions import Peer, digest
from tests.support.stage import Line, Stage

NICKS = {
    "ann": ("ann", "ann"),
    "Ann": ("Ann", "ann"),
    "bob": ("bob", "bob"),
    "BOB": ("BOB", "bob"),
    "Zoë": ("Zoë", "zoë"),
    "zoe\u0308": ("zoë", "zoë"),
    "ﬁn": ("ﬁn", "fin"),
    "Fin": ("Fin", "fin"),
    "x-1": ("x-1", "x-1"),
    "eve": ("eve", "eve"),
    "mia": ("mia", "mia"),
    "guest-99": None,
    "-x": None,
    "a b": None,
    "": None,
}
"""What is asked for: the nick as it is shown and its key, or that it is no good."""

TEXTS = {
    "hello": "text",
    "Hi There": "text",
    "123": "text",
    "!leave now": "text",
    "OK": "shout",
    "ÄÖÜ!": "shout",
    "!LEAVE": "shout",
    "!leave": "leave",
    " !leave\n": "leave",
    "": "text-invalid",
    " \n ": "text-invalid",
    "A\u202e": "text-invalid",
    "A" * 4001: "text-too-long",
}
ROOMS = ["lobby", "tea", "a-1", "z"]
BAD_ROOMS = ["Tea", "", "-x"]
FALLS_BELOW = {4: 4, 10: 9}
"""Where a large room ceases to be one: at less than nine tenths of the limit."""
ENDS_SESSION = {"leave", "shouting", "operator", "banned"}

KEYS = {"key of eve": "eve", "second key of eve": "eve", "key of mia": "mia"}
"""Keys of operators, and the keys of their nicks."""
ADDRESSES = {
    "192.0.2.1": "4-1",
    "192.0.2.200": "4-2",
    "2001:db8::/64": "6",
    "203.0.113.1": "x",
}
"""Where clients come from, and in short."""
NETWORKS = {
    "192.0.2.1": ("192.0.2.1", {"4-1"}),
    "::ffff:192.0.2.1": ("192.0.2.1", {"4-1"}),
    "192.0.2.77/24": ("192.0.2.0/24", {"4-1", "4-2"}),
    "192.0.2.128/25": ("192.0.2.128/25", {"4-2"}),
    "2001:db8::5": ("2001:db8::/64", {"6"}),
    "2001:db8::/32": ("2001:db8::/32", {"6"}),
    "198.51.100.1": ("198.51.100.1", set[str]()),
    "nowhere": None,
}
"""What is banned: the network that it is, and who comes from there."""
TOPICS = {"tea time": None, "": None, " ": "text-invalid", "x" * 401: "text-too-long"}

nicks = st.sampled_from(list(NICKS))
texts = st.sampled_from(list(TEXTS)) | st.sampled_from(["hello", "Hi There", "OK"])
rooms = st.sampled_from(ROOMS + ["lobby"] * 8 + BAD_ROOMS)
refs = st.sampled_from([None, "r1", "r2", "r3"])
who = st.integers(0, 30)
FROM = ["192.0.2.1", "192.0.2.1", "192.0.2.200", "2001:db8::/64"]
lasting = st.sampled_from([0, 1, 60, 3600])


@dataclass(eq=False)
class Seat:
    """A session, as the model knows it."""

    token: str
    nick: str
    key: str
    secure: bool
    client: "Client | None" = None
    room: str = ""
    strikes: list[float] = field(default_factory=list)
    last_ref: str | None = None
    ended_at: float = 0.0
    shown: str | None = None
    mute: str | None = None


@dataclass(eq=False)
class Client:
    """A connection: what it should have heard since it was last asked."""

    peer: Peer
    address: str
    secure: bool
    seat: Seat | None = None
    gone: bool = False
    tries: int = 0
    hears: list[Line] = field(default_factory=list)


@dataclass(eq=False)
class Place:
    """A room: who is there and how many messages there were."""

    members: list[Seat] = field(default_factory=list)
    said: int = 0
    large: bool = False
    counted_at: float = -1e9
    pending: bool = False


class ChatMachine(RuleBasedStateMachine):
    """Everybody does everything, in any order."""

    @initialize(
        limit=st.sampled_from([2, 2, 3]),
        lapse=st.sampled_from([0.0, 60.0]),
        presence=st.sampled_from([0, 4]),
        most=st.sampled_from([(0, 0), (9, 0), (0, 6), (8, 5)]),
        max_rooms=st.sampled_from([0, 2, 3]),
    )
    def begin(
        self,
        limit: int,
        lapse: float,
        presence: int,
        most: tuple[int, int],
        max_rooms: int,
    ) -> None:
        self.limit, self.lapse, self.presence_limit = limit, lapse, presence
        self.max_clients, self.max_per_ip = most
        self.max_rooms = max_rooms
        rules = Rules(
            max_clients=self.max_clients,
            max_clients_per_ip=self.max_per_ip,
            max_rooms=max_rooms,
            presence_limit=presence,
            moderator=Moderator(limit=limit, lapse=lapse),
        )
        self.stage = Stage(rules)
        self.clients: list[Client] = []
        self.seats: dict[str, Seat] = {}
        self.tokens: list[str] = []
        self.places: dict[str, Place] = {}
        self.guests: set[str] = set()
        self.keys: dict[str, str] = {}
        self.orders: dict[tuple[str, str], float] = {}
        self.topics: dict[str, str] = {}
        self.shown_as: dict[str, str] = {}
        self.done: list[tuple[str, str | None]] = []
        self.appoint(list(KEYS))

    # -- the model ------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.stage.now

    def members(self) -> list[Client]:
        """List who has been welcomed and is still here."""
        return [c for c in self.clients if c.seat is not None and not c.gone]

    def strangers(self) -> list[Client]:
        """List who has not been welcomed yet."""
        return [c for c in self.clients if c.seat is None and not c.gone]

    def member(self, number: int) -> tuple[Client, Seat, Place]:
        """Choose a member."""
        client = (found := self.members())[number % len(found)]
        assert client.seat is not None
        return client, client.seat, self.places[client.seat.room]

    def holder(self, key: str) -> Seat | None:
        """Say who is connected under that key."""
        for client in self.members():
            if client.seat is not None and client.seat.key == key:
                return client.seat
        return None

    def tell(self, place: Place, line: Line) -> None:
        for seat in place.members:
            assert seat.client is not None
            seat.client.hears.append(line)

    def tell_count(self, name: str, place: Place, size: int) -> None:
        place.counted_at, place.pending = self.now, False
        self.tell(place, ("count", name, size))

    def tell_presence(self, place: Place, line: Line, size: int) -> None:
        """Tell who came, went or is called otherwise; *size* is that after it."""
        if not place.large:
            self.tell(place, line)
        elif self.now - place.counted_at >= 1:
            self.tell_count(str(line[1]), place, size)
        else:
            place.pending = True

    def enter(self, client: Client, seat: Seat, name: str) -> None:
        place = self.places.setdefault(name, Place())
        size = len(place.members) + 1
        if self.presence_limit and size > self.presence_limit:
            place.large = True
        self.tell_presence(place, ("joined", name, seat.nick), size)
        place.members.append(seat)
        seat.room = name
        self.show_room(client, name)

    def show_room(self, client: Client, name: str) -> None:
        place = self.places[name]
        line: Line = ("room", name, place.said, len(place.members))
        client.hears.append((*line, self.topics[name]) if name in self.topics else line)

    def leave_place(self, seat: Seat, reason: str) -> None:
        name, place = seat.room, self.places[seat.room]
        place.members.remove(seat)
        size = len(place.members)
        if place.large and size < FALLS_BELOW[self.presence_limit]:
            place.large = False
            self.tell_count(name, place, size)
        else:
            self.tell_presence(place, ("left", name, seat.nick, reason), size)
        if not place.members and not place.said:
            del self.places[name]
            self.topics.pop(name, None)

    def end(self, client: Client, reason: str) -> None:
        """Let *client* go, for whatever reason."""
        client.gone = True
        seat = client.seat
        if seat is None:
            return
        self.leave_place(seat, reason)
        seat.client, seat.ended_at = None, self.now
        if reason in ENDS_SESSION:
            del self.seats[seat.token]

    def kick(self, client: Client, reason: str) -> None:
        client.hears.append(("kick", reason))
        self.end(client, reason)

    def fail(self, client: Client, code: str) -> None:
        client.hears.append(("error", code, None))
        self.end(client, "lost")

    def retry(self, client: Client, code: str) -> None:
        client.tries += 1
        if client.tries > 5:
            self.fail(client, code)
        else:
            client.hears.append(("error", code, None))

    def nick_error(self, wanted: str, owner: Seat | None) -> str | None:
        """Say why *owner* cannot be called that."""
        good = NICKS[wanted]
        if good is None:
            return "nick-invalid"
        return None if self.may_have(good[1], owner) else "nick-taken"

    def may_have(self, key: str, owner: Seat | None) -> bool:
        """Say whether *owner* can have the nick with that key."""
        if key in self.keys.values():
            shown = owner.shown if owner else None
            if shown is None or self.keys[shown] != key:
                return False
        return self.holder(key) in (None, owner)

    def holds(self, kind: str, target: str) -> bool:
        """Say whether there is such an order now."""
        return self.now < self.orders.get((kind, target), 0.0)

    def is_banned(self, address: str) -> bool:
        """Say whether nobody is let in from there."""
        return any(
            self.holds("address", found[0]) and ADDRESSES[address] in found[1]
            for found in NETWORKS.values()
            if found
        )

    def is_mute(self, seat: Seat) -> bool:
        """Say whether nobody hears *seat*."""
        if seat.mute is not None and not self.holds("mute", seat.mute):
            seat.mute = None
        return seat.mute is not None

    def meet(self, seat: Seat) -> None:
        """See whether the nick that *seat* has now is a mute one."""
        if seat.mute is None and self.holds("mute", seat.key):
            seat.mute = seat.key

    def has_place_for(self, name: str, seat: Seat | None) -> bool:
        """Say whether a room of that name is there or can be."""
        if name in self.places or name == "lobby" or not self.max_rooms:
            return True
        there = len(self.places)
        if seat is not None and seat.client is not None:
            place = self.places[seat.room]
            there -= not place.said and place.members == [seat]
        return there < self.max_rooms

    def expect_hello(
        self, client: Client, version: int, wanted: str | None, room: str, token: str
    ) -> None:
        """Play a hello through, in the order of protocol.md, section 2."""
        seat = self.seats.get(token)
        away = seat is not None and seat.client is None
        if seat is not None and away and self.now - seat.ended_at > 3600:
            seat = None
        if seat is not None and seat.secure != client.secure:
            seat = None
        if self.is_banned(client.address) and (seat is None or seat.shown is None):
            return self.fail(client, "banned")
        if version != 1:
            return self.fail(client, "version")
        if seat is None and self.holds("lock", ""):
            return self.fail(client, "not-allowed")
        if seat is None or seat.client is None:
            here = self.members()
            near = [c for c in here if c.address == client.address]
            if self.max_clients and len(here) >= self.max_clients:
                return self.fail(client, "full")
            if self.max_per_ip and len(near) >= self.max_per_ip:
                return self.fail(client, "full")
        if room not in ROOMS:
            return self.retry(client, "room-invalid")
        if not self.has_place_for(room, seat):
            return self.fail(client, "full")
        if seat is not None and self.may_have(seat.key, seat):
            nick, key = seat.nick, seat.key
        elif wanted is not None:
            if code := self.nick_error(wanted, seat):
                return self.retry(client, code)
            nick, key = NICKS[wanted] or ("", "")
        elif seat is not None:
            return self.retry(client, "nick-taken")
        else:
            nick = key = self.guest_name()
        if self.holds("nick", key):
            return self.fail(client, "banned")
        if seat is None:
            token = self.stage.chat_token(client.peer)
            assert token not in self.tokens
            self.tokens.append(token)
            seat = self.seats[token] = Seat(token, nick, key, client.secure)
        self.take_seat(client, seat, nick, key, room)
        return None

    def guest_name(self) -> str:
        """Look up which name was given, and that it is a new one."""
        told = self.stage.chat.effects
        nick = [
            m.nick for e in told if isinstance(m := getattr(e, "message", 0), Welcome)
        ]
        assert re.fullmatch("guest-[1-9][0-9]*", nick[-1])
        assert nick[-1] not in self.guests
        self.guests.add(nick[-1])
        return nick[-1]

    def take_seat(
        self, client: Client, seat: Seat, nick: str, key: str, room: str
    ) -> None:
        old, silent = seat.client, False
        if old is not None:
            silent = seat.room == room
            old.hears.append(("kick", "replaced"))
            if silent:
                old.gone = True
            else:
                self.end(old, "replaced")
        seat.nick, seat.key, seat.client, client.seat = nick, key, client, seat
        self.meet(seat)
        self.lapse_strikes(seat)
        client.hears.append(("welcome", nick, len(seat.strikes), seat.last_ref))
        if silent:
            self.show_room(client, room)
        else:
            self.enter(client, seat, room)

    def lapse_strikes(self, seat: Seat) -> None:
        if self.lapse:
            seat.strikes = [t for t in seat.strikes if self.now < t + self.lapse]

    def judge(
        self, client: Client, seat: Seat, text: str, ref: str | None, leaves: bool
    ) -> bool:
        """Say whether *text* is delivered, and do what follows where it is not."""
        seat.last_ref = ref or seat.last_ref
        kind = TEXTS[text]
        muted = kind in ("text", "shout") or (kind == "leave" and not leaves)
        if muted and self.is_mute(seat):
            client.hears.append(("error", "muted", ref))
            return False
        if kind == "shout":
            self.lapse_strikes(seat)
            seat.strikes.append(self.now)
            count = len(seat.strikes)
            if count >= self.limit:
                self.kick(client, "shouting")
            else:
                warning = "warning", "shouting", count, self.limit, ref
                client.hears.append(warning)
        elif kind == "leave" and leaves:
            self.kick(client, "leave")
        elif kind in ("text", "leave"):
            return True
        else:
            client.hears.append(("error", kind, ref))
        return False

    # -- coming ---------------------------------------------------------------

    @precondition(lambda self: len(self.clients) < 60)
    @rule(
        address=st.sampled_from(FROM),
        secure=st.sampled_from([False] * 3 + [True]),
    )
    def connect(self, address: str, secure: bool) -> None:
        peer = self.stage.connect(address, secure=secure)
        self.clients.append(Client(peer, address, secure))

    def say_hello(
        self,
        client: Client,
        version: int,
        nick: str | None,
        room: str,
        token: str | None,
    ) -> None:
        hello = requests.Hello(version, nick, room, None, token)
        self.stage.decide(client.peer, hello)
        self.expect_hello(client, version, nick, room, token or "")

    @rule(
        address=st.sampled_from(FROM),
        nick=st.none() | nicks,
        room=st.sampled_from(["lobby"] * 4 + ROOMS),
        count=st.sampled_from([1, 1, 2, 4]),
    )
    def newcomers(self, address: str, nick: str | None, room: str, count: int) -> None:
        """Let some come in at once; all but the first are guests."""
        if len(self.clients) > 60:
            return
        for number in range(count):
            self.connect(address, False)
            self.say_hello(self.clients[-1], 1, None if number else nick, room, None)

    @precondition(lambda self: self.strangers())
    @rule(
        number=who,
        version=st.sampled_from([1] * 9 + [0, 2]),
        nick=st.none() | nicks,
        room=rooms,
        token=st.none() | st.just("unknown") | st.integers(0, 30),
    )
    def hello(
        self,
        number: int,
        version: int,
        nick: str | None,
        room: str,
        token: str | int | None,
    ) -> None:
        client = (found := self.strangers())[number % len(found)]
        if isinstance(token, int):
            token = self.tokens[token % len(self.tokens)] if self.tokens else None
        self.say_hello(client, version, nick, room, token)

    @precondition(lambda self: self.tokens)
    @rule(
        number=who,
        address=st.sampled_from(FROM),
        room=rooms,
        nick=st.none() | nicks,
    )
    def come_back(self, number: int, address: str, room: str, nick: str | None) -> None:
        """Take over or resume a session, over the kind of connection it began on."""
        token = self.tokens[number % len(self.tokens)]
        seat = self.seats.get(token)
        self.connect(address, seat is not None and seat.secure)
        self.say_hello(self.clients[-1], 1, nick, room, token)

    @precondition(lambda self: self.strangers())
    @rule(
        number=who,
        request=st.sampled_from(
            [
                requests.Say("hello"),
                requests.Ping(),
                requests.Invalid("malformed", "x"),
                requests.Invalid("malformed", "x", None, "hello"),
                requests.Invalid("malformed", "x", "r1", "say"),
                requests.Invalid("unknown-type", "x", None, "dance"),
                requests.Invalid("bad-frame", "x"),
            ]
        ),
    )
    def no_hello(self, number: int, request: requests.Request) -> None:
        client = (found := self.strangers())[number % len(found)]
        self.stage.decide(client.peer, request)
        code = "hello-expected"
        if isinstance(request, requests.Invalid) and request.type in (None, "hello"):
            code = request.code
        self.fail(client, code)

    # -- being there ----------------------------------------------------------

    @precondition(lambda self: self.members())
    @rule(number=who, text=texts, ref=refs)
    def say(self, number: int, text: str, ref: str | None) -> None:
        client, seat, place = self.member(number)
        self.stage.decide(client.peer, requests.Say(text, ref))
        if self.judge(client, seat, text, ref, leaves=True):
            place.said += 1
            self.tell(place, ("message", seat.room, place.said, seat.nick, text, ref))

    @precondition(lambda self: self.members())
    @rule(number=who, to=nicks | who, text=texts, ref=refs)
    def whisper(self, number: int, to: str | int, text: str, ref: str | None) -> None:
        client, seat, _ = self.member(number)
        if isinstance(to, int):
            other: Seat | None = self.member(to)[1]
            assert other is not None
            to = other.nick
        else:
            good = NICKS[to]
            other = self.holder(good[1]) if good else None
        self.stage.decide(client.peer, requests.Whisper(to, text, ref))
        if not self.judge(client, seat, text, ref, leaves=False):
            return
        if other is None or other.client is None:
            client.hears.append(("error", "no-such-nick", ref))
            return
        for end in {client, other.client}:
            end.hears.append(("whisper", seat.nick, other.nick, text, ref))

    @precondition(lambda self: self.members())
    @rule(number=who, wanted=nicks)
    def rename(self, number: int, wanted: str) -> None:
        client, seat, _ = self.member(number)
        self.stage.decide(client.peer, requests.Nick(wanted))
        good = NICKS[wanted]
        if good is not None and good[0] == seat.nick:
            return
        code = self.nick_error(wanted, seat)
        if code is None and good is not None and self.holds("nick", good[1]):
            code = "banned"
        if code:
            client.hears.append(("error", code, None))
            return
        self.call(seat, *(good or ("", "")))

    def call(self, seat: Seat, nick: str, key: str) -> None:
        place, renamed = self.places[seat.room], ("renamed", seat.room, seat.nick, nick)
        seat.nick, seat.key = nick, key
        self.meet(seat)
        if place.large:
            assert seat.client is not None
            seat.client.hears.append(renamed)
        self.tell_presence(place, renamed, len(place.members))

    @precondition(lambda self: self.members())
    @rule(number=who, name=rooms)
    def join(self, number: int, name: str) -> None:
        client, seat, _ = self.member(number)
        self.stage.decide(client.peer, requests.Join(name))
        if name not in ROOMS:
            client.hears.append(("error", "room-invalid", None))
        elif name == seat.room:
            self.show_room(client, name)
        elif not self.has_place_for(name, seat):
            client.hears.append(("error", "full", None))
        else:
            self.leave_place(seat, "moved")
            self.enter(client, seat, name)

    @precondition(lambda self: self.members())
    @rule(number=who, after=st.sampled_from([None, *(n for n in NICKS if NICKS[n])]))
    def ask_who(self, number: int, after: str | None) -> None:
        client, seat, place = self.member(number)
        self.stage.decide(client.peer, requests.Who(after))
        start = (NICKS[after] or ("", ""))[1] if after else ""
        here = sorted((s.key, s.nick) for s in place.members)
        shown = tuple(nick for key, nick in here if key > start)
        client.hears.append(("members", seat.room, shown))

    @precondition(lambda self: self.members())
    @rule(number=who, after=st.sampled_from([None, "", *ROOMS]))
    def ask_rooms(self, number: int, after: str | None) -> None:
        client, _, _ = self.member(number)
        self.stage.decide(client.peer, requests.ListRooms(after))
        sizes = [(name, len(place.members)) for name, place in self.places.items()]
        shown = tuple(sorted(s for s in sizes if s[1] and s[0] > (after or "")))
        client.hears.append(("rooms", shown))

    @precondition(lambda self: self.members())
    @rule(
        number=who,
        after=st.none() | st.integers(0, 12),
        before=st.none() | st.integers(0, 12),
        limit=st.integers(1, 5),
    )
    def ask_history(
        self, number: int, after: int | None, before: int | None, limit: int
    ) -> None:
        client, seat, place = self.member(number)
        if after is not None:
            before = None
        read = requests.GetHistory(after, before, limit)
        self.stage.decide(client.peer, read)
        ids = tuple(range(1, place.said + 1))
        if after is not None:
            ids = ids[after:]
            page, more = ids[:limit], len(ids) > limit
        else:
            ids = ids if before is None else ids[: max(0, before - 1)]
            page, more = ids[-limit:], len(ids) > limit
        client.hears.append(("history", seat.room, page, more))

    @precondition(lambda self: self.members())
    @rule(
        number=who,
        asked=st.sampled_from(
            [
                (requests.Ping("d"), ("pong", "d")),
                (requests.Ping(), ("pong", None)),
                (requests.Pong("d"), None),
                (requests.Hello(1, "new"), ("error", "already-joined", None)),
                (requests.Hello(2, "new"), ("error", "already-joined", None)),
                (
                    requests.Invalid("malformed", "x", "r1", "say"),
                    ("error", "malformed", "r1"),
                ),
                (
                    requests.Invalid("unknown-type", "x", None, "dance"),
                    ("error", "unknown-type", None),
                ),
            ]
        ),
    )
    def ask_else(
        self, number: int, asked: tuple[requests.Request, Line | None]
    ) -> None:
        client, _, _ = self.member(number)
        request, answer = asked
        self.stage.decide(client.peer, request)
        if answer is not None:
            client.hears.append(answer)

    # -- operators ------------------------------------------------------------

    def expect_op(self, seat: Seat, op: requests.Op) -> tuple[str | None, Seat | None]:
        """Say what an op is refused with, or whom it is about."""
        if seat.shown is None:
            return "not-allowed", None
        if op.address is not None:
            return ("malformed" if NETWORKS[op.address] is None else None), None
        good = self.called(op.nick or "")
        if good is None:
            return "nick-invalid", None
        other = self.holder(good[1])
        if other is seat and op.do in ("kick", "ban", "mute"):
            return "not-allowed", None
        if other is None and op.do == "pardon":
            away = [s for s in self.seats.values() if s.key == good[1]]
            away = [s for s in away if self.now - s.ended_at <= 3600]
            other = max(away, key=lambda s: s.ended_at, default=None)
        if other is None and op.do in ("kick", "pardon"):
            return "no-such-nick", None
        return None, other

    def called(self, nick: str) -> tuple[str, str] | None:
        """Say who that is; guests cannot be asked for, but be spoken of."""
        return (nick, nick) if nick.startswith("guest-") else NICKS[nick]

    @precondition(lambda self: self.members())
    @rule(number=who, key=st.sampled_from([*KEYS, "no key"]))
    def log_in(self, number: int, key: str) -> None:
        client, seat, _ = self.member(number)
        self.stage.decide(client.peer, requests.Op("login", key=key))
        if key in self.keys:
            if self.keys[key] == seat.key or seat.key not in self.keys.values():
                seat.shown = key
            client.hears.append(("op", "login"))
            self.done.append(("login", self.keys[key]))
        else:
            client.hears.append(("error", "not-allowed", None))

    def operator(self, number: int) -> tuple[Client, Seat]:
        """Choose a member, an operator where there is one."""
        here = self.members()
        here.sort(key=lambda c: not (c.seat and c.seat.shown))
        client = here[number % len(here) if number > 20 else 0]
        assert client.seat is not None
        return client, client.seat

    @precondition(lambda self: len(self.members()) > 1)
    @rule(
        number=who,
        do=st.sampled_from(
            ["kick", "ban", "unban", "mute", "mute", "unmute", "pardon"]
        ),
        nick=nicks | who,
        seconds=lasting,
    )
    def oversee(self, number: int, do: str, nick: str | int, seconds: int) -> None:
        client, seat = self.operator(number)
        if isinstance(nick, int):
            there = self.member(nick)[1].nick
            nick = there if there in NICKS else "guest-1"
        op = requests.Op(do, nick, seconds=seconds, reason="because")
        code, other = self.expect_op(seat, op)
        self.stage.decide(client.peer, op)
        if code is not None:
            client.hears.append(("error", code, None))
            return
        shown, key = self.called(nick) or ("", "")
        ends = self.now + seconds if seconds else float("inf")
        there = other.nick if other else shown
        if do in ("kick", "ban"):
            self.done.append((do, there))
            if do == "ban":
                self.orders["nick", key] = ends
                self.shown_as[key] = there
            if other is not None and other.client is not None:
                self.kick(other.client, "banned" if do == "ban" else "operator")
        elif do == "unban":
            if self.holds("nick", key):
                self.done.append((do, self.shown_as[key]))
            self.orders.pop(("nick", key), None)
        elif do == "mute":
            self.done.append((do, there))
            self.orders["mute", key] = ends
            if other is not None and other.client is not None:
                other.mute = key
                other.client.hears.append(("error", "muted", None))
        elif do == "unmute":
            targets = {key}
            if other is not None and other.mute is not None:
                targets.add(other.mute)
            if any(self.holds("mute", target) for target in targets):
                self.done.append((do, shown))
            for target in targets:
                self.orders.pop(("mute", target), None)
        elif other is not None:
            other.strikes = []
            self.done.append((do, other.nick))
        client.hears.append(("op", do))

    @precondition(lambda self: len(self.members()) > 1)
    @rule(
        number=who,
        do=st.sampled_from(["ban", "ban", "unban"]),
        address=st.sampled_from(list(NETWORKS)),
        seconds=lasting,
    )
    def ban_address(self, number: int, do: str, address: str, seconds: int) -> None:
        client, seat = self.operator(number)
        op = requests.Op(do, None, address, seconds)
        # In the order in which they are told, which nobody is promised.
        order = list(self.stage.chat.nicks)
        self.stage.decide(client.peer, op)
        code, _ = self.expect_op(seat, op)
        if code is not None:
            client.hears.append(("error", code, None))
            return
        network, whose = NETWORKS[address] or ("", set())
        if do == "unban":
            if self.holds("address", network):
                self.done.append((do, network))
            self.orders.pop(("address", network), None)
        else:
            self.done.append((do, network))
            ends = self.now + seconds if seconds else float("inf")
            self.orders["address", network] = ends
            for key in order:
                hit = self.holder(key)
                assert hit is not None
                assert hit.client is not None
                if hit.shown is None and ADDRESSES[hit.client.address] in whose:
                    self.kick(hit.client, "banned")
        client.hears.append(("op", do))

    @precondition(lambda self: self.members())
    @rule(number=who, topic=st.sampled_from(list(TOPICS)))
    def set_topic(self, number: int, topic: str) -> None:
        client, seat = self.operator(number)
        place = self.places[seat.room]
        self.stage.decide(client.peer, requests.Op("topic", topic=topic))
        code = TOPICS[topic] if seat.shown else "not-allowed"
        if code is not None:
            client.hears.append(("error", code, None))
            return
        self.topics[seat.room] = topic
        if not topic:
            del self.topics[seat.room]
        self.done.append(("topic", seat.room))
        self.tell(place, ("topic", seat.room, topic, seat.nick))
        client.hears.append(("op", "topic"))

    @precondition(lambda self: self.members())
    @rule(number=who, do=st.sampled_from(["lock", "unlock", "unlock"]))
    def lock(self, number: int, do: str) -> None:
        client, seat = self.operator(number)
        self.stage.decide(client.peer, requests.Op(do))
        if seat.shown is None:
            client.hears.append(("error", "not-allowed", None))
            return
        if do == "lock" or self.holds("lock", ""):
            self.done.append((do, None))
        self.orders["lock", ""] = float("inf") if do == "lock" else 0.0
        client.hears.append(("op", do))

    @precondition(lambda self: self.members())
    @rule(keys=st.sampled_from([[], [*KEYS][:1], [*KEYS][1:], [*KEYS], [*KEYS]]))
    def appoint(self, keys: list[str]) -> None:
        """Read another operator file."""
        chat = self.stage.chat
        before = list(chat.nicks)
        operators = Operators({digest(key): KEYS[key] for key in keys})
        chat.oversight.appoint(operators, self.now)
        self.keys = {key: KEYS[key] for key in keys}
        for known in self.seats.values():
            if known.shown is not None and known.shown not in keys:
                known.shown = None
                if known.client is not None:
                    known.client.hears.append(("error", "not-allowed", None))
        found = [seat for key in before if (seat := self.holder(key))]
        moved = [s for s in found if not self.may_have(s.key, s)]
        guests = list(chat.nicks)[len(before) - len(moved) :]
        for sitting, guest in zip(moved, guests, strict=True):
            assert re.fullmatch("guest-[1-9][0-9]*", guest)
            assert guest not in self.guests
            self.guests.add(guest)
            self.call(sitting, guest, guest)

    # -- going ----------------------------------------------------------------

    @precondition(lambda self: self.members())
    @rule(number=who)
    def leave(self, number: int) -> None:
        client, _, _ = self.member(number)
        self.stage.decide(client.peer, requests.Leave())
        self.kick(client, "leave")

    @precondition(lambda self: self.members())
    @rule(number=who)
    def lose(self, number: int) -> None:
        client, _, _ = self.member(number)
        self.stage.chat.lost(client.peer, self.now)
        self.end(client, "lost")

    @precondition(lambda self: any(not c.gone for c in self.clients))
    @rule(
        number=who,
        how=st.sampled_from(
            ["lost", "operator", "banned", "shutdown", "idle", "timeout", "bad-frame"]
        ),
    )
    def end_somebody(self, number: int, how: str) -> None:
        """End a connection from outside, welcomed or not."""
        here = [client for client in self.clients if not client.gone]
        client, chat = here[number % len(here)], self.stage.chat
        if how == "lost":
            chat.lost(client.peer, self.now)
            self.end(client, "lost")
        elif how in ("timeout", "bad-frame"):
            chat.refuse(client.peer, how, "text", self.now)
            self.fail(client, how)
        else:
            chat.kick(client.peer, how, "text", self.now)
            self.kick(client, how)

    @precondition(lambda self: any(c.gone for c in self.clients))
    @rule(number=who, text=texts)
    def send_after_the_end(self, number: int, text: str) -> None:
        gone = [client for client in self.clients if client.gone]
        peer, before = gone[number % len(gone)].peer, len(self.stage.chat.effects)
        for request in (
            requests.Say(text),
            requests.Whisper("ann", text),
            requests.Join("tea"),
            requests.Hello(1, "ann"),
            requests.Leave(),
        ):
            self.stage.decide(peer, request)
        self.stage.chat.kick(peer, "idle", "text", self.now)
        self.stage.chat.lost(peer, self.now)
        assert len(self.stage.chat.effects) == before

    # -- time, and looking ----------------------------------------------------

    @rule(
        seconds=st.sampled_from([0.25, 0.5, 1.0, 59.75, 60.0, 1800.0, 3600.0, 3600.25])
    )
    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        pending = [(p.counted_at + 1, n) for n, p in self.places.items() if p.pending]
        due = min(pending)[0] if pending else None
        assert self.stage.chat.next_count() == due
        for when, name in sorted(pending):
            if when <= end:
                place = self.places[name]
                self.tell(place, ("count", name, len(place.members)))
                place.counted_at, place.pending = when, False
        self.stage.wait(seconds)

    @rule()
    def look(self) -> None:
        """Carry out what was decided, and compare what everybody hears."""
        self.stage.flush()
        assert self.stage.records == self.done
        for client in self.clients:
            heard, client.hears, expected = (
                self.stage.take(client.peer),
                [],
                client.hears,
            )
            assert heard == expected
            assert client.peer.gone == client.gone
            left = client.gone and client.peer in self.stage.closed
            assert left or (client.peer in self.stage.hears) == (
                client.seat is not None and not client.gone
            )

    @invariant()
    def everybody_is_where_the_model_says(self) -> None:
        chat = self.stage.chat
        here = {seat.key: seat for seat in self.seats.values() if seat.client}
        assert len(here) == len(self.members())
        assert {key: s.nick for key, s in chat.nicks.items()} == {
            key: seat.nick for key, seat in here.items()
        }
        assert {name: set(room.members) for name, room in chat.rooms.items()} == {
            name: {seat.key for seat in place.members}
            for name, place in self.places.items()
        }

    @invariant()
    def nobody_has_the_nick_of_an_operator(self) -> None:
        """Look at what the chat itself knows, not at the model."""
        chat = self.stage.chat
        for key, session in chat.nicks.items():
            assert chat.oversight.operators.may_have(key, session.operator)
        for session in chat.sessions:
            if session.operator is not None:
                assert chat.oversight.operators.nick_of(session.operator)

    def teardown(self) -> None:
        """Let all go: nothing is left of them but what was said."""
        self.look()
        self.stage.chat.oversight.orders.lift(Kind.LOCK, "")
        self.orders.pop(("lock", ""), None)
        for client in self.clients:
            if not client.gone:
                self.stage.chat.lost(client.peer, self.now)
                self.end(client, "lost")
        self.look()
        self.everybody_is_where_the_model_says()
        assert not self.stage.chat.nicks
        assert all(place.said for place in self.places.values())
        for name, place in self.places.items():
            assert len(self.stage.kept[name]) == place.said
        for _ in range(self.max_per_ip):
            self.connect("203.0.113.1", False)
            self.say_hello(
                self.clients[-1], 1, None, next(iter(self.places), "z"), None
            )
        self.look()


Welcome = messages.Welcome

TestChatMachine = ChatMachine.TestCase
TestChatMachine.settings = settings(max_examples=60, stateful_step_count=60)
