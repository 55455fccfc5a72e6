"""The front as a picture: accuracy against latency, and against energy where the device has it."""

from __future__ import annotations

import hashlib
import io
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.pareto import non_dominated
from nas.run import ACCURACY, UNITS, Reference, Run, Trial, read_references, write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"fp32": "#0072B2", "fp16": "#009E73", "int8": "#D55E00"}  # told apart by the colour-blind (Okabe and Ito)
AXES = {"latency_ms": ("latency", "latency_low_ms", "latency_high_ms"),
        "energy_mj": ("energy", "energy_low_mj", "energy_high_mj")}  # fmt: skip
RUN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7A6000", "#000000")
RUN_LINES = ("-", "--", ":", "-.")
NEAR = 1.6  # references up to so many times the dearest trial's cost are drawn, the rest named below
LABEL_GAP = 0.024  # of the axis' width: labels of references stand no closer


def draw_front(run: Run) -> Path:
    """Draws `front.png` into the run folder and returns its path. Raises UserError on a full disk.

    A picture that this code drew of this run already is left: loading and running Matplotlib takes a second.
    """
    file, references = run.path / "front.png", shown_references(run)
    shown = repr((run.settings, run.trials, references)).encode() + Path(__file__).read_bytes()
    digest = hashlib.sha256(shown).hexdigest()
    if file.exists() and digest.encode() in file.read_bytes():
        return file
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    trials = [t for t in run.trials if t.state == "trained"]
    columns = [c for c in AXES if any(t.value(c) > 0 for t in trials)] or ["latency_ms"]
    figure = Figure(figsize=(1.2 + 4.9 * len(columns), 5.4), dpi=110)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    s = run.settings
    title = f"{s.space} on {s.device}, {s.dataset}: {len(trials)} networks trained"
    figure.suptitle(title, x=0.012, y=0.975, ha="left", fontsize=11.5)
    notes = [
        "Filled, with steps: the Pareto front; pale: all other trials. Accuracy on the validation split after proxy "
        "training. Bars hold 90% of held-out networks, where the device profile has such an error."
    ]
    for axes, column in zip(panels, columns, strict=True):
        notes += _panel(axes, run, trials, column, references)
    panels[0].set_ylabel("validation accuracy (%)")
    _legend(figure, trials)
    width = 90 * len(columns)
    caption = "\n".join(line for note in notes for line in textwrap.wrap(note, width))
    figure.text(0.012, 0.012, caption, fontsize=8, color="0.3", va="bottom")
    bottom = 0.115 + 0.031 * (caption.count("\n") + 1)
    figure.subplots_adjust(left=0.66 / figure.get_figwidth(), right=0.985, top=0.92, bottom=bottom, wspace=0.06)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Comment": digest})
    write_atomic(file, picture.getvalue())
    return file


