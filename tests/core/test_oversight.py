"""What operators do (protocol.md, section 8), one small scene for each.

Everything at once, against a model, is in ``test_chat_machine.py``.
"""

import re
from math import inf

import pytest

from chatroom.core import messages, requests
from chatroom.core import orders as orders_module
from chatroom.core.chat import Rules
from chatroom.core.operators import Operators
from chatroom.core.orders import Kind, Order
from chatroom.core.requests import Hello, Op, Say
from chatroom.core.sessions import Peer, digest
from tests.support.stage import WALL, Stage


@pytest.fixture
def stage() -> Stage:
    """Give a chat with an operator's key for ``root``."""
    stage = Stage()
    stage.chat.oversight.appoint(Operators({digest("key"): "root"}), stage.now)
    return stage


def operator(stage: Stage, nick: str = "op", room: str = "lobby") -> Peer:
    """Return an operator who is here by that nick."""
    peer = stage.member(nick, room)
    assert stage.send(peer, Op("login", key="key")) == [("op", "login")]
    return peer


def text_of(stage: Stage, peer: Peer) -> str:
    """Return the text of the last that *peer* was told."""
    stage.flush()
    text = getattr(stage.told[peer][-1], "text", None)
    assert isinstance(text, str)
    return text


# -- who is one -------------------------------------------------------------------

WANTED = (
    *(Op(do, "bob") for do in ("kick", "ban", "unban", "mute", "unmute", "pardon")),
    *(Op("ban", None, "10.0.0.1"), Op("bans"), Op("topic", topic="tea"), Op("lock")),
    *(Op("unlock"), Op("dance", wrong="x"), Op("kick", wrong="x")),
)


@pytest.mark.parametrize("request_", WANTED, ids=lambda op: str(op.do))
def test_nobody_else_may_do_any_of_it(stage: Stage, request_: Op) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    assert stage.send(ann, request_) == [("error", "not-allowed", None)]
    assert stage.take(bob) == []
    assert not bob.gone
    assert stage.records == []


@pytest.mark.parametrize("request_", WANTED[-2:], ids=lambda op: str(op.do))
def test_an_operator_is_told_what_is_wrong(stage: Stage, request_: Op) -> None:
    assert stage.send(operator(stage), request_) == [("error", "malformed", None)]


def test_a_wrong_key_is_refused_and_nothing_else_happens(stage: Stage) -> None:
    ann = stage.member("ann")
    assert stage.send(ann, Op("login", key="KEY")) == [("error", "not-allowed", None)]
    assert stage.send(ann, Op("lock")) == [("error", "not-allowed", None)]
    assert stage.say(ann, "hello")[0][0] == "message"


@pytest.mark.parametrize(
    ("secure", "local", "good"),
    [(True, False, True), (False, True, True), (False, False, False)],
)
def test_no_key_is_taken_in_plain_text_from_elsewhere(
    stage: Stage, secure: bool, local: bool, good: bool
) -> None:
    peer = stage.connect(secure=secure)
    peer.local = local
    stage.send(peer, Hello(1, "ann"))
    login = Op("login", key="key")
    assert stage.chat.is_guess(peer, login) == good
    answer = ("op", "login") if good else ("error", "not-allowed", None)
    assert stage.send(peer, login) == [answer]
    if not good:
        assert "TLS" in text_of(stage, peer)


def test_without_operators_no_key_is_a_guess(stage: Stage) -> None:
    stage.chat.oversight.appoint(Operators(), stage.now)
    ann = stage.member("ann")
    assert not stage.chat.is_guess(ann, Op("login", key="key"))
    assert not stage.chat.is_guess(ann, Op("kick", "bob"))


def test_the_nick_of_an_operator_is_taken_until_the_key_is_shown(stage: Stage) -> None:
    for nick in ("root", "ROOT"):
        peer = stage.connect()
        assert stage.send(peer, Hello(1, nick)) == [("error", "nick-taken", None)]
    op = stage.member("op")
    assert stage.send(op, requests.Nick("root")) == [("error", "nick-taken", None)]
    stage.send(op, Op("login", key="key"))
    assert stage.send(op, requests.Nick("Root")) == [("renamed", "lobby", "op", "Root")]


