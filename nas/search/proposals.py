"""What to try next: the sampler's proposals, priced, and told what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.errors import UserError
from nas.estimate.guide import Guide
from nas.run import Costs, Objective, Settings, Trial
from nas.search.journal import directions
from nas.search.problem.encoding import (
    candidate_of,
    distributions,
    params_of,
    params_of_shown,
    shown_distributions,
    shown_params,
)
from nas.search.problem.feasibility import Pool, Pricer, misses, spread, violation
from nas.search.records import Kind, Record
from nas.search.samplers.by_name import Problem, build_sampler
from nas.search.samplers.pareto.sampler import EXPECTED
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import SearchSpace

Params = dict[str, Any]

PATIENCE = 8  # proposals in a row that are infeasible or known before a new feasible candidate is drawn at random
DRAWS = 2048  # candidates per attempt to draw one that is feasible and new


@dataclass(frozen=True)
class Proposal:
    """One proposal of the sampler. `frozen` is Optuna's trial as the journal keeps it; its number counts all."""

    frozen: FrozenTrial
    kind: Kind
    candidate: Candidate
    network: Network
    costs: Costs


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended, for the sampler: objectives, or None where it failed or was stopped.

    `expected` are the objectives that a stopped one would have had.
    """

    state: TrialState
    values: list[float] | None
    expected: list[float] | None = None


class _Rewritten(FrozenTrial):
    """A trial with its parameters written in other words.

    Optuna copies what it takes in, part by part; these parts do not change, so they stay.
    """

    @classmethod
    def of(cls, frozen: FrozenTrial, params: Params, distributions: dict[str, BaseDistribution]) -> _Rewritten:
        return cls(
            number=frozen.number, trial_id=frozen._trial_id, state=frozen.state, value=None, values=frozen.values,
            datetime_start=frozen.datetime_start, datetime_complete=frozen.datetime_complete, params=params,
            distributions=distributions, user_attrs=frozen.user_attrs, system_attrs=frozen.system_attrs,
            intermediate_values={},
        )  # fmt: skip

    def __deepcopy__(self, memo: object) -> _Rewritten:
        return copy(self)


class Proposals:
    """An Optuna study in memory, which a resumed search fills from the journal to be where it was.

    What a sampler proposes depends on the run's seed, the proposal's number and what came before, so not on whether the
    process is still the first. Nothing infeasible and nothing known is proposed for training.
    """

    def __init__(
        self, space: SearchSpace, pricer: Pricer, settings: Settings, pool: Pool, guide: Guide | None = None
    ) -> None:  # fmt: skip
        self.space, self.pricer, self.settings, self.pool = space, pricer, settings, pool
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it reports every new study
        self.study = optuna.create_study(directions=directions(settings))
        self.distributions, self.shown = distributions(space), shown_distributions(space)
        self.sampler_for = build_sampler(
            settings.sampler, Problem(space, pricer, settings, (guide.of_codes,) if guide else ())
        )
        self.design = spread(pool, settings, settings.start)
        self.known: dict[Candidate, Outcome] = {}
        self.running: set[Candidate] = set()
        self.idle = 0

    def replay(self, frozen: FrozenTrial, record: Record) -> None:
        """Takes a proposal from the journal, as if it had just been made.

        Raises UserError for one that this space has not.
        """
        if frozen.distributions != self.shown:
            raise UserError(f"proposal {frozen.number} is not one of space {self.space.name}")
        params = params_of_shown(self.space, frozen.params)
        self.study.add_trial(_Rewritten.of(frozen, params, self.distributions))
        self._settle(record.kind, record.candidate, Outcome(frozen.state, frozen.values))

    def ask(self) -> Proposal | None:
        """The next proposal, priced; None when nothing feasible is left that is new."""
        number = len(self.study.get_trials(deepcopy=False))
        self.study.sampler = self.sampler_for(number)
        if number < len(self.design):
            self._enqueue(self.space.canonical(self.space.decode(self.design[number])))
        elif self.idle >= PATIENCE:
            fresh = self._fresh(number)
            if fresh is None:
                return None
            self._enqueue(fresh)
        asked = self._asked("train")
        if asked.kind == "train":
            self.running.add(asked.candidate)
        return asked

    def again(self, candidate: Candidate) -> Proposal:
        """A known candidate as one more proposal, a replicate: to the sampler a further observation of it."""
        self.study.sampler = self.sampler_for(len(self.study.get_trials(deepcopy=False)))
        self._enqueue(candidate)
        return self._asked("replicate")

    def _asked(self, kind: Kind) -> Proposal:
        """What the sampler asks for, or what was queued."""
        trial = self.study.ask(self.distributions)
        candidate = candidate_of(self.space, trial.params)
        network = self.space.network(candidate, self.settings.classes)
        costs = self.pricer.costs(candidate, network)
        needed = {*self.settings.needed, *self.settings.limits}
        columns = {name: np.array([getattr(costs, name)], dtype=float) for name in needed}
        missed = {name: float(by[0]) for name, by in misses(columns, self.settings).items()}
        for name, value in missed.items():
            trial.set_constraint(name, value)
        if kind == "train" and any(value > 0 for value in missed.values()):
            kind = "infeasible"
        elif kind == "train" and (candidate in self.known or candidate in self.running):
            kind = "duplicate"
        frozen = self.study.get_trials(deepcopy=False)[-1]
        shown = _Rewritten.of(frozen, shown_params(self.space, frozen.params), self.shown)
        return Proposal(shown, kind, candidate, network, costs)

    def answer(self, proposal: Proposal) -> Outcome:
        """What is known of a proposal that needs no training."""
        unknown = Outcome(TrialState.PRUNED, None)
        return self.known.get(proposal.candidate, unknown) if proposal.kind == "duplicate" else unknown

    def tell(self, number: int, kind: Kind, candidate: Candidate, outcome: Outcome) -> None:
        if outcome.expected is not None:
            identity = self.study.get_trials(deepcopy=False)[number]._trial_id
            self.study._storage.set_trial_user_attr(identity, EXPECTED, outcome.expected)
        self.study.tell(number, outcome.values, outcome.state)
        self._settle(kind, candidate, outcome)

    def _settle(self, kind: Kind, candidate: Candidate, outcome: Outcome) -> None:
        if kind == "replicate":
            return
        self.idle = 0 if kind == "train" else self.idle + 1
        if kind != "train":
            return
        self.running.discard(candidate)
        if outcome.state == TrialState.RUNNING:
            self.running.add(candidate)
        else:
            self.known[candidate] = outcome

    def _enqueue(self, candidate: Candidate) -> None:
        self.study.enqueue_trial(params_of(self.space, candidate))

    def _fresh(self, number: int) -> Candidate | None:
        """A feasible candidate that is not known: at random, or near one of the pool where few are feasible."""
        rng = np.random.default_rng([self.settings.seed, number, PATIENCE])
        for _ in range(4):
            near = self.space.neighbors(self.pool.codes, DRAWS, rng)
            codes = np.concatenate([self.space.sample_codes(DRAWS, rng), near])
            for code in codes[violation(self.pricer.columns(codes), self.settings) == 0]:
                candidate = self.space.canonical(self.space.decode(code))
                if candidate not in self.known and candidate not in self.running:
                    return candidate
        return None


def objectives(trial: Trial, goals: Sequence[Objective]) -> list[float]:
    """The values of the objectives."""
    return [trial.value(goal.column) for goal in goals]
