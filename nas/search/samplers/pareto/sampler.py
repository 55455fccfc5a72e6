"""A sampler for any Optuna study of several objectives that is told which of them are known before a trial."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.errors import UserError
from nas.pareto import Array
from nas.search.samplers.pareto.descriptors import (
    Describe,
    DescribedByCode,
    DescribedByParams,
    DescribeMany,
    Describer,
)
from nas.search.samplers.pareto.history import Tried
from nas.search.samplers.pareto.initial_design import GAP, WALKED, next_start, spread, start_size
from nas.search.samplers.pareto.known_objectives import ByCode, ByParams, Caller, Coded, Known, KnownMany
from nas.search.samplers.pareto.pool import Candidates
from nas.search.samplers.pareto.space import Params, Presence, draw, keys, learn_decisions

if TYPE_CHECKING:
    from nas.search.samplers.pareto.learned_front import Fits

EXPECTED = "nas:expected"  # objectives that a pruned trial would have had, in its user attributes, if it says so
PROPOSED = "nas:proposed"  # what was proposed to a trial, in its system attributes: known before it suggests anything


class ParetoSampler(BaseSampler):
    """Proposes the candidate that is expected to add most hypervolume, where some objectives are known exactly.

    Each objective that must be learned has a Gaussian process (Matern-5/2, one length scale per feature) over the
    choices and the logarithms of the known objectives. With descriptors there is a linear trend too, in their
    logarithms and those of the known objectives; how far each slope is trusted is learned from the results. The
    expected hypervolume improvement (Emmerich et al., CEC 2011; Yang et al., JOGO 2019) is in closed form, with the
    known objectives exact, over the front that the model believes in, so noise is no gain. It is maximised over random
    candidates, changes of the front, and step by step over neighbours. Several results of one candidate are averaged,
    as far as they are noise. Running trials are taken to end as the model expects; failed and pruned ones are only
    never repeated, but a pruned one whose user attribute "nas:expected" holds the objectives that it would have had is
    learned from.

    What is proposed depends on the seed, the number of the trial and the study's history, on nothing else.

    known: `f(params)` has one entry per objective of the study, in order: its exact value, or None where it must be
        learned; always None for the same ones. `params` is what the trial suggests, by name. Default: nothing is known.
    known_many: the same for a list of candidates at once; takes the place of `known` where a price is slow.
    feasible: `f(params)` is false for candidates that are never to be proposed.
    describe: `f(params)` has cheap numbers that may tell something of a learned objective: MACs, parameters, depth, a
        score without training. Of each, more promises better until the results say otherwise. The first trials stand
        along the front of each in turn against the known objectives; what these leave unseen of the known objectives
        is tried next. Finite numbers, as many for every candidate: none may be missing.
    describe_many: the same for a list of candidates at once, in the place of `describe`.
    canonical: `f(params)` is the parameters of the one candidate that stands for all that are the same. It may leave
        out parameters that do not matter.
    coded: all of these for thousands of candidates at once, as arrays of codes, in the place of the functions above; it
        needs `space`. With a method `described` it has descriptors. This is what `nas search` uses: nothing is
        converted between a candidate and its parameters.
    space: the distributions by name, where they are known before the first trial; else they are learned from the
        trials, so that the first is random, and the first ones may be infeasible. A parameter that some trials lack is
        taken to depend on the one whose values tell them apart, and to be there always where none does; what was tried
        before it was known may then be tried once more.
    reference: the worst values of interest, per objective, in the study's units. Default: a tenth beyond the front's
        worst, and the worst tried of known objectives.
    start: how many trials come before anything is learned. Default: 8 to 16, by the number of choices; 4 with
        descriptors.
    trusted: the weight, from 0 to 1, of what descriptors promise of a learned objective from 0 to 1, beside what the
        results tell. 0: the results tell what descriptors are worth. Results of short trainings are biased, and trust
        a score too little that tells as much.
    """

    def __init__(
        self,
        known: Known | None = None,
        *,
        seed: int | None = None,
        known_many: KnownMany | None = None,
        feasible: Callable[[Params], bool] | None = None,
        describe: Describe | None = None,
        describe_many: DescribeMany | None = None,
        canonical: Callable[[Params], Params] | None = None,
        coded: Coded | None = None,
        space: Mapping[str, BaseDistribution] | None = None,
        reference: Sequence[float] | None = None,
        start: int | None = None,
        trusted: float = 0.0,
    ) -> None:
        if not 0 <= trusted <= 1:
            raise UserError(f"trusted must lie between 0 and 1; got {trusted}")
        if seed is not None and seed < 0:
            raise UserError(f"seed must be 0 or more; got {seed}")
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self.space = dict(space or {})
        self.reference, self.start, self.trusted = reference, start, trusted
        functions = (known, known_many, feasible, canonical, describe, describe_many)
        if coded is not None and (any(functions) or not space):
            raise UserError("coded needs space, and takes the place of all functions of parameters")
        self._caller: Caller = ByCode(coded) if coded else ByParams(known, known_many, feasible, canonical)
        self._describer: Describer = DescribedByCode(coded) if coded else DescribedByParams(describe, describe_many)
        self._lock = threading.Lock()
        self._fits: Fits = {}
        self._for: tuple[Any, ...] = ()  # the space and the directions that the rest is of
        self._presence: dict[int, Presence] = {}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every parameter that any other trial had: what a trial does not suggest is not used."""
        found = dict(self.space)
        for other in study.get_trials(deepcopy=False):
            if other.number != trial.number:
                found |= other.distributions
        return found

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next candidate; a queued trial keeps what it was queued with.

        Raises UserError for 1 or more than 4 objectives, for values of `known` that are none, for a parameter of
        `space` that another sampler keeps for itself, and where no candidate is feasible.
        """
        if not 2 <= len(study.directions) <= 4:
            raise UserError(f"ParetoSampler needs a study of 2 to 4 objectives; got {len(study.directions)}")
        if self.reference is not None and len(self.reference) != len(study.directions):
            raise UserError(f"reference must have {len(study.directions)} values; got {len(self.reference)}")
        if not search_space:
            return {}
        if withheld := sorted(self.space.keys() - search_space.keys()):
            raise UserError(f"ParetoSampler must propose {withheld[0]}; to fix it, give it one value in `space`")
        with self._lock:
            params = self._propose(study, trial, search_space)
            codes = {name: search_space[name].to_internal_repr(value) for name, value in params.items()}
            study._storage.set_trial_system_attr(trial._trial_id, PROPOSED, codes)
        return params

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value, for a parameter that no trial has had."""
        rng = np.random.default_rng([self.seed, trial.number, crc32(param_name.encode())])
        return param_distribution.to_external_repr(float(draw(param_distribution, 1, rng)[0]))

    def _propose(self, study: Study, trial: FrozenTrial, space: dict[str, BaseDistribution]) -> Params:
        signs = np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions])
        rng = np.random.default_rng([self.seed, trial.number])
        given = _queued(trial, space)
        if len(given) == len(space):
            return given
        trials = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        if (now := (dict(space), tuple(study.directions))) != self._for:  # codes of another space mean nothing here
            self._for, self._presence = now, {}
            self._caller.forget(parameters=False)
            self._describer.forget()
        # a trial that failed or was pruned may have ended before it suggested everything
        ended = [t.params for t in trials if t.state == TrialState.COMPLETE and t.params]
        decisions = learn_decisions(space, ended, given)
        if decisions.presence != self._presence:
            self._presence = dict(decisions.presence)
            self._caller.forget(parameters=True)
            self._describer.forget()
        inferred = not set(space) <= set(self.space)  # then there may be more that no trial has shown yet
        candidates = Candidates(decisions, self._caller, self._describer, signs, inferred)
        tried = _tried(candidates, trials)
        code = self._next(candidates, tried, rng)
        if code is None and given:  # nothing else goes with what it was queued with
            code = decisions.sample(1, rng)[0]
        if code is None and not tried.feasible.any():
            raise UserError("no candidate is feasible, or none was found; relax the constraints")
        if code is None:  # nothing new is left: measure one again
            code = tried.codes[rng.choice(np.flatnonzero(tried.feasible))]
        return decisions.params(code[None])[0]

    def _next(self, candidates: Candidates, tried: Tried, rng: np.random.Generator) -> Array | None:
        """The code (d,) of the next candidate. None: nothing is left."""
        usual, described = start_size(len(candidates.decisions.space)), candidates.descriptors > 0
        start = self.start if self.start is not None else WALKED if described else usual
        if len(tried.codes) < start or tried.done.sum() < 2 or not tried.feasible.any():
            return next_start(candidates, tried.codes, tried.values, rng, start)
        if described and len(tried.codes) < usual:
            code = spread(candidates, tried.codes, tried.values, np.random.default_rng(rng.integers(2**32)), GAP)
            if code is not None:
                return code
        from nas.search.samplers.pareto.learned_front import LearnedFront  # late: BoTorch takes seconds to start

        reference = None if self.reference is None else np.array(self.reference, dtype=float)
        return LearnedFront(candidates, tried, reference, self._fits, rng, self.trusted).best(rng)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_lock": threading.Lock()}


