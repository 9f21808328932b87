"""Bytes of a terminal, as keys."""

import re
from collections.abc import Generator
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chatroom.client.keys import (
    BURST_LINES,
    END_TIME,
    ESCAPE_TIME,
    MAX_PASTE,
    Key,
    KeyReader,
)
from tests.client.characters import is_safe

SEQUENCES = {
    # Control keys.
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x01": "ctrl-a",
    "\x03": "ctrl-c",
    "\x1a": "ctrl-z",
    "\x1f": "ctrl-_",
    "\x00": "unknown",
    "\x1c": "unknown",
    # Alt.
    "\x1bb": "alt-b",
    "\x1bB": "alt-b",
    "\x1b\r": "alt-enter",
    "\x1b\n": "alt-enter",
    "\x1b\x7f": "alt-backspace",
    "\x1b\x08": "alt-backspace",
    "\x1b1": "unknown",
    "\x1bé": "unknown",
    "\x1b\\": "unknown",
    # The cursor: VT220 and xterm, in either mode; rxvt.
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1bOA": "up",
    "\x1bOD": "left",
    "\x1bOH": "home",
    "\x1bOF": "end",
    "\x1b[1;2D": "left",
    "\x1b[1;3D": "alt-left",
    "\x1b[1;5D": "ctrl-left",
    "\x1b[1;6C": "ctrl-right",
    "\x1b[1;7C": "ctrl-alt-right",
    "\x1b[1;9C": "right",
    "\x1b[1;69C": "ctrl-right",
    "\x1b[1;5:1A": "ctrl-up",
    "\x1bO5D": "ctrl-left",
    "\x1bOd": "ctrl-left",
    "\x1bOc": "ctrl-right",
    "\x1b[d": "left",
    "\x1b[a": "up",
    "\x1b\x1b[D": "alt-left",
    "\x1b\x1bOC": "alt-right",
    # Numbered.
    "\x1b[1~": "home",
    "\x1b[2~": "insert",
    "\x1b[3~": "delete",
    "\x1b[4~": "end",
    "\x1b[5~": "page-up",
    "\x1b[6~": "page-down",
    "\x1b[7~": "home",
    "\x1b[8~": "end",
    "\x1b[3;5~": "ctrl-delete",
    "\x1b[3;3~": "alt-delete",
    "\x1b[3^": "ctrl-delete",
    "\x1b[3$": "delete",
    "\x1b[3@": "ctrl-delete",
    "\x1b\x1b[3~": "alt-delete",
    # Told apart by CSI u, and by xterm.
    "\x1b[13u": "enter",
    "\x1b[13;2u": "shift-enter",
    "\x1b[13;3u": "alt-enter",
    "\x1b[13;5u": "ctrl-enter",
    "\x1b[9;5u": "ctrl-tab",
    "\x1b[9;2u": "shift-tab",
    "\x1b[27u": "escape",
    "\x1b[127;3u": "alt-backspace",
    "\x1b[127;5u": "ctrl-backspace",
    "\x1b[106;5u": "ctrl-j",
    "\x1b[109;5u": "enter",
    "\x1b[105;5u": "tab",
    "\x1b[91;5u": "escape",
    "\x1b[99;5u": "ctrl-c",
    "\x1b[99:67;5:1u": "ctrl-c",
    "\x1b[98;3u": "alt-b",
    "\x1b[66;4u": "alt-b",
    "\x1b[27;5;13~": "ctrl-enter",
    "\x1b[27;2;9~": "shift-tab",
    "\x1b[27;5;99~": "ctrl-c",
    "\x1b[233;5u": "unknown",
    "\x1b[57358u": "unknown",
    "\x1b[55296u": "unknown",
    "\x1b[1114112u": "unknown",
    # Of the terminal itself.
    "\x1b[Z": "shift-tab",
    "\x1b[I": "focus-in",
    "\x1b[O": "focus-out",
    "\x1bOM": "enter",
    # Not for us.
    "\x1bOP": "unknown",
    "\x1b[11~": "unknown",
    "\x1b[[A": "unknown",
    "\x1b[1;5I": "unknown",
    "\x1b[?62;1;2c": "unknown",
    "\x1b[>41;330;0c": "unknown",
    "\x1b[24;80R": "unknown",
    "\x1b[0n": "unknown",
    "\x1b[?2026;2$y": "unknown",
    "\x1b[<0;10;20M": "unknown",
    "\x1b[<0;10;20m": "unknown",
    "\x1b[M !!": "unknown",
    "\x1b[201~": "unknown",
    "\x1b[" + "1" * 1000 + "A": "up",
    "\x1bO" + "0" * 1000 + "A": "up",
    "\x1b[" + "1;" * 1000 + "~": "home",
    "\x1b[ q": "unknown",
    "\x1b]11;rgb:ffff/ffff/ffff\x07": "unknown",
    "\x1b]11;rgb:ffff/ffff/ffff\x1b\\": "unknown",
    "\x1bP>|xterm(330)\x1b\\": "unknown",
    "\x1b_Gi=31;OK\x1b\\": "unknown",
    "\x1b^x\x1b\\": "unknown",
    "\x1bXx\x1b\\": "unknown",
    "\x1b]52;c;\x9c" + "QUJD" * 10_000 + "\x07": "unknown",
}
PIECES = st.one_of(
    st.binary(max_size=6),
    st.text(max_size=4).map(lambda text: text.encode(errors="replace")),
    st.sampled_from([*SEQUENCES]).map(str.encode),
    st.sampled_from(
        [b"\x1b", b"\x1b[", b"\x1b[200~", b"\x1b[201~", b"\x1b[20", b"\r\n", b"\x1b]"]
    ),
)
TYPED = st.lists(PIECES, max_size=12).map(b"".join)


