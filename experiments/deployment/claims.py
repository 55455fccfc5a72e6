"""What compression gives a network that a search picked, beside MobileNetV2 at equal settings. See README.md.

    python claims.py npz:cifar10_small.npz [--device raspberry-pi-4] [--search 4m] [--epochs 6] [--seeds 3] [--out .]

Equal settings: images, splits, recipe and epochs of the training, calibration images, one thread, batch 1. Accuracies
are those of the exported files on all test images. claims.csv has a row a file, costs.csv what a file takes: all files
of a network in turn in one process. A killed run goes on: trainings from their last state, rows that are there stay.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nas.compress.prune import Prune
from nas.compress.qat import Qat
from nas.compress.quantize import calibration_images
from nas.compress.step import Given
from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.deploy.accuracy import accuracy_of
from nas.deploy.compress import kept
from nas.deploy.predicted import predicted_for
from nas.device.cost import predict
from nas.device.profile import DeviceProfile, load_device
from nas.errors import UserError
from nas.files.csv import append_rows, read_appended
from nas.models.builder import build
from nas.models.int8 import Int8
from nas.models.trained import Preprocessing, TrainedModel
from nas.profiling.agent.deployed import time_networks
from nas.report.pick import choose
from nas.run import load_run
from nas.runtimes.images import network_inputs
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import Session
from nas.search.api import search
from nas.space.candidate import Candidate, Value
from nas.space.layer import Precision
from nas.space.network import Network
from nas.space.onnx.file import image_of
from nas.space.search_space import SearchSpace, load_space
from nas.train.full import train_full
from nas.train.full_recipe import full_recipe

CPU = torch.device("cpu")
REFERENCE, PICKED = "MobileNetV2 1.0", "picked"
BATCH, RATE = 64, 0.1  # of SGD, for every network
SHARE = 0.40  # of the reference's latency in fp32 that the search's network may have
PRUNED = 0.4  # of the predicted latency that is pruned away
SETTINGS = {"seconds": 20.0, "least_rounds": 100, "most_rounds": 2000}
ROWS = ("network", "form", "seed", "macs_m", "params_k", "test", "low", "high", "mb", "predicted_ms")
COSTS = ("network", "form", "mb", "memory_mb", "cpu_ms", "of_fp32", "p50_ms", "p90_ms", "p99_ms", "runs")
MEMORY = """
import sys, numpy, onnxruntime
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
before = resident()
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
entry = session.get_inputs()[0]
image = numpy.zeros([d if isinstance(d, int) else 1 for d in entry.shape], numpy.float32)
for _ in range(6): session.run(None, {entry.name: image})
print(resident() - before)
"""  # megabytes that a process grows by


Change = Callable[[TrainedModel, Given], TrainedModel]


@dataclass(frozen=True)
class Form:
    """One way of writing a model's file; `change` is done to the model before, and trains it on: `changed` names it."""

    name: str
    precision: Precision
    int8: Int8 | None = None
    changed: str = ""
    change: Change | None = None


