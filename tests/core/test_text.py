"""Texts, nicks and names of rooms against rules written from the character data.

The oracles read protocol.md, section 5, as sets of categories and one regular
expression over kinds of characters; the code goes character by character.
"""

import json
import re
import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.core.text import (
    MAX_DECOMPOSED,
    MAX_KEY,
    MAX_NICK,
    MAX_ROOM,
    MAX_TEXT,
    fold,
    is_guest_key,
    lookup_key,
    nick_error,
    nick_key,
    room_error,
    text_error,
    to_nfc,
)
from tests.support.strategies import names, texts

EVERY = [chr(code) for code in range(0x110000)]

# -- texts ------------------------------------------------------------------------

BIDIRECTIONAL = {"\u061c", *map(chr, range(0x202A, 0x202F))}
BIDIRECTIONAL |= set(map(chr, range(0x2066, 0x206A)))
BARRED = BIDIRECTIONAL | {"\u2028", "\u2029"}


def barred(char: str) -> bool:
    """Say whether no text may hold *char*."""
    if unicodedata.category(char) == "Cc":
        return char not in "\n\t"
    return char in BARRED


def blank(char: str) -> bool:
    """Say whether *char* is white space."""
    return (
        unicodedata.category(char) == "Zs"
        or unicodedata.bidirectional(char) in {"WS", "B", "S"}
    )  # fmt: skip


def test_every_code_point_in_a_text() -> None:
    refused = {char for char in EVERY if text_error(f"a{char}b") is not None}
    assert refused == set(filter(barred, EVERY))
    assert len(refused) == 65 - 2 + 2 + 10


def test_every_code_point_alone() -> None:
    refused = {char for char in EVERY if text_error(char) is not None}
    assert refused == {char for char in EVERY if barred(char) or blank(char)}


@given(texts)
def test_a_text_is_refused_for_a_reason_of_the_rules(text: str) -> None:
    found = text_error(text)
    good = 1 <= len(text) <= MAX_TEXT and not all(map(blank, text))
    assert (found is None) == (good and not any(map(barred, text)))
    assert found is None or found[0] == "text-invalid"


@pytest.mark.parametrize("char", ["x", "\n", "é", "\U0001f600", "\u0301"])
def test_the_length_of_a_text_is_in_code_points(char: str) -> None:
    assert text_error("a" + char * 3999) is None
    found = text_error("a" + char * 4000)
    assert found is not None
    assert found[0] == "text-too-long"


@pytest.mark.parametrize("text", ["", " ", "\n", " \t\n\u3000\xa0 "])
def test_a_text_of_white_space_only_is_refused(text: str) -> None:
    found = text_error(text)
    assert found is not None
    assert found[0] == "text-invalid"


def test_letters_are_the_same_however_they_are_written() -> None:
    assert fold("E\u0308") == fold("\u00eb") == fold("Ë")
    assert fold("ΣΊΣΥΦΟΣ") == fold("σίσυφος")
    assert fold("\u1f80") == fold("\u1f88")
    assert fold("a") != fold("b")


def test_the_reason_names_the_character_and_never_shows_it() -> None:
    for char in filter(barred, EVERY):
        found = text_error(f"a{char}")
        assert found is not None
        assert f"U+{ord(char):04X}" in found[1]
        assert found[1].isprintable()


# -- nicks ------------------------------------------------------------------------

