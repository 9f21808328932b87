"""A terminal, as far as our client needs one: bytes in, what is on the screen out.

    terminal = Emulator(columns, rows);   terminal.feed(data);   terminal.screen

It knows the sequences that the client may send and no other: each byte that is
neither a character nor part of one of them fails the test. After the last column it
waits, as the VT100 did, and wraps with the next character. What scrolls off the top is
in `scrollback`. Terminals differ in what a resize does: some cut what does not fit
(xterm), some wrap it anew (most others): `reflows`. And they differ in emoji that are
made of several characters: some show one, some show the parts: `joins`.
"""

import codecs
import re
import unicodedata
from dataclasses import dataclass, field

SEQUENCE = re.compile(r"\[(\??)([0-9;]*)([A-Za-z])")
UNFINISHED = re.compile(r"(\[(\??[0-9;]*)?)?")
MODES = {"25", "1004", "2004"}


class Unexpected(AssertionError):
    """The client has sent what it must not send."""


@dataclass(frozen=True)
class Cell:
    """A column of the screen. The right half of a wide character has no text."""

    text: str = " "
    style: str = ""


@dataclass
class Row:
    """A row of the screen, and whether the next one goes on with it."""

    cells: list[Cell]
    wraps: bool = False

    @property
    def text(self) -> str:
        """What it says."""
        return "".join(cell.text for cell in self.cells).rstrip(" ")


