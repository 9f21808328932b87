"""JSON in and out, held against the tables of the protocol and the generic encoder.

``FIELDS`` says of every request what its fields are; the wrong values, the right ones
and the oracle for arbitrary ones all come from it.
"""

import json
import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, get_args
from unittest.mock import ANY

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatroom.core import messages, requests
from chatroom.core.requests import Invalid, Nothing
from chatroom.core.text import nick_error, to_nfc
from chatroom.wire.codec import (
    MAX_DEPTH,
    encode,
    encode_history,
    encode_message,
    encode_object,
)
from chatroom.wire.codec import decode_request as decode
from chatroom.wire.framing import MAX_FRAME
from tests.support.strategies import json_values, names, refs, rooms, texts

LARGEST = 2**53 - 1


def packed(value: object) -> bytes:
    """Write *value* as JSON, in ASCII."""
    return json.dumps(value).encode()


def check_malformed(payload: bytes) -> Invalid:
    """Require that *payload* is malformed; return what stands for it."""
    found = decode(payload)
    assert isinstance(found, Invalid), found
    assert found.code == "malformed"
    assert found.text
    assert found.text.isprintable()
    assert decode(bytearray(payload)) == found
    return found


# -- payloads ---------------------------------------------------------------------


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """Write a ping that nests that deep."""
    inner = opening * (depth - 1) + "1" + closing * (depth - 1)
    return f'{{"type":"ping","x":{inner}}}'.encode()


def with_field(text: str) -> bytes:
    """Write a ping that has a field of its own."""
    return f'{{"type":"ping","x":{text}}}'.encode()


NO_OBJECT = {
    "empty": b"",
    "white space": b" \n",
    "null": b"null",
    "true": b"true",
    "number": b"1",
    "string": b'"ping"',
    "array": b'[{"type":"ping"}]',
    "cut": b'{"type":"ping"',
    "cut in a string": b'{"type":"pi',
    "cut in an escape": b'{"type":"\\u00',
    "two objects": b'{"type":"ping"}{"type":"ping"}',
    "something behind": b'{"type":"ping"} x',
    "NUL behind": b'{"type":"ping"}\0',
    "NUL before": b'\0{"type":"ping"}',
    "single quotes": b"{'type':'ping'}",
    "no quotes": b'{type:"ping"}',
    "comma at the end": b'{"type":"ping",}',
    "comment": b'{"type":"ping"/**/}',
    "number for a key": b'{1:"ping"}',
    "no type": b"{}",
    "type null": b'{"type":null}',
    "type number": b'{"type":5}',
    "type array": b'{"type":["ping"]}',
    "type object": b'{"type":{}}',
    "no UTF-8": b'{"type":"ping","x":"\xff"}',
    "Latin-1": '{"type":"ping","x":"é"}'.encode("latin-1"),
    "overlong": b'{"type":"ping","x":"\xc0\xaf"}',
    "surrogate in UTF-8": b'{"type":"ping","x":"\xed\xa0\x80"}',
    "above U+10FFFF": b'{"type":"ping","x":"\xf4\x90\x80\x80"}',
    "cut in a character": b'{"type":"ping"}\xc3',
    "UTF-16": '{"type":"ping"}'.encode("utf-16"),
    "UTF-16 without BOM": '{"type":"ping"}'.encode("utf-16-le"),
    "UTF-32": '{"type":"ping"}'.encode("utf-32-be"),
    "BOM": '\ufeff{"type":"ping"}'.encode(),
    "no-break space": '\xa0{"type":"ping"}'.encode(),
    "vertical tab": b'\x0b{"type":"ping"}',
    "NaN": with_field("NaN"),
    "Infinity": with_field("Infinity"),
    "-Infinity": with_field("-Infinity"),
    "NaN in an array": with_field("[1,NaN]"),
    "too large": with_field("1e999"),
    "too small": with_field("-1e999"),
    "too large a fraction": with_field("9" * 400 + ".5"),
    "too large an integer": with_field("9" * 310),
    "too small an integer": with_field("-" + "9" * 310),
    "an integer of many digits": with_field("1" * 6000),
    "leading zero": with_field("01"),
    "plus": with_field("+1"),
    "no digit before the point": with_field(".5"),
    "no digit after the point": with_field("5."),
    "hexadecimal": with_field("0x10"),
    "underscore": with_field("1_0"),
    "digits of another script": with_field("٣"),
    "control in a string": b'{"type":"ping","x":"a\nb"}',
    "bad escape": with_field('"\\x41"'),
    "half an escape": with_field('"\\u12"'),
    "too deep": nested(MAX_DEPTH + 1),
    "too deep in objects": nested(MAX_DEPTH + 1, '{"a":', "}"),
    "far too deep": b"[" * 60_000,
    "far too deep in objects": b'{"a":' * 12_000,
    "deep behind a string": with_field('"]]\\"","y":' + "[" * 40 + "]" * 40),
}


