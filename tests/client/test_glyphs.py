"""Characters as a terminal shows them."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatroom.client.glyphs import (
    char_width,
    clean,
    clean_lines,
    is_mark,
    is_safe,
    tail,
    text_width,
)

ANY_TEXT = st.text(st.characters())  # half characters (surrogates) included
EVIL = "\x00\x07\t\n\r\x1b\x7f\x80\x9b\x9f\u2028\u2029\u061c\u202e\u2066\ud800"


@given(ANY_TEXT)
@example(EVIL)
def test_what_is_clean_holds_no_control_character(text: str) -> None:
    for line in [clean(text), *clean_lines(text)]:
        for char in line:
            assert unicodedata.category(char) not in ("Cc", "Zl", "Zp", "Cs")
            assert char not in "\u061c\u202a\u202b\u202c\u202d\u202e"
            assert char not in "\u2066\u2067\u2068\u2069"
        line.encode()  # And any terminal in UTF-8 takes it.


@given(ANY_TEXT)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(ANY_TEXT)
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    safe = "".join(filter(is_safe, text))
    assert clean(safe) == safe


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2J", "␛[2J"),
        ("a\x7fb", "a␡b"),
        ("\x9b31m", "<U+009B>31m"),
        ("a\u202eb", "a<U+202E>b"),
        ("a\nb\r", "a␊b␍"),
        ("日本 e\u0301 \u200d 👍\ufe0f \xa0", "日本 e\u0301 \u200d 👍\ufe0f \xa0"),
    ],
)
def test_marks_are_visible(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_only_a_newline_parts_lines() -> None:
    assert clean_lines("a\nb\x0bc\x85d\u2028e\r\n") == [
        "a",
        "b␋c<U+0085>d<U+2028>e␍",
        "",
    ]


def test_a_tab_becomes_spaces() -> None:
    assert clean_lines("a\tb\n\tc") == ["a       b", "        c"]


@pytest.mark.parametrize(
    ("char", "width"),
    [("a", 1), ("é", 1), ("日", 2), ("\u0301", 0), ("\u200d", 0), ("👍", 2), ("ｱ", 1)],
)
def test_widths(char: str, width: int) -> None:
    assert char_width(char) == width
    assert text_width(char * 3) == width * 3


@given(ANY_TEXT, st.integers(0, 30))
def test_a_tail_fits_and_is_as_long_as_it_can_be(text: str, columns: int) -> None:
    end = tail(text, columns)
    assert text.endswith(end)
    assert text_width(end) <= columns
    before = text[: len(text) - len(end)].rstrip("".join(filter(is_mark, text)))
    if before:
        assert text_width(end) + char_width(before[-1]) > columns


def test_a_mark_does_not_begin_a_tail() -> None:
    assert tail("ae\u0301b", 1) == "b"
    assert tail("ae\u0301b", 2) == "e\u0301b"
