"""One network of a run: the best under budgets, the knee, or a trial by its number."""

from __future__ import annotations

from collections.abc import Mapping

from nas.errors import UserError
from nas.pareto import knee as knee_of
from nas.run import ACCURACY, BUDGETS, UNITS, Run, Trial, points


def pick(
    run: Run,
    *,
    max_latency_ms: float | None = None,
    max_energy_mj: float | None = None,
    max_size_mb: float | None = None,
    max_memory_mb: float | None = None,
    max_params: float | None = None,
    max_macs: float | None = None,
    min_accuracy: float | None = None,
    knee: bool = False,
    trial: int | None = None,
) -> Trial:
    """One trained trial of a run.

    - `trial`: that one, whether on the front or not
    - `knee`: the knee (`nas.pareto.knee`) of the part of the front that meets the limits
    - `min_accuracy` (a fraction): the one of least latency that reaches it, under the budgets if there are any
    - else the most accurate under the budgets; of equally accurate ones the one of least latency

    Where a network was measured, what was measured counts, and is in the trial that is returned.

    Raises UserError when nothing qualifies, with the nearest there is, and for limits that the run cannot be asked.
    """
    given = (max_latency_ms, max_energy_mj, max_size_mb, max_memory_mb, max_params, max_macs)
    limits = {BUDGETS[n].column: v for n, v in zip(_BUDGET_ORDER, given, strict=True) if v is not None}
    check_limits(run, limits, min_accuracy, knee, trial)
    if trial is not None:
        return _numbered(run, trial)
    trained = run.as_measured([t for t in run.trials if t.state == "trained"])
    among = run.as_measured(run.front_trials) if knee else trained
    fit = [t for t in among if all(t.value(c) <= limit for c, limit in limits.items())]
    enough = [t for t in fit if min_accuracy is None or t.value(ACCURACY.column) >= min_accuracy]
    if not enough:
        raise UserError(_nearest(run, among, fit, limits, min_accuracy))
    if knee:
        return enough[knee_of(points(enough, run.settings))]
    if min_accuracy is not None:
        return min(enough, key=lambda t: (t.costs.latency_ms, -t.value(ACCURACY.column), t.trial))
    return max(enough, key=lambda t: (t.value(ACCURACY.column), -t.costs.latency_ms, -t.trial))


def check_limits(
    run: Run, limits: Mapping[str, float], min_accuracy: float | None, knee: bool, trial: int | None
) -> None:
    """Raises UserError for what the run cannot be asked; `limits` are by column."""
    if trial is not None:
        if limits or knee or min_accuracy is not None:
            raise UserError("a trial is picked by its number or by limits, not by both")
        _numbered(run, trial)
        return
    trained = [t for t in run.trials if t.state == "trained"]
    if not trained:
        raise UserError(f"{run.path} has no trained network yet")
    for column, limit in limits.items():
        if not any(t.value(column) >= 0 for t in trained):
            raise UserError(f"{run.path} has no {column}: device {run.settings.device} cannot tell it")
        if not limit > 0:
            raise UserError(f"a budget must be above 0; came {limit:g} for {column}")
    if min_accuracy is not None and not 0 <= min_accuracy <= 1:
        raise UserError(f"an accuracy must be from 0 to 1; came {min_accuracy:g}")


_BUDGET_ORDER = ("max_latency_ms", "max_energy_mj", "max_size_mb", "max_memory_mb", "max_params", "max_macs")


def _numbered(run: Run, trial: int) -> Trial:
    for found in run.as_measured(run.trials):
        if found.trial == trial:
            if found.state != "trained":
                how = "failed to train" if found.state == "failed" else "was stopped early"
                raise UserError(f"trial {trial} of {run.path} {how}, so it cannot be picked")
            return found
    numbers = f"0 to {max(t.trial for t in run.trials)}" if run.trials else "none yet"
    raise UserError(f"{run.path} has no trial {trial} (it has {numbers})")


def _nearest(
    run: Run, among: tuple[Trial, ...] | list[Trial], fit: list[Trial], limits: dict[str, float], wanted: float | None
) -> str:  # fmt: skip
    """What misses the limits least: the best accuracy among those that fit, else the least excess over the budgets."""
    if fit:
        best = max(fit, key=lambda t: t.value(ACCURACY.column))
        under = " under these budgets" if limits else ""
        return (
            f"no network of {run.path} reaches {100 * (wanted or 0):g}%{under}; "
            f"the nearest is trial {best.trial} with {100 * best.value('accuracy'):.1f}%"
        )
    near = min(among, key=lambda t: max(t.value(c) / limit for c, limit in limits.items()))
    values = ", ".join(f"{near.value(c):.3g} {UNITS.get(c, c)} (limit {limit:g})" for c, limit in limits.items())
    return f"no network of {run.path} meets these budgets; the nearest is trial {near.trial} with {values}"