@pytest.mark.parametrize("payload", NO_OBJECT.values(), ids=NO_OBJECT)
def test_payloads_that_are_malformed(payload: bytes) -> None:
    check_malformed(payload)


HIGH, LOW = "\\ud83d", "\\uDE00"


@pytest.mark.parametrize(
    "half",
    [HIGH, LOW, LOW + HIGH, HIGH + "x", HIGH + HIGH + LOW, HIGH + "\\u0041", "\\uDBFF"],
)
@pytest.mark.parametrize(
    "template",
    [
        '{{"type":"say","text":"{}"}}',
        '{{"type":"say","text":"x","{}":1}}',
        '{{"type":"say","text":"x","y":[[{{"z":"{}"}}]]}}',
        '{{"type":"say","text":"{}","text":"fine"}}',
        '{{"type":"say","text":"x","y":{{"{}":1}},"y":2}}',
        '{{"type":"say","text":"x","y":{{"a":"{}","a":1}}}}',
    ],
)
def test_a_lone_surrogate_in_any_string_is_malformed(half: str, template: str) -> None:
    found = check_malformed(template.format(half).encode())
    assert found.type == "say"


@pytest.mark.parametrize("half", [HIGH, LOW])
def test_a_ref_with_a_lone_surrogate_does_not_come_back(half: str) -> None:
    found = check_malformed(f'{{"type":"say","text":"x","ref":"{half}"}}'.encode())
    assert found.ref is None
    told = f'{{"type":"say","text":"{half}","ref":"r"}}'.encode()
    assert check_malformed(told).ref == "r"


@pytest.mark.parametrize("type_", ["dance" + HIGH, HIGH])
def test_a_type_with_a_lone_surrogate_is_malformed(type_: str) -> None:
    check_malformed(f'{{"type":"{type_}"}}'.encode())


GOOD = {
    "white space around": b' \n\t\r{ "type" : "ping" } \n',
    "unknown fields": with_field('[null,true,{"a":-1.5e3}]'),
    "escaped key": b'{"\\u0074ype":"ping"}',
    "escaped value": b'{"type":"p\\u0069ng"}',
    "a key twice": b'{"type":"say","type":"ping"}',
    "a field twice": b'{"type":"ping","data":5,"x":1}'.replace(b"5", b'"","data":"d"'),
    "as deep as allowed": nested(MAX_DEPTH),
    "as deep in objects": nested(MAX_DEPTH, '{"a":', "}"),
    "many side by side": with_field("[" + ",".join(["[]"] * 500) + "]"),
    "brackets in a string": with_field('"' + "[" * 500 + '"'),
    "brackets behind a quote": with_field('"\\"' + "[{" * 500 + '\\\\"'),
    "a large number": with_field("1e308"),
    "a tiny number": with_field("1e-999"),
    "a long integer": with_field("9" * 305),
    "a pair of surrogates": with_field(f'"{HIGH}{LOW}"'),
    "no surrogate at all": with_field('"\\\\ud83d"'),
    "NUL in a string": with_field('"\\u0000"'),
    "noncharacters": with_field('"\\uffff\\ufffe\\ufeff"'),
}


@pytest.mark.parametrize("payload", GOOD.values(), ids=GOOD)
def test_payloads_that_are_fine(payload: bytes) -> None:
    found = decode(payload)
    assert isinstance(found, requests.Ping)
    assert decode(bytearray(payload)) == found
    assert found.data in (None, "d")


def test_of_a_key_given_twice_the_last_counts() -> None:
    assert decode(b'{"type":"say","text":1,"text":"b"}') == requests.Say("b")
    check_malformed(b'{"type":"say","text":"b","text":1}')


