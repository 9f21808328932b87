"""Looking for words in what was said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.frames import Fields
from chatroom.client.search import MAX_MATCHES, MAX_SEARCHED, Search
from chatroom.client.transcript import PAGE, Event, Heard
from chatroom.errors import BadPeer
from tests.client.fakes import MESSAGE

HISTORY: Fields = {"type": "history", "room": "lobby", "log": "log1", "oldest_id": 1}


def log_of(*texts: str) -> list[Fields]:
    return [MESSAGE | {"id": n, "text": text} for n, text in enumerate(texts, 1)]


def page(log: list[Fields], question: Fields, size: int = PAGE) -> Fields:
    """What a server answers that keeps *log* and gives *size* messages at once."""
    end = question.get("before", log[-1]["id"] + 1 if log else 1) - 1
    kept = [message for message in log if message["id"] <= end]
    messages = kept[-min(size, question["limit"]) :]
    return HISTORY | {"messages": messages, "more": len(kept) > len(messages)}


def run(search: Search, log: list[Fields], size: int = PAGE) -> list[Event]:
    """Let it search *log* to its end."""
    events: list[Event] = []
    while (question := search.next_question()) is not None:
        assert search.next_question() is None, "one at a time"
        assert not events, "what is found is shown at the end"
        events += search.answer(page(log, question, size))
    assert search.room == ""
    return events


def begun(text: str, hides: str = "") -> Search:
    search = Search(lambda nick: nick == hides)
    search.begin(text, "lobby")
    return search


def texts(events: list[Event]) -> list[str]:
    return [e if isinstance(e, str) else e.frame["text"] for e in events]


def test_matches_come_oldest_first_between_a_head_and_an_end() -> None:
    log = log_of("a TEA pot", "pot", "tea, in a pot", "te a pot")
    events = run(begun("Pot  tea"), log)
    assert texts(events) == [
        "search for Pot  tea: 2 found",
        "a TEA pot",
        "tea, in a pot",
        "end of search; searched all 4 messages kept of lobby",
    ]
    assert events[1] == Heard("found", log[0])


def test_letters_are_folded_as_elsewhere() -> None:
    log = log_of("STRASSE", "e\u0308", "x")
    assert len(run(begun("straße"), log)) == 3
    assert len(run(begun("\u00cb"), log)) == 3


def test_nothing_found() -> None:
    word = "search for x: nothing found; searched all"
    assert run(begun("x"), log_of("a")) == [f"{word} 1 message kept of lobby"]
    assert run(begun("x"), []) == [f"{word} 0 messages kept of lobby"]


def test_it_goes_back_page_by_page() -> None:
    search, log = begun("tea"), log_of(*(f"say {n}" for n in range(500)))
    first = search.next_question()
    assert first == {"type": "history", "limit": PAGE}
    search.answer(page(log, first))
    assert search.next_question() == {"type": "history", "limit": PAGE, "before": 301}


def test_it_stops_with_enough_matches() -> None:
    log = log_of(*("x" if n % 2 else "tea" for n in range(1000)))
    events = run(begun("tea"), log)
    assert len(events) == MAX_MATCHES + 2
    far = 2 * MAX_MATCHES
    assert events[-1] == f"end of search; searched the last {far} messages of lobby"
    assert texts(events)[1:-1] == ["tea"] * MAX_MATCHES
    ids = [event.frame["id"] for event in events if isinstance(event, Heard)]
    assert ids == sorted(ids)
    assert ids[-1] == 999


def test_it_stops_after_so_many_messages() -> None:
    events = run(begun("tea"), log_of("tea", *["x"] * (MAX_SEARCHED + 300)))
    assert events == [
        f"search for tea: nothing found; searched the last {MAX_SEARCHED} messages "
        "of lobby"
    ]


def test_those_who_are_ignored_are_not_found() -> None:
    log = [MESSAGE | {"text": "tea"}, MESSAGE | {"id": 2, "from": "eve", "text": "tea"}]
    events = run(begun("tea", hides="bob"), log)
    assert [e.frame["from"] for e in events if isinstance(e, Heard)] == ["eve"]


def test_another_search_takes_its_place() -> None:
    search, log = begun("a"), log_of("a", "b")
    question = search.next_question()
    assert question is not None
    search.begin("b", "lobby")
    assert search.next_question() is None, "the page under way comes first"
    assert search.answer(page(log, question)) == []
    assert texts(run(search, log))[:2] == ["search for b: 1 found", "b"]


def test_it_ends_with_a_word() -> None:
    search, log = begun("a"), log_of("a")
    question = search.next_question()
    assert question is not None
    assert search.end("of this") == ["search for a: ended, as of this"]
    assert search.end("of that") == []
    assert search.answer(page(log, question)) == []
    assert search.next_question() is None


def test_a_lost_connection_answers_nothing() -> None:
    search, log = begun("a"), log_of("a")
    search.next_question()
    search.lost()
    search.end("the connection was lost")
    search.begin("a", "lobby")
    assert len(run(search, log)) == 3


def test_a_refusal_ends_it() -> None:
    search = begun("a")
    search.next_question()
    word = "search for a: ended, as the server has refused to go on"
    assert search.answer(None) == [word]


@pytest.mark.parametrize("messages", [[], log_of("x", "x")])
def test_a_server_that_never_ends_breaks_the_protocol(messages: list[Fields]) -> None:
    search = begun("tea")
    endless = HISTORY | {"messages": messages, "more": True}
    with pytest.raises(BadPeer, match="nothing older"):
        for _ in range(2):
            search.next_question()
            search.answer(endless)


@given(
    st.lists(st.sampled_from(["tea", "TEA pot", "pot", "x"]), max_size=60),
    st.integers(1, 7),
    st.integers(0, 5),
)
def test_all_is_found_that_is_there(said: list[str], size: int, gone: int) -> None:
    log = log_of(*said)[gone:]
    matches = [message for message in log if "tea" in message["text"].lower()]
    events = run(begun("tea"), log, size)
    found = [event.frame for event in events if isinstance(event, Heard)]
    assert found == matches[-MAX_MATCHES:]
    assert events[0] == "search for tea: " + (
        f"{len(found)} found"
        if found
        else f"nothing found; searched all {len(log)} message{'s' * (len(log) != 1)} "
        "kept of lobby"
    )
