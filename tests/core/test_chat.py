"""The rules of protocol.md, sections 2, 3 and 6, one small scene for each.

What happens when many clients do everything at once is in ``test_chat_machine.py``.
"""

import math
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.core import messages, requests
from chatroom.core.chat import MAX_TRIES, Rules
from chatroom.core.moderation import Moderator
from chatroom.core.operators import Operators
from chatroom.core.requests import Hello, Invalid, Join, Say, Whisper
from chatroom.core.sessions import Peer, digest
from tests.support.stage import Line, Stage

HELLO = Hello(1, "ann")


@pytest.fixture
def stage() -> Stage:
    """Give a chat with the usual rules."""
    return Stage()


# -- the first frame --------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        Say("hello", "r1"),
        Whisper("ann", "hello"),
        requests.Nick("ann"),
        Join("lobby"),
        requests.Who(),
        requests.ListRooms(),
        requests.GetHistory(),
        requests.Leave(),
        requests.Ping(),
        requests.Pong(),
        requests.Op("login"),
        Invalid("unknown-type", "x", type="dance"),
        Invalid("malformed", "x", "r1", type="say"),
    ],
    ids=lambda request_: type(request_).__name__,
)
def test_anything_before_the_hello_is_refused(
    stage: Stage, request_: requests.Request
) -> None:
    peer = stage.connect()
    assert stage.send(peer, request_) == [("error", "hello-expected", None)]
    assert peer.gone
    assert peer in stage.closed
    assert stage.send(peer, HELLO) == []


@pytest.mark.parametrize("kind", [None, "hello"])
@pytest.mark.parametrize("code", ["malformed", "bad-frame"])
def test_a_hello_that_is_not_well_formed_is_told_so(
    stage: Stage, kind: str | None, code: str
) -> None:
    peer = stage.connect()
    lines = stage.send(peer, Invalid(code, "x", type=kind))
    assert lines == [("error", code, None)]
    assert peer in stage.closed


def test_a_good_hello_is_welcomed(stage: Stage) -> None:
    peer, lines = stage.hello("Ann")
    assert lines == [("welcome", "Ann", 0, None), ("room", "lobby", 0, 1)]
    welcome = stage.told[peer][0]
    assert isinstance(welcome, messages.Welcome)
    assert (welcome.version, welcome.session) == (1, "token-1")
    assert welcome.limits == {
        "frame": 65536,
        "text": 4000,
        "nick": 32,
        "strikes": 2,
        "shout_letters": 1,
    }


def test_the_limits_are_those_in_force() -> None:
    moderator = Moderator(limit=5, min_letters=3)
    limits = Rules(moderator=moderator).limits()
    assert (limits["strikes"], limits["shout_letters"]) == (5, 3)


def test_a_second_hello_is_refused_and_nothing_ends(stage: Stage) -> None:
    ann = stage.member("ann")
    assert stage.send(ann, HELLO) == [("error", "already-joined", None)]
    assert stage.say(ann, "still here")[0][0] == "message"


FAULTS: dict[str, dict[str, object]] = {
    "address": {},
    "version": {"version": 2},
    "password": {"password": "wrong"},
    "lock": {},
    "clients": {},
    "room-invalid": {"room": "No Room"},
    "rooms": {"room": "third"},
    "nick-invalid": {"nick": "-"},
    "nick-taken": {"nick": "ANN"},
    "nick": {"nick": "Eve"},
}


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        (["address", "version", "password", "lock", "clients"], "banned"),
        (["address", "room-invalid", "nick-invalid"], "banned"),
        (["version"], "version"),
        (["version", "password", "lock", "clients"], "version"),
        (["password", "lock", "clients", "room-invalid"], "password"),
        (["lock", "clients", "room-invalid", "nick-invalid"], "not-allowed"),
        (["clients", "nick"], "full"),
        (["room-invalid", "nick"], "room-invalid"),
        (["rooms", "nick"], "full"),
        (["nick"], "banned"),
        (["version", "clients", "room-invalid", "nick-invalid"], "version"),
        (["clients", "room-invalid", "nick-invalid"], "full"),
        (["clients", "nick-taken"], "full"),
        (["room-invalid", "nick-invalid"], "room-invalid"),
        (["rooms", "nick-invalid"], "full"),
        (["rooms", "nick-taken"], "full"),
        (["nick-invalid"], "nick-invalid"),
        (["nick-taken"], "nick-taken"),
        ([], None),
    ],
)
def test_the_order_in_which_a_hello_is_checked(
    faults: list[str], code: str | None
) -> None:
    max_clients = 2 if "clients" in faults else 3
    stage = Stage(Rules(max_clients=max_clients, max_rooms=2))
    ann = stage.member("ann", "first")
    stage.member("bob", "second")
    stage.chat.oversight.appoint(Operators({digest("key"): "root"}), stage.now)
    stage.send(ann, requests.Op("login", key="key"))
    if "address" in faults:
        stage.send(ann, requests.Op("ban", None, "192.0.2.1"))
    if "lock" in faults:
        stage.send(ann, requests.Op("lock"))
    stage.send(ann, requests.Op("ban", "eve"))
    stage.chat.rules = replace(stage.chat.rules, password=digest("sesame"))
    fields: dict[str, object] = {"version": 1, "nick": "carol", "room": "first"}
    fields["password"] = "sesame"
    for fault in faults:
        fields |= FAULTS[fault]
    peer = stage.connect()
    lines = stage.send(peer, Hello(**fields))  # type: ignore[arg-type]
    if code is None:
        assert lines[0][0] == "welcome"
        return
    assert lines == [("error", code, None)]
    stays_open = code in {"nick-taken", "nick-invalid", "room-invalid"}
    assert peer.gone != stays_open
    assert (peer in stage.closed) != stays_open


