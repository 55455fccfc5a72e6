"""Is a searched detector at half the latency as good as MobileNetV2-SSDLite? A row a training; see README.md.

    python bccd.py coco:bccd --run runs/mobiledet-raspberry-pi-4-1 --pick 17 [--minutes 10] [--seeds 3] [--out bccd.csv]

Every network is trained in full for as many minutes, alike but for the seed. Appends to bccd.csv; trainings that are
there already are left out, and one that was stopped goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import nas
from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset, Split
from nas.device.cost import predict
from nas.device.profile import load_device
from nas.files.csv import append_rows, read_appended
from nas.models.trained import TrainedModel
from nas.space.network import Network
from nas.space.search_space import load_space, parse_space
from nas.tasks.detection import Detection
from nas.tasks.precision import AveragePrecision, average_precision
from nas.train.crops import trained_body
from nas.train.full import train_full
from nas.train.full_recipe import full_recipe
from nas.train.loop import evaluate

COLUMNS = (
    "network", "seed", "minutes", "crops", "resolution", "macs_m", "params_m", "latency_ms", "epochs",
    "validation_map", "validation_ap50", "test_map", "test_ap50", "test_ap50_of_classes",
)  # fmt: skip
REFERENCE = """
name = "mobilenet-v2-ssdlite"
title = "SSDLite on MobileNetV2, 320 pixels"
source = "Sandler et al., MobileNetV2, CVPR 2018, https://arxiv.org/abs/1801.04381, section 6.2; heads as of nas"
resolution = 320
stage = [
  { block = "conv", kernel = 3, stride = 2, channels = 32, activation = "relu6" },
  { block = "ds", kernel = 3, channels = 16, activation = "relu6" },
  { block = "mbconv", depth = 2, kernel = 3, expand = 6, channels = 24, stride = 2, activation = "relu6" },
  { block = "mbconv", depth = 3, kernel = 3, expand = 6, channels = 32, stride = 2, activation = "relu6" },
  { block = "mbconv", depth = 4, kernel = 3, expand = 6, channels = 64, stride = 2, activation = "relu6" },
  { block = "mbconv", depth = 3, kernel = 3, expand = 6, channels = 96, activation = "relu6", tap = true },
  { block = "mbconv", depth = 3, kernel = 3, expand = 6, channels = 160, stride = 2, activation = "relu6" },
  { block = "mbconv", kernel = 3, expand = 6, channels = 320, activation = "relu6" },
  { block = "conv", channels = 1280, activation = "relu6", tap = true },
  { block = "mbconv", kernel = 3, expand = 0.2, channels = 512, stride = 2, activation = "relu6", tap = true },
  { block = "mbconv", kernel = 3, expand = 0.25, channels = 256, stride = 2, activation = "relu6", tap = true },
  { block = "mbconv", kernel = 3, expand = 0.5, channels = 256, stride = 2, activation = "relu6", tap = true },
  { block = "mbconv", kernel = 3, expand = 0.25, channels = 64, stride = 2, activation = "relu6", tap = true },
  { block = "ssdlite", depth = 6, kernel = 3, activation = "relu6" },
]
"""
RECIPE = {"optimizer": "adamw", "learning_rate": 0.003, "augmentation": "crop-flip"}
BATCH = 8


def networks(asked: argparse.Namespace, classes: int) -> dict[str, Network]:
    """The reference, and what was picked."""
    space = parse_space(REFERENCE, Path("mobilenet-v2-ssdlite.toml"))
    found = {"MobileNetV2-SSDLite 320": space.network(space.sample(np.random.default_rng(0)), classes)}
    if asked.run:
        run = nas.load_run(asked.run)
        trial = next(t for t in run.trials if t.trial == asked.pick)
        found[f"trial {asked.pick}"] = load_space(run.settings.space).network(trial.candidate, classes)
    return found


def measured(model: TrainedModel, data: Dataset, split: Split) -> AveragePrecision:
    task = Detection(data.classes, model.network)
    evaluate(model.module(), task, split, model.network.input_shape[1])
    return average_precision(*task.found, data.classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--pick", type=int)
    parser.add_argument("--device", default="raspberry-pi-4")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--crops", type=int, default=0, help="epochs that the body is trained on crops first")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("bccd-models"))
    parser.add_argument("--out", type=Path, default=Path("bccd.csv"))
    asked = parser.parse_args()
    data, device = load_dataset(asked.dataset), load_device(asked.device)
    keys = ("network", "seed", "minutes", "crops")
    there = {tuple(row[k] for k in keys) for _, row in read_appended(asked.out, COLUMNS, "bccd.py")}
    for seed in range(asked.seeds):
        for name, network in networks(asked, len(data.classes)).items():
            key = (name, str(seed), f"{asked.minutes:g}", str(asked.crops))
            if key in there:
                continue
            side, place = network.input_shape[1], asked.work / "-".join(key).replace(" ", "_")
            recipe = full_recipe(
                RECIPE, images=len(data.train), resolution=side, batch_size=BATCH, epochs=400, mixup=0.0
            )
            start: Network | TrainedModel = network
            if asked.crops:
                start = trained_body(network, data, Path(f"{place}-body"), epochs=asked.crops, seed=seed)
            model = train_full(start, data, recipe, place, seed=seed, minutes=asked.minutes)
            own, test = measured(model, data, data.validation), measured(model, data, data.test_split())
            cost = predict(device, network, "fp32")
            classes = " ".join(f"{k} {v:.3f}" for k, v in test.at_50_of_classes.items() if v is not None)
            row = (
                *key, side, f"{network.macs / 1e6:.1f}", f"{network.params / 1e6:.2f}", f"{cost.latency_ms:.2f}",
                model.recipe.get("epochs", ""), f"{own.mean:.4f}", f"{own.at_50:.4f}", f"{test.mean:.4f}",
                f"{test.at_50:.4f}", classes,
            )  # fmt: skip
            append_rows(asked.out, COLUMNS, [row])
            print(*row, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
