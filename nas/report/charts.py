"""The front as a chart: accuracy against latency, and against energy where the device has it."""

from __future__ import annotations

import hashlib
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nas.charts
from nas.charts import (
    BUDGET_COLOR,
    PRECISION_COLORS,
    SERIES_COLORS,
    SERIES_LINES,
    SERIES_MARKERS,
    literal,
    new_figure,
    png,
    set_grid,
    set_log_ticks,
    set_note,
    set_title,
)
from nas.pareto import non_dominated
from nas.report.groups import Group, attained
from nas.report.table import believed
from nas.report.ties import interval
from nas.run import LATENCY, UNITS, Reference, Run, Trial, expected, read_references, write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {"latency_ms": ("latency", "latency_low_ms", "latency_high_ms"),
        "energy_mj": ("energy", "energy_low_mj", "energy_high_mj")}  # fmt: skip
NEAR = 1.6  # references up to so many times the dearest trial's cost are drawn, the rest named below
LEFT = 0.08  # inches that stay free to the left of the first panel's label
MOST_NAMED = 10  # references that are not drawn but named
LABEL_GAP = 0.024  # of the axis' width: labels of references stand no closer


def draw_front(run: Run) -> Path:
    """Draws `front.png` into the run folder and returns its path. Raises UserError on a full disk.

    A chart that this code drew of this run already is left: loading and running Matplotlib takes a second.
    """
    file, references = run.path / "front.png", shown_references(run)
    shown = repr((run.settings, run.trials, references)).encode()
    shown += Path(__file__).read_bytes() + Path(nas.charts.__file__).read_bytes()
    digest = hashlib.sha256(shown).hexdigest()
    if file.exists() and digest.encode() in file.read_bytes():
        return file
    trials = [t for t in run.trials if t.state == "trained"]
    columns = [c for c in AXES if any(t.value(c) > 0 for t in trials)] or ["latency_ms"]
    figure = new_figure(1.2 + 4.9 * len(columns), 5.4)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    s, known = run.settings, believed(trials)
    set_title(figure, f"{s.space_name} on {s.device_name}, {s.dataset}: {len(trials)} networks trained")
    notes = [
        "Filled: the Pareto front; steps: the front of these two axes; pale: all other networks"
        + (", also those that cannot be told from a cheaper one. " if run.left_off else ". ")
        + ("Accuracy is what trainings of a network are expected to reach; bar upright: one standard deviation each "
           "way, on new images. " if known else "Accuracy is on the validation split after a short training. ")
        + "Bars across: 90% of held-out networks fell within this range of the predicted cost; no bar where the device "
        "profile has no such error."
    ]  # fmt: skip
    for axes, column in zip(panels, columns, strict=True):
        notes += _panel(axes, run, trials, column, references)
    panels[0].set_ylabel("expected accuracy (%)" if known else "validation accuracy (%)")
    _legend(figure, trials)
    width = 90 * len(columns)
    caption = "\n".join(line for note in dict.fromkeys(notes) for line in textwrap.wrap(note, width))
    set_note(figure, caption)
    bottom = 0.115 + 0.031 * (caption.count("\n") + 1)
    figure.subplots_adjust(left=0.66 / figure.get_figwidth(), right=0.985, top=0.92, bottom=bottom, wspace=0.06)
    _make_room_left(figure, panels[0])
    write_atomic(file, png(figure, {"Comment": digest}))
    return file


def _make_room_left(figure: Figure, panel: Axes) -> None:
    """Moves the panels to the right where the ticks have so many digits that the axis label would be cut off."""
    taken = panel.yaxis.get_tightbbox()
    if taken is not None and (over := LEFT - taken.x0 / figure.dpi) > 0:
        figure.subplots_adjust(left=figure.subplotpars.left + over / figure.get_figwidth())


def draw_fronts(groups: Sequence[Group], file: Path) -> Path:
    """Draws the fronts of several runs, accuracy against latency, into a PNG file.

    Of runs that differ only in their seed: what half of them reach as a line, between what all and any of them reach.
    """
    figure = new_figure(7.4, 5.2)
    axes = figure.subplots()
    every: list[float] = []
    for i, group in enumerate(groups):
        trials = [[t for t in r.trials if t.state == "trained"] for r in group.runs]
        points = [_places(of_run, LATENCY.column) for of_run in trials]
        every += [cost for costs, _ in points for cost in costs]
        color, line = SERIES_COLORS[i % len(SERIES_COLORS)], SERIES_LINES[i % len(SERIES_LINES)]
        for costs, accuracies in points:
            axes.plot(costs, accuracies, "o", color=color, alpha=0.2, markersize=4, markeredgewidth=0)
        at, reached = attained(trials, LATENCY.column)
        least, half, most = 100 * reached
        if len(group.runs) > 1:
            axes.fill_between(at, least, most, step="post", color=color, alpha=0.15, linewidth=0)
        axes.step(at, half, where="post", color=color, linestyle=line)
        grown = np.flatnonzero(np.diff(np.nan_to_num(half, nan=-1.0), prepend=-1.0) > 0)
        axes.plot(
            at[grown], half[grown], SERIES_MARKERS[i % 5], color=color, label=literal(group.name), markersize=6
        )  # fmt: skip
    if every and max(every) > 4 * min(every) > 0:
        axes.set_xscale("log")
        set_log_ticks(axes.xaxis, decades=float(np.log10(max(every) / min(every))))
    known = any(believed(r.trials) for group in groups for r in group.runs)
    accuracy = "expected" if known else "validation"
    axes.set(xlabel="latency on each run's device, one image (ms)", ylabel=f"{accuracy} accuracy (%)")
    set_grid(axes)
    axes.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    write_atomic(file, png(figure))
    return file


