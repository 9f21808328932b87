"""Coming back with a session: the nick, the strikes, and the old connection."""

import pytest

from tests.integration.conftest import Start
from tests.support.peer import Frame, Peer, encode, types
from tests.support.server import Server
from tests.support.waiting import fresh, wait_for

OPTIONS = ("--rate", "0")


def resume(server: Server, session: str, **fields: object) -> tuple[Peer, Frame]:
    """Connect with a session and give the welcome."""
    peer = server.peer()
    welcome, _ = peer.hello(session=session, **fields)
    return peer, welcome


def gone(peer: Peer, witness: Peer) -> None:
    """Lose a connection and wait until that is noticed."""
    peer.reset()
    witness.expect("left", nick=peer.nick, reason="lost")


def test_back_under_the_same_nick(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    room = anna.history()["room"]
    gone(anna, bob)
    again, welcome = resume(server, anna.session, room=room)
    assert welcome["nick"] == anna.nick
    assert welcome["session"] == anna.session
    assert welcome["strikes"] == 0
    bob.expect("joined", nick=anna.nick)
    again.say("back")
    bob.expect("message", from_=anna.nick)


def test_more_than_once(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    last = anna
    for _ in range(3):
        gone(last, bob)
        last, welcome = resume(server, anna.session, room=bob.history()["room"])
        assert welcome["nick"] == anna.nick
        bob.expect("joined", nick=anna.nick)


def test_a_guest_comes_back_too(server: Server) -> None:
    (bob,) = server.crew("bob")
    guest = server.peer()
    guest.hello(room=bob.history()["room"])
    bob.expect("joined")
    gone(guest, bob)
    _, welcome = resume(server, guest.session)
    assert welcome["nick"] == guest.nick


def test_the_nick_of_the_session_goes_before_the_given_one(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    gone(anna, bob)
    _, welcome = resume(server, anna.session, nick=fresh("other"))
    assert welcome["nick"] == anna.nick


def test_back_under_the_nick_one_had_taken(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    nick = fresh("annie")
    anna.send("nick", nick=nick)
    bob.expect("renamed")
    anna.reset()
    bob.expect("left", nick=nick)
    _, welcome = resume(server, anna.session)
    assert welcome["nick"] == nick


def test_the_room_is_as_asked(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    gone(anna, bob)
    again = server.peer()
    _, room = again.hello(session=anna.session)
    assert room["room"] == "lobby"


@pytest.mark.parametrize("session", ["", "nonsense", "x" * 1000, "é\n\0", "0" * 32])
def test_an_unknown_session_is_ignored(server: Server, session: str) -> None:
    nick = fresh("anna")
    peer, welcome = resume(server, session, nick=nick)
    assert welcome["nick"] == nick
    assert welcome["session"] != session
    assert welcome["strikes"] == 0
    peer.expect_nothing()


def test_a_new_connection_without_the_session_is_a_new_one(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("LOUD")
    anna.expect("warning")
    gone(anna, bob)
    again = server.peer()
    welcome, _ = again.hello(anna.nick)
    assert welcome["session"] != anna.session
    assert welcome["strikes"] == 0


# Strikes


def test_strikes_survive(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("LOUD")
    anna.expect("warning", strikes=1)
    gone(anna, bob)
    again, welcome = resume(server, anna.session)
    assert welcome["strikes"] == 1
    again.say("LOUD AGAIN")
    again.expect("kick", reason="shouting")
    again.expect_closed()


def test_strikes_survive_a_takeover(server: Server) -> None:
    anna = server.member("anna")
    anna.say("LOUD")
    anna.expect("warning", strikes=1)
    again, welcome = resume(server, anna.session)
    assert welcome["strikes"] == 1
    again.say("LOUD AGAIN")
    again.expect("kick", reason="shouting")


@pytest.mark.parametrize("reason", ["shouting", "leave"])
def test_a_kick_ends_the_session(server: Server, reason: str) -> None:
    anna = server.member("anna")
    if reason == "shouting":
        anna.send_all(encode("say", text="LOUD"), encode("say", text="LOUD"))
        anna.expect("warning")
    else:
        anna.say("LOUD")
        anna.expect("warning")
        anna.say("!leave")
    anna.expect("kick", reason=reason)
    anna.expect_closed()
    nick = fresh("new")
    _, welcome = resume(server, anna.session, nick=nick)
    assert welcome["session"] != anna.session
    assert welcome["strikes"] == 0
    assert welcome["nick"] == nick
    assert "last_ref" not in welcome


# last_ref


def test_last_ref_is_that_of_the_last_word_judged(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    session = anna.session
    peer, welcome = resume(server, session)
    assert "last_ref" not in welcome
    steps: list[tuple[bytes, str]] = [
        (encode("say", text="hello", ref="said"), "said"),
        (encode("whisper", to=bob.nick, text="hi", ref="whispered"), "whispered"),
        (encode("whisper", to=fresh("nobody"), text="hi", ref="lost"), "lost"),
        (encode("say", text="\x07", ref="invalid"), "invalid"),
        (encode("say", text="x" * 4001, ref="long"), "long"),
        (encode("ping", data="ping"), "long"),
        (encode("say", text="LOUD", ref="warned"), "warned"),
    ]
    for data, ref in steps:
        peer.send_raw(data)
        peer.sync()
        peer, welcome = resume(server, session)
        assert welcome["last_ref"] == ref


def test_last_ref_after_a_loss(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_all(*(encode("say", text="x", ref=f"r{n}") for n in range(5)))
    anna.recv_until(lambda frame: frame.get("ref") == "r4")
    anna.reset()
    bob.recv_until(lambda frame: frame.type == "left")
    _, welcome = resume(server, anna.session)
    assert welcome["last_ref"] == "r4"


def test_last_ref_tells_how_far_a_burst_came(server: Server) -> None:
    """Whenever the takeover comes: what others saw ends exactly with `last_ref`."""
    for length in (1, 5, 20, 100):
        anna, bob = server.crew("anna", "bob")
        room = anna.history()["room"]
        again = server.peer()
        anna.send_all(*(encode("say", text="x", ref=f"r{n}") for n in range(length)))
        again.send("hello", version=1, session=anna.session, room=room)
        welcome, _ = again.welcomed()
        again.sync()
        seen = [frame.get("ref") for frame in bob.sync()]
        assert seen == [f"r{number}" for number in range(len(seen))]
        assert welcome.get("last_ref") == (seen[-1] if seen else None)
        again.close()
        bob.expect("left", nick=anna.nick)
        bob.expect_nothing()


# Taking over


def test_in_the_same_room_the_others_see_nothing(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    room = anna.history()["room"]
    again = server.peer()
    welcome, entered = again.hello(session=anna.session, room=room)
    assert welcome["nick"] == anna.nick
    assert entered["count"] == 2
    assert anna.expect("kick", reason="replaced")["text"].strip()
    anna.expect_closed()
    bob.expect_nothing()
    again.say("it is me")
    bob.expect("message", from_=anna.nick)
    again.send("who")
    again.expect("message")
    assert again.expect("members")["members"] == sorted([anna.nick, bob.nick])
    bob.expect_nothing()


def test_from_another_room(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    (carl,) = server.crew("carl")
    again = server.peer()
    again.hello(session=anna.session, room=carl.history()["room"])
    anna.expect("kick", reason="replaced")
    anna.expect_closed()
    bob.expect("left", nick=anna.nick, reason="replaced")
    bob.expect_nothing()
    carl.expect("joined", nick=anna.nick)
    carl.expect_nothing()


def test_the_old_connection_has_no_voice_any_more(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    again = server.peer()
    again.hello(session=anna.session, room=anna.history()["room"])
    anna.send_all(
        encode("say", text="a ghost"),
        encode("nick", nick=fresh("ghost")),
        encode("say", text="LOUD"),
        encode("say", text="LOUD"),
        encode("leave"),
    )
    assert types(anna.rest()) == ["kick"]
    again.expect_nothing()
    bob.expect_nothing()
    again.say("LOUD")
    again.expect("warning", strikes=1)


def test_the_old_connections_end_ends_nothing(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    again = server.peer()
    again.hello(session=anna.session, room=anna.history()["room"])
    anna.reset()
    again.say("still here")
    bob.expect("message", from_=anna.nick)
    bob.expect_nothing()


def test_taking_over_in_a_row(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    room = anna.history()["room"]
    peers = [server.peer() for _ in range(5)]
    for peer in peers:
        peer.send("hello", version=1, session=anna.session, room=room)
    for peer in peers:
        peer.welcomed()
    survivors = []
    for peer in [anna, *peers]:
        peer.send("ping", data="me?")
        answer = peer.recv()
        if answer.type == "pong":
            survivors.append(peer)
        else:
            assert answer["reason"] == "replaced"
            peer.expect_closed()
    assert len(survivors) == 1
    bob.expect_nothing()


def test_a_refused_hello_takes_nothing_over(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    peer = server.peer()
    peer.send("hello", version=1, session=anna.session, room="No Room")
    peer.expect_error("room-invalid")
    anna.say("undisturbed")
    bob.expect("message", from_=anna.nick)
    anna.expect("message")
    peer.send("hello", version=2, session=anna.session)
    peer.expect_error("version", closes=True)
    anna.expect_nothing()


# A nick that somebody else took meanwhile


def test_the_nick_is_taken_meanwhile(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("LOUD")
    anna.expect("warning")
    gone(anna, bob)
    thief = server.peer()
    thief.hello(anna.nick)
    again = server.peer()
    again.send("hello", version=1, session=anna.session)
    again.expect_error("nick-taken")
    again.send("hello", version=1, session=anna.session, nick=bob.nick)
    again.expect_error("nick-taken")
    again.send("hello", version=1, session=anna.session, nick="-")
    again.expect_error("nick-invalid")
    other = fresh("other")
    welcome, _ = again.hello(other, session=anna.session)
    assert welcome["nick"] == other
    assert welcome["session"] == anna.session
    assert welcome["strikes"] == 1


def test_the_given_nick_is_for_that_case(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    gone(anna, bob)
    server.peer().hello(anna.nick)
    other = fresh("other")
    _, welcome = resume(server, anna.session, nick=other)
    assert welcome["nick"] == other
    assert welcome["session"] == anna.session


def test_a_lapsed_strike_is_not_brought_back(start: Start) -> None:
    """The session remembers when, not only how many."""
    server = start("--strike-lapse", "0.4", "--strikes", "3")
    anna, bob = server.crew("anna", "bob")
    anna.say("LOUD")
    anna.expect("warning", strikes=1)
    gone(anna, bob)
    seen: list[int] = []

    def lapsed() -> bool:
        with server.peer() as again:
            seen.append(again.hello(session=anna.session)[0]["strikes"])
        return seen[-1] == 0

    wait_for(lapsed, "the strike is forgotten")
    assert seen[0] == 1
    assert sorted(seen, reverse=True) == seen
