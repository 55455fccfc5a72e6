"""What any network costs, for programs: files at their own precision, torch modules with the shape of their image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

import nas
from nas.errors import UserError
from tests.space.onnx.graphs import model, node, save, zeros

PI = "raspberry-pi-4"


class Two(nn.Module):
    """A convolution that is used twice, a head that nobody reads, a dictionary as result."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.again = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.slopes = nn.PReLU(8)
        self.lost = nn.Conv2d(8, 64, 3)
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.slopes(self.again(self.again(self.first(x))))
        self.lost(x)
        return {"logits": self.head(x.mean((2, 3)))}


def test_a_module_is_predicted_like_the_timm_model_it_is_and_left_as_it_was() -> None:
    module = timm.create_model("mobilenetv3_small_050")
    weight = next(module.parameters()).detach().clone()
    found = nas.predict(module, PI, input_shape=(3, 64, 64))
    assert found == nas.predict("timm:mobilenetv3_small_050@64", PI)
    assert module.training and next(module.parameters()).device.type == "cpu"
    assert torch.equal(next(module.parameters()), weight)
    assert nas.predict(module, PI, "int8", input_shape=(1, 3, 64, 64)).latency_ms != found.latency_ms


def test_each_parameter_of_a_module_counts_once_and_a_lost_head_not_at_all() -> None:
    from nas.models.trace import trace_module

    network = trace_module(Two(), (3, 8, 8)).network
    assert network.macs == 8 * 3 * 9 * 64 + 2 * 8 * 8 * 9 * 64 + 80
    assert network.params == (8 * 3 * 9 + 8) + 8 * 8 * 9 + 8 + (80 + 10)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": Two()}, r"needs the shape of its image: input_shape=\(channels, height, width\)"),
        ({"model": Two(), "input_shape": (3, 8)}, r"input_shape must be .* got \(3, 8\)"),
        ({"model": Two(), "input_shape": (2, 3, 8, 8)}, "input_shape must be"),
        ({"model": Two(), "input_shape": (3, 0, 8)}, "input_shape must be"),
        ({"model": Two(), "input_shape": (3, 8.0, 8)}, "input_shape must be"),
        ({"model": Two(), "input_shape": (4, 8, 8)}, "Two cannot be run on one image of 4 x 8 x 8"),
        ({"model": nn.Identity(), "input_shape": (3, 8, 8)}, "no convolution or linear layer"),
        ({"model": "timm:resnet18", "input_shape": (3, 8, 8)}, "input_shape belongs to a torch module"),
        ({"model": 7}, "a model must be .*; got int"),
        ({"model": "timm:resnet18", "precision": "bf16"}, "precision must be one of fp32, fp16, int8; got 'bf16'"),
        ({"model": "timm:resnet18@" + "9" * 5000}, "whole number of pixels"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        nas.predict(device=PI, **given)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def quantized(folder: Path) -> Path:
    weights = {
        "s": np.array(0.1, np.float32), "z": np.array(0, np.int8), "q": np.zeros((64, 3, 3, 3), np.int8),
    }  # fmt: skip
    rows = [
        node("QuantizeLinear", "x s z", "xq"), node("DequantizeLinear", "xq s z", "xd"),
        node("DequantizeLinear", "q s z", "w"), node("Conv", "xd w", "y", pads=[1] * 4),
    ]  # fmt: skip
    return save(model(rows, weights, shape=(1, 3, 64, 64)), folder)


def test_an_int8_file_is_predicted_in_int8_unless_asked_otherwise(tmp_path: Path) -> None:
    path = str(quantized(tmp_path))
    own, int8, fp32 = (nas.predict(path, PI, precision) for precision in (None, "int8", "fp32"))  # type: ignore[arg-type]
    assert own == int8 and own.latency_ms != fp32.latency_ms


def test_a_precision_that_the_device_lacks_is_named_with_those_it_has(tmp_path: Path) -> None:
    half = {"w": zeros(8, 3, 3, 3).astype(np.float16)}
    rows = [node("Cast", "x", "h", to=10), node("Conv", "h w", "y")]
    path = str(save(model(rows, half), tmp_path))
    with pytest.raises(UserError, match="the file is fp16, and device raspberry-pi-4 has only fp32, int8"):
        nas.predict(path, PI)
    assert nas.predict(path, PI, "fp32").latency_ms
