"""nas predict: says whose precision it is, fits 80 columns, and names what it leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import Said, call
from tests.models.test_price import quantized
from tests.space.onnx.graphs import model, node, save, zeros


@pytest.fixture
def nas(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Said:
        return call(capsys, monkeypatch, "predict", *arguments, "--device", "raspberry-pi-4")

    return run


def test_the_precision_is_the_files_own_and_said(nas, tmp_path: Path) -> None:
    quantized(tmp_path)
    assert "m.onnx on raspberry-pi-4, int8 as the file is, batch 1" in nas("m.onnx").out
    assert "as if it were fp32 (the file is int8)" in nas("m.onnx", "--precision", "fp32").out
    found = json.loads(nas("m.onnx", "--json").out)
    assert (found["precision"], found["model_precision"]) == ("int8", "int8")
    found = json.loads(nas("m.onnx", "--json", "--precision", "fp32").out)
    assert (found["precision"], found["model_precision"]) == ("fp32", "int8")


def strange(folder: Path, kinds: int) -> None:
    """A network with 40 operations of each of so many kinds that nobody understands."""
    rows, last = [node("Conv", "x w", "c", pads=[1] * 4)], "c"
    ops = ["Erf", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Floor",
           "Ceil", "Round", "Sign"][:kinds]  # fmt: skip
    for index in range(40 * kinds):
        rows.append(node(ops[index % kinds], last, f"t{index}"))
        rows[-1].name = f"\x1b[31m{'very' * 20}/{index}"
        last = f"t{index}"
    save(model(rows, {"w": zeros(6, 3, 3, 3)}, last), folder)


def test_the_output_fits_80_columns_and_steers_no_terminal(nas, tmp_path: Path) -> None:
    for kinds in (1, 16):
        strange(tmp_path, kinds)
        said = nas("m.onnx")
        assert said.status == 1
        assert max(map(len, said.out.splitlines())) <= 80 and "\x1b" not in said.out
        assert len(said.out.splitlines()) < 40
        assert len(json.loads(nas("m.onnx", "--json").out)["unknown"]) == 40 * kinds
    assert "These operations are not understood, and are left out:" in said.out
    assert " and 39 more" in said.out and "  and 160 more" in said.out


def test_what_is_left_out_makes_the_counts_a_least(nas, tmp_path: Path) -> None:
    rows = [node("Conv", "x w", "c", pads=[1] * 4), node("TopK", "c k", "v i")]
    save(model(rows, {"w": zeros(6, 3, 3, 3), "k": np.array([4])}, "v"), tmp_path)
    said = nas("m.onnx")
    assert said.status == 1
    assert "memory   at least" in said.out and "size     at least" in said.out
    assert "(no prediction of the whole)" in said.out and "  TopK /TopK" in said.out


def test_a_known_network_is_told_with_range_and_basis(nas, tmp_path: Path) -> None:
    quantized(tmp_path)
    said = nas("m.onnx")
    assert said.status == 0 and max(map(len, said.out.splitlines())) <= 80
    assert "90% of held-out networks fell within this range" in said.out


def test_the_layers_that_an_accelerator_leaves_on_the_cpu_are_named(nas, tmp_path: Path) -> None:
    """A convolution, h-swish, a convolution: on the Edge TPU the last two stay."""
    nodes = [
        node("Conv", "x w", "a", pads=[1] * 4), node("HardSwish", "a", "b"), node("Conv", "b v", "y", pads=[1] * 4),
    ]  # fmt: skip
    save(model(nodes, {"w": zeros(8, 3, 3, 3), "v": zeros(8, 8, 3, 3)}), tmp_path, "h.onnx")
    said = nas("h.onnx", "--precision", "int8", "--target", "edge-tpu").out
    assert "edge-tpu leaves 2 of 3 layers on the CPU, layer 2 the first:\n  activation hswish 8x8x8" in said
    assert "hswish is not mapped\n  1 more layers: it comes after the first layer that is not mapped" in said
    found = json.loads(nas("h.onnx", "--precision", "int8", "--target", "edge-tpu", "--json").out)
    assert (found["target"], found["layers"], [x["place"] for x in found["on_cpu"]]) == ("edge-tpu", 3, [1, 2])
    assert "ethos-u55 maps all 3 layers." in nas("h.onnx", "--precision", "int8", "--target", "ethos-u55").out
    assert json.loads(nas("h.onnx", "--json").out)["target"] is None
    refused = nas("h.onnx", "--target", "edge-tpu")
    assert refused.status == 2 and "target edge-tpu has no fp32 (it has: int8)" in refused.err


def test_weights_that_do_not_fit_on_the_chip_are_said(nas, tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "a"), node("Conv", "a v", "y")]
    save(model(nodes, {"w": zeros(3000, 3, 1, 1), "v": zeros(3000, 3000, 1, 1)}), tmp_path, "w.onnx")
    said = nas("w.onnx", "--precision", "int8", "--target", "edge-tpu").out
    assert "KiB of weights: 8,192 fit on the chip, the rest streams in each time." in said
