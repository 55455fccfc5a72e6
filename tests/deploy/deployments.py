"""A run on small colored pictures that keeps one trained model, and deployments of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.data.catalog import load_dataset
from nas.deploy import make
from nas.files.atomic import write_atomic
from nas.models.builder import build
from nas.models.trained import Lineage, Preprocessing, TrainedModel
from nas.run import Run, load_run, write_settings
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import Exported
from nas.search.models import save_model
from nas.space.candidate import Candidate
from nas.space.search_space import load_space
from nas.tasks.classification import Classification
from nas.train.loop import fit
from nas.train.recipe import recipe
from tests.data.pictures import draw_strange, write_folder
from tests.runs import make_run

TRIAL = 0  # deployed in fp32, by its candidate
FEW = {
    "window_s": 0.05,
    "windows": 1,
    "seconds": 0.0,
    "least_rounds": 5,
    "most_rounds": 5,
    "starts": 1,
}  # a measurement of a second


def make_trained_run(folder: Path) -> Run:
    """folder/run keeps a model of trial 0, trained on the pictures in folder/data to some accuracy below all."""
    for split, count in (("train", 12), ("val", 4), ("test", 8)):
        write_folder(folder / "data" / split, count)
    draw_strange(folder / "data/test/red")
    data = load_dataset(f"folder:{folder / 'data'}")
    space = load_space("tiny")
    values = space.sample(np.random.default_rng(3)).as_dict() | {"resolution": 24, "precision": "fp32"}
    network = space.network(Candidate.of(values), len(data.classes))
    module = build(network, seed=0)
    fit(
        module, Classification(data.classes), data.train, data.validation,
        recipe({"learning_rate": 0.02}, epochs=3, batch_size=6, resolution=24), seed=0, device=torch.device("cpu"),
    )  # fmt: skip
    model = TrainedModel(
        network, module.state_dict(), "classification", data.classes, Preprocessing(24, data.train.images.side),
        recipe={"epochs": 3}, lineage=Lineage(steps=("proxy training",)),
    )  # fmt: skip
    run = make_run(folder / "run")
    settings = replace(
        run.settings, dataset=data.name, dataset_sha256=data.fingerprint, classes=len(data.classes),
        budgets={"max_latency_ms": 50.0, "max_size_mb": 20.0},
    )  # fmt: skip
    write_settings(run.path, settings)
    save_model(run.path, settings, TRIAL, model)
    return load_run(run.path)


def give_again() -> None:
    """In this process exports for ONNX Runtime and measurements are those of the first one, given again."""
    kept: dict[str, Any] = {}
    real_export, real_measure = OnnxRuntime.export, make.measure_models

    def export(self: OnnxRuntime, model: Any, path: Path, *given: Any, **more: Any) -> Exported:
        if "file" not in kept:
            kept["exported"] = real_export(self, model, path, *given, **more)
            kept["file"] = path.read_bytes()
        write_atomic(path, kept["file"])
        found: Exported = kept["exported"]
        return Exported(path, found.input_shape, found.megabytes, found.difference)

    def measured(*given: Any, **more: Any) -> Any:
        if "results" not in kept:
            kept["results"] = real_measure(*given, **more)
        return kept["results"]

    OnnxRuntime.export, make.measure_models = export, measured  # type: ignore[method-assign, assignment]


def names(folder: Path) -> list[str]:
    """All files and folders in a folder, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
