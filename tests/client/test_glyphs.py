"""Characters as a terminal shows them."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chatroom.client.glyphs import (
    MAX_MARKS,
    capped,
    clean,
    clean_lines,
    cluster_width,
    graphemes,
    most_columns,
    only_safe,
    text_width,
)
from tests.client.characters import is_safe

ANY_TEXT = st.text(st.characters())  # half characters (surrogates) included
EVIL = "\x00\x07\t\n\r\x1b\x7f\x80\x9b\x9f\u2028\u2029\u061c\u202e\u2066\ud800"
FAMILY = "👨\u200d👩\u200d👧"
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
# What joins, and what does not, in every neighbourhood.
JOINING = st.text(
    st.sampled_from(
        "a1 \r\n\t日é👍☝❤🏻\ufe0f\u200d\u0301\u0903🇩🇪\u1112\u1161\u11ab한하"
    )
)


@given(ANY_TEXT)
@example(EVIL)
def test_what_is_clean_holds_no_control_character(text: str) -> None:
    for line in [clean(text), *clean_lines(text)]:
        for char in line:
            assert unicodedata.category(char) not in ("Cc", "Zl", "Zp", "Cs")
            assert char not in "\u061c\u202a\u202b\u202c\u202d\u202e"
            assert char not in "\u2066\u2067\u2068\u2069"
        line.encode()  # And any terminal in UTF-8 takes it.


@given(ANY_TEXT | JOINING)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(ANY_TEXT)
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    safe = "".join(filter(is_safe, text))
    assert clean(safe) == capped(safe)
    assert only_safe(text) == "".join(c for c in text if is_safe(c) or c in "\t\n")


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
        ("e" + "\u0301" * 5000 + "\x1b", "e" + "\u0301" * MAX_MARKS + "␛"),
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
    ("cluster", "width"),
    [
        ("a", 1),
        ("é", 1),
        ("e\u0301", 1),
        ("\u0301", 0),
        ("日", 2),
        ("日\u0301", 2),
        ("ｱ", 1),
        ("\r\n", 2),
        ("\xad", 1),
        ("\u0600", 1),
        # Emoji: alone, wide by a selector or a modifier, joined, newer than Python.
        ("👍", 2),
        ("👍\ufe0f", 2),
        ("👍🏻", 2),
        ("☝", 1),
        ("☝🏻", 2),
        ("☝\ufe0f🏻\ufe0f", 2),
        ("❤\ufe0f", 2),
        ("❤\ufe0e", 1),
        ("1\ufe0f\u20e3", 2),
        ("🏻", 2),
        (FAMILY, 2),
        ("👁\ufe0f\u200d🗨\ufe0f", 2),
        ("👩🏻\u200d❤\ufe0f\u200d💋\u200d👨🏿", 2),
        ("🙂\u200d↔\ufe0f", 2),
        ("\U0001fae8", 2),
        # Flags.
        ("🇩", 1),
        ("🇩🇪", 2),
        (ENGLAND, 2),
        # Hangul: syllables, and what they are made of.
        ("한", 2),
        ("하\u11ab", 2),
        ("\u1112\u1161\u11ab", 2),
        ("\u1112\u1161", 2),
        ("\u1112", 2),
        ("\u1161", 1),
        ("\u11ab", 1),
        ("\ua960", 2),
        ("\ud7b0\ud7cb", 1),
        # A vowel sign of Devanagari has a place of its own.
        ("क\u093f", 2),
        ("क\u094d", 1),
        ("a\u200d", 1),
    ],
)
def test_one_cluster(cluster: str, width: int) -> None:
    assert graphemes(cluster) == [cluster]
    assert cluster_width(cluster) == width
    assert graphemes(f"x{cluster}日") == ["x", cluster, "日"] or not width
    assert text_width(f"x{cluster}日") == width + 3


@pytest.mark.parametrize(
    "clusters",
    [
        ["🇩🇪", "🇫🇷", "🇩"],
        ["\r\n", "\n", "\r", "\r\n"],
        ["e\u0301", "\n", "\u0301"],
        ["\t", "\u0301", "a"],
        [FAMILY, "👍🏻", "🏻"],
        ["a\u200d", "👍"],
        ["👍\u200d", "a"],
        ["a", "🏻"],
        ["하\u11ab", "하", "\u1112", "a"],
        ["한", "\u1161"],
        ["👍\u200d👍" + "\u200d👍" * 6 + "\u200d", "👍"],
    ],
)
def test_several_clusters(clusters: list[str]) -> None:
    assert graphemes("".join(clusters)) == clusters


@given(JOINING | ANY_TEXT)
def test_clusters_are_the_text_and_each_is_one(text: str) -> None:
    clusters = graphemes(text)
    assert "".join(clusters) == text
    assert all(graphemes(cluster) == [cluster] for cluster in clusters)
    for before, cluster in pairwise(clusters):
        if unicodedata.category(before[-1]) in ("Cc", "Zl", "Zp"):
            continue
        first = unicodedata.category(cluster[0])
        assert first not in ("Mn", "Me", "Mc") and cluster[0] != "\u200d"
    assert text_width(text) == sum(map(cluster_width, clusters))


@given(st.text(st.characters(codec="ascii")))
def test_each_character_of_ascii_is_a_cluster(text: str) -> None:
    assume("\r" not in text)
    assert graphemes(text) == list(text)
    assert text_width(text) == len(text)


@given(JOINING | st.text(st.sampled_from("a\u0301\u0903\u200d\ufe0f"), max_size=60))
@example("\u0301" * 100 + "a" + "\u0903" * 100 + "日" + "\u0301" * 9)
def test_marks_have_a_limit(text: str) -> None:
    shown = capped(text)
    left = iter(text)
    assert all(char in left for char in shown), "it only leaves out"
    clusters = graphemes(shown)
    assert len(clusters) == len(graphemes(text)) or "\u200d" in text
    assert capped(shown) == shown
    for cluster in clusters:
        assert capped(cluster) == cluster
        assert cluster_width(cluster) <= 2 * 3 + MAX_MARKS
    if "\u200d" not in text:
        assert text_width(shown) == text_width(text)


@given(JOINING | ANY_TEXT)
def test_no_terminal_takes_more_columns_than_the_most(text: str) -> None:
    for cluster in graphemes(text):
        assert cluster_width(cluster) <= most_columns(cluster)
        assert sum(map(cluster_width, cluster)) <= most_columns(cluster)
    assert most_columns("👍🏽") == 4


def test_thousands_of_marks() -> None:
    zalgo = "e" + "\u0301" * 5000
    assert graphemes(f"a{zalgo}b") == ["a", zalgo, "b"]
    assert cluster_width(zalgo) == 1
    assert cluster_width("क" + "\u0903" * 5000) == 1 + MAX_MARKS
    assert capped(zalgo) == "e" + "\u0301" * MAX_MARKS
    assert capped(ENGLAND) == ENGLAND


def test_all_of_unicode() -> None:
    """More kinds of characters than are remembered."""
    text = "".join(map(chr, range(0x110000)))
    assert "".join(graphemes(text)) == text
