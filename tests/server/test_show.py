"""Keep, then show: what members see, and what a failure of a part of it costs."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatroom.core.messages import Message
from chatroom.errors import StoreError
from chatroom.server.app import KEEP_RETRY, TRIM_INTERVAL
from chatroom.server.show import READ_STEP
from chatroom.wire import codec
from tests.server.conftest import Start
from tests.support.inprocess import Client, World, kinds
from tests.support.peer import encode, ids, texts

Ask = Callable[..., tuple[list[int], bool, list[int]]]


class Breaking:
    """Stands in the place of a store's ``keep`` and fails when it is told to."""

    def __init__(self, world: World) -> None:
        self.keep: Callable[..., None] = world.server.store.keep
        self.broken = False
        self.calls: list[int] = []
        """How many messages each call had, those without any left out."""
        vars(world.server.store)["keep"] = self

    def __call__(self, messages: Sequence[Message], *rest: Any) -> None:
        if messages:
            self.calls.append(len(messages))
        if self.broken:
            raise StoreError("the disk is full\nreally")
        self.keep(messages, *rest)


# -- keep ------------------------------------------------------------------------


def test_what_cannot_be_kept_is_seen_by_nobody(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    store = Breaking(world)
    ann.send("say", text="one", ref="r1")
    world.settle()
    store.broken = True
    ann.send("say", text="two", ref="r2")
    world.settle()
    store.broken = False
    bob.send("say", text="three", ref="r3")
    world.settle()
    frames = ann.frames()
    assert kinds(frames) == ["message", "error", "message"]
    assert frames[1]["code"] == "internal"
    assert frames[1]["ref"] == "r2"
    assert ids(frames) == [1, 2]
    seen = bob.frames()
    assert texts(seen) == ["one", "three"]
    assert ids(seen) == [1, 2]
    bob.send("history")
    world.settle()
    (page,) = bob.frames()
    assert [message["text"] for message in page["messages"]] == ["one", "three"]
    assert len([line for line in world.log if " error store " in line]) == 1


def test_a_tick_that_cannot_be_kept_loses_only_its_messages(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    store = Breaking(world)
    store.broken = True
    ann.send_raw(
        encode("say", text="one", ref="1")
        + encode("nick", nick="anna")
        + encode("say", text="two")
        + encode("whisper", to="bob", text="psst")
        + encode("history")
        + encode("ping")
    )
    world.settle()
    frames = ann.frames()
    assert kinds(frames) == [
        "error", "renamed", "error", "whisper", "history", "pong"
    ]  # fmt: skip
    assert frames[4]["messages"] == []
    assert "ref" in frames[0]
    assert "ref" not in frames[2]
    assert kinds(bob.frames()) == ["renamed", "whisper"]
    store.broken = False


def test_a_tick_is_kept_in_one_call(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob", "tea")
    store = Breaking(world)
    ann.send_raw(encode("say", text="hi") * 3)
    bob.send_raw(encode("say", text="hi") * 2)
    world.settle()
    assert store.calls == [5]
    ann.send("ping")
    world.settle()
    assert store.calls == [5]


def test_a_room_where_nothing_was_kept_ends_with_its_last_member(
    world: World,
) -> None:
    ann = world.join("ann", "tea")
    store = Breaking(world)
    store.broken = True
    ann.send("say", text="one")
    ann.send("join", room="lobby")
    world.settle()
    assert kinds(ann.frames()) == ["error", "room"]
    assert list(world.server.chat.rooms) == ["lobby"]
    store.broken = False


# -- show ------------------------------------------------------------------------


def test_members_without_a_cut_get_one_object(world: World) -> None:
    members = [world.join(nick) for nick in ("ann", "bob", "cy")]
    sent: list[list[bytes]] = [[] for _ in members]
    for client, log in zip(members, sent, strict=True):
        transport = client.connection.transport
        _spy(transport, log)
    members[0].send_raw(encode("say", text="a") + encode("say", text="b"))
    members[1].send_raw(encode("say", text="c"))
    world.tick()
    assert [len(log) for log in sent] == [1, 1, 1]
    assert sent[0][0] is sent[1][0] is sent[2][0]
    world.settle()
    assert texts(members[2].frames()) == ["a", "b", "c"]


def _spy(transport: Any, log: list[bytes]) -> None:
    """Note what is sent through *transport* as objects."""
    real = transport._sock

    class Sock:
        def send(self, data: bytes) -> int:
            log.append(data)
            sent: int = real.send(data)
            return sent

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    transport._sock = Sock()


def test_a_cut_costs_one_send_too(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    sent: list[bytes] = []
    _spy(ann.connection.transport, sent)
    bob.send("say", text="b")
    ann.send_raw(encode("ping") + encode("say", text="a") + encode("ping"))
    world.tick()
    assert len(sent) == 1
    world.settle()
    assert kinds(ann.frames()) == ["pong", "message", "pong", "message"]


def test_an_entering_sees_nothing_from_before(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob", "tea")
    ann.send_raw(encode("say", text="before"))
    bob.send_raw(encode("say", text="in tea") + encode("join", room="lobby"))
    carol = world.connect()
    carol.send_raw(encode("hello", version=1, nick="cy") + encode("say", text="after"))
    world.settle()
    assert kinds(ann.frames()) == ["message", "joined", "joined", "message"]
    frames = bob.frames()
    assert kinds(frames) == ["message", "room", "joined", "message"]
    assert texts(frames) == ["in tea", "after"]
    frames = carol.frames()
    assert kinds(frames) == ["welcome", "room", "message"]
    assert frames[1]["count"] == 3
    assert frames[1]["last_id"] == 1


def test_a_kick_comes_behind_what_was_decided_before(world: World) -> None:
    ann, bob = world.join("ann"), world.join("bob")
    bob.send("say", text="one")
    ann.send_raw(
        encode("say", text="NO") + encode("say", text="two") + encode("say", text="NO")
        + encode("say", text="never")
    )  # fmt: skip
    world.settle()
    frames = ann.frames()
    # The clients' events come in the order in which they connected.
    assert kinds(frames) == ["warning", "message", "kick"]
    assert ann.ended
    assert kinds(bob.frames()) == ["message", "left", "message"]


# -- taking over -----------------------------------------------------------------


def takeover(world: World, room: str) -> tuple[Client, Client, Client]:
    """Let a second connection take over in mid-tick: (watching, old, new)."""
    watching = world.join("bob")
    old = world.connect()
    old.send("hello", version=1, nick="ann")
    world.settle()
    token = old.frames()[0]["session"]
    watching.frames()
    new = world.connect("192.0.2.9")
    later = world.join("cy")
    watching.frames()
    old.frames()
    # All in one tick, in the order of the connections: old, new, later; then old again.
    old.send("say", text="last words")
    new.send_raw(
        encode("hello", version=1, session=token, room=room)
        + encode("say", text="first words")
    )
    later.send("say", text="hi")
    return watching, old, new


def test_taking_over_in_mid_tick_in_the_same_room(world: World) -> None:
    watching, old, new = takeover(world, "lobby")
    world.tick()
    old.sock.send(encode("say", text="ghost"))
    world.settle()
    frames = old.frames()
    assert kinds(frames) == ["message", "kick"]
    assert frames[-1]["reason"] == "replaced"
    assert old.ended
    assert texts(watching.frames()) == ["last words", "first words", "hi"]
    frames = new.frames()
    assert kinds(frames) == ["welcome", "room", "message", "message"]
    assert frames[0]["nick"] == "ann"
    assert frames[1]["count"] == 3
    assert texts(frames) == ["first words", "hi"]


def test_taking_over_in_mid_tick_from_another_room(world: World) -> None:
    watching, old, new = takeover(world, "tea")
    world.settle()
    assert kinds(old.frames()) == ["message", "kick"]
    frames = watching.frames()
    assert kinds(frames) == ["message", "left", "message"]
    assert frames[1]["reason"] == "replaced"
    assert texts(frames) == ["last words", "hi"]
    assert texts(new.frames()) == ["first words"]


def test_two_take_over_in_one_tick(world: World) -> None:
    first = world.connect()
    first.send("hello", version=1, nick="ann")
    world.settle()
    token = first.frames()[0]["session"]
    second, third = world.connect(), world.connect()
    hello = encode("hello", version=1, session=token)
    first.send("say", text="1")
    second.send_raw(hello + encode("say", text="2"))
    third.send_raw(hello + encode("say", text="3"))
    world.settle()
    assert kinds(first.frames()) == ["message", "kick"]
    assert kinds(second.frames()) == ["welcome", "room", "message", "kick"]
    assert kinds(third.frames()) == ["welcome", "room", "message"]
    assert len(world.server.chat.nicks) == 1


# -- failures --------------------------------------------------------------------


def test_an_effect_that_raises_costs_only_its_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.failures = 1
    ann, bob, cy = (world.join(nick) for nick in ("ann", "bob", "cy"))
    real = codec.encode

    def encode_or_fail(message: Any) -> bytes:
        if message.type == "pong" and message.data == "bad":
            raise ZeroDivisionError
        return real(message)

    monkeypatch.setattr("chatroom.server.show.encode", encode_or_fail)
    ann.send_raw(encode("say", text="a"))
    bob.send_raw(encode("ping", data="bad") + encode("say", text="b"))
    cy.send_raw(encode("say", text="c") + encode("ping", data="good"))
    world.settle()
    assert kinds(ann.frames()) == ["message", "message", "message", "left"]
    assert kinds(cy.frames()) == ["message", "message", "message", "pong", "left"]
    assert bob.connection not in world.server.connections
    ann.send("say", text="on")
    world.settle()
    assert texts(cy.frames()) == ["on"]


def test_a_request_that_raises_costs_only_its_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.failures = 1
    ann, bob = world.join("ann"), world.join("bob")
    chat = world.server.chat
    real = chat.receive

    def receive(peer: Any, *rest: Any) -> None:
        if peer is bob.connection:
            raise ZeroDivisionError
        real(peer, *rest)

    monkeypatch.setattr(chat, "receive", receive)
    bob.send("ping")
    ann.send("say", text="hi")
    world.settle()
    frames = ann.frames()
    assert kinds(frames) == ["message", "left"]
    assert frames[1]["reason"] == "lost"
    (line,) = [line for line in world.log if " failure " in line]
    assert "ZeroDivisionError" in line
    assert "nick=bob" in line


class Failing:
    """A socket whose sends fail as none of a peer's ends does."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, data: bytes) -> int:
        """Fail."""
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def shutdown(self, how: int) -> None:
        """Fail."""
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)


@pytest.mark.parametrize("cut", [False, True])
def test_a_send_that_raises_costs_only_its_connection(world: World, cut: bool) -> None:
    world.failures = 1
    ann, bob, cy = (world.join(nick) for nick in ("ann", "bob", "cy"))
    transport: Any = bob.connection.transport
    transport._sock = Failing(transport._sock)
    if cut:
        bob.send("ping")
    cy.send_raw(encode("ping") + encode("say", text="one"))
    world.settle()
    assert texts(ann.frames()) == ["one"]
    assert texts(cy.frames()) == ["one"]
    assert bob.connection not in world.server.connections
    ann.send("say", text="two")
    world.settle()
    assert texts(ann.frames()) == ["two"]
    assert texts(cy.frames()) == ["two"]


def test_an_end_that_raises_costs_only_its_connection(world: World) -> None:
    world.failures = 1
    ann, bob, cy = (world.join(nick) for nick in ("ann", "bob", "cy"))
    transport: Any = bob.connection.transport
    real = transport._sock

    class FailingEnd:
        def shutdown(self, how: int) -> None:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    transport._sock = FailingEnd()
    bob.send("leave")
    cy.send("leave")
    world.settle()
    assert kinds(ann.frames()) == ["left", "left"]
    assert kinds(cy.frames()) == ["left", "kick"]
    assert cy.ended
    assert bob.connection not in world.server.connections


def test_a_hook_or_timer_that_raises_is_logged(world: World) -> None:
    world.failures = 1

    def fail() -> None:
        raise ZeroDivisionError("one\ntwo")

    world.loop.call_later(0, fail)
    ann = world.join("ann")
    ann.send("ping")
    world.settle()
    assert kinds(ann.frames()) == ["pong"]


# -- a store that fails ----------------------------------------------------------


def test_a_trim_that_fails_is_written_down_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried every few seconds, for as long as it takes."""
    world = start(history_keep=1)
    outcomes: list[bool | StoreError] = [*[StoreError("no space")] * 3, True, False]

    def trim() -> bool:
        outcome = outcomes.pop(0)
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    monkeypatch.setattr(world.server.store, "trim", trim)
    kept = replace(world.server.settings, history_keep=9)
    monkeypatch.setattr(world.server, "settings", kept)
    world.server._trim()
    world.advance(3.5 * TRIM_INTERVAL)
    assert not outcomes
    assert world.server._trim_timer is not None
    world.server._trim_timer.cancel()
    told = [line.partition(" ")[2] for line in world.log if " store " in line]
    assert told == [
        'error store text="no space"',
        "warning store refused=0 text=recovered",
    ]


def test_what_is_not_kept_is_offered_again_also_where_nobody_does_anything(
    start: Start,
) -> None:
    """Else a ban would be lost with a crash, long after the disk is well again."""
    world = start()
    ann = world.join("ann")
    breaking = Breaking(world)
    breaking.broken = True
    ann.send("nick", nick="anna")
    world.advance(2.5 * KEEP_RETRY)
    changed = world.server.chat.sessions.changed
    assert changed
    breaking.broken = False
    world.advance(KEEP_RETRY)
    assert not changed
    assert world.server._keep_timer is None
    told = [line.partition(" ")[2] for line in world.log if " store " in line]
    assert told == [
        r'error store text="the disk is full\nreally"',
        "warning store refused=0 text=recovered",
    ]


# -- pages that memory does not hold ----------------------------------------------


@pytest.fixture
def page_of(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Say texts to a room of which memory holds the last one only, and ask.

    Gives the ids on the page, its ``more``, and the ids that were read for it.
    """

    def ask(text: str, times: int, **asked: int) -> tuple[list[int], bool, list[int]]:
        world = start(history=str(tmp_path / "history.db"), keep=1)
        ann = world.join("ann")
        for _ in range(times):
            ann.send("say", text=text)
            world.settle()
        ann.frames()
        read: list[int] = []
        real = world.server.store.read

        def counted(room: str, low: int, high: int) -> list[Message]:
            read.extend(range(low, high))
            return real(room, low, high)

        monkeypatch.setattr(world.server.store, "read", counted)
        ann.send("history", limit=200, **asked)
        world.settle()
        (page,) = ann.frames()
        return [found["id"] for found in page["messages"]], page["more"], read

    return ask


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"after": 9}, list(range(10, 14))),
        ({"before": 50}, list(range(46, 50))),
        ({}, list(range(57, 61))),
    ],
)
def test_not_much_more_is_read_than_a_page_holds(
    page_of: Ask,
    asked: dict[str, int],
    found: list[int],
) -> None:
    """Of the longest texts four fit; all that were asked for would take long."""
    *page, read = page_of("\U0001f600" * 4000, 60, **asked)
    assert page == [found, True]
    assert len(read) <= READ_STEP


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"after": 9}, list(range(10, 101))),
        ({"before": 90}, list(range(1, 90))),
        ({}, list(range(1, 101))),
    ],
)
def test_a_page_that_is_read_in_parts_is_whole(
    page_of: Ask,
    asked: dict[str, int],
    found: list[int],
) -> None:
    *page, read = page_of("short", 100, **asked)
    assert page == [found, False]
    assert sorted(read) == found


# -- large rooms -----------------------------------------------------------------


def test_a_large_room_tells_its_size_once_a_second(start: Start) -> None:
    world = start(presence_limit=3)
    ann = world.join("ann")
    for number in range(2):
        world.join(f"n{number}")
    ann.frames()
    for number in range(5):
        world.join(f"m{number}")
    assert len(ann.received) > 0
    ann.frames()
    world.advance(0.875)
    assert ann.frames() == []
    world.advance(0.125)
    (count,) = ann.frames()
    assert count["count"] == 8
    world.advance(10)
    assert ann.frames() == []
