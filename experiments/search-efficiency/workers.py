"""What the loop costs per trial, and what a second worker brings: `python workers.py`. See README.md.

Wall time per trial once START trials are done, when Ray's processes have loaded what they need, for trainings that only
wait a second, which need no processor, and for real trainings on handwritten digits, one thread each; three seeds.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # serial and worker alike
from nas.data.catalog import load_dataset
from nas.device.profile import load_device
from nas.estimate.estimator import Estimate, Estimator, OnPrepare
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining
from nas.models.trained import TrainedModel
from nas.run import Settings
from nas.search.loop import search
from nas.search.problem.costs import DevicePricer
from nas.search.progress import Progress
from nas.search.workers.workers import Cluster
from nas.space.candidate import Value
from nas.space.network import Network
from nas.space.search_space import load_space
from nas.train.loop import OnEpoch

TRIALS, SEEDS, START = 16, 3, 4
SPACE = load_space("tiny").only(("fp32",))


@dataclass(frozen=True)
class Waiting:
    """A training that takes a second and no processor."""

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        pass

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        time.sleep(1.0)
        return Estimate(min(0.99, 0.5 + network.macs / 1e8), 1.0)

    def test_accuracy(self, model: TrainedModel) -> float:
        raise NotImplementedError


def run(estimator: Estimator, seed: int, cluster: Cluster | None, sampler: str) -> tuple[float, float]:
    """Seconds of a trial, and of its training."""
    settings = Settings(
        space="tiny", space_sha256=SPACE.fingerprint, device="raspberry-pi-4", device_sha256="", dataset="digits",
        classes=10, objectives=("accuracy", "latency", "energy"), sampler=sampler, seed=seed, trials=TRIALS,
    )  # fmt: skip
    ended: dict[int, float] = {}  # by how many trials are done

    def note(p: Progress) -> None:
        ended[p.done] = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        found = search(
            SPACE, DevicePricer(load_device("raspberry-pi-4"), SPACE, 10), estimator, settings, Path(folder) / "run",
            test=False, cluster=cluster, on_progress=note,
        )  # fmt: skip
    trained = sum(t.seconds for t in found.trials[START:])
    return (ended[TRIALS] - ended[START]) / (TRIALS - START), trained / (TRIALS - START)


def main() -> None:
    digits = ProxyTraining(load_dataset("digits", seed=0), Fidelity(epochs=2), 0)
    cases = (("waiting 1 s", Waiting(), "random"), ("waiting 1 s", Waiting(), "pareto"), ("digits", digits, "random"))
    for what, estimator, sampler in cases:
        walls: dict[str, list[float]] = {}
        for seed in range(SEEDS):
            for workers, cluster in (("1 worker", None), ("2 workers", Cluster(2, cpus=1.0))):
                wall, trained = run(estimator, seed, cluster, sampler)
                walls.setdefault(workers, []).append(wall)
                if cluster is None:
                    walls.setdefault("overhead", []).append(wall - trained)
        one, two = walls["1 worker"], walls["2 workers"]
        speedups = [a / b for a, b in zip(one, two, strict=True)]
        print(
            f"{what}, {sampler}: 1 worker {statistics.median(one):.3f} s a trial, of which the loop "
            f"{1000 * statistics.median(walls['overhead']):.0f} ms; 2 workers {statistics.median(two):.3f} s; "
            f"faster {statistics.median(speedups):.2f}x ({min(speedups):.2f} to {max(speedups):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