def draw_fronts(runs: Sequence[Run], file: Path) -> Path:
    """Draws the fronts of several runs, accuracy against latency, into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 5.2), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    every: list[float] = []
    for i, run in enumerate(runs):
        trials = [t for t in run.trials if t.state == "trained"]
        costs, accuracies = np.array(_places(trials, "latency_ms"))
        on = np.flatnonzero(non_dominated(np.stack([costs, -accuracies], axis=1)))
        on = on[np.argsort(costs[on])]
        every += costs.tolist()
        colour, name = RUN_COLOURS[i % len(RUN_COLOURS)], str(run.path).replace("$", r"\$")
        axes.plot(costs, accuracies, "o", color=colour, alpha=0.2, markersize=4, markeredgewidth=0)
        axes.step(costs[on], accuracies[on], where="post", color=colour, linestyle=RUN_LINES[i % len(RUN_LINES)])
        axes.plot(costs[on], accuracies[on], "os^Dv"[i % 5], color=colour, label=name, markersize=6)
    if every and max(every) > 4 * min(every) > 0:
        axes.set_xscale("log")
        _plain_ticks(axes, decades=float(np.log10(max(every) / min(every))))
    axes.set(xlabel="latency on each run's device, one image (ms)", ylabel="validation accuracy (%)")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomic(file, picture.getvalue())
    return file


def _panel(axes: Axes, run: Run, trials: Sequence[Trial], column: str, references: Sequence[Reference]) -> list[str]:
    """One cost against accuracy; returns what must be said below the picture."""
    word, low, high = AXES[column]
    axes.set_xlabel(f"{word} on {run.settings.device}, one image ({UNITS[column]})")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    front = {t.trial for t in run.front_trials}
    for precision, colour in COLOURS.items():
        group = [t for t in trials if t.candidate.precision == precision]
        best = [t for t in group if t.trial in front]
        pale: dict[str, Any] = {"color": colour, "alpha": 0.28, "markersize": 4.5, "markeredgewidth": 0}
        axes.plot(*_places([t for t in group if t.trial not in front], column), "o", **pale)
        known = [t for t in best if t.value(low) >= 0]
        heights = [100 * t.value(ACCURACY.column) for t in known]
        ends = [t.value(low) for t in known], [t.value(high) for t in known]
        axes.hlines(heights, *ends, colors=colour, alpha=0.55, linewidth=1.1, zorder=3)
        white: dict[str, Any] = {"color": colour, "markersize": 6.5, "markeredgecolor": "white", "markeredgewidth": 0.8}
        axes.plot(*_places(best, column), "o", **white, zorder=4)
    if not trials:
        return []
    costs = np.array([t.value(column) for t in trials])
    accuracies = np.array([t.value(ACCURACY.column) for t in trials])
    on = np.flatnonzero(non_dominated(np.stack([costs, -accuracies], axis=1)))
    on = on[np.argsort(costs[on])]
    axes.step(costs[on], 100 * accuracies[on], where="post", color="0.35", linewidth=1.2, zorder=2)
    if costs.max() > 4 * costs.min() > 0:
        axes.set_xscale("log")
        _plain_ticks(axes, decades=float(np.log10(costs.max() / costs.min())))
    for limited, limit in run.settings.limits.items():
        if limited == column:
            axes.axvline(limit, color="#B00020", linestyle="--", linewidth=1.3)
            axes.annotate(
                f"budget {limit:g} {UNITS[column]}", (limit, 0), xycoords=("data", "axes fraction"), xytext=(3, 4),
                textcoords="offset points", rotation=90, ha="left", va="bottom", fontsize=8, color="#B00020",
            )  # fmt: skip
    return _draw_references(axes, column, references, NEAR * float(costs.max()))


def _places(trials: Sequence[Trial], column: str) -> tuple[list[float], list[float]]:
    """Costs, and accuracies in per cent."""
    return [t.value(column) for t in trials], [100 * t.value(ACCURACY.column) for t in trials]


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
            r.name, (cost, 0), xycoords=("data", "axes fraction"), xytext=(2 if place < 0.95 else -2, 4),
            textcoords="offset points", rotation=90, ha="left" if place < 0.95 else "right", va="bottom",
            fontsize=7.5, color="0.35", zorder=5,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip
    precision = references[0].precision
    return [f"Dotted: {precision} networks known from ImageNet" + (f"; not drawn: {', '.join(far)}." if far else ".")]


def shown_references(run: Run) -> list[Reference]:
    """The reference networks in the precision that most of the front has."""
    every = read_references(run.path)
    counted = Counter(t.candidate.precision for t in run.front_trials)
    order = [precision for precision, _ in counted.most_common()]
    chosen = next((p for p in order if any(r.precision == p for r in every)), None)
    return [r for r in every if r.precision == chosen]


def _plain_ticks(axes: Axes, decades: float) -> None:
    """Numbers as 1, 2, 5, 10 on a log axis, not as powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades > 1.3 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _legend(figure: Figure, trials: Sequence[Trial]) -> None:
    """Colours of the precisions, above the panels where nothing is drawn."""
    from matplotlib.lines import Line2D

    used = [p for p in COLOURS if any(t.candidate.precision == p for t in trials)]
    dots = [Line2D([], [], marker="o", linestyle="", color=COLOURS[p], label=p) for p in used]
    figure.legend(handles=dots, loc="upper right", ncols=3, fontsize=9, frameon=False, bbox_to_anchor=(0.995, 1.0))
