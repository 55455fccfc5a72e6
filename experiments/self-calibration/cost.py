"""What serving and watching cost beside the network: CPU time of a frame and memory. See README.md.

    python experiments/self-calibration/cost.py FOLDER [--frames 3000] [--size 480x640]

FOLDER is a deployment folder; random frames of that size are served. CPU time is that of the serving thread: the
picture's scaling, the network, the answer, watching, and everything else (taking frames, counts, notes). Memory is
the most that a process held: one that serves, and one that classifies the same frames with the version's run.py alone.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np

from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.loop import Options, Serving
from nas.monitor.serve.versions import load


def frames(count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Random frames, sixteen of them again and again."""
    rng = np.random.default_rng(0)
    there = [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(16)]
    for number in range(count):
        yield there[number % 16]


class Timed:
    """Adds up the CPU seconds that calls of a function take."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *given: Any) -> Any:
        start = time.thread_time()
        found = self.function(*given)
        self.seconds += time.thread_time() - start
        return found


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def serve(folder: Path, count: int, size: tuple[int, int]) -> str:
    """Serves, and says the milliseconds of each part and the most memory."""
    with tempfile.TemporaryDirectory() as scratch:
        serving = Serving(Path(copytree(folder, Path(scratch) / "folder")), Options(every=True, quiet=True))
        model = serving.model
        places = {
            "scaling": (model.deployment, "image"), "input": (model.deployment, "input"), "network": (model, "run"),
            "answer": (model.program, "probabilities"), "classes": (model.program, "likeliest"),
            "watching": (serving.watching, "observe"),
        }  # fmt: skip
        timed = {name: Timed(getattr(place, attribute)) for name, (place, attribute) in places.items()}
        for name, (place, attribute) in places.items():
            setattr(place, attribute, timed[name])
        start = time.thread_time()
        serving.run(of_arrays(frames(count, size)))
        total = time.thread_time() - start
    seconds = {name: one.seconds for name, one in timed.items()}
    seconds["everything else"] = total - sum(seconds.values())
    own = seconds["watching"] + seconds["everything else"]
    said = ", ".join(f"{name} {1000 * value / count:.3f} ms" for name, value in seconds.items())
    share = 100 * own / seconds["network"]
    return f"{said}; watching and everything else are {share:.1f}% of the network; {peak_mb():.0f} MB"


def classify(folder: Path, count: int, size: tuple[int, int]) -> str:
    """Classifies by the version's program alone."""
    model = load(folder, int((folder / "current").read_text()))
    for pixels in frames(count, size):
        model.program.likeliest(model.classes, model.run(model.deployment.input(model.deployment.image(pixels)))[0], 1)
    return f"run.py alone: {peak_mb():.0f} MB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--size", default="480x640")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    if given.alone:
        print(classify(given.folder, given.frames, (height, width)))
    else:
        subprocess.run([sys.executable, *sys.argv, "--alone"], check=True)
        print(serve(given.folder, given.frames, (height, width)))
