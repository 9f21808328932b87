"""What is unanswered, and what of it is owed after a lost connection."""

import itertools

import pytest

from chatroom.client.frames import Fields
from chatroom.client.outbox import Outbox, Settled

HERE, THERE = "the session", "another session"
LOBBY, TEA = "lobby", "tea"


class Desk:
    """An outbox in use; what is said has its text as its ref."""

    def __init__(self) -> None:
        self.refs: list[str] = []
        self.outbox = Outbox(lambda: self.refs.pop())
        self.settle()

    def say(self, *texts: str, room: str = LOBBY) -> None:
        for text in texts:
            self._put({"type": "say", "text": text}, room)

    def whisper(self, text: str) -> None:
        self._put({"type": "whisper", "to": "bob", "text": text}, LOBBY)

    def _put(self, frame: Fields, room: str) -> None:
        text = frame["text"]
        self.refs = [text]
        given = self.outbox.say(frame, room, text.isupper())
        assert given["ref"] == text

    def nick(self, nick: str) -> None:
        self.outbox.ask({"type": "nick", "nick": nick})

    def join(self, room: str) -> None:
        self.outbox.ask({"type": "join", "room": room})

    def cut(self) -> None:
        self.outbox.lost()

    def settle(
        self, session: str = HERE, room: str = LOBBY, torn: bool = False
    ) -> Settled:
        return self.outbox.settle(session, room, torn)

    def owed(self) -> list[str]:
        """What is sent again: texts, or what is asked for."""
        frames = iter(self.outbox.next_owed, None)
        return [f.get("text") or f.get("nick") or f.get("room") or "" for f in frames]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def texts(frames: list[Fields]) -> list[str]:
    return [frame["text"] for frame in frames]


# -- while there is a connection ------------------------------------------------


def test_only_sayings_are_waited_for(desk: Desk) -> None:
    desk.say("a")
    desk.nick("eve")
    desk.whisper("b")
    assert desk.outbox.unanswered == 2
    desk.outbox.answered("a")
    desk.outbox.answered("a")
    desk.outbox.answered("nobody's")
    assert desk.outbox.unanswered == 1


def test_a_ref_may_be_the_callers(desk: Desk) -> None:
    outbox = desk.outbox
    frame = outbox.say({"type": "say", "text": "hi"}, LOBBY, False, "mine")
    assert frame["ref"] == "mine"
    assert outbox.expects("mine")
    assert not outbox.expects("other")
    outbox.answered("mine")
    assert not outbox.expects("mine")


def test_an_ask_takes_no_ref() -> None:
    numbers = map(str, itertools.count(1))
    outbox = Outbox(numbers.__next__)
    outbox.ask({"type": "nick", "nick": "eve"})
    assert outbox.say({"type": "say", "text": "a"}, LOBBY, False)["ref"] == "1"


def test_what_was_asked_before_an_answer_is_answered(desk: Desk) -> None:
    desk.nick("one's own")
    desk.say("a")
    desk.nick("eve")
    desk.outbox.answered("a")
    assert desk.outbox.asked_nicks() == {"eve"}


def test_answers_to_asks(desk: Desk) -> None:
    for nick in ("taken", "banned", "eve", "ann"):
        desk.nick(nick)
    for room in (TEA, LOBBY, TEA):
        desk.join(room)
    desk.outbox.refused("nick-taken")
    desk.outbox.refused("banned")
    desk.outbox.refused("muted")
    assert desk.outbox.asked_nicks() == {"eve", "ann"}
    desk.outbox.renamed("ann")
    assert desk.outbox.asked_nicks() == set()
    desk.outbox.entered(LOBBY)
    desk.outbox.refused("full")
    desk.outbox.entered("elsewhere")
    assert desk.settle() == Settled([], [])
    assert desk.owed() == []


def test_a_nick_is_known_again_in_its_composed_form(desk: Desk) -> None:
    desk.nick("zoe\u0308")
    assert desk.outbox.asked_nicks() == {"zo\xeb"}
    desk.outbox.renamed("zo\xeb")
    assert desk.outbox.asked_nicks() == set()


@pytest.mark.parametrize(
    ("said", "leaves"),
    [
        ([], False),
        (["a"], False),
        ([" !leave\n"], True),
        (["!leave", "a"], True),
        (["a", "!leave"], False),
        (["!LEAVE"], False),
    ],
)
def test_who_wants_to_leave(desk: Desk, said: list[str], leaves: bool) -> None:
    desk.nick("eve")
    desk.say(*said)
    assert desk.outbox.leaves is leaves


def test_whispering_leave_is_not_leaving(desk: Desk) -> None:
    desk.whisper("!leave")
    assert not desk.outbox.leaves


# -- the session goes on --------------------------------------------------------


