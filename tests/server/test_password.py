"""Who has to show a password: when a guess is answered, and who waits for whom."""

from hmac import compare_digest
from pathlib import Path

import pytest

from chatroom.config import MAX_UNFINISHED
from chatroom.core import admission
from chatroom.net.transport import LINGER
from chatroom.server.guard import FORGET, LONGEST
from tests.server.conftest import Start
from tests.support.inprocess import Client, World, kinds

HERE = "127.0.0.1"
ELSEWHERE = "192.0.2.7"
SECRET = "open sesame"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The file that holds the password."""
    path = tmp_path / "password"
    path.write_text(SECRET + "\nand this is not part of it\n", encoding="utf-8")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def world(start: Start, file: str) -> World:
    """A server that asks for the password."""
    return start(password_file=file)


def guess(world: World, password: str, *, host: str = HERE) -> Client:
    """Connect and show *password*; nothing is turned but what that takes."""
    client = world.connect(host)
    client.send("hello", version=1, password=password)
    world.settle()
    return client


def answer(client: Client) -> str:
    """Return the code of the error that is all *client* has got, or the types."""
    frames = client.frames()
    if kinds(frames) == ["error"]:
        return str(frames[0]["code"])
    return " ".join(kinds(frames))


def test_who_knows_it_is_let_in_at_once(world: World) -> None:
    assert answer(guess(world, SECRET)) == "welcome room"


def test_it_is_compared_in_constant_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By digests, so that not even its length can be told."""
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare_digest(one, other)

    monkeypatch.setattr(admission, "compare_digest", compare)
    for password in ("", "o", SECRET, SECRET + "x" * 500):
        guess(world, password)
        world.advance(LONGEST)
    assert len(compared) >= 4
    assert set(compared) == {(32, 32)}


def test_who_guesses_is_told_later_each_time(world: World) -> None:
    for wait in (0.25, 0.5, 1.0, 2.0, 4.0, 4.0):
        client = guess(world, "sesame")
        world.advance(wait - 0.01)
        assert answer(client) == ""
        world.advance(0.02)
        assert answer(client) == "password"
        assert client.ended


def test_without_one_it_is_asked_for_at_once_and_not_counted(world: World) -> None:
    for _ in range(20):
        client = world.connect(HERE)
        client.send("hello", version=1)
        world.settle()
        assert answer(client) == "password"
        assert client.ended
    assert len(world.server.guard) == 0


def test_the_right_one_behind_wrong_ones_waits_for_its_turn(world: World) -> None:
    wrong = guess(world, "wrong")
    right = guess(world, SECRET)
    assert (answer(wrong), answer(right)) == ("", "")
    world.advance(0.26)
    assert (answer(wrong), answer(right)) == ("password", "welcome room")


def test_those_who_waited_are_judged_together(world: World) -> None:
    """Nobody behind the same address can keep out who knows it."""
    for _ in range(5):
        guess(world, "wrong")
        world.advance(LONGEST)
    first = guess(world, "wrong")
    crowd = [guess(world, f"wrong {number}") for number in range(100)]
    right = guess(world, SECRET)
    world.advance(LONGEST + 0.01)
    assert answer(first) == "password"
    assert answer(right) == "welcome room"
    assert {answer(client) for client in crowd} == {""}
    world.advance(LONGEST + 0.01)
    assert {answer(client) for client in crowd} == {"password"}


def test_another_address_does_not_wait(world: World, start: Start, file: str) -> None:
    guess(world, "wrong")
    assert answer(guess(world, SECRET, host="127.0.0.2")) == "welcome room"


def test_it_is_forgotten_after_a_minute(world: World) -> None:
    for _ in range(6):
        guess(world, "wrong")
        world.advance(LONGEST)
    world.advance(FORGET)
    client = guess(world, "wrong")
    world.advance(0.26)
    assert answer(client) == "password"


