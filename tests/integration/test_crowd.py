"""Many at once: one order for all, whatever some of them do to the server."""

import random
import struct
from pathlib import Path

import pytest

from tests.integration.conftest import Start
from tests.support.crowd import Crowd
from tests.support.peer import Peer, encode, ids, types
from tests.support.server import Server
from tests.support.waiting import fresh

OPTIONS = ("--max-clients-per-ip", "0")

MANY = 200
EACH = 3


def hostile(server: Server, room: str, number: int) -> None:
    """One who comes in between and behaves badly, each in another way."""
    chance = random.Random(number)
    kind = number % 7
    if kind == 0:  # reads nothing, ever
        peer = server.peer(rcvbuf=4096)
        peer.hello(room=room)
    elif kind == 1:  # resets in the middle of a frame
        peer = server.peer()
        peer.hello(room=room)
        peer.send_raw(encode("say", text="never finished")[:20])
        peer.reset()
    elif kind == 2:  # half-closes in the middle of a frame
        peer = server.peer()
        peer.hello(room=room)
        peer.send_raw(struct.pack("!I", 500) + b'{"type":"say"')
        peer.half_close()
    elif kind == 3:  # random bytes first
        peer = server.peer()
        peer.send_raw(chance.randbytes(2000))
    elif kind == 4:  # random bytes as frames
        peer = server.peer()
        peer.hello(room=room)
        for _ in range(20):
            size = chance.randint(1, 300)
            peer.send_raw(struct.pack("!I", size) + chance.randbytes(size))
    elif kind == 5:  # shouts until it is kicked, and never closes
        peer = server.peer()
        peer.hello(room=room)
        peer.send_raw(encode("say", text="LOUD") * 10)
    else:  # connects, and is gone
        server.peer().reset()


