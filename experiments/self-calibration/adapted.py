"""What networks give after they were adapted to a drift, kept on the disk: see README.md.

    python experiments/self-calibration/adapted.py CIFAR10.npz OUT [NETWORK-PRECISION ...]

OUT is the folder of `networks.py`. OUT/adapted/NETWORK-PRECISION.npz gets scores and labels in each way of adapting and
in none: of the frames that were adapted to (`window`), of as many others under the same drift (`next`), and of
validation images under the shifts that `nas deploy` calibrates on, adapted to themselves (`shifted`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cached import PRECISIONS, SHIFTED, checked_images, images
from networks import NETWORKS
from recovery import MEAN, as_inputs, files_of

from nas.monitor.reference import Ran
from nas.monitor.serve.adapt import EXPOSURE, MOST, SHARES, Folding, NotAdaptable, balanced, table_of
from nas.monitor.shifts import shifts
from nas.runtimes.onnxruntime import OnnxRuntime

DRIFTS = (
    "gaussian-noise", "impulse-noise", "gaussian-blur", "motion-blur", "brightness", "darker", "contrast", "frost",
    "fog", "pixelate",
)  # fmt: skip
STRENGTHS = 3, 5
STRONG = 4, 5  # severities of the shifts
NEXT = 500
WAYS = ("nothing", *map(str, SHARES), EXPOSURE)


def scores_of(model: bytes, inputs: list[np.ndarray]) -> np.ndarray:
    run = OnnxRuntime().session(model)
    return np.concatenate([run(image) for image in inputs])


def brightened(pixels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """As `Exposed` does it, of uint8 (n, r, r, 3)."""
    largest = pixels.max(axis=3, keepdims=True)
    return np.clip(np.rint(pixels * (table[largest] / np.maximum(largest, 1))), 0, 255).astype(np.uint8)


def ways(folding: Folding, parts: list[np.ndarray]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Scores of parts, each uint8 (n, r, r, 3), in every way of adapting to the first."""
    inputs = [as_inputs(part) for part in parts]
    before = scores_of(folding.model, inputs[0])
    yield "nothing", [before, *(scores_of(folding.model, part) for part in inputs[1:])]
    try:
        chosen = balanced(before.argmax(axis=1), before.shape[1])
    except NotAdaptable:
        return
    recent = [inputs[0][i] for i in chosen]
    statistics = folding.statistics(recent)
    for share in SHARES:
        model = folding.folded(*folding.blended(*statistics, share))
        yield str(share), [scores_of(model, part) for part in inputs]
    table = table_of(recent, folding.usual, MEAN, MEAN)
    yield EXPOSURE, [scores_of(folding.model, as_inputs(brightened(part, table))) for part in parts]


def arrays_of(name: str, source: Path, out: Path) -> dict[str, np.ndarray]:
    network, precision = name.split("-")
    folding, found, made = files_of(out / network)[0][precision], images(source, out, network), {}
    pixels, labels = found["validation"]
    rng = np.random.default_rng(3)
    for family, shift in shifts().items():
        for severity in STRONG:
            drawn = rng.permutation(len(pixels))[:SHIFTED]
            changed = shift(pixels[drawn], severity, 0)
            for way, (scores,) in ways(folding, [changed]):
                made[f"shifted/{family}/{severity}/{way}:scores"] = scores
            made[f"shifted/{family}/{severity}:labels"] = labels[drawn]
    pixels, labels = found["clean"]
    for drift in DRIFTS:
        for severity in STRENGTHS:
            drawn = rng.permutation(len(pixels))[: MOST + NEXT]
            changed = checked_images(pixels[drawn], drift, severity)
            parts = [changed[:MOST], changed[MOST:]]
            for way, given in ways(folding, parts):
                for part, scores in zip(("window", "next"), given, strict=True):
                    made[f"{part}/{drift}/{severity}/{way}:scores"] = scores
            for part, own in (("window", drawn[:MOST]), ("next", drawn[MOST:])):
                made[f"{part}/{drift}/{severity}:labels"] = labels[own]
    return made


def load(out: Path, name: str) -> dict[tuple[str, str, int, str], Ran]:
    """By part, drift, severity and way."""
    with np.load(out / "adapted" / f"{name}.npz") as file:
        found = {}
        for key in file.files:
            if key.endswith(":scores"):
                part, drift, severity, way = key[: -len(":scores")].split("/")
                found[part, drift, int(severity), way] = Ran(file[key], None, file[f"{part}/{drift}/{severity}:labels"])
        return found


def report(runs: dict[tuple[str, str, int, str], Ran]) -> None:
    """Prints what each way of adapting loses against the best of them on the frames after the window, over drifts."""
    right = {key: float((ran.scores.argmax(1) == ran.labels).mean()) for key, ran in runs.items() if key[0] == "next"}
    drifts = sorted({key[1:3] for key in right})
    for way in sorted({key[3] for key in right}):
        lost = [
            100 * (max(v for k, v in right.items() if k[1:3] == drift) - right["next", *drift, way]) for drift in drifts
        ]
        print(
            f"always {way}: loses {np.mean(lost):.1f} points on average of {len(lost)} drifts, {max(lost):.1f} at most"
        )


def main() -> None:
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    (out / "adapted").mkdir(exist_ok=True)
    for name in sys.argv[3:] or [f"{n}-{p}" for n in NETWORKS for p in PRECISIONS]:
        np.savez(out / "adapted" / f"{name}.npz", **arrays_of(name, source, out))
        print(name, flush=True)
        report(load(out, name))


if __name__ == "__main__":
    main()