def forms(network: str, epochs: int) -> list[Form]:
    """Of the reference those that need no training; fine-tunings have a quarter of the training's epochs."""
    few = max(1, epochs // 4)
    plain = [
        Form("fp32", "fp32"), Form("fp16", "fp16"), Form("int8", "int8", Int8()),
        Form("int8 dynamic: linear layers alone", "int8", Int8("dynamic")),
    ]  # fmt: skip
    if network != PICKED:
        return plain
    prune, qat, control = Prune(PRUNED, few, "int8"), Qat(few), Qat(few, taught=False, rounding="none")
    return [
        *plain,
        Form("int8 after QAT", "int8", Int8(), "qat", qat.train),
        Form("fp32, trained on as long as QAT", "fp32", None, "control", control.train),
        Form("int8, trained on as long as QAT", "int8", Int8(), "control", control.train),
        Form("pruned, fp32", "fp32", None, "pruned", prune.apply),
        Form("pruned, int8", "int8", Int8(), "pruned", prune.apply),
    ]


def reference(resolution: int) -> Network:
    """MobileNetV2 1.0: expansion 6, kernel 3, as many blocks as in the paper."""
    space = load_space("mobilenet-v2")
    space = SearchSpace(space.table.model_copy(update={"resolution": [resolution]}), space.fingerprint, space.text)
    depths = {"stage2": 2, "stage3": 3, "stage4": 4, "stage5": 3, "stage6": 3}
    values: dict[str, Value] = {c.name: c.options[0] if c.options else c.low for c in space.choices}
    for name in values:
        stage, _, rest = name.partition(".")
        if rest:
            values[name] = depths[stage] if rest == "depth" else 3 if rest.endswith("kernel") else 6
    return space.network(Candidate.of(values | {"resolution": resolution, "width": 1.0, "precision": "fp32"}), 10)


def graph(model: TrainedModel, form: Form, data: Dataset) -> bytes:
    return OnnxRuntime().variants(model, calibration_images(data)).graph(form.precision, form.int8).SerializeToString()


def untrained(network: Network, data: Dataset) -> TrainedModel:
    """Random weights: size, memory and time do not depend on them."""
    prepared = Preprocessing(network.input_shape[1], data.train.images.side)
    return TrainedModel(network, build(network, seed=0).state_dict(), "classification", data.classes, prepared)


def costs(network: str, files: Mapping[str, Path], out: Path) -> None:
    """What each file takes on this machine. Times are of one thread: what it computes (cpu_ms) does not depend on other
    programs, what passes (p50_ms and so on) does; of_fp32 is the ratio of the former to that of the file called fp32.
    """
    networks = {("1", name): _Timed(OnnxRuntime().session(path.read_bytes())) for name, path in files.items()}
    found = time_networks(networks, {("1", name): [_image(path)] for name, path in files.items()}, SETTINGS)
    for name, path in files.items():
        grown = sorted(
            float(subprocess.run([sys.executable, "-c", MEMORY, path], capture_output=True, check=True).stdout)
            for _ in range(5)
        )[2]
        t = found["1", name]
        of_fp32 = t["cpu_ms"] / found["1", "fp32"]["cpu_ms"]
        append_rows(out, COSTS, [(
            network, name, f"{path.stat().st_size / 1e6:.4f}", f"{grown:.2f}", f"{t['cpu_ms']:.4g}", f"{of_fp32:.3f}",
            *(f"{t[k]:.4g}" for k in ("p50_ms", "p90_ms", "p99_ms")), t["runs"],
        )])  # fmt: skip


class _Timed:
    """A network as the agent times it."""

    def __init__(self, session: Session) -> None:
        self.scores = session


def _image(path: Path) -> np.ndarray:
    shape, _ = image_of(path)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("--device", default="raspberry-pi-4")
    parser.add_argument("--search", default="4m")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--resolution", type=int, default=48, help="of the reference")
    parser.add_argument("--out", type=Path, default=Path())
    asked = parser.parse_args()
    data, profile = load_dataset(asked.dataset), load_device(asked.device)
    rows, taken = asked.out / "claims.csv", asked.out / "costs.csv"
    place = Path("claims")
    place.mkdir(exist_ok=True)

    large = f"{REFERENCE} at 224"
    if not written(taken, COSTS, large):
        costs(large, files_of(untrained(reference(224), data), forms(large, 1), data, place), taken)

    known = reference(asked.resolution)
    limit = SHARE * latency(profile, known, "fp32")
    run = place / "run"
    if (run / "pareto.csv").exists():
        found = load_run(run)
    else:
        found = search(
            asked.device, "tiny", asked.dataset, time=asked.search, budgets={"max_latency_ms": limit}, out=run
        )
    trial = choose(found, {"max_latency_ms": limit}).trial
    picked = load_space("tiny").network(trial.candidate, 10)
    print(f"{REFERENCE}: {latency(profile, known, 'fp32'):.3g} ms predicted; budget {limit:.3g} ms; trial "
          f"{trial.trial}: {trial.costs.latency_ms:.3g} ms in {trial.candidate.precision}", flush=True)  # fmt: skip

    timed: dict[str, Path] = {}
    for seed in range(asked.seeds):
        for name, network in ((REFERENCE, known), (PICKED, picked)):
            recipe = full_recipe(
                {"optimizer": "sgd", "learning_rate": RATE, "augmentation": "crop-flip"}, images=len(data.train),
                epochs=asked.epochs, batch_size=BATCH, resolution=network.input_shape[1],
            )  # fmt: skip
            model = train_full(network, data, recipe, place / f"{name}-{seed}", seed=seed, device=CPU)
            for form in forms(name, asked.epochs):
                there = written(rows, ROWS, name, form.name, str(seed))
                if there and seed:
                    continue
                made = model
                if form.change is not None:
                    try:
                        made = changed(model, form, data, seed, profile, place, f"{name}-{seed}")
                    except UserError as error:  # too small to prune: that is a finding
                        print(f"{form.name}: {error}", flush=True)
                        continue
                file = place / f"{name}-{form.name}-{seed}.onnx".replace(" ", "-").replace(":", "").replace(",", "")
                file.write_bytes(graph(made, form, data))
                if seed == 0:
                    timed[form.name if name == REFERENCE else f"{PICKED}, {form.name}"] = file
                if not there:
                    append_rows(rows, ROWS, [row(name, form, seed, made, file, data, profile)])
                    print(rows.read_text().splitlines()[-1], flush=True)
        if seed == 0 and not written(taken, COSTS, REFERENCE):
            costs(REFERENCE, timed, taken)


def files_of(model: TrainedModel, some: Sequence[Form], data: Dataset, place: Path) -> dict[str, Path]:
    found = {}
    for number, form in enumerate(some):
        found[form.name] = place / f"large-{number}.onnx"
        found[form.name].write_bytes(graph(model, form, data))
    return found


def changed(
    model: TrainedModel, form: Form, data: Dataset, seed: int, profile: DeviceProfile, place: Path, name: str
) -> TrainedModel:
    """What a step makes of a model, once."""
    folder = place / f"{name}-{form.changed}"
    folder.mkdir(exist_ok=True)
    given = Given(data, seed, folder, profile, lambda line: print(line, flush=True))
    change = form.change
    assert change is not None
    return kept(folder / "model", lambda: change(model, given))


def row(
    name: str, form: Form, seed: int, model: TrainedModel, file: Path, data: Dataset, profile: DeviceProfile
) -> tuple[object, ...]:
    """Accuracy of a file on all test images, its size, and what the profile predicts."""
    session, test = OnnxRuntime().session(file.read_bytes(), 2), data.test_split()
    answers = [int(session(image).argmax()) for image in network_inputs(model.preprocessing, test)]
    reached = accuracy_of((np.array(answers) == test.labels.numpy()).tolist())
    precision: Precision = "fp32" if form.name.startswith("int8 dynamic") else form.precision
    predicted = predicted_for(profile, model.network, precision)
    ms = predicted.latency_ms if predicted and form.precision != "fp16" else None
    return (
        name, form.name, seed, f"{model.network.macs / 1e6:.2f}", f"{model.network.params / 1e3:.1f}",
        *(f"{x:.4f}" for x in (reached.value, reached.low, reached.high, file.stat().st_size / 1e6)),
        "" if ms is None else f"{ms:.4g}",
    )  # fmt: skip


def latency(profile: DeviceProfile, network: Network, precision: Precision) -> float:
    found = predict(profile, network, precision).latency_ms
    assert found is not None
    return found


def written(path: Path, columns: Sequence[str], *key: str) -> bool:
    """Whether a row that begins so is in the file."""
    rows = read_appended(path, columns, "claims.py") if path.exists() else []
    return any(tuple(row[c] for c in columns[: len(key)]) == key for _, row in rows)


if __name__ == "__main__":
    main()
