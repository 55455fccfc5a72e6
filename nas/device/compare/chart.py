"""Predicted against measured as a picture: whole networks, by precision, latency and energy each in a panel."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.device.tables.validation import Validation
from nas.errors import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"fp32": "#0072B2", "fp16": "#009E73", "int8": "#D55E00"}  # told apart by the colour-blind (Okabe and Ito)
BAND = 0.10  # of the measured cost, drawn on both sides of the line
NAMED = 3  # worst networks of a panel that get a label


def draw_validation(rows: Sequence[Validation], title: str, path: Path) -> None:
    """Draws the networks into a PNG file; those of families held out whole are pale.

    Raises UserError when there are none, the name does not end in .png, or the file cannot be written.
    """
    if not rows:
        raise UserError(f"{title}: no whole network to draw")
    if path.suffix.lower() != ".png":
        raise UserError(f"a picture's name must end in .png; came {str(path)!r}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    quantities = [False, True] if any(row.pair(energy=True) for row in rows) else [False]
    figure = Figure(figsize=(1.0 + 5.0 * len(quantities), 5.6), dpi=110)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(quantities), squeeze=False)[0]
    figure.suptitle(title.replace("$", r"\$"), x=0.012, y=0.975, ha="left", fontsize=11.5)
    for axes, energy in zip(panels, quantities, strict=True):
        _panel(axes, rows, energy)
    pale = "; pale: predicted without its whole family" if any(row.split == "family" for row in rows) else ""
    note = f"One dot a network. Line: predicted as measured; grey: within {100 * BAND:.0f}% of it{pale}."
    figure.text(0.012, 0.015, note, fontsize=8, color="0.3", va="bottom")
    figure.subplots_adjust(left=0.72 / figure.get_figwidth(), right=0.985, top=0.9, bottom=0.145, wspace=0.2)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    try:
        path.write_bytes(picture.getvalue())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


def _panel(axes: Axes, rows: Sequence[Validation], energy: bool) -> None:
    unit, word = ("mJ", "energy") if energy else ("ms", "latency")
    axes.set(xlabel=f"measured {word} ({unit})", ylabel=f"predicted {word} ({unit})")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    pairs = [(row, pair) for row in rows if (pair := row.pair(energy))]
    every = np.array([pair for _, pair in pairs])
    low, high = every.min() * 0.9, every.max() * 1.1
    ends = np.array([low, high])
    axes.fill_between(ends, (1 - BAND) * ends, (1 + BAND) * ends, color="0.88", zorder=1)
    axes.plot(ends, ends, color="0.35", linewidth=1.0, zorder=2)
    for precision, colour in COLOURS.items():
        for family in (True, False):
            chosen = [p for r, p in pairs if r.precision == precision and (r.split == "family") == family]
            if not chosen:
                continue
            label = None if family and _has(pairs, precision, family=False) else precision
            style: dict[str, Any] = {"alpha": 0.35, "markersize": 4.0} if family else {"alpha": 0.9, "markersize": 5.5}
            axes.plot(
                *np.array(chosen).T, "o", color=colour, label=label, zorder=3 + (not family),
                markeredgecolor="white", markeredgewidth=0.5, **style,
            )  # fmt: skip
    if high > 4 * low:
        axes.set(xscale="log", yscale="log")
        _plain_ticks(axes, float(np.log10(high / low)))
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
                row.network.replace("$", r"\$")[:40], (measured, predicted), xytext=(-6 if above else 6, 0), fontsize=7,
                textcoords="offset points", ha="right" if above else "left", va="center", color="0.3", zorder=6,
            )  # fmt: skip


def _plain_ticks(axes: Axes, decades: float) -> None:
    """Numbers as 1, 2, 5, 10 on log axes, not as powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axis.set_minor_locator(NullLocator())