def test_an_operator_comes_back_as_one_and_with_his_nick(stage: Stage) -> None:
    op = operator(stage)
    stage.send(op, requests.Nick("root"))
    token = stage.tokens[op]
    stage.chat.lost(op, stage.now)
    again, lines = stage.hello("x", session=token)
    assert lines[0] == ("welcome", "root", 0, None)
    assert stage.send(again, Op("lock")) == [("op", "lock")]


def test_an_operator_is_none_when_the_key_is_gone(stage: Stage) -> None:
    op, ann = operator(stage), stage.member("ann")
    stage.send(op, requests.Nick("root"))
    stage.take(ann)
    away = operator(stage, "other")
    token = stage.tokens[away]
    stage.chat.lost(away, stage.now)
    for peer in (op, ann):
        stage.take(peer)
    new = Operators({digest("new key"): "root"})
    stage.chat.oversight.appoint(new, stage.now)
    renamed = ("renamed", "lobby", "root", "guest-1")
    assert stage.take(op) == [("error", "not-allowed", None), renamed]
    assert stage.take(ann) == [renamed]
    assert stage.send(op, Op("lock")) == [("error", "not-allowed", None)]
    back, _ = stage.hello("other", session=token)
    assert stage.send(back, Op("lock")) == [("error", "not-allowed", None)]
    assert stage.send(op, Op("login", key="new key"))[-1] == ("op", "login")


def test_the_same_file_read_again_is_no_news(stage: Stage) -> None:
    op, ann = operator(stage), stage.member("ann")
    stage.take(op)
    stage.chat.oversight.appoint(Operators({digest("key"): "root"}), stage.now)
    assert stage.take(op) == stage.take(ann) == []


# -- kick, ban --------------------------------------------------------------------


def test_a_kick_tells_who_and_why_and_ends_the_session(stage: Stage) -> None:
    op, bob = operator(stage), stage.member("bob", "tea")
    ann = stage.member("ann", "tea")
    token = stage.tokens[bob]
    assert stage.send(op, Op("kick", "BOB", reason="be nice")) == [("op", "kick")]
    assert stage.take(bob) == [("kick", "operator")]
    text = text_of(stage, bob)
    assert "op" in text
    assert "(be nice)" in text
    assert "come back" in text
    assert stage.take(ann) == [("left", "tea", "bob", "operator")]
    assert stage.say(bob, "but") == []
    again, lines = stage.hello("bob", session=token)
    assert lines[0] == ("welcome", "bob", 0, None)
    assert stage.tokens[again] != token
    assert stage.records == [("login", "root"), ("kick", "bob")]


@pytest.mark.parametrize("do", ["kick", "pardon"])
def test_nobody_is_there_to_be_kicked_or_pardoned(stage: Stage, do: str) -> None:
    op = operator(stage)
    assert stage.send(op, Op(do, "bob")) == [("error", "no-such-nick", None)]
    assert stage.send(op, Op(do, "-")) == [("error", "nick-invalid", None)]


@pytest.mark.parametrize("do", ["kick", "ban", "mute"])
def test_nobody_does_it_to_himself(stage: Stage, do: str) -> None:
    op = operator(stage)
    assert stage.send(op, Op(do, "Op")) == [("error", "not-allowed", None)]
    assert not op.gone


@pytest.mark.parametrize(
    ("reason", "code"), [("\u202e", "text-invalid"), ("x" * 401, "text-too-long")]
)
@pytest.mark.parametrize("do", ["kick", "ban", "mute"])
def test_a_reason_is_a_text(stage: Stage, do: str, reason: str, code: str) -> None:
    op, bob = operator(stage), stage.member("bob")
    answer = stage.send(op, Op(do, "bob", reason=reason))
    assert answer == [("error", code, None)]
    assert stage.take(bob) == []
    assert len(stage.chat.oversight.orders) == 0


