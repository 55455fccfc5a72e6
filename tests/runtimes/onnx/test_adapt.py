"""What a deployment carries to be adapted: its statistics and its weights are torch's own, to the value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nas.errors import UserError
from nas.models.builder import build
from nas.models.int8 import Int8
from nas.models.trained import Preprocessing, TrainedModel
from nas.monitor.serve.adapt import Folding, NotAdaptable
from nas.runtimes.images import network_inputs
from nas.runtimes.onnx.adapt import adaptable
from nas.runtimes.onnx.variants import Variants
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.space.block import Block
from nas.space.layer import Precision
from nas.space.network import Network
from nas.train.loop import spread
from tests.compress.networks import digits, trained

IMAGES = 96


@pytest.fixture(scope="module")
def variants() -> Variants:
    return OnnxRuntime().variants(trained(), digits().train.subset(spread(len(digits().train), 64)))


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """Darker and with less contrast than those of the training."""
    return [0.4 * image - 0.3 for image in network_inputs(trained().preprocessing, digits().validation, IMAGES)]


def folding_of(variants: Variants, precision: Precision, int8: Int8 | None = None) -> Folding:
    data = variants.graph(precision, int8).SerializeToString()
    made = adaptable(variants, {precision: data})
    return Folding(lambda: made.graph, made.arrays, lambda: data, precision)


def scores_of(model: bytes, images: list[np.ndarray]) -> np.ndarray:
    run = OnnxRuntime().session(model)
    return np.concatenate([run(image) for image in images])


def as_torch(model: TrainedModel, images: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Logits with the batch norms' statistics replaced by those of the whole batch, and the variances of the norms."""
    module = model.module()
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
        norm.train()
    batch = torch.from_numpy(np.concatenate(images))
    with torch.no_grad():
        for norm in norms:  # torch keeps the unbiased variance, which is larger by n / (n - 1)
            norm.register_forward_hook(_biased)
        module(batch)
        found = module.eval()(batch).numpy()
    return found, [norm.running_var.numpy() for norm in norms]


def _biased(norm: nn.Module, given: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
    count = given[0].numel() / given[0].shape[1]
    norm.running_var.mul_((count - 1) / count)


@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-4), ("fp16", 0.03)])
def test_an_adapted_file_computes_what_torch_does_with_the_batchs_statistics(
    precision: Precision, near: float, variants: Variants, images: list[np.ndarray]
) -> None:
    folding = folding_of(variants, precision)
    wanted, variances = as_torch(trained(), images)
    means, found = folding.statistics(images)
    assert means.shape == found.shape == (sum(len(v) for v in variances),)
    adapted = scores_of(folding.folded(means, found), images)
    before = scores_of(folding.model, images)
    scale = np.abs(wanted).max()
    assert np.abs(adapted - wanted).max() < near * scale < np.abs(before - wanted).max()


def test_an_int8_file_stays_int8_and_comes_as_near_to_torch_as_int8_does(
    variants: Variants, images: list[np.ndarray]
) -> None:
    folding = folding_of(variants, "int8")
    wanted, _ = as_torch(trained(), images)
    adapted = folding.folded(*folding.statistics(images))
    assert len(adapted) == len(folding.model) and adapted != folding.model
    scores, before = scores_of(adapted, images), scores_of(folding.model, images)
    agreed = (scores.argmax(1) == wanted.argmax(1)).mean()
    assert agreed > 0.9 > (before.argmax(1) == wanted.argmax(1)).mean()


def test_an_int8_file_with_blocks_in_float_is_adapted_in_both(variants: Variants, images: list[np.ndarray]) -> None:
    folding = folding_of(variants, "int8", Int8(float_blocks=("conv_stem", "blocks.1.0")))
    wanted, _ = as_torch(trained(), images)
    scores = scores_of(folding.folded(*folding.statistics(images)), images)
    assert (scores.argmax(1) == wanted.argmax(1)).mean() > 0.9
    kinds = {kind for row in folding.kinds for kind in row}
    assert kinds == {"<f4", "<i4", ""}


def test_passes_of_a_few_images_give_the_statistics_of_all(variants: Variants, images: list[np.ndarray]) -> None:
    folding = folding_of(variants, "fp32")
    whole = folding.statistics(images)
    folding.batch = 48
    means, found = folding.statistics(images)
    first = folding.channels[0]  # before any norm, so they are equal; behind one a pass has its own statistics
    np.testing.assert_allclose(means[:first], whole[0][:first], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[:first], whole[1][:first], rtol=1e-4, atol=1e-6)
    assert np.corrcoef(found, whole[1])[0, 1] > 0.98