def width_of(char: str) -> int:
    """How many columns a character takes on this terminal."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


@dataclass
class Emulator:
    """A terminal of some size, empty at first."""

    columns: int = 80
    rows: int = 24
    reflows: bool = False
    joins: bool = True
    modes: set[str] = field(default_factory=lambda: {"25"})
    """Those that are set: 25 shows the cursor, 1004 tells the focus, 2004 pastes."""
    bells: int = 0
    style: str = ""
    """The parameters of the SGR sequences since the last reset."""
    row: int = 0
    column: int = 0
    past_end: bool = False
    """Whether the last column was written and the next character will wrap."""
    scrolled: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.grid = [self._blank_row() for _ in range(self.rows)]
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._waiting = ""

    # -- looking --------------------------------------------------------------

    @property
    def screen(self) -> list[str]:
        """What each row says, without the spaces at its end."""
        return [row.text for row in self.grid]

    @property
    def shown(self) -> str:
        """All rows that say something, and those between them."""
        return "\n".join(self.screen).strip("\n")

    @property
    def scrollback(self) -> list[str]:
        """What has gone off the top, the oldest first."""
        return [row.text for row in self.scrolled]

    @property
    def cursor(self) -> tuple[int, int]:
        """The row and the column, counted from 0."""
        return self.row, self.column

    def style_of(self, text: str) -> str:
        """The style in which the last row that says `text` begins to say it."""
        for row in reversed(self.grid):
            at = "".join(cell.text for cell in row.cells).find(text)
            for cell in row.cells if at >= 0 else ():
                at -= len(cell.text)
                if at < 0:
                    return cell.style
        raise AssertionError(f"{text!r} is not on the screen:\n{self.shown}")

    # -- feeding --------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Take what the client has written."""
        text = self._waiting + self._decoder.decode(data)
        self._waiting = ""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                if UNFINISHED.fullmatch(text, at + 1):
                    self._waiting = text[at:]
                    return
                found = SEQUENCE.match(text, at + 1)
                if found is None:
                    raise Unexpected(f"no sequence of ours: {text[at : at + 20]!r}")
                self._obey(*found.groups())
                at = found.end()
            else:
                self._take(text[at])
                at += 1

    def _take(self, char: str) -> None:
        if char == "\r":
            self.column, self.past_end = 0, False
        elif char == "\n":
            self._line_feed()
        elif char == "\b":
            self.column, self.past_end = max(0, self.column - 1), False
        elif char == "\a":
            self.bells += 1
        elif unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
            raise Unexpected(f"a control character: {char!r}")
        else:
            self._print(char)

    def _print(self, char: str) -> None:
        width = width_of(char)
        if width == 0 or (self.joins and self._is_joined(char)):
            self._combine(char)
            if char == "\ufe0f" and self.joins:
                self._widen()
            return
        if width > self.columns:
            raise Unexpected(f"wider than the screen: {char!r}")
        if self.past_end or self.column + width > self.columns:
            self.grid[self.row].wraps = True
            self.column, self.past_end = 0, False
            self._line_feed()
        cells = self.grid[self.row].cells
        for column in range(self.column, self.column + width):
            self._part(cells, column)
        cells[self.column] = Cell(char, self.style)
        if width == 2:
            cells[self.column + 1] = Cell("", self.style)
        self.column += width
        if self.column == self.columns:
            self.column, self.past_end = self.columns - 1, True

    def _last_column(self) -> int:
        """Where the last character before the cursor stands; -1: nowhere."""
        column = self.column if self.past_end else self.column - 1
        cells = self.grid[self.row].cells
        return column - (column > 0 and cells[column].text == "")

    def _is_joined(self, char: str) -> bool:
        column = self._last_column()
        last = self.grid[self.row].cells[column].text if column >= 0 else ""
        if not last or unicodedata.category(last[0]) != "So":
            return False
        return last.endswith("\u200d") or "\U0001f3fb" <= char <= "\U0001f3ff"

    def _combine(self, char: str) -> None:
        column = self._last_column()
        if column >= 0:
            cells = self.grid[self.row].cells
            cells[column] = Cell(cells[column].text + char, cells[column].style)

    def _widen(self) -> None:
        """The last character is to be shown as an emoji, which is wide."""
        column = self._last_column()
        cells = self.grid[self.row].cells
        if column < 0 or self.past_end or column + 2 == self.column:
            return
        base = cells[column].text[0]
        # Those beyond are half a flag, or wide anyway.
        if unicodedata.category(base) != "So" or base > "\uffff":
            return
        self._part(cells, column + 1)
        cells[column + 1] = Cell("", cells[column].style)
        self.column += 1
        if self.column == self.columns:
            self.column, self.past_end = self.columns - 1, True

    def _part(self, cells: list[Cell], column: int) -> None:
        """Half of a wide character is overwritten: the other half goes, too."""
        if cells[column].text == "":
            cells[column - 1] = Cell()
        if column + 1 < self.columns and cells[column + 1].text == "":
            cells[column + 1] = Cell()

    def _line_feed(self) -> None:
        self.past_end = False
        if self.row + 1 < self.rows:
            self.row += 1
        else:
            self.scrolled.append(self.grid.pop(0))
            self.grid.append(self._blank_row())

    def _blank_row(self) -> Row:
        return Row([Cell()] * self.columns)

    # -- sequences ------------------------------------------------------------

    def _obey(self, private: str, given: str, final: str) -> None:
        if private:
            if final not in "hl" or given not in MODES:
                raise Unexpected(f"a mode of no use: ?{given}{final}")
            (self.modes.add if final == "h" else self.modes.discard)(given)
        elif final == "m":
            self.style = "" if given in ("", "0") else given
        elif final in "ABCDG" and ";" not in given:
            self._move(final, int(given or 1))
        elif final == "H" and given in ("", "1;1"):
            self.row, self.column, self.past_end = 0, 0, False
        elif final == "J" and given in ("", "0"):
            self._erase_right()
            for number in range(self.row + 1, self.rows):
                self.grid[number] = self._blank_row()
        elif final == "K" and given in ("", "0"):
            self._erase_right()
        else:
            raise Unexpected(f"no sequence of ours: {given}{final}")

    def _move(self, final: str, count: int) -> None:
        # Nothing scrolls: at the edge the cursor stays. Ours never goes there.
        row, column = self.row, self.column
        if final == "A":
            row -= count
        elif final == "B":
            row += count
        elif final == "C":
            column += count
        elif final == "D":
            column -= count
        else:
            column = count - 1
        if not (0 <= row < self.rows and 0 <= column < self.columns):
            raise Unexpected(f"a move off the screen: {count}{final}")
        self.row, self.column, self.past_end = row, column, False

    def _erase_right(self) -> None:
        row = self.grid[self.row]
        row.wraps = False
        self._part(row.cells, self.column)
        row.cells[self.column :] = [Cell()] * (self.columns - self.column)
        self.past_end = False

    # -- resizing -------------------------------------------------------------

    def resize(self, columns: int, rows: int) -> None:
        """Get another size; what is on the screen is not what it was."""
        if self.reflows:
            self._wrap_anew(columns)
        else:
            self._cut(columns)
        self.columns = columns
        # Rows below the cursor go first, then those at the top.
        while len(self.grid) > rows and len(self.grid) - 1 > self.row:
            self.grid.pop()
        while len(self.grid) > rows:
            self.scrolled.append(self.grid.pop(0))
            self.row -= 1
        self.rows = rows
        while len(self.grid) < rows:
            self.grid.append(self._blank_row())
        self.column, self.past_end = min(self.column, columns - 1), False

    def _cut(self, columns: int) -> None:
        for row in self.grid:
            row.wraps = False
            if len(row.cells) > columns and row.cells[columns].text == "":
                row.cells[columns - 1] = Cell()
            row.cells = row.cells[:columns]
            row.cells += [Cell()] * (columns - len(row.cells))

    def _wrap_anew(self, columns: int) -> None:
        rows: list[Row] = []
        line: list[Cell] = []
        cursor_row = 0
        for number, row in enumerate(self.grid):
            line += row.cells
            if number == self.row:
                cursor_row = len(rows) + (len(line) - self.columns) // columns
            if row.wraps and number + 1 < len(self.grid):
                continue
            while line and line[-1] == Cell():
                line.pop()
            while True:
                part, line = line[:columns], line[columns:]
                if line and line[0].text == "":
                    part[-1], line[0] = Cell(), Cell()
                part += [Cell()] * (columns - len(part))
                rows.append(Row(part, wraps=bool(line)))
                if not line:
                    break
        self.grid, self.row = rows, min(cursor_row, len(rows) - 1)
