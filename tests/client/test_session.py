"""The chat as the client sees it."""

import itertools
import random
import unicodedata
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.commands import run_line
from chatroom.client.frames import Fields
from chatroom.client.session import BEFORE_WELCOME, Session, random_ref
from chatroom.client.talk import Talk
from chatroom.client.transcript import PAGE, Event, Heard
from chatroom.errors import BadPeer
from tests.client.fakes import EVERY_FRAME, MESSAGE, ROOM, WELCOME
from tests.client.model import FULL, TAG, TAKEN, ModelServer


def joined() -> Session:
    """A session that is in the lobby, with refs 1, 2, 3 ..."""
    session = Session(map(str, itertools.count(1)).__next__)
    receive(session, WELCOME, ROOM)
    return session


def receive(session: Session, *frames: Fields) -> None:
    for frame in frames:
        session.receive(frame["type"], frame)


def test_hello() -> None:
    assert Session().hello("anna", "tea") == {
        "type": "hello",
        "version": 1,
        "nick": "anna",
        "room": "tea",
    }
    assert "nick" not in Session().hello(None, "tea")


def test_welcome_and_room_tell_who_and_where_one_is() -> None:
    session = joined()
    assert session.joined
    assert (session.nick, session.room, session.count) == ("anna", "lobby", 2)
    assert (session.token, session.strikes) == ("secret", 0)
    assert (session.transcript.log, session.last_id) == ("log1", 0)


def test_what_is_said_is_unanswered_until_its_ref_comes_back() -> None:
    session = joined()
    assert session.say("a") == {"type": "say", "text": "a", "ref": "1"}
    assert session.whisper("bob", "b") == {
        "type": "whisper",
        "to": "bob",
        "text": "b",
        "ref": "2",
    }
    session.say("c")
    session.say("d")
    assert session.outbox.unanswered == 4
    receive(session, MESSAGE | {"from": "anna", "ref": "1"})
    whisper = {"type": "whisper", "from": "anna", "to": "bob", "text": "b", "at": 0}
    receive(session, whisper | {"ref": "2"})
    assert session.outbox.unanswered == 2
    receive(session, {"type": "error", "code": "x", "text": "y", "ref": "3"})
    warning = {"type": "warning", "reason": "x", "strikes": 1, "limit": 2, "text": "y"}
    receive(session, warning | {"ref": "4"})
    assert not session.outbox.unanswered
    assert session.strikes == 1


@pytest.mark.parametrize("ref", ["of another", ["no", "string"], None, 7])
def test_a_ref_of_nobody_answers_nothing(ref: object) -> None:
    session = joined()
    session.say("a")
    receive(session, {"type": "pong", "ref": ref})
    if isinstance(ref, str):
        receive(session, MESSAGE | {"ref": ref})
    assert session.outbox.unanswered == 1


def test_last_id_follows_the_room() -> None:
    session = joined()
    receive(session, MESSAGE | {"id": 7})
    assert session.last_id == 7
    receive(session, MESSAGE | {"id": 9, "room": "elsewhere"})
    assert session.last_id == 7
    receive(session, ROOM | {"room": "tea", "last_id": 3})
    assert (session.room, session.last_id) == ("tea", 3)


def test_who_is_renamed() -> None:
    session = joined()
    receive(session, {"type": "renamed", "room": "lobby", "old": "bob", "new": "x"})
    assert session.nick == "anna"
    receive(session, {"type": "renamed", "room": "lobby", "old": "anna", "new": "y"})
    assert session.nick == "y"


def test_how_many_there_are() -> None:
    session = joined()
    receive(session, {"type": "joined", "room": "lobby", "nick": "c"})
    assert session.count == 3
    receive(session, {"type": "left", "room": "lobby", "nick": "c", "reason": "x"})
    assert session.count == 2
    receive(session, {"type": "count", "room": "lobby", "count": 600})
    assert session.count == 600


@pytest.mark.parametrize("frame", EVERY_FRAME, ids=lambda frame: frame["type"])
def test_only_some_frames_come_before_the_welcome(frame: Fields) -> None:
    session = Session()
    if frame["type"] in BEFORE_WELCOME:
        receive(session, frame)
    else:
        with pytest.raises(BadPeer, match="at the wrong time"):
            receive(session, frame)


def test_a_second_welcome_is_a_fault() -> None:
    with pytest.raises(BadPeer, match="welcome frame at the wrong time"):
        receive(joined(), WELCOME)


