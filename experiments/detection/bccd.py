"""Is a searched detector at half the latency as good as MobileNetV2-SSDLite? A row a training; see README.md.

    python bccd.py coco:bccd --run runs/mobiledet-raspberry-pi-4-1 --pick 17 [--minutes 10] [--seeds 3] [--out bccd.csv]

Every network is trained in full for as many minutes of one core, alike but for the seed: the first training times a
few steps and the look at the validation pictures by the process's own time, and the epochs that fit hold for all seeds.
Appends to bccd.csv; trainings that are there already are left out, and one that was stopped goes on. `--only` trains
some of the networks, so that several processes can share the work. compare.py reads the trained models.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
import torch

import nas
from nas.data.boxes import Detections
from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset, Split
from nas.device.cost import predict
from nas.device.profile import load_device
from nas.files.csv import append_rows, read_appended
from nas.models.builder import build
from nas.models.trained import TrainedModel
from nas.run.average_precision import AveragePrecision
from nas.space.network import Network
from nas.space.search_space import load_space, parse_space
from nas.tasks.detection import Detection
from nas.tasks.precision import Truth, average_precision
from nas.train.crops import trained_body
from nas.train.full import train_full
from nas.train.full_folder import read_begun
from nas.train.full_recipe import FullRecipe, full_recipe
from nas.train.loop import evaluate
from nas.train.training import Lesson, Training, begin, train_on

COLUMNS = (
    "network", "seed", "minutes", "crops", "resolution", "macs_m", "params_m", "latency_ms", "epochs",
    "validation_map", "validation_ap50", "test_map", "test_ap50", "validation_ap50_of_classes", "test_ap50_of_classes",
)  # fmt: skip
REFERENCE = """
name = "mobilenet-v2-ssdlite"
title = "SSDLite on MobileNetV2"
source = "Sandler et al., MobileNetV2, CVPR 2018, https://arxiv.org/abs/1801.04381, section 6.2; heads as of nas"
resolution = RESOLUTION
width = WIDTH
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
SCALED = ((320, 1.0), (224, 1.0), (320, 0.5))  # pixels and width: the reference, and what halves its latency
RECIPE = {"optimizer": "adamw", "learning_rate": 0.01, "augmentation": "crop-flip"}
BATCH = 8
TIMED_STEPS = 4  # of which the first warms up


def networks(asked: argparse.Namespace, classes: int) -> dict[str, Network]:
    """The reference, the reference made smaller, and what was picked."""
    found = {}
    for resolution, width in SCALED:
        table = REFERENCE.replace("RESOLUTION", str(resolution)).replace("WIDTH", str(width))
        space = parse_space(table, Path("mobilenet-v2-ssdlite.toml"))
        name = f"MobileNetV2-SSDLite {resolution}" + (f" x{width:g}" if width != 1 else "")
        found[name] = space.network(space.sample(np.random.default_rng(0)), classes)
    if asked.run:
        run = nas.load_run(asked.run)
        trial = next(t for t in run.trials if t.trial == asked.pick)
        found[f"trial {asked.pick}"] = load_space(run.settings.space).network(trial.candidate, classes)
    return {name: network for name, network in found.items() if not asked.only or name in asked.only}


def epochs_within(minutes: float, network: Network, data: Dataset, recipe: FullRecipe) -> int:
    """How many epochs, each with the look at the validation pictures after it, take so many minutes of one core."""
    task, device = Detection(data.classes, network), torch.device("cpu")
    state, times = begin(build(network), recipe, data.train, device), [process_time()]

    def on_step(_: Training) -> bool:
        times.append(process_time())
        return len(times) > TIMED_STEPS

    train_on(state, Lesson(task, data.train, data.validation, data.flip, 0, device), on_step)
    step = min(np.diff(times)[1:])
    start = process_time()
    evaluate(state.average, task, data.validation, recipe.resolution)
    return max(1, round(60 * minutes / (state.batches * step + process_time() - start)))


def found_by(model: TrainedModel, data: Dataset, split: Split) -> tuple[list[Detections], list[Truth]]:
    """What a model finds in every picture of a split, and what is there."""
    task = Detection(data.classes, model.network)
    evaluate(model.module(), task, split, model.network.input_shape[1])
    return task.found


def measured(model: TrainedModel, data: Dataset, split: Split) -> AveragePrecision:
    return average_precision(*found_by(model, data, split), data.classes)


def classes_text(classes: Sequence[str], values: Sequence[float | None]) -> str:
    named = zip(classes, values, strict=True)
    return " ".join(f"{name} {value:.3f}" for name, value in named if value is not None)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--pick", type=int)
    parser.add_argument("--device", default="raspberry-pi-4")
    parser.add_argument("--minutes", type=float, default=10.0, help="of one core, for each training")
    parser.add_argument("--crops", type=int, default=0, help="epochs that the body is trained on crops first")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="networks by their names in the csv")
    parser.add_argument("--work", type=Path, default=Path("bccd-models"))
    parser.add_argument("--out", type=Path, default=Path("bccd.csv"))
    return parser


def main() -> None:
    asked = arguments().parse_args()
    torch.set_num_threads(1)
    data, device = load_dataset(asked.dataset), load_device(asked.device)
    keys = ("network", "seed", "minutes", "crops")
    there = {tuple(row[k] for k in keys): row for _, row in read_appended(asked.out, COLUMNS, "bccd.py")}
    epochs = {
        row["network"]: int(row["epochs"]) for key, row in there.items() if key[2:] == (f"{asked.minutes:g}", "0")
    }
    for seed in range(asked.seeds):
        for name, network in networks(asked, len(data.classes)).items():
            key = (name, str(seed), f"{asked.minutes:g}", str(asked.crops))
            if key in there:
                continue
            side, place = network.input_shape[1], asked.work / "-".join(key).replace(" ", "_")
            usual = {"images": len(data.train), "resolution": side, "batch_size": BATCH, "mixup": 0.0}
            minutes, start = asked.minutes, network
            if asked.crops:
                before = process_time()
                start = trained_body(network, data, Path(f"{place}-body"), epochs=asked.crops, seed=seed)
                minutes -= (process_time() - before) / 60
            if begun := read_begun(place):
                epochs[name] = begun.recipe.epochs
            elif name not in epochs or asked.crops:
                epochs[name] = epochs_within(minutes, network, data, full_recipe(RECIPE, epochs=2, **usual))
            model = train_full(start, data, full_recipe(RECIPE, epochs=epochs[name], **usual), place, seed=seed)
            own, test = measured(model, data, data.validation), measured(model, data, data.test_split())
            cost = predict(device, network, "fp32")
            row = (
                *key, side, f"{network.macs / 1e6:.1f}", f"{network.params / 1e6:.2f}", f"{cost.latency_ms:.2f}",
                epochs[name], f"{own.mean:.4f}", f"{own.at_50:.4f}", f"{test.mean:.4f}", f"{test.at_50:.4f}",
                classes_text(data.classes, own.at_50_of_classes), classes_text(data.classes, test.at_50_of_classes),
            )  # fmt: skip
            append_rows(asked.out, COLUMNS, [row])
            print(*row, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
