"""The file that `nas.build` writes has the accuracy that the run reports, fed as the file itself says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import nas
from nas.data.catalog import load_dataset
from nas.data.dataset import Split
from nas.deploy.export import export
from nas.deploy.source import load_source
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.search.models import save_model
from nas.space.candidate import Candidate
from nas.space.search_space import load_space
from tests.runs import make_run


def right_of(file: Path, split: Split) -> int:
    """How many images ONNX Runtime's answer is right on; the pictures are read by the file's metadata, with Pillow."""
    facts = {p.key: p.value for p in onnx.load(str(file)).metadata_props}
    said, run = json.loads(facts["preprocessing"]), OnnxRuntime().session(file.read_bytes())
    assert (said["resize"], said["color"]) == ("center square, bilinear", "RGB")
    right = 0
    for number, label in enumerate(split.labels.tolist()):
        pixels = split.images.take(torch.tensor([number]), 8)[0].numpy()
        picture = Image.fromarray(pixels).resize((said["resolution"],) * 2, Image.Resampling.BILINEAR)
        image = (np.asarray(picture, np.float32) - np.float32(said["mean"])) / np.float32(said["std"])
        right += int(run(image.transpose(2, 0, 1)[None]).argmax() == label)
    return right


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_built_file_has_the_reported_accuracy(precision: str, tmp_path: Path) -> None:
    """Trained at 8 pixels and used at 24: at the small size alone the file would be near chance."""
    run, space, digits = make_run(tmp_path / "run"), load_space("tiny"), load_dataset("digits")
    candidate = Candidate.of(
        space.sample(np.random.default_rng(3)).as_dict() | {"resolution": 24, "precision": precision}
    )
    proxy = ProxyTraining(digits, Fidelity(**space.proxy.model_dump()), device=torch.device("cpu"))
    estimate = proxy.estimate(space.network(candidate, 10), candidate.as_dict(), seed=0)
    assert estimate.model is not None
    save_model(run.path, run.settings, 1, estimate.model)
    written = nas.build(run, pick=1, onnx=tmp_path / "out.onnx")
    images = len(digits.validation)
    if precision == "int8":  # the file in that precision has the accuracy that the search was told
        exported = export(load_source(run.path, pick=1), tmp_path / "int8.onnx")
        assert abs(right_of(exported.path, digits.validation) / images - estimate.accuracy) <= 0.005
    right = right_of(written.path, digits.validation)
    assert abs(right / images - estimate.curve[-1].validation_accuracy) <= 0.005  # of fp32, which the file is in
    assert right / images > 0.5 and abs(right / images - estimate.accuracy) < 0.03