def test_what_came_after_the_last_ref_is_owed(desk: Desk) -> None:
    desk.say("a", "B")
    desk.whisper("c")
    desk.say("d", "E")
    desk.whisper("f")
    desk.cut()
    desk.outbox.came_back("c")
    assert texts(desk.settle().judged) == ["a", "B", "c"]
    assert desk.outbox.owes is True
    assert desk.owed() == ["d", "E", "f"]
    assert [desk.outbox.owes, desk.outbox.unanswered] == [False, 3]


@pytest.mark.parametrize("last_ref", ["", "answered long ago"])
def test_where_nothing_more_was_judged_all_is_owed(desk: Desk, last_ref: str) -> None:
    desk.say("a", "B")
    desk.cut()
    desk.outbox.came_back(last_ref)
    assert desk.settle() == Settled([], [])
    assert desk.owed() == ["a", "B"]


def test_what_the_log_shows_is_answered(desk: Desk) -> None:
    desk.say("A", "b", "c")
    desk.cut()
    desk.outbox.came_back("b")
    desk.outbox.found("b")
    desk.outbox.found("nobody's")
    assert texts(desk.settle().judged) == ["A"]
    assert desk.owed() == ["c"]


def test_a_second_cut_while_it_is_sent_again(desk: Desk) -> None:
    desk.say("a", "b", "c")
    desk.cut()
    desk.outbox.came_back("")
    desk.settle()
    assert desk.outbox.next_owed() is not None
    desk.cut()
    assert not desk.outbox.owes
    desk.outbox.came_back("a")
    assert texts(desk.settle().judged) == ["a"]
    assert desk.owed() == ["b", "c"]


def test_asks_keep_their_place(desk: Desk) -> None:
    desk.say("a")
    desk.nick("eve")
    desk.say("b")
    desk.nick("ann")
    desk.join(TEA)
    desk.say("c")
    desk.cut()
    desk.outbox.came_back("b")
    desk.settle()
    assert desk.owed() == ["ann", TEA, "c"]


def test_a_room_is_asked_for_once_more_though_one_was_there(desk: Desk) -> None:
    # The hello has asked for the room before.
    desk.join(TEA)
    desk.say("a")
    desk.cut()
    desk.outbox.came_back("a")
    assert texts(desk.settle().judged) == ["a"]
    assert desk.owed() == [TEA]


def test_what_was_answered_meanwhile_is_not_owed(desk: Desk) -> None:
    desk.say("a", "b")
    desk.cut()
    desk.settle()
    desk.outbox.answered("a")
    assert desk.owed() == ["b"]


# -- the session is gone --------------------------------------------------------


def test_in_a_new_session_only_what_leaves_a_trace_is_owed(desk: Desk) -> None:
    desk.say("a", "B", "c")
    desk.whisper("d")
    desk.cut()
    settled = desk.settle(THERE)
    assert settled.judged == []
    assert texts(settled.doubtful) == ["B", "d"]
    assert desk.owed() == ["a", "c"]


def test_the_log_shows_what_was_judged_before_it_was_lost(desk: Desk) -> None:
    desk.say("a", "B", "c", "D", "e")
    desk.cut()
    desk.outbox.found("c")
    settled = desk.settle(THERE)
    assert texts(settled.judged) == ["a", "B"]
    assert texts(settled.doubtful) == ["D"]
    assert desk.owed() == ["e"]


def test_a_log_with_a_gap_shows_nothing(desk: Desk) -> None:
    desk.say("a", "b")
    desk.cut()
    assert texts(desk.settle(THERE, torn=True).doubtful) == ["a", "b"]
    assert desk.owed() == []


def test_a_gap_does_not_matter_to_a_session_that_goes_on(desk: Desk) -> None:
    desk.say("a", "b")
    desk.cut()
    desk.outbox.came_back("a")
    desk.settle(torn=True)
    assert desk.owed() == ["b"]


def test_the_log_of_another_room_is_not_read(desk: Desk) -> None:
    desk.say("a")
    desk.join(TEA)
    desk.say("b")
    desk.join(LOBBY)
    desk.say("c")
    desk.cut()
    assert texts(desk.settle(THERE).doubtful) == ["b"]
    assert desk.owed() == ["a", TEA, LOBBY, "c"]


def test_what_is_owed_to_the_new_session_is_judged_by_it(desk: Desk) -> None:
    desk.say("a", "b", "c")
    desk.cut()
    desk.settle(THERE)
    assert desk.outbox.next_owed() is not None
    desk.cut()
    # Not even a gap makes doubtful what was not sent yet, and never in the old log.
    desk.outbox.came_back("a")
    assert texts(desk.settle(THERE, torn=True).judged) == ["a"]
    assert desk.owed() == ["b", "c"]


def test_a_new_session_is_told_the_name_again(desk: Desk) -> None:
    desk.nick("eve")
    desk.say("a")
    desk.cut()
    desk.outbox.found("a")
    desk.settle(THERE)
    assert desk.owed() == ["eve"]
