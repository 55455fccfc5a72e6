"""Steps one after the other: each takes what the one before gave, and the end runs in ONNX Runtime."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from nas.compress import low_rank, plan
from nas.compress.drop import answers
from nas.compress.low_rank import LowRank
from nas.compress.prune import Prune
from nas.compress.quantize import Quantize
from nas.compress.share import Share
from nas.deploy.compress import compress
from nas.deploy.export import export
from nas.deploy.source import load_source
from nas.device.profile import DeviceProfile, load_device
from nas.models.trained import save_trained
from nas.runtimes.images import network_inputs
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.space.network import Network
from tests.compress.networks import digits
from tests.compress.repeated import REPEATED, repeated


def by_macs(profile: DeviceProfile, network: Network, precision: str) -> float:
    return network.macs / 1e6


@pytest.mark.parametrize("apart", [False, True])
def test_shared_factorized_pruned_and_quantized(apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one call, and as four commands, each of which takes the folder of the one before."""
    monkeypatch.setattr(plan, "latency", by_macs)
    monkeypatch.setattr(low_rank, "latency", by_macs)
    pi, data = load_device("raspberry-pi-4"), digits()
    save_trained(tmp_path / "0", repeated())
    steps = [Share(1), LowRank(0.3, 1), Prune(0.3, 1), Quantize("int8")]
    for number, some in enumerate([[step] for step in steps] if apart else [steps]):
        made = compress(load_source(tmp_path / str(number)), some, tmp_path / str(number + 1), profile=pi)
    network = made.network
    assert [line.partition(":")[0] for line in made.lineage.steps] == ["training", *(step.name for step in steps)]
    assert network.shared == (0, 1, 2, 2, 2, 5) and network.blocks[2] == network.blocks[3] == network.blocks[4]
    assert any(block.ranks for block in network.blocks) and network.blocks[2].mid < REPEATED.blocks[2].mid
    assert network.macs <= 0.5 * REPEATED.macs and made.precision == "int8"
    last = load_source(tmp_path / ("4" if apart else "1"))
    written = export(last, tmp_path / "net.onnx")
    assert written.precision == "int8" and written.agreement >= 0.8
    assert re.match(r"(\d+) of \1 convolutions and (\d) of \2 linear layers run in integers$", written.notes[0])
    run = OnnxRuntime().session((tmp_path / "net.onnx").read_bytes())
    given = answers(run, network_inputs(made.preprocessing, data.validation))
    assert float(np.mean(given == data.validation.labels.numpy())) > 0.7
