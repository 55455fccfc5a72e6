"""Does quantization-aware training give back what int8 loses? PTQ, QAT, and a control trained as long. See README.md.

    python qat.py npz:cifar10_small.npz [tiny mobilenet-v3:0.5] [--epochs 8] [--tuned 2] [--seeds 3] [--torchao]

One random candidate of each space (by seed 0; with `:0.5` its width), at 32 pixels. A seed draws the weights, and the
order of all trainings. Accuracies are of files in ONNX Runtime, on all images that no training saw; each drop is of the
same images against fp32 before any further training. Rows that are in the CSV already are not made again. One thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
import torch
from quantization import network_of, trained

from nas.compress.drop import answers, drop_of
from nas.compress.qat import Qat
from nas.compress.quantize import calibration_images
from nas.compress.step import Given
from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.files.csv import append_rows, read_appended
from nas.models.int8 import Int8
from nas.models.trained import TrainedModel
from nas.runtimes.images import network_inputs
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.space.layer import Precision

COLUMNS = ("space", "macs_m", "seed", "form", "epochs", "images", "accuracy", "drop", "low", "high", "cpu_s")
PIXELS = 32
ARMS = {  # how the weights are trained on; None: not at all
    "fp32": None, "PTQ": None, "control, fp32": Qat(rounding="none"),
    "control, PTQ": Qat(rounding="none"), "QAT": Qat(), "QAT, taught": Qat(taught=True),
}  # fmt: skip
TORCHAO = "QAT by torchao"


def given_by(model: TrainedModel, data: Dataset, precision: Precision) -> np.ndarray:
    """The classes that the file gives the validation and test images, int (n,)."""
    variants = OnnxRuntime().variants(model, calibration_images(data))
    graph = variants.graph(precision, Int8() if precision == "int8" else None)
    images = (network_inputs(model.preprocessing, split) for split in (data.validation, data.test_split()))
    return answers(variants.runtime.session(graph.SerializeToString()), chain.from_iterable(images))


def rows_of(
    space: str, data: Dataset, seed: int, epochs: int, tuned: int, forms: list[str]
) -> Iterator[tuple[object, ...]]:
    """The rows of a space and a seed for these forms."""
    name, _, width = space.partition(":")
    network = network_of(name, PIXELS, 0, float(width) if width else None)
    labels = torch.cat([data.validation.labels, data.test_split().labels]).numpy()
    model = trained(network, data, epochs, seed)
    before = given_by(model, data, "fp32")
    made: dict[Qat | None, TrainedModel] = {None: model}
    for form in forms:
        begun, arm = process_time(), ARMS.get(form)
        if form == TORCHAO:
            from torchao_qat import trained_by_torchao

            arm = Qat()
            made[arm] = trained_by_torchao(model, data, seed, tuned)
        elif arm not in made and arm is not None:
            with TemporaryDirectory() as folder:
                asked = Qat(tuned, taught=arm.taught, rounding=arm.rounding)
                made[arm] = asked.train(model, Given(data, seed, Path(folder), on_progress=print))
        now = before if form == "fp32" else given_by(made[arm], data, "fp32" if "fp32" in form else "int8")
        drop = drop_of(labels, before, now)
        low, high = drop.interval
        yield (
            space, f"{network.macs / 1e6:.2f}", seed, form, tuned if arm else 0, drop.images,
            f"{(now == labels).mean():.4f}", f"{drop.value:.4f}", f"{low:.4f}", f"{high:.4f}",
            round(process_time() - begun),
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("spaces", nargs="*", default=["tiny", "mobilenet-v3:0.5"])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--tuned", type=int, default=2, help="epochs of QAT and of the control")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--torchao", action="store_true", help="QAT by torchao too")
    parser.add_argument("--out", type=Path, default=Path("qat.csv"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data, forms = load_dataset(asked.dataset), [*ARMS, *([TORCHAO] if asked.torchao else [])]

    def written() -> list[dict[str, str]]:
        return [dict(row) for _, row in read_appended(asked.out, COLUMNS, "qat.py")]

    for seed in range(asked.seeds):
        for space in asked.spaces:
            known = {row["form"] for row in written() if (row["space"], row["seed"]) == (space, str(seed))}
            missing = [form for form in forms if form not in known]
            if not missing:
                continue
            for row in rows_of(space, data, seed, asked.epochs, asked.tuned, missing):
                append_rows(asked.out, COLUMNS, [row])
                print(*row, sep=" | ", flush=True)
    for space in asked.spaces:
        for form in forms:
            drops = [100 * float(r["drop"]) for r in written() if (r["space"], r["form"]) == (space, form)]
            error = stdev(drops) / len(drops) ** 0.5 if len(drops) > 1 else float("nan")
            print(f"{space}, {form}: loses {fmean(drops):.2f} ±{error:.2f} points over {len(drops)} seeds")


if __name__ == "__main__":
    main()
