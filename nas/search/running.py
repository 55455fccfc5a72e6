"""One process's part of a search: propose, predict the costs, train what is feasible and new, tell."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from optuna.trial import TrialState

from nas.errors import UserError
from nas.estimate.estimator import Estimator
from nas.run import Costs, Settings, Storage, Tables, Trial, model_folder
from nas.search.halving import EarlyStopping
from nas.search.journal import Journal
from nas.search.models import drop_models, read_model, save_model
from nas.search.problem.feasibility import Pool, Pricer
from nas.search.progress import OnProgress, Progress
from nas.search.proposals import Outcome, Proposals, objectives
from nas.search.records import Kind, Record, Result, check_learned, record_of, result_attributes
from nas.search.settings import training_seed
from nas.search.workers.workers import Done, Job, Workers
from nas.space.network import Network
from nas.space.search_space import SearchSpace

ENOUGH = "all trials are done"
FAILURES = 3  # trainings in a row that may fail before the search gives up


class RunningSearch:
    """What one process knows of a run: the journal's proposals, those in training, and the tables.

    Each step is in the journal before the next. It begins with what the journal holds, without writing anything.
    """

    def __init__(
        self, space: SearchSpace, pricer: Pricer, estimator: Estimator, settings: Settings, path: Path, pool: Pool,
        on_progress: OnProgress, storage: Storage | None = None,
    ) -> None:  # fmt: skip
        """Raises UserError for a journal that is broken, or that no search in this space would have written."""
        self.space, self.estimator, self.settings, self.path = space, estimator, settings, path
        self.on_progress = on_progress
        self.begun = time.monotonic()
        self.proposals = Proposals(space, pricer, settings, pool)
        self.journal = Journal(path, settings, storage)
        self.stopping = EarlyStopping(int(settings.proxy["epochs"])) if settings.early_stopping else None
        self.tables = Tables(path, settings)
        self.left: deque[tuple[int, Record]] = deque()  # proposals that a dead process left begun
        self.running: dict[int, tuple[Record, float]] = {}  # proposals in training, and when they began
        self.counts: Counter[Kind] = Counter()  # proposals, by what they were for
        self.failed = 0  # trainings in a row
        self.done, self.trained_s = 0, 0.0  # trials that have ended, and their seconds
        tested = self.journal.test_accuracies()
        for frozen in self.journal.trials():
            try:
                record = record_of(frozen, space)
                check_learned(record, settings.learned, f"proposal {frozen.number}")
                self.proposals.replay(frozen, record)
            except (UserError, ValueError) as error:
                raise UserError(f"{self.journal.file} is broken: {str(error)[:300]}") from None
            if record.kind == "train" and record.trial != self.counts["train"]:
                raise UserError(f"{self.journal.file} is broken: proposal {frozen.number} must be trial "
                                f"{self.counts['train']}; got {record.trial}")  # fmt: skip
            self.counts[record.kind] += 1
            if frozen.state == TrialState.RUNNING:
                self.left.append((frozen.number, record))
            elif trial := record.trained(tested.get(record.trial)):
                self._keep(trial, record, frozen.number)
                self.tables.keep(trial, *_curve(record))
        self.before = self.trained_s

    def begin(self) -> None:
        """Makes the journal and the tables ready: the first that is written. Raises UserError."""
        self.journal.begin()
        self._write()

    def run(self, workers: Workers) -> None:
        """Trains what a dead process left begun, then proposal after proposal."""
        self._report(None)
        note = ""
        while True:
            while workers.free() and not note:
                note = self._begin(workers)
            if not self.running:
                break
            done = workers.wait()
            self._end(done.number, self._set_result(done))
        if note != ENOUGH:
            self._report(None, note)

    def _begin(self, workers: Workers) -> str:
        """Begins one more training; says why where there is none."""
        if self.left:
            number, record = self.left.popleft()
            if record.result is not None:  # all that is lacking is the end
                self._end(number, record)
            else:
                self._submit(workers, number, record)
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
        record = Record(proposal.kind, candidate, proposal.costs, self.counts["train"], seed)
        self.counts[proposal.kind] += 1
        if proposal.kind == "train":
            self.journal.add(proposal.frozen, TrialState.RUNNING, None, record)
            self._submit(workers, number, record, proposal.network)
        else:
            outcome = self.proposals.answer(proposal)
            self.journal.add(proposal.frozen, outcome.state, outcome.values, record)
            self.proposals.tell(number, proposal.kind, candidate, outcome)
        return ""

    def _submit(self, workers: Workers, number: int, record: Record, network: Network | None = None) -> None:
        network = network or self.space.network(record.candidate, self.settings.classes)
        self.running[number] = record, time.monotonic()
        workers.submit(Job(number, network, record.candidate.as_dict(), record.seed, self._costs(record.costs)))

    def _set_result(self, done: Done) -> Record:
        """Writes what a training gave: the model first, if it reaches the front, so that no result lacks it."""
        record, begun = self.running.pop(done.number)
        estimate, seconds = done.estimate, time.monotonic() - begun
        if estimate is None:
            result = Result(None, seconds, [], error=done.error)
        else:
            accuracy = estimate.accuracy if math.isfinite(estimate.accuracy) and not done.stopped else None
            curve = [asdict(epoch) for epoch in estimate.curve]
            result = Result(accuracy, seconds, curve, done.stopped, robust_accuracy=estimate.robust_accuracy)
        record = replace(record, result=result)
        trial = record.trained()
        if estimate is not None and estimate.model is not None and trial and not self.tables.front.beaten(trial):
            save_model(self.path, self.settings, record.trial, estimate.model)
        self.journal.set_result(done.number, result)
        return record

    def _end(self, number: int, record: Record) -> None:
        """Ends a trial that has its result: in the journal, for the sampler, in the tables."""
        trial = record.trained()
        if trial is None:
            raise ValueError(f"proposal {number} has no result")
        self._keep(trial, record, number)
        outcome = Outcome(TrialState.FAIL, None)
        if trial.accuracy is not None:
            outcome = Outcome(TrialState.COMPLETE, objectives(trial, self.settings.goals))
        elif trial.state == "stopped":
            expected = self.stopping.expected(number) if self.stopping else None
            ended = replace(trial, accuracy=expected)
            values = None if expected is None else objectives(ended, self.settings.goals)
            outcome = Outcome(TrialState.PRUNED, None, values)
        self.journal.end(number, outcome.state, outcome.values, outcome.expected)
        self.proposals.tell(number, "train", trial.candidate, outcome)
        before = {t.trial for t in self.tables.front.trials}
        if self.tables.add(trial, *_curve(record), {str(kind): n for kind, n in self.counts.items()}):
            drop_models(self.path, before - {t.trial for t in self.tables.front.trials})
        self._report(trial)
        if self.failed >= FAILURES:
            reason = (record.result and record.result.error) or "its accuracy is not a number"
            raise UserError(f"{FAILURES} trainings in a row failed, the last, trial {trial.trial}: {reason}")

    def _keep(self, trial: Trial, record: Record, number: int) -> None:
        self.done, self.trained_s = self.done + 1, self.trained_s + trial.seconds
        self.failed = self.failed + 1 if trial.state == "failed" else 0
        if self.stopping and trial.state != "failed":
            accuracies = [epoch["validation_accuracy"] for epoch in _curve(record)[0]]
            self.stopping.add(number, accuracies, self._costs(trial.costs))

    def _costs(self, costs: Costs) -> tuple[float, ...]:
        """The known objectives."""
        return tuple(float(getattr(costs, column)) for column in self.settings.costs)

    def test(self) -> None:
        """Measures the front on the test split, once for each network. Raises UserError for a model of another one."""
        for trial in self.tables.front.trials:
            model = read_model(self.path, trial.trial) if trial.test_accuracy is None else None
            if model is None:
                continue
            if model.network != self.space.network(trial.candidate, self.settings.classes):
                raise UserError(f"{model_folder(self.path, trial.trial)}: is not the network of trial {trial.trial}")
            try:
                accuracy = self.estimator.test_accuracy(model)
            except ArithmeticError:  # the output on a test image is not finite
                continue
            self.journal.set_test_accuracy(trial.trial, accuracy)
            self.tables.replace(replace(trial, test_accuracy=accuracy))

    def end(self) -> None:
        """Writes every table in order, and that the search has ended. Raises UserError."""
        self._write(ended=True)

    def _write(self, *, ended: bool = False) -> None:
        results = {record.trial for _, record in self.left if record.result is not None}  # they may reach the front
        drop_models(self.path, keep={t.trial for t in self.tables.front.trials} | results)
        self.tables.write({str(kind): n for kind, n in self.counts.items()}, ended=ended)

    def _typical(self) -> float | None:
        """Seconds of a trial: the mean so far."""
        return self.trained_s / self.done if self.done else None

    def _limit_left(self) -> float:
        limit = 60 * self.settings.max_minutes or math.inf
        return limit - self.before - (time.monotonic() - self.begun)

    def _time_is_over(self) -> bool:
        """Whether another trial would end after the limit, as trials went so far."""
        return self._limit_left() < (self._typical() or 0.0)

    def _report(self, trial: Trial | None, note: str = "") -> None:
        total, typical, front = self.settings.trials, self._typical(), self.tables.front
        left = None if typical is None else max(0.0, min(typical * (total - self.done), self._limit_left()))
        seconds = time.monotonic() - self.begun
        self.on_progress(
            Progress(self.done, total, len(front), front.volume, seconds, 0.0 if note else left, trial, note)
        )


def _curve(record: Record) -> tuple[Sequence[Mapping[str, float | None]], str | None]:
    """The curve of a trial that has its result, and what went wrong in one that failed."""
    if record.result is None:
        return [], None
    return result_attributes(record.result)["curve"], record.result.error
