"""The requests are the table of protocol.md, section 3, with its defaults."""

from dataclasses import MISSING, fields
from typing import get_args

import pytest

from chatroom.core import requests

TABLE = {
    requests.Hello: {
        "version": MISSING,
        "nick": None,
        "room": "lobby",
        "password": None,
        "session": None,
    },
    requests.Say: {"text": MISSING, "ref": None},
    requests.Whisper: {"to": MISSING, "text": MISSING, "ref": None},
    requests.Nick: {"nick": MISSING},
    requests.Join: {"room": MISSING},
    requests.Who: {"after": None},
    requests.ListRooms: {"after": None},
    requests.GetHistory: {"after": None, "before": None, "limit": 50},
    requests.Leave: {},
    requests.Ping: {"data": None},
    requests.Pong: {"data": None},
    requests.Op: {
        "do": MISSING,
        "nick": None,
        "address": None,
        "seconds": 0,
        "reason": "",
        "topic": "",
        "after": None,
        "key": "",
        "wrong": "",
    },
    requests.Invalid: {"code": MISSING, "text": MISSING, "ref": None, "type": None},
    requests.Nothing: {},
}


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: str(kind.__name__))
def test_fields_and_defaults(kind: type) -> None:
    assert {field.name: field.default for field in fields(kind)} == TABLE[kind]


def test_every_request_is_one_of_the_union() -> None:
    assert set(get_args(requests.Request)) == set(TABLE)
