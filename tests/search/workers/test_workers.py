"""Several trainings at a time, on a real local Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.estimate.estimator import Estimate, OnPrepare
from nas.models.trained import TrainedModel
from nas.run import load_run
from nas.search.halving import EarlyStopping
from nas.search.loop import search
from nas.search.workers.amdsmi import hide_broken_amdsmi
from nas.search.workers.workers import Cluster, Job, Serial
from nas.space.candidate import Value
from nas.space.network import Network
from nas.space.search_space import load_space
from nas.train.loop import Epoch, OnEpoch
from tests.search.small_tasks import CountingPricer, FormulaEvaluator, formula, settings_for

before = os.environ.get("PYTHONPATH")
hide_broken_amdsmi()
WITHOUT_AMDSMI = os.environ.get("PYTHONPATH", "")
if before is None:  # for these tests alone
    os.environ.pop("PYTHONPATH", None)
else:
    os.environ["PYTHONPATH"] = before
ray = pytest.importorskip("ray")


@pytest.fixture(autouse=True)
def path_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's processes find the evaluators of the tests."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(Path(__file__).parents[3]), WITHOUT_AMDSMI])))


def test_two_workers_train_every_candidate_once_and_confirm_the_front(tmp_path: Path) -> None:
    tiny, log = load_space("tiny"), tmp_path / "evaluated.txt"
    settings = settings_for(
        tiny, sampler="pareto", trials=16, objectives=("accuracy", "latency"), validation_images=200, confirm=0.5
    )
    evaluator = FormulaEvaluator(seconds=0.1, log=log, noise=0.03)
    run = search(tiny, CountingPricer(tiny), evaluator, settings, tmp_path / "run", cluster=Cluster(2))
    trained = log.read_text().splitlines()
    assert [t.trial for t in run.trials] == list(range(16)) and len(set(trained)) == 16
    assert len(trained) == 24 == sum(t.trainings for t in run.trials)
    for t in run.trials:
        noisy = formula(tiny.network(t.candidate), t.candidate) + 0.03 * np.random.default_rng(t.seed).standard_normal()
        assert t.accuracy == pytest.approx(min(1.0, noisy), abs=1e-8)
    assert all(t.expected_accuracy is not None for t in run.trials)
    assert not ray.is_initialized()


def test_stopping_early_with_two_workers(tmp_path: Path) -> None:
    tiny = load_space("tiny")
    settings = settings_for(
        tiny, sampler="random", trials=24, early_stopping=True, proxy={"epochs": 8}, objectives=("accuracy", "latency")
    )
    run = search(
        tiny, CountingPricer(tiny), FormulaEvaluator(seconds=0.1, epochs=8), settings, tmp_path / "run",
        cluster=Cluster(2),
    )  # fmt: skip
    assert {t.state for t in run.trials} == {"trained", "stopped"} and len(run.trials) == 24


@dataclass(frozen=True)
class FailsAtFirst:
    """The first eight trainings say 0.9 after an epoch and fail; the others say 0.5."""

    def prepare(self, on_progress: OnPrepare | None = None) -> None:
        pass

    def estimate(
        self, network: Network, hyperparameters: Mapping[str, Value], *, seed: int, on_epoch: OnEpoch | None = None
    ) -> Estimate:
        accuracy = 0.9 if seed < 8 else 0.5
        assert on_epoch is not None
        on_epoch(1, Epoch(1.0, accuracy, 1.0))
        if seed < 8:
            raise RuntimeError("out of memory")
        return Estimate(accuracy, 1.0)

    def test_accuracy(self, model: TrainedModel) -> float:
        raise NotImplementedError


@pytest.mark.parametrize("kind", ["serial", "ray"])
def test_a_training_that_failed_stops_no_other(kind: str) -> None:
    from nas.search.workers.ray import RayWorkers

    tiny, stopping = load_space("tiny"), EarlyStopping(4)
    network = tiny.network(tiny.sample(np.random.default_rng(0)))
    workers = Serial(FailsAtFirst(), stopping) if kind == "serial" else RayWorkers(FailsAtFirst(), stopping, Cluster(1))
    try:
        for number in range(9):
            workers.submit(Job(number, network, {}, number, (1.0,)))
            done = workers.wait()
    finally:
        workers.close()
    assert done.number == 8 and done.estimate is not None and not done.stopped


INTERRUPTED = """
import sys
from pathlib import Path
from nas.search.loop import search
from nas.search.workers.workers import Cluster
from tests.search.small_tasks import CountingPricer, FormulaEvaluator, load_space, settings_for
tiny = load_space("tiny")
settings = settings_for(tiny, sampler="random", trials=40, objectives=("accuracy", "latency"))
search(
    tiny, CountingPricer(tiny), FormulaEvaluator(seconds=0.5), settings, Path(sys.argv[1]), cluster=Cluster(2),
    on_progress=lambda p: print(p.done, flush=True),
)
"""


def test_ctrl_c_leaves_no_process_and_a_run_that_goes_on(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 3:
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert "KeyboardInterrupt: stopped after" in said and "--resume goes on" in said
    until = time.monotonic() + 60
    while (left := of_session(process.pid)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not left
    done = len(load_run(tmp_path / "run").trials)
    tiny = load_space("tiny")
    settings = settings_for(tiny, sampler="random", trials=done + 6, objectives=("accuracy", "latency"))
    run = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, tmp_path / "run", resume=True)
    assert len({t.candidate for t in run.trials}) == len(run.trials) == done + 6


ON_NODES = """
import sys
import time
from pathlib import Path
from nas.search.loop import search
from nas.search.workers.workers import Cluster
from tests.search.small_tasks import CountingPricer, FormulaEvaluator, load_space, settings_for
class Logged(FormulaEvaluator):
    def estimate(self, network, hyperparameters, **given):
        import ray
        node = ray.get_runtime_context().get_node_id()
        with open(LOG, "a") as file:
            print(node, given["seed"], file=file)
        if node == DOOMED:
            time.sleep(60)
        return super().estimate(network, hyperparameters, **given)
