"""Lines over time as SVG that needs nothing else: an axis of seconds, an axis with its unit, a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

from siov.observe.units import si

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 30, 30
LEGEND = 18  # pixels of a line of the legend
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")


@dataclass(slots=True, frozen=True)
class Plot:
    """Lines by their names, each with a value for each of the `times` (seconds).

    `marks` are moments that something happened at. `top` is the end of the axis, where it is no matter of
    the values.
    """

    title: str
    unit: str
    times: Sequence[float]
    lines: Mapping[str, Sequence[float]]
    marks: Sequence[tuple[float, str]] = ()
    top: float | None = None

    def svg(self) -> str:
        """The picture, as an element to be put into a page or a file."""
        high = self.top or _round_up(max((max(line, default=0) for line in self.lines.values()), default=0))
        end = max([*self.times, *(at for at, _ in self.marks)], default=0) or 1
        divisor, prefix = si(high)
        rows = -(-len(self.lines) // 3)
        parts = [
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" class="plot" '
            f'viewBox="0 0 {WIDTH} {HEIGHT + rows * LEGEND}"><title>{escape(self.title)}</title>',
            f'<text x="{LEFT}" y="18" class="head">{escape(self.title)}</text>',
        ]
        for n in range(5):
            y = _y(n / 4)
            value = high * n / 4 / divisor
            parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" class="grid"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="tick end">{value:.3g}</text>')
        parts.append(
            f'<text x="{WIDTH - RIGHT}" y="18" class="tick end">{escape(f"{prefix}{self.unit}")}</text>'
        )
        for at in _ticks(end):
            x = _x(at / end)
            parts.append(
                f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" class="tick middle">{at:.4g} s</text>'
            )
        for at, what in self.marks:
            x = _x(at / end)
            parts.append(
                f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" class="mark">'
                f"<title>{at:.2f} s: {escape(what)}</title></line>"
            )
        for n, (name, line) in enumerate(self.lines.items()):
            colour = COLOURS[n % len(COLOURS)]
            points = " ".join(
                f"{_x(time / end):.1f},{_y(min(value / high, 1.0)):.1f}"
                for time, value in zip(self.times, line, strict=True)
            )
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5">'
                f"<title>{escape(name)}</title></polyline>"
            )
            x, y = LEFT + n % 3 * 216, HEIGHT + n // 3 * LEGEND
            parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>')
            parts.append(f'<text x="{x + 15}" y="{y + 9}" class="tick">{escape(name)}</text>')
        return "".join([*parts, "</svg>"])


def _x(part: float) -> float:
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def _y(part: float) -> float:
    return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def _ticks(end: float) -> list[float]:
    """Round seconds, at most six of them."""
    step = _round_up(end / 6)
    return [step * n for n in range(6) if step * n <= end * 0.97]


def _round_up(value: float) -> float:
    """The next of 1 to 6, 8, 10 times a power of ten; 1 for nothing."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999999)
