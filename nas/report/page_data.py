"""What the page is given to show: columns, not rows, so that a run of thousands of trials is a file for a mailbox."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nas.report.charts import shown_references
from nas.report.detection import detected, page_detection
from nas.report.groups import Group
from nas.report.importance import Importance
from nas.report.network_costs import NetworkCosts
from nas.report.table import HYPERPARAMETERS, believed, summary
from nas.report.ties import CLEAR, bias_share
from nas.report.words import build_command
from nas.run import (
    COLUMNS,
    TIE_DEVIATIONS,
    Reference,
    Run,
    Settings,
    Trial,
    read_curves,
    row_of,
    volume_over_trials,
)
from nas.run.average_precision import NUMBERS

EXPECTED = "expected"  # a column that the page makes: the expected accuracy, or the measured one where there is none
INTERVAL = "interval"  # and another one: `nas.report.ties.interval`
LABELS = {
    EXPECTED: ("expected accuracy", "%"),
    "accuracy": ("accuracy (validation)", "%"), "ap50": ("AP50 (validation)", "%"),
    "test_accuracy": ("accuracy (test)", "%"),
    "robust_accuracy": ("accuracy (corrupted images)", "%"),
    "latency_ms": ("latency", "ms"), "energy_mj": ("energy", "mJ"), "size_mb": ("size of the weights", "MB"),
    "peak_memory_mb": ("peak memory of activations", "MB"), "params": ("parameters", ""), "macs": ("MACs", ""),
}  # fmt: skip
PREDICTED = {
    EXPECTED: {"deviation": INTERVAL},
    "latency_ms": {"low": "latency_low_ms", "high": "latency_high_ms", "basis": "latency_basis"},
    "energy_mj": {"low": "energy_low_mj", "high": "energy_high_mj", "basis": "energy_basis"},
}
SHOWN = tuple(c for c in COLUMNS if c not in ("candidate", "seed"))  # of trials.csv
DETECTORS = {name: (label.replace("accuracy", "mAP"), unit) for name, (label, unit) in LABELS.items()}


def run_data(run: Run, costs: NetworkCosts, importance: Importance, errors: Mapping[int, str]) -> dict[str, Any]:
    """Everything that the page of one run draws or says by itself, as JSON: what is not finite is null."""
    s, curves = run.settings, read_curves(run.path)
    return {
        "kind": "run", "axes": axes(run.trials), "detection": page_detection(run),
        "budgets": finite(s.limits), "objectives": list(s.columns),
        "guide": s.guide, "tie_deviations": TIE_DEVIATIONS, "clear": CLEAR, "bias": bias_share(s),
        "cost_order": [s.first_cost, *(c for c in s.costs if c != s.first_cost)],
        "front": [t.trial for t in run.front_trials], "left_off": [t.trial for t in run.left_off],
        "validation_images": s.validation_images, "columns": columns(run.trials),
        "summaries": [summary(t.candidate) for t in run.trials], "choices": choices(run.trials),
        "hyperparameters": sorted(HYPERPARAMETERS), "errors": dict(errors),
        "blocks": costs.blocks, "networks": dict(costs.networks), "measured_blocks": costs.measured,
        "no_blocks": costs.lacking,
        "curves": {n: [finite(epoch.get("validation_accuracy")) for epoch in curve] for n, curve in curves.items()},
        "commands": {t.trial: build_command(run, t) for t in run.trials if run.model(t.trial).exists()},
        "measured": {n: {"latency_ms": m.latency_ms, "energy_mj": m.energy_mj} for n, m in run.measured.items()},
        "references": [_reference(r) for r in shown_references(run)],
        "volume": finite(steps(volume_over_trials(run.trials, s))), "importance": finite(importance.choices),
    }  # fmt: skip


def comparison_data(runs: Sequence[Run], groups: Sequence[Group], box: Settings) -> dict[str, Any]:
    """What the page of several runs draws; each run of `groups` by its place among `runs`."""
    return {
        "kind": "compare", "axes": axes([t for r in runs for t in r.trials]),
        "groups": [{"name": g.name, "runs": [runs.index(r) for r in g.runs]} for g in groups],
        "runs": [
            {"name": str(r.path), "columns": columns(r.trials), "summaries": [summary(t.candidate) for t in r.trials],
             "front": [t.trial for t in r.front_trials], "validation_images": r.settings.validation_images,
             "volume": finite(steps(volume_over_trials(r.trials, box)))}
            for r in runs
        ],
    }  # fmt: skip


def axes(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """What may be drawn: column, label, unit, whether more is better, the columns of its interval and basis, or of its
    standard deviation."""
    boxes = detected(trials)
    labels = DETECTORS if boxes else {name: label for name, label in LABELS.items() if name != "ap50"}
    if believed(trials):
        labels = labels | {"accuracy": (f"measured {'mAP' if boxes else 'accuracy'} (validation)", "%")}
    return [
        {"column": c, "label": label, "unit": unit, "more": unit == "%"} | PREDICTED.get(c, {})
        for c, (label, unit) in labels.items()
    ]


def columns(trials: Sequence[Trial]) -> dict[str, Any]:
    """The columns of trials.csv that the page shows, with the same nine digits; words as places in a list."""
    rows = [row_of(t) for t in trials]
    found: dict[str, Any] = {}
    for name in (*SHOWN, *(NUMBERS if detected(trials) else ())):
        values = [row.get(name) for row in rows]
        words = any(isinstance(v, str) for v in values)
        found[name] = coded(values) if words else [_nine_digits(v) for v in values]
    return found


def choices(trials: Sequence[Trial]) -> dict[str, dict[str, Any]]:
    """The value of every choice in every trial."""
    every = [t.candidate.as_dict() for t in trials]
    return {name: coded([c.get(name) for c in every]) for name in dict.fromkeys(n for c in every for n in c)}


def coded(values: Sequence[Any]) -> dict[str, Any]:
    """The distinct values, and each value's place among them."""
    places: dict[Any, int] = {}
    at = [places.setdefault((type(v), v), len(places)) for v in values]
    return {"values": finite([v for _, v in places]), "at": at}


def steps(volume: Iterable[tuple[int, float, float]]) -> list[tuple[int, float, float]]:
    """(trial, seconds, hypervolume) where the hypervolume changed, with the first and the last: a line drawn in steps
    needs no more."""
    every = list(volume)
    return [v for i, v in enumerate(every) if i in (0, len(every) - 1) or v[2] != every[i - 1][2]]


def finite(value: Any) -> Any:
    """The same in plain lists and dictionaries; a number that is not finite is None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    return [finite(v) for v in value] if isinstance(value, list | tuple) else value


def _nine_digits(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.9g}") if isinstance(value, float) else value


def _reference(r: Reference) -> dict[str, Any]:
    known = {c: getattr(r.costs, c) for c in LABELS if hasattr(r.costs, c)}
    return {"name": r.name, "precision": r.precision} | {c: finite(v) for c, v in known.items()}