# -- fields -----------------------------------------------------------------------

STRING = "string"
REF = "1 to 64 characters"
DATA = "up to 64 characters"
INTEGER = "integer"
LIMIT = "1 to 200"

FIELDS: dict[str, dict[str, str]] = {
    "hello": {
        "version!": INTEGER,
        "nick": STRING,
        "room": STRING,
        "password": STRING,
        "session": STRING,
    },
    "say": {"text!": STRING, "ref": REF},
    "whisper": {"to!": STRING, "text!": STRING, "ref": REF},
    "nick": {"nick!": STRING},
    "join": {"room!": STRING},
    "who": {"after": STRING},
    "rooms": {"after": STRING},
    "history": {"after": INTEGER, "before": INTEGER, "limit": LIMIT},
    "leave": {},
    "ping": {"data": DATA},
    "pong": {"data": DATA},
}
"""The fields of every request; ``!`` marks those that have to be there.  Those of
``op`` depend on one of them: see ``OPS``."""

KINDS: dict[str, type] = {
    "hello": requests.Hello,
    "say": requests.Say,
    "whisper": requests.Whisper,
    "nick": requests.Nick,
    "join": requests.Join,
    "who": requests.Who,
    "rooms": requests.ListRooms,
    "history": requests.GetHistory,
    "leave": requests.Leave,
    "ping": requests.Ping,
    "pong": requests.Pong,
}

RIGHT: dict[str, list[object]] = {
    STRING: ["x", "", "é\u2028😀", "x" * 60_000],
    REF: ["r", "r" * 64, "😀" * 64, "\0"],
    DATA: ["", "d", "d" * 64, "😀" * 64],
    INTEGER: [0, 1, 7, LARGEST],
    LIMIT: [1, 50, 200],
}
NO_STRING: list[object] = [None, True, False, 0, 1.5, [], ["x"], {}, {"x": "x"}]
NO_INTEGER: list[object] = [None, True, False, 1.0, 0.0, 1e3, "1", "", [], {}, [1]]
WRONG: dict[str, list[object]] = {
    STRING: NO_STRING,
    REF: [*NO_STRING, "", "r" * 65, "😀" * 65],
    DATA: [*NO_STRING, "d" * 65],
    INTEGER: [*NO_INTEGER, -1, LARGEST + 1, 10**30],
    LIMIT: [*NO_INTEGER, 0, -1, 201, LARGEST],
}


def fits(value: object, kind: str) -> bool:
    """Say whether *value* is what a field of that kind holds."""
    if isinstance(value, str):
        least, most = {REF: (1, 64), DATA: (0, 64)}.get(kind, (0, 10**6))
        return kind in (STRING, REF, DATA) and least <= len(value) <= most
    if isinstance(value, int) and not isinstance(value, bool):
        least, most = {LIMIT: (1, 200), INTEGER: (0, LARGEST)}.get(kind, (1, 0))
        return least <= value <= most
    return False


def required(type_: str) -> dict[str, Any]:
    """Give the fields that a request of that type has to have."""
    needed = {n: kind for n, kind in FIELDS[type_].items() if n.endswith("!")}
    fields = {n.rstrip("!"): RIGHT[kind][0] for n, kind in needed.items()}
    return {"type": type_} | fields


EACH = [(t, n.rstrip("!"), kind) for t in FIELDS for n, kind in FIELDS[t].items()]
NEEDED = [(t, n.rstrip("!")) for t in FIELDS for n in FIELDS[t] if n.endswith("!")]


def test_every_request_is_in_the_table() -> None:
    others = {Invalid, Nothing, requests.Op}
    assert set(KINDS.values()) == set(get_args(requests.Request)) - others
    assert set(KINDS) == set(FIELDS)


@pytest.mark.parametrize("type_", FIELDS)
def test_a_request_with_nothing_but_what_it_needs(type_: str) -> None:
    fields = required(type_)
    del fields["type"]
    assert decode(packed(required(type_))) == KINDS[type_](**fields)
    extra = required(type_) | {"unknown": [1], "id": True, "colour": None}
    assert decode(packed(extra)) == KINDS[type_](**fields)


