"""Keys of operators, by the clock: when a guess is answered, and who waits for whom."""

from pathlib import Path

import pytest

from chatroom.core.operators import entry
from chatroom.server import app
from chatroom.server.guard import LONGEST
from tests.server.conftest import Start
from tests.support.inprocess import Client, World, kinds
from tests.support.peer import encode


@pytest.fixture
def world(start: Start, tmp_path: Path) -> World:
    """A server with an operator."""
    path = tmp_path / "operators"
    path.write_text(entry("root", "key"), encoding="utf-8")
    path.chmod(0o600)
    return start(operator_file=str(path))


def member(world: World, host: str = "127.0.0.1") -> Client:
    """Return a member who has heard all there was."""
    client = world.connect(host)
    client.send("hello", version=1)
    world.settle()
    client.frames()
    return client


def login(client: Client, key: str) -> None:
    client.send("op", do="login", key=key)
    client.world.settle()


def told(client: Client) -> list[str]:
    """Return the types of all that *client* has got, presence aside."""
    return [kind for kind in kinds(client.frames()) if kind not in ("joined", "left")]


def test_the_right_key_is_taken_at_once(world: World) -> None:
    ann = member(world)
    login(ann, "key")
    assert told(ann) == ["op"]


def test_a_wrong_one_is_told_later_each_time(world: World) -> None:
    ann = member(world)
    for wait in (0.25, 0.5, 1.0, 2.0, LONGEST, LONGEST):
        login(ann, "no key")
        world.advance(wait - 0.01)
        assert told(ann) == []
        world.advance(0.02)
        assert told(ann) == ["error"]
    login(ann, "key")
    assert told(ann) == ["op"]


def test_many_at_once_are_told_one_after_the_other(world: World) -> None:
    ann = member(world)
    for _ in range(3):
        ann.send("op", do="login", key="no key")
    ann.send("say", text="behind")
    world.settle()
    for wait in (0.25, 0.5, 1.0):
        assert told(ann) == []
        world.advance(wait + 0.001)
        assert "error" in (found := told(ann))
    assert found == ["error", "message"]


def test_others_of_the_address_wait_with_who_guesses(world: World) -> None:
    eve, op, far = member(world), member(world), member(world, "127.0.0.2")
    login(eve, "no key")
    login(op, "key")
    login(far, "key")
    assert (told(op), told(far)) == ([], ["op"])
    world.advance(0.26)
    assert (told(eve), told(op)) == (["error"], ["op"])


def test_a_member_who_waits_keeps_his_seat(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those whose password waits are few; he is no stranger."""
    monkeypatch.setattr(app, "MAX_UNFINISHED", 1)
    members = [member(world) for _ in range(4)]
    for one in members:
        login(one, "no key")
    world.advance(3 * LONGEST)
    assert all("error" in told(one) for one in members)
    assert not any(one.ended for one in members)


def test_lists_of_bans_are_answered_one_a_tick(world: World) -> None:
    """As all that is long; what else operators do is not held up by that."""
    ann = member(world)
    login(ann, "key")
    assert told(ann) == ["op"]
    ann.send_raw(
        encode("op", do="ban", nick="a") + encode("op", do="ban", nick="b")
        + encode("op", do="bans") * 2 + encode("ping")
    )  # fmt: skip
    got = []
    for _ in range(4):
        world.tick()
        ann.read()
        got.append([frame.get("do", "pong") for frame in ann.frames()])
    assert [some for some in got if some] == [
        ["ban", "ban", "bans"],
        ["bans"],
        ["pong"],
    ]


def test_the_log_says_who_it_was_then(world: World) -> None:
    ann = member(world)
    login(ann, "key")
    ann.send_raw(
        encode("op", do="ban", nick="eve") + encode("nick", nick="root")
        + encode("op", do="lock")
    )  # fmt: skip
    world.settle()
    done = [line for line in world.log if " operator " in line]
    assert "nick=guest-1 do=ban target=eve" in done[1]
    assert "nick=root do=lock" in done[2]


def test_one_that_goes_while_it_waits_leaves_nothing(world: World) -> None:
    ann = member(world)
    login(ann, "no key")
    ann.close()
    ann.ended = True
    world.advance(LONGEST + 0.1)
    assert not world.server.connections
