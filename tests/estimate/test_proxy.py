"""Proxy training, on the bundled digits."""

import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.data.images import Images
from nas.errors import UserError
from nas.estimate.chance import AtChance
from nas.estimate.estimator import Estimate
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining
from nas.space.reference import reference_network
from nas.tasks.classification import Classification
from nas.train.loop import evaluate
from nas.train.rounding import quantized
from tests.compress.networks import network as small_network

TASK = Classification("0123456789")
FIDELITY = Fidelity(epochs=6, resolution_share=0.5, full_resolution_share=0.3, batch_size=32)
HYPERPARAMETERS = {"learning_rate": 0.1, "optimizer": "sgd", "resolution": 16, "stage1.depth": 2}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def proxy(digits: Dataset) -> ProxyTraining:
    return ProxyTraining(digits, FIDELITY, device=CPU)


@pytest.fixture(scope="module")
def trained(proxy: ProxyTraining) -> Estimate:
    return proxy.estimate(small_network(), HYPERPARAMETERS, seed=3)


def rebuilt(estimate: Estimate) -> nn.Module:
    assert estimate.model is not None
    return estimate.model.module()


def test_estimate_holds_what_the_training_gave(proxy: ProxyTraining, digits: Dataset, trained: Estimate) -> None:
    assert len(trained.curve) == 6 and trained.accuracy == trained.curve[-1].validation_accuracy > 0.85
    assert trained.seconds > sum(epoch.seconds for epoch in trained.curve)
    assert evaluate(rebuilt(trained), TASK, digits.validation, 16) == trained.accuracy
    model = trained.model
    assert model is not None and model.network == small_network() and model.classes == tuple("0123456789")
    assert (model.task, model.precision, model.preprocessing.resolution) == ("classification", "fp32", 16)
    assert model.lineage.steps == ("proxy training",)
    assert model.recipe["learning_rate"] == 0.1 and model.recipe["seed"] == 3
    assert model.recipe["resolution"] == 16 and model.recipe["small_resolution"] == 8


