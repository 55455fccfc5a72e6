"""What the journal keeps of a proposal, and reads of it again: checked, for a run folder may come from a stranger."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from optuna.trial import FrozenTrial

from nas.errors import UserError
from nas.run import BASES, AveragePrecision, Costs, State, Trial
from nas.run.average_precision import from_columns
from nas.space.candidate import Candidate
from nas.space.search_space import SearchSpace

Kind = Literal["train", "duplicate", "infeasible", "replicate"]  # replicate: a known network, trained with another seed
TRAINED: tuple[Kind, ...] = ("train", "replicate")
MOST = 2**63 - 1
LONGEST = 10_000  # characters of an error


@dataclass(frozen=True, slots=True)
class Result:
    """What one training gave. No accuracy: it failed, with its `error`, or was stopped early."""

    accuracy: float | None
    seconds: float
    curve: Sequence[Mapping[str, float | None]]
    stopped: bool = False
    error: str | None = None
    robust_accuracy: float | None = None  # None: it was not asked for
    log_loss: float | None = None  # None: not known
    average_precision: AveragePrecision | None = None  # of a detector


@dataclass(frozen=True, slots=True)
class Record:
    """One proposal. `trial` counts those to be trained, without gaps; a replicate has that of the network's first."""

    kind: Kind
    candidate: Candidate
    costs: Costs
    trial: int
    seed: int
    result: Result | None = None
    keeps: bool = False  # a replicate whose weights are kept: those of the first training are not there any more

    def attributes(self) -> dict[str, Any]:
        """The user attributes that Optuna keeps; the result follows when the training has ended."""
        return {
            "kind": self.kind, "candidate": self.candidate.as_dict(), "costs": asdict(self.costs), "trial": self.trial,
            "seed": self.seed,
        } | ({"keeps": True} if self.keeps else {})  # fmt: skip

    def trained(self, test_accuracy: float | None = None) -> Trial | None:
        """What this training alone gave; None for a proposal that was not to be trained, or has no result."""
        if self.kind not in TRAINED or self.result is None:
            return None
        state: State = "stopped" if self.result.stopped else "failed" if self.result.accuracy is None else "trained"
        return Trial(
            self.trial, state, self.result.accuracy, test_accuracy, self.costs, self.result.seconds, self.seed,
            self.candidate, self.result.robust_accuracy, self.result.log_loss,
            average_precision=self.result.average_precision,
        )  # fmt: skip


def result_attributes(result: Result) -> dict[str, Any]:
    """The user attribute `result`: without what is not there, and with None for what is not a finite number."""
    curve = [{name: v if v is None or math.isfinite(v) else None for name, v in e.items()} for e in result.curve]
    kept: dict[str, Any] = {"accuracy": result.accuracy, "curve": curve, "seconds": result.seconds}
    rest = {
        "stopped": result.stopped or None, "error": result.error, "robust_accuracy": result.robust_accuracy,
        "log_loss": result.log_loss,
        "average_precision": result.average_precision and result.average_precision.columns(),
    }  # fmt: skip
    return kept | {name: value for name, value in rest.items() if value is not None}


def record_of(frozen: FrozenTrial, space: SearchSpace) -> Record:
    """Reads a proposal of the journal. Raises UserError for what no search in this space would have written."""
    kept, where = frozen.user_attrs, f"proposal {frozen.number}"
    kind = next((k for k in get_args(Kind) if k == kept.get("kind")), None)
    if kind is None:
        raise UserError(f"{where}: kind must be one of {', '.join(get_args(Kind))}; got {_shown(kept.get('kind'))}")
    trial, seed = (_count(kept.get(name), f"{where}: {name}") for name in ("trial", "seed"))
    candidate, costs = _candidate(kept.get("candidate"), space, where), _costs(kept.get("costs"), where, kind)
    result = _result(kept["result"], where) if kind in TRAINED and "result" in kept else None
    if frozen.state.is_finished() and kind in TRAINED and result is None:
        raise UserError(f"{where}: has ended, but has no result")
    if not isinstance(keeps := kept.get("keeps", False), bool):
        raise UserError(f"{where}: keeps must be true or false; got {_shown(keeps)}")
    return Record(kind, candidate, costs, trial, seed, result, keeps)