@pytest.mark.parametrize(("type_", "name", "kind"), EACH)
def test_right_values_arrive(type_: str, name: str, kind: str) -> None:
    for value in RIGHT[kind]:
        fields = required(type_) | {name: value}
        found = decode(packed(fields))
        assert type(found) is KINDS[type_]
        assert getattr(found, name) == value


@pytest.mark.parametrize(("type_", "name", "kind"), EACH)
def test_wrong_values_are_malformed(type_: str, name: str, kind: str) -> None:
    for value in WRONG[kind]:
        fields = required(type_) | {name: value}
        found = check_malformed(packed(fields))
        assert (found.type, found.ref) == (type_, None)
        assert name in found.text


@pytest.mark.parametrize(("type_", "name"), NEEDED)
def test_a_field_that_lacks_is_malformed(type_: str, name: str) -> None:
    fields = required(type_)
    del fields[name]
    assert check_malformed(packed(fields)).type == type_


@pytest.mark.parametrize("type_", ["say", "whisper"])
def test_the_ref_of_a_malformed_frame_comes_back_if_it_is_one(type_: str) -> None:
    for ref, back in (("r", "r"), ("😀" * 64, "😀" * 64), ("", None), (7, None)):
        fields = required(type_) | {"text": 5, "ref": ref}
        assert check_malformed(packed(fields)).ref == back


def test_history_goes_one_way() -> None:
    check_malformed(packed({"type": "history", "after": 1, "before": 5}))
    found = decode(packed({"type": "history", "before": 5, "limit": 9}))
    assert found == requests.GetHistory(None, 5, 9)


# -- what operators ask for ---------------------------------------------------------

OPS: dict[str, dict[str, str]] = {
    "login": {"key!": STRING},
    "kick": {"nick!": STRING, "reason": STRING},
    "ban": {"seconds": INTEGER, "reason": STRING},
    "unban": {},
    "bans": {"after": STRING},
    "mute": {"nick!": STRING, "seconds": INTEGER, "reason": STRING},
    "unmute": {"nick!": STRING},
    "pardon": {"nick!": STRING},
    "topic": {"topic!": STRING},
    "lock": {},
    "unlock": {},
}
"""The fields of ``op`` by what it does (protocol.md, section 8)."""

EITHER = ("ban", "unban")
"""What is about a nick or an address."""
EACH_OF_OP = [(d, n.rstrip("!"), kind) for d in OPS for n, kind in OPS[d].items()]


def op(do: str, **fields: object) -> dict[str, object]:
    """Give an ``op`` with what it needs, and *fields*."""
    needed = {n.rstrip("!"): "x" for n in OPS[do] if n.endswith("!")}
    if do in EITHER:
        needed["nick"] = "x"
    return {"type": "op", "do": do} | needed | fields


@pytest.mark.parametrize("do", OPS)
def test_an_op_with_nothing_but_what_it_needs(do: str) -> None:
    fields = op(do)
    del fields["type"]
    assert decode(packed(op(do))) == requests.Op(**fields)  # type: ignore[arg-type]
    assert decode(packed(op(do, colour=1, by=None))) == decode(packed(op(do)))


@pytest.mark.parametrize(("do", "name", "kind"), EACH_OF_OP)
def test_fields_of_an_op(do: str, name: str, kind: str) -> None:
    for value in RIGHT[kind]:
        found = decode(packed(op(do, **{name: value})))
        assert isinstance(found, requests.Op)
        assert (found.do, getattr(found, name), found.wrong) == (do, value, "")
    for value in WRONG[kind]:
        payload = packed(op(do, **{name: value}))
        if do == "login":
            assert name in check_malformed(payload).text
            continue
        found = decode(payload)
        assert isinstance(found, requests.Op)
        assert (found.do, found.nick, found.address) == (do, None, None)
        assert name in found.wrong


@pytest.mark.parametrize("do", [d for d in OPS if any("!" in n for n in OPS[d])])
def test_an_op_that_lacks_a_field(do: str) -> None:
    payload = packed({"type": "op", "do": do})
    if do == "login":
        check_malformed(payload)
    else:
        assert decode(payload) == requests.Op(do, wrong=ANY)


@pytest.mark.parametrize("do", EITHER)
@pytest.mark.parametrize("about", [{}, {"nick": "x", "address": "y"}])
def test_a_ban_is_of_a_nick_or_an_address(do: str, about: dict[str, str]) -> None:
    found = decode(packed({"type": "op", "do": do} | about))
    assert found == requests.Op(do, wrong=ANY)
    address = decode(packed({"type": "op", "do": do, "address": "::1"}))
    assert address == requests.Op(do, address="::1")


