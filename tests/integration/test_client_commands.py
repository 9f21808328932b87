"""What a person does in the chat, on a real server, by a face that remembers."""

import socket
from collections.abc import Callable, Iterator

import pytest

from chatroom.client.client import Client
from chatroom.client.options import Options
from chatroom.client.render import Renderer
from chatroom.net.loop import Loop
from tests.client.fakes import FakeFace, tick_until
from tests.integration.conftest import Start
from tests.support.peer import Peer
from tests.support.server import Server
from tests.support.waiting import fresh

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
