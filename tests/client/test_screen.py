"""The screen: what it draws, seen by a terminal emulator, is what a model says."""

from itertools import groupby

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatroom.client.glyphs import graphemes, text_width
from chatroom.client.lines import PLAIN, Line, Paint, Span, line
from chatroom.client.screen import (
    TAB_MARK,
    TOO_WIDE,
    Area,
    Screen,
    input_rows,
    wrapped,
)
from chatroom.client.status import Status
from tests.client.screen_model import Model, naive_rows, seen
from tests.support.emulator import Emulator

BOLD = ("1", "1;31")
TEXT = st.text(st.sampled_from("ab  日é\u0301👍\ufe0f\u200d👩🏽🇩🇪ｱ\xad"), max_size=40)
LINES = st.builds(
    Line,
    st.lists(st.tuples(TEXT, st.sampled_from((PLAIN, BOLD))), max_size=3).map(tuple),
    st.integers(0, 8),
)
TYPED = st.text(st.sampled_from("ab 日e\u0301👍\ufe0f\n\t"), max_size=40)
STATUS = st.none() | st.builds(
    Status, st.just("lobby"), TEXT, st.just("anna"), st.just(5), state=TEXT
)
SIZES = st.tuples(st.integers(1, 30), st.integers(1, 12))


@st.composite
def areas(draw: st.DrawFn) -> Area:
    """An area with its cursor between two characters."""
    clusters = graphemes(draw(TYPED).replace("\t", TAB_MARK))
    cursor = len("".join(clusters[: draw(st.integers(0, len(clusters)))]))
    prompt = draw(st.sampled_from(["> ", "[lobby] anna> ", "", "日> "]))
    hints = tuple(draw(st.lists(LINES, max_size=2)))
    text = "".join(clusters).replace(TAB_MARK, "\t")
    return Area(prompt, text, cursor, draw(STATUS), hints)


# -- the properties -------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.lists(LINES, max_size=3),
        areas(),
        st.none() | st.just("repaint") | SIZES,
    ),
    min_size=1,
    max_size=8,
)


@given(SIZES, STEPS, st.booleans(), st.booleans(), st.sampled_from(Paint))
@example((3, 2), [([line("abc")], Area("", "a"), None)] * 3, True, True, Paint.MONO)
@example(
    (3, 6),
    [([], Area("> ", hints=(line(hint),)), None) for hint in ("aaaa\xad", "aaaa")],
    False,
    False,
    Paint.NONE,
)
def test_the_screen_is_what_the_model_says(
    size: tuple[int, int],
    steps: list[tuple[list[Line], Area, str | tuple[int, int] | None]],
    reflows: bool,
    joins: bool,
    paint: Paint,
) -> None:
    screen, model = Screen(*size, paint), Model(*size)
    terminal = Emulator(*size, reflows=reflows, joins=joins)
    for lines, area, change in steps:
        if change == "repaint":
            screen.repaint()
        elif isinstance(change, tuple):
            terminal.resize(*change)
            screen.resize(*change)
            model.size = change
        if change is not None:
            model.repaint(area)
        model.draw(lines, area)
        terminal.feed(screen.draw(lines, area).encode())
        assert terminal.screen == model.screen
        assert terminal.row == model.cursor_row
        assert "25" in terminal.modes
        assert terminal.style == ""


@given(SIZES, TYPED, st.booleans())
@example((20, 5), "👍🏽a👍🏽b", False)
@example((20, 5), "a\u0301b\u0301", False)
def test_typed_key_by_key_and_taken_back(
    size: tuple[int, int], text: str, joins: bool
) -> None:
    screen, model = Screen(*size, Paint.NONE), Model(*size)
    terminal = Emulator(*size, joins=joins)
    clusters = graphemes(text.replace("\t", TAB_MARK))
    numbers = [*range(len(clusters) + 1), *reversed(range(len(clusters)))]
    for number in numbers:
        typed = "".join(clusters[:number])
        area = Area("> ", typed, len(typed))
        model.draw([], area)
        terminal.feed(screen.draw([], area).encode())
        assert terminal.screen == model.screen


