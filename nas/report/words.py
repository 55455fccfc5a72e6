"""What a report says in plain words: how to build a network, and what was not measured."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nas.device.info import About
from nas.numbers import count, figure, percent
from nas.report.detection import metric, size_and_class_lines
from nas.report.ranking import not_known, source_of
from nas.report.table import summary
from nas.report.ties import expected_text, guided
from nas.run import LATENCY, OBJECTIVES, Costs, MeasuredCosts, Run, Trial, row_of


def build_command(run: Run, trial: Trial) -> str:
    """The command that writes a trial's network, with its proxy weights, as ONNX."""
    return f"nas build {shlex.quote(str(run.path))} --pick {trial.trial} --onnx trial-{trial.trial}.onnx"


def basis_of(costs: Costs) -> str:
    """What a network's costs were predicted from: one word where latency and energy agree."""
    if costs.energy_basis in (None, costs.latency_basis):
        return costs.latency_basis
    return f"ms {costs.latency_basis}, mJ {costs.energy_basis}"


def pick_text(run: Run, picked: Trial, ties: Sequence[Trial] = ()) -> str:
    """A picked network in a few lines of 80 columns: what is expected of it, why it was taken where others cannot be
    told from the best, how it is deployed, its architecture, how to rebuild it. `ties`: `nas.report.pick.Choice`."""
    c, why = picked.costs, ties_text(run, ties)
    energy = "" if c.energy_mj is None else f", {figure(c.energy_mj)} mJ"
    robust = "" if picked.robust_accuracy is None else f", {percent(picked.robust_accuracy)} on corrupted images,"
    accuracy = expected_text(picked, run.settings.validation_images) + " mAP" * (metric(run) == "mAP")
    lines = [
        f"trial {picked.trial}: {accuracy}{robust} at {figure(c.latency_ms)} ms{energy} ({basis_of(c)})",
        *textwrap.wrap(why, 80),
    ]
    if picked.expected_accuracy is not None:
        of = "of one training" if picked.trainings == 1 else f"of one of {picked.trainings} trainings"
        lines.append(f"that accuracy is expected; measured: {percent(picked.accuracy)}, {of}")
    for line in size_and_class_lines(run, picked):
        lines += textwrap.wrap(line, 80, subsequent_indent="  ", replace_whitespace=False)
    lines += [
        f"deployed: {picked.candidate.precision}, {figure(c.size_mb)} MB, {count(c.macs)} MACs",
        f"network: {summary(picked.candidate)}  (every choice: --json)",
        f"rebuild it: {build_command(run, picked)}",
    ]
    return "\n".join(lines)


def ties_text(run: Run, ties: Sequence[Trial]) -> str:
    """Why one of these networks was picked, in a sentence; empty where there is but one."""
    if len(ties) < 2:
        return ""
    picked, *others, best = ties
    most = f"the most accurate, trial {best.trial} ({expected_text(best, run.settings.validation_images)})"
    if guided(ties):
        return (
            f"{count(len(ties) - 1)} other network{'s are' if len(ties) > 2 else ' is'} not clearly less accurate than "
            f"{most}; of all these, this one is the best by scores without training ({run.settings.guide}) and "
            "accuracy together"
        )
    more = f" and {len(others)} other{'s' * (len(others) > 1)}" if others else ""
    cost = next(o for o in OBJECTIVES.values() if o.column == run.settings.first_cost)
    cheapest = "fastest" if cost is LATENCY else f"one of least {cost.words}"
    return f"trial {picked.trial}{more} cannot be told from {most}; this is the {cheapest}"


def pick_json(run: Run, picked: Trial, ties: Sequence[Trial] = ()) -> dict[str, Any]:
    """The row of trials.csv of a picked network, as it was predicted, with its choices and what was measured.

    `ties`: the trials that cannot be told from the most accurate, which is the last.
    """
    predicted = next(t for t in run.trials if t.trial == picked.trial)
    measured = run.measured.get(picked.trial)
    named = {"class_names": list(run.settings.class_names)} if predicted.average_precision else {}
    return row_of(predicted) | named | {
        "candidate": picked.candidate.as_dict(), "build": build_command(run, picked),
        "measured": None if measured is None else asdict(measured), "ties": [t.trial for t in ties],
    }  # fmt: skip


def proposals_of(run: Run) -> str:
    """What became of the sampler's proposals, in a sentence; empty where the search did not say."""
    found = run.proposals
    if not found:
        return ""
    total, infeasible, known = sum(found.values()), found.get("infeasible", 0), found.get("duplicate", 0)
    if not infeasible and not known:
        return f"The sampler proposed {total:,} candidates; each was feasible and new."
    return (
        f"The sampler proposed {total:,} candidates. Not trained: {infeasible:,} that exceed a budget or have no known "
        f"cost on this device, and {known:,} that had been tried before."
    )


def limits_of(run: Run, profile: About | None, measured: Mapping[int, MeasuredCosts]) -> list[str]:
    """What the numbers of this run are not, a sentence each."""
    s, front = run.settings, run.front_trials
    said = []
    there = [measured[t.trial] for t in front if t.trial in measured]
    where = ", ".join(sorted({m.where for m in there}))
    if not front:
        said.append("No network is trained yet, so there is nothing to measure.")
    elif there:
        said.append(
            f"{len(there)} of the {len(front)} networks on the front were measured on {where}; every other cost is "
            f"predicted from the device profile {s.device}."
        )
    else:
        said.append(
            f"No network on the front was run on the board: costs are predicted from the device profile {s.device}. "
            "nas pick --remeasure measures the front."
        )
    if a := profile:
        said.append(f"That profile: {a.board}; {a.runtime}; {a.statistic}; {a.protocol}")
        if a.blocks == "estimated":
            said.append("It is a compiler estimate: nothing in it was run on a board.")
        if a.energy:
            said.append(f"Energy is {a.energy}.")
        if a.limits:
            said.append(f"Limits of the profile: {a.limits}")
    if not front:
        return said
    energies = [t.costs for t in front if t.costs.energy_mj is not None]
    if any(t.costs.latency_low_ms is None for t in front) or any(c.energy_low_mj is None for c in energies):
        said.append("The error of some predictions is not known: the profile was not checked against whole networks.")
    else:
        said.append(
            "90% of the networks that the profile was checked against fell within the bars; yours may lie outside."
        )
    for quantity, bases in (
        ("latency", [t.costs.latency_basis for t in front]), ("energy", [c.energy_basis for c in energies])
    ):  # fmt: skip
        if far := bases.count("extrapolated"):
            said.append(
                f"The {quantity} of {far} of the front is extrapolated: the profile has measured nothing like parts of "
                "them."
            )
    if not energies:
        said.append("The device profile does not predict energy.")
    if source := source_of(s):
        said.append(source)
    said.append(not_known(run))
    if any(t.robust_accuracy is not None for t in front):
        said.append(
            "Robust accuracy is the mean over noise, blur, brightness, contrast, JPEG and pixelation at severities 1, "
            "3 and 5, on a fixed part of the validation images; it says nothing of weather, motion or attacks."
        )
    tested = sum(t.test_accuracy is not None for t in front)
    if tested < len(front):
        said.append(
            f"{len(front) - tested} of the {len(front)} networks on the front were not tested; their validation "
            "accuracy is biased by selection."
        )
    said.append("Peak memory and size are computed from shapes; the runtime needs memory of its own in addition.")
    return said
