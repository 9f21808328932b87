"""What is kept, and how it is asked for page by page."""

import pytest

from tests.integration.conftest import Start
from tests.support.peer import MAX_FRAME, Frame, Peer, compact, encode, types
from tests.support.server import Server
from tests.support.waiting import fresh

OPTIONS = ("--rate", "0")


def say_many(peer: Peer, count: int) -> list[Frame]:
    """Say `line 1` and so on and give the messages as they came."""
    peer.send_all(
        *(encode("say", text=f"line {number}") for number in range(1, count + 1))
    )
    return [peer.expect("message", text=f"line {n}") for n in range(1, count + 1)]


def numbers(page: Frame) -> list[int]:
    """The ids on a page."""
    return [message["id"] for message in page["messages"]]


def span(first: int, last: int) -> list[int]:
    """The ids from first to last, both included."""
    return list(range(first, last + 1))


def test_an_empty_room(server: Server) -> None:
    peer = server.peer()
    _, room = peer.hello(room=fresh("room"))
    for asked in ({}, {"after": 0}, {"before": 1}, {"after": 7}, {"before": 7}):
        page = peer.history(**asked)
        assert page["messages"] == []
        assert page["more"] is False
        assert page["oldest_id"] == 1
        assert page["room"] == room["room"]
        assert page["log"] == room["log"]