def joined(keys: list[Key]) -> list[Key]:
    """The same with each run of text as one key."""
    found: list[Key] = []
    for key in keys:
        if found and key.name == found[-1].name == "text":
            found[-1] = Key("text", found[-1].text + key.text)
        else:
            found.append(key)
    return found


def read(*chunks: bytes) -> list[Key]:
    """The keys that these chunks are."""
    reader = KeyReader()
    return joined([key for chunk in chunks for key in reader.feed(chunk)])


def paste(data: bytes) -> Key:
    """The key that a paste of *data* is."""
    (key,) = read(b"\x1b[200~" + data + b"\x1b[201~")
    assert key.name == "paste"
    return key


@pytest.mark.parametrize(("sequence", "name"), SEQUENCES.items())
def test_sequences(sequence: str, name: str) -> None:
    data = sequence.encode()
    expected = [Key("text", "a"), Key(name), Key("text", "b")]
    assert read(b"a" + data + b"b") == expected
    assert read(b"a", *(bytes([byte]) for byte in data), b"b") == expected


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("日本 ü👍\u0301".encode(), "日本 ü👍\u0301"),
        (b"a\xffb", "a\ufffdb"),
        (b"a\xc3b", "a\ufffdb"),
        (b"a\xed\xa0\x80b", "a\ufffd\ufffd\ufffdb"),
        ("a\x9b31mb\x85\u2028\u202e".encode(), "a31mb"),
        (b"\x1b[97u\x1b[97;2u\x1b[27;2;65~\x1b[233u", "aAAé"),
        (b"\x1bOj\x1bOp\x1bOy", "*09"),
    ],
)
def test_text(data: bytes, text: str) -> None:
    assert read(data) == [Key("text", text)]


@given(TYPED, st.lists(st.integers(0, 80)))
@example(b"\x1b[200~a\r\nb\r\x1b[201~c", [8, 9, 12, 15])
@example(b"\x1b]\x1b]\x1b\\x", [2])
def test_it_makes_no_difference_how_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    assume(data.count(b"\r") + data.count(b"\n") <= BURST_LINES)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert read(*(data[a:b] for a, b in pairwise(places))) == read(data)
    assert read(*(bytes([byte]) for byte in data)) == read(data)


@given(st.lists(st.one_of(PIECES, st.none()), max_size=12))
def test_nothing_that_comes_out_holds_a_control_character(
    data: list[bytes | None],
) -> None:
    reader = KeyReader()
    for piece in data:
        keys = reader.time_out() if piece is None else reader.feed(piece)
        for key in keys:
            assert key.name.isprintable() and key.name.isascii()
            assert (key.name in ("text", "paste")) >= bool(key.text)
            own = "\t\n" if key.name == "paste" else ""
            assert all(is_safe(char) or char in own for char in key.text)
        if piece is None:
            assert reader.patience is None


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"\x1b", ["escape"]),
        (b"\x1b\x1b", ["escape", "escape"]),
        (b"\x1b[", ["unknown"]),
        (b"\x1b[1;5", ["unknown"]),
        (b"\x1b[[", ["unknown"]),
        (b"\x1b[M!", ["unknown"]),
        (b"\x1bO", ["alt-o"]),
        (b"\x1bO5", ["unknown"]),
        (b"\x1b]", ["unknown"]),
        (b"\x1bP", ["unknown"]),
        (b"\x1b]x\x1b", ["escape"]),
    ],
)
def test_what_nothing_follows(data: bytes, names: list[str]) -> None:
    reader = KeyReader()
    keys = reader.feed(data)
    waited = [reader.patience]
    keys += reader.time_out()
    waited.append(reader.patience)
    assert [key.name for key in keys] == names
    assert waited == [ESCAPE_TIME, None]
    assert reader.time_out() == []
    assert reader.feed(b"x") == [Key("text", "x")]


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ("\x1b[200~", Key("paste")),
        ("\x1b[200~a\r\nb\r", Key("paste", "a\nb\n", 2)),
        ("\x1b[200~a\x1b[20", Key("paste", "a[20", 1)),
        ("\x1b]0;half", Key("unknown")),
        ("\x1bPhalf", Key("unknown")),
    ],
)
def test_an_end_that_never_comes_is_waited_for_a_while(data: str, key: Key) -> None:
    """Half a paste, were it cut at once, would go on as keys; half an answer as text;
    and a keyboard that is held for good is as bad."""
    reader = KeyReader()
    assert reader.feed(data.encode()) == []
    waited = [reader.patience]
    assert reader.time_out() == [key]
    waited.append(reader.patience)
    assert waited == [END_TIME, None]
    assert reader.feed(b"x\x1b[201~") == [Key("text", "x"), Key("unknown")]


