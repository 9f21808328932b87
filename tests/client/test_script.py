"""Lines that are frames: what is refused, and what is done with the rest."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.frames import Fields
from chatroom.client.plain import LineSplitter, Unreadable
from chatroom.client.script import MAX_LINE, TOO_LONG, objection, take
from chatroom.wire.codec import encode_object
from chatroom.wire.framing import HEADER_SIZE, MAX_FRAME


class FakeTalk:
    """Remembers what frames did."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []

    def say(self, text: str, ref: str | None) -> None:
        self.done.append(("say", text, ref))

    def whisper(self, to: str, text: str, ref: str | None) -> None:
        self.done.append(("whisper", to, text, ref))

    def ask(self, frame: Fields) -> None:
        self.done.append(("ask", frame))

    def leave(self) -> None:
        self.done.append(("leave",))


def taken(line: str) -> tuple[object, ...]:
    """What comes of a line that there is no objection to."""
    assert objection(line) is None
    talk = FakeTalk()
    take(talk, line)
    (done,) = talk.done
    return done


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ('{"type":"say","text":"hi","ref":"r"}', ("say", "hi", "r")),
        ('\t{"ref": "r", "text": "a\\nb", "type": "say"} ', ("say", "a\nb", "r")),
        ('{"type":"say","text":"!leave","ref":"r"}', ("say", "!leave", "r")),
        ('{"type":"say","text":"hi","ref":"r","x":[1]}', ("say", "hi", "r")),
        (
            '{"type":"whisper","to":"bob","text":"hi","ref":"' + "r" * 64 + '"}',
            ("whisper", "bob", "hi", "r" * 64),
        ),
        ('{"type":"leave"}', ("leave",)),
        (
            '{"type":"op","do":"lock"}',
            ("ask", {"type": "op", "do": "lock"}),
        ),
    ],
)
def test_sayings_and_leaving(line: str, done: tuple[object, ...]) -> None:
    assert taken(line) == done


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "nick", "nick": "two words"},
        {"type": "join", "room": "tea"},
        {"type": "who"},
        {"type": "rooms", "after": "x"},
        {"type": "history", "before": 5, "limit": 1},
        {"type": "ping", "data": "x"},
        {"type": "pong"},
        {"type": "op", "do": "login", "key": "k"},
        {"type": "nobody-knows", "x": [{"y": None}, 1.5]},
        {"type": ""},
    ],
)
def test_other_frames_are_sent_as_they_are(frame: Fields) -> None:
    assert taken(json.dumps(frame)) == ("ask", frame)


@pytest.mark.parametrize("kind", ["say", "whisper"])
def test_a_saying_without_a_ref_gets_one(kind: str) -> None:
    line = json.dumps({"type": kind, "to": "bob", "text": "hi"})
    refs = {taken(line)[-1] for _ in range(3)}
    assert len(refs) == 3
    assert all(isinstance(ref, str) and 1 <= len(ref) <= 64 for ref in refs)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("hello", "the frame is not JSON"),
        ('{"type":"who"', "the frame is not JSON"),
        ('{"type":"who"} x', "the frame is not JSON"),
        ('{"type":"ping","data":NaN}', "NaN is not JSON"),
        ("[]", "the frame is not a JSON object"),
        ('"who"', "the frame is not a JSON object"),
        ("null", "the frame is not a JSON object"),
        ("[" * 100_000, "the frame nests deeper than 32"),
        ('{"type":"say","text":"\\ud800"}', "a string holds half a character"),
        ("{}", "the frame has no type"),
        ('{"type":null}', "the frame has no type"),
        ('{"type":["say"]}', "the frame has no type"),
        ('{"type":"hello","version":1}', "the client itself says hello"),
        ('{"type":"say"}', "text has to be a string"),
        ('{"type":"say","text":5}', "text has to be a string"),
        ('{"type":"whisper","text":"x"}', "to has to be a string"),
        ('{"type":"whisper","to":"bob"}', "text has to be a string"),
        ('{"type":"nick"}', "nick has to be a string"),
        ('{"type":"join","room":true}', "room has to be a string"),
        ('{"type":"op","do":7}', "do has to be a string"),
        ('{"type":"say","text":" "}', ""),
        ('{"type":"say","text":"\\u001b[2J"}', ""),
        ('{"type":"say","text":"' + "x" * 4001 + '"}', ""),
        ('{"type":"say","text":"x","ref":""}', "ref has to be a string of 1 to 64"),
        ('{"type":"say","text":"x","ref":7}', "ref has to be a string of 1 to 64"),
        ('{"type":"say","text":"x","ref":null}', "ref has to be a string of 1 to 64"),
        (
            '{"type":"whisper","to":"x","text":"x","ref":"' + "r" * 65 + '"}',
            "ref has to be a string of 1 to 64",
        ),
    ],
)
def test_what_is_refused(line: str, why: str) -> None:
    told = objection(line)
    assert told is not None
    assert told.startswith(f"is not sent: {why}")
    assert told.isprintable()


def padded(size: int, letter: str) -> str:
    """A frame of this many bytes, written with as many escapes as there are."""
    empty = len(encode_object({"type": "who", "x": ""})) - HEADER_SIZE
    count, rest = divmod(size - empty, len(letter.encode()))
    return json.dumps({"type": "who", "x": letter * count + "x" * rest})


@pytest.mark.parametrize("letter", ["x", "ü", "€", "👍"])
def test_the_longest_frame(letter: str) -> None:
    line = padded(MAX_FRAME, letter)
    assert taken(line)
    assert len(line.replace("x", "\\u0078")) <= MAX_LINE
    longer = objection(padded(MAX_FRAME + 1, letter))
    assert longer == "is not sent: the frame is longer than 65536 bytes"


def test_a_ref_of_ours_counts_too() -> None:
    frame = {"type": "whisper", "to": "", "text": "x"}
    frame["to"] = "x" * (MAX_FRAME + HEADER_SIZE - len(encode_object({**frame})))
    assert "longer than" in str(objection(json.dumps(frame)))


@given(st.text(max_size=40))
def test_any_line_is_taken_or_refused(line: str) -> None:
    told = objection(line)
    if told is not None:
        assert told.isprintable()
    elif line.strip():
        taken(line)


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
FIELDS = st.sampled_from(["text", "to", "ref", "nick", "room", "data", "after", "x"])
KINDS = st.sampled_from(["say", "whisper", "nick", "join", "leave", "hello", "who"])


@given(st.dictionaries(FIELDS, VALUES, max_size=4), KINDS | VALUES)
def test_any_frame_is_taken_or_refused(fields: Fields, kind: object) -> None:
    line = json.dumps({**fields, "type": kind})
    if objection(line) is None:
        what, *rest = taken(line)
        assert kind not in ("say", "whisper", "leave") or what == kind
        assert what != "ask" or rest == [{**fields, "type": kind}]
        assert kind != "hello"


def test_lines_are_numbered_whatever_is_in_them() -> None:
    splitter = LineSplitter(MAX_LINE, TOO_LONG, objection)
    data = b'\n{"type":"who"}\r\nwho\n\xff\n' + b"x" * (MAX_LINE + 1) + b"\n \n{"
    assert splitter.feed(data) + splitter.finish() == [
        "",
        '{"type":"who"}',
        Unreadable("line 3 is not sent: the frame is not JSON"),
        Unreadable("line 4 is not UTF-8 and is not said"),
        Unreadable("line 5 is longer than any frame and is not sent"),
        " ",
        Unreadable("line 7 is not sent: the frame is not JSON"),
    ]