def test_five_refused_hellos_leave_the_connection_open_the_next_does_not(
    stage: Stage,
) -> None:
    stage.member("ann")
    peer = stage.connect()
    wrong = [HELLO, Hello(1, "-"), Hello(1, "bob", "No Room")] * 2
    codes = ["nick-taken", "nick-invalid", "room-invalid"] * 2
    for count, (hello, code) in enumerate(zip(wrong, codes, strict=True), 1):
        assert stage.send(peer, hello) == [("error", code, None)]
        assert peer.gone == (count > MAX_TRIES)
    assert MAX_TRIES == 5
    assert peer in stage.closed


def test_after_five_refused_hellos_a_good_one_is_welcomed(stage: Stage) -> None:
    peer = stage.connect()
    for _ in range(5):
        stage.send(peer, Hello(1, "-"))
    assert stage.send(peer, HELLO)[0] == ("welcome", "ann", 0, None)


# -- nicks ------------------------------------------------------------------------


def test_without_a_nick_one_is_a_guest(stage: Stage) -> None:
    nicks = [stage.hello()[1][0][1] for _ in range(3)]
    assert nicks == ["guest-1", "guest-2", "guest-3"]


@pytest.mark.parametrize("nick", ["guest-7", "Guest-7", "ｇuest-7"])
def test_the_name_of_a_guest_cannot_be_asked_for(stage: Stage, nick: str) -> None:
    assert stage.hello(nick)[1] == [("error", "nick-invalid", None)]
    ann = stage.member("ann")
    assert stage.send(ann, requests.Nick(nick)) == [("error", "nick-invalid", None)]


@pytest.mark.parametrize("nick", ["Bob", "ﬁn", "Zoe\u0308"])
def test_a_nick_is_shown_in_nfc_and_taken_by_its_key(stage: Stage, nick: str) -> None:
    stage.member("bob")
    stage.member("FIN")
    stage.member("zoë")
    assert stage.hello(nick)[1] == [("error", "nick-taken", None)]
    _, lines = stage.hello("e\u0301ve")
    assert lines[0][1] == "éve"


def test_who_changes_nick_is_told_as_all_are(stage: Stage) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    renamed = [("renamed", "lobby", "ann", "Carol")]
    assert stage.send(ann, requests.Nick("Carol")) == renamed
    assert stage.take(bob) == renamed
    assert stage.send(bob, requests.Nick("CAROL")) == [("error", "nick-taken", None)]
    assert stage.send(bob, requests.Nick("ann"))[0][0] == "renamed"


def test_the_same_nick_in_other_letters_is_free_for_its_owner(stage: Stage) -> None:
    ann = stage.member("ann")
    renamed = [("renamed", "lobby", "ann", "ANN")]
    assert stage.send(ann, requests.Nick("ANN")) == renamed


@pytest.mark.parametrize("nick", ["zoë", "zoe\u0308"])
def test_ones_own_nick_as_it_is_changes_nothing(stage: Stage, nick: str) -> None:
    zoe = stage.member("zoë")
    assert stage.send(zoe, requests.Nick(nick)) == []


def test_a_guest_may_say_its_own_nick(stage: Stage) -> None:
    guest, _ = stage.hello()
    assert stage.send(guest, requests.Nick("guest-1")) == []