def test_a_ban_of_a_nick_holds_over_all_ways_back(stage: Stage) -> None:
    op, bob = operator(stage), stage.member("bob")
    token = stage.tokens[bob]
    assert stage.send(op, Op("ban", "Bob", seconds=600, reason="spam")) == [
        ("left", "lobby", "bob", "banned"),
        ("op", "ban"),
    ]
    assert stage.take(bob) == [("kick", "banned")]
    text = text_of(stage, bob)
    assert all(word in text for word in ("op", "for 10 minutes", "(spam)", "ask"))
    for session in (token, None):
        peer, lines = stage.hello("BOB", session=session)
        assert lines == [("error", "banned", None)]
        assert peer in stage.closed
    assert "for 10 minutes (spam)" in text_of(stage, peer)
    other, lines = stage.hello("bobby")
    assert lines[0][0] == "welcome"
    assert stage.send(other, requests.Nick("bob")) == [("error", "banned", None)]
    stage.wait(599.5)
    assert stage.send(other, requests.Nick("bob")) == [("error", "banned", None)]
    stage.wait(0.5)
    assert stage.send(other, requests.Nick("bob"))[0][0] == "renamed"


def test_a_session_that_was_away_is_banned_with_its_nick(stage: Stage) -> None:
    op, bob = operator(stage), stage.member("bob")
    token = stage.tokens[bob]
    stage.chat.lost(bob, stage.now)
    stage.take(op)
    assert stage.send(op, Op("ban", "bob")) == [("op", "ban")]
    _, lines = stage.hello("other", session=token)
    assert lines == [("error", "banned", None)]


@pytest.mark.parametrize(
    ("banned", "address", "hit"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.0/24", "192.0.2.8", True),
        ("2001:db8::1", "2001:db8::/64", True),
        ("2001:db8:0:1::1", "2001:db8::/64", False),
        ("2001:db8::/32", "2001:db8:5::/64", True),
    ],
)
def test_a_ban_of_an_address_holds_whatever_the_nick(
    stage: Stage, banned: str, address: str, hit: bool
) -> None:
    op, bob = operator(stage), stage.member("bob", address=address)
    token = stage.tokens[bob]
    stage.take(op)
    stage.send(op, Op("ban", None, banned, reason="flood"))
    assert bob.gone == hit
    assert stage.take(bob) == ([("kick", "banned")] if hit else [])
    for session in (None, token):
        peer, lines = stage.hello("carol", session=session, address=address)
        assert (lines == [("error", "banned", None)]) == hit
        stage.chat.lost(peer, stage.now)
    stage.send(op, Op("unban", None, banned))
    _, lines = stage.hello("carol", address=address)
    assert lines[0][0] == "welcome"


def test_the_address_is_looked_at_before_version_and_password() -> None:
    stage = Stage(Rules(password=digest("tea"), max_clients=1))
    stage.chat.oversight.orders.give(
        Order(Kind.ADDRESS, "192.0.2.0/24", "192.0.2.0/24", "op", "")
    )
    peer = stage.connect()
    assert stage.send(peer, Hello(2, "x")) == [("error", "banned", None)]
    peer = stage.connect("203.0.113.1")
    assert stage.send(peer, Hello(2, "x")) == [("error", "version", None)]


def test_operators_are_not_hit_by_a_ban_of_where_they_are(stage: Stage) -> None:
    op = stage.member("op", address="192.0.2.7")
    stage.send(op, Op("login", key="key"))
    bob = stage.member("bob", address="192.0.2.7")
    stage.take(op)
    assert stage.send(op, Op("ban", None, "192.0.2.7"))[-1] == ("op", "ban")
    assert "you are there too" in text_of(stage, op)
    assert bob.gone
    token = stage.tokens[op]
    stage.chat.lost(op, stage.now)
    back, lines = stage.hello(session=token, address="192.0.2.7")
    assert lines[0] == ("welcome", "op", 0, None)
    assert stage.send(back, Op("unban", None, "192.0.2.7")) == [("op", "unban")]


