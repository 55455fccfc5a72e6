"""The search: propose, price, train what is feasible and new, tell; each step is in the journal before the next."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from nas.errors import UserError
from nas.estimate.estimator import Estimator
from nas.run import (
    Costs,
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
from nas.search.halving import EarlyStopping
from nas.search.journal import Journal, Kind, attributes, trial_of
from nas.search.models import drop_models, read_model, save_model
from nas.search.problem.feasibility import Pool, Pricer, feasible_pool
from nas.search.proposals import Outcome, Proposals, objectives
from nas.search.settings import check_settings, complete, training_seed
from nas.search.workers.workers import Cluster, Done, Job, Serial, Workers
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import SearchSpace

ENOUGH = "all trials are done"
FAILURES = 3  # trainings in a row that may fail before the search gives up


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
    space: SearchSpace, pricer: Pricer, estimator: Estimator, settings: Settings, path: Path, *,
    resume: bool = False, references: Sequence[Reference] = (), test: bool = True, cluster: Cluster | None = None,
    on_progress: Callable[[Progress], object] = lambda _: None,
) -> Run:  # fmt: skip
    """Searches until `settings.trials` candidates are trained, or `settings.max_minutes` are over, into folder `path`.

    With a `cluster` Ray trains several at a time; what comes out then depends on which ends first. `resume` goes on
    with the run in the folder, however its process ended; `trials` and `max_minutes` may then be new ones. Afterwards
    the networks of the front meet the test split, unless `test` is false. Raises UserError for settings that no search
    can have, budgets that nothing meets, a folder of something else, and a full disk;
    KeyboardInterrupt, with a message, leaves a run that can be resumed.
    """
    check_settings(settings)
    if _on_ray(cluster) and find_spec("ray") is None:
        raise UserError("several workers need Ray: pip install ray")
    if resume:
        check_same(path, settings)
        settings = replace(read_settings(path), trials=settings.trials, max_minutes=settings.max_minutes)
    else:
        check_free(path)
    pool = feasible_pool(space, pricer, settings)
    with locked(path, busy="another search is running in {path}; wait for it, or choose another folder"):
        if not resume:
            check_free(path)
            settings = complete(settings, pool)
            write_references(path, references)
        write_settings(path, settings)
        try:
            running = _Search(space, pricer, estimator, settings, path, pool, on_progress)
        except UserError:
            if not resume:  # nothing was begun: the folder is as free as it was
                for name in ("run.toml", "references.csv"):
                    (path / name).unlink(missing_ok=True)
            raise
        try:
            estimator.prepare()
            workers = _workers(estimator, running.stopping, cluster)
            try:
                running.run(workers)
            finally:
                workers.close()
            if test:
                running.test()
        except KeyboardInterrupt:
            done = len(running.trials)
            raise KeyboardInterrupt(f"stopped after {done} of {settings.trials} trials; --resume goes on") from None
    return load_run(path)


def _on_ray(cluster: Cluster | None) -> bool:
    return cluster is not None and (cluster.address is not None or cluster.workers != 1)


def _workers(estimator: Estimator, stopping: EarlyStopping | None, cluster: Cluster | None) -> Workers:
    if cluster is None or not _on_ray(cluster):
        return Serial(estimator, stopping)
    from nas.search.workers.ray import RayWorkers  # late: nobody waits for Ray who does not use it

    return RayWorkers(estimator, stopping, cluster)


class _Search:
    """One process's part of a search."""

    def __init__(
        self, space: SearchSpace, pricer: Pricer, estimator: Estimator, settings: Settings, path: Path, pool: Pool,
        on_progress: Callable[[Progress], object],
    ) -> None:  # fmt: skip
        self.space, self.estimator, self.settings, self.path = space, estimator, settings, path
        self.on_progress = on_progress
        self.begun = time.monotonic()
        self.proposals = Proposals(space, pricer, settings, pool)
        self.journal = Journal(path, settings)
        self.stopping = EarlyStopping(int(settings.proxy["epochs"])) if settings.early_stopping else None
        self.trials: list[Trial] = []
        self.curves: dict[int, list[dict[str, Any]]] = {}
        self.errors: dict[int, str] = {}  # of the trials that failed
        self.left: deque[int] = deque()  # proposals that a dead process left begun
        self.running: dict[int, float] = {}  # proposals in training, and when they began
        self.counts: Counter[Kind] = Counter()  # proposals, by what they were for
        tested = self.journal.test_accuracies()
        for frozen in self.journal.trials():
            kept = frozen.user_attrs
            self.proposals.replay(frozen)
            self.counts[kept["kind"]] += 1
            if frozen.state == TrialState.RUNNING:
                self.left.append(frozen.number)
            elif trial := trial_of(frozen, tested.get(kept["trial"])):
                self._keep(trial, kept["result"], frozen.number)
        self.before = sum(trial.seconds for trial in self.trials)

    def run(self, workers: Workers) -> None:
        """Trains what a dead process left begun, then proposal after proposal."""
        self._write()
        self._report(None)
        note = ""
        while True:
            while workers.free() and not note:
                note = self._begin(workers)
            if not self.running:
                break
            done = workers.wait()
            self._set_result(done)
            self._end(done.number)
        if note != ENOUGH:
            self._write()
            self._report(None, note)

    def _begin(self, workers: Workers) -> str:
        """Begins one more training; says why where there is none."""
        if self.left:
            number = self.left.popleft()
            frozen = self.journal.trials()[number]
            if "result" in frozen.user_attrs:  # all that is lacking is the end
                self._end(number)
            else:
                self._submit(workers, number, frozen.user_attrs, Candidate.of(frozen.user_attrs["candidate"]))
            return ""
        if self.counts["train"] >= self.settings.trials:
            return ENOUGH
        if self._time_is_over():
            return f"stopped after {self.settings.max_minutes:g} minutes"
        proposal = self.proposals.ask()
        if proposal is None:
            return f"nothing new to train: all {self.counts['train']} feasible candidates are"
        number, candidate = proposal.frozen.number, proposal.candidate
        seed = training_seed(self.settings.seed, candidate)
        kept = attributes(proposal.kind, candidate, proposal.costs, self.counts["train"], seed)
        self.counts[proposal.kind] += 1
        if proposal.kind == "train":
            self.journal.add(proposal.frozen, TrialState.RUNNING, None, kept)
            self._submit(workers, number, kept, candidate, proposal.network)
        else:
            outcome = self.proposals.answer(proposal)
            self.journal.add(proposal.frozen, outcome.state, outcome.values, kept)
            self.proposals.tell(number, proposal.kind, candidate, outcome)
        return ""

    def _submit(
        self, workers: Workers, number: int, kept: Mapping[str, Any], candidate: Candidate,
        network: Network | None = None,
    ) -> None:  # fmt: skip
        network = network or self.space.network(candidate, self.settings.classes)
        self.running[number] = time.monotonic()
        workers.submit(Job(number, network, candidate.as_dict(), kept["seed"], self._costs(Costs(**kept["costs"]))))

    def _set_result(self, done: Done) -> None:
        """Writes what a training gave: the model first, so that a result never lacks it."""
        kept = self.journal.trials()[done.number].user_attrs
        estimate = done.estimate
        result: dict[str, Any] = {"accuracy": None, "curve": []}
        if estimate is None:
            result["error"] = done.error
        else:
            result["curve"] = [_finite(asdict(epoch)) for epoch in estimate.curve]
            if done.stopped:
                result["stopped"] = True
            elif math.isfinite(estimate.accuracy):
                result["accuracy"] = estimate.accuracy
                if estimate.model is not None:
                    save_model(self.path, self.settings, kept["trial"], estimate.model)
        seconds = time.monotonic() - self.running.pop(done.number)
        self.journal.set_result(done.number, result | {"seconds": seconds})

    def _end(self, number: int) -> None:
        """Ends a trial that has its result: in the journal, for the sampler, in the tables."""
        frozen = self.journal.trials()[number]
        trial = trial_of(frozen)
        if trial is None:
            raise UserError(f"{self.journal.file} is broken: proposal {number} has no result")
        self._keep(trial, frozen.user_attrs["result"], number)
        outcome = Outcome(TrialState.FAIL, None)
        if trial.accuracy is not None:
            outcome = Outcome(TrialState.COMPLETE, objectives(trial.costs, trial.accuracy, self.settings.goals))
        elif trial.state == "stopped":
            expected = self.stopping.expected(number) if self.stopping else None
            values = None if expected is None else objectives(trial.costs, expected, self.settings.goals)
            outcome = Outcome(TrialState.PRUNED, None, values)
        self.journal.end(number, outcome.state, outcome.values, outcome.expected)
        self.proposals.tell(number, "train", trial.candidate, outcome)
        self._write()
        self._report(trial)
        if all(t.state == "failed" for t in self.trials[-FAILURES:]) and len(self.trials) >= FAILURES:
            reason = frozen.user_attrs["result"].get("error", "its accuracy is not a number")
            raise UserError(f"{FAILURES} trainings in a row failed, the last, trial {trial.trial}: {reason}")

    def _keep(self, trial: Trial, result: Mapping[str, Any], number: int) -> None:
        self.trials.append(trial)
        self.curves[trial.trial] = curve = result["curve"]
        if "error" in result:
            self.errors[trial.trial] = result["error"]
        if self.stopping and trial.state != "failed":
            accuracies = [epoch["validation_accuracy"] for epoch in curve]
            self.stopping.add(number, accuracies, self._costs(trial.costs))

    def _costs(self, costs: Costs) -> tuple[float, ...]:
        """The known objectives."""
        return tuple(float(getattr(costs, column)) for column in self.settings.costs)

    def test(self) -> None:
        """Measures the front on the test split, once for each network."""
        for trial in pareto_trials(self.trials, self.settings):
            model = read_model(self.path, trial.trial) if trial.test_accuracy is None else None
            if model is not None:
                try:
                    accuracy = self.estimator.test_accuracy(model)
                except ArithmeticError:  # the output on a test image is not finite
                    continue
                self.journal.set_test_accuracy(trial.trial, accuracy)
                self.trials[self.trials.index(trial)] = replace(trial, test_accuracy=accuracy)
        self._write()

    def _write(self) -> None:
        self.trials.sort(key=lambda t: t.trial)
        write_trials(self.path, self.settings, self.trials, {str(kind): n for kind, n in self.counts.items()})
        write_curves(self.path, self.curves, self.errors)
        drop_models(self.path, {t.trial for t in pareto_trials(self.trials, self.settings)})

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
