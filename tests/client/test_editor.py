"""The line being typed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.editor import (
    MAX_LINE,
    Entered,
    Event,
    LineEditor,
    Wish,
    view,
)
from chatroom.client.glyphs import is_safe, text_width

KEYS = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.text(max_size=4).map(str.encode),
        st.sampled_from(
            b"\r|\x03|\x04|\x08|\x7f|\x15|\x17|\x1a|\x1b[A|\x1b[1;5C|\x1bOP|\x1b".split(
                b"|"
            )
        ),
    )
).map(b"".join)


def test_a_line_can_be_forgotten() -> None:
    editor = LineEditor()
    editor.feed(b"one\x1b[")
    editor.clear()
    assert editor.text == ""
    assert editor.feed(b"Atwo\r") == [Entered("two")], "within a sequence, too"


def typed(*chunks: bytes) -> tuple[list[Event], str]:
    """What comes of it, and what stands in the line then."""
    editor = LineEditor()
    events = [event for chunk in chunks for event in editor.feed(chunk)]
    return events, editor.text


@given(KEYS, st.lists(st.integers(0, 80)))
def test_it_makes_no_difference_how_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in pairwise(places)]
    assert typed(*chunks) == typed(data)
    assert typed(*(bytes([byte]) for byte in data)) == typed(data)


@given(KEYS)
def test_no_control_character_enters_the_line(data: bytes) -> None:
    events, text = typed(data)
    texts = [event.text for event in events if isinstance(event, Entered)]
    assert all(map(is_safe, "".join(texts) + text))


@given(st.text(st.characters().filter(lambda c: is_safe(c) and c > " "), max_size=50))
def test_what_is_typed_is_what_is_entered(text: str) -> None:
    assert typed(text.encode() + b"\r") == ([Entered(text)], "")


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        (b"ab\x7f", "a"),
        (b"ab\x08\x08\x08c", "c"),
        ("ae\u0301\x7f".encode(), "a"),
        ("a👍\ufe0f\x7f".encode(), "a"),
        (b"one two\x17", "one "),
        (b"one two  \x17x", "one x"),
        (b"one\x17\x17", ""),
        (b"one two\x15x", "x"),
        (b"a\x1b[D\x1b[C\x1b[A\x1b[3~\x1bOHb", "ab"),
        (b"a\x1b[1;5Db", "ab"),
        (b"a\x1b[[Ab", "ab"),
        (b"a\x1bfb", "ab"),
        (b"a\x1b\x1b[Ab", "ab"),
        (b"a\x1b[\x7f", "a"),
        (b"a\t\x00\x01\x0cb", "ab"),
        (b"a\xff\xc3b", "ab"),
        ("a\x9b\u2028\u202eb".encode(), "ab"),
        ("\xa0日\u3000".encode(), "\xa0日\u3000"),
    ],
)
def test_keys(keys: bytes, left: str) -> None:
    assert typed(keys) == ([], left)


def test_interrupt_clears_and_on_an_empty_line_leaves() -> None:
    assert typed(b"abc\x03") == ([], "")
    assert typed(b"abc\x03\x03") == ([Wish.INTERRUPT], "")
    assert typed(b"abc\x1b[\x03x") == ([], "x")


def test_end_of_input_counts_on_an_empty_line_only() -> None:
    assert typed(b"abc\x04") == ([], "abc")
    assert typed(b"\x04") == ([Wish.END], "")


def test_suspend_leaves_the_line() -> None:
    assert typed(b"abc\x1a") == ([Wish.SUSPEND], "abc")


def test_several_lines_at_once() -> None:
    assert typed(b"a\rb\nc") == ([Entered("a"), Entered("b")], "c")


def test_a_line_has_a_limit() -> None:
    assert typed(b"a" * (MAX_LINE + 10)) == ([], "a" * MAX_LINE)


WIDE_AND_NARROW = st.text(st.sampled_from("ab 日\u0301👍"), max_size=60)


@given(WIDE_AND_NARROW, WIDE_AND_NARROW, st.integers(0, 100))
def test_a_view_is_narrower_than_the_terminal(p: str, text: str, columns: int) -> None:
    row = view(p, text, columns)
    assert text_width(row) <= max(columns - 1, 0)
    if text_width(p + text) < columns:
        assert row == p + text


def test_a_long_line_shows_its_end() -> None:
    assert view("> ", "abcdefghij", 10) == "> <efghij"
    assert view("[lobby] anna> ", "abcdefghij", 12) == "nna> <fghij"
    assert view("> ", "x", 1) == ""