def test_what_was_not_banned_is_told_so(stage: Stage) -> None:
    op = operator(stage)
    for request in (Op("unban", "bob"), Op("unban", None, "10.0.0.1"), Op("unlock")):
        assert stage.send(op, request) == [("op", request.do)]
        assert "not" in text_of(stage, op)
    assert stage.send(op, Op("unban", None, "x")) == [("error", "malformed", None)]
    assert stage.records == [("login", "root")]


def test_bans_are_listed_in_order_from_anywhere(stage: Stage) -> None:
    op = operator(stage)
    for nick in ("Zoë", "ann", "ﬁn"):
        stage.send(op, Op("ban", nick, seconds=60))
    stage.send(op, Op("ban", None, "10.0.0.0/8", reason="x"))
    stage.send(op, Op("mute", "mia"))
    all_of_them = (
        ("10.0.0.0/8", 0, "op"),
        *((nick, WALL + 60_000, "op") for nick in ("ann", "ﬁn", "Zoë")),
    )
    assert stage.send(op, Op("bans")) == [("bans", all_of_them)]
    for place, (target, _, _) in enumerate(all_of_them):
        rest = all_of_them[place + 1 :]
        assert stage.send(op, Op("bans", after=target)) == [("bans", rest)]
    listed = stage.told[op][-1]
    assert isinstance(listed, messages.Bans)
    stage.wait(60)
    assert stage.send(op, Op("bans")) == [("bans", all_of_them[:1])]


def test_a_ban_of_the_same_takes_the_place_of_the_old(stage: Stage) -> None:
    op = operator(stage)
    stage.send(op, Op("ban", "bob"))
    stage.send(op, Op("ban", "BOB", seconds=60))
    assert stage.send(op, Op("bans")) == [("bans", (("BOB", WALL + 60_000, "op"),))]


def test_orders_are_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders_module, "MAX_ORDERS", 2)
    op = operator(stage)
    for nick in ("a", "b", "b"):
        assert stage.send(op, Op("ban", nick)) == [("op", "ban")]
    for request in (Op("ban", "c"), Op("mute", "c"), Op("lock")):
        assert stage.send(op, request) == [("error", "full", None)]
    assert stage.send(op, Op("topic", topic="tea")) == [("error", "full", None)]


# -- mute, pardon -----------------------------------------------------------------


def test_who_is_mute_is_told_and_says_nothing(stage: Stage) -> None:
    op, bob = operator(stage), stage.member("bob")
    stage.take(op)
    assert stage.send(op, Op("mute", "bob", seconds=60, reason="loud")) == [
        ("op", "mute")
    ]
    assert stage.take(bob) == [("error", "muted", None)]
    text = text_of(stage, bob)
    assert all(word in text for word in ("op", "for 1 minute", "(loud)", "ask"))
    assert stage.say(bob, "but", "r1") == [("error", "muted", "r1")]
    assert stage.say(bob, "BUT", "r2") == [("error", "muted", "r2")]
    assert stage.say(bob, "") == [("error", "text-invalid", None)]
    for text in ("psst", "PSST", "!leave"):
        whisper = requests.Whisper("nobody", text, "r3")
        assert stage.send(bob, whisper) == [("error", "muted", "r3")]
    assert stage.take(op) == []
    assert stage.send(bob, requests.Ping()) == [("pong", None)]
    stage.wait(60)
    assert stage.say(bob, "at last")[0][:2] == ("message", "lobby")
    assert stage.say(bob, "BUT")[0][:3] == ("warning", "shouting", 1)


def test_who_is_mute_can_leave(stage: Stage) -> None:
    op, bob = operator(stage), stage.member("bob")
    stage.send(op, Op("mute", "bob"))
    stage.take(bob)
    assert stage.say(bob, " !leave ") == [("kick", "leave")]


