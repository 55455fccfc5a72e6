"""What do pruning, low-rank factorization and shared weights cost in accuracy, and what do they save? See README.md.

    python compression.py accuracy npz:cifar10_small.npz [--seeds 3] [--out compression.csv]
    python compression.py latency [--out compression_latency.csv]

accuracy: networks at 32 pixels are trained; then each step is applied and fine-tuned, and the control is fine-tuned as
long without a step. latency: MobileNetV2 at 224 pixels with random weights, nothing is trained. Latency is the CPU time
of ONNX Runtime on one thread, batch 1, all forms in turn in every round; ratios to the unchanged network are medians
over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
import onnx
import torch

from nas.compress.channels import groups_of, importance, pruned
from nas.compress.finetune import fine_tuned
from nas.compress.low_rank import LowRank, as_products, factorized, weights_to_factorize
from nas.compress.plan import comparable, gain, sizes_for
from nas.compress.prune import Prune
from nas.compress.quantize import calibration_images
from nas.compress.share import Share, sharing
from nas.compress.step import Given, Step
from nas.compress.tensors import tensors_of
from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.device.profile import load_device
from nas.errors import UserError
from nas.files.csv import append_rows
from nas.models.builder import build
from nas.models.parts import silence_residuals
from nas.models.trained import Preprocessing, TrainedModel
from nas.runtimes.onnx.int8 import quantized as quantized_graph
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.space.layer import Precision
from nas.space.network import Network
from nas.space.reference import reference_network
from nas.space.search_space import SearchSpace, load_space
from nas.tasks.classification import Classification
from nas.train.loop import evaluate, fit
from nas.train.recipe import recipe
from nas.train.rounding import quantized

DEVICE = "raspberry-pi-4"
PRUNED, FACTORIZED = 0.4, 0.5  # of the predicted latency; of the MACs
EPOCHS, TUNED, IMAGES = 8, 2, 4000
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
ACCURACY = ("network", "form", "seed", "images", "fp32", "int8", "macs_m", "params_k", "fp32_mb", "int8_mb",
            "fp32_latency", "int8_latency", "predicted_fp32", "predicted_int8")  # fmt: skip
LATENCY = ("form", "macs", "params", "fp32_mb", "int8_mb", "fp32_ms", "fp32_latency", "int8_latency", "predicted_fp32",
           "predicted_int8")  # fmt: skip
Files = dict[tuple[str, Precision], bytes]


def ratios(files: Files, rounds: int) -> tuple[dict[tuple[str, Precision], float], float]:
    """The CPU time of each file as a share of the unchanged network's in fp32, and that in ms."""
    sessions = {key: OnnxRuntime().session(data) for key, data in files.items()}
    shape = next(iter(onnx.load_model_from_string(data) for data in files.values())).graph.input[0].type.tensor_type
    image = np.random.default_rng(0).standard_normal([d.dim_value for d in shape.shape.dim]).astype(np.float32)
    times: dict[tuple[str, Precision], list[float]] = {key: [] for key in files}
    for turn in range(rounds + 3):
        for key, run in sessions.items():
            run(image)  # only the second of two counts
            begun = process_time()
            run(image)
            if turn >= 3:
                times[key].append(process_time() - begun)
    base = times["unchanged", "fp32"]
    found = {k: statistics.median(t / b for t, b in zip(v, base, strict=True)) for k, v in times.items()}
    return found, 1000 * statistics.median(base)


def predicted(before: Network, after: Network, precision: Precision) -> float:
    return gain(comparable(load_device(DEVICE), precision), before, after, precision).latency


# accuracy


def networks() -> dict[str, Network]:
    """The reference, and a candidate of the space tiny, both for 32 pixels and 10 classes."""
    space = load_space("tiny")
    space = SearchSpace(space.table.model_copy(update={"resolution": [32]}), space.fingerprint, space.text)
    rng = np.random.default_rng(0)
    drawn = [space.network(space.sample(rng), 10) for _ in range(50)]
    return {
        "mobilenet_v2": reference_network("mobilenet_v2", 32, classes=10),
        "tiny": next(n for n in drawn if sharing(n) != n),  # the first in which blocks are equal
    }


