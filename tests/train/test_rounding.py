"""The rounding of deployed precisions, on a network trained on the bundled digits."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import nn

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.models.builder import build
from nas.models.fold import fold_batch_norms
from nas.models.trained import Lineage, Preprocessing, TrainedModel
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.tasks.classification import Classification
from nas.train.loop import evaluate, fit, normalize, spread
from nas.train.recipe import Recipe
from nas.train.rounding import quantized
from tests.compress.networks import network as small_network

TASK = Classification("0123456789")


class Feed(CalibrationDataReader):
    def __init__(self, images: np.ndarray) -> None:
        self.images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.images, None)
        return None if image is None else {"image": image[None]}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def trained(digits: Dataset) -> nn.Module:
    model = build(small_network(), seed=3)
    fit(model, TASK, digits.train, digits.validation, Recipe(6, 32, 8, 0.1), seed=3, device=torch.device("cpu"))
    return model.eval()


def test_folded_batch_norms_change_nothing(trained: nn.Module, digits: Dataset) -> None:
    folded = deepcopy(trained)
    fold_batch_norms(folded)
    images = normalize(digits.validation.images.take(torch.arange(50), 8))
    with torch.no_grad():
        torch.testing.assert_close(folded(images), trained(images), rtol=1e-4, atol=1e-4)
    norms = [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 1 + 2 + 3 + 3 and all(bool((m.weight == 1).all()) for m in norms)


def test_int8_rounds_and_keeps_most_of_the_accuracy(trained: nn.Module, digits: Dataset) -> None:
    before = deepcopy(trained.state_dict())
    int8 = quantized(trained, "int8", digits.train, 8)
    images = normalize(digits.validation.images.take(torch.arange(100), 8))
    with torch.no_grad():
        exact, rounded = trained(images), int8(images)
    assert 0.001 < float((exact - rounded).abs().max()) / float(exact.abs().max()) < 0.3
    assert len(rounded.unique()) <= 256  # the logits are on 256 steps
    for name, module in int8.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert max(len(channel.unique()) for channel in module.weight.flatten(1)) <= 255, name
    assert abs(evaluate(int8, TASK, digits.validation, 8) - evaluate(trained, TASK, digits.validation, 8)) < 0.04
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items())  # a copy was rounded


def test_int8_is_what_onnx_runtime_computes(trained: nn.Module, digits: Dataset, tmp_path: Path) -> None:
    """Calibrated on the same images: equal up to the ties of single roundings, as pixels have them."""
    r = 16
    exported = TrainedModel(
        small_network(), trained.state_dict(), TASK.name, TASK.classes, Preprocessing(r), lineage=Lineage()
    )  # fmt: skip
    OnnxRuntime().export(exported, tmp_path / "float.onnx")
    calibration = digits.train.images.take(spread(len(digits.train), 256), r)
    quantize_static(
        tmp_path / "float.onnx", tmp_path / "int8.onnx", Feed(normalize(calibration).contiguous().numpy()),
        per_channel=True, weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
    )  # fmt: skip
    images = normalize(digits.validation.images.take(torch.arange(len(digits.validation)), r)).contiguous()
    run = OnnxRuntime().session((tmp_path / "int8.onnx").read_bytes())
    deployed = np.concatenate([run(image[None]) for image in images.numpy()])
    with torch.no_grad():
        exact, simulated = (m(images).numpy() for m in (trained, quantized(trained, "int8", digits.train, r)))
    assert np.abs(deployed - simulated).mean() < 0.6 * np.abs(deployed - exact).mean()
    labels = digits.validation.labels.numpy()
    right, said = (int((logits.argmax(1) == labels).sum()) for logits in (deployed, simulated))
    assert abs(right - said) <= 0.005 * len(labels)


def test_additions_and_products_are_rounded(trained: nn.Module, digits: Dataset) -> None:
    """At most 256 values leave a residual block, a squeeze-excite and a swish."""
    int8 = quantized(trained, "int8", digits.train, 16)
    few: dict[str, int] = {}
    for name, module in int8.named_modules():
        if getattr(module, "residual", False) or isinstance(module, SqueezeExcite | nn.Hardswish):
            module.register_forward_hook(lambda _, inputs, output, name=name: few.update({name: len(output.unique())}))
    with torch.no_grad():
        int8(normalize(digits.validation.images.take(torch.arange(20), 16)))
    assert len(few) == 1 + 1 + 2 + 1 + 1 and max(few.values()) <= 256  # residuals, a squeeze-excite, hswish


def test_two_bits_would_show(trained: nn.Module, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation does something: weights of 2 bits destroy the network."""
    monkeypatch.setattr("nas.train.rounding.WEIGHT_STEPS", 1)
    int8 = quantized(trained, "int8", digits.train, 8)
    assert evaluate(int8, TASK, digits.validation, 8) < evaluate(trained, TASK, digits.validation, 8) - 0.1


def test_an_output_that_is_not_finite_has_no_range(trained: nn.Module, digits: Dataset) -> None:
    broken = deepcopy(trained)
    with torch.no_grad():
        broken.get_parameter("classifier.weight").fill_(3e38)
    with pytest.raises(FloatingPointError, match="output on the calibration images is not finite"):
        quantized(broken, "int8", digits.train, 8)