def test_a_mute_goes_along_with_the_session_and_stays_with_the_nick(
    stage: Stage,
) -> None:
    op, bob = operator(stage), stage.member("bob")
    stage.send(op, Op("mute", "bob"))
    stage.send(bob, requests.Nick("robert"))
    assert stage.say(bob, "x") == [("error", "muted", None)]
    token = stage.tokens[bob]
    stage.chat.lost(bob, stage.now)
    bob, _ = stage.hello(session=token)
    assert stage.say(bob, "x") == [("error", "muted", None)]
    new, _ = stage.hello("bob")
    assert stage.say(new, "x") == [("error", "muted", None)]
    stage.send(new, requests.Nick("somebody"))
    assert stage.say(new, "x") == [("error", "muted", None)]
    third = stage.member("third")
    stage.send(third, requests.Nick("Bob"))
    assert stage.say(third, "x") == [("error", "muted", None)]
    stage.take(op)
    assert stage.send(op, Op("unmute", "robert"))[-1] == ("op", "unmute")
    for peer in (bob, new, third):
        assert stage.say(peer, "x")[-1][0] == "message"


def test_nobody_is_there_to_be_muted_yet(stage: Stage) -> None:
    op = operator(stage)
    assert stage.send(op, Op("mute", "bob")) == [("op", "mute")]
    assert "nobody" in text_of(stage, op)
    bob = stage.member("bob")
    assert stage.say(bob, "x") == [("error", "muted", None)]
    stage.take(op)
    assert stage.send(op, Op("unmute", "bob")) == [("op", "unmute")]
    assert stage.send(op, Op("unmute", "bob")) == [("op", "unmute")]
    assert "was not mute" in text_of(stage, op)


def test_a_pardon_is_of_all_strikes_here_and_away(stage: Stage) -> None:
    op, bob = operator(stage), stage.member("bob")
    stage.say(bob, "LOUD")
    stage.take(op)
    assert stage.send(op, Op("pardon", "bob")) == [("op", "pardon")]
    assert "there were 1" in text_of(stage, op)
    assert stage.say(bob, "LOUD")[0][:3] == ("warning", "shouting", 1)
    token = stage.tokens[bob]
    stage.chat.lost(bob, stage.now)
    stage.take(op)
    stage.chat.sessions.changed.clear()
    assert stage.send(op, Op("pardon", "BOB")) == [("op", "pardon")]
    assert len(stage.chat.sessions.changed) == 1
    _, lines = stage.hello(session=token)
    assert lines[0] == ("welcome", "bob", 0, None)


# -- topic, lock ------------------------------------------------------------------


def test_a_topic_is_of_one_room_and_greets_who_enters(stage: Stage) -> None:
    op, ann = operator(stage, room="tea"), stage.member("ann", "tea")
    bob = stage.member("bob")
    stage.take(op)
    topic = ("topic", "tea", "Darjeeling", "op")
    assert stage.send(op, Op("topic", topic="Darjeeling")) == [topic, ("op", "topic")]
    assert stage.take(ann) == [topic]
    assert stage.take(bob) == []
    _, lines = stage.hello("carol", "tea")
    assert lines[1] == ("room", "tea", 0, 3, "Darjeeling")
    stage.take(op)
    assert stage.send(op, Op("topic", topic=""))[0] == ("topic", "tea", "", "op")
    _, lines = stage.hello("dora", "tea")
    assert lines[1] == ("room", "tea", 0, 4)


def test_a_topic_ends_with_its_room(stage: Stage) -> None:
    op = operator(stage, room="tea")
    stage.send(op, Op("topic", topic="Darjeeling"))
    stage.send(op, requests.Join("lobby"))
    assert len(stage.chat.oversight.orders) == 0
    assert stage.send(op, requests.Join("tea")) == [("room", "tea", 0, 1)]


@pytest.mark.parametrize(
    ("topic", "code"),
    [("x" * 401, "text-too-long"), (" ", "text-invalid"), ("\x1b", "text-invalid")],
)
def test_a_topic_is_a_text(stage: Stage, topic: str, code: str) -> None:
    op = operator(stage)
    assert stage.send(op, Op("topic", topic=topic)) == [("error", code, None)]
    assert stage.send(op, Op("topic", topic="x" * 400))[-1] == ("op", "topic")


