"""Line charts as SVG, readable on light and on dark pages.  Pure: figures in, text out.

Must not know: where the figures come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 64, 56

COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df")
TEXT, GRID, AXIS = "#1f2328", "#d1d9e0", "#59636e"

# What is in the elements themselves is for light pages, and for viewers that know no
# style sheets; this is for dark ones.
_DARK = """
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .grid { stroke: #30363d } .axis { stroke: #8b949e }
  .l0 { stroke: #58a6ff } .l1 { stroke: #f0883e }
  .l2 { stroke: #56d364 } .l3 { stroke: #bc8cff }
  .d0 { fill: #58a6ff } .d1 { fill: #f0883e }
  .d2 { fill: #56d364 } .d3 { fill: #bc8cff }
}
"""

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """One direction: what it shows, and from where to where."""

    name: str
    low: float
    high: float
    log: bool

    def place(self, value: float) -> float:
        """Return where *value* lies, from 0 at the low end to 1 at the high end."""
        if self.log:
            span = log10(self.high) - log10(self.low)
            return (log10(value) - log10(self.low)) / span
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return the values that get a line."""
        if not self.log:
            step = nice_step(self.high - self.low)
            count = round((self.high - self.low) / step)
            return [self.low + i * step for i in range(count + 1)]
        decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        bases = (1, 2, 5) if len(decades) < 4 else (1,)
        found = [base * 10.0**power for power in decades for base in bases]
        return [
            tick for tick in found if self.low <= tick * 1.0001 <= self.high * 1.001
        ]


def axis(name: str, values: Sequence[float], *, log: bool) -> Axis:
    """Return an axis on which all *values* have a place."""
    if log:
        low, high = floor(log10(min(values))), ceil(log10(max(values)))
        return Axis(name, 10.0**low, 10.0 ** max(high, low + 1), log)
    step = nice_step(max(values) or 1.0)
    return Axis(name, 0.0, ceil((max(values) or 1.0) / step) * step, log)


def nice_step(span: float) -> float:
    """Return a step of 1, 2 or 5 that parts *span* in about five."""
    power = 10.0 ** floor(log10(span / 5))
    return next(base * power for base in (1, 2, 5, 10) if base * power >= span / 5)


def label(value: float) -> str:
    """Return a number as an axis shows it."""
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:.4g}"


def chart(
    title: str,
    x_name: str,
    y_name: str,
    series: dict[str, list[Point]],
    *,
    log_x: bool = True,
    log_y: bool = True,
) -> str:
    """Return the chart as an SVG document."""
    points = [point for line in series.values() for point in line]
    across = axis(x_name, [x for x, _ in points], log=log_x)
    up = axis(y_name, [y for _, y in points], log=log_y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escape(title)}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<style>{_DARK}</style>",
        f'<g font-size="15" font-weight="600">{_text(LEFT, 22, title)}</g>',
        *_grid(across, up),
        *_legend(list(series)),
    ]
    for number, line in enumerate(series.values()):
        parts += _line(number, line, across, up)
    return "\n".join([*parts, "</svg>", ""])


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{TEXT}">'
        f"{escape(text)}</text>"
    )


def _grid(across: Axis, up: Axis) -> list[str]:
    right, bottom, parts = WIDTH - RIGHT, HEIGHT - BOTTOM, []
    for tick in up.ticks():
        y = _y(up, tick)
        parts += [
            _rule(f"M{LEFT} {y:.1f}H{right}"),
            _text(LEFT - 8, y + 4, label(tick), "end"),
        ]
    for tick in across.ticks():
        x = _x(across, tick)
        parts += [
            _rule(f"M{x:.1f} {TOP}V{bottom}"),
            _text(x, bottom + 18, label(tick), "middle"),
        ]
    height = (TOP + bottom) / 2
    return [
        *parts,
        f'<path class="axis" fill="none" stroke="{AXIS}" '
        f'd="M{LEFT} {TOP}V{bottom}H{right}"/>',
        _text((LEFT + right) / 2, HEIGHT - 14, across.name, "middle"),
        f'<g transform="translate(18 {height}) rotate(-90)">'
        f"{_text(0, 0, up.name, 'middle')}</g>",
    ]


def _rule(path: str) -> str:
    return f'<path class="grid" fill="none" stroke="{GRID}" d="{path}"/>'


def _legend(names: list[str]) -> list[str]:
    parts, x = [], float(LEFT)
    for number, name in enumerate(names):
        parts += [_stroke(number, f"M{x:.0f} 44h22"), _dot(number, x + 11, 44)]
        parts.append(_text(x + 28, 48, name))
        x += 52 + 7.5 * len(name)
    return parts


def _line(number: int, line: list[Point], across: Axis, up: Axis) -> list[str]:
    places = [(_x(across, x), _y(up, y)) for x, y in line]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return [_stroke(number, f"M{path}"), *(_dot(number, x, y) for x, y in places)]


def _stroke(number: int, path: str) -> str:
    return (
        f'<path class="l{number}" fill="none" stroke="{COLOURS[number]}" '
        f'stroke-width="2" stroke-linejoin="round" d="{path}"/>'
    )


def _dot(number: int, x: float, y: float) -> str:
    return (
        f'<circle class="d{number}" fill="{COLOURS[number]}" '
        f'cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
    )
