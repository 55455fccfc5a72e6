"""The report as one page: `report.html` of a run, or of several side by side. It needs no network and no other file."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from nas.numbers import count, figure, percent
from nas.page import house_css
from nas.page.boxes import picture_sources, picture_with_boxes
from nas.report.accelerator import accelerator_notes
from nas.report.compare import HEADS, TEXTS, best_under, common_box, compare_rows, notes_on
from nas.report.detection import class_colors, detected, drawn_pictures, metric, samples
from nas.report.detection import notes as detection_notes
from nas.report.groups import Group, groups_of
from nas.report.importance import importance
from nas.report.network_costs import network_costs
from nas.report.page_data import LABELS, comparison_data, run_data
from nas.report.ranking import ranking_notes
from nas.report.table import accuracy_notes, believed, intervals, summary
from nas.report.ties import expected_text, tied_with
from nas.report.words import basis_of, limits_of, proposals_of
from nas.run import Run, Trial, read_errors

COLUMNS = {
    "accuracy": "accuracy", "ap50": "AP50", "test_accuracy": "test", "robust_accuracy": "robust", "latency_ms": "ms",
    "energy_mj": "mJ", "size_mb": "MB", "params": "params", "macs": "MACs",
}  # fmt: skip
BELIEVED = ("expected", "on the front", "trainings", "tied with")
NOT_ALWAYS = ("ap50", "test_accuracy", "robust_accuracy", "energy_mj")  # shown where a network of the front has it
MOST_ENDED = 200  # trials that did not finish, in the table
MOST_TIES = 3  # named in a row of the front
MOST_COLORS = 12  # classes in the legend of pictures with boxes
SCRIPTS = {"run": ("common", "pick", "charts", "run"), "compare": ("common", "compare")}  # in this order


def page(run: Run) -> str:
    """The page of one run, as HTML."""
    s, errors, measured = run.settings, read_errors(run.path), run.measured
    costs, found = network_costs(run), importance(run)
    columns = [c for c in COLUMNS if c not in NOT_ALWAYS or any(t.value(c) >= 0 for t in run.front_trials)]
    known, ties = believed(run.trials), tied_with(run.front_trials)
    if known:  # params make room: the pick's card has them
        columns.remove("params")
        if detected(run.front_trials):  # and for AP50
            columns.remove("macs")
    names = COLUMNS | {"accuracy": "measured" if known else metric(run)}
    expected = ("expected mAP" if metric(run) == "mAP" else BELIEVED[0], *BELIEVED[1:])
    heads = [
        _cell("trial"), *(map(_cell, expected) if known else ()), *(_cell(names[c]) for c in columns),
        *([_cell("measured ms")] if measured else []),
        _cell("precision", text=True), _cell("basis", text=True), _cell("network", text=True),
    ]  # fmt: skip
    rows = [
        {"trial": t.trial, "cells": [
            _cell(str(t.trial)), *(map(_cell, _believed_of(t, s.validation_images, ties[t.trial])) if known else ()),
            *(_cell(_value(t, c)) for c in columns),
            *([_cell(figure(measured[t.trial].latency_ms) if t.trial in measured else "-")] if measured else []),
            _cell(t.candidate.precision, text=True), _cell(basis_of(t.costs), text=True),
            _cell(summary(t.candidate), text=True),
        ]}
        for t in run.front_trials
    ]  # fmt: skip
    trained = [t for t in run.trials if t.state == "trained"]
    ended = [t for t in run.trials if t.state != "trained"]
    reference = ", ".join(
        f"{figure(v)} {LABELS[c][1] or LABELS[c][0]}" for c, v in s.reference_point.items() if c in s.columns
    )
    return _render("run", run_data(run, costs, found, errors), {
        "title": f"{s.space_name} on {s.device_name}, {s.dataset}", "skip": "pick",
        "objectives": ", ".join(s.objectives),
        "lead": f"{len(trained):,} networks trained, {len(run.front_trials):,} on the Pareto front of "
                f"{', '.join(s.objectives)}. {s.created[:10]}",
        "heads": heads, "rows": rows, "intervals": intervals(run.front_trials),
        "believed": known, "left_off": len(run.left_off), "accuracies": accuracy_notes(run, whole=True),
        "ranking": ranking_notes(run),
        "importance": found, "trained": len(trained), "proposals": proposals_of(run),
        "accelerator": accelerator_notes(run), "detection": detection_notes(run), **_pictures(run),
        "reference": reference or "the reference point",
        "ended": [
            {"trial": t.trial, "how": _how(t, errors), "network": summary(t.candidate)} for t in ended[:MOST_ENDED]
        ],
        "stopped": sum(t.state == "stopped" for t in ended), "failed": sum(t.state == "failed" for t in ended),
        "unlisted": max(0, len(ended) - MOST_ENDED),
        "command": s.command or f"nas search --device {s.device} --space {s.space} --dataset {s.dataset}",
        "facts": _facts(run), "limits": limits_of(run, costs.about, measured),
    })  # fmt: skip


def _pictures(run: Run) -> dict[str, Any]:
    """The pictures that were kept, with what networks of the front find in them."""
    kept, colors = run.pictures, class_colors(run)
    pictures = drawn_pictures(kept.pictures if kept else [])
    shown = {name: colors[name] for name in dict.fromkeys(n for p in pictures for n, _, _ in p.objects)}
    return {
        "sources": picture_sources(pictures), "colors": list(shown.items())[:MOST_COLORS],
        "samples": [
            (one["trial"], [
                picture_with_boxes(picture, boxes, colors)
                for picture, boxes in zip(pictures, one["boxes"], strict=True)
            ])
            for one in samples(run)
        ],
    }  # fmt: skip


def compare_page(runs: Sequence[Run]) -> str:
    """Several runs side by side, as HTML. Their hypervolumes share one box: see `common_box`."""
    box, groups = common_box(runs), groups_of(runs)
    heads = [_cell(h, text=h in TEXTS) for h in HEADS]
    each = [Group(str(r.path), (r,)) for r in runs]

    def rows(of: Sequence[Group]) -> list[dict[str, Any]]:
        return [
            {"cells": [_cell(c, text=h in TEXTS) for h, c in zip(HEADS, row, strict=True)]}
            for row in compare_rows(of, box)
        ]

    return _render("compare", comparison_data(runs, groups, box), {
        "title": f"{len(runs)} runs side by side", "skip": "runs", "lead": "; ".join(str(r.path) for r in runs),
        "names": [g.name for g in groups], "grouped": len(groups) < len(runs), "heads": heads, "rows": rows(groups),
        "each": rows(each), "notes": notes_on(groups, box), "under": best_under(groups),
    })  # fmt: skip


def _render(kind: str, data: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    here = files("nas.report") / "page"
    environment = Environment(loader=PackageLoader("nas.report", "page"), autoescape=True, trim_blocks=True)
    scripts = [(here / f"{name}.js").read_text("utf-8") for name in SCRIPTS[kind]]
    return environment.get_template(f"{kind}.html.j2").render(
        values, css=Markup(house_css() + (here / "report.css").read_text("utf-8")), js=Markup("\n".join(scripts)),
        data=Markup(_packed(json.dumps(data, separators=(",", ":"), allow_nan=False).encode())),
        plotly=Markup(_packed((files("plotly") / "package_data" / "plotly.min.js").read_bytes())),
    )  # fmt: skip


def _packed(data: bytes) -> str:
    """Compressed, and in letters that HTML takes for none of its own."""
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def _value(t: Trial, column: str) -> str:
    value = t.value(column)
    if LABELS[column][1] == "%":
        return percent(value)
    return count(value) if column in ("params", "macs") else figure(value)


def _believed_of(t: Trial, images: int, ties: Sequence[int]) -> tuple[str, ...]:
    """Cells under `BELIEVED`."""
    named = ", ".join(map(str, ties[:MOST_TIES])) + (f" and {len(ties) - MOST_TIES} more" * (len(ties) > MOST_TIES))
    return expected_text(t, images), percent(t.front_probability, 0), str(t.trainings), named


def _cell(label: str, *, text: bool = False) -> dict[str, Any]:
    return {"label": label, "text": text}


def _how(t: Trial, errors: Mapping[int, str]) -> str:
    if t.state == "stopped":
        return "stopped early: it was unlikely to reach the front"
    return f"failed: {errors.get(t.trial) or 'its accuracy is not a number'}"


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
        ("training time", f"{sum(t.seconds for t in run.trials) / 60:.1f} minutes in total"),
        ("space", f"{s.space}, sha256 {s.space_sha256[:16]}"),
        ("device profile", f"{s.device}, sha256 {s.device_sha256[:16]}"),
        *([("target", f"{s.target}, sha256 {s.target_sha256[:16]}")] if s.target else []),
        ("dataset", f"{s.dataset}, {s.classes} classes, sha256 {s.dataset_sha256[:16] or '-'}"),
        ("versions", ", ".join(f"{k} {v}" for k, v in s.versions.items()) or "-"),
        ("started", s.created or "-"),
        ("run folder", str(run.path)),
    ]  # fmt: skip