def test_a_lock_keeps_out_who_is_new_and_nobody_else(stage: Stage) -> None:
    op, bob = operator(stage), stage.member("bob")
    token = stage.tokens[bob]
    stage.take(op)
    assert stage.send(op, Op("lock")) == [("op", "lock")]
    for session in (None, "unknown"):
        peer, lines = stage.hello("new", session=session)
        assert lines == [("error", "not-allowed", None)]
        assert peer in stage.closed
    assert "op has locked" in text_of(stage, peer)
    stage.chat.lost(bob, stage.now)
    assert stage.hello(session=token)[1][0][0] == "welcome"
    assert stage.hello(session=token)[1][0][0] == "welcome"
    stage.take(op)
    assert stage.send(op, Op("unlock")) == [("op", "unlock")]
    assert stage.hello("new")[1][0][0] == "welcome"


# -- a restart --------------------------------------------------------------------


def test_what_was_kept_holds_again(stage: Stage) -> None:
    op, bob = operator(stage, room="tea"), stage.member("bob")
    stage.say(op, "so that the room lasts")
    stage.send(op, Op("ban", "eve", seconds=60))
    stage.send(op, Op("ban", None, "10.0.0.0/8"))
    stage.send(op, Op("mute", "bob"))
    stage.send(op, Op("topic", topic="Darjeeling"))
    stage.send(op, Op("lock"))
    stage.send(op, Op("ban", "short", seconds=1))
    first = stage.chat
    kept = [o for o in first.oversight.orders.changed.values() if o is not None]
    assert {o.kind for o in kept} == set(Kind)
    assert {o.ends for o in kept} == {inf, stage.now + 60, stage.now + 1}
    first.dismiss_all("shutdown", "down", stage.now)
    token, own = stage.tokens[bob], stage.tokens[op]
    stage.flush()
    stage.now += 2

    after = Stage()
    after.kept, after.now = stage.kept, stage.now
    after.chat.restore(["tea"], first.sessions, kept, after.now)
    after.chat.oversight.appoint(Operators({digest("key"): "root"}), after.now)
    assert after.chat.oversight.orders.changed == {(Kind.NICK, "short"): None}
    assert after.hello("new")[1] == [("error", "not-allowed", None)]
    bob, lines = after.hello(session=token)
    assert lines[0][:2] == ("welcome", "bob")
    assert after.say(bob, "x") == [("error", "muted", None)]
    op, lines = after.hello(room="tea", session=own)
    assert lines[1] == ("room", "tea", 1, 1, "Darjeeling")
    assert after.send(op, Op("unlock")) == [("op", "unlock")]
    assert after.hello("eve")[1] == [("error", "banned", None)]
    assert after.hello("x", address="10.1.1.1")[1] == [("error", "banned", None)]


# -- what is told -----------------------------------------------------------------


def test_nothing_that_is_told_is_more_than_a_line(stage: Stage) -> None:
    op = operator(stage)
    for name in ("bob", "carol", "dan"):
        stage.member(name)
    for request in (
        Op("kick", "bob", reason="x"),
        Op("ban", "carol", seconds=90),
        Op("mute", "dan"),
        Op("ban", None, "10.0.0.0/8"),
        Op("pardon", "dan"),
        Op("topic", topic="tea"),
        Op("lock"),
        Op("unlock"),
        Op("unmute", "dan"),
    ):
        assert stage.send(op, request)[-1] == ("op", request.do)
    texts = [
        text
        for told in stage.told.values()
        for message in told
        if (text := getattr(message, "text", None)) is not None
    ]
    for text in texts:
        assert re.fullmatch(r"[^\n]{5,400}", text), text


def test_what_is_hit_has_no_effect_behind_it(stage: Stage) -> None:
    op, bob = operator(stage), stage.member("bob")
    stage.decide(op, Op("kick", "bob"))
    stage.decide(bob, Say("I did not"))
    assert stage.take(bob) == [("kick", "operator")]
    assert stage.take(op)[-1] == ("op", "kick")
