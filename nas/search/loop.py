"""The search: propose, price, train what is feasible and new, tell; each step is in the journal before the next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from optuna.trial import TrialState

from nas.errors import UserError
from nas.run import (
    Reference,
    Run,
    Settings,
    Trial,
    check_free,
    check_same,
    front_volume,
    load_run,
    locked,
    pareto_trials,
    read_settings,
    write_curves,
    write_references,
    write_settings,
    write_trials,
)
from nas.search.feasible import Pool, Pricer, feasible_pool
from nas.search.journal import Journal, attributes, trial_of
from nas.search.proposals import Outcome, Proposals, objectives
from nas.search.settings import check_settings, complete, training_seed
from nas.search.weights import drop_weights, read_weights, save_weights
from nas.space.candidate import Candidate, Value
from nas.space.layer import Precision
from nas.space.network import Network
from nas.space.search_space import SearchSpace

if TYPE_CHECKING:
    from torch import Tensor

    from nas.evaluate.proxy import Estimate

FAILURES = 3  # trainings in a row that may fail before the search gives up


class Evaluator(Protocol):
    """A candidate's accuracy. Equal seeds give equal estimates."""

    def evaluate(self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int) -> Estimate:
        """Accuracy on the validation split, the training curve and the weights."""
        ...

    def evaluate_test(self, network: Network, weights: Mapping[str, Tensor], precision: Precision) -> float:
        """Accuracy on the test split, asked once for each network of the final front."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands. `hypervolume` is that of `nas.run.front_volume`, from 0 to 1."""

    done: int
    total: int
    front: int
    hypervolume: float
    seconds: float  # since this process began to search
    seconds_left: float | None  # None: not known yet
    trial: Trial | None  # the one that has just ended
    note: str = ""  # why the search ended, where it was not the number of trials


def search(
    space: SearchSpace, pricer: Pricer, evaluator: Evaluator, settings: Settings, path: Path, *,
    resume: bool = False, references: Sequence[Reference] = (), test: bool = True,
    on_progress: Callable[[Progress], object] = lambda _: None,
) -> Run:  # fmt: skip
    """Searches until `settings.trials` candidates are trained, or `settings.max_minutes` are over, into folder `path`.

    `resume` goes on with the run in the folder, however its process ended; `trials` and `max_minutes` may then be new
    ones. Afterwards the networks of the front meet the test split, unless `test` is false. Raises UserError for
    settings that no search can have, budgets that nothing meets, a folder of something else, and a full disk;
    KeyboardInterrupt, with a message, leaves a run that can be resumed.
    """
    check_settings(settings)
    if resume:
        check_same(path, settings)
        settings = replace(read_settings(path), trials=settings.trials, max_minutes=settings.max_minutes)
    else:
        check_free(path)
    pool = feasible_pool(space, pricer, settings)
    with locked(path):
        if not resume:
            check_free(path)
            settings = complete(settings, pool)
            write_references(path, references)
        write_settings(path, settings)
        running = _Search(space, pricer, evaluator, settings, path, pool, on_progress)
        try:
            running.run()
            if test:
                running.test()
        except KeyboardInterrupt:
            done = len(running.trials)
            raise KeyboardInterrupt(f"stopped after {done} of {settings.trials} trials; --resume goes on") from None
    return load_run(path)


