"""What the loop costs per trial as a run grows, with trainings that take no time: `python loop_scale.py`.

Random candidates of `tiny` on the Raspberry Pi 4; processor time is of this process only, wall time includes the disk.
See README.md.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nas
from nas.device.profile import load_device
from nas.estimate.estimator import Estimate, OnPrepare
from nas.models.trained import TrainedModel
from nas.run import Settings, load_run
from nas.search.loop import search
from nas.search.problem.costs import DevicePricer
from nas.search.progress import Progress
from nas.space.candidate import Candidate, Value
from nas.space.network import Network
from nas.space.search_space import load_space
from nas.train.loop import Epoch, OnEpoch

TRIALS = 5000
MARKS = (100, 1000, 2000, 3000, 4000, 5000)
SPACE = load_space("tiny")


@dataclass(frozen=True)
class NoTraining:
    """Accuracy by a formula, with a curve of six epochs."""

    def prepare(self, on_progress: OnPrepare | None = None) -> None: ...

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        wobble = int(Candidate.of(hyperparameters).digest, 16) % 1000 / 20_000
        accuracy = 0.95 - 0.4 * 2 ** (-network.macs / 2e6) - wobble
        return Estimate(accuracy, 0.0, curve=tuple(Epoch(1.0, accuracy, 0.1) for _ in range(6)))

    def test_accuracy(self, model: TrainedModel) -> float:
        raise NotImplementedError


def main() -> None:
    settings = Settings(
        space="tiny", space_sha256=SPACE.fingerprint, device="raspberry-pi-4", device_sha256="", dataset="digits",
        classes=10, objectives=("accuracy", "latency", "energy"), sampler="random", seed=0, trials=TRIALS,
    )  # fmt: skip
    costs = DevicePricer(load_device("raspberry-pi-4"), SPACE, 10)
    at: dict[int, tuple[float, float]] = {}

    def note(p: Progress) -> None:
        at[p.done] = time.perf_counter(), time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        search(SPACE, costs, NoTraining(), settings, path, test=False, on_progress=note)
        print("trials, ms a trial, of it processor")
        before = 0
        for mark in MARKS:
            wall, processor = (1000 * (at[mark][i] - at[before][i]) / (mark - before) for i in range(2))
            print(f"{before} to {mark}, {wall:.1f}, {processor:.1f}")
            before = mark
        for what, call in (
            ("resume", lambda: search(SPACE, costs, NoTraining(), settings, path, test=False, resume=True)),
            ("load_run", lambda: load_run(path)),
        ):
            begun = time.perf_counter(), time.process_time()
            run = call()
            wall, processor = time.perf_counter() - begun[0], time.process_time() - begun[1]
            print(f"{what}: {wall:.2f} s, of it processor {processor:.2f} s, {len(run.front_trials)} on the front")
        begun = time.perf_counter(), time.process_time()
        (page,) = nas.report(path, ["html"])
        wall, processor = time.perf_counter() - begun[0], time.process_time() - begun[1]
        print(f"report.html: {wall:.2f} s, of it processor {processor:.2f} s, {page.stat().st_size / 1e6:.2f} MB")
        sizes = ", ".join(f"{p.name} {p.stat().st_size / 1e6:.1f} MB" for p in sorted(path.iterdir()) if p.is_file())
        print(sizes)


if __name__ == "__main__":
    main()
