"""The report as one page: `report.html` of a run, or of several side by side. It needs no network and no other file."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from nas.numbers import count, figure, percent
from nas.report.charts import shown_references
from nas.report.importance import importance
from nas.report.network_costs import NetworkCosts, network_costs
from nas.report.table import HYPERPARAMETERS, intervals, summary
from nas.report.words import basis_of, build_command, limits_of, proposals_of
from nas.run import (
    OBJECTIVES,
    Run,
    Trial,
    read_curves,
    read_errors,
    row_of,
    volume_over_trials,
)

LABELS = {
    "accuracy": ("accuracy (validation)", "%"), "test_accuracy": ("accuracy (test)", "%"),
    "latency_ms": ("latency", "ms"), "energy_mj": ("energy", "mJ"), "size_mb": ("size of the weights", "MB"),
    "peak_memory_mb": ("peak memory of activations", "MB"), "params": ("parameters", ""), "macs": ("MACs", ""),
}  # fmt: skip
HEADS = {
    "accuracy": "accuracy", "test_accuracy": "test", "latency_ms": "ms", "energy_mj": "mJ", "size_mb": "MB",
    "params": "params", "macs": "MACs",
}  # fmt: skip
PREDICTED = {
    "latency_ms": {"low": "latency_low_ms", "high": "latency_high_ms", "basis": "latency_basis"},
    "energy_mj": {"low": "energy_low_mj", "high": "energy_high_mj", "basis": "energy_basis"},
}


def page(run: Run) -> str:
    """The page of one run, as HTML."""
    s, curves, errors = run.settings, read_curves(run.path), read_errors(run.path)
    priced = network_costs(run)
    found = importance(run)
    volume = volume_over_trials(run.trials, s)
    tested = any(t.test_accuracy is not None for t in run.front_trials)
    columns = [c for c in HEADS if (c != "test_accuracy" or tested) and (c != "energy_mj" or _has(run, c))]
    measured = run.measured
    data = {
        "kind": "run", "axes": _axes(), "budgets": s.limits,
        "objectives": list(s.columns), "front": [t.trial for t in run.front_trials],
        "hyperparameters": sorted(HYPERPARAMETERS), "unpriced": priced.lacking,
        "blocks": priced.blocks, "measured_blocks": priced.measured,
        "trials": [_trial(run, t, priced, curves, measured) for t in run.trials],
        "references": [{"name": r.name} | _costs(r) for r in shown_references(run)],
        "volume": volume, "importance": found.choices,
    }  # fmt: skip
    heads = [
        _cell("trial"), *(_cell(HEADS[c]) for c in columns), *([_cell("measured ms")] if measured else []),
        _cell("precision", text=True), _cell("costs", text=True), _cell("network", text=True),
    ]  # fmt: skip
    rows = [
        {"trial": t.trial, "cells": [
            _cell(str(t.trial)), *(_cell(_value(t, c)) for c in columns),
            *([_cell(figure(measured[t.trial].latency_ms) if t.trial in measured else "-")] if measured else []),
            _cell(t.candidate.precision, text=True), _cell(basis_of(t.costs), text=True),
            _cell(summary(t.candidate), text=True),
        ]}
        for t in run.front_trials
    ]  # fmt: skip
    trained = [t for t in run.trials if t.state == "trained"]
    reference = ", ".join(
        f"{figure(v)} {LABELS[c][1] or LABELS[c][0]}" for c, v in s.reference_point.items() if c in s.columns
    )
    return _render("run.html.j2", data, {
        "title": f"{s.space} on {s.device}, {s.dataset}",
        "lead": f"{len(trained)} networks trained, {len(run.front_trials)} on the front of {', '.join(s.objectives)}. "
                f"{s.created[:10]}",
        "heads": heads, "rows": rows, "intervals": intervals(run.front_trials),
        "importance": found, "trained": len(trained), "proposals": proposals_of(run),
        "reference": reference or "the reference point",
        "ended": [
            {"trial": t.trial, "how": _how(t, errors), "network": summary(t.candidate)}
            for t in run.trials if t.state != "trained"
        ],
        "command": s.command or f"nas search --device {s.device} --space {s.space} --dataset {s.dataset}",
        "facts": _facts(run), "limits": limits_of(run, priced, measured),
    })  # fmt: skip


def compare_page(runs: Sequence[Run]) -> str:
    """Several runs side by side, as HTML. Their hypervolumes share one box: see `common_box`."""
    from nas.report.compare import best_under, common_box, compare_rows

    box = common_box(runs)
    names = [str(r.path) for r in runs]
    heads, rows, notes = compare_rows(runs, box)
    data = {"kind": "compare", "axes": _axes(), "runs": [
        {"name": name, "trials": [_values(t, r) for t in r.trials], "volume": volume_over_trials(r.trials, box)}
        for name, r in zip(names, runs, strict=True)
    ]}  # fmt: skip
    return _render("compare.html.j2", data, {
        "title": f"{len(runs)} runs side by side", "lead": "; ".join(names), "names": names,
        "heads": [_cell(h, text=not i or h in ("device", "space", "sampler")) for i, h in enumerate(heads)],
        "rows": [{"cells": [_cell(c, text=not i or heads[i] in ("device", "space", "sampler"))
                            for i, c in enumerate(row)]} for row in rows],
        "notes": notes, "under": best_under(runs),
    })  # fmt: skip


def _render(template: str, data: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    here = files("nas.report") / "page"
    environment = Environment(loader=PackageLoader("nas.report", "page"), autoescape=True, trim_blocks=True)
    plotly = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    packed = base64.b64encode(gzip.compress(plotly, 9, mtime=0)).decode()
    return environment.get_template(template).render(
        values, css=Markup((here / "report.css").read_text("utf-8")),
        js=Markup((here / "report.js").read_text("utf-8")), data=Markup(_json(data)), plotly=Markup(packed),
    )  # fmt: skip


def _json(data: Mapping[str, Any]) -> str:
    """JSON that may stand in an HTML script: no character that HTML would take for its own."""
    text = json.dumps(_finite(data), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _finite(value: Any) -> Any:
    """Plain values; a number that is not finite becomes null."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _axes() -> list[dict[str, Any]]:
    return [
        {"column": c, "label": label, "unit": unit, "more": unit == "%"} | PREDICTED.get(c, {})
        for c, (label, unit) in LABELS.items()
    ]