def _tried(candidates: Candidates, trials: Sequence[FrozenTrial]) -> Tried:
    """The trials that ended or run; `candidates` then takes these, and those that failed or wait, for tried."""
    decisions, signs = candidates.decisions, candidates.signs
    candidates.unheard = [decisions.code(t.params) for t in trials if _unheard(t, decisions.space)]
    pairs = [(t, p) for t in trials if (p := _params(t, decisions.space))]
    codes = np.array([decisions.code(p) for _, p in pairs]).reshape(-1, len(decisions.space))
    codes = candidates.canonical(codes)
    candidates.taken = frozenset(keys(codes))
    told = [_told(t) for t, _ in pairs]
    kept = [i for i, (t, _) in enumerate(pairs) if told[i] is not None or t.state == TrialState.RUNNING]
    codes, ours = codes[kept], [told[i] for i in kept]
    values, feasible = candidates.price(codes)
    done = np.array([found is not None for found in ours], dtype=bool)
    for row, found in zip(values, ours, strict=True):
        if found is not None:
            row[:] = np.where(np.isnan(row), signs * np.array(found), row)
    for at in np.flatnonzero(done & candidates.caller.unpriced(codes)):
        candidates.caller.check(decisions.params(codes[at : at + 1])[0])
    there = done | feasible
    return Tried(codes[there], values[there], feasible[there], done[there])


