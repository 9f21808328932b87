"""A reload: all of it or nothing, and nobody who is here notices.

Settings are copied in many places; each place has its test here.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.config import Settings, option_name
from chatroom.core.operators import entry
from chatroom.errors import UsageError
from chatroom.server import web as site
from chatroom.server.reload import AT_START, reload
from tests.server.conftest import Start
from tests.support import web
from tests.support.inprocess import Client, World, kinds
from tests.support.peer import encode, ids, texts
from tests.support.tls import CERT, KEY, OTHER_CERT, OTHER_KEY

KIB = 1024
OTHERS: dict[str, Any] = {
    "strikes": 5,
    "shout_min_letters": 3,
    "strike_lapse": 60.0,
    "rate": 3.0,
    "burst": 7,
    "rate_bytes": 5000,
    "burst_bytes": 70_000,
    "max_clients": 12,
    "max_clients_per_ip": 3,
    "max_rooms": 4,
    "hello_timeout": 5.0,
    "frame_timeout": 4.0,
    "ping_interval": 20.0,
    "idle_timeout": 50.0,
    "max_output": 100_000,
    "max_output_soft": 50_000,
    "max_output_total": 1_000_000,
    "stall_timeout": 9.0,
    "keep": 3,
    "keep_bytes": 4000,
    "history_keep": 2,
    "presence_limit": 1,
    "web": False,
    "web_host": ("chat.example.org",),
    "metrics_public": True,
    "log_level": "warning",
    "log_format": "json",
}
"""Another value for each setting that needs no file."""
FILES = (
    *("tls_cert", "tls_key", "tls_only", "password_file", "operator_file", "log_file"),
)


def change(world: World, **changes: Any) -> None:
    """Have the server read settings that differ so from those of now."""
    world.settings = replace(world.settings, **changes)
    reload(world.server)
    world.settle()


def about_reload(world: World) -> list[str]:
    """Return what the log says of reloads."""
    return [line for line in world.log if re.search(r' reload |"reload"', line)]


def say(client: Client, text: str) -> None:
    """Say *text*, and have it judged."""
    client.send("say", text=text)
    client.world.settle()


# -- all of it ---------------------------------------------------------------------


def test_the_tests_know_every_setting() -> None:
    assert {f.name for f in fields(Settings)} == {*OTHERS, *FILES, *AT_START}


@pytest.mark.parametrize("name", OTHERS)
def test_each_is_taken_and_told_and_nobody_notices(start: Start, name: str) -> None:
    world = start()
    ann, bob = world.join("ann"), world.join("bob")
    change(world, **{name: OTHERS[name]})
    assert getattr(world.server.settings, name) == OTHERS[name]
    (line,) = about_reload(world)
    assert f"{option_name(name)} " in line
    assert " -> " in line
    say(ann, "still here")
    assert texts(bob.frames()) == texts(ann.frames()) == ["still here"]


@pytest.mark.parametrize("name", sorted(AT_START))
def test_what_is_open_waits_for_a_restart(start: Start, name: str) -> None:
    world = start()
    other = {"host": ("::1",), "port": 99, "history": "other.db"}[name]
    for _ in range(2):
        change(world, **{name: other, "strikes": 3})
        assert getattr(world.server.settings, name) == getattr(Settings(), name)
        assert world.server.settings.strikes == 3
    first, wait, again, still = about_reload(world)
    assert "strikes 2 -> 3" in first and name not in first
    assert "no setting" in again
    assert wait.split()[1:] == still.split()[1:]
    assert f"waits for a restart: {name} " in wait


def test_other_defaults_are_no_copies_that_were_forgotten(start: Start) -> None:
    """With all settings changed at once the server is as one that began so."""
    changed = start()
    changed.join("ann")
    change(changed, **OTHERS)
    fresh = start(**OTHERS)
    fresh.join("ann")
    for world in (changed, fresh):
        (room,) = world.server.chat.rooms.values()
        (connection,) = world.server.connections
        server = world.server
        found = (
            server.settings, server.chat.rules, server.limited, server._max_kept,
            vars_of(server.frames), vars_of(server.bytes),
            room.presence_limit, room.log._most, room.log._most_bytes,
            vars(server.store)["_keep"], connection._next_deadline(),
        )  # fmt: skip
        if world is changed:
            expected = found
    assert found == expected


def vars_of(slotted: Any) -> list[object]:
    """Return what an object with slots holds."""
    return [getattr(slotted, name) for name in slotted.__slots__]


settings_that_are_kind = st.fixed_dictionaries(
    {},
    optional={
        "strikes": st.integers(1, 4),
        "strike_lapse": st.sampled_from([0.0, 1.0, 60.0]),
        "rate": st.sampled_from([0.0, 1.0, 8.0, 100.0]),
        "burst": st.integers(0, 60),
        "rate_bytes": st.sampled_from([0, 1000, 16384]),
        "burst_bytes": st.sampled_from([1000, 65536]),
        "max_clients": st.integers(0, 3),
        "max_clients_per_ip": st.integers(0, 3),
        "max_rooms": st.integers(0, 3),
        "hello_timeout": st.sampled_from([0.0, 1.0, 10.0]),
        "frame_timeout": st.sampled_from([0.0, 1.0, 30.0]),
        "ping_interval": st.sampled_from([0.0, 1.0, 30.0]),
        "idle_timeout": st.sampled_from([0.0, 40.0, 90.0]),
        "max_output": st.sampled_from([0, 200_000, 4 << 20]),
        "max_output_soft": st.sampled_from([0, 100_000]),
        "max_output_total": st.sampled_from([0, 1 << 20]),
        "keep": st.integers(0, 5),
        "keep_bytes": st.sampled_from([0, 300, 1 << 20]),
        "presence_limit": st.integers(0, 4),
        "web": st.booleans(),
        "metrics_public": st.booleans(),
        "log_level": st.sampled_from(["debug", "info", "warning", "error"]),
    },
)


@given(
    st.lists(
        st.tuples(settings_that_are_kind, st.integers(0, 3), st.floats(0, 20)),
        max_size=8,
    )
)
def test_whatever_changes_everybody_stays_and_hears_all(
    steps: list[tuple[dict[str, Any], int, float]],
) -> None:
    world = World()
    try:
        members = [world.join(f"m{number}") for number in range(3)]
        count = 0
        for changes, lines, pause in steps:
            for _ in range(lines):
                members[count % 3].send("say", text=f"{count}")
                count += 1
            change(world, **changes)
            world.advance(pause)
            for member in members:
                member.send("pong")
        change(world, rate=0.0)
        for member in members:
            frames = [f for f in member.frames() if f.type == "message"]
            assert ids(frames) == list(range(1, count + 1))
            assert sorted(texts(frames), key=int) == list(map(str, range(count)))
            assert not member.ended
    finally:
        world.finish()


# -- or nothing --------------------------------------------------------------------


def bad(tmp_path: Path, how: str) -> dict[str, Any]:
    """Return settings that cannot hold, and next to them one that could."""
    missing = str(tmp_path / "missing" / "x")
    other: dict[str, Any] = {
        "password": {"password_file": missing},
        "certificate": {"tls_cert": CERT, "tls_key": missing},
        "pair": {"tls_cert": CERT, "tls_key": str(tmp_path / "empty")},
        "operators": {"operator_file": missing},
        "a pipe of operators": {"operator_file": str(tmp_path / "pipe")},
        "log": {"log_file": missing},
        "log is a folder": {"log_file": str(tmp_path)},
        "a pipe": {"password_file": str(tmp_path / "pipe")},
        "a log that nobody reads": {"log_file": str(tmp_path / "pipe")},
    }[how]
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    return other | OTHERS


@pytest.mark.parametrize(
    "how",
    ["password", "certificate", "pair", "operators", "log", "log is a folder", "a pipe",
     "a pipe of operators", "a log that nobody reads"],
)  # fmt: skip
def test_one_thing_that_cannot_be_and_nothing_has_changed(
    start: Start, tmp_path: Path, how: str
) -> None:
    log_file = tmp_path / "log"
    world = start(log_file=str(log_file))
    ann = world.join("ann")
    server = world.server

    def held() -> tuple[object, ...]:
        of_log = server.log._file, server.log.level, server.log._style
        return vars(server)["parts"], server.chat.rules, server.frames, *of_log

    before = held()
    change(world, **bad(tmp_path, how))
    assert held() == before
    (line,) = about_reload(world)
    assert line.split()[1] == "error"
    assert str(tmp_path) in line
    assert line.endswith('nothing has changed"')
    say(ann, "still here")
    assert texts(ann.frames()) == ["still here"]


def test_settings_that_cannot_be_read_are_one_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> Settings:
        raise UsageError("'chat.toml', line 3: there is no setting 'prot'")

    held = world.server.parts
    monkeypatch.setattr(world.server, "read", read)
    reload(world.server)
    world.settle()
    assert world.server.parts is held
    (line,) = about_reload(world)
    assert "'chat.toml', line 3: there is no setting 'prot'; nothing" in line


def test_a_log_file_is_not_made_for_nothing(world: World, tmp_path: Path) -> None:
    path = tmp_path / "log"
    change(world, log_file=str(path), password_file=str(tmp_path / "none"))
    assert not path.exists()


# -- rates -------------------------------------------------------------------------

SLOW: dict[str, Any] = {"rate": 1 / 64, "burst": 4, "rate_bytes": 0}


def test_who_was_slowed_goes_on_at_the_new_rate(start: Start) -> None:
    world = start(**SLOW)
    ann = world.join("ann")
    ann.send_raw(b"".join(encode("say", text=f"m{n}") for n in range(12)))
    world.advance(1)
    assert len(texts(ann.frames())) == 3
    change(world, rate=8.0)
    assert len(texts(ann.frames())) == 0
    world.advance(0.125)
    assert len(texts(ann.frames())) == 1
    world.advance(1)
    assert len(texts(ann.frames())) == 8


def test_who_was_slowed_by_his_bytes_goes_on_too(start: Start) -> None:
    world = start(rate=1024.0, burst=1024, rate_bytes=4, burst_bytes=256)
    ann = world.join("ann")
    ann.send_raw(encode("say", text="x" * 200) * 3)
    world.settle()
    assert len(texts(ann.frames())) < 3
    change(world, rate_bytes=8192)
    world.advance(0.25)
    assert len(texts(ann.frames())) == 2


def test_who_was_slowed_goes_on_where_there_is_no_rate(start: Start) -> None:
    world = start(**SLOW)
    ann = world.join("ann")
    ann.send_raw(b"".join(encode("say", text=f"m{n}") for n in range(12)))
    world.settle()
    ann.frames()
    change(world, rate=0.0)
    assert len(texts(ann.frames())) == 9


def test_a_rate_where_there_was_none_begins_with_a_burst(world: World) -> None:
    ann = world.join("ann")
    for number in range(20):
        say(ann, f"{number}")
    ann.frames()
    change(world, rate=1.0, burst=4)
    ann.send_raw(b"".join(encode("say", text=f"m{n}") for n in range(12)))
    world.settle()
    assert len(texts(ann.frames())) == 4


def test_a_password_that_is_waited_for_is_not_hurried(
    start: Start, tmp_path: Path
) -> None:
    """A guess has its time, whatever becomes of the rate."""
    path = tmp_path / "password"
    path.write_text("sesame")
    world = start(password_file=str(path))
    guess = world.connect("127.0.0.1")
    guess.send("hello", version=1, password="wrong")
    world.settle()
    change(world, rate=100.0)
    assert guess.frames() == []
    world.advance(0.25)
    assert guess.frames()[0]["code"] == "password"


# -- time --------------------------------------------------------------------------


def test_who_is_silent_is_not_late_by_a_time_that_he_did_not_know(
    start: Start,
) -> None:
    world = start(ping_interval=60.0, idle_timeout=180.0)
    members = [world.join(f"m{number}") for number in range(40)]
    world.advance(59)
    change(world, ping_interval=5.0, idle_timeout=15.0)
    pings: Counter[float] = Counter()
    for _ in range(20 * 64):
        world.advance(1 / 64)
        for member in members:
            for frame in member.frames():
                assert frame.type == "ping"
                pings[world.clock.now] += 1
                member.send("pong")
    assert pings.total() in range(4 * 40 - 8, 4 * 40 + 1)
    assert max(pings.values()) <= 2, "else all are pinged in one tick for ever"


def test_who_says_nothing_any_more_is_gone_by_the_new_time(start: Start) -> None:
    world = start(ping_interval=60.0, idle_timeout=180.0)
    ann = world.join("ann")
    world.advance(10)
    change(world, ping_interval=5.0, idle_timeout=15.0)
    world.advance(14.5)
    assert not ann.ended
    world.advance(0.5)
    assert ann.frames()[-1]["reason"] == "idle"


def test_without_pings_silence_counts_from_the_reload(start: Start) -> None:
    world = start(ping_interval=0.0, idle_timeout=0.0)
    ann = world.join("ann")
    world.advance(3600)
    change(world, idle_timeout=20.0)
    world.advance(19.5)
    assert not ann.ended
    world.advance(0.5)
    assert ann.frames()[-1]["reason"] == "idle"


@pytest.mark.parametrize(
    ("old", "new", "ends"),
    [(10, 15, 15), (10, 6, 6), (10, 2, 4), (0, 3, 7), (10, 0, None), (0, 0, None)],
)
def test_who_has_not_said_hello_has_the_new_time(
    start: Start, old: float, new: float, ends: float | None
) -> None:
    """Since it came, but where there was no limit: since there is one."""
    world = start(hello_timeout=float(old))
    client = world.connect()
    world.advance(4)
    change(world, hello_timeout=float(new))
    if ends is None:
        world.advance(1000)
        assert not client.ended
        return
    world.advance(ends - 4 - 0.125 if ends > 4 else 0)
    assert client.ended is (ends <= 4)
    world.advance(0.125)
    assert client.frames()[-1]["code"] == "timeout"


def test_a_member_has_no_time_to_say_hello(start: Start) -> None:
    world = start(hello_timeout=0.0, ping_interval=0.0, idle_timeout=0.0)
    ann = world.join("ann")
    change(world, hello_timeout=1.0)
    world.advance(100)
    assert not ann.ended


def test_a_frame_that_is_begun_has_the_new_time(world: World) -> None:
    ann = world.join("ann")
    ann.send_raw(encode("say", text="x" * 100)[:50])
    world.advance(2)
    change(world, frame_timeout=5.0)
    world.advance(2.875)
    assert not ann.ended
    world.advance(0.125)
    assert ann.frames()[-1]["code"] == "timeout"


# -- output ------------------------------------------------------------------------


def stalled(world: World, size: int) -> Client:
    """Let somebody join who does not take *size* bytes."""
    client = world.join("slow", sndbuf=4096)
    client.reading = False
    while client.connection.transport.unsent < size:
        client.connection.transport.write(bytes(1000))
    return client


def is_over(client: Client) -> bool:
    """Tell whether the server has ended the connection."""
    client.world.settle()
    return client.connection not in client.world.server.connections


QUIET: dict[str, Any] = {"ping_interval": 0.0, "idle_timeout": 0.0}


def test_who_is_over_the_new_soft_limit_has_his_ten_seconds(start: Start) -> None:
    world = start(stall_timeout=0.0, **QUIET)
    client = stalled(world, 100 * KIB)
    change(world, max_output_soft=50 * KIB)
    world.advance(9.875)
    assert not is_over(client)
    world.advance(0.125)
    assert is_over(client)


def test_who_is_under_the_new_soft_limit_stays(start: Start) -> None:
    world = start(stall_timeout=0.0, max_output_soft=50 * KIB, **QUIET)
    client = stalled(world, 100 * KIB)
    world.advance(9)
    change(world, max_output_soft=0)
    world.advance(60)
    assert not is_over(client)


def test_a_shorter_time_to_take_something(start: Start) -> None:
    world = start(**QUIET)
    client = stalled(world, 100 * KIB)
    world.advance(2)
    change(world, stall_timeout=5.0)
    world.advance(2.875)
    assert not is_over(client)
    world.advance(0.125)
    assert is_over(client)


def test_the_sum_of_all_is_looked_at(start: Start) -> None:
    world = start(**QUIET)
    client = stalled(world, 100 * KIB)
    change(world, max_output_total=50 * KIB)
    assert is_over(client)


# -- members and rooms -------------------------------------------------------------


def test_who_is_here_stays_and_who_comes_is_refused(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    change(world, max_clients=1)
    third = world.connect()
    third.send("hello", version=1)
    world.settle()
    assert third.frames()[0]["code"] == "full"
    say(ann, "hello")
    assert texts(bob.frames()) == ["hello"]


def page(client: Client) -> list[int]:
    """Return the ids of what *client* can read."""
    client.frames()
    client.send("history", limit=200)
    client.world.settle()
    (found,) = client.frames()
    return [message["id"] for message in found["messages"]]


def test_rooms_hold_less_and_then_more(world: World) -> None:
    clients = [world.join(f"m{n}", room=f"r{n}") for n in range(3)]
    for client in clients:
        for number in range(9):
            say(client, f"{number}")
    change(world, keep=4)
    for client in clients:
        assert page(client) == [6, 7, 8, 9]
    change(world, keep=6)
    for client in clients:
        for number in range(3):
            say(client, f"{number}")
        assert page(client) == [7, 8, 9, 10, 11, 12]
    new = world.join("new", room="other")
    for number in range(9):
        say(new, f"{number}")
    assert page(new) == [4, 5, 6, 7, 8, 9]


def test_a_large_room_drops_a_little_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatroom.server.reload.DROPPED_AT_ONCE", 5)
    ann = world.join("ann")
    for number in range(40):
        say(ann, f"{number}")
    log = world.server.chat.rooms["lobby"].log
    world.settings = replace(world.settings, keep=10)
    reload(world.server)
    held = [len(log)]
    while held[-1] > 10:
        world.tick()
        held.append(len(log))
    assert held == [35, 30, 25, 20, 15, 10]
    assert page(ann) == list(range(31, 41))


def test_the_file_holds_less(start: Start, tmp_path: Path) -> None:
    world = start(history=str(tmp_path / "history.db"))
    ann = world.join("ann")
    for number in range(9):
        say(ann, f"{number}")
    change(world, history_keep=2, keep=1)
    world.tick()
    assert page(ann) == [8, 9]
    change(world, history_keep=0)
    for number in range(5):
        say(ann, f"{number}")
    world.advance(20)
    assert page(ann) == list(range(8, 15))


def test_a_crowd_is_told_its_number_or_its_names(world: World) -> None:
    ann, *others = [world.join(f"m{number}") for number in range(6)]
    change(world, presence_limit=3)
    others[0].send("leave")
    world.settle()
    assert [(f.type, f["count"]) for f in ann.frames()] == [("count", 5)]
    change(world, presence_limit=500)
    assert [(f.type, f["count"]) for f in ann.frames()] == [("count", 5)]
    others[1].send("leave")
    world.settle()
    assert kinds(ann.frames()) == ["left"]


# -- who is let in -----------------------------------------------------------------


def hello(world: World, password: str | None) -> str:
    """Say hello from this machine with *password*; return what comes of it."""
    client = world.connect("127.0.0.1")
    given_ = {} if password is None else {"password": password}
    client.send("hello", version=1, **given_)
    world.advance(1)
    frame = client.frames()[0]
    return frame["code"] if frame.type == "error" else frame.type


def test_the_password_is_read_anew(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("sesame")
    path.chmod(0o600)
    world = start(password_file=str(path))
    assert hello(world, "sesame") == "welcome"
    path.write_text("barley")
    assert hello(world, "sesame") == "welcome"
    change(world)
    assert 'changed="no setting" password="another one"' in about_reload(world)[-1]
    assert hello(world, "sesame") == "password"
    assert hello(world, "barley") == "welcome"
    change(world)
    assert "password=" not in about_reload(world)[-1]
    change(world, password_file="")
    assert "password=none" in about_reload(world)[-1]
    assert hello(world, None) == "welcome"
    assert not any("barley" in line or "sesame" in line for line in world.log)


def test_the_log_says_how_many_keys_of_operators_there_are(
    start: Start, tmp_path: Path
) -> None:
    """Where they are others than before; which they are is for nobody to read."""
    path = tmp_path / "operators"
    path.touch()
    world = start(operator_file=str(path))
    for keys, said in (
        (["a"], '"1 key"'), (["b"], '"1 key"'), (["b"], None), (["a", "b"], '"2 keys"'),
        ([], "none"),
    ):  # fmt: skip
        path.write_text("\n".join(entry("root", key) for key in keys))
        change(world)
        line = about_reload(world)[-1]
        _, _, found = line.partition(" operators=")
        assert found == (said or ""), line


def test_a_password_that_came_through_a_pipe_stays(
    start: Start, tmp_path: Path
) -> None:
    """It can be read but once, and whoever tried again would wait for ever."""
    reader, writer = os.pipe()
    os.write(writer, b"sesame\n")
    os.close(writer)
    world = start(password_file=f"/dev/fd/{reader}")
    change(world, strikes=3)
    assert world.server.settings.strikes == 3
    assert hello(world, "wrong") == "password"
    assert hello(world, "sesame") == "welcome"
    os.close(reader)


def context(world: World) -> object:
    """Return what TLS goes by now."""
    return world.server.tls


def test_tls_can_be_turned_on_and_off(world: World) -> None:
    plain = world.join("plain")
    change(world, tls_cert=CERT, tls_key=KEY, tls_only=True)
    first = context(world)
    assert first is not None
    stranger = world.connect()
    stranger.send("hello", version=1)
    world.settle()
    assert stranger.frames()[0]["code"] == "bad-frame"
    change(world, tls_cert=OTHER_CERT, tls_key=OTHER_KEY)
    assert context(world) not in (None, first)
    change(world, tls_cert="", tls_key="", tls_only=False)
    assert context(world) is None
    world.join("bob")
    say(plain, "still here")
    assert texts(plain.frames())[-1] == "still here"


# -- browsers ----------------------------------------------------------------------


def answer(client: Client) -> int:
    """Return the status of the answer that *client* got over HTTP."""
    client.world.settle()
    return web.parse_answer(bytes(client.received)).status


def ask(world: World, path: str = "/", **headers: str) -> int:
    """Ask for *path* from elsewhere; return the status of the answer."""
    client = world.connect()
    client.send_raw(web.request(path, **headers))
    return answer(client)


def test_the_site_has_the_new_settings(world: World) -> None:
    assert ask(world, host="chat.example.org") == 421
    assert ask(world, "/metrics") == 403
    change(world, web_host=("chat.example.org",), metrics_public=True)
    assert ask(world, host="chat.example.org") == 200
    assert ask(world, "/metrics") == 200


def test_the_page_goes_with_the_program_that_runs(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its files may be those of another version by now, or of none."""
    monkeypatch.setattr(site, "STATIC", tmp_path)
    for on in (True, False, True):
        change(world, web=on)
    assert ask(world) == 200


