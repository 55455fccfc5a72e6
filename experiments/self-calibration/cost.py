"""What serving and watching cost beside the network: CPU time of a frame, and memory. See README.md.

    python experiments/self-calibration/cost.py [FOLDER] [--frames 4000] [--size 480x640]

FOLDER is a deployment folder; without one a network of MobileNetV3-Small's shape is deployed, with random weights, 224
pixels and 10 classes. Sixteen frames of that size are served again and again. CPU time is that of the serving thread:
scaling the picture, the network, the answer; watching, counts, and what is noted of windows, which is the monitor's own
cost. Of a frame it is the median, since a busy machine takes the caches away; `alone` is what a loop of it takes that
has them. Memory is the most that a process held: one that classifies the frames with the version's run.py alone, one
that serves them, and that one after an attempt to adapt.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
from PIL import Image

CLASSES = 10
SIDE = 224
GROUP, WINDOW = 16, 500  # frames, of the watch and of a line of the log
SMALL = """
name = "mobilenet-v3-small"
title = "MobileNetV3-Small with whole expansions"
source = "Howard et al., Searching for MobileNetV3, ICCV 2019"
classes = 10
resolution = 224
stage = [
  { block = "conv", kernel = 3, stride = 2, channels = 16, activation = "hswish" },
  { block = "mbconv", kernel = 3, expand = 1, channels = 16, stride = 2, activation = "relu", SE },
  { block = "mbconv", depth = 2, kernel = 3, expand = 4, channels = 24, stride = 2, activation = "relu" },
  { block = "mbconv", depth = 3, kernel = 5, expand = 5, channels = 40, stride = 2, activation = "hswish", SE },
  { block = "mbconv", depth = 2, kernel = 5, expand = 3, channels = 48, activation = "hswish", SE },
  { block = "mbconv", depth = 3, kernel = 5, expand = 6, channels = 96, stride = 2, activation = "hswish", SE },
  { block = "conv", channels = 576, activation = "hswish" },
  { block = "pool" },
  { block = "conv", channels = 1024, activation = "hswish", norm = false },
  { block = "linear" },
]
""".replace("SE", 'se = 0.25, gate = "hsigmoid"')


def pictures(count: int, size: tuple[int, int], seed: int) -> list[np.ndarray]:
    """uint8 (h, w, 3) each: patches of 16 pixels, with noise."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(count):
        patches = rng.integers(20, 230, (-(-size[0] // 16), -(-size[1] // 16), 3), np.uint8)
        large = patches.repeat(16, axis=0).repeat(16, axis=1)[: size[0], : size[1]]
        made.append(large + rng.integers(0, 20, large.shape, np.uint8))
    return made


def make(folder: Path) -> Path:
    """A deployment of a network with random weights, which is watched and can be adapted.

    Its norms have the statistics of some pictures: without, they fold to no biases, and there is nothing to adapt. What
    it says of these pictures is zero on average: else all had one class, which no window of frames is adapted with.
    """
    import torch

    from nas.deploy.job import Job, deploy
    from nas.models.builder import build
    from nas.models.trained import Preprocessing, TrainedModel, save_trained
    from nas.monitor.reference import watch_files
    from nas.monitor.shifts import shifts
    from nas.space.search_space import parse_space

    for split, each in (("train", 4), ("val", 12), ("test", 2)):
        for label in range(CLASSES):
            (folder / "data" / split / f"c{label}").mkdir(parents=True)
            for number, pixels in enumerate(pictures(each, (SIDE, SIDE), 100 * label + len(split))):
                Image.fromarray(pixels).save(folder / "data" / split / f"c{label}" / f"{number}.png")
    space = parse_space(SMALL, Path("cost.py"))
    network = space.network(space.sample(np.random.default_rng(0)), CLASSES)
    classes = tuple(f"c{label}" for label in range(CLASSES))
    module = build(network, seed=0).train()
    small = [np.asarray(Image.fromarray(made).resize((SIDE, SIDE))) for made in frames(GROUP, (480, 640))]
    seen = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        module(seen)
        final = [part for part in module.eval().modules() if isinstance(part, torch.nn.Linear)][-1]
        final.bias -= module(seen).mean(dim=0)
        final.weight *= 100
        final.bias *= 100
    model = TrainedModel(network, module.eval().state_dict(), "classification", classes, Preprocessing(SIDE, SIDE))
    save_trained(folder / "model", model)
    print(f"{network.macs / 1e6:.0f} M MACs")
    few = {name: shift for name, shift in shifts().items() if name in ("contrast", "gaussian-noise")}
    job = Job(folder / "model", None, ("fp32",), None, dataset=f"folder:{folder / 'data'}")
    deploy(job, folder / "out", watched=lambda *given: watch_files(*given, families=few))
    return folder / "out"


def frames(count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Sixteen frames again and again."""
    there = pictures(16, size, 7)
    for number in range(count):
        yield there[number % 16]


class Timed:
    """Keeps the CPU seconds that each call of a function takes, less what looking at the time does."""

    own = 0.0  # seconds of a call that does nothing

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, list[float]()

    def __call__(self, *given: Any, **more: Any) -> Any:
        start = time.thread_time()
        found = self.function(*given, **more)
        self.seconds.append(time.thread_time() - start - self.own)
        return found

    def each(self) -> float:
        """Milliseconds of a call: the median of groups of 16, in which the watch does its work."""
        whole = len(self.seconds) // GROUP * GROUP
        return 1000 * float(np.median(np.reshape(self.seconds[:whole], (-1, GROUP)).mean(axis=1)))

    def mean(self) -> float:
        return 1000 * sum(self.seconds) / max(len(self.seconds), 1)


def peak_mb() -> float:
    """Of this program alone: `ru_maxrss` would have that of the process which started it."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6


def serve(folder: Path, count: int, size: tuple[int, int]) -> str:
    """Serves, and says the milliseconds of each part and the most memory."""
    from nas.monitor.serve.frames import of_arrays
    from nas.monitor.serve.loop import Serving
    from nas.monitor.serve.options import Options

    nothing = Timed(lambda: None)
    for _ in range(20_000):
        nothing()
    Timed.own = nothing.each() / 1000
    with tempfile.TemporaryDirectory() as scratch:
        serving = Serving(Path(copytree(folder, Path(scratch) / "folder")), Options(every=True, quiet=True))
        model, watch = serving.model, serving.watching.watch(serving.model)
        places = {
            "scaling": (model.deployment, "image"), "input": (model.deployment, "input"), "network": (model, "run"),
            "answer": (model.program, "probabilities"), "classes": (model.program, "likeliest"),
            "watching": (serving.watching, "observe"), "counts": (serving.counts, "add"),
            "window": (serving, "_end_window"), "estimate": (watch.estimator, "estimate"),
        }  # fmt: skip
        timed = {name: Timed(getattr(place, attribute)) for name, (place, attribute) in places.items()}
        for name, (place, attribute) in places.items():
            setattr(place, attribute, timed[name])
        serving.run(of_arrays(frames(count, size)))
        acting, peak = serving.watching.actings[model.name], peak_mb()
        if acting is not None:
            acting.ask()
            acting.poll()
            acting.join()
            _, events = acting.poll() or (None, [{"why": "not adapted: the frames are of too few classes"}])
            tried = ", ".join(f"{name} {value}" for name, value in events[0].items() if name in ("why", "mix", "way"))
    each = {name: one.each() for name, one in timed.items() if len(one.seconds) >= count}
    window, estimate = timed["window"].mean(), timed["estimate"].mean()
    own = each["watching"] + each["counts"] + (window + estimate) / WINDOW  # an estimate in each window, and one beside
    said = ", ".join(f"{name} {ms:.4f} ms" for name, ms in each.items())
    kept = f" with {len(acting.frames)} frames to adapt to" if acting is not None else ""
    return (
        f"a frame: {said}; every {WINDOW} frames: window {window:.2f} ms, another estimate {estimate:.2f} ms; "
        f"the monitor's own {own:.4f} ms are {100 * own / each['network']:.2f}% of the network; {peak:.0f} MB{kept}, "
        f"{peak_mb():.0f} MB after an attempt to adapt ({tried})"
    )


def classify(folder: Path, count: int, size: tuple[int, int]) -> str:
    """Classifies by the version's program alone."""
    from nas.monitor.serve.versions import load

    model = load(folder, int((folder / "current").read_text()))
    for pixels in frames(count, size):
        model.program.likeliest(model.classes, model.run(model.deployment.input(model.deployment.image(pixels)))[0], 1)
    return f"run.py alone: {peak_mb():.0f} MB"


def alone(folder: Path, count: int, size: tuple[int, int]) -> str:
    """Watches the same frames in a loop, in which nothing else uses the caches: the fastest of ten."""
    from nas.monitor.serve.versions import load
    from nas.monitor.serve.watch import Watch, read_reference

    model = load(folder, int((folder / "current").read_text()))
    watch = Watch(read_reference(model.place / "watch.npz", model.precision))
    seen = [model.deployment.image(pixels) for pixels in frames(GROUP, size)]
    said = [model.run(model.deployment.input(pixels)) for pixels in seen]
    best = math.inf
    for _ in range(10):
        start = time.thread_time()
        for number in range(WINDOW):
            pixels, (scores, features, ms, computing_ms) = seen[number % GROUP], said[number % GROUP]
            watch.observe(pixels, scores, features, ms, computing_ms, f"frame-{number}.png")
        best = min(best, 1000 * (time.thread_time() - start) / WINDOW)
    runs = sorted(model.run(model.empty)[3] for _ in range(50))
    return f"alone: watching {best:.4f} ms, the network {runs[0]:.4f} ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=4000)
    parser.add_argument("--size", default="480x640")
    parser.add_argument("--part", choices=("classify", "serve", "alone"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    if given.part:
        parts = {"classify": classify, "serve": serve, "alone": alone}
        print(parts[given.part](given.folder, given.frames, (height, width)))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            folder = given.folder or make(Path(scratch))
            for part in (classify, serve, alone):  # in processes of their own, which hold nothing else
                words = [str(folder), "--frames", str(given.frames), "--size", given.size, "--part", part.__name__]
                subprocess.run([sys.executable, __file__, *words], check=True)
