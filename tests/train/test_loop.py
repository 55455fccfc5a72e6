"""The training loop on the bundled digits: it learns, repeats itself exactly, and says when a loss is not finite."""

import pytest
import torch
from torch import nn

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.models.builder import build
from nas.space.block import Block
from nas.space.network import Network
from nas.tasks.classification import Classification
from nas.train.loop import (
    Epoch,
    TrainingCurve,
    calibrate,
    evaluate,
    fit,
    mixed_precision,
    normalize,
    optimizer_of,
    schedule,
    spread,
)
from nas.train.recipe import Recipe

TASK = Classification("0123456789")
RECIPE = Recipe(epochs=3, batch_size=32, resolution=8, learning_rate=0.1, augmentation="crop-flip")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def small_network() -> Network:
    shape, stem, wide = (3, 8, 8), (16, 8, 8), (32, 4, 4)
    blocks = (
        Block("conv", shape, stem, 3, 1, activation="relu6"),
        Block("mbconv", stem, wide, 3, 2, mid=64, activation="relu6"),
        Block("mbconv", wide, wide, 3, 1, mid=64, se=8, activation="hswish", gate="hsigmoid"),
        Block("pool_linear", wide, (10, 1, 1)),
    )
    return Network(blocks, (0, 1, 1, 2))


def train(digits: Dataset, recipe: Recipe = RECIPE, seed: int = 0) -> tuple[nn.Module, TrainingCurve]:
    model = build(small_network(), seed=seed)
    return model, fit(model, TASK, digits.train, digits.validation, recipe, seed=seed, device=torch.device("cpu"))


def test_digits_are_learned_and_the_last_accuracy_is_the_models(digits: Dataset) -> None:
    model, curve = train(digits, Recipe(6, 32, 8, 0.1))
    assert len(curve) == 6 and curve[-1].validation_accuracy > 0.9
    assert curve[-1].train_loss < curve[0].train_loss and min(epoch.seconds for epoch in curve) > 0
    model.eval()
    with torch.no_grad():
        logits = model(normalize(digits.validation.images.take(torch.arange(len(digits.validation)), 8)))
    assert float((logits.argmax(1) == digits.validation.labels).double().mean()) == curve[-1].validation_accuracy


@pytest.mark.parametrize("augmentation", ["crop-flip", "randaugment"])
def test_equal_seeds_repeat_weights_and_curve_exactly(digits: Dataset, augmentation: str) -> None:
    recipe = Recipe(2, 32, 8, 0.1, augmentation=augmentation)
    (first, curve), (again, curve_again), (_, other) = (train(digits, recipe, seed) for seed in (1, 1, 2))
    facts = [[(epoch.train_loss, epoch.validation_accuracy) for epoch in c] for c in (curve, curve_again, other)]
    assert facts[0] == facts[1] != facts[2]
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_training_leaves_the_global_generator_alone(digits: Dataset) -> None:
    before = torch.get_rng_state()
    train(digits, Recipe(1, 64, 8, 0.1, augmentation="randaugment"))
    assert torch.equal(before, torch.get_rng_state())


def test_a_loss_that_is_not_finite_fails_the_training_and_names_the_epoch(digits: Dataset) -> None:
    with pytest.raises(FloatingPointError, match=r"^loss not finite at epoch [123]$"):
        train(digits, Recipe(4, 32, 8, 1e30))


