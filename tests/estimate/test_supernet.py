"""The estimator `supernet`: trained once, found again, resumed after a kill, and each candidate scored on its own."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.estimate.by_name import make_estimator
from nas.estimate.estimator import Estimator
from nas.estimate.supernet import SupernetScores
from nas.files.lock import locked
from nas.models.builder import build
from nas.models.trained import Preprocessing, TrainedModel
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import SearchSpace, parse_space
from nas.train.supernet import SupernetRecipe

CPU = torch.device("cpu")
RECIPE = SupernetRecipe(epochs=1, batch_size=64, resolution_share=1.0)
KERNELS = """
name = "kernels"
title = "A depthwise kernel of one pixel sees no shapes"
source = "the tests"
classes = 10
resolution = 8
stage = [
  { block = "conv", channels = 12, activation = "relu" },
  { block = "mbconv", depth = 3, kernel = [1, 3], expand = 2, channels = 12, activation = "relu" },
  { block = "pool_linear" },
]
"""


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return parse_space(KERNELS, Path("kernels.toml"))


@pytest.fixture
def make(digits: Dataset, space: SearchSpace, tmp_path: Path) -> Callable[..., SupernetScores]:
    def made(**change: Any) -> SupernetScores:
        given: dict[str, Any] = {"recipe": RECIPE, "seed": 1, "device": CPU, "folder": tmp_path / "supernets"}
        return SupernetScores(digits, space, **(given | change))

    return made


def networks(space: SearchSpace) -> dict[tuple[int, ...], Network]:
    names = [f"stage1.block{j}.kernel" for j in (1, 2, 3)]
    return {
        kernels: space.network(Candidate.of(dict(zip(names, kernels, strict=True))), 10)
        for kernels in product((1, 3), repeat=3)
    }


def test_it_ranks_what_sees_shapes_above_what_does_not(make: Callable[..., SupernetScores], space: SearchSpace) -> None:
    estimator: Estimator = make(recipe=replace(RECIPE, epochs=6, batch_size=32, learning_rate=0.3))
    found = {k: estimator.estimate(n, {}, seed=0) for k, n in networks(space).items()}
    seeing = [k.count(3) for k in found]
    assert kendalltau(seeing, [e.value for e in found.values()])[0] > 0.6
    assert all(e.kind == "rank" and e.model is None and e.seconds > 0 and -10 < e.value < 0 for e in found.values())


def test_it_is_trained_once_and_found_by_the_next(make: Callable[..., SupernetScores], space: SearchSpace) -> None:
    heard: list[tuple[int, int]] = []
    first, network = make(), networks(space)[1, 3, 1]
    first.prepare(lambda done, total, what: heard.append((done, total)))
    assert heard == [(n, len(heard)) for n in range(1, len(heard) + 1)] and len(heard) > 10
    first.prepare(lambda done, total, what: heard.append((0, 0)))
    second = make()
    second.prepare(lambda done, total, what: heard.append((0, 0)))
    assert (0, 0) not in heard
    assert second.estimate(network, {}, seed=5).value == first.estimate(network, {}, seed=6).value
    assert [p.name for p in first.file.parent.iterdir()] == [first.file.name]
    sent = pickle.loads(pickle.dumps(first))  # a worker elsewhere has no such folder
    first.file.unlink()
    assert sent.estimate(network, {}, seed=0).value == first.estimate(network, {}, seed=0).value


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(
    make: Callable[..., SupernetScores], space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.estimate.supernet.SAVE_SECONDS", 0.0)
    whole, stopped, resumed = make(folder=tmp_path / "whole"), make(), make()
    whole.prepare()

    def kill(done: int, total: int, what: str) -> None:
        if done == 9:
            (stopped.file.parent / f".{stopped.file.name}.123.part").touch()  # as a kill leaves it
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.prepare(kill)
    heard: list[int] = []
    resumed.prepare(lambda done, total, what: heard.append(done))
    assert heard[0] == 10 and [p.name for p in resumed.file.parent.iterdir()] == [resumed.file.name]
    for name, weight in whole._trained[0].weights.items():
        assert torch.equal(weight, resumed._trained[0].weights[name]), name


def test_a_second_process_does_not_train_the_same_supernet(make: Callable[..., SupernetScores]) -> None:
    estimator = make()
    with locked(estimator.file.parent), pytest.raises(UserError, match="another process is training this supernet in"):
        estimator.prepare()
    estimator.prepare()
    with locked(estimator.file.parent):
        make().prepare()  # what is trained is only read


def test_statistics_of_one_candidate_never_reach_another(
    make: Callable[..., SupernetScores], space: SearchSpace
) -> None:
    one, other = networks(space)[1, 1, 1], networks(space)[3, 3, 3]
    used, fresh = make(), make()
    first = used.estimate(one, {}, seed=0).value
    for network in (other, one, other):
        used.estimate(network, {}, seed=0)
    assert used.estimate(one, {}, seed=0).value == first
    assert fresh.estimate(other, {}, seed=0).value == used.estimate(other, {}, seed=0).value


def test_candidates_are_trained_and_scored_at_the_share_of_their_own_resolution(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = KERNELS.replace("resolution = 8", "resolution = [16, 32]")
    space = parse_space(text, Path("kernels.toml"))
    estimator = SupernetScores(digits, space, replace(RECIPE, resolution_share=0.5), 1, CPU, tmp_path)
    seen: list[int] = []
    take = type(digits.train.images).take

    def recorded(images: object, indices: torch.Tensor, resolution: int) -> torch.Tensor:
        seen.append(resolution)
        return take(images, indices, resolution)  # type: ignore[arg-type]

    monkeypatch.setattr(type(digits.train.images), "take", recorded)
    estimator.prepare()
    assert 0.4 < seen.count(16) / len(seen) < 0.6 and set(seen) == {8, 16}
    for resolution, scored in ((16, 8), (32, 16)):
        names = {"resolution": resolution, **{f"stage1.block{j}.kernel": 3 for j in (1, 2, 3)}}
        seen.clear()
        estimator.estimate(space.network(Candidate.of(names), 10), {}, seed=0)
        assert set(seen) == {scored}


def test_another_space_dataset_recipe_or_seed_is_another_supernet(
    make: Callable[..., SupernetScores], space: SearchSpace, digits: Dataset, tmp_path: Path
) -> None:
    other_space = parse_space(KERNELS + "\n# other", Path("kernels.toml"))
    other_data = replace(digits, fingerprint="0" * 64)
    files = {
        make().file, make(seed=2).file, make(recipe=replace(RECIPE, epochs=2)).file,
        SupernetScores(digits, other_space, RECIPE, 1, CPU, tmp_path / "supernets").file,
        SupernetScores(other_data, space, RECIPE, 1, CPU, tmp_path / "supernets").file,
    }  # fmt: skip
    assert len(files) == 5 and make().file in files
    assert all(f.parent.name.startswith("kernels-") for f in files)


def test_it_is_kept_in_the_users_folder(digits: Dataset, space: SearchSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", "/somewhere")
    assert SupernetScores(digits, space).file.parents[1] == Path("/somewhere/supernets")


def test_a_file_of_something_else_is_named(make: Callable[..., SupernetScores]) -> None:
    estimator = make()
    estimator.file.parent.mkdir(parents=True)
    estimator.file.write_bytes(b"not weights")
    with pytest.raises(UserError, match="not a readable safetensors file") as error:
        estimator.prepare()
    assert str(error.value).startswith(str(estimator.file)) and "\n" not in str(error.value)


def test_a_training_that_diverges_says_what_to_change(
    make: Callable[..., SupernetScores], monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*given: object, **named: object) -> None:
        raise FloatingPointError("the gradient is not finite at step 3 of 9")

    monkeypatch.setattr("nas.estimate.supernet.train_supernet", diverge)
    with pytest.raises(UserError, match=r"supernet of kernels: the gradient is not finite .* smaller learning_rate"):
        make().prepare()
    assert not make().file.parent.exists()


def test_a_network_of_another_number_of_classes_is_refused(
    make: Callable[..., SupernetScores], space: SearchSpace
) -> None:
    with pytest.raises(UserError, match="a network of 3 classes cannot be scored on the 10 of digits"):
        make().estimate(space.network(space.sample(np.random.default_rng(0)), 3), {}, seed=0)


def test_no_network_is_trained_on_its_own_so_there_is_no_test_accuracy(
    make: Callable[..., SupernetScores], space: SearchSpace
) -> None:
    network = networks(space)[1, 1, 1]
    weights = build(network).state_dict()
    model = TrainedModel(network, weights, "classification", tuple("0123456789"), Preprocessing(8))
    with pytest.raises(UserError, match="no test accuracy"):
        make().test_accuracy(model)


def test_by_name_with_its_recipe(digits: Dataset, space: SearchSpace) -> None:
    made = make_estimator("supernet", digits, {"epochs": 3, "sandwich": "true", "learning_rate": 1}, 4, space)
    assert isinstance(made, SupernetScores) and made.seed == 4
    assert made.recipe == SupernetRecipe(epochs=3, sandwich=True, learning_rate=1)
    for settings, message in (
        ({"epoch": 3}, "unknown supernet setting 'epoch'"), ({"sandwich": 1}, "sandwich must be true or false"),
        ({"epochs": 2.5}, "epochs must be a whole number"), ({"epochs": 0}, "epochs must be at least 1"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            make_estimator("supernet", digits, settings, 0, space)
    with pytest.raises(UserError, match="needs the search space"):
        make_estimator("supernet", digits, {}, 0)
    with pytest.raises(UserError, match="needs a dataset"):
        make_estimator("supernet", None, {}, 0, space)
