"""What `nas search` tells its sampler of candidates, by their codes."""

from __future__ import annotations

import numpy as np
import pytest

from nas.device.profile import load_device
from nas.estimate.zero_cost import DESCRIPTORS
from nas.run import Settings
from nas.search.problem.costs import DevicePricer
from nas.search.problem.trial_costs import TrialCosts
from nas.search.samplers.by_name import Problem, build_sampler
from nas.space.search_space import load_space


def settings(space: str, objectives: tuple[str, ...] = ("accuracy", "latency")) -> Settings:
    return Settings(
        space=space, space_sha256="", device="raspberry-pi-4", device_sha256="", dataset="", classes=7,
        objectives=objectives, sampler="pareto", seed=0, trials=5,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["nas-bench-macro", "mobilenet-v3", "tiny"])
def test_descriptors_by_code_are_those_of_the_networks(name: str) -> None:
    space = load_space(name)
    costs = TrialCosts(space, DevicePricer(load_device("raspberry-pi-4"), space, 7), settings(name))
    codes = space.sample_codes(20, np.random.default_rng(0))
    networks = [space.network(space.decode(code), 7) for code in codes]
    expected = [[DESCRIPTORS[d](network) for d in ("macs", "params", "stage-sum")] for network in networks]
    assert costs.described(codes) == pytest.approx(np.array(expected))


def test_an_objective_is_no_descriptor_and_better_ones_take_the_place_of_all() -> None:
    space = load_space("tiny")
    pricer = DevicePricer(load_device("raspberry-pi-4"), space, 7)
    codes = space.sample_codes(6, np.random.default_rng(0))
    every = TrialCosts(space, pricer, settings("tiny")).described(codes)
    assert TrialCosts(space, pricer, settings("tiny", ("accuracy", "macs"))).described(codes) == pytest.approx(
        every[:, 1:]
    )
    better = TrialCosts(space, pricer, settings("tiny"), (lambda codes: codes[:, 0],))
    assert better.described(codes) == pytest.approx(codes[:, :1])


def test_a_problem_passes_its_descriptors_on() -> None:
    asked = []

    def describe(codes: np.ndarray) -> np.ndarray:
        asked.append(len(codes))
        return codes[:, 0]

    from nas.search.problem.encoding import distributions
    from tests.search.samplers.pareto.test_sampler import study_with

    space = load_space("tiny")
    problem = Problem(space, DevicePricer(load_device("raspberry-pi-4"), space, 7), settings("tiny"), (describe,))
    study_with(build_sampler("pareto", problem)(0)).ask(distributions(space))  # type: ignore[arg-type]
    assert sum(asked) > 0