@pytest.mark.parametrize("data", [b"", b"x", b"\xe6\x97"])
def test_where_time_ends_nothing(data: bytes) -> None:
    reader = KeyReader()
    reader.feed(data)
    assert reader.patience is None
    assert reader.time_out() == []


@pytest.mark.parametrize(
    "begun", ["\x1b[", "\x1b[1;5", "\x1bO", "\x1b[[", "\x1b[M!", "\x1b]x", "\x1bPx"]
)
@pytest.mark.parametrize(("key", "name"), [("\x03", "ctrl-c"), ("\r", "enter")])
def test_a_control_key_within_a_sequence_ends_it(
    begun: str, key: str, name: str
) -> None:
    assert read(f"{begun}{key}x".encode()) == [
        Key("unknown"),
        Key(name),
        Key("text", "x"),
    ]
    assert read(f"{begun}\x1b[Ax".encode())[-2:] == [Key("up"), Key("text", "x")]


def test_a_control_key_behind_escape_is_one_of_its_own() -> None:
    assert read(b"\x1b\x03") == [Key("escape"), Key("ctrl-c")]
    assert read(b"\x1b\x1b\x1b\x1bx") == [Key("escape")] * 3 + [Key("alt-x")]


def test_a_sequence_ends_where_a_letter_of_no_sequence_comes() -> None:
    assert read("\x1b[1é".encode()) == [Key("unknown"), Key("text", "é")]


def pasted_text(text: str) -> str:
    """What of *text* is pasted: an independent way to it."""
    lines = re.split("\r\n|[\r\n\u2028\u2029]", text)
    return "\n".join(
        "".join(c for c in line if c == "\t" or is_safe(c)) for line in lines
    )


@given(
    st.text(
        st.one_of(
            st.characters(exclude_categories=["Cs"]), st.sampled_from("\r\n\t\x1b[201")
        )
    )
)
@example("a\r\nb\rc\n\n\td")
@example("\x1b[31mred\x03\x04\x1b[20")
@example("tail\r")
def test_a_paste_is_one_key_whatever_is_in_it(text: str) -> None:
    text = text.replace("\x1b[201~", "")
    key = paste(text.encode())
    assert key.text == pasted_text(text)
    if text == key.text:
        assert key.lines == len(text.removesuffix("\n").split("\n")) - (text == "")


def test_after_a_paste_keys_are_keys_again() -> None:
    assert read(b"a\x1b[200~b\r\x1b[201~c\r") == [
        Key("text", "a"),
        Key("paste", "b\n", 1),
        Key("text", "c"),
        Key("enter"),
    ]


def test_of_a_paste_that_is_too_long_the_lines_are_counted() -> None:
    data = b"\x1b[200~" + b"line\r\n" * 200_000 + b"end\x1b[201~"
    whole = read(data)
    assert [(key.name, len(key.text), key.lines) for key in whole] == [
        ("paste", MAX_PASTE, 200_001)
    ]
    assert read(*(data[at : at + 997] for at in range(0, len(data), 997))) == whole


def test_many_lines_at_once_are_a_paste_that_the_terminal_has_not_marked() -> None:
    reader = KeyReader()
    assert reader.feed(b"line\r" * (BURST_LINES + 1) + b"l") == []
    assert reader.patience == ESCAPE_TIME
    assert reader.feed(b"ast\r") == []
    assert reader.time_out() == [
        Key("paste", "line\n" * (BURST_LINES + 1) + "last\n", BURST_LINES + 2)
    ]
    assert reader.feed(b"x\r") == [Key("text", "x"), Key("enter")]


@pytest.mark.parametrize(
    "data", [b"line\r" * BURST_LINES, b"\r" * 50, b"x\x1b\r" * 50, b"x\x03" * 50]
)
def test_keys_that_are_held_down_are_no_paste(data: bytes) -> None:
    reader = KeyReader()
    keys = joined(reader.feed(data))
    assert keys == read(*(bytes([byte]) for byte in data))
    assert reader.patience is None


class CountingReader(KeyReader):
    """Counts how many characters of a sequence are looked at one by one."""

    looked_at = 0

    def _next(self) -> Generator[None, str, str]:
        self.looked_at += 1
        return super()._next()


def test_a_paste_is_not_read_character_by_character() -> None:
    reader = CountingReader()
    data = b"\x1b[200~" + b"\x1b[201" * 100_000 + b"\x1b[201~"
    keys = [reader.feed(data[at : at + 4096]) for at in range(0, len(data), 4096)]
    assert sum(map(len, keys)) == 1
    assert reader.looked_at < 10
