"""The terminal emulator of the tests does what terminals do, and nothing else."""

import pytest

from tests.support.emulator import Emulator, Unexpected


def fed(data: str, columns: int = 5, rows: int = 3) -> Emulator:
    terminal = Emulator(columns, rows)
    terminal.feed(data.encode())
    return terminal


def test_text_wraps_only_when_more_comes() -> None:
    terminal = fed("abcde")
    assert terminal.cursor == (0, 4)
    assert terminal.past_end
    terminal.feed(b"f")
    assert terminal.screen == ["abcde", "f", ""]
    assert terminal.cursor == (1, 1)


def test_a_full_row_ended_by_a_newline_leaves_no_empty_row() -> None:
    assert fed("abcde\r\nf").screen == ["abcde", "f", ""]


def test_erasing_after_the_last_column_erases_it() -> None:
    assert fed("abcde\x1b[K").screen == ["abcd", "", ""]


def test_what_scrolls_off_is_kept() -> None:
    terminal = fed("1\r\n2\r\n3\r\n4")
    assert terminal.screen == ["2", "3", "4"]
    assert terminal.scrollback == ["1"]


def test_wide_and_combining_characters() -> None:
    terminal = fed("日本語e\u0301")
    assert terminal.screen == ["日本", "語e\u0301", ""]
    terminal.feed(b"\x1b[1;1Hx")
    assert terminal.screen[0] == "x 本", "the other half has gone"
    assert fed("abcde\u0301").screen == ["abcde\u0301", "", ""]
    assert fed("\u0301a").screen == ["a", "", ""]


@pytest.mark.parametrize("joins", [True, False])
def test_emoji_of_several_characters(joins: bool) -> None:
    terminal = Emulator(20, 1, joins=joins)
    terminal.feed("👩\u200d👧👍🏽❤\ufe0fx".encode())
    assert terminal.screen == ["👩\u200d👧👍🏽❤\ufe0fx"]
    assert terminal.column == (7 if joins else 10)


def test_moves_and_erasing() -> None:
    terminal = fed("abc\r\ndef\r\nghi\x1b[2A\x1b[2Dx\x1b[B\r\x1b[1Cy\x1b[K\x1b[4Gz\b")
    assert terminal.screen == ["axc", "dy z", "ghi"]
    assert terminal.cursor == (1, 3)
    terminal.feed(b"\r\x1b[J")
    assert terminal.screen == ["axc", "", ""]
    terminal.feed(b"\x1b[H\x1b[Jq\a")
    assert terminal.shown == "q"
    assert terminal.bells == 1


def test_styles_and_modes() -> None:
    terminal = fed("a\x1b[1;7mb\x1b[0m日c\x1b[?25l\x1b[?2004h\x1b[?1004h\x1b[?1004l")
    assert terminal.style_of("b") == "1;7"
    assert terminal.style_of("c") == ""
    assert terminal.modes == {"2004"}
    with pytest.raises(AssertionError):
        terminal.style_of("x")


def test_sequences_and_characters_may_come_in_pieces() -> None:
    terminal = Emulator(5, 1)
    for byte in "é\x1b[?25l日\x1b[1;31mx".encode():
        terminal.feed(bytes([byte]))
    assert terminal.screen == ["é日x"]
    assert terminal.style_of("x") == "1;31"
    assert terminal.modes == set()


@pytest.mark.parametrize(
    "data",
    [
        *("\0", "\t", "\x0b", "\x0e", "\x7f", "\x9b", "\u2028", "\x1bc", "\x1b]0;x"),
        *("\x1b[2J", "\x1b[1K", "\x1b[c", "\x1b[6n", "\x1b[?1049h", "\x1b[5;5H"),
        *("\x1b[A", "\x1b[9C", "\x1b[9B", "\x1b[D", "\x1b[>c", "\x1bP", "\x1b[!p"),
    ],
)
def test_all_else_is_unexpected(data: str) -> None:
    with pytest.raises(Unexpected):
        fed(data)


def test_what_is_wider_than_the_screen_is_unexpected() -> None:
    with pytest.raises(Unexpected):
        fed("日", columns=1)


def test_what_is_no_utf8_is_unexpected() -> None:
    with pytest.raises(UnicodeDecodeError):
        Emulator().feed(b"\xff")


def test_a_terminal_that_cuts_what_does_not_fit() -> None:
    terminal = fed("1\r\nab日c")
    terminal.resize(3, 3)
    assert terminal.screen == ["1", "ab", ""]
    terminal.resize(5, 1)
    assert terminal.screen == ["ab"]
    assert terminal.scrollback == ["1"]
    assert terminal.cursor == (0, 2)
    terminal.resize(5, 2)
    assert terminal.screen == ["ab", ""]


def test_a_terminal_that_wraps_anew() -> None:
    terminal = Emulator(6, 3, reflows=True)
    terminal.feed(b"abcdefgh\r\nij")
    terminal.resize(3, 3)
    assert terminal.screen == ["def", "gh", "ij"]
    assert terminal.scrollback == ["abc"]
    assert terminal.cursor == (2, 2)
    terminal.resize(10, 3)
    assert terminal.screen == ["defgh", "ij", ""]
    terminal.feed(b"\x1b[H")
    terminal.resize(2, 3)
    assert terminal.screen == ["de", "fg", "h"], "those below the cursor have gone"
