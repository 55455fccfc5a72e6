"""One network of a run: under budgets, the knee, or a trial by its number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

from nas.errors import UserError, require
from nas.numbers import count, figure, percent
from nas.pareto import knee as knee_of
from nas.report.ties import cost_order, expected_text, preferred, ties_of_best
from nas.run import BUDGETS, OBJECTIVES, ROBUST_ACCURACY, UNITS, Run, Trial, expected, load_run, points

WORDS = {o.column: o.words for o in OBJECTIVES.values()}


@dataclass(frozen=True, slots=True)
class Choice:
    """A network, and why it and no other."""

    trial: Trial
    ties: tuple[Trial, ...] = ()  # cannot be told from the most accurate, which is the last


def pick(
    run: Run | str | Path,
    *,
    max_latency_ms: float | None = None,
    max_energy_mj: float | None = None,
    max_size_mb: float | None = None,
    max_memory_mb: float | None = None,
    max_params: float | None = None,
    max_macs: float | None = None,
    min_accuracy: float | None = None,
    min_robust_accuracy: float | None = None,
    knee: bool = False,
    trial: int | None = None,
    greedy: bool = False,
) -> Trial:
    """One trained trial of a run, which is given as `nas.search` returned it or by its folder.

    - `trial`: that one, whether on the front or not
    - `knee`: the knee (`nas.pareto.knee`) of the part of the front that meets the budgets
    - `min_accuracy` (a fraction): the one of least latency that reaches it, within the budgets if there are any
    - `min_robust_accuracy` (a fraction): only those that reach it on corrupted images, whatever else is asked
    - else, of those within the budgets that cannot be told from the most accurate (`nas.report.ties`), the one of the
      least first cost of the search's objectives, or, where the search had a guide, the best by it and accuracy
      together; with `greedy` the most accurate itself, of equals the cheapest

    Accuracies are those that are expected of the networks, where the run knows them, else the measured ones. Where the
    costs of a network were measured, these count, and are in the trial that is returned.

    Raises UserError where nothing qualifies, with the smallest cost or the best accuracy that the run reaches, and for
    limits that the run knows nothing about.

        nas.pick("runs/tiny-raspberry-pi-4-1", max_latency_ms=3.0).candidate
    """
    run = run if isinstance(run, Run) else load_run(run)
    given = {
        "max_latency_ms": max_latency_ms, "max_energy_mj": max_energy_mj, "max_size_mb": max_size_mb,
        "max_memory_mb": max_memory_mb, "max_params": max_params, "max_macs": max_macs,
    }  # fmt: skip
    budgets = {name: limit for name, limit in given.items() if limit is not None}
    return choose(run, budgets, min_accuracy, min_robust_accuracy, knee=knee, trial=trial, greedy=greedy).trial


def choose(
    run: Run,
    budgets: Mapping[str, float],
    min_accuracy: float | None = None,
    min_robust_accuracy: float | None = None,
    *,
    knee: bool = False,
    trial: int | None = None,
    greedy: bool = False,
) -> Choice:
    """What `pick` returns, and why; `budgets` by their names in a run's settings. Raises UserError as `pick`."""
    check_limits(run, budgets, min_accuracy, knee, trial, min_robust_accuracy, greedy)
    limits = {BUDGETS[name].column: limit for name, limit in budgets.items()}
    if trial is not None:
        return Choice(_numbered(run, trial))
    trained = run.as_measured([t for t in run.trials if t.state == "trained"])
    among = run.as_measured(run.front_trials) if knee else trained
    fit = [t for t in among if all(t.value(c) <= limit for c, limit in limits.items())]
    if not fit:
        raise UserError(f"no network of {run.path} keeps {_unreachable(run, among, limits)}")
    if min_robust_accuracy is not None:
        most = max(fit, key=lambda t: t.value(ROBUST_ACCURACY.column))
        fit = [t for t in fit if t.value(ROBUST_ACCURACY.column) >= min_robust_accuracy]
        if not fit:
            raise UserError(
                f"no network of {run.path} reaches {100 * min_robust_accuracy:g}% on corrupted images"
                f"{' within the budgets' if limits else ''}; the best reaches {percent(most.robust_accuracy)} "
                f"({_brief(run, most)})"
            )
    enough = [t for t in fit if min_accuracy is None or expected(t) >= min_accuracy]
    if not enough:
        best = max(fit, key=expected)
        within = " within the budgets" if limits else ""
        raise UserError(
            f"no network of {run.path} reaches {100 * (min_accuracy or 0):g}%{within}; "
            f"the most accurate is {_brief(run, best)}"
        )
    if knee:
        return Choice(enough[knee_of(points(enough, run.settings))])
    if min_accuracy is not None:
        return Choice(min(enough, key=lambda t: (t.costs.latency_ms, -expected(t), t.trial)))
    if greedy:
        return Choice(min(enough, key=lambda t: (-expected(t), *cost_order(t, run.settings))))
    ties = ties_of_best(enough, run.settings)
    return Choice(preferred(ties), ties)


