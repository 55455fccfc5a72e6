"""Tracing timm models: against timm's own parameters, PyTorch's count of operations, and the hand-written tables."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.errors import UserError
from nas.models.trace import read_module, read_timm
from nas.space.layer import Layer
from nas.space.network import Network
from nas.space.onnx.file import read_onnx
from nas.space.reference import reference_network

MODELS = [
    "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_lite0", "efficientnet_b0", "resnet18", "mnasnet_100",
    "ghostnet_100", "regnety_002", "densenet121", "mobilenetv4_conv_small",
    "mobileone_s0", "nf_resnet50",  # weights that are made of two parameters
]  # fmt: skip
REFERENCES = {
    "mobilenetv1_100": "mobilenet_v1",
    "mobilenetv2_100": "mobilenet_v2",
    "tf_mobilenetv3_large_100": "mobilenet_v3_large",
    "tf_mobilenetv3_small_100": "mobilenet_v3_small",
    "tf_efficientnet_lite0": "efficientnet_lite0",
    "efficientnet_b0": "efficientnet_b0",
}


def shapes(network: Network) -> Counter[tuple[object, ...]]:
    """The layers without what a format does not keep: norms are folded on export."""
    return Counter(
        (x.op, x.in_shape, x.out_shape, x.kernel, x.stride, x.groups, x.function, x.held) for x in network.layers
    )


@pytest.mark.parametrize("name", MODELS)
def test_macs_and_params_are_those_of_the_model(name: str) -> None:
    reading = read_timm(name)
    with torch.device("meta"):
        model = timm.create_model(name).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, *model.pretrained_cfg["input_size"]))
    assert reading.unread == ()
    assert reading.network.macs == counter.get_total_flops() // 2
    assert reading.network.params == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", REFERENCES)
def test_the_layers_are_those_of_the_hand_written_network(name: str) -> None:
    traced = read_timm(name, 224).network
    assert list(traced.layers) == list(reference_network(REFERENCES[name], resolution=224).layers)


@pytest.mark.parametrize(
    ("name", "opset"), [("mobilenetv3_large_100", 11), ("efficientnet_b0", 13), ("ghostnet_100", 17), ("resnet18", 17)]
)
@pytest.mark.filterwarnings("ignore")
def test_an_onnx_export_has_the_same_layers_and_memory(name: str, opset: int, tmp_path: Path) -> None:
    model = timm.create_model(name).eval()
    path = tmp_path / "model.onnx"
    image = torch.zeros(1, 3, 96, 96)
    axes = {"x": {0: "batch"}}
    torch.onnx.export(
        model, (image,), path, dynamo=False, opset_version=opset, input_names=["x"], dynamic_axes=axes
    )  # fmt: skip
    exported, traced = read_onnx(path), read_timm(name, 96)
    assert exported.unread == ()
    assert shapes(exported.network) == shapes(traced.network)
    assert exported.network.peak_memory_mb("fp32") == traced.network.peak_memory_mb("fp32")


def test_the_resolution_is_the_models_own_unless_given() -> None:
    assert read_timm("tf_efficientnet_lite2").network.input_shape == (3, 260, 260)
    assert read_timm("tf_efficientnet_lite2", 64).network.input_shape == (3, 64, 64)


def test_a_transformers_attention_is_named_and_its_linear_layers_are_read() -> None:
    reading = read_timm("vit_tiny_patch16_224")
    assert "native_layer_norm VisionTransformer.blocks.0.norm1" in reading.unread
    assert any(label.startswith("bmm ") for label in reading.unread)
    # 12 blocks: qkv and projection 192 x 768, two MLP layers of 192 x 768, for each of 197 tokens; patches and head
    linear = 12 * 197 * (192 * 576 + 192 * 192 + 2 * 192 * 768)
    assert reading.network.macs == linear + 196 * 192 * 768 + 192 * 1000


class Written(torch.nn.Module):
    """What networks write out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 4, 1, groups=2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        x = x.view(1, 2, 2, 6, 6).transpose(1, 2).contiguous().view(1, 4, 6, 6)  # channel shuffle
        x = x * torch.nn.functional.relu6(x + 3.0) / 6.0  # hard-swish
        return torch.relu_(x)


def test_written_out_shuffles_and_activations_are_read() -> None:
    with torch.device("meta"):
        reading = read_module(Written().eval(), (4, 6, 6))
    shape = (4, 6, 6)
    assert reading.unread == ()
    assert list(reading.network.layers) == [
        Layer("conv", shape, shape, groups=2),
        Layer("shuffle", shape, shape, groups=2),
        Layer("activation", shape, shape, function="hswish"),
        Layer("activation", shape, shape, function="relu"),
    ]


@pytest.mark.parametrize(
    ("name", "resolution", "message"),
    [
        ("mobilenet_v3_large_100", None, "did you mean 'mobilenetv3_large_100'"),
        ("qqqq", None, "unknown timm model"),
        ("mobilenetv2_100.no_such_tag", None, "no_such_tag"),
        ("vit_tiny_patch16_224", 100, "cannot take images of 100 x 100"),
    ],
)
def test_bad_names_and_resolutions_are_refused_in_one_line(name: str, resolution: int | None, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_timm(name, resolution)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_channel_shuffle_is_one_layer_that_copies() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ChannelShuffle(2), torch.nn.Conv2d(8, 4, 1))
    reading = read_module(model.eval().to("meta"), (3, 6, 6))
    assert reading.unread == ()
    first, shuffle, last = reading.network.layers
    assert (shuffle.op, shuffle.groups, shuffle.in_shape, shuffle.out_shape) == ("shuffle", 2, (8, 4, 4), (8, 4, 4))
    assert (first.macs, shuffle.macs, last.macs) == (3 * 9 * 8 * 16, 0, 8 * 4 * 16)
