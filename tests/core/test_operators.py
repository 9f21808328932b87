"""The operator file: who is in it, whose keys open what, and what is wrong with it."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatroom.core.operators import Operators, checked_nick, entry, parse
from chatroom.core.text import is_guest_key, nick_error, nick_key, to_nfc
from tests.support.strategies import names


def sha(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


ANN, BOB = f"ann {sha('a').hex()}", f"Bob {sha('b').hex().upper()}"


def test_a_nick_and_a_digest_a_line() -> None:
    found = parse(["# who may", "", f"  {ANN} ", "\t", BOB, "#x y z", ANN])
    assert len(found) == 2
    assert found.nick_of(sha("a")) == "ann"
    assert found.nick_of(sha("b")) == "Bob"
    assert found.nick_of(sha("c")) is None
    assert found.nick_of(None) is None


def test_a_nick_is_kept_for_its_keys_however_it_is_written() -> None:
    found = parse([ANN, BOB, f"ANN {sha('c').hex()}"])
    for key in ("a", "c"):
        assert found.may_have("ann", sha(key))
    for shown in (None, sha("b"), sha("x")):
        assert not found.may_have("ann", shown)
    assert found.may_have("bob", sha("b"))
    assert found.may_have("carol", None)
    assert Operators().may_have("ann", None)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("ann", "a nick and the SHA-256"),
        (f"{ANN} more", "a nick and the SHA-256"),
        (ANN[:-1], "64 hexadecimal digits"),
        (ANN + "0", "64 hexadecimal digits"),
        (ANN[:-1] + "g", "64 hexadecimal digits"),
        (f"- {sha('a').hex()}", "a nick begins with"),
        (f"{'x' * 33} {sha('a').hex()}", "a nick has 1 to 32"),
        (f"guest-1 {sha('a').hex()}", "given by the server"),
        (f"bob {sha('a').hex()}", "ann has that key already"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(line: str, wrong: str) -> None:
    lines = ["#", ANN, line] if line.startswith("bob") else ["#", "", line]
    with pytest.raises(ValueError, match=wrong) as caught:
        parse(lines)
    assert str(caught.value).startswith("line 3: ")


@given(names, st.text())
def test_a_line_that_is_made_is_read(nick: str, key: str) -> None:
    shown = to_nfc(nick)
    if nick_error(shown) or is_guest_key(nick_key(shown)):
        with pytest.raises(ValueError, match=r"^(a nick|names like)"):
            checked_nick(nick)
        return
    line = entry(nick, key)
    assert parse([line]).may_have(
        nick_key(shown), hashlib.sha256(key.encode("utf-8", "replace")).digest()
    )
    assert key not in line.split() or key == shown
