"""How much of a lost accuracy batch-norm statistics of recent images bring back, without labels. See README.md.

    python experiments/self-calibration/recovery.py MODELS OUT.csv [--seeds 3] [--only NAME]
    python experiments/self-calibration/recovery.py MODELS --passes [--only NAME]

MODELS holds folders of trained models (networks.py). A row is one network, seed, file, drift and way of adapting.
With --passes: what is lost where statistics are averaged over passes of a few images, which need less memory.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.compress.quantize import calibration_images
from nas.data.corruptions import corrupt
from nas.deploy.source import load_source
from nas.models.trained import load_trained
from nas.monitor.serve.adapt import SHARES, Exposed, Folding, NotAdaptable, balanced, mix_of, table_of
from nas.runtimes.board.network import Network
from nas.runtimes.onnx.adapt import adaptable
from nas.runtimes.onnxruntime import OnnxRuntime

DRIFTS = ("gaussian-noise", "gaussian-blur", "brightness", "contrast")
SEVERITY = 5
MEAN = (127.5, 127.5, 127.5)  # and deviation: of the preprocessing
WINDOWS = (64, 256, 512)  # images that are adapted to
PASSES = (2, 4, 8, 16, 32)
TESTED = 1000  # other images
COLUMNS = (
    "network",
    "seed",
    "precision",
    "drift",
    "way",
    "share",
    "images",
    "mix",
    "refused",
    "accuracy",
    "clean_accuracy",
)


def as_inputs(pixels: np.ndarray) -> list[np.ndarray]:
    """uint8 (n, r, r, 3) as networks of this project take them, each float32 (1, 3, r, r)."""
    return list(((pixels.astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)[:, None])


def answers(model: bytes, images: list[np.ndarray]) -> np.ndarray:
    run = OnnxRuntime().session(model)
    return np.array([int(run(image)[0].argmax()) for image in images])


def files_of(folder: Path) -> tuple[dict[str, Folding], np.ndarray, np.ndarray]:
    """The foldings of a model by precision, and its test images with their labels."""
    source = load_source(folder)
    data = source.dataset()
    variants = OnnxRuntime().variants(load_trained(folder), calibration_images(data))
    files = {p: variants.graph(p).SerializeToString() for p in ("fp32", "int8")}
    made = adaptable(variants, files)
    test = data.test_split()
    pixels = test.images.take(torch.arange(len(test)), source.model.preprocessing.resolution)
    foldings = {p: Folding(lambda: made.graph, made.arrays, lambda p=p: files[p], p) for p in files}
    return foldings, pixels.numpy(), test.labels.numpy()


def rows_of(name: str, folder: Path, seed: int) -> list[dict[str, Any]]:
    foldings, pixels, labels = files_of(folder)
    order = np.random.default_rng(seed).permutation(len(labels))
    tested, rest = order[:TESTED], order[TESTED:]
    windows = {f"of {n}": rest[:n] for n in WINDOWS}
    windows["of 256, two classes"] = rest[np.isin(labels[rest], [seed % 10, (seed + 3) % 10])][:256]
    clean = as_inputs(pixels[tested])
    rows: list[dict[str, Any]] = []
    for precision, folding in foldings.items():
        about = {"network": name, "seed": seed, "precision": precision}

        def right(model: bytes, images: list[np.ndarray]) -> float:
            return float((answers(model, images) == labels[tested]).mean())

        before_clean = right(folding.model, clean)
        for drift in DRIFTS:
            drifted = as_inputs(corrupt(pixels[tested], drift, SEVERITY, seed=seed))
            before = right(folding.model, drifted)
            rows.append(about | {"drift": drift, "way": "nothing", "images": 0, "accuracy": before,
                                 "clean_accuracy": before_clean})  # fmt: skip
            for way, window in windows.items():
                images = as_inputs(corrupt(pixels[window], drift, SEVERITY, seed=seed + 1))
                predicted = answers(folding.model, images)
                try:
                    chosen, refused = balanced(predicted, 10), ""
                except NotAdaptable:
                    chosen, refused = np.arange(len(images)), "refused"
                recent = [images[i] for i in chosen]
                row = about | {"drift": drift, "way": way, "images": len(chosen), "mix": mix_of(predicted, 10),
                               "refused": refused}  # fmt: skip
                if way != "of 64":
                    network = Exposed(
                        Network(folding.model, 1), table_of(recent, folding.usual, MEAN, MEAN), MEAN, MEAN
                    )
                    said = [network.outputs(network.ready(image))[0].argmax() for image in drifted]
                    rows.append(row | {"share": "exposure", "accuracy": float((said == labels[tested]).mean())})
                statistics = folding.statistics(recent)
                for share in SHARES:
                    adapted = folding.folded(*folding.blended(*statistics, share))
                    rows.append(row | {
                        "share": share, "accuracy": right(adapted, drifted),
                        "clean_accuracy": right(adapted, clean) if way == "of 256" else None,
                    })  # fmt: skip
                    print(rows[-1], flush=True)
        images = as_inputs(pixels[windows["of 256"]])
        adapted = folding.folded(*folding.statistics(images))
        rows.append(about | {"drift": "clean", "way": "of 256", "share": 1.0, "images": 256,
                             "mix": mix_of(answers(folding.model, images), 10), "accuracy": right(adapted, clean),
                             "clean_accuracy": before_clean})  # fmt: skip
    return rows


def passes(name: str, folder: Path) -> None:
    """Prints accuracies in percent, fp32, adapted to 64 and 256 images in passes of so many."""
    foldings, pixels, labels = files_of(folder)
    folding, order = foldings["fp32"], np.random.default_rng(0).permutation(len(labels))
    tested, rest = order[:TESTED], order[TESTED:]
    for drift in DRIFTS:
        drifted, reached = as_inputs(corrupt(pixels[tested], drift, SEVERITY, seed=0)), []
        for count in WINDOWS[:2]:
            images = as_inputs(corrupt(pixels[rest[:count]], drift, SEVERITY, seed=1))
            for folding.batch in (*PASSES, count):
                predicted = answers(folding.folded(*folding.statistics(images)), drifted)
                accuracy = 100 * float((predicted == labels[tested]).mean())
                reached.append(f"{count} by {folding.batch}: {accuracy:.1f}")
        print(f"{name}, {drift}: {', '.join(reached)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=Path("recovery.csv"))
    parser.add_argument("--passes", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only")
    asked = parser.parse_args()
    names = sorted(
        path.parent.name for path in asked.models.glob("*/model.json") if asked.only in (None, path.parent.name)
    )
    if asked.passes:
        for name in names:
            passes(name, asked.models / name)
        return
    with asked.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for name in names:
            for seed in range(asked.seeds):
                for row in rows_of(name, asked.models / name, seed):
                    writer.writerow({key: f"{v:.4f}" if isinstance(v, float) else v for key, v in row.items()})
                file.flush()


if __name__ == "__main__":
    main()