def test_a_bad_nick_is_refused_and_the_old_one_stays(stage: Stage) -> None:
    ann = stage.member("ann")
    assert stage.send(ann, requests.Nick("a b")) == [("error", "nick-invalid", None)]
    assert stage.say(ann, "hi") == [("message", "lobby", 1, "ann", "hi", None)]


def test_a_nick_of_many_marks_costs_no_time(stage: Stage) -> None:
    """To put marks into their order takes time that grows with its square."""
    ann = stage.member("ann")
    nick = "a" + "\u0301" * 16_000 + "\u0316" * 16_000
    start = time.process_time()
    assert stage.send(ann, requests.Nick(nick)) == [("error", "nick-invalid", None)]
    assert time.process_time() - start < 0.25


# -- saying -----------------------------------------------------------------------


def test_all_in_the_room_see_the_same_and_nobody_else_does(stage: Stage) -> None:
    ann, bob, eve = stage.member("ann"), stage.member("bob"), stage.member("eve", "tea")
    stage.decide(ann, Say("one", "r"))
    stage.decide(bob, Say("two"))
    stage.decide(ann, Say("three"))
    expected: list[Line] = [
        ("message", "lobby", 1, "ann", "one", "r"),
        ("message", "lobby", 2, "bob", "two", None),
        ("message", "lobby", 3, "ann", "three", None),
    ]
    assert stage.take(ann) == stage.take(bob) == expected
    assert stage.take(eve) == []


def test_a_text_is_delivered_exactly_as_it_came(stage: Stage) -> None:
    ann = stage.member("ann")
    for text in (
        " two  spaces ",
        "e\u0301",
        "\n\ttab\n",
        "ﬁ",
        "!leave now",
        "x" * 4000,
    ):
        assert stage.say(ann, text)[0][4] == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "text-invalid"),
        (" \n", "text-invalid"),
        ("A\x07", "text-invalid"),
        ("A\u202e", "text-invalid"),
        ("A" * 4001, "text-too-long"),
    ],
)
@pytest.mark.parametrize("whisper", [False, True])
def test_an_invalid_text_is_refused_and_costs_no_strike(
    stage: Stage, text: str, code: str, whisper: bool
) -> None:
    ann = stage.member("ann")
    request = Whisper("nobody", text, "r") if whisper else Say(text, "r")
    assert stage.send(ann, request) == [("error", code, "r")]
    assert stage.say(ann, "HEY")[0] == ("warning", "shouting", 1, 2, None)


def test_a_shout_is_warned_of_then_kicked_for_and_never_delivered(
    stage: Stage,
) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    assert stage.say(ann, "HELLO", "r") == [("warning", "shouting", 1, 2, "r")]
    assert stage.take(bob) == []
    stage.decide(ann, Say("HELLO AGAIN"))
    stage.decide(ann, Say("hello?"))
    assert stage.take(ann) == [("kick", "shouting")]
    assert stage.take(bob) == [("left", "lobby", "ann", "shouting")]
    assert ann in stage.closed
    assert stage.kept["lobby"] == []


def test_a_warning_says_what_was_counted_and_what_happens_next() -> None:
    stage = Stage(Rules(moderator=Moderator(limit=3)))
    ann = stage.member("ann")
    for _ in range(3):
        stage.say(ann, "HEY YOU 2")
    first, second, kick = stage.told[ann][-3:]
    assert isinstance(first, messages.Warned)
    assert isinstance(second, messages.Warned)
    assert isinstance(kick, messages.Kick)
    assert "6 of 6 letters" in first.text
    assert "Strike 1 of 3: 2 more" in first.text
    assert "Strike 2 of 3: the next one" in second.text
    assert "Strike 3 of 3: you are disconnected" in kick.text


@pytest.mark.parametrize("request_", [Say(" !leave\n"), requests.Leave()])
def test_leaving(stage: Stage, request_: requests.Request) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    assert stage.send(ann, request_) == [("kick", "leave")]
    assert stage.take(bob) == [("left", "lobby", "ann", "leave")]
    assert ann in stage.closed


def test_leave_in_capitals_is_a_shout(stage: Stage) -> None:
    ann = stage.member("ann")
    assert stage.say(ann, "!LEAVE") == [("warning", "shouting", 1, 2, None)]


