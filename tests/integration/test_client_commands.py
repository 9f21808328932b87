"""What a person does in the chat, on a real server, by a face that remembers."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatroom.client.client import EXIT_KICKED, Client
from chatroom.client.options import Options
from chatroom.client.render import Renderer
from chatroom.core.operators import entry
from chatroom.net.loop import Loop
from tests.client.fakes import FakeFace, tick_until
from tests.integration.conftest import Start
from tests.support.peer import Peer
from tests.support.server import Server
from tests.support.waiting import fresh

KEY = "5e5a" * 10
OPTIONS = ("--rate", "0", "--max-clients-per-ip", "0")


class Person:
    """Somebody at a face, who has come into a room."""

    def __init__(self, address: tuple[str, int], room: str, nick: str) -> None:
        self.loop = Loop()
        self.face = FakeFace()
        options = Options(*address, nick, room)
        targets = [(socket.AF_INET, address)]
        self.client = Client(self.loop, options, targets, Renderer())
        self.client.face = self.face
        self.nick = nick
        self.client.start()
        self.until(lambda: self.face.opened)

    def until(self, condition: Callable[[], object]) -> None:
        tick_until(self.loop, condition)

    def see(self, text: str) -> None:
        """Wait until this is shown; forget all that was."""
        self.until(lambda: text in self.face.shown)
        self.face.lines.clear()

    def enter(self, *lines: str) -> None:
        for line in lines:
            self.client.entered(line)

    def options(self, before: str) -> tuple[str, ...]:
        """What Tab offers."""
        return self.client.completions(before).options

    def cut(self) -> None:
        """Lose the connection."""
        stream = self.client._connection._stream
        assert stream is not None
        stream.transport.abort("cut")
        self.see("is lost: cut")

    def leave(self) -> None:
        """Leave, and leave nothing behind."""
        self.client.leave()
        self.until(lambda: self.loop._stopping)
        self.loop.tick(0)
        self.loop.close()


@pytest.fixture
def pair(server: Server) -> Iterator[tuple[Person, Peer]]:
    """A person, and somebody in the same room."""
    room = fresh("room")
    bob = server.member("bob", room=room)
    anna = Person(server.address, room, fresh("anna"))
    bob.expect("joined")
    yield anna, bob
    anna.leave()


def rested(peer: Peer) -> str:
    """The nick of *peer*, once all that it sent is done."""
    peer.sync()
    return peer.nick


def test_names_are_known_without_asking(
    server: Server, pair: tuple[Person, Peer]
) -> None:
    anna, bob = pair
    nick, other = rested(bob), fresh("tea")
    anna.until(lambda: anna.options("/msg bob"))
    assert anna.options("/msg bob") == (f"{nick} ",)
    assert anna.options("bob") == (f"{nick}: ",)
    far = server.member("carl", room=other)
    assert anna.options("/join tea") == ()
    anna.enter("/rooms")
    anna.see("rooms: ")
    assert f"{other} " in anna.options("/join tea")
    far.send("join", room=anna.client.session.room)
    anna.until(lambda: anna.options("/msg carl"))
    far.close()
    anna.until(lambda: not anna.options("/msg carl"))
    assert "in room" not in anna.face.shown, "no answer of its own is shown"


def test_lists_that_the_user_asks_for_are_shown_all(
    pair: tuple[Person, Peer],
) -> None:
    anna, bob = pair
    room = fresh("room")
    anna.enter("/who", f"/join {room}", "/who", "/rooms", "/history", "/who")
    anna.until(lambda: anna.face.shown.count(f"in {room}: {anna.nick}") == 2)
    assert f"nothing has been said in {room}" in anna.face.shown
    assert anna.face.shown.count("rooms: ") == 1
    assert anna.options("") == ()
    bob.send("join", room=room)
    anna.until(lambda: anna.options(""))


def test_a_search_goes_back_through_all_pages(pair: tuple[Person, Peer]) -> None:
    anna, bob = pair
    bob.say("the Kettle is on")
    for number in range(450):
        bob.say(f"{number} kettles" if number == 300 else str(number))
    rested(bob)
    anna.until(lambda: anna.client.session.last_id == 451)
    anna.face.lines.clear()
    anna.enter("/search KETTLE", "/history 1")
    anna.until(lambda: "end of search" in anna.face.shown)
    shown = anna.face.shown
    assert "search for KETTLE: 2 found" in shown
    assert shown.index("the Kettle is on") < shown.index("300 kettles")
    assert "searched all 451 messages kept of " in shown
    assert shown.count("history of") == 1
    assert len(anna.face.speech) == 451 + 2 + 1


def test_whoever_is_ignored_is_not_seen(pair: tuple[Person, Peer]) -> None:
    anna, bob = pair
    nick = rested(bob)
    anna.enter(f"/ignore {nick.upper()}")
    bob.say("can you hear me?")
    bob.send("whisper", to=anna.nick, text="can you?")
    rested(bob)
    anna.enter("/who")
    anna.see(f"in {anna.client.session.room}: ")
    assert not anna.face.speech
    anna.enter(f"/ignore {nick}")
    bob.say("and now?")
    anna.see("and now?")


def test_a_whisper_is_answered(pair: tuple[Person, Peer]) -> None:
    anna, bob = pair
    bob.send("whisper", to=anna.nick, text="psst")
    anna.see("psst")
    anna.enter("/r what is it?")
    anna.until(lambda: not anna.client.session.outbox.unanswered)
    bob.expect("whisper", text="psst")
    bob.expect("whisper", text="what is it?")


def test_a_hint_tells_what_the_server_then_does(start: Start) -> None:
    server = start("--strikes", "2", "--shout-min-letters", "3")
    anna = Person(server.address, "lobby", "anna")
    assert anna.client.objection("OK") is None
    first = anna.client.objection("WHAT")
    assert first is not None
    assert "strike 1 of 2, a warning" in first
    anna.enter("WHAT")
    anna.see("WARNING")
    assert (anna.face.status_now.strikes, anna.face.status_now.limit) == (1, 2)
    second = anna.client.objection("/msg anna WHAT")
    assert second is not None
    assert "strike 2 of 2, a kick" in second
    anna.enter("/msg anna WHAT")
    anna.see("KICKED")
    anna.until(lambda: anna.loop._stopping)
    anna.loop.tick(0)
    anna.loop.close()


def test_the_round_trip_is_known(pair: tuple[Person, Peer]) -> None:
    anna, _ = pair
    anna.until(lambda: anna.face.status_now.rtt is not None)
    rtt = anna.face.status_now.rtt
    assert rtt is not None
    assert 0 <= rtt < 5
    assert anna.face.status_now.members == 2


def test_all_of_it_after_a_lost_connection(pair: tuple[Person, Peer]) -> None:
    anna, bob = pair
    room = anna.client.session.room
    anna.until(lambda: anna.options("bob"))
    anna.cut()
    bob.say("somewhere a kettle")
    rested(bob)
    anna.enter("/search kettle", "/who")
    anna.until(lambda: "end of search" in anna.face.shown)
    anna.until(lambda: f"in {room}: " in anna.face.shown)
    assert anna.face.shown.count("somewhere a kettle") == 2
    bob.send("nick", nick=fresh("robert"))
    anna.until(lambda: anna.options("/msg robert"))
    assert anna.options("/msg bob") == ()


# -- operators --------------------------------------------------------------------


@pytest.fixture
def guarded(start: Start, tmp_path: Path) -> Server:
    """A server with an operator."""
    path = tmp_path / "operators"
    path.write_text(entry("root", KEY), encoding="utf-8")
    path.chmod(0o600)
    return start(*OPTIONS, "--operator-file", str(path))


@pytest.fixture
def ruling(guarded: Server) -> Iterator[tuple[Person, Peer]]:
    """An operator, and somebody in the same room."""
    bob = guarded.member("bob")
    anna = Person(guarded.address, "lobby", "anna")
    bob.expect("joined")
    anna.enter("/op")
    anna.until(lambda: anna.face.secret)
    anna.enter(KEY)
    anna.see("you are an operator, by the key of root")
    yield anna, bob
    anna.leave()


def test_the_day_of_an_operator(guarded: Server, ruling: tuple[Person, Peer]) -> None:
    anna, bob = ruling
    nick = bob.nick
    anna.enter("/topic tea at five", "/topic")
    anna.see("topic of lobby: ")
    bob.expect("topic", topic="tea at five", by="anna")
    anna.enter(f"/mute {nick} 10m too loud")
    anna.see(f"{nick} is mute for 10 minutes")
    assert "too loud" in bob.expect_error("muted")["text"]
    anna.enter(f"/unmute {nick}", f"/unmute {nick}")
    anna.see(f"{nick} was not mute")
    bob.say("LOUD")
    bob.expect("warning", strikes=1)
    anna.enter(f"/pardon {nick}")
    anna.see("has no strikes any more; there were 1")
    anna.enter(f"/kick {nick} enough")
    anna.see(f"{nick} is disconnected")
    assert "(enough)" in bob.expect("kick", reason="operator")["text"]
    anna.enter(f"/ban {nick} 2h", "/ban 10.0.0.0/8 noise", "/ban @10.0.0.1", "/bans")
    anna.until(lambda: f"{nick} until " in anna.face.shown)
    assert "10.0.0.0/8 for good, by anna: noise" in anna.face.shown
    assert "@10.0.0.1 for good, by anna" in anna.face.shown
    again = guarded.peer()
    again.send("hello", version=1, nick=nick)
    again.expect_error("banned", closes=True)
    anna.enter(f"/unban {nick}", "/unban 10.0.0.0/8", "/unban @10.0.0.1", "/bans")
    anna.see("bans: none")
    anna.enter("/lock")
    anna.see("nobody new is let in")
    anna.enter("/topic -", "/unlock")
    anna.see("whoever comes is let in again")
    assert KEY not in anna.face.shown


def test_what_an_operator_may_not_do_is_told_and_answers_nothing_else(
    ruling: tuple[Person, Peer],
) -> None:
    anna, _ = ruling
    anna.enter("/op wrong", "/who", "/kick nobody-here", "/history", "/kick anna")
    anna.until(lambda: "not done: that is you" in anna.face.shown)
    shown = anna.face.shown
    told = [
        "no operator's key",
        "in lobby: ",
        "there is no nobody-here",
        "has been said",
    ]
    assert [shown.index(text) for text in told] == sorted(map(shown.index, told))


def test_who_is_an_operator_stays_one_over_a_lost_connection(
    ruling: tuple[Person, Peer],
) -> None:
    anna, _ = ruling
    anna.cut()
    anna.until(lambda: anna.client.session.settled)
    anna.enter("/topic still here")
    anna.see("anna has set the topic: still here")


def test_who_is_no_operator_is_told(pair: tuple[Person, Peer]) -> None:
    anna, _ = pair
    anna.enter("/lock", "/who")
    anna.until(lambda: f"in {anna.client.session.room}: " in anna.face.shown)
    assert "not done: that is for operators (/op)" in anna.face.shown


def test_who_is_hit_reads_why(guarded: Server) -> None:
    boss, eve = guarded.member("boss"), Person(guarded.address, "lobby", "eve")
    boss.send("op", do="login", key=KEY)
    boss.send("op", do="mute", nick="eve", seconds=600, reason="noise")
    eve.see("MUTED: ")
    eve.enter("and now?")
    eve.see("not done: ")
    assert not eve.client.session.outbox.unanswered
    boss.send("op", do="ban", nick="eve", reason="more noise")
    eve.until(lambda: eve.loop._stopping)
    assert "KICKED (banned)" in eve.face.shown
    assert "(more noise)" in eve.face.shown
    assert eve.client.outcome() == EXIT_KICKED
    eve.loop.tick(0)
    eve.loop.close()
