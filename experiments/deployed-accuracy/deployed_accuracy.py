"""Is the accuracy that a proxy training reports that of the file that is built? See README.md.

    python experiments/deployed-accuracy/deployed_accuracy.py SPACE [--networks 3] [--epochs N] [--most-macs M] ...

Appends one line for each network and scheme to deployed_accuracy.csv: "before" trains and validates at a share of the
resolution, "after" is `ProxyTraining`. One thread.
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from torch import Tensor

from nas.data.catalog import load_dataset
from nas.estimate.chance import AtChance
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining
from nas.models.builder import build
from nas.models.trained import Preprocessing, TrainedModel
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import SearchSpace, load_space
from nas.tasks.classification import Classification
from nas.train.loop import evaluate, fit, normalize, spread
from nas.train.recipe import recipe
from nas.train.rounding import CALIBRATION_IMAGES, quantized

OUT = Path(__file__).with_suffix(".csv")
COLUMNS = ("space", "network", "resolution", "macs_m", "scheme", "cpu_s", "reported_fp32", "built_fp32",
           "reported_int8", "built_int8")  # fmt: skip


class Feed(CalibrationDataReader):
    def __init__(self, images: np.ndarray) -> None:
        self.images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.images, None)
        return None if image is None else {"image": image[None]}


def candidates(space: SearchSpace, most_macs: float) -> Iterator[tuple[Candidate, Network]]:
    """Random candidates, by seed 0, of at most so many million MACs."""
    rng = np.random.default_rng(0)
    while True:
        candidate = space.sample(rng)
        if (network := space.network(candidate, 10)).macs <= 1e6 * most_macs:
            yield candidate, network


def before(proxy: ProxyTraining, network: Network, candidate: Candidate, seed: int) -> tuple[TrainedModel, float, int]:
    """The model, its accuracy as it was reported, and the resolution of both training and validation."""
    fidelity, task, dataset = proxy.fidelity, Classification(proxy.dataset.classes), proxy.dataset
    small = fidelity.small_resolution(network)
    chosen = recipe(candidate.as_dict(), epochs=fidelity.epochs, batch_size=fidelity.batch_size, resolution=small)
    module = build(network, seed=seed)
    curve = fit(module, task, proxy.train, dataset.validation, chosen, seed=seed, flip=dataset.flip)
    weights = {name: tensor.detach() for name, tensor in module.state_dict().items()}
    model = TrainedModel(network, weights, task.name, task.classes, Preprocessing(network.input_shape[1]))
    return model, curve[-1].validation_accuracy, small


def built(model: TrainedModel, proxy: ProxyTraining) -> tuple[float, float]:
    """What ONNX Runtime gets right of the validation images with the fp32 file, and with it quantized to int8."""
    resolution, validation = model.preprocessing.resolution, proxy.dataset.validation

    def images(split_images: Tensor) -> np.ndarray:
        return normalize(split_images).contiguous().numpy()

    calibration = images(proxy.train.images.take(spread(len(proxy.train), CALIBRATION_IMAGES), resolution))
    wanted = images(validation.images.take(torch.arange(len(validation)), resolution))
    with TemporaryDirectory() as folder:
        path, rounded = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        OnnxRuntime().export(model, path)
        quantize_static(path, rounded, Feed(calibration), per_channel=True, weight_type=QuantType.QInt8,
                        activation_type=QuantType.QUInt8)  # fmt: skip
        right = []
        for file in (path, rounded):
            run = OnnxRuntime().session(file.read_bytes())
            answers = np.array([run(image[None]).argmax() for image in wanted])
            right.append(float((answers == validation.labels.numpy()).mean()))
    return right[0], right[1]


def measure(proxy: ProxyTraining, network: Network, candidate: Candidate, seed: int, scheme: str) -> list[float]:
    """CPU seconds of the training, then reported and built accuracy in fp32 and in int8."""
    task, validation = Classification(proxy.dataset.classes), proxy.dataset.validation
    start = process_time()
    if scheme == "before":
        model, reported, resolution = before(proxy, network, candidate, seed)
    else:
        estimate = proxy.estimate(network, candidate.as_dict() | {"precision": "fp32"}, seed=seed)
        assert estimate.model is not None
        model, reported, resolution = estimate.model, estimate.accuracy, network.input_shape[1]
    seconds = process_time() - start
    int8 = evaluate(quantized(model.module(), "int8", proxy.train, resolution), task, validation, resolution)
    fp32_file, int8_file = built(model, proxy)
    return [seconds, reported, fp32_file, int8, int8_file]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("space")
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--resolution", type=int, help="instead of the space's, for networks that train in seconds")
    parser.add_argument("--most-macs", type=float, default=60.0, help="in millions")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # quantize_static recommends a pre-processing that has nothing to fold here
    space = load_space(asked.space)
    if asked.resolution:
        table = space.table.model_copy(update={"resolution": [asked.resolution]})
        space = SearchSpace(table, space.fingerprint, space.text)
    fidelity = Fidelity(**space.proxy.model_dump())
    changed = {"epochs": asked.epochs, "batch_size": asked.batch_size}
    fidelity = replace(fidelity, **{name: value for name, value in changed.items() if value})
    proxy = ProxyTraining(load_dataset("digits"), fidelity, device=torch.device("cpu"))
    new = not OUT.exists()
    for number, (candidate, network) in zip(range(asked.networks), candidates(space, asked.most_macs), strict=False):
        for scheme in ("before", "after"):
            facts = [asked.space, number, network.input_shape[1], round(network.macs / 1e6, 1), scheme]
            try:
                seconds, *accuracies = measure(proxy, network, candidate, number, scheme)
                row = [*facts, round(seconds, 1), *(round(accuracy, 4) for accuracy in accuracies)]
            except AtChance as error:
                print(*facts, error, flush=True)
                continue
            with OUT.open("a", newline="") as file:
                writer = csv.writer(file)
                if new:
                    writer.writerow(COLUMNS)
                    new = False
                writer.writerow(row)
            print(*row, flush=True)


if __name__ == "__main__":
    main()
