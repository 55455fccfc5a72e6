"""The tables of README.md, of the CSV files beside this one: python experiments/self-calibration/tables.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
LONGEST = 1000  # frames that an alarm had time for
ESTIMATES = ("constant", "confidence", "ATC", "COT", "ours", "ours, all shifts", "ours, any mix")
FIRST = ("picture", "features", "accuracy")


def row(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |")


def head(*cells: str) -> None:
    row(*cells)
    print("|" + "---|" * len(cells))


def rates(table: pd.DataFrame) -> None:
    """False alarms per 10,000 frames: over all, and the worst network."""
    streams = list(dict.fromkeys(table.stream))
    head("detector", *(f"{stream} (worst network)" for stream in streams))
    for name in [*FIRST, *(n for n in dict.fromkeys(table.detector) if n not in FIRST)]:
        cells = []
        for stream in streams:
            own = table[(table.detector == name) & (table.stream == stream)]
            each = own.groupby("network")[["alarms", "frames"]].sum()
            whole = 10_000 * own.alarms.sum() / own.frames.sum()
            cells.append(f"{whole:.1f} ({(10_000 * each.alarms / each.frames).max():.1f})")
        row(name, *cells)
    row("always fires", *["10,000"] * len(streams))
    row("never fires", *["0"] * len(streams))
    print()


def delays(table: pd.DataFrame) -> None:
    """Median frames to the alarm over networks and seeds, with the share that was missed."""
    names = [*FIRST, *(n for n in dict.fromkeys(table.detector) if n not in FIRST)]
    head("corruption, severity", *names)
    for (corruption, severity), own in table.groupby(["corruption", "severity"], sort=False):
        cells = []
        for name in names:
            frames = own[own.detector == name].frames
            if not len(frames):
                cells.append("")
                continue
            missed = (frames >= LONGEST).mean()
            median = float(frames.median())
            cells.append(("-" if median >= LONGEST else f"{median:.0f}") + (f" ({missed:.0%})" if missed else ""))
        row(f"{corruption} {severity}", *cells)
    print()
    strong = table[table.severity >= 3]
    for name, limit in (("picture", 50), ("features", 250)):
        frames = strong[strong.detector == name].frames
        late = strong[(strong.detector == name) & (strong.frames > limit)]
        of = ", ".join(f"{c} {s} ({n})" for (c, s), n in late.groupby(["corruption", "severity"]).size().items())
        share = f"{(frames <= limit).mean():.1%} of {len(frames)} changes"
        print(f"{name}: {share} within {limit} frames; later: {of or 'none'}\n")


def accuracy(table: pd.DataFrame) -> None:
    """Errors in points on windows of 500."""
    lost = 100 * (table.constant - table.true)
    head(
        "estimate",
        "mean",
        "95th percentile",
        "largest",
        "95th, where 20 points and more are lost",
        "95th, worst network",
    )
    for name in ESTIMATES:
        error = 100 * (table[name] - table.true).abs()
        worst = max(np.quantile(error[table.network == n], 0.95) for n in set(table.network))
        row(name, f"{error.mean():.1f}", f"{np.quantile(error, 0.95):.1f}", f"{error.max():.1f}",
            f"{np.quantile(error[lost >= 20], 0.95):.1f}", f"{worst:.1f}")  # fmt: skip
    inside = (table.low <= table.true) & (table.true <= table.high)
    trusted = table.trusted == 1
    half = 50 * (table.high - table.low)
    print(f"\n{len(table)} windows, {(lost >= 20).sum()} of them with 20 points and more lost.")
    print(f"{inside.mean():.0%} lie within the interval of ours, on average plus or minus {half.mean():.1f} points;")
    print(f"{trusted.mean():.0%} are said to be trusted, and of these {inside[trusted].mean():.0%}.\n")
    accuracy_by_network(table)
    head("corruption", "points lost", *(f"{name}: mean error" for name in ESTIMATES[1:]))
    for corruption, own in table.groupby("corruption", sort=False):
        errors = [f"{100 * (own[name] - own.true).mean():+.1f}" for name in ESTIMATES[1:]]
        row(corruption, f"{100 * (own.constant - own.true).mean():.1f}", *errors)
    print()


def accuracy_by_network(table: pd.DataFrame) -> None:
    """Both precisions of a network: errors at the 95th percentile, unseen and as deployed, and intervals."""
    table = table.assign(
        name=table.network.str.partition("-")[0], lost=100 * (table.constant - table.true),
        inside=(table.low <= table.true) & (table.true <= table.high), half=50 * (table.high - table.low),
    )  # fmt: skip
    head("network", "validation", "95th percentile: ours unseen, as deployed", "where 20 points are lost",
         "where 30 are", "within the interval: all, 20 points lost", "its half: all, 20 lost")  # fmt: skip
    for name, own in (*table.groupby("name", sort=False), ("all", table)):
        cells = []
        for least in (-100, 20, 30):
            some = own[own.lost >= least]
            errors = (100 * np.quantile((some[kind] - some.true).abs(), 0.95) for kind in ("ours", "ours, all shifts"))
            cells.append(", ".join(f"{error:.1f}" for error in errors))
        much = own[own.lost >= 20]
        row(name, f"{100 * own.constant.mean():.1f}", *cells, f"{own.inside.mean():.0%}, {much.inside.mean():.0%}",
            f"{own.half.mean():.1f}, {much.half.mean():.1f}")  # fmt: skip
    print()


def main() -> None:
    for name, show in (("rates", rates), ("delays", delays), ("accuracy", accuracy)):
        show(pd.read_csv(HERE / f"{name}.csv"))


if __name__ == "__main__":
    main()