def _panel(axes: Axes, run: Run, trials: Sequence[Trial], column: str, references: Sequence[Reference]) -> list[str]:
    """One cost against accuracy; returns what must be said below the chart."""
    word, low, high = AXES[column]
    axes.set_xlabel(f"{word} on {run.settings.device_name}, one image ({UNITS[column]})")
    set_grid(axes)
    front = {t.trial for t in run.front_trials}
    for precision, color in PRECISION_COLORS.items():
        group = [t for t in trials if t.candidate.precision == precision]
        best = [t for t in group if t.trial in front]
        pale: dict[str, Any] = {"color": color, "alpha": 0.28, "markersize": 4.5, "markeredgewidth": 0}
        axes.plot(*_places([t for t in group if t.trial not in front], column), "o", **pale)
        known = [t for t in best if t.value(low) >= 0]
        heights = [100 * expected(t) for t in known]
        ends = [t.value(low) for t in known], [t.value(high) for t in known]
        axes.hlines(heights, *ends, colors=color, alpha=0.55, linewidth=1.1, zorder=3)
        sure = [(t, d) for t in best if (d := interval(t, run.settings.validation_images)) is not None]
        feet, heads = ([100 * (expected(t) + sign * d) for t, d in sure] for sign in (-1, 1))
        axes.vlines([t.value(column) for t, _ in sure], feet, heads, colors=color, alpha=0.55, linewidth=1.1, zorder=3)
        white: dict[str, Any] = {"color": color, "markersize": 6.5, "markeredgecolor": "white", "markeredgewidth": 0.8}
        axes.plot(*_places(best, column), "o", **white, zorder=4)
    if not trials:
        return []
    reported = run.left_off and column in run.settings.costs
    stairs = run.front_trials if reported else trials
    points = np.array([(t.value(column), -expected(t)) for t in stairs])
    on = points[non_dominated(points)]
    on = on[np.argsort(on[:, 0])]
    axes.step(on[:, 0], -100 * on[:, 1], where="post", color="0.35", linewidth=1.2, zorder=2)
    costs = np.array([t.value(column) for t in trials])
    if costs.max() > 4 * costs.min() > 0:
        axes.set_xscale("log")
        set_log_ticks(axes.xaxis, decades=float(np.log10(costs.max() / costs.min())))
    for limited, limit in run.settings.limits.items():
        if limited == column:
            axes.axvline(limit, color=BUDGET_COLOR, linestyle="--", linewidth=1.3)
            axes.annotate(
                f"budget {limit:g} {UNITS[column]}", (limit, 0), xycoords=("data", "axes fraction"), xytext=(3, 4),
                textcoords="offset points", rotation=90, ha="left", va="bottom", fontsize=8, color=BUDGET_COLOR,
            )  # fmt: skip
    return _draw_references(axes, column, references, NEAR * float(costs.max()))


def _places(trials: Sequence[Trial], column: str) -> tuple[list[float], list[float]]:
    """Costs, and accuracies in per cent."""
    return [t.value(column) for t in trials], [100 * expected(t) for t in trials]


def _draw_references(axes: Axes, column: str, references: Sequence[Reference], most: float) -> list[str]:
    """Known networks as labelled lines; returns a note that names those that do not fit."""
    named = sorted((getattr(r.costs, column), r) for r in references if getattr(r.costs, column) is not None)
    if not named:
        return []
    least, far = axes.get_xlim()[0], []
    shown = [r for cost, r in named if max(least, 0) <= cost <= most]
    if shown:
        axes.set_xlim(right=max(axes.get_xlim()[1], 1.08 * getattr(shown[-1].costs, column)))
    last = -1.0
    for cost, r in named:
        place = axes.transAxes.inverted().transform(axes.transData.transform((cost, 0)))[0]
        if r not in shown or place - last < LABEL_GAP:
            far.append(f"{r.name} {cost:.3g} {UNITS[column]}")
            continue
        last = place
        axes.axvline(cost, color="0.55", linestyle=":", linewidth=1.0, zorder=1)
        axes.annotate(
            literal(r.name), (cost, 0), xycoords=("data", "axes fraction"), xytext=(2 if place < 0.95 else -2, 4),
            textcoords="offset points", rotation=90, ha="left" if place < 0.95 else "right", va="bottom",
            fontsize=7.5, color="0.35", zorder=5,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    precision = references[0].precision
    more = f" and {len(far) - MOST_NAMED} more" if len(far) > MOST_NAMED else ""
    others = f"; not drawn: {', '.join(far[:MOST_NAMED])}{more}" if far else ""
    return [f"Dotted: {precision} networks known from ImageNet{others}."]


def shown_references(run: Run) -> list[Reference]:
    """The reference networks in the precision that most of the front has."""
    every = read_references(run.path)
    counted = Counter(t.candidate.precision for t in run.front_trials)
    order = [precision for precision, _ in counted.most_common()]
    chosen = next((p for p in order if any(r.precision == p for r in every)), None)
    return [r for r in every if r.precision == chosen]


def _legend(figure: Figure, trials: Sequence[Trial]) -> None:
    """Colours of the precisions, above the panels where nothing is drawn."""
    from matplotlib.lines import Line2D

    used = [p for p in PRECISION_COLORS if any(t.candidate.precision == p for t in trials)]
    dots = [Line2D([], [], marker="o", linestyle="", color=PRECISION_COLORS[p], label=p) for p in used]
    figure.legend(handles=dots, loc="upper right", ncols=3, fontsize=9, frameon=False, bbox_to_anchor=(0.995, 1.0))