INVISIBLE = set("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
INVISIBLE |= set(map(chr, range(0xFE00, 0xFE10)))
KINDS = {"Nd": "l", "Mn": "m", "Mc": "m", "Lu": "l", "Ll": "l"}
KINDS |= {"Lt": "l", "Lm": "l", "Lo": "l"}
SHAPE = re.compile(r"l(?:m{0,2}(?:[lp]|$))*")


def kind(char: str) -> str:
    """Say what *char* is in a name: a letter, a mark, punctuation or nothing."""
    if char in "-_.":
        return "p"
    if char in INVISIBLE:
        return "x"
    return KINDS.get(unicodedata.category(char), "x")


def good_name(name: str, longest: int) -> bool:
    """Say whether *name* has the form of a nick or of its key."""
    shape = "".join(map(kind, name))
    return len(name) <= longest and SHAPE.fullmatch(shape) is not None


def key_of(nick: str) -> str:
    """Fold *nick* as section 5 does."""
    nfkc = unicodedata.normalize("NFKC", nick)
    return unicodedata.normalize("NFKC", nfkc.casefold())


def good_nick(nick: str) -> bool:
    """Say whether somebody can be called *nick*, which is in NFC."""
    return good_name(nick, 32) and good_name(key_of(nick), 64)


@pytest.fixture(scope="module")
def single() -> list[str]:
    """Every nick of one character."""
    return [char for char in EVERY if nick_error(char) is None]


def test_every_code_point_as_a_nick(single: list[str]) -> None:
    letters = [char for char in EVERY if kind(char) == "l"]
    assert single == [char for char in letters if good_nick(char)]
    assert len(single) > 100_000


def test_every_mark_and_punctuation_in_a_nick() -> None:
    others = [c for c in EVERY if kind(c) != "l" and unicodedata.category(c) != "Cn"]
    others = [c for c in others if unicodedata.category(c) != "Co"]
    inside = {char for char in others if nick_error(f"a{char}") is None}
    assert inside == {char for char in others if good_nick(f"a{char}")}
    assert {"-", "_", ".", "\u0301"} <= inside
    assert inside.isdisjoint(INVISIBLE | set(" @!/\\\"'\u200b\u200d\u00ad"))


def test_no_nick_needs_escaping_in_json(single: list[str]) -> None:
    """Whoever writes frames by hand relies on it."""
    marks = [c for c in EVERY if kind(c) in "mp"]
    every = "".join(single + marks)
    assert json.dumps(every, ensure_ascii=False) == f'"{every}"'
    for name in ('a"', "a\\", "a\n", "a\x7f", "a\u2028", "a\ud800"):
        assert nick_error(name) is not None


@given(names)
def test_a_nick_is_good_or_not_by_the_rules(name: str) -> None:
    nick = to_nfc(name)
    assert (nick_error(nick) is None) == good_nick(nick)
    if nick_error(nick) is None:
        assert json.dumps(nick, ensure_ascii=False) == f'"{nick}"'
        key = nick_key(nick)
        assert json.dumps(key, ensure_ascii=False) == f'"{key}"'


@given(texts | names)
def test_the_key_is_idempotent(name: str) -> None:
    assert nick_key(nick_key(name)) == nick_key(name) == key_of(name)


def test_the_key_of_every_code_point_is_idempotent() -> None:
    for char in EVERY:
        key = nick_key(char)
        if key != char:
            assert nick_key(key) == key, hex(ord(char))


def test_the_key_of_a_good_nick_obeys_the_same_rule(single: list[str]) -> None:
    for char in single:
        assert good_name(nick_key(char), MAX_KEY)


@given(names)
def test_spelling_in_another_normal_form_or_case_is_the_same_nick(name: str) -> None:
    key = nick_key(name)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert nick_key(unicodedata.normalize(form, name)) == key
    plain = "".join(c for c in name if c in string.ascii_letters)
    assert nick_key(plain.upper()) == nick_key(plain.lower()) == plain.lower()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bob", "bOB"),
        ("é", "e\u0301"),
        ("É", "é"),
        ("ﬁn", "fin"),
        ("Straße", "STRASSE"),
        ("\u212a", "k"),
        ("ｂｏｂ", "bob"),
        ("ΣΟΦΟΣ", "σοφος"),
        ("\u2126", "ω"),
        ("ſ", "S"),
    ],
)
def test_equal_keys(one: str, other: str) -> None:
    assert nick_key(one) == nick_key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("bob", "b0b"), ("bob", "bob_"), ("a", "а"), ("e", "é")]
)
def test_different_keys(one: str, other: str) -> None:
    assert nick_key(one) != nick_key(other)


@pytest.mark.parametrize(
    "nick",
    ["a", "9", "Zoë", "x-y_z.", "中文", "a\u0316\u0301", "٣", "x" * 32, "ﬁ" * 32],
)
def test_good_nicks(nick: str) -> None:
    assert nick_error(nick) is None