@given(SIZES, st.lists(LINES, max_size=30), areas())
def test_nothing_that_scrolls_by_is_lost(
    size: tuple[int, int], lines: list[Line], area: Area
) -> None:
    screen, model = Screen(*size, Paint.NONE), Model(*size)
    terminal = Emulator(*size)
    for _, some in groupby(enumerate(lines), lambda item: item[0] // 4):
        told = [one for _, one in some]
        model.draw(told, area)
        terminal.feed(screen.draw(told, area).encode())
    terminal.feed(screen.draw([], None).encode())
    shown = [*terminal.scrollback, *terminal.screen]
    expected = [seen(row) for row in model.rows]
    assert shown[: len(expected)] == expected
    assert not any(shown[len(expected) :]), "the area has gone"
    if size[1] > 1 or not expected:
        assert terminal.cursor == (len(model.rows) - model.top, 0)


@given(LINES, st.integers(1, 30))
def test_rows_are_never_wider_than_the_screen(one: Line, columns: int) -> None:
    rows = wrapped(one, columns)
    texts = ["".join(text for text, _ in row) for row in rows]
    assert [seen(text) for text in texts] == [
        seen(text) for text in naive_rows(one, columns)
    ]
    for text in texts:
        assert text_width(text) <= columns
    kept = "".join(texts).replace(" ", "")
    if TOO_WIDE not in kept:
        assert kept == one.text.replace(" ", ""), "only spaces may go"


@given(LINES, st.integers(1, 30))
def test_wrapping_keeps_the_looks(one: Line, columns: int) -> None:
    def letters(spans: list[Span]) -> list[tuple[str, tuple[str, str]]]:
        return [(c, style) for text, style in spans for c in text if c in "ab日é"]

    found = [span for row in wrapped(one, columns) for span in row]
    if not any(TOO_WIDE in text for text, _ in found):
        assert letters(found) == letters(list(one.spans))


@given(areas(), st.integers(1, 30))
def test_the_cursor_stands_before_its_character(area: Area, columns: int) -> None:
    rows, (row, column) = input_rows(area.prompt, area.text, area.cursor, columns)
    assert 0 <= row < len(rows)
    assert 0 <= column < columns
    if columns > 2:
        # What is before the cursor ends there.
        alone = input_rows(area.prompt, area.text[: area.cursor], area.cursor, columns)
        end_row, end_column = alone[1]
        margin = input_rows(area.prompt, "\n", 1, columns)[1][1]
        assert (row, column) == (end_row, end_column) or (row, column) == (
            end_row + 1,
            margin,
        )


# -- examples -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("one two three", 20, ["one two three"]),
        ("one two three", 7, ["one two", "three"]),
        ("one two  three", 8, ["one two", "three"]),
        ("one twothree", 5, ["one t", "wothr", "ee"]),
        ("one twoth", 5, ["one", "twoth"]),
        ("aaaa bbbb", 3, ["aaa", "a b", "bbb"]),
        ("日本語", 5, ["日本", "語"]),
        ("日a", 1, ["\ufffd", "a"]),
        ("", 5, [""]),
        ("abc  ", 3, ["abc"]),
    ],
)
def test_wrapping(text: str, columns: int, rows: list[str]) -> None:
    found = wrapped(line(text), columns)
    assert ["".join(text for text, _ in row) for row in found] == rows


def test_rows_are_indented_under_the_first_where_there_is_room() -> None:
    one = line("12:00 <bob> one two three", indent=12)
    (_, second) = wrapped(one, 24)
    assert second == [(" " * 12 + "three", PLAIN)]
    (_, second) = wrapped(one, 20)
    assert second == [("three", PLAIN)]


def drawn(size: tuple[int, int], *steps: tuple[list[str], Area]) -> list[str]:
    """What each step sends."""
    screen = Screen(*size, Paint.NONE)
    return [screen.draw([line(text) for text in texts], area) for texts, area in steps]


