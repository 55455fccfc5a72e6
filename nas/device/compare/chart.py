"""Predicted against measured as a chart: whole networks, by precision, latency and energy each in a panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.charts import PRECISION_COLORS, literal, new_figure, png, set_grid, set_log_ticks, set_note, set_title
from nas.device.tables.validation import Validation
from nas.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND = 0.10  # of the measured cost, drawn on both sides of the line
NAMED = 3  # worst networks of a panel that get a label


def draw_validation(rows: Sequence[Validation], title: str, path: Path) -> None:
    """Draws the networks into a PNG file; those of families held out whole are pale.

    Raises UserError when there are none, the name does not end in .png, or the file cannot be written.
    """
    if not rows:
        raise UserError(f"{title}: no whole network to draw")
    if path.suffix.lower() != ".png":
        raise UserError(f"a chart's name must end in .png; got {str(path)!r}")
    quantities = [False, True] if any(row.pair(energy=True) for row in rows) else [False]
    figure = new_figure(1.0 + 5.0 * len(quantities), 5.6)
    panels = figure.subplots(1, len(quantities), squeeze=False)[0]
    set_title(figure, title)
    for axes, energy in zip(panels, quantities, strict=True):
        _panel(axes, rows, energy)
    pale = "; pale: predicted without its whole family" if any(row.split == "family" for row in rows) else ""
    note = f"One dot a network. Line: predicted as measured; grey: within {100 * BAND:.0f}% of it{pale}."
    set_note(figure, note)
    figure.subplots_adjust(left=0.72 / figure.get_figwidth(), right=0.985, top=0.9, bottom=0.145, wspace=0.2)
    try:
        path.write_bytes(png(figure))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


def _panel(axes: Axes, rows: Sequence[Validation], energy: bool) -> None:
    unit, word = ("mJ", "energy") if energy else ("ms", "latency")
    axes.set(xlabel=f"measured {word} ({unit})", ylabel=f"predicted {word} ({unit})")
    set_grid(axes)
    pairs = [(row, pair) for row in rows if (pair := row.pair(energy))]
    every = np.array([pair for _, pair in pairs])
    low, high = every.min() * 0.9, every.max() * 1.1
    ends = np.array([low, high])
    axes.fill_between(ends, (1 - BAND) * ends, (1 + BAND) * ends, color="0.88", zorder=1)
    axes.plot(ends, ends, color="0.35", linewidth=1.0, zorder=2)
    for precision, color in PRECISION_COLORS.items():
        for family in (True, False):
            chosen = [p for r, p in pairs if r.precision == precision and (r.split == "family") == family]
            if not chosen:
                continue
            label = None if family and _has(pairs, precision, family=False) else precision
            style: dict[str, Any] = {"alpha": 0.35, "markersize": 4.0} if family else {"alpha": 0.9, "markersize": 5.5}
            axes.plot(
                *np.array(chosen).T, "o", color=color, label=label, zorder=3 + (not family),
                markeredgecolor="white", markeredgewidth=0.5, **style,
            )  # fmt: skip
    if high > 4 * low:
        axes.set(xscale="log", yscale="log")
        set_log_ticks(axes.xaxis, axes.yaxis, decades=float(np.log10(high / low)))
    axes.set(xlim=(low, high), ylim=(low, high))
    _name_worst(axes, pairs)
    axes.legend(loc="upper left", frameon=False, fontsize=9)


def _has(pairs: Sequence[tuple[Validation, tuple[float, float]]], precision: str, family: bool) -> bool:
    return any(row.precision == precision and (row.split == "family") == family for row, _ in pairs)


def _name_worst(axes: Axes, pairs: Sequence[tuple[Validation, tuple[float, float]]]) -> None:
    """Labels beside the networks farthest off, those outside the band only."""
    off = sorted(((abs(p[1] / p[0] - 1), row, p) for row, p in pairs if row.split != "family"), key=lambda x: -x[0])
    for error, row, (measured, predicted) in off[:NAMED]:
        if error > BAND:
            above = predicted > measured
            axes.annotate(
                literal(row.network[:40]), (measured, predicted), xytext=(-6 if above else 6, 0), fontsize=7,
                textcoords="offset points", ha="right" if above else "left", va="center", color="0.3", zorder=6,
            )  # fmt: skip
