"""What one process knows of a run: the journal's proposals, what their trainings gave, the tables and the front."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from nas.errors import UserError
from nas.estimate.estimator import Estimator
from nas.estimate.guide import Guide
from nas.estimate.promise import Promise
from nas.run import Costs, Settings, Storage, Tables, Trial, model_folder
from nas.run.pictures import MOST_NETWORKS, Found, write_pictures
from nas.run.tables import by_cost
from nas.search.budget import Budget
from nas.search.confirmation import Confirmation
from nas.search.contenders import Contenders
from nas.search.halving import EarlyStopping
from nas.search.journal import Journal
from nas.search.models import drop_models, read_model, save_model
from nas.search.problem.feasibility import Pool, Pricer
from nas.search.proposals import Outcome, Proposals, objectives
from nas.search.records import Kind, Record, check_learned, record_of, result_attributes
from nas.search.trainings import Trainings
from nas.search.workers.workers import Done
from nas.space.search_space import SearchSpace

if TYPE_CHECKING:  # a process that only hands trainings on starts without PyTorch
    from nas.models.trained import TrainedModel
    from nas.search.pictures import SamplePictures

FAILURES = 3  # trials in a row that may fail before the search gives up
LIKELY = 0.05  # to be on the front: the weights of networks beyond it are kept when the search ends


class RunState:
    """Each step is in the journal before the next. It begins with what the journal holds, without writing anything."""

    def __init__(
        self, space: SearchSpace, pricer: Pricer, settings: Settings, path: Path, pool: Pool, storage: Storage | None,
        guide: Guide | None = None,
    ) -> None:  # fmt: skip
        """Raises UserError for a journal that is broken, or that no search in this space would have written."""
        self.space, self.settings, self.path = space, settings, path
        self.budget = Budget(settings)
        self.guide = guide
        self.proposals = Proposals(space, pricer, settings, pool, guide)
        self.journal = Journal(path, settings, storage)
        self.stopping = EarlyStopping(int(settings.proxy["epochs"])) if settings.early_stopping else None
        self.tables, self.contenders = Tables(path, settings), Contenders(settings)
        self.trainings = Trainings()
        promise = Promise(guide, pool.codes[1:], settings.guide_weight) if guide is not None else None
        self.confirmation = Confirmation(space, settings, self.trainings, promise)
        self.left: deque[tuple[int, Record]] = deque()  # proposals that a dead process left begun
        self.counts: Counter[Kind] = Counter()  # proposals, by what they were for
        self.failed = 0  # trials in a row
        self.done = 0  # trials that have ended
        for frozen in self.journal.trials():
            try:
                record = record_of(frozen, space)
                check_learned(record, settings.learned, f"proposal {frozen.number}")
                self.proposals.replay(frozen, record)
                self._check_trial(frozen.number, record)
            except (UserError, ValueError) as error:
                raise UserError(f"{self.journal.file} is broken: {str(error)[:300]}") from None
            self.counts[record.kind] += 1
            if frozen.state == TrialState.RUNNING:
                self.left.append((frozen.number, record))
            elif trial := self._trained(record):
                self._keep(trial, record, frozen.number)
                if record.kind == "train":
                    self.tables.keep(trial, *_curve(record))
                    self.contenders.update([trial], self.tables.front)
        for number, accuracy in self.journal.test_accuracies().items():
            if not self.trainings.replaced(number):  # else nobody knows of which weights it is
                self.trainings.add_tested(number, accuracy)
        self.tables.replace(self.trainings)
        self.budget.resume()

    def _check_trial(self, number: int, record: Record) -> None:
        """Raises UserError for a trial out of order, and for a replicate of what was not trained before."""
        if record.kind == "train" and record.trial != self.counts["train"]:
            raise UserError(f"proposal {number} must be trial {self.counts['train']}; got {record.trial}")
        if record.kind == "replicate":
            first = self.trainings.first(record.trial)
            if first is None or first.state != "trained" or first.candidate != record.candidate:
                raise UserError(f"proposal {number} must train the network of trial {record.trial} again")

    def begin(self) -> None:
        """Makes the journal and the tables ready: the first that is written. Raises UserError."""
        self.journal.begin()
        results = {record.trial for _, record in self.left if record.result is not None}
        drop_models(self.path, keep={t.trial for t in self.tables.trials} | results)
        self.tables.write(self._proposed())

    def set_result(self, number: int, record: Record, done: Done) -> None:
        """Writes what a training gave: the model first, if it may reach the front, so that no result lacks it."""
        trial, model = record.trained(), None if done.estimate is None else done.estimate.model
        if model is not None and trial is not None and self._keeps(trial, record):
            save_model(self.path, self.settings, record.trial, model)
        if record.result is not None:
            self.journal.set_result(number, record.result)

    def _keeps(self, trial: Trial, record: Record) -> bool:
        """Whether a training's weights are kept."""
        if trial.state != "trained":
            return False
        return record.keeps if record.kind == "replicate" else self.contenders.may_reach(trial, self.tables.front)

    def end_training(self, number: int, record: Record) -> Trial:
        """Ends a training that has its result, in the journal, for the sampler and in the tables; returns its trial.

        Raises UserError when too many trials in a row have failed.
        """
        trial = self._trained(record)
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
        self.proposals.tell(number, record.kind, trial.candidate, outcome)
        if record.kind == "replicate":
            self._end_again(trial.trial)
            return trial
        self.tables.add(trial, *_curve(record), self._proposed())
        drop_models(self.path, self.contenders.update([trial], self.tables.front))
        return trial

    def _trained(self, record: Record) -> Trial | None:
        """A record's trial, with what the guide says of it."""
        trial = record.trained()
        if trial is None or self.guide is None:
            return trial
        (score,) = self.guide.of_codes(self.space.encode(trial.candidate)[None])
        return replace(trial, guide_score=round(float(score), 6))

    def check_failures(self, trial: Trial, record: Record) -> None:
        """Raises UserError when too many trials in a row have failed, of which this is the last."""
        if record.kind == "train" and self.failed >= FAILURES:
            reason = (record.result and record.result.error) or "its accuracy is not a number"
            raise UserError(f"{FAILURES} trainings in a row failed, the last, trial {trial.trial}: {reason}")

    def _end_again(self, number: int) -> None:
        """Takes what a training with another seed gave into the tables and the front."""
        whole = self.trainings.whole(number)
        if whole.state == "failed":
            self.tables.fail(whole, f"{self.trainings.repetitions(number)} trainings with other seeds failed")
        self.believe()

    def believe(self) -> None:
        """Forms the front of what is believed of all networks after all trainings."""
        if self.confirmation.update():
            self.tables.replace([*self.trainings, *self.confirmation.trials])
            near = self.contenders.numbers | {t.trial for t in self.tables.front.trials}
            self.contenders.update((t for t in self.confirmation.trials if t.trial in near), self.tables.front)

    def lacks_weights(self, trial: Trial) -> bool:
        """Whether the weights of a network, which was too far behind once, are to be trained anew."""
        there = (self.path / "models").exists()  # else the estimator trains none
        return self.confirmation.on and there and not model_folder(self.path, trial.trial).exists()

    def _keep(self, trial: Trial, record: Record, number: int) -> None:
        self.budget.add(trial.seconds)
        if record.kind == "replicate":
            self.trainings.add_again(trial, keeps=record.keeps)
            return
        self.trainings.add(trial)
        self.done += 1
        self.failed = self.failed + 1 if trial.state == "failed" else 0
        if self.stopping and trial.state != "failed":
            accuracies = [epoch["validation_accuracy"] for epoch in _curve(record)[0]]
            self.stopping.add(number, accuracies, self.known_objectives(trial.costs))

    def known_objectives(self, costs: Costs) -> tuple[float, ...]:
        """The objectives that are known before a training."""
        return tuple(float(getattr(costs, column)) for column in self.settings.costs)

    def test(self, estimator: Estimator) -> None:
        """Measures the front on the test split, once for each network. Raises UserError for a model of another one."""
        for trial in self.tables.front.trials:
            model = self._model(trial) if trial.test_accuracy is None else None
            if model is None:
                continue
            try:
                accuracy = estimator.test_accuracy(model)
            except ArithmeticError:  # the output on a test image is not finite
                continue
            self.journal.set_test_accuracy(trial.trial, accuracy)
            self.trainings.add_tested(trial.trial, accuracy)
            self.tables.replace([replace(trial, test_accuracy=accuracy)])

    def show(self, samples: SamplePictures) -> None:
        """Keeps what detectors of the front find in some pictures, of a long front of some of them, for the report.

        Raises UserError as `test`.
        """
        front = by_cost(self.tables.front.distinct, self.settings)
        places = {round(i * (len(front) - 1) / (MOST_NETWORKS - 1)) for i in range(MOST_NETWORKS)}
        found: dict[int, Found] = {}
        for trial in (t for place, t in enumerate(front) if place in places or len(front) <= MOST_NETWORKS):
            if (model := self._model(trial)) is not None:
                with suppress(ArithmeticError):  # the output on a picture is not finite
                    found[trial.trial] = samples.found(model)
        if found:
            write_pictures(self.path, samples.pictures(), found)

    def _model(self, trial: Trial) -> TrainedModel | None:
        """A trial's model; None where none is kept. Raises UserError where it is that of another network."""
        model = read_model(self.path, trial.trial)
        if model is not None and model.network != self.space.network(trial.candidate, self.settings.classes):
            raise UserError(f"{model_folder(self.path, trial.trial)}: is not the network of trial {trial.trial}")
        return model

    def end(self) -> None:
        """Writes every table in order, and that the search has ended; drops the models of no use. Raises UserError."""
        every, front = self.tables.trials, self.tables.front.trials
        kept = {t.trial for t in every if t.test_accuracy is not None or (t.front_probability or 0.0) > LIKELY}
        if self.guide is not None:  # which may prefer any that is not clearly less accurate
            kept |= self.contenders.numbers
        drop_models(self.path, keep=kept | {t.trial for t in front})
        self.tables.rank_quality = self.confirmation.rank_quality()
        self.tables.write(self._proposed(), ended=True)

    def _proposed(self) -> dict[str, int]:
        """The sampler's proposals, by what they were for."""
        return {str(kind): n for kind, n in self.counts.items() if kind != "replicate"}


def _curve(record: Record) -> tuple[Sequence[Mapping[str, float | None]], str | None]:
    """The curve of a trial that has its result, and what went wrong in one that failed."""
    if record.result is None:
        return [], None
    return result_attributes(record.result)["curve"], record.result.error