@pytest.mark.parametrize("do", ["", "Kick", "x" * 60_000])
def test_what_no_operator_does(do: str) -> None:
    found = decode(packed({"type": "op", "do": do, "nick": 5}))
    assert isinstance(found, requests.Op)
    assert (found.do, found.nick) == (do, None)
    assert 0 < len(found.wrong) < 100


def test_an_op_without_anything_to_do() -> None:
    check_malformed(packed({"type": "op"}))
    check_malformed(packed({"type": "op", "do": 5}))


def test_a_key_is_not_in_what_is_printed_of_a_request() -> None:
    assert "secret" not in repr(decode(packed(op("login", key="secret"))))


@pytest.mark.parametrize("type_", ["", "Say", "SAY", "say ", "message", "hello\0", "é"])
def test_an_unknown_type(type_: str) -> None:
    found = decode(packed({"type": type_, "text": "x"}))
    assert isinstance(found, Invalid)
    assert (found.code, found.type) == ("unknown-type", type_)


def test_a_very_long_type_is_not_told_back_whole() -> None:
    found = decode(packed({"type": "x" * 60_000}))
    assert isinstance(found, Invalid)
    assert found.code == "unknown-type"
    assert len(found.text) < 200


# What a frame costs: the largest comes from anybody, and there may be many at once.
# Lines of Python are counted, as nothing here goes by a clock.


def filled(unit: str, head: str = '{"type":"say","text":"hi","x":[') -> bytes:
    """Write a frame of the largest size that holds as many of *unit* as fit."""
    count = (MAX_FRAME - len(head) - 2) // (len(unit.encode()) + 1)
    return f"{head}{','.join([unit] * count)}]}}".encode()


def lines_run(payload: bytes) -> int:
    """Return how many lines of Python it takes to decode *payload*."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.endswith("codec.py"):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        decode(payload)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "payload",
    [
        filled("1"),
        filled("1.5"),
        filled("-1e9"),
        filled("[]"),
        filled("{}"),
        filled('{"a":0}'),
        filled("[[[[]]]]"),
        filled("null"),
        filled('"["'),
        filled('"\\ud83d\\ude00"'),
        filled('"\\\\","é"', '{"type":"say","text":"\\ud83d\\ude00","x":['),
        filled('{"\\ud83d\\ude00":"\\ud83d\\ude00"}'),
        b"[" * MAX_FRAME,
        b'{"a":' * (MAX_FRAME // 5),
        b"[" * (MAX_FRAME // 2) + b"]" * (MAX_FRAME // 2),
    ],
    ids=lambda payload: payload[31:51].decode(errors="replace"),
)
def test_the_largest_frame_is_no_work_for_python(payload: bytes) -> None:
    assert len(payload) <= MAX_FRAME
    assert lines_run(payload) < 150


def test_large_numbers_are_looked_at_one_by_one_and_only_they() -> None:
    few = lines_run(filled("1e99", '{"type":"say","text":"1e999","x":['))
    assert few < 100
    assert lines_run(filled("1e300")) < MAX_FRAME


def expected(value: object) -> str:
    """Say what becomes of any JSON *value*: a type, or the code of an error."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return "malformed"
    type_ = str(value["type"])
    if type_ not in FIELDS:
        return "unknown-type"
    for name, kind in FIELDS[type_].items():
        bare = name.rstrip("!")
        if bare in value and not fits(value[bare], kind):
            return "malformed"
        if bare not in value and bare != name:
            return "malformed"
    if type_ == "history" and {"after", "before"} <= set(value):
        return "malformed"
    return type_


def outcome(payload: bytes) -> str:
    """Say what became of *payload*."""
    found = decode(payload)
    if isinstance(found, Invalid):
        return found.code
    return next(name for name, kind in KINDS.items() if kind is type(found))


values = st.one_of(
    [st.sampled_from(RIGHT[kind] + WRONG[kind]) for kind in RIGHT] + [json_values]
)


