"""What a user does in the chat."""

import itertools

import pytest

from chatroom.client.frames import Fields
from chatroom.client.session import Session
from chatroom.client.talk import Talk
from tests.client.fakes import MESSAGE, ROOM, WELCOME

LIMITS = {"strikes": 2, "shout_letters": 2}


class Talker:
    """Somebody in the lobby, and what came of what he does."""

    def __init__(self, *ignored: str, exposed: str = "") -> None:
        self.session = Session(map(str, itertools.count(1)).__next__)
        self.sent: list[Fields] = []
        self.notices: list[str] = []
        self.left = 0
        self.asked_for_key = 0
        self.talk = Talk(
            self.session,
            ignored,
            self.sent.append,
            self.notices.append,
            self._leave,
            self._ask_key,
            exposed,
        )
        self.hear(WELCOME | {"limits": LIMITS}, ROOM)

    def _leave(self) -> None:
        self.left += 1

    def _ask_key(self) -> None:
        self.asked_for_key += 1

    def hear(self, *frames: Fields) -> list[object]:
        shown: list[object] = []
        for frame in frames:
            events = self.session.receive(frame["type"], frame)
            events += self.talk.heard(frame["type"], frame)
            shown += self.talk.rest(events)
        return shown

    def whispered(self, sender: str) -> None:
        whisper = {"type": "whisper", "from": sender, "to": "anna", "text": "x"}
        self.hear(whisper | {"at": 0})

    def objection(self, line: str, *waiting: str, hints: bool = True) -> str | None:
        return self.talk.objection(line, waiting, hints)


WARNING = "all capitals: that would be strike 1 of 2, a warning; Enter again to send"
KICK = "all capitals: that would be strike 2 of 2, a kick; Enter again to send"


@pytest.mark.parametrize("line", ["HEY", " HE-Y! 1", "//HEY", "!LEAVE", "/msg bob HEY"])
def test_a_shout_is_told_before_it_is_one(line: str) -> None:
    talker = Talker()
    assert talker.objection(line) == WARNING
    talker.session.strikes = 1
    assert talker.objection(line) == KICK
    assert talker.objection(line, hints=False) is None


@pytest.mark.parametrize(
    "line", ["hey", "Hey", "I", "!leave", "123", "", "  ", "/join TEA", "/msg BOB hey"]
)
def test_other_lines_are_no_shouts(line: str) -> None:
    assert Talker().objection(line) is None


def test_shouts_on_their_way_count() -> None:
    talker = Talker()
    assert talker.objection("HEY", "hey", "/msg BOB hey") == WARNING
    assert talker.objection("HEY", "HO") == KICK
    talker.talk.say("HO")
    assert talker.objection("HEY") == KICK
    talker.talk.say("HO")
    assert talker.objection("HEY") == KICK, "no strike after the last"


def test_where_the_limit_is_not_known() -> None:
    talker = Talker()
    talker.session.strike_limit = 0
    objection = "all capitals: that would be a strike; Enter again to send"
    assert talker.objection("HEY") == objection


@pytest.mark.parametrize("hints", [True, False])
def test_what_cannot_be_said_is_told_in_time(hints: bool) -> None:
    objection = Talker().objection("/msg bob " + "x" * 4001, hints=hints)
    assert objection is not None
    assert objection.startswith("it cannot be said: the text has 4001 characters")
    assert "Enter again" not in objection


def test_an_answer_goes_to_who_whispered_last() -> None:
    talker = Talker("mallory")
    assert talker.talk.addressed("/r hi") == "/r hi"
    talker.whispered("bob")
    talker.whispered("anna")
    talker.whispered("Mallory")
    assert talker.talk.addressed("/r hi") == "/msg bob hi"
    talker.hear({"type": "renamed", "room": "lobby", "old": "bob", "new": "rob"})
    assert talker.talk.addressed("/r hi") == "/msg rob hi"


def test_the_topic() -> None:
    talker = Talker()
    talker.talk.show_topic()
    topic = {"type": "topic", "room": "lobby", "topic": "tea", "by": "bob"}
    talker.hear(topic)
    talker.talk.show_topic()
    assert talker.notices == [
        "topic of lobby: none (an operator sets it: /topic TEXT)",
        "topic of lobby: tea",
    ]


def test_a_script_may_send_what_an_operator_does() -> None:
    talker = Talker()
    lock: Fields = {"type": "op", "do": "lock"}
    talker.talk.ask(lock)
    assert talker.sent == [lock]
    assert talker.talk.lost() == ["no answer came, and it may be done or not: lock"]


def test_no_key_goes_out_in_the_open() -> None:
    talker = Talker(exposed="too open")
    talker.talk.login("sesame")
    talker.talk.login("")
    talker.talk.ask({"type": "op", "do": "login", "key": "sesame"})
    assert talker.notices == ["too open"] * 3
    assert not talker.sent
    assert not talker.asked_for_key
    talker.talk.ask({"type": "op", "do": "lock"})
    assert len(talker.sent) == 1, "that is no secret"


def test_ignoring() -> None:
    talker = Talker("eve")
    message = MESSAGE | {"from": "BOB"}
    talker.talk.ignore("bob")
    assert talker.hear(message) == []
    assert talker.session.last_id == 1, "it was seen"
    talker.talk.ignore("")
    talker.talk.ignore("Bob")
    assert len(talker.hear(message | {"id": 2})) == 1
    talker.talk.ignore("Anna")
    talker.talk.ignore("eve")
    talker.talk.ignore("")
    assert talker.notices == [
        "you ignore bob; /ignore bob once more ends it",
        "you ignore: bob eve",
        "you no longer ignore Bob",
        "that is you",
        "you no longer ignore eve",
        "you ignore: nobody",
    ]
    assert not talker.sent, "nobody is told"


def test_who_takes_a_name_that_one_ignores_hears_himself() -> None:
    talker = Talker("eve")
    talker.hear({"type": "renamed", "room": "lobby", "old": "anna", "new": "eve"})
    assert len(talker.hear(MESSAGE | {"from": "eve"})) == 1


def test_what_one_wants_to_know_beside() -> None:
    talker = Talker()
    questions = [talker.talk.next_question() for _ in range(3)]
    assert questions == [{"type": "who"}, {"type": "rooms"}, None]
    listed = [{"room": "tea", "count": 2}]
    members = {"type": "members", "room": "lobby", "members": ["bob"], "more": False}
    rooms = {"type": "rooms", "rooms": listed, "more": False}
    talker.talk.ask({"type": "rooms", "after": "tea"})
    assert talker.hear(members, rooms) == []
    assert len(talker.hear(rooms | {"rooms": [{"room": "zoo", "count": 1}]})) == 1
    assert talker.talk.completions("b").options == ("bob: ",)
    assert talker.talk.completions("/join ").options == ("tea ", "zoo ")


def test_a_search_ends_in_another_room() -> None:
    talker = Talker()
    talker.talk.search("tea")
    assert len(talker.hear(ROOM)) == 1
    shown = talker.hear(ROOM | {"room": "tea"})
    assert shown[1:] == ["search for tea: ended, as you are in another room now"]


def test_a_search_ends_with_the_connection() -> None:
    talker = Talker()
    assert talker.talk.lost() == []
    talker.talk.search("tea")
    assert talker.talk.lost() == ["search for tea: ended, as the connection was lost"]