LOG, DOOMED = sys.argv[2], sys.argv[4]
tiny = load_space("tiny")
settings = settings_for(tiny, sampler="random", trials=16, objectives=("accuracy", "latency"))
search(tiny, CountingPricer(tiny), Logged(seconds=0.2), settings, Path(sys.argv[1]), cluster=Cluster(2, sys.argv[3]))
"""


def test_what_trained_on_a_node_that_dies_is_trained_again_and_told_once(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster as Nodes

    log = tmp_path / "where.txt"
    log.touch()
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes.add_node(num_cpus=1)
        doomed = nodes.add_node(num_cpus=1)
        nodes.wait_for_nodes()
        arguments = [str(tmp_path / "run"), str(log), nodes.address, doomed.node_id]
        process = subprocess.Popen([sys.executable, "-c", ON_NODES, *arguments], stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 60
        while doomed.node_id not in log.read_text() and time.monotonic() < until and process.poll() is None:
            time.sleep(0.1)
        assert doomed.node_id in log.read_text()
        nodes.remove_node(doomed, allow_graceful=False)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    finally:
        nodes.shutdown()
    begun = [line.split() for line in log.read_text().splitlines()]
    lost = [seed for node, seed in begun if node == doomed.node_id][-1]
    again = [node for node, seed in begun if seed == lost]
    assert len(again) == 2 and again[1] != doomed.node_id
    run = load_run(tmp_path / "run")
    assert [t.trial for t in run.trials] == list(range(16)) and all(t.state == "trained" for t in run.trials)


@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_when_ray_itself_dies_the_last_line_says_that_resume_goes_on(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = "from nas.search.workers import ray as r\nr.PATIENCE_S = dict.fromkeys(r.PATIENCE_S, 1.0)\n"
    with (tmp_path / "said.txt").open("w") as said:  # a pipe ends when the last of Ray's helpers has ended
        process = subprocess.Popen(
            [sys.executable, "-c", patience + INTERRUPTED, str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=said,
            text=True, start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "3":
            break
    listed = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(process.pid)], capture_output=True, text=True)
    (dying,) = [int(line.split()[0]) for line in listed.stdout.splitlines() if line.split()[1] == part]
    os.kill(dying, signal.SIGKILL)
    status = process.wait(timeout=120)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # Ray's helpers that nobody ends when its head is gone
    last = (tmp_path / "said.txt").read_text().splitlines()[-1]
    assert status == 1 and "UserError: Ray's" in last and last.endswith("--resume goes on")
    trials = load_run(tmp_path / "run").trials
    assert len(trials) >= 3 and all(t.state == "trained" for t in trials)
    tiny = load_space("tiny")
    settings = settings_for(tiny, sampler="random", trials=len(trials) + 4, objectives=("accuracy", "latency"))
    run = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, tmp_path / "run", resume=True)
    assert [t.trial for t in run.trials] == list(range(len(trials) + 4)) and {t.state for t in run.trials} == {
        "trained"
    }


def of_session(session: int) -> list[str]:
    """Processes that the session's leader began."""
    found = subprocess.run(["ps", "-o", "args=", "--sid", str(session)], capture_output=True, text=True)
    return found.stdout.splitlines()


