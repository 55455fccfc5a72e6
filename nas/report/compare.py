"""Several runs side by side: in one table, in one box for the hypervolume, and the best of each under a budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.files.plain import printable
from nas.numbers import figure, percent
from nas.report.groups import Group, groups_of, spread
from nas.report.pick import pick
from nas.report.table import believed
from nas.report.ties import expected_text
from nas.run import ACCURACY, UNITS, Run, Settings, columns_for, csv_bytes, expected, front_volume, row_of

if TYPE_CHECKING:
    from rich.console import RenderableType

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


HEADS = ("runs", "device", "space", "sampler", "seed", "trained", "front", "hypervolume", "best accuracy", "hours")
TEXTS = ("runs", "device", "space", "sampler")  # the columns that hold no numbers


def compare_rows(groups: Sequence[Group], box: Settings) -> list[list[str]]:
    """A row a group, under `HEADS`: the median of its runs, and the lowest and the highest where it has several."""
    rows = []
    for group in groups:
        s, runs = group.runs[0].settings, group.runs
        trained = [[t for t in r.trials if t.state == "trained"] for r in runs]
        best = [max(of_run, key=expected) for of_run in trained if of_run]
        text = expected_text(best[0], s.validation_images) if best else ""
        rows.append([
            group.name, s.device_name, s.space_name, s.sampler, group.seeds,
            spread([len(of_run) for of_run in trained], lambda n: f"{n:g}"),
            spread([len(r.front_trials) for r in runs], lambda n: f"{n:g}"),
            spread([front_volume(r.trials, box) for r in runs], "{:.4f}".format if len(runs) == 1 else "{:.3f}".format),
            text if len(best) == 1 else spread([expected(t) for t in best], percent),
            spread([sum(t.seconds for t in r.trials) / 3600 for r in runs], lambda h: f"{h:.2f}"),
        ])  # fmt: skip
    return rows


def notes_on(groups: Sequence[Group], box: Settings) -> list[str]:
    """What must be said of a comparison, a sentence each."""
    runs = [r for group in groups for r in group.runs]
    corner = ", ".join(f"{figure(v)} {UNITS.get(c, c)}" for c, v in box.reference_point.items())
    notes = [
        f"Hypervolume is over {', '.join(box.objectives)}, with the reference point accuracy 0 at {corner}; 1 would be "
        "accuracy 100% at no cost."
    ]
    if any(believed(r.trials) for r in runs):
        notes.append(
            "Accuracies are the expected ones, ± one standard deviation on new images, where a run knows them."
        )
    if any(len(group.runs) > 1 for group in groups):
        notes.append("Runs with equal settings but the seed are grouped: the median, then the lowest and the highest.")
    if len({(r.settings.dataset, r.settings.dataset_sha256) for r in runs}) > 1:
        notes.append("These runs used different data, so their accuracies cannot be compared.")
    if len({repr(dict(r.settings.proxy)) for r in runs}) > 1:
        notes.append("These runs trained differently (epochs, images or resolution), which also changes accuracies.")
    if len({r.settings.device for r in runs}) > 1:
        notes.append("The costs of each run are those on its own device.")
    if any(r.measured for r in runs):
        notes.append("The table of budgets uses measured costs where there are any; the charts show predicted costs.")
    if any(len(group.runs) == 1 for group in groups):
        notes.append(
            "With one run each, a difference may be due to the seed: run several seeds, or compare samplers with nas "
            "bench search."
        )
    return notes


def best_under(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The most accurate network of each group within some latencies, spread over what the runs have."""
    runs = [r for group in groups for r in group.runs]
    found = sorted(t.costs.latency_ms for r in runs for t in r.as_measured(r.front_trials) if t.costs.latency_ms > 0)
    if not found:
        return []
    marks = sorted({_round(found[min(len(found) - 1, (k + 1) * len(found) // MARKS)]) for k in range(MARKS)})
    return [{"budget": f"{figure(ms)} ms", "cells": [_best(group, ms) for group in groups]} for ms in marks]


def _best(group: Group, ms: float) -> str:
    """In words; what was measured counts."""
    picks = []
    for r in group.runs:
        try:
            picks.append(pick(r, max_latency_ms=ms, greedy=True))
        except UserError:
            continue
    if not picks:
        return "none"
    if len(group.runs) > 1:
        lacking = len(group.runs) - len(picks)
        return spread([expected(t) for t in picks], percent) + (f", {lacking} have none" if lacking else "")
    (t,), (r,) = picks, group.runs
    energy = "" if t.costs.energy_mj is None else f", {figure(t.costs.energy_mj)} mJ"
    return (
        f"{expected_text(t, r.settings.validation_images)} (trial {t.trial}, {figure(t.costs.latency_ms)} ms{energy})"
    )


def _round(ms: float) -> float:
    """Upwards to two digits."""
    step = 10.0 ** (math.floor(math.log10(ms)) - 1)
    return math.ceil(ms / step) * step


def compare_csv(runs: Sequence[Run]) -> str:
    """Every front in one table: the columns of pareto.csv, and before them the run."""
    rows = ({"run": str(r.path)} | row_of(t) for r in runs for t in r.front_trials)
    columns = max((columns_for(r.settings) for r in runs), key=len)
    return csv_bytes(("run", *columns), rows).decode()


def compare_json(runs: Sequence[Run]) -> dict[str, Any]:
    """Every run with its hypervolume and front, and which runs form a group."""
    box = common_box(runs)
    return {
        "objectives": list(box.objectives), "reference_point": dict(box.reference_point),
        "groups": [{"name": g.name, "runs": [str(r.path) for r in g.runs]} for g in groups_of(runs)],
        "runs": [
            {"run": str(r.path), "device": r.settings.device, "space": r.settings.space, "sampler": r.settings.sampler,
             "seed": r.settings.seed, "trials": len(r.trials), "hypervolume": front_volume(r.trials, box),
             "front": [row_of(t) | {"candidate": t.candidate.as_dict()} for t in r.front_trials]}
            for r in runs
        ],
    }  # fmt: skip


def compare_table(runs: Sequence[Run]) -> RenderableType:
    """The groups as a table of at most 80 columns: what differs between them, and how they did."""
    from rich import box as boxes
    from rich.console import Group as Lines
    from rich.table import Table
    from rich.text import Text

    groups, box = groups_of(runs), common_box(runs)
    rows, shared = compare_rows(groups, box), _shared_folder([g.name for g in groups])
    differ = [h for i, h in enumerate(HEADS) if len({row[i] for row in rows}) > 1]
    told = ["runs", *(h for h in ("device", "space", "sampler", "seed", "trained") if h in differ)]
    if any(len(g.runs) > 1 for g in groups):  # the group's name says the rest
        told = ["runs"]
    table = Table(box=boxes.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    numbers = ("front", "hypervolume", "best accuracy")
    for head in (*told, *numbers):
        words = head in TEXTS or head == "seed"
        table.add_column(head, justify="left" if words else "right", overflow="fold", min_width=min(len(head), 6))
    for row in rows:
        cells = [row[HEADS.index(head)] for head in (*told, *numbers)]
        table.add_row(*(Text(printable(cell.removeprefix(shared))) for cell in cells))
    lines = [Text(printable(f"in {shared}"))] if shared else []
    return Lines(*lines, table, *(Text(note) for note in notes_on(groups, box)))


def _shared_folder(paths: Sequence[str]) -> str:
    """The folders that all paths begin with, and the slash after them; empty where there is none."""
    folders = [PurePath(path).parts[:-1] for path in paths]
    alike = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))]
    return f"{PurePath(*alike)}/".replace("//", "/") if alike else ""