@st.composite
def almost_requests(draw: st.DrawFn) -> dict[str, object]:
    """Draw what looks like a request, with fields of any value."""
    type_ = draw(st.sampled_from(sorted(FIELDS)))
    given_ = [n.rstrip("!") for n in FIELDS[type_]]
    fields = {name: draw(values) for name in given_ if draw(st.integers(0, 3))}
    return {"type": type_} | fields


@given(almost_requests())
def test_what_looks_like_a_request(value: dict[str, object]) -> None:
    assert outcome(packed(value)) == expected(value)


@given(json_values | st.dictionaries(st.sampled_from(["type", "text", "x"]), values))
def test_any_json_value(value: object) -> None:
    for ascii_ in (True, False):
        payload = json.dumps(value, ensure_ascii=ascii_).encode()
        assert outcome(payload) == expected(value)


@given(st.binary(max_size=200))
@example(b"")
def test_any_bytes(payload: bytes) -> None:
    assert outcome(payload)


@given(st.text(st.sampled_from('{}[]",:\\ud8tnfe0123.-"type"say'), max_size=60))
@example("")
def test_anything_that_looks_like_json(text: str) -> None:
    """What Python's own parser refuses is refused here too."""
    for payload in (text, f'{{"type":"ping","x":{text}}}'):
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError):
            assert outcome(payload.encode()) == "malformed"
        else:
            # Here Python's own parser lets through more.
            if not re.search(r"NaN|Infinity|\\u|e\+?[0-9]{3}", payload):
                assert outcome(payload.encode()) == expected(value)


# -- messages ---------------------------------------------------------------------

numbers = st.integers(0, LARGEST)
reasons = st.sampled_from(["shouting", "leave", "lost", "moved"])
maybe = st.none() | texts

ENCODED: dict[type, tuple[str, st.SearchStrategy[Any]]] = {
    messages.Welcome: (
        "version server nick session strikes last_ref? limits",
        st.builds(
            messages.Welcome,
            numbers,
            texts,
            names,
            texts,
            numbers,
            refs,
            st.dictionaries(st.sampled_from(["frame", "text", "nick"]), numbers),
        ),
    ),
    messages.RoomInfo: (
        "room log last_id oldest_id count topic?",
        st.builds(messages.RoomInfo, rooms, texts, numbers, numbers, numbers, maybe),
    ),
    messages.Whispered: (
        "from to text at ref?",
        st.builds(messages.Whispered, names, names, texts, numbers, refs),
    ),
    messages.Joined: ("room nick", st.builds(messages.Joined, rooms, names)),
    messages.Left: (
        "room nick reason",
        st.builds(messages.Left, rooms, names, reasons),
    ),
    messages.Renamed: (
        "room old new",
        st.builds(messages.Renamed, rooms, names, names),
    ),
    messages.Count: ("room count", st.builds(messages.Count, rooms, numbers)),
    messages.Members: (
        "room members more",
        st.builds(messages.Members, rooms, st.lists(names, max_size=9)),
    ),
    messages.RoomList: (
        "rooms more",
        st.builds(messages.RoomList, st.lists(st.tuples(rooms, numbers), max_size=9)),
    ),
    messages.Topic: ("room topic by", st.builds(messages.Topic, rooms, texts, names)),
    messages.Done: ("do text", st.builds(messages.Done, texts, texts)),
    messages.Warned: (
        "reason strikes limit text ref?",
        st.builds(messages.Warned, reasons, numbers, numbers, texts, refs),
    ),
    messages.Kick: ("reason text", st.builds(messages.Kick, reasons, texts)),
    messages.Error: ("code text ref?", st.builds(messages.Error, reasons, texts, refs)),
    messages.Ping: ("data?", st.builds(messages.Ping, maybe)),
    messages.Pong: ("data?", st.builds(messages.Pong, maybe)),
}


def payload_of(frame: bytes) -> bytes:
    """Take the header off *frame*."""
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4 <= MAX_FRAME
    return frame[4:]


