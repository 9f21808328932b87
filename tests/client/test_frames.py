"""The table of what a server may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.frames import BANS, MAX_INTEGER, TABLE, Fields, check
from chatroom.errors import BadPeer
from tests.client.fakes import EVERY_FRAME, MESSAGE, ROOM, WELCOME
from tests.support.peer import BANS as BANS_SHAPE
from tests.support.peer import SHAPES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("frame", EVERY_FRAME, ids=lambda frame: frame["type"])
def test_good_frames_pass(frame: Fields) -> None:
    assert check(frame) == frame["type"]
    assert check(frame | {"new": "field"}) == frame["type"]


def test_the_table_names_what_the_protocol_names() -> None:
    ours = {kind: " ".join(fields) for kind, fields in TABLE.items()}
    assert ours == SHAPES
    assert " ".join(BANS) == BANS_SHAPE


def test_every_kind_is_among_the_examples() -> None:
    assert {frame["type"] for frame in EVERY_FRAME} == set(TABLE)


def test_an_unknown_type_is_no_fault() -> None:
    assert check({"type": "news", "text": 1}) is None


@pytest.mark.parametrize("frame", [{}, {"type": 1}, {"type": None}, {"type": ["x"]}])
def test_a_frame_has_a_type(frame: Fields) -> None:
    with pytest.raises(BadPeer, match="without a type"):
        check(frame)


@pytest.mark.parametrize("frame", EVERY_FRAME, ids=lambda frame: frame["type"])
def test_a_missing_field_is_named(frame: Fields) -> None:
    for name in BANS if frame.get("do") == "bans" else TABLE[frame["type"]]:
        key = name.removesuffix("?")
        if key == name:
            short = {k: v for k, v in frame.items() if k != key}
            with pytest.raises(BadPeer, match=f"without a valid {key}$"):
                check(short)


@pytest.mark.parametrize("frame", EVERY_FRAME, ids=lambda frame: frame["type"])
def test_a_field_of_the_wrong_type_is_named(frame: Fields) -> None:
    for key in frame:
        if key not in ("type", "at"):
            for wrong in (None, {"x": None}, [None], 1.0, -1, MAX_INTEGER + 1):
                with pytest.raises(BadPeer, match=f"without a valid {key}$"):
                    check(frame | {key: wrong})


def test_true_is_no_integer_and_one_is_no_flag() -> None:
    for wrong in (
        ROOM | {"count": True},
        WELCOME | {"limits": {"text": True}},
        {"type": "rooms", "rooms": [{"room": "x", "count": False}], "more": True},
        {"type": "members", "room": "x", "members": [], "more": 1},
    ):
        with pytest.raises(BadPeer):
            check(wrong)


def test_a_page_holds_whole_messages() -> None:
    history = EVERY_FRAME[[f["type"] for f in EVERY_FRAME].index("history")]
    for wrong in (MESSAGE | {"type": "say"}, MESSAGE | {"id": "1"}, "text", None):
        with pytest.raises(BadPeer, match="messages"):
            check(history | {"messages": [MESSAGE, wrong]})


def test_a_ban_is_about_a_nick_or_an_address() -> None:
    (good,) = [frame["bans"] for frame in EVERY_FRAME if "bans" in frame]
    for wrong in (
        good[0] | {"address": "10.0.0.1"},
        {key: value for key, value in good[0].items() if key != "nick"},
        *({k: v for k, v in good[1].items() if k != key} for key in good[1]),
        good[1] | {"address": 1},
        good[1] | {"by": None},
        good[1] | {"reason": ["x"]},
        "bob",
    ):
        with pytest.raises(BadPeer, match=r"without a valid bans$"):
            check({"type": "op", "do": "bans", "bans": [*good, wrong], "more": False})


@given(st.sampled_from(sorted(TABLE)), st.dictionaries(st.text(), JSON))
def test_whatever_comes_is_judged(kind: str, fields: Fields) -> None:
    try:
        check(fields | {"type": kind})
    except BadPeer as error:
        assert "\n" not in str(error)


@given(st.sampled_from(EVERY_FRAME), st.data())
def test_whatever_one_field_becomes_is_judged(
    frame: Fields, data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(frame)))
    try:
        check(frame | {key: data.draw(JSON)})
    except BadPeer as error:
        assert "\n" not in str(error)