def test_a_key_at_the_end_sends_itself_and_nothing_else() -> None:
    status = Status("lobby", "tea", "anna", 5)
    areas = [Area("> ", "hell", 4, status), Area("> ", "hello", 5, status)]
    assert drawn((80, 24), *(([], area) for area in areas))[1] == "o"


@pytest.mark.parametrize(
    ("before", "after", "sent"),
    [
        (("abc", 3), ("ab", 2), "\r\x1b[4C\x1b[K"),
        (("abc", 3), ("abc", 1), "\r\x1b[3C"),
        (("abc", 1), ("axbc", 2), "xbc\r\x1b[4C"),
        (("abc", 3), ("abc", 3), ""),
        (("ab", 2), ("ab日", 3), "日"),
        (("abe", 3), ("abe\u0301", 4), "\r\x1b[4C\x1b[Ke\u0301\r\x1b[5C"),
    ],
)
def test_only_what_differs_is_sent(
    before: tuple[str, int], after: tuple[str, int], sent: str
) -> None:
    first, second = (Area("> ", text, cursor) for text, cursor in (before, after))
    assert drawn((80, 24), ([], first), ([], second))[1] == sent


def test_lines_take_the_area_away_and_bring_it_back() -> None:
    area = Area("> ", "abc", 1, Status("lobby", "", "anna"))
    first, second = drawn((21, 5), (["one"], area), (["two"], area))
    bar = "[lobby] anna        "
    assert first == f"\x1b[?25lone\r\n{bar}\r\n> abc\r\x1b[3C\x1b[?25h"
    assert second == (
        f"\x1b[1A\r\x1b[J\x1b[?25ltwo\r\n{bar}\r\n> abc\r\x1b[3C\x1b[?25h"
    )


def test_more_is_typed_than_there_is_room_for() -> None:
    terminal = Emulator(10, 6)
    screen = Screen(10, 6, Paint.NONE)
    text = "".join(f"{n:07}" for n in range(20))
    for cursor, rows in (
        (0, ["> 0000000", "  0000001", "  0000002"]),
        (70, ["  0000009", "  0000010", "  0000011"]),
        (140, ["  0000017", "  0000018", "  0000019"]),
    ):
        terminal.feed(screen.draw([], Area("> ", text, cursor)).encode())
        assert terminal.screen == [*rows, "", "", ""]


def test_after_somebody_else_has_written_it_begins_where_the_cursor_is() -> None:
    terminal, screen = Emulator(20, 6), Screen(20, 6, Paint.NONE)
    area = Area("> ", "abc", 3, None, (line("hint"),))
    terminal.feed(screen.draw([line("one")], area).encode())
    terminal.feed(screen.draw([], None).encode())
    assert terminal.screen == ["one", "", "", "", "", ""]
    terminal.feed(b"$ fg\r\n")
    screen.forget(20, 6)
    terminal.feed(screen.draw([], area).encode())
    assert terminal.screen == ["one", "$ fg", "hint", "> abc", "", ""]


def test_without_an_area_lines_are_only_printed() -> None:
    screen = Screen(20, 6, Paint.COLOUR)
    assert screen.draw([line("one", BOLD)], None) == "\x1b[1;31mone\x1b[0m\r\n"
    assert screen.draw([], None) == ""


def test_a_repaint_does_not_lose_what_came_with_it() -> None:
    terminal, screen = Emulator(20, 4), Screen(20, 4, Paint.NONE)
    area = Area("> ")
    terminal.feed(screen.draw([line(str(n)) for n in range(9)], area).encode())
    terminal.feed(screen.draw([], None).encode())
    screen.repaint()
    lines = [line(str(n)) for n in range(9, 18)]
    terminal.feed(screen.draw(lines, area).encode())
    assert terminal.screen == ["15", "16", "17", ">"]
    assert [n for n in range(18) if str(n) not in terminal.scrollback] == [15, 16, 17]
