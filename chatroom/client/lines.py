"""What is shown, before anybody knows how wide the screen is, and in what colours.

    line(text, style) -> Line;   painted(line.spans, paint) -> str

Pure.  Must not know: frames, descriptors, terminals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

Style = tuple[str, str]
"""The parameters of SGR (ECMA-48), without and with colours; empty: as it is."""
Span = tuple[str, Style]
"""A text, which is clean and has no line end, and what it looks like."""

PLAIN: Style = ("", "")


class Paint(Enum):
    """How much a terminal can do to make things stand out."""

    NONE = 0
    MONO = 1
    """Bold and reverse, no colours."""
    COLOUR = 2


@dataclass(frozen=True, slots=True)
class Line:
    """A line, however many rows of a screen it takes."""

    spans: tuple[Span, ...]
    indent: int = 0
    """Columns by which its rows are indented after the first."""

    @property
    def text(self) -> str:
        """The line without its looks."""
        return "".join(text for text, _ in self.spans)


def line(text: str, style: Style = PLAIN, indent: int = 0) -> Line:
    """Return *text*, all of it in *style*, as a line."""
    return Line(((text, style),), indent)


def painted(spans: Iterable[Span], paint: Paint) -> str:
    """Return *spans* as a terminal of that *paint* has to be told them."""
    if paint is Paint.NONE:
        return "".join(text for text, _ in spans)
    coloured = paint is Paint.COLOUR
    return "".join(
        f"\x1b[{style[coloured]}m{text}\x1b[0m" if text and style[coloured] else text
        for text, style in spans
    )
