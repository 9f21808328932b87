"""The commands of operators."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.commands import run_line
from chatroom.client.frames import Fields
from chatroom.client.operator_commands import confides, is_login, marked, seen
from chatroom.core.text import MAX_REMARK
from tests.client.test_commands import ran

KEY = "0123456789abcdef0123456789abcdef01234567"


def op(do: str, **fields: object) -> Fields:
    return {"type": "op", "do": do} | fields


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("/kick bob", op("kick", nick="bob")),
        ("/kick bob  for  noise ", op("kick", nick="bob", reason="for  noise")),
        ("/kick bob 10m", op("kick", nick="bob", reason="10m")),
        ("/kick 10.0.0.1", op("kick", nick="10.0.0.1")),
        ("/ban bob", op("ban", nick="bob")),
        ("/ban bob 90s", op("ban", nick="bob", seconds=90)),
        ("/ban\tbob\n10m noise", op("ban", nick="bob", seconds=600, reason="noise")),
        ("/ban bob noise 2h", op("ban", nick="bob", reason="noise 2h")),
        ("/ban 10.0.0.1 2h", op("ban", address="10.0.0.1", seconds=7200)),
        ("/ban 10.0.0.0/8 7d", op("ban", address="10.0.0.0/8", seconds=604800)),
        ("/ban 2001:db8::/32", op("ban", address="2001:db8::/32")),
        ("/ban ::ffff:10.0.0.1", op("ban", address="::ffff:10.0.0.1")),
        ("/ban fe80::1%eth0", op("ban", address="fe80::1%eth0")),
        ("/ban @10.0.0.1", op("ban", nick="10.0.0.1")),
        ("/ban @bob", op("ban", nick="bob")),
        ("/ban 10.0.0", op("ban", nick="10.0.0")),
        ("/unban bob", op("unban", nick="bob")),
        ("/unban 10.0.0.0/8", op("unban", address="10.0.0.0/8")),
        ("/unban @10.0.0.1", op("unban", nick="10.0.0.1")),
        ("/bans", op("bans")),
        ("/bans bob", op("bans", after="bob")),
        ("/bans @10.0.0.1", op("bans", after="10.0.0.1")),
        ("/mute bob", op("mute", nick="bob")),
        ("/mute bob 1m oh", op("mute", nick="bob", seconds=60, reason="oh")),
        ("/unmute bob", op("unmute", nick="bob")),
        ("/pardon bob", op("pardon", nick="bob")),
        ("/topic tea for two", op("topic", topic="tea for two")),
        ("/topic -", op("topic", topic="")),
        ("/topic --", op("topic", topic="--")),
        ("/lock", op("lock")),
        ("/unlock", op("unlock")),
    ],
)  # fmt: skip
def test_what_a_line_asks_for(line: str, done: Fields) -> None:
    chat = ran(line)
    assert chat.did == [done]
    assert not chat.notices


@pytest.mark.parametrize(
    ("line", "told"),
    [
        *((f"/{name}", f"usage: /{name}") for name in ("kick", "ban", "unban")),
        *((f"/{name} ", f"usage: /{name}") for name in ("mute", "unmute", "pardon")),
        ("/unban bob please", "usage: /unban"),
        ("/unmute bob please", "usage: /unmute"),
        ("/pardon bob please", "usage: /pardon"),
        ("/lock it", "usage: /lock"),
        ("/unlock it", "usage: /unlock"),
        ("/kick b!b", "a nick is made of"),
        ("/kick 10.0.0.0/8", "a nick is made of"),
        ("/mute @", "a nick has 1 to"),
        ("/ban b!b", "that is no address, and no nick either"),
        ("/ban 10.0.0.0/33", "that is no address, and no nick either"),
        ("/ban @2001:db8::1", "that is no address, and no nick either"),
        ("/ban bob 10", "a time is like 90s 10m 2h 7d"),
        ("/ban bob 10min", "a time is like"),
        ("/ban bob 0s", "a time is like"),
        ("/ban bob 1.5h", "a time is like"),
        ("/ban bob 9999999d", "a time is like"),
        ("/mute bob 2nd time", "a time is like"),
        ("/kick bob \x1b", "the control character U+001B"),
        ("/ban bob 1d " + "x" * (MAX_REMARK + 1), "a reason has at most 400"),
        ("/topic " + "x" * (MAX_REMARK + 1), "a topic has at most 400"),
        ("/topic \x9b", "the control character U+009B"),
    ],
)
def test_what_cannot_be_asked_for_is_explained(line: str, told: str) -> None:
    chat = ran(line)
    assert not chat.did
    assert len(chat.notices) == 1
    assert chat.notices[0].startswith(told)


@given(
    st.sampled_from("op kick ban unban bans mute unmute pardon topic lock".split()),
    st.text() | st.from_regex(r"\S+ [0-9]+\S ?\S*", fullmatch=True),
)
def test_every_line_asks_for_one_thing_or_explains(name: str, rest: str) -> None:
    chat = ran(f"/{name} {rest}")
    assert len(chat.did) + len(chat.notices) == 1


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("/op sesame", "/op ******"),
        (" \t/OP\n sesame x", " \t/OP\n ********"),
        ("/op ", "/op "),
        (f"/op{KEY}", "/op" + "*" * 40),
        (f" /Op{KEY.upper()} x", " /Op" + "*" * 42),
    ],
)
def test_a_key_is_not_seen(line: str, shown: str) -> None:
    assert confides(line)
    assert is_login(line)
    assert seen(line) == shown


@pytest.mark.parametrize(
    "line",
    ["/op", "/opera x", "//op x", "op x", "/ op x", "x /op y", f"//op{KEY}"],
)
def test_other_lines_are_seen(line: str) -> None:
    assert not confides(line)
    assert is_login(line) == (line == "/op")
    assert seen(line) == line


@given(st.sampled_from(["/op ", " /Op\t", "/op\n"]), st.text())
def test_nothing_behind_it_is_seen_or_said(command: str, key: str) -> None:
    line = command + key
    shown = seen(line)
    assert len(shown) == len(line)
    assert set(shown) <= set(command + "*") | {c for c in key if c.isspace()}
    chat = ran(line)
    assert chat.did in ([("login", key.strip())], [])


def test_a_nick_that_reads_as_an_address_is_marked() -> None:
    assert marked("bob") == "bob"
    assert marked("10.0.0.1") == "@10.0.0.1"
    chat = ran(f"/unban {marked('10.0.0.1')}")
    assert chat.did == [op("unban", nick="10.0.0.1")]
    run_line(chat, f"/unban {marked('10.0.0')}")
    assert chat.did[1:] == [op("unban", nick="10.0.0")]
