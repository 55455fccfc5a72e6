"""Files that practitioners reported, as they were found: each has its true counts, or is refused with the reason."""

from __future__ import annotations

import csv

import pytest

from nas.errors import UserError
from nas.space.onnx.file import read_onnx
from tests.shared_data import ROOT, shared_data

CASES = "../cases/"
FOLDERS = ("onnx-files", "ort-formats")
REFUSED = {  # what a cost cannot be told of, and why
    "batch4.onnx": "batch of 4",
    "dynamic_c.onnx": "fixed image size",
    "dynamic_hw.onnx": "fixed image size",
    "two_inputs.onnx": "exactly one input",
}
INT8 = {"qdq.onnx", "qoperator.onnx", "qoperator_conv_only.onnx", "dynamic.onnx", "qlinearconv_float_head.onnx"}
FP16 = {"fp16_keep_io.onnx", "fp16_keep_io_open_batch.onnx"}
NOT_READ = {"second_output_used.onnx"}  # its TopK has no weights


def rows() -> list[tuple[str, str, int, int]]:
    found = []
    for folder in FOLDERS:
        truth = ROOT / CASES / folder / "truth.csv"
        if truth.exists():
            with truth.open(newline="") as file:
                found += [(folder, r["file"], int(r["macs"]), int(r["params"])) for r in csv.DictReader(file)]
    return found or [("onnx-files", "truth.csv", 0, 0)]


@pytest.mark.parametrize(("folder", "name", "macs", "params"), rows(), ids=lambda value: str(value))
def test_counts_are_the_truth_or_the_file_is_refused(folder: str, name: str, macs: int, params: int) -> None:
    path = shared_data(f"{CASES}{folder}/{name}")
    if name in REFUSED:
        with pytest.raises(UserError, match=REFUSED[name]):
            read_onnx(path)
        return
    reading = read_onnx(path)
    assert (reading.network.macs, reading.network.params) == (macs, params)
    assert bool(reading.unread) == (name in NOT_READ)
    assert reading.precision == ("int8" if name in INT8 else "fp16" if name in FP16 else "fp32")