def test_a_site_can_be_turned_on(start: Start) -> None:
    world = start(web=False)
    change(world, web=True)
    assert ask(world) == 200


def test_who_was_asking_is_still_answered(world: World) -> None:
    """And who is in by WebSocket stays; nobody else gets in that way."""
    member = world.connect()
    member.send_raw(web.upgrade() + web.encode("hello", version=1))
    halves = [world.connect() for _ in range(2)]
    request = web.request()
    for half in halves:
        half.send_raw(request[:20])
    world.settle()
    change(world, web=False)
    halves[0].send_raw(request[20:])
    assert answer(halves[0]) == 200
    world.advance(10)
    assert answer(halves[1]) == 408
    assert not member.ended
    late = world.connect()
    late.send_raw(request)
    world.settle()
    assert not bytes(late.received).startswith(b"HTTP/1.1 200")


# -- the log -----------------------------------------------------------------------


def test_the_log_goes_to_another_file(world: World, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    change(world, log_file=str(one))
    ann = world.join("ann")
    say(ann, "in the first")
    moved = one.rename(tmp_path / "moved")
    change(world)
    say(ann, "opened anew")
    change(world, log_file=str(two), log_format="json")
    say(ann, "in the second")
    change(world, log_file="")
    say(ann, "in none")
    assert "in the first" in moved.read_text()
    assert "in the" not in one.read_text()
    assert "opened anew" in one.read_text()
    assert '"text":"in the second"' in two.read_text()
    assert "in none" not in one.read_text() + two.read_text()


def test_what_is_new_of_a_quieter_log_is_still_told(world: World) -> None:
    change(world, log_level="error")
    assert "log-level info -> error" in about_reload(world)[0]
    world.join("ann")
    assert not any("nick=ann" in line for line in world.log)
    change(world, log_level="info")
    assert "log-level error -> info" in about_reload(world)[1]
    world.join("bob")
    assert any("nick=bob" in line for line in world.log)
