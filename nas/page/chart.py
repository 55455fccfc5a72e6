"""A line chart as SVG within a page: its colors are the page's, light or dark, and it needs no script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nas.numbers import figure

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH, HEIGHT = 400, 250  # in the chart's own units; text is 12 of them, as wide as on a phone
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 36
MOST_POINTS = 600  # of a line


def line_chart(title: str, across: str, xs: Sequence[float], lines: Mapping[str, Sequence[float]]) -> Markup:
    """A figure with a line a name, from the left to the right; `lines` are as long as `xs`, and all are finite.

    Raises ValueError where there is nothing to draw.
    """
    from markupsafe import Markup

    values = [y for ys in lines.values() for y in ys]
    if not xs or not values or any(len(ys) != len(xs) for ys in lines.values()):
        raise ValueError("a chart needs lines of at least one point, all of as many")
    ticks_x, ticks_y = ticks(min(xs), max(xs)), ticks(min(values), max(values))
    x0, x1 = min(xs), max(max(xs), min(xs) + 1e-9)
    y0, y1 = ticks_y[0], ticks_y[-1]

    def at(x: float, y: float) -> tuple[float, float]:
        across_ = LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        return across_, HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for y in ticks_y:
        _, v = at(x0, y)
        parts.append(Markup(
            '<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" stroke="var(--grid)"/>'
            '<text x="{}" y="{:.1f}" text-anchor="end">{}</text>'
        ).format(LEFT, WIDTH - RIGHT, v, v, LEFT - 6, v + 4, figure(y)))  # fmt: skip
    for x in ticks_x:
        if x0 <= x <= x1:
            u, _ = at(x, y0)
            parts.append(Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                u, HEIGHT - BOTTOM + 16, figure(x)))  # fmt: skip
    parts.append(Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(WIDTH - RIGHT, HEIGHT - 4, across))
    step = max(1, math.ceil(len(xs) / MOST_POINTS))
    names = []
    for number, (name, ys) in enumerate(lines.items()):
        chosen = [*range(0, len(xs) - 1, step), len(xs) - 1]
        points = " ".join("{:.1f},{:.1f}".format(*at(xs[i], ys[i])) for i in chosen)
        color = f"var(--series-{number % 6})"
        dash = ("", "6 4", "2 3")[number % 3]
        parts.append(Markup(
            '<polyline points="{}" fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}"/>'
        ).format(points, color, dash))  # fmt: skip
        if len(xs) == 1:
            u, v = at(xs[0], ys[0])
            parts.append(Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}"/>').format(u, v, color))
        names.append(Markup(
            '<span style="white-space: nowrap"><svg width="24" height="8" aria-hidden="true"><line x1="0" x2="24" '
            'y1="4" y2="4" stroke="{}" stroke-width="2" stroke-dasharray="{}"/></svg> {}</span>'
        ).format(color, dash, name))  # fmt: skip
    legend = Markup(" &nbsp; ").join(names) if len(lines) > 1 else Markup("")
    last = "; ".join(f"{name} {figure(ys[0])} to {figure(ys[-1])}" for name, ys in lines.items())
    return Markup(
        '<figure><figcaption>{title}</figcaption><svg viewBox="0 0 {w} {h}" width="100%" role="img" '
        'aria-label="{title}: {last}" font-size="12" fill="currentColor">{parts}</svg>'
        "<figcaption>{legend}</figcaption></figure>"
    ).format(title=title, w=WIDTH, h=HEIGHT, last=last, parts=Markup("").join(parts), legend=legend)


def ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers, steps of 1, 2 or 5 times a power of ten, from one at most `low` to one at least
    `high`."""
    span = (high - low) or abs(high) or 1.0
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    return [number * step for number in range(first, last + 1)]