def test_refs_are_random() -> None:
    refs = {random_ref() for _ in range(100)}
    assert len(refs) == 100
    assert all(1 <= len(ref) <= 64 for ref in refs)


# -- a lost connection ------------------------------------------------------------


def lost(session: Session, /, **fields: object) -> None:
    """Lose the connection and hear a welcome again."""
    session.disconnected()
    assert session.next_frame() is None
    receive(session, WELCOME | fields)


def words(session: Session, *frames: Fields) -> list[str]:
    """What these frames make the session say itself."""
    found: list[str] = []
    for frame in frames:
        events = session.receive(frame["type"], frame)
        found += [event for event in events if isinstance(event, str)]
    return found


def owed(session: Session) -> list[object]:
    """What is sent again: texts, or what is asked for."""
    frames = iter(session.next_frame, None)
    return [f.get("text") or f.get("nick") or f.get("room") for f in frames]


def echo(said: Fields, number: int, sender: str = "anna") -> Fields:
    message = MESSAGE | {"id": number, "from": sender, "text": said["text"]}
    return message | {"ref": said["ref"]}


def history(*messages: Fields, more: bool = False) -> Fields:
    page: Fields = {"type": "history", "room": "lobby", "log": "log1"}
    return page | {"oldest_id": 1, "messages": list(messages), "more": more}


def test_the_second_hello() -> None:
    session = joined()
    receive(session, {"type": "renamed", "room": "lobby", "old": "anna", "new": "eve"})
    receive(session, ROOM | {"room": "den"})
    session.disconnected()
    assert session.hello(session.wanted_nick, "tea") == {
        "type": "hello",
        "version": 1,
        "nick": "eve",
        "room": "den",
        "session": "secret",
    }


def test_nobody_asks_for_the_name_of_a_guest() -> None:
    session = Session()
    receive(session, WELCOME | {"nick": "guest-7"}, ROOM)
    assert session.wanted_nick is None
    lost(session, nick="guest-7_")
    assert session.wanted_nick == "guest-7_"


def test_what_is_told_of_coming_back() -> None:
    session = joined()
    session.disconnected()
    assert words(session, WELCOME, ROOM) == []
    session.disconnected()
    welcome = WELCOME | {"session": "new", "nick": "anna_", "strikes": 1}
    assert words(session, welcome | {"limits": {"strikes": 2}}) == [
        "the server no longer knows your session: this is a new one",
        "you are now anna_",
        "your strikes are now 1 of 2",
    ]
    session.disconnected()
    assert words(session, welcome | {"strikes": 0}) == ["your strikes are now 0"]


def test_who_and_where_is_marked_as_known() -> None:
    session = joined()
    session.disconnected()
    for frame in (WELCOME, ROOM):
        (event,) = session.receive(frame["type"], frame)
        assert isinstance(event, Heard)
        assert event.back
    assert session.settled
    (event,) = session.receive("message", MESSAGE)
    assert event == Heard("message", MESSAGE)


def test_cut_between_welcome_and_room() -> None:
    session = joined()
    session.say("a")
    lost(session)
    assert session.next_frame() is None, "nobody knows yet what was missed"
    lost(session)
    receive(session, ROOM)
    assert owed(session) == ["a"]


def test_cut_between_the_first_welcome_and_its_room() -> None:
    session = Session()
    receive(session, WELCOME)
    session.disconnected()
    assert session.hello("anna", "tea")["room"] == "tea"
    receive(session, WELCOME, ROOM | {"room": "tea", "last_id": 9})
    assert session.settled
    assert (session.room, session.last_id) == ("tea", 9)


def test_cut_while_catching_up() -> None:
    session = joined()
    first, second = session.say("a"), session.say("b")
    lost(session)
    receive(session, ROOM | {"last_id": 3})
    assert session.next_frame() == {"type": "history", "after": 0, "limit": PAGE}
    assert session.next_frame() is None
    receive(session, history(echo(first, 1), MESSAGE | {"id": 2}, more=True))
    assert session.outbox.unanswered == 1
    lost(session, last_ref=first["ref"])
    assert not session.settled
    receive(session, ROOM | {"last_id": 3})
    assert session.next_frame() == {"type": "history", "after": 2, "limit": PAGE}
    receive(session, history(MESSAGE | {"id": 3}))
    assert session.next_frame() is second
    assert session.next_frame() is None