def test_passes_are_alike_where_neighboring_images_are(variants: Variants, images: list[np.ndarray]) -> None:
    """Half of the images are dark, then half are bright: each pass has as many of both."""
    folding = folding_of(variants, "fp32")
    shown = [*images[: IMAGES // 2], *(image + 1.5 for image in images[: IMAGES // 2])]
    whole = folding.statistics(shown)[1]
    folding.batch = IMAGES // 4
    np.testing.assert_allclose(folding.statistics(shown)[1], whole, rtol=0.25, atol=1e-3)


def test_a_share_of_nothing_is_the_network_as_it_was_and_of_all_the_images_alone(
    variants: Variants, images: list[np.ndarray]
) -> None:
    folding = folding_of(variants, "fp32")
    found = folding.statistics(images)
    for share, wanted in ((0.0, scores_of(folding.model, images)), (1.0, as_torch(trained(), images)[0])):
        scores = scores_of(folding.folded(*folding.blended(*found, share)), images)
        assert np.abs(scores - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_the_statistics_of_the_training_images_change_little(variants: Variants) -> None:
    plain = list(network_inputs(trained().preprocessing, digits().train, 256))
    folding = folding_of(variants, "fp32")
    adapted, before = scores_of(folding.folded(*folding.statistics(plain)), plain), scores_of(folding.model, plain)
    assert (adapted.argmax(1) == before.argmax(1)).mean() > 0.9


def test_a_channel_whose_scale_is_zero_stays_the_constant_it_was(images: list[np.ndarray]) -> None:
    weights = {name: tensor.clone() for name, tensor in trained().weights.items()}
    weights["bn1.weight"][:2] = 0
    made = OnnxRuntime().variants(replace(trained(), weights=weights))
    folding = folding_of(made, "fp32")
    wanted, _ = as_torch(made.model, images)
    adapted = scores_of(folding.folded(*folding.statistics(images)), images)
    assert np.abs(adapted - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_every_kind_of_block_is_adapted() -> None:
    inside, smaller = (8, 8, 8), (8, 4, 4)
    blocks = (
        Block("conv", (3, 16, 16), inside, 3, 2, activation="hswish"),
        Block("shuffle", inside, inside, 3, 1, mid=16, groups=2, activation="relu"),
        Block("mbconv", inside, inside, 3, 1, mid=16, se=4, activation="hswish", gate="hsigmoid"),
        Block("ds", inside, inside, 3, 1, activation="relu6", project_activation="relu6"),
        Block("fused_mbconv", inside, smaller, 3, 2, mid=16, se=4, activation="swish", gate="sigmoid"),
        Block("pool_linear", smaller, (4, 1, 1)),
    )
    network = Network(blocks)
    module = build(network, seed=0)
    drawn = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values, low, high in (
                (part.weight, -1, 1), (part.bias, -1, 1), (part.running_mean, -1, 1), (part.running_var, 0.5, 2)
            ):  # fmt: skip
                nn.init.uniform_(values, low, high, generator=drawn)
    model = TrainedModel(network, module.state_dict(), "classification", tuple("abcd"), Preprocessing(16))
    some = list(np.random.default_rng(0).normal(0.5, 2, (32, 1, 3, 16, 16)).astype(np.float32))
    folding = folding_of(OnnxRuntime().variants(model), "fp32")
    wanted, _ = as_torch(model, some)
    adapted = scores_of(folding.folded(*folding.statistics(some)), some)
    assert np.abs(adapted - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_a_file_that_keeps_equal_weights_once_is_not_adapted() -> None:
    blocks = (Block("conv", (3, 8, 8), (3, 8, 8), 1), Block("conv", (3, 8, 8), (3, 8, 8), 1))
    network = Network((*blocks, Block("pool_linear", (3, 8, 8), (4, 1, 1))))
    weights = {
        name: torch.full_like(tensor, 0.5) if "bn" in name else tensor
        for name, tensor in build(network, seed=0).state_dict().items()
    }
    made = OnnxRuntime().variants(TrainedModel(network, weights, "classification", tuple("abcd"), Preprocessing(8)))
    with pytest.raises(NotAdaptable, match="the fp32 model has no weights that could be adapted in place"):
        folding_of(made, "fp32")


def test_a_network_without_batch_norms_is_refused() -> None:
    network = Network((Block("pool_linear", (3, 8, 8), (4, 1, 1)),))
    weights = build(network, seed=0).state_dict()
    model = TrainedModel(network, weights, "classification", tuple("abcd"), Preprocessing(8))
    with pytest.raises(UserError, match="cannot be adapted on a board: it has no batch norm"):
        adaptable(OnnxRuntime().variants(model), {})