def test_all_see_the_same_order(server: Server) -> None:
    room = fresh("room")
    peers = [server.member(room=room) for _ in range(MANY)]
    crowd = Crowd(peers)
    members = crowd.members

    def arrived() -> bool:
        return members[0].count("joined") == MANY - 1

    crowd.serve(arrived, "everybody has come")
    for turn in range(EACH):
        for index, member in enumerate(members):
            member.outgoing += encode("say", text=f"{index}.{turn}", ref=f"r{turn}")
            if index % 20 == turn:
                hostile(server, room, index // 20 + turn)
        goal = (turn + 1) * MANY

        def heard(goal: int = goal) -> bool:
            return all(member.count("message") == goal for member in members)

        crowd.serve(heard, "everybody has heard everything")
    news = [
        [payload for payload in member.payloads if payload[9:13] == b"mess"]
        for member in members
    ]
    assert all(one == news[0] for one in news)
    said = members[0].frames("message")
    assert [frame["id"] for frame in said] == list(range(1, MANY * EACH + 1))
    expected = {f"{index}.{turn}" for index in range(MANY) for turn in range(EACH)}
    assert {frame["text"] for frame in said} == expected
    for index, member in enumerate(members):
        mine = [f["text"] for f in said if f["from"] == member.peer.nick]
        assert mine == [f"{index}.{turn}" for turn in range(EACH)]
    assert not any(member.over for member in members)
    assert not any(member.count("error") for member in members)


def test_all_come_and_go_in_the_same_order(server: Server) -> None:
    """Two who were there from the start saw the very same bytes."""
    room = fresh("room")
    watchers = server.crew("anna", "bob", room=room)
    for number in range(28):
        hostile(server, room, number)
    passing = [server.member(room=room) for _ in range(20)]
    for peer in passing:
        peer.say("hello")
        peer.send("nick", nick=fresh("changed"))
        peer.say("!leave")
    for peer in passing:
        assert types(peer.rest())[-1] == "kick"
    seen = []
    for watcher in watchers:
        frames = watcher.recv_until(
            lambda frame: frame.type == "left" and frame["reason"] == "leave"
        )
        while sum(f.get("reason") == "leave" for f in frames) < len(passing):
            frames.append(watcher.recv())
        seen.append(frames)
    shortest = min(len(frames) for frames in seen)
    assert seen[0][:shortest] == seen[1][:shortest]
    here: set[str] = {watcher.nick for watcher in watchers}
    for frame in seen[0]:
        if frame.type == "joined":
            assert frame["nick"] not in here
            here.add(frame["nick"])
        elif frame.type == "renamed":
            here.remove(frame["old"])
            here.add(frame["new"])
        elif frame.type == "left":
            here.remove(frame["nick"])
        else:
            assert frame["from"] in here
    assert len(ids(seen[0])) == len(passing)


@pytest.mark.parametrize("kind", ["frames", "garbage"])
def test_the_kick_reaches_one_who_keeps_sending(server: Server, kind: str) -> None:
    anna, bob = server.crew("anna", "bob")
    crowd = Crowd([anna])
    (member,) = crowd.members
    member.outgoing += encode("say", text="LOUD") + encode("say", text="LOUD AGAIN")
    more = encode("say", text="x" * 4000) if kind == "frames" else b"\xff" * 4000
    member.outgoing += more * 2000

    def over() -> bool:
        if not member.over and len(member.outgoing) < 1 << 20:
            member.outgoing.extend(more * 200)
        return member.over

    crowd.serve(over, "the end of the connection")
    assert member.broken is None
    assert [frame["type"] for frame in member.frames()] == ["warning", "kick"]
    assert member.frames()[-1]["reason"] == "shouting"
    bob.expect("left", nick=anna.nick, reason="shouting")
    bob.expect_nothing()


def test_a_fatal_error_reaches_one_who_keeps_sending(server: Server) -> None:
    anna = server.member("anna")
    crowd = Crowd([anna])
    (member,) = crowd.members
    member.outgoing += b"\xff" * (4 << 20)
    crowd.serve(lambda: member.over, "the end of the connection")
    assert member.broken is None
    assert [frame.get("code") for frame in member.frames()] == ["bad-frame"]


def test_a_half_close_is_answered_to_the_end(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_all(
        *(encode("say", text=f"line {number}") for number in range(20)),
        encode("history"),
        encode("who"),
        encode("ping", data="last"),
    )
    anna.half_close()
    frames = anna.rest()
    assert types(frames) == ["message"] * 20 + ["history", "members", "pong"]
    seen = bob.recv_until(lambda frame: frame.type == "left")
    assert len(ids(seen)) == 20
    assert seen[-1]["reason"] == "lost"
    server.expect_rest()


def test_a_half_close_before_anything(server: Server) -> None:
    peer = server.peer()
    peer.half_close()
    assert types(peer.rest()) in ([], ["error"])
    peer = server.peer()
    peer.send("hello", version=1)
    peer.half_close()
    assert types(peer.rest()) == ["welcome", "room"]


def test_a_thousand_connect_and_reset(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    lines = len(server.log_lines())
    for _ in range(1000):
        Peer(server.address).reset()
    anna.say("undisturbed")
    bob.expect("message")
    server.expect_rest()
    assert len(server.log_lines()) - lines <= 2010


def test_many_who_go_at_once(server: Server) -> None:
    """Each is announced once, though each dies while others are being told."""
    room = fresh("room")
    anna, bob = server.crew("anna", "bob", room=room)
    others = [server.member("other", room=room) for _ in range(100)]
    nicks = {peer.nick for peer in others}
    anna.sync()
    for index, peer in enumerate(others):
        if index % 2:
            peer.reset()
        else:
            peer.close()
    anna.say("who is left?")
    gone: list[str] = []
    while len(gone) < len(others):
        frame = bob.recv()
        if frame.type == "left":
            assert frame["reason"] == "lost"
            gone.append(frame["nick"])
    assert sorted(gone) == sorted(nicks)
    assert set(types(bob.sync())) <= {"message"}
    bob.send("who")
    assert bob.expect("members")["members"] == sorted([anna.nick, bob.nick])


def test_random_bytes_at_every_stage(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    for seed in range(150):
        chance = random.Random(seed)
        with server.peer() as peer:
            if chance.random() < 0.6:
                peer.hello(room=fresh("room"))
            for _ in range(chance.randint(1, 10)):
                data = bytearray(encode("say", text="mutated", ref="r"))
                for _ in range(chance.randint(0, 4)):
                    data[chance.randrange(4, len(data))] = chance.randrange(256)
                if chance.random() < 0.3:
                    data = bytearray(chance.randbytes(chance.randint(1, 200)))
                try:
                    peer.send_raw(bytes(data))
                except OSError:
                    break
    anna.say("undisturbed")
    bob.expect("message")
    anna.expect("message")
    anna.expect_nothing()


def test_500_lines_at_once_arrive(start: Start) -> None:
    """Five hundred frames at once take a while, and all of them come."""
    server = start("--rate", "1000")
    anna, bob = server.crew("anna", "bob")
    crowd = Crowd([anna, bob])
    sender, listener = crowd.members
    for number in range(500):
        sender.outgoing += encode("say", text=f"line {number}")
    crowd.serve(lambda: listener.count("message") == 500, "all lines")
    assert [frame["text"] for frame in listener.frames("message")] == [
        f"line {number}" for number in range(500)
    ]


def test_after_a_restart_all_come_back_at_once(start: Start, tmp_path: Path) -> None:
    """Nobody is kept out for coming with many others, from one address at that."""
    history = ("--history", str(tmp_path / "history.db"))
    first = start(*history, "--max-clients-per-ip", "0")
    room = fresh("room")
    old = [first.member(room=room) for _ in range(400)]
    sessions = [(peer.session, peer.nick) for peer in old]
    assert first.stop() == 0
    again = start(*history, "--max-clients-per-ip", "0")
    peers = []
    for session, nick in sessions:
        peers.append(again.peer())
        peers[-1].send("hello", version=1, session=session, nick=nick, room=room)
    crowd = Crowd(peers)
    crowd.serve(
        lambda: all(member.count("room") for member in crowd.members), "all are in"
    )
    for member, (session, nick) in zip(crowd.members, sessions, strict=True):
        (welcome,) = member.frames("welcome")
        assert (welcome["nick"], welcome["session"]) == (nick, session)