class _Search:
    """One process's part of a search."""

    def __init__(
        self, space: SearchSpace, pricer: Pricer, evaluator: Evaluator, settings: Settings, path: Path, pool: Pool,
        on_progress: Callable[[Progress], object],
    ) -> None:  # fmt: skip
        self.space, self.evaluator, self.settings, self.path = space, evaluator, settings, path
        self.on_progress = on_progress
        self.begun = time.monotonic()
        self.proposals = Proposals(space, pricer, settings, pool)
        self.journal = Journal(path / "journal.log", settings)
        self.trials: list[Trial] = []
        self.curves: dict[int, list[dict[str, Any]]] = {}
        tested = self.journal.test_accuracies()
        for frozen in self.journal.trials():
            self.proposals.replay(frozen)
            trial = trial_of(frozen, tested.get(frozen.user_attrs["trial"]))
            if trial and frozen.state != TrialState.RUNNING:  # what has a result but did not end is ended by `run`
                self.trials.append(trial)
                self.curves[trial.trial] = frozen.user_attrs["result"]["curve"]
        self.before = sum(trial.seconds for trial in self.trials)

    def run(self) -> None:
        """Trains what a dead process left begun, then proposal after proposal."""
        for frozen in self.journal.trials():
            if frozen.state == TrialState.RUNNING:
                kept = frozen.user_attrs
                candidate = Candidate.of(kept["candidate"])
                if "result" not in kept:
                    self._train(frozen.number, candidate, kept)
                self._end(frozen.number, candidate)
        self._write()
        self._report(None)
        while len(self.trials) < self.settings.trials:
            if self._time_is_over():
                self._report(None, f"stopped after {self.settings.max_minutes:g} minutes")
                return
            proposal = self.proposals.ask()
            if proposal is None:
                self._report(None, f"nothing new to train: all {len(self.trials)} feasible candidates are")
                return
            number, candidate = proposal.frozen.number, proposal.candidate
            seed = training_seed(self.settings.seed, candidate)
            kept = attributes(proposal.kind, candidate, proposal.costs, len(self.trials), seed)
            if proposal.kind == "train":
                self.journal.add(proposal.frozen, TrialState.RUNNING, None, kept)
                self._train(number, candidate, kept, proposal.network)
                self._end(number, candidate)
            else:
                outcome = self.proposals.answer(proposal)
                self.journal.add(proposal.frozen, outcome.state, outcome.values, kept)
                self.proposals.tell(number, proposal.kind, candidate, outcome)

    def _train(
        self, number: int, candidate: Candidate, kept: Mapping[str, Any], network: Network | None = None
    ) -> None:
        """Trains one candidate and writes its result: weights first, so that a result never lacks them."""
        network = network or self.space.network(candidate, self.settings.classes)
        begun = time.monotonic()
        result: dict[str, Any] = {"accuracy": None, "curve": []}
        try:
            estimate = self.evaluator.evaluate(network, candidate.as_dict(), seed=kept["seed"])
        except (RuntimeError, ArithmeticError, MemoryError) as error:
            result["error"] = str(error)
        else:
            result["curve"] = [_finite(asdict(epoch)) for epoch in estimate.curve]
            if math.isfinite(estimate.accuracy):
                result["accuracy"] = estimate.accuracy
                if estimate.state_dict:
                    save_weights(self.path, kept["trial"], estimate.state_dict)
        self.journal.set_result(number, result | {"seconds": time.monotonic() - begun})

    def _end(self, number: int, candidate: Candidate) -> None:
        """Ends a trial that has its result: in the journal, for the sampler, in the tables."""
        frozen = self.journal.trials()[number]
        trial = trial_of(frozen)
        if trial is None:
            raise UserError(f"{self.journal.file} is broken: proposal {number} has no result")
        outcome = Outcome(TrialState.FAIL, None)
        if trial.accuracy is not None:
            outcome = Outcome(TrialState.COMPLETE, objectives(trial.costs, trial.accuracy, self.settings.columns))
        self.journal.end(number, outcome.state, outcome.values)
        self.proposals.tell(number, "train", candidate, outcome)
        self.trials.append(trial)
        self.curves[trial.trial] = frozen.user_attrs["result"]["curve"]
        self._write()
        self._report(trial)
        if all(t.state == "failed" for t in self.trials[-FAILURES:]) and len(self.trials) >= FAILURES:
            reason = frozen.user_attrs["result"].get("error", "its accuracy is no number")
            raise UserError(f"{FAILURES} trainings in a row failed, the last, trial {trial.trial}: {reason}")

    def test(self) -> None:
        """Measures the front on the test split, once for each network."""
        for trial in pareto_trials(self.trials, self.settings):
            weights = read_weights(self.path, trial.trial) if trial.test_accuracy is None else None
            if weights is not None:
                network = self.space.network(trial.candidate, self.settings.classes)
                accuracy = self.evaluator.evaluate_test(network, weights, trial.candidate.precision)
                self.journal.set_test_accuracy(trial.trial, accuracy)
                self.trials[self.trials.index(trial)] = replace(trial, test_accuracy=accuracy)
        self._write()

    def _write(self) -> None:
        self.trials.sort(key=lambda t: t.trial)
        write_trials(self.path, self.settings, self.trials)
        write_curves(self.path, self.curves)
        drop_weights(self.path, {t.trial for t in pareto_trials(self.trials, self.settings)})

    def _typical(self) -> float | None:
        """Seconds of a trial: the mean so far."""
        return sum(t.seconds for t in self.trials) / len(self.trials) if self.trials else None

    def _limit_left(self) -> float:
        limit = 60 * self.settings.max_minutes or math.inf
        return limit - self.before - (time.monotonic() - self.begun)

    def _time_is_over(self) -> bool:
        """Whether another trial would end after the limit, as trials went so far."""
        return self._limit_left() < (self._typical() or 0.0)

    def _report(self, trial: Trial | None, note: str = "") -> None:
        done, total, typical = len(self.trials), self.settings.trials, self._typical()
        left = None if typical is None else max(0.0, min(typical * (total - done), self._limit_left()))
        front = len(pareto_trials(self.trials, self.settings))
        volume, seconds = front_volume(self.trials, self.settings), time.monotonic() - self.begun
        self.on_progress(Progress(done, total, front, volume, seconds, 0.0 if note else left, trial, note))


def _finite(epoch: Mapping[str, float]) -> dict[str, float | None]:
    """An epoch without NaN and infinity, for which JSON has no word."""
    return {name: value if math.isfinite(value) else None for name, value in epoch.items()}