def test_a_cluster_that_is_not_there_and_one_too_small_are_one_line(tmp_path: Path) -> None:
    tiny = load_space("tiny")
    settings = settings_for(tiny, trials=2)
    with pytest.raises(UserError, match="a trial needs 1 processors and 3 GPUs; Ray has"):
        search(
            tiny, CountingPricer(tiny), FormulaEvaluator(), settings, tmp_path / "a", cluster=Cluster(2, gpus=3)
        )  # fmt: skip
    assert not ray.is_initialized()
    with pytest.raises(UserError, match="Ray cannot be reached at"):
        search(
            tiny, CountingPricer(tiny), FormulaEvaluator(), settings, tmp_path / "b",
            cluster=Cluster(2, "127.0.0.1:1"),
        )  # fmt: skip


def test_a_ray_that_does_not_start_in_time_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that other programs keep busy."""

    def late(*given: object, **more: object) -> None:
        raise Exception("The current node timed out during startup. This could happen\nbecause some processes failed.")

    monkeypatch.setattr(ray, "init", late)
    tiny = load_space("tiny")
    with pytest.raises(UserError, match=r"Ray cannot be started on this machine: The current node timed out .* failed"):
        search(
            tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny, trials=2), tmp_path / "run",
            cluster=Cluster(2),
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_one_worker_never_starts_ray(tmp_path: Path) -> None:
    tiny = load_space("tiny")
    search(
        tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny, trials=2), tmp_path / "run",
        cluster=Cluster(1),
    )  # fmt: skip
    assert not ray.is_initialized()


def test_a_fault_of_the_users_on_a_worker_stays_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would add the worker's traceback to it."""
    from ray.exceptions import RayTaskError

    from nas.search.workers import ray as module
    from nas.search.workers.ray import RayWorkers

    def failed(*args: object, **given: object) -> None:
        raise RayTaskError("f", "Traceback:\n  many\n  lines", UserError("a.png: not a readable image"))

    monkeypatch.setattr(module.ray, "get", failed)
    with pytest.raises(UserError, match=r"^a\.png: not a readable image$"):
        RayWorkers.__new__(RayWorkers)._result(None, None)  # type: ignore[arg-type]


def test_a_functions_results_come_in_their_order_and_its_error_is_said() -> None:
    from nas.search.workers.ray import mapped

    assert mapped(2)(abs, [-3, 2, -1]) == [3, 2, 1]
    assert not ray.is_initialized()
    with pytest.raises(UserError, match="a folder, a pipe or a device"):
        mapped(1)(_reads, [Path("/dev/null")])
    assert not ray.is_initialized()


def _reads(path: Path) -> bytes:
    from nas.files.plain import read_bytes

    return read_bytes(path, 1)
