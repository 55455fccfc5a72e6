"""Are our TFLite files as good as the converter's? See README.md.

    pip install litert-torch==0.10.0        # in an environment of its own: it wants older packages than nas
    python tflite.py npz:cifar10_small.npz npz:cifar10.npz [--epochs 6] [--out tflite.csv]

One random candidate of a ReLU6 space and of one with h-swish and squeeze-excite is trained at 32 pixels; its files by
nas, by litert-torch with ai-edge-quantizer, and for ONNX Runtime are run on the test images of the second dataset, and
timed in turn on one thread (CPU time of that thread, each the second of two runs). The same candidates at 224 pixels
are timed untrained.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from quantization import network_of, trained

from nas.compress.quantize import calibration_images
from nas.data.catalog import load_dataset
from nas.data.dataset import Split
from nas.models.builder import build
from nas.models.trained import Preprocessing, TrainedModel
from nas.runtimes.images import network_inputs
from nas.runtimes.litert import LiteRT
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.tflite.operators import operators

COLUMNS = ("network", "file", "megabytes", "correct", "images", "same_as_module", "transposes", "operators", "ms",
           "ms_low", "ms_high")  # fmt: skip
SPACES = ("tiny", "mobilenet-v3")
Run = Callable[[np.ndarray], np.ndarray]


def converted(model: TrainedModel, calibration: Split) -> dict[str, bytes]:
    """The converter's fp32 file, and its quantizer's static int8 one."""
    import litert_torch
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    image = torch.zeros(1, *model.network.input_shape).permute(0, 2, 3, 1).contiguous()
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "net.tflite")
        litert_torch.convert(litert_torch.to_channel_last_io(model.module(), args=[0]), (image,)).export(path)
        fp32 = Path(path).read_bytes()
        ((signature, ends),) = Interpreter(model_content=fp32).get_signature_list().items()
        given = [
            {ends["inputs"][0]: np.ascontiguousarray(image.transpose(0, 2, 3, 1))}
            for image in network_inputs(model.preprocessing, calibration)
        ]
        made = quantizer.Quantizer(path)
        made.load_quantization_recipe(recipe.static_wi8_ai8())
        int8 = bytes(made.quantize(made.calibrate({signature: given})).quantized_model)
    return {"litert-torch fp32": fp32, "ai-edge-quantizer int8": int8}


def times(runs: dict[str, Run], image: np.ndarray, rounds: int) -> dict[str, np.ndarray]:
    """Median and quartiles in ms."""
    rng, found = np.random.default_rng(0), {name: list[float]() for name in runs}
    for name in runs:
        for _ in range(5):
            runs[name](image)
    for _ in range(rounds):
        for name in rng.permutation(list(runs)):
            runs[name](image)
            start = time.thread_time()
            runs[name](image)
            found[name].append(1000 * (time.thread_time() - start))
    return {name: np.quantile(values, (0.5, 0.25, 0.75)) for name, values in found.items()}


def rows_of(label: str, model: TrainedModel, calibration: Split, test: Split | None, rounds: int) -> list[list[object]]:
    lite, onnx = LiteRT().variants(model, calibration), OnnxRuntime().variants(model, calibration)
    files = {f"nas {p}": lite.file(p) for p in LiteRT().exported}
    files |= {"onnx fp32": onnx.file("fp32"), "onnx int8": onnx.file("int8")} | converted(model, calibration)
    runs = {n: (OnnxRuntime() if n.startswith("onnx") else LiteRT()).session(data) for n, data in files.items()}
    ms = times(runs, lite.images[0], rounds)
    right, same = dict.fromkeys(files, ""), dict.fromkeys(files, "")
    if test is not None:
        inputs, labels = list(network_inputs(model.preprocessing, test)), test.labels.numpy()
        with torch.inference_mode():
            wanted = np.array([int(lite.module(torch.from_numpy(image)).argmax()) for image in inputs])
        for name, run in runs.items():
            answers = np.array([int(run(image).argmax()) for image in inputs])
            right[name], same[name] = str((answers == labels).sum()), f"{(answers == wanted).mean():.4f}"
    counted = {name: None if name.startswith("onnx") else operators(data) for name, data in files.items()}
    return [
        [label, name, f"{len(data) / 1e6:.4f}", right[name], len(test) if test else "", same[name],
         c["TRANSPOSE"] if (c := counted[name]) is not None else "", c.total() if c is not None else "",
         *(f"{value:.4f}" for value in ms[name])]
        for name, data in files.items()
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("test")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("tflite.csv"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data, test = load_dataset(asked.dataset), load_dataset(asked.test).test_split()
    calibration, found = calibration_images(data), list[list[object]]()
    for space in SPACES:
        found += rows_of(f"{space} 32", trained(network_of(space, 32, 0), data, asked.epochs), calibration, test, 2000)
    for space in SPACES:
        network = network_of(space, 224, 0)
        weights, pixels = build(network).state_dict(), Preprocessing(224)
        model = TrainedModel(network, weights, "classification", data.classes, pixels)
        label = f"{space} 224 untrained, {network.macs / 1e6:.0f} M MACs"
        found += rows_of(label, model, calibration, None, 100)
    with asked.out.open("w") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *found])


if __name__ == "__main__":
    main()