@pytest.mark.parametrize("end", ["kick", "leave", "lost", "refuse"])
def test_nothing_has_any_effect_after_the_end(stage: Stage, end: str) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    if end == "kick":
        stage.chat.kick(ann, "operator", "go", stage.now)
    elif end == "leave":
        stage.decide(ann, requests.Leave())
    elif end == "lost":
        stage.chat.lost(ann, stage.now)
    else:
        stage.chat.refuse(ann, "timeout", "too late", stage.now)
    stage.flush()
    stage.take(bob)
    for request in (Say("hi"), Whisper("bob", "hi"), Join("tea"), HELLO, Say("HEY")):
        stage.decide(ann, request)
    stage.chat.kick(ann, "idle", "again", stage.now)
    stage.chat.refuse(ann, "timeout", "again", stage.now)
    stage.chat.lost(ann, stage.now)
    assert stage.chat.effects == []


def test_a_bad_frame_ends_the_connection_other_faults_do_not(stage: Stage) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    for code in ("malformed", "unknown-type"):
        lines = stage.send(ann, Invalid(code, "x", "r", "say"))
        assert lines == [("error", code, "r")]
    assert not ann.gone
    lines = stage.send(ann, Invalid("bad-frame", "x"))
    assert lines == [("error", "bad-frame", None)]
    assert ann in stage.closed
    assert stage.take(bob) == [("left", "lobby", "ann", "lost")]


# -- whispering -------------------------------------------------------------------


def test_a_whisper_goes_to_both_ends_in_whatever_room(stage: Stage) -> None:
    ann, bob, eve = stage.member("ann"), stage.member("Bob", "tea"), stage.member("eve")
    lines = stage.send(ann, Whisper("BOB", "psst", "r"))
    assert lines == stage.take(bob) == [("whisper", "ann", "Bob", "psst", "r")]
    assert stage.take(eve) == []


def test_a_whisper_to_oneself_comes_once(stage: Stage) -> None:
    ann = stage.member("ann")
    lines = stage.send(ann, Whisper("ann", "note"))
    assert lines == [("whisper", "ann", "ann", "note", None)]


@pytest.mark.parametrize("name", ["bob", "", "ann ", "-", "x" * 5000])
def test_a_whisper_to_nobody(stage: Stage, name: str) -> None:
    ann = stage.member("ann")
    lines = stage.send(ann, Whisper(name, "hi", "r"))
    assert lines == [("error", "no-such-nick", "r")]


def test_a_name_that_only_begins_like_a_nick_is_nobodys(stage: Stage) -> None:
    stage.member("é" * 32)
    ann = stage.member("ann")
    name = "e\u0301" * 32 + "-the-other-one"
    lines = stage.send(ann, Whisper(name, "for one pair of eyes", "r"))
    assert lines == [("error", "no-such-nick", "r")]


def test_a_nick_is_found_however_it_is_spelt(stage: Stage) -> None:
    stage.member("ǖ" * 32)
    ann = stage.member("ann")
    name = "u\u0308\u0304" * 32
    lines = stage.send(ann, Whisper(name, "hi"))
    assert lines == [("whisper", "ann", "ǖ" * 32, "hi", None)]


def test_who_is_away_cannot_be_whispered_to(stage: Stage) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    stage.chat.lost(bob, stage.now)
    stage.take(ann)
    assert stage.send(ann, Whisper("bob", "hi")) == [("error", "no-such-nick", None)]


def test_a_whisper_is_judged_before_its_addressee_is_looked_up(stage: Stage) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    warned = [("warning", "shouting", 1, 2, "r")]
    assert stage.send(ann, Whisper("nobody", "HEY", "r")) == warned
    assert stage.send(ann, Whisper("bob", "HEY")) == [("kick", "shouting")]
    assert stage.take(bob) == [("left", "lobby", "ann", "shouting")]


def test_leave_is_a_text_like_others_in_a_whisper(stage: Stage) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    stage.decide(ann, Whisper("bob", "!leave"))
    assert stage.take(bob) == [("whisper", "ann", "bob", "!leave", None)]


# -- rooms ------------------------------------------------------------------------


def test_those_who_are_there_hear_who_comes_and_goes(stage: Stage) -> None:
    ann, bob = stage.member("ann"), stage.member("bob", "tea")
    assert stage.send(bob, Join("lobby")) == [("room", "lobby", 0, 2)]
    assert stage.take(ann) == [("joined", "lobby", "bob")]
    assert stage.send(bob, Join("tea")) == [("room", "tea", 0, 1)]
    assert stage.take(ann) == [("left", "lobby", "bob", "moved")]


