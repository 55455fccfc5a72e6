"""Three networks of 32 pixels, trained in full on 19,200 CIFAR-10 images each. See README.md.

    python experiments/self-calibration/networks.py CIFAR10.npz OUT [--minutes 9] [--only NAME]

CIFAR10.npz holds all 60,000 images (x_train, y_train, x_test, y_test). OUT/images.npz gets 24,000 of the training
images, of which `nas` keeps 4,800 for validation, and the test images; the others are never trained on. OUT/NAME is
the folder of a trained model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nas.data.catalog import load_dataset
from nas.space.network import Network
from nas.space.search_space import parse_space
from nas.train.full import train_full
from nas.train.full_recipe import full_recipe

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAINED = 24_000  # images in the file that is trained on, validation included
TINY = """
name = "tiny-32"
title = "Of the tiny space, one network"
source = "search_spaces/tiny.toml"
classes = 10
resolution = 32
stage = [
  { block = "conv", kernel = 3, stride = 1, channels = 16, activation = "relu6" },
  { block = "ds", kernel = 3, channels = 16, activation = "relu6" },
  { block = "mbconv", depth = 2, kernel = 3, expand = 4, channels = 24, stride = 2, activation = "relu6" },
  { block = "mbconv", depth = 2, kernel = 3, expand = 4, channels = 48, stride = 2, activation = "relu6" },
  { block = "mbconv", depth = 2, kernel = 3, expand = 4, channels = 96, stride = 2, activation = "relu6" },
  { block = "conv", channels = 256, activation = "relu6" },
  { block = "pool_linear" },
]
"""
V3 = """
name = "mobilenet-v3-32"
title = "MobileNetV3's blocks, for small images"
source = "search_spaces/mobilenet-v3.toml"
classes = 10
resolution = 32
stage = [
  { block = "conv", kernel = 3, stride = 1, channels = 16, activation = "hswish" },
  { block = "mbconv", depth = 2, kernel = 3, expand = 3, channels = 24, stride = 2, activation = "relu" },
  { block = "mbconv", depth = 2, kernel = 5, expand = 3, channels = 40, stride = 2, activation = "hswish", SE },
  { block = "mbconv", depth = 2, kernel = 5, expand = 4, channels = 80, stride = 2, activation = "hswish", SE },
  { block = "conv", channels = 320, activation = "hswish" },
  { block = "pool" },
  { block = "conv", channels = 512, activation = "hswish", norm = false },
  { block = "linear" },
]
""".replace("SE", 'se = 0.25, gate = "hsigmoid"')


FUSED = """
name = "efficientnetv2-32"
title = "EfficientNetV2's first blocks, for small images"
source = "search_spaces/efficientnetv2.toml"
classes = 10
resolution = 32
stage = [
  { block = "conv", kernel = 3, stride = 1, channels = 16, activation = "relu" },
  { block = "fused_mbconv", depth = 2, kernel = 3, expand = 2, channels = 24, stride = 2, activation = "relu" },
  { block = "fused_mbconv", depth = 2, kernel = 3, expand = 2, channels = 40, stride = 2, activation = "relu" },
  { block = "mbconv", depth = 2, kernel = 3, expand = 4, channels = 96, stride = 2, activation = "relu" },
  { block = "conv", channels = 384, activation = "relu" },
  { block = "pool_linear" },
]
"""


def write_images(source: Path, out: Path) -> None:
    with np.load(source) as data:
        np.savez(
            out, x_train=data["x_train"][:TRAINED], y_train=data["y_train"][:TRAINED], x_test=data["x_test"],
            y_test=data["y_test"], class_names=np.array(CLASSES),
        )  # fmt: skip


def networks() -> dict[str, tuple[Network, dict[str, float | str]]]:
    """The network, and what its recipe is told, by name: two without label smoothing, so that they are too sure."""
    return {
        "tiny": (_only(TINY), {"label_smoothing": 0.0, "augmentation": "crop-flip"}),
        "v3": (_only(V3), {"label_smoothing": 0.0, "augmentation": "crop-flip"}),
        "fused": (_only(FUSED), {"label_smoothing": 0.1, "augmentation": "crop-flip"}),
    }


def _only(text: str) -> Network:
    space = parse_space(text, Path("networks.py"))
    return space.network(space.sample(np.random.default_rng(0)), 10)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    images = (asked.out / "images.npz").absolute()
    if not images.exists():
        write_images(asked.images, images)
    dataset = load_dataset(f"npz:{images}")
    for name, (network, told) in networks().items():
        if asked.only in (None, name):
            recipe = full_recipe(told, images=len(dataset.train), resolution=32, batch_size=64, epochs=99)
            train_full(
                network, dataset, recipe, asked.out / name, minutes=asked.minutes,
                recorded={"dataset": dataset.name, "dataset_seed": 0},
                on_progress=lambda p: p.step % 300 or print(p.epoch, p.epochs, p.loss, p.accuracy, flush=True),
            )  # fmt: skip
            print(name, f"{network.macs / 1e6:.1f} MMACs", (asked.out / name / "result.json").read_text(), flush=True)


if __name__ == "__main__":
    main()