def check_learned(record: Record, columns: Sequence[str], where: str) -> None:
    """Raises UserError where a training ended well and lacks one of the objectives that it was to tell."""
    trial = record.trained()
    if trial is not None and trial.state == "trained":
        for column in columns:
            if math.isnan(trial.value(column)):
                raise UserError(f"{where}: result must have {column}, an objective of the run")


def _candidate(kept: Any, space: SearchSpace, where: str) -> Candidate:
    names = [choice.name for choice in space.choices]
    if not isinstance(kept, dict) or list(kept) != names or any(isinstance(v, bool) for v in kept.values()):
        raise UserError(f"{where}: candidate must have a value for each choice of space {space.name}, in its order")
    for choice in space.choices:
        try:
            choice.code(kept[choice.name])
        except (UserError, TypeError) as error:
            raise UserError(f"{where}: candidate is not one of space {space.name}: {str(error)[:200]}") from None
    return Candidate.of(kept)


def _costs(kept: Any, where: str, proposal: Kind) -> Costs:
    known = {f.name: f.type for f in fields(Costs)}
    if not isinstance(kept, dict) or kept.keys() != known.keys():
        raise UserError(f"{where}: costs must be {', '.join(known)}, and nothing else")
    for name, kind in known.items():
        value = kept[name]
        if value is None and "None" in kind:
            continue
        if "str" in kind:
            good = value in BASES
        else:
            no_cost = proposal == "infeasible" and value != value  # NaN: the device cannot tell
            good = no_cost or (_is_number(value) and (kind != "int" or isinstance(value, int)))
        if not good:
            raise UserError(f"{where}: {name} of the costs is not one that a device profile predicts: {_shown(value)}")
    return Costs(**kept)


def _result(kept: Any, where: str) -> Result:
    if not isinstance(kept, dict) or not {"accuracy", "curve", "seconds"} <= kept.keys() <= _RESULT:
        raise UserError(f"{where}: result must have accuracy, curve and seconds, and may have stopped, error, "
                        "robust_accuracy, log_loss and average_precision")  # fmt: skip
    accuracy, curve, error, stopped = kept["accuracy"], kept["curve"], kept.get("error"), kept.get("stopped", False)
    robust, log_loss = kept.get("robust_accuracy"), kept.get("log_loss")
    for name, value in (("accuracy", accuracy), ("robust_accuracy", robust)):
        if value is not None and not (_is_number(value) and value <= 1):
            raise UserError(f"{where}: {name} must be a fraction from 0 to 1; got {_shown(value)}")
    if log_loss is not None and not _is_number(log_loss):
        raise UserError(f"{where}: log_loss must be a number of 0 or more; got {_shown(log_loss)}")
    if not _is_number(kept["seconds"]):
        raise UserError(f"{where}: seconds must be a number of 0 or more; got {_shown(kept['seconds'])}")
    if not isinstance(stopped, bool) or not (error is None or (isinstance(error, str) and len(error) <= LONGEST)):
        raise UserError(f"{where}: stopped must be true or false, and error a text of at most {LONGEST:,} characters")
    if not isinstance(curve, list) or not all(_is_epoch(epoch) for epoch in curve):
        raise UserError(f"{where}: curve must be a list of epochs, each an object of numbers with validation_accuracy")
    precision = kept.get("average_precision")
    if precision is not None:
        precision = from_columns(precision, 0.0 if accuracy is None else accuracy, f"{where}: average_precision")
    return Result(accuracy, float(kept["seconds"]), curve, stopped, error, robust, log_loss, precision)


_RESULT = {
    "accuracy", "curve", "seconds", "stopped", "error", "robust_accuracy", "log_loss", "average_precision"
}  # fmt: skip


def _is_epoch(epoch: Any) -> bool:
    return (
        isinstance(epoch, dict)
        and "validation_accuracy" in epoch
        and all(v is None or (isinstance(v, int | float) and abs(v) < 1e300) for v in epoch.values())
    )


def _is_number(value: Any) -> bool:
    """Finite, 0 or more; a whole number of any size that floating point can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e300


def _count(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise UserError(f"{what} must be a whole number of 0 or more; got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return repr(value)[:60]