def test_nothing_from_before_the_entering_is_heard(stage: Stage) -> None:
    ann, bob = stage.member("ann"), stage.member("bob", "tea")
    stage.decide(ann, Say("before"))
    stage.decide(bob, Say("in the tea room"))
    stage.decide(bob, Join("lobby"))
    stage.decide(ann, Say("after"))
    assert stage.take(bob) == [
        ("message", "tea", 1, "bob", "in the tea room", None),
        ("room", "lobby", 1, 2),
        ("message", "lobby", 2, "ann", "after", None),
    ]


def test_who_joins_the_room_it_is_in_gets_only_its_room(stage: Stage) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    assert stage.send(ann, Join("lobby")) == [("room", "lobby", 0, 2)]
    assert stage.take(bob) == []


def test_a_bad_name_of_a_room(stage: Stage) -> None:
    ann = stage.member("ann")
    assert stage.send(ann, Join("No")) == [("error", "room-invalid", None)]
    assert stage.say(ann, "hi")[0][1] == "lobby"


def test_where_there_are_too_many_rooms_one_stays_where_one_is() -> None:
    stage = Stage(Rules(max_rooms=2))
    ann, bob = stage.member("ann", "one"), stage.member("bob", "two")
    carol = stage.member("carol", "two")
    assert stage.send(carol, Join("three")) == [("error", "full", None)]
    assert stage.take(bob) == []
    assert stage.hello("dan", "three")[1] == [("error", "full", None)]
    # The last one out makes place for the room it goes to.
    assert stage.send(ann, Join("three")) == [("room", "three", 0, 1)]


def test_a_room_lasts_while_somebody_is_there_or_something_was_said() -> None:
    stage = Stage(Rules(max_rooms=2))
    ann = stage.member("ann", "one")
    stage.send(ann, Join("two"))
    assert set(stage.chat.rooms) == {"two"}
    stage.say(ann, "hi")
    stage.send(ann, Join("one"))
    assert set(stage.chat.rooms) == {"one", "two"}
    assert stage.send(ann, Join("three")) == [("room", "three", 0, 1)]
    assert set(stage.chat.rooms) == {"two", "three"}
    assert stage.send(ann, requests.ListRooms()) == [("rooms", (("three", 1),))]
    assert stage.send(ann, Join("two")) == [("room", "two", 1, 1)]


@pytest.mark.parametrize("said", [True, False])
def test_who_leaves_a_room_where_something_was_said_makes_no_place(said: bool) -> None:
    stage = Stage(Rules(max_rooms=1))
    ann = stage.member("ann", "one")
    if said:
        stage.say(ann, "hi")
    answer: Line = ("error", "full", None) if said else ("room", "two", 0, 1)
    assert stage.send(ann, Join("two")) == [answer]
    _, lines = stage.hello(None, "three", stage.tokens[ann])
    answer = ("error", "full", None) if said else ("room", "three", 0, 1)
    assert lines[-1] == answer


def test_rooms_are_listed_in_order_with_their_sizes(stage: Stage) -> None:
    ann = stage.member("ann", "b")
    for nick, room in (("bob", "c"), ("carol", "a"), ("dan", "c")):
        stage.member(nick, room)
    for after, expected in (
        (None, (("a", 1), ("b", 1), ("c", 2))),
        ("a", (("b", 1), ("c", 2))),
        ("aa", (("b", 1), ("c", 2))),
        ("c", ()),
    ):
        lines = stage.send(ann, requests.ListRooms(after))
        assert lines == [("rooms", expected)]


def test_members_are_listed_in_key_order(stage: Stage) -> None:
    ann = stage.member("ann")
    for nick in ("Carol", "bob", "Éve"):
        stage.member(nick)
    stage.member("else", "where")
    for after, expected in (
        (None, ("ann", "bob", "Carol", "Éve")),
        ("BOB", ("Carol", "Éve")),
        ("b", ("bob", "Carol", "Éve")),
        ("e\u0301ve", ()),
    ):
        lines = stage.send(ann, requests.Who(after))
        assert lines == [("members", "lobby", expected)]


def test_history_is_of_the_room_one_is_in(stage: Stage) -> None:
    ann = stage.member("ann")
    for _ in range(3):
        stage.say(ann, "hi")
    read = requests.GetHistory(after=1)
    assert stage.send(ann, read) == [("history", "lobby", (2, 3), False)]
    stage.send(ann, Join("tea"))
    assert stage.send(ann, read) == [("history", "tea", (), False)]


@pytest.mark.parametrize("data", [None, "", "x"])
def test_a_ping_is_answered_and_a_pong_is_not(stage: Stage, data: str | None) -> None:
    ann = stage.member("ann")
    assert stage.send(ann, requests.Ping(data)) == [("pong", data)]
    assert stage.send(ann, requests.Pong(data)) == []