def test_an_old_page_that_comes_late_is_no_answer() -> None:
    # It was asked for by the user and shown as it is; nothing follows from it.
    session = joined()
    said = session.say("a")
    page = history(echo(said, 1))
    assert session.receive("history", page) == [Heard("history", page)]
    assert session.outbox.unanswered == 1


def test_a_page_refused_is_asked_for_again_later() -> None:
    session = joined()
    session.say("a")
    session.ask({"type": "nick", "nick": "eve"})
    lost(session)
    receive(session, ROOM | {"last_id": 1})
    question = session.next_frame()
    receive(session, {"type": "error", "code": "internal", "text": "x"})
    assert session.transcript.stuck
    assert session.next_frame() is None
    assert not session.settled
    session.transcript.stuck = False
    assert session.next_frame() == question


def test_a_shout_just_before_the_cut_is_not_judged_twice() -> None:
    session = joined()
    shout, after = session.say("AAA"), session.say("b")
    lost(session, last_ref=shout["ref"], strikes=1)
    assert words(session, ROOM) == ["no answer came to: say: AAA"]
    assert owed(session) == ["b"]
    receive(session, echo(after, 1))
    assert session.outbox.unanswered == 0


def test_a_shout_whose_session_is_gone_is_not_said_again() -> None:
    session = joined()
    session.say("AAA")
    session.whisper("bob", "psst")
    session.say("b")
    lost(session, session="new")
    assert words(session, ROOM) == [
        "not sent again, as it may have arrived: say: AAA",
        "not sent again, as it may have arrived: whisper to bob: psst",
    ]
    assert owed(session) == ["b"]


def test_what_is_a_shout_is_the_servers_rule() -> None:
    session = Session()
    receive(session, WELCOME | {"limits": {"shout_letters": 3}}, ROOM)
    session.say("OK")
    lost(session, session="new")
    receive(session, ROOM)
    assert owed(session) == ["OK"]


def test_long_lists_of_long_texts_are_cut() -> None:
    session = joined()
    for number in range(7):
        session.say(f"{number}A" + "X" * 100)
    lost(session, session="new")
    told = words(session, ROOM)
    assert len(told) == 6
    assert told[0].endswith(": say: 0A" + "X" * 58 + " ...")
    assert told[-1] == "not sent again, as it may have arrived: 2 more messages"


def test_a_room_joined_just_before_the_cut() -> None:
    session = joined()
    session.say("a")
    session.ask({"type": "join", "room": "tea"})
    in_tea = session.say("b")
    lost(session, last_ref=in_tea["ref"])
    told = words(session, ROOM)
    assert told == ["no answer came to: say: a", "no answer came to: say: b"]
    assert owed(session) == ["tea"]
    receive(session, ROOM | {"room": "tea"})
    assert session.room == "tea"
    session.disconnected()
    assert session.hello("anna", "lobby")["room"] == "tea"


@pytest.mark.parametrize("nick", ["eve", "zoe\u0308"])
def test_a_nick_changed_just_before_the_cut(nick: str) -> None:
    session = joined()
    session.ask({"type": "nick", "nick": nick})
    said = session.say("a")
    # The server is another, which knows the log but not the session.
    lost(session, session="new")
    receive(session, ROOM | {"last_id": 1})
    session.next_frame()
    receive(session, history(echo(said, 1, unicodedata.normalize("NFC", nick))))
    assert session.outbox.unanswered == 0
    assert owed(session) == [nick]


def test_a_text_said_under_a_name_that_one_has_no_longer() -> None:
    session = joined()
    said = session.say("a")
    lost(session, session="new", nick="anna_")
    receive(session, ROOM | {"last_id": 1})
    session.next_frame()
    receive(session, history(echo(said, 1)))
    assert session.outbox.unanswered == 0
    assert owed(session) == []


def test_a_ref_that_somebody_else_has_copied_proves_nothing() -> None:
    session = joined()
    said = session.say("a")
    lost(session, session="new")
    receive(session, ROOM | {"last_id": 1})
    session.next_frame()
    receive(session, history(echo(said, 1, "mallory")))
    assert owed(session) == ["a"]


def test_cut_while_sending_again() -> None:
    session = joined()
    said = [session.say(text) for text in "abc"]
    lost(session)
    receive(session, ROOM)
    assert session.next_frame() is said[0]
    assert session.outbox.owes
    lost(session, last_ref=said[0]["ref"])
    receive(session, ROOM | {"last_id": 1})
    session.next_frame()
    receive(session, history(echo(said[0], 1)))
    assert owed(session) == ["b", "c"]


