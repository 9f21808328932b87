"""What a screen should show, found the slow way: all rows of all lines, and the area.

It shares no code with `chatroom.client.screen` but the widths of characters.
"""

import re

from chatroom.client.glyphs import capped, graphemes, most_columns
from chatroom.client.lines import Line
from chatroom.client.screen import KEPT_LINES, TAB_MARK, TOO_WIDE, Area
from chatroom.client.status import status_line


def clusters_of(text: str, columns: int) -> list[str]:
    return [c if most_columns(c) <= columns else TOO_WIDE for c in graphemes(text)]


def total(clusters: list[str]) -> int:
    return sum(map(most_columns, clusters))


def naive_rows(one: Line, columns: int) -> list[str]:
    """The rows of a line, found by trying."""
    indent = one.indent if one.indent * 2 <= columns else 0
    rest = clusters_of(one.text, columns - indent)
    rows: list[str] = []
    while True:
        margin = " " * indent if rows else ""
        room = columns - len(margin)
        fit = max(n for n in range(len(rest) + 1) if total(rest[:n]) <= room)
        if fit == len(rest):
            return [*rows, margin + "".join(rest)]
        spaces = [n for n in range(fit + 1) if rest[n] == " " and set(rest[:n]) - {" "}]
        if spaces:
            ends = [n for n in range(spaces[-1] + 1, len(rest)) if rest[n] == " "]
            word = rest[spaces[-1] + 1 : min(ends, default=len(rest))]
            fits = total(word) <= columns - indent
            if fits or spaces[-1] == fit:
                rows.append(margin + "".join(rest[: spaces[-1]]).rstrip(" "))
                rest = rest[spaces[-1] :]
                while rest and rest[0] == " ":
                    del rest[0]
                if not rest:
                    return rows
                continue
        rows.append(margin + "".join(rest[:fit]))
        rest = rest[fit:]


def naive_input(area: Area, columns: int) -> tuple[list[str], int]:
    """The rows of what is typed, and in which of them the cursor is."""
    width = columns - 1 if columns > 2 else columns
    head = clusters_of(area.prompt, width)
    while total(head) > width // 2:
        del head[0]
    margin = total(head) * " "
    rows = ["".join(head)]
    used = 0
    place = -1
    position = 0
    for cluster in [*graphemes(area.text.replace("\t", TAB_MARK)), ""]:
        shown = cluster
        if cluster not in ("", "\n"):
            (shown,) = clusters_of(capped(cluster), width - len(margin))
            if used + most_columns(shown) > width - len(margin):
                rows.append(margin)
                used = 0
        if position == area.cursor and place < 0:
            place = len(rows) - 1
        if cluster == "\n":
            rows.append(margin)
            used = 0
        elif shown:
            rows[-1] += shown
            used += most_columns(shown)
        position += len(cluster)
    return rows, place


def naive_area(area: Area, columns: int, rows: int) -> tuple[list[str], int]:
    """All rows at the bottom, and in which of them the cursor is."""
    typed, place = naive_input(area, columns)
    most = max(1, rows // 2)
    if len(typed) > most:
        first = sorted((0, place - most // 2, len(typed) - most))[1]
        typed, place = typed[first : first + most], place - first
    above = []
    if area.status is not None and rows >= 3 and columns >= 10:
        above = [status_line(area.status, columns - 1).text]
    hints = [row for hint in area.hints for row in naive_rows(hint, columns)]
    room = max(0, min(rows - len(typed) - len(above), max(1, rows // 3)))
    above = hints[:room] + above
    return above + typed, place + len(above)


class Model:
    """What has been printed, and from which row on it is on the screen."""

    def __init__(self, columns: int, rows: int) -> None:
        self.size = columns, rows
        self.lines: list[Line] = []
        self.rows: list[str] = []
        self.top = 0
        self.area: list[str] = []
        self.cursor_row = 0

    def draw(self, lines: list[Line], area: Area) -> None:
        columns, rows = self.size
        self.lines += lines
        self.rows += [row for one in lines for row in naive_rows(one, columns)]
        self.area, place = naive_area(area, columns, rows)
        self.top = max(self.top, len(self.rows) + len(self.area) - rows)
        self.cursor_row = len(self.rows) + place - self.top

    def repaint(self, area: Area) -> None:
        columns, rows = self.size
        height = len(naive_area(area, columns, rows)[0])
        kept = self.lines[-KEPT_LINES:]
        found = [row for one in kept for row in naive_rows(one, columns)]
        self.rows = found[len(found) - min(len(found), rows - height) :]
        self.top = 0
        self.draw([], area)

    @property
    def screen(self) -> list[str]:
        rows = (self.rows + self.area)[self.top :]
        rows += [""] * (self.size[1] - len(rows))
        return [seen(row) for row in rows]


def seen(row: str) -> str:
    """A row as a terminal shows it: what sits on nothing is not there."""
    return re.sub("^[\u0301\u200d\ufe0f\xad]+", "", row).rstrip(" ")