def test_messages_are_kept_as_they_were_sent(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_all(
        encode("say", text="plain"),
        encode("say", text='"quoted" \\ é \U0001f600 \n\t', ref="r-1"),
    )
    sent = anna.sync()
    bob.say("and mine", ref="é")
    sent += anna.recv_until(lambda frame: frame.get("ref") == "é")
    assert types(sent) == ["message"] * 3
    bob.sync()
    page = bob.history()
    inside = b",".join(frame.payload for frame in sent)
    assert b'"messages":[' + inside + b"]" in page.payload
    assert page["more"] is False


def test_only_what_was_said_is_kept(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.say("LOUD")
    anna.send("whisper", to=bob.nick, text="psst")
    anna.send("nick", nick=fresh("annie"))
    anna.say("\x07")
    anna.say("said")
    anna.sync()
    assert [message["text"] for message in anna.history()["messages"]] == ["said"]


def test_pages(server: Server) -> None:
    (anna,) = server.crew("anna")
    said = say_many(anna, 120)
    assert [frame["id"] for frame in said] == span(1, 120)

    def ask(**asked: int) -> tuple[list[int], bool]:
        page = anna.history(**asked)
        assert page["oldest_id"] == 1
        return numbers(page), page["more"]

    assert ask() == (span(71, 120), True)
    assert ask(limit=1) == ([120], True)
    assert ask(limit=119) == (span(2, 120), True)
    assert ask(limit=120) == (span(1, 120), False)
    assert ask(limit=200) == (span(1, 120), False)
    assert ask(after=0) == (span(1, 50), True)
    assert ask(after=0, limit=3) == ([1, 2, 3], True)
    assert ask(after=70) == (span(71, 120), False)
    assert ask(after=69) == (span(70, 119), True)
    assert ask(after=119) == ([120], False)
    assert ask(after=120) == ([], False)
    assert ask(after=5000) == ([], False)
    assert ask(before=121, limit=2) == ([119, 120], True)
    assert ask(before=120, limit=2) == ([118, 119], True)
    assert ask(before=51) == (span(1, 50), False)
    assert ask(before=52) == (span(2, 51), True)
    assert ask(before=2) == ([1], False)
    assert ask(before=1) == ([], False)
    assert ask(before=0) == ([], False)
    assert ask(before=5000, limit=200) == (span(1, 120), False)


def test_two_hundred_at_most(server: Server) -> None:
    (anna,) = server.crew("anna")
    say_many(anna, 201)
    page = anna.history(limit=200)
    assert numbers(page) == span(2, 201)
    assert page["more"] is True


@pytest.mark.parametrize("text", ["\U0001f600" * 4000, '"' * 4000, "x" * 4000])
def test_a_page_never_exceeds_a_frame(server: Server, text: str) -> None:
    (anna,) = server.crew("anna")
    count = 30
    for _ in range(count):
        anna.say(text)
    size = len(anna.expect("message").payload)
    for _ in range(count - 1):
        anna.expect("message")
    fit = (MAX_FRAME - 200) // (size + 1)
    assert fit < count

    page = anna.history(after=0, limit=200)
    assert len(page["messages"]) >= fit, "as many as fit"
    assert numbers(page)[0] == 1
    assert page["more"] is True
    newest = anna.history(limit=200)
    assert numbers(newest)[-1] == count
    assert newest["more"] is True
    before = anna.history(before=20, limit=19)
    assert numbers(before)[-1] == 19
    assert before["more"] is True
    assert len(before["messages"]) >= min(fit, 19)

    forwards: list[int] = []
    more = True
    while more:
        page = anna.history(after=forwards[-1] if forwards else 0)
        forwards += numbers(page)
        more = page["more"]
    assert forwards == span(1, count)
    backwards: list[int] = []
    more = True
    while more:
        page = anna.history(before=backwards[0] if backwards else count + 1)
        backwards = numbers(page) + backwards
        more = page["more"]
    assert backwards == span(1, count)


def test_what_fits_is_not_left_out(server: Server) -> None:
    """It is bytes that are counted, and the frame is filled."""
    (anna,) = server.crew("anna")
    pages = [anna.history()]
    while not pages[-1]["more"]:
        anna.say("é" * 500)
        anna.expect("message")
        pages.append(anna.history(limit=200))
    full = pages[-1]
    left_out = anna.history(before=numbers(full)[0], limit=1)["messages"][0]
    assert len(full.payload) + len(",") + len(compact(left_out)) > MAX_FRAME


def test_keep_bounds_what_is_held(start: Start) -> None:
    server = start("--rate", "0", "--keep", "10")
    (anna,) = server.crew("anna")
    say_many(anna, 10)
    assert anna.history()["oldest_id"] == 1
    anna.say("line 11")
    anna.expect("message", id=11)
    assert anna.history()["oldest_id"] == 2
    for number in range(12, 26):
        anna.say(f"line {number}")
        anna.expect("message", id=number)

    def ask(**asked: int) -> tuple[list[int], bool]:
        page = anna.history(**asked)
        assert page["oldest_id"] == 16
        return numbers(page), page["more"]

    assert ask() == (span(16, 25), False)
    assert ask(limit=9) == (span(17, 25), True)
    assert ask(after=0, limit=3) == ([16, 17, 18], True)
    assert ask(after=7) == (span(16, 25), False)
    assert ask(after=15) == (span(16, 25), False)
    assert ask(after=16) == (span(17, 25), False)
    assert ask(before=17) == ([16], False)
    assert ask(before=16) == ([], False)
    assert ask(before=3) == ([], False)
    _, room = server.peer().hello(room=anna.history()["room"])
    assert room["oldest_id"] == 16
    assert room["last_id"] == 25


def test_keep_bytes_bounds_it_too(start: Start) -> None:
    server = start("--rate", "0", "--keep-bytes", "20000")
    (anna,) = server.crew("anna")
    for number in range(1, 101):
        anna.say("x" * 1000)
        anna.expect("message", id=number)
    page = anna.history(limit=200)
    assert 1 < page["oldest_id"] <= 95
    assert numbers(page) == span(page["oldest_id"], 100)
    assert page["more"] is False


def test_an_answer_has_its_place_among_the_news(server: Server) -> None:
    anna, bob = server.crew("anna", "bob")
    anna.send_all(
        encode("say", text="one"),
        encode("history"),
        encode("say", text="two"),
        encode("ping", data="x"),
        encode("join", room=(room := anna.history()["room"])),
        encode("say", text="three"),
        encode("history"),
    )
    seen = [anna.recv() for _ in range(7)]
    assert types(seen) == [
        "message", "history", "message", "pong", "room", "message", "history",
    ]  # fmt: skip
    assert [m["text"] for m in seen[1]["messages"]] == ["one"]
    assert seen[4]["room"] == room
    assert seen[4]["last_id"] == 2
    assert [m["text"] for m in seen[6]["messages"]] == ["one", "two", "three"]
    assert [frame["text"] for frame in bob.sync()] == ["one", "two", "three"]


def test_history_is_of_the_room_one_is_in(server: Server) -> None:
    (anna,) = server.crew("anna")
    (bob,) = server.crew("bob")
    say_many(anna, 3)
    bob.say("elsewhere")
    bob.expect("message")
    assert [m["text"] for m in bob.history()["messages"]] == ["elsewhere"]
    bob.send("join", room=anna.history()["room"])
    assert bob.expect("room")["last_id"] == 3
    assert numbers(bob.history()) == [1, 2, 3]


def test_a_page_tells_of_everything_shown_before_it(server: Server) -> None:
    """While others talk, page and news together leave no gap and overlap nowhere."""
    anna, bob, carl = server.crew("anna", "bob", "carl")
    burst = encode("say", text="busy") * 30
    for _ in range(10):
        anna.send_raw(burst)
        carl.send("history", limit=200)
        bob.send_raw(burst)
        seen = carl.recv_until(lambda frame: frame.type == "history")
        shown = [frame["id"] for frame in seen if frame.type == "message"]
        kept = numbers(seen[-1])
        if shown:
            assert kept[-1] == shown[-1]
        anna.sync()
        bob.sync()
        later = [frame["id"] for frame in carl.sync()]
        assert later == span(kept[-1] + 1 if kept else 1, (later or kept)[-1])