def check_compact(payload: bytes) -> dict[str, Any]:
    """Require compact JSON that is not ASCII-escaped; return what it says."""
    value = json.loads(payload)
    again = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert payload == again.encode()
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("kind", ENCODED, ids=lambda kind: str(kind.type))
@given(st.data())
def test_every_message_arrives_as_it_was(kind: type, data: st.DataObject) -> None:
    table, strategy = ENCODED[kind]
    message = data.draw(strategy)
    value = check_compact(payload_of(encode(message)))
    keys = list(value)
    assert keys.pop(0) == "type"
    assert value["type"] == message.type
    attributes = {"from": "sender"}
    shown = [
        name.rstrip("?")
        for name in table.split()
        if not name.endswith("?") or getattr(message, name[:-1]) is not None
    ]
    assert keys == shown
    if isinstance(message, messages.RoomList):
        assert [(r["room"], r["count"]) for r in value["rooms"]] == message.rooms
        assert all(list(r) == ["room", "count"] for r in value["rooms"])
        shown.remove("rooms")
    if "more" in shown:
        assert value["more"] is False
        shown.remove("more")
    for name in shown:
        assert value[name] == getattr(message, attributes.get(name, name))


def test_bans_are_those_of_section_8() -> None:
    bans = [
        messages.Ban("Zoë", None, 0, "ann", ""),
        messages.Ban(None, "10.0.0.0/8", 1_700_000_000_000, "bob", 'a "b"'),
    ]
    assert payload_of(encode(messages.Bans(bans))).decode() == (
        '{"type":"op","do":"bans","bans":[{"nick":"Zoë","until":0,"by":"ann",'
        '"reason":""},{"address":"10.0.0.0/8","until":1700000000000,"by":"bob",'
        '"reason":"a \\"b\\""}],"more":false}'
    )
    assert check_compact(payload_of(encode(messages.Bans([]))))["bans"] == []


def test_bans_that_do_not_fit_are_told_of() -> None:
    bans = [messages.Ban(f"n{i}", None, 0, "ann", "x" * 400) for i in range(1000)]
    value = check_compact(payload_of(encode(messages.Bans(bans))))
    shown = [ban["nick"] for ban in value["bans"]]
    assert shown == [f"n{i}" for i in range(len(shown))]
    assert (value["more"], 100 < len(shown) < 1000) == (True, True)


def test_every_kind_of_message_is_encoded() -> None:
    assert set(ENCODED) | {messages.Message, messages.Bans} == set(
        get_args(messages.Tellable)
    )


good_nicks = names.map(to_nfc).filter(lambda nick: nick_error(nick) is None)
spoken = st.builds(messages.Message, numbers, rooms, good_nicks, texts, numbers, refs)


@given(spoken)
@example(messages.Message(1, "a", "b", 'say "\\" / <b>\b\f\n\r\t\0\x1f\x7f', 2, '"'))
@example(messages.Message(1, "a", "b", "\u2028\u2029\ufeff\ufffe😀\U0010ffff", 2, "\n"))
@example(messages.Message(1, "a", "é\u0301", "'", 2, "\\"))
def test_a_message_is_what_the_generic_encoder_writes(
    message: messages.Message,
) -> None:
    value = {
        "type": "message",
        "id": message.id,
        "room": message.room,
        "from": message.sender,
        "text": message.text,
        "at": message.at,
    } | ({} if message.ref is None else {"ref": message.ref})
    frame = encode_message(message)
    assert frame == encode_object(value) == encode(message)
    assert check_compact(payload_of(frame)) == value


def test_an_object_as_a_frame() -> None:
    assert encode_object({"type": "ping"}).hex(" ", 1) == (
        "00 00 00 0f 7b 22 74 79 70 65 22 3a 22 70 69 6e 67 22 7d"
    )


@pytest.mark.parametrize("char", ["x", "😀", '"', "\\", "\n", "\t"])
def test_the_longest_texts_fit_into_a_frame(char: str) -> None:
    text, nick, ref = char * 4000, "𝼀" * 32, "\0" * 64
    for message in (
        messages.Message(LARGEST, "r" * 32, nick, text, LARGEST, ref),
        messages.Whispered(nick, nick, text, LARGEST, ref),
    ):
        assert check_compact(payload_of(encode(message)))["text"] == text


# -- pages ------------------------------------------------------------------------

ENVELOPE = 1
"""Bytes that a page may leave unused: `true` is one shorter than `false`."""


def said(number: int, size: int, char: str = "x") -> bytes:
    """Make the frame of a message with a text of that many characters."""
    return encode_message(
        messages.Message(number, "lobby", "ann", char * size, 1, None)
    )