def test_a_training_ends_at_the_candidates_resolution(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven tenths of the steps at 8 pixels, the rest, batch norm's statistics and the last validation at 16."""
    seen: list[tuple[int, int, int]] = []
    take = type(digits.train.images).take

    def noted(images: Images, indices: torch.Tensor, resolution: int) -> torch.Tensor:
        seen.append((len(images), len(indices), resolution))
        return take(images, indices, resolution)

    proxy = ProxyTraining(digits, replace(FIDELITY, epochs=2, data_share=0.28), device=CPU)  # 10 steps an epoch
    monkeypatch.setattr(type(digits.train.images), "take", noted)
    proxy.estimate(small_network(), {}, seed=0)
    training = [(taken, pixels) for images, taken, pixels in seen if images == len(proxy.train)]
    assert [pixels for taken, pixels in training if taken == 32] == [8] * 14 + [16] * 6
    calibration = [(taken, pixels) for taken, pixels in training if taken != 32]
    assert sum(taken for taken, _ in calibration) == len(proxy.train) and {p for _, p in calibration} == {16}
    assert [pixels for images, _, pixels in seen if images == len(digits.validation)] == [8, 8, 16, 16]


def test_the_curve_is_measured_on_some_validation_images_and_the_accuracy_on_all(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.estimate.fidelity.CURVE_IMAGES", 100)
    proxy = ProxyTraining(digits, replace(FIDELITY, epochs=2), device=CPU)
    assert len(proxy.watched) == 144  # an eighth of 1,151
    assert len(torch.bincount(proxy.watched.labels, minlength=10).nonzero()) == 10
    estimate = proxy.estimate(small_network(), {}, seed=0)
    module = rebuilt(estimate)
    assert estimate.accuracy == evaluate(module, TASK, digits.validation, 16)
    assert estimate.curve[-1].validation_accuracy == evaluate(module, TASK, proxy.watched, 16) != estimate.accuracy


def test_equal_seeds_give_equal_estimates(proxy: ProxyTraining, trained: Estimate) -> None:
    one = Fidelity(epochs=1, data_share=0.3, resolution_share=0.5, batch_size=32)
    first, again, other = (
        ProxyTraining(proxy.dataset, one, device=CPU).estimate(small_network(), HYPERPARAMETERS, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first.curve[0].train_loss == again.curve[0].train_loss != other.curve[0].train_loss
    assert first.accuracy == again.accuracy


def test_hyperparameters_change_the_training(proxy: ProxyTraining) -> None:
    quick = replace(FIDELITY, epochs=1, data_share=0.2)
    losses = {
        ProxyTraining(proxy.dataset, quick, device=CPU).estimate(small_network(), change, seed=1).curve[0].train_loss
        for change in (
            {}, {"learning_rate": 0.01}, {"weight_decay": 0.1}, {"label_smoothing": 0.1},
            {"optimizer": "sgd"}, {"augmentation": "crop-flip"}, {"augmentation": "randaugment"},
        )
    }  # fmt: skip
    assert len(losses) == 7


@pytest.mark.parametrize(
    ("candidate", "share", "trained_at"),
    [(224, 0.25, 56), (160, 0.25, 40), (96, 0.34, 32), (64, 0.34, 24), (32, 0.34, 8), (32, 0.1, 8), (32, 1.0, 32)],
)
def test_small_resolution_is_the_share_in_steps_of_eight(candidate: int, share: float, trained_at: int) -> None:
    network = reference_network("mobilenet_v2", resolution=candidate)
    assert Fidelity(resolution_share=share).small_resolution(network) == trained_at


def test_data_share_keeps_validation_whole(digits: Dataset) -> None:
    proxy = ProxyTraining(digits, Fidelity(data_share=0.25), device=CPU)
    assert len(proxy.train) == pytest.approx(len(digits.train) / 4, abs=10)
    assert len(proxy.dataset.validation) == len(digits.validation)


@pytest.mark.parametrize(
    "change", [{"data_share": 0}, {"data_share": 1.5}, {"resolution_share": -1}, {"full_resolution_share": 0}]
)
def test_fidelity_refuses_what_is_no_share(change: dict[str, float]) -> None:
    with pytest.raises(UserError, match="must lie above 0"):
        Fidelity(**change)


def test_network_with_other_classes_is_refused(proxy: ProxyTraining) -> None:
    with pytest.raises(UserError, match=r"7 classes .* 10 of digits"):
        proxy.estimate(small_network(classes=7), {}, seed=0)


def test_early_stop_keeps_what_was_reached(proxy: ProxyTraining) -> None:
    estimate = proxy.estimate(small_network(), {}, seed=0, on_epoch=lambda number, epoch: number == 1)
    assert len(estimate.curve) == 1 and estimate.accuracy == estimate.curve[0].validation_accuracy
    assert estimate.model is None  # it has not been made ready for its own resolution


def test_a_network_that_has_learned_nothing_fails(digits: Dataset) -> None:
    """A step of such a rate leaves finite weights and logits, and no memory of any image."""
    proxy = ProxyTraining(digits, Fidelity(epochs=2, resolution_share=0.5, batch_size=32), device=CPU)
    with pytest.raises(AtChance, match=r"at chance after 70 steps: \d+ of 287 validation images right"):
        proxy.estimate(small_network(), {"learning_rate": 1e-9}, seed=0)


def test_test_images_are_measured_apart(proxy: ProxyTraining, trained: Estimate, digits: Dataset) -> None:
    assert trained.model is not None
    reached = proxy.test_accuracy(trained.model)
    assert reached == evaluate(rebuilt(trained), TASK, digits.test_split(), 16)
    assert abs(reached - trained.accuracy) < 0.08


def test_candidates_precision_decides_what_is_measured(
    proxy: ProxyTraining, trained: Estimate, digits: Dataset
) -> None:
    one = replace(FIDELITY, epochs=1)
    estimates = {
        precision: ProxyTraining(digits, one, device=CPU).estimate(small_network(), {"precision": precision}, seed=1)
        for precision in ("fp32", "int8")
    }
    assert estimates["fp32"].curve[0].train_loss == estimates["int8"].curve[0].train_loss
    model = rebuilt(estimates["int8"])
    expected = evaluate(quantized(model, "int8", proxy.train, 16), TASK, digits.validation, 16)
    assert estimates["int8"].accuracy == expected
    assert trained.model is not None
    assert abs(proxy.test_accuracy(replace(trained.model, precision="fp16")) - trained.accuracy) < 0.08


def test_the_device_is_chosen_where_the_training_runs(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent by a machine without a GPU, a training asks the worker for its best device."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    sent = pickle.dumps(ProxyTraining(digits, FIDELITY))

    def best() -> torch.device:
        raise MemoryError("the worker's device is asked for")

    for module in ("nas.train.loop", "nas.estimate.proxy"):
        monkeypatch.setattr(f"{module}.best_device", best)
    with pytest.raises(MemoryError, match="the worker's device"):
        pickle.loads(sent).estimate(small_network(), {}, seed=0)


def test_robust_accuracy_is_the_mean_over_the_corruptions_at_the_candidates_resolution(digits: Dataset) -> None:
    few = Fidelity(epochs=3, data_share=0.5, resolution_share=1.0, batch_size=32)
    proxy = ProxyTraining(digits, few, device=CPU, robust=True)
    estimate = proxy.estimate(small_network(), HYPERPARAMETERS | {"precision": "int8"}, seed=1)
    deployed = quantized(rebuilt(estimate), "int8", proxy.train, 16)
    each = [evaluate(deployed, TASK, split, 16) for split in proxy.corrupted.at(16)]
    assert len(each) == 18 and estimate.robust_accuracy == pytest.approx(sum(each) / 18, abs=1e-9)
    assert 0.2 < estimate.robust_accuracy < estimate.accuracy


def test_nothing_is_corrupted_unless_it_is_asked_for(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("nas.data.corrupted.corrupt", never)
    one = Fidelity(epochs=1, data_share=0.1, resolution_share=0.5, batch_size=32)
    assert ProxyTraining(digits, one, device=CPU).estimate(small_network(), {}, seed=1).robust_accuracy is None


def test_accuracies_are_measured_on_a_share_of_the_validation_images_spread_over_all(digits: Dataset) -> None:
    part = ProxyTraining(digits, Fidelity(validation_share=0.25))
    assert len(part.validation) == round(0.25 * len(digits.validation))
    every = digits.validation.labels.unique(return_counts=True)[1] / len(digits.validation)
    counted = part.validation.labels.bincount(minlength=10) / len(part.validation)
    assert (counted - every).abs().max() < 0.06
    assert ProxyTraining(digits, Fidelity()).validation is digits.validation
