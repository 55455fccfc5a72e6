"""The fused block and the space that uses it: timm's EfficientNetV2-B0 and S are candidates of it."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from nas.models.builder import build
from nas.models.trace import read_timm
from nas.space.block import Block
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import load_space

# stem, depths and channels of the stages; expansions are 4, 4, 4, 6, 6 after the first stage, kernels 3
NETWORKS = {
    "tf_efficientnetv2_b0": (32, (1, 2, 2, 3, 5, 8), (16, 32, 48, 96, 112, 192), 7_139_704),
    "tf_efficientnetv2_s": (24, (2, 4, 4, 6, 9, 15), (24, 48, 64, 128, 160, 256), 21_458_488),
}


def network_of(name: str, resolution: int) -> Network:
    stem, depths, channels, _ = NETWORKS[name]
    values: dict[str, str | int | float] = {"resolution": resolution, "stage0.channels": stem}
    for stage, (depth, wide) in enumerate(zip(depths, channels, strict=True), start=1):
        values |= {f"stage{stage}.depth": depth, f"stage{stage}.channels": wide}
        if stage > 1:
            values |= {f"stage{stage}.kernel": 3, f"stage{stage}.expand": 4 if stage < 5 else 6}
        if stage > 3:
            values[f"stage{stage}.se"] = 0.25
    space = load_space("efficientnetv2")
    missing = {choice.name for choice in space.choices} - set(values)
    assert missing <= {*space.table.hyperparameters, "precision"}
    return space.network(Candidate.of(values))


@pytest.mark.parametrize("name", NETWORKS)
def test_timms_network_is_a_candidate_layer_by_layer(name: str) -> None:
    network = network_of(name, 224)
    traced = read_timm(name, 224)
    assert traced.unread == ()
    assert list(traced.network.layers) == list(network.layers)
    assert network.params == traced.network.params == NETWORKS[name][-1]
    assert network.macs == traced.network.macs


def test_timms_weights_give_timms_answers() -> None:
    theirs = timm.create_model("efficientnetv2_s").eval()  # without the padding of TensorFlow
    ours = build(network_of("tf_efficientnetv2_s", 128)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.rand(1, 3, 64, 64, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)


def test_a_fused_block_by_hand() -> None:
    block = Block("fused_mbconv", (8, 4, 4), (8, 4, 4), 3, 1, 32, 2, "swish", "sigmoid")
    assert block.key == "fused_mbconv-8x4x4-8x4x4-k3-s1-m32-se2-swish"
    network = Network((block,))
    assert network.params == (8 * 32 * 9 + 64) + (32 * 2 + 2) + (2 * 32 + 32) + (32 * 8 + 16)
    assert network.macs == (8 * 32 * 9 + 32 * 8) * 16 + 2 * 32 * 2
    assert [layer.op for layer in block.layers] == [
        "conv", "activation", "global_pool", "conv", "activation", "conv", "activation", "multiply", "conv", "add",
    ]  # fmt: skip


def test_without_expansion_it_is_one_convolution_and_its_input() -> None:
    block = Block("fused_mbconv", (8, 4, 4), (8, 4, 4), 3, 1, 8, activation="swish")
    assert [layer.op for layer in block.layers] == ["conv", "activation", "add"]
    assert Network((block,)).params == 8 * 8 * 9 + 16
