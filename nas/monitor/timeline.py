"""Charts over time as SVG, in the colors of the page that they stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape

LEFT, RIGHT, TOP, BOTTOM = 46, 12, 34, 22
HEIGHT = 206
LONGEST = 12  # characters of a name in a legend
WIDTHS = (960, 400)  # of a screen, and of a phone
TICKS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 43200)  # minutes


@dataclass(frozen=True, slots=True)
class Series:
    """A line over time; None breaks it. `low` and `high` are a band around it."""

    name: str
    color: str  # a CSS class of the page
    values: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a time: a vertical line with a letter, `words` when it is pointed at."""

    at: datetime
    letter: str
    color: str
    words: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: lines over `times`, and what happened."""

    title: str
    unit: str
    times: tuple[datetime, ...]
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    zero: bool = False  # the axis begins at 0
    spans: tuple[tuple[datetime, datetime, str], ...] = field(default=())  # of versions, with their names
    legend: bool = False  # the lines' names stand beside the title


def panel_svg(panel: Panel) -> str:
    """The chart, once for a screen and once for a phone."""
    return "".join(
        f'<div class="{name}">{_svg(panel, width)}</div>'
        for name, width in zip(("wide", "narrow"), WIDTHS, strict=True)
    )


def _svg(panel: Panel, width: int) -> str:
    start, end = _ends(panel)
    known = [v for one in panel.series for part in (one.values, one.low, one.high) for v in part if v is not None]
    bottom, top, step = _scale(known, zero=panel.zero)
    inner = width - LEFT - RIGHT

    def x(at: datetime) -> float:
        return LEFT + inner * (at - start) / (end - start)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - bottom) / (top - bottom)

    parts = [
        f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(panel.title)}">',
        f'<text x="0" y="11" class="title">{escape(panel.title)} ({escape(panel.unit)}){_legend(panel)}</text>',
    ]
    value = bottom
    while value <= top + step / 1000:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y(value) + 4:.1f}" class="tick end">{value:g}</text>')
        value = round(value + step, 10)
    for at, label in _times(start, end, most=width // 110):
        parts.append(f'<text x="{x(at):.1f}" y="{HEIGHT - 6}" class="tick middle">{label}</text>')
    names = []  # drawn last, over lines and marks
    for number, (first, last, name) in enumerate(panel.spans):
        a, b = x(first), x(last)
        parts.append(
            f'<rect class="span s{number % 2}" x="{a:.1f}" y="{TOP}" width="{max(1, b - a):.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"><title>{escape(name)}</title></rect>'
        )
        if b - a > 7 * len(name):
            names.append(f'<text x="{a + 4:.1f}" y="{TOP + 12}" class="tick version">{escape(name)}</text>')
    for one in panel.series:
        xs = [x(at) for at in panel.times]
        parts += [_band(xs, [y(v) for v in low], [y(v) for v in high], one.color, first)
                  for first, low, high in _bands(one)]  # fmt: skip
        for run in _runs(one.values):
            points = " ".join(f"{xs[i]:.1f},{y(v):.1f}" for i, v in run)
            dashed = ' stroke-dasharray="5 3"' if one.dashed else ""
            parts.append(f'<polyline class="line {one.color}" points="{points}"{dashed}/>')
            if len(run) < 60:
                parts += [f'<circle class="dot {one.color}" cx="{xs[i]:.1f}" cy="{y(v):.1f}" r="2.2"/>' for i, v in run]
    for mark in panel.marks:
        parts.append(
            f'<g class="mark {mark.color}"><title>{escape(mark.words)}</title><line x1="{x(mark.at):.1f}" '
            f'x2="{x(mark.at):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/><text x="{x(mark.at):.1f}" y="{TOP - 2}" '
            f'class="middle">{escape(mark.letter)}</text></g>'
        )
    return "".join([*parts, *names, "</svg>"])


def _legend(panel: Panel) -> str:
    if not panel.legend:
        return ""
    names = (
        (one.color, one.name if len(one.name) <= LONGEST else one.name[: LONGEST - 1] + "…") for one in panel.series
    )
    return "".join(f'<tspan dx="10" class="{color}">{escape(name)}</tspan>' for color, name in names)


def _ends(panel: Panel) -> tuple[datetime, datetime]:
    times = [*panel.times, *(mark.at for mark in panel.marks), *(t for span in panel.spans for t in span[:2])]
    start, end = min(times), max(times)
    return (start, end) if end > start else (start, start + timedelta(minutes=1))


def _scale(values: Sequence[float], *, zero: bool) -> tuple[float, float, float]:
    """Where an axis begins and ends, and its steps: 1, 2 or 5 times a power of ten, four to eight of them."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low = 0.0 if zero else low
    size = (high - low) or abs(high) or 1.0
    step = 10.0**-12
    while size / step > 6:
        step = next(f * 10**e for e in range(-9, 13) for f in (1.0, 2.0, 5.0) if f * 10.0**e > step * 1.001)
    begin = step * (low // step)
    end = begin
    while end < high - step / 1000:
        end += step
    return round(begin, 10), round(max(end, begin + step), 10), step


def _times(start: datetime, end: datetime, most: int) -> list[tuple[datetime, str]]:
    minutes = (end - start).total_seconds() / 60
    step = next((t for t in TICKS if minutes / t <= most), TICKS[-1])
    at = start.replace(second=0, microsecond=0)
    at = at.replace(minute=0) if step >= 60 else at.replace(minute=at.minute - at.minute % step)
    at = at.replace(hour=0) if step >= 1440 else at.replace(hour=at.hour - at.hour % max(1, step // 60))
    found: list[tuple[datetime, str]] = []
    shown = "%m-%d" if step >= 1440 else "%H:%M"
    while at <= end and len(found) < 50:
        if at >= start:
            found.append((at, f"{at:{shown}}"))
        at += timedelta(minutes=step)
    return found or [(start, f"{start:%H:%M:%S}")]


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Neighbouring values without a gap."""
    found: list[list[tuple[int, float]]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            found.append([])
        else:
            found[-1].append((i, value))
    return [run for run in found if run]


def _bands(one: Series) -> list[tuple[int, list[float], list[float]]]:
    found: list[tuple[int, list[float], list[float]]] = []
    before = False
    for i, (low, high) in enumerate(zip(one.low, one.high, strict=True)):
        if low is None or high is None:
            before = False
            continue
        if not before:
            found.append((i, [], []))
        found[-1][1].append(low)
        found[-1][2].append(high)
        before = True
    return found


def _band(xs: Sequence[float], low: Sequence[float], high: Sequence[float], color: str, first: int) -> str:
    there = [(xs[first + i], v) for i, v in enumerate(low)]
    back = [(xs[first + i], v) for i, v in reversed(list(enumerate(high)))]
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*there, *back])
    return f'<polygon class="band {color}" points="{points}"/>'
