"""Draws the mean and the worst of the points lost, a row for each way of picking; see README.md.

python chart.py lost.csv --out lost.png
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from nas.charts import SERIES_COLORS, new_figure, png, set_grid, set_title

WANTED = (0.20, 0.6)  # points: mean and worst


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("lost", type=Path)
    parser.add_argument("--out", type=Path, default=Path("lost.png"))
    asked = parser.parse_args()
    with asked.lost.open() as file:
        header, *rows = csv.reader(file)
    lost = {row[0]: np.array(row[2:], float) for row in rows}
    names = sorted(lost, key=lambda name: -lost[name].mean())
    figure = new_figure(7.6, 0.9 + 0.27 * len(names))
    axes = figure.subplots()
    for place, name in enumerate(names):
        color = SERIES_COLORS[0] if name.endswith("nas pick") else "0.35"
        mean, worst = lost[name].mean(), lost[name].max()
        axes.plot([mean, worst], [place, place], color=color, linewidth=1, alpha=0.5)
        axes.plot(mean, place, "o", color=color)
        axes.plot(worst, place, "|", color=color, markersize=9, markeredgewidth=2)
    for value, what, style in zip(WANTED, ("mean wanted", "worst wanted"), (":", "--"), strict=True):
        axes.axvline(value, color=SERIES_COLORS[1], linestyle=style, linewidth=1, label=what)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xscale("log")
    ticks = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(f"points lost at {len(header) - 2} latency budgets: mean (dot), worst (bar)")
    axes.legend(fontsize=8, loc="upper right", frameon=False)
    set_grid(axes)
    set_title(figure, "What a team loses that picks from a run")
    figure.tight_layout()
    asked.out.write_bytes(png(figure))


if __name__ == "__main__":
    main()
