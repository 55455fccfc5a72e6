"""The check that needs no truth: an estimator against itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.data.catalog import load_dataset
from nas.errors import UserError
from nas.estimate.bench import self_check
from nas.estimate.bench.self_check import COLUMNS, SelfCheck, ceiling, check_self, checked_csv
from nas.estimate.estimator import Estimate, OnPrepare
from nas.models.trained import TrainedModel
from nas.space.candidate import Value
from nas.space.network import Network
from nas.space.search_space import parse_space
from nas.train.loop import OnEpoch
from tests.estimate.bench.test_comparison import SMALL

SPACE = parse_space(SMALL, Path("small.toml"))
DIGITS = load_dataset("digits")


class Noisy:
    """Size with noise of the seed's own, the less of it the longer the training; it prefers small networks at first."""

    def __init__(self, epochs: int, noise: float, bias: float) -> None:
        self.epochs, self.noise, self.bias = epochs, noise, bias

    def prepare(self, on_progress: OnPrepare | None = None) -> None: ...

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        drawn = np.random.default_rng((seed, network.macs)).normal()
        sign = 1.0 if self.epochs > 10 or not self.bias else -1.0
        return Estimate(sign * math.log(network.macs) + self.noise * drawn / math.sqrt(self.epochs), 0.0)

    def test_accuracy(self, model: TrainedModel) -> float:
        raise NotImplementedError


def taus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: float, bias: float) -> tuple[float, float]:
    def make(name: str, dataset: object, settings: Mapping[str, Any], seed: int, space: object) -> Noisy:
        return Noisy(settings["epochs"], noise, bias)

    monkeypatch.setattr(self_check, "make_estimator", make)
    given = SelfCheck(SPACE, DIGITS, ("proxy",), networks=18, proxy={"epochs": 4})
    (checked,) = check_self(given, tmp_path / f"{noise}{bias}" / "values.csv")
    assert checked.networks == 18 and checked.seeds[1] <= checked.seeds[0] <= checked.seeds[2]
    return checked.seeds[0], checked.following[0]


def test_noise_and_bias_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same, later = taus(tmp_path, monkeypatch, noise=0.0, bias=0.0)
    assert same == later == pytest.approx(1)
    same, later = taus(tmp_path, monkeypatch, noise=0.6, bias=0.0)  # noise: longer trainings agree better
    assert 0.1 < same < later < 0.95
    same, later = taus(tmp_path, monkeypatch, noise=0.1, bias=1.0)  # bias: each seed agrees, longer trainings do not
    assert same > 0.8 and later < -0.5


def test_scores_and_real_trainings_are_checked_and_gone_on_with(tmp_path: Path) -> None:
    given = SelfCheck(
        SPACE, DIGITS, ("proxy", "swap"), networks=4, initializations=1, proxy={"epochs": 1, "data_share": 0.1}
    )
    file = tmp_path / "out" / "values.csv"
    said: list[tuple[int, int]] = []
    checked = check_self(given, file, lambda *x: said.append(x))
    assert [c.name for c in checked] == ["proxy", "swap"] and said[-1] == (24, 24)
    assert all(-1 <= c.seeds[0] <= 1 and -1 <= c.following[0] <= 1 for c in checked)
    assert all(c.seconds > 0 and c.next_seconds > 0 for c in checked)
    text = checked_csv(checked)
    assert text.splitlines()[0] == ",".join(COLUMNS) and text.count("\n") == 3
    begun: list[int] = []
    again = check_self(given, file, lambda done, total: begun.append(done))
    assert begun == [24] and [c.seeds for c in again] == [c.seeds for c in checked]
    other = SelfCheck(SPACE, DIGITS, ("swap",), networks=4, initializations=2)
    with pytest.raises(UserError, match="must hold results of small-"):
        check_self(other, file)


def test_what_fails_is_the_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fails(Noisy):
        def estimate(self, *args: Any, **kwargs: Any) -> Estimate:
            raise FloatingPointError("the loss is not finite")

    monkeypatch.setattr(self_check, "make_estimator", lambda *args: Fails(1, 0, 0))
    (checked,) = check_self(SelfCheck(SPACE, DIGITS, networks=3), tmp_path / "values.csv")
    assert checked.seeds[0] == 0 and math.isnan(checked.ceiling)


def test_the_ceiling_is_what_a_noisy_copy_of_the_truth_reaches() -> None:
    rng = np.random.default_rng(0)
    truth, one, other = rng.normal(size=(3, 3000))
    first, second = truth + 0.8 * one, truth + 0.8 * other
    expected = self_check.tau(first, truth)
    assert ceiling(self_check.tau(first, second)) == pytest.approx(expected, abs=0.02)
    assert ceiling(1.0) == pytest.approx(1) and math.isnan(ceiling(0.0)) and math.isnan(ceiling(-0.3))


def test_unknown_estimators_and_too_small_spaces_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "out" / "values.csv"
    for names, message in ((("swop",), "unknown estimator 'swop'"), (("table",), "unknown"), ((), "must be some of")):
        with pytest.raises(UserError, match=message):
            check_self(SelfCheck(SPACE, DIGITS, names), file)
    with pytest.raises(UserError, match="small must have 19 distinct networks; got 18"):
        check_self(SelfCheck(SPACE, DIGITS, networks=19), file)
    assert not file.parent.exists()