@pytest.mark.parametrize(
    "nick",
    [
        "",
        "-a",
        "_a",
        ".a",
        "\u0301a",
        "a b",
        " a",
        "a ",
        "a\n",
        "a!",
        "@a",
        "x" * 33,
        "ﷺ",  # Its key holds spaces.
        "ﬃ" * 32,  # Its key is too long.
        "a\u0316\u0301\u0327",
        "a\u034fb",
        "a\u200db",
        "a\u202eb",
        "😀",
        "Ⅷ",
        "²",
        "ﾠa",
        "\u3164",
        "a\ufe0f",
    ],
)
def test_bad_nicks(nick: str) -> None:
    found = nick_error(nick)
    assert found is not None
    assert found.isprintable()


def test_the_limits_are_those_of_the_protocol() -> None:
    assert (MAX_TEXT, MAX_NICK, MAX_KEY, MAX_ROOM) == (4000, 32, 64, 32)


def test_a_nick_is_shown_in_nfc() -> None:
    assert to_nfc("e\u0301") == "é"
    assert to_nfc("ﬁ") == "ﬁ"


def test_the_longest_spelling_of_a_nick_is_known() -> None:
    """What is longer in any form is not even normalised."""
    composed = [char for char in EVERY if unicodedata.normalize("NFC", char) == char]
    longest = max(len(unicodedata.normalize("NFD", char)) for char in composed)
    assert longest * MAX_NICK <= MAX_DECOMPOSED
    assert to_nfc("e\u0301" * 64) == "é" * 64
    marks = "\u0301\u0316" * 20_000
    assert nick_error(to_nfc("a" + marks)) is not None


@given(names)
def test_a_nick_is_looked_up_in_every_spelling(name: str) -> None:
    nick = to_nfc(name)
    if nick_error(nick) is None:
        for spelt in (nick, unicodedata.normalize("NFD", nick)):
            assert lookup_key(spelt) == key_of(nick)
    assert lookup_key(name + "x" * 33) is None


@pytest.mark.parametrize("nick", ["é" * 32, "ǖ" * 32, "ᾂ" * 32, "Straße", "ﬁ" * 32])
def test_long_nicks_are_looked_up_too(nick: str) -> None:
    assert lookup_key(unicodedata.normalize("NFD", nick)) == key_of(nick)


@pytest.mark.parametrize("key", ["guest-1", "guest-007", "guest-99999", "guest-٣"])
def test_names_that_the_server_gives(key: str) -> None:
    assert is_guest_key(key)


@pytest.mark.parametrize("key", ["guest-", "guest", "guest-1a", "aguest-1", "guest1"])
def test_names_that_only_look_a_little_like_it(key: str) -> None:
    assert not is_guest_key(key)


@pytest.mark.parametrize(
    "nick", ["guest-1", "Guest-1", "GUEST-1", "ｇuest-１", "gueſt-1"]
)
def test_every_spelling_of_a_guest_has_the_key_of_one(nick: str) -> None:
    assert is_guest_key(nick_key(nick))


# -- rooms ------------------------------------------------------------------------

FIRST = set(string.ascii_lowercase + string.digits)
ALLOWED = FIRST | set("-_")


def good_room(name: str) -> bool:
    """Say whether a room can have this name."""
    return 1 <= len(name) <= 32 and name[0] in FIRST and set(name) <= ALLOWED


def test_every_code_point_in_a_room() -> None:
    assert {c for c in EVERY if room_error(c) is None} == FIRST
    assert {c for c in EVERY if room_error(f"a{c}") is None} == ALLOWED


@given(st.text(st.sampled_from("ab09-_A \n.é"), max_size=34))
def test_a_room_is_good_or_not_by_the_rules(name: str) -> None:
    assert (room_error(name) is None) == good_room(name)


@pytest.mark.parametrize("name", ["a", "0", "lobby", "a-b_c", "9-", "x" * 32])
def test_good_rooms(name: str) -> None:
    assert room_error(name) is None


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "_a", "a b", "a\n", "x" * 33, "ä", "٣"]
)
def test_bad_rooms(name: str) -> None:
    found = room_error(name)
    assert found is not None
    assert found.isprintable()
