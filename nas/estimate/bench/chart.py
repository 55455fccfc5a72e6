"""The comparison of estimators as a chart: tau against seconds of one core a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas.charts import SERIES_COLORS, literal, new_figure, png, set_grid, set_log_ticks, set_note, set_title
from nas.errors import UserError
from nas.estimate.bench.comparison import Compared

LINES = ("--", "-.")  # of the best baseline and of MACs
LEAST_SECONDS = 1e-3  # what is quicker stands here


def draw_comparison(compared: Sequence[Compared], title: str, path: Path) -> None:
    """Draws estimators as dots with their intervals, the best baseline and MACs as lines, into a PNG file.

    Raises UserError when the file cannot be written.
    """
    figure = new_figure(7.6, 5.0)
    axes = figure.subplots()
    set_title(figure, title)
    dots = [c for c in compared if not c.baseline]
    seconds = [max(c.seconds, LEAST_SECONDS) for c in dots] or [1.0]
    low, high = min(seconds) / 1.6, max(seconds) * 4
    placed: list[tuple[float, float]] = []
    for number, (c, x) in enumerate(zip(dots, seconds, strict=False)):
        tau, color = c.agreement.tau, SERIES_COLORS[number % len(SERIES_COLORS)]
        whiskers = np.maximum([[tau - c.agreement.low], [c.agreement.high - tau]], 0.0)
        axes.errorbar([x], [tau], yerr=whiskers, fmt="o", color=color, capsize=2, linewidth=1.0)
        y = tau
        while any(abs(y - other) < 0.022 and abs(np.log(x / at)) < 0.9 for at, other in placed):
            y -= 0.006
        placed.append((x, y))
        axes.annotate(
            literal(c.name), (x, tau), (x * 1.06, y), fontsize=8, color=color, va="center", annotation_clip=False
        )
    baselines = [c for c in compared if c.baseline]
    for c, line in zip(
        dict.fromkeys([*baselines[:1], *(c for c in baselines if c.name == "macs")]), LINES, strict=False
    ):
        axes.axhline(c.agreement.tau, color="0.45", linewidth=1.0, linestyle=line, zorder=1)
        axes.annotate(
            c.name, (high, c.agreement.tau), (-3, 2), textcoords="offset points", fontsize=8, color="0.35", ha="right"
        )
    axes.set(xscale="log", xlim=(low, high), xlabel="seconds of one core for a network", ylabel="Kendall's tau")
    set_log_ticks(axes.xaxis, decades=float(np.log10(high / low)))
    set_grid(axes)
    networks = compared[0].agreement.networks if compared else 0
    set_note(figure, f"{networks} networks; bars: 90% of the bootstrap; lines: the best baseline, and MACs.")
    figure.subplots_adjust(left=0.09, right=0.975, top=0.9, bottom=0.155)
    try:
        path.write_bytes(png(figure))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
