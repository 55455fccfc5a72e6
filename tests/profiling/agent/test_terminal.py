"""What the agent says."""

from __future__ import annotations

from nas.profiling.agent.terminal import Progress
from tests.profiling.agent.bundle import refusal


def test_progress_is_a_bar_or_lines(capsys):
    bar, lines = Progress("timing", bar=True), Progress("timing", bar=False)
    bar.show(1, 4)
    bar.show(4, 4, last=True)
    assert capsys.readouterr().err.count("\r[") == 2
    lines.show(1, 4)
    lines.show(2, 4)  # too soon
    lines.show(4, 4, last=True)
    assert capsys.readouterr().err.splitlines() == ["timing 1/4, 0:00 left", "timing 4/4, 0:00 left"]


def test_nothing_that_steers_a_terminal_is_printed(bundle, capsys):
    line = refusal(capsys, "--bundle", f"{bundle}\x1b[2J", "--out", str(bundle / "results.json"))
    assert "\x1b" not in line