def _trial(
    run: Run, t: Trial, priced: NetworkCosts, curves: Mapping[int, Sequence[Mapping[str, float]]],
    measured: Mapping[int, Any],
) -> dict[str, Any]:  # fmt: skip
    kept = run.model(t.trial).exists()
    found = measured.get(t.trial)
    return _values(t, run) | {
        "choices": t.candidate.as_dict(), "blocks": priced.networks.get(t.trial), "seconds": t.seconds,
        "curve": [epoch.get("validation_accuracy") for epoch in curves.get(t.trial, ())],
        "command": build_command(run, t) if kept else None,
        "measured": None if found is None else {"latency_ms": found.latency_ms, "energy_mj": found.energy_mj},
    }  # fmt: skip


def _values(t: Trial, run: Run) -> dict[str, Any]:
    """What pareto.csv has of a trial, with the same nine digits."""
    row = {k: v for k, v in row_of(t).items() if k not in ("candidate", "seconds", "seed")}
    rounded = {k: float(f"{v:.9g}") if isinstance(v, float) else v for k, v in row.items()}
    return rounded | {"front": t in run.front_trials, "summary": summary(t.candidate)}


def _costs(found: Any) -> dict[str, Any]:
    known = {o.column for o in OBJECTIVES.values() if o.known}
    return {c: getattr(found.costs, c) for c in LABELS if c in known}


def _value(t: Trial, column: str) -> str:
    value = t.value(column)
    if LABELS[column][1] == "%":
        return percent(value)
    return count(value) if column in ("params", "macs") else figure(value)


def _cell(label: str, *, text: bool = False) -> dict[str, Any]:
    return {"label": label, "text": text}


def _has(run: Run, column: str) -> bool:
    return any(t.value(column) >= 0 for t in run.trials)


def _how(t: Trial, errors: Mapping[int, str]) -> str:
    if t.state == "stopped":
        return "stopped early: by its curve so far and its cost it would not have reached the front"
    return f"failed: {errors.get(t.trial) or 'its accuracy was no number'}"


def _facts(run: Run) -> list[tuple[str, str]]:
    s = run.settings
    proxy = ", ".join(f"{k.replace('_', ' ')} {v:g}" if isinstance(v, float | int) else f"{k} {v}"
                      for k, v in s.proxy.items())  # fmt: skip
    return [
        ("sampler", f"{s.sampler}, seed {s.seed}"),
        ("objectives", ", ".join(s.objectives)),
        ("budgets", ", ".join(f"{figure(v)} {LABELS[c][1]} {LABELS[c][0]}".replace("  ", " ")
                              for c, v in s.limits.items()) or "none"),
        ("training", proxy or "-"),
        ("training time", f"{sum(t.seconds for t in run.trials) / 60:.1f} minutes, summed"),
        ("space", f"{s.space}, sha256 {s.space_sha256[:16]}"),
        ("device profile", f"{s.device}, sha256 {s.device_sha256[:16]}"),
        ("dataset", f"{s.dataset}, {s.classes} classes, sha256 {s.dataset_sha256[:16] or '-'}"),
        ("versions", ", ".join(f"{k} {v}" for k, v in s.versions.items()) or "-"),
        ("begun", s.created or "-"),
        ("run folder", str(run.path)),
    ]  # fmt: skip