def _told(trial: FrozenTrial) -> Sequence[float] | None:
    """Objectives of a trial that ended, and of a pruned one that says what it would have had."""
    if trial.state == TrialState.PRUNED:
        expected = trial.user_attrs.get(EXPECTED)
        return expected if expected is not None and np.isfinite(expected).all() else None
    return trial.values if trial.state == TrialState.COMPLETE else None


def _params(trial: FrozenTrial, space: Mapping[str, BaseDistribution]) -> Params:
    """What a trial tries: of one that did not complete also what was proposed to it, and what it was queued with."""
    if trial.state == TrialState.COMPLETE:
        return trial.params
    proposed = trial.system_attrs.get(PROPOSED, {})
    params = {k: space[k].to_external_repr(v) for k, v in proposed.items() if k in space}
    return params | _queued(trial, space) | trial.params


def _queued(trial: FrozenTrial, space: Mapping[str, BaseDistribution]) -> Params:
    """What `study.enqueue_trial` gave a trial, but for values that there are not: Optuna refuses these when asked."""
    found = {}
    for name, value in trial.system_attrs.get("fixed_params", {}).items():
        try:
            if name in space and space[name]._contains(space[name].to_internal_repr(value)):
                found[name] = value
        except (TypeError, ValueError):
            continue
    return found


def _unheard(trial: FrozenTrial, space: Mapping[str, BaseDistribution]) -> bool:
    """Whether a trial completed without a parameter that was proposed to it: it does not depend on that one."""
    proposed = trial.system_attrs.get(PROPOSED, {})
    return trial.state == TrialState.COMPLETE and any(k in space and k not in trial.params for k in proposed)
