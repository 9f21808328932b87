"""Nicks in colours, and in what others say."""

import subprocess
import sys
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.client.nicks import COLOURS, MAX_MARKS, _without_floods, colour_of, names
from chatroom.core.text import MAX_NICK, MAX_TEXT, nick_error, nick_key

LETTERS = st.characters(categories=["Lu", "Ll", "Lo", "Nd"])
NICKS = st.text(LETTERS | st.sampled_from("-_."), min_size=1, max_size=MAX_NICK)
VALID_NICKS = NICKS.filter(lambda nick: nick_error(nick) is None)


@pytest.mark.parametrize("other", ["ANNA", "Anna", "ａｎｎａ"])
def test_one_nick_has_one_colour_however_it_is_written(other: str) -> None:
    assert colour_of(other) == colour_of("anna")


def test_colours_are_the_same_in_every_run() -> None:
    ask = "from chatroom.client.nicks import colour_of as c; print(c('anna'), c('bob'))"
    run = [sys.executable, "-c", ask]
    found = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert found.split() == [colour_of("anna"), colour_of("bob")]


def test_all_colours_are_used_about_as_often() -> None:
    used = Counter(colour_of(f"member{number}") for number in range(1000))
    assert set(used) == set(COLOURS)
    assert min(used.values()) > 150


def test_no_alarming_and_no_unreadable_colour() -> None:
    red, white, yellow, black = "31 91", "37 97", "33 93", "30 90"
    assert not set(COLOURS) & set(f"{red} {white} {yellow} {black}".split())


@given(st.text())
def test_everything_has_a_colour(nick: str) -> None:
    assert colour_of(nick) in COLOURS


@pytest.mark.parametrize(
    "text",
    [
        "anna",
        "anna: tea?",
        "anna, tea?",
        "tea, anna.",
        "tea, anna...",
        "(anna)",
        "@anna",
        "ANNA!",
        "ａｎｎａ：tea",
        "anna's tea",
        "anna- no",
        "joanna and anna",
        "tea?\nanna?",
        "茶？anna、",
        "-anna-",
    ],
)
def test_named(text: str) -> None:
    assert names(text, "Anna")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "joanna",
        "annabel",
        "anna2",
        "anna_",
        "my_anna",
        "anna-marie",
        "marie-anna",
        "anna.example",
        "anna\u0338",
        "anna\u0301",
        "anna\u20e3",
        "anna\u200cha",
        "annaさん",
        "an na",
    ],
)
def test_not_named(text: str) -> None:
    assert not names(text, "Anna")


@pytest.mark.parametrize(
    ("text", "nick"),
    [
        ("STRASSE, tea", "straße"),
        ("Straße: tea", "STRASSE"),
        ("\u0065\u0301lan?", "Élan"),
        ("田中、これ", "田中"),
        ("tea, anna. you too", "anna."),
        ("a-b: tea", "a-b"),
    ],
)
def test_folded(text: str, nick: str) -> None:
    assert names(text, nick)


def test_nobody_is_not_named() -> None:
    assert not names("anna", "")
    assert not names("a" * 100, "a" * 100)


@given(VALID_NICKS, st.sampled_from(["", " ", ": ", "?", ", ", "\n", "("]), st.text())
def test_a_nick_between_spaces_is_always_named(nick: str, end: str, rest: str) -> None:
    assert names(f"{rest} {nick}{end or ' '}", nick)
    assert names(f"{nick} {rest}", nick)


@given(VALID_NICKS, LETTERS.filter(lambda letter: nick_key(letter).isalnum()))
def test_a_nick_in_a_longer_word_is_not(nick: str, letter: str) -> None:
    assert not names(f"x{nick}", nick) or names("x", nick)
    longer = nick + letter
    assert not names(longer, nick) or names(letter, nick)


@given(st.text(max_size=200), VALID_NICKS)
def test_every_text_can_be_asked(text: str, nick: str) -> None:
    names(text, nick)


@given(st.lists(st.sampled_from(["a", "\u0301", "\u0316", " "]), max_size=100))
def test_floods_of_marks_are_cut_and_nothing_else(chars: list[str]) -> None:
    text = "".join(chars)
    kept = _without_floods(text)
    run = 0
    for char in kept:
        run = run + 1 if unicodedata.combining(char) else 0
        assert run <= MAX_MARKS
    assert kept.replace("\u0301", "").replace("\u0316", "") == text.replace(
        "\u0301", ""
    ).replace("\u0316", "")


def test_a_flood_of_marks_hides_no_name_elsewhere() -> None:
    flood = "x" + "\u0301\u0316" * (MAX_TEXT // 2 - 10)
    assert names(f"{flood} anna", "anna")
    assert not names("anna" + "\u0316" * 100, "anna")
