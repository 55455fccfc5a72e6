"""The style that all charts share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nas.charts import literal, new_figure, png, set_log_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1.0, 9.0, [1, 1.5, 2, 3, 5, 7]),
        (0.5, 60.0, [0.5, 1, 2, 5, 10, 20, 50]),
        (0.1, 9000.0, [0.1, 1, 10, 100, 1000]),
    ],
)
def test_logarithmic_ticks_are_numbers_that_a_person_reads(low: float, high: float, ticks: list[float]) -> None:
    axes = new_figure(4, 3).subplots()
    axes.set(xscale="log", xlim=(low, high))
    set_log_ticks(axes.xaxis, decades={9.0: 0.95, 60.0: 2.1, 9000.0: 4.95}[high])
    shown = [float(x) for x in axes.xaxis.get_ticklocs() if low <= x <= high]
    assert shown == pytest.approx(ticks)
    assert axes.xaxis.get_major_formatter()(2.0) == "2"


def test_a_dollar_sign_is_no_mathematics() -> None:
    figure = new_figure(2, 2)
    figure.text(0, 0, literal(r"$\undefined$ costs 5$"))
    assert png(figure, {"Comment": "c0ffee"}).startswith(b"\x89PNG")


def test_matplotlib_is_loaded_only_to_draw() -> None:
    """`nas devices` and `nas pick` answer at once: Matplotlib takes half a second."""
    code = "import sys, nas.charts; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
