"""One style for all charts: colors, lines, grids, and ticks that a person reads. Matplotlib is imported late."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

PRECISION_COLORS = {"fp32": "#0072B2", "fp16": "#009E73", "int8": "#D55E00"}  # Okabe and Ito: safe for the color-blind
SERIES_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7A6000", "#000000")
SERIES_LINES = ("-", "--", ":", "-.")
SERIES_MARKERS = "os^Dv"
BUDGET_COLOR = "#B00020"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110)
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure, metadata: Mapping[str, str] | None = None) -> bytes:
    """The figure as a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata=dict(metadata or {}))
    return file.getvalue()


def set_title(figure: Figure, title: str) -> None:
    figure.suptitle(literal(title), x=0.012, y=0.975, ha="left", fontsize=11.5)


def set_note(figure: Figure, note: str) -> None:
    """What a reader must know, in small print below the panels."""
    figure.text(0.012, 0.012, literal(note), fontsize=8, color="0.3", va="bottom")


def literal(text: str) -> str:
    """The text as it is: Matplotlib takes what stands between dollar signs for mathematics."""
    return text.replace("$", r"\$")


def set_grid(axes: Axes) -> None:
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def set_log_ticks(*scales: Axis, decades: float) -> None:
    """Ticks as 1, 2, 5, 10 on logarithmic axes that span so many powers of ten, not as powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    subs: Sequence[float] = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if decades <= 1.3 else (1.0, 2.0, 5.0)
    for scale in scales:
        scale.set_major_locator(LogLocator(subs=(1.0,) if decades > 2.5 else subs))
        scale.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        scale.set_minor_locator(NullLocator())