def check_limits(
    run: Run, budgets: Mapping[str, float], min_accuracy: float | None, knee: bool, trial: int | None,
    min_robust_accuracy: float | None = None, greedy: bool = False,
) -> None:  # fmt: skip
    """Raises UserError for what the run cannot be asked; `budgets` by their names in a run's settings."""
    if greedy and (knee or trial is not None or min_accuracy is not None):
        raise UserError("greedy is for the most accurate network: not with a knee, a trial or a least accuracy")
    if trial is not None:
        if budgets or knee or (min_accuracy, min_robust_accuracy) != (None, None):
            raise UserError("a trial is picked by its number or by limits, not by both")
        _numbered(run, trial)
        return
    for name, value in (*budgets.items(), *([] if min_accuracy is None else [("min_accuracy", min_accuracy)])):
        require(name, value, Real, "a number")
    trained = [t for t in run.trials if t.state == "trained"]
    if not trained:
        raise UserError(f"{run.path} has no trained network{_why_none(run)}")
    for column, limit in ((BUDGETS[name].column, limit) for name, limit in budgets.items()):
        if not limit > 0:
            raise UserError(f"a budget must be above 0; got {limit:g} for {column}")
        if not any(t.value(column) >= 0 for t in trained):
            raise UserError(f"{run.path} has no {column}: device profile {run.settings.device} does not predict it")
    for least in (min_accuracy, min_robust_accuracy):
        if least is not None and not 0 <= least <= 1:
            raise UserError(f"an accuracy must be from 0 to 1; got {least:g}")
    if min_robust_accuracy is not None and not all(t.value(ROBUST_ACCURACY.column) >= 0 for t in trained):
        raise UserError(f"{run.path} has no robust accuracy: it was not an objective of the search")


def _why_none(run: Run) -> str:
    if not run.trials:
        return f" yet: nas search --resume {run.path} continues the search"
    stopped = sum(t.state == "stopped" for t in run.trials)
    return f": of its {len(run.trials)} trials, {len(run.trials) - stopped} failed and {stopped} were stopped early"


def _numbered(run: Run, trial: int) -> Trial:
    there = run.as_measured([run.trial(trial)])[0]
    if there.state != "trained":
        how = "failed to train" if there.state == "failed" else "was stopped early"
        raise UserError(f"trial {trial} of {run.path} {how}, so it cannot be picked")
    return there


def _unreachable(run: Run, among: Sequence[Trial], limits: Mapping[str, float]) -> str:
    """The budgets that no trial meets, and the smallest value that each can have; the nearest trial where each can be
    met, but not all at once."""
    least = {c: min(among, key=lambda t: t.value(c) if t.value(c) >= 0 else math.inf) for c in limits}
    beyond = [c for c, limit in limits.items() if not least[c].value(c) <= limit]  # or no cost is known
    asked = " and ".join(f"{WORDS[c]} within {_amount(c, limits[c])}" for c in beyond or limits)
    if beyond:
        return f"{asked}; " + "; ".join(
            f"the smallest {WORDS[c]} is {_amount(c, least[c].value(c))} ({_brief(run, least[c])})" for c in beyond
        )
    near = min(among, key=lambda t: max(t.value(c) / limit for c, limit in limits.items()))
    costs = " and ".join(_amount(c, near.value(c)) for c in limits)
    return f"{asked} at once; the nearest is {_brief(run, near)}, with {costs}"


def _amount(column: str, value: float) -> str:
    return f"{figure(value)} {UNITS[column]}" if column in UNITS else count(value)


def _brief(run: Run, t: Trial) -> str:
    return f"trial {t.trial}, {expected_text(t, run.settings.validation_images)}"
