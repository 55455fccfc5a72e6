"""What the ways of nas bench estimators print alike."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.cli.output import print_json

if TYPE_CHECKING:
    from nas.estimate.bench.comparison import Compared

NAME = 25  # characters of an estimator's name on one line of the table


def print_comparison(table: Path, reference: str, level: list[str], compared: list[Compared]) -> None:
    """Everything, as JSON."""
    print_json({
        "table": str(table), "best_baseline": reference, "no_better_than_it": level,
        "estimators": [plain(c) for c in compared],
    })  # fmt: skip


def say_level(reference: str, level: list[str]) -> None:
    """Names the estimators that are no better than a baseline, where there are any."""
    if level:
        print(textwrap.fill(f"Not seen to rank better than {reference}, a baseline: {', '.join(level)}.", 80))


def folded(name: str) -> str:
    """A sum of scores on lines that leave room for the figures."""
    lines = [""]
    for part in name.replace("+", "+ ").split():
        if lines[-1] and len(lines[-1] + part) > NAME:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def tau_text(value: float) -> str:
    """Two digits; a dash where it is not known."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def plain(c: Compared) -> dict[str, Any]:
    """For JSON."""
    return {
        "name": c.name, "baseline": c.baseline, "core_seconds": c.seconds, "share_better_than_best_baseline": c.better,
        **dataclasses.asdict(c.agreement),
    }  # fmt: skip