# -- whatever is cut, forgotten and gone ------------------------------------------


WINDOW = 3
"""Frames that wait on the wire before no more is sent again."""


class Player:
    """A session and a model of a server, and the wires between them."""

    def __init__(self) -> None:
        self.server = ModelServer()
        self.session = joined_nowhere()
        self.words: list[str] = []
        self.talk = Talk(
            self.session, (), self.send, self.words.append, nothing, nothing
        )
        self.hidden: set[str] = set()
        """Who is ignored."""
        self.searched: list[str] = []
        self.found: list[int] = []
        self.connected = False
        self.typed: deque[tuple[str, str]] = deque()
        """What was typed and not sent yet: a kind and a text."""
        self.wire: list[Fields] = []
        """What is on its way to the server."""
        self.numbers = itertools.count(1)
        self.texts: list[str] = []
        self.orders: list[str] = []
        self.whispers: list[str] = []
        self.shouts: list[str] = []
        self.stay = ""
        self.seen = 0
        """The last message that was shown of the room."""
        self.gap = False
        """Whether it was told that what comes next need not be the next."""
        self.connect()

    # -- the user

    def type(self, kind: str, number: int) -> None:
        text = f"{kind}{next(self.numbers)}-"
        if kind == "say":
            self.texts.append(text)
        elif kind == "question":
            text = ["/who", "/rooms", "/history 1", "/history"][number % 4]
        elif kind == "op":
            if number % 2:
                self.orders.append(f"k{next(self.numbers)}")
                text = f"/kick {self.orders[-1]}"
            else:
                text = ["/op key", "/bans", "/lock"][number % 3]
        elif kind == "search":
            text = "/search " + ["other", "say1", "-"][number % 3]
        elif kind == "whisper":
            self.whispers.append(text)
        elif kind == "shout":
            text = text.upper()
            self.shouts.append(text)
        elif kind == "nick":
            text = [TAKEN, "anna", "eve", text][number % 4]
        else:
            text = ["lobby", "tea", FULL][number % 3]
        self.typed.append((kind, text))
        self.pump()

    # -- the client, as far as it stands between the user and the session

    def pump(self) -> None:
        session = self.session
        session.transcript.stuck = False
        while len(self.wire) < WINDOW and (frame := session.next_frame()) is not None:
            self.wire.append(frame)
        while self.typed and session.settled and not session.outbox.owes:
            kind, text = self.typed.popleft()
            if kind in ("question", "search", "op"):
                run_line(self.talk, text)
            else:
                self.wire.append(self.frame_of(kind, text))
        while self.connected and session.settled and not session.outbox.owes:
            if len(self.wire) >= WINDOW:
                break
            question = self.talk.next_question()
            if question is None:
                break
            self.wire.append(question)

    def send(self, frame: Fields) -> None:
        """A question of the user's."""
        self.wire.append(frame | {TAG: "user"})

    def frame_of(self, kind: str, text: str) -> Fields:
        if kind == "whisper":
            return self.session.whisper("bob", text)
        if kind == "nick":
            return self.session.ask({"type": "nick", "nick": text})
        if kind == "join":
            return self.session.ask({"type": "join", "room": text})
        return self.session.say(text)

    def connect(self) -> None:
        if not self.connected:
            self.connected = True
            nick = self.session.wanted_nick if self.session.token else "anna"
            self.wire.append(self.session.hello(nick, "lobby"))

    def hear(self, number: int) -> None:
        for _ in range(min(number, len(self.server.wire))):
            frame = self.server.wire.pop(0)
            events = self.session.receive(frame["type"], frame)
            events += self.talk.heard(frame["type"], frame)
            for event in events:
                self.see(event)
            self.see_answer(frame, events)
            self.see_rest(events)
            self.pump()

    # -- the server and the network

    def serve(self, number: int) -> None:
        for _ in range(min(number, len(self.wire))):
            self.server.judge(self.wire.pop(0))
            self.pump()

    def cut(self, to_server: int, to_client: int) -> None:
        """These many frames still arrive."""
        if self.connected:
            self.serve(to_server)
            self.hear(to_client)
            self.connected = False
            self.wire.clear()
            self.server.cut()
            self.session.disconnected()
            for event in self.talk.lost():
                self.see(event)

    def flow(self) -> None:
        """Let everything arrive."""
        while self.wire or self.server.wire:
            self.serve(len(self.wire))
            self.hear(len(self.server.wire))

    def take(self, step: str, number: int) -> None:
        if step in TYPED:
            self.type(step, number)
        elif step == "serve":
            self.serve(1 + number % 4)
        elif step == "hear":
            self.hear(1 + number % 4)
        elif step == "flow":
            self.flow()
        elif step == "cut":
            self.cut(number % 5, number // 5)
        elif step == "connect":
            self.connect()
        elif step == "others":
            for _ in range(1 + number % 4):
                room = "tea" if number > 15 else "lobby"
                sender = ["bob", "mallory"][number % 2]
                self.server.others_say(room, f"other{next(self.numbers)}-", sender)
                self.server.somebody_whispers(sender, "psst")
        elif step == "come":
            nick = f"c{next(self.numbers)}"
            self.server.somebody_joins("tea" if number > 15 else "lobby", nick)
        elif step == "go":
            self.server.somebody_leaves("tea" if number > 15 else "lobby", number)
        elif step == "rename":
            room = "tea" if number > 15 else "lobby"
            self.server.somebody_is_renamed(room, number, f"r{next(self.numbers)}")
        elif step == "ignore":
            self.hidden ^= {"mallory"}
            run_line(self.talk, "/ignore mallory")
        elif step == "mute":
            self.server.somebody_mutes()
        elif step == "fall":
            self.server.take_key()
        elif step == "trim":
            self.server.trim("lobby", number)
        elif step == "trouble":
            self.server.in_trouble = True
        elif step == "forget":
            self.cut(number % 5, number // 5)
            self.server.forget()
        elif step == "anew":
            self.cut(number % 5, number // 5)
            self.server.start_anew()

    # -- what is seen

    def see(self, event: Event) -> None:
        if isinstance(event, str):
            self.words.append(event)
            self.gap |= "gone from the server" in event
            if "another history" in event:
                self.gap = True
                self.seen = 0
            if event.startswith("search for"):
                self.searched.append(event)
                self.found.clear()
        elif event.kind == "found":
            frame = event.frame
            assert frame == self.server.log(self.stay).messages[frame["id"] - 1]
            assert self.searched[-1].split()[2].rstrip(":") in frame["text"]
            assert frame["id"] > (self.found[-1] if self.found else 0)
            self.found.append(frame["id"])
        elif event.kind == "room":
            if event.frame["room"] != self.stay:
                self.stay = event.frame["room"]
                self.seen = event.frame["last_id"]
                self.gap = False
        elif event.kind == "message":
            frame = event.frame
            log = self.server.log(self.stay)
            assert frame == log.messages[frame["id"] - 1]
            if self.gap:
                assert frame["id"] > self.seen
                self.gap = False
            else:
                assert frame["id"] == self.seen + 1
            self.seen = frame["id"]

    def see_answer(self, frame: Fields, events: list[Event]) -> None:
        """Only the user's own questions are answered for him to see."""
        if frame["type"] in ("members", "rooms", "history", "op"):
            shown = Heard(frame["type"], frame) in events
            assert shown == (frame[TAG] == "user")

    def see_rest(self, events: list[Event]) -> None:
        """Nobody sees what somebody says who is ignored."""
        for event in self.talk.rest(events):
            if isinstance(event, Heard) and event.kind in ("message", "whisper"):
                assert event.frame["from"] not in self.hidden
            elif isinstance(event, Heard) and event.kind == "history":
                senders = {message["from"] for message in event.frame["messages"]}
                assert not senders & self.hidden

    def finish(self) -> None:
        """Come back if need be, let all settle, and say a last word."""
        self.connect()
        self.flow()
        self.server.in_trouble = False
        self.type("say", 0)
        self.flow()


def nothing() -> None:
    """What this user never does."""


def joined_nowhere() -> Session:
    return Session(map(str, itertools.count(1)).__next__)


TYPED = ("say", "shout", "whisper", "nick", "join", "question", "search", "op")
KIND = (
    "mute fall op op pause question search come go rename ignore "
    + "say " * 5 + "serve hear cut connect " * 3
    + "shout whisper flow others join nick " * 2 + "trouble"
).split()  # fmt: skip
UNKIND = "trim forget forget anew".split()


def plays(*steps: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    """Long ones: it takes many steps until something can go wrong."""
    step = st.tuples(st.sampled_from(steps), st.integers(0, 24))
    return st.lists(step, min_size=30, max_size=60)


def played(play: list[tuple[str, int]]) -> Player:
    """Play, and hold to what must be whatever has happened."""
    player = Player()
    for step, number in play:
        player.take(step, number)
    player.finish()
    server, session = player.server, player.session

    assert max(Counter(server.said).values()) == 1, "in the log at most once"
    assert max(server.shouts.values(), default=0) <= 1, "judged at most once"
    assert max(server.whispers.values(), default=0) <= 1
    places = [player.texts.index(text) for _, text in server.said]
    for log in {log for log, _ in server.said}:
        kept = [n for n, (of, _) in zip(places, server.said, strict=True) if of == log]
        assert kept == sorted(kept), "in the order typed"

    arrived = {text for _, text in server.said} | {*server.shouts, *server.whispers}
    for text in {*player.texts, *player.shouts, *player.whispers} - arrived:
        told = [word for word in player.words if text in word]
        assert told or any("more message" in word for word in player.words)

    assert max(server.orders.values(), default=0) <= 1, "nobody is kicked twice"
    doubtful = [
        f"no answer came, and it may be done or not: kick {nick}"
        for nick in {*player.orders} - {*server.orders}
    ]
    # Who was no operator any more when he asked has been told that, and that it is.
    assert len({*doubtful} - {*player.words}) <= server.falls

    assert server.seat is not None
    assert session.settled
    assert not session.returning
    assert session.next_frame() is None
    assert not session.outbox._sent
    assert (session.room, session.nick) == (server.room, server.seat.nick)
    assert session.token == server.seat.token
    assert player.seen == session.last_id == server.log(session.room).last
    assert not session.questions._open
    assert not player.talk._operating._open
    assert player.talk._search.room == ""
    assert sorted(player.talk._members._here.values()) == server.members()
    assert session.count == len(server.members())
    assert player.talk._rooms.names == [server.room]
    return player


def played_kindly(play: list[tuple[str, int]]) -> None:
    """Play where no session is forgotten and nothing gone: then there is no doubt."""
    player = played(play)
    server = player.server
    assert [text for _, text in server.said] == player.texts
    assert sorted(server.shouts) == sorted(player.shouts)
    assert sorted(server.whispers) == sorted(player.whispers)
    assert not any("gone" in word or "may have" in word for word in player.words)


@given(plays(*KIND, *UNKIND))
def test_nothing_comes_twice_whatever_happens(play: list[tuple[str, int]]) -> None:
    played(play)


@given(plays(*KIND))
def test_all_comes_once_where_the_session_lasts(play: list[tuple[str, int]]) -> None:
    played_kindly(play)


@pytest.mark.parametrize("kind", [True, False])
def test_many_plays(kind: bool) -> None:
    # Quicker to make, so there can be more of them; the ones above become short.
    steps = KIND if kind else KIND + UNKIND
    for seed in range(2000):
        chance = random.Random(seed)
        play = [(chance.choice(steps), chance.randrange(25)) for _ in range(60)]
        try:
            (played_kindly if kind else played)(play)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


def test_an_error_that_answers_nothing_answers_nothing() -> None:
    session = joined()
    answered: list[Fields | None] = []

    def take(page: Fields | None) -> list[Event]:
        answered.append(page)
        return []

    session.ask({"type": "history"}, take)
    for code in ("muted", "not-allowed"):
        error = {"type": "error", "code": code, "text": "x"}
        assert session.receive("error", error) == [Heard("unasked", error)]
    assert not answered, "it is still to come"
    session.ask({"type": "op", "do": "lock"})
    error = {"type": "error", "code": "not-allowed", "text": "x"}
    receive(session, history())
    assert session.receive("error", error) == [Heard("error", error)]
    assert len(answered) == 1
    assert session.receive("error", error) == [Heard("unasked", error)]


def test_a_password_is_in_every_hello_that_has_one() -> None:
    session = Session()
    assert "password" not in session.hello("anna", "tea")
    assert session.hello("anna", "tea", "")["password"] == ""
    session.receive("welcome", WELCOME)
    session.disconnected()
    hello = session.hello("anna", "tea", "sesame")
    assert (hello["session"], hello["password"]) == ("secret", "sesame")
