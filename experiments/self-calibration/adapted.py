"""What networks give after they were adapted to a drift, kept on the disk: see README.md.

    python experiments/self-calibration/adapted.py CIFAR10.npz OUT [NETWORK-PRECISION ...]

OUT is the folder of `networks.py`. OUT/adapted/NETWORK-PRECISION.npz gets scores and labels in each way of adapting and
in none: of the frames that were adapted to (`window`), of as many others under the same drift (`next`), and of
validation images under the shifts that `nas deploy` calibrates on, adapted to themselves (`shifted`). Then what each
way loses is printed, and how far the estimates of the accuracy are off, of which none has seen a drift of the kind;
--report prints it again of what is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cached import PRECISIONS, SHIFTED, checked_images, images
from cached import load as load_cached
from detectors import LEFT_OUT
from networks import NETWORKS
from recovery import MEAN, as_inputs, files_of

from nas.monitor.estimates import accuracy_reference
from nas.monitor.ran import Ran
from nas.monitor.serve.accuracy import Estimator
from nas.monitor.serve.adapt import EXPOSURE, LEAST_GAIN, MOST, SHARES, Folding, NotAdaptable, balanced, table_of
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


Runs = dict[tuple[str, str, int, str], Ran]  # as `load` gives them
OWN, DEPLOYED = "the regression of adapted networks", "that of the deployed network for all"


def estimator_of(cached: dict[str, Ran], runs: Runs, left_out: tuple[str, ...]) -> Estimator:
    """As deployed, but that it has not seen some families of shifts."""
    shifted = [
        (part.split("/")[1], int(part.split("/")[2]), ran)
        for part, ran in cached.items()
        if part.startswith("shifted/") and part.split("/")[1] not in left_out
    ]
    adapted = [
        (family, severity, ran)
        for (part, family, severity, way), ran in runs.items()
        if part == "shifted" and severity == max(STRONG) and way in map(str, SHARES) and family not in left_out
    ]
    clean = cached["validation"]
    return Estimator(accuracy_reference(clean, shifted, clean.scores.shape[1], None, None, adapted=adapted))


def said_by(cached: dict[str, Ran], runs: Runs, own: bool) -> dict[tuple[str, str, int, str], float]:
    """The accuracy that is estimated of every window and of what followed it, in each way of adapting."""
    found = {}
    for drift in DRIFTS:
        estimator = estimator_of(cached, runs, LEFT_OUT[drift])
        for key, ran in runs.items():
            if key[0] != "shifted" and key[1] == drift:
                adapted = own and key[3] in map(str, SHARES)
                frames = estimator.frames(ran.scores, None)
                found[key] = estimator.estimate(frames, mixed=True, adapted=adapted).accuracy
    return found


def report(runs: Runs, cached: dict[str, Ran]) -> None:
    """Prints what is lost against the best way on the frames after the window, over drifts: by each way, and by the one
    that an estimate prefers on the window, as a board does. And how far the estimates are off.
    """
    right = {key: float((ran.predicted == ran.labels).mean()) for key, ran in runs.items() if key[0] != "shifted"}
    drifts = sorted({key[1:3] for key in right})

    def lost(words: str, choice: Callable[[tuple[str, int]], str]) -> None:
        gone = []
        for drift in drifts:
            reached = {k[3]: v for k, v in right.items() if k[0] == "next" and k[1:3] == drift}
            gone.append(100 * (max(reached.values()) - reached.get(choice(drift), reached["nothing"])))
        print(f"{words}: loses {np.mean(gone):.1f} points on average of {len(gone)} drifts, {max(gone):.1f} at most")

    for way in WAYS:
        lost(f"always {way}", lambda drift, way=way: way)  # type: ignore[misc]
    for words, own in ((OWN, True), (DEPLOYED, False)):
        said = said_by(cached, runs, own)

        def preferred(drift: tuple[str, int], said: dict[tuple[str, str, int, str], float] = said) -> str:
            here = {k[3]: v for k, v in said.items() if k[0] == "window" and k[1:3] == drift}
            best = max((way for way in here if way != "nothing"), key=lambda way: here[way], default="nothing")
            return best if here[best] >= here["nothing"] + LEAST_GAIN else "nothing"

        lost(f"preferred by {words}", preferred)
        for way in WAYS:
            errors = [100 * (said[key] - right[key]) for key in right if key[0] == "next" and key[3] == way]
            print(
                f"  after {way} it is {np.mean(errors):+.1f} points off on average, within "
                f"{np.quantile(np.abs(errors), 0.95):.1f} in 95% of {len(errors)}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="CIFAR10.npz")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("networks", nargs="*", metavar="NETWORK-PRECISION")
    given = parser.parse_intermixed_args()
    (given.out / "adapted").mkdir(exist_ok=True)
    for name in given.networks or [f"{n}-{p}" for n in NETWORKS for p in PRECISIONS]:
        if not given.report:
            np.savez(given.out / "adapted" / f"{name}.npz", **arrays_of(name, given.source, given.out))
        print(name, flush=True)
        report(load(given.out, name), load_cached(given.out, name))


if __name__ == "__main__":
    main()