def trained(network: Network, data: Dataset, seed: int) -> TrainedModel:
    module = build(network, seed=seed)
    silence_residuals(module)
    values = {"optimizer": "sgd", "learning_rate": 0.05, "augmentation": "crop-flip"}
    chosen = recipe(values, epochs=EPOCHS, batch_size=64, resolution=32, calibration_images=512)
    fit(module, Classification(data.classes), data.train, data.validation, chosen, seed=seed, flip=data.flip)
    weights = {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
    side = data.train.images.side
    return TrainedModel(network, weights, "classification", data.classes, Preprocessing(32, side), recipe={
        **values, "batch_size": 64,
    })  # fmt: skip


def forms(model: TrainedModel, data: Dataset, seed: int) -> dict[str, TrainedModel]:
    """The trained network, the control, and what each step makes of it; a step that is refused is left out."""
    steps: Mapping[str, Step] = {
        f"pruned {PRUNED:.0%}": Prune(PRUNED, TUNED),
        f"low-rank {FACTORIZED:.0%}": LowRank(FACTORIZED, TUNED, anyway=True),
        "shared": Share(TUNED),
    }
    found = {"unchanged": model}
    for name, step in {"control": None, **steps}.items():
        with TemporaryDirectory() as folder:
            given = Given(data, seed, Path(folder), load_device(DEVICE), lambda line: print(line, flush=True))
            try:
                found[name] = fine_tuned(model, model, given, TUNED).model if step is None else step.apply(model, given)
            except UserError as error:  # e.g. so much of the latency cannot be pruned
                print(f"{name}: {error}", flush=True)
    return found


def accuracy(dataset: str, seeds: int, out: Path) -> None:
    data = load_dataset(dataset)
    data = replace(data, train=data.train.subset(torch.arange(min(IMAGES, len(data.train)))))
    test = data.test_split()
    for name, network in networks().items():
        for seed in range(seeds):
            made = forms(trained(network, data, seed), data, seed)
            files: Files = {}
            for form, model in made.items():
                variants = OnnxRuntime().variants(model, calibration_images(data))
                files |= {(form, precision): variants.graph(precision).SerializeToString() for precision in PRECISIONS}
            shares, _ = ratios(files, 300)
            for form, model in made.items():
                right = [
                    evaluate(quantized(model.module(), p, data.train, 32), Classification(data.classes), test, 32)
                    for p in PRECISIONS
                ]
                row = (
                    name, form, seed, len(test), *(f"{r:.4f}" for r in right), f"{model.network.macs / 1e6:.3f}",
                    f"{model.network.params / 1e3:.1f}", *(f"{len(files[form, p]) / 1e6:.4f}" for p in PRECISIONS),
                    *(f"{shares[form, p]:.3f}" for p in PRECISIONS),
                    *(f"{predicted(network, model.network, p):.3f}" for p in PRECISIONS),
                )  # fmt: skip
                append_rows(out, ACCURACY, [row])
                print(*row, flush=True)


# latency


def untrained(network: Network) -> TrainedModel:
    classes = tuple(map(str, range(network.classes)))
    weights = build(network).state_dict()
    return TrainedModel(network, weights, "classification", classes, Preprocessing(network.input_shape[1]))


def latency(out: Path) -> None:
    network = reference_network("mobilenet_v2", resolution=224)
    model, profile = untrained(network), comparable(load_device(DEVICE), "fp32")
    worth = importance(model, groups_of(network))
    made = {"unchanged": model}
    for share in (0.2, PRUNED, 0.5):
        made[f"pruned {share:.0%}"] = pruned(model, sizes_for(network, worth, profile, "fp32", share, 8), worth)
    weights = weights_to_factorize(model)
    for share in (0.3, FACTORIZED):
        changed = factorized(network, weights, profile, "fp32", share)
        made[f"low-rank {share:.0%}"] = as_products(model, changed)
    shared = sharing(network)
    kept = {name: t for n, _, name, t in tensors_of(network, model.module()) if shared.weights_of(n) == n}
    made["shared"] = replace(model, network=shared, weights=kept)
    files: Files = {}
    for form, one in made.items():
        graph = OnnxRuntime().variants(one).exported
        files[form, "fp32"] = graph.SerializeToString()
        files[form, "int8"] = quantized_graph(graph).SerializeToString()
    shares, ms = ratios(files, 60)
    for form, one in made.items():
        row = (
            form, f"{one.network.macs / network.macs:.3f}", f"{one.network.params / network.params:.3f}",
            *(f"{len(files[form, p]) / 1e6:.3f}" for p in PRECISIONS), f"{ms * shares[form, 'fp32']:.2f}",
            *(f"{shares[form, p]:.3f}" for p in PRECISIONS),
            *(f"{predicted(network, one.network, p):.3f}" for p in PRECISIONS),
        )  # fmt: skip
        append_rows(out, LATENCY, [row])
        print(*row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["accuracy", "latency"])
    parser.add_argument("dataset", nargs="?", default="npz:cifar10_small.npz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "accuracy":
        accuracy(asked.dataset, asked.seeds, asked.out or Path("compression.csv"))
    else:
        latency(asked.out or Path("compression_latency.csv"))


if __name__ == "__main__":
    main()