def check_page(
    frame: bytes,
    name: str,
    items: list[Any],
    costs: list[int],
    *,
    more: bool = False,
    forward: bool = True,
) -> list[Any]:
    """Require the most of *items* that fit, from the right end; return them."""
    payload = payload_of(frame)
    value = check_compact(payload)
    shown = value[name]
    left = len(items) - len(shown)
    assert shown == (items[: len(shown)] if forward else items[left:])
    assert value["more"] is (more or left > 0)
    assert list(value)[-2:] == [name, "more"]
    if left:
        following = costs[len(shown)] if forward else costs[left - 1]
        assert len(payload) + 1 + following > MAX_FRAME - ENVELOPE
    return list(shown)


def check_history(
    frames: list[bytes], *, more: bool = False, forward: bool = True
) -> list[Any]:
    """Encode a page of *frames* and require that it is as it should be."""
    page = encode_history("lobby", "log-1", 7, frames, more, forward=forward)
    value = json.loads(payload_of(page))
    assert list(value) == ["type", "room", "log", "oldest_id", "messages", "more"]
    head = value["type"], value["room"], value["log"], value["oldest_id"]
    assert head == ("history", "lobby", "log-1", 7)
    items = [json.loads(frame[4:]) for frame in frames]
    costs = [len(frame) - 4 for frame in frames]
    shown = check_page(page, "messages", items, costs, more=more, forward=forward)
    whole = b",".join(f[4:] for f in frames if json.loads(f[4:]) in shown)
    assert whole in page, "messages are as they were sent"
    return shown


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 200])
def test_a_page_of_history_that_fits(count: int, more: bool, forward: bool) -> None:
    frames = [said(number, 5) for number in range(1, count + 1)]
    assert len(check_history(frames, more=more, forward=forward)) == count


@pytest.mark.parametrize("char", ["x", "😀", '"'])
@pytest.mark.parametrize("size", [300, 1000, 4000])
def test_a_page_of_history_leaves_out_the_far_end(size: int, char: str) -> None:
    frames = [said(number, size, char) for number in range(1, 251)]
    shown = check_history(frames)
    assert shown[0]["id"] == 1
    assert 4 <= len(shown) < 250
    shown = check_history(frames, forward=False)
    assert shown[-1]["id"] == 250
    assert 4 <= len(shown) < 250


@pytest.mark.parametrize("forward", [True, False])
def test_pages_around_the_limit(forward: bool) -> None:
    """A few bytes more at a time, until the last message does not fit."""
    base = [said(number, 3900) for number in range(1, 17)]
    counts = []
    for size in range(1500, 2600, 9):
        frames = [*base, said(17, size)] if forward else [said(17, size), *base]
        counts.append(len(check_history(frames, forward=forward)))
    assert counts == sorted(counts, reverse=True)
    assert set(counts) == {17, 16}


@given(
    st.lists(st.sampled_from([1, 50, 900, 4000]), max_size=60),
    st.booleans(),
    st.booleans(),
)
def test_any_page_of_history(sizes: list[int], more: bool, forward: bool) -> None:
    frames = [said(number, size, "é") for number, size in enumerate(sizes, 1)]
    check_history(frames, more=more, forward=forward)


@pytest.mark.parametrize("char", ["x", "é", "中", "𝼀"])
@pytest.mark.parametrize("count", [0, 1, 400, 3000])
def test_pages_of_members(char: str, count: int) -> None:
    nicks = [f"{number:05}" + char * 27 for number in range(count)]
    message = messages.Members("lobby", nicks)
    costs = [len(json.dumps(n, ensure_ascii=False).encode()) for n in nicks]
    shown = check_page(encode(message), "members", nicks, costs)
    assert (len(shown) == count) == (sum(costs) + count < MAX_FRAME - ENVELOPE)
    assert message.members == nicks


@pytest.mark.parametrize("count", [0, 1, 500, 3000])
def test_pages_of_rooms(count: int) -> None:
    sizes = [(f"room-{number:05}" + "x" * 22, number) for number in range(count)]
    items = [{"room": room, "count": number} for room, number in sizes]
    compact: Callable[[object], str] = json.JSONEncoder(separators=(",", ":")).encode
    costs = [len(compact(item)) for item in items]
    shown = check_page(encode(messages.RoomList(sizes)), "rooms", items, costs)
    assert (len(shown) == count) == (count <= 500)
