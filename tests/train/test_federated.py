"""Federated averaging: its arithmetic by hand, what stays local, and that it is better than learning alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.data.corruptions import corrupt
from nas.data.dataset import Split
from nas.data.images import ImagesInMemory
from nas.errors import UserError
from nas.train.federated import Client, Federation, Task, averaged, clipped, federate, train_here
from nas.train.recipe import Recipe
from tests.compress.networks import SIDE, digits, trained


def site(name: str, corruption: str, start: int, images: int = 60) -> Client:
    """Digits that no other site has, all changed in one way."""
    source = digits().train
    chosen = torch.arange(start, start + images + 60)
    pixels = source.images.take(chosen, SIDE).numpy()
    changed = torch.from_numpy(corrupt(pixels, corruption, 5, seed=1))
    whole = Split(ImagesInMemory(changed), source.labels[chosen])
    return Client(name, whole.subset(torch.arange(images)), whole.subset(torch.arange(images, images + 60)))


@pytest.fixture(scope="module")
def sites() -> list[Client]:
    return [site("dark", "contrast", 0), site("blurred", "gaussian-blur", 200)]


def test_an_update_is_clipped_to_a_norm_of_all_its_weights_together() -> None:
    update = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[4.0]])}  # of norm 5
    assert clipped(update, 5.0)["a"].tolist() == [3.0, 0.0] and clipped(update, 0.0)["b"].tolist() == [[4.0]]
    half = clipped(update, 2.5)
    assert half["a"].tolist() == [1.5, 0.0] and half["b"].tolist() == [[2.0]]


def test_a_mean_has_each_sites_share() -> None:
    parts = [
        {"a": torch.tensor([0.0, 4.0]), "n": torch.tensor(7)},
        {"a": torch.tensor([8.0, 0.0]), "n": torch.tensor(9)},
    ]
    found = averaged(parts, [0.25, 0.75])
    assert found["a"].tolist() == [6.0, 1.0] and int(found["n"]) == 7


def test_only_weights_travel_and_batch_norms_stay(sites: list[Client]) -> None:
    found = federate(trained(), sites, Federation(rounds=2, learning_rate=0.02))
    dark, blurred = (found.own[name].weights for name in ("dark", "blurred"))
    norms = {name for name in dark if ".bn" in name or name.startswith("bn")}
    assert norms and all(torch.equal(dark[name], blurred[name]) for name in dark.keys() - norms)
    assert not torch.equal(dark["bn1.running_mean"], blurred["bn1.running_mean"])
    mean = (dark["bn1.running_mean"] + blurred["bn1.running_mean"]) / 2  # of as many images
    torch.testing.assert_close(found.model.weights["bn1.running_mean"], mean)
    floats = sum(t.numel() for name, t in trained().weights.items() if name not in norms)
    assert found.sent_mb == pytest.approx(4 * floats / 1e6)
    again = federate(trained(), sites, Federation(rounds=2, learning_rate=0.02))
    assert all(torch.equal(again.model.weights[name], tensor) for name, tensor in found.model.weights.items())


def test_a_federation_does_better_than_before_and_all_is_measured(sites: list[Client]) -> None:
    heard: list[int] = []
    found = federate(
        trained(),
        sites,
        Federation(rounds=4, batch_size=8, learning_rate=0.02),
        on_round=lambda number, _: heard.append(number),
    )
    assert heard == [1, 2, 3, 4]
    assert all(set(one) == {"before", "local", "federated", "central"} for one in found.accuracy.values())
    mean = {way: np.mean([one[way] for one in found.accuracy.values()]) for way in ("before", "local", "federated")}
    assert mean["federated"] > mean["before"] + 0.1 and mean["federated"] > mean["local"] - 0.1


def test_a_run_of_tasks_elsewhere_gives_the_same_weights(sites: list[Client]) -> None:
    def elsewhere(train: object, tasks: object) -> list[object]:
        return [train(task) for task in reversed(list(tasks))][::-1]  # type: ignore[operator,call-overload]

    asked = Federation(rounds=1)
    here, there = federate(trained(), sites, asked), federate(trained(), sites, asked, run=elsewhere)  # type: ignore[arg-type]
    assert all(torch.equal(there.model.weights[name], tensor) for name, tensor in here.model.weights.items())


def test_noise_and_clip_bound_what_one_round_changes(sites: list[Client]) -> None:
    start = trained().weights
    found = federate(trained(), sites, Federation(rounds=1, learning_rate=0.05, clip=0.01)).model.weights
    moved = [(found[n] - start[n]).square().sum() for n in start if "bn" not in n and start[n].is_floating_point()]
    assert 0 < float(sum(moved)) ** 0.5 <= 0.01 * 1.001
    noised = federate(trained(), sites, Federation(rounds=1, learning_rate=0.05, clip=0.01, noise=1.0)).model.weights
    difference = torch.cat([(noised[n] - found[n]).flatten() for n in start if "conv" in n and n.endswith("weight")])
    assert float(difference.std()) == pytest.approx(1.0 * 0.01 * 0.5, rel=0.1), "half of the images are one site's"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"noise": 1.0}, "which only a clip bounds: give both"),
        ({"clip": -1.0}, "clip must be 0 or more; got -1.0"),
        ({"clip": float("nan")}, "clip must be 0 or more; got nan"),
        ({"rounds": 0}, "rounds must be 1 or more; got 0"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(Federation(), **changed)


def test_one_site_is_no_federation_and_a_training_that_bursts_is_said(sites: list[Client]) -> None:
    with pytest.raises(UserError, match="at least two sites; got 1"):
        federate(trained(), sites[:1], Federation())
    weights = {name: tensor.clone() for name, tensor in trained().weights.items()}
    weights["conv_stem.weight"].fill_(float("nan"))
    with pytest.raises(UserError, match=r"a site's training: .*; take a smaller learning rate"):
        train_here(Task(replace(trained(), weights=weights), sites[0].train, Recipe(1, 16, SIDE, 0.1), 0))