class Odd(nn.Module):
    """Learns nothing; in evaluation mode its outputs are `value`."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(10))
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.bias if self.training else self.bias * 0 + self.value).expand(len(x), 10)


def test_weights_that_are_not_finite_after_the_last_step_fail_the_training(digits: Dataset) -> None:
    """One step of a loss that is finite, to weights that are not."""

    class Steep(Odd):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (1e3 * self.bias).nan_to_num().expand(len(x), 10)

    few, recipe = digits.train.subset(torch.arange(20)), Recipe(1, 32, 8, 3e38, warmup_share=0.0, clip_norm=1e30)
    with pytest.raises(FloatingPointError, match=r"^weights not finite at epoch 1$"):
        fit(Steep(0.0), TASK, few, digits.validation, recipe, seed=0, device=torch.device("cpu"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_outputs_that_are_not_finite_fail_the_training(digits: Dataset, value: float) -> None:
    with pytest.raises(FloatingPointError, match="output is not finite at epoch 1"):
        fit(Odd(value), TASK, digits.train, digits.validation, RECIPE, seed=0, device=torch.device("cpu"))


def test_a_failed_epoch_is_not_reported(digits: Dataset) -> None:
    seen: list[int] = []
    with pytest.raises(FloatingPointError):
        fit(
            Odd(float("nan")), TASK, digits.train, digits.validation, RECIPE, seed=0,
            on_epoch=lambda number, _: seen.append(number),
        )  # fmt: skip
    assert seen == []


def test_on_epoch_sees_every_epoch_and_may_stop(digits: Dataset) -> None:
    seen: list[tuple[int, Epoch]] = []

    def stop_at_two(number: int, epoch: Epoch) -> bool:
        seen.append((number, epoch))
        return number == 2

    model = build(small_network())
    curve = fit(model, TASK, digits.train, digits.validation, RECIPE, seed=0, on_epoch=stop_at_two)
    assert [number for number, _ in seen] == [1, 2] and tuple(epoch for _, epoch in seen) == curve


def test_fewer_images_than_a_batch_are_one_step(digits: Dataset) -> None:
    few = digits.train.subset(torch.arange(20))
    curve = fit(build(small_network()), TASK, few, digits.validation, RECIPE, seed=0)
    assert len(curve) == 3


def test_batch_norms_get_the_statistics_of_the_training_images(digits: Dataset) -> None:
    """Of the first convolution's outputs on 256 images, in two batches of 128."""
    model = build(small_network(), seed=1)
    calibrate(model, digits.train, 8, 256)
    images = normalize(digits.train.images.take(spread(len(digits.train), 256), 8))
    with torch.no_grad():
        outputs = model.get_submodule("conv_stem")(images)
    norm = model.get_submodule("bn1")
    torch.testing.assert_close(norm.running_mean, outputs.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, outputs.var((0, 2, 3)), rtol=0.02, atol=1e-5)
    assert norm.momentum == 0.1 and not model.training
    statistics = norm.running_mean.clone()
    calibrate(model, digits.train, 8, 256)
    assert torch.equal(norm.running_mean, statistics)  # nothing of before is left in them


def testschedule_rises_then_falls_to_nothing() -> None:
    shares = [schedule(step, 110, 10) for step in range(110)]
    assert shares[0] == pytest.approx(0.1) and shares[9] == 1 and shares[10] == 1
    assert shares[60] == pytest.approx(0.5)  # half-way down
    assert shares[85] == pytest.approx(0.25) and shares[109] == pytest.approx(0.01)
    assert shares[10:] == sorted(shares[10:], reverse=True)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_weight_decay_spares_batch_norms_and_biases(optimizer: str) -> None:
    model = build(small_network())
    decayed, spared = optimizer_of(model, Recipe(1, 32, 8, 0.1, 0.05, optimizer=optimizer)).param_groups
    # convolutions: stem, 2 blocks of 3, squeeze-excite's 2; linear's weight
    assert len(decayed["params"]) == 1 + 2 * 3 + 2 + 1 and decayed["weight_decay"] == 0.05
    # 7 batch norms' scales and shifts, squeeze-excite's 2 biases, linear's one
    assert len(spared["params"]) == 7 * 2 + 2 + 1 and spared["weight_decay"] == 0


def test_images_reach_the_network_channels_last_and_from_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(2, 4, 4, 3)
    out = normalize(pixels)
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out[1, :, 2, 3], torch.tensor([-1.0, -0.6, 1.0]))


def test_accuracy_counts_all_images_in_evaluation_mode(digits: Dataset) -> None:
    class AlwaysThree(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.eye(10)[3])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert not self.training
            return self.bias.expand(len(x), 10)

    threes = int((digits.train.labels == 3).sum())
    assert evaluate(AlwaysThree().train(), TASK, digits.train, 8) == threes / len(digits.train)


@pytest.mark.parametrize(("capabilities", "expected"), [({"amx_bf16": True}, torch.bfloat16), ({"avx2": True}, None)])
def test_a_processor_with_amx_computes_in_bfloat16(
    capabilities: dict[str, bool], expected: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert mixed_precision(torch.device("cpu")) is expected


def test_a_pytorch_that_cannot_tell_what_the_processor_has_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch 2.7, the oldest allowed, has no torch.cpu.get_capabilities."""
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert mixed_precision(torch.device("cpu")) is None
