"""What a terminal shows of us, and the characters that change it.

    screen.draw(lines, area) -> str;   screen.resize(columns, rows), repaint, forget()

Lines scroll by as in a shell, in the terminal's own screen and into its own memory of
what was.  Under the last one is an area: hints, how things stand, the text being typed.
To show lines it is erased and drawn again under them; a key changes only what differs.
Where on the terminal the area begins nobody knows or needs to know: all moves are
relative to the cursor, but for a repaint, which begins at the top.

What terminals do after the last column is what the VT100 did: the cursor stays there,
and the next character wraps.  A full row may so be ended by CR LF like any other; but
nothing may be erased, and the cursor not be moved by columns, before a CR.

Pure.  Must not know: descriptors, frames, what a key is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from chatroom.client.glyphs import capped, cluster_width, graphemes, most_columns
from chatroom.client.lines import PLAIN, Line, Paint, Span, Style, painted
from chatroom.client.status import Status, status_line

KEPT_LINES = 500
"""Lines that a repaint can show again: as many as the largest screens have rows."""
TOO_WIDE = "\ufffd"
"""What stands for a character that is wider than the whole screen."""
TAB_MARK = "\u2409"
"""What stands for a tab that is typed, or rather pasted."""
MIN_STATUS_ROWS = 3
MIN_STATUS_COLUMNS = 10
"""Of a screen, for it to spare a row that tells how things stand."""

HIDE = "\x1b[?25l"
SHOW = "\x1b[?25h"
HOME = "\x1b[H"
ERASE_BELOW = "\x1b[J"
ERASE_RIGHT = "\x1b[K"

Row = Sequence[Span]
Cell = tuple[str, int, Style]
"""A cluster, the columns to keep for it, and its looks."""


@dataclass(frozen=True, slots=True)
class Area:
    """What stands under the lines."""

    prompt: str = ""
    text: str = ""
    """What is being typed; a newline begins a row."""
    cursor: int = 0
    """Where in the text."""
    status: Status | None = None
    hints: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class _Drawn:
    """An area on a screen of some size."""

    rows: tuple[tuple[Cell, ...], ...] = ()
    cursor: tuple[int, int] = (0, 0)
    """The row and the column."""


class Screen:
    """A terminal of some size, as we have drawn it."""

    def __init__(self, columns: int, rows: int, paint: Paint) -> None:
        self._columns, self._rows = max(1, columns), max(1, rows)
        self._paint = paint
        self._kept: deque[Line] = deque(maxlen=KEPT_LINES)
        self._drawn = _Drawn()
        """The area as it is there; the cursor is where it says."""
        self._unknown = False
        """Whether something else has been written since."""
        self._stale = False
        """Whether all that is there is to be made anew."""

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size, and made of what was there what it liked."""
        self._columns, self._rows = max(1, columns), max(1, rows)
        self._stale = True

    def repaint(self) -> None:
        """Make all anew with the next draw."""
        self._stale = True

    def forget(self, columns: int, rows: int) -> None:
        """Somebody else had the terminal: begin where the cursor is now."""
        self._columns, self._rows = max(1, columns), max(1, rows)
        self._drawn = _Drawn()
        self._unknown, self._stale = True, False

    def draw(self, lines: Sequence[Line], area: Area | None) -> str:
        """Return what shows *lines* above *area*, or nothing of ours below them.

        Without an area the cursor is at the begin of a row of its own.
        """
        drawn = _Drawn() if area is None else self._layout(area)
        if self._stale:
            shown = self._painted_anew(drawn)
            # These go the way of all lines: what does not fit scrolls by.
            return shown + self.draw(lines, area) if lines else shown
        if lines or self._unknown or len(drawn.rows) != len(self._drawn.rows):
            return self._scrolled(lines, drawn)
        return self._changed(drawn)

    # -- all of it ------------------------------------------------------------

    def _scrolled(self, lines: Sequence[Line], drawn: _Drawn) -> str:
        """Take the area away, show *lines*, and what is *drawn* under them."""
        self._kept.extend(lines)
        rows = [row for line in lines for row in wrapped(line, self._columns)]
        before = self._drawn
        start = ""
        if before.rows or self._unknown:
            start = f"{_up(before.cursor[0])}\r{ERASE_BELOW}"
        self._unknown = False
        return start + self._laid_out(rows, drawn)

    def _painted_anew(self, drawn: _Drawn) -> str:
        """Show the last lines that fit, and what is *drawn* under them."""
        self._stale = self._unknown = False
        free = self._rows - len(drawn.rows)
        rows: deque[Row] = deque()
        for line in reversed(self._kept):
            if len(rows) >= free:
                break
            rows.extendleft(reversed(wrapped(line, self._columns)))
        while len(rows) > free:
            rows.popleft()
        return HOME + ERASE_BELOW + self._laid_out(rows, drawn)

    def _laid_out(self, rows: Iterable[Row], drawn: _Drawn) -> str:
        """Show *rows*, and what is *drawn* under them, from the begin of a row."""
        hide, show = (HIDE, SHOW) if drawn.rows or self._drawn.rows else ("", "")
        self._drawn = drawn
        lines = "".join(f"{painted(row, self._paint)}\r\n" for row in rows)
        below = "\r\n".join(self._paint_cells(row) for row in drawn.rows)
        back = ""
        if drawn.rows:
            row, column = drawn.cursor
            back = f"{_up(len(drawn.rows) - 1 - row)}{_to_column(column)}"
        return f"{hide}{lines}{below}{back}{show}"

    # -- what differs ---------------------------------------------------------

    def _changed(self, drawn: _Drawn) -> str:
        """Make of the area that is there the one that is *drawn*, row by row."""
        before, self._drawn = self._drawn, drawn
        pen = _Pen(*before.cursor)
        changes = 0
        for number, (old, new) in enumerate(zip(before.rows, drawn.rows, strict=True)):
            if old == new:
                continue
            changes += 1
            same = _same_begin(old, new)
            pen.move(number, _cells_width(new[:same]))
            end: int | None = _cells_width(new)
            unsure = not all(map(_is_sure, new[same:]))
            # Before it is written, as in the last column it would erase that.
            if unsure or _cells_width(new) < _cells_width(old):
                pen.out.append(ERASE_RIGHT)
            if unsure or end == self._columns:
                end = None
            pen.write(self._paint_cells(new[same:]), end)
        if drawn.rows:
            pen.move(*drawn.cursor)
        shown = "".join(pen.out)
        return f"{HIDE}{shown}{SHOW}" if changes > 1 else shown

    def _paint_cells(self, cells: Iterable[Cell]) -> str:
        return painted(_spans(cells), self._paint)

    # -- the area -------------------------------------------------------------

    def _layout(self, area: Area) -> _Drawn:
        """Return *area* as it fits: never more rows than there are."""
        rows: list[tuple[Cell, ...]] = []
        text, (row, column) = input_rows(
            area.prompt, area.text, area.cursor, self._columns
        )
        most = max(1, self._rows // 2)
        if len(text) > most:
            first = min(max(0, row - most // 2), len(text) - most)
            text, row = text[first : first + most], row - first
        if (
            area.status is not None
            and self._rows >= MIN_STATUS_ROWS
            and self._columns >= MIN_STATUS_COLUMNS
        ):
            # The last column stays free: terminals disagree about some characters.
            bar = status_line(area.status, self._columns - 1)
            rows.append(tuple(_cells(bar.spans, self._columns)))
        hints = [row for hint in area.hints for row in wrapped(hint, self._columns)]
        del hints[min(self._rows - len(text), max(1, self._rows // 3)) :]
        rows[:0] = [tuple(_cells(hint, self._columns)) for hint in hints]
        row += len(rows)
        return _Drawn((*rows, *map(tuple, text)), (row, column))


class _Pen:
    """Writes within the area, and knows where it is."""

    def __init__(self, row: int, column: int) -> None:
        self.out: list[str] = []
        self._row = row
        self._column: int | None = column

    def move(self, row: int, column: int) -> None:
        """Go there, by the shortest way that is the same on all terminals."""
        if row < self._row:
            self.out.append(_up(self._row - row))
        elif row > self._row:
            self.out.append(f"\x1b[{row - self._row}B")
        if column != self._column:
            self.out.append(_to_column(column))
        self._row, self._column = row, column

    def write(self, text: str, end: int | None) -> None:
        """Write *text*; the cursor is in the column *end* then, where that is known."""
        self.out.append(text)
        self._column = end


# -- lines to rows ------------------------------------------------------------


def wrapped(line: Line, columns: int) -> list[Row]:
    """Return the rows that *line* takes, each of at most so many *columns*.

    They are parted at spaces where that is possible, and elsewhere only where no
    row could hold the word.  Rows after the first are indented where there is room.
    """
    text = line.text
    if len(text) <= columns and text.isascii():
        return [line.spans]
    indent = line.indent if line.indent * 2 <= columns else 0
    cells = _cells(line.spans, columns - indent)
    margin = [(" ", 1, PLAIN)] * indent
    end, following = _break(cells, 0, columns, columns - indent)
    rows: list[Row] = [_spans(cells[:end])]
    while following < len(cells):
        start = following
        end, following = _break(cells, start, columns - indent, columns - indent)
        rows.append(_spans(margin + cells[start:end]))
    return rows


def _break(cells: list[Cell], start: int, space: int, rest: int) -> tuple[int, int]:
    """Return where the row from *start* ends, and where the next one begins.

    This one has *space* columns, all that follow have *rest* of them.
    """
    end, left = start, space
    while end < len(cells) and cells[end][1] <= left:
        left -= cells[end][1]
        end += 1
    if end == len(cells):
        return end, end
    last = end
    while last > start and cells[last][0] != " ":
        last -= 1
    stop = last
    while stop > start and cells[stop - 1][0] == " ":
        stop -= 1
    # Nothing but spaces before it: there is no word to part from.
    if stop == start or not _fits(cells, last + 1, end, rest):
        return end, end
    following = last
    while following < len(cells) and cells[following][0] == " ":
        following += 1
    return stop, following


def _fits(cells: list[Cell], start: int, end: int, space: int) -> bool:
    """Tell whether the word from *start*, which goes on at *end*, fits into a row."""
    width = _cells_width(cells[start:end])
    while end < len(cells) and cells[end][0] != " " and width <= space:
        width += cells[end][1]
        end += 1
    return width <= space


def input_rows(
    prompt: str, text: str, cursor: int, columns: int
) -> tuple[list[list[Cell]], tuple[int, int]]:
    """Return the rows of *text* behind *prompt*, and where in them the cursor is.

    The last column is the cursor's, which may stand behind all: only where there are
    but two of them is it seen on a character.  Rows after the first begin under the
    text where there is room.
    """
    width = columns - 1 if columns > 2 else columns
    head = _last_cells(_cells([(prompt, PLAIN)], width), width // 2)
    margin = [(" ", 1, PLAIN)] * _cells_width(head)
    room = left = width - len(margin)
    rows = [head]
    place: tuple[int, int] | None = None
    at = 0
    for grapheme in graphemes(text.replace("\t", TAB_MARK)):
        cell = _cell(capped(grapheme), PLAIN, room)
        if grapheme != "\n" and cell[1] > left:
            rows.append(margin.copy())
            left = room
        if place is None and at >= cursor:
            place = len(rows) - 1, _column_behind(rows[-1])
        if grapheme == "\n":
            rows.append(margin.copy())
            left = room
        else:
            rows[-1].append(cell)
            left -= cell[1]
        at += len(grapheme)
    row, column = place or (len(rows) - 1, _column_behind(rows[-1]))
    return rows, (row, min(column, columns - 1))


def _column_behind(cells: Iterable[Cell]) -> int:
    """Return where the cursor is behind *cells*, as most terminals have it."""
    return sum(cluster_width(text) for text, _, _ in cells)


def _cells(spans: Sequence[Span], columns: int) -> list[Cell]:
    """Return what *spans* are made of; nothing is wider than so many *columns*."""
    whole = "".join(text for text, _ in spans)
    if whole.isascii():
        return [(char, 1, style) for text, style in spans for char in text]
    # Looks may change within a cluster, which stays one all the same.
    styles = [style for text, style in spans for _ in text]
    cells = []
    at = 0
    for grapheme in graphemes(whole):
        cells.append(_cell(grapheme, styles[at], columns))
        at += len(grapheme)
    return cells


def _cell(grapheme: str, style: Style, columns: int) -> Cell:
    width = 1 if grapheme.isascii() else most_columns(grapheme)
    return (grapheme, width, style) if width <= columns else (TOO_WIDE, 1, style)


def _last_cells(cells: list[Cell], columns: int) -> list[Cell]:
    """Return as many of the last *cells* as fit."""
    start = len(cells)
    while start and cells[start - 1][1] <= columns:
        start -= 1
        columns -= cells[start][1]
    return cells[start:]


def _cells_width(cells: Iterable[Cell]) -> int:
    return sum(width for _, width, _ in cells)


def _spans(cells: Iterable[Cell]) -> list[Span]:
    return [
        ("".join(cell[0] for cell in alike), style)
        for style, alike in groupby(cells, key=lambda cell: cell[2])
    ]


def _is_sure(cell: Cell) -> bool:
    """Tell whether all terminals give *cell* the same width."""
    return cell[0].isascii() or (len(cell[0]) == 1 and cell[0].isalpha())


def _same_begin(old: Sequence[Cell], new: Sequence[Cell]) -> int:
    """Return how many cells at the begin of *old* can stay as those of *new*."""
    same = 0
    for one, other in zip(old, new, strict=False):
        if one != other or not _is_sure(one):
            break
        same += 1
    # What may sit on the cell before it changes that one.
    if same and any(part[same:] and _may_sit(part[same]) for part in (old, new)):
        same -= 1
    return same


def _may_sit(cell: Cell) -> bool:
    """Tell whether a terminal may give *cell* no column of its own."""
    first = cell[0][0]
    return not (first.isascii() or first.isalpha())


# -- moves --------------------------------------------------------------------


def _up(rows: int) -> str:
    return f"\x1b[{rows}A" if rows else ""


def _to_column(column: int) -> str:
    return f"\r\x1b[{column}C" if column else "\r"
