"""What do int8 and pruning lose, and what does --max-drop do about it? See README.md.

    python quantization.py npz:cifar10.npz tiny [--resolution 32] [--network 0] [--width 1] [--epochs 12]

One random candidate of a space (by seed 0, the --network'th) is trained; then each form of it is measured on the
validation images with its file in ONNX Runtime, against fp32 on the same images. One thread. Appends to a CSV.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
import torch

from nas.compress.ladder import Ladder, Rung
from nas.compress.prune import Prune
from nas.compress.qat import Qat
from nas.compress.quantize import calibration_images
from nas.compress.step import Given
from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.device.profile import load_device
from nas.errors import UserError
from nas.files.csv import append_rows
from nas.models.builder import build
from nas.models.int8 import Int8
from nas.models.parts import silence_residuals
from nas.models.trained import Preprocessing, TrainedModel
from nas.runtimes.onnx.fusion import fusion_of
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.space.network import Network
from nas.space.search_space import SearchSpace, load_space
from nas.tasks.classification import Classification
from nas.train.loop import evaluate, fit
from nas.train.recipe import recipe
from nas.train.rounding import quantized

COLUMNS = ("space", "network", "resolution", "macs_m", "form", "images", "fp32", "drop", "low", "high", "mb", "cpu_s",
           "note")  # fmt: skip
CPU = torch.device("cpu")
BATCH = 64
SHARES = (0.2, 0.4)  # of the predicted latency that is pruned


def network_of(name: str, resolution: int, number: int, width: float | None = None) -> Network:
    space, asked = load_space(name), {"resolution": [resolution]} | ({"width": [width]} if width else {})
    space = SearchSpace(space.table.model_copy(update=asked), space.fingerprint, space.text)
    rng = np.random.default_rng(0)
    candidates = [space.sample(rng) for _ in range(number + 1)]
    return space.network(candidates[-1], 10)


def trained(network: Network, data: Dataset, epochs: int, seed: int = 0) -> TrainedModel:
    task, module = Classification(data.classes), build(network, seed=seed)
    silence_residuals(module)
    given = {"optimizer": "sgd", "learning_rate": 0.05, "augmentation": "crop-flip"}
    resolution = network.input_shape[1]
    chosen = recipe(given, epochs=epochs, batch_size=BATCH, resolution=resolution, calibration_images=512)
    curve = fit(module, task, data.train, data.validation, chosen, seed=seed, flip=data.flip, device=CPU)
    print(f"trained: {curve[-1].validation_accuracy:.2%} of the validation images", flush=True)
    weights = {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
    preprocessing = Preprocessing(resolution, data.train.images.side)
    return TrainedModel(network, weights, task.name, task.classes, preprocessing, recipe=given | {"batch_size": BATCH})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("space")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--network", type=int, default=0)
    parser.add_argument("--width", type=float, help="of all channels (default: the candidate's)")
    parser.add_argument("--tuned", type=int, default=5, help="epochs of quantization-aware training")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--device", default="raspberry-pi-4", help="that pruning is for")
    parser.add_argument("--out", type=Path, default=Path("quantization.csv"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset(asked.dataset)
    network = network_of(asked.space, asked.resolution, asked.network, asked.width)
    model = trained(network, data, asked.epochs)
    variants = OnnxRuntime().variants(model, calibration_images(data))
    ladder = Ladder(variants, data.validation, lambda line: print(line, flush=True))
    right = float((ladder.fp32 == ladder.images.labels.numpy()).mean())

    def wrote(form: str, rung: Rung, begun: float, note: str = "") -> None:
        low, high = rung.drop.interval
        row = (asked.space, asked.network, asked.resolution, round(network.macs / 1e6, 1), form, rung.drop.images,
               f"{right:.4f}", f"{rung.drop.value:.4f}", f"{low:.4f}", f"{high:.4f}", f"{rung.megabytes:.4f}",
               round(process_time() - begun, 1), note)  # fmt: skip
        append_rows(asked.out, COLUMNS, [row])
        print(*row, flush=True)

    def fused(int8: Int8) -> str:
        return fusion_of(variants.runtime.optimized(variants.graph("int8", int8).SerializeToString())).text

    forms = {"int8": Int8(), "int8 for TensorRT": Int8(target="tensorrt"), "int8 dynamic": Int8("dynamic")}
    for form, int8 in forms.items():
        begun = process_time()
        wrote(form, ladder.measure("int8", int8), begun, fused(int8))
    begun = process_time()
    wrote("fp32", ladder.measure("fp32"), begun)
    wrote("fp16", ladder.measure("fp16"), begun)
    told = evaluate(
        quantized(model.module(), "int8", data.train, asked.resolution), Classification(data.classes), ladder.images,
        asked.resolution,
    )  # fmt: skip
    print(f"int8 as the estimator rounds it: loses {right - told:.4f}", flush=True)
    begun, first = process_time(), ladder.measure("int8", Int8())

    @cache
    def after_qat() -> TrainedModel:
        with TemporaryDirectory() as folder:
            return Qat(asked.tuned).train(model, Given(data, 0, Path(folder), on_progress=print))

    tuned = ladder.trained_on(Int8(), after_qat)
    wrote("int8 after QAT", tuned, begun, Qat(asked.tuned).text)
    for most in (0.01, 0.002):
        begun = process_time()
        rung = ladder.descend(first, most, after_qat)
        wrote(f"within {most:.1%}", rung, begun, rung.name)
    profile = load_device(asked.device)
    for share in SHARES:
        begun = process_time()
        with TemporaryDirectory() as folder:
            given = Given(data, 0, Path(folder), profile, lambda line: print(line, flush=True))
            try:
                made = Prune(share).apply(model, given)
            except UserError as error:
                print(error, flush=True)
                continue
        smaller = Ladder(OnnxRuntime().variants(made, calibration_images(data)), data.validation, print)
        for precision in ("fp32", "int8"):
            rung = smaller.measure(precision, Int8() if precision == "int8" else None)
            answered, _ = smaller.answers(precision, rung.int8)
            rung = replace(rung, drop=ladder.judge.drop(ladder.fp32, answered))
            wrote(f"pruned {share:.0%}, {precision}", rung, begun, made.lineage.steps[-1])


if __name__ == "__main__":
    main()
