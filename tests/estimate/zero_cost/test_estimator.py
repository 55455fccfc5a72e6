"""The estimator `zero-cost`: it keeps an Estimator's contract, and says that it only ranks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset, Split
from nas.errors import UserError
from nas.estimate.by_name import make_estimator
from nas.estimate.estimator import Estimator
from nas.estimate.zero_cost import SCORES
from nas.estimate.zero_cost.estimator import ZeroCost, shown
from nas.models.builder import build
from nas.models.trained import Lineage, Preprocessing, TrainedModel
from nas.space.search_space import load_space
from tests.estimate.zero_cost.networks import chain

POOL = tuple(chain(width, blocks) for width in (8, 16) for blocks in (1, 2))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def sample(digits: Dataset) -> Split:
    return shown(digits.train, 0)


def test_the_sum_ranks_and_is_never_taken_for_an_accuracy(sample: Split) -> None:
    estimator: Estimator = ZeroCost(sample, pool=POOL)
    estimator.prepare()
    small, large = (estimator.estimate(n, {}, seed=1) for n in (chain(8, 1), chain(16, 3)))
    assert large.value > small.value and large.kind == "rank" and large.model is None and large.seconds > 0
    with pytest.raises(ValueError, match="only ranks candidates"):
        _ = large.accuracy


def test_equal_seeds_give_equal_estimates_whatever_was_estimated_before(sample: Split) -> None:
    one, other = ZeroCost(sample, pool=POOL), ZeroCost(sample, pool=POOL)
    one.estimate(chain(8, 3), {}, seed=5)
    assert one.estimate(chain(), {}, seed=1).value == other.estimate(chain(), {}, seed=1).value
    assert one.estimate(chain(), {}, seed=1).value != one.estimate(chain(), {}, seed=2).value


def test_one_score_is_given_as_it_is_the_mean_of_its_initializations(sample: Split) -> None:
    three = ZeroCost(sample, {"naswot": 1.0}).estimate(chain(), {}, seed=2).value
    ones = [ZeroCost(sample, {"naswot": 1.0}, initializations=1).estimate(chain(), {}, seed=s).value for s in (6, 7, 8)]
    assert three == pytest.approx(np.mean(ones)) and len(set(ones)) == 3
    assert ZeroCost(sample, {"depth": 2.0}).estimate(chain(), {}, seed=2).value == 2 * 3


def test_the_pool_is_scored_once(sample: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setitem(SCORES, "swap", lambda given: float(len(seen.append(given.network) or seen)))
    estimator = ZeroCost(sample, {"swap": 1.0, "depth": 1.0}, POOL, initializations=1)
    heard = []
    estimator.prepare(lambda done, total, what: heard.append((done, total)))
    estimator.prepare(lambda done, total, what: heard.append((done, total)))
    assert seen == list(POOL) and heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    pickle.loads(pickle.dumps(estimator._ranks))  # a worker is sent what was prepared


def test_images_are_drawn_once_for_all_candidates(digits: Dataset) -> None:
    one, again, other = (shown(digits.train, seed) for seed in (0, 0, 1))
    assert torch.equal(one.labels, again.labels) and not torch.equal(one.labels, other.labels)
    assert len(one) == 64


def test_a_score_that_is_not_finite_fails_the_candidate(sample: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORES, "swap", lambda given: -float("inf"))
    with pytest.raises(ArithmeticError, match="the score swap is not finite"):
        ZeroCost(sample, {"swap": 1.0}).estimate(chain(), {}, seed=0)


def test_nothing_is_trained_so_there_is_no_test_accuracy(sample: Split) -> None:
    network = chain()
    model = TrainedModel(
        network, build(network).state_dict(), "classification", tuple("0123456789"), Preprocessing(12), "fp32",
        recipe={}, lineage=Lineage(),
    )  # fmt: skip
    with pytest.raises(UserError, match="train nothing"):
        ZeroCost(sample, {"depth": 1.0}).test_accuracy(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": {"swop": 1.0}}, "unknown score 'swop'; did you mean 'swap'"),
        ({"weights": {"swap": float("nan")}}, "weight of swap must be a finite number"),
        ({"weights": {}}, "at least one score"),
        ({"weights": {"swap": 1.0, "depth": 1.0}}, "a pool of networks"),
        ({"weights": {"swap": 1.0}, "initializations": 0}, "initializations must be from 1"),
    ],
)
def test_what_cannot_be_scored_is_refused(sample: Split, change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ZeroCost(sample, **change)  # type: ignore[arg-type]


def test_too_few_images_are_refused(sample: Split) -> None:
    with pytest.raises(UserError, match="at least 4 images; got 3"):
        ZeroCost(sample.subset(torch.arange(3)), {"swap": 1.0})


def test_by_name_it_ranks_among_random_networks_of_the_space(digits: Dataset) -> None:
    space = load_space("tiny")
    settings = {"pool": 5, "initializations": 2, "weights": {"depth": 1, "macs": 1}}
    one, other = (make_estimator("zero-cost", digits, settings, seed, space) for seed in (0, 1))
    assert isinstance(one, ZeroCost) and isinstance(other, ZeroCost)
    assert len(one.pool) == 5 and one.initializations == 2 and one.pool != other.pool and one.pool[0].classes == 10
    assert one.estimate(space.network(space.sample(np.random.default_rng(3))), {}, seed=0).kind == "rank"