@pytest.mark.parametrize("password", [SECRET, "wrong", None])
def test_from_another_machine_it_is_not_taken_in_plain_text(
    world: World, password: str | None
) -> None:
    """Nothing is compared, so nothing is learned, and nothing is counted."""
    client = world.connect(ELSEWHERE)
    client.send("hello", version=1, password=password)
    if password is None:
        client = world.connect(ELSEWHERE)
        client.send("hello", version=1)
    world.settle()
    (error,) = client.frames()
    assert (error["type"], error["code"]) == ("error", "password")
    assert "TLS" in error["text"]
    assert client.ended
    assert len(world.server.guard) == 0


@pytest.mark.parametrize("host", ["127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_has_several_names(world: World, host: str) -> None:
    assert answer(guess(world, SECRET, host=host)) == "welcome room"


def test_the_version_comes_first_and_a_room_later(world: World) -> None:
    client = world.connect(HERE)
    client.send("hello", version=9, password="wrong")
    world.settle()
    assert answer(client) == "version"
    client = world.connect(HERE)
    client.send("hello", version=1, room="!", password="wrong")
    world.advance(0.3)
    assert answer(client) == "password"
    client = world.connect(HERE)
    client.send("hello", version=1, room="!", password=SECRET)
    world.advance(0.6)
    assert answer(client) == "room-invalid"
    client.send("hello", version=1, password=SECRET)
    world.advance(0.6)
    assert answer(client) == "welcome room"


def test_a_session_is_no_password(world: World) -> None:
    known = guess(world, SECRET)
    token = known.frames()[0]["session"]
    client = world.connect(HERE)
    client.send("hello", version=1, session=token)
    world.settle()
    assert answer(client) == "password"


def test_what_follows_a_guess_waits_with_it(world: World) -> None:
    wrong, right = guess(world, "wrong"), world.connect(HERE)
    right.send("hello", version=1, password=SECRET)
    right.send("say", text="hello all")
    wrong.send("say", text="never")
    world.settle()
    assert answer(right) == ""
    world.advance(0.3)
    assert answer(right) == "welcome room message"
    assert answer(wrong) == "password"


def test_one_that_waits_is_not_held_up_by_the_rate_too(start: Start, file: str) -> None:
    """Its hello was paid for when it came."""
    world = start(password_file=file, rate=0.01, burst=1)
    client = guess(world, "wrong")
    world.advance(0.3)
    assert answer(client) == "password"
    assert client.ended


def test_one_that_goes_while_it_waits_leaves_nothing(world: World) -> None:
    for _ in range(4):
        client = guess(world, "wrong")
        client.close()
        client.ended = True
        world.settle()
    world.advance(2 * LONGEST + 0.1)
    assert not world.server.connections


def test_one_that_half_closes_is_answered_still(world: World) -> None:
    client = guess(world, "wrong")
    client.half_close()
    world.advance(0.3)
    assert answer(client) == "password"


def test_guesses_hold_no_more_places_than_others_who_are_unfinished(
    world: World,
) -> None:
    for number in range(MAX_UNFINISHED + 50):
        guess(world, f"wrong {number}")
    assert len(world.server.connections) <= MAX_UNFINISHED
    world.advance(2 * LONGEST + 0.1)
    assert not world.server._unfinished
    world.advance(LINGER + 0.1)
    assert not world.server.connections


def test_very_many_addresses_guess_no_faster(world: World) -> None:
    """However many seats are free: guesses have those few places in common."""
    clients = [
        guess(world, "wrong", host=f"127.0.2.{number % 250}")
        for number in range(MAX_UNFINISHED + 50)
    ]
    assert len(world.server.connections) == MAX_UNFINISHED
    assert [answer(client) for client in clients if client.ended] == ["full"] * 50
    world.advance(LONGEST + 0.1)
    assert len(world.server._guessing) == 0


def test_a_stop_does_not_wait_for_them(world: World) -> None:
    guess(world, "wrong")
    world.server.stop()
    world.settle()
    assert not world.server.connections