def test_nobody_is_an_operator(stage: Stage) -> None:
    ann = stage.member("ann")
    assert stage.send(ann, requests.Op("kick")) == [("error", "not-allowed", None)]


# -- large rooms ------------------------------------------------------------------


def crowd(limit: int, size: int) -> tuple[Stage, list[Peer]]:
    """Make a room of *size* members, each an hour after the other."""
    stage = Stage(Rules(presence_limit=limit))
    members = []
    for number in range(size):
        members.append(stage.member(f"m{number}"))
        stage.wait(3600)
        for member in members:
            stage.take(member)
    return stage, members


def test_a_large_room_hears_numbers_at_most_once_a_second() -> None:
    stage, members = crowd(10, 11)
    for number in range(5):
        stage.hello(f"late{number}", address="elsewhere")
    assert stage.take(members[0]) == [("count", "lobby", 12)]
    stage.wait(0.75)
    assert stage.take(members[0]) == []
    stage.wait(0.25)
    assert stage.take(members[0]) == [("count", "lobby", 16)]
    stage.wait(1000)
    assert stage.take(members[0]) == []


def test_who_renames_in_a_large_room_is_told_so() -> None:
    stage, members = crowd(10, 12)
    lines = stage.send(members[0], requests.Nick("new"))
    assert lines == [("renamed", "lobby", "m0", "new"), ("count", "lobby", 12)]
    assert stage.take(members[1]) == [("count", "lobby", 12)]
    lines = stage.send(members[0], requests.Nick("newer"))
    assert lines == [("renamed", "lobby", "new", "newer")]


def test_on_falling_one_last_count_is_told_at_once_then_names_again() -> None:
    stage, members = crowd(10, 11)
    for member in members[8:]:
        stage.send(member, requests.Leave())
    assert stage.take(members[0]) == [("count", "lobby", 10), ("count", "lobby", 8)]
    stage.send(members[7], requests.Leave())
    assert stage.take(members[0]) == [("left", "lobby", "m7", "leave")]
    stage.wait(1000)
    assert stage.take(members[0]) == []


def test_with_a_larger_limit_one_last_count_is_told_then_names() -> None:
    stage, members = crowd(10, 11)
    stage.chat.set_rules(Rules(presence_limit=20), stage.now)
    assert stage.take(members[0]) == [("count", "lobby", 11)]
    stage.send(members[7], requests.Leave())
    assert stage.take(members[0]) == [("left", "lobby", "m7", "leave")]
    stage.chat.set_rules(Rules(presence_limit=5), stage.now)
    assert stage.take(members[0]) == []
    stage.send(members[6], requests.Leave())
    stage.wait(1)
    assert stage.take(members[0]) == [("count", "lobby", 9)]


def test_other_rules_are_for_what_comes() -> None:
    """Who is here stays, and a strike counts as it was got."""
    stage = Stage(Rules(moderator=Moderator(4)))
    ann, bob = stage.member("ann"), stage.member("bob")
    for _ in range(2):
        assert stage.say(ann, "LOUD")[0][0] == "warning"
    rules = Rules(max_clients=1, max_rooms=1, moderator=Moderator(2))
    stage.chat.set_rules(rules, stage.now)
    assert stage.hello("carl")[1] == [("error", "full", None)]
    assert stage.say(bob, "hello")[-1][0] == "message"
    stage.say(ann, "LOUD")
    (kick,) = (m for m in stage.told[ann] if isinstance(m, messages.Kick))
    assert "Strike 3 of 3: you are disconnected" in kick.text


@given(st.floats(0, 10**6), st.floats(0, 0.999))
def test_what_is_due_is_told_when_it_is_due(start: float, pause: float) -> None:
    """Else the timer is set anew for a time that has passed."""
    stage = Stage(Rules(presence_limit=1))
    stage.now = start
    stage.hello("ann")
    stage.hello("bob")
    stage.now += pause
    stage.hello("carol")
    stage.flush()
    due = stage.chat.next_count()
    assert due is not None
    assert math.isclose(due, start + 1)
    stage.chat.announce(due)
    assert stage.chat.next_count() is None
    assert len(stage.chat.effects) == 1


# -- how many ---------------------------------------------------------------------


