"""One process's part of a search: propose, predict costs, train what is feasible and new, tell, confirm the front."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import asdict, replace

from optuna.trial import TrialState

from nas.numbers import duration
from nas.run import Trial
from nas.search.progress import OnProgress, Progress
from nas.search.proposals import Proposal
from nas.search.records import Record, Result
from nas.search.run_state import RunState
from nas.search.settings import training_seed
from nas.search.workers.workers import Done, Job, Workers
from nas.space.network import Network

ENOUGH = "all trials are done"
ATTEMPTS = 3  # at weights that a network of the front lacks


class RunningSearch:
    """Trains what the sampler proposes, then the front's networks and their rivals again with other seeds."""

    def __init__(self, state: RunState, on_progress: OnProgress) -> None:
        self.state, self.settings, self.on_progress = state, state.settings, on_progress
        self.running: dict[int, tuple[Record, float]] = {}  # proposals in training, and when they began
        self.attempts: Counter[int] = Counter()
        self.note = ""  # why there are no more new trials

    def preparing(self, done: int, total: int, what: str) -> None:
        """Tells how far the work before the first trial is: an `OnPrepare` of the estimator."""
        self._report(None, preparing=(what, done, total))

    def run(self, workers: Workers) -> None:
        """Trains what a dead process left begun, then proposal after proposal, then replicates."""
        self._report(None)
        while True:
            while workers.free() and self._begin(workers):
                pass
            if not self.running:
                break
            done = workers.wait()
            self._end(done.number, self._set_result(done))
        if self.note != ENOUGH:
            self._report(None, self.note)

    def _begin(self, workers: Workers) -> bool:
        """Begins one more training; returns whether there may be more to begin now."""
        if self.state.left:
            number, record = self.state.left.popleft()
            if record.result is not None:  # all that is lacking is the end
                self._end(number, record)
            else:
                self._submit(workers, number, record)
            return True
        if not self.note:
            self.note = self._propose(workers)
            return True
        return self._confirm(workers)

    def _propose(self, workers: Workers) -> str:
        """Begins to train something new; says why where there is nothing."""
        state = self.state
        trials = state.counts["train"]
        if trials >= self.settings.trials:
            return ENOUGH
        if state.budget.search_is_over():
            return f"stopped after {duration(60 * self.settings.max_minutes)}"
        proposal = state.proposals.ask()
        if proposal is None:
            return f"nothing new to train: all {trials} feasible candidates are"
        seed = training_seed(self.settings.seed, proposal.candidate)
        record = Record(proposal.kind, proposal.candidate, proposal.costs, trials, seed)
        if proposal.kind == "train":
            self._train(workers, proposal, record)
        else:
            outcome = state.proposals.answer(proposal)
            state.counts[proposal.kind] += 1
            state.journal.add(proposal.frozen, outcome.state, outcome.values, record)
            state.proposals.tell(proposal.frozen.number, proposal.kind, proposal.candidate, outcome)
        return ""

    def _confirm(self, workers: Workers) -> bool:
        """Begins to train a network again; returns false where none needs it now."""
        state = self.state
        state.believe()
        left = state.budget.replicates - state.counts["replicate"]
        busy = {record.trial for record, _ in self.running.values()}
        trial = state.confirmation.next(left, state.budget.left, busy)
        if trial is None and not self.running:
            lacking = [t for t in state.tables.front.trials if state.lacks_weights(t)]
            trial = next((t for t in lacking if self.attempts[t.trial] < ATTEMPTS), None)
        if trial is None:
            return False
        keeps = state.lacks_weights(trial)
        self.attempts[trial.trial] += keeps
        repetition = 1 + state.trainings.repetitions(trial.trial)
        seed = training_seed(self.settings.seed, trial.candidate, repetition)
        proposal = state.proposals.again(trial.candidate)
        record = Record("replicate", trial.candidate, proposal.costs, trial.trial, seed, keeps=keeps)
        self._train(workers, proposal, record)
        return True

    def _train(self, workers: Workers, proposal: Proposal, record: Record) -> None:
        self.state.counts[record.kind] += 1
        self.state.journal.add(proposal.frozen, TrialState.RUNNING, None, record)
        self._submit(workers, proposal.frozen.number, record, proposal.network)

    def _submit(self, workers: Workers, number: int, record: Record, network: Network | None = None) -> None:
        network = network or self.state.space.network(record.candidate, self.settings.classes)
        self.running[number] = record, time.monotonic()
        costs, again = self.state.known_objectives(record.costs), record.kind == "replicate"
        workers.submit(Job(number, network, record.candidate.as_dict(), record.seed, costs, again))

    def _set_result(self, done: Done) -> Record:
        """Writes what a training gave."""
        record, begun = self.running.pop(done.number)
        estimate, seconds = done.estimate, time.monotonic() - begun
        if estimate is None:
            result = Result(None, seconds, [], error=done.error)
        else:
            accuracy = estimate.accuracy if math.isfinite(estimate.accuracy) and not done.stopped else None
            curve = [asdict(epoch) for epoch in estimate.curve]
            result = Result(
                accuracy, seconds, curve, done.stopped, robust_accuracy=estimate.robust_accuracy,
                log_loss=estimate.log_loss if estimate.log_loss is not None and estimate.log_loss < math.inf else None,
                average_precision=None if accuracy is None else estimate.average_precision,
            )  # fmt: skip
        record = replace(record, result=result)
        self.state.set_result(done.number, record, done)
        return record

    def _end(self, number: int, record: Record) -> None:
        trial = self.state.end_training(number, record)
        self._report(trial)
        self.state.check_failures(trial, record)

    def _total(self) -> int:
        """How many networks will have been trained in the end, by what is known now."""
        budget, done, trials = self.state.budget, self.state.done, self.settings.trials
        if not self.settings.minutes or budget.typical is None:
            return trials
        more = max(0.0, budget.search_left / budget.typical)
        return done if self.note else int(min(trials, done + more))

    def _report(
        self, trial: Trial | None, note: str = "", *, preparing: tuple[str, int, int] | None = None
    ) -> None:  # fmt: skip
        state, budget, front = self.state, self.state.budget, self.state.tables.front
        confirmed = state.trainings.repeated
        left, again = None, budget.replicates - confirmed
        if (typical := budget.typical) is not None:
            new = 0.0 if self.note else max(0.0, min(typical * (self.settings.trials - state.done), budget.search_left))
            left = max(0.0, min(new + typical * again, budget.left))
            again = max(0, int(min(again, budget.left / typical if typical else again)))
        confirming = confirmed + again if self.note and state.budget.replicates else 0
        self.on_progress(
            Progress(
                state.done, self._total(), len(front.distinct), front.volume, budget.seconds, 0.0 if note else left,
                trial, note, confirmed, confirming, preparing,
            )
        )  # fmt: skip
