"""The server's messages are the table of protocol.md, section 4, field by field."""

from dataclasses import fields
from typing import get_args

import pytest

from chatroom.core import messages

TABLE = {
    messages.Welcome: "version server nick session strikes last_ref limits",
    messages.RoomInfo: "room log last_id oldest_id count topic",
    messages.Message: "id room from text at ref",
    messages.Whispered: "from to text at ref",
    messages.Joined: "room nick",
    messages.Left: "room nick reason",
    messages.Renamed: "room old new",
    messages.Count: "room count",
    messages.Members: "room members",
    messages.RoomList: "rooms",
    messages.Topic: "room topic by",
    messages.Done: "do text",
    messages.Bans: "bans",
    messages.Warned: "reason strikes limit text ref",
    messages.Kick: "reason text",
    messages.Error: "code text ref",
    messages.Ping: "data",
    messages.Pong: "data",
}
NAMES = (
    "welcome room message whisper joined left renamed count members rooms topic "
    "op op warning kick error ping pong"
).split()


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: str(kind.__name__))
def test_the_fields_are_those_of_the_table_in_its_order(kind: type) -> None:
    assert kind in get_args(messages.Tellable)
    names = [field.name for field in fields(kind)]
    assert [n if n != "sender" else "from" for n in names] == TABLE[kind].split()


def test_the_fields_of_a_ban_are_those_of_section_8() -> None:
    names = [field.name for field in fields(messages.Ban)]
    assert names == ["nick", "address", "until", "by", "reason"]


def test_every_type_of_the_table_is_there_once() -> None:
    assert [kind.type for kind in get_args(messages.Tellable)] == NAMES
    assert set(get_args(messages.Tellable)) == set(TABLE)