def test_the_server_is_full() -> None:
    stage = Stage(Rules(max_clients=2))
    ann, bob = stage.member("ann"), stage.member("bob")
    late, lines = stage.hello("carol")
    assert lines == [("error", "full", None)]
    assert late in stage.closed
    # Who has a seat takes it over; who has lost it waits like others.
    again, lines = stage.hello(session=stage.tokens[ann])
    assert lines[0][:2] == ("welcome", "ann")
    stage.chat.lost(bob, stage.now)
    assert stage.hello("carol")[1][0][0] == "welcome"
    _, lines = stage.hello(session=stage.tokens[bob])
    assert lines == [("error", "full", None)]
    assert not again.gone


def test_so_many_from_one_address() -> None:
    stage = Stage(Rules(max_clients_per_ip=2))
    peers = [stage.hello(nick, address="a")[0] for nick in ("ann", "bob")]
    assert stage.hello("carol", address="a")[1] == [("error", "full", None)]
    assert stage.hello("carol", address="b")[1][0][0] == "welcome"
    token = stage.tokens[peers[0]]
    peer, lines = stage.hello(session=token, address="a")
    assert lines[0][:2] == ("welcome", "ann")
    assert stage.hello("dan", address="a")[1] == [("error", "full", None)]
    stage.chat.lost(peer, stage.now)
    assert stage.hello("dan", address="a")[1][0][0] == "welcome"
    assert stage.hello("eve", address="a")[1] == [("error", "full", None)]


def test_a_seat_that_is_taken_over_counts_where_it_is_now() -> None:
    stage = Stage(Rules(max_clients_per_ip=1))
    ann, _ = stage.hello("ann", address="a")
    stage.hello(session=stage.tokens[ann], address="b")
    assert stage.hello("bob", address="b")[1] == [("error", "full", None)]
    assert stage.hello("bob", address="a")[1][0][0] == "welcome"


def test_an_address_is_forgotten_with_its_last_member() -> None:
    stage = Stage()
    peers = [stage.hello(address="192.0.2.77")[0] for _ in range(3)]
    stage.hello(session=stage.tokens[peers[0]], address="192.0.2.78")
    for peer in peers:
        stage.chat.lost(peer, stage.now)
    known = repr(vars(stage.chat))
    assert "192.0.2.77" not in known
    assert "192.0.2.78" in known


def test_zero_is_no_limit() -> None:
    rules = Rules(max_clients=0, max_clients_per_ip=0, max_rooms=0, presence_limit=0)
    stage = Stage(rules)
    for number in range(600):
        assert stage.hello(room=f"r{number % 300}")[1][0][0] == "welcome"


# -- sessions ---------------------------------------------------------------------


def test_a_session_resumes_with_nick_strikes_and_last_ref(stage: Stage) -> None:
    ann = stage.member("Ann")
    stage.say(ann, "hi", "r1")
    stage.say(ann, "HEY", "r2")
    stage.chat.lost(ann, stage.now)
    stage.wait(3600)
    again, lines = stage.hello("other", "tea", stage.tokens[ann])
    assert lines == [("welcome", "Ann", 1, "r2"), ("room", "tea", 0, 1)]
    assert stage.tokens[again] == stage.tokens[ann]
    assert stage.say(again, "HEY") == [("kick", "shouting")]


def test_a_session_is_over_after_an_hour(stage: Stage) -> None:
    ann = stage.member("ann")
    stage.say(ann, "HEY", "r")
    stage.chat.lost(ann, stage.now)
    stage.wait(3600.5)
    again, lines = stage.hello("carol", session=stage.tokens[ann])
    assert lines[0] == ("welcome", "carol", 0, None)
    assert stage.tokens[again] != stage.tokens[ann]


@pytest.mark.parametrize("session", ["", "no-such-token", "x" * 60_000])
def test_an_unknown_session_is_ignored(stage: Stage, session: str) -> None:
    _, lines = stage.hello("ann", session=session)
    assert lines[0] == ("welcome", "ann", 0, None)


@pytest.mark.parametrize("secure", [True, False])
def test_a_session_resumes_only_over_its_kind_of_connection(
    stage: Stage, secure: bool
) -> None:
    ann, _ = stage.hello("ann", secure=secure)
    token = stage.tokens[ann]
    other, lines = stage.hello("bob", session=token, secure=not secure)
    assert lines[0] == ("welcome", "bob", 0, None)
    assert not ann.gone
    assert stage.tokens[other] != token
    _, lines = stage.hello("bob", session=token, secure=secure)
    assert lines[0] == ("welcome", "ann", 0, None)


