"""Detectors of drift and estimates of accuracy, ours beside others: false alarms, delays, and errors. See README.md.

    python experiments/self-calibration/detectors.py CIFAR10.npz OUT [--only accuracy] [NETWORK-PRECISION ...]

OUT is the folder of `networks.py` and `cached.py`. Appends to rates.csv, delays.csv and accuracy.csv beside this file,
a network at a time, or to one of them; tables.py prints what README.md has of them.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from cached import CHECKED, CHECKS, PRECISIONS, checked_at, checked_images, images, load
from networks import NETWORKS
from scipy.optimize import linear_sum_assignment
from scipy.stats import ks_2samp

from nas.monitor.ran import Ran
from nas.monitor.reference import reference_of
from nas.monitor.serve.accuracy import Estimator, softmax
from nas.monitor.serve.charts import BURN_IN, GROUP
from nas.monitor.serve.picture import NAMES, Pictures
from nas.monitor.serve.watch import Watch, coordinates_of, distance_of, part_of

HERE = Path(__file__).parent
SEEDS = range(5)
BURNT = BURN_IN * GROUP
FRAMES = {"independent": 12_000, "runs of 50": 12_000, "a third of the classes": 6_000}  # the burn-in included
CHANGE, LONGEST = 1000, 1000  # clean frames between the burn-in and a change, and frames that an alarm has time for
WINDOW = 500
BLURS = ("gaussian-blur", "defocus-blur", "shake")
LEFT_OUT = {  # what the reference may not have seen, for each corruption that is checked
    "gaussian-noise": ("gaussian-noise", "specks", "dusk"), "impulse-noise": ("gaussian-noise", "specks", "dusk"),
    "gaussian-blur": BLURS, "defocus-blur": BLURS, "motion-blur": BLURS, "brightness": ("brightness",),
    "contrast": ("contrast", "haze"), "fog": ("contrast", "haze"), "jpeg": ("jpeg",), "webp": ("jpeg",),
    "pixelate": ("pixelate",), "frost": ("rime",), "color-cast": ("warm", "cool"), "darker": ("dusk",), "clean": (),
}  # fmt: skip
GRADIENT = NAMES.index("gradient across")
Alarms = Callable[[], Callable[[int], bool]]


class Data:
    """One network in one precision: what it gave for every part, and the pictures themselves."""

    def __init__(self, out: Path, name: str, found: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        self.parts, self.validation = load(out, name), found["validation"][0]
        self.pixels, self.labels = found["clean"]
        self.classes = self.parts["validation"].scores.shape[1]
        self.references: dict[tuple[str, ...], dict[str, np.ndarray]] = {}

    def reference(self, left_out: tuple[str, ...]) -> dict[str, np.ndarray]:
        if left_out not in self.references:
            shifted = [
                (family, int(severity), ran)
                for part, ran in self.parts.items()
                for kind, _, rest in [part.partition("/")]
                for family, _, severity in [rest.partition("/")]
                if kind == "shifted" and family not in left_out
            ]
            self.references[left_out] = reference_of(self.validation, self.parts["validation"], shifted, self.classes)
        return self.references[left_out]


def stream(kind: str, labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Which images come, one after the other."""
    if kind == "independent":
        return np.concatenate([rng.permutation(len(labels)) for _ in range(-(-count // len(labels)))])[:count]
    classes = int(labels.max()) + 1
    if kind == "runs of 50":
        of = [np.flatnonzero(labels == c) for c in range(classes)]
        return np.concatenate([rng.choice(of[c], 50) for c in rng.integers(0, classes, -(-count // 50))])[:count]
    some = np.flatnonzero(np.isin(labels, rng.choice(classes, max(2, classes // 3), replace=False)))
    return rng.choice(some, count)


def detectors(data: Data) -> dict[str, Callable[[], Callable[[Ran, np.ndarray, np.ndarray, int], list[str]]]]:
    """Makers of what is asked after every frame; each gives the names of the charts that alarm."""
    from river.drift import ADWIN, PageHinkley

    def of_river(make: Callable[[], object], value: Callable[[Ran, np.ndarray, int], float], name: str):
        def made():
            detector = make()

            def asked(ran: Ran, pixels: np.ndarray, statistics: np.ndarray, n: int) -> list[str]:
                detector.update(value(ran, statistics, n))
                return [name] if detector.drift_detected else []

            return asked

        return made

    confidence = lambda ran, statistics, n: float(softmax(ran.scores[n : n + 1]).max())  # noqa: E731
    gradient = lambda ran, statistics, n: float(statistics[n, GRADIENT])  # noqa: E731
    usual = softmax(data.parts["validation"].scores)

    def shifts_of_scores():
        """BBSD (Rabanser et al., NeurIPS 2019): Kolmogorov-Smirnov on each class's probability, windows of 200."""
        last: list[np.ndarray] = []

        def asked(ran: Ran, pixels: np.ndarray, statistics: np.ndarray, n: int) -> list[str]:
            last.append(softmax(ran.scores[n : n + 1])[0])
            del last[:-200]
            if len(last) < 200 or n % 50:
                return []
            now = np.array(last)
            least = min(ks_2samp(now[:, c], usual[:, c], method="asymp").pvalue for c in range(data.classes))
            return ["KS on scores"] if least < 1e-4 / data.classes else []

        return asked

    found = {}
    for words, value in (("confidence", confidence), ("gradient", gradient)):
        found[f"ADWIN on {words}"] = of_river(ADWIN, value, f"ADWIN on {words}")
        found[f"Page-Hinkley on {words}"] = of_river(PageHinkley, value, f"Page-Hinkley on {words}")
    return found | {"KS on scores": shifts_of_scores}


def ours(watch: Watch) -> Callable[[Ran, np.ndarray, np.ndarray, int], list[str]]:
    def asked(ran: Ran, pixels: np.ndarray, statistics: np.ndarray, n: int) -> list[str]:
        events = watch.observe(pixels[n], ran.scores[n], ran.features[n], 1.0)
        return [event["chart"] for event in events if event["kind"] == "alarm"]

    return asked


def statistics_of(pixels: np.ndarray) -> np.ndarray:
    seen = Pictures(32, 32)
    return np.concatenate([seen.statistics(pixels[n : n + 64]) for n in range(0, len(pixels), 64)])


def rates(data: Data, statistics: np.ndarray) -> Iterator[list[object]]:
    """False alarms after the burn-in, of which there are one for each alarm and hold-off."""
    clean = data.parts["clean"]
    for kind, frames in FRAMES.items():
        for seed in SEEDS:
            order = stream(kind, data.labels, frames, np.random.default_rng([seed, 1]))
            watch = Watch(data.reference(()))
            asked = {"ours": ours(watch), **{name: make() for name, make in detectors(data).items()}}
            counts: dict[str, int] = dict.fromkeys(("picture", "features", "accuracy", *list(asked)[1:]), 0)
            held = dict.fromkeys(counts, 0)
            for at, n in enumerate(order):
                for ask in asked.values():
                    for name in ask(clean, data.pixels, statistics, int(n)):
                        if at >= BURNT and at >= held[name] and name in counts:
                            counts[name] += 1
                            held[name] = at + 100
            for name, count in counts.items():
                yield [kind, seed, name, count, frames - BURNT]


def delays(data: Data, statistics: np.ndarray) -> Iterator[list[object]]:
    """Frames from a change to the alarm, after a burn-in and clean frames, all independent; LONGEST: missed."""
    clean = data.parts["clean"]
    for check in LEFT_OUT:
        if check == "clean":
            continue
        for severity in CHECKS:
            chosen = checked_at(check, severity, len(data.labels))
            changed = checked_images(data.pixels[chosen], check, severity)
            ran, own = data.parts[f"checked/{check}/{severity}"], statistics_of(changed)
            for seed in SEEDS:
                rng = np.random.default_rng([seed, 2])
                before = stream("independent", data.labels, BURNT + CHANGE + 3 * seed, rng)
                asked = {"ours": ours(_burnt_in(data, LEFT_OUT[check], seed, before))}
                if severity > 1:
                    asked |= {name: make() for name, make in detectors(data).items()}
                    for n in before[-CHANGE:]:
                        for ask in list(asked.values())[1:]:
                            ask(clean, data.pixels, statistics, int(n))
                late = dict.fromkeys(("picture", "features", "accuracy", *list(asked)[1:]), LONGEST)
                for at, n in enumerate(rng.permutation(CHECKED)[:LONGEST]):
                    for ask in asked.values():
                        for name in ask(ran, changed, own, int(n)):
                            if name in late:
                                late[name] = min(late[name], at + 1)
                for name, frames in late.items():
                    yield [check, severity, seed, name, frames]


_WATCHES: dict[tuple[int, tuple[str, ...], int], dict[str, object]] = {}


def _burnt_in(data: Data, left_out: tuple[str, ...], seed: int, before: np.ndarray) -> Watch:
    key, reference = (id(data), left_out, seed), data.reference(left_out)
    if key not in _WATCHES:
        watch = Watch(reference)
        ask = ours(watch)
        for n in before:
            ask(data.parts["clean"], data.pixels, np.empty(0), int(n))
        _WATCHES[key] = watch.state()
    return Watch(reference, _WATCHES[key])


def accuracy(data: Data) -> Iterator[list[object]]:
    """The accuracy of windows of 500, and what each estimate says of it; ours never saw a corruption of the kind."""
    for check, left_out in LEFT_OUT.items():
        reference = data.reference(left_out)
        estimator, chart = Estimator(part_of(reference, "accuracy")), part_of(reference, "features")
        every = Estimator(part_of(data.reference(()), "accuracy"))
        usual = estimator.frames(data.parts["validation"].scores, None).probabilities.max(axis=1)
        threshold = np.quantile(usual, 1 - estimator.accuracy)
        for severity in (0,) if check == "clean" else CHECKS:
            ran = data.parts["clean"] if check == "clean" else data.parts[f"checked/{check}/{severity}"]
            for start in range(0, min(len(ran.labels), 10_000), WINDOW):
                at = slice(start, start + WINDOW)
                named = ran.predicted[at]
                true = float((named == ran.labels[at]).mean())
                values = coordinates_of(ran.features[at], ran.scores[at], reference["basis"])
                frames = estimator.frames(ran.scores[at], distance_of(values, named, chart["means"], chart["scale"]))
                found, plain = (estimator.estimate(frames, mixed=mixed) for mixed in (True, False))
                sure = frames.probabilities.max(axis=1)
                row = {
                    "true": true, "constant": estimator.accuracy, "confidence": float(sure.mean()),
                    "ATC": float((sure > threshold).mean()),
                    "COT": transported(frames.probabilities, estimator.prior),
                    "ours": found.accuracy, "low": found.low, "high": found.high, "ours, any mix": plain.accuracy,
                    "ours, all shifts": every.estimate(frames, mixed=True).accuracy,
                }  # fmt: skip
                yield [check, severity, start, *(round(value, 4) for value in row.values()), int(found.trusted)]


FILES = {
    "rates.csv": ("stream", "seed", "detector", "alarms", "frames"),
    "delays.csv": ("corruption", "severity", "seed", "detector", "frames"),
    "accuracy.csv": ("corruption", "severity", "start", "true", "constant", "confidence", "ATC", "COT", "ours", "low",
                     "high", "ours, any mix", "ours, all shifts", "trusted"),
}  # fmt: skip


def transported(probabilities: np.ndarray, mix: np.ndarray) -> float:
    """COT: the largest mean probability (n, classes) of classes that are given to the images in a mix (classes,).

    Lu et al., "Characterizing Out-of-Distribution Error via Optimal Transport", NeurIPS 2023.
    """
    ends = np.rint(len(probabilities) * np.cumsum(mix)).astype(int)
    each = np.repeat(probabilities, np.diff(ends, prepend=0), axis=1)
    return float(each[linear_sum_assignment(each, maximize=True)].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, metavar="CIFAR10.npz")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--only", choices=("accuracy", "rates", "delays"))
    parser.add_argument("networks", nargs="*", metavar="NETWORK-PRECISION")
    given = parser.parse_intermixed_args()
    for name in given.networks or [f"{n}-{p}" for n in NETWORKS for p in PRECISIONS]:
        found = images(given.source, given.out, name.split("-")[0])
        data = Data(given.out, name, found)
        if given.only in (None, "accuracy"):
            _append(HERE / "accuracy.csv", name, accuracy(data))
        if given.only == "accuracy":
            continue
        statistics = statistics_of(found["clean"][0])
        for file, rows in (("rates", rates), ("delays", delays)):
            if given.only in (None, file):
                _append(HERE / f"{file}.csv", name, rows(data, statistics))


def _append(path: Path, name: str, rows: Iterator[list[object]]) -> None:
    new, found = not path.exists(), list(rows)
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(("network", *FILES[path.name]))
        writer.writerows([name, *row] for row in found)
    print(name, path.name, flush=True)


if __name__ == "__main__":
    main()
