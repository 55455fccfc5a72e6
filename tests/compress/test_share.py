"""Equal blocks with one set of weights, on a network trained on the bundled digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from nas.compress.quantize import calibration_images
from nas.compress.share import Share, sharing
from nas.compress.step import Given
from nas.errors import UserError
from nas.models.builder import build
from nas.models.trained import load_trained, save_trained
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.space.network import Network
from nas.tasks.classification import Classification
from nas.train.loop import evaluate
from tests.compress.networks import SIDE, digits, network, trained
from tests.compress.repeated import EQUAL, REPEATED, repeated


def test_equal_blocks_of_a_stage_share_and_the_model_still_classifies(tmp_path: Path) -> None:
    lines: list[str] = []
    made = Share(3).apply(repeated(), Given(digits(), 0, tmp_path, on_progress=lines.append))
    save_trained(tmp_path / "after", made)
    again = load_trained(tmp_path / "after")
    assert again.network == made.network and made.network.shared == (0, 1, 2, 2, 2, 5)
    one = sum(layer.params for layer in EQUAL.layers)
    assert made.network.params == REPEATED.params - 2 * one and made.network.macs == REPEATED.macs
    assert lines[0].startswith("2 blocks with the weights of an equal one, 0.") and "latency stay as they" in lines[0]
    assert made.lineage.steps == ("training", lines[-1]) and lines[-1].startswith("share: 2 blocks ")
    sizes = [(tmp_path / name / "weights.safetensors").stat().st_size for name in ("after", "before")
             if (tmp_path / name).exists() or save_trained(tmp_path / name, repeated()) is None]  # fmt: skip
    assert sizes[0] < sizes[1] - 2 * 4 * one
    task = Classification(made.classes)
    before, after = (evaluate(m.module(), task, digits().validation, SIDE) for m in (repeated(), again))
    assert before > 0.9 and after > before - 0.05
    images = calibration_images(digits())
    for precision in ("fp32", "int8"):
        written = OnnxRuntime().export(replace(again, precision=precision), tmp_path / "net.onnx", calibration=images)
        assert written.megabytes < 0.9 * REPEATED.size_mb("fp32") and written.agreement >= 0.9
        nodes = [n.op_type for n in onnx.load(str(tmp_path / "net.onnx")).graph.node]
        assert nodes.count("Conv") == 1 + 2 + 3 * 3 and "BatchNormalization" not in nodes


def test_only_equal_blocks_of_one_stage_share() -> None:
    apart = Network(REPEATED.blocks, (0, 1, 2, 3, 4, 5))
    assert sharing(apart) == apart and sharing(Network(REPEATED.blocks)) == Network(REPEATED.blocks)
    halves = Network(REPEATED.blocks, (0, 1, 2, 2, 3, 4))
    assert sharing(halves).shared == (0, 1, 2, 2, 4, 5) and sharing(sharing(halves)) == sharing(halves)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no blocks of a stage are equal in kind and shape"):
        Share().apply(trained(), Given(digits(), 0, tmp_path))
    shared = replace(repeated(), network=sharing(REPEATED), weights=build(sharing(REPEATED)).state_dict())
    with pytest.raises(UserError, match="no blocks of a stage are equal in kind and shape"):
        Share().apply(shared, Given(digits(), 0, tmp_path))
    with pytest.raises(UserError, match="at least 1 epoch"):
        Share(0)
    assert sharing(network()) == network()
