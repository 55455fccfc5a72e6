"""Five networks of 32 pixels, trained in full on CIFAR-10: three short trainings, two to the end. See README.md.

    python experiments/self-calibration/networks.py CIFAR10.npz OUT [--only NAME]

CIFAR10.npz holds all 60,000 images (x_train, y_train, x_test, y_test). OUT/images.npz, or OUT/images-NAME.npz, gets the
first of the training images, of which `nas` keeps a fifth for validation, and the test images; those after the first
24,000 are never trained on. OUT/NAME is the folder of a trained model.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nas.data.catalog import load_dataset
from nas.space.network import Network
from nas.space.search_space import parse_space
from nas.train.full import train_full
from nas.train.full_recipe import full_recipe

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAINED = 24_000  # images in the file that is trained on, validation included
EASY = ("airplane", "automobile", "frog", "horse")  # classes that few take for each other
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


PLAIN = """
name = "plain-32"
title = "Convolutions and nothing else, for small images"
source = "VGG's blocks, with batch norm"
classes = 10
resolution = 32
stage = [
  { block = "conv", kernel = 3, stride = 1, channels = 16, activation = "relu" },
  { block = "conv", kernel = 3, stride = 2, channels = 32, activation = "relu" },
  { block = "conv", kernel = 3, channels = 32, activation = "relu" },
  { block = "conv", kernel = 3, stride = 2, channels = 64, activation = "relu" },
  { block = "conv", kernel = 3, channels = 64, activation = "relu" },
  { block = "conv", kernel = 3, stride = 2, channels = 128, activation = "relu" },
  { block = "pool_linear" },
]
"""


@dataclass(frozen=True, slots=True)
class Trained:
    """How a network is trained: `minutes` 0 is all of the epochs."""

    table: str
    epochs: int
    minutes: float = 0.0
    told: dict[str, float | str] = field(default_factory=dict)  # of its recipe
    classes: tuple[str, ...] = CLASSES
    images: int = TRAINED  # of the training images, those of other classes included

    @property
    def network(self) -> Network:
        space = parse_space(self.table, Path("networks.py"))
        return space.network(space.sample(np.random.default_rng(0)), len(self.classes))


SHARP = {"label_smoothing": 0.0, "augmentation": "crop-flip"}
NETWORKS = {
    "tiny": Trained(TINY, 99, 9.0, SHARP),
    "v3": Trained(V3, 99, 9.0, SHARP),
    "fused": Trained(FUSED, 99, 9.0, SHARP | {"label_smoothing": 0.1}),
    # to the end of what it learns from, and much too sure of itself: each image forty times as it is
    "sure": Trained(PLAIN, 40, told={"label_smoothing": 0.0, "augmentation": "none"}, images=12_000),
    "easy": Trained(FUSED, 25, told=SHARP, classes=EASY),
}


def images_of(name: str, out: Path) -> Path:
    """The file that a network is trained on."""
    usual = NETWORKS[name].images == TRAINED and NETWORKS[name].classes == CLASSES
    return (out / ("images.npz" if usual else f"images-{name}.npz")).absolute()


def of_classes(pixels: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Those images, with labels int64 (n,), that are of some classes."""
    place = np.full(len(CLASSES), -1)
    place[[CLASSES.index(name) for name in classes]] = np.arange(len(classes))
    found = place[labels.reshape(-1)]
    return pixels[found >= 0], found[found >= 0]


def write_images(source: Path, name: str, out: Path) -> None:
    asked = NETWORKS[name]
    with np.load(source) as data:
        train = of_classes(data["x_train"][: asked.images], data["y_train"][: asked.images], asked.classes)
        test = of_classes(data["x_test"], data["y_test"], asked.classes)
    np.savez(
        out, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1], class_names=np.array(asked.classes)
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", choices=NETWORKS)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, how in NETWORKS.items():
        if asked.only not in (None, name):
            continue
        images, network = images_of(name, asked.out), how.network
        if not images.exists():
            write_images(asked.images, name, images)
        dataset = load_dataset(f"npz:{images}")
        recipe = full_recipe(how.told, images=len(dataset.train), resolution=32, batch_size=64, epochs=how.epochs)
        train_full(
            network, dataset, recipe, asked.out / name, minutes=how.minutes,
            recorded={"dataset": dataset.name, "dataset_seed": 0},
            on_progress=lambda p: p.step % 300 or print(p.epoch, p.epochs, p.loss, p.accuracy, flush=True),
        )  # fmt: skip
        print(name, f"{network.macs / 1e6:.1f} MMACs", (asked.out / name / "result.json").read_text(), flush=True)


if __name__ == "__main__":
    main()
