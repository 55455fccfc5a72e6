"""Several runs side by side: in one table, in one box for the hypervolume, and the best of each under a budget."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nas.errors import UserError
from nas.numbers import figure, percent
from nas.report.pick import pick
from nas.run import ACCURACY, COLUMNS, UNITS, Run, Settings, csv_bytes, front_volume, row_of

MARKS = 5  # budgets that the table has


def shared_objectives(runs: Sequence[Run]) -> tuple[str, ...]:
    """The objectives that all runs have. Raises UserError where accuracy and one cost are not among them."""
    shared = tuple(o for o in runs[0].settings.objectives if all(o in r.settings.objectives for r in runs))
    if ACCURACY.name not in shared or len(shared) < 2:
        has = "; ".join(f"{r.path}: {', '.join(r.settings.objectives)}" for r in runs)
        raise UserError(f"runs are compared by accuracy and a cost that all of them have as objectives; {has}")
    return shared


def common_box(runs: Sequence[Run]) -> Settings:
    """Settings whose hypervolume is the same box for all: their shared objectives, up to the greatest reference."""
    first, shared = runs[0].settings, shared_objectives(runs)
    settings = replace(first, objectives=shared)
    greatest = {c: max(r.settings.reference_point.get(c, 1.0) for r in runs) for c in settings.costs}
    return replace(settings, reference_point=greatest)


def compare_rows(runs: Sequence[Run], box: Settings) -> tuple[list[str], list[list[str]], list[str]]:
    """Heads, a row a run, and what must be said of them."""
    heads = ["run", "device", "space", "sampler", "seed", "trained", "front", "hypervolume", "best accuracy", "hours"]
    rows = []
    for r in runs:
        s, trained = r.settings, [t for t in r.trials if t.state == "trained"]
        best = max((t.value(ACCURACY.column) for t in trained), default=None)
        rows.append([
            str(r.path), s.device, s.space, s.sampler, str(s.seed), str(len(trained)), str(len(r.front_trials)),
            f"{front_volume(r.trials, box):.4f}", percent(best),
            f"{sum(t.seconds for t in r.trials) / 3600:.2f}",
        ])  # fmt: skip
    corner = ", ".join(f"{figure(v)} {UNITS.get(c, c)}" for c, v in box.reference_point.items())
    notes = [f"Hypervolume: over {', '.join(box.objectives)}, from accuracy 0 at {corner}; 1 would be accuracy 100% at "
             "no cost."]  # fmt: skip
    if len({(r.settings.dataset, r.settings.dataset_sha256) for r in runs}) > 1:
        notes.append("These runs are of different data: their accuracies cannot be compared.")
    if len({repr(dict(r.settings.proxy)) for r in runs}) > 1:
        notes.append("These runs trained differently (epochs, images or resolution): accuracies differ for that, too.")
    if len({r.settings.device for r in runs}) > 1:
        notes.append("Costs are each of the run's own device.")
    if any(r.measured for r in runs):
        notes.append("What was measured counts in the table of budgets; the charts show what was predicted.")
    notes.append("One run each: a difference may be the seed's. nas bench search compares samplers over many seeds.")
    return heads, rows, notes


def best_under(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The most accurate network of each run under some latencies, spread over what the runs have."""
    found = sorted(t.costs.latency_ms for r in runs for t in r.as_measured(r.front_trials) if t.costs.latency_ms > 0)
    if not found:
        return []
    marks = sorted({_round(found[min(len(found) - 1, (k + 1) * len(found) // MARKS)]) for k in range(MARKS)})
    return [{"budget": f"{figure(ms)} ms", "cells": [_best(r, ms) for r in runs]} for ms in marks]


def _best(run: Run, ms: float) -> str:
    """In words; what was measured counts."""
    try:
        t = pick(run, max_latency_ms=ms)
    except UserError:
        return "none"
    energy = "" if t.costs.energy_mj is None else f", {figure(t.costs.energy_mj)} mJ"
    return f"{percent(t.accuracy)} (trial {t.trial}, {figure(t.costs.latency_ms)} ms{energy})"


def _round(ms: float) -> float:
    """Upwards to two digits."""
    step = 10.0 ** (math.floor(math.log10(ms)) - 1)
    return math.ceil(ms / step) * step


def compare_csv(runs: Sequence[Run]) -> str:
    """Every front in one table: the columns of pareto.csv, and before them the run."""
    rows = ({"run": str(r.path)} | row_of(t) for r in runs for t in r.front_trials)
    return csv_bytes(("run", *COLUMNS), rows).decode()


def compare_json(runs: Sequence[Run]) -> str:
    box = common_box(runs)
    return json.dumps({
        "objectives": list(box.objectives), "reference_point": dict(box.reference_point),
        "runs": [
            {"run": str(r.path), "device": r.settings.device, "space": r.settings.space, "sampler": r.settings.sampler,
             "seed": r.settings.seed, "trials": len(r.trials), "hypervolume": front_volume(r.trials, box),
             "front": [row_of(t) | {"candidate": t.candidate.as_dict()} for t in r.front_trials]}
            for r in runs
        ],
    }, indent=1) + "\n"  # fmt: skip