def test_taking_over_in_the_same_room_is_seen_by_nobody(stage: Stage) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    stage.say(ann, "hi", "r")
    stage.take(bob)
    again, lines = stage.hello(session=stage.tokens[ann])
    assert lines == [("welcome", "ann", 0, "r"), ("room", "lobby", 1, 2)]
    assert stage.take(ann) == [("kick", "replaced")]
    assert ann in stage.closed
    stage.decide(ann, Say("from the grave"))
    stage.chat.lost(ann, stage.now)
    assert stage.take(bob) == []
    assert stage.say(again, "back")[0][3:5] == ("ann", "back")
    assert len(stage.take(bob)) == 1


def test_taking_over_from_another_room_is_seen_there(stage: Stage) -> None:
    ann, bob, eve = stage.member("ann"), stage.member("bob"), stage.member("eve", "tea")
    _, lines = stage.hello("other", "tea", stage.tokens[ann])
    assert lines == [("welcome", "ann", 0, None), ("room", "tea", 0, 2)]
    assert stage.take(ann) == [("kick", "replaced")]
    assert stage.take(bob) == [("left", "lobby", "ann", "replaced")]
    assert stage.take(eve) == [("joined", "tea", "ann")]


def test_a_refused_hello_takes_nothing_over(stage: Stage) -> None:
    ann = stage.member("ann")
    _, lines = stage.hello(None, "No Room", stage.tokens[ann])
    assert lines == [("error", "room-invalid", None)]
    assert stage.say(ann, "hi")[0][0] == "message"


def test_a_nick_without_a_connection_is_free_for_anybody(stage: Stage) -> None:
    ann = stage.member("ann")
    stage.chat.lost(ann, stage.now)
    stage.member("Ann")
    late, lines = stage.hello(session=stage.tokens[ann])
    assert lines == [("error", "nick-taken", None)]
    hello = Hello(1, "ANN", session=stage.tokens[ann])
    assert stage.send(late, hello) == [("error", "nick-taken", None)]
    hello = Hello(1, "carol", session=stage.tokens[ann])
    assert stage.send(late, hello)[0] == ("welcome", "carol", 0, None)


@pytest.mark.parametrize(
    ("reason", "over"),
    [
        ("leave", True),
        ("operator", True),
        ("banned", True),
        ("shouting", True),
        ("shutdown", False),
        ("idle", False),
    ],
)
def test_which_kicks_end_the_session(stage: Stage, reason: str, over: bool) -> None:
    ann, bob = stage.member("ann"), stage.member("bob")
    stage.chat.kick(ann, reason, "text", stage.now)
    assert stage.take(ann) == [("kick", reason)]
    assert stage.take(bob) == [("left", "lobby", "ann", reason)]
    _, lines = stage.hello("carol", session=stage.tokens[ann])
    assert lines[0][1] == ("carol" if over else "ann")


@pytest.mark.parametrize(
    ("request_", "ref"),
    [
        (Say("hi", "r2"), "r2"),
        (Say("hi"), "r1"),
        (Say("HEY", "r2"), "r2"),
        (Say("", "r2"), "r2"),
        (Whisper("nobody", "hi", "r2"), "r2"),
        (Whisper("nobody", "HEY", "r2"), "r2"),
        (Whisper("nobody", "\0", "r2"), "r2"),
        (Whisper("ann", "hi"), "r1"),
        (requests.Ping("r2"), "r1"),
    ],
)
def test_the_last_ref_is_that_of_the_last_one_judged(
    stage: Stage, request_: requests.Request, ref: str
) -> None:
    ann = stage.member("ann")
    stage.say(ann, "first", "r1")
    stage.send(ann, request_)
    _, lines = stage.hello(session=stage.tokens[ann])
    assert lines[0][3] == ref


def test_strikes_that_have_lapsed_are_not_told_of() -> None:
    stage = Stage(Rules(moderator=Moderator(limit=3, lapse=60)))
    ann = stage.member("ann")
    stage.say(ann, "HEY")
    stage.wait(40)
    stage.say(ann, "HEY")
    stage.wait(30)
    again, lines = stage.hello(session=stage.tokens[ann])
    assert lines[0] == ("welcome", "ann", 1, None)
    assert stage.say(again, "HEY") == [("warning", "shouting", 2, 3, None)]


def test_a_connection_that_never_said_hello_leaves_nothing(stage: Stage) -> None:
    ann = stage.member("ann")
    for end in (stage.chat.lost,):
        peer = stage.connect()
        end(peer, stage.now)
        assert peer.gone
    kicked = stage.connect()
    stage.chat.kick(kicked, "shutdown", "text", stage.now)
    assert stage.take(kicked) == [("kick", "shutdown")]
    assert kicked in stage.closed
    assert stage.take(ann) == []
