"""What the networks of `networks.py` give for clean and changed images, kept on the disk: see README.md.

    python experiments/self-calibration/cached.py CIFAR10.npz OUT [NETWORK-PRECISION ...]

OUT is the folder of `networks.py`. OUT/cache/NETWORK-PRECISION.npz gets scores and features of validation images, as
they are and under the shifts that `nas deploy` calibrates on, of 22,000 clean images that no network was trained on
(those of its classes), and of 1,000 of these under every corruption that is checked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from held_out import HELD_OUT
from networks import NETWORKS, TRAINED, images_of, of_classes

from nas.compress.quantize import calibration_images
from nas.data.catalog import load_dataset
from nas.data.corruptions import CORRUPTIONS, corrupt
from nas.models.trained import load_trained
from nas.monitor.ran import Ran, runner
from nas.monitor.shifts import SEVERITIES, shifts
from nas.runtimes.onnxruntime import OnnxRuntime

PRECISIONS = ("fp32", "int8")
CLEAN, SHIFTED, MORE, CHECKED = 4000, 500, 12_000, 1000  # images
CHECKS = (1, 3, 5)  # severities


def checked_at(name: str, severity: int, count: int) -> np.ndarray:
    """Which of the clean images are changed: others for each corruption, so that their luck is not in all of them."""
    seed = [severity, (*CORRUPTIONS, *HELD_OUT).index(name)]
    return np.random.default_rng(seed).permutation(count)[:CHECKED]


def checked_images(pixels: np.ndarray, name: str, severity: int) -> np.ndarray:
    if name in CORRUPTIONS:
        return corrupt(pixels, name, severity, seed=6)
    return HELD_OUT[name](pixels, severity, 6)


def images(source: Path, out: Path, network: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pixels and labels: validation, and clean ones that no network was trained on."""
    data = load_dataset(f"npz:{images_of(network, out)}")
    at = np.sort(np.random.default_rng(0).permutation(len(data.validation))[:CLEAN])
    part = data.validation.subset(torch.from_numpy(at))
    with np.load(source) as file:
        more = slice(TRAINED, TRAINED + MORE)
        clean = np.concatenate([file["x_test"], file["x_train"][more]])
        labels = np.concatenate([file["y_test"], file["y_train"][more]])
    return {
        "validation": (part.images.take(torch.arange(len(part)), 32).numpy(), part.labels.numpy()),
        "clean": of_classes(clean, labels, NETWORKS[network].classes),
    }


def parts(found: dict[str, tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    yield "validation", *found["validation"]
    pixels, labels = found["validation"]
    rng = np.random.default_rng(1)
    for name, shift in shifts().items():
        for severity in SEVERITIES:
            drawn = rng.permutation(len(pixels))[:SHIFTED]
            yield f"shifted/{name}/{severity}", shift(pixels[drawn], severity, 0), labels[drawn]
    pixels, labels = found["clean"]
    yield "clean", pixels, labels
    for name in (*CORRUPTIONS, *HELD_OUT):
        for severity in CHECKS:
            at = checked_at(name, severity, len(labels))
            yield f"checked/{name}/{severity}", checked_images(pixels[at], name, severity), labels[at]


def load(out: Path, name: str) -> dict[str, Ran]:
    """What was kept of a network in a precision, by part."""
    with np.load(out / "cache" / f"{name}.npz") as file:
        names = [key[: -len(":scores")] for key in file.files if key.endswith(":scores")]
        return {
            n: Ran(file[f"{n}:scores"], file[f"{n}:features"].astype(np.float32), file[f"{n}:labels"]) for n in names
        }


def main() -> None:
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    (out / "cache").mkdir(exist_ok=True)
    for name in sys.argv[3:] or [f"{n}-{p}" for n in NETWORKS for p in PRECISIONS]:
        network, precision = name.split("-")
        model, found = load_trained(out / network), images(source, out, network)
        path = out / "cache" / f"{name}.onnx"
        if not path.exists():
            data = load_dataset(f"npz:{images_of(network, out)}")
            OnnxRuntime().export(replace(model, precision=precision), path, calibration=calibration_images(data))
        run = runner(model, path.read_bytes())
        arrays = {}
        for part, pixels, labels in parts(found):
            ran = run(pixels, labels)
            arrays[f"{part}:scores"], arrays[f"{part}:labels"] = ran.scores, labels
            arrays[f"{part}:features"] = ran.features.astype(np.float16)
        np.savez(out / "cache" / f"{name}.npz", **arrays)
        print(name, flush=True)


if __name__ == "__main__":
    main()
